//! What the person asking accepts: which authorities, which identities, how well timed.
//!
//! ```toml
//! time_basis_floor = "issuance-bound"   # default: by the kind of authority
//! skew_seconds = 60                     # the default
//! max_trust_age_seconds = 604800        # default: what the trust document itself says
//! known_good = ["<object id>"]          # revocations don't take these back; default: none
//!
//! [[authority]]
//! name = "local"                        # or spki_sha256 = "<64 hex>"
//! scopes = ["sign:git"]                 # default: those of the pin
//! time_basis_floor = "declared"         # default: the floor above
//!
//! [[allow]]
//! identity = "wimse://example.org/agent/alice/*"
//! except = ["wimse://example.org/agent/alice/test-*"]   # default: nothing
//! authority = "local"                   # default: any authority listed
//! ```
//!
//! Nothing is allowed that no rule names, and an empty list is nobody. A file that names neither
//! authorities nor identities only sets what it sets, and leaves both to the trust store, as if
//! there were no file. One that names identities alone means them at any authority of the store;
//! one that names authorities alone allows nobody. So a file that is left short never allows
//! anybody whom the trust store alone would not.

mod error;

use std::{collections::BTreeSet, fmt, ops::Range, sync::Arc};

use notme_core::{glob::Glob, hex, identity::is_trust_domain, key::sha256};
use serde::Deserialize;
use toml::Spanned;

pub use self::error::PolicyError;
use crate::{
    trust::{Authority, PinKind, Trust},
    verdict::TimeBasis,
};

/// The longest policy file we read.
pub const POLICY_MAX: usize = 1 << 20;
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
    allow: Option<Vec<AllowRule>>,
    floor: Option<TimeBasis>,
    skew_seconds: u32,
    max_trust_age_seconds: Option<u32>,
    known_good: BTreeSet<String>,
    digest: [u8; 32],
}

/// A policy's rules, those that it leaves to the trust store filled in.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) authorities: Vec<AuthorityRule>,
    allow: Vec<AllowRule>,
}

/// An authority that the policy accepts certificates of.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityRule {
    pub(crate) selector: Selector,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) floor: TimeBasis,
}

/// How a policy names an authority.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    /// By the trust store's name for it: every root it has.
    Name(String),
    /// By the SHA-256 of one root's public key: that root.
    Spki([u8; 32]),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Spki(digest) => f.write_str(&hex::encode(digest)),
        }
    }
}

/// Identities that may sign.
#[derive(Clone, Debug)]
struct AllowRule {
    identity: Pattern,
    except: Vec<Pattern>,
    authority: Option<String>,
    text: Arc<str>,
}

/// Which identities a rule speaks of.
#[derive(Clone, Debug)]
enum Pattern {
    Glob(Glob),
    /// All that begin with a text, in which nothing stands for anything else.
    Prefix(Box<str>),
}

