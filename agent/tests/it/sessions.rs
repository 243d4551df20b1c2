use std::os::unix::net::UnixListener;

use notme_agent::{AgentConfig, Pins, Profile};
use notme_core::frame::{Basis, SessionState};
use notme_testkit::clock::FixedClock;

use crate::world::{Wishes, World, commit, eventually, verified_leaf};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

struct Timed {
    world: World,
    clock: FixedClock,
}

impl Timed {
    fn new() -> Self {
        Self::idle_after(600)
    }

    fn idle_after(seconds: u64) -> Self {
        let clock = FixedClock::default();
        let world = World::with(Wishes {
            clock: clock.clone(),
            idle_exit: std::time::Duration::from_secs(seconds),
            ..Wishes::default()
        });
        world.sign("claude", &commit()).unwrap();
        Self { world, clock }
    }
}

#[test]
fn opens_no_session_before_it_is_needed() {
    let world = World::new();
    let session = world.session();
    assert_eq!(session.state, SessionState::Absent);
    assert_eq!(
        (session.identity, session.kid, session.not_after),
        (None, None, None)
    );
}

#[test]
fn tells_what_a_session_is() {
    let Timed { world, clock } = Timed::new();
    let session = world.session();
    assert_eq!(session.state, SessionState::Live);
    assert_eq!(session.not_after, Some(clock.now().plus(HOUR)));
    assert_eq!(session.session_ends_at, Some(clock.now().plus(DAY)));
    clock.advance(HOUR + 1);
    assert_eq!(world.session().state, SessionState::Expired);
    clock.advance(DAY);
    assert_eq!(world.session().state, SessionState::Ended);
}

#[test]
fn renews_before_thirty_seconds_are_left() {
    let Timed { world, clock } = Timed::new();
    let before = world.session();
    clock.advance(HOUR - 29);
    let answer = world.sign("claude", &commit()).unwrap();
    assert_eq!(answer.basis, Basis::IssuanceBound);
    let after = world.session();
    assert_eq!(after.kid, before.kid, "the key is the same");
    assert_eq!(after.not_after, Some(clock.now().plus(HOUR)));
    assert_eq!(after.session_ends_at, before.session_ends_at);
}

#[test]
fn renews_by_itself_when_a_quarter_is_left() {
    let Timed { world, clock } = Timed::idle_after(2);
    clock.advance(HOUR - HOUR / 4);
    let renewed = clock.now().plus(HOUR);
    eventually("it renews", || world.not_after() == renewed);
}

#[test]
fn renews_when_told_to() {
    let Timed { world, clock } = Timed::new();
    clock.advance(60);
    let answer = world.connect().renew("claude").unwrap();
    assert_eq!(answer.sessions[0].not_after, Some(clock.now().plus(HOUR)));
}

#[test]
fn opens_a_new_session_when_the_old_one_has_ended() {
    let Timed { world, clock } = Timed::new();
    let before = world.session();
    clock.advance(DAY + 1);
    let answer = world.sign("claude", &commit()).unwrap();
    verified_leaf(&answer, &commit());
    assert_ne!(world.session().kid, before.kid);
}

#[test]
fn opens_a_new_session_when_the_certificate_expired_unnoticed() {
    let Timed { world, clock } = Timed::new();
    let before = world.session();
    clock.advance(2 * HOUR);
    assert_eq!(
        world.sign("claude", &commit()).unwrap().basis,
        Basis::IssuanceBound
    );
    assert_ne!(world.session().kid, before.kid);
}

#[test]
fn signs_with_the_session_certificate_when_the_authority_is_gone() {
    let Timed { mut world, .. } = Timed::new();
    world.stop_authority();
    let answer = world.sign("claude", &commit()).unwrap();
    let leaf = verified_leaf(&answer, &commit());
    assert_eq!(answer.basis, Basis::Declared);
    assert_eq!(leaf.payload_digest(), None);
    let notice = answer.notice.unwrap();
    assert!(notice.contains("authority unreachable"), "{notice}");
    assert!(notice.contains("`declared`"), "{notice}");
}

