//! The issuers that the operator names: a TOML file, read whole and strictly.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use notme_core::{glob::Glob, identity::AgentName, jws::JwsAlgorithm};
use serde::Deserialize;
use toml::Spanned;

use super::{claim::Claim, keys::is_fetchable, template::Template};
use crate::scope::{Scope, ScopeError, Scopes};

/// The longest file we read.
pub const OIDC_CONFIG_MAX: usize = 1 << 20;

/// Whose OpenID Connect tokens an authority takes, and what they are worth; nobody's by default.
#[derive(Clone, Debug, Default)]
pub struct OidcConfig {
    pub(super) issuers: Vec<IssuerConfig>,
    pub(crate) tokens: TokenConfig,
}

/// What `/token` is for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenConfig {
    /// For whom tokens may be; nobody by default.
    #[serde(default)]
    pub(crate) audiences: Names,
    /// The web origins whose pages may ask, besides those of the developer's own machine.
    #[serde(default)]
    pub(crate) origins: Names,
    /// Whether proofs must repeat a nonce of ours.
    #[serde(default)]
    pub(crate) require_nonce: bool,
}

/// Texts that stand in headers and in tokens.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(crate) struct Names(pub(crate) Vec<String>);

impl TryFrom<Vec<String>> for Names {
    type Error = &'static str;

    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        if !names.iter().all(|name| is_printable(name)) {
            return Err("`audiences` and `origins` are printable ASCII");
        }
        Ok(Self(names))
    }
}

/// One issuer.
#[derive(Clone, Debug)]
pub(super) struct IssuerConfig {
    pub(super) name: AgentName,
    pub(super) url: String,
    pub(super) audience: String,
    pub(super) keys: KeySource,
    pub(super) algorithms: Vec<JwsAlgorithm>,
    pub(super) github: Option<Github>,
    pub(super) grant: Terms,
    pub(super) allow: Vec<Rule>,
    pub(super) session_seconds: i64,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub(super) enum KeySource {
    File(PathBuf),
    Url {
        url: String,
        ca_file: Option<PathBuf>,
    },
    Discovery {
        ca_file: Option<PathBuf>,
    },
}

/// What is asked of the tokens of GitHub Actions besides.
#[derive(Clone, Debug)]
pub(super) struct Github {
    /// Whose repositories, in lower case; nobody's when empty.
    pub(super) owners: BTreeSet<String>,
    /// Events whose workflows may run a stranger's code with the owner's rights.
    pub(super) refused_events: BTreeSet<String>,
}

/// Who a workload becomes and what it may do.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) identity: Template,
    pub(super) scopes: Scopes,
}

/// Claims that let a workload in: all of them, each fitting one of its patterns.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) claims: Vec<(Claim, Vec<Glob>)>,
    pub(super) grant: Terms,
}

impl OidcConfig {
    /// Reads the file. Names of files in it are relative to `directory`.
    ///
    /// # Errors
    /// [`OidcConfigError`] with the line, for TOML that is no such file: an unknown key, a value
    /// outside its range, keys that contradict each other, two issuers of one name or URL.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, OidcConfigError> {
        let error = |span: Option<Range<usize>>, message: String| OidcConfigError {
            place: span.and_then(|span| Place::of(text, span.start)),
            message,
        };
        if text.len() > OIDC_CONFIG_MAX {
            return Err(error(None, "the file is larger than 1 MiB".to_owned()));
        }
        let file: File =
            toml::from_str(text).map_err(|e| error(e.span(), e.message().to_owned()))?;
        let mut issuers: Vec<IssuerConfig> = Vec::with_capacity(file.issuer.len());
        for entry in file.issuer {
            let span = entry.span();
            let issuer = entry
                .into_inner()
                .read(directory)
                .map_err(|mistake| error(Some(mistake.at.unwrap_or(span.clone())), mistake.what))?;
            let is_known =
                |known: &&IssuerConfig| known.name == issuer.name || known.url == issuer.url;
            if let Some(known) = issuers.iter().find(is_known) {
                let what = format!("issuer `{}` has this `name` or `url` already", known.name);
                return Err(error(Some(span), what));
            }
            issuers.push(issuer);
        }
        Ok(Self {
            issuers,
            tokens: file.token,
        })
    }
}

/// CI systems and clusters that we know.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    GithubActions,
    Gitlab,
    Buildkite,
    Kubernetes,
}

