//! One signature packet: what it says, and whether a key made it.

use std::io::Read as _;

use pgp::{
    crypto::public_key::PublicKeyAlgorithm,
    errors::Result as PgpResult,
    line_writer::LineBreak,
    normalize_lines::NormalizedReader,
    packet::{
        Notation, Packet, PacketTrait as _, RevocationCode, SignatureConfig, SignatureType,
        SignatureVersionSpecific, Subpacket, SubpacketData,
    },
    ser::Serialize as _,
    types::{Fingerprint as PgpFingerprint, KeyDetails as _, Tag},
};

use super::{
    Fingerprint, Key, LongKeyId, OpenPgpError, PACKETS_MAX, UserId, material::SignatureHash,
    packets::Packets,
};
use crate::{key::SignatureError, time::UnixTime};

/// A version 4 or 6 signature packet.
#[derive(Clone, Debug)]
pub struct Signature {
    packet: pgp::packet::Signature,
    config: SignatureConfig,
    created: UnixTime,
}

/// What a signature is made over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureKind {
    /// The bytes of a document.
    Binary,
    /// The lines of a document, whatever they end in.
    Text,
    /// A user id, by any of the four degrees of care that nobody tells apart.
    Certification,
    /// A subkey, by its primary key.
    SubkeyBinding,
    /// A primary key, by its subkey.
    PrimaryKeyBinding,
    /// A key as a whole.
    DirectKey,
    /// Takes back a key.
    KeyRevocation,
    /// Takes back a subkey.
    SubkeyRevocation,
    /// Takes back a certification.
    CertificationRevocation,
    /// Anything else.
    Other(u8),
}

/// How much a revocation takes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revocation {
    /// The key fell into other hands, or nobody says that it did not: nothing it ever signed
    /// holds, since whoever has it writes any date.
    Hard,
    /// The key was given up: what it signed before holds.
    Soft,
}

