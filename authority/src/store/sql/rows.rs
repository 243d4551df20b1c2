//! From rows to types, and back.

use std::{error::Error, str::FromStr};

use notme_core::{
    identity::{AgentName, Identity},
    key::PublicKey,
    time::UnixTime,
    trust::Revocation,
};

use crate::{
    scope::Scopes,
    store::{
        BundleRecord, PresentedSession, Session, TokenRecord, TrustRecord,
        database::{DatabaseError, Row, Trouble, Value},
    },
};

/// Lists values for a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        &[$(Value::from($value)),*]
    };
}
pub(super) use values;

impl Row {
    /// Returns what stands in a column.
    pub(in crate::store) fn get<T: FromValue>(&self, column: usize) -> Result<T, DatabaseError> {
        let value = self.0.get(column).ok_or_else(|| unreadable("no column"))?;
        T::from_value(value)
    }
}

/// What can stand in a column.
pub(in crate::store) trait FromValue: Sized {
    fn from_value(value: &Value) -> Result<Self, DatabaseError>;
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        match value {
            Value::Integer(value) => Ok(*value),
            Value::Null | Value::Text(_) | Value::Blob(_) => Err(unreadable("no integer")),
        }
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        Self::try_from(i64::from_value(value)?).map_err(unreadable)
    }
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        Self::try_from(i64::from_value(value)?).map_err(unreadable)
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        Ok(i64::from_value(value)? != 0)
    }
}

impl FromValue for UnixTime {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        i64::from_value(value).map(Self::from_secs)
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        text(value).map(str::to_owned)
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        blob(value).map(<[u8]>::to_vec)
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        Self::try_from(blob(value)?).map_err(unreadable)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl FromValue for PublicKey {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        Self::from_spki_der(blob(value)?).map_err(unreadable)
    }
}

impl FromValue for Identity {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        parsed(value)
    }
}

impl FromValue for AgentName {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        parsed(value)
    }
}

impl FromValue for Scopes {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        parsed(value)
    }
}

fn text(value: &Value) -> Result<&str, DatabaseError> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Null | Value::Integer(_) | Value::Blob(_) => Err(unreadable("no text")),
    }
}

fn blob(value: &Value) -> Result<&[u8], DatabaseError> {
    match value {
        Value::Blob(blob) => Ok(blob),
        Value::Null | Value::Integer(_) | Value::Text(_) => Err(unreadable("no bytes")),
    }
}

fn parsed<T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>>>(
    value: &Value,
) -> Result<T, DatabaseError> {
    text(value)?.parse().map_err(unreadable)
}

pub(super) fn unreadable(source: impl Into<Box<dyn Error + Send + Sync>>) -> DatabaseError {
    DatabaseError {
        trouble: Trouble::Damage,
        source: source.into(),
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for Value {
    /// A database's integers are signed; our counters never come near the end.
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<UnixTime> for Value {
    fn from(value: UnixTime) -> Self {
        Self::Integer(value.secs())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl From<&Vec<u8>> for Value {
    fn from(value: &Vec<u8>) -> Self {
        Self::Blob(value.clone())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(value: &[u8; N]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// In the order of [`token_record`].
pub(super) const TOKEN: &str = "SELECT digest, agent, principal, scopes, uses, used,
    session_seconds, created_at, expires_at, revoked_at FROM token";

pub(super) fn token_record(row: &Row) -> Result<TokenRecord, DatabaseError> {
    Ok(TokenRecord {
        digest: row.get(0)?,
        agent: row.get(1)?,
        principal: row.get(2)?,
        scopes: row.get(3)?,
        uses: row.get(4)?,
        used: row.get(5)?,
        session_seconds: row.get(6)?,
        created_at: row.get(7)?,
        expires_at: row.get(8)?,
        revoked_at: row.get(9)?,
    })
}

/// In the order of [`presented_session`].
pub(super) const PRESENTED: &str = "SELECT id, identity, principal, agent, scopes, auth_method,
    mtls, signing, started_at, ends_at, token, not_after, revoked_at
    FROM session_certificate JOIN session ON session.id = session_certificate.session";

pub(super) fn presented_session(row: &Row) -> Result<PresentedSession, DatabaseError> {
    Ok(PresentedSession {
        session: Session {
            id: row.get(0)?,
            identity: row.get(1)?,
            principal: row.get(2)?,
            agent: row.get(3)?,
            scopes: row.get(4)?,
            auth_method: row.get(5)?,
            mtls: row.get(6)?,
            signing: row.get(7)?,
            started_at: row.get(8)?,
            ends_at: row.get(9)?,
            token: row.get(10)?,
        },
        certificate_not_after: row.get(11)?,
        revoked_at: row.get(12)?,
    })
}

pub(super) fn trust_record(row: &Row) -> Result<TrustRecord, DatabaseError> {
    Ok(TrustRecord {
        seqno: row.get(0)?,
        payload_sha256: row.get(1)?,
        envelope: row.get(2)?,
    })
}

pub(super) fn bundle_record(row: &Row) -> Result<BundleRecord, DatabaseError> {
    Ok(BundleRecord {
        seqno: row.get(0)?,
        key_id: row.get::<Option<_>>(1)?.unwrap_or_default(),
        issued_at: row.get::<Option<_>>(2)?.unwrap_or(UnixTime::from_secs(0)),
        json: row.get::<Option<_>>(3)?.unwrap_or_default(),
    })
}

pub(super) fn kept_revocation(row: &Row) -> Result<Revocation, DatabaseError> {
    let kind: String = row.get(0)?;
    Ok(Revocation {
        kind: serde_json::from_value(kind.into()).map_err(unreadable)?,
        value: row.get(1)?,
        since: row.get(2)?,
        reason: row.get(3)?,
    })
}
