//! Time stamps (RFC 3161, with the certificate ids of RFC 5816): who asks, who answers, and what
//! an answer shows.
//!
//! A token says that some bytes were there before a time. Whoever relies on one parses it, finds
//! the time-stamping authority whose it says it is among those that are trusted
//! ([`TimeStampToken::names`]), and verifies it with that certificate over the very bytes
//! ([`TimeStampToken::verify`]). For a signature these are the bytes of its value: in CMS that of
//! the SignerInfo, in a DSSE envelope the decoded `sig`.

mod error;
mod imprint;
mod info;
mod request;
mod response;
mod token;
mod write;

pub use error::TimeStampError;
pub use imprint::MessageImprint;
pub use request::{REQUEST_MAX, RequestError, TimeStampRequest};
pub use response::{
    RESPONSE_MAX, RefusedReply, RejectionReason, granted_token, reply_granted, reply_rejected,
};
pub use token::{Stamp, TOKEN_MAX, TimeStampToken};
pub use write::{TokenTemplate, build_token};