impl Signature {
    /// Reads the one packet of a detached signature over a document.
    ///
    /// It must be in the form in which it would be written: what differs from it in a bit is
    /// another signature.
    ///
    /// # Errors
    /// [`OpenPgpError`]; [`OpenPgpError::SeveralSignatures`] when there are more than one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenPgpError> {
        if bytes.len() > PACKETS_MAX {
            return Err(OpenPgpError::TooLarge);
        }
        let mut packets = Packets::of(bytes);
        let first = packets.next().ok_or(OpenPgpError::Empty)??;
        let Packet::Signature(packet) = first.read()? else {
            return Err(OpenPgpError::NotSignature);
        };
        match packets.next().transpose()?.map(|second| second.tag()) {
            None => {}
            Some(Tag::Signature) => return Err(OpenPgpError::SeveralSignatures),
            Some(_) => return Err(OpenPgpError::NotSignature),
        }
        let signature = Self::of_packet(packet)?;
        match signature.to_packet()? == bytes {
            true => Ok(signature),
            false => Err(OpenPgpError::NotCanonical),
        }
    }

    pub(super) fn of_packet(packet: pgp::packet::Signature) -> Result<Self, OpenPgpError> {
        let version = u8::from(packet.version());
        let config = packet.config().cloned();
        let config = config.ok_or(OpenPgpError::Version(version))?;
        if !matches!(version, 4 | 6) {
            return Err(OpenPgpError::Version(version));
        }
        let times: Vec<_> = config
            .hashed_subpackets()
            .filter_map(|part| match part.data {
                SubpacketData::SignatureCreationTime(at) => Some(at),
                _ => None,
            })
            .collect();
        let [created] = times.as_slice() else {
            return Err(OpenPgpError::CreationTime);
        };
        Ok(Self {
            created: UnixTime::from_secs(created.as_secs().into()),
            config,
            packet,
        })
    }

    /// Returns the packet with its header.
    ///
    /// # Errors
    /// [`OpenPgpError::Packet`].
    pub fn to_packet(&self) -> Result<Vec<u8>, OpenPgpError> {
        let mut bytes = Vec::with_capacity(self.packet.write_len() + 6);
        self.write(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns the packet without its header; `None` for one that cannot be written.
    pub(super) fn body(&self) -> Option<Vec<u8>> {
        self.packet.to_bytes().ok()
    }

    /// Writes the packet with its header.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) -> Result<(), OpenPgpError> {
        self.packet
            .to_writer_with_header(bytes)
            .map_err(OpenPgpError::packet)
    }

    /// Returns what the signature is made over.
    pub fn kind(&self) -> SignatureKind {
        match self.config.typ {
            SignatureType::Binary => SignatureKind::Binary,
            SignatureType::Text => SignatureKind::Text,
            SignatureType::CertGeneric
            | SignatureType::CertPersona
            | SignatureType::CertCasual
            | SignatureType::CertPositive => SignatureKind::Certification,
            SignatureType::SubkeyBinding => SignatureKind::SubkeyBinding,
            SignatureType::KeyBinding => SignatureKind::PrimaryKeyBinding,
            SignatureType::Key => SignatureKind::DirectKey,
            SignatureType::KeyRevocation => SignatureKind::KeyRevocation,
            SignatureType::SubkeyRevocation => SignatureKind::SubkeyRevocation,
            SignatureType::CertRevocation => SignatureKind::CertificationRevocation,
            other => SignatureKind::Other(other.into()),
        }
    }

    /// Returns the number of the signature's type, which status lines carry.
    pub fn class(&self) -> u8 {
        self.config.typ.into()
    }

    /// Returns the packet's version.
    pub fn version(&self) -> u8 {
        self.config.version().into()
    }

    /// Returns the number of the key's algorithm.
    pub fn key_algorithm(&self) -> u8 {
        self.config.pub_alg.into()
    }

    /// Returns the number of the hash.
    pub fn hash_algorithm(&self) -> u8 {
        self.config.hash_alg.into()
    }

    /// Returns when the signature was made, as its maker says.
    pub fn created(&self) -> UnixTime {
        self.created
    }

    /// Returns when the signature ends, if it does.
    pub fn expires(&self) -> Option<UnixTime> {
        self.hashed(|data| match data {
            SubpacketData::SignatureExpirationTime(after) => Some(after.as_secs()),
            _ => None,
        })
        .filter(|after| *after != 0)
        .map(|after| self.created.plus(after.into()))
    }

    /// Returns how long after its creation the key ends, if it does; `Some(0)` says that it
    /// never does.
    pub fn key_lifetime(&self) -> Option<u32> {
        self.hashed(|data| match data {
            SubpacketData::KeyExpirationTime(after) => Some(after.as_secs()),
            _ => None,
        })
    }

    /// Tells whether the key may sign documents; `None` when the signature says nothing of uses.
    pub fn allows_signing(&self) -> Option<bool> {
        self.hashed(|data| match data {
            SubpacketData::KeyFlags(flags) => Some(flags.sign()),
            _ => None,
        })
    }

    /// Tells whether the key may certify others' keys; `None` as above.
    pub fn allows_certifying(&self) -> Option<bool> {
        self.hashed(|data| match data {
            SubpacketData::KeyFlags(flags) => Some(flags.certify()),
            _ => None,
        })
    }

    /// Tells whether the user id is the one to show.
    pub fn is_primary_user_id(&self) -> bool {
        self.hashed(|data| match data {
            SubpacketData::IsPrimary(is) => Some(*is),
            _ => None,
        })
        .unwrap_or(false)
    }

    /// Returns how much a revocation takes back. Without a reason, and for a reason that is
    /// unknown, it is everything (RFC 9580 section 5.2.3.31).
    pub fn revocation(&self) -> Revocation {
        let soft = self.hashed(|data| match data {
            SubpacketData::RevocationReason(code, _) => Some(matches!(
                code,
                RevocationCode::KeySuperseded
                    | RevocationCode::KeyRetired
                    | RevocationCode::CertUserIdInvalid
            )),
            _ => None,
        });
        match soft {
            Some(true) => Revocation::Soft,
            Some(false) | None => Revocation::Hard,
        }
    }

    /// Returns the fingerprints that the signature names as its issuer's: candidates, no proof.
    pub fn issuer_fingerprints(&self) -> Vec<Fingerprint> {
        let named = self.config.issuer_fingerprint();
        named.into_iter().map(Fingerprint::of).collect()
    }

    /// Returns the key ids that the signature names as its issuer's: candidates, no proof.
    pub fn issuer_key_ids(&self) -> Vec<LongKeyId> {
        let named = self.config.issuer_key_id();
        named.into_iter().map(LongKeyId::of).collect()
    }

    /// Returns the signature by which a subkey accepts its primary key.
    pub fn back_signature(&self) -> Option<Self> {
        Self::of_packet(self.packet.embedded_signature()?.clone()).ok()
    }

    /// Returns the user id that the signer says to sign as; unescaped.
    pub fn signer_user_id(&self) -> Option<String> {
        let bytes = self.packet.signers_userid()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Returns the identities that the signature names: one, when we made it.
    pub fn identities(&self) -> impl Iterator<Item = &[u8]> {
        self.notations(IDENTITY)
    }

    /// Returns the values of the notations of a name, from the part that is signed.
    pub fn notations<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.config
            .hashed_subpackets()
            .filter_map(move |part| match &part.data {
                SubpacketData::Notation(Notation {
                    name: found, value, ..
                }) if found == name => Some(value.as_ref()),
                _ => None,
            })
    }

    /// Returns the packets of the key block that travels inside the signed part, if there is
    /// exactly one.
    pub fn key_block(&self) -> Option<&[u8]> {
        let mut found = self
            .config
            .hashed_subpackets()
            .filter_map(|part| match &part.data {
                // A reserved byte, then the packets (draft-koch-librepgp section 5.2.3.35).
                SubpacketData::Other(KEY_BLOCK, bytes) => bytes.strip_prefix(&[0]),
                _ => None,
            });
        match (found.next(), found.next()) {
            (Some(packets), None) => Some(packets),
            _ => None,
        }
    }

    /// Tells whether everything that the packet says is signed.
    pub fn is_all_hashed(&self) -> bool {
        self.config.unhashed_subpackets.is_empty()
    }

    /// Returns the hash, if it is one that we accept.
    ///
    /// # Errors
    /// [`OpenPgpError::AlgorithmWeak`], [`OpenPgpError::AlgorithmUnsupported`].
    pub fn hash(&self) -> Result<SignatureHash, OpenPgpError> {
        SignatureHash::of(self.config.hash_alg)
    }

    /// Checks what can be checked without a key: that nothing critical is unknown, and that hash
    /// and algorithm are ones that we accept.
    ///
    /// # Errors
    /// [`OpenPgpError::UnknownCritical`], [`OpenPgpError::AlgorithmWeak`],
    /// [`OpenPgpError::AlgorithmUnsupported`].
    pub fn check(&self) -> Result<(), OpenPgpError> {
        self.check_critical()?;
        self.hash()?;
        match self.config.pub_alg {
            PublicKeyAlgorithm::RSA
            | PublicKeyAlgorithm::RSASign
            | PublicKeyAlgorithm::ECDSA
            | PublicKeyAlgorithm::EdDSALegacy
            | PublicKeyAlgorithm::Ed25519 => Ok(()),
            PublicKeyAlgorithm::DSA => Err(OpenPgpError::AlgorithmWeak("DSA")),
            other => Err(OpenPgpError::AlgorithmUnsupported(
                u8::from(other).to_string(),
            )),
        }
    }

    /// Joins the signature with the document that it is said to be over. The document is hashed
    /// here and not needed any more.
    ///
    /// # Errors
    /// As [`Signature::check`], [`OpenPgpError::SignatureKind`], and [`OpenPgpError::Unsigned`].
    pub fn over(self, document: &[u8]) -> Result<SignedDocument, OpenPgpError> {
        self.check()?;
        if !matches!(self.kind(), SignatureKind::Binary | SignatureKind::Text) {
            return Err(OpenPgpError::SignatureKind);
        }
        self.check_unhashed()?;
        let digest = digest(&self.config, document).map_err(OpenPgpError::packet)?;
        Ok(SignedDocument {
            signature: self,
            digest,
        })
    }

    /// Checks a certification of `subject` and `user_id`, or what takes one back.
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn verify_certification(
        &self,
        key: &Key,
        subject: &Key,
        user_id: &UserId,
    ) -> Result<(), OpenPgpError> {
        self.verify(key, |packet| {
            packet.verify_third_party_certification(subject, key, Tag::UserId, &user_id.packet)
        })
    }

    /// Checks a binding of `subkey` to the primary key `key`, or what takes one back.
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn verify_subkey_binding(&self, key: &Key, subkey: &Key) -> Result<(), OpenPgpError> {
        self.verify(key, |packet| packet.verify_subkey_binding(key, subkey))
    }

    /// Checks that the subkey `subkey` accepts the primary key `primary`.
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn verify_back_signature(&self, subkey: &Key, primary: &Key) -> Result<(), OpenPgpError> {
        self.verify(subkey, |packet| {
            packet.verify_primary_key_binding(subkey, primary)
        })
    }

    /// Checks a signature of a key over itself as a whole, or what takes the key back.
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn verify_direct(&self, key: &Key) -> Result<(), OpenPgpError> {
        self.verify(key, |packet| packet.verify_key(key))
    }

    fn verify(
        &self,
        key: &Key,
        mathematics: impl FnOnce(&pgp::packet::Signature) -> PgpResult<()>,
    ) -> Result<(), OpenPgpError> {
        // First whose it is: what is wrong with another's signature is not wrong with this key.
        self.check_key(key)?;
        self.check()?;
        mathematics(&self.packet).map_err(|_| OpenPgpError::Mismatch(SignatureError))
    }

    /// RFC 9580 section 5.2.3.7: what is critical and unknown makes the signature one in error.
    fn check_critical(&self) -> Result<(), OpenPgpError> {
        for part in self.config.hashed_subpackets() {
            let unknown = part.is_critical && !is_understood(part);
            if unknown {
                let what = match &part.data {
                    SubpacketData::Notation(notation) => notation.name.escape_ascii().to_string(),
                    _ => format!("subpacket {}", part.typ().as_u8(false)),
                };
                return Err(OpenPgpError::UnknownCritical(what));
            }
        }
        Ok(())
    }

    /// Anybody can write into the part that is not signed. A name of the issuer there is checked
    /// against the key; anything else would make two signatures of one.
    fn check_unhashed(&self) -> Result<(), OpenPgpError> {
        let is_hint = |part: &Subpacket| {
            let names_issuer = matches!(
                part.data,
                SubpacketData::IssuerKeyId(_) | SubpacketData::IssuerFingerprint(_)
            );
            names_issuer && !part.is_critical
        };
        match self.config.unhashed_subpackets().all(is_hint) {
            true => Ok(()),
            false => Err(OpenPgpError::Unsigned),
        }
    }

    /// Checks that a key is one that can have made the signature.
    fn check_key(&self, key: &Key) -> Result<(), OpenPgpError> {
        let versions = (self.version(), u8::from(key.version()));
        if !matches!(versions, (4, 4) | (6, 6)) {
            return Err(OpenPgpError::Issuer);
        }
        self.check_issuer(key)?;
        key.material.check_usable(self.config.pub_alg)
    }

    /// Every issuer that is named, in whichever part, must be the key: otherwise a bit of the
    /// unsigned part decides which key another reader looks for.
    fn check_issuer(&self, key: &Key) -> Result<(), OpenPgpError> {
        let fingerprint: PgpFingerprint = pgp::types::KeyDetails::fingerprint(key);
        let fits = self
            .config
            .issuer_fingerprint()
            .iter()
            .all(|named| **named == fingerprint)
            && self
                .config
                .issuer_key_id()
                .iter()
                .all(|named| **named == key.legacy_key_id());
        match fits {
            true => Ok(()),
            false => Err(OpenPgpError::Issuer),
        }
    }

    fn hashed<T>(&self, find: impl Fn(&SubpacketData) -> Option<T>) -> Option<T> {
        self.config
            .hashed_subpackets()
            .find_map(|part| find(&part.data))
    }
}

