//! Step 4 with time stamps: what they show, and what nobody gains by them.

use notme_core::{
    armor::armor,
    time::UnixTime,
    trust::{Revocation, RevocationKind, TrustDocument},
};
use notme_testkit::{
    cast::{LeafSpec, Session, TestAuthority},
    clock::NOW,
    commit::{CommitSpec, with_signature},
    tsa::TestTsa,
};
use notme_verifier::{
    Code, Judgement, Policy, TimeBasis, Trust,
    explain::explain,
    judge::Judge,
    report::ObjectReport,
    time_stamp::TimeStamp,
    trust::{Authority, PinKind},
};

use crate::{
    flip::replaced,
    world::{
        TREE, assert_accepted, assert_code, authority, commit_with, floor, judge_by, payload,
        session, trust_in,
    },
};

const HOUR: i64 = 3600;

fn tsa() -> TestTsa {
    TestTsa::of(&authority(), 1)
}

/// The trust document of an authority that names [`tsa`].
fn document(now: UnixTime) -> TrustDocument {
    let mut document = authority().trust(1, now);
    document.tsa = vec![tsa().entry()];
    document
}

/// A commit of a session of an hour, over whose signature `stamp` puts a token.
fn stamped_by(session: &Session, stamp: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    commit_with(&session.sign_cms_stamped(&payload(), NOW, stamp))
}

fn stamped_at(at: UnixTime) -> Vec<u8> {
    stamped_by(&session(&LeafSpec::default()), |signature| {
        tsa().stamp(signature, at)
    })
}

/// Judges at a time, by a floor, with a document of that time.
fn judge_at(raw: &[u8], name: &str, now: UnixTime) -> Judgement {
    judge_by(raw, &floor(name), &trust_in(&document(now)), now)
}

fn judge_in(raw: &[u8], name: &str, change: impl FnOnce(&mut TrustDocument)) -> Judgement {
    let mut document = document(NOW);
    change(&mut document);
    judge_by(raw, &floor(name), &trust_in(&document), NOW)
}

fn assert_untrusted(judgement: &Judgement) {
    assert_eq!(judgement.time_stamp(), Some(&TimeStamp::Untrusted));
}

#[test]
fn a_stamped_commit_is_judged_when_it_was_stamped() {
    for now in [NOW, NOW.plus(30 * HOUR)] {
        for name in ["declared", "issuance-bound", "timestamped"] {
            let judgement = judge_at(&stamped_at(NOW), name, now);
            assert_accepted(&judgement);
            assert_eq!(judgement.time_basis(), Some(TimeBasis::Timestamped));
            assert_eq!(judgement.judged_at(), Some(NOW));
        }
    }
    let judgement = judge_at(&stamped_at(NOW), "logged", NOW);
    assert_code(&judgement, Code::TimeBasisTooWeak);
}

#[test]
fn a_time_stamp_is_stronger_than_issuance() {
    let leaf = session(&LeafSpec::bound_to(&payload()));
    let raw = stamped_by(&leaf, |signature| tsa().stamp(signature, NOW));
    let judgement = judge_at(&raw, "timestamped", NOW);
    assert_accepted(&judgement);
    assert_eq!(judgement.judged_at(), Some(NOW));
    // A certificate for other bytes stays refused, whatever was stamped.
    let leaf = session(&LeafSpec::bound_to(b"other"));
    let raw = stamped_by(&leaf, |signature| tsa().stamp(signature, NOW));
    assert_code(&judge_at(&raw, "declared", NOW), Code::IssuanceMismatch);
}

/// Whoever kept a key can write any date; the stamp's time is not theirs to write.
#[test]
fn a_kept_key_gains_nothing_by_a_late_time_stamp() {
    let later = NOW.plus(2 * HOUR);
    for name in ["declared", "timestamped"] {
        let judgement = judge_at(&stamped_at(later), name, later);
        assert_code(&judgement, Code::CertificateExpired);
        assert_eq!(judgement.judged_at(), Some(later));
    }
}

