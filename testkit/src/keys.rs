//! Throw-away keys from seeds. Never a secret: the seed is in the test.

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use ed25519_dalek::Signer as _;
use notme_core::{
    key::{PublicKey, SignError, Signer},
    pem,
};

/// PKCS#8 `OneAsymmetricKey` of an Ed25519 seed, up to the seed (RFC 8410 section 7).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// PKCS#8 of a P-256 scalar, up to the scalar, without the optional public key (RFC 5915).
const P256_PKCS8: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01,
    0x01, 0x04, 0x20,
];

/// An Ed25519 key from a seed.
pub struct Ed25519Key {
    secret: ed25519_dalek::SigningKey,
    public: PublicKey,
}

impl Ed25519Key {
    /// Builds the key of a seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(&seed);
        let public = PublicKey::from_ed25519(secret.verifying_key().as_bytes())
            .expect("a key derived from a seed is a valid point");
        Self { secret, public }
    }

    /// Returns the private key as PKCS#8 PEM, for foreign programs.
    pub fn pkcs8_pem(&self) -> String {
        let der = [&ED25519_PKCS8[..], self.secret.as_bytes()].concat();
        pem::encode("PRIVATE KEY", &der)
    }
}

impl Signer for Ed25519Key {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.secret.sign(message).to_bytes().to_vec())
    }
}

/// A P-256 key from a seed; signs deterministically (RFC 6979).
pub struct P256Key {
    secret: p256::ecdsa::SigningKey,
    public: PublicKey,
}

impl P256Key {
    /// Builds the key whose scalar is the seed.
    ///
    /// # Panics
    /// When the seed is zero or not below the group order.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let secret =
            p256::ecdsa::SigningKey::from_bytes(&seed.into()).expect("the seed is a valid scalar");
        let point = secret.verifying_key().to_encoded_point(false);
        let public =
            PublicKey::from_p256_sec1(point.as_bytes()).expect("a derived point is on the curve");
        Self { secret, public }
    }

    /// Returns the private key as PKCS#8 PEM, for foreign programs.
    pub fn pkcs8_pem(&self) -> String {
        let der = [&P256_PKCS8[..], &self.secret.to_bytes()].concat();
        pem::encode("PRIVATE KEY", &der)
    }

    /// Signs over SHA-256 in the fixed `r || s` form, as proofs of possession carry it.
    pub fn sign_fixed(&self, message: &[u8]) -> Vec<u8> {
        let signature: p256::ecdsa::Signature = self.secret.sign(message);
        signature.to_bytes().to_vec()
    }
}

impl Signer for P256Key {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature: p256::ecdsa::DerSignature = self.secret.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}

/// A P-384 key, another one each time; signs over SHA-384.
pub struct P384Key {
    secret: EcdsaKeyPair,
    public: PublicKey,
}

impl P384Key {
    /// Makes a key.
    ///
    /// # Panics
    /// When the operating system has no randomness.
    pub fn generate() -> Self {
        let secret = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING);
        let secret = secret.expect("the operating system has randomness");
        let spki: PublicKeyX509Der<'_> =
            (secret.public_key().as_der()).expect("a key has an encoding");
        let public = PublicKey::from_spki_der(spki.as_ref());
        Self {
            public: public.expect("the point of a key is on the curve"),
            secret,
        }
    }
}

impl Signer for P384Key {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self.secret.sign(&SystemRandom::new(), message);
        Ok(signature
            .map_err(|_| SignError::default())?
            .as_ref()
            .to_vec())
    }
}
