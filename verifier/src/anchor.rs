//! The roots that count: those of the trust store that the policy names.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use notme_core::{
    certificate::Certificate,
    hex,
    key::KeyId,
    openpgp::TrustedKey,
    rekor::LogKey,
    ssh::{PublicKey, allowed_signers::EntryKind},
    time::UnixTime,
    trust::{Revocation, Trusted},
};

use crate::{
    openpgp::Person,
    policy::{AuthorityRule, Policy, Rules},
    refusal::Refusal,
    ssh::ListedKey,
    standing::Issuer,
    trust::{Authority, Fault, PinKind, Trust},
    verdict::{Code, TimeBasis},
};

/// One root, with what the policy and the pin ask of certificates below it.
#[derive(Debug)]
pub(crate) struct Anchor {
    pub(crate) root: Root,
    pub(crate) kid: KeyId,
    pub(crate) authority: Arc<str>,
    pub(crate) kind: PinKind,
    pub(crate) scopes: Vec<String>,
    pub(crate) floor: TimeBasis,
    pub(crate) from: UnixTime,
    pub(crate) retired_at: Option<UnixTime>,
    /// From when and until when the policy takes it.
    pub(crate) counts: (Option<UnixTime>, Option<UnixTime>),
    /// What was taken back by anybody in the trust store who has this root's key, whomever the
    /// policy names.
    pub(crate) revocations: Vec<Arc<[Revocation]>>,
    /// Who stamps for the authority.
    pub(crate) stampers: Vec<Stamper>,
    /// The keys of its logs.
    pub(crate) logs: Vec<Trusted<LogKey>>,
    /// Why nobody can tell whether it was taken back: the authority's word is too old, or what may
    /// say so cannot be read.
    pub(crate) doubt: Option<Refusal>,
    /// What stands above everything that the root issued itself, once somebody asks.
    pub(crate) above: OnceLock<Arc<[Issuer]>>,
}

impl Anchor {
    /// Tells whether anybody says what is not to be trusted any more: a trust document does, and
    /// so does a person's OpenPGP key.
    pub(crate) fn says_what_was_revoked(&self) -> bool {
        match self.kind {
            PinKind::TrustDocument | PinKind::OpenPgp => true,
            PinKind::Pem | PinKind::X509 | PinKind::AllowedSigners | PinKind::Sigstore => {
                self.revocations.iter().any(|some| !some.is_empty())
            }
        }
    }
}

/// A time-stamping authority.
#[derive(Debug)]
pub(crate) struct Stamper {
    pub(crate) tsa: Trusted<Certificate>,
    /// Whether it was taken back, and all of its time stamps with it.
    pub(crate) is_revoked: bool,
}

/// What makes an anchor one: the key that is believed, in the shape of its format.
#[derive(Debug)]
pub(crate) enum Root {
    /// An authority's root certificate.
    X509(Box<Certificate>),
    /// An authority's OpenPGP key.
    OpenPgp(TrustedKey),
    /// A person's OpenPGP key.
    Person(Arc<Person>),
    /// An authority's key for OpenSSH certificates.
    Ssh(PublicKey),
    /// A line of a file of allowed signers.
    Listed(Arc<ListedKey>),
}

/// Every anchor, and why there is not one more.
#[derive(Debug)]
pub(crate) struct Anchors {
    anchors: Vec<Arc<Anchor>>,
    unavailable: Option<Refusal>,
    /// The roots of authorities that the policy does not name, by authority and SHA-256.
    unnamed: Vec<(Arc<str>, [u8; 32], Root)>,
    identities: Mutex<HashSet<Arc<str>>>,
}

impl Anchors {
    /// Joins the policy's authorities with the trust store's.
    pub(crate) fn new(policy: &Policy, rules: &Rules, trust: &Trust, now: UnixTime) -> Self {
        let mut anchors = Vec::new();
        let is_missing = trust.is_empty() && policy.leaves_authorities_to_store();
        let mut unavailable = is_missing.then(|| Code::TrustMissing.into());
        let taken_back = taken_back(trust);
        for rule in &rules.authorities {
            let before = anchors.len();
            for authority in trust.authorities() {
                let all = of_authority(authority, rule, (policy, now), (trust, &taken_back));
                anchors.extend(all.map(Arc::new));
            }
            if anchors.len() == before {
                unavailable.get_or_insert_with(|| absence(rule, trust));
            }
        }
        let listed = rules.listed.iter().map(|line| Anchor {
            root: Root::Listed(Arc::clone(line)),
            kid: line.kid(),
            authority: BY_POLICY.into(),
            kind: PinKind::AllowedSigners,
            scopes: Vec::new(),
            floor: rules.listed_floor,
            from: BEGINNING,
            retired_at: None,
            counts: (None, None),
            revocations: taken_back.of_listed(line),
            stampers: Vec::new(),
            logs: Vec::new(),
            doubt: doubt(trust, &line.public_key().spki_sha256()),
            above: OnceLock::new(),
        });
        anchors.extend(listed.map(Arc::new));
        Self {
            anchors,
            unavailable,
            unnamed: unnamed(rules, trust),
            identities: Mutex::default(),
        }
    }

