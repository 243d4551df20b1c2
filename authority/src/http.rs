//! From request to response: a closed list of routes, JSON for every error.

mod exchange;
mod monitor;
mod token;

use std::{convert::Infallible, error::Error, net::IpAddr, time::Instant};

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use notme_core::{enrol::EnrolRequest, key::sha256};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    authority::{Peer, version},
    denial::Denial,
    failure::Failure,
    oidc::{Among, KeysError, VerifyError, Workload},
    refusal::Refusal,
    server::{Answered, REQUEST_ID, Shared, TooOften},
    tsa,
};

pub(crate) use self::monitor::monitor;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) peer: Peer,
    /// Absent on a unix socket.
    pub(crate) address: Option<IpAddr>,
}

/// Answers one request. Nothing that a caller sends makes it fail.
pub(crate) async fn respond(
    shared: &Shared,
    caller: Caller,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let began = Instant::now();
    let id = shared.request_ids().of(request.headers().get(REQUEST_ID));
    let method = method_name(request.method());
    let path = request.uri().path();
    // Behind a proxy the public path prefix may be gone or still there.
    let route = Route::of(path).or_else(|| Route::of(path.strip_prefix(shared.prefix())?));
    let origin = allowed_origin(shared, request.headers());
    let answer = answer(shared, caller, request, (route, origin.clone())).await;
    let mut error = None;
    let mut response = answer.unwrap_or_else(|failure| {
        let (refusal, denial, cause) = match failure {
            Failure::Refused(refusal) => return refuse(refusal, route),
            Failure::Denied(denial) => return deny(&denial, route),
            Failure::IssuerUnavailable(cause) => (
                Refusal::OidcIssuerUnreachable,
                Denial::IssuerUnavailable,
                cause,
            ),
            Failure::KeysUnavailable(cause) => {
                (Refusal::KeysUnavailable, Denial::KeysUnavailable, cause)
            }
            Failure::StoreUnavailable(cause) => {
                (Refusal::StoreUnavailable, Denial::StoreUnavailable, cause)
            }
            Failure::Internal(cause) => (Refusal::Internal, Denial::Unavailable, cause),
        };
        error = Some(cause);
        failed(refusal, &denial, route)
    });
    if let (Some(Route::Exchange(Exchange::Token)), Some(origin)) = (route, origin) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        put(&mut response, header::VARY, "Origin");
        put(
            &mut response,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "DPoP-Nonce",
        );
    }
    shared.answered(&Answered {
        request_id: id.to_str().unwrap_or_default(),
        method,
        route: route.map_or("unknown", Route::as_str),
        status: response.status().as_u16(),
        duration: began.elapsed(),
        code: response.extensions().get().map(|Code(code)| *code),
        error: error
            .as_deref()
            .map(|error| -> &(dyn Error + 'static) { error }),
    });
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response)
}

async fn answer(
    shared: &Shared,
    caller: Caller,
    request: Request<Incoming>,
    (route, origin): (Option<Route>, Option<HeaderValue>),
) -> Result<Response<Full<Bytes>>, Failure> {
    let peer = caller.peer;
    if let Some(address) = caller.address {
        let admitted = shared.authority().rates().admit_address(address);
        admitted.map_err(|too_often| limited(route, too_often))?;
    }
    match (route, request.method()) {
        (_, &Method::OPTIONS) => Ok(preflight(origin)),
        (None, _) => Err(Denial::NotFound.into()),
        (Some(Route::Document(document)), &Method::GET | &Method::HEAD) => {
            document.answer(shared).await
        }
        // Whoever looks whether we live may ask in any way.
        (Some(Route::Document(document @ Document::Health)), _) => document.answer(shared).await,
        (Some(Route::Operation(operation)), &Method::POST) => {
            let mut seen = None;
            let answer = operation.answer(shared, peer, request, &mut seen).await;
            audited(shared, (peer, operation.as_str()), seen, answer).await
        }
        (Some(Route::Exchange(exchange)), &Method::POST) => {
            let mut seen = None;
            let answer = exchange.answer(shared, peer, request, &mut seen).await;
            audited(shared, (peer, exchange.as_str()), seen, answer).await
        }
        (Some(route), _) => Err(route.method_not_allowed()),
    }
}

