//! The store over a database: every rule of what is kept, spent and refused, once for all of them.

mod audit;
mod copy;
mod epochs;
mod rows;

use std::collections::BTreeSet;

use notme_core::{
    enrol::peer_binding,
    hex,
    key::PublicKey,
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};

use self::rows::{
    PRESENTED, TOKEN, bundle_record, kept_revocation, presented_session, token_record,
    trust_record, values,
};
use super::{
    Activation, AuditHeadRecord, AuditRow, AuthorityRecord, BundleRecord, EnrolStoreError,
    EpochRecord, Issuance, IssuedKind, PresentedSession, RecordError, SET_BACK, SealedFormatCa,
    Session, Sizes, SpentNonce, SpentToken, Store, StoreError, Summary, TokenId, TokenRecord,
    TokenRefusal, TrustRecord,
    database::{Database, DatabaseError, Durability, Row, Transaction, Value, WriteError},
};
use crate::{audit::Entry, revocation::Taken};

/// A store over a database.
pub(crate) struct SqlStore<D> {
    pub(super) database: D,
}

impl<D: Database> SqlStore<D> {
    /// Reads rows with one statement.
    fn rows<T>(
        &self,
        doing: &'static str,
        sql: &str,
        values: &[Value],
        read: impl FnMut(&Row) -> Result<T, DatabaseError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.database.query(sql, values);
        rows.and_then(|rows| rows.iter().map(read).collect())
            .map_err(DatabaseError::during(doing))
    }

