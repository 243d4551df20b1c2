//! Where we differ from ssh-keygen on purpose. docs/formats/ssh.md has the reasons.

use std::process::Output;

use notme_core::{
    base64,
    ssh::{sshsig::dearmor, wire::Writer},
};
use notme_testkit::{oracle::oracle, repository::run};

use super::fixture::{Fixture, MESSAGE, words};
use crate::world::told;

/// Runs both and checks that one says yes and the other no.
fn differ(fixture: &Fixture, line: &str, stock_accepts: bool) {
    let words = words(line);
    let stock = fixture.stock(&words, MESSAGE);
    let ours = fixture.ours(&words, MESSAGE);
    let both = format!("{line}\nstock: {}\nours: {}", told(&stock), told(&ours));
    assert_eq!(stock.status.success(), stock_accepts, "{both}");
    assert_eq!(ours.status.success(), !stock_accepts, "{both}");
}

#[test]
fn revocations_after_an_empty_argument_are_not_lost() {
    let fixture = Fixture::new();
    fixture.allow("a@x {user}");
    let before = "-Y verify -n git -f allowed -s user.sig -I a@x";
    differ(&fixture, &format!("{before} '' -r user.pub"), true);
    differ(&fixture, &format!("{before} more -r user.pub"), true);
}

#[test]
fn short_rsa_keys_are_refused() {
    let fixture = Fixture::empty();
    fixture.make_key("short", &["-t", "rsa", "-b", "1024"]);
    fixture.sign("short", "git", "short.sig", &[]);
    differ(&fixture, "-Y check-novalidate -n git -s short.sig", true);
    differ(&fixture, "-Y sign -n git -f short", true);
}

#[test]
fn certificates_signed_with_sha1_are_refused() {
    let fixture = Fixture::empty();
    fixture.make_key("user", &["-t", "ed25519"]);
    fixture.make_key("ca", &["-t", "rsa", "-b", "2048"]);
    let arguments = [
        "-q", "-s", "ca", "-t", "ssh-rsa", "-I", "id", "-n", "a@x", "user.pub",
    ];
    fixture.stock_ok(&arguments, b"");
    fixture.sign("user-cert.pub", "git", "user.sig", &[]);
    differ(&fixture, "-Y check-novalidate -n git -s user.sig", true);
}

#[test]
fn a_day_that_the_month_does_not_have_is_no_time() {
    let fixture = Fixture::new();
    differ(
        &fixture,
        "-Y check-novalidate -n git -s user.sig -Overify-time=20240230",
        true,
    );
}

#[test]
fn one_signature_has_one_spelling() {
    let fixture = Fixture::new();
    let blob = dearmor(&fixture.read("user.sig")).unwrap();
    let put = |name: &str, blob: &[u8]| {
        let body = base64::encode(blob);
        let armor = format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n");
        fixture.put(name, armor.as_bytes());
    };
    // The reserved field comes after magic, version, key and namespace; nothing covers it.
    let at = 6 + 4 + 4 + 51 + 4 + 3;
    assert_eq!(blob[at..at + 4], [0; 4]);
    let filled = Writer::new()
        .bytes(&blob[..at])
        .string(b"x")
        .bytes(&blob[at + 4..])
        .finish();
    put("reserved.sig", &filled);
    differ(&fixture, "-Y check-novalidate -n git -s reserved.sig", true);
    let mut older = blob.clone();
    older[9] = 0;
    put("version.sig", &older);
    differ(&fixture, "-Y check-novalidate -n git -s version.sig", true);
}

/// Runs `find-principals` in a time zone.
fn find_in(fixture: &Fixture, zone: &str, time: &str) -> (Output, Output) {
    let option = format!("-Overify-time={time}");
    let arguments = [
        "-Y",
        "find-principals",
        "-f",
        "allowed",
        "-s",
        "user.sig",
        &option,
    ];
    let stock = oracle("ssh-keygen");
    let find = |program: &std::path::Path| {
        run(
            fixture.command(program).env("TZ", zone).args(arguments),
            b"",
        )
    };
    (find(&stock), find(&fixture.program()))
}

#[test]
fn a_time_in_summer_is_read_as_a_time_in_summer() {
    let fixture = Fixture::new();
    fixture.allow("a@x valid-after=\"20240701120000Z\" {user}");
    // What git writes in New York for a commit at 11:30 UTC, half an hour too early.
    let (stock, ours) = find_in(&fixture, "America/New_York", "20240701073000");
    assert!(stock.status.success(), "{}", told(&stock));
    assert!(!ours.status.success(), "{}", told(&ours));
}

#[test]
fn a_time_in_winter_is_read_alike_in_every_zone() {
    let fixture = Fixture::new();
    fixture.allow("a@x valid-after=\"20240115120000Z\" {user}");
    for (zone, before, after) in [
        ("UTC", "20240115115959", "20240115120000"),
        ("America/New_York", "20240115065959", "20240115070000"),
        ("Asia/Tokyo", "20240115205959", "20240115210000"),
        ("EST5", "20240115065959", "20240115070000"),
    ] {
        for (time, expected) in [(before, false), (after, true)] {
            let (stock, ours) = find_in(&fixture, zone, time);
            assert_eq!(stock.status.success(), expected, "{zone} {}", told(&stock));
            assert_eq!(ours.status.success(), expected, "{zone} {}", told(&ours));
        }
    }
}

#[test]
fn a_name_that_would_be_read_as_two_is_not_told() {
    let fixture = Fixture::empty();
    for name in ["user", "ca"] {
        fixture.make_key(name, &["-t", "ed25519"]);
    }
    // ssh-keygen splits names at commas, so it has to be a line break.
    let names = "a@x\nroot@x";
    let arguments = ["-q", "-s", "ca", "-I", "id", "-n", names, "user.pub"];
    fixture.stock_ok(&arguments, b"");
    fixture.sign("user-cert.pub", "git", "user.sig", &[]);
    fixture.put(
        "allowed",
        format!("* cert-authority {}\n", fixture.public("ca")).as_bytes(),
    );
    differ(&fixture, "-Y find-principals -f allowed -s user.sig", true);
}

#[test]
fn keys_in_pem_are_named_as_such() {
    let fixture = Fixture::empty();
    fixture.make_key("pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]);
    differ(&fixture, "-Y sign -n git -f pem", true);
    let ours = fixture.ours(&words("-Y sign -n git -f pem"), MESSAGE);
    assert!(
        told(&ours).contains("ssh-keygen -p -f pem"),
        "{}",
        told(&ours)
    );
}
