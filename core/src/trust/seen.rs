//! What somebody remembers of the documents of an authority, to see when it is shown others.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::VerifiedTrust;
use crate::hex;

/// The newest document that was seen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Its number.
    pub seqno: u64,
    /// SHA-256 of its payload.
    #[serde(serialize_with = "write_digest", deserialize_with = "read_digest")]
    pub payload_sha256: [u8; 32],
}

impl Seen {
    /// Checks that another may come after it: never a lower number, never another of the same.
    ///
    /// # Errors
    /// [`SuccessionError`].
    pub fn check_successor(&self, new: &Self) -> Result<(), SuccessionError> {
        if new.seqno < self.seqno {
            return Err(SuccessionError::Rollback {
                seen: self.seqno,
                found: new.seqno,
            });
        }
        if new.seqno == self.seqno && new.payload_sha256 != self.payload_sha256 {
            return Err(SuccessionError::Equivocation(self.seqno));
        }
        Ok(())
    }

    /// Checks that a document may come after it, and follows it if it is the very next.
    ///
    /// # Errors
    /// [`SuccessionError`].
    pub fn check_document(&self, new: &VerifiedTrust) -> Result<(), SuccessionError> {
        self.check_successor(&new.seen())?;
        // The next document names the one before: if it is not the one we saw, there were two.
        let is_next = self.seqno.checked_add(1) == Some(new.document().seqno);
        let digest = hex::encode(&self.payload_sha256);
        if is_next && new.document().previous.as_deref() != Some(digest.as_str()) {
            return Err(SuccessionError::Equivocation(self.seqno));
        }
        Ok(())
    }
}

/// A document does not come after the one that was seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SuccessionError {
    /// It is older.
    #[error("document {found} is older than document {seen}, which was seen already")]
    Rollback {
        /// The highest number seen.
        seen: u64,
        /// The number offered.
        found: u64,
    },
    /// Two documents have one number.
    #[error("there are two different documents {0}")]
    Equivocation(u64),
}

fn write_digest<S: Serializer>(digest: &[u8; 32], out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&hex::encode(digest))
}

fn read_digest<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(from)?;
    hex::decode_array(&text).ok_or_else(|| D::Error::custom("not a SHA-256 in hex"))
}
