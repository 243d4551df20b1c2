//! What the authority must not forget.
//!
//! [`Store`] names operations, not tables. Each is one transaction: when it returns `Ok`, all of it
//! happened, its row in the audit too. `sql.rs` has what they do, once; `sqlite.rs` and
//! `postgres.rs` are the databases that it is done in.

mod database;
mod postgres;
mod sql;
mod sqlite;

use std::{error::Error, path::PathBuf};

use notme_core::{
    dsse::Envelope,
    enrol::peer_binding,
    identity::{AgentName, Identity},
    key::{KeyId, PublicKey},
    time::UnixTime,
    trust::{Handover, Revocation, TrustDocument},
};

pub use self::postgres::{PostgresUrl, PostgresUrlError};
pub(crate) use self::{
    postgres::PostgresStore,
    sqlite::{SqliteStore, side_files},
};
use crate::{audit::Entry, revocation::Taken, scope::Scopes, seal::Sealing};

/// The memory of an authority.
pub(crate) trait Store: Send + Sync {
    /// Returns the authority the store belongs to, or `None` before the first start.
    fn authority(&self) -> Result<Option<AuthorityRecord>, StoreError>;

    /// Keeps a new authority; `false`, and nothing is changed, when the store has one.
    fn found(&self, authority: &AuthorityRecord, entry: &Entry) -> Result<bool, StoreError>;

    /// Keeps the authorities of the other formats of an epoch; `false`, and nothing is changed, when
    /// the store has them.
    fn add_format_cas(
        &self,
        epoch: u64,
        cas: &[SealedFormatCa],
        entry: &Entry,
    ) -> Result<bool, StoreError>;

    /// Keeps where the instances are reached, unless that is known, and returns it.
    fn settle_url(&self, url: &str) -> Result<String, StoreError>;

    /// Keeps where the instances are reached from now on.
    fn replace_url(&self, url: &str, entry: &Entry) -> Result<(), StoreError>;

    /// Returns a number that is another after every change of the keys or the URL, and higher; lower
    /// only after somebody put an earlier state of the database in its place.
    fn key_changes(&self) -> Result<u64, StoreError>;

    /// Keeps the keys of the next epoch; `false` when one is prepared already.
    fn prepare_epoch(&self, epoch: &EpochRecord, entry: &Entry) -> Result<bool, StoreError>;

    /// Retires the active epoch and takes the prepared one, or the one made for it, into use;
    /// `false`, and nothing is changed, when they are others by now.
    fn activate_epoch(&self, activation: &Activation, entry: &Entry) -> Result<bool, StoreError>;

    /// Returns the last second of what was issued in an epoch.
    fn last_not_after(&self, epoch: u64) -> Result<Option<UnixTime>, StoreError>;

    /// Gives up the private keys of retired epochs: from now on nobody signs with them. Whoever has
    /// keys open opens them anew, in any case.
    fn give_up_keys(&self, epochs: &[u64], entry: &Entry) -> Result<(), StoreError>;

    /// Destroys private keys that were given up, as far as they are here. If it fails it can be
    /// repeated.
    fn destroy_keys(&self, epochs: &[u64]) -> Result<(), StoreError>;

    /// Sets `count` serial numbers of SSH certificates aside, none of them below `least`, and
    /// returns the first. No number is set aside twice.
    fn reserve_ssh_serials(&self, least: u64, count: u64) -> Result<u64, StoreError>;

    /// Keeps a new enrolment token.
    fn add_token(&self, token: &TokenRecord, entry: &Entry) -> Result<(), StoreError>;

    /// Returns the token with this digest.
    fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRecord>, StoreError>;

    /// Returns every token, oldest first.
    fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError>;

    /// Revokes a token and the sessions enrolled with it. Returns how many sessions that ended,
    /// or `None` when there is no such token.
    fn revoke_token(&self, id: TokenId, entry: &Entry) -> Result<Option<u64>, StoreError>;