/// What a preset says that the file does not.
struct Defaults {
    name: &'static str,
    url: Option<&'static str>,
    /// Where the keys are below the issuer; `None`: where its discovery document says.
    keys: Option<&'static str>,
    algorithms: &'static [JwsAlgorithm],
    identity: &'static str,
}

impl Preset {
    const fn defaults(self) -> Defaults {
        match self {
            Self::GithubActions => Defaults {
                name: "gha",
                url: Some("https://token.actions.githubusercontent.com"),
                keys: Some("/.well-known/jwks"),
                algorithms: &[JwsAlgorithm::Rs256],
                identity: "gha/{+repository}",
            },
            Self::Gitlab => Defaults {
                name: "gitlab",
                url: Some("https://gitlab.com"),
                keys: None,
                algorithms: &[JwsAlgorithm::Rs256],
                identity: "gitlab/{+project_path}",
            },
            Self::Buildkite => Defaults {
                name: "buildkite",
                url: Some("https://agent.buildkite.com"),
                keys: None,
                algorithms: &[JwsAlgorithm::Rs256],
                identity: "buildkite/{organization_slug}/{pipeline_slug}",
            },
            Self::Kubernetes => Defaults {
                name: "k8s",
                url: None,
                keys: None,
                algorithms: &[JwsAlgorithm::Rs256, JwsAlgorithm::Es256],
                identity: "k8s/{/kubernetes.io/namespace}/{/kubernetes.io/serviceaccount/name}",
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    issuer: Vec<Spanned<IssuerEntry>>,
    #[serde(default)]
    token: TokenConfig,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerEntry {
    preset: Option<Preset>,
    name: Option<AgentName>,
    url: Option<Spanned<String>>,
    audience: Spanned<String>,
    jwks_url: Option<Spanned<String>>,
    jwks_file: Option<Spanned<PathBuf>>,
    ca_file: Option<Spanned<PathBuf>>,
    algorithms: Option<Spanned<Vec<AlgorithmEntry>>>,
    owners: Option<Spanned<Vec<String>>>,
    refused_events: Option<Spanned<Vec<String>>>,
    identity: Option<Template>,
    scopes: Option<ScopesEntry>,
    session_seconds: Option<Spanned<i64>>,
    #[serde(default)]
    allow: Vec<Spanned<AllowEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowEntry {
    claims: BTreeMap<Claim, Patterns>,
    identity: Option<Template>,
    scopes: Option<ScopesEntry>,
}

/// One pattern or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a pattern or a list of patterns")]
enum Patterns {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct AlgorithmEntry(JwsAlgorithm);

impl TryFrom<String> for AlgorithmEntry {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        JwsAlgorithm::from_name(&name)
            .map(Self)
            .ok_or("algorithms are `RS256`, `ES256` and `EdDSA`")
    }
}

#[derive(Clone, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct ScopesEntry(Scopes);

impl TryFrom<Vec<String>> for ScopesEntry {
    type Error = ScopeError;

    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        Scopes::from_names(names.iter().map(String::as_str)).map(Self)
    }
}

/// What is wrong, and where when not with the issuer as a whole.
struct Mistake {
    at: Option<Range<usize>>,
    what: String,
}

impl Mistake {
    fn of(what: impl Into<String>) -> Self {
        Self {
            at: None,
            what: what.into(),
        }
    }

    fn at<T>(value: &Spanned<T>, what: impl Into<String>) -> Self {
        Self {
            at: Some(value.span()),
            what: what.into(),
        }
    }
}

impl IssuerEntry {
    fn read(self, directory: &Path) -> Result<IssuerConfig, Mistake> {
        let defaults = self.preset.map(Preset::defaults);
        let url = self.url(defaults.as_ref())?;
        let keys = self.keys(&url, defaults.as_ref(), directory)?;
        let github = self.github()?;
        let session_seconds = match &self.session_seconds {
            None => SESSION_SECONDS,
            Some(seconds) if SESSION_RANGE.contains(seconds.as_ref()) => *seconds.as_ref(),
            Some(seconds) => {
                return Err(Mistake::at(seconds, "`session_seconds` is 60 to 86400"));
            }
        };
        if !is_printable(self.audience.as_ref()) {
            return Err(Mistake::at(&self.audience, "`audience` is printable ASCII"));
        }
        let algorithms = match self.algorithms {
            Some(list) if list.as_ref().is_empty() => {
                return Err(Mistake::at(&list, "`algorithms` names at least one"));
            }
            Some(list) => list.into_inner().into_iter().map(|it| it.0).collect(),
            None => defaults
                .as_ref()
                .map_or(&JwsAlgorithm::ALL[..], |it| it.algorithms)
                .to_vec(),
        };
        let name = match (self.name, &defaults) {
            (Some(name), _) => name,
            (None, Some(defaults)) => defaults.name.parse().map_err(|_| missing("name"))?,
            (None, None) => return Err(missing("name")),
        };
        let identity = match (self.identity, &defaults) {
            (Some(identity), _) => identity,
            (None, Some(defaults)) => {
                Template::try_from(defaults.identity.to_owned()).map_err(|_| missing("identity"))?
            }
            (None, None) => return Err(missing("identity")),
        };
        let scopes = match self.scopes {
            Some(entry) => entry.0,
            None => Scopes::only(Scope::BridgeCert),
        };
        let grant = Terms { identity, scopes };
        let allow = self
            .allow
            .into_iter()
            .map(|entry| AllowEntry::read(entry, &grant))
            .collect::<Result<_, _>>()?;
        Ok(IssuerConfig {
            name,
            url,
            audience: self.audience.into_inner(),
            keys,
            algorithms,
            github,
            grant,
            allow,
            session_seconds,
        })
    }

    fn url(&self, defaults: Option<&Defaults>) -> Result<String, Mistake> {
        let Some(url) = &self.url else {
            let url = defaults.and_then(|it| it.url).ok_or(missing("url"))?;
            return Ok(url.to_owned());
        };
        if !is_printable(url.as_ref()) {
            return Err(Mistake::at(url, "`url` is printable ASCII"));
        }
        Ok(url.as_ref().clone())
    }

    fn keys(
        &self,
        url: &str,
        defaults: Option<&Defaults>,
        directory: &Path,
    ) -> Result<KeySource, Mistake> {
        let ca_file = self
            .ca_file
            .as_ref()
            .map(|file| directory.join(file.as_ref()));
        if let Some(file) = &self.jwks_file {
            if self.jwks_url.is_some() {
                return Err(Mistake::at(
                    file,
                    "`jwks_file` and `jwks_url` are one too many",
                ));
            }
            if let Some(ca_file) = &self.ca_file {
                return Err(Mistake::at(
                    ca_file,
                    "`ca_file` is for keys that are fetched",
                ));
            }
            return Ok(KeySource::File(directory.join(file.as_ref())));
        }
        let preset = || defaults?.keys.map(|path| format!("{url}{path}"));
        let source = match &self.jwks_url {
            Some(url) => Some(url.as_ref().clone()),
            None => preset(),
        };
        let fetched = source.as_deref().unwrap_or(url);
        if !is_fetchable(fetched) {
            let what = format!("keys come from `https:`, not from `{fetched}`");
            return Err(Mistake {
                at: self
                    .jwks_url
                    .as_ref()
                    .or(self.url.as_ref())
                    .map(Spanned::span),
                what,
            });
        }
        Ok(match source {
            Some(url) => KeySource::Url { url, ca_file },
            None => KeySource::Discovery { ca_file },
        })
    }

    fn github(&self) -> Result<Option<Github>, Mistake> {
        if self.preset != Some(Preset::GithubActions) {
            let only = "is for preset `github-actions`";
            if let Some(owners) = &self.owners {
                return Err(Mistake::at(owners, format!("`owners` {only}")));
            }
            if let Some(events) = &self.refused_events {
                return Err(Mistake::at(events, format!("`refused_events` {only}")));
            }
            return Ok(None);
        }
        let list =
            |entry: &Option<Spanned<Vec<String>>>| entry.as_ref().map(|it| it.as_ref().clone());
        Ok(Some(Github {
            owners: list(&self.owners)
                .unwrap_or_default()
                .iter()
                .map(|owner| owner.to_ascii_lowercase())
                .collect(),
            refused_events: list(&self.refused_events)
                .unwrap_or_else(|| vec![REFUSED_EVENT.to_owned()])
                .into_iter()
                .collect(),
        }))
    }
}

impl AllowEntry {
    fn read(entry: Spanned<Self>, default: &Terms) -> Result<Rule, Mistake> {
        let span = entry.span();
        let here = |what: &str| Mistake {
            at: Some(span.clone()),
            what: what.to_owned(),
        };
        let entry = entry.into_inner();
        if entry.claims.is_empty() {
            return Err(here("an `[[issuer.allow]]` names at least one of `claims`"));
        }
        let mut claims = Vec::with_capacity(entry.claims.len());
        for (claim, patterns) in entry.claims {
            let patterns = match patterns {
                Patterns::One(one) => vec![one],
                Patterns::Several(several) => several,
            };
            if patterns.iter().all(String::is_empty) {
                return Err(here(&format!("claim `{claim}` has no pattern")));
            }
            claims.push((claim, patterns.iter().map(|it| Glob::new(it)).collect()));
        }
        Ok(Rule {
            claims,
            grant: Terms {
                identity: entry.identity.unwrap_or_else(|| default.identity.clone()),
                scopes: entry
                    .scopes
                    .map_or_else(|| default.scopes.clone(), |it| it.0),
            },
        })
    }
}

fn missing(key: &str) -> Mistake {
    Mistake::of(format!("`{key}` is missing"))
}

fn is_printable(text: &str) -> bool {
    (1..=TEXT_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The file does not say which issuers there are.
#[derive(Debug, thiserror::Error)]
#[error("{}{message}", Before(place))]
pub struct OidcConfigError {
    place: Option<Place>,
    message: String,
}

impl OidcConfigError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        "oidc-config-malformed"
    }

    /// Returns the line, counted from one.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }
}

/// A line of the file, with the key that is on it.
#[derive(Debug)]
struct Place {
    line: usize,
    text: String,
}

impl Place {
    fn of(text: &str, offset: usize) -> Option<Self> {
        let before = text.get(..offset)?;
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        Some(Self {
            line: before.matches('\n').count() + 1,
            text: text
                .get(begin..)?
                .lines()
                .next()?
                .trim()
                .chars()
                .take(80)
                .collect(),
        })
    }
}

struct Before<'a>(&'a Option<Place>);

impl fmt::Display for Before<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(place) => write!(f, "line {}, `{}`: ", place.line, place.text),
            None => Ok(()),
        }
    }
}

