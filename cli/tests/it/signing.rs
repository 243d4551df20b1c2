//! Every way in which git signs, with git's own word on each.

use std::{fs, process::Stdio};

use notme_testkit::repository::Repository;

use crate::world::{World, told};

/// Fields as `git log` shows them: grade, signer, key, fingerprint, primary key, trust.
fn pretty(world: &World, revision: &str) -> Vec<String> {
    let line = world.git_ok(&["log", "-1", "--format=%G?|%GS|%GK|%GF|%GP|%GT", revision]);
    line.split('|').map(str::to_owned).collect()
}

#[test]
fn a_newcomer_gets_accepted_without_reading_anything() {
    let world = World::new();
    world.notme_ok(&["init"]);
    world.write("a", "a");
    world.git_ok(&["add", "a"]);
    world.git_ok(&["commit", "-m", "x"]);
    let out = world.notme_ok(&["verify"]);
    assert!(out.starts_with("accepted"), "{out}");
}

#[test]
fn git_shows_the_truth_about_a_commit() {
    let world = World::initialised();
    world.signed_commit("a");
    let (_, document) = world.verdicts(&["HEAD"]);
    let object = &document["objects"][0];
    let fields = pretty(&world, "HEAD");
    let kid = object["kid"].as_str().unwrap();
    assert_eq!(fields[0], "G");
    assert_eq!(fields[1], object["identity"].as_str().unwrap());
    assert_eq!(fields[2], kid);
    assert_eq!(fields[3], kid);
    assert_eq!(fields[4], object["authority"].as_str().unwrap());
    assert_eq!(fields[5], "fully");
    assert_eq!(object["time_basis"], "issuance-bound");
    assert_eq!(object["verdict"], "accepted");
}

#[test]
fn the_key_id_is_that_of_the_session_and_stays() {
    let world = World::initialised();
    world.signed_commit("a");
    let first = pretty(&world, "HEAD");
    world.signed_commit("b");
    assert_eq!(first, pretty(&world, "HEAD"));
}

#[test]
fn verify_commit_and_show_signature_agree() {
    let world = World::initialised();
    world.signed_commit("a");
    let raw = world.git(&["verify-commit", "--raw", "HEAD"]);
    let status = String::from_utf8_lossy(&raw.stderr);
    assert!(raw.status.success(), "{status}");
    assert!(status.contains("\n[GNUPG:] GOODSIG "), "{status}");
    assert!(status.contains("[GNUPG:] VALIDSIG "), "{status}");
    assert!(status.contains("[GNUPG:] TRUST_FULLY"), "{status}");
    let shown = world.git_ok(&["log", "--show-signature", "-1"]);
    assert!(shown.contains("gpgsm: Signature made "), "{shown}");
    assert!(
        shown.contains("gpgsm: Good signature from \"wimse://"),
        "{shown}"
    );
    assert!(
        world
            .git(&["-c", "gpg.minTrustLevel=fully", "verify-commit", "HEAD"])
            .status
            .success()
    );
}

#[test]
fn annotated_tags_are_signed() {
    let world = World::initialised();
    world.signed_commit("a");
    world.git_ok(&["tag", "-m", "release", "v1"]);
    assert!(world.git(&["verify-tag", "v1"]).status.success());
    let (exit, document) = world.verdicts(&["v1"]);
    assert_eq!(exit, Some(0), "{document}");
    assert_eq!(document["objects"][0]["kind"], "tag");
}

#[test]
fn merges_amends_and_rebases_are_signed() {
    let world = World::initialised();
    world.signed_commit("base");
    world.git_ok(&["checkout", "-q", "-b", "side"]);
    world.signed_commit("side");
    world.git_ok(&["checkout", "-q", "main"]);
    world.signed_commit("main");
    world.git_ok(&["merge", "--verify-signatures", "--no-edit", "-q", "side"]);
    world.git_ok(&["commit", "-q", "--amend", "-m", "amended"]);
    world.git_ok(&["checkout", "-q", "side"]);
    world.signed_commit("side2");
    world.git_ok(&["rebase", "-q", "main"]);
    let (exit, document) = world.verdicts(&["--all"]);
    assert_eq!(exit, Some(0), "{document}");
    assert_eq!(
        document["summary"]["accepted"],
        document["summary"]["objects"]
    );
    assert!(document["summary"]["objects"].as_u64().unwrap() >= 5);
}

