//! The authority itself: keys in hand, requests in, certificates out.

mod enrol;
mod issue;
mod publication;

use std::sync::{Arc, PoisonError, RwLock};

use hyper::body::Bytes;
use notme_core::{
    certificate::Certificate,
    identity::{AgentName, Identity, IdentityError},
    profile::{LeafKind, LeafTemplate, ProfileError, build_leaf},
    time::UnixTime,
};

use crate::{
    ca::{BACKDATED, Ca, CaError, CaName, new_serial},
    clock::Clock,
    scope::Scopes,
    seal::{Kek, SealError, Sealing},
    store::{AuthorityRecord, Issued, IssuedKind, Session, Store, StoreError},
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

/// The keys and what was published with them.
pub(crate) struct Keys {
    pub(crate) ed25519: Ca,
    pub(crate) interop: Ca,
}

/// Makes the authority's keys and keeps them sealed.
pub(crate) fn found(
    store: &dyn Store,
    founding: &Founding,
    sealing: Sealing,
    kek: &Kek,
    now: UnixTime,
) -> Result<(AuthorityRecord, Keys), OpenError> {
    check_principal(&founding.trust_domain, &founding.operator)?;
    let (ed25519, sealed) = Ca::found(CaName::Ed25519, &founding.trust_domain, now, kek)?;
    let (interop, sealed_interop) = Ca::found(CaName::Interop, &founding.trust_domain, now, kek)?;
    let record = AuthorityRecord {
        trust_domain: founding.trust_domain.clone(),
        operator: founding.operator.clone(),
        epoch: 1,
        created_at: now,
        sealing,
        cas: vec![sealed, sealed_interop],
    };
    store.found(&record)?;
    Ok((record, Keys { ed25519, interop }))
}

/// Checks that identities can be built: the first enrolment would be late to find out.
fn check_principal(trust_domain: &str, principal: &str) -> Result<(), IdentityError> {
    let agent: AgentName = "a".parse().map_err(|_| IdentityError)?;
    Identity::agent(trust_domain, principal, &agent).map(|_| ())
}

/// Opens the kept keys.
pub(crate) fn unlock(record: &AuthorityRecord, kek: &Kek) -> Result<Keys, OpenError> {
    Ok(Keys {
        ed25519: Ca::open(CaName::Ed25519, &record.cas, kek)?,
        interop: Ca::open(CaName::Interop, &record.cas, kek)?,
    })
}

/// A serving authority.
pub(crate) struct Authority {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    record: AuthorityRecord,
    keys: Keys,
    /// The very string that proofs are bound to.
    url: String,
    lifetimes: Lifetimes,
    local: Option<LocalEnrolment>,
    trust: RwLock<Bytes>,
}

/// What an authority serves with, besides its keys.
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) local: Option<LocalEnrolment>,
}

impl Authority {
    /// Takes up service: the trust document is current when this returns.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        record: AuthorityRecord,
        keys: Keys,
        settings: Settings,
    ) -> Result<Self, OpenError> {
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
            keys,
            url: settings.url,
            lifetimes: settings.lifetimes,
            local: settings.local,
            trust: RwLock::default(),
        };
        authority.refresh_trust()?;
        Ok(authority)
    }

    /// Does what is due by the clock: a fresh trust document, old nonces forgotten.
    pub(crate) fn tend(&self) -> Result<(), OpenError> {
        self.store.prune(self.clock.now())?;
        self.refresh_trust()
    }

    pub(crate) fn trust(&self) -> Bytes {
        self.trust
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Issues one certificate of a session.
    fn issue_leaf(
        &self,
        session: &Session,
        terms: &LeafTerms<'_>,
        kind: IssuedKind,
    ) -> Result<(Certificate, Issued), LeafError> {
        let (ca, leaf_kind, key) = match kind {
            IssuedKind::Mtls => (&self.keys.ed25519, LeafKind::Mtls, &session.mtls),
            IssuedKind::Signing | IssuedKind::X509 => {
                (&self.keys.ed25519, LeafKind::Signing, &session.signing)
            }
            IssuedKind::Interop | IssuedKind::X509Interop => {
                (&self.keys.interop, LeafKind::Signing, &session.mtls)
            }
        };
        let serial = new_serial()?;
        let now = UnixTime::from_secs(terms.now_millis.div_euclid(1000));
        let certificate = build_leaf(
            &LeafTemplate {
                issuer: ca.certificate(),
                key,
                kind: leaf_kind,
                serial,
                not_before: now.plus(-BACKDATED).max(ca.certificate().not_before()),
                not_after: terms.not_after.min(ca.certificate().not_after()),
                issued_at_millis: terms.now_millis,
                common_name: session.agent.as_str(),
                subject: &session.principal,
                identity: &session.identity,
                scopes: &session.scopes.names(),
                epoch: self.record.epoch,
                auth_method: &session.auth_method,
                binding: session.binding(),
                payload_digest: terms.payload_sha256,
                activity: terms.activity,
            },
            ca.key(),
        )?;
        let issued = Issued {
            kind,
            serial,
            kid: certificate.kid(),
            certificate_sha256: certificate.sha256(),
            payload_sha256: terms.payload_sha256,
            activity: terms.activity.map(str::to_owned),
            issued_at: now,
            not_after: certificate.not_after(),
        };
        Ok((certificate, issued))
    }
}

/// What certificates of one answer have in common.
struct LeafTerms<'a> {
    now_millis: i64,
    not_after: UnixTime,
    payload_sha256: Option<[u8; 32]>,
    activity: Option<&'a str>,
}

/// A certificate could not be made: our fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeafError {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Random(#[from] SealError),
}

/// Why an authority cannot be founded or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A key or root certificate cannot be made or opened.
    #[error("the keys of the authority cannot be used")]
    Ca(#[from] CaError),
    /// Trust domain or operator cannot be part of an identity.
    #[error("trust domain and operator are letters, digits, `.`, `_` and `-`")]
    Identity(#[from] IdentityError),
    /// The key-encryption key cannot be had.
    #[error("the keys of the authority stay closed")]
    Seal(#[from] SealError),
    /// The store failed.
    #[error("the store of the authority cannot be used")]
    Store(#[from] StoreError),
    /// The trust document cannot be made.
    #[error("the trust document cannot be made")]
    Trust(#[from] notme_core::trust::TrustError),
}

impl OpenError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ca(error) => error.code(),
            Self::Identity(_) => "identity-malformed",
            Self::Seal(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Trust(_) => "authority-trust-document",
        }
    }
}
