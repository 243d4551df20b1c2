//! Several instances of one authority over PostgreSQL.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    panic::catch_unwind,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use notme_authority::{
    Admin, NewToken, OidcConfig, Place, PostgresUrl, Protection, Published, RevocationReason,
    Revoked, Rotation, ServeConfig, Storage, backup, init, restore,
};
use notme_core::{certificate::Certificate, dsse::Envelope, trust::TrustDocument};
use notme_testkit::{
    issuer::TestIssuer,
    jwt::TokenKey,
    postgres::{Cluster, PASSWORD, USER, give_away},
};
use serde_json::{Value, json};

use crate::{
    client::{Agent, Client},
    rotation::{eventually, step},
    serving::tls_files,
    workload,
    world::{Database, PASSPHRASE, Running, World, founding, passphrase, start, token},
};

/// Two instances of one authority.
struct Two {
    // First, so that they end before their directories do.
    instances: [Running; 2],
    world: World,
}

impl Two {
    fn new(change: impl Fn(&mut ServeConfig)) -> Self {
        let world = World::over_postgres();
        let mut config = world.config();
        change(&mut config);
        let first = start(config).unwrap();
        let mut config = world.another(&first, "other");
        change(&mut config);
        Self {
            instances: [first, start(config).unwrap()],
            world,
        }
    }

    fn clients(&self) -> [Client; 2] {
        self.instances.each_ref().map(Running::tcp)
    }
}

#[test]
fn two_instances_spend_each_nonce_once() {
    const NONCES: u64 = 150;
    let two = Two::new(|_| {});
    let agent = Agent::new(1);
    let session = agent.session(&two.instances[0].unix(), None);
    let next = [AtomicU64::new(1), AtomicU64::new(1)];
    let issued = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for caller in 0..4 {
            let (client, next) = (&two.clients()[caller % 2].clone(), &next[caller / 2]);
            let (session, issued, world) = (&session, &issued, &two.world);
            let client = client.clone();
            scope.spawn(move || {
                loop {
                    let nonce = next.fetch_add(1, Ordering::SeqCst);
                    if nonce > NONCES {
                        return;
                    }
                    let answer = session.issue(&client, world.now(), nonce);
                    match answer.status {
                        200 => issued.lock().unwrap().push(nonce),
                        _ => assert_eq!(answer.refusal().1, "nonce-replayed"),
                    }
                }
            });
        }
    });
    let issued = issued.into_inner().unwrap();
    let distinct: BTreeSet<_> = issued.iter().collect();
    assert_eq!((issued.len(), distinct.len()), (150, 150));
    let lines = two
        .world
        .sql("SELECT count(*) FROM issued WHERE payload_sha256 IS NOT NULL");
    assert_eq!(lines, NONCES.to_string());
    // And each serial number of SSH certificates was given to one.
    let serials = "SELECT count(*) - count(DISTINCT serial) FROM issued";
    assert_eq!(two.world.sql(serials), "0");
    two.world.admin().verify_audit(None).unwrap();
}

#[test]
fn two_instances_spend_each_use_of_a_token_once() {
    let two = Two::new(|_| {});
    let some = NewToken { uses: 5, ..token() };
    let (token, _) = two.world.admin().create_token(some).unwrap();
    let enrolled = AtomicU64::new(0);
    thread::scope(|scope| {
        for (caller, client) in two.clients().into_iter().enumerate() {
            let (enrolled, token) = (&enrolled, token.expose());
            scope.spawn(move || {
                for seed in 0..6 {
                    let agent = Agent::new(u8::try_from(1 + 10 * caller + seed).unwrap());
                    let answer = agent.enrol(&client, Some(token));
                    match answer.status {
                        200 => drop(enrolled.fetch_add(1, Ordering::SeqCst)),
                        _ => assert_eq!(answer.refusal().1, "token-used-up"),
                    }
                }
            });
        }
    });
    assert_eq!(enrolled.into_inner(), 5);
    assert_eq!(two.world.sql("SELECT count(*) FROM session"), "5");
}

