//! The store in SQLite.
//!
//! Write-ahead log. What founds or changes trust (keys, tokens, enrolments, trust documents) is
//! synced to the disk before it is acknowledged. An issuance is handed to the kernel: a killed
//! process loses nothing, a power cut may lose the last seconds of the issuance record.

mod audit;
mod checkpoints;
mod epochs;
mod rows;

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use notme_core::{
    enrol::peer_binding,
    hex,
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params,
};

use self::checkpoints::{Checkpoints, LOG_MAX};
use self::rows::{
    kept_revocation, presented_session, public_key, signed, time, token_record, trust_record,
    unreadable, unsigned,
};
use super::{
    Activation, AuditHeadRecord, AuditRow, AuthorityRecord, EnrolStoreError, EpochRecord, Issuance,
    IssuedKind, PresentedSession, RecordError, SealedFormatCa, Session, Sizes, SpentNonce,
    SpentToken, Store, StoreError, Summary, TokenId, TokenRecord, TokenRefusal, TrustRecord,
};
use crate::{audit::Entry, revocation::Taken};

/// A SQLite database, in a file or in memory.
pub(crate) struct SqliteStore {
    // Before the connection: the last to close moves the rest of the log.
    checkpoints: Option<Checkpoints>,
    inner: Mutex<Inner>,
}

struct Inner {
    connection: Connection,
    durability: Durability,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Durability {
    /// The end of the process.
    Process,
    /// The end of the power.
    Power,
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
        Self::prepare(connection, path)
    }

    /// As [`SqliteStore::open`], for one that is written to by many: none of them waits for the disk.
    pub(crate) fn open_to_serve(path: &Path) -> Result<Self, StoreError> {
        let mut store = Self::open(path)?;
        let limited = store
            .lock()
            .connection
            .pragma_update(None, "wal_autocheckpoint", LOG_MAX);
        limited.map_err(during("prepare the database"))?;
        store.checkpoints = Some(Checkpoints::of(path)?);
        Ok(store)
    }

    /// Opens a store that ends with the process.
    pub(crate) fn in_memory() -> Result<Self, StoreError> {
        let connection = Connection::open_in_memory().map_err(during("open the database"))?;
        Self::prepare(connection, Path::new(":memory:"))
    }

    /// Copies all of it, as it is at one moment, into an empty file.
    pub(crate) fn copy_into(&self, path: &Path) -> Result<(), StoreError> {
        let Some(path) = path.to_str() else {
            return Err(StoreError::File {
                path: path.to_owned(),
                source: io::ErrorKind::InvalidFilename.into(),
            });
        };
        self.read("copy the database", |connection| {
            connection.execute("VACUUM INTO ?1", [path])
        })?;
        Ok(())
    }

    /// Looks at every page.
    pub(crate) fn check_whole(&self) -> Result<(), StoreError> {
        let found: String = self.read("check the database", |connection| {
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        })?;
        match found == "ok" {
            true => Ok(()),
            false => Err(StoreError::Damaged("a page of the database")),
        }
    }

