//! What we write, read by certtool, openssl and gpgsm; what they write, read by us.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use notme_testkit::{gnupg::import_into_gpgsm, oracle::oracle, repository::run};

use crate::world::{World, told};

/// A signed commit, taken apart.
pub(crate) struct Detached {
    world: World,
    payload: PathBuf,
    signature: PathBuf,
    root: PathBuf,
}

/// Takes apart a commit that git had us sign under `profile`, once without and once with a time
/// stamp.
fn detached(profile: &str) -> [Detached; 2] {
    let options = ["init", "--profile", profile];
    let stamped = [&options[..], &["--timestamp=required"]].concat();
    [detached_after(&options), detached_after(&stamped)]
}

fn detached_after(init: &[&str]) -> Detached {
    let world = World::new();
    world.notme_ok(init);
    let roots = world.notme_ok(&["authority", "bundle"]);
    Detached::signed_by(world, &roots)
}

impl Detached {
    /// Signs a commit as somebody under these roots.
    pub(crate) fn signed_by(world: World, roots: &str) -> Self {
        let oid = world.signed_commit("a");
        let raw = world.read_object("commit", &oid);
        let split =
            notme_core::object::split_commit(&raw, notme_core::object::HashKind::Sha1).unwrap();
        let folder = world.home();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let armor = String::from_utf8(split.signature().unwrap().to_vec()).unwrap();
        Self {
            payload: put("payload", split.payload()),
            signature: put(
                "signature.pem",
                armor.replace("SIGNED MESSAGE", "CMS").as_bytes(),
            ),
            root: put("root.pem", roots.as_bytes()),
            world,
        }
    }

    /// Asks certtool for Ed25519, and openssl otherwise.
    pub(crate) fn is_good_to(&self, stranger: &str) {
        let output = match stranger {
            "certtool" => self.certtool(&self.payload),
            _ => self.openssl(&self.payload),
        };
        assert!(output.status.success(), "{stranger}: {}", told(&output));
    }

    fn tampered(&self) -> PathBuf {
        let path = self.world.home().join("tampered");
        fs::write(
            &path,
            [&fs::read(&self.payload).unwrap()[..], b"x"].concat(),
        )
        .unwrap();
        path
    }

    /// certtool reads DER here: its PEM labels are its own.
    fn certtool(&self, payload: &Path) -> Output {
        let der = self.world.home().join("signature.der");
        let status = Command::new(oracle("openssl"))
            .args(["cms", "-cmsout", "-inform", "PEM", "-outform", "DER", "-in"])
            .arg(&self.signature)
            .arg("-out")
            .arg(&der)
            .status()
            .unwrap();
        assert!(status.success());
        let root = self.world.home().join("ed25519.pem");
        let roots = fs::read_to_string(&self.root).unwrap();
        let first = roots
            .split_inclusive("-----END CERTIFICATE-----\n")
            .next()
            .unwrap();
        fs::write(&root, first).unwrap();
        Command::new(oracle("certtool"))
            .args(["--p7-verify", "--inder", "--load-ca-certificate"])
            .arg(root)
            .arg("--load-data")
            .arg(payload)
            .arg("--infile")
            .arg(der)
            .output()
            .unwrap()
    }

    fn openssl(&self, payload: &Path) -> Output {
        Command::new(oracle("openssl"))
            .args([
                "cms",
                "-verify",
                "-binary",
                "-inform",
                "PEM",
                "-out",
                "/dev/null",
                "-in",
            ])
            .arg(&self.signature)
            .arg("-content")
            .arg(payload)
            .arg("-CAfile")
            .arg(&self.root)
            .output()
            .unwrap()
    }
}

#[test]
fn certtool_accepts_our_ed25519_signature_and_refuses_it_tampered() {
    for detached in detached("modern") {
        let good = detached.certtool(&detached.payload);
        assert!(good.status.success(), "{}", told(&good));
        let bad = detached.certtool(&detached.tampered());
        assert!(!bad.status.success(), "{}", told(&bad));
    }
}

#[test]
fn openssl_accepts_profile_interop_and_refuses_it_tampered() {
    for detached in detached("interop") {
        let good = detached.openssl(&detached.payload);
        assert!(good.status.success(), "{}", told(&good));
        assert!(!detached.openssl(&detached.tampered()).status.success());
        assert_eq!(detached.world.code("HEAD", &[]), "accepted");
    }
}

/// A hermetic gpgsm home that trusts the given roots; its daemons end with the value.
struct Gpgsm {
    home: tempfile::TempDir,
}

