//! Bytes that somebody bent.

use notme_core::{
    key::Signer as _,
    ssh::{
        AllowedSigners, Certificate, Key, PublicKey, SshSig,
        allowed_signers::LineError,
        sshsig::{HashAlgorithm, SshSigError, dearmor},
        wire::Writer,
    },
};
use notme_testkit::keys::P256Key;

use super::support::{Folder, MESSAGE, certificate, certified, plain, prehash, signed, user};

fn holds(blob: &[u8]) -> bool {
    SshSig::from_blob(blob).is_ok_and(|it| it.verify("git", &prehash()).is_ok())
}

#[test]
fn no_prefix_of_a_signature_is_one() {
    for key in [plain(&user()), certified()] {
        let blob = signed(key).to_blob();
        assert!(holds(&blob));
        for length in 0..blob.len() {
            assert!(SshSig::from_blob(&blob[..length]).is_err(), "{length}");
        }
        let longer = [&blob[..], b"x"].concat();
        assert!(SshSig::from_blob(&longer).is_err());
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    for key in [plain(&user()), certified()] {
        let blob = signed(key).to_blob();
        for position in 0..blob.len() {
            for bit in 0..8 {
                let mut flipped = blob.clone();
                flipped[position] ^= 1 << bit;
                assert!(!holds(&flipped), "byte {position}, bit {bit}");
            }
        }
    }
}

#[test]
fn no_prefix_of_a_certificate_is_one() {
    let blob = certificate().blob().to_vec();
    for length in 0..blob.len() {
        assert!(Certificate::from_blob(&blob[..length]).is_err(), "{length}");
        assert!(Key::from_blob(&blob[..length]).is_err(), "{length}");
    }
}

#[test]
fn lengths_beyond_the_end_are_refused_before_anything_is_made() {
    let blob = signed(certified()).to_blob();
    for position in 0..blob.len() - 4 {
        for length in [u32::MAX, 1 << 31, 1 << 24] {
            let mut bent = blob.clone();
            bent[position..position + 4].copy_from_slice(&length.to_be_bytes());
            assert!(bent == blob || !holds(&bent), "{position} {length}");
        }
    }
}

#[test]
fn armor_is_read_as_ssh_keygen_reads_it() {
    let folder = Folder::new();
    let armor = signed(plain(&user())).to_armor();
    let body: String = armor
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let wrapped = |width: usize, ending: &str| {
        let lines = body
            .as_bytes()
            .chunks(width)
            .map(|it| str::from_utf8(it).unwrap());
        let lines = lines.collect::<Vec<_>>().join(ending);
        format!("-----BEGIN SSH SIGNATURE-----\n{lines}{ending}-----END SSH SIGNATURE-----\n")
    };
    let cut = &armor[..armor.len() / 2];
    for (armor, expected) in [
        (armor.clone(), true),
        (wrapped(64, "\n"), true),
        (wrapped(76, "\n"), true),
        (wrapped(10_000, "\n"), true),
        (wrapped(70, "\r\n"), true),
        (wrapped(70, "\n\n"), true),
        (wrapped(70, " \t\n"), true),
        (format!("{armor}and more"), true),
        (armor.trim_end().to_owned(), true),
        (
            armor.replace("SIGNATURE-----\n", "SIGNATURE-----\r\n"),
            false,
        ),
        (format!("\n{armor}"), false),
        (armor.replace("SSH", "PGP"), false),
        (armor.replace("-----END", "----END"), false),
        (armor.replace("\n-----END", "-----END"), false),
        (armor.replace("=\n", "\n"), false),
        (armor.replace('=', ""), false),
        (armor.replacen('A', "*", 1), false),
        (cut.to_owned(), false),
        (String::new(), false),
    ] {
        folder.put("sig", &armor);
        let check = ["-Y", "check-novalidate", "-n", "git", "-s", "sig"];
        let stock = folder.ssh_keygen(&check, MESSAGE).status.success();
        let ours = SshSig::from_armor(armor.as_bytes())
            .is_ok_and(|it| it.verify("git", &prehash()).is_ok());
        assert_eq!((ours, stock), (expected, expected), "{armor}");
    }
}

#[test]
fn a_signature_longer_than_any_is_not_read() {
    let armor = vec![b'-'; (1 << 20) + 1];
    assert_eq!(dearmor(&armor), Err(SshSigError::TooLong));
}

#[test]
fn a_key_of_another_type_than_the_signature_verifies_nothing() {
    let p256 = P256Key::from_seed([7; 32]);
    let spki = p256.public_key().spki_der();
    let key = Writer::new()
        .string(b"ecdsa-sha2-nistp256")
        .string(b"nistp256")
        .string(&spki[spki.len() - 65..])
        .finish();
    let signature = signed(Key::from_blob(&key).unwrap());
    assert!(signature.verify("git", &prehash()).is_err());
    let folder = Folder::new();
    assert!(!folder.stock_accepts(&signature));
}

/// An ECDSA signature whose numbers are written as they come.
fn ecdsa(write: impl Fn(&[u8]) -> Vec<u8>) -> SshSig {
    let p256 = P256Key::from_seed([7; 32]);
    let spki = p256.public_key().spki_der();
    let name = b"ecdsa-sha2-nistp256";
    let key = Writer::new()
        .string(name)
        .string(b"nistp256")
        .string(&spki[spki.len() - 65..])
        .finish();
    let fixed = p256.sign_fixed(&prehash().signed_data("git"));
    let numbers = Writer::new()
        .string(&write(&fixed[..32]))
        .string(&write(&fixed[32..]))
        .finish();
    let blob = Writer::new().string(name).string(&numbers).finish();
    let key = Key::from_blob(&key).unwrap();
    SshSig::new(key, "git", HashAlgorithm::Sha512, blob)
}

#[test]
fn superfluous_zeros_in_numbers_are_passed_over_and_negative_ones_refused() {
    let folder = Folder::new();
    for zeros in [1, 2, 5] {
        let signature = ecdsa(|number| [&vec![0; zeros], number].concat());
        signature.verify("git", &prehash()).unwrap();
        assert!(folder.stock_accepts(&signature), "{zeros}");
    }
    let negative = ecdsa(|number| [&[0x80], number].concat());
    assert!(negative.verify("git", &prehash()).is_err());
    assert!(!folder.stock_accepts(&negative));
    let long = ecdsa(|number| [&[1], number].concat());
    assert!(long.verify("git", &prehash()).is_err());
    assert!(!folder.stock_accepts(&long));
}

#[test]
fn keys_that_are_none_are_refused() {
    let ed25519 = |raw: &[u8]| Writer::new().string(b"ssh-ed25519").string(raw).finish();
    let mut small_order = [0; 32];
    small_order[0] = 1;
    let rsa = |exponent: &[u8], modulus: &[u8]| {
        Writer::new()
            .string(b"ssh-rsa")
            .unsigned(exponent)
            .unsigned(modulus)
            .finish()
    };
    let point = [&[4][..], &[1; 64]].concat();
    let off_curve = Writer::new()
        .string(b"ecdsa-sha2-nistp256")
        .string(b"nistp256")
        .string(&point)
        .finish();
    let other_curve = Writer::new()
        .string(b"ecdsa-sha2-nistp256")
        .string(b"nistp384")
        .string(&point)
        .finish();
    for blob in [
        ed25519(&[]),
        ed25519(&[1; 31]),
        ed25519(&small_order),
        ed25519(&[0xff; 32]),
        off_curve,
        other_curve,
        rsa(&[1, 0, 1], &[]),
        rsa(&[1], &[0xff; 256]),
        rsa(&[2], &[0xff; 256]),
        rsa(&[1, 0, 1], &[0xfe; 256]),
        rsa(&[1, 0, 1], &[0xff; 4096]),
        Writer::new().string(b"ssh-dss").finish(),
        Vec::new(),
    ] {
        assert!(PublicKey::from_blob(&blob).is_err(), "{blob:?}");
    }
}

#[test]
fn a_certificate_by_a_certificate_is_none() {
    let certificate = certificate();
    let authority = plain(&super::support::ca());
    let blob = certificate.blob();
    let at = blob
        .windows(authority.blob().len())
        .position(|it| it == authority.blob())
        .unwrap();
    let head = &blob[..at - 4];
    let signed = Writer::new().bytes(head).string(blob).finish();
    let signature = notme_core::ssh::signature::ed25519_blob(&user().sign(&signed).unwrap());
    let nested = Writer::new().bytes(&signed).string(&signature).finish();
    assert!(Certificate::from_blob(&nested).is_err());
}

#[test]
fn a_broken_line_is_named_and_the_others_stand() {
    let key = plain(&user()).to_text();
    let text = format!("# a comment\n\na@x {key}\nb@x nonsense {key}\nc@x {key}\n");
    let file = AllowedSigners::parse(text.as_bytes(), &|_| None);
    let error = file.check().unwrap_err();
    assert_eq!(error.line, 4);
    assert!(matches!(error.error, LineError::Options(_)));
    let good: Vec<_> = file
        .lines()
        .iter()
        .filter(|line| line.entry().is_ok())
        .collect();
    assert_eq!(
        good.iter().map(|line| line.number()).collect::<Vec<_>>(),
        [3, 5]
    );
}

#[test]
fn comments_come_in_any_encoding_and_names_do_not() {
    let key = plain(&user()).to_text();
    let latin1 = [format!("a@x {key} caf").as_bytes(), b"\xe9\n"].concat();
    assert!(AllowedSigners::parse(&latin1, &|_| None).check().is_ok());
    let name = [b"caf\xe9@x ", key.as_bytes()].concat();
    assert!(AllowedSigners::parse(&name, &|_| None).check().is_err());
    let nul = format!("a@x\0b@x {key}");
    assert!(
        AllowedSigners::parse(nul.as_bytes(), &|_| None)
            .check()
            .is_err()
    );
}
