//! Notes in the git directory, shared by its worktrees: what a store remembers, and could find out anew.

use std::{fs, io};

use serde::{Serialize, de::DeserializeOwned};

use super::{Store, StoreError, error::failed, shared::share};

/// Where notes lie, in the git directory.
const NOTES: &str = "notme-attest";

impl Store {
    /// Returns a note; `None` where there is none, or none that can be read.
    pub(super) fn read_note<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.local().common_dir().join(NOTES).join(name);
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes a note, `doing` what is said when that fails.
    pub(super) fn write_note(
        &self,
        name: &str,
        note: &impl Serialize,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        let directory = self.local().common_dir().join(NOTES);
        let write = || {
            fs::create_dir_all(&directory)?;
            let path = directory.join(name);
            fs::write(&path, serde_json::to_vec(note)?)?;
            share(&self.local(), &path);
            Ok(())
        };
        write().map_err(|error: io::Error| failed(doing, error))
    }

    /// Takes a note away, if it is there.
    pub(super) fn remove_note(&self, name: &str) {
        // One that stays is never asked for.
        let _ = fs::remove_file(self.local().common_dir().join(NOTES).join(name));
    }
}
