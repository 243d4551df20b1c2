//! What the person asking accepts: which authorities, which identities, how well timed.
//!
//! The file's format is in docs/formats/policy.md. Nothing is allowed that no rule names, and an
//! empty list is nobody. A file that names neither authorities nor identities only sets what it
//! sets, and leaves both to the trust store, as if there were no file. One that names identities
//! alone means them at any authority of the store; one that names authorities alone allows nobody.
//! So a file that is left short never allows anybody whom the trust store alone would not.

mod error;
mod file;
mod lint;
mod principal;
mod rule;

use std::{collections::BTreeSet, fmt, fmt::Write as _, sync::Arc};

use notme_core::{
    glob::Glob,
    hex,
    identity::is_trust_domain,
    key::{KeyId, sha256},
    time::UnixTime,
};

pub use self::error::PolicyError;
use self::{
    principal::{By, Principals, Told, Who},
    rule::{Right, Rule},
};
pub(crate) use self::{
    principal::{Kind, Signer},
    rule::{Question, REF_UNKNOWN, Surroundings},
};
use crate::{
    refusal::Refusal,
    ssh::ListedKey,
    stated::{Received, Stated},
    trust::{Authority, Fault, PinKind, Trust, WHOLE_STORE},
    verdict::{Code, TimeBasis},
};

/// The longest policy file we read.
pub const POLICY_MAX: usize = 1 << 20;
/// Where a repository keeps its policy.
pub const POLICY_PATH: &str = ".notme/policy.toml";
/// Where a repository keeps a trust store of its own, which says who the names in its policy are.
pub const TRUST_PATH: &str = ".notme/trust";
/// How far clocks may differ unless the policy says otherwise.
const SKEW_DEFAULT: u32 = 60;
/// More skew than a day would stop being skew.
const SKEW_MAX: u32 = 24 * 3600;
/// What short-lived certificates need unless the policy says otherwise.
const FLOOR_DEFAULT: TimeBasis = TimeBasis::IssuanceBound;

/// A policy in force. Default deny: what no rule names is not accepted.
#[derive(Debug)]
pub struct Policy {
    /// `None` when the trust store decides.
    authorities: Option<Vec<AuthorityRule>>,
    /// `None` when the trust store decides.
    allow: Option<Arc<[Rule]>>,
    require: Arc<[Rule]>,
    principals: Principals,
    /// Keys that the policy itself stands for.
    listed: Vec<Arc<ListedKey>>,
    /// Commits at which history is taken as it is, and all that they reach.
    baseline: Vec<String>,
    exceptions: Vec<Exception>,
    floor: Option<TimeBasis>,
    skew_seconds: u32,
    max_trust_age_seconds: Option<u32>,
    /// Objects that revocations do not take back.
    known_good: BTreeSet<String>,
    gates: Arc<[Gate]>,
    /// The repository's, for certificates that are for one.
    repository: Vec<String>,
    /// What a reader should know who thinks that all is well.
    remarks: Vec<Remark>,
    starts: Starts,
    text: Box<str>,
    digest: [u8; 32],
}

/// Where in its text the entries of a file begin, each kind in its order.
#[derive(Debug, Default)]
struct Starts {
    authorities: Vec<usize>,
    principals: Vec<usize>,
    allow: Vec<usize>,
    require: Vec<usize>,
    exceptions: Vec<usize>,
}

/// An object that is accepted whatever else is said of it.
#[derive(Debug)]
struct Exception {
    object: String,
    until: UnixTime,
    text: Arc<str>,
}

/// Whose records of what a repository received count.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    by: Principals,
    /// The repository, as the records name it.
    repository: Box<str>,
}

/// Something in a policy that is no error, and probably not meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remark {
    /// The line, counted from one.
    pub line: usize,
    /// What about it.
    pub message: String,
}

/// A policy's rules, those that it leaves to the trust store filled in.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) authorities: Vec<AuthorityRule>,
    pub(crate) listed: Vec<Arc<ListedKey>>,
    pub(crate) listed_floor: TimeBasis,
    allow: Arc<[Rule]>,
    require: Arc<[Rule]>,
    principals: Principals,
    gates: Arc<[Gate]>,
}

