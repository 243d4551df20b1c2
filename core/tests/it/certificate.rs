//! Certificates of the real authority and of the reference vectors: read, chained, tampered with.

use std::fs;

use notme_core::{
    certificate::{Certificate, CertificateError, ChainError},
    hex, oid,
    time::UnixTime,
};
use notme_testkit::testdata;
use serde_json::Value;

/// Folders that hold a pair issued at some moment, and the root that issued it.
const PAIRS: [(&str, &str); 7] = [
    ("gha", "ca.pem"),
    ("gha-epoch2", "ca-epoch2.pem"),
    ("bootstrap", "ca.pem"),
    ("session-cert", "ca.pem"),
    ("passkey-cert", "ca.pem"),
    ("invite-cert", "ca.pem"),
    ("oidc-cert", "ca.pem"),
];

fn read(path: &str) -> Certificate {
    Certificate::from_pem(&testdata::text(path)).unwrap()
}

fn fixture(path: &str) -> Certificate {
    read(&format!("notme-authority/{path}"))
}

#[test]
fn every_certificate_of_the_authority_parses_and_chains_inside_its_window() {
    for (folder, ca) in PAIRS {
        let root = fixture(&format!("prod/ca/{ca}"));
        let meta: Value = serde_json::from_slice(&testdata::bytes(&format!(
            "notme-authority/prod/{folder}/meta.json"
        )))
        .unwrap();
        let at = UnixTime::from_secs(meta["harvested_at"].as_i64().unwrap());
        for name in ["mtls", "signing"] {
            let leaf = fixture(&format!("prod/{folder}/{name}.pem"));
            assert_eq!(leaf.verify_issued_by(&root), Ok(()), "{folder}/{name}");
            assert!(leaf.is_valid_at(at), "{folder}/{name}");
            assert!(!leaf.is_ca());
            assert!(leaf.identity().is_ok());
            assert_eq!(leaf.scopes(), ["bridgeCert"]);
            assert!(leaf.unknown_critical().is_none());
        }
    }
}

#[test]
fn the_pair_agrees_with_the_response_it_came_in() {
    for (folder, _) in PAIRS {
        let response: Value = serde_json::from_slice(&testdata::bytes(&format!(
            "notme-authority/prod/{folder}/response.json"
        )))
        .unwrap();
        let mtls = fixture(&format!("prod/{folder}/mtls.pem"));
        let signing = fixture(&format!("prod/{folder}/signing.pem"));
        assert_eq!(signing.identity().unwrap().as_str(), response["identity"]);
        assert_eq!(signing.not_after().secs(), response["expires_at"]);
        assert_eq!(signing.epoch(), response["authority"]["epoch"].as_u64());
        let binding = notme_core::enrol::peer_binding(mtls.public_key(), signing.public_key());
        assert_eq!(hex::encode(&binding), response["binding"]);
        assert_eq!(signing.peer_binding(), Some(binding));
        assert_eq!(mtls.peer_binding(), Some(binding));
        assert_eq!(mtls.extended_key_usage(), Some(&[oid::CLIENT_AUTH][..]));
        assert_eq!(signing.extended_key_usage(), None);
    }
}

#[test]
fn long_lived_pairs_chain_to_their_root_and_to_no_other() {
    let root = fixture("longlived/ca.pem");
    let other = fixture("prod/ca/ca.pem");
    for pair in ["main", "branch"] {
        let leaf = fixture(&format!("longlived/{pair}/signing.pem"));
        assert_eq!(leaf.verify_issued_by(&root), Ok(()));
        assert!(leaf.verify_issued_by(&other).is_err());
        assert!(leaf.verify_issued_by(&leaf).is_err());
    }
}

#[test]
fn a_root_is_not_replaced_by_one_of_the_same_name() {
    let leaf = fixture("prod/gha/signing.pem");
    let rotated = fixture("prod/ca/ca-epoch2.pem");
    assert!(matches!(
        leaf.verify_issued_by(&rotated),
        Err(ChainError::Signature(_))
    ));
}

#[test]
fn flipping_any_bit_of_a_leaf_is_refused() {
    let root = fixture("prod/ca/ca.pem");
    let leaf = fixture("prod/gha/signing.pem");
    for position in 0..leaf.der().len() {
        for bit in 0..8 {
            let mut der = leaf.der().to_vec();
            der[position] ^= 1 << bit;
            let accepted =
                Certificate::from_der(&der).is_ok_and(|c| c.verify_issued_by(&root).is_ok());
            assert!(!accepted, "bit {bit} of byte {position}");
        }
    }
}

