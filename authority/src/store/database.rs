//! What a database has to be able to do to hold a store.
//!
//! The rules of the store are written once, in `sql.rs`, in the SQL that every database here
//! reads alike: integers of 64 bits, texts and bytes, values at `$1`, `$2`, ….

use std::error::Error;

use super::StoreError;

/// A database.
pub(crate) trait Database: Send + Sync {
    /// Reads rows with one statement.
    fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError>;

    /// Reads with several statements what all was there at one moment.
    fn read<T>(
        &self,
        read: impl FnOnce(&mut dyn Transaction) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError>;

    /// Writes all of it or, when this returns an error, nothing, or what nobody knows of: the
    /// answer to the commit may be lost. No two write at the same time, in whatever process they
    /// are: what `write` reads is still so when it writes.
    fn write<T, E>(
        &self,
        durability: Durability,
        write: impl FnOnce(&mut dyn Transaction) -> Result<T, WriteError<E>>,
    ) -> Result<T, WriteError<E>>;

    /// Lets go of what rows were before they were overwritten, as far as that lies here.
    fn forget_overwritten(&self) -> Result<(), DatabaseError>;
}

/// Several statements that happen as one.
pub(crate) trait Transaction {
    /// Changes rows and returns how many.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError>;

    /// Reads rows.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError>;

    /// Lets it take as long as it takes: an operator waits for it, and no request.
    fn take_time(&mut self) -> Result<(), DatabaseError> {
        Ok(())
    }

    /// Reads however many rows there are, one after the other.
    fn each(
        &mut self,
        sql: &str,
        row: &mut dyn FnMut(Row) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError>;
}

/// What an acknowledged write survives at least.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Durability {
    /// The end of the process.
    Process,
    /// The end of the power.
    Power,
}

/// What stands in a column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Row(pub(super) Vec<Value>);

/// Why a database did not do it.
#[derive(Debug)]
pub(crate) struct DatabaseError {
    pub(crate) trouble: Trouble,
    pub(crate) source: Box<dyn Error + Send + Sync>,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// It cannot be reached, read or written now, and may be soon.
    Passing,
    /// A row holds what we never wrote.
    Damage,
    /// Anything else.
    Lasting,
}

impl DatabaseError {
    pub(crate) fn new(trouble: Trouble, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            trouble,
            source: Box::new(source),
        }
    }

    /// Says what we were doing.
    pub(crate) fn during(doing: &'static str) -> impl Fn(Self) -> StoreError {
        move |Self { trouble, source }| match trouble {
            Trouble::Passing => StoreError::Unavailable { doing, source },
            Trouble::Damage => StoreError::Damaged(doing),
            Trouble::Lasting => StoreError::Database { doing, source },
        }
    }
}

/// Why a transaction was rolled back.
#[derive(Debug)]
pub(crate) enum WriteError<E> {
    Database(DatabaseError),
    Refused(E),
}

impl<E> From<DatabaseError> for WriteError<E> {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}
