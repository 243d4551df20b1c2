//! `notme verify` and `notme explain` on real repositories.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{chown, symlink},
    },
    process::Output,
};

use notme_testkit::{
    commit::with_signature,
    oracle::oracle,
    repository::{Repository, run},
    testdata,
};
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::geteuid,
};
use serde_json::{Value, json};

use crate::world::{World, told};

const FORMATS: [&str; 9] = [
    "text", "json", "jsonl", "sarif", "junit", "markdown", "github", "gitlab", "html",
];

#[test]
fn json_keeps_its_contract() {
    let world = World::initialised();
    world.signed_commit("a");
    let (exit, document) = world.verdicts(&["HEAD"]);
    assert_eq!(exit, Some(0));
    assert_eq!(document["version"], 1);
    for member in ["repository", "range", "policy", "trust", "asked_at"] {
        assert!(document[member].is_string(), "{member}: {document}");
    }
    let object = &document["objects"][0];
    for member in [
        "oid",
        "kind",
        "verdict",
        "rule",
        "format",
        "identity",
        "kid",
        "authority",
        "time_basis",
        "judged_at",
    ] {
        assert!(object[member].is_string(), "{member}: {object}");
    }
    for member in ["not_before", "not_after", "serial"] {
        assert!(
            object["certificate"][member].is_string(),
            "{member}: {object}"
        );
    }
    assert!(object["code"].is_null());
    assert!(object["attestations"].as_array().unwrap().is_empty());
    assert!(object["level"].is_null());
}

#[test]
fn what_was_rejected_is_so_whether_it_can_be_told_or_not() {
    let world = World::initialised();
    world.signed_commit("good");
    let exit = |arguments: &str| {
        let script = format!("notme verify {arguments}");
        run(&mut world.shell(&script), b"").status.code()
    };
    assert_eq!(exit("HEAD 2>/dev/full"), Some(0));
    // Nobody learns what was found.
    assert_eq!(exit("HEAD >/dev/full"), Some(3));
    let unsigned = "git -c commit.gpgsign=false commit --quiet --allow-empty -m unsigned";
    assert!(run(&mut world.shell(unsigned), b"").status.success());
    for arguments in [
        "HEAD 2>/dev/full",
        "--all 2>/dev/full",
        "HEAD >/dev/full",
        "--all --format json >/dev/full",
        "--all --format jsonl >/dev/full",
        "--all >/dev/full 2>/dev/full",
    ] {
        assert_eq!(exit(arguments), Some(1), "{arguments}");
    }
}

#[test]
fn jsonl_is_one_object_a_line_and_the_summary_last() {
    let world = World::initialised();
    world.signed_commit("a");
    world.signed_commit("b");
    let out = world.notme_ok(&["verify", "--all", "--format", "jsonl"]);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[..2].iter().all(|line| line["oid"].is_string()));
    assert_eq!(lines[2]["summary"]["accepted"], 2);
}

#[test]
fn exit_codes_tell_no_from_could_not_look() {
    let world = World::initialised();
    world.signed_commit("a");
    assert_eq!(world.notme(&["verify"]).status.code(), Some(0));
    world.git_ok(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "b"]);
    assert_eq!(world.notme(&["verify"]).status.code(), Some(1));
    assert_eq!(world.code("HEAD", &[]), "unsigned");
    world.notme_ok(&["trust", "remove", "embedded"]);
    assert_eq!(world.notme(&["verify", "HEAD~1"]).status.code(), Some(3));
    assert_eq!(
        world.notme(&["verify", "no-such-revision"]).status.code(),
        Some(2)
    );
    assert_eq!(
        world.notme(&["verify", "--frobnicate"]).status.code(),
        Some(2)
    );
}

#[test]
fn without_arguments_it_judges_what_the_upstream_lacks() {
    let world = World::initialised();
    world.git_ok(&[
        "commit",
        "-q",
        "--allow-empty",
        "--no-gpg-sign",
        "-m",
        "old",
    ]);
    let bare = world.another_repository(Repository::bare());
    world.git_ok(&["remote", "add", "origin", bare.path().to_str().unwrap()]);
    world.git_ok(&["push", "-q", "-u", "origin", "main"]);
    world.signed_commit("a");
    world.signed_commit("b");
    let (exit, document) = world.verdicts(&[]);
    assert_eq!(exit, Some(0), "{document}");
    assert_eq!(document["summary"]["objects"], 2);
    let (exit, document) = world.verdicts(&["--all"]);
    assert_eq!(exit, Some(1));
    assert_eq!(document["summary"]["rejected"], 1);
}

