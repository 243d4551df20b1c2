//! A person's secret: a passphrase or a key file.

use std::{
    fmt, fs,
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

use crate::seal::SealError;

/// A passphrase or the content of a key file.
///
/// It arrives by file descriptor, file or environment, never by argument.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Reads a passphrase to the end of `reader`; one line ending at the end does not count.
    ///
    /// # Errors
    /// [`SealError::ReadSecret`], or [`SealError::SecretTooShort`] under 8 bytes.
    pub fn passphrase(reader: impl Read) -> Result<Self, SealError> {
        Self::line(reader)?.at_least(PASSPHRASE_MIN)
    }

    /// Reads a key file whole, every byte of it significant.
    ///
    /// # Errors
    /// [`SealError::ReadSecret`], or [`SealError::SecretTooShort`] under 32 bytes.
    pub fn key_file(path: &Path) -> Result<Self, SealError> {
        let file = fs::File::open(path).map_err(SealError::ReadSecret)?;
        Self(read_limited(file).map_err(SealError::ReadSecret)?).at_least(KEY_FILE_MIN)
    }

    /// Reads the PIN of a token to the end of `reader`, as a passphrase.
    ///
    /// # Errors
    /// [`SealError::ReadSecret`], or [`SealError::SecretTooShort`] for an empty one.
    pub fn pin(reader: impl Read) -> Result<Self, SealError> {
        Self::line(reader)?.at_least(1)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn line(reader: impl Read) -> Result<Self, SealError> {
        let mut bytes = read_limited(reader).map_err(SealError::ReadSecret)?;
        for ending in [b'\n', b'\r'] {
            if bytes.last() == Some(&ending) {
                bytes.pop();
            }
        }
        Ok(Self(bytes))
    }

    fn at_least(self, least: usize) -> Result<Self, SealError> {
        if self.0.len() < least {
            return Err(SealError::SecretTooShort { least });
        }
        Ok(self)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// Reads everything, up to a limit.
pub(crate) fn read_limited(reader: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Reserved at once: a growing vector would leave copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_MAX + 1));
    let limit = u64::try_from(SECRET_MAX).unwrap_or(u64::MAX) + 1;
    reader.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > SECRET_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

const PASSPHRASE_MIN: usize = 8;
const KEY_FILE_MIN: usize = 32;
const SECRET_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_loses_only_its_line_ending() {
        let secret = Secret::passphrase(&b"correct horse \r\n"[..]).unwrap();
        assert_eq!(*secret.0, b"correct horse ");
        assert!(matches!(
            Secret::passphrase(&b"short\n"[..]),
            Err(SealError::SecretTooShort { least: 8 })
        ));
    }
}
