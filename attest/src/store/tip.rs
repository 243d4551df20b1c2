//! Which record of a chain is the last one, noted so that nobody has to judge all of them to go on.
//!
//! A note lies in the git directory and is worth nothing by itself: it counts while the activity
//! keeps exactly what it kept then, and the record that it names is judged anew.

use std::{fs, io, path::PathBuf};

use gix::ObjectId;
use notme_core::{hex, key::sha256};
use serde::{Deserialize, Serialize};

use super::{Contents, FileName, NOTES, Place, Store, StoreError, error::failed, shared::share};

/// A last record, as it was noted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Noted {
    /// The file.
    pub file: FileName,
    /// What its activity kept.
    pub contents: Contents,
}

#[derive(Deserialize, Serialize)]
struct Wire {
    file: String,
    contents: String,
}

impl Store {
    /// Notes the last record of a chain.
    ///
    /// # Errors
    /// [`StoreError`] when the note cannot be written.
    pub fn note(&self, activity: &str, identity: &str, noted: &Noted) -> Result<(), StoreError> {
        let path = self.note_of(activity, identity);
        let wire = Wire {
            file: noted.file.to_string(),
            contents: noted.contents.0.to_string(),
        };
        let write = || {
            let text = serde_json::to_vec(&wire)?;
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(&path, text)?;
            share(&self.local(), &path);
            Ok(())
        };
        write().map_err(|error: io::Error| failed("note where a chain ends", error))
    }

    /// Returns what was noted, if the activity still keeps what it kept then.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn noted(&self, activity: &str, identity: &str) -> Result<Option<Noted>, StoreError> {
        let text = fs::read(self.note_of(activity, identity));
        let wire = text
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let Some(Wire { file, contents }) = wire else {
            return Ok(None);
        };
        let then = ObjectId::from_hex(contents.as_bytes()).ok().map(Contents);
        let now = self.contents(&Place::activity(activity))?;
        let contents = now.filter(|now| Some(*now) == then);
        let file = FileName::read(file.as_bytes());
        Ok(file
            .zip(contents)
            .map(|(file, contents)| Noted { file, contents }))
    }

    /// Forgets a note, if there is one: the chain has ended.
    pub fn forget(&self, activity: &str, identity: &str) {
        // One that stays is never asked for.
        let _ = fs::remove_file(self.note_of(activity, identity));
    }

    fn note_of(&self, activity: &str, identity: &str) -> PathBuf {
        let name = sha256(format!("{activity}\0{identity}").as_bytes());
        let directory = self.local().common_dir().join(NOTES);
        directory.join(format!("{}.json", hex::encode(&name)))
    }
}
