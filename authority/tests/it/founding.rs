//! The first start, and the starts after it.

use std::{fs, os::unix::fs::MetadataExt as _, sync::Arc};

use notme_authority::{
    Admin, AdminError, NewToken, Observer, Protection, SealError, SealingKind, Secret, Serving,
    Storage, SystemClock, init,
};
use rusqlite::Connection;

use crate::{
    client::Agent,
    world::{PASSPHRASE, World, founding, passphrase, start, token},
};

#[test]
fn first_start_makes_both_roots_and_a_restart_keeps_them() {
    let world = World::new();
    let first = world.start();
    let bundle = world.admin().bundle().unwrap();
    assert_eq!(
        first.unix().get("/v1/ca-bundle.pem").body,
        bundle.as_bytes()
    );
    first.stop();
    let second = world.start();
    assert_eq!(
        second.unix().get("/v1/ca-bundle.pem").body,
        bundle.as_bytes()
    );

    let roots = world.admin().roots().unwrap();
    let lifetime = |at: usize| roots[at].not_after().secs() - roots[at].not_before().secs();
    assert_eq!(roots.len(), 2);
    assert_eq!(lifetime(0), 315_576_000);
    assert_eq!(
        roots[0].subject_text(),
        "CN=signet-authority notme.test,O=notme"
    );
    assert_eq!(
        roots[1].subject_text(),
        "CN=signet-authority interop notme.test,O=notme"
    );
    assert!(
        roots
            .iter()
            .all(|root| root.is_ca() && root.path_len() == Some(1))
    );
}

#[test]
fn every_file_is_private() {
    let world = World::new();
    let _running = world.start();
    let files = world.files();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let mode = fs::symlink_metadata(&file).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
}

#[test]
fn refuses_a_directory_that_others_can_enter() {
    let world = World::new();
    fs::create_dir(world.home()).unwrap();
    fs::set_permissions(
        world.home(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let error = start(world.config()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "directory-not-private");
}

#[test]
fn a_wrong_passphrase_opens_nothing_and_changes_nothing() {
    let world = World::new();
    let clock = Arc::new(SystemClock);
    let admin = init(
        &world.home(),
        &founding(),
        &passphrase(PASSPHRASE),
        clock.clone(),
    )
    .unwrap();
    let bundle = admin.bundle().unwrap();
    assert_eq!(admin.describe().unwrap().sealing, SealingKind::Passphrase);
    let open = |protection| init(&world.home(), &founding(), &protection, clock.clone());

    let wrong = open(passphrase(b"incorrect horse\n"))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(wrong.code(), "authority-secret-wrong");
    let other = open(Protection::LocalFile).map(|_| ()).unwrap_err();
    assert_eq!(other.code(), "authority-sealed-otherwise");
    assert_eq!(
        open(passphrase(PASSPHRASE)).unwrap().bundle().unwrap(),
        bundle
    );
}

#[test]
fn a_key_file_opens_only_with_the_same_content() {
    let world = World::new();
    let file = world.root.path().join("key");
    fs::write(&file, [7; 32]).unwrap();
    let open = || {
        let protection = Protection::KeyFile(Secret::key_file(&file).unwrap());
        init(
            &world.home(),
            &founding(),
            &protection,
            Arc::new(SystemClock),
        )
    };
    open().unwrap();
    open().unwrap();
    fs::write(&file, [8; 32]).unwrap();
    assert_eq!(
        open().map(|_| ()).unwrap_err().code(),
        "authority-secret-wrong"
    );
    fs::write(&file, [8; 31]).unwrap();
    assert!(matches!(
        Secret::key_file(&file),
        Err(SealError::SecretTooShort { least: 32 })
    ));
}

#[test]
fn a_lost_local_key_is_an_error_not_a_new_authority() {
    let world = World::new();
    world.start().stop();
    fs::remove_file(world.home().join("kek")).unwrap();
    let error = start(world.config()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "authority-kek-unreadable");
    assert!(!world.home().join("kek").exists());
}

#[test]
fn a_store_that_is_gone_is_an_error_not_a_new_authority() {
    let world = World::new();
    let running = world.start();
    let store = |side: &str| world.home().join(format!("store.sqlite{side}"));
    let log = fs::read(store("-wal")).unwrap();
    assert!(!log.is_empty());
    running.stop();
    let kek = world.home().join("kek");
    for path in [store(""), kek.clone()] {
        fs::remove_file(path).unwrap();
    }
    for left in [store("-wal"), store("-journal"), store("-shm"), kek] {
        fs::write(&left, &log).unwrap();
        let error = start(world.config()).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "authority-store-gone", "{left:?}");
        let cause = std::error::Error::source(&error).unwrap();
        let cause = cause.source().unwrap().to_string();
        assert!(cause.contains(left.to_str().unwrap()), "{cause}");
        assert_eq!(fs::read(&left).unwrap(), log);
        assert!(!store("").exists());
        fs::remove_file(left).unwrap();
    }
    world.start().stop();
}

/// The store is made before the file that opens its keys.
#[test]
fn a_first_start_that_died_is_gone_on_with() {
    let world = World::new();
    let mut config = world.config();
    config.founding.operator = "no operator".to_owned();
    let error = start(config).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "identity-malformed");
    let kek = fs::read(world.home().join("kek")).unwrap();
    world.start().stop();
    assert_eq!(fs::read(world.home().join("kek")).unwrap(), kek);

    let world = World::new();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::create_dir(world.home()).unwrap();
    fs::set_permissions(world.home(), private).unwrap();
    fs::write(world.home().join("store.sqlite"), "").unwrap();
    world.start().stop();
}

