//! Histories written by hand: trees with a policy, and commits that somebody signs.

use std::{cell::RefCell, collections::BTreeMap};

use notme_core::{
    armor::armor,
    key::{KeyId, sha256},
    terms::Terms,
    time::UnixTime,
};
use notme_testkit::{
    cast::{LeafSpec, TRUST_DOMAIN},
    clock::NOW,
    commit::CommitSpec,
    repository::{Repository as Git, run},
};
use notme_verifier::{
    Judgement, Lineage, Outcome, Repository, Trust, Verdict,
    lineage::{LineageError, TrustRoot},
    repository::{ObjectId, Selection},
    stated::Statements,
};

use crate::world::{authority, trust};

/// A repository in which time passes from commit to commit.
pub(crate) struct History {
    pub(crate) git: Git,
    written: RefCell<BTreeMap<String, String>>,
    minutes: RefCell<i64>,
    pub(crate) trust: Trust,
}

/// What a tree holds: directory and name, and the content.
pub(crate) type Files<'a> = &'a [(&'a str, &'a str)];

impl History {
    pub(crate) fn new() -> Self {
        Self {
            git: Git::new(),
            written: RefCell::default(),
            minutes: RefCell::new(-1_000),
            trust: trust(),
        }
    }

    /// Stores an object, once.
    fn put(&self, arguments: &[&str], input: &str) -> String {
        let key = format!("{arguments:?}{input}");
        if let Some(id) = self.written.borrow().get(&key) {
            return id.clone();
        }
        let output = run(self.git.command("git").args(arguments), input.as_bytes());
        assert!(output.status.success(), "{arguments:?} {input}");
        let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        self.written.borrow_mut().insert(key, id.clone());
        id
    }

    /// Stores a tree of files.
    pub(crate) fn tree(&self, files: Files<'_>) -> String {
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        let mut directories: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (path, content) in files {
            match path.split_once('/') {
                None => {
                    let blob = self.put(&["hash-object", "-w", "--stdin"], content);
                    let line = format!("100644 blob {blob}\t{path}\n");
                    lines.insert((*path).to_owned(), line);
                }
                Some((directory, rest)) => {
                    let inside = directories.entry(directory).or_default();
                    inside.push((rest, *content));
                }
            }
        }
        for (name, inside) in directories {
            let tree = self.tree(&inside);
            lines.insert(name.to_owned(), format!("040000 tree {tree}\t{name}\n"));
        }
        self.put(&["mktree"], &lines.into_values().collect::<String>())
    }

    /// Makes a commit of files by somebody; nobody does not sign.
    pub(crate) fn commit(&self, parents: &[&str], who: &str, files: Files<'_>) -> String {
        self.commit_tree(parents, who, &self.tree(files))
    }

    pub(crate) fn commit_tree(&self, parents: &[&str], who: &str, tree: &str) -> String {
        self.commit_within(parents, who, tree, None)
    }

    /// As [`Self::commit_tree`], by a certificate with terms.
    pub(crate) fn commit_within(
        &self,
        parents: &[&str],
        who: &str,
        tree: &str,
        terms: Option<Terms>,
    ) -> String {
        let spec = self.next(parents, who, tree);
        self.git
            .write_commit_object(&sign(&spec.payload(), who, (spec.at, 240), terms))
    }

    /// As [`Self::commit`], by a session's certificate that was over an hour before.
    pub(crate) fn commit_late(&self, parents: &[&str], who: &str, files: Files<'_>) -> String {
        let spec = self.next(parents, who, &self.tree(files));
        self.git
            .write_commit_object(&sign(&spec.payload(), who, (spec.at, -3_600), None))
    }

    /// Says what is committed a minute after the last.
    fn next(&self, parents: &[&str], who: &str, tree: &str) -> CommitSpec {
        *self.minutes.borrow_mut() += 1;
        CommitSpec {
            parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
            at: NOW.plus(*self.minutes.borrow() * 60),
            person: format!("{who} <{who}@example.invalid>"),
            ..CommitSpec::new(tree)
        }
    }

    /// Makes a commit in which another line stands for the one that begins so, or none; whether git
    /// would take it or not.
    pub(crate) fn commit_altered(
        &self,
        parents: &[&str],
        who: &str,
        files: Files<'_>,
        (beginning, other): (&str, &str),
    ) -> String {
        let spec = self.next(parents, who, &self.tree(files));
        let payload = String::from_utf8(spec.payload()).unwrap();
        let lines = payload.split_inclusive('\n');
        let altered = lines.map(|line| match line.starts_with(beginning) {
            true => other,
            false => line,
        });
        let payload: String = altered.collect();
        let raw = sign(payload.as_bytes(), who, (spec.at, 240), None);
        self.git.write_object_unchecked("commit", &raw)
    }

