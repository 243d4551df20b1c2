//! `notme run`, with scripts in the place of AI agents: real git, a real key agent, a real
//! authority.

mod end;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use notme_attest::{
    Bundle,
    make::{self, ActivityFacts, CommitSubject, covered},
    predicate::Record,
};
use notme_core::{
    dsse::{Envelope, pae},
    statement::PAYLOAD_TYPE,
    time::UnixTime,
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    repository::{Repository, run},
};
use serde_json::Value;

use crate::world::{NOTME, World, told};

/// Runs a script under `notme run`.
fn session(world: &World, options: &[&str], script: &str) -> Output {
    let mut command = world.notme_command();
    command.arg("run").args(options).env("NOTME", NOTME);
    run(command.args(["--", "sh", "-ec", script]), b"")
}

fn session_ok(world: &World, options: &[&str], script: &str) -> String {
    let output = session(world, options, script);
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A user who has an agent, and whose repository git was told nothing of.
fn world() -> World {
    let world = World::new();
    world.git_ok(&["config", "user.name", "Human"]);
    world.git_ok(&["config", "user.email", "human@example.invalid"]);
    world
}

fn settings(world: &World) -> Vec<u8> {
    let output = world.git(&["config", "--list", "--show-origin"]);
    assert!(output.status.success());
    output.stdout
}

/// What is attested about commits, judged: exit code, and a commit each.
fn judged(world: &World, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = world.notme(&[&["attest", "verify", "--json"], arguments].concat());
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    (output.status.code(), document.as_array().unwrap().clone())
}

/// The records of all activities that commits have, unjudged.
fn records(world: &World, revision: &str) -> Vec<Value> {
    let shown = world.notme_ok(&["attest", "export", revision]);
    let records = shown.lines().map(|line| {
        let bundle: Value = serde_json::from_str(line).unwrap();
        let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
        let payload = notme_core::base64::decode(payload).unwrap();
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        statement["predicate"].clone()
    });
    let mut records: Vec<_> = records.collect();
    records.sort_by_key(|record| record["chain"]["sequence"].as_u64());
    records
}

fn events<'r>(records: &'r [Value], kind: &str) -> Vec<&'r str> {
    let all = records
        .iter()
        .flat_map(|record| record["events"].as_array().unwrap());
    all.filter(|event| event["kind"] == kind)
        .map(|event| event["name"].as_str().unwrap())
        .collect()
}

/// A bundle of somebody whom nobody trusts, who says that it is the record that opens an activity.
fn strangers_record(activity: &str, segment: u64, commits: &[CommitSubject]) -> Vec<u8> {
    let facts = ActivityFacts {
        segment,
        ..ActivityFacts::unknown(activity, "stranger", UnixTime::from(SystemTime::now()))
    };
    let opening = Record::opening(None, covered(commits));
    let statement = make::activity(facts, opening, commits).unwrap();
    let payload = statement.to_payload().unwrap();
    let message = pae(PAYLOAD_TYPE, &payload);
    let stranger = TestAuthority::new(9).leaf(&LeafSpec::bound_to(&message));
    let signature = stranger.key().sign(&message).unwrap();
    let certificate = stranger.certificate().clone();
    let envelope = Envelope::signed(PAYLOAD_TYPE, payload, certificate.kid(), signature);
    let bundle = Bundle::new(envelope, vec![certificate], Vec::new());
    bundle.to_json().unwrap()
}

const COMMIT: &str = "git commit -q --allow-empty -m";

#[test]
fn commits_are_signed_as_the_agent_and_recorded_and_the_humans_settings_are_as_they_were() {
    let world = world();
    let before = settings(&world);
    let script = format!("{COMMIT} one; {COMMIT} two; test \"$NOTME_ACTIVITY\"");
    let options = ["--agent", "claude", "--model", "m", "--provider", "p"];
    session_ok(&world, &options, &script);
    assert_eq!(settings(&world), before);

    let (exit, document) = world.verdicts(&["--all"]);
    assert_eq!(exit, Some(0), "{document}");
    for object in document["objects"].as_array().unwrap() {
        assert_eq!(object["level"], "L2", "{object}");
        let identity = object["identity"].as_str().unwrap();
        assert!(identity.ends_with("/claude"), "{identity}");
    }
    let people = world.git_ok(&["log", "--format=%an <%ae> %cn <%ce>", "-1"]);
    assert_eq!(
        people,
        "claude <claude@notme.invalid> claude <claude@notme.invalid>"
    );
    let trailers = world.git_ok(&["log", "--format=%(trailers)", "-1"]);
    assert!(
        trailers.contains("Agent-Name: claude\nAgent-Chain: sha256:"),
        "{trailers}"
    );
    let records = records(&world, "HEAD");
    // Begun, two commits, ended.
    assert_eq!(records.len(), 4);
    let (first, last) = (&records[0], &records[3]);
    assert_eq!(events(&records, "run"), ["sh"]);
    assert_eq!(
        (&first["model"], &first["provider"]),
        (&"m".into(), &"p".into())
    );
    assert_eq!(last["lifecycle"], "ended");
    assert_eq!(
        (&last["termination"], &last["outcome"]),
        (&"completed".into(), &"succeeded".into())
    );
    assert_eq!(last["run"]["exit"], 0);
    assert!(last["run"]["startedAt"].is_string() && last["run"]["endedAt"].is_string());
}

#[test]
fn every_certificate_names_the_activity_of_the_run() {
    let world = world();
    session_ok(&world, &[], &format!("{COMMIT} one"));
    let raw = world.read_object("commit", "HEAD");
    let split = notme_core::object::split_commit(&raw, notme_core::object::HashKind::Sha1).unwrap();
    let der = notme_core::armor::dearmor(split.signature().unwrap()).unwrap();
    let message = notme_core::cms::SignedMessage::parse(&der).unwrap();
    let activity = message.signer().activity().unwrap().to_owned();
    assert_eq!(records(&world, "HEAD")[0]["activity"]["id"], activity);
}

