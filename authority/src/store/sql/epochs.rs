//! The epochs of the authority's keys.

use notme_core::{time::UnixTime, trust::Handover};

use super::rows::{unreadable, values};
use crate::store::{
    Activation, EpochRecord, EpochState, SealedCa, SealedFormatCa,
    database::{DatabaseError, Row, Transaction, Value},
};

/// Returns every epoch with its keys, oldest first.
pub(super) fn all(tx: &mut dyn Transaction) -> Result<Vec<EpochRecord>, DatabaseError> {
    let epochs = tx.query(
        "SELECT number, state, used_from, retired_at, leaving FROM epoch ORDER BY number",
        &[],
    )?;
    let records = epochs.iter().map(|row| {
        let number: u64 = row.get(0)?;
        let cas = tx.query(
            "SELECT name, certificate, sealed_key, handover FROM ca
             WHERE epoch = $1 ORDER BY name",
            values![number],
        )?;
        let format_cas = tx.query(
            "SELECT name, public, sealed_key, created_at FROM format_ca
             WHERE epoch = $1 ORDER BY name",
            values![number],
        )?;
        Ok(EpochRecord {
            number,
            state: state(row)?,
            leaving: row.get(4)?,
            cas: cas.iter().map(ca).collect::<Result<_, _>>()?,
            format_cas: format_cas.iter().map(format_ca).collect::<Result<_, _>>()?,
        })
    });
    records.collect()
}

/// Keeps a new epoch with its keys; `false`, and nothing is kept, when there is one of this number
/// or, but for retired ones, of this state.
pub(super) fn insert(
    tx: &mut dyn Transaction,
    epoch: &EpochRecord,
    at: UnixTime,
) -> Result<bool, DatabaseError> {
    let is_new = tx.execute(
        "INSERT INTO epoch (number, state, used_from, retired_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        values![
            epoch.number,
            epoch.state.as_str(),
            epoch.state.from(),
            epoch.state.retired_at(),
        ],
    )? == 1;
    if !is_new {
        return Ok(false);
    }
    for ca in &epoch.cas {
        tx.execute(
            "INSERT INTO ca (name, epoch, certificate, sealed_key) VALUES ($1, $2, $3, $4)",
            values![
                ca.name.as_str(),
                epoch.number,
                &ca.certificate,
                ca.key.as_ref()
            ],
        )?;
    }
    insert_format_cas(tx, epoch.number, (&epoch.format_cas, at))?;
    Ok(true)
}

/// Keeps those that are not there, and tells whether there were any.
pub(super) fn insert_format_cas(
    tx: &mut dyn Transaction,
    epoch: u64,
    (cas, at): (&[SealedFormatCa], UnixTime),
) -> Result<bool, DatabaseError> {
    let mut added = 0;
    for ca in cas {
        added += tx.execute(
            "INSERT INTO format_ca VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            values![
                ca.name.as_str(),
                epoch,
                &ca.public,
                ca.key.as_ref(),
                ca.created_at
            ],
        )?;
    }
    changed(tx, at)?;
    Ok(added > 0)
}

/// Retires the active epoch and takes the prepared one into use. Tells whether they were still
/// what the caller took them for.
pub(super) fn activate(
    tx: &mut dyn Transaction,
    activation: &Activation,
) -> Result<bool, DatabaseError> {
    let retired = tx.execute(
        "UPDATE epoch SET state = 'retired', retired_at = $2
         WHERE number = $1 AND state = 'active'",
        values![activation.before, activation.at],
    )?;
    let activated = tx.execute(
        "UPDATE epoch SET state = 'active', used_from = $2
         WHERE number = $1 AND state = 'prepared'",
        values![activation.number, activation.at],
    )?;
    for (name, handover) in &activation.handovers {
        tx.execute(
            "UPDATE ca SET handover = $3 WHERE epoch = $1 AND name = $2",
            values![
                activation.before,
                name.as_str(),
                serde_json::to_string(handover).map_err(unreadable)?
            ],
        )?;
    }
    changed(tx, activation.at)?;
    Ok((retired, activated) == (1, 1))
}

/// Gives up the private keys of retired epochs.
pub(super) fn give_up(
    tx: &mut dyn Transaction,
    numbers: &[u64],
    at: UnixTime,
) -> Result<(), DatabaseError> {
    for number in numbers {
        tx.execute(
            "UPDATE epoch SET leaving = 1 WHERE number = $1 AND state = 'retired'",
            values![*number],
        )?;
    }
    changed(tx, at)
}

/// Destroys the private keys of an epoch that were given up.
pub(super) fn destroy(tx: &mut dyn Transaction, number: u64) -> Result<(), DatabaseError> {
    for table in ["ca", "format_ca"] {
        tx.execute(
            &format!(
                "UPDATE {table} SET sealed_key = NULL WHERE epoch =
                 (SELECT number FROM epoch WHERE number = $1 AND leaving = 1)"
            ),
            values![number],
        )?;
    }
    Ok(())
}

/// Ends the leave of an epoch of which nothing is left.
pub(super) fn end_leave(tx: &mut dyn Transaction, number: u64) -> Result<(), DatabaseError> {
    tx.execute(
        "UPDATE epoch SET leaving = 0 WHERE number = $1",
        values![number],
    )?;
    Ok(())
}

/// Tells whether an epoch is the one in use.
pub(super) fn is_active(tx: &mut dyn Transaction, number: u64) -> Result<bool, DatabaseError> {
    let active = tx.query(
        "SELECT number FROM epoch WHERE number = $1 AND state = 'active'",
        values![number],
    )?;
    Ok(!active.is_empty())
}

/// Tells whether the keys were changed so often, and not once more.
pub(super) fn are_unchanged(
    tx: &mut dyn Transaction,
    key_changes: u64,
) -> Result<bool, DatabaseError> {
    let rows = tx.query("SELECT key_changes FROM authority", &[])?;
    let Some(row) = rows.first() else {
        return Ok(false);
    };
    let by_now: u64 = row.get(0)?;
    Ok(by_now == key_changes)
}

/// Lets all instances read anew what there is of the authority, by a number of its own. It is not
/// below the seconds since 1970, so that a store restored from a backup gives no number to other
/// keys than before.
pub(super) fn changed(tx: &mut dyn Transaction, at: UnixTime) -> Result<(), DatabaseError> {
    tx.execute(
        "UPDATE authority SET key_changes =
         CASE WHEN key_changes < $1 THEN $1 ELSE key_changes + 1 END",
        values![at],
    )?;
    Ok(())
}

fn state(row: &Row) -> Result<EpochState, DatabaseError> {
    let state: String = row.get(1)?;
    Ok(match state.as_str() {
        "prepared" => EpochState::Prepared,
        "active" => EpochState::Active { from: row.get(2)? },
        _ => EpochState::Retired {
            from: row.get(2)?,
            retired_at: row.get(3)?,
        },
    })
}

fn ca(row: &Row) -> Result<SealedCa, DatabaseError> {
    let handover: Option<String> = row.get(3)?;
    let handover = handover.map(|json| serde_json::from_str::<Handover>(&json));
    Ok(SealedCa {
        name: row.get(0)?,
        certificate: row.get(1)?,
        key: row.get(2)?,
        handover: handover.transpose().map_err(unreadable)?,
    })
}

fn format_ca(row: &Row) -> Result<SealedFormatCa, DatabaseError> {
    Ok(SealedFormatCa {
        name: row.get(0)?,
        public: row.get(1)?,
        key: row.get(2)?,
        created_at: row.get(3)?,
    })
}
