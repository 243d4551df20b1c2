//! `POST /v1/issue` and `POST /v1/renew`.

use notme_core::{
    base64,
    certificate::Certificate,
    enrol::{EnrolResponse, Format, IssueRequest, IssueResponse},
    key::sha256,
    terms::Terms,
    time::UnixTime,
};
use notme_testkit::clock::NOW;
use rusqlite::Connection;

use crate::{
    client::{Agent, Answer, Session, leaf},
    world::{Running, World, token},
};

type Alteration = fn(&mut IssueRequest);

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.refusal(), (status, code.to_owned()));
}

fn terms(until: UnixTime) -> Terms {
    Terms {
        repository: Some("example.org/team/tool".to_owned()),
        refs: Some(vec!["refs/heads/agent/*".to_owned()]),
        paths: Some(vec!["src/*".to_owned()]),
        signatures: 10,
        until,
    }
}

/// How many certificates a session begins with.
const OF_A_SESSION: u64 = 5;

fn issued(world: &World) -> u64 {
    world
        .admin()
        .describe()
        .unwrap()
        .summary
        .certificates_issued
}

/// Changes a request, proves the change, and sends it.
fn altered(
    running: &Running,
    session: &Session<'_>,
    request: IssueRequest,
    alter: impl FnOnce(&mut IssueRequest),
) -> Answer {
    let client = running.unix();
    let mut request = request;
    alter(&mut request);
    client.post("/v1/issue", &session.prove(&client.url, request))
}

#[test]
fn a_session_gets_a_certificate_for_one_payload() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let leaf = leaf(&session.issue(&client, world.now(), 1), Format::X509);
    leaf.verify_issued_by(&world.admin().roots().unwrap()[0])
        .unwrap();
    assert_eq!(leaf.public_key(), session.certificate().public_key());
    assert_eq!(leaf.payload_digest(), Some(sha256(b"payload")));
    assert_eq!(leaf.not_before(), world.now().plus(-60));
    assert_eq!(leaf.not_after(), world.now().plus(300));
    assert_eq!(leaf.identity().unwrap(), session.enrolled.identity);
    assert_eq!(leaf.activity(), None);
}

#[test]
fn both_formats_come_from_both_roots_and_carry_the_activity() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let request = session.issue_request(&client.url, world.now(), 1);
    let answer = altered(&running, &session, request, |request| {
        request.formats = vec![Format::X509Interop, Format::X509];
        request.activity = Some("task-7 \u{fc}".to_owned());
    });
    assert_eq!(answer.status, 200, "{answer:?}");
    let response: IssueResponse = answer.json();
    let roots = world.admin().roots().unwrap();
    let cases = [
        (
            Format::X509,
            &roots[0],
            &session.enrolled.certificates.signing,
        ),
        (
            Format::X509Interop,
            &roots[1],
            &session.enrolled.certificates.interop,
        ),
    ];
    for (format, root, session_certificate) in cases {
        let leaf = Certificate::from_pem(&response.certificates[&format]).unwrap();
        let of_session = Certificate::from_pem(session_certificate).unwrap();
        leaf.verify_issued_by(root).unwrap();
        assert_eq!(leaf.public_key(), of_session.public_key());
        assert_eq!(leaf.payload_digest(), Some(sha256(b"payload")));
        assert_eq!(leaf.activity(), Some("task-7 \u{fc}"));
    }
}

