//! Backups, and what a restored authority remembers.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use notme_authority::{
    AdminError, AuditHead, BackupError, Published, Restored, RevocationReason, Revoked, backup,
    restore,
};
use notme_core::{dsse::Envelope, trust::TrustDocument};

use crate::{
    client::Agent,
    world::{World, start},
};

fn file(world: &World) -> PathBuf {
    world.root.path().join("backup.sqlite")
}

fn back_up(world: &World) -> Result<(), AdminError> {
    backup(&world.home(), &file(world), Arc::new(world.clock.clone()))
}

/// Loses the store but for the file that opens the keys.
fn lose(world: &World) {
    for side in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(world.home().join(format!("store.sqlite{side}")));
    }
}

fn bring_back(world: &World, published: Published) -> Result<Restored, AdminError> {
    restore(
        &world.home(),
        &file(world),
        &notme_authority::Protection::LocalFile,
        published,
        Arc::new(world.clock.clone()),
    )
}

fn head(world: &World) -> AuditHead {
    AuditHead::read_unchecked(&world.admin().audit_head().unwrap().unwrap()).unwrap()
}

fn seqno(envelope: &[u8]) -> u64 {
    let envelope = Envelope::from_json(envelope).unwrap();
    let document: TrustDocument = serde_json::from_slice(envelope.payload()).unwrap();
    document.seqno
}

