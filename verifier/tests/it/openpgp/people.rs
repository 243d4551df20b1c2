//! Signatures that gpg made, by keys in the trust store.

use std::{fs, process::Command};

use notme_core::{
    key::Signer as _,
    object::{HashKind, ObjectKind},
    openpgp::{ArmorKind, KeyBlocks, armor, dearmor},
    ssh,
    time::UnixTime,
};
use notme_testkit::{
    clock::NOW,
    commit::{CommitSpec, with_signature},
    gnupg::Gnupg,
    keys::Ed25519Key,
    oracle::oracle,
    repository::{Repository, run},
};
use notme_verifier::{
    Code, Judge, Judgement, Policy, Trust, Verdict,
    explain::{StepResult, explain},
    load::TrustStore,
    openpgp::Person,
    trust::Authority,
};
use pgp::{
    composed::{
        ArmorOptions, DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
        SignedSecretKey,
    },
    crypto::hash::HashAlgorithm,
    packet::{Packet, PacketParser, PacketTrait as _, Subpacket, SubpacketData},
    ser::Serialize as _,
    types::{KeyVersion, Mpi, Password, SignatureBytes},
};

use crate::{
    flip::assert_no_flip_is_accepted,
    world::{TREE, assert_accepted, assert_code},
};

const ALICE: &str = "Alice <alice@example.org>";
const DAY: i64 = 86_400;

/// gpg as it was ten days ago.
fn gpg() -> Gnupg {
    let mut gpg = Gnupg::new();
    gpg.set_time(NOW.plus(-10 * DAY));
    gpg
}

fn authority(name: &str, keys: &[u8]) -> Authority {
    let keys = KeyBlocks::read(keys).unwrap();
    let people = keys
        .keys()
        .iter()
        .map(|block| Person::of(block).unwrap())
        .collect();
    Authority::from_people(name, people)
}

fn trust(keys: &[u8]) -> Trust {
    Trust::new(vec![authority("team", keys)], Vec::new())
}

fn judge(raw: &[u8], trust: &Trust) -> Judgement {
    let policy = Policy::from_trust(trust);
    Judge::new(&policy, trust, NOW).judge_object(ObjectKind::Commit, raw, HashKind::Sha1)
}

fn payload_at(at: UnixTime) -> Vec<u8> {
    let mut spec = CommitSpec::new(TREE);
    spec.at = at;
    spec.payload()
}

/// A commit of a date, signed at that time.
fn commit_at(gpg: &mut Gnupg, key: &str, at: UnixTime) -> Vec<u8> {
    gpg.set_time(at);
    let payload = payload_at(at);
    let signature = String::from_utf8(gpg.sign(key, &payload)).unwrap();
    with_signature(&payload, "gpgsig", &signature)
}

#[test]
fn real_commits_by_every_kind_of_key_are_accepted() {
    for (algorithm, hash) in [
        ("rsa3072", HashKind::Sha1),
        ("ed25519", HashKind::Sha1),
        ("nistp256", HashKind::Sha1),
        ("nistp384", HashKind::Sha256),
        ("nistp521", HashKind::Sha1),
    ] {
        let gpg = gpg();
        let fingerprint = gpg.generate(ALICE, algorithm, "sign", "never");
        let mut repository = match hash {
            HashKind::Sha1 => Repository::new(),
            HashKind::Sha256 => Repository::sha256(),
        };
        repository.set_env("GNUPGHOME", gpg.path());
        gpg.configure(&format!("faked-system-time {}!\n", NOW.secs()));
        let signing_key = format!("user.signingkey={fingerprint}");
        let program = format!("gpg.program={}", oracle("gpg").display());
        repository.git_ok(&[
            "-c",
            "gpg.format=openpgp",
            "-c",
            &program,
            "-c",
            &signing_key,
            "commit",
            "--allow-empty",
            "-S",
            "-m",
            "a change",
        ]);
        let raw = repository.git(&["cat-file", "commit", "HEAD"]).stdout;
        let trust = trust(&gpg.export(ALICE));
        let policy = Policy::from_trust(&trust);
        let judgement =
            Judge::new(&policy, &trust, NOW).judge_object(ObjectKind::Commit, &raw, hash);
        assert_accepted(&judgement);
        assert_eq!(judgement.identity(), Some("mailto:alice@example.org"));
        assert_eq!(judgement.authority(), Some("team"));
        let names = judgement.standing().unwrap().openpgp().unwrap();
        assert_eq!(names.fingerprint.to_string(), fingerprint);
        assert_eq!(&*names.user_id, ALICE);
    }
}

#[test]
fn a_signature_that_names_one_of_several_user_ids_is_of_that_one() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    gpg.ok(
        &[
            "--quick-add-uid",
            &fingerprint,
            "Alice <alice@work.example>",
        ],
        b"",
    );
    let keys = gpg.export(&fingerprint);
    let named = commit_at(&mut gpg, "alice@work.example", NOW);
    assert_eq!(
        judge(&named, &trust(&keys)).identity(),
        Some("mailto:alice@work.example")
    );
}

#[test]
fn a_key_in_nobodys_hands_is_a_stranger() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "ed25519", "sign", "never");
    gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    let raw = commit_at(&mut gpg, "bob@example.org", NOW);
    let judgement = judge(&raw, &trust(&gpg.export("alice@example.org")));
    assert_code(&judgement, Code::SignerUntrusted);
    assert_eq!(judgement.kid(), None);
}

#[test]
fn an_expired_key_holds_for_what_it_signed_before() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "ed25519", "sign", "5d");
    let keys = trust(&gpg.export(ALICE));
    let alive = commit_at(&mut gpg, ALICE, NOW.plus(-6 * DAY));
    assert_accepted(&judge(&alive, &keys));

    // gpg itself refuses to sign with an expired key: the date of the commit is what lies.
    let mut late = Gnupg::new();
    late.set_time(NOW.plus(-10 * DAY));
    gpg.set_time(NOW.plus(-6 * DAY));
    let payload = payload_at(NOW);
    let signature = String::from_utf8(gpg.sign(ALICE, &payload)).unwrap();
    let raw = with_signature(&payload, "gpgsig", &signature);
    assert_code(&judge(&raw, &keys), Code::CertificateExpired);
}