    /// Spends one use of the session's token, if it has one, and keeps session and certificates.
    /// A token enrols the same keys once; what was revoked is not enrolled again.
    fn enrol(&self, session: &Session, issuance: &Issuance<'_>) -> Result<(), EnrolStoreError>;

    /// Keeps the session and the certificates of a workload of another issuer, and spends its
    /// token along with that, if it was not spent before.
    fn enrol_workload(
        &self,
        session: &Session,
        issuance: &Issuance<'_>,
        spent: Option<&SpentToken>,
    ) -> Result<(), EnrolStoreError>;

    /// Spends a token of another issuer; `false` when it was spent before.
    fn spend(&self, spent: &SpentToken) -> Result<bool, StoreError>;

    /// Finds the session by the SHA-256 of a session signing certificate we issued.
    fn session(&self, certificate: &[u8; 32]) -> Result<Option<PresentedSession>, StoreError>;

    /// Spends a nonce of a living session and records what is issued for it.
    fn record(&self, spent: &SpentNonce<'_>, issuance: &Issuance<'_>) -> Result<(), RecordError>;

    /// Spends a proof for a living session and records what is issued for it.
    fn spend_in(
        &self,
        session: &[u8; 16],
        spent: &SpentToken,
        issuance: &Issuance<'_>,
    ) -> Result<(), RecordError>;

    /// Forgets nonces and tokens that are too old to be replayed, and sessions that ended long ago.
    fn prune(&self, now: UnixTime) -> Result<(), StoreError>;

    /// Returns the latest trust document.
    fn trust(&self) -> Result<Option<TrustRecord>, StoreError>;

    /// Returns the trust document of a number, if there was one.
    fn trust_at(&self, seqno: u64) -> Result<Option<TrustRecord>, StoreError>;

    /// Appends a trust document that was signed after so many changes of the keys; `false`, and
    /// nothing is changed, when there were more by now, or its number was given to another.
    fn add_trust(
        &self,
        trust: &TrustRecord,
        key_changes: u64,
        entry: &Entry,
    ) -> Result<bool, StoreError>;

    /// Returns the last signed CA bundle; before the first, one of number 0.
    fn bundle(&self) -> Result<BundleRecord, StoreError>;

    /// Puts a signed CA bundle in the place of the one with number `before`; `false`, and nothing is
    /// changed, when that is another by now.
    fn replace_bundle(
        &self,
        before: u64,
        bundle: &BundleRecord,
        key_changes: u64,
    ) -> Result<bool, StoreError>;

    /// Keeps a revocation, and what goes with it, and ends the living sessions that it concerns.
    /// Of two about one thing the one that reaches further back stays.
    fn revoke(
        &self,
        revocation: &Revocation,
        with: &[Revocation],
        entry: &Entry,
    ) -> Result<Taken, StoreError>;

    /// Returns every revocation, oldest first.
    fn revocations(&self) -> Result<Vec<Revocation>, StoreError>;

    /// Adds what changed nothing to the audit. What changes something is added with it.
    fn audit(&self, entry: &Entry) -> Result<(), StoreError>;

    /// Returns number and hash of the last row of the audit.
    fn audit_tip(&self) -> Result<Option<(u64, [u8; 32])>, StoreError>;

    /// Returns the next rows of the audit after a number, at most a thousand.
    fn audit_after(&self, number: u64) -> Result<Vec<AuditRow>, StoreError>;

    /// Returns the last head of the audit.
    fn audit_head(&self) -> Result<Option<AuditHeadRecord>, StoreError>;

    /// Replaces the head of the audit, but for one that closes more. All rows that it closes are on the disk when this returns.
    fn set_audit_head(&self, head: &AuditHeadRecord) -> Result<(), StoreError>;

    /// Counts what the store holds.
    fn summary(&self, now: UnixTime) -> Result<Summary, StoreError>;

    /// Counts what a monitor looks at, without a look at everything that was ever issued.
    fn sizes(&self, now: UnixTime) -> Result<Sizes, StoreError>;
}

/// An authority: who it is and its sealed keys.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityRecord {
    pub(crate) trust_domain: String,
    pub(crate) operator: String,
    pub(crate) created_at: UnixTime,
    pub(crate) sealing: Sealing,
    /// Oldest first.
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) key_changes: u64,
    /// Where its instances are reached, in a store that they share and once one served.
    pub(crate) url: Option<String>,
}

impl AuthorityRecord {
    /// Returns the epoch in use.
    pub(crate) fn active(&self) -> Result<&EpochRecord, StoreError> {
        self.epochs
            .iter()
            .find(|epoch| matches!(epoch.state, EpochState::Active { .. }))
            .ok_or(StoreError::Damaged("no keys are in use"))
    }

