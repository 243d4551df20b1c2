//! Keys: their one encoding, their one name, and the primitive signature check.

use std::{cell::RefCell, fmt, str::FromStr};

use aws_lc_rs::signature::{self as lc, ParsedPublicKey, UnparsedPublicKey};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    der_reader::{BIT_STRING, DerError, NULL, Reader, SEQUENCE},
    der_writer, hex, oid, pem,
    recent::Recent,
};

/// The PEM label of a SubjectPublicKeyInfo.
const PEM_LABEL: &str = "PUBLIC KEY";
/// The longest SubjectPublicKeyInfo we read: RSA-8192 with room to spare.
const SPKI_MAX: usize = 2048;

/// A kind of key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384; read from others, never written.
    P384,
    /// RSA, 2048 to 8192 bits; read from others, never written.
    Rsa,
}

impl Algorithm {
    /// Returns the name used in JSON and in text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa => "rsa",
        }
    }
}

/// A hash function that we accept in a signature.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// Returns the length of a digest in bytes.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Hashes `bytes`.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(bytes).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
        }
    }
}

/// Returns the SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The id of a key: the first 16 bytes of SHA-256 over its canonical SubjectPublicKeyInfo.
///
/// It is the only key id we print. It confirms a key; it never selects what to trust.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Returns the id of the key with this canonical SubjectPublicKeyInfo.
    pub(crate) fn of_spki(spki: &[u8]) -> Self {
        let mut id = [0; 16];
        id.iter_mut()
            .zip(sha256(spki))
            .for_each(|(to, from)| *to = from);
        Self(id)
    }

    /// Takes the bytes of an id that was written down.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode_array(text).map(Self).ok_or(KeyIdError)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(kid: KeyId) -> Self {
        kid.to_string()
    }
}

/// The text is not a key id.
#[derive(Debug, thiserror::Error)]
#[error("a key id is 32 lower-case hexadecimal digits")]
pub struct KeyIdError;