    /// Reads the first row that a statement finds.
    fn row<T>(
        &self,
        doing: &'static str,
        sql: &str,
        values: &[Value],
        read: impl FnMut(&Row) -> Result<T, DatabaseError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(doing, sql, values, read)?.into_iter().next())
    }

    /// Reads the row that a statement always finds.
    fn one<T>(
        &self,
        doing: &'static str,
        sql: &str,
        values: &[Value],
        read: impl FnMut(&Row) -> Result<T, DatabaseError>,
    ) -> Result<T, StoreError> {
        let row = self.row(doing, sql, values, read)?;
        row.ok_or(StoreError::Damaged(doing))
    }

    fn write<T, E: From<StoreError>>(
        &self,
        doing: &'static str,
        durability: Durability,
        write: impl FnOnce(&mut dyn Transaction) -> Result<T, WriteError<E>>,
    ) -> Result<T, E> {
        let outcome = self.database.write(durability, write);
        outcome.map_err(|error| match error {
            WriteError::Database(error) => DatabaseError::during(doing)(error).into(),
            WriteError::Refused(refusal) => refusal,
        })
    }

    /// Does something that adds its row to the audit when it comes to pass.
    fn audited(
        &self,
        doing: &'static str,
        entry: &Entry,
        act: impl FnOnce(&mut dyn Transaction) -> Result<bool, DatabaseError>,
    ) -> Result<bool, StoreError> {
        let done = self.write(doing, Durability::Power, |tx| match act(tx)? {
            true => Ok(audit::append(tx, entry)?),
            false => Err(WriteError::Refused(Abandoned::Overtaken)),
        });
        match done {
            Ok(()) => Ok(true),
            Err(Abandoned::Overtaken) => Ok(false),
            Err(Abandoned::Store(error)) => Err(error),
        }
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
enum Abandoned {
    #[error("another process was first")]
    Overtaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<D: Database> Store for SqlStore<D> {
    fn authority(&self) -> Result<Option<AuthorityRecord>, StoreError> {
        let record = self.database.read(|tx| {
            let rows = tx.query(
                "SELECT trust_domain, operator, created_at, sealing, key_changes, url FROM authority",
                &[],
            )?;
            let Some(row) = rows.first() else {
                return Ok(None);
            };
            let sealing: String = row.get(3)?;
            Ok(Some(AuthorityRecord {
                trust_domain: row.get(0)?,
                operator: row.get(1)?,
                created_at: row.get(2)?,
                sealing: serde_json::from_str(&sealing).map_err(rows::unreadable)?,
                key_changes: row.get(4)?,
                url: row.get(5)?,
                epochs: epochs::all(tx)?,
            }))
        });
        record.map_err(DatabaseError::during("read the authority"))
    }

    fn found(&self, authority: &AuthorityRecord, entry: &Entry) -> Result<bool, StoreError> {
        let sealing = serde_json::to_string(&authority.sealing)
            .map_err(|_| StoreError::Damaged("sealing"))?;
        self.audited("found the authority", entry, |tx| {
            let is_first = tx.execute(
                "INSERT INTO authority (id, trust_domain, operator, created_at, sealing)
                 VALUES (1, $1, $2, $3, $4) ON CONFLICT DO NOTHING",
                values![
                    authority.trust_domain.as_str(),
                    authority.operator.as_str(),
                    authority.created_at,
                    sealing,
                ],
            )? == 1;
            if is_first {
                for epoch in &authority.epochs {
                    epochs::insert(tx, epoch, entry.at)?;
                }
            }
            Ok(is_first)
        })
    }

    fn add_format_cas(
        &self,
        epoch: u64,
        cas: &[SealedFormatCa],
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        self.audited("keep the keys of the other formats", entry, |tx| {
            epochs::insert_format_cas(tx, epoch, (cas, entry.at))
        })
    }

    fn settle_url(&self, url: &str) -> Result<String, StoreError> {
        let doing = "keep the URL";
        self.write(doing, Durability::Power, |tx| {
            let settle = "UPDATE authority SET url = coalesce(url, $1) RETURNING url";
            let rows = tx.query(settle, values![url])?;
            let kept = rows.first().map(|row| row.get(0)).transpose()?;
            kept.ok_or(WriteError::Refused(StoreError::Damaged(doing)))
        })
    }

    fn replace_url(&self, url: &str, entry: &Entry) -> Result<(), StoreError> {
        self.write("keep the URL", Durability::Power, |tx| {
            tx.execute("UPDATE authority SET url = $1", values![url])?;
            epochs::changed(tx, entry.at)?;
            Ok::<_, WriteError<StoreError>>(audit::append(tx, entry)?)
        })
    }

    fn key_changes(&self) -> Result<u64, StoreError> {
        let sql = "SELECT key_changes FROM authority";
        self.one("look for new keys", sql, &[], |row| row.get(0))
    }

    fn prepare_epoch(&self, epoch: &EpochRecord, entry: &Entry) -> Result<bool, StoreError> {
        self.audited("keep the next keys", entry, |tx| {
            epochs::insert(tx, epoch, entry.at)
        })
    }

    fn activate_epoch(&self, activation: &Activation, entry: &Entry) -> Result<bool, StoreError> {
        self.audited("take the next keys into use", entry, |tx| {
            let is_there = match &activation.made {
                Some(epoch) => epochs::insert(tx, epoch, entry.at)?,
                None => true,
            };
            Ok(is_there && epochs::activate(tx, activation)?)
        })
    }

    fn last_not_after(&self, epoch: u64) -> Result<Option<UnixTime>, StoreError> {
        let sql = "SELECT max(not_after) FROM issued WHERE epoch = $1";
        let doing = "look for living certificates";
        self.one(doing, sql, values![epoch], |row| row.get(0))
    }

    fn give_up_keys(&self, epochs: &[u64], entry: &Entry) -> Result<(), StoreError> {
        self.write("give up retired keys", Durability::Power, |tx| {
            epochs::give_up(tx, epochs, entry.at)?;
            Ok(audit::append(tx, entry)?)
        })
    }

    fn destroy_keys(&self, epochs: &[u64]) -> Result<(), StoreError> {
        let doing = "destroy retired keys";
        let each = |act: fn(&mut dyn Transaction, u64) -> Result<(), DatabaseError>| {
            self.write(doing, Durability::Power, |tx| {
                let acted = epochs.iter().try_for_each(|epoch| act(tx, *epoch));
                Ok::<_, WriteError<StoreError>>(acted?)
            })
        };
        each(epochs::destroy)?;
        let forgotten = self.database.forget_overwritten();
        forgotten.map_err(DatabaseError::during(doing))?;
        // Last, so that whatever failed before is done when it is repeated.
        each(epochs::end_leave)
    }

    fn reserve_ssh_serials(&self, least: u64, count: u64) -> Result<u64, StoreError> {
        let doing = "reserve serial numbers";
        self.write(doing, Durability::Power, |tx| {
            let rows = tx.query(
                "UPDATE ssh_serial SET next = CASE WHEN next > $1 THEN next ELSE $1 END + $2
                 RETURNING next - $2",
                values![least, count],
            )?;
            let first = rows.first().map(|row| row.get(0)).transpose()?;
            first.ok_or(WriteError::Refused(StoreError::Damaged(doing)))
        })
    }

    fn add_token(&self, token: &TokenRecord, entry: &Entry) -> Result<(), StoreError> {
        self.write("keep the token", Durability::Power, |tx| {
            tx.execute(
                "INSERT INTO token VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, NULL)",
                values![
                    &token.digest,
                    token.agent.as_str(),
                    token.principal.as_str(),
                    token.scopes.to_string(),
                    token.uses,
                    token.session_seconds,
                    token.created_at,
                    token.expires_at,
                ],
            )?;
            Ok(audit::append(tx, entry)?)
        })
    }

    fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError> {
        let sql = format!("{TOKEN} WHERE digest = $1");
        self.row("read the token", &sql, values![digest], token_record)
    }

    fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let sql = format!("{TOKEN} ORDER BY created_at, digest");
        self.rows("list the tokens", &sql, &[], token_record)
    }

    fn revoke_token(&self, id: TokenId, entry: &Entry) -> Result<Option<u64>, StoreError> {
        let values = values![&id, entry.at];
        self.write("revoke the token", Durability::Power, |tx| {
            let known = tx.execute(
                "UPDATE token SET revoked_at = coalesce(revoked_at, $2)
                 WHERE substr(digest, 1, 8) = $1",
                values,
            )?;
            if known == 0 {
                return Ok(None);
            }
            let ended = tx.execute(
                "UPDATE session SET revoked_at = $2 WHERE revoked_at IS NULL AND ends_at > $2
                 AND token IN (SELECT digest FROM token WHERE substr(digest, 1, 8) = $1)",
                values,
            )?;
            audit::append(tx, entry)?;
            Ok(Some(ended))
        })
    }

    fn enrol(&self, session: &Session, issuance: &Issuance<'_>) -> Result<(), EnrolStoreError> {
        self.write("keep the enrolment", Durability::Power, |tx| {
            if let Some(digest) = &session.token {
                check_keys_are_new(tx, digest, session)?;
                spend_token(tx, digest, session.started_at)?;
            }
            insert_session(tx, session, issuance)
        })
    }

    fn enrol_workload(
        &self,
        session: &Session,
        issuance: &Issuance<'_>,
        spent: Option<&SpentToken>,
    ) -> Result<(), EnrolStoreError> {
        // It lives for minutes, and so does the token that could open another.
        self.write("keep the enrolment", Durability::Process, |tx| {
            if let Some(spent) = spent
                && !insert_spent(tx, spent)?
            {
                return Err(WriteError::Refused(EnrolStoreError::Spent));
            }
            insert_session(tx, session, issuance)
        })
    }

    fn spend(&self, spent: &SpentToken) -> Result<bool, StoreError> {
        self.write("spend the token", Durability::Process, |tx| {
            Ok(insert_spent(tx, spent)?)
        })
    }

    fn session(&self, certificate: &[u8; 32]) -> Result<Option<PresentedSession>, StoreError> {
        let sql = format!("{PRESENTED} WHERE sha256 = $1");
        let values = values![certificate];
        self.row("find the session", &sql, values, presented_session)
    }

    fn record(&self, spent: &SpentNonce<'_>, issuance: &Issuance<'_>) -> Result<(), RecordError> {
        self.write("record the issuance", Durability::Process, |tx| {
            check_still_good(tx, spent.session, issuance)?;
            let is_new = tx.execute(
                "INSERT INTO nonce VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                values![spent.session, &spent.nonce, spent.kept_until],
            )? == 1;
            if !is_new {
                return Err(WriteError::Refused(RecordError::Replayed));
            }
            record_issued(tx, spent.session, issuance)?;
            Ok(audit::append(tx, &issuance.entry)?)
        })
    }

    fn spend_in(
        &self,
        session: &[u8; 16],
        spent: &SpentToken,
        issuance: &Issuance<'_>,
    ) -> Result<(), RecordError> {
        self.write("record the token", Durability::Process, |tx| {
            check_still_good(tx, session, issuance)?;
            if !insert_spent(tx, spent)? {
                return Err(WriteError::Refused(RecordError::Replayed));
            }
            record_issued(tx, session, issuance)?;
            Ok(audit::append(tx, &issuance.entry)?)
        })
    }

    fn prune(&self, now: UnixTime) -> Result<(), StoreError> {
        self.write("forget what is over", Durability::Process, |tx| {
            let [first, last] = part_of_nonces(now);
            tx.execute(
                "DELETE FROM nonce WHERE kept_until < $1 AND nonce BETWEEN $2 AND $3",
                values![now, &first, &last],
            )?;
            tx.execute(
                "DELETE FROM spent_token WHERE kept_until < $1",
                values![now],
            )?;
            // Not while its token could enrol the same keys anew.
            let over = format!(
                "SELECT id FROM session WHERE ends_at < $1 AND NOT EXISTS (SELECT digest FROM token
                 WHERE digest = session.token AND revoked_at IS NULL AND expires_at > $2)
                 ORDER BY ends_at, id LIMIT {PRUNED_AT_ONCE}"
            );
            let values = values![now.plus(-SESSION_KEPT), now.plus(-SET_BACK)];
            for delete in [
                format!("DELETE FROM nonce WHERE session IN ({over})"),
                format!("DELETE FROM session_certificate WHERE session IN ({over})"),
                format!("DELETE FROM session WHERE id IN ({over})"),
            ] {
                tx.execute(&delete, values)?;
            }
            Ok(())
        })
    }

    fn trust(&self) -> Result<Option<TrustRecord>, StoreError> {
        let sql = "SELECT seqno, payload_sha256, envelope FROM trust ORDER BY seqno DESC LIMIT 1";
        self.row("read the trust document", sql, &[], trust_record)
    }

    fn trust_at(&self, seqno: u64) -> Result<Option<TrustRecord>, StoreError> {
        let sql = "SELECT seqno, payload_sha256, envelope FROM trust WHERE seqno = $1";
        let doing = "read an earlier trust document";
        self.row(doing, sql, values![seqno], trust_record)
    }

    fn add_trust(
        &self,
        trust: &TrustRecord,
        key_changes: u64,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        self.audited("keep the trust document", entry, |tx| {
            if !epochs::are_unchanged(tx, key_changes)? {
                return Ok(false);
            }
            let added = tx.execute(
                "INSERT INTO trust VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                values![trust.seqno, &trust.payload_sha256, &trust.envelope],
            )?;
            Ok(added == 1)
        })
    }

    fn bundle(&self) -> Result<BundleRecord, StoreError> {
        let sql = "SELECT seqno, key_id, issued_at, json FROM ca_bundle";
        self.one("read the CA bundle", sql, &[], bundle_record)
    }

    fn replace_bundle(
        &self,
        before: u64,
        bundle: &BundleRecord,
        key_changes: u64,
    ) -> Result<bool, StoreError> {
        // To the disk: a number that came back would look like a rollback.
        self.write("keep the CA bundle", Durability::Power, |tx| {
            if !epochs::are_unchanged(tx, key_changes)? {
                return Ok(false);
            }
            let replaced = tx.execute(
                "UPDATE ca_bundle SET seqno = $2, key_id = $3, issued_at = $4, json = $5
                 WHERE seqno = $1",
                values![
                    before,
                    bundle.seqno,
                    bundle.key_id.as_str(),
                    bundle.issued_at,
                    &bundle.json
                ],
            )?;
            Ok(replaced == 1)
        })
    }

    fn revoke(
        &self,
        revocation: &Revocation,
        with: &[Revocation],
        entry: &Entry,
    ) -> Result<Taken, StoreError> {
        let at = entry.at;
        self.write("keep the revocation", Durability::Power, |tx| {
            audit::append(tx, entry)?;
            Ok(Taken {
                revocation: keep_revocation(tx, revocation, at)?,
                with: with
                    .iter()
                    .map(|revocation| keep_revocation(tx, revocation, at))
                    .collect::<Result<_, _>>()?,
                sessions_ended: end_sessions(tx, revocation, at)?,
            })
        })
    }

    fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        let sql = "SELECT kind, value, since, reason FROM revocation ORDER BY number";
        self.rows("read the revocations", sql, &[], kept_revocation)
    }

    fn audit(&self, entry: &Entry) -> Result<(), StoreError> {
        self.write("add to the audit", Durability::Process, |tx| {
            Ok(audit::append(tx, entry)?)
        })
    }

    fn audit_tip(&self) -> Result<Option<(u64, [u8; 32])>, StoreError> {
        self.row("read the audit", audit::TIP, &[], audit::tip)
    }

    fn audit_after(&self, number: u64) -> Result<Vec<AuditRow>, StoreError> {
        let values = values![number];
        self.rows("read the audit", audit::AFTER, values, audit::row)
    }

    fn audit_head(&self) -> Result<Option<AuditHeadRecord>, StoreError> {
        self.row("read the head of the audit", audit::HEAD, &[], audit::head)
    }

    fn set_audit_head(&self, head: &AuditHeadRecord) -> Result<(), StoreError> {
        // Synced, and with it all rows before: no head says more than a power cut leaves.
        self.write("close the audit", Durability::Power, |tx| {
            Ok(audit::set_head(tx, head)?)
        })
    }

    fn summary(&self, now: UnixTime) -> Result<Summary, StoreError> {
        let sql = "SELECT
               (SELECT count(*) FROM token
                WHERE revoked_at IS NULL AND used < uses AND expires_at > $1),
               (SELECT count(*) FROM session WHERE revoked_at IS NULL AND ends_at > $1),
               (SELECT count(*) FROM issued WHERE kind <> 'access-token'),
               (SELECT coalesce(max(seqno), 0) FROM trust)";
        let summary = self.database.read(|tx| {
            // All that was ever issued is counted.
            tx.take_time()?;
            let rows = tx.query(sql, values![now])?;
            let row = rows.first().ok_or_else(|| rows::unreadable("no row"))?;
            Ok(Summary {
                usable_tokens: row.get(0)?,
                living_sessions: row.get(1)?,
                certificates_issued: row.get(2)?,
                trust_seqno: row.get(3)?,
            })
        });
        summary.map_err(DatabaseError::during("count"))
    }

    fn sizes(&self, now: UnixTime) -> Result<Sizes, StoreError> {
        let sql = "SELECT
               (SELECT count(*) FROM session WHERE revoked_at IS NULL AND ends_at > $1),
               (SELECT count(*) FROM nonce),
               (SELECT count(*) FROM spent_token),
               (SELECT coalesce(max(number), 0) FROM audit)";
        self.one("count", sql, values![now], |row| {
            Ok(Sizes {
                living_sessions: row.get(0)?,
                nonces: row.get(1)?,
                spent_tokens: row.get(2)?,
                audit_rows: row.get(3)?,
            })
        })
    }
}

