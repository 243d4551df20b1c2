//! Statements through the real program: real git, a real key agent, a real authority.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::{UnixListener, UnixStream},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::Output,
    thread,
    time::{Duration, Instant},
};

use notme_attest::store::FileName;
use notme_core::frame::Frame;
use notme_testkit::{oracle::oracle, repository::Repository, repository::run};
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::Signal,
};
use serde_json::Value;

use crate::world::{NOTME, World, told};

/// Runs `notme attest verify … --json` and returns its exit code and the first commit.
fn judged(world: &World, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = world.notme(&[&["attest", "verify", "--json"], arguments].concat());
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    (output.status.code(), document[0].clone())
}

fn predicate_types(judged: &Value) -> Vec<&str> {
    let all = judged["attestations"].as_array().unwrap();
    let mut types: Vec<_> = all
        .iter()
        .map(|it| it["predicate_type"].as_str().unwrap())
        .collect();
    types.sort_unstable();
    types
}

const ACTIVITY: &str = "https://notme.bot/attestation/activity/v1";
const DISPATCH: &str = "https://notme.bot/provenance/dispatch/v1";

/// The whole way: attested, pushed to a bare remote, fetched into a fresh clone, verified there
/// with nothing but what was fetched and the trust store.
#[test]
fn a_dispatch_is_verified_offline_in_a_fresh_clone() {
    let world = World::initialised();
    let commit = world.signed_commit("one");
    let bare = world.remote();
    let url = bare.path();
    let url = url.to_str().unwrap();
    world.notme_ok(&[
        "attest",
        "dispatch",
        "HEAD",
        "--model",
        "m",
        "--provider",
        "p",
    ]);
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    world.notme_ok(&["attest", "push", "origin"]);

    let clone = world.another_repository(Repository::new());
    clone.git_ok(&["remote", "add", "origin", url]);
    clone.git_ok(&["pull", "--quiet", "origin", "main"]);
    assert_eq!(judged(&clone, &[]).0, Some(3), "nothing was fetched yet");
    clone.notme_ok(&["attest", "fetch", "origin"]);
    // Offline: neither authority nor key agent is asked.
    world.notme_ok(&["agent", "stop"]);
    world.notme_ok(&["authority", "stop"]);
    let (exit, judged) = judged(&clone, &[]);
    assert_eq!(exit, Some(0), "{judged}");
    assert_eq!(judged["oid"], commit.as_str());
    assert_eq!(judged["verdict"], "accepted");
    assert_eq!(judged["level"], "L2");
    assert_eq!(predicate_types(&judged), [ACTIVITY, DISPATCH]);
    // In the verdict on the commit, too.
    let (exit, document) = clone.verdicts(&["HEAD"]);
    assert_eq!(exit, Some(0));
    let object = &document["objects"][0];
    assert_eq!(object["level"], "L2");
    assert_eq!(object["attestations"].as_array().unwrap().len(), 2);
    let text = clone.notme_ok(&["verify"]);
    assert!(text.contains("L2"), "{text}");
}

#[test]
fn a_commit_that_nobody_attested_is_undecided() {
    let world = World::initialised();
    world.signed_commit("one");
    let (exit, judged) = judged(&world, &[]);
    assert_eq!(exit, Some(3));
    assert_eq!(judged["code"], "attestation-missing");
    assert_eq!(judged["level"], Value::Null);
}

/// An activity as an orchestrator runs it: begun, two commits that carry its head, ended.
#[test]
fn an_activity_goes_from_its_beginning_to_its_end() {
    let world = World::initialised();
    world.signed_commit("before");
    let id = world.notme_ok(&["attest", "activity", "--begin", "--model", "m"]);
    let id = id.trim();
    assert!(id.starts_with("urn:uuid:"), "{id}");
    for name in ["one", "two"] {
        let trailer = world.notme_ok(&["attest", "trailer", "--activity", id]);
        world.write(name, name);
        world.git_ok(&["add", name]);
        let message = ["commit", "--quiet", "-m", name, "--trailer", trailer.trim()];
        world.git_ok(&message);
        world.notme_ok(&["attest", "activity", "HEAD", "--activity", id]);
    }
    // It goes on, or was cut off: nobody can tell, but what to do is said.
    let (exit, open) = judged(&world, &[]);
    assert_eq!(
        (exit, &open["code"]),
        (Some(3), &"chain-tail-missing".into())
    );
    let said = told(&world.notme(&["attest", "verify", "HEAD~2", "HEAD"]));
    for code in ["attestation-missing", "chain-tail-missing"] {
        assert!(said.contains(&format!("hint: {code}: ")), "{said}");
    }
    let (exit, open) = judged(&world, &["--open"]);
    assert_eq!((exit, &open["level"]), (Some(0), &"L2".into()));
    assert_eq!(open["attestations"][0]["closed"], false);

    world.write(
        "tools.jsonl",
        "{\"kind\":\"tool-call\",\"name\":\"Bash\",\"at\":\"2026-11-20T12:00:00Z\"}\n",
    );
    let end = [
        "attest",
        "activity",
        "--activity",
        id,
        "--end",
        "--outcome",
        "succeeded",
    ];
    let rest = [
        "--termination",
        "completed",
        "--events",
        "tools.jsonl",
        "--claim",
        "L3",
    ];
    world.notme_ok(&[&end[..], &rest].concat());
    let (exit, document) = judged(&world, &["HEAD~1"]);
    assert_eq!(exit, Some(0), "{document}");
    let record = &document["attestations"][0];
    assert_eq!(
        (&record["record"], &record["records"]),
        (&1.into(), &4.into())
    );
    assert_eq!(record["closed"], true);

    let output = world.notme(&["attest", "activity", "HEAD", "--activity", id]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("has ended"), "{}", told(&output));
}

/// What is claimed and what is derived are two things.
#[test]
fn a_claim_is_shown_apart_from_what_the_evidence_carries() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "activity", "--claim", "L4"]);
    let (exit, judged) = judged(&world, &[]);
    assert_eq!(exit, Some(0));
    assert_eq!(judged["level"], "L2");
    let record = &judged["attestations"][0];
    assert_eq!(record["claimed_level"], "L4");
    assert!(record["unmet"].as_str().unwrap().starts_with("L3: "));
}

#[test]
fn acceptances_name_what_was_looked_at_and_are_not_for_oneself() {
    let world = World::initialised();
    world.signed_commit("zero");
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    world.notme_ok(&["attest", "acceptance", "HEAD", "--reason", "reviewed"]);
    let (exit, both) = judged(&world, &[]);
    assert_eq!(exit, Some(0), "{both}");
    // Whoever accepts it next looks at the work too, and not at that.
    world.notme_ok(&["init", "--agent", "second"]);
    let second = ["attest", "acceptance", "HEAD", "--agent", "second"];
    world.notme_ok(&second);
    let shown: Value =
        serde_json::from_str(&world.notme_ok(&["attest", "show", "--json"])).unwrap();
    let all = shown.as_array().unwrap().iter();
    let acceptances = all.filter(|it| it["predicateType"].as_str().unwrap().contains("acceptance"));
    let cited = acceptances.map(|it| it["predicate"]["evidence"].as_array().unwrap().len());
    assert_eq!(cited.collect::<Vec<_>>(), [2, 2]);
    // What would be held against the commit is not kept; to reject it is everybody's.
    let own = ["attest", "acceptance", "HEAD~1..HEAD", "--agent", "claude"];
    let before = world.git_ok(&["rev-parse", "refs/attestations/commits"]);
    let refused = world.notme(&own);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    for words in ["acceptance-self", "--agent NAME"] {
        assert!(told(&refused).contains(words), "{}", told(&refused));
    }
    let after = world.git_ok(&["rev-parse", "refs/attestations/commits"]);
    assert_eq!(before, after);
    // Who worked on it since accepts their own work, too.
    world.notme_ok(&["attest", "dispatch", "HEAD", "--agent", "second"]);
    let (exit, judged) = judged(&world, &[]);
    assert_eq!(
        (exit, &judged["code"]),
        (Some(1), &"acceptance-self".into())
    );
    world.notme_ok(&[&own[..], &["--reject"]].concat());
}

/// Takes the agent that signs here back, and returns its identity.
fn take_back(world: &World) -> String {
    let status: Value = serde_json::from_str(&world.notme_ok(&["status", "--json"])).unwrap();
    let identity = status["session"]["identity"].as_str().unwrap();
    let since = ["--since", "2026-01-01T00:00:00Z"];
    world.notme_ok(&[&["authority", "revoke", "identity", identity][..], &since].concat());
    world.notme_ok(&["trust", "refresh"]);
    identity.to_owned()
}

#[test]
fn what_is_taken_back_takes_the_statements_with_it() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    take_back(&world);
    let (exit, judged) = judged(&world, &[]);
    let missing = "attestation-missing".into();
    assert_eq!((exit, &judged["code"]), (Some(3), &missing));
    assert_eq!(judged["level"], Value::Null);
    let all = judged["attestations"].as_array().unwrap();
    assert!(all.iter().all(|it| it["code"] == "revoked"), "{judged}");
    // Given as bundles, they are what was asked about.
    world.write("bundles.jsonl", &world.notme_ok(&["attest", "export"]));
    let (exit, judged) = self::judged(&world, &["--bundle", "bundles.jsonl"]);
    assert_eq!((exit, &judged["code"]), (Some(1), &"revoked".into()));
}

