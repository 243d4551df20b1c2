//! The end of a run, of which the run has left what it likes where it could write.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use notme_testkit::repository::run;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{COMMIT, events, judged, records, session, session_ok, world};
use crate::world::{NOTME, World, told};

/// A commit that no hook sees.
const SLY: &str = "git -c core.hooksPath=/dev/null commit -q --allow-empty -m sly";

/// What the record that ended an activity says of how; the records that ended it are one.
fn outcome(records: &[Value]) -> &str {
    let mut ends = records.iter().filter(|it| it["lifecycle"] == "ended");
    let end = ends.next().unwrap();
    assert_eq!(ends.next(), None);
    end["outcome"].as_str().unwrap()
}

/// A shell's command that writes a program, which leaves a file where nobody is in a run.
fn trap(world: &World, program: &str) -> String {
    let sprung = world.home().join("sprung").display().to_string();
    format!(
        "printf '#!/bin/sh\\ntest \"$NOTME_RUN\" || echo \"$0\" >>{sprung}\\nexit 1\\n' >{program}; \
         chmod +x {program}\n"
    )
}

fn assert_not_sprung(world: &World) {
    let sprung = fs::read_to_string(world.home().join("sprung"));
    assert_eq!(sprung.unwrap_or_default(), "");
}

/// git would fetch what is not there, and with a program that the repository names.
#[test]
fn what_is_not_there_is_told_and_not_fetched() {
    let world = world();
    let trap = trap(&world, "$PWD/evil");
    let none = "3".repeat(40);
    let script = format!(
        r#"
        {COMMIT} one
        {trap}
        git config core.repositoryformatversion 1
        git config extensions.partialClone evil
        git config remote.evil.url /nowhere
        git config remote.evil.promisor true
        git config remote.evil.uploadpack $PWD/evil
        echo {none} >.git/refs/heads/x
        child=$(git cat-file commit HEAD | sed '2,/^author/ {{ /^author/i parent {none}
            }}; /^gpgsig/,/END/d' | git hash-object -t commit -w --stdin)
        echo $child >.git/refs/heads/y
        {SLY}
        exit 1
        "#
    );
    let output = session(&world, &[], &script);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert_not_sprung(&world);
    for name in ["x", "y"] {
        fs::remove_file(world.path().join(".git/refs/heads").join(name)).unwrap();
    }
    let records = records(&world, "HEAD");
    assert_eq!(events(&records, "unread-commit"), [none]);
    let sly = world.git_ok(&["rev-parse", "HEAD"]);
    assert_eq!(events(&records, "unseen-commit"), [sly]);
    assert_eq!(outcome(&records), "failed");
}

/// Hooks that a run leaves in its repository are not run when its last records are sent.
#[test]
fn hooks_that_a_run_leaves_are_not_run_at_its_end() {
    for installs in [false, true] {
        let world = World::initialised();
        if installs {
            world.notme_ok(&["hooks", "install"]);
        }
        world.signed_commit("before");
        let bare = world.remote();
        // So that git collects garbage whenever it looks whether it should.
        world.git_ok(&["config", "gc.auto", "1"]);
        world.git_ok(&["config", "gc.autoDetach", "false"]);
        let mut script = format!(
            r#"
            {COMMIT} one
            git push -q origin HEAD:refs/heads/main
            mkdir -p .git/objects/17; touch .git/objects/17/{zeros} .git/objects/17/{ones}
            "#,
            zeros = "0".repeat(38),
            ones = "1".repeat(38),
        );
        for directory in [".git/hooks", ".git/notme/hooks"] {
            script.push_str(&format!("mkdir -p {directory}\n"));
            for name in ["reference-transaction", "pre-auto-gc", "pre-push"] {
                script.push_str(&trap(&world, &format!("$PWD/{directory}/{name}")));
            }
        }
        let output = session(&world, &[], &script);
        assert!(output.status.success(), "{}", told(&output));
        assert_not_sprung(&world);
        assert!(!told(&output).contains("did not get"), "{}", told(&output));
        // The last record is there.
        let there = bare.git_ok(&["rev-parse", "refs/attestations/commits"]);
        assert_eq!(
            there,
            world.git_ok(&["rev-parse", "refs/attestations/commits"])
        );
    }
}

