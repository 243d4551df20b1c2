//! Access tokens for sessions.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use notme_authority::{OidcConfig, RevocationReason, Revoked, Rotation};
use notme_core::{
    base64,
    certificate::Certificate,
    enrol::token_preimage,
    hex,
    jws::{Jws, JwsAlgorithm},
    key::{PublicKey, Signer as _, sha256},
};
use notme_testkit::{jwt::TokenKey, testdata};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    client::{Agent, Answer, Client},
    rotation::step,
    world::{Running, World, start},
};

/// An authority at the URL of the reference's record, and a session there.
pub(crate) struct TokenSite {
    pub(crate) running: Running,
    pub(crate) world: World,
    agent: Agent,
    certificate: Certificate,
    key: TokenKey,
    toml: String,
    proofs: AtomicU64,
}

impl TokenSite {
    pub(crate) const AUDIENCE: &str = "https://rosary.bot";
    pub(crate) const SEED: u8 = 21;
    const URL: &str = "http://localhost:18788";

    pub(crate) fn new(more: &str) -> Self {
        let toml = format!(
            r#"[token]
audiences = ["https://rosary.bot", "https://mcp.rosary.bot", "https://auth.notme.bot", "https://notme.bot", "https://mache.rosary.bot"]
origins = ["https://rosary.bot"]
{more}
"#
        );
        let world = World::new();
        let running = serve(&world, &toml);
        let agent = Agent::new(1);
        let token = world.token();
        let certificate = agent
            .session(&running.tcp(), Some(token.expose()))
            .certificate()
            .clone();
        Self {
            running,
            world,
            agent,
            certificate,
            key: TokenKey::p256(Self::SEED),
            toml,
            proofs: AtomicU64::new(0),
        }
    }

    pub(crate) fn restart(self) -> Self {
        self.running.stop();
        Self {
            running: serve(&self.world, &self.toml),
            ..self
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.running.tcp()
    }

    pub(crate) fn claims(&self) -> Value {
        json!({
            "jti": format!("proof-{}", self.proofs.fetch_add(1, Ordering::SeqCst)),
            "htm": "POST",
            "htu": format!("{}/token", Self::URL),
            "iat": self.world.now().secs(),
        })
    }

    pub(crate) fn proof(&self) -> String {
        self.proof_with(|_, _| {})
    }

    /// A proof with header and claims changed.
    pub(crate) fn proof_with(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let mut header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.jwk()});
        let mut claims = self.claims();
        change(&mut header, &mut claims);
        self.key.sign(&header, &claims)
    }

    /// What a session says for a proof and an audience.
    pub(crate) fn body(&self, dpop: &str, audience: &str) -> Value {
        let digest = sha256(dpop.as_bytes());
        let image = token_preimage(Self::URL, &self.certificate.sha256(), audience, &digest);
        json!({
            "audience": audience,
            "session": base64::encode(self.certificate.der()),
            "proof": base64::encode_url(&self.agent.signing.sign(&image).unwrap()),
        })
    }

    pub(crate) fn ask(&self, dpop: &str) -> Answer {
        let body = self.body(dpop, Self::AUDIENCE).to_string();
        self.post(&[("dpop", dpop)], body.as_bytes())
    }

    pub(crate) fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.client().request("POST", "/token", headers, body)
    }
}

fn serve(world: &World, toml: &str) -> Running {
    let mut config = world.config();
    config.url = Some(TokenSite::URL.to_owned());
    config.local = None;
    config.oidc = OidcConfig::parse(toml, Path::new("/nowhere")).unwrap();
    start(config).unwrap()
}

fn denied(answer: &Answer, status: u16, text: &str) {
    let json: Value = answer.json();
    assert_eq!(
        (answer.status, json["error"].as_str()),
        (status, Some(text))
    );
}

