//! Step 6, and the policy file.

use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
};
use notme_verifier::{
    Code, Policy, Trust, load,
    trust::{Authority, Fault, PinKind},
};
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::world::{
    assert_accepted, assert_code, authority, bound_commit, judge_by, judge_in, payload,
    session_commit, trust, trust_in,
};

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
fn an_empty_list_is_nobody() {
    assert_code(&judged("authority = []\n"), Code::SignerUntrusted);
    assert_code(&judged("allow = []\n"), Code::NotAuthorised);
    // And needs no trust store.
    let nobody = Trust::new(Vec::new(), Vec::new());
    let raw = bound_commit(&payload());
    let untrusting = |text| judge_by(&raw, &Policy::parse(text).unwrap(), &nobody, NOW);
    assert_code(&untrusting("authority = []\n"), Code::SignerUntrusted);
    assert_code(&untrusting("skew_seconds = 5\n"), Code::TrustMissing);
    assert_code(&untrusting(AUTHORITY), Code::TrustMissing);
}

#[test]
fn known_good_objects_have_whole_names() {
    for id in ["a".repeat(40), "0".repeat(64)] {
        let text = format!("known_good = [\"{id}\"]\n");
        let policy = Policy::parse(&text).unwrap();
        assert!(policy.to_string().contains(&text), "{policy}");
    }
    for bad in ["", "abc", "HEAD", &"A".repeat(40), &"a".repeat(41)] {
        let text = format!("skew_seconds = 60\nknown_good = [\"{bad}\"]\n");
        let error = Policy::parse(&text).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}

#[test]
fn what_a_policy_does_not_speak_of_is_as_without_one() {
    let anybody = "[[allow]]\nidentity = \"*\"\n";
    for text in ["", "skew_seconds = 5\n", anybody] {
        assert_accepted(&judged(text));
    }
    let session = session_commit(&LeafSpec::default());
    let by = |text: &str| judge_by(&session, &Policy::parse(text).unwrap(), &trust(), NOW);
    assert_code(&by(""), Code::TimeBasisTooWeak);
    assert_accepted(&by("time_basis_floor = \"declared\"\n"));
    // Others' identities stay others'.
    let spec = LeafSpec {
        identity: "wimse://other.invalid/agent/alice/claude".parse().unwrap(),
        ..LeafSpec::bound_to(&payload())
    };
    let foreign = session_commit(&spec);
    let judgement = judge_by(&foreign, &Policy::parse("").unwrap(), &trust(), NOW);
    assert_code(&judgement, Code::NotAuthorised);
    // A fault of the store is not passed over either.
    let fault = Fault {
        name: "local".into(),
        code: Code::TrustUnreadable,
        message: "permission denied".to_owned(),
        keys: None,
        trust_domain: None,
    };
    let broken = Trust::new(Vec::new(), vec![fault]);
    let judgement = judge_by(&session, &Policy::parse("").unwrap(), &broken, NOW);
    assert_code(&judgement, Code::TrustUnreadable);
}

#[test]
fn an_exception_takes_identities_out_of_a_rule() {
    let with = |except: &str| {
        judged(&format!(
            "[[allow]]\nidentity = \"wimse://*\"\nexcept = [\"wimse://x/*\", \"{except}\"]\n"
        ))
    };
    assert_accepted(&with("*/bob/*"));
    assert_code(&with("*/alice/*"), Code::NotAuthorised);
}

#[test]
fn no_authority_speaks_for_the_domain_of_another() {
    let pem = |seed| {
        let root = TestAuthority::new(seed).ed25519_root().clone();
        let kind = PinKind::Pem;
        Authority::from_certificates("hosted", kind, kind.default_scopes(), vec![root])
    };
    let scopes = PinKind::TrustDocument.default_scopes();
    let local = Authority::from_document("local", scopes, &authority().trust(1, NOW));
    let trust = Trust::new(vec![pem(2), local], Vec::new());
    let fault = Fault {
        name: "local".into(),
        code: Code::TrustUnreadable,
        message: "permission denied".to_owned(),
        keys: Some(Vec::new()),
        trust_domain: Some("test.invalid".to_owned()),
    };
    let unread = Trust::new(vec![pem(2)], vec![fault]);
    let judged = |identity: &str, trust: &Trust| {
        let spec = LeafSpec {
            identity: identity.parse().unwrap(),
            ..LeafSpec::bound_to(&payload())
        };
        let raw = TestAuthority::new(2)
            .leaf(&spec)
            .sign_commit(&payload(), NOW);
        judge_in(&raw, trust, NOW)
    };
    // Nor while that cannot be read.
    for trust in [&trust, &unread] {
        assert_accepted(&judged("wimse://hosted.invalid/gha/o/r", trust));
        let theirs = judged("wimse://test.invalid/agent/alice/claude", trust);
        assert_code(&theirs, Code::NotAuthorised);
    }
    assert_ne!(
        unread.digest(),
        Trust::new(unread.authorities().to_vec(), Vec::new()).digest()
    );
    let written = Policy::from_trust(&trust).to_string();
    let again = Policy::parse(&written).unwrap();
    assert_eq!(again.to_string(), written);
}

#[test]
fn a_trust_domain_is_matched_by_its_letters() {
    // No verified document says so; a rule made of it would be a pattern.
    let mut document = authority().trust(1, NOW);
    for domain in ["*", "te*", "test.invalid/agent"] {
        document.trust_domain = domain.to_owned();
        let judgement = judge_in(&bound_commit(&payload()), &trust_in(&document), NOW);
        assert_code(&judgement, Code::NotAuthorised);
    }
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
        (2, "[[allow]]\nidentity = \"\"\n"),
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
    // Nobody waits for what somebody may write.
    std::fs::remove_file(&path).unwrap();
    mkfifoat(CWD, &path, Mode::RWXU).unwrap();
    assert_eq!(load::policy(&path).unwrap_err().code(), "policy-unreadable");
}

#[test]
fn errors_name_the_file_the_line_and_the_rule_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.toml");
    let shown = path.display().to_string();
    let told = || {
        let error = load::policy(&path).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        [error.to_string(), source.unwrap_or_default()].join(": ")
    };
    let missing = told();
    assert_eq!(missing.matches(&shown).count(), 1, "{missing}");
    assert_eq!(missing.matches("could not read").count(), 1, "{missing}");
    std::fs::write(&path, "\n[[authority]]\nscopes = []\n").unwrap();
    let told = told();
    assert!(
        told.starts_with(&format!("policy `{shown}`, line 2: an `[[authority]]` has")),
        "{told}"
    );
    assert_eq!(told.matches(&shown).count(), 1, "{told}");
}