#[test]
fn a_time_stamp_over_another_signature_is_invalid() {
    let earlier = session(&LeafSpec::default()).sign_cms(b"tree", NOW);
    for name in ["declared", "timestamped"] {
        let raw = stamped_by(&session(&LeafSpec::default()), |_| {
            tsa().stamp(&earlier, NOW)
        });
        let judgement = judge_at(&raw, name, NOW);
        assert_code(&judgement, Code::TimestampInvalid);
        assert!(judgement.detail().unwrap().contains("other bytes"));
        assert_eq!(judgement.time_basis(), None);
    }
    // Over the payload instead of the signature, as somebody who kept a key could have had it.
    let raw = stamped_by(&session(&LeafSpec::default()), |_| {
        tsa().stamp(&payload(), NOW)
    });
    assert_code(&judge_at(&raw, "declared", NOW), Code::TimestampInvalid);
}

#[test]
fn the_certificate_has_to_live_as_late_as_the_stamp_may_have_been_made() {
    let LeafSpec {
        not_before,
        not_after,
        ..
    } = LeafSpec::default();
    let code = |at| {
        judge_at(&stamped_at(at), "timestamped", NOW.plus(2 * HOUR))
            .verdict()
            .code()
    };
    assert_eq!(code(not_before), None);
    assert_eq!(
        code(not_before.plus(-1)),
        Some(Code::CertificateNotYetValid)
    );
    // The stamp says that it is accurate to a second.
    assert_eq!(code(not_after.plus(-1)), None);
    assert_eq!(code(not_after), Some(Code::CertificateExpired));
}

#[test]
fn a_time_stamp_from_the_future_is_not_yet_valid() {
    assert_accepted(&judge_at(&stamped_at(NOW.plus(60)), "timestamped", NOW));
    let judgement = judge_at(&stamped_at(NOW.plus(61)), "timestamped", NOW);
    assert_code(&judgement, Code::CertificateNotYetValid);
}

#[test]
fn a_time_stamp_by_nobody_trusted_counts_for_nothing_and_harms_nothing() {
    let stranger = TestTsa::of(&TestAuthority::new(2), 2);
    let leaf = session(&LeafSpec::bound_to(&payload()));
    let raw = stamped_by(&leaf, |signature| stranger.stamp(signature, NOW));
    let judgement = judge_at(&raw, "issuance-bound", NOW);
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::IssuanceBound));
    assert_untrusted(&judgement);
    let judgement = judge_at(&raw, "timestamped", NOW);
    assert_code(&judgement, Code::TimeBasisTooWeak);
    // Another key under the very root of the authority is a stranger too.
    let unnamed = TestTsa::of(&authority(), 2);
    let raw = stamped_by(&leaf, |signature| unnamed.stamp(signature, NOW));
    assert_untrusted(&judge_at(&raw, "issuance-bound", NOW));
}

#[test]
fn an_authority_stamps_for_its_own_signers_only() {
    let other = TestAuthority::new(2);
    let mut theirs = other.trust(1, NOW);
    theirs.tsa = vec![TestTsa::of(&other, 2).entry()];
    let scopes = PinKind::TrustDocument.default_scopes();
    let trust = Trust::new(
        vec![
            Authority::from_document("local", scopes.clone(), &document(NOW)),
            Authority::from_document("other", scopes, &theirs),
        ],
        Vec::new(),
    );
    let raw = stamped_by(&session(&LeafSpec::default()), |signature| {
        TestTsa::of(&other, 2).stamp(signature, NOW)
    });
    let judgement = judge_by(&raw, &floor("timestamped"), &trust, NOW);
    assert_code(&judgement, Code::TimeBasisTooWeak);
    assert_untrusted(&judgement);
}