#[test]
fn a_key_that_is_younger_than_the_commit_did_not_sign_it() {
    let mut gpg = gpg();
    gpg.set_time(NOW.plus(-DAY));
    gpg.generate(ALICE, "ed25519", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    let payload = payload_at(NOW.plus(-2 * DAY));
    let signature = String::from_utf8(gpg.sign(ALICE, &payload)).unwrap();
    let raw = with_signature(&payload, "gpgsig", &signature);
    assert_code(&judge(&raw, &keys), Code::CertificateNotYetValid);
}

#[test]
fn the_newest_word_on_the_end_of_a_key_counts() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "2d");
    let short = trust(&gpg.export(ALICE));
    gpg.set_time(NOW.plus(-9 * DAY));
    gpg.ok(&["--quick-set-expire", &fingerprint, "30d"], b"");
    let extended = trust(&gpg.export(ALICE));
    let raw = commit_at(&mut gpg, ALICE, NOW);
    assert_code(&judge(&raw, &short), Code::CertificateExpired);
    assert_accepted(&judge(&raw, &extended));
}

#[test]
fn a_subkey_that_ended_holds_for_what_it_signed_before() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "cert", "never");
    gpg.ok(
        &["--quick-add-key", &fingerprint, "ed25519", "sign", "3d"],
        b"",
    );
    let keys = trust(&gpg.export(ALICE));
    let subkey = gpg.fingerprints(ALICE).swap_remove(1);
    let alive = commit_at(&mut gpg, ALICE, NOW.plus(-8 * DAY));
    let judgement = judge(&alive, &keys);
    assert_accepted(&judgement);
    let names = judgement.standing().unwrap().openpgp().unwrap();
    assert_eq!(names.fingerprint.to_string(), subkey);
    assert_eq!(names.primary.to_string(), fingerprint);

    gpg.set_time(NOW.plus(-8 * DAY));
    let payload = payload_at(NOW);
    let signature = String::from_utf8(gpg.sign(ALICE, &payload)).unwrap();
    let raw = with_signature(&payload, "gpgsig", &signature);
    assert_code(&judge(&raw, &keys), Code::CertificateExpired);
}

/// Has the owner of a key revoke it for one of gpg's reasons.
fn revoke(gpg: &Gnupg, fingerprint: &str, reason: &str) {
    let answers = format!("y\n{reason}\n\ny\n");
    let revocation = gpg.ok(
        &["--no-batch", "--command-fd=0", "--gen-revoke", fingerprint],
        answers.as_bytes(),
    );
    gpg.ok(&["--import"], &revocation);
}

#[test]
fn a_revocation_counts_in_whichever_file_it_is() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let commit = commit_at(&mut gpg, ALICE, NOW.plus(-DAY));
    let old = authority("old", &gpg.export(ALICE));
    gpg.set_time(NOW.plus(-3 * DAY));
    revoke(&gpg, &fingerprint, "3");
    let new = authority("team", &gpg.export(ALICE));
    let judge = |authorities| judge(&commit, &Trust::new(authorities, Vec::new()));
    assert_accepted(&judge(vec![old.clone()]));
    assert_code(&judge(vec![old, new]), Code::Revoked);
}

#[test]
fn a_compromised_key_never_signed_and_a_retired_one_did_until_then() {
    for (reason, before, after) in [
        ("1", Some(Code::Revoked), Code::Revoked),
        ("3", None, Code::Revoked),
    ] {
        let mut gpg = gpg();
        let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
        let early = commit_at(&mut gpg, ALICE, NOW.plus(-5 * DAY));
        let late = commit_at(&mut gpg, ALICE, NOW.plus(-DAY));
        gpg.set_time(NOW.plus(-3 * DAY));
        revoke(&gpg, &fingerprint, reason);
        let keys = trust(&gpg.export(ALICE));
        let found = judge(&early, &keys).verdict().code();
        assert_eq!(found, before, "reason {reason}");
        assert_code(&judge(&late, &keys), after);
    }
}

#[test]
fn a_revoked_subkey_takes_only_itself_back() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    gpg.ok(
        &["--quick-add-key", &fingerprint, "ed25519", "sign", "never"],
        b"",
    );
    let subkey = gpg.fingerprints(ALICE).swap_remove(1);
    let by_subkey = commit_at(&mut gpg, &format!("{subkey}!"), NOW.plus(-5 * DAY));
    let by_primary = commit_at(&mut gpg, &format!("{fingerprint}!"), NOW.plus(-5 * DAY));
    let keys = trust(&gpg.export(ALICE));
    assert_accepted(&judge(&by_subkey, &keys));
    assert_accepted(&judge(&by_primary, &keys));
    gpg.set_time(NOW.plus(-3 * DAY));
    gpg.ok(
        &["--no-batch", "--command-fd=0", "--edit-key", &fingerprint],
        b"key 1\nrevkey\ny\n1\n\ny\nsave\n",
    );
    let keys = trust(&gpg.export(ALICE));
    assert_code(&judge(&by_subkey, &keys), Code::Revoked);
    assert_accepted(&judge(&by_primary, &keys));
}

#[test]
fn a_revoked_user_id_names_nobody() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let work = "Alice <alice@work.example>";
    gpg.ok(&["--quick-add-uid", &fingerprint, work], b"");
    let raw = commit_at(&mut gpg, "alice@work.example", NOW.plus(-5 * DAY));
    gpg.set_time(NOW.plus(-3 * DAY));
    gpg.ok(&["--quick-revoke-uid", &fingerprint, work], b"");
    let keys = trust(&gpg.export(&fingerprint));
    assert_eq!(
        judge(&raw, &keys).identity(),
        Some("mailto:alice@example.org")
    );
}