/// An authority that the policy accepts certificates of.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityRule {
    pub(crate) selector: Selector,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) floor: TimeBasis,
    /// The time in which it counts.
    pub(crate) from: Option<UnixTime>,
    pub(crate) until: Option<UnixTime>,
    /// Where it is found, for messages.
    pub(crate) url: Option<String>,
}

/// How a policy names an authority.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    /// By the trust store's name for it: every root it has.
    Name(String),
    /// By the SHA-256 of one root's public key: that root.
    Spki([u8; 32]),
}

impl Selector {
    /// Tells whether it names a root, by the SHA-256 of its key.
    pub(crate) fn selects(&self, authority: &Authority, spki_sha256: &[u8; 32]) -> bool {
        match self {
            Self::Name(name) => name == authority.name(),
            Self::Spki(pin) => pin == spki_sha256,
        }
    }

    /// Tells whether it names an authority, or one of its keys.
    fn is_of(&self, authority: &Authority) -> bool {
        match self {
            Self::Name(name) => name == authority.name(),
            Self::Spki(digest) => authority.has_key(digest),
        }
    }

    /// Returns what of a trust store may be what it names, and cannot be used.
    pub(crate) fn fault<'t>(&self, trust: &'t Trust) -> Option<&'t Fault> {
        let mut faults = trust.faults().iter();
        faults.find(|fault| match self {
            Self::Name(name) => **name == *fault.name || *fault.name == *WHOLE_STORE,
            // Any authority that cannot be read may be the one that has the key.
            Self::Spki(_) => true,
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Spki(digest) => f.write_str(&hex::encode(digest)),
        }
    }
}

/// Which identities a rule speaks of.
#[derive(Clone, Debug)]
enum Pattern {
    Glob(Glob),
    /// All that begin with a text, in which nothing stands for anything else.
    Prefix(Box<str>),
}

impl Pattern {
    /// Tells whether one identity fits, and no other.
    fn is_literal(&self) -> bool {
        matches!(self, Self::Glob(glob) if glob.is_literal())
    }

    fn matches(&self, identity: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(identity),
            Self::Prefix(prefix) => identity.starts_with(&**prefix),
        }
    }
}

