//! The store in PostgreSQL, for several instances of one authority.
//!
//! One transaction writes at a time: each begins with a lock that is the database's and that ends
//! with it. Rows of the audit name the one before, so no two could be written at once anyway; and
//! what a transaction read is still so when it writes, without a serialization failure to try
//! again after. Each statement sees what was committed before it (READ COMMITTED): the lock is
//! waited for in a statement of its own. Whoever reads waits for nobody.
//!
//! Nobody waits longer than [`LIMIT`] for what a request does, however silent the server is; what an
//! operator does with everything that there is takes its time.
//!
//! All that is acknowledged is on the disk of the server (`synchronous_commit`). An error while
//! committing is told as one, and nothing is tried again: what it was may have come to pass.

mod connection;
mod tls;
mod url;

use std::{future::Future, path::Path, thread, time::Duration};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Semaphore,
    time::{Instant, timeout_at},
};

pub use self::url::{PostgresUrl, PostgresUrlError};
use self::{
    connection::{Connection, Connections, is_in_use},
    url::Secured,
};
use super::{
    APPLICATION, SCHEMA, StoreError,
    database::{Database, DatabaseError, Durability, Row, Transaction, Trouble, Value, WriteError},
    sql::SqlStore,
    sqlite::SqliteStore,
};

/// A store in a PostgreSQL database.
pub(crate) type PostgresStore = SqlStore<PostgresDatabase>;

impl PostgresStore {
    /// Opens the store, making it when the schema is empty.
    pub(crate) fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        let database = PostgresDatabase::new(url)?;
        database.migrate(url)?;
        Ok(Self { database })
    }

    /// Opens the store if it was made.
    pub(crate) fn open_existing(url: &PostgresUrl) -> Result<Option<Self>, StoreError> {
        let database = PostgresDatabase::new(url)?;
        let looked = database.transact(READING, limit(), |tx| Ok(tx.holds()?));
        match looked.map_err(prepared)? {
            Holds::Nothing => Ok(None),
            Holds::Store { .. } | Holds::Others => {
                database.migrate(url)?;
                Ok(Some(Self { database }))
            }
        }
    }

    /// Copies all of it, as it is at one moment, into an empty file, as a store in SQLite.
    pub(crate) fn copy_into(&self, path: &Path) -> Result<(), StoreError> {
        SqliteStore::open(path)?.fill_from(self)?;
        Ok(())
    }
}

/// A PostgreSQL database.
pub(crate) struct PostgresDatabase {
    connections: Connections,
    /// One of us waits for the lock of the database; the others wait here, and leave the
    /// connections to those who read.
    writing: Semaphore,
    runtime: Background,
}

impl PostgresDatabase {
    fn new(url: &PostgresUrl) -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(|error| prepared(DatabaseError::new(Trouble::Lasting, error).into()))?;
        Ok(Self {
            connections: Connections::new(Secured::of(url)?),
            writing: Semaphore::new(1),
            runtime: Background {
                handle: runtime.handle().clone(),
                runtime: Some(runtime),
            },
        })
    }

    /// Runs statements as one transaction. A connection that failed is closed, and what it began
    /// is rolled back by the server.
    fn transact<T, E>(
        &self,
        begin: &str,
        until: Instant,
        act: impl FnOnce(&mut PostgresTransaction<'_>) -> Result<T, WriteError<E>>,
    ) -> Result<T, WriteError<E>> {
        let handle = &self.runtime.handle;
        let mut lease = handle.block_on(self.connections.take(until))?;
        let mut tx = PostgresTransaction {
            handle,
            connection: &mut lease.connection,
            until: Some(until),
        };
        tx.batch(begin)?;
        match act(&mut tx) {
            Ok(value) => {
                tx.batch("COMMIT")?;
                lease.give_back();
                Ok(value)
            }
            Err(WriteError::Refused(refusal)) => {
                if tx.batch("ROLLBACK").is_ok() {
                    lease.give_back();
                }
                Err(WriteError::Refused(refusal))
            }
            Err(WriteError::Database(error)) => Err(error.into()),
        }
    }

    /// Brings an empty schema or an older store to ours; refuses what is not ours or newer.
    fn migrate(&self, url: &PostgresUrl) -> Result<(), StoreError> {
        let migrated = self.transact(WRITING, limit(), |tx| {
            let done = match tx.holds()? {
                Holds::Nothing => 0,
                Holds::Store { version } => version,
                Holds::Others => {
                    let place = url.to_string();
                    return Err(WriteError::Refused(StoreError::Foreign { place }));
                }
            };
            if done > SCHEMA {
                return Err(WriteError::Refused(StoreError::NewerSchema {
                    found: done,
                    known: SCHEMA,
                }));
            }
            // To build an index takes as long as a store is large.
            tx.take_time()?;
            for (_, step) in SCHEMAS.iter().filter(|(version, _)| *version > done) {
                tx.batch(step)?;
            }
            if done != SCHEMA {
                tx.batch(&format!(
                    "DELETE FROM notme_store; INSERT INTO notme_store VALUES ({APPLICATION}, {SCHEMA})"
                ))?;
            }
            Ok(())
        });
        migrated.map_err(|error| match error {
            WriteError::Refused(refusal) => refusal,
            WriteError::Database(error) => prepared(error.into()),
        })
    }
}

fn prepared(error: WriteError<std::convert::Infallible>) -> StoreError {
    match error {
        WriteError::Database(error) => DatabaseError::during("prepare the database")(error),
        WriteError::Refused(never) => match never {},
    }
}

