//! What a server takes in.

use std::{
    fs,
    process::{Command, Output},
};

use notme_testkit::{
    oracle::oracle,
    repository::{Repository, run},
};

use super::{executable, notme_in_ok};
use crate::{
    ssh_agent::Server,
    world::{World, told},
};

/// A user, and a repository with server hooks that is their `origin`.
fn served(options: &[&str]) -> (World, Repository) {
    let world = World::initialised();
    let bare = world.remote();
    let install = [&["hooks", "install", "--server"], options].concat();
    notme_in_ok(&world, &bare.path(), &install);
    (world, bare)
}

fn push(world: &World, arguments: &[&str]) -> Output {
    world.git(&[&["push", "origin"], arguments].concat())
}

pub(super) fn refused(world: &World, arguments: &[&str], why: &str) -> String {
    let output = push(world, arguments);
    let said = told(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(why), "{why}: {said}");
    said
}

pub(super) fn accepted(world: &World, arguments: &[&str]) {
    let output = push(world, arguments);
    assert!(output.status.success(), "{}", told(&output));
}

fn objects(bare: &Repository) -> String {
    bare.git_ok(&["count-objects", "-v"])
}

#[test]
fn nothing_unverified_lands() {
    for option in [&[][..], &["--update"]] {
        let (world, bare) = served(option);
        let signed = world.signed_commit("signed");
        accepted(&world, &["main"]);
        assert_eq!(bare.git_ok(&["rev-parse", "main"]), signed);
        let before = objects(&bare);
        let unsigned = world.commit("unsigned", "x");
        world.signed_commit("on top");
        let said = refused(&world, &["main"], "unsigned");
        // Object, code, and what to do.
        assert!(
            said.contains(&format!(
                "refs/heads/main: commit {unsigned}: refused: unsigned; Sign it"
            )),
            "{said}"
        );
        assert_eq!(bare.git_ok(&["rev-parse", "main"]), signed);
        if option.is_empty() {
            // Not even an object.
            assert_eq!(objects(&bare), before);
        }
        refused(&world, &["HEAD:refs/heads/new"], "unsigned");
        assert_eq!(bare.git_ok(&["for-each-ref"]).lines().count(), 1);
    }
}

/// Terms of a run: where a commit may go, whoever pushes it.
#[test]
fn what_an_agent_signed_within_terms_comes_no_further() {
    let (world, bare) = served(&[]);
    bare.git_ok(&["config", "notme.repository", "example.org/team/tool"]);
    world.notme_ok(&["init", "--agent", "bob", "--format", "x509"]);
    world.signed_commit("first");
    accepted(&world, &["main"]);
    let run = |branch: &str, terms: &[&str], file: &str| {
        world.git_ok(&["checkout", "-q", "-b", branch, "main"]);
        let script = format!("mkdir -p src; echo x >{file}; git add {file}; git commit -q -m x");
        let options = [&["run", "--agent", "claude"], terms].concat();
        world.notme_ok(&[&options[..], &["--", "sh", "-ec", &script]].concat());
    };
    let agents = [
        "--ref",
        "refs/heads/agent/*",
        "--repository",
        "example.org/team/tool",
    ];
    run("agent/x", &agents, "src/a");
    accepted(&world, &["agent/x"]);
    refused(&world, &["agent/x:refs/heads/main"], "refused: terms-ref");
    // Two who may do little do no more together.
    let merge = "git merge -q --no-ff --no-edit agent/x";
    let only_main = ["run", "--agent", "bob", "--ref", "refs/heads/main"];
    world.git_ok(&["checkout", "-q", "-b", "side", "main"]);
    world.notme_ok(&[&only_main[..], &["--", "sh", "-ec", merge]].concat());
    refused(&world, &["side:refs/heads/main"], "refused: terms-ref");
    // Somebody else takes it there.
    world.git_ok(&["checkout", "-q", "main"]);
    let merge = ["merge", "-q", "--no-ff", "--no-edit", "agent/x"];
    world.git_ok(&[&["-c", "user.signingkey=bob"], &merge[..]].concat());
    accepted(&world, &["main"]);

    run("agent/y", &["--path", "src/*"], "beside");
    refused(&world, &["agent/y"], "refused: terms-path");
    run(
        "agent/z",
        &["--repository", "example.org/team/other"],
        "src/b",
    );
    refused(&world, &["agent/z"], "refused: terms-repository");
}