/// A public key, checked when it was read, with the bytes it was read from.
#[derive(Clone)]
pub struct PublicKey {
    spki: Box<[u8]>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Ed25519(VerifyingKey),
    /// The uncompressed point, read once for signatures over SHA-256.
    P256(ParsedPublicKey),
    /// The uncompressed point.
    P384(Box<[u8]>),
    /// The RSAPublicKey of RFC 8017.
    Rsa(Box<[u8]>),
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo in its canonical form: Ed25519 without parameters,
    /// P-256 or P-384 as a named curve with an uncompressed point, or RSA with NULL parameters.
    ///
    /// # Errors
    /// [`KeyError`] for any other encoding, another algorithm, a point off the curve, an Ed25519
    /// key that is of small order or not canonical, or RSA outside 2048 to 8192 bits.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        if spki.len() > SPKI_MAX {
            return Err(KeyError::Encoding(DerError));
        }
        let mut outer = Reader::only(spki, SEQUENCE)?.reader();
        let mut algorithm = outer.expect(SEQUENCE)?.reader();
        let key = outer.expect(BIT_STRING)?.bit_string_bytes()?;
        outer.finish()?;
        let name = algorithm.any()?.oid()?;
        let material = match name {
            oid::ED25519 => Material::Ed25519(ed25519(key)?),
            oid::EC_PUBLIC_KEY => {
                let parsed = |algorithm| {
                    let point = ParsedPublicKey::new(algorithm, key).ok();
                    let point = point.filter(|_| key.first() == Some(&4));
                    point.ok_or(KeyError::Invalid)
                };
                match algorithm.any()?.oid()? {
                    oid::P256 => Material::P256(parsed(&lc::ECDSA_P256_SHA256_ASN1)?),
                    oid::P384 => {
                        parsed(&lc::ECDSA_P384_SHA384_ASN1)?;
                        Material::P384(key.into())
                    }
                    _ => return Err(KeyError::Unsupported),
                }
            }
            oid::RSA_ENCRYPTION => {
                if !algorithm.expect(NULL)?.value.is_empty() {
                    return Err(KeyError::Encoding(DerError));
                }
                if ParsedPublicKey::new(&lc::RSA_PKCS1_2048_8192_SHA256, key).is_err()
                    || !is_rsa_length_allowed(key)
                {
                    return Err(KeyError::Invalid);
                }
                Material::Rsa(key.into())
            }
            _ => return Err(KeyError::Unsupported),
        };
        algorithm.finish()?;
        Ok(Self {
            spki: spki.into(),
            material,
        })
    }

    /// Reads one `PUBLIC KEY` PEM block.
    ///
    /// # Errors
    /// [`KeyError`] when there is not exactly one block, or as [`PublicKey::from_spki_der`].
    pub fn from_spki_pem(text: &str) -> Result<Self, KeyError> {
        let blocks = pem::decode_all(PEM_LABEL, text).map_err(KeyError::Pem)?;
        match blocks.as_slice() {
            [spki] => Self::from_spki_der(spki),
            _ => Err(KeyError::Count),
        }
    }

    /// Wraps a raw Ed25519 public key.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] for a key of small order or not canonical.
    pub fn from_ed25519(raw: &[u8; 32]) -> Result<Self, KeyError> {
        let algorithm = der_writer::sequence(&[&der_writer::oid(oid::ED25519)]);
        Self::from_spki_der(&spki(&algorithm, raw))
    }

    /// Wraps an uncompressed P-256 point (SEC 1 section 2.3.3).
    ///
    /// # Errors
    /// [`KeyError::Invalid`] for a compressed point or one off the curve.
    pub fn from_p256_sec1(point: &[u8]) -> Result<Self, KeyError> {
        let algorithm = der_writer::sequence(&[
            &der_writer::oid(oid::EC_PUBLIC_KEY),
            &der_writer::oid(oid::P256),
        ]);
        Self::from_spki_der(&spki(&algorithm, point))
    }

    /// Wraps an RSA key from its numbers, big-endian.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] outside 2048 to 8192 bits, or for numbers that make no key.
    pub fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        if modulus.len() > SPKI_MAX || exponent.len() > SPKI_MAX {
            return Err(KeyError::Invalid);
        }
        let numbers = [modulus, exponent].map(der_writer::unsigned);
        let key = der_writer::sequence(&numbers.each_ref().map(Vec::as_slice));
        let algorithm = der_writer::sequence(&[
            &der_writer::oid(oid::RSA_ENCRYPTION),
            &der_writer::element(NULL, &[]),
        ]);
        Self::from_spki_der(&spki(&algorithm, &key))
    }

    /// Returns the canonical DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Returns the SubjectPublicKeyInfo as PEM.
    pub fn spki_pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.spki)
    }

    /// Returns the SHA-256 of the SubjectPublicKeyInfo: what trust is pinned by.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// Returns the key id.
    pub fn kid(&self) -> KeyId {
        KeyId::of_spki(&self.spki)
    }

    /// Returns the kind of key.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Ed25519(_) => Algorithm::Ed25519,
            Material::P256(_) => Algorithm::P256,
            Material::P384(_) => Algorithm::P384,
            Material::Rsa(_) => Algorithm::Rsa,
        }
    }

    /// Returns the raw key when it is Ed25519.
    pub fn ed25519_bytes(&self) -> Option<[u8; 32]> {
        match &self.material {
            Material::Ed25519(key) => Some(key.to_bytes()),
            Material::P256(_) | Material::P384(_) | Material::Rsa(_) => None,
        }
    }

    /// Returns the uncompressed point when it is P-256.
    pub fn p256_sec1(&self) -> Option<&[u8]> {
        match &self.material {
            Material::P256(point) => Some(point.as_ref()),
            Material::Ed25519(_) | Material::P384(_) | Material::Rsa(_) => None,
        }
    }

    /// Checks a signature over `message`.
    ///
    /// Ed25519 is pure, 64 bytes, and takes no notice of `hash`; it is strict: S below L, no
    /// point of small order, no point with a second spelling. P-256 and P-384 take a DER ECDSA-Sig-Value,
    /// RSA a PKCS #1 v1.5 signature, both over `hash` of the message.
    ///
    /// # Errors
    /// [`SignatureError`] when the signature is not one of this key over this message.
    pub fn verify(
        &self,
        hash: Hash,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        match &self.material {
            Material::Ed25519(key) => verify_ed25519(key, message, signature),
            Material::P256(point) => {
                let algorithm = match hash {
                    Hash::Sha256 => {
                        let checked = point.verify_sig(message, signature);
                        return checked.map_err(|_| SignatureError);
                    }
                    Hash::Sha384 => &lc::ECDSA_P256_SHA384_ASN1,
                    Hash::Sha512 => &lc::ECDSA_P256_SHA512_ASN1,
                };
                UnparsedPublicKey::new(algorithm, point)
                    .verify(message, signature)
                    .map_err(|_| SignatureError)
            }
            Material::P384(point) => {
                let algorithm = match hash {
                    Hash::Sha256 => &lc::ECDSA_P384_SHA256_ASN1,
                    Hash::Sha384 => &lc::ECDSA_P384_SHA384_ASN1,
                    Hash::Sha512 => &lc::ECDSA_P384_SHA512_ASN1,
                };
                UnparsedPublicKey::new(algorithm, point)
                    .verify(message, signature)
                    .map_err(|_| SignatureError)
            }
            Material::Rsa(key) => {
                let algorithm = match hash {
                    Hash::Sha256 => &lc::RSA_PKCS1_2048_8192_SHA256,
                    Hash::Sha384 => &lc::RSA_PKCS1_2048_8192_SHA384,
                    Hash::Sha512 => &lc::RSA_PKCS1_2048_8192_SHA512,
                };
                UnparsedPublicKey::new(algorithm, key)
                    .verify(message, signature)
                    .map_err(|_| SignatureError)
            }
        }
    }

    /// Checks a P-256 signature in the fixed form `r || s` over SHA-256 of `message`, as proofs
    /// of possession carry it.
    ///
    /// # Errors
    /// [`SignatureError`] when it is not one, or the key is not P-256.
    pub fn verify_p256_fixed(
        &self,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let Material::P256(point) = &self.material else {
            return Err(SignatureError);
        };
        UnparsedPublicKey::new(&lc::ECDSA_P256_SHA256_FIXED, point)
            .verify(message, signature)
            .map_err(|_| SignatureError)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm().as_str(), self.kid())
    }
}

