//! The tools that notme stands in for, each set up as its users set it up.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command, time::Duration};

use notme_core::certificate::Certificate;
use notme_testkit::{oracle::oracle, repository::Repository};

use crate::timing::time;

/// Who signs, for tools that want to know.
const SIGNER: &str = "bench@example.invalid";

/// A way of signing and verifying with stock tools, inside one repository's world.
pub(crate) trait Peer {
    /// Returns the name for the table.
    fn name(&self) -> &'static str;
    /// Returns git's settings for verifying with it, as `-c` arguments.
    fn settings(&self, world: &Repository) -> Vec<String>;
}

/// gpg with an Ed25519 key and a warm agent.
pub(crate) struct Gpg;

impl Gpg {
    /// Makes the key and thereby warms the agent.
    pub(crate) fn set_up(world: &Repository) -> Self {
        keyring(world);
        let mut gpg = world.command(oracle("gpg"));
        gpg.args([
            "--batch",
            "--pinentry-mode=loopback",
            "--passphrase=",
            "--quick-generate-key",
        ])
        .args([&format!("Bench <{SIGNER}>"), "ed25519", "sign", "never"]);
        time(&mut gpg, b"").assert_success("gpg --quick-generate-key");
        Self
    }

    /// Signs as git calls it; returns the duration and the signature.
    pub(crate) fn sign(&self, world: &Repository, payload: &[u8]) -> (Duration, Vec<u8>) {
        let mut gpg = world.command(oracle("gpg"));
        let done = time(gpg.args(["--status-fd=2", "-bsau", SIGNER]), payload);
        done.assert_success("gpg -bsau");
        (done.duration, done.stdout)
    }

    /// Verifies as git calls it.
    pub(crate) fn verify(&self, world: &Repository, file: &str, payload: &[u8]) -> Duration {
        let mut gpg = world.command(oracle("gpg"));
        gpg.args([
            "--keyid-format=long",
            "--status-fd=1",
            "--verify",
            file,
            "-",
        ]);
        time(&mut gpg, payload).successful("gpg --verify")
    }
}

impl Peer for Gpg {
    fn name(&self) -> &'static str {
        "gpg (Ed25519)"
    }

    fn settings(&self, _: &Repository) -> Vec<String> {
        settings(&["gpg.format=openpgp", &format!("user.signingkey={SIGNER}")])
    }
}

/// ssh-keygen with an Ed25519 key in a file.
pub(crate) struct SshKeygen;

impl SshKeygen {
    /// Makes the key and the list of allowed signers.
    pub(crate) fn set_up(world: &Repository) -> Self {
        let mut keygen = world.command(oracle("ssh-keygen"));
        keygen
            .args(["-q", "-t", "ed25519", "-N", "", "-C", SIGNER, "-f"])
            .arg(key_file(world));
        time(&mut keygen, b"").assert_success("ssh-keygen -t ed25519");
        let public = fs::read_to_string(key_file(world).with_extension("pub"))
            .expect("ssh-keygen wrote the public key");
        fs::write(allowed_signers(world), format!("{SIGNER} {public}"))
            .expect("the home directory is writable");
        Self
    }

    /// Signs as git calls it: the payload is in a file, the signature comes in another.
    pub(crate) fn sign(&self, world: &Repository, payload: &[u8]) -> (Duration, Vec<u8>) {
        let buffer = world.home().join("buffer");
        let signature = world.home().join("buffer.sig");
        fs::remove_file(&signature).ok();
        fs::write(&buffer, payload).expect("the home directory is writable");
        let mut keygen = world.command(oracle("ssh-keygen"));
        keygen
            .args(["-Y", "sign", "-n", "git", "-f"])
            .arg(key_file(world))
            .arg(&buffer);
        let duration = time(&mut keygen, b"").successful("ssh-keygen -Y sign");
        (
            duration,
            fs::read(signature).expect("ssh-keygen wrote the signature"),
        )
    }

