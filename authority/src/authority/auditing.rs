//! What the serving authority adds to its audit beside its acts: refusals, and signed heads.

use std::{
    collections::BTreeMap,
    mem,
    sync::{MutexGuard, PoisonError},
};

use hyper::body::Bytes;
use notme_core::{hex, time::UnixTime};

use super::{Authority, OpenError, Peer};
use crate::{
    audit::{Act, AuditHead, Entry},
    store::{AuditHeadRecord, Issued, Session, StoreError},
};

/// What whoever is refused had proved, going by the refusal.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Proved {
    /// Anybody can have it.
    Nothing,
    /// That an issuer vouches for them, as it does for everybody: they are permitted nothing here.
    Elsewhere,
    /// A session, a token or rights here.
    Here,
}

/// The refusals of the current minute. Whoever proved less crowds out nobody who proved more.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    minute: i64,
    listed: BTreeMap<Proved, u32>,
    unlisted: u64,
}

impl Refusals {
    /// Counts a refusal; returns whether it gets a row of its own.
    fn count(&mut self, proved: Proved) -> bool {
        let listed = self.listed.entry(proved).or_default();
        let is_listed = *listed < LISTED_PER_MINUTE;
        match is_listed {
            true => *listed += 1,
            false => self.unlisted = self.unlisted.saturating_add(1),
        }
        is_listed
    }

    /// Begins another minute if it is time. Returns how many refusals of the one before have no
    /// row, if any.
    fn turn(&mut self, now: UnixTime) -> Option<u64> {
        let minute = now.secs().div_euclid(60);
        if minute == self.minute {
            return None;
        }
        (self.minute, self.listed) = (minute, BTreeMap::new());
        Some(mem::take(&mut self.unlisted)).filter(|count| *count > 0)
    }
}

impl Authority {
    /// Adds a refusal to the audit.
    pub(crate) fn refused(
        &self,
        (peer, operation): (Peer, &'static str),
        request: Option<[u8; 32]>,
        (code, proved): (&'static str, Proved),
    ) -> Result<(), StoreError> {
        self.count_refusals()?;
        if !self.refusals().count(proved) {
            return Ok(());
        }
        let now = self.clock.now();
        self.store.audit(&Entry {
            code: Some(code),
            request,
            ..Entry::new(now, peer.as_str(), Act::Refuse, operation.to_owned())
        })
    }

    /// Writes down how many refusals of the last minute have no row.
    pub(super) fn count_refusals(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(count) = self.refusals().turn(now) else {
            return Ok(());
        };
        let about = format!("{count} more");
        self.store
            .audit(&Entry::new(now, "authority", Act::RefuseMore, about))
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs how far the audit goes, when it went further for a while.
    pub(super) fn close_audit(&self) -> Result<(), OpenError> {
        let now = self.clock.now();
        let Some(tip) = self.store.audit_tip()? else {
            return Ok(());
        };
        let is_due = self.store.audit_head()?.is_none_or(|head| {
            // A head from the future was signed by a clock since set back.
            head.number < tip.0 && !(now.plus(-CLOSED_EVERY) < head.time && head.time <= now)
        });
        if !is_due {
            return Ok(());
        }
        let keys = self.keys();
        let of = (self.url.as_str(), self.record.trust_domain.as_str());
        let envelope = AuditHead::new(of, tip, now).sign(&keys.trust_signers())?;
        Ok(self.store.set_audit_head(&AuditHeadRecord {
            number: tip.0,
            time: now,
            envelope,
        })?)
    }

    /// Returns the last signed head.
    pub(crate) fn audit_head(&self) -> Result<Option<Bytes>, StoreError> {
        let head = self.store.audit_head()?;
        Ok(head.map(|head| Bytes::from(head.envelope)))
    }
}

/// Returns what the audit says of an issuance in a session: who asked, and what came of it.
pub(super) fn issued_in(
    session: &Session,
    act: Act,
    (request, now): (Option<[u8; 32]>, UnixTime),
    lines: &[Issued],
) -> Entry {
    let about = format!("session {}", hex::encode(&session.binding()));
    let entry = Entry::new(now, session.identity.as_str(), act, about);
    issued(entry, request, lines)
}

/// Returns what the audit says of a session that begins.
pub(super) fn enrolled(
    session: &Session,
    actor: String,
    request: Option<[u8; 32]>,
    lines: &[Issued],
) -> Entry {
    let about = session.identity.to_string();
    let entry = Entry::new(session.started_at, actor, Act::Enrol, about);
    issued(entry, request, lines)
}

fn issued(entry: Entry, request: Option<[u8; 32]>, lines: &[Issued]) -> Entry {
    Entry {
        request,
        issued: lines.iter().map(|line| line.certificate_sha256).collect(),
        ..entry
    }
}

/// The most refusals of one minute that get a row each, for each of [`Proved`]: nobody fills a disk
/// with them.
const LISTED_PER_MINUTE: u32 = 60;
/// How long rows wait for a head, in seconds.
const CLOSED_EVERY: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_counted() {
        let mut refusals = Refusals::default();
        let now = UnixTime::from_secs(1_795_176_000);
        assert_eq!(refusals.turn(now), None);
        for proved in [Proved::Nothing, Proved::Elsewhere, Proved::Here] {
            for _ in 0..LISTED_PER_MINUTE {
                assert!(refusals.count(proved));
            }
            for _ in 0..1000 {
                assert_eq!(refusals.turn(now.plus(59)), None);
                assert!(!refusals.count(proved));
            }
        }
        assert_eq!(refusals.turn(now.plus(60)), Some(3000));
        assert!(refusals.count(Proved::Nothing));
        // A clock that is set back is another minute, no more.
        assert_eq!(refusals.turn(now), None);
    }
}
