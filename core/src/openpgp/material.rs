//! Key material, and the mathematics of one signature over one digest.
//!
//! The packet reader knows slower arithmetic and laxer rules than we want: what it read is taken
//! apart here and given to the primitives that everything else in notme is checked with.

use aws_lc_rs::{digest, signature as lc};
use pgp::{
    crypto::{hash::HashAlgorithm, public_key::PublicKeyAlgorithm},
    ser::Serialize as _,
    types::{KeyDetails, PublicParams, SignatureBytes},
};

use super::OpenPgpError;
use crate::{
    der_reader::{BIT_STRING, NULL, OBJECT_IDENTIFIER},
    der_writer,
    key::{Hash, PublicKey, SignatureError},
    oid,
};

/// A kind of key, as far as messages and status lines tell them apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyKind {
    /// Ed25519 under the number that gpg gave it (22), or under that of RFC 9580 (27).
    Ed25519 {
        /// The number.
        number: u8,
    },
    /// ECDSA on a NIST curve.
    Ecdsa {
        /// Bits of the curve.
        bits: u16,
    },
    /// RSA.
    Rsa {
        /// Bits of the modulus.
        bits: u16,
    },
    /// Anything that we do not verify with.
    Other {
        /// The number of the algorithm.
        number: u8,
    },
}

impl KeyKind {
    /// Returns the number of the algorithm (RFC 9580 section 9.1).
    pub const fn number(self) -> u8 {
        match self {
            Self::Ed25519 { number } | Self::Other { number } => number,
            Self::Ecdsa { .. } => 19,
            Self::Rsa { .. } => 1,
        }
    }

    /// Returns the name that gpg prints.
    pub fn name(self) -> String {
        match self {
            Self::Ed25519 { number: 22 } => "EDDSA".to_owned(),
            Self::Ed25519 { .. } => "Ed25519".to_owned(),
            Self::Ecdsa { .. } => "ECDSA".to_owned(),
            Self::Rsa { .. } => "RSA".to_owned(),
            Self::Other { number } => format!("algorithm {number}"),
        }
    }
}

/// A hash function of a signature that we accept.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SignatureHash(pub(super) Hash);

impl SignatureHash {
    pub(super) fn of(algorithm: HashAlgorithm) -> Result<Self, OpenPgpError> {
        match algorithm {
            HashAlgorithm::Sha256 => Ok(Self(Hash::Sha256)),
            HashAlgorithm::Sha384 => Ok(Self(Hash::Sha384)),
            HashAlgorithm::Sha512 => Ok(Self(Hash::Sha512)),
            HashAlgorithm::Md5 => Err(OpenPgpError::AlgorithmWeak("MD5")),
            HashAlgorithm::Sha1 => Err(OpenPgpError::AlgorithmWeak("SHA-1")),
            HashAlgorithm::Ripemd160 => Err(OpenPgpError::AlgorithmWeak("RIPEMD-160")),
            other => Err(OpenPgpError::AlgorithmUnsupported(other.to_string())),
        }
    }

    /// Returns the hash.
    pub const fn hash(self) -> Hash {
        self.0
    }

    /// Returns its number (RFC 9580 section 9.5).
    pub const fn number(self) -> u8 {
        match self.0 {
            Hash::Sha256 => 8,
            Hash::Sha384 => 9,
            Hash::Sha512 => 10,
        }
    }

    fn digest(self, bytes: &[u8]) -> Result<digest::Digest, SignatureError> {
        let algorithm = match self.0 {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
        };
        digest::Digest::import_less_safe(bytes, algorithm).map_err(|_| SignatureError)
    }
}

