//! Predicates by their rules.

use std::time::{Duration, Instant};

use notme_attest::{
    Predicate, make,
    predicate::{
        ACCEPTANCE, DISPATCH, HANDOFF, HANDOFF_ROSARY, PredicateError, RECEIVE, Record, SUMMARY,
    },
};
use notme_core::{
    json::parse_object,
    statement::{Statement, Subject},
};

use crate::world::facts;

const COMMIT: &str = "d6cd1e2bd19e03a81132a23b2025920577f84e37";

fn read(kind: &str, predicate: &str) -> Result<Predicate, PredicateError> {
    let subject = vec![Subject::new("c", "gitCommit", COMMIT)];
    let predicate = parse_object(predicate.as_bytes()).unwrap();
    Predicate::read(&Statement::new(subject, kind, predicate).unwrap())
}

#[test]
fn a_dispatch_is_read_as_the_hosted_schema_has_it() {
    for good in [
        "{}",
        r#"{"more":1}"#,
        r#"{"dispatchDefinition":{"workItemRef":{"repo":"r","workItemId":"i","contentHash":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}}}"#,
        r#"{"runDetails":{"execution":{"isolationLevel":"git-worktree","startedAt":"2026-11-20T12:00:00.5+01:00"}}}"#,
        r#"{"runDetails":{"contentOrigins":[{"uri":"u","vouchedBy":""}]}}"#,
    ] {
        assert!(read(DISPATCH, good).is_ok(), "{good}");
    }
    for bad in [
        r#"{"dispatchDefinition":{"workItemRef":{"repo":"r","workItemId":"i"}}}"#,
        r#"{"dispatchDefinition":{"workItemRef":{"repo":"r","workItemId":"i","contentHash":"sha256:00"}}}"#,
        r#"{"dispatchDefinition":{"agent":{"name":"a","model":"m"}}}"#,
        r#"{"dispatchDefinition":{"pipeline":{"pipelineId":"none"}}}"#,
        r#"{"runDetails":{"execution":{"isolationLevel":"hope"}}}"#,
        r#"{"runDetails":{"execution":{"isolationLevel":{"git-worktree":null}}}}"#,
        r#"{"runDetails":{"execution":{"completedAt":"yesterday"}}}"#,
        r#"{"runDetails":{"work":{"linesAdded":1.5}}}"#,
        r#"{"runDetails":{"contentOrigins":[],"originsHash":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}}"#,
        r#"{"runDetails":{"originsHash":["x"]}}"#,
        r#"{"runDetails":null}"#,
        r#"{"dispatchDefinition":{"agent":null}}"#,
        r#"{"dispatchDefinition":{"agent":{"name":"a","model":"m","provider":"p","definition":null}}}"#,
    ] {
        assert!(read(DISPATCH, bad).is_err(), "{bad}");
    }
}

