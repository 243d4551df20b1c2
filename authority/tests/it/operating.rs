//! What operators look at and set: metrics, rates, request ids, readiness, the end.

use std::{
    io::{Read as _, Write as _},
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use notme_authority::{MonitorListen, OidcConfig, Rates, ServeConfig};
use notme_testkit::{oracle::oracle, repository::run};

use crate::{
    client::{Agent, Client},
    workload::Site,
    world::{World, start},
};

fn monitor(world: &World) -> PathBuf {
    world.root.path().join("run/monitor.sock")
}

fn watched(world: &World) -> ServeConfig {
    ServeConfig {
        monitor: Some(MonitorListen::Unix(monitor(world))),
        ..world.config()
    }
}

fn watcher(world: &World) -> Client {
    Client::unix(monitor(world), String::new())
}

#[test]
fn prometheus_takes_the_metrics_and_they_are_true() {
    let world = World::new();
    let running = start(watched(&world)).unwrap();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    assert_eq!(session.issue(&running.unix(), world.now(), 1).status, 200);
    let again = session.issue(&running.unix(), world.now(), 1).refusal().1;
    assert_eq!(again, "nonce-replayed");
    assert_eq!(running.tcp().get("/nowhere\"}").status, 404);
    world.advance(30);

    let answer = watcher(&world).get("/metrics");
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body).unwrap();
    let mut promtool = Command::new(oracle("promtool"));
    let judged = run(promtool.args(["check", "metrics"]), text.as_bytes());
    assert!(judged.status.success(), "{judged:?}\n{text}");
    assert!(
        judged.stderr.is_empty() && judged.stdout.is_empty(),
        "{judged:?}"
    );
    for line in [
        "notme_ready 1",
        "notme_requests_total{route=\"/v1/issue\",status=\"200\"} 1",
        "notme_requests_total{route=\"/v1/issue\",status=\"409\"} 1",
        "notme_requests_total{route=\"unknown\",status=\"404\"} 1",
        "notme_request_duration_seconds_count{route=\"/v1/issue\"} 2",
        "notme_refusals_total{code=\"nonce-replayed\"} 1",
        "notme_issued_total{kind=\"x509\"} 1",
        "notme_sessions 1",
        "notme_ledger_entries{ledger=\"nonces\"} 1",
        "notme_trust_seqno 1",
        "notme_trust_document_age_seconds 30",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    assert!(text.contains("\nnotme_open_connections "), "{text}");
}

#[test]
fn metrics_are_not_for_the_public() {
    let world = World::new();
    let running = start(watched(&world)).unwrap();
    assert_eq!(running.tcp().get("/metrics").status, 404);
    assert_eq!(running.unix().get("/metrics").status, 404);
    for path in ["/", "/v1/trust.json", "/v1/issue"] {
        assert_eq!(watcher(&world).get(path).status, 404);
    }
    assert_eq!(
        watcher(&world).send("POST", "/metrics", None, b"").status,
        404
    );
}

#[test]
fn a_request_keeps_its_name_when_it_has_a_good_one() {
    let world = World::new();
    let running = world.start();
    let named = |id: &str| {
        let answer = running
            .tcp()
            .request("GET", "/health", &[("X-Request-Id", id)], b"");
        answer.header("x-request-id").unwrap().to_owned()
    };
    let long = "x".repeat(65);
    assert_eq!(
        named("0af7651916cd43dd-8448eb211c80319c.1_x"),
        "0af7651916cd43dd-8448eb211c80319c.1_x"
    );
    for bad in ["", "a b", "a\"b", "a;b", "\u{e9}", &long] {
        assert_ne!(named(bad), bad);
    }
    assert_ne!(named(""), named(""));
    let refused = running.tcp().get("/nowhere");
    assert!(refused.header("x-request-id").is_some());
}

fn at_most(world: &World, rates: Rates) -> ServeConfig {
    let mut config = world.config();
    config.limits.rates = rates;
    config
}

fn one() -> Option<NonZeroU32> {
    Some(NonZeroU32::MIN)
}

#[test]
fn a_session_that_asks_too_often_is_told_when_to_ask_again() {
    let world = World::new();
    let rates = Rates {
        identity: one(),
        ..Rates::NONE
    };
    let running = start(at_most(&world, rates)).unwrap();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    let (tcp, now) = (running.tcp(), world.now());
    assert_eq!(session.issue(&tcp, now, 1).status, 200);
    let limited = session.issue(&tcp, now, 2);
    assert_eq!(limited.refusal(), (429, "rate-limited".to_owned()));
    let wait: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(session.renew(&tcp, now, 3).refusal().1, "rate-limited");
    // Nothing was spent, and our own user may always.
    assert_eq!(session.issue(&running.unix(), now, 2).status, 200);
    // Whoever cannot prove that it is the session uses nothing of it up, and learns nothing.
    let thief = Agent::new(2);
    let stolen = crate::client::Session::new(&thief, session.enrolled.clone());
    assert_eq!(stolen.issue(&tcp, now, 4).refusal().1, "proof-invalid");
}

#[test]
fn a_repository_gets_as_many_certificates_a_minute_as_at_the_reference() {
    let mut site = Site::github();
    site = site.restart_with(|config| config.limits.rates = Rates::default());
    for _ in 0..10 {
        assert_eq!(site.exchange(&site.token()).status, 200);
    }
    let token = site.token();
    let limited = site.exchange(&token);
    assert_eq!(limited.status, 429);
    assert_eq!(limited.body, br#"{"error":"rate limit exceeded"}"#);
    assert!(limited.header("retry-after").is_some());
    // As at the reference, the token is spent.
    assert_eq!(
        site.exchange(&token).body,
        br#"{"error":"token already used"}"#
    );
    let other = site.token_with(|claims| {
        claims["repository"] = "agentic-research/other".into();
    });
    assert_eq!(site.exchange(&other).status, 200);
}

#[test]
fn ready_is_not_healthy() {
    let world = World::new();
    let mut config = watched(&world);
    config.limits.notice = Duration::from_secs(3600);
    let mut running = start(config).unwrap();
    for client in [running.tcp(), watcher(&world)] {
        assert_eq!(client.get("/readyz").body, b"ready");
        assert_eq!(client.get("/healthz").body, b"ok");
    }
    running.ask_to_end();
    while running.tcp().get("/readyz").status == 200 {
        std::thread::yield_now();
    }
    for client in [running.tcp(), watcher(&world)] {
        let answer = client.get("/readyz");
        assert_eq!((answer.status, &*answer.body), (503, &b"not ready"[..]));
        assert_eq!(client.get("/healthz").status, 200);
    }
    // It serves all the same, until the notice is over; nobody waits an hour for it here.
    assert_eq!(running.tcp().get("/v1/trust.json").status, 200);
    running.forget();
}

#[test]
fn an_authority_whose_store_fails_is_not_ready() {
    let world = World::new();
    let running = world.start();
    assert_eq!(running.tcp().get("/readyz").status, 200);
    let store = rusqlite::Connection::open(world.home().join("store.sqlite")).unwrap();
    store.execute_batch("DROP TABLE authority").unwrap();
    assert_eq!(running.tcp().get("/readyz").status, 503);
    assert_eq!(running.tcp().get("/health").status, 200);
    running.forget();
}

#[test]
fn a_request_under_way_is_answered_and_a_new_caller_is_not() {
    let world = World::new();
    let mut running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    let request = session.issue_request(&running.url, world.now(), 1);
    let body = serde_json::to_vec(&request).unwrap();
    let (first, rest) = body.split_at(10);
    let head = format!(
        "POST /v1/issue HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut under_way = running.tcp().connect();
    under_way.write_all(head.as_bytes()).unwrap();
    under_way.write_all(first).unwrap();
    // An answer on another connection shows that ours was let in before.
    assert_eq!(running.tcp().get("/health").status, 200);
    let gone = running.unix();
    let socket = world.socket();
    running.ask_to_end();
    while Path::new(&socket).exists() {
        std::thread::yield_now();
    }
    assert!(std::panic::catch_unwind(|| gone.get("/health")).is_err());
    under_way.write_all(rest).unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(running.wait().map_err(|error| error.to_string()), Ok(()));
}

#[test]
fn issuers_and_monitors_do_not_hinder_each_other() {
    // A monitor that hangs takes none of the callers' places.
    let world = World::new();
    let mut config = watched(&world);
    config.limits.connections = 1;
    config.oidc = OidcConfig::default();
    let running = start(config).unwrap();
    let hanging: Vec<_> = (0..16).map(|_| watcher(&world).connect()).collect();
    assert_eq!(running.tcp().get("/health").status, 200);
    drop(hanging);
}
