//! The authority itself: keys in hand, requests in, certificates out.

mod access;
mod auditing;
mod certificates;
mod enrol;
mod exchange;
mod issue;
mod publication;
mod surface;
mod turns;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use notme_core::{
    identity::{AgentName, Identity, IdentityError},
    time::UnixTime,
};

pub(crate) use self::{
    access::TokenRequest,
    auditing::Proved,
    certificates::CertifyError,
    exchange::{About, GithubClaims, PairRequest, narrowed},
    surface::version,
    turns::PATIENCE,
};
use self::{auditing::Refusals, turns::Turns};
use crate::{
    audit::{Act, AuditError, Entry, operator},
    ca::{BACKDATED, CaError, Making},
    clock::Clock,
    custody::{Custody, Pkcs11Error},
    dpop::Nonces,
    failure::Failure,
    keys::{Keys, KeysError, make},
    metrics::{Snapshot, Stored, Tally},
    oidc::{Issuers, TokenConfig},
    opening::Opened,
    scope::Scopes,
    seal::{Kek, SealError, Sealing},
    serials::Serials,
    server::RateLimiter,
    store::{AuthorityRecord, EpochState, Issued, Store, StoreError},
    tsa::StampError,
};

/// How long things live, in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetimes {
    /// A session certificate.
    pub certificate: i64,
    /// A session that was enrolled without a token.
    pub session: i64,
    /// An issuance-bound certificate.
    pub issuance: i64,
    /// A trust document; a newer one is signed every day.
    pub publication: i64,
}

impl Default for Lifetimes {
    /// One hour, one day, five minutes, thirty days.
    fn default() -> Self {
        Self {
            certificate: 3_600,
            session: 86_400,
            issuance: 300,
            publication: 30 * 86_400,
        }
    }
}

/// Who a new authority is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Founding {
    /// The first segment of every identity it issues.
    pub trust_domain: String,
    /// The principal on whose behalf agents enrol when a token names no other.
    pub operator: String,
}

/// Enrolment without a token, for callers on the unix socket that run as our user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalEnrolment {
    /// On whose behalf; `None`: the operator of the authority.
    pub principal: Option<String>,
    /// What the agents may do.
    pub scopes: Scopes,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Peer {
    /// A process of our own user, on the unix socket.
    SameUser,
    /// Anyone.
    Stranger,
}

impl Peer {
    /// Returns its name in the audit.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SameUser => "same-user",
            Self::Stranger => "stranger",
        }
    }
}

/// Makes the authority's keys and keeps them; `None` when another instance was first.
pub(crate) fn found(
    store: &dyn Store,
    founding: &Founding,
    sealing: Sealing,
    custody: &Custody,
    now: UnixTime,
) -> Result<Option<AuthorityRecord>, OpenError> {
    check_principal(&founding.trust_domain, &founding.operator)?;
    let making = Making::new(custody, &founding.trust_domain, 1, now);
    let from = now.plus(-BACKDATED);
    let record = AuthorityRecord {
        trust_domain: founding.trust_domain.clone(),
        operator: founding.operator.clone(),
        created_at: now,
        sealing,
        epochs: vec![make(&making, EpochState::Active { from })?],
        key_changes: 0,
        url: None,
    };
    let about = founding.trust_domain.clone();
    let found = store.found(&record, &Entry::new(now, operator(), Act::Found, about));
    let is_first = making.settle(found.map_err(OpenError::from), |_| true)?;
    let kept = store.authority()?;
    if is_first {
        return Ok(kept);
    }
    if let Some(of_another) = &kept {
        making.discard_all_but(of_another)?;
    }
    Ok(None)
}

/// Checks that identities can be built: the first enrolment would be late to find out.
fn check_principal(trust_domain: &str, principal: &str) -> Result<(), IdentityError> {
    let agent: AgentName = "a".parse().map_err(|_| IdentityError)?;
    Identity::agent(trust_domain, principal, &agent).map(|_| ())
}

/// Checks that we are where all instances are.
fn check_url(kept: &str, ours: &str) -> Result<(), OpenError> {
    match kept == ours {
        true => Ok(()),
        false => Err(OpenError::UrlDiffers {
            kept: kept.to_owned(),
            ours: ours.to_owned(),
        }),
    }
}

