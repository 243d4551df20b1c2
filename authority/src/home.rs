//! Directories that nobody else can look into.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// Makes the directory, private, unless it is there, and checks that it is private.
pub(crate) fn make_private(path: &Path) -> Result<(), HomeError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| HomeError::Unusable {
            path: path.to_owned(),
            source,
        })?;
    check_private(path)
}

/// Checks that the directory is ours and closed to others.
pub(crate) fn check_private(path: &Path) -> Result<(), HomeError> {
    let metadata = fs::metadata(path).map_err(|source| HomeError::Unusable {
        path: path.to_owned(),
        source,
    })?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_dir() || !ours || metadata.mode() & 0o077 != 0 {
        return Err(HomeError::Open {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Why a directory cannot hold secrets.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Not a directory of ours with mode 0700.
    #[error("`{}` is not a directory that only its owner, us, can enter", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be made or looked at.
    #[error("could not use directory `{}`", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl HomeError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "directory-not-private",
            Self::Unusable { .. } => "directory-unusable",
        }
    }
}