/// Whoever holds a key that was taken back can state something of everybody's commits.
#[test]
fn whose_key_was_taken_back_refuses_nobodys_commits() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["init", "--agent", "mallory", "--format", "x509"]);
    world.notme_ok(&["attest", "handoff"]);
    let identity = take_back(&world);
    assert!(identity.ends_with("mallory"), "{identity}");
    let (exit, judged) = judged(&world, &[]);
    assert_eq!(
        (exit, &judged["level"]),
        (Some(0), &"L2".into()),
        "{judged}"
    );
    let all = judged["attestations"].as_array().unwrap();
    let refused = all.iter().filter(|it| it["code"] == "revoked");
    assert_eq!((refused.count(), all.len()), (2, 4));
}

/// The statements of a rewritten commit are found under the new one, and the verdict says whose
/// they are.
#[test]
fn rewritten_commits_are_attested_as_what_they_were() {
    let world = World::initialised();
    let old = world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    world.write("one", "changed");
    world.git_ok(&["commit", "--quiet", "--amend", "--all", "--no-edit"]);
    let new = world.git_ok(&["rev-parse", "HEAD"]);
    assert_eq!(judged(&world, &[]).0, Some(3), "another tree, another work");
    let mut command = world.notme_command();
    let output = run(
        command.args(["attest", "succeed"]),
        format!("{old} {new}\n").as_bytes(),
    );
    assert!(output.status.success(), "{}", told(&output));
    let (exit, judged) = judged(&world, &[]);
    assert_eq!(exit, Some(0), "{judged}");
    let all = judged["attestations"].as_array().unwrap();
    let of_old = all.iter().filter(|it| it["attested_as"] == old.as_str());
    assert_eq!(of_old.clone().count(), 2);

    // Who has only the new one sees the same, and no level of what the old one carries.
    assert!(of_old.clone().all(|it| it["level"] == "L2"), "{judged}");
    let other = clone_without(&world, &old);
    assert_eq!(self::judged(&other, &[]), (exit, unseen(judged)));
}

/// Not in the record about the commit, but in the one that ends its chain.
#[test]
fn a_failure_anywhere_in_a_chain_is_told() {
    let world = World::initialised();
    world.signed_commit("one");
    let begun = world.notme_ok(&["attest", "activity", "--begin"]);
    let activity = ["attest", "activity", "--activity", begun.trim()];
    world.notme_ok(&[&activity[..], &["HEAD"]].concat());
    world.notme_ok(&[&activity[..], &["--end", "--outcome", "failed"]].concat());
    let (exit, judged) = judged(&world, &[]);
    assert_eq!(exit, Some(0), "{judged}");
    assert_eq!(judged["attestations"][0]["fails"], true, "{judged}");
    let (_, verdicts) = world.verdicts(&["HEAD"]);
    let attested = &verdicts["objects"][0]["attestations"][0];
    assert_eq!(attested["fails"], true, "{verdicts}");
    for command in [&["attest", "verify"][..], &["verify"]] {
        let said = world.notme_ok(command);
        assert!(said.contains("failure attested"), "{said}");
    }
    // As a link, it is no such step as succeeds; nor is what rests on what fails.
    let steps = |directory: &str| {
        let links = fs::read_dir(world.path().join(directory)).unwrap();
        let names = links.map(|link| link.unwrap().file_name().into_string().unwrap());
        let mut steps: Vec<_> = names
            .filter(|name| name.ends_with(".link"))
            .map(|name| name.split('.').next().unwrap().to_owned())
            .collect();
        steps.sort();
        steps
    };
    world.notme_ok(&["attest", "export", "--in-toto-link", "ended"]);
    assert_eq!(steps("ended"), ["activity-failure"]);
    world.signed_commit("two");
    let json = r#"{"runDetails":{"verification":{"passed":false}}}"#;
    world.write("failed.json", json);
    let path = world.path().join("failed.json").display().to_string();
    world.notme_ok(&[
        "attest",
        "dispatch",
        "--members",
        &path,
        "--outcome",
        "succeeded",
    ]);
    world.notme_ok(&["attest", "export", "--in-toto-link", "cited"]);
    assert_eq!(steps("cited"), ["activity-failure", "dispatch-failure"]);
}