/// Writes the glob that says the same.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glob(glob) => glob.fmt(f),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`] with the line, for TOML that is not a policy: an unknown key, a value
    /// outside its range, an authority named in no way or in two, a list or a pattern that is
    /// empty, a principal that is not there or is part of itself.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        file::parse(text)
    }

    /// Makes the policy that the trust store alone implies.
    ///
    /// Each authority may speak for its own: one with a trust document for every identity of its
    /// trust domain, one pinned by certificates for every `wimse:` identity outside those domains,
    /// one that knows nothing of notme for addresses and web identities, and people's OpenPGP and
    /// SSH keys for addresses and themselves, so that these cannot name an agent. A Sigstore instance
    /// certifies everybody, and speaks for nobody whom no policy names. Short-lived
    /// certificates must be issuance-bound; who knows nothing of notme signs for long times and
    /// binds nothing, so such signatures may be `declared`.
    pub fn from_trust(trust: &Trust) -> Self {
        let (authorities, allow) = (default_authorities(trust, None), default_allow(trust));
        let text = written(&authorities, &allow);
        Self {
            authorities: None,
            allow: Some(allow.into()),
            require: Arc::default(),
            principals: Arc::default(),
            listed: Vec::new(),
            baseline: Vec::new(),
            exceptions: Vec::new(),
            floor: None,
            skew_seconds: SKEW_DEFAULT,
            max_trust_age_seconds: None,
            known_good: BTreeSet::new(),
            gates: Arc::default(),
            repository: Vec::new(),
            remarks: Vec::new(),
            starts: Starts::default(),
            digest: sha256(text.as_bytes()),
            text: text.into(),
        }
    }

    /// Makes the policy by which statements are judged where this one judges commits: the same
    /// authorities, with the same floors and times. Whom the trust store lets speak for their own may
    /// speak, and so may whoever may commit. What the rules ask of commits they ask of no statement.
    #[must_use]
    pub fn of_statements(&self, trust: &Trust) -> Self {
        let mut allow = default_allow(trust);
        allow.extend(self.allow.as_deref().unwrap_or_default().iter().cloned());
        Self {
            authorities: self.authorities.clone(),
            allow: Some(allow.into()),
            require: Arc::default(),
            principals: Arc::clone(&self.principals),
            listed: self.listed.clone(),
            baseline: Vec::new(),
            exceptions: Vec::new(),
            floor: self.floor,
            skew_seconds: self.skew_seconds,
            max_trust_age_seconds: self.max_trust_age_seconds,
            known_good: BTreeSet::new(),
            gates: Arc::default(),
            repository: self.repository.clone(),
            remarks: Vec::new(),
            starts: Starts::default(),
            text: self.text.clone(),
            digest: sha256(&[&b"of statements "[..], &self.digest].concat()),
        }
    }

    /// Adds the keys for which other policies vouch, so that it is seen whose they are. What they may do
    /// is still for this one to say.
    #[must_use]
    pub(crate) fn knowing_keys_of<'o>(mut self, others: impl Iterator<Item = &'o Self>) -> Self {
        for other in others {
            self.listed.extend(other.listed.iter().cloned());
            let written = [self.digest, other.digest].concat();
            self.digest = sha256(&written);
        }
        self
    }

    /// Tells whether it takes every authority of a trust store, with every root.
    pub fn names_all(&self, trust: &Trust) -> bool {
        let Some(rules) = &self.authorities else {
            return true;
        };
        let is_named = |wanted: &str| {
            let mut selectors = rules.iter().map(|rule| &rule.selector);
            selectors.any(|selector| matches!(selector, Selector::Name(name) if name == wanted))
        };
        let authorities = trust.authorities().iter().map(Authority::name);
        let faults = trust.faults().iter().map(|fault| &*fault.name);
        authorities.chain(faults).all(is_named)
    }

    /// Tells whether it takes whatever authorities the trust store has.
    pub(crate) fn leaves_authorities_to_store(&self) -> bool {
        self.authorities.is_none()
    }

    /// Returns the rules in force with a trust store.
    pub(crate) fn rules(&self, trust: &Trust) -> Rules {
        Rules {
            authorities: match &self.authorities {
                Some(rules) => rules.clone(),
                None => default_authorities(trust, self.floor),
            },
            allow: match &self.allow {
                Some(rules) => Arc::clone(rules),
                None => default_allow(trust).into(),
            },
            require: Arc::clone(&self.require),
            principals: Arc::clone(&self.principals),
            gates: Arc::clone(&self.gates),
            listed: self.listed.clone(),
            listed_floor: self.floor.unwrap_or(TimeBasis::Declared),
        }
    }

    /// Returns the names of the repository that the policy is for, if it says so.
    pub(crate) fn repository_names(&self) -> &[String] {
        &self.repository
    }

    /// Returns the commits at which history is taken as it is.
    pub(crate) fn baseline(&self) -> &[String] {
        &self.baseline
    }

    /// Returns the exception that covers an object at a time, and until when it does.
    pub(crate) fn exception(&self, object: &str, now: UnixTime) -> Option<(&Arc<str>, UnixTime)> {
        let mut exceptions = self.exceptions.iter();
        let covers = |it: &&Exception| it.object == object && now <= it.until;
        let found = exceptions.find(covers)?;
        Some((&found.text, found.until))
    }

    /// Returns what is no error, and probably not meant, as seen at a time where some objects
    /// are, and some folders.
    pub fn remarks(
        &self,
        trust: &Trust,
        now: UnixTime,
        is_here: &dyn Fn(&str) -> bool,
        is_folder: &dyn Fn(&str) -> bool,
    ) -> Vec<Remark> {
        lint::remarks(self, trust, now, is_here, is_folder)
    }

    /// Returns how far clocks may differ, in seconds.
    pub fn skew_seconds(&self) -> u32 {
        self.skew_seconds
    }

    /// Returns how old a trust document may be, when the policy and not the document decides.
    pub fn max_trust_age_seconds(&self) -> Option<u32> {
        self.max_trust_age_seconds
    }

    /// Tells whether somebody looked at an object and found it good, whatever is said later of the
    /// key that signed it.
    pub(crate) fn is_known_good(&self, object_id: &impl fmt::Display) -> bool {
        !self.known_good.is_empty() && self.known_good.contains(&object_id.to_string())
    }

    /// Returns `sha256:<hex>` of the file, or of the text of a policy made from the trust store.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(&self.digest))
    }
}

