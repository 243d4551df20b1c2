//! The key with which an authority certifies session keys.

use pgp::packet::{KeyFlags, SubpacketData};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    ArmorKind, Fingerprint, Key, KeyBlock, OpenPgpError, armor, foreign::packet_of,
    session_key::self_signed,
};
use crate::{key::Signer, time::UnixTime};

/// What [`build_authority_key`] makes a key of.
#[derive(Clone, Copy, Debug)]
pub struct AuthorityKeyTemplate<'a> {
    /// The user id, for people: `notme authority <https://…>`.
    pub user_id: &'a str,
    /// When the key was made.
    pub created: UnixTime,
}

/// Builds an authority's key: version 4, Ed25519, may certify and nothing else, does not expire.
/// Its end is the authority's to declare, in its trust document.
///
/// # Errors
/// [`OpenPgpError::NotEd25519`], [`OpenPgpError::Time`], [`OpenPgpError::Sign`].
pub fn build_authority_key(
    template: &AuthorityKeyTemplate<'_>,
    signer: &dyn Signer,
) -> Result<TrustedKey, OpenPgpError> {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    let packet = packet_of(signer.public_key(), template.created)?;
    let block = self_signed(
        &packet,
        template.user_id,
        vec![SubpacketData::KeyFlags(flags)],
        signer,
    )?;
    TrustedKey::from_block(block)
}

/// An authority's key as a trust document lists it: one key, that signed its own name and says of
/// itself that it may certify. That it is trusted is not said here, but by what lists it.
#[derive(Clone, Debug)]
pub struct TrustedKey {
    block: KeyBlock,
    bytes: Vec<u8>,
}

impl TrustedKey {
    /// Reads the armor of a key.
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn from_armor(text: &str) -> Result<Self, OpenPgpError> {
        Self::from_block(KeyBlock::from_armor(text)?)
    }

    fn from_block(block: KeyBlock) -> Result<Self, OpenPgpError> {
        let key = block.primary();
        let ([user_id], [], []) = (block.user_ids(), block.subkeys(), block.direct()) else {
            return Err(OpenPgpError::NotKey);
        };
        let [signature] = user_id.signatures() else {
            return Err(OpenPgpError::NotKey);
        };
        signature.verify_certification(key, key, user_id)?;
        if key.ed25519_bytes().is_none() || signature.allows_certifying() != Some(true) {
            return Err(OpenPgpError::NotKey);
        }
        Ok(Self {
            bytes: block.to_bytes()?,
            block,
        })
    }

    /// Returns the key.
    pub fn key(&self) -> &Key {
        self.block.primary()
    }

    /// Returns the fingerprint.
    pub fn fingerprint(&self) -> &Fingerprint {
        self.key().fingerprint()
    }

    /// Returns the user id; unescaped.
    pub fn user_id(&self) -> String {
        self.block
            .user_ids()
            .first()
            .map(super::UserId::text)
            .unwrap_or_default()
    }

    /// Returns the packets, as other programs import them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the armor.
    pub fn to_armor(&self) -> String {
        armor(ArmorKind::PublicKeys, &self.bytes)
    }
}

impl PartialEq for TrustedKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for TrustedKey {}

/// In JSON it is its armor.
impl Serialize for TrustedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_armor())
    }
}

impl<'de> Deserialize<'de> for TrustedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_armor(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
