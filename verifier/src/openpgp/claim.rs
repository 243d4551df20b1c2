//! A signature and its document, before it is known whose key made it.

use std::sync::Arc;

use notme_core::{
    armor::SignatureFormat,
    key::sha256,
    openpgp::{ArmorKind, Fingerprint, LongKeyId, Signature, SignedDocument, dearmor},
    time::UnixTime,
};

use super::{
    Names, Person, SigningKey, algorithm,
    person::identity_of,
    refused,
    session::{NEVER, Session, binding},
};
use crate::{
    anchor::{Anchor, Anchors, Root},
    evidence::{Binding, Claimed, Established, Unproven},
    refusal::Refusal,
    standing::{Facts, Issuer, Standing, Vouched},
    standings::Standings,
    verdict::Code,
};

/// A signature that was read, and the digest of what it is said to be over.
#[derive(Debug)]
pub(crate) struct Claim {
    document: SignedDocument,
    payload_sha256: [u8; 32],
}

impl Claim {
    /// Reads a signature. What can be refused without a key is refused here.
    pub(crate) fn read(payload: &[u8], armored: &[u8]) -> Result<Self, Unproven> {
        let document = dearmor(ArmorKind::Signature, armored)
            .and_then(|bytes| Signature::from_bytes(&bytes))
            .and_then(|signature| signature.over(payload))
            .map_err(|error| unproven(refused(&error), None))?;
        Ok(Self {
            document,
            payload_sha256: sha256(payload),
        })
    }

    /// Finds the key, in the trust store or in the signature itself, and checks the signature
    /// with it.
    pub(crate) fn establish(
        &self,
        anchors: &Anchors,
        standings: &Standings,
    ) -> Result<Established, Unproven> {
        let carried = Session::carried(&self.document);
        // Whose key an authority says it is, it is, and until it takes that back: whoever has the key in
        // a keyring takes no signature from it.
        if let Some(Ok(session)) = &carried
            && Self::standing_of(session, anchors, standings)
                .authority()
                .is_some()
        {
            return self.by_session(session, anchors, standings);
        }
        if let Some(found) = self.by_person(anchors) {
            return found;
        }
        match carried {
            Some(Ok(session)) => self.by_session(&session, anchors, standings),
            Some(Err(refusal)) => Err(unproven(refusal, None)),
            None => Err(unproven(
                anchors.absence(),
                NamedIssuer::of(self.document.signature()).claimed(),
            )),
        }
    }

    fn standing_of(session: &Session, anchors: &Anchors, standings: &Standings) -> Arc<Standing> {
        standings.get_or_find(session.digest(), || session.standing(anchors))
    }

    fn by_session(
        &self,
        session: &Session,
        anchors: &Anchors,
        standings: &Standings,
    ) -> Result<Established, Unproven> {
        let standing = Self::standing_of(session, anchors, standings);
        let signature = self.document.signature();
        // The signature names the identity too. Whoever made it and was certified as another
        // would be read as one by us and as the other by whoever looks at the signature.
        if let Some(certified) = standing.identity()
            && !signature
                .identities()
                .all(|named| named == certified.as_bytes())
        {
            let detail = "the signature and the certification name different identities";
            let refusal = Refusal::new(Code::SignatureMalformed, detail);
            return Err(unproven(refusal, Some(session.claimed())));
        }
        let claimed = standing.identity().is_none().then(|| session.claimed());
        Ok(self.established(
            standing.clone(),
            binding(&standing, &self.payload_sha256),
            claimed,
        ))
    }

    /// Looks among the keys of the trust store. A key id can be that of several; whose signature
    /// it is shows when it holds.
    fn by_person(&self, anchors: &Anchors) -> Option<Result<Established, Unproven>> {
        let (mut refusal, mut maker) = (None, None);
        let named = NamedIssuer::of(self.document.signature());
        for (anchor, person, key) in anchors.signing_keys() {
            if !named.is(key) {
                continue;
            }
            match self.document.verify(key.key()) {
                // A subkey of one person, whoever else claims it without its consent.
                Ok(()) if key.problem().is_none() => {
                    maker = Some((anchor, person, key));
                    break;
                }
                Ok(()) => maker = maker.or(Some((anchor, person, key))),
                Err(error) => {
                    let claimed = person.user_ids().next().map(|name| Claimed {
                        kid: Some(key.kid()),
                        name: name.into(),
                    });
                    refusal = Some(unproven(refused(&error), claimed));
                }
            }
        }
        if let Some((anchor, person, key)) = maker {
            let standing = Arc::new(self.standing(anchor, person, key, anchors));
            return Some(Ok(self.established(standing, Binding::Free, None)));
        }
        refusal.map(Err)
    }