#[test]
fn a_token_says_who_for_whom_how_long_and_with_which_key() {
    let site = TokenSite::new("");
    let now = site.world.now().secs();
    let answer = site.ask(&site.proof());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("dpop-nonce"), None);
    let json: Value = answer.json();
    assert_eq!(
        (&json["token_type"], &json["expires_in"]),
        (&"DPoP".into(), &300.into())
    );
    let text = json["access_token"].as_str().unwrap();
    let token = Jws::parse(text).unwrap();
    let root = site.world.admin().roots().unwrap().remove(0);
    token
        .verify(JwsAlgorithm::EdDsa, root.public_key())
        .unwrap();
    assert_eq!(token.header_text("typ"), Some("at+jwt"));
    assert_eq!(token.header_text("alg"), Some("EdDSA"));
    assert_eq!(token.header_text("kid"), Some(&*root.kid().to_string()));
    let mut claims = Value::Object(token.claims().clone());
    let jti = claims["jti"].take();
    assert_eq!(jti.as_str().unwrap().len(), 36);
    assert_eq!(
        claims,
        json!({
            "sub": "wimse://notme.test/agent/alice/claude",
            "iss": "http://localhost:18788",
            "aud": "https://rosary.bot",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": null,
            "scope": "bridgeCert sign:git sign:attestation",
            "cnf": {"jkt": site.key.thumbprint().unwrap()},
        })
    );
    // The reference's members, in its order.
    let payload = |token: &str| {
        let part = token.trim().split('.').nth(1).unwrap().to_owned();
        String::from_utf8(base64::decode_url(part).unwrap()).unwrap()
    };
    let theirs = testdata::text("notme-authority/prod/token/access_token.jwt");
    let order = |text: String| -> Vec<usize> {
        let place = |name: &&str| text.find(&format!("\"{name}\":")).unwrap();
        [
            "sub", "iss", "aud", "iat", "nbf", "exp", "jti", "scope", "cnf", "jkt",
        ]
        .iter()
        .map(place)
        .collect()
    };
    assert!(order(payload(&theirs)).is_sorted());
    assert!(order(payload(text)).is_sorted());
    // It is in the issuance record, and is no certificate.
    let store = Connection::open(site.world.home().join("store.sqlite")).unwrap();
    let kept: (String, Vec<u8>) = store
        .query_row(
            "SELECT kind, certificate_sha256 FROM issued ORDER BY id DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(
        kept,
        ("access-token".to_owned(), sha256(text.as_bytes()).to_vec())
    );
    assert_eq!(
        site.world
            .admin()
            .describe()
            .unwrap()
            .summary
            .certificates_issued,
        5
    );
}

#[test]
fn a_token_made_before_a_rotation_still_verifies_and_the_next_is_of_the_new_key() {
    let site = TokenSite::new("");
    // Verifies a token by the set that is served, as its audience does.
    let verified = |answer: &Answer| -> String {
        let json: Value = answer.json();
        let token = Jws::parse(json["access_token"].as_str().unwrap()).unwrap();
        let kid = token.header_text("kid").unwrap();
        let set: Value = site.client().get("/.well-known/jwks.json").json();
        let keys = set["keys"].as_array().unwrap();
        let jwk = keys.iter().find(|key| key["kid"] == kid).unwrap();
        let raw = base64::decode_url(jwk["x"].as_str().unwrap()).unwrap();
        let key = PublicKey::from_ed25519(&raw.try_into().unwrap()).unwrap();
        token.verify(JwsAlgorithm::EdDsa, &key).unwrap();
        kid.to_owned()
    };
    let before = site.ask(&site.proof());
    let old = verified(&before);
    site.world.advance(1);
    step(&site.world, Rotation::Now).unwrap();
    assert_eq!(verified(&before), old);
    let new = verified(&site.ask(&site.proof()));
    assert_eq!(
        new,
        site.world.admin().roots().unwrap()[0].kid().to_string()
    );
    assert_ne!(new, old);
    // While a token of theirs lives, the old keys are not destroyed.
    let error = step(&site.world, Rotation::Retire).unwrap_err();
    assert_eq!(error.code(), "rotation-certificates-live");
}

#[test]
fn a_token_ends_with_its_session() {
    let site = TokenSite::new("");
    site.world.advance(3_600);
    let answer = site.ask(&site.proof());
    assert_eq!(answer.status, 200);
    // The certificate is over, but for a minute's skew; the session is not.
    site.world.advance(61);
    denied(&site.ask(&site.proof()), 401, "session_required");
}

