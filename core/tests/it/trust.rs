//! The signed trust document: what makes it good, and each way in which it is not.

use notme_core::{
    certificate::Certificate,
    hex,
    key::Signer as _,
    openpgp::{AuthorityKeyTemplate, build_authority_key},
    ssh,
    time::UnixTime,
    trust::{OpenPgpCa, SshCa, TrustDocument, TrustError, Tsa},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    keys::Ed25519Key,
    tsa::TestTsa,
};

fn verify(
    envelope: &[u8],
    pins: &[[u8; 32]],
) -> Result<notme_core::trust::VerifiedTrust, TrustError> {
    TrustDocument::verify(envelope, pins, NOW)
}

fn refused(change: impl FnOnce(&mut TrustDocument)) -> TrustError {
    let authority = TestAuthority::new(1);
    let mut document = authority.trust(1, NOW);
    change(&mut document);
    verify(&authority.sign_trust(&document), &authority.pins()).unwrap_err()
}

#[test]
fn a_document_signed_by_all_its_roots_is_good_for_who_pinned_one() {
    let authority = TestAuthority::new(1);
    let envelope = authority.trust_document(7, NOW);
    for pin in authority.pins() {
        let trust = verify(&envelope, &[pin]).unwrap();
        assert_eq!(trust.document().seqno, 7);
        assert_eq!(trust.document(), &authority.trust(7, NOW));
    }
}

#[test]
fn nobody_else_may_sign_for_the_roots() {
    let (ours, theirs) = (TestAuthority::new(1), TestAuthority::new(2));
    let envelope = theirs.trust_document(1, NOW);
    assert!(matches!(
        verify(&envelope, &ours.pins()),
        Err(TrustError::NotPinned)
    ));
    assert!(matches!(
        verify(&ours.trust_document(1, NOW), &[]),
        Err(TrustError::NotPinned)
    ));
    // Their signatures over our roots: the pinned root is named, and did not sign.
    let stolen = theirs.sign_trust(&ours.trust(1, NOW));
    assert!(matches!(
        verify(&stolen, &ours.pins()),
        Err(TrustError::NotPinned)
    ));
}

#[test]
fn every_current_root_has_to_sign() {
    let authority = TestAuthority::new(1);
    let one = authority
        .trust(1, NOW)
        .sign(&[authority.ed25519_key()])
        .unwrap();
    assert!(matches!(
        verify(&one, &authority.pins()),
        Err(TrustError::Unsigned(_))
    ));
}

#[test]
fn whoever_pinned_the_root_that_went_walks_to_the_next_only_if_it_signed() {
    let (old, new) = (TestAuthority::new(1), TestAuthority::new(2));
    let mut document = new.trust(2, NOW);
    document
        .roots
        .extend(old.trust(1, NOW).roots.into_iter().map(|mut root| {
            root.retired_at = Some(NOW);
            root
        }));
    let both = document
        .sign(&[
            new.ed25519_key(),
            new.p256_key(),
            old.ed25519_key(),
            old.p256_key(),
        ])
        .unwrap();
    assert!(verify(&both, &old.pins()).is_ok());
    let new_only = document.sign(&[new.ed25519_key(), new.p256_key()]).unwrap();
    assert!(matches!(
        verify(&new_only, &old.pins()),
        Err(TrustError::NotPinned)
    ));
}

/// What the authority of seed `last` publishes after the rotations from seed 1 on.
fn rotated(last: u8) -> TrustDocument {
    let mut document = TestAuthority::new(last).trust(u64::from(last), NOW);
    for seed in 1..last {
        let at = NOW.plus(-600 + i64::from(seed));
        let retired = TestAuthority::new(seed).retired(at, &TestAuthority::new(seed + 1));
        document.roots.extend(retired);
    }
    document
}

#[test]
fn whoever_missed_rotations_walks_by_the_handovers() {
    let envelope = TestAuthority::new(4).sign_trust(&rotated(4));
    for seed in 1..=4 {
        for pin in TestAuthority::new(seed).pins() {
            let verified = verify(&envelope, &[pin]).unwrap();
            assert_eq!(verified.document().retired_roots().count(), 6);
        }
    }
    assert!(matches!(
        verify(&envelope, &TestAuthority::new(5).pins()),
        Err(TrustError::NotPinned)
    ));
}

