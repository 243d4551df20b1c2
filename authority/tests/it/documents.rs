//! What anyone may read.

use notme_core::{
    certificate::Certificate,
    hex,
    openpgp::TrustedKey,
    ssh::Key,
    trust::{TrustDocument, VerifiedTrust},
};
use serde_json::Value;

use crate::world::{Running, World, start};

fn trust(world: &World, running: &Running) -> VerifiedTrust {
    let pin = world.admin().roots().unwrap()[0].public_key().spki_sha256();
    let answer = running.unix().get("/v1/trust.json");
    assert_eq!(answer.status, 200);
    TrustDocument::verify(&answer.body, &[pin], world.now()).unwrap()
}

#[test]
fn health_answers_ok() {
    let world = World::new();
    let running = world.start();
    for path in ["/health", "/healthz"] {
        let answer = running.tcp().get(path);
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn the_ca_bundle_is_the_ed25519_root_without_a_final_newline() {
    let world = World::new();
    let running = world.start();
    let answer = running.tcp().get("/.well-known/ca-bundle.pem");
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-pem-file")
    );
    assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
    assert!(answer.body.ends_with(b"-----END CERTIFICATE-----"));
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(
        Certificate::from_pem(&text).unwrap(),
        world.admin().roots().unwrap()[0]
    );
}

#[test]
fn every_endpoint_that_discovery_names_is_there() {
    let world = World::new();
    let running = world.start();
    let discovery: Value = running
        .tcp()
        .get("/.well-known/signet-authority.json")
        .json();
    assert_eq!(discovery["issuer"], running.url.as_str());
    assert_eq!(
        discovery["algorithms_supported"],
        serde_json::json!(["Ed25519"])
    );
    let paths: Vec<_> = discovery
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri"))
        .map(|(_, path)| path.as_str().unwrap())
        .collect();
    assert!(paths.len() >= 11);
    for path in paths {
        // To a method that is not theirs, some say that they are not there.
        let asked = [
            running.tcp().get(path),
            running.tcp().post_bytes(path, b"{}"),
        ];
        assert!(asked.iter().any(|answer| answer.status != 404), "{path}");
    }
}

#[test]
fn the_public_url_may_carry_a_path() {
    let world = World::new();
    let mut config = world.config();
    config.url = Some("https://cluster.test/identity/".to_owned());
    config.local = None;
    let running = start(config).unwrap();
    assert_eq!(running.tcp().get("/identity/health").status, 200);
    assert_eq!(running.tcp().get("/health").status, 200);
    assert_eq!(running.tcp().get("/other/health").status, 404);
    let token = world.token();
    crate::client::Agent::new(1).session(&running.unix(), Some(token.expose()));
}

#[test]
fn the_trust_document_verifies_against_either_root() {
    let world = World::new();
    let running = world.start();
    let body = running.tcp().get("/v1/trust.json").body;
    let roots = world.admin().roots().unwrap();
    for root in &roots {
        let pin = root.public_key().spki_sha256();
        let verified = TrustDocument::verify(&body, &[pin], world.now()).unwrap();
        let document = verified.document();
        assert_eq!(document.seqno, 1);
        assert_eq!(document.authority, running.url);
        assert_eq!(document.trust_domain, "notme.test");
        assert_eq!(document.epoch, 1);
        assert_eq!(document.previous, None);
        assert_eq!(document.expires_at, world.now().plus(30 * 86_400));
        let certificates: Vec<_> = document
            .roots
            .iter()
            .map(|root| root.certificate.clone())
            .collect();
        assert_eq!(certificates, roots);
    }
    assert!(TrustDocument::verify(&body, &[[0; 32]], world.now()).is_err());
}

#[test]
fn the_keys_of_the_other_formats_are_published_in_their_own_form_and_in_the_trust_document() {
    let world = World::new();
    let running = world.start();
    let verified = trust(&world, &running);
    let document = verified.document();
    let ([ssh], [openpgp]) = (document.ssh_ca.as_slice(), document.openpgp.as_slice()) else {
        panic!("{document:?}");
    };
    let answer = running.tcp().get("/v1/ssh-ca.pub");
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    let line = String::from_utf8(answer.body).unwrap();
    let (key, comment) = Key::from_text(line.trim_end()).unwrap();
    assert_eq!(key, Key::Plain(ssh.public_key.clone()));
    assert_eq!(comment, "signet-authority notme.test");

    let answer = running.tcp().get("/v1/openpgp.asc");
    assert_eq!(answer.header("content-type"), Some("application/pgp-keys"));
    let armor = String::from_utf8(answer.body).unwrap();
    let key = TrustedKey::from_armor(&armor).unwrap();
    assert_eq!(key, openpgp.certificate);
    assert_eq!(key.user_id(), "signet-authority notme.test");
    for (from, retired_at) in [
        (ssh.from, ssh.retired_at),
        (openpgp.from, openpgp.retired_at),
    ] {
        assert_eq!(from, world.now().plus(-60));
        assert_eq!(retired_at, None);
    }
    let kids: std::collections::BTreeSet<_> = document
        .roots
        .iter()
        .map(|root| root.kid)
        .chain([ssh.kid, openpgp.kid])
        .collect();
    assert_eq!(kids.len(), 4);
}

#[test]
fn the_trust_document_stays_the_same_across_restarts() {
    let world = World::new();
    let only_unix = || {
        let mut config = world.config();
        config.listen.truncate(1);
        start(config).unwrap()
    };
    let running = only_unix();
    let first = running.unix().get("/v1/trust.json").body;
    running.stop();
    world.advance(86_399);
    let running = only_unix();
    assert_eq!(running.unix().get("/v1/trust.json").body, first);
    assert_eq!(world.admin().trust().unwrap().unwrap(), first);
}

/// Two documents of one number would be equivocation, so each signing takes the next.
#[test]
fn a_document_signed_anew_takes_the_next_number_and_names_the_one_before() {
    let world = World::new();
    let running = world.start();
    let first = trust(&world, &running);
    running.stop();

    world.advance(86_400);
    let running = world.start();
    let second = trust(&world, &running);
    assert_eq!(second.document().seqno, 2);
    assert_eq!(
        second.document().previous,
        Some(hex::encode(&first.payload_sha256()))
    );
    assert_eq!(second.document().issued_at, world.now());
    running.stop();

    let mut moved = world.config();
    moved.url = Some("https://moved.test".to_owned());
    moved.local = None;
    let running = start(moved).unwrap();
    let third = trust(&world, &running);
    assert_eq!(third.document().seqno, 3);
    assert_eq!(third.document().authority, "https://moved.test");
    assert_eq!(
        third.document().previous,
        Some(hex::encode(&second.payload_sha256()))
    );
}

#[test]
fn a_document_from_the_future_is_signed_anew() {
    let world = World::new();
    world.start().stop();
    world.advance(-3_600);
    let running = world.start();
    let document = trust(&world, &running);
    assert_eq!(document.document().seqno, 2);
    assert_eq!(document.document().issued_at, world.now());
}
