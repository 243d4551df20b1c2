//! People's keys in the trust store.

use std::fs;

use notme_core::openpgp::{ArmorKind, armor};
use notme_testkit::{clock::NOW, gnupg::Gnupg};
use notme_verifier::{
    Code,
    load::{TrustStore, TrustStoreError},
    trust::PinKind,
};

struct Home {
    _directory: tempfile::TempDir,
    keys: std::path::PathBuf,
    store: TrustStore,
}

fn home() -> Home {
    let directory = tempfile::tempdir().unwrap();
    let trust = directory.path().join("trust");
    Home {
        keys: trust.join("team/keys.pgp"),
        store: TrustStore::new(trust, directory.path().join("state")),
        _directory: directory,
    }
}

fn two_keys() -> Vec<u8> {
    let gpg = Gnupg::new();
    gpg.generate("Alice <alice@example.org>", "ed25519", "sign", "never");
    gpg.generate("Bob <bob@example.org>", "nistp384", "sign", "never");
    gpg.ok(&["--armor", "--export"], b"")
}

#[test]
fn keys_are_found_again_with_their_names() {
    let home = home();
    home.store.add_openpgp("team", &two_keys()).unwrap();
    let trust = home.store.load(NOW);
    assert!(trust.faults().is_empty());
    let [authority] = trust.authorities() else {
        panic!("{trust:?}");
    };
    assert_eq!(authority.kind(), PinKind::OpenPgp);
    let names: Vec<_> = authority
        .people()
        .iter()
        .flat_map(|person| person.user_ids())
        .collect();
    assert_eq!(
        names,
        ["Alice <alice@example.org>", "Bob <bob@example.org>"]
    );
}

#[test]
fn a_key_that_slipped_into_the_file_is_not_trusted_and_a_lost_one_is_missed() {
    let home = home();
    let gpg = Gnupg::new();
    gpg.generate("Alice <alice@example.org>", "ed25519", "sign", "never");
    let alice = gpg.ok(&["--export"], b"");
    home.store.add_openpgp("team", &alice).unwrap();
    gpg.generate("Eve <eve@example.org>", "ed25519", "sign", "never");
    fs::write(&home.keys, gpg.ok(&["--export"], b"")).unwrap();
    let trust = home.store.load(NOW);
    assert_eq!(trust.authorities()[0].people().len(), 1);
    fs::write(&home.keys, gpg.ok(&["--export", "eve"], b"")).unwrap();
    let trust = home.store.load(NOW);
    assert!(trust.authorities().is_empty());
    assert_eq!(trust.faults()[0].code, Code::BundleInvalid);
}

/// A key that is there twice does not stand in for one that is gone.
#[test]
fn a_lost_key_is_missed_beside_one_that_is_there_twice() {
    let home = home();
    let gpg = Gnupg::new();
    for name in ["alice@example.org", "bob@example.org"] {
        gpg.generate(name, "ed25519", "sign", "never");
    }
    let both = gpg.ok(&["--export"], b"");
    let alice = gpg.ok(&["--export", "alice@example.org"], b"");
    home.store.add_openpgp("team", &both).unwrap();
    let count = |keys: &[&[u8]]| {
        fs::write(&home.keys, keys.concat()).unwrap();
        let trust = home.store.load(NOW);
        let faults = trust.faults().iter().map(|fault| fault.code).collect();
        (trust.authorities().len(), faults)
    };
    assert_eq!(count(&[&both, &alice]), (1, Vec::new()));
    assert_eq!(count(&[&alice, &alice]), (0, vec![Code::BundleInvalid]));
}

#[test]
fn what_the_owner_takes_back_counts_from_the_next_load_on() {
    let home = home();
    let gpg = Gnupg::new();
    let fingerprint = gpg.generate("Alice <alice@example.org>", "ed25519", "sign", "never");
    home.store
        .add_openpgp("team", &gpg.ok(&["--export"], b""))
        .unwrap();
    let before = home.store.load(NOW).digest();
    let work = "Alice <alice@work.example>";
    gpg.ok(&["--quick-add-uid", &fingerprint, work], b"");
    fs::write(&home.keys, gpg.ok(&["--export"], b"")).unwrap();
    assert_ne!(home.store.load(NOW).digest(), before);
}

#[test]
fn what_is_no_key_is_refused_and_nothing_is_stored() {
    let home = home();
    let gpg = Gnupg::new();
    gpg.generate("Alice <alice@example.org>", "dsa2048", "sign", "never");
    let dsa = gpg.ok(&["--export"], b"");
    let armored = armor(ArmorKind::Signature, &dsa).into_bytes();
    for keys in [&b""[..], b"text", &dsa, &armored] {
        let error = home.store.add_openpgp("team", keys).unwrap_err();
        assert!(matches!(error, TrustStoreError::Keys(_)), "{error:?}");
        let expected = match keys == dsa {
            true => Code::AlgorithmUnsupported,
            false => Code::TrustUnreadable,
        };
        assert_eq!(error.code(), expected);
    }
    assert!(!home.store.contains("team"));
}

#[test]
fn a_file_that_cannot_be_read_any_more_is_a_fault() {
    let home = home();
    home.store.add_openpgp("team", &two_keys()).unwrap();
    fs::write(&home.keys, b"text").unwrap();
    let trust = home.store.load(NOW);
    assert_eq!(trust.faults()[0].code, Code::TrustUnreadable);
}
