//! Files that come to be whole, and take nobody's place.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use notme_core::hex;

use crate::{seal::random, store::side_files};

/// A private file on its way, gone when it does not get there.
pub(crate) struct Draft(PathBuf);

impl Draft {
    /// Makes one under a name of its own: another may be on its way to the same place, or have been
    /// when it was killed.
    pub(crate) fn beside(place: &Path) -> io::Result<Self> {
        let id = hex::encode(&random::<8>().map_err(io::Error::other)?);
        let mut name = place.as_os_str().to_owned();
        name.push(format!(".partial-{id}"));
        let path = PathBuf::from(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self(path))
    }

    /// Returns where it is until then.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives it its name, for good. Nothing else may have it ([`io::ErrorKind::AlreadyExists`]).
    pub(crate) fn become_file(self, place: &Path) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        fs::hard_link(&self.0, place)?;
        let directory = match place.parent() {
            Some(directory) if directory != Path::new("") => directory,
            Some(_) | None => Path::new("."),
        };
        File::open(directory)?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        remove_store(&self.0);
    }
}

/// Removes a file, and what SQLite has beside it.
pub(crate) fn remove_store(path: &Path) {
    for path in side_files(path).iter().map(PathBuf::as_path).chain([path]) {
        let _ = fs::remove_file(path);
    }
}
