//! Which record of a chain is the last one, noted so that nobody has to judge all of them to go on.
//!
//! A note lies in the git directory and is worth nothing by itself: it counts while the activity
//! keeps exactly what it kept then, and the record that it names is judged anew.

use gix::ObjectId;
use notme_core::{hex, key::sha256};
use serde::{Deserialize, Serialize};

use super::{Contents, FileName, Place, Store, StoreError};

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
        let wire = Wire {
            file: noted.file.to_string(),
            contents: noted.contents.0.to_string(),
        };
        self.write_note(
            &name_of(activity, identity),
            &wire,
            "note where a chain ends",
        )
    }

    /// Returns what was noted, if the activity still keeps what it kept then.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn noted(&self, activity: &str, identity: &str) -> Result<Option<Noted>, StoreError> {
        let Some(Wire { file, contents }) = self.read_note(&name_of(activity, identity)) else {
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
        self.remove_note(&name_of(activity, identity));
    }
}

fn name_of(activity: &str, identity: &str) -> String {
    let name = sha256(format!("{activity}\0{identity}").as_bytes());
    format!("{}.json", hex::encode(&name))
}
