//! From rows to types, and back where it is not plain.

use notme_core::{key::PublicKey, time::UnixTime, trust::Revocation};
use rusqlite::Row;

use crate::store::{PresentedSession, Session, TokenRecord, TrustRecord};

pub(super) fn token_record(row: &Row<'_>) -> rusqlite::Result<TokenRecord> {
    Ok(TokenRecord {
        digest: row.get("digest")?,
        agent: parsed(row, "agent")?,
        principal: row.get("principal")?,
        scopes: parsed(row, "scopes")?,
        uses: row.get("uses")?,
        used: row.get("used")?,
        session_seconds: row.get("session_seconds")?,
        created_at: UnixTime::from_secs(row.get("created_at")?),
        expires_at: UnixTime::from_secs(row.get("expires_at")?),
        revoked_at: row
            .get::<_, Option<i64>>("revoked_at")?
            .map(UnixTime::from_secs),
    })
}

pub(super) fn presented_session(row: &Row<'_>) -> rusqlite::Result<PresentedSession> {
    Ok(PresentedSession {
        session: Session {
            id: row.get(0)?,
            identity: parsed(row, 1)?,
            principal: row.get(2)?,
            agent: parsed(row, 3)?,
            scopes: parsed(row, 4)?,
            auth_method: row.get(5)?,
            mtls: public_key(row, 6)?,
            signing: public_key(row, 7)?,
            started_at: time(row, 8)?,
            ends_at: time(row, 9)?,
            token: row.get(10)?,
        },
        certificate_not_after: time(row, 11)?,
        revoked_at: row.get::<_, Option<i64>>(12)?.map(UnixTime::from_secs),
    })
}

pub(super) fn trust_record(row: &Row<'_>) -> rusqlite::Result<TrustRecord> {
    Ok(TrustRecord {
        seqno: unsigned(row, 0)?,
        payload_sha256: row.get(1)?,
        envelope: row.get(2)?,
    })
}

pub(super) fn kept_revocation(row: &Row<'_>) -> rusqlite::Result<Revocation> {
    let kind: String = row.get(0)?;
    Ok(Revocation {
        kind: serde_json::from_value(kind.into()).map_err(|error| unreadable(0, error))?,
        value: row.get(1)?,
        since: time(row, 2)?,
        reason: row.get(3)?,
    })
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixTime> {
    row.get(column).map(UnixTime::from_secs)
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// SQLite's integers are signed; our counters never come near the end.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn parsed<T>(row: &Row<'_>, column: impl rusqlite::RowIndex) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get::<_, String>(column)?
        .parse()
        .map_err(|error| unreadable(0, error))
}

pub(super) fn public_key(row: &Row<'_>, column: usize) -> rusqlite::Result<PublicKey> {
    PublicKey::from_spki_der(row.get_ref(column)?.as_blob()?)
        .map_err(|error| unreadable(column, error))
}

pub(super) fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
