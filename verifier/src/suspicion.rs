//! What somebody may have got hold of, and which signatures rest on it.

use std::{fmt, str::FromStr, sync::Arc};

use notme_core::{
    certificate::Certificate,
    hex,
    key::KeyId,
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};
use serde::Serialize;

use crate::{
    judge::Judgement,
    named::{KeyName, Named},
    ssh::ListedKey,
    standing::Standing,
    trust::{Authority, PinKind, Trust},
    verdict::TimeBasis,
};

/// Something that is compromised since a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suspicion {
    what: What,
    since: UnixTime,
    /// Whether a trust document says it, so that it is about those alone for whom that speaks.
    is_told: bool,
    /// The keys of time-stamping authorities that it takes back by their certificates.
    stampers: Vec<KeyId>,
    /// Whether the trust store itself speaks of it.
    is_trusted: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    /// As a trust document says it.
    Revoked(Revocation),
    /// A key by the name that other tools have for it, and the ids that it turned out to have.
    Key {
        text: String,
        name: KeyName,
        kids: Vec<KeyId>,
    },
    /// Everything that an authority of the trust store vouches for, by its name there.
    Authority(String),
}

/// How a signature rests on it, the gravest last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// It names it as its maker, and nobody who is trusted vouches for that.
    Claimed,
    /// It says that it is older, or says nothing: its time is the word of whoever has what is
    /// compromised.
    Undated,
    /// It was made since then.
    Since,
}

impl Exposure {
    /// Returns the word that reports have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Undated => "undated",
            Self::Since => "since",
        }
    }
}

impl Suspicion {
    /// Reads what somebody names: a key by its id, its pin or as other tools call it, the id of a
    /// session, an identity, or the name that the trust store has for an authority.
    ///
    /// # Errors
    /// [`UnknownName`] for what is none of these.
    pub fn of(name: &str, since: UnixTime, trust: &Trust) -> Result<Self, UnknownName> {
        let lower = name.to_ascii_lowercase();
        let is_long = hex::decode_array::<32>(&lower).is_some();
        let key = KeyName::parse(name).map(|key| {
            // The id of a key is the beginning of its pin.
            let is_pin = |kid: KeyId| is_long && lower.starts_with(&kid.to_string());
            let found = keys(trust).filter(|(kid, names)| is_pin(*kid) || names.contains(&key));
            let kids: Vec<_> = found.map(|(kid, _)| kid).collect();
            (key, kids)
        });
        let revoked = |kind, value: &str| {
            let revocation = Revocation {
                kind,
                value: value.to_owned(),
                since,
                reason: String::new(),
            };
            What::Revoked(revocation)
        };
        let (what, is_trusted) = if let Ok(kid) = KeyId::from_str(&lower) {
            let is_trusted = keys(trust).any(|(key, _)| key == kid);
            (revoked(RevocationKind::Key, &lower), is_trusted)
        } else if let Some((key, kids)) = key.filter(|(_, kids)| !is_long || !kids.is_empty()) {
            let is_trusted = !kids.is_empty();
            let (text, name) = (name.to_owned(), key);
            (What::Key { text, name, kids }, is_trusted)
        } else if is_long {
            (revoked(RevocationKind::Session, &lower), false)
        } else if name.contains(':') && !lower.starts_with("md5:") {
            let is_trusted = trust.authorities().iter().any(|it| lists(it, name));
            (revoked(RevocationKind::Identity, name), is_trusted)
        } else if trust.authorities().iter().any(|it| it.name() == name) {
            (What::Authority(name.to_owned()), true)
        } else {
            return Err(UnknownName(name.to_owned()));
        };
        Ok(Self {
            what,
            since,
            is_told: false,
            stampers: Vec::new(),
            is_trusted,
        })
    }

