//! What rests on a compromised key, beside what git says of the same history.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
};

use notme_core::{hex, key::KeyId, time::UnixTime};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    commit::CommitSpec,
    repository::Repository as Git,
};
use notme_verifier::{
    Judge, Policy, Repository, Trust,
    radius::Radius,
    report::{write_radius_json, write_radius_text},
    suspicion::Suspicion,
    trust::{Authority, PinKind},
};
use serde_json::Value;

use crate::world::floor;

const DAY: i64 = 86_400;

/// A repository, the agents that sign in it, and a way to roll dice.
struct World {
    git: Git,
    agents: TestAuthority,
    dice: u64,
    made: i64,
}

/// Which of the two agents signs.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Agent {
    Good,
    Bad,
}

impl World {
    fn new(dice: u64) -> Self {
        Self {
            git: Git::new(),
            agents: TestAuthority::born(1, NOW.plus(-400 * DAY)),
            dice,
            made: 0,
        }
    }

    /// Returns a number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.dice >> 33).unwrap() % sides
    }

    fn time(&self) -> UnixTime {
        NOW.plus(self.made * 600 - 300 * DAY)
    }

    /// Commits what is in the working directory, an hour after the commit before.
    fn commit(&mut self, agent: Agent, parents: &[String]) -> String {
        self.made += 1;
        let at = self.time();
        self.git.git_ok(&["add", "--all"]);
        let spec = CommitSpec {
            parents: parents.to_vec(),
            at,
            ..CommitSpec::new(&self.git.git_ok(&["write-tree"]))
        };
        let payload = spec.payload();
        let leaf = LeafSpec {
            not_before: at.plus(-60),
            not_after: at.plus(300),
            ..self.spec(agent, &payload)
        };
        let raw = self.agents.leaf(&leaf).sign_commit(&payload, at);
        let id = self.git.write_commit_object(&raw);
        self.git.git_ok(&["reset", "-q", "--hard", &id]);
        id
    }

    fn spec(&self, agent: Agent, payload: &[u8]) -> LeafSpec {
        let (seed, name) = match agent {
            Agent::Good => (1, "good"),
            Agent::Bad => (2, "bad"),
        };
        LeafSpec {
            seed,
            identity: format!("wimse://test.invalid/agent/alice/{name}")
                .parse()
                .unwrap(),
            ..LeafSpec::bound_to(payload)
        }
    }

    fn trust(&self) -> Trust {
        let document = self.agents.trust(1, NOW);
        let scopes = PinKind::TrustDocument.default_scopes();
        Trust::new(
            vec![Authority::from_document("local", scopes, &document)],
            vec![],
        )
    }

    fn radius(&self, what: &str, since: UnixTime) -> Value {
        let (report, _) = self.radius_of(what, since);
        report
    }

    fn radius_of(&self, what: &str, since: UnixTime) -> (Value, String) {
        let [json, text] = self.reports(what, since);
        (serde_json::from_str(&json).unwrap(), text)
    }

    /// Returns what is written, as JSON and as text.
    fn reports(&self, what: &str, since: UnixTime) -> [String; 2] {
        let trust = self.trust();
        let policy: Policy = floor("declared");
        let judge = Judge::new(&policy, &trust, NOW);
        let repository = Repository::discover(&self.git.path()).unwrap();
        let selection = repository.select_all().unwrap();
        let suspicions = vec![Suspicion::of(what, since, &trust).unwrap()];
        let tip = repository.head().unwrap();
        let radius = Radius::find(
            &repository,
            &selection,
            &judge,
            (None, None),
            (suspicions, tip),
        )
        .unwrap();
        let (mut json, mut text) = (Vec::new(), Vec::new());
        write_radius_json(&radius, &mut json).unwrap();
        write_radius_text(&radius, &mut text).unwrap();
        [json, text].map(|it| String::from_utf8(it).unwrap())
    }

    fn files(&self) -> Vec<String> {
        let files = self.git.git_ok(&["ls-files"]);
        files.lines().map(str::to_owned).collect()
    }

    /// Does something to the files that a person might: new lines, other lines, fewer lines,
    /// other names.
    fn work(&mut self) {
        let files = self.files();
        let number = self.made;
        match self.roll(8) {
            0 | 1 => {
                let text = self.lines(12);
                self.git.write(format!("new-{number}"), &text);
            }
            2 if files.len() > 2 => {
                let file = files[self.roll(files.len())].clone();
                fs::create_dir_all(self.git.path().join("moved")).unwrap();
                let name = file.rsplit('/').next().unwrap();
                let moved = format!("moved/{number}-{name}");
                self.git.git_ok(&["mv", &file, &moved]);
                if self.roll(2) == 0 {
                    self.edit(&moved);
                }
            }
            3 if files.len() > 3 => {
                let file = files[self.roll(files.len())].clone();
                self.git.git_ok(&["rm", "-q", &file]);
            }
            _ if files.is_empty() => self.git.write("first", "one\n"),
            _ => {
                for _ in 0..=self.roll(3) {
                    let file = files[self.roll(files.len())].clone();
                    self.edit(&file);
                }
            }
        }
    }

    fn lines(&mut self, most: usize) -> String {
        let count = self.roll(most) + 1;
        (0..count).map(|_| self.line()).collect()
    }

    fn line(&mut self) -> String {
        match self.roll(10) {
            0 => "}\n".to_owned(),
            1 => "\n".to_owned(),
            _ => format!("    word {}\n", self.roll(1_000_000)),
        }
    }

    fn edit(&mut self, file: &str) {
        let path = self.git.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
        for _ in 0..=self.roll(3) {
            let at = self.roll(lines.len() + 1);
            match self.roll(3) {
                0 if at < lines.len() => lines[at] = self.line(),
                1 if at < lines.len() => drop(lines.remove(at)),
                _ => lines.insert(at, self.line()),
            }
        }
        fs::write(path, lines.concat()).unwrap();
    }

    /// Returns the lines that `git blame` gives to commits, by file. Of the places where equal lines
    /// could have been added, the heuristic would choose the one that looks best.
    fn blamed(&self, commits: &[String]) -> BTreeMap<String, Vec<u64>> {
        let mut all = BTreeMap::new();
        for file in self.files() {
            let blame = self.git.git_ok(&[
                "-c",
                "diff.indentHeuristic=false",
                "blame",
                "--porcelain",
                "HEAD",
                "--",
                &file,
            ]);
            let lines = blame.lines().filter(|line| !line.starts_with('\t'));
            let mut lines: Vec<u64> = lines
                .filter_map(|line| {
                    let mut words = line.split(' ');
                    let commit = words.next()?;
                    let is_theirs = commits.iter().any(|it| it == commit);
                    let line = words.nth(1)?;
                    is_theirs.then(|| line.parse().unwrap())
                })
                .collect();
            lines.sort_unstable();
            if !lines.is_empty() {
                all.insert(file, lines);
            }
        }
        all
    }
}

