use std::{net::SocketAddr, path::PathBuf, process::Command};

use notme_agent::{AuthorityUrl, Document, Profile, fetch};
use notme_authority::Listen;
use notme_core::frame::Basis;
use notme_testkit::{clock::FixedClock, oracle::oracle};

use crate::world::{Wishes, World, commit};

fn openssl(line: &str) {
    let output = Command::new(oracle("openssl"))
        .args(line.split(' '))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A home whose authority speaks TLS under a private CA, and the CA's file.
fn world(clock: &FixedClock) -> (World, AuthorityUrl, PathBuf) {
    let mut world = World::empty();
    let file = |name: &str| world.root.path().join(name);
    let [ca, ca_key, certificate, key] = ["ca.pem", "ca.key", "server.pem", "server.key"].map(file);
    let [ca_text, ca_key_text, certificate_text, key_text] =
        [&ca, &ca_key, &certificate, &key].map(|path| path.display());
    let fresh = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "{fresh} -subj /CN=ca -keyout {ca_key_text} -out {ca_text}"
    ));
    openssl(&format!(
        "{fresh} -subj /CN=server -keyout {key_text} -out {certificate_text} -CA {ca_text} \
         -CAkey {ca_key_text} -addext subjectAltName=IP:127.0.0.1 \
         -addext basicConstraints=critical,CA:false"
    ));
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listen = Listen::Tls {
        address,
        certificate,
        key,
    };
    let url = world.start_authority_at(listen, clock);
    (world, url, ca)
}

#[test]
fn signs_with_an_authority_behind_a_private_tls_root() {
    let wishes = Wishes::default();
    let (mut world, url, ca) = world(&wishes.clock);
    let config = world.configuration("claude", Profile::Modern, url, Some(ca));
    config.save(&world.config_dir()).unwrap();
    world.start_agent(wishes);
    world.connect().enrol("claude", &world.token()).unwrap();
    assert_eq!(
        world.sign("claude", &commit()).unwrap().basis,
        Basis::IssuanceBound
    );
}

#[test]
fn talks_to_no_authority_whose_tls_root_it_does_not_know() {
    let (_world, url, _ca) = world(&FixedClock::default());
    let error = fetch(&url, None, Document::Health).unwrap_err();
    assert_eq!(error.code(), "authority-unreachable");
    let missing = fetch(&url, Some("/nowhere.pem".into()), Document::Health).unwrap_err();
    assert_eq!(missing.code(), "authority-setup");
}
