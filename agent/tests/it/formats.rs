//! SSH and OpenPGP signatures over our own socket.

use notme_core::{
    frame::{ArmoredAnswer, Basis, CredentialsAnswer, Refusal, Request, SignatureKind},
    key::sha256,
    openpgp::{ArmorKind, Certification, KeyBlock, Signature, dearmor},
    ssh::{Certificate, HashAlgorithm, Key, Prehash, SshSig},
};

use crate::world::{World, commit};

const FORMATS: [SignatureKind; 2] = [SignatureKind::Ssh, SignatureKind::OpenPgp];

/// Checks an SSH signature and returns its certificate.
fn ssh(answer: &ArmoredAnswer, payload: &[u8]) -> Certificate {
    let signature = SshSig::from_armor(answer.signature.as_bytes()).unwrap();
    let message = Prehash::of(HashAlgorithm::Sha512, payload);
    signature.verify("git", &message).unwrap();
    assert_eq!(signature.key().to_text(), answer.certificate);
    signature.key().certificate().unwrap().clone()
}

/// Checks an OpenPGP signature and returns what the authority says of its key.
fn openpgp(world: &World, answer: &ArmoredAnswer, payload: &[u8]) -> Certification {
    let packet = dearmor(ArmorKind::Signature, answer.signature.as_bytes()).unwrap();
    let signature = Signature::from_bytes(&packet).unwrap();
    let block = KeyBlock::from_armor(&answer.certificate).unwrap();
    let (user_id, key) = (&block.user_ids()[0], block.primary());
    signature.over(payload).unwrap().verify(key).unwrap();
    let authority = &world.trust().openpgp[0].certificate;
    Certification::verify(&user_id.signatures()[1], authority, key, user_id).unwrap()
}

fn credentials(world: &World, key: &str) -> Result<CredentialsAnswer, Refusal> {
    let key = key.to_owned();
    world.connect().call(&Request::Credentials { key }, b"")
}

#[test]
fn an_ssh_signature_carries_a_certificate_issued_for_these_bytes() {
    let world = World::new();
    let answer = world
        .sign_armored("claude", SignatureKind::Ssh, &commit())
        .unwrap();
    let certificate = ssh(&answer, &commit());
    assert_eq!(answer.basis, Basis::IssuanceBound);
    assert_eq!(answer.notice, None);
    assert_eq!(certificate.payload_digest(), Some(sha256(&commit())));
    assert_eq!(
        certificate.key_id(),
        "wimse://agents.test/agent/alice/claude"
    );
    assert_eq!(*certificate.authority(), world.trust().ssh_ca[0].public_key);
}

#[test]
fn an_openpgp_signature_comes_with_a_key_certified_for_these_bytes() {
    let world = World::new();
    let answer = world
        .sign_armored("claude", SignatureKind::OpenPgp, &commit())
        .unwrap();
    let said = openpgp(&world, &answer, &commit());
    assert_eq!(answer.basis, Basis::IssuanceBound);
    assert_eq!(said.payload_sha256(), Some(sha256(&commit())));
    assert_eq!(
        said.identity().as_str(),
        "wimse://agents.test/agent/alice/claude"
    );
}

#[test]
fn one_session_signs_in_every_format_with_one_key() {
    let world = World::new();
    let x509 = world.sign("claude", &commit()).unwrap();
    let leaf = crate::world::verified_leaf(&x509, &commit());
    for format in FORMATS {
        world.sign_armored("claude", format, &commit()).unwrap();
    }
    let answer = world
        .sign_armored(&leaf.kid().to_string(), SignatureKind::Ssh, &commit())
        .unwrap();
    let certificate = ssh(&answer, &commit());
    assert_eq!(certificate.x509_kid(), Some(leaf.kid()));
    assert_eq!(certificate.public_key().kid(), leaf.kid());
}

