//! What clients of notme's own authority find here, as they find it there.

use std::fs;

use notme_authority::{RevocationReason, Revoked, Rotation};
use notme_core::{base64, bundle::CaBundle, certificate::Certificate};
use notme_testkit::testdata;
use serde_json::{Value, json};

use crate::{
    client::Agent,
    rotation::step,
    world::{Running, World, start},
};

fn bundle(body: &[u8]) -> CaBundle {
    CaBundle::from_json(body).unwrap()
}

/// The reference's document, with our key in the place of its own.
fn with_our_key(world: &World, document: &str) -> String {
    let reference: Value = serde_json::from_str(&testdata::text(
        "notme-authority/prod/discovery/epochs.json",
    ))
    .unwrap();
    let theirs = &reference["epochs"][0];
    let raw = base64::decode(theirs["publicRawB64"].as_str().unwrap()).unwrap();
    let root = world.admin().roots().unwrap().remove(0);
    let ours = root.public_key().ed25519_bytes().unwrap();
    testdata::text(&format!("notme-authority/prod/discovery/{document}"))
        .replace(theirs["keyId"].as_str().unwrap(), &root.kid().to_string())
        .replace(&base64::encode(&raw), &base64::encode(&ours))
        .replace(&base64::encode_url(&raw), &base64::encode_url(&ours))
}

