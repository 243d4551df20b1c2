//! Time-stamped commits, from `init` to stranger.

use std::{fs, process::Command};

use notme_core::{
    armor::dearmor,
    cms::SignedMessage,
    object::{HashKind, split_commit},
};
use notme_testkit::{oracle::oracle, repository::run};

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