#[test]
fn two_instances_let_each_job_in_once() {
    let issuer = TestIssuer::start(TokenKey::p256(3));
    let toml = format!(
        "[[issuer]]\nname = \"ci\"\nurl = \"{}\"\naudience = \"a\"\nidentity = \"ci/{{job}}\"\nallow = [{{ claims = {{ job = \"*\" }} }}]\n",
        issuer.url()
    );
    let two = Two::new(|config| {
        config.oidc = OidcConfig::parse(&toml, Path::new("")).unwrap();
    });
    let (agent, now) = (Agent::new(1), two.world.now().secs());
    let let_in = Mutex::new(Vec::new());
    for job in 0..20 {
        let token = issuer.mint(&json!({
            "iss": issuer.url(), "aud": "a", "sub": "x", "job": job.to_string(),
            "jti": job.to_string(), "iat": now, "exp": now + 3600,
        }));
        let mut body = workload::body(&agent, &token);
        body["proof"] = json!({"type": "oidc", "token": token});
        thread::scope(|scope| {
            for client in two.clients() {
                let (body, let_in) = (&body, &let_in);
                scope.spawn(move || {
                    let answer = client.post("/cert", body);
                    match answer.status {
                        200 => let_in.lock().unwrap().push(job),
                        _ => assert_eq!(answer.json::<Value>()["error"], "token already used"),
                    }
                });
            }
        });
    }
    let jobs: BTreeSet<_> = let_in.lock().unwrap().iter().copied().collect();
    assert_eq!(let_in.into_inner().unwrap().len(), 20);
    assert_eq!(jobs.len(), 20);
}

#[test]
fn two_instances_publish_one_sequence_of_documents_and_bundles() {
    let two = Two::new(|_| {});
    let pin = two.world.admin().roots().unwrap()[0]
        .public_key()
        .spki_sha256();
    let seen = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for client in two.clients() {
            let (seen, two) = (&seen, &two);
            scope.spawn(move || {
                let mut last = 0;
                for _ in 0..40 {
                    let body = client.get("/v1/trust.json").body;
                    let verified = TrustDocument::verify(&body, &[pin], two.world.now()).unwrap();
                    let seqno = verified.document().seqno;
                    assert!(seqno >= last, "{seqno} after {last}");
                    last = seqno;
                    seen.lock().unwrap().insert((seqno, body));
                }
            });
        }
        for number in 10..30 {
            let what = Revoked::Certificate(number.to_string());
            let reason = RevocationReason::Superseded;
            two.world.admin().revoke(&what, None, reason).unwrap();
        }
    });
    // One document under each number, and each names the one before.
    let seen = seen.into_inner().unwrap();
    let numbers: BTreeSet<_> = seen.iter().map(|(seqno, _)| seqno).collect();
    assert_eq!(numbers.len(), seen.len());
    let bundles = || {
        two.clients()
            .map(|client| client.get("/internal/ca-bundle").body)
    };
    for _ in 0..3 {
        let [one, other] = bundles();
        assert_eq!(one, other);
        two.world.advance(61);
    }
    let heads = || {
        two.clients()
            .map(|client| client.get("/v1/audit/head.json").body)
    };
    eventually("both show one head", || {
        let [one, other] = heads();
        !one.is_empty() && one == other
    });
    two.world.admin().verify_audit(None).unwrap();
}

