//! `notme authority serve`: its settings, its log, its end.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
};

use notme_testkit::{
    issuer::TestIssuer,
    jwt::TokenKey,
    postgres::{Cluster, PASSWORD, USER},
    testdata,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    workload::claims,
    world::{World, free_port, told},
};

fn check(world: &World, file: &str, variables: &[(&str, &str)], options: &[&str]) -> (i32, String) {
    let path = world.home().join("authority.toml");
    fs::write(&path, file).unwrap();
    let output = world
        .notme_command()
        .args(["authority", "serve", "--check", "--config"])
        .arg(&path)
        .args(options)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    (
        code,
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
    )
}

#[test]
fn an_option_comes_before_the_environment_and_that_before_the_file() {
    let world = World::new();
    let file = "listen = \"127.0.0.1:1\"\nhead-timeout = 11\nbody-timeout = 11\nrate-token = 0\n";
    let variables = [
        ("NOTME_AUTHORITY_HEAD_TIMEOUT", "12"),
        ("NOTME_AUTHORITY_BODY_TIMEOUT", "12"),
    ];
    let (code, out) = check(&world, file, &variables, &["--body-timeout", "13"]);
    assert_eq!(code, 0, "{out}");
    for line in [
        "listen = \"127.0.0.1:1\"  # file",
        "head-timeout = 12  # environment",
        "body-timeout = 13  # option",
        "rate-token = 0  # file",
        "rate-workload = 10  # default",
        "# url is not set",
    ] {
        assert!(out.lines().any(|it| it == line), "{line}\n{out}");
    }
    // What is printed is a file again.
    let (code, again) = check(&world, &out, &[], &[]);
    assert_eq!(code, 0, "{again}");
    let plain = |text: &str| {
        text.replace("# file", "#")
            .replace("# environment", "#")
            .replace("# option", "#")
            .replace("# default", "#")
    };
    assert_eq!(plain(&again), plain(&out));
}