#[test]
fn a_subkey_that_did_not_accept_its_key_may_not_sign() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "cert", "never");
    gpg.ok(
        &["--quick-add-key", &fingerprint, "ed25519", "sign", "never"],
        b"",
    );
    let raw = commit_at(&mut gpg, ALICE, NOW);
    let keys = gpg.ok(&["--export", &fingerprint], b"");
    assert_accepted(&judge(&raw, &trust(&keys)));
    let without = without_back_signatures(&keys);
    assert_ne!(without, keys);
    assert_code(&judge(&raw, &trust(&without)), Code::CertificateInvalid);
}

/// Takes the embedded signatures out of bindings: they are in the part that nobody signed.
fn without_back_signatures(keys: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for packet in PacketParser::new(keys) {
        let mut packet = packet.unwrap();
        if let Packet::Signature(signature) = &mut packet {
            let is_back =
                |data: &SubpacketData| matches!(data, SubpacketData::EmbeddedSignature(_));
            let parts = &signature.config().unwrap().unhashed_subpackets;
            if let Some(at) = parts.iter().position(|part| is_back(&part.data)) {
                signature.unhashed_subpacket_remove(at).unwrap();
            }
        }
        packet.to_writer(&mut out).unwrap();
    }
    out
}

#[test]
fn a_key_whose_own_word_is_sha_1_is_weak() {
    let mut gpg = gpg();
    gpg.configure("cert-digest-algo SHA1\n");
    gpg.generate(ALICE, "rsa2048", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    let raw = commit_at(&mut gpg, ALICE, NOW);
    assert_code(&judge(&raw, &keys), Code::AlgorithmWeak);
}

#[test]
fn a_sha_1_signature_is_weak_whoever_made_it() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "rsa2048", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    gpg.configure("digest-algo SHA1\n");
    let raw = commit_at(&mut gpg, ALICE, NOW);
    assert_code(&judge(&raw, &keys), Code::AlgorithmWeak);
}

#[test]
fn short_rsa_keys_are_weak() {
    let gpg = gpg();
    gpg.generate(ALICE, "rsa1024", "sign", "never");
    let keys = KeyBlocks::read(&gpg.export(ALICE)).unwrap();
    assert!(Person::of(&keys.keys()[0]).is_err());
    // As a subkey it is there, and not used.
    let mut gpg = self::gpg();
    let fingerprint = gpg.generate("Bob <bob@example.org>", "ed25519", "cert", "never");
    gpg.ok(
        &["--quick-add-key", &fingerprint, "rsa1024", "sign", "never"],
        b"",
    );
    let keys = trust(&gpg.export(&fingerprint));
    let raw = commit_at(&mut gpg, &fingerprint, NOW);
    assert_ne!(judge(&raw, &keys).verdict(), Verdict::Accepted);
}

#[test]
fn another_payload_is_invalid() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "ed25519", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    let raw = String::from_utf8(commit_at(&mut gpg, ALICE, NOW)).unwrap();
    let altered = raw.replace("a change\n", "another change\n");
    let judgement = judge(altered.as_bytes(), &keys);
    assert_code(&judgement, Code::SignatureInvalid);
    assert_eq!(judgement.kid(), None);
}

/// Another spelling changes git's id of the object, and nothing that was judged.
#[test]
fn what_stays_open_to_change_is_listed() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "nistp256", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    gpg.set_time(NOW);
    let payload = payload_at(NOW);
    let armored = gpg.sign(ALICE, &payload);
    let packet = dearmor(ArmorKind::Signature, &armored).unwrap();
    let text = String::from_utf8(armored).unwrap();
    let checksum = text.lines().find(|line| line.starts_with('=')).unwrap();
    let body: String = text.lines().filter(|line| !line.contains('-')).collect();
    let body = body.strip_suffix(checksum).unwrap();
    let wrapped = |columns| {
        let lines = body.as_bytes().chunks(columns);
        lines
            .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
            .collect::<String>()
    };
    let around = |body: &str| {
        format!("-----BEGIN PGP SIGNATURE-----\n\n{body}-----END PGP SIGNATURE-----\n")
    };
    let again = |packet: &[u8]| armor(ArmorKind::Signature, packet);
    for armored in [
        text.replacen("\n\n", "\nComment: whatever\n\n", 1),
        text.replace('\n', "\r\n"),
        text.replace(&format!("{checksum}\n"), ""),
        around(&wrapped(76)),
        around(&wrapped(4)),
        again(&without_hints(&packet)),
        again(&with_negative_s(&packet)),
    ] {
        assert_ne!(armored, text);
        let raw = with_signature(&payload, "gpgsig", &armored);
        assert_accepted(&judge(&raw, &keys));
    }
    let raw = with_signature(&payload, "gpgsig", &around(&wrapped(77)));
    assert_code(&judge(&raw, &keys), Code::SignatureMalformed);
}

/// Takes everything out of the part that nobody signed.
fn without_hints(packet: &[u8]) -> Vec<u8> {
    let Some(Ok(Packet::Signature(mut signature))) = PacketParser::new(packet).next() else {
        panic!("a signature");
    };
    let hints = signature.config().unwrap().unhashed_subpackets.len();
    assert!(hints > 0);
    for _ in 0..hints {
        signature.unhashed_subpacket_remove(0).unwrap();
    }
    let mut out = Vec::new();
    signature.to_writer_with_header(&mut out).unwrap();
    out
}

