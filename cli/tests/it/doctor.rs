//! `notme doctor` finds what we break, and what it prints repairs it.

use std::{fs, os::unix::fs::PermissionsExt as _, time::SystemTime};

use notme_core::{hex, time::UnixTime};
use notme_testkit::cast::TestAuthority;

use crate::world::World;

fn findings(world: &World) -> Vec<(String, String)> {
    let output = world.notme(&["doctor", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    found
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            (
                finding["code"].as_str().unwrap().to_owned(),
                finding["repair"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

/// Runs what the doctor printed, with `notme` on the path.
fn repair(world: &World, command: &str) {
    let program = std::path::Path::new(crate::world::NOTME);
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = world
        .command("sh")
        .env("PATH", path)
        .args(["-c", command])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        crate::world::told(&output)
    );
}

#[test]
fn nothing_is_wrong_after_init() {
    let world = World::initialised();
    world.signed_commit("a");
    assert_eq!(findings(&world), []);
    assert!(world.notme_ok(&["doctor"]).contains("nothing is wrong"));
}

#[test]
fn each_seeded_fault_is_found_and_its_repair_repairs_it() {
    type Break = fn(&World);
    let faults: [(&str, Break); 8] = [
        ("format-not-set", |w| {
            w.git_ok(&["config", "--unset", "gpg.format"]);
        }),
        ("program-not-set", |w| {
            w.git_ok(&["config", "--unset", "gpg.x509.program"]);
        }),
        ("program-missing", |w| {
            w.git_ok(&["config", "gpg.x509.program", "/nonexistent/notme"]);
        }),
        ("program-other", |w| {
            w.git_ok(&["config", "gpg.x509.program", "/bin/true"]);
        }),
        ("commits-not-signed", |w| {
            w.git_ok(&["config", "commit.gpgsign", "false"]);
        }),
        ("signing-key-not-set", |w| {
            w.git_ok(&["config", "--unset", "user.signingkey"]);
        }),
        ("agent-unknown", |w| {
            w.git_ok(&["config", "user.signingkey", "stranger"]);
        }),
        ("directory-not-private", |w| {
            let agents = w.notme_home().join("data/authority");
            fs::set_permissions(agents, fs::Permissions::from_mode(0o755)).unwrap();
        }),
    ];
    let world = World::initialised();
    for (code, fault) in faults {
        fault(&world);
        let found = findings(&world);
        let (_, command) = found
            .iter()
            .find(|(found, _)| found == code)
            .unwrap_or_else(|| panic!("{code}: {found:?}"));
        assert_eq!(world.notme(&["doctor"]).status.code(), Some(1));
        repair(&world, command);
        assert_eq!(findings(&world), [], "after {command}");
    }
}

#[test]
fn without_init_it_says_what_to_run() {
    let world = World::new();
    let found = findings(&world);
    assert!(
        found
            .iter()
            .any(|(code, repair)| code == "trust-missing" && repair == "notme init"),
        "{found:?}"
    );
}

#[test]
fn a_trust_document_without_a_key_for_the_format_is_found() {
    let world = World::initialised();
    // An authority as it was before it had SSH and OpenPGP keys.
    let authority = TestAuthority::new(1);
    let now = UnixTime::from(SystemTime::now());
    let document = world.home().join("trust.json");
    fs::write(&document, authority.trust_document(1, now)).unwrap();
    let document = document.to_str().unwrap();
    let pins: Vec<String> = authority
        .pins()
        .iter()
        .map(|pin| hex::encode(pin))
        .collect();
    let mut add = vec!["trust", "add", "--name", "old", document];
    for pin in &pins {
        add.extend(["--pin", pin]);
    }
    world.notme_ok(&add);
    let agents = world.notme_home().join("data/agents");
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(agents.join("claude.json")).unwrap()).unwrap();
    config["pins"] = pins.into();
    fs::write(agents.join("claude.json"), config.to_string()).unwrap();
    assert_eq!(findings(&world), []);
    for format in ["ssh", "openpgp"] {
        world.git_ok(&["config", "gpg.format", format]);
        let repair = "notme trust refresh old".to_owned();
        let found = findings(&world);
        assert!(
            found.contains(&("trust-lacks-format".to_owned(), repair)),
            "{found:?}"
        );
    }
}

#[test]
fn hooks_that_do_not_run_are_found_and_repaired() {
    type Break = fn(&World);
    let faults: [(&str, Break); 3] = [
        ("hooks-shadowed", |world| {
            world.git_ok(&["config", "core.hooksPath", ".husky/_"]);
        }),
        ("hooks-overlooked", |world| {
            let hook = world.path().join(".husky/_/pre-commit");
            fs::create_dir_all(hook.parent().unwrap()).unwrap();
            fs::write(&hook, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("hooks-program-missing", |world| {
            fs::remove_file(world.notme_home().join("data/bin/notme")).unwrap();
        }),
    ];
    let world = World::initialised();
    world.notme_ok(&["hooks", "install"]);
    for (code, break_it) in faults {
        break_it(&world);
        let found = findings(&world);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, code);
        repair(&world, &found[0].1);
        assert_eq!(findings(&world), [], "{code}");
    }
}
