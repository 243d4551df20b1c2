//! Files that only their owner may change.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::OFlags;

use super::TrustStoreError;

/// More than any trust file.
const FILE_MAX: usize = 4 << 20;
/// So many bytes are made room for before anything is read; most files are shorter.
const AT_ONCE: usize = 16 * 1024;
/// Write permission of group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Holds the store for one process at a time; let go when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(directory: &Path) -> Result<Self, TrustStoreError> {
        let path = directory.join(".lock");
        let error = |source| TrustStoreError::Write {
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(error)?;
        file.lock().map_err(error)?;
        Ok(Self { _file: file })
    }
}

/// Reads a file that must be there, and that nobody else may change.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TrustStoreError> {
    check_private(path)?;
    if let Some(parent) = path.parent() {
        check_private(parent)?;
    }
    read_limited(path, FILE_MAX)
}

/// Reads a file; `None` when there is none, which is for the caller to judge.
pub(super) fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, TrustStoreError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(_) | Err(_) => read(path).map(Some),
    }
}

/// Checks that it is a file and no pipe, which would keep whoever reads it waiting.
pub(crate) fn check_regular(metadata: &Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// Reads a file up to one byte more than `limit`, which shows that it is longer.
pub(super) fn read_up_to(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    check_regular(&file.metadata()?)?;
    read_all(file, limit)
}

/// Opens a file, or a pipe without waiting for who writes.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(path)
}

/// Reads what is open, as [`read_up_to`] does.
pub(super) fn read_all(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(limit.min(AT_ONCE));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_limited(path: &Path, limit: usize) -> Result<Vec<u8>, TrustStoreError> {
    let bytes = read_up_to(path, limit).map_err(|source| TrustStoreError::Read {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() > limit {
        return Err(TrustStoreError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Writes a file beside its place and moves it there, so that a reader finds the old one or the
/// new one, whole. The caller holds the lock, so the name beside is free.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrustStoreError> {
    let error = |source| TrustStoreError::Write {
        path: path.to_owned(),
        source,
    };
    let beside = path.with_added_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)
        .map_err(error)?;
    file.write_all(bytes).map_err(error)?;
    file.sync_all().map_err(error)?;
    fs::rename(&beside, path).map_err(error)?;
    if let Some(parent) = path.parent() {
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(error)?;
    }
    Ok(())
}

/// Makes a directory for its owner only, or checks the one that is there.
pub(super) fn create_directory(path: &Path) -> Result<(), TrustStoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| TrustStoreError::Write {
            path: path.to_owned(),
            source,
        })?;
    check_private(path)
}

/// Returns the names of the directories in a directory, sorted, and of the links that may stand for
/// some.
pub(super) fn subdirectories(path: &Path) -> Result<Vec<String>, TrustStoreError> {
    let error = |source| TrustStoreError::Read {
        path: path.to_owned(),
        source,
    };
    let entries = fs::read_dir(path).map_err(error)?;
    check_private(path)?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(error)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(error)?;
        let is_elsewhere = || !fs::metadata(entry.path()).is_ok_and(|target| !target.is_dir());
        let may_be_one = kind.is_dir() || kind.is_symlink() && is_elsewhere();
        if may_be_one && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Tells whether a directory that can be read has others in it, whose names are not hidden.
pub(super) fn has_directories(path: &Path) -> bool {
    let is_one = |entry: fs::DirEntry| {
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        !is_hidden && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    fs::read_dir(path).is_ok_and(|entries| entries.flatten().any(is_one))
}

/// Tells whether something is not known to be missing.
pub(super) fn may_be_there(path: &Path) -> bool {
    let found = path.symlink_metadata();
    !matches!(found, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

pub(super) fn remove_tree(path: &Path) -> Result<(), TrustStoreError> {
    fs::remove_dir_all(path).map_err(|source| TrustStoreError::Write {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn remove_if_present(path: &Path) -> Result<(), TrustStoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(TrustStoreError::Write {
            path: path.to_owned(),
            source,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Checks that only we, or root, may change what decides about trust.
fn check_private(path: &Path) -> Result<(), TrustStoreError> {
    let metadata = fs::metadata(path).map_err(|source| TrustStoreError::Read {
        path: path.to_owned(),
        source,
    })?;
    match is_private(&metadata) {
        true => Ok(()),
        false => Err(TrustStoreError::Exposed {
            path: path.to_owned(),
        }),
    }
}

/// Tells whether only we, or root, may change a file.
pub(crate) fn is_private(metadata: &Metadata) -> bool {
    let owner = metadata.uid();
    let is_ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
    is_ours && metadata.mode() & WRITABLE_BY_OTHERS == 0
}