/// A signature and the digest of its document: whether a key made it can be asked of any key.
#[derive(Clone, Debug)]
pub struct SignedDocument {
    signature: Signature,
    digest: Vec<u8>,
}

impl SignedDocument {
    /// Returns the signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Checks that `key` made the signature over the document.
    ///
    /// # Errors
    /// [`OpenPgpError::Mismatch`] when it did not, [`OpenPgpError::Issuer`] when the signature
    /// names another, [`OpenPgpError::AlgorithmWeak`] and [`OpenPgpError::AlgorithmUnsupported`]
    /// when the key is of a kind that we do not verify with.
    pub fn verify(&self, key: &Key) -> Result<(), OpenPgpError> {
        let signature = &self.signature;
        let hash = signature.hash()?;
        signature.check_key(key)?;
        // RFC 9580 section 5.2.4: of version 6 the two bytes must match, of version 4 they may be
        // compared.
        let first: Option<[u8; 2]> = self.digest.first_chunk().copied();
        let (Some(numbers), true) = (
            signature.packet.signature(),
            signature.packet.signed_hash_value() == first,
        ) else {
            return Err(OpenPgpError::Mismatch(SignatureError));
        };
        key.material
            .verify(hash, &self.digest, numbers)
            .map_err(OpenPgpError::Mismatch)
    }
}