/// Key material that was checked when it was read.
#[derive(Clone, Debug)]
pub(super) enum Material {
    Ed25519(PublicKey, u8),
    Ecdsa(Curve, Box<[u8]>),
    /// The RSAPublicKey of RFC 8017, and the bits of the modulus.
    Rsa(Box<[u8]>, u16),
    /// Too short to be safe.
    Weak(&'static str, KeyKind),
    /// A key for encryption, or of a kind that we do not read.
    Other(u8),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Material {
    pub(super) fn of(key: &dyn KeyDetails) -> Result<Self, OpenPgpError> {
        let params = key.public_params();
        let number = u8::from(key.algorithm());
        let bytes = params.to_bytes().map_err(OpenPgpError::packet)?;
        Ok(match params {
            PublicParams::Ed25519(_) => {
                Self::Ed25519(ed25519(&bytes).ok_or(OpenPgpError::NotKey)??, number)
            }
            PublicParams::EdDSALegacy(_) => match after_oid(&bytes) {
                Some((ED25519_OID, point)) => {
                    // The point is an MPI whose first byte, 0x40, says that it is one in the
                    // curve's own form.
                    let point = only_mpi(point).and_then(|point| point.strip_prefix(&[0x40]));
                    let point = point.ok_or(OpenPgpError::NotKey)?;
                    Self::Ed25519(ed25519(point).ok_or(OpenPgpError::NotKey)??, number)
                }
                _ => Self::Other(number),
            },
            PublicParams::ECDSA(_) => {
                let (name, point) = after_oid(&bytes).ok_or(OpenPgpError::NotKey)?;
                let Some(curve) = Curve::named(name) else {
                    return Ok(Self::Other(number));
                };
                let point = only_mpi(point).ok_or(OpenPgpError::NotKey)?;
                Self::Ecdsa(curve, point.into())
            }
            PublicParams::RSA(_) if key.algorithm() == PublicKeyAlgorithm::RSAEncrypt => {
                Self::Other(number)
            }
            PublicParams::RSA(_) => rsa(&bytes).ok_or(OpenPgpError::NotKey)?,
            PublicParams::DSA(_) => Self::Weak("DSA", KeyKind::Other { number }),
            _ => Self::Other(number),
        })
    }

    pub(super) fn kind(&self) -> KeyKind {
        match self {
            Self::Ed25519(_, number) => KeyKind::Ed25519 { number: *number },
            Self::Ecdsa(curve, _) => KeyKind::Ecdsa { bits: curve.bits() },
            Self::Rsa(_, bits) => KeyKind::Rsa { bits: *bits },
            Self::Weak(_, kind) => *kind,
            Self::Other(number) => KeyKind::Other { number: *number },
        }
    }

    /// Returns the DER SubjectPublicKeyInfo of what we can verify with.
    pub(super) fn spki(&self) -> Option<Vec<u8>> {
        let (algorithm, key) = match self {
            Self::Ed25519(key, _) => return Some(key.spki_der().to_vec()),
            Self::Ecdsa(curve, point) => (
                der_writer::sequence(&[
                    &der_writer::oid(oid::EC_PUBLIC_KEY),
                    &der_writer::element(OBJECT_IDENTIFIER, &[curve.oid()]),
                ]),
                point,
            ),
            Self::Rsa(key, _) => (
                der_writer::sequence(&[
                    &der_writer::oid(oid::RSA_ENCRYPTION),
                    &der_writer::element(NULL, &[]),
                ]),
                key,
            ),
            Self::Weak(..) | Self::Other(_) => return None,
        };
        Some(der_writer::sequence(&[
            &algorithm,
            &der_writer::element(BIT_STRING, &[&[0], key]),
        ]))
    }

    /// Tells whether signatures of this key can be checked, apart from the signature itself.
    pub(super) fn check_usable(&self, algorithm: PublicKeyAlgorithm) -> Result<(), OpenPgpError> {
        let fits = match self {
            Self::Ed25519(_, number) => u8::from(algorithm) == *number,
            Self::Ecdsa(..) => algorithm == PublicKeyAlgorithm::ECDSA,
            Self::Rsa(..) => matches!(
                algorithm,
                PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSASign
            ),
            Self::Weak(what, _) => return Err(OpenPgpError::AlgorithmWeak(what)),
            Self::Other(number) => {
                return Err(OpenPgpError::AlgorithmUnsupported(number.to_string()));
            }
        };
        match fits {
            true => Ok(()),
            false => Err(OpenPgpError::Issuer),
        }
    }

    /// Checks a signature over a digest.
    pub(super) fn verify(
        &self,
        hash: SignatureHash,
        digest: &[u8],
        signature: &SignatureBytes,
    ) -> Result<(), SignatureError> {
        match self {
            Self::Ed25519(key, _) => {
                // Its message is the digest (RFC 9580 section 5.2.3.3).
                key.verify(hash.hash(), digest, &ed25519_signature(signature)?)
            }
            Self::Ecdsa(curve, point) => {
                let [r, s] = two_numbers(signature)?;
                let der =
                    der_writer::sequence(&[&der_writer::unsigned(r), &der_writer::unsigned(s)]);
                lc::UnparsedPublicKey::new(curve.algorithm(hash.hash()), point)
                    .verify_digest(&hash.digest(digest)?, &der)
                    .map_err(|_| SignatureError)
            }
            Self::Rsa(key, bits) => {
                let SignatureBytes::Mpis(numbers) = signature else {
                    return Err(SignatureError);
                };
                let [number] = numbers.as_slice() else {
                    return Err(SignatureError);
                };
                let length = usize::from(bits.div_ceil(8));
                let padded = left_padded(number.as_ref(), length).ok_or(SignatureError)?;
                let algorithm = match hash.hash() {
                    Hash::Sha256 => &lc::RSA_PKCS1_2048_8192_SHA256,
                    Hash::Sha384 => &lc::RSA_PKCS1_2048_8192_SHA384,
                    Hash::Sha512 => &lc::RSA_PKCS1_2048_8192_SHA512,
                };
                lc::UnparsedPublicKey::new(algorithm, key)
                    .verify_digest(&hash.digest(digest)?, &padded)
                    .map_err(|_| SignatureError)
            }
            Self::Weak(..) | Self::Other(_) => Err(SignatureError),
        }
    }
}

impl Curve {
    fn named(oid: &[u8]) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521]
            .into_iter()
            .find(|curve| curve.oid() == oid)
    }

