//! What the real notme authority issued, judged.

use std::fs;

use notme_core::{certificate::Certificate, key::Signer, pem, time::UnixTime};
use notme_testkit::{
    cast::Session,
    commit::CommitSpec,
    keys::{Ed25519Key, P256Key},
    testdata,
};
use notme_verifier::{
    Code, Judgement, Policy, Trust,
    load::{PemKind, TrustStore},
};

use crate::world::{TREE, assert_accepted, assert_code, judge_by};

const PEM_ONLY: &str = "time_basis_floor = \"declared\"\n[[authority]]\nname = \"one\"\n[[authority]]\nname = \"two\"\n[[authority]]\nname = \"longlived\"\n[[allow]]\nidentity = \"*\"\n";

/// Trust in every root that the fixtures have, added as a user adds them.
fn trust() -> Trust {
    let directory = tempfile::tempdir().unwrap();
    let store = TrustStore::new(
        directory.path().join("trust"),
        directory.path().join("state"),
    );
    for (name, file) in [
        ("one", "prod/ca/ca.pem"),
        ("two", "prod/ca/ca-epoch2.pem"),
        ("longlived", "longlived/ca.pem"),
    ] {
        let pem = testdata::text(&format!("notme-authority/{file}"));
        assert!(!pem.ends_with('\n'), "as served, without a final newline");
        store.add_pem(name, &pem, PemKind::Notme, &[]).unwrap();
    }
    store.load(UnixTime::from_secs(1_795_212_437))
}

/// Returns every folder that holds a pair of certificates.
fn pairs() -> Vec<String> {
    let mut found = Vec::new();
    for parent in ["prod", "longlived"] {
        for entry in fs::read_dir(testdata::path(&format!("notme-authority/{parent}"))).unwrap() {
            let path = entry.unwrap().path();
            if path.join("signing.pem").is_file() {
                let name = path.file_name().unwrap().to_str().unwrap();
                found.push(format!("notme-authority/{parent}/{name}"));
            }
        }
    }
    assert!(found.len() >= 9, "{found:?}");
    found
}

fn certificate(path: &str) -> Certificate {
    Certificate::from_pem(&testdata::text(path)).unwrap()
}

/// Returns the 32 bytes of a PKCS #8 key that follow a marker.
fn secret(path: &str, marker: &[u8]) -> [u8; 32] {
    let der = pem::decode_all("PRIVATE KEY", &testdata::text(path))
        .unwrap()
        .remove(0);
    let start = der
        .windows(marker.len())
        .position(|window| window == marker)
        .unwrap();
    der[start + marker.len()..][..32].try_into().unwrap()
}

fn signed(pair: &str, name: &str, at: UnixTime) -> Vec<u8> {
    let path = format!("{pair}/{name}.key");
    let key: Box<dyn Signer + Send + Sync> = match name {
        "signing" => Box::new(Ed25519Key::from_seed(secret(&path, &[4, 0x22, 4, 0x20]))),
        _ => Box::new(P256Key::from_seed(secret(&path, &[2, 1, 1, 4, 0x20]))),
    };
    let payload = CommitSpec {
        at,
        ..CommitSpec::new(TREE)
    }
    .payload();
    let certificate = certificate(&format!("{pair}/{name}.pem"));
    Session::new(key, certificate).sign_commit(&payload, at)
}

fn judged(raw: &[u8], policy: &str) -> Judgement {
    let now = UnixTime::from_secs(1_795_212_437).plus(6 * 365 * 86_400);
    judge_by(raw, &Policy::parse(policy).unwrap(), &trust(), now)
}

#[test]
fn commits_by_every_signing_certificate_are_accepted_within_its_window() {
    for pair in pairs() {
        let leaf = certificate(&format!("{pair}/signing.pem"));
        let judgement = judged(
            &signed(&pair, "signing", leaf.not_before().plus(60)),
            PEM_ONLY,
        );
        assert_accepted(&judgement);
        assert_eq!(
            judgement.identity(),
            Some(leaf.identity().unwrap().as_str()),
            "{pair}"
        );
        let late = judged(
            &signed(&pair, "signing", leaf.not_after().plus(61)),
            PEM_ONLY,
        );
        assert_code(&late, Code::CertificateExpired);
        let early = judged(
            &signed(&pair, "signing", leaf.not_before().plus(-61)),
            PEM_ONLY,
        );
        assert_code(&early, Code::CertificateNotYetValid);
    }
}

#[test]
fn a_date_alone_is_too_weak_for_their_short_certificates_by_default() {
    let trust = trust();
    let leaf = certificate("notme-authority/prod/gha/signing.pem");
    let raw = signed("notme-authority/prod/gha", "signing", leaf.not_before());
    let now = leaf.not_before();
    let judgement = judge_by(&raw, &Policy::from_trust(&trust), &trust, now);
    assert_code(&judgement, Code::TimeBasisTooWeak);
}

#[test]
fn their_tls_certificates_sign_nothing() {
    for pair in pairs() {
        let leaf = certificate(&format!("{pair}/mtls.pem"));
        let judgement = judged(&signed(&pair, "mtls", leaf.not_before()), PEM_ONLY);
        assert_code(&judgement, Code::CertificateInvalid);
    }
}

#[test]
fn no_certificate_survives_a_flipped_byte() {
    let roots = [
        "prod/ca/ca.pem",
        "prod/ca/ca-epoch2.pem",
        "longlived/ca.pem",
    ]
    .map(|file| certificate(&format!("notme-authority/{file}")));
    for pair in pairs() {
        for name in ["signing", "mtls"] {
            let leaf = certificate(&format!("{pair}/{name}.pem"));
            let root = roots
                .iter()
                .find(|root| leaf.verify_issued_by(root).is_ok())
                .unwrap();
            for position in 0..leaf.der().len() {
                let mut der = leaf.der().to_vec();
                der[position] ^= 0x01;
                if let Ok(altered) = Certificate::from_der(&der) {
                    assert!(
                        altered.verify_issued_by(root).is_err(),
                        "{pair}/{name} {position}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_rotated_root_does_not_vouch_for_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = TrustStore::new(
        directory.path().join("trust"),
        directory.path().join("state"),
    );
    let pem = testdata::text("notme-authority/prod/ca/ca-epoch2.pem");
    store.add_pem("one", &pem, PemKind::Notme, &[]).unwrap();
    let leaf = certificate("notme-authority/prod/gha/signing.pem");
    let raw = signed("notme-authority/prod/gha", "signing", leaf.not_before());
    let now = leaf.not_before();
    let policy = Policy::parse("[[authority]]\nname = \"one\"\n").unwrap();
    assert_code(
        &judge_by(&raw, &policy, &store.load(now), now),
        Code::SignerUntrusted,
    );
}