#[test]
fn nothing_to_look_at_is_not_a_yes() {
    let world = World::initialised();
    world.signed_commit("a");
    assert_eq!(world.notme(&["verify", "-"]).status.code(), Some(3));
    assert_eq!(
        world.notme(&["verify", "HEAD..HEAD"]).status.code(),
        Some(0)
    );
    let page = world.notme_ok(&["verify", "HEAD..HEAD", "--format", "html"]);
    assert!(page.contains(">Nothing was selected.<"), "{page}");
    let page = world.notme(&["verify", "-", "--format", "html"]);
    let page = told(&page);
    assert!(page.contains("Not everything here could be looked at."));
    let bare = world.another_repository(Repository::bare());
    world.git_ok(&["remote", "add", "origin", bare.path().to_str().unwrap()]);
    world.signed_commit("b");
    world.git_ok(&["push", "-q", "-u", "origin", "main"]);
    world.git_ok(&["reset", "-q", "--hard", "HEAD~1"]);
    let (exit, document) = world.verdicts(&[]);
    assert_eq!(
        (exit, &document["summary"]["accepted"]),
        (Some(0), &1.into())
    );
}

/// What was cut off would be what nobody judged.
/// Asks xmllint for the counts of a JUnit report that fits the schema of Jenkins.
pub(crate) fn junit_counts(world: &World, report: &[u8]) -> String {
    let file = world.home().join("report.xml");
    fs::write(&file, report).unwrap();
    let schema = testdata::path("schemas/junit-10.xsd");
    let counts = "concat(count(//testcase), ' ', //testsuite/@tests, ' ', //testsuite/@errors, ' ', /testsuites/@errors, ' ', //error/@type)";
    let mut command = world.command(oracle("xmllint"));
    command.args(["--noout", "--nonet", "--schema"]);
    let fits = run(command.arg(schema).arg(&file), b"");
    assert!(fits.status.success(), "{}", told(&fits));
    let mut command = world.command(oracle("xmllint"));
    let told = run(command.args(["--xpath", counts]).arg(&file), b"");
    String::from_utf8(told.stdout).unwrap().trim().to_owned()
}

#[test]
fn that_nothing_was_selected_is_an_error_where_objects_would_be() {
    let world = World::initialised();
    world.signed_commit("a");
    let report = |selection: &str, format: &str, exit: i32| {
        let output = world.notme(&["verify", selection, "--format", format]);
        assert_eq!(output.status.code(), Some(exit), "{}", told(&output));
        output.stdout
    };
    let json =
        |format: &str| -> Value { serde_json::from_slice(&report("--tags", format, 3)).unwrap() };
    let junit = junit_counts(&world, &report("--tags", "junit", 3));
    assert_eq!(junit, "1 1 1 1 nothing-selected");
    let notifications = "/runs/0/invocations/0/toolExecutionNotifications";
    let sarif = json("sarif");
    let sarif = sarif.pointer(notifications).unwrap();
    assert_eq!(sarif[0]["descriptor"]["id"], "nothing-selected");
    assert_eq!(sarif[0]["level"], "warning");
    let gitlab = json("gitlab");
    assert_eq!(gitlab[0]["check_name"], "notme/nothing-selected");
    assert_eq!(gitlab[0]["severity"], "major");
    let github = report("--tags", "github", 3);
    assert!(github.starts_with(b"::warning title=notme verify::nothing was selected"));
    // Who names a range knows that it may hold nothing.
    let junit = junit_counts(&world, &report("HEAD..HEAD", "junit", 0));
    assert_eq!(junit, "0 0 0 0");
    let github = report("HEAD..HEAD", "github", 0);
    assert!(github.starts_with(b"::notice title=notme verify::nothing was selected"));
}

