//! `notme authority audit`, as an operator and an auditor run it.

use std::{fs, path::PathBuf, thread, time::Duration};

use serde_json::Value;

use crate::world::{Operator, World, told};

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
    let status: Value = serde_json::from_str(&status).unwrap();
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
fn every_act_of_an_operator_is_a_row_and_no_token_is_in_one() {
    let operator = Operator::new();
    let of_alice = ["--agent", "claude", "--principal", "alice"];
    let token = operator.ask(&[&["enrol", "create"], &of_alice[..]].concat());
    let [listed]: [Value; 1] =
        serde_json::from_str(&operator.ask(&["enrol", "list", "--json"])).unwrap();
    let id = listed["id"].as_str().unwrap().to_owned();
    operator.ask(&["enrol", "revoke", &id]);
    let identity = "wimse://example.com/alice/agents/claude";
    operator.ask(&["revoke", "identity", identity, "--reason", "superseded"]);
    thread::sleep(Duration::from_millis(1_100));
    operator.ask(&["rotate", "--prepare"]);
    thread::sleep(Duration::from_millis(1_100));
    operator.ask(&["rotate", "--activate"]);
    operator.ask(&["rotate", "--retire"]);
    let backup = operator.home().join("backup");
    operator.ask(&["backup", backup.to_str().unwrap()]);
    fs::remove_file(operator.home().join("authority/store.sqlite")).unwrap();
    operator.ask(&["restore", backup.to_str().unwrap(), "--force"]);
    let export = operator.ask(&["audit", "export"]);
    let rows: Vec<Value> = export
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let acts: Vec<_> = rows
        .iter()
        .map(|row| (row["act"].as_str().unwrap(), row["about"].as_str().unwrap()))
        .collect();
    let of_token = format!("{id} for claude of alice");
    let [.., (_, revoked), _, _, _, _] = acts[..] else {
        panic!("{acts:?}");
    };
    assert!(
        revoked.starts_with(&format!("identity {identity} since ")),
        "{revoked}"
    );
    assert_eq!(
        acts,
        [
            ("found", "example.com"),
            ("create-token", of_token.as_str()),
            ("revoke-token", &id),
            ("revoke", revoked),
            ("rotate-prepare", "epoch 2"),
            ("rotate-activate", "epoch 2"),
            ("rotate-retire", "epoch 1"),
            ("restore", "from a backup; trust document 0"),
        ]
    );
    assert!(rows.iter().all(|row| {
        let actor = row["actor"].as_str().unwrap();
        actor.starts_with("uid:") && row["time"].as_u64().unwrap() > 0
    }));
    assert!(!export.contains(token.trim()), "{export}");
    let whole = operator.ask(&["audit", "verify"]);
    assert!(whole.contains("8 rows are whole"), "{whole}");
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
