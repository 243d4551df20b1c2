//! Stores of before, opened by us: without SSH and OpenPGP, without epochs, without audit.

use std::{fs, sync::Arc};

use notme_authority::{Admin, Protection, RevocationReason, Revoked, Rotation, Storage, rotate};
use notme_core::{certificate::Certificate, key::Signer as _, trust::TrustDocument};
use rusqlite::{Connection, types::Value as Sql};

use crate::{
    client::Agent,
    world::{PASSPHRASE, World, passphrase, start},
};

/// The first schema, as it was. It never changes.
const SCHEMA: &str = include_str!("schema-1.sql");

/// What the later schemas added.
const LATER: [&str; 3] = [
    include_str!("../../src/store/schema-2.sql"),
    include_str!("../../src/store/schema-3.sql"),
    include_str!("../../src/store/schema-4.sql"),
];

/// The columns of each table that a program with an earlier schema knew and that are there still.
fn known(schema: usize) -> Vec<(&'static str, &'static str)> {
    let mut known = vec![
        (
            "authority",
            "id, trust_domain, operator, created_at, sealing",
        ),
        ("ca", "name, certificate, sealed_key"),
        ("token", "*"),
        ("session", "*"),
        ("session_certificate", "*"),
        ("nonce", "*"),
        ("trust", "*"),
        (
            "issued",
            "id, session, kind, serial, kid, certificate_sha256, payload_sha256, activity,
             issued_at, not_after",
        ),
    ];
    if schema > 1 {
        known.push(("format_ca", "name, public, sealed_key, created_at"));
    }
    if schema > 2 {
        known.push(("revocation", "*"));
    }
    if schema > 3 {
        known.extend([("ca_bundle", "id, seqno"), ("spent_token", "*")]);
    }
    known
}

/// Turns the store of a world into what the first version would have made of the same keys, with
/// the sessions that it has.
fn make_old(world: &World) {
    make_older(world, 1);
}

/// Turns the store of a world into what a program with an earlier schema would have made.
fn make_older(world: &World, schema: usize) {
    let (new, old) = (
        world.home().join("store.sqlite"),
        world.root.path().join("old.sqlite"),
    );
    let store = Connection::open(&old).unwrap();
    store.execute_batch(SCHEMA).unwrap();
    for later in &LATER[..schema - 1] {
        store.execute_batch(later).unwrap();
    }
    store
        .execute("ATTACH ?1 AS new", [new.to_str().unwrap()])
        .unwrap();
    for (table, columns) in known(schema) {
        // The epoch was one of the columns.
        let columns = columns.replace("operator,", "operator, 1,");
        // `ca_bundle` is made with a row.
        let copy = format!("INSERT OR REPLACE INTO main.{table} SELECT {columns} FROM new.{table}");
        store.execute(&copy, []).unwrap();
    }
    if schema == 1 {
        store
            .execute(
                "DELETE FROM main.issued
                 WHERE kind NOT IN ('mtls', 'signing', 'interop', 'x509', 'x509-interop')",
                [],
            )
            .unwrap();
    }
    store.execute_batch("DETACH new").unwrap();
    store
        .execute_batch(&format!(
            "PRAGMA application_id = 0x4e6d4175; PRAGMA user_version = {schema};"
        ))
        .unwrap();
    drop(store);
    for side in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(world.home().join(format!("store.sqlite{side}")));
    }
    fs::rename(&old, &new).unwrap();
}

#[test]
fn an_old_store_gets_the_keys_of_the_other_formats_and_loses_nothing() {
    let world = World::new();
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    let roots = world.admin().roots().unwrap();
    running.stop();
    make_old(&world);
    assert!(world.admin().format_keys().unwrap().is_empty());

    let running = world.start();
    assert_eq!(world.admin().roots().unwrap(), roots);
    assert_eq!(world.admin().format_keys().unwrap().len(), 2);
    // The session of before goes on, and has everything from its next renewal.
    assert_eq!(session.renew(&running.unix(), world.now(), 1).status, 200);
    let body = running.unix().get("/v1/trust.json").body;
    let pin = roots[0].public_key().spki_sha256();
    let trust = TrustDocument::verify(&body, &[pin], world.now()).unwrap();
    assert_eq!(trust.document().seqno, 2);
    assert_eq!(trust.document().ssh_ca.len(), 1);
    assert_eq!(trust.document().openpgp.len(), 1);
    assert_eq!(trust.document().tsa.len(), 1);
}

#[test]
fn a_store_from_before_time_stamps_gets_their_key_once_and_keeps_the_others() {
    let world = World::new();
    world.start().stop();
    let keys = world.admin().format_keys().unwrap();
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    let forget = "DELETE FROM format_ca WHERE name = 'tsa'";
    assert_eq!(store.execute(forget, []).unwrap(), 1);
    let kept = || -> Vec<u8> {
        let read = "SELECT public FROM format_ca WHERE name = 'tsa'";
        store.query_row(read, [], |row| row.get(0)).unwrap()
    };
    world.start().stop();
    let first = kept();
    world.start().stop();
    assert_eq!(kept(), first);
    let now = world.admin().format_keys().unwrap();
    let public = |keys: &[notme_authority::FormatKeyInfo]| -> Vec<String> {
        keys.iter().map(|key| key.public.clone()).collect()
    };
    assert_eq!(public(&now), public(&keys));
}

