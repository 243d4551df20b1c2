//! What a commit says.

use super::{
    HashKind, Ident, ObjectError,
    headers::{Header, Headers},
};
use crate::time::UnixTime;

/// The fields of a commit's payload. They are claims of whoever made it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitFields<'a> {
    hash: HashKind,
    tree: &'a str,
    parents: Vec<&'a str>,
    author: Ident<'a>,
    committer: Ident<'a>,
    committed_at: UnixTime,
    encoding: Option<&'a [u8]>,
    message: &'a [u8],
}

impl<'a> CommitFields<'a> {
    /// Returns the hash of the object ids.
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// Returns the tree's id, lower-case hex.
    pub fn tree(&self) -> &'a str {
        self.tree
    }

    /// Returns the parents' ids, lower-case hex, in order.
    pub fn parents(&self) -> &[&'a str] {
        &self.parents
    }

    /// Returns the author.
    pub fn author(&self) -> Ident<'a> {
        self.author
    }

    /// Returns the committer.
    pub fn committer(&self) -> Ident<'a> {
        self.committer
    }

    /// Returns the committer's date.
    pub fn committer_time(&self) -> UnixTime {
        self.committed_at
    }

    /// Returns the declared encoding of the message.
    pub fn encoding(&self) -> Option<&'a [u8]> {
        self.encoding
    }

    /// Returns the message, in whatever encoding.
    pub fn message(&self) -> &'a [u8] {
        self.message
    }
}

/// Parses the payload of a commit.
///
/// Order and number of `tree`, `parent`, `author` and `committer` are those git writes, so that
/// no other reader can find another parent or another date in the same bytes. Other headers may
/// follow, whatever they are. As in git, a committer line without a readable date makes the
/// commit unverifiable; an author line only loses its date.
///
/// # Errors
/// [`ObjectError`] when a header is missing, repeated, out of place or unreadable, or when a
/// `gpgsig…` header is still there.
pub fn parse_commit(payload: &[u8]) -> Result<CommitFields<'_>, ObjectError> {
    let mut headers = Headers::new(payload);
    let (hash, tree) = object_id("tree", headers.next()?)?;
    let mut parents = Vec::new();
    let mut next = headers.next()?;
    while next.is_some_and(|header| header.is("parent")) {
        let (parent_hash, parent) = object_id("parent", next)?;
        if parent_hash != hash {
            return Err(ObjectError::HeaderValue("parent"));
        }
        parents.push(parent);
        next = headers.next()?;
    }
    let author = ident("author", next)?;
    let committer = ident("committer", headers.next()?)?;
    let committed_at = committer
        .time()
        .ok_or(ObjectError::HeaderValue("committer"))?;
    let mut encoding = None;
    while let Some(header) = headers.next()? {
        if header.is_signature() {
            return Err(ObjectError::SignatureInPayload);
        }
        refuse_repeated(&header, &["tree", "parent", "author", "committer"])?;
        if header.is("encoding") && encoding.replace(header.value).is_some() {
            return Err(ObjectError::RepeatedHeader("encoding"));
        }
    }
    let message = headers.finish()?;
    Ok(CommitFields {
        hash,
        tree,
        parents,
        author,
        committer,
        committed_at,
        encoding,
        message,
    })
}

/// Reads a header that must be `name` and hold nothing but an object id.
pub(super) fn object_id<'a>(
    name: &'static str,
    header: Option<Header<'a>>,
) -> Result<(HashKind, &'a str), ObjectError> {
    let value = line(name, header)?;
    let hash = HashKind::of_object_id(value).ok_or(ObjectError::HeaderValue(name))?;
    let id = std::str::from_utf8(value).map_err(|_| ObjectError::HeaderValue(name))?;
    Ok((hash, id))
}

/// Reads a header that must be `name` and hold a person.
pub(super) fn ident<'a>(
    name: &'static str,
    header: Option<Header<'a>>,
) -> Result<Ident<'a>, ObjectError> {
    Ident::parse(line(name, header)?).ok_or(ObjectError::HeaderValue(name))
}

/// Reads a header that must be `name` and one line.
pub(super) fn line<'a>(
    name: &'static str,
    header: Option<Header<'a>>,
) -> Result<&'a [u8], ObjectError> {
    let header = header
        .filter(|header| header.is(name))
        .ok_or(ObjectError::MissingHeader(name))?;
    if header.value.contains(&b'\n') {
        return Err(ObjectError::HeaderValue(name));
    }
    Ok(header.value)
}

pub(super) fn refuse_repeated(
    header: &Header<'_>,
    names: &[&'static str],
) -> Result<(), ObjectError> {
    match names.iter().find(|name| header.name == name.as_bytes()) {
        Some(name) => Err(ObjectError::RepeatedHeader(name)),
        None => Ok(()),
    }
}
