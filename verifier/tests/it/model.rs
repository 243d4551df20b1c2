//! The rules of a lineage said once more, in few words and without a repository, and compared
//! with the verifier on random histories.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use notme_testkit::clock::NOW;
use notme_verifier::{Cache, Lineage, repository::Selection};
use tempfile::TempDir;

use crate::history::{History, code_of, policy};

const POLICY: &str = ".notme/policy.toml";
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "mallory"];
const HISTORIES: u64 = 32;
const COMMITS: usize = 16;

/// Who may sign, and whether they may change the policy. `None` is no policy that can be read.
type Rules = Option<BTreeMap<&'static str, bool>>;

/// A commit of the model: numbers stand for ids.
struct Commit {
    parents: Vec<usize>,
    signer: &'static str,
    /// The policy that its tree holds: an index, as files are compared as wholes.
    held: Option<usize>,
}

/// A small generator: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }
}

/// What an accepted commit gives to its children: a policy, and whether it is that of its tree.
type Given = Option<(usize, bool)>;

/// The rules. `root` is trusted; commits come after their parents.
fn model(commits: &[Commit], root: usize, policies: &[Rules], mattered: &mut usize) -> Vec<Given> {
    let first = commits[root].held.unwrap();
    let before = ancestors(commits, root);
    let mut given: Vec<Given> = Vec::new();
    for (number, commit) in commits.iter().enumerate() {
        if number == root {
            given.push(Some((first, true)));
            continue;
        }
        if before.contains(&number) {
            given.push(Some((first, false)));
            continue;
        }
        let standing: Vec<usize> = commit
            .parents
            .iter()
            .copied()
            .filter(|it| given[*it].is_some())
            .collect();
        if standing.is_empty() && !commit.parents.is_empty() {
            given.push(None);
            continue;
        }
        let descends = standing.iter().any(|it| given[*it].unwrap().1);
        let of = |it: &usize| given[*it].unwrap().0;
        let line: Vec<usize> = standing
            .iter()
            .copied()
            .filter(|it| given[*it].unwrap().1 == descends)
            .collect();
        let is_replaced = |it: &usize| {
            line.iter().any(|other| {
                let parted = parted(commits, *it, *other);
                of(other) != of(it)
                    && !parted.is_empty()
                    && parted
                        .iter()
                        .all(|base| commits[*base].held == Some(of(it)))
            })
        };
        let mut judges: BTreeSet<usize> =
            line.iter().filter(|it| !is_replaced(it)).map(of).collect();
        if judges.is_empty() {
            judges = line.iter().map(of).collect();
        }
        if line.is_empty() {
            judges = BTreeSet::from([first]);
        }
        let inherits = standing.iter().any(|it| commits[*it].held == commit.held)
            || (standing.is_empty() && commit.held.is_none());
        let allows = |judge: &usize| {
            let right = policies[*judge].as_ref().unwrap().get(commit.signer);
            let same = commit.held == Some(*judge) || (!descends && inherits);
            right.is_some_and(|may_change| same || *may_change)
        };
        let is_allowed = judges.iter().all(allows);
        // It was decided by one parent's policy having replaced the other's.
        if is_allowed
            && !line
                .iter()
                .map(of)
                .collect::<BTreeSet<_>>()
                .iter()
                .all(allows)
        {
            *mattered += 1;
        }
        given.push(match (is_allowed, descends, commit.held) {
            (false, _, _) => None,
            (true, false, _) => Some((first, false)),
            (true, true, Some(held)) if policies[held].is_some() => Some((held, true)),
            (true, true, _) => None,
        });
    }
    given
}

/// Everything that a commit reaches, itself included.
fn ancestors(commits: &[Commit], of: usize) -> BTreeSet<usize> {
    let parents = commits[of].parents.iter();
    let mut all: BTreeSet<usize> = parents.flat_map(|it| ancestors(commits, *it)).collect();
    all.insert(of);
    all
}

