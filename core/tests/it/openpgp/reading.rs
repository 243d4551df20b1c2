//! Reading what is not as it should be.

use notme_core::openpgp::{ArmorKind, KeyBlock, KeyBlocks, PACKETS_MAX, Signature, armor, dearmor};
use notme_testkit::{
    gnupg::Gnupg,
    openpgp::{OpenPgpAuthority, OpenPgpSession},
};

const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";

fn packet() -> Vec<u8> {
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(1).certify(&session, None);
    session.sign(&key, PAYLOAD)
}

#[test]
fn two_signatures_in_one_armor_are_ambiguous() {
    let two = [packet(), packet()].concat();
    let error = Signature::from_bytes(&two).unwrap_err();
    assert_eq!(error.code(), "signature-ambiguous");
}

#[test]
fn what_follows_a_signature_is_refused() {
    for more in [&b"\0"[..], b"\xd3", b"text"] {
        let bytes = [&packet()[..], more].concat();
        assert!(Signature::from_bytes(&bytes).is_err(), "{more:?}");
    }
}

#[test]
fn no_shortened_signature_is_read() {
    let packet = packet();
    for length in 0..packet.len() {
        assert!(
            Signature::from_bytes(&packet[..length]).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn a_key_is_no_signature_and_the_reverse() {
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(1).certify(&session, None);
    assert!(Signature::from_bytes(key.as_bytes()).is_err());
    assert!(KeyBlock::from_bytes(&packet()).is_err());
    assert!(KeyBlocks::read(&packet()).is_err());
    assert!(KeyBlocks::read(b"").is_err());
}

#[test]
fn sha_1_and_md5_are_weak_whoever_signed() {
    let gpg = Gnupg::new();
    gpg.generate("a@example.org", "rsa2048", "sign", "never");
    for digest in ["SHA1", "RIPEMD160"] {
        let options = ["--digest-algo", digest, "-bsau", "a@example.org"];
        let armored = gpg.ok(&options, PAYLOAD);
        let bytes = dearmor(ArmorKind::Signature, &armored).unwrap();
        let signature = Signature::from_bytes(&bytes).unwrap();
        let error = signature.over(PAYLOAD).unwrap_err();
        assert_eq!(error.code(), "algorithm-weak", "{digest}");
    }
}

#[test]
fn dsa_is_weak_whoever_signed() {
    let gpg = Gnupg::new();
    gpg.generate("a@example.org", "dsa2048", "sign", "never");
    let bytes = dearmor(ArmorKind::Signature, &gpg.sign("a@example.org", PAYLOAD)).unwrap();
    let error = Signature::from_bytes(&bytes).unwrap().over(PAYLOAD);
    assert_eq!(error.unwrap_err().code(), "algorithm-weak");
}

#[test]
fn a_critical_notation_that_is_unknown_makes_a_signature_one_in_error() {
    let gpg = Gnupg::new();
    gpg.generate("a@example.org", "ed25519", "sign", "never");
    let verdict = |notation: &str| {
        let options = ["--sig-notation", notation, "-bsau", "a@example.org"];
        let armored = gpg.ok(&options, PAYLOAD);
        let bytes = dearmor(ArmorKind::Signature, &armored).unwrap();
        Signature::from_bytes(&bytes).unwrap().over(PAYLOAD)
    };
    assert!(verdict("what@example.org=x").is_ok());
    let error = verdict("!what@example.org=x").unwrap_err();
    assert_eq!(error.code(), "certificate-unknown-critical");
}

#[test]
fn a_file_of_keys_keeps_those_that_can_be_read() {
    let gpg = Gnupg::new();
    gpg.generate("a@example.org", "ed25519", "sign", "never");
    gpg.generate("b@example.org", "dsa2048", "sign", "never");
    gpg.generate("c@example.org", "nistp256", "sign", "never");
    let keys = KeyBlocks::read(&gpg.ok(&["--export"], b"")).unwrap();
    let kids: Vec<_> = keys
        .keys()
        .iter()
        .map(|block| block.primary().kid().is_some())
        .collect();
    assert_eq!(kids, [true, false, true]);
    assert_eq!(keys.skipped(), 0);
}

#[test]
fn a_file_of_many_keys_may_be_longer_than_one_key() {
    let gpg = Gnupg::new();
    gpg.generate("Alice <alice@example.org>", "ed25519", "sign", "never");
    let key = gpg.ok(&["--export"], b"");
    let copies = PACKETS_MAX / key.len() + 1;
    let keys = key.repeat(copies);
    for file in [armor(ArmorKind::PublicKeys, &keys).into_bytes(), keys] {
        assert!(file.len() > PACKETS_MAX);
        assert_eq!(KeyBlocks::read(&file).unwrap().keys().len(), 1);
    }
    let error = dearmor(ArmorKind::Signature, &vec![b'-'; PACKETS_MAX + 1]).unwrap_err();
    assert_eq!(error.code(), "signature-too-large");
}

#[test]
fn rsa_keys_are_read_up_to_the_length_that_we_verify_with() {
    for (bits, is_read) in [(2047_u16, true), (2048, true), (8192, true), (8193, false)] {
        let mut modulus = vec![0xff; usize::from(bits.div_ceil(8))];
        modulus[0] >>= (8 - bits % 8) % 8;
        let bits_bytes = bits.to_be_bytes();
        let body = [
            &[4, 0, 0, 0, 1, 1],
            &bits_bytes[..],
            &modulus,
            &[0, 17, 1, 0, 1],
        ]
        .concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let packet = [&[0xc6, 0xff], &length[..], &body].concat();
        let read = KeyBlocks::read(&packet);
        assert_eq!(read.is_ok(), is_read, "{bits}");
        let has_id = read.is_ok_and(|keys| keys.keys()[0].primary().kid().is_some());
        assert_eq!(has_id, (2048..=8192).contains(&bits), "{bits}");
    }
}
