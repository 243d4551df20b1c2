//! The HTTP client of an authority.

use std::{borrow::Cow, cell::RefCell, error::Error as _, fs, io, path::PathBuf, time::Duration};

use notme_core::{
    certificate::{Certificate, CertificateError},
    enrol::{
        EnrolRequest, EnrolResponse, IssueRequest, IssueResponse, PairRequest, PairResponse,
        Refusal, RenewRequest,
    },
    timestamp::TimeStampRequest,
};
use notme_local::SocketPath;
use reqwest::{Method, StatusCode, header, redirect};
use serde::{Serialize, de::DeserializeOwned};

use crate::{authority_address::AuthorityAddress, authority_url::AuthorityUrl, session::Token};

/// Asks one authority. The HTTP client is built at the first question and keeps its connection.
#[derive(Debug)]
pub(crate) struct AuthorityClient {
    address: AuthorityAddress,
    ca_file: Option<PathBuf>,
    http: RefCell<Option<Http>>,
}

#[derive(Clone, Debug)]
struct Http {
    client: reqwest::Client,
    _socket: std::rc::Rc<Option<SocketPath>>,
}

impl AuthorityClient {
    /// Returns the client of an authority. Nothing is opened yet.
    pub(crate) fn new(address: AuthorityAddress, ca_file: Option<PathBuf>) -> Self {
        Self {
            address,
            ca_file,
            http: RefCell::new(None),
        }
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) async fn fetch(
        &self,
        document: Document,
        timeout: Duration,
    ) -> Result<Vec<u8>, AuthorityError> {
        Ok(self.fetch_dated(document, timeout).await?.document)
    }

