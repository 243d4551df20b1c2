//! The end that nobody announced, and the ones that somebody did.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _, stdout},
    net::SocketAddr,
    panic::AssertUnwindSafe,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use notme_authority::{
    Limits, Listen, Observer, OidcConfig, Rates, ServeConfig, Serving, SystemClock, running, serve,
    stop,
};
use notme_core::{
    certificate::Certificate,
    enrol::{Format, IssueResponse},
    time::UnixTime,
};
use notme_testkit::{issuer::TestIssuer, jwt::TokenKey};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    client::{Agent, Client},
    workload,
    world::{World, token},
};

/// Where the other process is told to serve.
const ROLE: &str = "NOTME_TEST_SERVE";
/// The issuers of that one, when it has any.
const ISSUERS: &str = "oidc.toml";
/// When this is there, many may be connected.
const MANY: &str = "many";

/// Not a test: this executable, called again, is the authority that gets killed.
#[test]
fn serves_when_asked_by_another_test() {
    struct Say;
    impl Observer for Say {
        fn serving(&self, serving: &Serving<'_>) {
            writeln!(stdout(), "\ntcp {}", serving.bound[1]).unwrap();
            writeln!(stdout(), "serving {}", serving.url).unwrap();
        }
    }
    let Some(root) = env::var_os(ROLE) else {
        return;
    };
    let world = World::new();
    let root = PathBuf::from(root);
    let config = ServeConfig {
        storage: notme_authority::Storage::Directory {
            path: root.join("authority"),
            protection: notme_authority::Protection::LocalFile,
        },
        listen: vec![
            Listen::Unix(root.join("run/authority.sock")),
            Listen::Tcp("127.0.0.1:0".parse().unwrap()),
        ],
        oidc: match fs::read_to_string(root.join(ISSUERS)) {
            Ok(toml) => OidcConfig::parse(&toml, &root).unwrap(),
            Err(_) => OidcConfig::default(),
        },
        limits: match root.join(MANY).exists() {
            true => many(),
            false => world.config().limits,
        },
        clock: Arc::new(SystemClock),
        observer: Arc::new(Say),
        ..world.config()
    };
    serve(config).unwrap();
}

fn many() -> Limits {
    Limits {
        connections: 11_000,
        per_origin: 11_000,
        head: Duration::from_secs(600),
        rates: Rates::NONE,
        ..Limits::default()
    }
}

/// The authority as a process of its own.
pub(crate) fn program(world: &World) -> Command {
    let mut program = Command::new(env::current_exe().unwrap());
    as_program(&mut program, world);
    program
}

/// Makes this executable, which the command runs in the end, the authority.
pub(crate) fn as_program(command: &mut Command, world: &World) {
    command
        .args([
            "--exact",
            "crash::serves_when_asked_by_another_test",
            "--nocapture",
        ])
        .env(ROLE, world.root.path())
        .stdout(Stdio::piped());
}

/// Starts the authority in a process of its own.
pub(crate) fn spawn(world: &World) -> (Child, Client) {
    let (child, client, _) = spawned(program(world), world);
    (child, client)
}

/// Starts it for many at once, and returns where they connect.
pub(crate) fn spawn_for_many(world: &World) -> (Child, Client, SocketAddr) {
    fs::write(world.root.path().join(MANY), "").unwrap();
    spawned(program(world), world)
}

/// Starts the authority and waits until it serves.
pub(crate) fn spawned(mut command: Command, world: &World) -> (Child, Client, SocketAddr) {
    let mut child = command.spawn().unwrap();
    let mut address = None;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = loop {
        let line = lines.next().expect("the authority ended early").unwrap();
        if let Some(tcp) = line.strip_prefix("tcp http://") {
            address = tcp.parse().ok();
        }
        if let Some(url) = line.strip_prefix("serving ") {
            break url.to_owned();
        }
    };
    // The rest is read to the end, so that the other process never waits for us.
    std::thread::spawn(move || lines.for_each(drop));
    let client = Client::unix(world.socket(), url);
    (child, client, address.unwrap())
}

pub(crate) fn now() -> UnixTime {
    UnixTime::from(std::time::SystemTime::now())
}

