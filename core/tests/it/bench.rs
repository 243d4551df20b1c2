//! A place for foreign programs to work in.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use notme_core::certificate::Certificate;
use notme_testkit::{oracle::oracle, repository::run};
use tempfile::TempDir;

/// A directory for a foreign program to work in, with an environment of its own.
pub(crate) struct Bench {
    directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        // A short path: gpg-agent's socket must fit in 108 bytes.
        let directory = tempfile::Builder::new().prefix("n-").tempdir().unwrap();
        let bench = Self { directory };
        bench.write("empty.cnf", b"");
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem(&fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(oracle(program));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("GNUPGHOME", self.directory.path())
            .env("OPENSSL_CONF", self.path("empty.cnf"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        run(&mut command, b"")
    }

    pub(crate) fn ok(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            talk(&output)
        );
        talk(&output)
    }

    /// Makes a key and the self-signed certificate of an authority, `<name>.key` and
    /// `<name>.pem`.
    pub(crate) fn certify(&self, name: &str, algorithm: &[&str]) {
        let extensions = [
            "keyUsage=critical,digitalSignature,keyCertSign",
            "basicConstraints=critical,CA:true",
        ];
        self.certify_with(name, algorithm, &extensions);
    }

    /// Makes a key and a self-signed certificate with extensions.
    pub(crate) fn certify_with(&self, name: &str, algorithm: &[&str], extensions: &[&str]) {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let subject = format!("/CN={name}/O=test");
        let mut arguments = vec!["req", "-x509", "-config", "empty.cnf", "-nodes", "-sha256"];
        arguments.extend(["-newkey", algorithm[0]]);
        for option in &algorithm[1..] {
            arguments.extend(["-pkeyopt", option]);
        }
        arguments.extend(["-subj", &subject, "-days", "30"]);
        arguments.extend(["-addext", "subjectKeyIdentifier=hash"]);
        for extension in extensions {
            arguments.extend(["-addext", extension]);
        }
        arguments.extend(["-keyout", &key, "-out", &certificate]);
        // `req` wants a section for the name even when `-subj` gives it.
        self.write("empty.cnf", b"[req]\ndistinguished_name=name\n[name]\n");
        self.ok("openssl", &arguments);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.path("gpg-agent.conf").exists() {
            self.run("gpgconf", &["--kill", "all"]);
        }
    }
}

pub(crate) fn talk(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|out| String::from_utf8_lossy(out));
    format!("{stdout}{stderr}")
}

/// What openssl makes a P-256 key of.
pub(crate) const P256: &[&str] = &["ec", "ec_paramgen_curve:P-256", "ec_param_enc:named_curve"];
/// What openssl makes a P-384 key of.
pub(crate) const P384: &[&str] = &["ec", "ec_paramgen_curve:P-384", "ec_param_enc:named_curve"];
/// What openssl makes an RSA key of.
pub(crate) const RSA: &[&str] = &["rsa:2048"];
