//! The trust store on disk: pins, refreshes, and what an attacker or an accident may do to it.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
};

use notme_core::{hex, time::UnixTime, trust::TrustDocument};
use notme_testkit::{
    cast::{AUTHORITY_URL, TRUST_DOMAIN, TestAuthority},
    clock::NOW,
    testdata,
};
use notme_verifier::{
    Code, Trust, Verdict,
    load::{PemKind, Refreshed, TrustStore, TrustStoreError},
    trust::PinKind,
};
use tempfile::TempDir;

use crate::world::{assert_accepted, assert_code, bound_commit, judge_in, payload};

struct Store {
    directory: TempDir,
    store: TrustStore,
}

impl Store {
    fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = TrustStore::new(
            directory.path().join("data/trust"),
            directory.path().join("state/trust"),
        );
        Self { directory, store }
    }

    /// A store with the authority of seed 1 at document 5.
    fn pinned() -> Self {
        let it = Self::empty();
        let authority = TestAuthority::new(1);
        let document = authority.trust_document(5, NOW);
        it.store
            .add_document("local", &document, &authority.pins(), NOW)
            .unwrap();
        it
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.file("state/trust/local.json")
    }

    fn refresh(&self, document: &[u8]) -> Result<Refreshed, TrustStoreError> {
        self.store.refresh("local", document, &[], NOW)
    }

    fn fault(&self) -> Option<Code> {
        fault(&self.store.load(NOW))
    }
}

fn fault(trust: &Trust) -> Option<Code> {
    assert_eq!(trust.authorities().len() + trust.faults().len(), 1);
    trust.faults().first().map(|fault| fault.code)
}

/// A document as the one after `before`, or after nothing.
fn document(seqno: u64, issued_at: UnixTime, before: Option<&[u8]>) -> Vec<u8> {
    let authority = TestAuthority::new(1);
    let mut document = authority.trust(seqno, issued_at);
    document.previous = before.map(|envelope| digest(envelope, &authority.pins()));
    authority.sign_trust(&document)
}

fn digest(envelope: &[u8], pins: &[[u8; 32]]) -> String {
    hex::encode(
        &TrustDocument::verify(envelope, pins, NOW)
            .unwrap()
            .payload_sha256(),
    )
}

#[test]
fn a_store_that_was_never_written_is_empty() {
    let it = Store::empty();
    assert!(it.store.load(NOW).is_empty());
    assert!(!it.store.contains("local"));
}

#[test]
fn a_pinned_document_is_trusted() {
    let it = Store::pinned();
    let trust = it.store.load(NOW);
    let authority = &trust.authorities()[0];
    assert_eq!(authority.kind(), PinKind::TrustDocument);
    assert_eq!(authority.scopes(), ["sign:git"]);
    assert_eq!(authority.document().unwrap().seqno, 5);
    assert_accepted(&judge_in(&bound_commit(&payload()), &trust, NOW));
    assert!(it.store.document("local").is_ok());
}

#[test]
fn files_are_private_and_leave_nothing_beside_them() {
    let it = Store::pinned();
    let mode = |name: &str| fs::metadata(it.file(name)).unwrap().mode() & 0o777;
    for name in ["data/trust", "data/trust/local", "state/trust"] {
        assert_eq!(mode(name), 0o700, "{name}");
    }
    for name in [
        "data/trust/local/pin.json",
        "data/trust/local/trust.json",
        "state/trust/local.json",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(
        fs::read_dir(it.file("data/trust/local")).unwrap().count(),
        2
    );
}

#[test]
fn a_document_without_a_pin_or_by_another_key_is_not_taken() {
    let it = Store::empty();
    let document = document(1, NOW, None);
    let add = |pins: &[[u8; 32]]| {
        it.store
            .add_document("local", &document, pins, NOW)
            .unwrap_err()
    };
    assert!(matches!(add(&[]), TrustStoreError::PinRequired));
    assert_eq!(
        add(&TestAuthority::new(2).pins()).code(),
        Code::BundleInvalid
    );
    assert!(it.store.load(NOW).is_empty());
}

#[test]
fn names_that_could_leave_the_store_are_refused() {
    let it = Store::empty();
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "../a",
        "A",
        "-a",
        "a b",
        &"a".repeat(65),
    ] {
        let error = it
            .store
            .add_pem(name, &pem(1), PemKind::Notme, &[])
            .unwrap_err();
        assert!(matches!(error, TrustStoreError::Name(_)), "{name}");
    }
}