#[test]
fn files_that_the_file_names_are_beside_it() {
    let world = World::new();
    let (code, out) = check(
        &world,
        "socket = \"run/a.sock\"\ndir = \"/elsewhere\"",
        &[],
        &[],
    );
    assert_eq!(code, 0, "{out}");
    let socket = world.home().join("run/a.sock");
    assert!(
        out.contains(&format!("socket = \"{}\"", socket.display())),
        "{out}"
    );
    assert!(out.contains("dir = \"/elsewhere\""), "{out}");
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line_and_the_rule() {
    let world = World::new();
    let listen = "listen = \"127.0.0.1:1\"\n";
    for (line, words) in [
        ("liste = 1", "`liste` is no setting"),
        ("config = \"a\"", "`config` is no setting"),
        ("embedded = true", "`embedded` is no setting"),
        ("head-timeout = 0", "0 is not in 1..=3600"),
        ("head-timeout = \"soon\"", "invalid digit"),
        ("head-timeout = 1.5", "a whole number"),
        ("head-timeout = [1]", "a whole number"),
        ("connections = 65536", "65536 is not in 1..=65535"),
        ("ephemeral = \"perhaps\"", "possible values: true, false"),
        (
            "log-level = \"loud\"",
            "possible values: error, warn, info, debug",
        ),
        ("monitor = \"localhost\"", "invalid socket address"),
        ("head-timeout = 1\nhead-timeout = 2", "duplicate key"),
        ("[section]\n", "is no setting"),
        ("head-timeout =", "line 2"),
    ] {
        let (code, out) = check(&world, &format!("{listen}{line}\n"), &[], &[]);
        assert_eq!(code, 2, "{line}: {out}");
        assert!(out.contains(words), "{line}: {out}");
        assert!(
            out.contains(", line 2") || out.contains(", line 3"),
            "{line}: {out}"
        );
    }
}

#[test]
fn a_mistake_in_the_environment_is_told_with_the_variable() {
    let world = World::new();
    for (variable, value, words) in [
        ("NOTME_AUTHORITY_LISTE", "1", "is no setting"),
        ("NOTME_AUTHORITY_LISTEn", "1", "is no setting"),
        ("NOTME_AUTHORITY_HEAD_TIMEOUT", "0", "0 is not in 1..=3600"),
        ("NOTME_AUTHORITY_LOG_LEVEL", "", "value is required"),
    ] {
        let (code, out) = check(
            &world,
            "listen = \"127.0.0.1:1\"",
            &[(variable, value)],
            &[],
        );
        assert_eq!(code, 2, "{variable}: {out}");
        assert!(
            out.contains(variable) && out.contains(words),
            "{variable}: {out}"
        );
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let world = World::new();
    for (file, variables, rule) in [
        ("", &[][..], "nowhere to listen"),
        (
            "listen = \"127.0.0.1:1\"\ntls-key = \"a\"",
            &[],
            "go together",
        ),
        (
            "listen = \"127.0.0.1:1\"\nlocal-enrolment = true",
            &[],
            "takes a `socket`",
        ),
        (
            "socket = \"a\"\nkey-file = \"a\"",
            &[("NOTME_AUTHORITY_PASSPHRASE_FILE", "b")],
            "exclude",
        ),
        (
            "socket = \"a\"\ndir = \"a\"",
            &[("NOTME_AUTHORITY_EPHEMERAL", "true")],
            "excludes",
        ),
        (
            "socket = \"a\"\nmonitor = \"127.0.0.1:1\"",
            &[("NOTME_AUTHORITY_MONITOR_SOCKET", "b")],
            "exclude",
        ),
    ] {
        let (code, out) = check(&world, file, variables, &[]);
        assert_eq!(code, 2, "{file}: {out}");
        assert!(out.contains(rule), "{file}: {out}");
    }
}

#[test]
fn what_is_not_served_with_is_no_good_settings() {
    let world = World::new();
    let absent = "tls-certificate = \"absent.pem\"\ntls-key = \"absent.key\"";
    for name in ["empty.pem", "empty.key"] {
        fs::write(world.home().join(name), "").unwrap();
    }
    let empty = absent.replace("absent", "empty");
    let issuer = "[[issuer]]\nname = \"a\"\nurl = \"https://a.example\"\naudience = \"a\"\n\
        identity = \"ci/{sub}\"\njwks_file = \"absent.json\"\nscopes = [\"sign:git\"]\n\
        [[issuer.allow]]\nclaims = { sub = \"a\" }\n";
    fs::write(world.home().join("oidc.toml"), issuer).unwrap();
    for (file, rule) in [
        (
            "listen = \"0.0.0.0:1\"",
            "plain HTTP is for loopback addresses",
        ),
        (
            &format!("listen = \"0.0.0.0:1\"\n{absent}"),
            "could not read PEM file",
        ),
        (&format!("listen = \"127.0.0.1:1\"\n{empty}"), "empty."),
        (
            "listen = \"127.0.0.1:1\"\noidc = \"oidc.toml\"",
            "absent.json",
        ),
    ] {
        let (code, out) = check(&world, file, &[], &[]);
        assert_eq!(code, 3, "{file}: {out}");
        assert!(out.contains(rule), "{file}: {out}");
    }
    assert!(!world.notme_home().join("data/authority").exists());
}

#[test]
fn every_setting_is_in_the_table_of_the_document() {
    let world = World::new();
    let (_, out) = check(&world, "listen = \"127.0.0.1:1\"", &[], &[]);
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/authority.md");
    let document = fs::read_to_string(document).unwrap();
    let documented: Vec<_> = document
        .lines()
        .skip_while(|line| *line != "| setting | default | meaning |")
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let settings: Vec<_> = out
        .lines()
        .map(|line| {
            line.trim_start_matches("# ")
                .split(' ')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(settings.len() > 20, "{out}");
    assert_eq!(documented, settings);
}

/// The program in the foreground, and what it writes.
struct Served {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
    address: String,
}

impl Served {
    fn start(world: &World, options: &[&str]) -> Self {
        let mut child = world
            .notme_command()
            .args(["authority", "serve", "--listen", "127.0.0.1:0"])
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut served = Self {
            lines: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
            address: String::new(),
        };
        let listening = served.line();
        assert_eq!(listening["event"], "listening");
        served.address = listening["url"].as_str().unwrap().replace("http://", "");
        assert_eq!(served.next_that_is("serving")["level"], "info");
        served
    }

    fn line(&mut self) -> Value {
        let line = self.lines.next().unwrap().unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn next_that_is(&mut self, event: &str) -> Value {
        loop {
            let line = self.line();
            if line["event"] == event {
                return line;
            }
        }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_request_is_a_line_of_json_without_its_secrets() {
    let world = World::new();
    let mut served = Served::start(&world, &["--ephemeral"]);
    let secret = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzZWNyZXQifQ.c2VjcmV0";
    let body = format!("{{\"token\":\"{secret}\"}}");
    let answer = served.ask(&format!(
        "POST /v1/enrol?token={secret} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: my-request\r\nauthorization: Bearer {secret}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert!(answer.contains("x-request-id: my-request\r\n"), "{answer}");
    let line = served.next_that_is("request");
    assert!(!line.to_string().contains(secret), "{line}");
    assert_eq!(line["level"], "info");
    assert_eq!(line["request_id"], "my-request");
    assert_eq!(line["method"], "POST");
    assert_eq!(line["route"], "/v1/enrol");
    assert_eq!(line["status"], 400);
    assert_eq!(line["code"], "request-malformed");
    assert!(line["duration_ms"].is_number(), "{line}");
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    // Nor does what somebody made up get into the log.
    served.ask(&format!("{secret} /{secret} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: {secret}{secret}\r\n\r\n"));
    let line = served.next_that_is("request");
    assert!(!line.to_string().contains(secret), "{line}");
    assert_eq!(
        (&line["method"], &line["route"]),
        (&"other".into(), &"unknown".into())
    );
}

#[test]
fn what_is_not_worth_a_line_gets_none() {
    let world = World::new();
    let mut served = Served::start(&world, &["--ephemeral"]);
    served.ask(&get("/healthz"));
    served.ask(&get("/v1/trust.json"));
    assert_eq!(served.next_that_is("request")["route"], "/v1/trust.json");
}

#[test]
fn a_terminated_authority_ends_well() {
    let world = World::new();
    for signal in [Signal::TERM, Signal::INT] {
        let mut served = Served::start(&world, &["--ephemeral"]);
        tell(&served, signal);
        let status = served.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
}

fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

fn tell(served: &Served, signal: Signal) {
    let pid = Pid::from_raw(served.child.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn what_is_under_way_is_answered_when_it_is_told_to_end() {
    let world = World::new();
    let mut served = Served::start(&world, &["--ephemeral"]);
    let request = post(
        "/v1/enrol",
        "content-type: application/json\r\n",
        "{\"a\":1}",
    );
    let (first, rest) = request.split_at(request.len() - 3);
    let mut under_way = TcpStream::connect(&served.address).unwrap();
    under_way.write_all(first.as_bytes()).unwrap();
    // An answer on another connection shows that ours was let in before.
    assert!(served.ask(&get("/healthz")).starts_with("HTTP/1.1 200"));
    tell(&served, Signal::TERM);
    while TcpStream::connect(&served.address).is_ok() {
        std::thread::yield_now();
    }
    under_way.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("request-malformed"),
        "{answer}"
    );
    let status = served.child.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_balancer_is_told_before_the_end() {
    let world = World::new();
    // Nobody waits an hour for it here.
    let mut served = Served::start(&world, &["--ephemeral", "--drain-notice", "3600"]);
    assert!(served.ask(&get("/readyz")).starts_with("HTTP/1.1 200"));
    tell(&served, Signal::TERM);
    while served.ask(&get("/readyz")).starts_with("HTTP/1.1 200") {
        std::thread::yield_now();
    }
    let answer = served.ask(&get("/readyz"));
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.ends_with("not ready"),
        "{answer}"
    );
    assert!(
        served
            .ask(&get("/v1/trust.json"))
            .starts_with("HTTP/1.1 200")
    );
    assert!(served.child.try_wait().unwrap().is_none());
}

#[test]
fn the_monitor_is_apart_from_the_rest() {
    let world = World::new();
    let monitor = format!("127.0.0.1:{}", free_port());
    let mut served = Served::start(&world, &["--ephemeral", "--monitor", &monitor]);
    assert!(
        served
            .ask(&get("/v1/trust.json"))
            .starts_with("HTTP/1.1 200")
    );
    assert!(served.ask(&get("/metrics")).starts_with("HTTP/1.1 404"));
    let public = std::mem::replace(&mut served.address, monitor);
    let metrics = served.ask(&get("/metrics"));
    for line in [
        "notme_ready 1",
        "notme_requests_total{route=\"/v1/trust.json\",status=\"200\"} 1",
        "notme_trust_seqno 1",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}\n{metrics}");
    }
    assert!(
        served
            .ask(&get("/v1/trust.json"))
            .starts_with("HTTP/1.1 404")
    );
    assert_ne!(served.address, public);
}

#[test]
fn requests_are_bounded_as_the_settings_say() {
    let world = World::new();
    let bounds = ["--head-timeout", "1", "--body-timeout", "1"];
    let mut served = Served::start(&world, &[&["--ephemeral"], &bounds[..]].concat());
    let json = "content-type: application/json\r\n";
    let filling = "x".repeat(17 * 1024);
    let many = (0..65).map(|number| format!("x-{number}: x\r\n"));
    let many: String = many.collect();
    let large = "x".repeat(64 * 1024 + 1);
    for (request, status) in [
        (
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {filling}\r\n\r\n"),
            "431",
        ),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"), "431"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = served.ask(&request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    let slow = post("/v1/enrol", json, "{}").replace("length: 2", "length: 3");
    for (request, status, code) in [
        (post("/v1/enrol", json, &large), 413, "body-too-large"),
        (slow, 408, "request-timeout"),
    ] {
        let answer = served.ask(&request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(
            answer.contains(code) && answer.contains("connection: close"),
            "{answer}"
        );
        let line = served.next_that_is("request");
        assert_eq!(
            (&line["status"], &line["code"]),
            (&status.into(), &code.into())
        );
    }
    // Who says nothing is hung up on.
    assert_eq!(served.ask("GET / HTTP/1.1\r\n"), "");

    let one = ["--ephemeral", "--connections-per-address", "1"];
    let served = Served::start(&world, &one);
    let mut first = TcpStream::connect(&served.address).unwrap();
    first
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    first.read_exact(&mut [0]).unwrap();
    let second = TcpStream::connect(&served.address).unwrap().read(&mut [0]);
    assert!(matches!(second, Ok(0) | Err(_)), "{second:?}");
}

#[test]
fn jobs_are_let_in_as_often_as_the_settings_say() {
    let world = World::new();
    let issuer = TestIssuer::start(TokenKey::rsa());
    let file = world.home().join("oidc.toml");
    let toml = format!(
        "[[issuer]]\npreset = \"github-actions\"\nurl = \"{}\"\naudience = \"here\"\nowners = [\"infra\"]\n",
        issuer.url()
    );
    fs::write(&file, toml).unwrap();
    let options = ["--ephemeral", "--rate-workload", "1", "--oidc"];
    let mut served = Served::start(&world, &[&options[..], &[file.to_str().unwrap()]].concat());
    let token = |jti: &str| {
        let mut claims = claims(&issuer);
        claims["aud"] = "here".into();
        claims["jti"] = jti.into();
        issuer.mint(&claims)
    };
    let ask = |token: &str| {
        let bearer = format!("authorization: Bearer {token}\r\n");
        served.ask(&post("/cert/gha", &bearer, "{}"))
    };
    let answer = ask(&token("1"));
    assert!(
        answer.ends_with(
            r#"{"error":"public_keys.mtls and public_keys.signing required (SPKI PEM)"}"#
        ),
        "{answer}"
    );
    let second = token("2");
    let answer = ask(&second);
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(
        answer.ends_with(r#"{"error":"rate limit exceeded"}"#),
        "{answer}"
    );
    assert!(answer.contains("\r\nretry-after: "), "{answer}");
    // As at the reference, the token is spent.
    assert!(ask(&second).ends_with(r#"{"error":"token already used"}"#));
    let line = loop {
        let line = served.next_that_is("request");
        if line["status"] == 429 {
            break line;
        }
    };
    assert_eq!(
        (&line["level"], &line["code"]),
        (&"warn".into(), &"rate-limited".into())
    );
}

/// What takes no token; the others are asked of the library that the program serves with.
#[test]
fn the_program_answers_what_the_reference_does() {
    let world = World::new();
    let served = Served::start(&world, &["--ephemeral"]);
    let index = testdata::text("notme-authority/errors/INDEX.md");
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    for (row, request) in [
        ("| gha | get |", get("/cert/gha")),
        ("| gha | no-authorization |", post("/cert/gha", "", "{}")),
        (
            "| gha | lowercase-bearer |",
            post("/cert/gha", "authorization: bearer x\r\n", "{}"),
        ),
        ("| gha | malformed |", post("/cert/gha", &bearer("x"), "{}")),
        (
            "| gha | two-parts |",
            post("/cert/gha", &bearer("a.b"), "{}"),
        ),
        ("| cert | get |", get("/cert")),
        ("| cert | no-proof |", post("/cert", "", "{}")),
        (
            "| cert | unknown-type |",
            post("/cert", "", r#"{"proof":{"type":"zzz"}}"#),
        ),
        (
            "| cert | no-cookie |",
            post("/cert", "", r#"{"proof":{"type":"session"}}"#),
        ),
        (
            "| cert | bad-cookie |",
            post(
                "/cert",
                "cookie: notme_session=x\r\n",
                r#"{"proof":{"type":"session"}}"#,
            ),
        ),
        (
            "| cert | bootstrap-wrong |",
            post("/cert", "", r#"{"proof":{"type":"bootstrap","code":"x"}}"#),
        ),
        ("| token | get |", get("/token")),
        ("| token | no-dpop |", post("/token", "", "{}")),
        (
            "| token | no-audience |",
            post("/token", "dpop: x\r\n", "{}"),
        ),
        ("| token | empty-body |", post("/token", "dpop: x\r\n", "")),
    ] {
        let line = index.lines().find(|line| line.starts_with(row)).unwrap();
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let answer = served.ask(&request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {} ", cells[3])),
            "{row}\n{answer}"
        );
        assert!(
            answer.ends_with(&format!("\r\n\r\n{}", cells[4])),
            "{row}\n{answer}"
        );
    }
}

#[test]
fn what_check_prints_is_not_served() {
    let world = World::new();
    let (code, out) = check(&world, "listen = \"127.0.0.1:1\"", &[], &[]);
    assert_eq!(code, 0, "{out}");
    assert!(!world.notme_home().join("data/authority").exists());
    let missing = world.notme(&["authority", "serve", "--check", "--config", "/nowhere"]);
    assert_eq!(missing.status.code(), Some(3), "{}", told(&missing));
}

#[test]
fn a_backup_that_was_made_while_it_served_is_restored() {
    let world = World::new();
    let directory = world.home().join("authority");
    let directory = directory.to_str().unwrap();
    let served = Served::start(&world, &["--dir", directory]);
    let file = world.home().join("backup.sqlite");
    let file = file.to_str().unwrap();
    let output = world.notme(&["authority", "backup", file, "--dir", directory]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("kek` opens its keys"),
        "{}",
        told(&output)
    );
    let head = world.home().join("head.json");
    fs::write(
        &head,
        world.notme_ok(&["authority", "audit", "head", "--dir", directory]),
    )
    .unwrap();
    let pins = world.notme_ok(&["authority", "bundle", "--dir", directory]);
    drop(served);

    let elsewhere = world.home().join("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    let restore = ["authority", "restore", file, "--dir", elsewhere];
    let unknown = world.notme(&restore);
    assert_eq!(unknown.status.code(), Some(2), "{}", told(&unknown));
    let restore = [&restore[..], &["--head", head.to_str().unwrap()]].concat();
    let closed = world.notme(&restore);
    assert_eq!(closed.status.code(), Some(1), "{}", told(&closed));
    assert!(
        told(&closed).contains("put the file `kek`"),
        "{}",
        told(&closed)
    );
    fs::copy(
        Path::new(directory).join("kek"),
        Path::new(elsewhere).join("kek"),
    )
    .unwrap();
    world.notme_ok(&restore);
    assert_eq!(
        world.notme_ok(&["authority", "bundle", "--dir", elsewhere]),
        pins
    );
    world.notme_ok(&[
        "authority",
        "audit",
        "verify",
        "--dir",
        elsewhere,
        "--head",
        head.to_str().unwrap(),
    ]);
    let again = world.notme(&restore);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
}

#[test]
fn what_is_left_of_a_lost_store_is_named_and_kept() {
    let world = World::new();
    let directory = world.home().join("authority");
    let dir = ["--dir", directory.to_str().unwrap()];
    let mut served = Served::start(&world, &dir);
    let file = world.home().join("backup.sqlite");
    let file = file.to_str().unwrap();
    world.notme_ok(&[&["authority", "backup", file], &dir[..]].concat());
    world.notme_ok(
        &[
            &["authority", "revoke", "session", &"a".repeat(64)],
            &dir[..],
        ]
        .concat(),
    );
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    let pins = world.notme_ok(&[&["authority", "bundle"], &dir[..]].concat());
    // As a killed one leaves it.
    let log = directory.join("store.sqlite-wal");
    fs::write(&log, "what was done last").unwrap();
    fs::remove_file(directory.join("store.sqlite")).unwrap();

    let serve = ["authority", "serve", "--listen", "127.0.0.1:0"];
    let refused = |arguments: &[&str], code: i32, hint: &str| {
        let output = world.notme(&[arguments, &dir].concat());
        let said = told(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(hint), "{said}");
        said
    };
    let said = refused(&serve, 3, "authority-store-gone: ");
    assert!(said.contains("store.sqlite-wal` of it is there"), "{said}");
    refused(&["authority", "init"], 3, "authority-store-gone: ");
    let restore = ["authority", "restore", file, "--force"];
    let said = refused(&restore, 1, "move it away");
    assert!(
        said.contains("store.sqlite-wal` is left of another"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&log).unwrap(), "what was done last");

    fs::remove_file(log).unwrap();
    let said = refused(&serve, 3, "authority-store-gone: ");
    assert!(said.contains("kek` of it is there"), "{said}");
    world.notme_ok(&[&restore[..], &dir].concat());
    let bundle = world.notme_ok(&[&["authority", "bundle"], &dir[..]].concat());
    assert_eq!(bundle, pins);
    world.notme_ok(&[&["authority", "audit", "verify"], &dir[..]].concat());
}

#[test]
fn the_password_of_the_store_is_never_shown() {
    let world = World::new();
    let rest = "listen = \"127.0.0.1:1\"\nurl = \"https://a.example\"\n";
    let store = "postgres://notme:hush@localhost/notme";
    let file = format!("store = \"{store}\"\n{rest}");
    let (code, out) = check(&world, &file, &[], &[]);
    assert_eq!(code, 0, "{out}");
    let shown = "store = \"postgres://notme:[hidden]@localhost/notme\"  # file";
    assert!(out.lines().any(|line| line == shown), "{out}");
    assert!(!out.contains("hush") && !out.contains("warning"), "{out}");
    let variables = [("NOTME_AUTHORITY_STORE", store)];
    let (code, out) = check(&world, rest, &variables, &[]);
    assert_eq!(code, 0, "{out}");
    assert!(!out.contains("hush") && !out.contains("warning"), "{out}");
    let (code, out) = check(&world, rest, &[], &["--store", store]);
    assert_eq!(code, 0, "{out}");
    assert!(!out.contains("hush"), "{out}");
    assert!(out.contains("warning: every user of this machine"), "{out}");
    // What is refused is not repeated.
    for bad in [
        "postgres://notme:hu/sh@localhost/notme",
        "postgres://notme:hush@db.example/notme",
        "mysql://notme:hush@localhost/notme",
        "postgres://notme@localhost/notme?password=hush",
    ] {
        let (code, out) = check(&world, rest, &[("NOTME_AUTHORITY_STORE", bad)], &[]);
        assert_eq!(code, 2, "{out}");
        assert!(!out.contains("hush") && !out.contains("hu/sh"), "{out}");
    }
}

#[test]
fn a_store_needs_a_url_and_excludes_memory() {
    let world = World::new();
    let store = "listen = \"127.0.0.1:1\"\nstore = \"postgres://notme@localhost/notme\"\n";
    for (more, rule) in [
        ("", "`store` takes a `url`"),
        (
            "url = \"https://a.example\"\nephemeral = true",
            "cannot be used with",
        ),
    ] {
        let (code, out) = check(&world, &format!("{store}{more}"), &[], &[]);
        assert_eq!(code, 2, "{out}");
        assert!(out.contains(rule), "{out}");
    }
    let file = "listen = \"127.0.0.1:1\"\nstore-password-file = \"password\"";
    let (code, out) = check(&world, file, &[], &[]);
    assert_eq!(code, 2, "{out}");
    assert!(out.contains("takes a `store`"), "{out}");
}

#[test]
fn an_authority_in_postgresql_is_served_and_looked_after() {
    let world = World::new();
    let cluster = Cluster::shared();
    let (first, second) = (cluster.database(), cluster.database());
    // Over TCP, where the server asks for the password.
    let password = world.home().join("password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let url = |database: &str| format!("postgres://{USER}@127.0.0.1:{}/{database}", cluster.port());
    let on = |database: &str, words: &[&str]| {
        let mut command = world.notme_command();
        command.arg("authority").args(words);
        command.env("NOTME_AUTHORITY_STORE", url(database));
        command.env("NOTME_AUTHORITY_STORE_PASSWORD_FILE", &password);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = on(&first, &["init", "--trust-domain", "example.com"]);
    assert!(
        said.contains(&format!("store         {}", url(&first))),
        "{said}"
    );
    let instance = world.notme_home().join("data/authority-instance");
    assert!(instance.join("kek").exists() && !instance.join("store.sqlite").exists());
    let store = url(&first);
    let mut served = Served::start(
        &world,
        &[
            "--store",
            &store,
            "--store-password-file",
            password.to_str().unwrap(),
            "--url",
            "http://127.0.0.1:8080",
        ],
    );
    let answer = served.ask("GET /v1/trust.json HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(on(&first, &["enrol", "create", "--agent", "claude"]).len() > 20);
    assert!(on(&first, &["enrol", "list"]).contains("claude"));
    on(
        &first,
        &["revoke", "certificate", "0a", "--reason", "superseded"],
    );
    assert!(on(&first, &["revocations"]).contains("superseded"));
    on(&first, &["rotate", "--prepare"]);
    let status: Value = serde_json::from_str(&on(&first, &["status", "--json"])).unwrap();
    assert_eq!(status["authority"]["trust_domain"], "example.com");
    assert_eq!(status["store"], store);
    assert_eq!(status["running"]["pid"], served.child.id());
    assert!(on(&first, &["audit", "verify"]).contains("rows are whole"));
    assert!(on(&first, &["audit", "export"]).contains("\"act\":\"found\""));
    let bundle = on(&first, &["bundle"]);
    let backup = world.home().join("backup.sqlite");
    on(&first, &["backup", backup.to_str().unwrap()]);
    assert!(
        !fs::read(&backup)
            .unwrap()
            .windows(PASSWORD.len())
            .any(|it| it == PASSWORD.as_bytes())
    );
    // Over a running authority nothing is restored.
    let refused = world
        .notme_command()
        .args(["authority", "restore", "--force", backup.to_str().unwrap()])
        .env("NOTME_AUTHORITY_STORE", url(&second))
        .env("NOTME_AUTHORITY_STORE_PASSWORD_FILE", &password)
        .output()
        .unwrap();
    assert!(
        told(&refused).contains("already serves"),
        "{}",
        told(&refused)
    );
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    let said = on(&second, &["restore", "--force", backup.to_str().unwrap()]);
    assert!(said.starts_with("restored"), "{said}");
    assert_eq!(on(&second, &["bundle"]), bundle);
    on(&second, &["audit", "verify"]);
    // Both say where they are, and serve nowhere else.
    let moved = "https://auth.example.org";
    let serve = |url: &str| {
        let mut command = world.notme_command();
        command.args([
            "authority",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--url",
            url,
        ]);
        command.env("NOTME_AUTHORITY_STORE", &store);
        command.env("NOTME_AUTHORITY_STORE_PASSWORD_FILE", &password);
        command.output().unwrap()
    };
    let refused = serve(moved);
    assert_eq!(refused.status.code(), Some(3));
    for words in ["http://127.0.0.1:8080", moved, "authority-url-differs"] {
        assert!(told(&refused).contains(words), "{}", told(&refused));
    }
    on(&first, &["move", moved]);
    assert!(on(&first, &["status"]).contains(moved));
    assert!(told(&serve("http://127.0.0.1:8080")).contains("authority-url-differs"));
    // And a trust domain is chosen once.
    let again = world
        .notme_command()
        .args(["authority", "init", "--trust-domain", "example.org"])
        .env("NOTME_AUTHORITY_STORE", &store)
        .env("NOTME_AUTHORITY_STORE_PASSWORD_FILE", &password)
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    assert!(told(&again).contains("authority-trust-domain-differs"));
    // The embedded one is another.
    let embedded = world.notme(&["authority", "status"]);
    assert!(
        told(&embedded).contains("no authority"),
        "{}",
        told(&embedded)
    );
}

#[test]
fn two_programs_over_one_database_say_the_same() {
    let world = World::new();
    let cluster = Cluster::shared();
    let store = cluster.url(&cluster.database());
    let secret = world.home().join("secret");
    fs::write(&secret, "correct horse battery staple\n").unwrap();
    let secret = secret.to_str().unwrap();
    let places = ["one", "two"].map(|name| world.home().join(name));
    let served = places.each_ref().map(|place| {
        let place = place.to_str().unwrap();
        let shared = ["--store", &store, "--passphrase-file", secret];
        let own = ["--dir", place, "--url", "http://127.0.0.1:8080"];
        Served::start(&world, &[&shared[..], &own].concat())
    });
    let both = |path: &str| {
        let [one, other] = served.each_ref().map(|it| {
            let answer = it.ask(&get(path));
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            answer.split_once("\r\n\r\n").unwrap().1.to_owned()
        });
        assert_eq!(one, other, "{path}");
        one
    };
    let paths = [
        "/v1/trust.json",
        "/internal/ca-bundle",
        "/.well-known/jwks.json",
    ];
    let before = paths.map(both);
    let operate = |words: &[&str]| {
        let mut command = world.notme_command();
        command.arg("authority").args(words);
        command.env("NOTME_AUTHORITY_STORE", &store);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", told(&output));
    };
    operate(&["revoke", "certificate", "0a"]);
    assert_ne!(both("/v1/trust.json"), before[0]);
    // What was revoked is in the very next document of each, and so is a rotation.
    std::thread::sleep(std::time::Duration::from_secs(1));
    operate(&["rotate", "--passphrase-file", secret]);
    let after = paths.map(both);
    assert!(
        after
            .iter()
            .zip(&before)
            .all(|(after, before)| after != before)
    );
    operate(&["audit", "verify"]);
}

#[test]
fn a_signed_bundle_shows_whether_the_pinned_root_is_the_current_one() {
    let world = World::new();
    let served = Served::start(&world, &["--ephemeral"]);
    let file = |name: &str, content: &[u8]| {
        let path = world.home().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let published = |path: &str| {
        let answer = served.ask(&get(path));
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let root = file(
        "root.pem",
        published("/.well-known/ca-bundle.pem").as_bytes(),
    );
    world.notme_ok(&["trust", "add", "--name", "hosted", &root]);
    let refresh = |name: &str, bundle: &str| {
        let output = world.notme(&["trust", "refresh", name, "--from", bundle]);
        (output.status.code(), told(&output))
    };
    let json = published("/internal/ca-bundle");
    let bundle = file("bundle.json", json.as_bytes());
    let (exit, out) = refresh("hosted", &bundle);
    assert_eq!(exit, Some(0), "{out}");
    assert!(out.contains("the pinned root is the current one"), "{out}");
    let seqno = json_of(&json)["seqno"].as_u64().unwrap();
    assert!(out.contains(&format!("by bundle {seqno}")), "{out}");

    let mut other = json_of(&json);
    other["seqno"] = (seqno + 1).into();
    let other = file("other.json", other.to_string().as_bytes());
    let (exit, out) = refresh("hosted", &other);
    assert_eq!(exit, Some(1), "{out}");
    assert!(out.contains("hint: bundle-invalid: "), "{out}");

    // One that the hosted authority made: its signature is good, and it is long over.
    let root = file(
        "prod.pem",
        &testdata::bytes("notme-authority/prod/ca/ca.pem"),
    );
    world.notme_ok(&["trust", "add", "--name", "prod", &root]);
    let bundle = testdata::bytes("notme-authority/prod/bundles/epoch1.json");
    let (exit, out) = refresh("prod", &file("prod.json", &bundle));
    assert_eq!(exit, Some(3), "{out}");
    assert!(out.contains("hint: trust-stale: "), "{out}");

    let corporate = testdata::path("notme-authority/longlived/ca.pem");
    let corporate = corporate.to_str().unwrap();
    world.notme_ok(&["trust", "add", "--name", "corporate", "--x509", corporate]);
    let (exit, out) = refresh("corporate", &other);
    assert_eq!(exit, Some(2), "{out}");
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