/// What a client leaves out of its own accord, the server sees.
#[test]
fn what_goes_past_the_hooks_of_the_client_stops_at_the_server() {
    let (world, bare) = served(&[]);
    world.notme_ok(&["hooks", "install"]);
    let signed = world.signed_commit("signed");
    accepted(&world, &["main"]);
    for (settings, option) in [
        (&["-c", "commit.gpgsign=false"][..], "--allow-empty"),
        (&[], "--no-gpg-sign"),
        (&["-c", "core.hooksPath=/dev/null"], "--no-gpg-sign"),
    ] {
        let commit = [
            "commit",
            "-q",
            "--no-verify",
            "--allow-empty",
            "-m",
            "x",
            option,
        ];
        world.git_ok(&[settings, &commit].concat());
        refused(&world, &["--no-verify", "main"], "refused: unsigned");
        world.git_ok(&["reset", "-q", "--hard", &signed]);
    }
    assert_eq!(bare.git_ok(&["rev-parse", "main"]), signed);
}

/// Refs that another program handles once they are let in (githooks(5)).
#[test]
fn what_proc_receive_handles_is_verified_before() {
    const HANDLER: &str = r#"#!/usr/bin/env python3
import os, sys
def read():
    size = int(sys.stdin.buffer.read(4), 16)
    return sys.stdin.buffer.read(size - 4) if size else None
def say(line):
    sys.stdout.buffer.write(b"%04x" % (len(line) + 4) + line)
def flush():
    sys.stdout.buffer.write(b"0000")
    sys.stdout.buffer.flush()
while read() is not None:
    pass
say(b"version=1")
flush()
names = []
while (line := read()) is not None:
    names.append(line.split()[2])
for name in names:
    say(b"ok " + name)
flush()
open("handled", "ab").write(b" ".join(names) + b"\n")
"#;
    let world = World::initialised();
    let bare = world.remote();
    executable(&bare.path().join("hooks/proc-receive"), HANDLER);
    bare.git_ok(&["config", "receive.procReceiveRefs", "refs/for"]);
    notme_in_ok(&world, &bare.path(), &["hooks", "install", "--server"]);
    world.signed_commit("signed");
    accepted(&world, &["main", "HEAD:refs/for/main"]);
    world.commit("unsigned", "x");
    refused(&world, &["HEAD:refs/for/main"], "refs/for/main: commit ");
    let handled = fs::read_to_string(bare.path().join("handled")).unwrap();
    assert_eq!(handled, "refs/for/main\n");
    assert_eq!(bare.git_ok(&["for-each-ref"]).lines().count(), 1);
}

#[test]
fn a_branch_that_was_held_to_less_vouches_for_nothing() {
    let (world, bare) = served(&[]);
    world.signed_commit("signed");
    accepted(&world, &["main"]);
    bare.git_ok(&["config", "notme.unverified", "refs/heads/wild/*"]);
    world.commit("unsigned", "x");
    accepted(&world, &["HEAD:refs/heads/wild/one"]);
    refused(&world, &["HEAD:refs/heads/tame"], "unsigned");
    refused(&world, &["main"], "unsigned");
}

#[test]
fn history_from_before_a_baseline_is_not_verified() {
    let (world, bare) = served(&[]);
    let old = world.commit("old", "x");
    refused(&world, &["main"], "unsigned");
    bare.git_ok(&["config", "notme.baseline", &old]);
    world.signed_commit("new");
    accepted(&world, &["main"]);
    bare.git_ok(&["config", "notme.baseline", "main"]);
    world.signed_commit("newer");
    refused(&world, &["main"], "no full commit id");
}

