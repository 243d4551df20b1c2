//! The git settings that `init` writes, and the way back.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use notme_core::{base64, hex, key::sha256};
use serde::{Deserialize, Serialize};

use crate::git::{self, GitError, Scope};

/// One setting: its name and the value it is to have.
pub(crate) type Setting = (&'static str, String);

/// What a configuration file held before `init` wrote to it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    version: u8,
    /// The file before, in base64; absent when there was none.
    before: Option<String>,
    /// SHA-256 of the file as `init` left it.
    after_sha256: String,
    /// The values that each setting had, and the one that `init` gave it.
    settings: BTreeMap<String, Change>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Change {
    before: Vec<String>,
    after: String,
}

/// How an undo went.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Undone {
    /// The file is byte for byte what it was.
    Exactly,
    /// The file was edited since; our settings are back to what they were, except these, which
    /// somebody changed after us.
    Settings {
        /// Settings left alone.
        kept: Vec<String>,
    },
}

/// The settings could not be written or taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// git would not.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A file could not be read or written.
    #[error("could not use `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `init` was never run here.
    #[error("there is nothing to undo: `{}` does not exist", .0.display())]
    NothingToUndo(PathBuf),
    /// The backup is not one.
    #[error("`{}` is not a backup of settings", path.display())]
    Backup {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Writes the settings after saving what was there to `backup`.
///
/// Done twice, the first backup stays, so that undo goes back to before the first time.
///
/// # Errors
/// [`SettingsError`]; nothing is written before the backup is.
pub(crate) fn apply(
    scope: Scope,
    backup: &Path,
    settings: &[Setting],
) -> Result<(), SettingsError> {
    let file = git::config_file(scope)?;
    let mut record = match load(backup) {
        Ok(record) => record,
        Err(SettingsError::NothingToUndo(_)) => Backup {
            version: 1,
            before: read(&file)?.map(|bytes| base64::encode(&bytes)),
            after_sha256: String::new(),
            settings: BTreeMap::new(),
        },
        Err(error) => return Err(error),
    };
    for (name, value) in settings {
        let before = git::values(scope, name)?;
        record
            .settings
            .entry((*name).to_owned())
            .or_insert(Change {
                before,
                after: String::new(),
            })
            .after
            .clone_from(value);
    }
    save(backup, &record)?;
    for (name, value) in settings {
        git::replace(scope, name, std::slice::from_ref(value))?;
    }
    record.after_sha256 = hex::encode(&sha256(&read(&file)?.unwrap_or_default()));
    save(backup, &record)
}

/// Takes the settings back and removes the backup.
///
/// # Errors
/// [`SettingsError`]; the backup stays when anything failed.
pub(crate) fn undo(scope: Scope, backup: &Path) -> Result<Undone, SettingsError> {
    let record = load(backup)?;
    let file = git::config_file(scope)?;
    let now = read(&file)?.unwrap_or_default();
    let undone = if hex::encode(&sha256(&now)) == record.after_sha256 {
        restore(&file, record.before.as_deref().and_then(base64::decode))?;
        Undone::Exactly
    } else {
        let mut kept = Vec::new();
        for (name, change) in &record.settings {
            if git::values(scope, name)? == [change.after.as_str()] {
                git::replace(scope, name, &change.before)?;
            } else {
                kept.push(name.clone());
            }
        }
        Undone::Settings { kept }
    };
    fs::remove_file(backup).map_err(|source| file_error(backup, source))?;
    Ok(undone)
}

fn load(path: &Path) -> Result<Backup, SettingsError> {
    let bytes = read(path)?.ok_or_else(|| SettingsError::NothingToUndo(path.to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|source| SettingsError::Backup {
        path: path.to_owned(),
        source,
    })
}

fn save(path: &Path, record: &Backup) -> Result<(), SettingsError> {
    let write = || {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        replace(path, &serde_json::to_vec_pretty(record)?, 0o600)
    };
    write().map_err(|source| file_error(path, source))
}

/// Puts a configuration file back, or away when there was none.
fn restore(file: &Path, before: Option<Vec<u8>>) -> Result<(), SettingsError> {
    let put = || match &before {
        Some(bytes) => {
            let mode = fs::metadata(file)?.permissions().mode();
            replace(file, bytes, mode & 0o777)
        }
        None => fs::remove_file(file),
    };
    put().map_err(|source| file_error(file, source))
}

/// Replaces a file under the lock that git itself takes: `<file>.lock`, renamed into place.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&lock)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&lock, path));
    if written.is_err() {
        let _ = fs::remove_file(&lock);
    }
    written
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SettingsError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(file_error(path, source)),
    }
}

fn file_error(path: &Path, source: io::Error) -> SettingsError {
    SettingsError::File {
        path: path.to_owned(),
        source,
    }
}