/// Puts the group's order minus `s` in place of `s`, with which an ECDSA signature holds as well.
fn with_negative_s(packet: &[u8]) -> Vec<u8> {
    let Some(Ok(Packet::Signature(signature))) = PacketParser::new(packet).next() else {
        panic!("a signature");
    };
    let Some(SignatureBytes::Mpis(numbers)) = signature.signature() else {
        panic!("two numbers");
    };
    let order = notme_core::hex::decode(P256_ORDER).unwrap();
    let mut s = vec![0; 32 - numbers[1].len()];
    s.extend_from_slice(numbers[1].as_ref());
    let mut borrow = 0;
    for (digit, of_order) in s.iter_mut().zip(order).rev() {
        let difference = i16::from(of_order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let numbers = vec![numbers[0].clone(), Mpi::from_slice(&s)];
    let changed = pgp::packet::Signature::from_config(
        signature.config().unwrap().clone(),
        signature.signed_hash_value().unwrap(),
        numbers.into(),
    );
    let mut out = Vec::new();
    changed.unwrap().to_writer_with_header(&mut out).unwrap();
    out
}

const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

#[test]
fn a_text_signature_holds_for_what_gpg_says_it_holds_for() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "ed25519", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    gpg.set_time(NOW);
    let mut payload = payload_at(NOW);
    payload.extend_from_slice(b"\nmore \nlines\n");
    let signature = gpg.ok(&["--textmode", "-bsau", ALICE], &payload);
    gpg.write("signature.asc", &signature);
    let signature = String::from_utf8(signature).unwrap();
    let text = String::from_utf8(payload).unwrap();
    for (variant, holds) in [
        (text.clone(), true),
        (text.replace("more \n", "more \r\n"), true),
        (text.replace("more \n", "more \r"), false),
        (text.replace("more \n", "more\n"), false),
        (text.replace("more \n", "more \n\n"), false),
        (text.replace("lines\n", "lines"), false),
        (text.replace("lines\n", "lines\r"), false),
    ] {
        let verify = ["--verify", "signature.asc", "-"];
        let output = gpg.run(&verify, variant.as_bytes());
        assert_eq!(output.status.success(), holds, "gpg: {variant:?}");
        let raw = with_signature(variant.as_bytes(), "gpgsig", &signature);
        let found = judge(&raw, &keys).verdict();
        assert_eq!(found == Verdict::Accepted, holds, "{found:?}: {variant:?}");
    }
}

#[test]
fn no_flipped_byte_is_accepted() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "ed25519", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    let raw = commit_at(&mut gpg, ALICE, NOW);
    assert_no_flip_is_accepted(&raw, |raw| judge(raw, &keys));
}

#[test]
fn two_signatures_in_one_armor_are_ambiguous() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "ed25519", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    gpg.set_time(NOW);
    let payload = payload_at(NOW);
    let one = dearmor(ArmorKind::Signature, &gpg.sign(ALICE, &payload)).unwrap();
    let two = armor(ArmorKind::Signature, &[&one[..], &one].concat());
    let raw = with_signature(&payload, "gpgsig", &two);
    assert_code(&judge(&raw, &keys), Code::SignatureAmbiguous);
}

#[test]
fn a_signature_that_ended_is_not_accepted() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "ed25519", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    gpg.configure("default-sig-expire 2d\n");
    let ended = commit_at(&mut gpg, ALICE, NOW.plus(-3 * DAY));
    assert_code(&judge(&ended, &keys), Code::CertificateExpired);
    let alive = commit_at(&mut gpg, ALICE, NOW.plus(-DAY));
    assert_accepted(&judge(&alive, &keys));
}

#[test]
fn a_user_id_makes_nobody_an_agent_nor_more_than_an_address() {
    for name in [
        "claude <wimse://test.invalid/agent/alice/claude>",
        "claude <alice@example.org?cc=bob>",
    ] {
        let mut gpg = gpg();
        gpg.ok(
            &[
                "--allow-freeform-uid",
                "--quick-generate-key",
                name,
                "ed25519",
                "sign",
                "never",
            ],
            b"",
        );
        let fingerprint = gpg.fingerprint("claude");
        let keys = trust(&gpg.export(&fingerprint));
        let raw = commit_at(&mut gpg, &fingerprint, NOW);
        let judgement = judge(&raw, &keys);
        assert_accepted(&judgement);
        let expected = format!("openpgp4fpr:{}", fingerprint.to_ascii_lowercase());
        assert_eq!(judgement.identity(), Some(&*expected), "{name}");
    }
}

/// gpg makes no version 6 keys.
#[test]
fn version_6_keys_and_signatures_are_accepted() {
    // The library makes signatures of this very moment.
    let now = UnixTime::from(std::time::SystemTime::now()).max(NOW);
    for (ends, expected) in [
        (None, None),
        (Some(now.plus(DAY)), None),
        (Some(now.plus(-3600)), Some(Code::CertificateExpired)),
    ] {
        let seconds = |at: UnixTime| u32::try_from(at.secs()).unwrap();
        let born = NOW.plus(-DAY);
        let mut builder = SecretKeyParamsBuilder::default();
        builder
            .version(KeyVersion::V6)
            .key_type(KeyType::Ed25519)
            .can_certify(true)
            .can_sign(true)
            .created_at(pgp::types::Timestamp::from_secs(seconds(born)))
            .primary_user_id(ALICE.to_owned());
        let mut random = rand_core_for_pgp();
        let mut secret = builder.build().unwrap().generate(&mut random).unwrap();
        if let Some(ends) = ends {
            end_at(&mut secret, seconds(ends) - seconds(born));
        }
        let public = SignedPublicKey::from(secret.clone());
        let keys = trust(&public.to_armored_bytes(ArmorOptions::default()).unwrap());
        let payload = payload_at(NOW);
        let signature = DetachedSignature::sign_binary_data(
            &mut random,
            &secret.primary_key,
            &Password::empty(),
            HashAlgorithm::Sha512,
            &payload[..],
        )
        .unwrap();
        let armored = signature
            .to_armored_string(ArmorOptions::default())
            .unwrap();
        let raw = with_signature(&payload, "gpgsig", &armored);
        let policy = Policy::from_trust(&keys);
        let judgement =
            Judge::new(&policy, &keys, now).judge_object(ObjectKind::Commit, &raw, HashKind::Sha1);
        assert_eq!(judgement.verdict().code(), expected, "{ends:?}");
        assert_eq!(judgement.identity(), Some("mailto:alice@example.org"));
    }
}

/// Gives a version 6 key an end, where they have it: in the signature on the key itself, while
/// those on its names say nothing of it.
fn end_at(secret: &mut SignedSecretKey, lifetime: u32) {
    let [own] = secret.details.direct_signatures.as_mut_slice() else {
        panic!("one direct signature");
    };
    let mut config = own.config().unwrap().clone();
    let lifetime = pgp::types::Duration::from_secs(lifetime);
    let part = Subpacket::regular(SubpacketData::KeyExpirationTime(lifetime));
    config.hashed_subpackets.push(part.unwrap());
    let key = &secret.primary_key;
    let made = config.sign_key(key, &Password::empty(), key.public_key());
    *own = made.unwrap();
}

