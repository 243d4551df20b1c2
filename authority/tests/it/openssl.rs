//! OpenSSL judges our chains.

use std::{fs, process::Command};

use notme_core::{
    certificate::Certificate,
    enrol::{Format, IssueResponse},
};
use notme_testkit::oracle::oracle;

use crate::{client::Agent, world::World};

pub(crate) fn openssl(world: &World, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(oracle("openssl"))
        .args(arguments)
        .current_dir(world.root.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(text + &String::from_utf8_lossy(&output.stderr))
    }
}

/// Verifies a leaf as strictly as OpenSSL can, at the time of the test.
fn verify(world: &World, root: &str, leaf: &str, purpose: &str) -> Result<String, String> {
    let at = world.now().secs().to_string();
    let arguments = [
        "verify",
        "-x509_strict",
        "-attime",
        &at,
        "-purpose",
        purpose,
        "-CAfile",
        root,
        leaf,
    ];
    openssl(world, &arguments)
}

#[test]
fn both_roots_are_strictly_valid() {
    let world = World::new();
    let _running = world.start();
    for (at, root) in world.admin().roots().unwrap().iter().enumerate() {
        let name = format!("root{at}.pem");
        fs::write(world.root.path().join(&name), root.pem()).unwrap();
        verify(&world, &name, &name, "any").unwrap();
    }
}

#[test]
fn every_certificate_of_a_session_is_strictly_valid_for_its_purpose_only() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let mut request = session.issue_request(&client.url, world.now(), 1);
    request.formats = vec![Format::X509, Format::X509Interop];
    request.activity = Some("task-7".to_owned());
    let issued: IssueResponse = client
        .post("/v1/issue", &session.prove(&client.url, request))
        .json();

    let roots = world.admin().roots().unwrap();
    let put = |name: &str, pem: &str| fs::write(world.root.path().join(name), pem).unwrap();
    put("ed25519.pem", &roots[0].pem());
    put("interop.pem", &roots[1].pem());
    let pair = &session.enrolled.certificates;
    let cases = [
        ("mtls", &pair.mtls, "ed25519.pem", "sslclient", "smimesign"),
        (
            "signing",
            &pair.signing,
            "ed25519.pem",
            "smimesign",
            "sslclient",
        ),
        (
            "interop",
            &pair.interop,
            "interop.pem",
            "smimesign",
            "sslclient",
        ),
        (
            "x509",
            &issued.certificates[&Format::X509],
            "ed25519.pem",
            "smimesign",
            "sslserver",
        ),
        (
            "x509-interop",
            &issued.certificates[&Format::X509Interop],
            "interop.pem",
            "smimesign",
            "sslserver",
        ),
    ];
    for (name, pem, root, purpose, other_purpose) in cases {
        let file = format!("{name}-leaf.pem");
        put(&file, pem);
        verify(&world, root, &file, purpose).unwrap();
        verify(&world, root, &file, other_purpose).unwrap_err();
        let other_root = if root == "ed25519.pem" {
            "interop.pem"
        } else {
            "ed25519.pem"
        };
        verify(&world, other_root, &file, purpose).unwrap_err();

        let text = openssl(&world, &["x509", "-in", &file, "-noout", "-text"]).unwrap();
        assert!(
            text.contains("URI:wimse://notme.test/agent/alice/claude"),
            "{text}"
        );
        assert!(!text.contains("BAD"), "{text}");
        let ours = Certificate::from_pem(pem).unwrap();
        let serial = openssl(&world, &["x509", "-in", &file, "-noout", "-serial"]).unwrap();
        assert_eq!(
            serial.trim().to_lowercase(),
            format!("serial={}", ours.serial_hex())
        );
    }
}

#[test]
fn a_certificate_is_refused_after_its_time() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let put = |name: &str, pem: &str| fs::write(world.root.path().join(name), pem).unwrap();
    put("root.pem", &world.admin().roots().unwrap()[1].pem());
    put("leaf.pem", &session.enrolled.certificates.interop);
    verify(&world, "root.pem", "leaf.pem", "smimesign").unwrap();
    world.advance(3_601);
    let refusal = verify(&world, "root.pem", "leaf.pem", "smimesign").unwrap_err();
    assert!(refusal.contains("certificate has expired"), "{refusal}");
}