    /// Returns the anchors that issued `certificate`, by name and by signature, and their roots.
    pub(crate) fn issuers_of<'a>(
        &'a self,
        certificate: &Certificate,
    ) -> impl Iterator<Item = (&'a Arc<Anchor>, &'a Certificate)> {
        self.certificates()
            .filter(|(_, root)| certificate.verify_issued_by(root).is_ok())
    }

    /// Returns the anchors that issue X.509 certificates, and their roots.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = (&Arc<Anchor>, &Certificate)> {
        self.anchors.iter().filter_map(|anchor| match &anchor.root {
            Root::X509(root) => Some((anchor, &**root)),
            Root::OpenPgp(_) | Root::Person(_) | Root::Ssh(_) | Root::Listed(_) => None,
        })
    }

    /// Returns which anchor it is.
    pub(crate) fn position(&self, anchor: &Arc<Anchor>) -> Option<usize> {
        self.anchors.iter().position(|it| Arc::ptr_eq(it, anchor))
    }

    /// Returns the anchor at a position.
    pub(crate) fn get(&self, position: usize) -> Option<&Arc<Anchor>> {
        self.anchors.get(position)
    }

    /// Returns every anchor.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Anchor>> {
        self.anchors.iter()
    }

    /// Returns what to say of a signer that leads to no anchor. While an authority that the
    /// policy trusts cannot be looked at, nobody is known to be a stranger.
    pub(crate) fn absence(&self) -> Refusal {
        self.unavailable
            .clone()
            .unwrap_or_else(|| Code::SignerUntrusted.into())
    }

    /// Returns what to say where an authority that the policy does not name may have vouched.
    pub(crate) fn absence_of(&self, has_vouched: impl Fn(&Root) -> bool) -> Refusal {
        let mut unnamed = self.unnamed.iter();
        match unnamed.find(|(.., root)| has_vouched(root)) {
            Some((authority, spki_sha256, _)) if self.unavailable.is_none() => Refusal::new(
                Code::SignerUntrusted,
                format!(
                    "the policy names no authority with the root {} of `{authority}`",
                    hex::encode(spki_sha256)
                ),
            ),
            Some(_) | None => self.absence(),
        }
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
    (policy, now): (&Policy, UnixTime),
    (trust, taken_back): (&'a Trust, &'a TakenBack),
) -> impl Iterator<Item = Anchor> + 'a {
    let stale = staleness(authority, policy, now);
    let anchor = move |(spki, kid, root, from, retired_at)| {
        let revocations = match &root {
            Root::Listed(line) => taken_back.of_listed(line),
            Root::X509(_) | Root::OpenPgp(_) | Root::Person(_) | Root::Ssh(_) => {
                taken_back.of(&spki)
            }
        };
        let stampers = authority.tsa().iter().map(|tsa| {
            let mut all = revocations.iter().flat_map(|some| some.iter());
            Stamper {
                tsa: tsa.clone(),
                is_revoked: all.any(|revocation| revocation.is_of(&tsa.value)),
            }
        });
        Anchor {
            stampers: stampers.collect(),
            logs: authority.logs().to_vec(),
            revocations,
            root,
            kid,
            authority: Arc::clone(&authority.name),
            kind: authority.kind,
            scopes: rule.scopes.as_ref().unwrap_or(&authority.scopes).clone(),
            floor: rule.floor,
            from,
            retired_at,
            counts: (rule.from, rule.until),
            doubt: stale.clone().or_else(|| doubt(trust, &spki)),
            above: OnceLock::new(),
        }
    };
    roots(authority)
        .filter(move |(spki, ..)| rule.selector.selects(authority, spki))
        .map(anchor)
}

/// Returns the roots of authorities, not of people, that no rule names.
fn unnamed(rules: &Rules, trust: &Trust) -> Vec<(Arc<str>, [u8; 32], Root)> {
    let all = trust.authorities().iter();
    let all = all.flat_map(|it| roots(it).map(move |(spki, _, root, ..)| (it, spki, root)));
    let unnamed = all.filter(|(authority, spki, root)| {
        let mut named = rules.authorities.iter();
        !matches!(root, Root::Person(_) | Root::Listed(_))
            && !named.any(|rule| rule.selector.selects(authority, spki))
    });
    let unnamed = unnamed.map(|(authority, spki, root)| (Arc::clone(&authority.name), spki, root));
    unnamed.collect()
}

/// A root with the SHA-256 and the id of its key, and when it was in use.
type Used = ([u8; 32], KeyId, Root, UnixTime, Option<UnixTime>);

