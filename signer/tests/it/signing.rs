use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::fd::AsRawFd as _,
    time::Duration,
};

use notme_core::{armor::dearmor, cms::SignedMessage, frame::Refusal, timestamp::TimeStampToken};
use notme_signer::{Command, Deadline, Streams, parse, sign};

use crate::fake_agent::{Character, World};

const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";

/// What came out of a run.
struct Run {
    code: u8,
    stdout: Vec<u8>,
    stderr: String,
}

impl Run {
    /// Asserts that there is no signature and nothing that git would take for one.
    fn failed(&self) -> &str {
        assert_eq!(self.code, 2);
        assert_eq!(self.stdout, b"");
        assert!(!self.stderr.contains("SIG_CREATED"), "{}", self.stderr);
        &self.stderr
    }
}

fn run(world: &World, line: &[&str]) -> Run {
    run_within(world, line, Duration::from_secs(20))
}

fn run_within(world: &World, line: &[&str], time: Duration) -> Run {
    let mut stdout = Vec::new();
    let (code, stderr) = run_with(world, line, time, &mut &*PAYLOAD, &mut stdout);
    Run {
        code,
        stdout,
        stderr,
    }
}

fn run_with(
    world: &World,
    line: &[&str],
    time: Duration,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
) -> (u8, String) {
    let Command::Sign(command) = parse(line.iter().map(OsString::from)).unwrap() else {
        panic!("not a signing command: {line:?}");
    };
    let mut stderr = Vec::new();
    let mut streams = Streams {
        stdin,
        stdout,
        stderr: &mut stderr,
    };
    let code = sign(
        &command,
        &world.endpoint(),
        Deadline::after(time),
        &mut streams,
    );
    (code, String::from_utf8(stderr).unwrap())
}

const GIT: [&str; 3] = ["--status-fd=2", "-bsau", "claude"];