impl Gpgsm {
    fn trusting(roots: &Path) -> Self {
        let home = tempfile::Builder::new().prefix("gpg-").tempdir().unwrap();
        fs::set_permissions(
            home.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .unwrap();
        fs::write(home.path().join("gpgsm.conf"), "disable-crl-checks\n").unwrap();
        let gpgsm = Self { home };
        let imported = gpgsm.run(&["--batch", "--import", roots.to_str().unwrap()], b"");
        assert!(told(&imported).contains("imported"), "{}", told(&imported));
        let listed = gpgsm.run(&["--batch", "--with-colons", "--list-keys"], b"");
        let trusted: String = String::from_utf8(listed.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.strip_prefix("fpr:"))
            .map(|rest| {
                format!(
                    "{} S relax\n",
                    rest.trim_matches(':').split(':').next().unwrap()
                )
            })
            .collect();
        fs::write(gpgsm.home.path().join("trustlist.txt"), trusted).unwrap();
        let _ = gpgsm.tool("gpgconf", &["--kill", "all"]);
        gpgsm
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> Output {
        run(
            Command::new(oracle(program))
                .env("GNUPGHOME", self.home.path())
                .args(arguments),
            b"",
        )
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        run(
            Command::new(oracle("gpgsm"))
                .env("GNUPGHOME", self.home.path())
                .args(arguments),
            input,
        )
    }
}

impl Drop for Gpgsm {
    fn drop(&mut self) {
        let _ = self.tool("gpgconf", &["--kill", "all"]);
    }
}

#[test]
fn gpgsm_and_git_with_it_accept_profile_interop() {
    for detached in detached("interop") {
        gpgsm_and_git_with_it_accept(&detached);
    }
}

fn gpgsm_and_git_with_it_accept(detached: &Detached) {
    let roots = fs::read_to_string(&detached.root).unwrap();
    // gpgsm 2.2 cannot import an Ed25519 root; the second one is P-256.
    let p256 = roots
        .split_inclusive("-----END CERTIFICATE-----\n")
        .nth(1)
        .unwrap();
    let root = detached.world.home().join("p256.pem");
    fs::write(&root, p256).unwrap();
    let gpgsm = Gpgsm::trusting(&root);
    let armor = detached.world.home().join("signature");
    let cms = fs::read_to_string(&detached.signature).unwrap();
    fs::write(&armor, cms.replace(" CMS-", " SIGNED MESSAGE-")).unwrap();
    let verify = |payload: &Path| {
        gpgsm.run(
            &["--status-fd=1", "--verify", armor.to_str().unwrap(), "-"],
            &fs::read(payload).unwrap(),
        )
    };
    let good = verify(&detached.payload);
    assert!(
        told(&good).contains("GOODSIG") && told(&good).contains("TRUST_FULLY"),
        "{}",
        told(&good)
    );
    assert!(told(&verify(&detached.tampered())).contains("BADSIG"));
    let stock = detached
        .world
        .command("git")
        .env("GNUPGHOME", gpgsm.home.path())
        .args(["-c", "gpg.x509.program=gpgsm", "verify-commit", "HEAD"])
        .output()
        .unwrap();
    assert!(stock.status.success(), "{}", told(&stock));
}

/// An ordinary X.509 authority and an e-mail certificate, made by openssl.
fn x509_user(folder: &Path, algorithm: &[&str]) {
    let openssl = |arguments: &[&str]| {
        let output = run(
            Command::new(oracle("openssl"))
                .current_dir(folder)
                .args(arguments),
            b"",
        );
        assert!(output.status.success(), "{}", told(&output));
    };
    fs::write(
        folder.join("leaf.cnf"),
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\nsubjectAltName=email:human@example.invalid\n",
    )
    .unwrap();
    let request = [
        &[
            "req",
            "-x509",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=corporate",
            "-days",
            "2",
        ],
        algorithm,
    ]
    .concat();
    openssl(&request);
    let leaf = [
        &[
            "req",
            "-new",
            "-nodes",
            "-keyout",
            "leaf.key",
            "-out",
            "leaf.csr",
            "-subj",
            "/CN=human",
        ],
        algorithm,
    ]
    .concat();
    openssl(&leaf);
    openssl(&[
        "x509",
        "-req",
        "-in",
        "leaf.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "1",
        "-extfile",
        "leaf.cnf",
        "-out",
        "leaf.pem",
    ]);
}

const RSA: [&str; 2] = ["-newkey", "rsa:2048"];
const P256: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// A policy for the corporate authority; its signatures carry no proof of time.
fn corporate_policy(world: &World) -> String {
    world.notme_ok(&[
        "trust",
        "add",
        "--x509",
        "--name",
        "corporate",
        world.home().join("ca.pem").to_str().unwrap(),
    ]);
    world.policy("time_basis_floor = \"declared\"\n[[authority]]\nname = \"corporate\"\nscopes = []\n[[allow]]\nidentity = \"mailto:human@example.invalid\"\n")
}

#[test]
fn we_verify_what_openssl_signs() {
    for algorithm in [&RSA[..], &P256] {
        let world = World::new();
        x509_user(&world.home(), algorithm);
        let policy = corporate_policy(&world);
        let program = world.home().join("sign");
        fs::write(
            &program,
            format!(
                "#!/bin/sh\ncd '{}'\nopenssl cms -sign -binary -signer leaf.pem -inkey leaf.key -outform PEM -md sha256 | sed 's/ CMS-/ SIGNED MESSAGE-/'\nprintf '\\n[GNUPG:] SIG_CREATED D 1 8 00 0 0\\n' >&2\n",
                world.home().display()
            ),
        )
        .unwrap();
        fs::set_permissions(
            &program,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        world.git_ok(&["config", "gpg.format", "x509"]);
        world.git_ok(&["config", "gpg.x509.program", program.to_str().unwrap()]);
        world.git_ok(&["commit", "-q", "-S", "--allow-empty", "-m", "by openssl"]);
        assert_eq!(world.code("HEAD", &["--policy", &policy]), "accepted");
        let raw = String::from_utf8(world.read_object("commit", "HEAD")).unwrap();
        let altered = world.store(raw.replace("by openssl", "by OPENSSL").as_bytes());
        assert_eq!(
            world.code(&altered, &["--policy", &policy]),
            "signature-invalid"
        );
    }
}

#[test]
fn we_verify_what_gpgsm_signs() {
    let world = World::new();
    x509_user(&world.home(), &RSA);
    let policy = corporate_policy(&world);
    let gpgsm = Gpgsm::trusting(&world.home().join("ca.pem"));
    fs::write(
        gpgsm.home.path().join("gpg-agent.conf"),
        "allow-loopback-pinentry\n",
    )
    .unwrap();
    import_into_gpgsm(gpgsm.home.path(), (&world.home(), "leaf"), "x", &[]);
    let wrapper = world.home().join("gpgsm-loopback");
    fs::write(
        &wrapper,
        "#!/bin/sh\nexec gpgsm --batch --pinentry-mode loopback --passphrase-fd 3 \"$@\" 3<<E\nx\nE\n",
    )
    .unwrap();
    fs::set_permissions(
        &wrapper,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let commit = world
        .command("git")
        .env("GNUPGHOME", gpgsm.home.path())
        .args(["-c", "gpg.format=x509", "-c"])
        .arg(format!("gpg.x509.program={}", wrapper.display()))
        .args([
            "-c",
            "user.signingkey=human@example.invalid",
            "commit",
            "-q",
            "-S",
            "--allow-empty",
            "-m",
            "by gpgsm",
        ])
        .output()
        .unwrap();
    assert!(commit.status.success(), "{}", told(&commit));
    assert_eq!(world.code("HEAD", &["--policy", &policy]), "accepted");
}

#[test]
fn of_data_that_is_no_git_object_it_says_neither_good_nor_bad() {
    let world = World::new();
    x509_user(&world.home(), &P256);
    corporate_policy(&world);
    let signed = run(
        Command::new(oracle("openssl"))
            .current_dir(world.home())
            .args(["cms", "-sign", "-binary", "-signer", "leaf.pem"])
            .args(["-inkey", "leaf.key", "-outform", "PEM"]),
        b"a release",
    );
    let armor = String::from_utf8(signed.stdout).unwrap();
    let file = world.home().join("release.sig");
    fs::write(&file, armor.replace(" CMS-", " SIGNED MESSAGE-")).unwrap();
    let mut verify = world.notme_command();
    verify.args(["--status-fd=1", "--verify", file.to_str().unwrap(), "-"]);
    let output = run(&mut verify, b"a release");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(
        told(&output).contains("[GNUPG:] ERRSIG "),
        "{}",
        told(&output)
    );
    assert!(!told(&output).contains("BADSIG"), "{}", told(&output));
}
