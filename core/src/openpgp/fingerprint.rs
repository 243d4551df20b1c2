//! The names of OpenPGP keys.

use std::fmt;

use crate::hex;

/// The fingerprint of a key: 20 bytes of SHA-1 for version 4, 32 of SHA-256 for version 6.
///
/// It finds a key in a store that is trusted already. Of a version 4 key it proves nothing by
/// itself: SHA-1 has collisions.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint(Box<[u8]>);

impl Fingerprint {
    /// Reads hexadecimal digits of either case, 40 or 64 of them.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = hex::decode(&text.to_ascii_lowercase())?;
        matches!(bytes.len(), V4_BYTES | V6_BYTES).then(|| Self(bytes.into()))
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the long key id: the end of a version 4 fingerprint, the beginning of one of
    /// version 6.
    pub fn long_id(&self) -> LongKeyId {
        let eight = match self.0.len() {
            V4_BYTES => self.0.last_chunk(),
            _ => self.0.first_chunk(),
        };
        LongKeyId(eight.copied().unwrap_or_default())
    }

    pub(super) fn of(fingerprint: &pgp::types::Fingerprint) -> Self {
        Self(fingerprint.as_bytes().into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0).to_ascii_uppercase())
    }
}

/// The id by which OpenPGP signatures of old name their keys: 64 bits, easily collided with.
/// It finds candidates and confirms nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LongKeyId([u8; 8]);

impl LongKeyId {
    pub(super) fn of(id: &pgp::types::KeyId) -> Self {
        Self(id.as_ref().try_into().unwrap_or_default())
    }

    pub(super) fn to_pgp(self) -> pgp::types::KeyId {
        pgp::types::KeyId::new(self.0)
    }
}

impl fmt::Display for LongKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0).to_ascii_uppercase())
    }
}

const V4_BYTES: usize = 20;
const V6_BYTES: usize = 32;
