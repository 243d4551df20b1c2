//! The authority itself: keys in hand, requests in, certificates out.

mod access;
mod certificates;
mod enrol;
mod exchange;
mod issue;
mod publication;
mod surface;

use std::sync::{Arc, Mutex};

use notme_core::{
    identity::{AgentName, Identity, IdentityError},
    time::UnixTime,
};

pub(crate) use self::{
    access::TokenRequest,
    certificates::CertifyError,
    exchange::{About, GithubClaims, PairRequest, narrowed},
    surface::version,
};
use crate::{
    ca::{Ca, CaError, CaName},
    clock::Clock,
    dpop::Nonces,
    format_ca::FormatCas,
    oidc::{Issuers, TokenConfig},
    scope::Scopes,
    seal::{Kek, SealError, Sealing},
    serials::Serials,
    store::{AuthorityRecord, Store, StoreError},
    tsa::{StampError, Tsa},
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
    pub(crate) formats: FormatCas,
    pub(crate) tsa: Tsa,
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
    let (formats, mut format_cas) = FormatCas::found(&founding.trust_domain, now, kek)?;
    let (tsa, sealed_tsa) = Tsa::found(&interop, &founding.trust_domain, now, kek)?;
    format_cas.push(sealed_tsa);
    let record = AuthorityRecord {
        trust_domain: founding.trust_domain.clone(),
        operator: founding.operator.clone(),
        epoch: 1,
        created_at: now,
        sealing,
        cas: vec![sealed, sealed_interop],
        format_cas,
    };
    store.found(&record)?;
    let keys = Keys {
        ed25519,
        interop,
        formats,
        tsa,
    };
    Ok((record, keys))
}

/// Checks that identities can be built: the first enrolment would be late to find out.
fn check_principal(trust_domain: &str, principal: &str) -> Result<(), IdentityError> {
    let agent: AgentName = "a".parse().map_err(|_| IdentityError)?;
    Identity::agent(trust_domain, principal, &agent).map(|_| ())
}

/// Opens the kept keys. A store from before SSH and OpenPGP gets the keys of those: it has none of
/// them, as opposed to one that lost some. One from before time stamps gets the key for these.
pub(crate) fn unlock(
    store: &dyn Store,
    record: &AuthorityRecord,
    kek: &Kek,
    now: UnixTime,
) -> Result<Keys, OpenError> {
    // First, so that a wrong secret changes nothing.
    let ed25519 = Ca::open(CaName::Ed25519, &record.cas, kek)?;
    let interop = Ca::open(CaName::Interop, &record.cas, kek)?;
    let formats = if record.format_cas.is_empty() {
        let (formats, sealed) = FormatCas::found(&record.trust_domain, now, kek)?;
        store.add_format_cas(&sealed)?;
        formats
    } else {
        FormatCas::open(&record.format_cas, kek)?
    };
    let tsa = match Tsa::open(&record.format_cas, kek)? {
        Some(tsa) => tsa,
        None => {
            let (tsa, sealed) = Tsa::found(&interop, &record.trust_domain, now, kek)?;
            store.add_format_cas(&[sealed])?;
            tsa
        }
    };
    Ok(Keys {
        ed25519,
        interop,
        formats,
        tsa,
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
    issuers: Issuers,
    tokens: TokenConfig,
    nonces: Nonces,
    /// Held while a trust document may be signed: each number is given to one.
    publishing: Mutex<()>,
    /// The signed CA bundle that is served now.
    bundle: Mutex<Option<surface::ServedBundle>>,
    serials: Serials,
}

/// What an authority serves with, besides its keys.
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) local: Option<LocalEnrolment>,
    pub(crate) issuers: Issuers,
    pub(crate) tokens: TokenConfig,
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
            issuers: settings.issuers,
            tokens: settings.tokens,
            nonces: Nonces::new()?,
            publishing: Mutex::default(),
            bundle: Mutex::default(),
            serials: Serials::default(),
        };
        authority.trust()?;
        Ok(authority)
    }

    /// Answers a request for a time stamp, as bytes of RFC 3161 on both sides.
    pub(crate) fn stamp(&self, request: &[u8]) -> Result<Vec<u8>, StampError> {
        self.keys.tsa.answer(request, self.clock.now())
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

    /// Does what is due by the clock: a fresh trust document, old nonces forgotten.
    pub(crate) fn tend(&self) -> Result<(), OpenError> {
        self.store.prune(self.clock.now())?;
        self.trust().map(drop)
    }
}

/// Why an authority cannot be founded or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
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
    /// The trust document cannot be made.
    #[error("the trust document cannot be made")]
    Trust(#[from] notme_core::trust::TrustError),
}

impl OpenError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bundle(_) | Self::Json(_) => "authority-document",
            Self::Ca(error) => error.code(),
            Self::Identity(_) => "identity-malformed",
            Self::Seal(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Trust(_) => "authority-trust-document",
        }
    }
}