#[test]
fn a_handover_that_is_missing_leads_nowhere() {
    let mut document = rotated(3);
    let gap = TestAuthority::new(2).pins();
    for root in &mut document.roots {
        if gap.contains(&root.certificate.public_key().spki_sha256()) {
            root.handover = None;
        }
    }
    let envelope = TestAuthority::new(3).sign_trust(&document);
    assert!(matches!(
        verify(&envelope, &TestAuthority::new(1).pins()),
        Err(TrustError::NotPinned)
    ));
}

/// Whoever has only the new keys cannot say that the old ones handed over to them.
#[test]
fn a_handover_that_the_root_did_not_sign_is_refused() {
    let (old, thief) = (TestAuthority::new(1), TestAuthority::new(2));
    let genuine = old.retired(NOW.plus(-10), &TestAuthority::new(3));
    let stolen = old.retired(NOW.plus(-9), &thief);
    let signed_by_thief = |mut roots: Vec<notme_core::trust::Root>| {
        let mut document = thief.trust(2, NOW);
        document.roots.append(&mut roots);
        verify(&thief.sign_trust(&document), &old.pins()).unwrap_err()
    };
    // To others, and not to the thief.
    assert!(matches!(
        signed_by_thief(genuine.clone()),
        TrustError::NotPinned
    ));
    // With another end than the one that was signed, and without any.
    let mut longer = stolen.clone();
    longer[0].retired_at = Some(NOW.plus(-8));
    assert!(matches!(signed_by_thief(longer), TrustError::Handover(_)));
    let mut endless = stolen.clone();
    endless[0].retired_at = None;
    assert!(matches!(signed_by_thief(endless), TrustError::Handover(_)));
    // The handover of the one root under the other.
    let mut crossed = stolen;
    let other = crossed[1].handover.take();
    crossed[0].handover = other;
    assert!(matches!(signed_by_thief(crossed), TrustError::Handover(_)));
}

/// A handover is for one trust domain: nobody else's document can hold it.
#[test]
fn a_handover_is_worth_nothing_in_another_trust_domain() {
    let mut document = rotated(2);
    document.trust_domain = "other.invalid".to_owned();
    let envelope = TestAuthority::new(2).sign_trust(&document);
    for seed in [1, 2] {
        assert!(matches!(
            verify(&envelope, &TestAuthority::new(seed).pins()),
            Err(TrustError::Handover(_))
        ));
    }
}

#[test]
fn malformed_handovers_are_refused() {
    let mut document = serde_json::to_value(rotated(2)).unwrap();
    let good = document["roots"][2]["handover"].clone();
    assert_eq!(good["to"].as_array().unwrap().len(), 2);
    let digest = good["to"][0].clone();
    for (member, bad) in [
        ("to", serde_json::json!([])),
        ("to", serde_json::json!(["ab"])),
        ("to", serde_json::Value::Array(vec![digest; 9])),
        ("signature", "*".into()),
        ("extra", 1.into()),
    ] {
        document["roots"][2]["handover"] = good.clone();
        document["roots"][2]["handover"][member] = bad;
        assert!(serde_json::from_value::<TrustDocument>(document.clone()).is_err());
    }
}

#[test]
fn more_roots_than_any_authority_has_are_not_looked_at() {
    let error = refused(|document| {
        let root = document.roots[0].clone();
        document.roots = vec![root; notme_core::trust::ROOTS_MAX + 1];
    });
    assert!(matches!(error, TrustError::TooManyRoots(257)), "{error}");
}

#[test]
fn a_prepared_root_has_to_sign_and_does_not_issue() {
    let (now, next) = (TestAuthority::new(1), TestAuthority::new(2));
    let mut document = now.trust(1, NOW);
    document
        .roots
        .extend(next.trust(1, NOW).roots.into_iter().map(|mut root| {
            root.from = NOW.plus(1);
            root
        }));
    assert!(matches!(
        verify(&now.sign_trust(&document), &now.pins()),
        Err(TrustError::Unsigned(_))
    ));
    let all = document.sign(&[
        now.ed25519_key(),
        now.p256_key(),
        next.ed25519_key(),
        next.p256_key(),
    ]);
    let verified = verify(&all.unwrap(), &now.pins()).unwrap();
    assert_eq!(verified.document().current_roots().count(), 4);
    let issuing: Vec<_> = verified.document().issuing_roots().collect();
    assert!(issuing.iter().all(|root| root.from <= NOW));
    assert_eq!(issuing.len(), 2);
}