/// Keeps a revocation and returns what is kept of it.
fn keep_revocation(
    tx: &mut dyn Transaction,
    revocation: &Revocation,
    at: UnixTime,
) -> Result<Revocation, DatabaseError> {
    let rows = tx.query(
        "INSERT INTO revocation (number, kind, value, since, reason, recorded_at)
         VALUES ((SELECT coalesce(max(number), 0) + 1 FROM revocation), $1, $2, $3, $4, $5)
         ON CONFLICT (kind, value) DO UPDATE SET
         reason = CASE WHEN excluded.since < revocation.since
                  THEN excluded.reason ELSE revocation.reason END,
         since = CASE WHEN excluded.since < revocation.since
                 THEN excluded.since ELSE revocation.since END
         RETURNING kind, value, since, reason",
        values![
            revocation.kind.as_str(),
            revocation.value.as_str(),
            revocation.since,
            revocation.reason.as_str(),
            at,
        ],
    )?;
    let row = rows.first().ok_or_else(|| rows::unreadable("no row"))?;
    kept_revocation(row)
}

/// Checks what was looked at before the transaction: a rotation or a revocation that came first
/// wins.
fn check_still_good(
    tx: &mut dyn Transaction,
    session: &[u8; 16],
    issuance: &Issuance<'_>,
) -> Result<(), WriteError<RecordError>> {
    if !epochs::is_active(tx, issuance.epoch)? {
        return Err(WriteError::Refused(RecordError::Rotated));
    }
    let living = tx.query(
        "SELECT id FROM session WHERE id = $1 AND revoked_at IS NULL",
        values![session],
    )?;
    match living.is_empty() {
        true => Err(WriteError::Refused(RecordError::SessionRevoked)),
        false => Ok(()),
    }
}

