//! What others state about objects, for rules that ask for it.

use std::sync::Arc;

use notme_core::{key::KeyId, openpgp::Fingerprint, time::UnixTime};

use crate::{
    judge::Judgement,
    policy::{Policy, Signer},
};

/// Whoever judges statements.
pub trait Statements: Sync {
    /// Returns what is stated about a commit, by its full id, and was accepted by those whom the policy
    /// that asks takes; and who of them rejected it.
    ///
    /// # Errors
    /// In words, when it could not be looked at.
    fn about(&self, commit: &str, policy: &Policy) -> Result<Vec<Stated>, String>;
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
    /// Where and when it says that the object was received.
    pub received: Option<Received>,
    /// Whether it says that somebody does not. It counts for nothing else then.
    pub rejects: bool,
    /// Whether it says that what it tells of failed. It is no such statement as a rule asks for then.
    pub fails: bool,
    /// Who says so.
    pub by: SignedBy,
}

/// That a repository received an object.
#[derive(Clone, Debug)]
pub struct Received {
    /// The repository, by its URI.
    pub repository: String,
    /// The time by which it was there.
    pub at: UnixTime,
    /// What that was judged to rest on.
    pub record: Option<Arc<Judgement>>,
}

/// Somebody whom a trusted authority vouches for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SignedBy {
    /// The identity.
    pub identity: String,
    /// The trust store's name of the authority.
    pub authority: String,
    /// The id of the key of the authority's root.
    pub authority_kid: KeyId,
    /// The id of the key that signed.
    pub kid: KeyId,
    /// Who told a Sigstore authority whose identity it is.
    pub issuer: Option<String>,
    /// Those of an OpenPGP key and of the primary key above it.
    pub fingerprints: Option<[Fingerprint; 2]>,
}

impl SignedBy {
    /// Tells whether two are one, for all that is known.
    pub fn is(&self, other: &Self) -> bool {
        self.as_signer().is(other.as_signer())
    }

    pub(crate) fn of(signer: Signer<'_>) -> Self {
        Self {
            identity: signer.identity.to_owned(),
            authority: signer.authority.to_owned(),
            authority_kid: signer.authority_kid,
            kid: signer.kid,
            issuer: signer.issuer.map(str::to_owned),
            fingerprints: signer.fingerprints.map(|both| both.map(Clone::clone)),
        }
    }

    pub(crate) fn as_signer(&self) -> Signer<'_> {
        Signer {
            identity: &self.identity,
            authority: &self.authority,
            authority_kid: self.authority_kid,
            kid: self.kid,
            issuer: self.issuer.as_deref(),
            fingerprints: self.fingerprints.as_ref().map(|both| both.each_ref()),
        }
    }
}
