//! From a token to what its bearer may have.

use std::sync::Arc;

use notme_core::{
    hex,
    identity::{AgentName, Identity},
    jws::{Jws, JwsAlgorithm},
    key::sha256,
    time::UnixTime,
};
use serde_json::{Map, Value};

use super::{
    config::{Github, IssuerConfig, OidcConfig, Rule, Terms},
    keys::{Keys, KeysError},
    token::{TokenError, check_header, check_shape, check_times_and_audience, invalid, shown},
};
use crate::{
    clock::Clock,
    denial::Denial,
    scope::Scopes,
    store::{SpentToken, remembered_until},
};

/// The issuers whose tokens we take.
pub(crate) struct Issuers(Vec<Issuer>);

struct Issuer {
    config: IssuerConfig,
    keys: Arc<Keys>,
}

/// Which issuers a route is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Among {
    All,
    GithubActions,
}

impl Issuers {
    /// Prepares the issuers of a configuration.
    pub(crate) fn open(config: &OidcConfig, clock: &Arc<dyn Clock>) -> Result<Self, KeysError> {
        let open = |config: &IssuerConfig| {
            Ok(Issuer {
                keys: Arc::new(Keys::open(&config.url, &config.keys, clock.clone())?),
                config: config.clone(),
            })
        };
        config
            .issuers
            .iter()
            .map(open)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Checks a token: who issued it, for whom, when, and the signature. What it is worth is
    /// [`Workload::permit`]'s to say; nothing is spent.
    pub(crate) async fn verify(
        &self,
        token: &str,
        among: Among,
        now: UnixTime,
    ) -> Result<Workload<'_>, VerifyError> {
        let parsed = Jws::parse(token).map_err(|_| TokenError::Malformed)?;
        let claims = parsed.claims();
        let named = claims.get("iss");
        let is_meant = |issuer: &&Issuer| {
            let is_among = among == Among::All || issuer.config.github.is_some();
            is_among && named.is_some_and(|name| *name == *issuer.config.url)
        };
        let issuer = self.0.iter().find(is_meant);
        // As the reference has it, the algorithm comes before the issuer.
        let allowed = issuer.map_or(&JwsAlgorithm::ALL[..], |issuer| &issuer.config.algorithms);
        let algorithm = check_header(&parsed, allowed)?;
        let issuer = issuer.ok_or_else(|| TokenError::Issuer(shown(named)))?;
        check_times_and_audience(claims, &issuer.config.audience, now)?;

        let kid = parsed.header_text("kid");
        let unknown = || TokenError::KeyId(shown(parsed.header("kid")));
        let keys = issuer.keys.find(kid.ok_or_else(unknown)?).await?;
        let keys: Vec<_> = keys.iter().filter(|key| key.is_for(algorithm)).collect();
        if keys.is_empty() {
            return Err(unknown().into());
        }
        if !keys
            .iter()
            .any(|key| parsed.verify(algorithm, key.public_key()).is_ok())
        {
            return Err(TokenError::Signature.into());
        }
        let expires_at = check_shape(claims, now)?;
        if issuer.config.github.is_some() {
            check_github_shape(claims)?;
        }
        Ok(Workload {
            issuer: &issuer.config,
            signing_input_sha256: sha256(parsed.signing_input().as_bytes()),
            claims: claims.clone(),
            expires_at,
        })
    }
}

/// A workload, as a token that was checked describes it.
#[derive(Debug)]
pub(crate) struct Workload<'a> {
    issuer: &'a IssuerConfig,
    claims: Map<String, Value>,
    signing_input_sha256: [u8; 32],
    expires_at: UnixTime,
}

/// What a workload may have.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) identity: Identity,
    pub(crate) scopes: Scopes,
    /// The workload as its issuer names it.
    pub(crate) subject: String,
    pub(crate) agent: AgentName,
    pub(crate) auth_method: String,
    pub(crate) session_seconds: i64,
}