#[test]
fn refs_that_are_protected_neither_go_nor_shrink() {
    let (world, bare) = served(&[]);
    world.signed_commit("one");
    world.signed_commit("two");
    world.git_ok(&["tag", "-m", "x", "v1"]);
    accepted(&world, &["main", "v1", "main:refs/heads/topic"]);
    refused(&world, &["+HEAD~1:refs/heads/main"], "ref-rewind");
    accepted(&world, &["+HEAD~1:refs/heads/topic"]);
    refused(&world, &[":v1"], "ref-deletion");
    world.git_ok(&["tag", "-f", "-m", "y", "v1", "HEAD~1"]);
    refused(&world, &["+v1"], "tag-moved");
    refused(&world, &["v1:refs/tags/v2"], "tag-renamed");
    bare.git_ok(&["config", "receive.denyDeleteCurrent", "ignore"]);
    refused(&world, &[":refs/heads/main"], "ref-deletion");
    accepted(&world, &[":refs/heads/topic"]);
    bare.git_ok(&["config", "notme.protect", "refs/heads/*"]);
    accepted(&world, &["+v1"]);
    accepted(&world, &["main:refs/heads/topic"]);
    refused(&world, &[":refs/heads/topic"], "ref-deletion");
}

#[test]
fn tags_are_verified_and_notes_only_when_they_are() {
    let (world, bare) = served(&[]);
    world.signed_commit("one");
    accepted(&world, &["main"]);
    world.git_ok(&["tag", "--no-sign", "-m", "x", "unsigned"]);
    let said = refused(&world, &["unsigned"], "refs/tags/unsigned: tag ");
    assert!(said.contains(": refused: unsigned"), "{said}");
    world.git_ok(&["-c", "commit.gpgsign=false", "notes", "add", "-m", "note"]);
    refused(&world, &["refs/notes/commits"], "unsigned");
    bare.git_ok(&["config", "notme.unverified", "refs/notes/*"]);
    accepted(&world, &["refs/notes/commits"]);
}

#[test]
fn attestations_come_along_and_are_never_taken_away() {
    let (world, bare) = served(&[]);
    world.notme_ok(&["hooks", "install"]);
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    accepted(&world, &["main"]);
    let kept = bare.git_ok(&["rev-parse", "refs/attestations/commits"]);
    refused(&world, &[":refs/attestations/commits"], "ref-deletion");
    let empty = world.git_ok(&["commit-tree", "-m", "x", &world.empty_tree()]);
    let spec = format!("+{empty}:refs/attestations/commits");
    refused(&world, &["--no-verify", &spec], "ref-rewind");
    // What goes on from there and holds less is no less taken away.
    let less = world.git_ok(&["commit-tree", "-m", "x", "-p", &kept, &world.empty_tree()]);
    let spec = format!("{less}:refs/attestations/commits");
    refused(&world, &["--no-verify", &spec], "attestation-lost");
    assert_eq!(
        bare.git_ok(&["rev-parse", "refs/attestations/commits"]),
        kept
    );
}

#[test]
fn the_policy_and_the_trust_of_the_server_decide() {
    let world = World::initialised();
    let bare = world.remote();
    world.signed_commit("one");
    let policy = world
        .policy("[[authority]]\nname = \"embedded\"\n[[allow]]\nidentity = \"wimse://nobody/*\"\n");
    let install = ["hooks", "install", "--server", "--policy", &policy];
    notme_in_ok(&world, &bare.path(), &install);
    refused(&world, &["main"], "not-authorised");
    fs::write(&policy, "nonsense = 1\n").unwrap();
    refused(&world, &["main"], "could not be verified");
    let empty = world.home().join("empty");
    fs::create_dir(&empty).unwrap();
    let install = [
        "hooks",
        "install",
        "--server",
        "--trust",
        empty.to_str().unwrap(),
    ];
    notme_in_ok(&world, &bare.path(), &install);
    refused(&world, &["main"], "trust-missing");
    notme_in_ok(&world, &bare.path(), &["hooks", "install", "--server"]);
    accepted(&world, &["main"]);
    notme_in_ok(&world, &bare.path(), &["hooks", "uninstall"]);
    assert!(!bare.path().join("notme").exists());
}

#[test]
fn a_server_whose_program_is_gone_takes_nothing_in() {
    let (world, _bare) = served(&[]);
    world.signed_commit("one");
    let link = world.notme_home().join("data/bin/notme");
    let target = fs::read_link(&link).unwrap();
    fs::remove_file(&link).unwrap();
    refused(&world, &["main"], "nothing is received");
    std::os::unix::fs::symlink(target, link).unwrap();
    accepted(&world, &["main"]);
}

