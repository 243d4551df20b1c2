//! The rules of a lineage said once more, in few words and without a repository, and compared
//! with the verifier on random histories.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use notme_testkit::clock::NOW;
use notme_verifier::{
    Cache, Lineage, Policy, Verdict,
    repository::Selection,
    stated::{Stated, Statements},
};
use tempfile::TempDir;

use crate::{
    history::{History, code_of, identity, judgement_of, policy},
    rules::stated,
};

const POLICY: &str = ".notme/policy.toml";
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "mallory"];
const HISTORIES: u64 = 40;
const COMMITS: usize = 18;

/// Who may sign. `None` is no policy that can be read.
type Rules = Option<BTreeMap<&'static str, Right>>;

#[derive(Clone, Copy)]
struct Right {
    may_change_policy: bool,
    /// And nothing else.
    only_docs: bool,
}

/// Rules that are left out, to see that the histories need them.
#[derive(Clone, Copy)]
struct Without {
    /// What is not accepted connects nothing.
    links: bool,
    /// What a parent brings has to stand by the policies that judge.
    weighing: bool,
    /// The same file, brought by two commits, is two policies.
    since: bool,
}

impl Without {
    const NOTHING: Self = Self {
        links: false,
        weighing: false,
        since: false,
    };
    const LINKS: Self = Self {
        links: true,
        ..Self::NOTHING
    };
    const WEIGHING: Self = Self {
        weighing: true,
        ..Self::NOTHING
    };
    const SINCE: Self = Self {
        since: true,
        ..Self::NOTHING
    };
}

/// A commit of the model: numbers stand for ids.
struct Commit {
    parents: Vec<usize>,
    signer: &'static str,
    /// The policy that its tree holds: an index, as files are compared as wholes.
    held: Option<usize>,
    auth: usize,
    docs: usize,
    /// Whether a shallow clone ends at it.
    is_cut: bool,
}

impl Commit {
    /// What its tree has at the places of the policy, of `auth/a` and of `docs/a`.
    fn tree(&self) -> [Option<usize>; 3] {
        [self.held, Some(self.auth), Some(self.docs)]
    }
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

/// A policy, and the commit that brought it.
type InForce = (usize, usize);

/// What an accepted commit gives to its children: a policy, and whether it is that of its tree.
type Given = Option<(InForce, bool)>;

/// What is known of a history so far.
struct World<'w> {
    commits: &'w [Commit],
    policies: &'w [Rules],
    given: Vec<Given>,
    /// Those of which it is not known.
    undecided: BTreeSet<usize>,
    /// The parents that each goes on from.
    lines: Vec<Vec<usize>>,
}