    fn prepare(mut connection: Connection, path: &Path) -> Result<Self, StoreError> {
        let failed = during("prepare the database");
        connection.busy_timeout(BUSY_TIMEOUT).map_err(&failed)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;",
            )
            .map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => StoreError::Foreign {
                    path: path.to_owned(),
                },
                _ => failed(error),
            })?;
        connection.set_prepared_statement_cache_capacity(32);
        migrate(&mut connection, path)?;
        Ok(Self {
            checkpoints: None,
            inner: Mutex::new(Inner {
                connection,
                durability: Durability::Power,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held rolled its transaction back: the connection is sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        read(&self.lock().connection).map_err(during(doing))
    }

    fn write<T, E: From<StoreError>>(
        &self,
        doing: &'static str,
        durability: Durability,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, WriteError<E>>,
    ) -> Result<T, E> {
        let mut inner = self.lock();
        let outcome = inner.write(durability, write);
        outcome.map_err(|error| match error {
            WriteError::Database(source) => StoreError::Database { doing, source }.into(),
            WriteError::Refused(refusal) => refusal,
        })
    }
}

impl Inner {
    fn write<T, E>(
        &mut self,
        durability: Durability,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, WriteError<E>>,
    ) -> Result<T, WriteError<E>> {
        if self.durability != durability {
            let level = match durability {
                Durability::Process => "NORMAL",
                Durability::Power => "FULL",
            };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.durability = durability;
        }
        // Immediate: two writers wait for each other at the door, not half-way.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = write(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }
}

/// Why a transaction was rolled back.
enum WriteError<E> {
    Database(rusqlite::Error),
    Refused(E),
}

impl<E> From<rusqlite::Error> for WriteError<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Why the epochs were not changed.
#[derive(Debug, thiserror::Error)]
enum Abandoned {
    #[error("another process changed them first")]
    Overtaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store for SqliteStore {
    fn authority(&self) -> Result<Option<AuthorityRecord>, StoreError> {
        self.read("read the authority", |connection| {
            let epochs = epochs::all(connection)?;
            connection
                .query_row(
                    "SELECT trust_domain, operator, created_at, sealing, key_changes
                     FROM authority",
                    [],
                    |row| {
                        Ok(AuthorityRecord {
                            trust_domain: row.get(0)?,
                            operator: row.get(1)?,
                            created_at: time(row, 2)?,
                            sealing: serde_json::from_str(&row.get::<_, String>(3)?)
                                .map_err(|error| unreadable(3, error))?,
                            key_changes: unsigned(row, 4)?,
                            epochs,
                        })
                    },
                )
                .optional()
        })
    }

    fn found(&self, authority: &AuthorityRecord, entry: &Entry) -> Result<(), StoreError> {
        let sealing = serde_json::to_string(&authority.sealing)
            .map_err(|_| StoreError::Damaged("sealing"))?;
        self.write("found the authority", Durability::Power, |transaction| {
            transaction.execute(
                "INSERT INTO authority (id, trust_domain, operator, created_at, sealing)
                 VALUES (1, ?1, ?2, ?3, ?4)",
                params![
                    authority.trust_domain,
                    authority.operator,
                    authority.created_at.secs(),
                    sealing,
                ],
            )?;
            for epoch in &authority.epochs {
                epochs::insert(transaction, epoch)?;
            }
            Ok(audit::append(transaction, entry)?)
        })
    }

    fn add_format_cas(
        &self,
        epoch: u64,
        cas: &[SealedFormatCa],
        entry: &Entry,
    ) -> Result<(), StoreError> {
        self.write(
            "keep the keys of the other formats",
            Durability::Power,
            |transaction| {
                epochs::insert_format_cas(transaction, epoch, cas)?;
                Ok(audit::append(transaction, entry)?)
            },
        )
    }

    fn key_changes(&self) -> Result<u64, StoreError> {
        self.read("look for new keys", |connection| {
            connection
                .prepare_cached("SELECT key_changes FROM authority")?
                .query_row([], |row| unsigned(row, 0))
        })
    }

    fn prepare_epoch(&self, epoch: &EpochRecord, entry: &Entry) -> Result<bool, StoreError> {
        self.write("keep the next keys", Durability::Power, |transaction| {
            let is_new = epochs::insert_if_new(transaction, epoch)?;
            if is_new {
                audit::append(transaction, entry)?;
            }
            Ok(is_new)
        })
    }

    fn activate_epoch(&self, activation: &Activation, entry: &Entry) -> Result<bool, StoreError> {
        let handovers = activation
            .handovers
            .iter()
            .map(|(name, handover)| Ok((name.clone(), serde_json::to_string(handover)?)))
            .collect::<Result<Vec<_>, serde_json::Error>>()
            .map_err(|_| StoreError::Damaged("handover"))?;
        let numbers = (activation.before, activation.number);
        let done = self.write(
            "take the next keys into use",
            Durability::Power,
            |transaction| {
                let is_there = match &activation.made {
                    Some(epoch) => epochs::insert_if_new(transaction, epoch)?,
                    None => true,
                };
                let is_done =
                    is_there && epochs::activate(transaction, numbers, activation.at, &handovers)?;
                match is_done {
                    true => Ok(audit::append(transaction, entry)?),
                    false => Err(WriteError::Refused(Abandoned::Overtaken)),
                }
            },
        );
        match done {
            Ok(()) => Ok(true),
            Err(Abandoned::Overtaken) => Ok(false),
            Err(Abandoned::Store(error)) => Err(error),
        }
    }

    fn last_not_after(&self, epoch: u64) -> Result<Option<UnixTime>, StoreError> {
        self.read("look for living certificates", |connection| {
            epochs::last_not_after(connection, epoch)
        })
    }

    fn destroy_keys(&self, epochs: &[u64], entry: &Entry) -> Result<(), StoreError> {
        self.write("destroy retired keys", Durability::Power, |transaction| {
            for epoch in epochs {
                epochs::destroy(transaction, *epoch)?;
            }
            Ok::<_, WriteError<StoreError>>(audit::append(transaction, entry)?)
        })?;
        // Pages are overwritten, but the log still has what they were.
        let asked = Instant::now();
        while self.read("empty the log", |connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        })? {
            // Somebody is moving it, here or in another process.
            if asked.elapsed() >= BUSY_TIMEOUT {
                return Err(StoreError::Database {
                    doing: "empty the log",
                    source: rusqlite::Error::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                        None,
                    ),
                });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn reserve_ssh_serials(&self, least: u64, count: u64) -> Result<u64, StoreError> {
        self.write("reserve serial numbers", Durability::Power, |transaction| {
            let first = transaction.query_row(
                "UPDATE ssh_serial SET next = max(next, ?1) + ?2 RETURNING next - ?2",
                params![signed(least), signed(count)],
                |row| unsigned(row, 0),
            )?;
            Ok(first)
        })
    }

    fn add_token(&self, token: &TokenRecord, entry: &Entry) -> Result<(), StoreError> {
        self.write("keep the token", Durability::Power, |transaction| {
            transaction.execute(
                "INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, NULL)",
                params![
                    token.digest,
                    token.agent.as_str(),
                    token.principal,
                    token.scopes.to_string(),
                    token.uses,
                    token.session_seconds,
                    token.created_at.secs(),
                    token.expires_at.secs(),
                ],
            )?;
            Ok(audit::append(transaction, entry)?)
        })
    }

    fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        self.read("read the token", |connection| {
            connection
                .prepare_cached("SELECT * FROM token WHERE digest = ?1")?
                .query_row([digest], token_record)
                .optional()
        })
    }

    fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read("list the tokens", |connection| {
            connection
                .prepare("SELECT * FROM token ORDER BY created_at, digest")?
                .query_map([], token_record)?
                .collect()
        })
    }

    fn revoke_token(&self, id: TokenId, entry: &Entry) -> Result<Option<u64>, StoreError> {
        let at = entry.at;
        self.write("revoke the token", Durability::Power, |transaction| {
            let known = transaction.execute(
                "UPDATE token SET revoked_at = coalesce(revoked_at, ?2)
                 WHERE substr(digest, 1, 8) = ?1",
                params![id, at.secs()],
            )?;
            if known == 0 {
                return Ok(None);
            }
            let ended = transaction.execute(
                "UPDATE session SET revoked_at = ?2 WHERE revoked_at IS NULL AND ends_at > ?2
                 AND token IN (SELECT digest FROM token WHERE substr(digest, 1, 8) = ?1)",
                params![id, at.secs()],
            )?;
            audit::append(transaction, entry)?;
            Ok(Some(u64::try_from(ended).unwrap_or(u64::MAX)))
        })
    }

    fn enrol(&self, session: &Session, issuance: &Issuance<'_>) -> Result<(), EnrolStoreError> {
        self.write("keep the enrolment", Durability::Power, |transaction| {
            if let Some(digest) = &session.token {
                check_keys_are_new(transaction, digest, session)?;
                spend_token(transaction, digest, session.started_at)?;
            }
            insert_session(transaction, session, issuance)
        })
    }

    fn enrol_workload(
        &self,
        session: &Session,
        issuance: &Issuance<'_>,
        spent: Option<&SpentToken>,
    ) -> Result<(), EnrolStoreError> {
        // It lives for minutes, and so does the token that could open another.
        self.write("keep the enrolment", Durability::Process, |transaction| {
            if let Some(spent) = spent
                && !insert_spent(transaction, spent)?
            {
                return Err(WriteError::Refused(EnrolStoreError::Spent));
            }
            insert_session(transaction, session, issuance)
        })
    }

    fn spend(&self, spent: &SpentToken) -> Result<bool, StoreError> {
        self.write("spend the token", Durability::Process, |transaction| {
            Ok(insert_spent(transaction, spent)?)
        })
    }

    fn session(&self, certificate: &[u8; 32]) -> Result<Option<PresentedSession>, StoreError> {
        self.read("find the session", |connection| {
            connection
                .prepare_cached(
                    "SELECT id, identity, principal, agent, scopes, auth_method, mtls, signing,
                            started_at, ends_at, token, not_after, revoked_at
                     FROM session_certificate JOIN session ON session.id = session
                     WHERE sha256 = ?1",
                )?
                .query_row([certificate], presented_session)
                .optional()
        })
    }

    fn record(&self, spent: &SpentNonce<'_>, issuance: &Issuance<'_>) -> Result<(), RecordError> {
        self.write("record the issuance", Durability::Process, |transaction| {
            // Asked again inside the transaction: a rotation or a revocation that came first wins.
            if !epochs::is_active(transaction, issuance.epoch)? {
                return Err(WriteError::Refused(RecordError::Rotated));
            }
            let kept = transaction
                .prepare_cached(
                    "INSERT INTO nonce SELECT id, ?2, ?3 FROM session
                     WHERE id = ?1 AND revoked_at IS NULL",
                )?
                .execute(params![spent.session, spent.nonce, spent.kept_until.secs()]);
            match kept {
                Ok(0) => return Err(WriteError::Refused(RecordError::SessionRevoked)),
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    return Err(WriteError::Refused(RecordError::Replayed));
                }
                other => other?,
            };
            record_issued(transaction, spent.session, issuance)?;
            Ok(audit::append(transaction, &issuance.entry)?)
        })
    }

    fn spend_in(
        &self,
        session: &[u8; 16],
        spent: &SpentToken,
        issuance: &Issuance<'_>,
    ) -> Result<(), RecordError> {
        self.write("record the token", Durability::Process, |transaction| {
            // Asked again inside the transaction: a rotation or a revocation that came first wins.
            if !epochs::is_active(transaction, issuance.epoch)? {
                return Err(WriteError::Refused(RecordError::Rotated));
            }
            let is_living: bool = transaction
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM session WHERE id = ?1 AND revoked_at IS NULL)",
                )?
                .query_row([session], |row| row.get(0))?;
            if !is_living {
                return Err(WriteError::Refused(RecordError::SessionRevoked));
            }
            if !insert_spent(transaction, spent)? {
                return Err(WriteError::Refused(RecordError::Replayed));
            }
            record_issued(transaction, session, issuance)?;
            Ok(audit::append(transaction, &issuance.entry)?)
        })
    }

    fn prune(&self, now: UnixTime) -> Result<(), StoreError> {
        self.write("forget what is spent", Durability::Process, |transaction| {
            for table in ["nonce", "spent_token"] {
                let delete = format!("DELETE FROM {table} WHERE kept_until < ?1");
                transaction.execute(&delete, [now.secs()])?;
            }
            Ok(())
        })
    }

    fn trust(&self) -> Result<Option<TrustRecord>, StoreError> {
        self.read("read the trust document", |connection| {
            connection
                .query_row(
                    "SELECT seqno, payload_sha256, envelope FROM trust
                     ORDER BY seqno DESC LIMIT 1",
                    [],
                    trust_record,
                )
                .optional()
        })
    }

    fn trust_at(&self, seqno: u64) -> Result<Option<TrustRecord>, StoreError> {
        self.read("read an earlier trust document", |connection| {
            connection
                .query_row(
                    "SELECT seqno, payload_sha256, envelope FROM trust WHERE seqno = ?1",
                    [signed(seqno)],
                    trust_record,
                )
                .optional()
        })
    }

    fn add_trust(&self, trust: &TrustRecord, entry: &Entry) -> Result<(), StoreError> {
        self.write(
            "keep the trust document",
            Durability::Power,
            |transaction| {
                transaction.execute(
                    "INSERT INTO trust VALUES (?1, ?2, ?3)",
                    params![signed(trust.seqno), trust.payload_sha256, trust.envelope],
                )?;
                Ok(audit::append(transaction, entry)?)
            },
        )
    }

    fn next_bundle_seqno(&self, least: u64) -> Result<u64, StoreError> {
        // To the disk: a number that came back would look like a rollback.
        self.write("number the CA bundle", Durability::Power, |transaction| {
            let seqno = transaction.query_row(
                "UPDATE ca_bundle SET seqno = max(seqno + 1, ?1) RETURNING seqno",
                [signed(least)],
                |row| unsigned(row, 0),
            )?;
            Ok(seqno)
        })
    }

    fn revoke(
        &self,
        revocation: &Revocation,
        with: &[Revocation],
        entry: &Entry,
    ) -> Result<Taken, StoreError> {
        let at = entry.at;
        self.write("keep the revocation", Durability::Power, |transaction| {
            audit::append(transaction, entry)?;
            Ok(Taken {
                revocation: keep_revocation(transaction, revocation, at)?,
                with: with
                    .iter()
                    .map(|revocation| keep_revocation(transaction, revocation, at))
                    .collect::<rusqlite::Result<_>>()?,
                sessions_ended: end_sessions(transaction, revocation, at)?,
            })
        })
    }

    fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        self.read("read the revocations", |connection| {
            connection
                .prepare_cached(
                    "SELECT kind, value, since, reason FROM revocation ORDER BY number",
                )?
                .query_map([], kept_revocation)?
                .collect()
        })
    }

    fn audit(&self, entry: &Entry) -> Result<(), StoreError> {
        self.write("add to the audit", Durability::Process, |transaction| {
            Ok(audit::append(transaction, entry)?)
        })
    }

    fn audit_tip(&self) -> Result<Option<(u64, [u8; 32])>, StoreError> {
        self.read("read the audit", audit::tip)
    }

    fn audit_after(&self, number: u64) -> Result<Vec<AuditRow>, StoreError> {
        self.read("read the audit", |connection| {
            audit::after(connection, number)
        })
    }

    fn audit_head(&self) -> Result<Option<AuditHeadRecord>, StoreError> {
        self.read("read the head of the audit", audit::head)
    }

    fn set_audit_head(&self, head: &AuditHeadRecord) -> Result<(), StoreError> {
        // Synced, and with it all rows before: no head says more than a power cut leaves.
        self.write("close the audit", Durability::Power, |transaction| {
            Ok(audit::set_head(transaction, head)?)
        })
    }

    fn summary(&self, now: UnixTime) -> Result<Summary, StoreError> {
        self.read("count", |connection| {
            connection.query_row(
                "SELECT
                   (SELECT count(*) FROM token
                    WHERE revoked_at IS NULL AND used < uses AND expires_at > ?1),
                   (SELECT count(*) FROM session WHERE revoked_at IS NULL AND ends_at > ?1),
                   (SELECT count(*) FROM issued WHERE kind <> 'access-token'),
                   (SELECT coalesce(max(seqno), 0) FROM trust)",
                [now.secs()],
                |row| {
                    Ok(Summary {
                        usable_tokens: unsigned(row, 0)?,
                        living_sessions: unsigned(row, 1)?,
                        certificates_issued: unsigned(row, 2)?,
                        trust_seqno: unsigned(row, 3)?,
                    })
                },
            )
        })
    }

    fn sizes(&self, now: UnixTime) -> Result<Sizes, StoreError> {
        self.read("count", |connection| {
            connection
                .prepare_cached(
                    "SELECT
                       (SELECT count(*) FROM session WHERE revoked_at IS NULL AND ends_at > ?1),
                       (SELECT count(*) FROM nonce),
                       (SELECT count(*) FROM spent_token),
                       (SELECT coalesce(max(number), 0) FROM audit)",
                )?
                .query_row([now.secs()], |row| {
                    Ok(Sizes {
                        living_sessions: unsigned(row, 0)?,
                        nonces: unsigned(row, 1)?,
                        spent_tokens: unsigned(row, 2)?,
                        audit_rows: unsigned(row, 3)?,
                    })
                })
        })
    }
}

