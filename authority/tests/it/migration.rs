//! A store from before SSH and OpenPGP, opened by us.

use std::{fs, sync::Arc};

use notme_authority::{Admin, Storage};
use notme_core::{certificate::Certificate, trust::TrustDocument};
use rusqlite::Connection;

use crate::{
    client::Agent,
    world::{PASSPHRASE, World, passphrase, start},
};

/// The first schema, as it was. It never changes.
const SCHEMA: &str = include_str!("schema-1.sql");

/// Turns the store of a world into what the first version would have made of the same keys, with
/// the sessions that it has.
fn make_old(world: &World) {
    let (new, old) = (
        world.home().join("store.sqlite"),
        world.root.path().join("old.sqlite"),
    );
    let store = Connection::open(&old).unwrap();
    store.execute_batch(SCHEMA).unwrap();
    store
        .execute("ATTACH ?1 AS new", [new.to_str().unwrap()])
        .unwrap();
    for table in [
        "authority",
        "ca",
        "token",
        "session",
        "session_certificate",
        "nonce",
        "trust",
    ] {
        let copy = format!("INSERT INTO main.{table} SELECT * FROM new.{table}");
        store.execute(&copy, []).unwrap();
    }
    store
        .execute(
            "INSERT INTO main.issued SELECT * FROM new.issued
             WHERE kind IN ('mtls', 'signing', 'interop', 'x509', 'x509-interop')",
            [],
        )
        .unwrap();
    store.execute_batch("DETACH new").unwrap();
    store
        .execute_batch("PRAGMA application_id = 0x4e6d4175; PRAGMA user_version = 1;")
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
fn the_first_schema_is_still_the_one_we_begin_with() {
    assert_eq!(SCHEMA, include_str!("../../src/store/schema-1.sql"));
}
