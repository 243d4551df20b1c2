//! What is told to whoever watches, at a place of its own.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Bytes};
use tokio::task::block_in_place;

use super::{NOT_READY, PLAIN, READY, response};
use crate::server::Shared;

/// Answers one who watches.
pub(crate) fn monitor<B>(
    shared: &Shared,
    request: &Request<B>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, content, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let text = block_in_place(|| shared.metrics_text());
            (StatusCode::OK, METRICS, text.into())
        }
        (&Method::GET | &Method::HEAD, "/health" | "/healthz") => {
            (StatusCode::OK, PLAIN, Bytes::from_static(b"ok"))
        }
        (&Method::GET | &Method::HEAD, "/readyz") => match block_in_place(|| shared.is_ready()) {
            true => (StatusCode::OK, PLAIN, READY),
            false => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, NOT_READY),
        },
        _ => (StatusCode::NOT_FOUND, PLAIN, Bytes::new()),
    };
    Ok(response(status, content, "no-store", body))
}

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
