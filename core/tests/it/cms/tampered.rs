//! Every byte of a signed commit is load-bearing.

use notme_core::{
    armor,
    certificate::Certificate,
    cms::SignedMessage,
    key::Algorithm,
    object::{HashKind, split_commit},
};
use notme_testkit::commit::with_signature;

use super::support::{PAYLOAD, session, sign, to_ber};

fn accepts(der: &[u8], payload: &[u8], root: &Certificate) -> bool {
    SignedMessage::parse(der).is_ok_and(|message| {
        message.verify(payload).is_ok() && message.signer().verify_issued_by(root).is_ok()
    })
}

fn accepts_commit(raw: &[u8], root: &Certificate) -> bool {
    let Ok(split) = split_commit(raw, HashKind::Sha1) else {
        return false;
    };
    let signature = split.signature().map(armor::dearmor);
    matches!(signature, Some(Ok(der)) if accepts(&der, split.payload(), root))
}

fn refuses_every_bit_flip(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) {
    assert!(accepts(bytes));
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
            changed[at] ^= mask;
            assert!(
                !accepts(&changed),
                "byte {at} of {} ^ {mask:#04x}",
                bytes.len()
            );
            changed[at] ^= mask;
        }
    }
}

#[test]
fn refuses_every_flipped_bit_of_a_signature_and_its_certificate() {
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let (authority, session) = session(algorithm);
        let (_, root) = authority.root(algorithm);
        refuses_every_bit_flip(&sign(&session), |der| accepts(der, PAYLOAD, root));
    }
}

#[test]
fn refuses_every_flipped_bit_of_a_signed_commit() {
    let (authority, session) = session(Algorithm::Ed25519);
    let raw = with_signature(PAYLOAD, "gpgsig", &armor::armor(&sign(&session)));
    let root = authority.ed25519_root();
    refuses_every_bit_flip(&raw, |raw| accepts_commit(raw, root));
}

#[test]
fn refuses_every_truncation_and_every_missing_byte() {
    let (authority, session) = session(Algorithm::Ed25519);
    let root = authority.ed25519_root();
    let der = sign(&session);
    let raw = with_signature(PAYLOAD, "gpgsig", &armor::armor(&der));
    for end in 0..der.len() {
        assert!(!accepts(&der[..end], PAYLOAD, root), "{end}");
        let without = [&der[..end], &der[end + 1..]].concat();
        assert!(!accepts(&without, PAYLOAD, root), "{end}");
    }
    for end in 0..raw.len() {
        assert!(!accepts_commit(&raw[..end], root), "{end}");
        let without = [&raw[..end], &raw[end + 1..]].concat();
        assert!(!accepts_commit(&without, root), "{end}");
    }
}

/// BER has many spellings; none of them says another thing.
#[test]
fn flipped_bits_of_ber_change_at_most_its_spelling() {
    let (authority, session) = session(Algorithm::Ed25519);
    let root = authority.ed25519_root();
    let der = sign(&session);
    let ber = to_ber(&der);
    let mut changed = ber.clone();
    for at in 0..ber.len() {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            if accepts(&changed, PAYLOAD, root) {
                let respelled = notme_core::ber::to_der(&changed).unwrap();
                assert_eq!(respelled, der, "byte {at} bit {bit}");
            }
            changed[at] ^= 1 << bit;
        }
    }
}

#[test]
fn refuses_the_signature_of_another_authority() {
    let (_, session) = session(Algorithm::Ed25519);
    let other = notme_testkit::cast::TestAuthority::new(2);
    assert!(!accepts(&sign(&session), PAYLOAD, other.ed25519_root()));
}
