//! Public keys as OpenSSH writes them, and what they sign with.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest,
    signature::{self as lc, UnparsedPublicKey},
};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

use super::{
    ecdsa::Curve,
    rsa,
    signature::{Flavour, Signature},
    wire::{Reader, WireError, Writer},
};
use crate::{
    der_writer,
    key::{self, KeyId, SignatureError, sha256},
    oid,
};

/// A kind of key that OpenSSH signs with.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyType {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp256`.
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`.
    EcdsaP384,
    /// `ecdsa-sha2-nistp521`.
    EcdsaP521,
    /// `ssh-rsa`, which signs with `rsa-sha2-256` and `rsa-sha2-512`.
    Rsa,
    /// `sk-ssh-ed25519@openssh.com`: Ed25519 in a security key.
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`: P-256 in a security key.
    SkEcdsaP256,
}

impl KeyType {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa,
        Self::SkEd25519,
        Self::SkEcdsaP256,
    ];

    /// Finds the kind of a plain key by its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Finds the kind of a certified key by the name of the certificate.
    pub fn named_certificate(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.certificate_name() == name)
    }

    /// Returns the name in key blobs and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521",
            Self::Rsa => "ssh-rsa",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// Returns the name of a certificate over such a key.
    pub const fn certificate_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519-cert-v01@openssh.com",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            Self::Rsa => "ssh-rsa-cert-v01@openssh.com",
            Self::SkEd25519 => "sk-ssh-ed25519-cert-v01@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        }
    }

    /// Returns the short name that ssh-keygen prints.
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ED25519",
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 => "ECDSA",
            Self::Rsa => "RSA",
            Self::SkEd25519 => "ED25519-SK",
            Self::SkEcdsaP256 => "ECDSA-SK",
        }
    }
}

/// A plain public key, checked when it was read. The same key has one blob, however it was
/// spelled.
#[derive(Clone)]
pub struct PublicKey {
    blob: Box<[u8]>,
    material: Arc<Material>,
}

enum Material {
    Ed25519(key::PublicKey),
    Ecdsa {
        curve: Curve,
        point: Box<[u8]>,
    },
    Rsa {
        der: Box<[u8]>,
        bits: usize,
    },
    SkEd25519 {
        key: key::PublicKey,
        application: Box<str>,
    },
    SkEcdsa {
        point: Box<[u8]>,
        application: Box<str>,
    },
}