/// A serving authority.
pub(crate) struct Authority {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    record: AuthorityRecord,
    /// Replaced as a whole when another process rotated them.
    keys: RwLock<Arc<Keys>>,
    /// Opens the keys that come next.
    custody: Custody,
    /// The very string that proofs are bound to.
    url: String,
    /// Whether other instances are to serve at the same.
    is_shared: bool,
    lifetimes: Lifetimes,
    local: Option<LocalEnrolment>,
    issuers: Issuers,
    tokens: TokenConfig,
    nonces: Nonces,
    /// Whose turn it is to sign a trust document: the others take that one.
    publishing: Turns,
    /// Held while the keys are opened anew.
    opening: Mutex<()>,
    refusals: Mutex<Refusals>,
    serials: Serials,
    rates: RateLimiter,
    /// What was issued since the start, by kind.
    issued: Tally<&'static str>,
}

/// What an authority serves with, besides its keys.
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) local: Option<LocalEnrolment>,
    pub(crate) issuers: Issuers,
    pub(crate) tokens: TokenConfig,
    pub(crate) rates: RateLimiter,
}

impl Authority {
    /// Takes up service: the trust document is current when this returns.
    pub(crate) fn new(
        opened: Opened,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let Opened {
            store,
            record,
            keys,
            custody,
            is_shared,
        } = opened;
        if is_shared {
            let kept = match &record.url {
                Some(kept) => kept.clone(),
                None => store.settle_url(&settings.url)?,
            };
            check_url(&kept, &settings.url)?;
        }
        let nonces = match custody.kek() {
            Some(kek) => Nonces::of(kek),
            // Instances whose keys are in a token share no secret: each has nonces of its own.
            None => Nonces::of(&Kek::random()?),
        };
        if let Some(principal) = settings
            .local
            .as_ref()
            .and_then(|local| local.principal.as_ref())
        {
            check_principal(&record.trust_domain, principal)?;
        }
        let authority = Self {
            store,
            clock,
            record,
            keys: RwLock::new(Arc::new(keys)),
            custody,
            url: settings.url,
            is_shared,
            lifetimes: settings.lifetimes,
            local: settings.local,
            issuers: settings.issuers,
            tokens: settings.tokens,
            nonces,
            publishing: Turns::default(),
            opening: Mutex::default(),
            refusals: Mutex::default(),
            serials: Serials::default(),
            rates: settings.rates,
            issued: Tally::default(),
        };
        authority.trust()?;
        Ok(authority)
    }

    /// Returns the keys, as they were when it was last looked.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }

    /// Returns the keys as they are now.
    fn current_keys(&self) -> Result<Arc<Keys>, OpenError> {
        self.refresh_keys()?;
        Ok(self.keys())
    }

    /// Publishes a change of the keys that nobody asked about yet, and closes the audit.
    pub(crate) fn glance(&self) -> Result<(), OpenError> {
        if self.store.key_changes()? != self.keys().changes() {
            self.trust()?;
        }
        self.count_refusals()?;
        self.close_audit()
    }

    /// Looks whether another process changed the keys, and opens them anew if so.
    pub(crate) fn refresh_keys(&self) -> Result<(), OpenError> {
        if self.store.key_changes()? == self.keys().changes() {
            return Ok(());
        }
        // One at a time, so that nobody puts earlier ones in the place of later ones: which are
        // which, the number does not say after a restore.
        let _only_one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.store.key_changes()? == self.keys().changes() {
            return Ok(());
        }
        let record = self
            .store
            .authority()?
            .ok_or(StoreError::Damaged("no authority"))?;
        // Two URLs would take turns in the trust document.
        if let Some(kept) = record.url.as_ref().filter(|_| self.is_shared) {
            check_url(kept, &self.url)?;
        }
        let opened = Keys::open(&record, &self.custody)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(opened);
        Ok(())
    }

    /// Issues with the keys in use; once more when they were others by the time it was recorded.
    fn issuing<T>(&self, issue: impl Fn(&Keys) -> Result<T, Attempt>) -> Result<T, Failure> {
        for _ in 0..ATTEMPTS {
            match issue(&self.keys()) {
                Ok(issued) => return Ok(issued),
                Err(Attempt::Failed(failure)) => return Err(failure),
                Err(Attempt::Rotated) => self.refresh_keys()?,
            }
        }
        Err(StoreError::Damaged("the epoch in use").into())
    }

    /// Answers a request for a time stamp, as bytes of RFC 3161 on both sides.
    pub(crate) fn stamp(&self, request: &[u8]) -> Result<Vec<u8>, StampError> {
        for _ in 0..ATTEMPTS {
            // The time first: so it is none at which another process had retired these keys.
            let (keys, now) = (self.keys(), self.clock.now());
            self.refresh_keys()?;
            if self.keys().changes() == keys.changes() {
                return keys.tsa.answer(request, now, keys.from(keys.tsa.from()));
            }
        }
        Err(OpenError::from(StoreError::Damaged("the epoch in use")).into())
    }