#[test]
fn what_one_instance_revokes_the_other_publishes_and_refuses() {
    let two = Two::new(|_| {});
    let agent = Agent::new(1);
    let session = agent.session(&two.instances[0].unix(), None);
    let [_, other] = two.clients();
    assert_eq!(session.issue(&other, two.world.now(), 1).status, 200);
    let what = Revoked::Session(session.enrolled.binding.clone());
    let reason = RevocationReason::KeyCompromise;
    two.world.admin().revoke(&what, None, reason).unwrap();
    // The very next document of the other.
    let body = String::from_utf8(other.get("/v1/trust.json").body).unwrap();
    let pin = two.world.admin().roots().unwrap()[0]
        .public_key()
        .spki_sha256();
    let document = TrustDocument::verify(body.as_bytes(), &[pin], two.world.now()).unwrap();
    assert_eq!(document.document().revocations.len(), 1);
    let refused = session.issue(&other, two.world.now(), 2);
    assert_eq!(refused.refusal().1, "session-revoked");
}

#[test]
fn both_instances_issue_with_the_new_keys_after_a_rotation() {
    let two = Two::new(|_| {});
    let agent = Agent::new(1);
    let session = agent.session(&two.instances[0].unix(), None);
    two.world.advance(61);
    step(&two.world, Rotation::Now).unwrap();
    // Nobody asked for it.
    eventually("it is published", || {
        two.world.admin().describe().unwrap().summary.trust_seqno > 1
    });
    for (nonce, client) in (1..).zip(two.clients()) {
        assert_eq!(session.issue(&client, two.world.now(), nonce).status, 200);
        let epochs: Value = client.get("/.well-known/epochs.json").json();
        assert_eq!(epochs["epochs"].as_array().unwrap().len(), 2);
    }
    let of_the_second = "SELECT count(*) FROM issued WHERE epoch = 2";
    assert_eq!(two.world.sql(of_the_second), "2");
}

/// Holds everybody who writes, once it is its turn and until it is dropped.
struct Held<'a> {
    world: &'a World,
    name: &'static str,
    holder: Option<thread::JoinHandle<()>>,
}

impl<'a> Held<'a> {
    const LOCKS: &'static str = "FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND datname = current_database()";

    fn new(world: &'a World, name: &'static str) -> Self {
        let lock = "SELECT pg_advisory_lock(1315783029, 1315783029)";
        Self::with(world, name, lock)
    }

    /// Holds something else.
    fn with(world: &'a World, name: &'static str, lock: &'static str) -> Self {
        let database = world.database.clone().unwrap();
        let holder = thread::spawn(move || {
            let sql = format!("SET application_name = '{name}'; {lock}; SELECT pg_sleep(60)");
            // It is ended by those who have waited for enough, which is an error.
            assert!(catch_unwind(|| database.sql(&sql)).is_err());
        });
        Self {
            world,
            name,
            holder: Some(holder),
        }
    }

    fn count(&self, which: &str) -> usize {
        let sql = format!("SELECT count(*) {} AND {which}", Self::LOCKS);
        self.world.sql(&sql).parse().unwrap()
    }

    fn until_it_holds(&self) {
        let own = format!("granted AND application_name = '{}'", self.name);
        eventually("it holds them", || self.count(&own) == 1);
    }

    /// Waits until so many wait for their turn. They are served in the order in which they came.
    fn until_waiting(&self, count: usize) {
        eventually("they wait", || self.count("NOT granted") == count);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name";
        self.world.sql(&format!("{end} = '{}'", self.name));
        self.holder.take().unwrap().join().unwrap();
    }
}

