//! A session key that travels in its own signature, with an authority's word for it.

use std::sync::Arc;

use notme_core::{
    key::{KeyId, sha256},
    openpgp::{
        Certification, Fingerprint, KeyBlock, OpenPgpError, SignedDocument, TrustedKey, UserId,
    },
    time::UnixTime,
};

use super::{Names, refused};
use crate::{
    anchor::{Anchor, Anchors, Root},
    evidence::{Binding, Claimed},
    refusal::Refusal,
    standing::{Facts, Issuer, Standing, Vouched},
    verdict::Code,
};

/// The key that a signature carries, after it was found to have made it.
#[derive(Debug)]
pub(super) struct Session {
    block: KeyBlock,
    digest: [u8; 32],
    kid: KeyId,
}

impl Session {
    /// Reads the key that a signature carries and checks the signature with it; `None` when it
    /// carries none.
    pub(super) fn carried(document: &SignedDocument) -> Option<Result<Self, Refusal>> {
        let bytes = document.signature().key_block()?;
        Some(Self::read(bytes, document))
    }

    fn read(bytes: &[u8], document: &SignedDocument) -> Result<Self, Refusal> {
        let block = KeyBlock::from_bytes(bytes).map_err(|error| refused(&error))?;
        document
            .verify(block.primary())
            .map_err(|error| refused(&error))?;
        let kid = block.primary().kid().ok_or(Code::AlgorithmUnsupported)?;
        Ok(Self {
            digest: sha256(bytes),
            block,
            kid,
        })
    }

    /// Returns what standings are remembered by: every byte that one depends on.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Returns what the key says of itself.
    pub(super) fn claimed(&self) -> Claimed {
        Claimed {
            kid: Some(self.kid),
            name: self.user_id().into(),
        }
    }

    /// Finds the authority that certified the key.
    pub(super) fn standing(&self, anchors: &Anchors) -> Standing {
        let unknown = |refusal| {
            let primary = self.block.primary();
            let facts = self.facts(
                primary.fingerprint().as_bytes(),
                primary.created(),
                self.ends().unwrap_or(NEVER),
            );
            Standing::new(facts, None, Some(refusal))
        };
        // Nothing else belongs into the block of a session: one name, one word of its own, and
        // the authority's.
        let ([user_id], [], []) = (
            self.block.user_ids(),
            self.block.subkeys(),
            self.block.direct(),
        ) else {
            return unknown(anchors.absence());
        };
        let [_, certification] = user_id.signatures() else {
            return unknown(anchors.absence());
        };
        let named = certification.issuer_fingerprints();
        let is_named = |key: &TrustedKey| named.iter().any(|it| it == key.fingerprint());
        let verify = |authority: &TrustedKey| {
            Certification::verify(certification, authority, self.block.primary(), user_id)
        };
        let mut refusal = None;
        for (anchor, authority) in anchors.of_openpgp().filter(|(_, key)| is_named(key)) {
            match verify(authority) {
                Ok(certification) => return self.vouched(anchor, &certification, user_id, anchors),
                Err(error) => refusal = Some(about_certification(&error)),
            }
        }
        unknown(refusal.unwrap_or_else(|| {
            anchors.absence_of(
                |root| matches!(root, Root::OpenPgp(key) if is_named(key) && verify(key).is_ok()),
            )
        }))
    }

    fn vouched(
        &self,
        anchor: &Arc<Anchor>,
        certification: &Certification,
        user_id: &UserId,
        anchors: &Anchors,
    ) -> Standing {
        let ends = self.ends().unwrap_or(NEVER);
        let facts = Facts {
            issued_at: Some(certification.issued_at()),
            epoch: Some(certification.epoch()),
            session: Some(*certification.session()),
            payload_sha256: certification.payload_sha256(),
            activity: certification.activity().map(Into::into),
            terms: certification.terms().cloned().map(Box::new),
            ..self.facts(
                certification.serial(),
                certification.not_before(),
                certification.not_after().min(ends),
            )
        };
        let identity = certification.identity().as_str();
        let refusal = check_user_id(user_id, identity)
            .and_then(|()| check_scopes(certification.scopes(), anchor))
            .err();
        let vouched = Vouched {
            identity: Some(anchors.intern(identity)),
            issuer: None,
            issuers_from: certification.not_before(),
            issuers_until: certification.not_after(),
            issuers: Issuer::root_of(anchor),
            anchor: Arc::clone(anchor),
        };
        Standing::new(facts, Some(vouched), refusal)
    }

