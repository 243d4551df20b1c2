//! What the operator takes back.

use std::thread;

use notme_authority::{Admin, Protection, RevocationReason, Revoked, Rotation, Taken, rotate};
use notme_core::{
    enrol::peer_binding,
    hex,
    identity::Identity,
    key::Signer as _,
    time::UnixTime,
    trust::{RevocationKind, TrustDocument},
};

use crate::{
    client::Agent,
    world::{Running, World},
};

fn revoke(world: &World, what: Revoked, since: Option<UnixTime>) -> Taken {
    let reason = RevocationReason::KeyCompromise;
    world.admin().revoke(&what, since, reason).unwrap()
}

fn published(world: &World, running: &Running) -> TrustDocument {
    let pin = world.admin().roots().unwrap()[0].public_key().spki_sha256();
    let body = running.unix().get("/v1/trust.json").body;
    let verified = TrustDocument::verify(&body, &[pin], world.now()).unwrap();
    verified.document().clone()
}

#[test]
fn it_is_in_the_next_document_that_anybody_asks_for() {
    let world = World::new();
    let running = world.start();
    let before = published(&world, &running);
    let kid = Agent::new(1).signing.public_key().kid();
    let taken = revoke(&world, Revoked::Key(kid), None);

    let after = published(&world, &running);
    assert_eq!(after.seqno, before.seqno + 1);
    assert_eq!(
        after.revocations.as_slice(),
        std::slice::from_ref(&taken.revocation)
    );
    assert_eq!(after.revocations[0].kind, RevocationKind::Key);
    assert_eq!(after.revocations[0].value, kid.to_string());
    assert_eq!(after.revocations[0].since, world.now());
    assert_eq!(after.revocations[0].reason, "keyCompromise");
    assert_eq!(
        published(&world, &running),
        after,
        "one number, one document"
    );
    let answer = running.unix().get("/v1/trust.json");
    assert_eq!(answer.header("cache-control"), Some("no-cache"));

    running.stop();
    assert_eq!(world.admin().revocations().unwrap(), [taken.revocation]);
    let running = world.start();
    assert_eq!(published(&world, &running), after);
}

#[test]
fn all_who_ask_at_once_get_one_document() {
    let world = World::new();
    let running = world.start();
    let kid = Agent::new(1).signing.public_key().kid();
    revoke(&world, Revoked::Key(kid), None);
    let bodies: Vec<Vec<u8>> = thread::scope(|scope| {
        let askers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| running.unix().get("/v1/trust.json")))
            .collect();
        askers
            .into_iter()
            .map(|asker| asker.join().unwrap())
            .map(|answer| {
                assert_eq!(answer.status, 200, "{answer:?}");
                answer.body
            })
            .collect()
    });
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(published(&world, &running).revocations.len(), 1);
}

#[test]
fn an_authority_that_did_not_run_publishes_it_when_it_starts() {
    let world = World::new();
    world.start().stop();
    let identity = "wimse://notme.test/agent/alice/claude".parse().unwrap();
    let taken = revoke(&world, Revoked::Identity(identity), None);
    let running = world.start();
    assert_eq!(published(&world, &running).revocations, [taken.revocation]);
}

#[test]
fn a_session_that_it_concerns_gets_nothing_more() {
    let kinds: [fn(&Agent, &crate::client::Session) -> Revoked; 4] = [
        |agent, _| {
            let binding = peer_binding(agent.mtls.public_key(), agent.signing.public_key());
            Revoked::Session(hex::encode(&binding))
        },
        |agent, _| Revoked::Key(agent.signing.public_key().kid()),
        |_, session| Revoked::Identity(session.enrolled.identity.clone()),
        |_, session| Revoked::Certificate(session.certificate().serial_hex()),
    ];
    for what in kinds {
        let world = World::new();
        let running = world.start();
        let client = running.unix();
        let agent = Agent::new(1);
        let other = Agent {
            name: "other",
            ..Agent::new(2)
        };
        let session = agent.session(&client, None);
        let bystander = other.session(&client, None);
        let what = what(&agent, &session);
        assert_eq!(
            revoke(&world, what.clone(), None).sessions_ended,
            1,
            "{what:?}"
        );
        for answer in [
            session.issue(&client, world.now(), 1),
            session.renew(&client, world.now(), 2),
        ] {
            assert_eq!(answer.refusal().1, "session-revoked", "{what:?}");
        }
        assert_eq!(bystander.issue(&client, world.now(), 1).status, 200);
        assert_eq!(revoke(&world, what, None).sessions_ended, 0);
    }
}

#[test]
fn a_revoked_identity_or_key_is_not_enrolled_again() {
    let world = World::new();
    let running = world.start();
    let client = running.unix();
    let agent = Agent::new(1);
    revoke(&world, Revoked::Key(agent.signing.public_key().kid()), None);
    let refusal = agent.enrol(&client, None).refusal();
    assert_eq!(refusal, (403, "identity-revoked".to_owned()));
    // The token pays for nothing, and is not spent.
    let token = world.token();
    let refusal = agent.enrol(&running.tcp(), Some(token.expose())).refusal();
    assert_eq!(refusal.1, "identity-revoked");
    assert_eq!(world.admin().tokens().unwrap()[0].used, 0);

    let agent = Agent::new(2);
    let session = agent.session(&client, None);
    revoke(&world, Revoked::Identity(session.enrolled.identity), None);
    let refusal = Agent::new(3).enrol(&client, None).refusal();
    assert_eq!(refusal.1, "identity-revoked");
}

