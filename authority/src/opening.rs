//! From a place to open keys.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use notme_core::time::UnixTime;

use crate::{
    authority::{Founding, OpenError, found},
    custody::Custody,
    keys::{Keys, unlock},
    seal::{KEK_FILE, Protection, Sealing},
    store::{
        AuthorityRecord, PostgresStore, PostgresUrl, SqliteStore, Store, StoreError, side_files,
    },
};

/// Where an authority keeps itself: a private directory, and in it, or in a database that several
/// instances share, the store.
///
/// What is in the directory of an instance besides is its own: the lock, and with
/// [`Protection::LocalFile`] the file that opens the keys.
#[derive(Clone, Debug)]
pub struct Place {
    directory: PathBuf,
    database: Option<PostgresUrl>,
}

impl Place {
    /// Names a directory with its store in it.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            database: None,
        }
    }

    /// Names a directory, and the database that has the store.
    pub fn shared(directory: impl Into<PathBuf>, database: PostgresUrl) -> Self {
        Self {
            directory: directory.into(),
            database: Some(database),
        }
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the database, if the store is in one.
    pub fn database(&self) -> Option<&PostgresUrl> {
        self.database.as_ref()
    }

    /// Returns where the store is when it is in the directory.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join("store.sqlite")
    }

    /// Opens the store, if there is one.
    pub(crate) fn existing_store(&self) -> Result<Option<Arc<dyn Store>>, StoreError> {
        Ok(match &self.database {
            Some(url) => PostgresStore::open_existing(url)?
                .map(|store| -> Arc<dyn Store> { Arc::new(store) }),
            None if self.file().exists() => Some(Arc::new(SqliteStore::open(&self.file())?)),
            None => None,
        })
    }

    /// Opens the store for an authority that serves, making it when there is none.
    fn store(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match &self.database {
            Some(url) => Arc::new(PostgresStore::open(url)?),
            None => {
                self.check_not_gone()?;
                Arc::new(SqliteStore::open_to_serve(&self.file())?)
            }
        })
    }

    /// Checks that no store was here which is not any more: a new one in its place would be
    /// another authority, and the end of what is left of the last. A first start that died leaves
    /// nothing without a store, as that is made before all else.
    fn check_not_gone(&self) -> Result<(), StoreError> {
        let path = self.file();
        let kek = self.directory.join(KEK_FILE);
        let mut leftovers = side_files(&path).into_iter().chain([kek]);
        match leftovers.find(|left| left.exists()) {
            Some(left) if !path.exists() => Err(StoreError::Gone { path, left }),
            Some(_) | None => Ok(()),
        }
    }
}

impl From<&Path> for Place {
    fn from(directory: &Path) -> Self {
        Self::new(directory)
    }
}

impl From<&PathBuf> for Place {
    fn from(directory: &PathBuf) -> Self {
        Self::new(directory)
    }
}

impl From<&Self> for Place {
    fn from(place: &Self) -> Self {
        place.clone()
    }
}

/// An authority whose keys are open.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) record: AuthorityRecord,
    pub(crate) keys: Keys,
    pub(crate) custody: Custody,
    /// Whether other instances can serve the same store.
    pub(crate) is_shared: bool,
}

/// Opens the authority of a place, making it at the first start. Keys that do not open are an
/// error: they are never made anew.
pub(crate) fn open_or_found(
    place: &Place,
    protection: &Protection,
    founding: &Founding,
    now: UnixTime,
) -> Result<Opened, OpenError> {
    let store = place.store()?;
    let home = place.directory();
    let founded = match store.authority()? {
        Some(_) => None,
        None => {
            let sealing = Sealing::choose(protection.sealing())?;
            let custody = Custody::open(protection, &sealing, &[], home)?;
            let record = found(store.as_ref(), founding, sealing, &custody, now)?;
            record.map(|record| (record, custody))
        }
    };
    let (mut record, custody) = match founded {
        Some(founded) => founded,
        None => {
            let record = store.authority()?;
            let record = record.ok_or(StoreError::Damaged("no authority"))?;
            let custody = Custody::open(protection, &record.sealing, &record.epochs, home)?;
            (record, custody)
        }
    };
    Ok(Opened {
        keys: unlock(store.as_ref(), &mut record, &custody, now)?,
        store,
        record,
        custody,
        is_shared: place.database().is_some(),
    })
}

/// Makes an authority that ends with the process.
pub(crate) fn open_in_memory(founding: &Founding, now: UnixTime) -> Result<Opened, OpenError> {
    let store = SqliteStore::in_memory()?;
    let custody = Custody::in_memory()?;
    let record = found(&store, founding, Sealing::in_memory(), &custody, now)?
        .ok_or(StoreError::Damaged("no authority"))?;
    Ok(Opened {
        keys: Keys::open(&record, &custody)?,
        store: Arc::new(store),
        record,
        custody,
        is_shared: false,
    })
}
