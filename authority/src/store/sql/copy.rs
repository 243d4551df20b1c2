//! From one database into another, row by row.

use super::{SqlStore, rows::unreadable};
use crate::store::{
    Store as _, StoreError,
    database::{Database, DatabaseError, Durability, Row, Transaction, WriteError},
};

impl<D: Database> SqlStore<D> {
    /// Puts everything that another store has, as it is at one moment, into this one; `false`, and
    /// nothing is changed, when it has an authority.
    pub(crate) fn fill_from<S: Database>(&self, source: &SqlStore<S>) -> Result<bool, StoreError> {
        let doing = "copy the store";
        if self.authority()?.is_some() {
            return Ok(false);
        }
        let filled = source.database.read(|from| {
            from.take_time()?;
            let filled = self.database.write(Durability::Power, |to| {
                to.take_time()?;
                let authorities = to.query("SELECT id FROM authority", &[])?;
                if !authorities.is_empty() {
                    return Err(WriteError::Refused(()));
                }
                Ok(copy(from, to)?)
            });
            match filled {
                Ok(()) => Ok(true),
                Err(WriteError::Refused(())) => Ok(false),
                Err(WriteError::Database(error)) => Err(error),
            }
        });
        filled.map_err(DatabaseError::during(doing))
    }
}

fn copy(from: &mut dyn Transaction, to: &mut dyn Transaction) -> Result<(), DatabaseError> {
    for (table, columns) in TABLES {
        // Two of them are made with a row.
        to.execute(&format!("DELETE FROM {table}"), &[])?;
        let places: Vec<_> = (1..=columns.split(',').count())
            .map(|number| format!("${number}"))
            .collect();
        let insert = format!(
            "INSERT INTO {table} ({columns}) VALUES ({})",
            places.join(", ")
        );
        let read = format!("SELECT {columns} FROM {table}");
        from.each(&read, &mut |Row(values)| {
            to.execute(&insert, &values).map(|_| ())
        })?;
    }
    // Once more, from the other end: a copy that lacks a row is none.
    for (table, _) in TABLES {
        let count = format!("SELECT count(*) FROM {table}");
        let counted = |tx: &mut dyn Transaction| -> Result<i64, DatabaseError> {
            let rows = tx.query(&count, &[])?;
            rows.first()
                .ok_or_else(|| unreadable("no count"))
                .and_then(|row| row.get(0))
        };
        if counted(from)? != counted(to)? {
            return Err(unreadable("rows are missing in the copy"));
        }
    }
    Ok(())
}

/// Every table, those that others refer to first.
const TABLES: [(&str, &str); 16] = [
    (
        "authority",
        "id, trust_domain, operator, created_at, sealing, key_changes, url",
    ),
    ("epoch", "number, state, used_from, retired_at, leaving"),
    ("ca", "name, epoch, certificate, sealed_key, handover"),
    ("format_ca", "name, epoch, public, sealed_key, created_at"),
    (
        "token",
        "digest, agent, principal, scopes, uses, used, session_seconds, created_at, expires_at,
         revoked_at",
    ),
    (
        "session",
        "id, identity, principal, agent, scopes, auth_method, mtls, signing, started_at, ends_at,
         token, revoked_at",
    ),
    ("session_certificate", "sha256, session, not_after"),
    ("nonce", "session, nonce, kept_until"),
    (
        "issued",
        "id, session, kind, serial, kid, certificate_sha256, payload_sha256, activity, issued_at,
         not_after, epoch",
    ),
    ("ssh_serial", "id, next"),
    (
        "revocation",
        "number, kind, value, since, reason, recorded_at",
    ),
    ("ca_bundle", "id, seqno, key_id, issued_at, json"),
    ("spent_token", "digest, kept_until"),
    ("trust", "seqno, payload_sha256, envelope"),
    ("audit", "number, row, hash"),
    ("audit_head", "id, number, time, envelope"),
];
