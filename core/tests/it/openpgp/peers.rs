//! Other OpenPGP programs than gpg, on what we write.

use std::process::Command;

use notme_core::openpgp::{ArmorKind, armor};
use notme_testkit::{
    openpgp::{OpenPgpAuthority, OpenPgpSession},
    oracle::oracle,
    repository::run,
};

const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";

/// `<program> verify SIGNATURE KEYS`, which several implementations understand alike.
fn sop_verify(program: &str, payload: &[u8]) -> (Option<i32>, String) {
    verify(
        program,
        &["verify", "signature.asc", "session.asc"],
        payload,
    )
}

/// They judge at the time of day, so the session is of now.
fn verify(program: &str, words: &[&str], payload: &[u8]) -> (Option<i32>, String) {
    let now = notme_core::time::UnixTime::from(std::time::SystemTime::now());
    let mut session = OpenPgpSession::new();
    session.created = now.plus(-3600);
    session.expires = now.plus(3600);
    let key = OpenPgpAuthority::new(1).certify(&session, None);
    let signature =
        notme_core::openpgp::ToBeSigned::new(&key, &session.identity, PAYLOAD, now.plus(-1))
            .and_then(|unsigned| unsigned.sign(&session.key))
            .and_then(|signature| signature.to_packet())
            .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        std::fs::write(directory.path().join(name), text).unwrap();
    };
    write("signature.asc", armor(ArmorKind::Signature, &signature));
    write("session.asc", armor(ArmorKind::PublicKeys, key.as_bytes()));
    let mut command = Command::new(oracle(program));
    command.current_dir(directory.path()).args(words);
    let output = run(&mut command, payload);
    let said = [output.stdout, output.stderr].concat();
    let fingerprint = key.fingerprint().to_string();
    let said = String::from_utf8_lossy(&said).replace(&fingerprint, "OURS");
    (output.status.code(), said)
}

#[test]
fn sequoia_accepts_what_we_sign_and_nothing_else() {
    let (code, said) = sop_verify("sqop", PAYLOAD);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("OURS"), "{said}");
    assert_ne!(sop_verify("sqop", b"another").0, Some(0));
}

#[test]
fn go_crypto_accepts_what_we_sign_and_nothing_else() {
    let (code, said) = sop_verify("gosop", PAYLOAD);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("OURS"), "{said}");
    assert_ne!(sop_verify("gosop", b"another").0, Some(0));
}

#[test]
fn rnp_accepts_what_we_sign_and_nothing_else() {
    let verify = |payload: &[u8]| {
        let words = [
            "--keyfile",
            "session.asc",
            "--verify",
            "signature.asc",
            "--source",
            "-",
        ];
        verify("rnp", &words, payload)
    };
    let (code, said) = verify(PAYLOAD);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Good signature"), "{said}");
    assert_ne!(verify(b"another").0, Some(0));
}