/// The keys were rotated after it had signed with those of before.
#[test]
fn an_instance_that_was_held_publishes_nothing_with_keys_of_before() {
    let two = Two::new(|_| {});
    let world = &two.world;
    let [client, _] = two.clients();
    let of_before = world.admin().roots().unwrap()[0].kid().to_string();
    // Nobody writes by itself any more, while the clock stands.
    eventually("the audit is closed", || {
        world.sql("SELECT count(*) FROM audit_head") == "1"
    });
    for (seed, client) in (1..).zip(two.clients()) {
        let token = world.token();
        Agent::new(seed).session(&client, Some(token.expose()));
    }
    // Both are due.
    let what = Revoked::Certificate("01".to_owned());
    let reason = RevocationReason::Superseded;
    world.admin().revoke(&what, None, reason).unwrap();
    thread::scope(|scope| {
        // Whoever opens a store waits once.
        let opening = Held::new(world, "first");
        opening.until_it_holds();
        let rotation = scope.spawn(|| step(world, Rotation::Now).map(drop));
        opening.until_waiting(1);
        let held = Held::new(world, "second");
        opening.until_waiting(2);
        drop(opening);
        held.until_it_holds();
        held.until_waiting(1);
        // Each instance lets one of its own wait there.
        let document = scope.spawn(|| client.get("/v1/trust.json"));
        held.until_waiting(2);
        let other = two.instances[1].tcp();
        let bundle = scope.spawn(move || other.get("/internal/ca-bundle"));
        held.until_waiting(3);
        drop(held);
        rotation.join().unwrap().unwrap();
        let body = document.join().unwrap().body;
        let pin = world.admin().roots().unwrap()[0].public_key().spki_sha256();
        let document = TrustDocument::verify(&body, &[pin], world.now()).unwrap();
        assert_eq!(document.document().epoch, 2);
        let bundle: Value = bundle.join().unwrap().json();
        assert_ne!(bundle["key_id"], of_before.as_str());
    });
    // Nor was any that nobody was given.
    let rows = world.sql("SELECT row FROM audit ORDER BY number");
    let mut rows = rows
        .lines()
        .map(|row| serde_json::from_str::<Value>(row).unwrap());
    assert!(rows.any(|row| row["act"] == "rotate-activate"));
    for row in rows.filter(|row| row["act"] == "publish") {
        let seqno = row["about"].as_str().unwrap().rsplit(' ').next().unwrap();
        let body = client.get(&format!("/v1/trust/{seqno}.json")).body;
        let envelope = Envelope::from_json(&body).unwrap();
        let document: TrustDocument = serde_json::from_slice(envelope.payload()).unwrap();
        assert_eq!(document.epoch, 2, "{row}");
    }
}

#[test]
fn a_retirement_whose_tables_are_in_use_is_finished_by_the_next() {
    let world = World::over_postgres();
    world.start().stop();
    step(&world, Rotation::Now).unwrap();
    let reader = Held::with(&world, "reader", "LOCK TABLE ca IN ACCESS SHARE MODE");
    let reads = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE relation = 'ca'::regclass AND application_name = 'reader'";
    eventually("it reads", || world.sql(reads) == "1");
    let error = step(&world, Rotation::Retire).unwrap_err();
    assert!(error.code().starts_with("authority-store-"), "{error:?}");
    drop(reader);
    let epochs = step(&world, Rotation::Retire).unwrap();
    assert!(!epochs[0].leaving && epochs[0].destroyed);
    let again = step(&world, Rotation::Retire).unwrap_err();
    assert_eq!(again.code(), "rotation-nothing-to-retire");
}

/// Its keys are those of an earlier state, and the number that says which is lower.
#[test]
fn an_instance_takes_up_what_was_restored_under_it() {
    let world = World::over_postgres();
    let running = world.start();
    let file = world.root.path().join("backup");
    let clock = || Arc::new(world.clock.clone());
    backup(world.place(), &file, clock()).unwrap();
    let before = world.admin().roots().unwrap();
    world.advance(1);
    step(&world, Rotation::Now).unwrap();
    let client = running.tcp();
    let served = || bundle(&client);
    eventually("the new root is served", || served() != before);
    world.sql("CREATE SCHEMA restored");
    let elsewhere = world.root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(world.home().join("kek"), elsewhere.join("kek")).unwrap();
    let database = world.database.as_ref().unwrap();
    let url = format!(
        "{}&options=-csearch_path%3Drestored",
        database.cluster.url(&database.name)
    );
    let place = Place::shared(elsewhere, PostgresUrl::parse(&url).unwrap());
    let (protection, published) = (Protection::LocalFile, Published::Unknown);
    restore(place, &file, &protection, published, clock()).unwrap();
    world.sql("ALTER SCHEMA public RENAME TO lost; ALTER SCHEMA restored RENAME TO public");
    // And whatever number it has.
    for roots in [2, 4] {
        if roots == 4 {
            step(&world, Rotation::Prepare).unwrap();
            world.sql("UPDATE authority SET key_changes = 1");
        }
        eventually("the restored root is served", || served() == before);
        let document = client.get("/v1/trust.json");
        assert_eq!(document.status, 200);
        let pin = before[0].public_key().spki_sha256();
        let document = TrustDocument::verify(&document.body, &[pin], world.now()).unwrap();
        assert_eq!(document.document().roots.len(), roots);
    }
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    assert_eq!(session.issue(&client, world.now(), 1).status, 200);
}

