//! The tools that notme stands in for, each set up as its users set it up.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use notme_core::certificate::Certificate;
use notme_testkit::{oracle::oracle, repository::Repository};

use crate::timing::{Finished, time};

/// Who signs, for tools that want to know.
pub(crate) const SIGNER: &str = "bench@example.invalid";

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

    /// Returns the key, armored.
    pub(crate) fn key(world: &Repository) -> String {
        let mut gpg = world.command(oracle("gpg"));
        let done = time(gpg.args(["--batch", "--armor", "--export", SIGNER]), b"");
        done.assert_success("gpg --export");
        String::from_utf8(done.stdout).expect("armor is ASCII")
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

/// sq-git, which authenticates a history from a trust root on, as we do behind one. Not every machine
/// has it, so it is measured where it is.
pub(crate) struct SqGit {
    root: String,
    branch: &'static str,
}

impl SqGit {
    /// How to come by it; it needs the headers of nettle, and libclang.
    pub(crate) const INSTALL: &str = "cargo install sequoia-git --version 0.6.0 --locked";
    /// Where it looks for its policy.
    pub(crate) const POLICY: &str = "openpgp-policy.toml";

    /// Returns the policy by which gpg's key may sign.
    pub(crate) fn policy(world: &Repository) -> String {
        let key = Gpg::key(world);
        format!(
            "version = 0\ncommit_goodlist = []\n\n[authorization.bench]\nsign_commit = true\nkeyring = \"\"\"\n{key}\"\"\"\n"
        )
    }

    /// Takes the first commit of a branch as trust root, if the program is there.
    pub(crate) fn find(world: &Repository, branch: &'static str) -> Option<Self> {
        let help = world.command(Self::PROGRAM).arg("--help").output();
        help.ok().filter(|it| it.status.success())?;
        // It insists on a HEAD.
        world.git_ok(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
        let root = world.git_ok(&["rev-list", "--max-parents=0", branch]);
        Some(Self { root, branch })
    }

    /// Returns the first commit.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Authenticates the branch with nothing kept from before: without a directory for it, nothing is.
    pub(crate) fn cold(&self, world: &Repository) -> Duration {
        fs::remove_dir_all(world.home().join(".cache")).ok();
        self.log(world)
    }

    /// Does so with what the run before kept.
    pub(crate) fn warm(&self, world: &Repository) -> Duration {
        let cache = world.home().join(".cache");
        if !cache.is_dir() {
            fs::create_dir(cache).expect("the home directory is writable");
            self.log(world);
        }
        self.log(world)
    }

    fn log(&self, world: &Repository) -> Duration {
        let mut log = world.command(Self::PROGRAM);
        log.args(["log", "--trust-root", &self.root, self.branch]);
        time(&mut log, b"").successful("sq-git log")
    }

    const PROGRAM: &str = "sq-git";
}

/// ssh-keygen, or what stands in for it.
pub(crate) struct SshKeygen {
    program: PathBuf,
}

impl SshKeygen {
    /// Takes a program that is called as ssh-keygen is.
    pub(crate) const fn at(program: PathBuf) -> Self {
        Self { program }
    }

    /// Takes the stock one, and makes an Ed25519 key in a file and the list of allowed signers.
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
        Self::at(oracle("ssh-keygen"))
    }

    /// Signs with the key in the file.
    pub(crate) fn sign(&self, world: &Repository, payload: &[u8]) -> (Duration, Vec<u8>) {
        self.sign_with(key_file(world), world, payload)
    }

    /// Signs as git calls it: the payload is in a file, the signature comes in another.
    pub(crate) fn sign_with(
        &self,
        key: impl AsRef<OsStr>,
        world: &Repository,
        payload: &[u8],
    ) -> (Duration, Vec<u8>) {
        let buffer = world.home().join("buffer");
        let signature = world.home().join("buffer.sig");
        fs::remove_file(&signature).ok();
        fs::write(&buffer, payload).expect("the home directory is writable");
        let mut keygen = world.command(&self.program);
        keygen
            .args(["-Y", "sign", "-n", "git", "-f"])
            .arg(key)
            .arg(&buffer);
        let duration = time(&mut keygen, b"").successful("-Y sign");
        (
            duration,
            fs::read(signature).expect("the signature was written"),
        )
    }

    /// Verifies as git calls it, which takes two processes.
    pub(crate) fn verify(&self, world: &Repository, file: &str, payload: &[u8]) -> Duration {
        let allowed = allowed_signers(world);
        self.find_principals(&allowed, world, file).duration
            + self.verify_as(SIGNER, &allowed, world, file, payload)
    }

    /// Returns who signed.
    pub(crate) fn find_principal(&self, allowed: &Path, world: &Repository, file: &str) -> String {
        let found = self.find_principals(allowed, world, file).stdout;
        let found = String::from_utf8(found).expect("principals are text");
        found.trim().to_owned()
    }

    fn find_principals(&self, allowed: &Path, world: &Repository, file: &str) -> Finished {
        let mut find = world.command(&self.program);
        find.args(["-Y", "find-principals", "-f"])
            .arg(allowed)
            .args(["-s", file]);
        let done = time(&mut find, b"");
        done.assert_success("-Y find-principals");
        done
    }

    /// Verifies for a principal that is known, in one process.
    pub(crate) fn verify_as(
        &self,
        principal: &str,
        allowed: &Path,
        world: &Repository,
        file: &str,
        payload: &[u8],
    ) -> Duration {
        let mut verify = world.command(&self.program);
        verify
            .args(["-Y", "verify", "-n", "git", "-f"])
            .arg(allowed);
        verify.args(["-I", principal, "-s", file]);
        time(&mut verify, payload).successful("-Y verify")
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

/// Returns where [`SshKeygen::set_up`] lists the key's owner, [`SIGNER`].
pub(crate) fn allowed_signers(world: &Repository) -> PathBuf {
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
