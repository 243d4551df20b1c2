//! Certificates in the formats of OpenSSH and OpenPGP.

use std::{fs, process::Command};

use notme_core::{
    base64,
    enrol::{EnrolResponse, Format, IssueResponse, OpenPgpCertification},
    hex,
    key::{Signer as _, sha256},
    openpgp::{Certification, SessionKey, SessionSubject, UserId},
    ssh::{Certificate, Key},
    terms::Terms,
    time::UnixTime,
    trust::{TrustDocument, VerifiedTrust},
};
use notme_testkit::oracle::oracle;
use rusqlite::Connection;

use crate::{
    client::{Agent, Client, Session},
    world::{Running, World},
};

/// Kind, serial number, digest and payload digest in the issuance record.
type Line = (String, [u8; 16], [u8; 32], Option<[u8; 32]>);

pub(crate) fn trust(world: &World, running: &Running) -> VerifiedTrust {
    let pin = world.admin().roots().unwrap()[0].public_key().spki_sha256();
    let body = running.unix().get("/v1/trust.json").body;
    TrustDocument::verify(&body, &[pin], world.now()).unwrap()
}

pub(crate) fn certificate(line: &str) -> Certificate {
    match Key::from_text(line).unwrap() {
        (Key::Certified(certificate), "") => *certificate,
        other => panic!("{other:?}"),
    }
}

fn ssh_of(enrolled: &EnrolResponse) -> Certificate {
    certificate(enrolled.certificates.ssh.as_deref().unwrap())
}

/// Puts the agent's half and the authority's together, and reads what the authority says.
pub(crate) fn openpgp(
    trust: &VerifiedTrust,
    agent: &Agent,
    enrolled: &EnrolResponse,
    certification: &str,
) -> Certification {
    let created = enrolled.certificates.openpgp.as_ref().unwrap().created;
    let subject = SessionSubject {
        key: agent.signing.public_key(),
        created,
        agent: &agent.name.parse().unwrap(),
        identity: &enrolled.identity,
    };
    let key = SessionKey::build(&subject, enrolled.session_ends_at, &agent.signing).unwrap();
    let key = key
        .certified(&base64::decode(certification).unwrap())
        .unwrap();
    let user_id: &UserId = &key.block().user_ids()[0];
    let authority = trust.document().current_openpgp().next().unwrap();
    Certification::verify(
        &user_id.signatures()[1],
        &authority.certificate,
        key.block().primary(),
        user_id,
    )
    .unwrap()
}

