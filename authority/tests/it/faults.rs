//! What breaks around an authority, counted.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{Read as _, Write as _, stdout},
    net::TcpStream,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use notme_authority::{Admin, NewToken, SystemClock};
use notme_core::{certificate::Certificate, hex, key::sha256, time::UnixTime};
use rusqlite::Connection;
use rustix::process::{Resource, geteuid, getrlimit, setrlimit};

use crate::{
    client::{Agent, Answer, Client, Session, leaf},
    crash::{as_program, now, program, spawn, spawn_for_many, spawned},
    token::TokenSite,
    workload::Site,
    world::{Running, World, start, token},
};

/// How often it is killed.
const KILLS: u64 = 200;
const CALLERS: u64 = 4;

/// Asks for a certificate for a payload that belongs to the nonce.
fn ask(session: &Session<'_>, client: &Client, at: UnixTime, nonce: u64) -> Answer {
    let mut request = session.issue_request(&client.url, at, nonce);
    request.payload_sha256 = Some(hex::encode(&sha256(&nonce.to_be_bytes())));
    client.post("/v1/issue", &session.prove(&client.url, request))
}

/// What was acknowledged: nonces, and the certificates that they paid for.
#[derive(Default)]
struct Acknowledged(Mutex<Vec<(u64, [u8; 32])>>);

impl Acknowledged {
    /// Keeps what an answer acknowledges; it is that, or says that it was used before.
    fn keep(&self, nonce: u64, answer: &Answer) {
        if answer.status != 200 {
            assert_eq!(answer.refusal().1, "nonce-replayed");
            return;
        }
        let certificate: Certificate = leaf(answer, notme_core::enrol::Format::X509);
        self.0.lock().unwrap().push((nonce, certificate.sha256()));
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Returns how many certificates a store has, after a look whether one payload has two.
fn issued(world: &World) -> BTreeSet<[u8; 32]> {
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    let twice: i64 = store
        .query_row(
            "SELECT count(*) FROM (SELECT 1 FROM issued WHERE payload_sha256 IS NOT NULL
             GROUP BY payload_sha256 HAVING count(*) > 1)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(twice, 0, "a nonce was spent twice");
    let mut lines = store
        .prepare("SELECT certificate_sha256 FROM issued WHERE payload_sha256 IS NOT NULL")
        .unwrap();
    let lines = lines.query_map([], |row| row.get(0)).unwrap();
    lines.map(Result::unwrap).collect()
}

/// Each nonce is sent by two callers at once, and again after the kill.
#[test]
fn two_hundred_kills_lose_nothing_and_spend_nothing_twice() {
    let world = World::new();
    let agent = Agent::new(1);
    let (mut child, client) = spawn(&world);
    let session = agent.session(&client, None);
    child.kill().unwrap();
    child.wait().unwrap();
    let acknowledged = Acknowledged::default();
    let turns = AtomicU64::new(0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut admin = None;
    for kill in 1..=KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if kill % 8 == 0 {
            // While it starts.
            let mut child = program(&world).spawn().unwrap();
            thread::sleep(Duration::from_micros(random % 60_000));
            child.kill().unwrap();
            child.wait().unwrap();
            continue;
        }
        let (mut child, client) = spawn(&world);
        let before = acknowledged.len();
        let enough = before + usize::try_from(random % 24).unwrap();
        let cut_off = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    loop {
                        let nonce = turns.fetch_add(1, Ordering::SeqCst) / 2 + 1;
                        let answer =
                            catch_unwind(AssertUnwindSafe(|| ask(&session, &client, now(), nonce)));
                        match answer {
                            Ok(answer) if answer.status != 0 && !answer.body.is_empty() => {
                                acknowledged.keep(nonce, &answer);
                            }
                            _ => {
                                cut_off.lock().unwrap().push(nonce);
                                return;
                            }
                        }
                    }
                });
            }
            while acknowledged.len() < enough {
                thread::yield_now();
            }
            thread::sleep(Duration::from_micros(random % 3_000));
            child.kill().unwrap();
        });
        child.wait().unwrap();
        // Nobody knows whether these were spent; they are asked for again.
        if kill % 5 == 0 {
            let (mut child, client) = spawn(&world);
            for nonce in cut_off.into_inner().unwrap() {
                acknowledged.keep(nonce, &ask(&session, &client, now(), nonce));
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let store = issued(&world);
        let kept = acknowledged.0.lock().unwrap();
        let lost: Vec<_> = kept[before..]
            .iter()
            .filter(|it| !store.contains(&it.1))
            .collect();
        assert!(lost.is_empty(), "after {kill} kills: {lost:?}");
        drop(kept);
        let admin: &Admin =
            admin.get_or_insert_with(|| Admin::open(&world.home(), Arc::new(SystemClock)).unwrap());
        if kill % 20 == 1 {
            admin.verify_audit(None).unwrap();
        }
    }
    let store = issued(&world);
    let kept = acknowledged.0.into_inner().unwrap();
    assert!(kept.iter().all(|it| store.contains(&it.1)));
    let nonces: BTreeSet<_> = kept.iter().map(|it| it.0).collect();
    assert_eq!(
        nonces.len(),
        kept.len(),
        "two callers were told that one nonce was theirs"
    );
    admin.unwrap().verify_audit(None).unwrap();
    let count = kept.len();
    writeln!(stdout(), "{KILLS} kills, {count} acknowledged, none lost").unwrap();
}