#[test]
fn sealed_keys_cannot_change_places() {
    let world = World::new();
    world.start().stop();
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    store
        .execute(
            "UPDATE ca SET sealed_key = (SELECT sealed_key FROM ca WHERE name = 'interop')",
            [],
        )
        .unwrap();
    let error = start(world.config()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "authority-secret-wrong");
}

#[test]
fn a_key_of_one_format_cannot_take_the_place_of_another() {
    let world = World::new();
    world.start().stop();
    let store = Connection::open(world.home().join("store.sqlite")).unwrap();
    for from in [
        "SELECT sealed_key FROM format_ca WHERE name = 'openpgp'",
        "SELECT sealed_key FROM ca WHERE name = 'ed25519'",
    ] {
        store
            .execute(
                &format!("UPDATE format_ca SET sealed_key = ({from}) WHERE name = 'ssh'"),
                [],
            )
            .unwrap();
        let error = start(world.config()).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "authority-secret-wrong");
    }
}

#[test]
fn a_format_key_that_is_lost_is_not_made_anew() {
    let world = World::new();
    world.start().stop();
    Connection::open(world.home().join("store.sqlite"))
        .unwrap()
        .execute("DELETE FROM format_ca WHERE name = 'ssh'", [])
        .unwrap();
    let error = start(world.config()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "authority-store-damaged");
}

/// PKCS#8 says what a key is in its first bytes; sealed, none of that is left.
#[test]
fn no_file_holds_a_private_key_in_the_clear() {
    let world = World::new();
    world.start().stop();
    let ed25519: &[u8] = &[0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let ec_private: &[u8] = &[0x02, 0x01, 0x01, 0x04, 0x20];
    for file in world.files() {
        let bytes = fs::read(&file).unwrap();
        for needle in [ed25519, ec_private] {
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{}", file.display());
        }
    }
}

#[test]
fn an_authority_in_memory_leaves_no_files() {
    let world = World::new();
    let mut config = world.config();
    config.storage = Storage::Memory;
    config.listen.remove(0);
    config.local = None;
    let running = start(config).unwrap();
    assert_eq!(running.tcp().get("/health").body, b"ok");
    assert!(world.files().is_empty());
    assert!(!world.home().exists());
}

#[test]
fn an_authority_in_memory_hands_out_tokens_through_its_observer() {
    struct Mint(std::sync::Mutex<Option<String>>);
    impl Observer for Mint {
        fn serving(&self, serving: &Serving<'_>) {
            assert_eq!(serving.sealing, SealingKind::Memory);
            let (made, _) = serving.admin.create_token(token()).unwrap();
            *self.0.lock().unwrap() = Some(made.expose().to_owned());
        }
    }
    let world = World::new();
    let mint = Arc::new(Mint(Default::default()));
    let mut config = world.config();
    config.storage = Storage::Memory;
    config.observer = mint.clone();
    let running = start(config).unwrap();
    let token = loop {
        if let Some(token) = mint.0.lock().unwrap().clone() {
            break token;
        }
        std::thread::yield_now();
    };
    Agent::new(1).session(&running.tcp(), Some(&token));
}

#[test]
fn a_store_of_a_later_version_or_of_something_else_is_refused() {
    let world = World::new();
    world.start().stop();
    let file = world.home().join("store.sqlite");
    Connection::open(&file)
        .unwrap()
        .pragma_update(None, "user_version", 9)
        .unwrap();
    let open = || {
        Admin::open(&world.home(), Arc::new(SystemClock))
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(open().code(), "authority-store-newer");
    Connection::open(&file)
        .unwrap()
        .pragma_update(None, "application_id", 1)
        .unwrap();
    assert_eq!(open().code(), "authority-store-foreign");
    for side in ["store.sqlite-wal", "store.sqlite-shm"] {
        let _ = fs::remove_file(world.home().join(side));
    }
    fs::write(&file, [b'x'; 8192]).unwrap();
    assert_eq!(open().code(), "authority-store-foreign");
}

#[test]
fn there_is_nothing_to_administer_before_the_first_start() {
    let world = World::new();
    let error = Admin::open(&world.home(), Arc::new(SystemClock))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, AdminError::NotFounded));
}

#[test]
fn a_name_that_cannot_be_part_of_an_identity_founds_nothing() {
    let world = World::new();
    let mut config = world.config();
    config.founding.operator = "a/b".to_owned();
    let error = start(config).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "identity-malformed");
    let refused = world.start();
    let bad = NewToken {
        principal: Some("a/b".to_owned()),
        ..token()
    };
    assert!(world.admin().create_token(bad).is_err());
    refused.stop();
}
