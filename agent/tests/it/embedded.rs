use std::{fs, path::PathBuf, thread, time::Duration};

use notme_agent::{
    AuthorityLauncher, AuthorityUrl, Document, Profile, ensure_embedded_authority, fetch,
};
use notme_core::frame::Basis;
use notme_local::create_private_directory;

use crate::{
    child,
    world::{Wishes, World, commit, eventually},
};

/// A key agent whose authority is started on demand, and the launcher.
struct Embedded {
    world: World,
    log: PathBuf,
}

impl Embedded {
    fn new() -> Self {
        let mut world = World::empty();
        let launcher = child::authority(&world);
        create_private_directory(&world.runtime_dir()).unwrap();
        let url = AuthorityUrl::embedded(&world.root.path().join("authority")).unwrap();
        let address = url.at(&world.authority_socket());
        ensure_embedded_authority(address, launcher.clone(), Duration::from_secs(20)).unwrap();
        let mut config = world.configuration("claude", Profile::Modern, url, None);
        config.embedded = true;
        config.save(&world.config_dir()).unwrap();
        let log = launcher.log.clone();
        world.start_agent(Wishes {
            launcher: Some(launcher),
            ..Wishes::default()
        });
        Self { world, log }
    }

    fn restart_key_agent(&mut self, meanwhile: impl FnOnce(&mut World)) {
        self.world.stop_agent();
        meanwhile(&mut self.world);
        let launcher = child::authority(&self.world);
        self.world.start_agent(Wishes {
            launcher: Some(launcher),
            ..Wishes::default()
        });
    }

    fn starts(&self) -> usize {
        fs::read_to_string(&self.log)
            .unwrap()
            .matches("serving embedded:")
            .count()
    }

    /// Ends the authority, which runs as long as its log is there.
    fn end_authority(&self) {
        fs::remove_file(&self.log).unwrap();
        let socket = self.world.authority_socket();
        eventually("the authority ends", || !socket.exists());
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.log);
    }
}

#[test]
fn uses_an_embedded_authority_that_runs() {
    let embedded = Embedded::new();
    let answer = embedded.world.sign("claude", &commit()).unwrap();
    assert_eq!(answer.basis, Basis::IssuanceBound);
    assert_eq!(embedded.starts(), 1);
}

#[test]
fn starts_the_embedded_authority_once_for_all_that_need_it() {
    let embedded = Embedded::new();
    embedded.end_authority();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| embedded.world.sign("claude", &commit()).unwrap());
        }
    });
    assert_eq!(embedded.starts(), 1);
}

#[test]
fn signs_in_another_login_with_another_runtime_directory() {
    let mut embedded = Embedded::new();
    embedded.world.sign("claude", &commit()).unwrap();
    embedded.restart_key_agent(|world| world.run = "another");
    let answer = embedded.world.sign("claude", &commit()).unwrap();
    assert_eq!(answer.basis, Basis::IssuanceBound);
    assert_eq!(embedded.starts(), 1);
}

#[test]
fn signs_under_the_same_name_when_the_socket_is_elsewhere() {
    let mut embedded = Embedded::new();
    embedded.world.sign("claude", &commit()).unwrap();
    embedded.end_authority();
    embedded.restart_key_agent(|world| world.authority_dir = "elsewhere");
    let answer = embedded.world.sign("claude", &commit()).unwrap();
    assert_eq!(answer.basis, Basis::IssuanceBound);
    assert!(embedded.world.authority_socket().exists());
}

#[test]
fn starts_another_when_its_socket_was_swept_away() {
    let embedded = Embedded::new();
    embedded.world.sign("claude", &commit()).unwrap();
    fs::remove_file(embedded.world.authority_socket()).unwrap();
    eventually("another one serves", || {
        let answer = embedded.world.sign("claude", &commit()).unwrap();
        assert_eq!(answer.basis, Basis::IssuanceBound);
        embedded.starts() == 2
    });
}

#[test]
fn counts_anew_once_the_authority_answers_again() {
    let embedded = Embedded::new();
    let world = &embedded.world;
    world.sign("claude", &commit()).unwrap();
    let mut config = world.configured();
    config.embedded = false;
    config.save(&world.config_dir()).unwrap();
    embedded.end_authority();
    let answer = world.sign("claude", &commit()).unwrap();
    assert_eq!(answer.basis, Basis::Declared);
    config.embedded = true;
    config.save(&world.config_dir()).unwrap();
    let before = world.session().fallback.unwrap();
    assert_eq!(before.count, 1);
    let answer = world.sign("claude", &commit()).unwrap();
    assert_eq!(answer.basis, Basis::IssuanceBound);
    let after = world.session().fallback.unwrap();
    assert_eq!((after.count, after.last_at), (0, before.last_at));
}

#[test]
fn is_not_to_be_found_by_its_name_alone() {
    let embedded = Embedded::new();
    let home = embedded.world.root.path().join("authority");
    let url = AuthorityUrl::embedded(&home).unwrap();
    let error = fetch(&url, None, Document::Health).unwrap_err();
    assert_eq!(error.code(), "authority-unreachable");
    fetch(
        url.at(&embedded.world.authority_socket()),
        None,
        Document::Health,
    )
    .unwrap();
}

#[test]
fn says_where_to_look_when_the_embedded_authority_does_not_start() {
    let mut world = World::empty();
    let clock = notme_testkit::clock::FixedClock::default();
    world.start_authority(&clock);
    let mut config = world.configuration("claude", Profile::Modern, world.authority_url(), None);
    config.embedded = true;
    config.save(&world.config_dir()).unwrap();
    world.stop_authority();
    let log = world.root.path().join("authority.log");
    let launcher = AuthorityLauncher {
        program: "/bin/false".into(),
        arguments: Vec::new(),
        log: log.clone(),
    };
    world.start_agent(Wishes {
        launcher: Some(launcher),
        ..Wishes::default()
    });
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "authority-unreachable");
    assert!(
        refusal.message.contains(log.to_str().unwrap()),
        "{}",
        refusal.message
    );
}
