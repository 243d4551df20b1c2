//! Access tokens for sessions, bound to a key of the caller's choice.

use notme_core::{base64, enrol::token_preimage, hex, key::sha256};
use serde::Serialize;
use serde_json::Value;

use super::{
    Attempt, Authority, Peer,
    auditing::issued_in,
    issue::{Asked, session_digest},
};
use crate::{
    audit::{Act, Entry},
    denial::Denial,
    dpop::Proof,
    failure::Failure,
    keys::Keys,
    seal::random,
    server::{Rate, TooOften},
    store::{Issuance, Issued, IssuedKind, RecordError, Session},
};

/// An access token, as it is answered.
#[derive(Debug, Serialize)]
pub(crate) struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
}

/// What opens `/token`: a session, and its word for this very proof and audience.
pub(crate) struct TokenRequest<'a> {
    pub(crate) audience: &'a str,
    pub(crate) session: &'a str,
    pub(crate) proof: &'a str,
}

impl<'a> TokenRequest<'a> {
    /// Finds audience, session and proof in a body, in the reference's order of checks.
    pub(crate) fn of(body: &'a Value, audiences: &[String]) -> Result<Self, Denial> {
        let text = |name| {
            let text = body.get(name)?.as_str()?;
            Some(text).filter(|text| !text.is_empty())
        };
        let audience = text("audience").ok_or(Denial::AudienceRequired)?;
        if !audiences.iter().any(|known| known == audience) {
            return Err(Denial::AudienceInvalid {
                allowed: audiences.to_vec(),
            });
        }
        Ok(Self {
            audience,
            session: text("session").ok_or(Denial::SessionRequired)?,
            proof: text("proof").ok_or(Denial::SessionRequired)?,
        })
    }
}

impl Authority {
    /// Issues an access token. The proof is spent last, in the session that it is spent for.
    pub(crate) fn access_token(
        &self,
        peer: Peer,
        request: &TokenRequest<'_>,
        (dpop, digest): (&str, Option<[u8; 32]>),
    ) -> Result<TokenResponse, Failure> {
        let now = self.clock.now();
        let certificate = session_digest(request.session).map_err(|_| Denial::SessionRequired)?;
        let asked = Asked {
            certificate,
            preimage: token_preimage(
                &self.url,
                &certificate,
                request.audience,
                &sha256(dpop.as_bytes()),
            ),
            proof: request.proof,
            // The proof of possession says when, and is part of what is signed.
            time: now,
        };
        let session = self.admit(&asked, now).map_err(|failure| match failure {
            Failure::Refused(_) => Denial::SessionRequired.into(),
            other => other,
        })?;
        self.rates
            .admit(Rate::Token, peer, session.identity.as_str())
            .map_err(|TooOften { retry_after }| Denial::TokenRateLimited { retry_after })?;
        let proof = Proof::check(dpop, &self.token_endpoint(), now).ok_or(Denial::DpopInvalid)?;
        if self.tokens.require_nonce
            && !proof
                .nonce()
                .is_some_and(|nonce| self.nonces.is_good(nonce, now))
        {
            return Err(Denial::DpopNonce {
                nonce: self.nonces.issue(now),
            }
            .into());
        }
        self.issuing(|keys| {
            let (access_token, line) = self.mint(keys, &session, request.audience, &proof)?;
            let expires_in = line.not_after.secs().saturating_sub(now.secs());
            let lines = [line];
            let entry = issued_in(&session, Act::AccessToken, (digest, now), &lines);
            let issuance = Issuance {
                epoch: keys.epoch,
                entry: Entry {
                    about: format!("{} for {}", entry.about, request.audience),
                    ..entry
                },
                lines: &lines,
            };
            self.store
                .spend_in(&session.id, &proof.spent(now), &issuance)
                .map_err(|error| match error {
                    RecordError::Replayed => Denial::DpopReused.into(),
                    RecordError::SessionRevoked => Denial::SessionRequired.into(),
                    RecordError::Rotated => Attempt::Rotated,
                    RecordError::Store(error) => error.into(),
                })?;
            self.count(&lines);
            Ok(TokenResponse {
                access_token,
                token_type: "DPoP",
                expires_in,
            })
        })
    }

    /// Returns the nonce for the next proof, where nonces are asked for.
    pub(crate) fn next_nonce(&self) -> Option<String> {
        self.tokens
            .require_nonce
            .then(|| self.nonces.issue(self.clock.now()))
    }

    fn mint(
        &self,
        keys: &Keys,
        session: &Session,
        audience: &str,
        proof: &Proof,
    ) -> Result<(String, Issued), Failure> {
        let now = self.clock.now();
        let not_after = now.plus(TOKEN_SECONDS).min(session.ends_at);
        let serial = random::<16>()?;
        let key = keys.ed25519.key();
        let header = serde_json::to_vec(&Header {
            typ: "at+jwt",
            alg: "EdDSA",
            kid: key.public_key().kid().to_string(),
        })?;
        let claims = serde_json::to_vec(&Claims {
            sub: session.identity.as_str(),
            iss: &self.url,
            aud: audience,
            iat: now.secs(),
            nbf: now.secs(),
            exp: not_after.secs(),
            jti: uuid(serial),
            scope: session.scopes.to_string(),
            cnf: Confirmation {
                jkt: proof.thumbprint(),
            },
        })?;
        let input = [header, claims]
            .map(|part| base64::encode_url(&part))
            .join(".");
        let signature = key.sign(input.as_bytes())?;
        let token = format!("{input}.{}", base64::encode_url(&signature));
        let line = Issued {
            kind: IssuedKind::AccessToken,
            serial,
            kid: proof.key_id(),
            certificate_sha256: sha256(token.as_bytes()),
            payload_sha256: None,
            activity: None,
            issued_at: now,
            not_after,
        };
        Ok((token, line))
    }
}

/// Writes 16 random bytes as a UUID of version 4 (RFC 9562 section 5.4).
fn uuid(bytes: [u8; 16]) -> String {
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = hex::encode(&number.to_be_bytes());
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[derive(Serialize)]
struct Header {
    typ: &'static str,
    alg: &'static str,
    kid: String,
}

/// In the reference's order.
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    scope: String,
    cnf: Confirmation<'a>,
}

#[derive(Serialize)]
struct Confirmation<'a> {
    jkt: &'a str,
}

/// As long as the reference's.
const TOKEN_SECONDS: i64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
