//! Time stamps over HTTP: openssl asks, we answer, openssl judges.

use std::{collections::BTreeSet, fs};

use notme_authority::Rotation;
use notme_core::{
    certificate::Certificate,
    hex,
    key::{Algorithm, Hash},
    oid,
    timestamp::{
        MessageImprint, RejectionReason, TimeStampError, TimeStampRequest, TimeStampToken,
    },
    trust::{TrustDocument, Tsa},
};

use crate::{
    client::{Answer, Client},
    openssl::openssl,
    rotation::step,
    world::{PASSPHRASE, Running, World, passphrase, start},
};

const QUERY: &str = "application/timestamp-query";
const REPLY: &str = "application/timestamp-reply";
const MESSAGE: &[u8] = b"some bytes";

fn request(nonce: u8) -> TimeStampRequest {
    TimeStampRequest::new(MessageImprint::of(Hash::Sha256, MESSAGE), &[nonce; 16])
}

fn ask(client: &Client, request: &[u8]) -> Answer {
    let answer = client.send("POST", "/tsa", Some(QUERY), request);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some(REPLY));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer
}

fn published(world: &World, running: &Running) -> Tsa {
    let trust = trusted(world, running);
    let [tsa] = trust.tsa.as_slice() else {
        panic!("{:?}", trust.tsa);
    };
    tsa.clone()
}

fn trusted(world: &World, running: &Running) -> TrustDocument {
    let pins: Vec<_> = world.admin().roots().unwrap();
    let pins: Vec<_> = pins
        .iter()
        .map(|it| it.public_key().spki_sha256())
        .collect();
    let body = running.tcp().get("/v1/trust.json").body;
    let trust = TrustDocument::verify(&body, &pins, world.now()).unwrap();
    trust.document().clone()
}