fn bundle(client: &Client) -> Vec<Certificate> {
    let body = client.get("/v1/ca-bundle.pem").body;
    Certificate::pem_bundle(std::str::from_utf8(&body).unwrap()).unwrap()
}

#[test]
fn instances_that_start_together_found_one_authority() {
    let database = Database::on(Cluster::shared());
    let world = World::new();
    let places = ["one", "two", "three"]
        .map(|name| Place::shared(world.root.path().join(name), database.url()));
    let roots = places.each_ref().map(|place| {
        let (place, clock) = (place.clone(), world.clock.clone());
        thread::spawn(move || {
            let protection = passphrase(PASSPHRASE);
            let admin = init(place, &founding(), &protection, Arc::new(clock)).unwrap();
            admin.bundle().unwrap()
        })
    });
    let roots: BTreeSet<_> = roots.into_iter().map(|it| it.join().unwrap()).collect();
    assert_eq!(roots.len(), 1);
    assert_eq!(database.sql("SELECT count(*) FROM authority"), "1");
    assert_eq!(database.sql("SELECT count(*) FROM audit"), "1");
    assert_eq!(database.sql("SELECT version FROM notme_store"), "8");
}

#[test]
fn an_instance_without_the_secret_serves_nothing() {
    let world = World::over_postgres();
    let running = world.start();
    let config = world.another(&running, "other");
    fs::write(world.root.path().join("other/kek"), [7; 32]).unwrap();
    let refused = start(config).map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "authority-secret-wrong");
    let mut config = world.another(&running, "third");
    config.storage = world.storage(world.root.path().join("third"), passphrase(PASSPHRASE));
    let refused = start(config).map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "authority-sealed-otherwise");
}

#[test]
fn a_newer_store_and_a_database_of_others_are_refused() {
    let world = World::over_postgres();
    world.start().stop();
    world.sql("UPDATE notme_store SET version = 9");
    let open = |world: &World| {
        let admin = Admin::open(world.place(), Arc::new(world.clock.clone()));
        admin.map(|_| ()).unwrap_err().code()
    };
    assert_eq!(open(&world), "authority-store-newer");
    assert_eq!(
        start(world.config()).map(|_| ()).unwrap_err().code(),
        "authority-store-newer"
    );
    world.sql("UPDATE notme_store SET application = 1");
    assert_eq!(open(&world), "authority-store-foreign");

    let others = World::over_postgres();
    others.sql("CREATE TABLE customers (name TEXT)");
    assert_eq!(open(&others), "authority-store-foreign");
    assert_eq!(
        start(others.config()).map(|_| ()).unwrap_err().code(),
        "authority-store-foreign"
    );
    // A schema of its own is enough.
    others.sql("CREATE SCHEMA notme AUTHORIZATION notme");
    let database = others.database.as_ref().unwrap();
    let url = format!(
        "{}&options=-csearch_path%3Dnotme",
        database.cluster.url(&database.name)
    );
    let mut config = others.config();
    config.storage = Storage::Database {
        path: others.home(),
        url: PostgresUrl::parse(&url).unwrap(),
        protection: Protection::LocalFile,
    };
    start(config).unwrap().stop();
    assert_eq!(others.sql("SELECT count(*) FROM notme.authority"), "1");
}

