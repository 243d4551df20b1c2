//! What a store keeps, spends and refuses: the same in each database.

use std::{path::PathBuf, sync::Arc};

use notme_authority::{
    NewToken, Place, Protection, Published, RevocationReason, Revoked, Rotation, backup, restore,
};
use notme_core::{hex, key::Signer as _, trust::TrustDocument};

use crate::{
    client::Agent,
    rotation::{eventually, step},
    world::{World, token},
};

/// Runs each claim over SQLite and over PostgreSQL.
macro_rules! over_each_database {
    ($($claim:ident)*) => {
        mod sqlite {
            $(#[test] fn $claim() { super::$claim(&crate::world::World::new()); })*
        }
        mod postgres {
            $(#[test] fn $claim() { super::$claim(&crate::world::World::over_postgres()); })*
        }
    };
}

over_each_database! {
    a_token_is_spent_once_and_enrols_the_same_keys_once
    a_nonce_is_spent_once_and_stays_spent
    what_is_revoked_ends_the_sessions_that_it_concerns
    keys_are_prepared_activated_and_destroyed
    each_number_has_one_trust_document
    the_audit_is_one_chain_and_closed
    sessions_that_ended_long_ago_are_forgotten
    a_backup_fits_into_either_database
    everything_is_there_after_a_restart
    a_store_of_the_version_before_gets_its_indexes_and_loses_nothing
}

fn revoke(world: &World, what: Revoked) -> u64 {
    let reason = RevocationReason::KeyCompromise;
    let taken = world.admin().revoke(&what, None, reason).unwrap();
    taken.sessions_ended
}

fn a_token_is_spent_once_and_enrols_the_same_keys_once(world: &World) {
    let running = world.start();
    let twice = NewToken { uses: 2, ..token() };
    let (token, info) = world.admin().create_token(twice).unwrap();
    let token = Some(token.expose());
    let client = running.tcp();
    Agent::new(1).session(&client, token);
    let again = Agent::new(1).enrol(&client, token);
    assert_eq!(again.refusal(), (409, "keys-known".to_owned()));
    Agent::new(2).session(&client, token);
    let spent = Agent::new(3).enrol(&client, token);
    assert_eq!(spent.refusal(), (401, "token-used-up".to_owned()));
    let unknown = Agent::new(3).enrol(&client, Some("nobody-made-this"));
    assert_eq!(unknown.refusal(), (401, "token-unknown".to_owned()));
    let [kept] = world.admin().tokens().unwrap().try_into().unwrap();
    assert_eq!((kept.used, kept.id.clone()), (2, info.id.clone()));
    assert_eq!(world.admin().revoke_token(&info.id).unwrap(), 2);
    assert!(world.admin().revoke_token("0011223344556677").is_err());
    let revoked = Agent::new(3).enrol(&client, token);
    assert_eq!(revoked.refusal(), (401, "token-revoked".to_owned()));
}

fn a_nonce_is_spent_once_and_stays_spent(world: &World) {
    let running = world.start();
    let (agent, other) = (Agent::new(1), Agent::new(2));
    let session = agent.session(&running.unix(), None);
    let client = running.tcp();
    assert_eq!(session.issue(&client, world.now(), 7).status, 200);
    let again = session.issue(&client, world.now(), 7);
    assert_eq!(again.refusal(), (409, "nonce-replayed".to_owned()));
    // It is the session's alone.
    let other = other.session(&running.unix(), None);
    assert_eq!(other.issue(&client, world.now(), 7).status, 200);
    let issued = world.sql("SELECT count(*) FROM issued WHERE payload_sha256 IS NOT NULL");
    assert_eq!(issued, "2");
}

fn what_is_revoked_ends_the_sessions_that_it_concerns(world: &World) {
    let running = world.start();
    let agents = [1, 2, 3].map(Agent::new);
    let [by_key, by_session, by_certificate] = agents
        .each_ref()
        .map(|agent| agent.session(&running.unix(), None));
    assert_eq!(
        revoke(world, Revoked::Key(agents[0].signing.public_key().kid())),
        1
    );
    assert_eq!(
        revoke(world, Revoked::Session(by_session.enrolled.binding.clone())),
        1
    );
    let serial = hex::encode(by_certificate.certificate().serial());
    assert_eq!(revoke(world, Revoked::Certificate(serial)), 1);
    for session in [&by_key, &by_session, &by_certificate] {
        let refused = session.issue(&running.tcp(), world.now(), 1);
        assert_eq!(refused.refusal().1, "session-revoked");
    }
    let refused = agents[0].enrol(&running.unix(), None);
    assert_eq!(refused.refusal(), (403, "identity-revoked".to_owned()));
    // Of two about one thing, the one that reaches further back stays.
    let what = Revoked::Key(agents[2].signing.public_key().kid());
    let earlier = world.now().plus(-100);
    let reason = RevocationReason::Superseded;
    world.admin().revoke(&what, Some(earlier), reason).unwrap();
    let kept = world
        .admin()
        .revoke(&what, None, RevocationReason::KeyCompromise);
    let kept = kept.unwrap().revocation;
    assert_eq!((kept.since, kept.reason.as_str()), (earlier, "superseded"));
    assert_eq!(world.admin().revocations().unwrap().len(), 4);
}

fn keys_are_prepared_activated_and_destroyed(world: &World) {
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    world.advance(1);
    let code = |rotation| {
        step(world, rotation)
            .map(|_| ())
            .map_err(|error| error.code())
    };
    assert_eq!(code(Rotation::Activate), Err("rotation-not-prepared"));
    code(Rotation::Prepare).unwrap();
    assert_eq!(code(Rotation::Prepare), Err("rotation-prepared-already"));
    world.advance(61);
    code(Rotation::Activate).unwrap();
    assert_eq!(session.issue(&running.tcp(), world.now(), 1).status, 200);
    let epochs = world.sql("SELECT DISTINCT epoch FROM issued ORDER BY epoch");
    assert_eq!(epochs, "1\n2");
    assert_eq!(code(Rotation::Retire), Err("rotation-certificates-live"));
    world.advance(3_700);
    code(Rotation::Retire).unwrap();
    for table in ["ca", "format_ca"] {
        let gone =
            format!("SELECT count(*) FROM {table} WHERE epoch = 1 AND sealed_key IS NOT NULL");
        assert_eq!(world.sql(&gone), "0");
    }
    assert_eq!(code(Rotation::Retire), Err("rotation-nothing-to-retire"));
    world.admin().verify_audit(None).unwrap();
}

fn each_number_has_one_trust_document(world: &World) {
    let running = world.start();
    let pin = world.admin().roots().unwrap()[0].public_key().spki_sha256();
    let mut bodies = vec![running.tcp().get("/v1/trust.json").body];
    for number in 1..=3 {
        revoke(world, Revoked::Certificate(format!("0{number}")));
        bodies.push(running.tcp().get("/v1/trust.json").body);
    }
    for (seqno, body) in (1..).zip(&bodies) {
        let document = TrustDocument::verify(body, &[pin], world.now()).unwrap();
        assert_eq!(document.document().seqno, seqno);
        let again = running.tcp().get(&format!("/v1/trust/{seqno}.json"));
        assert_eq!(again.body, *body);
    }
    let bundle = running.tcp().get("/internal/ca-bundle").body;
    assert_eq!(running.tcp().get("/internal/ca-bundle").body, bundle);
}

fn the_audit_is_one_chain_and_closed(world: &World) {
    let running = world.start();
    Agent::new(1).session(&running.unix(), None);
    assert_eq!(Agent::new(2).enrol(&running.tcp(), None).status, 401);
    world.advance(61);
    eventually("a head closes the rows", || {
        let head = running.tcp().get("/v1/audit/head.json");
        head.status == 200 && world.sql("SELECT number FROM audit_head") == "4"
    });
    assert_eq!(world.admin().verify_audit(None).unwrap(), 4);
    world.sql("UPDATE audit SET row = replace(row, 'enrol', 'renew') WHERE number = 3");
    let found = world.admin().verify_audit(None).unwrap_err();
    assert_eq!(found.code(), "audit-changed");
    running.stop();
}

fn sessions_that_ended_long_ago_are_forgotten(world: &World) {
    const DAY: i64 = 86_400;
    let running = world.start();
    let agents = [1, 2].map(Agent::new);
    let session = agents[0].session(&running.unix(), None);
    assert_eq!(session.issue(&running.tcp(), world.now(), 1).status, 200);
    let long = NewToken {
        uses: 9,
        ttl_seconds: 60 * DAY,
        ..token()
    };
    let (long, _) = world.admin().create_token(long).unwrap();
    agents[1].session(&running.tcp(), Some(long.expose()));
    let lines = world.sql("SELECT count(*) FROM issued");
    // It is tended at each start.
    let restarted = |running: crate::world::Running| {
        running.stop();
        world.start()
    };
    // Unless its nonce had its turn, it goes with it.
    world.advance(31 * DAY - 60);
    let running = restarted(running);
    assert_eq!(
        session.issue(&running.tcp(), world.now(), 2).refusal().1,
        "session-ended"
    );
    world.advance(DAY + 120);
    let running = restarted(running);
    eventually("the first is forgotten", || {
        world.sql("SELECT count(*) FROM session") == "1"
    });
    // The token of the other could enrol its keys anew.
    let again = agents[1].enrol(&running.tcp(), Some(long.expose()));
    assert_eq!(again.refusal().1, "keys-known");
    assert_eq!(
        session.issue(&running.tcp(), world.now(), 3).refusal().1,
        "session-unknown"
    );
    world.advance(60 * DAY);
    let running = restarted(running);
    eventually("the other is forgotten", || {
        world.sql("SELECT count(*) FROM session") == "0"
    });
    assert_eq!(world.sql("SELECT count(*) FROM session_certificate"), "0");
    assert_eq!(world.sql("SELECT count(*) FROM issued"), lines);
    world.admin().verify_audit(None).unwrap();
    running.stop();
}

fn a_backup_fits_into_either_database(world: &World) {
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    assert_eq!(session.issue(&running.unix(), world.now(), 1).status, 200);
    revoke(world, Revoked::Certificate("0a".to_owned()));
    let clock = || Arc::new(world.clock.clone());
    let file = |name: &str| -> PathBuf { world.root.path().join(name) };
    // While it serves.
    backup(world.place(), &file("first"), clock()).unwrap();
    let roots = world.admin().bundle().unwrap();
    running.stop();
    let other = World::over_postgres();
    let places = [
        Place::shared(file("one"), other.database.as_ref().unwrap().url()),
        Place::new(file("two")),
    ];
    let mut from = file("first");
    for (place, next) in places.iter().zip(["second", "third"]) {
        world.advance(1);
        std::fs::create_dir(place.directory()).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(place.directory(), private).unwrap();
        std::fs::copy(world.home().join("kek"), place.directory().join("kek")).unwrap();
        let bring_back = || {
            restore(
                place,
                &from,
                &Protection::LocalFile,
                Published::Unknown,
                clock(),
            )
        };
        let restored = bring_back().unwrap();
        let admin = notme_authority::Admin::open(place, clock()).unwrap();
        assert_eq!(admin.bundle().unwrap(), roots);
        assert_eq!(admin.verify_audit(None).unwrap(), restored.rows);
        assert_eq!(admin.revocations().unwrap().len(), 1);
        assert_eq!(admin.describe().unwrap().summary.living_sessions, 1);
        assert_eq!(bring_back().unwrap_err().code(), "backup-exists");
        from = file(next);
        backup(place, &from, clock()).unwrap();
    }
}

fn everything_is_there_after_a_restart(world: &World) {
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    assert_eq!(session.issue(&running.unix(), world.now(), 1).status, 200);
    let before = serde_json::to_value(world.admin().describe().unwrap()).unwrap();
    running.stop();
    let running = world.start();
    let after = serde_json::to_value(world.admin().describe().unwrap()).unwrap();
    assert_eq!(after, before);
    assert_eq!(
        session.issue(&running.unix(), world.now(), 1).refusal().1,
        "nonce-replayed"
    );
    assert_eq!(session.renew(&running.unix(), world.now(), 2).status, 200);
}

/// Turns the store into what the version before would have made.
fn take_back_schema_8(world: &World) {
    let steps = [
        "DROP INDEX issued_by_serial",
        "DROP INDEX issued_by_end",
        "ALTER TABLE authority DROP COLUMN url",
        "ALTER TABLE epoch DROP COLUMN leaving",
        match world.database {
            Some(_) => "UPDATE notme_store SET version = 7",
            None => "PRAGMA user_version = 7",
        },
    ];
    for step in steps {
        world.sql(step);
    }
}

/// Returns how the database would go about a query.
fn plan(world: &World, query: &str) -> String {
    if world.database.is_some() {
        // It has but few rows.
        return world.sql(&format!("SET enable_seqscan = off; EXPLAIN {query}"));
    }
    let store = rusqlite::Connection::open(world.home().join("store.sqlite")).unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {query}");
    store.query_row(&explain, [], |row| row.get(3)).unwrap()
}

fn a_store_of_the_version_before_gets_its_indexes_and_loses_nothing(world: &World) {
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    assert_eq!(session.issue(&running.unix(), world.now(), 1).status, 200);
    revoke(world, Revoked::Certificate("0a".to_owned()));
    running.unix().get("/v1/trust.json");
    running.stop();
    let described = || serde_json::to_value(world.admin().describe().unwrap()).unwrap();
    let (mut before, rows) = (described(), world.admin().verify_audit(None).unwrap());
    before["url"] = serde_json::Value::Null;
    take_back_schema_8(world);
    assert_eq!(described(), before);
    assert_eq!(world.admin().verify_audit(None).unwrap(), rows);
    for (query, index) in [
        (
            "SELECT session FROM issued WHERE serial = '1' AND payload_sha256 IS NULL",
            "issued_by_serial",
        ),
        (
            "SELECT max(not_after) FROM issued WHERE epoch = 1",
            "issued_by_end",
        ),
    ] {
        let plan = plan(world, query);
        assert!(plan.contains(index), "{plan}");
    }
    step(world, Rotation::Prepare).unwrap();
    let running = world.start();
    assert_eq!(session.renew(&running.unix(), world.now(), 2).status, 200);
    assert_eq!(
        session.issue(&running.unix(), world.now(), 1).refusal().1,
        "nonce-replayed"
    );
}