/// Refuses in the words of the route.
fn limited(route: Option<Route>, too_often: TooOften) -> Failure {
    let TooOften { retry_after } = too_often;
    match route {
        Some(Route::Exchange(Exchange::Token)) => Denial::TokenRateLimited { retry_after }.into(),
        Some(Route::Exchange(Exchange::Cert | Exchange::CertGha)) => {
            Denial::RateLimited { retry_after }.into()
        }
        Some(Route::Document(_) | Route::Operation(_)) | None => Refusal::from(too_often).into(),
    }
}

/// Returns the method's name, for a log and for counters: one of a closed list.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        _ => "other",
    }
}

/// The code of a refusal, on its way to the log.
#[derive(Clone, Copy)]
struct Code(&'static str);

/// What a path names.
#[derive(Clone, Copy)]
enum Route {
    Document(Document),
    Operation(Operation),
    Exchange(Exchange),
}

/// What notme has for changing something.
#[derive(Clone, Copy)]
enum Exchange {
    Cert,
    CertGha,
    Token,
}

impl Exchange {
    async fn answer(
        self,
        shared: &Shared,
        peer: Peer,
        request: Request<Incoming>,
        seen: &mut Option<[u8; 32]>,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        match self {
            Self::Cert => exchange::cert(shared, peer, request, seen).await,
            Self::CertGha => exchange::cert_gha(shared, peer, request, seen).await,
            Self::Token => token::token(shared, peer, request, seen).await,
        }
    }

    /// Returns its name in the audit.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Cert => "cert",
            Self::CertGha => "cert-gha",
            Self::Token => "token",
        }
    }
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/health" | "/healthz" => Self::Document(Document::Health),
            // Empty when the path of our URL was all there was.
            "/" | "" => Self::Document(Document::Landing),
            "/.well-known/ca-bundle.pem" => Self::Document(Document::CaBundle),
            "/.well-known/epochs.json" => Self::Document(Document::Epochs),
            "/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration" => {
                Self::Document(Document::OauthMetadata)
            }
            "/.well-known/version" => Self::Document(Document::Version),
            "/cert" => Self::Exchange(Exchange::Cert),
            "/cert/gha" => Self::Exchange(Exchange::CertGha),
            "/token" => Self::Exchange(Exchange::Token),
            "/internal/ca-bundle" => Self::Document(Document::SignedCaBundle),
            "/v1/ca-bundle.pem" => Self::Document(Document::FullCaBundle),
            "/.well-known/signet-authority.json" => Self::Document(Document::Discovery),
            "/.well-known/jwks.json" => Self::Document(Document::Jwks),
            "/v1/audit/head.json" => Self::Document(Document::AuditHead),
            "/v1/openpgp.asc" => Self::Document(Document::OpenPgp),
            "/v1/ssh-ca.pub" => Self::Document(Document::SshCa),
            "/v1/trust.json" => Self::Document(Document::Trust),
            "/v1/enrol" => Self::Operation(Operation::Enrol),
            "/v1/issue" => Self::Operation(Operation::Issue),
            "/v1/renew" => Self::Operation(Operation::Renew),
            "/tsa" => Self::Operation(Operation::TimeStamp),
            "/readyz" => Self::Document(Document::Ready),
            _ => Self::Document(Document::TrustAt(seqno(path)?)),
        })
    }

    /// Returns its name, for a log and for counters.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Document(document) => document.as_str(),
            Self::Operation(Operation::Enrol) => "/v1/enrol",
            Self::Operation(Operation::Issue) => "/v1/issue",
            Self::Operation(Operation::Renew) => "/v1/renew",
            Self::Operation(Operation::TimeStamp) => "/tsa",
            Self::Exchange(Exchange::Cert) => "/cert",
            Self::Exchange(Exchange::CertGha) => "/cert/gha",
            Self::Exchange(Exchange::Token) => "/token",
        }
    }

    const fn allow(self) -> &'static str {
        match self {
            Self::Document(_) => "GET, HEAD, OPTIONS",
            Self::Operation(_) | Self::Exchange(_) => "POST, OPTIONS",
        }
    }

    fn method_not_allowed(self) -> Failure {
        match self {
            Self::Document(Document::SignedCaBundle) | Self::Exchange(Exchange::CertGha) => {
                Denial::MethodNotAllowed.into()
            }
            Self::Exchange(Exchange::Cert | Exchange::Token) => Denial::NotFound.into(),
            Self::Document(_) | Self::Operation(_) => Refusal::MethodNotAllowed.into(),
        }
    }
}