/// Hashes a document with what a signature says of it (RFC 9580 section 5.2.4).
pub(super) fn digest(config: &SignatureConfig, document: &[u8]) -> PgpResult<Vec<u8>> {
    let mut hasher = config.hash_alg.new_hasher()?;
    if let SignatureVersionSpecific::V6 { salt } = &config.version_specific {
        hasher.update(salt);
    }
    match config.typ {
        SignatureType::Text => {
            let mut text = Vec::with_capacity(document.len());
            NormalizedReader::new(document, LineBreak::Crlf).read_to_end(&mut text)?;
            hasher.update(&text);
        }
        _ => hasher.update(document),
    }
    let length = config.hash_signature_data(&mut hasher)?;
    hasher.update(&config.trailer(length)?);
    Ok(hasher.finalize().into_vec())
}

/// Tells whether a subpacket that is critical is one that we act on, or that cannot matter here.
fn is_understood(part: &Subpacket) -> bool {
    match &part.data {
        SubpacketData::SignatureCreationTime(_)
        | SubpacketData::SignatureExpirationTime(_)
        | SubpacketData::KeyExpirationTime(_)
        | SubpacketData::IssuerKeyId(_)
        | SubpacketData::IssuerFingerprint(_)
        | SubpacketData::PreferredSymmetricAlgorithms(_)
        | SubpacketData::PreferredHashAlgorithms(_)
        | SubpacketData::PreferredCompressionAlgorithms(_)
        | SubpacketData::PreferredEncryptionModes(_)
        | SubpacketData::PreferredAeadAlgorithms(_)
        | SubpacketData::PreferredKeyServer(_)
        | SubpacketData::KeyServerPreferences(_)
        | SubpacketData::KeyFlags(_)
        | SubpacketData::Features(_)
        | SubpacketData::RevocationReason(..)
        | SubpacketData::IsPrimary(_)
        | SubpacketData::Revocable(_)
        | SubpacketData::EmbeddedSignature(_)
        | SubpacketData::SignersUserID(_)
        | SubpacketData::PolicyURI(_)
        | SubpacketData::ExportableCertification(_) => true,
        SubpacketData::Notation(notation) => NOTATIONS.iter().any(|known| notation.name == *known),
        // Who else may revoke, how far a certifier's word carries, which recipients it was for,
        // which signature it is about: all say more than we look at.
        SubpacketData::RevocationKey(_)
        | SubpacketData::TrustSignature(..)
        | SubpacketData::RegularExpression(_)
        | SubpacketData::IntendedRecipientFingerprint(_)
        | SubpacketData::SignatureTarget(..)
        | SubpacketData::Experimental(..)
        | SubpacketData::Other(..) => false,
    }
}