/// No other reader takes an array for an object.
#[test]
fn the_members_of_objects_have_names() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let said = |evidence: &str| {
        format!(
            r#"{{"decision":"accepted","evidence":[{evidence}],"acceptedAt":"2026-11-20T12:00:00Z"}}"#
        )
    };
    let named = format!(r#"{{"predicateType":"t","digest":"{digest}"}}"#);
    assert!(read(ACCEPTANCE, &said(&named)).is_ok());
    let listed = read(ACCEPTANCE, &said(&format!(r#"["t","{digest}"]"#)));
    assert!(matches!(listed, Err(PredicateError::Json(_))));

    use notme_attest::origins::OriginSet;
    assert!(OriginSet::from_json(br#"[{"uri":"u","vouchedBy":""}]"#).is_ok());
    assert!(OriginSet::from_json(br#"[["u",""]]"#).is_err());
}

/// What is handed over, or was to be done, is a subject.
#[test]
fn a_digest_is_that_of_a_subject_where_one_has_any() {
    let (own, other) = ("1".repeat(64), "2".repeat(64));
    let item = |hash| format!(r#"{{"repo":"r","workItemId":"i","contentHash":"sha256:{hash}"}}"#);
    let item = |hash| {
        format!(
            r#"{{"dispatchDefinition":{{"workItemRef":{}}}}}"#,
            item(hash)
        )
    };
    let document = |hash| format!(r#"{{"documentHash":"sha256:{hash}"}}"#);
    let said = [
        (HANDOFF, document(&own), document(&other)),
        (DISPATCH, item(&own), item(&other)),
    ];
    for (kind, good, bad) in said {
        let read = |predicate: &str, digests: &[&str]| {
            let subject = digests.iter().map(|it| Subject::new("s", "sha256", *it));
            let subject = subject.chain([Subject::new("c", "gitCommit", COMMIT)]);
            let predicate = parse_object(predicate.as_bytes()).unwrap();
            Predicate::read(&Statement::new(subject.collect(), kind, predicate).unwrap())
        };
        assert!(read(&good, &[&own]).is_ok());
        assert!(read(&good, &[&other, &own]).is_ok());
        assert!(read(&bad, &[]).is_ok());
        assert!(matches!(read(&bad, &[&own]), Err(PredicateError::Rule(_))));
    }
}

#[test]
fn a_handoff_is_read_in_both_tongues() {
    let rosary = r#"{"bead_id":"rosary-test","from_agent":"dev-agent","phase":0,"summary":"Fixed the thing."}"#;
    assert!(matches!(
        read(HANDOFF_ROSARY, rosary),
        Ok(Predicate::Handoff(_))
    ));
    let Ok(Predicate::Handoff(ours)) = read(HANDOFF, r#"{"chainHash":"x","filesChanged":["a"]}"#)
    else {
        panic!("a handoff");
    };
    assert!(ours.more.contains_key("filesChanged"));
    assert!(read(HANDOFF, r#"{"documentHash":"sha256:xyz"}"#).is_err());
}

#[test]
fn an_acceptance_says_when_and_of_what() {
    let good = r#"{"decision":"accepted","evidence":[],"acceptedAt":"2026-11-20T12:00:00Z"}"#;
    assert!(read(ACCEPTANCE, good).is_ok());
    for bad in [
        "{}",
        r#"{"decision":"perhaps","evidence":[],"acceptedAt":"2026-11-20T12:00:00Z"}"#,
        r#"{"decision":{"accepted":null},"evidence":[],"acceptedAt":"2026-11-20T12:00:00Z"}"#,
        r#"{"decision":"accepted","evidence":[],"acceptedAt":"now"}"#,
        r#"{"decision":"accepted","evidence":[],"reason":null,"acceptedAt":"2026-11-20T12:00:00Z"}"#,
        r#"{"decision":"accepted","evidence":[{"predicateType":"x","digest":"0"}],"acceptedAt":"2026-11-20T12:00:00Z"}"#,
    ] {
        assert!(read(ACCEPTANCE, bad).is_err(), "{bad}");
    }
}

// slsa.dev/spec/v1.2/verification_summary: "Fields"
#[test]
fn a_verification_summary_is_read_as_slsa_has_it() {
    let good = r#"{"verifier":{"id":"https://x.example/v","version":{"x":"1"}},"timeVerified":"2026-11-20T12:00:00Z","resourceUri":"git+https://x.example/r","policy":{"uri":"https://x.example/p"},"verificationResult":"PASSED","verifiedLevels":["SLSA_SOURCE_LEVEL_3"],"dependencyLevels":{},"slsaVersion":"1.2"}"#;
    let Ok(Predicate::Summary(summary)) = read(SUMMARY, good) else {
        panic!("a summary");
    };
    assert!(summary.more.contains_key("dependencyLevels"));
    for (member, other) in [
        (r#""timeVerified":"2026-11-20T12:00:00Z","#, ""),
        (r#""2026-11-20T12:00:00Z""#, r#""today""#),
        (r#""https://x.example/v""#, r#""somebody""#),
        (r#"{"uri":"https://x.example/p"}"#, "{}"),
        ("PASSED", "PROBABLY"),
        (r#""PASSED""#, r#"{"PASSED":null}"#),
        (r#"["SLSA_SOURCE_LEVEL_3"]"#, "[]"),
        (r#"["SLSA_SOURCE_LEVEL_3"]"#, r#"["FAILED"]"#),
    ] {
        let bad = good.replacen(member, other, 1);
        assert_ne!(bad, good);
        assert!(read(SUMMARY, &bad).is_err(), "{bad}");
    }
}

#[test]
fn a_record_of_receiving_names_repository_ref_and_time() {
    let good = r#"{"repository":"https://x.example/r","ref":"refs/heads/a","new":"d6cd1e2bd19e03a81132a23b2025920577f84e37","receivedAt":"2026-11-20T12:00:00Z"}"#;
    assert!(matches!(read(RECEIVE, good), Ok(Predicate::Receive(_))));
    for (old, new) in [
        ("https://x.example/r", "x"),
        ("refs/heads/a", "a"),
        ("d6cd", "d6cg"),
        ("d6cd", "d6"),
        (r#","receivedAt":"2026-11-20T12:00:00Z""#, ""),
        ("12:00:00Z", "12:00:00+01:00"),
        (r#""new""#, r#""old":"1","new""#),
    ] {
        let bad = good.replace(old, new);
        assert!(read(RECEIVE, &bad).is_err(), "{bad}");
    }
}

/// Anybody can send one: what it says is read before it is known who signed it.
#[test]
fn lists_that_fill_a_statement_are_compared_at_once() {
    const MANY: usize = 99_000;
    let mut facts = facts("urn:x", "claude");
    facts.includes = vec!["a".to_owned(); MANY];
    facts.excludes = vec!["b".to_owned(); MANY];
    let opening = || Record::opening(None, Default::default());
    let began = Instant::now();
    assert!(make::activity(facts.clone(), opening(), &[]).is_ok());
    facts.excludes.push("A".to_owned());
    assert!(make::activity(facts, opening(), &[]).is_err());
    assert!(began.elapsed() < Duration::from_secs(20));
}
