//! Why the stand-ins for gpg and gpgsm made no signature.

use std::{ffi::OsStr, io, path::PathBuf};

use notme_core::{
    certificate::CertificateError, cms::CmsError, frame::BODY_LIMIT, openpgp::OpenPgpError,
    timestamp::TimeStampError,
};

use crate::{client::ClientError, status_output::StatusOutputError};

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Status(#[from] StatusOutputError),
    #[error("no key to sign with is given")]
    NoKey,
    #[error("could not read the data to sign: {0}")]
    Input(#[source] io::Error),
    #[error("the data to sign is longer than {BODY_LIMIT} bytes")]
    TooLong,
    #[error(transparent)]
    Agent(#[from] ClientError),
    #[error("the key agent's answer is malformed")]
    Encoding,
    #[error("the key agent's certificate is malformed: {0}")]
    Certificate(#[from] CertificateError),
    #[error("the signature made does not carry its key")]
    KeyMissing,
    #[error("the signature made does not hold: {0}")]
    Cms(#[from] CmsError),
    #[error("the signature made does not hold: {0}")]
    OpenPgp(#[from] OpenPgpError),
    #[error("the key agent's time stamp cannot be used: {0}")]
    TimeStamp(#[from] TimeStampError),
    #[error("could not write the signature: {0}")]
    Output(#[source] io::Error),
    #[error("could not write `{}`: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Failure {
    /// Tells whether it is the key that was asked for which does not exist.
    pub(crate) fn is_about_key(&self) -> bool {
        match self {
            Self::NoKey => true,
            Self::Agent(error) => error.code() == "key-unknown",
            _ => false,
        }
    }

    /// Returns what to do about it, when that is known.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::NoKey => Some("`git config user.signingkey NAME` names the agent that signs"),
            Self::Agent(error) => error.hint(),
            _ => None,
        }
    }
}

/// Returns the name of the key to sign with.
pub(crate) fn wanted_key(key: Option<&OsStr>) -> Result<&str, Failure> {
    let key = key.and_then(OsStr::to_str).filter(|key| !key.is_empty());
    key.ok_or(Failure::NoKey)
}