    /// Returns the epoch that waits for its turn.
    pub(crate) fn prepared(&self) -> Option<&EpochRecord> {
        self.epochs
            .iter()
            .find(|epoch| epoch.state == EpochState::Prepared)
    }

    /// Returns the retired epochs whose keys still sign, newest first.
    pub(crate) fn outgoing(&self) -> impl Iterator<Item = &EpochRecord> {
        self.epochs
            .iter()
            .rev()
            .filter(|epoch| matches!(epoch.state, EpochState::Retired { .. }) && epoch.has_keys())
    }
}

/// The keys of one epoch: made, used and retired together.
#[derive(Clone, Debug)]
pub(crate) struct EpochRecord {
    pub(crate) number: u64,
    pub(crate) state: EpochState,
    /// Its keys were given up, and may be there still.
    pub(crate) leaving: bool,
    pub(crate) cas: Vec<SealedCa>,
    /// Empty in a store from before there were any.
    pub(crate) format_cas: Vec<SealedFormatCa>,
}

impl EpochRecord {
    /// Tells whether no private key was destroyed or given up.
    pub(crate) fn has_keys(&self) -> bool {
        !self.leaving && self.cas.iter().all(|ca| ca.key.is_some())
    }
}

/// Where an epoch is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EpochState {
    /// Its keys are published, and nothing is issued with them yet.
    Prepared,
    /// It issues.
    Active {
        /// Since when.
        from: UnixTime,
    },
    /// It issued.
    Retired {
        /// Since when.
        from: UnixTime,
        /// Until when.
        retired_at: UnixTime,
    },
}

impl EpochState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active { .. } => "active",
            Self::Retired { .. } => "retired",
        }
    }

    /// Returns when it was taken into use.
    pub(crate) const fn from(self) -> Option<UnixTime> {
        match self {
            Self::Prepared => None,
            Self::Active { from } | Self::Retired { from, .. } => Some(from),
        }
    }

    /// Returns when it was retired.
    pub(crate) const fn retired_at(self) -> Option<UnixTime> {
        match self {
            Self::Prepared | Self::Active { .. } => None,
            Self::Retired { retired_at, .. } => Some(retired_at),
        }
    }
}

/// The change from one epoch to the next.
#[derive(Debug)]
pub(crate) struct Activation {
    /// The number of the active epoch.
    pub(crate) before: u64,
    /// The number of the prepared one.
    pub(crate) number: u64,
    pub(crate) at: UnixTime,
    /// What each root that goes signed, by its name.
    pub(crate) handovers: Vec<(String, Handover)>,
    /// The prepared epoch, where the store does not have it yet.
    pub(crate) made: Option<EpochRecord>,
}

/// A certificate authority at rest.
#[derive(Clone)]
pub(crate) struct SealedCa {
    pub(crate) name: String,
    pub(crate) certificate: Vec<u8>,
    /// Absent once it was destroyed.
    pub(crate) key: Option<Vec<u8>>,
    /// What it signed when it retired.
    pub(crate) handover: Option<Handover>,
}

impl std::fmt::Debug for SealedCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedCa")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A certificate authority of another format than X.509, at rest.
#[derive(Clone)]
pub(crate) struct SealedFormatCa {
    pub(crate) name: String,
    pub(crate) public: Vec<u8>,
    /// Absent once it was destroyed.
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) created_at: UnixTime,
}

impl std::fmt::Debug for SealedFormatCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedFormatCa")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The public name of a token: the first 8 bytes of its digest.
pub(crate) type TokenId = [u8; 8];

/// An enrolment token, without the token.
#[derive(Clone, Debug)]
pub(crate) struct TokenRecord {
    pub(crate) digest: [u8; 32],
    pub(crate) agent: AgentName,
    pub(crate) principal: String,
    pub(crate) scopes: Scopes,
    pub(crate) uses: u32,
    pub(crate) used: u32,
    pub(crate) session_seconds: i64,
    pub(crate) created_at: UnixTime,
    pub(crate) expires_at: UnixTime,
    pub(crate) revoked_at: Option<UnixTime>,
}