/// What anyone may read.
#[derive(Clone, Copy)]
enum Document {
    Health,
    /// Whether it can do its work now.
    Ready,
    Landing,
    CaBundle,
    FullCaBundle,
    SignedCaBundle,
    Discovery,
    OauthMetadata,
    Epochs,
    Jwks,
    OpenPgp,
    SshCa,
    Trust,
    /// An earlier trust document.
    TrustAt(u64),
    /// How far the audit goes.
    AuditHead,
    Version,
}

impl Document {
    async fn answer(self, shared: &Shared) -> Result<Response<Full<Bytes>>, Failure> {
        let authority = shared.authority();
        let (content, cache, body) = match self {
            Self::Health => (PLAIN, "no-store", Bytes::from_static(b"ok")),
            Self::Ready => match shared.look(|| Ok(shared.is_ready())).await {
                Ok(true) => (PLAIN, "no-store", READY),
                Ok(false) | Err(_) => {
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    return Ok(response(status, PLAIN, "no-store", NOT_READY));
                }
            },
            Self::Landing => (JSON, AN_HOUR, authority.landing(shared.prefix())?),
            Self::CaBundle => (PEM, AN_HOUR, authority.ca_bundle().into()),
            Self::FullCaBundle => (PEM, AN_HOUR, authority.full_ca_bundle().into()),
            Self::SignedCaBundle => {
                let bundle = shared.look(|| Ok(authority.signed_ca_bundle()?)).await?;
                (JSON, "no-store", bundle)
            }
            Self::Discovery => (JSON, A_DAY, authority.discovery()?),
            Self::OauthMetadata => (JSON, A_DAY, authority.oauth_metadata()?),
            Self::Epochs => {
                let epochs = shared.look(|| Ok(authority.epochs()?)).await?;
                (JSON, A_MINUTE, epochs)
            }
            Self::Jwks => {
                let keys = shared.look(|| Ok(authority.jwks()?)).await?;
                (JSON, AN_HOUR, keys)
            }
            Self::OpenPgp => (PGP, AN_HOUR, authority.openpgp_key().into()),
            Self::SshCa => (TEXT, AN_HOUR, authority.ssh_ca().into()),
            Self::Version => (JSON, "no-store", version(option_env!("NOTME_COMMIT"))?),
            Self::Trust => {
                // What another process revoked is in it at once; nobody may keep an older one.
                let document = shared.look(|| Ok(authority.trust()?)).await?;
                (JSON, "no-cache", document)
            }
            Self::AuditHead => {
                let head = shared.look(|| Ok(authority.audit_head()?)).await?;
                (JSON, "no-cache", head.ok_or(Denial::NotFound)?)
            }
            Self::TrustAt(seqno) => {
                let document = shared.look(|| Ok(authority.trust_at(seqno)?)).await?;
                // Under one number there is one document, for ever.
                let cache = "max-age=31536000, immutable";
                (JSON, cache, document.ok_or(Denial::NotFound)?)
            }
        };
        let mut response = response(StatusCode::OK, content, cache, body);
        put(&mut response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        Ok(response)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Landing => "/",
            Self::CaBundle => "/.well-known/ca-bundle.pem",
            Self::FullCaBundle => "/v1/ca-bundle.pem",
            Self::SignedCaBundle => "/internal/ca-bundle",
            Self::Discovery => "/.well-known/signet-authority.json",
            Self::OauthMetadata => "/.well-known/oauth-authorization-server",
            Self::Epochs => "/.well-known/epochs.json",
            Self::Jwks => "/.well-known/jwks.json",
            Self::OpenPgp => "/v1/openpgp.asc",
            Self::SshCa => "/v1/ssh-ca.pub",
            Self::Trust => "/v1/trust.json",
            Self::TrustAt(_) => "/v1/trust/{seqno}.json",
            Self::AuditHead => "/v1/audit/head.json",
            Self::Version => "/.well-known/version",
        }
    }
}

