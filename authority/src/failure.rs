//! Why a request was not answered with success.

use notme_core::identity::IdentityError;

use crate::{
    authority::{CertifyError, OpenError},
    denial::Denial,
    refusal::Refusal,
    seal::SealError,
    store::StoreError,
};

/// Either the caller's fault or ours.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The caller's: told in full.
    Refused(Refusal),
    /// The caller's, on one of notme's routes.
    Denied(Denial),
    /// Ours or another's, and it may be over soon: told to the log.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// The store cannot be used now: told to the log, and to the caller to try again.
    StoreUnavailable(Box<dyn std::error::Error + Send + Sync>),
    /// Ours: told to the log, and to the caller only that it happened.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

macro_rules! internal {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Internal(Box::new(error))
            }
        })+
    };
}

internal!(IdentityError, SealError, serde_json::Error);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::StoreUnavailable(Box::new(error)),
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl From<CertifyError> for Failure {
    fn from(error: CertifyError) -> Self {
        match error {
            CertifyError::Store(error) => error.into(),
            _ => Self::Internal(Box::new(error)),
        }
    }
}