fn reason(answer: &Answer) -> RejectionReason {
    match TimeStampToken::from_reply(&answer.body, None).unwrap_err() {
        TimeStampError::Refused(refused) => {
            assert!(!refused.text.is_empty());
            refused.reason.unwrap()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn anybody_gets_a_time_stamp_that_the_trust_document_vouches_for() {
    let world = World::new();
    let running = world.start();
    let tsa = published(&world, &running);
    for client in [running.tcp(), running.unix()] {
        let answer = ask(&client, &request(1).to_der());
        let token = TimeStampToken::from_reply(&answer.body, Some(&request(1))).unwrap();
        assert_eq!(token.policy(), oid::NOTME_TIME_STAMP_POLICY);
        let stamp = token.verify(&tsa.certificate, MESSAGE).unwrap();
        assert_eq!(stamp.at(), world.now());
        assert_eq!(stamp.latest(), world.now().plus(1));
    }
}

#[test]
fn openssl_accepts_what_it_asked_for() {
    let world = World::new();
    let running = world.start();
    let put = |name: &str, bytes: &[u8]| fs::write(world.root.path().join(name), bytes).unwrap();
    let run = |arguments: &[&str]| openssl(&world, arguments);
    put("ca.pem", &running.tcp().get("/v1/ca-bundle.pem").body);
    put("message", MESSAGE);
    put("other", b"other bytes");
    for hash in ["-sha256", "-sha384", "-sha512"] {
        let query = [
            "ts", "-query", "-data", "message", hash, "-cert", "-out", "query",
        ];
        run(&query).unwrap();
        let query = fs::read(world.root.path().join("query")).unwrap();
        put("reply", &ask(&running.tcp(), &query).body);
        let verify = ["ts", "-verify", "-in", "reply", "-CAfile", "ca.pem"];
        run(&[&verify[..], &["-queryfile", "query"]].concat()).unwrap();
        run(&[&verify[..], &["-data", "message"]].concat()).unwrap();
        run(&[&verify[..], &["-data", "other"]].concat()).unwrap_err();
    }
}

#[test]
fn its_certificate_is_strictly_valid_for_time_stamps_only() {
    let world = World::new();
    let running = world.start();
    let tsa = published(&world, &running);
    let roots = world.admin().roots().unwrap();
    assert_eq!(tsa.certificate.public_key().algorithm(), Algorithm::P256);
    assert_eq!(tsa.certificate.not_after(), roots[1].not_after());
    tsa.certificate.verify_issued_by(&roots[1]).unwrap();
    let put = |name: &str, pem: &str| fs::write(world.root.path().join(name), pem).unwrap();
    put("root.pem", &roots[1].pem());
    put("tsa.pem", &tsa.certificate.pem());
    let verify = |purpose| {
        let at = world.now().secs().to_string();
        let arguments = [
            "verify",
            "-x509_strict",
            "-attime",
            &at,
            "-purpose",
            purpose,
        ];
        openssl(
            &world,
            &[&arguments[..], &["-CAfile", "root.pem", "tsa.pem"]].concat(),
        )
    };
    verify("timestampsign").unwrap();
    for other in ["sslclient", "sslserver", "smimesign"] {
        verify(other).unwrap_err();
    }
}

#[test]
fn says_why_there_is_no_time_stamp() {
    let world = World::new();
    let running = world.start();
    let client = running.tcp();
    let query = |arguments: &[&str]| {
        fs::write(world.root.path().join("message"), MESSAGE).unwrap();
        let query = ["ts", "-query", "-data", "message", "-out", "query"];
        openssl(&world, &[&query[..], arguments].concat()).unwrap();
        fs::read(world.root.path().join("query")).unwrap()
    };
    for (request, expected) in [
        (query(&["-sha1"]), RejectionReason::BadAlg),
        (query(&["-sha224"]), RejectionReason::BadAlg),
        (
            query(&["-sha256", "-tspolicy", "1.2.3.4"]),
            RejectionReason::UnacceptedPolicy,
        ),
        (
            query(&["-sha256", "-tspolicy", "1.2.3"]),
            RejectionReason::UnacceptedPolicy,
        ),
        (b"{}".to_vec(), RejectionReason::BadDataFormat),
        (Vec::new(), RejectionReason::BadDataFormat),
        (vec![0x30; 64 * 1024], RejectionReason::BadDataFormat),
    ] {
        assert_eq!(reason(&ask(&client, &request)), expected);
    }
    let ours = oid::NOTME_TIME_STAMP_POLICY.to_string();
    let answer = ask(&client, &query(&["-sha256", "-tspolicy", &ours]));
    assert!(TimeStampToken::from_reply(&answer.body, None).is_ok());
}

#[test]
fn no_time_is_available_outside_the_certificates_life() {
    let world = World::new();
    let running = world.start();
    let not_after = published(&world, &running).certificate.not_after();
    world.advance(not_after.secs() - world.now().secs());
    let answer = ask(&running.tcp(), &request(1).to_der());
    assert!(TimeStampToken::from_reply(&answer.body, None).is_ok());
    world.advance(1);
    let answer = ask(&running.tcp(), &request(1).to_der());
    assert_eq!(reason(&answer), RejectionReason::TimeNotAvailable);
}

#[test]
fn serial_numbers_never_repeat_and_the_key_stays_across_restarts() {
    let world = World::new();
    let mut serials = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for _ in 0..3 {
        let running = world.start();
        let tsa = published(&world, &running);
        keys.insert(tsa.certificate.der().to_vec());
        for _ in 0..20 {
            let answer = ask(&running.tcp(), &request(1).to_der());
            let token = TimeStampToken::from_reply(&answer.body, None).unwrap();
            let _ = token.verify(&tsa.certificate, MESSAGE).unwrap();
            serials.insert(token.serial_hex());
        }
    }
    assert_eq!((serials.len(), keys.len()), (60, 1));
}

#[test]
fn only_a_time_stamp_query_is_read() {
    let world = World::new();
    let running = world.start();
    let body = request(1).to_der();
    for content in [None, Some("application/json"), Some(REPLY)] {
        let answer = running.tcp().send("POST", "/tsa", content, &body);
        let code = "content-type-unsupported".to_owned();
        assert_eq!(answer.refusal(), (415, code));
    }
    let json = running.tcp().send("POST", "/v1/enrol", Some(QUERY), b"{}");
    assert_eq!(json.refusal().0, 415);
    assert_eq!(running.tcp().get("/tsa").refusal().0, 405);
    let large = vec![0; 64 * 1024 + 1];
    let answer = running.tcp().send("POST", "/tsa", Some(QUERY), &large);
    assert_eq!(answer.refusal(), (413, "body-too-large".to_owned()));
}

#[test]
fn the_key_is_sealed_like_the_others() {
    let world = World::new();
    let mut config = world.config();
    config.storage = notme_authority::Storage::Directory {
        path: world.home(),
        protection: passphrase(PASSPHRASE),
    };
    let running = start(config).unwrap();
    let certificate: Certificate = published(&world, &running).certificate;
    running.stop();
    let store = rusqlite::Connection::open(world.home().join("store.sqlite")).unwrap();
    let (public, sealed): (Vec<u8>, Vec<u8>) = store
        .query_row(
            "SELECT public, sealed_key FROM format_ca WHERE name = 'tsa'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(public, certificate.der());
    // A PKCS#8 of P-256 names its curve.
    let curve = hex::decode("2a8648ce3d030107").unwrap();
    assert!(!sealed.windows(curve.len()).any(|part| part == curve));
}

#[test]
fn after_a_rotation_the_next_epoch_stamps_and_old_time_stamps_still_verify() {
    let world = World::new();
    let running = world.start();
    let client = running.tcp();
    let token = || {
        let answer = ask(&client, &request(1).to_der());
        TimeStampToken::from_reply(&answer.body, Some(&request(1)))
            .unwrap()
            .der()
            .to_vec()
    };
    let before = token();
    step(&world, Rotation::Prepare).unwrap();
    world.advance(1);
    // What is only prepared stamps nothing.
    let prepared = trusted(&world, &running).tsa;
    let still = token();
    assert!(
        TimeStampToken::parse(&still)
            .unwrap()
            .names(&prepared[0].certificate)
    );
    step(&world, Rotation::Activate).unwrap();
    let retired_at = world.now();
    world.advance(1);
    // Nobody told the running authority; it must not stamp with what is retired.
    let after = token();

    let trust = trusted(&world, &running);
    let [old, new] = trust.tsa.as_slice() else {
        panic!("{:?}", trust.tsa);
    };
    assert_eq!((old.retired_at, new.retired_at), (Some(retired_at), None));
    assert_eq!(new.from, retired_at);
    let current: Vec<_> = trust.current_tsa().map(|tsa| tsa.kid).collect();
    assert_eq!(current, [new.kid]);
    for (token, tsa) in [(&before, old), (&still, old), (&after, new)] {
        let token = TimeStampToken::parse(token).unwrap();
        let stamp = token.verify(&tsa.certificate, MESSAGE).unwrap();
        assert!(tsa.from <= stamp.at());
        assert!(tsa.retired_at.is_none_or(|at| stamp.at() <= at));
    }
    new.certificate
        .verify_issued_by(&world.admin().roots().unwrap()[1])
        .unwrap();
    assert_ne!(
        old.certificate.subject_text(),
        new.certificate.subject_text()
    );
    // A clock behind the rotation is no time at which anybody of ours stamped.
    world.advance(-2);
    let reply = ask(&client, &request(1).to_der());
    assert_eq!(reason(&reply), RejectionReason::TimeNotAvailable);
}
