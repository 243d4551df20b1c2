//! What earlier runs found out: repeated, and never better.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use notme_core::{
    key::sha256,
    openpgp::KeyBlocks,
    time::UnixTime,
    trust::{Revocation, RevocationKind, TrustDocument},
};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    commit::{CommitSpec, with_signature},
    gnupg::Gnupg,
    repository::Repository as Git,
};
use notme_verifier::{
    Cache, Judge, Lineage, Policy, Repository, Trust,
    lineage::TrustRoot,
    openpgp::Person,
    report::Lines,
    trust::{Authority, PinKind},
    verify_range,
};
use tempfile::TempDir;

use crate::{
    history::{History, code_of, identity, policy},
    world::{authority, floor, trust, trust_in},
};

const PERSON: &str = "Carol <carol@example.org>";
const POLICY: &str = ".notme/policy.toml";
const ACCEPTED: &str = "\"verdict\":\"accepted\"";

/// A repository, and where its verdicts are kept.
struct World {
    git: Git,
    kept: TempDir,
    tip: Option<String>,
    made: i64,
}

impl World {
    fn new() -> Self {
        Self {
            git: Git::new(),
            kept: TempDir::new().unwrap(),
            tip: None,
            made: 0,
        }
    }

    /// A history of every kind of signer there is here, and of nobody.
    fn mixed() -> Self {
        let mut world = Self::new();
        for _ in 0..3 {
            world.commit(Some(&authority()));
            world.commit(None);
            world.commit(Some(&TestAuthority::new(77)));
        }
        world.git.git_ok(&["tag", "-a", "-m", "x", "unsigned"]);
        world
    }

    fn commit(&mut self, by: Option<&TestAuthority>) -> String {
        self.made += 1;
        let at = NOW.plus(self.made - 10_000);
        let spec = CommitSpec {
            parents: self.tip.iter().cloned().collect(),
            at,
            message: format!("{}\n", self.made),
            ..CommitSpec::new(&self.git.empty_tree())
        };
        let payload = spec.payload();
        let raw = match by {
            None => payload,
            Some(authority) => {
                let leaf = LeafSpec {
                    not_before: at.plus(-60),
                    not_after: at.plus(60),
                    payload_digest: Some(sha256(&payload)),
                    ..LeafSpec::default()
                };
                authority.leaf(&leaf).sign_commit(&payload, at)
            }
        };
        let id = self.git.write_commit_object(&raw);
        self.git.git_ok(&["update-ref", "refs/heads/main", &id]);
        self.tip = Some(id.clone());
        id
    }

    fn cache(&self) -> Arc<Cache> {
        Arc::new(Cache::new(self.kept.path().join("cache")))
    }

    /// Judges everything, and returns the report and what is said of the cache.
    fn told(&self, cache: Option<Arc<Cache>>, by: (&Policy, &Trust, UnixTime)) -> (String, Notes) {
        let repository = Repository::discover(&self.git.path()).unwrap();
        let all = repository.select_all().unwrap();
        let selection = all.and(repository.select_tags().unwrap());
        let judge = Judge::new(by.0, by.1, by.2).remembering(cache.clone());
        let outcome = verify_range(&repository, &selection, &judge).unwrap();
        let mut report = Vec::new();
        Lines::Jsonl.write_all(&outcome, &mut report).unwrap();
        let notes = cache.map(|cache| cache.notes()).unwrap_or_default();
        (String::from_utf8(report).unwrap(), notes)
    }

    fn warm(&self) -> (String, Notes) {
        self.told(Some(self.cache()), (&floor("declared"), &trust(), NOW))
    }

    fn cold(&self) -> String {
        self.told(None, (&floor("declared"), &trust(), NOW)).0
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.kept.path().join("cache"))
    }
}

type Notes = Vec<String>;

/// Returns every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all.sort();
    all
}

#[test]
fn a_second_run_says_the_same_of_every_kind_of_signer() {
    let world = World::mixed();
    let cold = world.cold();
    assert_eq!(world.warm(), (cold.clone(), Vec::new()));
    let kept = world.files();
    assert_eq!(kept.len(), 1);
    assert_eq!(world.warm(), (cold, Vec::new()));
    assert_eq!(world.files(), kept);
}

#[test]
fn new_commits_are_judged_beside_old_ones() {
    let mut world = World::mixed();
    world.warm();
    for _ in 0..20 {
        world.commit(Some(&authority()));
        assert_eq!(world.warm(), (world.cold(), Vec::new()));
    }
    assert!(world.files().len() <= 8, "{:?}", world.files());
}