    /// Makes a tag of something, signed by somebody.
    pub(crate) fn tag(&self, who: &str, target: &str, kind: &str) -> String {
        let payload = format!(
            "object {target}\ntype {kind}\ntag v1\ntagger A <a@example.invalid> {} +0000\n\none\n",
            NOW.secs()
        );
        let session = authority().leaf(&LeafSpec {
            identity: identity(who).parse().unwrap(),
            ..LeafSpec::bound_to(payload.as_bytes())
        });
        let signature = armor(&session.sign_cms(payload.as_bytes(), NOW));
        let raw = format!("{payload}{signature}");
        self.git.write_object_unchecked("tag", raw.as_bytes())
    }

    pub(crate) fn open(&self) -> Repository {
        Repository::discover(&self.git.path()).unwrap()
    }

    /// Judges everything that a commit reaches by the repository's own policy.
    pub(crate) fn verify(&self, root: &str, tip: &str) -> Outcome {
        self.try_verify(root, &[tip], None).unwrap()
    }

    pub(crate) fn try_verify(
        &self,
        root: &str,
        tips: &[&str],
        statements: Option<&dyn Statements>,
    ) -> Result<Outcome, LineageError> {
        let repository = self.open();
        let selection = self.selected(&repository, tips);
        self.judge(&repository, root, &selection, statements)
    }

    /// Selects commits and all that they reach.
    pub(crate) fn selected(&self, repository: &Repository, tips: &[&str]) -> Selection {
        let all = tips.iter().map(|tip| self.everything(repository, tip));
        all.reduce(Selection::and).unwrap()
    }

    /// Selects a commit and all that it reaches.
    fn everything(&self, repository: &Repository, tip: &str) -> Selection {
        let parents = repository.select(&format!("{tip}^@")).unwrap();
        parents.and(repository.select(tip).unwrap())
    }

    pub(crate) fn judge(
        &self,
        repository: &Repository,
        root: &str,
        selection: &Selection,
        statements: Option<&dyn Statements>,
    ) -> Result<Outcome, LineageError> {
        let root: TrustRoot = root.parse().unwrap();
        let lineage = Lineage::new(repository, selection, root, (&self.trust, NOW))?;
        Ok(lineage.verify(selection, statements)?)
    }

    /// Returns the verdict on a commit: its code, or `accepted`.
    pub(crate) fn code(&self, root: &str, tip: &str) -> String {
        code_of(&self.verify(root, tip), tip)
    }
}

/// Signs as somebody, by a certificate that is good for so many seconds more; nobody does not.
fn sign(payload: &[u8], who: &str, (at, left): (UnixTime, i64), terms: Option<Terms>) -> Vec<u8> {
    if who == "nobody" {
        return payload.to_owned();
    }
    let leaf = authority().leaf(&LeafSpec {
        seed: seed(who),
        identity: identity(who).parse().unwrap(),
        not_before: at.plus(left.min(0) - 60),
        not_after: at.plus(left),
        // One for these bytes is judged at its own time.
        payload_digest: (left > 0).then(|| sha256(payload)),
        terms,
        ..LeafSpec::default()
    });
    leaf.sign_commit(payload, at)
}

/// The number that somebody's key is made from: everybody has their own.
fn seed(who: &str) -> u8 {
    who.bytes()
        .fold(0, |seed, byte| seed.wrapping_mul(31) ^ byte)
}

/// The id of somebody's key, as a statement has it.
pub(crate) fn kid(who: &str) -> KeyId {
    format!("{:032x}", seed(who)).parse().unwrap()
}

/// The identity of somebody.
pub(crate) fn identity(who: &str) -> String {
    format!("wimse://{TRUST_DOMAIN}/agent/{who}/claude")
}

/// Returns the verdict on one object of an outcome.
pub(crate) fn code_of(outcome: &Outcome, id: &str) -> String {
    match judgement_of(outcome, id).verdict() {
        Verdict::Accepted => "accepted".to_owned(),
        Verdict::Rejected(code) | Verdict::Undecided(code) => code.to_string(),
    }
}

pub(crate) fn judgement_of<'o>(outcome: &'o Outcome, id: &str) -> &'o Judgement {
    let wanted = ObjectId::from_hex(id.as_bytes()).unwrap();
    let mut objects = outcome.objects().iter();
    let object = objects.find(|object| object.id() == wanted);
    object.unwrap().judgement()
}

/// A policy in which some may sign, and those with an exclamation mark may change it. What stands
/// behind a name are the paths that they may change.
pub(crate) fn policy(who: &[&str]) -> String {
    let rule = |who: &&str| {
        let (name, paths) = who.split_once(' ').unwrap_or((who, ""));
        let paths = match paths {
            "" => String::new(),
            paths => format!("paths = [\"{paths}\"]\n"),
        };
        let policy = name.ends_with('!');
        let identity = identity(name.trim_end_matches('!'));
        format!("[[allow]]\nidentity = \"{identity}\"\n{paths}policy = {policy}\n")
    };
    match who {
        [] => "allow = []\n".to_owned(),
        who => who.iter().map(rule).collect(),
    }
}
