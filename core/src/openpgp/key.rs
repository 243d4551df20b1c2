//! One key: a primary key or a subkey.

use std::{cell::RefCell, io, sync::Arc};

use pgp::{
    crypto::{hash::HashAlgorithm, public_key::PublicKeyAlgorithm},
    packet::{self, PacketTrait, PublicKey, PublicSubkey},
    ser::Serialize,
    types::{
        Fingerprint as PgpFingerprint, KeyDetails, KeyId as PgpKeyId, KeyVersion, PublicParams,
        SignatureBytes, Timestamp, VerifyingKey,
    },
};

use super::{
    Fingerprint, OpenPgpError,
    fingerprint::LongKeyId,
    material::{KeyKind, Material, SignatureHash},
    packets::RawPacket,
};
use crate::{key::KeyId, recent::Recent, time::UnixTime};

/// A key packet. What it may be used for is said by the signatures around it.
#[derive(Clone, Debug)]
pub struct Key {
    packet: Packet,
    /// The packet without its header: what is hashed of a key.
    body: Box<[u8]>,
    pub(super) material: Material,
    fingerprint: Fingerprint,
    /// The same, for the packet library, which would hash the key each time it is asked.
    pgp_fingerprint: PgpFingerprint,
}

#[derive(Clone, Debug)]
enum Packet {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

impl Key {
    /// Reads the packet of a primary key, in the form in which it would be written.
    pub(super) fn from_packet(raw: RawPacket<'_>) -> Result<Arc<Self>, OpenPgpError> {
        thread_local! {
            static RECENT: RefCell<Recent<Arc<Key>>> = const { RefCell::new(Recent::new()) };
        }
        RECENT.with_borrow_mut(|recent| {
            recent.get_or_read(raw.as_bytes(), |bytes| {
                let packet::Packet::PublicKey(packet) = raw.read()? else {
                    return Err(OpenPgpError::NotKey);
                };
                let key = Self::primary(packet)?;
                match key.to_packet()? == bytes {
                    true => Ok(Arc::new(key)),
                    false => Err(OpenPgpError::NotCanonical),
                }
            })
        })
    }

    pub(super) fn primary(packet: PublicKey) -> Result<Self, OpenPgpError> {
        Self::new(Packet::Primary(packet))
    }

    pub(super) fn subkey(packet: PublicSubkey) -> Result<Self, OpenPgpError> {
        Self::new(Packet::Subkey(packet))
    }

    fn new(packet: Packet) -> Result<Self, OpenPgpError> {
        let details = packet.details();
        check_version(details.version())?;
        let body = match &packet {
            Packet::Primary(key) => key.to_bytes(),
            Packet::Subkey(key) => key.to_bytes(),
        };
        let pgp_fingerprint = details.fingerprint();
        Ok(Self {
            body: body.map_err(OpenPgpError::packet)?.into(),
            material: Material::of(details)?,
            fingerprint: Fingerprint::of(&pgp_fingerprint),
            pgp_fingerprint,
            packet,
        })
    }

    /// Returns the fingerprint.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Returns the long key id.
    pub fn long_id(&self) -> LongKeyId {
        self.fingerprint.long_id()
    }

    /// Returns notme's id of the key; absent when it is of a kind that we do not verify with.
    pub fn kid(&self) -> Option<KeyId> {
        Some(KeyId::of_spki(&self.material.spki()?))
    }

    /// Returns the SHA-256 of the SubjectPublicKeyInfo, if there is one.
    pub fn spki_sha256(&self) -> Option<[u8; 32]> {
        Some(crate::key::sha256(&self.material.spki()?))
    }

    /// Returns the raw key when it is Ed25519.
    pub fn ed25519_bytes(&self) -> Option<[u8; 32]> {
        match &self.material {
            Material::Ed25519(key, _) => key.ed25519_bytes(),
            Material::Ecdsa(..) | Material::Rsa(..) | Material::Weak(..) | Material::Other(_) => {
                None
            }
        }
    }

    /// Returns what kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.material.kind()
    }

    /// Returns when the key was made, as it says itself.
    pub fn created(&self) -> UnixTime {
        UnixTime::from_secs(self.packet.details().created_at().as_secs().into())
    }

    /// Returns the packet without its header, which is what two copies of a key have in common.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the packet of a primary key.
    pub(super) fn packet(&self) -> Result<&PublicKey, OpenPgpError> {
        match &self.packet {
            Packet::Primary(key) => Ok(key),
            Packet::Subkey(_) => Err(OpenPgpError::NotKey),
        }
    }

    /// Returns the packet with its header.
    pub(super) fn to_packet(&self) -> Result<Vec<u8>, OpenPgpError> {
        let mut bytes = Vec::new();
        match &self.packet {
            Packet::Primary(key) => key.to_writer_with_header(&mut bytes),
            Packet::Subkey(key) => key.to_writer_with_header(&mut bytes),
        }
        .map_err(OpenPgpError::packet)?;
        Ok(bytes)
    }
}

impl Packet {
    fn details(&self) -> &dyn KeyDetails {
        match self {
            Self::Primary(key) => key,
            Self::Subkey(key) => key,
        }
    }
}

fn check_version(version: KeyVersion) -> Result<(), OpenPgpError> {
    match version {
        KeyVersion::V4 | KeyVersion::V6 => Ok(()),
        other => Err(OpenPgpError::Version(other.into())),
    }
}

impl KeyDetails for Key {
    fn version(&self) -> KeyVersion {
        self.packet.details().version()
    }

    fn legacy_key_id(&self) -> PgpKeyId {
        self.long_id().to_pgp()
    }

    fn fingerprint(&self) -> PgpFingerprint {
        self.pgp_fingerprint.clone()
    }

    fn algorithm(&self) -> PublicKeyAlgorithm {
        self.packet.details().algorithm()
    }

    fn created_at(&self) -> Timestamp {
        self.packet.details().created_at()
    }

    fn legacy_v3_expiration_days(&self) -> Option<u16> {
        self.packet.details().legacy_v3_expiration_days()
    }

    fn public_params(&self) -> &PublicParams {
        self.packet.details().public_params()
    }
}

impl Serialize for Key {
    fn to_writer<W: io::Write>(&self, writer: &mut W) -> pgp::errors::Result<()> {
        Ok(writer.write_all(&self.body)?)
    }

    fn write_len(&self) -> usize {
        self.body.len()
    }
}

/// Where the packet library would compute, we do.
impl VerifyingKey for Key {
    fn verify(
        &self,
        hash: HashAlgorithm,
        digest: &[u8],
        signature: &SignatureBytes,
    ) -> pgp::errors::Result<()> {
        let refused = |error: &dyn std::error::Error| pgp::errors::Error::Message {
            message: error.to_string(),
            backtrace: None,
        };
        let hash = SignatureHash::of(hash).map_err(|error| refused(&error))?;
        self.material
            .verify(hash, digest, signature)
            .map_err(|error| refused(&error))
    }
}
