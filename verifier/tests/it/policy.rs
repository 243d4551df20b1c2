//! Step 6, and the policy file.

use notme_testkit::clock::NOW;
use notme_verifier::{Code, Policy, load};

use crate::world::{assert_accepted, assert_code, bound_commit, judge_by, payload, trust};

fn judged(policy: &str) -> notme_verifier::Judgement {
    let policy = Policy::parse(policy).unwrap();
    judge_by(&bound_commit(&payload()), &policy, &trust(), NOW)
}

const AUTHORITY: &str = "[[authority]]\nname = \"local\"\n";

#[test]
fn allows_what_a_glob_names() {
    let judgement = judged(&format!(
        "{AUTHORITY}[[allow]]\nidentity = \"wimse://test.invalid/agent/alice/*\"\n"
    ));
    assert_accepted(&judgement);
    assert_eq!(
        judgement.rule(),
        Some("allow wimse://test.invalid/agent/alice/*")
    );
}

#[test]
fn denies_what_no_rule_names() {
    for allow in [
        "",
        "allow = []\n",
        "[[allow]]\nidentity = \"wimse://test.invalid/agent/bob/*\"\n",
        "[[allow]]\nidentity = \"*\"\nauthority = \"other\"\n",
    ] {
        let text = match allow.starts_with("allow") {
            true => format!("{allow}{AUTHORITY}"),
            false => format!("{AUTHORITY}{allow}"),
        };
        assert_code(&judged(&text), Code::NotAuthorised);
    }
}

#[test]
fn an_empty_policy_trusts_nobody() {
    assert_code(&judged(""), Code::SignerUntrusted);
}

#[test]
fn the_policys_scopes_take_the_place_of_the_pins() {
    let with = |scope: &str| {
        judged(&format!(
            "{AUTHORITY}scopes = [\"{scope}\"]\n[[allow]]\nidentity = \"*\"\n"
        ))
    };
    assert_accepted(&with("bridgeCert"));
    assert_code(&with("sign:attestation"), Code::ScopeMissing);
}

#[test]
fn refuses_what_is_no_policy_and_names_the_line() {
    for (line, text) in [
        (1, "floor = \"declared\"\n"),
        (2, "skew_seconds = 60\ntime_basis_floor = \"wished\"\n"),
        (3, "[[authority]]\nname = \"a\"\ncolour = \"red\"\n"),
        (2, "skew_seconds = 1\nskew_seconds\n"),
        (1, "[[authority]]\nscopes = []\n"),
        (2, "\n[[authority]]\nname = \"a\"\nspki_sha256 = \"00\"\n"),
        (1, "[[authority]]\nspki_sha256 = \"zz\"\n"),
        (1, "[[allow]]\nidentity = \"\"\n"),
        (2, "[[allow]]\nidentity = 7\n"),
        (1, "skew_seconds = 86401\n"),
        (1, "skew_seconds = -1\n"),
    ] {
        let error = Policy::parse(text).unwrap_err();
        assert_eq!(error.line(), Some(line), "{text}: {error}");
        assert_eq!(error.code(), "policy-unreadable");
    }
}

#[test]
fn a_policy_that_cannot_be_read_is_an_error_and_no_default() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.toml");
    assert_eq!(load::policy(&path).unwrap_err().code(), "policy-unreadable");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert_eq!(load::policy(&path).unwrap_err().code(), "policy-unreadable");
    std::fs::write(&path, "skew_seconds = 5\n").unwrap();
    assert_eq!(load::policy(&path).unwrap().skew_seconds(), 5);
}

#[test]
fn the_policy_of_a_trust_store_can_be_written_down() {
    let policy = Policy::from_trust(&trust());
    let again = Policy::parse(&policy.to_string()).unwrap();
    assert_eq!(policy.digest(), again.digest());
    assert_accepted(&judge_by(&bound_commit(&payload()), &again, &trust(), NOW));
}

#[test]
fn a_corporate_authority_cannot_name_an_agent_by_default() {
    use crate::mint::Mint;
    use notme_verifier::{
        Trust,
        trust::{Authority, PinKind},
    };
    let root = Mint::ca("Root", 0x51, None).self_signed();
    let judged = |mint: Mint<'_>| {
        let roots = vec![root.certificate.clone()];
        let authority = Authority::from_certificates("corporate", PinKind::X509, vec![], roots);
        let trust = Trust::new(vec![authority], vec![]);
        let raw = crate::world::commit_with(&mint.signed_by(&root).sign(&payload(), &[]));
        crate::world::judge_in(&raw, &trust, NOW)
    };
    let leaf = || Mint::new("leaf", 0x61);
    assert_accepted(&judged(leaf().emails(&["alice@example.org"])));
    assert_accepted(&judged(leaf().uris(&["https://example.org/alice"])));
    let agent = "wimse://test.invalid/agent/alice/claude";
    assert_code(&judged(leaf().uris(&[agent])), Code::NotAuthorised);
}

#[test]
fn a_policy_is_written_down_whatever_its_names_hold() {
    let text = "[[authority]]\nname = 'a\"\\b'\nscopes = ['x\"']\n[[allow]]\nidentity = 'i\"\\*'\n";
    let policy = Policy::parse(text).unwrap();
    let again = Policy::parse(&policy.to_string()).unwrap();
    assert_eq!(policy.to_string(), again.to_string());
}
