//! The private keys of an authority, whatever they certify.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    encoding::AsDer as _,
    error::KeyRejected,
    pkcs8::Document,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use notme_core::key::{Algorithm, PublicKey, SignError, Signer};
use notme_local::LockedMemory;

use crate::{
    ca::CaError,
    custody::{KeyId, Token},
    seal::SealError,
};

/// What a key is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyKind {
    Ed25519,
    P256,
}

impl KeyKind {
    /// Returns that of a public key of ours.
    pub(crate) fn of(public: &PublicKey) -> Self {
        match public.algorithm() {
            Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::P256 | Algorithm::P384 | Algorithm::Rsa => Self::P256,
        }
    }
}

/// What a key is kept under: it opens in no other place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyName {
    role: &'static str,
    epoch: u64,
}

impl KeyName {
    pub(crate) const fn new(role: &'static str, epoch: u64) -> Self {
        Self { role, epoch }
    }

    pub(crate) const fn role(self) -> &'static str {
        self.role
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

/// A private key that is open.
pub(crate) struct CaKey {
    public: PublicKey,
    private: Private,
}

enum Private {
    /// In locked memory. It leaves it for the moment of a signature, in memory that aws-lc clears
    /// when it frees it.
    Held { kind: KeyKind, pkcs8: LockedMemory },
    /// In a token, which it never leaves.
    InToken {
        token: Arc<Token>,
        id: KeyId,
        name: KeyName,
    },
}

enum KeyPair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl CaKey {
    /// Makes a new one, and what to seal of it.
    pub(crate) fn generate(name: KeyName, kind: KeyKind) -> Result<(Self, Document), CaError> {
        let document = generate(kind)?;
        Ok((Self::of_pkcs8(name, kind, document.as_ref())?, document))
    }

    /// Reads one.
    pub(crate) fn of_pkcs8(name: KeyName, kind: KeyKind, pkcs8: &[u8]) -> Result<Self, CaError> {
        let damaged = |_| CaError::Mismatch(name.role);
        let spki = match KeyPair::open(kind, pkcs8).map_err(damaged)? {
            KeyPair::Ed25519(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
            KeyPair::P256(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
        }
        .map_err(|_| CaError::Mismatch(name.role))?;
        Ok(Self {
            public: PublicKey::from_spki_der(&spki)?,
            private: Private::Held {
                kind,
                pkcs8: LockedMemory::of(pkcs8).map_err(CaError::Memory)?,
            },
        })
    }

    /// Names one in a token.
    pub(crate) fn in_token(token: Arc<Token>, id: KeyId, name: KeyName, public: PublicKey) -> Self {
        Self {
            public,
            private: Private::InToken { token, id, name },
        }
    }

    pub(crate) fn is(&self, public: &PublicKey) -> bool {
        self.public == *public
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
        let unusable = || SignError::default();
        match &self.private {
            Private::Held { kind, pkcs8 } => {
                match KeyPair::open(*kind, pkcs8.bytes()).map_err(|_| unusable())? {
                    KeyPair::Ed25519(pair) => pair.try_sign(message),
                    KeyPair::P256(pair) => pair.sign(&SystemRandom::new(), message),
                }
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| unusable())
            }
            Private::InToken { token, id, name } => token
                .sign(*id, *name, &self.public, message)
                .map_err(SignError::because),
        }
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
