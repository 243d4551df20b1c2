//! Long runs: on a terminal, and stopped halfway.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use notme_testkit::{oracle::oracle, repository::run};
use serde_json::Value;

use crate::{
    verify::junit_counts,
    world::{World, told},
};

/// Far more than can be judged before a signal arrives.
const COMMITS: usize = 30_000;

/// A user with a long history, unsigned.
fn long() -> World {
    let world = World::initialised();
    let mut stream = String::new();
    for number in 0..COMMITS {
        let commit = "commit refs/heads/long\ncommitter A <a@example.invalid>";
        stream.push_str(&format!("{commit} {number} +0000\ndata 1\nx\n"));
    }
    world.import(&stream);
    world
}

/// Judges all of it, sends Ctrl-C once the program heeds it, and returns its answer.
fn interrupted(world: &World, arguments: &[&str]) -> Output {
    let mut command = world.notme_command();
    command.args(["verify", "--all"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let heeds = || {
        let status = fs::read_to_string(&status).unwrap();
        let caught = status.split("SigCgt:\t").nth(1).unwrap().lines().next();
        u64::from_str_radix(caught.unwrap(), 16).unwrap() & 0b10 != 0
    };
    while !heeds() {
        std::thread::yield_now();
    }
    let mut kill = Command::new(oracle("kill"));
    let killed = run(kill.args(["-INT", &child.id().to_string()]), b"");
    assert!(killed.status.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("interrupted: "), "{stderr}");
    output
}

#[test]
fn what_was_judged_before_ctrl_c_is_told() {
    let world = long();
    let output = interrupted(&world, &["--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["interrupted"], true);
    let objects = report["objects"].as_array().unwrap();
    assert!(objects.len() < COMMITS);
    assert_eq!(report["summary"]["objects"], objects.len());
    // What was seen to be rejected is; nothing at all is undecided.
    let exit = output.status.code();
    assert_eq!(exit, Some(if objects.is_empty() { 3 } else { 1 }));
}

#[test]
fn what_is_explained_in_part_says_so() {
    let world = long();
    let output = interrupted(&world, &["--explain"]);
    let explained = String::from_utf8(output.stdout).unwrap();
    let end: Vec<_> = explained.lines().rev().take(2).collect();
    assert_eq!(end[0], "interrupted: what was not judged yet is left out");
    let is_count = end[1].contains(" accepted, ") || end[1].starts_with("nothing was selected");
    assert!(is_count, "{}", end[1]);
}

#[test]
fn what_was_stopped_is_an_error_of_a_test_report() {
    let world = long();
    let tip = world.git_ok(&["rev-parse", "long"]);
    let policy = world.policy(&format!("baseline = [\"{}\"]\n", tip.trim()));
    let output = interrupted(&world, &["--policy", &policy, "--format", "junit"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let counts = junit_counts(&world, &output.stdout);
    assert!(counts.ends_with(" 1 1 interrupted"), "{counts}");
}

#[test]
fn what_is_not_whole_is_not_summed_up() {
    let world = long();
    let summary = ["--format", "vsa", "--resource", "git+https://x.example/r"];
    let output = interrupted(&world, &summary);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn progress_is_for_terminals_and_does_not_stay_there() {
    let world = long();
    let output = world.notme(&["verify", "--all", "--format", "markdown"]);
    assert!(output.stderr.is_empty(), "{}", told(&output));
    let program = format!("'{}' verify --all --fold", crate::world::NOTME);
    let mut script = world.command(oracle("script"));
    let arguments = ["--quiet", "--return", "--command", &program, "/dev/null"];
    let output = run(script.args(arguments), b"");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    // Whether there was time for any, it was erased before the report.
    let report = shown.rsplit("\r\u{1b}[K").next().unwrap();
    assert!(report.starts_with("rejected "), "{report}");
    assert!(report.contains(&format!("{COMMITS} objects: 0 accepted")));
}