#[test]
fn a_list_of_ids_that_is_too_long_is_not_judged_in_part() {
    let world = World::initialised();
    let good = world.signed_commit("a");
    world.git_ok(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "b"]);
    let bad = world.git_ok(&["rev-parse", "HEAD"]);
    let list = format!("{good}{}{bad}\n", "\n".repeat(128 * 1024 * 1024));
    let output = run(world.notme_command().args(["verify", "-"]), list.as_bytes());
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("file too large"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_hook_judges_what_a_push_brings_before_it_lands() {
    let world = World::initialised();
    world.signed_commit("a");
    let bare = world.another_repository(Repository::bare());
    let hook = bare.path().join("hooks/pre-receive");
    let script = format!(
        "#!/bin/sh\nwhile read old new ref; do '{}' verify \"$new\" || exit 1; done\n",
        crate::world::NOTME
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let target = bare.path();
    let push = |branch: &str| {
        world.git(&[
            "push",
            target.to_str().unwrap(),
            &format!("HEAD:refs/heads/{branch}"),
        ])
    };
    let good = push("good");
    assert!(good.status.success(), "{}", told(&good));
    world.git_ok(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "b"]);
    let bad = push("bad");
    assert!(!bad.status.success());
    assert!(told(&bad).contains("unsigned"), "{}", told(&bad));
    assert_eq!(
        bare.git_ok(&["for-each-ref", "--format=%(refname)"]),
        "refs/heads/good"
    );
}

#[test]
fn a_trust_store_of_the_callers_choice_is_only_read() {
    let world = World::initialised();
    world.signed_commit("a");
    let copy = world.home().join("trust");
    let status = world
        .command("cp")
        .args([
            "-r",
            world.notme_home().join("data/trust").to_str().unwrap(),
            copy.to_str().unwrap(),
        ])
        .status()
        .unwrap();
    assert!(status.success());
    let output = world.notme(&["verify", "--trust", copy.to_str().unwrap()]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("would not be noticed"),
        "{}",
        told(&output)
    );
}

#[test]
fn an_auditor_needs_only_the_pin_and_a_clone() {
    let world = World::initialised();
    world.signed_commit("a");
    world.git_ok(&["tag", "-m", "t", "v1"]);
    let mut auditor = World::new();
    let elsewhere = auditor.home().join("clone");
    auditor.git_ok(&[
        "clone",
        "-q",
        world.path().to_str().unwrap(),
        elsewhere.to_str().unwrap(),
    ]);
    let pem = auditor.home().join("root.pem");
    fs::write(&pem, world.notme_ok(&["trust", "export", "--pem"])).unwrap();
    auditor.notme_ok(&["trust", "add", "--name", "theirs", pem.to_str().unwrap()]);
    let git_directory = elsewhere.join(".git");
    auditor.set_env("GIT_DIR", &git_directory);
    let output = auditor
        .notme_command()
        .current_dir(&elsewhere)
        .args(["verify", "--all", "--tags"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(
        told(&output).matches("accepted  ").count(),
        2,
        "{}",
        told(&output)
    );
    let explained = auditor.notme_command().args(["explain", "main"]).output();
    let explained = told(&explained.unwrap());
    let explained: Vec<_> = explained.split_whitespace().collect();
    let explained = explained.join(" ");
    assert!(explained.contains("a later revocation is not known here"));
    assert!(!explained.contains("trust document"), "{explained}");
}

#[test]
fn a_shallow_clone_is_judged_up_to_its_boundary() {
    let world = World::initialised();
    for name in ["a", "b", "c"] {
        world.signed_commit(name);
    }
    let clone = world.home().join("shallow");
    world.git_ok(&[
        "clone",
        "-q",
        "--depth=2",
        &format!("file://{}", world.path().display()),
        clone.to_str().unwrap(),
    ]);
    let output = world
        .notme_command()
        .current_dir(&clone)
        .args(["verify", "--all"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout)
            .matches("accepted  ")
            .count(),
        2
    );
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("shallow"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_policy_that_names_nobody_accepts_nobody() {
    let world = World::initialised();
    world.signed_commit("a");
    let nobody = world.policy("[[authority]]\nname = \"embedded\"\nscopes = [\"sign:git\"]\n");
    assert_eq!(world.code("HEAD", &["--policy", &nobody]), "not-authorised");
    let other = world.policy("[[authority]]\nname = \"embedded\"\nscopes = [\"sign:git\"]\n[[allow]]\nidentity = \"wimse://elsewhere/*\"\n");
    assert_eq!(world.code("HEAD", &["--policy", &other]), "not-authorised");
    let typo = world.policy("time_basis_flor = \"declared\"\n");
    let output = world.notme(&["verify", "--policy", &typo]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("time_basis_flor"),
        "{}",
        told(&output)
    );
    assert_eq!(
        world
            .notme(&["verify", "--policy", "/nonexistent"])
            .status
            .code(),
        Some(3)
    );
}

/// Anybody can add one to a signed commit, and it stays good.
#[test]
fn signature_headers_that_nothing_covers_are_reported() {
    let world = World::initialised();
    let signed = world.signed_commit("a");
    let raw = world.git(&["cat-file", "commit", "HEAD"]).stdout;
    let raw = with_signature(&raw, "gpgsig-sha256", "by nobody");
    let added = world.store(&raw);
    // The second time from the cache.
    for _ in 0..2 {
        for (commit, expected) in [(&signed, json!([])), (&added, json!(["gpgsig-sha256"]))] {
            let (_, document) = world.verdicts(&[commit]);
            let object = &document["objects"][0];
            assert_eq!(object["verdict"], "accepted", "{document}");
            assert_eq!(object["unauthenticated_headers"], expected, "{document}");
            let explained = world.notme_ok(&["explain", commit]);
            let is_told = explained.contains("gpgsig-sha256");
            assert_eq!(is_told, *commit == added, "{explained}");
        }
    }
}

#[test]
fn explain_walks_seven_steps_and_says_what_is_not_shown() {
    let world = World::initialised();
    world.signed_commit("a");
    let out = world.notme_ok(&["explain"]);
    let empty = world.notme_ok(&["explain", "HEAD..HEAD"]);
    assert!(empty.starts_with("nothing was selected"), "{empty}");
    for step in 0..=7 {
        assert!(
            out.lines().any(|line| line.contains(&format!(" {step} "))),
            "{step}: {out}"
        );
    }
    assert!(out.contains("This does not show:"), "{out}");
    assert!(
        out.ends_with("\n1 object: 1 accepted, 0 rejected, 0 undecided\n"),
        "{out}"
    );
    // A time that the authority wrote is exact.
    assert!(!out.contains("clocks may differ"), "{out}");
    assert!(
        out.contains("in use at that time. Nothing of this"),
        "{out}"
    );
    world.git_ok(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "b"]);
    let refused = world.notme(&["explain", "HEAD"]);
    assert_eq!(refused.status.code(), Some(1));
}

/// A person's SSH key, which nobody takes back, and two policies one after the other.
#[test]
fn explain_goes_by_the_policy_that_judged() {
    let world = World::new();
    let keys = "cd \"$HOME\" && ssh-keygen -q -t ed25519 -N '' -f key && printf 'ann@x.example %s' \"$(cat key.pub)\" > signers";
    let made = run(&mut world.shell(keys), b"");
    assert!(made.status.success(), "{}", told(&made));
    let home = |name: &str| world.home().join(name).to_str().unwrap().to_owned();
    let signers = home("signers");
    world.notme_ok(&[
        "trust",
        "add",
        "--name",
        "ann",
        "--allowed-signers",
        &signers,
    ]);
    for (name, value) in [
        ("gpg.format", "ssh"),
        ("user.signingkey", &home("key")),
        ("commit.gpgsign", "true"),
    ] {
        world.git_ok(&["config", name, value]);
    }
    let rule = "[[allow]]\nidentity = \"mailto:*\"\npolicy = true\n";
    let commit = |skew: u32| {
        world.write(
            ".notme/policy.toml",
            &format!("skew_seconds = {skew}\n{rule}"),
        );
        world.git_ok(&["add", "--all"]);
        world.git_ok(&["commit", "-q", "-m", "policy"]);
        world.git_ok(&["rev-parse", "HEAD"])
    };
    let root = commit(86_400);
    commit(5);
    world.git_ok(&["commit", "-q", "--allow-empty", "-m", "after"]);
    let explained = |arguments: &[&str]| {
        let out = world.notme_ok(&[&["explain"], arguments].concat());
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let after = explained(&["--trust-root", &root, "HEAD~1..HEAD"]);
    assert!(after.contains("clocks may differ by 5 s"), "{after}");
    assert!(
        after.contains("Nothing in the trust store says what"),
        "{after}"
    );
}

#[test]
fn escape_sequences_in_names_never_reach_the_terminal() {
    let world = World::initialised();
    let tree = world.empty_tree();
    let raw = format!(
        "tree {tree}\nauthor \u{1b}[2J <a> 1 +0000\ncommitter \u{1b}]0;x\u{7} <a> 1 +0000\n\n\u{1b}[31mred\n"
    );
    let oid = world.store(raw.as_bytes());
    for format in FORMATS {
        let output = world.notme(&["verify", &oid, "--format", format]);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b));
    }
    let output = world.notme(&["explain", &oid]);
    assert!(!output.stdout.contains(&0x1b));
}

/// Counts what a runner would take for commands in the log of a job. It looks for `::` behind blanks
/// of any kind, and for `##[` anywhere.
fn commands_in(output: &Output) -> usize {
    let said = [&output.stdout, &output.stderr].map(|it| str::from_utf8(it).unwrap());
    let lines = said.into_iter().flat_map(str::lines);
    let is_command = |it: &&str| it.trim_start().starts_with("::") || it.contains("##[");
    lines.filter(is_command).count()
}

#[test]
fn what_a_stranger_calls_himself_is_no_command_to_a_runner() {
    let world = World::initialised();
    let long = "somebody-whose-name-is-just-long-enough-for-the-line-to-break-h";
    for name in [
        &format!("{long} ::stop-commands::0123456789"),
        &format!("{long} \u{3000}::error title=notme::accepted"),
        "::error title=notme::accepted",
        "https://x.example/##[stop-commands]0123456789",
        "###[error]x",
    ] {
        let keys = "cd \"$HOME\"; rm -f ca* key*; for key in ca key; do ssh-keygen -q -t ed25519 -N '' -f \"$key\"; done
            ssh-keygen -q -s ca -I \"$0\" -n bob key.pub";
        let made = run(world.shell(keys).arg(name), b"");
        assert!(made.status.success(), "{}", told(&made));
        let key = world.home().join("key-cert.pub");
        world.git_ok(&["config", "gpg.format", "ssh"]);
        world.git_ok(&["config", "gpg.ssh.program", "ssh-keygen"]);
        world.git_ok(&["config", "user.signingkey", key.to_str().unwrap()]);
        world.git_ok(&["commit", "-q", "--allow-empty", "-S", "-m", "x"]);
        for format in FORMATS {
            let output = world.notme(&["verify", "--no-cache", "HEAD", "--format", format]);
            assert_eq!(output.status.code(), Some(1), "{}", told(&output));
            // One for the commit, and one for all.
            let meant = if format == "github" { 2 } else { 0 };
            assert_eq!(commands_in(&output), meant, "{format}: {}", told(&output));
        }
        let (_, document) = world.verdicts(&["HEAD"]);
        assert_eq!(document["objects"][0]["claimed"], *name);
        let explained = world.notme(&["explain", "HEAD"]);
        assert_eq!(commands_in(&explained), 0, "{}", told(&explained));
    }
}

#[test]
fn two_colons_within_a_word_stay_as_they_are() {
    let world = World::initialised();
    let tree = world.empty_tree();
    let raw = format!("tree {tree}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nm\n");
    let oid = world.store(raw.as_bytes());
    let policy = world.policy(&format!(
        "[[exception]]\nobject = \"{oid}\"\nreason = \"see lib::name, ::name and #[x]\"\nuntil = \"2999-01-01T00:00:00Z\"\n"
    ));
    let text = world.notme_ok(&["verify", "--policy", &policy, &oid]);
    let text = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let shown = "see lib::name, \\u{3a}:name and #[x]";
    assert!(text.contains(shown), "{text}");
}

#[test]
fn a_repository_of_somebody_else_is_judged_and_its_settings_run_nothing() {
    let world = World::initialised();
    world.signed_commit("a");
    world.git_ok(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "b"]);
    let (exit, own) = world.verdicts(&["--all"]);
    let trap = world.home().join("sprung");
    let program = format!("touch {}; false", trap.display());
    for setting in [
        "core.fsmonitor",
        "core.pager",
        "gpg.x509.program",
        "core.sshCommand",
    ] {
        world.git_ok(&["config", setting, &program]);
    }
    if geteuid().is_root() {
        let nobody = Some(65534);
        for path in [world.path(), world.path().join(".git")] {
            chown(path, nobody, nobody).unwrap();
        }
        assert!(!world.git(&["status"]).status.success(), "git lets us in");
    }
    let (theirs_exit, theirs) = world.verdicts(&["--all"]);
    assert_eq!((theirs_exit, &theirs["objects"]), (exit, &own["objects"]));
    for command in [&["explain"][..], &["attest", "verify", "HEAD"]] {
        let output = world.notme(command);
        assert!(
            matches!(output.status.code(), Some(1 | 3)),
            "{}",
            told(&output)
        );
    }
    assert!(!trap.exists());
}

#[test]
fn every_format_has_the_verdict_in_its_exit_code() {
    let world = World::initialised();
    world.signed_commit("a");
    for format in FORMATS {
        let output = world.notme(&["verify", "--format", format]);
        assert!(output.status.success(), "{}", told(&output));
        assert!(!output.stdout.is_empty());
        if format != "text" {
            assert!(output.stderr.is_empty(), "{}", told(&output));
        }
    }
    let folded = world.notme_ok(&["verify", "--fold"]);
    assert_eq!(folded, world.notme_ok(&["verify"]), "one is no run");
    let both = world.notme(&["verify", "--fold", "--explain"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn an_option_that_would_do_nothing_is_a_wrong_call() {
    let world = World::initialised();
    world.signed_commit("a");
    for (arguments, option) in [
        (&["--explain", "--format", "json"][..], "--explain"),
        (&["--fold", "--format", "jsonl"], "--fold"),
        (&["--resource", "git+https://x.example/r"], "--resource"),
        (&["--agent", "claude", "--format", "json"], "--agent"),
        (&["--revoked", "--agent", "claude"], "--agent"),
    ] {
        let output = world.notme(&[&["verify"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        let said = told(&output);
        assert!(
            said.contains(&format!("`{option}` goes with `--format ")),
            "{said}"
        );
        assert!(output.stdout.is_empty());
    }
    world.notme_ok(&["verify", "--explain", "--format", "text"]);
}

#[test]
fn the_page_leads_from_a_level_to_the_statements_behind_it() {
    let world = World::initialised();
    world.signed_commit("a");
    world.notme_ok(&["attest", "dispatch"]);
    let (_, document) = world.verdicts(&[]);
    let page = world.notme_ok(&["verify", "--format", "html"]);
    let oid = document["objects"][0]["oid"].as_str().unwrap();
    let statements = document["objects"][0]["attestations"].as_array().unwrap();
    assert_eq!(statements.len(), 2);
    for (number, statement) in (1..).zip(statements) {
        let digest = statement["digest"].as_str().unwrap();
        let digest = digest.strip_prefix("sha256:").unwrap();
        let row = format!("s-{oid}-{number}");
        assert!(page.contains(&format!("<a href=\"#{row}\">")));
        let row = format!(
            "<tr id=\"{row}\" class=\"accepted\"><th scope=\"row\"><code>{digest}</code></th><td><a href=\"#o-{oid}\">"
        );
        assert!(page.contains(&row), "{row}: {page}");
    }
    assert!(page.contains("Agents signed 1 of 1 accepted commits (100 %)."));
}

/// Whoever may push puts a statement beside any commit.
#[test]
fn the_page_tells_one_statement_apart_from_the_same_beside_another_commit() {
    let world = World::initialised();
    let other = world.signed_commit("a");
    let attested = world.signed_commit("b");
    world.notme_ok(&["attest", "dispatch"]);
    let [from, to] = [&attested, &other].map(|id| format!("{}/{}", &id[..2], &id[2..]));
    let script = format!(
        r"export GIT_INDEX_FILE=$PWD/.git/beside kept=refs/attestations/commits
        git ls-tree -r $kept | sed 'p;s#{from}#{to}#' | git update-index --index-info
        git update-ref $kept $(git commit-tree --no-gpg-sign -p $kept -m m $(git write-tree))"
    );
    let output = run(&mut world.shell(&script), b"");
    assert!(output.status.success(), "{}", told(&output));
    let page = world.notme(&["verify", "--all", "--format", "html"]);
    let page = String::from_utf8(page.stdout).unwrap();
    let rows: Vec<_> = page
        .lines()
        .filter(|it| it.starts_with("<tr id=\"s-"))
        .collect();
    let verdicts = [(&attested, "accepted"), (&other, "rejected")];
    let wanted = verdicts.iter().flat_map(|(oid, verdict)| {
        [1, 2].map(|number| format!("<tr id=\"s-{oid}-{number}\" class=\"{verdict}\">"))
    });
    let wanted: Vec<_> = wanted.collect();
    assert_eq!(rows.len(), wanted.len(), "{rows:#?}");
    for (row, wanted) in rows.iter().zip(&wanted) {
        assert!(row.starts_with(wanted), "{wanted}: {row}");
    }
}

/// Whoever makes a commit dates it.
#[test]
fn a_date_that_cannot_be_leaves_the_drawing_of_the_others_as_it_is() {
    let world = World::initialised();
    let tree = world.empty_tree();
    let commit = |parent: &str, date: &str| {
        let by = format!("A <a@x> {date} +0000");
        let raw = format!("tree {tree}\n{parent}author {by}\ncommitter {by}\n\nm\n");
        world.store(raw.as_bytes())
    };
    let page = |id: &str| {
        let output = world.notme(&["verify", id, "--format", "html"]);
        String::from_utf8(output.stdout).unwrap()
    };
    let far = commit("", "9223372036854775807");
    let alone = page(&far);
    let beyond = "before 1970 or after the day on which this was asked";
    let told = format!("<p>1 commit is dated {beyond}, and not shown here.</p>");
    assert!(alone.contains(&told), "{alone}");
    assert!(!alone.contains("<figure>"), "{alone}");

    let farther = commit(&format!("parent {far}\n"), "-86401");
    let first = commit(&format!("parent {farther}\n"), "1700000000");
    let last = commit(&format!("parent {first}\n"), "1700100000");
    world.git_ok(&["update-ref", "HEAD", &last]);
    let all = page("HEAD~3..HEAD");
    let axis = "<p class=\"axis\"><span>2023-11-14</span><span>2023-11-16</span></p>";
    for part in [axis, "Each bar is a day"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    let told = format!("<p>1 commit is dated {beyond}, and not shown here.</p>");
    assert!(all.contains(&told), "{all}");
}

/// A CI job annotates the file that the offending commit changed.
#[test]
fn annotations_name_what_the_offending_commit_changed() {
    let world = World::initialised();
    world.signed_commit("a");
    world.commit("src/b.rs", "unsigned");
    let github = world.notme(&["verify", "--format", "github"]);
    assert_eq!(github.status.code(), Some(1));
    let out = String::from_utf8(github.stdout).unwrap();
    assert!(
        out.starts_with("::error file=src/b.rs,line=1,title=notme%3A unsigned::commit "),
        "{out}"
    );
    let gitlab = world.notme(&["verify", "--format", "gitlab"]);
    let issues: Value = serde_json::from_slice(&gitlab.stdout).unwrap();
    assert_eq!(issues[0]["location"]["path"], "src/b.rs");
}

#[test]
fn a_file_whose_name_is_no_text_is_found_by_its_bytes() {
    let world = World::new();
    let name = OsStr::from_bytes(b"caf\xe9 1");
    fs::write(world.path().join(name), "a").unwrap();
    world.git_ok(&["add", "."]);
    world.git_ok(&["commit", "-q", "-m", "a"]);
    let sarif = world.notme(&["verify", "HEAD", "--format", "sarif"]);
    let sarif: Value = serde_json::from_slice(&sarif.stdout).unwrap();
    let place = "/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri";
    assert_eq!(sarif.pointer(place).unwrap(), "caf%E9%201");
    let github = told(&world.notme(&["verify", "HEAD", "--format", "github"]));
    assert!(github.contains("file=caf\u{fffd} 1,"), "{github}");
}

#[test]
fn an_unsigned_tag_is_signed_as_the_hint_says() {
    let world = World::initialised();
    world.signed_commit("a");
    world.git_ok(&["tag", "--no-sign", "-a", "-m", "x", "v1"]);
    world.signed_commit("b");
    let output = world.notme(&["verify", "--tags"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let hint = "a tag: `git tag -s -f NAME 'NAME^{}'`";
    assert!(told(&output).contains(hint), "{}", told(&output));
    let commit = world.git_ok(&["rev-parse", "v1^{}"]);
    world.git_ok(&["tag", "-s", "-f", "-m", "x", "v1", "v1^{}"]);
    world.notme_ok(&["verify", "--tags"]);
    assert_eq!(world.git_ok(&["rev-parse", "v1^{}"]), commit);
}

/// git packs the one as what it is against the other: 299 bytes against 260 megabytes.
#[test]
fn what_is_packed_against_something_endless_is_not_unpacked() {
    let world = World::initialised();
    let tree = world.empty_tree();
    for (length, branch) in [(260 << 20, "base"), (9 << 20, "short")] {
        let head = format!(
            "tree {tree}\nauthor A <a@x> 1700000000 +0000\ncommitter A <a@x> 1700000000 +0000\n\n"
        );
        let id = world.write_commit_object(&[head.as_bytes(), &vec![b'x'; length]].concat());
        world.git_ok(&["update-ref", &format!("refs/heads/{branch}"), &id]);
    }
    assert_eq!(world.code("short", &[]), "unsigned");
    world.git_ok(&["repack", "-q", "-a", "-d", "-f"]);
    assert_eq!(world.code("short", &[]), "object-too-large");
}

#[test]
fn errors_say_what_helps_and_nothing_twice() {
    let world = World::initialised();
    let head = world.signed_commit("a");
    let says = told(&world.notme(&["verify", "nosuch"]));
    assert!(
        says.contains("`nosuch` names no commit or tag here"),
        "{says}"
    );
    assert!(!says.contains("caused by"), "{says}");
    let wrong = |revision: &str, words: &str| {
        let output = world.notme(&["verify", revision]);
        let says = told(&output);
        assert_eq!(output.status.code(), Some(2), "{says}");
        assert!(
            says.contains(words) && !says.contains("caused by"),
            "{says}"
        );
    };
    wrong("HEAD~10", "`HEAD~10` names no commit or tag here");
    wrong("HEAD^{tree}", "is not a commit");
    wrong("HEAD:a", "is not a commit");
    let mut elsewhere = world.notme_command();
    let elsewhere = elsewhere.current_dir(world.home()).arg("verify").output();
    let says = told(&elsewhere.unwrap());
    assert!(says.contains("there is no git repository at"), "{says}");
    assert!(!says.contains("caused by"), "{says}");
    let says = told(&world.notme(&["verify", "--trust-root", &head]));
    assert!(says.contains("git log --diff-filter=A"), "{says}");
    let written = world.notme_ok(&["policy", "init", "--stdout"]);
    assert!(written.contains("from 1 commit; the trust store alone accepts 1."));
}

/// A pipe in somebody else's repository keeps nobody waiting.
#[test]
fn what_is_no_file_is_not_opened_as_one() {
    let world = World::initialised();
    world.signed_commit("a");
    world.git_ok(&["worktree", "add", "-q", "../linked"]);
    let linked = world.path().join("../linked");
    for name in [
        "HEAD",
        "config",
        "packed-refs",
        "objects/info/alternates",
        "commondir",
        "worktrees/linked/commondir",
        "worktrees/linked/gitdir",
    ] {
        let path = world.path().join(".git").join(name);
        let kept = fs::read(&path);
        fs::remove_file(&path).ok();
        mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        let place = match name.starts_with("worktrees") {
            true => &linked,
            false => &world.path(),
        };
        let mut verify = world.shell("exec timeout 20 notme verify --all");
        let output = run(verify.current_dir(place), b"");
        assert_eq!(output.status.code(), Some(3), "{name}: {}", told(&output));
        assert!(
            told(&output).contains("not a regular file"),
            "{name}: {}",
            told(&output)
        );
        fs::remove_file(&path).unwrap();
        if let Ok(kept) = kept {
            fs::write(&path, kept).unwrap();
        }
    }
    assert_eq!(world.notme(&["verify", "--all"]).status.code(), Some(0));
}

#[test]
fn what_is_no_file_is_not_opened_when_it_is_named() {
    let world = World::initialised();
    world.signed_commit("a");
    world.git_ok(&["branch", "topic"]);
    world.git_ok(&["symbolic-ref", "refs/heads/alias", "refs/heads/pipe"]);
    for (name, arguments) in [
        ("FETCH_HEAD", "FETCH_HEAD"),
        ("FETCH_HEAD", "main-worktree/FETCH_HEAD"),
        ("refs/heads/pipe", "pipe"),
        ("refs/heads/pipe", "alias~1"),
        ("refs/heads/pipe", "main..worktrees/linked/refs/heads/pipe"),
        ("refs/heads/pipe", "--all"),
        ("refs/heads/pipe", "--tags"),
        ("refs/heads/pipe", ":/a"),
        ("refs/heads/main", ""),
        ("refs/heads/main", "main@{0}"),
        ("logs/refs/heads/main", "main@{0}"),
        ("logs/refs/heads/topic", "main..topic@{1}"),
        ("logs/HEAD", "@{-1}"),
    ] {
        let path = world.path().join(".git").join(name);
        let kept = fs::read(&path);
        fs::remove_file(&path).ok();
        mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        let script = format!("exec timeout 20 notme verify {arguments}");
        let output = run(&mut world.shell(&script), b"");
        let says = told(&output);
        assert_eq!(output.status.code(), Some(3), "{arguments}: {says}");
        assert!(says.contains(name), "{arguments}: {says}");
        assert!(says.contains("not a regular file"), "{arguments}: {says}");
        fs::remove_file(&path).unwrap();
        if let Ok(kept) = kept {
            fs::write(&path, kept).unwrap();
        }
    }
    world.git_ok(&["symbolic-ref", "--delete", "refs/heads/alias"]);
    assert_eq!(world.notme(&["verify", "--all"]).status.code(), Some(0));
    assert_eq!(world.notme(&["verify", "main@{0}"]).status.code(), Some(0));
}

/// git follows them: what they lead to would be missing from `--all`.
#[test]
fn refs_that_are_links_are_not_passed_over() {
    let world = World::initialised();
    let id = world.signed_commit("a");
    let elsewhere = world.home().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("e"), format!("{id}\n")).unwrap();
    for (name, to) in [
        ("refs/heads/link", elsewhere.join("e")),
        ("refs/remotes/origin", elsewhere),
    ] {
        let path = world.path().join(".git").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, &path).unwrap();
        for what in ["--all", "--tags"] {
            let output = world.notme(&["verify", what]);
            assert_eq!(output.status.code(), Some(3), "{}", told(&output));
            assert!(told(&output).contains(name), "{}", told(&output));
        }
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(world.notme(&["verify", "--all"]).status.code(), Some(0));
    // Where all refs are another directory's, they are read there.
    let refs = world.path().join(".git/refs");
    let moved = world.home().join("refs");
    fs::rename(&refs, &moved).unwrap();
    symlink(moved, &refs).unwrap();
    let (exit, document) = world.verdicts(&["--all"]);
    assert_eq!(
        (exit, &document["summary"]["objects"]),
        (Some(0), &1.into())
    );
}

/// Other programs would show others than those that are judged.
#[test]
fn replacements_leave_no_commit_out_of_a_range() {
    let world = World::initialised();
    let root = world.signed_commit("a");
    world.git_ok(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "b"]);
    let tip = world.signed_commit("c");
    let range = format!("{root}..main~1");
    assert_eq!(world.code(&range, &[]), "unsigned");
    world.git_ok(&["replace", "--graft", &tip, &root]);
    assert_eq!(world.code(&range, &[]), "unsigned");
    let says = told(&world.notme(&["verify", "main"]));
    assert!(says.contains("replace refs are ignored"), "{says}");
}

#[test]
fn a_repository_with_an_unknown_extension_is_refused() {
    let world = World::initialised();
    world.signed_commit("a");
    let config = world.path().join(".git/config");
    let own = fs::read_to_string(&config).unwrap();
    let verify = |version: u8, extension: &str| {
        let more = format!("[core]\nrepositoryFormatVersion = {version}\n[extensions{extension}\n");
        fs::write(&config, format!("{own}{more}")).unwrap();
        world.notme(&["verify"])
    };
    // git looks at none that it does not know, either, where there is no version.
    assert_eq!(verify(0, "]\nunheardOf = true").status.code(), Some(0));
    for unknown in ["]\nunheardOf = true", " \"noop\"]\nunheardOf"] {
        let output = verify(1, unknown);
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        assert!(told(&output).contains("unheardof"), "{}", told(&output));
    }
    for known in [
        "noop = true",
        "preciousObjects = true",
        "partialClone = origin",
        "worktreeConfig = true",
        "objectFormat = sha1",
        "refStorage = files",
        "relativeWorktrees = true",
    ] {
        let output = verify(1, &format!("]\n{known}"));
        assert_eq!(output.status.code(), Some(0), "{known}: {}", told(&output));
    }
}

#[test]
fn all_takes_the_heads_of_worktrees_along() {
    let world = World::initialised();
    world.signed_commit("a");
    world.git_ok(&["worktree", "add", "-q", "--detach", "../linked"]);
    assert_eq!(world.verdicts(&["--all"]).0, Some(0));
    let linked = world.path().join("../linked");
    let linked = linked.to_str().unwrap();
    world.git_ok(&[
        "-C",
        linked,
        "commit",
        "-q",
        "--allow-empty",
        "--no-gpg-sign",
        "-m",
        "b",
    ]);
    assert_eq!(world.verdicts(&["--all"]).0, Some(1));
    // And from there, the main one.
    world.git_ok(&["-C", linked, "checkout", "-q", "HEAD~1"]);
    world.git_ok(&["checkout", "-q", "--detach"]);
    world.git_ok(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "c"]);
    let output = run(
        world
            .notme_command()
            .current_dir(linked)
            .args(["verify", "--all"]),
        b"",
    );
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
}

#[test]
fn a_repository_with_reftables_is_refused() {
    let world = World::initialised();
    world.git_ok(&["init", "-q", "tables"]);
    let path = world.path().join("tables");
    let head = ["-C", "tables", "commit", "-q", "--allow-empty", "-m", "x"];
    world.git_ok(&head);
    let id = world.git_ok(&["-C", "tables", "rev-parse", "HEAD"]);
    // As newer versions of git would make it; older ones know none.
    for (name, value) in [
        ("core.repositoryFormatVersion", "1"),
        ("extensions.refStorage", "reftable"),
    ] {
        world.git_ok(&["config", "--file", "tables/.git/config", name, value]);
    }
    let refs = || fs::read_dir(path.join(".git/refs")).unwrap().count();
    let before = refs();
    for arguments in [
        &["verify", "--all"][..],
        &["verify", &id],
        &["attest", "show", &id],
        &["attest", "dispatch", &id],
        &["attest", "fetch"],
        &["hooks", "install"],
    ] {
        let mut command = world.notme_command();
        let output = run(command.current_dir(&path).args(arguments), b"");
        let said = told(&output);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains("references as `reftable`"), "{said}");
    }
    assert_eq!(refs(), before);
}
