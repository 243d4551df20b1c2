//! Payload and signature of a signed object.

use std::borrow::Cow;

use super::{
    HashKind, ObjectError, ObjectKind,
    headers::{Header, Headers},
};
use crate::{
    armor::{self, SignatureFormat},
    lines::Lines,
};

/// The longest signature, as it stands in the object.
pub const SIGNATURE_MAX: usize = armor::ARMOR_MAX;

/// An object in two parts: what is signed, and the signature.
#[derive(Clone, Debug)]
pub struct SplitObject<'a> {
    payload: Cow<'a, [u8]>,
    signature: Option<Cow<'a, [u8]>>,
    extra_headers: Vec<&'a [u8]>,
}

impl SplitObject<'_> {
    /// Returns what is signed: the bytes that git gives to a verifying program.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the signature's armor; `None` when the object is unsigned.
    pub fn signature(&self) -> Option<&[u8]> {
        self.signature.as_deref()
    }

    /// Returns the names of the other `gpgsig…` headers that were cut out of the payload, in
    /// order. Anyone can add and remove them; they prove nothing.
    pub fn extra_headers(&self) -> &[&[u8]] {
        &self.extra_headers
    }
}

/// Splits an object of a kind known from the repository.
///
/// # Errors
/// As [`split_commit`] and [`split_tag`].
pub fn split(kind: ObjectKind, raw: &[u8], hash: HashKind) -> Result<SplitObject<'_>, ObjectError> {
    match kind {
        ObjectKind::Commit => split_commit(raw, hash),
        ObjectKind::Tag => split_tag(raw, hash),
    }
}

/// Splits a raw commit.
///
/// The payload is the commit without every header whose name starts with `gpgsig`; the signature
/// is the one that `hash` names.
///
/// # Errors
/// [`ObjectError::Ambiguous`] when that header is there twice or goes on after the armor's end,
/// [`ObjectError::SignatureOutOfPlace`] when a `gpgsig…` header stands before a line that names
/// the tree, a parent, the author or the committer, [`ObjectError::SignatureTooLarge`], [`ObjectError::NulInHeader`] and
/// [`ObjectError::MalformedHeader`].
pub fn split_commit(raw: &[u8], hash: HashKind) -> Result<SplitObject<'_>, ObjectError> {
    let mut signature: Option<Header<'_>> = None;
    let mut cut = Cut::new(raw);
    let mut extra_headers = Vec::new();
    let mut headers = Headers::new(raw);
    let mut seen_signature = false;
    while let Some(header) = headers.next()? {
        if !header.is_signature() {
            refuse_after_signature(&header, seen_signature, COMMIT_LINES)?;
            continue;
        }
        seen_signature = true;
        cut.remove(&header);
        if !header.is(hash.signature_header()) {
            extra_headers.push(header.name);
        } else if signature.replace(header).is_some() {
            // git joins them and reads the first; another reader might read the second.
            return Err(ObjectError::Ambiguous);
        }
    }
    headers.finish()?;
    let signature = match signature {
        Some(header) if header.raw.len() > SIGNATURE_MAX => {
            return Err(ObjectError::SignatureTooLarge);
        }
        Some(header) => Some(one_armor(Cow::Owned(header.unfolded()))?),
        None => None,
    };
    Ok(SplitObject {
        payload: cut.finish(),
        signature,
        extra_headers,
    })
}

/// Splits a raw annotated tag.
///
/// The signature is what follows the last line that starts as an armor; the payload is what
/// precedes it, without the `gpgsig` or `gpgsig-sha256` header that holds the signature over the
/// same tag in the other hash.
///
/// # Errors
/// [`ObjectError::Ambiguous`] when bytes follow the armor's end, when there is a signature header
/// in the repository's own hash, or more than one header that starts with `gpgsig`, which git
/// does not take out consistently; [`ObjectError::SignatureOutOfPlace`] when such a header stands
/// before a line that names the target, its type, the tag or the tagger; otherwise as
/// [`split_commit`].
pub fn split_tag(raw: &[u8], hash: HashKind) -> Result<SplitObject<'_>, ObjectError> {
    let (signed, signature) = split_last_armor(raw)?;
    if signature.is_none() {
        // git looks no further either.
        return Ok(SplitObject {
            payload: Cow::Borrowed(raw),
            signature: None,
            extra_headers: Vec::new(),
        });
    }
    let mut signature_headers = 0;
    let mut cut = Cut::new(signed);
    let mut extra_headers = Vec::new();
    let mut headers = Headers::new(signed);
    while let Some(header) = headers.next()? {
        if !header.is_signature() {
            refuse_after_signature(&header, signature_headers > 0, TAG_LINES)?;
            continue;
        }
        signature_headers += 1;
        if header.is(hash.signature_header()) {
            return Err(ObjectError::Ambiguous);
        }
        // Unlike in a commit, git leaves `gpgsig-anything` in the payload of a tag.
        if header.is(other(hash).signature_header()) {
            cut.remove(&header);
            extra_headers.push(header.name);
        }
    }
    headers.finish()?;
    if signature_headers > 1 && !extra_headers.is_empty() {
        return Err(ObjectError::Ambiguous);
    }
    Ok(SplitObject {
        payload: cut.finish(),
        signature,
        extra_headers,
    })
}