#[test]
fn the_hooks_of_the_server_run_after_ours() {
    let world = World::initialised();
    let bare = world.remote();
    let hooks = bare.path().join("hooks");
    executable(
        &hooks.join("pre-receive"),
        "#!/bin/sh\nread old new ref; test \"$ref\" != refs/heads/taboo\n",
    );
    executable(&hooks.join("post-receive"), "#!/bin/sh\ncat >received\n");
    notme_in_ok(&world, &bare.path(), &["hooks", "install", "--server"]);
    world.signed_commit("one");
    accepted(&world, &["main"]);
    let received = fs::read_to_string(bare.path().join("received")).unwrap();
    assert!(received.ends_with("refs/heads/main\n"), "{received}");
    refused(
        &world,
        &["HEAD:refs/heads/taboo"],
        "pre-receive hook declined",
    );
}

/// What is attested about commits is seen while they are kept apart.
#[test]
fn hooks_of_the_server_see_what_is_attested_about_a_push() {
    let world = World::initialised();
    let bare = world.remote();
    executable(
        &bare.path().join("hooks/pre-receive"),
        &format!(
            "#!/bin/sh\nset -e\nwhile read old new ref; do case $ref in refs/heads/*) {} attest verify $new >judged;; esac; done\n",
            crate::world::NOTME
        ),
    );
    notme_in_ok(&world, &bare.path(), &["hooks", "install", "--server"]);
    world.notme_ok(&["hooks", "install"]);
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    accepted(&world, &["main"]);
    let judged = fs::read_to_string(bare.path().join("judged")).unwrap();
    assert!(judged.contains("L2"), "{judged}");
    world.signed_commit("two");
    refused(&world, &["main"], "pre-receive hook declined");
}

