//! Step 3: who.

use notme_core::key::Algorithm;
use notme_core::profile::LeafKind;
use notme_core::trust::{Revocation, RevocationKind};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    mint::{EMAIL_PROTECTION, Holder, Mint, SERVER_AUTH, tlv},
};
use notme_verifier::{
    Code, Policy, Trust, Verdict,
    trust::{Authority, Fault, PinKind},
};

use crate::world::{
    assert_accepted, assert_code, bound_commit, commit_with, floor, judge, judge_by,
    judge_declared, judge_in, payload, session_commit,
};

fn corporate() -> Holder {
    Mint::ca("Corporate CA", 0x51, Some(3)).self_signed()
}

/// Judges a commit by a policy made from trust in a corporate CA alone.
fn judge_x509(root: &Holder, cms: &[u8]) -> notme_verifier::Judgement {
    judge_kind(PinKind::X509, root, cms)
}

fn judge_kind(kind: PinKind, root: &Holder, cms: &[u8]) -> notme_verifier::Judgement {
    let roots = vec![root.certificate.clone()];
    let authority = Authority::from_certificates("local", kind, kind.default_scopes(), roots);
    let trust = Trust::new(vec![authority], Vec::new());
    judge_by(&commit_with(cms), &floor("declared"), &trust, NOW)
}

fn person() -> Mint<'static> {
    Mint::new("Alice", 0x61)
        .usage([7, 0x80])
        .extended(EMAIL_PROTECTION)
}

#[test]
fn a_stranger_is_untrusted_and_not_invalid() {
    let stranger = TestAuthority::new(2).leaf(&LeafSpec::bound_to(&payload()));
    let judgement = judge(&stranger.sign_commit(&payload(), NOW));
    assert_code(&judgement, Code::SignerUntrusted);
    assert_eq!(judgement.identity(), None);
    assert_eq!(judgement.kid(), Some(stranger.certificate().kid()));
}

#[test]
fn a_root_in_the_message_is_not_trusted_for_being_there() {
    let root = corporate();
    let leaf = person().emails(&["a@example.org"]).signed_by(&root);
    let judgement = judge_x509(
        &Mint::ca("Another", 0x52, None).self_signed(),
        &leaf.sign(&payload(), &[&root]),
    );
    assert_code(&judgement, Code::SignerUntrusted);
}

#[test]
fn a_root_of_the_same_name_and_another_key_is_a_stranger() {
    let impostor = Mint::ca("Corporate CA", 0x52, None).self_signed();
    let leaf = person().emails(&["a@example.org"]).signed_by(&impostor);
    assert_code(
        &judge_x509(&corporate(), &leaf.sign(&payload(), &[])),
        Code::SignerUntrusted,
    );
}

#[test]
fn an_empty_store_is_undecided() {
    let judgement = judge_in(&bound_commit(&payload()), &Trust::new(vec![], vec![]), NOW);
    assert_eq!(judgement.verdict(), Verdict::Undecided(Code::TrustMissing));
}

#[test]
fn an_unreadable_authority_makes_strangers_undecided() {
    let fault = Fault {
        name: "local".into(),
        code: Code::TrustUnreadable,
        message: "permission denied".to_owned(),
        keys: None,
        trust_domain: None,
    };
    let trust = Trust::new(Vec::new(), vec![fault]);
    let judgement = judge_in(&bound_commit(&payload()), &trust, NOW);
    assert_eq!(
        judgement.verdict(),
        Verdict::Undecided(Code::TrustUnreadable)
    );
    assert_code(&judge_in(&payload(), &trust, NOW), Code::Unsigned);
}

#[test]
fn an_authority_that_the_policy_names_and_the_store_lacks_is_undecided() {
    let trust = crate::world::trust();
    let policy =
        Policy::parse("[[authority]]\nname = \"other\"\n[[allow]]\nidentity = \"*\"\n").unwrap();
    let judgement = judge_by(&bound_commit(&payload()), &policy, &trust, NOW);
    assert_code(&judgement, Code::TrustMissing);
}