#[test]
fn a_restored_authority_is_the_same_and_goes_on() {
    let world = World::new();
    let running = world.start();
    let agent = Agent::new(1);
    let session = agent.session(&running.unix(), None);
    assert_eq!(session.issue(&running.unix(), world.now(), 1).status, 200);
    let roots = world.admin().bundle().unwrap();
    // While it serves.
    back_up(&world).unwrap();
    let mode = fs::metadata(file(&world)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = head(&world);
    running.stop();
    lose(&world);

    world.advance(10);
    let restored = bring_back(&world, Published::Head(kept)).unwrap();
    assert_eq!(world.admin().verify_audit(None).unwrap(), restored.rows);
    assert_eq!(world.admin().bundle().unwrap(), roots);
    let running = world.start();
    assert_eq!(session.issue(&running.unix(), world.now(), 2).status, 200);
    // What was spent is spent.
    let again = session.issue(&running.unix(), world.now(), 1);
    assert_eq!(again.refusal().1, "nonce-replayed");
}

#[test]
fn the_number_of_the_trust_document_never_falls() {
    let world = World::new();
    let running = world.start();
    back_up(&world).unwrap();
    // Documents that the backup does not know.
    for number in 1..=3 {
        let what = Revoked::Certificate(format!("0{number}"));
        let reason = RevocationReason::Superseded;
        world.admin().revoke(&what, None, reason).unwrap();
        running.tcp().get("/v1/trust.json");
    }
    let before = seqno(&running.tcp().get("/v1/trust.json").body);
    assert_eq!(before, 4);
    running.stop();
    lose(&world);
    world.advance(1);
    let restored = bring_back(&world, Published::Unknown).unwrap();
    let running = world.start();
    let after = seqno(&running.tcp().get("/v1/trust.json").body);
    assert!(after > before && after >= restored.seqno.unwrap());
    running.stop();
    // And again, from the same backup.
    lose(&world);
    world.advance(1);
    let again = bring_back(&world, Published::Unknown).unwrap();
    assert!(again.seqno.unwrap() > after);
}

#[test]
fn a_backup_that_is_older_than_what_was_published_is_refused() {
    let world = World::new();
    let running = world.start();
    back_up(&world).unwrap();
    Agent::new(1).session(&running.unix(), None);
    world.advance(61);
    while head(&world).number < 3 {
        std::thread::yield_now();
    }
    let kept = head(&world);
    running.stop();
    lose(&world);
    let refused = bring_back(&world, Published::Head(kept)).unwrap_err();
    assert!(
        matches!(refused, AdminError::Backup(BackupError::Older { .. })),
        "{refused:?}"
    );
    assert!(!world.home().join("store.sqlite").exists());
    assert_eq!(refused.code(), "backup-older");
    bring_back(&world, Published::Unknown).unwrap();
}

#[test]
fn nothing_is_overwritten() {
    let world = World::new();
    world.start().stop();
    back_up(&world).unwrap();
    let before = fs::read(file(&world)).unwrap();
    let refused = back_up(&world).unwrap_err();
    assert_eq!(refused.code(), "backup-exists");
    assert_eq!(fs::read(file(&world)).unwrap(), before);
    let refused = bring_back(&world, Published::Unknown).unwrap_err();
    assert_eq!(refused.code(), "backup-exists");
    let left: Vec<_> = world.files();
    assert!(
        !left
            .iter()
            .any(|path| path.to_string_lossy().contains("partial")),
        "{left:?}"
    );
}

/// Copies a file of the store, with what the log of one that serves has.
fn keep(world: &World, side: &str) -> Vec<u8> {
    fs::read(world.home().join(format!("store.sqlite{side}"))).unwrap()
}

#[test]
fn a_store_is_not_restored_beside_what_is_left_of_another() {
    let world = World::new();
    let running = world.start();
    back_up(&world).unwrap();
    Agent::new(1).session(&running.unix(), None);
    let (log, index) = (keep(&world, "-wal"), keep(&world, "-shm"));
    assert!(!log.is_empty());
    running.stop();
    for (side, bytes) in [("-wal", &log), ("-shm", &index), ("-journal", &log)] {
        lose(&world);
        let left = world.home().join(format!("store.sqlite{side}"));
        fs::write(&left, bytes).unwrap();
        let refused = bring_back(&world, Published::Unknown).unwrap_err();
        assert_eq!(refused.code(), "backup-exists", "{side}");
        assert!(
            matches!(&refused, AdminError::Backup(BackupError::Leftover { path }) if *path == left),
            "{refused:?}"
        );
        assert_eq!(fs::read(&left).unwrap(), *bytes);
        assert!(!world.home().join("store.sqlite").exists());
        fs::remove_file(left).unwrap();
        let restored = bring_back(&world, Published::Unknown).unwrap();
        assert_eq!(world.admin().verify_audit(None).unwrap(), restored.rows);
    }
}

#[test]
fn a_backup_is_not_read_without_the_log_beside_it_nor_written_beside_one() {
    let world = World::new();
    let running = world.start();
    fs::write(file(&world), keep(&world, "")).unwrap();
    let bytes = keep(&world, "-wal");
    running.stop();
    lose(&world);
    for side in ["-wal", "-journal"] {
        let log = world.root.path().join(format!("backup.sqlite{side}"));
        fs::write(&log, &bytes).unwrap();
        let refused = bring_back(&world, Published::Unknown).unwrap_err();
        assert_eq!(refused.code(), "backup-log", "{side}");
        assert_eq!(fs::read(&log).unwrap(), bytes);
        assert!(!world.home().join("store.sqlite").exists());
        fs::remove_file(log).unwrap();
    }
    fs::remove_file(file(&world)).unwrap();
    fs::remove_file(world.home().join("kek")).unwrap();
    world.start().stop();
    let log = world.root.path().join("backup.sqlite-wal");
    fs::write(&log, &bytes).unwrap();
    assert_eq!(back_up(&world).unwrap_err().code(), "backup-exists");
    assert!(!file(&world).exists());
    fs::remove_file(&log).unwrap();
    back_up(&world).unwrap();
    // One without content is left by whoever only looked.
    fs::write(&log, "").unwrap();
    lose(&world);
    bring_back(&world, Published::Unknown).unwrap();
}

#[test]
fn what_a_killed_backup_left_hinders_no_other() {
    let world = World::new();
    world.start().stop();
    let left = [
        world.root.path().join("backup.sqlite.partial"),
        world.home().join("store.sqlite.partial"),
    ];
    for path in &left {
        fs::write(path, "half of a store").unwrap();
    }
    back_up(&world).unwrap();
    lose(&world);
    bring_back(&world, Published::Unknown).unwrap();
    let files = [world.files(), crate::world::files(world.root.path())].concat();
    let partial = |path: &&PathBuf| path.to_string_lossy().contains("partial");
    assert!(files.iter().filter(partial).all(|path| left.contains(path)));
}

#[test]
fn what_is_no_whole_backup_is_refused() {
    let world = World::new();
    world.start().stop();
    back_up(&world).unwrap();
    lose(&world);
    let good = fs::read(file(&world)).unwrap();
    let changed = |find: &[u8], put: &[u8]| {
        let at = good.windows(find.len()).position(|it| it == find).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + put.len()].copy_from_slice(put);
        bytes
    };
    for (bytes, code) in [
        (
            b"no database at all, but long enough to be looked at".to_vec(),
            "authority-store-foreign",
        ),
        (good[..good.len() / 2].to_vec(), "authority-store-failed"),
        (
            changed(b"\"act\":\"found\"", b"\"act\":\"fount\""),
            "audit-changed",
        ),
    ] {
        fs::write(file(&world), &bytes).unwrap();
        let refused = bring_back(&world, Published::Unknown).unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
        assert!(!world.home().join("store.sqlite").exists());
    }
    fs::write(file(&world), &good).unwrap();
    fs::rename(world.home().join("kek"), world.root.path().join("kek")).unwrap();
    let refused = bring_back(&world, Published::Unknown).unwrap_err();
    assert!(matches!(refused, AdminError::Open(_)), "{refused:?}");
    fs::rename(world.root.path().join("kek"), world.home().join("kek")).unwrap();
    bring_back(&world, Published::Unknown).unwrap();
}

#[test]
fn nobody_restores_under_a_running_authority() {
    let world = World::new();
    world.start().stop();
    back_up(&world).unwrap();
    let running = start(world.config()).unwrap();
    let refused = bring_back(&world, Published::Unknown).unwrap_err();
    assert!(matches!(refused, AdminError::Instance(_)), "{refused:?}");
    running.stop();
}

#[test]
fn a_backup_cannot_open_itself() {
    let world = World::new();
    let running = world.start();
    let kek = fs::read(world.home().join("kek")).unwrap();
    back_up(&world).unwrap();
    let bytes = fs::read(file(&world)).unwrap();
    assert!(!bytes.windows(kek.len()).any(|it| it == kek));
    running.stop();
}
