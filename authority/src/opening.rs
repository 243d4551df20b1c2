//! From a directory to open keys.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use notme_core::time::UnixTime;

use crate::{
    authority::{Founding, OpenError, found},
    keys::{Keys, unlock},
    seal::{Kek, Protection, Sealing},
    store::{AuthorityRecord, SqliteStore, Store},
};

/// An authority whose keys are open.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) record: AuthorityRecord,
    pub(crate) keys: Keys,
    pub(crate) kek: Kek,
}

/// Opens the authority of a directory, making it at the first start. Keys that do not open are
/// an error: they are never made anew.
pub(crate) fn open_or_found(
    home: &Path,
    protection: &Protection,
    founding: &Founding,
    now: UnixTime,
) -> Result<Opened, OpenError> {
    let store = SqliteStore::open(&store_file(home))?;
    let (mut record, kek) = match store.authority()? {
        Some(record) => {
            let kek = record.sealing.unlock(protection, home)?;
            (record, kek)
        }
        None => {
            let sealing = Sealing::choose(protection)?;
            let kek = sealing.first_unlock(protection, home)?;
            (found(&store, founding, sealing, &kek, now)?, kek)
        }
    };
    Ok(Opened {
        keys: unlock(&store, &mut record, &kek, now)?,
        store: Arc::new(store),
        record,
        kek,
    })
}

/// Makes an authority that ends with the process. Its keys are sealed all the same, under a key
/// that nothing else has.
pub(crate) fn open_in_memory(founding: &Founding, now: UnixTime) -> Result<Opened, OpenError> {
    let store = SqliteStore::in_memory()?;
    let kek = Kek::random()?;
    let record = found(&store, founding, Sealing::in_memory(), &kek, now)?;
    Ok(Opened {
        keys: Keys::open(&record, &kek)?,
        store: Arc::new(store),
        record,
        kek,
    })
}

pub(crate) fn store_file(home: &Path) -> PathBuf {
    home.join("store.sqlite")
}