impl Pattern {
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
    /// outside its range, an authority named in no way or in two.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let error = |span: Option<Range<usize>>, message: String| PolicyError::Rule {
            path: None,
            line: span.map(|span| line_of(text, span.start)),
            message,
        };
        if text.len() > POLICY_MAX {
            return Err(error(None, "the file is larger than 1 MiB".to_owned()));
        }
        let file: PolicyFile =
            toml::from_str(text).map_err(|e| error(e.span(), e.message().to_owned()))?;
        Self::from_file(file, sha256(text.as_bytes()))
            .map_err(|(span, message)| error(Some(span), message))
    }

    /// Makes the policy that the trust store alone implies.
    ///
    /// Each authority may speak for its own: one with a trust document for every identity of its
    /// trust domain, one pinned by certificates for every `wimse:` identity outside those domains,
    /// one that knows nothing of notme for addresses and web identities, and people's OpenPGP and
    /// SSH keys for addresses and themselves, so that these cannot name an agent. Short-lived
    /// certificates must be issuance-bound; who knows nothing of notme signs for long times and
    /// binds nothing, so such signatures may be `declared`.
    pub fn from_trust(trust: &Trust) -> Self {
        let mut policy = Self {
            authorities: Some(default_authorities(trust, None)),
            allow: Some(default_allow(trust)),
            floor: None,
            skew_seconds: SKEW_DEFAULT,
            max_trust_age_seconds: None,
            known_good: BTreeSet::new(),
            digest: [0; 32],
        };
        policy.digest = sha256(policy.to_string().as_bytes());
        policy
    }

    /// Returns the rules in force with a trust store.
    pub(crate) fn rules(&self, trust: &Trust) -> Rules {
        Rules {
            authorities: match &self.authorities {
                Some(rules) => rules.clone(),
                None => default_authorities(trust, self.floor),
            },
            allow: match &self.allow {
                Some(rules) => rules.clone(),
                None => default_allow(trust),
            },
        }
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

    fn from_file(file: PolicyFile, digest: [u8; 32]) -> Result<Self, (Range<usize>, String)> {
        let skew = file.skew_seconds;
        if *skew.as_ref() > SKEW_MAX {
            return Err((
                skew.span(),
                format!("`skew_seconds` is more than {SKEW_MAX}"),
            ));
        }
        let floor = file.time_basis_floor;
        let authority = |entry: Spanned<AuthorityEntry>| {
            let span = entry.span();
            AuthorityRule::from_entry(entry.into_inner(), floor.unwrap_or(FLOOR_DEFAULT))
                .map_err(|message| (span, message.to_owned()))
        };
        let allow = |entry: Spanned<AllowEntry>| {
            let (span, entry) = (entry.span(), entry.into_inner());
            if entry.identity.is_empty() || entry.except.iter().any(String::is_empty) {
                return Err((span, "an `[[allow]]` rule has an empty pattern".to_owned()));
            }
            let glob = |pattern: &String| Pattern::Glob(Glob::new(pattern));
            let except = entry.except.iter().map(glob).collect();
            Ok(AllowRule::new(
                glob(&entry.identity),
                except,
                entry.authority,
            ))
        };
        let has_authorities = file.authority.is_some();
        Ok(Self {
            authorities: file
                .authority
                .map(|entries| entries.into_iter().map(authority).collect())
                .transpose()?,
            allow: match file.allow {
                Some(entries) => Some(entries.into_iter().map(allow).collect::<Result<_, _>>()?),
                // Whoever lists authorities has begun to say who may sign, and has named nobody.
                None => has_authorities.then(Vec::new),
            },
            floor,
            skew_seconds: skew.into_inner(),
            max_trust_age_seconds: file.max_trust_age_seconds,
            known_good: file
                .known_good
                .into_iter()
                .map(object_id)
                .collect::<Result<_, _>>()?,
            digest,
        })
    }
}

impl Rules {
    /// Returns the rule that lets `identity`, vouched for by `authority`, sign.
    pub(crate) fn allows(&self, identity: &str, authority: &str) -> Option<&Arc<str>> {
        let fits = |rule: &&AllowRule| {
            let by = rule.authority.as_deref();
            by.is_none_or(|name| name == authority)
                && rule.identity.matches(identity)
                && !rule.except.iter().any(|except| except.matches(identity))
        };
        self.allow.iter().find(fits).map(|rule| &rule.text)
    }
}

