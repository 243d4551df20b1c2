//! ssh-keygen's command line, and OpenSSH agents that do not do what they should.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    thread,
};

use notme_core::key::Signer as _;
use notme_core::ssh::{
    HashAlgorithm, Key, Prehash, PublicKey, SshSig, signature::ed25519_blob, wire::Writer,
};
use notme_signer::{
    Streams,
    ssh::{ArgvError, Command, Noise, Sign, SignEnvironment, is_ssh_keygen_shaped, parse, sign},
};
use notme_testkit::keys::Ed25519Key;
use tempfile::TempDir;

fn parsed(line: &str) -> Result<Command, ArgvError> {
    let words = line.split_whitespace();
    parse(words.map(|word| if word == "''" { "" } else { word }.into()))
}

#[test]
fn git_calls_are_understood() {
    let Command::Sign(sign) = parsed("-Y sign -n git -f key -U buffer").unwrap() else {
        panic!("not sign");
    };
    assert_eq!(
        (sign.namespace.as_str(), sign.key.as_path()),
        ("git", Path::new("key"))
    );
    assert!(sign.is_agent_required);
    assert_eq!(sign.files, [Path::new("buffer")]);
    let line = "-Y verify -n git -f allowed -I a@x -s sig -Overify-time=20240101120000 -r revoked";
    let Command::Verify(verify) = parsed(line).unwrap() else {
        panic!("not verify");
    };
    assert_eq!(
        verify.options.verify_time.as_deref(),
        Some("20240101120000")
    );
    assert_eq!(verify.revoked.as_deref(), Some(Path::new("revoked")));
    // As for a push certificate: nothing where the time would be.
    let Command::Verify(verify) =
        parsed("-Y verify -n git -f allowed -I a@x -s sig '' -r revoked").unwrap()
    else {
        panic!("not verify");
    };
    assert_eq!(verify.revoked.as_deref(), Some(Path::new("revoked")));
    assert_eq!(verify.options.verify_time, None);
    for line in [
        "-Y find-principals -f allowed -s sig ''",
        "-Y check-novalidate -n git -s sig ''",
        "-Y match-principals -I a@x -f allowed",
    ] {
        assert!(parsed(line).is_ok(), "{line}");
    }
}

#[test]
fn options_come_in_clusters_and_after_files_no_more() {
    let Command::Sign(sign) = parsed("-qvUYsign -ngit -fkey a -q -n").unwrap() else {
        panic!("not sign");
    };
    assert_eq!(sign.noise, Noise::Quiet);
    assert_eq!(sign.files, ["a", "-q", "-n"].map(Path::new));
    let Command::Sign(sign) = parsed("-Y sign -n git -f key -- -a").unwrap() else {
        panic!("not sign");
    };
    assert_eq!(sign.files, [Path::new("-a")]);
}

#[test]
fn what_is_not_understood_is_refused_with_ssh_keygens_exit_code() {
    for (line, code) in [
        ("", 1),
        ("-t ed25519", 1),
        ("-Y", 1),
        ("-Y what", 1),
        ("-Y sign -n git", 1),
        ("-Y sign -f key", 1),
        ("-Y sign -n '' -f key", 1),
        ("-Y verify -n git -f allowed -I a@x", 1),
        ("-Y sign -n git -f key -O hashalg=md5", 255),
        ("-Y sign -n git -f key -O what", 255),
        ("-Y sign -n git -f key a -", 255),
        ("-Y sign -n git -f key -E md5", 255),
    ] {
        assert_eq!(parsed(line).unwrap_err().exit_code(), code, "{line}");
    }
    assert!(is_ssh_keygen_shaped("-Y".as_ref()) && is_ssh_keygen_shaped("-Ysign".as_ref()));
    assert!(!is_ssh_keygen_shaped("-y".as_ref()) && !is_ssh_keygen_shaped("verify".as_ref()));
}

fn user() -> Ed25519Key {
    Ed25519Key::from_seed([5; 32])
}

fn key() -> Key {
    Key::Plain(PublicKey::from_key(user().public_key()).unwrap())
}

fn frame(body: Vec<u8>) -> Vec<u8> {
    Writer::new().string(&body).finish()
}

fn identities() -> Vec<u8> {
    let body = Writer::new()
        .byte(12)
        .u32(1)
        .string(key().blob())
        .string(b"");
    frame(body.finish())
}

/// Signs with an agent that gives these answers, and returns exit code, stdout and stderr.
fn signed_with(answers: Vec<Vec<u8>>) -> (u8, String, String) {
    let folder = TempDir::new().unwrap();
    let (socket, public) = (folder.path().join("agent"), folder.path().join("key.pub"));
    fs::write(&public, key().to_text()).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let agent = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for answer in answers {
            let mut length = [0; 4];
            if stream.read_exact(&mut length).is_err() {
                return;
            }
            let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            stream.read_exact(&mut body).unwrap();
            let _ = stream.write_all(&answer);
        }
    });
    let command = Sign {
        key: public,
        namespace: "git".to_owned(),
        hash: HashAlgorithm::Sha512,
        is_agent_required: true,
        passphrase: None,
        files: Vec::new(),
        noise: Noise::Quiet,
    };
    let environment = SignEnvironment {
        auth_socket: Some(socket),
        key_agent: None,
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        stdin: &mut &b"message"[..],
        stdout: &mut stdout,
        stderr: &mut stderr,
    };
    let code = sign(&command, &environment, &mut streams);
    agent.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(stdout), text(stderr))
}

fn answer(data: &[u8]) -> Vec<u8> {
    let blob = ed25519_blob(&user().sign(data).unwrap());
    frame(Writer::new().byte(14).string(&blob).finish())
}

#[test]
fn an_agents_signature_is_checked_before_it_is_written() {
    let message = Prehash::of(HashAlgorithm::Sha512, b"message");
    let (code, stdout, _) = signed_with(vec![identities(), answer(&message.signed_data("git"))]);
    assert_eq!(code, 0);
    let signature = SshSig::from_armor(stdout.as_bytes()).unwrap();
    signature.verify("git", &message).unwrap();

    let (code, stdout, stderr) = signed_with(vec![identities(), answer(b"something else")]);
    assert_eq!((code, stdout.as_str()), (255, ""));
    assert!(stderr.contains("does not hold"), "{stderr}");
}

#[test]
fn an_agent_that_misbehaves_makes_it_fail() {
    let refusal = || frame(vec![5]);
    let absurd = || u32::MAX.to_be_bytes().to_vec();
    let many = frame(Writer::new().byte(12).u32(u32::MAX).finish());
    let nobody = frame(Writer::new().byte(12).u32(0).finish());
    for answers in [
        Vec::new(),
        vec![refusal()],
        vec![absurd()],
        vec![frame(Vec::new())],
        vec![many],
        vec![nobody],
        vec![identities(), refusal()],
        vec![identities(), absurd()],
        vec![identities(), frame(vec![14])],
        vec![identities(), frame(vec![14, 0, 0, 0, 9])],
    ] {
        let (code, stdout, stderr) = signed_with(answers.clone());
        assert_eq!((code, stdout.as_str()), (255, ""), "{answers:?}");
        assert!(!stderr.is_empty());
    }
}
