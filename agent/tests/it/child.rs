//! Programs that tests start: this test binary, asked for one of the two "tests" below.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use notme_agent::{AgentOptions, AuthorityLauncher, AuthorityUrl, detach, run};
use notme_authority::{Listen, Observer, Protection, Serving, Storage, serve_until};
use notme_testkit::clock::FixedClock;

use crate::world::{World, serve_config};

const ROOT: &str = "NOTME_TEST_ROOT";
const SOCKET: &str = "NOTME_TEST_SOCKET";

/// The arguments that make this test binary run one "test" as a program.
fn arguments_of(name: &str) -> [&str; 4] {
    ["--ignored", "--exact", "--nocapture", name]
}

/// An authority that a key agent may start, and whose log is `authority.log`.
pub(crate) fn authority(world: &World) -> AuthorityLauncher {
    let root = world.root.path();
    let mut arguments: Vec<OsString> = vec![
        format!("{ROOT}={}", root.display()).into(),
        format!("{SOCKET}={}", world.authority_socket().display()).into(),
        env::current_exe().unwrap().into(),
    ];
    arguments.extend(arguments_of("child::is_an_authority").map(OsString::from));
    AuthorityLauncher {
        program: "/usr/bin/env".into(),
        arguments,
        log: root.join("authority.log"),
    }
}

/// A key agent in a process of its own, by the real clock.
pub(crate) fn agent(world: &World) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(arguments_of("child::is_a_key_agent"))
        .env(ROOT, world.root.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// The same, started by a shell that holds a lock on a descriptor that is inherited.
pub(crate) fn agent_with_inherited_descriptor(world: &World) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", r#"exec 9>"$LOCK" && flock 9 && exec "$0" "$@""#])
        .arg(env::current_exe().unwrap())
        .args(arguments_of("child::is_a_key_agent"))
        .env(ROOT, world.root.path())
        .env("LOCK", lock_file(world))
        .current_dir(world.root.path())
        .stdin(Stdio::null());
    command
}

pub(crate) fn lock_file(world: &World) -> PathBuf {
    world.root.path().join("lock")
}

#[test]
#[ignore = "a program for other tests"]
fn is_a_key_agent() {
    detach();
    let root = PathBuf::from(env::var_os(ROOT).unwrap());
    run(AgentOptions {
        config_dir: root.join("agents"),
        runtime_dir: root.join("run"),
        authority_socket: root.join("authority/authority.sock"),
        idle_exit: Duration::from_secs(60),
        launcher: None,
        github: None,
        clock: Arc::new(|| SystemTime::now().into()),
    })
    .unwrap();
}

/// Serves as long as its log exists.
#[test]
#[ignore = "a program for other tests"]
fn is_an_authority() {
    let root = PathBuf::from(env::var_os(ROOT).unwrap());
    let socket = PathBuf::from(env::var_os(SOCKET).unwrap());
    let log = root.join("authority.log");
    let home = root.join("authority");
    let mut config = serve_config(
        Listen::Unix(socket),
        FixedClock::default(),
        Arc::new(Announced),
    );
    config.url = Some(AuthorityUrl::embedded(&home).unwrap().to_string());
    config.storage = Storage::Directory {
        path: home,
        protection: Protection::LocalFile,
    };
    // One whose socket was taken away says so, and has ended all the same.
    if let Err(error) = serve_until(config, until_removed(log)) {
        assert_eq!(error.code(), "authority-socket-gone");
    }
}

struct Announced;

impl Observer for Announced {
    fn serving(&self, serving: &Serving<'_>) {
        let line = format!("serving {}\n", serving.url);
        io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

async fn until_removed(file: impl AsRef<Path>) {
    while file.as_ref().exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
