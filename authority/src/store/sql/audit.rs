//! The rows of the audit.

use super::rows::{unreadable, values};
use crate::{
    audit::Entry,
    store::{
        AuditHeadRecord, AuditRow,
        database::{DatabaseError, Row, Transaction, Value},
    },
};

pub(super) const TIP: &str = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1";
pub(super) const AFTER: &str =
    "SELECT number, row, hash FROM audit WHERE number > $1 ORDER BY number LIMIT 1000";
pub(super) const HEAD: &str = "SELECT number, time, envelope FROM audit_head";

/// Writes what happened after what happened before. Whoever writes is alone: rows follow one
/// another, however many instances there are.
pub(super) fn append(tx: &mut dyn Transaction, entry: &Entry) -> Result<(), DatabaseError> {
    let last = tx.query(TIP, &[])?.first().map(tip).transpose()?;
    let (number, row, hash) = entry.row(last).map_err(unreadable)?;
    tx.execute(
        "INSERT INTO audit VALUES ($1, $2, $3)",
        values![number, row, &hash],
    )?;
    Ok(())
}

pub(super) fn tip(row: &Row) -> Result<(u64, [u8; 32]), DatabaseError> {
    Ok((row.get(0)?, row.get(1)?))
}

pub(super) fn row(row: &Row) -> Result<AuditRow, DatabaseError> {
    Ok(AuditRow {
        number: row.get(0)?,
        row: row.get(1)?,
        hash: row.get(2)?,
    })
}

pub(super) fn head(row: &Row) -> Result<AuditHeadRecord, DatabaseError> {
    Ok(AuditHeadRecord {
        number: row.get(0)?,
        time: row.get(1)?,
        envelope: row.get(2)?,
    })
}

/// Replaces the head, unless another instance closed more.
pub(super) fn set_head(
    tx: &mut dyn Transaction,
    head: &AuditHeadRecord,
) -> Result<(), DatabaseError> {
    tx.execute(
        "INSERT INTO audit_head VALUES (1, $1, $2, $3) ON CONFLICT (id) DO UPDATE
         SET number = excluded.number, time = excluded.time, envelope = excluded.envelope
         WHERE excluded.number > audit_head.number",
        values![head.number, head.time, &head.envelope],
    )?;
    Ok(())
}
