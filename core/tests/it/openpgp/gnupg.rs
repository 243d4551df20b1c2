//! Signatures between us and gpg, in both directions.

use notme_core::{
    openpgp::{ArmorKind, KeyBlocks, Signature, dearmor},
    time::UnixTime,
};
use notme_testkit::{
    clock::NOW,
    gnupg::Gnupg,
    openpgp::{OpenPgpAuthority, OpenPgpSession},
};

const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";

/// gpg with our authority's key, which it trusts.
struct Bench {
    gpg: Gnupg,
    session: OpenPgpSession,
    authority: OpenPgpAuthority,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            gpg: Gnupg::new(),
            session: OpenPgpSession::new(),
            authority: OpenPgpAuthority::new(1),
        };
        let certificate = bench.authority.certificate();
        let trusted = format!("{}:6:\n", certificate.fingerprint());
        let mut gpg = bench;
        gpg.gpg.set_time(NOW);
        gpg.gpg.ok(
            &["--import"],
            gpg.authority.certificate().to_armor().as_bytes(),
        );
        gpg.gpg.ok(&["--import-ownertrust"], trusted.as_bytes());
        gpg
    }

    /// Writes a signature for gpg to verify, and returns the key that is in it.
    fn sign(&self) -> Vec<u8> {
        let key = self.authority.certify(&self.session, Some(PAYLOAD));
        let armored = self.session.sign_armored(&key, PAYLOAD);
        self.gpg.write("signature", armored.as_bytes());
        key.as_bytes().to_vec()
    }

    fn verify(&self, payload: &[u8], options: &[&str]) -> (bool, String) {
        let fixed = ["--status-fd=1", "--keyid-format=long", "--verify"];
        let arguments = [options, &fixed, &["signature", "-"]].concat();
        let output = self.gpg.run(&arguments, payload);
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

#[test]
fn gpg_accepts_what_we_sign_after_importing_what_we_export() {
    let bench = Bench::new();
    let key = bench.sign();
    bench.gpg.ok(&["--import"], &key);
    let (good, said) = bench.verify(PAYLOAD, &[]);
    assert!(good, "{said}");
    let subject = bench.session.subject();
    let (fingerprint, user_id) = (subject.fingerprint().unwrap(), subject.user_id());
    for expected in [
        format!("GOODSIG {} {user_id}", fingerprint.long_id()),
        format!("VALIDSIG {fingerprint} 2026-11-20 {}", NOW.secs()),
        "TRUST_FULLY".to_owned(),
        format!("Good signature from \"{user_id}\" [full]"),
    ] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    let listed = bench.gpg.ok(&["--list-keys", "claude"], b"");
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.contains("[expires: 2026-11-20]"), "{listed}");
}

#[test]
fn gpg_reads_the_key_from_the_signature_itself_when_it_is_told_to() {
    let bench = Bench::new();
    bench.sign();
    let (good, said) = bench.verify(PAYLOAD, &[]);
    assert!(!good && said.contains("NO_PUBKEY"), "{said}");
    let (good, said) = bench.verify(PAYLOAD, &["--auto-key-import"]);
    assert!(good && said.contains("TRUST_FULLY"), "{said}");
}

#[test]
fn gpg_sees_the_end_of_a_session() {
    let mut bench = Bench::new();
    let key = bench.sign();
    bench.gpg.ok(&["--import"], &key);
    bench.gpg.set_time(bench.session.expires.plus(1));
    let (_, said) = bench.verify(PAYLOAD, &[]);
    assert!(said.contains("EXPKEYSIG"), "{said}");
    assert!(said.contains("This key has expired"), "{said}");
}

#[test]
fn gpg_trusts_a_session_no_longer_than_it_is_certified() {
    let mut bench = Bench::new();
    let key = bench.sign();
    bench.gpg.ok(&["--import"], &key);
    bench.gpg.set_time(bench.session.not_after.plus(1));
    let (good, said) = bench.verify(PAYLOAD, &[]);
    assert!(good && said.contains("GOODSIG"), "{said}");
    assert!(said.contains("TRUST_UNDEFINED"), "{said}");
}

#[test]
fn gpg_does_not_trust_a_key_that_the_authority_did_not_certify() {
    let mut bench = Bench::new();
    bench.authority = OpenPgpAuthority::new(2);
    let key = bench.sign();
    bench.gpg.ok(&["--import"], &key);
    let (_, said) = bench.verify(PAYLOAD, &[]);
    assert!(said.contains("TRUST_UNDEFINED"), "{said}");
}

#[test]
fn gpg_refuses_another_payload() {
    let bench = Bench::new();
    let key = bench.sign();
    bench.gpg.ok(&["--import"], &key);
    let (good, said) = bench.verify(b"another", &[]);
    assert!(!good && said.contains("BADSIG"), "{said}");
}

#[test]
fn we_verify_every_kind_of_key_that_gpg_makes() {
    let gpg = Gnupg::new();
    for (algorithm, name) in [
        ("ed25519", "a@example.org"),
        ("rsa2048", "b@example.org"),
        ("rsa3072", "c@example.org"),
        ("nistp256", "d@example.org"),
        ("nistp384", "e@example.org"),
        ("nistp521", "f@example.org"),
    ] {
        let fingerprint = gpg.generate(name, algorithm, "sign", "never");
        let keys = KeyBlocks::read(&gpg.export(name)).unwrap();
        let key = keys.keys()[0].primary();
        assert_eq!(key.fingerprint().to_string(), fingerprint);
        for options in [&["-bsau", name][..], &["--textmode", "-bsau", name]] {
            let armored = gpg.ok(options, PAYLOAD);
            let bytes = dearmor(ArmorKind::Signature, &armored).unwrap();
            let signature = Signature::from_bytes(&bytes).unwrap();
            let document = signature.clone().over(PAYLOAD).unwrap();
            document.verify(key).unwrap();
            assert!(signature.created() > UnixTime::from_secs(0));
            let document = signature.over(b"another").unwrap();
            let error = document.verify(key).unwrap_err();
            assert_eq!(error.code(), "signature-invalid", "{algorithm}");
        }
    }
}

#[test]
fn no_altered_byte_of_gpgs_signature_verifies() {
    let gpg = Gnupg::new();
    for (algorithm, name) in [("ed25519", "a@example.org"), ("rsa2048", "b@example.org")] {
        gpg.generate(name, algorithm, "sign", "never");
        let keys = KeyBlocks::read(&gpg.export(name)).unwrap();
        let armored = gpg.sign(name, PAYLOAD);
        let bytes = dearmor(ArmorKind::Signature, &armored).unwrap();
        for position in 0..bytes.len() {
            for mask in [1, 0x80] {
                let mut altered = bytes.clone();
                altered[position] ^= mask;
                let verified = Signature::from_bytes(&altered)
                    .and_then(|signature| signature.over(PAYLOAD))
                    .and_then(|document| document.verify(keys.keys()[0].primary()));
                assert!(verified.is_err(), "{algorithm}: byte {position} ^ {mask}");
            }
        }
    }
}
