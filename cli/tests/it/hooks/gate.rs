//! A gate, and what its records are worth.

use notme_testkit::{
    oracle::oracle,
    repository::{Repository, run},
};
use serde_json::Value;

use super::{
    notme_in_ok,
    receive::{accepted, refused},
};
use crate::world::{World, told};

const HERE: &str = "https://git.example.org/tool";
const ALL: &str = "+refs/attestations/*:refs/attestations/*";

/// A policy in which a person's key signs, if the gate saw the commit.
fn policy(world: &World, gate: &str, repository: &str) -> String {
    let key = std::fs::read_to_string(world.home().join("key.pub")).unwrap();
    world.policy(&format!(
        r#"
[[principal]]
name = "alice"
kind = "human"
ssh_keys = ["{}"]

[[principal]]
name = "door"
kind = "bot"
identities = ["wimse://*/{gate}"]

[[gate]]
principals = ["door"]
repository = "{repository}"

[[allow]]
principals = ["alice"]
time_basis_floor = "first-seen"
"#,
        key.trim()
    ))
}

/// A person who signs with an SSH key, and two agents, one of which is a gate.
fn world() -> World {
    let world = World::initialised();
    world.notme_ok(&["init", "--agent", "gate", "--format", "x509"]);
    let key = world.home().join("key");
    let mut keygen = world.command(oracle("ssh-keygen"));
    let made = keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key);
    assert!(made.status().unwrap().success());
    for (name, value) in [
        ("gpg.format", "ssh"),
        ("gpg.ssh.program", "ssh-keygen"),
        ("user.signingkey", key.to_str().unwrap()),
    ] {
        world.git_ok(&["config", name, value]);
    }
    world
}

fn gate(world: &World, bare: &Repository, agent: &str, repository: &str) {
    let policy = policy(world, agent, repository);
    let install = ["hooks", "install", "--server", "--policy", &policy];
    let gate = ["--gate", agent, "--repository", repository];
    notme_in_ok(world, &bare.path(), &[&install[..], &gate].concat());
}

/// Returns code or verdict, and the time basis.
fn judged(world: &World, policy: &str) -> (String, Value) {
    let (_, document) = world.verdicts(&["HEAD", "--policy", policy]);
    let object = &document["objects"][0];
    let code = object["code"].as_str().or(object["verdict"].as_str());
    (code.unwrap().to_owned(), object["time_basis"].clone())
}

#[test]
fn what_a_gate_saw_is_first_seen() {
    let world = world();
    let bare = world.remote();
    gate(&world, &bare, "gate", HERE);
    world.signed_commit("one");
    world.signed_commit("two");
    // The policy asks at the gate, too: what it is about to record counts there.
    accepted(&world, &["main"]);
    let file = policy(&world, "gate", HERE);
    assert_eq!(judged(&world, &file).0, "time-basis-too-weak");
    world.git_ok(&["fetch", "-q", "origin", ALL]);
    let (code, basis) = judged(&world, &file);
    assert_eq!((code.as_str(), basis), ("accepted", "first-seen".into()));
    // One record for both, with what happened.
    let kept = world.notme_ok(&["attest", "show", "HEAD", "--json"]);
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let [record] = kept.as_array().unwrap().as_slice() else {
        panic!("{kept}");
    };
    assert_eq!(
        record["predicateType"],
        "https://notme.bot/attestation/receive/v1"
    );
    assert_eq!(record["subject"].as_array().unwrap().len(), 2);
    let said = &record["predicate"];
    assert_eq!(said["repository"], HERE);
    assert_eq!(said["ref"], "refs/heads/main");
    assert_eq!(said["new"], world.git_ok(&["rev-parse", "HEAD"]).as_str());
    assert_eq!(
        (&said["old"], &said["pusher"]),
        (&Value::Null, &Value::Null)
    );
    // It says nothing of the work.
    let output = world.notme(&["attest", "verify"]);
    assert_eq!(output.status.code(), Some(3));
    // What is there already is recorded no more, wherever else it goes.
    let before = bare.git_ok(&["rev-parse", "refs/attestations/commits"]);
    world.git_ok(&["tag", "-m", "x", "v1"]);
    bare.git_ok(&["config", "notme.unverified", "refs/tags/*"]);
    accepted(&world, &["main:refs/heads/again", "v1"]);
    assert_eq!(
        bare.git_ok(&["rev-parse", "refs/attestations/commits"]),
        before
    );
}

