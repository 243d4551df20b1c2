//! Private keys in files, as ssh-keygen makes them.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use notme_core::ssh::{Key, key::KeyReadError};
use rustix::process::getuid;
use zeroize::Zeroizing;

use super::private_key::{BEGIN, PrivateKey, PrivateKeyError, PrivateKeyFile};

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
        let unreadable = |source| KeyFileError::Read {
            path: private.clone(),
            source,
        };
        let opened = match File::open(&private) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyFileError::Absent(path.to_owned()));
            }
            opened => opened.map_err(unreadable)?,
        };
        let metadata = opened.metadata().map_err(unreadable)?;
        // As ssh-keygen: who shares a key with a group of other people signs for them all.
        if metadata.uid() == getuid().as_raw() && metadata.mode() & 0o077 != 0 {
            return Err(KeyFileError::Exposed {
                mode: metadata.mode() & 0o777,
                path: private,
            });
        }
        let bytes = read(opened).map(Zeroizing::new).map_err(unreadable)?;
        let file = parse(&bytes, &private)?;
        if file.public_key() != key.public_key() {
            return Err(KeyFileError::OtherKey {
                public: path.to_owned(),
                private,
            });
        }
        if file.is_sealed() && passphrase.is_none() {
            return Err(KeyFileError::Encrypted(private));
        }
        match file.open(passphrase.map(OsStr::as_bytes)) {
            Ok(key) => Ok(Self { key }),
            Err(PrivateKeyError::SecurityKey) => Err(KeyFileError::SecurityKey(private)),
            Err(source) => Err(KeyFileError::Malformed {
                path: private,
                source,
            }),
        }
    }

    /// Signs, and returns the signature blob.
    ///
    /// # Errors
    /// [`KeyFileError::Unusable`].
    pub(super) fn sign(&self, data: &[u8]) -> Result<Vec<u8>, KeyFileError> {
        self.key.sign(data).ok_or(KeyFileError::Unusable)
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
        match File::open(candidate).and_then(read) {
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
    let bytes = match (File::open(path).and_then(read), first_error) {
        (Ok(bytes), _) => bytes,
        (Err(_), Some(error)) => return Err(error),
        (Err(source), None) => return Err(unreadable(path, source)),
    };
    let file = parse(&bytes, path)?;
    Ok(Key::Plain(file.public_key().clone()))
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

fn parse(bytes: &[u8], path: &Path) -> Result<PrivateKeyFile, KeyFileError> {
    let has = |label: &[u8]| bytes.windows(label.len()).any(|window| window == label);
    if !has(BEGIN.as_bytes()) {
        return Err(match has(b"PRIVATE KEY-----") {
            true => KeyFileError::Pem(path.to_owned()),
            false => KeyFileError::NotAKey(path.to_owned()),
        });
    }
    PrivateKeyFile::parse(bytes).map_err(|source| KeyFileError::Malformed {
        path: path.to_owned(),
        source,
    })
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

fn read(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
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
    #[error("couldn't use the private key {}: {source}", path.display())]
    Malformed {
        path: PathBuf,
        source: PrivateKeyError,
    },
    #[error("Permissions {mode:04o} for '{}' are too open: others may read or change it", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("Public key {} doesn't match private {}", public.display(), private.display())]
    OtherKey { public: PathBuf, private: PathBuf },
    #[error("the private key {} is encrypted, and no ssh-agent has it", .0.display())]
    Encrypted(PathBuf),
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
            Self::Exposed { path, .. } => Some(format!("`chmod 600 {}`", path.display())),
            Self::Read { .. }
            | Self::Public { .. }
            | Self::NotAKey(_)
            | Self::Absent(_)
            | Self::Malformed { .. }
            | Self::OtherKey { .. }
            | Self::Unusable => None,
        }
    }
}