#[test]
fn a_policy_may_pin_one_root_by_its_key() {
    let pin = |authority: &TestAuthority| {
        let pin = notme_core::hex::encode(&authority.ed25519_root().public_key().spki_sha256());
        Policy::parse(&format!(
            "[[authority]]\nspki_sha256 = \"{pin}\"\n[[allow]]\nidentity = \"*\"\n"
        ))
        .unwrap()
    };
    let (raw, trust) = (bound_commit(&payload()), crate::world::trust());
    assert_accepted(&judge_by(&raw, &pin(&TestAuthority::new(1)), &trust, NOW));
    assert_code(
        &judge_by(&raw, &pin(&TestAuthority::new(2)), &trust, NOW),
        Code::TrustMissing,
    );
}

#[test]
fn the_p256_root_vouches_as_well() {
    let spec = LeafSpec {
        algorithm: Algorithm::P256,
        ..LeafSpec::bound_to(&payload())
    };
    assert_accepted(&judge(&session_commit(&spec)));
}

#[test]
fn a_tls_client_certificate_signs_nothing() {
    let spec = LeafSpec {
        kind: LeafKind::Mtls,
        algorithm: Algorithm::P256,
        ..LeafSpec::default()
    };
    assert_code(
        &judge_declared(&session_commit(&spec)),
        Code::CertificateInvalid,
    );
}

#[test]
fn a_scope_for_git_is_needed() {
    for scopes in [
        &[][..],
        &["bridgeCert"],
        &["sign:attestation"],
        &["sign:git2"],
    ] {
        let spec = LeafSpec {
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..LeafSpec::default()
        };
        assert_code(&judge_declared(&session_commit(&spec)), Code::ScopeMissing);
    }
}

#[test]
fn a_corporate_certificate_is_known_by_its_address() {
    let root = corporate();
    let leaf = person().emails(&["alice@example.org"]).signed_by(&root);
    let judgement = judge_x509(&root, &leaf.sign(&payload(), &[]));
    assert_accepted(&judgement);
    assert_eq!(judgement.identity(), Some("mailto:alice@example.org"));
}

#[test]
fn one_uri_comes_before_the_address() {
    let root = corporate();
    let leaf = person()
        .uris(&["https://example.org/alice"])
        .signed_by(&root);
    let judgement = judge_x509(&root, &leaf.sign(&payload(), &[]));
    assert_accepted(&judgement);
    assert_eq!(judgement.identity(), Some("https://example.org/alice"));
}

/// Who asks for a certificate may bring the one, and the authority looks at the other.
#[test]
fn an_address_in_a_uri_is_one_of_those_beside_it() {
    let root = corporate();
    let named = |uri: &str| {
        let uri = tlv(0x86, uri.as_bytes());
        let [one, other] = [&b"a@example.org"[..], b"alias@example.org"].map(|it| tlv(0x81, it));
        let names = [one, other, uri].concat();
        let mint = person().with(&[0x55, 0x1d, 0x11], false, &tlv(0x30, &names));
        judge_x509(&root, &mint.signed_by(&root).sign(&payload(), &[]))
    };
    let same = named("mailto:a@example.org");
    assert_accepted(&same);
    assert_eq!(same.identity(), Some("mailto:a@example.org"));
    assert_accepted(&named("mailto:alias@Example.org"));
    for uri in ["mailto:b@example.org", "MAILTO:b@example.org"] {
        assert_code(&named(uri), Code::IdentityMissing);
    }
    for uri in [
        "mailto:e@example.com?x=b@example.org",
        "mailto:e@example.com,b@example.org",
    ] {
        let alone = person().uris(&[uri]).signed_by(&root);
        let judgement = judge_x509(&root, &alone.sign(&payload(), &[]));
        assert_code(&judgement, Code::IdentityMissing);
    }
}