#[test]
fn merge_refuses_a_commit_that_was_altered() {
    let world = World::initialised();
    let base = world.signed_commit("base");
    let raw = world.read_object("commit", &base);
    let altered = String::from_utf8(raw)
        .unwrap()
        .replace("\n\nbase", "\n\nbasf");
    let altered = world.store(altered.as_bytes());
    let merge = world.git(&[
        "merge",
        "--verify-signatures",
        "--allow-unrelated-histories",
        &altered,
    ]);
    assert!(!merge.status.success(), "{}", told(&merge));
    assert!(
        told(&merge).contains("has a bad GPG signature"),
        "{}",
        told(&merge)
    );
}

#[test]
fn sha256_repositories_are_signed_under_their_own_header() {
    let world = World::of(Repository::sha256());
    world.notme_ok(&["init"]);
    let oid = world.signed_commit("a");
    let raw = world.read_object("commit", &oid);
    assert!(
        String::from_utf8_lossy(&raw).contains("\ngpgsig-sha256 -----BEGIN SIGNED MESSAGE-----")
    );
    assert!(world.git(&["verify-commit", "HEAD"]).status.success());
    world.git_ok(&["tag", "-m", "t", "v1"]);
    let (exit, document) = world.verdicts(&["--all", "--tags"]);
    assert_eq!(exit, Some(0), "{document}");
}

