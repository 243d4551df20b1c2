//! From one epoch of keys to the next.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use notme_authority::{AdminError, EpochInfo, Protection, Rotation, Storage, rotate};
use notme_core::{
    certificate::Certificate,
    enrol::Format,
    ssh,
    trust::{TrustDocument, TrustError, VerifiedTrust},
};
use rusqlite::Connection;

use crate::{
    client::{Agent, Answer, leaf},
    formats::{certificate, issued, openpgp, trust},
    world::{PASSPHRASE, Running, World, passphrase, start},
};

const HOUR: i64 = 3_600;

pub(crate) fn step(world: &World, step: Rotation) -> Result<Vec<EpochInfo>, AdminError> {
    let clock = Arc::new(world.clock.clone());
    rotate(world.place(), &Protection::LocalFile, step, clock)
}

fn refused(world: &World, rotation: Rotation) -> &'static str {
    step(world, rotation).unwrap_err().code()
}

fn pins(world: &World) -> Vec<[u8; 32]> {
    let roots = world.admin().roots().unwrap();
    let pins = roots.iter().map(|root| root.public_key().spki_sha256());
    pins.collect()
}

fn document(
    world: &World,
    running: &Running,
    pins: &[[u8; 32]],
) -> Result<VerifiedTrust, TrustError> {
    let body = running.unix().get("/v1/trust.json").body;
    TrustDocument::verify(&body, pins, world.now())
}

/// Polls for what another thread does by itself.
pub(crate) fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < give_up, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn bundle(answer: &Answer) -> Vec<Certificate> {
    Certificate::pem_bundle(std::str::from_utf8(&answer.body).unwrap()).unwrap()
}

#[test]
fn everything_is_issued_with_the_new_keys_once_they_are_in_use() {
    let world = World::new();
    let running = world.start();
    let agent = Agent::new(1);
    let client = running.unix();
    let session = agent.session(&client, None);
    let old = world.admin().roots().unwrap();
    let epochs = step(&world, Rotation::Now).unwrap();
    let new = world.admin().roots().unwrap();
    let states: Vec<_> = epochs.iter().map(|it| (it.epoch, it.state)).collect();
    assert_eq!(states, [(1, "retired"), (2, "active")]);
    assert_eq!(epochs[0].retired_at, Some(world.now()));
    assert_eq!(epochs[1].from, Some(world.now()));
    assert_ne!(old[0].subject_text(), new[0].subject_text());

    // The session of before goes on; what it is given is of the new keys, in every format.
    let formats = [
        Format::X509,
        Format::X509Interop,
        Format::Ssh,
        Format::OpenPgp,
    ];
    let answer = issued(&client, &session, world.now(), &formats);
    let trust = trust(&world, &running);
    let x509 = |format| Certificate::from_pem(&answer.certificates[&format]).unwrap();
    for (format, root) in [(Format::X509, 0), (Format::X509Interop, 1)] {
        x509(format).verify_issued_by(&new[root]).unwrap();
        assert_eq!(x509(format).epoch(), Some(2));
        assert!(x509(format).not_before() >= world.now());
    }
    let ssh = certificate(&answer.certificates[&Format::Ssh]);
    let ca = trust.document().current_ssh_ca().next().unwrap();
    assert_eq!(*ssh.authority(), ca.public_key);
    assert_eq!(ssh.epoch(), Some(2));
    let said = openpgp(
        &trust,
        &agent,
        &session.enrolled,
        &answer.certificates[&Format::OpenPgp],
    );
    assert_eq!(said.epoch(), 2);

    let renewed = session.renew(&client, world.now(), 2);
    let renewed: notme_core::enrol::EnrolResponse = renewed.json();
    assert_eq!(renewed.authority.epoch, 2);
    assert_eq!(renewed.authority.key_id, new[0].kid());
    let other = Agent {
        name: "other",
        ..Agent::new(2)
    };
    let enrolled = other.session(&client, None);
    enrolled.certificate().verify_issued_by(&new[0]).unwrap();
}

#[test]
fn whoever_pinned_the_old_roots_walks_to_the_new_ones() {
    let world = World::new();
    let running = world.start();
    let before = document(&world, &running, &pins(&world)).unwrap();
    let old = pins(&world);
    step(&world, Rotation::Now).unwrap();
    let new = pins(&world);
    for pin in old.iter().chain(&new) {
        let verified = document(&world, &running, &[*pin]).unwrap();
        let document = verified.document();
        assert_eq!(document.seqno, before.document().seqno + 1);
        assert_eq!(document.epoch, 2);
        let windows: Vec<_> = document
            .roots
            .iter()
            .map(|root| (root.from, root.retired_at))
            .collect();
        let (first, then) = (world.now().plus(-60), world.now());
        assert_eq!(
            windows,
            [
                (first, Some(then)),
                (first, Some(then)),
                (then, None),
                (then, None)
            ]
        );
        assert!(document.retired_roots().all(|root| root.handover.is_some()));
        assert_eq!(document.ssh_ca.len(), 2);
        assert_eq!(document.ssh_ca[0].retired_at, Some(then));
        assert_eq!(document.openpgp.len(), 2);
        assert_eq!(document.openpgp[1].from, then);
    }
}