    /// Returns the other issuers whose tokens count here.
    pub(crate) fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// Returns for whom access tokens may be.
    pub(crate) fn audiences(&self) -> &[String] {
        &self.tokens.audiences.0
    }

    /// Returns the web origins whose pages may ask.
    pub(crate) fn origins(&self) -> &[String] {
        &self.tokens.origins.0
    }

    pub(crate) fn trust_domain(&self) -> &str {
        &self.record.trust_domain
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Returns how often callers may ask.
    pub(crate) fn rates(&self) -> &RateLimiter {
        &self.rates
    }

    /// Counts what was issued.
    fn count(&self, lines: &[Issued]) {
        for line in lines {
            self.issued.add(line.kind.as_str(), 1);
        }
    }

    /// Tells whether the store answers.
    pub(crate) fn is_readable(&self) -> bool {
        self.store.key_changes().is_ok()
    }

    /// Tells whether the store takes something: a serial number is set aside for nothing.
    pub(crate) fn is_writable(&self) -> bool {
        self.store.reserve_ssh_serials(0, 1).is_ok()
    }

    /// Tells whether it can sign, as far as that can be known without signing.
    pub(crate) fn can_sign(&self) -> bool {
        self.custody.check().is_ok()
    }

    /// Tells whether the keys answered when they were last used, without waiting for them.
    pub(crate) fn keys_answer(&self) -> bool {
        self.custody.is_answering()
    }

    /// Counts what a monitor looks at.
    pub(crate) fn snapshot(&self, is_ready: bool) -> Snapshot {
        Snapshot {
            is_ready,
            keys_answer: self.keys_answer(),
            issued: self.issued.counts(),
            limited: self.rates.limited().counts(),
            stored: self.stored(),
        }
    }

    fn stored(&self) -> Option<Stored> {
        let now = self.clock.now();
        let (trust_seqno, issued_at) = self.published().ok()??;
        Some(Stored {
            sizes: self.store.sizes(now).ok()?,
            trust_seqno,
            trust_age: now.secs().saturating_sub(issued_at.secs()),
        })
    }

    /// Does what is due by the clock: a fresh trust document, old nonces forgotten.
    pub(crate) fn tend(&self) -> Result<(), OpenError> {
        self.store.prune(self.clock.now())?;
        self.custody.check()?;
        self.trust().map(drop)
    }
}

/// Why nothing was issued.
enum Attempt {
    /// The keys are not those in use any more. Nothing was kept.
    Rotated,
    /// Anything else.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Keys last longer than it takes to issue with them: the second attempt succeeds.
const ATTEMPTS: u8 = 3;

/// Why an authority cannot be founded or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The head of the audit cannot be made.
    #[error("the audit cannot be closed")]
    Audit(#[from] AuditError),
    /// The signed CA bundle cannot be made.
    #[error("the signed CA bundle cannot be made")]
    Bundle(#[from] notme_core::bundle::BundleError),
    /// A key or root certificate cannot be made or opened.
    #[error("the keys of the authority cannot be used")]
    Ca(#[from] CaError),
    /// Trust domain or operator cannot be part of an identity.
    #[error("trust domain and operator are letters, digits, `.`, `_` and `-`")]
    Identity(#[from] IdentityError),
    /// A document cannot be written.
    #[error("a document cannot be written")]
    Json(#[from] serde_json::Error),
    /// The key-encryption key cannot be had.
    #[error("the keys of the authority stay closed")]
    Seal(#[from] SealError),
    /// The store failed.
    #[error("the store of the authority cannot be used")]
    Store(#[from] StoreError),
    /// The keys are in a token that cannot be used.
    #[error("the token of the authority's keys cannot be used")]
    Pkcs11(#[from] Pkcs11Error),
    /// The trust document cannot be made.
    #[error("the trust document cannot be made")]
    Trust(#[from] notme_core::trust::TrustError),
    /// Instances of one authority have one URL: proofs and trust documents are bound to it.
    #[error(
        "the instances that share this store are reached at `{kept}`, and this one would be at `{ours}`"
    )]
    UrlDiffers {
        /// That of the store.
        kept: String,
        /// What we were given.
        ours: String,
    },
}

impl From<KeysError> for OpenError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Ca(error) => error.into(),
            KeysError::Store(error) => error.into(),
        }
    }
}

impl OpenError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Audit(error) => error.code(),
            Self::Bundle(_) | Self::Json(_) => "authority-document",
            Self::Ca(error) => error.code(),
            Self::Identity(_) => "identity-malformed",
            Self::Seal(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Pkcs11(error) => error.code(),
            Self::Trust(_) => "authority-trust-document",
            Self::UrlDiffers { .. } => "authority-url-differs",
        }
    }
}