#[test]
fn a_broken_time_stamp_is_invalid_where_somebody_is_trusted_to_stamp() {
    let leaf = session(&LeafSpec::default());
    let forge = |signature: &[u8]| {
        // The last bytes of a token are those of its signature.
        let mut token = tsa().stamp(signature, NOW);
        *token.last_mut().unwrap() ^= 1;
        token
    };
    for raw in [
        stamped_by(&leaf, |_| vec![0x30, 0]),
        stamped_by(&leaf, |_| vec![0x05, 0]),
        stamped_by(&leaf, forge),
    ] {
        assert_code(&judge_at(&raw, "declared", NOW), Code::TimestampInvalid);
        // Where nobody is, nobody can say what it is worth, and it is not read.
        let judgement = judge_in(&raw, "declared", |document| document.tsa.clear());
        assert_accepted(&judgement);
        assert_untrusted(&judgement);
    }
}

#[test]
fn an_algorithm_that_is_not_read_is_no_fault_of_the_time_stamp() {
    let raw = stamped_by(&session(&LeafSpec::default()), |signature| {
        let sha256 = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
        let sha224 = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x01";
        replaced(&tsa().stamp(signature, NOW), sha256, sha224)
    });
    let judgement = judge_at(&raw, "declared", NOW);
    assert_accepted(&judgement);
    assert_untrusted(&judgement);
}

#[test]
fn a_retired_authority_still_stands_for_what_it_stamped_before() {
    let raw = stamped_at(NOW);
    let retired = |at| judge_in(&raw, "timestamped", |it| it.tsa[0].retired_at = Some(at));
    assert_accepted(&retired(NOW.plus(1)));
    // A second is a second long: it stamped in the one in which it was retired.
    assert_accepted(&retired(NOW));
    assert_code(&retired(NOW.plus(-1)), Code::TimestampInvalid);
    let begun = judge_in(&raw, "timestamped", |it| it.tsa[0].from = NOW.plus(1));
    assert_code(&begun, Code::TimestampInvalid);
    // It may have been in use twice.
    for place in [0, 1] {
        let twice = judge_in(&raw, "timestamped", |it| {
            let mut before = it.tsa[0].clone();
            before.retired_at = Some(NOW.plus(-1));
            it.tsa.insert(place, before);
        });
        assert_accepted(&twice);
    }
}

/// A time stamp shows that the certificate was used later than it says.
#[test]
fn a_time_stamp_from_after_the_roots_retirement_is_refused() {
    let raw = stamped_at(NOW);
    let retired = |at| {
        judge_in(&raw, "timestamped", |it| {
            for root in &mut it.roots {
                root.retired_at = Some(at);
            }
        })
    };
    assert_accepted(&retired(NOW));
    assert_code(&retired(NOW.plus(-1)), Code::RootRetired);
}

/// Whoever has the key writes the time, so that no time of theirs is to be believed.
#[test]
fn a_revoked_authority_stamped_nothing_ever() {
    let raw = stamped_at(NOW);
    let certificate = tsa().certificate().clone();
    for (kind, value) in [
        (RevocationKind::Key, certificate.kid().to_string()),
        (RevocationKind::Certificate, certificate.serial_hex()),
    ] {
        let judgement = judge_in(&raw, "timestamped", |document| {
            document.revocations = vec![Revocation {
                kind,
                value,
                since: NOW.plus(HOUR),
                reason: "stolen".to_owned(),
            }];
        });
        assert_code(&judgement, Code::TimeBasisTooWeak);
        let kid = certificate.kid();
        assert_eq!(judgement.time_stamp(), Some(&TimeStamp::Revoked { kid }));
    }
}

#[test]
fn a_revoked_session_is_refused_when_the_stamp_may_be_of_then() {
    let raw = stamped_at(NOW);
    let leaf = session(&LeafSpec::default());
    let revoked = |since| {
        judge_in(&raw, "timestamped", |document| {
            document.revocations = vec![Revocation {
                kind: RevocationKind::Key,
                value: leaf.key().public_key().kid().to_string(),
                since,
                reason: "lost".to_owned(),
            }];
        })
    };
    assert_code(&revoked(NOW), Code::Revoked);
    assert_code(&revoked(NOW.plus(1)), Code::Revoked);
    assert_accepted(&revoked(NOW.plus(2)));
}

