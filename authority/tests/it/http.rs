//! What HTTP callers can do wrong.

use std::{io::Read, time::Duration};

use crate::{
    client::{Agent, Answer},
    token::TokenSite,
    workload::Site,
    world::{Running, World, start},
};

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.refusal(), (status, code.to_owned()));
}

fn impatient(world: &World) -> Running {
    let mut config = world.config();
    config.limits.head = Duration::from_millis(300);
    config.limits.body = Duration::from_millis(300);
    start(config).unwrap()
}

#[test]
fn a_path_that_is_not_there_is_not_found() {
    let world = World::new();
    let running = world.start();
    for path in [
        "/v1",
        "/v1/enrol/",
        "/v1/issue/../enrol",
        "//health",
        "/V1/enrol",
    ] {
        let answer = running.tcp().get(path);
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (404, &br#"{"error":"not_found"}"#[..])
        );
    }
}

#[test]
fn another_method_is_not_allowed() {
    let world = World::new();
    let running = world.start();
    let get = running.tcp().get("/v1/enrol");
    refused(&get, 405, "method-not-allowed");
    assert_eq!(get.header("allow"), Some("POST, OPTIONS"));
    let post = running.tcp().post_bytes("/v1/trust.json", b"{}");
    refused(&post, 405, "method-not-allowed");
    assert_eq!(post.header("allow"), Some("GET, HEAD, OPTIONS"));
    refused(
        &running.tcp().send("DELETE", "/v1/issue", None, b""),
        405,
        "method-not-allowed",
    );
}

#[test]
fn head_answers_without_a_body() {
    let world = World::new();
    let running = world.start();
    let answer = running.tcp().send("HEAD", "/v1/trust.json", None, b"");
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_empty());
}

#[test]
fn malformed_json_is_refused_on_every_operation() {
    let world = World::new();
    let running = world.start();
    let deep = "[".repeat(60_000);
    let bodies: [&[u8]; 8] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        br#"{"agent":"claude","agent":"claude"}"#,
        deep.as_bytes(),
    ];
    for path in ["/v1/enrol", "/v1/issue", "/v1/renew"] {
        for body in bodies {
            refused(
                &running.tcp().post_bytes(path, body),
                400,
                "request-malformed",
            );
        }
    }
    assert_eq!(running.tcp().get("/health").status, 200);
}

#[test]
fn fields_that_we_do_not_know_are_refused() {
    let world = World::new();
    let running = world.start();
    let client = running.unix();
    let request = Agent::new(1).enrol_request(&client.url, None);
    let mut value = serde_json::to_value(request).unwrap();
    value["admin"] = true.into();
    refused(&client.post("/v1/enrol", &value), 400, "request-malformed");
}

#[test]
fn only_json_is_read() {
    let world = World::new();
    let running = world.start();
    for content in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let answer = running.tcp().send("POST", "/v1/enrol", content, b"{}");
        refused(&answer, 415, "content-type-unsupported");
    }
    let with_charset = running.tcp().send(
        "POST",
        "/v1/enrol",
        Some("Application/JSON; charset=utf-8"),
        b"{}",
    );
    refused(&with_charset, 400, "request-malformed");
}

#[test]
fn a_body_over_64_kib_is_refused() {
    let world = World::new();
    let running = world.start();
    let client = running.tcp();
    let fits = vec![b' '; 64 * 1024];
    refused(
        &client.post_bytes("/v1/enrol", &fits),
        400,
        "request-malformed",
    );
    let too_large = vec![b' '; 64 * 1024 + 1];
    refused(
        &client.post_bytes("/v1/enrol", &too_large),
        413,
        "body-too-large",
    );
    let announced = client.raw(
        b"POST /v1/enrol HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n",
    );
    refused(&announced, 413, "body-too-large");
}

#[test]
fn a_body_in_chunks_is_limited_too() {
    let world = World::new();
    let running = world.start();
    let mut request =
        b"POST /v1/enrol HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    for _ in 0..17 {
        request.extend_from_slice(b"1000\r\n");
        request.extend_from_slice(&[b' '; 4096]);
        request.extend_from_slice(b"\r\n");
    }
    refused(&running.tcp().raw(&request), 413, "body-too-large");
}