fn rand_core_for_pgp() -> impl rand_core::CryptoRng + rand_core::RngCore {
    rand_core::OsRng
}

/// Has the owner of a key revoke its first subkey as compromised.
fn revoke_subkey(gpg: &Gnupg, fingerprint: &str) {
    let edit = ["--no-batch", "--command-fd=0", "--edit-key", fingerprint];
    gpg.ok(&edit, b"key 1\nrevkey\ny\n1\n\ny\nsave\n");
}

#[test]
fn a_revocation_by_a_hash_that_we_do_not_check_is_not_overlooked() {
    for (hash, code) in [
        ("SHA1", Code::AlgorithmWeak),
        ("SHA224", Code::AlgorithmUnsupported),
    ] {
        for of_subkey in [false, true] {
            let mut gpg = gpg();
            let fingerprint = gpg.generate(ALICE, "rsa2048", "sign", "never");
            let quick = ["--quick-add-key", &fingerprint, "rsa2048", "sign", "never"];
            gpg.ok(&quick, b"");
            let by_subkey = commit_at(&mut gpg, ALICE, NOW.plus(-5 * DAY));
            let by_primary = commit_at(&mut gpg, &format!("{fingerprint}!"), NOW.plus(-5 * DAY));
            assert_accepted(&judge(&by_subkey, &trust(&gpg.export(ALICE))));
            gpg.set_time(NOW.plus(-3 * DAY));
            gpg.configure(&format!("cert-digest-algo {hash}\n"));
            match of_subkey {
                false => revoke(&gpg, &fingerprint, "1"),
                true => revoke_subkey(&gpg, &fingerprint),
            }
            let keys = trust(&gpg.export(ALICE));
            assert_code(&judge(&by_subkey, &keys), code);
            match of_subkey {
                false => assert_code(&judge(&by_primary, &keys), code),
                true => assert_accepted(&judge(&by_primary, &keys)),
            }
        }
    }
}

#[test]
fn a_name_that_was_taken_back_by_a_weak_hash_names_nobody() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "rsa2048", "sign", "never");
    let work = "Alice <alice@work.example>";
    gpg.ok(&["--quick-add-uid", &fingerprint, work], b"");
    let raw = commit_at(&mut gpg, "alice@work.example", NOW.plus(-5 * DAY));
    gpg.set_time(NOW.plus(-3 * DAY));
    gpg.configure("cert-digest-algo SHA1\n");
    gpg.ok(&["--quick-revoke-uid", &fingerprint, work], b"");
    let keys = trust(&gpg.export(&fingerprint));
    assert_eq!(
        judge(&raw, &keys).identity(),
        Some("mailto:alice@example.org")
    );
}

#[test]
fn a_revocation_behind_the_rest_of_the_file_counts() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let quick = ["--quick-add-key", &fingerprint, "ed25519", "sign", "never"];
    gpg.ok(&quick, b"");
    let raw = commit_at(&mut gpg, ALICE, NOW.plus(-5 * DAY));
    let keys = gpg.ok(&["--export", &fingerprint], b"");
    let words = ["--no-batch", "--command-fd=0", "--gen-revoke", &fingerprint];
    let revocation = gpg.ok(&words, b"y\n1\n\ny\n");
    let revocation = dearmor(ArmorKind::PublicKeys, &revocation).unwrap();
    // Behind the last subkey, and behind one that cannot be read.
    for behind in [&[][..], &[0xce, 6, 5, 0, 0, 0, 0, 99]] {
        let keys = [&keys[..], behind].concat();
        assert_accepted(&judge(&raw, &trust(&keys)));
        let keys = [&keys[..], &revocation].concat();
        assert_code(&judge(&raw, &trust(&keys)), Code::Revoked);
    }
}

#[test]
fn a_revoked_primary_key_takes_its_subkeys_along() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "cert", "never");
    let quick = ["--quick-add-key", &fingerprint, "ed25519", "sign", "never"];
    gpg.ok(&quick, b"");
    let raw = commit_at(&mut gpg, ALICE, NOW.plus(-5 * DAY));
    assert_accepted(&judge(&raw, &trust(&gpg.export(ALICE))));
    gpg.set_time(NOW.plus(-3 * DAY));
    revoke(&gpg, &fingerprint, "1");
    assert_code(&judge(&raw, &trust(&gpg.export(ALICE))), Code::Revoked);
}

#[test]
fn a_word_about_something_else_does_not_lengthen_a_key() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "2d");
    let other = gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    let alive = commit_at(&mut gpg, ALICE, NOW.plus(-9 * DAY));
    // It says who may revoke the key, and nothing of its end.
    let answers = format!("addrevoker\n{other}\ny\nsave\n");
    let edit = ["--no-batch", "--command-fd=0", "--edit-key", &fingerprint];
    gpg.ok(&edit, answers.as_bytes());
    let payload = payload_at(NOW);
    let signature = String::from_utf8(gpg.sign(ALICE, &payload)).unwrap();
    let raw = with_signature(&payload, "gpgsig", &signature);
    let keys = trust(&gpg.export(ALICE));
    assert_accepted(&judge(&alive, &keys));
    assert_code(&judge(&raw, &keys), Code::CertificateExpired);
}

#[test]
fn a_signature_that_calls_itself_younger_than_the_end_of_its_key_is_revoked() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let early = NOW.plus(-5 * DAY);
    let honest = commit_at(&mut gpg, ALICE, early);
    gpg.set_time(NOW.plus(-DAY));
    let signature = String::from_utf8(gpg.sign(ALICE, &payload_at(early))).unwrap();
    let backdated = with_signature(&payload_at(early), "gpgsig", &signature);
    gpg.set_time(NOW.plus(-3 * DAY));
    revoke(&gpg, &fingerprint, "3");
    let keys = trust(&gpg.export(ALICE));
    assert_accepted(&judge(&honest, &keys));
    let judgement = judge(&backdated, &keys);
    assert_code(&judgement, Code::Revoked);
    // The date alone is good.
    let policy = Policy::from_trust(&keys);
    let explanation = explain(&judgement, &Judge::new(&policy, &keys, NOW));
    let results = explanation.steps().iter().map(|step| step.result);
    assert_eq!(
        results.skip(4).take(2).collect::<Vec<_>>(),
        [StepResult::Passed, StepResult::Failed]
    );
}

