//! Time stamps over signatures, and what happens without.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use notme_agent::{Profile, Timestamping};
use notme_core::{
    base64,
    frame::{Basis, SignAnswer, SignatureKind},
    timestamp::{RejectionReason, TimeStampRequest, TimeStampToken, reply_granted, reply_rejected},
    trust::TrustDocument,
};
use notme_testkit::{
    cast::TestAuthority,
    clock::{FixedClock, NOW},
    tsa::TestTsa,
};

use crate::{
    go_between::Change,
    world::{Wishes, World, commit, verified_leaf},
};

fn configure(world: &World, timestamp: Timestamping) {
    let url = world.authority_url();
    let mut config = world.configuration("claude", Profile::Modern, url, None);
    config.timestamp = Some(timestamp);
    config.save(&world.config_dir()).unwrap();
}

/// A world in which somebody changes what the authority answers.
fn with_go_between(change: Change) -> World {
    let mut world = World::empty();
    world.start_authority_behind(&FixedClock::default(), change);
    configure(&world, Timestamping::Wanted);
    world.start_agent(Wishes::default());
    world
}

fn assert_stamped(answer: &SignAnswer, trust: &TrustDocument) {
    let token = base64::decode(answer.time_stamp.as_ref().unwrap()).unwrap();
    let signature = base64::decode(&answer.signature).unwrap();
    let token = TimeStampToken::parse(&token).unwrap();
    let stamp = token.verify(&trust.tsa[0].certificate, &signature).unwrap();
    assert_eq!(stamp.at(), NOW);
    assert_eq!(answer.basis, Basis::Timestamped);
    assert_eq!(answer.notice, None);
    verified_leaf(answer, &commit());
}

#[test]
fn the_authority_stamps_the_signature_when_the_configuration_asks() {
    let world = World::new();
    let answer = world.sign("claude", &commit()).unwrap();
    assert_eq!(
        (answer.time_stamp, answer.basis),
        (None, Basis::IssuanceBound)
    );
    for timestamp in [Timestamping::Wanted, Timestamping::Required] {
        configure(&world, timestamp);
        let answer = world.sign("claude", &commit()).unwrap();
        assert_stamped(&answer, &world.trust());
    }
    assert_eq!(world.session().unstamped, None);
}

#[test]
fn without_a_time_stamp_it_signs_all_the_same_and_says_so_unless_required() {
    let stamps = Arc::new(AtomicBool::new(false));
    let does = Arc::clone(&stamps);
    let world = with_go_between(Arc::new(move |path, answer| {
        (path != "/tsa" || does.load(Ordering::SeqCst)).then_some(answer)
    }));
    for count in 1..=2 {
        let answer = world.sign("claude", &commit()).unwrap();
        verified_leaf(&answer, &commit());
        assert_eq!(
            (answer.time_stamp, answer.basis),
            (None, Basis::IssuanceBound)
        );
        let notice = answer.notice.unwrap();
        assert!(
            notice.starts_with("signed without a time stamp ("),
            "{notice}"
        );
        let unstamped = world.session().unstamped.unwrap();
        assert_eq!((unstamped.count, unstamped.last_notice), (count, notice));
    }
    stamps.store(true, Ordering::SeqCst);
    assert_stamped(&world.sign("claude", &commit()).unwrap(), &world.trust());
    assert_eq!(world.session().unstamped.unwrap().count, 0);

    stamps.store(false, Ordering::SeqCst);
    configure(&world, Timestamping::Required);
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "timestamp-unavailable");
    assert!(refusal.message.contains("with a time stamp or not at all"));
    assert!(refusal.hint.unwrap().contains("notme init --timestamp"));
}