#[test]
fn its_keys_are_neither_swapped_nor_dumped() {
    let world = World::new();
    let (mut child, _) = spawn(&world);
    let read = |file| fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
    let limits = read("limits");
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<_> = core.unwrap().split_whitespace().collect();
    assert_eq!(core[..2], ["0", "0"]);
    let status = read("status");
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let locked = locked.unwrap().trim().trim_end_matches(" kB");
    assert!(locked.parse::<u64>().unwrap() > 0, "{status}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_authority_has_everything_it_acknowledged() {
    let world = World::new();
    let (mut child, client) = spawn(&world);
    let agent = Agent::new(1);
    let session = agent.session(&client, None);
    let acknowledged = Mutex::new(Vec::new());
    let nonce = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Until the kill cuts an answer off.
                loop {
                    let nonce = nonce.fetch_add(1, Ordering::SeqCst);
                    let request = session.issue_request(&client.url, now(), nonce);
                    let answer = std::panic::catch_unwind(|| client.post("/v1/issue", &request));
                    let Ok(answer) = answer else { return };
                    let Ok(response) = serde_json::from_slice::<IssueResponse>(&answer.body) else {
                        return;
                    };
                    let pem = &response.certificates[&Format::X509];
                    let certificate = Certificate::from_pem(pem).unwrap();
                    acknowledged
                        .lock()
                        .unwrap()
                        .push((nonce, certificate.sha256()));
                }
            });
        }
        while acknowledged.lock().unwrap().len() < 200 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
    });
    child.wait().unwrap();

    let acknowledged = acknowledged.into_inner().unwrap();
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    for (nonce, certificate) in &acknowledged {
        let lines: i64 = store
            .query_row(
                "SELECT count(*) FROM issued WHERE certificate_sha256 = ?1",
                [certificate],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(lines, 1);
        let nonces: i64 = store
            .query_row(
                "SELECT count(*) FROM nonce WHERE nonce = ?1",
                [u128::from(*nonce).to_be_bytes()],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(nonces, 1);
    }
    drop(store);

    let (mut child, client) = spawn(&world);
    let last = acknowledged.last().unwrap().0;
    assert_eq!(
        session.issue(&client, now(), last).refusal().1,
        "nonce-replayed"
    );
    assert_eq!(session.issue(&client, now(), u64::MAX).status, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_authority_lets_no_job_in_twice() {
    let world = World::new();
    let issuer = TestIssuer::start(TokenKey::p256(3));
    let toml = format!(
        "[[issuer]]\nname = \"ci\"\nurl = \"{}\"\naudience = \"a\"\nidentity = \"ci/{{job}}\"\nallow = [{{ claims = {{ job = \"*\" }} }}]\n",
        issuer.url()
    );
    fs::write(world.root.path().join(ISSUERS), toml).unwrap();
    let (mut child, client) = spawn(&world);
    let agent = Agent::new(1);
    let ask = |client: &Client, token: &str| {
        let mut body = workload::body(&agent, token);
        body["proof"] = json!({"type": "oidc", "token": token});
        client.post("/cert", &body)
    };
    let acknowledged = Mutex::new(Vec::new());
    let jobs = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // Until the kill cuts an answer off.
            scope.spawn(|| {
                loop {
                    let job = jobs.fetch_add(1, Ordering::SeqCst).to_string();
                    let at = now().secs();
                    let token = issuer.mint(&json!({
                        "iss": issuer.url(), "aud": "a", "sub": job, "job": job, "jti": job,
                        "iat": at, "exp": at + 3600,
                    }));
                    let answer =
                        std::panic::catch_unwind(AssertUnwindSafe(|| ask(&client, &token)));
                    let Ok(answer) = answer else { return };
                    let Ok(pair) = serde_json::from_slice::<Value>(&answer.body) else {
                        return;
                    };
                    let pem = pair["certificates"]["signing"].as_str().unwrap();
                    let certificate = Certificate::from_pem(pem).unwrap();
                    acknowledged
                        .lock()
                        .unwrap()
                        .push((token, certificate.sha256()));
                }
            });
        }
        while acknowledged.lock().unwrap().len() < 200 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
    });
    child.wait().unwrap();

    let (mut child, client) = spawn(&world);
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    for (token, certificate) in acknowledged.into_inner().unwrap() {
        let again: Value = ask(&client, &token).json();
        assert_eq!(again["error"], "token already used");
        let kept: i64 = store
            .query_row(
                "SELECT count(*) FROM session_certificate WHERE sha256 = ?1",
                [certificate],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(kept, 1);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_authority_has_its_tokens_spent() {
    let world = World::new();
    let (mut child, client) = spawn(&world);
    let admin = notme_authority::Admin::open(&world.home(), Arc::new(SystemClock)).unwrap();
    let (token, _) = admin.create_token(token()).unwrap();
    Agent::new(1).session(&client, Some(token.expose()));
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut child, client) = spawn(&world);
    let again = Agent::new(2).enrol(&client, Some(token.expose()));
    assert_eq!(again.refusal(), (401, "token-used-up".to_owned()));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_first_start_that_is_killed_when_its_key_file_is_there_is_gone_on_with() {
    for _ in 0..8 {
        let world = World::new();
        let kek = world.home().join("kek");
        let mut child = program(&world).spawn().unwrap();
        while !kek.exists() {
            assert!(child.try_wait().unwrap().is_none());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let made = fs::read(&kek).unwrap();
        let (mut child, client) = spawn(&world);
        assert_eq!(client.get("/health").status, 200);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(fs::read(&kek).unwrap(), made);
    }
}

#[test]
fn a_killed_authority_holds_no_lock_and_its_socket_is_replaced() {
    let world = World::new();
    let (mut child, _) = spawn(&world);
    assert!(running(&world.home()).unwrap().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(world.socket().exists());
    assert_eq!(running(&world.home()).unwrap(), None);
    let (mut child, client) = spawn(&world);
    assert_eq!(client.get("/health").status, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn stop_ends_the_process_that_holds_the_lock() {
    let world = World::new();
    let (mut child, _) = spawn(&world);
    let stopped = stop(&world.home(), Duration::from_secs(30))
        .unwrap()
        .unwrap();
    assert_eq!(stopped.pid, i32::try_from(child.id()).unwrap());
    assert!(child.wait().unwrap().success());
    assert!(!world.socket().exists());
    assert_eq!(running(&world.home()).unwrap(), None);
}
