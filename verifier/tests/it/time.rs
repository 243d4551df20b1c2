//! Steps 4 and 5: when, and whether it still holds.

use notme_core::{
    key::sha256,
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};
use notme_testkit::{cast::LeafSpec, clock::NOW, commit::CommitSpec};
use notme_verifier::{Code, Policy, TimeBasis, Trust, trust::Authority};

use notme_testkit::mint::Mint;

use crate::world::{
    TREE, assert_accepted, assert_code, authority, bound_commit, floor, judge, judge_by,
    judge_declared, judge_in, payload, session, session_commit, trust, trust_in,
};

/// A commit of a date, signed by a session certificate.
fn dated(at: UnixTime) -> Vec<u8> {
    let payload = CommitSpec {
        at,
        ..CommitSpec::new(TREE)
    }
    .payload();
    session(&LeafSpec::default()).sign_commit(&payload, at)
}

#[test]
fn an_issuance_bound_commit_is_judged_when_it_was_issued() {
    let judgement = judge_in(
        &bound_commit(&payload()),
        &trust_at(NOW.plus(86_400)),
        NOW.plus(86_400),
    );
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::IssuanceBound));
    assert_eq!(judgement.judged_at(), Some(NOW.plus(-60)));
}

fn trust_at(now: UnixTime) -> Trust {
    trust_in(&authority().trust(2, now))
}

#[test]
fn a_certificate_for_other_bytes_is_refused_at_any_floor() {
    let raw = session_commit(&LeafSpec::bound_to(b"other"));
    assert_code(&judge(&raw), Code::IssuanceMismatch);
    assert_code(&judge_declared(&raw), Code::IssuanceMismatch);
}

#[test]
fn a_date_alone_is_too_weak_by_default() {
    let judgement = judge(&session_commit(&LeafSpec::default()));
    assert_code(&judgement, Code::TimeBasisTooWeak);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Declared));
    assert!(judgement.identity().is_some());
}

#[test]
fn a_date_alone_is_enough_where_the_policy_says_so() {
    let judgement = judge_declared(&session_commit(&LeafSpec::default()));
    assert_accepted(&judgement);
    assert_eq!(judgement.judged_at(), Some(NOW));
}

#[test]
fn nothing_reaches_a_floor_that_nothing_produces() {
    for name in ["logged", "witnessed"] {
        let judgement = judge_by(&bound_commit(&payload()), &floor(name), &trust(), NOW);
        assert_code(&judgement, Code::TimeBasisTooWeak);
    }
}

#[test]
fn the_window_ends_with_its_last_second_and_the_skew() {
    let end = LeafSpec::default().not_after;
    let later = |at| judge_by(&dated(at), &floor("declared"), &trust(), NOW.plus(7200));
    // The trust document of the hour is fresh for the same minute of skew, so it is renewed.
    let fresh = |at| {
        judge_by(
            &dated(at),
            &floor("declared"),
            &trust_at(NOW.plus(7200)),
            NOW.plus(7200),
        )
    };
    assert_accepted(&fresh(end));
    assert_accepted(&fresh(end.plus(60)));
    assert_code(&fresh(end.plus(61)), Code::CertificateExpired);
    assert_code(&later(end), Code::TrustStale);
}

#[test]
fn the_window_begins_with_its_first_second_less_the_skew() {
    let start = LeafSpec::default().not_before;
    assert_accepted(&judge_declared(&dated(start.plus(-60))));
    assert_code(
        &judge_declared(&dated(start.plus(-61))),
        Code::CertificateNotYetValid,
    );
}

#[test]
fn the_skew_is_the_policys() {
    let strict = "skew_seconds = 0\ntime_basis_floor = \"declared\"\n[[authority]]\nname = \"local\"\n[[allow]]\nidentity = \"*\"\n";
    let policy = Policy::parse(strict).unwrap();
    let start = LeafSpec::default().not_before;
    assert_accepted(&judge_by(&dated(start), &policy, &trust(), NOW));
    let early = judge_by(&dated(start.plus(-1)), &policy, &trust(), NOW);
    assert_code(&early, Code::CertificateNotYetValid);
}

#[test]
fn a_date_in_the_future_is_not_yet_valid() {
    assert_accepted(&judge_declared(&dated(NOW.plus(60))));
    assert_code(
        &judge_declared(&dated(NOW.plus(61))),
        Code::CertificateNotYetValid,
    );
    let early = judge_in(
        &bound_commit(&payload()),
        &trust_at(NOW.plus(-200)),
        NOW.plus(-200),
    );
    assert_code(&early, Code::CertificateNotYetValid);
}

/// A commit of now, by a signature that says it was made at another time.
fn made(spec: &LeafSpec, at: UnixTime) -> Vec<u8> {
    session(spec).sign_commit(&payload(), at)
}