#[test]
fn what_is_no_http_is_dropped_and_nothing_breaks() {
    let world = World::new();
    let running = world.start();
    let long_head = [b"GET / HTTP/1.1\r\nx: ", vec![b'a'; 100_000].as_slice()].concat();
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500));
    let requests: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01",
        b"GARBAGE\r\n\r\n",
        &long_head,
        many_headers.as_bytes(),
    ];
    for request in requests {
        let answer = running.tcp().raw(request);
        assert!(matches!(answer.status, 0 | 400 | 431), "{answer:?}");
        assert_eq!(answer.body, b"");
    }
    assert_eq!(running.tcp().get("/health").status, 200);
}

#[test]
fn a_slow_head_is_cut_off() {
    let world = World::new();
    let running = impatient(&world);
    let answer = running.tcp().raw(b"POST /v1/enrol HTTP/1.1\r\nhost: a\r\n");
    assert!(matches!(answer.status, 0 | 408), "{answer:?}");
    let silent = running.tcp().raw(b"");
    assert!(matches!(silent.status, 0 | 408), "{silent:?}");
}

#[test]
fn a_slow_body_is_cut_off() {
    let world = World::new();
    let running = impatient(&world);
    let answer = running.tcp().raw(
        b"POST /v1/enrol HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{",
    );
    refused(&answer, 408, "request-timeout");
}

/// On notme's routes it is what the reference says of a body that is no JSON.
#[test]
fn a_body_that_ends_early_is_refused_in_the_words_of_the_route() {
    let (site, token_site) = (Site::github(), TokenSite::new(""));
    let (pairs, tokens) = (&site.running, &token_site.running);
    let not_json = r#"{"error":"invalid JSON body"}"#;
    let ours =
        r#"{"error":"request-malformed","message":"the body is not the JSON this route takes"}"#;
    for framing in [
        "content-length: 10\r\n\r\n{}",
        "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ] {
        let bearer = format!("authorization: Bearer {}", site.token());
        let dpop = format!("dpop: {}", token_site.proof());
        for (running, path, header, body) in [
            (pairs, "/cert/gha", &*bearer, not_json),
            (pairs, "/cert", "accept: */*", not_json),
            (tokens, "/token", &*dpop, r#"{"error":"audience_required"}"#),
            (pairs, "/v1/issue", "content-type: application/json", ours),
        ] {
            let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{header}\r\n{framing}");
            let answer = running.tcp().half(request.as_bytes());
            let said = String::from_utf8_lossy(&answer.body);
            assert_eq!((answer.status, &*said), (400, body), "{path}");
        }
    }
}

#[test]
fn silent_connections_do_not_keep_others_out() {
    let world = World::new();
    let mut config = world.config();
    config.limits.connections = 4;
    config.limits.head = Duration::from_millis(300);
    let running = start(config).unwrap();
    let mut silent: Vec<_> = (0..12).map(|_| running.tcp().connect()).collect();
    assert_eq!(running.tcp().get("/health").status, 200);
    for stream in &mut silent {
        // Cut off: end of stream or reset, and not our own patience.
        let ended = stream.read(&mut [0; 64]);
        assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
    }
}

#[test]
fn silent_strangers_keep_nobody_of_our_own_out() {
    let world = World::new();
    let mut config = world.config();
    config.limits.connections = 8;
    config.limits.per_origin = 8;
    config.limits.head = Duration::from_secs(600);
    let running = start(config).unwrap();
    let silent: Vec<_> = (0..100).map(|_| running.tcp().connect()).collect();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    for nonce in 0..20 {
        assert_eq!(
            session.issue(&running.unix(), world.now(), nonce).status,
            200
        );
    }
    drop(silent);
}

#[test]
fn one_origin_has_a_share_of_the_places_and_no_more() {
    let world = World::new();
    let mut config = world.config();
    config.limits.per_origin = 4;
    config.limits.head = Duration::from_secs(600);
    let running = start(config).unwrap();
    let silent: Vec<_> = (0..4).map(|_| running.tcp().connect()).collect();
    let mut fifth = running.tcp().connect();
    assert!(!matches!(fifth.read(&mut [0; 64]), Ok(1..)));
    // Sent off at once, not left to wait.
    assert_eq!(running.tcp().get("/health").status, 0);
    drop(silent);
    while running.tcp().get("/health").status != 200 {
        std::thread::yield_now();
    }
}