impl TokenRecord {
    /// Tells why the token cannot be used now.
    pub(crate) fn refusal(&self, now: UnixTime) -> Option<TokenRefusal> {
        if self.revoked_at.is_some() {
            return Some(TokenRefusal::Revoked);
        }
        if now >= self.expires_at {
            return Some(TokenRefusal::Expired);
        }
        (self.used >= self.uses).then_some(TokenRefusal::UsedUp)
    }
}

/// Why a known token is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TokenRefusal {
    Expired,
    Revoked,
    Unknown,
    UsedUp,
}

/// An enrolled agent's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: [u8; 16],
    pub(crate) identity: Identity,
    pub(crate) principal: String,
    pub(crate) agent: AgentName,
    pub(crate) scopes: Scopes,
    pub(crate) auth_method: String,
    /// P-256.
    pub(crate) mtls: PublicKey,
    /// Ed25519.
    pub(crate) signing: PublicKey,
    pub(crate) started_at: UnixTime,
    pub(crate) ends_at: UnixTime,
    pub(crate) token: Option<[u8; 32]>,
}

impl Session {
    /// Returns what ties the certificates of the session together.
    pub(crate) fn binding(&self) -> [u8; 32] {
        peer_binding(&self.mtls, &self.signing)
    }
}

/// A session, as the holder of one of its certificates meets it.
#[derive(Debug)]
pub(crate) struct PresentedSession {
    pub(crate) session: Session,
    pub(crate) certificate_not_after: UnixTime,
    pub(crate) revoked_at: Option<UnixTime>,
}

/// What one answer issues.
#[derive(Debug)]
pub(crate) struct Issuance<'a> {
    /// The epoch whose keys signed it: nothing is kept when another is in use by now.
    pub(crate) epoch: u64,
    pub(crate) lines: &'a [Issued],
    pub(crate) entry: Entry,
}

/// One line of the issuance record.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) kind: IssuedKind,
    /// Those of SSH certificates have eight bytes, and eight zeros before them.
    pub(crate) serial: [u8; 16],
    pub(crate) kid: KeyId,
    pub(crate) certificate_sha256: [u8; 32],
    pub(crate) payload_sha256: Option<[u8; 32]>,
    pub(crate) activity: Option<String>,
    pub(crate) issued_at: UnixTime,
    pub(crate) not_after: UnixTime,
}

/// What was issued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IssuedKind {
    /// The P-256 session certificate for mutual TLS.
    Mtls,
    /// The Ed25519 session signing certificate: what opens `/v1/issue` and `/v1/renew`.
    Signing,
    /// The P-256 session signing certificate.
    Interop,
    /// The OpenSSH certificate of the session.
    SessionSsh,
    /// The OpenPGP certification of the session.
    SessionOpenPgp,
    /// For one payload or within terms, Ed25519.
    X509,
    /// Likewise, P-256.
    X509Interop,
    /// Likewise, OpenSSH.
    Ssh,
    /// Likewise, OpenPGP.
    OpenPgp,
    /// An access token: its serial is its `jti`, its key the one it is bound to.
    AccessToken,
}

impl IssuedKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Mtls => "mtls",
            Self::Signing => "signing",
            Self::Interop => "interop",
            Self::SessionSsh => "session-ssh",
            Self::SessionOpenPgp => "session-openpgp",
            Self::X509 => "x509",
            Self::X509Interop => "x509-interop",
            Self::Ssh => "ssh",
            Self::OpenPgp => "openpgp",
            Self::AccessToken => "access-token",
        }
    }
}

/// Returns until when to remember what is spent now, and would be good until `good_until`. What is
/// over is forgotten by the clock, and must not be good again when that is set back.
pub(crate) fn remembered_until(now: UnixTime, good_until: UnixTime) -> UnixTime {
    now.max(good_until).plus(SET_BACK)
}

/// How far a clock that ran ahead may be set back, in seconds, without anything being taken twice.
pub(crate) const SET_BACK: i64 = 1_800;

/// A nonce and how long it must be remembered.
#[derive(Debug)]
pub(crate) struct SpentNonce<'a> {
    pub(crate) session: &'a [u8; 16],
    pub(crate) nonce: [u8; 16],
    pub(crate) kept_until: UnixTime,
}