/// Something that signs with a private key it does not show.
///
/// Ed25519: 64 bytes, pure. P-256: DER ECDSA-Sig-Value over SHA-256.
pub trait Signer {
    /// Returns the public half.
    fn public_key(&self) -> &PublicKey;

    /// Signs `message`.
    ///
    /// # Errors
    /// [`SignError`] when the key could not be used.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A private key could not be used. What keeps it may say why; of a key that we hold ourselves
/// nothing is said, since it might be secret.
#[derive(Debug, Default, thiserror::Error)]
#[error("the private key could not be used")]
pub struct SignError {
    #[source]
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SignError {
    /// Says why.
    pub fn because(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            cause: Some(Box::new(cause)),
        }
    }
}

/// The signature is not one of this key over this message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signature does not match")]
pub struct SignatureError;

/// The bytes are not a public key we can use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not the canonical SubjectPublicKeyInfo.
    #[error("the public key is not a canonical SubjectPublicKeyInfo")]
    Encoding(#[from] DerError),
    /// Not PEM.
    #[error("the public key is not PEM")]
    Pem(#[source] pem::PemError),
    /// No PEM block, or more than one.
    #[error("expected exactly one PEM public key")]
    Count,
    /// An algorithm or curve we do not read.
    #[error("the key is none of Ed25519, P-256, P-384 and RSA")]
    Unsupported,
    /// A point off the curve or of small order, or an RSA key outside 2048 to 8192 bits.
    #[error("the public key is not a point of its curve, or not RSA of 2048 to 8192 bits")]
    Invalid,
}

/// Writes a SubjectPublicKeyInfo.
pub(crate) fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    der_writer::sequence(&[algorithm, &der_writer::element(BIT_STRING, &[&[0], key])])
}

/// Reads a raw Ed25519 key, refusing small order and `y >= p`, which has a second spelling.
fn ed25519(raw: &[u8]) -> Result<VerifyingKey, KeyError> {
    thread_local! {
        /// To see that it is a point takes longer than to read the certificate around it.
        static RECENT: RefCell<Recent<VerifyingKey>> = const { RefCell::new(Recent::new()) };
    }
    RECENT.with_borrow_mut(|recent| {
        recent.get_or_read(raw, |raw| {
            let raw: &[u8; 32] = raw.try_into().map_err(|_| KeyError::Invalid)?;
            let key = VerifyingKey::from_bytes(raw).map_err(|_| KeyError::Invalid)?;
            if key.is_weak() || !is_canonical_y(raw) {
                return Err(KeyError::Invalid);
            }
            Ok(key)
        })
    })
}

/// Tells whether the y coordinate is below p = 2^255 - 19.
fn is_canonical_y(point: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = point;
    high & 0x7f != 0x7f || middle.iter().any(|b| *b != 0xff) || *low < 0xed
}

/// The eight points of small order, in their canonical encodings.
const SMALL_ORDER: [[u8; 32]; 8] = {
    let mut points = [[0; 32]; 8];
    points[0][0] = 1;
    points[1] = MINUS_ONE;
    points[3][31] = 0x80;
    points[4] = ORDER_8_A;
    points[5] = ORDER_8_A;
    points[5][31] |= 0x80;
    points[6] = ORDER_8_B;
    points[7] = ORDER_8_B;
    points[7][31] |= 0x80;
    points
};
const MINUS_ONE: [u8; 32] = {
    let mut y = [0xff; 32];
    y[0] = 0xec;
    y[31] = 0x7f;
    y
};
const ORDER_8_A: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];
const ORDER_8_B: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

