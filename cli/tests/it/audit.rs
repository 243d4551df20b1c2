//! `notme authority audit`, as an operator and an auditor run it.

use std::{fs, path::PathBuf, thread, time::Duration};

use crate::world::{World, told};

struct Auditor {
    world: World,
    export: PathBuf,
    head: PathBuf,
}

impl Auditor {
    /// One who has an export and a head of an authority that issued something.
    fn new() -> Self {
        let world = World::initialised();
        world.signed_commit("a");
        let (export, head) = (world.home().join("audit.jsonl"), world.home().join("head"));
        // The first head closes what there is when the authority starts.
        loop {
            let output = world.notme(&["authority", "audit", "head"]);
            if output.status.success() {
                fs::write(&head, output.stdout).unwrap();
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        fs::write(&export, world.notme_ok(&["authority", "audit", "export"])).unwrap();
        Self {
            world,
            export,
            head,
        }
    }

    /// Exit code and what was said of an export.
    fn verify(&self, more: &[&str]) -> (Option<i32>, String) {
        let export = self.export.to_str().unwrap();
        let arguments = [&["authority", "audit", "verify", "--export", export], more].concat();
        let output = self.world.notme(&arguments);
        (output.status.code(), told(&output))
    }
}

#[test]
fn an_export_is_checked_by_one_who_has_nothing_but_a_head() {
    let it = Auditor::new();
    let head = it.head.to_str().unwrap();
    let (exit, said) = it.verify(&["--head", head]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("of them up to the head"), "{said}");
    // And the store itself.
    let store = it
        .world
        .notme_ok(&["authority", "audit", "verify", "--head", head]);
    assert!(store.contains("rows are whole"), "{store}");

    // Somebody's signature is asked for.
    let roots = it.world.home().join("roots.pem");
    fs::write(&roots, it.world.notme_ok(&["authority", "bundle"])).unwrap();
    let status = it.world.notme_ok(&["authority", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let pin = status["authority"]["roots"][0]["spki_sha256"]
        .as_str()
        .unwrap();
    let roots = roots.to_str().unwrap();
    let (exit, said) = it.verify(&["--head", head, "--roots", roots, "--pin", pin]);
    assert_eq!(exit, Some(0), "{said}");
    let wrong = "0".repeat(64);
    let (exit, said) = it.verify(&["--head", head, "--roots", roots, "--pin", &wrong]);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("audit-head-unsigned"), "{said}");
    let (exit, said) = it.verify(&["--head", head, "--pin", pin]);
    assert_eq!(exit, Some(2), "{said}");
}

#[test]
fn whatever_was_done_to_an_export_is_named() {
    let it = Auditor::new();
    let good = fs::read_to_string(&it.export).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let join = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let mut moved = lines.clone();
    moved.swap(0, 1);
    for (bad, code) in [
        (
            good.replacen("\"act\":\"enrol\"", "\"act\":\"renew\"", 1),
            "audit-changed",
        ),
        (join(&lines[1..]), "audit-gap"),
        (join(&moved), "audit-reordered"),
        (String::new(), "audit-cut"),
        (good.trim_end().to_owned(), "audit-malformed"),
        (format!("{good}\n"), "audit-malformed"),
        ("x".repeat(100_000), "audit-malformed"),
    ] {
        fs::write(&it.export, bad).unwrap();
        let (exit, said) = it.verify(&["--head", it.head.to_str().unwrap()]);
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains(&format!("hint: {code}")), "{code}: {said}");
    }
    fs::remove_file(&it.export).unwrap();
    let (exit, said) = it.verify(&[]);
    assert_eq!(exit, Some(3), "{said}");
}
