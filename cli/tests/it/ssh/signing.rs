//! What `-Y sign` writes, where, and when it writes nothing.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Stdio},
    thread,
};

use notme_core::base64;
use notme_testkit::{oracle::oracle, repository::run};

use super::fixture::{Fixture, MESSAGE, seen, words};
use crate::world::told;

fn mode(fixture: &Fixture, name: &str) -> u32 {
    let metadata = fs::metadata(fixture.path().join(name)).unwrap();
    metadata.permissions().mode() & 0o777
}

fn with_key() -> Fixture {
    let fixture = Fixture::empty();
    fixture.make_key("key", &["-t", "ed25519"]);
    fixture
}

#[test]
fn files_are_written_byte_for_byte_as_ssh_keygen_writes_them() {
    let fixture = with_key();
    for name in ["a", "b b", "ü"] {
        fixture.put(name, name.as_bytes());
    }
    let sign = ["-Y", "sign", "-n", "git", "-f", "key", "a", "b b", "ü"];
    let files = ["a.sig", "b b.sig", "ü.sig"];
    let stock = fixture.stock_ok(&sign, b"");
    let expected = files.map(|name| (fixture.read(name), mode(&fixture, name)));
    for name in files {
        fs::remove_file(fixture.path().join(name)).unwrap();
    }
    let ours = fixture.ours(&sign, b"");
    assert_eq!(ours.status.code(), Some(0), "{}", told(&ours));
    assert_eq!(ours.stderr, stock.stderr);
    assert_eq!(ours.stdout, stock.stdout);
    assert_eq!(
        files.map(|name| (fixture.read(name), mode(&fixture, name))),
        expected
    );
}

#[test]
fn a_file_is_replaced_only_on_yes() {
    let fixture = with_key();
    let sign = ["-Y", "sign", "-q", "-n", "git", "-f", "key", "m"];
    for (answer, is_replaced) in [("y\n", true), ("Yes\n", true), ("n\n", false), ("", false)] {
        for ours in [false, true] {
            fixture.put("m.sig", b"old");
            let output = match ours {
                true => fixture.ours(&sign, answer.as_bytes()),
                false => fixture.stock(&sign, answer.as_bytes()),
            };
            let question = "m.sig already exists.\nOverwrite (y/n)? ".to_owned();
            assert_eq!(seen(&output), (Some(0), question), "{answer:?}");
            assert_eq!(fixture.read("m.sig") != b"old", is_replaced, "{answer:?}");
        }
    }
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let fixture = with_key();
    fixture.make_key("other", &["-t", "ed25519"]);
    fs::copy(
        fixture.path().join("other.pub"),
        fixture.path().join("key.pub"),
    )
    .unwrap();
    fixture.make_key("locked", &["-t", "ed25519"]);
    fixture.stock_ok(&["-p", "-q", "-P", "", "-N", "secret", "-f", "locked"], b"");
    fixture.put("half", &fixture.read("other")[..100]);
    let half = fixture.path().join("half");
    fs::set_permissions(half, fs::Permissions::from_mode(0o600)).unwrap();
    fixture.put("half.pub", &fixture.read("other.pub"));
    fixture.put("alone.pub", &fixture.read("other.pub"));
    for (key, reason) in [
        ("key", "doesn't match"),
        ("locked", "encrypted"),
        ("half", "armor is broken"),
        ("alone.pub", "No private key found"),
        ("alone", "No private key found"),
        ("m", "no key"),
        ("absent", "No such file"),
    ] {
        let output = fixture.ours(&["-Y", "sign", "-n", "git", "-f", key, "m"], b"");
        assert_eq!(output.status.code(), Some(255), "{key}: {}", told(&output));
        assert!(told(&output).contains(reason), "{key}: {}", told(&output));
        assert!(!fixture.path().join("m.sig").exists(), "{key}");
        let left = fs::read_dir(fixture.path()).unwrap();
        let left = left.filter(|it| {
            it.as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with(".m")
        });
        assert_eq!(left.count(), 0, "{key}");
    }
}