/// Keeps a session that is to begin, unless the keys were rotated meanwhile, or its name or keys
/// were taken back.
fn insert_session(
    tx: &mut dyn Transaction,
    session: &Session,
    issuance: &Issuance<'_>,
) -> Result<(), WriteError<EnrolStoreError>> {
    if !epochs::is_active(tx, issuance.epoch)? {
        return Err(WriteError::Refused(EnrolStoreError::Rotated));
    }
    if is_revoked(tx, session)? {
        return Err(WriteError::Refused(EnrolStoreError::Revoked));
    }
    tx.execute(
        "INSERT INTO session VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, NULL)",
        values![
            &session.id,
            session.identity.as_str(),
            session.principal.as_str(),
            session.agent.as_str(),
            session.scopes.to_string(),
            session.auth_method.as_str(),
            session.mtls.spki_der(),
            session.signing.spki_der(),
            session.started_at,
            session.ends_at,
            session.token.as_ref(),
        ],
    )?;
    record_issued(tx, &session.id, issuance)?;
    Ok(audit::append(tx, &issuance.entry)?)
}

/// Tells whether name or keys of a session that is to begin were taken back.
fn is_revoked(tx: &mut dyn Transaction, session: &Session) -> Result<bool, DatabaseError> {
    let found = tx.query(
        "SELECT number FROM revocation WHERE kind = $1 AND value = $2
         OR kind = $3 AND value IN ($4, $5)",
        values![
            RevocationKind::Identity.as_str(),
            session.identity.as_str(),
            RevocationKind::Key.as_str(),
            session.mtls.kid().to_string(),
            session.signing.kid().to_string(),
        ],
    )?;
    Ok(!found.is_empty())
}

