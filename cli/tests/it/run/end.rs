//! The end of a run, of which the run has left what it likes where it could write.

use std::fs;

use serde_json::Value;

use super::{COMMIT, judged, records, session, world};
use crate::world::{World, told};

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
    // What a hook says that failed, of the chain that is there.
    assert!(told.contains(&format!("HEAD --activity {id}/2")), "{told}");
    assert_eq!(judged(&world, &["HEAD"]).0, Some(0));
    let mut world = world;
    world.set_env("GIT_DIR", place.join(".git"));
    assert_eq!(judged(&world, &["HEAD~1"]).0, Some(0));
    let records = records(&world, "HEAD~1");
    assert_eq!(records[0]["activity"]["id"], format!("{id}/2"));
    assert_eq!(outcome(&records), "succeeded");
}