/// Keeps a revocation and returns what is kept of it.
fn keep_revocation(
    transaction: &Transaction<'_>,
    revocation: &Revocation,
    at: UnixTime,
) -> rusqlite::Result<Revocation> {
    transaction.execute(
        "INSERT INTO revocation (kind, value, since, reason, recorded_at)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (kind, value) DO UPDATE SET since = excluded.since,
         reason = excluded.reason WHERE excluded.since < since",
        params![
            revocation.kind.as_str(),
            revocation.value,
            revocation.since.secs(),
            revocation.reason,
            at.secs(),
        ],
    )?;
    transaction.query_row(
        "SELECT kind, value, since, reason FROM revocation WHERE kind = ?1 AND value = ?2",
        params![revocation.kind.as_str(), revocation.value],
        kept_revocation,
    )
}

/// Keeps a session that is to begin, unless the keys were rotated meanwhile, or its name or keys
/// were taken back.
fn insert_session(
    transaction: &Transaction<'_>,
    session: &Session,
    issuance: &Issuance<'_>,
) -> Result<(), WriteError<EnrolStoreError>> {
    if !epochs::is_active(transaction, issuance.epoch)? {
        return Err(WriteError::Refused(EnrolStoreError::Rotated));
    }
    if is_revoked(transaction, session)? {
        return Err(WriteError::Refused(EnrolStoreError::Revoked));
    }
    transaction
        .prepare_cached(
            "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, NULL)",
        )?
        .execute(params![
            session.id,
            session.identity.as_str(),
            session.principal,
            session.agent.as_str(),
            session.scopes.to_string(),
            session.auth_method,
            session.mtls.spki_der(),
            session.signing.spki_der(),
            session.started_at.secs(),
            session.ends_at.secs(),
            session.token,
        ])?;
    record_issued(transaction, &session.id, issuance)?;
    Ok(audit::append(transaction, &issuance.entry)?)
}

