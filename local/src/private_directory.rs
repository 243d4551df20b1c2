//! Directories that nobody else can enter.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

/// Creates a directory, and those above it, for us alone; one that exists is only checked.
///
/// # Errors
/// [`DirectoryError`].
pub fn create_private_directory(path: &Path) -> Result<(), DirectoryError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| unusable(path, source))?;
    check_private_directory(path)
}

/// Checks that a directory is one, not a link to one, ours, and closed to everybody else.
///
/// # Errors
/// [`DirectoryError`].
pub fn check_private_directory(path: &Path) -> Result<(), DirectoryError> {
    let metadata = fs::symlink_metadata(path).map_err(|source| unusable(path, source))?;
    let path = path.to_owned();
    if !metadata.is_dir() {
        return Err(DirectoryError::NotADirectory { path });
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(DirectoryError::NotOurs {
            path,
            owner: metadata.uid(),
        });
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(DirectoryError::Open {
            path,
            mode: metadata.mode() & 0o7777,
        });
    }
    Ok(())
}

/// The directory cannot keep anything private.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or looked at.
    #[error("could not use the directory `{}`", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A link or a file.
    #[error("`{}` is not a directory", path.display())]
    NotADirectory {
        /// Which.
        path: PathBuf,
    },
    /// Somebody else's.
    #[error("the directory `{}` belongs to user {owner}, not to us", path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others may enter it.
    #[error("the directory `{}` is open to others (mode {mode:o}, not 700)", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl DirectoryError {
    /// Returns the code of the closed list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unusable { .. } => "directory-unusable",
            Self::NotADirectory { .. } | Self::NotOurs { .. } | Self::Open { .. } => {
                "directory-not-private"
            }
        }
    }
}

fn unusable(path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Unusable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn world() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn makes_directories_for_us_alone() {
        let world = world();
        let path = world.path().join("a/b");
        create_private_directory(&path).unwrap();
        create_private_directory(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(
            fs::metadata(world.path().join("a")).unwrap().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn refuses_one_that_others_may_enter() {
        let world = world();
        for mode in [0o755, 0o710, 0o701, 0o770] {
            fs::set_permissions(world.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = create_private_directory(world.path()).unwrap_err();
            assert!(matches!(error, DirectoryError::Open { mode: found, .. } if found == mode));
        }
    }

    #[test]
    fn refuses_a_link_and_a_file() {
        let world = world();
        let (real, link) = (world.path().join("real"), world.path().join("link"));
        create_private_directory(&real).unwrap();
        symlink(&real, &link).unwrap();
        let error = create_private_directory(&link).unwrap_err();
        assert!(matches!(error, DirectoryError::NotADirectory { .. }));
        let file = world.path().join("file");
        fs::write(&file, "").unwrap();
        let error = check_private_directory(&file).unwrap_err();
        assert!(matches!(error, DirectoryError::NotADirectory { .. }));
    }

    #[test]
    fn refuses_somebody_elses() {
        let world = world();
        let path = match geteuid().is_root() {
            true => {
                std::os::unix::fs::chown(world.path(), Some(65534), None).unwrap();
                world.path()
            }
            false => Path::new("/"),
        };
        let error = check_private_directory(path).unwrap_err();
        assert!(matches!(error, DirectoryError::NotOurs { .. }));
    }

    #[test]
    fn tells_a_missing_one_from_an_open_one() {
        let error = check_private_directory(&world().path().join("missing")).unwrap_err();
        assert_eq!(error.code(), "directory-unusable");
    }
}
