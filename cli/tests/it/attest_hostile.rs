//! Statements where somebody else, or the configuration, works against them.

use std::{env, fs};

use notme_testkit::repository::{Repository, run};
use serde_json::Value;

use crate::world::{World, told};

/// Returns the digests of the statements about HEAD, judged or not.
fn digests(world: &World) -> Vec<String> {
    let shown = world.notme_ok(&["attest", "show", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let digest = |it: &Value| it["digest"].as_str().unwrap().to_owned();
    shown.as_array().unwrap().iter().map(digest).collect()
}

fn kept(world: &World) -> usize {
    digests(world).len()
}

/// A commit that was attested and pushed, and where to.
fn pushed() -> (World, Repository) {
    let world = World::initialised();
    world.signed_commit("one");
    let bare = world.remote();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    world.notme_ok(&["attest", "dispatch", "--model", "m"]);
    world.notme_ok(&["attest", "push"]);
    (world, bare)
}

/// As a mirror has it, or who wants to see the refs of others where they are.
#[test]
fn a_fetch_moves_no_ref_that_the_configuration_names() {
    for all in ["+refs/attestations/*:refs/attestations/*", "+refs/*:refs/*"] {
        let (world, bare) = pushed();
        world.git_ok(&["config", "--add", "remote.origin.fetch", all]);
        world.notme_ok(&["attest", "dispatch", "--model", "n"]);
        assert_eq!(kept(&world), 4);
        world.notme_ok(&["attest", "fetch"]);
        assert_eq!(kept(&world), 4, "{all}");
        world.notme_ok(&["attest", "push"]);
        let listed = ["ls-tree", "-r", "--name-only", "refs/attestations/commits"];
        assert_eq!(bare.git_ok(&listed).lines().count(), 4, "{all}");
    }
}

/// Whatever moves them, it is seen, and said where they were.
#[test]
fn what_is_lost_while_a_remote_is_asked_is_told() {
    let (world, _bare) = pushed();
    let reference = "refs/attestations/commits";
    let was = world.git_ok(&["rev-parse", reference]);
    let fetch = format!("*' fetch '*) git update-ref {reference} HEAD;;");
    world.stub(
        "git",
        &format!("PATH=${{PATH#*:}}\ncase \" $* \" in {fetch} esac\nexec git \"$@\""),
    );
    let path = format!("{}:{}", world.stubs().display(), env::var("PATH").unwrap());
    let mut command = world.notme_command();
    let output = run(command.env("PATH", path).args(["attest", "fetch"]), b"");
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let back = format!("git update-ref {reference} {was}");
    assert!(told(&output).contains(&back), "{}", told(&output));
}

#[test]
fn a_push_is_none_of_submodules_in_its_place() {
    let world = World::initialised();
    world.signed_commit("one");
    let bare = world.remote();
    world.notme_ok(&["attest", "dispatch"]);
    for only in ["push.recurseSubmodules", "submodule.recurse"] {
        let value = if only.starts_with("push") {
            "only"
        } else {
            "true"
        };
        world.git_ok(&["config", only, value]);
    }
    world.notme_ok(&["attest", "push"]);
    assert_eq!(bare.git_ok(&["for-each-ref"]).lines().count(), 3);
    bare.git_ok(&["update-ref", "-d", "refs/attestations/commits"]);
    world.notme_ok(&["attest", "push", "--replace"]);
    assert_eq!(bare.git_ok(&["for-each-ref"]).lines().count(), 3);
}

/// Whoever has a bundle can carry it otherwise.
#[test]
fn what_was_dropped_by_its_digest_stays_away() {
    let (world, bare) = pushed();
    let dispatch = world.notme_ok(&["attest", "handoff", "--from-phase", "x"]);
    let digest = dispatch.split(' ').next().unwrap();
    let exported = world.notme_ok(&["attest", "export"]);
    let because = ["--reason", "it is wrong"];
    world.notme_ok(&[&["attest", "drop", "HEAD", digest][..], &because].concat());
    // Another clone has the same, laid out otherwise.
    let clone = world.another_repository(Repository::new());
    let url = bare.path();
    clone.git_ok(&["remote", "add", "origin", url.to_str().unwrap()]);
    clone.git_ok(&["pull", "--quiet", "origin", "main"]);
    let spaced: String = exported.lines().map(|line| format!(" {line}\n")).collect();
    clone.write("bundles.jsonl", &spaced);
    clone.notme_ok(&["attest", "import", "bundles.jsonl"]);
    clone.notme_ok(&["attest", "push"]);
    let output = world.notme(&["attest", "fetch"]);
    assert!(told(&output).contains("dropped here"), "{}", told(&output));
    let list = world.path().join(".git/notme-attest/dropped.jsonl");
    assert!(fs::read_to_string(list).unwrap().contains(digest));
    assert!(!digests(&world).iter().any(|it| it == digest));
}
