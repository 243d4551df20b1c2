//! Why a repository's own policy cannot be applied.

use notme_core::key::KeyId;

use crate::{
    policy::{POLICY_PATH, PolicyError},
    repository::{ObjectId, RepositoryError},
    verdict::Code,
};

/// The repository's own policy cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum LineageError {
    /// The repository could not be asked.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The trust root, or something in its tree, is not here or is not what it should be.
    #[error("could not read the policy of the trust root `{root}`: {}: {detail}", code.as_str())]
    Root {
        /// The trust root.
        root: ObjectId,
        /// What is wrong.
        code: Code,
        /// In words.
        detail: String,
    },
    /// The trust root is no commit, but a tag of one.
    #[error("the trust root `{root}` is a tag; name its commit, `{commit}`")]
    Tag {
        /// The tag.
        root: ObjectId,
        /// The commit.
        commit: ObjectId,
    },
    /// The trust root's tree holds no policy.
    #[error("the trust root `{root}` has no `{POLICY_PATH}`")]
    NoPolicy {
        /// The trust root.
        root: ObjectId,
    },
    /// What it holds is no policy.
    #[error("the policy of the trust root `{root}` cannot be used")]
    Policy {
        /// The trust root.
        root: ObjectId,
        /// Why.
        source: PolicyError,
    },
    /// No commit here brings a first policy that the key signed.
    #[error("no commit here that the key `{0}` signed brings a first `{POLICY_PATH}`")]
    NotBrought(KeyId),
    /// Several do.
    #[error(
        "`{one}` and `{other}` both bring a first `{POLICY_PATH}`, signed by the trust root; trust one of \
         the two by its commit id"
    )]
    Ambiguous {
        /// One commit.
        one: ObjectId,
        /// Another.
        other: ObjectId,
    },
}

impl LineageError {
    /// Returns what to do about something that is not here, or not what it should be.
    pub fn fix(&self) -> Option<&'static str> {
        match self {
            Self::Root { code, .. } => Some(code.fix()),
            Self::Repository(_)
            | Self::Tag { .. }
            | Self::Policy { .. }
            | Self::NotBrought(_)
            | Self::Ambiguous { .. } => None,
            Self::NoPolicy { .. } => Some(
                "name the commit that brought it: `git log --diff-filter=A -- .notme/policy.toml`",
            ),
        }
    }

    /// Returns the closed code when it is one of a verdict.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Repository(error) => error.code(),
            Self::Root { code, .. } => Some(code.as_str()),
            Self::Tag { .. }
            | Self::NoPolicy { .. }
            | Self::Policy { .. }
            | Self::NotBrought(_)
            | Self::Ambiguous { .. } => Some(Code::PolicyUnreadable.as_str()),
        }
    }
}