/// Returns all roots of an authority.
fn roots(authority: &Authority) -> impl Iterator<Item = Used> {
    let certificates = authority.roots().iter().map(|root| {
        let key = root.value.public_key();
        let made = Root::X509(Box::new(root.value.clone()));
        (
            key.spki_sha256(),
            key.kid(),
            made,
            root.from,
            root.retired_at,
        )
    });
    let openpgp = authority.openpgp().iter().filter_map(|root| {
        let key = root.value.key();
        let made = Root::OpenPgp(root.value.clone());
        Some((
            key.spki_sha256()?,
            key.kid()?,
            made,
            root.from,
            root.retired_at,
        ))
    });
    let people = authority.people().iter().map(|person| {
        let made = Root::Person(Arc::clone(person));
        (person.spki_sha256(), person.kid(), made, BEGINNING, None)
    });
    let ssh = authority.ssh().iter().map(|root| {
        let made = Root::Ssh(root.value.clone());
        (
            root.value.spki_sha256(),
            root.value.kid(),
            made,
            root.from,
            root.retired_at,
        )
    });
    let listed = authority.signers().iter().map(|line| {
        let key = line.public_key();
        let made = Root::Listed(Arc::clone(line));
        (key.spki_sha256(), key.kid(), made, BEGINNING, None)
    });
    certificates
        .chain(openpgp)
        .chain(people)
        .chain(ssh)
        .chain(listed)
}

/// Returns what was taken back, under each key that it can concern. Which of several authorities
/// with one key comes first is nobody's choice to hide the others' word behind.
fn taken_back(trust: &Trust) -> TakenBack {
    let mut taken_back = TakenBack::default();
    for authority in trust.authorities() {
        let certificates = authority.roots().iter().map(|root| {
            let key = root.value.public_key();
            Some(key.spki_sha256())
        });
        let openpgp = authority.openpgp().iter();
        let openpgp = openpgp.map(|root| root.value.key().spki_sha256());
        let ssh = authority.ssh().iter();
        let ssh = ssh.map(|root| Some(root.value.spki_sha256()));
        let keys: BTreeSet<_> = certificates.chain(openpgp).chain(ssh).flatten().collect();
        for key in keys {
            let all = taken_back.proven.entry(key).or_default();
            all.push(Arc::clone(&authority.revocations));
        }
        for person in authority.people() {
            let revocations: Arc<[_]> = person.revocations().into();
            for key in person.keys() {
                let of_keys = match key.belongs() {
                    true => &mut taken_back.proven,
                    false => &mut taken_back.claimed,
                };
                if let Some(spki) = key.key().spki_sha256() {
                    of_keys
                        .entry(spki)
                        .or_default()
                        .push(Arc::clone(&revocations));
                }
            }
        }
    }
    taken_back
}

/// Tells whether what took a key back may be among what cannot be read.
fn doubt(trust: &Trust, spki_sha256: &[u8; 32]) -> Option<Refusal> {
    let mut faults = trust.faults().iter();
    faults
        .find(|fault| fault.may_revoke(spki_sha256))
        .map(unusable)
}

/// Says what is wrong with an authority.
fn unusable(fault: &Fault) -> Refusal {
    Refusal::new(fault.code, format!("`{}`: {}", fault.name, fault.message))
}

type Revocations = HashMap<[u8; 32], Vec<Arc<[Revocation]>>>;

/// What was taken back, by the key that it concerns.
#[derive(Default)]
struct TakenBack {
    /// By somebody who has the key.
    proven: Revocations,
    /// By somebody who claims it as a subkey. One that does not sign, as ssh has them from
    /// gpg-agent, did not sign that it belongs to anybody.
    claimed: Revocations,
}

impl TakenBack {
    fn of(&self, spki_sha256: &[u8; 32]) -> Vec<Arc<[Revocation]>> {
        self.proven.get(spki_sha256).cloned().unwrap_or_default()
    }

    /// Returns what takes back a listed key. A claim is enough to take back a person's, but no
    /// authority's: that would be everybody's.
    fn of_listed(&self, line: &ListedKey) -> Vec<Arc<[Revocation]>> {
        let spki_sha256 = line.public_key().spki_sha256();
        let mut all = self.of(&spki_sha256);
        if line.entry().kind() == EntryKind::Key {
            all.extend(
                self.claimed
                    .get(&spki_sha256)
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
        }
        all
    }
}

/// What vouches for a key that the policy itself lists; no authority can have this name.
const BY_POLICY: &str = "the policy";
/// Before anything that is judged.
const BEGINNING: UnixTime = UnixTime::from_secs(i64::MIN);

/// Tells whether the trust document is too old: by the policy's limit if it sets one, else its own.
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
fn absence(rule: &AuthorityRule, trust: &Trust) -> Refusal {
    let selector = &rule.selector;
    match selector.fault(trust) {
        Some(fault) => unusable(fault),
        None => {
            let at = rule.url.as_ref().map(|url| format!("; it is at {url}"));
            let detail = format!(
                "the policy names `{selector}`, which is not in the trust store{}",
                at.unwrap_or_default()
            );
            Refusal::new(Code::TrustMissing, detail)
        }
    }
}