impl Rules {
    /// Asks the rules about a signature, and returns the one that allows it.
    pub(crate) fn decide(&self, question: &Question<'_>) -> Result<Arc<str>, Refusal> {
        rule::decide(self, question)
    }

    /// Returns what the policy calls a signer: by the first of the principals that it is.
    pub(crate) fn kind_of(&self, signer: Signer<'_>) -> Option<Kind> {
        let mut principals = self.principals.iter();
        Some(principals.find(|principal| principal.fits(signer))?.kind)
    }

    /// Tells whether two signers are one, for all that is known of them or said here.
    pub(crate) fn are_one(&self, one: Signer<'_>, other: Signer<'_>) -> bool {
        principal::are_one(&self.principals, one, other)
    }

    /// Tells whether a rule asks for what others say of an object, which may change.
    pub(crate) fn asks_others(&self) -> bool {
        let mut rules = self.allow.iter().chain(&*self.require);
        self.has_gates() || rules.any(|rule| rule.demands.asks_others())
    }

    /// Tells whether a rule asks for more than who signed and how.
    pub(crate) fn asks_around(&self) -> bool {
        self.has_gates()
            || self
                .allow
                .iter()
                .chain(&*self.require)
                .any(Rule::asks_around)
            || self.principals.iter().any(|it| it.kind == Kind::WebFlow)
    }

    /// Tells whether anybody's records of what was received count.
    pub(crate) fn has_gates(&self) -> bool {
        !self.gates.is_empty()
    }

    /// Refuses a time basis that is weaker than what the policy or a rule of it asks for.
    pub(crate) fn check_floor(
        &self,
        basis: TimeBasis,
        floor: TimeBasis,
        who: &str,
    ) -> Result<(), Refusal> {
        if basis >= floor {
            return Ok(());
        }
        let unseen = match self.has_gates() && floor <= TimeBasis::FirstSeen {
            true => "; no gate tells when it was received: `notme attest fetch`",
            false => "",
        };
        let detail = format!("{basis}, and the {who} asks for {floor}{unseen}");
        Err(Refusal::new(Code::TimeBasisTooWeak, detail))
    }

    /// Returns what those whose records count say of when an object was received by the repository.
    pub(crate) fn received<'s>(
        &self,
        statements: &'s [Stated],
    ) -> impl Iterator<Item = &'s Received> + use<'_, 's> {
        statements.iter().filter_map(|stated| {
            let received = stated.received.as_ref()?;
            let counts = |gate: &Gate| {
                let mut by = gate.by.iter();
                *gate.repository == *received.repository
                    && by.any(|principal| principal.fits(stated.by.as_signer()))
            };
            self.gates.iter().any(counts).then_some(received)
        })
    }
}

/// Takes every authority of the store. Those that cannot be used are named too, so that their
/// signers are undecided and not strangers.
fn default_authorities(trust: &Trust, floor: Option<TimeBasis>) -> Vec<AuthorityRule> {
    let rule = |name: &str, default| AuthorityRule {
        selector: Selector::Name(name.to_owned()),
        scopes: None,
        floor: floor.unwrap_or(default),
        from: None,
        until: None,
        url: None,
    };
    let usable = trust.authorities().iter().map(|authority| {
        rule(
            authority.name(),
            match authority.kind() {
                PinKind::TrustDocument | PinKind::Pem | PinKind::Sigstore => FLOOR_DEFAULT,
                PinKind::X509 | PinKind::OpenPgp | PinKind::AllowedSigners => TimeBasis::Declared,
            },
        )
    });
    let unusable = trust
        .faults()
        .iter()
        .map(|fault| rule(&fault.name, FLOOR_DEFAULT));
    usable.chain(unusable).collect()
}