/// As long as the reference's certificates.
const SESSION_SECONDS: i64 = 300;
const SESSION_RANGE: std::ops::RangeInclusive<i64> = 60..=86_400;
/// It runs with the rights of the repository on behalf of whoever opened the pull request.
const REFUSED_EVENT: &str = "pull_request_target";
const TEXT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<OidcConfig, OidcConfigError> {
        OidcConfig::parse(text, Path::new("/etc/notme"))
    }

    #[test]
    fn presets_need_little() {
        let config = parse(
            r#"
[[issuer]]
preset = "github-actions"
audience = "notme.bot"
owners = ["Agentic-Research"]

[[issuer]]
preset = "gitlab"
audience = "https://auth.example.com"
[[issuer.allow]]
claims = { project_path = "group/*", ref_protected = "true" }
scopes = ["bridgeCert", "sign:git"]

[[issuer]]
preset = "buildkite"
audience = "a"
allow = [{ claims = { organization_slug = ["acme", "acme-*"] } }]

[[issuer]]
preset = "kubernetes"
url = "https://kubernetes.default.svc"
audience = "a"
jwks_file = "cluster.jwks"
allow = [{ claims = { "/kubernetes.io/namespace" = "ci" } }]
"#,
        )
        .unwrap();
        let names: Vec<_> = config.issuers.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["gha", "gitlab", "buildkite", "k8s"]);
        let [github, gitlab, buildkite, kubernetes] = config.issuers.as_slice() else {
            panic!();
        };
        let rules = github.github.as_ref().unwrap();
        assert!(rules.owners.contains("agentic-research"));
        assert!(rules.refused_events.contains("pull_request_target"));
        assert_eq!(github.session_seconds, 300);
        assert!(matches!(&github.keys, KeySource::Url { url, .. }
            if url == "https://token.actions.githubusercontent.com/.well-known/jwks"));
        assert_eq!(
            gitlab.allow[0].grant.scopes.to_string(),
            "bridgeCert sign:git"
        );
        assert!(matches!(
            &buildkite.keys,
            KeySource::Discovery { ca_file: None }
        ));
        assert!(matches!(&kubernetes.keys, KeySource::File(path)
            if path == Path::new("/etc/notme/cluster.jwks")));
    }

    #[test]
    fn the_documented_example_is_one() {
        let page = notme_testkit::testdata::text("../docs/formats/oidc.md");
        let (_, rest) = page.split_once("```toml\n").unwrap();
        let config = parse(rest.split_once("```").unwrap().0).unwrap();
        assert_eq!(config.issuers.len(), 3);
        assert_eq!(config.tokens.audiences.0.len(), 1);
    }

    #[test]
    fn nothing_is_nobody() {
        assert!(parse("").unwrap().issuers.is_empty());
        let silent = parse("[[issuer]]\npreset = \"github-actions\"\naudience = \"a\"\n").unwrap();
        assert!(silent.issuers[0].github.as_ref().unwrap().owners.is_empty());
        let silent = parse("[[issuer]]\npreset = \"gitlab\"\naudience = \"a\"\n").unwrap();
        assert!(silent.issuers[0].allow.is_empty());
    }

    #[test]
    fn mistakes_are_named_with_line_and_key() {
        let custom = "[[issuer]]\nname = \"x\"\nurl = \"https://x.example\"\naudience = \"a\"\nidentity = \"x/{sub}\"\n";
        assert!(parse(custom).is_ok());
        for (line, wrong, says) in [
            (6, "color = 1", "color"),
            (6, "session_seconds = 59", "session_seconds"),
            (6, "session_seconds = \"x\"", "session_seconds"),
            (6, "algorithms = [\"none\"]", "RS256"),
            (6, "algorithms = [\"HS256\"]", "RS256"),
            (6, "algorithms = []", "algorithms"),
            (6, "owners = [\"a\"]", "github-actions"),
            (6, "refused_events = []", "github-actions"),
            (6, "scopes = []", "scope"),
            (6, "scopes = [\"root\"]", "scopes are"),
            (6, "jwks_url = \"http://x.example/jwks\"", "https"),
            (6, "jwks_file = \"a\"\nca_file = \"b\"", "ca_file"),
            (
                6,
                "jwks_file = \"a\"\njwks_url = \"https://x.example/\"",
                "jwks_file",
            ),
            (6, "allow = [{ claims = {} }]", "claims"),
            (6, "allow = [{ claims = { a = [] } }]", "claim `a`"),
            (6, "allow = [{ claims = { a = \"\" } }]", "claim `a`"),
            (6, "allow = [{ claims = { a = 7 } }]", "pattern"),
            (
                6,
                "allow = [{ claims = { a = \"b\" }, identity = \"{a}{b}\" }]",
                "identity",
            ),
            (6, "[[issuer.allow]]\nscopes = [\"sign:git\"]", "claims"),
            (
                6,
                &custom.replace("https://x.example", "https://y.example"),
                "name",
            ),
            (6, &custom.replace("\"x\"", "\"y\""), "url"),
            (6, "[other]", "other"),
        ] {
            let error = parse(&format!("{custom}{wrong}\n")).unwrap_err();
            assert!(error.to_string().contains(says), "{wrong}: {error}");
            // A second issuer is wrong as a whole; others at the key or one line below.
            let at = error.line().unwrap();
            assert!((line..=line + 1).contains(&at), "{wrong}: {error}");
        }
        for (without, says) in [
            ("name", "name"),
            ("url", "url"),
            ("audience", "audience"),
            ("identity", "identity"),
        ] {
            let text: String = custom
                .lines()
                .filter(|line| !line.starts_with(without))
                .map(|line| format!("{line}\n"))
                .collect();
            let error = parse(&text).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.line(), Some(1), "{error}");
        }
        for (wrong, says) in [
            ("audiences = [\"\"]", "audiences"),
            ("origins = [\"a b\"]", "origins"),
            ("require_nonce = 1", "require_nonce"),
            ("lifetime = 1", "lifetime"),
        ] {
            let error = parse(&format!("[token]\n{wrong}\n")).unwrap_err();
            assert_eq!(error.line(), Some(2), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
        let large = parse(&"#".repeat(OIDC_CONFIG_MAX + 1)).unwrap_err();
        assert_eq!(
            (large.line(), large.code()),
            (None, "oidc-config-malformed")
        );
    }
}