/// Neither those of whoever asks nor those that somebody committed.
#[test]
fn no_settings_change_what_a_dispatch_says_was_changed() {
    let world = World::initialised();
    let mut commits = vec![world.signed_commit("root")];
    let link = |id: &str| {
        let link = format!("160000,{id},sub");
        world.git_ok(&["update-index", "--add", "--cacheinfo", &link]);
    };
    let ignored = "[submodule \"sub\"]\n\tpath = sub\n\turl = ../sub\n\tignore = all\n";
    world.write(".gitmodules", ignored);
    world.git_ok(&["add", ".gitmodules"]);
    link(&"1".repeat(40));
    world.git_ok(&["commit", "--quiet", "-m", "submodule"]);
    commits.push(world.git_ok(&["rev-parse", "HEAD"]));
    link(&"2".repeat(40));
    world.git_ok(&["commit", "--quiet", "-m", "Grüße"]);
    commits.push(world.git_ok(&["rev-parse", "HEAD"]));
    for (name, value) in [
        ("i18n.logOutputEncoding", "ISO-8859-1"),
        ("log.showRoot", "false"),
        ("log.diffMerges", "off"),
        ("diff.ignoreSubmodules", "all"),
        ("diff.renames", "copies"),
        ("core.bigFileThreshold", "1"),
        ("core.attributesFile", ".git/attributes"),
    ] {
        world.git_ok(&["config", name, value]);
    }
    world.write(".git/attributes", "* -diff\n");
    world.write(".git/info/grafts", &(commits[2].clone() + "\n"));
    let work = |commits: &[String]| {
        let commits: Vec<_> = commits.iter().map(String::as_str).collect();
        world.notme_ok(&[&["attest", "dispatch"], &commits[..]].concat());
        let shown = world.notme_ok(&["attest", "show", "--json", commits[0]]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let all = shown.as_array().unwrap().iter();
        let mut dispatches = all.filter(|it| it["predicateType"] == DISPATCH);
        let work = dispatches.next().unwrap()["predicate"]["runDetails"]["work"].clone();
        let messages = work["commits"].as_array().unwrap().iter();
        let messages: Vec<_> = messages
            .map(|it| it["message"].as_str().unwrap().to_owned())
            .collect();
        let lines = work["linesAdded"].clone();
        (messages.join(", "), work["filesChanged"].clone(), lines)
    };
    let of = |message: &str, files: &[&str], lines: u64| {
        (message.to_owned(), Value::from(files), Value::from(lines))
    };
    assert_eq!(work(&commits[2..]), of("Grüße", &["sub"], 1));
    let added = of("submodule", &[".gitmodules", "sub"], 5);
    assert_eq!(work(&commits[1..2]), added);
    let all = [".gitmodules", "root", "sub"];
    assert_eq!(work(&commits), of("root, submodule, Grüße", &all, 7));
}

/// The last commit of one looks like a first one, that brings everything.
#[test]
fn nothing_is_said_of_changes_where_a_shallow_clone_ends() {
    let world = World::initialised();
    world.signed_commit("one");
    world.signed_commit("two");
    let bare = world.remote();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    let url = format!("file://{}", bare.path().display());
    let work = |depth: &str| {
        let clone = world.another_repository(Repository::new());
        let fetch = ["fetch", "--quiet", "--depth", depth, &url, "main"];
        clone.git_ok(&fetch);
        clone.git_ok(&["checkout", "--quiet", "FETCH_HEAD"]);
        let output = clone.notme(&["attest", "dispatch", "HEAD", "--agent", "claude"]);
        assert!(output.status.success(), "{}", told(&output));
        let shown = clone.notme_ok(&["attest", "show", "--json", "HEAD"]);
        let shown: Vec<Value> = serde_json::from_str(&shown).unwrap();
        let mut works = shown
            .iter()
            .map(|it| &it["predicate"]["runDetails"]["work"]);
        let work = works.find(|it| it.is_object()).unwrap().clone();
        (work, told(&output).contains("`git fetch --deepen 1`"))
    };
    let (cut, is_told) = work("1");
    assert!(is_told);
    assert_eq!(cut["commits"][0]["message"], "two");
    assert_eq!(cut.as_object().unwrap().len(), 1, "{cut}");
    let (whole, is_told) = work("2");
    assert!(!is_told);
    assert_eq!(whole["filesChanged"], serde_json::json!(["two"]));
    assert_eq!(whole["linesAdded"], 1);
}

/// Two pieces of work, the second begun at the commit of the first, on a branch that was rebased.
#[test]
fn work_that_began_at_a_rewritten_commit_is_attested_as_what_it_was() {
    let world = World::initialised();
    world.signed_commit("base");
    world.git_ok(&["checkout", "--quiet", "-b", "topic"]);
    let [first, second] = ["first", "second"].map(|name| {
        let script = format!("echo > {name}; git add {name}; git commit --quiet -m {name}");
        world.notme_ok(&["run", "--", "sh", "-ec", &script]);
        world.git_ok(&["rev-parse", "HEAD"])
    });
    world.git_ok(&["checkout", "--quiet", "main"]);
    world.signed_commit("meanwhile");
    world.git_ok(&["checkout", "--quiet", "topic"]);
    world.git_ok(&["rebase", "--quiet", "main"]);
    let new = ["HEAD~", "HEAD"].map(|it| world.git_ok(&["rev-parse", it]));
    let mut succeed = world.notme_command();
    succeed.args(["attest", "succeed"]);
    let rewritten = format!("{first} {}\n{second} {}\n", new[0], new[1]);
    let output = run(&mut succeed, rewritten.as_bytes());
    assert!(output.status.success(), "{}", told(&output));

    let of_new = |world: &World| new.each_ref().map(|it| judged(world, &[it]));
    let seen = of_new(&world);
    for (exit, judged) in &seen {
        assert_eq!(*exit, Some(0), "{judged}");
        let all = judged["attestations"].as_array().unwrap();
        let taken = all.iter().filter(|it| it["attested_as"].is_string());
        assert_eq!(taken.count(), 1, "{judged}");
    }
    let other = clone_without(&world, &first);
    assert_eq!(of_new(&other), seen.map(|(exit, it)| (exit, unseen(it))));
}

/// What is said of a commit where those whose place it took are not.
fn unseen(mut judged: Value) -> Value {
    let all = judged["attestations"].as_array_mut().unwrap();
    for it in all.iter_mut().filter(|it| it["attested_as"].is_string()) {
        it["level"] = Value::Null;
        if it["unmet"].is_string() {
            it["unmet"] = "L1: the commit that it speaks of, for the chains that it carries".into();
        }
    }
    judged
}

/// Pushes the branch and what is attested, and returns a clone, in which a commit is not.
fn clone_without(world: &World, gone: &str) -> World {
    let bare = world.remote();
    world.git_ok(&["push", "--quiet", "origin", "HEAD:main"]);
    world.notme_ok(&["attest", "push"]);
    let other = world.another_repository(Repository::new());
    let url = bare.path();
    other.git_ok(&["remote", "add", "origin", url.to_str().unwrap()]);
    other.git_ok(&["pull", "--quiet", "origin", "main"]);
    other.notme_ok(&["attest", "fetch"]);
    assert!(!other.git(&["cat-file", "-e", gone]).status.success());
    other
}

#[test]
fn origins_are_kept_to_those_who_are_shown_them() {
    let world = World::initialised();
    world.signed_commit("one");
    world.write(
        "origins.json",
        r#"[{"uri":"https://x.example/secret","vouchedBy":"gate"}]"#,
    );
    world.notme_ok(&["attest", "dispatch", "--origins", "origins.json"]);
    let kept = world.git_ok(&["grep", "--all-match", "-c", "", "refs/attestations/commits"]);
    assert!(!kept.is_empty());
    let export = world.notme_ok(&["attest", "show"]);
    assert!(
        export.contains("originsHash") && !export.contains("secret"),
        "{export}"
    );
    let shown = ["--origins", "origins.json"];
    let (exit, unvouched) = judged(&world, &shown);
    assert_eq!(exit, Some(0), "{unvouched}");
    assert_eq!(unvouched["attestations"][0]["origins"], "origin-asserted");
    let (_, vouched) = judged(&world, &[&shown[..], &["--voucher", "gate"]].concat());
    assert_eq!(vouched["attestations"][0]["origins"], "origin-attested");
    // Nobody is no voucher.
    let nobody = world.notme(&[&["attest", "verify"], &shown[..], &["--voucher", ""]].concat());
    assert_eq!(nobody.status.code(), Some(2), "{}", told(&nobody));
    world.write("origins.json", "[]");
    assert_eq!(judged(&world, &shown).1["code"], "origins-mismatch");
    world.write(
        "origins.json",
        r#"[{"uri":"https://x.example/é","vouchedBy":""}]"#,
    );
    let output = world.notme(&["attest", "dispatch", "--origins", "origins.json"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
}

#[test]
fn bundles_travel_as_files_too() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let lines = world.notme_ok(&["attest", "export"]);
    assert_eq!(
        lines.lines().count(),
        3,
        "the record before is part of the chain"
    );
    world.notme_ok(&["attest", "export", "--directory", "out"]);
    let exported = || {
        let files = fs::read_dir(world.path().join("out")).unwrap();
        let mut files: Vec<_> = files
            .map(|file| file.unwrap().path())
            .map(|path| (fs::read(&path).unwrap(), path))
            .collect();
        files.sort();
        files
    };
    let whole = exported();
    assert_eq!(whole.len(), 3);
    // What broke off once is in nobody's way.
    let (content, path) = &whole[0];
    fs::write(path, &content[..100]).unwrap();
    world.notme_ok(&["attest", "export", "--directory", "out"]);
    assert_eq!(exported(), whole);

    let other = world.another_repository(Repository::new());
    other.git_ok(&["pull", "--quiet", world.path().to_str().unwrap(), "main"]);
    other.write("bundles.jsonl", &lines);
    other.notme_ok(&["attest", "import", "bundles.jsonl"]);
    assert_eq!(judged(&other, &[]).1["level"], "L2");
    // What was tampered with is not kept; unless it shall be, and then it is refused when judged.
    let bad = lines.replace("\"sig\":\"", "\"sig\":\"AAAA");
    other.write("bad.jsonl", &bad);
    let refused = other.notme(&["attest", "import", "bad.jsonl"]);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(
        told(&refused).contains("signature-invalid"),
        "{}",
        told(&refused)
    );
    assert_eq!(judged(&other, &[]).0, Some(0));
    other.notme_ok(&["attest", "import", "--unjudged", "bad.jsonl"]);
    assert_eq!(judged(&other, &[]).0, Some(1));
    // It does not spread.
    let third = world.another_repository(Repository::new());
    third.git_ok(&["pull", "--quiet", world.path().to_str().unwrap(), "main"]);
    third.notme_ok(&["attest", "fetch", other.path().to_str().unwrap()]);
    assert_eq!(judged(&third, &[]).0, Some(0));
    other.write("junk.jsonl", "{}\n");
    assert_eq!(
        other
            .notme(&["attest", "import", "junk.jsonl"])
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn a_file_of_nothing_is_not_imported() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let lines = world.notme_ok(&["attest", "export"]);
    let other = world.another_repository(Repository::new());
    other.write("bundles.jsonl", &lines);
    for nothing in ["", "\n \n"] {
        other.write("nothing.jsonl", nothing);
        let output = other.notme(&["attest", "import", "bundles.jsonl", "nothing.jsonl"]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains("nothing.jsonl"), "{}", told(&output));
        assert_eq!(other.git_ok(&["for-each-ref", "refs/attestations"]), "");
    }
    let output = run(other.notme_command().args(["attest", "import", "-"]), b"");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let output = run(
        other.notme_command().args(["attest", "import", "-"]),
        lines.as_bytes(),
    );
    assert!(output.status.success(), "{}", told(&output));
}

/// Whoever writes to a pipe may come later, and somebody has to.
#[test]
fn a_pipe_is_read_unless_nobody_writes_to_it() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let other = world.another_repository(Repository::new());
    let lines = world.notme_ok(&["attest", "export"]);
    let pipe = other.path().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
    let import = |from: &str| other.notme(&["attest", "import", from]);
    let output = import("pipe");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let said = told(&output);
    assert!(
        said.contains("`pipe`") && said.contains("nobody wrote"),
        "{said}"
    );
    thread::scope(|scope| {
        let reader = scope.spawn(|| import("pipe"));
        fs::write(&pipe, &lines).unwrap();
        let output = reader.join().unwrap();
        assert!(told(&output).contains("3 statements"), "{}", told(&output));
    });
    let script = "(sleep 1; cat) | \"$0\" attest import /dev/stdin";
    let mut slow = other.command("sh");
    let output = run(slow.args(["-c", script, NOTME]), lines.as_bytes());
    assert!(told(&output).contains("3 statements"), "{}", told(&output));
}

/// Whether it came as a file or from a remote, and whether the commit comes afterwards or never.
#[test]
fn a_rejection_that_comes_before_its_commit_is_of_the_tree_all_the_same() {
    let world = World::initialised();
    let commit = world.signed_commit("one");
    world.notme_ok(&["attest", "acceptance", "HEAD", "--reject"]);
    let lines = world.notme_ok(&["attest", "export"]);
    let path = world.path();
    let path = path.to_str().unwrap();
    for is_fetched in [true, false] {
        let other = world.another_repository(Repository::new());
        match is_fetched {
            true => drop(other.notme_ok(&["attest", "fetch", path])),
            false => {
                other.write("bundles.jsonl", &lines);
                other.notme_ok(&["attest", "import", "bundles.jsonl"]);
            }
        }
        let rejected = |revision: &str| {
            let (exit, judged) = judged(&other, &[revision]);
            assert_eq!(
                (exit, &judged["code"]),
                (Some(1), &"acceptance-rejected".into()),
                "{judged}"
            );
            judged["attestations"][0]["attested_as"].clone()
        };
        let twin = other.signed_commit("one");
        assert_ne!(twin, commit);
        assert_eq!(rejected("HEAD"), commit.as_str());
        other.git_ok(&["fetch", "--quiet", path, "main"]);
        assert_eq!(rejected("FETCH_HEAD"), Value::Null);
        assert_eq!(rejected("HEAD"), commit.as_str());
    }
}

/// Replacements are for reading: the verdict is on what the name says.
#[test]
fn a_replaced_commit_has_nobody_elses_statements() {
    let world = World::initialised();
    let good = world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let evil = world.commit("two", "two");
    assert_eq!(judged(&world, &[&evil]).0, Some(3));
    world.git_ok(&["replace", &evil, &good]);
    let (exit, document) = judged(&world, &[&evil]);
    assert_eq!(
        (exit, &document["code"]),
        (Some(3), &"attestation-missing".into())
    );
    assert_eq!(judged(&world, &[&good]).0, Some(0));
}

/// A remote that refuses one shelf gets none: half of them would be a chain without its records.
#[test]
fn a_push_moves_all_refs_of_a_remote_or_none() {
    let world = World::initialised();
    world.signed_commit("one");
    let bare = world.remote();
    world.notme_ok(&["attest", "dispatch"]);
    let hook = bare.path().join("hooks/update");
    fs::write(&hook, "#!/bin/sh\ntest \"$1\" != refs/attestations/trees\n").unwrap();
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&hook, mode).unwrap();
    let output = world.notme(&["attest", "push"]);
    assert!(!output.status.success(), "{}", told(&output));
    assert_eq!(bare.git_ok(&["for-each-ref"]), "");
    fs::remove_file(&hook).unwrap();
    world.notme_ok(&["attest", "push"]);
    assert_eq!(bare.git_ok(&["for-each-ref"]).lines().count(), 3);
}

/// An envelope alone, in base64url, as the rosary orchestrator writes it: nobody knows whose key
/// signed it, so it is kept when that is asked for, shown, and never accepted.
#[test]
fn a_bare_envelope_is_kept_unjudged_and_refused() {
    use notme_core::base64;
    let world = World::initialised();
    let commit = world.signed_commit("one");
    let statement = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"c","digest":{{"gitCommit":"{commit}"}}}}],"predicateType":"https://rosary.dev/Handoff/v1","predicate":{{"phase":0}}}}"#
    );
    let envelope = format!(
        r#"{{"payloadType":"application/vnd.in-toto+json","payload":"{}","signatures":[{{"keyid":"","sig":"AAAA"}}]}}"#,
        base64::encode_url(statement.as_bytes())
    );
    world.write("envelope.json", &envelope);
    let refused = world.notme(&["attest", "import", "envelope.json"]);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    world.notme_ok(&["attest", "import", "--unjudged", "envelope.json"]);
    let shown = world.notme_ok(&["attest", "show"]);
    assert!(shown.contains("rosary.dev/Handoff/v1"), "{shown}");
    assert_ne!(judged(&world, &[]).0, Some(0));
}