#[test]
fn no_name_or_several_are_no_identity() {
    let root = corporate();
    let beside = |uris: &[&str]| {
        let uris = uris.iter().flat_map(|uri| tlv(0x86, uri.as_bytes()));
        let names: Vec<u8> = tlv(0x81, b"a@example.org")
            .into_iter()
            .chain(uris)
            .collect();
        person().with(&[0x55, 0x1d, 0x11], false, &tlv(0x30, &names))
    };
    let mints = [
        person(),
        person().emails(&["a@example.org", "b@example.org"]),
        person().uris(&["https://a.example", "https://b.example"]),
        person().emails(&["a b@example.org"]),
        // An address does not stand in for URIs that name several, or nobody.
        beside(&["https://a.example", "https://b.example"]),
        beside(&["no URI"]),
        // More than an address, in a URI.
        person().emails(&["a@example.org?b@example.org"]),
        person().emails(&["a@example.org?cc=b"]),
        person().emails(&["a%40b@example.org"]),
    ];
    for mint in mints {
        let leaf = mint.signed_by(&root);
        assert_code(
            &judge_x509(&root, &leaf.sign(&payload(), &[])),
            Code::IdentityMissing,
        );
    }
}

#[test]
fn an_address_is_no_identity_at_a_notme_authority() {
    let root = corporate();
    let leaf = person().emails(&["a@example.org"]).signed_by(&root);
    assert_code(
        &judge_kind(PinKind::Pem, &root, &leaf.sign(&payload(), &[])),
        Code::IdentityMissing,
    );
}

#[test]
fn intermediates_are_followed() {
    let root = corporate();
    let one = Mint::ca("One", 0x71, Some(1)).signed_by(&root);
    let two = Mint::ca("Two", 0x72, Some(0)).signed_by(&one);
    let leaf = person().emails(&["a@example.org"]).signed_by(&two);
    assert_accepted(&judge_x509(&root, &leaf.sign(&payload(), &[&two, &one])));
    assert_accepted(&judge_x509(&root, &leaf.sign(&payload(), &[&one, &two])));
    assert_code(
        &judge_x509(&root, &leaf.sign(&payload(), &[&two])),
        Code::SignerUntrusted,
    );
}

#[test]
fn what_was_taken_back_above_the_leaf_takes_it_along() {
    let root = corporate();
    let one = Mint::ca("One", 0x71, Some(1)).signed_by(&root);
    let two = Mint::ca("Two", 0x72, Some(0)).signed_by(&one);
    let leaf = person()
        .uris(&["wimse://test.invalid/agent/alice/claude"])
        .signed_by(&two);
    let raw = commit_with(&leaf.sign(&payload(), &[&two, &one]));
    let judged = |kind, value: String| {
        let mut document = TestAuthority::new(1).trust(1, NOW);
        document.roots[0] = notme_core::trust::Root {
            certificate: root.certificate.clone(),
            kid: root.certificate.kid(),
            algorithm: Algorithm::Ed25519,
            from: root.certificate.not_before(),
            retired_at: None,
            handover: None,
        };
        document.revocations = vec![Revocation {
            kind,
            value,
            since: NOW.plus(-60),
            reason: "compromised".to_owned(),
        }];
        let authority = Authority::from_document("local", Vec::new(), &document);
        let trust = Trust::new(vec![authority], Vec::new());
        judge_by(&raw, &floor("declared"), &trust, NOW)
    };
    for holder in [&leaf, &two, &one, &root] {
        let certificate = &holder.certificate;
        let by_key = judged(RevocationKind::Key, certificate.kid().to_string());
        assert_code(&by_key, Code::Revoked);
        let by_serial = judged(RevocationKind::Certificate, certificate.serial_hex());
        assert_code(&by_serial, Code::Revoked);
    }
    assert_accepted(&judged(RevocationKind::Certificate, "77".to_owned()));
}

