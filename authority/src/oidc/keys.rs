//! An issuer's keys: fetched when they are needed, kept for an hour, and fetched anew for a key
//! id that we don't know, but not more often than every half minute.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use notme_core::{jwk::Jwk, time::UnixTime};
use reqwest::redirect;
use serde_json::Value;

use super::config::KeySource;
use crate::clock::Clock;

/// The keys of one issuer.
pub(super) struct Keys {
    source: Source,
    clock: Arc<dyn Clock>,
    cache: RwLock<Cache>,
    /// Held by the one that fetches; the others wait for what it brings.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

enum Source {
    File(PathBuf),
    Url(Fetcher, String),
    /// The issuer, whose discovery document names the URL.
    Discovery(Fetcher, String),
}

#[derive(Clone, Default)]
struct Cache {
    keys: Arc<Vec<Jwk>>,
    fetched_at: Option<UnixTime>,
    /// When it was last tried, with success or without.
    tried_at: Option<UnixTime>,
}

impl Cache {
    fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// Tells whether the last try was in vain.
    fn has_failed(&self) -> bool {
        self.tried_at.is_some() && self.tried_at != self.fetched_at
    }

    fn is_younger(&self, age: i64, now: UnixTime) -> bool {
        self.fetched_at.is_some_and(|at| is_within(at, age, now))
    }
}

/// Tells whether `now` is in the seconds from `at` on; a clock set back is not.
fn is_within(at: UnixTime, seconds: i64, now: UnixTime) -> bool {
    (at..at.plus(seconds)).contains(&now)
}

impl Keys {
    /// Prepares. A file is read now, so that one that is wrong is noticed at the start.
    pub(super) fn open(
        issuer: &str,
        source: &KeySource,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeysError> {
        let mut cache = Cache::default();
        let source = match source {
            KeySource::File(path) => {
                cache.keys = Arc::new(read_file(path)?);
                cache.fetched_at = Some(clock.now());
                Source::File(path.clone())
            }
            KeySource::Url { url, ca_file } => {
                Source::Url(Fetcher::new(url, ca_file.as_deref())?, url.clone())
            }
            KeySource::Discovery { ca_file } => {
                Source::Discovery(Fetcher::new(issuer, ca_file.as_deref())?, issuer.to_owned())
            }
        };
        Ok(Self {
            source,
            clock,
            cache: RwLock::new(cache),
            fetching: Arc::default(),
        })
    }

    /// Returns the keys of a key id; none when the issuer has none of that id.
    pub(super) async fn find(self: &Arc<Self>, kid: &str) -> Result<Vec<Jwk>, KeysError> {
        let is_good = |cache: &Cache, now| cache.has(kid) && cache.is_younger(KEPT, now);
        if !is_good(&self.cached(), self.clock.now()) {
            let fetching = self.fetching.clone().lock_owned().await;
            // Somebody else may have fetched them meanwhile, or just tried to.
            let (cache, now) = (self.cached(), self.clock.now());
            let just_tried = cache.tried_at.is_some_and(|at| is_within(at, PAUSE, now));
            if !is_good(&cache, now) && !just_tried {
                let keys = self.clone();
                // On its own: a caller that hangs up must neither stop it nor make it begin anew.
                let refreshing = tokio::spawn(async move {
                    let _fetching = fetching;
                    keys.refresh(cache, now).await
                });
                refreshing.await.unwrap_or(Err(KeysError::NotFetched))?;
            }
        }
        let cache = self.cached();
        if !cache.is_younger(KEPT_UNREACHABLE, self.clock.now()) {
            return Err(KeysError::NotFetched);
        }
        let fits = |key: &&Jwk| key.kid() == Some(kid);
        let found: Vec<_> = cache.keys.iter().filter(fits).cloned().collect();
        // The issuer may have such a key by now, and could not say so.
        if found.is_empty() && cache.has_failed() {
            return Err(KeysError::NotFetched);
        }
        Ok(found)
    }

    fn cached(&self) -> Cache {
        self.cache
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Fetches. When that fails, what is there goes on for a day: the issuer's trouble is not its
    /// workloads'.
    async fn refresh(&self, mut cache: Cache, now: UnixTime) -> Result<(), KeysError> {
        let fetched = self.fetch().await;
        cache.tried_at = Some(now);
        let failed = match fetched {
            Ok(keys) => {
                cache.keys = Arc::new(keys);
                cache.fetched_at = Some(now);
                None
            }
            Err(error) => Some(error),
        };
        let goes_on = cache.is_younger(KEPT_UNREACHABLE, now);
        *self.cache.write().unwrap_or_else(PoisonError::into_inner) = cache;
        failed.filter(|_| !goes_on).map_or(Ok(()), Err)
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, KeysError> {
        match &self.source {
            Source::File(path) => read_file(path),
            Source::Url(fetcher, url) => parse(&fetcher.get(url).await?, url),
            Source::Discovery(fetcher, issuer) => {
                let base = issuer.trim_end_matches('/');
                let place = format!("{base}/.well-known/openid-configuration");
                let document: Value = serde_json::from_slice(&fetcher.get(&place).await?)
                    .map_err(|_| KeysError::malformed(&place))?;
                // OpenID Connect Discovery section 4.3: the two must be the same.
                let names = |name| document.get(name).and_then(Value::as_str);
                let (Some(named), Some(url)) = (names("issuer"), names("jwks_uri")) else {
                    return Err(KeysError::malformed(&place));
                };
                if named != issuer || !may_name(issuer, url) {
                    return Err(KeysError::malformed(&place));
                }
                parse(&fetcher.get(url).await?, url)
            }
        }
    }
}

/// Gets documents of an issuer: small ones, from where it says, soon or not at all.
struct Fetcher(reqwest::Client);

impl Fetcher {
    fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, KeysError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("notme/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none());
        if let Some(path) = ca_file {
            let pem = fs::read(path).map_err(|source| KeysError::File {
                path: path.to_owned(),
                source,
            })?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem);
            builder = builder.tls_certs_only(roots.map_err(KeysError::Setup)?);
        } else if url.starts_with("http:") {
            // This machine: no proxy, no TLS, and no roots to load.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        builder.build().map(Self).map_err(KeysError::Setup)
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, KeysError> {
        let failed = |source| KeysError::Unreachable {
            url: url.to_owned(),
            source,
        };
        let answer = self.0.get(url).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(KeysError::Status {
                url: url.to_owned(),
                status: answer.status().as_u16(),
            });
        }
        let mut answer = answer;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > DOCUMENT_MAX {
                return Err(KeysError::malformed(url));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// Tells whether documents may be fetched from a URL: nobody on the way can have changed them.
pub(super) fn is_fetchable(url: &str) -> bool {
    let Ok(url) = url.parse::<reqwest::Url>() else {
        return false;
    };
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let is_loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    is_bare && (url.scheme() == "https" || url.scheme() == "http" && is_loopback)
}

/// Tells whether the keys of an issuer may be at a URL that its discovery document names: one out
/// in the world has no business with this machine.
fn may_name(issuer: &str, url: &str) -> bool {
    is_fetchable(url) && (url.starts_with("https:") || issuer.starts_with("http:"))
}

fn read_file(path: &Path) -> Result<Vec<Jwk>, KeysError> {
    let failed = |source| KeysError::File {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(DOCUMENT_MAX).unwrap_or(u64::MAX);
    io::Read::read_to_end(&mut io::Read::take(file, limit + 1), &mut bytes).map_err(failed)?;
    parse(&bytes, &path.display().to_string())
}

/// Reads a JWK set, leaving out the keys that we cannot use.
fn parse(json: &[u8], place: &str) -> Result<Vec<Jwk>, KeysError> {
    let set: Option<Value> = Some(json)
        .filter(|json| json.len() <= DOCUMENT_MAX)
        .and_then(|json| serde_json::from_slice(json).ok());
    let keys = set
        .as_ref()
        .and_then(|set| set.get("keys"))
        .and_then(Value::as_array)
        .filter(|keys| keys.len() <= KEYS_MAX)
        .ok_or_else(|| KeysError::malformed(place))?;
    Ok(keys
        .iter()
        .filter_map(|key| Jwk::from_value(key).ok())
        .collect())
}

/// Why an issuer's keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file cannot be read.
    #[error("could not read `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is there is not a JWK set of at most 100 keys and 256 KiB, or a discovery document of
    /// another issuer.
    #[error("what is at `{place}` is not the keys of the issuer")]
    Malformed {
        /// The file or the URL.
        place: String,
    },
    /// They could not be fetched a moment ago.
    #[error("the keys of the issuer could not be fetched a moment ago")]
    NotFetched,
    /// The HTTP client cannot be set up.
    #[error("could not set up the connection to the issuer")]
    Setup(#[source] reqwest::Error),
    /// The issuer answered something else.
    #[error("`{url}` answers with status {status}")]
    Status {
        /// The URL.
        url: String,
        /// The status.
        status: u16,
    },
    /// The issuer did not answer.
    #[error("could not reach `{url}`")]
    Unreachable {
        /// The URL.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
}

impl KeysError {
    fn malformed(place: &str) -> Self {
        Self::Malformed {
            place: place.to_owned(),
        }
    }

    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } | Self::Malformed { .. } => "oidc-keys-unreadable",
            Self::NotFetched | Self::Setup(_) | Self::Status { .. } | Self::Unreachable { .. } => {
                "oidc-keys-unreachable"
            }
        }
    }
}

/// How long keys are used without asking again, in seconds.
const KEPT: i64 = 3_600;
/// How long they are used when the issuer cannot be asked, in seconds.
const KEPT_UNREACHABLE: i64 = 86_400;
/// How long it is not asked again after it was, in seconds.
const PAUSE: i64 = 30;
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
const DOCUMENT_MAX: usize = 256 * 1024;
const KEYS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_over_tls_or_from_this_machine() {
        for good in [
            "https://a.example/x",
            "http://localhost:1/x",
            "http://127.0.0.1/x",
            "http://[::1]:8080/",
        ] {
            assert!(is_fetchable(good), "{good}");
        }
        for bad in [
            "",
            "http://a.example/",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "https://user@a.example/",
            "https://a.example/#x",
            "file:///etc/passwd",
            "ftp://a.example/",
            "a.example",
        ] {
            assert!(!is_fetchable(bad), "{bad}");
        }
    }

    #[test]
    fn an_issuer_in_the_world_names_no_place_on_this_machine() {
        let (world, here) = ("https://a.example", "http://127.0.0.1:1");
        assert!(may_name(world, "https://keys.example/jwks"));
        assert!(may_name(here, "http://127.0.0.1:1/jwks"));
        assert!(!may_name(world, "http://127.0.0.1:1/jwks"));
        assert!(!may_name(here, "http://a.example/jwks"));
    }

    #[test]
    fn keys_that_we_cannot_use_are_left_out_and_sets_that_are_none_refused() {
        let good = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let set = format!(r#"{{"keys":[{good},{{"kty":"oct","k":"AA"}},7]}}"#);
        assert_eq!(parse(set.as_bytes(), "").unwrap().len(), 1);
        let many = format!(r#"{{"keys":[{}]}}"#, vec![good; KEYS_MAX + 1].join(","));
        let large = format!("{}{}", " ".repeat(DOCUMENT_MAX), set);
        for bad in ["", "{}", "[]", r#"{"keys":{}}"#, &many, &large] {
            assert!(parse(bad.as_bytes(), "").is_err());
        }
    }
}