#[test]
fn writes_a_signature_that_holds_and_says_so() {
    let world = World::with(Character::Honest);
    let run = run(&world, &GIT);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let message = SignedMessage::parse(&dearmor(&run.stdout).unwrap()).unwrap();
    message.verify(PAYLOAD).unwrap();
    let kid = world.session.certificate().kid();
    // git before 2.36 wants a line break before it, every git a space behind the word.
    let created = format!("\n[GNUPG:] SIG_CREATED D 303 10 00 20261120T120000 {kid}\n");
    assert!(run.stderr.contains(&created), "{}", run.stderr);
    assert!(
        run.stderr.contains("gpgsm: signature created\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn writes_der_without_armor() {
    let run = run(&World::with(Character::Honest), &["-bu", "claude"]);
    assert_eq!(run.code, 0);
    SignedMessage::parse(&run.stdout)
        .unwrap()
        .verify(PAYLOAD)
        .unwrap();
    assert!(!run.stderr.contains("GNUPG"), "{}", run.stderr);
}

#[test]
fn writes_status_behind_the_signature_when_both_go_to_stdout() {
    let run = run(
        &World::with(Character::Honest),
        &["--status-fd=1", "-bsau", "claude"],
    );
    let text = String::from_utf8(run.stdout).unwrap();
    let (signature, status) = text.split_at(text.find("[GNUPG:]").unwrap());
    dearmor(signature.as_bytes()).unwrap();
    assert!(status.starts_with("[GNUPG:] BEGIN_SIGNING\n[GNUPG:] SIG_CREATED D "));
    assert!(!run.stderr.contains("GNUPG"));
}

#[test]
fn writes_status_to_any_open_file() {
    let (mut reader, writer) = io::pipe().unwrap();
    let fd = format!("--status-fd={}", writer.as_raw_fd());
    let run = run(&World::with(Character::Honest), &[&fd, "-bsau", "claude"]);
    drop(writer);
    let mut status = String::new();
    reader.read_to_string(&mut status).unwrap();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(status.contains("\n[GNUPG:] SIG_CREATED D "), "{status}");
    assert!(!run.stderr.contains("GNUPG"));
}

#[test]
fn signs_nothing_when_the_status_file_is_not_open() {
    let run = run(
        &World::with(Character::Honest),
        &["--status-fd=999999", "-bsau", "claude"],
    );
    assert!(run.failed().contains("can't open fd 999999"));
}

#[test]
fn refuses_to_sign_without_a_key() {
    let world = World::with(Character::Honest);
    for line in [
        &["--status-fd=2", "-bsau", ""][..],
        &["--status-fd=2", "-bsa"],
    ] {
        let run = run(&world, line);
        let stderr = run.failed();
        assert!(stderr.starts_with("[GNUPG:] INV_SGNR 9 \n"), "{stderr}");
        assert!(stderr.contains("git config user.signingkey"), "{stderr}");
    }
}

#[test]
fn refuses_a_key_that_the_agent_does_not_know() {
    let refusal = Refusal {
        code: "key-unknown".to_owned(),
        message: "no agent and no session is called so".to_owned(),
        hint: Some("`notme init` helps".to_owned()),
    };
    let world = World::with(Character::Refusing(refusal));
    let run = run(
        &world,
        &["--status-fd=2", "-bsau", "A\n[GNUPG:] SIG_CREATED <a@b>"],
    );
    let stderr = run.stderr;
    assert_eq!((run.code, run.stdout), (2, Vec::new()));
    assert!(
        stderr.starts_with("[GNUPG:] INV_SGNR 9 A%0A[GNUPG:] SIG_CREATED <a@b>\n"),
        "{stderr}"
    );
    assert!(!stderr.contains("\n[GNUPG:]"), "{stderr}");
    assert!(
        stderr.contains("gpgsm: hint: `notme init` helps\n"),
        "{stderr}"
    );
}

#[test]
fn passes_a_refusal_on() {
    let refusal = Refusal {
        code: "payload-not-understood".to_owned(),
        message: "not a commit\u{1b}[2J".to_owned(),
        hint: None,
    };
    let run = run(&World::with(Character::Refusing(refusal)), &GIT);
    assert_eq!(run.failed(), "gpgsm: signing failed: not a commit?[2J\n");
}

#[test]
fn never_lets_a_wrong_signature_out() {
    for character in [Character::Forging, Character::Confused] {
        let run = run(&World::with(character), &GIT);
        assert!(run.failed().contains("the signature made does not hold"));
    }
}

#[test]
fn puts_a_time_stamp_over_the_signature_beside_it() {
    let run = run(&World::with(Character::Stamping(None)), &GIT);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let message = SignedMessage::parse(&dearmor(&run.stdout).unwrap()).unwrap();
    let [token] = message.time_stamps().collect::<Vec<_>>()[..] else {
        panic!("one time stamp");
    };
    let token = TimeStampToken::parse(token).unwrap();
    assert!(token.covers(message.signature()));
}

#[test]
fn never_lets_a_time_stamp_over_something_else_out() {
    let run = run(&World::with(Character::Stamping(Some(b"else"))), &GIT);
    let told = run.failed();
    assert!(told.contains("time stamp is over other bytes"), "{told}");
}

#[test]
fn tells_the_user_what_the_agent_has_to_say() {
    let notice = "authority unreachable, signed with the session certificate";
    let run = run(&World::with(Character::Talkative(notice)), &GIT);
    assert_eq!(run.code, 0);
    assert_eq!(run.stderr.matches(notice).count(), 1);
    assert!(
        run.stderr.starts_with(&format!("gpgsm: note: {notice}\n")),
        "{}",
        run.stderr
    );
}

#[test]
fn never_waits_beyond_the_deadline() {
    for character in [Character::Silent, Character::Slow] {
        let run = run_within(&World::with(character), &GIT, Duration::from_millis(300));
        assert!(
            run.failed().contains("did not answer in time"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn survives_an_agent_that_breaks_the_protocol() {
    for character in [
        Character::Rude,
        Character::Babbling(b""),
        Character::Babbling(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        Character::Babbling(b"\0\0\0\x07\x01\0\0\0\x02{}"),
        Character::Babbling(b"\0\0\0\x10\x01\0\0\0\x0b{\"ok\":null}"),
        Character::Babbling(b"\xff\xff\xff\xff\x01\0\0\0\0"),
    ] {
        run(&World::with(character), &GIT).failed();
    }
}

#[test]
fn hears_a_busy_agent_out() {
    let run = run(&World::with(Character::Busy), &GIT);
    assert!(run.failed().contains("too many"));
}

#[test]
fn says_when_no_agent_runs() {
    let run = run(&World::empty(), &GIT);
    let stderr = run.failed();
    assert!(stderr.contains("no key agent is running"), "{stderr}");
    assert!(stderr.contains("notme agent start"), "{stderr}");
}

#[test]
fn refuses_more_than_the_agent_takes() {
    let world = World::with(Character::Honest);
    let mut stdout = Vec::new();
    let time = Duration::from_secs(20);
    let (code, stderr) = run_with(&world, &GIT, time, &mut io::repeat(b'x'), &mut stdout);
    assert_eq!((code, stdout), (2, Vec::new()));
    assert!(stderr.contains("longer than 16777216 bytes"), "{stderr}");
}

#[test]
fn reports_no_signature_that_could_not_be_written() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            match taken {
                0 => Err(io::ErrorKind::BrokenPipe.into()),
                taken => Ok(taken),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let world = World::with(Character::Honest);
    for room in [0, 100] {
        let time = Duration::from_secs(20);
        let (code, stderr) = run_with(&world, &GIT, time, &mut &*PAYLOAD, &mut Full(room));
        assert_eq!(code, 2);
        assert!(!stderr.contains("SIG_CREATED"), "{stderr}");
        assert!(stderr.contains("could not write the signature"), "{stderr}");
    }
}