#[test]
fn keeps_what_it_said_about_signatures_with_the_session_certificate() {
    let Timed { mut world, clock } = Timed::new();
    assert_eq!(world.session().fallback, None);
    world.stop_authority();
    let first = clock.now();
    world.sign("claude", &commit()).unwrap();
    clock.advance(5);
    let notice = world.sign("claude", &commit()).unwrap().notice.unwrap();
    let fallback = world.session().fallback.unwrap();
    assert_eq!((fallback.count, fallback.since), (2, first));
    assert_eq!(fallback.last_at, first.plus(5));
    assert_eq!(fallback.last_notice, notice);
}

#[test]
fn fails_without_an_authority_when_the_certificate_is_over() {
    let Timed { mut world, clock } = Timed::new();
    world.stop_authority();
    clock.advance(HOUR + 1);
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "certificate-unavailable", "{refusal:?}");
    assert!(refusal.hint.unwrap().contains("notme doctor"));
}

#[test]
fn waits_once_for_an_authority_that_hangs() {
    let Timed { mut world, .. } = Timed::new();
    world.stop_authority();
    let socket = world.authority_url().socket().unwrap().to_owned();
    let hanging = UnixListener::bind(socket).unwrap();
    for _ in 0..5 {
        let answer = world.sign("claude", &commit()).unwrap();
        assert_eq!(answer.basis, Basis::Declared);
        assert!(answer.notice.unwrap().contains("did not answer in time"));
    }
    hanging.set_nonblocking(true).unwrap();
    assert_eq!(hanging.incoming().map_while(Result::ok).count(), 1);
}

#[test]
fn forgets_the_session_of_an_agent_that_is_no_more() {
    let Timed { world, .. } = Timed::idle_after(2);
    AgentConfig::remove(&world.config_dir(), &"claude".parse().unwrap()).unwrap();
    assert_eq!(world.list(), []);
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "key-unknown");
    world.configure("claude", Profile::Modern);
    assert_eq!(world.session().state, SessionState::Absent);
}

#[test]
fn refuses_an_authority_that_is_not_pinned() {
    let Timed { mut world, clock } = Timed::new();
    world.stop_authority();
    // The same place, the same names, other keys.
    world.start_authority(&clock);
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "authority-not-pinned");
    assert!(refusal.hint.unwrap().contains("notme trust"));
}

#[test]
fn stops_trusting_a_root_whose_pin_is_taken_away() {
    let Timed { world, .. } = Timed::new();
    let mut config = world.configuration("claude", Profile::Modern, world.authority_url(), None);
    config.pins = Pins::new(vec![[0; 32]]).unwrap();
    config.save(&world.config_dir()).unwrap();
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "authority-not-pinned");
}

#[test]
fn says_so_when_the_clocks_disagree() {
    for ahead in [HOUR + 120, HOUR / 2, -HOUR / 2, -HOUR] {
        let mut world = World::empty();
        world.start_authority(&FixedClock::default());
        world.configure("claude", Profile::Modern);
        let clock = FixedClock::default();
        clock.advance(ahead);
        world.start_agent(Wishes {
            clock,
            ..Wishes::default()
        });
        let refusal = world.sign("claude", &commit()).unwrap_err();
        assert_eq!(refusal.code, "clock-skew", "{refusal:?}");
        assert!(refusal.message.contains("clock"), "{refusal:?}");
        assert_eq!(refusal.hint.unwrap(), "set this machine's clock");
    }
}

#[test]
fn tolerates_clocks_that_are_a_minute_apart() {
    for ahead in [-60, 60] {
        let mut world = World::empty();
        world.start_authority(&FixedClock::default());
        world.configure("claude", Profile::Modern);
        let clock = FixedClock::default();
        clock.advance(ahead);
        world.start_agent(Wishes {
            clock,
            ..Wishes::default()
        });
        assert_eq!(
            world.sign("claude", &commit()).unwrap().basis,
            Basis::IssuanceBound
        );
    }
}