#[test]
fn the_keys_are_made_once() {
    let world = World::new();
    world.start().stop();
    make_old(&world);
    world.start().stop();
    let first = world.admin().format_keys().unwrap();
    world.start().stop();
    let second = world.admin().format_keys().unwrap();
    assert_eq!(first[0].public, second[0].public);
    assert_eq!(first[1].public, second[1].public);
}

#[test]
fn the_new_keys_are_sealed_as_the_old_ones() {
    let world = World::new();
    let sealed = |secret: &[u8]| {
        let mut config = world.config();
        config.storage = Storage::Directory {
            path: world.home(),
            protection: passphrase(secret),
        };
        config
    };
    start(sealed(PASSPHRASE)).unwrap().stop();
    make_old(&world);
    let error = start(sealed(b"another passphrase\n"))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.code(), "authority-secret-wrong");
    let admin = Admin::open(&world.home(), Arc::new(world.clock.clone())).unwrap();
    assert!(admin.format_keys().unwrap().is_empty());
    let running = start(sealed(PASSPHRASE)).unwrap();
    let enrolled = Agent::new(1).session(&running.unix(), None).enrolled;
    assert!(enrolled.certificates.ssh.is_some());
    Certificate::from_pem(&enrolled.certificates.signing).unwrap();
}

#[test]
fn a_store_without_epochs_has_its_keys_in_the_first() {
    let world = World::new();
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    let before = running.unix().get("/v1/trust.json").body;
    let revoked = Revoked::Key(Agent::new(9).signing.public_key().kid());
    let reason = RevocationReason::Superseded;
    world.admin().revoke(&revoked, None, reason).unwrap();
    running.stop();
    let described = world.admin().describe().unwrap();
    make_older(&world, 3);

    let after = world.admin().describe().unwrap();
    assert_eq!(
        serde_json::to_value(&after).unwrap(),
        serde_json::to_value(&described).unwrap()
    );
    let [epoch] = after.epochs.as_slice() else {
        panic!("{after:?}");
    };
    assert_eq!((epoch.epoch, epoch.state), (1, "active"));
    assert_eq!(epoch.from, Some(world.now().plus(-60)));
    let running = world.start();
    assert_eq!(session.renew(&running.unix(), world.now(), 1).status, 200);
    assert_eq!(running.unix().get("/v1/trust/1.json").body, before);
    // And it can be rotated, and knows what the old keys issued.
    let rotate = |step| {
        let clock = Arc::new(world.clock.clone());
        rotate(&world.home(), &Protection::LocalFile, step, clock)
    };
    rotate(Rotation::Now).unwrap();
    let error = rotate(Rotation::Retire).unwrap_err();
    assert_eq!(error.code(), "rotation-certificates-live");
}

#[test]
fn every_row_of_an_older_store_survives() {
    for schema in 1..=4 {
        let world = World::new();
        let running = world.start();
        let agent = Agent::new(1);
        let session = agent.session(&running.unix(), Some(world.token().expose()));
        assert_eq!(session.issue(&running.unix(), world.now(), 1).status, 200);
        running.unix().get("/internal/ca-bundle");
        let revoked = Revoked::Key(Agent::new(9).signing.public_key().kid());
        let reason = RevocationReason::Superseded;
        world.admin().revoke(&revoked, None, reason).unwrap();
        running.stop();
        let file = world.home().join("store.sqlite");
        let spend = "INSERT INTO spent_token VALUES (randomblob(32), 1795176000)";
        Connection::open(&file).unwrap().execute(spend, []).unwrap();
        make_older(&world, schema);

        let read = || -> Vec<Vec<Vec<Sql>>> {
            let store = Connection::open(&file).unwrap();
            let tables = known(schema).into_iter();
            tables
                .map(|(table, columns)| {
                    let read = format!("SELECT {columns} FROM {table} ORDER BY 1");
                    let mut read = store.prepare(&read).unwrap();
                    let width = read.column_count();
                    let row = |row: &rusqlite::Row<'_>| (0..width).map(|at| row.get(at)).collect();
                    let rows = read.query_map([], row).unwrap();
                    rows.collect::<Result<_, _>>().unwrap()
                })
                .collect()
        };
        let before = read();
        assert!(before.iter().all(|rows| !rows.is_empty()), "{schema}");
        world.admin();
        assert_eq!(read(), before, "{schema}");
        // And the store is in use again: the session goes on, with the rows that there are now.
        let running = world.start();
        assert_eq!(session.renew(&running.unix(), world.now(), 2).status, 200);
        assert_eq!(running.unix().get("/internal/ca-bundle").status, 200);
        world.admin().verify_audit(None).unwrap();
    }
}

#[test]
fn the_first_schema_is_still_the_one_we_begin_with() {
    assert_eq!(SCHEMA, include_str!("../../src/store/schema-1.sql"));
}