#[test]
fn keys_and_epochs_are_the_references_bytes_but_for_the_key() {
    let world = World::new();
    let running = world.start();
    for (path, document, age) in [
        ("/.well-known/jwks.json", "jwks.json", 3600),
        ("/.well-known/epochs.json", "epochs.json", 60),
    ] {
        let answer = running.tcp().get(path);
        assert_eq!(
            String::from_utf8(answer.body.clone()).unwrap(),
            with_our_key(&world, document)
        );
        let cache = format!("public, max-age={age}");
        assert_eq!(answer.header("cache-control"), Some(&*cache));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
}

/// The authority of the reference's fixtures, but for its keys.
fn as_recorded(world: &World) -> Running {
    let mut config = world.config();
    config.url = Some("https://auth.notme.bot".to_owned());
    config.local = None;
    start(config).unwrap()
}

#[test]
fn the_discovery_document_begins_with_the_references_bytes() {
    let world = World::new();
    let running = as_recorded(&world);
    let answer = running.tcp().get("/.well-known/signet-authority.json");
    assert_eq!(
        answer.header("cache-control"),
        Some("public, max-age=86400")
    );
    let ours = String::from_utf8(answer.body).unwrap();
    let theirs = testdata::text("notme-authority/prod/discovery/signet-authority.json");
    let members = theirs.strip_suffix('}').unwrap();
    assert!(ours.starts_with(&format!("{members},")), "{ours}");
}

#[test]
fn both_metadata_documents_are_the_references_bytes_but_for_the_scopes() {
    let world = World::new();
    let running = as_recorded(&world);
    let scopes = [
        r#""bridgeCert","authorityManage","certMint","sign:git","sign:attestation""#,
        r#""bridgeCert","sign:git","sign:attestation","ssh:login""#,
    ];
    for document in ["oauth-authorization-server", "openid-configuration"] {
        let answer = running.tcp().get(&format!("/.well-known/{document}"));
        assert_eq!(
            answer.header("cache-control"),
            Some("public, max-age=86400")
        );
        let theirs = testdata::text(&format!("notme-authority/prod/discovery/{document}.json"));
        assert_eq!(
            String::from_utf8(answer.body).unwrap(),
            theirs.replace(scopes[0], scopes[1])
        );
    }
}

#[test]
fn the_signed_bundle_is_fresh_and_its_number_only_rises() {
    let world = World::new();
    let running = world.start();
    let root = world.admin().roots().unwrap().remove(0);
    let answer = running.tcp().get("/internal/ca-bundle");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let first = bundle(&answer.body);
    first.verify(root.public_key()).unwrap();
    first.check_age(world.now()).unwrap();
    assert_eq!(first.epoch, 1);
    assert_eq!(first.issued_at, world.now().secs());

    // One number, one bundle.
    world.advance(59);
    assert_eq!(running.tcp().get("/internal/ca-bundle").body, answer.body);
    world.advance(1);
    let answer = running.tcp().get("/internal/ca-bundle");
    let second = bundle(&answer.body);
    assert_eq!(second.issued_at, world.now().secs());
    assert!(second.seqno > first.seqno);
    running.stop();

    // Nor is there another after a restart.
    let running = world.start();
    assert_eq!(running.tcp().get("/internal/ca-bundle").body, answer.body);
    world.advance(60);
    let third = bundle(&running.tcp().get("/internal/ca-bundle").body);
    assert!(third.seqno > second.seqno);
    // A clock that was set back must not make clients take the bundle for one of the future.
    world.advance(-3_600);
    let fourth = bundle(&running.tcp().get("/internal/ca-bundle").body);
    fourth.verify(root.public_key()).unwrap();
    fourth.check_age(world.now()).unwrap();
    assert!(fourth.seqno > third.seqno);
}

#[test]
fn a_store_restored_from_a_backup_does_not_go_back_to_old_numbers() {
    let world = World::new();
    world.start().stop();
    let store = world.home().join("store.sqlite");
    let backup = world.root.path().join("backup.sqlite");
    fs::copy(&store, &backup).unwrap();
    let running = world.start();
    let seen = bundle(&running.tcp().get("/internal/ca-bundle").body).seqno;
    running.stop();
    fs::copy(&backup, &store).unwrap();
    world.advance(60);
    let running = world.start();
    assert!(bundle(&running.tcp().get("/internal/ca-bundle").body).seqno > seen);
}

#[test]
fn an_unmatched_path_and_a_wrong_method_have_the_references_bodies() {
    let world = World::new();
    let running = world.start();
    let unmatched = running.tcp().get("/.well-known/security.txt");
    assert_eq!(
        (unmatched.status, unmatched.body),
        (404, br#"{"error":"not_found"}"#.to_vec())
    );
    let posted = running.tcp().post_bytes("/internal/ca-bundle", b"{}");
    assert_eq!(
        (posted.status, posted.body.as_slice()),
        (405, &br#"{"error":"method not allowed"}"#[..])
    );
    assert_eq!(posted.header("allow"), Some("GET, HEAD, OPTIONS"));
    for method in ["POST", "PUT"] {
        assert_eq!(
            running.tcp().send(method, "/healthz", None, b"").body,
            b"ok"
        );
    }
}

#[test]
fn every_path_answers_browsers_that_ask_first_and_names_only_origins_it_knows() {
    let world = World::new();
    let running = world.start();
    let ask = |path: &str, origin: &str| {
        let request = format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\nconnection: close\r\n\r\n"
        );
        running.tcp().raw(request.as_bytes())
    };
    for path in ["/v1/enrol", "/.well-known/jwks.json", "/nowhere"] {
        let answer = ask(path, "http://localhost:3000");
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        for (name, value) in [
            ("access-control-allow-origin", "http://localhost:3000"),
            ("access-control-allow-methods", "GET, POST, OPTIONS"),
            (
                "access-control-allow-headers",
                "Content-Type, Authorization, DPoP",
            ),
            ("access-control-max-age", "86400"),
        ] {
            assert_eq!(answer.header(name), Some(value));
        }
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        for stranger in [
            "https://evil.example",
            "http://localhost:",
            "http://localhost:80.evil.example",
            "https://localhost:3000",
            "null",
        ] {
            let answer = ask(path, stranger);
            assert_eq!(answer.status, 204);
            assert_eq!(answer.header("access-control-allow-origin"), Some(""));
        }
    }
}

#[test]
fn the_landing_page_and_the_version_say_what_this_is() {
    let world = World::new();
    let mut config = world.config();
    config.url = Some("https://cluster.test/identity".to_owned());
    config.local = None;
    let running = start(config).unwrap();
    for path in ["/", "/identity", "/identity/"] {
        let landing: Value = running.tcp().get(path).json();
        assert_eq!(landing["authority_url"], "https://cluster.test/identity");
        let discovery = landing["discovery"].as_str().unwrap();
        assert_eq!(discovery, "/identity/.well-known/signet-authority.json");
        assert_eq!(running.tcp().get(discovery).status, 200);
        let cert_gha = landing["endpoints"]["cert_gha"].as_str().unwrap();
        assert_eq!(cert_gha, "/identity/cert/gha");
        let bare = running.tcp().post_bytes(cert_gha, b"");
        assert_eq!(bare.body, br#"{"error":"missing Bearer token"}"#);
    }
    let version = running.tcp().get("/.well-known/version");
    assert_eq!(version.header("cache-control"), Some("no-store"));
    let version: Value = version.json();
    assert_eq!(version["stamped"], version["commit"] != "unknown");
}

/// The ids of the keys in the JWK set.
fn jwks(running: &Running) -> Vec<String> {
    let set: Value = running.tcp().get("/.well-known/jwks.json").json();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid(world: &World) -> String {
    world.admin().roots().unwrap()[0].kid().to_string()
}

#[test]
fn during_a_rotation_there_are_several_keys_the_current_one_first() {
    let world = World::new();
    let running = world.start();
    Agent::new(1).session(&running.unix(), None);
    let first = kid(&world);
    let epochs = step(&world, Rotation::Prepare).unwrap();
    let second = epochs[1].roots[0].kid.to_string();
    // Whoever keeps the set for an hour knows the next key when it is used.
    assert_eq!(jwks(&running), [first.as_str(), &second]);
    world.advance(1);
    step(&world, Rotation::Activate).unwrap();
    assert_eq!(jwks(&running), [second.as_str(), &first]);
    world.advance(1);
    let epochs = step(&world, Rotation::Prepare).unwrap();
    let third = epochs[2].roots[0].kid.to_string();
    assert_eq!(jwks(&running), [second.as_str(), &third, &first]);
    // Nothing lives any more that the first key signed.
    world.advance(3_661);
    step(&world, Rotation::Retire).unwrap();
    assert_eq!(jwks(&running), [second.as_str(), &third]);
}

#[test]
fn a_revoked_key_leaves_the_jwk_set_and_the_bundle_at_once() {
    let world = World::new();
    let running = world.start();
    Agent::new(1).session(&running.unix(), None);
    let first = kid(&world);
    step(&world, Rotation::Now).unwrap();
    let second = kid(&world);
    assert_eq!(jwks(&running), [second.as_str(), &first]);
    let reason = RevocationReason::KeyCompromise;
    let admin = world.admin();
    admin.revoke(&Revoked::Epoch(1), None, reason).unwrap();
    assert_eq!(jwks(&running), [second.as_str()]);
    let bundle = bundle(&running.tcp().get("/internal/ca-bundle").body);
    assert_eq!(bundle.prev_key_id, "");
    assert_eq!(bundle.keys.keys().collect::<Vec<_>>(), [&second]);
}

#[test]
fn epochs_keep_step_with_rotations() {
    let world = World::new();
    let running = world.start();
    let first = world.admin().roots().unwrap().remove(0);
    let entry = |epoch: u64, root: &Certificate, retired_at: Option<i64>| {
        json!({
            "epoch": epoch,
            "keyId": root.kid().to_string(),
            "publicRawB64": base64::encode(&root.public_key().ed25519_bytes().unwrap()),
            "retiredAt": retired_at,
        })
    };
    let epochs = || -> Value { running.tcp().get("/.well-known/epochs.json").json() };
    step(&world, Rotation::Prepare).unwrap();
    // What is prepared is no epoch yet.
    assert_eq!(epochs(), json!({"epochs": [entry(1, &first, None)]}));
    world.advance(1);
    step(&world, Rotation::Activate).unwrap();
    let (second, at) = (world.admin().roots().unwrap().remove(0), world.now().secs());
    let both = json!({"epochs": [entry(1, &first, Some(at)), entry(2, &second, None)]});
    assert_eq!(epochs(), both);
    // History outlives the keys.
    world.advance(3_661);
    step(&world, Rotation::Retire).unwrap();
    assert_eq!(epochs(), both);
    let ca: Vec<u8> = running.tcp().get("/.well-known/ca-bundle.pem").body;
    let ca = Certificate::from_pem(std::str::from_utf8(&ca).unwrap()).unwrap();
    assert_eq!(ca, second);
}

#[test]
fn the_signed_bundle_is_by_the_new_key_at_once_and_names_the_one_before() {
    let world = World::new();
    let running = world.start();
    let signed = || bundle(&running.tcp().get("/internal/ca-bundle").body);
    let (first, before) = (world.admin().roots().unwrap().remove(0), signed());
    assert_eq!((before.prev_key_id.as_str(), before.keys.len()), ("", 1));
    step(&world, Rotation::Now).unwrap();
    let second = world.admin().roots().unwrap().remove(0);
    let after = signed();
    after.verify(second.public_key()).unwrap();
    assert_eq!(after.epoch, 2);
    assert!(after.seqno > before.seqno);
    assert_eq!(after.key_id, second.kid().to_string());
    assert_eq!(after.prev_key_id, first.kid().to_string());
    assert_eq!(after.key(&after.prev_key_id).unwrap(), *first.public_key());
    // For one generation.
    world.advance(1);
    step(&world, Rotation::Now).unwrap();
    let last = signed();
    assert_eq!(last.prev_key_id, second.kid().to_string());
    assert!(last.key(&first.kid().to_string()).is_err());
}