/// Ends the living sessions that a revocation concerns: they get nothing more.
fn end_sessions(
    tx: &mut dyn Transaction,
    revocation: &Revocation,
    at: UnixTime,
) -> Result<u64, DatabaseError> {
    let value = &revocation.value;
    // Its keys are the agents', and are certified anew by those of the epoch in use.
    if revocation.kind == RevocationKind::Epoch {
        return Ok(0);
    }
    let with_certificate = match (revocation.kind, padded_serial(value)) {
        (RevocationKind::Certificate, Some(serial)) => {
            let rows = tx.query(
                "SELECT session FROM issued WHERE serial = $1 AND payload_sha256 IS NULL",
                values![&serial],
            )?;
            let sessions = rows.iter().map(|row| row.get::<[u8; 16]>(0));
            sessions.collect::<Result<_, _>>()?
        }
        _ => BTreeSet::new(),
    };
    let living = tx.query(
        "SELECT id, identity, mtls, signing FROM session WHERE revoked_at IS NULL AND ends_at > $1",
        values![at],
    )?;
    let mut ended = 0;
    for row in &living {
        let id: [u8; 16] = row.get(0)?;
        let (mtls, signing): (PublicKey, PublicKey) = (row.get(2)?, row.get(3)?);
        let is_meant = match revocation.kind {
            RevocationKind::Certificate => with_certificate.contains(&id),
            RevocationKind::Key => [&mtls, &signing]
                .map(|key| key.kid().to_string())
                .contains(value),
            RevocationKind::Session => hex::encode(&peer_binding(&mtls, &signing)) == *value,
            RevocationKind::Identity => row.get::<String>(1)? == *value,
            RevocationKind::Epoch => false,
        };
        if is_meant {
            ended += tx.execute(
                "UPDATE session SET revoked_at = $2 WHERE id = $1",
                values![&id, at],
            )?;
        }
    }
    Ok(ended)
}

