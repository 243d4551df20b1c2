//! The certificate of a signed push, as git hands it to hooks.

use std::env;

use notme_core::object::{ObjectError, SplitObject, split_push_certificate};

use crate::{failure::Failure, git};

/// The certificate of the push that is being received.
pub(super) struct PushCertificate {
    raw: Vec<u8>,
    nonce: String,
}

impl PushCertificate {
    /// Reads it; `None` when the push is not signed.
    pub(super) fn of_this_push() -> Result<Option<Self>, Failure> {
        let id = env::var("GIT_PUSH_CERT").ok();
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            raw: git::blob(&id)?,
            nonce: env::var("GIT_PUSH_CERT_NONCE_STATUS").unwrap_or_default(),
        }))
    }

    /// Returns git's word for what the nonce is.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Tells whether it was made for this push: its nonce is ours, and not too old.
    pub(super) fn has_our_nonce(&self) -> bool {
        matches!(self.nonce(), "OK" | "SLOP")
    }

    /// Returns what was signed, and the signature.
    pub(super) fn split(&self) -> Result<SplitObject<'_>, ObjectError> {
        split_push_certificate(&self.raw)
    }
}
