//! Keeping statements: many writers, merges, and stock git looking on.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use gix::{
    ObjectId,
    hash::hasher,
    zlib::{Compression, stream::deflate},
};
use gix_pack::data::{Version, entry::Header, header};
use notme_attest::{
    Store,
    predicate::{HANDOFF, Record},
    store::{Excess, FileName, Merged, Noted, Place, Shelf, StoreError},
    verify::{Asked, GoesOn},
};
use notme_core::{
    json::Object,
    statement::{Statement, Subject},
};
use notme_testkit::{clock::NOW, repository::Repository};
use notme_verifier::Code;

use crate::world::{
    World, assert_accepted, chain, digest, facts, identity, next, places, record, signed,
};

/// Returns what a remote lacks.
fn ahead(world: &World) -> Vec<Shelf> {
    let ahead = world.store.ahead_of("origin").unwrap();
    ahead.into_iter().map(|(shelf, _)| shelf).collect()
}

#[test]
fn stock_git_finds_nothing_wrong_with_what_we_write() {
    for repository in [Repository::new(), Repository::sha256()] {
        let world = World::of(repository);
        let commit = world.commit("one");
        world.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
        world.repository.git_ok(&["fsck", "--strict"]);
        let listed =
            world
                .repository
                .git_ok(&["ls-tree", "-r", "--name-only", "refs/attestations/commits"]);
        let (head, rest) = commit.id.split_at(2);
        assert!(listed.starts_with(&format!("{head}/{rest}/")), "{listed}");
        assert!(listed.ends_with(".sigstore.json"), "{listed}");
        // Packed and pruned, it is still there.
        world.repository.git_ok(&["gc", "--quiet", "--prune=now"]);
        assert_accepted(&world.judged(&commit));
    }
}

#[test]
fn writing_the_same_again_changes_nothing() {
    let world = World::new();
    let commit = world.commit("one");
    let records = chain("urn:a", "claude", &[commit]);
    world.write(&records);
    let before = world.repository.git_ok(&["for-each-ref"]);
    world.write(&records);
    assert_eq!(world.repository.git_ok(&["for-each-ref"]), before);
}

/// As many as one may name, all of which it is to lie with.
#[test]
fn a_long_statement_about_thousands_of_commits_is_written_and_taken_at_once() {
    let world = World::new();
    let ids: Vec<_> = (0..4096).map(|number| format!("{number:040x}")).collect();
    let subjects = ids.iter().map(|id| Subject::new("", "gitCommit", id));
    let said = Object::from_iter([("summary".to_owned(), "x".repeat(500_000).into())]);
    let statement = Statement::new(subjects.collect(), HANDOFF, said).unwrap();
    let places = ids.iter().map(|id| Place::commit(id)).collect();
    let began = Instant::now();
    world.write(&[(signed("claude", &statement), places)]);
    let [theirs, ours] = ["notme/attestations/origin", "attestations"];
    let [theirs, ours] = [theirs, ours].map(|refs| format!("refs/{refs}/commits"));
    world.repository.git_ok(&["update-ref", &theirs, &ours]);
    world.repository.git_ok(&["update-ref", "-d", &ours]);
    let merged = world
        .store
        .merge("origin", NOW, Excess::Refused, |_, _| Ok(()))
        .unwrap();
    assert_eq!((merged.added.len(), merged.ignored), (1, 0));
    assert!(began.elapsed() < Duration::from_secs(5));
    for id in [&ids[0], &ids[4095]] {
        assert_eq!(world.store.count(&Place::commit(id)).unwrap(), 1);
    }
}

