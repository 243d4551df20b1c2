//! From request to response: a closed list of routes, JSON for every error.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    header::{self, HeaderName, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{task::block_in_place, time::timeout};

use crate::{authority::Peer, failure::Failure, refusal::Refusal, server::Shared, tsa};

/// Answers one request. Nothing that a caller sends makes it fail.
pub(crate) async fn respond(
    shared: &Shared,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    // Behind a proxy the public path prefix may be gone or still there.
    let route = Route::of(path).or_else(|| Route::of(path.strip_prefix(shared.prefix())?));
    let answer = match (route, request.method()) {
        (route, &Method::OPTIONS) => Ok(preflight(route)),
        (None, _) => Err(Refusal::NotFound.into()),
        (Some(Route::Document(document)), &Method::GET | &Method::HEAD) => document.answer(shared),
        (Some(Route::Operation(operation)), &Method::POST) => {
            operation.answer(shared, peer, request).await
        }
        (Some(_), _) => Err(Refusal::MethodNotAllowed.into()),
    };
    Ok(answer.unwrap_or_else(|failure| {
        let refusal = match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Internal(error) => {
                shared.report(error.as_ref());
                Refusal::Internal
            }
        };
        refuse(refusal, route)
    }))
}

/// What a path names.
#[derive(Clone, Copy)]
enum Route {
    Document(Document),
    Operation(Operation),
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/health" | "/healthz" => Self::Document(Document::Health),
            "/.well-known/ca-bundle.pem" => Self::Document(Document::CaBundle),
            "/v1/ca-bundle.pem" => Self::Document(Document::FullCaBundle),
            "/.well-known/signet-authority.json" => Self::Document(Document::Discovery),
            "/.well-known/jwks.json" => Self::Document(Document::Jwks),
            "/v1/openpgp.asc" => Self::Document(Document::OpenPgp),
            "/v1/ssh-ca.pub" => Self::Document(Document::SshCa),
            "/v1/trust.json" => Self::Document(Document::Trust),
            "/v1/enrol" => Self::Operation(Operation::Enrol),
            "/v1/issue" => Self::Operation(Operation::Issue),
            "/v1/renew" => Self::Operation(Operation::Renew),
            "/tsa" => Self::Operation(Operation::TimeStamp),
            _ => return None,
        })
    }

    const fn allow(self) -> &'static str {
        match self {
            Self::Document(_) => "GET, HEAD, OPTIONS",
            Self::Operation(_) => "POST, OPTIONS",
        }
    }
}

/// What anyone may read.
#[derive(Clone, Copy)]
enum Document {
    Health,
    CaBundle,
    FullCaBundle,
    Discovery,
    Jwks,
    OpenPgp,
    SshCa,
    Trust,
}

impl Document {
    fn answer(self, shared: &Shared) -> Result<Response<Full<Bytes>>, Failure> {
        let authority = shared.authority();
        let (content, cache, body) = match self {
            Self::Health => (TEXT, "no-store", Bytes::from_static(b"ok")),
            Self::CaBundle => (PEM, "max-age=3600", authority.ca_bundle().into()),
            Self::FullCaBundle => (PEM, "max-age=3600", authority.full_ca_bundle().into()),
            Self::Discovery => (
                JSON,
                "max-age=86400",
                authority.discovery().to_string().into(),
            ),
            Self::Jwks => (JSON, "max-age=3600", authority.jwks().to_string().into()),
            Self::OpenPgp => (PGP, "max-age=3600", authority.openpgp_key().into()),
            Self::SshCa => (TEXT, "max-age=3600", authority.ssh_ca().into()),
            Self::Trust => {
                // What another process revoked is in it at once; nobody may keep an older one.
                (JSON, "no-cache", block_in_place(|| authority.trust())?)
            }
        };
        let mut response = response(StatusCode::OK, content, cache, body);
        put(&mut response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        Ok(response)
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
    ) -> Result<Response<Full<Bytes>>, Failure> {
        let (takes, gives) = match self {
            Self::Enrol | Self::Issue | Self::Renew => (JSON, JSON),
            Self::TimeStamp => (TIME_STAMP_QUERY, TIME_STAMP_REPLY),
        };
        let body = read_body(shared, request, takes).await?;
        let authority = shared.authority();
        // The store blocks for as long as a transaction takes: this worker, not the others.
        let answer = block_in_place(|| match self {
            Self::Enrol => to_json(&authority.enrol(peer, &from_json(&body)?)?),
            Self::Issue => to_json(&authority.issue(&from_json(&body)?)?),
            Self::Renew => to_json(&authority.renew(&from_json(&body)?)?),
            Self::TimeStamp => Ok(authority.stamp(&body).map_or_else(
                |error| {
                    shared.report(&error);
                    tsa::system_failure().into()
                },
                Bytes::from,
            )),
        })?;
        Ok(response(StatusCode::OK, gives, "no-store", answer))
    }
}

async fn read_body(
    shared: &Shared,
    request: Request<Incoming>,
    content: &str,
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
    let body = request.into_body();
    if body.size_hint().lower() > u64::try_from(BODY_MAX).unwrap_or(u64::MAX) {
        return Err(Refusal::BodyTooLarge);
    }
    let whole = timeout(shared.limits().body, Limited::new(body, BODY_MAX).collect()).await;
    match whole {
        Err(_) => Err(Refusal::RequestTimeout),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(_)) => Err(Refusal::RequestMalformed),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::RequestMalformed)
}

fn to_json(value: &impl Serialize) -> Result<Bytes, Failure> {
    Ok(serde_json::to_vec(value)?.into())
}

fn refuse(refusal: Refusal, route: Option<Route>) -> Response<Full<Bytes>> {
    let status =
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, JSON, "no-store", refusal.body().into());
    if let (Refusal::MethodNotAllowed, Some(route)) = (refusal, route) {
        put(&mut response, header::ALLOW, route.allow());
    }
    if matches!(refusal, Refusal::BodyTooLarge | Refusal::RequestTimeout) {
        // The rest of the body is still coming, and would be taken for the next request.
        put(&mut response, header::CONNECTION, "close");
    }
    response
}

/// Answers a browser that asks before it sends: documents are for every page, operations for none.
fn preflight(route: Option<Route>) -> Response<Full<Bytes>> {
    let origin = match route {
        Some(Route::Document(_)) => "*",
        Some(Route::Operation(_)) | None => "",
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    put(&mut response, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
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

const JSON: &str = "application/json";
const PEM: &str = "application/x-pem-file";
const PGP: &str = "application/pgp-keys";
const TEXT: &str = "text/plain";
/// RFC 3161 section 3.4.
const TIME_STAMP_QUERY: &str = "application/timestamp-query";
const TIME_STAMP_REPLY: &str = "application/timestamp-reply";
const BODY_MAX: usize = 64 * 1024;
