//! Where a remote was when it was last asked, noted, so that what was seen elsewhere is not taken for what is
//! there.

use std::collections::BTreeSet;

use gix::ObjectId;
use notme_core::{hex, key::sha256};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, name_of};

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
        let Wire {
            url: noted,
            elsewhere,
        } = self.read_note(&note_of(remote))?;
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
        let wire = Wire {
            url: digest(url),
            elsewhere: elsewhere.iter().map(ToString::to_string).collect(),
        };
        self.write_note(&note_of(remote), &wire, "note where a remote is")
    }
}

fn note_of(remote: &str) -> String {
    format!("remote-{}.json", name_of(remote))
}

fn digest(url: &str) -> String {
    hex::encode(&sha256(url.as_bytes()))
}
