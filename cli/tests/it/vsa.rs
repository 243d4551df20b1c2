//! Verification summaries through the real program, read by a stranger.

use std::{fs, process::Output};

use notme_core::base64;
use notme_testkit::{oracle::oracle, repository::run};
use serde_json::Value;

use crate::world::{World, told};

pub(crate) const VSA: [&str; 5] = [
    "verify",
    "--format",
    "vsa",
    "--resource",
    "git+https://x.example/r",
];

pub(crate) fn bundle(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(output)))
}

pub(crate) fn statement(bundle: &Value) -> Value {
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&base64::decode(payload).unwrap()).unwrap()
}

/// Nothing of ours between: the encoding by hand (secure-systems-lab/dsse, protocol.md), the rest
/// by openssl.
#[test]
fn openssl_verifies_the_signature_of_a_summary() {
    let world = World::initialised();
    world.signed_commit("a");
    let output = world.notme(&VSA);
    assert!(output.status.success(), "{}", told(&output));
    let bundle = bundle(&output);
    let bytes = |pointer: &str| {
        let text = bundle.pointer(pointer).unwrap().as_str().unwrap();
        base64::decode(text).unwrap()
    };
    let payload = bytes("/dsseEnvelope/payload");
    let kind = bundle["dsseEnvelope"]["payloadType"].as_str().unwrap();
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    let put = |name: &str, bytes: &[u8]| fs::write(world.home().join(name), bytes).unwrap();
    put("message", &[head.as_bytes(), &payload].concat());
    put("other", b"other");
    put("signature", &bytes("/dsseEnvelope/signatures/0/sig"));
    put(
        "leaf.der",
        &bytes("/verificationMaterial/certificate/rawBytes"),
    );
    let openssl = |arguments: &[&str]| {
        let mut command = world.command(oracle("openssl"));
        run(command.current_dir(world.home()).args(arguments), b"")
    };
    let key = openssl(&[
        "x509", "-inform", "DER", "-in", "leaf.der", "-pubkey", "-noout",
    ]);
    put("key.pem", &key.stdout);
    let verify = |message: &str| {
        let key = [
            "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin",
        ];
        let rest = ["-in", message, "-sigfile", "signature"];
        openssl(&[&key[..], &rest].concat())
    };
    let good = verify("message");
    assert!(good.status.success(), "{}", told(&good));
    assert!(!verify("other").status.success());
}

#[test]
fn a_summary_says_what_slsa_asks_for() {
    let world = World::initialised();
    let commit = world.signed_commit("a");
    let (_, report) = world.verdicts(&["--all"]);
    let output = world.notme(&[&VSA[..], &["--all"]].concat());
    assert!(output.status.success(), "{}", told(&output));
    let statement = statement(&bundle(&output));
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(
        statement["predicateType"],
        "https://slsa.dev/verification_summary/v1"
    );
    let subject = &statement["subject"];
    assert_eq!(subject.as_array().unwrap().len(), 1);
    assert_eq!(subject[0]["digest"]["gitCommit"], commit.as_str());
    assert_eq!(subject[0]["annotations"], Value::Null, "judged for no ref");
    let predicate = &statement["predicate"];
    assert_eq!(predicate["verificationResult"], "PASSED");
    assert_eq!(
        predicate["verifiedLevels"],
        serde_json::json!(["SLSA_SOURCE_LEVEL_1", "ORG_SOURCE_NOTME_ACCEPTED"])
    );
    assert_eq!(predicate["resourceUri"], "git+https://x.example/r");
    assert_eq!(
        predicate["verifier"]["id"],
        report["objects"][0]["identity"]
    );
    let digest = predicate["policy"]["digest"]["sha256"].as_str().unwrap();
    assert_eq!(format!("sha256:{digest}"), report["policy"]);
    assert_eq!(predicate["notme_summary"], report["summary"]);
}

/// Nobody takes a history that was excused for one that the rules accept.
#[test]
fn a_summary_says_what_was_excused() {
    let world = World::initialised();
    let old = world.commit("old", "by nobody");
    let excused = |how: &str, count: &str| {
        let policy = world.policy(&format!("{how}\n[[allow]]\nidentity = \"*\"\n"));
        let policy = ["--policy", &policy];
        let (exit, report) = world.verdicts(&policy);
        assert_eq!((exit, &report["summary"][count]), (Some(0), &1.into()));
        let object = &report["objects"][0];
        assert_eq!(object["excused_from"], "unsigned");
        assert_eq!(object["code"], Value::Null);
        let output = world.notme(&[&VSA[..], &policy].concat());
        let predicate = &statement(&bundle(&output))["predicate"];
        assert_eq!(predicate["verificationResult"], "PASSED");
        assert_eq!(
            predicate["verifiedLevels"],
            serde_json::json!(["SLSA_SOURCE_LEVEL_1"])
        );
        assert_eq!(predicate["notme_summary"], report["summary"]);
    };
    excused(&format!("baseline = [\"{old}\"]"), "baseline");
    let exception = "reason = \"r\"\nuntil = \"2999-01-01T00:00:00Z\"\n";
    let exception = format!("[[exception]]\nobject = \"{old}\"\n{exception}");
    excused(&exception, "excepted");
}