/// Lets each authority speak for its own, and for nobody whom another was pinned for.
fn default_allow(trust: &Trust) -> Vec<Rule> {
    // A verified document has no other, and nothing else may become a prefix.
    let within = |domain: &str| is_trust_domain(domain).then(|| format!("wimse://{domain}/"));
    let domain = |authority: &Authority| within(&authority.document()?.trust_domain);
    // Whoever speaks for one does so, too, while their document cannot be read.
    let faults = trust.faults().iter();
    let unread = faults.filter_map(|fault| within(fault.trust_domain.as_deref()?));
    let taken = trust.authorities().iter().filter_map(domain);
    let taken: Vec<_> = taken.chain(unread).collect();
    let prefix = |text: &str| Pattern::Prefix(text.into());
    let rules = |authority: &Authority| {
        let rule = |text: &str, except: Vec<Pattern>| {
            let by = By::Store(authority.name().to_owned());
            let (identity, right) = (prefix(text), Right::Allow { policy: false });
            Rule::new(
                right,
                Who::Identity {
                    identity,
                    except,
                    told: Told::ByNobody,
                    by,
                },
            )
        };
        match authority.kind() {
            PinKind::TrustDocument => domain(authority)
                .map(|domain| rule(&domain, Vec::new()))
                .into_iter()
                .collect(),
            PinKind::Pem => {
                let others = taken.iter().map(|domain| prefix(domain)).collect();
                vec![rule("wimse://", others)]
            }
            PinKind::X509 => vec![rule("mailto:", Vec::new()), rule("https://", Vec::new())],
            PinKind::OpenPgp => {
                vec![
                    rule("mailto:", Vec::new()),
                    rule("openpgp4fpr:", Vec::new()),
                ]
            }
            PinKind::AllowedSigners => {
                vec![rule("mailto:", Vec::new()), rule("ssh-key:", Vec::new())]
            }
            // It certifies everybody who has an account somewhere.
            PinKind::Sigstore => Vec::new(),
        }
    };
    trust.authorities().iter().flat_map(rules).collect()
}

/// Writes the policy as the TOML that says the same: the file, if it was read from one.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Writes the rules that a trust store implies as TOML.
fn written(authorities: &[AuthorityRule], allow: &[Rule]) -> String {
    let mut text = format!("skew_seconds = {SKEW_DEFAULT}\n");
    if allow.is_empty() {
        text.push_str("allow = []\n");
    }
    for rule in authorities {
        let selector = quoted(&rule.selector.to_string());
        let floor = rule.floor;
        // Writing into a string does not fail.
        let _ = write!(
            text,
            "\n[[authority]]\nname = {selector}\ntime_basis_floor = \"{floor}\"\n"
        );
    }
    for rule in allow {
        let Who::Identity {
            identity,
            except,
            by,
            ..
        } = rule.who()
        else {
            continue;
        };
        let identity = quoted(&identity.to_string());
        let _ = write!(text, "\n[[allow]]\nidentity = {identity}\n");
        if !except.is_empty() {
            let except: Vec<_> = except.iter().map(|it| quoted(&it.to_string())).collect();
            let _ = writeln!(text, "except = [{}]", except.join(", "));
        }
        if let By::Store(name) = by {
            let _ = writeln!(text, "authority = {}", quoted(name));
        }
    }
    text
}

/// Returns the id of a key by the SHA-256 that it is the beginning of.
fn kid_of(spki_sha256: &[u8; 32]) -> Option<KeyId> {
    hex::encode(spki_sha256.get(..16)?).parse().ok()
}

/// Returns a text as a TOML string, whatever is in it.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