#[test]
fn a_signature_from_the_future_is_not_accepted_yet() {
    let mut gpg = gpg();
    gpg.generate(ALICE, "ed25519", "sign", "never");
    let keys = trust(&gpg.export(ALICE));
    for (ahead, expected) in [(60, None), (61, Some(Code::CertificateNotYetValid))] {
        gpg.set_time(NOW.plus(ahead));
        let signature = String::from_utf8(gpg.sign(ALICE, &payload_at(NOW))).unwrap();
        let raw = with_signature(&payload_at(NOW), "gpgsig", &signature);
        assert_eq!(judge(&raw, &keys).verdict().code(), expected);
    }
}

#[test]
fn whoever_claims_anothers_subkey_does_not_take_its_signatures() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "cert", "never");
    let quick = ["--quick-add-key", &fingerprint, "ed25519", "sign", "never"];
    gpg.ok(&quick, b"");
    let raw = commit_at(&mut gpg, ALICE, NOW);
    gpg.generate("Eve <eve@example.org>", "ed25519", "sign", "never");
    let (alice, eve) = (gpg.ok(&["--export", ALICE], b""), gpg.export("eve"));
    // The subkey and its binding, which is not Eve's to make, behind Eve's key.
    let mut theirs = dearmor(ArmorKind::PublicKeys, &eve).unwrap();
    let subkey = PacketParser::new(alice.as_slice())
        .map(Result::unwrap)
        .skip_while(|packet| !matches!(packet, Packet::PublicSubkey(_)));
    for packet in subkey {
        packet.to_writer(&mut theirs).unwrap();
    }
    let (alice, eve) = (authority("alice", &alice), authority("a-eve", &theirs));
    let alone = judge(&raw, &Trust::new(vec![eve.clone()], Vec::new()));
    assert_code(&alone, Code::SignerUntrusted);
    let both = judge(&raw, &Trust::new(vec![eve, alice], Vec::new()));
    assert_accepted(&both);
    assert_eq!(both.identity(), Some("mailto:alice@example.org"));
}

#[test]
fn what_a_key_says_of_itself_is_no_signature_over_a_commit() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let quick = ["--quick-add-key", &fingerprint, "ed25519", "sign", "never"];
    gpg.ok(&quick, b"");
    revoke(&gpg, &fingerprint, "3");
    gpg.set_time(NOW);
    let keys = gpg.ok(&["--export", ALICE], b"");
    let payload = payload_at(NOW);
    let mut kinds = Vec::new();
    for packet in PacketParser::new(keys.as_slice()) {
        let Packet::Signature(signature) = packet.unwrap() else {
            continue;
        };
        kinds.push(u8::from(signature.typ().unwrap()));
        let mut bytes = Vec::new();
        signature.to_writer_with_header(&mut bytes).unwrap();
        let armored = armor(ArmorKind::Signature, &bytes);
        let raw = with_signature(&payload, "gpgsig", &armored);
        assert_code(&judge(&raw, &trust(&keys)), Code::SignatureMalformed);
    }
    kinds.sort_unstable();
    assert_eq!(kinds, [0x13, 0x18, 0x20]);
}

/// Every way in which two copies of one key can stand in a trust store.
fn arrangements(one: &[u8], other: &[u8]) -> Vec<Trust> {
    let bytes = |text: &[u8]| dearmor(ArmorKind::PublicKeys, text).unwrap();
    let (one, other) = (bytes(one), bytes(other));
    let orders = [[&one, &other], [&other, &one]];
    let mut arrangements = Vec::new();
    for [first, second] in orders {
        arrangements.push(trust(&[&first[..], second].concat()));
        let keyrings = vec![authority("a", first), authority("b", second)];
        arrangements.push(Trust::new(keyrings, Vec::new()));
    }
    arrangements
}

#[test]
fn an_end_counts_in_whichever_copy_of_the_key_it_is() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "cert", "never");
    let quick = ["--quick-add-key", &fingerprint, "ed25519", "sign", "never"];
    gpg.ok(&quick, b"");
    let alive = commit_at(&mut gpg, ALICE, NOW.plus(-9 * DAY));
    let late = commit_at(&mut gpg, ALICE, NOW.plus(-DAY));
    let old = gpg.export(ALICE);
    for subkeys in [&[][..], &["*"]] {
        gpg.set_time(NOW.plus(-8 * DAY));
        let end = ["--quick-set-expire", &fingerprint, "2d"];
        gpg.ok(&[&end[..], subkeys].concat(), b"");
        for trust in arrangements(&old, &gpg.export(ALICE)) {
            assert_accepted(&judge(&alive, &trust));
            assert_code(&judge(&late, &trust), Code::CertificateExpired);
        }
        // And who lengthens it again does so for all copies.
        gpg.set_time(NOW.plus(-7 * DAY));
        let end = ["--quick-set-expire", &fingerprint, "never"];
        gpg.ok(&[&end[..], subkeys].concat(), b"");
        for trust in arrangements(&old, &gpg.export(ALICE)) {
            assert_accepted(&judge(&late, &trust));
        }
    }
}

#[test]
fn a_name_that_one_copy_of_the_key_takes_back_names_nobody() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let home = "Alice <alice@home.example>";
    gpg.ok(&["--quick-add-uid", &fingerprint, home], b"");
    let raw = commit_at(&mut gpg, "alice@example.org", NOW);
    let old = gpg.export(ALICE);
    let named = Some("mailto:alice@example.org");
    assert_eq!(judge(&raw, &trust(&old)).identity(), named);
    gpg.ok(&["--quick-revoke-uid", &fingerprint, ALICE], b"");
    for trust in arrangements(&old, &gpg.export(home)) {
        let judgement = judge(&raw, &trust);
        assert_accepted(&judgement);
        assert_eq!(judgement.identity(), Some("mailto:alice@home.example"));
    }
}