impl PublicKey {
    /// Reads a key blob.
    ///
    /// # Errors
    /// [`KeyError`] for a kind that we do not read, a key that is none, or an encoding that is.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(blob);
        let name = reader.text()?;
        let kind = KeyType::named(name).ok_or_else(|| KeyError::unsupported(name))?;
        let key = Self::read_fields(kind, &mut reader)?;
        reader.finish()?;
        Ok(key)
    }

    /// Returns our own key in OpenSSH's encoding.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for RSA, which we never hold.
    pub fn from_key(key: &key::PublicKey) -> Result<Self, KeyError> {
        match key.ed25519_bytes() {
            Some(raw) => {
                let fields = Writer::new().string(&raw).finish();
                Self::read_fields(KeyType::Ed25519, &mut Reader::new(&fields))
            }
            None => Err(KeyError::unsupported(key.algorithm().as_str())),
        }
    }

    /// Reads the fields that come after a key's name, or after a certificate's nonce.
    pub(super) fn read_fields(kind: KeyType, reader: &mut Reader<'_>) -> Result<Self, KeyError> {
        let material = match kind {
            KeyType::Ed25519 => Material::Ed25519(ed25519(reader.string()?)?),
            KeyType::EcdsaP256 => ecdsa(Curve::P256, reader)?,
            KeyType::EcdsaP384 => ecdsa(Curve::P384, reader)?,
            KeyType::EcdsaP521 => ecdsa(Curve::P521, reader)?,
            KeyType::Rsa => {
                let exponent = reader.unsigned()?;
                let modulus = reader.unsigned()?;
                return Self::from_rsa(modulus, exponent);
            }
            KeyType::SkEd25519 => Material::SkEd25519 {
                key: ed25519(reader.string()?)?,
                application: reader.text()?.into(),
            },
            KeyType::SkEcdsaP256 => Material::SkEcdsa {
                point: point(Curve::P256, reader)?,
                application: reader.text()?.into(),
            },
        };
        let start = Writer::new().string(kind.name().as_bytes());
        let blob = match &material {
            Material::Ed25519(key) => start.string(&raw(key)),
            Material::Ecdsa { curve, point } => start.string(curve.name().as_bytes()).string(point),
            Material::SkEd25519 { key, application } => {
                start.string(&raw(key)).string(application.as_bytes())
            }
            Material::SkEcdsa { point, application } => start
                .string(Curve::P256.name().as_bytes())
                .string(point)
                .string(application.as_bytes()),
            Material::Rsa { .. } => start,
        };
        Ok(Self {
            blob: blob.finish().into(),
            material: material.into(),
        })
    }

    fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        if modulus.len().max(exponent.len()) > rsa::NUMBER_MAX {
            return Err(KeyError::Invalid);
        }
        // Even or tiny exponents make no RSA key; neither does a modulus shorter than one.
        let odd = |digits: &[u8]| digits.last().is_some_and(|last| last & 1 == 1);
        if !odd(modulus) || !odd(exponent) || exponent == [1] {
            return Err(KeyError::Invalid);
        }
        let blob = Writer::new()
            .string(KeyType::Rsa.name().as_bytes())
            .unsigned(exponent)
            .unsigned(modulus);
        Ok(Self {
            blob: blob.finish().into(),
            material: Arc::new(Material::Rsa {
                der: rsa::public_key_der(modulus, exponent).into(),
                bits: rsa::bits(modulus),
            }),
        })
    }

    /// Returns the key blob.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Returns the key when it is Ed25519, and not in a security key.
    pub fn ed25519(&self) -> Option<&key::PublicKey> {
        match &*self.material {
            Material::Ed25519(key) => Some(key),
            Material::Ecdsa { .. }
            | Material::Rsa { .. }
            | Material::SkEd25519 { .. }
            | Material::SkEcdsa { .. } => None,
        }
    }

    /// Returns the kind of key.
    pub fn key_type(&self) -> KeyType {
        match &*self.material {
            Material::Ed25519(_) => KeyType::Ed25519,
            Material::Ecdsa { curve, .. } => match curve {
                Curve::P256 => KeyType::EcdsaP256,
                Curve::P384 => KeyType::EcdsaP384,
                Curve::P521 => KeyType::EcdsaP521,
            },
            Material::Rsa { .. } => KeyType::Rsa,
            Material::SkEd25519 { .. } => KeyType::SkEd25519,
            Material::SkEcdsa { .. } => KeyType::SkEcdsaP256,
        }
    }

    /// Returns the fingerprint as ssh-keygen prints it: `SHA256:` and unpadded base64.
    pub fn fingerprint(&self) -> String {
        let digest = BASE64_STANDARD_NO_PAD.encode(sha256(&self.blob));
        format!("SHA256:{digest}")
    }

    /// Returns the SHA-1 of the blob, which old revocation lists name keys by.
    pub(super) fn sha1(&self) -> Vec<u8> {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.blob);
        digest.as_ref().to_vec()
    }

    /// Returns the key id: that of the SubjectPublicKeyInfo. A key in a security key has the id
    /// that it would have outside.
    pub fn kid(&self) -> KeyId {
        KeyId::of_spki(&self.spki())
    }

    /// Returns the SHA-256 of the SubjectPublicKeyInfo: what trust is pinned by.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki())
    }

    fn spki(&self) -> Vec<u8> {
        let named = |curve, point: &[u8]| {
            let oid = match curve {
                Curve::P256 => oid::P256,
                Curve::P384 => oid::P384,
                Curve::P521 => oid::P521,
            };
            let algorithm = [der_writer::oid(oid::EC_PUBLIC_KEY), der_writer::oid(oid)].concat();
            key::spki(&der_writer::sequence(&[&algorithm]), point)
        };
        match &*self.material {
            Material::Ed25519(key) | Material::SkEd25519 { key, .. } => key.spki_der().to_vec(),
            Material::Ecdsa { curve, point } => named(*curve, point),
            Material::SkEcdsa { point, .. } => named(Curve::P256, point),
            Material::Rsa { der, .. } => {
                let null = der_writer::element(crate::der_reader::NULL, &[]);
                let algorithm = [der_writer::oid(oid::RSA_ENCRYPTION), null].concat();
                key::spki(&der_writer::sequence(&[&algorithm]), der)
            }
        }
    }

    /// Checks a signature over `message`: by the algorithm that goes with the key, with any
    /// SHA-2 for RSA. Ed25519 is strict, as in [`key::PublicKey::verify`].
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self, message: &[u8], signature: &Signature<'_>) -> Result<(), VerifyError> {
        let refused = |_| VerifyError::Mismatch;
        match (&*self.material, signature.flavour()) {
            (Material::Ed25519(key), Flavour::Ed25519(raw)) => {
                Ok(key.verify(key::Hash::Sha512, message, raw)?)
            }
            (Material::SkEd25519 { key, application }, Flavour::SkEd25519(raw, presence)) => {
                let message = presence.covered(application, message);
                Ok(key.verify(key::Hash::Sha512, &message, raw)?)
            }
            (Material::Ecdsa { curve, point }, Flavour::Ecdsa(of, r, s)) if curve == of => {
                let fixed = curve.fixed(r, s).ok_or(VerifyError::Mismatch)?;
                UnparsedPublicKey::new(curve.algorithm(), point)
                    .verify(message, &fixed)
                    .map_err(refused)
            }
            (Material::SkEcdsa { point, application }, Flavour::SkEcdsa(r, s, presence)) => {
                let message = presence.covered(application, message);
                let fixed = Curve::P256.fixed(r, s).ok_or(VerifyError::Mismatch)?;
                UnparsedPublicKey::new(Curve::P256.algorithm(), point)
                    .verify(&message, &fixed)
                    .map_err(refused)
            }
            (Material::Rsa { der, bits }, Flavour::Rsa(hash, raw)) => {
                check_rsa_length(*bits)?;
                let algorithm = match hash {
                    key::Hash::Sha256 => &lc::RSA_PKCS1_2048_8192_SHA256,
                    key::Hash::Sha384 => &lc::RSA_PKCS1_2048_8192_SHA384,
                    key::Hash::Sha512 => &lc::RSA_PKCS1_2048_8192_SHA512,
                };
                // Some signers leave out leading zeros; OpenSSH puts them back.
                let zeros = bits.div_ceil(8).saturating_sub(raw.len());
                let padded = [&vec![0; zeros], *raw].concat();
                UnparsedPublicKey::new(algorithm, der)
                    .verify(message, &padded)
                    .map_err(refused)
            }
            _ => Err(VerifyError::OtherAlgorithm {
                key: self.key_type().name(),
                signature: signature.name().to_owned(),
            }),
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.blob == other.blob
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.key_type().name();
        write!(f, "PublicKey({name} {})", self.fingerprint())
    }
}

