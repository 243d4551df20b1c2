//! `notme verify --compromised` through the real program, beside `git blame`.

use std::fs;

use notme_core::{dsse::Envelope, time::UnixTime, trust::TrustDocument};
use notme_testkit::{gnupg::Gnupg, oracle::oracle, repository::run};
use serde_json::Value;

use crate::{
    world::{World, told},
    x509::shell,
};

fn radius(world: &World, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = world.notme(&[&["verify", "--format", "json"], arguments].concat());
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    (output.status.code(), report)
}

fn sign_as(world: &World, agent: &str) {
    world.notme_ok(&["init", "--agent", agent, "--format", "x509"]);
}

/// Returns the lines of a file that `git blame` gives to a commit.
fn blamed(world: &World, file: &str, commit: &str) -> Vec<u64> {
    let blame = world.git_ok(&["blame", "--porcelain", "HEAD", "--", file]);
    let theirs = blame.lines().filter(|line| line.starts_with(commit));
    let line = |line: &str| line.split(' ').nth(2).unwrap().parse().unwrap();
    theirs.map(line).collect()
}

#[test]
fn where_nothing_is_looked_at_nothing_is_cleared() {
    let world = World::initialised();
    world.signed_commit("a");
    let ask = ["verify", "--compromised", "embedded"];
    let answer = |ids: &str| {
        let mut command = world.notme_command();
        run(command.args(ask).arg("-"), ids.as_bytes())
            .status
            .code()
    };
    let head = world.git_ok(&["rev-parse", "HEAD"]);
    assert_eq!(answer(&head), Some(1));
    assert_eq!(answer(""), Some(3));
    // A range that somebody asks for may hold nothing.
    let none = world.notme(&[&ask[..], &["HEAD..HEAD"]].concat());
    assert_eq!(none.status.code(), Some(0), "{}", told(&none));
}

/// Two agents, three commits, a rename, a tag, a statement.
#[test]
fn commits_tags_files_lines_and_statements_are_told() {
    let world = World::new();
    sign_as(&world, "good");
    world.write("file", "one\ntwo\nthree\nfour\n");
    world.git_ok(&["add", "."]);
    world.git_ok(&["commit", "-q", "-m", "good"]);
    world.git_ok(&["tag", "-m", "before", "before"]);
    sign_as(&world, "bad");
    world.write("file", "one\nTWO\nthree\nfour\nfive\nsix\n");
    world.write("other", "theirs\n");
    world.git_ok(&["add", "."]);
    world.git_ok(&["commit", "-q", "-m", "bad"]);
    let bad = world.git_ok(&["rev-parse", "HEAD"]);
    world.git_ok(&["tag", "-s", "-m", "signed", "signed"]);
    world.notme_ok(&["attest", "dispatch"]);
    sign_as(&world, "good");
    world.git_ok(&["mv", "file", "renamed"]);
    world.write("renamed", "zero\none\nTWO\nthree\nfour\nfive\n");
    world.git_ok(&["rm", "-q", "other"]);
    world.git_ok(&["add", "."]);
    world.git_ok(&["commit", "-q", "-m", "good again"]);
    world.git_ok(&["tag", "-m", "after", "after"]);

    let (_, verdicts) = world.verdicts(&[&bad]);
    let object = &verdicts["objects"][0];
    let identity = object["identity"].as_str().unwrap();
    for what in [identity, object["kid"].as_str().unwrap()] {
        let (exit, report) = radius(&world, &["--compromised", what]);
        assert_eq!(exit, Some(1), "{report}");
        let objects = report["objects"].as_array().unwrap();
        let kinds: Vec<_> = objects.iter().map(|it| it["kind"].as_str()).collect();
        assert_eq!(kinds.len(), 2, "{report}");
        assert!(kinds.contains(&Some("tag")) && kinds.contains(&Some("commit")));
        let named = |name: &str| {
            let references = report["references"].as_array().unwrap();
            references.iter().find(|it| it["name"] == name).cloned()
        };
        assert_eq!(named("refs/tags/before"), None);
        assert_eq!(named("refs/tags/signed").unwrap()["signed"], true);
        assert_eq!(named("refs/tags/after").unwrap()["signed"], false);
        assert_eq!(named("refs/tags/after").unwrap()["reaches"], true);
        assert_eq!(named("refs/heads/main").unwrap()["reaches"], true);
        let file = |path: &str| {
            let files = report["files"].as_array().unwrap();
            files.iter().find(|it| it["path"] == path).unwrap().clone()
        };
        // Changed by it and gone; changed by it under another name, which has what is left.
        assert_eq!(file("other")["lines"].as_array().unwrap().len(), 0);
        assert_eq!((file("file")["commits"].as_u64()), Some(1));
        let lines = file("renamed")["lines"].clone();
        let lines: Vec<_> = lines
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|run| run["first"].as_u64().unwrap()..=run["last"].as_u64().unwrap())
            .collect();
        assert_eq!(lines, blamed(&world, "renamed", &bad));
        assert_eq!((&lines[..], &report["lines"]), (&[3, 6][..], &2.into()));
        let statements = report["attestations"].as_array().unwrap();
        assert_eq!(statements.len(), 2, "{report}");
        assert!(statements.iter().all(|it| it["commit"] == bad.as_str()));
        assert_eq!(report["complete"], true);
        let command = report["command"].as_str().unwrap();
        assert!(
            command.ends_with(&format!("--compromised {what}")),
            "{command}"
        );
    }
    let text = world.notme(&["verify", "--compromised", identity]);
    assert_eq!(text.status.code(), Some(1));
    let text = String::from_utf8(text.stdout).unwrap();
    for line in [
        "signed     refs/tags/signed\n",
        "reaches    refs/tags/after\n",
        "file       renamed  changed by 0 commits  lines left: 3, 6\n",
    ] {
        assert!(text.contains(line), "{text}");
    }

    // Nobody vouches for any of them any more.
    world.notme_ok(&["trust", "remove", "embedded"]);
    let (exit, report) = radius(&world, &["--compromised", identity]);
    assert_eq!(exit, Some(1), "{report}");
    for (what, count) in [("objects", 2), ("attestations", 2)] {
        let found = report[what].as_array().unwrap();
        assert_eq!(found.len(), count, "{report}");
        let is_claimed = |it: &Value| it["exposure"] == "claimed";
        assert!(found.iter().all(is_claimed), "{report}");
    }
}

