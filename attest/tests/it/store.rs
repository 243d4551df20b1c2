//! Keeping statements: many writers, merges, and stock git looking on.

use std::{fs, thread};

use notme_attest::{
    Store,
    make::places,
    store::{Merged, Place, Shelf, StoreError},
};
use notme_testkit::{clock::NOW, repository::Repository};

use crate::world::{World, assert_accepted, chain};

#[test]
fn stock_git_finds_nothing_wrong_with_what_we_write() {
    for repository in [Repository::new(), Repository::sha256()] {
        let world = World::of(repository);
        let commit = world.commit("one");
        world.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
        world.repository.git_ok(&["fsck", "--strict"]);
        let listed =
            world
                .repository
                .git_ok(&["ls-tree", "-r", "--name-only", "refs/attestations/commits"]);
        let (head, rest) = commit.id.split_at(2);
        assert!(listed.starts_with(&format!("{head}/{rest}/")), "{listed}");
        assert!(listed.ends_with(".sigstore.json"), "{listed}");
        // Packed and pruned, it is still there.
        world.repository.git_ok(&["gc", "--quiet", "--prune=now"]);
        assert_accepted(&world.judged(&commit));
    }
}

#[test]
fn writing_the_same_again_changes_nothing() {
    let world = World::new();
    let commit = world.commit("one");
    let records = chain("urn:a", "claude", &[commit]);
    world.write(&records);
    let before = world.repository.git_ok(&["for-each-ref"]);
    world.write(&records);
    assert_eq!(world.repository.git_ok(&["for-each-ref"]), before);
}

/// Threads here, as processes elsewhere: each goes through refs and lock files alone.
#[test]
fn many_writers_lose_nothing() {
    let world = World::new();
    let commit = world.commit("one");
    let path = world.repository.path().join(".git");
    thread::scope(|scope| {
        for writer in 0..8 {
            let (path, commit) = (&path, &commit);
            scope.spawn(move || {
                let store = Store::open(path).unwrap();
                for number in 0..4 {
                    let bundle = format!("{{\"by\":{writer},\"number\":{number}}}").into_bytes();
                    let places = places(std::slice::from_ref(commit), None);
                    store.write(&[(bundle, places)], NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(
        world.store.read(&Place::commit(&commit.id)).unwrap().len(),
        32
    );
    world.repository.git_ok(&["fsck", "--strict"]);
}

/// A ref that somebody holds stays where it is, and the write says so.
#[test]
fn a_write_that_cannot_be_finished_leaves_the_refs_as_they_were() {
    let world = World::new();
    let commit = world.commit("one");
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    world.write(&records[..1]);
    let before = world.repository.git_ok(&["for-each-ref"]);
    let lock = world
        .repository
        .path()
        .join(".git/refs/attestations/activities.lock");
    fs::write(&lock, "").unwrap();
    let refused = world.store.write(&records, NOW);
    assert!(matches!(refused, Err(StoreError::Git { .. })));
    assert_eq!(world.repository.git_ok(&["for-each-ref"]), before);
    fs::remove_file(&lock).unwrap();
    world.write(&records);
    assert_accepted(&world.judged(&commit));
}

fn fetch(from: &World, to: &World) -> Merged {
    let path = from.repository.path();
    let path = path.to_str().unwrap();
    let refspec = Shelf::refspec("origin");
    to.repository.git_ok(&[
        "fetch",
        "--quiet",
        path,
        "+refs/heads/*:refs/remotes/origin/*",
    ]);
    to.repository.git_ok(&["fetch", "--quiet", path, &refspec]);
    to.store.merge("origin", NOW).unwrap()
}

#[test]
fn a_merge_takes_what_both_have_and_then_settles() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    one.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    // Each of the two once, in however many places.
    assert_eq!(fetch(&one, &other).added.len(), 3);
    assert_accepted(&other.judged(&commit));
    // Ours is theirs: there was nothing to merge.
    let tip = |world: &World| {
        world
            .repository
            .git_ok(&["rev-parse", "refs/attestations/commits"])
    };
    assert_eq!(tip(&one), tip(&other));

    one.write(&chain("urn:b", "claude", std::slice::from_ref(&commit)));
    other.write(&chain("urn:c", "reviewer", std::slice::from_ref(&commit)));
    fetch(&one, &other);
    assert_eq!(other.judged(&commit).len(), 3);
    assert_eq!(other.store.ahead_of("origin").unwrap(), Shelf::ALL);
    fetch(&other, &one);
    assert_eq!(tip(&one), tip(&other));
    assert_eq!(fetch(&one, &other), Merged::default());
    assert!(other.store.ahead_of("origin").unwrap().is_empty());
}

#[test]
fn a_merge_leaves_out_what_is_no_statement_or_not_what_its_name_says() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    one.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    let (head, rest) = commit.id.split_at(2);
    let blob = one
        .repository
        .git_with_input(&["hash-object", "-w", "--stdin"], b"{}");
    let blob = String::from_utf8(blob.stdout).unwrap();
    one.repository
        .git_ok(&["read-tree", "refs/attestations/commits"]);
    for path in [
        format!("{head}/{rest}/0000000000000000.sigstore.json"),
        format!("{head}/{rest}/readme"),
        format!("{head}/README"),
        "hooks/post-commit".to_owned(),
    ] {
        let entry = format!("100644,{},{path}", blob.trim());
        one.repository
            .git_ok(&["update-index", "--add", "--cacheinfo", &entry]);
    }
    let tree = one.repository.git_ok(&["write-tree"]);
    let made = one.repository.git_ok(&["commit-tree", "-m", "x", &tree]);
    one.repository
        .git_ok(&["update-ref", "refs/attestations/commits", &made]);
    let merged = fetch(&one, &other);
    assert_eq!(merged.ignored, 4);
    assert_accepted(&other.judged(&commit));
    let listed =
        other
            .repository
            .git_ok(&["ls-tree", "-r", "--name-only", "refs/attestations/commits"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

/// A file that lies about its name is seen when it is judged, however it came.
#[test]
fn a_file_with_another_content_than_its_name_says_is_refused() {
    let world = World::new();
    let commit = world.commit("one");
    world.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    world
        .repository
        .git_ok(&["read-tree", "refs/attestations/commits"]);
    let staged = world.repository.git_ok(&["ls-files", "--stage"]);
    let (entry, path) = staged.split_once('\t').unwrap();
    let id = entry.split(' ').nth(1).unwrap();
    let renamed = path.rsplit_once('/').unwrap().0.to_owned() + "/0000000000000000.sigstore.json";
    let entry = format!("100644,{id},{renamed}");
    world
        .repository
        .git_ok(&["update-index", "--add", "--cacheinfo", &entry]);
    let tree = world.repository.git_ok(&["write-tree"]);
    let made = world.repository.git_ok(&["commit-tree", "-m", "x", &tree]);
    world
        .repository
        .git_ok(&["update-ref", "refs/attestations/commits", &made]);
    let codes = world.codes(&commit);
    assert_eq!(codes, [Some(notme_verifier::Code::EnvelopeMalformed), None]);
}