#[test]
fn of_the_refs_at_a_commit_only_the_judged_one_is_listed() {
    let world = World::initialised();
    world.signed_commit("a");
    world.git_ok(&["branch", "agents"]);
    world.git_ok(&["tag", "-s", "-m", "v1", "v1"]);
    world.git_ok(&["update-ref", "refs/tags/copy", "v1"]);
    let policy = world.policy(
        "[[authority]]\nname = \"embedded\"\n[[allow]]\nidentity = \"*\"\nrefs = [\"refs/heads/agents\", \"refs/tags/v1\"]\n",
    );
    let summed_up = |arguments: &[&str]| {
        let output = world.notme(&[&VSA[..], &["--policy", &policy], arguments].concat());
        let statement = statement(&bundle(&output));
        (
            statement["predicate"]["verificationResult"].clone(),
            statement["subject"][0]["annotations"]["source_refs"].clone(),
        )
    };
    let none: [&str; 0] = [];
    for (arguments, result, references) in [
        (&["main"][..], "FAILED", &["refs/heads/main"][..]),
        (&["HEAD"], "FAILED", &["refs/heads/main"]),
        (&["agents"], "PASSED", &["refs/heads/agents"]),
        (
            &["HEAD", "--ref", "refs/heads/agents"],
            "PASSED",
            &["refs/heads/agents"],
        ),
        (&["agents", "--ref", "refs/heads/other"], "FAILED", &none),
        (&["v1"], "PASSED", &["refs/tags/v1"]),
        (&["copy"], "FAILED", &none),
    ] {
        let expected = match references {
            [] => Value::Null,
            references => serde_json::json!(references),
        };
        assert_eq!(
            summed_up(arguments),
            (result.into(), expected),
            "{arguments:?}"
        );
    }
}

#[test]
fn what_was_not_accepted_is_summed_up_as_failed() {
    let world = World::initialised();
    world.signed_commit("a");
    world.commit("b", "unsigned");
    let output = world.notme(&VSA);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let statement = statement(&bundle(&output));
    let predicate = &statement["predicate"];
    assert_eq!(predicate["verificationResult"], "FAILED");
    assert_eq!(predicate["verifiedLevels"], serde_json::json!(["FAILED"]));
}

#[test]
fn a_summary_of_a_failure_is_none_that_a_rule_asks_for() {
    let world = World::initialised();
    world.signed_commit("a");
    let rule = "[[require]]\npredicate = \"https://slsa.dev/verification_summary/v1\"\n";
    let policy = world.policy(&format!("[[allow]]\nidentity = \"*\"\n{rule}"));
    let policy = ["--policy", &policy];
    let summed_up = |options: &[&str], result: &str| {
        let output = world.notme(&[&VSA[..], options].concat());
        let predicate = &statement(&bundle(&output))["predicate"];
        assert_eq!(predicate["verificationResult"], result);
        let file = world.home().join("summary");
        fs::write(&file, &output.stdout).unwrap();
        world.notme_ok(&["attest", "import", file.to_str().unwrap()]);
        let (exit, document) = world.verdicts(&policy);
        (exit, document["objects"][0]["code"].clone())
    };
    let failed = summed_up(&policy, "FAILED");
    assert_eq!(failed, (Some(3), "attestation-missing".into()));
    assert_eq!(summed_up(&[], "PASSED"), (Some(0), Value::Null));
}

#[test]
fn a_summary_is_judged_like_any_statement() {
    let world = World::initialised();
    world.signed_commit("a");
    let output = world.notme(&VSA);
    let file = world.home().join("vsa.json");
    fs::write(&file, &output.stdout).unwrap();
    let judged = |arguments: &[&str]| -> (Option<i32>, Value) {
        let output = world.notme(&[&["attest", "verify", "--json"], arguments].concat());
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), document[0].clone())
    };
    let (exit, judgement) = judged(&["--bundle", file.to_str().unwrap()]);
    assert_eq!(exit, Some(0), "{judgement}");
    assert_eq!(judgement["attestations"][0]["time_basis"], "timestamped");
    world.notme_ok(&["attest", "import", file.to_str().unwrap()]);
    let (exit, judgement) = judged(&["HEAD"]);
    assert_eq!((exit, &judgement["level"]), (Some(0), &Value::Null));
    // To verify is no work on the commit: a reviewer may do both.
    world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
    let output = world.notme(&VSA);
    fs::write(&file, &output.stdout).unwrap();
    world.notme_ok(&["attest", "import", file.to_str().unwrap()]);
    world.notme_ok(&["attest", "acceptance", "HEAD"]);
    let (exit, judgement) = judged(&["HEAD"]);
    assert_eq!(exit, Some(0), "{judgement}");
    assert_eq!(judgement["attestations"].as_array().unwrap().len(), 3);
    // Whoever signs with another's name is none.
    let statement = String::from_utf8(output.stdout).unwrap();
    let tampered = statement.replacen("\"sig\":\"", "\"sig\":\"AAAA", 1);
    fs::write(&file, tampered).unwrap();
    assert_eq!(judged(&["--bundle", file.to_str().unwrap()]).0, Some(1));
}