/// The number of the subpacket that carries a key block.
pub(super) const KEY_BLOCK: u8 = 38;

/// The identity that signed.
pub(super) const IDENTITY: &str = "identity@notme.bot";
/// SHA-256, in hex, of the payload.
pub(super) const PAYLOAD_SHA256: &str = "payload-sha256@notme.bot";
/// When the authority certified, in seconds.
pub(super) const ISSUED_AT: &str = "issued-at@notme.bot";
/// The serial number of the certification, in hex.
pub(super) const SERIAL: &str = "serial@notme.bot";
/// The authority's epoch.
pub(super) const EPOCH: &str = "epoch@notme.bot";
/// What the session's certificates have in common, in hex.
pub(super) const SESSION: &str = "session@notme.bot";
/// One scope.
pub(super) const SCOPE: &str = "scope@notme.bot";
/// The activity it was issued for.
pub(super) const ACTIVITY: &str = "activity@notme.bot";
/// What else limits what may be signed.
pub(super) const TERMS: &str = "terms@notme.bot";

const NOTATIONS: [&str; 9] = [
    IDENTITY,
    PAYLOAD_SHA256,
    ISSUED_AT,
    SERIAL,
    EPOCH,
    SESSION,
    SCOPE,
    ACTIVITY,
    TERMS,
];