/// As every test suite does it that a run starts.
#[test]
fn repositories_that_are_gone_keep_no_others_from_their_end() {
    let world = world();
    let home = world.home().display().to_string();
    let script = format!(
        r#"
        {COMMIT} one
        git init -q {home}/gone; git -C {home}/gone commit -q --allow-empty -m x
        git init -q {home}/bad; git -C {home}/bad commit -q --allow-empty -m x
        git init -q {home}/left; git -C {home}/left commit -q --allow-empty -m x
        rm -rf {home}/gone; rm {home}/bad/.git/config; mkfifo {home}/bad/.git/config
        printf %s "$NOTME_ACTIVITY"
        exit 1
        "#
    );
    let output = session(&world, &[], &script);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let id = String::from_utf8(output.stdout.clone()).unwrap();
    let told = told(&output);
    assert!(told.contains("1 repositories that the run"), "{told}");
    let hint = format!(
        "cd {home}/bad/.git && notme attest activity --activity {id}/2 --end \
         --termination completed --outcome failed"
    );
    assert!(told.contains(&hint), "{told}");
    assert_eq!(told.matches("was not recorded").count(), 1, "{told}");
    assert_eq!(outcome(&records(&world, "HEAD")), "failed");
    let mut world = world;
    world.set_env("GIT_DIR", format!("{home}/left/.git"));
    assert_eq!(outcome(&records(&world, "HEAD")), "failed");
}

/// Its agent would be new, and have nothing lent to it.
#[test]
fn no_run_begins_inside_of_another() {
    let world = world();
    let script = format!("$NOTME run --agent inner -- {SLY}");
    let output = session(&world, &[], &script);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(
        told(&output).contains("inside of a run"),
        "{}",
        told(&output)
    );
    assert!(
        !told(&output).contains("`inner` is new"),
        "{}",
        told(&output)
    );
}

/// Whatever kept the end from being recorded, the end that is recorded later is no better.
#[test]
fn what_a_blocked_end_was_to_say_is_told_and_said_later() {
    let world = world();
    let state = world.notme_home().join("state/unrecorded");
    let script = format!(
        "{COMMIT} one; $NOTME record --kind tool-call --name rm; {SLY} --no-gpg-sign; {SLY}; \
         touch .git/refs/attestations/activities.lock; mkdir {0}; \
         mkfifo {0}/$(printf %s $NOTME_ACTIVITY | sha256sum | cut -d' ' -f1).jsonl",
        state.display()
    );
    let output = session(&world, &[], &script);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let [sly, bare] = ["HEAD", "HEAD~1"].map(|it| world.git_ok(&["rev-parse", it]));
    let unsigned = format!("commit {bare} was made without a signature");
    assert!(told.contains(&unsigned), "{told}");
    let lock = world.path().join(".git/refs/attestations/activities.lock");
    fs::remove_file(lock).unwrap();
    let said = told.lines().find(|it| it.contains("was not recorded"));
    let (_, command) = said.unwrap().rsplit_once("run: ").unwrap();
    assert!(command.contains(&sly), "{command}");
    let ended = run(&mut world.shell(command), b"");
    assert!(ended.status.success(), "{}", crate::world::told(&ended));
    let records = records(&world, "HEAD");
    assert_eq!(events(&records, "tool-call"), ["rm"]);
    assert_eq!(events(&records, "unsigned-commit"), [bare]);
    assert_eq!(events(&records, "unseen-commit"), [sly]);
    assert_eq!(outcome(&records), "succeeded");
    let (code, judged) = judged(&world, &["HEAD"]);
    assert_eq!(
        (code, &judged[0]["level"]),
        (Some(0), &"L2".into()),
        "{judged:?}"
    );
}