impl Database for PostgresDatabase {
    fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let (handle, until) = (&self.runtime.handle, limit());
        let mut lease = handle.block_on(self.connections.take(until))?;
        let queried = in_time(Some(until), lease.connection.query(sql, values));
        let rows = handle.block_on(queried)?;
        lease.give_back();
        Ok(rows)
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&mut dyn Transaction) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let outcome = self.transact(READING, limit(), |tx| Ok(read(tx)?));
        outcome.map_err(|error: WriteError<std::convert::Infallible>| match error {
            WriteError::Database(error) => error,
            WriteError::Refused(never) => match never {},
        })
    }

    fn write<T, E>(
        &self,
        _: Durability,
        write: impl FnOnce(&mut dyn Transaction) -> Result<T, WriteError<E>>,
    ) -> Result<T, WriteError<E>> {
        let until = limit();
        let turn = async { timeout_at(until, self.writing.acquire()).await };
        let _turn = self.runtime.handle.block_on(turn).map_err(slow)?;
        self.transact(WRITING, until, |tx| write(tx))
    }

    fn forget_overwritten(&self) -> Result<(), DatabaseError> {
        let handle = &self.runtime.handle;
        // It is closed after that, and its limit with it.
        let mut lease = handle.block_on(self.connections.take(limit()))?;
        let mut run = |sql: &str| handle.block_on(lease.connection.batch(sql));
        run("SET statement_timeout = 0")?;
        let asked = Instant::now();
        for table in ["ca", "format_ca"] {
            // Written anew into another file; the one with the old rows is removed.
            let anew = format!("VACUUM FULL {table}");
            // Whoever reads waits behind us, so we wait for a backup that reads, say, in between.
            while let Err(error) = run(&anew) {
                if !is_in_use(&error) || asked.elapsed() >= READERS_MAX {
                    return Err(error);
                }
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

/// What a schema has in it.
enum Holds {
    Nothing,
    /// A store of ours.
    Store {
        version: u32,
    },
    /// Something else.
    Others,
}

struct PostgresTransaction<'a> {
    handle: &'a Handle,
    connection: &'a mut Connection,
    /// How long one waits for it.
    until: Option<Instant>,
}

impl PostgresTransaction<'_> {
    fn batch(&mut self, sql: &str) -> Result<(), DatabaseError> {
        let done = in_time(self.until, self.connection.batch(sql));
        self.handle.block_on(done)
    }

    fn holds(&mut self) -> Result<Holds, DatabaseError> {
        let tables = self.query(
            "SELECT tablename::TEXT FROM pg_catalog.pg_tables WHERE schemaname = current_schema()",
            &[],
        )?;
        let names = tables.iter().map(|row| row.get(0));
        let names = names.collect::<Result<Vec<String>, _>>()?;
        if names.is_empty() {
            return Ok(Holds::Nothing);
        }
        if !names.iter().any(|name| name == "notme_store") {
            return Ok(Holds::Others);
        }
        let rows = self.query("SELECT application, version FROM notme_store", &[])?;
        match rows.as_slice() {
            [row] if row.get::<u32>(0)? == APPLICATION => Ok(Holds::Store {
                version: row.get(1)?,
            }),
            _ => Ok(Holds::Others),
        }
    }
}

impl Transaction for PostgresTransaction<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        let executed = in_time(self.until, self.connection.execute(sql, values));
        self.handle.block_on(executed)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let queried = in_time(self.until, self.connection.query(sql, values));
        self.handle.block_on(queried)
    }

    fn take_time(&mut self) -> Result<(), DatabaseError> {
        self.batch(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0",
        )?;
        self.until = None;
        Ok(())
    }

    fn each(
        &mut self,
        sql: &str,
        row: &mut dyn FnMut(Row) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        self.batch(&format!("DECLARE every NO SCROLL CURSOR FOR {sql}"))?;
        loop {
            let fetched = in_time(self.until, self.connection.fetch("every"));
            let rows = self.handle.block_on(fetched)?;
            if rows.is_empty() {
                return self.batch("CLOSE every");
            }
            rows.into_iter().try_for_each(&mut *row)?;
        }
    }
}

/// The threads that hold the connections. They end with the store, and nobody waits for them.
struct Background {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits for an answer, where there is a limit until then.
async fn in_time<T>(
    until: Option<Instant>,
    answer: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    match until {
        Some(until) => timeout_at(until, answer).await.map_err(slow)?,
        None => answer.await,
    }
}

/// Returns until when what begins now has to be done.
fn limit() -> Instant {
    Instant::now() + LIMIT
}

fn slow(error: tokio::time::error::Elapsed) -> DatabaseError {
    DatabaseError::new(Trouble::Passing, error)
}

/// How long a query or a transaction may take, with its turn and its connection: longer than the
/// server takes to give up a statement.
const LIMIT: Duration = Duration::from_secs(10);
/// How long others may go on reading what is to be written anew.
const READERS_MAX: Duration = Duration::from_secs(20);
/// Between attempts at it.
const PAUSE: Duration = Duration::from_millis(500);
/// Sees what was committed when it began, and nothing that came later.
const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Begins alone. The number is `NmAu` twice; it is of the whole database.
const WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
     SELECT pg_advisory_xact_lock(1315783029, 1315783029)";
/// What each version adds to the one before; the first that there was in PostgreSQL is whole.
const SCHEMAS: [(u32, &str); 2] = [
    (7, include_str!("postgres/schema-7.sql")),
    (8, include_str!("postgres/schema-8.sql")),
];
