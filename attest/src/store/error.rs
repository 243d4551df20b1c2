//! Why the store could not do it.

use std::path::PathBuf;

use notme_core::object;
use notme_verifier::repository::OBJECT_MAX;

pub(super) fn failed(
    doing: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Git {
        doing,
        source: Box::new(error),
    }
}

/// The store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// git's files could not be read or written.
    #[error("the attestations of the repository: could not {doing}")]
    Git {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A commit that is none.
    #[error("commit {0} is malformed")]
    Commit(String, #[source] object::ObjectError),
    /// A commit that nobody reads.
    #[error("commit {0} is longer than {OBJECT_MAX} bytes, or packed as a change of far more")]
    TooLarge(String),
    /// A commit whose bytes are another object's.
    #[error("commit {0} is not what its name says")]
    Misnamed(String),
    /// Somebody who adds to a chain, and does not end.
    #[error("`{}` is held: somebody adds to an activity, and has not come to an end", .0.display())]
    Busy(PathBuf),
    /// A ref that holds no statements.
    #[error(
        "`{0}` names no commit, so that nothing can be kept there: delete it, or give it another name"
    )]
    NoCommit(String),
    /// Refs that somebody holds.
    #[error(
        "{} is there: somebody moves the refs of the attestations, or was killed while doing so; when nobody does, delete it", quoted(.0)
    )]
    Locked(
        Vec<PathBuf>,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
    /// The program ends.
    #[error("nothing is written any more, as the program ends")]
    Stopped,
    /// A remote that has more than anybody could have stated.
    #[error("`{0}` of the remote has too many files; none of them was taken")]
    TooMany(String),
    /// The list of what was dropped.
    #[error("`{}` is no list of what was dropped", .0.display())]
    Dropped(PathBuf, #[source] serde_json::Error),
    /// A commit or tree that nobody reads.
    #[error(
        "object {0} of the attestations is malformed, names something twice, or takes too much room to unpack"
    )]
    Malformed(String),
    /// A place that somebody added to.
    #[error("somebody else added to it meanwhile, and nothing was written: try again")]
    Moved,
    /// A list of origins.
    #[error(
        "it lists where what the agent read came from (`contentOrigins`), which everybody who fetches could read: state its digest (`originsHash`) instead"
    )]
    Disclosed,
}

fn quoted(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| format!("`{}`", path.display()));
    paths.collect::<Vec<_>>().join(", ")
}