#[test]
fn prepared_keys_are_published_ahead_and_issue_nothing() {
    let world = World::new();
    let running = world.start();
    let client = running.unix();
    let agent = Agent::new(1);
    let session = agent.session(&client, None);
    let old = world.admin().roots().unwrap();
    let epochs = step(&world, Rotation::Prepare).unwrap();
    assert_eq!(epochs[1].state, "prepared");
    assert_eq!(epochs[1].from, None);
    assert_eq!(
        refused(&world, Rotation::Prepare),
        "rotation-prepared-already"
    );

    let verified = document(&world, &running, &pins(&world)).unwrap();
    let published = verified.document();
    assert_eq!(published.epoch, 1);
    assert_eq!(published.current_roots().count(), 4);
    let issuing: Vec<_> = published.issuing_roots().map(|it| it.kid).collect();
    assert_eq!(issuing, [old[0].kid(), old[1].kid()]);
    let prepared = &published.roots[2..];
    assert!(prepared.iter().all(|it| it.from > world.now().plus(86_400)));
    assert_eq!(published.current_ssh_ca().count(), 1);
    assert_eq!(published.current_openpgp().count(), 1);
    assert_eq!(published.current_tsa().count(), 1);
    // Where no time can be said, they are not named at all.
    assert_eq!(bundle(&client.get("/v1/ca-bundle.pem")), old);
    let ssh = client.get("/v1/ssh-ca.pub").body;
    assert_eq!(ssh.iter().filter(|byte| **byte == b'\n').count(), 1);
    let issued = leaf(&session.issue(&client, world.now(), 1), Format::X509);
    issued.verify_issued_by(&old[0]).unwrap();

    // A verifier that heard of them needs nothing from the old ones any more.
    let heard = prepared[0].certificate.public_key().spki_sha256();
    world.advance(60);
    let epochs = step(&world, Rotation::Activate).unwrap();
    assert_eq!(epochs[1].state, "active");
    assert_eq!(epochs[1].from, Some(world.now()));
    let after = document(&world, &running, &[heard]).unwrap();
    assert_eq!(after.document().roots[2].from, world.now());
    assert_eq!(after.document().epoch, 2);
    let new = world.admin().roots().unwrap();
    assert_eq!(new[0].public_key().spki_sha256(), heard);
    let issued = leaf(&session.issue(&client, world.now(), 2), Format::X509);
    issued.verify_issued_by(&new[0]).unwrap();
}

#[test]
fn keys_are_destroyed_when_nothing_lives_that_they_signed() {
    let world = World::new();
    let running = world.start();
    Agent::new(1).session(&running.unix(), None);
    let old = pins(&world);
    assert_eq!(
        refused(&world, Rotation::Retire),
        "rotation-nothing-to-retire"
    );
    let sealed = sealed_keys(&world);
    assert_eq!(sealed.len(), 5);
    step(&world, Rotation::Now).unwrap();
    let error = step(&world, Rotation::Retire).unwrap_err();
    assert!(error.source_text().contains("valid until"), "{error:?}");
    assert_eq!(error.code(), "rotation-certificates-live");
    let verified = document(&world, &running, &old).unwrap();
    assert_eq!(verified.document().retired_roots().count(), 2);
    let certificates = bundle(&running.unix().get("/v1/ca-bundle.pem"));
    assert_eq!(certificates.len(), 4, "old certificates are alive");

    world.advance(HOUR + 61);
    let epochs = step(&world, Rotation::Retire).unwrap();
    assert!(epochs[0].destroyed && !epochs[1].destroyed);
    assert_eq!(
        refused(&world, Rotation::Retire),
        "rotation-nothing-to-retire"
    );
    assert_eq!(traces(&world, &sealed), 0);
    // The old root cannot sign any more, and who pinned it still walks.
    for _ in 0..2 {
        let verified = document(&world, &running, &old[..1]).unwrap();
        assert_eq!(verified.document().roots.len(), 4);
    }
    let bundle = bundle(&running.unix().get("/v1/ca-bundle.pem"));
    assert_eq!(bundle, world.admin().roots().unwrap());
    running.stop();
    let running = world.start();
    assert!(document(&world, &running, &old[..1]).is_ok());
}

