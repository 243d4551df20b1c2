//! Why a repository could not be asked.

use std::{io, path::PathBuf};

use gix::ObjectId;

use crate::verdict::Code;

/// The repository could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is no repository.
    #[error("there is no git repository at `{}`, nor above it", .0.display())]
    NotFound(PathBuf),
    /// There is a repository, and it cannot be opened.
    #[error("could not open the repository at `{}`", path.display())]
    Open {
        /// Where it was looked for.
        path: PathBuf,
        /// What gix says.
        source: Box<gix::Error>,
    },
    /// The directory that was named for the objects cannot be opened.
    #[error("could not open the objects at `{}`", path.display())]
    Objects {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The repository names its objects by a hash we do not know.
    #[error("the repository uses the hash `{0}`, which is not supported")]
    UnknownHash(String),
    /// The repository is marked as to be read in a way that we do not know.
    #[error("the repository has the extension `{}`, which is not supported", .0.escape_debug())]
    UnknownExtension(String),
    /// The repository keeps its references in another way than as files.
    #[error(
        "the repository keeps its references as `{}`, which is not supported; `git refs migrate --ref-format=files` converts them",
        .0.escape_debug()
    )]
    RefStorage(String),
    /// The object is longer than any that is read.
    #[error("object `{0}` is larger than any commit or tag that is read")]
    TooLarge(ObjectId),
    /// The text names no object.
    #[error("`{}` names no commit or tag here", revision.escape_debug())]
    Revision {
        /// The text.
        revision: String,
        /// What gix says beyond that.
        source: Option<Box<gix::Error>>,
    },
    /// A name in the text may be several things, among which git would guess.
    #[error(
        "`{}` may be `{}`; name one in full",
        name.escape_debug(),
        meanings.escape_debug()
    )]
    Ambiguous {
        /// The name.
        name: String,
        /// What it may be.
        meanings: String,
    },
    /// There is a branch, and nothing on it.
    #[error("there are no commits yet on branch `{}`", branch.escape_debug())]
    Unborn {
        /// The branch.
        branch: String,
    },
    /// The text excludes commits and includes none.
    #[error("`{}` selects nothing", .0.escape_debug())]
    Nothing(String),
    /// An object that is needed to know what to judge is not here.
    #[error("object `{0}` is missing or cannot be read")]
    Missing(ObjectId),
    /// The object store has other bytes under the object's name than it stands for.
    #[error("object `{0}` is not what its name stands for")]
    Damaged(ObjectId),
    /// The text leads beyond the end of a shallow clone.
    #[error(
        "`{}` lies before commit `{boundary}`, where the history of this shallow clone ends",
        revision.escape_debug()
    )]
    Boundary {
        /// The text.
        revision: String,
        /// The last commit that is here.
        boundary: ObjectId,
    },
    /// From here on nobody knows what two commits have in common.
    #[error("the history before commit `{0}` is not here or cannot be read")]
    Before(ObjectId),
    /// The object is a tree or a file, or a tag of one where a commit is needed.
    #[error("object `{0}` is not a commit")]
    NotSignable(ObjectId),
    /// Refs could not be read.
    #[error("could not read the refs")]
    References(#[source] gix::Error),
    /// The list of shallow commits could not be read.
    #[error("could not read where the shallow clone ends")]
    Shallow(#[source] gix::Error),
}

impl RepositoryError {
    /// Returns the closed code when it is one of a verdict: the object is not here, so nobody
    /// can look.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::TooLarge(_) => Some(Code::ObjectTooLarge.as_str()),
            Self::Damaged(_) => Some(Code::ObjectMalformed.as_str()),
            Self::Missing(_) | Self::Boundary { .. } | Self::Before(_) => {
                Some(Code::ObjectMissing.as_str())
            }
            Self::NotFound(_)
            | Self::Open { .. }
            | Self::Objects { .. }
            | Self::UnknownHash(_)
            | Self::UnknownExtension(_)
            | Self::RefStorage(_)
            | Self::Revision { .. }
            | Self::Ambiguous { .. }
            | Self::Unborn { .. }
            | Self::Nothing(_)
            | Self::NotSignable(_)
            | Self::References(_)
            | Self::Shallow(_) => None,
        }
    }

    /// Returns the closed code of a question wrongly put: another question has an answer. `None`
    /// when nobody could look, whatever the question.
    pub fn usage_code(&self) -> Option<&'static str> {
        match self {
            Self::Revision { .. } => Some("revision-unknown"),
            Self::Ambiguous { .. } => Some("revision-ambiguous"),
            Self::Unborn { .. } => Some("no-commits"),
            Self::Nothing(_) => Some("nothing-selected"),
            Self::NotSignable(_) => Some("not-a-commit"),
            Self::NotFound(_)
            | Self::Open { .. }
            | Self::Objects { .. }
            | Self::UnknownHash(_)
            | Self::UnknownExtension(_)
            | Self::RefStorage(_)
            | Self::Missing(_)
            | Self::TooLarge(_)
            | Self::Damaged(_)
            | Self::Boundary { .. }
            | Self::Before(_)
            | Self::References(_)
            | Self::Shallow(_) => None,
        }
    }
}
