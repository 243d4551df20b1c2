//! Keys, certificates and signatures of the tests' own, and ssh-keygen to ask about them.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use notme_core::{
    key::{Signer, sha256},
    ssh::{
        Certificate, Key, Prehash, PublicKey, SshSig, UserCertificate, signature::ed25519_blob,
        sshsig::HashAlgorithm,
    },
    terms::Terms,
};
use notme_testkit::{clock::NOW, keys::Ed25519Key, oracle::oracle, repository::run};
use tempfile::TempDir;

pub(super) const MESSAGE: &[u8] = b"a message\n";
pub(super) const IDENTITY: &str = "wimse://test.invalid/agent/alice/claude";

pub(super) fn ca() -> Ed25519Key {
    Ed25519Key::from_seed([0xca; 32])
}

pub(super) fn user() -> Ed25519Key {
    Ed25519Key::from_seed([0x05; 32])
}

pub(super) fn plain(key: &Ed25519Key) -> Key {
    Key::Plain(PublicKey::from_key(key.public_key()).unwrap())
}

pub(super) fn certificate() -> Certificate {
    let (user, identity) = (user(), IDENTITY.parse().unwrap());
    UserCertificate {
        nonce: [1; 32],
        key: user.public_key(),
        serial: 7,
        identity: &identity,
        principals: &[IDENTITY, "claude"],
        valid_after: NOW.plus(-60),
        valid_before: NOW.plus(300),
        payload_digest: Some(sha256(MESSAGE)),
        x509_kid: user.public_key().kid(),
        epoch: 3,
        issued_at: NOW,
        scopes: &["bridgeCert".to_owned(), "sign:git".to_owned()],
        session: [0xb1; 32],
        permits: &["permit-pty"],
        terms: Some(&terms()),
    }
    .sign(&ca())
    .unwrap()
}

pub(super) fn terms() -> Terms {
    Terms {
        repository: Some("example.org/team/tool".to_owned()),
        refs: Some(vec!["refs/heads/agent/*".to_owned()]),
        paths: None,
        signatures: 10,
        until: NOW.plus(300),
    }
}

pub(super) fn certified() -> Key {
    Key::Certified(Box::new(certificate()))
}

pub(super) fn signed(key: Key) -> SshSig {
    let data = prehash().signed_data("git");
    let blob = ed25519_blob(&user().sign(&data).unwrap());
    SshSig::new(key, "git", HashAlgorithm::Sha512, blob)
}

pub(super) fn prehash() -> Prehash {
    Prehash::of(HashAlgorithm::Sha512, MESSAGE)
}

/// A directory in which ssh-keygen runs.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap()
    }

    pub(super) fn ssh_keygen(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(oracle("ssh-keygen"));
        command
            .current_dir(self.0.path())
            .env("TZ", "UTC")
            .env_remove("SSH_AUTH_SOCK")
            .args(arguments);
        run(&mut command, input)
    }

    /// Tells whether ssh-keygen accepts a signature over the message.
    pub(super) fn stock_accepts(&self, signature: &SshSig) -> bool {
        self.put("sig", signature.to_armor());
        let check = ["-Y", "check-novalidate", "-n", "git", "-s", "sig"];
        self.ssh_keygen(&check, MESSAGE).status.success()
    }
}
