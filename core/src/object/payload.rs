//! What a git signer may be asked to sign.

use super::{
    CommitFields, ObjectError, PushCertificateFields, TagFields, parse_commit,
    parse_push_certificate, parse_tag,
};

/// The payload of one of the three things git signs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Payload<'a> {
    /// A commit.
    Commit(CommitFields<'a>),
    /// An annotated tag.
    Tag(TagFields<'a>),
    /// A push certificate.
    PushCertificate(PushCertificateFields<'a>),
}

/// Tells what a payload is, by its first word, and parses all of it. No bytes are two of the
/// three.
///
/// # Errors
/// [`ObjectError::UnknownPayload`] for anything else; [`ObjectError::UnfinishedLine`] for a tag
/// that git would store so that it passes for unsigned; otherwise as [`parse_commit`],
/// [`parse_tag`] and [`parse_push_certificate`].
pub fn classify(payload: &[u8]) -> Result<Payload<'_>, ObjectError> {
    if payload.starts_with(b"tree ") {
        return parse_commit(payload).map(Payload::Commit);
    }
    if payload.starts_with(b"object ") {
        let tag = parse_tag(payload)?;
        // git appends the armor as it is, and looks for it at the start of lines only.
        if !payload.ends_with(b"\n") {
            return Err(ObjectError::UnfinishedLine);
        }
        return Ok(Payload::Tag(tag));
    }
    if payload.starts_with(b"certificate ") {
        return parse_push_certificate(payload).map(Payload::PushCertificate);
    }
    Err(ObjectError::UnknownPayload)
}
