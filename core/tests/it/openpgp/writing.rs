//! What we write says what it should, and nobody else can have written it.

use notme_core::{
    key::{Signer as _, sha256},
    openpgp::{
        AuthorityKeyTemplate, Certification, KeyBlock, OpenPgpError, SessionKey, Signature,
        ToBeSigned, TrustedKey, build_authority_key, certify,
    },
};
use notme_testkit::{
    clock::NOW,
    keys::{Ed25519Key, P256Key},
    openpgp::{OpenPgpAuthority, OpenPgpSession},
};

const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";

/// A signature and what stands in it.
fn signed() -> (Signature, KeyBlock) {
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(1).certify(&session, Some(PAYLOAD));
    let signature = Signature::from_bytes(&session.sign(&key, PAYLOAD)).unwrap();
    let block = KeyBlock::from_bytes(signature.key_block().unwrap()).unwrap();
    (signature, block)
}

#[test]
fn a_signature_is_verified_from_itself_and_the_authority_alone() {
    let (signature, block) = signed();
    let authority = OpenPgpAuthority::new(1);
    let document = signature.over(PAYLOAD).unwrap();
    document.verify(block.primary()).unwrap();

    let user_id = &block.user_ids()[0];
    let certification = Certification::verify(
        &user_id.signatures()[1],
        authority.certificate(),
        block.primary(),
        user_id,
    )
    .unwrap();
    let session = OpenPgpSession::new();
    assert_eq!(certification.identity(), &session.identity);
    assert_eq!(certification.payload_sha256(), Some(sha256(PAYLOAD)));
    assert_eq!(certification.not_before(), session.not_before);
    assert_eq!(certification.not_after(), session.not_after);
    assert_eq!(certification.issued_at(), NOW);
    assert_eq!(certification.serial(), &session.serial);
    assert_eq!(certification.scopes(), session.scopes);
    assert_eq!(certification.session(), &[9; 32]);
    assert_eq!(certification.epoch(), 1);
    assert_eq!(certification.activity(), None);
    assert_eq!(certification.terms(), session.terms.as_ref());
}

#[test]
fn everything_that_a_signature_says_is_signed() {
    let (signature, block) = signed();
    assert!(signature.is_all_hashed());
    assert_eq!(signature.created(), NOW);
    let identity = OpenPgpSession::new().identity;
    let named: Vec<_> = signature.identities().collect();
    assert_eq!(named, [identity.as_str().as_bytes()]);
    let fingerprint = block.primary().fingerprint();
    assert_eq!(signature.issuer_fingerprints().first(), Some(fingerprint));
    assert_eq!(signature.issuer_key_ids(), [fingerprint.long_id()]);
    assert_eq!(signature.issuer_fingerprints().len(), 1);
}

#[test]
fn the_key_has_notmes_id_and_the_agreed_name() {
    let (_, block) = signed();
    let session = OpenPgpSession::new();
    let key = session.key.public_key();
    assert_eq!(block.primary().kid(), Some(key.kid()));
    assert_eq!(
        block.user_ids()[0].text(),
        "claude <wimse://test.invalid/agent/alice/claude>"
    );
    assert_eq!(
        &session.subject().fingerprint().unwrap(),
        block.primary().fingerprint()
    );
}

#[test]
fn no_altered_byte_verifies() {
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(1).certify(&session, Some(PAYLOAD));
    let packet = session.sign(&key, PAYLOAD);
    for position in 0..packet.len() {
        for mask in [1, 0x80] {
            let mut altered = packet.clone();
            altered[position] ^= mask;
            let verified = Signature::from_bytes(&altered)
                .and_then(|signature| signature.over(PAYLOAD))
                .and_then(|document| document.verify(key.block().primary()));
            assert!(verified.is_err(), "byte {position} ^ {mask}");
        }
    }
}

#[test]
fn another_payload_does_not_verify() {
    let (signature, block) = signed();
    let document = signature.over(b"another").unwrap();
    let error = document.verify(block.primary()).unwrap_err();
    assert_eq!(error.code(), "signature-invalid");
}

#[test]
fn another_authority_with_the_same_word_is_not_the_authority() {
    let (_, block) = signed();
    let user_id = &block.user_ids()[0];
    let other = OpenPgpAuthority::new(2);
    let read = Certification::verify(
        &user_id.signatures()[1],
        other.certificate(),
        block.primary(),
        user_id,
    );
    assert!(matches!(read, Err(OpenPgpError::Issuer)));
    // A self-signature is nobody's word for anybody.
    let own = Certification::verify(
        &user_id.signatures()[0],
        OpenPgpAuthority::new(1).certificate(),
        block.primary(),
        user_id,
    );
    assert!(own.is_err());
}

#[test]
fn the_key_holder_may_sign_the_digest_elsewhere() {
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(1).certify(&session, None);
    let unsigned = ToBeSigned::new(&key, &session.identity, PAYLOAD, NOW).unwrap();
    assert_eq!(unsigned.digest().len(), 32);
    let made = session.key.sign(unsigned.digest()).unwrap();
    let signature = unsigned.clone().assemble(&made).unwrap();
    let document = signature.over(PAYLOAD).unwrap();
    document.verify(key.block().primary()).unwrap();
    assert!(unsigned.assemble(&made[..63]).is_err());
}

#[test]
fn only_ed25519_keys_sign_and_only_their_own() {
    let template = AuthorityKeyTemplate {
        user_id: "x",
        created: NOW,
    };
    let p256 = P256Key::from_seed([1; 32]);
    assert!(matches!(
        build_authority_key(&template, &p256),
        Err(OpenPgpError::NotEd25519)
    ));
    let session = OpenPgpSession::new();
    let stranger = Ed25519Key::from_seed([5; 32]);
    assert!(SessionKey::build(&session.subject(), session.expires, &stranger).is_err());
    let statement = notme_core::openpgp::Statement {
        serial: [1; 16],
        not_before: NOW,
        not_after: NOW.plus(1),
        issued_at: NOW,
        epoch: 1,
        scopes: &[],
        session: [0; 32],
        payload_sha256: None,
        activity: None,
        terms: None,
    };
    let authority = OpenPgpAuthority::new(1);
    let subject = session.subject();
    assert!(certify(&subject, &statement, authority.certificate(), &stranger).is_err());
}

#[test]
fn nothing_is_written_that_ends_before_it_begins() {
    let mut session = OpenPgpSession::new();
    session.expires = session.created;
    let built = SessionKey::build(&session.subject(), session.expires, &session.key);
    assert!(matches!(built, Err(OpenPgpError::Time)));
}

#[test]
fn an_authoritys_key_goes_through_json() {
    let authority = OpenPgpAuthority::new(1);
    let json = serde_json::to_string(authority.certificate()).unwrap();
    let read: TrustedKey = serde_json::from_str(&json).unwrap();
    assert_eq!(&read, authority.certificate());
    assert_eq!(
        read.user_id(),
        "notme authority <https://authority.example>"
    );
}

#[test]
fn a_session_key_is_no_authority() {
    let (_, block) = signed();
    let armored = notme_core::openpgp::armor(
        notme_core::openpgp::ArmorKind::PublicKeys,
        &block.to_bytes().unwrap(),
    );
    assert!(TrustedKey::from_armor(&armored).is_err());
}