#[test]
fn a_name_is_given_once() {
    let it = Store::pinned();
    let error = it
        .store
        .add_pem("local", &pem(2), PemKind::Notme, &[])
        .unwrap_err();
    assert!(matches!(error, TrustStoreError::Exists(_)));
    it.store.remove("local").unwrap();
    assert!(it.store.load(NOW).is_empty());
    assert!(!it.state().exists());
    it.store
        .add_pem("local", &pem(2), PemKind::Notme, &[])
        .unwrap();
    assert!(matches!(
        it.store.remove("other"),
        Err(TrustStoreError::Unknown(_))
    ));
}

#[test]
fn a_newer_document_takes_the_place_of_the_older() {
    let it = Store::pinned();
    let first = it.store.document("local").unwrap();
    let next = document(6, NOW, Some(&first));
    assert_eq!(
        it.refresh(&next).unwrap(),
        Refreshed::Updated { from: 5, to: 6 }
    );
    assert_eq!(it.refresh(&next).unwrap(), Refreshed::Unchanged);
    assert_eq!(
        it.refresh(&document(9, NOW, None)).unwrap(),
        Refreshed::Updated { from: 6, to: 9 }
    );
    assert_eq!(
        it.store.load(NOW).authorities()[0]
            .document()
            .unwrap()
            .seqno,
        9
    );
}

#[test]
fn an_older_document_is_a_rollback_on_refresh_and_on_disk() {
    let it = Store::pinned();
    let old = document(4, NOW, None);
    assert_eq!(it.refresh(&old).unwrap_err().code(), Code::BundleRollback);
    assert_eq!(it.fault(), None);
    fs::write(it.file("data/trust/local/trust.json"), old).unwrap();
    assert_eq!(it.fault(), Some(Code::BundleRollback));
    let judgement = judge_in(&bound_commit(&payload()), &it.store.load(NOW), NOW);
    assert_code(&judgement, Code::BundleRollback);
}

#[test]
fn another_document_of_the_same_number_is_equivocation() {
    let it = Store::pinned();
    let other = document(5, NOW.plus(-1), None);
    assert_eq!(
        it.refresh(&other).unwrap_err().code(),
        Code::BundleEquivocation
    );
    fs::write(it.file("data/trust/local/trust.json"), other).unwrap();
    assert_eq!(it.fault(), Some(Code::BundleEquivocation));
}

#[test]
fn a_next_document_that_follows_another_is_equivocation() {
    let it = Store::pinned();
    for before in [Some(document(5, NOW.plus(-1), None)), None] {
        let next = document(6, NOW, before.as_deref());
        assert_eq!(
            it.refresh(&next).unwrap_err().code(),
            Code::BundleEquivocation
        );
    }
    assert_eq!(it.fault(), None);
}

#[test]
fn a_document_without_time_is_invalid() {
    let it = Store::pinned();
    for at in [UnixTime::from_secs(0), UnixTime::from_secs(-1)] {
        assert_eq!(
            it.refresh(&document(6, at, None)).unwrap_err().code(),
            Code::BundleInvalid
        );
    }
}

#[test]
fn a_document_from_the_future_is_undecided_since_the_clock_may_be_slow() {
    let it = Store::pinned();
    let error = it.refresh(&document(6, NOW.plus(61), None)).unwrap_err();
    assert_eq!(error.code(), Code::TrustFromFuture);
    let trust = it.store.load(NOW.plus(-61));
    assert_eq!(fault(&trust), Some(Code::TrustFromFuture));
    let message = &trust.faults()[0].message;
    assert!(message.contains("this machine's clock says"), "{message}");
    let judgement = judge_in(&bound_commit(&payload()), &trust, NOW.plus(-61));
    assert_eq!(
        judgement.verdict(),
        Verdict::Undecided(Code::TrustFromFuture)
    );
}

