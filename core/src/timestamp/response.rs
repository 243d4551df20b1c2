//! TimeStampResp: what a time-stamping authority answers.

use std::fmt;

use super::{TOKEN_MAX, TimeStampError};
use crate::{
    der_reader::{BIT_STRING, DerError, Element, INTEGER, Reader, SEQUENCE, UTF8_STRING},
    der_writer::{element, sequence, unsigned},
};

/// The longest answer we read: a token and what is around it.
pub const RESPONSE_MAX: usize = TOKEN_MAX + 1024;
/// PKIStatus: here is the token.
const GRANTED: u8 = 0;
/// PKIStatus: here is a token, not quite the one that was asked for.
const GRANTED_WITH_MODS: u64 = 1;
/// PKIStatus: no.
const REJECTION: u8 = 2;
/// How much of the other side's words is kept.
const TEXT_MAX: usize = 300;

/// PKIFailureInfo (RFC 3161 section 2.4.2): why there is no token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RejectionReason {
    /// The digest's algorithm is not accepted.
    BadAlg,
    /// Not a request that is answered.
    BadRequest,
    /// Not in the format of a request.
    BadDataFormat,
    /// The time is not known.
    TimeNotAvailable,
    /// Another policy than ours is asked for.
    UnacceptedPolicy,
    /// An extension is asked for.
    UnacceptedExtension,
    /// More is asked for than there is.
    AddInfoNotAvailable,
    /// Something failed.
    SystemFailure,
}

impl RejectionReason {
    const ALL: [Self; 8] = [
        Self::BadAlg,
        Self::BadRequest,
        Self::BadDataFormat,
        Self::TimeNotAvailable,
        Self::UnacceptedPolicy,
        Self::UnacceptedExtension,
        Self::AddInfoNotAvailable,
        Self::SystemFailure,
    ];

    /// Returns its bit, counted from the first.
    const fn bit(self) -> u8 {
        match self {
            Self::BadAlg => 0,
            Self::BadRequest => 2,
            Self::BadDataFormat => 5,
            Self::TimeNotAvailable => 14,
            Self::UnacceptedPolicy => 15,
            Self::UnacceptedExtension => 16,
            Self::AddInfoNotAvailable => 17,
            Self::SystemFailure => 25,
        }
    }

    /// Returns the name that RFC 3161 gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadAlg => "badAlg",
            Self::BadRequest => "badRequest",
            Self::BadDataFormat => "badDataFormat",
            Self::TimeNotAvailable => "timeNotAvailable",
            Self::UnacceptedPolicy => "unacceptedPolicy",
            Self::UnacceptedExtension => "unacceptedExtension",
            Self::AddInfoNotAvailable => "addInfoNotAvailable",
            Self::SystemFailure => "systemFailure",
        }
    }
}

impl fmt::Display for RejectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The time-stamping authority gave no token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the time-stamping authority said no{}{}",
    reason.map_or_else(String::new, |reason| format!(": {reason}")),
    if text.is_empty() { String::new() } else { format!(" ({text})") }
)]
pub struct RefusedReply {
    /// Its reason, when it gives one that we know.
    pub reason: Option<RejectionReason>,
    /// Its words, without control characters.
    pub text: String,
}

/// Returns the token of an answer of at most [`RESPONSE_MAX`] bytes; it is for
/// [`TimeStampToken`](super::TimeStampToken) to read.
///
/// # Errors
/// [`TimeStampError`]: malformed, or [`TimeStampError::Refused`].
pub(super) fn token_of(der: &[u8]) -> Result<&[u8], TimeStampError> {
    if der.len() > RESPONSE_MAX {
        return Err(TimeStampError::TooLong);
    }
    let mut fields = Reader::only(der, SEQUENCE)?.reader();
    let mut status_info = fields.expect(SEQUENCE)?.reader();
    let token = fields.optional(SEQUENCE)?;
    fields.finish()?;

    let status = status_info.expect(INTEGER)?.unsigned()?;
    let text = status_info.optional(SEQUENCE)?.map(text).transpose()?;
    let reason = status_info.optional(BIT_STRING)?.map(reason).transpose()?;
    status_info.finish()?;
    match (status, token) {
        (0 | GRANTED_WITH_MODS, Some(token)) => Ok(token.raw),
        (0 | GRANTED_WITH_MODS, None) | (_, Some(_)) => Err(DerError.into()),
        (_, None) => Err(RefusedReply {
            reason: reason.flatten(),
            text: text.unwrap_or_default(),
        }
        .into()),
    }
}

/// Returns the token of an answer that carries one, unread; `None` for all other bytes.
pub fn granted_token(der: &[u8]) -> Option<&[u8]> {
    token_of(der).ok()
}

/// Writes the answer that carries a token.
pub fn reply_granted(token: &[u8]) -> Vec<u8> {
    sequence(&[&sequence(&[&unsigned(&[GRANTED])]), token])
}

/// Writes the answer that says why there is no token.
pub fn reply_rejected(reason: RejectionReason, text: &str) -> Vec<u8> {
    let bit = reason.bit();
    let mut bits = vec![0; usize::from(bit / 8) + 1];
    if let Some(last) = bits.last_mut() {
        *last = 0x80 >> (bit % 8);
    }
    // DER: a BIT STRING with named bits ends with its last bit that is set.
    let failure = element(BIT_STRING, &[&[7 - bit % 8], &bits]);
    let text = sequence(&[&element(UTF8_STRING, &[text.as_bytes()])]);
    sequence(&[&sequence(&[&unsigned(&[REJECTION]), &text, &failure])])
}

/// Joins the parts of a PKIFreeText.
fn text(parts: Element<'_>) -> Result<String, DerError> {
    let mut parts = parts.reader();
    let mut text = String::new();
    while !parts.is_empty() {
        let part = parts.any()?.utf8()?;
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend(part.chars().filter(|c| !c.is_control()));
    }
    Ok(text.chars().take(TEXT_MAX).collect())
}

/// Returns the first reason that we know.
fn reason(bits: Element<'_>) -> Result<Option<RejectionReason>, DerError> {
    let (&unused, bytes) = bits.value.split_first().ok_or(DerError)?;
    if unused > 7 {
        return Err(DerError);
    }
    let is_set = |bit: u8| {
        let byte = bytes.get(usize::from(bit / 8)).copied().unwrap_or(0);
        byte & (0x80 >> (bit % 8)) != 0
    };
    let mut all = RejectionReason::ALL.into_iter();
    Ok(all.find(|reason| is_set(reason.bit())))
}
