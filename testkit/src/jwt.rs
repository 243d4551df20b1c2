//! Signed tokens (JWT), and the keys that sign them.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use notme_core::{base64, jwk, key::Signer as _, pem};
use serde_json::{Value, json};

use crate::{
    keys::{Ed25519Key, P256Key},
    testdata,
};

/// A key that signs tokens.
pub enum TokenKey {
    /// RS256.
    Rsa(RsaKeyPair),
    /// ES256.
    P256(P256Key),
    /// EdDSA.
    Ed25519(Ed25519Key),
}

impl TokenKey {
    /// Returns the throw-away RSA key that the reference's fixtures were made with.
    ///
    /// # Panics
    /// When the file in `testdata/` is not that key.
    pub fn rsa() -> Self {
        let blocks = pem::decode_all("PRIVATE KEY", &testdata::text("notme-authority/gha.pem"))
            .expect("the file is PEM");
        let der = blocks.first().expect("the file holds a key");
        Self::Rsa(RsaKeyPair::from_pkcs8(der).expect("the key is RSA"))
    }

    /// Makes an RSA key of its own.
    ///
    /// # Panics
    /// Without randomness.
    pub fn new_rsa() -> Self {
        Self::Rsa(
            RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("there is randomness"),
        )
    }

    /// Returns the P-256 key of a seed.
    pub fn p256(seed: u8) -> Self {
        Self::P256(P256Key::from_seed([seed; 32]))
    }

    /// Returns the Ed25519 key of a seed.
    pub fn ed25519(seed: u8) -> Self {
        Self::Ed25519(Ed25519Key::from_seed([seed; 32]))
    }

    /// Returns the algorithm's name in a header.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// Returns the public half as a JWK, without a name.
    ///
    /// # Panics
    /// Never, for keys that were made here.
    pub fn jwk(&self) -> Value {
        match self {
            Self::Rsa(key) => {
                // RSAPublicKey of 2048 bits: two heads of four bytes, a zero, the modulus.
                let der = key.public_key().as_ref();
                let modulus = der.get(9..9 + 256).expect("the key has 2048 bits");
                json!({"kty": "RSA", "n": base64::encode_url(modulus), "e": "AQAB"})
            }
            Self::P256(key) => {
                let point = key.public_key().p256_sec1().expect("the key is P-256");
                let (x, y) = point.split_at(1).1.split_at(32);
                json!({
                    "kty": "EC",
                    "crv": "P-256",
                    "x": base64::encode_url(x),
                    "y": base64::encode_url(y),
                })
            }
            Self::Ed25519(key) => {
                let raw = key
                    .public_key()
                    .ed25519_bytes()
                    .expect("the key is Ed25519");
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64::encode_url(&raw)})
            }
        }
    }

    /// Returns the thumbprint of the public half; `None` for RSA.
    ///
    /// # Panics
    /// Never, for keys that were made here.
    pub fn thumbprint(&self) -> Option<String> {
        match self {
            Self::Rsa(_) => None,
            Self::P256(key) => jwk::thumbprint(key.public_key()),
            Self::Ed25519(key) => jwk::thumbprint(key.public_key()),
        }
    }

    /// Signs a token, whatever header and claims say.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| base64::encode_url(value.to_string().as_bytes());
        self.sign_parts(&part(header), &part(claims))
    }

    /// Signs two parts as they are.
    ///
    /// # Panics
    /// When the key cannot sign.
    pub fn sign_parts(&self, header: &str, claims: &str) -> String {
        let input = format!("{header}.{claims}");
        let signature = self.sign_bytes(input.as_bytes());
        format!("{input}.{}", base64::encode_url(&signature))
    }

    /// Signs bytes, as tokens carry it.
    ///
    /// # Panics
    /// When the key cannot sign.
    pub fn sign_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    bytes,
                    &mut signature,
                )
                .expect("the buffer has the modulus's length");
                signature
            }
            Self::P256(key) => key.sign_fixed(bytes),
            Self::Ed25519(key) => key.sign(bytes).expect("throw-away keys always sign"),
        }
    }
}