#[test]
fn a_certificate_with_terms_ends_with_them_and_opens_nothing() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let asked = |nonce, until: UnixTime, alter: Alteration| {
        let request = session.issue_request(&client.url, world.now(), nonce);
        altered(&running, &session, request, |request| {
            request.terms = Some(terms(until));
            alter(request);
        })
    };
    let soon = world.now().plus(60);
    let bound = leaf(&asked(1, soon, |_| {}), Format::X509);
    assert_eq!(bound.terms(), Some(&terms(soon)));
    assert_eq!(bound.payload_digest(), Some(sha256(b"payload")));
    assert_eq!(bound.not_after(), soon);
    let late = world.now().plus(86_400);
    let bound = leaf(&asked(2, late, |_| {}), Format::X509);
    assert_eq!(bound.not_after(), world.now().plus(300));

    // For all that they allow, as long as a session's certificate.
    let free = |request: &mut IssueRequest| request.payload_sha256 = None;
    let free = leaf(&asked(3, late, free), Format::X509);
    assert_eq!(free.terms(), Some(&terms(late)));
    assert_eq!(free.payload_digest(), None);
    assert_eq!(free.not_after(), session.certificate().not_after());
    let narrow = agent.session(&client, None).presenting(free);
    refused(
        &narrow.issue(&client, world.now(), 4),
        401,
        "session-unknown",
    );

    // Whoever passes the request on cannot widen them.
    let mut request = session.issue_request(&client.url, world.now(), 5);
    request.terms = Some(terms(late));
    let mut request = session.prove(&client.url, request);
    request.terms = Some(Terms {
        paths: None,
        ..terms(late)
    });
    refused(&client.post("/v1/issue", &request), 401, "proof-invalid");
    request.terms = None;
    refused(&client.post("/v1/issue", &request), 401, "proof-invalid");
}

#[test]
fn every_issuance_is_on_record_before_it_leaves() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let leaf = leaf(&session.issue(&client, world.now(), 1), Format::X509);
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    let line: (String, Vec<u8>, String, Vec<u8>, Vec<u8>, i64) = store
        .query_row(
            "SELECT kind, serial, kid, certificate_sha256, payload_sha256, issued_at
             FROM issued ORDER BY id DESC LIMIT 1",
            [],
            |row| row.try_into(),
        )
        .unwrap();
    assert_eq!(line.0, "x509");
    assert_eq!(line.1, leaf.serial());
    assert_eq!(line.2, leaf.kid().to_string());
    assert_eq!(line.3, leaf.sha256());
    assert_eq!(line.4, sha256(b"payload"));
    assert_eq!(line.5, world.now().secs());
}

#[test]
fn a_replayed_request_is_refused() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    assert_eq!(session.issue(&client, world.now(), 1).status, 200);
    refused(
        &session.issue(&client, world.now(), 1),
        409,
        "nonce-replayed",
    );
    let request = session.issue_request(&client.url, world.now(), 1);
    let other_payload = altered(&running, &session, request, |request| {
        request.payload_sha256 = Some("00".repeat(32));
    });
    refused(&other_payload, 409, "nonce-replayed");
    refused(
        &session.renew(&client, world.now(), 1),
        409,
        "nonce-replayed",
    );
    assert_eq!(issued(&world), OF_A_SESSION + 1);
}

#[test]
fn sixteen_at_once_spend_a_nonce_once() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| session.issue(&client, world.now(), 7).status))
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 15);
}

#[test]
fn two_sessions_may_choose_the_same_nonce() {
    let world = World::new();
    let running = world.start();
    let (client, one, two) = (running.unix(), Agent::new(1), Agent::new(2));
    assert_eq!(
        one.session(&client, None)
            .issue(&client, world.now(), 1)
            .status,
        200
    );
    assert_eq!(
        two.session(&client, None)
            .issue(&client, world.now(), 1)
            .status,
        200
    );
}

#[test]
fn a_nonce_is_forgotten_only_when_its_time_is_long_refused() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let asked_at = world.now();
    // One for each part of all nonces, whose turns come minute by minute.
    for part in 0..16_u128 {
        let request = IssueRequest {
            nonce: format!("{:032x}", part << 124 | 1),
            ..session.issue_request(&client.url, asked_at, 0)
        };
        let answer = client.post("/v1/issue", &session.prove(&client.url, request));
        assert_eq!(answer.status, 200);
    }
    let kept = || world.sql("SELECT count(*) FROM nonce");
    let tended = |mut running: Running, minutes| {
        for _ in 0..minutes {
            running.stop();
            world.advance(60);
            world.leave_something_to_forget();
            running = world.start();
            world.wait_until_tended();
        }
        running
    };
    // Half an hour after its minute is over.
    let running = tended(running, 31);
    assert_eq!(kept(), "16");
    let running = tended(running, 1);
    assert_eq!(kept(), "15");
    let running = tended(running, 15);
    assert_eq!(kept(), "0");
    refused(
        &session.issue(&running.unix(), asked_at, 1),
        401,
        "time-skewed",
    );
}