/// Threads here, as processes elsewhere: each goes through refs and lock files alone.
#[test]
fn many_writers_lose_nothing() {
    let world = World::new();
    let commit = world.commit("one");
    let path = world.repository.path().join(".git");
    thread::scope(|scope| {
        for writer in 0..8 {
            let (path, commit) = (&path, &commit);
            scope.spawn(move || {
                let store = Store::open(path).unwrap();
                for number in 0..4 {
                    // The store keeps what it is given.
                    let bundle = format!("{{\"by\":{writer},\"number\":{number}}}").into_bytes();
                    let places = places(std::slice::from_ref(commit), None);
                    store.write(&[(bundle, places)], NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(
        world.store.read(&Place::commit(&commit.id)).unwrap().len(),
        32
    );
    world.repository.git_ok(&["fsck", "--strict"]);
}

/// What writers beside it have written, and no ref names yet, is not lost to `--prune=now`.
#[test]
fn collecting_garbage_beside_writers_loses_nothing() {
    let world = World::new();
    let commit = world.commit("one");
    let path = world.repository.path().join(".git");
    let writing = AtomicUsize::new(4);
    thread::scope(|scope| {
        for writer in 0..4 {
            let (path, commit, writing) = (&path, &commit, &writing);
            scope.spawn(move || {
                let store = Store::open(path).unwrap();
                let written = (0..12).try_for_each(|number| {
                    let bundle = format!("{{\"by\":{writer},\"number\":{number}}}").into_bytes();
                    let places = places(std::slice::from_ref(commit), None);
                    store.write(&[(bundle, places)], NOW)
                });
                writing.fetch_sub(1, Ordering::SeqCst);
                written.unwrap();
            });
        }
        while writing.load(Ordering::SeqCst) > 0 {
            // Whether it likes what it sees is not ours to say.
            let _ = world.repository.git(&["gc", "--quiet", "--prune=now"]);
        }
    });
    world.repository.git_ok(&["fsck", "--strict"]);
    let kept = world.store.read(&Place::commit(&commit.id)).unwrap();
    assert_eq!(kept.len(), 48);
}

/// One that began before the refs moved may delete until it ends, and nobody waits for that.
#[test]
fn what_a_collecting_deletes_after_the_refs_moved_is_there_once_more() {
    for repository in [Repository::new(), Repository::sha256()] {
        let world = World::of(repository);
        what_it_deletes_is_there_once_more(&world);
    }
}

fn what_it_deletes_is_there_once_more(world: &World) {
    let commit = world.commit("one");
    let git = world.repository.path().join(".git");
    let system = rustix::system::uname();
    let host = system.nodename().to_str().unwrap();
    let pid = git.join("gc.pid");
    fs::write(&pid, format!("{} {host}", std::process::id())).unwrap();
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    world.write(&records);
    // As who looked at the refs before: what nothing led to then is taken away.
    let named = world.repository.git_ok(&["rev-list", "--objects", "HEAD"]);
    for directory in fs::read_dir(git.join("objects")).unwrap() {
        let directory = directory.unwrap();
        let head = directory.file_name().into_string().unwrap();
        for file in fs::read_dir(directory.path())
            .unwrap()
            .filter(|_| head.len() == 2)
        {
            let file = file.unwrap();
            let id = format!("{head}{}", file.file_name().to_str().unwrap());
            if !named.contains(&id) {
                fs::remove_file(file.path()).unwrap();
            }
        }
    }
    world.repository.git_ok(&["fsck", "--strict"]);
    assert_accepted(&world.judged(&commit));
    let packs = fs::read_dir(git.join("objects/pack")).unwrap();
    for file in packs.map(|file| file.unwrap()) {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o444, "{:?}", file.path());
        assert_ne!(file.path().extension().unwrap(), "keep");
    }
    fs::remove_file(&pid).unwrap();
    world.repository.git_ok(&["gc", "--quiet", "--prune=now"]);
    assert_accepted(&world.judged(&commit));
    // One that was killed leaves its file, and collects no more.
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    fs::write(&pid, format!("{} {host}", gone.id())).unwrap();
    let packs = || fs::read_dir(git.join("objects/pack")).unwrap().count();
    let before = packs();
    world.write(&chain("urn:b", "claude", &[commit]));
    assert_eq!(packs(), before);
}

/// A ref that somebody holds stays where it is, and the write says so.
#[test]
fn a_write_that_cannot_be_finished_leaves_the_refs_as_they_were() {
    let world = World::new();
    let commit = world.commit("one");
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    world.write(&records[..1]);
    let before = world.repository.git_ok(&["for-each-ref"]);
    let lock = world
        .repository
        .path()
        .join(".git/refs/attestations/activities.lock");
    fs::write(&lock, "").unwrap();
    let refused = world.store.write(&records, NOW);
    assert!(matches!(refused, Err(StoreError::Locked(paths, _)) if paths == [lock.clone()]));
    assert_eq!(world.repository.git_ok(&["for-each-ref"]), before);
    fs::remove_file(&lock).unwrap();
    world.write(&records);
    assert_accepted(&world.judged(&commit));
}

fn fetch(from: &World, to: &World) -> Merged {
    let path = from.repository.path();
    let path = path.to_str().unwrap();
    let branches = "+refs/heads/*:refs/remotes/origin/*";
    let [a, b, c] = Shelf::ALL.map(|shelf| shelf.refspec("origin"));
    let all = ["fetch", "--quiet", path, branches, &a, &b, &c];
    to.repository.git_ok(&all);
    to.store
        .merge("origin", NOW, Excess::Refused, |_, _| Ok(()))
        .unwrap()
}

fn brings_nothing(merged: &Merged) -> bool {
    merged.added.is_empty() && merged.is_whole()
}

/// Somebody else fetches in between: what that brings was not taken, and is nobody's to put away.
#[test]
fn what_came_after_a_merge_is_not_replaced() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    one.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    let merged = fetch(&one, &other);
    let tip = |world: &World| {
        let reference = Shelf::Commits.reference();
        world.repository.git_ok(&["rev-parse", &reference])
    };
    let seen = tip(&one);
    one.write(&chain("urn:b", "claude", std::slice::from_ref(&commit)));
    other.write(&chain("urn:c", "claude", &[commit]));
    let path = one.repository.path();
    let refspec = Shelf::Commits.refspec("origin");
    let meanwhile = ["fetch", "--quiet", path.to_str().unwrap(), &refspec];
    other.repository.git_ok(&meanwhile);
    let unlike = other.store.unlike(&merged).unwrap();
    let commits = unlike.iter().find(|it| it.shelf == Shelf::Commits).unwrap();
    assert_eq!(commits.theirs.unwrap().to_string(), seen);
    assert_eq!(commits.ours.unwrap().to_string(), tip(&other));
    // What replaces the one does not replace the other.
    let lease = format!("--force-with-lease={}:{seen}", Shelf::Commits.reference());
    let to = format!("{}:{}", tip(&other), Shelf::Commits.reference());
    let push = ["push", "--quiet", &lease, "--", path.to_str().unwrap(), &to];
    assert!(!other.repository.git(&push).status.success());
}

#[test]
fn a_merge_takes_what_both_have_and_then_settles() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    one.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    // Each of the two once, in however many places.
    assert_eq!(fetch(&one, &other).added.len(), 3);
    assert_accepted(&other.judged(&commit));
    // Ours is theirs: there was nothing to merge.
    let tip = |world: &World| {
        world
            .repository
            .git_ok(&["rev-parse", "refs/attestations/commits"])
    };
    assert_eq!(tip(&one), tip(&other));

    one.write(&chain("urn:b", "claude", std::slice::from_ref(&commit)));
    other.write(&chain("urn:c", "reviewer", std::slice::from_ref(&commit)));
    fetch(&one, &other);
    assert_eq!(other.judged(&commit).len(), 3);
    assert_eq!(ahead(&other), Shelf::ALL);
    fetch(&other, &one);
    assert_eq!(tip(&one), tip(&other));
    assert!(brings_nothing(&fetch(&one, &other)));
    assert!(ahead(&other).is_empty());
}

#[test]
fn a_merge_leaves_out_what_is_no_statement_or_not_what_its_name_says() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    one.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    let (head, rest) = commit.id.split_at(2);
    let blob = one
        .repository
        .git_with_input(&["hash-object", "-w", "--stdin"], b"{}");
    let blob = String::from_utf8(blob.stdout).unwrap();
    one.repository
        .git_ok(&["read-tree", "refs/attestations/commits"]);
    for path in [
        format!("{head}/{rest}/0000000000000000.sigstore.json"),
        format!("{head}/{rest}/readme"),
        format!("{head}/README"),
        "hooks/post-commit".to_owned(),
    ] {
        let entry = format!("100644,{},{path}", blob.trim());
        one.repository
            .git_ok(&["update-index", "--add", "--cacheinfo", &entry]);
    }
    let tree = one.repository.git_ok(&["write-tree"]);
    let made = one.repository.git_ok(&["commit-tree", "-m", "x", &tree]);
    one.repository
        .git_ok(&["update-ref", "refs/attestations/commits", &made]);
    let merged = fetch(&one, &other);
    assert_eq!(merged.ignored, 4);
    assert_accepted(&other.judged(&commit));
    let listed =
        other
            .repository
            .git_ok(&["ls-tree", "-r", "--name-only", "refs/attestations/commits"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

/// A file that lies about its name is seen when it is judged, however it came.
#[test]
fn a_file_with_another_content_than_its_name_says_is_refused() {
    let world = World::new();
    let commit = world.commit("one");
    world.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    world
        .repository
        .git_ok(&["read-tree", "refs/attestations/commits"]);
    let staged = world.repository.git_ok(&["ls-files", "--stage"]);
    let (entry, path) = staged.split_once('\t').unwrap();
    let id = entry.split(' ').nth(1).unwrap();
    let renamed = path.rsplit_once('/').unwrap().0.to_owned() + "/0000000000000000.sigstore.json";
    let entry = format!("100644,{id},{renamed}");
    world
        .repository
        .git_ok(&["update-index", "--add", "--cacheinfo", &entry]);
    let tree = world.repository.git_ok(&["write-tree"]);
    let made = world.repository.git_ok(&["commit-tree", "-m", "x", &tree]);
    world
        .repository
        .git_ok(&["update-ref", "refs/attestations/commits", &made]);
    let codes = world.codes(&commit);
    assert_eq!(codes, [Some(Code::EnvelopeMalformed), None]);
}

impl World {
    /// Puts files on a shelf, or takes them off, by git's own means: path and object, or none.
    fn rewrite(&self, shelf: &str, changes: &[(&str, Option<&str>)]) {
        let reference = format!("refs/attestations/{shelf}");
        self.repository.git_ok(&["read-tree", &reference]);
        for (path, blob) in changes {
            match blob {
                Some(blob) => {
                    let entry = format!("100644,{blob},{path}");
                    self.repository
                        .git_ok(&["update-index", "--add", "--cacheinfo", &entry])
                }
                None => self
                    .repository
                    .git_ok(&["update-index", "--force-remove", "--", path]),
            };
        }
        let tree = self.repository.git_ok(&["write-tree"]);
        let parent = self.repository.git_ok(&["rev-parse", &reference]);
        let made = ["commit-tree", "-m", "x", "-p", &parent, &tree];
        let made = self.repository.git_ok(&made);
        self.repository.git_ok(&["update-ref", &reference, &made]);
    }

    fn blob(&self, content: &[u8]) -> String {
        let made = self
            .repository
            .git_with_input(&["hash-object", "-w", "--stdin"], content);
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    fn listed(&self, shelf: &str) -> Vec<String> {
        let reference = format!("refs/attestations/{shelf}");
        let listed = ["ls-tree", "-r", "--name-only", &reference];
        let listed = self.repository.git_ok(&listed);
        listed.lines().map(str::to_owned).collect()
    }
}

/// Whoever may push can take files away there; nobody else loses theirs by fetching.
#[test]
fn a_merge_keeps_what_the_other_side_deleted_and_brings_it_back() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    one.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    fetch(&one, &other);
    let kept = other.listed("activities");
    one.rewrite("activities", &[(&kept[0], None)]);
    assert_eq!(one.listed("activities").len(), kept.len() - 1);
    assert!(brings_nothing(&fetch(&one, &other)));
    assert_eq!(other.listed("activities"), kept);
    assert_accepted(&other.judged(&commit));
    // Ours is ahead of theirs, so that a push puts it right without force.
    assert_eq!(ahead(&other), [Shelf::Activities]);
    fetch(&other, &one);
    assert_eq!(one.listed("activities"), kept);
    assert!(brings_nothing(&fetch(&one, &other)));
}

/// A name that fits its content is made in no time, so it takes a signature to be spread.
#[test]
fn a_merge_leaves_out_what_nobody_signed() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    one.write(&records);
    let good = String::from_utf8(records[1].0.clone()).unwrap();
    let place = || vec![Place::commit(&commit.id)];
    let forged = good.replace("\"sig\":\"", "\"sig\":\"AAAA");
    for bad in [forged, "{}".to_owned(), "no JSON".to_owned()] {
        one.store
            .write(&[(bad.into_bytes(), place())], NOW)
            .unwrap();
    }
    assert_eq!(fetch(&one, &other).ignored, 3);
    assert_accepted(&other.judged(&commit));
    assert_eq!(other.judged(&commit).len(), 1);
}

/// What stops a writer between two refs leaves no statement whose chain is not there.
#[test]
fn refs_move_in_an_order_in_which_every_beginning_is_harmless() {
    let shelves = Shelf::ALL.map(Shelf::as_str);
    assert_eq!(shelves, ["activities", "trees", "commits"]);
    for (number, stop) in shelves.into_iter().enumerate() {
        let world = World::new();
        let commit = world.commit("one");
        // A directory cannot be renamed over: this ref, and those after it, stay where they are.
        let path = world.repository.path().join(".git/refs/attestations");
        fs::create_dir_all(path.join(stop)).unwrap();
        fs::write(path.join(stop).join("keep.lock"), "").unwrap();
        let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
        assert!(world.store.write(&records, NOW).is_err());
        for (other, shelf) in shelves.into_iter().enumerate() {
            assert_eq!(
                path.join(shelf).is_file(),
                other < number,
                "{stop}: {shelf}"
            );
        }
        fs::remove_dir_all(path.join(stop)).unwrap();
        world.write(&records);
        assert_accepted(&world.judged(&commit));
    }
}

/// What one file is, or one ref, is no reason not to judge the rest.
#[test]
fn a_file_that_is_too_long_is_one_refused_statement() {
    let world = World::new();
    let commit = world.commit("one");
    world.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    let blob = world.blob(&vec![b' '; notme_attest::bundle::BUNDLE_MAX + 1]);
    let (head, rest) = commit.id.split_at(2);
    let path = format!("{head}/{rest}/ffffffffffffffff.sigstore.json");
    world.rewrite("commits", &[(&path, Some(&blob))]);
    let codes = world.codes(&commit);
    assert_eq!(codes.len(), 2);
    assert!(codes.contains(&None));
    assert!(codes.contains(&Some(Code::EnvelopeMalformed)));
}

#[test]
fn a_ref_that_names_no_commit_holds_nothing_and_is_not_written_over() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    one.write(&records);
    let blob = one.blob(b"x");
    one.repository
        .git_ok(&["update-ref", "refs/attestations/trees", &blob]);
    assert_accepted(&one.judged(&commit));
    assert!(matches!(
        one.store.write(&chain("urn:b", "claude", &[commit]), NOW),
        Err(StoreError::NoCommit(_))
    ));
    // The rest of it is taken.
    let merged = fetch(&one, &other);
    assert_eq!((merged.added.len(), merged.ignored), (3, 1));
}

/// As replacements are for reading, they change nothing about what is judged.
#[test]
fn commits_are_read_as_what_their_names_say() {
    let world = World::new();
    let (good, evil) = (world.commit("one"), world.commit("two"));
    let raw = |id: &str| world.store.commit(id).map(|it| it.unwrap().raw);
    let (was, other) = (raw(&evil.id).unwrap(), raw(&good.id).unwrap());
    world.repository.git_ok(&["replace", &evil.id, &good.id]);
    let store = Store::open(&world.repository.path().join(".git")).unwrap();
    assert_eq!(store.commit(&evil.id).unwrap().unwrap().raw, was);
    assert_ne!(was, other);
    // Nor do the bytes of another object under its name.
    let loose = |id: &str| {
        let (head, rest) = id.split_at(2);
        let objects = world.repository.path().join(".git/objects");
        objects.join(head).join(rest)
    };
    fs::remove_file(loose(&evil.id)).unwrap();
    fs::copy(loose(&good.id), loose(&evil.id)).unwrap();
    let store = Store::open(&world.repository.path().join(".git")).unwrap();
    assert!(matches!(
        store.commit(&evil.id),
        Err(StoreError::Misnamed(id)) if id == evil.id
    ));
}

/// A message of newlines, which git packs to little.
#[test]
fn a_commit_longer_than_anybody_reads_is_not_read() {
    let world = World::new();
    let tree = world.commit("one").tree;
    let who = "test <test@example.invalid> 1795176000 +0000";
    let lines = "\n".repeat(16 << 20);
    let raw = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\ns{lines}");
    let id = world
        .repository
        .write_object_unchecked("commit", raw.as_bytes());
    let read = world.store.commit(&id);
    assert!(matches!(read, Err(StoreError::TooLarge(of)) if of == id));
    let judged = world.with_attestations(|it| it.of(&id).unwrap());
    assert!(judged.is_empty());
}

/// Whoever looks with git has to see the trailers that a verdict rests on, and no others.
#[test]
fn trailers_are_those_that_git_finds() {
    let world = World::new();
    let tree = world.commit("one").tree;
    for message in [
        "s\n\nAgent-Chain: a\n",
        "s\n\nbody\n\nAgent-Chain: a\nSigned-off-by: x\n",
        "s\r\n\r\nbody\r\n\r\nAgent-Chain: a\r\n",
        "s\n  \t\nAgent-Chain: a\n",
        "s\n\nbody\n \nAgent-Chain: a\n",
        "Agent-Chain: a\n",
        "Agent-Chain: a\nAgent-Chain: b\n",
        "s\n\nprose here\nAgent-Chain: a\n",
        "s\n\nprose here\nSigned-off-by: x\nAgent-Chain: a\n",
        "s\n\np\np\np\np\np\np\np\nSigned-off-by: x\nAgent-Chain: a\n",
        "s\n\n(cherry picked from commit 1)\nprose\nagent-chain : b\n",
        "s\n\nAgent-Chain: a\n b\n\tc\nAgent-Chain:d\n",
        "s\n\nOther: a\n Agent-Chain: c\n",
        "s\n\n Agent-Chain: a\n",
        "s\n\n continued\nAgent-Chain: a\n",
        "s\n\nAgent Chain: a\nAgent-Chain x: b\n: c\n",
        "s\n\nAgent-Chain: a\n\nlater\n",
        "s\n\nAgent-Chain: a\n\n# a comment\n\n",
        "s\n\nAgent-Chain: a\n# a comment\nAgent-Chain: b\n",
        "s\n\nAgent-Chain: a\n\nConflicts:\n\tfile\n",
        "# c\n\nAgent-Chain: a\n",
        "s\n\nAgent-Chain: a\n# ------------------------ >8 ------------------------\nrest\n",
        "s\n\nbody\n---\n\nAgent-Chain: a\n",
        "s\n\nAgent-Chain:\n",
        "s\n\nAgent-Chain:\n a\n",
        "s\n\nAgent-Chain: a\n\0\n\nlater\n",
        "s\n\nAgent-Chain: a\0b\nAgent-Chain: c\n",
        "s\n\nbody\0\n\nAgent-Chain: a\n",
        "s\n\0\nAgent-Chain: a\n",
    ] {
        let run = |arguments: &[&str]| {
            let output = world
                .repository
                .git_with_input(arguments, message.as_bytes());
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        // `git commit-tree` takes no NUL.
        let who = "test <test@example.invalid> 1795176000 +0000";
        let raw = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\n{message}");
        let id = world
            .repository
            .write_object_unchecked("commit", raw.as_bytes());
        let facts = world.store.commit(&id).unwrap().unwrap();
        let parsed = run(&["interpret-trailers", "--parse", "--no-divider"]);
        let expected: Vec<_> = parsed
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.eq_ignore_ascii_case("Agent-Chain"))
            .map(|(_, value)| value.trim().to_owned())
            .collect();
        assert_eq!(*facts.trailers, *expected, "{message:?}: {parsed:?}");
    }
}

#[test]
fn a_list_of_origins_is_found_however_deep_it_lies() {
    use notme_attest::store::check_public;
    let check = |text: &str| {
        let object: serde_json::Value = serde_json::from_str(text).unwrap();
        check_public(object.as_object().unwrap())
    };
    for bad in [
        r#"{"contentOrigins":[]}"#,
        r#"{"dispatchDefinition":{"contentOrigins":[]}}"#,
        r#"{"runDetails":{"work":{"contentOrigins":1}}}"#,
        r#"{"annotations":[[{"x":{"contentOrigins":null}}]]}"#,
    ] {
        assert!(matches!(check(bad), Err(StoreError::Disclosed)), "{bad}");
    }
    assert!(check(r#"{"originsHash":"x","a":["contentOrigins"]}"#).is_ok());
}

/// What stands beside the payload is read by whoever reads that.
#[test]
fn origins_beside_a_payload_are_neither_kept_nor_taken() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    one.write(&records);
    let good: serde_json::Value = serde_json::from_slice(&records[1].0).unwrap();
    for place in ["", "/dsseEnvelope", "/verificationMaterial"] {
        let mut bad = good.clone();
        bad.pointer_mut(place).unwrap()["contentOrigins"] = serde_json::json!([]);
        let bad = bad.to_string().into_bytes();
        let kept = [(bad.clone(), vec![Place::commit(&commit.id)])];
        let refused = one.store.write(&kept, NOW);
        assert!(matches!(refused, Err(StoreError::Disclosed)), "{place}");
        let (head, rest) = commit.id.split_at(2);
        let path = format!("{head}/{rest}/{}", FileName::of(&bad));
        one.rewrite("commits", &[(&path, Some(&one.blob(&bad)))]);
    }
    assert_eq!(fetch(&one, &other).ignored, 3);
    assert_accepted(&other.judged(&commit));
}

/// An activity may have many thousand records, and each of them goes on from the one before.
#[test]
fn what_goes_on_from_a_noted_record_judges_no_other() {
    let world = World::new();
    let opening = Record::opening(None, Default::default());
    let mut records = vec![record(facts("urn:a", "claude"), opening, &[])];
    for _ in 0..3 {
        records.push(next("urn:a", "claude", &records, false, &[]));
    }
    world.write(&records);
    let (whole, judged) = world.tip("urn:a", "claude");
    let whole = whole.unwrap();
    assert_eq!((whole.sequence, judged), (3, 4));
    let note = |kept: &[u8]| {
        let noted = Noted {
            file: FileName::of(kept),
            contents: whole.contents.unwrap(),
        };
        let store = &world.store;
        store.note("urn:a", &identity("claude"), &noted).unwrap();
    };
    note(&records[3].0);
    assert_eq!(world.tip("urn:a", "claude"), (Ok(whole.clone()), 1));
    // A note that names nothing, and one for somebody else, are none.
    note(b"another");
    assert_eq!(world.tip("urn:a", "claude"), (Ok(whole.clone()), 4));
    note(&records[3].0);
    assert!(world.tip("urn:a", "reviewer").0.is_err());

    // Whatever was added meanwhile is judged, and nothing is written after it unseen.
    let place = Place::activity("urn:a");
    let closing = next("urn:a", "claude", &records, true, &[]);
    world.write(&[next("urn:a", "claude", &records[..3], true, &[])]);
    let written = world
        .store
        .write_after(&[closing], NOW, (&place, whole.contents));
    assert!(matches!(written, Err(StoreError::Moved)));
    let (forked, judged) = world.tip("urn:a", "claude");
    assert_eq!(forked, Err(Code::ChainFork));
    assert_eq!(judged, 5);
}

/// A record that is written meanwhile is there with its chain, or not at all.
#[test]
fn whoever_judges_sees_all_shelves_as_they_were_at_once() {
    let world = World::new();
    let commit = world.commit("one");
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    world.with_attestations(|attestations| {
        let goes_on = GoesOn::default();
        let tip = attestations.tip("urn:a", &identity("claude"), goes_on);
        assert!(tip.unwrap().is_err());
        world.write(&records);
        assert!(attestations.of(&commit.id).unwrap().is_empty());
    });
    assert_accepted(&world.with_attestations(|it| it.of(&commit.id).unwrap()));
}

/// A tree of few bytes may hold another very often.
#[test]
fn a_merge_counts_before_it_looks() {
    let (one, other) = (World::new(), World::new());
    let blob = one.blob(b"{}");
    let mut entry = format!("100644 blob {blob}");
    for (digits, count) in [(16, 6_000), (38, 400), (2, 256)] {
        let suffix = if digits == 16 { ".sigstore.json" } else { "" };
        let lines = (0..count).map(|number| format!("{entry}\t{number:0digits$x}{suffix}\n"));
        let listed: String = lines.collect();
        let made = one
            .repository
            .git_with_input(&["mktree"], listed.as_bytes());
        let tree = String::from_utf8(made.stdout).unwrap();
        entry = format!("040000 tree {}", tree.trim());
    }
    let tree = entry.rsplit(' ').next().unwrap();
    let many = one.repository.git_ok(&["commit-tree", "-m", "x", tree]);
    let reference = Shelf::Commits.reference();
    one.repository.git_ok(&["update-ref", &reference, &many]);
    let path = one.repository.path();
    let refspec = Shelf::Commits.refspec("origin");
    let path = path.to_str().unwrap();
    other
        .repository
        .git_ok(&["fetch", "--quiet", path, &refspec]);
    let merged = other
        .store
        .merge("origin", NOW, Excess::Refused, |_, _| Ok(()));
    assert!(matches!(merged, Err(StoreError::TooMany(it)) if it == reference));
    let spared = (other.store).merge("origin", NOW, Excess::LeftOut, |_, _| Ok(()));
    let spared = spared.unwrap();
    assert!(!spared.is_whole());
    let (first, _) = &spared.unlooked[&Shelf::Commits];
    assert!(first.starts_with("00/0000"), "{first}");
    assert!(other.store.is_empty().unwrap());
    // What lies beside it is taken all the same.
    let commit = one.commit("one");
    one.repository.git_ok(&["update-ref", "-d", &reference]);
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    one.write(&records);
    let (top, _) = commit.id.split_at(2);
    let beside = |revision: &str, line: &str| {
        let listed = one.repository.git_ok(&["ls-tree", revision]);
        let kept = listed
            .lines()
            .filter(|it| !it.ends_with(&format!("\t{top}")));
        let listed = kept.map(|it| format!("{it}\n")).collect::<String>() + line + "\n";
        let made = (one.repository).git_with_input(&["mktree"], listed.as_bytes());
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    let heavy = one.repository.git_ok(&["ls-tree", &format!("{many}:00")]);
    let fan = beside(&format!("{reference}:{top}"), &heavy);
    let tree = beside(&reference, &format!("040000 tree {fan}\t{top}"));
    let made = one.repository.git_ok(&["commit-tree", "-m", "x", &tree]);
    one.repository.git_ok(&["update-ref", &reference, &made]);
    (other.repository).git_ok(&["fetch", "--quiet", "--force", path, &refspec]);
    let spared = (other.store).merge("origin", NOW, Excess::LeftOut, |_, _| Ok(()));
    let spared = spared.unwrap();
    assert_eq!(spared.added.len(), 1);
    assert!(spared.unlooked[&Shelf::Commits].0.starts_with(top));
}

/// Readers differ on which of the two it is.
#[test]
fn a_tree_that_names_something_twice_is_neither_read_nor_added_to() {
    let world = World::new();
    let commit = world.commit("one");
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    world.write(&records);
    let reference = Shelf::Commits.reference();
    let tree = world
        .repository
        .git_ok(&["rev-parse", &format!("{reference}^{{tree}}")]);
    let line = world.repository.read_object("tree", &tree);
    let twice = world
        .repository
        .write_object_unchecked("tree", &line.repeat(2));
    let made = ["commit-tree", "-m", "x", "-p", &reference, &twice];
    let made = world.repository.git_ok(&made);
    world.repository.git_ok(&["update-ref", &reference, &made]);
    let is_refused = |error: StoreError| matches!(error, StoreError::Malformed(it) if it == twice);
    let read = world.store.read(&Place::commit(&commit.id));
    assert!(is_refused(read.unwrap_err()));
    let records = chain("urn:b", "claude", &[commit]);
    assert!(is_refused(world.store.write(&records, NOW).unwrap_err()));
}

/// What is left out does not come along as the history of what is taken.
#[test]
fn a_merge_does_not_take_over_the_history_of_what_it_leaves_out() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    one.write(&chain("urn:a", "claude", std::slice::from_ref(&commit)));
    let (head, rest) = commit.id.split_at(2);
    let junk = one.blob(b"junk");
    let path = format!("{head}/{rest}/junk");
    one.rewrite("commits", &[(&path, Some(&junk))]);
    assert_eq!(fetch(&one, &other).ignored, 1);
    assert_accepted(&other.judged(&commit));
    let ours = ["rev-list", "--objects", "refs/attestations/commits"];
    assert!(!other.repository.git_ok(&ours).contains(&junk));
    assert_eq!(fetch(&one, &other).added.len(), 0);
}

/// It costs nothing to send, and would fill the place.
#[test]
fn a_merge_takes_nothing_that_is_padded() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    for (number, (blanks, is_taken)) in [(60 << 10, true), (70 << 10, false)]
        .into_iter()
        .enumerate()
    {
        let id = format!("urn:{number}");
        let mut records = chain(&id, "claude", std::slice::from_ref(&commit));
        for (bundle, _) in &mut records {
            bundle.resize(bundle.len() + blanks, b' ');
        }
        one.write(&records);
        let merged = fetch(&one, &other);
        assert_eq!(merged.added.is_empty(), !is_taken);
        assert_eq!(merged.ignored == 0, is_taken);
    }
    assert_accepted(&other.judged(&commit));
}

/// git has no ref below another: that is seen before any of the refs moves.
#[test]
fn a_ref_in_the_place_of_a_directory_moves_nothing() {
    let world = World::new();
    let commit = world.commit("one");
    let below = "refs/attestations/commits/x";
    world.repository.git_ok(&["update-ref", below, &commit.id]);
    let before = world.repository.git_ok(&["for-each-ref"]);
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    let refused = world.store.write(&records, NOW);
    assert!(matches!(refused, Err(StoreError::NoCommit(_))));
    assert_eq!(world.repository.git_ok(&["for-each-ref"]), before);
    world.repository.git_ok(&["update-ref", "-d", below]);
    world.write(&records);
    assert_accepted(&world.judged(&commit));
}

/// A name is no proof of which content was judged under it.
#[test]
fn a_file_under_the_name_of_another_spoils_only_itself() {
    let world = World::new();
    let commits = [world.commit("one"), world.commit("two")];
    let of = |number: usize| std::slice::from_ref(&commits[number]);
    world.write(&chain("urn:a", "claude", of(0)));
    world.write(&chain("urn:b", "claude", of(1)));
    let listed = world.listed("commits");
    let (head, rest) = commits[0].id.split_at(2);
    let own = listed
        .iter()
        .find(|path| path.starts_with(&format!("{head}/{rest}/")));
    let name = own.unwrap().rsplit('/').next().unwrap();
    let (head, rest) = commits[1].id.split_at(2);
    let junk = world.blob(b"junk");
    let path = format!("{head}/{rest}/{name}");
    world.rewrite("commits", &[(&path, Some(&junk))]);
    let ids = [commits[1].id.clone(), commits[0].id.clone()];
    let codes = world.with_attestations(|it| {
        let all = it.of_all(&ids).unwrap();
        let refused = |some: &Vec<_>| {
            let codes = some
                .iter()
                .filter_map(|it: &notme_attest::Attested| it.verdict.code());
            codes.count()
        };
        all.iter().map(refused).collect::<Vec<_>>()
    });
    assert_eq!(codes, [1, 0]);
}

#[test]
fn an_id_of_another_hash_names_nothing() {
    let world = World::new();
    assert!(world.store.commit(&"0".repeat(64)).unwrap().is_none());
}

/// Whatever it stands for, statements are not put there.
#[test]
fn a_ref_that_stands_for_another_is_told_and_not_moved() {
    let world = World::new();
    let commit = world.commit("one");
    let branch = world.repository.git_ok(&["symbolic-ref", "HEAD"]);
    let reference = "refs/attestations/commits";
    world
        .repository
        .git_ok(&["symbolic-ref", reference, &branch]);
    let error = world
        .store
        .write(
            &chain("urn:a", "claude", std::slice::from_ref(&commit)),
            NOW,
        )
        .unwrap_err();
    assert!(matches!(&error, StoreError::NoCommit(named) if named == reference));
    let head = world.repository.git_ok(&["rev-parse", &branch]);
    assert_eq!(head, commit.id);
}

#[test]
fn a_statement_that_cannot_be_read_is_one_that_is_refused() {
    let world = World::new();
    let commit = world.commit("one");
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    world.write(&records);
    world.write(&chain("urn:b", "claude", std::slice::from_ref(&commit)));
    let listed = world
        .repository
        .git_ok(&["ls-tree", "-r", "refs/attestations/commits"]);
    let line = listed.lines().next().unwrap();
    let blob = line.split_ascii_whitespace().nth(2).unwrap();
    let (head, rest) = blob.split_at(2);
    let path = world.repository.path().join(".git/objects");
    fs::remove_file(path.join(head).join(rest)).unwrap();
    let codes = world.codes(&commit);
    assert_eq!(codes.len(), 2);
    assert!(codes.contains(&Some(Code::EnvelopeMalformed)), "{codes:?}");
    // It may have been a rejection, so that rules are told of none.
    let told = world.with_judge(Asked::default(), |all, _| all.about(&commit.id).is_ok());
    assert!(!told);
}

/// Whoever may push puts anything anywhere: a statement is taken where it says that it belongs.
#[test]
fn a_merge_takes_files_only_where_they_belong() {
    let (one, other) = (World::new(), World::new());
    let commits = [one.commit("one"), one.commit("two")];
    let mut records = chain("urn:a", "claude", &commits[..1]);
    let wrong = [
        Place::commit(&commits[1].id),
        Place::tree(&commits[1].tree),
        Place::activity("urn:b"),
    ];
    records[1].1.extend(wrong.clone());
    one.write(&records);
    let merged = fetch(&one, &other);
    assert_eq!((merged.added.len(), merged.ignored), (3, 3));
    for place in wrong {
        assert_eq!(other.store.count(&place).unwrap(), 0, "{place:?}");
    }
    assert_accepted(&other.judged(&commits[0]));
}

/// How a statement is carried can be changed by anybody; what it says cannot.
#[test]
fn what_was_dropped_for_what_it_says_does_not_come_back_in_other_clothes() {
    let (one, other) = (World::new(), World::new());
    let commit = one.commit("one");
    let records = chain("urn:a", "claude", std::slice::from_ref(&commit));
    let unwanted = chain("urn:b", "claude", std::slice::from_ref(&commit));
    one.write(&[&records[..], &unwanted[1..2]].concat());
    fetch(&one, &other);
    let file = FileName::of(&unwanted[1].0);
    let drop = |digest: Option<String>| {
        let files = [(file.clone(), digest)].into();
        other.store.drop_files(&files, "it is wrong", NOW).unwrap();
    };
    let copied = |number: usize| {
        let content = [&unwanted[1].0[..], &b" ".repeat(number)].concat();
        one.write(&[(content, unwanted[1].1.clone())]);
        let merged = fetch(&one, &other);
        (merged.added.len(), merged.dropped.len())
    };
    // By its name, it is that file and no other: so lists say that are older than digests are.
    drop(None);
    let list = other
        .repository
        .path()
        .join(".git/notme-attest/dropped.jsonl");
    assert!(!fs::read_to_string(&list).unwrap().contains("digest"));
    assert_eq!(copied(1), (1, 1));
    drop(Some(digest(&unwanted[1].0)));
    assert_eq!(copied(2), (0, 2));
    assert_eq!(fs::read_to_string(&list).unwrap().lines().count(), 2);
}

/// A pack of few bytes may hold a tree as what it is against an endless one.
#[test]
fn what_is_packed_against_something_endless_is_not_unpacked() {
    let world = World::new();
    let git = |arguments: &[&str], input: &[u8]| {
        let output = world.repository.git_with_input(arguments, input);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let endless = vec![0; (256 << 20) + 1];
    let base_id = git(
        &["hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        &endless,
    );
    let base_id: ObjectId = base_id.parse().unwrap();
    let raw = [&b"100644 a\0"[..], &[1; 20]].concat();
    let tree = git(
        &["hash-object", "-t", "tree", "--stdin", "--literally"],
        &raw,
    );
    // Both lengths, and 29 bytes as they are.
    let delta = [&[0x81, 0x80, 0x80, 0x80, 0x01, 29, 29][..], &raw].concat();
    let mut pack = header::encode(Version::V2, 1).to_vec();
    let length = u64::try_from(delta.len()).unwrap();
    let header = Header::RefDelta { base_id };
    header.write_to(length, &mut pack).unwrap();
    let mut deflated = deflate::Write::new(pack, Compression::BEST_SPEED);
    deflated.write_all(&delta).unwrap();
    deflated.flush().unwrap();
    let mut pack = deflated.into_inner();
    let mut hasher = hasher(base_id.kind());
    hasher.update(&pack);
    pack.extend(hasher.try_finalize().unwrap().as_slice());
    git(&["index-pack", "--stdin", "--fix-thin"], &pack);
    let commit = git(&["commit-tree", "-m", "x", &tree], b"");
    git(&["update-ref", &Shelf::Commits.reference(), &commit], b"");
    let store = Store::open(&world.repository.path().join(".git")).unwrap();
    let refused = store.contents(&Place::commit(&commit));
    assert!(matches!(refused, Err(StoreError::Malformed(it)) if it == tree));
}