pub(crate) fn issued(
    client: &Client,
    session: &Session<'_>,
    at: UnixTime,
    formats: &[Format],
) -> IssueResponse {
    let mut request = session.issue_request(&client.url, at, 1);
    request.formats = formats.to_vec();
    let answer = client.post("/v1/issue", &session.prove(&client.url, request));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn with_scopes(agent: &Agent, client: &Client, scopes: &[&str]) -> EnrolResponse {
    let mut request = agent.enrol_request(&client.url, None);
    request.scopes = Some(scopes.iter().map(|scope| (*scope).to_owned()).collect());
    let answer = client.post("/v1/enrol", &request);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn a_session_has_an_ssh_certificate_of_the_authority_over_its_ed25519_key() {
    let world = World::new();
    let running = world.start();
    let agent = Agent::new(1);
    let enrolled = agent.session(&running.unix(), None).enrolled;
    let ssh = ssh_of(&enrolled);
    assert_eq!(
        *ssh.authority(),
        trust(&world, &running).document().ssh_ca[0].public_key
    );
    assert_eq!(ssh.public_key().kid(), agent.signing.public_key().kid());
    assert_eq!(ssh.key_id(), enrolled.identity.as_str());
    assert_eq!(ssh.principals(), [enrolled.identity.as_str(), "claude"]);
    assert_eq!(ssh.x509_kid(), Some(agent.signing.public_key().kid()));
    assert_eq!(ssh.epoch(), Some(1));
    assert_eq!(ssh.scopes(), enrolled.scopes);
    assert_eq!(ssh.issued_at(), Some(world.now()));
    assert_eq!(
        ssh.session().map(|it| hex::encode(&it)),
        Some(enrolled.binding)
    );
    assert_eq!(ssh.payload_digest(), None);
    assert!(ssh.critical_options().is_empty());
}

#[test]
fn the_ssh_certificate_lives_in_the_same_seconds_as_the_x509_one() {
    let world = World::new();
    let running = world.start();
    let enrolled = Agent::new(1).session(&running.unix(), None).enrolled;
    let ssh = ssh_of(&enrolled);
    for (at, valid) in [
        (world.now().plus(-61), false),
        (world.now().plus(-60), true),
        (enrolled.expires_at, true),
        (enrolled.expires_at.plus(1), false),
    ] {
        assert_eq!(ssh.authorises(at, Some("claude")).is_ok(), valid, "{at}");
    }
}

#[test]
fn an_ssh_certificate_for_one_payload_carries_its_digest() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let response = issued(&client, &session, world.now(), &[Format::Ssh]);
    let ssh = certificate(&response.certificates[&Format::Ssh]);
    assert_eq!(ssh.payload_digest(), Some(sha256(b"payload")));
    assert_eq!(response.expires_at, world.now().plus(300));
    assert!(ssh.authorises(response.expires_at, None).is_ok());
    assert!(ssh.authorises(response.expires_at.plus(1), None).is_err());
}

#[test]
fn an_openpgp_certification_says_what_the_x509_certificate_says() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let enrolled = &session.enrolled;
    let trust = trust(&world, &running);
    let of_session = enrolled.certificates.openpgp.as_ref().unwrap();
    let said = openpgp(&trust, &agent, enrolled, &of_session.certification);
    assert_eq!(*said.identity(), enrolled.identity);
    assert_eq!(said.scopes(), enrolled.scopes);
    assert_eq!(hex::encode(said.session()), enrolled.binding);
    assert_eq!(said.not_before(), world.now().plus(-60));
    assert_eq!(said.not_after(), enrolled.expires_at);
    assert_eq!(said.payload_sha256(), None);

    let response = issued(&client, &session, world.now(), &[Format::OpenPgp]);
    let certification = &response.certificates[&Format::OpenPgp];
    let said = openpgp(&trust, &agent, enrolled, certification);
    assert_eq!(said.payload_sha256(), Some(sha256(b"payload")));
    assert_eq!(said.not_after(), world.now().plus(300));
}

#[test]
fn terms_are_in_every_format() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let terms = Terms {
        repository: Some("example.org/team/tool".to_owned()),
        refs: None,
        paths: Some(vec!["src/*".to_owned()]),
        signatures: 10,
        until: world.now().plus(600),
    };
    let mut request = session.issue_request(&client.url, world.now(), 1);
    request.formats = vec![Format::X509Interop, Format::Ssh, Format::OpenPgp];
    request.payload_sha256 = None;
    request.terms = Some(terms.clone());
    let answer = client.post("/v1/issue", &session.prove(&client.url, request));
    assert_eq!(answer.status, 200, "{answer:?}");
    let response: IssueResponse = answer.json();
    assert_eq!(response.expires_at, terms.until);
    let ssh = certificate(&response.certificates[&Format::Ssh]);
    assert_eq!((ssh.terms(), ssh.payload_digest()), (Some(&terms), None));
    assert!(ssh.authorises(terms.until, None).is_ok());
    assert!(ssh.authorises(terms.until.plus(1), None).is_err());
    let said = openpgp(
        &trust(&world, &running),
        &agent,
        &session.enrolled,
        &response.certificates[&Format::OpenPgp],
    );
    assert_eq!(
        (said.terms(), said.not_after()),
        (Some(&terms), terms.until)
    );
    let x509 = &response.certificates[&Format::X509Interop];
    let x509 = notme_core::certificate::Certificate::from_pem(x509).unwrap();
    assert_eq!(
        (x509.terms(), x509.not_after()),
        (Some(&terms), terms.until)
    );
}

#[test]
fn renewal_keeps_the_openpgp_key_and_gives_new_certificates() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    world.advance(1800);
    let renewed: EnrolResponse = session.renew(&client, world.now(), 1).json();
    let created = |enrolled: &EnrolResponse| -> OpenPgpCertification {
        enrolled.certificates.openpgp.clone().unwrap()
    };
    assert_eq!(
        created(&renewed).created,
        created(&session.enrolled).created
    );
    assert_ne!(created(&renewed), created(&session.enrolled));
    assert_ne!(
        ssh_of(&renewed).serial(),
        ssh_of(&session.enrolled).serial()
    );
}

