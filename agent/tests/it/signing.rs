use notme_agent::Profile;
use notme_core::{
    frame::{Basis, SessionState},
    key::{Algorithm, sha256},
};

use crate::world::{TREE, World, commit, verified_leaf};

const TAG: &str = "object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype commit\ntag v1\n\
    tagger Test <test@example.invalid> 1795176000 +0000\n\na release\n";
const PUSH: &str = "certificate version 0.1\n\
    pusher claude 1795176000 +0000\n\
    pushee https://git.example.invalid/repository\nnonce 1795176000-abcdef\n\n\
    0000000000000000000000000000000000000000 4b825dc642cb6eb9a060e54bf8d69288fbee4904 refs/heads/main\n";

#[test]
fn signs_a_commit_with_a_certificate_issued_for_it() {
    let world = World::new();
    let payload = commit();
    let answer = world.sign("claude", &payload).unwrap();
    let leaf = verified_leaf(&answer, &payload);
    assert_eq!(answer.basis, Basis::IssuanceBound);
    assert_eq!(answer.notice, None);
    assert_eq!(leaf.payload_digest(), Some(sha256(&payload)));
    assert_eq!(leaf.public_key().algorithm(), Algorithm::Ed25519);
    let identity = leaf.identity().unwrap();
    assert_eq!(identity.as_str(), "wimse://agents.test/agent/alice/claude");
}

#[test]
fn signs_with_p256_in_the_interop_profile() {
    let world = World::new();
    world.configure("claude", Profile::Interop);
    let leaf = verified_leaf(&world.sign("claude", &commit()).unwrap(), &commit());
    assert_eq!(leaf.public_key().algorithm(), Algorithm::P256);
    assert_eq!(leaf.payload_digest(), Some(sha256(&commit())));
}

#[test]
fn keeps_the_session_when_only_the_profile_changes() {
    let world = World::new();
    world.sign("claude", &commit()).unwrap();
    let before = world.session();
    world.configure("claude", Profile::Interop);
    world.sign("claude", &commit()).unwrap();
    let after = world.session();
    assert_ne!(before.kid, after.kid);
    assert_eq!(before.session_ends_at, after.session_ends_at);
    world.configure("claude", Profile::Modern);
    assert_eq!(world.session().kid, before.kid);
}

#[test]
fn signs_tags_and_push_certificates() {
    let world = World::new();
    for payload in [TAG, PUSH] {
        let answer = world.sign("claude", payload.as_bytes()).unwrap();
        verified_leaf(&answer, payload.as_bytes());
    }
}

#[test]
fn refuses_what_it_does_not_understand() {
    let world = World::new();
    let cut = format!("tree {TREE}\nauthor");
    let pae = "DSSEv1 28 application/vnd.in-toto+json 2 {}";
    for payload in [
        "",
        "anything",
        pae,
        &cut,
        "-----BEGIN SIGNED MESSAGE-----\n",
    ] {
        let refusal = world.sign("claude", payload.as_bytes()).unwrap_err();
        assert_eq!(refusal.code, "payload-not-understood", "{payload}");
    }
    // It never got as far as opening a session.
    assert_eq!(world.session().kid, None);
}

#[test]
fn keeps_two_agents_apart() {
    let world = World::new();
    world.configure("codex", Profile::Modern);
    let leaf = |name| verified_leaf(&world.sign(name, &commit()).unwrap(), &commit());
    let (claude, codex) = (leaf("claude"), leaf("codex"));
    assert_ne!(claude.kid(), codex.kid());
    let identity = codex.identity().unwrap();
    assert_eq!(identity.as_str(), "wimse://agents.test/agent/alice/codex");
}

#[test]
fn finds_a_session_by_its_key_id() {
    let world = World::new();
    let leaf = verified_leaf(&world.sign("claude", &commit()).unwrap(), &commit());
    let kid = leaf.kid().to_string();
    let again = verified_leaf(&world.sign(&kid, &commit()).unwrap(), &commit());
    assert_eq!(again.kid(), leaf.kid());
}

#[test]
fn refuses_a_key_that_nobody_has() {
    let world = World::new();
    let somebody = "0123456789abcdef0123456789abcdef";
    for key in [
        "",
        "nobody",
        "Test <test@example.invalid>",
        "../claude",
        "CLAUDE",
        somebody,
    ] {
        let refusal = world.sign(key, &commit()).unwrap_err();
        assert_eq!(refusal.code, "key-unknown", "{key}");
        assert!(refusal.hint.unwrap().contains("notme init"));
    }
}

#[test]
fn says_so_when_a_configuration_cannot_be_read() {
    let world = World::new();
    std::fs::write(world.config_dir().join("claude.json"), "{").unwrap();
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "config-invalid");
    assert!(refusal.message.contains("claude.json"));
}

#[test]
fn tells_of_a_broken_configuration_beside_the_others() {
    let world = World::new();
    std::fs::write(world.config_dir().join("broken.json"), "{").unwrap();
    world.sign("claude", &commit()).unwrap();
    for sessions in [world.list(), world.connect().status().sessions] {
        let [broken, claude] = &sessions[..] else {
            panic!("{sessions:?}");
        };
        assert_eq!(broken.agent.as_str(), "broken");
        assert_eq!(broken.state, SessionState::Broken);
        let problem = broken.problem.as_ref().unwrap();
        assert!(problem.contains("broken.json"), "{problem}");
        assert_eq!(claude.state, SessionState::Live);
        assert_eq!(claude.problem, None);
    }
}

#[test]
fn gets_a_certificate_for_every_signature() {
    let world = World::new();
    let leaf = || verified_leaf(&world.sign("claude", &commit()).unwrap(), &commit());
    assert_ne!(leaf().serial(), leaf().serial());
}
