//! gpg's command line and its status lines.

use std::ffi::{OsStr, OsString};

use notme_core::openpgp::Signature;
use notme_signer::{
    ArgvError, Data, Encoding, KeyList, StatusFd, TrustLevel,
    openpgp::{Command, ErrorReason, List, Sign, StatusLine, Verify, parse},
};
use notme_testkit::{
    clock::NOW,
    openpgp::{OpenPgpAuthority, OpenPgpSession},
};

fn parsed(line: &str) -> Result<Command, ArgvError> {
    parse(line.split_whitespace().map(OsString::from))
}

fn signing(line: &str) -> Sign {
    match parsed(line) {
        Ok(Command::Sign(sign)) => sign,
        other => panic!("{line}: {other:?}"),
    }
}

fn verifying(line: &str) -> Verify {
    match parsed(line) {
        Ok(Command::Verify(verify)) => verify,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn reads_gits_two_calls() {
    let sign = signing("--status-fd=2 -bsau KEY");
    assert_eq!(sign.key.as_deref(), Some(OsStr::new("KEY")));
    assert_eq!(sign.encoding, Encoding::Armor);
    assert_eq!((sign.input, sign.output), (Data::Stdin, None));
    assert_eq!(sign.status_fd.map(StatusFd::number), Some(2));
    let verify = verifying("--keyid-format=long --status-fd=1 --verify FILE -");
    assert_eq!(verify.signature, OsStr::new("FILE"));
    assert_eq!(verify.data, Data::Stdin);
    assert_eq!(verify.status_fd.map(StatusFd::number), Some(1));
}

#[test]
fn signs_files_beside_themselves_unless_told_where() {
    for (line, output) in [
        ("--detach-sign --armor -u KEY file", Some("file.asc")),
        ("--detach-sign -u KEY file", Some("file.sig")),
        ("-bau KEY --output out file", Some("out")),
        ("-bau KEY -o out file", Some("out")),
        ("-bauKEY -oout file", Some("out")),
        ("-bau KEY --output=out -", Some("out")),
        ("-bau KEY -o - file", None),
        ("-bau KEY -", None),
    ] {
        let sign = signing(line);
        assert_eq!(sign.output.as_deref(), output.map(AsRef::as_ref), "{line}");
    }
}

#[test]
fn finds_what_a_signature_lies_beside() {
    for signature in ["file.asc", "file.sig", "file.sign"] {
        let verify = verifying(&format!("--verify {signature}"));
        assert_eq!(verify.data, Data::File("file".into()), "{signature}");
    }
    assert!(parsed("--verify file").is_err());
    assert!(parsed("--verify .asc").is_err());
}

#[test]
fn lists_keys_by_every_spelling() {
    for (line, keys, colons) in [
        ("--list-keys a b", KeyList::Public, false),
        ("-k a b", KeyList::Public, false),
        (
            "--with-colons --list-public-keys a b",
            KeyList::Public,
            true,
        ),
        ("-K --with-colons a b", KeyList::Secret, true),
        ("--list-secret-keys a b", KeyList::Secret, false),
    ] {
        let names = ["a", "b"].map(OsString::from).to_vec();
        let expected = Command::List(List {
            keys,
            colons,
            names,
        });
        assert_eq!(parsed(line).unwrap(), expected, "{line}");
    }
}

#[test]
fn refuses_what_it_does_not_know_and_what_contradicts() {
    for line in [
        "--clear-sign",
        "--encrypt -r KEY",
        "--digest-algo SHA1 -bsau KEY",
        "-s -u KEY",
        "--list-keys --verify a b",
        "-bu KEY --list-keys",
        "-bu A -u B",
        "-bu A a b",
        "-bu A -o x -o y",
        "-o",
        "--list-keys=x",
        "",
    ] {
        assert!(parsed(line).is_err(), "{line}");
    }
}

#[test]
fn gpgsm_has_none_of_gpgs_own_options() {
    for line in ["--list-keys", "-k", "-bu KEY -o x", "--with-colons"] {
        let words = line.split_whitespace().map(OsString::from);
        assert!(notme_signer::parse(words).is_err(), "{line}");
    }
}

#[test]
fn writes_what_gpg_writes() {
    let session = OpenPgpSession::new();
    let key = OpenPgpAuthority::new(1).certify(&session, None);
    let signature = Signature::from_bytes(&session.sign(&key, b"payload")).unwrap();
    let (fingerprint, at) = (key.fingerprint(), NOW.secs());
    let id = fingerprint.long_id();
    let user_id = "a\n<b>";
    for (line, expected) in [
        (StatusLine::NewSignature, "NEWSIG".to_owned()),
        (StatusLine::BeginSigning, "BEGIN_SIGNING".to_owned()),
        (
            StatusLine::SignatureCreated {
                signature: &signature,
                fingerprint,
            },
            format!("SIG_CREATED D 22 8 00 {at} {fingerprint}"),
        ),
        (
            StatusLine::Good { key: id, user_id },
            format!("GOODSIG {id} a%0A<b>"),
        ),
        (
            StatusLine::ExpiredKey { key: id, user_id },
            format!("EXPKEYSIG {id} a%0A<b>"),
        ),
        (
            StatusLine::RevokedKey { key: id, user_id },
            format!("REVKEYSIG {id} a%0A<b>"),
        ),
        (
            StatusLine::Bad {
                key: None,
                user_id: "",
            },
            "BADSIG 0000000000000000 ".to_owned(),
        ),
        (
            StatusLine::Valid {
                fingerprint,
                signature: &signature,
                primary: fingerprint,
            },
            format!("VALIDSIG {fingerprint} 2026-11-20 {at} 0 4 0 22 8 00 {fingerprint}"),
        ),
        (
            StatusLine::Error {
                signature: Some(&signature),
                reason: ErrorReason::NoPublicKey,
            },
            format!("ERRSIG {id} 22 8 00 {at} 9 {fingerprint}"),
        ),
        (
            StatusLine::Error {
                signature: None,
                reason: ErrorReason::Unreadable,
            },
            "ERRSIG 0000000000000000 0 0 00 0 1 -".to_owned(),
        ),
        (
            StatusLine::NoPublicKey { key: id },
            format!("NO_PUBKEY {id}"),
        ),
        (
            StatusLine::InvalidSigner { key: "" },
            "INV_SGNR 9 ".to_owned(),
        ),
        (
            StatusLine::Trust(TrustLevel::Fully),
            "TRUST_FULLY 0 pgp".to_owned(),
        ),
    ] {
        assert_eq!(line.to_string(), format!("[GNUPG:] {expected}"));
    }
}
