//! The same inputs to ssh-keygen and to us: exit code and stdout must be the same.

use super::fixture::{Fixture, MESSAGE, seen, words};
use crate::world::told;

/// Runs each row through both programs. A row is a file of allowed signers, a command line, and
/// the exit code that both have to give: a row that both refuse for another reason shows nothing.
fn agree(fixture: &Fixture, rows: &[(&str, &str, i32)]) {
    let mut differences = Vec::new();
    for (allowed, line, expected) in rows {
        fixture.allow(allowed);
        let words = words(line);
        let stock = fixture.stock(&words, MESSAGE);
        let ours = fixture.ours(&words, MESSAGE);
        if seen(&stock) != seen(&ours) || stock.status.code() != Some(*expected) {
            differences.push(format!(
                "{allowed}\n{line}\nexpected {expected}\nstock: {}\nours: {}",
                told(&stock),
                told(&ours)
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n---\n"));
}

const BAD: i32 = 255;

/// `-Y verify` of a plain key, as git calls it.
macro_rules! verify {
    ($principal:literal) => {
        concat!("-Y verify -n git -f allowed -s user.sig -I ", $principal)
    };
    ($principal:literal, $more:literal) => {
        concat!(
            "-Y verify -n git -f allowed -s user.sig -I ",
            $principal,
            " ",
            $more
        )
    };
}

#[test]
fn plain_keys_are_allowed_alike() {
    agree(
        &Fixture::new(),
        &[
            ("a@x {user}", verify!("a@x"), 0),
            ("a@x {user} with a comment", verify!("a@x"), 0),
            ("  a@x\t{user}\r", verify!("a@x"), 0),
            ("a@x {user}", verify!("b@x"), BAD),
            ("a@x {other}", verify!("a@x"), BAD),
            ("", verify!("a@x"), BAD),
            ("# a@x {user}\n\n", verify!("a@x"), BAD),
            ("a@x,b@x {user}", verify!("b@x"), 0),
            ("*@x {user}", verify!("b@x"), 0),
            ("?@x {user}", verify!("b@x"), 0),
            ("?@x {user}", verify!("bb@x"), BAD),
            ("*@x,!b@x {user}", verify!("b@x"), BAD),
            ("!b@x,*@x {user}", verify!("b@x"), BAD),
            ("!b@x,*@x {user}", verify!("a@x"), 0),
            ("!b@x {user}", verify!("a@x"), BAD),
            (
                "\"a b@x\",c@x {user}",
                "-Y verify -n git -f allowed -s user.sig -I a@x",
                BAD,
            ),
            ("\"a@x\" {user}", verify!("a@x"), 0),
            ("\"a@x {user}", verify!("a@x"), BAD),
            ("A@x {user}", verify!("a@x"), BAD),
            ("a@x {other}\na@x {user}", verify!("a@x"), 0),
            ("a@x {user}\na@x {other}", verify!("a@x"), 0),
            ("a@x cert-authority {user}", verify!("a@x"), BAD),
            ("a@x {good-cert}", verify!("a@x"), BAD),
            ("a@x", verify!("a@x"), BAD),
            ("a@x foo {user}\nb@x {user}", verify!("b@x"), 0),
            ("a@x foo {user}\na@x {user}", verify!("a@x"), 0),
            ("a@x ssh-ed25519 AAAA\na@x {user}", verify!("a@x"), 0),
            ("one\na@x {user}", verify!("a@x"), 0),
            // A name begins after spaces and tabs; all other white space is part of it, or its end.
            ("\ra@x {user}", verify!("a@x"), BAD),
            ("\x0ca@x {user}", verify!("a@x"), BAD),
            ("\r\na@x {user}\r", verify!("a@x"), 0),
            // Nothing stands after a last comma, but something empty before and between.
            ("a@x, {user}", verify!("''"), BAD),
            ("\"\" {user}", verify!("''"), BAD),
            ("a@x,, {user}", verify!("''"), 0),
            (", {user}", verify!("''"), 0),
        ],
    );
}

#[test]
fn options_of_lines_are_read_alike() {
    agree(
        &Fixture::new(),
        &[
            ("a@x namespaces=\"git\" {user}", verify!("a@x"), 0),
            ("a@x namespaces=\"file\" {user}", verify!("a@x"), BAD),
            ("a@x namespaces=\"file,git\" {user}", verify!("a@x"), 0),
            ("a@x namespaces=\"g*\" {user}", verify!("a@x"), 0),
            ("a@x namespaces=\"*,!git\" {user}", verify!("a@x"), BAD),
            ("a@x NameSpaces=\"git\" {user}", verify!("a@x"), 0),
            ("a@x namespaces=git {user}", verify!("a@x"), BAD),
            ("a@x namespaces=\"git {user}", verify!("a@x"), BAD),
            (
                "a@x namespaces=\"git\",namespaces=\"git\" {user}",
                verify!("a@x"),
                BAD,
            ),
            ("a@x namespaces=\"git\", {user}", verify!("a@x"), BAD),
            ("a@x ,namespaces=\"git\" {user}", verify!("a@x"), 0),
            ("a@x namespaces=\"git\"x {user}", verify!("a@x"), BAD),
            (
                "a@x namespaces=\"a b\",cert-authority {user}",
                verify!("a@x"),
                BAD,
            ),
            ("a@x namespaces=\"\\\"git\" {user}", verify!("a@x"), BAD),
            ("a@x namespaces=\"\" {user}", verify!("a@x"), BAD),
            ("a@x what=\"git\" {user}", verify!("a@x"), BAD),
            ("a@x no-cert-authority {user}", verify!("a@x"), BAD),
            (
                "a@x namespaces=\"file\" {user}\na@x {user}",
                verify!("a@x"),
                0,
            ),
            (
                "a@x namespaces=\"file\" {user}",
                "-Y find-principals -f allowed -s user.sig",
                0,
            ),
        ],
    );
}

#[test]
fn windows_of_lines_begin_and_end_alike() {
    let window = "a@x valid-after=\"20240101000000Z\",valid-before=\"20240101000010Z\" {user}";
    let day = "a@x valid-after=\"20240101\" {user}";
    agree(
        &Fixture::new(),
        &[
            (window, verify!("a@x", "-Overify-time=20231231235959Z"), BAD),
            (window, verify!("a@x", "-Overify-time=20240101000000Z"), 0),
            (window, verify!("a@x", "-Overify-time=20240101000010Z"), 0),
            (window, verify!("a@x", "-Overify-time=20240101000011Z"), BAD),
            (window, verify!("a@x"), BAD),
            (day, verify!("a@x"), 0),
            (day, verify!("a@x", "-O verify-time=20240101"), 0),
            (day, verify!("a@x", "-O verify-time=202401010000"), 0),
            (day, verify!("a@x", "-O verify-time=20231231235959"), BAD),
            (day, verify!("a@x", "-O verify-time=20240101utc"), 0),
            (day, verify!("a@x", "-O VERIFY-TIME=20240101z"), 0),
            (day, verify!("a@x", "-O verify-time=2024"), BAD),
            (day, verify!("a@x", "-O verify-time="), BAD),
            (day, verify!("a@x", "-O verify-time=19700101Z"), BAD),
            (
                day,
                verify!("a@x", "-O verify-time=20231231 -O verify-time=20240102"),
                0,
            ),
            (
                day,
                verify!("a@x", "-O verify-time=20240102 -O verify-time=20231231"),
                BAD,
            ),
            ("a@x valid-before=\"20240101\" {user}", verify!("a@x"), BAD),
            ("a@x valid-after=\"2024\" {user}", verify!("a@x"), BAD),
            (
                "a@x valid-after=\"20250101\",valid-before=\"20240101\" {user}",
                verify!("a@x"),
                BAD,
            ),
            (
                "a@x valid-after=\"20240101\",valid-after=\"20240101\" {user}",
                verify!("a@x"),
                BAD,
            ),
            (window, "-Y find-principals -f allowed -s user.sig", BAD),
            (
                window,
                "-Y find-principals -f allowed -s user.sig -O verify-time=20240101Z",
                0,
            ),
        ],
    );
}

/// `-Y verify` of a certificate, with a time inside its year.
macro_rules! certified {
    ($name:literal, $principal:literal) => {
        certified!($name, $principal, "-Overify-time=20240601000000Z")
    };
    ($name:literal, $principal:literal, $more:literal) => {
        concat!(
            "-Y verify -n git -f allowed -s ",
            $name,
            ".sig -I ",
            $principal,
            " ",
            $more
        )
    };
}
macro_rules! find {
    ($name:literal) => {
        concat!(
            "-Y find-principals -f allowed -s ",
            $name,
            ".sig -Overify-time=20240601000000Z"
        )
    };
}

#[test]
fn certificates_are_judged_alike() {
    let ca = "*@example.com cert-authority,namespaces=\"git\" {ca}";
    let who = "agent@example.com cert-authority {ca}";
    agree(
        &Fixture::new(),
        &[
            (ca, certified!("good", "agent@example.com"), 0),
            (ca, certified!("good", "second@example.com"), 0),
            (ca, certified!("good", "third@example.com"), BAD),
            (ca, certified!("good", "*@example.com"), BAD),
            (who, certified!("good", "agent@example.com"), 0),
            (who, certified!("good", "second@example.com"), BAD),
            (
                ca,
                certified!("good", "agent@example.com", "-Overify-time=20231231235959Z"),
                BAD,
            ),
            (
                ca,
                certified!("good", "agent@example.com", "-Overify-time=20240101000000Z"),
                0,
            ),
            (
                ca,
                certified!("good", "agent@example.com", "-Overify-time=20241231235959Z"),
                0,
            ),
            (
                ca,
                certified!("good", "agent@example.com", "-Overify-time=20250101000000Z"),
                BAD,
            ),
            (ca, certified!("good", "agent@example.com", ""), BAD),
            (ca, certified!("forever", "agent@example.com", ""), 0),
            (
                ca,
                certified!("forever", "agent@example.com", "-Overify-time=19700102Z"),
                0,
            ),
            (ca, certified!("unnamed", "agent@example.com"), BAD),
            (
                "* cert-authority {ca}",
                certified!("unnamed", "agent@example.com"),
                BAD,
            ),
            (ca, certified!("host", "agent@example.com"), BAD),
            (ca, certified!("stranger", "agent@example.com"), BAD),
            (ca, certified!("critical", "agent@example.com"), 0),
            (ca, certified!("extended", "agent@example.com"), 0),
            (ca, certified!("bound", "agent@example.com"), 0),
            (ca, certified!("goodfile", "agent@example.com"), BAD),
            (
                ca,
                "-Y verify -n file -f allowed -s goodfile.sig -I agent@example.com -Overify-time=20240601",
                BAD,
            ),
            (
                who,
                "-Y verify -n file -f allowed -s goodfile.sig -I agent@example.com -Overify-time=20240601",
                0,
            ),
            (
                "agent@example.com {ca}",
                certified!("good", "agent@example.com"),
                BAD,
            ),
            (
                "agent@example.com {user}",
                certified!("good", "agent@example.com"),
                BAD,
            ),
            (
                "whoever@x {good-cert}",
                certified!("good", "whoever@x", ""),
                0,
            ),
            (
                "whoever@x {forever-cert}",
                certified!("good", "whoever@x", ""),
                BAD,
            ),
            (
                "*,!agent@example.com cert-authority {ca}",
                certified!("good", "agent@example.com"),
                BAD,
            ),
            (
                "*@example.com cert-authority,valid-before=\"20240101\" {ca}",
                certified!("good", "agent@example.com"),
                BAD,
            ),
            (
                "*@example.com cert-authority {other_ca}\n*@example.com cert-authority {ca}",
                certified!("good", "agent@example.com"),
                0,
            ),
            (ca, find!("good"), 0),
            (ca, find!("forever"), 0),
            (who, find!("good"), 0),
            (
                "second@example.com,agent@example.com cert-authority {ca}",
                find!("good"),
                0,
            ),
            (
                "*@example.com,agent@* cert-authority {ca}",
                find!("good"),
                0,
            ),
            ("!agent@example.com,* cert-authority {ca}", find!("good"), 0),
            ("nobody@example.com cert-authority {ca}", find!("good"), BAD),
            (ca, find!("unnamed"), BAD),
            (ca, find!("host"), BAD),
            (ca, find!("stranger"), BAD),
            (ca, "-Y find-principals -f allowed -s good.sig", BAD),
            (
                "whoever@x {good-cert}",
                "-Y find-principals -f allowed -s good.sig",
                0,
            ),
            (
                "whoever@x {user}\nagent@example.com cert-authority {ca}",
                find!("good"),
                0,
            ),
        ],
    );
}

#[test]
fn principals_are_found_alike() {
    let find = "-Y find-principals -f allowed -s user.sig";
    let matching = "-Y match-principals -f allowed -I a@x";
    agree(
        &Fixture::new(),
        &[
            ("a@x {user}", find, 0),
            ("a@x,*@y,!c@y {user}", find, 0),
            ("a@x,,b@x {user}", find, 0),
            ("\"a b@x\" {user}", find, 0),
            ("a@x {other}", find, BAD),
            ("a@x {other}\nb@x {user}\nc@x {user}", find, 0),
            ("a@x foo {user}\nb@x {user}", find, 0),
            ("a@x namespaces=\"file\" {user}\nb@x {user}", find, 0),
            ("", find, BAD),
            ("a@x {user}", "-Y find-principals -f allowed -s absent", BAD),
            (
                "a@x {user}",
                "-Y find-principals -f absent -s user.sig",
                BAD,
            ),
            ("a@x {user}", "-Y find-principals -f allowed -s m", BAD),
            (
                "a@x {user}",
                "-Y find-principals -f allowed -s user.sig -O print-pubkey",
                BAD,
            ),
            (
                "a@x {user}",
                "-Y find-principals -f allowed -s user.sig -O what",
                BAD,
            ),
            (
                "a@x {user}",
                "-Y find-principals -f allowed -s user.sig ''",
                0,
            ),
            (
                "a@x {user}",
                "-Y find-principals -q -f allowed -s user.sig",
                0,
            ),
            ("a@x {user}", matching, 0),
            ("a@x,b@x {user}\n*@x {other}\nc@x {ca}", matching, 0),
            ("b@x {user}", matching, 210),
            ("!a@x,* {user}", matching, 210),
            ("a@x foo {user}", matching, 252),
            ("a@x {user}\na@x foo {user}", matching, 252),
            ("b@x foo {user}\na@x {user}", matching, 0),
            ("a@x cert-authority,namespaces=\"file\" {user}", matching, 0),
            ("one\na@x {user}", matching, 0),
            ("one\n", matching, 210),
            ("one", matching, 252),
            ("\"a@x\n", matching, 252),
            ("\"\" foo {user}\na@x {user}", matching, 0),
            ("\r\na@x {user}", matching, 0),
            ("\ra@x {user}", matching, 210),
            ("\ra@x {user}", find, BAD),
            ("\x0ca@x {user}", find, 0),
            ("a@x {user}", "-Y match-principals -f absent -I a@x", 232),
            (
                "a@x {user}",
                "-Y match-principals -f allowed -I a@x -O verify-time=2024",
                246,
            ),
            ("a@x {user}", "-Y match-principals -f allowed", 1),
            ("a@x {user}", "-Y match-principals -I a@x", 1),
        ],
    );
}

#[test]
fn calls_are_read_alike() {
    let line = "a@x {user}";
    agree(
        &Fixture::new(),
        &[
            (line, "-Yverify -ngit -fallowed -suser.sig -Ia@x", 0),
            (line, "-qYverify -ngit -fallowed -suser.sig -Ia@x", 0),
            (
                line,
                "-q -Y verify -n git -f allowed -s user.sig -I a@x -O print-pubkey",
                0,
            ),
            (
                line,
                "-Y verify -n git -f allowed -s user.sig -I a@x -Oprint-pubkey",
                0,
            ),
            (
                line,
                "-Y verify -q -n git -f allowed -s user.sig -I b@x",
                BAD,
            ),
            (line, "-Y verify -n git -f allowed -s user256.sig -I a@x", 0),
            (line, "-Y verify -n git -f allowed -s file.sig -I a@x", BAD),
            (line, "-Y verify -n file -f allowed -s file.sig -I a@x", 0),
            (
                line,
                "-Y verify -n file -n git -f allowed -s user.sig -I a@x",
                0,
            ),
            (line, "-Y verify -n git -f allowed -s m -I a@x", BAD),
            (line, "-Y verify -n git -f allowed -s absent -I a@x", BAD),
            (line, "-Y verify -n git -f absent -s user.sig -I a@x", BAD),
            (
                line,
                "-Y verify -n git -f allowed -s user.sig -I a@x -O hashalg=sha512",
                BAD,
            ),
            (
                line,
                "-Y verify -n git -f allowed -s user.sig -I a@x -O what",
                BAD,
            ),
            (line, "-Y check-novalidate -n git -s user.sig -O what", BAD),
            (line, "-Y verify -n git -f allowed -s user.sig -I a@x ''", 0),
            (line, "-Y verify -n git -f allowed -s user.sig -I a@x --", 0),
            (line, "-Y verify -n git -f allowed -s user.sig", 1),
            (line, "-Y verify -n git -f allowed -I a@x", 1),
            (line, "-Y verify -n git -s user.sig -I a@x", 1),
            (line, "-Y verify -f allowed -s user.sig -I a@x", 1),
            (line, "-Y verify -n '' -f allowed -s user.sig -I a@x", 1),
            (line, "-Y verify -n", 1),
            (line, "-Y", 1),
            (line, "-Y what", 1),
            (line, "-Y verify -J", 1),
            (line, "-Y check-novalidate -n git -s user.sig", 0),
            (line, "-Y check-novalidate -n git -s good.sig", 0),
            (line, "-Y check-novalidate -n git -s host.sig", 0),
            (
                line,
                "-Y check-novalidate -n git -s user.sig -Overify-time=20240101000000",
                0,
            ),
            (
                line,
                "-Y check-novalidate -n git -s user.sig -Overify-time=nonsense",
                BAD,
            ),
            (line, "-Y check-novalidate -n git -s user.sig ''", 0),
            (
                line,
                "-Y check-novalidate -n git -s user.sig -O print-pubkey",
                0,
            ),
            (line, "-q -Y check-novalidate -n git -s user.sig", 0),
            (line, "-Y check-novalidate -n file -s user.sig", BAD),
            (line, "-Y check-novalidate -n git -s absent", BAD),
            (line, "-Y check-novalidate -n git", 1),
            (line, "-Y check-novalidate -s user.sig", 1),
            (line, "-Y find-principals -f allowed", 1),
            (line, "-Y find-principals -s user.sig", 1),
            (line, "-Y sign -n git", 1),
            (line, "-Y sign -f user", 1),
            (line, "-Y sign -n git -f absent m", BAD),
            (line, "-Y sign -n git -f user absent", BAD),
            (line, "-Y sign -n git -f user -O hashalg=md5 m", BAD),
            (
                line,
                "-Y sign -n git -f user -O verify-time=20240101 m",
                BAD,
            ),
            (line, "-Y sign -n git -f user m -", BAD),
            (line, "-Y sign -U -n git -f user m", BAD),
            (line, "-Y sign -n git -f m m", BAD),
            // Ed25519 has one signature for one message, so stdout is the same too.
            (line, "-Y sign -n git -f user", 0),
            (line, "-Y sign -n git -f user -", 0),
            (line, "-Y sign -q -n git -f user.pub", 0),
            (line, "-Y sign -n git -f good-cert.pub -O hashalg=sha256", 0),
            (line, "-Ysign -nx -fuser -Ohashalg=sha512", 0),
        ],
    );
}

/// Puts zero, which stands for no serial number, where the list has this one.
fn without_serial(krl: &[u8], serial: u64) -> Vec<u8> {
    let mut windows = krl.windows(8);
    let at = windows.rposition(|window| window == serial.to_be_bytes());
    let at = at.expect("the list has the serial number");
    [&krl[..at], &[0; 8], &krl[at + 8..]].concat()
}

#[test]
fn what_is_revoked_is_refused_alike() {
    let fixture = Fixture::new();
    let specs = [
        ("serial", "serial: 7\n"),
        ("range", "serial: 5-9\n"),
        ("elsewhere", "serial: 1-6\nserial: 8-20\n"),
        (
            "bitmap",
            "serial: 1\nserial: 3\nserial: 5\nserial: 7\nserial: 9\nserial: 12\nserial: 14\nserial: 17\n",
        ),
        ("zero", "serial: 1-18446744073709551615\n"),
        ("id", "id: id-7\n"),
        ("otherid", "id: id-9\n"),
    ];
    for (name, spec) in specs {
        fixture.put("spec", spec.as_bytes());
        let out = format!("krl-{name}");
        fixture.stock_ok(&["-q", "-k", "-f", &out, "-s", "ca.pub", "spec"], b"");
    }
    fixture.put("spec", b"serial: 7\n");
    fixture.stock_ok(&["-q", "-k", "-f", "krl-wild", "-s", "none", "spec"], b"");
    fixture.stock_ok(
        &[
            "-q",
            "-k",
            "-f",
            "krl-otherca",
            "-s",
            "other_ca.pub",
            "spec",
        ],
        b"",
    );
    for name in ["sha1", "sha256"] {
        fixture.put(
            "spec",
            format!("{name}: {}\n", fixture.public("user")).as_bytes(),
        );
        fixture.stock_ok(&["-q", "-k", "-f", &format!("krl-{name}"), "spec"], b"");
    }
    for (name, file) in [
        ("key", "user.pub"),
        ("ca", "ca.pub"),
        ("other", "other.pub"),
        ("cert", "good-cert.pub"),
    ] {
        fixture.stock_ok(&["-q", "-k", "-f", &format!("krl-{name}"), file], b"");
        fixture.put(&format!("list-{name}"), &fixture.read(file));
    }
    fixture.put("list-empty", b"");
    fixture.put("list-comment", b"# nothing\n\n");
    fixture.put("list-broken", b"nonsense\n");
    let krl = fixture.read("krl-serial");
    fixture.put("krl-cut", &krl[..krl.len() - 1]);
    fixture.put("krl-none", &without_serial(&krl, 7));
    fixture.put("spec", b"serial: 5-900\n");
    fixture.stock_ok(&["-q", "-k", "-f", "krl-long", "-s", "ca.pub", "spec"], b"");
    let long = fixture.read("krl-long");
    fixture.put("krl-from-none", &without_serial(&long, 5));
    let other = fixture.read("other.pub");
    fixture.put("list-latin", &[other.trim_ascii_end(), b" \xe9\n"].concat());

    let plain = |list: &str, expected| (format!("{} -r {list}", verify!("a@x")), expected);
    let certified = |name: &str, list: &str, expected| {
        let line = format!(
            "-Y verify -n git -f allowed -s {name}.sig -I agent@example.com -Overify-time=20240601Z -r {list}"
        );
        (line, expected)
    };
    let rows = [
        plain("krl-key", BAD),
        plain("krl-sha1", BAD),
        plain("krl-sha256", BAD),
        plain("krl-other", 0),
        plain("krl-ca", 0),
        plain("krl-serial", 0),
        plain("krl-cut", BAD),
        plain("krl-none", BAD),
        plain("krl-from-none", BAD),
        plain("list-latin", 0),
        plain("list-key", BAD),
        plain("list-cert", BAD),
        plain("list-other", 0),
        plain("list-empty", 0),
        plain("list-comment", 0),
        plain("list-broken", BAD),
        plain("absent", BAD),
        plain("m", BAD),
        certified("good", "krl-serial", BAD),
        certified("good", "krl-range", BAD),
        certified("good", "krl-bitmap", BAD),
        certified("good", "krl-elsewhere", 0),
        certified("forever", "krl-bitmap", 0),
        certified("forever", "krl-serial", 0),
        certified("unnumbered", "krl-zero", 0),
        certified("good", "krl-zero", BAD),
        certified("good", "krl-id", BAD),
        certified("good", "krl-otherid", 0),
        certified("forever", "krl-id", 0),
        certified("good", "krl-wild", BAD),
        certified("good", "krl-otherca", 0),
        certified("good", "krl-key", BAD),
        certified("good", "krl-sha1", BAD),
        certified("good", "krl-sha256", BAD),
        certified("good", "krl-ca", BAD),
        certified("good", "krl-cert", BAD),
        certified("forever", "krl-cert", 0),
        certified("good", "krl-other", 0),
        certified("good", "list-key", BAD),
        certified("good", "list-ca", BAD),
        certified("forever", "list-cert", BAD),
        certified("good", "list-other", 0),
    ];
    let allowed = "a@x {user}\nagent@example.com cert-authority {ca}";
    let rows: Vec<_> = rows
        .iter()
        .map(|(line, expected)| (allowed, line.as_str(), *expected))
        .collect();
    agree(&fixture, &rows);
}