/// The example in the documentation of the format is a policy, and every key is in it.
#[test]
fn the_documented_example_is_a_policy() {
    let document = include_str!("../../../docs/formats/policy.md");
    let (_, rest) = document.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    Policy::parse(example).unwrap();
    for key in [
        "time_basis_floor",
        "skew_seconds",
        "max_trust_age_seconds",
        "[[authority]]",
        "name",
        "spki_sha256",
        "scopes",
        "[[allow]]",
        "identity",
        "except",
        "authority",
    ] {
        assert!(example.contains(key), "{key}");
    }
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
    use notme_testkit::mint::Mint;
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
        judge_in(&raw, &trust, NOW)
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

#[test]
fn an_authority_counts_in_its_window_and_under_its_label() {
    let spki = |authority: &TestAuthority| {
        notme_core::hex::encode(&authority.ed25519_root().public_key().spki_sha256())
    };
    let (ours, others) = (spki(&authority()), spki(&TestAuthority::new(2)));
    let with = |window: &str| {
        judged(&format!(
            "[[authority]]\nspki_sha256 = \"{ours}\"\n{window}\n[[allow]]\nidentity = \"*\"\n"
        ))
    };
    assert_accepted(&with(""));
    assert_accepted(&with("until = \"2100-01-01T00:00:00Z\""));
    assert_code(
        &with("until = \"2020-01-01T00:00:00Z\""),
        Code::SignerUntrusted,
    );
    assert_code(
        &with("from = \"2100-01-01T00:00:00Z\""),
        Code::SignerUntrusted,
    );
    let labelled = |root: &str, label: &str, by: &str| {
        judged(&format!(
            "[[authority]]\nname = \"local\"\n[[authority]]\nspki_sha256 = \"{root}\"\nlabel = \"{label}\"\n[[allow]]\nidentity = \"*\"\nauthority = \"{by}\"\n"
        ))
    };
    assert_accepted(&labelled(&ours, "ci", "ci"));
    assert_accepted(&labelled(&others, "ci", "local"));
    assert_code(&labelled(&others, "ci", "ci"), Code::NotAuthorised);
    // A label stands for what the policy says, whatever the trust store calls by that name.
    assert_code(&labelled(&others, "local", "local"), Code::NotAuthorised);
}

#[test]
fn a_missing_authority_is_said_with_the_place_where_it_is() {
    let judgement = judged(&format!(
        "[[authority]]\nspki_sha256 = \"{}\"\nurl = \"https://auth.example.org\"\n[[allow]]\nidentity = \"*\"\n",
        "0".repeat(64)
    ));
    assert_code(&judgement, Code::TrustMissing);
    let detail = judgement.detail().unwrap();
    assert!(
        detail.ends_with("it is at https://auth.example.org"),
        "{detail}"
    );
}

#[test]
fn a_principal_is_known_by_identity_and_key() {
    let root = notme_core::hex::encode(&authority().ed25519_root().public_key().spki_sha256());
    let other = "0".repeat(64);
    let with = |lines: &str| {
        judged(&format!(
            "[[principal]]\nname = \"a\"\nkind = \"bot\"\n{lines}\n[[principal]]\nname = \"all\"\nmembers = [\"bot\"]\n[[allow]]\nprincipals = [\"all\"]\n"
        ))
    };
    let identities = "identities = [\"wimse://test.invalid/*\"]";
    assert_accepted(&with(identities));
    assert_accepted(&with(&format!("keys = [\"{root}\"]")));
    assert_accepted(&with(&format!(
        "{identities}\nkeys = [\"{other}\", \"{root}\"]"
    )));
    assert_accepted(&with(&format!("{identities}\nauthority = \"local\"")));
    for lines in [
        "identities = [\"wimse://elsewhere/*\"]".to_owned(),
        format!("{identities}\nexcept = [\"*/claude\"]"),
        format!("{identities}\nkeys = [\"{other}\"]"),
        format!("identities = [\"x\"]\nkeys = [\"{root}\"]"),
        format!("{identities}\nauthority = \"elsewhere\""),
    ] {
        assert_code(&with(&lines), Code::NotAuthorised);
    }
}
