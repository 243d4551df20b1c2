//! A copy of the store, made while it is used, and the way back.
//!
//! A copy has everything that the store has: the keys are in it sealed, and the file `kek` of the
//! single-user default is not. It is a store in SQLite, whatever the store is in. What a restored store would give out twice is lifted above all that
//! can have been given out since: the number of the trust document to the seconds since 1970, as
//! those of SSH certificates, CA bundles and changes of the keys are by themselves.
//!
//! A token has not gone back with the store. Keys of an epoch that was retired in the backup may be
//! gone from it: then they are given up, as they were, and `rotate --retire` forgets their names.
//! Keys that are in use or prepared have to be there.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use notme_core::{
    dsse::Envelope,
    hex,
    key::sha256,
    time::UnixTime,
    trust::{TrustDocument, TrustError},
};
use notme_local::{check_private_directory, create_private_directory};

use crate::{
    admin::{Admin, AdminError},
    audit::{Act, AuditError, AuditHead, Entry, operator},
    authority::OpenError,
    clock::Clock,
    custody::Custody,
    draft::{Draft, remove_store},
    instance::InstanceLock,
    keys::{Keys, give_up_missing},
    opening::Place,
    seal::Protection,
    store::{PostgresStore, SqliteStore, Store, StoreError, TrustRecord, side_files},
};

/// Copies the store of a place, whether an authority serves it or not, into a new file.
///
/// # Errors
/// [`AdminError::Backup`] when the file exists or cannot be written; nothing is left then.
pub fn backup(place: impl Into<Place>, to: &Path, clock: Arc<dyn Clock>) -> Result<(), AdminError> {
    let place = place.into();
    check_free(to)?;
    let draft = Draft::beside(to).map_err(BackupError::during(to))?;
    match place.database() {
        Some(url) => {
            let store = PostgresStore::open_existing(url)?.ok_or(AdminError::NotFounded)?;
            store.copy_into(draft.path())?;
        }
        None if place.file().exists() => {
            check_private_directory(place.directory())?;
            SqliteStore::open(&place.file())?.copy_into(draft.path())?;
        }
        None => return Err(AdminError::NotFounded),
    }
    // Nobody learns of a bad copy when it is needed.
    whole(draft.path(), clock)?.verify_audit(None)?;
    Ok(put(draft, to)?)
}

/// What is known of what was published last.
#[derive(Debug)]
pub enum Published {
    /// The head of the audit that somebody kept: the backup has to reach it.
    Head(AuditHead),
    /// Nothing, or the backup does not reach it: what came after it is lost.
    Unknown,
}

/// What was restored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Restored {
    /// Rows of the audit.
    pub rows: u64,
    /// The number of the trust document that was signed now; `None` when none was before.
    pub seqno: Option<u64>,
    /// The retired epochs whose keys the token does not have any more.
    pub given_up: Vec<u64>,
}

/// Makes a backup the store of a place that has none. What keeps its keys has to open them.
///
/// # Errors
/// [`AdminError::Backup`] when there is a store or something is left of one, there is more beside
/// the backup that belongs to it, or it ends before what was published;
/// [`AdminError::Audit`] when its audit is not whole. Nothing is changed then.
pub fn restore(
    place: impl Into<Place>,
    from: &Path,
    protection: &Protection,
    published: Published,
    clock: Arc<dyn Clock>,
) -> Result<Restored, AdminError> {
    let place = place.into();
    let home = place.directory();
    create_private_directory(home)?;
    let _lock = InstanceLock::acquire(home)?;
    let file = place.file();
    let database = match place.database() {
        None => {
            check_free(&file)?;
            None
        }
        Some(url) => Some(PostgresStore::open(url)?),
    };
    check_alone(from)?;
    let draft = Draft::beside(&file).map_err(BackupError::during(&file))?;
    fs::copy(from, draft.path()).map_err(BackupError::during(from))?;
    let admin = whole(draft.path(), clock.clone())?;
    let mut record = admin.record()?;
    let custody = Custody::open(protection, &record.sealing, &record.epochs, home)?;
    let given_up = give_up_missing(&mut record, &custody)?;
    let keys = Keys::open(&record, &custody).map_err(OpenError::from)?;
    let kept = match published {
        Published::Head(head) => Some(head),
        Published::Unknown => None,
    };
    admin.verify_audit(kept).map_err(|error| match error {
        AdminError::Audit(AuditError::Cut { last, head }) => {
            BackupError::Older { last, head }.into()
        }
        error => error,
    })?;
    let now = clock.now();
    let seqno = lift_trust(admin.store(), &keys, now)?;
    let mut about = format!(
        "from a backup; trust document {}",
        seqno.unwrap_or_default()
    );
    for epoch in &given_up {
        about.push_str(&format!("; without the keys of epoch {epoch}"));
    }
    let entry = Entry::new(now, operator(), Act::Restore, about);
    admin.store().give_up_keys(&given_up, &entry)?;
    let rows = admin.verify_audit(None)?;
    // The last connection to go writes its log into the file.
    drop(admin);
    match database {
        None => {
            put(draft, &file)?;
            // As it is found from now on, with whatever may be beside it.
            whole(&file, clock)
                .and_then(|admin| admin.verify_audit(None))
                .inspect_err(|_| remove_store(&file))?;
        }
        Some(database) => {
            let is_first = database.fill_from(&SqliteStore::open(draft.path())?)?;
            if !is_first {
                return Err(BackupError::Founded.into());
            }
        }
    }
    Ok(Restored {
        rows,
        seqno,
        given_up,
    })
}

