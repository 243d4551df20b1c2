//! Steps 1 and 2: what is not even evidence.

use notme_core::armor::armor;
use notme_testkit::{clock::NOW, commit::with_signature};
use notme_verifier::{Code, Judge, Policy, Verdict};

use crate::world::{
    assert_accepted, assert_code, bound_commit, code, commit_with, judge, payload, session, trust,
};
use notme_testkit::cast::LeafSpec;

#[test]
fn accepts_an_issuance_bound_commit_by_default() {
    let judgement = judge(&bound_commit(&payload()));
    assert_accepted(&judgement);
    assert_eq!(
        judgement.identity(),
        Some("wimse://test.invalid/agent/alice/claude")
    );
    assert_eq!(judgement.authority(), Some("local"));
    assert_eq!(
        judgement.rule(),
        Some("allow wimse://test.invalid/* by local")
    );
    assert_eq!(judgement.declared(), Some(NOW));
}

#[test]
fn judges_payload_and_signature_apart_as_git_hands_them_over() {
    let payload = payload();
    let signature = session(&LeafSpec::bound_to(&payload)).sign_cms(&payload, NOW);
    let (trust, signature) = (trust(), armor(&signature));
    let policy = Policy::from_trust(&trust);
    let judge = Judge::new(&policy, &trust, NOW);
    assert_accepted(&judge.judge_detached(&payload, signature.as_bytes()));
    let altered = [&payload[..], b"x"].concat();
    let judgement = judge.judge_detached(&altered, signature.as_bytes());
    assert_code(&judgement, Code::SignatureInvalid);
    // The name in the certificate is for the message; nobody vouches for it here.
    assert_eq!(judgement.identity(), None);
    assert_eq!(
        &*judgement.claimed().unwrap().name,
        "wimse://test.invalid/agent/alice/claude"
    );
}

#[test]
fn an_object_without_signature_is_unsigned() {
    assert_code(&judge(&payload()), Code::Unsigned);
}

#[test]
fn two_signature_headers_are_ambiguous() {
    let once = bound_commit(&payload());
    let signature = armor(b"other");
    assert_code(
        &judge(&with_signature(&once, "gpgsig", &signature)),
        Code::SignatureAmbiguous,
    );
}

#[test]
fn text_after_the_armor_is_ambiguous() {
    let cms = session(&LeafSpec::default()).sign_cms(&payload(), NOW);
    let signature = format!("{}trailing\n", armor(&cms));
    let raw = with_signature(&payload(), "gpgsig", &signature);
    assert_code(&judge(&raw), Code::SignatureAmbiguous);
}

#[test]
fn other_signature_headers_are_reported_and_trusted_for_nothing() {
    let raw = with_signature(&bound_commit(&payload()), "gpgsig-sha256", "nonsense");
    let judgement = judge(&raw);
    assert_accepted(&judgement);
    let names = judgement.unauthenticated_headers();
    assert_eq!(names, [Box::from("gpgsig-sha256")]);
    let only = with_signature(&payload(), "gpgsig-sha256", &armor(b"x"));
    assert_code(&judge(&only), Code::Unsigned);
}

#[test]
fn a_nul_in_the_headers_is_malformed() {
    let mut raw = bound_commit(&payload());
    raw[60] = 0;
    assert_code(&judge(&raw), Code::ObjectMalformed);
}

#[test]
fn an_unknown_label_is_an_unknown_format() {
    let raw = with_signature(
        &payload(),
        "gpgsig",
        "-----BEGIN CMS-----\nAAAA\n-----END CMS-----\n",
    );
    assert_code(&judge(&raw), Code::SignatureUnknownFormat);
}

#[test]
fn an_oversized_signature_is_refused_before_it_is_read() {
    let raw = with_signature(&payload(), "gpgsig", &armor(&vec![0; 1 << 20]));
    assert_code(&judge(&raw), Code::SignatureTooLarge);
}

#[test]
fn a_signature_that_does_not_parse_is_malformed() {
    for cms in [&b"nonsense"[..], b"", b"\x30\x00"] {
        let found = code(&judge(&commit_with(cms)));
        assert_eq!(found, Some(Code::SignatureMalformed), "{cms:?}");
    }
    let mut trailing = session(&LeafSpec::default()).sign_cms(&payload(), NOW);
    trailing.push(0);
    assert_code(&judge(&commit_with(&trailing)), Code::SignatureMalformed);
}

#[test]
fn a_signature_over_other_bytes_is_invalid() {
    let swapped = session(&LeafSpec::default()).sign_cms(b"other", NOW);
    assert_code(&judge(&commit_with(&swapped)), Code::SignatureInvalid);
    let mut altered = bound_commit(&payload());
    *altered.last_mut().unwrap() = b'!';
    assert_code(&judge(&altered), Code::SignatureInvalid);
}

#[test]
fn stripped_attributes_are_refused() {
    let cms = session(&LeafSpec::default()).sign_cms(&payload(), NOW);
    let stripped = crate::flip::without_attributes(&cms);
    assert_code(&judge(&commit_with(&stripped)), Code::CmsNoAttributes);
}

#[test]
fn sha1_as_digest_is_weak() {
    let cms = session(&LeafSpec::default()).sign_cms(&payload(), NOW);
    // id-sha512 becomes id-sha1 and a NULL-free filler, wherever it stands.
    let weak = crate::flip::with_sha1(&cms);
    assert_code(&judge(&commit_with(&weak)), Code::AlgorithmWeak);
}

#[test]
fn an_unknown_digest_is_undecided() {
    let cms = session(&LeafSpec::default()).sign_cms(&payload(), NOW);
    let sha512 = [0x60, 0x86, 0x48, 0x01, 0x65, 3, 4, 2, 3];
    let sha3 = [0x60, 0x86, 0x48, 0x01, 0x65, 3, 4, 2, 0x0a];
    let unknown = crate::flip::replaced(&cms, &sha512, &sha3);
    assert_eq!(
        judge(&commit_with(&unknown)).verdict(),
        Verdict::Undecided(Code::AlgorithmUnsupported)
    );
}

#[test]
fn every_code_has_one_name_a_cause_and_a_fix() {
    let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
    for code in Code::ALL {
        assert_eq!(Code::named(code.as_str()), Some(*code));
        assert!(
            !code.cause().ends_with('.') && !code.fix().ends_with('.'),
            "{code}"
        );
    }
}

#[test]
fn every_code_of_the_readers_is_one_of_ours() {
    for source in ["armor.rs", "cms/error.rs", "object/error.rs"] {
        let path = format!("{}/../core/src/{source}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let code_fn = text.split("pub fn code(&self)").nth(1).unwrap();
        let body = code_fn.split("\n    }\n").next().unwrap();
        let names: Vec<_> = body.split('"').skip(1).step_by(2).collect();
        assert!(!names.is_empty());
        for name in names {
            assert!(Code::named(name).is_some(), "{source}: {name}");
        }
    }
}