#[test]
fn what_the_signature_says_of_its_own_time_has_to_fit_where_no_other_counts() {
    let spec = LeafSpec::default();
    let made_at = |at| judge_declared(&made(&spec, at));
    assert_accepted(&made_at(spec.not_before.plus(-60)));
    assert_code(
        &made_at(spec.not_before.plus(-61)),
        Code::CertificateNotYetValid,
    );
    assert_accepted(&made_at(NOW.plus(60)));
    let early = made_at(NOW.plus(61));
    assert_code(&early, Code::CertificateNotYetValid);
    assert!(early.detail().unwrap().contains("made at"));
    let later = NOW.plus(7200);
    let later = |at| {
        judge_by(
            &made(&spec, at),
            &floor("declared"),
            &trust_at(later),
            later,
        )
    };
    assert_accepted(&later(spec.not_after.plus(60)));
    let late = later(spec.not_after.plus(61));
    assert_code(&late, Code::CertificateExpired);
    assert!(late.detail().unwrap().contains("made at"));
}

#[test]
fn where_the_authority_dates_the_signature_its_own_time_is_nobodys_concern() {
    let bound = LeafSpec::bound_to(&payload());
    for at in [NOW.plus(-86_400), NOW.plus(86_400)] {
        assert_accepted(&judge(&made(&bound, at)));
    }
}

#[test]
fn a_signature_that_says_it_was_made_after_a_revocation_is_revoked() {
    let spec = LeafSpec::default();
    let kid = session(&spec).certificate().kid().to_string();
    let mut document = authority().trust(1, NOW);
    document.revocations = vec![Revocation {
        kind: RevocationKind::Key,
        value: kid,
        since: NOW.plus(1),
        reason: "compromised".to_owned(),
    }];
    let made_at = |at| {
        let trust = trust_in(&document);
        judge_by(&made(&spec, at), &floor("declared"), &trust, NOW)
    };
    assert_accepted(&made_at(NOW));
    assert_code(&made_at(NOW.plus(1)), Code::Revoked);
}

#[test]
fn a_signature_that_says_it_was_made_after_a_root_ended_is_no_word_of_it() {
    let spec = LeafSpec::default();
    let end = NOW.plus(30);
    let mut retired = authority().trust(1, NOW);
    retired.roots[0].retired_at = Some(end);
    let until = format!(
        "time_basis_floor = \"declared\"\n[[authority]]\nname = \"local\"\nuntil = \"{end}\"\n[[allow]]\nidentity = \"*\"\n"
    );
    let until = Policy::parse(&until).unwrap();
    for (policy, trust, code) in [
        (floor("declared"), trust_in(&retired), Code::RootRetired),
        (until, trust(), Code::SignerUntrusted),
    ] {
        let made_at = |at| judge_by(&made(&spec, at), &policy, &trust, NOW);
        assert_accepted(&made_at(end.plus(-1)));
        let late = made_at(end.plus(1));
        assert_code(&late, code);
        assert!(late.detail().unwrap().contains("made at"));
    }
}

#[test]
fn an_issue_time_outside_the_certificate_is_refused_without_skew() {
    // Issued, says the authority, one second after the end.
    let at = NOW.plus(-60);
    let digest = notme_testkit::mint::tlv(0x04, &sha256(&payload()));
    let root = Mint::ca("Root", 0x51, None).self_signed();
    let arc = |last| [0x2b, 6, 1, 4, 1, 0x86, 0x8d, 0x1f, 1, last];
    let leaf = Mint {
        not_before: at.plus(-300),
        not_after: at.plus(-1),
        ..Mint::new("leaf", 0x61)
    }
    .with(
        &arc(2),
        false,
        &notme_testkit::mint::tlv(0x0c, at.to_string().as_bytes()),
    )
    .with(&arc(16), false, &digest)
    .uris(&["wimse://td/x"])
    .signed_by(&root);
    let authority = Authority::from_certificates(
        "local",
        notme_verifier::trust::PinKind::Pem,
        Vec::new(),
        vec![root.certificate.clone()],
    );
    let trust = Trust::new(vec![authority], Vec::new());
    let raw = crate::world::commit_with(&leaf.sign(&payload(), &[]));
    assert_code(
        &judge_by(&raw, &floor("declared"), &trust, NOW),
        Code::CertificateExpired,
    );
}

#[test]
fn a_corporate_authority_binds_no_payload() {
    // Whoever asks for a certificate may bring extensions that such an authority copies.
    let digest = notme_testkit::mint::tlv(0x04, &sha256(&payload()));
    let root = Mint::ca("Root", 0x51, None).self_signed();
    let arc = |last| [0x2b, 6, 1, 4, 1, 0x86, 0x8d, 0x1f, 1, last];
    let leaf = Mint::new("leaf", 0x61)
        .with(
            &arc(2),
            false,
            &notme_testkit::mint::tlv(0x0c, NOW.to_string().as_bytes()),
        )
        .with(&arc(16), false, &digest)
        .emails(&["a@example.org"])
        .signed_by(&root);
    let authority = Authority::from_certificates(
        "local",
        notme_verifier::trust::PinKind::X509,
        Vec::new(),
        vec![root.certificate.clone()],
    );
    let trust = Trust::new(vec![authority], Vec::new());
    let raw = crate::world::commit_with(&leaf.sign(&payload(), &[]));
    let judgement = judge_by(&raw, &floor("issuance-bound"), &trust, NOW);
    assert_code(&judgement, Code::TimeBasisTooWeak);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Declared));
}

