//! `POST /token`: an access token for a session, bound to the key that the `DPoP` header proves.

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use super::{ok_json, read_bytes};
use crate::{
    authority::{Peer, TokenRequest},
    denial::Denial,
    failure::Failure,
    refusal::Refusal,
    server::Shared,
};

pub(super) async fn token(
    shared: &Shared,
    peer: Peer,
    request: Request<Incoming>,
    seen: &mut Option<[u8; 32]>,
) -> Result<Response<Full<Bytes>>, Failure> {
    let dpop = dpop(request.headers()).ok_or(Denial::DpopRequired)?;
    let body = match read_bytes(shared, request, seen).await {
        Err(Refusal::RequestMalformed) => Bytes::new(),
        body => body?,
    };
    // As the reference has it, what is no JSON has no audience, and what ends early is none.
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let authority = shared.authority();
    let request = TokenRequest::of(&body, authority.audiences())?;
    let answer = || ok_json(&authority.access_token(peer, &request, (&dpop, *seen))?);
    let mut response = shared.work(answer).await?;
    if let Some(nonce) = authority.next_nonce() {
        put_nonce(&mut response, &nonce);
    }
    Ok(response)
}

/// Tells the caller which nonce its next proof must repeat.
pub(super) fn put_nonce(response: &mut Response<Full<Bytes>>, nonce: &str) {
    if let Ok(value) = HeaderValue::from_str(nonce) {
        response.headers_mut().insert(DPOP_NONCE, value);
    }
}

/// Returns the proof. Several headers are one with commas, which is no proof.
fn dpop(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(DPOP).iter();
    let texts: Vec<_> = values
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    (!texts.concat().is_empty()).then(|| texts.join(", "))
}

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
