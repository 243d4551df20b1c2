//! Taking back what was issued.

use notme_core::{
    hex,
    identity::Identity,
    key::KeyId,
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};
use serde::Serialize;

use crate::oidc;

/// What is taken back, as the operator names it.
#[derive(Clone, Debug)]
pub enum Revoked {
    /// A certificate, by its serial number in hexadecimal; colons may stand between the bytes.
    Certificate(String),
    /// A key, whatever is certified for it.
    Key(KeyId),
    /// A session, by the id that its certificates carry: 64 hex digits.
    Session(String),
    /// Whoever is called so.
    Identity(Identity),
    /// What was issued with the keys of an epoch, and those keys.
    Epoch(u64),
}

impl Revoked {
    /// Returns kind and value as the trust document of a trust domain has them.
    pub(crate) fn named(
        &self,
        trust_domain: &str,
    ) -> Result<(RevocationKind, String), RevocationError> {
        Ok(match self {
            Self::Certificate(serial) => (RevocationKind::Certificate, canonical(serial)?),
            Self::Key(kid) => (RevocationKind::Key, kid.to_string()),
            Self::Session(id) => {
                let id: [u8; 32] = hex::decode_array(id).ok_or(RevocationError::Session)?;
                (RevocationKind::Session, hex::encode(&id))
            }
            Self::Identity(identity) => {
                check_issued(identity, trust_domain)?;
                (RevocationKind::Identity, identity.to_string())
            }
            Self::Epoch(number) => (RevocationKind::Epoch, number.to_string()),
        })
    }
}

/// Checks that the authority can have given out an identity: verifiers compare it as a whole.
fn check_issued(identity: &Identity, trust_domain: &str) -> Result<(), RevocationError> {
    let root = format!("wimse://{trust_domain}/");
    match identity.as_str().strip_prefix(&root) {
        Some(path) if oidc::is_path(path) => Ok(()),
        Some(_) | None => Err(RevocationError::Identity { root }),
    }
}

/// Returns a serial number as verifiers write it: lower-case, without leading zero bytes.
fn canonical(serial: &str) -> Result<String, RevocationError> {
    let digits = serial.replace(':', "").to_ascii_lowercase();
    let bytes = hex::decode(&digits).ok_or(RevocationError::Serial)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    match bytes.get(zeros..) {
        // RFC 5280 section 4.1.2.2: at most 20 bytes, and never zero.
        Some(number) if (1..=20).contains(&number.len()) => Ok(hex::encode(number)),
        _ => Err(RevocationError::Serial),
    }
}

/// Why something is taken back, by its name in RFC 5280 section 5.3.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RevocationReason {
    /// Somebody else may have the key.
    KeyCompromise,
    /// It should not have been given out, or its rights were taken away.
    PrivilegeWithdrawn,
    /// Another took its place.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// None of these.
    Unspecified,
}

impl RevocationReason {
    /// Returns its name in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCompromise => "keyCompromise",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::Unspecified => "unspecified",
        }
    }
}

/// What became of a revocation.
#[derive(Clone, Debug, Serialize)]
pub struct Taken {
    /// As it will be published. An earlier time that was said before stays.
    pub revocation: Revocation,
    /// What goes with it: of an epoch, its keys. What a certificate says of its epoch, whoever
    /// has the key can choose; what it was signed with, not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Revocation>,
    /// How many living sessions it ended.
    pub sessions_ended: u64,
}

/// Checks that the time is none to come: what is to be revoked later must still be issued now.
pub(crate) fn check_since(since: UnixTime, now: UnixTime) -> Result<UnixTime, RevocationError> {
    if since > now {
        return Err(RevocationError::Future);
    }
    Ok(since)
}

/// The operator asked for something that cannot be taken back.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// The serial number is none.
    #[error("a serial number is 1 to 20 bytes in hexadecimal, and not zero")]
    Serial,
    /// Nobody can be called so.
    #[error(
        "an identity of this authority is `{root}` and segments of letters, digits, `.`, `_`, `-`, `~` and `%` with two upper-case hexadecimal digits, and no pattern"
    )]
    Identity {
        /// What all of them begin with.
        root: String,
    },
    /// The session id is none.
    #[error("a session id is 64 lower-case hexadecimal digits")]
    Session,
    /// The authority never had such an epoch.
    #[error("there is no epoch {0}")]
    Epoch(u64),
    /// The time is to come.
    #[error("nothing can be revoked from a time to come")]
    Future,
}
