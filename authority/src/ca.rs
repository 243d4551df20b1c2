//! The two certificate authorities: Ed25519 for ourselves, P-256 for tools that know no Ed25519.

use std::io;

use aws_lc_rs::{
    encoding::AsDer as _,
    error::KeyRejected,
    pkcs8::Document,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use notme_core::{
    certificate::{Certificate, CertificateError},
    key::{KeyError, PublicKey, SignError, Signer},
    profile::{CaTemplate, ProfileError, build_ca},
    time::UnixTime,
};
use notme_local::LockedMemory;

use crate::{
    seal::{Kek, SealError, random},
    store::SealedCa,
};

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CaName {
    Ed25519,
    Interop,
}

impl CaName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Interop => "interop",
        }
    }

    /// The names differ, so that a reader which looks issuers up by name finds the right one.
    fn common_name(self, trust_domain: &str) -> String {
        let prefix = match self {
            Self::Ed25519 => "signet-authority",
            Self::Interop => "signet-authority interop",
        };
        format!("{prefix} {trust_domain}")
    }
}

/// A certificate authority: its certificate and its key.
pub(crate) struct Ca {
    certificate: Certificate,
    key: CaKey,
}

impl Ca {
    /// Makes a new one, and the sealed form to keep.
    pub(crate) fn found(
        name: CaName,
        trust_domain: &str,
        now: UnixTime,
        kek: &Kek,
    ) -> Result<(Self, SealedCa), CaError> {
        let document = CaKey::generate(name)?;
        let key = CaKey::load(name, document.as_ref())?;
        let not_before = now.plus(-BACKDATED);
        let certificate = build_ca(
            &CaTemplate {
                common_name: &name.common_name(trust_domain),
                serial: new_serial()?,
                not_before,
                not_after: not_before.plus(TEN_YEARS),
            },
            &key,
        )?;
        let sealed = SealedCa {
            name: name.as_str().to_owned(),
            certificate: certificate.der().to_vec(),
            key: kek.seal(name.as_str(), document.as_ref())?,
        };
        Ok((Self { certificate, key }, sealed))
    }

    /// Opens a kept one.
    pub(crate) fn open(name: CaName, kept: &[SealedCa], kek: &Kek) -> Result<Self, CaError> {
        let sealed = kept
            .iter()
            .find(|ca| ca.name == name.as_str())
            .ok_or(CaError::Missing(name.as_str()))?;
        let key = CaKey::load(name, &kek.open(name.as_str(), &sealed.key)?)?;
        let certificate = Certificate::from_der(&sealed.certificate)?;
        if certificate.public_key() != key.public_key() {
            return Err(CaError::Mismatch(name.as_str()));
        }
        Ok(Self { certificate, key })
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &dyn Signer {
        &self.key
    }
}

/// The private key, in locked memory. It leaves it for the moment of a signature, in memory that
/// aws-lc clears when it frees it.
struct CaKey {
    name: CaName,
    pkcs8: LockedMemory,
    public: PublicKey,
}

enum KeyPair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl CaKey {
    fn generate(name: CaName) -> Result<Document, CaError> {
        let random = SystemRandom::new();
        match name {
            CaName::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
            CaName::Interop => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
            }
        }
        .map_err(|_| CaError::Seal(SealError::Random))
    }

    fn load(name: CaName, pkcs8: &[u8]) -> Result<Self, CaError> {
        let damaged = |_| CaError::Mismatch(name.as_str());
        let spki = match KeyPair::open(name, pkcs8).map_err(damaged)? {
            KeyPair::Ed25519(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
            KeyPair::P256(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
        }
        .map_err(|_| CaError::Mismatch(name.as_str()))?;
        Ok(Self {
            name,
            pkcs8: LockedMemory::of(pkcs8).map_err(CaError::Memory)?,
            public: PublicKey::from_spki_der(&spki)?,
        })
    }
}

impl KeyPair {
    fn open(name: CaName, pkcs8: &[u8]) -> Result<Self, KeyRejected> {
        Ok(match name {
            CaName::Ed25519 => Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8)?),
            CaName::Interop => Self::P256(EcdsaKeyPair::from_pkcs8(
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
        match KeyPair::open(self.name, self.pkcs8.bytes()).map_err(|_| SignError)? {
            KeyPair::Ed25519(pair) => pair.try_sign(message),
            KeyPair::P256(pair) => pair.sign(&SystemRandom::new(), message),
        }
        .map(|signature| signature.as_ref().to_vec())
        .map_err(|_| SignError)
    }
}

/// Why an authority's certificate or key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A kept certificate does not parse.
    #[error("a kept certificate is damaged")]
    Certificate(#[from] CertificateError),
    /// A kept public key does not parse.
    #[error("a kept key is damaged")]
    Key(#[from] KeyError),
    /// No memory for a key.
    #[error("could not map memory for the keys of the authority")]
    Memory(#[source] io::Error),
    /// Key and certificate do not belong together.
    #[error("key and certificate `{0}` do not belong together")]
    Mismatch(&'static str),
    /// The store has no such key.
    #[error("the store has no key `{0}`")]
    Missing(&'static str),
    /// The certificate cannot be built.
    #[error("the certificate cannot be built")]
    Profile(#[from] ProfileError),
    /// The key cannot be sealed or opened.
    #[error("the keys of the authority stay closed")]
    Seal(#[from] SealError),
}

impl CaError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Certificate(_) | Self::Key(_) | Self::Mismatch(_) | Self::Missing(_) => {
                "authority-store-damaged"
            }
            Self::Memory(_) => "authority-runtime",
            Self::Profile(_) => "authority-profile",
            Self::Seal(error) => error.code(),
        }
    }
}

/// Returns a random serial number: positive, and 16 bytes in DER.
pub(crate) fn new_serial() -> Result<[u8; 16], SealError> {
    let mut serial = random::<16>()?;
    let [first, ..] = &mut serial;
    *first = *first & 0x3f | 0x40;
    Ok(serial)
}

/// How long before now a validity begins, for clocks that are behind.
pub(crate) const BACKDATED: i64 = 60;
/// Ten years of 365.25 days.
const TEN_YEARS: i64 = 3_652 * 86_400 + 43_200;
