use std::{fs, io::Read as _, process::Stdio, time::Duration};

use notme_core::frame::{Request, StopAnswer};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    child,
    world::{Wishes, World, commit, eventually},
};

#[test]
fn tells_about_itself_without_a_secret() {
    let world = World::new();
    world.sign("claude", &commit()).unwrap();
    let status = world.connect().status();
    assert_eq!(status.pid, std::process::id());
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(status.sessions.len(), 1);
    assert!(status.memory.memory_locked, "{:?}", status.memory);
    assert!(status.memory.dumps_disabled, "{:?}", status.memory);
    assert_eq!(status.memory.weaknesses, Vec::<String>::new());
}

#[test]
fn stops_when_told_to_and_takes_its_socket_along() {
    let world = World::new();
    let answer: StopAnswer = world.connect().call(&Request::Stop, b"").unwrap();
    assert_eq!(answer.pid, std::process::id());
    eventually("it ends", || world.agent_has_ended());
    assert!(!world.socket().exists());
}

#[test]
fn exits_when_idle_even_with_a_session_that_can_be_opened_again() {
    let world = World::with(Wishes {
        idle_exit: Duration::from_millis(300),
        ..Wishes::default()
    });
    world.sign("claude", &commit()).unwrap();
    eventually("it ends", || world.agent_has_ended());
}

#[test]
fn exits_when_nobody_can_find_it_any_more() {
    let world = World::with(Wishes {
        idle_exit: Duration::from_secs(4),
        ..Wishes::default()
    });
    fs::remove_file(world.socket()).unwrap();
    eventually("it ends", || world.agent_has_ended());
}

#[test]
fn runs_once() {
    let world = World::new();
    let error = notme_agent::run(world.options(Wishes::default())).unwrap_err();
    assert_eq!(error.code(), "agent-running");
    world.sign("claude", &commit()).unwrap();
}

#[test]
fn ends_gracefully_on_sigterm() {
    let world = World::empty();
    let mut agent = child::agent(&world).spawn().unwrap();
    eventually("it listens", || world.socket().exists());
    let pid = Pid::from_child(&agent);
    let served_by = || i32::try_from(world.connect().status().pid).unwrap();
    assert_eq!(served_by(), pid.as_raw_nonzero().get());
    // The terminal that it was started from is gone: no reason to go too.
    kill_process(pid, Signal::HUP).unwrap();
    assert_eq!(served_by(), pid.as_raw_nonzero().get());
    kill_process(pid, Signal::TERM).unwrap();
    assert!(agent.wait().unwrap().success());
    assert!(!world.socket().exists());
}

#[test]
fn starts_again_after_it_was_killed() {
    let world = World::empty();
    for _ in 0..2 {
        let mut agent = child::agent(&world).spawn().unwrap();
        eventually("it listens", || {
            std::os::unix::net::UnixStream::connect(world.socket()).is_ok()
        });
        agent.kill().unwrap();
        agent.wait().unwrap();
        assert!(world.socket().exists());
    }
}

#[test]
fn keeps_nothing_of_its_starter_open() {
    let world = World::empty();
    let mut agent = child::agent_with_inherited_descriptor(&world)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it listens", || world.socket().exists());
    // The shell took a lock on descriptor 9, and became the key agent.
    let lock = fs::File::options()
        .write(true)
        .open(child::lock_file(&world))
        .unwrap();
    eventually("the lock is free", || lock.try_lock().is_ok());
    let cwd = fs::read_link(format!("/proc/{}/cwd", agent.id())).unwrap();
    assert_eq!(cwd.to_str(), Some("/"));
    let _: StopAnswer = world.connect().call(&Request::Stop, b"").unwrap();
    agent.wait().unwrap();
    let mut output = String::new();
    agent
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut output)
        .unwrap();
    assert!(output.contains("test result: ok"), "{output}");
}

#[test]
fn locks_the_memory_of_its_keys() {
    let mut world = World::empty();
    world.start_authority(&notme_testkit::clock::FixedClock::at(
        std::time::SystemTime::now().into(),
    ));
    world.configure("claude", notme_agent::Profile::Modern);
    let mut agent = child::agent(&world).spawn().unwrap();
    eventually("it listens", || world.socket().exists());
    let locked = || {
        let status = fs::read_to_string(format!("/proc/{}/status", agent.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmLck:"))
            .unwrap()
            .to_owned();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(locked(), 0);
    world.sign("claude", &commit()).unwrap();
    assert!(locked() > 0);
    let _: StopAnswer = world.connect().call(&Request::Stop, b"").unwrap();
    agent.wait().unwrap();
}