#[test]
fn a_full_disk_loses_nothing_and_is_not_ready() {
    let world = World::new();
    let agent = Agent::new(1);
    let (mut child, client) = spawn(&world);
    let session = agent.session(&client, None);
    child.kill().unwrap();
    child.wait().unwrap();
    // No file may become larger than a megabyte; whoever writes more gets an error.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""]);
    shell.arg(env::current_exe().unwrap());
    as_program(&mut shell, &world);
    let (mut child, client, _) = spawned(shell, &world);
    let acknowledged = Acknowledged::default();
    let mut nonce = 1;
    let refused = loop {
        let answer = ask(&session, &client, now(), nonce);
        if answer.status != 200 {
            break answer;
        }
        acknowledged.keep(nonce, &answer);
        nonce += 1;
        assert!(nonce < 20_000, "the disk was never full");
    };
    assert_eq!(refused.refusal(), (503, "store-unavailable".to_owned()));
    assert!(!String::from_utf8_lossy(&refused.body).contains("disk"));
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(client.get("/v1/ca-bundle.pem").status, 200);
    // What the store tidies up meanwhile may have made room for a few more.
    while client.get("/readyz").status == 200 {
        let answer = ask(&session, &client, now(), nonce);
        if answer.status == 200 {
            acknowledged.keep(nonce, &answer);
            nonce += 1;
        }
        assert!(nonce < 20_000, "the disk was never full");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let store = issued(&world);
    let kept = acknowledged.0.into_inner().unwrap();
    assert!(!kept.is_empty() && kept.iter().all(|it| store.contains(&it.1)));
    // There is room again. What was refused was not spent.
    let (mut child, client) = spawn(&world);
    assert_eq!(ask(&session, &client, now(), nonce).status, 200);
    assert_eq!(client.get("/readyz").status, 200);
    let admin = Admin::open(&world.home(), Arc::new(SystemClock)).unwrap();
    admin.verify_audit(None).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_store_that_cannot_be_written_is_not_served() {
    let world = World::new();
    world.start().stop();
    let store = world.home().join("store.sqlite");
    let before = fs::read(&store).unwrap();
    let mut program = program(&world);
    if geteuid().is_root() {
        // No mode stops this user; another one serves.
        let nobody = Some(65_534);
        for path in world.files() {
            chown(&path, nobody, nobody).unwrap();
        }
        for path in [
            world.root.path(),
            &world.home(),
            &world.root.path().join("run"),
        ] {
            chown(path, nobody, nobody).unwrap();
        }
        program.uid(65_534).gid(65_534);
    }
    fs::set_permissions(&store, fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(world.home(), fs::Permissions::from_mode(0o500)).unwrap();
    let output = program.output().unwrap();
    fs::set_permissions(world.home(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!said.contains("serving "), "{said}");
    assert!(said.contains("Store("), "{said}");
    assert!(!world.socket().exists());
    assert_eq!(fs::read(&store).unwrap(), before);
}

#[test]
fn a_clock_that_jumps_spends_nothing_twice_and_no_number_falls() {
    let world = World::new();
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    let (client, turns) = (running.tcp(), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let acknowledged = Acknowledged::default();
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let nonce = turns.fetch_add(1, Ordering::SeqCst) / 2 + 1;
                    let answer = ask(&session, &client, world.now(), nonce);
                    // It jumped between the two looks at it, and nothing was spent.
                    if answer.status != 401 || answer.refusal().1 != "time-skewed" {
                        acknowledged.keep(nonce, &answer);
                    }
                }
            });
        }
        let mut highest = 0;
        for jump in 0..60 {
            let enough = acknowledged.len() + 3;
            while acknowledged.len() < enough {
                thread::yield_now();
            }
            world.advance([600, -600, -600, 600][jump % 4]);
            assert_eq!(running.tcp().get("/v1/trust.json").status, 200);
            let seqno = world.admin().describe().unwrap().summary.trust_seqno;
            assert!(seqno >= highest, "{seqno} after {highest}");
            highest = seqno;
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let store = issued(&world);
    let kept = acknowledged.0.into_inner().unwrap();
    assert!(kept.iter().all(|it| store.contains(&it.1)));
    let nonces: BTreeSet<_> = kept.iter().map(|it| it.0).collect();
    assert_eq!(nonces.len(), kept.len());
    world.admin().verify_audit(None).unwrap();
}

/// How far a clock runs ahead, in minutes.
const AHEAD: i64 = 29;

/// Restarts what serves with a clock that is ten minutes ahead, and more and more: each start tends
/// the store, and in a quarter of an hour all of it. Then takes the clock back.
fn run_ahead<S>(mut site: S, world: impl Fn(&S) -> &World, restart: impl Fn(S) -> S) -> S {
    world(&site).advance(9 * 60);
    for _ in 9..AHEAD {
        world(&site).advance(60);
        world(&site).leave_something_to_forget();
        site = restart(site);
        world(&site).wait_until_tended();
    }
    world(&site).advance(33 - AHEAD * 60);
    site
}

#[test]
fn a_nonce_and_a_use_stay_spent_when_the_store_was_tended_by_a_clock_ahead() {
    let world = World::new();
    let running = world.start();
    let token = world.token();
    let agent = Agent::new(1);
    let session = agent.session(&running.tcp(), Some(token.expose()));
    let asked_at = world.now();
    let asked = |client: &Client| {
        let issued = ask(&session, client, asked_at, 1);
        [issued, session.renew(client, asked_at, 2)]
    };
    assert!(asked(&running.tcp()).iter().all(|it| it.status == 200));
    let restart = |(world, running): (World, Running)| {
        running.stop();
        let running = world.start();
        // With its time of now, a nonce is the same.
        let again = ask(&session, &running.tcp(), world.now(), 1);
        assert_eq!(again.refusal().1, "nonce-replayed");
        (world, running)
    };
    let (_world, running) = run_ahead((world, running), |it| &it.0, restart);
    for answer in asked(&running.tcp()) {
        assert_eq!(answer.refusal(), (409, "nonce-replayed".to_owned()));
    }
    let again = agent.enrol(&running.tcp(), Some(token.expose())).refusal();
    assert_eq!(again.1, "token-used-up");
}

#[test]
fn a_proof_stays_spent_when_the_store_was_tended_by_a_clock_ahead() {
    let site = TokenSite::new("");
    // By a caller whose clock is a minute ahead.
    let late = site.world.now().secs() + 60;
    let late = site.proof_with(|_, claims| claims["iat"] = late.into());
    let proofs = [site.proof(), late];
    for proof in &proofs {
        assert_eq!(site.ask(proof).status, 200);
    }
    let site = run_ahead(site, |site| &site.world, TokenSite::restart);
    for proof in &proofs {
        assert_eq!(site.ask(proof).body, br#"{"error":"proof_reused"}"#);
    }
}

#[test]
fn a_token_of_an_issuer_stays_spent_when_the_store_was_tended_by_a_clock_ahead() {
    let site = Site::github();
    let tokens = [site.token(), site.token()];
    assert_eq!(site.exchange(&tokens[0]).status, 200);
    assert_eq!(site.exchange_any(&tokens[1], None).status, 200);
    let site = run_ahead(site, |site| &site.world, Site::restart);
    for token in &tokens {
        for answer in [site.exchange(token), site.exchange_any(token, None)] {
            assert_eq!(answer.body, br#"{"error":"token already used"}"#);
        }
    }
}

/// The session is forgotten only when its token enrols nobody, whichever way the clock goes.
#[test]
fn keys_stay_known_when_the_store_was_tended_by_a_clock_ahead() {
    const DAY: i64 = 86_400;
    let world = World::new();
    let running = world.start();
    let agent = Agent::new(1);
    let token = NewToken {
        uses: 2,
        ttl_seconds: 40 * DAY,
        ..token()
    };
    let (token, _) = world.admin().create_token(token).unwrap();
    agent.session(&running.tcp(), Some(token.expose()));
    world.advance(40 * DAY - 60);
    let restart = |(world, running): (World, Running)| {
        running.stop();
        let running = world.start();
        (world, running)
    };
    let (_world, running) = run_ahead((world, running), |it| &it.0, restart);
    let again = agent.enrol(&running.tcp(), Some(token.expose()));
    assert_eq!(again.refusal(), (409, "keys-known".to_owned()));
}

#[test]
fn callers_that_hang_make_way_for_those_that_speak() {
    let world = World::new();
    let mut config = world.config();
    config.limits.connections = 16;
    config.limits.head = Duration::from_millis(300);
    config.limits.body = Duration::from_millis(300);
    let running = start(config).unwrap();
    let beginnings: [&[u8]; 4] = [
        b"",
        b"GET /health HT",
        b"POST /v1/issue HTTP/1.1\r\nhost: a\r\n",
        b"POST /v1/issue HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    ];
    // Three times as many as there is room for; the rest waits in the kernel.
    let mut hanging = Vec::new();
    for number in 0..48 {
        let mut caller = running.tcp().connect();
        caller
            .write_all(beginnings[number % beginnings.len()])
            .unwrap();
        hanging.push(caller);
    }
    // Not behind any of them: our own user's door is another.
    assert_eq!(running.unix().get("/health").status, 200);
    assert_eq!(running.tcp().get("/health").status, 200);
    drop(hanging);
    // One that said all and hears on is answered.
    let address = running.bound.iter().find_map(|bound| match bound {
        notme_authority::Bound::Tcp(address) => Some(*address),
        notme_authority::Bound::Unix(_) | notme_authority::Bound::Tls(_) => None,
    });
    let mut half = TcpStream::connect(address.unwrap()).unwrap();
    half.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("ok") || answer.is_empty(), "{answer}");
    assert_eq!(running.tcp().get("/health").status, 200);
}

#[test]
fn ten_thousand_idle_connections_hinder_nobody() {
    const IDLE: usize = 10_000;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let enough = limit.maximum.is_none_or(|most| most > 10_500);
    assert!(
        enough,
        "this machine lets a process have {:?} files: `ulimit -Hn 11000`",
        limit.maximum
    );
    let world = World::new();
    let (mut child, client, address) = spawn_for_many(&world);
    let agent = Agent::new(1);
    let session = agent.session(&client, None);
    let idle: Vec<_> = (0..IDLE)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let tcp = Client::tcp(address, client.url.clone());
    for nonce in 1..=20 {
        assert_eq!(session.issue(&tcp, now(), nonce).status, 200);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let memory = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let memory: u64 = memory.trim().trim_end_matches(" kB").parse().unwrap();
    writeln!(stdout(), "{IDLE} idle connections, {} MiB", memory / 1024).unwrap();
    assert!(memory < 256 * 1024, "{memory} KiB");
    let open = fs::read_dir(format!("/proc/{}/fd", child.id()))
        .unwrap()
        .count();
    assert!(open > IDLE, "{open}");
    drop(idle);
    child.kill().unwrap();
    child.wait().unwrap();
}