/// Two who attest at once, and push to one remote.
#[test]
fn pushes_that_meet_are_merged_without_force() {
    let world = World::initialised();
    world.signed_commit("one");
    let bare = world.remote();
    let url = bare.path();
    let url = url.to_str().unwrap();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    let other = world.another_repository(Repository::new());
    other.git_ok(&["remote", "add", "origin", url]);
    other.git_ok(&["pull", "--quiet", "origin", "main"]);
    for (each, model) in [(&world, "m"), (&other, "n")] {
        each.notme_ok(&["attest", "dispatch", "--agent", "claude", "--model", model]);
        each.notme_ok(&["attest", "push"]);
    }
    world.notme_ok(&["attest", "fetch"]);
    for each in [&world, &other] {
        let (exit, judged) = judged(each, &[]);
        assert_eq!(exit, Some(0));
        assert_eq!(judged["attestations"].as_array().unwrap().len(), 4);
    }
    bare.git_ok(&["fsck", "--strict"]);
}

/// Others may be faster a few times. Who never gets through is told why, on one line.
#[test]
fn a_push_that_meets_others_is_tried_again_for_a_while() {
    let world = World::initialised();
    let bare = world.remote();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let hook = bare.path().join("hooks/pre-receive");
    let busy = |times: u32| {
        let script =
            format!("#!/bin/sh\necho >> tries\necho busy >&2\n[ $(wc -l < tries) -gt {times} ]\n");
        fs::write(&hook, script).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    };
    busy(100);
    let output = world.notme(&["attest", "push"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let said = told(&output);
    assert!(
        said.contains("remote: busy") && !said.contains("\\n"),
        "{said}"
    );
    let tries = fs::read(bare.path().join("tries")).unwrap().len();
    busy(u32::try_from(tries).unwrap() + 6);
    world.notme_ok(&["attest", "push"]);
}

/// Returns the digest of the acceptance among the statements about HEAD.
fn acceptance_of(world: &World) -> String {
    let shown: Value =
        serde_json::from_str(&world.notme_ok(&["attest", "show", "--json"])).unwrap();
    let mut all = shown.as_array().unwrap().iter();
    let is_it = |it: &&Value| it["predicateType"].as_str().unwrap().contains("acceptance");
    all.find(is_it).unwrap()["digest"].as_str().unwrap().into()
}

/// A commit that was attested and accepted, and where it is pushed to.
fn accepted_and_pushed_to() -> (World, Repository) {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let bare = world.remote();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    world.notme_ok(&["attest", "push"]);
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    world.notme_ok(&["attest", "acceptance", "HEAD"]);
    (world, bare)
}

#[test]
fn what_was_dropped_before_a_push_leaves_no_trace_and_needs_no_force() {
    let (world, bare) = accepted_and_pushed_to();
    let digest = acceptance_of(&world);
    let output = world.notme(&["attest", "drop", "HEAD", &digest]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let because = ["--reason", "signed by mistake"];
    let output = world.notme(&[&["attest", "drop", "HEAD", "sha256:00"], &because[..]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let drop = [&["attest", "drop", "HEAD", &digest], &because[..]].concat();
    let file = world.notme_ok(&drop);
    assert_eq!(file.trim().len(), "0123456789abcdef.sigstore.json".len());
    let (exit, document) = judged(&world, &[]);
    assert_eq!(
        (exit, predicate_types(&document)),
        (Some(0), vec![ACTIVITY, DISPATCH])
    );
    world.notme_ok(&["attest", "push"]);
    let objects = bare.git_ok(&["rev-list", "--objects", "--all"]);
    assert!(objects.contains(".sigstore.json"), "{objects}");
    assert!(!objects.contains(file.trim()), "{objects}");
    for side in [&*world, &bare] {
        side.git_ok(&["fsck", "--strict"]);
    }
}

#[test]
fn what_is_dropped_at_once_is_all_noted() {
    let world = World::initialised();
    world.signed_commit("one");
    let digests: Vec<_> = (0..6)
        .map(|phase| {
            // Said twice, the same words would be one payload, and dropped together.
            let phase = format!("phase {phase}");
            let told = world.notme_ok(&["attest", "handoff", "--from-phase", &phase]);
            told.split(' ').next().unwrap().to_owned()
        })
        .collect();
    thread::scope(|scope| {
        for digest in &digests {
            scope.spawn(|| {
                world.notme_ok(&["attest", "drop", "HEAD", digest, "--reason", "it is wrong"])
            });
        }
    });
    let list = world.path().join(".git/notme-attest/dropped.jsonl");
    let noted = fs::read_to_string(list).unwrap();
    assert_eq!(noted.lines().count(), digests.len(), "{noted}");
}

#[test]
fn what_a_remote_has_is_dropped_by_force_and_stays_away() {
    let (world, bare) = accepted_and_pushed_to();
    world.notme_ok(&["attest", "push"]);
    let digest = acceptance_of(&world);
    let drop = ["attest", "drop", "HEAD", &digest, "--reason", "it is wrong"];
    let output = world.notme(&drop);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("a remote has it"),
        "{}",
        told(&output)
    );
    let file = world.notme_ok(&[&drop[..], &["--force"]].concat());
    // It is left out, and nothing is pushed over the remote's head.
    let output = world.notme(&["attest", "fetch"]);
    let said = told(&output);
    assert!(
        said.contains("has 1 files that were dropped here"),
        "{said}"
    );
    assert_eq!(
        predicate_types(&judged(&world, &[]).1),
        [ACTIVITY, DISPATCH]
    );
    assert!(!world.notme(&["attest", "push"]).status.success());
    world.notme_ok(&["attest", "push", "--replace"]);
    let objects = bare.git_ok(&["rev-list", "--objects", "--all"]);
    assert!(!objects.contains(file.trim()), "{objects}");
    world.notme_ok(&["attest", "fetch"]);
    world.notme_ok(&["attest", "push"]);
    assert_eq!(
        predicate_types(&judged(&world, &[]).1),
        [ACTIVITY, DISPATCH]
    );
}

/// It is named, with what takes it out.
#[test]
fn origins_that_an_older_version_kept_are_not_pushed() {
    let world = World::initialised();
    let commit = world.signed_commit("one");
    let bare = world.remote();
    world.notme_ok(&["attest", "dispatch"]);
    world.notme_ok(&["attest", "push"]);
    let lines = world.notme_ok(&["attest", "export"]);
    let bad = lines.lines().next().unwrap();
    let bad = bad.replacen('{', r#"{"contentOrigins":["https://x.example/secret"],"#, 1);
    let file = FileName::of(bad.as_bytes()).to_string();
    let (head, rest) = commit.split_at(2);
    world.import(&format!(
        "commit refs/attestations/commits\ncommitter n <n@n> 1795176000 +0000\ndata 0\n\
         from refs/attestations/commits^0\n\
         M 100644 inline {head}/{rest}/{file}\ndata {}\n{bad}\n",
        bad.len()
    ));
    let drop = ["attest", "drop", &commit, &file, "--reason"];
    for push in [&["attest", "push"][..], &["attest", "push", "--replace"]] {
        let output = world.notme(push);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(told(&output).contains(&drop.join(" ")), "{}", told(&output));
    }
    let is_there = || {
        bare.git_ok(&["rev-list", "--objects", "--all"])
            .contains(&file)
    };
    assert!(!is_there());
    world.notme_ok(&[&drop[..], &["it lists origins"]].concat());
    world.notme_ok(&["attest", "dispatch", "--model", "m"]);
    world.notme_ok(&["attest", "push"]);
    assert!(!is_there());
}

#[test]
fn what_a_remote_lost_is_sent_again() {
    let (world, bare) = accepted_and_pushed_to();
    let reference = "refs/attestations/commits";
    world.notme_ok(&["attest", "push"]);
    let sent = bare.git_ok(&["rev-parse", reference]);
    bare.git_ok(&["update-ref", "-d", reference]);
    world.notme_ok(&["attest", "push"]);
    assert_eq!(bare.git_ok(&["rev-parse", reference]), sent);
}

/// Whoever may push can put anything there; who has the good statements can clean it away.
#[test]
fn what_is_no_statement_is_taken_out_of_a_remote() {
    let (world, bare) = accepted_and_pushed_to();
    let reference = "refs/attestations/commits";
    let junk = Repository::new();
    junk.git_ok(&["fetch", "--quiet", bare.path().to_str().unwrap(), reference]);
    junk.git_ok(&["checkout", "--quiet", "FETCH_HEAD"]);
    junk.write("junk", "junk");
    junk.git_ok(&["add", "--", "junk"]);
    junk.git_ok(&["commit", "--quiet", "--no-gpg-sign", "-m", "junk"]);
    let to = format!("HEAD:{reference}");
    junk.git_ok(&["push", "--quiet", bare.path().to_str().unwrap(), &to]);
    let output = world.notme(&["attest", "push"]);
    assert!(!output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("--replace"), "{}", told(&output));
    world.notme_ok(&["attest", "push", "--replace"]);
    let tree = bare.git_ok(&["ls-tree", "-r", "--name-only", reference]);
    assert!(!tree.contains("junk"), "{tree}");
    assert_eq!(tree.lines().count(), 3, "{tree}");
    world.notme_ok(&["attest", "push"]);
}

#[test]
fn a_rosary_pipeline_is_imported_with_its_weaknesses_told() {
    let world = World::initialised();
    world.signed_commit("one");
    let first = r#"{"schema_version":"2","phase":0,"from_agent":"dev-agent","to_agent":null,"bead_id":"rosary-abc","provider":"p","summary":"s","files_changed":["f"],"lines_changed":{"added":1,"removed":0},"review_hints":[],"artifacts":{},"verdict":null,"timestamp":"2026-11-20T12:00:00Z"}"#;
    world.write("pipeline/.rsry-handoff-0.json", first);
    let output = world.notme(&["attest", "import", "--rosary", "pipeline"]);
    assert!(output.status.success(), "{}", told(&output));
    let told = told(&output);
    assert!(
        told.contains("names no commits") && told.contains("unsigned"),
        "{told}"
    );
    let shown: Value =
        serde_json::from_str(&world.notme_ok(&["attest", "show", "--json"])).unwrap();
    assert!(shown[0]["predicate"]["weaknesses"].is_array());
    // However long it is, each statement carries its own.
    for phase in 0..60 {
        let commits: Vec<_> = (0..50).map(|it| format!("{phase:020}{it:020}")).collect();
        let handoff = serde_json::json!({
            "schema_version": "2",
            "phase": phase,
            "from_agent": "dev-agent",
            "bead_id": "rosary-abc",
            "summary": "s",
            "files_changed": [],
            "commit_shas": commits,
        });
        let name = format!("long/.rsry-handoff-{phase}.json");
        world.write(&name, &handoff.to_string());
    }
    let output = world.notme(&["attest", "import", "--rosary", "long"]);
    assert!(output.status.success(), "{}", self::told(&output));
    let shown: Value =
        serde_json::from_str(&world.notme_ok(&["attest", "show", "--json"])).unwrap();
    let handoffs = shown.as_array().unwrap().iter().filter_map(|it| {
        let said = &it["predicate"]["weaknesses"];
        Some((it["subject"].to_string(), said.as_array()?.clone()))
    });
    for (subject, weaknesses) in handoffs {
        assert!(weaknesses.len() <= 5, "{weaknesses:?}");
        for own in weaknesses.iter().filter_map(|it| it.as_str()) {
            let named = own.split('`').find(|it| it.starts_with(".rsry"));
            assert!(named.is_none_or(|it| subject.contains(it)), "{own}");
        }
    }
    // A verdict is told, since nothing that counts carries it on.
    let rejected = first
        .replace(
            r#""verdict":null"#,
            r#""verdict":{"decision":"reject","concerns":[]}"#,
        )
        .replace(r#""to_agent":null"#, r#""to_agent":"ops""#);
    world.write("rejected/.rsry-handoff-0.json", &rejected);
    let output = world.notme(&["attest", "import", "--rosary", "rejected"]);
    let said = self::told(&output);
    assert!(said.contains("REJECTS") && said.contains("`ops`"), "{said}");
    let unversioned = first.replace(r#""schema_version":"2","#, "");
    world.write("unversioned/.rsry-handoff-0.json", &unversioned);
    let output = world.notme(&["attest", "import", "--rosary", "unversioned"]);
    assert_eq!(output.status.code(), Some(3), "{}", self::told(&output));
    // Signed now, and still no record of an activity.
    let (exit, judged) = judged(&world, &[]);
    assert_eq!((exit, &judged["level"]), (Some(0), &Value::Null));
}

/// The JSON Schemas that the notme authority's site hosts, and a stranger's validator.
#[test]
fn the_hosted_schemas_validate_what_we_write() {
    let world = World::initialised();
    world.signed_commit("one");
    world.write("more.json", r#"{"runDetails":{"execution":{"isolationLevel":"container","sessionId":"00000000-0000-4000-8000-000000000001"}},"x":[1]}"#);
    let hash = "0".repeat(64);
    let item = [
        "--work-item",
        "I-1",
        "--work-item-hash",
        &hash,
        "--work-item-repo",
        "r",
    ];
    world.notme_ok(&[&["attest", "dispatch", "--members", "more.json"][..], &item].concat());
    world.write("notes.md", "notes");
    let phases = [
        "--from-phase",
        "1",
        "--to-phase",
        "2",
        "--document",
        "notes.md",
    ];
    world.notme_ok(&[&["attest", "handoff"][..], &phases].concat());
    let shown: Value =
        serde_json::from_str(&world.notme_ok(&["attest", "show", "--json"])).unwrap();
    let mut validated = 0;
    for (kind, schema) in [
        (DISPATCH, "dispatch"),
        ("https://notme.bot/provenance/handoff/v1", "handoff"),
    ] {
        let schema = notme_testkit::testdata::path(&format!(
            "notme-authority/prod/predicates/{schema}-v1.schema.json"
        ));
        for statement in shown.as_array().unwrap() {
            if statement["predicateType"] == kind {
                let file = world.path().join("predicate.json");
                fs::write(&file, statement["predicate"].to_string()).unwrap();
                let mut command = world.command(oracle("jsonschema"));
                let output = run(command.arg("-i").arg(&file).arg(&schema), b"");
                assert!(output.status.success(), "{}", told(&output));
                validated += 1;
            }
        }
    }
    assert_eq!(validated, 2);
}

#[test]
fn bad_input_is_refused_and_nothing_is_written() {
    let world = World::initialised();
    world.signed_commit("one");
    world.write("twice.json", r#"{"a":1,"a":2}"#);
    world.write("wrong.json", r#"{"runDetails":{"work":"none"}}"#);
    world.write("both.json", r#"{"runDetails":{"contentOrigins":[]}}"#);
    world.write("chain.json", r#"{}"#);
    let other = format!(r#"{{"documentHash":"sha256:{}"}}"#, "0".repeat(64));
    world.write("other.json", &other);
    for arguments in [
        &[
            "handoff",
            "--document",
            "chain.json",
            "--members",
            "other.json",
        ][..],
        &["dispatch", "--members", "twice.json"],
        &["dispatch", "--members", "wrong.json"],
        &["dispatch", "--members", "both.json"],
        &["dispatch", "nowhere"],
        &["dispatch", "--agent", "nobody"],
        &["activity", "--activity", "urn:none"],
        &["dispatch", "--work-item", "I", "--work-item-hash", "short"],
        &["trailer", "--activity", "urn:none"],
    ] {
        let output = world.notme(&[&["attest"], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}");
        assert!(told(&output).contains("error: "), "{}", told(&output));
        assert_eq!(world.git_ok(&["for-each-ref", "refs/attestations"]), "");
    }
}

/// A session that may sign commits and nothing else.
#[test]
fn the_key_agent_signs_no_statement_without_the_scope_nor_anything_that_is_none() {
    use notme_signer::{AgentClient, AgentEndpoint, Deadline};
    let world = World::initialised();
    world.signed_commit("one");
    let endpoint = AgentEndpoint {
        socket: world.notme_home().join("run").join("agent.sock"),
        start: None,
    };
    let deadline = Deadline::after(Duration::from_secs(10));
    let mut client = AgentClient::connect(&endpoint, deadline).unwrap();
    let pae = notme_core::dsse::pae;
    for message in [
        b"".to_vec(),
        b"tree 0".to_vec(),
        pae("text/plain", b"{}"),
        br#"{"_type":"link"}"#.to_vec(),
        pae("application/vnd.in-toto+json", b"{}"),
        pae(
            "application/vnd.in-toto+json",
            br#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"a:b"}"#,
        ),
    ] {
        let refused = client.attest("claude", message).unwrap_err();
        assert_eq!(refused.code(), "payload-not-understood");
    }
}

/// A rejection is no acceptance, in text, JSON and links.
#[test]
fn a_rejection_is_told_as_one() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&[
        "attest",
        "acceptance",
        "HEAD",
        "--reject",
        "--reason",
        "no tests",
    ]);
    let (exit, judged) = judged(&world, &[]);
    assert_eq!(
        (exit, &judged["code"]),
        (Some(1), &"acceptance-rejected".into())
    );
    assert_eq!(judged["attestations"][0]["decision"], "rejected");
    let text = told(&world.notme(&["attest", "verify"]));
    assert!(
        text.contains("decision: rejected") && text.contains("no tests"),
        "{text}"
    );
    let output = world.notme(&["attest", "export", "--in-toto-link", "links"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
}

#[test]
fn no_option_is_ignored() {
    let world = World::initialised();
    world.signed_commit("one");
    world.write("more.json", r#"{"ticket":"T-1"}"#);
    world.notme_ok(&["attest", "activity", "--members", "more.json"]);
    let shown: Value =
        serde_json::from_str(&world.notme_ok(&["attest", "show", "--json"])).unwrap();
    assert_eq!(shown[0]["predicate"]["ticket"], "T-1");
    let early = ["attest", "activity", "--begin", "--termination", "failed"];
    let output = world.notme(&early);
    assert!(told(&output).contains("--termination"), "{}", told(&output));
    let mut command = world.notme_command();
    let long = vec![b'\n'; 1024 * 1024 + 1];
    let output = run(command.args(["attest", "succeed"]), &long);
    assert!(told(&output).contains("too large"), "{}", told(&output));
}

#[test]
fn an_activity_is_suspended_and_resumed() {
    let world = World::initialised();
    world.signed_commit("one");
    let id = world.notme_ok(&["attest", "activity", "--begin"]);
    let record = ["attest", "activity", "--activity", id.trim()];
    let add = |arguments: &[&str]| world.notme_ok(&[&record[..], arguments].concat());
    add(&["--suspend"]);
    add(&["HEAD"]);
    // It broke off before it could say so.
    add(&["HEAD", "--resume"]);
    add(&["--suspend"]);
    add(&["--end"]);
    let (exit, document) = judged(&world, &[]);
    assert_eq!((exit, &document["level"]), (Some(0), &"L2".into()));
    let shown = world.notme_ok(&["attest", "export"]);
    let mut segments: Vec<_> = shown.lines().map(segment_of).collect();
    segments.sort_unstable();
    assert_eq!(segments, [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3), (5, 3)]);
}

/// Returns what a bundle states.
fn statement_of(bundle: &str) -> Value {
    let bundle = notme_attest::Bundle::from_json(bundle.as_bytes()).unwrap();
    serde_json::from_slice(bundle.envelope().payload()).unwrap()
}

/// Returns number and segment of the record in a bundle.
fn segment_of(bundle: &str) -> (u64, u64) {
    let statement = statement_of(bundle);
    let number = |pointer: &str| statement.pointer(pointer).unwrap().as_u64().unwrap();
    (
        number("/predicate/chain/sequence"),
        number("/predicate/activity/segment"),
    )
}

/// The first and the last record of an activity tell of the same, also of what is there to read once.
#[test]
fn what_an_option_names_is_read_once() {
    let world = World::initialised();
    world.signed_commit("one");
    let script = r#""$0" attest dispatch --input /dev/stdin --events events"#;
    let event = r#"{"kind":"tool-call","name":"grep","at":"2026-11-20T12:00:00Z"}"#;
    world.write("events", event);
    let output = run(
        world.command("sh").args(["-c", script, NOTME]),
        b"instructions",
    );
    assert!(output.status.success(), "{}", told(&output));
    let shown = world.notme_ok(&["attest", "export"]);
    let statements = shown.lines().map(statement_of);
    let inputs: Vec<_> = statements
        .filter_map(|it| Some(it.pointer("/predicate/inputs/0/digest/sha256")?.clone()))
        .collect();
    let digest = notme_core::hex::encode(&notme_core::key::sha256(b"instructions"));
    assert_eq!(inputs, [&*digest, &digest]);
    let (exit, judged) = judged(&world, &[]);
    assert_eq!((exit, &judged["level"]), (Some(0), &"L2".into()));
}

/// Each answer of the key agent may take its time; all of them together, longer than any one may.
#[test]
fn each_request_of_the_key_agent_has_its_own_time() {
    const DELAY: Duration = Duration::from_millis(1400);
    let world = World::initialised();
    world.signed_commit("one");
    let key_agent = world.notme_home().join("run").join("agent.sock");
    let directory = world.home().join("slow");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    let slow = directory.join("agent.sock");
    let listener = UnixListener::bind(&slow).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, key_agent) = (client.unwrap(), key_agent.clone());
            thread::spawn(move || {
                let mut key_agent = UnixStream::connect(key_agent).unwrap();
                while let Ok(Some(request)) = Frame::read(&mut client) {
                    thread::sleep(DELAY);
                    request.write(&mut key_agent).unwrap();
                    let answer = Frame::read(&mut key_agent).unwrap().unwrap();
                    answer.write(&mut client).unwrap();
                }
            });
        }
    });
    let began = Instant::now();
    let mut dispatch = world.notme_command();
    dispatch.env("NOTME_AGENT_SOCKET", &slow);
    let output = run(dispatch.args(["attest", "dispatch"]), b"");
    assert!(output.status.success(), "{}", told(&output));
    assert!(began.elapsed() > Duration::from_secs(5));
}

/// Killed before it takes any of its steps, a writer leaves the refs as they were, or whole, or a
/// chain that no commit's statement is there for yet.
#[test]
fn a_writer_that_is_killed_at_any_rename_leaves_no_half_of_a_statement() {
    let world = World::initialised();
    let first = world.signed_commit("0");
    world.notme_ok(&["attest", "dispatch"]);
    let tips = || world.git_ok(&["for-each-ref", "refs/attestations"]);
    let mut kept_before_the_end = 0;
    for number in 1.. {
        let commit = world.signed_commit(&number.to_string());
        let before = tips();
        let mut killed = world.command(oracle("strace"));
        let calls = "rename,renameat,renameat2";
        killed
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={calls}"))
            .arg("-e")
            .arg(format!("inject={calls}:signal=KILL:when={number}"))
            .args([NOTME, "attest", "dispatch"]);
        let output = run(&mut killed, b"");
        world.git_ok(&["fsck", "--strict"]);
        let (exit, document) = judged(&world, &[&commit]);
        if output.status.success() {
            assert_eq!(exit, Some(0), "{document}");
            assert!(number > 5, "it was killed {number} times");
            break;
        }
        let refs = world.path().join(".git/refs/attestations");
        let mut locks = 0;
        for file in fs::read_dir(refs).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|it| it == "lock") {
                fs::remove_file(file).unwrap();
                locks += 1;
            }
        }
        // Nothing moves before everything is written, and the commit's own ref is the last.
        match tips() == before {
            true => kept_before_the_end += 1,
            false => assert!(locks > 0, "{}", told(&output)),
        }
        // By its tree, a statement is found as soon as that ref has moved; its chain is there then.
        match exit {
            Some(3) => assert_eq!(document["code"], "attestation-missing"),
            exit => assert_eq!(exit, Some(0), "{document}"),
        }
        assert_eq!(judged(&world, &[&first]).0, Some(0));
        // Nothing is in the way of doing it again.
        world.notme_ok(&["attest", "dispatch"]);
        assert_eq!(judged(&world, &[&commit]).0, Some(0));
    }
    assert!(kept_before_the_end > 0);
}

/// What one of several users makes is for the others to add to, as git's own is.
#[test]
fn what_is_written_to_a_shared_repository_is_shared() {
    const IMPLICIT: &str = "a name without a value, which is true to git";
    let shared = |setting: Option<&str>| {
        let world = World::initialised();
        world.signed_commit("one");
        if setting == Some(IMPLICIT) {
            let path = world.path().join(".git/config");
            let config = fs::read_to_string(&path).unwrap();
            fs::write(path, format!("{config}\n[core]\n\tsharedRepository\n")).unwrap();
        } else if let Some(setting) = setting {
            world.git_ok(&["config", "core.sharedRepository", setting]);
        }
        // So that a pack is written as well, as while garbage is collected.
        fs::write(
            world.path().join(".git/gc.pid"),
            format!("{} other", std::process::id()),
        )
        .unwrap();
        let before = all_below(&world.path().join(".git"));
        let id = world.notme_ok(&["attest", "activity", "--begin"]);
        world.notme_ok(&["attest", "activity", "HEAD", "--activity", id.trim()]);
        let stated = world.notme_ok(&["attest", "dispatch"]);
        let digest = stated.split_whitespace().next().unwrap();
        let bare = world.remote();
        world.notme_ok(&["attest", "push"]);
        let drop = ["attest", "drop", "HEAD", digest, "--force", "--reason", "x"];
        world.notme_ok(&drop);
        let mut made = all_below(&world.path().join(".git"));
        made.retain(|path, _| !before.contains_key(path) && !path.ends_with("config"));
        let names: Vec<_> = made.keys().map(|it| it.display().to_string()).collect();
        for part in [
            "refs/attestations/trees",
            "refs/notme/attestations/origin",
            "notme-attest.lock",
            "notme-attest/dropped.jsonl",
            ".pack",
        ] {
            assert!(
                names.iter().any(|it| it.contains(part)),
                "{part}: {names:?}"
            );
        }
        std::mem::drop(bare);
        made
    };
    let group = [Some("group"), Some(IMPLICIT)];
    for (path, mode) in group.into_iter().flat_map(shared) {
        let wanted = match (mode & 0o040_000, mode & 0o200) {
            (0, 0) => 0o040,
            (0, _) => 0o060,
            (_, _) => 0o2070,
        };
        assert_eq!(mode & wanted, wanted, "{}: {mode:o}", path.display());
    }
    for (path, mode) in shared(Some("0660")) {
        assert_eq!(mode & 0o007, 0, "{}: {mode:o}", path.display());
    }
    for (path, mode) in shared(None) {
        assert_eq!(mode & 0o2020, 0, "{}: {mode:o}", path.display());
    }
}

/// Whoever may write to a repository, as the agent in a sandbox, has us write and share nothing outside of it.
#[test]
fn links_in_a_git_directory_are_not_written_through() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let _bare = world.remote();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    let elsewhere = world.home().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let precious = elsewhere.join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    let git = world.path().join(".git");
    let unless_written = || {
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        let mode = fs::metadata(&elsewhere).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    };

    // A note takes the place of a link.
    let notes = git.join("notme-attest");
    fs::create_dir_all(&notes).unwrap();
    let note = notes.join("remote-origin.json");
    symlink(&precious, &note).unwrap();
    world.notme_ok(&["attest", "push"]);
    unless_written();
    assert!(fs::symlink_metadata(&note).unwrap().is_file());

    // They are written nowhere else.
    fs::remove_dir_all(&notes).unwrap();
    symlink(&elsewhere, &notes).unwrap();
    let pushed = world.notme(&["attest", "push"]);
    assert!(!pushed.status.success());
    assert!(
        told(&pushed).contains("leads elsewhere"),
        "{}",
        told(&pushed)
    );
    fs::remove_file(&notes).unwrap();

    // No lock is made where a link leads.
    let lock = git.join("notme-attest.lock");
    let made = elsewhere.join("made");
    let id = world.notme_ok(&["attest", "activity", "--begin"]);
    let goes_on = ["attest", "activity", "HEAD", "--activity", id.trim()];
    world.notme_ok(&goes_on);
    fs::remove_file(&lock).unwrap();
    symlink(&made, &lock).unwrap();
    let output = world.notme(&goes_on);
    assert!(!output.status.success());
    assert!(
        told(&output).contains("could not lock them"),
        "{}",
        told(&output)
    );
    assert!(!made.exists());
    fs::remove_file(&lock).unwrap();

    // What is elsewhere is shared with nobody.
    world.git_ok(&["config", "core.sharedRepository", "0666"]);
    world.git_ok(&["pack-refs", "--all"]);
    let refs = git.join("refs/attestations");
    fs::remove_dir_all(&refs).unwrap();
    symlink(&elsewhere, &refs).unwrap();
    world.notme_ok(&["attest", "dispatch"]);
    unless_written();
}

/// All files and directories below one, with their modes.
fn all_below(directory: &Path) -> BTreeMap<PathBuf, u32> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let facts = fs::symlink_metadata(&path).unwrap();
        if facts.is_dir() {
            all.extend(all_below(&path));
        }
        all.insert(path, facts.permissions().mode());
    }
    all
}

/// Runs `notme attest dispatch`, and sends it a signal at some of the moments at which something is
/// renamed, as refs are in the end.
fn dispatch_told(world: &World, (signal, when): (&str, &str), before: &str) -> Output {
    let calls = "rename,renameat,renameat2";
    let mut told_to_end = world.command(oracle("strace"));
    told_to_end
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={calls}"))
        .arg("-e")
        .arg(format!("inject={calls}:signal={signal}:when={when}"))
        .args(["sh", "-c"])
        .arg(format!("{before} exec {NOTME} attest dispatch"));
    let output = run(&mut told_to_end, b"");
    let refs = world.path().join(".git/refs/attestations");
    for file in fs::read_dir(refs).into_iter().flatten() {
        let name = file.unwrap().file_name();
        let is_lock = name.to_string_lossy().ends_with(".lock");
        assert!(!is_lock, "{when}: {name:?}");
    }
    output
}

/// Ctrl-C, and whatever else ends programs, leave no lock, which would be in the way of all who write
/// later.
#[test]
fn a_writer_that_is_told_to_end_leaves_no_locks() {
    let world = World::initialised();
    world.signed_commit("one");
    for (name, signal) in [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("TERM", Signal::TERM),
    ] {
        let mut ended = 0;
        // There are fewer; at the last ones, refs move.
        for number in 1..=24 {
            let output = dispatch_told(&world, (name, &number.to_string()), "");
            // A shell goes on with its loop unless that is how it ended.
            match output.status.signal() {
                Some(by) if by == signal.as_raw() => ended += 1,
                // It may be done before it hears of it.
                by => assert_eq!(
                    (by, output.status.code()),
                    (None, Some(0)),
                    "{}",
                    told(&output)
                ),
            }
        }
        assert!(ended > 0);
        // As `nohup` has it, and shells with what goes on in the background.
        let output = dispatch_told(&world, (name, "1+"), &format!("trap '' {name};"));
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
    world.notme_ok(&["attest", "dispatch"]);
}

/// The orchestrator's own hashes, to the byte: vectors that it made itself.
#[test]
fn the_hashes_of_rosary_are_offered_for_interchange() {
    let world = World::initialised();
    world.write(
        "item.json",
        r#"{"title":"[ADR-001] Cache hit rate","description":"Cache hit rate > 90%","issue_type":"review","priority":2,"acceptance_criteria":[{"description":"Cache hit rate > 90%","threshold":"> 90%"},{"description":"`cargo test` passes","command":"cargo test"}],"id":"rosary-abc"}"#,
    );
    let output = world.notme(&["attest", "rosary-hash", "work-item", "item.json"]);
    let hash = "aaacf1ce32c5219ec4bf19791d487a071eeb4331208c6520b6af9aeecc4ab98f";
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), hash);
    assert!(told(&output).contains("ambiguous"), "{}", told(&output));
    world.write(
        "handoff.json",
        r#"{"schema_version":"2","phase":0,"from_agent":"dev-agent","bead_id":"rosary-abc","summary":"fix(reconcile): handle timeout=0 edge case","files_changed":["src/reconcile.rs","src/reconcile_test.rs"],"commit_shas":["abc123"]}"#,
    );
    let chained = world.notme_ok(&["attest", "rosary-hash", "handoff", "handoff.json"]);
    let v1 = "efe30513ada66d52cbf18c3c8e1858a7568d7720f90b2234a7a1a5cc45e2c736";
    assert_eq!(chained.trim(), v1);
    for (kind, text) in [
        ("work-item", r#"{"title":"t"}"#),
        ("work-item", r#"{"title":"t","title":"u"}"#),
        ("handoff", r#"{"schema_version":"1"}"#),
        ("handoff", "[]"),
    ] {
        world.write("bad.json", text);
        let output = world.notme(&["attest", "rosary-hash", kind, "bad.json"]);
        assert!(!output.status.success(), "{text}");
        assert_eq!(output.stdout, b"");
    }
}

/// Reviewers may be let speak without being let commit, and nothing is stated about statements.
#[test]
fn rules_for_commits_are_not_asked_of_statements() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let status: Value = serde_json::from_str(&world.notme_ok(&["status", "--json"])).unwrap();
    let committer = status["session"]["identity"].as_str().unwrap().to_owned();
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    world.notme_ok(&["attest", "acceptance", "HEAD"]);
    let allow = |who: &str| {
        world.policy(&format!(
            "[[authority]]\nname = \"embedded\"\nscopes = [\"sign:git\"]\n[[allow]]\nidentity = \"{who}\"\n[[require]]\nlevel = \"L2\"\n"
        ))
    };
    let (exit, judged) = judged(&world, &["--policy", &allow("*")]);
    assert_eq!(
        (exit, &judged["level"]),
        (Some(0), &"L2".into()),
        "{judged}"
    );
    let only_committer = allow(&committer);
    let (exit, judged) = self::judged(&world, &["--policy", &only_committer]);
    assert_eq!(exit, Some(0), "{judged}");
    let (exit, document) = world.verdicts(&["HEAD", "--policy", &only_committer]);
    assert_eq!(exit, Some(0), "{document}");
    let attestations = document["objects"][0]["attestations"].as_array().unwrap();
    assert_eq!(attestations.len(), 3);
    for it in attestations {
        assert_eq!(it["verdict"], "accepted", "{it}");
    }
}

/// What the policy asks of an authority's word, it asks of statements, and in either command.
#[test]
fn floors_are_asked_of_statements_too() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let policy = world.policy_with_floor("logged");
    let (exit, judged) = judged(&world, &["--policy", &policy]);
    assert_eq!(exit, Some(3), "{judged}");
    let (_, document) = world.verdicts(&["HEAD", "--policy", &policy]);
    let of_verify = document["objects"][0]["attestations"].as_array().unwrap();
    let of_attest = judged["attestations"].as_array().unwrap();
    for it in of_verify.iter().chain(of_attest) {
        assert_eq!(it["code"], "time-basis-too-weak", "{it}");
    }
}

/// Where a repository is pushed to may tell more than who reads the statement should know.
#[test]
fn no_password_and_no_path_is_stated() {
    let world = World::initialised();
    world.signed_commit("one");
    let hash = "0".repeat(64);
    let item = ["--work-item", "I-1", "--work-item-hash", &hash];
    let dispatch = || world.notme_ok(&[&["attest", "dispatch"], &item[..]].concat());
    dispatch();
    let home = world.home().display().to_string();
    assert!(!world.notme_ok(&["attest", "show"]).contains(&home));
    let url = "https://alice:hunter2@example.invalid/x/y.git?token=hunter2#hunter2";
    world.git_ok(&["remote", "add", "origin", url]);
    dispatch();
    let shown = world.notme_ok(&["attest", "show"]);
    assert!(
        shown.contains("\"https://example.invalid/x/y.git\""),
        "{shown}"
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains("alice"),
        "{shown}"
    );
}

/// What did not pass is told as that, and nobody takes its link for one that did.
#[test]
fn a_failed_verification_is_told_as_one() {
    let world = World::initialised();
    let commit = world.commit("unsigned", "unsigned");
    let resource = ["--resource", "git+https://example.invalid/r"];
    let output = world.notme(&[&["verify", "HEAD", "--format", "vsa"], &resource[..]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    fs::write(world.path().join("vsa.json"), &output.stdout).unwrap();
    world.notme_ok(&["attest", "import", "vsa.json"]);
    let (_, document) = judged(&world, &[&commit]);
    assert_eq!(
        document["attestations"][0]["result"], "FAILED",
        "{document}"
    );
    let text = told(&world.notme(&["attest", "verify"]));
    assert!(text.contains("verification: FAILED"), "{text}");
    world.notme_ok(&["attest", "export", "--in-toto-link", "links"]);
    let names = fs::read_dir(world.path().join("links")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().starts_with("verification-summary.")));
}

#[test]
fn a_failed_dispatch_is_told_as_one() {
    let world = World::initialised();
    world.signed_commit("one");
    let failed = r#"{"runDetails":{"outcome":{"success":false},"verification":{"passed":false}}}"#;
    world.write("failed.json", failed);
    world.notme_ok(&["attest", "dispatch", "--members", "failed.json"]);
    let (exit, judged) = judged(&world, &[]);
    assert_eq!(exit, Some(0), "{judged}");
    let all = judged["attestations"].as_array().unwrap();
    let dispatch = all.iter().find(|it| it["predicate_type"] == DISPATCH);
    let dispatch = dispatch.unwrap();
    assert_eq!(
        (&dispatch["outcome"], &dispatch["result"]),
        (&"failed".into(), &"FAILED".into())
    );
    let text = world.notme_ok(&["attest", "verify"]);
    assert!(text.contains("outcome failed"), "{text}");
    assert!(text.contains("verification: FAILED"), "{text}");
    let text = world.notme_ok(&["verify"]);
    assert!(text.contains("failure attested"), "{text}");
    let (_, document) = world.verdicts(&["HEAD"]);
    let all = document["objects"][0]["attestations"].as_array().unwrap();
    assert!(all.iter().any(|it| it["result"] == "FAILED"), "{document}");
    // No layout takes it for one that went well.
    world.notme_ok(&["attest", "export", "--in-toto-link", "links"]);
    let names = fs::read_dir(world.path().join("links")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().starts_with("dispatch.")));
}

#[test]
fn a_range_of_no_commits_is_no_yes() {
    let world = World::initialised();
    world.signed_commit("one");
    let output = world.notme(&["attest", "verify", "HEAD..HEAD"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("no commits"), "{}", told(&output));
}

/// Nothing is written when not all of it can be.
#[test]
fn links_of_one_step_do_not_take_each_others_place() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "activity"]);
    world.notme_ok(&["attest", "activity", "--model", "m"]);
    let output = world.notme(&["attest", "export", "--in-toto-link", "links"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(!world.path().join("links").exists());
}

/// A link has one file for each name: what it would leave out is not passed over.
#[test]
fn a_link_in_which_two_files_have_one_name_is_not_signed() {
    let world = World::initialised();
    world.write("x/p", "1");
    world.write("y/p", "2");
    for twice in [true, false] {
        let commit = world.signed_commit(if twice { "one" } else { "two" });
        world.write(&commit, "no commit");
        let (record, name) = match twice {
            true => (vec!["--input", "x/p", "--input", "y/p"], "`p`".to_owned()),
            false => (vec!["--output", &commit], format!("`{commit}`")),
        };
        world.notme_ok(&[&["attest", "activity"], &record[..]].concat());
        let output = world.notme(&["attest", "export", "--in-toto-link", "links"]);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(told(&output).contains(&name), "{}", told(&output));
        assert!(!world.path().join("links").exists());
    }
}

/// What was changed is stated whole, or not at all.
#[test]
fn what_a_partial_clone_lacks_is_left_out_of_no_dispatch() {
    let world = World::initialised();
    world.signed_commit("one");
    world.write("one", "another line\n");
    world.git_ok(&["commit", "--quiet", "--all", "-m", "two"]);
    let bare = world.remote();
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    bare.git_ok(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", bare.path().display());
    let clone = world.another_repository(Repository::new());
    clone.git_ok(&["remote", "add", "origin", &url]);
    clone.git_ok(&["fetch", "--quiet", "--filter=blob:none", "origin", "main"]);
    clone.git_ok(&["checkout", "--quiet", "FETCH_HEAD"]);
    let dispatch = ["attest", "dispatch", "HEAD", "--agent", "claude"];
    clone.git_ok(&["remote", "set-url", "origin", "file:///nonexistent"]);
    let output = clone.notme(&dispatch);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let said = told(&output);
    assert!(
        said.contains("/nonexistent") && !said.contains("hint:"),
        "{said}"
    );
    assert_eq!(clone.git_ok(&["for-each-ref", "refs/attestations"]), "");
    clone.git_ok(&["remote", "set-url", "origin", &url]);
    clone.notme_ok(&dispatch);
    let shown = clone.notme_ok(&["attest", "show", "--json", "HEAD"]);
    assert!(shown.contains("\"linesAdded\": 1"), "{shown}");
}

/// Of a partial clone, the statements are fetched whole.
#[test]
fn a_partial_clone_has_the_statements() {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    let bare = Repository::bare();
    let url = format!("file://{}", bare.path().display());
    world.git_ok(&["remote", "add", "origin", &url]);
    world.git_ok(&["push", "--quiet", "origin", "main"]);
    world.notme_ok(&["attest", "push"]);
    bare.git_ok(&["config", "uploadpack.allowFilter", "true"]);
    let clone = world.another_repository(Repository::new());
    clone.git_ok(&["remote", "add", "origin", &url]);
    clone.git_ok(&["fetch", "--quiet", "--filter=blob:none", "origin", "main"]);
    clone.git_ok(&["config", "remote.origin.promisor", "true"]);
    clone.git_ok(&["config", "remote.origin.partialclonefilter", "blob:none"]);
    clone.git_ok(&["checkout", "--quiet", "FETCH_HEAD"]);
    clone.notme_ok(&["attest", "fetch", "origin"]);
    let (exit, judged) = judged(&clone, &[]);
    assert_eq!(
        (exit, &judged["level"]),
        (Some(0), &"L2".into()),
        "{judged}"
    );
}

#[test]
fn a_level_that_was_taken_over_says_so_in_every_report() {
    let world = World::initialised();
    let old = world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    world.git_ok(&["commit", "--quiet", "--amend", "-m", "better words"]);
    let said = format!("L2 (as {}", &old[..7]);
    for format in ["text", "html"] {
        let report = world.notme_ok(&["verify", "--format", format]);
        assert!(report.contains(&said), "{report}");
    }
}

/// As in a review of everything that a branch brings: the key agent is asked when all is read.
#[test]
fn a_long_range_is_accepted_at_once() {
    let world = World::initialised();
    world.signed_commit("first");
    for number in 0..60 {
        world.git_ok(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            &number.to_string(),
        ]);
    }
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    world.notme_ok(&["attest", "acceptance", "HEAD~60..HEAD"]);
    let output = world.notme(&["attest", "verify", "--json", "HEAD~60..HEAD"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document.as_array().unwrap().len(), 60);
}

/// What an amend that changed nothing tells, and a line of nothing.
#[test]
fn no_commit_takes_its_own_place() {
    let world = World::initialised();
    let commit = world.signed_commit("one");
    let mut succeed = world.notme_command();
    succeed.args(["attest", "succeed"]);
    let output = run(&mut succeed, format!("\n{commit} {commit}\n").as_bytes());
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(judged(&world, &[]).1["code"], "attestation-missing");
}

/// A range that holds nothing is a wrong call, whatever would have been stated.
#[test]
fn nothing_is_stated_about_no_commits() {
    let world = World::initialised();
    world.signed_commit("one");
    for command in ["activity", "dispatch", "handoff", "acceptance"] {
        let output = world.notme(&["attest", command, "HEAD..HEAD"]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        let words = "there are no commits in `HEAD..HEAD`";
        assert!(told(&output).contains(words), "{}", told(&output));
    }
    assert_eq!(judged(&world, &[]).1["code"], "attestation-missing");
    let pipe = world.path().join(".rsry-handoff-0.json");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    let output = world.notme(&["attest", "import", "--rosary", "."]);
    assert!(
        told(&output).contains("no regular file"),
        "{}",
        told(&output)
    );
}

/// Nobody's words move the cursor of whoever looks at them, and JSON readers read the same.
#[test]
fn what_somebody_states_does_nothing_to_a_terminal() {
    let world = World::initialised();
    world.signed_commit("one");
    let reason = "fine \u{9b}31m\u{202e}";
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    world.notme_ok(&["attest", "acceptance", "HEAD", "--reason", reason]);
    for shown in [
        world.notme_ok(&["attest", "show"]),
        world.notme_ok(&["attest", "show", "--json"]),
        world.notme_ok(&["attest", "verify", "--json"]),
    ] {
        assert!(!shown.contains(['\u{9b}', '\u{202e}']), "{shown:?}");
    }
    let shown: Value =
        serde_json::from_str(&world.notme_ok(&["attest", "show", "--json"])).unwrap();
    assert_eq!(shown[0]["predicate"]["reason"], reason);
}
