//! The epochs of the authority's keys, in SQLite.

use notme_core::{time::UnixTime, trust::Handover};
use rusqlite::{Connection, ErrorCode, Row, Transaction, params};

use super::rows::{signed, time, unreadable, unsigned};
use crate::store::{EpochRecord, EpochState, SealedCa, SealedFormatCa};

/// Returns every epoch with its keys, oldest first.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<EpochRecord>> {
    let mut cas = connection.prepare(
        "SELECT name, certificate, sealed_key, handover FROM ca WHERE epoch = ?1 ORDER BY name",
    )?;
    let mut format_cas = connection.prepare(
        "SELECT name, public, sealed_key, created_at FROM format_ca WHERE epoch = ?1 ORDER BY name",
    )?;
    connection
        .prepare("SELECT number, state, used_from, retired_at FROM epoch ORDER BY number")?
        .query_map([], |row| Ok((unsigned(row, 0)?, state(row)?)))?
        .map(|epoch| {
            let (number, state) = epoch?;
            Ok(EpochRecord {
                number,
                state,
                cas: cas
                    .query_map([signed(number)], ca)?
                    .collect::<rusqlite::Result<_>>()?,
                format_cas: format_cas
                    .query_map([signed(number)], format_ca)?
                    .collect::<rusqlite::Result<_>>()?,
            })
        })
        .collect()
}

/// Keeps a new epoch with its keys.
pub(super) fn insert(transaction: &Transaction<'_>, epoch: &EpochRecord) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO epoch VALUES (?1, ?2, ?3, ?4)",
        params![
            signed(epoch.number),
            epoch.state.as_str(),
            epoch.state.from().map(UnixTime::secs),
            epoch.state.retired_at().map(UnixTime::secs),
        ],
    )?;
    for ca in &epoch.cas {
        transaction.execute(
            "INSERT INTO ca (name, epoch, certificate, sealed_key) VALUES (?1, ?2, ?3, ?4)",
            params![ca.name, signed(epoch.number), ca.certificate, ca.key],
        )?;
    }
    insert_format_cas(transaction, epoch.number, &epoch.format_cas)
}

/// As [`insert`]; `false` when one of this number or state is there.
pub(super) fn insert_if_new(
    transaction: &Transaction<'_>,
    epoch: &EpochRecord,
) -> rusqlite::Result<bool> {
    match insert(transaction, epoch) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Ok(false)
        }
        other => other.map(|()| true),
    }
}

pub(super) fn insert_format_cas(
    transaction: &Transaction<'_>,
    epoch: u64,
    cas: &[SealedFormatCa],
) -> rusqlite::Result<()> {
    for ca in cas {
        transaction.execute(
            "INSERT INTO format_ca VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                ca.name,
                signed(epoch),
                ca.public,
                ca.key,
                ca.created_at.secs()
            ],
        )?;
    }
    changed(transaction)
}

/// Retires the epoch before `number` and takes the prepared one into use. Tells whether they were
/// still what the caller took them for.
pub(super) fn activate(
    transaction: &Transaction<'_>,
    (before, number): (u64, u64),
    at: UnixTime,
    handovers: &[(String, String)],
) -> rusqlite::Result<bool> {
    let retired = transaction.execute(
        "UPDATE epoch SET state = 'retired', retired_at = ?2
         WHERE number = ?1 AND state = 'active'",
        params![signed(before), at.secs()],
    )?;
    let activated = transaction.execute(
        "UPDATE epoch SET state = 'active', used_from = ?2
         WHERE number = ?1 AND state = 'prepared'",
        params![signed(number), at.secs()],
    )?;
    for (name, handover) in handovers {
        transaction.execute(
            "UPDATE ca SET handover = ?3 WHERE epoch = ?1 AND name = ?2",
            params![signed(before), name, handover],
        )?;
    }
    changed(transaction)?;
    Ok((retired, activated) == (1, 1))
}

/// Destroys the private keys of a retired epoch.
pub(super) fn destroy(transaction: &Transaction<'_>, number: u64) -> rusqlite::Result<()> {
    for table in ["ca", "format_ca"] {
        transaction.execute(
            &format!(
                "UPDATE {table} SET sealed_key = NULL WHERE epoch =
                 (SELECT number FROM epoch WHERE number = ?1 AND state = 'retired')"
            ),
            [signed(number)],
        )?;
    }
    changed(transaction)
}

/// Returns the last second of what was issued in an epoch. Reads the whole issuance record, which
/// has no index for it: this is asked once in the life of an epoch.
pub(super) fn last_not_after(
    connection: &Connection,
    number: u64,
) -> rusqlite::Result<Option<UnixTime>> {
    let last: Option<i64> = connection.query_row(
        "SELECT max(not_after) FROM issued WHERE epoch = ?1",
        [signed(number)],
        |row| row.get(0),
    )?;
    Ok(last.map(UnixTime::from_secs))
}

/// Tells whether an epoch is the one in use.
pub(super) fn is_active(connection: &Connection, number: u64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM epoch WHERE number = ?1 AND state = 'active')",
        )?
        .query_row([signed(number)], |row| row.get(0))
}

fn changed(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("UPDATE authority SET key_changes = key_changes + 1", [])?;
    Ok(())
}

fn state(row: &Row<'_>) -> rusqlite::Result<EpochState> {
    let state: String = row.get(1)?;
    Ok(match state.as_str() {
        "prepared" => EpochState::Prepared,
        "active" => EpochState::Active {
            from: time(row, 2)?,
        },
        _ => EpochState::Retired {
            from: time(row, 2)?,
            retired_at: time(row, 3)?,
        },
    })
}

fn ca(row: &Row<'_>) -> rusqlite::Result<SealedCa> {
    let handover: Option<String> = row.get(3)?;
    let handover: Option<Handover> = handover
        .map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|error| unreadable(3, error))?;
    Ok(SealedCa {
        name: row.get(0)?,
        certificate: row.get(1)?,
        key: row.get(2)?,
        handover,
    })
}

fn format_ca(row: &Row<'_>) -> rusqlite::Result<SealedFormatCa> {
    Ok(SealedFormatCa {
        name: row.get(0)?,
        public: row.get(1)?,
        key: row.get(2)?,
        created_at: time(row, 3)?,
    })
}
