//! The file that takes keys back: a KRL, or a plain list of keys.

use super::{
    key::{Key, KeyReadError},
    krl::{Krl, KrlError},
};

/// What was revoked, in whichever form.
#[derive(Clone, Debug)]
pub enum RevocationList {
    /// OpenSSH's binary form.
    Krl(Box<Krl>),
    /// One key a line; an authority's key takes back what it certified.
    Keys(Vec<Key>),
}

impl RevocationList {
    /// Reads a file. Anything that is neither form is an error, so that nothing counts as not
    /// revoked because its list was broken.
    ///
    /// # Errors
    /// [`RevocationError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RevocationError> {
        if Krl::is_krl(bytes) {
            return Ok(Self::Krl(Box::new(Krl::parse(bytes)?)));
        }
        let mut keys = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii_start();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let broken = |source| RevocationError::Key {
                line: index + 1,
                source,
            };
            // Comments come in every encoding.
            let text = String::from_utf8_lossy(line);
            keys.push(Key::from_text(&text).map_err(broken)?.0);
        }
        Ok(Self::Keys(keys))
    }

    /// Tells whether a key or a certificate is revoked: itself, the key in it, or its authority's.
    pub fn revokes(&self, key: &Key) -> bool {
        match self {
            Self::Krl(krl) => krl.revokes(key),
            Self::Keys(keys) => {
                let authority = key.certificate().map(|it| it.authority());
                keys.iter()
                    .map(Key::public_key)
                    .any(|revoked| revoked == key.public_key() || Some(revoked) == authority)
            }
        }
    }
}

/// The list cannot be read, so nothing is known not to be revoked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RevocationError {
    /// A KRL that is none.
    #[error(transparent)]
    Krl(#[from] KrlError),
    /// A line that is no key.
    #[error("line {line}: {source}")]
    Key {
        /// Its number, from one.
        line: usize,
        /// What is wrong.
        source: KeyReadError,
    },
}