/// The common ancestors that no other common ancestor reaches.
fn parted(commits: &[Commit], one: usize, other: usize) -> Vec<usize> {
    let (one, other) = (ancestors(commits, one), ancestors(commits, other));
    let common: Vec<usize> = one.intersection(&other).copied().collect();
    let is_best = |it: &usize| {
        let mut others = common.iter().filter(|other| *other != it);
        !others.any(|other| ancestors(commits, *other).contains(it))
    };
    common.iter().copied().filter(is_best).collect()
}

/// The policies of a history. The last cannot be read; mallory is in none of the first three.
fn policies(random: &mut Random) -> (Vec<Rules>, Vec<String>) {
    let mut rules = Vec::new();
    let mut texts = Vec::new();
    for number in 0..5 {
        let mut who = BTreeMap::new();
        for person in &PEOPLE[..if number < 3 { 3 } else { 4 }] {
            if !random.one_in(4) {
                who.insert(*person, random.one_in(2));
            }
        }
        let names: Vec<String> = who
            .iter()
            .map(|(name, may)| format!("{name}{}", if *may { "!" } else { "" }))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // Two files that say the same are two policies.
        texts.push(format!("# {number}\n{}", policy(&names)));
        rules.push(Some(who));
    }
    rules.push(None);
    texts.push("allow = [".to_owned());
    (rules, texts)
}

/// Makes a history in which most commits are accepted, or nothing much would happen.
fn history(random: &mut Random, policies: &[Rules]) -> (Vec<Commit>, usize) {
    let mut commits: Vec<Commit> = Vec::new();
    // One or two commits are older than the trust root.
    let root = 1 + random.below(2);
    while commits.len() < COMMITS {
        let number = commits.len();
        let next = commit(random, &commits, root, policies.len());
        commits.push(next);
        if number > root && !random.one_in(6) {
            let given = model(&commits, root, policies, &mut 0);
            if given[number].is_none() {
                commits.pop();
            }
        }
    }
    (commits, root)
}

fn commit(random: &mut Random, commits: &[Commit], root: usize, policies: usize) -> Commit {
    let number = commits.len();
    let mut parents = BTreeSet::new();
    if number > 0 && (number <= root || !random.one_in(20)) {
        parents.insert(number - 1 - random.below(number.min(4)));
        if random.one_in(2) {
            parents.insert(random.below(number));
        }
    }
    if number == root {
        parents = BTreeSet::from([number - 1]);
    }
    let mut parents: Vec<usize> = parents.into_iter().collect();
    if random.one_in(2) {
        parents.reverse();
    }
    let held = match random.below(8) {
        // The trust root's can be read, and nobody untrusted is in it.
        _ if number == root => Some(random.below(3)),
        0..=2 => Some(random.below(policies)),
        3 if random.one_in(3) => None,
        3 => parents.last().and_then(|it| commits[*it].held),
        _ => parents.first().and_then(|it| commits[*it].held),
    };
    let signer = match random.one_in(10) {
        true => "nobody",
        false => PEOPLE[random.below(PEOPLE.len())],
    };
    Commit {
        parents,
        signer,
        held,
    }
}

/// Writes a history into a repository, and returns the ids.
fn write(history: &History, commits: &[Commit], texts: &[String]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for commit in commits {
        let parents: Vec<&str> = commit.parents.iter().map(|it| ids[*it].as_str()).collect();
        let mut files = vec![("a", "a")];
        files.extend(commit.held.map(|held| (POLICY, texts[held].as_str())));
        ids.push(history.commit(&parents, commit.signer, &files));
    }
    ids
}

/// Says, without the rules for merges, what no rule may break: each accepted commit after the
/// trust root was signed by somebody whom the policy of an accepted parent lets, and the policy
/// that it leaves is that parent's or was changed by somebody whom it lets do that.
fn is_reached_rightly(
    commits: &[Commit],
    given: &[Given],
    number: usize,
    policies: &[Rules],
) -> bool {
    let commit = &commits[number];
    commit.parents.iter().any(|parent| {
        let Some((judge, _)) = given[*parent] else {
            return false;
        };
        let right = policies[judge].as_ref().unwrap().get(commit.signer);
        let keeps = given[number].unwrap().0 == judge;
        right.is_some_and(|may_change| keeps || *may_change)
    })
}