/// Returns the first and the last of the nonces whose turn it is to be forgotten: a sixteenth, each
/// minute another. What is over is scattered among all of them, and to forget it at once would
/// write most of the table anew.
fn part_of_nonces(now: UnixTime) -> [[u8; 16]; 2] {
    let turn = now.secs().div_euclid(60).rem_euclid(16).unsigned_abs();
    let first = u128::from(turn) << 124;
    [first, first | u128::MAX >> 4].map(u128::to_be_bytes)
}

/// Returns a serial number as the issuance record has it.
fn padded_serial(value: &str) -> Option<[u8; 16]> {
    hex::decode_array(&format!("{value:0>32}"))
}

/// Whoever repeats a request as it was, by accident or having overheard it, burns no use.
fn check_keys_are_new(
    tx: &mut dyn Transaction,
    digest: &[u8; 32],
    session: &Session,
) -> Result<(), WriteError<EnrolStoreError>> {
    let known = tx.query(
        "SELECT id FROM session WHERE token = $1 AND mtls = $2 AND signing = $3",
        values![digest, session.mtls.spki_der(), session.signing.spki_der()],
    )?;
    match known.is_empty() {
        true => Ok(()),
        false => Err(WriteError::Refused(EnrolStoreError::KeysKnown)),
    }
}

