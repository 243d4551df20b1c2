//! Listeners, the lock, the end.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixListener,
    },
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use notme_authority::{Bound, Listen, ServeConfig, running, stop};
use notme_testkit::oracle::oracle;

use crate::{
    client::{Agent, Client},
    world::{World, start},
};

fn openssl(arguments: &[&str]) {
    let output = Command::new(oracle("openssl"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes a private CA and a server certificate for 127.0.0.1; returns CA, certificate, key.
pub(crate) fn tls_files(world: &World) -> [PathBuf; 3] {
    let file = |name: &str| world.root.path().join(name);
    let [ca, ca_key, certificate, key] = ["ca.pem", "ca.key", "server.pem", "server.key"].map(file);
    let [ca_text, ca_key_text, certificate_text, key_text] =
        [&ca, &ca_key, &certificate, &key].map(|path| path.to_str().unwrap());
    let fresh = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    openssl(
        &[
            &fresh[..],
            &[
                "-subj",
                "/CN=private ca",
                "-keyout",
                ca_key_text,
                "-out",
                ca_text,
            ],
        ]
        .concat(),
    );
    let signed = [
        "-subj",
        "/CN=server",
        "-keyout",
        key_text,
        "-out",
        certificate_text,
        "-CA",
        ca_text,
        "-CAkey",
        ca_key_text,
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:false",
    ];
    openssl(&[&fresh[..], &signed].concat());
    [ca, certificate, key]
}

/// Configures an authority over TLS only; returns the private CA behind its certificate, too.
pub(crate) fn over_tls(world: &World) -> (PathBuf, ServeConfig) {
    let [ca, certificate, key] = tls_files(world);
    let mut config = world.config();
    config.local = None;
    config.listen = vec![Listen::Tls {
        address: "127.0.0.1:0".parse().unwrap(),
        certificate,
        key,
    }];
    (ca, config)
}

#[tokio::test]
async fn tls_is_served_to_whoever_knows_the_private_ca() {
    let world = World::new();
    let (ca, config) = over_tls(&world);
    let running = start(config).unwrap();
    assert!(
        running.url.starts_with("https://127.0.0.1:"),
        "{}",
        running.url
    );
    let url = format!("{}/v1/trust.json", running.url);

    let ca = reqwest::Certificate::from_pem(&fs::read(ca).unwrap()).unwrap();
    let knowing = reqwest::Client::builder()
        .tls_certs_only([ca])
        .build()
        .unwrap();
    let answer = knowing.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.bytes().await.unwrap(),
        world.admin().trust().unwrap().unwrap()
    );

    let request = Agent::new(1).enrol_request(&running.url, Some(world.token().expose()));
    let enrolled = knowing
        .post(format!("{}/v1/enrol", running.url))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&request).unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(enrolled.status(), 200);

    let stranger = reqwest::Client::builder().build().unwrap();
    assert!(stranger.get(&url).send().await.is_err());
    let plain = Client::tcp(url_address(&running.bound), running.url.clone());
    assert_eq!(plain.get("/health").status, 0);
}

#[test]
fn a_silent_tls_client_is_cut_off() {
    let world = World::new();
    let (_, mut config) = over_tls(&world);
    config.limits.head = Duration::from_millis(200);
    let running = start(config).unwrap();
    let silent = Client::tcp(url_address(&running.bound), running.url.clone());
    assert_eq!(silent.raw(b"").status, 0);
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let world = World::new();
    let running = world.start();
    let (client, agent) = (running.unix(), Agent::new(1));
    let body = serde_json::to_vec(&agent.enrol_request(&client.url, None)).unwrap();
    let head = format!(
        "POST /v1/enrol HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = client.connect();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 64];
    let count = stream.read(&mut answer).unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 100"));

    let stopping = std::thread::spawn(|| running.stop());
    while world.socket().exists() {
        std::thread::yield_now();
    }
    stream.write_all(&body).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(
        rest.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
    stopping.join().unwrap();
    assert_eq!(world.admin().describe().unwrap().summary.living_sessions, 1);
}

fn url_address(bound: &[Bound]) -> std::net::SocketAddr {
    match bound {
        [Bound::Tls(address)] => *address,
        other => panic!("{other:?}"),
    }
}

#[test]
fn unusable_tls_files_are_refused() {
    let world = World::new();
    let [ca, certificate, key] = tls_files(&world);
    let missing = world.root.path().join("missing");
    for (certificate, key) in [(&missing, &key), (&certificate, &missing), (&ca, &key)] {
        let mut config = world.config();
        config.listen = vec![Listen::Tls {
            address: "127.0.0.1:0".parse().unwrap(),
            certificate: certificate.clone(),
            key: key.clone(),
        }];
        assert_eq!(
            start(config).map(|_| ()).unwrap_err().code(),
            "authority-tls"
        );
    }
}

#[test]
fn plain_http_is_refused_outside_loopback() {
    let world = World::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let mut config = world.config();
        config.listen = vec![Listen::Tcp(address.parse().unwrap())];
        assert_eq!(
            start(config).map(|_| ()).unwrap_err().code(),
            "authority-plain-http"
        );
    }
}

#[test]
fn the_socket_is_private_from_the_start_and_gone_at_the_end() {
    let world = World::new();
    let running = world.start();
    let metadata = fs::symlink_metadata(world.socket()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.mode() & 0o077, 0);
    assert_eq!(running.url, format!("unix:{}", world.socket().display()));
    running.stop();
    assert!(!world.socket().exists());
}

#[test]
fn a_socket_in_a_directory_open_to_others_is_refused() {
    let world = World::new();
    let directory = world.socket().parent().unwrap().to_owned();
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(
        start(world.config()).map(|_| ()).unwrap_err().code(),
        "directory-not-private"
    );
}

#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let world = World::new();
    world.start().stop();
    drop(UnixListener::bind(world.socket()).unwrap());
    assert!(world.socket().exists());
    world.start().stop();

    let living = UnixListener::bind(world.socket()).unwrap();
    let error = start(world.config()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "authority-listen-failed");
    drop(living);
    fs::remove_file(world.socket()).unwrap();

    fs::write(world.socket(), b"not a socket").unwrap();
    let error = start(world.config()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "authority-listen-failed");
    assert_eq!(fs::read(world.socket()).unwrap(), b"not a socket");
}

#[test]
fn a_path_longer_than_the_kernel_takes_is_reached() {
    let world = World::new();
    let directory = world
        .root
        .path()
        .join("d".repeat(100))
        .join("e".repeat(100));
    let socket = directory.join("authority.sock");
    let mut config = world.config();
    config.listen = vec![Listen::Unix(socket.clone())];
    let serving = start(config).unwrap();
    assert_eq!(serving.url, format!("unix:{}", socket.display()));
    let entry = fs::File::open(&directory).unwrap();
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&entry);
    let short = PathBuf::from(format!("/proc/self/fd/{descriptor}/authority.sock"));
    assert_eq!(
        Client::unix(short, serving.url.clone()).get("/health").body,
        b"ok"
    );
}