#[test]
fn every_authority_that_has_a_root_may_take_back() {
    let named = |name: &str, revoked: bool| {
        let mut document = TestAuthority::new(1).trust(1, NOW);
        if revoked {
            document.revocations = vec![Revocation {
                kind: RevocationKind::Identity,
                value: "wimse://test.invalid/agent/alice/claude".to_owned(),
                since: NOW.plus(-60),
                reason: "compromised".to_owned(),
            }];
        }
        Authority::from_document(name, PinKind::TrustDocument.default_scopes(), &document)
    };
    let raw = bound_commit(&payload());
    for (one, other, is_revoked) in [
        (false, false, false),
        (true, false, true),
        (false, true, true),
    ] {
        let authorities = vec![named("local", one), named("other", other)];
        let trust = Trust::new(authorities, Vec::new());
        // The policy names only the first; the root is the same.
        let judgement = judge_by(&raw, &floor("declared"), &trust, NOW);
        match is_revoked {
            true => assert_code(&judgement, Code::Revoked),
            false => assert_accepted(&judgement),
        }
    }
}

#[test]
fn path_length_is_kept() {
    let root = corporate();
    let one = Mint::ca("One", 0x71, Some(0)).signed_by(&root);
    let two = Mint::ca("Two", 0x72, None).signed_by(&one);
    let leaf = person().emails(&["a@example.org"]).signed_by(&two);
    assert_code(
        &judge_x509(&root, &leaf.sign(&payload(), &[&two, &one])),
        Code::CertificateInvalid,
    );
    let short = Mint::ca("Short", 0x53, Some(0)).self_signed();
    let one = Mint::ca("One", 0x71, None).signed_by(&short);
    let leaf = person().emails(&["a@example.org"]).signed_by(&one);
    assert_code(
        &judge_x509(&short, &leaf.sign(&payload(), &[&one])),
        Code::CertificateInvalid,
    );
}

#[test]
fn an_issuer_that_limits_names_vouches_for_nobody() {
    let name_constraints = [0x55, 0x1d, 0x1e];
    // permitted;email:example.org
    let value = b"\x30\x11\xa0\x0f\x30\x0d\x81\x0bexample.org";
    for critical in [false, true] {
        for email in ["ceo@victim.example", "a@example.org"] {
            let root = corporate();
            let ca = Mint::ca("One", 0x71, None)
                .with(&name_constraints, critical, value)
                .signed_by(&root);
            let leaf = person().emails(&[email]).signed_by(&ca);
            let judgement = judge_x509(&root, &leaf.sign(&payload(), &[&ca]));
            assert_code(&judgement, Code::CertificateInvalid);
            assert!(judgement.detail().unwrap().contains("2.5.29.30"));
            let root = Mint::ca("Limited", 0x72, None)
                .with(&name_constraints, critical, value)
                .self_signed();
            let leaf = person().emails(&[email]).signed_by(&root);
            let judgement = judge_x509(&root, &leaf.sign(&payload(), &[]));
            assert_code(&judgement, Code::CertificateInvalid);
        }
    }
}

#[test]
fn the_first_way_that_may_be_gone_counts() {
    let root = corporate();
    let unknown = [0x2b, 6, 1, 4, 1, 0x86, 0x8d, 0x1f, 9, 9];
    let narrow = Mint::ca("One", 0x71, Some(0)).signed_by(&root);
    // In a message the longer one comes later.
    let wide = Mint::ca("One", 0x71, None)
        .with(&unknown, false, &[5, 0])
        .signed_by(&root);
    let two = Mint::ca("Two", 0x72, None).signed_by(&wide);
    let leaf = person().emails(&["a@example.org"]).signed_by(&two);
    let code = |others: &[&Holder]| {
        let judgement = judge_x509(&root, &leaf.sign(&payload(), others));
        judgement.verdict().code()
    };
    assert_eq!(code(&[&two, &wide]), None);
    assert_eq!(code(&[&two, &narrow]), Some(Code::CertificateInvalid));
    assert_eq!(code(&[&two, &narrow, &wide]), None);
}