/// Spends a token of another issuer; the primary key decides, so that no two can.
fn insert_spent(tx: &mut dyn Transaction, spent: &SpentToken) -> Result<bool, DatabaseError> {
    let inserted = tx.execute(
        "INSERT INTO spent_token VALUES ($1, $2) ON CONFLICT DO NOTHING",
        values![&spent.digest, spent.kept_until],
    )?;
    Ok(inserted == 1)
}

/// Spends one use, or says why not; the `WHERE` decides, so that no two can spend the last one.
fn spend_token(
    tx: &mut dyn Transaction,
    digest: &[u8; 32],
    now: UnixTime,
) -> Result<(), WriteError<EnrolStoreError>> {
    let spent = tx.execute(
        "UPDATE token SET used = used + 1 WHERE digest = $1 AND used < uses
         AND revoked_at IS NULL AND expires_at > $2",
        values![digest, now],
    )?;
    if spent == 1 {
        return Ok(());
    }
    let rows = tx.query(&format!("{TOKEN} WHERE digest = $1"), values![digest])?;
    let token = rows.first().map(token_record).transpose()?;
    let refusal = token
        .and_then(|token| token.refusal(now))
        .unwrap_or(TokenRefusal::Unknown);
    Err(WriteError::Refused(EnrolStoreError::Token(refusal)))
}

fn record_issued(
    tx: &mut dyn Transaction,
    session: &[u8; 16],
    issuance: &Issuance<'_>,
) -> Result<(), DatabaseError> {
    for certificate in issuance.lines {
        tx.execute(
            "INSERT INTO issued (id, session, kind, serial, kid, certificate_sha256,
                                 payload_sha256, activity, issued_at, not_after, epoch)
             VALUES ((SELECT coalesce(max(id), 0) + 1 FROM issued),
                     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            values![
                session,
                certificate.kind.as_str(),
                &certificate.serial,
                certificate.kid.to_string(),
                &certificate.certificate_sha256,
                certificate.payload_sha256.as_ref(),
                certificate.activity.as_deref(),
                certificate.issued_at,
                certificate.not_after,
                issuance.epoch,
            ],
        )?;
        if certificate.kind == IssuedKind::Signing {
            tx.execute(
                "INSERT INTO session_certificate VALUES ($1, $2, $3)",
                values![
                    &certificate.certificate_sha256,
                    session,
                    certificate.not_after
                ],
            )?;
        }
    }
    Ok(())
}

/// How long a session is remembered after its end, in seconds: thirty days in which whoever asks
/// on hears that it ended, or was revoked, and not that nobody knows it.
const SESSION_KEPT: i64 = 30 * 86_400;
/// How many sessions are forgotten at once: nobody else writes meanwhile.
const PRUNED_AT_ONCE: u32 = 1_000;
