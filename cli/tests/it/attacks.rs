//! Attacks on the whole program: nothing forged is accepted.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
};

use crate::world::{NOTME, World, told};

#[test]
fn the_demo_shows_at_least_nine_refusals_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(NOTME)
        .arg("demo")
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let refusals: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("refused "))
        .map(|line| line.split_whitespace().last().unwrap().to_owned())
        .collect();
    for code in [
        "bundle-rollback",
        "certificate-expired",
        "cms-no-attributes",
        "issuance-mismatch",
        "object-malformed",
        "signature-ambiguous",
        "signature-invalid",
        "signer-untrusted",
        "time-basis-too-weak",
        "unsigned",
    ] {
        assert!(refusals.contains(code), "{code}: {text}");
    }
    assert!(text.matches("refused ").count() >= 9);
    assert!(!text.contains("NOT REFUSED"), "{text}");
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
}

#[test]
fn no_flipped_byte_of_a_signed_commit_is_accepted() {
    let world = World::initialised();
    let oid = world.signed_commit("a");
    let raw = world.read_object("commit", &oid);
    let mut ids = String::new();
    let mut paths = String::new();
    let folder = world.home().join("flipped");
    std::fs::create_dir(&folder).unwrap();
    for position in 0..raw.len() {
        let mut flipped = raw.clone();
        flipped[position] ^= 1;
        let path = folder.join(position.to_string());
        std::fs::write(&path, flipped).unwrap();
        paths.push_str(&format!("{}\n", path.display()));
    }
    let stored = world.git_with_input(
        &[
            "hash-object",
            "-t",
            "commit",
            "-w",
            "--literally",
            "--stdin-paths",
        ],
        paths.as_bytes(),
    );
    assert!(stored.status.success(), "{}", told(&stored));
    ids.push_str(std::str::from_utf8(&stored.stdout).unwrap());
    assert_eq!(ids.lines().count(), raw.len());

    let mut child = world
        .notme_command()
        .args(["verify", "-", "--format", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(ids.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let judged = lines.iter().filter(|line| line["oid"].is_string()).count();
    let accepted = lines
        .iter()
        .filter(|line| line["verdict"] == "accepted")
        .count();
    assert_eq!((judged, accepted), (raw.len(), 0));
    assert_eq!(output.status.code(), Some(1));
}