#[test]
fn whoever_adds_a_name_to_a_key_has_it_in_the_file_alone_that_has_it() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let old = authority("a", &gpg.export(ALICE));
    let boss = "Alice <boss@example.org>";
    gpg.ok(&["--quick-add-uid", &fingerprint, boss], b"");
    let raw = commit_at(&mut gpg, "boss@example.org", NOW);
    let by_a = "time_basis_floor = \"declared\"\n[[authority]]\nname = \"a\"\n[[allow]]\nidentity = \"*\"\n";
    let by_a = Policy::parse(by_a).unwrap();
    let identity_of = |policy: Option<&Policy>, keys: &[u8]| {
        let trust = Trust::new(vec![old.clone(), authority("b", keys)], Vec::new());
        let all = Policy::from_trust(&trust);
        let judge = Judge::new(policy.unwrap_or(&all), &trust, NOW);
        let judgement = judge.judge_object(ObjectKind::Commit, &raw, HashKind::Sha1);
        let accepted = judgement.verdict() == Verdict::Accepted;
        accepted.then(|| judgement.identity().unwrap().to_owned())
    };
    let both = gpg.export(boss);
    let alice = Some("mailto:alice@example.org".to_owned());
    assert_eq!(identity_of(Some(&by_a), &both), alice);
    // Where the key took back every name that a file has, the file names nobody.
    gpg.ok(&["--quick-revoke-uid", &fingerprint, ALICE], b"");
    let moved = gpg.export(boss);
    assert_eq!(identity_of(Some(&by_a), &moved), None);
    assert_eq!(
        identity_of(None, &moved),
        Some("mailto:boss@example.org".to_owned())
    );
}

#[test]
fn a_copy_without_the_word_of_a_subkey_takes_it_from_no_other() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "cert", "never");
    let quick = ["--quick-add-key", &fingerprint, "ed25519", "sign", "never"];
    gpg.ok(&quick, b"");
    let raw = commit_at(&mut gpg, ALICE, NOW);
    let whole = gpg.ok(&["--export", &fingerprint], b"");
    let armored = |keys: &[u8]| armor(ArmorKind::PublicKeys, keys).into_bytes();
    let without = without_back_signatures(&whole);
    for trust in arrangements(&armored(&whole), &armored(&without)) {
        assert_accepted(&judge(&raw, &trust));
    }
}

#[test]
fn a_newer_word_by_a_hash_that_we_do_not_check_is_not_overlooked() {
    for (hash, code) in [
        ("SHA1", Code::AlgorithmWeak),
        ("SHA224", Code::AlgorithmUnsupported),
    ] {
        for of_subkey in [false, true] {
            let mut gpg = gpg();
            let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
            let quick = ["--quick-add-key", &fingerprint, "ed25519", "sign", "never"];
            gpg.ok(&quick, b"");
            let at = NOW.plus(-5 * DAY);
            let by_subkey = commit_at(&mut gpg, ALICE, at);
            let by_primary = commit_at(&mut gpg, &format!("{fingerprint}!"), at);
            let old = gpg.export(ALICE);
            gpg.set_time(NOW.plus(-9 * DAY));
            gpg.configure(&format!("cert-digest-algo {hash}\n"));
            let end = ["--quick-set-expire", &fingerprint, "1d"];
            let subkeys = if of_subkey { &["*"][..] } else { &[] };
            gpg.ok(&[&end[..], subkeys].concat(), b"");
            for trust in arrangements(&old, &gpg.export(ALICE)) {
                assert_code(&judge(&by_subkey, &trust), code);
                match of_subkey {
                    false => assert_code(&judge(&by_primary, &trust), code),
                    true => assert_accepted(&judge(&by_primary, &trust)),
                }
            }
        }
    }
}

#[test]
fn a_name_whose_newest_word_is_weak_names_nobody() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let work = "Alice <alice@work.example>";
    gpg.ok(&["--quick-add-uid", &fingerprint, work], b"");
    let raw = commit_at(&mut gpg, "alice@work.example", NOW);
    let old = gpg.export(&fingerprint);
    let weak = ["--cert-digest-algo", "SHA1"];
    let primary = ["--quick-set-primary-uid", &fingerprint, work];
    gpg.set_time(NOW.plus(-8 * DAY));
    gpg.ok(&[&weak[..], &primary].concat(), b"");
    let newer = gpg.export(&fingerprint);
    for trust in arrangements(&old, &newer) {
        assert_code(&judge(&raw, &trust), Code::AlgorithmWeak);
    }
    // A name that it spoke of since says what the key itself is.
    gpg.set_time(NOW.plus(-7 * DAY));
    let third = "Alice <alice@third.example>";
    gpg.ok(&["--quick-add-uid", &fingerprint, third], b"");
    for trust in arrangements(&old, &gpg.export(&fingerprint)) {
        let judgement = judge(&raw, &trust);
        assert_accepted(&judgement);
        assert_ne!(judgement.identity(), Some("mailto:alice@work.example"));
    }
}

/// A designated revoker is no word on the key's own end.
#[test]
fn a_weak_word_about_something_else_makes_no_key_weak() {
    let mut gpg = gpg();
    let fingerprint = gpg.generate(ALICE, "ed25519", "sign", "never");
    let other = gpg.generate("Bob <bob@example.org>", "ed25519", "sign", "never");
    let raw = commit_at(&mut gpg, ALICE, NOW);
    gpg.configure("cert-digest-algo SHA1\n");
    let answers = format!("addrevoker\n{other}\ny\nsave\n");
    let edit = ["--no-batch", "--command-fd=0", "--edit-key", &fingerprint];
    gpg.ok(&edit, answers.as_bytes());
    assert_accepted(&judge(&raw, &trust(&gpg.export(ALICE))));
}