    fn standing(
        &self,
        anchor: &Arc<Anchor>,
        person: &Person,
        key: &SigningKey,
        anchors: &Anchors,
    ) -> Standing {
        let wanted = self.document.signature().signer_user_id();
        let name = person.name(wanted.as_deref());
        let (user_id, name_ends) = name.unwrap_or(("", None));
        let until = key.until().unwrap_or(NEVER).min(name_ends.unwrap_or(NEVER));
        let fingerprint = key.key().fingerprint();
        let primary = person.primary().unwrap_or(key).key().fingerprint();
        // A leading zero is not part of a serial number; of a fingerprint it is.
        let serial = [&[0], fingerprint.as_bytes()].concat();
        let facts = Facts {
            names: Some(Box::new(Names {
                fingerprint: fingerprint.clone(),
                primary: primary.clone(),
                user_id: user_id.into(),
            })),
            algorithm: algorithm(key.key()),
            ..Facts::new(key.kid(), &serial, key.from(), until)
        };
        let identity = person.identity(user_id);
        let refusal = key.problem().cloned().or_else(|| {
            self.check_own_time(key.from(), until)
                .and_then(|()| match identity {
                    Some(_) => Ok(()),
                    None => Err(Code::IdentityMissing.into()),
                })
                .err()
        });
        let vouched = Vouched {
            identity: identity.map(|identity| anchors.intern(&identity)),
            issuer: None,
            issuers_from: key.from(),
            issuers_until: until,
            issuers: Issuer::root_of(anchor),
            anchor: Arc::clone(anchor),
        };
        Standing::new(facts, Some(vouched), refusal)
    }

    /// Checks the time that the signature itself names against the key's life. It proves nothing,
    /// but a signature that calls itself older than its key is not to be believed either.
    fn check_own_time(&self, from: UnixTime, until: UnixTime) -> Result<(), Refusal> {
        let made = self.document.signature().created();
        if made < from {
            let detail = format!("made at {made}, before its key at {from}");
            return Err(Refusal::new(Code::CertificateNotYetValid, detail));
        }
        if made > until {
            let detail = format!("made at {made}, after the end of its key at {until}");
            return Err(Refusal::new(Code::CertificateExpired, detail));
        }
        Ok(())
    }

    fn established(
        &self,
        standing: Arc<Standing>,
        binding: Binding,
        claimed: Option<Claimed>,
    ) -> Established {
        let signature = self.document.signature();
        Established {
            format: Some(SignatureFormat::OpenPgp),
            standing,
            claimed: claimed.map(Box::new),
            binding,
            signing_time: Some(signature.created()),
            time_stamp: None,
            log_entry: None,
            // Where the authority's time counts, the signer's clock does not.
            begins: (binding == Binding::Free).then(|| signature.created()),
            ends: signature.expires(),
        }
    }
}

/// Whom a signature names as its issuer: by fingerprint where it can.
enum NamedIssuer {
    Fingerprints(Vec<Fingerprint>),
    KeyIds(Vec<LongKeyId>),
}

impl NamedIssuer {
    fn of(signature: &Signature) -> Self {
        let fingerprints = signature.issuer_fingerprints();
        match fingerprints.is_empty() {
            true => Self::KeyIds(signature.issuer_key_ids()),
            false => Self::Fingerprints(fingerprints),
        }
    }

    fn is(&self, key: &SigningKey) -> bool {
        match self {
            Self::Fingerprints(named) => named.contains(key.key().fingerprint()),
            Self::KeyIds(named) => named.contains(&key.key().long_id()),
        }
    }

    /// Returns what to call a key that nobody has here.
    fn claimed(&self) -> Option<Claimed> {
        let name = match self {
            Self::Fingerprints(named) => identity_of(named.first()?),
            Self::KeyIds(named) => format!("OpenPGP key {}", named.first()?),
        };
        Some(Claimed {
            kid: None,
            name: name.into(),
        })
    }
}

fn unproven(refusal: Refusal, claimed: Option<Claimed>) -> Unproven {
    Unproven {
        refusal,
        format: Some(SignatureFormat::OpenPgp),
        claimed,
    }
}

impl Anchors {
    /// Returns every key of the people in the trust store.
    fn signing_keys(&self) -> impl Iterator<Item = (&Arc<Anchor>, &Person, &SigningKey)> {
        let people = self.iter().filter_map(|anchor| match &anchor.root {
            Root::Person(person) => Some((anchor, &**person)),
            Root::X509(_) | Root::OpenPgp(_) | Root::Ssh(_) | Root::Listed(_) => None,
        });
        people.flat_map(|(anchor, person)| {
            let keys = person.keys().iter();
            keys.map(move |key| (anchor, person, key))
        })
    }
}