/// What the store has of each private key.
fn sealed_keys(world: &World) -> Vec<Vec<u8>> {
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    let query = "SELECT sealed_key FROM ca UNION ALL SELECT sealed_key FROM format_ca";
    let mut rows = store.prepare(query).unwrap();
    let rows = rows.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// In how many files there is one of the keys.
fn traces(world: &World, keys: &[Vec<u8>]) -> usize {
    let files = world.files().into_iter().filter(|file| file.is_file());
    let has_one = |bytes: Vec<u8>| {
        let mut keys = keys.iter();
        keys.any(|key| bytes.windows(key.len()).any(|window| window == key))
    };
    files
        .filter(|file| has_one(fs::read(file).unwrap()))
        .count()
}

#[test]
fn a_retirement_that_left_traces_wipes_them_when_it_is_repeated() {
    let world = World::new();
    world.start().stop();
    let sealed = sealed_keys(&world);
    step(&world, Rotation::Now).unwrap();
    // Who reads an earlier state needs the log that has it.
    let reader = Connection::open(world.home().join("store.sqlite")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM epoch").unwrap();
    let error = step(&world, Rotation::Retire).unwrap_err();
    assert_eq!(error.code(), "authority-store-unavailable");
    assert!(traces(&world, &sealed) > 0);
    let [old, _] = &world.admin().epochs().unwrap()[..] else {
        panic!("two epochs");
    };
    assert!(old.leaving && !old.destroyed);
    reader.execute_batch("COMMIT").unwrap();
    let epochs = step(&world, Rotation::Retire).unwrap();
    assert!(!epochs[0].leaving && epochs[0].destroyed);
    assert_eq!(traces(&world, &sealed), 0);
    assert_eq!(
        refused(&world, Rotation::Retire),
        "rotation-nothing-to-retire"
    );
}

#[test]
fn whoever_missed_several_rotations_walks_by_the_newest_document_alone() {
    let world = World::new();
    let running = world.start();
    let first = pins(&world);
    for _ in 0..3 {
        world.advance(1);
        step(&world, Rotation::Now).unwrap();
    }
    world.advance(HOUR);
    assert_eq!(step(&world, Rotation::Retire).unwrap().len(), 4);
    let verified = document(&world, &running, &first[1..]).unwrap();
    assert_eq!(verified.document().epoch, 4);
    assert_eq!(verified.document().roots.len(), 8);
    // Nobody who never pinned a root of this authority does.
    let error = document(&world, &running, &[[7; 32]]).unwrap_err();
    assert!(matches!(error, TrustError::NotPinned));
}

#[test]
fn a_running_authority_notices_without_being_asked() {
    let world = World::new();
    let running = world.start();
    let client = running.tcp();
    let pem = || bundle(&client.get("/.well-known/ca-bundle.pem"));
    let before = pem();
    step(&world, Rotation::Now).unwrap();
    eventually("the new root is served", || pem() != before);
    assert_eq!(pem(), world.admin().roots().unwrap()[..1]);
    let jwks = client.get("/.well-known/jwks.json").body;
    let kid = world.admin().roots().unwrap()[0].kid().to_string();
    assert!(String::from_utf8(jwks).unwrap().contains(&kid));
    let lines = String::from_utf8(client.get("/v1/ssh-ca.pub").body).unwrap();
    let keys: Vec<_> = lines
        .lines()
        .map(|line| ssh::Key::from_text(line).unwrap().0)
        .collect();
    let trust = trust(&world, &running);
    let expected = trust.document().ssh_ca.iter().rev();
    let expected: Vec<_> = expected
        .map(|ca| ssh::Key::Plain(ca.public_key.clone()))
        .collect();
    assert_eq!(keys, expected, "the one in use first");
}

#[test]
fn nothing_is_acknowledged_that_the_retired_keys_signed() {
    let world = World::new();
    let running = world.start();
    let client = running.unix();
    let agent = Agent::new(1);
    let session = agent.session(&client, None);
    let (is_over, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let (nonce, after) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                // Not for ever, should the rotation fail.
                for _ in 0..5_000 {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let asked_after = is_over.load(Ordering::SeqCst);
                    let nonce = nonce.fetch_add(1, Ordering::SeqCst);
                    let answer = session.issue(&client, world.now(), nonce);
                    if asked_after {
                        after.lock().unwrap().push(leaf(&answer, Format::X509));
                    } else {
                        assert_eq!(answer.status, 200, "{answer:?}");
                    }
                }
            });
        }
        eventually("it issues", || nonce.load(Ordering::SeqCst) > 5);
        step(&world, Rotation::Now).unwrap();
        is_over.store(true, Ordering::SeqCst);
        eventually("it issues again", || after.lock().unwrap().len() > 5);
        stop.store(true, Ordering::SeqCst);
    });
    let root = &world.admin().roots().unwrap()[0];
    for leaf in after.into_inner().unwrap() {
        leaf.verify_issued_by(root).unwrap();
    }
    // In the issuance record, too, the epochs follow one another.
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    let query = "SELECT EXISTS (SELECT 1 FROM issued a JOIN issued b ON a.id < b.id
                 WHERE a.epoch = 2 AND b.epoch = 1)";
    let is_mixed: bool = store.query_row(query, [], |row| row.get(0)).unwrap();
    assert!(!is_mixed);
}