#[test]
fn a_request_holds_sixty_seconds_before_and_after_its_time() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let now = world.now();
    assert_eq!(session.issue(&client, now.plus(-60), 1).status, 200);
    assert_eq!(session.issue(&client, now.plus(60), 2).status, 200);
    refused(
        &session.issue(&client, now.plus(-61), 3),
        401,
        "time-skewed",
    );
    refused(&session.issue(&client, now.plus(61), 4), 401, "time-skewed");
    refused(
        &session.issue(&client, now.plus(i64::MIN), 5),
        401,
        "time-skewed",
    );
    refused(
        &session.issue(&client, now.plus(i64::MAX), 6),
        401,
        "time-skewed",
    );
}

#[test]
fn a_certificate_that_we_did_not_issue_opens_nothing() {
    let (world, other_world) = (World::new(), World::new());
    let (running, other) = (world.start(), other_world.start());
    let (client, agent) = (running.unix(), Agent::new(1));
    let elsewhere = agent.session(&other.unix(), None);
    refused(
        &elsewhere.issue(&client, world.now(), 1),
        401,
        "session-unknown",
    );
    // Nor does another certificate of the session itself.
    let mut session = agent.session(&client, None);
    session.enrolled.certificates.signing = session.enrolled.certificates.interop.clone();
    let wrong = Session::new(&agent, session.enrolled);
    refused(
        &wrong.issue(&client, world.now(), 2),
        401,
        "session-unknown",
    );
}

#[test]
fn the_key_of_another_session_proves_nothing() {
    let world = World::new();
    let running = world.start();
    let (client, one, two) = (running.unix(), Agent::new(1), Agent::new(2));
    let session = one.session(&client, None);
    let thief = Session::new(&two, session.enrolled.clone());
    refused(&thief.issue(&client, world.now(), 1), 401, "proof-invalid");
    refused(&thief.renew(&client, world.now(), 2), 401, "proof-invalid");
    assert_eq!(session.issue(&client, world.now(), 1).status, 200);
}

#[test]
fn a_proof_covers_every_field() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let fresh = || session.issue_request(&client.url, world.now(), 1);
    let alterations: [Alteration; 6] = [
        |request| request.payload_sha256 = Some("00".repeat(32)),
        |request| request.formats = vec![Format::X509Interop],
        |request| request.nonce = "0".repeat(32),
        |request| request.time = request.time.plus(1),
        |request| request.activity = Some("x".to_owned()),
        |request| request.proof = String::new(),
    ];
    for alter in alterations {
        let mut request = fresh();
        alter(&mut request);
        refused(&client.post("/v1/issue", &request), 401, "proof-invalid");
    }
    let elsewhere = session.issue_request("https://elsewhere.test", world.now(), 1);
    refused(&client.post("/v1/issue", &elsewhere), 401, "proof-invalid");
    assert_eq!(issued(&world), OF_A_SESSION);
    assert_eq!(client.post("/v1/issue", &fresh()).status, 200);
}

#[test]
fn malformed_fields_are_named() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let cases: [(Alteration, &str); 12] = [
        (
            |request| request.payload_sha256 = Some("0".repeat(65)),
            "payload-malformed",
        ),
        (
            |request| request.payload_sha256 = Some("AB".repeat(32)),
            "payload-malformed",
        ),
        (|request| request.nonce.push('0'), "nonce-malformed"),
        (|request| request.nonce = "A".repeat(32), "nonce-malformed"),
        (|request| request.formats.clear(), "formats-malformed"),
        (
            |request| request.formats.push(Format::X509),
            "formats-malformed",
        ),
        (
            |request| request.activity = Some(String::new()),
            "activity-malformed",
        ),
        (
            |request| request.activity = Some("x".repeat(257)),
            "activity-malformed",
        ),
        (
            |request| request.activity = Some("a\nb".to_owned()),
            "activity-malformed",
        ),
        (|request| request.payload_sha256 = None, "terms-malformed"),
        (
            |request| {
                request.terms = Some(Terms {
                    signatures: 0,
                    ..terms(NOW.plus(86_400 * 3650))
                })
            },
            "terms-malformed",
        ),
        (
            |request| request.terms = Some(terms(UnixTime::from_secs(0))),
            "terms-malformed",
        ),
    ];
    for (alter, code) in cases {
        let request = session.issue_request(&client.url, world.now(), 1);
        refused(&altered(&running, &session, request, alter), 400, code);
    }
    let mut no_base64 = session.issue_request(&client.url, world.now(), 1);
    no_base64.session = "!".to_owned();
    refused(
        &client.post("/v1/issue", &no_base64),
        401,
        "session-unknown",
    );
    assert_eq!(issued(&world), OF_A_SESSION);
}