/// The rules. `root` is trusted; commits come after their parents.
fn model(
    commits: &[Commit],
    root: usize,
    policies: &[Rules],
    (without, mattered): (Without, &mut usize),
) -> (Vec<Given>, BTreeSet<usize>) {
    let first = (commits[root].held.unwrap(), root);
    let all: Vec<_> = commits.iter().map(|it| it.parents.clone()).collect();
    let before = ancestors(&all, root);
    let mut world = World {
        commits,
        policies,
        given: Vec::new(),
        undecided: BTreeSet::new(),
        lines: Vec::new(),
    };
    for (number, commit) in commits.iter().enumerate() {
        if before.contains(&number) {
            world.given.push(Some((first, number == root)));
            world.lines.push(commit.parents.clone());
            continue;
        }
        let parents = commit.parents.iter().copied();
        let open: Vec<usize> = parents.filter(|it| world.undecided.contains(it)).collect();
        let standing: Vec<usize> = commit
            .parents
            .iter()
            .copied()
            .filter(|it| world.given[*it].is_some())
            .collect();
        if commit.is_cut || !open.is_empty() && standing.is_empty() {
            world.leave_open(number);
            continue;
        }
        if standing.is_empty() && !commit.parents.is_empty() {
            world.given.push(None);
            world.lines.push(match without.links {
                true => commit.parents.clone(),
                false => Vec::new(),
            });
            continue;
        }
        let descends = standing.iter().any(|it| world.given[*it].unwrap().1);
        let of = |it: &usize| world.given[*it].unwrap().0;
        let rivals: Vec<usize> = standing
            .iter()
            .copied()
            .filter(|it| world.given[*it].unwrap().1 == descends)
            .collect();
        let had = |base: &usize, policy: InForce| match world.given[*base] {
            Some((given, _)) => given == policy,
            // Where what is not accepted connects.
            None => commits[*base].held == Some(policy.0),
        };
        let is_replaced = |it: &usize| {
            rivals.iter().any(|other| {
                let parted = parted(&world.lines, *it, *other);
                of(other) != of(it)
                    && !parted.is_empty()
                    && parted.iter().all(|base| had(base, of(it)))
            })
        };
        let left = rivals.iter().filter(|it| !is_replaced(it));
        let mut judges: BTreeSet<InForce> = left.map(of).collect();
        if judges.is_empty() {
            judges = rivals.iter().map(of).collect();
        }
        if rivals.is_empty() {
            judges = BTreeSet::from([first]);
        }
        let makes_no_difference = || match judges.iter().collect::<Vec<_>>()[..] {
            [judge] => descends && world.may_merge_any(commit, (&open, &standing), judge.0),
            _ => false,
        };
        if !open.is_empty() && !makes_no_difference() {
            world.leave_open(number);
            continue;
        }
        let line = |judge: &InForce| -> Vec<usize> {
            let counts = |it: &usize| {
                without.weighing
                    || of(it) == *judge
                    || world.brings_well(*it, *judge, &standing, &before)
            };
            standing.iter().copied().filter(counts).collect()
        };
        let inherits = standing.iter().any(|it| commits[*it].held == commit.held)
            || (standing.is_empty() && commit.held.is_none());
        let allows = |judge: &InForce| {
            let same = commit.held == Some(judge.0) || (!descends && inherits);
            world.allows(commit, &line(judge), judge.0, !same)
        };
        let is_allowed = judges.iter().all(allows);
        // It was decided by one parent's policy having replaced the other's.
        let all: BTreeSet<InForce> = rivals.iter().map(of).collect();
        *mattered += usize::from(is_allowed && !all.iter().all(allows));
        let given = match (is_allowed, descends, commit.held) {
            (false, _, _) => None,
            (true, false, _) => Some((first, false)),
            (true, true, Some(held)) if policies[held].is_some() => {
                let kept = judges.iter().filter(|judge| judge.0 == held);
                let since = match kept.collect::<Vec<_>>()[..] {
                    _ if without.since => root,
                    [kept] => kept.1,
                    _ => number,
                };
                Some(((held, since), true))
            }
            (true, true, _) => None,
        };
        let counts = |it: &usize| judges.iter().any(|judge| line(judge).contains(it));
        let line = match given {
            _ if without.links => commit.parents.clone(),
            Some(_) => standing.iter().copied().filter(counts).collect(),
            None => Vec::new(),
        };
        world.given.push(given);
        world.lines.push(line);
    }
    (world.given, world.undecided)
}