#[test]
fn what_the_trust_document_revokes_is_looked_for_likewise() {
    let world = World::initialised();
    let commit = world.signed_commit("a");
    let (exit, report) = radius(&world, &["--revoked"]);
    assert_eq!(exit, Some(0), "{report}");
    let (_, verdicts) = world.verdicts(&["HEAD"]);
    let kid = verdicts["objects"][0]["kid"].as_str().unwrap().to_owned();
    let since = ["--since", "2026-01-01T00:00:00Z"];
    world.notme_ok(&[&["authority", "revoke", "key", &kid][..], &since].concat());
    world.notme_ok(&["trust", "refresh"]);
    let (exit, report) = radius(&world, &["--revoked"]);
    assert_eq!(exit, Some(1), "{report}");
    assert_eq!(report["compromised"][0]["value"], kid.as_str());
    assert_eq!(report["compromised"][0]["since"], "2026-01-01T00:00:00Z");
    assert_eq!(report["objects"][0]["oid"], commit.as_str());
    assert_eq!(report["objects"][0]["code"], "revoked");
}

/// The owner is the one to say so, and the policy whether an object is good all the same.
#[test]
fn what_the_owner_of_a_key_takes_back_is_looked_for_likewise() {
    let world = World::initialised();
    let gpg = Gnupg::new();
    gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    let commit = openpgp_commit(&world, &gpg, "bob@example.org");
    let words = ["--no-batch", "--command-fd=0", "--gen-revoke", "bob"];
    let revocation = gpg.ok(&words, b"y\n1\n\ny\n");
    gpg.ok(&["--import"], &revocation);
    world.trust_person(&gpg, "bob@example.org");
    let (exit, report) = radius(&world, &["--revoked"]);
    assert_eq!(exit, Some(1), "{report}");
    assert_eq!(report["compromised"][0]["kind"], "key");
    assert_eq!(report["objects"][0]["oid"], commit.as_str());
    assert_eq!(report["objects"][0]["code"], "revoked");
    let since = ["--since", "2026-01-01T00:00:00Z"];
    let bob = [&["--compromised", "mailto:bob@example.org"], &since[..]];
    let (_, report) = radius(&world, &bob.concat());
    assert_eq!(report["objects"][0]["exposure"], "since", "{report}");
    let listed = world.policy(&format!("known_good = [\"{commit}\"]\n"));
    assert_eq!(world.code("HEAD", &[]), "revoked");
    assert_eq!(world.code("HEAD", &["--policy", &listed]), "accepted");
}

/// A tag says nothing of the commit below it, nor that of the tag.
#[test]
fn all_is_looked_at_however_it_is_asked_for() {
    let world = World::new();
    sign_as(&world, "bad");
    world.signed_commit("a");
    let identity = |revision: &str| {
        let (_, verdicts) = world.verdicts(&[revision]);
        let identity = &verdicts["objects"][0]["identity"];
        identity.as_str().unwrap().to_owned()
    };
    let bad = identity("HEAD");
    sign_as(&world, "worse");
    world.git_ok(&["tag", "-s", "-m", "t", "t"]);
    let worse = identity("t");
    for name in [&bad, &worse] {
        for more in [&[][..], &["--tags"], &["--all"], &["--all", "--tags"]] {
            let (exit, report) = radius(&world, &[&["--compromised", name], more].concat());
            assert_eq!(exit, Some(1), "{more:?}: {report}");
        }
    }
}