/// Takes every authority of the store. Those that cannot be used are named too, so that their
/// signers are undecided and not strangers.
fn default_authorities(trust: &Trust, floor: Option<TimeBasis>) -> Vec<AuthorityRule> {
    let rule = |name: &str, default| AuthorityRule {
        selector: Selector::Name(name.to_owned()),
        scopes: None,
        floor: floor.unwrap_or(default),
    };
    let usable = trust.authorities().iter().map(|authority| {
        rule(
            authority.name(),
            match authority.kind() {
                PinKind::TrustDocument | PinKind::Pem => FLOOR_DEFAULT,
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
fn default_allow(trust: &Trust) -> Vec<AllowRule> {
    let domain = |authority: &Authority| {
        let domain = &authority.document()?.trust_domain;
        // A verified document has no other, and nothing else may become a prefix.
        is_trust_domain(domain).then(|| format!("wimse://{domain}/"))
    };
    let taken: Vec<_> = trust.authorities().iter().filter_map(domain).collect();
    let prefix = |text: &str| Pattern::Prefix(text.into());
    let rules = |authority: &Authority| {
        let rule = |text: &str, except: Vec<Pattern>| {
            AllowRule::new(prefix(text), except, Some(authority.name().to_owned()))
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
        }
    };
    trust.authorities().iter().flat_map(rules).collect()
}

/// Writes the policy as the TOML that would say the same.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |texts: Vec<String>| texts.join(", ");
        if let Some(floor) = self.floor {
            writeln!(f, "time_basis_floor = \"{floor}\"")?;
        }
        writeln!(f, "skew_seconds = {}", self.skew_seconds)?;
        if let Some(age) = self.max_trust_age_seconds {
            writeln!(f, "max_trust_age_seconds = {age}")?;
        }
        if !self.known_good.is_empty() {
            let ids = self.known_good.iter().map(|id| quoted(id)).collect();
            writeln!(f, "known_good = [{}]", list(ids))?;
        }
        match &self.authorities {
            Some(rules) if rules.is_empty() => writeln!(f, "authority = []")?,
            Some(_) | None => {}
        }
        match &self.allow {
            Some(rules) if rules.is_empty() => writeln!(f, "allow = []")?,
            Some(_) | None => {}
        }
        for rule in self.authorities.iter().flatten() {
            let key = match rule.selector {
                Selector::Name(_) => "name",
                Selector::Spki(_) => "spki_sha256",
            };
            let selector = quoted(&rule.selector.to_string());
            writeln!(f, "\n[[authority]]\n{key} = {selector}")?;
            if let Some(scopes) = &rule.scopes {
                let scopes = scopes.iter().map(|scope| quoted(scope)).collect();
                writeln!(f, "scopes = [{}]", list(scopes))?;
            }
            writeln!(f, "time_basis_floor = \"{}\"", rule.floor)?;
        }
        for rule in self.allow.iter().flatten() {
            let identity = quoted(&rule.identity.to_string());
            writeln!(f, "\n[[allow]]\nidentity = {identity}")?;
            if !rule.except.is_empty() {
                let except = rule.except.iter().map(|it| quoted(&it.to_string()));
                writeln!(f, "except = [{}]", list(except.collect()))?;
            }
            if let Some(name) = &rule.authority {
                writeln!(f, "authority = {}", quoted(name))?;
            }
        }
        Ok(())
    }
}

impl AuthorityRule {
    fn from_entry(entry: AuthorityEntry, floor: TimeBasis) -> Result<Self, &'static str> {
        let selector = match (entry.name, entry.spki_sha256) {
            (Some(name), None) => Selector::Name(name),
            (None, Some(digest)) => Selector::Spki(hex::decode_array(&digest).ok_or(
                "the `spki_sha256` of an `[[authority]]` is not 64 lower-case hex digits",
            )?),
            (Some(_), Some(_)) | (None, None) => {
                return Err("an `[[authority]]` has either a `name` or a `spki_sha256`");
            }
        };
        Ok(Self {
            selector,
            scopes: entry.scopes,
            floor: entry.time_basis_floor.unwrap_or(floor),
        })
    }
}

impl AllowRule {
    fn new(identity: Pattern, except: Vec<Pattern>, authority: Option<String>) -> Self {
        let text = match &authority {
            Some(name) => format!("allow {identity} by {name}"),
            None => format!("allow {identity}"),
        };
        Self {
            identity,
            except,
            authority,
            text: text.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    authority: Option<Vec<Spanned<AuthorityEntry>>>,
    allow: Option<Vec<Spanned<AllowEntry>>>,
    time_basis_floor: Option<TimeBasis>,
    #[serde(default = "default_skew")]
    skew_seconds: Spanned<u32>,
    max_trust_age_seconds: Option<u32>,
    #[serde(default)]
    known_good: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityEntry {
    name: Option<String>,
    spki_sha256: Option<String>,
    scopes: Option<Vec<String>>,
    time_basis_floor: Option<TimeBasis>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowEntry {
    identity: String,
    #[serde(default)]
    except: Vec<String>,
    authority: Option<String>,
}

/// Reads an object id of either hash; a short one would be a pattern.
fn object_id(id: Spanned<String>) -> Result<String, (Range<usize>, String)> {
    let (span, id) = (id.span(), id.into_inner());
    let is_whole = hex::decode_array::<20>(&id).is_some() || hex::decode_array::<32>(&id).is_some();
    match is_whole {
        true => Ok(id),
        false => Err((
            span,
            "`known_good` lists whole object ids: 40 or 64 lower-case hex digits".to_owned(),
        )),
    }
}

fn default_skew() -> Spanned<u32> {
    Spanned::new(0..0, SKEW_DEFAULT)
}

/// Returns a text as a TOML string, whatever is in it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
