//! Answers from a file of allowed signers, and what was seen on its lines.

use notme_core::{
    ssh::{allowed_signers::LineError, certificate::Unauthorised},
    time::UnixTime,
};

/// An answer, and what people should be told about the lines on the way to it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Answer<T> {
    /// The answer.
    pub result: Result<T, Denied>,
    /// Number and remark, in the order of the lines.
    pub remarks: Vec<(usize, Remark)>,
}

/// Why the file lets nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denied {
    /// The key, or whoever certified it, is revoked.
    #[error("the key is revoked")]
    Revoked,
    /// No line fits.
    #[error("no line allows it")]
    NotListed,
    /// A line that might have fitted cannot be read.
    #[error("a line cannot be read")]
    Unreadable,
}

/// What was seen on a line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Remark {
    /// It cannot be read.
    #[error(transparent)]
    Broken(#[from] LineError),
    /// The key is listed as an authority, and the certificate does not fit.
    #[error("certificate not authorized: {0}")]
    Unauthorised(#[from] Unauthorised),
    /// None of the certificate's names is on the line, or it is not valid.
    #[error("no valid principals found")]
    NoPrincipals,
    /// The key is listed for other uses.
    #[error("key is not permitted for use in signature namespace \"{0}\"")]
    Namespace(String),
    /// The key is listed from a later time on.
    #[error("key is not yet valid: verify time {at} < valid-after {from}")]
    NotYetValid {
        /// The judged time.
        at: UnixTime,
        /// The first second.
        from: UnixTime,
    },
    /// The key was listed until an earlier time.
    #[error("key has expired: verify time {at} > valid-before {until}")]
    Expired {
        /// The judged time.
        at: UnixTime,
        /// The last second.
        until: UnixTime,
    },
}
