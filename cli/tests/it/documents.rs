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
        "notme trust show ",
        "notme trust export --document > ",
        "notme trust add --name alice --pin SHA256 ",
        "notme verify ",
    ] {
        assert!(section.contains(command), "{section}");
    }
    assert!(readme.contains("`notme verify refs/remotes/origin/main..HEAD`"));
    for format in ["x509", "ssh", "openpgp"] {
        let alice = World::new();
        alice.notme_ok(&["init", "--agent", "claude", "--format", format]);
        let base = [
            "commit",
            "-q",
            "--allow-empty",
            "--no-gpg-sign",
            "-m",
            "base",
        ];
        alice.git_ok(&base);
        let bob = World::new();
        bob.git_ok(&["pull", "-q", alice.path().to_str().unwrap(), "main"]);
        bob.git_ok(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
        alice.signed_commit("a");
        bob.git_ok(&["pull", "-q", alice.path().to_str().unwrap(), "main"]);
        let verify = ["verify", "refs/remotes/origin/main..HEAD"];

        let roots = bob.home().join("roots.pem");
        fs::write(&roots, alice.notme_ok(&["authority", "bundle"])).unwrap();
        bob.notme_ok(&["trust", "add", "--name", "alice", roots.to_str().unwrap()]);
        let by_roots = told(&bob.notme(&verify));
        match format {
            "x509" => assert!(by_roots.contains("\nstdout: accepted "), "{by_roots}"),
            _ => assert!(by_roots.contains("by its trust document"), "{by_roots}"),
        }
        bob.notme_ok(&["trust", "remove", "alice"]);

        let file = bob.home().join("alice.json");
        fs::write(&file, alice.notme_ok(&["trust", "export", "--document"])).unwrap();
        let shown = alice.notme_ok(&["trust", "show"]);
        let pins = shown
            .lines()
            .filter_map(|it| it.trim().strip_prefix("pin "));
        for pin in pins.map(str::trim) {
            let file = file.to_str().unwrap();
            bob.notme_ok(&["trust", "add", "--name", "alice", "--pin", pin, file]);
            for verify in [&verify[..], &["verify"]] {
                let out = bob.notme_ok(verify);
                assert!(out.starts_with("accepted "), "{format}: {out}");
            }
            bob.notme_ok(&["trust", "refresh", "alice", "--from", file]);
            bob.notme_ok(&["trust", "remove", "alice"]);
        }
    }
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