impl World<'_> {
    /// Takes a commit for one of which nothing is known.
    fn leave_open(&mut self, number: usize) {
        self.undecided.insert(number);
        self.given.push(None);
        self.lines.push(Vec::new());
    }

    /// Tells whether a policy lets the signer change everything, and is what all holds that undecided parents
    /// bring beyond those that stand.
    fn may_merge_any(
        &self,
        commit: &Commit,
        (open, standing): (&[usize], &[usize]),
        judge: usize,
    ) -> bool {
        let seen = |it: &Commit| {
            if it.is_cut {
                Vec::new()
            } else {
                it.parents.clone()
            }
        };
        let seen: Vec<_> = self.commits.iter().map(seen).collect();
        let reached = |from: &[usize]| -> BTreeSet<usize> {
            let reached = from.iter().flat_map(|it| ancestors(&seen, *it));
            reached.collect()
        };
        let (brought, known) = (reached(open), reached(standing));
        let is_same = |it: &usize| {
            let commit = &self.commits[*it];
            commit.held == Some(judge) && !commit.is_cut
        };
        let right = self.policies[judge].as_ref().unwrap().get(commit.signer);
        right.is_some_and(|right| right.may_change_policy && !right.only_docs)
            && brought.difference(&known).all(is_same)
    }

    /// Tells whether a policy allows a commit that goes on from some of its parents.
    fn allows(&self, commit: &Commit, line: &[usize], judge: usize, changes_policy: bool) -> bool {
        let rules = self.policies[judge].as_ref().unwrap();
        let Some(right) = rules.get(commit.signer) else {
            return false;
        };
        let [policy, auth, _] = self.changes(commit, line);
        let is_docs = !auth && (!policy || changes_policy);
        (!changes_policy || right.may_change_policy) && (!right.only_docs || is_docs)
    }

    /// Tells which places of the tree are not what the parents make them.
    fn changes(&self, commit: &Commit, line: &[usize]) -> [bool; 3] {
        let tree = |number: &usize| self.commits[*number].tree();
        let bases: Vec<_> = match line {
            [one, other] => parted(&self.lines, *one, *other).iter().map(tree).collect(),
            _ => Vec::new(),
        };
        let bases = if bases.is_empty() {
            vec![[None; 3]]
        } else {
            bases
        };
        [0, 1, 2].map(|place| {
            let now = commit.tree()[place];
            let is_old = |value: Option<usize>| bases.iter().all(|base| base[place] == value);
            match line {
                [] => now.is_some(),
                [one] => now != tree(one)[place],
                [one, other] => {
                    let (one, other) = (tree(one)[place], tree(other)[place]);
                    match (is_old(one), is_old(other)) {
                        _ if one == other => now != one,
                        (true, false) => now != other,
                        (false, true) => now != one,
                        _ => true,
                    }
                }
                _ => unreachable!("nobody has more parents here"),
            }
        })
    }

    /// Tells whether all stands by a policy that a parent brings beyond those whose policy it is.
    fn brings_well(
        &self,
        parent: usize,
        judge: InForce,
        standing: &[usize],
        before: &BTreeSet<usize>,
    ) -> bool {
        let theirs = standing
            .iter()
            .filter(|it| self.given[**it].unwrap().0 == judge);
        let had: BTreeSet<usize> = theirs.flat_map(|it| ancestors(&self.lines, *it)).collect();
        let all = ancestors(&self.lines, parent);
        let mut brought = all
            .iter()
            .filter(|it| !had.contains(it) && !before.contains(it));
        brought.all(|number| {
            let (commit, line) = (&self.commits[*number], &self.lines[*number]);
            let keeps = line.iter().any(|it| self.commits[*it].held == commit.held)
                || (line.is_empty() && commit.held.is_none());
            self.allows(commit, line, judge.0, !keeps)
        })
    }
}

/// Everything that a commit reaches, itself included.
fn ancestors(lines: &[Vec<usize>], of: usize) -> BTreeSet<usize> {
    let (mut all, mut open) = (BTreeSet::new(), vec![of]);
    while let Some(number) = open.pop() {
        if all.insert(number) {
            open.extend(&lines[number]);
        }
    }
    all
}