/// Opens a copy after a look at all of it.
fn whole(path: &Path, clock: Arc<dyn Clock>) -> Result<Admin, AdminError> {
    let store = SqliteStore::open(path)?;
    store.check_whole()?;
    let admin = Admin::over(Arc::new(store), clock);
    admin.record()?;
    Ok(admin)
}

/// Signs the last trust document again, under a number that was never given out.
fn lift_trust(store: &dyn Store, keys: &Keys, now: UnixTime) -> Result<Option<u64>, AdminError> {
    let Some(last) = store.trust()? else {
        return Ok(None);
    };
    let before = last.document()?;
    let lives = before
        .expires_at
        .secs()
        .saturating_sub(before.issued_at.secs());
    let seconds = u64::try_from(now.secs()).unwrap_or_default();
    let document = TrustDocument {
        seqno: before.seqno.saturating_add(1).max(seconds),
        issued_at: now,
        expires_at: now.plus(lives),
        previous: Some(hex::encode(&last.payload_sha256)),
        ..before
    };
    let envelope = document
        .sign(&keys.trust_signers())
        .map_err(OpenError::from)?;
    let payload = Envelope::from_json(&envelope)
        .map_err(TrustError::from)
        .map_err(OpenError::from)?;
    let record = TrustRecord {
        seqno: document.seqno,
        payload_sha256: sha256(payload.payload()),
        envelope,
    };
    let entry = Entry {
        issued: vec![record.payload_sha256],
        ..Entry::new(
            now,
            operator(),
            Act::Publish,
            format!("trust document {}", record.seqno),
        )
    };
    match store.add_trust(&record, keys.changes(), &entry)? {
        true => Ok(Some(record.seqno)),
        false => Err(StoreError::Damaged("the number of the trust document").into()),
    }
}

/// Checks that a store can come to be there: nothing is, and nothing would be read as a part of it.
fn check_free(place: &Path) -> Result<(), BackupError> {
    if place.exists() {
        return Err(BackupError::Exists {
            path: place.to_owned(),
        });
    }
    match side_files(place).into_iter().find(|side| side.exists()) {
        Some(path) => Err(BackupError::Leftover { path }),
        None => Ok(()),
    }
}

/// Checks that a backup is all in its file. Of what is beside it, an index has nothing of its own,
/// and an empty log nothing at all.
fn check_alone(backup: &Path) -> Result<(), BackupError> {
    let [log, journal, _index] = side_files(backup);
    let has_content = |path: &PathBuf| fs::metadata(path).is_ok_and(|it| it.len() > 0);
    match [log, journal].into_iter().find(has_content) {
        Some(path) => Err(BackupError::Log { path }),
        None => Ok(()),
    }
}

/// Gives a draft its name, which nothing else may have.
fn put(draft: Draft, place: &Path) -> Result<(), BackupError> {
    draft
        .become_file(place)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists {
                path: place.to_owned(),
            },
            _ => BackupError::during(place)(error),
        })
}

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file already.
    #[error("`{}` exists, and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("could not use `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database has an authority already.
    #[error("the database has an authority, and it is not overwritten")]
    Founded,
    /// A file of SQLite is there without its database.
    #[error("`{}` is left of another store, and would be read as a part of this one", path.display())]
    Leftover {
        /// The file.
        path: PathBuf,
    },
    /// The backup is more than one file: somebody copied those of a store, or wrote to it.
    #[error("`{}` has what the backup beside it has not", path.display())]
    Log {
        /// The other one.
        path: PathBuf,
    },
    /// More was published than the backup has.
    #[error("the backup has {last} rows of the audit, and {head} were published")]
    Older {
        /// The number of its last row.
        last: u64,
        /// That of the head.
        head: u64,
    },
}

impl BackupError {
    fn during(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }

    /// Returns the code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } | Self::Founded | Self::Leftover { .. } => "backup-exists",
            Self::File { .. } => "backup-file",
            Self::Log { .. } => "backup-log",
            Self::Older { .. } => "backup-older",
        }
    }
}
