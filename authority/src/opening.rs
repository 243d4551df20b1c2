//! From a directory to open keys.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use notme_core::time::UnixTime;

use crate::{
    authority::{Founding, OpenError, found},
    custody::Custody,
    keys::{Keys, unlock},
    seal::{Protection, Sealing},
    store::{AuthorityRecord, SqliteStore, Store},
};

/// An authority whose keys are open.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) record: AuthorityRecord,
    pub(crate) keys: Keys,
    pub(crate) custody: Custody,
}

/// Opens the authority of a directory, making it at the first start. Keys that do not open are
/// an error: they are never made anew.
pub(crate) fn open_or_found(
    home: &Path,
    protection: &Protection,
    founding: &Founding,
    now: UnixTime,
) -> Result<Opened, OpenError> {
    let store = SqliteStore::open_to_serve(&store_file(home))?;
    let (mut record, custody) = match store.authority()? {
        Some(record) => {
            let custody = Custody::open(protection, &record.sealing, &record.epochs, home)?;
            (record, custody)
        }
        None => {
            let sealing = Sealing::choose(protection.sealing())?;
            let custody = Custody::open(protection, &sealing, &[], home)?;
            (found(&store, founding, sealing, &custody, now)?, custody)
        }
    };
    Ok(Opened {
        keys: unlock(&store, &mut record, &custody, now)?,
        store: Arc::new(store),
        record,
        custody,
    })
}

/// Makes an authority that ends with the process.
pub(crate) fn open_in_memory(founding: &Founding, now: UnixTime) -> Result<Opened, OpenError> {
    let store = SqliteStore::in_memory()?;
    let custody = Custody::in_memory()?;
    let record = found(&store, founding, Sealing::in_memory(), &custody, now)?;
    Ok(Opened {
        keys: Keys::open(&record, &custody)?,
        store: Arc::new(store),
        record,
        custody,
    })
}

pub(crate) fn store_file(home: &Path) -> PathBuf {
    home.join("store.sqlite")
}