#[test]
fn no_sequence_of_unauthorised_commits_is_accepted_and_the_model_agrees() {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut mattered = 0;
    for seed in 1..=HISTORIES {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (rules, texts) = policies(&mut random);
        let (commits, root) = history(&mut random, &rules);
        let repository = History::new();
        let ids = write(&repository, &commits, &texts);
        let given = model(&commits, root, &rules, &mut mattered);
        let tips: Vec<&str> = ids.iter().map(String::as_str).collect();
        let outcome = repository.try_verify(&ids[root], &tips, None).unwrap();
        let before = ancestors(&commits, root);
        for (number, id) in ids.iter().enumerate() {
            let code = code_of(&outcome, id);
            *seen.entry(code.clone()).or_default() += 1;
            // What the trust root reaches is trusted to lead to it, and judged all the same.
            if number != root && before.contains(&number) {
                let first = rules[commits[root].held.unwrap()].as_ref().unwrap();
                let is_allowed = first.contains_key(commits[number].signer);
                assert_eq!(
                    code == "accepted",
                    is_allowed,
                    "seed {seed}, commit {number}"
                );
                continue;
            }
            let is_accepted = given[number].is_some();
            assert_eq!(
                code == "accepted",
                is_accepted,
                "seed {seed}, commit {number}: {code}"
            );
            if is_accepted && number != root && given[number].unwrap().1 {
                assert!(
                    is_reached_rightly(&commits, &given, number, &rules),
                    "seed {seed}, commit {number}"
                );
            }
        }
    }
    // The histories reach what they are meant to reach.
    assert!(mattered >= 3, "{mattered}");
    for code in [
        "accepted",
        "not-authorised",
        "policy-not-authorised",
        "policy-invalid",
        "parent-not-accepted",
        "unsigned",
    ] {
        assert!(
            seen.get(code).is_some_and(|count| *count >= 2),
            "{code}: {seen:?}"
        );
    }
}

/// Judges each commit alone, one after the other, and all that an earlier one found is at hand for
/// the next.
#[test]
fn what_earlier_runs_accepted_changes_no_verdict() {
    let mut ended = 0;
    for seed in 1..=HISTORIES / 3 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (rules, texts) = policies(&mut random);
        let (commits, root) = history(&mut random, &rules);
        let history = History::new();
        let ids = write(&history, &commits, &texts);
        let kept = TempDir::new().unwrap();
        let repository = history.open();
        let judge = |selection: &Selection, cache: Option<Arc<Cache>>| {
            let root = ids[root].parse().unwrap();
            let lineage = Lineage::new(&repository, selection, root, (&history.trust, NOW));
            let lineage = lineage.unwrap().remembering(cache);
            let outcome = lineage.verify(selection, None).unwrap();
            let codes = outcome.objects().iter();
            let codes = codes.map(|it| code_of(&outcome, &it.id().to_string()));
            (codes.collect::<Vec<_>>(), lineage.judge().examined())
        };
        for _ in 0..COMMITS {
            let id = &ids[random.below(ids.len())];
            let selection = match random.one_in(2) {
                true => repository.select(id),
                false => repository.select(&format!("{}..{id}", ids[random.below(ids.len())])),
            };
            let selection = selection.unwrap();
            let cache = Arc::new(Cache::new(kept.path().join("cache")));
            let (cold, examined) = judge(&selection, None);
            let (warm, fewer) = judge(&selection, Some(Arc::clone(&cache)));
            assert_eq!(warm, cold, "seed {seed}, {}", selection.text());
            assert!(cache.notes().is_empty(), "{:?}", cache.notes());
            ended += usize::from(fewer < examined);
        }
    }
    assert!(ended > 30, "{ended}");
}