#[test]
fn another_policy_and_another_trust_find_nothing() {
    let world = World::mixed();
    let (report, _) = world.warm();
    assert!(report.contains(ACCEPTED));
    let nobody = Policy::parse("allow = []\n").unwrap();
    let stranger = TestAuthority::new(77).trust(1, NOW);
    let mut revoking = authority().trust(2, NOW);
    revoking.revocations.push(Revocation {
        kind: RevocationKind::Identity,
        value: LeafSpec::default().identity.to_string(),
        since: NOW.plus(-20_000),
        reason: "stolen".to_owned(),
    });
    for (policy, trust) in [
        (nobody, trust()),
        (floor("declared"), trust_in(&stranger)),
        (floor("declared"), trust_in(&revoking)),
        (floor("declared"), Trust::new(Vec::new(), Vec::new())),
    ] {
        let by = (&policy, &trust, NOW);
        let (cold, _) = world.told(None, by);
        assert_eq!(world.told(Some(world.cache()), by).0, cold);
        assert_eq!(world.told(Some(world.cache()), by).0, cold);
    }
}

#[test]
fn the_clock_of_the_person_asking_is_asked_each_time() {
    let world = World::mixed();
    world.warm();
    let (policy, trust) = (floor("declared"), trust());
    for now in [
        NOW.plus(-9_995),
        NOW.plus(100 * 86_400),
        NOW.plus(400 * 86_400),
    ] {
        let by = (&policy, &trust, now);
        let (cold, _) = world.told(None, by);
        assert_eq!(world.told(Some(world.cache()), by).0, cold);
    }
    let late = (&policy, &trust, NOW.plus(400 * 86_400));
    let (report, _) = world.told(Some(world.cache()), late);
    assert!(!report.contains(ACCEPTED), "{report}");
}

#[test]
fn an_object_that_is_gone_is_missing_whatever_was_kept() {
    let mut world = World::mixed();
    let lost = world.commit(Some(&authority()));
    world.commit(Some(&authority()));
    world.warm();
    let (directory, name) = lost.split_at(2);
    let object = world
        .git
        .path()
        .join(format!(".git/objects/{directory}/{name}"));
    fs::remove_file(object).unwrap();
    let (report, _) = world.warm();
    assert_eq!(report, world.cold());
    assert!(report.contains("object-missing"));
}

#[test]
fn every_damaged_byte_is_without_effect_or_said() {
    let mut world = World::new();
    for _ in 0..2 {
        world.commit(Some(&authority()));
        world.commit(None);
    }
    let cold = world.cold();
    world.warm();
    let [file] = &world.files()[..] else {
        panic!("one run, one file")
    };
    let whole = fs::read(file).unwrap();
    let mut said = 0;
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        replace(&world, file, &damaged);
        let (report, notes) = world.warm();
        assert_eq!(report, cold, "byte {at}");
        said += notes.len();
        assert!(
            notes.iter().all(|note| note.contains("it is damaged")),
            "{notes:?}"
        );
    }
    // Of a damaged name in the index nobody can tell that it is one.
    assert!(said > whole.len() / 7 * 3 / 4, "{said}");
    for length in [0, 1, 103, whole.len() / 2, whole.len() - 1] {
        replace(&world, file, &whole[..length]);
        let (report, notes) = world.warm();
        assert_eq!(
            (report.as_str(), notes.len()),
            (cold.as_str(), 1),
            "{length}"
        );
    }
}

