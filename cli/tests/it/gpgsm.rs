//! The program called as gpgsm: argument forms, status lines, exit codes.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Output, Stdio},
};

use notme_testkit::repository::run;

use crate::world::{World, told};

struct Signed {
    world: World,
    payload: Vec<u8>,
    signature: PathBuf,
}

/// A commit's payload and a signature over it, as git would hand them to a verifier.
fn signed() -> Signed {
    let world = World::initialised();
    let tree = world.empty_tree();
    let payload = format!(
        "tree {tree}\nauthor A <a@example.invalid> 1 +0000\ncommitter A <a@example.invalid> {} +0000\n\nm\n",
        now()
    );
    let output = call(
        &world,
        &["--status-fd=2", "-bsau", "claude"],
        payload.as_bytes(),
    );
    assert!(output.status.success(), "{}", told(&output));
    let signature = world.home().join("signature");
    fs::write(&signature, &output.stdout).unwrap();
    Signed {
        payload: payload.into_bytes(),
        signature,
        world,
    }
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn call(world: &World, arguments: &[&str], input: &[u8]) -> Output {
    run(world.notme_command().args(arguments), input)
}

impl Signed {
    fn verify(&self, payload: &[u8]) -> Output {
        let file = self.signature.to_str().unwrap();
        call(
            &self.world,
            &["--status-fd=1", "--verify", file, "-"],
            payload,
        )
    }
}

#[test]
fn signs_in_every_spelling() {
    let Signed { world, payload, .. } = signed();
    let spellings: [&[&str]; 7] = [
        &["--status-fd=2", "-bsau", "claude"],
        &["--status-fd", "2", "-bsau", "claude"],
        &["--status-fd=2", "-bsauclaude"],
        &["--status-fd=2", "-b", "-s", "-a", "-u", "claude"],
        &[
            "--status-fd=2",
            "--detach-sign",
            "--armor",
            "--local-user",
            "claude",
        ],
        &[
            "--status-fd=2",
            "--detach-sign",
            "--sign",
            "--armor",
            "--local-user=claude",
        ],
        &["--keyid-format=long", "--status-fd=2", "-bsau", "claude"],
    ];
    for arguments in spellings {
        let output = call(&world, arguments, &payload);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        assert!(
            output
                .stdout
                .starts_with(b"-----BEGIN SIGNED MESSAGE-----\n"),
            "{arguments:?}"
        );
        assert!(output.stdout.ends_with(b"-----END SIGNED MESSAGE-----\n"));
        let status = String::from_utf8(output.stderr).unwrap();
        assert!(status.contains("\n[GNUPG:] SIG_CREATED D "), "{status}");
    }
}

#[test]
fn works_under_the_name_that_git_uses() {
    let Signed { world, payload, .. } = signed();
    let link = world.home().join("notme-x509");
    symlink(crate::world::NOTME, &link).unwrap();
    let mut command = world.command(&link);
    let output = run(command.args(["--status-fd=2", "-bsau", "claude"]), &payload);
    assert!(output.status.success(), "{}", told(&output));
    let version = run(world.command(&link).arg("--version"), b"");
    assert!(version.status.success());
    assert!(
        String::from_utf8_lossy(&version.stdout).starts_with("gpgsm (notme) "),
        "{}",
        told(&version)
    );
}

#[test]
fn a_good_signature_is_told_without_a_clock() {
    let signed = signed();
    let output = signed.verify(&signed.payload);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let status = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<_> = status.lines().collect();
    assert!(
        lines.iter().all(|line| line.starts_with("[GNUPG:] ")),
        "{status}"
    );
    assert!(lines[0].starts_with("[GNUPG:] NEWSIG"), "{status}");
    let position = |word: &str| lines.iter().position(|line| line.contains(word)).unwrap();
    assert!(
        position(" GOODSIG ") > 0 && position(" VALIDSIG ") > 0 && position(" TRUST_FULLY") > 0
    );
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(signed.verify(&signed.payload).stdout, output.stdout);
    assert_eq!(signed.verify(&signed.payload).stderr, output.stderr);
}

#[test]
fn an_altered_payload_is_bad() {
    let signed = signed();
    let output = signed.verify(&[&signed.payload[..], b"x"].concat());
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("[GNUPG:] BADSIG "),
        "{}",
        told(&output)
    );
    assert!(!told(&output).contains("GOODSIG"), "{}", told(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gpgsm: invalid signature"));
}

#[test]
fn an_unknown_signer_is_neither_good_nor_bad() {
    let signed = signed();
    signed.world.notme_ok(&["trust", "remove", "embedded"]);
    let other = World::new();
    let pem = other.home().join("root.pem");
    other.notme_ok(&["init"]);
    fs::write(&pem, other.notme_ok(&["authority", "bundle"])).unwrap();
    signed
        .world
        .notme_ok(&["trust", "add", "--name", "other", pem.to_str().unwrap()]);
    let output = signed.verify(&signed.payload);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("GOODSIG ") && text.contains("TRUST_NEVER"),
        "{text}"
    );
    assert!(
        !text.contains("BADSIG") && !text.contains("TRUST_FULLY"),
        "{text}"
    );
}

#[test]
fn what_could_not_be_looked_at_is_said_so() {
    let signed = signed();
    signed.world.notme_ok(&["trust", "remove", "embedded"]);
    let output = signed.verify(&signed.payload);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("[GNUPG:] ERRSIG "), "{text}");
    assert!(
        !text.contains("GOODSIG") && !text.contains("BADSIG"),
        "{text}"
    );
}

