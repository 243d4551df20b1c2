//! Key revocation lists: ours read by ssh-keygen, and its read by us.

use notme_core::{
    key::Signer as _,
    ssh::{Key, Krl, PublicKey, krl::KrlError, wire::Writer},
};
use notme_testkit::{clock::NOW, keys::Ed25519Key};

use super::support::{Folder, IDENTITY, ca, certified, plain, user};

fn list() -> Krl {
    Krl::new(5, NOW, "a comment")
}

fn ca_key() -> PublicKey {
    PublicKey::from_key(ca().public_key()).unwrap()
}

/// Asks ssh-keygen whether the list revokes a key.
fn stock_revokes(folder: &Folder, krl: &Krl, key: &Key) -> bool {
    folder.put("krl", krl.to_bytes());
    folder.put("key.pub", key.to_text());
    let output = folder.ssh_keygen(&["-Q", "-f", "krl", "key.pub"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("ok") != text.contains("REVOKED"),
        "{text}{:?}",
        output.stderr
    );
    text.contains("REVOKED")
}

#[test]
fn both_agree_on_what_each_entry_revokes() {
    let folder = Folder::new();
    let stranger = plain(&Ed25519Key::from_seed([9; 32]));
    let (key, certificate, authority) = (plain(&user()), certified(), plain(&ca()));
    let with = |change: &dyn Fn(&mut Krl)| {
        let mut krl = list();
        change(&mut krl);
        krl
    };
    let lists = [
        list(),
        with(&|krl| krl.revoke_key(key.public_key())),
        with(&|krl| krl.revoke_key(authority.public_key())),
        with(&|krl| krl.revoke_serials(Some(&ca_key()), 7, 7)),
        with(&|krl| krl.revoke_serials(Some(&ca_key()), 1, 6)),
        with(&|krl| krl.revoke_serials(Some(&ca_key()), 5, 9)),
        with(&|krl| krl.revoke_serials(None, 7, 8)),
        with(&|krl| krl.revoke_serials(None, 0, 0)),
        with(&|krl| krl.revoke_serials(None, 0, 6)),
        with(&|krl| krl.revoke_serials(Some(stranger.public_key()), 7, 7)),
        with(&|krl| krl.revoke_key_id(Some(&ca_key()), IDENTITY)),
        with(&|krl| krl.revoke_key_id(None, IDENTITY)),
        with(&|krl| krl.revoke_key_id(Some(&ca_key()), "another")),
        with(&|krl| krl.revoke_sha256(notme_core::key::sha256(key.blob()))),
        with(&|krl| krl.revoke_sha256(notme_core::key::sha256(authority.blob()))),
    ];
    let mut revoked = 0;
    for krl in &lists {
        assert_eq!(Krl::parse(&krl.to_bytes()).unwrap(), *krl);
        for key in [&key, &certificate, &authority, &stranger] {
            assert_eq!(
                krl.revokes(key),
                stock_revokes(&folder, krl, key),
                "{krl:?}"
            );
            revoked += usize::from(krl.revokes(key));
        }
    }
    assert_eq!(revoked, 13);
}

#[test]
fn serials_are_merged_and_found() {
    let mut krl = list();
    for (first, last) in [
        (10, 20),
        (21, 30),
        (5, 12),
        (40, 40),
        (42, 42),
        (41, 41),
        (100, u64::MAX),
    ] {
        krl.revoke_serials(None, first, last);
    }
    let again = Krl::parse(&krl.to_bytes()).unwrap();
    assert_eq!(again, krl);
    let mut other = list();
    for (first, last) in [(5, 30), (40, 42), (100, u64::MAX)] {
        other.revoke_serials(None, first, last);
    }
    assert_eq!(krl, other);
}

#[test]
fn lists_of_ssh_keygen_are_read_whole() {
    let folder = Folder::new();
    folder.put("ca.pub", plain(&ca()).to_text());
    let odd: String = (1..200)
        .step_by(2)
        .map(|serial| format!("serial: {serial}\n"))
        .collect();
    let key = plain(&user()).to_text();
    let spec = format!(
        "{odd}serial: 1000-2000\nserial: 18446744073709551615\nid: one\nid: two\nsha1: {key}\nsha256: {key}\nkey: {key}\n"
    );
    folder.put("spec", spec);
    let arguments = ["-q", "-k", "-z", "9", "-f", "krl", "-s", "ca.pub", "spec"];
    assert!(folder.ssh_keygen(&arguments, b"").status.success());
    let listed = |name: &str| {
        let output = folder.ssh_keygen(&["-Q", "-l", "-f", name], b"");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let krl = Krl::parse(&folder.read("krl")).unwrap();
    assert_eq!(krl.version(), 9);
    // Written again by us, ssh-keygen finds the same in it.
    folder.put("again", krl.to_bytes());
    assert_eq!(listed("krl"), listed("again"));
    assert!(listed("krl").len() > 100);
}

#[test]
fn every_prefix_of_a_list_is_refused_or_has_only_whole_sections() {
    let mut krl = list();
    krl.revoke_key(&ca_key());
    krl.revoke_serials(Some(&ca_key()), 1, 5);
    let bytes = krl.to_bytes();
    let mut whole = 0;
    for length in 0..bytes.len() {
        if let Ok(shorter) = Krl::parse(&bytes[..length]) {
            assert_eq!(shorter.to_bytes(), bytes[..length]);
            whole += 1;
        }
    }
    // After the head, and after the certificates.
    assert_eq!(whole, 2);
}

#[test]
fn what_a_list_says_beyond_us_is_an_error() {
    let head = list().to_bytes();
    let section =
        |kind: u8, body: &[u8]| Writer::new().bytes(&head).byte(kind).string(body).finish();
    let signature = section(4, b"");
    assert_eq!(Krl::parse(&signature), Err(KrlError::Section(4)));
    let extension = |is_critical: u8| {
        let body = Writer::new()
            .string(b"what@example.com")
            .byte(is_critical)
            .string(b"")
            .finish();
        section(255, &body)
    };
    assert!(Krl::parse(&extension(0)).is_ok());
    assert!(matches!(
        Krl::parse(&extension(1)),
        Err(KrlError::Critical(_))
    ));
    let fingerprint = Writer::new().string(&[0; 19]).finish();
    assert_eq!(
        Krl::parse(&section(3, &fingerprint)),
        Err(KrlError::Fingerprint)
    );
    let certificates = |kind: u8, body: &[u8]| {
        let part = Writer::new()
            .string(b"")
            .string(b"")
            .byte(kind)
            .string(body)
            .finish();
        section(1, &part)
    };
    let backwards = Writer::new().u64(5).u64(4).finish();
    assert_eq!(
        Krl::parse(&certificates(0x21, &backwards)),
        Err(KrlError::Serials)
    );
    let beyond = Writer::new().u64(u64::MAX).unsigned(&[2]).finish();
    assert_eq!(
        Krl::parse(&certificates(0x22, &beyond)),
        Err(KrlError::Serials)
    );
    let huge = Writer::new().u64(1).unsigned(&[0x55; 2049]).finish();
    assert_eq!(
        Krl::parse(&certificates(0x22, &huge)),
        Err(KrlError::Serials)
    );
    assert_eq!(
        Krl::parse(&certificates(0x24, b"")),
        Err(KrlError::Section(0x24))
    );
    let mut version = head.clone();
    version[11] = 2;
    assert_eq!(Krl::parse(&version), Err(KrlError::Version(2)));
}

#[test]
fn bitmaps_that_would_take_gigabytes_are_refused() {
    let mut parts = Writer::new().string(b"").string(b"");
    // Every other number, two million of them and a few.
    for number in 0..257_u64 {
        let offset = 1 + number * 16_384;
        let bits = Writer::new().u64(offset).unsigned(&[0x55; 2048]).finish();
        parts = parts.byte(0x22).string(&bits);
    }
    let bytes = Writer::new()
        .bytes(&list().to_bytes())
        .byte(1)
        .string(&parts.finish())
        .finish();
    assert_eq!(Krl::parse(&bytes), Err(KrlError::TooMany));
}