/// Puts a file in the place of all others.
fn replace(world: &World, file: &Path, bytes: &[u8]) {
    world
        .files()
        .iter()
        .for_each(|it| fs::remove_file(it).unwrap());
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn what_was_kept_for_another_policy_is_not_taken_from_its_place() {
    let world = World::mixed();
    let lax =
        Policy::parse("[[authority]]\nname = \"local\"\n[[allow]]\nidentity = \"*\"\n").unwrap();
    world.told(Some(world.cache()), (&lax, &trust(), NOW));
    let [theirs] = &world.files()[..] else {
        panic!("one run, one file")
    };
    let theirs = fs::read(theirs).unwrap();
    world.warm();
    for file in world.files() {
        fs::write(file, &theirs).unwrap();
    }
    let (report, notes) = world.warm();
    assert_eq!(report, world.cold());
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[test]
fn what_others_can_change_is_not_read() {
    let world = World::mixed();
    world.warm();
    let [file] = &world.files()[..] else {
        panic!("one run, one file")
    };
    let context = file.parent().unwrap();
    for open in [file.as_path(), context, context.parent().unwrap()] {
        let before = fs::metadata(open).unwrap().permissions();
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
        let (report, notes) = world.warm();
        assert_eq!(report, world.cold());
        assert!(notes[0].contains("others can change it"), "{notes:?}");
        fs::set_permissions(open, before).unwrap();
        world.warm();
    }
}

#[test]
fn it_is_for_its_owner_only() {
    let world = World::mixed();
    world.warm();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in world.files() {
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        assert_eq!(mode(file.parent().unwrap().parent().unwrap()), 0o700);
    }
}

#[test]
fn where_nothing_can_be_kept_it_is_said_and_judged() {
    let world = World::mixed();
    fs::write(world.kept.path().join("cache"), "").unwrap();
    let (report, notes) = world.warm();
    assert_eq!(report, world.cold());
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("nothing was kept")),
        "{notes:?}"
    );
}

#[test]
fn runs_at_the_same_time_do_each_other_no_harm() {
    let world = World::mixed();
    let cold = world.cold();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let (report, notes) = world.warm();
                    assert_eq!(report, cold);
                    assert!(notes.is_empty(), "{notes:?}");
                }
            });
        }
    });
    let left = world.files();
    let is_whole = |path: &PathBuf| path.extension().is_some_and(|it| it == "verdicts");
    assert!(left.iter().all(is_whole), "{left:?}");
}

/// Judges one commit by the repository's own policy, and returns its code.
fn code(
    history: &History,
    (root, commit): (&str, &str),
    cache: Option<&Arc<Cache>>,
    now: UnixTime,
) -> String {
    let repository = history.open();
    let selection = repository.select(commit).unwrap();
    let root: TrustRoot = root.parse().unwrap();
    let lineage = Lineage::new(&repository, &selection, root, (&history.trust, now)).unwrap();
    let lineage = lineage.remembering(cache.cloned());
    code_of(&lineage.verify(&selection, None).unwrap(), commit)
}

#[test]
fn a_range_behind_a_trust_root_goes_on_from_what_was_accepted() {
    let history = History::new();
    let rules = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &rules)]);
    let mut tip = root.clone();
    for _ in 0..8 {
        tip = history.commit(&[&tip], "alice", &[(POLICY, &rules)]);
    }
    let kept = TempDir::new().unwrap();
    let cache = Arc::new(Cache::new(kept.path().join("cache")));
    assert_eq!(code(&history, (&root, &tip), Some(&cache), NOW), "accepted");
    let next = history.commit(&[&tip], "alice", &[(POLICY, &rules), ("a", "a")]);
    let repository = history.open();
    let selection = repository.select(&next).unwrap();
    let judge = |cache: Option<Arc<Cache>>| {
        let root: TrustRoot = root.parse().unwrap();
        let lineage = Lineage::new(&repository, &selection, root, (&history.trust, NOW)).unwrap();
        let lineage = lineage.remembering(cache);
        let outcome = lineage.verify(&selection, None).unwrap();
        assert_eq!(code_of(&outcome, &next), "accepted");
        lineage.judge().examined()
    };
    assert!(judge(None) >= 9);
    assert_eq!(judge(Some(cache)), 1);
}

/// A commit that was accepted with all that is before it is not accepted where that is not here.
#[test]
fn a_shallow_clone_takes_nothing_from_a_whole_one_nor_gives_it_anything() {
    let history = History::new();
    let rules = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &rules)]);
    let one = history.commit(&[&root], "alice", &[(POLICY, &rules)]);
    let two = history.commit(&[&one], "alice", &[(POLICY, &rules), ("a", "a")]);
    let next = history.commit(&[&two], "alice", &[(POLICY, &rules), ("b", "b")]);
    let kept = TempDir::new().unwrap();
    let cache = Arc::new(Cache::new(kept.path().join("cache")));
    let judge = |boundary: &str, commit: &str, cache: Option<&Arc<Cache>>| {
        let shallow = history.git.path().join(".git/shallow");
        fs::write(&shallow, boundary).unwrap();
        let code = code(&history, (&root, commit), cache, NOW);
        fs::remove_file(shallow).unwrap();
        code
    };
    assert_eq!(judge(&root, &two, Some(&cache)), "accepted");
    assert!(!cache_directory_has_files(&kept));
    assert_eq!(code(&history, (&root, &two), Some(&cache), NOW), "accepted");
    assert!(cache_directory_has_files(&kept));
    assert_eq!(judge(&one, &next, None), "parent-undecided");
    assert_eq!(judge(&one, &next, Some(&cache)), "parent-undecided");
}

