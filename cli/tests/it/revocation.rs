//! `notme authority revoke`, as an operator runs it and as verifiers feel it.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::world::{World, told};

/// A repository with one signed commit, and what the verifier says of it.
fn signed(format: &str) -> (World, Value) {
    let world = World::new();
    world.notme_ok(&["init", "--agent", "claude", "--format", format]);
    world.signed_commit("before");
    let (_, report) = world.verdicts(&["HEAD"]);
    let object = report["objects"][0].clone();
    assert_eq!(object["verdict"], "accepted", "{object}");
    (world, object)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

/// The session that something was issued in, as the audit names it.
fn session_of(world: &World) -> String {
    let rows = world.notme_ok(&["authority", "audit", "export"]);
    let mut rows = rows
        .lines()
        .map(|row| serde_json::from_str::<Value>(row).unwrap());
    let issue = rows.find(|row| row["act"] == "issue").unwrap();
    let session = text(&issue, "about").strip_prefix("session ").unwrap();
    session.to_owned()
}

fn fails_to_sign(world: &World) -> String {
    let output = world.git(&["commit", "-q", "--allow-empty", "-m", "after"]);
    assert!(!output.status.success(), "{}", told(&output));
    told(&output)
}

#[test]
fn what_was_signed_since_is_refused_in_every_format() {
    for format in ["x509", "ssh", "openpgp"] {
        for kind in ["identity", "key", "certificate", "session"] {
            let (world, object) = signed(format);
            let session = session_of(&world);
            let value = match kind {
                "identity" => text(&object, "identity"),
                "key" => text(&object, "kid"),
                "certificate" => text(&object["certificate"], "serial"),
                _ => &session,
            };
            let since = text(&object, "judged_at");
            let said = world.notme_ok(&[
                "authority",
                "revoke",
                kind,
                value,
                "--since",
                since,
                "--reason",
                "key-compromise",
            ]);
            assert!(said.contains("keyCompromise"), "{said}");
            assert_eq!(world.code("HEAD", &[]), "revoked", "{format} {kind}");
            let listed = world.notme_ok(&["authority", "revocations", "--json"]);
            let listed: Value = serde_json::from_str(&listed).unwrap();
            assert_eq!(listed[0]["value"], value);
            assert_eq!(listed[0]["reason"], "keyCompromise");
        }
    }
}

#[test]
fn what_was_signed_before_stays_good_and_nothing_is_signed_after() {
    let (world, object) = signed("x509");
    // The second of the signature has to be over.
    let judged = text(&object, "judged_at").to_owned();
    loop {
        let now = world.verdicts(&["HEAD"]).1;
        if text(&now, "asked_at") > judged.as_str() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let identity = text(&object, "identity");
    let said = world.notme_ok(&["authority", "revoke", "identity", identity, "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["sessions_ended"], 1);
    assert_eq!(said["revocation"]["value"], identity);
    assert_eq!(world.code("HEAD", &[]), "accepted");
    // The session certificate in the key agent's memory would still do for a day.
    let said = fails_to_sign(&world);
    assert!(said.contains("revoked"), "{said}");
    world.notme_ok(&["agent", "stop"]);
    let said = fails_to_sign(&world);
    assert!(said.contains("revoked"), "{said}");
}

#[test]
fn a_wrong_value_is_a_wrong_call_and_changes_nothing() {
    let world = World::initialised();
    for arguments in [
        ["certificate", "no number"],
        ["key", "0123"],
        ["session", "ab"],
        ["identity", "claude"],
        ["identity", "wimse://elsewhere/agent/a/b"],
        ["epoch", "one"],
        ["epoch", "2"],
    ] {
        let output = world.notme(&[&["authority", "revoke"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    }
    let domain = world.notme_ok(&["authority", "status"]);
    let domain = domain
        .lines()
        .find_map(|line| line.strip_prefix("trust domain"));
    let pattern = format!("wimse://{}/gha/*", domain.unwrap().trim());
    let output = world.notme(&["authority", "revoke", "identity", &pattern]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("no pattern"), "{}", told(&output));
    assert_eq!(world.notme_ok(&["authority", "revocations"]), "");
}

#[test]
fn an_epoch_takes_back_what_it_issued_in_every_format_and_nothing_else() {
    for format in ["x509", "ssh", "openpgp"] {
        let (world, object) = signed(format);
        let since = text(&object, "judged_at");
        let in_use = world.notme(&["authority", "revoke", "epoch", "1", "--since", since]);
        assert!(in_use.status.success(), "{}", told(&in_use));
        assert!(told(&in_use).contains("epoch 1 is in use"), "{format}");
        world.notme_ok(&["authority", "rotate"]);
        world.signed_commit("after");
        assert_eq!(world.code("HEAD", &[]), "accepted", "{format}");
        assert_eq!(world.code("HEAD~", &[]), "revoked", "{format}");
    }
}

#[test]
fn what_the_policy_lists_as_good_is_not_taken_back() {
    let (world, object) = signed("x509");
    let (good, identity) = (text(&object, "oid"), text(&object, "identity"));
    let since = text(&object, "judged_at");
    world.signed_commit("bad");
    world.notme_ok(&[
        "authority",
        "revoke",
        "identity",
        identity,
        "--since",
        since,
    ]);
    let listed = world.policy(&format!("known_good = [\"{good}\"]\n"));
    let (_, report) = world.verdicts(&["--all", "--policy", &listed]);
    let verdicts: Vec<_> = report["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| {
            (
                text(object, "oid"),
                object["code"].as_str(),
                &object["rule"],
            )
        })
        .collect();
    assert_eq!(verdicts.len(), 2);
    for (oid, code, rule) in verdicts {
        match oid == good {
            true => {
                assert_eq!(code, None);
                let rule = rule.as_str().unwrap();
                assert!(
                    rule.ends_with("; revoked, but listed in known_good"),
                    "{rule}"
                );
            }
            false => assert_eq!(code, Some("revoked")),
        }
    }
    assert_eq!(report["summary"]["known_good"], 1);
    let told_as = |command: &[&str]| {
        let arguments = [command, &[good, "--policy", &listed]].concat();
        told(&world.notme(&arguments)).replace("\n     ", " ")
    };
    for format in ["sarif", "junit", "markdown", "github", "gitlab", "html"] {
        let told = told_as(&["verify", "--format", format]);
        assert!(told.contains("1 object accepted though revoked"), "{told}");
    }
    let line = told_as(&["verify"]);
    assert!(line.contains("revoked, but listed in known_good"), "{line}");
    let explained = told_as(&["explain"]);
    assert!(
        explained.contains("the policy's `known_good` lists it"),
        "{explained}"
    );
    assert!(!explained.contains("taken back"), "{explained}");
    // It stands for nothing but the revocation.
    let listed = world.policy(&format!("known_good = [\"{good}\"]\nallow = []\n"));
    assert_eq!(world.code(good, &["--policy", &listed]), "not-authorised");
    // In a repository's own policy it is for what is older than the commit that lists it.
    let bad = world.git_ok(&["rev-parse", "HEAD"]);
    let listed = format!("known_good = [\"{good}\"]\n");
    let root = world.commit(".notme/policy.toml", &listed);
    assert_eq!(world.code(good, &["--trust-root", &root]), "accepted");
    assert_eq!(world.code(&bad, &["--trust-root", &root]), "revoked");
}
