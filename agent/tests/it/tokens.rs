use std::time::Duration;

use notme_agent::{Pins, Profile, TOKEN_MAX};
use notme_core::frame::Basis;
use notme_testkit::clock::FixedClock;

use crate::world::{Wishes, World, commit, eventually};

/// An authority on TCP, where sessions take a token.
fn world(wishes: Wishes) -> World {
    let mut world = World::empty();
    let authority = world.start_tcp_authority(&wishes.clock);
    let config = world.configuration("claude", Profile::Modern, authority, None);
    config.save(&world.config_dir()).unwrap();
    world.start_agent(wishes);
    world
}

#[test]
fn signs_after_a_token_opened_a_session() {
    let world = world(Wishes::default());
    world.connect().enrol("claude", &world.token()).unwrap();
    assert_eq!(
        world.sign("claude", &commit()).unwrap().basis,
        Basis::IssuanceBound
    );
}

#[test]
fn names_the_command_that_helps_without_a_token() {
    let world = world(Wishes::default());
    for refusal in [
        world.sign("claude", &commit()).unwrap_err(),
        world.connect().enrol("claude", "").unwrap_err(),
        world.connect().renew("claude").unwrap_err(),
    ] {
        assert_eq!(refusal.code, "session-missing");
        assert!(
            refusal
                .hint
                .unwrap()
                .contains("`notme agent enrol claude --token-file FILE`")
        );
    }
}

#[test]
fn gives_no_token_to_an_authority_that_is_not_pinned() {
    let world = world(Wishes::default());
    let good = world.configured();
    for profile in [Profile::Modern, Profile::Interop] {
        let mut config = good.clone();
        config.profile = profile;
        config.pins = Pins::new(vec![[0; 32]]).unwrap();
        config.save(&world.config_dir()).unwrap();
        let refusal = world.connect().enrol("claude", &world.token()).unwrap_err();
        assert_eq!(refusal.code, "authority-not-pinned");
    }
    good.save(&world.config_dir()).unwrap();
    world.connect().enrol("claude", &world.token()).unwrap();
}

#[test]
fn one_pinned_root_stands_for_those_that_sign_the_trust_document_with_it() {
    for root in 0..2 {
        let world = world(Wishes::default());
        let good = world.configured();
        let mut config = good.clone();
        config.profile = Profile::Interop;
        config.pins = Pins::new(vec![good.pins.as_slice()[root]]).unwrap();
        config.save(&world.config_dir()).unwrap();
        world.connect().enrol("claude", &world.token()).unwrap();
        assert_eq!(world.configured().pins, good.pins);
    }
}

#[test]
fn uses_a_token_once_and_shows_it_never() {
    let world = world(Wishes::default());
    let token = world.token();
    let answer = world.connect().enrol("claude", &token).unwrap();
    let status = world.connect().status();
    let refusal = world.connect().enrol("claude", &token).unwrap_err();
    assert_eq!(refusal.code, "authority-refused");
    assert!(refusal.message.contains("token-used-up"));
    for shown in [
        format!("{answer:?}"),
        format!("{status:?}"),
        format!("{refusal:?}"),
    ] {
        assert!(!shown.contains(&token));
    }
    world.sign("claude", &commit()).unwrap();
}

#[test]
fn refuses_a_token_that_is_none() {
    let world = world(Wishes::default());
    let refusal = world.connect().enrol("claude", "guessed").unwrap_err();
    assert_eq!(refusal.code, "authority-refused");
    let refusal = world
        .connect()
        .enrol("claude", &"x".repeat(TOKEN_MAX + 1))
        .unwrap_err();
    assert_eq!(refusal.code, "token-malformed");
    let refusal = world.connect().enrol("nobody", &world.token()).unwrap_err();
    assert_eq!(refusal.code, "key-unknown");
}

#[test]
fn stays_for_a_session_that_only_a_token_could_replace() {
    let clock = FixedClock::default();
    let world = world(Wishes {
        idle_exit: Duration::from_millis(200),
        clock: clock.clone(),
        ..Wishes::default()
    });
    world.connect().enrol("claude", &world.token()).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert!(!world.agent_has_ended());
    clock.advance(25 * 3600);
    eventually("it exits with the session", || world.agent_has_ended());
}

#[test]
fn stays_for_such_a_session_on_a_unix_socket_too() {
    let clock = FixedClock::default();
    let world = World::with(Wishes {
        idle_exit: Duration::from_millis(200),
        clock: clock.clone(),
        ..Wishes::default()
    });
    world.connect().enrol("claude", &world.token()).unwrap();
    clock.advance(60);
    world.connect().renew("claude").unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert!(!world.agent_has_ended());
}