#[test]
fn of_several_time_stamps_the_earliest_counts_and_a_bad_one_spoils_all() {
    let leaf = session(&LeafSpec::default());
    let stranger = TestTsa::of(&TestAuthority::new(2), 2);
    // The values of one attribute.
    let raw = stamped_by(&leaf, |signature| {
        [
            stranger.stamp(signature, NOW.plus(-30)),
            tsa().stamp(signature, NOW.plus(10)),
            tsa().stamp(signature, NOW),
            tsa().stamp(signature, NOW.plus(20)),
        ]
        .concat()
    });
    let judgement = judge_at(&raw, "timestamped", NOW.plus(30));
    assert_accepted(&judgement);
    assert_eq!(judgement.judged_at(), Some(NOW));
    let raw = stamped_by(&leaf, |signature| {
        [tsa().stamp(signature, NOW), tsa().stamp(b"else", NOW)].concat()
    });
    assert_code(&judge_at(&raw, "declared", NOW), Code::TimestampInvalid);
}

#[test]
fn a_time_stamp_that_was_taken_back_stands_before_no_other() {
    let other = TestTsa::of(&authority(), 2);
    let judge = |at: i64, revoked_at: i64| {
        let mut both = [(at, tsa()), (revoked_at, TestTsa::of(&authority(), 2))];
        let raw = stamped_by(&session(&LeafSpec::default()), |signature| {
            both.sort_by_key(|it| it.0);
            let tokens = both.map(|(at, tsa)| tsa.stamp(signature, NOW.plus(at)));
            tokens.concat()
        });
        judge_in(&raw, "timestamped", |document| {
            document.tsa.push(other.entry());
            document.revocations = vec![Revocation {
                kind: RevocationKind::Key,
                value: other.certificate().kid().to_string(),
                since: NOW,
                reason: "stolen".to_owned(),
            }];
        })
    };
    for (at, revoked_at) in [(0, -20), (-20, 0)] {
        let judgement = judge(at, revoked_at);
        assert_accepted(&judgement);
        assert_eq!(judgement.judged_at(), Some(NOW.plus(at)));
    }
}

#[test]
fn an_authority_known_by_certificates_alone_names_nobody_who_stamps() {
    let roots = vec![
        authority().ed25519_root().clone(),
        authority().p256_root().clone(),
    ];
    let scopes = PinKind::Pem.default_scopes();
    let local = Authority::from_certificates("local", PinKind::Pem, scopes, roots);
    let trust = Trust::new(vec![local], Vec::new());
    let judgement = judge_by(&stamped_at(NOW), &floor("declared"), &trust, NOW);
    assert_accepted(&judgement);
    assert_untrusted(&judgement);
}

#[test]
fn a_stranger_is_untrusted_whatever_stamped_the_signature() {
    let stranger = TestAuthority::new(2).leaf(&LeafSpec::default());
    let raw = stamped_by(&stranger, |signature| tsa().stamp(signature, NOW));
    let judgement = judge_at(&raw, "declared", NOW);
    assert_code(&judgement, Code::SignerUntrusted);
    assert_eq!(judgement.time_stamp(), None);
}

#[test]
fn who_stamps_is_part_of_the_trust_that_a_report_names() {
    let digest = |change: fn(&mut TrustDocument)| {
        let mut document = document(NOW);
        change(&mut document);
        trust_in(&document).digest()
    };
    let digests = [
        digest(|_| {}),
        digest(|it| it.tsa.clear()),
        digest(|it| it.tsa[0].retired_at = Some(NOW)),
        digest(|it| it.tsa[0].from = NOW),
    ];
    for (at, one) in digests.iter().enumerate() {
        assert!(!digests[..at].contains(one), "{at}");
    }
}