/// The common ancestors that no other common ancestor reaches.
fn parted(lines: &[Vec<usize>], one: usize, other: usize) -> Vec<usize> {
    let (one, other) = (ancestors(lines, one), ancestors(lines, other));
    let common: Vec<usize> = one.intersection(&other).copied().collect();
    let is_best = |it: &usize| {
        let mut others = common.iter().filter(|other| *other != it);
        !others.any(|other| ancestors(lines, *other).contains(it))
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
                let right = Right {
                    may_change_policy: random.one_in(2),
                    only_docs: random.one_in(3),
                };
                who.insert(*person, right);
            }
        }
        let names: Vec<String> = who
            .iter()
            .map(|(name, right)| {
                let policy = if right.may_change_policy { "!" } else { "" };
                let paths = if right.only_docs { " docs/*" } else { "" };
                format!("{name}{policy}{paths}")
            })
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
        let end = |commits: &[Commit], without| {
            let mut mattered = 0;
            let (given, _) = model(commits, root, policies, (without, &mut mattered));
            (given.last().unwrap().is_some(), mattered)
        };
        let only_refused_by = |commits: &[Commit], without| {
            !end(commits, Without::NOTHING).0 && end(commits, without).0
        };
        let moves = match random.below(9) {
            0 if number > root + 2 => search(random, &mut commits, link, |commits| {
                only_refused_by(commits, Without::LINKS)
            }),
            1 if number > root + 2 => search(random, &mut commits, late, |commits| {
                only_refused_by(commits, Without::WEIGHING)
            }),
            2 if number > root + 2 => search(random, &mut commits, late, |commits| {
                let (before, now) = (&commits[..number], commits);
                end(now, Without::NOTHING).1 > end(before, Without::NOTHING).1
            }),
            3 if number > root + 2 => search(random, &mut commits, changed, |commits| {
                only_refused_by(commits, Without::SINCE)
            }),
            _ => vec![commit(random, &commits, root, policies.len())],
        };
        let is_one = moves.len() == 1;
        commits.extend(moves);
        if is_one && number > root && !random.one_in(6) {
            let (given, _) = model(&commits, root, policies, (Without::NOTHING, &mut 0));
            if given[number].is_none() {
                commits.pop();
            }
        }
    }
    (commits, root)
}

type Move = fn(&mut Random, &[Commit]) -> Vec<Commit>;

/// Looks for a move that is as wanted, and makes the last that was tried otherwise.
fn search(
    random: &mut Random,
    commits: &mut Vec<Commit>,
    make: Move,
    is_wanted: impl Fn(&[Commit]) -> bool,
) -> Vec<Commit> {
    let number = commits.len();
    let mut tries = 0;
    loop {
        commits.extend(make(random, commits));
        let is_wanted = is_wanted(commits);
        let moves = commits.split_off(number);
        tries += 1;
        if is_wanted || tries == 256 {
            return moves;
        }
    }
}

/// A commit that keeps the tree of another one.
fn keeping(commits: &[Commit], of: usize, parents: Vec<usize>, signer: &'static str) -> Commit {
    let Commit {
        held, auth, docs, ..
    } = commits[of];
    Commit {
        parents,
        signer,
        held,
        auth,
        docs,
        is_cut: false,
    }
}

/// Somebody has a commit that nobody signed lead from one line to another, and merges the two.
fn link(random: &mut Random, commits: &[Commit]) -> Vec<Commit> {
    let number = commits.len();
    let (one, other) = (number - 1 - random.below(3), random.below(number));
    let who = PEOPLE[random.below(3)];
    let linked = number + 1;
    let mut parents = vec![one, linked];
    if random.one_in(2) {
        parents.reverse();
    }
    vec![
        keeping(commits, one, vec![one], "nobody"),
        keeping(commits, other, vec![other, number], who),
        keeping(
            commits,
            if random.one_in(4) { one } else { other },
            parents,
            who,
        ),
    ]
}

/// Somebody branches from what is older, and merges that into what is newer.
fn late(random: &mut Random, commits: &[Commit]) -> Vec<Commit> {
    let number = commits.len();
    let (new, old) = (number - 1 - random.below(2), random.below(number));
    let (who, merger) = (PEOPLE[random.below(3)], PEOPLE[random.below(3)]);
    let mut branch = keeping(commits, old, vec![old], who);
    branch.auth = random.below(3);
    let auth = branch.auth;
    let merge = Commit {
        auth,
        ..keeping(
            commits,
            new,
            vec![new, number],
            if random.one_in(2) { who } else { merger },
        )
    };
    vec![branch, merge]
}