/// Returns the lines of a report, by file.
fn lines(report: &Value) -> BTreeMap<String, Vec<u64>> {
    let mut all = BTreeMap::new();
    for file in report["files"].as_array().unwrap() {
        let runs = file["lines"].as_array().unwrap().iter();
        let range = |run: &Value| run["first"].as_u64().unwrap()..=run["last"].as_u64().unwrap();
        let lines: Vec<_> = runs.flat_map(range).collect();
        if !lines.is_empty() {
            all.insert(file["path"].as_str().unwrap().to_owned(), lines);
        }
    }
    all
}

/// Makes a history of edits, renames, deletions and merges, by two agents, and returns it with the
/// commits of the bad one.
fn history(dice: u64) -> (World, Vec<String>) {
    let mut world = World::new(dice);
    let mut bad = Vec::new();
    world.git.write("first", "one\ntwo\nthree\nfour\nfive\n");
    let mut tip = world.commit(Agent::Good, &[]);
    for _ in 0..24 {
        let agent = if world.roll(3) == 0 {
            Agent::Bad
        } else {
            Agent::Good
        };
        let made = if world.roll(6) == 0 {
            world.merge(agent, &tip)
        } else {
            world.work();
            world.commit(agent, std::slice::from_ref(&tip))
        };
        if agent == Agent::Bad {
            bad.push(made.clone());
        }
        tip = made;
    }
    world.git.git_ok(&["update-ref", "refs/heads/main", &tip]);
    (world, bad)
}

impl World {
    /// Goes another way from the commit before, and merges both as git does; ours where they
    /// disagree.
    fn merge(&mut self, agent: Agent, tip: &str) -> String {
        self.work();
        let ours = self.commit(Agent::Good, &[tip.to_owned()]);
        self.git.git_ok(&["reset", "-q", "--hard", tip]);
        self.work();
        let theirs = self.commit(Agent::Good, &[tip.to_owned()]);
        self.git.git_ok(&["reset", "-q", "--hard", &ours]);
        let merge = ["merge", "-q", "--no-commit", "--no-gpg-sign", "-X", "ours"];
        let merged = self.git.git(&[&merge[..], &[&theirs]].concat());
        if !merged.status.success() {
            self.git.git_ok(&["checkout", "-q", "-f", &ours, "--", "."]);
        }
        self.commit(agent, &[ours, theirs])
    }
}