#[test]
fn no_flipped_byte_of_a_stamped_commit_is_accepted_as_stamped() {
    let policy = floor("timestamped");
    let trust = trust_in(&document(NOW));
    let judge = Judge::new(&policy, &trust, NOW);
    let leaf = session(&LeafSpec::default());
    let cms = leaf.sign_cms_stamped(&payload(), NOW, |signature| tsa().stamp(signature, NOW));
    let accepts = |cms: &[u8]| {
        let judgement = judge.judge_detached(&payload(), armor(cms).as_bytes());
        judgement.verdict() == notme_verifier::Verdict::Accepted
    };
    assert!(accepts(&cms));
    let mut changed = cms.clone();
    for at in 0..cms.len() {
        for mask in [0x01, 0x20, 0x80] {
            changed[at] ^= mask;
            assert!(!accepts(&changed), "byte {at} ^ {mask}");
            changed[at] ^= mask;
        }
    }
}

#[test]
fn reports_and_explanations_tell_of_time_stamps() {
    let policy = floor("declared");
    let trust = trust_in(&document(NOW));
    let judge = Judge::new(&policy, &trust, NOW);
    let tell = |raw: &[u8]| {
        let judgement = judge_with(&judge, raw);
        let json = serde_json::to_value(ObjectReport::of_judgement(&judgement)).unwrap();
        // Lines are broken where they are too long.
        let text = explain(&judgement, &judge).to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        (json["timestamp"].clone(), text)
    };
    let kid = tsa().certificate().kid().to_string();
    let (json, text) = tell(&stamped_at(NOW));
    let expected = serde_json::json!({"result": "trusted", "at": NOW.to_string(), "kid": kid});
    assert_eq!(json, expected);
    assert!(
        text.contains("on timestamped: a time stamp over the signature"),
        "{text}"
    );
    assert!(
        text.contains(&format!("time-stamping authority's key is {kid}")),
        "{text}"
    );
    assert!(text.contains("only that the signature was there"), "{text}");

    let leaf = session(&LeafSpec::default());
    let stranger = TestTsa::of(&TestAuthority::new(2), 2);
    let (json, text) = tell(&stamped_by(&leaf, |signature| {
        stranger.stamp(signature, NOW)
    }));
    assert_eq!(
        json,
        serde_json::json!({"result": "untrusted", "at": null, "kid": null})
    );
    assert!(text.contains("which counts for nothing"), "{text}");

    let (json, text) = tell(&stamped_by(&leaf, |_| vec![0x30, 0]));
    assert_eq!(json["result"], "invalid");
    assert!(text.contains("[timestamp-invalid]"), "{text}");

    let (json, _) = tell(&commit_with(&leaf.sign_cms(&payload(), NOW)));
    assert_eq!(json, serde_json::Value::Null);
}

fn judge_with(judge: &Judge<'_>, raw: &[u8]) -> Judgement {
    use notme_core::object::{HashKind, ObjectKind};
    judge.judge_object(ObjectKind::Commit, raw, HashKind::Sha1)
}

/// A date that somebody wrote is held against one that was stamped.
#[test]
fn a_stamped_commit_judges_whatever_it_declares() {
    let payload = CommitSpec {
        at: NOW.plus(-40 * HOUR),
        ..CommitSpec::new(TREE)
    }
    .payload();
    let leaf = session(&LeafSpec::default());
    let cms = leaf.sign_cms_stamped(&payload, NOW, |signature| tsa().stamp(signature, NOW));
    let raw = with_signature(&payload, "gpgsig", &armor(&cms));
    let judgement = judge_at(&raw, "timestamped", NOW);
    assert_accepted(&judgement);
    assert_eq!(judgement.judged_at(), Some(NOW));
    assert_eq!(judgement.declared(), Some(NOW.plus(-40 * HOUR)));
    let default = trust_in(&document(NOW));
    let policy = Policy::from_trust(&default);
    assert_accepted(&judge_by(&raw, &policy, &default, NOW));
}