#[test]
fn an_authority_that_is_gone_takes_the_time_stamp_with_it() {
    let mut world = World::new();
    configure(&world, Timestamping::Wanted);
    world.sign("claude", &commit()).unwrap();
    world.stop_authority();
    let answer = world.sign("claude", &commit()).unwrap();
    assert_eq!((answer.time_stamp, answer.basis), (None, Basis::Declared));
    let notice = answer.notice.unwrap();
    assert!(
        notice.contains("signed with the session certificate"),
        "{notice}"
    );
    assert!(notice.contains("signed without a time stamp"), "{notice}");

    let mut config = world.configured();
    config.timestamp = Some(Timestamping::Required);
    config.save(&world.config_dir()).unwrap();
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "timestamp-unavailable");
}

/// A world in which somebody answers requests for time stamps in the authority's place.
fn stamped_by(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> World {
    with_go_between(Arc::new(move |path, mut told| {
        if path == "/tsa" {
            let query = base64::decode(told["query"].as_str()?)?;
            told["reply"] = base64::encode(&answer(&query)).into();
        }
        Some(told)
    }))
}

fn missed(world: &World) -> String {
    let answer = world.sign("claude", &commit()).unwrap();
    verified_leaf(&answer, &commit());
    assert_eq!(answer.time_stamp, None);
    answer.notice.unwrap()
}

#[test]
fn what_is_no_reply_to_our_request_is_not_used() {
    let stranger = TestTsa::of(&TestAuthority::new(9), 9);
    let replay = reply_granted(&stranger.stamp(b"anything", NOW));
    for (reply, expected) in [
        (replay, "answers another request"),
        (b"no reply".to_vec(), "malformed"),
        (vec![0x30; 64 * 1024], "too long"),
        (
            reply_rejected(RejectionReason::SystemFailure, ""),
            "said no: systemFailure",
        ),
    ] {
        let notice = missed(&stamped_by(move |_| reply.clone()));
        assert!(notice.contains(expected), "{notice}");
    }
}

#[test]
fn a_time_stamp_of_a_stranger_is_not_used() {
    let stranger = TestTsa::of(&TestAuthority::new(9), 9);
    let notice = missed(&stamped_by(move |query| {
        let request = TimeStampRequest::from_der(query).unwrap();
        reply_granted(&stranger.answer(&request, NOW))
    }));
    let expected = "nobody that the authority's trust document names";
    assert!(notice.contains(expected), "{notice}");
}

/// It would make of a good signature one whose certificate has expired.
#[test]
fn a_time_stamp_from_after_the_certificates_end_is_not_used() {
    let (mut world, clock) = (World::empty(), FixedClock::default());
    let no_issuance: Change = Arc::new(|path, told| (path != "/v1/issue").then_some(told));
    world.start_authority_behind(&clock, no_issuance);
    configure(&world, Timestamping::Wanted);
    world.start_agent(Wishes::default());
    let answer = world.sign("claude", &commit()).unwrap();
    assert_eq!(answer.basis, Basis::Timestamped);
    assert!(answer.time_stamp.is_some());
    clock.advance(3_600);
    let notice = missed(&world);
    assert!(
        notice.contains("when the certificate is not valid"),
        "{notice}"
    );
}

#[test]
fn a_trust_document_that_came_later_is_asked_for_its_authority() {
    let published = Arc::new(AtomicBool::new(false));
    let is_there = Arc::clone(&published);
    let world = with_go_between(Arc::new(move |path, told| {
        (path != "/v1/trust.json" || is_there.load(Ordering::SeqCst)).then_some(told)
    }));
    assert!(missed(&world).contains("nobody that"));
    published.store(true, Ordering::SeqCst);
    assert_stamped(&world.sign("claude", &commit()).unwrap(), &world.trust());
}

#[test]
fn where_time_stamps_are_required_nothing_is_signed_that_carries_none() {
    let world = World::new();
    configure(&world, Timestamping::Required);
    for format in [SignatureKind::Ssh, SignatureKind::OpenPgp] {
        let refusal = world.sign_armored("claude", format, &commit()).unwrap_err();
        assert_eq!(refusal.code, "timestamp-unavailable");
    }
    configure(&world, Timestamping::Wanted);
    for format in [SignatureKind::Ssh, SignatureKind::OpenPgp] {
        world.sign_armored("claude", format, &commit()).unwrap();
    }
}