#[test]
fn looking_at_an_empty_database_makes_nothing_in_it() {
    let world = World::over_postgres();
    let admin = Admin::open(world.place(), Arc::new(world.clock.clone()));
    assert_eq!(
        admin.map(|_| ()).unwrap_err().code(),
        "authority-not-founded"
    );
    assert_eq!(
        world.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        "0"
    );
}

#[test]
fn what_the_operator_of_the_database_set_changes_no_promise() {
    let world = World::over_postgres();
    let name = &world.database.as_ref().unwrap().name;
    for setting in [
        "default_transaction_isolation = 'repeatable read'",
        "synchronous_commit = off",
    ] {
        world.sql(&format!("ALTER DATABASE {name} SET {setting}"));
    }
    let two = start(world.config()).unwrap();
    let other = start(world.another(&two, "other")).unwrap();
    let agent = Agent::new(1);
    let session = agent.session(&two.unix(), None);
    thread::scope(|scope| {
        for (client, base) in [(two.tcp(), 0), (other.tcp(), 100)] {
            let (session, world) = (&session, &world);
            scope.spawn(move || {
                for nonce in 1..=30 {
                    assert_eq!(
                        session.issue(&client, world.now(), base + nonce).status,
                        200
                    );
                }
            });
        }
    });
    world.admin().verify_audit(None).unwrap();
}

#[test]
fn the_server_is_known_by_its_certificate_and_the_password_is_never_said() {
    let world = World::new();
    let [ca, certificate, key] = tls_files(&world);
    let cluster = Cluster::start(|directory| {
        let mut settings = vec!["ssl=on".to_owned()];
        for (setting, file) in [("ssl_cert_file", &certificate), ("ssl_key_file", &key)] {
            let place = directory.join(setting);
            fs::copy(file, &place).unwrap();
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(&place, private).unwrap();
            give_away(&place);
            settings.push(format!("{setting}={}", place.display()));
        }
        settings
    });
    let name = cluster.database();
    let encoded = PASSWORD.replace('@', "%40").replace('/', "%2F");
    let url = |host: &str, password: &str, parameters: &str| {
        let port = cluster.port();
        let text = format!("postgres://{USER}:{password}@{host}:{port}/{name}?{parameters}");
        PostgresUrl::parse(&text).unwrap()
    };
    let open = |url: PostgresUrl| {
        let place = Place::shared(world.home(), url);
        let made = init(
            &place,
            &founding(),
            &Protection::LocalFile,
            Arc::new(world.clock.clone()),
        );
        made.map(|_| ()).map_err(|error| {
            let mut said = format!("{error} {error:?} {place:?}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                said += &error.to_string();
                cause = error.source();
            }
            assert!(
                !said.contains(PASSWORD) && !said.contains(&encoded),
                "{said}"
            );
            (error.code(), said)
        })
    };
    let trusting = format!("sslmode=verify-full&sslrootcert={}", ca.display());
    open(url("127.0.0.1", &encoded, &trusting)).unwrap();
    let used = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl";
    let place = Place::shared(world.home(), url("127.0.0.1", &encoded, &trusting));
    let admin = Admin::open(&place, Arc::new(world.clock.clone())).unwrap();
    assert_eq!(cluster.psql(&name, used), "1");
    drop(admin);
    // Another name than the certificate's, another authority, another password.
    let (code, _) = open(url("localhost", &encoded, &trusting)).unwrap_err();
    assert_eq!(code, "authority-store-unavailable");
    let stranger = World::new();
    let [other, ..] = tls_files(&stranger);
    let believing = format!("sslrootcert={}", other.display());
    let (code, said) = open(url("127.0.0.1", &encoded, &believing)).unwrap_err();
    assert_eq!(code, "authority-store-unavailable");
    assert!(said.contains("certificate"), "{said}");
    let (code, said) = open(url("127.0.0.1", "wrong", &trusting)).unwrap_err();
    assert_eq!(code, "authority-store-failed");
    assert!(said.contains("password authentication failed"), "{said}");
    let missing = "sslrootcert=/nowhere/ca.pem";
    let (code, _) = open(url("127.0.0.1", &encoded, missing)).unwrap_err();
    assert_eq!(code, "authority-store-unreadable");
    // A server that does not speak TLS gets no password.
    let plain = Cluster::shared();
    let text = format!(
        "postgres://{USER}:{encoded}@127.0.0.1:{}/postgres?{trusting}",
        plain.port()
    );
    let (code, _) = open(PostgresUrl::parse(&text).unwrap()).unwrap_err();
    assert_eq!(code, "authority-store-unavailable");
}

