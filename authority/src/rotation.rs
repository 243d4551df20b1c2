//! From one epoch of keys to the next.
//!
//! The next keys are made and published first (*prepare*), taken into use later (*activate*), and
//! the old ones destroyed when nothing lives that they signed (*retire*). A root that retires
//! signs to whom it hands over, so that whoever pinned it can walk, however late.

use std::sync::Arc;

use notme_core::{
    time::UnixTime,
    trust::{Handover, Retirement, Root},
};
use serde::Serialize;

use crate::{
    admin::{Admin, AdminError, FormatKeyInfo, RootInfo},
    audit::{Act, Entry, operator},
    authority::OpenError,
    ca::{Ca, CaError, CaName, Making},
    clock::Clock,
    custody::{self, Custody, kept},
    keys::{Epoch, make},
    opening::Place,
    seal::{Protection, Sealing, SealingKind},
    store::{Activation, AuthorityRecord, EpochRecord, EpochState, StoreError},
};

/// A step of a rotation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rotation {
    /// Makes the next keys and publishes them. Nothing is issued with them yet.
    Prepare,
    /// Takes the prepared keys into use. The old ones only sign trust documents from then on.
    Activate,
    /// Destroys the private keys of which no certificate lives, and goes on where that was
    /// interrupted.
    Retire,
    /// Prepares, unless that was done, and activates.
    Now,
}

/// Takes a step, beside the running authority or without one. A running authority issues nothing
/// with retired keys once this returns, and publishes the change within a second.
///
/// # Errors
/// [`AdminError::Rotation`] for a step whose turn it is not. Nothing is changed then.
pub fn rotate(
    place: impl Into<Place>,
    protection: &Protection,
    step: Rotation,
    clock: Arc<dyn Clock>,
) -> Result<Vec<EpochInfo>, AdminError> {
    let place = place.into();
    let admin = Admin::open(&place, Arc::clone(&clock))?;
    let record = admin.record()?;
    let home = place.directory();
    let custody = Custody::open(protection, &record.sealing, &record.epochs, home)?;
    // First, so that a wrong secret changes nothing.
    Ca::open(CaName::Ed25519, record.active()?, &custody)?;
    let now = clock.now();
    match step {
        Rotation::Prepare => prepare(&admin, &record, &custody, now)?,
        Rotation::Activate => {
            let prepared = record.prepared().ok_or(RotationError::NotPrepared)?;
            activate(&admin, &record, Next::Prepared(prepared), &custody, now)?;
        }
        Rotation::Retire => retire(&admin, &record, &custody, now)?,
        Rotation::Now => match record.prepared() {
            Some(prepared) => activate(&admin, &record, Next::Prepared(prepared), &custody, now)?,
            None => {
                check_ripe(&record, now)?;
                let making = making_next(&record, &custody, now);
                let next = Next::Made(make(&making, EpochState::Prepared)?);
                let done = activate(&admin, &record, next, &custody, now);
                making.settle(done, may_be_kept)?;
            }
        },
    }
    admin.epochs()
}

/// The epoch that comes.
enum Next<'a> {
    /// It is in the store.
    Prepared(&'a EpochRecord),
    /// It is not: nobody sees it before it is in use.
    Made(EpochRecord),
}

impl Next<'_> {
    fn record(&self) -> &EpochRecord {
        match self {
            Self::Prepared(record) => record,
            Self::Made(record) => record,
        }
    }
}

fn making_next<'a>(record: &'a AuthorityRecord, custody: &'a Custody, now: UnixTime) -> Making<'a> {
    let last = record.epochs.last().map_or(0, |epoch| epoch.number);
    Making::new(custody, &record.trust_domain, last.saturating_add(1), now)
}

fn prepare(
    admin: &Admin,
    record: &AuthorityRecord,
    custody: &Custody,
    now: UnixTime,
) -> Result<(), AdminError> {
    if record.prepared().is_some() {
        return Err(RotationError::PreparedAlready.into());
    }
    let making = making_next(record, custody, now);
    let next = make(&making, EpochState::Prepared)?;
    let entry = entry(now, Act::Prepare, &[next.number]);
    let done = match admin.store().prepare_epoch(&next, &entry) {
        Ok(true) => Ok(()),
        Ok(false) => Err(RotationError::PreparedAlready.into()),
        Err(error) => Err(error.into()),
    };
    making.settle(done, may_be_kept)
}

/// Tells whether a step that failed may have come to pass in the store.
fn may_be_kept(error: &AdminError) -> bool {
    matches!(error, AdminError::Store(_))
}

fn activate(
    admin: &Admin,
    record: &AuthorityRecord,
    next: Next<'_>,
    custody: &Custody,
    now: UnixTime,
) -> Result<(), AdminError> {
    check_ripe(record, now)?;
    let active = record.active()?;
    // Before anything depends on them.
    let opened = [CaName::Ed25519, CaName::Interop]
        .into_iter()
        .map(|name| Ca::open(name, next.record(), custody))
        .collect::<Result<Vec<_>, _>>()?;
    let is_valid = |ca: &Ca| ca.certificate().not_before() < now;
    if !opened.iter().all(is_valid) {
        return Err(RotationError::TooSoon.into());
    }
    let to: Vec<_> = opened
        .iter()
        .map(|ca| ca.certificate().public_key().spki_sha256())
        .collect();
    let roots = Epoch::of(active)?.roots;
    let handovers = [CaName::Ed25519, CaName::Interop]
        .into_iter()
        .map(|name| {
            let ca = Ca::open(name, active, custody)?;
            let is_own = |root: &&Root| root.kid == ca.certificate().kid();
            let from = roots
                .iter()
                .find(is_own)
                .ok_or(StoreError::Damaged("a root is missing"))?
                .from;
            let retirement = Retirement {
                trust_domain: &record.trust_domain,
                root: ca.certificate().public_key(),
                from,
                retired_at: now,
            };
            let handover =
                Handover::sign(&retirement, to.clone(), ca.key()).map_err(CaError::from)?;
            Ok((name.as_str().to_owned(), handover))
        })
        .collect::<Result<Vec<_>, AdminError>>()?;
    let number = next.record().number;
    let activation = Activation {
        before: active.number,
        number,
        at: now,
        handovers,
        made: match next {
            Next::Prepared(_) => None,
            Next::Made(record) => Some(record),
        },
    };
    let entry = entry(now, Act::Activate, &[number]);
    match admin.store().activate_epoch(&activation, &entry)? {
        true => Ok(()),
        false => Err(RotationError::Overtaken.into()),
    }
}