#[test]
fn a_remote_that_stalls_is_not_waited_for() {
    let world = world();
    let _bare = world.remote();
    let stalled = world.home().join("stalled").display().to_string();
    let script = format!(
        "test ! -e {stalled} || {{ echo $$ >{stalled}; exec sleep 600; }}\nexec git-upload-pack \"$@\""
    );
    world.stub("upload-pack", &script);
    let program = world.stubs().join("upload-pack").display().to_string();
    world.git_ok(&["config", "remote.origin.uploadpack", &program]);
    let script = format!("{COMMIT} one; git push -q origin HEAD:refs/heads/main; touch {stalled}");
    let output = session(&world, &[], &script);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(
        told(&output).contains("did not get to `origin`"),
        "{}",
        told(&output)
    );
    let pid = fs::read_to_string(stalled).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// Nobody may be there to hear of it.
#[test]
fn the_end_is_recorded_when_nothing_can_be_said() {
    let world = World::initialised();
    let library = world.home().join("library").display().to_string();
    let script = format!(
        "notme run --agent claude -- sh -ec '{COMMIT} one; git init -q {library}; cd {library}; \
         {COMMIT} two; cd \"$OLDPWD\"; {SLY} --no-gpg-sign; exit 7' 2>/dev/full"
    );
    let output = run(&mut world.shell(&script), b"");
    assert_eq!(output.status.code(), Some(7), "{}", told(&output));
    assert_eq!(outcome(&records(&world, "HEAD~1")), "failed");
    let mut world = world;
    world.set_env("GIT_DIR", format!("{library}/.git"));
    assert_eq!(outcome(&records(&world, "HEAD")), "failed");
}

#[test]
fn a_branch_that_is_deleted_and_collected_keeps_no_end_away() {
    let world = world();
    world.git_ok(&["commit", "-q", "--allow-empty", "-m", "before"]);
    world.git_ok(&["switch", "-q", "-c", "old"]);
    world.git_ok(&["commit", "-q", "--allow-empty", "-m", "old"]);
    world.git_ok(&["switch", "-q", "-"]);
    let script = format!(
        "{COMMIT} one; git branch -qD old; git reflog expire --expire=now --all; \
         git gc -q --prune=now; {SLY}"
    );
    session_ok(&world, &[], &script);
    let records = records(&world, "HEAD");
    let sly = world.git_ok(&["rev-parse", "HEAD"]);
    assert_eq!(events(&records, "unseen-commit"), [sly]);
    assert_eq!(events(&records, "unsigned-commit"), [""; 0]);
    assert_eq!(outcome(&records), "succeeded");
}

/// Commits of somebody else's that were fetched, which are none in every respect.
#[test]
fn odd_commits_are_told_and_keep_no_end_away() {
    let world = world();
    let script = format!(
        r#"
        {COMMIT} one
        tree=$(git rev-parse HEAD^{{tree}})
        people='author a <a@x> 1 +0000\ncommitter a <a@x> 1 +0000'
        odd() {{ git hash-object -t commit -w --stdin --literally; }}
        printf "tree $tree\nauthor Nobody\ncommitter Nobody\n\nm\n" | odd >ids
        printf "tree $tree\n$people\ngpgsig x\ngpgsig y\n\nm\n" | odd >>ids
        (printf "tree $tree\n$people\n\n"; head -c 17000000 /dev/zero | tr '\0' x) | odd >>ids
        while read -r id; do git update-ref refs/remotes/origin/$id $id; done <ids
        {SLY}
        exit 1
        "#
    );
    let output = session(&world, &[], &script);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let records = records(&world, "HEAD");
    let ids = fs::read_to_string(world.path().join("ids")).unwrap();
    let mut odd: Vec<_> = ids.lines().collect();
    odd.sort_unstable();
    let mut unread = events(&records, "unread-commit");
    unread.sort_unstable();
    assert_eq!(unread, odd);
    assert_eq!(events(&records, "unseen-commit").len(), 1);
    assert_eq!(outcome(&records), "failed");
}

/// A record has room for so many.
#[test]
fn more_unsigned_commits_than_there_is_room_for_are_counted() {
    let world = world();
    let script = format!(
        r#"
        {COMMIT} one
        for number in $(seq 1003); do
            printf 'commit refs/heads/many\ncommitter a <a@x> %s +0000\ndata 1\nm\n' $number
        done | git fast-import --quiet
        "#
    );
    let output = session(&world, &[], &script);
    assert!(output.status.success(), "{}", told(&output));
    let told = told(&output);
    assert!(told.contains("and so were 3 more"), "{told}");
    let records = records(&world, "HEAD");
    let unsigned = events(&records, "unsigned-commit");
    assert_eq!((unsigned.len(), unsigned[1000]), (1001, "3 more"));
}

#[test]
fn refs_that_cannot_be_read_are_told_of() {
    let world = world();
    let script = format!("{COMMIT} one; ln -s main .git/refs/heads/link; exit 1");
    let output = session(&world, &[], &script);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    fs::remove_file(world.path().join(".git/refs/heads/link")).unwrap();
    let records = records(&world, "HEAD");
    assert_eq!(events(&records, "unlooked"), ["commits"]);
    assert_eq!(outcome(&records), "failed");
}

/// The directory of a run is its own to spoil, and then that is what is recorded.
#[test]
fn files_of_the_run_that_cannot_be_read_are_told_of() {
    for (file, what) in [
        ("events.jsonl", "events"),
        ("events.taken", "events"),
        ("run.json", "repositories"),
    ] {
        let world = world();
        let script = format!(
            "{COMMIT} one; rm -f $NOTME_RUN/{file}; mkfifo $NOTME_RUN/{file}; {SLY}; exit 1"
        );
        let output = session(&world, &[], &script);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        let records = records(&world, "HEAD");
        assert_eq!(events(&records, "unlooked"), [what]);
        assert_eq!(events(&records, "unseen-commit").len(), 1, "{file}");
        assert_eq!(outcome(&records), "failed", "{file}");
    }
}

#[test]
fn pipes_keep_no_end_waiting() {
    for place in [
        ".git/refs/attestations/activities",
        ".git/refs/attestations/commits",
        ".git/logs/refs/attestations/activities",
        ".git/notme-attest.lock",
    ] {
        let world = world();
        let pipe = format!("mkdir -p $(dirname {place}); rm -f {place}; mkfifo {place}");
        // By force where it waits.
        let mut command = world.command("timeout");
        command.args(["-s", "KILL", "60", NOTME, "run", "--", "sh", "-ec"]);
        let output = run(command.arg(format!("{COMMIT} one; {pipe}; exit 7")), b"");
        let said = told(&output);
        assert_eq!(output.status.code(), Some(7), "{place}: {said}");
        let remedy = "--end --termination completed --outcome failed";
        assert!(said.contains(remedy), "{place}: {said}");
    }
}

#[test]
fn signals_end_the_end_of_a_run() {
    let world = world();
    let script = format!(
        "{COMMIT} one >&2; lock=.git/notme-attest.lock; (exec 9>$lock; flock 9; exec sleep 60) >&2 & \
         while flock -n $lock true; do :; done; echo $!"
    );
    let mut command = world.command(NOTME);
    command.args(["run", "--", "sh", "-ec", &script]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let holder: i32 = said.next().unwrap().unwrap().parse().unwrap();
    let begun = Instant::now();
    let status = loop {
        // The first ones may be for the program.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        thread::sleep(Duration::from_millis(50));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(begun.elapsed() < Duration::from_secs(15)),
        }
    };
    kill_process(Pid::from_raw(holder).unwrap(), Signal::KILL).unwrap();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
}

/// Whoever does as they are told does not make a success of a failure.
#[test]
fn what_makes_up_for_a_lost_end_says_how_it_was() {
    let ended = "--end --termination completed --outcome";
    for (options, code, how, outcome) in [
        (&[][..], 1, format!("{ended} failed"), Some("failed")),
        (&[], 0, format!("{ended} succeeded"), Some("succeeded")),
        (&["--suspend"], 1, "--suspend".to_owned(), None),
    ] {
        let world = world();
        let lock = ".git/notme-attest.lock";
        // Nobody can lock a directory.
        let script = format!("{COMMIT} one; rm {lock}; mkdir {lock}; exit {code}");
        let output = session(&world, options, &script);
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        fs::remove_dir(world.path().join(lock)).unwrap();
        let told = told(&output);
        let hint = told
            .lines()
            .find_map(|line| Some(line.split_once("run: notme ")?.1));
        let hint = hint.unwrap_or_else(|| panic!("{told}"));
        assert!(hint.contains(&how), "{told}");
        world.notme_ok(&hint.split_whitespace().collect::<Vec<_>>());
        let records = records(&world, "HEAD");
        let last = records.last().unwrap();
        match outcome {
            Some(outcome) => assert_eq!(last["outcome"], outcome),
            None => assert_eq!(last["lifecycle"], "suspended"),
        }
    }
}

/// Where a record is gone, nothing can be added to its chain; a remote may have it.
#[test]
fn what_makes_up_for_a_lost_record_is_to_fetch_it() {
    let world = world();
    let _bare = world.remote();
    let forget =
        "git for-each-ref --format='delete %(refname)' refs/attestations | git update-ref --stdin";
    let script = format!("{COMMIT} one; git push -q origin HEAD; {forget}; exit 1");
    let output = session(&world, &[], &script);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let told = told(&output);
    assert!(told.contains("chain-prefix-missing"), "{told}");
    assert!(!told.contains("run: notme"), "{told}");
    let (before, after) = told
        .split_once(", and then: notme ")
        .unwrap_or_else(|| panic!("{told}"));
    assert!(
        before.ends_with("`notme attest fetch REMOTE` brings it back"),
        "{told}"
    );
    world.notme_ok(&["attest", "fetch", "origin"]);
    let hint = after.lines().next().unwrap();
    world.notme_ok(&hint.split_whitespace().collect::<Vec<_>>());
    assert_eq!(outcome(&records(&world, "HEAD")), "failed");
    assert_eq!(judged(&world, &["HEAD"]).0, Some(0));
}

/// Something else sits where the embedded authority was.
fn authority(world: &World) -> String {
    let authority = world.notme_home().join("data/authority");
    authority.display().to_string()
}

fn away(world: &World) -> String {
    let authority = authority(world);
    format!("\"$NOTME\" authority stop; mv {authority} {authority}.away; touch {authority}")
}

/// Does what the note says that comes while the authority is away, once it is back.
fn make_up(world: &World, told: &str) -> Output {
    assert!(told.contains("has not ended"), "{told}");
    assert!(!told.contains("has ended"), "{told}");
    come_back(world);
    let hints = told.lines().filter_map(|line| {
        let (_, hint) = line.split_once("once the authority is there, run: ")?;
        Some(hint)
    });
    let hints = hints.collect::<Vec<_>>().join("\n");
    let programs = Path::new(NOTME).parent().unwrap().display().to_string();
    let path = format!("PATH={programs}:$PATH");
    run(&mut world.shell(&format!("set -e; {path}; {hints}")), b"")
}

fn come_back(world: &World) {
    let authority = authority(world);
    fs::remove_file(&authority).unwrap();
    fs::rename(format!("{authority}.away"), &authority).unwrap();
}

fn assert_attested(world: &World, revisions: &[&str]) {
    for revision in revisions {
        let (exit, commits) = judged(world, &[revision]);
        assert_eq!(exit, Some(0), "{revision}: {commits:?}");
    }
}

/// The key agent may have been started anew by then; it ends by itself when nobody needs it.
#[test]
fn an_end_that_comes_while_the_authority_is_away_is_told_and_made_up_for() {
    for is_same in [true, false] {
        let world = world();
        let away = away(&world);
        let script = format!("{COMMIT} one; {SLY}; {away}; {COMMIT} two; {COMMIT} three; exit 1");
        let output = session(&world, &[], &script);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        let (_, commits) = judged(&world, &["HEAD~3"]);
        assert_eq!(commits[0]["code"], "chain-tail-missing", "{commits:?}");
        if !is_same {
            world.notme_ok(&["agent", "stop"]);
        }
        let made_up = make_up(&world, &told(&output));
        assert!(made_up.status.success(), "{}", told(&made_up));
        assert_eq!(records(&world, "HEAD").last().unwrap()["outcome"], "failed");
        // What no hook saw is covered, too.
        assert_attested(&world, &["HEAD", "HEAD~1", "HEAD~2", "HEAD~3"]);
    }
}

/// Nobody looks at what is in other repositories; but what was recorded there is known.
#[test]
fn ends_elsewhere_that_come_while_the_authority_is_away_are_made_up_for() {
    let world = world();
    let away = away(&world);
    let script = format!(
        r#"
        git worktree add -q ../linked 2>&- || git -C .. init -q linked
        git init -q ../other
        for it in linked other; do (cd ../$it; {COMMIT} one); done
        {away}
        for it in linked other; do (cd ../$it; {COMMIT} two); done
        "#
    );
    let mut command = world.notme_command();
    command.args(["run", "--agent", "claude", "--", "sh", "-ec", &script]);
    let nowhere = world.home().join("nowhere");
    fs::create_dir(&nowhere).unwrap();
    let output = run(command.env("NOTME", NOTME).current_dir(&nowhere), b"");
    assert!(output.status.success(), "{}", told(&output));
    let made_up = make_up(&world, &told(&output));
    assert!(made_up.status.success(), "{}", told(&made_up));
    for name in ["linked", "other"] {
        let mut verify = world.notme_command();
        verify.args(["attest", "verify", "HEAD", "HEAD~1"]);
        let output = run(verify.current_dir(world.home().join(name)), b"");
        assert!(output.status.success(), "{}", told(&output));
    }
}

/// What goes on from a suspension that shows no time is the same chain, also by another key.
#[test]
fn what_is_suspended_while_the_authority_is_away_is_covered_later() {
    for is_same in [true, false] {
        let world = world();
        let away = away(&world);
        let script = format!("echo $NOTME_ACTIVITY; {COMMIT} one; {away}; {COMMIT} two");
        let output = session(&world, &["--suspend"], &script);
        assert!(output.status.success(), "{}", told(&output));
        come_back(&world);
        let id = String::from_utf8(output.stdout.clone()).unwrap();
        let mut options = vec!["--activity", id.lines().next().unwrap()];
        let said = told(&output);
        if !is_same {
            world.notme_ok(&["agent", "stop"]);
            let (_, after) = said.split_once("names the last one: `").unwrap();
            options.extend(after.split('`').next().unwrap().split(' '));
        }
        session_ok(&world, &options, &format!("{COMMIT} three"));
        assert_attested(&world, &["HEAD", "HEAD~1", "HEAD~2"]);
    }
}

/// All records are there, and none has a time: no remote has better ones.
#[test]
fn a_run_while_the_authority_is_away_is_made_up_for() {
    for is_same in [true, false] {
        let world = world();
        session_ok(&world, &[], "true");
        let mut shell = world.command("sh");
        let gone = run(shell.env("NOTME", NOTME).args(["-ec", &away(&world)]), b"");
        assert!(gone.status.success(), "{}", told(&gone));
        let output = session(&world, &[], &format!("{COMMIT} one; {COMMIT} two"));
        assert!(output.status.success(), "{}", told(&output));
        if !is_same {
            world.notme_ok(&["agent", "stop"]);
        }
        let made_up = make_up(&world, &told(&output));
        assert!(made_up.status.success(), "{}", told(&made_up));
        assert_attested(&world, &["HEAD", "HEAD~1"]);
    }
}

/// Runs a script under `notme run`, one that fails around it, and tells what the records of both say that
/// no hook saw: of the one around it, and of the other. Which is over first is up to the caller.
fn unseen_by_both(format: &str, script: &str, is_outer_first: bool) -> (World, [Vec<String>; 2]) {
    let world = world();
    session_ok(&world, &["--format", format], &format!("{COMMIT} base"));
    let file = |name: &str| world.home().join(name).display().to_string();
    let (begun, made, over) = (file("begun"), file("made"), file("over"));
    let wait = |file: &str| format!("until test -e {file}; do sleep 0.05; done");
    let outer_ends = match is_outer_first {
        true => wait(&made),
        false => wait(&over),
    };
    let inner_ends = match is_outer_first {
        true => wait(&over),
        false => String::new(),
    };
    let outer = format!("{COMMIT} outer; touch {begun}; {outer_ends}; exit 1");
    let inner = format!("trap 'touch {made}' EXIT; {script}; touch {made}; {inner_ends}");
    let options = ["--format", format];
    thread::scope(|scope| {
        let around = scope.spawn(|| session(&world, &options, &outer));
        while !Path::new(&begun).exists() && !around.is_finished() {
            thread::sleep(Duration::from_millis(20));
        }
        let within = scope.spawn(|| session(&world, &options, &inner));
        let (first, second) = match is_outer_first {
            true => (around, within),
            false => (within, around),
        };
        let first = first.join().unwrap();
        fs::write(&over, "").unwrap();
        let mut codes = [first, second.join().unwrap()].map(|output| output.status.code());
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(1)]);
    });
    let unseen = ["outer", "inner"].map(|subject| {
        let revision = format!(":/^{subject}");
        let revision = world.git_ok(&["rev-parse", &revision]);
        let records = records(&world, &revision);
        let unseen = events(&records, "unseen-commit").into_iter();
        unseen.map(str::to_owned).collect()
    });
    (world, unseen)
}