/// A store of the authority of seed 1, and a document of the one after with a change.
fn changed(change: impl FnOnce(&mut TrustDocument)) -> (Store, Vec<u8>) {
    let (it, authority) = (Store::pinned(), TestAuthority::new(1));
    let mut document = authority.trust(8, NOW);
    change(&mut document);
    (it, authority.sign_trust(&document))
}

#[test]
fn an_authority_keeps_its_trust_domain_and_its_name() {
    for (what, domain, url) in [
        ("trust domain", "other.invalid", AUTHORITY_URL),
        ("authority", TRUST_DOMAIN, "https://other.invalid"),
    ] {
        let (it, document) = changed(|document| {
            document.trust_domain = domain.to_owned();
            document.authority = url.to_owned();
        });
        let error = it.refresh(&document).unwrap_err();
        assert!(matches!(error, TrustStoreError::Changed { .. }), "{error}");
        assert_eq!(error.code(), Code::BundleInvalid);
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(it.fault(), None);
        // Nor behind the store's back.
        fs::write(it.file("data/trust/local/trust.json"), &document).unwrap();
        assert_eq!(it.fault(), Some(Code::BundleInvalid));
    }
}

#[test]
fn a_trust_domain_that_is_a_pattern_is_not_taken() {
    for domain in ["*", "test.invalid/agent/alice", "t*"] {
        let authority = TestAuthority::new(1);
        let mut document = authority.trust(1, NOW);
        document.trust_domain = domain.to_owned();
        let envelope = authority.sign_trust(&document);
        let it = Store::empty();
        let error = it
            .store
            .add_document("local", &envelope, &authority.pins(), NOW)
            .unwrap_err();
        assert_eq!(error.code(), Code::BundleInvalid);
        assert!(it.store.load(NOW).is_empty());
    }
}

#[test]
fn two_authorities_never_issue_for_one_trust_domain() {
    let it = Store::pinned();
    let add = |seed, domain: &str| {
        let authority = TestAuthority::new(seed);
        let mut document = authority.trust(1, NOW);
        document.trust_domain = domain.to_owned();
        let envelope = authority.sign_trust(&document);
        it.store
            .add_document("other", &envelope, &authority.pins(), NOW)
    };
    for domain in ["test.invalid", "TEST.invalid"] {
        let error = add(2, domain).unwrap_err();
        assert!(matches!(error, TrustStoreError::TrustDomainTaken { .. }));
        assert_eq!(error.usage_code(), Some("trust-domain-taken"));
        assert!(!it.store.contains("other"));
    }
    add(2, "other.invalid").unwrap();
}

#[test]
fn two_authorities_never_have_one_root() {
    let it = Store::pinned();
    let error = it
        .store
        .add_pem("other", &pem(1), PemKind::Notme, &[])
        .unwrap_err();
    assert!(matches!(error, TrustStoreError::RootTaken { .. }));
    assert_eq!(error.usage_code(), Some("root-taken"));
    // Nor by taking it over later.
    let (thief, old) = (TestAuthority::new(2), TestAuthority::new(3));
    let mut document = thief.trust(1, NOW);
    document.trust_domain = "thief.invalid".to_owned();
    it.store
        .add_document("thief", &thief.sign_trust(&document), &thief.pins(), NOW)
        .unwrap();
    it.store
        .add_pem("third", &pem(3), PemKind::X509, &[])
        .unwrap();
    document.seqno = 3;
    document.roots.extend(old.trust(1, NOW).roots);
    let both = [thief.ed25519_key(), old.ed25519_key()];
    let envelope = document
        .sign(&[both[0], both[1], thief.p256_key(), old.p256_key()])
        .unwrap();
    let error = it.store.refresh("thief", &envelope, &[], NOW).unwrap_err();
    assert!(
        matches!(error, TrustStoreError::RootTaken { .. }),
        "{error}"
    );
}

