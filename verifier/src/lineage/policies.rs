//! The policies that were met on the way, each read once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use notme_core::{object::HashKind, time::UnixTime};

use super::lock;
use crate::{
    judge::{Examined, Judge},
    merge_tag::MergeTag,
    policy::{POLICY_MAX, POLICY_PATH, Policy, PolicyError},
    refusal::Refusal,
    repository::{Content, Entry, Found, ObjectId, Own, Trees},
    trust::Trust,
    verdict::Code,
    verify,
};

/// Policies that are read for commits that may turn out to be nobody's business: so many, of so many
/// bytes together.
const GUESSES_MAX: usize = 1024;
const GUESSED_MAX: usize = 4 << 20;

/// The policies that were met, and who judges by them or why nobody does. All threads share it.
#[derive(Debug)]
pub(super) struct Policies<'a> {
    pub(super) trust: &'a Trust,
    pub(super) now: UnixTime,
    pub(super) hash: HashKind,
    pub(super) first: Arc<InForce>,
    pub(super) known: Mutex<HashMap<ObjectId, Result<Arc<InForce>, Refusal>>>,
    /// How long those are together that were read before it was known whether they count.
    pub(super) guessed: AtomicUsize,
    /// What was looked at, where somebody asks several times.
    pub(super) records: Option<Mutex<HashMap<ObjectId, Arc<Record>>>>,
}

/// A policy, and who judges by it.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) blob: ObjectId,
    pub(super) policy: Arc<Policy>,
    pub(super) judge: Judge<'static>,
    pub(super) digest: Arc<str>,
}

/// A commit between the trust root and what is asked about.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) carries_tags: bool,
    pub(super) examined: Examined,
    /// The policy that it was examined by: most often that of its own tree.
    pub(super) guess: Arc<InForce>,
    /// What its tree holds of the repository's own rules.
    pub(super) own: Result<Own, Refusal>,
}

impl InForce {
    pub(super) fn new(blob: ObjectId, policy: Policy, trust: &Trust, now: UnixTime) -> Self {
        let policy = Arc::new(policy);
        Self {
            blob,
            digest: policy.digest().into(),
            judge: Judge::sharing(Arc::clone(&policy), trust, now),
            policy,
        }
    }
}

impl Policies<'_> {
    /// Looks at a commit by the policy that probably judges it, and returns its place with what was seen.
    pub(super) fn record(&self, trees: &Trees, found: Found) -> (usize, Arc<Record>) {
        let (place, id) = (found.place, found.id);
        let Some(records) = &self.records else {
            return (place, Arc::new(self.look_at(trees, found)));
        };
        let known = lock(records).get(&id).map(Arc::clone);
        let record = known.unwrap_or_else(|| {
            let record = Arc::new(self.look_at(trees, found));
            lock(records).insert(id, Arc::clone(&record));
            record
        });
        (place, record)
    }

    fn look_at(&self, trees: &Trees, found: Found) -> Record {
        let own = match &found.content {
            Content::Raw(_, raw) => trees
                .in_commit(found.id, raw)
                .and_then(|tree| trees.own_in(tree)),
            // Nobody remembers commits here.
            Content::Known(..)
            | Content::Unsignable(_)
            | Content::TooLarge(_)
            | Content::Damaged(_)
            | Content::Missing(_) => Ok(Own::default()),
        };
        let held = own.as_ref().ok().and_then(|own| own.policy);
        let guess = match held {
            Some(entry) => self.guess(trees, entry),
            None => Arc::clone(&self.first),
        };
        if !Arc::ptr_eq(&guess, &self.first) {
            self.first.judge.count();
        }
        Record {
            carries_tags: MergeTag::is_in(&found.content, self.hash),
            examined: verify::examine(found, self.hash, &guess.judge),
            guess,
            own,
        }
    }

    fn guess(&self, trees: &Trees, entry: Entry) -> Arc<InForce> {
        let first = || Arc::clone(&self.first);
        if entry.id() == self.first.blob {
            return first();
        }
        let (known, count) = {
            let known = lock(&self.known);
            (known.get(&entry.id()).cloned(), known.len())
        };
        let guess = known.or_else(|| {
            let size = trees.size(entry)?.min(POLICY_MAX + 1);
            let before = self.guessed.fetch_add(size, Ordering::Relaxed);
            let has_room = count < GUESSES_MAX && before.saturating_add(size) <= GUESSED_MAX;
            has_room.then(|| self.load(trees, entry))
        });
        guess.and_then(Result::ok).unwrap_or_else(first)
    }

    /// Returns every policy that was met.
    pub(super) fn by_digest(&self) -> HashMap<Arc<str>, Arc<InForce>> {
        let known = lock(&self.known);
        let known = known.values().flatten().chain([&self.first]);
        known
            .map(|policy| (Arc::clone(&policy.digest), Arc::clone(policy)))
            .collect()
    }

    /// Returns the policy that a tree holds, or why it is none.
    pub(super) fn load(&self, trees: &Trees, entry: Entry) -> Result<Arc<InForce>, Refusal> {
        let invalid = |detail: String| Refusal::new(Code::PolicyInvalid, detail);
        if !entry.is_file() {
            return Err(invalid(format!("`{POLICY_PATH}` is not a file")));
        }
        let blob = entry.id();
        if blob == self.first.blob {
            return Ok(Arc::clone(&self.first));
        }
        if let Some(known) = lock(&self.known).get(&blob) {
            return known.clone();
        }
        let policy = parse(trees.text(entry)?).map_err(|error| invalid(error.to_string()));
        let policy =
            policy.map(|policy| Arc::new(InForce::new(blob, policy, self.trust, self.now)));
        lock(&self.known).insert(blob, policy.clone());
        policy
    }
}

pub(super) fn parse(text: Result<String, String>) -> Result<Policy, PolicyError> {
    let policy = text.map_err(|message| PolicyError::Rule {
        path: None,
        line: None,
        message,
    });
    let policy = policy.and_then(|text| Policy::parse(&text));
    policy.map_err(|error| error.of_file(POLICY_PATH.into()))
}