/// The URL of a database on several servers of this machine.
fn on_ports(ports: &[u16], database: &str) -> PostgresUrl {
    let password = PASSWORD.replace('@', "%40").replace('/', "%2F");
    let places: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let places = places.join(",");
    PostgresUrl::parse(&format!("postgres://{USER}:{password}@{places}/{database}")).unwrap()
}

fn init_at(world: &World, url: PostgresUrl) -> Result<Admin, &'static str> {
    let place = Place::shared(world.home(), url);
    let clock = Arc::new(world.clock.clone());
    init(&place, &founding(), &Protection::LocalFile, clock).map_err(|error| error.code())
}

#[test]
fn a_silent_server_does_not_keep_the_next_from_being_reached() {
    // The kernel lets us in, and nobody says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    let cluster = Cluster::shared();
    let database = cluster.database();
    let world = World::new();
    init_at(&world, on_ports(&[silent, cluster.port()], &database)).unwrap();
    assert_eq!(
        cluster.psql(&database, "SELECT count(*) FROM authority"),
        "1"
    );
    let alone = init_at(&world, on_ports(&[silent], &database));
    assert_eq!(alone.map(drop), Err("authority-store-unavailable"));
}

#[test]
fn a_server_that_only_reads_is_passed_over() {
    let [reading, writing] = [(); 2].map(|()| Cluster::start(|_| Vec::new()));
    let database = reading.database();
    assert_eq!(writing.database(), database);
    reading.psql(
        "postgres",
        "ALTER SYSTEM SET default_transaction_read_only = on",
    );
    reading.psql("postgres", "SELECT pg_reload_conf()");
    eventually("it only reads", || {
        reading.psql(&database, "SHOW default_transaction_read_only") == "on"
    });
    let world = World::new();
    let alone = init_at(&world, on_ports(&[reading.port()], &database));
    assert_eq!(alone.map(drop), Err("authority-store-unavailable"));
    let ports = [reading.port(), writing.port()];
    init_at(&world, on_ports(&ports, &database)).unwrap();
    assert_eq!(
        writing.psql(&database, "SELECT count(*) FROM authority"),
        "1"
    );
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(reading.psql(&database, tables), "0");
}

#[test]
fn a_copy_takes_as_long_as_it_takes() {
    let world = World::over_postgres();
    let running = world.start();
    Agent::new(1).session(&running.unix(), None);
    running.stop();
    // As if there were so many: longer than any statement of a request may take.
    world.sql(
        "ALTER TABLE audit RENAME TO rows_of_audit;
         CREATE VIEW audit AS SELECT number, row, hash FROM rows_of_audit
         WHERE (SELECT pg_sleep(9)::TEXT) = ''",
    );
    let file = world.root.path().join("copy");
    backup(world.place(), &file, Arc::new(world.clock.clone())).unwrap();
}

