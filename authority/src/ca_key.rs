//! The private keys of an authority, whatever they certify.

use aws_lc_rs::{
    encoding::AsDer as _,
    pkcs8::Document,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use notme_core::key::{PublicKey, SignError, Signer};

use crate::{
    ca::CaError,
    seal::{Kek, SealError},
};

/// What a key is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyKind {
    Ed25519,
    P256,
}

/// A private key; aws-lc clears the memory when it frees it.
pub(crate) struct CaKey {
    pair: KeyPair,
    public: PublicKey,
}

enum KeyPair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl CaKey {
    /// Makes a new one, and the sealed form to keep under `name`.
    pub(crate) fn found(
        name: &'static str,
        kind: KeyKind,
        kek: &Kek,
    ) -> Result<(Self, Vec<u8>), CaError> {
        let document = generate(kind)?;
        let key = Self::load(name, kind, document.as_ref())?;
        Ok((key, kek.seal(name, document.as_ref())?))
    }

    /// Opens a kept one.
    pub(crate) fn open(
        name: &'static str,
        kind: KeyKind,
        sealed: &[u8],
        kek: &Kek,
    ) -> Result<Self, CaError> {
        Self::load(name, kind, &kek.open(name, sealed)?)
    }

    fn load(name: &'static str, kind: KeyKind, pkcs8: &[u8]) -> Result<Self, CaError> {
        let damaged = |_| CaError::Mismatch(name);
        let pair = match kind {
            KeyKind::Ed25519 => {
                KeyPair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(damaged)?)
            }
            KeyKind::P256 => KeyPair::P256(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
                    .map_err(damaged)?,
            ),
        };
        let spki = match &pair {
            KeyPair::Ed25519(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
            KeyPair::P256(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
        }
        .map_err(|_| CaError::Mismatch(name))?;
        Ok(Self {
            pair,
            public: PublicKey::from_spki_der(&spki)?,
        })
    }
}

impl Signer for CaKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.pair {
            KeyPair::Ed25519(pair) => pair.try_sign(message),
            KeyPair::P256(pair) => pair.sign(&SystemRandom::new(), message),
        }
        .map(|signature| signature.as_ref().to_vec())
        .map_err(|_| SignError)
    }
}

fn generate(kind: KeyKind) -> Result<Document, CaError> {
    let random = SystemRandom::new();
    match kind {
        KeyKind::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        KeyKind::P256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
    }
    .map_err(|_| CaError::Seal(SealError::Random))
}
