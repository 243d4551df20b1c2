//! Every kind of key that ssh-keygen makes: it verifies ours, and we verify its.

use super::fixture::{Fixture, MESSAGE, seen};
use crate::world::told;

const KINDS: [&[&str]; 7] = [
    &["-t", "ed25519"],
    &["-t", "ecdsa", "-b", "256"],
    &["-t", "ecdsa", "-b", "384"],
    &["-t", "ecdsa", "-b", "521"],
    &["-t", "rsa", "-b", "2048"],
    &["-t", "rsa", "-b", "3072"],
    &["-t", "rsa", "-b", "4096"],
];

/// Both verify `signature`, and say the same; neither does over other bytes.
fn both_verify(fixture: &Fixture, kind: &[&str]) {
    let check = ["-Y", "check-novalidate", "-n", "git", "-s", "m.sig"];
    let allowed = [
        "-Y", "verify", "-n", "git", "-f", "allowed", "-I", "a@x", "-s", "m.sig",
    ];
    for arguments in [&check[..], &allowed] {
        let (stock, ours) = (
            fixture.stock(arguments, MESSAGE),
            fixture.ours(arguments, MESSAGE),
        );
        assert!(ours.status.success(), "{kind:?}: {}", told(&ours));
        assert_eq!(seen(&stock), seen(&ours), "{kind:?}");
        for output in [
            fixture.stock(arguments, b"x"),
            fixture.ours(arguments, b"x"),
        ] {
            assert_eq!(
                output.status.code(),
                Some(255),
                "{kind:?}: {}",
                told(&output)
            );
        }
    }
}

#[test]
fn each_kind_of_key_signs_and_is_verified_both_ways() {
    for kind in KINDS {
        let fixture = Fixture::empty();
        fixture.make_key("key", kind);
        fixture.put(
            "allowed",
            format!("a@x {}\n", fixture.public("key")).as_bytes(),
        );
        for hash in ["sha256", "sha512"] {
            let option = format!("hashalg={hash}");
            let sign = [
                "-q", "-Y", "sign", "-n", "git", "-f", "key", "-O", &option, "m",
            ];
            for output in [fixture.stock(&sign, b""), fixture.ours(&sign, b"y\n")] {
                assert!(output.status.success(), "{kind:?}: {}", told(&output));
                both_verify(&fixture, kind);
            }
        }
    }
}

#[test]
fn each_kind_of_key_is_certified_by_each_and_signs() {
    let fixture = Fixture::empty();
    for (number, kind) in KINDS.into_iter().enumerate() {
        fixture.make_key(&format!("ca{number}"), kind);
    }
    for (number, kind) in KINDS.into_iter().enumerate() {
        let key = format!("key{number}");
        fixture.make_key(&key, kind);
        // Each authority once, and each key once.
        let authority = format!("ca{}", (number + 3) % KINDS.len());
        let public = format!("{key}.pub");
        let certify = ["-q", "-s", &authority, "-I", "id", "-n", "a@x", &public];
        fixture.stock_ok(&certify, b"");
        let line = format!("a@x cert-authority {}\n", fixture.public(&authority));
        fixture.put("allowed", line.as_bytes());
        let certificate = format!("{key}-cert.pub");
        let sign = ["-q", "-Y", "sign", "-n", "git", "-f", &certificate, "m"];
        for output in [fixture.stock(&sign, b"y\n"), fixture.ours(&sign, b"y\n")] {
            assert!(output.status.success(), "{kind:?}: {}", told(&output));
            both_verify(&fixture, kind);
        }
    }
}