fn cache_directory_has_files(kept: &TempDir) -> bool {
    let directory = kept.path().join("cache");
    directory.exists() && !files(&directory).is_empty()
}

#[test]
fn what_an_exception_let_in_ends_with_it() {
    let history = History::new();
    let before = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &before)]);
    let let_in = history.commit(&[&root], "mallory", &[(POLICY, &before)]);
    let excepting = format!(
        "{before}\n[[exception]]\nobject = \"{let_in}\"\nreason = \"x\"\nuntil = \"{}\"\n",
        NOW.plus(3600)
    );
    // The trust root is younger than what it excepts.
    let root = history.commit(&[], "nobody", &[(POLICY, &excepting)]);
    let merged = history.commit(&[&root, &let_in], "alice", &[(POLICY, &excepting)]);
    let child = history.commit(&[&let_in], "alice", &[(POLICY, &before)]);
    let kept = TempDir::new().unwrap();
    let cache = Arc::new(Cache::new(kept.path().join("cache")));
    for commit in [&merged, &child] {
        for now in [NOW, NOW.plus(7200), NOW.plus(-1), NOW] {
            let cold = code(&history, (&root, commit), None, now);
            let warm = code(&history, (&root, commit), Some(&cache), now);
            assert_eq!(warm, cold, "{commit} at {now}");
        }
    }
    let next = history.commit(&[&child], "alice", &[(POLICY, &before), ("a", "a")]);
    let late = NOW.plus(7200);
    let cold = code(&history, (&root, &next), None, late);
    assert_eq!(code(&history, (&root, &next), Some(&cache), late), cold);
    assert_ne!(cold, "accepted");
}

#[test]
fn an_openpgp_signature_that_ended_is_over_whatever_was_accepted() {
    let mut history = History::new();
    let mut gpg = Gnupg::new();
    gpg.set_time(NOW.plus(-10 * 86_400));
    gpg.generate(PERSON, "ed25519", "sign", "never");
    let person = KeyBlocks::read(&gpg.export(PERSON)).unwrap();
    let person = Person::of(&person.keys()[0]).unwrap();
    let agents = authority().trust(1, NOW);
    let agents =
        Authority::from_document("local", PinKind::TrustDocument.default_scopes(), &agents);
    let people = Authority::from_people("people", vec![person]);
    history.trust = Trust::new(vec![agents, people], Vec::new());
    let rules = format!(
        "time_basis_floor = \"declared\"\n{}[[allow]]\nidentity = \"mailto:carol@example.org\"\n",
        policy(&["alice!"]),
    );
    let root = history.commit(&[], "nobody", &[(POLICY, &rules)]);
    gpg.configure("default-sig-expire seconds=4200\n");
    gpg.set_time(NOW.plus(-3600));
    let payload = CommitSpec {
        parents: vec![root.clone()],
        at: NOW.plus(-3600),
        ..CommitSpec::new(&history.tree(&[(POLICY, &rules)]))
    }
    .payload();
    let signature = String::from_utf8(gpg.sign(PERSON, &payload)).unwrap();
    let raw = with_signature(&payload, "gpgsig", &signature);
    let ending = history.git.write_commit_object(&raw);
    let payload = CommitSpec {
        parents: vec![ending.clone()],
        at: NOW.plus(-1800),
        ..CommitSpec::new(&history.tree(&[(POLICY, &rules)]))
    }
    .payload();
    let leaf = LeafSpec {
        identity: identity("alice").parse().unwrap(),
        not_before: NOW.plus(-1860),
        not_after: NOW.plus(-1500),
        payload_digest: Some(sha256(&payload)),
        ..LeafSpec::default()
    };
    let raw = authority()
        .leaf(&leaf)
        .sign_commit(&payload, NOW.plus(-1800));
    let child = history.git.write_commit_object(&raw);
    let kept = TempDir::new().unwrap();
    let cache = Arc::new(Cache::new(kept.path().join("cache")));
    let late = NOW.plus(1200);
    for (commit, in_the_end) in [
        (&ending, "certificate-expired"),
        (&child, "parent-not-accepted"),
    ] {
        for (now, expected) in [(NOW, "accepted"), (NOW, "accepted"), (late, in_the_end)] {
            for cache in [None, Some(&cache)] {
                assert_eq!(code(&history, (&root, commit), cache, now), expected);
            }
        }
    }
    // And where every commit is judged by one policy.
    let repository = history.open();
    let selection = repository.select(&format!("{root}..{child}")).unwrap();
    let one = Policy::parse(&rules).unwrap();
    for (now, expected) in [(NOW, "accepted"), (late, "certificate-expired")] {
        for _ in 0..2 {
            let judge = Judge::new(&one, &history.trust, now).remembering(Some(Arc::clone(&cache)));
            let outcome = verify_range(&repository, &selection, &judge).unwrap();
            assert_eq!(code_of(&outcome, &ending), expected);
        }
    }
}

