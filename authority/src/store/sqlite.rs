//! The store in SQLite.
//!
//! Write-ahead log. What founds or changes trust (keys, tokens, enrolments, trust documents) is
//! synced to the disk before it is acknowledged. An issuance is handed to the kernel: a killed
//! process loses nothing, a power cut may lose what was issued after the last head of the audit,
//! which is a minute old at most.

mod checkpoints;

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{
    CachedStatement, Connection, ErrorCode, TransactionBehavior,
    types::{ToSql, ToSqlOutput, ValueRef},
};

use self::checkpoints::{Checkpoints, LOG_MAX};
use super::{
    APPLICATION, SCHEMA, StoreError,
    database::{Database, DatabaseError, Durability, Row, Transaction, Trouble, Value, WriteError},
    sql::SqlStore,
};

/// A store in a SQLite database, in a file or in memory.
pub(crate) type SqliteStore = SqlStore<SqliteDatabase>;

/// A SQLite database.
pub(crate) struct SqliteDatabase {
    // Before the connection: the last to close moves the rest of the log.
    checkpoints: Option<Checkpoints>,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    connection: Connection,
    durability: Durability,
}

impl SqliteStore {
    /// Opens the store in `path`, making it when there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::File {
            path: path.to_owned(),
            source,
        };
        // SQLite gives its side files the mode of the database, so the database starts private.
        let created = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        match created {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            Ok(_) | Err(_) => {}
        }
        let connection = Connection::open(path).map_err(during("open the database"))?;
        SqliteDatabase::prepare(connection, path).map(|database| Self { database })
    }

    /// As [`SqliteStore::open`], for one that is written to by many: none of them waits for the disk.
    pub(crate) fn open_to_serve(path: &Path) -> Result<Self, StoreError> {
        let mut store = Self::open(path)?;
        let database = &mut store.database;
        let limited = database
            .lock()
            .connection
            .pragma_update(None, "wal_autocheckpoint", LOG_MAX);
        limited.map_err(during("prepare the database"))?;
        let writers = Arc::clone(&database.inner);
        database.checkpoints = Some(Checkpoints::of(path, writers)?);
        Ok(store)
    }

    /// Opens a store that ends with the process.
    pub(crate) fn in_memory() -> Result<Self, StoreError> {
        let connection = Connection::open_in_memory().map_err(during("open the database"))?;
        let database = SqliteDatabase::prepare(connection, Path::new(":memory:"))?;
        Ok(Self { database })
    }

    /// Copies all of it, as it is at one moment, into an empty file.
    pub(crate) fn copy_into(&self, path: &Path) -> Result<(), StoreError> {
        let Some(path) = path.to_str() else {
            return Err(StoreError::File {
                path: path.to_owned(),
                source: io::ErrorKind::InvalidFilename.into(),
            });
        };
        let inner = self.database.lock();
        let copied = inner.connection.execute("VACUUM INTO ?1", [path]);
        copied.map_err(during("copy the database"))?;
        Ok(())
    }

    /// Looks at every page.
    pub(crate) fn check_whole(&self) -> Result<(), StoreError> {
        let check = "PRAGMA integrity_check(1)";
        let inner = self.database.lock();
        let found: String = inner
            .connection
            .query_row(check, [], |row| row.get(0))
            .map_err(during("check the database"))?;
        match found == "ok" {
            true => Ok(()),
            false => Err(StoreError::Damaged("a page of the database")),
        }
    }
}

/// Returns where SQLite keeps what a database does not have yet, or not any more: log, journal and
/// index of the log. It takes what it finds there for a part of the database.
pub(crate) fn side_files(database: &Path) -> [PathBuf; 3] {
    ["-wal", "-journal", "-shm"].map(|side| {
        let mut name = database.as_os_str().to_owned();
        name.push(side);
        PathBuf::from(name)
    })
}

impl SqliteDatabase {
    fn prepare(mut connection: Connection, path: &Path) -> Result<Self, StoreError> {
        let failed = during("prepare the database");
        connection.busy_timeout(BUSY_TIMEOUT).map_err(&failed)?;
        connection
            .execute_batch(
                // Rows are small, and every page that one touches goes to the log as a whole. A store
                // that is there keeps the size that it has.
                "PRAGMA page_size = 2048; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
                 PRAGMA secure_delete = ON;",
            )
            .map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => foreign(path),
                _ => failed(error),
            })?;
        connection.set_prepared_statement_cache_capacity(64);
        migrate(&mut connection, path)?;
        Ok(Self {
            checkpoints: None,
            inner: Arc::new(Mutex::new(Inner {
                connection,
                durability: Durability::Power,
            })),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held rolled its transaction back: the connection is sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for SqliteDatabase {
    fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        Ok(query(&self.lock().connection, sql, values)?)
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&mut dyn Transaction) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let mut inner = self.lock();
        let mut transaction = inner.connection.transaction()?;
        read(&mut transaction)
    }

    fn write<T, E>(
        &self,
        durability: Durability,
        write: impl FnOnce(&mut dyn Transaction) -> Result<T, WriteError<E>>,
    ) -> Result<T, WriteError<E>> {
        let mut inner = self.lock();
        inner.survive(durability).map_err(DatabaseError::from)?;
        // Immediate: two writers wait for each other at the door, not half-way.
        let mut transaction = inner
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(DatabaseError::from)?;
        let value = write(&mut transaction)?;
        transaction.commit().map_err(DatabaseError::from)?;
        Ok(value)
    }

    fn forget_overwritten(&self) -> Result<(), DatabaseError> {
        // Pages are overwritten, but the log still has what they were.
        let empty = "PRAGMA wal_checkpoint(TRUNCATE)";
        let asked = Instant::now();
        loop {
            let is_busy: bool = self
                .lock()
                .connection
                .query_row(empty, [], |row| row.get(0))?;
            if !is_busy {
                return Ok(());
            }
            // Somebody is moving it, here or in another process.
            if asked.elapsed() >= BUSY_TIMEOUT {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None).into());
            }
            thread::sleep(POLL);
        }
    }
}

