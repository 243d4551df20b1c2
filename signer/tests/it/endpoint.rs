use std::{
    env, fs,
    os::unix::{
        fs::{DirBuilderExt as _, PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use notme_core::frame::Basis;
use notme_signer::{AgentClient, AgentEndpoint, ClientError, Deadline, StartCommand};

use crate::fake_agent::{Character, World, serve_home};

const ROOT: &str = "NOTME_TEST_ROOT";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn at(socket: PathBuf) -> AgentEndpoint {
    AgentEndpoint {
        socket,
        start: None,
    }
}

fn starting(world: &World, program: &str, arguments: &[&str]) -> AgentEndpoint {
    AgentEndpoint {
        start: Some(StartCommand {
            program: program.into(),
            arguments: arguments.iter().map(Into::into).collect(),
        }),
        ..world.endpoint()
    }
}

/// A program for the tests below: a key agent that ends when its home is gone.
#[test]
#[ignore = "a program for other tests"]
fn is_a_key_agent() {
    let root = PathBuf::from(env::var_os(ROOT).unwrap());
    let home = root.clone();
    std::thread::spawn(move || serve_home(&home));
    while root.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn starts_an_agent_that_is_absent() {
    let world = World::empty();
    let root = format!("{ROOT}={}", world.root.path().display());
    let exe = env::current_exe().unwrap();
    let arguments = [
        &root,
        exe.to_str().unwrap(),
        "--ignored",
        "--exact",
        "endpoint::is_a_key_agent",
    ];
    let endpoint = starting(&world, "/usr/bin/env", &arguments);
    let mut client = AgentClient::connect(&endpoint, soon()).unwrap();
    let answer = client.sign("claude", b"payload".to_vec()).unwrap();
    assert_eq!(answer.basis, Basis::Declared);
}

#[test]
fn says_why_an_agent_does_not_start() {
    let world = World::empty();
    let error = AgentClient::connect(&starting(&world, "/nowhere", &[]), soon()).unwrap_err();
    assert!(matches!(error, ClientError::Start { .. }), "{error}");
    let error = AgentClient::connect(&starting(&world, "/bin/false", &[]), soon()).unwrap_err();
    assert!(matches!(error, ClientError::Ended), "{error}");
    let late = Deadline::after(Duration::from_millis(100));
    let error = AgentClient::connect(&starting(&world, "/bin/sleep", &["3"]), late).unwrap_err();
    assert!(matches!(error, ClientError::Deadline), "{error}");
}

#[test]
fn finds_a_socket_with_a_very_long_path() {
    let world = World::empty();
    let directory = world.root.path().join("long".repeat(60));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .unwrap();
    let _here = UnixListener::bind(world.socket()).unwrap();
    fs::rename(world.socket(), directory.join("agent.sock")).unwrap();
    AgentClient::connect(&at(directory.join("agent.sock")), soon()).unwrap();
    let error = AgentClient::connect(&at(directory.join("other.sock")), soon()).unwrap_err();
    assert!(matches!(error, ClientError::Absent), "{error}");
}

#[test]
fn trusts_no_directory_that_others_may_enter() {
    let world = World::with(Character::Honest);
    let directory = world.root.path().join("run");
    let refused = |socket: &Path| {
        let error = AgentClient::connect(&at(socket.to_owned()), soon()).unwrap_err();
        assert!(matches!(error, ClientError::Directory(_)), "{error}");
        assert_eq!(error.code(), "directory-not-private");
    };
    let link = world.root.path().join("link");
    symlink(&directory, &link).unwrap();
    refused(&link.join("agent.sock"));
    for mode in [0o755, 0o750, 0o701] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        refused(&world.socket());
    }
}

#[test]
fn tells_an_absent_agent_from_a_broken_one() {
    let world = World::empty();
    let connect = || AgentClient::connect(&world.endpoint(), soon()).unwrap_err();
    assert!(matches!(connect(), ClientError::Absent));
    drop(UnixListener::bind(world.socket()).unwrap());
    assert!(matches!(connect(), ClientError::Absent));
    fs::remove_dir_all(world.root.path().join("run")).unwrap();
    assert!(matches!(connect(), ClientError::Absent));
}

#[test]
fn does_not_wait_for_an_agent_whose_queue_is_full() {
    let world = World::empty();
    let listener = UnixListener::bind(world.socket()).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let mut waiting = Vec::new();
    let error = loop {
        let late = Deadline::after(Duration::from_millis(200));
        match AgentClient::connect(&world.endpoint(), late) {
            Ok(client) => waiting.push(client),
            Err(error) => break error,
        }
        assert!(waiting.len() < 100, "the queue never fills");
    };
    assert!(matches!(error, ClientError::Deadline), "{error}");
}
