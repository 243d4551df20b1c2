//! What an annotated tag says.

use super::{
    HashKind, Ident, ObjectError,
    commit::{ident, line, object_id, refuse_repeated},
    headers::Headers,
};

/// What a tag points at.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TargetKind {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A file.
    Blob,
    /// Another tag.
    Tag,
}

impl TargetKind {
    /// Returns git's name of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

/// The fields of a tag's payload. They are claims of whoever made it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TagFields<'a> {
    hash: HashKind,
    target: &'a str,
    target_kind: TargetKind,
    name: &'a [u8],
    tagger: Option<Ident<'a>>,
    message: &'a [u8],
}

impl<'a> TagFields<'a> {
    /// Returns the hash of the object ids.
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// Returns the id of the tagged object, lower-case hex.
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// Returns the kind of the tagged object.
    pub fn target_kind(&self) -> TargetKind {
        self.target_kind
    }

    /// Returns the name of the tag, which is not that of the ref unless someone compares them.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Returns the tagger; tags made before 2005 have none.
    pub fn tagger(&self) -> Option<Ident<'a>> {
        self.tagger
    }

    /// Returns the message, in whatever encoding.
    pub fn message(&self) -> &'a [u8] {
        self.message
    }
}

/// Parses the payload of an annotated tag.
///
/// # Errors
/// [`ObjectError`] when a header is missing, repeated, out of place or unreadable (a tagger
/// without a readable date is), or when a `gpgsig` or `gpgsig-sha256` header is still there.
pub fn parse_tag(payload: &[u8]) -> Result<TagFields<'_>, ObjectError> {
    let mut headers = Headers::new(payload);
    let (hash, target) = object_id("object", headers.next()?)?;
    let target_kind = match line("type", headers.next()?)? {
        b"commit" => TargetKind::Commit,
        b"tree" => TargetKind::Tree,
        b"blob" => TargetKind::Blob,
        b"tag" => TargetKind::Tag,
        _ => return Err(ObjectError::HeaderValue("type")),
    };
    let name = line("tag", headers.next()?)?;
    if name.is_empty() {
        return Err(ObjectError::HeaderValue("tag"));
    }
    let mut tagger = None;
    let mut next = headers.next()?;
    if next.is_some_and(|header| header.is("tagger")) {
        let ident = ident("tagger", next)?;
        if ident.time().is_none() {
            return Err(ObjectError::HeaderValue("tagger"));
        }
        tagger = Some(ident);
        next = headers.next()?;
    }
    while let Some(header) = next {
        if header.is(HashKind::Sha1.signature_header())
            || header.is(HashKind::Sha256.signature_header())
        {
            return Err(ObjectError::SignatureInPayload);
        }
        refuse_repeated(&header, &["object", "type", "tag", "tagger"])?;
        next = headers.next()?;
    }
    let message = headers.finish()?;
    Ok(TagFields {
        hash,
        target,
        target_kind,
        name,
        tagger,
        message,
    })
}
