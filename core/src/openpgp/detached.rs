//! Making a detached signature of a payload.

use pgp::{
    packet::{SignatureConfig, SignatureType, SubpacketData},
    types::KeyDetails as _,
};

use super::{
    CertifiedKey, OpenPgpError, Signature,
    certification::notation,
    foreign::{HASH, as_numbers},
    session_key::{creation, hashed},
    signature::{IDENTITY, KEY_BLOCK, PAYLOAD_SHA256, digest},
};
use crate::{
    hex,
    identity::Identity,
    key::{Signer, sha256},
    time::UnixTime,
};

/// A signature that lacks its signature: everything it says is fixed, and the digest of it all.
///
/// Whoever holds the key builds this from the payload itself and so knows what it signs.
#[derive(Clone, Debug)]
pub struct ToBeSigned {
    config: SignatureConfig,
    digest: Vec<u8>,
}

impl ToBeSigned {
    /// Prepares a signature of `payload` at `created`. Everything in it is signed: the time, the
    /// key's two names, the identity, the payload's SHA-256, and the key with the authority's
    /// certification, so that it can be verified from the signature alone.
    ///
    /// # Errors
    /// [`OpenPgpError::Time`], [`OpenPgpError::TooLong`].
    pub fn new(
        key: &CertifiedKey,
        identity: &Identity,
        payload: &[u8],
        created: UnixTime,
    ) -> Result<Self, OpenPgpError> {
        let block = [&[0], key.as_bytes()].concat();
        let mut config = SignatureConfig::v4(SignatureType::Binary, key.packet.algorithm(), HASH);
        config.hashed_subpackets = hashed(
            &key.packet,
            vec![
                creation(created)?,
                notation(IDENTITY, identity.as_str()),
                notation(PAYLOAD_SHA256, &hex::encode(&sha256(payload))),
                SubpacketData::Other(KEY_BLOCK, block.into()),
            ],
        )?;
        // Two bytes count the signed part, here and in what is hashed.
        let length: usize = config
            .hashed_subpackets
            .iter()
            .map(pgp::ser::Serialize::write_len)
            .sum();
        if length > usize::from(u16::MAX) {
            return Err(OpenPgpError::TooLong);
        }
        let digest = digest(&config, payload).map_err(OpenPgpError::packet)?;
        Ok(Self { config, digest })
    }

    /// Returns what the session key signs: 32 bytes of SHA-256.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Completes the signature with the 64 bytes that the session key made of the digest.
    ///
    /// # Errors
    /// [`OpenPgpError::NotSignature`] when they are not 64 bytes.
    pub fn assemble(self, signature: &[u8]) -> Result<Signature, OpenPgpError> {
        let numbers = as_numbers(signature).ok_or(OpenPgpError::NotSignature)?;
        let first = self.digest.first_chunk().copied().unwrap_or_default();
        let packet = pgp::packet::Signature::from_config(self.config, first, numbers);
        Signature::of_packet(packet.map_err(OpenPgpError::packet)?)
    }

    /// Has the session key sign, and completes the signature.
    ///
    /// # Errors
    /// [`OpenPgpError::Sign`].
    pub fn sign(self, signer: &dyn Signer) -> Result<Signature, OpenPgpError> {
        let signature = signer.sign(&self.digest)?;
        self.assemble(&signature)
    }
}