#[test]
fn a_step_whose_turn_it_is_not_changes_nothing() {
    let world = World::new();
    let running = world.start();
    let before = running.unix().get("/v1/trust.json").body;
    assert_eq!(refused(&world, Rotation::Activate), "rotation-not-prepared");
    assert_eq!(
        refused(&world, Rotation::Retire),
        "rotation-nothing-to-retire"
    );
    assert!(running.unix().get("/v1/trust.json").body == before);
    // A clock that was set back would make an epoch that ends before it begins.
    world.advance(-60);
    assert_eq!(refused(&world, Rotation::Now), "rotation-too-soon");
    world.advance(60);
    assert_eq!(world.admin().epochs().unwrap().len(), 1);
    step(&world, Rotation::Now).unwrap();
    assert_eq!(refused(&world, Rotation::Now), "rotation-too-soon");
    assert_eq!(world.admin().epochs().unwrap().len(), 2);
    let missing = World::new();
    assert_eq!(refused(&missing, Rotation::Now), "authority-not-founded");
}

#[test]
fn of_many_who_prepare_at_once_one_does() {
    let world = World::new();
    let running = world.start();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let all: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| step(&world, Rotation::Prepare).map(|_| ())))
            .collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|it| it.is_ok()).count(), 1);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(error.code(), "rotation-prepared-already");
    }
    let verified = document(&world, &running, &pins(&world)).unwrap();
    assert_eq!(verified.document().roots.len(), 4);
}

#[test]
fn the_next_keys_are_sealed_as_the_first_and_opened_while_serving() {
    let world = World::new();
    let mut config = world.config();
    config.storage = Storage::Directory {
        path: world.home(),
        protection: passphrase(PASSPHRASE),
    };
    let running = start(config).unwrap();
    let before = running.unix().get("/v1/trust.json").body;
    let with = |secret: &[u8]| {
        let clock = Arc::new(world.clock.clone());
        rotate(&world.home(), &passphrase(secret), Rotation::Now, clock)
    };
    let error = with(b"another passphrase\n").unwrap_err();
    assert_eq!(error.code(), "authority-secret-wrong");
    assert_eq!(refused(&world, Rotation::Now), "authority-sealed-otherwise");
    assert_eq!(running.unix().get("/v1/trust.json").body, before);
    with(PASSPHRASE).unwrap();
    let session = Agent::new(1).session(&running.unix(), None).enrolled;
    assert_eq!(session.authority.epoch, 2);
}

#[test]
fn keys_of_one_epoch_cannot_take_the_place_of_anothers() {
    let world = World::new();
    world.start().stop();
    step(&world, Rotation::Now).unwrap();
    Connection::open(world.home().join("store.sqlite"))
        .unwrap()
        .execute(
            "UPDATE ca SET
               certificate = (SELECT certificate FROM ca WHERE name = 'ed25519' AND epoch = 1),
               sealed_key = (SELECT sealed_key FROM ca WHERE name = 'ed25519' AND epoch = 1)
             WHERE name = 'ed25519' AND epoch = 2",
            [],
        )
        .unwrap();
    let error = start(world.config()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "authority-secret-wrong");
}

#[test]
fn every_document_that_there_was_is_served_by_its_number() {
    let world = World::new();
    let running = world.start();
    let client = running.tcp();
    let first = client.get("/v1/trust.json").body;
    step(&world, Rotation::Now).unwrap();
    let second = client.get("/v1/trust.json").body;
    for (number, body) in [(1, &first), (2, &second)] {
        let answer = client.get(&format!("/v1/trust/{number}.json"));
        assert_eq!(answer.status, 200);
        assert!(answer.body == *body, "document {number}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let cache = answer.header("cache-control").unwrap();
        assert!(cache.contains("immutable"), "{cache}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    for path in [
        "3",
        "0",
        "01",
        "+1",
        "-1",
        "",
        "1.json",
        "99999999999999999999999",
        "18446744073709551615",
        "../trust",
    ] {
        let answer = client.get(&format!("/v1/trust/{path}.json"));
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, br#"{"error":"not_found"}"#, "{path}");
    }
    assert_eq!(client.get("/v1/trust/1").status, 404);
    let posted = client.post_bytes("/v1/trust/1.json", b"{}");
    assert_eq!(posted.refusal().0, 405);
}

trait SourceText {
    fn source_text(&self) -> String;
}

impl SourceText for AdminError {
    fn source_text(&self) -> String {
        std::error::Error::source(self).unwrap().to_string()
    }
}
