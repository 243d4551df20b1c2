//! The certificates we write, read back by ourselves and by openssl and certtool.

use notme_core::{
    certificate::{Certificate, CertificateError, ChainError},
    key::{Algorithm, PublicKey, sha256},
    oid::NOTME_TERMS,
    profile::{LeafKind, LeafTemplate, ProfileError, build_leaf},
    terms::{PATTERNS_MAX, Terms},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    oracle::oracle,
};
use std::{fs, process::Command};

fn bound() -> LeafSpec {
    LeafSpec {
        payload_digest: Some(sha256(b"payload")),
        activity: Some("run-1".to_owned()),
        terms: Some(terms()),
        ..LeafSpec::default()
    }
}

fn terms() -> Terms {
    Terms {
        repository: Some("example.org/team/tool".to_owned()),
        refs: Some(vec!["refs/heads/agent/*".to_owned()]),
        paths: Some(vec!["src/*".to_owned(), "docs/*".to_owned()]),
        signatures: 10,
        until: NOW.plus(3600),
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
    assert_eq!(leaf.terms(), Some(&terms()));
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

fn template<'a>(
    authority: &'a TestAuthority,
    key: &'a PublicKey,
    spec: &'a LeafSpec,
) -> LeafTemplate<'a> {
    LeafTemplate {
        issuer: authority.ed25519_root(),
        key,
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
        terms: None,
    }
}

#[test]
fn a_foreign_key_cannot_issue_in_the_name_of_a_root() {
    let (ours, theirs) = (TestAuthority::new(1), TestAuthority::new(2));
    let spec = LeafSpec::default();
    let key = ours.leaf(&spec).certificate().public_key().clone();
    let template = template(&ours, &key, &spec);
    let built = build_leaf(&template, theirs.ed25519_key());
    assert!(matches!(built, Err(ProfileError::IssuerKey)));
}

/// Puts other bytes of the same length in the place of some that are there.
fn altered(der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = der.windows(from.len()).position(|part| part == from);
    let mut altered = der.to_vec();
    altered[at.unwrap()..][..to.len()].copy_from_slice(to);
    altered
}

#[test]
fn terms_that_somebody_widens_break_the_certificate() {
    let authority = TestAuthority::new(1);
    let leaf = authority.leaf(&bound()).certificate().clone();
    for (from, to) in [
        ("refs/heads/agent/*", "refs/heads/*******"),
        ("src/*", "*/*/*"),
    ] {
        let wide = altered(leaf.der(), from.as_bytes(), to.as_bytes());
        let wide = Certificate::from_der(&wide).unwrap();
        assert_ne!(wide.terms(), leaf.terms());
        let issued = wide.verify_issued_by(authority.ed25519_root());
        assert!(matches!(issued, Err(ChainError::Signature(_))));
    }
}

#[test]
fn terms_that_cannot_be_read_are_no_certificate() {
    let leaf = TestAuthority::new(1).leaf(&bound()).certificate().clone();
    let oid = b"\x06\x0a\x2b\x06\x01\x04\x01\x86\x8d\x1f\x01\x13";
    let twice = b"\x06\x0a\x2b\x06\x01\x04\x01\x86\x8d\x1f\x01\x11";
    for (from, to) in [
        // A second that nobody has, a control character, an INTEGER below zero.
        (&b"00Z\x80"[..], &b"99Z\x80"[..]),
        (b"src/*", b"src/\n"),
        (b"\x02\x01\x0a\x17", b"\x02\x01\x8a\x17"),
        // The activity's extension, called so as well.
        (twice, oid),
    ] {
        let refused = Certificate::from_der(&altered(leaf.der(), from, to));
        let Err(CertificateError::Extension(name)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(name, NOTME_TERMS);
    }
    let wide = Terms {
        refs: Some(vec!["a".to_owned(); PATTERNS_MAX + 1]),
        ..terms()
    };
    let authority = TestAuthority::new(1);
    let spec = LeafSpec::default();
    let template = template(&authority, leaf.public_key(), &spec);
    let template = LeafTemplate {
        terms: Some(&wide),
        ..template
    };
    let refused = build_leaf(&template, authority.ed25519_key());
    assert!(matches!(refused, Err(ProfileError::Terms(_))));
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
