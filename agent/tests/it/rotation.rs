//! The authority takes new keys, and the key agent follows.

use std::{fs, sync::Arc};

use notme_agent::{AgentConfig, Profile};
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
        let clock = Arc::new(Of(self.clock.clone()));
        let (home, protection) = (self.world.kept(), Protection::LocalFile);
        rotate(&home, &protection, Rotation::Now, clock).unwrap();
        self.admin().roots().unwrap()
    }

    /// Publishes another document.
    fn revoke_something(&self) {
        let nobody = Revoked::Session("ab".repeat(32));
        let reason = RevocationReason::Unspecified;
        self.admin().revoke(&nobody, None, reason).unwrap();
    }

    fn pins(&self) -> Vec<[u8; 32]> {
        self.world.configured().pins.as_slice().to_vec()
    }

    fn seen(&self) -> Option<u64> {
        Some(self.world.configured().seen?.seqno)
    }
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

#[test]
fn an_older_trust_document_is_refused() {
    let mut it = Kept::new();
    let store = it.world.kept().join("store.sqlite");
    it.world.stop_authority();
    let backup = fs::read(&store).unwrap();
    it.world.start_kept_authority(&it.clock);
    it.revoke_something();
    let sign = |it: &Kept| {
        it.world
            .sign_armored("claude", SignatureKind::Ssh, &commit())
    };
    sign(&it).unwrap();
    assert_eq!(it.seen(), Some(2));

    it.world.stop_authority();
    fs::write(&store, backup).unwrap();
    it.world.start_kept_authority(&it.clock);
    let refusal = sign(&it).unwrap_err();
    assert_eq!(refusal.code, "format-unavailable");
    assert!(
        refusal
            .message
            .contains("document 1 is older than document 2"),
        "{refusal:?}"
    );
    assert_eq!(it.seen(), Some(2));
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
