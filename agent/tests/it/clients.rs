use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    thread,
};

use notme_core::frame::{BODY_LIMIT, Frame, HEADER_LIMIT, SessionsAnswer};
use notme_local::create_private_directory;
use rustix::{
    fs::Uid,
    process::geteuid,
    thread::{set_thread_groups, set_thread_res_uid},
};

use crate::world::{Wishes, World, commit, eventually};

fn head(rest: usize, version: u8, header: usize) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    [&number(rest)[..], &[version], &number(header)].concat()
}

#[test]
fn answers_several_requests_on_one_connection() {
    let world = World::new();
    let mut client = world.connect();
    client.sign("claude", &commit()).unwrap();
    client.list();
    client.sign("nobody", &commit()).unwrap_err();
    client.sign("claude", &commit()).unwrap();
}

#[test]
fn refuses_hostile_frames_and_hangs_up() {
    let world = World::new();
    for bytes in [
        head(5 + HEADER_LIMIT + 1, 1, HEADER_LIMIT + 1),
        head(5 + BODY_LIMIT + 1, 1, 0),
        head(usize::try_from(u32::MAX).unwrap(), 1, 2),
        head(4, 1, 0),
        head(7, 2, 2),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut client = world.connect();
        client.send(&bytes);
        let refusal = client.receive::<()>().unwrap().unwrap_err();
        assert_eq!(refusal.code, "frame-malformed", "{bytes:?}");
        assert!(client.is_closed());
    }
}

#[test]
fn refuses_requests_it_does_not_know_and_goes_on() {
    let world = World::new();
    let mut client = world.connect();
    for header in [
        "",
        "{",
        "[]",
        r#"{"request":"export-keys"}"#,
        r#"{"request":"sign","key":"claude","format":"x509","purpose":"anything"}"#,
        r#"{"request":"sign","key":"claude","format":"raw","purpose":"git"}"#,
        r#"{"request":"sign","key":"claude","format":"x509","purpose":"git","force":true}"#,
        r#"{"request":"renew","agent":"../../etc"}"#,
    ] {
        client.send(&head(5 + header.len(), 1, header.len()));
        client.send(header.as_bytes());
        let refusal = client.receive::<()>().unwrap().unwrap_err();
        assert_eq!(refusal.code, "request-malformed", "{header}");
    }
    client.sign("claude", &commit()).unwrap();
}

#[test]
fn serves_others_while_clients_are_stuck() {
    let world = World::new();
    let mut stuck: Vec<_> = (0..20).map(|_| world.connect()).collect();
    for (sent, client) in stuck.iter_mut().enumerate() {
        client.send(&head(5 + 100, 1, 50)[..sent % 10]);
    }
    // One has asked and does not take the answer.
    stuck[0].send(&[head(21, 1, 16), br#"{"request":"list"#.to_vec()].concat());
    world.sign("claude", &commit()).unwrap();
}

#[test]
fn turns_the_sixty_fifth_client_away() {
    let world = World::new();
    let mut clients = Vec::new();
    for _ in 0..64 {
        let mut client = world.connect();
        client.list();
        clients.push(client);
    }
    let refusal = world.connect().receive::<()>().unwrap().unwrap_err();
    assert_eq!(refusal.code, "agent-busy");
    clients.pop();
    eventually("there is room again", || {
        let mut client = world.connect();
        let request = Frame::new(br#"{"request":"list"}"#.to_vec(), Vec::new()).unwrap();
        // Of a client that is turned away the request goes nowhere; the answer comes all the same.
        let _ = request.write(&mut client.0);
        client.receive::<SessionsAnswer>().unwrap().is_ok()
    });
}

#[test]
fn signs_for_many_at_once() {
    let world = World::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| world.sign("claude", &commit()).map(|answer| answer.basis)))
            .collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    });
    assert_eq!(world.list().len(), 1);
}

/// Runs as another user; only root can.
fn as_somebody_else<T: Send>(action: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let nobody = Uid::from_raw(65534);
            // System calls of this thread alone: the process stays who it is.
            set_thread_groups(&[]).unwrap();
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            action()
        });
        thread.join().unwrap()
    })
}

#[test]
fn keeps_other_users_out() {
    let world = World::new();
    let mode = |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let runtime = world.runtime_dir();
    assert_eq!(
        fs::metadata(&runtime).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert_eq!(
        fs::metadata(world.socket()).unwrap().permissions().mode() & 0o077,
        0
    );
    if !geteuid().is_root() {
        return;
    }
    mode(world.root.path().to_owned(), 0o711);
    as_somebody_else(|| assert!(UnixStream::connect(world.socket()).is_err()));
    // Even with every door open it hangs up on them.
    mode(runtime.clone(), 0o711);
    mode(world.socket(), 0o777);
    as_somebody_else(|| assert!(world.connect().is_closed()));
    mode(runtime, 0o700);
    world.sign("claude", &commit()).unwrap();
}

#[test]
fn refuses_a_runtime_directory_that_others_may_enter() {
    let world = World::empty();
    create_private_directory(&world.runtime_dir()).unwrap();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(world.runtime_dir(), open).unwrap();
    let error = notme_agent::run(world.options(Wishes::default())).unwrap_err();
    assert_eq!(error.code(), "directory-not-private");
}