/// Tells whether name or keys of a session that is to begin were taken back.
fn is_revoked(transaction: &Transaction<'_>, session: &Session) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM revocation WHERE kind = ?1 AND value = ?2
                            OR kind = ?3 AND value IN (?4, ?5))",
        )?
        .query_row(
            params![
                RevocationKind::Identity.as_str(),
                session.identity.as_str(),
                RevocationKind::Key.as_str(),
                session.mtls.kid().to_string(),
                session.signing.kid().to_string(),
            ],
            |row| row.get(0),
        )
}

/// Ends the living sessions that a revocation concerns: they get nothing more.
fn end_sessions(
    transaction: &Transaction<'_>,
    revocation: &Revocation,
    at: UnixTime,
) -> rusqlite::Result<u64> {
    let value = &revocation.value;
    let serial = padded_serial(value);
    let mut has_certificate = transaction.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM issued WHERE session = ?1 AND serial = ?2
                        AND payload_sha256 IS NULL)",
    )?;
    let mut end = transaction.prepare_cached("UPDATE session SET revoked_at = ?2 WHERE id = ?1")?;
    let mut living = transaction.prepare_cached(
        "SELECT id, identity, mtls, signing FROM session WHERE revoked_at IS NULL AND ends_at > ?1",
    )?;
    let mut rows = living.query([at.secs()])?;
    let mut ended = 0;
    while let Some(row) = rows.next()? {
        let id: [u8; 16] = row.get(0)?;
        let (mtls, signing) = (public_key(row, 2)?, public_key(row, 3)?);
        let is_meant = match revocation.kind {
            RevocationKind::Certificate => {
                has_certificate.query_row(params![id, serial], |row| row.get(0))?
            }
            RevocationKind::Key => [&mtls, &signing]
                .map(|key| key.kid().to_string())
                .contains(value),
            RevocationKind::Session => hex::encode(&peer_binding(&mtls, &signing)) == *value,
            RevocationKind::Identity => row.get::<_, String>(1)? == *value,
            // Its keys are the agent's, and are certified anew by those of the epoch in use.
            RevocationKind::Epoch => false,
        };
        if is_meant {
            end.execute(params![id, at.secs()])?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// Returns a serial number as the issuance record has it.
fn padded_serial(value: &str) -> Option<[u8; 16]> {
    hex::decode_array(&format!("{value:0>32}"))
}

/// Whoever repeats a request as it was, by accident or having overheard it, burns no use.
fn check_keys_are_new(
    transaction: &Transaction<'_>,
    digest: &[u8; 32],
    session: &Session,
) -> Result<(), WriteError<EnrolStoreError>> {
    let known = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM session WHERE token = ?1 AND mtls = ?2 AND signing = ?3)",
        params![digest, session.mtls.spki_der(), session.signing.spki_der()],
        |row| row.get(0),
    )?;
    match known {
        true => Err(WriteError::Refused(EnrolStoreError::KeysKnown)),
        false => Ok(()),
    }
}

