//! `notme init` and its way back.

use std::fs;

use crate::world::{World, told};

#[test]
fn writes_at_most_six_settings_and_shows_them_first() {
    let world = World::new();
    let out = world.notme_ok(&["init", "--agent", "claude"]);
    let settings: Vec<_> = out.lines().filter(|line| line.contains(" = ")).collect();
    assert!((1..=6).contains(&settings.len()), "{out}");
    for line in settings {
        let (name, value) = line.trim().split_once(" = ").unwrap();
        assert_eq!(world.git_ok(&["config", "--local", name]), value);
    }
}

#[test]
fn undo_restores_the_file_to_the_byte() {
    let world = World::new();
    let file = world.path().join(".git/config");
    let odd = "\n; mine\n[gpg]\n\tformat = openpgp ; kept\n[user]\n  signingkey = \"ABC\"\n\tsigningkey = DEF\n";
    let before = fs::read_to_string(&file).unwrap() + odd;
    fs::write(&file, &before).unwrap();
    world.notme_ok(&["init"]);
    assert_eq!(world.git_ok(&["config", "user.signingkey"]), "agent");
    world.notme_ok(&["init", "--agent", "second"]);
    world.notme_ok(&["init", "--undo"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn an_edit_between_two_runs_is_not_lost_by_undo() {
    let world = World::new();
    world.notme_ok(&["init"]);
    world.git_ok(&["remote", "add", "origin", "https://example.invalid/x"]);
    world.notme_ok(&["init", "--agent", "second"]);
    world.notme_ok(&["init", "--undo"]);
    assert_eq!(world.git_ok(&["remote"]), "origin");
    assert!(
        !world
            .git(&["config", "--local", "gpg.format"])
            .status
            .success()
    );
}

#[test]
fn a_linked_configuration_stays_a_link() {
    let world = World::new();
    let (link, target) = (world.home().join("gitconfig"), world.home().join("dotfile"));
    fs::rename(&link, &target).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let before = fs::read(&target).unwrap();
    world.notme_ok(&["init", "--global"]);
    assert_ne!(fs::read(&target).unwrap(), before);
    world.notme_ok(&["init", "--undo", "--global"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&target).unwrap(), before);
}

#[test]
fn a_locked_configuration_is_left_as_it_was() {
    let world = World::new();
    let file = world.path().join(".git/config");
    let before = fs::read(&file).unwrap();
    fs::write(world.path().join(".git/config.lock"), "").unwrap();
    let output = world.notme(&["init"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert_eq!(fs::read(&file).unwrap(), before);
    fs::remove_file(world.path().join(".git/config.lock")).unwrap();
    world.notme_ok(&["init"]);
    world.notme_ok(&["init", "--undo"]);
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn undo_keeps_edits_made_since() {
    let world = World::new();
    world.git_ok(&["config", "commit.gpgsign", "false"]);
    world.notme_ok(&["init"]);
    world.git_ok(&["config", "core.editor", "ed"]);
    world.git_ok(&["config", "user.signingkey", "mine"]);
    let out = world.notme_ok(&["init", "--undo"]);
    assert!(out.contains("user.signingkey"), "{out}");
    assert_eq!(world.git_ok(&["config", "core.editor"]), "ed");
    assert_eq!(world.git_ok(&["config", "user.signingkey"]), "mine");
    assert_eq!(world.git_ok(&["config", "commit.gpgsign"]), "false");
    assert!(!world.git(&["config", "gpg.format"]).status.success());
}

#[test]
fn global_settings_go_to_the_users_file_and_back() {
    let world = World::new();
    let file = world.home().join("gitconfig");
    let before = fs::read(&file).unwrap();
    world.notme_ok(&["init", "--global"]);
    assert!(
        !world
            .git(&["config", "--local", "gpg.format"])
            .status
            .success()
    );
    world.signed_commit("a");
    assert_eq!(world.code("HEAD", &[]), "accepted");
    world.notme_ok(&["init", "--undo", "--global"]);
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn undo_without_init_says_that_there_is_nothing() {
    let output = World::new().notme(&["init", "--undo"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("nothing to undo"),
        "{}",
        told(&output)
    );
}

#[test]
fn outside_a_repository_it_is_a_wrong_call() {
    let mut world = World::new();
    let elsewhere = world.home();
    world.set_env("GIT_CEILING_DIRECTORIES", &elsewhere);
    let output = world
        .notme_command()
        .current_dir(&elsewhere)
        .arg("init")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("hint: "), "{}", told(&output));
}

#[test]
fn a_linked_worktree_signs_too() {
    let world = World::initialised();
    world.signed_commit("a");
    let linked = world.home().join("linked");
    world.git_ok(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "other",
        linked.to_str().unwrap(),
    ]);
    let commit = world
        .command("git")
        .current_dir(&linked)
        .args(["commit", "-q", "--allow-empty", "-m", "b"])
        .output()
        .unwrap();
    assert!(commit.status.success(), "{}", told(&commit));
    assert_eq!(world.code("other", &[]), "accepted");
}

/// One identity through each of git's three doors, judged in one run and by stock git's own word.
#[test]
fn each_format_signs_and_a_repository_may_hold_all_three() {
    let world = World::new();
    for format in ["x509", "ssh", "openpgp"] {
        let out = world.notme_ok(&["init", "--format", format]);
        let settings = out.lines().filter(|line| line.contains(" = ")).count();
        assert!((1..=6).contains(&settings), "{out}");
        world.signed_commit(format);
        world.git_ok(&["tag", "-m", format, &format!("v-{format}")]);
        let shown = world.git_ok(&["log", "-1", "--format=%G? %GT"]);
        assert_eq!(shown, "G fully", "{format}");
        assert!(
            world
                .git(&["verify-tag", &format!("v-{format}")])
                .status
                .success(),
            "{format}"
        );
        let status = world.notme_ok(&["status"]);
        assert!(
            status.contains(&format!("git signs    {format} with ")),
            "{status}"
        );
        assert!(
            world.notme_ok(&["doctor"]).contains("nothing is wrong"),
            "{format}"
        );
    }
    let (exit, document) = world.verdicts(&["--all", "--tags"]);
    assert_eq!(exit, Some(0), "{document}");
    for format in ["x509", "ssh", "openpgp"] {
        let of = |kind: &str| {
            let objects = document["objects"].as_array().unwrap().iter();
            objects
                .filter(|o| o["format"] == format && o["kind"] == kind)
                .count()
        };
        assert_eq!((of("commit"), of("tag")), (1, 1), "{format}: {document}");
    }
    let bases = document["objects"].as_array().unwrap().iter();
    assert!(
        bases
            .map(|o| &o["time_basis"])
            .all(|basis| basis == "issuance-bound"),
        "{document}"
    );
    world.notme_ok(&["init", "--undo"]);
    assert!(
        !world
            .git(&["config", "--local", "gpg.format"])
            .status
            .success()
    );
}

/// What `init` says and chooses, with these remotes and settings.
fn chosen(git: &[&[&str]]) -> (String, String) {
    let world = World::new();
    for arguments in git {
        world.git_ok(arguments);
    }
    let output = world.notme(&["init"]);
    assert!(output.status.success(), "{}", told(&output));
    (
        world.git_ok(&["config", "gpg.format"]),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn the_remote_that_pushes_go_to_picks_the_format() {
    let (github, other) = (
        "git@github.com:alice/project.git",
        "https://git.example.invalid/x",
    );
    let add = |name, url| ["remote", "add", name, url];
    let config = |name, value| ["config", name, value];

    for url in [
        github,
        "https://GitHub.com/alice/project",
        "ssh://git@altssh.gitlab.com:443/alice/project.git",
        "https://codeberg.org/alice/project",
        "git@bitbucket.org:alice/project.git",
    ] {
        assert_eq!(chosen(&[&add("origin", url)]).0, "ssh", "{url}");
    }
    for url in [
        other,
        "../elsewhere",
        "https://github.com.example.invalid/x",
    ] {
        assert_eq!(chosen(&[&add("origin", url)]).0, "x509", "{url}");
    }
    assert_eq!(chosen(&[]).0, "x509");

    // Of several remotes, as `git push` chooses.
    let both = [&add("origin", other)[..], &add("fork", github)];
    assert_eq!(chosen(&both).0, "x509");
    for name in [
        "remote.pushDefault",
        "branch.main.remote",
        "branch.main.pushRemote",
    ] {
        let fork = config(name, "fork");
        let settings = [&both[..], &[&fork]].concat();
        assert_eq!(chosen(&settings).0, "ssh", "{name}");
    }
    let neither = [&add("one", github)[..], &add("two", github)];
    assert_eq!(chosen(&neither).0, "x509");

    // Where pushes go counts, after the configuration has rewritten it.
    let rewritten = config("url.git@github.com:.insteadOf", "gh:");
    let short = [&add("origin", "gh:alice/project")[..], &rewritten];
    assert_eq!(chosen(&short).0, "ssh");
    let pushed = config("remote.origin.pushurl", github);
    assert_eq!(chosen(&[&add("origin", other), &pushed]).0, "ssh");
}

#[test]
fn what_each_format_gives_is_one_table() {
    let (_, said) = chosen(&[&["remote", "add", "origin", "git@github.com:alice/x.git"]]);
    for word in ["x509", "openpgp", "GitHub", "GitLab", "Gitea", "stock git"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(
        said.contains("format ssh, for GitHub (remote `origin`)"),
        "{said}"
    );
    assert!(said.lines().all(|line| line.len() <= 80), "{said}");
}

#[test]
fn a_format_that_was_asked_for_is_taken() {
    let world = World::new();
    world.git_ok(&["remote", "add", "origin", "git@github.com:alice/x.git"]);
    world.notme_ok(&["init", "--format", "x509"]);
    assert_eq!(world.git_ok(&["config", "gpg.format"]), "x509");
    let status = world.notme_ok(&["status"]);
    assert!(status.contains("to GitHub (remote `origin`)"), "{status}");
    assert!(status.contains("suited by  ssh"), "{status}");
    let status: serde_json::Value =
        serde_json::from_str(&world.notme_ok(&["status", "--json"])).unwrap();
    assert_eq!(status["remote"]["forge"], "github");
    assert_eq!(status["suits"], "ssh");
    // Advice, and nothing that is wrong.
    world.signed_commit("a");
    let doctor = told(&world.notme(&["doctor"]));
    assert!(doctor.contains("`notme init` would choose ssh"), "{doctor}");
    assert!(doctor.contains("nothing is wrong"), "{doctor}");
}

#[test]
fn a_password_in_a_remote_is_not_shown() {
    let url = "https://alice:hunter2@github.com/alice/x";
    for git in [
        &["remote", "add", "origin", url][..],
        &["config", "remote.pushDefault", url],
    ] {
        let world = World::new();
        world.git_ok(git);
        let init = told(&world.notme(&["init"]));
        assert!(init.contains("format ssh, for GitHub"), "{init}");
        for arguments in [&["status"][..], &["status", "--json"], &["doctor"]] {
            let said = told(&world.notme(arguments));
            assert!(!said.contains("hunter2"), "{said}");
        }
        assert!(!init.contains("hunter2"), "{init}");
    }
}
