//! Authorities from before SSH and OpenPGP, and answers that are not what was asked for.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use notme_agent::Profile;
use notme_core::frame::{Request, SignatureKind};
use notme_testkit::clock::FixedClock;
use serde_json::{Value, json};

use crate::{
    go_between::Change,
    world::{Wishes, World, commit, verified_leaf},
};

const FORMATS: [SignatureKind; 2] = [SignatureKind::Ssh, SignatureKind::OpenPgp];

fn world(change: impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static) -> World {
    let mut world = World::empty();
    let change: Change = Arc::new(change);
    world.start_authority_behind(&FixedClock::default(), change);
    world.configure("claude", Profile::Modern);
    world.start_agent(Wishes::default());
    world
}

/// Returns the code of the refusal to sign in a format.
fn refused(world: &World, format: SignatureKind) -> String {
    let refusal = world.sign_armored("claude", format, &commit()).unwrap_err();
    refusal.code
}

/// Changes what an enrolment or a renewal grants.
fn granting(
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static {
    move |path, mut answer| {
        if matches!(path, "/v1/enrol" | "/v1/renew") && answer["certificates"].is_object() {
            change(&mut answer["certificates"]);
        }
        Some(answer)
    }
}

#[test]
fn an_authority_of_before_still_has_x509() {
    let world = world(|path, mut answer| {
        if path == "/v1/trust.json" {
            return None;
        }
        if let Some(certificates) = answer["certificates"].as_object_mut() {
            certificates.remove("ssh");
            certificates.remove("openpgp");
        }
        Some(answer)
    });
    verified_leaf(&world.sign("claude", &commit()).unwrap(), &commit());
    for format in FORMATS {
        assert_eq!(refused(&world, format), "format-unavailable");
    }
}

#[test]
fn without_a_trust_document_nobody_knows_who_may_certify() {
    let world = world(|path, answer| (path != "/v1/trust.json").then_some(answer));
    verified_leaf(&world.sign("claude", &commit()).unwrap(), &commit());
    for format in FORMATS {
        let refusal = world.sign_armored("claude", format, &commit()).unwrap_err();
        assert_eq!(refusal.code, "format-unavailable");
        assert!(refusal.message.contains("404"), "{}", refusal.message);
    }
}

#[test]
fn a_trust_document_that_was_late_is_asked_for_again() {
    let is_there = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_there);
    let world = world(move |path, answer| {
        (path != "/v1/trust.json" || seen.load(Ordering::SeqCst)).then_some(answer)
    });
    assert_eq!(refused(&world, SignatureKind::Ssh), "format-unavailable");
    let before = world.session().kid;
    is_there.store(true, Ordering::SeqCst);
    for format in FORMATS {
        world.sign_armored("claude", format, &commit()).unwrap();
    }
    assert_eq!(world.session().kid, before);
}

#[test]
fn a_trust_document_that_was_altered_certifies_nobody() {
    let world = world(|path, mut answer| {
        if path == "/v1/trust.json" {
            answer["signatures"] = json!([answer["signatures"][0]]);
        }
        Some(answer)
    });
    for format in FORMATS {
        assert_eq!(refused(&world, format), "format-unavailable");
    }
}

#[test]
fn certificates_of_another_authority_open_no_session() {
    let other = World::new();
    let credentials = |world: &World| -> notme_core::frame::CredentialsAnswer {
        let key = "claude".to_owned();
        let request = Request::Credentials { key };
        world.connect().call(&request, b"").unwrap()
    };
    let theirs = credentials(&other).ssh.unwrap();
    let world = world(granting(move |certificates| {
        certificates["ssh"] = theirs.clone().into();
    }));
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "authority-not-pinned");
}

#[test]
fn malformed_certificates_open_no_session() {
    for change in [
        |certificates: &mut Value| certificates["ssh"] = "ssh-ed25519 AAAA".into(),
        |certificates: &mut Value| certificates["ssh"] = "".into(),
        |certificates: &mut Value| certificates["openpgp"]["certification"] = "AAAA".into(),
        |certificates: &mut Value| certificates["openpgp"]["certification"] = "!".into(),
    ] {
        let world = world(granting(change));
        let refusal = world.sign("claude", &commit()).unwrap_err();
        assert_eq!(refusal.code, "authority-answer-invalid");
    }
}

#[test]
fn a_key_of_another_time_is_not_the_one_that_was_certified() {
    let world = world(granting(|certificates| {
        let created = certificates["openpgp"]["created"].as_i64().unwrap();
        certificates["openpgp"]["created"] = (created + 1).into();
    }));
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "authority-not-pinned");
}

#[test]
fn a_certificate_for_other_bytes_signs_nothing() {
    let first = Mutex::new(None);
    let world = world(move |path, answer| {
        if path != "/v1/issue" {
            return Some(answer);
        }
        // Every question gets the first answer of its format.
        let mut first = first.lock().unwrap();
        let kept: &mut Value = first.get_or_insert_with(|| json!({"certificates": {}}));
        for (format, certificate) in answer["certificates"].as_object().unwrap() {
            let kept = &mut kept["certificates"][format];
            if kept.is_null() {
                *kept = certificate.clone();
            }
        }
        kept["expires_at"] = answer["expires_at"].clone();
        Some(kept.clone())
    });
    let other = [commit(), b"other\n".to_vec()].concat();
    world.sign("claude", &commit()).unwrap();
    let refusal = world.sign("claude", &other).unwrap_err();
    assert_eq!(refusal.code, "authority-answer-invalid");
    for format in FORMATS {
        world.sign_armored("claude", format, &commit()).unwrap();
        let refusal = world.sign_armored("claude", format, &other).unwrap_err();
        assert_eq!(refusal.code, "authority-answer-invalid");
    }
}