#[test]
fn what_is_pushed_to_another_name_of_a_ref_is_refused() {
    let (world, bare) = served(&[]);
    world.signed_commit("one");
    accepted(&world, &["main"]);
    bare.git_ok(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    world.signed_commit("two");
    refused(&world, &["main:refs/heads/alias"], "ref-symbolic");
}

/// Whoever pushes `main` is told that it may be either.
#[test]
fn a_name_that_git_takes_for_another_is_refused() {
    let (world, bare) = served(&[]);
    world.signed_commit("one");
    accepted(&world, &["main"]);
    for name in [
        "refs/tags/refs/heads/main",
        "refs/heads/refs/heads/main",
        "refs/tags/main",
        "refs/tags/HEAD",
        "refs/heads/HEAD",
        "refs/heads/heads/main",
        "refs/tags/tags/v1",
        "refs/tags/@",
    ] {
        refused(&world, &[&format!("main:{name}")], "ref-misleading");
    }
    world.git_ok(&["tag", "-s", "-m", "x", "v0"]);
    refused(&world, &["v0:refs/releases/prod"], "tag-renamed");
    accepted(&world, &["v0", "v0:refs/releases/tags/v0"]);
    // One that was there before is a tag like any other.
    bare.git_ok(&["update-ref", "refs/tags/main", "main"]);
    refused(&world, &[":refs/tags/main"], "ref-deletion");
    bare.git_ok(&["update-ref", "-d", "refs/tags/main"]);
    accepted(&world, &["main:refs/tags/v1", "main:refs/heads/next"]);
    accepted(&world, &["main:refs/tags/next", "main:refs/heads/v1"]);
    // So is one like any branch that is protected.
    bare.git_ok(&["config", "notme.protect", "refs/heads/release/*"]);
    accepted(
        &world,
        &["main:refs/heads/release/1", "main:refs/tags/release/2"],
    );
    for name in ["refs/tags/release/1", "refs/heads/release/2"] {
        refused(&world, &[&format!("main:{name}")], "ref-misleading");
    }
}

/// Nobody could take it out again, and it would be in the way of whoever pushes statements.
#[test]
fn what_nobody_would_take_is_not_received_as_an_attestation() {
    let (world, bare) = served(&[]);
    let other = world.signed_commit("one");
    let commit = world.signed_commit("two");
    world.notme_ok(&["attest", "dispatch"]);
    let refs = "refs/attestations/*:refs/attestations/*";
    let reference = "refs/attestations/commits";
    let good = world.git_ok(&["rev-parse", reference]);
    let listed = world.git_ok(&["ls-tree", "-r", reference]);
    let (entry, path) = listed.lines().next().unwrap().split_once('\t').unwrap();
    let statement = entry.split(' ').nth(2).unwrap();
    let junk = world.git_with_input(&["hash-object", "-w", "--stdin"], b"junk");
    let junk = String::from_utf8(junk.stdout).unwrap();
    let name = path.rsplit('/').next().unwrap();
    let place = |commit: &str, name: &str| {
        let (head, rest) = commit.split_at(2);
        format!("{head}/{rest}/{name}")
    };
    let index = world.path().join(".git/other-index");
    let put = |mode: &str, blob: &str, path: &str| {
        let run = |arguments: &[&str]| {
            let mut git = world.command("git");
            let output = run(git.env("GIT_INDEX_FILE", &index).args(arguments), b"");
            assert!(output.status.success(), "{}", told(&output));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        run(&["read-tree", &good]);
        let entry = format!("{mode},{blob},{path}");
        run(&["update-index", "--add", "--cacheinfo", &entry]);
        let tree = run(&["write-tree"]);
        let made = run(&["commit-tree", "-m", "x", "-p", &good, &tree]);
        world.git_ok(&["update-ref", reference, &made]);
    };
    for received_before in [false, true] {
        for (mode, blob, path) in [
            (
                "100644",
                junk.trim(),
                place(&commit, "0123456789abcdef.sigstore.json"),
            ),
            ("100644", junk.trim(), "README".to_owned()),
            ("100644", statement, place(&other, name)),
            (
                "100644",
                statement,
                place(&commit, "0123456789abcdef.sigstore.json"),
            ),
            (
                "120000",
                statement,
                place(&commit, "f123456789abcdef.sigstore.json"),
            ),
            ("160000", &commit, "sub".to_owned()),
        ] {
            put(mode, blob, &path);
            let said = refused(&world, &["main", refs], "attestation-unreadable");
            assert!(said.contains(&path), "{said}");
        }
        world.git_ok(&["update-ref", reference, &good]);
        if !received_before {
            accepted(&world, &["main", refs]);
        }
    }
    assert_eq!(bare.git_ok(&["rev-parse", reference]), good);
}

/// Nobody could take it out again, either.
#[test]
fn nothing_that_stops_whoever_attests_is_received() {
    let (world, bare) = served(&[]);
    let commit = world.signed_commit("one");
    accepted(&world, &["main"]);
    let reference = "refs/attestations/commits";
    for beside in ["refs/attestations/commits/x", "refs/attestations/anything"] {
        refused(
            &world,
            &[&format!("main:{beside}")],
            "attestation-unreadable",
        );
        // What an older version took.
        bare.git_ok(&["update-ref", beside, &commit]);
        accepted(&world, &[&format!(":{beside}")]);
    }
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["attest", "push"]);
    let tip = world.git_ok(&["rev-parse", reference]);
    let tree = world.git_ok(&["rev-parse", &format!("{tip}^{{tree}}")]);
    let made = |output: Output| {
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let mktree = |entries: &str| made(world.git_with_input(&["mktree"], entries.as_bytes()));
    let on_top = |tree: &str| world.git_ok(&["commit-tree", "-m", "x", "-p", &tip, tree]);
    let empty = mktree("");
    let listed = world.git_ok(&["ls-tree", &tree]);
    let with_junk = mktree(&format!("{listed}\n040000 tree {empty}\tjunk\n"));
    let who = "n <n@n> 99999999999999999999999 +0000";
    let late = format!("tree {tree}\nparent {tip}\nauthor {who}\ncommitter {who}\n\nx\n");
    let late = world.write_object_unchecked("commit", late.as_bytes());
    for (bad, why) in [(on_top(&with_junk), "junk"), (late, "badDateOverflow")] {
        let spec = format!("{bad}:{reference}");
        let said = refused(&world, &["--no-verify", &spec], "attestation-unreadable");
        assert!(said.contains(why), "{said}");
    }
    // That a file may be run stops nobody.
    world.notme_ok(&["attest", "handoff"]);
    let index = world.path().join(".git/other-index");
    let in_index = |arguments: &[&str], input: &str| {
        let mut git = world.command("git");
        git.env("GIT_INDEX_FILE", &index).args(arguments);
        made(run(&mut git, input.as_bytes()))
    };
    in_index(&["read-tree", reference], "");
    let listed = in_index(&["ls-files", "--stage"], "");
    let listed = listed.replace("100644 ", "100755 ");
    in_index(&["update-index", "--index-info"], &format!("{listed}\n"));
    let executable = in_index(&["write-tree"], "");
    let spec = format!("{}:{reference}", on_top(&executable));
    accepted(&world, &["--no-verify", &spec]);
    world.notme_ok(&["attest", "handoff"]);
    world.notme_ok(&["attest", "push"]);
    let kept = |side: &Repository| side.git_ok(&["ls-tree", "-r", "--name-only", reference]);
    assert_eq!(kept(&bare), kept(&world));
}

#[test]
fn what_is_no_store_of_attestations_is_refused() {
    let (world, _bare) = served(&[]);
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    accepted(&world, &["main", "refs/attestations/*:refs/attestations/*"]);
    world.git_ok(&["tag", "-m", "x", "tag", "refs/attestations/commits"]);
    refused(
        &world,
        &["tag:refs/attestations/commits"],
        "attestation-unreadable",
    );
}

/// The hook itself, with what git would tell it of another push.
#[test]
fn a_push_certificate_is_for_one_push() {
    let (world, bare) = served(&[]);
    signed_pushes(&bare);
    let kept = bare.path().join("kept");
    let keep = format!(
        "#!/bin/sh\ngit cat-file blob \"$GIT_PUSH_CERT\" >{}\n",
        kept.display()
    );
    executable(&bare.path().join("hooks/pre-receive"), &keep);
    notme_in_ok(&world, &bare.path(), &["hooks", "install", "--server"]);
    let one = world.signed_commit("one");
    accepted(&world, &["--signed", "main"]);
    let certificate = bare.git_ok(&["hash-object", "-w", kept.to_str().unwrap()]);
    bare.git_ok(&["update-ref", "-d", "refs/heads/main"]);
    let receive = |nonce: &str, reference: &str| {
        let mut hook = world.notme_command();
        hook.current_dir(bare.path())
            .args(["hook", "--former", "/nonexistent", "pre-receive"])
            .env("GIT_DIR", bare.path())
            .env("GIT_PUSH_CERT", &certificate)
            .env("GIT_PUSH_CERT_STATUS", "G")
            .env("GIT_PUSH_CERT_NONCE_STATUS", nonce);
        let update = format!("{} {one} {reference}\n", "0".repeat(40));
        told(&run(&mut hook, update.as_bytes()))
    };
    let said = receive("OK", "refs/heads/main");
    assert!(said.starts_with("exit status: 0"), "{said}");
    for nonce in ["BAD", "MISSING", "UNSOLICITED", ""] {
        let said = receive(nonce, "refs/heads/main");
        assert!(said.contains("push-nonce"), "{nonce}: {said}");
    }
    let said = receive("OK", "refs/heads/other");
    assert!(said.contains("push-mismatch"), "{said}");
}

/// git itself compares it only when it moves the ref, each by itself: one may be left behind.
#[test]
fn a_push_that_is_wrong_about_a_ref_is_refused() {
    let (world, bare) = served(&[]);
    let one = world.signed_commit("one");
    accepted(&world, &["main"]);
    let two = world.signed_commit("two");
    accepted(&world, &["main:refs/heads/other"]);
    let zero = "0".repeat(40);
    let receive = |old: &str, reference: &str| {
        let mut hook = world.notme_command();
        hook.current_dir(bare.path())
            .args(["hook", "--former", "/nonexistent", "pre-receive"])
            .env("GIT_DIR", bare.path());
        let update = format!("{old} {two} {reference}\n");
        told(&run(&mut hook, update.as_bytes()))
    };
    let said = receive(&one, "refs/heads/main");
    assert!(said.starts_with("exit status: 0"), "{said}");
    for old in [&zero, &two] {
        let said = receive(old, "refs/heads/main");
        assert!(said.contains("push-stale"), "{said}");
    }
    let said = receive(&one, "refs/attestations/commits");
    assert!(said.contains("push-stale"), "{said}");
}

fn signed_pushes(bare: &Repository) {
    bare.git_ok(&["config", "receive.certNonceSeed", "seed"]);
    bare.git_ok(&["config", "notme.pushCert", "required"]);
}

#[test]
fn pushes_are_signed_where_the_server_asks_for_it() {
    let (world, bare) = served(&[]);
    signed_pushes(&bare);
    world.signed_commit("one");
    refused(&world, &["main"], "push-unsigned");
    accepted(&world, &["--signed", "main"]);
    bare.git_ok(&["config", "notme.pushCert", "nonsense"]);
    let nonsense = ["--signed", "HEAD:refs/heads/x"];
    refused(&world, &nonsense, "could not be verified");
    // `update` is not told, and does not pretend to know.
    let (world, bare) = served(&["--update"]);
    signed_pushes(&bare);
    world.signed_commit("one");
    refused(&world, &["--signed", "main"], "push-unsigned");
}

/// git exports `GIT_PUSH_CERT_STATUS=G`, and no signer, for a key that it does not know.
#[test]
fn a_push_that_git_calls_good_and_nobody_knows_is_refused() {
    let (world, bare) = served(&[]);
    signed_pushes(&bare);
    let status = bare.path().join("status");
    executable(&bare.path().join("hooks/update"), "#!/bin/sh\nexit 0\n");
    let key = world.home().join("key");
    let mut keygen = world.command(oracle("ssh-keygen"));
    let made = keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key);
    assert!(made.status().unwrap().success());
    let allowed = bare.path().join("allowed");
    fs::write(&allowed, "").unwrap();
    bare.git_ok(&[
        "config",
        "gpg.ssh.allowedSignersFile",
        allowed.to_str().unwrap(),
    ]);
    // Before ours, to see what git says.
    let hooks = bare.path().join("notme/hooks");
    let ours = fs::read_to_string(hooks.join("pre-receive")).unwrap();
    let spy = format!(
        "#!/bin/sh\necho \"$GIT_PUSH_CERT_STATUS|$GIT_PUSH_CERT_SIGNER\" >{}\n",
        status.display()
    );
    executable(
        &hooks.join("pre-receive"),
        &ours.replacen("#!/bin/sh\n", &spy, 1),
    );
    world.signed_commit("one");
    let settings = [
        "-c",
        "gpg.format=ssh",
        "-c",
        "gpg.ssh.program=ssh-keygen",
        "-c",
        &format!("user.signingkey={}", key.display()),
    ];
    let output = world.git(&[&settings[..], &["push", "--signed", "origin", "main"]].concat());
    let said = told(&output);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("push certificate: signer-untrusted"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(status).unwrap(), "G|\n");
    assert_eq!(bare.git_ok(&["for-each-ref"]), "");
}

/// Over ssh: a real server, which an agent logs in to as itself.
#[test]
fn works_over_ssh() {
    let mut world = World::new();
    world.notme_ok(&[
        "init",
        "--agent",
        "claude",
        "--format",
        "x509",
        "--ssh-login",
    ]);
    world.notme_ok(&["agent", "start"]);
    let socket = world.notme_home().join("run/ssh-agent.sock");
    world.set_env("SSH_AUTH_SOCK", &socket);
    let bare = world.remote();
    notme_in_ok(&world, &bare.path(), &["hooks", "install", "--server"]);
    let server = Server::start(&world, "claude\n");
    let ssh = format!("{} {}", oracle("ssh").display(), server.options().join(" "));
    world.git_ok(&["config", "core.sshCommand", &ssh]);
    let url = format!("ssh://{}@127.0.0.1{}", server.user(), bare.path().display());
    world.git_ok(&["remote", "set-url", "origin", &url]);
    over(&world, &bare);
    assert!(
        server.log().contains("Accepted publickey"),
        "{}",
        server.log()
    );
}

/// Hooks as Gitea and Forgejo have them: a script of theirs that runs all of a directory. Ours come
/// before that script, or into the directory.
#[test]
fn stands_beside_and_in_the_hooks_of_gitea() {
    const DELEGATE: &str = r#"#!/usr/bin/env bash
data=$(cat)
exitcodes=""
hookname=$(basename $0)
GIT_DIR=${GIT_DIR:-$(dirname $0)/..}
for hook in ${GIT_DIR}/hooks/${hookname}.d/*; do
  test -x "${hook}" && test -f "${hook}" || continue
  echo "${data}" | "${hook}"
  exitcodes="${exitcodes} $?"
done
for i in ${exitcodes}; do
  [ ${i} -eq 0 ] || exit ${i}
done
"#;
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hooks.md"));
    let document = document.unwrap();
    let (_, script) = document.split_once("```sh\n#!/bin/sh\n").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    for is_within in [false, true] {
        let world = World::initialised();
        let bare = world.remote();
        let hooks = bare.path().join("hooks");
        executable(&hooks.join("pre-receive"), DELEGATE);
        let theirs = "#!/bin/sh\nread old new ref; test \"$ref\" != refs/heads/taboo\n";
        executable(&hooks.join("pre-receive.d/gitea"), theirs);
        if is_within {
            let script = script.replace("/usr/local/bin/notme", crate::world::NOTME);
            executable(
                &hooks.join("pre-receive.d/notme"),
                &format!("#!/bin/sh\n{script}"),
            );
        } else {
            notme_in_ok(&world, &bare.path(), &["hooks", "install", "--server"]);
        }
        over(&world, &bare);
        world.git_ok(&["reset", "-q", "--hard", "HEAD~1"]);
        refused(
            &world,
            &["HEAD:refs/heads/taboo"],
            "pre-receive hook declined",
        );
        accepted(&world, &["HEAD:refs/heads/other"]);
    }
}

/// Over HTTP, by the program that git brings for it.
#[test]
fn works_over_http() {
    let (world, bare) = served(&[]);
    bare.git_ok(&["config", "http.receivepack", "true"]);
    let root = bare.path().parent().unwrap().to_owned();
    let git = world.command(oracle("git"));
    let variables: Vec<_> = git
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let program = git.get_program().to_owned();
    let server = notme_testkit::cgi::serve(move || {
        let mut command = Command::new(&program);
        command
            .arg("http-backend")
            .env_clear()
            .envs(variables.clone())
            .env("GIT_PROJECT_ROOT", &root)
            .env("GIT_HTTP_EXPORT_ALL", "1");
        command
    });
    let url = format!("http://{}/work", server.address());
    world.git_ok(&["remote", "set-url", "origin", &url]);
    over(&world, &bare);
}

fn over(world: &World, bare: &Repository) {
    let signed = world.signed_commit("signed");
    accepted(world, &["main"]);
    assert_eq!(bare.git_ok(&["rev-parse", "main"]), signed);
    world.commit("unsigned", "x");
    refused(world, &["main"], "remote: notme: refs/heads/main: commit ");
    assert_eq!(bare.git_ok(&["rev-parse", "main"]), signed);
}

/// Whoever signs a tag of a tag does not sign for the one inside.
#[test]
fn every_tag_on_the_way_is_verified() {
    let (world, bare) = served(&[]);
    world.signed_commit("a");
    accepted(&world, &["main"]);
    world.git_ok(&["tag", "--no-sign", "-a", "-m", "inner", "inner"]);
    let inner = world.git_ok(&["rev-parse", "inner"]);
    for (outer, named) in [("outer", "inner"), ("outermost", "outer")] {
        world.git_ok(&["tag", "-s", "-m", outer, outer, named]);
        let why = format!("refs/tags/{outer}: tag {inner}: refused: unsigned");
        refused(&world, &[outer], &why);
        assert_eq!(world.verdicts(&["--tags"]).0, Some(1));
    }
    world.git_ok(&["tag", "-s", "-m", "signed", "signed"]);
    world.git_ok(&["tag", "-s", "-m", "good", "good", "signed"]);
    accepted(&world, &["good"]);
    assert_eq!(
        bare.git_ok(&["for-each-ref", "refs/tags"]).lines().count(),
        1
    );
}
