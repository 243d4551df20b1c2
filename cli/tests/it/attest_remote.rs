//! Statements of a remote to which a stranger may push who has no key, and that has no gate.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use notme_attest::store::Shelf;
use notme_core::hex;
use notme_testkit::repository::Repository;
use serde_json::Value;

use crate::world::{World, told};

const SHELVES: [&str; 2] = ["commits", "trees"];

/// A commit that was rejected, pushed and fetched: who said so, the remote, and who fetched.
fn rejected() -> (World, Repository, World) {
    let world = World::initialised();
    world.signed_commit("one");
    let bare = world.remote();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&[
        "attest",
        "acceptance",
        "--reject",
        "--reason",
        "bad",
        "HEAD",
    ]);
    world.notme_ok(&["attest", "push"]);
    let other = clone(&world, &bare);
    assert_eq!(attested(&other), Some(1));
    (world, bare, other)
}

/// Another repository that has all of a remote.
fn clone(world: &World, bare: &Repository) -> World {
    let clone = world.another_repository(Repository::new());
    clone.git_ok(&["remote", "add", "origin", bare.path().to_str().unwrap()]);
    clone.git_ok(&["pull", "--quiet", "origin", "main"]);
    clone.notme_ok(&["attest", "fetch"]);
    clone
}

fn attested(world: &World) -> Option<i32> {
    world.notme(&["attest", "verify"]).status.code()
}

/// Sends all that is attested to a server that checks it.
fn check(side: &Repository) {
    let server = Repository::bare();
    server.git_ok(&["config", "receive.fsckObjects", "true"]);
    let all = "refs/attestations/*:refs/attestations/*";
    side.git_ok(&["push", "--quiet", server.path().to_str().unwrap(), all]);
}

/// Makes a tree in which the directory of the commit stands twice: as it is, and as it was before.
fn twice(side: &Repository, shelf: &str) -> String {
    let mut raw = Vec::new();
    for at in ["", "~1"] {
        let listed = side.git_ok(&["ls-tree", &format!("refs/attestations/{shelf}{at}")]);
        let (rest, name) = listed.split_once('\t').unwrap();
        raw.extend(format!("40000 {name}\0").bytes());
        raw.extend(hex::decode(rest.rsplit(' ').next().unwrap()).unwrap());
    }
    side.write_object_unchecked("tree", &raw)
}

/// Puts a tree on top of a shelf of the remote; with this date.
fn put(bare: &Repository, shelf: &str, tree: &str, date: &str) -> String {
    let reference = format!("refs/attestations/{shelf}");
    let parent = bare.git_ok(&["rev-parse", &reference]);
    let who = format!("E <e@e> {date} +0000");
    let raw = format!("tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\nx\n");
    let commit = bare.write_object_unchecked("commit", raw.as_bytes());
    bare.git_ok(&["update-ref", &reference, &commit]);
    commit
}

/// As a branch, too, an object gets here before attestations are fetched: by then nothing is left to
/// transfer, and what git checks is what it transfers.
fn bring_as_branch(bare: &Repository, to: &World, shelf: &str, commit: &str) {
    bare.git_ok(&["update-ref", &format!("refs/heads/{shelf}"), commit]);
    to.git_ok(&["fetch", "--quiet", "origin"]);
}

