//! The certificates we write, read back by ourselves and by openssl and certtool.

use notme_core::{
    key::{Algorithm, sha256},
    profile::{LeafKind, ProfileError, build_leaf},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    oracle::oracle,
};
use std::{fs, process::Command};

fn bound() -> LeafSpec {
    LeafSpec {
        payload_digest: Some(sha256(b"payload")),
        activity: Some("run-1".to_owned()),
        ..LeafSpec::default()
    }
}

#[test]
fn a_leaf_says_what_it_was_told_to_say() {
    let authority = TestAuthority::new(1);
    let spec = bound();
    let leaf = authority.leaf(&spec).certificate().clone();
    assert_eq!(leaf.verify_issued_by(authority.ed25519_root()), Ok(()));
    assert_eq!(leaf.identity().unwrap(), spec.identity);
    assert_eq!(leaf.scopes(), spec.scopes);
    assert_eq!(leaf.epoch(), Some(spec.epoch));
    assert_eq!(leaf.payload_digest(), spec.payload_digest);
    assert_eq!(leaf.activity(), Some("run-1"));
    assert_eq!(leaf.issued_at(), Some(spec.not_before));
    assert_eq!(
        leaf.authority_key_id(),
        authority.ed25519_root().subject_key_id()
    );
    assert!(leaf.unknown_critical().is_none());
}

#[test]
fn the_epoch_is_minimal_der() {
    for (epoch, der) in [
        (1, &[2, 1, 1][..]),
        (128, &[2, 2, 0, 128]),
        (65_536, &[2, 3, 1, 0, 0]),
    ] {
        let leaf = TestAuthority::new(1).leaf(&LeafSpec {
            epoch,
            ..LeafSpec::default()
        });
        let certificate = leaf.certificate();
        assert_eq!(certificate.epoch(), Some(epoch));
        let wrapped = [&[4, u8::try_from(der.len()).unwrap()], der].concat();
        assert!(
            certificate
                .der()
                .windows(wrapped.len())
                .any(|w| w == wrapped)
        );
    }
}

#[test]
fn text_in_a_name_never_becomes_structure() {
    let spec = LeafSpec {
        common_name: "x,O=evil+CN=\"q\"\u{1b}[2J".to_owned(),
        ..LeafSpec::default()
    };
    let leaf = TestAuthority::new(1).leaf(&spec);
    let text = leaf.certificate().subject_text();
    assert!(text.ends_with(",O=notme"), "{text}");
    assert!(!text.contains('\u{1b}'));
    let sets = leaf
        .certificate()
        .subject_der()
        .iter()
        .filter(|b| **b == 0x31)
        .count();
    assert_eq!(sets, 2);
}

#[test]
fn a_foreign_key_cannot_issue_in_the_name_of_a_root() {
    let (ours, theirs) = (TestAuthority::new(1), TestAuthority::new(2));
    let spec = LeafSpec::default();
    let key = ours.leaf(&spec).certificate().public_key().clone();
    let template = notme_core::profile::LeafTemplate {
        issuer: ours.ed25519_root(),
        key: &key,
        kind: LeafKind::Signing,
        serial: [1; 16],
        not_before: spec.not_before,
        not_after: spec.not_after,
        issued_at_millis: 0,
        common_name: "x",
        subject: "x",
        identity: &spec.identity,
        scopes: &[],
        epoch: 1,
        auth_method: "uid",
        binding: [0; 32],
        payload_digest: None,
        activity: None,
    };
    let built = build_leaf(&template, theirs.ed25519_key());
    assert!(matches!(built, Err(ProfileError::IssuerKey)));
}

#[test]
fn openssl_accepts_both_chains_strictly() {
    let openssl = oracle("openssl");
    let authority = TestAuthority::new(1);
    for (algorithm, root) in [
        (Algorithm::Ed25519, authority.ed25519_root()),
        (Algorithm::P256, authority.p256_root()),
    ] {
        for (kind, purpose) in [
            (LeafKind::Signing, "smimesign"),
            (LeafKind::Mtls, "sslclient"),
        ] {
            let leaf = authority.leaf(&LeafSpec {
                algorithm,
                kind,
                ..bound()
            });
            let folder = tempfile::tempdir().unwrap();
            let (ca, end) = (folder.path().join("ca.pem"), folder.path().join("leaf.pem"));
            fs::write(&ca, root.pem()).unwrap();
            fs::write(&end, leaf.certificate().pem()).unwrap();
            let at = leaf.certificate().not_before().plus(30).secs().to_string();
            let verify = |purpose: &str| {
                Command::new(&openssl)
                    .args([
                        "verify",
                        "-x509_strict",
                        "-attime",
                        &at,
                        "-purpose",
                        purpose,
                        "-CAfile",
                    ])
                    .args([&ca, &end])
                    .output()
                    .unwrap()
            };
            let output = verify(purpose);
            assert!(
                output.status.success(),
                "{algorithm:?} {kind:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            if kind == LeafKind::Signing {
                assert!(
                    !verify("sslclient").status.success(),
                    "a signing leaf is no TLS client"
                );
                assert!(
                    !verify("sslserver").status.success(),
                    "a signing leaf is no TLS server"
                );
            }
        }
    }
}

#[test]
fn certtool_reads_our_certificates() {
    let certtool = oracle("certtool");
    let authority = TestAuthority::new(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaf.pem");
    fs::write(&path, authority.leaf(&bound()).certificate().pem()).unwrap();
    let output = Command::new(certtool)
        .args(["-i", "--infile"])
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(
        text.contains("Subject Alternative Name (critical)"),
        "{text}"
    );
    assert!(text.contains("wimse://"), "{text}");
    assert!(text.contains("Code signing"), "{text}");
}
