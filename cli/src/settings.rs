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
    /// The file before.
    before: Before,
    /// SHA-256 of the file as `init` left it.
    after_sha256: String,
    /// The values that each setting had, and the one that `init` gave it.
    settings: BTreeMap<String, Change>,
}

/// What a configuration file was.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Before {
    /// It did not exist.
    Absent,
    /// These bytes, in base64.
    Bytes(String),
    /// Something that was edited between two runs of `init`.
    Edited,
}

impl Before {
    fn of(file: Option<&[u8]>) -> Self {
        file.map_or(Self::Absent, |bytes| Self::Bytes(base64::encode(bytes)))
    }
}

#[derive(Debug, Deserialize, Serialize)]
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
    let now = read(&file)?;
    let mut record = match load(backup) {
        // Edited since: there is no going back to the byte without losing those edits.
        Ok(record) if record.after_sha256 != digest(now.as_deref()) => Backup {
            before: Before::Edited,
            ..record
        },
        Ok(record) => record,
        Err(SettingsError::NothingToUndo(_)) => Backup {
            version: 1,
            before: Before::of(now.as_deref()),
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
        if let Err(error) = git::replace(scope, name, std::slice::from_ref(value)) {
            // Back to where we were; what this cannot take back either, the backup still knows.
            let _ = undo(scope, backup);
            return Err(error.into());
        }
    }
    record.after_sha256 = digest(read(&file)?.as_deref());
    save(backup, &record)
}

/// What `init` wrote to a configuration file.
#[derive(Debug)]
pub(crate) struct Recorded(BTreeMap<String, Change>);

impl Recorded {
    /// Returns the value that a setting was given.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        Some(self.0.get(name)?.after.as_str())
    }
}

/// Returns what was written; `None` when `init` was never run here.
///
/// # Errors
/// [`SettingsError`] when the backup cannot be read.
pub(crate) fn recorded(backup: &Path) -> Result<Option<Recorded>, SettingsError> {
    match load(backup) {
        Ok(record) => Ok(Some(Recorded(record.settings))),
        Err(SettingsError::NothingToUndo(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the settings back and removes the backup.
///
/// # Errors
/// [`SettingsError`]; the backup stays when anything failed.
pub(crate) fn undo(scope: Scope, backup: &Path) -> Result<Undone, SettingsError> {
    let record = load(backup)?;
    let file = git::config_file(scope)?;
    let untouched = digest(read(&file)?.as_deref()) == record.after_sha256;
    let undone = match &record.before {
        Before::Absent if untouched => {
            fs::remove_file(&file).map_err(|source| file_error(&file, source))?;
            Undone::Exactly
        }
        Before::Bytes(bytes) if untouched => {
            restore(&file, bytes)?;
            Undone::Exactly
        }
        Before::Absent | Before::Bytes(_) | Before::Edited => undo_each(scope, &record)?,
    };
    fs::remove_file(backup).map_err(|source| file_error(backup, source))?;
    Ok(undone)
}

/// Takes back each setting that is still as we left it.
fn undo_each(scope: Scope, record: &Backup) -> Result<Undone, SettingsError> {
    let mut kept = Vec::new();
    for (name, change) in &record.settings {
        let now = git::values(scope, name)?;
        if now == [change.after.as_str()] {
            git::replace(scope, name, &change.before)?;
        } else if now != change.before {
            kept.push(name.clone());
        }
    }
    Ok(Undone::Settings { kept })
}

fn digest(file: Option<&[u8]>) -> String {
    hex::encode(&sha256(file.unwrap_or_default()))
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

/// Puts a configuration file back, with the mode that it has.
fn restore(file: &Path, before: &str) -> Result<(), SettingsError> {
    let put = || {
        let bytes = base64::decode(before).ok_or(io::ErrorKind::InvalidData)?;
        let mode = fs::metadata(file)?.permissions().mode();
        replace(file, &bytes, mode & 0o777)
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