/// Spends a token of another issuer; the primary key decides, so that no two can.
fn insert_spent(transaction: &Transaction<'_>, spent: &SpentToken) -> rusqlite::Result<bool> {
    let inserted = transaction
        .prepare_cached("INSERT OR IGNORE INTO spent_token VALUES (?1, ?2)")?
        .execute(params![spent.digest, spent.kept_until.secs()])?;
    Ok(inserted == 1)
}

/// Spends one use, or says why not; the `WHERE` decides, so that no two can spend the last one.
fn spend_token(
    transaction: &Transaction<'_>,
    digest: &[u8; 32],
    now: UnixTime,
) -> Result<(), WriteError<EnrolStoreError>> {
    let spent = transaction.execute(
        "UPDATE token SET used = used + 1 WHERE digest = ?1 AND used < uses
         AND revoked_at IS NULL AND expires_at > ?2",
        params![digest, now.secs()],
    )?;
    if spent == 1 {
        return Ok(());
    }
    let refusal = transaction
        .query_row(
            "SELECT * FROM token WHERE digest = ?1",
            [digest],
            token_record,
        )
        .optional()?
        .and_then(|token| token.refusal(now))
        .unwrap_or(TokenRefusal::Unknown);
    Err(WriteError::Refused(EnrolStoreError::Token(refusal)))
}