impl Inner {
    fn survive(&mut self, durability: Durability) -> rusqlite::Result<()> {
        if self.durability != durability {
            let level = match durability {
                Durability::Process => "NORMAL",
                Durability::Power => "FULL",
            };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.durability = durability;
        }
        Ok(())
    }
}

impl Transaction for rusqlite::Transaction<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        let changed = bound(self, sql, values)?.raw_execute()?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        Ok(query(self, sql, values)?)
    }

    fn each(
        &mut self,
        sql: &str,
        row: &mut dyn FnMut(Row) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let mut statement = bound(self, sql, &[])?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(found) = rows.next()? {
            row(read_row(found, columns)?)?;
        }
        Ok(())
    }
}

fn query(connection: &Connection, sql: &str, values: &[Value]) -> rusqlite::Result<Vec<Row>> {
    let mut statement = bound(connection, sql, values)?;
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row, columns)?);
    }
    Ok(found)
}

/// Prepares a statement and gives it its values.
fn bound<'a>(
    connection: &'a Connection,
    sql: &str,
    values: &[Value],
) -> rusqlite::Result<CachedStatement<'a>> {
    let mut statement = connection.prepare_cached(sql)?;
    let expected = statement.parameter_count();
    if expected != values.len() || expected > PLACES.len() {
        return Err(rusqlite::Error::InvalidParameterCount(
            values.len(),
            expected,
        ));
    }
    for (place, value) in PLACES.iter().zip(values) {
        // By name: SQLite counts them in the order in which they come.
        let number = statement.parameter_index(place)?;
        let number =
            number.ok_or_else(|| rusqlite::Error::InvalidParameterName((*place).to_owned()))?;
        statement.raw_bind_parameter(number, value)?;
    }
    Ok(statement)
}

fn read_row(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
    let value = |column| {
        Ok(match row.get_ref(column)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(value) => Value::Integer(value),
            ValueRef::Text(_) => Value::Text(row.get(column)?),
            ValueRef::Blob(value) => Value::Blob(value.to_vec()),
            ValueRef::Real(_) => {
                let name = row.as_ref().column_name(column)?.to_owned();
                let kind = rusqlite::types::Type::Real;
                return Err(rusqlite::Error::InvalidColumnType(column, name, kind));
            }
        })
    };
    (0..columns).map(value).collect::<Result<_, _>>().map(Row)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

/// Brings an empty database or an older store to our schema; refuses what is not ours or newer.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = during("prepare the database");
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&failed)?;
    let pragma = |name| transaction.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
    let application: u32 = pragma("application_id").map_err(&failed)?;
    let version: u32 = pragma("user_version").map_err(&failed)?;
    let tables: u32 = transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(&failed)?;
    if application != APPLICATION && (application, version, tables) != (0, 0, 0) {
        return Err(foreign(path));
    }
    let steps = usize::try_from(version)
        .ok()
        .and_then(|done| SCHEMAS.get(done..));
    let Some(steps) = steps else {
        return Err(StoreError::NewerSchema {
            found: version,
            known: SCHEMA,
        });
    };
    for step in steps {
        transaction.execute_batch(step).map_err(&failed)?;
    }
    if version != SCHEMA {
        transaction
            .pragma_update(None, "application_id", APPLICATION)
            .and_then(|()| transaction.pragma_update(None, "user_version", SCHEMA))
            .map_err(&failed)?;
    }
    transaction.commit().map_err(&failed)
}

fn foreign(path: &Path) -> StoreError {
    StoreError::Foreign {
        place: path.display().to_string(),
    }
}

fn during(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |error| DatabaseError::during(doing)(error.into())
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        let trouble = match error.sqlite_error_code() {
            // Whoever runs the machine can mend it beside us.
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure,
            ) => Trouble::Passing,
            Some(_) => Trouble::Lasting,
            None => match error {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..) => Trouble::Damage,
                _ => Trouble::Lasting,
            },
        };
        Self::new(trouble, error)
    }
}

/// How long a writer waits for another.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts to empty the log.
const POLL: Duration = Duration::from_millis(10);
/// What values are called in statements.
const PLACES: [&str; 12] = [
    "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12",
];
/// What each version adds to the one before.
const SCHEMAS: [&str; 8] = [
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
    include_str!("schema-6.sql"),
    include_str!("schema-7.sql"),
    include_str!("schema-8.sql"),
];