#[test]
fn of_two_times_the_earlier_stays() {
    let world = World::new();
    world.start().stop();
    let kid = Agent::new(1).signing.public_key().kid();
    let now = world.now();
    for (said, kept) in [(-10, -10), (-5, -10), (-60, -60), (0, -60)] {
        let taken = revoke(&world, Revoked::Key(kid), Some(now.plus(said)));
        assert_eq!(taken.revocation.since, now.plus(kept));
    }
    assert_eq!(world.admin().revocations().unwrap().len(), 1);
}

#[test]
fn what_names_nothing_is_refused() {
    let world = World::new();
    world.start().stop();
    let admin = world.admin();
    let mut refused: Vec<Revoked> = ["", "00", "xyz", "123", &"ab".repeat(21)]
        .map(|serial| Revoked::Certificate(serial.to_owned()))
        .into();
    refused.extend(["", "AB", &"a".repeat(63)].map(|id| Revoked::Session(id.to_owned())));
    for what in refused {
        let error = admin
            .revoke(&what, None, RevocationReason::Unspecified)
            .unwrap_err();
        assert_eq!(error.code(), "revocation-malformed", "{what:?}");
    }
    for path in ["*", "", "a/", "a//b", "a?b", "a%2fb", "a%2"] {
        let identity = format!("wimse://notme.test/{path}");
        refused_identity(&admin, identity.parse().unwrap());
    }
    for other in [
        "wimse://notme.test",
        "wimse://notme.test:1/agent/alice/claude",
        "wimse://example.org/agent/alice/claude",
        "https://notme.test/agent/alice/claude",
    ] {
        refused_identity(&admin, other.parse().unwrap());
    }
    let kid = Agent::new(1).signing.public_key().kid();
    let error = admin
        .revoke(
            &Revoked::Key(kid),
            Some(world.now().plus(1)),
            RevocationReason::Unspecified,
        )
        .unwrap_err();
    assert_eq!(error.code(), "revocation-malformed");
    assert!(admin.revocations().unwrap().is_empty());
    let colons = Revoked::Certificate("00:AB:CD".to_owned());
    let taken = revoke(&world, colons, None);
    assert_eq!(taken.revocation.value, "abcd");
    let encoded = "wimse://notme.test/gha/acme%2Fr/~a.b_c-d";
    let taken = revoke(&world, Revoked::Identity(encoded.parse().unwrap()), None);
    assert_eq!(taken.revocation.value, encoded);
}

fn refused_identity(admin: &Admin, identity: Identity) {
    let what = Revoked::Identity(identity);
    let error = admin
        .revoke(&what, None, RevocationReason::Unspecified)
        .unwrap_err();
    assert_eq!(error.code(), "revocation-malformed", "{what:?}");
}

#[test]
fn an_epoch_takes_its_keys_with_it_whatever_a_certificate_says_of_its_epoch() {
    let world = World::new();
    let running = world.start();
    let client = running.unix();
    let agent = Agent::new(1);
    let session = agent.session(&client, None);
    let old = published(&world, &running);
    let clock = std::sync::Arc::new(world.clock.clone());
    rotate(&world.home(), &Protection::LocalFile, Rotation::Now, clock).unwrap();
    let taken = revoke(&world, Revoked::Epoch(1), Some(world.now().plus(-30)));
    assert_eq!(taken.revocation.kind, RevocationKind::Epoch);
    assert_eq!(taken.revocation.value, "1");
    let kids: Vec<_> = taken.with.iter().map(|it| it.value.clone()).collect();
    let expected = [
        old.roots[0].kid,
        old.roots[1].kid,
        old.ssh_ca[0].kid,
        old.openpgp[0].kid,
        old.tsa[0].kid,
    ];
    assert_eq!(kids, expected.map(|kid| kid.to_string()));
    assert!(taken.with.iter().all(|it| it.kind == RevocationKind::Key));
    assert!(
        taken
            .with
            .iter()
            .all(|it| it.since == taken.revocation.since)
    );
    let all: Vec<_> = [taken.revocation].into_iter().chain(taken.with).collect();
    assert_eq!(published(&world, &running).revocations, all);
    // Sessions are not the epoch's: they go on with certificates of the next.
    assert_eq!(taken.sessions_ended, 0);
    assert_eq!(session.issue(&client, world.now(), 1).status, 200);
    for absent in [0, 3, u64::MAX] {
        let error = world
            .admin()
            .revoke(&Revoked::Epoch(absent), None, RevocationReason::Unspecified)
            .unwrap_err();
        assert_eq!(error.code(), "revocation-malformed");
    }
}
