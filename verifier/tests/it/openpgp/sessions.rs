//! A session key that travels in its own signature.

use notme_core::{
    key::Signer as _,
    openpgp::{ArmorKind, CertifiedKey, KeyBlocks, ToBeSigned, armor, dearmor},
    time::UnixTime,
    trust::{Revocation, RevocationKind, TrustDocument},
};
use notme_testkit::{
    clock::NOW,
    commit::with_signature,
    gnupg::Gnupg,
    openpgp::{OpenPgpAuthority, OpenPgpSession},
};
use notme_verifier::{Code, Judgement, TimeBasis, Trust, openpgp::Person, trust::Authority};
use pgp::{
    packet::{Packet, PacketParser},
    ser::Serialize as _,
};

use crate::{
    flip::assert_no_flip_is_accepted,
    world::{
        assert_accepted, assert_code, authority, floor, judge_by, judge_in, payload, trust_in,
    },
};

fn document() -> TrustDocument {
    let mut document = authority().trust(1, NOW);
    document.openpgp.push(OpenPgpAuthority::new(1).listed());
    document
}

fn trust() -> Trust {
    trust_in(&document())
}

fn bound(session: &OpenPgpSession) -> CertifiedKey {
    OpenPgpAuthority::new(1).certify(session, Some(&payload()))
}

fn commit(session: &OpenPgpSession, key: &CertifiedKey) -> Vec<u8> {
    let payload = payload();
    with_signature(&payload, "gpgsig", &session.sign_armored(key, &payload))
}

fn judge(raw: &[u8]) -> Judgement {
    judge_in(raw, &trust(), NOW)
}

fn judge_declared(raw: &[u8]) -> Judgement {
    judge_by(raw, &floor("declared"), &trust(), NOW)
}

#[test]
fn a_bound_signature_is_accepted_from_the_commit_alone() {
    let session = OpenPgpSession::new();
    let judgement = judge(&commit(&session, &bound(&session)));
    assert_accepted(&judgement);
    assert_eq!(judgement.format().unwrap().as_str(), "openpgp");
    assert_eq!(judgement.identity(), Some(session.identity.as_str()));
    assert_eq!(judgement.authority(), Some("local"));
    assert_eq!(judgement.time_basis(), Some(TimeBasis::IssuanceBound));
    assert_eq!(judgement.judged_at(), Some(NOW));
    assert_eq!(judgement.kid(), Some(session.key.public_key().kid()));
    let listed = OpenPgpAuthority::new(1).listed();
    assert_eq!(judgement.authority_kid(), Some(listed.kid));
    let names = judgement.standing().unwrap().openpgp().unwrap();
    assert_eq!(names.fingerprint, session.subject().fingerprint().unwrap());
}

/// Anybody can list a public key behind their own.
#[test]
fn whoever_claims_a_sessions_key_as_a_subkey_does_not_take_its_signatures() {
    let session = OpenPgpSession::new();
    let key = bound(&session);
    let raw = commit(&session, &key);
    let gpg = Gnupg::new();
    gpg.generate("Eve <eve@example.org>", "ed25519", "sign", "never");
    let mut theirs = dearmor(ArmorKind::PublicKeys, &gpg.export("eve")).unwrap();
    // The same packet, by the tag of a subkey (RFC 9580 section 5.5.1.2).
    let packets = PacketParser::new(key.as_bytes()).map(Result::unwrap);
    for packet in packets.take(1) {
        let Packet::PublicKey(primary) = packet else {
            panic!("a key begins with it");
        };
        let body = primary.to_bytes().unwrap();
        theirs.extend([0xc0 | 14, u8::try_from(body.len()).unwrap()]);
        theirs.extend(body);
    }
    let blocks = KeyBlocks::read(&theirs).unwrap();
    let eve = Person::of(&blocks.keys()[0]).unwrap();
    assert_eq!(eve.keys().len(), 2);
    // The key itself, as it comes along, and without a word of its own.
    let block = KeyBlocks::read(key.as_bytes()).unwrap();
    let whole = Person::of(&block.keys()[0]).unwrap();
    let bare = KeyBlocks::read(&bare_of(&key)).unwrap();
    let bare = Person::of(&bare.keys()[0]).unwrap();
    for person in [eve, whole, bare] {
        let person = Authority::from_people("a-eve", vec![person]);
        let trusted = trust();
        let both = [&[person], trusted.authorities()].concat();
        let judgement = judge_in(&raw, &Trust::new(both, Vec::new()), NOW);
        assert_accepted(&judgement);
        assert_eq!(judgement.identity(), Some(session.identity.as_str()));
        assert_eq!(judgement.time_basis(), Some(TimeBasis::IssuanceBound));
    }
}

