//! Private keys in files, as ssh-keygen makes them.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use ed25519_dalek::Signer as _;
use notme_core::ssh::{Key, PublicKey, key::KeyReadError};
use ssh_key::{PrivateKey, private::KeypairData};

use super::rsa_key;

/// A private key that was read and opened.
pub(super) struct KeyFile {
    key: PrivateKey,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyFile")
    }
}

impl KeyFile {
    /// Finds the private key that belongs to `key` at or beside `path`, and opens it.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub(super) fn open(
        path: &Path,
        key: &Key,
        passphrase: Option<&OsStr>,
    ) -> Result<Self, KeyFileError> {
        let private = private_path(path);
        let bytes = match read(&private) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyFileError::Absent(path.to_owned()));
            }
            read => read.map_err(|source| KeyFileError::Read {
                path: private.clone(),
                source,
            })?,
        };
        let malformed = |source| KeyFileError::Malformed {
            path: private.clone(),
            source,
        };
        let file = parse(&bytes, &private)?;
        if public_of(&file).map_err(|_| malformed(ssh_key::Error::PublicKey))? != *key.public_key()
        {
            return Err(KeyFileError::OtherKey {
                public: path.to_owned(),
                private,
            });
        }
        let file = match (file.is_encrypted(), passphrase) {
            (false, _) => file,
            (true, Some(passphrase)) => file
                .decrypt(passphrase.as_bytes())
                .map_err(|_| KeyFileError::Passphrase(private.clone()))?,
            (true, None) => return Err(KeyFileError::Encrypted(private)),
        };
        if key.public_key().key_type().name().starts_with("sk-") {
            return Err(KeyFileError::SecurityKey(private));
        }
        Ok(Self { key: file })
    }

    /// Signs, and returns the signature blob.
    ///
    /// # Errors
    /// [`KeyFileError::Unusable`].
    pub(super) fn sign(&self, data: &[u8]) -> Result<Vec<u8>, KeyFileError> {
        if let KeypairData::Rsa(key) = self.key.key_data() {
            return rsa_key::sign(key, data).ok_or(KeyFileError::Unusable);
        }
        let signature = self
            .key
            .try_sign(data)
            .map_err(|_| KeyFileError::Unusable)?;
        Vec::try_from(signature).map_err(|_| KeyFileError::Unusable)
    }
}

/// Reads the public key that a path stands for: what is in it, in `PATH.pub` beside it, or in the
/// private key itself, which even an encrypted one shows.
///
/// # Errors
/// [`KeyFileError`].
pub(super) fn read_public(path: &Path) -> Result<Key, KeyFileError> {
    let unreadable = |path: &Path, source| KeyFileError::Read {
        path: path.to_owned(),
        source,
    };
    let beside = with_suffix(path, ".pub");
    let mut first_error = None;
    for candidate in [path, &beside] {
        match read(candidate) {
            Ok(bytes) => match parse_public(&bytes) {
                Ok(Some(key)) => return Ok(key),
                Ok(None) => {}
                Err(source) => {
                    return Err(KeyFileError::Public {
                        path: candidate.to_owned(),
                        source,
                    });
                }
            },
            Err(source) => {
                first_error.get_or_insert(unreadable(candidate, source));
            }
        }
    }
    let bytes = match (read(path), first_error) {
        (Ok(bytes), _) => bytes,
        (Err(_), Some(error)) => return Err(error),
        (Err(source), None) => return Err(unreadable(path, source)),
    };
    let file = parse(&bytes, path)?;
    let public = public_of(&file).map_err(|source| KeyFileError::Public {
        path: path.to_owned(),
        source,
    })?;
    Ok(Key::Plain(public))
}

/// Returns the first key in a public key file; `None` when there is none.
fn parse_public(bytes: &[u8]) -> Result<Option<Key>, KeyReadError> {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else {
            return Ok(None);
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        return match Key::from_text(line) {
            Ok((key, _comment)) => Ok(Some(key)),
            Err(KeyReadError::NotAKey) => Ok(None),
            Err(error) => Err(error),
        };
    }
    Ok(None)
}

fn parse(bytes: &[u8], path: &Path) -> Result<PrivateKey, KeyFileError> {
    let is_foreign = |label: &[u8]| bytes.windows(label.len()).any(|window| window == label);
    if !is_foreign(b"-----BEGIN OPENSSH PRIVATE KEY-----") {
        if is_foreign(b"PRIVATE KEY-----") {
            return Err(KeyFileError::Pem(path.to_owned()));
        }
        return Err(KeyFileError::NotAKey(path.to_owned()));
    }
    PrivateKey::from_openssh(bytes).map_err(|source| KeyFileError::Malformed {
        path: path.to_owned(),
        source,
    })
}

fn public_of(file: &PrivateKey) -> Result<PublicKey, KeyReadError> {
    let blob = file
        .public_key()
        .to_bytes()
        .map_err(|_| KeyReadError::NotAKey)?;
    Ok(PublicKey::from_blob(&blob)?)
}

/// Returns where the private key of a public one is: without `.pub` or `-cert.pub`.
fn private_path(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let private = bytes
        .strip_suffix(b"-cert.pub")
        .or_else(|| bytes.strip_suffix(b".pub"))
        .filter(|rest| !rest.is_empty());
    match private {
        Some(private) => OsString::from_vec(private.to_vec()).into(),
        None => path.to_owned(),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(KEY_FILE_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > KEY_FILE_MAX) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// As much as OpenSSH reads of a key file.
const KEY_FILE_MAX: u64 = 1024 * 1024;

/// The file gives no private key.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyFileError {
    #[error("Couldn't load public key {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("Couldn't load public key {}: {source}", path.display())]
    Public { path: PathBuf, source: KeyReadError },
    #[error("Couldn't load public key {}: this is no key", .0.display())]
    NotAKey(PathBuf),
    #[error("No private key found for public key \"{}\"", .0.display())]
    Absent(PathBuf),
    #[error("{} is in PEM format, which is not read here", .0.display())]
    Pem(PathBuf),
    #[error("the private key {} is malformed: {source}", path.display())]
    Malformed {
        path: PathBuf,
        source: ssh_key::Error,
    },
    #[error("Public key {} doesn't match private {}", public.display(), private.display())]
    OtherKey { public: PathBuf, private: PathBuf },
    #[error("the private key {} is encrypted, and no ssh-agent has it", .0.display())]
    Encrypted(PathBuf),
    #[error("the passphrase does not open {}", .0.display())]
    Passphrase(PathBuf),
    #[error("{} is in a security key, which only an ssh-agent can ask", .0.display())]
    SecurityKey(PathBuf),
    #[error("the private key could not be used")]
    Unusable,
}

impl KeyFileError {
    /// Returns the step that helps.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Encrypted(path) | Self::SecurityKey(path) => {
                Some(format!("`ssh-add {}`", path.display()))
            }
            Self::Pem(path) => Some(format!(
                "`ssh-keygen -p -f {}` writes it in OpenSSH's format",
                path.display()
            )),
            Self::Read { .. }
            | Self::Public { .. }
            | Self::NotAKey(_)
            | Self::Absent(_)
            | Self::Malformed { .. }
            | Self::OtherKey { .. }
            | Self::Passphrase(_)
            | Self::Unusable => None,
        }
    }
}