#[test]
fn signing_git_needs_the_scope() {
    let world = World::new();
    let running = world.start();
    let mut no_git = token();
    no_git.scopes = "bridgeCert,sign:attestation".parse().unwrap();
    let (token, _) = world.admin().create_token(no_git).unwrap();
    let (client, agent) = (running.tcp(), Agent::new(1));
    let session = agent.session(&client, Some(token.expose()));
    refused(
        &session.issue(&client, world.now(), 1),
        403,
        "scope-missing",
    );
    // Refused before anything was spent: renewal may use the nonce.
    assert_eq!(session.renew(&client, world.now(), 1).status, 200);
}

#[test]
fn an_expired_session_certificate_is_refused_beyond_the_skew() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    world.advance(3_660);
    assert_eq!(session.issue(&client, world.now(), 1).status, 200);
    world.advance(1);
    refused(
        &session.issue(&client, world.now(), 2),
        401,
        "session-certificate-expired",
    );
    refused(
        &session.renew(&client, world.now(), 3),
        401,
        "session-certificate-expired",
    );
}

#[test]
fn no_certificate_outlives_its_session() {
    let world = World::new();
    let running = world.start();
    let mut short = token();
    short.session_seconds = 4_000;
    let (token, _) = world.admin().create_token(short).unwrap();
    let (client, agent) = (running.tcp(), Agent::new(1));
    let first = agent.session(&client, Some(token.expose()));
    let end = first.enrolled.session_ends_at;
    assert_eq!(end, world.now().plus(4_000));

    world.advance(3_500);
    let answer = first.renew(&client, world.now(), 1);
    assert_eq!(answer.status, 200, "{answer:?}");
    let renewed: EnrolResponse = answer.json();
    assert_eq!(renewed.expires_at, end);
    assert_eq!(renewed.session_ends_at, end);
    let second = Session::new(&agent, renewed);
    assert_eq!(second.certificate().not_after(), end);

    world.advance(400);
    let leaf = leaf(&second.issue(&client, world.now(), 2), Format::X509);
    assert_eq!(leaf.not_after(), end);
    world.advance(100);
    refused(&second.issue(&client, world.now(), 3), 401, "session-ended");
    refused(&second.renew(&client, world.now(), 4), 401, "session-ended");
}

#[test]
fn a_renewed_session_keeps_its_keys_and_its_rights() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let first = agent.session(&client, None);
    world.advance(1_800);
    let second = Session::new(&agent, first.renew(&client, world.now(), 1).json());
    assert_eq!(
        second.certificate().public_key(),
        first.certificate().public_key()
    );
    assert_eq!(second.enrolled.scopes, first.enrolled.scopes);
    assert_eq!(second.enrolled.identity, first.enrolled.identity);
    assert_eq!(
        second.enrolled.session_ends_at,
        first.enrolled.session_ends_at
    );
    assert_ne!(second.certificate(), first.certificate());
    assert_eq!(second.issue(&client, world.now(), 2).status, 200);
    assert_eq!(first.issue(&client, world.now(), 3).status, 200);
}

#[test]
fn sessions_survive_a_restart_at_the_same_url() {
    let world = World::new();
    let agent = Agent::new(1);
    let running = world.start();
    let session = agent.session(&running.unix(), None);
    assert_eq!(session.issue(&running.unix(), world.now(), 1).status, 200);
    running.stop();
    let running = world.start();
    refused(
        &session.issue(&running.unix(), world.now(), 1),
        409,
        "nonce-replayed",
    );
    assert_eq!(session.issue(&running.unix(), world.now(), 2).status, 200);
}

#[test]
fn other_certificates_of_the_root_are_no_session() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let session = agent.session(&client, None);
    let leaf = leaf(&session.issue(&client, world.now(), 1), Format::X509);
    let mut request = session.issue_request(&client.url, world.now(), 2);
    request.session = base64::encode(leaf.der());
    refused(&client.post("/v1/issue", &request), 401, "session-unknown");
}
