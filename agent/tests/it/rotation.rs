//! The authority takes new keys, and the key agent follows.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use notme_agent::{AgentConfig, Document, Profile, Timestamping, fetch};
use notme_authority::{Admin, Clock, Protection, RevocationReason, Revoked, Rotation, rotate};
use notme_core::{
    certificate::Certificate,
    frame::{Basis, SignatureKind},
    ssh::SshSig,
};
use notme_testkit::clock::FixedClock;

use crate::world::{Wishes, World, commit, eventually, verified_leaf};

struct Of(FixedClock);

impl Clock for Of {
    fn now_millis(&self) -> i64 {
        self.0.now().secs() * 1000
    }
}

struct Kept {
    world: World,
    clock: FixedClock,
}

impl Kept {
    fn new() -> Self {
        Self::idle_after(600)
    }

    fn idle_after(seconds: u64) -> Self {
        let clock = FixedClock::default();
        let mut world = World::empty();
        world.start_kept_authority(&clock);
        world.configure("claude", Profile::Modern);
        world.start_agent(Wishes {
            clock: clock.clone(),
            idle_exit: std::time::Duration::from_secs(seconds),
            ..Wishes::default()
        });
        Self { world, clock }
    }

    fn admin(&self) -> Admin {
        Admin::open(&self.world.kept(), Arc::new(Of(self.clock.clone()))).unwrap()
    }

    fn rotate(&self) -> Vec<Certificate> {
        rotate_at(&self.world.kept(), &self.clock);
        self.admin().roots().unwrap()
    }

    /// Takes nothing of anybody's back, so that the next document is another.
    fn revoke_something(&self) {
        self.revoke(&"ab".repeat(32));
    }

    fn revoke(&self, session: &str) {
        let nobody = Revoked::Session(session.to_owned());
        let reason = RevocationReason::Unspecified;
        self.admin().revoke(&nobody, None, reason).unwrap();
    }

    /// Has somebody ask for the trust document, which is signed then.
    fn publish(&self) {
        let address = self
            .world
            .authority_url()
            .at(&self.world.authority_socket());
        fetch(address, None, Document::Trust).unwrap();
    }

    fn pins(&self) -> Vec<[u8; 32]> {
        self.world.configured().pins.as_slice().to_vec()
    }

    fn seen(&self) -> Option<u64> {
        Some(self.world.configured().seen?.seqno)
    }
}

fn rotate_at(home: &Path, clock: &FixedClock) {
    let clock = Arc::new(Of(clock.clone()));
    rotate(home, &Protection::LocalFile, Rotation::Now, clock).unwrap();
}

fn pins(roots: &[Certificate]) -> Vec<[u8; 32]> {
    let pins = roots.iter().map(|root| root.public_key().spki_sha256());
    pins.collect()
}

#[test]
fn the_first_signature_after_a_rotation_is_certified_by_the_new_keys() {
    let it = Kept::new();
    it.world.sign("claude", &commit()).unwrap();
    assert_eq!(it.seen(), Some(1));
    let before = it.world.session();
    let roots = it.rotate();
    let answer = it.world.sign("claude", &commit()).unwrap();
    assert_eq!(answer.basis, Basis::IssuanceBound);
    verified_leaf(&answer, &commit())
        .verify_issued_by(&roots[0])
        .unwrap();
    assert_eq!(it.world.session().kid, before.kid, "the session goes on");
    assert_eq!((it.pins(), it.seen()), (pins(&roots), Some(2)));
}

#[test]
fn every_form_of_signature_follows() {
    for format in [SignatureKind::Ssh, SignatureKind::OpenPgp] {
        let it = Kept::new();
        let sign = || it.world.sign_armored("claude", format, &commit());
        sign().unwrap();
        it.rotate();
        let answer = sign().unwrap();
        assert_eq!(answer.basis, Basis::IssuanceBound, "{format:?}");
        if format == SignatureKind::Ssh {
            let signature = SshSig::from_armor(answer.signature.as_bytes()).unwrap();
            let notme_core::ssh::Key::Certified(certificate) = signature.key() else {
                panic!("{:?}", signature.key());
            };
            assert_eq!(certificate.epoch(), Some(2));
        }
    }
}

#[test]
fn rotations_that_were_slept_through_are_followed_before_a_session_is_opened() {
    let it = Kept::new();
    for _ in 0..3 {
        it.clock.advance(1);
        it.rotate();
    }
    let roots = it.admin().roots().unwrap();
    let answer = it.world.sign("claude", &commit()).unwrap();
    verified_leaf(&answer, &commit())
        .verify_issued_by(&roots[0])
        .unwrap();
    assert_eq!(it.pins(), pins(&roots));
}

