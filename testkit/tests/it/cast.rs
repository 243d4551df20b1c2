use notme_core::{cms::SignedMessage, key::Algorithm, trust::TrustDocument};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::{FixedClock, NOW},
    commit::CommitSpec,
};

#[test]
fn leaves_are_issued_by_the_root_of_their_algorithm() {
    let authority = TestAuthority::new(1);
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let session = authority.leaf(&LeafSpec {
            algorithm,
            ..LeafSpec::default()
        });
        let (_, root) = authority.root(algorithm);
        session.certificate().verify_issued_by(root).unwrap();
        assert!(session.certificate().is_valid_at(NOW));
        assert_eq!(
            session.certificate().public_key(),
            session.key().public_key()
        );
    }
}

#[test]
fn authorities_of_different_seeds_are_strangers() {
    let leaf = TestAuthority::new(1).leaf(&LeafSpec::default());
    let stranger = TestAuthority::new(2);
    assert!(
        leaf.certificate()
            .verify_issued_by(stranger.ed25519_root())
            .is_err()
    );
}

#[test]
fn bound_leaves_carry_the_payload_digest() {
    let spec = LeafSpec::bound_to(b"payload");
    let leaf = TestAuthority::new(1).leaf(&spec);
    assert_eq!(leaf.certificate().payload_digest(), spec.payload_digest);
    assert!(spec.payload_digest.is_some());
}

#[test]
fn the_trust_document_verifies_under_either_pin() {
    let authority = TestAuthority::new(1);
    let envelope = authority.trust_document(7, NOW);
    for pin in authority.pins() {
        let verified = TrustDocument::verify(&envelope, &[pin], NOW).unwrap();
        assert_eq!(verified.document().seqno, 7);
    }
}

#[test]
fn the_clock_moves_only_when_told() {
    let clock = FixedClock::default();
    let read = clock.reader();
    assert_eq!(read(), NOW);
    clock.advance(-5);
    assert_eq!(read(), NOW.plus(-5));
}

#[test]
fn both_algorithms_sign_commits_that_verify() {
    let payload = CommitSpec::new(&"0".repeat(40)).payload();
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let spec = LeafSpec {
            algorithm,
            ..LeafSpec::bound_to(&payload)
        };
        let session = TestAuthority::new(1).leaf(&spec);
        let message = SignedMessage::parse(&session.sign_cms(&payload, NOW)).unwrap();
        message.verify(&payload).unwrap();
        assert!(message.verify(b"other").is_err());
    }
}