/// What changes something, or signs.
#[derive(Clone, Copy)]
enum Operation {
    Enrol,
    Issue,
    Renew,
    TimeStamp,
}

impl Operation {
    async fn answer(
        self,
        shared: &Shared,
        peer: Peer,
        request: Request<Incoming>,
        seen: &mut Option<[u8; 32]>,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        let takes = match self {
            Self::Enrol | Self::Issue | Self::Renew => JSON,
            Self::TimeStamp => TIME_STAMP_QUERY,
        };
        let body = read_body(shared, request, takes, seen).await?;
        let authority = shared.authority();
        match self {
            Self::Enrol => {
                let request = from_json(&body)?;
                let workload = workload(shared, &request).await?;
                let answer = || authority.enrol(peer, &request, workload.as_ref(), *seen);
                ok_json(&shared.work(answer).await?)
            }
            Self::Issue => {
                let request = from_json(&body)?;
                let answer = || authority.issue(peer, &request, *seen);
                ok_json(&shared.work(answer).await?)
            }
            Self::Renew => {
                let request = from_json(&body)?;
                let answer = || authority.renew(peer, &request, *seen);
                ok_json(&shared.work(answer).await?)
            }
            Self::TimeStamp => {
                let reply = shared.look(|| Ok(authority.stamp(&body)?)).await?;
                Ok(response(
                    StatusCode::OK,
                    TIME_STAMP_REPLY,
                    "no-store",
                    reply.into(),
                ))
            }
        }
    }

    /// Returns its name in the audit.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Issue => "issue",
            Self::Renew => "renew",
            Self::TimeStamp => "time-stamp",
        }
    }
}

/// Adds a request that is refused to the audit.
async fn audited<T>(
    shared: &Shared,
    asked: (Peer, &'static str),
    seen: Option<[u8; 32]>,
    answer: Result<T, Failure>,
) -> Result<T, Failure> {
    let refused = match &answer {
        Err(Failure::Refused(refusal)) => (refusal.code(), refusal.proved()),
        Err(Failure::Denied(denial)) => (denial.code(), denial.proved()),
        Ok(_)
        | Err(
            Failure::IssuerUnavailable(_)
            | Failure::KeysUnavailable(_)
            | Failure::StoreUnavailable(_)
            | Failure::Internal(_),
        ) => return answer,
    };
    let write = || Ok(shared.authority().refused(asked, seen, refused)?);
    shared.work(write).await?;
    answer
}

/// Returns the number of an earlier trust document; it has one spelling.
fn seqno(path: &str) -> Option<u64> {
    let digits = path.strip_prefix("/v1/trust/")?.strip_suffix(".json")?;
    let seqno: u64 = digits.parse().ok()?;
    (seqno > 0 && seqno.to_string() == digits).then_some(seqno)
}

/// Returns what another issuer says of the one who enrols; `None` when the token is ours, which
/// has no dots, or when there is none.
async fn workload<'a>(
    shared: &'a Shared,
    request: &EnrolRequest,
) -> Result<Option<Workload<'a>>, Failure> {
    let Some(token) = request.token.as_ref().filter(|token| token.contains('.')) else {
        return Ok(None);
    };
    let authority = shared.authority();
    let verified = authority
        .issuers()
        .verify(token, Among::All, authority.now());
    verified.await.map(Some).map_err(|error| match error {
        VerifyError::Token(_) => Refusal::OidcTokenInvalid.into(),
        VerifyError::Keys(error) => {
            // Told once, when it is tried.
            if !matches!(error, KeysError::NotFetched) {
                shared.report(&error);
            }
            Refusal::OidcIssuerUnreachable.into()
        }
    })
}

