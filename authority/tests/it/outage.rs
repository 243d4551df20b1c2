//! A store that cannot be used for a while, counted.

use std::{
    collections::BTreeSet,
    env,
    io::{Write as _, stdout},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use notme_authority::{MonitorListen, ServeConfig};
use notme_core::{
    enrol::Format,
    hex,
    key::{Hash, sha256},
    timestamp::{
        MessageImprint, RejectionReason, TimeStampError, TimeStampRequest, TimeStampToken,
    },
};
use notme_testkit::{oracle::oracle, postgres::Cluster};

use crate::{
    client::{Agent, Answer, Client, Session, leaf},
    crash::{as_program, now, spawned},
    rotation::eventually,
    world::{Database, World, start},
};

/// How often the server is killed.
const KILLS: usize = 20;

fn own_cluster() -> World {
    let cluster = Arc::new(Cluster::start(|_| Vec::new()));
    World {
        database: Some(Database::on(cluster)),
        ..World::new()
    }
}

/// Asks for a certificate for a payload that belongs to the nonce.
fn ask(session: &Session<'_>, client: &Client, world: &World, nonce: u64) -> Answer {
    let mut request = session.issue_request(&client.url, world.now(), nonce);
    request.payload_sha256 = Some(hex::encode(&sha256(&nonce.to_be_bytes())));
    client.post("/v1/issue", &session.prove(&client.url, request))
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.refusal(), (503, "store-unavailable".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// Each nonce is sent to both instances.
#[test]
fn a_killed_server_loses_nothing_and_spends_nothing_twice() {
    let world = own_cluster();
    let cluster = &world.database.as_ref().unwrap().cluster;
    let first = world.start();
    let other = start(world.another(&first, "other")).unwrap();
    let agent = Agent::new(1);
    let session = agent.session(&first.unix(), None);
    let acknowledged = Mutex::new(Vec::new());
    let unavailable = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let turns = AtomicU64::new(0);
    let count = || acknowledged.lock().unwrap().len();
    thread::scope(|scope| {
        for caller in 0..4 {
            let client = [first.tcp(), other.tcp()][caller % 2].clone();
            let (session, world, acknowledged) = (&session, &world, &acknowledged);
            let (unavailable, is_over, turns) = (&unavailable, &is_over, &turns);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let nonce = turns.fetch_add(1, Ordering::SeqCst) / 2 + 1;
                    let answer = ask(session, &client, world, nonce);
                    match answer.status {
                        200 => {
                            let certificate = leaf(&answer, Format::X509).sha256();
                            let kept = (nonce, hex::encode(&certificate));
                            acknowledged.lock().unwrap().push(kept);
                        }
                        503 => {
                            assert_unavailable(&answer);
                            unavailable.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => assert_eq!(answer.refusal().1, "nonce-replayed"),
                    }
                }
            });
        }
        for _ in 0..KILLS {
            let enough = count() + 5;
            eventually("it issues again", || count() >= enough);
            cluster.crash();
            let refused = unavailable.load(Ordering::SeqCst);
            eventually("it says that it cannot", || {
                unavailable.load(Ordering::SeqCst) > refused
            });
            assert_eq!(first.tcp().get("/readyz").status, 503);
            assert_eq!(first.tcp().get("/healthz").status, 200);
            cluster.resume();
        }
        let enough = count() + 5;
        eventually("it issues again", || count() >= enough);
        is_over.store(true, Ordering::SeqCst);
    });
    for instance in [&first, &other] {
        eventually("it is ready", || {
            instance.tcp().get("/readyz").status == 200
        });
    }
    let store = world.sql("SELECT encode(certificate_sha256, 'hex') FROM issued");
    let store: BTreeSet<_> = store.lines().collect();
    let kept = acknowledged.into_inner().unwrap();
    let lost = kept.iter().filter(|(_, it)| !store.contains(it.as_str()));
    assert_eq!(lost.count(), 0);
    let nonces: BTreeSet<_> = kept.iter().map(|(nonce, _)| nonce).collect();
    assert_eq!(nonces.len(), kept.len(), "a nonce was acknowledged twice");
    let twice = "SELECT count(*) FROM (SELECT payload_sha256 FROM issued
        WHERE payload_sha256 IS NOT NULL GROUP BY payload_sha256 HAVING count(*) > 1) AS twice";
    assert_eq!(world.sql(twice), "0");
    world.admin().verify_audit(None).unwrap();
    let unavailable = unavailable.into_inner();
    writeln!(
        stdout(),
        "{KILLS} kills, {} acknowledged, none lost, {unavailable} told to try again",
        kept.len()
    )
    .unwrap();
}

#[test]
fn a_read_only_server_is_said_and_gotten_over() {
    let world = own_cluster();
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    let set = |value| {
        world.sql(&format!(
            "ALTER SYSTEM SET default_transaction_read_only = {value}"
        ));
        world.sql("SELECT pg_reload_conf()");
    };
    set("on");
    let mut nonce = 0;
    let mut next = || {
        nonce += 1;
        ask(&session, &running.tcp(), &world, nonce)
    };
    eventually("nothing is written", || next().status == 503);
    let refused = next();
    assert_unavailable(&refused);
    assert!(!String::from_utf8_lossy(&refused.body).contains("read-only"));
    assert_eq!(running.tcp().get("/readyz").status, 503);
    // Nobody is told what a server knows that may be behind.
    eventually("nothing is read", || {
        // Each connection that failed is given up.
        next();
        running.tcp().get("/v1/trust.json").status == 503
    });
    // `ALTER SYSTEM` is no transaction; the server lets it through.
    set("off");
    eventually("it is written again", || next().status == 200);
    eventually("it is ready", || running.tcp().get("/readyz").status == 200);
    world.admin().verify_audit(None).unwrap();
}

