//! What the documents say is so.

use std::{fs, path::Path};

use crate::world::{World, told};

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// Runs the README's session as one shell would, in an empty folder.
#[test]
fn the_session_in_the_readme_runs_as_written() {
    let readme = document("README.md");
    let session = readme
        .split("```console\n")
        .nth(1)
        .expect("the README has a session");
    let session = session.split("```").next().unwrap();
    let script: String = session
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|command| format!("{command}\n"))
        .collect();
    assert!(script.lines().count() >= 4, "{script}");
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let output = world
        .shell(&format!("set -e\n{script}"))
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("\naccepted "),
        "{}",
        told(&output)
    );
}

/// What the README tells a colleague to do, done by one.
#[test]
fn somebody_else_checks_it_as_the_readme_says() {
    let readme = document("README.md");
    let section = readme
        .split("```console\n")
        .nth(2)
        .expect("the README has a second session");
    let section = section.split("```").next().unwrap();
    for command in [
        "notme authority bundle > ",
        "notme trust add --name alice ",
        "notme verify refs/remotes/origin/main..HEAD",
    ] {
        assert!(section.contains(command), "{section}");
    }
    let alice = World::initialised();
    alice.git_ok(&[
        "commit",
        "-q",
        "--allow-empty",
        "--no-gpg-sign",
        "-m",
        "base",
    ]);
    let bob = World::new();
    bob.git_ok(&["pull", "-q", alice.path().to_str().unwrap(), "main"]);
    bob.git_ok(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    alice.signed_commit("a");
    bob.git_ok(&["pull", "-q", alice.path().to_str().unwrap(), "main"]);
    let roots = bob.home().join("roots.pem");
    fs::write(&roots, alice.notme_ok(&["authority", "bundle"])).unwrap();
    bob.notme_ok(&["trust", "add", "--name", "alice", roots.to_str().unwrap()]);
    let out = bob.notme_ok(&["verify", "refs/remotes/origin/main..HEAD"]);
    assert!(out.starts_with("accepted "), "{out}");
}

#[test]
fn every_command_has_help_with_an_example() {
    let world = World::new();
    for command in [
        &["init"][..],
        &["status"],
        &["verify"],
        &["explain"],
        &["attest"],
        &["attest", "activity"],
        &["attest", "dispatch"],
        &["attest", "handoff"],
        &["attest", "acceptance"],
        &["attest", "succeed"],
        &["attest", "trailer"],
        &["attest", "verify"],
        &["attest", "show"],
        &["attest", "export"],
        &["attest", "import"],
        &["attest", "publish"],
        &["attest", "lookup"],
        &["attest", "push"],
        &["attest", "fetch"],
        &["policy"],
        &["policy", "check"],
        &["policy", "init"],
        &["completions"],
        &["man"],
        &["doctor"],
        &["demo"],
        &["trust", "add"],
        &["trust", "show"],
        &["trust", "export"],
        &["trust", "refresh"],
        &["trust", "remove"],
        &[],
        &["trust"],
        &["agent"],
        &["authority"],
        &["authority", "enrol"],
        &["agent", "start"],
        &["agent", "stop"],
        &["agent", "status"],
        &["agent", "list"],
        &["agent", "renew"],
        &["agent", "enrol"],
        &["authority", "init"],
        &["authority", "serve"],
        &["authority", "stop"],
        &["authority", "status"],
        &["authority", "backup"],
        &["authority", "restore"],
        &["authority", "bundle"],
        &["authority", "enrol", "create"],
        &["authority", "enrol", "list"],
        &["authority", "enrol", "revoke"],
    ] {
        let help = world.notme_ok(&[command, &["--help"]].concat());
        assert!(help.contains("Example"), "{command:?}: {help}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{command:?}: {help}"
        );
    }
}