/// They come there unseen.
#[test]
fn refs_that_are_not_verified_keep_no_commit_from_being_recorded() {
    let world = world();
    let bare = world.remote();
    gate(&world, &bare, "gate", HERE);
    bare.git_ok(&["config", "notme.unverified", "refs/raw/*"]);
    world.signed_commit("one");
    accepted(&world, &["main:refs/raw/x"]);
    // What an older version took.
    let one = world.git_ok(&["rev-parse", "main"]);
    bare.git_ok(&["update-ref", "refs/attestations/x", &one]);
    accepted(&world, &["main", "main:refs/raw/y"]);
    world.git_ok(&["fetch", "-q", "origin", ALL]);
    let file = policy(&world, "gate", HERE);
    let (code, basis) = judged(&world, &file);
    assert_eq!((code.as_str(), basis), ("accepted", "first-seen".into()));
    // Nor where that is where it was.
    world.signed_commit("two");
    accepted(&world, &["main:refs/raw/x"]);
    accepted(&world, &["main", "+main~1:refs/raw/x"]);
    world.git_ok(&["fetch", "-q", "origin", ALL]);
    assert_eq!(judged(&world, &file).0, "accepted");
}

#[test]
fn a_record_of_somebody_else_or_of_another_repository_shows_nothing() {
    let world = world();
    let bare = world.remote();
    // `claude` records, and nobody named it.
    gate(&world, &bare, "claude", HERE);
    world.signed_commit("one");
    accepted(&world, &["main"]);
    world.git_ok(&["fetch", "-q", "origin", ALL]);
    let file = policy(&world, "gate", HERE);
    assert_eq!(judged(&world, &file).0, "time-basis-too-weak");
    let file = policy(&world, "claude", "https://git.example.org/other");
    assert_eq!(judged(&world, &file).0, "time-basis-too-weak");
    let file = policy(&world, "claude", HERE);
    assert_eq!(judged(&world, &file).1, "first-seen");
    // A server that records under another name than its policy has does not help itself.
    bare.git_ok(&[
        "config",
        "notme.repository",
        "https://git.example.org/other",
    ]);
    world.signed_commit("two");
    refused(&world, &["main"], "time-basis-too-weak");
}

#[test]
fn a_gate_that_cannot_sign_is_said_and_takes_in_what_needs_no_record() {
    let world = world();
    let bare = world.remote();
    gate(&world, &bare, "nobody", HERE);
    world.signed_commit("one");
    let said = refused(&world, &["main"], "time-basis-too-weak");
    assert!(said.contains("the gate signed no record"), "{said}");
    let text = std::fs::read_to_string(policy(&world, "gate", HERE)).unwrap();
    let file = world.policy(&text.replace("first-seen", "declared"));
    let output = world.git(&["push", "origin", "main"]);
    assert!(output.status.success(), "{}", told(&output));
    // What makes up for it later.
    let said = told(&output);
    let (_, command) = said
        .split_once("later, there: echo OLD NEW REF | notme ")
        .unwrap();
    let words = command.lines().next().unwrap().split_whitespace();
    bare.git_ok(&["config", "notme.gate", "gate"]);
    let tip = world.git_ok(&["rev-parse", "HEAD"]);
    let update = format!("{} {tip} refs/heads/main\n", "0".repeat(40));
    let mut hook = world.notme_command();
    hook.current_dir(bare.path()).args(words);
    let output = run(&mut hook, update.as_bytes());
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(judged(&world, &file).1, "dag-ordered");
    world.git_ok(&["fetch", "-q", "origin", ALL]);
    assert_eq!(judged(&world, &file).1, "first-seen");
}

#[test]
fn whoever_signed_the_push_is_in_the_record() {
    let world = World::initialised();
    world.notme_ok(&["init", "--agent", "gate", "--format", "x509"]);
    world.notme_ok(&["init", "--agent", "claude", "--format", "x509"]);
    let bare = world.remote();
    let install = [
        "hooks",
        "install",
        "--server",
        "--gate",
        "gate",
        "--repository",
        HERE,
    ];
    notme_in_ok(&world, &bare.path(), &install);
    bare.git_ok(&["config", "receive.certNonceSeed", "seed"]);
    world.signed_commit("one");
    accepted(&world, &["--signed", "main"]);
    world.git_ok(&["fetch", "-q", "origin", ALL]);
    let kept = world.notme_ok(&["attest", "show", "HEAD", "--json"]);
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let pusher = kept[0]["predicate"]["pusher"].as_str().unwrap();
    assert!(pusher.ends_with("/claude"), "{pusher}");
    // Taking the hooks away leaves no setting behind.
    notme_in_ok(&world, &bare.path(), &["hooks", "uninstall"]);
    assert!(!bare.git_ok(&["config", "--list"]).contains("notme."));
}