    fn facts(&self, serial: &[u8], not_before: UnixTime, not_after: UnixTime) -> Facts {
        let fingerprint = self.block.primary().fingerprint();
        Facts {
            names: Some(self.names(fingerprint)),
            algorithm: super::algorithm(self.block.primary()),
            ..Facts::new(self.kid, serial, not_before, not_after)
        }
    }

    fn names(&self, fingerprint: &Fingerprint) -> Box<Names> {
        Box::new(Names {
            fingerprint: fingerprint.clone(),
            primary: fingerprint.clone(),
            user_id: self.user_id().into(),
        })
    }

    fn user_id(&self) -> String {
        self.block
            .user_ids()
            .first()
            .map(UserId::text)
            .unwrap_or_default()
    }

    /// Returns the end that the key gives itself. That it is the key that says so needs no look
    /// at the self-signature: the key signed the whole block, with the document.
    fn ends(&self) -> Option<UnixTime> {
        let own = self.block.user_ids().first()?.signatures().first()?;
        let lifetime = own.key_lifetime().filter(|lifetime| *lifetime != 0)?;
        let last = i64::from(lifetime) - 1;
        Some(self.block.primary().created().plus(last))
    }
}

/// Tells how the payload that an authority named goes with the one that was signed.
pub(super) fn binding(standing: &Standing, payload_sha256: &[u8; 32]) -> Binding {
    match standing.payload_sha256() {
        None => Binding::Free,
        Some(digest) if digest == payload_sha256 => Binding::Bound,
        Some(_) => Binding::Elsewhere,
    }
}

/// The authority's word covers the user id; that it names the same identity in both places is
/// what readers who see only the one rely on.
fn check_user_id(user_id: &UserId, identity: &str) -> Result<(), Refusal> {
    match user_id.text().ends_with(&format!(" <{identity}>")) {
        true => Ok(()),
        false => Err(Refusal::new(
            Code::CertificateInvalid,
            "the certification and the user id name different identities",
        )),
    }
}

fn check_scopes(held: &[String], anchor: &Anchor) -> Result<(), Refusal> {
    let wanted = &anchor.scopes;
    if wanted.is_empty() || held.iter().any(|scope| wanted.contains(scope)) {
        return Ok(());
    }
    let detail = format!("needs one of: {}", wanted.join(", "));
    Err(Refusal::new(Code::ScopeMissing, detail))
}

/// What is wrong with an authority's word is not what is wrong with the signature.
fn about_certification(error: &OpenPgpError) -> Refusal {
    let code = match error {
        OpenPgpError::Mismatch(_) => Code::SignerUntrusted,
        OpenPgpError::UnknownCritical(_) => Code::CertificateUnknownCritical,
        OpenPgpError::AlgorithmWeak(_) => Code::AlgorithmWeak,
        _ => Code::CertificateInvalid,
    };
    Refusal::new(code, format!("the authority's certification: {error}"))
}

impl Anchors {
    /// Returns the keys with which authorities certify session keys.
    fn of_openpgp(&self) -> impl Iterator<Item = (&Arc<Anchor>, &TrustedKey)> {
        self.iter().filter_map(|anchor| match &anchor.root {
            Root::OpenPgp(key) => Some((anchor, key)),
            Root::X509(_) | Root::Person(_) | Root::Ssh(_) | Root::Listed(_) => None,
        })
    }
}

/// "No well-defined expiration date" (RFC 5280 section 4.1.2.5): 9999-12-31T23:59:59Z.
pub(super) const NEVER: UnixTime = UnixTime::from_secs(253_402_300_799);
