//! OpenPGP signatures: of session keys that an authority certified, and of people whose keys are
//! in the trust store.
//!
//! An agent's signature carries its key and the authority's word for it, and is proof by itself
//! like a CMS message. A person's names a key, and says nothing until that key is found in the
//! trust store; what the key may do and how long it lives is in the signatures around it there.

mod claim;
mod person;
mod session;

pub use person::{Person, SigningKey};

pub(crate) use claim::Claim;
pub(crate) use person::{address, unite};

use notme_core::openpgp::{Fingerprint, Key, KeyKind, OpenPgpError};

use crate::{refusal::Refusal, verdict::Code};

/// How an OpenPGP signer is named in OpenPGP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names {
    /// The key that signed.
    pub fingerprint: Fingerprint,
    /// The primary key above it, or itself.
    pub primary: Fingerprint,
    /// The user id; unescaped.
    pub user_id: Box<str>,
}

/// Returns what kind of key it is, as a policy names it.
fn algorithm(key: &Key) -> Option<&'static str> {
    match key.kind() {
        KeyKind::Ed25519 { .. } => Some("ed25519"),
        KeyKind::Ecdsa { bits: 256 } => Some("p256"),
        KeyKind::Ecdsa { bits: 384 } => Some("p384"),
        KeyKind::Ecdsa { bits: 521 } => Some("p521"),
        KeyKind::Rsa { .. } => Some("rsa"),
        KeyKind::Ecdsa { .. } | KeyKind::Other { .. } => None,
    }
}

fn refused(error: &OpenPgpError) -> Refusal {
    // Every code of the reader is one of ours, which a test holds it to.
    let code = Code::named(error.code()).unwrap_or(Code::SignatureMalformed);
    Refusal::new(code, error.to_string())
}