#[test]
fn undated_and_future_documents_are_refused() {
    for at in [0, -1] {
        let error = refused(|d| d.issued_at = UnixTime::from_secs(at));
        assert!(matches!(error, TrustError::IssuedAt(_)), "{at}: {error}");
    }
    let error = refused(|d| d.issued_at = NOW.plus(61));
    assert!(matches!(error, TrustError::Future { .. }), "{error}");
    assert!(matches!(
        refused(|d| d.expires_at = d.issued_at),
        TrustError::ExpiresAt
    ));
}

#[test]
fn a_trust_domain_is_a_host_with_or_without_a_port() {
    for bad in ["", "*", "a/b", "a*", "a/agent/x", "a:b", "a b", "wimse://a"] {
        let error = refused(|d| d.trust_domain = bad.to_owned());
        assert!(
            matches!(error, TrustError::TrustDomain(_)),
            "{bad}: {error}"
        );
    }
}

#[test]
fn a_root_that_retires_later_is_current_and_has_to_sign() {
    let (ours, other) = (TestAuthority::new(1), TestAuthority::new(2));
    let mut document = ours.trust(1, NOW);
    let [mut root, _] = <[_; 2]>::try_from(other.trust(1, NOW).roots).unwrap();
    root.retired_at = Some(NOW.plus(1));
    document.roots.push(root);
    assert_eq!(document.current_roots().count(), 3);
    assert!(matches!(
        verify(&ours.sign_trust(&document), &ours.pins()),
        Err(TrustError::Unsigned(_))
    ));
    // Nor is it enough to retire each of one's own roots tomorrow.
    let error = refused(|d| {
        for root in &mut d.roots {
            root.retired_at = Some(d.issued_at);
        }
    });
    assert!(matches!(error, TrustError::NoRoots), "{error}");
}

#[test]
fn nobody_takes_anothers_root_for_a_retired_one_of_his_own() {
    let (ours, other) = (TestAuthority::new(1), TestAuthority::new(2));
    let mut document = ours.trust(1, NOW);
    let [mut root, _] = <[_; 2]>::try_from(other.trust(1, NOW).roots).unwrap();
    root.retired_at = Some(NOW);
    document.roots.push(root);
    let envelope = ours.sign_trust(&document);
    assert!(matches!(
        verify(&envelope, &ours.pins()),
        Err(TrustError::Annexed(_))
    ));
    // Unless it was known before, or signs.
    let known = [other.ed25519_root().public_key().spki_sha256()];
    let after = |retired: &[[u8; 32]]| {
        TrustDocument::verify_successor(&envelope, &ours.pins(), retired, NOW)
    };
    assert!(after(&known).is_ok());
    assert!(after(&[other.p256_root().public_key().spki_sha256()]).is_err());
    let all = document
        .sign(&[ours.ed25519_key(), ours.p256_key(), other.ed25519_key()])
        .unwrap();
    assert!(verify(&all, &ours.pins()).is_ok());
}

#[test]
fn documents_that_contradict_themselves_are_refused() {
    assert!(matches!(refused(|d| d.version = 2), TrustError::Version(2)));
    assert!(matches!(refused(|d| d.seqno = 0), TrustError::Seqno));
    assert!(matches!(refused(|d| d.roots.clear()), TrustError::NoRoots));
    assert!(matches!(
        refused(|d| d.previous = Some("00".to_owned())),
        TrustError::Previous
    ));
    assert!(matches!(
        refused(|d| d.roots[0].kid = d.roots[1].kid),
        TrustError::Root(_)
    ));
    assert!(matches!(
        refused(|d| d.roots[0].algorithm = d.roots[1].algorithm),
        TrustError::Root(_)
    ));
}

#[test]
fn flipping_any_byte_of_an_envelope_never_changes_what_is_accepted() {
    let authority = TestAuthority::new(1);
    let envelope = authority.trust_document(1, NOW);
    let good = verify(&envelope, &authority.pins())
        .unwrap()
        .payload_sha256();
    for position in 0..envelope.len() {
        let mut changed = envelope.clone();
        changed[position] ^= 1;
        if let Ok(trust) = verify(&changed, &authority.pins()) {
            assert_eq!(
                hex::encode(&trust.payload_sha256()),
                hex::encode(&good),
                "byte {position}"
            );
        }
    }
}

