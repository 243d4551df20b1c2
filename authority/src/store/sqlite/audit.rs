//! The rows of the audit, in SQLite.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::rows::{signed, time, unsigned};
use crate::{
    audit::Entry,
    store::{AuditHeadRecord, AuditRow},
};

/// Writes what happened after what happened before.
pub(super) fn append(transaction: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<()> {
    let (number, row, hash) = entry
        .row(tip(transaction)?)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    transaction
        .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3)")?
        .execute(params![signed(number), row, hash])?;
    Ok(())
}

/// Returns number and hash of the last row.
pub(super) fn tip(connection: &Connection) -> rusqlite::Result<Option<(u64, [u8; 32])>> {
    connection
        .prepare_cached("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((unsigned(row, 0)?, row.get(1)?)))
        .optional()
}

/// Returns the next rows after a number.
pub(super) fn after(connection: &Connection, number: u64) -> rusqlite::Result<Vec<AuditRow>> {
    connection
        .prepare_cached(
            "SELECT number, row, hash FROM audit WHERE number > ?1 ORDER BY number LIMIT 1000",
        )?
        .query_map([signed(number)], |row| {
            Ok(AuditRow {
                number: unsigned(row, 0)?,
                row: row.get(1)?,
                hash: row.get(2)?,
            })
        })?
        .collect()
}

pub(super) fn head(connection: &Connection) -> rusqlite::Result<Option<AuditHeadRecord>> {
    connection
        .prepare_cached("SELECT number, time, envelope FROM audit_head")?
        .query_row([], |row| {
            Ok(AuditHeadRecord {
                number: unsigned(row, 0)?,
                time: time(row, 1)?,
                envelope: row.get(2)?,
            })
        })
        .optional()
}

pub(super) fn set_head(
    transaction: &Transaction<'_>,
    head: &AuditHeadRecord,
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT OR REPLACE INTO audit_head VALUES (1, ?1, ?2, ?3)",
        params![signed(head.number), head.time.secs(), head.envelope],
    )?;
    Ok(())
}