#[test]
fn a_leaf_issues_nothing() {
    let root = corporate();
    let leaf = person().emails(&["a@example.org"]).signed_by(&root);
    let below = Mint::new("Mallory", 0x66)
        .emails(&["root@example.org"])
        .signed_by(&leaf);
    assert_code(
        &judge_x509(&root, &below.sign(&payload(), &[&leaf])),
        Code::SignerUntrusted,
    );
}

#[test]
fn an_authority_signs_no_commits() {
    let root = corporate();
    let ca = Mint::ca("One", 0x71, Some(0))
        .emails(&["a@example.org"])
        .signed_by(&root);
    assert_code(
        &judge_x509(&root, &ca.sign(&payload(), &[])),
        Code::CertificateInvalid,
    );
}

#[test]
fn uses_are_kept_by_leaf_and_issuer() {
    let root = corporate();
    let tls = Mint::new("TLS", 0x62)
        .extended(SERVER_AUTH)
        .emails(&["a@example.org"])
        .signed_by(&root);
    assert_code(
        &judge_x509(&root, &tls.sign(&payload(), &[])),
        Code::CertificateInvalid,
    );
    let agreement = Mint::new("KA", 0x63)
        .usage([3, 0x08])
        .emails(&["a@example.org"])
        .signed_by(&root);
    assert_code(
        &judge_x509(&root, &agreement.sign(&payload(), &[])),
        Code::CertificateInvalid,
    );
    let ca = Mint::ca("TLS CA", 0x71, Some(0))
        .extended(SERVER_AUTH)
        .signed_by(&root);
    let leaf = person().emails(&["a@example.org"]).signed_by(&ca);
    assert_code(
        &judge_x509(&root, &leaf.sign(&payload(), &[&ca])),
        Code::CertificateInvalid,
    );
}

#[test]
fn unknown_critical_extensions_stop_the_chain_wherever_they_are() {
    let unknown = [0x2b, 6, 1, 4, 1, 0x86, 0x8d, 0x1f, 9, 9];
    let root = corporate();
    let leaf = person()
        .emails(&["a@example.org"])
        .with(&unknown, true, &[5, 0])
        .signed_by(&root);
    assert_code(
        &judge_x509(&root, &leaf.sign(&payload(), &[])),
        Code::CertificateUnknownCritical,
    );
    let leaf = person()
        .emails(&["a@example.org"])
        .with(&unknown, false, &[5, 0])
        .signed_by(&root);
    assert_accepted(&judge_x509(&root, &leaf.sign(&payload(), &[])));
    let ca = Mint::ca("One", 0x71, None)
        .with(&unknown, true, &[5, 0])
        .signed_by(&root);
    let leaf = person().emails(&["a@example.org"]).signed_by(&ca);
    assert_code(
        &judge_x509(&root, &leaf.sign(&payload(), &[&ca])),
        Code::CertificateUnknownCritical,
    );
}

#[test]
fn a_certificate_that_cannot_be_read_is_invalid() {
    let root = corporate();
    // keyUsage twice.
    let cms = person()
        .emails(&["a@example.org"])
        .signed_by(&root)
        .sign(&payload(), &[]);
    let broken = crate::flip::replaced(&cms, &[0x55, 0x1d, 0x25], &[0x55, 0x1d, 0x0f]);
    assert_code(&judge_x509(&root, &broken), Code::CertificateInvalid);
}

