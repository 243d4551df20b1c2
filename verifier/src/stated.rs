//! What others state about objects, for rules that ask for it.

use notme_core::key::KeyId;

use crate::policy::Signer;

/// Whoever judges statements.
pub trait Statements: Sync {
    /// Returns what is stated about a commit, by its full id, and was accepted; and who rejected it.
    ///
    /// # Errors
    /// In words, when it could not be looked at.
    fn about(&self, commit: &str) -> Result<Vec<Stated>, String>;
}

/// An accepted statement about an object.
#[derive(Clone, Debug)]
pub struct Stated {
    /// The type of what is said.
    pub predicate_type: String,
    /// The level that the evidence carries: `L1` to `L4`.
    pub level: Option<&'static str>,
    /// Whether it says that somebody accepts the object.
    pub accepts: bool,
    /// Whether it says that somebody does not. It counts for nothing else then.
    pub rejects: bool,
    /// Who says so.
    pub by: SignedBy,
}

/// Somebody whom a trusted authority vouches for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedBy {
    /// The identity.
    pub identity: String,
    /// The trust store's name of the authority.
    pub authority: String,
    /// The id of the key of the authority's root.
    pub authority_kid: KeyId,
    /// The id of the key that signed.
    pub kid: KeyId,
}

impl SignedBy {
    pub(crate) fn of(signer: Signer<'_>) -> Self {
        Self {
            identity: signer.identity.to_owned(),
            authority: signer.authority.to_owned(),
            authority_kid: signer.authority_kid,
            kid: signer.kid,
        }
    }

    pub(crate) fn as_signer(&self) -> Signer<'_> {
        Signer {
            identity: &self.identity,
            authority: &self.authority,
            authority_kid: self.authority_kid,
            kid: self.kid,
        }
    }
}