/// Else a summary of something else would pass for one of this.
#[test]
fn whoever_judges_a_summary_is_told_what_it_is_of() {
    let world = World::initialised();
    let root = world.signed_commit("a");
    let head = world.commit("b", "unsigned");
    let file = world.home().join("vsa.json");
    let file = file.to_str().unwrap();
    let judged = |arguments: &[&str], resource: &str| {
        let output = world.notme(&[&VSA[..4], &[resource], arguments].concat());
        fs::write(file, &output.stdout).unwrap();
        let bundle = ["attest", "verify", "--bundle", file];
        let text = world.notme(&bundle);
        let json = world.notme(&[&bundle[..], &["--json"]].concat());
        assert_eq!(text.status.code(), json.status.code());
        let json: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(json[0]["verdict"], "accepted");
        let summary = json[0]["attestations"][0]["summary"].clone();
        (text.status.code(), told(&text), summary)
    };
    let (exit, text, summary) = judged(&[&root], "git+https://x.example/other");
    assert_eq!(exit, Some(0), "{text}");
    for told in [
        format!("of git+https://x.example/other: {root}"),
        format!("gitCommit {root}"),
        "levels: SLSA_SOURCE_LEVEL_1, ORG_SOURCE_NOTME_ACCEPTED".to_owned(),
    ] {
        assert!(text.contains(&told), "{told}: {text}");
    }
    assert_eq!(summary["resource_uri"], "git+https://x.example/other");
    assert_eq!(summary["range"], root.as_str());
    assert_eq!(summary["subjects"][0]["digest"]["gitCommit"], root.as_str());
    assert_eq!(summary["verified_levels"][0], "SLSA_SOURCE_LEVEL_1");

    let (exit, text, summary) = judged(&["main"], "git+https://x.example/r");
    assert_eq!(exit, Some(1), "{text}");
    for told in [
        "verification: FAILED",
        &format!("gitCommit {head}  refs/heads/main"),
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_eq!(summary["range"], "main");
    // What is kept about a commit says so, and the commit is another question.
    world.notme_ok(&["attest", "import", file]);
    let kept = world.notme(&["attest", "verify", "HEAD"]);
    assert!(told(&kept).contains("FAILED"), "{}", told(&kept));
    assert_eq!(kept.status.code(), Some(0), "{}", told(&kept));
}

#[test]
fn what_is_no_uri_names_no_repository() {
    let world = World::initialised();
    world.signed_commit("a");
    for text in [
        "",
        "not a uri",
        "x.example/r",
        ":r",
        "git+https://x.example/\"<z>",
    ] {
        let output = world.notme(&[&VSA[..4], &[text]].concat());
        assert_eq!(output.status.code(), Some(2), "{text}: {}", told(&output));
        assert!(told(&output).contains("is not a URI"), "{}", told(&output));
        assert!(output.stdout.is_empty(), "{}", told(&output));
    }
}

#[test]
fn nothing_is_summed_up_unsigned_or_unseen() {
    let stranger = World::new();
    stranger.commit("a", "a");
    let output = stranger.notme(&VSA);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(output.stdout.is_empty() && told(&output).contains("--agent"));

    let world = World::initialised();
    world.signed_commit("a");
    let output = world.notme(&[&VSA[..], &["--agent", "nobody"]].concat());
    assert_ne!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty(), "{}", told(&output));
    let output = world.notme(&[&VSA[..], &["HEAD..HEAD"]].concat());
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn the_repository_is_named_by_its_url_without_passwords() {
    let world = World::initialised();
    world.signed_commit("a");
    let named = |url: &str| {
        world.git_ok(&["config", "remote.origin.url", url]);
        let output = world.notme(&VSA[..3]);
        match output.status.success() {
            true => statement(&bundle(&output))["predicate"]["resourceUri"].clone(),
            false => Value::Null,
        }
    };
    assert_eq!(
        named("https://me:secret@x.example/r.git"),
        "git+https://x.example/r.git"
    );
    assert_eq!(named("git@x.example:o/r"), "git+ssh://x.example/o/r");
    assert_eq!(named("/somewhere/here"), Value::Null);
}
