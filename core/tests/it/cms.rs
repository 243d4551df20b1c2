//! Detached signatures: ours before foreign judges, foreign ones before us, and everything that
//! is nearly one.

mod foreign;
mod hostile;
pub(crate) mod support;
mod tampered;

use notme_core::{
    armor,
    certificate::Certificate,
    cms::{CmsError, SignedAttributes, SignedMessage, assemble},
    hex,
    key::{Algorithm, Hash},
    time::UnixTime,
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    keys::Ed25519Key,
    testdata,
};

use support::{PAYLOAD, Session, hash_of, read_private_key, session, sign};

#[test]
fn verifies_what_it_assembles() {
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let (authority, session) = session(algorithm);
        let message = SignedMessage::parse(&sign(&session)).unwrap();
        message.verify(PAYLOAD).unwrap();
        assert_eq!(message.signer(), session.certificate());
        assert_eq!(message.certificates().len(), 1);
        assert_eq!(message.signing_time(), Some(NOW));
        assert_eq!(message.hash(), hash_of(algorithm));
        assert!(message.unsigned_attributes().is_empty());
        let (_, root) = authority.root(algorithm);
        message.signer().verify_issued_by(root).unwrap();
    }
}

#[test]
fn refuses_another_payload() {
    let (_, session) = session(Algorithm::Ed25519);
    let message = SignedMessage::parse(&sign(&session)).unwrap();
    for payload in [&b""[..], &PAYLOAD[1..], &[PAYLOAD, b"\n"].concat()] {
        let err = message.verify(payload).unwrap_err();
        assert!(matches!(err, CmsError::DigestMismatch));
        assert_eq!(err.code(), "signature-invalid");
    }
}

/// RFC 8419 and RFC 5754: SHA-512 with Ed25519, parameters absent; RFC 5652 5.1 and 5.3: versions.
#[test]
fn writes_the_one_form() {
    let (_, session) = session(Algorithm::Ed25519);
    let der = sign(&session);
    let text = hex::encode(&der);
    let sha512 = "300b0609608648016503040203";
    // version 1, one digest algorithm, id-data without content
    let opening = format!("020101310d{sha512}300b06092a864886f70d010701a082");
    assert!(text.contains(&opening), "{text}");
    // contentType, signingTime, messageDigest; Ed25519; 64 bytes to the end
    let attributes = "301806092a864886f70d010903310b06092a864886f70d010701\
                      301c06092a864886f70d010905310f170d3236313132303132303030305a\
                      304f06092a864886f70d01090431420440";
    let signer = format!("{sha512}a08189{attributes}");
    assert!(text.contains(&signer), "{text}");
    assert!(
        text[..text.len() - 128].ends_with("300506032b65700440"),
        "{text}"
    );
}

#[test]
fn names_the_hash_of_each_kind_of_key() {
    let (_, session) = session(Algorithm::P256);
    let text = hex::encode(&sign(&session));
    assert!(text.contains("020101310d300b0609608648016503040201"));
    assert!(text.contains("300a06082a8648ce3d040302"));
}

#[test]
fn carries_the_chain_and_tells_the_signer_from_it() {
    let (_, session) = session(Algorithm::Ed25519);
    let other = TestAuthority::new(2).leaf(&LeafSpec {
        seed: 9,
        ..LeafSpec::default()
    });
    let attributes = SignedAttributes::new(Hash::Sha512, PAYLOAD, NOW);
    let signature = session.key().sign(attributes.der()).unwrap();
    let chain = [other.certificate().clone()];
    let der = assemble(&attributes, &signature, session.certificate(), &chain);
    let message = SignedMessage::parse(&der).unwrap();
    message.verify(PAYLOAD).unwrap();
    assert_eq!(message.signer(), session.certificate());
    let carried = [session.certificate().clone(), other.certificate().clone()];
    assert_eq!(message.certificates(), carried);
}

#[test]
fn signs_and_verifies_with_certificates_of_the_real_authority() {
    let folder = "notme-authority/longlived";
    let root = Certificate::from_pem(&testdata::text(&format!("{folder}/ca.pem"))).unwrap();
    for branch in ["main", "branch"] {
        let path = |name| format!("{folder}/{branch}/{name}");
        let leaf = Certificate::from_pem(&testdata::text(&path("signing.pem"))).unwrap();
        let seed = read_private_key(&testdata::text(&path("signing.key")));
        let session = Session::new(Box::new(Ed25519Key::from_seed(seed)), leaf);
        let message = SignedMessage::parse(&sign(&session)).unwrap();
        message.verify(PAYLOAD).unwrap();
        message.signer().verify_issued_by(&root).unwrap();
    }
}

#[test]
fn attributes_cover_their_payload_and_read_back() {
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let attributes = SignedAttributes::new(hash, PAYLOAD, NOW);
        assert!(attributes.covers(PAYLOAD));
        assert!(!attributes.covers(b""));
        let read = SignedAttributes::from_der(attributes.der()).unwrap();
        assert_eq!(read, attributes);
        assert_eq!((read.hash(), read.signing_time()), (hash, NOW));
    }
}

/// RFC 5652 11.3: GeneralizedTime from 2050 on.
#[test]
fn writes_every_time_that_der_can_write_and_the_nearest_to_others() {
    for (time, written, form) in [
        (
            "2049-12-31T23:59:59Z",
            "2049-12-31T23:59:59Z",
            "491231235959Z",
        ),
        (
            "2050-01-01T00:00:00Z",
            "2050-01-01T00:00:00Z",
            "20500101000000Z",
        ),
        (
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "700101000000Z",
        ),
    ] {
        let attributes = SignedAttributes::new(Hash::Sha512, b"", time.parse().unwrap());
        let text = String::from_utf8_lossy(attributes.der()).into_owned();
        assert!(text.contains(form), "{time}");
        assert_eq!(attributes.signing_time().to_string(), written);
        assert_eq!(
            SignedAttributes::from_der(attributes.der()).unwrap(),
            attributes
        );
    }
    for (secs, nearest) in [
        (-1, "1970-01-01T00:00:00Z"),
        (i64::MIN, "1970-01-01T00:00:00Z"),
        (i64::MAX, "9999-12-31T23:59:59Z"),
    ] {
        let attributes = SignedAttributes::new(Hash::Sha512, b"", UnixTime::from_secs(secs));
        assert_eq!(attributes.signing_time().to_string(), nearest);
        assert!(SignedAttributes::from_der(attributes.der()).is_ok());
    }
}

#[test]
fn the_armor_of_a_signature_is_what_git_stores() {
    let (_, session) = session(Algorithm::Ed25519);
    let der = sign(&session);
    let text = armor::armor(&der);
    assert!(text.starts_with("-----BEGIN SIGNED MESSAGE-----\nMII"));
    assert_eq!(armor::dearmor(text.as_bytes()).unwrap(), der);
}
