//! Notes in the git directory, shared by its worktrees: what a store remembers, and could find out anew.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    process,
};

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
        let repository = self.local();
        let path = repository.common_dir().join(NOTES).join(name);
        let content = serde_json::to_vec(note).map_err(io::Error::from);
        let written = content.and_then(|content| replace(&repository, &path, &content));
        written.map_err(|error| failed(doing, error))
    }

    /// Takes a note away, if it is there.
    pub(super) fn remove_note(&self, name: &str) {
        // One that stays is never asked for.
        let _ = fs::remove_file(self.local().common_dir().join(NOTES).join(name));
    }
}

/// Puts a file among the notes, all of it or nothing, and in the place of a link: whoever may write to the
/// repository has us write nowhere else.
pub(super) fn replace(repository: &gix::Repository, path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory)?;
    if fs::symlink_metadata(directory)?.is_symlink() {
        let error = format!("`{}` leads elsewhere", directory.display());
        return Err(io::Error::new(io::ErrorKind::NotADirectory, error));
    }
    let fresh = path.with_extension(format!("{}.new", process::id()));
    // Of one that was killed.
    let _ = fs::remove_file(&fresh);
    File::create_new(&fresh)?.write_all(content)?;
    share(repository, &fresh);
    fs::rename(&fresh, path)
}
