//! Who keeps the private keys of an authority.
//!
//! They are sealed in the store, or they are in a token behind a PKCS#11 module; those of an
//! authority in memory are sealed under a key that ends with the process. Whatever certifies asks
//! here for a new key, for one that is kept, and to have one destroyed. The store has what the
//! custodian needs to find a key again: the sealed key itself, or the name of one in the token.
//! So keys move from one custodian to another by a rotation, and while it lasts both are asked.

mod pkcs11;

use std::{path::Path, sync::Arc};

use notme_core::key::PublicKey;

pub(crate) use self::pkcs11::{KeyId, Token};
pub use self::pkcs11::{NewKeys, Pkcs11Error, Pkcs11Protection};
use crate::{
    authority::OpenError,
    ca::CaError,
    ca_key::{CaKey, KeyKind, KeyName},
    seal::{Kek, Protection, SealError, Sealing, SealingKind},
    store::EpochRecord,
};

/// Those who keep keys, as far as they are needed.
pub(crate) struct Custody {
    /// Who makes the next keys.
    next: Custodian,
    /// Who keeps others: those from before, or those that another process makes.
    other: Option<Custodian>,
}

enum Custodian {
    /// Seals keys for the store.
    Seal(Kek),
    /// Keeps them.
    Token(Arc<Token>),
}

impl Custody {
    /// Keeps keys for as long as the process lives.
    pub(crate) fn in_memory() -> Result<Self, SealError> {
        Ok(Self {
            next: Custodian::Seal(Kek::random()?),
            other: None,
        })
    }

    /// Opens what the keys in a store need, and what new ones would.
    pub(crate) fn open(
        protection: &Protection,
        sealing: &Sealing,
        epochs: &[EpochRecord],
        home: &Path,
    ) -> Result<Self, OpenError> {
        let is_in_token = |kept: &[u8]| KeyId::of_kept(kept).is_some();
        // Those that were given up are opened no more.
        let epochs = || epochs.iter().filter(|epoch| !epoch.leaving);
        let has_sealed = epochs().flat_map(kept).any(|key| !is_in_token(key));
        let seal = protection.sealing();
        let Protection::Pkcs11(place) = protection else {
            if epochs().flat_map(kept).any(is_in_token) {
                return Err(Pkcs11Error::NotNamed.into());
            }
            return Ok(Self {
                next: Custodian::Seal(if has_sealed {
                    sealing.unlock(seal, home)?
                } else {
                    sealing.first_unlock(seal, home)?
                }),
                other: None,
            });
        };
        let kek = match (has_sealed, place.new_keys) {
            (true, _) => Some(sealing.unlock(seal, home)?),
            (false, NewKeys::Sealed) => Some(sealing.first_unlock(seal, home)?),
            (false, NewKeys::InToken) => None,
        };
        let token = Custodian::Token(Arc::new(Token::open(place)?));
        Ok(match (kek.map(Custodian::Seal), place.new_keys) {
            (Some(seal), NewKeys::Sealed) => Self {
                next: seal,
                other: Some(token),
            },
            (seal, NewKeys::InToken | NewKeys::Sealed) => Self {
                next: token,
                other: seal,
            },
        })
    }

    /// Makes a key. Returns with it what the store keeps.
    pub(crate) fn make(
        &self,
        name: KeyName,
        kind: KeyKind,
        trust_domain: &str,
    ) -> Result<(CaKey, Vec<u8>), CaError> {
        match &self.next {
            Custodian::Seal(kek) => {
                let (key, document) = CaKey::generate(name, kind)?;
                Ok((key, kek.seal(&name.to_string(), document.as_ref())?))
            }
            Custodian::Token(token) => {
                let (id, public) = token.make(name, kind, trust_domain)?;
                let key = CaKey::in_token(token.clone(), id, name, public);
                Ok((key, id.to_kept()))
            }
        }
    }

    /// Opens a kept key, which has to be the one with this public half.
    pub(crate) fn key(
        &self,
        name: KeyName,
        kept: Option<&[u8]>,
        public: &PublicKey,
    ) -> Result<CaKey, CaError> {
        let kept = kept.ok_or(CaError::Missing(name.role()))?;
        let key = match KeyId::of_kept(kept) {
            None => {
                let wrong = || SealError::WrongSecret {
                    key: name.to_string(),
                };
                let kek = self.kek().ok_or_else(wrong)?;
                let pkcs8 = kek.open(&name.to_string(), kept)?;
                CaKey::of_pkcs8(name, KeyKind::of(public), &pkcs8)?
            }
            Some(id) => {
                let token = self.token().ok_or(Pkcs11Error::NotNamed)?;
                token.find(id, name, public)?;
                CaKey::in_token(token.clone(), id, name, public.clone())
            }
        };
        match key.is(public) {
            true => Ok(key),
            false => Err(CaError::Mismatch(name.role())),
        }
    }

    /// Destroys keys that are not in the store itself, given what that keeps of them. Those that
    /// are gone already are none to fail at: a retirement that was interrupted is repeated.
    pub(crate) fn destroy<'a>(
        &self,
        kept: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), Pkcs11Error> {
        for id in kept.into_iter().filter_map(KeyId::of_kept) {
            self.token().ok_or(Pkcs11Error::NotNamed)?.destroy(id)?;
        }
        Ok(())
    }

    /// Tells whether the keys can be used now, as far as that can be known without using one.
    pub(crate) fn check(&self) -> Result<(), Pkcs11Error> {
        self.token().map_or(Ok(()), |token| token.check())
    }

    /// Tells whether the keys could be used when that was last seen, without a look.
    pub(crate) fn is_answering(&self) -> bool {
        self.token().is_none_or(|token| token.is_answering())
    }

    /// Returns the secret that all instances share which open the same keys, if they are sealed.
    pub(crate) fn kek(&self) -> Option<&Kek> {
        self.custodians().find_map(|custodian| match custodian {
            Custodian::Seal(kek) => Some(kek),
            Custodian::Token(_) => None,
        })
    }

    fn token(&self) -> Option<&Arc<Token>> {
        self.custodians().find_map(|custodian| match custodian {
            Custodian::Token(token) => Some(token),
            Custodian::Seal(_) => None,
        })
    }

    fn custodians(&self) -> impl Iterator<Item = &Custodian> {
        [&self.next].into_iter().chain(&self.other)
    }
}

/// Returns what keeps the keys of an epoch, in a store that is sealed in some way; `None` when
/// they are destroyed.
pub(crate) fn kind(epoch: &EpochRecord, sealing: &Sealing) -> Option<SealingKind> {
    let first = kept(epoch).next()?;
    Some(match KeyId::of_kept(first) {
        Some(_) => SealingKind::Pkcs11,
        None => sealing.kind(),
    })
}

/// Returns what a key is called in the token, if it is in one.
pub(crate) fn label_in_token(trust_domain: &str, name: KeyName, kept: &[u8]) -> Option<String> {
    KeyId::of_kept(kept).map(|_| pkcs11::label(trust_domain, name))
}

/// Returns what the store has of each private key.
pub(crate) fn kept(epoch: &EpochRecord) -> impl Iterator<Item = &[u8]> {
    let cas = epoch.cas.iter().map(|ca| &ca.key);
    let format_cas = epoch.format_cas.iter().map(|ca| &ca.key);
    cas.chain(format_cas).filter_map(|key| key.as_deref())
}