    /// Fetches a document, with the time of day that it came with.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) async fn fetch_dated(
        &self,
        document: Document,
        timeout: Duration,
    ) -> Result<Dated, AuthorityError> {
        let body = Body::of(JSON, Vec::new());
        self.ask_dated(Method::GET, &document.path(), body, timeout)
            .await
    }

    /// Fetches the certificates of the roots, where they are published.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) async fn roots(
        &self,
        document: Document,
        timeout: Duration,
    ) -> Result<Vec<Certificate>, AuthorityError> {
        let bundle = self.fetch(document, timeout).await?;
        let bundle = String::from_utf8(bundle).map_err(|_| AuthorityError::NotText)?;
        Certificate::pem_bundle(&bundle).map_err(AuthorityError::CaBundle)
    }

    /// Opens a session.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) async fn enrol(
        &self,
        request: &EnrolRequest,
        timeout: Duration,
    ) -> Result<EnrolResponse, AuthorityError> {
        self.post("/v1/enrol", request, timeout).await
    }

    /// Renews a session's certificates.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) async fn renew(
        &self,
        request: &RenewRequest,
        timeout: Duration,
    ) -> Result<EnrolResponse, AuthorityError> {
        self.post("/v1/renew", request, timeout).await
    }

    /// Gets a certificate for one payload.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) async fn issue(
        &self,
        request: &IssueRequest,
        timeout: Duration,
    ) -> Result<IssueResponse, AuthorityError> {
        self.post("/v1/issue", request, timeout).await
    }

    /// Gets the reply to a request for a time stamp.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) async fn time_stamp(
        &self,
        request: &TimeStampRequest,
        timeout: Duration,
    ) -> Result<Vec<u8>, AuthorityError> {
        let body = Body::of(TIME_STAMP_QUERY, request.to_der());
        self.ask(Method::POST, "/tsa", body, timeout).await
    }

    /// Gets a pair of certificates for a token.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) async fn pair(
        &self,
        token: &Token,
        request: &PairRequest,
        timeout: Duration,
    ) -> Result<PairResponse, AuthorityError> {
        let body = Body {
            bearer: Some(token),
            ..Body::of(
                JSON,
                serde_json::to_vec(request).map_err(AuthorityError::Json)?,
            )
        };
        let answer = self.ask(Method::POST, "/cert/gha", body, timeout).await?;
        serde_json::from_slice(&answer).map_err(AuthorityError::Json)
    }

    async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, AuthorityError> {
        let body = serde_json::to_vec(request).map_err(AuthorityError::Json)?;
        let body = Body::of(JSON, body);
        let answer = self.ask(Method::POST, path, body, timeout).await?;
        serde_json::from_slice(&answer).map_err(AuthorityError::Json)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body<'_>,
        timeout: Duration,
    ) -> Result<Vec<u8>, AuthorityError> {
        Ok(self.ask_dated(method, path, body, timeout).await?.document)
    }

    async fn ask_dated(
        &self,
        method: Method,
        path: &str,
        body: Body<'_>,
        timeout: Duration,
    ) -> Result<Dated, AuthorityError> {
        let http = self.http()?;
        let mut request = http
            .client
            .request(method, self.address.url().join(path))
            .header(header::CONTENT_TYPE, body.content)
            .timeout(timeout)
            .body(body.bytes);
        if let Some(token) = body.bearer {
            request = request.bearer_auth(token.as_str());
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                // The socket's directory may have been replaced: find it anew next time.
                *self.http.borrow_mut() = None;
                return Err(self.unanswered(error));
            }
        };
        let status = answer.status();
        let date = answer.headers().get(header::DATE);
        let date = date.and_then(|date| date.to_str().ok()).map(str::to_owned);
        let document = limited(answer, ANSWER_LIMIT).await;
        let document = document
            .map_err(|error| self.unanswered(error))?
            .ok_or(AuthorityError::TooLarge)?;
        match status {
            StatusCode::OK => Ok(Dated { date, document }),
            status => Err(refused(status, &document)),
        }
    }

    fn http(&self) -> Result<Http, AuthorityError> {
        if let Some(http) = self.http.borrow().as_ref() {
            return Ok(http.clone());
        }
        let http = self.build()?;
        *self.http.borrow_mut() = Some(http.clone());
        Ok(http)
    }

    fn build(&self) -> Result<Http, AuthorityError> {
        let url = self.address.url();
        let is_tls = url.as_str().starts_with("https:");
        let mut builder = http_client(is_tls);
        let unreachable = |cause: String| AuthorityError::Unreachable {
            authority: url.clone(),
            cause,
        };
        let mut socket = None;
        if let Some(path) = self.address.socket() {
            let path = SocketPath::new(path).map_err(|source| unreachable(source.to_string()))?;
            builder = builder.unix_socket(path.as_ref());
            socket = Some(path);
        } else if url.is_embedded() {
            return Err(unreachable(
                "it is embedded, on a socket that nobody named".to_owned(),
            ));
        }
        if let (true, Some(path)) = (is_tls, &self.ca_file) {
            let pem = fs::read(path).map_err(|source| AuthorityError::CaFile {
                path: path.clone(),
                source,
            })?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem);
            builder = builder.tls_certs_only(roots.map_err(AuthorityError::Setup)?);
        }
        Ok(Http {
            client: builder.build().map_err(AuthorityError::Setup)?,
            _socket: socket.into(),
        })
    }

    fn unanswered(&self, error: reqwest::Error) -> AuthorityError {
        let authority = self.address.url().clone();
        if error.is_timeout() {
            return AuthorityError::TimedOut { authority };
        }
        AuthorityError::Unreachable {
            authority,
            cause: innermost(&error),
        }
    }
}

/// A document, and when the authority sent it.
#[derive(Clone, Debug)]
pub struct Dated {
    /// The authority's clock, as HTTP writes it (RFC 9110 section 5.6.7). Nobody signed it.
    pub date: Option<String>,
    /// The document.
    pub document: Vec<u8>,
}

/// What is sent.
struct Body<'a> {
    content: &'a str,
    bytes: Vec<u8>,
    bearer: Option<&'a Token>,
}

impl<'a> Body<'a> {
    fn of(content: &'a str, bytes: Vec<u8>) -> Self {
        Self {
            content,
            bytes,
            bearer: None,
        }
    }
}

/// Begins an HTTP client that goes where it is sent, and nowhere else.
pub(crate) fn http_client(is_tls: bool) -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder()
        .user_agent(concat!("notme/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none());
    match is_tls {
        true => client,
        // Loading the system's roots would only cost time.
        false => client.no_proxy().tls_certs_only([]),
    }
}

/// Reads an answer; `None` when it is longer than `limit` bytes.
///
/// # Errors
/// When the connection breaks.
pub(crate) async fn limited(
    mut answer: reqwest::Response,
    limit: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// Something that an authority publishes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Document {
    /// That it is alive.
    Health,
    /// The signed trust document.
    Trust,
    /// The trust document of a number.
    TrustAt(u64),
    /// The certificates of all roots, as PEM.
    CaBundle,
    /// The certificate of the Ed25519 root, as PEM, where notme has it.
    WellKnownCaBundle,
}

impl Document {
    fn path(self) -> Cow<'static, str> {
        match self {
            Self::Health => "/health".into(),
            Self::Trust => "/v1/trust.json".into(),
            Self::TrustAt(seqno) => format!("/v1/trust/{seqno}.json").into(),
            Self::CaBundle => "/v1/ca-bundle.pem".into(),
            Self::WellKnownCaBundle => "/.well-known/ca-bundle.pem".into(),
        }
    }
}