#[test]
fn a_trust_document_that_grew_old_is_old_whatever_was_accepted() {
    let history = History::new();
    let rules = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &rules)]);
    let first = history.commit(&[&root], "alice", &[(POLICY, &rules)]);
    let second = history.commit(&[&first], "alice", &[(POLICY, &rules), ("a", "a")]);
    let kept = TempDir::new().unwrap();
    let cache = Arc::new(Cache::new(kept.path().join("cache")));
    assert_eq!(
        code(&history, (&root, &first), Some(&cache), NOW),
        "accepted"
    );
    let late = NOW.plus(400 * 86_400);
    let cold = code(&history, (&root, &second), None, late);
    assert_eq!(code(&history, (&root, &second), Some(&cache), late), cold);
    assert_ne!(cold, "accepted");
}

/// A document is signed anew each day.
#[test]
fn a_newer_trust_document_with_nothing_new_finds_what_was_kept() {
    let world = World::mixed();
    let policy = floor("declared");
    let kept_by = |document: &TrustDocument, now: UnixTime| {
        let trust = trust_in(document);
        let by = (&policy, &trust, now);
        assert_eq!(
            world.told(Some(world.cache()), by).0,
            world.told(None, by).0
        );
        world.files()
    };
    let tomorrow = NOW.plus(86_400);
    let kept = kept_by(&authority().trust(1, NOW), NOW);
    assert_eq!(kept_by(&authority().trust(1, NOW), tomorrow), kept);
    assert_eq!(kept_by(&authority().trust(2, tomorrow), tomorrow), kept);
    let mut revoking = authority().trust(3, tomorrow);
    revoking.revocations.push(Revocation {
        kind: RevocationKind::Identity,
        value: identity("nobody"),
        since: NOW,
        reason: "gone".to_owned(),
    });
    assert_eq!(kept_by(&revoking, tomorrow).len(), kept.len() + 1);
}

#[test]
fn what_was_accepted_stands_by_a_newer_trust_document_while_that_is_not_too_old() {
    let mut history = History::new();
    let rules = policy(&["alice!"]);
    let root = history.commit(&[], "nobody", &[(POLICY, &rules)]);
    let mut tip = root.clone();
    for _ in 0..8 {
        tip = history.commit(&[&tip], "alice", &[(POLICY, &rules)]);
    }
    let kept = TempDir::new().unwrap();
    let cache = Arc::new(Cache::new(kept.path().join("cache")));
    assert_eq!(code(&history, (&root, &tip), Some(&cache), NOW), "accepted");
    let next = history.commit(&[&tip], "alice", &[(POLICY, &rules), ("a", "a")]);
    let tomorrow = NOW.plus(86_400);
    let mut judge = |issued: UnixTime, cache: Option<&Arc<Cache>>| {
        history.trust = trust_in(&authority().trust(2, issued));
        let repository = history.open();
        let selection = repository.select(&next).unwrap();
        let root: TrustRoot = root.parse().unwrap();
        let grounds = (&history.trust, tomorrow);
        let lineage = Lineage::new(&repository, &selection, root, grounds).unwrap();
        let lineage = lineage.remembering(cache.cloned());
        let outcome = lineage.verify(&selection, None).unwrap();
        (code_of(&outcome, &next), lineage.judge().examined())
    };
    let too_old = judge(NOW, None);
    assert_eq!(too_old, ("parent-undecided".to_owned(), 9));
    assert_eq!(judge(NOW, Some(&cache)), too_old);
    assert_eq!(judge(tomorrow, None), ("accepted".to_owned(), 9));
    assert_eq!(judge(tomorrow, Some(&cache)), ("accepted".to_owned(), 1));
}