/// Somebody changes the policy, somebody else goes on from before, perhaps the policy is brought there
/// as well, and the two are merged.
fn changed(random: &mut Random, commits: &[Commit]) -> Vec<Commit> {
    let number = commits.len();
    let before = number - 1 - random.below(2);
    let [changer, who] = [(); 2].map(|()| PEOPLE[random.below(PEOPLE.len())]);
    let held = Some(random.below(5));
    let change = |of: &Commit, parent: usize| Commit {
        parents: vec![parent],
        signer: changer,
        held,
        ..*of
    };
    let mut branch = keeping(commits, before, vec![before], who);
    branch.auth = random.below(3);
    let mut moves = vec![change(&commits[before], before)];
    let again = random.one_in(2).then(|| change(&branch, number + 1));
    let merge = Commit {
        parents: vec![number, number + 1 + usize::from(again.is_some())],
        held,
        ..branch
    };
    moves.push(branch);
    moves.extend(again);
    moves.push(merge);
    moves
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
    let mut file = |of: fn(&Commit) -> usize, odds: usize| match random.below(odds) {
        0 => random.below(3),
        1 => parents.last().map_or(0, |it| of(&commits[*it])),
        _ => parents.first().map_or(0, |it| of(&commits[*it])),
    };
    let (auth, docs) = (file(|it| it.auth, 6), file(|it| it.docs, 3));
    Commit {
        parents,
        signer,
        held,
        auth,
        docs,
        is_cut: false,
    }
}

/// Writes a history into a repository, and returns the ids.
fn write(history: &History, commits: &[Commit], texts: &[String]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for commit in commits {
        let parents: Vec<&str> = commit.parents.iter().map(|it| ids[*it].as_str()).collect();
        let contents = ["0", "1", "2"];
        let mut files = vec![
            ("auth/a", contents[commit.auth]),
            ("docs/a", contents[commit.docs]),
        ];
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
        let Some(((judge, _), _)) = given[*parent] else {
            return false;
        };
        let right = policies[judge].as_ref().unwrap().get(commit.signer);
        let keeps = given[number].unwrap().0.0 == judge;
        right.is_some_and(|right| keeps || right.may_change_policy)
    })
}

