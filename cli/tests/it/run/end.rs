//! The end of a run, of which the run has left what it likes where it could write.

use std::fs;

use super::{COMMIT, session};
use crate::world::{World, told};

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