    /// Returns everything that the trust documents of a store revoke, each for its authority, and what the
    /// owners of keys took back.
    pub fn revoked(trust: &Trust) -> Vec<Self> {
        let authorities = trust.authorities().iter();
        let suspicions = authorities.flat_map(|authority| {
            let people = authority.people().iter();
            let own = people.flat_map(|person| person.revocations());
            authority.revocations().iter().chain(own).map(|revocation| {
                let stampers = authority.tsa().iter().map(|it| &it.value);
                let stampers = stampers.filter(|it| revocation.is_of(it));
                Self {
                    since: revocation.since,
                    what: What::Revoked(revocation.clone()),
                    is_told: true,
                    stampers: stampers.map(Certificate::kid).collect(),
                    is_trusted: true,
                }
            })
        });
        suspicions.collect()
    }

    /// Tells whether trust documents are there and all of the store could be read, so that what it does
    /// not revoke nobody did.
    pub fn is_all_told(trust: &Trust) -> bool {
        let mut authorities = trust.authorities().iter();
        trust.faults().is_empty() && authorities.any(|it| it.kind() == PinKind::TrustDocument)
    }

    /// Returns since when.
    pub fn since(&self) -> UnixTime {
        self.since
    }

    /// Returns what kind of thing it is.
    pub fn kind(&self) -> &'static str {
        match &self.what {
            What::Revoked(revocation) => revocation.kind.as_str(),
            What::Key { .. } => RevocationKind::Key.as_str(),
            What::Authority(_) => "authority",
        }
    }

    /// Returns which one it is; unescaped.
    pub fn value(&self) -> &str {
        match &self.what {
            What::Revoked(revocation) => &revocation.value,
            What::Key { text, .. } => text,
            What::Authority(name) => name,
        }
    }

    /// Tells how a signature rests on it; `None` when it does not, or was shown to be older by
    /// somebody who is not compromised.
    pub fn concerns(&self, judgement: &Judgement) -> Option<Exposure> {
        let standing = judgement.standing()?;
        let is_clock = judgement.clock_kid().is_some_and(|kid| {
            (self.is_key(kid) || self.stampers.contains(&kid)) && self.is_for(standing)
        });
        let record = judgement.record();
        let is_clock = is_clock || record.is_some_and(|it| self.concerns(it).is_some());
        if !is_clock && !self.is_about(standing) {
            return None;
        }
        // Whoever is above the signer writes the times that certificates and tokens carry.
        let is_above = match &self.what {
            _ if is_clock => true,
            What::Authority(_) => true,
            What::Revoked(revocation) => !standing.is_signers_own(revocation),
            What::Key { kids, .. } => !kids.contains(&standing.kid()),
        };
        match (judgement.judged_until(), judgement.time_basis()) {
            (Some(until), _) if until >= self.since => Some(Exposure::Since),
            (Some(_), Some(basis)) if basis > TimeBasis::DagOrdered && !is_above => None,
            (_, _) => Some(Exposure::Undated),
        }
    }

    /// Tells whether a signer rests on it, at whatever time.
    pub(crate) fn is_about(&self, standing: &Standing) -> bool {
        match &self.what {
            What::Authority(name) => standing.authority() == Some(name),
            What::Revoked(revocation) => standing.rests_on(revocation) && self.is_for(standing),
            What::Key { name, kids, .. } => {
                let own = standing.openpgp().into_iter();
                let mut own = own.flat_map(|it| [&it.fingerprint, &it.primary]);
                kids.iter().any(|kid| standing.rests_on_key(*kid))
                    || own.any(|fingerprint| KeyName::of_openpgp(fingerprint).contains(name))
            }
        }
    }

    /// Tells whether whoever took it back speaks for a signer.
    fn is_for(&self, standing: &Standing) -> bool {
        match &self.what {
            What::Revoked(revocation) if self.is_told => standing.is_told(revocation),
            What::Revoked(_) | What::Key { .. } | What::Authority(_) => true,
        }
    }

    /// Tells whether a signature says of itself that its maker is this.
    pub(crate) fn is_named_in(&self, named: &Named) -> bool {
        match &self.what {
            What::Authority(_) => false,
            What::Key { name, .. } => {
                named.keys.contains(name) || named.kid.is_some_and(|kid| self.is_key(kid))
            }
            What::Revoked(revocation) => match revocation.kind {
                RevocationKind::Key => named.kid.is_some_and(|kid| self.is_key(kid)),
                RevocationKind::Identity => {
                    named.identities.contains(&revocation.value)
                        || KeyName::in_identity(&revocation.value)
                            .is_some_and(|key| named.keys.contains(&key))
                }
                RevocationKind::Certificate | RevocationKind::Session | RevocationKind::Epoch => {
                    false
                }
            },
        }
    }

    /// Tells whether it is the key with an id.
    pub(crate) fn is_key(&self, kid: KeyId) -> bool {
        match &self.what {
            What::Key { kids, .. } => kids.contains(&kid),
            What::Revoked(it) => {
                it.kind == RevocationKind::Key && it.value.parse().is_ok_and(|it: KeyId| it == kid)
            }
            What::Authority(_) => false,
        }
    }

    /// Tells whether only reading signatures shows which of them it concerns.
    pub(crate) fn has_foreign_name(&self) -> bool {
        matches!(self.what, What::Key { .. })
    }

    /// Learns from a signature which id the key has.
    pub(crate) fn learn(&mut self, named: &Named) {
        if let (What::Key { name, kids, .. }, Some(kid)) = (&mut self.what, named.kid)
            && named.keys.contains(name)
            && !kids.contains(&kid)
        {
            kids.push(kid);
        }
    }

    /// Tells whether the trust store itself speaks of it.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted
    }
}

