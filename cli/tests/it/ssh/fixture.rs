//! Keys, certificates and signatures that ssh-keygen made, in a directory of their own.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use notme_testkit::{oracle::oracle, repository::run};
use tempfile::TempDir;

use crate::world::{NOTME, told};

/// What is signed everywhere.
pub(super) const MESSAGE: &[u8] = b"a message\n";

pub(super) struct Fixture {
    directory: TempDir,
}

/// A program's exit code and stdout: what git sees of it.
pub(super) type Seen = (Option<i32>, String);

impl Fixture {
    /// A directory with the message in it.
    pub(super) fn empty() -> Self {
        let directory = tempfile::Builder::new().prefix("ssh-").tempdir().unwrap();
        symlink(NOTME, directory.path().join("notme-ssh")).unwrap();
        let fixture = Self { directory };
        fixture.put("m", MESSAGE);
        fixture
    }

    /// The user `user` with every kind of certificate, and what they signed.
    pub(super) fn new() -> Self {
        let fixture = Self::empty();
        for name in ["user", "other", "ca", "other_ca"] {
            fixture.make_key(name, &["-t", "ed25519"]);
        }
        let year = ["-V", "20240101000000Z:20250101000000Z"];
        let names = ["-n", "agent@example.com,second@example.com"];
        let usual = [&year[..], &names, &["-z", "7", "-I", "id-7"]].concat();
        fixture.certify("good", "ca", &usual);
        fixture.certify(
            "unnamed",
            "ca",
            &[&year[..], &["-z", "7", "-I", "id-7"]].concat(),
        );
        fixture.certify("host", "ca", &[&usual[..], &["-h"]].concat());
        fixture.certify("stranger", "other_ca", &usual);
        fixture.certify(
            "forever",
            "ca",
            &[&names[..], &["-z", "8", "-I", "id-8"]].concat(),
        );
        fixture.certify(
            "unnumbered",
            "ca",
            &[&year[..], &names, &["-I", "id-0"]].concat(),
        );
        fixture.certify(
            "critical",
            "ca",
            &[&usual[..], &["-O", "critical:what@example.com=x"]].concat(),
        );
        fixture.certify(
            "extended",
            "ca",
            &[&usual[..], &["-O", "extension:what@example.com=x"]].concat(),
        );
        fixture.certify(
            "bound",
            "ca",
            &[&usual[..], &["-O", "source-address=10.0.0.0/8"]].concat(),
        );
        for name in CERTIFIED {
            fixture.sign(
                &format!("{name}-cert.pub"),
                "git",
                &format!("{name}.sig"),
                &[],
            );
        }
        fixture.sign("user", "git", "user.sig", &[]);
        fixture.sign("user", "git", "user256.sig", &["-O", "hashalg=sha256"]);
        fixture.sign("user", "file", "file.sig", &[]);
        fixture.sign("good-cert.pub", "file", "goodfile.sig", &[]);
        fixture
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// We, under the name that git calls us by in place of ssh-keygen.
    pub(super) fn program(&self) -> PathBuf {
        self.path().join("notme-ssh")
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns type and base64 of a public key or a certificate.
    pub(super) fn public(&self, name: &str) -> String {
        let text = String::from_utf8(self.read(&format!("{name}.pub"))).unwrap();
        text.split(' ')
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
            .trim()
            .to_owned()
    }

    pub(super) fn make_key(&self, name: &str, options: &[&str]) {
        self.stock_ok(
            &[options, &["-q", "-N", "", "-C", "a comment", "-f", name]].concat(),
            b"",
        );
    }

    /// Certifies the user's key once more, as `name`-cert.pub beside a copy of the private key.
    fn certify(&self, name: &str, authority: &str, options: &[&str]) {
        for suffix in ["", ".pub"] {
            fs::copy(
                self.path().join(format!("user{suffix}")),
                self.path().join(format!("{name}{suffix}")),
            )
            .unwrap();
        }
        let public = format!("{name}.pub");
        self.stock_ok(
            &[&["-q", "-s", authority], options, &[&public]].concat(),
            b"",
        );
    }

    /// Signs the message with stock ssh-keygen.
    pub(super) fn sign(&self, key: &str, namespace: &str, name: &str, options: &[&str]) {
        let arguments = [&["-q", "-Y", "sign", "-n", namespace, "-f", key], options].concat();
        let output = self.stock_ok(&arguments, MESSAGE);
        self.put(name, &output.stdout);
    }

    pub(super) fn stock_ok(&self, arguments: &[&str], input: &[u8]) -> Output {
        let output = self.stock(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        output
    }

    pub(super) fn stock(&self, arguments: &[&str], input: &[u8]) -> Output {
        run(
            self.command(oracle("ssh-keygen").as_ref()).args(arguments),
            input,
        )
    }

    pub(super) fn ours(&self, arguments: &[&str], input: &[u8]) -> Output {
        run(self.command(&self.program()).args(arguments), input)
    }

    /// A command in the directory, with nothing of this machine's environment but `PATH`.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
        command
    }

    /// Fills names in braces with keys, and writes the file of allowed signers.
    pub(super) fn allow(&self, text: &str) {
        let mut text = text.to_owned();
        for name in ["user", "other", "ca", "other_ca"]
            .into_iter()
            .chain(CERTIFIED)
        {
            for (placeholder, key) in [
                (format!("{{{name}}}"), name.to_owned()),
                (format!("{{{name}-cert}}"), format!("{name}-cert")),
            ] {
                if text.contains(&placeholder) {
                    text = text.replace(&placeholder, &self.public(&key));
                }
            }
        }
        self.put("allowed", text.as_bytes());
    }
}

pub(super) const CERTIFIED: [&str; 9] = [
    "good",
    "unnamed",
    "host",
    "stranger",
    "forever",
    "unnumbered",
    "critical",
    "extended",
    "bound",
];

/// Splits a command line; `''` is the empty argument.
pub(super) fn words(line: &str) -> Vec<&str> {
    let words = line.split_whitespace();
    words
        .map(|word| if word == "''" { "" } else { word })
        .collect()
}

pub(super) fn seen(output: &Output) -> Seen {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), stdout)
}
