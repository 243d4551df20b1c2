//! The OpenPGP form of a session's signing key.

use std::cell::Cell;

use pgp::{
    packet::{
        KeyFlags, PublicKey as PgpPublicKey, SignatureConfig, SignatureType, Subpacket,
        SubpacketData,
    },
    types::{KeyDetails as _, Password, Tag},
};

use super::{
    Fingerprint, Key, KeyBlock, OpenPgpError, Signature, UserId,
    foreign::{Foreign, HASH, packet_of, seconds, timestamp},
};
use crate::{
    identity::{AgentName, Identity},
    key::{PublicKey, Signer},
    time::UnixTime,
};

/// What an authority certifies: a key, when it was made, and whose it is. The authority builds it
/// from what it knows itself, so that it never signs what somebody hands to it.
#[derive(Clone, Copy, Debug)]
pub struct SessionSubject<'a> {
    /// The session's Ed25519 key.
    pub key: &'a PublicKey,
    /// When it was made. It is part of the fingerprint, so a session says the same each time.
    pub created: UnixTime,
    /// The agent.
    pub agent: &'a AgentName,
    /// Who that is.
    pub identity: &'a Identity,
}

impl SessionSubject<'_> {
    /// Returns `<agent name> <identity URI>` as OpenPGP writes a name and an address.
    pub fn user_id(&self) -> String {
        format!("{} <{}>", self.agent, self.identity)
    }

    /// Returns the fingerprint that the key has.
    ///
    /// # Errors
    /// [`OpenPgpError::NotEd25519`], [`OpenPgpError::Time`].
    pub fn fingerprint(&self) -> Result<Fingerprint, OpenPgpError> {
        Ok(Fingerprint::of(&self.packet()?.fingerprint()))
    }

    pub(super) fn packet(&self) -> Result<PgpPublicKey, OpenPgpError> {
        packet_of(self.key, self.created)
    }
}

/// A session key with the user id that it gives itself, and nobody's word for it yet.
#[derive(Clone, Debug)]
pub struct SessionKey {
    block: KeyBlock,
}

impl SessionKey {
    /// Has the session key sign its own user id and its end.
    ///
    /// # Errors
    /// [`OpenPgpError::NotEd25519`], [`OpenPgpError::Time`] when it ends before it begins, and
    /// [`OpenPgpError::Sign`].
    pub fn build(
        subject: &SessionSubject<'_>,
        expires: UnixTime,
        signer: &dyn Signer,
    ) -> Result<Self, OpenPgpError> {
        if signer.public_key() != subject.key {
            return Err(OpenPgpError::NotEd25519);
        }
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let block = self_signed(
            &subject.packet()?,
            &subject.user_id(),
            vec![
                SubpacketData::KeyExpirationTime(seconds(subject.created, expires)?),
                SubpacketData::KeyFlags(flags),
            ],
            signer,
        )?;
        Ok(Self { block })
    }

    /// Attaches what [`certify`](super::certify) returned to the authority's caller.
    ///
    /// # Errors
    /// [`OpenPgpError`] when that is no certification.
    pub fn certified(&self, certification: &[u8]) -> Result<CertifiedKey, OpenPgpError> {
        let certification = Signature::from_bytes(certification)?;
        let mut block = self.block.clone();
        block.certify(certification)?;
        let bytes = block.to_bytes()?;
        Ok(CertifiedKey {
            packet: block.primary().packet()?.clone(),
            bytes,
            block,
        })
    }
}

/// A session key with the authority's word for it: what travels in each signature.
#[derive(Clone, Debug)]
pub struct CertifiedKey {
    pub(super) packet: PgpPublicKey,
    pub(super) bytes: Vec<u8>,
    block: KeyBlock,
}

impl CertifiedKey {
    /// Returns the packets, as other programs import them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the key block.
    pub fn block(&self) -> &KeyBlock {
        &self.block
    }

    /// Returns the fingerprint.
    pub fn fingerprint(&self) -> &Fingerprint {
        self.block.primary().fingerprint()
    }
}

/// Builds a key block of one user id that is signed by the key itself.
pub(super) fn self_signed(
    packet: &PgpPublicKey,
    user_id: &str,
    says: Vec<SubpacketData>,
    signer: &dyn Signer,
) -> Result<KeyBlock, OpenPgpError> {
    let mut user_id = UserId::new(user_id)?;
    let mut parts = vec![SubpacketData::SignatureCreationTime(packet.created_at())];
    parts.extend(says);
    let signature = sign_user_id(packet, packet, &user_id, parts, signer)?;
    user_id.signatures.push(signature);
    Ok(KeyBlock::new(Key::primary(packet.clone())?, user_id))
}

/// Signs a user id of `subject` with the key `issuer`. The issuer's names are added.
pub(super) fn sign_user_id(
    issuer: &PgpPublicKey,
    subject: &PgpPublicKey,
    user_id: &UserId,
    says: Vec<SubpacketData>,
    signer: &dyn Signer,
) -> Result<Signature, OpenPgpError> {
    let mut config = SignatureConfig::v4(SignatureType::CertPositive, issuer.algorithm(), HASH);
    config.hashed_subpackets = hashed(issuer, says)?;
    let foreign = Foreign {
        packet: issuer,
        signer,
        failed: Cell::default(),
    };
    let signature = config
        .sign_certification_third_party(
            &foreign,
            &Password::empty(),
            subject,
            Tag::UserId,
            &user_id.packet,
        )
        .map_err(|error| match foreign.failed.take() {
            Some(failed) => failed.into(),
            None => OpenPgpError::packet(error),
        })?;
    Signature::of_packet(signature)
}

/// Returns the signed part of a signature: what it says, and by whom, under both names. Without
/// the old one gpg 2.2 finds no key.
pub(super) fn hashed(
    issuer: &PgpPublicKey,
    says: Vec<SubpacketData>,
) -> Result<Vec<Subpacket>, OpenPgpError> {
    says.into_iter()
        .chain([
            SubpacketData::IssuerKeyId(issuer.legacy_key_id()),
            SubpacketData::IssuerFingerprint(issuer.fingerprint()),
        ])
        .map(|part| Subpacket::regular(part).map_err(OpenPgpError::packet))
        .collect()
}

pub(super) fn creation(at: UnixTime) -> Result<SubpacketData, OpenPgpError> {
    Ok(SubpacketData::SignatureCreationTime(timestamp(at)?))
}
