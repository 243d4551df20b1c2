//! `POST /cert/gha` and `POST /cert`: notme's routes for workloads. The order of the checks can be
//! seen from outside, and is the reference's.

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{self, HeaderMap},
};
use serde_json::Value;

use super::{ok_json, read_bytes};
use crate::{
    authority::{About, GithubClaims, PairRequest, Peer, narrowed},
    denial::Denial,
    failure::Failure,
    oidc::{Among, KeysError, TokenError, VerifyError},
    refusal::Refusal,
    server::Shared,
};

/// `POST /cert/gha`. From the token's being spent on, whoever fails needs another: of the body,
/// nothing is told before.
pub(super) async fn cert_gha(
    shared: &Shared,
    peer: Peer,
    request: Request<Incoming>,
    seen: &mut Option<[u8; 32]>,
) -> Result<Response<Full<Bytes>>, Failure> {
    let token = bearer(request.headers())
        .ok_or(Denial::BearerMissing)?
        .to_owned();
    let authority = shared.authority();
    let now = authority.now();
    let workload = authority
        .issuers()
        .verify(&token, Among::GithubActions, now)
        .await
        .map_err(refused)?;
    let grant = workload.permit(authority.trust_domain())?;
    let spent = workload.spent(now)?;
    let body = read(shared, request, seen).await;
    let answer = || {
        authority.spend(&spent)?;
        authority.admit_workload(peer, &grant)?;
        let body = json(&body?)?;
        let keys = PairRequest::of(&body)?.possessed(&token)?;
        let about = About::Github {
            claims: GithubClaims::of(&workload),
        };
        ok_json(&authority.pair(grant, keys, None, (about, *seen))?)
    };
    shared.work(answer).await
}

/// `POST /cert`, for the tokens of every issuer. The other proofs it takes at the reference, of
/// browsers' sessions and of administrators' codes, nobody has here.
pub(super) async fn cert(
    shared: &Shared,
    peer: Peer,
    request: Request<Incoming>,
    seen: &mut Option<[u8; 32]>,
) -> Result<Response<Full<Bytes>>, Failure> {
    let has_cookie = request.headers().contains_key(header::COOKIE);
    let body = json(&read(shared, request, seen).await?)?;
    let proof = body.get("proof");
    let text = |name| proof?.get(name)?.as_str();
    match text("type") {
        Some("oidc") => {}
        Some("session") if has_cookie => return Err(Denial::SessionInvalid.into()),
        Some("session") => return Err(Denial::SessionMissing.into()),
        Some("bootstrap") => return Err(Denial::BootstrapInvalid.into()),
        Some(other) => {
            let shown = other.chars().take(TYPE_SHOWN).collect();
            return Err(Denial::ProofTypeUnknown(shown).into());
        }
        None => return Err(Denial::ProofTypeMissing.into()),
    }
    let token = text("token").unwrap_or_default();
    let authority = shared.authority();
    let now = authority.now();
    let verified = authority.issuers().verify(token, Among::All, now).await;
    let workload = verified.map_err(|error| match error {
        VerifyError::Token(TokenError::Audience { expected, got }) => {
            Denial::Audience { expected, got }.into()
        }
        error => refused(error),
    })?;
    let mut grant = workload.permit(authority.trust_domain())?;
    grant.scopes = narrowed(&grant.scopes, body.get("scopes"))?;
    authority.admit_workload(peer, &grant)?;
    let spent = workload.spent(now)?;
    let answer = || {
        let keys = PairRequest::of(&body)?.possessed(token)?;
        let about = About::Principal {
            principal_id: grant.subject.clone(),
            auth_method: grant.auth_method.clone(),
        };
        ok_json(&authority.pair(grant, keys, Some(&spent), (about, *seen))?)
    };
    shared.work(answer).await
}

/// Returns the token of an `Authorization` header. The scheme is matched as the reference does,
/// letter by letter.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

/// Reads a body. One that ends early is no JSON; of one that is too long or too slow the reference
/// says nothing.
async fn read(
    shared: &Shared,
    request: Request<Incoming>,
    seen: &mut Option<[u8; 32]>,
) -> Result<Bytes, Failure> {
    let body = read_bytes(shared, request, seen).await;
    body.map_err(|refusal| match refusal {
        Refusal::RequestMalformed => Denial::BodyMalformed.into(),
        refusal => refusal.into(),
    })
}

fn json(body: &[u8]) -> Result<Value, Denial> {
    serde_json::from_slice(body)
        .ok()
        .filter(|body: &Value| !body.is_null())
        .ok_or(Denial::BodyMalformed)
}

fn refused(error: VerifyError) -> Failure {
    match error {
        VerifyError::Token(error) => Denial::Token(error).into(),
        // Why, was told when it was tried.
        VerifyError::Keys(KeysError::NotFetched) => Denial::IssuerUnavailable.into(),
        VerifyError::Keys(error) => Failure::IssuerUnavailable(Box::new(error)),
    }
}

const TYPE_SHOWN: usize = 64;
