//! Keys at rest: sealed with AES-256-GCM under a key-encryption key.
//!
//! A person's secret becomes the key-encryption key through Argon2id. The single-user default
//! keeps a random one in a file beside the store instead: that protects a copied store, a
//! backup without the file, and nothing against whoever can read the directory.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac, rand,
};
use notme_local::LockedMemory;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    custody::Pkcs11Protection,
    draft::Draft,
    secret::{Secret, read_limited},
};

/// What seals the keys of an authority.
#[derive(Debug)]
pub enum Protection {
    /// A random key in a 0600 file beside the store: the single-user default.
    LocalFile,
    /// A passphrase.
    Passphrase(Secret),
    /// A key file kept elsewhere.
    KeyFile(Secret),
    /// A token behind a PKCS#11 module keeps the keys; what it does not keep is sealed.
    Pkcs11(Box<Pkcs11Protection>),
}

impl Protection {
    fn kind(&self) -> SealingKind {
        match self {
            Self::LocalFile => SealingKind::LocalFile,
            Self::Passphrase(_) => SealingKind::Passphrase,
            Self::KeyFile(_) => SealingKind::KeyFile,
            Self::Pkcs11(_) => SealingKind::Pkcs11,
        }
    }

    /// Returns what seals the keys that are sealed.
    pub(crate) fn sealing(&self) -> &Self {
        match self {
            Self::Pkcs11(token) => &token.sealing,
            Self::LocalFile | Self::Passphrase(_) | Self::KeyFile(_) => self,
        }
    }
}

/// How the keys of a store are kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealingKind {
    /// A random key in a file beside the store.
    LocalFile,
    /// A passphrase, through Argon2id.
    Passphrase,
    /// A key file, through Argon2id.
    KeyFile,
    /// Nothing is kept: keys and store live in memory.
    Memory,
    /// They are not in the store, but in a token behind a PKCS#11 module.
    Pkcs11,
}

impl fmt::Display for SealingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalFile => "local-file",
            Self::Passphrase => "passphrase",
            Self::KeyFile => "key-file",
            Self::Memory => "memory",
            Self::Pkcs11 => "pkcs11",
        })
    }
}

/// How to get back to the key-encryption key; kept in the store, holds no secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Sealing {
    kind: SealingKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    argon2id: Option<Argon2id>,
}

impl Sealing {
    /// Returns what seals the keys.
    pub(crate) fn kind(&self) -> SealingKind {
        self.kind
    }

    /// Chooses how a new store is sealed, with a fresh salt.
    pub(crate) fn choose(protection: &Protection) -> Result<Self, SealError> {
        let argon2id = match protection {
            Protection::LocalFile | Protection::Pkcs11(_) => None,
            Protection::Passphrase(_) | Protection::KeyFile(_) => Some(Argon2id::with_new_salt()?),
        };
        Ok(Self {
            kind: protection.kind(),
            argon2id,
        })
    }

    pub(crate) fn in_memory() -> Self {
        Self {
            kind: SealingKind::Memory,
            argon2id: None,
        }
    }

    /// Derives or reads the key-encryption key.
    pub(crate) fn unlock(&self, protection: &Protection, home: &Path) -> Result<Kek, SealError> {
        let offered = protection.kind();
        if offered != self.kind {
            return Err(SealError::OtherProtection {
                sealed: self.kind,
                offered,
            });
        }
        match (protection, &self.argon2id) {
            (Protection::LocalFile, _) => Kek::read_file(&home.join(KEK_FILE)),
            (Protection::Passphrase(secret) | Protection::KeyFile(secret), Some(argon2id)) => {
                argon2id.derive(secret)
            }
            (Protection::Passphrase(_) | Protection::KeyFile(_), None) => {
                Err(SealError::KeyDerivation)
            }
            // It seals nothing, and no store says so.
            (Protection::Pkcs11(_), _) => Err(SealError::KeyDerivation),
        }
    }

    /// As [`Sealing::unlock`], but for a store that has no keys yet.
    pub(crate) fn first_unlock(
        &self,
        protection: &Protection,
        home: &Path,
    ) -> Result<Kek, SealError> {
        if self.kind == SealingKind::LocalFile {
            Kek::create_file(&home.join(KEK_FILE))?;
        }
        self.unlock(protection, home)
    }
}

/// Argon2id (RFC 9106) with the cost a new store gets: 64 MiB, 3 passes, 1 lane.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Argon2id {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

impl Argon2id {
    fn with_new_salt() -> Result<Self, SealError> {
        Ok(Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 1,
            salt: notme_core::hex::encode(&random::<16>()?),
        })
    }

    fn derive(&self, secret: &Secret) -> Result<Kek, SealError> {
        let derivation = |_| SealError::KeyDerivation;
        let params = argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(derivation)?;
        let salt = notme_core::hex::decode(&self.salt).ok_or(SealError::KeyDerivation)?;
        let mut key = Zeroizing::new([0; 32]);
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(secret.bytes(), &salt, key.as_mut())
            .map_err(derivation)?;
        Kek::of(&key)
    }
}

/// A key-encryption key.
///
/// It is in locked memory: a serving authority keeps it, to open the keys of the next epoch.
pub(crate) struct Kek(LockedMemory);

