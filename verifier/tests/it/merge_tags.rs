//! Tags that merges carry: judged, reported, and good for nothing else.

use notme_core::armor::armor;
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    commit::with_signature,
    repository::Repository,
};
use notme_verifier::{
    Code, Judge, Judgement, Lineage, Policy, Repository as Opened,
    explain::explain,
    report::ObjectReport,
    repository::RepositoryError,
    verify::{Portion, verify_each},
    verify_range,
};

use crate::{
    history::{History, policy},
    world::{authority, trust},
};

/// A repository with two lines of history, and tags on the second.
struct World {
    git: Repository,
    main: String,
    side: String,
}

impl World {
    fn of(git: Repository) -> Self {
        let main = git.commit("a", "a");
        git.git_ok(&["checkout", "-q", "--orphan", "side"]);
        let side = git.commit("b", "b");
        git.git_ok(&["checkout", "-q", "main"]);
        Self { git, main, side }
    }

    /// Makes a tag that a session of an authority signs.
    fn tag(&self, name: &str, target: &str, by: &TestAuthority) {
        let at = NOW.secs();
        let payload = format!(
            "object {target}\ntype commit\ntag {name}\ntagger Test <test@example.invalid> {at} +0000\n\n{name}\n"
        );
        let session = by.leaf(&LeafSpec::bound_to(payload.as_bytes()));
        let signature = armor(&session.sign_cms(payload.as_bytes(), NOW));
        let raw = format!("{payload}{signature}");
        let oid = self.git.write_object_unchecked("tag", raw.as_bytes());
        self.git
            .git_ok(&["update-ref", &format!("refs/tags/{name}"), &oid]);
    }

    /// Has git merge tags, and signs what it made with our own authority.
    fn merge(&self, tags: &[&str]) -> Judgement {
        let arguments = [
            &[
                "merge",
                "-q",
                "--allow-unrelated-histories",
                "--no-ff",
                "-m",
                "merge",
            ],
            tags,
        ];
        self.git.git_ok(&arguments.concat());
        let head = self.git.git_ok(&["rev-parse", "HEAD"]);
        let payload = self.git.read_object("commit", &head);
        let session = authority().leaf(&LeafSpec::bound_to(&payload));
        let header = match head.len() {
            40 => "gpgsig",
            _ => "gpgsig-sha256",
        };
        let signature = armor(&session.sign_cms(&payload, NOW));
        let raw = with_signature(&payload, header, &signature);
        self.judged(&self.git.write_object_unchecked("commit", &raw))
    }

    fn judged(&self, commit: &str) -> Judgement {
        let trust = trust();
        let policy = Policy::from_trust(&trust);
        let judge = Judge::new(&policy, &trust, NOW);
        let repository = Opened::discover(&self.git.path()).unwrap();
        let selection = repository.select(commit).unwrap();
        let outcome = verify_range(&repository, &selection, &judge).unwrap();
        let [object] = outcome.objects() else {
            panic!("one object");
        };
        object.judgement().clone()
    }
}

#[test]
fn the_tag_in_a_merge_is_judged_and_reported() {
    for git in [Repository::new(), Repository::sha256()] {
        let world = World::of(git);
        world.tag("v1", &world.side, &authority());
        let object = world.merge(&["v1"]);
        assert_eq!(object.verdict().code(), None);
        let [tag] = object.merge_tags() else {
            panic!("one tag: {:?}", object.merge_tags());
        };
        assert_eq!(tag.name(), Some("v1"));
        assert_eq!(tag.target(), Some(world.side.as_str()));
        assert_eq!(tag.parent(), Some(2));
        assert_eq!(tag.judgement().verdict().code(), None);
        // git says the same of it.
        let shown = world.git.git_ok(&["log", "-1", "--show-signature"]);
        assert!(shown.contains("merged tag 'v1'"), "{shown}");

        let report = serde_json::to_value(ObjectReport::of_judgement(&object)).unwrap();
        assert_eq!(report["merge_tags"][0]["verdict"], "accepted");
        let (trust, policy) = (trust(), Policy::from_trust(&trust()));
        let text = explain(&object, &Judge::new(&policy, &trust, NOW)).to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            text.contains("carries a tag of parent 2, `v1`: accepted"),
            "{text}"
        );
    }
}

#[test]
fn a_tag_of_a_stranger_or_a_broken_one_takes_nothing_from_the_merge() {
    let world = World::of(Repository::new());
    world.tag("v1", &world.side, &TestAuthority::new(7));
    let object = world.merge(&["v1"]);
    assert_eq!(object.verdict().code(), None);
    let tag = &object.merge_tags()[0];
    assert_eq!(
        tag.judgement().verdict().code(),
        Some(Code::SignerUntrusted)
    );
}

/// A copied tag lets nothing in.
#[test]
fn a_good_tag_gives_an_unsigned_merge_nothing() {
    let world = World::of(Repository::new());
    world.tag("v1", &world.side, &authority());
    let _ = world.merge(&["v1"]);
    let unsigned = world.git.git_ok(&["rev-parse", "HEAD"]);
    let object = world.judged(&unsigned);
    assert_eq!(object.verdict().code(), Some(Code::Unsigned));
    let tag = &object.merge_tags()[0];
    assert_eq!(tag.judgement().verdict().code(), None);
}