#[test]
fn every_format_of_signature_can_be_had() {
    let world = world();
    for format in ["x509", "ssh", "openpgp"] {
        let script = format!("echo {format} >file; git add file; git commit -q -m {format}");
        session_ok(&world, &["--format", format], &script);
        let (exit, document) = world.verdicts(&["HEAD"]);
        assert_eq!(exit, Some(0), "{document}");
        let object = &document["objects"][0];
        assert_eq!(
            (&object["format"], &object["level"]),
            (&format.into(), &"L2".into())
        );
    }
}

#[test]
fn the_human_can_stay_the_author() {
    let mut world = world();
    for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"] {
        world.remove_env(name);
    }
    session_ok(&world, &["--author", "human"], &format!("{COMMIT} one"));
    let people = world.git_ok(&["log", "--format=%an <%ae> %cn"]);
    assert_eq!(people, "Human <human@example.invalid> agent");
}

#[test]
fn the_end_of_the_program_is_ours() {
    let world = world();
    assert_eq!(session(&world, &[], "exit 7").status.code(), Some(7));
    assert_eq!(session(&world, &[], "kill -9 $$").status.code(), Some(137));
    let output = world.notme(&["run", "--", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(127), "{}", told(&output));
    assert!(told(&output).contains("could not run `/nonexistent`"));
    assert_eq!(world.notme(&["run"]).status.code(), Some(2));
}

#[test]
fn signals_reach_the_program() {
    let world = world();
    let mut command = world.notme_command();
    let script = "trap 'echo terminated; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = command
        .args(["run", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "ready");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "terminated");
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

/// As `nohup` has it, and shells with what goes on in the background.
#[test]
fn what_is_ignored_around_a_run_is_ignored_within() {
    let world = world();
    let script = "trap '' HUP INT; exec \"$0\" run -- sh -c 'kill -HUP $$; kill -INT $PPID; kill -INT $$; echo on'";
    let mut command = world.command("sh");
    let output = command.args(["-c", script, NOTME]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "on\n",
        "{}",
        told(&output)
    );
}

#[test]
fn nothing_of_the_humans_is_visible() {
    let mut world = world();
    for (name, value) in [
        ("SSH_AUTH_SOCK", "/human/ssh"),
        ("SSH_AGENT_PID", "1"),
        ("GPG_AGENT_INFO", "/human/gpg"),
        ("GNUPGHOME", "/human/gnupg"),
    ] {
        world.set_env(name, value);
    }
    world.git_ok(&["config", "--global", "alias.mine", "log"]);
    world.git_ok(&["config", "--global", "pull.rebase", "true"]);
    let before = settings(&world);
    let script = "env; git config --global credential.helper evil; git config --list";
    let seen = session_ok(&world, &[], script);
    for hidden in ["/human/", "SSH_AGENT_PID", "alias.mine"] {
        assert!(!seen.contains(hidden), "{hidden}: {seen}");
    }
    assert!(seen.contains("pull.rebase=true"), "{seen}");
    assert!(seen.contains("credential.helper=evil"), "{seen}");
    assert_eq!(settings(&world), before);
    let options = ["--keep", "ssh-agent", "--keep", "gnupg", "--keep", "config"];
    let seen = session_ok(&world, &options, "env; git config --list");
    for kept in ["/human/ssh", "/human/gnupg", "alias.mine"] {
        assert!(seen.contains(kept), "{kept}: {seen}");
    }
}

#[test]
fn settings_that_the_environment_has_stay_and_come_first() {
    let mut world = world();
    for (name, value) in [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "notme.test"),
        ("GIT_CONFIG_VALUE_0", "kept"),
    ] {
        world.set_env(name, value);
    }
    let seen = session_ok(
        &world,
        &[],
        "git config notme.test; git config user.signingkey",
    );
    assert_eq!(seen, "kept\nagent\n");
}

/// What the run has is one socket, which serves one agent.
#[test]
fn the_run_cannot_widen_what_it_was_lent() {
    let world = World::initialised();
    world.notme_ok(&["init", "--agent", "other", "--format", "x509"]);
    world.signed_commit("before");
    for script in [
        "\"$NOTME\" agent list",
        "\"$NOTME\" agent stop",
        "\"$NOTME\" attest dispatch --agent other",
        "\"$NOTME\" attest dispatch",
        "git commit -q --allow-empty -m x -Sother",
        "\"$NOTME\" run --agent other -- true",
    ] {
        let output = session(&world, &["--agent", "claude"], script);
        assert_ne!(output.status.code(), Some(0), "{script}: {}", told(&output));
        assert!(told(&output).contains("not lent"), "{}", told(&output));
    }
    let script = format!("{COMMIT} one; {COMMIT} two");
    let output = session(&world, &["--signatures", "1"], &script);
    assert!(
        told(&output).contains("no longer lent"),
        "{}",
        told(&output)
    );
    let past = ["--until", "2020-01-01T00:00:00Z"];
    let output = session(&world, &past, &format!("{COMMIT} one"));
    assert!(
        told(&output).contains("no longer lent"),
        "{}",
        told(&output)
    );
    let refs = ["--ref", "refs/tags/agent-*"];
    session_ok(&world, &refs, "git tag -m x agent-1");
    let output = session(&world, &refs, "git tag -m x v1");
    assert!(
        told(&output).contains("beyond the terms"),
        "{}",
        told(&output)
    );
}

/// The terms are in the certificates of every format, and whoever verifies holds commits to them.
#[test]
fn commits_are_held_to_the_terms_of_the_run() {
    let world = world();
    world.git_ok(&[
        "config",
        "notme.repository",
        "https://example.org/team/tool.git",
    ]);
    let options = [
        &[
            "--path",
            "src/*",
            "--path",
            "docs/*",
            "--ref",
            "refs/heads/main",
        ][..],
        &["--repository", "auto", "--signatures", "2"],
    ]
    .concat();
    for format in ["x509", "ssh", "openpgp"] {
        let script = format!(
            "mkdir -p src; echo {format} >src/a; git add src; git commit -q -m one; \
             echo {format} >other; git add other; git commit -q -m two"
        );
        session_ok(
            &world,
            &[&options[..], &["--format", format]].concat(),
            &script,
        );
        let (exit, document) = world.verdicts(&["HEAD~1", "--ref", "refs/heads/main"]);
        assert_eq!(exit, Some(0), "{document}");
        let terms = &document["objects"][0]["terms"];
        assert_eq!(terms["repository"], "example.org/team/tool");
        assert_eq!(terms["paths"], serde_json::json!(["src/*", "docs/*"]));
        assert_eq!(terms["signatures"], 2);
        assert_eq!(terms["not_checked"], serde_json::json!([]));
        assert_eq!(world.code("HEAD", &[]), "terms-path");
        // What it changes nobody can tell there.
        let alone = world.git(&["verify-commit", "HEAD~1"]);
        assert!(!alone.status.success(), "{}", told(&alone));
        assert_eq!(
            world.code("HEAD~1", &["--ref", "refs/heads/x"]),
            "terms-ref"
        );
    }
    let commit = world.git_ok(&["rev-parse", "HEAD~1"]);
    // Named by its id alone, it is for no ref that anybody knows.
    let (_, document) = world.verdicts(&[&commit]);
    assert_eq!(document["objects"][0]["verdict"], "accepted", "{document}");
    assert_eq!(document["objects"][0]["terms"]["not_checked"][0], "ref");
    world.git_ok(&["config", "notme.repository", "example.org/team/other"]);
    assert_eq!(world.code(&commit, &[]), "terms-repository");
}

#[test]
fn an_agent_that_is_ones_own_is_told_to_merge_nothing() {
    let world = world();
    let refs = ["--ref", "refs/heads/agent/*"];
    let says = |options: &[&str]| {
        let output = session(&world, &[&refs[..], options].concat(), "true");
        assert!(output.status.success(), "{}", told(&output));
        told(&output).contains("no merge of yours")
    };
    assert!(!says(&[]));
    world.git_ok(&["config", "user.signingkey", "claude"]);
    assert!(says(&[]));
    assert!(!says(&["--agent", "bob"]));
}

#[test]
fn terms_that_cannot_be_kept_are_refused_at_the_beginning() {
    let world = world();
    for options in [
        &["--repository", "auto"][..],
        &["--repository", "/srv/git/tool.git"],
        &["--path", ""],
    ] {
        let output = session(&world, options, "touch ran");
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    }
    assert!(!world.path().join("ran").exists());
}

#[test]
fn signing_that_is_switched_off_is_noticed_and_recorded() {
    let world = world();
    let commit = |name: &str, how: &str, more: &str| {
        format!("echo {name} >{name}; git add {name}; git {how} commit -q -m {name} {more}; ")
    };
    let off = "-c commit.gpgsign=false";
    let script = [
        commit("signed", "", ""),
        commit("one", off, ""),
        commit("two", "", "--no-gpg-sign"),
        commit("three", &format!("{off} -c core.hooksPath=/dev/null"), ""),
    ]
    .concat();
    let output = session(&world, &[], &script);
    assert!(output.status.success(), "{}", told(&output));
    let told = told(&output);
    assert!(told.contains("carries no signature"), "{told}");
    assert!(told.contains("was made without a signature"), "{told}");
    let records = records(&world, "HEAD~3");
    let ids = world.git_ok(&["rev-list", "--reverse", "HEAD~3.."]);
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(events(&records, "signing-off"), ids[..2]);
    assert_eq!(events(&records, "unsigned-commit"), ids);
    // Nobody attests what the agent did not sign.
    let (_, commits) = judged(&world, &["HEAD"]);
    assert_eq!(commits[0]["code"], "attestation-missing");
    assert_eq!(judged(&world, &["HEAD~3"]).0, Some(0));
}

/// As the note says that one can.
#[test]
fn what_is_signed_after_all_has_a_level() {
    let world = world();
    let script = format!(
        r#"
        echo >staged; git add staged
        {COMMIT} one --only --no-gpg-sign 2>said
        sh -ec "$(sed -n 's/.*`\(.*\)` signs it/\1/p' said)"
        test "$(git status --short --untracked-files=no)" = "A  staged"
        "#
    );
    session_ok(&world, &[], &script);
    let (exit, commits) = judged(&world, &["HEAD"]);
    assert_eq!(exit, Some(0), "{commits:?}");
    assert_eq!(commits[0]["level"], "L2", "{commits:?}");
}

/// What came after goes along as it is, be it empty or a merge.
#[test]
fn what_is_said_of_an_unsigned_commit_signs_it() {
    let world = World::initialised();
    let off = "-c commit.gpgsign=false";
    let script = format!(
        "git {off} {commit} first; {COMMIT} second; git checkout -q -b side; {COMMIT} aside; \
         git checkout -q main; {COMMIT} third; git merge -q --no-edit side; git branch -q -D side; git {off} {commit} last",
        commit = "commit -q --allow-empty -m",
    );
    let graph = || world.git_ok(&["log", "--graph", "--format=%s"]);
    let said = told(&session(&world, &[], &script));
    let before = graph();
    assert_eq!(sign_after_all(&world, &said), 1, "{said}");
    assert_eq!(graph(), before);
    let (exit, document) = world.verdicts(&["--all"]);
    assert_eq!(exit, Some(0), "{document}");
}

/// Does what is said at the end of a run, and returns in how many commands.
fn sign_after_all(world: &World, said: &str) -> usize {
    let commands = said
        .lines()
        .filter_map(|line| line.split_once(" on one branch, run: "));
    let run = |(_, command)| {
        let output = run(&mut world.shell(command), b"");
        assert!(output.status.success(), "{command}: {}", told(&output));
    };
    commands.map(run).count()
}

/// Whichever is checked out, whatever they are called, and whatever the clock said.
#[test]
fn what_is_said_of_unsigned_commits_is_for_the_branches_that_have_them() {
    let world = World::initialised();
    let script = format!(
        r#"
        {COMMIT} main
        git switch -q --create "it's" main; {COMMIT} signed
        {COMMIT} one --no-gpg-sign
        GIT_COMMITTER_DATE='2001-01-01T00:00:00Z' {COMMIT} two --no-gpg-sign
        git branch beside HEAD~1
        git switch -q main; {COMMIT} later
        git update-ref refs/heads/-x "it's"
        "#
    );
    let main = || world.git_ok(&["rev-parse", "main"]);
    let said = told(&session(&world, &[], &script));
    let before = main();
    assert_eq!(sign_after_all(&world, &said), 2, "{said}");
    world.git_ok(&["switch", "--quiet", "main"]);
    assert_eq!(main(), before);
    world.git_ok(&["update-ref", "-d", "refs/heads/-x"]);
    let (exit, document) = world.verdicts(&["--all"]);
    assert_eq!(exit, Some(0), "{document}");
    // A HEAD that is on no branch is signed itself.
    let script = format!("git switch -q --detach; {COMMIT} three --no-gpg-sign");
    let said = told(&session(&world, &[], &script));
    assert_eq!(sign_after_all(&world, &said), 1, "{said}");
    let (exit, document) = world.verdicts(&["HEAD"]);
    assert_eq!(exit, Some(0), "{document}");
}

#[test]
fn a_commit_that_the_hooks_did_not_see_is_recorded_at_the_end() {
    let world = world();
    let script = "git -c core.hooksPath=/dev/null commit -q --allow-empty -m one";
    session_ok(&world, &[], script);
    let (exit, commits) = judged(&world, &["HEAD"]);
    assert_eq!(exit, Some(0), "{commits:?}");
    let id = world.git_ok(&["rev-parse", "HEAD"]);
    assert_eq!(events(&records(&world, "HEAD"), "unseen-commit"), [id]);
}

/// One lock that somebody holds costs a commit its record, until there is the next one or the end.
#[test]
fn a_hook_that_waits_too_long_for_a_lock_leaves_none() {
    let world = world();
    let script = format!(
        r#"
        {COMMIT} one
        refs=.git/refs/attestations
        touch $refs/commits.lock
        {COMMIT} two
        rm $refs/commits.lock
        ls $refs/*.lock && exit 99
        {COMMIT} three
        "#
    );
    let output = session(&world, &[], &script);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("commits.lock"), "{}", told(&output));
    for revision in ["HEAD", "HEAD~1", "HEAD~2"] {
        assert_eq!(judged(&world, &[revision]).0, Some(0), "{revision}");
    }
    let two = world.git_ok(&["rev-parse", "HEAD~1"]);
    assert_eq!(events(&records(&world, "HEAD"), "unseen-commit"), [two]);
}

/// By the agent whose chain it is, whoever else signs there; and the commit that it was, as others come.
#[test]
fn what_is_said_of_a_commit_without_a_record_makes_one_while_the_run_goes_on() {
    let world = World::initialised();
    world.notme_ok(&["init", "--agent", "human"]);
    world.git_ok(&["config", "user.signingkey", "human"]);
    let script = format!(
        r#"
        {COMMIT} one
        refs=.git/refs/attestations
        cp $refs/commits kept
        echo nothing >$refs/commits
        {COMMIT} two 2>said
        cp kept $refs/commits
        {COMMIT} three
        hint=$(sed -n 's/.*while the run goes on (.*): //p' said)
        env -i PATH="${{NOTME%/*}}:$PATH" NOTME_HOME="$NOTME_HOME" sh -ec "$hint"
        "$NOTME" attest verify --open HEAD~1
        "#
    );
    let output = session(&world, &["--agent", "claude"], &script);
    assert!(output.status.success(), "{}", told(&output));
    let (exit, commits) = judged(&world, &["HEAD~1"]);
    assert_eq!(exit, Some(0), "{commits:?}");
    assert_eq!(commits[0]["level"], "L2", "{commits:?}");
    // The end had nothing to make up for.
    let unseen = records(&world, "HEAD~1");
    assert!(events(&unseen, "unseen-commit").is_empty());
}

/// Who works in a run has no say in how it ended.
#[test]
fn a_run_does_not_end_its_own_activities() {
    let world = world();
    let library = world.home().join("library");
    let script = format!(
        r#"
        end() {{
            "$NOTME" attest activity --activity "$1" --end --outcome succeeded && exit 99
            echo $? >>{codes}
        }}
        {COMMIT} one
        git init -q {library}; cd {library}; {COMMIT} part
        end "$NOTME_ACTIVITY/1"
        cd "$OLDPWD"
        end "$NOTME_ACTIVITY"
        git -c core.hooksPath=/dev/null commit -q --allow-empty -m sly
        "$NOTME" attest activity --activity "$NOTME_ACTIVITY" HEAD~1
        exit 7
        "#,
        codes = world.home().join("codes").display(),
        library = library.display(),
    );
    let output = session(&world, &[], &script);
    assert_eq!(output.status.code(), Some(7), "{}", told(&output));
    let told = told(&output);
    assert!(told.contains("is recorded when the run is over"), "{told}");
    assert!(!told.contains("was not recorded"), "{told}");
    let codes = fs::read_to_string(world.home().join("codes")).unwrap();
    assert_eq!(codes, "3\n3\n");
    let ends = |records: &[Value]| -> Vec<Value> {
        let ends = records.iter().filter(|it| it["lifecycle"] == "ended");
        ends.map(|it| it["outcome"].clone()).collect()
    };
    let own = records(&world, "HEAD");
    assert_eq!(ends(&own), ["failed"]);
    let sly = world.git_ok(&["rev-parse", "HEAD"]);
    assert_eq!(events(&own, "unseen-commit"), [sly]);
    let mut world = world;
    world.set_env("GIT_DIR", library.join(".git"));
    assert_eq!(ends(&records(&world, "HEAD")), ["failed"]);
}

/// What only says that it is a record of the run's covers nothing.
#[test]
fn a_strangers_record_hides_no_commit_from_the_run() {
    let world = world();
    let (made, forged) = (world.home().join("made"), world.home().join("forged"));
    let script = format!(
        r#"
        {COMMIT} one
        git -c core.hooksPath=/dev/null commit -q --allow-empty -m sly
        echo "$NOTME_ACTIVITY $(git rev-parse HEAD HEAD^{{tree}})" >{made}.part
        mv {made}.part {made}
        until test -e {forged}; do sleep 0.05; done
        "$NOTME" attest import --unjudged {forged}
        "#,
        made = made.display(),
        forged = forged.display(),
    );
    let output = thread::scope(|scope| {
        let run = scope.spawn(|| session(&world, &[], &script));
        while !made.exists() && !run.is_finished() {
            thread::sleep(Duration::from_millis(20));
        }
        let said = fs::read_to_string(&made).unwrap();
        let [activity, id, tree] = said.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{said}");
        };
        let sly = CommitSubject {
            id: id.to_owned(),
            tree: tree.to_owned(),
        };
        let part = forged.with_extension("part");
        fs::write(&part, strangers_record(activity, 1, &[sly])).unwrap();
        fs::rename(&part, &forged).unwrap();
        run.join().unwrap()
    });
    assert!(output.status.success(), "{}", told(&output));
    let sly = world.git_ok(&["rev-parse", "HEAD"]);
    let unseen = "unseen-commit";
    assert_eq!(events(&records(&world, "HEAD~1"), unseen), [sly]);
    for revision in ["HEAD", "HEAD~1"] {
        assert_eq!(world.code(revision, &[]), "accepted");
    }
}

#[test]
fn what_others_made_meanwhile_is_not_the_agents() {
    let world = world();
    let other = Repository::new();
    other.commit("theirs", "x");
    let script = format!("git pull -q {} main; {COMMIT} one", other.path().display());
    let before = world.commit("ours", "x");
    assert!(!before.is_empty());
    let script = script.replace("pull -q", "pull -q --no-rebase --allow-unrelated-histories");
    session_ok(&world, &[], &script);
    let theirs = other.git_ok(&["rev-parse", "HEAD"]);
    let (_, commits) = judged(&world, &[&theirs]);
    assert_eq!(commits[0]["code"], "attestation-missing");
}

#[test]
fn amended_squashed_and_picked_commits_keep_their_records() {
    let world = world();
    world.commit("base", "x");
    let script = format!(
        "{COMMIT} one; git commit -q --amend --allow-empty -m 'one, amended'; \
         git checkout -q -b side; echo a >a; git add a; git commit -q -m a; \
         echo b >b; git add b; git commit -q -m b; \
         git checkout -q main; git cherry-pick side~1 >/dev/null; \
         git checkout -q -b squashed HEAD~1; git merge -q --squash side >/dev/null; git commit -q -m all; \
         git checkout -q main"
    );
    session_ok(&world, &[], &script);
    for revision in ["main", "main~1", "squashed"] {
        let (exit, commits) = judged(&world, &[revision]);
        assert_eq!(exit, Some(0), "{revision}: {commits:?}");
    }
    let records = records(&world, "main");
    let succeeds: Vec<_> = records
        .iter()
        .flat_map(|record| record["succeeds"].as_array().cloned().unwrap_or_default())
        .map(|pair| pair["to"].as_str().unwrap().to_owned())
        .collect();
    let id = |revision: &str| world.git_ok(&["rev-parse", revision]);
    assert_eq!(
        succeeds,
        [id("main~1"), id("main"), id("squashed"), id("squashed")]
    );
}

/// Merges have another hook than commits; and what is merged by moving HEAD is nobody's work.
#[test]
fn merges_are_recorded_and_fast_forwards_are_not() {
    let world = world();
    world.commit("base", "x");
    let script = format!(
        "git checkout -q -b side; {COMMIT} one; git checkout -q main; {COMMIT} two; \
         git merge -q --no-edit side; git checkout -q -b behind HEAD~1; git merge -q --ff-only main"
    );
    session_ok(&world, &[], &script);
    let records = records(&world, "main");
    // Begun, two commits, one merge, ended.
    assert_eq!(records.len(), 5);
    assert_eq!(events(&records, "unseen-commit"), [""; 0]);
    assert_eq!(judged(&world, &["main"]).0, Some(0));
}

/// Several at once, in worktrees of one repository: one chain, and all of it whole.
#[test]
fn work_in_several_worktrees_at_once_is_one_chain() {
    let world = world();
    world.commit("base", "x");
    let aside = world.home().join("aside");
    let script = format!(
        "git worktree add -q -b aside {0}; \
         (cd {0}; for i in 1 2 3 4 5; do {COMMIT} aside-$i; done) & \
         for i in 1 2 3 4 5; do {COMMIT} here-$i; done; wait",
        aside.display()
    );
    session_ok(&world, &[], &script);
    for range in ["main~5..main", "aside~5..aside"] {
        let (exit, commits) = judged(&world, &[range]);
        assert_eq!((exit, commits.len()), (Some(0), 5), "{commits:?}");
    }
    assert_eq!(records(&world, "main").len(), 12);
}

#[test]
fn another_repository_has_an_activity_that_the_run_started() {
    let world = world();
    let library = Repository::new();
    library.commit("file", "x");
    let script = format!(
        "printf %s \"$NOTME_ACTIVITY\"; \
         git -c protocol.file.allow=always submodule --quiet add {} sub; \
         cd sub; echo a >a; git add a; git commit -q -m inside; \
         cd ..; git add sub; git commit -q -m outside",
        library.path().display()
    );
    let id = session_ok(&world, &[], &script);
    assert_eq!(judged(&world, &["HEAD"]).0, Some(0));
    let mut inside = world.notme_command();
    inside.current_dir(world.path().join("sub"));
    let output = run(inside.args(["attest", "verify", "HEAD", "--json"]), b"");
    assert!(output.status.success(), "{}", told(&output));
    let mut inside = world.notme_command();
    inside.current_dir(world.path().join("sub"));
    let output = run(inside.args(["attest", "show", "HEAD", "--json"]), b"");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let activity = &shown[0]["predicate"]["activity"];
    assert_eq!(activity["parent"], id.as_str());
    assert_ne!(activity["id"], id.as_str());
}

#[test]
fn a_run_does_not_go_on_with_a_part_of_another_activity() {
    let world = World::initialised();
    let begin = ["attest", "activity", "--begin", "--parent", "urn:whole"];
    let id = world.notme_ok(&begin);
    let output = world.notme(&["run", "--activity", id.trim(), "--", "true"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("of its own"), "{}", told(&output));
}

/// What a run writes into its directory starts nothing outside of it, and signs as nobody else.
#[test]
fn the_directory_of_a_run_is_believed_by_the_run_alone() {
    let world = World::initialised();
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    world.signed_commit("before");
    let begun = world.notme_ok(&["attest", "activity", "--begin", "--agent", "reviewer"]);
    let trap = world.home().join("sprung");
    let kept = world.home().join("kept");
    fs::write(&kept, "mine").unwrap();
    let script = format!(
        r#"
        evil=$NOTME_RUN/evil; git init -q $evil; git -C $evil config remote.x.url $evil
        git -C $evil config remote.x.uploadpack 'touch {trap}; id >'
        git -C $evil config remote.x.receivepack 'touch {trap}; id >'
        printf '["%s","x"]\n' $evil >>$NOTME_RUN/pushed.jsonl
        git config remote.y.url $evil; git config remote.y.receivepack 'touch {trap}; id >'
        printf '["%s/.git","y"]\n' "$PWD" >>$NOTME_RUN/pushed.jsonl
        {COMMIT} one
        sed -i 's/claude/reviewer/g; s/"activity":"[^"]*"/"activity":"{begun}"/' $NOTME_RUN/run.json
        for file in $NOTME_RUN/head-*.json; do ln -sf {kept} $file; done
        ln -sf {kept} $NOTME_RUN/events.taken.$PPID
        "#,
        trap = trap.display(),
        kept = kept.display(),
        begun = begun.trim(),
    );
    let output = session(&world, &["--agent", "claude"], &script);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("did not get to `x`"),
        "{}",
        told(&output)
    );
    assert!(
        told(&output).contains("did not get to `y`"),
        "{}",
        told(&output)
    );
    assert!(!trap.exists());
    assert_eq!(fs::read_to_string(&kept).unwrap(), "mine");
    let (exit, commits) = judged(&world, &["HEAD"]);
    assert_eq!(exit, Some(0), "{commits:?}");
    // The reviewer's goes on as if nothing had been.
    let reviewers = [
        "attest",
        "activity",
        "--activity",
        begun.trim(),
        "--agent",
        "reviewer",
    ];
    world.notme_ok(&reviewers);
}

/// Bytes that nobody can read as an event, and files that are none.
#[test]
fn what_cannot_be_read_is_recorded_and_nothing_after_it_is_lost() {
    let world = world();
    let script = format!(
        r#"
        "$NOTME" record 'no json' && exit 1
        "$NOTME" record '{{"hook_event_name":"PostToolUse","tool_name":"Big","tool_input":1e300}}'
        echo '{{"kind":"x","name":"y","at":"never"}}' >>$NOTME_RUN/events.jsonl
        head -c 2000000 /dev/zero >>$NOTME_RUN/events.jsonl; echo >>$NOTME_RUN/events.jsonl
        "$NOTME" record --kind note --name last
        {COMMIT} one
        "#
    );
    session_ok(&world, &[], &script);
    let records = records(&world, "HEAD");
    assert_eq!(events(&records, "tool-call"), ["Big"]);
    assert_eq!(events(&records, "note"), ["last"]);
    assert_eq!(events(&records, "unread").len(), 2);
    assert_eq!(judged(&world, &["HEAD"]).0, Some(0));
}

/// A sandbox may let through the repository, the programs and the directory of the run, and
/// nothing else of notme's.
#[test]
fn the_directory_of_the_run_is_all_that_signing_needs() {
    let world = world();
    let script = format!(
        "export NOTME_HOME=/nonexistent HOME=/nonexistent; {COMMIT} one; \"$NOTME\" status"
    );
    let said = session_ok(&world, &[], &script);
    assert!(
        said.contains("run          of activity urn:uuid:"),
        "{said}"
    );
    assert_eq!(judged(&world, &["HEAD"]).0, Some(0));
}

#[test]
fn works_in_a_repository_of_the_other_hash() {
    let world = World::of(Repository::sha256());
    session_ok(
        &world,
        &[],
        &format!("{COMMIT} one; git commit -q --amend --allow-empty -m two"),
    );
    let (exit, document) = world.verdicts(&["HEAD"]);
    assert_eq!(exit, Some(0), "{document}");
    assert_eq!(document["objects"][0]["level"], "L2");
}

/// The same agent's work of another time is no part of this activity.
#[test]
fn what_the_agent_made_in_another_run_is_of_that_run() {
    let world = world();
    let elsewhere = world.another_repository(Repository::new());
    session_ok(
        &elsewhere,
        &[],
        "echo a >a; git add a; git commit -q -m theirs",
    );
    let theirs = elsewhere.git_ok(&["rev-parse", "HEAD"]);
    world.commit("base", "x");
    let script = format!("git fetch -q {} main:fetched", elsewhere.path().display());
    session_ok(&world, &[], &script);
    let (_, commits) = judged(&world, &[&theirs]);
    assert_eq!(commits[0]["code"], "attestation-missing");
}

#[test]
fn the_hooks_that_are_there_run_as_well() {
    let world = world();
    let hook = |name: &str, text: &str| {
        let path = world.path().join(".git/hooks").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    hook("pre-commit", "echo pre-commit >>ran");
    hook("commit-msg", "echo commit-msg >>ran");
    hook("post-commit", "echo post-commit >>ran");
    session_ok(&world, &[], &format!("{COMMIT} one"));
    let ran = fs::read_to_string(world.path().join("ran")).unwrap();
    assert_eq!(ran, "pre-commit\ncommit-msg\npost-commit\n");
    hook("commit-msg", "exit 1");
    let output = session(&world, &[], &format!("{COMMIT} two"));
    assert!(!output.status.success());
    assert_eq!(world.git_ok(&["rev-list", "--count", "HEAD"]), "1");
}

#[test]
fn a_message_that_is_left_empty_makes_no_commit() {
    let world = world();
    let output = session(&world, &[], "GIT_EDITOR=true git commit --allow-empty");
    assert!(!output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("empty commit message"),
        "{}",
        told(&output)
    );
    session_ok(
        &world,
        &[],
        "GIT_EDITOR='echo subject >' git commit -q --allow-empty",
    );
    let trailers = world.git_ok(&["log", "--format=%(trailers:key=Agent-Name)", "-1"]);
    assert!(trailers.contains("Agent-Name: agent"), "{trailers}");
}

#[test]
fn an_activity_is_suspended_and_resumed() {
    let world = world();
    let id = session_ok(
        &world,
        &["--suspend"],
        &format!("{COMMIT} one; printf %s \"$NOTME_ACTIVITY\""),
    );
    let (exit, commits) = judged(&world, &["HEAD"]);
    assert_eq!(exit, Some(3), "{commits:?}");
    assert_eq!(commits[0]["code"], "chain-tail-missing");
    session_ok(&world, &["--activity", &id], &format!("{COMMIT} two"));
    for revision in ["HEAD", "HEAD~1"] {
        assert_eq!(judged(&world, &[revision]).0, Some(0));
    }
    let records = records(&world, "HEAD");
    let segments: Vec<_> = records
        .iter()
        .map(|record| record["activity"]["segment"].as_u64().unwrap())
        .collect();
    assert_eq!(segments, [1, 1, 1, 2, 2, 2]);
    assert_eq!(records[2]["lifecycle"], "suspended");
    let output = session(&world, &["--activity", "urn:none"], "true");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("chain-prefix-missing"),
        "{}",
        told(&output)
    );
}

/// Whoever may push can send records of any activity, which are records of another chain.
#[test]
fn a_strangers_record_is_in_nobodys_way_who_resumes() {
    const LAST: u64 = (1 << 53) - 1;
    let world = world();
    let script = format!("{COMMIT} one; printf %s \"$NOTME_ACTIVITY\"");
    let id = session_ok(&world, &["--suspend"], &script);
    for segment in [41, LAST] {
        let forged = world.home().join("forged");
        fs::write(&forged, strangers_record(&id, segment, &[])).unwrap();
        world.notme_ok(&["attest", "import", "--unjudged", forged.to_str().unwrap()]);
        let script = format!("{COMMIT} two");
        session_ok(&world, &["--suspend", "--activity", &id], &script);
    }
    session_ok(&world, &["--activity", &id], "true");
    for revision in ["HEAD", "HEAD~1", "HEAD~2"] {
        assert_eq!(judged(&world, &[revision]).0, Some(0));
        assert_eq!(world.verdicts(&[revision]).1["objects"][0]["level"], "L2");
    }
}

#[test]
fn a_run_that_begins_outside_of_a_repository_records_the_first_one() {
    let mut world = world();
    world.commit("base", "x");
    let origin = world.path().display().to_string();
    let outside = world.home().join("outside");
    fs::create_dir(&outside).unwrap();
    let mut command = world.notme_command();
    command
        .current_dir(&outside)
        .args(["run", "--", "sh", "-ec"]);
    let script = format!("git clone -q {origin} cloned; cd cloned; {COMMIT} one");
    let output = run(command.arg(script), b"");
    assert!(output.status.success(), "{}", told(&output));
    world.git_ok(&[
        "pull",
        "-q",
        outside.join("cloned").to_str().unwrap(),
        "main",
    ]);
    world.set_env("GIT_DIR", outside.join("cloned/.git"));
    let (exit, commits) = judged(&world, &["HEAD"]);
    assert_eq!(exit, Some(0), "{commits:?}");
}

/// As in a container: no terminal, nothing that can be written in HOME, and the authority gone
/// while the session lives.
#[test]
fn works_with_a_read_only_home_and_without_the_authority() {
    let mut world = world();
    session_ok(&world, &[], &format!("{COMMIT} one"));
    // Nobody writes there, root neither.
    world.set_env("HOME", "/proc");
    world.remove_env("GIT_CONFIG_GLOBAL");
    session_ok(&world, &[], &format!("{COMMIT} two"));
    assert_eq!(judged(&world, &["HEAD"]).0, Some(0));
    world.notme_ok(&["authority", "stop"]);
    let authority = world.notme_home().join("data/authority");
    let aside = world.notme_home().join("data/aside");
    fs::rename(&authority, &aside).unwrap();
    fs::write(&authority, "not a directory").unwrap();
    session_ok(&world, &[], &format!("{COMMIT} three"));
    fs::remove_file(&authority).unwrap();
    fs::rename(&aside, &authority).unwrap();
    let policy = world.policy_with_floor("declared");
    assert_eq!(world.code("HEAD", &["--policy", &policy]), "accepted");
}

/// Whichever git the system has.
#[test]
fn a_merge_that_is_given_its_message_carries_the_head() {
    let world = world();
    let script = format!(
        "PATH=/usr/bin:$PATH; {COMMIT} one; git switch -q -c side HEAD~1; {COMMIT} two; \
         git switch -q main; git merge -q -m merged side"
    );
    world.commit("base", "1");
    session_ok(&world, &[], &script);
    let trailers = world.git_ok(&["log", "--format=%(trailers)", "-1"]);
    assert!(trailers.contains("Agent-Chain: sha256:"), "{trailers}");
    assert_eq!(world.verdicts(&["HEAD"]).1["objects"][0]["level"], "L2");
}

/// git keeps such lines where nobody edits a message, whatever comments begin with here.
#[test]
fn a_message_that_begins_as_a_comment_has_its_trailers() {
    let world = world();
    let commit = "git commit -q --allow-empty";
    let script = format!(
        r#"
        {commit} -m '#123 fix' -m '; more'
        git switch -q -c side HEAD~1; {COMMIT} two
        git switch -q main; git merge -q -m '# Heading' side
        git config core.commentChar ';'
        {commit} -m '; odd'
        {commit} --amend --no-edit
        "#
    );
    world.commit("base", "1");
    session_ok(&world, &[], &script);
    let (exit, document) = world.verdicts(&["HEAD~3..HEAD"]);
    assert_eq!(exit, Some(0), "{document}");
    let objects = document["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 4);
    for object in objects {
        assert_eq!(object["level"], "L2", "{object}");
    }
    let told = world.git_ok(&[
        "log",
        "--format=%s / %(trailers:key=Agent-Chain,separator=%x2C)",
        "--first-parent",
        "HEAD~3..",
    ]);
    for (line, subject) in told.lines().zip(["; odd", "# Heading", "#123 fix"]) {
        assert!(
            line.starts_with(&format!("{subject} / Agent-Chain: sha256:")),
            "{told}"
        );
    }
    let all = records(&world, "HEAD");
    assert!(events(&all, "unseen-commit").is_empty());
}

/// As agents have it.
#[test]
fn a_message_that_no_editor_edits_has_its_trailers_once() {
    let world = world();
    let script = "export GIT_EDITOR=:; echo >a; git add a; git commit -q -m one
                  git commit -q --amend; git commit -q --amend --verbose";
    session_ok(&world, &[], script);
    let message = world.git_ok(&["log", "-1", "--format=%B"]);
    assert_eq!(message.matches("Agent-Chain: ").count(), 1, "{message}");
    let (exit, commits) = judged(&world, &["HEAD"]);
    assert_eq!(exit, Some(0), "{commits:?}");
}

#[test]
fn a_message_of_comments_alone_makes_no_commit() {
    let world = world();
    let script = "git config core.commentChar ';'; echo >a; git add a; \
                  if GIT_EDITOR=true git commit -q --verbose; then exit 1; fi";
    session_ok(&world, &[], script);
}

/// What was recorded while the authority was away is no commit that nobody saw, be the key that signs an
/// older one or not; the end is where its record has a time.
#[test]
fn what_was_recorded_while_the_authority_was_away_is_recorded_by_the_end() {
    let world = world();
    let home = world.notme_home().display().to_string();
    let authority = format!("{home}/data/authority");
    let aside = format!("{home}/data/aside");
    let stop = format!("NOTME_HOME={home} {NOTME} authority stop");
    let away = format!("{stop}; mv {authority} {aside}; echo >{authority}");
    let back = format!("rm {authority}; mv {aside} {authority}");
    let is_whole = |length| {
        let all = records(&world, "HEAD");
        assert_eq!(events(&all, "unseen-commit"), [] as [&str; 0]);
        assert_eq!(all.len(), length, "{all:?}");
        for revision in ["HEAD~2", "HEAD~1", "HEAD"] {
            let (exit, commits) = judged(&world, &[revision]);
            assert_eq!(exit, Some(0), "{revision}: {commits:?}");
        }
    };
    let script = format!("{COMMIT} one\n{away}\n{COMMIT} two\n{COMMIT} three\n{back}\n");
    session_ok(&world, &[], &script);
    is_whole(5);

    let script = format!("{COMMIT} four; echo $NOTME_ACTIVITY");
    let id = session_ok(&world, &["--suspend"], &script);
    world.notme_ok(&["agent", "stop"]);
    session_ok(&world, &[], "true");
    let away = Command::new("sh").arg("-ec").arg(&away).status();
    assert!(away.unwrap().success());
    let script = format!("{COMMIT} five\n{COMMIT} six\n{back}\n");
    session_ok(&world, &["--activity", id.trim()], &script);
    is_whole(7);
}

#[test]
fn what_an_agent_tells_is_in_its_record_by_digest() {
    let world = world();
    let script = format!(
        "\"$NOTME\" record --kind tool-call --name grep; \
         echo '{{\"hook_event_name\":\"PostToolUse\",\"tool_name\":\"Bash\",\"tool_input\":{{\"command\":\"secret\"}}}}' | \"$NOTME\" record; \
         \"$NOTME\" record '{{\"type\":\"agent-turn-complete\"}}'; {COMMIT} one; \
         \"$NOTME\" record --kind note --name last"
    );
    session_ok(&world, &[], &script);
    let exported = world.notme_ok(&["attest", "export", "HEAD"]);
    assert!(!exported.contains("secret"));
    let records = records(&world, "HEAD");
    assert_eq!(events(&records, "tool-call"), ["grep", "Bash"]);
    assert_eq!(events(&records, "note"), ["last"]);
    assert_eq!(records[1]["capture"]["includes"][1], "tool-calls");
    assert_eq!(judged(&world, &["HEAD"]).0, Some(0));
    // Outside of a run nothing is recorded, and no agent is disturbed.
    let output = world.notme(&["record", "--kind", "note", "--name", "x"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let output = session(&world, &[], "\"$NOTME\" record '{}'");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
}

#[test]
fn a_run_without_a_key_agent_to_lend_runs_nothing() {
    let world = world();
    let home = world.notme_home().join("run");
    fs::create_dir_all(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    let output = session(&world, &[], "touch ran");
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(!world.path().join("ran").exists());
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_run_leaves_nothing_behind() {
    let world = world();
    session_ok(&world, &[], &format!("{COMMIT} one"));
    let runs = world.notme_home().join("run/runs");
    let give_up = Instant::now() + Duration::from_secs(20);
    while fs::read_dir(&runs).unwrap().count() > 0 {
        assert!(Instant::now() < give_up);
        thread::sleep(Duration::from_millis(10));
    }
}

/// The settings that the documentation gives, called as the agents call them.
#[test]
fn the_settings_for_agents_feed_the_record() {
    let mut world = world();
    let settings = |name: &str| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/agents/");
        fs::read_to_string(format!("{root}{name}")).unwrap()
    };
    let programs = world.home().join("programs");
    fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(NOTME, programs.join("notme")).unwrap();
    let path = std::env::var("PATH").unwrap();
    world.set_env("PATH", format!("{}:{path}", programs.display()));

    let claude: Value = serde_json::from_str(&settings("claude-code.json")).unwrap();
    let claude = claude["hooks"]["PostToolUse"][0]["hooks"][0]["command"].clone();
    let cursor: Value = serde_json::from_str(&settings("cursor.json")).unwrap();
    let cursor = cursor["hooks"]["afterShellExecution"][0]["command"].clone();
    let codex: toml::Table = settings("codex.toml").parse().unwrap();
    let codex = codex["notify"].as_array().unwrap();
    let codex: Vec<_> = codex.iter().map(|word| word.as_str().unwrap()).collect();
    // Claude Code and Cursor: JSON on stdin of a shell's command. Codex: as one argument more.
    let script = format!(
        "echo '{}' | sh -c '{}'; echo '{}' | sh -c '{}'; {} '{}'; {COMMIT} one",
        r#"{"session_id":"s","cwd":"/","hook_event_name":"PostToolUse","tool_name":"Edit","tool_input":{"file_path":"a"},"tool_response":{"ok":true}}"#,
        claude.as_str().unwrap(),
        r#"{"conversation_id":"c","workspace_roots":["/"],"hook_event_name":"afterShellExecution","command":"ls","output":"a"}"#,
        cursor.as_str().unwrap(),
        codex.join(" "),
        r#"{"type":"agent-turn-complete","turn-id":"1","input-messages":["x"],"last-assistant-message":"y"}"#,
    );
    session_ok(&world, &[], &script);
    let records = records(&world, "HEAD");
    assert_eq!(events(&records, "tool-call"), ["Edit", "shell"]);
    assert_eq!(events(&records, "agent-turn-complete"), ["codex"]);
}