fn check_rsa_length(bits: usize) -> Result<(), VerifyError> {
    match bits {
        ..rsa::BITS_MIN => Err(VerifyError::RsaTooShort(bits)),
        rsa::BITS_MIN..=rsa::BITS_MAX => Ok(()),
        _ => Err(VerifyError::RsaTooLong(bits)),
    }
}

fn ed25519(raw: &[u8]) -> Result<key::PublicKey, KeyError> {
    let raw = raw.try_into().map_err(|_| KeyError::Invalid)?;
    key::PublicKey::from_ed25519(raw).map_err(|_| KeyError::Invalid)
}

fn raw(key: &key::PublicKey) -> Vec<u8> {
    key.ed25519_bytes().map(Vec::from).unwrap_or_default()
}

fn ecdsa(curve: Curve, reader: &mut Reader<'_>) -> Result<Material, KeyError> {
    let point = point(curve, reader)?;
    Ok(Material::Ecdsa { curve, point })
}

fn point(curve: Curve, reader: &mut Reader<'_>) -> Result<Box<[u8]>, KeyError> {
    if reader.text()? != curve.name() {
        return Err(KeyError::Invalid);
    }
    let point = reader.string()?;
    match curve.has(point) {
        true => Ok(point.into()),
        false => Err(KeyError::Invalid),
    }
}

/// The bytes are not a public key that we can use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The encoding is broken.
    #[error("the key is malformed: {0}")]
    Wire(#[from] WireError),
    /// A kind of key that we do not read.
    #[error("keys of type `{0}` are not supported")]
    Unsupported(String),
    /// A point off the curve or of small order, or numbers that are no RSA key.
    #[error("the key is not a valid one")]
    Invalid,
}

impl KeyError {
    pub(super) fn unsupported(name: &str) -> Self {
        let printable = name.chars().filter(|c| c.is_ascii_graphic());
        Self::Unsupported(printable.take(64).collect())
    }
}

/// The signature is not one of this key over this message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// It does not match.
    #[error("incorrect signature")]
    Mismatch,
    /// It was made by an algorithm that the key does not sign with.
    #[error("a key of type `{key}` made no signature of type `{signature}`")]
    OtherAlgorithm {
        /// The key's type.
        key: &'static str,
        /// The signature's.
        signature: String,
    },
    /// The RSA key is short enough to be broken.
    #[error("the RSA key has {0} bits, fewer than 2048")]
    RsaTooShort(usize),
    /// The RSA key is longer than we can compute with.
    #[error("the RSA key has {0} bits, more than the 8192 that can be checked")]
    RsaTooLong(usize),
}

impl From<SignatureError> for VerifyError {
    fn from(_: SignatureError) -> Self {
        Self::Mismatch
    }
}