/// Checks that the keys in use have been so for a moment: an epoch is at least a second long.
fn check_ripe(record: &AuthorityRecord, now: UnixTime) -> Result<(), AdminError> {
    let since = Epoch::of(record.active()?)?.in_use_since();
    match since.is_some_and(|since| since < now) {
        true => Ok(()),
        false => Err(RotationError::TooSoon.into()),
    }
}

fn retire(
    admin: &Admin,
    record: &AuthorityRecord,
    custody: &Custody,
    now: UnixTime,
) -> Result<(), AdminError> {
    let interrupted = record.epochs.iter().filter(|epoch| epoch.leaving);
    let mut over: Vec<_> = interrupted.collect();
    let mut alive = None;
    for epoch in record.outgoing() {
        match admin.store().last_not_after(epoch.number)? {
            Some(until) if until.plus(SKEW) >= now => alive = alive.max(Some(until)),
            Some(_) | None => over.push(epoch),
        }
    }
    match (over.is_empty(), alive) {
        (false, _) => {}
        (true, Some(until)) => return Err(RotationError::CertificatesLive { until }.into()),
        (true, None) => return Err(RotationError::NothingToRetire.into()),
    }
    let numbers: Vec<_> = over.iter().map(|epoch| epoch.number).collect();
    // Nobody may miss a key that is gone, and the store forgets last what they are found by.
    let entry = entry(now, Act::Retire, &numbers);
    admin.store().give_up_keys(&numbers, &entry)?;
    let keys = over.iter().flat_map(|epoch| kept(epoch));
    custody.destroy(keys).map_err(OpenError::from)?;
    Ok(admin.store().destroy_keys(&numbers)?)
}

fn entry(now: UnixTime, act: Act, epochs: &[u64]) -> Entry {
    let numbers: Vec<_> = epochs.iter().map(u64::to_string).collect();
    Entry::new(now, operator(), act, format!("epoch {}", numbers.join(" ")))
}

/// An epoch, as the operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct EpochInfo {
    /// Its number.
    pub epoch: u64,
    /// `prepared`, `active` or `retired`.
    pub state: &'static str,
    /// Since when it issues, or issued.
    pub from: Option<UnixTime>,
    /// Until when it issued.
    pub retired_at: Option<UnixTime>,
    /// Whether its private keys were destroyed.
    pub destroyed: bool,
    /// Whether its private keys were given up and not all destroyed yet: [`Rotation::Retire`] goes on.
    pub leaving: bool,
    /// What keeps its private keys, while there are any.
    pub sealing: Option<SealingKind>,
    /// Its roots: Ed25519, then `interop`.
    pub roots: Vec<RootInfo>,
    /// Its keys that certify in other formats.
    pub format_keys: Vec<FormatKeyInfo>,
}

impl EpochInfo {
    pub(crate) fn of(record: &EpochRecord, sealing: &Sealing) -> Result<Self, CaError> {
        let epoch = Epoch::of(record)?;
        Ok(Self {
            epoch: epoch.number,
            state: epoch.state.as_str(),
            from: epoch.state.from(),
            retired_at: epoch.state.retired_at(),
            destroyed: !epoch.has_keys && !record.leaving,
            leaving: record.leaving,
            sealing: custody::kind(record, sealing),
            roots: epoch
                .roots
                .iter()
                .map(|root| RootInfo::from(&root.certificate))
                .collect(),
            format_keys: FormatKeyInfo::of(&epoch),
        })
    }
}

/// It is not the turn of this step.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Keys are prepared.
    #[error("the next keys are prepared already")]
    PreparedAlready,
    /// No keys are prepared.
    #[error("no keys are prepared")]
    NotPrepared,
    /// The keys that would go, or those that would come, are not a second old by our clock.
    #[error("the keys are younger than a second, or this machine's clock was set back")]
    TooSoon,
    /// Another process took the step.
    #[error("another process is rotating the keys")]
    Overtaken,
    /// No retired keys are left.
    #[error("there are no retired keys to destroy")]
    NothingToRetire,
    /// Certificates that were signed by the retired keys are still valid.
    #[error("certificates that the retired keys signed are valid until {until}")]
    CertificatesLive {
        /// The end of the last one.
        until: UnixTime,
    },
}

impl RotationError {
    /// Returns the code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PreparedAlready => "rotation-prepared-already",
            Self::NotPrepared => "rotation-not-prepared",
            Self::TooSoon => "rotation-too-soon",
            Self::Overtaken => "rotation-overtaken",
            Self::NothingToRetire => "rotation-nothing-to-retire",
            Self::CertificatesLive { .. } => "rotation-certificates-live",
        }
    }
}

/// How long after its end a session certificate still opens its session, in seconds.
const SKEW: i64 = 60;