/// Splits a signed push certificate: like a tag, without headers to take out.
///
/// # Errors
/// [`ObjectError::Ambiguous`] when bytes follow the armor's end, and
/// [`ObjectError::SignatureTooLarge`].
pub fn split_push_certificate(raw: &[u8]) -> Result<SplitObject<'_>, ObjectError> {
    let (signed, signature) = split_last_armor(raw)?;
    Ok(SplitObject {
        payload: Cow::Borrowed(signed),
        signature,
        extra_headers: Vec::new(),
    })
}

/// The lines that git reads from the whole object, not from what is signed.
const COMMIT_LINES: &[&str] = &["tree", "parent", "author", "committer"];
const TAG_LINES: &[&str] = &["object", "type", "tag", "tagger"];

/// Refuses a header that must stand before every signature header and does not: once signature
/// headers are cut out, the signed part would have it where readers of the whole find it not.
fn refuse_after_signature(
    header: &Header<'_>,
    seen_signature: bool,
    lines: &[&'static str],
) -> Result<(), ObjectError> {
    let line = lines.iter().find(|line| header.name == line.as_bytes());
    match line {
        Some(line) if seen_signature => Err(ObjectError::SignatureOutOfPlace(line)),
        Some(_) | None => Ok(()),
    }
}

const fn other(hash: HashKind) -> HashKind {
    match hash {
        HashKind::Sha1 => HashKind::Sha256,
        HashKind::Sha256 => HashKind::Sha1,
    }
}

type Halves<'a> = (&'a [u8], Option<Cow<'a, [u8]>>);

/// Splits where the last armor begins (gpg-interface.c, `parse_signed_buffer`).
fn split_last_armor(raw: &[u8]) -> Result<Halves<'_>, ObjectError> {
    let mut armor = None;
    let mut lines = Lines::new(raw);
    loop {
        let rest = lines.rest();
        if SignatureFormat::detect(rest).is_some() {
            armor = Some(rest);
        }
        if lines.next().is_none() {
            break;
        }
    }
    let Some(armor) = armor else {
        return Ok((raw, None));
    };
    if armor.len() > SIGNATURE_MAX {
        return Err(ObjectError::SignatureTooLarge);
    }
    let signed = raw.strip_suffix(armor).unwrap_or(raw);
    Ok((signed, Some(one_armor(Cow::Borrowed(armor))?)))
}

fn one_armor(signature: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, ObjectError> {
    if armor::has_trailing_data(&signature) {
        return Err(ObjectError::Ambiguous);
    }
    Ok(signature)
}

/// The object less some of its headers; copied only if there is something to leave out.
struct Cut<'a> {
    object: &'a [u8],
    kept: Vec<u8>,
    /// Up to where the object is in `kept`, or left out.
    done: usize,
}

impl<'a> Cut<'a> {
    fn new(object: &'a [u8]) -> Self {
        Self {
            object,
            kept: Vec::new(),
            done: 0,
        }
    }

    fn remove(&mut self, header: &Header<'_>) {
        if self.done == 0 {
            self.kept
                .reserve_exact(self.object.len() - header.raw.len());
        }
        let before = self.object.get(self.done..header.start);
        self.kept.extend_from_slice(before.unwrap_or_default());
        self.done = header.start + header.raw.len();
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.done == 0 {
            return Cow::Borrowed(self.object);
        }
        let after = self.object.get(self.done..).unwrap_or_default();
        self.kept.extend_from_slice(after);
        Cow::Owned(self.kept)
    }
}
