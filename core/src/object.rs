//! Git objects as raw bytes: what is signed, the signature, and what the signed part says.
//!
//! Nothing is re-serialised. The payload is what git hands to a verifying program, byte for byte;
//! where git would put bytes together that were apart, or leave some unread, we refuse.

mod commit;
mod error;
mod headers;
mod ident;
mod merge_tags;
mod payload;
mod push_certificate;
mod split;
mod tag;

pub use commit::{CommitFields, parse_commit};
pub use error::ObjectError;
pub use ident::Ident;
pub use merge_tags::{MERGE_TAGS_MAX, merge_tags};
pub use payload::{Payload, classify};
pub use push_certificate::{PushCertificateFields, RefUpdate, parse_push_certificate};
pub use split::{
    SIGNATURE_MAX, SplitObject, split, split_commit, split_push_certificate, split_tag,
};
pub use tag::{TagFields, TargetKind, parse_tag};

/// A kind of git object that carries a signature.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ObjectKind {
    /// A commit; its signature is a header.
    Commit,
    /// An annotated tag; its signature follows the message.
    Tag,
}

impl ObjectKind {
    /// Returns git's name of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tag => "tag",
        }
    }
}

/// The hash that names the objects of a repository.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HashKind {
    /// SHA-1, 40 hex digits.
    Sha1,
    /// SHA-256, 64 hex digits.
    Sha256,
}

impl HashKind {
    /// Returns the name of the header that holds the signature over the form of an object that
    /// uses this hash.
    pub const fn signature_header(self) -> &'static str {
        match self {
            Self::Sha1 => "gpgsig",
            Self::Sha256 => "gpgsig-sha256",
        }
    }

    /// Tells the hash from a lower-case hex object id; `None` when it is not one.
    pub fn of_object_id(id: &[u8]) -> Option<Self> {
        if !id
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return None;
        }
        match id.len() {
            40 => Some(Self::Sha1),
            64 => Some(Self::Sha256),
            _ => None,
        }
    }
}
