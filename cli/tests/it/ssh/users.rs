//! Real git, with `notme-ssh` as its `gpg.ssh.program`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Stdio},
};

use notme_testkit::{oracle::oracle, repository::Repository};

use super::fixture::Fixture;
use crate::world::told;

/// A repository whose user signs with keys of the fixture, and trusts some of them.
struct User {
    repository: Repository,
    keys: Fixture,
}

const ALLOWED: &str = "human@x {user}\n*@example.com cert-authority,namespaces=\"git\" {ca}\n";

impl User {
    fn new() -> Self {
        Self::of(Repository::new())
    }

    fn of(repository: Repository) -> Self {
        let keys = Fixture::new();
        keys.allow(ALLOWED);
        let user = Self { repository, keys };
        user.set("gpg.format", "ssh");
        user.set("gpg.ssh.program", &user.path("notme-ssh"));
        user.set("gpg.ssh.allowedSignersFile", &user.path("allowed"));
        user
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.keys.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn set(&self, name: &str, value: &str) {
        self.repository.git_ok(&["config", name, value]);
    }

    fn commit(&self) {
        self.repository
            .git_ok(&["commit", "-q", "--allow-empty", "-S", "-m", "x"]);
    }

    /// Returns grade, signer and the beginning of the key, as `git log` prints them.
    fn log(&self, program: &str) -> String {
        let program = format!("gpg.ssh.program={program}");
        self.repository
            .git_ok(&["-c", &program, "log", "-1", "--format=%G? %GS %GT %GK"])
    }

    /// Checks HEAD with us and with ssh-keygen: same grade, same signer, same key.
    fn assert_head(&self, expected: &str, exit: i32) {
        for program in [&self.path("notme-ssh"), "ssh-keygen"] {
            let log = self.log(program);
            assert!(log.starts_with(expected), "{program}: {log}");
            let program = format!("gpg.ssh.program={program}");
            let verified = self
                .repository
                .git(&["-c", &program, "verify-commit", "HEAD"]);
            assert_eq!(verified.status.code(), Some(exit), "{}", told(&verified));
        }
        let ours = self.log(&self.path("notme-ssh"));
        assert_eq!(ours, self.log("ssh-keygen"));
    }
}

#[test]
fn a_key_file_signs_commits_that_both_verify() {
    let user = User::new();
    for key in ["user", "user.pub"] {
        user.set("user.signingkey", &user.path(key));
        user.commit();
        user.assert_head("G human@x fully SHA256:", 0);
    }
}

#[test]
fn a_certificate_signs_while_it_lives() {
    let mut user = User::new();
    user.set("user.signingkey", &user.path("good-cert.pub"));
    for (date, expected, exit) in [
        (
            "2024-06-01T12:00:00Z",
            "G agent@example.com fully SHA256:",
            0,
        ),
        ("2025-01-01T00:00:00Z", "U  undefined SHA256:", 1),
        ("2023-12-31T23:59:59Z", "U  undefined SHA256:", 1),
    ] {
        user.repository.set_date(date.parse().unwrap());
        user.commit();
        user.assert_head(expected, exit);
    }
}

#[test]
fn strangers_and_forgers_are_told_apart() {
    let user = User::new();
    user.set("user.signingkey", &user.path("other"));
    user.commit();
    user.assert_head("U  undefined SHA256:", 1);
    user.set("user.signingkey", &user.path("user"));
    user.commit();
    let raw = user.repository.read_object("commit", "HEAD");
    let text = String::from_utf8(raw).unwrap();
    let forged = text.replace("\n\nx", "\n\ny");
    let forged = user.repository.write_commit_object(forged.as_bytes());
    user.repository.git_ok(&["reset", "-q", "--hard", &forged]);
    user.assert_head("B", 1);
}

#[test]
fn a_revoked_key_is_refused() {
    let user = User::new();
    user.set("user.signingkey", &user.path("user"));
    user.set("gpg.ssh.revocationFile", &user.path("other.pub"));
    user.commit();
    user.assert_head("G human@x fully", 0);
    user.set("gpg.ssh.revocationFile", &user.path("user.pub"));
    user.assert_head("B", 1);
}

#[test]
fn tags_are_signed_and_verified() {
    let user = User::new();
    user.set("user.signingkey", &user.path("user"));
    user.commit();
    user.repository.git_ok(&["tag", "-s", "-m", "t", "v1"]);
    for program in [&user.path("notme-ssh"), "ssh-keygen"] {
        let program = format!("gpg.ssh.program={program}");
        let verified = user.repository.git(&["-c", &program, "verify-tag", "v1"]);
        assert!(verified.status.success(), "{}", told(&verified));
        assert!(told(&verified).contains("Good \"git\" signature for human@x with ED25519 key"));
    }
}

/// An OpenSSH agent that holds the user's key; it ends with the value.
struct Agent(Child);

impl Agent {
    fn start(user: &mut User) -> Self {
        let socket = user.path("agent.sock");
        let mut child = user
            .keys
            .command(&oracle("ssh-agent"))
            .args(["-D", "-a", &socket])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        user.repository.set_env("SSH_AUTH_SOCK", &socket);
        let mut add = user.repository.command(oracle("ssh-add"));
        let added = add.args(["-q", &user.path("user")]).status().unwrap();
        assert!(added.success());
        fs::remove_file(user.path("user")).unwrap();
        Self(child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn literal_keys_and_default_keys_sign_with_the_agent() {
    let mut user = User::new();
    let _agent = Agent::start(&mut user);
    let key = user.keys.public("user");
    for literal in [format!("key::{key}"), key.clone()] {
        user.set("user.signingkey", &literal);
        user.commit();
        user.assert_head("G human@x fully", 0);
    }
    user.repository
        .git_ok(&["config", "--unset", "user.signingkey"]);
    let script = user.keys.put(
        "default",
        format!("#!/bin/sh\necho 'key::{key}'\n").as_bytes(),
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    user.set("gpg.ssh.defaultKeyCommand", script.to_str().unwrap());
    user.commit();
    user.assert_head("G human@x fully", 0);
}

#[test]
fn a_key_that_cannot_sign_makes_no_unsigned_commit() {
    let user = User::new();
    for key in ["absent", "m", "key::ssh-ed25519 AAAA", "ssh-ed25519 AAAA"] {
        let key = match key.contains(' ') {
            true => key.to_owned(),
            false => user.path(key),
        };
        user.set("user.signingkey", &key);
        let commit = ["commit", "-q", "--allow-empty", "-S", "-m", "x"];
        let failed = user.repository.git(&commit);
        assert!(!failed.status.success(), "{key}: {}", told(&failed));
        assert!(
            !user
                .repository
                .git(&["rev-parse", "-q", "--verify", "HEAD"])
                .status
                .success()
        );
    }
}

/// Pushes with a certificate to a repository that verifies with `program`, and returns what its
/// hook was told of it.
fn push(user: &User, program: &str, revoked: &str) -> String {
    let server = Repository::bare();
    let told_by_hook = server.home().join("told");
    let hook = server.path().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$GIT_PUSH_CERT_STATUS $GIT_PUSH_CERT_SIGNER\" > {}\n",
        told_by_hook.display()
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, value) in [
        ("receive.certNonceSeed", "seed"),
        ("gpg.ssh.program", program),
        ("gpg.ssh.allowedSignersFile", &user.path("allowed")),
        ("gpg.ssh.revocationFile", &user.path(revoked)),
    ] {
        server.git_ok(&["config", name, value]);
    }
    let url = server.path();
    let pushed = user
        .repository
        .git(&["push", "-q", "--signed", url.to_str().unwrap(), "main"]);
    assert!(pushed.status.success(), "{}", told(&pushed));
    fs::read_to_string(told_by_hook).unwrap().trim().to_owned()
}

#[test]
fn a_push_certificate_is_judged_with_what_is_revoked() {
    let user = User::new();
    user.set("user.signingkey", &user.path("user"));
    user.commit();
    let ours = user.path("notme-ssh");
    assert_eq!(push(&user, &ours, "other.pub"), "G human@x");
    assert_eq!(push(&user, &ours, "user.pub"), "B");
    // Stock loses the revocation file behind the empty argument; when that changes, this does.
    assert_eq!(push(&user, "ssh-keygen", "user.pub"), "G human@x");
}