/// An instance that froze while it wrote, say.
#[test]
fn whoever_holds_the_lock_of_the_writers_is_not_waited_for_without_end() {
    let world = own_cluster();
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    thread::scope(|scope| {
        let held = scope.spawn(|| {
            let lock = "SELECT pg_advisory_lock(1315783029, 1315783029)";
            world.sql(&format!("{lock}; SELECT pg_sleep(8)"))
        });
        let mut nonce = 0;
        let mut next = || {
            nonce += 1;
            ask(&session, &running.tcp(), &world, nonce)
        };
        eventually("nothing is written", || next().status == 503);
        assert!(!held.is_finished());
        // Who reads is served meanwhile.
        assert_eq!(running.tcp().get("/v1/trust.json").status, 200);
        held.join().unwrap();
        eventually("it is written again", || next().status == 200);
    });
    world.admin().verify_audit(None).unwrap();
}

/// A server that is stopped where it is, say, or a network that takes everything and brings nothing.
#[test]
fn a_server_that_hangs_keeps_nobody_waiting_without_end() {
    let world = own_cluster();
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    let cluster = &world.database.as_ref().unwrap().cluster;
    cluster.freeze();
    thread::scope(|scope| {
        let asked: Vec<_> = (0..48)
            .map(|caller| {
                let (client, session, world) = (running.tcp(), &session, &world);
                scope.spawn(move || match caller % 4 {
                    0 => ask(session, &client, world, caller + 1),
                    1 => client.get("/.well-known/jwks.json"),
                    _ => client.get("/v1/trust.json"),
                })
            })
            .collect();
        // Who does not need it does not wait for those who do.
        for _ in 0..20 {
            assert_eq!(running.tcp().get("/healthz").status, 200);
            let discovery = running.tcp().get("/.well-known/signet-authority.json");
            assert_eq!(discovery.status, 200);
        }
        for asked in asked {
            let answer = asked.join().unwrap();
            assert_eq!(answer.status, 503, "{answer:?}");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    });
    assert_eq!(running.tcp().get("/readyz").status, 503);
    cluster.thaw();
    eventually("it serves again", || {
        running.tcp().get("/v1/trust.json").status == 200
    });
    eventually("it is ready", || running.tcp().get("/readyz").status == 200);
    world.admin().verify_audit(None).unwrap();
}

/// On notme's own routes the words are its own.
#[test]
fn a_server_that_is_gone_is_said_on_every_route() {
    let world = own_cluster();
    let monitor = world.root.path().join("run/monitor.sock");
    let config = ServeConfig {
        monitor: Some(MonitorListen::Unix(monitor.clone())),
        ..world.config()
    };
    let running = start(config).unwrap();
    let client = running.tcp();
    world.database.as_ref().unwrap().cluster.crash();
    for path in ["/v1/trust.json", "/v1/trust/1.json"] {
        let answer = client.get(path);
        assert_unavailable(&answer);
    }
    for path in [
        "/.well-known/jwks.json",
        "/.well-known/epochs.json",
        "/internal/ca-bundle",
    ] {
        let answer = client.get(path);
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.body, br#"{"error":"authority unavailable"}"#);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let request = TimeStampRequest::new(MessageImprint::of(Hash::Sha256, b"a"), &[1; 16]);
    let query = Some("application/timestamp-query");
    let answer = client.send("POST", "/tsa", query, &request.to_der());
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(
        answer.header("content-type"),
        Some("application/timestamp-reply")
    );
    match TimeStampToken::from_reply(&answer.body, None).unwrap_err() {
        TimeStampError::Refused(refused) => {
            assert_eq!(refused.reason, Some(RejectionReason::SystemFailure));
        }
        other => panic!("{other}"),
    }
    let answer = Agent::new(1).enrol(&client, Some("any"));
    assert_unavailable(&answer);
    assert_eq!(client.get("/.well-known/signet-authority.json").status, 200);
    // And in the log, whatever the words were.
    let metrics = Client::unix(monitor, String::new()).get("/metrics").body;
    let metrics = String::from_utf8(metrics).unwrap();
    let codes = metrics
        .lines()
        .filter(|line| line.contains("refusals_total{"));
    let codes: Vec<_> = codes.collect();
    assert_eq!(
        codes,
        ["notme_refusals_total{code=\"store-unavailable\"} 7"]
    );
    world.database.as_ref().unwrap().cluster.resume();
    eventually("it serves again", || {
        client.get("/v1/trust.json").status == 200
    });
}

/// Room that comes back is used without a restart.
#[test]
fn a_full_disk_is_gotten_over() {
    let world = World::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    shell.arg(env::current_exe().unwrap());
    as_program(&mut shell, &world);
    let (mut child, client, _) = spawned(shell, &world);
    let agent = Agent::new(1);
    let session = agent.session(&client, None);
    let limit = |bytes: &str| {
        let pid = child.id().to_string();
        let mut prlimit = Command::new(oracle("prlimit"));
        prlimit.args(["--pid", &pid, &format!("--fsize={bytes}:")]);
        assert!(prlimit.status().unwrap().success());
    };
    limit("4096");
    let mut nonce = 0;
    let mut next = || {
        nonce += 1;
        session.issue(&client, now(), nonce)
    };
    let refused = next();
    assert_unavailable(&refused);
    assert_eq!(client.get("/readyz").status, 503);
    limit("unlimited");
    eventually("it is written again", || next().status == 200);
    eventually("it is ready", || client.get("/readyz").status == 200);
    child.kill().unwrap();
    child.wait().unwrap();
    world.admin().verify_audit(None).unwrap();
}
