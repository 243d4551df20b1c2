//! Certificates of ours, read by ssh-keygen and by ourselves.

use notme_core::{
    key::{Signer as _, sha256},
    ssh::{
        Certificate, Key, UserCertificate,
        certificate::{CertificateError, IssueError, Role, Unauthorised},
        wire::Writer,
    },
};
use notme_testkit::{clock::NOW, keys::P256Key};

use super::support::{
    Folder, IDENTITY, MESSAGE, ca, certificate, certified, plain, signed, terms, user,
};

#[test]
fn ssh_keygen_lists_what_we_wrote() {
    let folder = Folder::new();
    folder.put("cert.pub", certified().to_text());
    let output = folder.ssh_keygen(&["-L", "-f", "cert.pub"], b"");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "Type: ssh-ed25519-cert-v01@openssh.com user certificate",
        &format!(
            "Public key: ED25519-CERT {}",
            certificate().public_key().fingerprint()
        ),
        &format!(
            "Signing CA: ED25519 {}",
            certificate().authority().fingerprint()
        ),
        &format!("Key ID: \"{IDENTITY}\""),
        "Serial: 7",
        "Valid: from 2026-11-20T11:59:00 to 2026-11-20T12:05:00",
        IDENTITY,
        "claude",
        "Critical Options: (none)",
        "payload-sha256@notme.bot UNKNOWN OPTION",
        "x509-kid@notme.bot UNKNOWN OPTION",
        "epoch@notme.bot UNKNOWN OPTION",
        "issued-at@notme.bot UNKNOWN OPTION",
        "scopes@notme.bot UNKNOWN OPTION",
        "session@notme.bot UNKNOWN OPTION",
        "permit-pty",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn we_read_what_we_wrote() {
    let certificate = Certificate::from_blob(certificate().blob()).unwrap();
    assert_eq!(certificate.key_id(), IDENTITY);
    assert_eq!(certificate.principals(), [IDENTITY, "claude"]);
    assert_eq!(certificate.role(), Role::User);
    assert_eq!(certificate.serial(), 7);
    assert_eq!(certificate.payload_digest(), Some(sha256(MESSAGE)));
    assert_eq!(certificate.x509_kid(), Some(user().public_key().kid()));
    assert_eq!(certificate.epoch(), Some(3));
    assert_eq!(certificate.issued_at(), Some(NOW));
    assert_eq!(certificate.scopes(), ["bridgeCert", "sign:git"]);
    assert_eq!(certificate.session(), Some([0xb1; 32]));
    assert!(certificate.critical_options().is_empty());
    let mut sorted = certificate.extensions().to_vec();
    sorted.sort();
    assert_eq!(certificate.extensions(), sorted);
}

#[test]
fn a_certificate_stands_from_its_first_second_to_the_one_before_its_end() {
    let certificate = certificate();
    for (offset, expected) in [
        (-61, Err(Unauthorised::NotYetValid)),
        (-60, Ok(())),
        (299, Ok(())),
        (300, Err(Unauthorised::Expired)),
    ] {
        assert_eq!(certificate.authorises(NOW.plus(offset), None), expected);
    }
    assert_eq!(certificate.authorises(NOW, Some("claude")), Ok(()));
    for other in ["Claude", "claude ", "*", ""] {
        let refused = certificate.authorises(NOW, Some(other));
        assert_eq!(refused, Err(Unauthorised::OtherPrincipals), "{other}");
    }
}

#[test]
fn stock_verifies_a_signature_under_our_certificate() {
    let folder = Folder::new();
    folder.put("sig", signed(certified()).to_armor());
    let line = |pattern: &str| {
        format!(
            "{pattern} cert-authority,namespaces=\"git\" {}\n",
            plain(&ca()).to_text()
        )
    };
    let verify = |time: &str| {
        let time = format!("-Overify-time={time}");
        let arguments = [
            "-Y", "verify", "-n", "git", "-f", "allowed", "-I", IDENTITY, "-s", "sig", &time,
        ];
        folder.ssh_keygen(&arguments, MESSAGE).status.success()
    };
    folder.put("allowed", line("wimse://test.invalid/*"));
    assert!(verify("20261120120000Z"));
    assert!(verify("20261120120459Z"));
    assert!(!verify("20261120120500Z"));
    folder.put("allowed", line("wimse://other.invalid/*"));
    assert!(!verify("20261120120000Z"));
}

#[test]
fn what_no_reader_could_tell_apart_is_not_issued() {
    let (user, identity) = (user(), IDENTITY.parse().unwrap());
    let good = UserCertificate {
        nonce: [1; 32],
        key: user.public_key(),
        serial: 7,
        identity: &identity,
        principals: &[IDENTITY],
        valid_after: NOW,
        valid_before: NOW.plus(300),
        payload_digest: None,
        x509_kid: user.public_key().kid(),
        epoch: 3,
        issued_at: NOW,
        scopes: &[],
        session: [0xb1; 32],
        permits: &[],
        terms: None,
    };
    assert!(good.sign(&ca()).is_ok());
    for principals in [&[][..], &[""], &["a,b"], &["a\0"]] {
        let bad = UserCertificate { principals, ..good };
        assert!(
            matches!(bad.sign(&ca()), Err(IssueError::Principals)),
            "{principals:?}"
        );
    }
    let scopes = ["a,b".to_owned()];
    let bad = UserCertificate {
        scopes: &scopes,
        ..good
    };
    assert!(matches!(bad.sign(&ca()), Err(IssueError::Scopes)));
    for (valid_after, valid_before) in [
        (NOW, NOW),
        (NOW, NOW.plus(-1)),
        (NOW.plus(-NOW.secs() - 1), NOW),
    ] {
        let bad = UserCertificate {
            valid_after,
            valid_before,
            ..good
        };
        assert!(matches!(bad.sign(&ca()), Err(IssueError::Time)));
    }
    let p256 = P256Key::from_seed([7; 32]);
    let bad = UserCertificate {
        key: p256.public_key(),
        ..good
    };
    assert!(matches!(bad.sign(&ca()), Err(IssueError::Key)));
    assert!(matches!(good.sign(&p256), Err(IssueError::Authority(_))));
}

/// Replaces the extensions of the certificate and signs it again.
fn with_extensions(extensions: &[(&str, &[u8])]) -> Result<Key, CertificateError> {
    let certificate = certificate();
    let user = plain(&user());
    let ca_key = plain(&ca());
    let raw = &user.blob()[user.blob().len() - 32..];
    let extensions = extensions.iter().fold(Writer::new(), |out, (name, value)| {
        out.string(name.as_bytes()).string(value)
    });
    let signed = Writer::new()
        .string(b"ssh-ed25519-cert-v01@openssh.com")
        .string(&[1; 32])
        .string(raw)
        .u64(1)
        .u32(1)
        .string(certificate.key_id().as_bytes())
        .string(b"")
        .u64(0)
        .u64(u64::MAX)
        .string(b"")
        .string(&extensions.finish())
        .string(b"")
        .string(ca_key.blob())
        .finish();
    let signature = notme_core::ssh::signature::ed25519_blob(&ca().sign(&signed).unwrap());
    let blob = Writer::new().bytes(&signed).string(&signature).finish();
    Certificate::from_blob(&blob).map(|it| Key::Certified(Box::new(it)))
}

fn text(value: &str) -> Vec<u8> {
    Writer::new().string(value.as_bytes()).finish()
}

#[test]
fn our_extensions_have_one_spelling() {
    let digest = "ab".repeat(32);
    let name = "payload-sha256@notme.bot";
    assert!(with_extensions(&[(name, &text(&digest))]).is_ok());
    assert!(with_extensions(&[("what@example.com", b"anything")]).is_ok());
    for bad in [
        text(&digest.to_uppercase()),
        text(&digest[2..]),
        text(""),
        digest.clone().into_bytes(),
        [text(&digest), vec![0]].concat(),
        Vec::new(),
    ] {
        let refused = with_extensions(&[(name, &bad)]);
        assert_eq!(refused.unwrap_err(), CertificateError::Extension(name));
    }
    let twice = with_extensions(&[(name, &text(&digest)), (name, &text(&digest))]);
    assert_eq!(twice.unwrap_err(), CertificateError::Extension(name));
    let name = "terms@notme.bot";
    let good = terms().to_text().unwrap();
    assert_eq!(certificate().terms(), Some(&terms()));
    assert!(with_extensions(&[(name, &text(&good))]).is_ok());
    for bad in [
        text(""),
        text("MAA="),
        text(&good[4..]),
        text(&format!("{good}\n")),
    ] {
        let refused = with_extensions(&[(name, &bad)]);
        assert_eq!(refused.unwrap_err(), CertificateError::Extension(name));
    }
    let twice = with_extensions(&[(name, &text(&good)), (name, &text(&good))]);
    assert_eq!(twice.unwrap_err(), CertificateError::Extension(name));
    for bad in ["01", "+1", "-1", "x", "18446744073709551616"] {
        let refused = with_extensions(&[("epoch@notme.bot", &text(bad))]);
        assert!(refused.is_err(), "{bad}");
    }
}