#[test]
fn serial_numbers_go_on_after_a_restart() {
    let world = World::new();
    let mut serials = Vec::new();
    for seed in 1..=3 {
        let running = world.start();
        let enrolled = Agent::new(seed).session(&running.unix(), None).enrolled;
        serials.push(ssh_of(&enrolled).serial());
        running.stop();
    }
    assert!(serials.is_sorted_by(|one, next| one < next), "{serials:?}");
}

#[test]
fn every_certificate_in_every_format_is_on_record() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let all = [
        Format::X509,
        Format::X509Interop,
        Format::Ssh,
        Format::OpenPgp,
    ];
    let response = issued(&client, &session, world.now(), &all);
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    let mut lines = store
        .prepare("SELECT kind, serial, certificate_sha256, payload_sha256 FROM issued ORDER BY id")
        .unwrap();
    let lines: Vec<Line> = lines
        .query_map([], |row| row.try_into())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let kinds: Vec<_> = lines.iter().map(|line| line.0.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "mtls",
            "signing",
            "interop",
            "session-ssh",
            "session-openpgp",
            "x509",
            "x509-interop",
            "ssh",
            "openpgp"
        ]
    );
    let ssh = certificate(&response.certificates[&Format::Ssh]);
    let line = &lines[7];
    assert_eq!(u128::from_be_bytes(line.1), u128::from(ssh.serial()));
    assert_eq!(line.2, sha256(ssh.blob()));
    assert_eq!(line.3, Some(sha256(b"payload")));
    let packet = base64::decode(&response.certificates[&Format::OpenPgp]).unwrap();
    assert_eq!(lines[8].2, sha256(&packet));
}

#[test]
fn logging_in_is_granted_only_when_it_is_asked_for() {
    let world = World::new();
    let running = world.start();
    let client = running.unix();
    let unasked = Agent::new(1).session(&client, None).enrolled;
    assert!(!unasked.scopes.contains(&"ssh:login".to_owned()));
    assert!(
        !ssh_of(&unasked)
            .extensions()
            .contains(&"permit-pty".to_owned())
    );

    let asked = with_scopes(&Agent::new(2), &client, &["sign:git", "ssh:login"]);
    assert_eq!(asked.scopes, ["sign:git", "ssh:login"]);
    let extensions = ssh_of(&asked).extensions().to_vec();
    assert_eq!(
        extensions,
        [
            "epoch@notme.bot",
            "issued-at@notme.bot",
            "permit-pty",
            "scopes@notme.bot",
            "session@notme.bot",
            "x509-kid@notme.bot"
        ]
    );
}

#[test]
fn asking_to_log_in_does_not_grant_it() {
    let world = World::new();
    let running = world.start();
    let mut token = crate::world::token();
    token.scopes = "sign:git".parse().unwrap();
    let (token, _) = world.admin().create_token(token).unwrap();
    let (client, agent) = (running.tcp(), Agent::new(1));
    let mut request = agent.enrol_request(&client.url, Some(token.expose()));
    request.scopes = Some(vec!["sign:git".to_owned(), "ssh:login".to_owned()]);
    let enrolled: EnrolResponse = client.post("/v1/enrol", &request).json();
    assert_eq!(enrolled.scopes, ["sign:git"]);
}

#[test]
fn ssh_keygen_shows_the_certificate_as_it_is_documented() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let response = issued(&client, &session, world.now(), &[Format::Ssh]);
    let file = world.root.path().join("id-cert.pub");
    fs::write(&file, &response.certificates[&Format::Ssh]).unwrap();
    let output = Command::new(oracle("ssh-keygen"))
        .args(["-L", "-f"])
        .arg(&file)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(output.status.success());
    let shown = String::from_utf8(output.stdout).unwrap();
    for line in [
        "Type: ssh-ed25519-cert-v01@openssh.com user certificate",
        "Key ID: \"wimse://notme.test/agent/alice/claude\"",
        "Valid: from 2026-11-20T11:59:00 to 2026-11-20T12:05:01",
        "wimse://notme.test/agent/alice/claude",
        "Critical Options: (none)",
        "payload-sha256@notme.bot UNKNOWN OPTION",
        "x509-kid@notme.bot UNKNOWN OPTION",
        "epoch@notme.bot UNKNOWN OPTION",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}
