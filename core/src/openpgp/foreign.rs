//! A [`Signer`] in the shape that the packet library asks for.

use std::cell::Cell;

use pgp::{
    crypto::{hash::HashAlgorithm, public_key::PublicKeyAlgorithm},
    packet::{PubKeyInner, PublicKey as PgpPublicKey},
    types::{
        EddsaLegacyPublicParams, Fingerprint, KeyDetails, KeyId, KeyVersion, Mpi, Password,
        PublicParams, SignatureBytes, SigningKey, Timestamp,
    },
};

use super::OpenPgpError;
use crate::{
    key::{PublicKey, SignError, Signer},
    time::UnixTime,
};

/// The hash of everything that we sign: as strong as the key, and processors have instructions
/// for it, as they mostly have not for SHA-512.
pub(super) const HASH: HashAlgorithm = HashAlgorithm::Sha256;

/// An Ed25519 key, in the packet of version 4 that gpg 2.2 reads.
pub(super) fn packet_of(key: &PublicKey, created: UnixTime) -> Result<PgpPublicKey, OpenPgpError> {
    let raw = key.ed25519_bytes().ok_or(OpenPgpError::NotEd25519)?;
    let params = [&PARAMS_HEAD[..], &raw].concat();
    let params = EddsaLegacyPublicParams::try_from_reader(params.as_slice(), None);
    let inner = PubKeyInner::new(
        KeyVersion::V4,
        PublicKeyAlgorithm::EdDSALegacy,
        timestamp(created)?,
        None,
        PublicParams::EdDSALegacy(params.map_err(OpenPgpError::packet)?),
    );
    PgpPublicKey::from_inner(inner.map_err(OpenPgpError::packet)?).map_err(OpenPgpError::packet)
}

/// Returns a time in the four bytes that OpenPGP has for it.
pub(super) fn timestamp(at: UnixTime) -> Result<Timestamp, OpenPgpError> {
    let seconds = u32::try_from(at.secs()).map_err(|_| OpenPgpError::Time)?;
    Ok(Timestamp::from_secs(seconds))
}

/// Returns the seconds from one time to a later one.
pub(super) fn seconds(
    from: UnixTime,
    until: UnixTime,
) -> Result<pgp::types::Duration, OpenPgpError> {
    let seconds = until.secs().checked_sub(from.secs());
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    // Zero means for ever.
    match seconds {
        None | Some(0) => Err(OpenPgpError::Time),
        Some(seconds) => Ok(pgp::types::Duration::from_secs(seconds)),
    }
}

/// Returns an Ed25519 signature as the two numbers that algorithm 22 writes.
pub(super) fn as_numbers(signature: &[u8]) -> Option<SignatureBytes> {
    let (r, s) = signature.split_at_checked(32)?;
    (s.len() == 32).then(|| vec![Mpi::from_slice(r), Mpi::from_slice(s)].into())
}

/// A signer and the packet that names its key.
pub(super) struct Foreign<'a> {
    pub(super) packet: &'a PgpPublicKey,
    pub(super) signer: &'a dyn Signer,
    /// Why the signer did not sign: the crate of packets has no place for it.
    pub(super) failed: Cell<Option<SignError>>,
}

impl std::fmt::Debug for Foreign<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.packet.fmt(f)
    }
}

impl KeyDetails for Foreign<'_> {
    fn version(&self) -> KeyVersion {
        self.packet.version()
    }

    fn legacy_key_id(&self) -> KeyId {
        self.packet.legacy_key_id()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.packet.fingerprint()
    }

    fn algorithm(&self) -> PublicKeyAlgorithm {
        self.packet.algorithm()
    }

    fn created_at(&self) -> Timestamp {
        self.packet.created_at()
    }

    fn legacy_v3_expiration_days(&self) -> Option<u16> {
        None
    }

    fn public_params(&self) -> &PublicParams {
        self.packet.public_params()
    }
}

impl SigningKey for Foreign<'_> {
    fn sign(
        &self,
        _password: &Password,
        _hash: HashAlgorithm,
        digest: &[u8],
    ) -> pgp::errors::Result<SignatureBytes> {
        let refused = || pgp::errors::Error::Message {
            message: "the private key could not be used".to_owned(),
            backtrace: None,
        };
        let signature = self.signer.sign(digest).map_err(|error| {
            self.failed.set(Some(error));
            refused()
        })?;
        as_numbers(&signature).ok_or_else(refused)
    }

    fn hash_alg(&self) -> HashAlgorithm {
        HASH
    }
}

/// The curve's name, then the length in bits of a point and the byte that says which form it has.
const PARAMS_HEAD: [u8; 13] = [
    9, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01, 0x01, 0x07, 0x40,
];
