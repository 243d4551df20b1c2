//! Statements in numbers: many writers at once, and many statements.

use std::{fmt::Write as _, process::Stdio};

use notme_core::{hex, key::sha256};
use notme_testkit::repository::Repository;

use crate::world::{World, told};

/// Returns how many statements about HEAD there are; all of them have to be good.
fn accepted(world: &World) -> usize {
    let output = world.notme(&["attest", "verify", "--json"]);
    assert!(output.status.success(), "{}", told(&output));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    document[0]["attestations"].as_array().unwrap().len()
}

/// Processes, as agents in linked worktrees are, while git packs objects and refs away.
#[test]
fn writers_lose_nothing_while_git_collects_garbage() {
    const WRITERS: usize = 6;
    let world = World::initialised();
    world.signed_commit("one");
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let mut command = world.notme_command();
            // Who says the same says it once.
            let model = number.to_string();
            let piped = command
                .args(["attest", "dispatch", "HEAD", "--model", &model])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            piped.spawn().unwrap()
        })
        .collect();
    while writers
        .iter_mut()
        .any(|writer| writer.try_wait().unwrap().is_none())
    {
        world.git_ok(&["gc", "--quiet"]);
    }
    for writer in writers {
        let output = writer.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    }
    // Each makes a record of its activity, and the dispatch that speaks of it.
    assert_eq!(accepted(&world), 2 * WRITERS);
    world.git_ok(&["gc", "--quiet"]);
    world.git_ok(&["fsck", "--strict"]);
    assert_eq!(accepted(&world), 2 * WRITERS);
}

/// Puts statements about as many commits beside those that there are, by git's own means.
fn fill(world: &World, number: usize) {
    let mut stream = String::from(
        "commit refs/attestations/commits\ncommitter n <n@n> 1795176000 +0000\ndata 0\n\
         from refs/attestations/commits^0\n",
    );
    for number in 0..number {
        let content = format!("{{\"number\":{number}}}");
        let commit = hex::encode(&sha256(content.as_bytes()));
        let (name, commit) = (&commit[..16], &commit[24..]);
        let (head, rest) = commit.split_at(2);
        write!(
            stream,
            "M 100644 inline {head}/{rest}/{name}.sigstore.json\ndata {}\n{content}\n",
            content.len()
        )
        .unwrap();
    }
    world.import(&stream);
}

/// What a fetch brought that was not packed on arrival.
fn objects(world: &World) -> usize {
    let counted = world.git_ok(&["count-objects", "-v"]);
    let numbers = counted.lines().filter_map(|line| line.split_once(": "));
    let numbers = numbers.filter(|(name, _)| matches!(*name, "count" | "in-pack"));
    numbers
        .map(|(_, number)| number.parse::<usize>().unwrap())
        .sum()
}

#[test]
fn one_statement_among_a_hundred_thousand_is_found_and_fetched_alone() {
    const MANY: usize = 100_000;
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    fill(&world, MANY);
    assert_eq!(accepted(&world), 2);
    let bare = world.remote();
    let url = bare.path();
    let url = url.to_str().unwrap();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    let refused = world.notme(&["attest", "push"]);
    let said = told(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("and {} more: ", MANY - 20)),
        "{said}"
    );
    let all = "refs/attestations/*:refs/attestations/*";
    world.git_ok(&["push", "--quiet", "--no-verify", "origin", all]);

    let clone = world.another_repository(Repository::new());
    clone.git_ok(&["remote", "add", "origin", url]);
    clone.git_ok(&["pull", "--quiet", "origin", "main"]);
    // What fills the shelves is signed by nobody: left out, and the rest is taken.
    let output = clone.notme(&["attest", "fetch"]);
    assert!(output.status.success(), "{}", told(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("3 statements were new"), "{said}");
    assert!(said.contains(&format!("{MANY} files")), "{said}");
    assert_eq!(accepted(&clone), 2);
    // As it was taken before there was anything to leave out.
    clone.git_ok(&[
        "fetch",
        "--quiet",
        "origin",
        "+refs/attestations/*:refs/attestations/*",
    ]);
    assert_eq!(accepted(&clone), 2);

    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["attest", "push"]);
    let before = objects(&clone);
    clone.notme_ok(&["attest", "fetch"]);
    let fetched = objects(&clone) - before;
    // Two bundles, in three trees of up to four levels, and three commits.
    assert!((1..=20).contains(&fetched), "{fetched} objects");
    assert_eq!(accepted(&clone), 4);
}