/// Fetches, and returns what is said.
fn fetch(world: &World) -> String {
    let output = world.notme(&["attest", "fetch"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    told(&output)
}

/// Puts a remote right, from which nothing was taken that git refuses.
fn replace(world: &World, bare: &Repository) {
    let refused = world.notme(&["attest", "push"]);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(told(&refused).contains("--replace"), "{}", told(&refused));
    world.notme_ok(&["attest", "push", "--replace"]);
    check(world);
    check(bare);
    let late = clone(world, bare);
    let said = fetch(&late);
    assert!(!said.contains("note"), "{said}");
    late.notme_ok(&["attest", "push"]);
}

/// Readers take the first of two, and writers kept the last.
#[test]
fn a_tree_that_names_something_twice_takes_no_rejection_away() {
    for as_branch in [true, false] {
        let (world, bare, other) = rejected();
        for shelf in SHELVES {
            let bad = twice(&bare, shelf);
            let commit = put(&bare, shelf, &bad, "1700000000");
            if as_branch {
                bring_as_branch(&bare, &other, shelf, &commit);
            }
        }
        let said = fetch(&other);
        assert!(said.contains("note: 2 files"), "{said}");
        assert_eq!(attested(&other), Some(1));
        other.notme_ok(&["attest", "dispatch", "--agent", "claude"]);
        assert_eq!(attested(&other), Some(1));
        replace(&other, &bare);
        world.notme_ok(&["attest", "fetch"]);
        assert_eq!(attested(&world), Some(1));
    }
}

/// Whoever came later could not fetch from there any more, nor put it right.
#[test]
fn a_commit_that_git_refuses_gets_into_nobodys_history() {
    for as_branch in [true, false] {
        let (_world, bare, other) = rejected();
        let tree = bare.git_ok(&["rev-parse", "refs/attestations/commits^{tree}"]);
        let bad = put(&bare, "commits", &tree, "01700000000");
        if as_branch {
            bring_as_branch(&bare, &other, "commits", &bad);
        }
        for statement in ["handoff", "dispatch"] {
            let said = fetch(&other);
            let hint = "`refs/attestations/commits` of the remote was left out";
            assert!(said.contains(hint), "{said}");
            other.notme_ok(&["attest", statement, "--agent", "claude"]);
        }
        replace(&other, &bare);
        assert!(
            !other
                .git_ok(&["rev-list", "refs/attestations/commits"])
                .contains(&bad)
        );
    }
}

/// Whoever may push to a remote can put there what nobody asked for.
#[test]
fn what_lies_beside_the_attestations_of_a_remote_is_not_fetched() {
    let (_world, bare, other) = rejected();
    let large = bare.git_with_input(&["hash-object", "-w", "--stdin"], b"large");
    let large = String::from_utf8(large.stdout).unwrap();
    for beside in ["beside", "commits2", "x/refs/attestations/commits"] {
        bare.git_ok(&[
            "update-ref",
            &format!("refs/attestations/{beside}"),
            large.trim(),
        ]);
    }
    fetch(&other);
    assert!(
        !other
            .git(&["cat-file", "-e", large.trim()])
            .status
            .success()
    );
    let known = ["for-each-ref", "refs/notme"];
    assert_eq!(other.git_ok(&known).lines().count(), 3);
    // What is not there any more is not taken for what is.
    bare.git_ok(&["update-ref", "-d", "refs/attestations/trees"]);
    fetch(&other);
    assert_eq!(other.git_ok(&known).lines().count(), 2);
    for shelf in Shelf::ALL {
        bare.git_ok(&["update-ref", "-d", &shelf.reference()]);
    }
    fetch(&other);
    assert_eq!(other.git_ok(&known), "");
}

/// git has no settings for it.
#[test]
fn a_push_to_a_path_says_why_it_failed_and_nothing_else() {
    let (world, bare, _other) = rejected();
    world.notme_ok(&["attest", "handoff"]);
    let hook = bare.path().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    let path = bare.path();
    let output = world.notme(&["attest", "push", path.to_str().unwrap()]);
    let said = told(&output);
    assert!(said.contains("pre-receive hook declined"), "{said}");
    assert!(!said.contains("shorthand"), "{said}");
}

/// Whoever fetches would leave it out, and then could not push.
#[test]
fn what_nobody_takes_is_not_pushed() {
    let (world, bare, other) = rejected();
    let exported = world.notme_ok(&["attest", "export"]);
    let bundles = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let bundles: Vec<Value> = bundles.collect();
    let before = shelves(&bare);
    let padded = |bundle: &Value| {
        let mut padded = bundle.clone();
        padded["note"] = "x".repeat(100_000).into();
        padded.to_string()
    };
    // The record that opens the activity is about no commit.
    let files = bundles
        .iter()
        .flat_map(|it| [(true, it["dsseEnvelope"].to_string()), (false, padded(it))]);
    for (bare_envelope, text) in files {
        world.write("file.json", &text);
        let refused = world.notme(&["attest", "import", "file.json"]);
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
        if !bare_envelope {
            assert!(told(&refused).contains("envelope-malformed: it has more beside it"));
        }
        let kept = world.notme(&["attest", "import", "--unjudged", "file.json"]);
        assert_eq!(kept.status.code(), Some(0), "{}", told(&kept));
        assert!(told(&kept).contains("nobody else takes 1 of them"));

        let mut hint = String::new();
        for push in [&["push"][..], &["push", "--replace"]] {
            let refused = world.notme(&[&["attest"], push].concat());
            let said = told(&refused);
            assert_eq!(refused.status.code(), Some(1), "{said}");
            assert!(said.contains("nothing was pushed: nobody takes"), "{said}");
            assert_eq!(shelves(&bare), before);
            let (_, drop) = said.split_once("`notme attest drop ").unwrap();
            hint = drop.split_once(" --reason").unwrap().0.to_owned();
        }
        let drop = ["attest", "drop"].into_iter().chain(hint.split(' '));
        let drop: Vec<_> = drop.chain(["--reason", "unsigned"]).collect();
        world.notme_ok(&drop);
        world.notme_ok(&["attest", "push"]);
        assert_eq!(shelves(&bare), before);
    }
    assert!(!fetch(&other).contains("note"));
    other.notme_ok(&["attest", "push"]);
    // Nor what is about a commit that is not here; all of it is named at once.
    world.signed_commit("two");
    world.notme_ok(&["attest", "dispatch"]);
    for line in world.notme_ok(&["attest", "export"]).lines() {
        let bundle: Value = serde_json::from_str(line).unwrap();
        other.write("file.json", &bundle["dsseEnvelope"].to_string());
        other.notme_ok(&["attest", "import", "--unjudged", "file.json"]);
    }
    let mut drops = 0;
    loop {
        let pushed = other.notme(&["attest", "push"]);
        if pushed.status.success() {
            break;
        }
        let said = told(&pushed);
        let (_, drop) = said.split_once("`notme attest drop ").unwrap();
        let (drop, _) = drop.split_once(" --reason").unwrap();
        let drop = ["attest", "drop"].into_iter().chain(drop.split(' '));
        other.notme_ok(&drop.chain(["--reason", "unsigned"]).collect::<Vec<_>>());
        drops += 1;
    }
    // Those about the commit, and the record that is about none.
    assert_eq!((drops, shelves(&bare)), (2, before));
}

/// What the shelves of a repository hold.
fn shelves(of: &Repository) -> [String; 3] {
    Shelf::ALL.map(|shelf| of.git_ok(&["rev-parse", &format!("{}^{{tree}}", shelf.reference())]))
}

/// A remote of which another's name is the beginning.
#[test]
fn what_another_remote_has_is_remembered_whatever_its_name() {
    let world = World::initialised();
    world.signed_commit("one");
    let _origin = world.remote();
    let backup = Repository::bare();
    let path = backup.path().display().to_string();
    world.git_ok(&["remote", "add", "origin-push-backup", &path]);
    let digest = world.notme_ok(&["attest", "dispatch"]);
    let digest = digest.split_whitespace().next().unwrap();
    world.notme_ok(&["attest", "push", "origin-push-backup"]);
    let drop = ["attest", "drop", "HEAD", digest, "--reason", "wrong"];
    for pushed in [false, true] {
        if pushed {
            world.notme_ok(&["attest", "push", "origin"]);
        }
        let refused = world.notme(&drop);
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
        let seen = "refs/notme/attestations/origin-push-backup/";
        let seen = world.git_ok(&["for-each-ref", seen]);
        assert_eq!(seen.lines().count(), 3, "{seen}");
    }
}

/// Where the configuration says that pushes go elsewhere, as in triangular work.
#[test]
fn fetches_ask_where_git_fetches_and_pushes_take_what_is_where_they_go() {
    let world = World::initialised();
    world.signed_commit("one");
    let upstream = world.remote();
    world.git_ok(&["push", "--quiet", "--set-upstream", "origin", "main"]);
    let other = clone(&world, &upstream);
    let fork = Repository::bare();
    let fork_path = fork.path().to_str().unwrap().to_owned();
    other.git_ok(&["remote", "add", "fork", &fork_path]);
    for setting in ["remote.pushDefault", "branch.main.pushRemote"] {
        world.notme_ok(&["attest", "dispatch"]);
        world.notme_ok(&["attest", "push"]);
        other.git_ok(&["config", setting, "fork"]);
        let said = fetch(&other);
        assert!(said.contains("statements were new"), "{said}");
    }
    let nothing = told(&other.notme(&["attest", "fetch", "fork"]));
    assert!(nothing.contains("`fork` has no attestations"), "{nothing}");
    other.notme_ok(&["attest", "push"]);
    assert_eq!(shelves(&fork), shelves(&other));

    // Of one remote, fetches and pushes may have URLs of their own.
    world.git_ok(&["config", "remote.origin.pushurl", &fork_path]);
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["attest", "push"]);
    assert_eq!(shelves(&fork), shelves(&world));
    let late = clone(&world, &upstream);
    for url in [&*fork_path, upstream.path().to_str().unwrap()] {
        late.git_ok(&["config", "--add", "remote.origin.pushurl", url]);
    }
    late.notme_ok(&["attest", "dispatch", "--agent", "claude"]);
    late.notme_ok(&["attest", "push"]);
    // With all that the fork had, and to each of them.
    assert_ne!(shelves(&fork), shelves(&world));
    assert_eq!(shelves(&fork), shelves(&upstream));
    assert!(fetch(&world).contains("statements were new"));
    assert_eq!(shelves(&fork), shelves(&world));

    let stated = late.notme_ok(&["attest", "dispatch", "--agent", "claude"]);
    late.notme_ok(&["attest", "push"]);
    let digest = stated.split_whitespace().next().unwrap();
    let drop = ["attest", "drop", "HEAD", digest, "--reason", "wrong"];
    late.notme_ok(&[&drop[..], &["--force"]].concat());
    late.notme_ok(&["attest", "push", "--replace"]);
    assert_eq!(shelves(&fork), shelves(&late));
}

/// A repository with something to push, in which one is fetched from, and another is pushed to.
fn with_two_places() -> (World, Repository, Repository) {
    let world = World::initialised();
    world.signed_commit("one");
    let read = world.remote();
    world.git_ok(&["remote", "set-url", "origin", &file_url(&read)]);
    world.notme_ok(&["attest", "dispatch"]);
    (world, read, Repository::bare())
}

fn file_url(of: &Repository) -> String {
    format!("file://{}", of.path().to_str().unwrap())
}

fn has_none(of: &Repository) -> bool {
    of.git_ok(&["for-each-ref", "refs/attestations"]).is_empty()
}

/// As git, to which `url.https://h/.insteadOf=git@h:` says nothing of what
/// `url.git@h:.pushInsteadOf=https://h/` made.
#[test]
fn the_url_of_a_push_is_rewritten_once() {
    let (world, read, written) = with_two_places();
    let third = Repository::bare();
    let [read_url, written_url, third_url] = [&read, &written, &third].map(file_url);
    for (to, setting, from) in [
        (&written_url, "pushInsteadOf", &read_url),
        (&third_url, "insteadOf", &written_url),
    ] {
        world.git_ok(&["config", &format!("url.{to}.{setting}"), from]);
    }
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    assert_ne!(written.git_ok(&["for-each-ref"]), "");
    for to in [&[][..], &[read_url.as_str()]] {
        world.notme_ok(&[&["attest", "push"][..], to].concat());
        assert_eq!(shelves(&written), shelves(&world));
        assert!(has_none(&read) && has_none(&third));
        // Whoever is second takes what the first one sent.
        let other = world.another_repository(Repository::new());
        other.git_ok(&["pull", "--quiet", written.path().to_str().unwrap(), "main"]);
        other.git_ok(&[
            "config",
            &format!("url.{written_url}.pushInsteadOf"),
            &read_url,
        ]);
        other.git_ok(&[
            "config",
            &format!("url.{third_url}.insteadOf"),
            &written_url,
        ]);
        other.git_ok(&["config", "remote.pushDefault", &read_url]);
        other.notme_ok(&["attest", "dispatch", "--agent", "claude"]);
        other.notme_ok(&[&["attest", "push"][..], to].concat());
        assert_eq!(shelves(&written), shelves(&other));
        assert!(has_none(&read) && has_none(&third));
        world.notme_ok(&["attest", "dispatch"]);
    }
}

/// A server that wants another program has it where it is pushed to, too.
#[test]
fn the_settings_of_a_remote_hold_for_its_push_urls() {
    let (world, _read, written) = with_two_places();
    world.git_ok(&["config", "remote.origin.pushurl", &file_url(&written)]);
    let log = world.path().join("log");
    let program = |name: &str| {
        let script = world.path().join(name);
        let line = format!("echo {name} >> '{}'", log.display());
        let text = format!("#!/bin/sh\n{line}\nexec git-{name} \"$@\"\n");
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        script.to_str().unwrap().to_owned()
    };
    let upload = program("upload-pack");
    world.git_ok(&["config", "remote.origin.uploadpack", &upload]);
    // That may be set for this one call, too.
    let mut push = world.notme_command();
    push.args(["attest", "push"]).env("GIT_CONFIG_COUNT", "1");
    push.env("GIT_CONFIG_KEY_0", "remote.origin.receivepack");
    push.env("GIT_CONFIG_VALUE_0", program("receive-pack"));
    let output = push.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(shelves(&written), shelves(&world));
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains("upload-pack") && log.contains("receive-pack"),
        "{log}"
    );
}

