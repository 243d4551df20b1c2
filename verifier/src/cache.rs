//! What was found out in earlier runs, on disk: the one module that opens its files.
//!
//! It holds what does not change: of objects, what steps 1 to 3 found, which look at no clock; of
//! commits behind a trust root, that they were accepted and which policy they hand on, with the time
//! until which that stands. Steps 4 to 6 are taken anew each time. The format, and each thing that a
//! verdict depends on, are in docs/formats/cache.md.
//!
//! Nothing here is needed for a verdict. What cannot be read or written is passed over, and
//! [`Cache::notes`] says so.

mod bytes;
mod segment;
mod shelf;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use notme_core::{key::sha256, object::HashKind};

pub(crate) use self::{
    bytes::{Common, Reader, Writer},
    shelf::{Filling, Shelf},
};

/// Raised with every change of the format, and with every change by which an object would be
/// examined, or a commit accepted, otherwise than before.
const RULES: &str = "14";

/// A directory of what was found out.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    notes: Mutex<Vec<String>>,
    /// How many bytes its files may take.
    most: u64,
}

/// What all files together may take.
const SIZE_MAX: u64 = 1 << 30;

/// Everything besides the object that an entry depends on.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Context([u8; 32]);

impl Context {
    /// Names what entries are about, and all that they depend on.
    pub(crate) fn new(about: &str, hash: HashKind, grounds: &[&str]) -> Self {
        let head = [about, RULES, env!("CARGO_PKG_VERSION"), hash_name(hash)];
        let mut bytes = Vec::new();
        for field in head.iter().chain(grounds) {
            bytes.extend_from_slice(format!("{}:", field.len()).as_bytes());
            bytes.extend_from_slice(field.as_bytes());
        }
        Self(sha256(&bytes))
    }

    fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&notme_core::hex::encode(&self.0))
    }
}

impl Cache {
    /// Names a directory; nothing is read or made yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            notes: Mutex::default(),
            most: SIZE_MAX,
        }
    }

    /// Returns what could not be read or written so far, for people; unescaped.
    pub fn notes(&self) -> Vec<String> {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, note: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    fn path(&self) -> &Path {
        &self.directory
    }
}

const fn hash_name(hash: HashKind) -> &'static str {
    match hash {
        HashKind::Sha1 => "sha1",
        HashKind::Sha256 => "sha256",
    }
}