#[test]
fn the_lines_that_are_left_are_those_of_git_blame() {
    for dice in 1..=8 {
        let (world, bad) = history(dice);
        let identity = "wimse://test.invalid/agent/alice/bad";
        let report = world.radius(identity, UnixTime::from_secs(0));
        let exposed = report["objects"].as_array().unwrap();
        assert_eq!(exposed.len(), bad.len());
        assert_eq!(lines(&report), world.blamed(&bad), "dice {dice}");
        assert_eq!(report["complete"], true);
    }
}

#[test]
fn what_an_authority_vouches_for_is_all_of_it() {
    let (world, _) = history(3);
    let commits = world.git.git_ok(&["rev-list", "HEAD"]);
    let commits: Vec<_> = commits.lines().map(str::to_owned).collect();
    let root = world.agents.ed25519_root().kid().to_string();
    for what in ["local", &root] {
        let report = world.radius(what, UnixTime::from_secs(0));
        assert_eq!(report["objects"].as_array().unwrap().len(), commits.len());
        assert_eq!(lines(&report), world.blamed(&commits));
    }
}

/// Two commits of one key, and the id of the key.
fn two() -> (World, [String; 2], KeyId) {
    let mut world = World::new(1);
    world.git.write("a", "old\n");
    let old = world.commit(Agent::Bad, &[]);
    world.git.write("a", "old\nnew\n");
    let new = world.commit(Agent::Bad, std::slice::from_ref(&old));
    world.git.git_ok(&["update-ref", "refs/heads/main", &new]);
    let leaf = world.agents.leaf(&world.spec(Agent::Bad, b""));
    let kid = leaf.key().public_key().kid();
    (world, [old, new], kid)
}

#[test]
fn a_key_goes_by_the_name_in_its_certificate() {
    let (world, _, _) = two();
    let leaf = world.agents.leaf(&world.spec(Agent::Bad, b""));
    let root = world.agents.ed25519_root();
    for certificate in [leaf.certificate(), root] {
        let name = hex::encode(certificate.subject_key_id().unwrap());
        let report = world.radius(&name, UnixTime::from_secs(0));
        let objects = report["objects"].as_array().unwrap();
        assert_eq!(objects.len(), 2, "{report}");
        assert_eq!(objects[0]["exposure"], "since");
        assert_eq!(report["compromised"][0]["code"], Value::Null);
    }
}