impl Workload<'_> {
    /// Decides what the workload may have.
    pub(crate) fn permit(&self, trust_domain: &str) -> Result<Grant, Denial> {
        let terms = match &self.issuer.github {
            Some(github) => {
                self.check_github(github)?;
                match self.issuer.allow.as_slice() {
                    [] => &self.issuer.grant,
                    rules => self.matching(rules)?,
                }
            }
            None => self.matching(&self.issuer.allow)?,
        };
        Ok(Grant {
            identity: terms
                .identity
                .expand(trust_domain, &self.claims)
                .map_err(|error| TokenError::Claims(error.to_string()))?,
            scopes: terms.scopes.clone(),
            subject: self.text("sub").unwrap_or_default().to_owned(),
            agent: self.issuer.name.clone(),
            auth_method: match &self.issuer.github {
                Some(_) => GITHUB_METHOD.to_owned(),
                None => format!("oidc:{}", self.issuer.url),
            },
            session_seconds: self.issuer.session_seconds,
        })
    }

    fn check_github(&self, github: &Github) -> Result<(), Denial> {
        let owner = self.text("repository_owner").unwrap_or_default();
        if !github.owners.contains(&owner.to_ascii_lowercase()) {
            return Err(Denial::OwnerNotPermitted);
        }
        let event = self.text("event_name").unwrap_or_default();
        if github.refused_events.contains(event) {
            return Err(Denial::EventNotPermitted);
        }
        Ok(())
    }

    fn matching<'r>(&self, rules: &'r [Rule]) -> Result<&'r Terms, Denial> {
        let fits = |rule: &&Rule| {
            rule.claims.iter().all(|(claim, patterns)| {
                claim
                    .text(&self.claims)
                    .is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(&text)))
            })
        };
        let rule = rules.iter().find(fits);
        rule.map(|rule| &rule.grant)
            .ok_or(Denial::ClaimsNotPermitted)
    }

    /// Returns what is kept so that the token is used once: its `jti`, and where issuers write
    /// none, the digest of what is signed.
    pub(crate) fn spent(&self, now: UnixTime) -> Result<SpentToken, Denial> {
        let jti = self.text("jti").unwrap_or_default();
        let url = &self.issuer.url;
        // The URL has no NUL, so no two of these texts are the same.
        let digest = match (jti, &self.issuer.github) {
            ("", Some(_)) => return Err(Denial::JtiMissing),
            ("", None) => {
                let token = hex::encode(&self.signing_input_sha256);
                sha256(format!("oidc\0{url}\0token\0{token}").as_bytes())
            }
            (jti, _) => sha256(format!("oidc\0{url}\0jti\0{jti}").as_bytes()),
        };
        Ok(SpentToken {
            digest,
            kept_until: remembered_until(now, self.expires_at),
        })
    }

    /// Returns a claim that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }
}

/// Checks that the claims of GitHub Actions are there, and that the repository is one of its owner.
fn check_github_shape(claims: &Map<String, Value>) -> Result<(), TokenError> {
    for name in GITHUB_REQUIRED {
        if !claims.get(name).is_some_and(Value::is_string) {
            return Err(invalid(name));
        }
    }
    for name in GITHUB_OPTIONAL {
        if !claims.get(name).is_none_or(Value::is_string) {
            return Err(invalid(name));
        }
    }
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    // Else two repositories could share an identity.
    let is_its_own = text("repository")
        .split_once('/')
        .is_some_and(|(owner, name)| {
            owner.eq_ignore_ascii_case(text("repository_owner"))
                && is_plain(owner)
                && is_plain(name)
        });
    if !is_its_own {
        return Err(invalid("repository"));
    }
    Ok(())
}

/// Why a token was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    /// Its issuer's keys cannot be had: it may be good.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// It is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// How notme says that GitHub vouched.
const GITHUB_METHOD: &str = "gha-oidc";
const GITHUB_REQUIRED: [&str; 10] = [
    "sub",
    "repository",
    "repository_owner",
    "ref",
    "sha",
    "actor",
    "workflow",
    "job_workflow_ref",
    "run_id",
    "event_name",
];
const GITHUB_OPTIONAL: [&str; 10] = [
    "jti",
    "repository_owner_id",
    "actor_id",
    "workflow_ref",
    "workflow_sha",
    "run_number",
    "run_attempt",
    "environment",
    "runner_environment",
    "repository_id",
];