#[test]
fn unknown_members_and_other_payload_types_are_refused() {
    let authority = TestAuthority::new(1);
    let keys: [&dyn notme_core::key::Signer; 2] = [authority.ed25519_key(), authority.p256_key()];
    let mut value = serde_json::to_value(authority.trust(1, NOW)).unwrap();
    value["extra"] = 1.into();
    let sign = |kind: &str, payload: Vec<u8>| {
        notme_core::dsse::Envelope::sign(kind, payload, &keys)
            .unwrap()
            .to_json()
            .unwrap()
    };
    let unknown = sign(
        notme_core::trust::PAYLOAD_TYPE,
        value.to_string().into_bytes(),
    );
    assert!(matches!(
        verify(&unknown, &authority.pins()),
        Err(TrustError::Json(_))
    ));
    let plain = serde_json::to_vec(&authority.trust(1, NOW)).unwrap();
    assert!(matches!(
        verify(&sign("text/plain", plain), &authority.pins()),
        Err(TrustError::PayloadType)
    ));
}

fn ssh_ca(seed: u8) -> SshCa {
    let key = Ed25519Key::from_seed([seed; 32]);
    SshCa {
        public_key: ssh::PublicKey::from_key(key.public_key()).unwrap(),
        kid: key.public_key().kid(),
        from: NOW,
        retired_at: None,
    }
}

fn openpgp_ca(seed: u8) -> OpenPgpCa {
    let key = Ed25519Key::from_seed([seed; 32]);
    let template = AuthorityKeyTemplate {
        user_id: "notme authority",
        created: NOW,
    };
    let certificate = build_authority_key(&template, &key).unwrap();
    OpenPgpCa {
        fingerprint: certificate.fingerprint().clone(),
        kid: key.public_key().kid(),
        certificate,
        from: NOW,
        retired_at: None,
    }
}

