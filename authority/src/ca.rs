//! The two X.509 certificate authorities: Ed25519 for ourselves, P-256 for tools that know no Ed25519.

use std::{cell::RefCell, error::Error, io};

use notme_core::{
    certificate::{Certificate, CertificateError},
    key::{KeyError, SignError, Signer},
    openpgp::OpenPgpError,
    profile::{CaTemplate, ProfileError, build_ca},
    ssh,
    time::UnixTime,
};

use crate::{
    ca_key::{CaKey, KeyKind, KeyName},
    custody::{Custody, Pkcs11Error, kept, label_in_token},
    seal::{SealError, random},
    store::{AuthorityRecord, EpochRecord, SealedCa},
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

    const fn kind(self) -> KeyKind {
        match self {
            Self::Ed25519 => KeyKind::Ed25519,
            Self::Interop => KeyKind::P256,
        }
    }

    /// The names differ, so that a reader which looks issuers up by name finds the right one.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Ed25519 => "signet-authority",
            Self::Interop => "signet-authority interop",
        }
    }
}

/// What all keys of an epoch are made with.
pub(crate) struct Making<'a> {
    pub(crate) trust_domain: &'a str,
    pub(crate) epoch: u64,
    pub(crate) now: UnixTime,
    pub(crate) custody: &'a Custody,
    /// The keys that were made, and what the store would have to keep of them.
    made: RefCell<Vec<(KeyName, Vec<u8>)>>,
}

impl<'a> Making<'a> {
    pub(crate) fn new(
        custody: &'a Custody,
        trust_domain: &'a str,
        epoch: u64,
        now: UnixTime,
    ) -> Self {
        Self {
            trust_domain,
            epoch,
            now,
            custody,
            made: RefCell::default(),
        }
    }

    /// Makes several keys, of which none is left when one fails.
    pub(crate) fn whole<T>(&self, make: impl FnOnce() -> Result<T, CaError>) -> Result<T, CaError> {
        self.settle(make(), |_| false)
    }

    /// Ends that for which keys were made. When it failed they are destroyed, unless a store may
    /// have kept them nonetheless; what is left of them in a token is told.
    pub(crate) fn settle<T, E: From<CaError> + Error + Send + Sync + 'static>(
        &self,
        done: Result<T, E>,
        may_be_kept: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        done.map_err(|error| {
            let left = match may_be_kept(&error) {
                true => self.labels(|_| true),
                false => self.destroy(|_| true),
            };
            match left.is_empty() {
                true => error,
                false => CaError::from(Pkcs11Error::left(left, error)).into(),
            }
        })
    }

    /// Destroys what was made in vain: all that a store does not keep, since another instance made
    /// its own before.
    pub(crate) fn discard_all_but(&self, record: &AuthorityRecord) -> Result<(), CaError> {
        let in_use: Vec<_> = record.epochs.iter().flat_map(kept).collect();
        let left = self.destroy(|key| !in_use.contains(&key));
        match left.is_empty() {
            true => Ok(()),
            false => Err(Pkcs11Error::left(left, "another instance made such keys first").into()),
        }
    }

    /// Destroys keys, and returns the labels of those that are left in a token.
    fn destroy(&self, is_meant: impl Fn(&[u8]) -> bool) -> Vec<String> {
        // What is to be known is why they were of no use, and what they are called.
        self.labels(|key| is_meant(key) && self.custody.destroy([key]).is_err())
    }

    fn labels(&self, is_meant: impl Fn(&[u8]) -> bool) -> Vec<String> {
        let made = self.made.borrow();
        let meant = made.iter().filter(|(_, key)| is_meant(key));
        meant
            .filter_map(|(name, key)| label_in_token(self.trust_domain, *name, key))
            .collect()
    }

    /// Makes a key. Returns with it what the store keeps.
    pub(crate) fn key(
        &self,
        role: &'static str,
        kind: KeyKind,
    ) -> Result<(CaKey, Vec<u8>), CaError> {
        let name = KeyName::new(role, self.epoch);
        let (key, kept) = self.custody.make(name, kind, self.trust_domain)?;
        self.made.borrow_mut().push((name, kept.clone()));
        Ok((key, kept))
    }

    /// Returns the common name of a certificate; each epoch has its own.
    pub(crate) fn named(&self, prefix: &str) -> String {
        let domain = self.trust_domain;
        match self.epoch {
            1 => format!("{prefix} {domain}"),
            epoch => format!("{prefix} {domain} {epoch}"),
        }
    }
}

/// A certificate authority: its certificate and its key.
pub(crate) struct Ca {
    certificate: Certificate,
    key: CaKey,
}

impl Ca {
    /// Makes a new one.
    pub(crate) fn make(name: CaName, making: &Making<'_>) -> Result<SealedCa, CaError> {
        let (key, kept_key) = making.key(name.as_str(), name.kind())?;
        let not_before = making.now.plus(-BACKDATED);
        let certificate = build_ca(
            &CaTemplate {
                common_name: &making.named(name.prefix()),
                serial: new_serial()?,
                not_before,
                not_after: not_before.plus(TEN_YEARS),
            },
            &key,
        )?;
        Ok(SealedCa {
            name: name.as_str().to_owned(),
            certificate: certificate.der().to_vec(),
            key: Some(kept_key),
            handover: None,
        })
    }

    /// Opens a kept one.
    pub(crate) fn open(
        name: CaName,
        kept: &EpochRecord,
        custody: &Custody,
    ) -> Result<Self, CaError> {
        let ca = kept
            .cas
            .iter()
            .find(|ca| ca.name == name.as_str())
            .ok_or(CaError::Missing(name.as_str()))?;
        let certificate = Certificate::from_der(&ca.certificate)?;
        let name = KeyName::new(name.as_str(), kept.number);
        let key = custody.key(name, ca.key.as_deref(), certificate.public_key())?;
        Ok(Self { certificate, key })
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &dyn Signer {
        &self.key
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
    /// A root could not sign its handover.
    #[error("a root could not hand over to the next")]
    Handover(#[from] SignError),
    /// The OpenPGP key cannot be built or read.
    #[error("the OpenPGP key cannot be used")]
    OpenPgp(#[from] OpenPgpError),
    /// The certificate cannot be built.
    #[error("the certificate cannot be built")]
    Profile(#[from] ProfileError),
    /// A kept SSH key does not parse.
    #[error("a kept SSH key is damaged")]
    Ssh(#[from] ssh::public_key::KeyError),
    /// The key cannot be sealed or opened.
    #[error("the keys of the authority stay closed")]
    Seal(#[from] SealError),
    /// The key is in a token that cannot be used.
    #[error("the token of the authority's keys cannot be used")]
    Pkcs11(#[from] Pkcs11Error),
}

impl CaError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Certificate(_)
            | Self::Key(_)
            | Self::Mismatch(_)
            | Self::Missing(_)
            | Self::OpenPgp(_)
            | Self::Ssh(_) => "authority-store-damaged",
            Self::Handover(_) | Self::Memory(_) => "authority-runtime",
            Self::Profile(_) => "authority-profile",
            Self::Seal(error) => error.code(),
            Self::Pkcs11(error) => error.code(),
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