/// Runs `post-receive` for a ref that came to be.
fn received(world: &World, bare: &Repository, id: &str, name: &str) {
    let update = format!("{} {id} {name}\n", "0".repeat(40));
    let mut hook = world.notme_command();
    let words = ["hook", "--former", "/nonexistent", "post-receive", "--"];
    hook.current_dir(bare.path()).args(words);
    let output = run(&mut hook, update.as_bytes());
    let is_quiet = output.stderr.is_empty();
    assert!(output.status.success() && is_quiet, "{}", told(&output));
}

/// Two pushes of it move their refs before either looks.
#[test]
fn what_comes_to_two_refs_at_a_time_is_recorded_once() {
    let world = world();
    let bare = world.remote();
    gate(&world, &bare, "gate", HERE);
    world.signed_commit("one");
    accepted(&world, &["main"]);
    let two = world.signed_commit("two");
    bare.git_ok(&["fetch", "-q", world.path().to_str().unwrap(), &two]);
    let refs = ["refs/heads/a", "refs/heads/b"];
    for name in refs {
        bare.git_ok(&["update-ref", name, &two]);
    }
    for name in refs {
        received(&world, &bare, &two, name);
    }
    world.git_ok(&["fetch", "-q", "origin", ALL]);
    let kept = world.notme_ok(&["attest", "show", "HEAD", "--json"]);
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let [record] = kept.as_array().unwrap().as_slice() else {
        panic!("{kept}");
    };
    assert_eq!(record["subject"].as_array().unwrap().len(), 1);
    let file = policy(&world, "gate", HERE);
    assert_eq!(judged(&world, &file).1, "first-seen");
    accepted(&world, &["main"]);
}

#[test]
fn what_another_ref_has_and_the_gate_never_saw_is_recorded_later() {
    let world = world();
    let bare = world.remote();
    // Somebody else recorded it, or the gate as another repository.
    gate(&world, &bare, "claude", HERE);
    world.signed_commit("one");
    accepted(&world, &["main:refs/heads/a", "main:refs/heads/b"]);
    bare.git_ok(&["config", "notme.gate", "gate"]);
    bare.git_ok(&[
        "config",
        "notme.repository",
        "https://git.example.org/other",
    ]);
    let one = world.git_ok(&["rev-parse", "HEAD"]);
    received(&world, &bare, &one, "refs/heads/a");
    bare.git_ok(&["config", "notme.repository", HERE]);
    received(&world, &bare, &one, "refs/heads/a");
    received(&world, &bare, &one, "refs/heads/a");
    world.git_ok(&["fetch", "-q", "origin", ALL]);
    let file = policy(&world, "gate", HERE);
    assert_eq!(judged(&world, &file).1, "first-seen");
    let kept = world.notme_ok(&["attest", "show", "HEAD", "--json"]);
    let kept: Value = serde_json::from_str(&kept).unwrap();
    // Two by claude, one for each of its refs.
    assert_eq!(kept.as_array().unwrap().len(), 4, "{kept}");
}

/// What is `first-seen` is the word of whoever has what the gate signs with, unless that word is older
/// by somebody else's.
#[test]
fn what_a_gate_saw_rests_on_the_gate() {
    let world = world();
    let bare = world.remote();
    gate(&world, &bare, "gate", HERE);
    let commit = world.signed_commit("one");
    accepted(&world, &["main"]);
    world.git_ok(&["fetch", "-q", "origin", ALL]);
    let file = policy(&world, "gate", HERE);
    let output = world.notme(&["attest", "verify", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let identity = told[0]["attestations"][0]["identity"].as_str().unwrap();
    let other = identity.replace("/gate", "/other");
    let ask = |what: &str, since: &str| {
        let ask = ["verify", "--policy", &file, "--format", "json"];
        let about = ["--compromised", what, "--since", since];
        let output = world.notme(&[&ask[..], &about].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let object = &report["objects"][0];
        assert!(object.is_null() || object["oid"] == commit.as_str());
        let exposure = object["exposure"].as_str().unwrap_or("none").to_owned();
        let is_known = report["compromised"][0]["code"].is_null();
        (exposure, is_known, output.status.code())
    };
    let [before, after] = ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"];
    let since = |exposure: &str, code: i32| (exposure.to_owned(), true, Some(code));
    assert_eq!(ask(identity, before), since("since", 1));
    assert_eq!(ask(identity, after), since("none", 0));
    assert_eq!(ask("embedded", before), since("since", 1));
    // It dates the gate's certificates.
    assert_eq!(ask("embedded", after), since("undated", 1));
    assert_eq!(ask(&other, before), ("none".to_owned(), false, Some(3)));
}