#[test]
fn keys_of_other_formats_travel_as_their_tools_write_them() {
    let authority = TestAuthority::new(1);
    let mut document = authority.trust(1, NOW);
    document.ssh_ca = vec![ssh_ca(41)];
    document.openpgp = vec![openpgp_ca(42)];
    let envelope = authority.sign_trust(&document);
    let verified = verify(&envelope, &authority.pins()).unwrap();
    assert_eq!(verified.document(), &document);
    let json = serde_json::to_value(&document).unwrap();
    let line = json["ssh_ca"][0]["public_key"].as_str().unwrap();
    assert!(line.starts_with("ssh-ed25519 AAAA"));
    let armor = json["openpgp"][0]["certificate"].as_str().unwrap();
    assert!(armor.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----\n"));
    let fingerprint = json["openpgp"][0]["fingerprint"].as_str().unwrap();
    assert_eq!(fingerprint.len(), 40);
}

#[test]
fn a_document_of_before_has_no_keys_of_other_formats() {
    let authority = TestAuthority::new(1);
    let verified = verify(&authority.trust_document(1, NOW), &authority.pins()).unwrap();
    assert_eq!(verified.document().current_ssh_ca().count(), 0);
    assert_eq!(verified.document().current_openpgp().count(), 0);
}

#[test]
fn keys_of_other_formats_that_contradict_themselves_are_refused() {
    let other = ssh_ca(43).kid;
    let mut ssh = [ssh_ca(41), ssh_ca(41)];
    ssh[0].kid = other;
    ssh[1].retired_at = Some(NOW);
    for ssh in ssh {
        let error = refused(|document| document.ssh_ca = vec![ssh]);
        assert!(matches!(error, TrustError::SshCa(_)), "{error}");
    }
    let mut openpgp = [openpgp_ca(42), openpgp_ca(42), openpgp_ca(42)];
    openpgp[0].kid = other;
    openpgp[1].fingerprint = openpgp_ca(43).fingerprint;
    openpgp[2].retired_at = Some(NOW);
    for openpgp in openpgp {
        let error = refused(|document| document.openpgp = vec![openpgp]);
        assert!(matches!(error, TrustError::OpenPgp(_)), "{error}");
    }
}

#[test]
fn one_key_never_serves_two_formats() {
    let error = refused(|document| {
        document.ssh_ca = vec![ssh_ca(41)];
        document.openpgp = vec![openpgp_ca(41)];
    });
    assert!(matches!(error, TrustError::Repeated(_)), "{error}");
    let error = refused(|document| {
        let root = document.roots[0].certificate.public_key();
        document.ssh_ca = vec![SshCa {
            public_key: ssh::PublicKey::from_key(root).unwrap(),
            kid: root.kid(),
            ..ssh_ca(41)
        }];
    });
    assert!(matches!(error, TrustError::Repeated(_)), "{error}");
    let error = refused(|document| document.ssh_ca = vec![ssh_ca(41), ssh_ca(41)]);
    assert!(matches!(error, TrustError::Repeated(_)), "{error}");
}

#[test]
fn a_time_stamping_authority_is_listed_by_its_certificate() {
    let authority = TestAuthority::new(1);
    let entries = [1, 2].map(|seed| TestTsa::of(&authority, seed).entry());
    let mut document = authority.trust(1, NOW);
    document.tsa = entries.to_vec();
    document.tsa[1].retired_at = Some(NOW);
    let verified = verify(&authority.sign_trust(&document), &authority.pins()).unwrap();
    assert_eq!(verified.document(), &document);
    let current: Vec<_> = verified.document().current_tsa().collect();
    assert_eq!(current, [&entries[0]]);
}

#[test]
fn a_time_stamping_authority_that_contradicts_itself_is_refused() {
    let authority = TestAuthority::new(1);
    let good = TestTsa::of(&authority, 1).entry();
    let other_kid = Tsa {
        kid: TestTsa::of(&authority, 2).entry().kid,
        ..good.clone()
    };
    let ended = Tsa {
        retired_at: Some(good.from),
        ..good.clone()
    };
    // A signer's certificate, or a root's, is not one for time stamps.
    let leaf = authority.leaf(&LeafSpec::default());
    let of = |certificate: &Certificate| Tsa {
        kid: certificate.kid(),
        certificate: certificate.clone(),
        ..good.clone()
    };
    let other_root = TestAuthority::new(2);
    for bad in [
        other_kid,
        ended,
        of(leaf.certificate()),
        of(other_root.p256_root()),
    ] {
        let error = refused(|document| document.tsa = vec![bad]);
        assert!(matches!(error, TrustError::Tsa(_)), "{error}");
    }
    let error = refused(|document| document.tsa = vec![good.clone(), good]);
    assert!(matches!(error, TrustError::Repeated(_)), "{error}");
}

#[test]
fn a_retired_key_of_another_format_stays_known() {
    let authority = TestAuthority::new(1);
    let mut document = authority.trust(1, NOW);
    document.ssh_ca = vec![
        ssh_ca(41),
        SshCa {
            from: NOW.plus(-100),
            retired_at: Some(NOW),
            ..ssh_ca(42)
        },
    ];
    let verified = verify(&authority.sign_trust(&document), &authority.pins()).unwrap();
    assert_eq!(verified.document().ssh_ca.len(), 2);
    let current: Vec<_> = verified.document().current_ssh_ca().collect();
    assert_eq!(current, [&ssh_ca(41)]);
}

#[test]
fn other_spellings_of_the_keys_are_refused() {
    let authority = TestAuthority::new(1);
    let mut document = authority.trust(1, NOW);
    document.ssh_ca = vec![ssh_ca(41)];
    document.openpgp = vec![openpgp_ca(42)];
    let good = serde_json::to_string(&document).unwrap();
    let fingerprint = document.openpgp[0].fingerprint.to_string();
    let line = ssh::Key::Plain(document.ssh_ca[0].public_key.clone()).to_text();
    for (from, to) in [
        (fingerprint.as_str(), fingerprint.to_lowercase()),
        (&line, format!("{line} comment")),
        (&line, line.replace("ssh-ed25519", "ssh-rsa")),
    ] {
        let bad = good.replacen(from, &to, 1);
        assert_ne!(bad, good);
        assert!(serde_json::from_str::<TrustDocument>(&bad).is_err(), "{to}");
    }
}