#[test]
fn a_retired_root_has_to_be_known_from_before() {
    let other = TestAuthority::new(2);
    let (it, annexing) = changed(|document| {
        let mut roots = other.trust(1, NOW).roots;
        roots[0].retired_at = Some(NOW);
        document.roots.push(roots.remove(0));
    });
    assert_eq!(
        it.refresh(&annexing).unwrap_err().code(),
        Code::BundleInvalid
    );
    let (it, tomorrow) = changed(|document| {
        let mut roots = other.trust(1, NOW).roots;
        roots[0].retired_at = Some(NOW.plus(86_400));
        document.roots.push(roots.remove(0));
    });
    assert_eq!(
        it.refresh(&tomorrow).unwrap_err().code(),
        Code::BundleInvalid
    );
}

#[test]
fn a_store_that_is_only_read_records_nothing_and_says_so() {
    let it = Store::pinned();
    let reader = TrustStore::read_only(it.file("data/trust"));
    fs::remove_dir_all(it.file("state")).unwrap();
    let trust = reader.load(NOW);
    assert_eq!(fault(&trust), None);
    assert!(!trust.is_recorded());
    assert_accepted(&judge_in(&bound_commit(&payload()), &trust, NOW));
    // Older documents pass unseen, which is what the note is for.
    fs::write(
        it.file("data/trust/local/trust.json"),
        document(4, NOW, None),
    )
    .unwrap();
    assert_eq!(fault(&reader.load(NOW)), None);
    assert!(!it.file("state").exists());
    assert_eq!(
        fs::read_dir(it.file("data/trust/local")).unwrap().count(),
        2
    );
    let changes = [
        reader
            .refresh("local", &document(6, NOW, None), &[], NOW)
            .map(|_| ()),
        reader.remove("local"),
        reader
            .add_pem("other", &pem(2), PemKind::X509, &[])
            .map(|_| ()),
    ];
    for change in changes {
        let error = change.unwrap_err();
        assert_eq!(error.usage_code(), Some("trust-read-only"), "{error}");
    }
    assert!(it.store.load(NOW).is_recorded());
}

#[test]
fn mistakes_of_the_call_are_told_from_faults_of_the_store() {
    let it = Store::pinned();
    let add = |name, pem: &str| it.store.add_pem(name, pem, PemKind::X509, &[]).unwrap_err();
    let leaf = crate::world::session(&notme_testkit::cast::LeafSpec::default());
    for (error, code) in [
        (add("local", &pem(2)), "authority-exists"),
        (add("No", &pem(2)), "authority-name"),
        (add("leaf", &leaf.certificate().pem()), "not-an-authority"),
        (it.store.remove("none").unwrap_err(), "authority-unknown"),
        (
            it.store.refresh("none", b"", &[], NOW).unwrap_err(),
            "authority-unknown",
        ),
    ] {
        assert_eq!(error.usage_code(), Some(code), "{error}");
    }
    assert_eq!(it.refresh(b"{}").unwrap_err().usage_code(), None);
}

#[test]
fn a_lost_record_is_no_first_run() {
    let it = Store::pinned();
    fs::remove_file(it.state()).unwrap();
    assert_eq!(it.fault(), Some(Code::TrustStateMissing));
    let error = it.refresh(&document(9, NOW, None)).unwrap_err();
    assert_eq!(error.code(), Code::TrustStateMissing);
    let judgement = judge_in(&bound_commit(&payload()), &it.store.load(NOW), NOW);
    assert_code(&judgement, Code::TrustStateMissing);
}

#[test]
fn a_crash_between_document_and_record_is_no_rollback() {
    let it = Store::pinned();
    let first = it.store.document("local").unwrap();
    let next = document(6, NOW, Some(&first));
    fs::write(it.file("data/trust/local/trust.json"), &next).unwrap();
    assert_eq!(it.fault(), None);
    // And what was on disk counts as seen.
    assert_eq!(it.refresh(&first).unwrap_err().code(), Code::BundleRollback);
    assert_eq!(it.refresh(&next).unwrap(), Refreshed::Unchanged);
}

