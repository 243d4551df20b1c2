use std::{fs, path::PathBuf, thread, time::Duration};

use notme_agent::{AuthorityLauncher, Profile, ensure_embedded_authority};
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
        let url = world.authority_url();
        ensure_embedded_authority(&url, launcher.clone(), Duration::from_secs(20)).unwrap();
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

    fn starts(&self) -> usize {
        fs::read_to_string(&self.log)
            .unwrap()
            .matches("serving unix:")
            .count()
    }

    /// Ends the authority, which runs as long as its log is there.
    fn end_authority(&self) {
        fs::remove_file(&self.log).unwrap();
        let socket = self.world.runtime_dir().join("authority.sock");
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
            // Its keys are new, and not pinned: what counts here is that it was started.
            scope.spawn(|| embedded.world.sign("claude", &commit()).unwrap_err());
        }
    });
    assert_eq!(embedded.starts(), 1);
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