#[test]
fn an_expired_issuer_takes_the_leaf_along() {
    let root = Mint {
        not_after: NOW.plus(-600),
        ..Mint::ca("Root", 0x51, None)
    }
    .self_signed();
    let leaf = Mint::new("leaf", 0x61)
        .emails(&["a@example.org"])
        .signed_by(&root);
    let authority = Authority::from_certificates(
        "local",
        notme_verifier::trust::PinKind::X509,
        Vec::new(),
        vec![root.certificate.clone()],
    );
    let trust = Trust::new(vec![authority], Vec::new());
    let raw = crate::world::commit_with(&leaf.sign(&payload(), &[]));
    assert_code(
        &judge_by(&raw, &floor("declared"), &trust, NOW),
        Code::CertificateExpired,
    );
}

/// The older copy of a document does not know yet that a root was retired.
#[test]
fn a_root_that_one_copy_of_a_document_retires_is_retired() {
    let (raw, old) = (bound_commit(&payload()), authority().trust(1, NOW));
    let mut new = authority().trust(2, NOW);
    new.roots[0].retired_at = Some(NOW.plus(-61));
    for [first, second] in [[&old, &new], [&new, &old]] {
        let copies = [("a", first), ("b", second)];
        let copies = copies.map(|(name, document)| {
            Authority::from_document(name, vec!["sign:git".to_owned()], document)
        });
        let trust = Trust::new(copies.into(), Vec::new());
        let judgement = judge_in(&raw, &trust, NOW.plus(60));
        assert_code(&judgement, Code::RootRetired);
    }
    assert_accepted(&judge_in(&raw, &trust_in(&old), NOW.plus(60)));
}

#[test]
fn a_retired_root_still_vouches_for_what_it_signed_before() {
    let mut document = authority().trust(1, NOW);
    document.roots[0].retired_at = Some(NOW.plus(-60));
    assert_accepted(&judge_in(
        &bound_commit(&payload()),
        &trust_in(&document),
        NOW,
    ));
    document.roots[0].retired_at = Some(NOW.plus(-61));
    let judgement = judge_in(&bound_commit(&payload()), &trust_in(&document), NOW);
    assert_code(&judgement, Code::RootRetired);
}

#[test]
fn a_root_vouches_for_nothing_before_its_time() {
    let mut document = authority().trust(1, NOW);
    document.roots[0].from = NOW.plus(-59);
    let judgement = judge_in(&bound_commit(&payload()), &trust_in(&document), NOW);
    assert_code(&judgement, Code::RootNotYetUsed);
}

#[test]
fn an_old_trust_document_is_stale_unless_the_policy_allows_it() {
    let (raw, trust) = (bound_commit(&payload()), trust());
    let end = NOW.plus(3600);
    assert_accepted(&judge_in(&raw, &trust, end.plus(60)));
    assert_code(&judge_in(&raw, &trust, end.plus(61)), Code::TrustStale);
    let rest = "[[authority]]\nname = \"local\"\n[[allow]]\nidentity = \"*\"\n";
    let aged = |age| Policy::parse(&format!("max_trust_age_seconds = {age}\n{rest}")).unwrap();
    assert_accepted(&judge_by(&raw, &aged(86_400), &trust, end.plus(600)));
    assert_code(
        &judge_by(&raw, &aged(600), &trust, NOW.plus(661)),
        Code::TrustStale,
    );
}

#[test]
fn what_was_taken_back_is_refused_from_then_on() {
    let raw = bound_commit(&payload());
    let leaf = session(&LeafSpec::bound_to(&payload()))
        .certificate()
        .clone();
    let root = authority().ed25519_root().kid().to_string();
    let values = [
        (RevocationKind::Certificate, leaf.serial_hex()),
        (RevocationKind::Key, leaf.kid().to_string()),
        (RevocationKind::Key, root),
        (RevocationKind::Session, "b1".repeat(32)),
        (
            RevocationKind::Identity,
            leaf.identity().unwrap().to_string(),
        ),
        (RevocationKind::Epoch, "1".to_owned()),
    ];
    for (kind, value) in values {
        let judged = |since| {
            let mut document = authority().trust(1, NOW);
            let reason = "compromised".to_owned();
            document.revocations = vec![Revocation {
                kind,
                value: value.clone(),
                since,
                reason,
            }];
            judge_in(&raw, &trust_in(&document), NOW)
        };
        assert_code(&judged(NOW.plus(-60)), Code::Revoked);
        assert_accepted(&judged(NOW.plus(-59)));
    }
    let mut document = authority().trust(1, NOW);
    document.revocations = vec![Revocation {
        kind: RevocationKind::Identity,
        value: "wimse://test.invalid/agent/alice/other".to_owned(),
        since: NOW.plus(-60),
        reason: "another".to_owned(),
    }];
    assert_accepted(&judge_in(&raw, &trust_in(&document), NOW));
}
