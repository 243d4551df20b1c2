//! Where a remote was when it was last asked, noted, so that what was seen elsewhere is not taken for what is
//! there.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use gix::ObjectId;
use notme_core::{hex, key::sha256};
use serde::{Deserialize, Serialize};

use super::{NOTES, Store, StoreError, error::failed, name_of, shared::share};

#[derive(Deserialize, Serialize)]
struct Wire {
    /// The digest of its URL, in which there may be a token.
    url: String,
    elsewhere: Vec<String>,
}

impl Store {
    /// Returns what may have been seen elsewhere only, as it was noted; `None` unless the remote was at that
    /// URL then.
    pub fn elsewhere(&self, remote: &str, url: &str) -> Option<BTreeSet<ObjectId>> {
        let text = fs::read(self.note_of_remote(remote)).ok()?;
        let Wire {
            url: noted,
            elsewhere,
        } = serde_json::from_slice(&text).ok()?;
        let ids = elsewhere.iter();
        let ids = ids.map(|id| ObjectId::from_hex(id.as_bytes()).ok());
        ids.collect::<Option<_>>().filter(|_| noted == digest(url))
    }

    /// Notes the URL of a remote, and what may have been seen elsewhere only.
    ///
    /// # Errors
    /// [`StoreError`] when the note cannot be written.
    pub fn note_remote(
        &self,
        remote: &str,
        url: &str,
        elsewhere: &BTreeSet<ObjectId>,
    ) -> Result<(), StoreError> {
        let path = self.note_of_remote(remote);
        let wire = Wire {
            url: digest(url),
            elsewhere: elsewhere.iter().map(ToString::to_string).collect(),
        };
        let write = || {
            let text = serde_json::to_vec(&wire)?;
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(&path, text)?;
            share(&self.local(), &path);
            Ok(())
        };
        write().map_err(|error: io::Error| failed("note where a remote is", error))
    }

    fn note_of_remote(&self, remote: &str) -> PathBuf {
        let directory = self.local().common_dir().join(NOTES);
        directory.join(format!("remote-{}.json", name_of(remote)))
    }
}

fn digest(url: &str) -> String {
    hex::encode(&sha256(url.as_bytes()))
}