/// Returns the keys of a trust store, with what other tools call them.
fn keys(trust: &Trust) -> impl Iterator<Item = (KeyId, Vec<KeyName>)> {
    trust.authorities().iter().flat_map(|authority| {
        let certificates = authority.roots().iter().chain(authority.tsa());
        let certificates = certificates.map(|it| {
            let names = KeyName::of_certificate(&it.value).into_iter().collect();
            (it.value.kid(), names)
        });
        let openpgp = authority.openpgp().iter().filter_map(|it| {
            let names = KeyName::of_openpgp(it.value.fingerprint());
            Some((it.value.key().kid()?, names.into()))
        });
        let people = authority.people().iter().flat_map(|person| person.keys());
        let people = people.map(|it| {
            let names = KeyName::of_openpgp(it.key().fingerprint());
            (it.kid(), names.into())
        });
        let ssh = authority.ssh().iter().map(|it| &it.value);
        let ssh = ssh.chain(authority.signers().iter().map(|it| it.public_key()));
        let ssh = ssh.map(|it| (it.kid(), vec![KeyName::of_ssh(it.fingerprint())]));
        let logs = authority.logs().iter();
        let logs = logs.map(|it| (it.value.public_key().kid(), Vec::new()));
        certificates
            .chain(openpgp)
            .chain(people)
            .chain(ssh)
            .chain(logs)
    })
}

/// Tells whether an authority is a list of people, and somebody on it goes by an identity.
fn lists(authority: &Authority, identity: &str) -> bool {
    let mut people = authority.people().iter().flat_map(|person| {
        let names = person.user_ids();
        names.filter_map(|name| person.identity(name))
    });
    let mut signers = authority.signers().iter();
    let signer = |it: &Arc<ListedKey>| it.identity(it.entry().key()).as_deref() == Some(identity);
    people.any(|it| it == identity) || signers.any(signer)
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = crate::report::escape(self.value());
        write!(f, "{} {value} since {}", self.kind(), self.since)
    }
}

/// A name of nothing that signatures rest on.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{}` is neither the id or fingerprint of a key, the id of a session, an identity, nor an authority of the trust store",
    .0.escape_debug()
)]
pub struct UnknownName(String);
