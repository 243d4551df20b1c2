//! Agents of our own sign through `notme-ssh`; strangers and we verify it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use notme_testkit::{oracle::oracle, repository::run};

use crate::world::{NOTME, World, told};

/// A user on whom `notme init` was run, and who signs with `notme-ssh`.
fn world() -> World {
    let world = World::initialised();
    let program = program(&world);
    for (name, value) in [
        ("gpg.format", "ssh"),
        ("gpg.ssh.program", program.to_str().unwrap()),
        ("user.signingkey", "claude"),
    ] {
        world.git_ok(&["config", name, value]);
    }
    world
}

fn program(world: &World) -> PathBuf {
    let program = world.home().join("notme-ssh");
    if !program.exists() {
        symlink(NOTME, &program).unwrap();
    }
    program
}

/// Writes what stock git needs to know, and returns git's settings for it.
fn exported(world: &World) -> [String; 2] {
    let allowed = world.home().join("allowed");
    fs::write(
        &allowed,
        world.notme_ok(&["trust", "export", "--allowed-signers"]),
    )
    .unwrap();
    [
        format!("gpg.ssh.allowedSignersFile={}", allowed.display()),
        "gpg.ssh.program=ssh-keygen".to_owned(),
    ]
}

fn stock_verifies(world: &World, more: &[&str]) -> bool {
    let [allowed, program] = exported(world);
    let settings = ["-c", &allowed, "-c", &program];
    let output = world.git(&[&settings[..], more, &["verify-commit", "HEAD"]].concat());
    output.status.success()
}

#[test]
fn an_agents_name_signs_and_everybody_verifies() {
    let world = world();
    world.signed_commit("a");
    assert_eq!(world.code("HEAD", &[]), "accepted");
    assert!(stock_verifies(&world, &[]));
    let (_, document) = world.verdicts(&["HEAD"]);
    let object = &document["objects"][0];
    assert_eq!(object["format"], "ssh");
    assert_eq!(object["time_basis"], "issuance-bound");
    let identity = object["identity"].as_str().unwrap();
    assert!(identity.ends_with("/claude"), "{identity}");
    let [allowed, program] = exported(&world);
    let log = ["log", "-1", "--format=%G? %GS"];
    let log = world.git_ok(&[&["-c", &allowed, "-c", &program][..], &log].concat());
    assert_eq!(log, format!("G {identity}"));
}

#[test]
fn a_signature_moved_to_other_bytes_is_refused_by_everybody() {
    let world = world();
    let oid = world.signed_commit("a");
    let raw = String::from_utf8(world.read_object("commit", &oid)).unwrap();
    let forged = world.store(raw.replace("\n\na\n", "\n\nb\n").as_bytes());
    world.git_ok(&["reset", "-q", "--hard", &forged]);
    assert_eq!(world.code("HEAD", &[]), "signature-invalid");
    assert!(!stock_verifies(&world, &[]));
}

#[test]
fn tags_and_their_certificates_verify() {
    let world = world();
    world.signed_commit("a");
    world.git_ok(&["tag", "-s", "-m", "t", "v1"]);
    let [allowed, program] = exported(&world);
    let verified = world.git(&["-c", &allowed, "-c", &program, "verify-tag", "v1"]);
    assert!(verified.status.success(), "{}", told(&verified));
}

/// Runs `notme-ssh -Y sign` on a file.
fn sign(world: &World, arguments: &[&str], message: &[u8]) -> std::process::Output {
    let mut command = world.command(program(world));
    run(command.args(["-Y", "sign"]).args(arguments), message)
}

fn commit_payload() -> Vec<u8> {
    notme_testkit::commit::CommitSpec::new("4b825dc642cb6eb9a060e54bf8d69288fbee4904").payload()
}

