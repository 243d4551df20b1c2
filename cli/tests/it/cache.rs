//! What `notme verify` keeps between runs.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::world::{World, told};

const ALL: [&str; 2] = ["verify", "--all"];

fn kept(world: &World) -> PathBuf {
    world.notme_home().join("cache/verdicts")
}

fn with_commits() -> World {
    let world = World::initialised();
    for name in ["a", "b", "c"] {
        world.signed_commit(name);
    }
    world.git_ok(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "d"]);
    world
}

#[test]
fn runs_with_and_without_a_cache_and_with_any_threads_say_the_same() {
    let world = with_commits();
    let cold = world.notme(&["verify", "--all", "--no-cache"]);
    assert!(!kept(&world).exists());
    for more in [&[][..], &[], &["--jobs", "1"], &["--jobs", "3"]] {
        let warm = world.notme(&[&ALL[..], more].concat());
        assert_eq!(told(&warm), told(&cold));
        assert_eq!(warm.status.code(), Some(1));
    }
    assert!(kept(&world).exists());
    assert_eq!(
        world.notme(&["verify", "--jobs", "0"]).status.code(),
        Some(2)
    );
}

#[test]
fn what_was_found_of_statements_is_kept_too() {
    let world = World::initialised();
    for name in ["a", "b", "c", "d", "e", "f"] {
        world.signed_commit(name);
        world.notme_ok(&[
            "attest",
            "dispatch",
            "HEAD",
            "--model",
            "M",
            "--provider",
            "P",
        ]);
    }
    let cold = world.notme(&["verify", "--all", "--no-cache"]);
    assert_eq!(
        String::from_utf8_lossy(&cold.stdout).matches("L2").count(),
        6
    );
    let contexts = || fs::read_dir(kept(&world)).unwrap().count();
    for _ in 0..2 {
        assert_eq!(told(&world.notme(&ALL)), told(&cold));
        // Of the commits and of what is stated.
        assert_eq!(contexts(), 2);
    }
}

#[test]
fn a_cache_that_cannot_be_used_is_said_and_everything_judged() {
    let world = with_commits();
    let good = world.notme(&ALL);
    fs::set_permissions(kept(&world), fs::Permissions::from_mode(0o777)).unwrap();
    let told_so = world.notme(&[&ALL[..], &["--format", "json"]].concat());
    let stderr = String::from_utf8(told_so.stderr).unwrap();
    assert!(stderr.contains("note: the cache of verdicts"), "{stderr}");
    assert!(stderr.contains("note: nothing was kept"), "{stderr}");
    assert_eq!(world.notme(&ALL).stdout, good.stdout);
    let silent = world.notme(&[&ALL[..], &["--no-cache"]].concat());
    assert_eq!(told(&silent), told(&good));
}

#[test]
fn who_is_trusted_no_more_is_not_in_spite_of_what_was_kept() {
    let world = World::initialised();
    world.signed_commit("a");
    assert_eq!(world.notme(&ALL).status.code(), Some(0));
    let policy = world.home().join("policy.toml");
    fs::write(&policy, "allow = []\n").unwrap();
    let policy = policy.to_str().unwrap();
    let refused = world.notme(&[&ALL[..], &["--policy", policy]].concat());
    assert_eq!(refused.status.code(), Some(1));
    world.notme_ok(&["trust", "remove", "embedded"]);
    assert_eq!(world.notme(&ALL).status.code(), Some(3));
}