#[test]
fn an_unreadable_trust_file_is_never_a_yes() {
    let signed = signed();
    let file = signed
        .world
        .notme_home()
        .join("data/trust/embedded/pin.json");
    fs::write(&file, "{").unwrap();
    let output = signed.verify(&signed.payload);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(!told(&output).contains("GOODSIG"), "{}", told(&output));
}

#[test]
fn nothing_is_signed_that_is_no_git_object() {
    let Signed { world, .. } = signed();
    for payload in [&b""[..], b"hello", b"tree x\n", b"{}", &[0; 64]] {
        let output = call(&world, &["--status-fd=2", "-bsau", "claude"], payload);
        assert!(!output.status.success());
        assert!(output.stdout.is_empty(), "{}", told(&output));
        assert!(!told(&output).contains("SIG_CREATED"), "{}", told(&output));
    }
}

#[test]
fn a_payload_over_the_limit_is_refused_by_name() {
    let Signed { world, payload, .. } = signed();
    let huge = [&payload[..], &vec![b'x'; 17 * 1024 * 1024]].concat();
    let output = call(&world, &["--status-fd=2", "-bsau", "claude"], &huge);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    assert!(
        told(&output).contains("longer than 16777216 bytes"),
        "{}",
        told(&output)
    );
}

#[test]
fn carriage_returns_in_a_message_survive() {
    let Signed { world, payload, .. } = signed();
    let payload = [&payload[..], b"line\r\nline\r\n"].concat();
    let output = call(&world, &["--status-fd=2", "-bsau", "claude"], &payload);
    let signature = world.home().join("crlf");
    fs::write(&signature, &output.stdout).unwrap();
    let verified = call(
        &world,
        &[
            "--status-fd=1",
            "--verify",
            signature.to_str().unwrap(),
            "-",
        ],
        &payload,
    );
    assert!(verified.status.success(), "{}", told(&verified));
}

#[test]
fn a_full_or_closed_output_is_no_signature() {
    let Signed { world, payload, .. } = signed();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = world.notme_command();
    let mut child = command
        .args(["--status-fd=2", "-bsau", "claude"])
        .stdin(Stdio::piped())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &payload).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(!told(&output).contains("SIG_CREATED"), "{}", told(&output));
}

#[test]
fn a_closed_output_is_no_signature() {
    let Signed { world, .. } = signed();
    let payload = world.home().join("payload");
    fs::write(&payload, signed().payload).unwrap();
    let script = format!(
        "'{}' --status-fd=2 -bsau claude < '{}' >&-",
        crate::world::NOTME,
        payload.display()
    );
    let output = world.command("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(!told(&output).contains("SIG_CREATED"), "{}", told(&output));
}

#[test]
fn without_a_home_the_answer_is_not_that_it_is_unsigned() {
    let signed = signed();
    let output = signed
        .world
        .notme_command()
        .env_remove("HOME")
        .env_remove("NOTME_HOME")
        .args([
            "--status-fd=1",
            "--verify",
            signed.signature.to_str().unwrap(),
            "-",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(
        told(&output).contains("[GNUPG:] ERRSIG "),
        "{}",
        told(&output)
    );
}

#[test]
fn a_status_descriptor_that_is_not_open_is_an_error() {
    let Signed { world, payload, .. } = signed();
    let output = call(&world, &["--status-fd=77", "-bsau", "claude"], &payload);
    assert!(!output.status.success(), "{}", told(&output));
}

#[test]
fn wrong_calls_exit_with_two_and_print_nothing_on_stdout() {
    let world = World::new();
    for arguments in [
        &["--frobnicate"][..],
        &["-bsau"],
        &["--verify"],
        &["--status-fd=x", "-bsau", "a"],
    ] {
        let output = call(&world, arguments, b"");
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            told(&output)
        );
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