/// A token that we did not make, used once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpentToken {
    /// Of what makes it unique, and of its kind.
    pub(crate) digest: [u8; 32],
    pub(crate) kept_until: UnixTime,
}

/// A signed trust document.
#[derive(Clone, Debug)]
pub(crate) struct TrustRecord {
    pub(crate) seqno: u64,
    pub(crate) payload_sha256: [u8; 32],
    pub(crate) envelope: Vec<u8>,
}

impl TrustRecord {
    /// Reads a document of our own.
    pub(crate) fn document(&self) -> Result<TrustDocument, StoreError> {
        Envelope::from_json(&self.envelope)
            .ok()
            .and_then(|envelope| serde_json::from_slice(envelope.payload()).ok())
            .ok_or(StoreError::Damaged("trust document"))
    }
}

/// A signed CA bundle, as it is served.
#[derive(Debug)]
pub(crate) struct BundleRecord {
    pub(crate) seqno: u64,
    /// Of the key that signed it.
    pub(crate) key_id: String,
    pub(crate) issued_at: UnixTime,
    pub(crate) json: Vec<u8>,
}

/// A row of the audit, and its hash.
#[derive(Debug)]
pub(crate) struct AuditRow {
    pub(crate) number: u64,
    pub(crate) row: String,
    pub(crate) hash: [u8; 32],
}

/// A signed head of the audit.
#[derive(Debug)]
pub(crate) struct AuditHeadRecord {
    pub(crate) number: u64,
    pub(crate) time: UnixTime,
    pub(crate) envelope: Vec<u8>,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Tokens that can still be used.
    pub usable_tokens: u64,
    /// Sessions that have neither ended nor been revoked.
    pub living_sessions: u64,
    /// Certificates issued so far.
    pub certificates_issued: u64,
    /// The number of the latest trust document, 0 before the first.
    pub trust_seqno: u64,
}

/// How large a store is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sizes {
    pub(crate) living_sessions: u64,
    pub(crate) nonces: u64,
    pub(crate) spent_tokens: u64,
    pub(crate) audit_rows: u64,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row holds what we never wrote.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
    /// The database said no.
    #[error("the store could not {doing}")]
    Database {
        /// What we were doing.
        doing: &'static str,
        /// What the database said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file could not be made or opened.
    #[error("could not open store `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database is of something else.
    #[error("`{place}` is not the store of an authority")]
    Foreign {
        /// Where it is.
        place: String,
    },
    /// The store was here, and is not any more.
    #[error("store `{}` is gone, and `{}` of it is there", path.display(), left.display())]
    Gone {
        /// Where it was.
        path: PathBuf,
        /// What is left of it.
        left: PathBuf,
    },
    /// The store was written by a later version.
    #[error("the store has schema {found}, this program knows up to {known}")]
    NewerSchema {
        /// The schema of the store.
        found: u32,
        /// The newest we know.
        known: u32,
    },
    /// The database cannot be reached, read or written now. Whether it did what it was asked for is
    /// not known.
    #[error("the store could not {doing} now")]
    Unavailable {
        /// What we were doing.
        doing: &'static str,
        /// What the database, or the way to it, said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "authority-store-damaged",
            Self::Database { .. } => "authority-store-failed",
            Self::File { .. } => "authority-store-unreadable",
            Self::Foreign { .. } => "authority-store-foreign",
            Self::Gone { .. } => "authority-store-gone",
            Self::NewerSchema { .. } => "authority-store-newer",
            Self::Unavailable { .. } => "authority-store-unavailable",
        }
    }
}

/// Why an enrolment was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolStoreError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the token is refused")]
    Token(TokenRefusal),
    #[error("the token enrolled these keys before")]
    KeysKnown,
    #[error("this identity or key was revoked")]
    Revoked,
    #[error("the keys were rotated meanwhile")]
    Rotated,
    #[error("the token of another issuer was used before")]
    Spent,
}

/// Why an issuance was not recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the nonce was used before")]
    Replayed,
    #[error("the keys were rotated meanwhile")]
    Rotated,
    #[error("the session has been revoked")]
    SessionRevoked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// `NmAu`: marks a database as ours.
const APPLICATION: u32 = 0x4e6d_4175;
/// The newest schema. Both databases count alike, so that a backup fits into either.
const SCHEMA: u32 = 8;
