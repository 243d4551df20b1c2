//! The private keys of an authority, whatever they certify.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer as _,
    error::KeyRejected,
    pkcs8::Document,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use notme_core::key::{PublicKey, SignError, Signer};
use notme_local::LockedMemory;

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

/// What a key is sealed under: it opens in no other place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyName {
    role: &'static str,
    epoch: u64,
}

impl KeyName {
    pub(crate) const fn new(role: &'static str, epoch: u64) -> Self {
        Self { role, epoch }
    }
}

/// Those of the first epoch are older than epochs.
impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            1 => f.write_str(self.role),
            epoch => write!(f, "{}/{epoch}", self.role),
        }
    }
}

/// A private key, in locked memory. It leaves it for the moment of a signature, in memory that
/// aws-lc clears when it frees it.
pub(crate) struct CaKey {
    kind: KeyKind,
    pkcs8: LockedMemory,
    public: PublicKey,
}

enum KeyPair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl CaKey {
    /// Makes a new one, and the sealed form to keep under its name.
    pub(crate) fn found(
        name: KeyName,
        kind: KeyKind,
        kek: &Kek,
    ) -> Result<(Self, Vec<u8>), CaError> {
        let document = generate(kind)?;
        let key = Self::load(name.role, kind, document.as_ref())?;
        Ok((key, kek.seal(&name.to_string(), document.as_ref())?))
    }

    /// Opens a kept one.
    pub(crate) fn open(
        name: KeyName,
        kind: KeyKind,
        sealed: Option<&[u8]>,
        kek: &Kek,
    ) -> Result<Self, CaError> {
        let sealed = sealed.ok_or(CaError::Missing(name.role))?;
        Self::load(name.role, kind, &kek.open(&name.to_string(), sealed)?)
    }

    fn load(name: &'static str, kind: KeyKind, pkcs8: &[u8]) -> Result<Self, CaError> {
        let damaged = |_| CaError::Mismatch(name);
        let spki = match KeyPair::open(kind, pkcs8).map_err(damaged)? {
            KeyPair::Ed25519(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
            KeyPair::P256(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
        }
        .map_err(|_| CaError::Mismatch(name))?;
        Ok(Self {
            kind,
            pkcs8: LockedMemory::of(pkcs8).map_err(CaError::Memory)?,
            public: PublicKey::from_spki_der(&spki)?,
        })
    }
}

impl KeyPair {
    fn open(kind: KeyKind, pkcs8: &[u8]) -> Result<Self, KeyRejected> {
        Ok(match kind {
            KeyKind::Ed25519 => Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8)?),
            KeyKind::P256 => Self::P256(EcdsaKeyPair::from_pkcs8(
                &ECDSA_P256_SHA256_ASN1_SIGNING,
                pkcs8,
            )?),
        })
    }
}

impl Signer for CaKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match KeyPair::open(self.kind, self.pkcs8.bytes()).map_err(|_| SignError)? {
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