#[test]
fn no_sequence_of_unauthorised_commits_is_accepted_and_the_model_agrees() {
    let mut seen = BTreeMap::<String, usize>::new();
    let (mut mattered, mut links, mut weighed, mut since) = (0, 0, 0, 0);
    for seed in 1..=HISTORIES {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (rules, texts) = policies(&mut random);
        let (commits, root) = history(&mut random, &rules);
        let repository = History::new();
        let ids = write(&repository, &commits, &texts);
        let (given, _) = model(&commits, root, &rules, (Without::NOTHING, &mut mattered));
        let differs = |without: Without| {
            let (other, _) = model(&commits, root, &rules, (without, &mut 0));
            usize::from(
                other
                    .iter()
                    .zip(&given)
                    .any(|(other, it)| other.is_some() && it.is_none()),
            )
        };
        links += differs(Without::LINKS);
        weighed += differs(Without::WEIGHING);
        since += differs(Without::SINCE);
        let tips: Vec<&str> = ids.iter().map(String::as_str).collect();
        let outcome = repository.try_verify(&ids[root], &tips, None).unwrap();
        let all: Vec<_> = commits.iter().map(|it| it.parents.clone()).collect();
        let before = ancestors(&all, root);
        for (number, id) in ids.iter().enumerate() {
            let code = code_of(&outcome, id);
            *seen.entry(code.clone()).or_default() += 1;
            // What the trust root reaches is trusted to lead to it, and judged all the same.
            if number != root && before.contains(&number) {
                let first = rules[commits[root].held.unwrap()].as_ref().unwrap();
                if !first.contains_key(commits[number].signer) {
                    assert_ne!(code, "accepted", "seed {seed}, commit {number}");
                }
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
    let needed = [(mattered, 3), (links, 3), (weighed, 2), (since, 3)];
    assert!(needed.iter().all(|(is, must)| is >= must), "{needed:?}");
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
    for seed in 1..=HISTORIES / 4 {
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

/// Cuts a history off at some of the commits after its root.
fn cut(random: &mut Random, commits: &mut [Commit], root: usize) -> BTreeSet<usize> {
    let all: Vec<_> = commits.iter().map(|it| it.parents.clone()).collect();
    let before = ancestors(&all, root);
    for (number, commit) in commits.iter_mut().enumerate() {
        let may_be = !before.contains(&number) && !commit.parents.is_empty();
        commit.is_cut = may_be && random.one_in(6);
    }
    let numbered = commits.iter().enumerate();
    let cut = numbered.filter(|(_, commit)| commit.is_cut);
    cut.map(|(number, _)| number).collect()
}

#[test]
fn a_shallow_clone_accepts_nothing_that_all_of_the_history_does_not() {
    let (mut fewer, mut open) = (0, 0);
    for seed in 1..=HISTORIES {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (rules, texts) = policies(&mut random);
        let (mut commits, root) = history(&mut random, &rules);
        let repository = History::new();
        let ids = write(&repository, &commits, &texts);
        let tips: Vec<&str> = ids.iter().map(String::as_str).collect();
        let (whole, _) = model(&commits, root, &rules, (Without::NOTHING, &mut 0));
        let all: Vec<_> = commits.iter().map(|it| it.parents.clone()).collect();
        let before = ancestors(&all, root);
        for _ in 0..4 {
            let cut = cut(&mut random, &mut commits, root);
            let lines = cut.iter().map(|number| format!("{}\n", ids[*number]));
            let shallow = repository.git.path().join(".git/shallow");
            std::fs::write(shallow, lines.collect::<String>()).unwrap();
            let outcome = repository.try_verify(&ids[root], &tips, None).unwrap();
            let (given, undecided) = model(&commits, root, &rules, (Without::NOTHING, &mut 0));
            for (number, id) in ids.iter().enumerate() {
                let is_more = given[number].is_some() && whole[number].is_none();
                assert!(!is_more, "seed {seed}, cut {cut:?}, commit {number}");
                let verdict = judgement_of(&outcome, id).verdict();
                // What the trust root reaches is trusted to lead to it, and judged all the same.
                if number != root && before.contains(&number) {
                    continue;
                }
                let is = format!("seed {seed}, cut {cut:?}, commit {number}: {verdict:?}");
                assert_eq!(
                    verdict == Verdict::Accepted,
                    given[number].is_some(),
                    "{is}"
                );
                let is_open = matches!(verdict, Verdict::Undecided(_));
                // What nobody signed is refused by itself, and may be excused by a policy that is not seen.
                let is_signed = commits[number].signer != "nobody";
                assert_eq!(is_open, undecided.contains(&number) && is_signed, "{is}");
                fewer += usize::from(given[number].is_none() && whole[number].is_some());
                let mut parents = commits[number].parents.iter();
                open += usize::from(is_open && parents.any(|it| given[*it].is_some()));
            }
        }
    }
    assert!(fewer > 100 && open > 20, "{fewer} {open}");
}

/// Writes policies that say the same where all is known: whom they let sign only on the main branch,
/// or only with somebody's word, is on the main branch and has it.
fn asking(random: &mut Random, rules: &[Rules], texts: &[String]) -> Vec<String> {
    let judge = identity("judge");
    let texts = rules.iter().zip(texts).map(|(rules, text)| {
        let Some(rules) = rules else {
            return text.clone();
        };
        let mut asking = format!(
            "# {text:?}\n[[principal]]\nname = \"judge\"\nkind = \"human\"\nidentities = [\"{judge}\"]\n"
        );
        if rules.is_empty() {
            return format!("allow = []\n{asking}");
        }
        for (name, right) in rules {
            let name = identity(name);
            let mut rule = |text: &str| {
                asking.push_str(text);
                asking.push_str(&format!("identity = \"{name}\"\n"));
                asking.push_str(if right.only_docs { "paths = [\"docs/*\"]\n" } else { "" });
            };
            let main = "refs = [\"refs/heads/main\"]\n";
            match random.below(5) {
                0 => rule(&format!("[[allow]]\n{main}policy = {}\n", right.may_change_policy)),
                1 => {
                    rule("[[allow]]\n");
                    rule(&format!("[[allow]]\n{main}policy = {}\n", right.may_change_policy));
                }
                2 => {
                    rule(&format!("[[allow]]\npolicy = {}\n", right.may_change_policy));
                    rule("[[require]]\naccepted_by = [\"judge\"]\n");
                }
                3 => {
                    rule("[[allow]]\n");
                    rule(&format!("[[allow]]\naccepted_by = [\"judge\"]\npolicy = {}\n", right.may_change_policy));
                }
                _ => rule(&format!("[[allow]]\npolicy = {}\n", right.may_change_policy)),
            }
        }
        asking
    });
    texts.collect()
}

/// The commits that a judge states to accept.
struct Accepts(BTreeSet<String>);

impl Statements for Accepts {
    fn about(&self, commit: &str, _: &Policy) -> Result<Vec<Stated>, String> {
        let is = self.0.contains(commit);
        Ok(is
            .then(|| stated("judge", "accepts", None))
            .into_iter()
            .collect())
    }
}

#[test]
fn whoever_knows_less_accepts_nothing_that_others_do_not() {
    let mut fewer = [0; 3];
    for seed in 1..=HISTORIES {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (rules, texts) = policies(&mut random);
        let (mut commits, root) = history(&mut random, &rules);
        let texts = asking(&mut random, &rules, &texts);
        let history = History::new();
        let ids = write(&history, &commits, &texts);
        let tips: Vec<&str> = ids.iter().map(String::as_str).collect();
        let judge = |reference: Option<&str>, accepts: &Accepts| {
            let repository = history.open();
            let selection = history.selected(&repository, &tips);
            let selection = selection.on(reference.map(str::to_owned));
            history
                .judge(&repository, &ids[root], &selection, Some(accepts))
                .unwrap()
        };
        let main = Some("refs/heads/main");
        let whole = Accepts(ids.iter().cloned().collect());
        let all = judge(main, &whole);
        let (given, _) = model(&commits, root, &rules, (Without::NOTHING, &mut 0));
        for (id, given) in ids.iter().zip(&given) {
            if given.is_none_or(|it| it.1) {
                assert_eq!(
                    code_of(&all, id) == "accepted",
                    given.is_some(),
                    "seed {seed}, {id}"
                );
            }
        }
        for round in 0..6 {
            let kind = round % 3;
            let some = ids.iter().filter(|_| !random.one_in(3)).cloned().collect();
            let some = Accepts(if kind == 1 { whole.0.clone() } else { some });
            let reference = main.filter(|_| kind == 0);
            if kind == 2 {
                let cut = cut(&mut random, &mut commits, root);
                let lines = cut.iter().map(|number| format!("{}\n", ids[*number]));
                let shallow = history.git.path().join(".git/shallow");
                std::fs::write(shallow, lines.collect::<String>()).unwrap();
            }
            let outcome = judge(reference, &some);
            for id in &ids {
                let (less, more) = (code_of(&outcome, id), code_of(&all, id));
                fewer[kind] += usize::from(less != "accepted" && more == "accepted");
                assert!(
                    less != "accepted" || more == "accepted",
                    "seed {seed}, kind {kind}, {id}: {more}"
                );
            }
            let _ = std::fs::remove_file(history.git.path().join(".git/shallow"));
        }
    }
    assert!(fewer.iter().all(|count| *count > 50), "{fewer:?}");
}