#[test]
fn two_authorities_never_serve_one_directory() {
    let world = World::new();
    let first = world.start();
    let mut config = world.config();
    config.listen = vec![Listen::Tcp("127.0.0.1:0".parse().unwrap())];
    let error = start(config).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "authority-running");
    assert_eq!(first.unix().get("/health").status, 200);
}

#[test]
fn a_running_authority_can_be_found_and_a_stopped_one_cannot() {
    let world = World::new();
    assert_eq!(running(&world.home()).unwrap(), None);
    let serving = world.start();
    let instance = running(&world.home()).unwrap().unwrap();
    assert_eq!(instance.pid, i32::try_from(std::process::id()).unwrap());
    assert_eq!(instance.url, serving.url);
    assert_eq!(instance.listening.len(), 2);
    serving.stop();
    assert_eq!(running(&world.home()).unwrap(), None);
    assert_eq!(stop(&world.home(), Duration::from_secs(1)).unwrap(), None);
}

#[test]
fn looking_never_hinders_a_start() {
    let world = World::new();
    world.start().stop();
    let home = Arc::new(world.home());
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            for _ in 0..2_000 {
                running(&home).unwrap();
            }
        });
        for _ in 0..5 {
            world.start().stop();
        }
        looking.join().unwrap();
    });
}

#[test]
fn an_idle_authority_ends_by_itself() {
    let world = World::new();
    let mut config = world.config();
    config.idle_exit = Some(Duration::from_millis(200));
    let running = start(config).unwrap();
    assert_eq!(running.unix().get("/health").status, 200);
    running.wait().unwrap();
    assert!(!world.socket().exists());
}

#[test]
fn an_authority_whose_socket_was_swept_away_ends() {
    let world = World::new();
    let running = world.start();
    fs::remove_dir_all(world.socket().parent().unwrap()).unwrap();
    let error = running.wait().unwrap_err();
    assert_eq!(error.code(), "authority-socket-gone");
    world.start().stop();
}

#[test]
fn one_that_starts_waits_for_one_that_is_ending() {
    let world = World::new();
    let mut config = world.config();
    config.limits.drain = Duration::from_millis(500);
    let first = start(config).unwrap();
    // A request under way keeps it, for as long as its last answers may take.
    let mut stream = first.unix().connect();
    let head = "POST /v1/enrol HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert_ne!(stream.read(&mut [0; 64]).unwrap(), 0);
    fs::remove_file(world.socket()).unwrap();

    let second = world.start();
    assert_eq!(second.unix().get("/health").status, 200);
    assert!(first.wait().is_err());
}

#[test]
fn contradicting_lifetimes_are_refused() {
    let world = World::new();
    for (certificate, session, issuance) in [(3_600, 60, 300), (60, 3_600, 300), (60, 60, 0)] {
        let mut config = world.config();
        config.lifetimes = notme_authority::Lifetimes {
            certificate,
            session,
            issuance,
            ..notme_authority::Lifetimes::default()
        };
        assert_eq!(
            start(config).map(|_| ()).unwrap_err().code(),
            "authority-lifetimes"
        );
    }
}
