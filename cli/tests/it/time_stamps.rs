//! Time-stamped commits, from `init` to stranger.

use std::{fs, process::Command};

use notme_core::{
    armor::{armor, dearmor},
    cms::{SignedAttributes, SignedMessage, assemble_time_stamped},
    object::{HashKind, split_commit},
};
use notme_testkit::{commit::with_signature, oracle::oracle, repository::run};

use crate::world::{World, told};

fn message(world: &World, oid: &str) -> SignedMessage {
    let raw = world.read_object("commit", oid);
    let split = split_commit(&raw, HashKind::Sha1).unwrap();
    SignedMessage::parse(&dearmor(split.signature().unwrap()).unwrap()).unwrap()
}

#[test]
fn openssl_verifies_the_time_stamp_of_a_commit() {
    let world = World::new();
    world.notme_ok(&["init", "--timestamp"]);
    let commit = world.signed_commit("a");
    let message = message(&world, &commit);
    let [token] = message.time_stamps().collect::<Vec<_>>()[..] else {
        panic!("one time stamp");
    };
    let put = |name: &str, bytes: &[u8]| fs::write(world.home().join(name), bytes).unwrap();
    put("token", token);
    put("signature", message.signature());
    put("other", b"other");
    put(
        "ca.pem",
        world.notme_ok(&["authority", "bundle"]).as_bytes(),
    );
    let verify = |data: &str| {
        let arguments = [
            "ts",
            "-verify",
            "-token_in",
            "-in",
            "token",
            "-CAfile",
            "ca.pem",
        ];
        let mut openssl = Command::new(oracle("openssl"));
        openssl.current_dir(world.home()).args(arguments);
        run(openssl.args(["-data", data]), b"")
    };
    let good = verify("signature");
    assert!(good.status.success(), "{}", told(&good));
    assert!(!verify("other").status.success());
}

#[test]
fn a_tag_has_a_time_stamp_too() {
    let world = World::new();
    world.notme_ok(&["init", "--timestamp=required"]);
    world.signed_commit("a");
    world.git_ok(&["tag", "-s", "v1", "-m", "first"]);
    let raw = world.read_object("tag", &world.git_ok(&["rev-parse", "v1"]));
    let start = b"-----BEGIN SIGNED MESSAGE-----";
    let at = raw.windows(start.len()).position(|it| it == start).unwrap();
    let message = SignedMessage::parse(&dearmor(&raw[at..]).unwrap()).unwrap();
    assert_eq!(message.time_stamps().count(), 1);
}

#[test]
fn nothing_is_stamped_unless_init_said_so() {
    let world = World::new();
    for (init, stamps) in [
        (&["init"][..], 0),
        (&["init", "--timestamp"], 1),
        (&["init"], 0),
    ] {
        world.notme_ok(init);
        let commit = world.signed_commit("a");
        assert_eq!(message(&world, &commit).time_stamps().count(), stamps);
        world.git_ok(&["update-ref", "-d", "HEAD"]);
    }
}

#[test]
fn status_says_what_was_asked_for() {
    let world = World::new();
    for (option, word) in [
        ("--timestamp", "wanted"),
        ("--timestamp=required", "required"),
    ] {
        world.notme_ok(&["init", option]);
        let line = format!("time stamps  {word}");
        assert!(world.notme_ok(&["status"]).contains(&line));
        let json: serde_json::Value =
            serde_json::from_str(&world.notme_ok(&["status", "--json"])).unwrap();
        assert_eq!(json["agent"]["timestamp"], word);
    }
}

#[test]
fn formats_without_room_for_a_time_stamp_are_refused_at_init() {
    let world = World::new();
    for format in ["ssh", "openpgp"] {
        let output = world.notme(&["init", "--timestamp", "--format", format]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            told(&output).contains("carry no time stamp"),
            "{}",
            told(&output)
        );
    }
    let output = world.notme(&["init", "--timestamp=perhaps"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!world.git(&["config", "gpg.format"]).status.success());
}

#[test]
fn a_time_stamped_commit_is_accepted_at_a_floor_that_asks_for_it() {
    let world = World::new();
    world.notme_ok(&["init", "--timestamp=required"]);
    world.signed_commit("a");
    let (exit, document) = world.verdicts(&["HEAD"]);
    assert_eq!(exit, Some(0), "{document}");
    let object = &document["objects"][0];
    assert_eq!(object["time_basis"], "timestamped");
    assert_eq!(object["timestamp"]["result"], "trusted");
    assert_eq!(object["timestamp"]["at"], object["judged_at"]);
    let policy = world.policy_with_floor("timestamped");
    assert_eq!(world.code("HEAD", &["--policy", &policy]), "accepted");
    assert!(world.notme_ok(&["verify"]).contains("timestamped"));
    assert!(
        world
            .notme_ok(&["explain", "HEAD"])
            .contains("on timestamped")
    );
    world.git_ok(&["verify-commit", "HEAD"]);
    let kid = &object["timestamp"]["kid"];
    let shown = world.notme_ok(&["trust", "show"]);
    assert!(
        shown.contains(&format!("stamps   p256 {}", kid.as_str().unwrap())),
        "{shown}"
    );

    world.notme_ok(&["init"]);
    world.signed_commit("b");
    let code = world.code("HEAD", &["--policy", &policy]);
    assert_eq!(code, "time-basis-too-weak");
}

/// The attack that a token must not help with: one that was got for something else.
#[test]
fn a_time_stamp_of_another_commit_is_refused() {
    let world = World::new();
    world.notme_ok(&["init", "--timestamp=required"]);
    let first = world.signed_commit("a");
    let second = world.signed_commit("b");
    let old = message(&world, &first);
    let new = message(&world, &second);
    let raw = world.read_object("commit", &second);
    let split = split_commit(&raw, HashKind::Sha1).unwrap();
    let attributes =
        SignedAttributes::new(new.hash(), split.payload(), new.signing_time().unwrap());
    let (signer, others) = new.certificates().split_first().unwrap();
    let with = |token| {
        let der = assemble_time_stamped(&attributes, new.signature(), signer, others, token);
        with_signature(split.payload(), "gpgsig", &armor(&der))
    };
    assert_eq!(with(new.time_stamps().next().unwrap()), raw);
    let raw = with(old.time_stamps().next().unwrap());
    let forged = world.store(&raw);
    assert_eq!(world.code(&forged, &[]), "timestamp-invalid");
    assert!(!world.git(&["verify-commit", &forged]).status.success());
}

#[test]
fn time_stamps_of_before_a_rotation_stand_and_the_next_ones_too() {
    let world = World::new();
    world.notme_ok(&["init", "--timestamp=required"]);
    let before = world.signed_commit("a");
    world.notme_ok(&["authority", "rotate"]);
    let after = world.signed_commit("b");
    let floor = world.policy_with_floor("timestamped");
    for commit in [&before, &after] {
        assert_eq!(world.code(commit, &["--policy", &floor]), "accepted");
    }
    let shown = world.notme_ok(&["trust", "show"]);
    let stamps = shown.lines().filter(|line| line.contains("stamps "));
    let retired: Vec<_> = stamps.map(|line| line.contains(", retired ")).collect();
    assert_eq!(retired, [true, false], "{shown}");
}