/// An authority gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The HTTP client cannot be set up.
    #[error("could not set up the connection to the authority")]
    Setup(#[source] reqwest::Error),
    /// The file of TLS roots cannot be read.
    #[error("could not read the TLS roots in `{}`", path.display())]
    CaFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody is there, or the connection broke.
    #[error("could not reach the authority `{authority}`: {cause}")]
    Unreachable {
        /// Whom.
        authority: AuthorityUrl,
        /// What the system said.
        cause: String,
    },
    /// No answer in time.
    #[error("the authority `{authority}` did not answer in time")]
    TimedOut {
        /// Who.
        authority: AuthorityUrl,
    },
    /// It said no.
    #[error("the authority answered {status} `{code}`: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The authority's code.
        code: String,
        /// Its words.
        message: String,
    },
    /// The answer is longer than 1 MiB.
    #[error("the authority's answer is too large")]
    TooLarge,
    /// The answer is not text.
    #[error("the authority's answer is not text")]
    NotText,
    /// The answer is not the JSON that was asked for.
    #[error("the authority's answer is malformed: {0}")]
    Json(#[source] serde_json::Error),
    /// The CA bundle does not parse.
    #[error("the authority's CA bundle is malformed")]
    CaBundle(#[source] CertificateError),
}

impl AuthorityError {
    /// Returns the code of the closed list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setup(_) | Self::CaFile { .. } => "authority-setup",
            Self::Unreachable { .. } | Self::TimedOut { .. } => "authority-unreachable",
            Self::Refused { .. } if self.is_refusal("time-skewed") => "clock-skew",
            Self::Refused { .. } => "authority-refused",
            Self::TooLarge | Self::NotText | Self::Json(_) | Self::CaBundle(_) => {
                "authority-answer-invalid"
            }
        }
    }

    /// Tells whether the authority has nothing there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Tells whether this says nothing about the request: the authority was not there, was busy,
    /// or knows no such request.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Refused { status, .. } => {
                matches!(status, 404 | 405 | 408 | 429 | 501) || (500..600).contains(status)
            }
            Self::Setup(_)
            | Self::CaFile { .. }
            | Self::TooLarge
            | Self::NotText
            | Self::Json(_)
            | Self::CaBundle(_) => false,
        }
    }

    /// Tells whether the authority has no such session any more. A revoked one it still has: that
    /// is a no, and stays one.
    pub(crate) fn is_forgotten_session(&self) -> bool {
        self.is_refusal("session-unknown")
            || self.is_refusal("session-ended")
            || self.is_refusal("session-certificate-expired")
    }

    /// Tells whether a session takes a token here.
    pub(crate) fn is_token_required(&self) -> bool {
        self.is_refusal("token-required")
    }

    /// Tells whether it does not know a member of what it was asked, or has other limits.
    pub(crate) fn is_request_malformed(&self) -> bool {
        self.is_refusal("request-malformed")
    }

    fn is_refusal(&self, expected: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == expected)
    }
}

/// How long a fetch for a person may take.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const JSON: &str = "application/json";
/// RFC 3161 section 3.4.
const TIME_STAMP_QUERY: &str = "application/timestamp-query";
const ANSWER_LIMIT: usize = 1024 * 1024;
const TEXT_LIMIT: usize = 300;

fn refused(status: StatusCode, body: &[u8]) -> AuthorityError {
    // Where there is no code, notme puts its words in its place.
    let words = |body: &[u8]| {
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        Some(body.get("error")?.as_str()?.to_owned())
    };
    let refusal = serde_json::from_slice(body).unwrap_or_else(|_| Refusal {
        error: "unexplained".to_owned(),
        message: words(body)
            .unwrap_or_else(|| status.canonical_reason().unwrap_or_default().to_owned()),
    });
    AuthorityError::Refused {
        status: status.as_u16(),
        code: printable(&refusal.error),
        message: printable(&refusal.message),
    }
}

/// Keeps an authority from writing escape sequences to a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(TEXT_LIMIT)
        .collect()
}

/// Returns what the system said, below the layers that repeat each other.
fn innermost(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}