fn record_issued(
    transaction: &Transaction<'_>,
    session: &[u8; 16],
    issuance: &Issuance<'_>,
) -> rusqlite::Result<()> {
    let mut line = transaction.prepare_cached(
        "INSERT INTO issued (session, kind, serial, kid, certificate_sha256, payload_sha256,
                             activity, issued_at, not_after, epoch)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for certificate in issuance.lines {
        line.execute(params![
            session,
            certificate.kind.as_str(),
            certificate.serial,
            certificate.kid.to_string(),
            certificate.certificate_sha256,
            certificate.payload_sha256,
            certificate.activity,
            certificate.issued_at.secs(),
            certificate.not_after.secs(),
            signed(issuance.epoch),
        ])?;
        if certificate.kind == IssuedKind::Signing {
            transaction
                .prepare_cached("INSERT INTO session_certificate VALUES (?1, ?2, ?3)")?
                .execute(params![
                    certificate.certificate_sha256,
                    session,
                    certificate.not_after.secs()
                ])?;
        }
    }
    Ok(())
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
        return Err(StoreError::Foreign {
            path: path.to_owned(),
        });
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

fn during(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| match source {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..) => StoreError::Damaged(doing),
        source => StoreError::Database { doing, source },
    }
}

/// How long a writer waits for another.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts to empty the log.
const POLL: Duration = Duration::from_millis(10);
/// `NmAu`: marks the file as ours.
const APPLICATION: u32 = 0x4e6d_4175;
/// What each version adds to the one before.
const SCHEMAS: [&str; 6] = [
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
    include_str!("schema-6.sql"),
];
/// The number of [`SCHEMAS`].
const SCHEMA: u32 = 6;