#[test]
fn truncating_or_extending_a_certificate_is_refused() {
    let der = fixture("prod/gha/signing.pem").der().to_vec();
    for length in 0..der.len() {
        assert!(Certificate::from_der(&der[..length]).is_err());
    }
    assert!(Certificate::from_der(&[&der[..], &[0]].concat()).is_err());
    let huge = vec![0x30; 16 * 1024 + 1];
    assert!(matches!(
        Certificate::from_der(&huge),
        Err(CertificateError::TooLong)
    ));
}

#[test]
fn the_reference_vectors_read_as_written() {
    let vectors: Value = serde_json::from_slice(&testdata::bytes("vectors/vectors.json")).unwrap();
    let expected = &vectors["certificates"];
    let root = read("vectors/ca.pem");
    assert_eq!(root.kid().to_string(), expected["ca_kid"]);
    assert_eq!(root.path_len(), Some(1));
    assert!(root.is_ca() && root.has_key_cert_sign());
    assert_eq!(root.subject_text(), "CN=signet-authority,O=notme");
    for name in ["ca", "mtls", "signing"] {
        let certificate = read(&format!("vectors/{name}.pem"));
        assert_eq!(
            hex::encode(&certificate.sha256()),
            expected["der_sha256"][name]
        );
        assert_eq!(
            hex::encode(certificate.public_key().spki_der()),
            expected["spki"][name]
        );
        assert_eq!(certificate.verify_issued_by(&root), Ok(()));
        assert_eq!(
            hex::decode(expected["serials"][name].as_str().unwrap()).unwrap(),
            certificate.serial()
        );
    }
    let signing = read("vectors/signing.pem");
    assert_eq!(signing.not_before().secs(), expected["not_before"]);
    assert_eq!(signing.not_after().secs(), expected["not_after"]);
    assert_eq!(signing.subject_claim(), expected["subject"].as_str());
    assert_eq!(signing.auth_method(), Some("gha-oidc"));
    assert_eq!(signing.epoch(), Some(1));
    assert_eq!(
        signing.issued_at().unwrap().secs() * 1000 + 456,
        expected["issued_at_millis"]
    );
    assert_eq!(signing.payload_digest(), None);
}

#[test]
fn proofs_of_possession_of_the_reference_verify() {
    use notme_core::{
        base64,
        key::{Hash, PublicKey, sha256},
    };
    let vectors: Value = serde_json::from_slice(&testdata::bytes("vectors/vectors.json")).unwrap();
    for vector in vectors["proof_of_possession"].as_array().unwrap() {
        let field = |name: &str| vector[name].as_str().unwrap();
        let key = |name| PublicKey::from_spki_der(&hex::decode(field(name)).unwrap()).unwrap();
        let (mtls, signing) = (key("mtls_spki"), key("signing_spki"));
        let mut preimage = [mtls.spki_der(), signing.spki_der()].concat();
        if let Some(token) = vector["token"].as_str() {
            preimage.extend(sha256(token.as_bytes()));
        }
        assert_eq!(hex::encode(&sha256(&preimage)), field("preimage_sha256"));
        let decode = |name| base64::decode_any(field(name)).unwrap();
        assert!(
            signing
                .verify(Hash::Sha512, &preimage, &decode("ed25519"))
                .is_ok()
        );
        assert!(mtls.verify_p256_fixed(&preimage, &decode("es256")).is_ok());
        assert!(mtls.verify_p256_fixed(b"other", &decode("es256")).is_err());
    }
}

#[test]
fn a_bundle_is_read_with_and_without_its_final_newline() {
    let text = testdata::text("notme-authority/prod/ca/ca.pem");
    assert!(!text.ends_with('\n'));
    let both = format!(
        "{text}\n{}\n",
        testdata::text("notme-authority/prod/ca/ca-epoch2.pem")
    );
    assert_eq!(Certificate::pem_bundle(&text).unwrap().len(), 1);
    assert_eq!(Certificate::pem_bundle(&both).unwrap().len(), 2);
    assert!(Certificate::from_pem(&both).is_err());
    assert!(Certificate::pem_bundle("").is_err());
}

#[test]
fn every_pem_below_the_fixtures_is_read_or_is_no_certificate() {
    let mut seen = 0;
    let mut folders = vec![testdata::path("notme-authority")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "pem") {
                let text = fs::read_to_string(&path).unwrap();
                if text.contains("BEGIN CERTIFICATE") {
                    Certificate::pem_bundle(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
                    seen += 1;
                }
            }
        }
    }
    assert!(seen >= 20, "{seen} certificates");
}