#[test]
fn files_that_are_missing_or_malformed_are_unreadable_and_never_empty() {
    for name in ["data/trust/local/pin.json", "data/trust/local/trust.json"] {
        let it = Store::pinned();
        fs::remove_file(it.file(name)).unwrap();
        assert_eq!(it.fault(), Some(Code::TrustUnreadable), "{name}");
    }
    for (name, text) in [
        ("data/trust/local/pin.json", "{}"),
        ("data/trust/local/pin.json", ""),
        ("state/trust/local.json", "{\"version\":1}"),
        ("state/trust/local.json", ""),
    ] {
        let it = Store::pinned();
        fs::write(it.file(name), text).unwrap();
        assert_eq!(it.fault(), Some(Code::TrustUnreadable), "{name}");
    }
    for text in ["", "{}", "no JSON", "{\"payloadType\":\"a\"}"] {
        let it = Store::pinned();
        fs::write(it.file("data/trust/local/trust.json"), text).unwrap();
        assert_eq!(it.fault(), Some(Code::TrustUnreadable), "{text}");
        let judgement = judge_in(&bound_commit(&payload()), &it.store.load(NOW), NOW);
        assert_eq!(
            judgement.verdict(),
            Verdict::Undecided(Code::TrustUnreadable)
        );
    }
}

#[test]
fn a_well_formed_document_that_nobody_pinned_signed_is_invalid() {
    let it = Store::pinned();
    let other = TestAuthority::new(2).trust_document(9, NOW);
    fs::write(it.file("data/trust/local/trust.json"), other).unwrap();
    assert_eq!(it.fault(), Some(Code::BundleInvalid));
    let judgement = judge_in(&bound_commit(&payload()), &it.store.load(NOW), NOW);
    assert_code(&judgement, Code::BundleInvalid);
}

#[test]
fn unknown_fields_and_versions_of_a_pin_are_refused() {
    let it = Store::pinned();
    let path = it.file("data/trust/local/pin.json");
    let pin = fs::read_to_string(&path).unwrap();
    for altered in [
        pin.replace("\"version\": 1", "\"version\": 2"),
        pin.replace("\"version\"", "\"colour\": 1, \"version\""),
        pin.replace("trust-document", "guess"),
    ] {
        assert_ne!(altered, pin);
        fs::write(&path, altered).unwrap();
        assert_eq!(it.fault(), Some(Code::TrustUnreadable));
    }
}

#[test]
fn what_others_may_write_is_not_read() {
    for name in [
        "data/trust/local/pin.json",
        "data/trust/local",
        "state/trust/local.json",
        "state/trust",
    ] {
        let it = Store::pinned();
        let path = it.file(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o020)).unwrap();
        assert_eq!(it.fault(), Some(Code::TrustUnreadable), "{name}");
    }
}

#[test]
fn a_store_that_cannot_be_listed_leaves_everybody_undecided() {
    let it = Store::pinned();
    let trust = it.file("data/trust");
    fs::set_permissions(&trust, fs::Permissions::from_mode(0o777)).unwrap();
    let trust = it.store.load(NOW);
    let policy = notme_verifier::Policy::parse("[[authority]]\nname = \"local\"\n").unwrap();
    for policy in [policy, notme_verifier::Policy::from_trust(&trust)] {
        let judgement = crate::world::judge_by(&bound_commit(&payload()), &policy, &trust, NOW);
        assert_code(&judgement, Code::TrustUnreadable);
    }
}

#[test]
fn a_link_in_the_place_of_an_authority_may_have_taken_back_anything() {
    let it = Store::pinned();
    let (home, elsewhere) = (it.file("data/trust/local"), it.file("elsewhere"));
    fs::rename(&home, &elsewhere).unwrap();
    for target in [elsewhere.as_path(), std::path::Path::new("nowhere")] {
        symlink(target, &home).unwrap();
        let trust = it.store.load(NOW);
        let [fault] = trust.faults() else {
            panic!("{:?}", trust.faults());
        };
        assert_eq!(fault.code, Code::TrustUnreadable);
        assert!(fault.message.contains("is a link"), "{}", fault.message);
        assert_eq!(fault.keys, None);
        assert!(it.store.contains("local"));
        // What it stands for stays.
        it.store.remove("local").unwrap();
        assert!(home.symlink_metadata().is_err());
        assert!(elsewhere.is_dir());
    }
}

