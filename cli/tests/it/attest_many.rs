//! Statements in numbers: many writers at once, and many statements.

use std::{
    fmt::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};

use notme_core::{hex, key::sha256};
use notme_testkit::repository::{Repository, run};

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

/// It lies with each of them.
#[test]
fn a_statement_about_hundreds_of_commits_is_pushed_and_exported_at_once() {
    const MANY: usize = 600;
    let world = World::initialised();
    let mut stream = String::new();
    for number in 0..=MANY {
        let commit = "commit refs/heads/main\ncommitter n <n@n> 1795176000 +0000\ndata 0\n";
        write!(stream, "{commit}M 100644 inline f\ndata 3\n{number:03}\n").unwrap();
    }
    world.import(&stream);
    let bare = world.remote();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    let mut install = world.notme_command();
    let install = install.current_dir(bare.path());
    let output = run(install.args(["hooks", "install", "--server"]), b"");
    assert!(output.status.success(), "{}", told(&output));

    let all = format!("main~{MANY}..main");
    world.notme_ok(&["attest", "handoff", "--to-phase", "b", &all]);
    let began = Instant::now();
    world.notme_ok(&["attest", "push"]);
    assert!(began.elapsed() < Duration::from_secs(30));
    let shelf = "refs/attestations/commits";
    assert_eq!(
        bare.git_ok(&["rev-parse", shelf]),
        world.git_ok(&["rev-parse", shelf])
    );
    // Far less than all copies of it take.
    for revision in ["main", &all] {
        let script = format!("ulimit -v 150000; notme attest export {revision}");
        let output = run(&mut world.shell(&script), b"");
        assert!(output.status.success(), "{}", told(&output));
        let bundles = String::from_utf8(output.stdout).unwrap();
        // The handoff, and the two records of its activity.
        assert_eq!(bundles.lines().count(), 3);
    }
    let shown = world.notme_ok(&["attest", "show", "--json", &all]);
    let shown: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown.len(), 2);
}

/// As of one that brings a whole project.
#[test]
fn a_dispatch_of_a_commit_of_very_many_files_leaves_their_list_out() {
    const MANY: usize = 12_000;
    let world = World::initialised();
    let mut stream = String::from(
        "blob\nmark :1\ndata 2\nx\n\ncommit refs/heads/main\ncommitter n <n@n> 1795176000 +0000\ndata 0\n",
    );
    let directory = "directory/".repeat(10);
    for number in 0..MANY {
        writeln!(stream, "M 100644 :1 {directory}{number}").unwrap();
    }
    world.import(&stream);
    let output = world.notme(&["attest", "dispatch"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("`filesChanged` is left out"));
    let shown = world.notme_ok(&["attest", "show", "--json"]);
    let shown: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
    let mut works = shown
        .iter()
        .map(|it| &it["predicate"]["runDetails"]["work"]);
    let work = works.find(|it| it.is_object()).unwrap();
    assert_eq!(work["linesAdded"], MANY);
    assert!(work.get("filesChanged").is_none());

    // What the user says themselves is not left out.
    world.write(
        "more.json",
        &format!("{{\"x\":\"{}\"}}", "x".repeat(1_048_500)),
    );
    let output = world.notme(&["attest", "dispatch", "--members", "more.json"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("statement-malformed"),
        "{}",
        told(&output)
    );
}