impl Kek {
    pub(crate) fn random() -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(key.as_mut()).map_err(|_| SealError::Random)?;
        Self::of(&key)
    }

    fn of(key: &[u8; 32]) -> Result<Self, SealError> {
        LockedMemory::of(key).map(Self).map_err(SealError::Memory)
    }

    /// Makes the file when there is none; a start that died before it sealed anything left one.
    fn create_file(path: &Path) -> Result<(), SealError> {
        let failed = |source| SealError::KekFile {
            path: path.to_owned(),
            source,
        };
        if fs::symlink_metadata(path).is_ok() {
            return Ok(());
        }
        let kek = Self::random()?;
        let draft = Draft::beside(path).map_err(failed)?;
        let written = fs::write(draft.path(), kek.0.bytes());
        match written.and_then(|()| draft.become_file(path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn read_file(path: &Path) -> Result<Self, SealError> {
        let failed = |source| SealError::KekFile {
            path: path.to_owned(),
            source,
        };
        let bytes = fs::File::open(path)
            .and_then(read_limited)
            .map_err(failed)?;
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(failed(io::ErrorKind::InvalidData.into()));
        }
        key.copy_from_slice(&bytes);
        Self::of(&key)
    }

    /// Derives a secret for another purpose: PRF with the key-encryption key as its key.
    pub(crate) fn derive(&self, purpose: &str) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.bytes());
        hmac::sign(&key, purpose.as_bytes())
    }

    /// Seals `plain`: nonce, ciphertext, tag.
    pub(crate) fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut buffer = Zeroizing::new(plain.to_vec());
        let (nonce, tag) = self
            .cipher()?
            .seal_in_place_separate_tag(Aad::from(associated_data(name)), &mut buffer)
            .map_err(|_| SealError::Random)?;
        let nonce: &[u8; NONCE_LEN] = nonce.as_ref();
        Ok([nonce, buffer.as_slice(), tag.as_ref()].concat())
    }

    /// Opens what [`Kek::seal`] made under the same name.
    pub(crate) fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let wrong = || SealError::WrongSecret {
            key: name.to_owned(),
        };
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let opened = self
            .cipher()?
            .open_in_place(nonce, Aad::from(associated_data(name)), &mut buffer)
            .map_err(|_| wrong())?
            .len();
        buffer.truncate(opened);
        Ok(buffer)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, SealError> {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.bytes()).map_err(|_| SealError::Random)
    }
}

/// Why the keys cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file with the random key-encryption key is missing, unreadable or of another size.
    #[error("could not use key-encryption key file `{}`", path.display())]
    KekFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Argon2id refused the parameters of the store.
    #[error("the store holds no usable key derivation parameters")]
    KeyDerivation,
    /// No memory for the key-encryption key.
    #[error("could not map memory for the key-encryption key")]
    Memory(#[source] io::Error),
    /// The store is sealed in another way than the one offered.
    #[error("the keys are sealed by {sealed}, not by {offered}")]
    OtherProtection {
        /// How the store is sealed.
        sealed: SealingKind,
        /// What was offered.
        offered: SealingKind,
    },
    /// The system gave no randomness or cipher.
    #[error("the system's cryptographic module failed")]
    Random,
    /// The secret could not be read.
    #[error("could not read the secret")]
    ReadSecret(#[source] io::Error),
    /// The secret is too short.
    #[error("the secret has fewer than {least} bytes")]
    SecretTooShort {
        /// The least number of bytes.
        least: usize,
    },
    /// A sealed key does not open: another secret, or altered bytes.
    #[error("key `{key}` does not open with this secret")]
    WrongSecret {
        /// Which key.
        key: String,
    },
}

impl SealError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KekFile { .. } => "authority-kek-unreadable",
            Self::KeyDerivation => "authority-store-damaged",
            Self::OtherProtection { .. } => "authority-sealed-otherwise",
            Self::Memory(_) => "authority-runtime",
            Self::Random => "authority-random-failed",
            Self::ReadSecret(_) => "authority-secret-unreadable",
            Self::SecretTooShort { .. } => "authority-secret-short",
            Self::WrongSecret { .. } => "authority-secret-wrong",
        }
    }
}

/// Returns `N` random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| SealError::Random)?;
    Ok(bytes)
}

/// Binds a sealed key to its name and purpose, so that rows cannot be exchanged.
fn associated_data(name: &str) -> Vec<u8> {
    [
        "notme-authority-sealed-key-v1",
        name,
        "certificate-authority",
    ]
    .join("\0")
    .into_bytes()
}

/// The file of the random key-encryption key.
pub(crate) const KEK_FILE: &str = "kek";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_only_under_the_same_name() {
        let kek = Kek::random().unwrap();
        let sealed = kek.seal("ed25519", b"secret").unwrap();
        assert_eq!(*kek.open("ed25519", &sealed).unwrap(), b"secret");
        assert!(kek.open("interop", &sealed).is_err());
        assert!(Kek::random().unwrap().open("ed25519", &sealed).is_err());
    }

    #[test]
    fn refuses_every_altered_byte() {
        let kek = Kek::random().unwrap();
        let sealed = kek.seal("ed25519", b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(kek.open("ed25519", &altered).is_err(), "byte {at}");
        }
        assert!(kek.open("ed25519", &sealed[..4]).is_err());
    }
}