async fn read_body(
    shared: &Shared,
    request: Request<Incoming>,
    content: &str,
    seen: &mut Option<[u8; 32]>,
) -> Result<Bytes, Refusal> {
    let is_expected = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(content));
    // Besides being tidy, this keeps web pages out: a browser asks before it sends either.
    if !is_expected {
        return Err(Refusal::ContentType);
    }
    read_bytes(shared, request, seen).await
}

/// Reads a body; `seen` takes its digest, for the audit.
async fn read_bytes(
    shared: &Shared,
    request: Request<Incoming>,
    seen: &mut Option<[u8; 32]>,
) -> Result<Bytes, Refusal> {
    let body = request.into_body();
    if body.size_hint().lower() > u64::try_from(BODY_MAX).unwrap_or(u64::MAX) {
        return Err(Refusal::BodyTooLarge);
    }
    let whole = timeout(shared.limits().body, Limited::new(body, BODY_MAX).collect()).await;
    match whole {
        Err(_) => Err(Refusal::RequestTimeout),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(_)) => Err(Refusal::RequestMalformed),
        Ok(Ok(collected)) => {
            let body = collected.to_bytes();
            *seen = Some(sha256(&body));
            Ok(body)
        }
    }
}

fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::RequestMalformed)
}

fn ok_json(value: &impl Serialize) -> Result<Response<Full<Bytes>>, Failure> {
    let json = serde_json::to_vec(value)?;
    Ok(response(StatusCode::OK, JSON, "no-store", json.into()))
}

fn refuse(refusal: Refusal, route: Option<Route>) -> Response<Full<Bytes>> {
    let code = Code(refusal.code());
    let mut response = refusal_response(refusal.status(), refusal.body(), (code, route));
    if let Refusal::RateLimited { retry_after } = refusal {
        put_retry_after(&mut response, retry_after);
    }
    if matches!(refusal, Refusal::BodyTooLarge | Refusal::RequestTimeout) {
        // The rest of the body is still coming, and would be taken for the next request.
        put(&mut response, header::CONNECTION, "close");
    }
    response
}

fn deny(denial: &Denial, route: Option<Route>) -> Response<Full<Bytes>> {
    let body = denial.body().unwrap_or_default();
    let code = Code(denial.code());
    let mut response = refusal_response(denial.status(), body, (code, route));
    if let Denial::DpopNonce { nonce } = denial {
        token::put_nonce(&mut response, nonce);
    }
    if let Denial::RateLimited { retry_after } | Denial::TokenRateLimited { retry_after } = denial {
        put_retry_after(&mut response, *retry_after);
    }
    response
}

/// Answers in the words of the route when something failed that is not the caller's.
fn failed(refusal: Refusal, denial: &Denial, route: Option<Route>) -> Response<Full<Bytes>> {
    let mut response = match route {
        Some(Route::Exchange(_)) if refusal != Refusal::Internal => deny(denial, route),
        Some(Route::Document(Document::Epochs | Document::Jwks | Document::SignedCaBundle)) => {
            deny(denial, route)
        }
        // For those who read the status, and for those who read RFC 3161.
        Some(Route::Operation(Operation::TimeStamp)) => {
            let mut response = refuse(refusal, route);
            *response.body_mut() = Full::new(tsa::system_failure().into());
            put(&mut response, header::CONTENT_TYPE, TIME_STAMP_REPLY);
            response
        }
        Some(Route::Document(_) | Route::Exchange(_) | Route::Operation(_)) | None => {
            refuse(refusal, route)
        }
    };
    if matches!(
        refusal,
        Refusal::KeysUnavailable | Refusal::StoreUnavailable
    ) {
        put_retry_after(&mut response, RETRY_AFTER);
    }
    response
}

