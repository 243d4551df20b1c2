//! Time stamps: ours before openssl, openssl's before us, and everything that is nearly one.

mod foreign;
mod hostile;
mod messages;

use notme_core::{
    key::{Hash, Signer},
    oid,
    profile::{TsaTemplate, build_tsa},
    timestamp::{
        MessageImprint, Stamp, TimeStampError, TimeStampRequest, TimeStampToken, TokenTemplate,
        build_token,
    },
};
use notme_testkit::{cast::TestAuthority, clock::NOW, keys::Ed25519Key, tsa::TestTsa};

/// What is stamped in these tests: a signature's bytes, or whatever.
const MESSAGE: &[u8] = b"some bytes";

fn tsa() -> TestTsa {
    TestTsa::of(&TestAuthority::new(1), 1)
}

fn verify(token: &[u8], tsa: &TestTsa, message: &[u8]) -> Result<Stamp, TimeStampError> {
    TimeStampToken::parse(token)?.verify(tsa.certificate(), message)
}

#[test]
fn verifies_what_it_stamps_over_each_hash() {
    let tsa = tsa();
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let request = TimeStampRequest::new(MessageImprint::of(hash, MESSAGE), &[0xff; 16]);
        let der = tsa.answer(&request, NOW);
        let token = TimeStampToken::parse(&der).unwrap();
        assert!(token.names(tsa.certificate()));
        assert_eq!(token.policy(), oid::NOTME_TIME_STAMP_POLICY);
        assert_eq!(token.serial_hex(), "07".repeat(16));
        assert_eq!(token.der(), der);
        let stamp = token.verify(tsa.certificate(), MESSAGE).unwrap();
        assert_eq!((stamp.at(), stamp.latest()), (NOW, NOW.plus(1)));
    }
}

#[test]
fn verifies_an_ed25519_authority() {
    let authority = TestAuthority::new(1);
    let key = Ed25519Key::from_seed([5; 32]);
    let template = TsaTemplate {
        issuer: authority.ed25519_root(),
        key: key.public_key(),
        common_name: "time stamps",
        serial: [5; 16],
        not_before: NOW,
        not_after: NOW.plus(60),
    };
    let certificate = build_tsa(&template, authority.ed25519_key()).unwrap();
    let request = TimeStampRequest::new(MessageImprint::of(Hash::Sha256, MESSAGE), &[1; 16]);
    let stamped = |at| {
        let template = TokenTemplate {
            certificate: &certificate,
            policy: oid::NOTME_TIME_STAMP_POLICY,
            serial: [1; 16],
            at,
            accuracy_seconds: 0,
        };
        let der = build_token(&template, &request, &key).unwrap();
        TimeStampToken::parse(&der)
            .unwrap()
            .verify(&certificate, MESSAGE)
    };
    assert_eq!(stamped(NOW).unwrap().latest(), NOW);
    assert!(stamped(NOW.plus(60)).is_ok());
    for outside in [NOW.plus(-1), NOW.plus(61)] {
        let error = stamped(outside).unwrap_err();
        assert!(matches!(error, TimeStampError::Outside { at } if at == outside));
    }
}

#[test]
fn stamps_only_with_the_key_of_the_certificate() {
    let (ours, theirs) = (tsa(), TestTsa::of(&TestAuthority::new(2), 2));
    let template = TokenTemplate {
        certificate: theirs.certificate(),
        policy: oid::NOTME_TIME_STAMP_POLICY,
        serial: [1; 16],
        at: NOW,
        accuracy_seconds: 1,
    };
    let request = TimeStampRequest::new(MessageImprint::of(Hash::Sha256, MESSAGE), &[1; 16]);
    let error = build_token(&template, &request, ours.key()).unwrap_err();
    assert!(matches!(error, TimeStampError::Certificate));
}
