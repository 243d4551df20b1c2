//! What somebody may have got hold of, and which signatures rest on it.

use std::{fmt, str::FromStr, sync::Arc};

use notme_core::{
    hex,
    key::KeyId,
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};
use serde::Serialize;

use crate::{judge::Judgement, trust::Trust, verdict::TimeBasis};

/// Something that is compromised since a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suspicion {
    what: What,
    since: UnixTime,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    /// As a trust document says it; of one authority when one says so.
    Revoked(Revocation, Option<Arc<str>>),
    /// Everything that an authority of the trust store vouches for, by its name there.
    Authority(String),
}

/// How a signature rests on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// It was made since then.
    Since,
    /// It says that it is older, or says nothing: its time is the word of whoever has what is
    /// compromised.
    Undated,
}

impl Exposure {
    /// Returns the word that reports have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Since => "since",
            Self::Undated => "undated",
        }
    }
}

impl Suspicion {
    /// Reads what somebody names: a key id, the id of a session, an identity, or the name that the
    /// trust store has for an authority.
    ///
    /// # Errors
    /// [`UnknownName`] for what is none of these.
    pub fn of(name: &str, since: UnixTime, trust: &Trust) -> Result<Self, UnknownName> {
        let kind = if KeyId::from_str(name).is_ok() {
            RevocationKind::Key
        } else if hex::decode_array::<32>(name).is_some() {
            RevocationKind::Session
        } else if name.contains(':') {
            RevocationKind::Identity
        } else if trust.authorities().iter().any(|it| it.name() == name) {
            let what = What::Authority(name.to_owned());
            return Ok(Self { what, since });
        } else {
            return Err(UnknownName(name.to_owned()));
        };
        let revocation = Revocation {
            kind,
            value: name.to_owned(),
            since,
            reason: String::new(),
        };
        let what = What::Revoked(revocation, None);
        Ok(Self { what, since })
    }

    /// Returns everything that the trust documents of a store revoke, each for its authority.
    pub fn revoked(trust: &Trust) -> Vec<Self> {
        let authorities = trust.authorities().iter();
        let suspicions = authorities.flat_map(|authority| {
            let name: Arc<str> = authority.name().into();
            authority.revocations().iter().map(move |revocation| Self {
                since: revocation.since,
                what: What::Revoked(revocation.clone(), Some(Arc::clone(&name))),
            })
        });
        suspicions.collect()
    }

    /// Returns since when.
    pub fn since(&self) -> UnixTime {
        self.since
    }

    /// Returns what kind of thing it is.
    pub fn kind(&self) -> &'static str {
        match &self.what {
            What::Revoked(revocation, _) => revocation.kind.as_str(),
            What::Authority(_) => "authority",
        }
    }

    /// Returns which one it is; unescaped.
    pub fn value(&self) -> &str {
        match &self.what {
            What::Revoked(revocation, _) => &revocation.value,
            What::Authority(name) => name,
        }
    }

    /// Tells how a signature rests on it; `None` when it does not, or was shown to be older by
    /// somebody who is not compromised.
    pub fn concerns(&self, judgement: &Judgement) -> Option<Exposure> {
        let standing = judgement.standing()?;
        // Whoever is above the signer writes the times that certificates and tokens carry.
        let (concerns, is_above) = match &self.what {
            What::Authority(name) => (standing.authority() == Some(name), true),
            What::Revoked(revocation, authority) => {
                let is_theirs = authority.is_none() || standing.authority() == authority.as_deref();
                let concerns = is_theirs && standing.rests_on(revocation);
                (concerns, !standing.is_signers_own(revocation))
            }
        };
        if !concerns {
            return None;
        }
        match (judgement.judged_at(), judgement.time_basis()) {
            (Some(at), _) if at >= self.since => Some(Exposure::Since),
            (Some(_), Some(basis)) if basis > TimeBasis::DagOrdered && !is_above => None,
            (_, _) => Some(Exposure::Undated),
        }
    }
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
    "`{}` is neither a key id, the id of a session, an identity, nor an authority of the trust store",
    .0.escape_debug()
)]
pub struct UnknownName(String);
