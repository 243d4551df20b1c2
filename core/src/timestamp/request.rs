//! TimeStampReq: what is asked of a time-stamping authority.

use der::oid::ObjectIdentifier;

use super::{
    MessageImprint, RejectionReason, TimeStampError,
    info::{NONCE_MAX, integer},
};
use crate::{
    cms::CmsError,
    der_reader::{BOOLEAN, DerError, INTEGER, OBJECT_IDENTIFIER, Reader, SEQUENCE, context},
    der_writer::{element, oid, sequence, unsigned},
};

/// The longest request we read, in bytes.
pub const REQUEST_MAX: usize = 4096;

/// A request for a time stamp.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TimeStampRequest {
    imprint: MessageImprint,
    policy: Option<ObjectIdentifier>,
    /// The contents of its INTEGER.
    nonce: Option<Vec<u8>>,
    wants_certificate: bool,
}

impl TimeStampRequest {
    /// Asks for a time stamp that carries its authority's certificate, under whatever policy, and
    /// that repeats the nonce.
    pub fn new(imprint: MessageImprint, nonce: &[u8; 16]) -> Self {
        let nonce = unsigned(nonce);
        Self {
            imprint,
            policy: None,
            nonce: Reader::only(&nonce, INTEGER)
                .ok()
                .map(|it| it.value.to_vec()),
            wants_certificate: true,
        }
    }

    /// Reads a request of at most [`REQUEST_MAX`] bytes.
    ///
    /// # Errors
    /// [`RequestError`], which says what to answer.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > REQUEST_MAX {
            return Err(RequestError::TooLong);
        }
        let mut fields = Reader::only(der, SEQUENCE)?.reader();
        if fields.expect(INTEGER)?.unsigned()? != 1 {
            return Err(RequestError::Version);
        }
        let imprint = MessageImprint::read(fields.expect(SEQUENCE)?)?;
        let policy = fields.optional(OBJECT_IDENTIFIER)?;
        let nonce = fields.optional(INTEGER)?;
        let wants_certificate = match fields.optional(BOOLEAN)? {
            // DER: a value that equals its DEFAULT is absent.
            Some(flag) if !flag.boolean()? => return Err(DerError.into()),
            flag => flag.is_some(),
        };
        if fields.optional(context(0))?.is_some() {
            return Err(RequestError::Extension);
        }
        fields.finish()?;
        let nonce = nonce
            .map(|nonce| integer(nonce, NONCE_MAX).map(<[u8]>::to_vec))
            .transpose()?;
        let policy = policy.map(|policy| match policy.oid() {
            Ok(known) => Ok(known),
            Err(_) if policy.is_oid() => Err(RequestError::Policy),
            Err(error) => Err(error.into()),
        });
        Ok(Self {
            imprint,
            policy: policy.transpose()?,
            nonce,
            wants_certificate,
        })
    }

    /// Returns the request as it is sent.
    pub fn to_der(&self) -> Vec<u8> {
        let certificate: &[u8] = if self.wants_certificate {
            &[BOOLEAN, 1, 0xff]
        } else {
            &[]
        };
        sequence(&[
            &unsigned(&[1]),
            self.imprint.der(),
            &self.policy.map(oid).unwrap_or_default(),
            &self.nonce_der(),
            certificate,
        ])
    }

    /// Returns what is to be stamped.
    pub fn imprint(&self) -> &MessageImprint {
        &self.imprint
    }

    /// Returns the policy that the time stamp has to be under.
    pub fn policy(&self) -> Option<ObjectIdentifier> {
        self.policy
    }

    /// Tells whether the time stamp is to carry its authority's certificate.
    pub fn wants_certificate(&self) -> bool {
        self.wants_certificate
    }

    pub(super) fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// Returns the nonce's INTEGER, or nothing.
    pub(super) fn nonce_der(&self) -> Vec<u8> {
        let nonce = self.nonce.as_ref();
        nonce.map_or_else(Vec::new, |nonce| element(INTEGER, &[nonce]))
    }
}

/// Bytes that are not a request we answer with a time stamp.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// Longer than [`REQUEST_MAX`].
    #[error("the request is longer than {REQUEST_MAX} bytes")]
    TooLong,
    /// Not strict DER of a TimeStampReq.
    #[error("the request is malformed")]
    Encoding(#[from] DerError),
    /// Not version 1.
    #[error("the request is not of version 1")]
    Version,
    /// Not SHA-256, SHA-384 or SHA-512.
    #[error("only SHA-256, SHA-384 and SHA-512 digests are stamped")]
    Algorithm,
    /// The digest has another length than its algorithm.
    #[error("the digest has another length than its algorithm")]
    ImprintLength,
    /// A policy whose name is shorter or longer than those that we read.
    #[error("time stamps are not made under the policy")]
    Policy,
    /// An extension; we know none.
    #[error("extensions are not supported")]
    Extension,
}

impl From<TimeStampError> for RequestError {
    fn from(error: TimeStampError) -> Self {
        match error {
            TimeStampError::ImprintLength => Self::ImprintLength,
            TimeStampError::Cms(CmsError::AlgorithmUnsupported(_) | CmsError::AlgorithmWeak(_)) => {
                Self::Algorithm
            }
            _ => Self::Encoding(DerError),
        }
    }
}

impl RequestError {
    /// Returns what a time-stamping authority answers.
    pub fn reason(self) -> RejectionReason {
        match self {
            Self::Algorithm => RejectionReason::BadAlg,
            Self::Version => RejectionReason::BadRequest,
            Self::TooLong | Self::Encoding(_) | Self::ImprintLength => {
                RejectionReason::BadDataFormat
            }
            Self::Policy => RejectionReason::UnacceptedPolicy,
            Self::Extension => RejectionReason::UnacceptedExtension,
        }
    }
}