#[test]
fn whom_an_unreadable_authority_speaks_for_is_known_from_its_pin() {
    let it = Store::pinned();
    fs::write(it.file("data/trust/local/trust.json"), "garbage").unwrap();
    let trust = it.store.load(NOW);
    let domains: Vec<_> = trust.faults().iter().map(|it| &it.trust_domain).collect();
    assert_eq!(domains, [&Some("test.invalid".to_owned())]);
}

/// As `cp -r` does where there is one: what the newer documents take back is not known by the older.
#[test]
fn a_store_that_was_copied_into_another_leaves_everybody_undecided() {
    let it = Store::pinned();
    let below = it.file("data/trust/trust/local");
    fs::create_dir_all(&below).unwrap();
    fs::copy(it.file("data/trust/local/pin.json"), below.join("pin.json")).unwrap();
    let faults = || {
        let trust = it.store.load(NOW);
        let faults = trust.faults().iter();
        faults
            .map(|it| (it.code, it.keys.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(faults(), [(Code::TrustUnreadable, None)]);
    // Also below an authority that is called as the directory is, and by whomever it can be changed.
    let beside = it.file("data/trust/trust/pin.json");
    fs::copy(it.file("data/trust/local/pin.json"), beside).unwrap();
    let all = fs::Permissions::from_mode(0o777);
    fs::set_permissions(it.file("data/trust/trust"), all).unwrap();
    assert_eq!(faults(), [(Code::TrustUnreadable, None)]);
    let trust = it.store.load(NOW);
    assert!(trust.faults()[0].message.contains("copied into this one"));
    let policy = notme_verifier::Policy::from_trust(&trust);
    let judgement = crate::world::judge_by(&bound_commit(&payload()), &policy, &trust, NOW);
    assert_code(&judgement, Code::TrustUnreadable);
}

#[test]
fn a_link_to_a_file_is_no_authority() {
    let it = Store::pinned();
    fs::write(it.file("README.md"), "").unwrap();
    symlink(it.file("README.md"), it.file("data/trust/README.md")).unwrap();
    assert_eq!(it.fault(), None);
}

#[test]
fn a_store_that_somebody_named_has_to_be_there() {
    let it = Store::pinned();
    let absent = it.file("absent");
    let trust = TrustStore::read_only(&absent).load(NOW);
    let policy = notme_verifier::Policy::from_trust(&trust);
    let judgement = crate::world::judge_by(&bound_commit(&payload()), &policy, &trust, NOW);
    assert_code(&judgement, Code::TrustUnreadable);
    let detail = judgement.detail().unwrap();
    assert!(detail.contains(absent.to_str().unwrap()), "{detail}");
    // One's own is empty before anything is in it.
    let trust = TrustStore::new(&absent, it.file("state")).load(NOW);
    assert!(trust.faults().is_empty());
}

#[test]
fn a_state_that_points_nowhere_is_unreadable_and_not_absent() {
    let it = Store::pinned();
    fs::remove_file(it.state()).unwrap();
    symlink("nowhere", it.state()).unwrap();
    assert_eq!(it.fault(), Some(Code::TrustUnreadable));
}

#[test]
fn an_oversized_file_is_not_read_into_memory() {
    let it = Store::pinned();
    let file = fs::File::create(it.file("data/trust/local/trust.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert_eq!(it.fault(), Some(Code::TrustUnreadable));
}

#[test]
fn a_rotation_is_walked_from_the_old_key_to_the_new() {
    let (old, new) = (TestAuthority::new(1), TestAuthority::new(2));
    let it = Store::pinned();
    let mut document = new.trust(6, NOW);
    for mut root in old.trust(6, NOW).roots {
        root.retired_at = Some(NOW);
        document.roots.push(root);
    }
    document.previous = Some(digest(&it.store.document("local").unwrap(), &old.pins()));
    // Only the new key signed: whoever took the old one's place could have made it.
    let only_new = document.sign(&[new.ed25519_key(), new.p256_key()]).unwrap();
    assert_eq!(
        it.refresh(&only_new).unwrap_err().code(),
        Code::BundleInvalid
    );
    let both = document
        .sign(&[new.ed25519_key(), new.p256_key(), old.ed25519_key()])
        .unwrap();
    it.refresh(&both).unwrap();
    assert_eq!(it.fault(), None);
    // From here on the new key is enough, and the old one is not.
    let mut next = document.clone();
    next.seqno = 8;
    it.refresh(&new.sign_trust(&next)).unwrap();
    let old_only = old.trust_document(9, NOW);
    assert_eq!(
        it.refresh(&old_only).unwrap_err().code(),
        Code::BundleInvalid
    );
    assert_accepted(&judge_in(
        &bound_commit(&payload()),
        &it.store.load(NOW),
        NOW,
    ));
}

#[test]
fn missed_rotations_are_walked_by_the_handovers() {
    let it = Store::pinned();
    let [first, second, third] = [1, 2, 3].map(TestAuthority::new);
    let mut document = third.trust(30, NOW);
    document.roots.extend(first.retired(NOW.plus(-60), &second));
    document.roots.extend(second.retired(NOW.plus(-30), &third));
    let envelope = third.sign_trust(&document);
    it.refresh(&envelope).unwrap();
    assert_eq!(it.fault(), None);
    // What was signed before the rotation stays good, and the old root says nothing any more.
    let raw = bound_commit(&payload());
    assert_accepted(&judge_in(&raw, &it.store.load(NOW), NOW));
    assert_eq!(
        it.refresh(&first.trust_document(31, NOW))
            .unwrap_err()
            .code(),
        Code::BundleInvalid
    );
    // Who comes later and pins the newest root gets the same.
    let late = Store::empty();
    late.store
        .add_document("local", &envelope, &third.pins()[..1], NOW)
        .unwrap();
    assert_accepted(&judge_in(&raw, &late.store.load(NOW), NOW));
}

#[test]
fn what_was_missed_has_to_lead_from_what_was_seen_to_what_is_new() {
    let it = Store::pinned();
    let five = it.store.document("local").unwrap();
    let six = document(6, NOW, Some(&five));
    let seven = document(7, NOW, Some(&six));
    let eight = document(8, NOW, Some(&seven));
    assert_eq!(it.store.missed("local", &eight, NOW).unwrap(), 6..8);
    let through = |missed: &[&Vec<u8>]| {
        let missed: Vec<_> = missed.iter().map(|it| (*it).clone()).collect();
        it.store.refresh("local", &eight, &missed, NOW)
    };
    // Another one of the same number, which somebody else may have been shown.
    let other = document(6, NOW.plus(-1), Some(&five));
    let forked = document(6, NOW, Some(&document(5, NOW.plus(-1), None)));
    for missed in [
        &[&other, &seven][..],
        &[&forked, &seven],
        &[&seven],
        &[&six],
        &[&seven, &six],
    ] {
        let error = through(missed).unwrap_err();
        assert_eq!(error.code(), Code::BundleEquivocation, "{error}");
    }
    let junk = through(&[&b"{}".to_vec(), &seven]).unwrap_err();
    assert_eq!(junk.code(), Code::TrustUnreadable);
    assert_eq!(
        through(&[&six, &seven]).unwrap(),
        Refreshed::Updated { from: 5, to: 8 }
    );
    assert!(it.store.missed("local", &eight, NOW).unwrap().is_empty());
}

fn pem(seed: u8) -> String {
    let authority = TestAuthority::new(seed);
    format!(
        "{}{}",
        authority.ed25519_root().pem(),
        authority.p256_root().pem()
    )
}

#[test]
fn certificates_are_pinned_with_the_scopes_of_their_kind() {
    let it = Store::empty();
    it.store
        .add_pem("notme", &pem(1), PemKind::Notme, &[])
        .unwrap();
    it.store
        .add_pem("corporate", &pem(2), PemKind::X509, &[])
        .unwrap();
    let trust = it.store.load(NOW);
    assert!(trust.faults().is_empty());
    let [corporate, notme] = trust.authorities() else {
        panic!("two authorities")
    };
    assert!(corporate.scopes().is_empty());
    assert_eq!(notme.scopes(), ["bridgeCert", "sign:git"]);
    assert_eq!(notme.roots().len(), 2);
}

#[test]
fn an_expected_pin_chooses_among_the_certificates() {
    let it = Store::empty();
    let both = format!("{}{}", pem(1), pem(2));
    let pin = TestAuthority::new(2)
        .ed25519_root()
        .public_key()
        .spki_sha256();
    let authority = it
        .store
        .add_pem("local", &both, PemKind::Notme, &[pin])
        .unwrap();
    assert_eq!(authority.roots().len(), 1);
    assert_eq!(it.store.load(NOW).authorities()[0].roots().len(), 1);
    let error = it
        .store
        .add_pem("other", &pem(1), PemKind::Notme, &[pin])
        .unwrap_err();
    assert!(matches!(error, TrustStoreError::PinNotMet(_)));
    assert!(!it.store.contains("other"));
}

#[test]
fn a_bundle_changed_behind_its_pin_is_noticed() {
    let it = Store::empty();
    it.store
        .add_pem("local", &pem(1), PemKind::Notme, &[])
        .unwrap();
    fs::write(it.file("data/trust/local/bundle.pem"), pem(2)).unwrap();
    assert_eq!(it.fault(), Some(Code::BundleInvalid));
    fs::write(
        it.file("data/trust/local/bundle.pem"),
        format!("{}{}", pem(1), pem(2)),
    )
    .unwrap();
    assert_eq!(it.store.load(NOW).authorities()[0].roots().len(), 2);
}

#[test]
fn certificates_that_issue_nothing_are_no_authority() {
    let it = Store::empty();
    let leaf = crate::world::session(&notme_testkit::cast::LeafSpec::default())
        .certificate()
        .pem();
    let error = it
        .store
        .add_pem("local", &leaf, PemKind::X509, &[])
        .unwrap_err();
    assert!(matches!(error, TrustStoreError::NotAnAuthority(_)));
    let error = it
        .store
        .add_pem("local", "no certificate", PemKind::X509, &[])
        .unwrap_err();
    assert!(matches!(error, TrustStoreError::Certificates(_)));
}

#[test]
fn the_signed_bundle_of_the_hosted_authority_is_checked_and_counted() {
    let it = Store::empty();
    let bundle = |name: &str| testdata::bytes(&format!("notme-authority/prod/bundles/{name}.json"));
    it.store
        .add_pem(
            "hosted",
            &testdata::text("notme-authority/prod/ca/ca.pem"),
            PemKind::Notme,
            &[],
        )
        .unwrap();
    let at = UnixTime::from_secs(1_795_212_440);
    let check = |name, at| it.store.check_bundle("hosted", &bundle(name), at);
    assert_eq!(check("epoch1", at).unwrap().epoch, 1);
    assert_eq!(
        check("epoch1", at.plus(400)).unwrap_err().code(),
        Code::TrustStale
    );
    check("epoch1-next-seqno", at).unwrap();
    assert_eq!(
        check("epoch1", at).unwrap_err().code(),
        Code::BundleRollback
    );
    assert_eq!(check("epoch2", at).unwrap_err().code(), Code::BundleInvalid);
    let state = it.file("state/trust/hosted.json");
    fs::remove_file(&state).unwrap();
    assert_eq!(
        check("epoch1-next-seqno", at).unwrap_err().code(),
        Code::TrustStateMissing
    );
    assert_eq!(it.fault(), Some(Code::TrustStateMissing));
}

#[test]
fn the_digest_of_trust_changes_with_what_a_verdict_rests_on() {
    let it = Store::pinned();
    let before = it.store.load(NOW).digest();
    assert_eq!(it.store.load(NOW).digest(), before);
    it.refresh(&document(9, NOW, None)).unwrap();
    assert_ne!(it.store.load(NOW).digest(), before);
    assert!(before.starts_with("sha256:") && before.len() == 71);
}

#[test]
fn several_writers_leave_a_whole_store() {
    let it = Store::pinned();
    std::thread::scope(|scope| {
        for seqno in 6..14 {
            let it = &it;
            scope.spawn(move || it.refresh(&document(2 * seqno, NOW, None)).ok());
        }
    });
    let trust = it.store.load(NOW);
    assert_eq!(trust.authorities()[0].document().unwrap().seqno, 26);
}