/// Returns the first packet of a key.
fn bare_of(key: &CertifiedKey) -> Vec<u8> {
    let packet = PacketParser::new(key.as_bytes()).next().unwrap().unwrap();
    packet.to_bytes().unwrap()
}

#[test]
fn it_is_still_accepted_years_later() {
    let session = OpenPgpSession::new();
    let raw = commit(&session, &bound(&session));
    let later = NOW.plus(5 * 365 * 86_400);
    let mut document = authority().trust(9, later);
    document.openpgp.push(OpenPgpAuthority::new(1).listed());
    assert_accepted(&judge_in(&raw, &trust_in(&document), later));
}

#[test]
fn no_flipped_byte_is_accepted() {
    let session = OpenPgpSession::new();
    let raw = commit(&session, &bound(&session));
    assert_no_flip_is_accepted(&raw, judge);
}

#[test]
fn a_session_certification_is_no_better_than_the_declared_date() {
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(1).certify(&session, None);
    let raw = commit(&session, &key);
    assert_code(&judge(&raw), Code::TimeBasisTooWeak);
    let judgement = judge_declared(&raw);
    assert_accepted(&judgement);
    assert_eq!(judgement.time_basis(), Some(TimeBasis::Declared));
}

#[test]
fn a_certification_for_other_bytes_is_a_mismatch_at_any_floor() {
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(1).certify(&session, Some(b"other bytes"));
    let raw = commit(&session, &key);
    assert_code(&judge(&raw), Code::IssuanceMismatch);
    assert_code(&judge_declared(&raw), Code::IssuanceMismatch);
}

#[test]
fn the_digest_in_the_signature_itself_binds_nothing() {
    // The session writes that one; only the authority's word counts.
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(1).certify(&session, None);
    assert_code(&judge(&commit(&session, &key)), Code::TimeBasisTooWeak);
}

#[test]
fn another_authority_of_the_same_name_is_a_stranger() {
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(2).certify(&session, Some(&payload()));
    let judgement = judge(&commit(&session, &key));
    assert_code(&judgement, Code::SignerUntrusted);
    assert_eq!(judgement.identity(), None);
    let claimed = judgement.claimed().unwrap();
    assert!(claimed.name.contains("claude"));
    // The signature itself holds, which is known.
    assert_eq!(judgement.kid(), Some(session.key.public_key().kid()));
}

#[test]
fn an_altered_payload_is_invalid() {
    let session = OpenPgpSession::new();
    let raw = commit(&session, &bound(&session));
    let text = String::from_utf8(raw).unwrap();
    let altered = text.replace("a change\n", "another change\n");
    let judgement = judge(altered.as_bytes());
    assert_code(&judgement, Code::SignatureInvalid);
    assert_eq!(judgement.kid(), None);
}

#[test]
fn the_window_of_the_certification_counts() {
    let mut session = OpenPgpSession::new();
    session.issued_at = session.not_after.plus(1);
    let late = judge_in(
        &commit(&session, &bound(&session)),
        &trust(),
        NOW.plus(1000),
    );
    assert_code(&late, Code::CertificateExpired);
    session.issued_at = session.not_before.plus(-1);
    assert_code(
        &judge(&commit(&session, &bound(&session))),
        Code::CertificateNotYetValid,
    );
}

