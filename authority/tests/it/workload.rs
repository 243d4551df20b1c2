//! An authority that takes the tokens of an issuer of the test's own, and a workload that has one.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use notme_authority::{OidcConfig, ServeConfig};
use notme_core::{
    base64,
    key::{PublicKey, Signer as _, sha256},
};
use notme_testkit::{issuer::TestIssuer, jwt::TokenKey};
use serde_json::{Value, json};

use crate::{
    client::{Agent, Answer, Client},
    world::{Running, World, start},
};

pub(crate) struct Site {
    // First, so that it ends before its directory does.
    pub(crate) running: Running,
    pub(crate) world: World,
    pub(crate) issuer: TestIssuer,
    pub(crate) agent: Agent,
    toml: String,
    tokens: AtomicU64,
}

impl Site {
    /// Takes what GitHub Actions says, as the reference was set up when its answers were recorded.
    pub(crate) fn github() -> Self {
        Self::new(TokenKey::rsa(), |url| {
            format!(
                "[[issuer]]\npreset = \"github-actions\"\nurl = \"{url}\"\naudience = \"notme.bot\"\nowners = [\"agentic-research\"]\n"
            )
        })
    }

    pub(crate) fn new(key: TokenKey, toml: impl FnOnce(&str) -> String) -> Self {
        let (world, issuer) = (World::new(), TestIssuer::start(key));
        let toml = toml(&issuer.url());
        Self {
            running: serve(&world, &toml, |_| {}),
            world,
            issuer,
            agent: Agent::new(1),
            toml,
            tokens: AtomicU64::new(0),
        }
    }

    pub(crate) fn restart(self) -> Self {
        self.restart_with(|_| {})
    }

    pub(crate) fn restart_with(self, change: impl FnOnce(&mut ServeConfig)) -> Self {
        self.running.stop();
        Self {
            running: serve(&self.world, &self.toml, change),
            ..self
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.running.tcp()
    }

    /// What GitHub says of a push, with a name of its own.
    pub(crate) fn claims(&self) -> Value {
        let now = self.world.now().secs();
        let number = self.tokens.fetch_add(1, Ordering::SeqCst);
        json!({
            "jti": format!("token-{number}"),
            "sub": "repo:agentic-research/notme:ref:refs/heads/main",
            "aud": "notme.bot",
            "ref": "refs/heads/main",
            "sha": "4d84b70302180a3809a31e09811d6e82de0e31ae",
            "repository": "agentic-research/notme",
            "repository_owner": "agentic-research",
            "repository_owner_id": "65",
            "run_id": "1234567890",
            "run_number": "10",
            "run_attempt": "1",
            "actor_id": "12",
            "actor": "octocat",
            "workflow": "ci",
            "event_name": "push",
            "workflow_ref": "agentic-research/notme/.github/workflows/ci.yml@refs/heads/main",
            "workflow_sha": "4d84b70302180a3809a31e09811d6e82de0e31ae",
            "job_workflow_ref": "agentic-research/notme/.github/workflows/ci.yml@refs/heads/main",
            "runner_environment": "github-hosted",
            "iss": self.issuer.url(),
            "nbf": now - 300,
            "exp": now + 300,
            "iat": now,
        })
    }

    pub(crate) fn token(&self) -> String {
        self.issuer.mint(&self.claims())
    }

    /// A token signed with an older key.
    pub(crate) fn token_of(&self, kid: &str) -> String {
        self.issuer.mint_with(kid, &self.claims())
    }

    /// A token with claims changed.
    pub(crate) fn token_with(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.issuer.mint(&claims)
    }

    pub(crate) fn post(&self, token: &str, body: &Value) -> Answer {
        self.post_bytes(token, body.to_string().as_bytes())
    }

    pub(crate) fn post_bytes(&self, token: &str, body: &[u8]) -> Answer {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", &*authorization),
            ("content-type", "application/json"),
        ];
        self.client().request("POST", "/cert/gha", &headers, body)
    }

    /// Asks for a pair as a good client does.
    pub(crate) fn exchange(&self, token: &str) -> Answer {
        self.post(token, &body(&self.agent, token))
    }

    /// Asks at `/cert` as a good client does.
    pub(crate) fn exchange_any(&self, token: &str, scopes: Option<Value>) -> Answer {
        let mut body = body(&self.agent, token);
        body["proof"] = json!({"type": "oidc", "token": token});
        if let Some(scopes) = scopes {
            body["scopes"] = scopes;
        }
        self.client().post("/cert", &body)
    }
}

fn serve(world: &World, toml: &str, change: impl FnOnce(&mut ServeConfig)) -> Running {
    let mut config = world.config();
    config.oidc = OidcConfig::parse(toml, Path::new("/nowhere")).unwrap();
    change(&mut config);
    start(config).unwrap()
}

/// What the proofs are over.
pub(crate) fn preimage(mtls: &PublicKey, signing: &PublicKey, token: &str) -> Vec<u8> {
    [
        mtls.spki_der(),
        signing.spki_der(),
        &sha256(token.as_bytes()),
    ]
    .concat()
}

pub(crate) fn body(agent: &Agent, token: &str) -> Value {
    let (mtls, signing) = (agent.mtls.public_key(), agent.signing.public_key());
    body_over(agent, &preimage(mtls, signing, token))
}

/// A body whose proofs are over anything.
pub(crate) fn body_over(agent: &Agent, message: &[u8]) -> Value {
    json!({
        "public_keys": {
            "mtls": agent.mtls.public_key().spki_pem(),
            "signing": agent.signing.public_key().spki_pem(),
        },
        "proofs": {
            "mtls": base64::encode_url(&agent.mtls.sign_fixed(message)),
            "signing": base64::encode_url(&agent.signing.sign(message).unwrap()),
        },
    })
}