#[test]
fn the_profile_of_cms_does_not_matter_to_the_other_formats() {
    let world = World::new();
    world.configure("claude", notme_agent::Profile::Interop);
    let answer = world
        .sign_armored("claude", SignatureKind::Ssh, &commit())
        .unwrap();
    // Found by the id of either key.
    let kid = ssh(&answer, &commit()).public_key().kid().to_string();
    world
        .sign_armored(&kid, SignatureKind::OpenPgp, &commit())
        .unwrap();
}

#[test]
fn what_is_not_understood_is_signed_in_no_format() {
    let world = World::new();
    for format in FORMATS {
        for payload in ["", "anything", "SSHSIG", "-----BEGIN PGP SIGNATURE-----\n"] {
            let refusal = world
                .sign_armored("claude", format, payload.as_bytes())
                .unwrap_err();
            assert_eq!(refusal.code, "payload-not-understood", "{payload}");
        }
    }
    assert_eq!(world.session().kid, None);
}

#[test]
fn without_the_authority_the_session_certificate_has_to_do() {
    let mut world = World::new();
    let trust = world.trust();
    world
        .sign_armored("claude", SignatureKind::Ssh, &commit())
        .unwrap();
    world.stop_authority();
    let answer = world
        .sign_armored("claude", SignatureKind::Ssh, &commit())
        .unwrap();
    let certificate = ssh(&answer, &commit());
    assert_eq!(certificate.payload_digest(), None);
    assert_eq!(*certificate.authority(), trust.ssh_ca[0].public_key);
    assert_eq!(answer.basis, Basis::Declared);
    assert!(answer.notice.unwrap().contains("declared"));

    let answer = world
        .sign_armored("claude", SignatureKind::OpenPgp, &commit())
        .unwrap();
    assert_eq!(answer.basis, Basis::Declared);
    let block = KeyBlock::from_armor(&answer.certificate).unwrap();
    let user_id = &block.user_ids()[0];
    let said = Certification::verify(
        &user_id.signatures()[1],
        &trust.openpgp[0].certificate,
        block.primary(),
        user_id,
    )
    .unwrap();
    assert_eq!(said.payload_sha256(), None);
}

#[test]
fn credentials_open_the_session_and_hold_every_certificate() {
    let world = World::new();
    assert_eq!(world.session().kid, None);
    let answer = credentials(&world, "claude").unwrap();
    assert_eq!(
        answer.identity.as_str(),
        "wimse://agents.test/agent/alice/claude"
    );
    assert_eq!(answer.scopes, ["bridgeCert", "sign:git"]);
    assert_eq!(Some(answer.not_after), world.session().not_after);
    let (key, _) = Key::from_text(&answer.ssh.unwrap()).unwrap();
    assert_eq!(Some(key.public_key().kid()), world.session().kid);
    let block = KeyBlock::from_armor(&answer.openpgp.unwrap()).unwrap();
    assert_eq!(
        block.user_ids()[0].text(),
        "claude <wimse://agents.test/agent/alice/claude>"
    );
    assert!(answer.x509.starts_with("-----BEGIN CERTIFICATE-----\n"));
    let refusal = credentials(&world, "nobody").unwrap_err();
    assert_eq!(refusal.code, "key-unknown");
}

#[test]
fn a_session_of_other_scopes_is_another_session() {
    let world = World::new();
    credentials(&world, "claude").unwrap();
    let before = world.session().kid;
    world.configure_scopes("claude", &["sign:git", "ssh:login"]);
    let answer = credentials(&world, "claude").unwrap();
    assert_eq!(answer.scopes, ["sign:git", "ssh:login"]);
    assert_ne!(world.session().kid, before);
}

#[test]
fn a_renewed_session_keeps_its_openpgp_key() {
    let world = World::new();
    let fingerprint = || {
        let answer = credentials(&world, "claude").unwrap();
        let block = KeyBlock::from_armor(&answer.openpgp.unwrap()).unwrap();
        block.primary().fingerprint().clone()
    };
    let before = fingerprint();
    world.connect().renew("claude").unwrap();
    assert_eq!(fingerprint(), before);
}