#[test]
fn what_was_shown_to_be_older_does_not_rest_on_it() {
    let (world, [old, new], kid) = two();
    // The authority's time is in the certificate: a thief of the key cannot write it.
    let since = world.time().plus(-60);
    let report = world.radius(&kid.to_string(), since);
    let objects = report["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["oid"], new.as_str());
    assert_eq!(objects[0]["exposure"], "since");
    assert_eq!(lines(&report), BTreeMap::from([("a".to_owned(), vec![2])]));
    // A thief of the authority can.
    let report = world.radius("local", since);
    let objects = report["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[1]["oid"], old.as_str());
    assert_eq!(objects[1]["exposure"], "undated");
}

#[test]
fn a_date_that_is_the_signers_word_is_no_excuse() {
    let mut world = World::new(1);
    world.git.write("a", "a\n");
    world.git.git_ok(&["add", "--all"]);
    let at = world.time();
    let spec = CommitSpec {
        at,
        ..CommitSpec::new(&world.git.git_ok(&["write-tree"]))
    };
    let session = LeafSpec {
        not_before: at.plus(-60),
        not_after: at.plus(3600),
        payload_digest: None,
        ..world.spec(Agent::Bad, b"")
    };
    let raw = world.agents.leaf(&session).sign_commit(&spec.payload(), at);
    let id = world.git.write_commit_object(&raw);
    world.git.git_ok(&["update-ref", "refs/heads/main", &id]);
    world.made += 1;
    let report = world.radius("wimse://test.invalid/agent/alice/bad", at.plus(DAY));
    assert_eq!(report["objects"][0]["exposure"], "undated");
}

#[test]
fn references_that_come_after_it_are_told() {
    let (world, [old, new], kid) = two();
    world.git.git_ok(&["update-ref", "refs/tags/before", &old]);
    world.git.git_ok(&["update-ref", "refs/tags/after", &new]);
    let (report, text) = world.radius_of(&kid.to_string(), world.time().plus(-60));
    let references = report["references"].as_array().unwrap();
    let names: Vec<_> = references
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["refs/heads/main", "refs/tags/after"]);
    assert!(text.contains("reaches    refs/tags/after\n"), "{text}");
    assert!(
        text.contains("file       a  changed by 1 commit  lines left: 2\n"),
        "{text}"
    );
    let counts = "1 of 2 objects, 2 branches and tags, 1 file with 1 line left";
    assert!(text.lines().any(|line| line.starts_with(counts)), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn what_is_none_of_it_is_not_told() {
    let (world, _) = history(5);
    let report = world.radius(&"0".repeat(32), UnixTime::from_secs(0));
    for list in ["objects", "references", "files", "attestations"] {
        assert!(report[list].as_array().unwrap().is_empty(), "{list}");
    }
    let trust = world.trust();
    for name in ["nobody", "", "0123"] {
        assert!(Suspicion::of(name, NOW, &trust).is_err(), "{name}");
    }
}

/// Ten trees of ten entries each, one in the other: as many files as nobody can list.
#[test]
fn a_bomb_of_trees_is_not_unpacked() {
    let world = World::new(1);
    let blob = world
        .git
        .git_with_input(&["hash-object", "-w", "--stdin"], b"x\n");
    let mut inner = format!(
        "100644 blob {}",
        String::from_utf8(blob.stdout).unwrap().trim()
    );
    let mut tree = String::new();
    for _ in 0..10 {
        let entries: String = (0..10).map(|it| format!("{inner}\t{it}\n")).collect();
        let made = world.git.git_with_input(&["mktree"], entries.as_bytes());
        tree = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        inner = format!("040000 tree {tree}");
    }
    let at = world.time();
    let payload = CommitSpec {
        at,
        ..CommitSpec::new(&tree)
    }
    .payload();
    let leaf = LeafSpec {
        not_before: at.plus(-60),
        not_after: at.plus(300),
        ..world.spec(Agent::Bad, &payload)
    };
    let raw = world.agents.leaf(&leaf).sign_commit(&payload, at);
    let id = world.git.write_commit_object(&raw);
    world.git.git_ok(&["update-ref", "refs/heads/main", &id]);
    world.git.git_ok(&["repack", "-q", "-a", "-d"]);
    let report = world.radius("local", UnixTime::from_secs(0));
    assert_eq!(report["unread"][0], id.as_str());
    assert_eq!(report["complete"], false);
}

/// The same two lines in thousands of places: whoever pushes that does not say how long others
/// look at it.
#[test]
fn versions_that_take_too_long_to_compare_are_told() {
    let (mut world, [_, old], kid) = two();
    let mut long = || -> String {
        let lines = (0..25_000).map(|_| ["0\n", "1\n"][world.roll(2)]);
        lines.collect()
    };
    let versions = [long(), long()];
    world.git.write("long", &versions[0]);
    let before = world.commit(Agent::Bad, &[old]);
    world.git.write("a", "older\nnew\n");
    world.git.write("long", &versions[1]);
    let id = world.commit(Agent::Bad, &[before]);
    world.git.git_ok(&["update-ref", "refs/heads/main", &id]);
    let report = world.radius(&kid.to_string(), UnixTime::from_secs(0));
    let files = report["files"].as_array().unwrap().iter();
    let complete = files.map(|it| (it["path"].as_str().unwrap(), it["complete"] == true));
    assert_eq!(complete.collect::<Vec<_>>(), [("a", true), ("long", false)]);
    assert_eq!(lines(&report)["a"], [1, 2]);
    assert_eq!(report["complete"], false);
}

/// None of them is a line, and each may be the worst of all.
#[test]
fn submodules_modes_and_links_are_among_the_files() {
    let mut world = World::new(1);
    world.git.write("run", "x\n");
    world.git.write("link", "run");
    world.git.write("left", "x\n");
    let first = world.commit(Agent::Good, &[]);
    let at = world.git.path();
    fs::set_permissions(at.join("run"), Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(at.join("link")).unwrap();
    symlink("run", at.join("link")).unwrap();
    let submodule = format!("160000,{first},sub");
    world
        .git
        .git_ok(&["update-index", "--add", "--cacheinfo", &submodule]);
    fs::create_dir(at.join("sub")).unwrap();
    let id = world.commit(Agent::Bad, &[first]);
    world.git.git_ok(&["update-ref", "refs/heads/main", &id]);
    let bad = "wimse://test.invalid/agent/alice/bad";
    let report = world.radius(bad, UnixTime::from_secs(0));
    let files = report["files"].as_array().unwrap().iter();
    let paths: Vec<_> = files.map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["link", "run", "sub"]);
}

#[test]
fn names_of_files_are_exact_and_move_no_cursor() {
    let mut world = World::new(1);
    let name = "\u{9b}31m\u{202e}\u{1b}]0;x\u{7}";
    world.git.write(name, "x\n");
    let id = world.commit(Agent::Bad, &[]);
    world.git.git_ok(&["update-ref", "refs/heads/main", &id]);
    let (report, text) = world.radius_of("local", UnixTime::from_secs(0));
    assert_eq!(report["files"][0]["path"], name);
    let is_moving = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(is_moving), "{text}");
    let [written, _] = world.reports("local", UnixTime::from_secs(0));
    assert!(!written.contains(is_moving) && written.contains("\\u009b31m"));
}
