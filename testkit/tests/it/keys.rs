use notme_core::key::{Hash, Signer};
use notme_testkit::{
    keys::{Ed25519Key, P256Key},
    oracle::oracle,
    repository::{Repository, run},
    testdata,
};

/// The seeds of `testdata/vectors`.
#[test]
fn keys_come_from_their_seeds_alone() {
    let vectors = testdata::text("vectors/vectors.json");
    let ed25519 = Ed25519Key::from_seed([2; 32]);
    let p256 = P256Key::from_seed([3; 32]);
    for key in [ed25519.public_key(), p256.public_key()] {
        let spki = notme_core::hex::encode(key.spki_der());
        assert!(vectors.contains(&spki), "{spki}");
    }
}

#[test]
fn signatures_verify() {
    let keys: [Box<dyn Signer>; 2] = [
        Box::new(Ed25519Key::from_seed([2; 32])),
        Box::new(P256Key::from_seed([3; 32])),
    ];
    for key in keys {
        let signature = key.sign(b"message").unwrap();
        key.public_key()
            .verify(Hash::Sha256, b"message", &signature)
            .unwrap();
        assert!(
            key.public_key()
                .verify(Hash::Sha256, b"massage", &signature)
                .is_err()
        );
    }
    let p256 = P256Key::from_seed([3; 32]);
    p256.public_key()
        .verify_p256_fixed(b"message", &p256.sign_fixed(b"message"))
        .unwrap();
}

#[test]
fn openssl_derives_the_same_public_keys() {
    let ed25519 = Ed25519Key::from_seed([2; 32]);
    let p256 = P256Key::from_seed([3; 32]);
    let world = Repository::new();
    for (private, public) in [
        (ed25519.pkcs8_pem(), ed25519.public_key()),
        (p256.pkcs8_pem(), p256.public_key()),
    ] {
        let mut openssl = world.command(oracle("openssl"));
        let output = run(openssl.args(["pkey", "-pubout"]), private.as_bytes());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(String::from_utf8(output.stdout).unwrap(), public.spki_pem());
    }
}