    const fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }

    const fn bits(self) -> u16 {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    fn algorithm(self, hash: Hash) -> &'static lc::EcdsaVerificationAlgorithm {
        match (self, hash) {
            (Self::P256, Hash::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
            (Self::P256, Hash::Sha384) => &lc::ECDSA_P256_SHA384_ASN1,
            (Self::P256, Hash::Sha512) => &lc::ECDSA_P256_SHA512_ASN1,
            (Self::P384, Hash::Sha256) => &lc::ECDSA_P384_SHA256_ASN1,
            (Self::P384, Hash::Sha384) => &lc::ECDSA_P384_SHA384_ASN1,
            (Self::P384, Hash::Sha512) => &lc::ECDSA_P384_SHA512_ASN1,
            (Self::P521, Hash::Sha256) => &lc::ECDSA_P521_SHA256_ASN1,
            (Self::P521, Hash::Sha384) => &lc::ECDSA_P521_SHA384_ASN1,
            (Self::P521, Hash::Sha512) => &lc::ECDSA_P521_SHA512_ASN1,
        }
    }
}

fn ed25519(raw: &[u8]) -> Option<Result<PublicKey, OpenPgpError>> {
    let raw = raw.try_into().ok()?;
    Some(PublicKey::from_ed25519(raw).map_err(OpenPgpError::from))
}

/// Returns R and S side by side.
fn ed25519_signature(signature: &SignatureBytes) -> Result<Vec<u8>, SignatureError> {
    if let SignatureBytes::Native(bytes) = signature {
        return Ok(bytes.to_vec());
    }
    let [r, s] = two_numbers(signature)?;
    let padded = |number| left_padded(number, 32).ok_or(SignatureError);
    Ok([padded(r)?, padded(s)?].concat())
}

fn two_numbers(signature: &SignatureBytes) -> Result<[&[u8]; 2], SignatureError> {
    match signature {
        SignatureBytes::Mpis(numbers) => match numbers.as_slice() {
            [r, s] => Ok([r.as_ref(), s.as_ref()]),
            _ => Err(SignatureError),
        },
        SignatureBytes::Native(_) => Err(SignatureError),
    }
}

fn left_padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut padded = vec![0; length.checked_sub(number.len())?];
    padded.extend_from_slice(number);
    Some(padded)
}

fn rsa(params: &[u8]) -> Option<Material> {
    let (modulus, rest) = mpi(params)?;
    let exponent = only_mpi(rest)?;
    let leading = modulus.first()?.leading_zeros();
    let bits = u16::try_from(modulus.len() * 8).ok()? - u16::try_from(leading).ok()?;
    let kind = KeyKind::Rsa { bits };
    if bits < RSA_MIN {
        return Some(Material::Weak("RSA of less than 2048 bits", kind));
    }
    let key = der_writer::sequence(&[
        &der_writer::unsigned(modulus),
        &der_writer::unsigned(exponent),
    ]);
    Some(Material::Rsa(key.into(), bits))
}

/// Takes the length-prefixed object identifier off the front.
fn after_oid(params: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = params.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// Takes a multiprecision integer off the front.
fn mpi(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bits, rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*bits)).div_ceil(8);
    rest.split_at_checked(length)
}

fn only_mpi(bytes: &[u8]) -> Option<&[u8]> {
    match mpi(bytes)? {
        (number, []) => Some(number),
        _ => None,
    }
}

/// 1.3.6.1.4.1.11591.15.1, gpg's name of Ed25519.
const ED25519_OID: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];
const RSA_MIN: u16 = 2048;