#[test]
fn a_session_vouches_for_one_proof_and_one_audience() {
    let site = TokenSite::new("");
    let (proof, other) = (site.proof(), site.proof());
    let body = site.body(&proof, TokenSite::AUDIENCE);
    let swapped = site.post(&[("dpop", &other)], body.to_string().as_bytes());
    denied(&swapped, 401, "session_required");
    let mut elsewhere = body.clone();
    elsewhere["audience"] = "https://notme.bot".into();
    let answer = site.post(&[("dpop", &proof)], elsewhere.to_string().as_bytes());
    denied(&answer, 401, "session_required");
    let mut forged = body;
    let image = b"something else";
    forged["proof"] = base64::encode_url(&site.agent.signing.sign(image).unwrap()).into();
    let answer = site.post(&[("dpop", &proof)], forged.to_string().as_bytes());
    denied(&answer, 401, "session_required");
    // None of it spent the proof.
    assert_eq!(site.ask(&proof).status, 200);
}

#[test]
fn a_proof_is_used_once_by_one_of_many_and_after_a_restart() {
    let site = TokenSite::new("");
    let proof = site.proof();
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| site.ask(&proof).status))
            .collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    denied(&site.ask(&proof), 401, "proof_reused");
    let site = site.restart();
    denied(&site.ask(&proof), 401, "proof_reused");
    // Another key may use the same name.
    let claims: Value =
        serde_json::from_slice(&base64::decode_url(proof.split('.').nth(1).unwrap()).unwrap())
            .unwrap();
    let key = TokenKey::p256(33);
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk()});
    assert_eq!(site.ask(&key.sign(&header, &claims)).status, 200);
}

#[test]
fn a_revoked_session_gets_no_token() {
    let site = TokenSite::new("");
    assert_eq!(site.ask(&site.proof()).status, 200);
    let session = hex::encode(&site.certificate.peer_binding().unwrap());
    site.world
        .admin()
        .revoke(
            &Revoked::Session(session),
            None,
            RevocationReason::KeyCompromise,
        )
        .unwrap();
    denied(&site.ask(&site.proof()), 401, "session_required");
}

#[test]
fn where_nonces_are_asked_for_each_answer_has_the_next() {
    let site = TokenSite::new("require_nonce = true");
    let challenge = |answer: &Answer| {
        denied(answer, 400, "use_dpop_nonce");
        let json: Value = answer.json();
        assert!(json["error_description"].is_string());
        answer.header("dpop-nonce").unwrap().to_owned()
    };
    let with = |nonce: &str| site.proof_with(|_, claims| claims["nonce"] = nonce.into());
    let unasked = site.proof();
    let nonce = challenge(&site.ask(&unasked));
    // The challenge spends nothing.
    challenge(&site.ask(&unasked));
    let answer = site.ask(&with(&nonce));
    assert_eq!(answer.status, 200);
    let next = answer.header("dpop-nonce").unwrap().to_owned();
    assert_eq!(site.ask(&with(&next)).status, 200);
    challenge(&site.ask(&with("1795176000.AAAA")));
    site.world.advance(300);
    challenge(&site.ask(&with(&next)));
}

#[test]
fn pages_of_origins_that_the_operator_named_may_read_the_answer() {
    let site = TokenSite::new("");
    let ask = |origin: &str| {
        let proof = site.proof();
        let body = site.body(&proof, TokenSite::AUDIENCE).to_string();
        site.post(&[("dpop", &proof), ("origin", origin)], body.as_bytes())
    };
    for origin in ["https://rosary.bot", "http://localhost:5173"] {
        let answer = ask(origin);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("DPoP-Nonce")
        );
        let preflight = format!(
            "OPTIONS /token HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\nconnection: close\r\n\r\n"
        );
        let preflight = site.client().raw(preflight.as_bytes());
        assert_eq!(
            preflight.header("access-control-allow-origin"),
            Some(origin)
        );
    }
    let refused = site.post(&[("origin", "https://rosary.bot")], b"{}");
    assert_eq!(
        refused.header("access-control-allow-origin"),
        Some("https://rosary.bot")
    );
    assert_eq!(
        ask("https://evil.example").header("access-control-allow-origin"),
        None
    );
}

#[test]
fn without_audiences_there_are_no_tokens() {
    let world = World::new();
    let running = world.start();
    let headers = [("dpop", "x")];
    let body = br#"{"audience":"https://rosary.bot"}"#;
    let answer = running.tcp().request("POST", "/token", &headers, body);
    assert_eq!(
        (answer.status, answer.body),
        (
            400,
            br#"{"error":"invalid_audience","allowed":[]}"#.to_vec()
        )
    );
}