/// Neither does the end of the one that failed cover what the other made.
#[test]
fn runs_at_once_do_not_claim_each_others_commits() {
    let inner = format!("{COMMIT} inner");
    // A moment before its hook records it, a commit has no more than its trailer.
    let unrecorded = format!(
        "{inner}; trailer=$(\"$NOTME\" attest trailer --activity \"$NOTME_ACTIVITY\"); \
         git update-ref HEAD $(printf 'sly\n\n%s\n' \"$trailer\" | \
         git commit-tree -S -p HEAD HEAD^{{tree}})"
    );
    let sly = format!("{inner}; {SLY}");
    for (format, script, is_outer_first) in [
        // Certificates that name the activity.
        ("x509", &sly, true),
        ("openpgp", &sly, true),
        // None does: what shows whose they are is the trailer, or that the other run recorded them.
        ("ssh", &unrecorded, true),
        ("ssh", &sly, false),
    ] {
        let (world, unseen) = unseen_by_both(format, script, is_outer_first);
        let sly = world.git_ok(&["rev-parse", "HEAD"]);
        assert_eq!(unseen, [vec![], vec![sly]], "{format}");
        let records = records(&world, "HEAD");
        assert_eq!(outcome(&records), "succeeded", "{format}");
        let (exit, commits) = judged(&world, &["HEAD"]);
        assert_eq!(exit, Some(0), "{format}: {commits:?}");
    }
}