#[test]
fn the_key_agent_signs_what_git_makes_and_nothing_else() {
    let world = world();
    let good = sign(&world, &["-n", "git", "-f", "claude"], &commit_payload());
    assert!(good.status.success(), "{}", told(&good));
    for (arguments, message) in [
        (&["-n", "git", "-f", "claude"][..], &b"any bytes"[..]),
        (&["-n", "file", "-f", "claude"], &commit_payload()),
        (
            &["-n", "git", "-f", "claude", "-O", "hashalg=sha256"],
            &commit_payload(),
        ),
        (&["-n", "git", "-f", "nobody"], &commit_payload()),
        (
            &["-n", "git", "-f", "00112233445566778899aabbccddeeff"],
            &commit_payload(),
        ),
    ] {
        let bad = sign(&world, arguments, message);
        assert_eq!(bad.status.code(), Some(255), "{}", told(&bad));
        assert!(bad.stdout.is_empty());
    }
}

#[test]
fn a_public_key_of_a_session_finds_its_private_half() {
    let world = world();
    let signed = sign(&world, &["-n", "git", "-f", "claude"], &commit_payload());
    let signature = notme_core::ssh::SshSig::from_armor(&signed.stdout).unwrap();
    let key = notme_core::ssh::Key::Plain(signature.key().public_key().clone());
    let file = world.home().join("session.pub");
    fs::write(&file, format!("{} a comment\n", key.to_text())).unwrap();
    let file = file.to_str().unwrap();
    // git gives a literal key as a file, with -U.
    for arguments in [
        &["-n", "git", "-f", file][..],
        &["-n", "git", "-U", "-f", file],
    ] {
        let again = sign(&world, arguments, &commit_payload());
        assert!(again.status.success(), "{}", told(&again));
        let again = notme_core::ssh::SshSig::from_armor(&again.stdout).unwrap();
        assert_eq!(again.key().public_key(), signature.key().public_key());
    }
    world.git_ok(&[
        "config",
        "user.signingkey",
        &format!("key::{}", key.to_text()),
    ]);
    world.signed_commit("literal");
    assert_eq!(world.code("HEAD", &[]), "accepted");
    assert!(stock_verifies(&world, &[]));
}

#[test]
fn a_file_in_the_repository_does_not_choose_the_key() {
    let world = world();
    let mut keygen = world.command(oracle("ssh-keygen"));
    let made = run(
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", "claude"]),
        b"",
    );
    assert!(made.status.success(), "{}", told(&made));
    world.signed_commit("a");
    assert_eq!(world.code("HEAD", &[]), "accepted");
}

/// A person's key, and the file that lists it.
fn person(world: &World, directory: &Path) -> (PathBuf, PathBuf) {
    let key = directory.join("person");
    let mut keygen = world.command(oracle("ssh-keygen"));
    let made = run(
        keygen
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key),
        b"",
    );
    assert!(made.status.success(), "{}", told(&made));
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let allowed = directory.join("people");
    fs::write(
        &allowed,
        format!("human@example.com namespaces=\"git\" {public}"),
    )
    .unwrap();
    (key, allowed)
}

#[test]
fn people_are_pinned_beside_agents_and_written_out_again() {
    let world = world();
    let directory = tempfile::tempdir().unwrap();
    let (key, allowed) = person(&world, directory.path());
    let allowed = allowed.to_str().unwrap();
    let add = [
        "trust",
        "add",
        "--name",
        "team",
        "--allowed-signers",
        allowed,
    ];
    let shown = world.notme_ok(&add);
    assert!(
        shown.contains("SHA256:") && shown.contains("human@example.com"),
        "{shown}"
    );
    world.git_ok(&["config", "user.signingkey", key.to_str().unwrap()]);
    world.signed_commit("human");
    let (_, document) = world.verdicts(&["HEAD"]);
    let object = &document["objects"][0];
    assert_eq!(object["verdict"], "accepted", "{document}");
    assert_eq!(object["identity"], "mailto:human@example.com");
    assert_eq!(object["time_basis"], "dag-ordered");
    assert!(object["certificate"].is_null());
    assert!(stock_verifies(&world, &[]));
    let exported = world.notme_ok(&["trust", "export", "--allowed-signers"]);
    assert!(
        exported.contains("human@example.com namespaces=\"git\" ssh-ed25519 "),
        "{exported}"
    );
    assert!(
        exported.contains("cert-authority,namespaces=\"git\" ssh-ed25519 "),
        "{exported}"
    );
    world.notme_ok(&["trust", "remove", "team"]);
    assert_eq!(world.code("HEAD", &[]), "signer-untrusted");
}

