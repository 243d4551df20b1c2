//! What the person asking accepts: which authorities, which identities, how well timed.
//!
//! ```toml
//! time_basis_floor = "issuance-bound"   # the default
//! skew_seconds = 60                     # the default
//! max_trust_age_seconds = 604800        # default: what the trust document itself says
//!
//! [[authority]]
//! name = "local"                        # or spki_sha256 = "<64 hex>"
//! scopes = ["sign:git"]                 # default: those of the pin
//! time_basis_floor = "declared"         # default: the floor above
//!
//! [[allow]]
//! identity = "wimse://example.org/agent/alice/*"
//! authority = "local"                   # default: any authority listed
//! ```
//!
//! Nothing is allowed that is not listed; an empty list is nobody.

mod glob;

use std::{fmt, ops::Range, sync::Arc};

use notme_core::{hex, key::sha256};
use serde::{Deserialize, Serialize};
use toml::Spanned;

pub use self::glob::Glob;
use crate::{
    trust::{Authority, PinKind, Trust},
    verdict::{Code, TimeBasis},
};

/// The longest policy file we read.
pub const POLICY_MAX: usize = 1 << 20;
/// How far clocks may differ unless the policy says otherwise.
const SKEW_DEFAULT: u32 = 60;
/// More skew than a day would stop being skew.
const SKEW_MAX: u32 = 24 * 3600;

/// A policy in force. Default deny: what no rule names is not accepted.
#[derive(Debug)]
pub struct Policy {
    authorities: Vec<AuthorityRule>,
    allow: Vec<AllowRule>,
    skew_seconds: u32,
    max_trust_age_seconds: Option<u32>,
    digest: [u8; 32],
}

/// An authority that the policy accepts certificates of.
#[derive(Debug)]
pub(crate) struct AuthorityRule {
    pub(crate) selector: Selector,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) floor: TimeBasis,
}

/// How a policy names an authority.
#[derive(Debug)]
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