#[test]
fn a_standing_does_not_outlive_the_message_it_was_found_in() {
    let root = corporate();
    let one = Mint::ca("One", 0x71, None).signed_by(&root);
    let leaf = person().emails(&["a@example.org"]).signed_by(&one);
    let authority = Authority::from_certificates(
        "local",
        PinKind::X509,
        Vec::new(),
        vec![root.certificate.clone()],
    );
    let (trust, policy) = (Trust::new(vec![authority], Vec::new()), floor("declared"));
    let judge = notme_verifier::Judge::new(&policy, &trust, NOW);
    let armored = |others: &[&Holder]| notme_core::armor::armor(&leaf.sign(&payload(), others));
    assert_accepted(&judge.judge_detached(&payload(), armored(&[&one]).as_bytes()));
    let alone = judge.judge_detached(&payload(), armored(&[]).as_bytes());
    assert_code(&alone, Code::SignerUntrusted);
}

/// Judges by both orders of two certificates of one key, in the store and in the message: the same for
/// each.
fn judge_both_orders(
    [roots, others]: [[&Holder; 2]; 2],
    leaf: &Holder,
    revoked: &[Revocation],
) -> [notme_verifier::Judgement; 4] {
    let judged = |store: [&Holder; 2], bag: [&Holder; 2]| {
        let mut document = TestAuthority::new(1).trust(1, NOW);
        let made = document.roots[0].clone();
        let root = |holder: &Holder| notme_core::trust::Root {
            certificate: holder.certificate.clone(),
            kid: holder.certificate.kid(),
            algorithm: Algorithm::Ed25519,
            from: holder.certificate.not_before(),
            ..made.clone()
        };
        document.roots = store.map(root).to_vec();
        document.revocations = revoked.to_vec();
        let authority = Authority::from_document("local", Vec::new(), &document);
        let trust = Trust::new(vec![authority], Vec::new());
        let raw = commit_with(&leaf.sign(&payload(), &bag));
        judge_by(&raw, &floor("declared"), &trust, NOW)
    };
    let turned = |[a, b]: [_; 2]| [b, a];
    [
        judged(roots, others),
        judged(turned(roots), others),
        judged(roots, turned(others)),
        judged(turned(roots), turned(others)),
    ]
}

/// An authority whose certificate ends gets another for the same key.
#[test]
fn a_renewed_issuer_counts_in_its_own_time_in_any_order() {
    let (then, now) = ((-7200, -600), (-1200, 3600));
    let during =
        |it: Mint<'static>, (from, until): (i64, i64)| it.during(NOW.plus(from), NOW.plus(until));
    let root = |seed, times| {
        let key = Mint::new("", 0x51).key;
        during(Mint::ca("Corporate CA", seed, None), times)
            .of(key)
            .self_signed()
    };
    let [old, new] = [root(0x51, then), root(0x52, now)];
    let issuer = |seed, times| {
        let key = Mint::new("", 0x71).key;
        during(Mint::ca("One", seed, None), times)
            .of(key)
            .signed_by(&new)
    };
    let [ended, renewed] = [issuer(0x71, then), issuer(0x72, now)];
    let leaf = person()
        .uris(&["wimse://test.invalid/agent/alice/claude"])
        .signed_by(&renewed);
    let all = |revoked: &[Revocation]| {
        judge_both_orders([[&old, &new], [&ended, &renewed]], &leaf, revoked)
    };
    for judgement in all(&[]) {
        assert_accepted(&judgement);
    }
    // What was taken back counts whichever of them it is.
    for holder in [&old, &new, &ended, &renewed] {
        let certificate = &holder.certificate;
        for (kind, value) in [
            (RevocationKind::Key, certificate.kid().to_string()),
            (RevocationKind::Certificate, certificate.serial_hex()),
        ] {
            let revocation = Revocation {
                kind,
                value,
                since: NOW.plus(-60),
                reason: "compromised".to_owned(),
            };
            for judgement in all(&[revocation]) {
                assert_code(&judgement, Code::Revoked);
            }
        }
    }
    // None of them lives now.
    let early = root(0x53, (-9000, -8000));
    for judgement in judge_both_orders([[&old, &early], [&ended, &renewed]], &leaf, &[]) {
        assert_code(&judgement, Code::CertificateExpired);
    }
}