/// Whoever has the key of a time-stamping authority writes the times of all that it stamped.
#[test]
fn what_was_stamped_rests_on_the_key_that_stamped_it() {
    let world = World::new();
    world.notme_ok(&["init"]);
    world.signed_commit("plain");
    world.notme_ok(&["init", "--timestamp=required"]);
    let stamped = world.signed_commit("stamped");
    let stamp = || world.verdicts(&["HEAD"]).1["objects"][0]["timestamp"].clone();
    let kid = stamp()["kid"].as_str().unwrap().to_owned();
    let rests = |arguments: &[&str], exposure: &str| {
        let (exit, report) = radius(&world, arguments);
        let objects = report["objects"].as_array().unwrap();
        let objects: Vec<_> = objects
            .iter()
            .map(|it| (&it["oid"], &it["exposure"]))
            .collect();
        let expected = (&stamped.as_str().into(), &exposure.into());
        assert_eq!(objects, [expected], "{report}");
        assert_eq!((exit, &report["complete"]), (Some(1), &true.into()));
        report["objects"][0]["code"].clone()
    };
    let later = ["--since", "2999-01-01T00:00:00Z"];
    let compromised = ["--compromised", &kid];
    assert_eq!(rests(&compromised, "since"), Value::Null);
    rests(&["--compromised", &kid.to_ascii_uppercase()], "since");
    rests(&[compromised, later].concat(), "undated");

    // Stamps are exact to a second: it may have been in the next one.
    let object = world.verdicts(&["HEAD"]).1["objects"][0].clone();
    let at = object["judged_at"].as_str().unwrap();
    let next = at.parse::<UnixTime>().unwrap().plus(1).to_string();
    let signer = object["kid"].as_str().unwrap();
    rests(&["--compromised", signer, "--since", &next], "since");

    let policy = world.policy_with_floor("timestamped");
    let serial = time_stamping_serial(&world);
    for revocation in [["certificate", &serial], ["key", &kid]] {
        let mut revoke = vec!["authority", "revoke"];
        revoke.extend(revocation);
        revoke.extend(["--reason", "key-compromise", "--since", at]);
        world.notme_ok(&revoke);
        world.notme_ok(&["trust", "refresh"]);
        let code = rests(&["--revoked", "--policy", &policy], "since");
        assert_eq!(code, "time-basis-too-weak");
        rests(&compromised, "since");
        let shown = world.notme_ok(&["trust", "show"]);
        let [kind, value] = revocation;
        assert!(shown.contains(&format!("  revoked  {kind} {value} since ")));
        assert!(shown.contains(&format!("  stamps   p256 {kid}, revoked\n")));
    }
    assert_eq!(rests(&["--revoked"], "since"), Value::Null);
    let expected = serde_json::json!({"result": "revoked", "at": null, "kid": kid});
    assert_eq!(stamp(), expected);
    let explained = world.notme_ok(&["explain", "HEAD"]);
    let said = format!("a time stamp by the key {kid}, which was revoked");
    let words: Vec<_> = explained.split_whitespace().collect();
    assert!(words.join(" ").contains(&said), "{explained}");
    let shown = world.notme_ok(&["trust", "show", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let authority = &shown["authorities"][0];
    assert_eq!(authority["tsa"][0]["revoked"], true);
    assert_eq!(authority["revocations"].as_array().unwrap().len(), 2);
}

/// Returns the serial number of the certificate that the time-stamping authority has.
fn time_stamping_serial(world: &World) -> String {
    let document = world.notme_ok(&["trust", "export", "--document"]);
    let envelope = Envelope::from_json(document.as_bytes()).unwrap();
    let document: TrustDocument = serde_json::from_slice(envelope.payload()).unwrap();
    document.tsa[0].certificate.serial_hex()
}

#[test]
fn what_nobody_can_tell_to_be_revoked_is_not_taken_for_good() {
    let world = World::initialised();
    let gpg = Gnupg::new();
    gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    world.trust_person(&gpg, "bob@example.org");
    openpgp_commit(&world, &gpg, "bob@example.org");
    let check = |code: i32, says: &str| {
        let (exit, report) = radius(&world, &["--revoked"]);
        assert_eq!(
            (exit, &report["complete"]),
            (Some(code), &(code == 0).into())
        );
        let output = world.notme(&["verify", "--revoked"]);
        assert_eq!(output.status.code(), Some(code));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(says), "{text}");
    };
    check(0, "nothing is revoked\n");
    fs::write(
        world.notme_home().join("data/trust/embedded/trust.json"),
        "garbage",
    )
    .unwrap();
    check(3, "what is revoked is not all known");
    world.notme_ok(&["trust", "remove", "embedded"]);
    check(3, "what is revoked is not all known");
}

#[test]
fn nothing_rests_on_what_came_later_or_on_nothing() {
    let world = World::initialised();
    world.signed_commit("a");
    let later = [
        "--compromised",
        "embedded",
        "--since",
        "2999-01-01T00:00:00Z",
    ];
    // Whoever has the authority writes its times.
    let (exit, report) = radius(&world, &later);
    assert_eq!(exit, Some(1));
    assert_eq!(report["objects"][0]["exposure"], "undated");
    let (_, verdicts) = world.verdicts(&["HEAD"]);
    let identity = verdicts["objects"][0]["identity"]
        .as_str()
        .unwrap()
        .to_owned();
    let later = [
        "--compromised",
        &identity,
        "--since",
        "2999-01-01T00:00:00Z",
    ];
    assert_eq!(radius(&world, &later).0, Some(0));
    let usage = |arguments: &[&str]| {
        world
            .notme(&[&["verify"], arguments].concat())
            .status
            .code()
    };
    assert_eq!(usage(&["--compromised", "nobody"]), Some(2));
    for (name, hint) in [
        (
            "bob@corp.example",
            "hint: an address is `mailto:bob@corp.example`",
        ),
        ("MD5:76:84", "hint: `ssh-keygen -lf FILE` says"),
    ] {
        let output = world.notme(&["verify", "--compromised", name]);
        assert_eq!(output.status.code(), Some(2));
        assert!(told(&output).contains(hint), "{}", told(&output));
    }
    assert_eq!(usage(&["--since", "2026-01-01T00:00:00Z"]), Some(2));
    assert_eq!(
        usage(&["--compromised", "embedded", "--format", "html"]),
        Some(2)
    );
    assert_eq!(usage(&["--compromised", "embedded", "--fold"]), Some(2));
}

/// As `notme trust show` and the `keys` of a policy name it.
#[test]
fn a_key_goes_by_its_pin() {
    let world = World::initialised();
    world.signed_commit("a");
    let shown = world.notme_ok(&["trust", "show", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let root = |root: &Value| {
        let pin = root["spki_sha256"].as_str().unwrap().to_owned();
        let (exit, report) = radius(&world, &["--compromised", &pin.to_ascii_uppercase()]);
        assert_eq!(report["compromised"][0]["kind"], "key");
        assert_eq!(report["compromised"][0]["code"], Value::Null);
        exit
    };
    let roots = shown["authorities"][0]["roots"].as_array().unwrap();
    let mut exits: Vec<_> = roots.iter().map(root).collect();
    exits.sort_unstable();
    // One root of the two issued the certificate.
    assert_eq!(exits, [Some(0), Some(1)]);
}

#[test]
fn a_shallow_clone_does_not_say_that_there_is_nothing() {
    let world = World::initialised();
    for name in ["a", "b"] {
        world.signed_commit(name);
    }
    let clone = world.home().join("shallow");
    let url = format!("file://{}", world.path().display());
    world.git_ok(&["clone", "-q", "--depth=1", &url, clone.to_str().unwrap()]);
    let nobody = "0".repeat(32);
    let mut command = world.notme_command();
    command.current_dir(&clone);
    let output = command
        .args(["verify", "--compromised", &nobody])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("there may be more"));
}

/// A thief's authority is the first that is taken out of a policy.
#[test]
fn what_rests_on_a_key_does_so_whatever_the_policy_names() {
    let world = World::initialised();
    let ours = world.signed_commit("a");
    let gpg = Gnupg::new();
    gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    world.trust_person(&gpg, "bob@example.org");
    let theirs = openpgp_commit(&world, &gpg, "bob@example.org");
    for (authority, other, commit) in [("embedded", "team", ours), ("team", "embedded", theirs)] {
        let (_, verdicts) = world.verdicts(&[&commit]);
        let object = &verdicts["objects"][0];
        let [identity, kid] = ["identity", "kid"].map(|it| object[it].as_str().unwrap());
        let policy = world.policy(&format!(
            "time_basis_floor = \"declared\"\n[[authority]]\nname = \"{other}\"\n[[allow]]\nidentity = \"*\"\n"
        ));
        for what in [authority, identity, kid] {
            for options in [&["--policy", &*policy][..], &[]] {
                let (exit, report) = radius(&world, &[&["--compromised", what], options].concat());
                assert_eq!(exit, Some(1), "{what}: {report}");
                let objects = report["objects"].as_array().unwrap();
                assert_eq!(objects.len(), 1, "{what}: {report}");
                assert_eq!(objects[0]["oid"], commit.as_str());
                // The verdict is still that of the policy.
                let code = &objects[0]["code"];
                assert_eq!(code == "signer-untrusted", !options.is_empty(), "{report}");
                assert_eq!(report["complete"], true, "{report}");
            }
        }
    }
}

/// Each of them has a ref of its own, and one in the middle is signed by somebody else.
#[test]
fn every_ref_into_a_chain_of_tags_is_told_what_it_rests_on() {
    let world = World::new();
    sign_as(&world, "good");
    let commit = world.signed_commit("a");
    let tag = |name: &str, target: &str| {
        world.git_ok(&["tag", "-s", "-m", "tag", name, target]);
    };
    tag("t0", &commit);
    sign_as(&world, "bad");
    tag("t1", "t0");
    sign_as(&world, "good");
    tag("t2", "t1");
    tag("t3", "t2");
    tag("s1", "t0");
    let (_, verdicts) = world.verdicts(&["t1"]);
    let bad = verdicts["objects"][0]["identity"].as_str().unwrap();
    let (exit, report) = radius(&world, &["--compromised", bad]);
    assert_eq!(exit, Some(1), "{report}");
    let references = report["references"].as_array().unwrap().iter();
    let names: Vec<_> = references.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["refs/tags/t1", "refs/tags/t2", "refs/tags/t3"]);
}

#[test]
fn tags_in_tags_and_in_merges_are_told() {
    let world = World::new();
    sign_as(&world, "bad");
    world.signed_commit("theirs");
    let identity = |world: &World| {
        let (_, verdicts) = world.verdicts(&["HEAD"]);
        verdicts["objects"][0]["identity"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let bad = identity(&world);
    world.git_ok(&["checkout", "-q", "--orphan", "main2"]);
    world.git_ok(&["branch", "-q", "-D", "main"]);
    sign_as(&world, "good");
    let base = world.signed_commit("base");
    world.git_ok(&["checkout", "-q", "-b", "side"]);
    let side = world.signed_commit("side");
    sign_as(&world, "bad");
    world.git_ok(&["tag", "-s", "-m", "inner", "inner", &base]);
    world.git_ok(&["tag", "-s", "-m", "merged", "merged", &side]);
    let inner = world.git_ok(&["rev-parse", "inner"]);
    sign_as(&world, "good");
    world.git_ok(&["tag", "-s", "-m", "outer", "outer", "inner"]);
    world.git_ok(&["checkout", "-q", "main2"]);
    world.git_ok(&["merge", "-q", "--no-ff", "-m", "merge", "merged"]);
    let merge = world.git_ok(&["rev-parse", "HEAD"]);
    world.git_ok(&["tag", "-d", "inner", "merged"]);

    let (exit, verdicts) = world.verdicts(&["--tags"]);
    assert_eq!(exit, Some(0), "{verdicts}");
    let objects = verdicts["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 2, "{verdicts}");
    assert_eq!(objects[1]["oid"], inner.as_str());

    let (exit, report) = radius(&world, &["--compromised", &bad]);
    assert_eq!(exit, Some(1), "{report}");
    let objects = report["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 1, "{report}");
    assert_eq!(objects[0]["oid"], inner.as_str());
    assert_eq!(report["references"].as_array().unwrap().len(), 1);
    assert_eq!(report["references"][0]["name"], "refs/tags/outer");
    assert_eq!(report["references"][0]["signed"], true);
    let expected = serde_json::json!([{
        "commit": merge, "name": "merged", "target": side, "exposure": "since",
    }]);
    assert_eq!(report["merge_tags"], expected);
    world.git_ok(&["tag", "-d", "outer"]);
    let output = world.notme(&["verify", "--compromised", &bad]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let line = format!("since      {}  tag in the merge  merged\n", &merge[..10]);
    assert!(told(&output).contains(&line), "{}", told(&output));
}

/// Whoever may push a ref keeps nobody from looking at the others.
#[test]
fn a_tag_that_leads_nowhere_stops_no_audit() {
    let world = World::initialised();
    let commit = world.signed_commit("a");
    let tag = |target: &str, kind: &str| {
        let raw =
            format!("object {target}\ntype {kind}\ntag t\ntagger A <a@b.invalid> 1 +0000\n\nx\n");
        world.write_object_unchecked("tag", raw.as_bytes())
    };
    let mut deep = tag(&commit, "commit");
    for _ in 0..40 {
        deep = tag(&deep, "tag");
    }
    world.git_ok(&["update-ref", "refs/tags/deep", &deep]);
    let (exit, report) = radius(&world, &["--compromised", "embedded"]);
    assert_eq!(exit, Some(1), "{report}");
    let deep = report["references"].as_array().unwrap();
    let deep = deep.iter().find(|it| it["name"] == "refs/tags/deep");
    assert_eq!(deep.unwrap()["reaches"], true);
    assert_eq!(world.verdicts(&["--all"]).0, Some(0));
    let lost = tag(&"1".repeat(40), "commit");
    world.git_ok(&["update-ref", "refs/tags/lost", &lost]);
    let (exit, report) = radius(&world, &["--compromised", "embedded"]);
    assert_eq!(exit, Some(1), "{report}");
    assert_eq!(report["complete"], false);
    let nobody = "0".repeat(32);
    assert_eq!(radius(&world, &["--compromised", &nobody]).0, Some(3));
    let (exit, document) = world.verdicts(&["--all"]);
    assert_eq!(exit, Some(3), "{document}");
    assert_eq!(document["summary"]["accepted"], 1);
    assert_eq!(document["summary"]["undecided"], 1);
}

/// Commits, signed by gpg with a key of the keyring there.
pub(crate) fn openpgp_commit(world: &World, gpg: &Gnupg, email: &str) -> String {
    let program = format!("gpg.program={}", oracle("gpg").display());
    let mut git = world.command("git");
    git.current_dir(world.path()).env("GNUPGHOME", gpg.path());
    git.args(["-c", "gpg.format=openpgp", "-c", &program]);
    git.args(["-c", &format!("user.signingkey={email}")]);
    git.args(["commit", "-q", "-S", "--allow-empty", "-m", email]);
    let output = run(&mut git, b"");
    assert!(output.status.success(), "{}", told(&output));
    world.git_ok(&["rev-parse", "HEAD"])
}

/// A signature of OpenPGP carries no key: it can only say whose it is.
#[test]
fn a_key_that_the_trust_store_lacks_is_told_where_signatures_claim_it() {
    let world = World::initialised();
    world.signed_commit("a");
    let gpg = Gnupg::new();
    gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    let theirs = openpgp_commit(&world, &gpg, "bob@example.org");
    let fingerprint = gpg.fingerprint("bob@example.org");
    let grouped = fingerprint.as_bytes().chunks(4);
    let grouped: Vec<_> = grouped.map(|it| std::str::from_utf8(it).unwrap()).collect();
    let names = [
        fingerprint.clone(),
        grouped.join(" "),
        format!("0x{}", &fingerprint[24..]),
        format!("openpgp4fpr:{}", fingerprint.to_ascii_lowercase()),
    ];
    for name in &names {
        // Nobody checks when it was made, either.
        let later = ["--since", "2999-01-01T00:00:00Z"];
        for options in [&[][..], &later] {
            let (exit, report) = radius(&world, &[&["--compromised", name], options].concat());
            assert_eq!(exit, Some(1), "{name}: {report}");
            let objects = report["objects"].as_array().unwrap();
            assert_eq!(objects.len(), 1, "{name}: {report}");
            assert_eq!(objects[0]["oid"], theirs.as_str());
            assert_eq!(objects[0]["exposure"], "claimed");
            assert_eq!(report["compromised"][0]["code"], Value::Null);
            assert_eq!(report["references"][0]["name"], "refs/heads/main");
        }
    }
    let output = world.notme(&["verify", "--compromised", &fingerprint]);
    let text = told(&output);
    assert!(
        text.contains(&format!("claimed    {}", &theirs[..10])),
        "{text}"
    );
    assert!(text.contains("1 of these only claim it"), "{text}");
    // Known, it is checked.
    world.trust_person(&gpg, "bob@example.org");
    for name in &names[..3] {
        let (exit, report) = radius(&world, &["--compromised", name]);
        assert_eq!(exit, Some(1), "{report}");
        assert_eq!(report["objects"][0]["oid"], theirs.as_str());
        assert_eq!(report["objects"][0]["exposure"], "since", "{report}");
    }
    world.git_ok(&["reset", "-q", "--hard", "HEAD~1"]);
    let (exit, report) = radius(&world, &["--compromised", &fingerprint]);
    assert_eq!(exit, Some(0), "{report}");
}

#[test]
fn an_ssh_key_goes_by_the_fingerprint_that_ssh_keygen_prints() {
    let world = World::initialised();
    world.signed_commit("a");
    let key = world.home().join("key");
    let key = key.to_str().unwrap();
    let keygen = |arguments: &[&str]| {
        let output = run(world.command(oracle("ssh-keygen")).args(arguments), b"");
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", key]);
    let printed = keygen(&["-l", "-f", key]);
    let fingerprint = printed.split(' ').nth(1).unwrap();
    let nobody = format!("SHA256:{}", "A".repeat(43));
    assert_eq!(radius(&world, &["--compromised", fingerprint]).0, Some(3));
    let program = format!("gpg.ssh.program={}", oracle("ssh-keygen").display());
    world.git_ok(&[
        "-c",
        "gpg.format=ssh",
        "-c",
        &program,
        "-c",
        &format!("user.signingkey={key}"),
        "commit",
        "-q",
        "-S",
        "--allow-empty",
        "-m",
        "theirs",
    ]);
    let theirs = world.git_ok(&["rev-parse", "HEAD"]);
    let (exit, report) = radius(&world, &["--compromised", fingerprint]);
    assert_eq!(exit, Some(1), "{report}");
    assert_eq!(report["objects"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["objects"][0]["oid"], theirs.as_str());
    // Such a signature carries its key, and holds.
    assert_eq!(report["objects"][0]["exposure"], "undated");
    assert_eq!(radius(&world, &["--compromised", &nobody]).0, Some(3));
}

/// An identity is told where a signature names it and nobody vouches for that, whether the
/// signature holds or cannot be checked.
#[test]
fn an_identity_that_nobody_vouches_for_is_told_where_signatures_claim_it() {
    let world = World::initialised();
    world.signed_commit("a");
    shell(&world, STRANGERS);
    let gpg = Gnupg::new();
    gpg.generate("Ann <ann@example.org>", "ed25519", "sign", "never");
    let mut theirs = vec![openpgp_commit(&world, &gpg, "ann@example.org")];
    let key = world.home().join("ann-cert.pub");
    let x509 = world.stubs().join("x509");
    for (format, program, key) in [
        ("ssh", oracle("ssh-keygen"), key.to_str().unwrap()),
        ("x509", x509, "ann"),
    ] {
        world.git_ok(&[
            "-c",
            &format!("gpg.format={format}"),
            "-c",
            &format!("gpg.{format}.program={}", program.display()),
            "-c",
            &format!("user.signingkey={key}"),
            "commit",
            "-q",
            "-S",
            "--allow-empty",
            "-m",
            format,
        ]);
        theirs.insert(0, world.git_ok(&["rev-parse", "HEAD"]));
    }
    let assert_claimed = || {
        let (exit, report) = radius(&world, &["--compromised", "mailto:ann@example.org"]);
        assert_eq!(exit, Some(1), "{report}");
        let objects = report["objects"].as_array().unwrap();
        let found: Vec<_> = objects.iter().map(|it| it["oid"].as_str()).collect();
        let expected: Vec<_> = theirs.iter().map(|it| Some(it.as_str())).collect();
        assert_eq!(found, expected, "{report}");
        let is_claimed = |it: &Value| it["exposure"] == "claimed";
        assert!(objects.iter().all(is_claimed), "{report}");
        assert_eq!(report["complete"], true, "{report}");
        assert_eq!(report["compromised"][0]["code"], Value::Null);
    };
    assert_claimed();
    // Another key of hers, which signed none of them.
    let signers = world.home().join("signers");
    let signers = signers.to_str().unwrap();
    world.notme_ok(&[
        "trust",
        "add",
        "--name",
        "ann",
        "--allowed-signers",
        signers,
    ]);
    assert_claimed();
}

/// An SSH certificate and an X.509 one by nobody whom the trust store knows, and a key that it is
/// to know.
const STRANGERS: &str = r#"
set -e
cd "$HOME"
for key in ca ann known; do ssh-keygen -q -t ed25519 -N '' -C '' -f $key; done
ssh-keygen -q -s ca -I ann -n ann@example.org ann.pub
echo "ann@example.org $(cat known.pub)" > signers
printf '[req]\ndistinguished_name=name\n[name]\n' > openssl.cnf
openssl ecparam -name prime256v1 -genkey -noout -out x509.key
openssl req -config openssl.cnf -x509 -key x509.key -out x509.pem -subj /CN=ann -days 30 \
    -addext subjectAltName=email:ann@example.org -addext basicConstraints=critical,CA:false
mkdir -p "$STUBS"
cat > "$STUBS/x509" <<'END'
#!/bin/sh
openssl cms -sign -binary -md sha256 -signer "$HOME/x509.pem" -inkey "$HOME/x509.key" -outform PEM |
    sed 's/ CMS-/ SIGNED MESSAGE-/'
echo '[GNUPG:] SIG_CREATED D' >&2
END
chmod +x "$STUBS/x509"
"#;

#[test]
fn what_nothing_names_is_no_clean_bill() {
    let world = World::initialised();
    world.signed_commit("a");
    for name in [
        "0".repeat(32),
        "0".repeat(64),
        "0".repeat(40),
        "0".repeat(16),
        "wimse://elsewhere.invalid/agent/a/b".to_owned(),
    ] {
        let (exit, report) = radius(&world, &["--compromised", &name]);
        assert_eq!(exit, Some(3), "{report}");
        assert_eq!(report["compromised"][0]["code"], "compromised-unknown");
        assert_eq!(report["complete"], true, "{report}");
        let output = world.notme(&["verify", "--compromised", &name]);
        assert_eq!(output.status.code(), Some(3));
        assert!(
            told(&output).contains("compromised-unknown: "),
            "{}",
            told(&output)
        );
    }
}

/// What nobody can read may be anybody's, and what is before it is not even seen.
#[test]
fn objects_that_cannot_be_read_make_the_answer_incomplete_and_are_named() {
    let world = World::initialised();
    let commit = world.signed_commit("a");
    let (_, verdicts) = world.verdicts(&["HEAD"]);
    let identity = verdicts["objects"][0]["identity"]
        .as_str()
        .unwrap()
        .to_owned();
    let tree = world.git_ok(&["rev-parse", "HEAD^{tree}"]);
    let head = format!(
        "tree {tree}\nparent {commit}\nauthor A <a@b.invalid> 1 +0000\ncommitter A <a@b.invalid> 1 +0000\n"
    );
    let large = format!("{head}\n{}", "x".repeat(17 << 20));
    let malformed = format!("{head}x\0y\n\nm\n");
    let unreadable = format!("{head}gpgsig -----BEGIN NOTHING-----\n\nm\n");
    for (raw, code) in [
        (large, "object-too-large"),
        (malformed, "object-malformed"),
        (unreadable, "signature-unknown-format"),
    ] {
        let id = world.store(raw.as_bytes());
        world.git_ok(&["update-ref", "refs/heads/odd", &id]);
        let later = [
            "--compromised",
            &identity,
            "--since",
            "2999-01-01T00:00:00Z",
        ];
        let (exit, report) = radius(&world, &later);
        assert_eq!(exit, Some(3), "{report}");
        assert_eq!(report["complete"], false);
        let expected = serde_json::json!([{"oid": id, "kind": "commit", "code": code}]);
        assert_eq!(report["unreadable"], expected);
        let output = world.notme(&[&["verify"][..], &later].concat());
        let line = format!("undecided  {id}  commit  {code}: who signed it could not be read\n");
        assert!(told(&output).contains(&line), "{}", told(&output));
    }
}

/// Neither the trust store nor the newest policy knows the key.
#[test]
fn keys_that_only_policies_in_the_tree_know_are_looked_for_by_them() {
    let world = World::initialised();
    let key = world.home().join("thief");
    let mut keygen = world.command(oracle("ssh-keygen"));
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(&key);
    assert!(run(&mut keygen, b"").status.success());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let ours = "[[allow]]\nidentity = \"wimse://*\"\npolicy = true\n";
    let theirs = format!(
        "[[principal]]\nname = \"carol\"\nkind = \"human\"\nssh_keys = [\"{}\"]\nemails = [\"carol@example.org\"]\n[[allow]]\nprincipals = [\"carol\"]\n{ours}",
        public.trim()
    );
    let with_policy = |text: &str| {
        world.write(".notme/policy.toml", text);
        world.git_ok(&["add", "."]);
        world.git_ok(&["commit", "-q", "-m", "policy"]);
        world.git_ok(&["rev-parse", "HEAD"])
    };
    let root = with_policy(ours);
    with_policy(&theirs);
    let program = format!("gpg.ssh.program={}", oracle("ssh-keygen").display());
    let signing = format!("user.signingkey={}", key.display());
    let options = ["-c", "gpg.format=ssh", "-c", &program, "-c", &signing];
    let commit = ["commit", "-q", "-S", "--allow-empty", "-m", "theirs"];
    let by_thief = || {
        world.git_ok(&[&options[..], &commit].concat());
        world.git_ok(&["rev-parse", "HEAD"])
    };
    let before = by_thief();
    with_policy(ours);
    let after = by_thief();
    let carol = ["--compromised", "mailto:carol@example.org"];
    let (exit, report) = radius(&world, &[&carol[..], &["--trust-root", &root]].concat());
    assert_eq!(exit, Some(1), "{report}");
    let objects = report["objects"].as_array().unwrap();
    let found: Vec<_> = objects.iter().map(|it| [&it["oid"], &it["code"]]).collect();
    let untrusted = "signer-untrusted".into();
    assert_eq!(
        found,
        [[&after.into(), &untrusted], [&before.into(), &Value::Null]]
    );
    assert_eq!(report["complete"], true);
    let output = world.notme(&[&["verify"][..], &carol].concat());
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("note: signer-untrusted: "),
        "{}",
        told(&output)
    );
}