/// An activity that a run started is no other run's.
#[test]
fn what_a_run_says_of_its_commits_elsewhere_keeps_them_in_its_record() {
    let world = world();
    let library = world.home().join("library").display().to_string();
    let script = format!(
        r#"
        {COMMIT} one; {SLY}
        git init -q {library}; main=$PWD; cd {library}; {COMMIT} part
        git fetch -q $main HEAD
        "$NOTME" attest activity FETCH_HEAD --activity "$NOTME_ACTIVITY/1"
        "$NOTME" attest export FETCH_HEAD >{library}/bundles
        cd $main; "$NOTME" attest import --unjudged {library}/bundles
        exit 1
        "#
    );
    let output = session(&world, &["--format", "ssh"], &script);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let sly = world.git_ok(&["rev-parse", "HEAD"]);
    let records = records(&world, "HEAD~1");
    assert_eq!(events(&records, "unseen-commit"), [sly]);
    assert_eq!(outcome(&records), "failed");
}

/// Its end is recorded then, and is sent to a remote that takes its time.
#[test]
fn what_a_run_leaves_behind_gets_no_signature_after_its_end() {
    let world = world();
    let bare = world.remote();
    let hook = bare.path().join("hooks/pre-receive");
    let script = format!(
        r#"
        {COMMIT} one
        git push -q origin HEAD:refs/heads/main
        mkdir -p $(dirname {hook})
        printf '#!/bin/sh\ntouch {home}/ending; until test -e {home}/over; do sleep 0.1; done\n' >{hook}
        chmod +x {hook}
        setsid sh -c '
            until test -e {home}/ending; do sleep 0.1; done
            for number in 1 2 3; do {COMMIT} $number; git tag -s -m x tag-$number; done
            touch {home}/over
        ' >{home}/left 2>&1 &
        "#,
        hook = hook.display(),
        home = world.home().display(),
    );
    session_ok(&world, &[], &script);
    let left = fs::read_to_string(world.home().join("left")).unwrap();
    assert_eq!(
        left.matches("failed to write commit object").count(),
        3,
        "{left}"
    );
    assert_eq!(world.git_ok(&["log", "--format=%s", "--branches"]), "one");
    assert_eq!(world.git_ok(&["tag"]), "");
    assert_eq!(judged(&world, &["HEAD"]).0, Some(0));
}