#[test]
fn an_octopus_carries_a_tag_for_each_parent_and_one_of_another_commit_is_told_apart() {
    let world = World::of(Repository::new());
    let git = &world.git;
    git.git_ok(&["checkout", "-q", "--orphan", "third"]);
    let third = git.commit("c", "c");
    git.git_ok(&["checkout", "-q", "main"]);
    world.tag("v1", &world.side, &authority());
    world.tag("v2", &third, &authority());
    let tree = git.git_ok(&["rev-parse", "HEAD^{tree}"]);
    let folded = |name: &str| {
        let raw = git.read_object("tag", &git.git_ok(&["rev-parse", name]));
        let raw = String::from_utf8(raw).unwrap();
        raw.trim_end_matches('\n').replace('\n', "\n ")
    };
    let (main, side) = (&world.main, &world.side);
    let raw = format!(
        "tree {tree}\nparent {main}\nparent {side}\nparent {third}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\nmergetag {}\nmergetag {}\nmergetag not a tag\n\noctopus\n",
        folded("v2"),
        folded("v1"),
    );
    let object = world.judged(&git.write_object_unchecked("commit", raw.as_bytes()));
    let tags = object.merge_tags();
    let parents: Vec<_> = tags.iter().map(|tag| (tag.name(), tag.parent())).collect();
    assert_eq!(
        parents,
        [(Some("v2"), Some(3)), (Some("v1"), Some(2)), (None, None)]
    );
    assert_eq!(tags[2].judgement().verdict().code(), Some(Code::Unsigned));
    // Without a second parent it is no merge, and nobody copied anything.
    let alone = raw.replace(&format!("parent {side}\nparent {third}\n"), "");
    let object = world.judged(&git.write_object_unchecked("commit", alone.as_bytes()));
    assert!(object.merge_tags().is_empty());
}

/// How many merges there are, each with [`TAGS`] tags.
const MERGES: usize = 70;
const TAGS: usize = 64;

/// Makes merges with tags, and returns the last of them.
fn many_tags(git: &Repository, main: &str, side: &str) -> String {
    let tree = git.git_ok(&["rev-parse", &format!("{main}^{{tree}}")]);
    let mut head = main.to_owned();
    for number in 0..MERGES {
        let tags: String = (0..TAGS)
            .map(|tag| {
                format!("mergetag object {side}\n type commit\n tag v{number}.{tag}\n tagger a <a@b> 1 +0000\n \n x\n")
            })
            .collect();
        let raw = format!(
            "tree {tree}\nparent {head}\nparent {side}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n{tags}\nm\n"
        );
        head = git.write_object_unchecked("commit", raw.as_bytes());
    }
    head
}

/// Checks how many tags were told at a time.
fn assert_told(told: &[usize]) {
    assert_eq!(told.iter().sum::<usize>(), MERGES * TAGS);
    assert!(
        told.len() > 1 && told.iter().all(|it| *it <= 4096 + TAGS),
        "{told:?}"
    );
}

fn tags_in(portion: &Portion) -> usize {
    let objects = portion.objects().iter();
    objects.map(|it| it.judgement().merge_tags().len()).sum()
}

#[test]
fn many_tags_in_many_merges_are_told_a_few_at_a_time() {
    let world = World::of(Repository::new());
    let git = &world.git;
    let head = many_tags(git, &world.main, &world.side);
    let trust = trust();
    let policy = Policy::from_trust(&trust);
    let judge = Judge::new(&policy, &trust, NOW);
    let repository = Opened::discover(&git.path()).unwrap();
    let range = format!("{}..{head}", git.git_ok(&["rev-parse", "main"]));
    let selection = repository.select(&range).unwrap();
    let mut told: Vec<usize> = Vec::new();
    let outcome = verify_each(&repository, &selection, &judge, None, &mut |portion| {
        told.push(tags_in(&portion));
        Ok::<(), RepositoryError>(())
    });
    assert_eq!(outcome.unwrap().summary().objects, MERGES + 1);
    assert_told(&told);
}

#[test]
fn behind_a_trust_root_they_are_too() {
    let history = History::new();
    let rules = (".notme/policy.toml", &*policy(&["alice!"]));
    let root = history.commit(&[], "nobody", &[rules]);
    let side = history.commit(&[&root], "alice", &[rules, ("a", "a")]);
    let head = many_tags(&history.git, &root, &side);
    let repository = history.open();
    let selection = repository.select(&format!("{root}..{head}")).unwrap();
    // Those before the trust root as well.
    for pinned in [&root, &head] {
        let pinned = pinned.parse().unwrap();
        let lineage = Lineage::new(&repository, &selection, pinned, (&history.trust, NOW)).unwrap();
        let mut told: Vec<usize> = Vec::new();
        let outcome = lineage.verify_each(&selection, None, &mut |portion| {
            told.push(tags_in(&portion));
            Ok::<(), RepositoryError>(())
        });
        assert_eq!(outcome.unwrap().summary().objects, MERGES + 1);
        assert_told(&told);
    }
}
