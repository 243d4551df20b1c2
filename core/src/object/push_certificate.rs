//! What a push certificate says.

use super::{HashKind, ObjectError, commit::line, headers::Headers, ident::date};
use crate::{lines::Lines, time::UnixTime};

/// One line of a push certificate: a ref is to move.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefUpdate<'a> {
    old: &'a str,
    new: &'a str,
    name: &'a [u8],
}

impl<'a> RefUpdate<'a> {
    /// Returns the id the ref had, lower-case hex; zeros when it is to be made.
    pub fn old(&self) -> &'a str {
        self.old
    }

    /// Returns the id the ref is to have, lower-case hex; zeros when it is to go.
    pub fn new_id(&self) -> &'a str {
        self.new
    }

    /// Returns the full name of the ref.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }
}

/// The fields of a push certificate. They are claims of whoever pushed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PushCertificateFields<'a> {
    pusher: &'a [u8],
    pushed_at: UnixTime,
    pushee: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    options: Vec<&'a [u8]>,
    updates: Vec<RefUpdate<'a>>,
}

impl<'a> PushCertificateFields<'a> {
    /// Returns the pusher: a key id, a fingerprint, or a person.
    pub fn pusher(&self) -> &'a [u8] {
        self.pusher
    }

    /// Returns the declared date.
    pub fn pushed_at(&self) -> UnixTime {
        self.pushed_at
    }

    /// Returns the address pushed to, without its credentials.
    pub fn pushee(&self) -> Option<&'a [u8]> {
        self.pushee
    }

    /// Returns the receiver's nonce; without one the certificate can be replayed.
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.nonce
    }

    /// Returns the push options.
    pub fn options(&self) -> &[&'a [u8]] {
        &self.options
    }

    /// Returns the ref updates, of which there is at least one.
    pub fn updates(&self) -> &[RefUpdate<'a>] {
        &self.updates
    }
}

/// Parses the payload of a push certificate, version 0.1.
///
/// # Errors
/// [`ObjectError`] when a line is missing, repeated, unknown or unreadable, or when no ref is to
/// move.
pub fn parse_push_certificate(payload: &[u8]) -> Result<PushCertificateFields<'_>, ObjectError> {
    let mut headers = Headers::new(payload);
    if line("certificate", headers.next()?)? != b"version 0.1" {
        return Err(ObjectError::HeaderValue("certificate"));
    }
    let (pusher, pushed_at) = pusher(line("pusher", headers.next()?)?)?;
    let (mut pushee, mut nonce, mut options) = (None, None, Vec::new());
    while let Some(header) = headers.next()? {
        match header.name {
            b"pushee" => once("pushee", &mut pushee, line("pushee", Some(header))?)?,
            b"nonce" => once("nonce", &mut nonce, line("nonce", Some(header))?)?,
            b"push-option" => options.push(line("push-option", Some(header))?),
            _ => return Err(ObjectError::MalformedHeader),
        }
    }
    let updates: Vec<_> = Lines::new(headers.finish()?)
        .map(ref_update)
        .collect::<Option<_>>()
        .ok_or(ObjectError::HeaderValue("ref update"))?;
    if updates.is_empty() {
        return Err(ObjectError::MissingHeader("ref update"));
    }
    Ok(PushCertificateFields {
        pusher,
        pushed_at,
        pushee,
        nonce,
        options,
        updates,
    })
}

/// Reads `pusher seconds zone`, from the end, since the pusher may be any text.
fn pusher(value: &[u8]) -> Result<(&[u8], UnixTime), ObjectError> {
    let space = |text: &[u8]| text.iter().rposition(|byte| *byte == b' ');
    space(value)
        .and_then(|at| space(value.get(..at)?))
        .and_then(|at| value.split_at_checked(at))
        .and_then(|(pusher, at)| Some((pusher, date(at)?.0)))
        .ok_or(ObjectError::HeaderValue("pusher"))
}

fn once<'a>(
    name: &'static str,
    field: &mut Option<&'a [u8]>,
    value: &'a [u8],
) -> Result<(), ObjectError> {
    match field.replace(value) {
        Some(_) => Err(ObjectError::RepeatedHeader(name)),
        None => Ok(()),
    }
}

fn ref_update(line: &[u8]) -> Option<RefUpdate<'_>> {
    let mut words = line.strip_suffix(b"\n")?.splitn(3, |byte| *byte == b' ');
    let (old, new, name) = (words.next()?, words.next()?, words.next()?);
    let hash = HashKind::of_object_id(old)?;
    if HashKind::of_object_id(new)? != hash || name.is_empty() {
        return None;
    }
    // git-check-ref-format: neither spaces nor control characters.
    if name.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return None;
    }
    Some(RefUpdate {
        old: std::str::from_utf8(old).ok()?,
        new: std::str::from_utf8(new).ok()?,
        name,
    })
}
