//! The roots that count: those of the trust store that the policy names.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use notme_core::{certificate::Certificate, key::KeyId, time::UnixTime, trust::Revocation};

use crate::{
    policy::{AuthorityRule, Policy, Rules, Selector},
    refusal::Refusal,
    trust::{Authority, PinKind, Trust, TrustedRoot, WHOLE_STORE},
    verdict::{Code, TimeBasis},
};

/// One root, with what the policy and the pin ask of certificates below it.
#[derive(Debug)]
pub(crate) struct Anchor {
    pub(crate) root: Certificate,
    pub(crate) kid: KeyId,
    pub(crate) authority: Arc<str>,
    pub(crate) kind: PinKind,
    pub(crate) scopes: Vec<String>,
    pub(crate) floor: TimeBasis,
    pub(crate) from: UnixTime,
    pub(crate) retired_at: Option<UnixTime>,
    /// What was taken back by any authority that has this root, whichever the policy names.
    pub(crate) revocations: Vec<Arc<[Revocation]>>,
    /// Why the authority's word is too old to be relied on.
    pub(crate) stale: Option<Refusal>,
}

/// Every anchor, and why there is not one more.
#[derive(Debug)]
pub(crate) struct Anchors {
    anchors: Vec<Arc<Anchor>>,
    unavailable: Option<Refusal>,
    identities: Mutex<HashSet<Arc<str>>>,
}

impl Anchors {
    /// Joins the policy's authorities with the trust store's.
    pub(crate) fn new(policy: &Policy, rules: &Rules, trust: &Trust, now: UnixTime) -> Self {
        let mut anchors = Vec::new();
        let mut unavailable = trust.is_empty().then(|| Code::TrustMissing.into());
        for rule in &rules.authorities {
            let before = anchors.len();
            for authority in trust.authorities() {
                anchors.extend(of_authority(authority, rule, policy, trust, now).map(Arc::new));
            }
            if anchors.len() == before {
                unavailable.get_or_insert_with(|| absence(&rule.selector, trust));
            }
        }
        Self {
            anchors,
            unavailable,
            identities: Mutex::default(),
        }
    }

    /// Returns the anchor that issued `certificate`, by name and by signature.
    pub(crate) fn issuer_of(&self, certificate: &Certificate) -> Option<&Arc<Anchor>> {
        self.anchors
            .iter()
            .find(|anchor| certificate.verify_issued_by(&anchor.root).is_ok())
    }

    /// Returns what to say of a signer that leads to no anchor. While an authority that the
    /// policy trusts cannot be looked at, nobody is known to be a stranger.
    pub(crate) fn absence(&self) -> Refusal {
        self.unavailable
            .clone()
            .unwrap_or_else(|| Code::SignerUntrusted.into())
    }

    /// Returns the one copy of a text that thousands of certificates repeat.
    pub(crate) fn intern(&self, text: &str) -> Arc<str> {
        let mut known = self
            .identities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = known.get(text) {
            return Arc::clone(copy);
        }
        let copy: Arc<str> = text.into();
        known.insert(Arc::clone(&copy));
        copy
    }
}

fn of_authority<'a>(
    authority: &'a Authority,
    rule: &'a AuthorityRule,
    policy: &Policy,
    trust: &'a Trust,
    now: UnixTime,
) -> impl Iterator<Item = Anchor> + 'a {
    let stale = staleness(authority, policy, now);
    authority
        .roots()
        .iter()
        .filter(|root| match &rule.selector {
            Selector::Name(name) => *name == *authority.name,
            Selector::Spki(pin) => root.certificate.public_key().spki_sha256() == *pin,
        })
        .map(move |root| Anchor {
            kid: root.certificate.kid(),
            root: root.certificate.clone(),
            authority: Arc::clone(&authority.name),
            kind: authority.kind,
            scopes: rule.scopes.as_ref().unwrap_or(&authority.scopes).clone(),
            floor: rule.floor,
            from: root.from,
            retired_at: root.retired_at,
            revocations: revocations(&root.certificate, trust),
            stale: stale.clone(),
        })
}

/// Returns what the authorities that have a root's key took back. Which of them comes first is
/// nobody's choice to hide the other's word behind.
fn revocations(root: &Certificate, trust: &Trust) -> Vec<Arc<[Revocation]>> {
    let has_key = |authority: &&Authority| {
        let roots = authority.roots().iter();
        roots
            .map(TrustedRoot::certificate)
            .any(|other| other.public_key() == root.public_key())
    };
    trust
        .authorities()
        .iter()
        .filter(has_key)
        .map(|authority| Arc::clone(&authority.revocations))
        .collect()
}

/// Tells whether the trust document is too old: by the policy's limit if it sets one, else by
/// the document's own.
fn staleness(authority: &Authority, policy: &Policy, now: UnixTime) -> Option<Refusal> {
    let document = authority.document()?;
    let until = match policy.max_trust_age_seconds() {
        Some(age) => document.issued_at.plus(i64::from(age)),
        None => document.expires_at,
    };
    let until = until.plus(i64::from(policy.skew_seconds()));
    (now > until).then(|| {
        Refusal::new(
            Code::TrustStale,
            format!(
                "the trust document of `{}` ended at {until}",
                authority.name
            ),
        )
    })
}

/// Explains why a selector found no root.
fn absence(selector: &Selector, trust: &Trust) -> Refusal {
    let concerns = |name: &str| match selector {
        Selector::Name(wanted) => wanted == name || name == WHOLE_STORE,
        // Any authority that cannot be read may be the one that has the key.
        Selector::Spki(_) => true,
    };
    match trust.faults().iter().find(|fault| concerns(&fault.name)) {
        Some(fault) => Refusal::new(fault.code, format!("`{}`: {}", fault.name, fault.message)),
        None => Refusal::new(
            Code::TrustMissing,
            format!("the policy names `{selector}`, which is not in the trust store"),
        ),
    }
}