fn put_retry_after(response: &mut Response<Full<Bytes>>, seconds: u64) {
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
}

fn refusal_response(
    status: u16,
    body: Vec<u8>,
    (code, route): (Code, Option<Route>),
) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, JSON, "no-store", body.into());
    response.extensions_mut().insert(code);
    if let (StatusCode::METHOD_NOT_ALLOWED, Some(route)) = (status, route) {
        put(&mut response, header::ALLOW, route.allow());
    }
    response
}

/// Answers a browser that asks before it sends.
fn preflight(origin: Option<HeaderValue>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        origin.unwrap_or(HeaderValue::from_static("")),
    );
    put(
        &mut response,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        "GET, POST, OPTIONS",
    );
    put(
        &mut response,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Content-Type, Authorization, DPoP",
    );
    put(&mut response, header::ACCESS_CONTROL_MAX_AGE, "86400");
    response
}

/// Returns the origin of the asking page, when it may ask: one that the operator named, or one on
/// the developer's own machine.
fn allowed_origin(shared: &Shared, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    let is_named = shared.authority().origins().iter().any(|it| it == text);
    let port = text.strip_prefix("http://localhost:");
    let is_own = port.is_some_and(|port| port.parse::<u16>().is_ok());
    (is_named || is_own).then(|| origin.clone())
}

fn response(
    status: StatusCode,
    content: &'static str,
    cache: &'static str,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    put(&mut response, header::CONTENT_TYPE, content);
    put(&mut response, header::CACHE_CONTROL, cache);
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

fn put(response: &mut Response<Full<Bytes>>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

const READY: Bytes = Bytes::from_static(b"ready");
const NOT_READY: Bytes = Bytes::from_static(b"not ready");
const JSON: &str = "application/json";
const PEM: &str = "application/x-pem-file";
const PGP: &str = "application/pgp-keys";
const TEXT: &str = "text/plain";
/// RFC 3161 section 3.4.
const TIME_STAMP_QUERY: &str = "application/timestamp-query";
const TIME_STAMP_REPLY: &str = "application/timestamp-reply";
const PLAIN: &str = "text/plain; charset=utf-8";
const A_MINUTE: &str = "public, max-age=60";
const AN_HOUR: &str = "public, max-age=3600";
const A_DAY: &str = "public, max-age=86400";
const BODY_MAX: usize = 64 * 1024;
/// In how many seconds it is worth to try again when store or keys could not be used.
const RETRY_AFTER: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// Over loopback nobody asks too often, since a proxy may stand there.
    #[tokio::test]
    async fn who_asks_too_often_is_told_in_the_words_of_the_route() {
        let ours = r#"{"error":"rate-limited","message":"too many requests; the next in 7 s"}"#;
        for (path, body) in [
            ("/token", r#"{"error":"rate_limited"}"#),
            ("/cert", r#"{"error":"rate limit exceeded"}"#),
            ("/cert/gha", r#"{"error":"rate limit exceeded"}"#),
            ("/v1/issue", ours),
            ("/v1/trust.json", ours),
            ("/tsa", ours),
            ("/nowhere", ours),
        ] {
            let route = Route::of(path);
            let mut response = match limited(route, TooOften { retry_after: 7 }) {
                Failure::Refused(refusal) => refuse(refusal, route),
                Failure::Denied(denial) => deny(&denial, route),
                failure => panic!("{failure:?}"),
            };
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
            assert_eq!(response.headers()[header::RETRY_AFTER], "7", "{path}");
            let said = response.body_mut().collect().await.unwrap().to_bytes();
            assert_eq!(said, body, "{path}");
        }
    }
}