#[test]
fn the_end_that_the_key_gives_itself_counts_too() {
    let mut session = OpenPgpSession::new();
    session.expires = NOW.plus(-1);
    assert_code(
        &judge(&commit(&session, &bound(&session))),
        Code::CertificateExpired,
    );
}

#[test]
fn a_session_without_the_scope_may_not_sign() {
    let mut session = OpenPgpSession::new();
    session.scopes = vec!["sign:attestation".to_owned()];
    let judgement = judge(&commit(&session, &bound(&session)));
    assert_code(&judgement, Code::ScopeMissing);
}

#[test]
fn every_way_to_revoke_a_session_reaches_it() {
    let session = OpenPgpSession::new();
    let raw = commit(&session, &bound(&session));
    let kid = session.key.public_key().kid().to_string();
    for (kind, value) in [
        (RevocationKind::Certificate, "07".repeat(16)),
        (RevocationKind::Key, kid),
        (
            RevocationKind::Key,
            OpenPgpAuthority::new(1).listed().kid.to_string(),
        ),
        (RevocationKind::Session, "09".repeat(32)),
        (RevocationKind::Identity, session.identity.to_string()),
        (RevocationKind::Epoch, "1".to_owned()),
    ] {
        let judged = |since: UnixTime| {
            let mut document = document();
            document.revocations.push(Revocation {
                kind,
                value: value.clone(),
                since,
                reason: "test".to_owned(),
            });
            judge_in(&raw, &trust_in(&document), NOW)
        };
        assert_code(&judged(NOW), Code::Revoked);
        assert_accepted(&judged(NOW.plus(1)));
    }
}

#[test]
fn a_retired_key_speaks_for_its_own_time_only() {
    let session = OpenPgpSession::new();
    let raw = commit(&session, &bound(&session));
    let judged = |retired_at| {
        let mut document = authority().trust(1, NOW);
        let mut listed = OpenPgpAuthority::new(1).listed();
        listed.retired_at = Some(retired_at);
        document.openpgp.push(listed);
        judge_in(&raw, &trust_in(&document), NOW)
    };
    assert_accepted(&judged(NOW));
    assert_code(&judged(NOW.plus(-1)), Code::RootRetired);
}

#[test]
fn a_signature_that_names_another_identity_is_refused() {
    let session = OpenPgpSession::new();
    let key = bound(&session);
    let payload = payload();
    let other = "wimse://test.invalid/agent/alice/other".to_owned();
    let signature = ToBeSigned::new(&key, &other.try_into().unwrap(), &payload, NOW)
        .and_then(|unsigned| unsigned.sign(&session.key))
        .and_then(|signature| signature.to_packet())
        .unwrap();
    let armored = armor(ArmorKind::Signature, &signature);
    let judgement = judge(&with_signature(&payload, "gpgsig", &armored));
    assert_code(&judgement, Code::SignatureMalformed);
}

#[test]
fn without_an_openpgp_key_the_authority_vouches_for_nobody() {
    let session = OpenPgpSession::new();
    let raw = commit(&session, &bound(&session));
    let judgement = judge_in(&raw, &crate::world::trust(), NOW);
    assert_code(&judgement, Code::SignerUntrusted);
}

#[test]
fn a_fast_clock_matters_only_where_no_authority_named_the_time() {
    let session = OpenPgpSession::new();
    let fast = |key: &CertifiedKey| {
        let payload = payload();
        let signature = ToBeSigned::new(key, &session.identity, &payload, NOW.plus(61))
            .and_then(|unsigned| unsigned.sign(&session.key))
            .and_then(|signature| signature.to_packet())
            .unwrap();
        let armored = armor(ArmorKind::Signature, &signature);
        with_signature(&payload, "gpgsig", &armored)
    };
    assert_accepted(&judge(&fast(&bound(&session))));
    let key = OpenPgpAuthority::new(1).certify(&session, None);
    let judgement = judge_declared(&fast(&key));
    assert_code(&judgement, Code::CertificateNotYetValid);
}