#[test]
fn keys_are_destroyed_beside_somebody_who_reads_for_long() {
    let world = World::over_postgres();
    let running = world.start();
    world.advance(61);
    step(&world, Rotation::Now).unwrap();
    world.advance(3_700);
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            world.sql("BEGIN; LOCK TABLE ca IN ACCESS SHARE MODE; SELECT pg_sleep(7); COMMIT")
        });
        let held = "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation
            WHERE relname = 'ca' AND mode = 'AccessShareLock' AND granted";
        eventually("it reads", || world.sql(held) != "0");
        step(&world, Rotation::Retire).unwrap();
        reading.join().unwrap();
    });
    let kept = "SELECT count(*) FROM ca WHERE sealed_key IS NOT NULL AND epoch = 1";
    assert_eq!(world.sql(kept), "0");
    running.stop();
}

#[test]
fn all_instances_serve_at_one_url_until_it_is_moved() {
    let world = World::over_postgres();
    let admin = Admin::open(world.place(), Arc::new(world.clock.clone()));
    assert_eq!(admin.map(drop).unwrap_err().code(), "authority-not-founded");
    let running = world.start();
    assert_eq!(
        world.admin().describe().unwrap().url.as_ref(),
        Some(&running.url)
    );
    let elsewhere = |name: &str| {
        let url = Some("https://elsewhere.example".to_owned());
        ServeConfig {
            url,
            ..world.another(&running, name)
        }
    };
    let refused = start(elsewhere("other")).map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "authority-url-differs");
    let mut said = refused.to_string();
    let mut cause = std::error::Error::source(&refused);
    while let Some(error) = cause {
        said += &error.to_string();
        cause = error.source();
    }
    assert!(
        said.contains(&running.url) && said.contains("https://elsewhere.example"),
        "{said}"
    );
    // It published nothing, and the first goes on.
    let trust = running.tcp().get("/v1/trust.json").body;
    let pin = world.admin().roots().unwrap()[0].public_key().spki_sha256();
    let document = TrustDocument::verify(&trust, &[pin], world.now()).unwrap();
    assert_eq!(document.document().seqno, 1);
    running.stop();
    world.admin().move_to("https://elsewhere.example").unwrap();
    let refused = start(world.config()).map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "authority-url-differs");
    let url = Some("https://elsewhere.example".to_owned());
    let local = None;
    let moved = start(ServeConfig {
        url,
        local,
        ..world.config()
    })
    .unwrap();
    let trust = moved.tcp().get("/v1/trust.json").body;
    let document = TrustDocument::verify(&trust, &[pin], world.now()).unwrap();
    assert_eq!(document.document().authority, "https://elsewhere.example");
    world.admin().verify_audit(None).unwrap();
    let rows = "SELECT count(*) FROM audit WHERE row LIKE '%\"act\":\"move\"%'";
    assert_eq!(world.sql(rows), "1");
}

#[test]
fn an_instance_that_was_left_behind_publishes_nothing() {
    let world = World::over_postgres();
    let running = world.start();
    world.admin().move_to("https://elsewhere.example").unwrap();
    let url = Some("https://elsewhere.example".to_owned());
    let moved = ServeConfig {
        url,
        ..world.another(&running, "moved")
    };
    let moved = start(moved).unwrap();
    let trust = moved.tcp().get("/v1/trust.json").body;
    assert_ne!(running.tcp().get("/v1/trust.json").status, 200);
    assert_eq!(moved.tcp().get("/v1/trust.json").body, trust);
    eventually("it is not ready", || {
        running.tcp().get("/readyz").status != 200
    });
    running.forget();
}

#[test]
fn a_store_in_a_directory_keeps_no_url() {
    let world = World::new();
    world.start().stop();
    assert_eq!(world.admin().describe().unwrap().url, None);
    let refused = world
        .admin()
        .move_to("https://elsewhere.example")
        .unwrap_err();
    assert_eq!(refused.code(), "authority-not-shared");
    let url = Some("https://elsewhere.example".to_owned());
    let config = ServeConfig {
        url,
        local: None,
        ..world.config()
    };
    start(config).unwrap().stop();
}
