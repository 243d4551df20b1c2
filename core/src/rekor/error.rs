//! Why a log's answer is not one, or shows nothing.

/// A log's answer cannot be read, or does not hold.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LogEntryError {
    /// Longer than [`LOG_ENTRY_MAX`](super::LOG_ENTRY_MAX).
    #[error("the log entry is longer than {} bytes", super::LOG_ENTRY_MAX)]
    TooLong,
    /// Not the protocol buffer that it should be.
    #[error("the log entry is malformed")]
    Malformed,
    /// Of a kind or a version that is not read.
    #[error("the log entry is of another kind than hashedrekord 0.0.1")]
    UnsupportedKind,
    /// It names another log.
    #[error("the log entry is of another log")]
    OtherLog,
    /// It is about another signature.
    #[error("the log entry is about another signature")]
    OtherEntry,
    /// It holds neither a promise nor a proof.
    #[error("the log entry holds neither a promise nor a proof")]
    Empty,
    /// The log did not sign the promise.
    #[error("the promise of the log entry is not signed by the log")]
    Promise,
    /// The entry is not in the tree that the proof speaks of.
    #[error("the inclusion proof of the log entry does not lead to its root")]
    Inclusion,
    /// The checkpoint cannot be read, or is of another tree than the proof.
    #[error("the checkpoint of the log entry is malformed or of another tree")]
    Checkpoint,
    /// The log did not sign the checkpoint.
    #[error("the checkpoint of the log entry is not signed by the log")]
    CheckpointSignature,
}

impl LogEntryError {
    /// Tells whether it may be a good one that only cannot be read here.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::UnsupportedKind)
    }
}
