//! Keys in security keys: made by hand, since none is at hand, and judged by ssh-keygen too.

use notme_core::{
    key::{Signer as _, sha256},
    ssh::{Key, SshSig, sshsig::HashAlgorithm, wire::Writer},
};
use notme_testkit::keys::P256Key;

use super::support::{Folder, plain, prehash, user};

const APPLICATION: &[u8] = b"ssh:";

/// What a security key signs: with somebody there or not, the n-th time.
fn covered(flags: u8, counter: u32) -> Vec<u8> {
    Writer::new()
        .bytes(&sha256(APPLICATION))
        .byte(flags)
        .u32(counter)
        .bytes(&sha256(&prehash().signed_data("git")))
        .finish()
}

fn assemble(key: &[u8], signature: Vec<u8>) -> SshSig {
    let key = Key::from_blob(key).unwrap();
    SshSig::new(key, "git", HashAlgorithm::Sha512, signature)
}

fn ed25519(flags: u8, counter: u32, told: (u8, u32)) -> SshSig {
    let name = b"sk-ssh-ed25519@openssh.com";
    let plain = plain(&user());
    let raw = &plain.blob()[plain.blob().len() - 32..];
    let key = Writer::new()
        .string(name)
        .string(raw)
        .string(APPLICATION)
        .finish();
    let raw = user().sign(&covered(flags, counter)).unwrap();
    let signature = Writer::new()
        .string(name)
        .string(&raw)
        .byte(told.0)
        .u32(told.1)
        .finish();
    assemble(&key, signature)
}

fn ecdsa(flags: u8, counter: u32, told: (u8, u32)) -> SshSig {
    let name = b"sk-ecdsa-sha2-nistp256@openssh.com";
    let secret = P256Key::from_seed([7; 32]);
    let spki = secret.public_key().spki_der();
    let point = &spki[spki.len() - 65..];
    let key = Writer::new()
        .string(name)
        .string(b"nistp256")
        .string(point)
        .string(APPLICATION)
        .finish();
    let fixed = secret.sign_fixed(&covered(flags, counter));
    let numbers = Writer::new()
        .unsigned(&fixed[..32])
        .unsigned(&fixed[32..])
        .finish();
    let signature = Writer::new()
        .string(name)
        .string(&numbers)
        .byte(told.0)
        .u32(told.1)
        .finish();
    assemble(&key, signature)
}

#[test]
fn security_keys_are_verified_with_their_flags_and_counter() {
    let folder = Folder::new();
    for make in [ed25519, ecdsa] {
        for (flags, counter) in [(1, 0), (5, 77), (0, u32::MAX)] {
            let good = make(flags, counter, (flags, counter));
            good.verify("git", &prehash()).unwrap();
            assert!(folder.stock_accepts(&good));
            let presence = good.presence().unwrap();
            assert_eq!(presence.counter(), counter);
            assert_eq!(presence.is_touched(), flags & 1 == 1);
            assert_eq!(presence.is_user_verified(), flags & 4 == 4);
        }
        for told in [(0, 3), (1, 2), (5, 3)] {
            let bad = make(1, 3, told);
            assert!(bad.verify("git", &prehash()).is_err(), "{told:?}");
            assert!(!folder.stock_accepts(&bad));
        }
    }
}

#[test]
fn the_application_is_part_of_the_key() {
    let good = ed25519(1, 1, (1, 1));
    let mut blob = good.key().blob().to_vec();
    *blob.last_mut().unwrap() = b'!';
    let elsewhere = Key::from_blob(&blob).unwrap();
    assert_ne!(elsewhere, *good.key());
    let blob = good.to_blob();
    let position = blob.windows(4).position(|it| it == APPLICATION).unwrap();
    let mut moved = blob.clone();
    moved[position + 3] = b'!';
    let moved = SshSig::from_blob(&moved).unwrap();
    assert!(moved.verify("git", &prehash()).is_err());
}
