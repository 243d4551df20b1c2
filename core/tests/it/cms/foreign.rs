//! Signatures between us and openssl, GnuTLS and gpgsm, in both directions.

use std::process::Output;

use notme_core::{
    armor,
    certificate::Certificate,
    cms::{CmsError, SignedMessage},
    key::{Algorithm, Hash, PublicKey},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    gnupg::import_into_gpgsm,
    tsa::TestTsa,
};

use super::support::{PAYLOAD, Session, sign, sign_payload};
use crate::bench::{Bench, P256, RSA, talk};

/// Payloads that line-ending canonicalisation or text modes would change.
const PAYLOADS: [&[u8]; 4] = [PAYLOAD, b"", b"a\r\nb\n\n\r", b"\0\xff\x1a\n."];

impl Bench {
    /// Has openssl sign [`PAYLOAD`], detached unless an option says otherwise.
    fn openssl_signs(&self, name: &str, options: &[&str]) -> Vec<u8> {
        self.write("payload", PAYLOAD);
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let mut arguments = vec!["cms", "-sign", "-binary", "-in", "payload"];
        arguments.extend(["-outform", "DER", "-out", "signature"]);
        arguments.extend(["-signer", &certificate, "-inkey", &key]);
        arguments.extend(options);
        self.ok("openssl", &arguments);
        self.read("signature")
    }
}

/// A leaf and root that foreign programs find valid whenever this runs.
fn long_lived(algorithm: Algorithm) -> (TestAuthority, Session) {
    let authority = TestAuthority::new(1);
    let session = authority.leaf(&LeafSpec {
        algorithm,
        not_after: NOW.plus(9 * 365 * 24 * 3600),
        ..LeafSpec::default()
    });
    (authority, session)
}

/// Every payload, signed without and with a time stamp.
fn signed(authority: &TestAuthority, session: &Session) -> Vec<(&'static [u8], Vec<u8>)> {
    let tsa = TestTsa::of(authority, 1);
    PAYLOADS
        .into_iter()
        .flat_map(|payload| {
            let stamped = session.sign_cms_stamped(payload, NOW, |it| tsa.stamp(it, NOW));
            [
                (payload, sign_payload(session, payload)),
                (payload, stamped),
            ]
        })
        .collect()
}

#[test]
fn gnutls_accepts_what_we_sign() {
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let (authority, session) = long_lived(algorithm);
        // certtool takes an empty file for no file.
        for (payload, signature) in signed(&authority, &session) {
            if payload.is_empty() {
                continue;
            }
            let bench = Bench::new();
            bench.write("ca.pem", authority.root(algorithm).1.pem().as_bytes());
            bench.write("signature", &signature);
            let arguments = ["--p7-verify", "--inder", "--infile", "signature"];
            let inputs = ["--load-data", "payload", "--load-ca-certificate", "ca.pem"];
            let arguments = [&arguments[..], &inputs[..]].concat();
            bench.write("payload", payload);
            let said = bench.ok("certtool", &arguments);
            assert!(said.contains("Signature status: ok"), "{said}");
            bench.write("payload", &[payload, b"x"].concat());
            let output = bench.run("certtool", &arguments);
            assert!(!output.status.success(), "{}", talk(&output));
        }
    }
}

/// P-256 only: OpenSSL before 3.5 does not verify Ed25519 in CMS.
#[test]
fn openssl_accepts_what_we_sign() {
    let (authority, session) = long_lived(Algorithm::P256);
    for (payload, signature) in signed(&authority, &session) {
        let bench = Bench::new();
        bench.write("ca.pem", authority.p256_root().pem().as_bytes());
        bench.write("signature", &signature);
        let at = NOW.secs().to_string();
        let arguments = ["cms", "-verify", "-binary", "-inform", "DER"];
        let inputs = [
            "-in",
            "signature",
            "-content",
            "payload",
            "-CAfile",
            "ca.pem",
        ];
        let rest = ["-attime", &at, "-out", "content"];
        let arguments = [&arguments[..], &inputs[..], &rest[..]].concat();
        bench.write("payload", payload);
        bench.ok("openssl", &arguments);
        assert_eq!(bench.read("content"), payload);
        bench.write("payload", &[payload, b"x"].concat());
        assert!(!bench.run("openssl", &arguments).status.success());
    }
}