/// An identity pattern that may sign.
#[derive(Debug)]
struct AllowRule {
    identity: Glob,
    authority: Option<String>,
    text: Arc<str>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`] with the line, for TOML that is not a policy: an unknown key, a value
    /// outside its range, an authority named in no way or in two.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let error = |span: Option<Range<usize>>, message: String| PolicyError {
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
    /// trust domain, one pinned by certificates for every `wimse:` identity, one that knows
    /// nothing of notme for addresses and web identities, and people's OpenPGP and SSH
    /// keys for addresses and themselves, so that these cannot name an agent.
    /// Short-lived certificates must be issuance-bound; the last kind issues for long times and
    /// binds nothing, so its certificates may be `declared`.
    pub fn from_trust(trust: &Trust) -> Self {
        let identities = |authority: &Authority| match (authority.kind(), authority.document()) {
            (_, Some(document)) => vec![format!("wimse://{}/*", document.trust_domain)],
            (PinKind::X509, None) => vec!["mailto:*".to_owned(), "https://*".to_owned()],
            (PinKind::OpenPgp, None) => vec!["mailto:*".to_owned(), "openpgp4fpr:*".to_owned()],
            (PinKind::AllowedSigners, None) => vec!["mailto:*".to_owned(), "ssh-key:*".to_owned()],
            (PinKind::Pem | PinKind::TrustDocument, None) => vec!["wimse://*".to_owned()],
        };
        let rule = |name: &str, floor| AuthorityRule {
            selector: Selector::Name(name.to_owned()),
            scopes: None,
            floor,
        };
        let usable = trust.authorities().iter().map(|authority| {
            rule(
                authority.name(),
                match authority.kind() {
                    PinKind::TrustDocument | PinKind::Pem => TimeBasis::IssuanceBound,
                    PinKind::X509 | PinKind::OpenPgp | PinKind::AllowedSigners => {
                        TimeBasis::Declared
                    }
                },
            )
        });
        // Named too, so that their signers are undecided and not strangers.
        let unusable = trust
            .faults()
            .iter()
            .map(|fault| rule(&fault.name, TimeBasis::IssuanceBound));
        let allow = trust.authorities().iter().flat_map(|authority| {
            let rule =
                |identity: String| AllowRule::new(&identity, Some(authority.name().to_owned()));
            identities(authority).into_iter().map(rule)
        });
        let mut policy = Self {
            authorities: usable.chain(unusable).collect(),
            allow: allow.collect(),
            skew_seconds: SKEW_DEFAULT,
            max_trust_age_seconds: None,
            digest: [0; 32],
        };
        policy.digest = sha256(policy.to_string().as_bytes());
        policy
    }

    /// Returns how far clocks may differ, in seconds.
    pub fn skew_seconds(&self) -> u32 {
        self.skew_seconds
    }

    /// Returns how old a trust document may be, when the policy and not the document decides.
    pub fn max_trust_age_seconds(&self) -> Option<u32> {
        self.max_trust_age_seconds
    }

    /// Returns `sha256:<hex>` of the file, or of the text of a policy made from the trust store.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(&self.digest))
    }

    /// Returns the rule that lets `identity`, vouched for by `authority`, sign.
    pub(crate) fn allows(&self, identity: &str, authority: &str) -> Option<&Arc<str>> {
        self.allow
            .iter()
            .find(|rule| {
                rule.authority
                    .as_deref()
                    .is_none_or(|name| name == authority)
                    && rule.identity.matches(identity)
            })
            .map(|rule| &rule.text)
    }

    pub(crate) fn authorities(&self) -> &[AuthorityRule] {
        &self.authorities
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
        let authorities = file
            .authority
            .into_iter()
            .map(|entry| {
                let span = entry.span();
                AuthorityRule::from_entry(entry.into_inner(), floor)
                    .map_err(|message| (span, message.to_owned()))
            })
            .collect::<Result<_, _>>()?;
        let allow = file
            .allow
            .into_iter()
            .map(|entry| {
                let (span, entry) = (entry.span(), entry.into_inner());
                if entry.identity.is_empty() {
                    return Err((span, "`identity` is empty".to_owned()));
                }
                Ok(AllowRule::new(&entry.identity, entry.authority))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            authorities,
            allow,
            skew_seconds: skew.into_inner(),
            max_trust_age_seconds: file.max_trust_age_seconds,
            digest,
        })
    }
}

/// Writes the policy as the TOML that would say the same.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "skew_seconds = {}", self.skew_seconds)?;
        if let Some(age) = self.max_trust_age_seconds {
            writeln!(f, "max_trust_age_seconds = {age}")?;
        }
        for rule in &self.authorities {
            let key = match rule.selector {
                Selector::Name(_) => "name",
                Selector::Spki(_) => "spki_sha256",
            };
            let selector = quoted(&rule.selector.to_string());
            writeln!(f, "\n[[authority]]\n{key} = {selector}")?;
            if let Some(scopes) = &rule.scopes {
                let scopes: Vec<_> = scopes.iter().map(|scope| quoted(scope)).collect();
                writeln!(f, "scopes = [{}]", scopes.join(", "))?;
            }
            writeln!(f, "time_basis_floor = \"{}\"", rule.floor)?;
        }
        for rule in &self.allow {
            let identity = quoted(&rule.identity.to_string());
            writeln!(f, "\n[[allow]]\nidentity = {identity}")?;
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
            (None, Some(digest)) => Selector::Spki(
                hex::decode_array(&digest)
                    .ok_or("`spki_sha256` is not 64 lower-case hex digits")?,
            ),
            (Some(_), Some(_)) | (None, None) => {
                return Err("an authority has either a `name` or a `spki_sha256`");
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
    fn new(identity: &str, authority: Option<String>) -> Self {
        let text = match &authority {
            Some(name) => format!("allow {identity} by {name}"),
            None => format!("allow {identity}"),
        };
        Self {
            identity: Glob::new(identity),
            authority,
            text: text.into(),
        }
    }
}

/// The file is not a policy that can be applied.
#[derive(Debug, thiserror::Error)]
pub struct PolicyError {
    line: Option<usize>,
    message: String,
}

impl PolicyError {
    pub(crate) fn unreadable(message: String) -> Self {
        Self {
            line: None,
            message,
        }
    }

    /// Returns the code of the verdict that nobody could reach.
    pub fn code(&self) -> &'static str {
        Code::PolicyUnreadable.as_str()
    }

    /// Returns the line, counted from one.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    authority: Vec<Spanned<AuthorityEntry>>,
    #[serde(default)]
    allow: Vec<Spanned<AllowEntry>>,
    #[serde(default = "default_floor")]
    time_basis_floor: TimeBasis,
    #[serde(default = "default_skew")]
    skew_seconds: Spanned<u32>,
    max_trust_age_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityEntry {
    name: Option<String>,
    spki_sha256: Option<String>,
    scopes: Option<Vec<String>>,
    time_basis_floor: Option<TimeBasis>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AllowEntry {
    identity: String,
    authority: Option<String>,
}

fn default_floor() -> TimeBasis {
    TimeBasis::IssuanceBound
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