/// One repository may be known by two ways, and the second be spelled otherwise later.
#[test]
fn what_was_taken_out_by_another_way_is_kept_nowhere() {
    let (world, read, _) = with_two_places();
    let known = || {
        world.git_ok(&[
            "for-each-ref",
            "--format=%(refname)",
            "refs/notme/attestations",
        ])
    };
    world.git_ok(&[
        "config",
        "remote.origin.pushurl",
        read.path().to_str().unwrap(),
    ]);
    world.notme_ok(&["attest", "push"]);
    fetch(&world);
    let before = known();
    let stated = world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["attest", "push"]);
    fetch(&world);
    let digest = stated.split_whitespace().next().unwrap();
    let drop = ["attest", "drop", "HEAD", digest, "--reason", "wrong"];
    let dropped = world.notme_ok(&[&drop[..], &["--force"]].concat());
    world.notme_ok(&["attest", "push", "--replace"]);
    for reference in known().lines() {
        let files = world.git_ok(&["ls-tree", "-r", "--name-only", reference]);
        assert!(!files.contains(dropped.trim()), "{reference}");
    }

    let again = format!("{}/.", read.path().display());
    world.git_ok(&["config", "remote.origin.pushurl", &again]);
    world.notme_ok(&["attest", "push"]);
    assert_eq!(known().lines().count(), before.lines().count());
    world.git_ok(&["config", "--unset", "remote.origin.pushurl"]);
    world.notme_ok(&["attest", "push"]);
    assert_eq!(known().lines().count(), Shelf::ALL.len());
}

#[test]
fn a_place_that_takes_no_push_keeps_none_from_the_others() {
    let (world, _read, written) = with_two_places();
    for url in ["/nowhere/at/all.git", &file_url(&written)] {
        world.git_ok(&["config", "--add", "remote.origin.pushurl", url]);
    }
    let output = world.notme(&["attest", "push"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("/nowhere/at/all.git"),
        "{}",
        told(&output)
    );
    assert_eq!(shelves(&written), shelves(&world));
}

/// git calls the repository itself `.` there.
#[test]
fn a_branch_that_follows_one_of_ours_is_fetched_and_pushed_with_the_remote() {
    let (world, bare, other) = rejected();
    let set = |name, value| other.git_ok(&["config", name, value]);
    set("branch.main.remote", ".");
    set("branch.main.merge", "refs/heads/main");
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["attest", "push"]);
    assert!(fetch(&other).contains("statements were new"));
    other.notme_ok(&["attest", "dispatch", "--agent", "claude"]);
    other.notme_ok(&["attest", "push"]);
    assert_eq!(shelves(&bare), shelves(&other));
}