/// git takes a moment from the signature to the branch.
#[test]
fn a_commit_that_comes_while_the_end_is_recorded_is_told() {
    for format in ["x509", "ssh"] {
        let world = world();
        let script = format!(
            r#"
            {COMMIT} one
            late=$(git commit-tree -S -p HEAD -m late HEAD^{{tree}})
            other=$(printf 'other\n\nAgent-Chain: sha256:%064d\n' 7 |
                git commit-tree -S -p HEAD HEAD^{{tree}})
            lock=.git/notme-attest.lock
            (
                exec 9>$lock; flock 9; touch held
                until ls -l /proc/$PPID/fd | grep -q $lock; do sleep 0.1; done
                git update-ref refs/heads/late $late
                git update-ref refs/heads/other $other
            ) >left 2>&1 &
            until test -e held; do sleep 0.1; done
            "#
        );
        let output = session(&world, &["--format", format], &script);
        assert!(output.status.success(), "{}", told(&output));
        let is_told = |branch: &str| {
            let id = world.git_ok(&["rev-parse", branch]);
            let said = format!("commit {id} was signed in the run and came when its end");
            told(&output).contains(&said)
        };
        assert!(is_told("late"), "{format}: {}", told(&output));
        // Where the certificate names no activity, the trailer says whose it is.
        let is_ours = format == "x509";
        assert_eq!(is_told("other"), is_ours, "{format}: {}", told(&output));
        assert_eq!(events(&records(&world, "HEAD"), "unseen-commit"), [""; 0]);
    }
}