/// Checks strictly, and once: the plain check recomputes R and compares its canonical encoding
/// with the signature's, so R has one spelling; the key was refused small order when it was read;
/// what is left of strictness is that R itself is not of small order.
fn verify_ed25519(
    key: &VerifyingKey,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let r: &[u8; 32] = signature.first_chunk().ok_or(SignatureError)?;
    if SMALL_ORDER.contains(r) {
        return Err(SignatureError);
    }
    let key = UnparsedPublicKey::new(&lc::ED25519, key.as_bytes());
    key.verify(message, signature).map_err(|_| SignatureError)
}

/// Tells whether the modulus has 2048 to 8192 bits.
fn is_rsa_length_allowed(key: &[u8]) -> bool {
    let modulus = |key| -> Result<usize, DerError> {
        let mut fields = Reader::only(key, SEQUENCE)?.reader();
        let modulus = fields.expect(crate::der_reader::INTEGER)?.value;
        Ok(modulus.iter().skip_while(|b| **b == 0).count())
    };
    modulus(key).is_ok_and(|bytes| (256..=1024).contains(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};

    /// ADR-012 of signet, and its NULL-parameter twin.
    #[test]
    fn names_a_key_by_its_canonical_encoding_only() {
        let raw: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let key = PublicKey::from_ed25519(&raw).unwrap();
        assert_eq!(key.kid().to_string(), "9408457aefd071cec127c1f985399308");
        assert_eq!(
            hex::encode(&key.spki_sha256()),
            "9408457aefd071cec127c1f98539930861ad1ba94c940db975c972c09fc68b68"
        );
        let mut null = hex::decode("302c300706032b65700500032100").unwrap();
        null.extend(raw);
        assert!(PublicKey::from_spki_der(&null).is_err());
    }

    #[test]
    fn key_ids_have_one_spelling() {
        for bad in ["", "9408457aefd071ce", "9408457AEFD071CEC127C1F985399308"] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_table_of_small_order_points_is_right() {
        for point in SMALL_ORDER {
            let key = VerifyingKey::from_bytes(&point).unwrap();
            assert!(key.is_weak(), "{point:02x?}");
            assert!(is_canonical_y(&point));
            assert!(PublicKey::from_ed25519(&point).is_err());
        }
        let distinct: std::collections::BTreeSet<_> = SMALL_ORDER.into();
        assert_eq!(distinct.len(), 8);
    }

    #[test]
    fn refuses_points_with_a_second_spelling() {
        // y = p + 3 is y = 3 again; both decode, one is the spelling.
        let mut second = [0xff; 32];
        second[0] = 0xf0;
        second[31] = 0x7f;
        let mut first = [0; 32];
        first[0] = 3;
        assert!(VerifyingKey::from_bytes(&second).is_ok());
        assert!(PublicKey::from_ed25519(&second).is_err());
        assert!(PublicKey::from_ed25519(&first).is_ok());
    }

    #[test]
    fn agrees_with_strict_verification_and_refuses_a_large_s() {
        let signing = SigningKey::from_bytes(&[7; 32]);
        let key = PublicKey::from_ed25519(signing.verifying_key().as_bytes()).unwrap();
        let good = signing.sign(b"message").to_bytes();
        assert!(key.verify(Hash::Sha512, b"message", &good).is_ok());
        for position in 0..64 {
            let mut bad = good;
            bad[position] ^= 1;
            assert!(key.verify(Hash::Sha512, b"message", &bad).is_err());
        }
        // S + L, the textbook malleation.
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
            .unwrap();
        let mut malleated = good;
        let mut carry = 0u16;
        for (byte, add) in malleated[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(key.verify(Hash::Sha512, b"message", &malleated).is_err());
    }

    #[test]
    fn refuses_a_commitment_of_small_order() {
        // S = k * a with R the identity verifies loosely; whoever made it used no nonce.
        let secret = [9; 32];
        let signing = SigningKey::from_bytes(&secret);
        let key = PublicKey::from_ed25519(signing.verifying_key().as_bytes()).unwrap();
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(key.verify(Hash::Sha512, b"", &signature).is_err());
        let strict = signing
            .verifying_key()
            .verify_strict(b"", &ed25519_dalek::Signature::from_bytes(&signature));
        assert!(strict.is_err());
    }
}
