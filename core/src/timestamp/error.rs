//! Why bytes are not a time stamp that holds.

use der::oid::ObjectIdentifier;

use super::RefusedReply;
use crate::{
    cms::CmsError,
    der_reader::DerError,
    key::{SignError, SignatureError},
    time::UnixTime,
};

/// Bytes that are not a time stamp we accept.
#[derive(Debug, thiserror::Error)]
pub enum TimeStampError {
    /// Longer than [`TOKEN_MAX`](super::TOKEN_MAX), or a reply than its own limit.
    #[error("the time stamp is too long")]
    TooLong,
    /// Not strict DER.
    #[error("the time stamp is malformed")]
    Encoding(#[from] DerError),
    /// Not a signature of the form that a time stamp has.
    #[error("the time stamp is not a signature that can be read: {0}")]
    Cms(#[from] CmsError),
    /// Not version 1 of a TSTInfo in version 3 of SignedData.
    #[error("the version of the time stamp is not known")]
    Version,
    /// The digest in it is not of the length of its algorithm.
    #[error("the digest in the time stamp has another length than its algorithm")]
    ImprintLength,
    /// A critical extension that we do not know.
    #[error("the time stamp has the critical extension `{0}`, which is not known")]
    UnknownCritical(ObjectIdentifier),
    /// It does not say by which certificate it is, or not in a way that we read.
    #[error("the time stamp does not say by which certificate it is")]
    SigningCertificate,
    /// The certificate may not be used for time stamps, or may be used for other things.
    #[error("the certificate is not one for time stamps alone")]
    Certificate,
    /// It is by another certificate, or carries others and not that one.
    #[error("the time stamp is not by this certificate")]
    OtherSigner,
    /// Its content is not what was signed.
    #[error("the content of the time stamp was altered")]
    Content,
    /// It is of another kind than the key.
    #[error("the signature of the time stamp does not go with the authority's key")]
    KeyMismatch,
    /// The authority's key did not sign it.
    #[error("the time stamp is not signed by the authority's key")]
    SignatureMismatch(#[source] SignatureError),
    /// It is over other bytes.
    #[error("the time stamp is over other bytes")]
    OtherBytes,
    /// The certificate was not valid at the time in it.
    #[error("the time stamp is of {at}, when its authority's certificate was not valid")]
    Outside {
        /// The time in it.
        at: UnixTime,
    },
    /// The nonce is not the one that was asked with.
    #[error("the time stamp answers another request")]
    Nonce,
    /// The time-stamping authority said no.
    #[error(transparent)]
    Refused(#[from] RefusedReply),
    /// The time cannot be written.
    #[error("time `{0}` cannot be written into a time stamp")]
    Time(UnixTime),
    /// The authority's key could not be used.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl TimeStampError {
    /// Tells whether the time stamp may be a good one that only cannot be read here: it needs an
    /// algorithm that we do not have, or no longer accept.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            Self::Cms(CmsError::AlgorithmUnsupported(_) | CmsError::AlgorithmWeak(_))
        )
    }
}