/// Returns ssh-keygen with the keys that gpg-agent lends ssh, of which `key.pub` is one.
fn ssh_keygen(gpg: &Gnupg, public_key: &[u8]) -> Command {
    let list = ["--with-colons", "--with-keygrip", "--list-secret-keys"];
    let list = String::from_utf8(gpg.ok(&list, b"")).unwrap();
    let grips = list.lines().filter(|line| line.starts_with("grp:"));
    let grips = grips.filter_map(|line| line.split(':').nth(9));
    let grips: String = grips.map(|grip| format!("{grip}\n")).collect();
    gpg.write("sshcontrol", grips.as_bytes());
    gpg.write("key.pub", public_key);
    let mut find = Command::new(oracle("gpgconf"));
    find.env("GNUPGHOME", gpg.path());
    let socket = run(find.args(["--list-dirs", "agent-ssh-socket"]), b"").stdout;
    let mut command = Command::new(oracle("ssh-keygen"));
    command
        .current_dir(gpg.path())
        .env("TZ", "UTC")
        .env("SSH_AUTH_SOCK", String::from_utf8(socket).unwrap().trim());
    command
}

/// Signs a commit as ssh does with a key that gpg-agent lends it.
fn ssh_commit(gpg: &Gnupg, public_key: &[u8]) -> Vec<u8> {
    let mut sign = ssh_keygen(gpg, public_key);
    let payload = payload_at(NOW.plus(-DAY));
    let output = run(
        sign.args(["-Y", "sign", "-n", "git", "-f", "key.pub"]),
        &payload,
    );
    assert!(output.status.success(), "{output:?}");
    with_signature(
        &payload,
        "gpgsig",
        &String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn a_subkey_that_was_revoked_is_no_ssh_key_any_more() {
    for (uses, of_primary) in [("auth,sign", false), ("auth", false), ("auth", true)] {
        let mut gpg = gpg();
        gpg.write("gpg-agent.conf", b"enable-ssh-support\n");
        let fingerprint = gpg.generate(ALICE, "ed25519", "cert", "never");
        let quick = ["--quick-add-key", &fingerprint, "ed25519", uses, "never"];
        gpg.ok(&quick, b"");
        let subkey = gpg.fingerprints(ALICE).swap_remove(1);
        let public_key = gpg.ok(&["--export-ssh-key", &format!("{subkey}!")], b"");
        let raw = ssh_commit(&gpg, &public_key);
        let directory = tempfile::tempdir().unwrap();
        let store = TrustStore::new(
            directory.path().join("trust"),
            directory.path().join("state"),
        );
        let line = [b"alice@example.org ", &public_key[..]].concat();
        store.add_allowed_signers("listed", &line).unwrap();
        store.add_openpgp("team", &gpg.export(ALICE)).unwrap();
        assert_accepted(&judge(&raw, &store.load(NOW)));

        gpg.set_time(NOW.plus(-3 * DAY));
        match of_primary {
            true => revoke(&gpg, &fingerprint, "1"),
            false => revoke_subkey(&gpg, &fingerprint),
        }
        let keys = directory.path().join("trust/team/keys.pgp");
        fs::write(&keys, gpg.export(ALICE)).unwrap();
        assert_code(&judge(&raw, &store.load(NOW)), Code::Revoked);
        // A file that cannot be read may say so.
        fs::write(&keys, b"text").unwrap();
        assert_code(&judge(&raw, &store.load(NOW)), Code::TrustUnreadable);
    }
}

/// Anybody can claim a public key as a subkey that does not sign.
#[test]
fn whoever_claims_an_authoritys_key_as_a_subkey_does_not_take_it_back() {
    for (uses, expected) in [("auth", None), ("auth,sign", Some(Code::Revoked))] {
        let mut gpg = gpg();
        gpg.write("gpg-agent.conf", b"enable-ssh-support\n");
        let fingerprint = gpg.generate(ALICE, "ed25519", "cert", "never");
        let quick = ["--quick-add-key", &fingerprint, "ed25519", uses, "never"];
        gpg.ok(&quick, b"");
        let subkey = gpg.fingerprints(ALICE).swap_remove(1);
        let authority = gpg.ok(&["--export-ssh-key", &format!("{subkey}!")], b"");
        let user = Ed25519Key::from_seed([5; 32]);
        let public_key = ssh::PublicKey::from_key(user.public_key()).unwrap();
        gpg.write("user.pub", ssh::Key::Plain(public_key).to_text().as_bytes());
        let mut certify = ssh_keygen(&gpg, &authority);
        certify.args(["-U", "-s", "key.pub", "-I", "bob@example.org"]);
        certify.args([
            "-n",
            "bob@example.org",
            "-V",
            "20200101:20400101",
            "user.pub",
        ]);
        let output = run(&mut certify, b"");
        assert!(output.status.success(), "{output:?}");
        let certificate = fs::read_to_string(gpg.path().join("user-cert.pub")).unwrap();
        let (certificate, _) = ssh::Key::from_text(&certificate).unwrap();
        let payload = payload_at(NOW.plus(-DAY));
        let algorithm = ssh::sshsig::HashAlgorithm::Sha512;
        let data = ssh::Prehash::of(algorithm, &payload).signed_data("git");
        let blob = ssh::signature::ed25519_blob(&user.sign(&data).unwrap());
        let signature = ssh::SshSig::new(certificate, "git", algorithm, blob).to_armor();
        let raw = with_signature(&payload, "gpgsig", &signature);
        let line = [b"bob@example.org cert-authority ", &authority[..]].concat();
        let directory = tempfile::tempdir().unwrap();
        let (trust, state) = (directory.path().join("t"), directory.path().join("s"));
        let listed = TrustStore::new(trust, state).add_allowed_signers("listed", &line);
        let listed = listed.unwrap();
        let judge_with = |keys: &[u8]| {
            let team = self::authority("team", keys);
            let trust = Trust::new(vec![listed.clone(), team], Vec::new());
            judge(&raw, &trust).verdict().code()
        };
        assert_eq!(judge_with(&gpg.export(ALICE)), None);
        gpg.set_time(NOW.plus(-3 * DAY));
        revoke_subkey(&gpg, &fingerprint);
        assert_eq!(judge_with(&gpg.export(ALICE)), expected, "{uses}");
    }
}
