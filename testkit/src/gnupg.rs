//! A private GnuPG home, with keys made on the spot.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use notme_core::time::UnixTime;
use tempfile::TempDir;

use crate::{oracle::oracle, repository::run};

/// A GnuPG home of its own. Its agent is stopped in the end.
#[derive(Debug)]
pub struct Gnupg {
    home: TempDir,
    at: Option<UnixTime>,
}

impl Gnupg {
    /// Makes an empty home.
    pub fn new() -> Self {
        // Below /tmp, whatever TMPDIR says: the sockets in it have short names only.
        let home = tempfile::Builder::new()
            .prefix("gpg")
            .tempdir_in("/tmp")
            .expect("/tmp is writable");
        fs::set_permissions(home.path(), Permissions::from_mode(0o700))
            .expect("the new directory is ours");
        fs::write(
            home.path().join("gpg.conf"),
            "no-greeting\npinentry-mode loopback\nno-auto-key-locate\n",
        )
        .expect("the new directory is writable");
        Self { home, at: None }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// Has gpg believe that it is this time.
    pub fn set_time(&mut self, at: UnixTime) {
        self.at = Some(at);
    }

    /// Appends lines to `gpg.conf`.
    pub fn configure(&self, lines: &str) {
        let path = self.home.path().join("gpg.conf");
        let mut text = fs::read_to_string(&path).expect("we wrote it");
        text.push_str(lines);
        fs::write(path, text).expect("the directory is ours");
    }

    /// Returns gpg, in this home and at this time.
    pub fn command(&self) -> Command {
        let mut command = Command::new(oracle("gpg"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GNUPGHOME", self.home.path())
            .current_dir(self.home.path())
            .args(["--batch", "--yes", "--no-tty", "--passphrase", ""])
            .stdin(Stdio::null());
        if let Some(at) = self.at {
            command.arg(format!("--faked-system-time={}!", at.secs()));
        }
        command
    }

    /// Runs gpg and returns what it said.
    #[must_use = "nobody looked whether gpg succeeded; `ok` does"]
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        run(self.command().args(arguments), input)
    }

    /// Runs gpg, which must succeed, and returns its standard output.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub fn ok(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(arguments, input);
        assert!(
            output.status.success(),
            "gpg {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Makes a key for `user_id`: an algorithm, its uses and its end, as `--quick-generate-key`
    /// takes them. Returns the fingerprint.
    pub fn generate(&self, user_id: &str, algorithm: &str, uses: &str, ends: &str) -> String {
        self.ok(
            &["--quick-generate-key", user_id, algorithm, uses, ends],
            b"",
        );
        self.fingerprint(user_id)
    }

    /// Returns the fingerprint of the primary key that a name finds.
    pub fn fingerprint(&self, name: &str) -> String {
        self.fingerprints(name).swap_remove(0)
    }

    /// Returns the fingerprints of the primary key that a name finds, and of its subkeys.
    pub fn fingerprints(&self, name: &str) -> Vec<String> {
        let listed = self.ok(&["--with-colons", "--list-keys", name], b"");
        let listed = String::from_utf8(listed).expect("gpg writes UTF-8");
        let lines = listed.lines().filter(|line| line.starts_with("fpr:"));
        lines
            .filter_map(|line| line.split(':').nth(9))
            .map(str::to_owned)
            .collect()
    }

    /// Returns a detached armored signature, made as git has it made.
    pub fn sign(&self, key: &str, payload: &[u8]) -> Vec<u8> {
        self.ok(&["-bsau", key], payload)
    }

    /// Returns the public keys that a name finds, armored.
    pub fn export(&self, name: &str) -> Vec<u8> {
        self.ok(&["--armor", "--export", name], b"")
    }

    /// Writes a file into the home.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.home.path().join(name), bytes).expect("the directory is ours");
    }
}

impl Default for Gnupg {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let _ = Command::new(oracle("gpgconf"))
            .env("GNUPGHOME", self.home.path())
            .args(["--kill", "all"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Imports `<name>.key` and `<name>.pem` of a directory into a home of gpgsm's, which also gets
/// `options`.
///
/// gpgsm 2.2 misreads the encryption of about one PKCS#12 file in fifty, whatever the key; the
/// same key written again, under another salt, is then taken.
///
/// # Panics
/// When it takes none of four, with what it said.
pub fn import_into_gpgsm(
    home: &Path,
    (directory, name): (&Path, &str),
    passphrase: &str,
    options: &[&str],
) {
    let [key, certificate, p12] =
        ["key", "pem", "p12"].map(|kind| directory.join(format!("{name}.{kind}")));
    let mut said = String::new();
    for _ in 0..4 {
        let exported = run(
            Command::new(oracle("openssl"))
                .args(["pkcs12", "-export", "-legacy", "-passout"])
                .arg(format!("pass:{passphrase}"))
                .arg("-inkey")
                .arg(&key)
                .arg("-in")
                .arg(&certificate)
                .arg("-out")
                .arg(&p12),
            b"",
        );
        assert!(exported.status.success(), "{exported:?}");
        let imported = run(
            Command::new(oracle("gpgsm"))
                .env("GNUPGHOME", home)
                .env("LC_ALL", "C")
                .args(options)
                .args(["--batch", "--pinentry-mode", "loopback"])
                .args(["--passphrase-fd", "0", "--import"])
                .arg(&p12),
            passphrase.as_bytes(),
        );
        said = String::from_utf8_lossy(&imported.stderr).into_owned();
        if said.contains("secret keys imported: 1") {
            return;
        }
    }
    panic!("gpgsm took no key: {said}");
}
