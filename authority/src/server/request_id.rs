//! What a request is called, in the log, here and at the caller's.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderName, HeaderValue};
use notme_core::hex;

use crate::seal::{SealError, random};

/// Where a caller or a proxy says what it calls the request, and where the answer repeats it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives names that no other request has.
pub(crate) struct RequestIds {
    process: String,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Result<Self, SealError> {
        Ok(Self {
            process: hex::encode(&random::<8>()?),
            next: AtomicU64::new(1),
        })
    }

    /// Returns the name that the caller gave, when it is one to be written into a log, else one of
    /// ours.
    pub(crate) fn of(&self, given: Option<&HeaderValue>) -> HeaderValue {
        if let Some(given) = given.filter(|given| is_plain(given.as_bytes())) {
            return given.clone();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.process);
        // Hexadecimal digits and a hyphen are a header's value.
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

fn is_plain(id: &[u8]) -> bool {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
    (1..=LENGTH_MAX).contains(&id.len()) && id.iter().all(is_plain)
}

const LENGTH_MAX: usize = 64;