/// What a list denies it does not give, wherever it denies it; ssh-keygen takes the key for nobody's.
#[test]
fn a_line_that_denies_a_name_does_not_give_it() {
    let world = world();
    let (key, allowed) = person(&world, &world.home());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    world.git_ok(&["config", "user.signingkey", key.to_str().unwrap()]);
    world.signed_commit("human");
    let fingerprint = "ssh-key:SHA256:";
    for (names, identity) in [
        ("a@x.org,!a@x.org", None),
        ("!a@x.org,a@x.org", None),
        ("a@x.org,!*@x.org", None),
        ("*@x.org,!*", None),
        ("!a@x.org", None),
        ("a@x.org,!a@x.org,b@x.org", Some("mailto:b@x.org")),
        ("a@x.org,!b@x.org", Some("mailto:a@x.org")),
        ("*,!a@x.org", Some(fingerprint)),
        ("a", Some(fingerprint)),
    ] {
        fs::write(&allowed, format!("{names} {public}")).unwrap();
        let file = allowed.to_str().unwrap();
        world.notme_ok(&["trust", "add", "--name", "team", "--allowed-signers", file]);
        let (_, document) = world.verdicts(&["HEAD"]);
        let object = &document["objects"][0];
        match identity {
            Some(identity) => {
                let found = object["identity"].as_str().unwrap();
                assert!(found.starts_with(identity), "{names}: {document}");
                assert_eq!(object["verdict"], "accepted", "{names}: {document}");
            }
            None => assert_eq!(object["code"], "identity-missing", "{names}: {document}"),
        }
        world.notme_ok(&["trust", "remove", "team"]);
    }
}

#[test]
fn unusual_names_are_written_out_as_they_are_pinned() {
    let world = World::initialised();
    let (_, allowed) = person(&world, &world.home());
    let public = fs::read_to_string(world.home().join("person.pub")).unwrap();
    let key = public.rsplit_once(' ').unwrap().0;
    let lines = [
        format!("\"a b@x\" {key}\n"),
        format!("\"#a@x\" {key}\n"),
        format!("\"\" namespaces=\"git\" {key}\n"),
    ];
    fs::write(&allowed, lines.concat()).unwrap();
    let allowed = allowed.to_str().unwrap();
    world.notme_ok(&[
        "trust",
        "add",
        "--name",
        "team",
        "--allowed-signers",
        allowed,
    ]);
    let exported = world.notme_ok(&["trust", "export", "--allowed-signers"]);
    for line in lines {
        assert!(exported.contains(&line), "{exported}");
    }
}

#[test]
fn a_file_of_signers_that_cannot_be_read_is_not_pinned() {
    let world = World::initialised();
    let file = world.home().join("broken");
    fs::write(&file, "\nhuman@example.com nonsense\n").unwrap();
    let add = [
        "trust",
        "add",
        "--name",
        "team",
        "--allowed-signers",
        file.to_str().unwrap(),
    ];
    let output = world.notme(&add);
    assert!(!output.status.success());
    assert!(told(&output).contains("line 2"), "{}", told(&output));
    assert!(!world.notme_ok(&["trust", "show"]).contains("team"));
}

#[test]
fn the_exported_revocations_are_read_by_ssh_keygen() {
    let world = world();
    world.signed_commit("a");
    let krl = world.notme(&["trust", "export", "--krl"]);
    assert!(krl.status.success(), "{}", told(&krl));
    let path = world.home().join("krl");
    fs::write(&path, &krl.stdout).unwrap();
    let mut query = world.command(oracle("ssh-keygen"));
    let output = run(query.args(["-Q", "-l", "-f"]).arg(&path), b"");
    assert!(output.status.success(), "{}", told(&output));
    let setting = format!("gpg.ssh.revocationFile={}", path.display());
    assert!(stock_verifies(&world, &["-c", &setting]));
}
