//! Statements where somebody else, or the configuration, works against them.

use std::{env, fs, process::Output};

use notme_attest::Bundle;
use notme_core::{base64, hex, key::sha256};
use notme_testkit::repository::{Repository, run};
use serde_json::Value;

use crate::world::{NOTME, World, told};

/// Returns the digests of the statements about HEAD, judged or not.
fn digests(world: &World) -> Vec<String> {
    let shown = world.notme_ok(&["attest", "show", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let digest = |it: &Value| it["digest"].as_str().unwrap().to_owned();
    shown.as_array().unwrap().iter().map(digest).collect()
}

fn kept(world: &World) -> usize {
    digests(world).len()
}

/// Returns what a line of an export says.
fn statement(bundle: &str) -> Value {
    let bundle = Bundle::from_json(bundle.as_bytes()).unwrap();
    serde_json::from_slice(bundle.envelope().payload()).unwrap()
}

/// A commit that was attested and pushed, and where to.
fn pushed() -> (World, Repository) {
    let world = World::initialised();
    world.signed_commit("one");
    let bare = world.remote();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    world.notme_ok(&["attest", "dispatch", "--model", "m"]);
    world.notme_ok(&["attest", "push"]);
    (world, bare)
}

/// As a mirror has it, or who wants to see the refs of others where they are.
#[test]
fn a_fetch_moves_no_ref_that_the_configuration_names() {
    for all in ["+refs/attestations/*:refs/attestations/*", "+refs/*:refs/*"] {
        let (world, bare) = pushed();
        world.git_ok(&["config", "--add", "remote.origin.fetch", all]);
        world.notme_ok(&["attest", "dispatch", "--model", "n"]);
        assert_eq!(kept(&world), 4);
        world.notme_ok(&["attest", "fetch"]);
        assert_eq!(kept(&world), 4, "{all}");
        world.notme_ok(&["attest", "push"]);
        let listed = ["ls-tree", "-r", "--name-only", "refs/attestations/commits"];
        assert_eq!(bare.git_ok(&listed).lines().count(), 4, "{all}");
    }
}

/// As `git remote add --mirror` has it: all refs are the remote's, in either direction.
#[test]
fn a_mirror_gets_and_loses_nothing_but_attestations() {
    let (world, bare) = pushed();
    for (name, value) in [
        ("remote.origin.mirror", "true"),
        ("remote.origin.fetch", "+refs/*:refs/*"),
        ("push.followTags", "true"),
    ] {
        world.git_ok(&["config", name, value]);
    }
    bare.git_ok(&["branch", "theirs", "main"]);
    world.signed_commit("ours");
    world.git_ok(&["branch", "ours"]);
    world.git_ok(&[
        "tag",
        "-m",
        "t",
        "--no-sign",
        "t",
        "refs/attestations/commits",
    ]);
    let others = |side: &Repository| {
        let all = side.git_ok(&["for-each-ref"]);
        let others = all.lines().filter(|line| !line.contains("attestations/"));
        others.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = (others(&world), others(&bare));
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["attest", "push"]);
    let commits = ["rev-parse", "refs/attestations/commits"];
    assert_eq!(bare.git_ok(&commits), world.git_ok(&commits));
    bare.git_ok(&["update-ref", "-d", "refs/attestations/commits"]);
    world.notme_ok(&["attest", "fetch"]);
    world.notme_ok(&["attest", "push", "--replace"]);
    assert_eq!(bare.git_ok(&commits), world.git_ok(&commits));
    assert_eq!((others(&world), others(&bare)), before);
}

/// Whatever moves them, it is seen, and said where they were.
#[test]
fn what_is_lost_while_a_remote_is_asked_is_told() {
    let (world, _bare) = pushed();
    let reference = "refs/attestations/commits";
    let was = world.git_ok(&["rev-parse", reference]);
    let output = fetch_while(&world, &format!("git update-ref {reference} HEAD"));
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let back = format!("git update-ref {reference} {was}");
    assert!(told(&output).contains(&back), "{}", told(&output));
}

/// Runs `notme attest fetch`, and a command when git begins to fetch.
fn fetch_while(world: &World, command: &str) -> Output {
    let script = format!(
        "PATH=${{PATH#*:}}\ncase \" $* \" in *' fetch '*) {command};; esac\nexec git \"$@\""
    );
    world.stub("git", &script);
    let path = format!("{}:{}", world.stubs().display(), env::var("PATH").unwrap());
    let mut fetch = world.notme_command();
    run(fetch.env("PATH", path).args(["attest", "fetch"]), b"")
}

#[test]
fn what_is_dropped_while_a_remote_is_asked_is_not_lost() {
    let (world, _bare) = pushed();
    let handoff = world.notme_ok(&["attest", "handoff"]);
    let digest = handoff.split(' ').next().unwrap();
    let drop = format!("{NOTME} attest drop HEAD {digest} --reason wrong");
    let output = fetch_while(&world, &drop);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(!digests(&world).iter().any(|it| it == digest));
    assert_eq!(kept(&world), 3);
    // Nor is it taken for everything.
    let other = "git update-ref refs/attestations/trees HEAD";
    let output = fetch_while(&world, &format!("{drop} --force; {other}"));
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
}

#[test]
fn a_push_is_none_of_submodules_in_its_place() {
    let world = World::initialised();
    world.signed_commit("one");
    let bare = world.remote();
    world.notme_ok(&["attest", "dispatch"]);
    for only in ["push.recurseSubmodules", "submodule.recurse"] {
        let value = if only.starts_with("push") {
            "only"
        } else {
            "true"
        };
        world.git_ok(&["config", only, value]);
    }
    world.notme_ok(&["attest", "push"]);
    assert_eq!(bare.git_ok(&["for-each-ref"]).lines().count(), 3);
    bare.git_ok(&["update-ref", "-d", "refs/attestations/commits"]);
    world.notme_ok(&["attest", "push", "--replace"]);
    assert_eq!(bare.git_ok(&["for-each-ref"]).lines().count(), 3);
}

/// A few trees may hold each other as often as somebody likes.
#[test]
fn more_than_anybody_looks_at_is_refused_until_somebody_takes_it_out() {
    let (world, bare) = pushed();
    let mut entry = format!("100644 blob {}", bare.write_object_unchecked("blob", b"{}"));
    for (count, width, end) in [(6_000, 16, ".sigstore.json"), (400, 38, ""), (256, 2, "")] {
        let lines = (0..count).map(|number| format!("{entry}\t{number:0width$x}{end}\n"));
        let made = bare.git_with_input(&["mktree"], lines.collect::<String>().as_bytes());
        let tree = String::from_utf8(made.stdout).unwrap();
        entry = format!("040000 tree {}", tree.trim());
    }
    let (_, tree) = entry.rsplit_once(' ').unwrap();
    let reference = "refs/attestations/commits";
    let commit = bare.git_ok(&["commit-tree", "-p", reference, "-m", "x", tree]);
    bare.git_ok(&["update-ref", reference, &commit]);
    for transfer in ["fetch", "push"] {
        let output = world.notme(&["attest", transfer]);
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        assert!(
            told(&output).contains("push --replace"),
            "{}",
            told(&output)
        );
    }
    world.notme_ok(&["attest", "push", "--replace"]);
    let tip = ["rev-parse", reference];
    assert_eq!(bare.git_ok(&tip), world.git_ok(&tip));
    world.notme_ok(&["attest", "fetch"]);
    world.notme_ok(&["attest", "verify"]);
}

/// Whoever has a bundle can carry it otherwise.
#[test]
fn what_was_dropped_by_its_digest_stays_away() {
    let (world, bare) = pushed();
    let dispatch = world.notme_ok(&["attest", "handoff", "--from-phase", "x"]);
    let digest = dispatch.split(' ').next().unwrap();
    let exported = world.notme_ok(&["attest", "export"]);
    let because = ["--reason", "it is wrong"];
    world.notme_ok(&[&["attest", "drop", "HEAD", digest][..], &because].concat());
    // Another clone has the same, laid out otherwise.
    let clone = world.another_repository(Repository::new());
    let url = bare.path();
    clone.git_ok(&["remote", "add", "origin", url.to_str().unwrap()]);
    clone.git_ok(&["pull", "--quiet", "origin", "main"]);
    let spaced: String = exported.lines().map(|line| format!(" {line}\n")).collect();
    clone.write("bundles.jsonl", &spaced);
    clone.notme_ok(&["attest", "import", "bundles.jsonl"]);
    clone.notme_ok(&["attest", "push"]);
    let output = world.notme(&["attest", "fetch"]);
    assert!(told(&output).contains("dropped here"), "{}", told(&output));
    let list = world.path().join(".git/notme-attest/dropped.jsonl");
    assert!(fs::read_to_string(list).unwrap().contains(digest));
    assert!(!digests(&world).iter().any(|it| it == digest));
}

/// One record that breaks its chain breaks all of it, so that none is made.
#[test]
fn members_on_which_a_chain_hangs_are_not_set_by_the_user() {
    let world = World::initialised();
    let commit = world.signed_commit("one");
    for (member, json) in [
        ("`chain`", r#"{"chain":{"sequence":7}}"#),
        ("`activity.id`", r#"{"activity":{"id":"urn:x"}}"#),
        ("`activity.segment`", r#"{"activity":{"segment":2}}"#),
        ("`activity.parent`", r#"{"activity":{"parent":"urn:x"}}"#),
        ("`activity.id`", r#"{"activity":7}"#),
        ("`workload`", r#"{"workload":"unknown"}"#),
        ("`lifecycle`", r#"{"lifecycle":"suspended"}"#),
        ("`termination`", r#"{"termination":"failed"}"#),
        ("`recordedAt`", r#"{"recordedAt":"2001-01-01T00:00:00Z"}"#),
    ] {
        world.write("more.json", json);
        let output = world.notme(&["attest", "activity", "--members", "more.json"]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(member), "{}", told(&output));
        let mut succeed = world.notme_command();
        succeed.args(["attest", "succeed", "--members", "more.json"]);
        let line = format!("{} {commit}\n", "1".repeat(40));
        let output = run(&mut succeed, line.as_bytes());
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    }
    assert_eq!(world.git_ok(&["for-each-ref", "refs/attestations"]), "");
    world.write("more.json", r#"{"activity":{"queue":"q"},"ticket":7}"#);
    world.notme_ok(&["attest", "activity", "--members", "more.json"]);
    world.notme_ok(&["attest", "verify"]);
}

/// Writes a policy that asks for L2.
fn policy_of_level(world: &World) -> String {
    world.policy(
        "[[authority]]\nname = \"embedded\"\nscopes = [\"sign:git\"]\n[[allow]]\nidentity = \"*\"\n[[require]]\nlevel = \"L2\"\n",
    )
}

/// What carries it is no better than what it says.
#[test]
fn a_dispatch_that_failed_meets_no_level() {
    let world = World::initialised();
    let policy = policy_of_level(&world);
    let meets = |failed: &str, more: &[&str]| {
        world.signed_commit(failed);
        world.write("failed.json", &format!("{{\"runDetails\":{{{failed}}}}}"));
        let dispatch = ["attest", "dispatch", "--members", "failed.json"];
        world.notme_ok(&[&dispatch[..], more].concat());
        let shown = world.notme_ok(&["attest", "show", "--json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let mut all = shown.as_array().unwrap().iter();
        let record = all.find(|it| it["predicate"]["chain"].is_object()).unwrap();
        let outcome = record["predicate"]["outcome"].as_str().unwrap().to_owned();
        let (exit, _) = world.verdicts(&["HEAD", "--policy", &policy]);
        (exit, outcome)
    };
    let bad = r#""outcome":{"success":false}"#;
    assert_eq!(meets(bad, &[]), (Some(3), "failed".to_owned()));
    let unverified = r#""verification":{"passed":false}"#;
    assert_eq!(meets(unverified, &[]), (Some(3), "failed".to_owned()));
    // Nor when the record says it otherwise.
    let outcome = ["--outcome", "succeeded"];
    let bad = r#""outcome":{"success":false,"x":1}"#;
    assert_eq!(meets(bad, &outcome), (Some(3), "succeeded".to_owned()));
    let good = r#""outcome":{"success":true}"#;
    assert_eq!(meets(good, &[]), (Some(0), "succeeded".to_owned()));
}

/// Wherever it is said: beside what it is about, or at the end of its chain.
#[test]
fn what_ends_with_a_failure_meets_no_level() {
    let world = World::initialised();
    let policy = policy_of_level(&world);
    let meets = || world.verdicts(&["HEAD", "--policy", &policy]).0 == Some(0);
    for kind in ["dispatch", "handoff"] {
        for (outcome, is_met) in [("failed", false), ("succeeded", true)] {
            world.signed_commit(&format!("{kind} {outcome}"));
            world.notme_ok(&["attest", kind, "--outcome", outcome]);
            assert_eq!(meets(), is_met, "{kind} {outcome}");
        }
    }
    for (outcome, is_met) in [("failed", false), ("succeeded", true)] {
        world.signed_commit(&format!("ended {outcome}"));
        let begun = world.notme_ok(&["attest", "activity", "--begin"]);
        let id = ["attest", "activity", "--activity", begun.trim()];
        world.notme_ok(&[&id[..], &["HEAD"]].concat());
        let end = ["--end", "--termination", "completed", "--outcome", outcome];
        world.notme_ok(&[&id[..], &end].concat());
        assert_eq!(meets(), is_met, "{outcome}");
    }
    for (exit, is_met) in [("1", false), ("0", true)] {
        let work = format!("echo {exit} > run; git add run; git commit -qm run; exit {exit}");
        let output = world.notme(&["run", "--agent", "claude", "--", "sh", "-c", &work]);
        assert_eq!(output.status.success(), is_met, "{}", told(&output));
        assert_eq!(meets(), is_met, "exit {exit}");
    }
}

/// As of a commit that was reworded, and attested, and is not pushed yet.
#[test]
fn what_is_stated_of_a_commit_that_is_elsewhere_refuses_none_of_its_tree() {
    let (world, bare) = pushed();
    world.signed_commit("two");
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    world.git_ok(&["commit", "--quiet", "--amend", "-m", "reworded"]);
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["attest", "push"]);
    let clone = world.another_repository(Repository::new());
    let url = bare.path();
    clone.git_ok(&["remote", "add", "origin", url.to_str().unwrap()]);
    clone.git_ok(&["pull", "--quiet", "origin", "main"]);
    clone.notme_ok(&["attest", "fetch"]);
    let output = clone.notme(&["attest", "verify", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let judged: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(judged[0]["code"], "attestation-missing");
    let all = judged[0]["attestations"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|it| it["code"] == "object-missing"));
}

#[test]
fn a_wrong_call_is_told_as_one() {
    let world = World::initialised();
    world.signed_commit("one");
    // Of `either`, git takes one, and says on stderr that there are two.
    world.git_ok(&["branch", "either"]);
    world.git_ok(&["tag", "--no-sign", "either", "HEAD^{tree}"]);
    assert_eq!(world.notme(&["verify", "either"]).status.code(), Some(2));
    for arguments in [
        &["verify", "either"][..],
        &["show", "HEAD^{tree}"],
        &["dispatch", "HEAD:one"],
        &["verify", "nowhere"],
        &["verify", "HEAD..nowhere"],
        &["dispatch", "nowhere"],
        &["show", "nowhere"],
        &["export", "nowhere"],
        &["verify", "--bundle", "/nonexistent"],
        &["verify", "--bundle", "/"],
        &["verify", "--origins", "/"],
        &["import", "/nonexistent"],
        &["import", "/"],
        &["dispatch", "--members", "/"],
        &["activity", "--events", "/"],
        &["dispatch", "--work-item", "I", "--work-item-hash", "short"],
        &["fetch", ""],
        &["push", ""],
    ] {
        let output = world.notme(&[&["attest"], arguments].concat());
        let said = told(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(!said.contains("fatal:"), "{said}");
    }
    let export = ["attest", "export", "--directory", "/proc/nothing"];
    let output = world.notme(&export);
    assert!(told(&output).contains("/proc/nothing"), "{}", told(&output));
}

#[test]
fn what_export_prints_is_read_wherever_bundles_are() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    world.write("all.jsonl", &world.notme_ok(&["attest", "export"]));
    let output = world.notme(&["attest", "import", "all.jsonl", "all.jsonl"]);
    assert!(told(&output).contains("3 statements"), "{}", told(&output));
    assert_eq!(
        of_bundles(&world, &["all.jsonl"]),
        (Some(0), vec!["accepted".to_owned(); 3])
    );
}

/// Each line of a file that somebody sends costs far more memory than it has bytes.
#[test]
fn a_file_of_too_many_lines_is_refused_whole() {
    let world = World::initialised();
    world.signed_commit("one");
    world.write("lines.jsonl", &"a\n".repeat(100_001));
    for read in [&["verify", "--bundle"][..], &["import"]] {
        let output = world.notme(&[&["attest"], read, &["lines.jsonl"]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(output.stdout.is_empty());
        let said = told(&output);
        assert!(
            said.contains("more than 100000 lines in `lines.jsonl`"),
            "{said}"
        );
    }
}

/// Returns the exit code for some files of bundles, and the code or verdict of each bundle.
fn of_bundles(world: &World, files: &[&str]) -> (Option<i32>, Vec<String>) {
    let mut arguments = vec!["attest", "verify", "--json"];
    arguments.extend(files.iter().flat_map(|file| ["--bundle", *file]));
    let output = world.notme(&arguments);
    let judged: Value = serde_json::from_slice(&output.stdout).unwrap();
    let word = |it: &Value| {
        it["code"]
            .as_str()
            .or(it["verdict"].as_str())
            .map(str::to_owned)
    };
    let words = judged.as_array().unwrap().iter().map(word);
    (output.status.code(), words.map(Option::unwrap).collect())
}

/// A chain that begins with no commit, carried by the commits, and with what it rests on.
#[test]
fn what_is_exported_is_judged_in_a_fresh_clone_as_it_is_where_it_is_kept() {
    let world = World::initialised();
    world.signed_commit("before");
    let id = world.notme_ok(&["attest", "activity", "--begin"]);
    let id = id.trim();
    for name in ["one", "two"] {
        let trailer = world.notme_ok(&["attest", "trailer", "--activity", id]);
        world.write(name, name);
        world.git_ok(&["add", name]);
        world.git_ok(&["commit", "--quiet", "-m", name, "--trailer", trailer.trim()]);
        world.notme_ok(&["attest", "dispatch", "--activity", id]);
    }
    world.notme_ok(&["attest", "activity", "--activity", id, "--end"]);
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    world.notme_ok(&["attest", "acceptance", "HEAD"]);
    let lines = world.notme_ok(&["attest", "export"]);
    let clone = world.another_repository(Repository::new());
    clone.git_ok(&["pull", "--quiet", world.path().to_str().unwrap(), "main"]);
    clone.write("all.jsonl", &lines);
    let good = vec!["accepted".to_owned(); 7];
    assert_eq!(of_bundles(&clone, &["all.jsonl"]), (Some(0), good.clone()));
    // One file for each is the same.
    let names: Vec<_> = (0..7).map(|number| format!("{number}.json")).collect();
    for (name, line) in names.iter().zip(lines.lines()) {
        clone.write(name, line);
    }
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(of_bundles(&clone, &names), (Some(0), good));
    // Of one that begins it, nobody can tell how it ends.
    let is_opening = |line: &str| statement(line)["predicate"]["chain"]["position"] == "opening";
    let opening = lines.lines().position(is_opening).unwrap();
    let alone = (Some(3), vec!["chain-tail-missing".to_owned()]);
    assert_eq!(of_bundles(&clone, &[names[opening]]), alone);
    names.remove(opening);
    let (exit, codes) = of_bundles(&clone, &names);
    assert_eq!(exit, Some(3), "{codes:?}");
    assert!(codes.contains(&"evidence-missing".to_owned()), "{codes:?}");
    // What is kept counts as well.
    clone.notme_ok(&["attest", "import", "all.jsonl"]);
    assert_eq!(of_bundles(&clone, &names).0, Some(0));
    assert_eq!(clone.notme(&["attest", "verify"]).status.code(), Some(0));
}

#[test]
fn what_lists_origins_is_not_exported() {
    let world = World::initialised();
    let commit = world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let line = world.notme_ok(&["attest", "export"]);
    let listed = line.lines().next().unwrap();
    let listed = listed.replacen('{', r#"{"contentOrigins":[],"#, 1);
    let (head, rest) = commit.split_at(2);
    let name = &hex::encode(&sha256(listed.as_bytes()))[..16];
    world.import(&format!(
        "commit refs/attestations/commits\ncommitter n <n@n> 1795176000 +0000\ndata 0\n\
         from refs/attestations/commits^0\n\
         M 100644 inline {head}/{rest}/{name}.sigstore.json\ndata {}\n{listed}\n",
        listed.len()
    ));
    for to in [&[][..], &["--directory", "out"]] {
        let output = world.notme(&[&["attest", "export"], to].concat());
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(
            told(&output).contains("contentOrigins"),
            "{}",
            told(&output)
        );
        assert!(output.stdout.is_empty() && !world.path().join("out").exists());
    }
    let rekor = ["--unjudged", "--rekor", "http://127.0.0.1:1"];
    let output = world.notme(&[&["attest", "publish"][..], &rekor].concat());
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("contentOrigins"),
        "{}",
        told(&output)
    );
}

/// git keeps no ref below another.
#[test]
fn a_ref_below_those_of_a_remote_stops_no_fetch() {
    let (world, bare) = pushed();
    let tip = bare.git_ok(&["rev-parse", "refs/attestations/commits"]);
    let below = "refs/attestations/commits/x";
    let clone = Repository::new();
    let path = bare.path();
    clone.git_ok(&["remote", "add", "origin", path.to_str().unwrap()]);
    clone.git_ok(&["pull", "--quiet", "origin", "main"]);
    let other = world.another_repository(clone);
    other.notme_ok(&["attest", "fetch"]);
    bare.git_ok(&["update-ref", "-d", "refs/attestations/commits"]);
    bare.git_ok(&["update-ref", below, &tip]);
    for side in [&world, &other] {
        side.notme_ok(&["attest", "fetch"]);
    }
    // As an older version left it.
    let tracking = "refs/notme/attestations/origin/commits";
    other.git_ok(&["update-ref", "-d", tracking]);
    other.git_ok(&["update-ref", &format!("{tracking}/x"), &tip]);
    bare.git_ok(&["update-ref", "-d", below]);
    bare.git_ok(&["update-ref", "refs/attestations/commits", &tip]);
    for side in [&world, &other] {
        side.notme_ok(&["attest", "fetch"]);
        assert_eq!(kept(side), 2);
    }
    assert_eq!(other.git_ok(&["rev-parse", tracking]), tip);
}

/// Nobody has to be somebody for a line in it.
#[test]
fn a_log_of_all_refs_stops_no_push() {
    let (mut world, bare) = pushed();
    world.git_ok(&["config", "core.logAllRefUpdates", "always"]);
    world.notme_ok(&["attest", "handoff"]);
    for name in ["NAME", "EMAIL"] {
        world.remove_env(format!("GIT_AUTHOR_{name}"));
        world.remove_env(format!("GIT_COMMITTER_{name}"));
    }
    world.notme_ok(&["attest", "push"]);
    let commits = ["rev-parse", "refs/attestations/commits"];
    assert_eq!(bare.git_ok(&commits), world.git_ok(&commits));
    world.notme_ok(&["attest", "push", "--replace"]);
}

/// Whichever command reads it, and with the name of the file.
#[test]
fn malformed_input_is_refused_with_its_code() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "handoff"]);
    let good = world.notme_ok(&["attest", "export"]);
    let good = good.lines().next().unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut bundle: Value = serde_json::from_str(good).unwrap();
        change(&mut bundle);
        bundle.to_string()
    };
    let with_payload = |change: &dyn Fn(&mut Value)| {
        changed(&|bundle| {
            let payload = &mut bundle["dsseEnvelope"]["payload"];
            let mut statement = statement(good);
            change(&mut statement);
            *payload = base64::encode(statement.to_string().as_bytes()).into();
        })
    };
    let beside = |more: &str| format!("{},{more}}}", good.strip_suffix('}').unwrap());
    let deep = format!(r#""x":{}{}"#, "[".repeat(200), "]".repeat(200));
    let before = world.git_ok(&["for-each-ref", "refs/attestations"]);
    for (name, text, code) in [
        (
            "long",
            format!("{good}{}", " ".repeat(4 << 20)),
            "envelope-malformed",
        ),
        ("deep", beside(&deep), "envelope-malformed"),
        ("twice", beside(r#""mediaType":"x""#), "envelope-malformed"),
        (
            "unsigned",
            changed(&|it| it["dsseEnvelope"]["signatures"] = Value::Array(Vec::new())),
            "envelope-malformed",
        ),
        (
            "certificate",
            changed(&|it| {
                it["verificationMaterial"]["certificate"]["rawBytes"] = "AAAA".into();
                it["verificationMaterial"]["x509CertificateChain"] = Value::Null;
            }),
            "envelope-malformed",
        ),
        (
            "type",
            with_payload(&|it| it["_type"] = "https://in-toto.io/Statement/v0.1".into()),
            "statement-malformed",
        ),
        (
            "origins",
            beside(r#""contentOrigins":[]"#),
            "origins-disclosed",
        ),
    ] {
        world.write(name, &text);
        let output = world.notme(&["attest", "import", name]);
        let said = told(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(&format!("`{name}`: {code}: ")), "{said}");
    }
    world.write("nothing", "");
    world.write("twice", r#"{"a":1,"a":2}"#);
    world.write("origins", r#"{"runDetails":{"contentOrigins":[]}}"#);
    world.write("wrong", r#"{"runDetails":{"work":"none"}}"#);
    for (arguments, said) in [
        (
            &["dispatch", "--members", "nothing"][..],
            "`nothing`: statement-malformed: ",
        ),
        (
            &["dispatch", "--members", "twice"],
            "`twice`: statement-malformed: ",
        ),
        (&["dispatch", "--members", "origins"], "origins-disclosed: "),
        (&["dispatch", "--members", "wrong"], "predicate-malformed: "),
        (
            &["dispatch", "--origins", "twice"],
            "`twice`: statement-malformed: ",
        ),
        (
            &["activity", "--events", "twice"],
            "`twice`: statement-malformed: ",
        ),
        (
            &["verify", "--origins", "twice"],
            "`twice`: origins-mismatch: ",
        ),
    ] {
        let output = world.notme(&[&["attest"], arguments].concat());
        let shown = told(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {shown}");
        assert!(shown.contains(said), "{arguments:?}: {shown}");
    }
    let after = world.git_ok(&["for-each-ref", "refs/attestations"]);
    assert_eq!(after, before);
}

/// Wherever it is stated.
#[test]
fn a_dispatch_states_all_that_was_changed() {
    let world = World::initialised();
    world.write("beside", "x");
    world.write("below/file", "x");
    world.git_ok(&["add", "."]);
    world.git_ok(&["commit", "--quiet", "-m", "one"]);
    world.git_ok(&["config", "diff.relative", "true"]);
    let mut dispatch = world.notme_command();
    dispatch.current_dir(world.path().join("below"));
    let output = run(dispatch.args(["attest", "dispatch"]), b"");
    assert!(output.status.success(), "{}", told(&output));
    let shown = world.notme_ok(&["attest", "show", "--json"]);
    let shown: Vec<Value> = serde_json::from_str(&shown).unwrap();
    let mut works = shown
        .iter()
        .map(|it| &it["predicate"]["runDetails"]["work"]);
    let work = works.find(|it| it.is_object()).unwrap();
    let text = work.to_string();
    assert!(
        text.contains("beside") && text.contains("below/file"),
        "{text}"
    );
}

#[test]
fn that_nothing_is_attested_is_said() {
    let (world, _bare) = pushed();
    world.signed_commit("two");
    for arguments in [
        &["export"][..],
        &["export", "--directory", "bundles"],
        &["show"],
    ] {
        let output = world.notme(&[&["attest"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("nothing is attested about it"), "{said}");
    }
}

/// Beside a clone, which has no statements.
#[test]
fn who_misses_statements_is_told_how_to_have_them() {
    let (world, bare) = pushed();
    let clone = Repository::new();
    let path = bare.path();
    clone.git_ok(&["remote", "add", "origin", path.to_str().unwrap()]);
    clone.git_ok(&["pull", "--quiet", "origin", "main"]);
    let other = world.another_repository(clone);
    let verify = || {
        let output = other.notme(&["attest", "verify"]);
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said.contains("`notme attest fetch`"))
    };
    assert_eq!(verify(), (Some(3), true));
    other.notme_ok(&["attest", "fetch"]);
    assert_eq!(verify(), (Some(0), false));
}