#[test]
fn gpgsm_accepts_what_we_sign() {
    let (authority, session) = long_lived(Algorithm::P256);
    let bench = Gpgsm::new();
    bench.trust(authority.p256_root());
    for (payload, signature) in signed(&authority, &session) {
        bench.write("signature", armor::armor(&signature).as_bytes());
        bench.write("payload", payload);
        let said = bench.gpgsm(&["--status-fd=1", "--verify", "signature", "payload"]);
        assert!(talk(&said).contains("[GNUPG:] GOODSIG "), "{}", talk(&said));
        assert!(
            talk(&said).contains("[GNUPG:] TRUST_FULLY "),
            "{}",
            talk(&said)
        );
        assert!(said.status.success());
        bench.write("payload", &[payload, b"x"].concat());
        let said = bench.gpgsm(&["--status-fd=1", "--verify", "signature", "payload"]);
        assert!(talk(&said).contains("[GNUPG:] BADSIG "), "{}", talk(&said));
    }
}

/// When the certificates that gpgsm sees are valid.
const FAKED_TIME: [&str; 2] = ["--faked-system-time", "20261120T120000"];

/// A private gpgsm home, with its agent stopped in the end.
struct Gpgsm(Bench);

impl Gpgsm {
    fn new() -> Self {
        let bench = Bench::new();
        // Also what tells `Drop` that there may be an agent.
        bench.write("gpg-agent.conf", b"");
        bench.write("gpgsm.conf", b"disable-crl-checks\ndisable-dirmngr\n");
        Self(bench)
    }

    fn gpgsm(&self, arguments: &[&str]) -> Output {
        self.run(
            "gpgsm",
            &[&["--batch"], &FAKED_TIME[..], arguments].concat(),
        )
    }

    fn trust(&self, root: &Certificate) {
        self.write("ca.pem", root.pem().as_bytes());
        let line = format!("{} S relax\n", self.fingerprint("ca.pem"));
        self.write("trustlist.txt", line.as_bytes());
        let said = self.gpgsm(&["--import", "ca.pem"]);
        assert!(said.status.success(), "{}", talk(&said));
    }

    /// Gives it an RSA key with a leaf of a trusted authority; returns leaf and fingerprint.
    fn enrol_rsa(&self) -> (Certificate, String) {
        self.ok("openssl", &["genrsa", "-out", "rsa.key", "2048"]);
        self.ok(
            "openssl",
            &["pkey", "-in", "rsa.key", "-pubout", "-out", "rsa.pub"],
        );
        let public = String::from_utf8(self.read("rsa.pub")).unwrap();
        let (authority, session) = long_lived(Algorithm::P256);
        let spec = LeafSpec {
            algorithm: Algorithm::P256,
            not_after: session.certificate().not_after(),
            ..LeafSpec::default()
        };
        let leaf = authority.certify(&PublicKey::from_spki_pem(&public).unwrap(), &spec);
        self.trust(authority.p256_root());
        self.write("rsa.pem", leaf.pem().as_bytes());
        let home = self.path("");
        import_into_gpgsm(&home, (&home, "rsa"), "", &FAKED_TIME);
        (leaf, self.fingerprint("rsa.pem"))
    }

    fn fingerprint(&self, certificate: &str) -> String {
        let print = [
            "x509",
            "-in",
            certificate,
            "-noout",
            "-fingerprint",
            "-sha1",
        ];
        let said = self.ok("openssl", &print);
        let (_, fingerprint) = said.trim().split_once('=').unwrap();
        fingerprint.replace(':', "")
    }
}

impl std::ops::Deref for Gpgsm {
    type Target = Bench;

    fn deref(&self) -> &Bench {
        &self.0
    }
}

/// gpgsm writes BER with indefinite lengths; 2.2 signs with RSA only.
#[test]
fn reads_what_gpgsm_signs() {
    let bench = Gpgsm::new();
    let (leaf, fingerprint) = bench.enrol_rsa();
    for (payload, include) in [(PAYLOAD, "1"), (b"\r\n", "-1"), (&[b'x'; 100_000], "-2")] {
        bench.write("payload", payload);
        let options = [
            "--yes",
            "--armor",
            "--detach-sign",
            "--include-certs",
            include,
        ];
        let what = [
            "--local-user",
            &fingerprint,
            "--output",
            "signature",
            "payload",
        ];
        let said = bench.gpgsm(&[&options[..], &what[..]].concat());
        assert!(said.status.success(), "{}", talk(&said));
        let ber = armor::dearmor(&bench.read("signature")).unwrap();
        assert_eq!(ber[..2], [0x30, 0x80], "not BER any more?");
        let message = SignedMessage::parse(&ber).unwrap();
        message.verify(payload).unwrap();
        assert_eq!(message.signer(), &leaf);
        let signed_at = message.signing_time().unwrap();
        assert!(NOW <= signed_at && signed_at < NOW.plus(600));
        let err = message.verify(b"x").unwrap_err();
        assert!(matches!(err, CmsError::DigestMismatch));
    }
}

