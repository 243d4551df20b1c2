//! Why a request was not answered with success.

use std::error::Error;

use notme_core::{identity::IdentityError, key::SignError};

use crate::{
    authority::{CertifyError, OpenError},
    custody::Pkcs11Error,
    denial::Denial,
    refusal::Refusal,
    seal::SealError,
    store::StoreError,
    tsa::StampError,
};

/// Either the caller's fault or ours.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The caller's: told in full.
    Refused(Refusal),
    /// The caller's, on one of notme's routes.
    Denied(Denial),
    /// An issuer of tokens cannot be asked for its keys now: told to the log.
    IssuerUnavailable(Box<dyn Error + Send + Sync>),
    /// Our keys cannot be used now: told to the log, and to the caller to try again.
    KeysUnavailable(Box<dyn Error + Send + Sync>),
    /// The store cannot be used now: told to the log, and to the caller to try again.
    StoreUnavailable(Box<dyn Error + Send + Sync>),
    /// Ours: told to the log, and to the caller only that it happened.
    Internal(Box<dyn Error + Send + Sync>),
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
                Self::ours(error)
            }
        })+
    };
}

impl Failure {
    /// Returns our own fault: one that may be over soon when keys are in a token that is away.
    pub(crate) fn ours(error: impl Error + Send + Sync + 'static) -> Self {
        match is_of_token(&error) {
            true => Self::KeysUnavailable(Box::new(error)),
            false => Self::Internal(Box::new(error)),
        }
    }
}

/// Tells whether it failed for want of a token.
fn is_of_token(error: &(dyn Error + 'static)) -> bool {
    error.is::<Pkcs11Error>() || error.source().is_some_and(is_of_token)
}

internal!(IdentityError, SealError, SignError, serde_json::Error);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::StoreUnavailable(Box::new(error)),
            _ => Self::ours(error),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            error => Self::ours(error),
        }
    }
}

impl From<CertifyError> for Failure {
    fn from(error: CertifyError) -> Self {
        match error {
            CertifyError::Store(error) => error.into(),
            error => Self::ours(error),
        }
    }
}

impl From<StampError> for Failure {
    fn from(error: StampError) -> Self {
        match error {
            StampError::Keys(error) => error.into(),
            error => Self::ours(error),
        }
    }
}
