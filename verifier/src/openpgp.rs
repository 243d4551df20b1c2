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

use notme_core::openpgp::{Fingerprint, OpenPgpError};

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

fn refused(error: &OpenPgpError) -> Refusal {
    // Every code of the reader is one of ours, which a test holds it to.
    let code = Code::named(error.code()).unwrap_or(Code::SignatureMalformed);
    Refusal::new(code, error.to_string())
}