#[test]
fn what_was_followed_is_remembered_by_the_next_key_agent() {
    let mut it = Kept::new();
    it.world.sign("claude", &commit()).unwrap();
    let roots = it.rotate();
    it.world.sign("claude", &commit()).unwrap();
    it.world.stop_agent();
    it.world.start_agent(Wishes {
        clock: it.clock.clone(),
        ..Wishes::default()
    });
    assert_eq!((it.pins(), it.seen()), (pins(&roots), Some(2)));
    it.world.sign("claude", &commit()).unwrap();
}

#[test]
fn a_rotation_is_noticed_without_a_signature() {
    let it = Kept::idle_after(2);
    it.world.sign("claude", &commit()).unwrap();
    let roots = it.rotate();
    it.clock.advance(601);
    eventually("it follows", || it.pins() == pins(&roots));
    let end = it.clock.now().plus(3600);
    eventually("it renews", || it.world.not_after() == end);
}

/// Shows the key agent what an authority says that has the same keys and another past.
fn shown_after(seen: impl FnOnce(&Kept), shown: impl FnOnce(&Kept)) -> String {
    let mut it = Kept::new();
    let store = it.world.kept().join("store.sqlite");
    it.world.stop_authority();
    let backup = fs::read(&store).unwrap();
    it.world.start_kept_authority(&it.clock);
    seen(&it);
    let sign = |it: &Kept| {
        it.world
            .sign_armored("claude", SignatureKind::Ssh, &commit())
    };
    sign(&it).unwrap();
    it.world.stop_authority();
    fs::write(&store, backup).unwrap();
    it.world.start_kept_authority(&it.clock);
    shown(&it);
    let before = it.seen();
    let refusal = sign(&it).unwrap_err();
    assert_eq!(refusal.code, "format-unavailable");
    assert_eq!(it.seen(), before);
    refusal.message
}

#[test]
fn an_older_trust_document_is_refused() {
    let message = shown_after(Kept::revoke_something, |_| {});
    assert!(
        message.contains("document 1 is older than document 2"),
        "{message}"
    );
}

#[test]
fn two_trust_documents_of_one_number_are_refused() {
    let message = shown_after(Kept::revoke_something, |it| {
        it.clock.advance(1);
        it.revoke_something();
        it.publish();
    });
    assert!(message.contains("two different documents 2"), "{message}");
}

#[test]
fn a_trust_document_that_follows_another_is_refused() {
    let message = shown_after(Kept::revoke_something, |it| {
        for _ in 0..2 {
            it.clock.advance(1);
            it.revoke(&format!("{:064x}", it.clock.now().secs()));
            it.publish();
        }
    });
    assert!(message.contains("two different documents 2"), "{message}");
}

#[test]
fn a_configuration_that_somebody_changed_meanwhile_is_not_overwritten() {
    let it = Kept::new();
    it.world.sign("claude", &commit()).unwrap();
    let mut config = it.world.configured();
    config.profile = Profile::Interop;
    config.save(&it.world.config_dir()).unwrap();
    let roots = it.rotate();
    let answer = it.world.sign("claude", &commit()).unwrap();
    verified_leaf(&answer, &commit())
        .verify_issued_by(&roots[1])
        .unwrap();
    let name = "claude".parse().unwrap();
    let config = AgentConfig::load(&it.world.config_dir(), &name);
    assert_eq!(config.unwrap().unwrap().profile, Profile::Interop);
    assert_eq!(it.pins(), pins(&roots));
}

/// Verifiers would take the time stamp for proof that a retired root's certificate was used.
#[test]
fn a_time_stamp_from_after_a_rotation_is_not_put_over_a_certificate_from_before() {
    let (mut world, clock) = (World::empty(), FixedClock::default());
    let armed = Arc::new(AtomicBool::new(false));
    let (home, now, fires) = (world.kept(), clock.clone(), Arc::clone(&armed));
    world.start_kept_authority_behind(
        &clock,
        Arc::new(move |path, told| {
            if path == "/v1/issue" && fires.swap(false, Ordering::SeqCst) {
                rotate_at(&home, &now);
                now.advance(1);
            }
            Some(told)
        }),
    );
    let mut config = world.configuration("claude", Profile::Modern, world.authority_url(), None);
    config.timestamp = Some(Timestamping::Wanted);
    config.save(&world.config_dir()).unwrap();
    world.start_agent(Wishes {
        clock: clock.clone(),
        ..Wishes::default()
    });
    let before = world.sign("claude", &commit()).unwrap();
    assert_eq!(before.basis, Basis::Timestamped);
    armed.store(true, Ordering::SeqCst);
    let answer = world.sign("claude", &commit()).unwrap();
    assert_eq!(
        (answer.time_stamp, answer.basis),
        (None, Basis::IssuanceBound)
    );
    let notice = answer.notice.unwrap();
    assert!(notice.contains("rotated its keys"), "{notice}");
    let after = world.sign("claude", &commit()).unwrap();
    assert_eq!((after.basis, &after.notice), (Basis::Timestamped, &None));
    assert_eq!(verified_leaf(&after, &commit()).epoch(), Some(2));
}
