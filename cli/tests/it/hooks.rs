//! Hooks beside those of others, on the client's side and on the server's: real git, real pushes.

mod gate;
mod others;
mod own_policy;
mod receive;
mod rewritten;
mod session;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use notme_testkit::{
    oracle::oracle,
    repository::{Repository, run},
};

use crate::world::{World, told};

/// Writes an executable file.
fn executable(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Every file below a directory, with its bytes and mode.
fn everything(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            found.insert(path.clone(), (fs::read(&path).unwrap_or_default(), mode));
        }
    }
    found
}

fn notme_in(world: &World, directory: &Path, arguments: &[&str]) -> Output {
    let mut command = world.notme_command();
    run(command.current_dir(directory).args(arguments), b"")
}

fn notme_in_ok(world: &World, directory: &Path, arguments: &[&str]) -> String {
    let output = notme_in(world, directory, arguments);
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Hooks as others install them: each writes its name and what it was called with.
const HUSKY: &str = "#!/usr/bin/env sh\n. \"$(dirname \"$0\")/h\"\n";
const HUSKY_H: &str = "n=$(basename \"$0\"); s=$(dirname \"$(dirname \"$0\")\")/$n\n[ ! -f \"$s\" ] && exit 0\nsh -e \"$s\" \"$@\"\nexit $?\n";
const PRE_COMMIT: &str = "#!/usr/bin/env bash\nHERE=\"$(cd \"$(dirname \"$0\")\" && pwd)\"\necho \"pre-commit $(basename \"$HERE\")\" >>ran\n";
const LEFTHOOK: &str = "#!/bin/sh\nif [ \"$LEFTHOOK\" = \"0\" ]; then exit 0; fi\ncall_lefthook() { echo \"lefthook $*\" >>ran; }\ncall_lefthook run \"commit-msg\" \"$@\"\n";

#[test]
fn what_is_installed_is_taken_back_to_the_byte() {
    let world = World::initialised();
    let git = world.path().join(".git");
    executable(&git.join("hooks/pre-commit"), PRE_COMMIT);
    // Newer git runs these beside the directory.
    world.git_ok(&["config", "hook.lint.event", "pre-commit"]);
    world.git_ok(&["config", "hook.lint.command", "lint --all"]);
    for setting in [None, Some(".husky/_")] {
        if let Some(path) = setting {
            world.git_ok(&["config", "core.hooksPath", path]);
        }
        let before = everything(&git);
        world.notme_ok(&["hooks", "install"]);
        assert_ne!(everything(&git), before);
        // Twice is once.
        world.notme_ok(&["hooks", "install"]);
        let said = world.notme_ok(&["hooks", "uninstall"]);
        assert!(said.contains("byte for byte"), "{said}");
        assert_eq!(everything(&git), before);
    }
    let output = world.notme(&["hooks", "uninstall"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_hooks_of_husky_lefthook_and_pre_commit_run_as_before() {
    let world = World::initialised();
    let git = world.path().join(".git/hooks");
    executable(&git.join("pre-commit"), PRE_COMMIT);
    executable(&git.join("commit-msg"), LEFTHOOK);
    world.notme_ok(&["hooks", "install"]);
    world.signed_commit("one");
    let ran = fs::read_to_string(world.path().join("ran")).unwrap();
    assert!(
        ran.starts_with("pre-commit hooks\nlefthook run commit-msg "),
        "{ran}"
    );
    world.notme_ok(&["hooks", "uninstall"]);

    let husky = world.path().join(".husky");
    executable(&husky.join("_/h"), HUSKY_H);
    for name in ["pre-commit", "commit-msg", "pre-push"] {
        executable(&husky.join("_").join(name), HUSKY);
    }
    executable(&husky.join("pre-commit"), "echo husky >>ran\n");
    world.git_ok(&["config", "core.hooksPath", ".husky/_"]);
    world.notme_ok(&["hooks", "install"]);
    world.signed_commit("two");
    let ran = fs::read_to_string(world.path().join("ran")).unwrap();
    assert!(ran.ends_with("\nhusky\n"), "{ran}");
    // A hook that says no still does.
    executable(&husky.join("commit-msg"), "exit 1\n");
    world.write("three", "x");
    world.git_ok(&["add", "three"]);
    assert!(!world.git(&["commit", "-q", "-m", "three"]).status.success());
}

#[test]
fn linked_worktrees_submodules_and_bare_repositories_have_hooks_of_their_own() {
    let world = World::initialised();
    world.signed_commit("one");
    let linked = world.home().join("linked");
    world.git_ok(&["worktree", "add", "-q", linked.to_str().unwrap()]);
    notme_in_ok(&world, &linked, &["hooks", "install"]);
    let status = world.notme_ok(&["hooks", "status"]);
    assert!(
        status.contains("this repository: commit-msg, post-commit"),
        "{status}"
    );
    notme_in_ok(&world, &linked, &["hooks", "uninstall"]);

    world.git_ok(&["config", "extensions.worktreeConfig", "true"]);
    let before = everything(&world.path().join(".git"));
    notme_in_ok(&world, &linked, &["hooks", "install", "--worktree"]);
    let status = world.notme_ok(&["hooks", "status"]);
    assert!(status.contains("no hooks of notme"), "{status}");
    let status = notme_in_ok(&world, &linked, &["hooks", "status"]);
    assert!(status.contains("this worktree"), "{status}");
    notme_in_ok(&world, &linked, &["hooks", "uninstall", "--worktree"]);
    assert_eq!(everything(&world.path().join(".git")), before);

    let library = Repository::new();
    library.commit("file", "x");
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q"];
    world.git_ok(&[&add[..], &[library.path().to_str().unwrap(), "sub"]].concat());
    let sub = world.path().join("sub");
    notme_in_ok(&world, &sub, &["hooks", "install"]);
    assert!(
        world
            .path()
            .join(".git/modules/sub/notme/hooks/post-commit")
            .exists()
    );
    let bare = Repository::bare();
    notme_in_ok(&world, &bare.path(), &["hooks", "install", "--server"]);
    assert!(bare.path().join("notme/hooks/pre-receive").exists());
}

#[test]
fn everywhere_means_the_hooks_of_every_repository_too() {
    let world = World::initialised();
    let global = world.home().join("gitconfig");
    let before = fs::read(&global).unwrap();
    executable(
        &world.path().join(".git/hooks/post-commit"),
        "#!/bin/sh\necho own >>ran\n",
    );
    world.notme_ok(&["hooks", "install", "--global"]);
    let one = world.signed_commit("one");
    assert_eq!(
        fs::read_to_string(world.path().join("ran")).unwrap(),
        "own\n"
    );
    world.notme_ok(&["attest", "dispatch"]);
    world.git_ok(&["commit", "-q", "--amend", "-m", "other words"]);
    assert_ne!(world.git_ok(&["rev-parse", "HEAD"]), one);
    assert!(world.notme(&["attest", "verify"]).status.success());
    // One that has a setting of its own is told so.
    world.git_ok(&["config", "core.hooksPath", ".husky"]);
    let status = world.notme_ok(&["hooks", "status"]);
    assert!(
        status.contains("NOT RUN: core.hooksPath is .husky"),
        "{status}"
    );
    world.notme_ok(&["hooks", "uninstall", "--global"]);
    assert_eq!(fs::read(&global).unwrap(), before);
}

/// As a graphical client runs git: no terminal, and a `PATH` that has none of our programs.
#[test]
fn a_client_without_terminal_and_path_commits_signed() {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    world.write("one", "x");
    world.git_ok(&["add", "one"]);
    let git = oracle("git");
    let commit = |arguments: &[&str]| {
        let mut client = world.command(oracle("setsid"));
        client
            .arg("--wait")
            .arg(&git)
            .args(arguments)
            .env("PATH", "/nonexistent");
        run(&mut client, b"")
    };
    for arguments in [
        &["commit", "-q", "-m", "one"][..],
        &["commit", "-q", "--amend", "-m", "other words"],
    ] {
        let output = commit(arguments);
        assert!(output.status.success(), "{}", told(&output));
        assert!(!told(&output).contains("note:"), "{}", told(&output));
        assert_eq!(world.code("HEAD", &[]), "accepted");
    }
}

#[test]
fn a_hook_that_came_later_is_found() {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    executable(&world.path().join(".git/hooks/pre-commit"), "#!/bin/sh\n");
    let status = world.notme_ok(&["hooks", "status"]);
    assert!(
        status.contains("NOT RUN: pre-commit came later"),
        "{status}"
    );
    world.notme_ok(&["hooks", "install"]);
    let status = world.notme_ok(&["hooks", "status"]);
    assert!(!status.contains("NOT RUN"), "{status}");
}

#[test]
fn statements_follow_commits_that_are_rewritten() {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    world.signed_commit("base");
    for name in ["one", "two"] {
        world.signed_commit(name);
        world.notme_ok(&["attest", "dispatch"]);
    }
    world.git_ok(&["checkout", "-q", "-b", "side", "HEAD~2"]);
    world.signed_commit("other");
    world.git_ok(&["checkout", "-q", "main"]);
    world.git_ok(&["rebase", "-q", "side"]);
    for revision in ["HEAD", "HEAD~1"] {
        let output = world.notme(&["attest", "verify", revision]);
        assert!(output.status.success(), "{}", told(&output));
        assert!(told(&output).contains("attested as"), "{}", told(&output));
    }
    world.git_ok(&["checkout", "-q", "-b", "picked", "HEAD~3"]);
    world.signed_commit("else");
    world.git_ok(&["cherry-pick", "main"]);
    let output = world.notme(&["attest", "verify", "HEAD"]);
    assert!(output.status.success(), "{}", told(&output));
    // Whoever attested nothing signs nothing.
    let kept = world.git_ok(&["rev-parse", "refs/attestations/commits"]);
    world.signed_commit("plain");
    world.git_ok(&["commit", "-q", "--amend", "-m", "plain, amended"]);
    assert_eq!(
        world.git_ok(&["rev-parse", "refs/attestations/commits"]),
        kept
    );
}

#[test]
fn a_record_that_cannot_be_made_loses_no_commit_and_says_what_to_do() {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    let old = world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    // Signed without the key agent, whose directory nobody trusts any more.
    let run = world.notme_home().join("run");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    let output = world.git(&["commit", "--amend", "--no-gpg-sign", "-m", "amended"]);
    fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("could not record this (post-rewrite)"),
        "{}",
        told(&output)
    );
    assert!(told(&output).contains("notme attest succeed"));
    let new = world.git_ok(&["rev-parse", "HEAD"]);
    assert_ne!(new, old);
}

#[test]
fn a_commit_without_a_home_directory_is_made() {
    let mut world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    for name in ["HOME", "NOTME_HOME"] {
        world.remove_env(name);
    }
    world.write("one", "x");
    world.git_ok(&["add", "one"]);
    let output = world.git(&["commit", "--no-gpg-sign", "-m", "one"]);
    let home = world.home().join("notme");
    world.set_env("NOTME_HOME", home);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("no home directory"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_program_that_is_gone_is_said_and_stops_nobody() {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    executable(
        &world.path().join(".git/hooks/commit-msg"),
        "#!/bin/sh\necho own >>ran\n",
    );
    fs::remove_file(world.notme_home().join("data/bin/notme")).unwrap();
    world.write("one", "x");
    world.git_ok(&["add", "one"]);
    let output = world.git(&["commit", "-m", "one"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("is gone"), "{}", told(&output));
    assert!(world.path().join("ran").exists());
}

#[test]
fn what_is_not_accepted_does_not_leave() {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    let bare = world.remote();
    let signed = world.signed_commit("signed");
    world.git_ok(&["push", "-q", "origin", "main"]);
    assert_eq!(bare.git_ok(&["rev-parse", "main"]), signed);
    let unsigned = world.commit("unsigned", "x");
    let output = world.git(&["push", "-q", "origin", "main"]);
    assert!(!output.status.success());
    let said = told(&output);
    assert!(
        said.contains(&format!("commit {unsigned}: refused: unsigned")),
        "{said}"
    );
    assert!(said.contains("hint: `git push --no-verify`"), "{said}");
    assert_eq!(bare.git_ok(&["rev-parse", "main"]), signed);
    // On its way already, or not verified on purpose.
    world.git_ok(&[
        "push",
        "-q",
        "--no-verify",
        "origin",
        "main:refs/heads/side",
    ]);
    world.git_ok(&["config", "notme.prePush", "warn"]);
    let output = world.git(&["push", "origin", "HEAD:refs/heads/other"]);
    assert!(output.status.success(), "{}", told(&output));
    world.git_ok(&["config", "notme.prePush", "nonsense"]);
    assert!(
        !world
            .git(&["push", "origin", "HEAD:refs/heads/more"])
            .status
            .success()
    );
    world.git_ok(&["config", "notme.prePush", "off"]);
    world.git_ok(&["push", "-q", "origin", "HEAD:refs/heads/more"]);
    world.git_ok(&["push", "-q", "origin", ":refs/heads/more"]);
}

#[test]
fn attestations_go_along_with_what_is_pushed() {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    let bare = world.remote();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    world.git_ok(&["push", "-q", "origin", "main"]);
    let refs = bare.git_ok(&["for-each-ref", "--format=%(refname)", "refs/attestations"]);
    assert_eq!(refs.lines().count(), 3, "{refs}");
}

#[test]
fn a_run_in_a_repository_with_hooks_of_notme_records_once() {
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    executable(
        &world.path().join(".git/hooks/post-commit"),
        "#!/bin/sh\necho own >>ran\n",
    );
    world.notme_ok(&["hooks", "install"]);
    let script = "git commit -q --allow-empty -m one";
    world.notme_ok(&["run", "--", "sh", "-c", script]);
    assert_eq!(
        fs::read_to_string(world.path().join("ran")).unwrap(),
        "own\n"
    );
    let exported = world.notme_ok(&["attest", "export", "HEAD"]);
    assert_eq!(exported.lines().count(), 3, "begun, one commit, ended");
    let message = world.git_ok(&["log", "-1", "--format=%B"]);
    assert_eq!(message.matches("Agent-Chain").count(), 1);
}