#[test]
fn a_repository_that_is_made_anew_begins_another_activity() {
    let world = world();
    let place = world.home().join("anew");
    let script = format!(
        r#"
        {COMMIT} one
        for number in 1 2; do
            rm -rf {place}; git init -q {place}; cd {place}; {COMMIT} $number
        done
        rm .git/notme-attest.lock; mkdir .git/notme-attest.lock
        {COMMIT} three
        rmdir .git/notme-attest.lock
        printf %s "$NOTME_ACTIVITY"
        "#,
        place = place.display()
    );
    let output = session(&world, &[], &script);
    assert!(output.status.success(), "{}", told(&output));
    let id = String::from_utf8(output.stdout.clone()).unwrap();
    let told = told(&output);
    assert!(told.contains("1 repositories that the run"), "{told}");
    // What a hook says that failed, of the chain that is there.
    let chain = format!("--activity {id}/2 --agent agent");
    assert!(told.contains(&chain), "{told}");
    assert!(!told.contains("was not recorded"), "{told}");
    assert_eq!(judged(&world, &["HEAD"]).0, Some(0));
    let mut world = world;
    world.set_env("GIT_DIR", place.join(".git"));
    assert_eq!(judged(&world, &["HEAD~1"]).0, Some(0));
    let records = records(&world, "HEAD~1");
    assert_eq!(records[0]["activity"]["id"], format!("{id}/2"));
    assert_eq!(outcome(&records), "succeeded");
}
