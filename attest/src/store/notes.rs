//! Notes in the git directory, shared by its worktrees: what a store remembers, and could find out anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
};

use rustix::fs::OFlags;
use serde::{Serialize, de::DeserializeOwned};

use super::{Store, StoreError, error::failed, shared::share};

/// Where notes lie, in the git directory.
const NOTES: &str = "notme-attest";
/// The longest of them.
const NOTE_MAX: u64 = 256 * 1024 * 1024;

impl Store {
    /// Returns a note; `None` where there is none, or none that can be read.
    pub(super) fn read_note<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = note_path(&self.local(), name);
        serde_json::from_slice(&read(&path).ok()?).ok()
    }

    /// Writes a note, `doing` what is said when that fails.
    pub(super) fn write_note(
        &self,
        name: &str,
        note: &impl Serialize,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        let repository = self.local();
        let path = note_path(&repository, name);
        let content = serde_json::to_vec(note).map_err(io::Error::from);
        let written = content.and_then(|content| replace(&repository, &path, &content));
        written.map_err(|error| failed(doing, error))
    }

    /// Takes a note away, if it is there.
    pub(super) fn remove_note(&self, name: &str) {
        // One that stays is never asked for.
        let _ = fs::remove_file(note_path(&self.local(), name));
    }
}

/// Returns where a note lies.
pub(super) fn note_path(repository: &gix::Repository, name: &str) -> PathBuf {
    repository.common_dir().join(NOTES).join(name)
}

/// Opens a file for whoever says how: no link to another one, and no pipe that would keep us waiting.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let options = options.custom_flags(i32::try_from(flags).unwrap_or_default());
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// Reads a file among the notes.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = open(path, File::options().read(true))?;
    file.take(NOTE_MAX + 1).read_to_end(&mut content)?;
    match u64::try_from(content.len()).is_ok_and(|length| length <= NOTE_MAX) {
        true => Ok(content),
        false => Err(io::ErrorKind::FileTooLarge.into()),
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