#[test]
fn a_signed_push_into_a_bare_repository_is_good() {
    let world = World::initialised();
    world.signed_commit("a");
    let bare = world.another_repository(Repository::bare());
    bare.git_ok(&["config", "receive.certNonceSeed", "seed"]);
    bare.git_ok(&[
        "config",
        "gpg.x509.program",
        &world.git_ok(&["config", "gpg.x509.program"]),
    ]);
    let report = bare.home().join("report");
    let hook = bare.path().join("hooks/post-receive");
    fs::write(
        &hook,
        format!(
            "#!/bin/sh\nenv | grep GIT_PUSH_CERT_ | sort > '{0}.tmp' && mv '{0}.tmp' '{0}'\n",
            report.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.git_ok(&[
        "push",
        "--signed",
        "-q",
        bare.path().to_str().unwrap(),
        "main",
    ]);
    let report = fs::read_to_string(&report).unwrap();
    assert!(report.contains("GIT_PUSH_CERT_STATUS=G"), "{report}");
    assert!(report.contains("GIT_PUSH_CERT_NONCE_STATUS=OK"), "{report}");
    assert!(report.contains("GIT_PUSH_CERT_SIGNER=wimse://"), "{report}");
}

#[test]
fn an_unknown_or_empty_key_makes_no_commit() {
    let world = World::initialised();
    let before = world.signed_commit("a");
    for key in [
        "nobody",
        "0123456789abcdef0123456789abcdef",
        "Not A Name",
        "",
    ] {
        world.git_ok(&["config", "user.signingkey", key]);
        let commit = world.git(&["commit", "--allow-empty", "-q", "-m", "no"]);
        assert!(!commit.status.success(), "{key:?}: {}", told(&commit));
        assert_eq!(world.git_ok(&["rev-parse", "HEAD"]), before, "{key:?}");
    }
    world.git_ok(&["config", "--unset", "user.signingkey"]);
    assert!(
        !world
            .git(&["commit", "--allow-empty", "-q", "-m", "no"])
            .status
            .success()
    );
}

#[test]
fn a_key_id_selects_the_session() {
    let world = World::initialised();
    world.signed_commit("a");
    let kid = pretty(&world, "HEAD")[2].clone();
    world.git_ok(&["config", "user.signingkey", &kid]);
    world.signed_commit("b");
    assert_eq!(world.code("HEAD", &[]), "accepted");
}

#[test]
fn without_the_authority_the_session_certificate_signs_and_says_so() {
    let world = World::initialised();
    world.signed_commit("a");
    world.notme_ok(&["authority", "stop"]);
    // The embedded authority cannot come back: something else sits on its directory.
    let store = world.notme_home().join("data/authority");
    fs::rename(&store, store.with_extension("away")).unwrap();
    fs::write(&store, "").unwrap();
    world.write("b", "b");
    world.git_ok(&["add", "b"]);
    let commit = world.git(&["commit", "-q", "-m", "b"]);
    assert!(commit.status.success(), "{}", told(&commit));
    let signed = world.git(&["log", "-1", "--format=%G?"]);
    assert_eq!(String::from_utf8_lossy(&signed.stdout).trim(), "Y");
    assert_eq!(world.code("HEAD", &[]), "time-basis-too-weak");
    // git swallows what a signer says when it succeeds, so the status says it again.
    let status = world.notme_ok(&["status"]);
    assert!(
        status.contains("one object signed with the session certificate"),
        "{status}"
    );
    let policy = world.policy_with_floor("declared");
    assert_eq!(world.code("HEAD", &["--policy", &policy]), "accepted");
    // Without the agent's session there is nothing to sign with, and no commit.
    world.notme_ok(&["agent", "stop"]);
    let refused = world.git(&["commit", "--allow-empty", "-q", "-m", "c"]);
    assert!(!refused.status.success());
    assert!(told(&refused).contains("gpgsm: "), "{}", told(&refused));
}

/// A login, cron and `su` have each their own runtime directory, and those are swept.
#[test]
fn a_runtime_directory_that_changes_or_goes_away_does_not_stop_signing() {
    let mut world = World::of(Repository::new());
    let home = world.home();
    world.remove_env("NOTME_HOME");
    for name in ["one", "two"] {
        let runtime = home.join(name);
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(
            &runtime,
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .unwrap();
        world.set_env("XDG_RUNTIME_DIR", &runtime);
        if name == "one" {
            world.notme_ok(&["init"]);
        }
        world.signed_commit(name);
        assert_eq!(world.code("HEAD", &[]), "accepted");
        fs::remove_dir_all(runtime.join("notme")).unwrap();
        world.signed_commit(&format!("{name} again"));
        assert_eq!(world.code("HEAD", &[]), "accepted");
        world.notme_ok(&["agent", "stop"]);
    }
    world.notme_ok(&["authority", "stop"]);
}

#[test]
fn two_agents_of_one_user_are_two_identities() {
    let world = World::initialised();
    world.signed_commit("a");
    let other = world.another_repository(Repository::new());
    other.notme_ok(&["init", "--agent", "codex"]);
    other.signed_commit("a");
    let (claude, codex) = (pretty(&world, "HEAD"), pretty(&other, "HEAD"));
    assert!(claude[1].ends_with("/claude"), "{claude:?}");
    assert!(codex[1].ends_with("/codex"), "{codex:?}");
    assert_ne!(claude[2], codex[2]);
}

#[test]
fn commits_made_at_the_same_time_are_all_signed() {
    let world = World::initialised();
    world.signed_commit("a");
    let tree = world.git_ok(&["rev-parse", "HEAD^{tree}"]);
    let children: Vec<_> = (0..16)
        .map(|n| {
            world
                .command("git")
                .args(["commit-tree", "-S", "-m", &format!("c{n}"), &tree])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let oid = String::from_utf8(output.stdout).unwrap();
        assert_eq!(world.code(oid.trim(), &[]), "accepted");
    }
}

/// A file where a directory should be refuses even root, whom modes do not stop.
#[test]
fn it_works_with_a_home_that_cannot_be_written_and_without_a_terminal() {
    let mut world = World::initialised();
    let nowhere = world.home().join("file");
    fs::write(&nowhere, "").unwrap();
    world.set_env("HOME", nowhere.join("home"));
    world.notme_ok(&["agent", "stop"]);
    world.notme_ok(&["authority", "stop"]);
    let logs = world.notme_home().join("state/log");
    fs::remove_dir_all(&logs).unwrap();
    fs::write(&logs, "").unwrap();
    world.signed_commit("a");
    assert_eq!(world.code("HEAD", &[]), "accepted");
}

/// The grades that git shows, as every git on this machine shows them.
#[test]
fn every_git_tells_good_bad_unknown_and_unchecked_apart() {
    let world = World::initialised();
    let good = world.signed_commit("a");
    let raw = String::from_utf8(world.read_object("commit", &good)).unwrap();
    let bad = world.store(raw.replace("\n\na", "\n\nb").as_bytes());
    let gits: Vec<_> = ["/usr/bin/git", "/usr/local/bin/git"]
        .into_iter()
        .filter(|git| std::path::Path::new(git).exists())
        .collect();
    assert!(!gits.is_empty());
    let show = |git: &str, revision: &str| {
        let output = world
            .command(git)
            .args(["log", "-1", "--format=%G? %GT", revision])
            .output()
            .unwrap();
        assert!(output.status.success(), "{git}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for git in &gits {
        assert_eq!(show(git, &good), "G fully", "{git}");
        assert_eq!(show(git, &bad), "B never", "{git}");
    }
    world.notme_ok(&["trust", "remove", "embedded"]);
    for git in &gits {
        assert_eq!(show(git, &good), "E undefined", "{git}");
    }
    let bundle = notme_testkit::testdata::path("notme-authority/prod/ca/ca.pem");
    world.notme_ok(&["trust", "add", "--name", "other", bundle.to_str().unwrap()]);
    for git in &gits {
        assert_eq!(show(git, &good), "U never", "{git}");
    }
}