#[test]
fn reads_what_openssl_signs() {
    let bench = Bench::new();
    let p384 = &["ec", "ec_paramgen_curve:P-384", "ec_param_enc:named_curve"];
    for (name, algorithm) in [("p256", P256), ("p384", p384), ("rsa", RSA)] {
        bench.certify(name, algorithm);
        for (options, hash) in [
            (&[][..], Hash::Sha256),
            (&["-md", "sha256"], Hash::Sha256),
            (&["-md", "sha384"], Hash::Sha384),
            (&["-md", "sha512"], Hash::Sha512),
            (&["-nosmimecap"], Hash::Sha256),
            (&["-cades"], Hash::Sha256),
            (&["-keyid"], Hash::Sha256),
            (&["-certfile", "p256.pem"], Hash::Sha256),
        ] {
            // The signer itself a second time would be two certificates of one name.
            if options.contains(&"-certfile") && name == "p256" {
                continue;
            }
            let der = bench.openssl_signs(name, options);
            let message =
                SignedMessage::parse(&der).unwrap_or_else(|err| panic!("{options:?} {err}"));
            message
                .verify(PAYLOAD)
                .unwrap_or_else(|err| panic!("{options:?} {err}"));
            assert_eq!(message.hash(), hash, "{options:?}");
            let signer = bench.certificate(&format!("{name}.pem"));
            assert_eq!(message.signer(), &signer);
            assert!(matches!(
                message.verify(b"x"),
                Err(CmsError::DigestMismatch)
            ));
        }
    }
}

#[test]
fn refuses_what_openssl_signs_in_other_ways() {
    let bench = Bench::new();
    bench.certify("p256", P256);
    bench.certify("other", P256);
    bench.certify("rsa", RSA);
    bench.certify("short", &["rsa:1024"]);
    bench.certify(
        "p521",
        &["ec", "ec_paramgen_curve:P-521", "ec_param_enc:named_curve"],
    );
    for (name, options, code) in [
        ("p256", &["-noattr"][..], "cms-no-attributes"),
        ("rsa", &["-noattr"], "cms-no-attributes"),
        ("p256", &["-nodetach"], "signature-malformed"),
        // BER, with the content in it.
        ("p256", &["-stream"], "signature-malformed"),
        ("p256", &["-nocerts"], "signature-malformed"),
        (
            "p256",
            &["-signer", "other.pem", "-inkey", "other.key"],
            "signature-malformed",
        ),
        ("p256", &["-md", "sha1"], "algorithm-weak"),
        ("rsa", &["-md", "sha1"], "algorithm-weak"),
        ("rsa", &["-md", "md5"], "algorithm-weak"),
        ("rsa", &["-md", "sha224"], "algorithm-unsupported"),
        (
            "rsa",
            &["-keyopt", "rsa_padding_mode:pss"],
            "algorithm-unsupported",
        ),
        ("p521", &["-md", "sha512"], "algorithm-unsupported"),
        ("short", &[], "certificate-invalid"),
    ] {
        let der = bench.openssl_signs(name, options);
        let err = SignedMessage::parse(&der).expect_err(name);
        assert_eq!(err.code(), code, "{name} {options:?}: {err:?}");
    }
}

/// OpenSSL before 3.5 cannot verify it, but every one reads it.
#[test]
fn our_ed25519_signature_is_parsed_by_openssl() {
    let (_, session) = long_lived(Algorithm::Ed25519);
    let bench = Bench::new();
    bench.write("signature", &sign(&session));
    let said = bench.ok(
        "openssl",
        &[
            "cms",
            "-cmsout",
            "-print",
            "-noout",
            "-inform",
            "DER",
            "-in",
            "signature",
        ],
    );
    for part in [
        "version: 1",
        "sha512",
        "ED25519",
        "issuerAndSerialNumber",
        "signingTime",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