#[test]
fn a_private_key_that_others_may_read_is_not_used() {
    let fixture = with_key();
    let key = fixture.path().join("key");
    let arguments = ["-Y", "sign", "-q", "-n", "git", "-f", "key"];
    for (mode, code) in [(0o644, 255), (0o640, 255), (0o602, 255), (0o400, 0)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let stock = fixture.stock(&arguments, MESSAGE);
        let ours = fixture.ours(&arguments, MESSAGE);
        assert_eq!(stock.status.code(), Some(code), "{mode:o} {}", told(&stock));
        assert_eq!(ours.status.code(), Some(code), "{mode:o} {}", told(&ours));
        let is_told = String::from_utf8_lossy(&ours.stderr).contains("too open");
        assert_eq!(is_told, code != 0, "{mode:o} {}", told(&ours));
    }
}

#[test]
fn a_key_with_long_padding_is_read() {
    let fixture = Fixture::empty();
    fixture.make_key("key", &["-t", "ed25519", "-C", "c"]);
    let text = String::from_utf8(fixture.read("key")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let blob = base64::decode(lines[1..lines.len() - 1].concat());
    let mut blob = blob.unwrap();
    // The private half ends the file: its length, itself, and a padding of 1, 2, 3, ...
    let old = usize::from(*blob.last().unwrap());
    let head = blob.len() - old;
    let at = (0..head).find(|at| {
        let Some(word) = blob[*at..].first_chunk() else {
            return false;
        };
        usize::try_from(u32::from_be_bytes(*word)).unwrap() == blob.len() - at - 4
    });
    let at = at.unwrap();
    blob.truncate(head);
    blob.extend((0..=u8::MAX).cycle().skip(1).take(old + 256));
    let private = u32::try_from(blob.len() - at - 4).unwrap();
    blob[at..at + 4].copy_from_slice(&private.to_be_bytes());
    let body = base64::encode(&blob);
    let key = format!("{}\n{body}\n{}\n", lines[0], lines[lines.len() - 1]);
    fs::write(fixture.path().join("key"), key).unwrap();
    let arguments = ["-Y", "sign", "-q", "-n", "git", "-f", "key"];
    let (stock, ours) = (
        fixture.stock(&arguments, MESSAGE),
        fixture.ours(&arguments, MESSAGE),
    );
    assert!(stock.status.success(), "{}", told(&stock));
    assert_eq!(seen(&ours), seen(&stock), "{}", told(&ours));
}

#[test]
fn a_passphrase_opens_the_key() {
    let fixture = with_key();
    fixture.stock_ok(&["-p", "-q", "-P", "", "-N", "secret", "-f", "key"], b"");
    let good = fixture.ours(&words("-Y sign -P secret -n git -f key"), MESSAGE);
    assert!(good.status.success(), "{}", told(&good));
    let bad = fixture.ours(&words("-Y sign -P other -n git -f key"), MESSAGE);
    assert_eq!(bad.status.code(), Some(255), "{}", told(&bad));
}

#[test]
fn a_private_key_alone_is_enough() {
    let fixture = with_key();
    fs::remove_file(fixture.path().join("key.pub")).unwrap();
    let sign = words("-Y sign -n git -f key");
    let (stock, ours) = (
        fixture.stock_ok(&sign, MESSAGE),
        fixture.ours(&sign, MESSAGE),
    );
    assert_eq!(seen(&stock), seen(&ours), "{}", told(&ours));
}

/// An OpenSSH agent of the test's own; it ends with the value.
struct Agent {
    child: Child,
    socket: std::path::PathBuf,
}

impl Agent {
    fn start(fixture: &Fixture) -> Self {
        let socket = fixture.path().join("agent.sock");
        let mut command = fixture.command(&oracle("ssh-agent"));
        let mut child = command
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It tells its socket as soon as it listens.
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.contains("SSH_AUTH_SOCK"), "{line}");
        Self { child, socket }
    }

    fn add(&self, fixture: &Fixture, key: &str) {
        let mut command = fixture.command(&oracle("ssh-add"));
        let output = run(command.env("SSH_AUTH_SOCK", &self.socket).arg(key), b"");
        assert!(output.status.success(), "{}", told(&output));
    }

    fn sign(&self, fixture: &Fixture, arguments: &[&str]) -> std::process::Output {
        let mut command = fixture.command(&fixture.program());
        let command = command.env("SSH_AUTH_SOCK", &self.socket);
        run(
            command.args(["-Y", "sign", "-n", "git"]).args(arguments),
            MESSAGE,
        )
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_agent_signs_for_every_kind_of_key_that_it_holds() {
    let fixture = Fixture::empty();
    let agent = Agent::start(&fixture);
    for (name, kind) in [
        ("ed", ["-t", "ed25519"]),
        ("ec", ["-t", "ecdsa"]),
        ("rsa", ["-t", "rsa"]),
    ] {
        fixture.make_key(name, &kind);
        fixture.make_key("ca", &["-t", "ed25519"]);
        let public = format!("{name}.pub");
        fixture.stock_ok(&["-q", "-s", "ca", "-I", "id", "-n", "a@x", &public], b"");
        agent.add(&fixture, name);
        for gone in [name, "ca", "ca.pub"] {
            fs::remove_file(fixture.path().join(gone)).unwrap();
        }
        for key in [public, format!("{name}-cert.pub")] {
            for options in [&["-U", "-f", &key][..], &["-f", &key]] {
                let output = agent.sign(&fixture, options);
                assert!(output.status.success(), "{key}: {}", told(&output));
                fixture.put("m.sig", &output.stdout);
                let check = words("-Y check-novalidate -n git -s m.sig");
                fixture.stock_ok(&check, MESSAGE);
            }
        }
    }
}

#[test]
fn an_agent_without_the_key_is_no_excuse_where_it_is_required() {
    let fixture = with_key();
    let agent = Agent::start(&fixture);
    let required = agent.sign(&fixture, &["-U", "-f", "key"]);
    assert_eq!(required.status.code(), Some(255));
    assert!(
        told(&required).contains("Couldn't find key in agent"),
        "{}",
        told(&required)
    );
    let file = agent.sign(&fixture, &["-f", "key"]);
    assert!(file.status.success(), "{}", told(&file));
}

#[test]
fn a_hundred_megabytes_are_signed_and_verified_in_little_memory() {
    let fixture = with_key();
    let big = fs::File::create(fixture.path().join("big")).unwrap();
    big.set_len(100 << 20).unwrap();
    // Far less than the file: who reads it whole fails.
    let limited = |line: &str, input: fs::File| {
        let script = format!("ulimit -v 65536; exec \"$0\" {line}");
        let mut command = fixture.command("sh".as_ref());
        command
            .arg("-c")
            .arg(script)
            .arg(fixture.program())
            .stdin(input);
        command.output().unwrap()
    };
    let null = || fs::File::open("/dev/null").unwrap();
    let signed = limited("-Y sign -n git -f key big", null());
    assert!(signed.status.success(), "{}", told(&signed));
    let data = fs::File::open(fixture.path().join("big")).unwrap();
    let verified = limited("-Y check-novalidate -n git -s big.sig", data);
    assert!(verified.status.success(), "{}", told(&verified));
    let data = fs::File::open(fixture.path().join("big")).unwrap();
    let mut stock = fixture.command(&oracle("ssh-keygen"));
    stock
        .args(words("-Y check-novalidate -n git -s big.sig"))
        .stdin(data);
    assert!(stock.output().unwrap().status.success());
}

#[test]
fn a_reader_that_goes_away_makes_it_fail() {
    let fixture = with_key();
    let mut command = fixture.command(&fixture.program());
    let mut child = command
        .args(words("-Y sign -n git -f key"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let feeding = thread::spawn(move || stdin.write_all(MESSAGE));
    assert_eq!(child.wait().unwrap().code(), Some(255));
    feeding.join().unwrap().unwrap();
}

#[test]
fn a_full_disk_makes_it_fail_and_a_closed_stdout_is_the_null_device() {
    let fixture = with_key();
    let code = |program: &Path, to: &str| {
        let script = format!(r#""$0" -Y sign -q -n git -f key <key.pub {to}"#);
        let mut shell = fixture.command(Path::new("/bin/sh"));
        shell.args(["-c", &script]).arg(program);
        shell.output().unwrap().status.code()
    };
    // ssh-keygen opens the null device in place of what is closed, and so does Rust's runtime.
    for (to, stock, ours) in [(">&-", 0, 0), (">/dev/null", 0, 0), (">/dev/full", 0, 255)] {
        assert_eq!(code(&oracle("ssh-keygen"), to), Some(stock), "{to}");
        assert_eq!(code(&fixture.program(), to), Some(ours), "{to}");
    }
}