    /// Verifies as git calls it, which takes two processes.
    pub(crate) fn verify(&self, world: &Repository, file: &str, payload: &[u8]) -> Duration {
        let allowed = allowed_signers(world);
        let mut find = world.command(oracle("ssh-keygen"));
        find.args(["-Y", "find-principals", "-f"])
            .arg(&allowed)
            .args(["-s", file]);
        let mut verify = world.command(oracle("ssh-keygen"));
        verify
            .args(["-Y", "verify", "-n", "git", "-f"])
            .arg(&allowed);
        verify.args(["-I", SIGNER, "-s", file]);
        time(&mut find, b"").successful("ssh-keygen -Y find-principals")
            + time(&mut verify, payload).successful("ssh-keygen -Y verify")
    }
}

impl Peer for SshKeygen {
    fn name(&self) -> &'static str {
        "ssh-keygen (Ed25519)"
    }

    fn settings(&self, world: &Repository) -> Vec<String> {
        settings(&[
            "gpg.format=ssh",
            &format!("user.signingkey={}", key_file(world).display()),
            &format!(
                "gpg.ssh.allowedSignersFile={}",
                allowed_signers(world).display()
            ),
        ])
    }
}

/// gpgsm, verifying P-256 signatures of an authority it was told to trust.
pub(crate) struct Gpgsm;

impl Gpgsm {
    /// Imports the root and marks it as trusted.
    pub(crate) fn set_up(world: &Repository, root: &Certificate) -> Self {
        let keyring = keyring(world);
        let openssl = world.command(oracle("openssl"));
        let fingerprint = sha1_fingerprint(openssl, root);
        let write = |name: &str, text: &str| {
            fs::write(keyring.join(name), text).expect("the keyring is writable");
        };
        write(
            "gpgsm.conf",
            "disable-crl-checks\nno-auto-issuer-key-retrieve\n",
        );
        write("trustlist.txt", &format!("{fingerprint} S relax\n"));
        // An agent that already runs has read the old list.
        time(
            world
                .command(oracle("gpgconf"))
                .args(["--reload", "gpg-agent"]),
            b"",
        );
        let mut import = world.command(oracle("gpgsm"));
        let done = time(import.args(["--batch", "--import"]), root.pem().as_bytes());
        done.assert_success("gpgsm --import");
        Self
    }

    /// Verifies as git calls it.
    pub(crate) fn verify(&self, world: &Repository, file: &str, payload: &[u8]) -> Duration {
        let mut gpgsm = world.command(oracle("gpgsm"));
        gpgsm.args(["--status-fd=1", "--verify", file, "-"]);
        time(&mut gpgsm, payload).successful("gpgsm --verify")
    }
}

impl Peer for Gpgsm {
    fn name(&self) -> &'static str {
        "gpgsm (P-256)"
    }

    fn settings(&self, _: &Repository) -> Vec<String> {
        settings(&["gpg.format=x509"])
    }
}

/// Ends the daemons that a world's keyring started.
pub(crate) fn stop_daemons(world: &Repository) {
    time(
        world.command(oracle("gpgconf")).args(["--kill", "all"]),
        b"",
    );
}

fn settings(pairs: &[&str]) -> Vec<String> {
    pairs
        .iter()
        .flat_map(|pair| ["-c".to_owned(), (*pair).to_owned()])
        .collect()
}

fn keyring(world: &Repository) -> PathBuf {
    let directory = world.home().join(".gnupg");
    fs::create_dir_all(&directory).expect("the home directory is writable");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))
        .expect("the directory is ours");
    directory
}

fn key_file(world: &Repository) -> PathBuf {
    world.home().join("id_ed25519")
}

fn allowed_signers(world: &Repository) -> PathBuf {
    world.home().join("allowed_signers")
}

/// Returns a certificate's SHA-1 in the form of `trustlist.txt`.
fn sha1_fingerprint(mut openssl: Command, certificate: &Certificate) -> String {
    openssl.args(["x509", "-noout", "-fingerprint", "-sha1"]);
    let done = time(&mut openssl, certificate.pem().as_bytes());
    done.assert_success("openssl x509 -fingerprint");
    let text = String::from_utf8_lossy(&done.stdout);
    text.trim()
        .split('=')
        .next_back()
        .unwrap_or_default()
        .to_owned()
}
