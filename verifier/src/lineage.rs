//! Step 6 with the repository's own policy: what a commit may be is in the tree of its parent.
//!
//! Judging begins at a trust root that the caller names, with the policy in its tree. A commit
//! whose parent was accepted is judged by the policy in force after that parent. Of several
//! parents that were accepted, those count whose policy no other has replaced since they parted,
//! and all that are left have to allow the merge. What a parent brings that these would not have
//! accepted is not merged for free: whoever merges it needs the right to all of it. The same file,
//! brought by another commit, is another policy. Who changes the policy needs that right by the one
//! before. What was not accepted gives nothing to its children, what is undecided leaves them so, and what
//! does not descend from the trust root is judged by the trust root's policy, whatever its trees hold.
//!
//! So a policy is in force only where an unbroken line of accepted commits leads to it.
//!
//! Where a main branch is known, as in a push, what does not go on from its end has to be allowed by
//! the policy that is in force there as well: whoever lost a right since does not get it back by
//! building on something older.

mod error;
mod kinship;
mod policies;
mod root;
mod settled;
mod step;
mod until;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
};

use notme_core::time::UnixTime;

pub use self::{
    error::LineageError,
    root::{TrustRoot, TrustRootError},
};
use self::{
    kinship::Bond,
    policies::{InForce, Policies, Record, parse},
    root::brought_by,
    settled::{Ended, Recorded, Settled},
    step::{Step, Weighed, is_new_policy},
    until::Until,
};
use crate::{
    cache::Cache,
    judge::{Examined, Excuse, Judge, Judgement},
    merge_tag::MergeTag,
    order::{self, Order, index},
    policy::{Policy, REF_UNKNOWN},
    refusal::{self, Refusal},
    repository::{
        Entry, Found, Gone, Graph, Main, ObjectId, Repository, RepositoryError, Selection, Trees,
    },
    scene::{Governs, Ground, Scene},
    stated::Statements,
    trust::Trust,
    verdict::{Code, Verdict},
    verify::{self, Excuses, JudgedObject, Outcome, Scope, Take, Telling},
};

/// The policies of a repository, from a trust root on.
#[derive(Debug)]
pub struct Lineage<'a> {
    repository: &'a Repository,
    root: ObjectId,
    /// What the trust root's policy takes as it is, once somebody asks: it may be long.
    baseline: OnceCell<HashSet<ObjectId>>,
    policies: Policies<'a>,
    cache: Option<Arc<Cache>>,
}

/// A policy that excuses, and where.
type Excusing = (Arc<InForce>, Scope);
/// What excuses a commit, and how that is said.
type Excused = (Excuse, Arc<str>);

/// What an accepted commit hands on to its children.
#[derive(Clone)]
struct Course {
    policy: Arc<InForce>,
    /// The commit that brought it, or the trust root: what came before that was not held to it.
    since: ObjectId,
    /// Whether it descends from the trust root, so that the policy is that of its tree.
    descends: bool,
    /// Until when it is accepted, if everything stays as it is; never, when that is not known.
    until: Until,
}

/// What became of a commit.
#[derive(Clone)]
enum State {
    Accepted(Course),
    Rejected(Code),
    Undecided,
}

/// Every commit that was judged on the way.
#[derive(Default)]
struct Judged<'l> {
    judgements: HashMap<ObjectId, Judgement>,
    states: HashMap<ObjectId, State>,
    /// The trust stores that they hold.
    trusts: HashMap<ObjectId, Option<Entry>>,
    /// Those that carry tags. They are judged when their merge is told: there may be many in each.
    carrying: HashSet<ObjectId>,
    /// Those that were refused since it is not known for which ref they are, and what goes on from them.
    of_no_ref: HashSet<ObjectId>,
    /// What the parents are to the accepted commits where one of them was not judged or is nothing.
    bonds: HashMap<ObjectId, Box<[Bond]>>,
    /// The trust root and what was seen to lie before it.
    of_root: RefCell<HashSet<ObjectId>>,
    gone: RefCell<Gone>,
    /// What earlier runs accepted, and this one did not go beyond.
    ended: HashMap<ObjectId, Ended>,
    /// Where to look for what lies behind those.
    recorded: Option<Arc<Mutex<Recorded<'l>>>>,
    /// Whether something was not found there.
    lacks: Cell<bool>,
    /// Whether a commit stands by a policy that did not judge it.
    weighed: RefCell<HashMap<(ObjectId, ObjectId), Weighed>>,
    /// The policy in force at the end of the main branch, if there is one; none where that end is
    /// not accepted.
    of_main: Option<Option<Arc<InForce>>>,
    /// What goes on from there.
    onward: HashSet<ObjectId>,
    /// The last that were accepted.
    newest: Vec<ObjectId>,
}

impl Judged<'_> {
    fn state(&self, id: &ObjectId) -> Option<State> {
        let ended = || Some(State::Accepted(self.ended.get(id)?.course.clone()));
        self.states.get(id).cloned().or_else(ended)
    }

    /// Tells whether one of some commits holds another trust store, or there are none and this is one.
    fn has_other_trust(
        &self,
        trees: &Trees,
        trust: Option<Entry>,
        commits: &[ObjectId],
    ) -> Result<bool, Refusal> {
        for commit in commits {
            let theirs = match self.trusts.get(commit) {
                Some(known) => *known,
                None => trees.own_of(*commit)?.trust,
            };
            if theirs != trust {
                return Ok(true);
            }
        }
        Ok(commits.is_empty() && trust.is_some())
    }

    /// Says that what goes on from some commits is undecided.
    fn undecided<'c>(&self, mut commits: impl Iterator<Item = &'c ObjectId>) -> Refusal {
        match commits.any(|id| self.of_no_ref.contains(id)) {
            true => Refusal::new(Code::ParentUndecided, REF_UNKNOWN),
            false => Code::ParentUndecided.into(),
        }
    }

    /// Tells whether a commit was accepted by the trust root's policy without descending from it.
    fn is_beside_root(&self, id: &ObjectId) -> bool {
        matches!(self.state(id), Some(State::Accepted(course)) if !course.descends)
    }

    /// Finds the last that were accepted at the ends of what is asked about, but for those that
    /// another one descends from. All parents count: an end excuses what it merges without going on from
    /// it, so that who links two ends gains no more than who merges.
    fn find_newest(&mut self, graph: &Graph, ends: &BTreeSet<ObjectId>) {
        let nodes = graph.nodes();
        let mut reached = vec![false; nodes.len()];
        let mut sought = reached.clone();
        for number in graph.children_first() {
            let Some(node) = nodes.get(number) else {
                continue;
            };
            let is = |flags: &[bool]| flags.get(number) == Some(&true);
            let parents = if is(&reached) {
                &mut reached
            } else if !is(&sought) && !ends.contains(&node.id) {
                continue;
            } else if let Some(State::Accepted(_)) = self.state(&node.id) {
                self.newest.push(node.id);
                &mut reached
            } else {
                &mut sought
            };
            for parent in graph.parents(number) {
                if let Some(parent) = parents.get_mut(index(*parent)) {
                    *parent = true;
                }
            }
        }
    }

    /// Finds the policy in force at the end of the main branch, and what goes on from there.
    fn follow_main(
        &mut self,
        tip: ObjectId,
        ground: &Ground<'_>,
        graph: &Graph,
        first: &Arc<InForce>,
    ) {
        self.of_main = Some(match self.state(&tip) {
            Some(State::Accepted(course)) => Some(course.policy),
            Some(State::Rejected(_) | State::Undecided) => None,
            // It is not beyond the trust root.
            None => Some(Arc::clone(first)),
        });
        let mut onward = HashSet::from([tip]);
        for number in graph.children_first().into_iter().rev() {
            let Some(node) = graph.nodes().get(number) else {
                continue;
            };
            let parents = ground.parents(number).unwrap_or_default();
            let line = self.line(&node.id, parents);
            if line.iter().any(|parent| onward.contains(parent)) {
                onward.insert(node.id);
            }
        }
        self.onward = onward;
    }
}

impl Course {
    /// Returns what its policy is told by: the file, and who brought it.
    fn policy_id(&self) -> (ObjectId, ObjectId) {
        (self.policy.blob, self.since)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.policy_id() == other.policy_id()
    }
}

impl<'a> Lineage<'a> {
    /// Reads the policy of a trust root. One that is named by a key is looked for in what `selection`
    /// names, also to leave it out, in HEAD and in all refs.
    ///
    /// # Errors
    /// [`LineageError`].
    pub fn new(
        repository: &'a Repository,
        selection: &Selection,
        root: TrustRoot,
        (trust, now): (&'a Trust, UnixTime),
    ) -> Result<Self, LineageError> {
        let root = match root {
            TrustRoot::Commit(id) => id,
            TrustRoot::Key(kid) => brought_by(repository, selection, kid, (trust, now))?,
        };
        match repository.peel(root) {
            Ok(commit) if commit != root => return Err(LineageError::Tag { root, commit }),
            Err(error @ RepositoryError::NotSignable(_)) => return Err(error.into()),
            // What is missing is missed below.
            Ok(_) | Err(_) => {}
        }
        let trees = repository.trees();
        let error = |refusal: Refusal| LineageError::Root {
            root,
            code: refusal.code,
            detail: refusal.detail.unwrap_or_default().into(),
        };
        let entry = trees.policy_of(root).map_err(error)?;
        let entry = entry.ok_or(LineageError::NoPolicy { root })?;
        let policy = parse(trees.text(entry).map_err(error)?);
        let policy = policy.map_err(|source| LineageError::Policy { root, source })?;
        Ok(Self {
            repository,
            root,
            baseline: OnceCell::new(),
            policies: Policies {
                trust,
                now,
                hash: repository.hash(),
                first: Arc::new(InForce::new(entry.id(), policy, trust, now)),
                known: Mutex::default(),
                guessed: AtomicUsize::new(0),
                records: None,
            },
            cache: None,
        })
    }

    /// Has it keep in memory what it looked at, for whoever asks several times.
    #[must_use]
    pub fn keeping_records(mut self) -> Self {
        self.policies.records = Some(Mutex::default());
        self
    }

    /// Has it keep which commits were accepted, and not go beyond those the next time.
    #[must_use]
    pub fn remembering(self, cache: Option<Arc<Cache>>) -> Self {
        Self { cache, ..self }
    }

    /// Returns the commit at which judging begins.
    pub fn root(&self) -> ObjectId {
        self.root
    }

    /// Returns who judges by the trust root's policy.
    pub fn judge(&self) -> &Judge<'static> {
        &self.policies.first.judge
    }

    /// Returns what the trust root hands on to what descends from it, and to everything else.
    fn beginning(&self, descends: bool) -> Course {
        Course {
            policy: Arc::clone(&self.policies.first),
            since: self.root,
            descends,
            until: Until::ALWAYS,
        }
    }

    /// Returns one of the policies that judged, by its digest.
    pub fn policy(&self, digest: &str) -> Option<Arc<Policy>> {
        let found = self.policies.by_digest().remove(digest)?;
        Some(Arc::clone(&found.policy))
    }

    /// Returns a policy that knows all signers of the trust store and all keys that the policies of an
    /// outcome vouch for.
    pub fn everybody(&self, outcome: &Outcome) -> Policy {
        let known = self.policies.by_digest();
        let judged = outcome.policies().filter_map(|digest| known.get(digest));
        let judged = judged.map(|it| it.judge.policy());
        Policy::from_trust(self.policies.trust).knowing_keys_of(judged)
    }

    /// Judges a selection. What lies between it and the trust root is judged too, and not
    /// reported. Whoever is stopped before that is done reports nothing.
    ///
    /// # Errors
    /// [`RepositoryError`] when the walk cannot begin.
    pub fn verify(
        &self,
        selection: &Selection,
        statements: Option<&dyn Statements>,
    ) -> Result<Outcome, RepositoryError> {
        verify::collected(|take| self.verify_each(selection, statements, take))
    }

    /// As [`Self::verify`], but tells what was judged portion by portion, newest first.
    ///
    /// # Errors
    /// As [`Self::verify`], and what `take` gives, which ends it.
    pub fn verify_each<E: From<RepositoryError>>(
        &self,
        selection: &Selection,
        statements: Option<&dyn Statements>,
        take: Take<'_, E>,
    ) -> Result<Outcome, E> {
        let mut judged = self.judge_beyond_root(selection, statements)?;
        let mut walk = self.repository.walk(selection)?;
        let (hash, judge, known) = (self.policies.hash, self.judge(), &judged.judgements);
        let is_new = |found: &Found| !known.contains_key(&found.id);
        let examine = |found: Found| {
            let carries_tags = MergeTag::is_in(&found.content, hash);
            let examined = verify::examine(found, hash, judge);
            (carries_tags, examined)
        };
        let examine = |found: Found| (found.place, examine(found));
        let go_on = |_: &Found| !judge.stopper().is_stopped();
        let found = walk.by_ref().take_while(go_on).filter(is_new);
        let others = verify::on_all_cores(found, (), |(), found| examine(found));
        let others: HashMap<_, _> = others.into_iter().collect();
        let mut graph = walk.into_graph();
        let times = others
            .iter()
            .map(|(place, (_, it))| (*place, judge.times(it)));
        let strong = verify::date(&mut graph, times);
        let mut order = verify::order(&graph, &strong, judge);
        for (node, order) in graph.nodes().iter().zip(&mut order) {
            // Here not all times are known by which those were placed.
            if let Some(judgement) = judged.judgements.get(&node.id) {
                *order = judgement.order();
            }
        }
        let ground = Ground::new(self.repository, (&graph, &order), statements, selection);
        let policies = self.excusing(&judged);
        let policies = policies.values();
        let policies = policies.map(|(it, scope)| (it.judge.policy(), scope.clone()));
        let excuses = Excuses::new(self.repository, policies, self.policies.now);
        let in_force = self.policies.by_digest();
        let mut telling = Telling::new(self.repository, selection, judge, take)?;
        for place in 0..graph.len() {
            let Some((number, node)) = graph.at(place) else {
                continue;
            };
            let order = ground.order_of(number);
            // Of a tag, what it is on.
            let commit = match node.kind() {
                Some("commit") => Ok(node.id),
                _ => self.repository.peel(node.id),
            };
            let at = (number, node.id);
            let (judgement, carries_tags) = match others.get(&place) {
                None => {
                    let carries_tags = judged.carrying.contains(&node.id);
                    (judged.judgements.remove(&node.id), carries_tags)
                }
                Some((carries_tags, examined)) => {
                    let examined = (examined, order);
                    let judgement = self.judge_other(&ground, at, examined, &commit, &judged);
                    (Some(judgement), *carries_tags)
                }
            };
            let Some(judgement) = judgement else {
                continue;
            };
            let mut judgement = self.hold(&ground, at, judgement, &judged);
            if carries_tags {
                let by = judgement.policy().and_then(|digest| in_force.get(digest));
                let judge = by.map_or(judge, |policy| &policy.judge);
                let tags = MergeTag::read(self.repository, node.id, judge);
                judgement = judgement.with_merge_tags(tags);
            }
            let mut object = JudgedObject::new(node, ground.hold_to_name(node.id, judgement));
            excuses.excuse(&mut object, *commit.as_ref().unwrap_or(&node.id))?;
            if object.judgement().verdict() == Verdict::Accepted
                && commit.is_ok_and(|commit| judged.is_beside_root(&commit))
            {
                telling.count_beside_root();
            }
            telling.tell(object)?;
        }
        let mut outcome = telling.end()?;
        outcome.root = Some(self.root);
        let asks = |digest| {
            in_force
                .get(digest)
                .is_some_and(|it| it.judge.asks_others())
        };
        let is_asked = outcome.policies().any(asks);
        outcome.lacks_attestations = statements.is_none() && is_asked;
        Ok(outcome)
    }

    /// Returns the policies that make exceptions for what is asked about, and where: the trust root's
    /// everywhere, and the newest where they are in force, since an older one may have made what was
    /// taken back. So what the policy of a main branch has taken back excuses
    /// nobody beside it, either.
    fn excusing(&self, judged: &Judged<'_>) -> BTreeMap<ObjectId, Excusing> {
        let first = match &judged.of_main {
            Some(of_main) => of_main.as_ref(),
            None => Some(&self.policies.first),
        };
        let first = first.map(|it| (it.blob, (Arc::clone(it), Scope::everywhere())));
        let mut policies: BTreeMap<_, Excusing> = first.into_iter().collect();
        for id in &judged.newest {
            if let Some(State::Accepted(course)) = judged.state(id)
                && (judged.of_main.is_none() || judged.onward.contains(id))
            {
                let policy = policies.entry(course.policy.blob);
                let (_, scope) = policy.or_insert_with(|| (course.policy, Scope::default()));
                scope.ends.push(*id);
            }
        }
        policies
    }

    /// Judges all that the selection reaches and the trust root does not, parents first.
    fn judge_beyond_root(
        &self,
        selection: &Selection,
        statements: Option<&dyn Statements>,
    ) -> Result<Judged<'_>, RepositoryError> {
        let peel = |id| self.repository.peel(id).ok();
        let ends: BTreeSet<_> = selection.tips().filter_map(peel).collect();
        // Which of several reaches another is seen by walking all the way.
        let settled = match ends.len() {
            ..=1 => self.settled(selection)?,
            _ => None,
        };
        let judged = self.judge_from(settled, &ends, selection, statements)?;
        match judged.lacks.get() {
            true => self.judge_from(None, &ends, selection, statements),
            false => Ok(judged),
        }
    }

    /// Judges all of that, but for what an earlier run settled.
    fn judge_from<'s>(
        &'s self,
        settled: Option<Settled<'s>>,
        ends: &BTreeSet<ObjectId>,
        selection: &Selection,
        statements: Option<&dyn Statements>,
    ) -> Result<Judged<'s>, RepositoryError> {
        let main = selection.main().map(|main| main.tip);
        let tip_of_main = main.and_then(|tip| self.repository.peel(tip).ok());
        let tips = ends.iter().copied().chain(tip_of_main);
        let beyond = Selection::of(tips, [self.root]);
        let ended = settled.as_ref().map(Settled::ended);
        let recorded = settled.as_ref().map(Settled::recorded);
        let mut walk = self
            .repository
            .walk_remembering(&beyond, settled.map(Settled::boxed))?;
        let (policies, stopper) = (&self.policies, self.judge().stopper());
        let found = walk.by_ref().take_while(|_| !stopper.is_stopped());
        let trees = self.repository.trees();
        let records =
            verify::on_all_cores(found, trees, |trees, found| policies.record(trees, found));
        let mut graph = walk.into_graph();
        let ended = ended
            .map(|ended| std::mem::take(&mut *lock(&ended)))
            .unwrap_or_default();
        let (strong, order) = self.orders(&mut graph, &records, &ended);
        let mut judged = Judged {
            ended,
            recorded,
            of_root: RefCell::new(HashSet::from([self.root])),
            ..Judged::default()
        };
        let numbered = |(place, record)| Some((graph.number_at(place)?, record));
        let mut records: HashMap<_, _> = records.into_iter().filter_map(numbered).collect();
        let ground = Ground::new(self.repository, (&graph, &order), statements, selection);
        for number in graph.children_first().into_iter().rev() {
            let node = graph.nodes().get(number);
            let (Some(node), Some(record)) = (node, records.remove(&number)) else {
                continue;
            };
            let step = Step {
                lineage: self,
                ground: &ground,
                judged: &judged,
                number,
                id: node.id,
                order: ground.order_of(number),
                record: &record,
            };
            let (judgement, state, bonds) = step.judge();
            if matches!(state, State::Accepted(_)) {
                judged.bind(node.id, bonds);
            }
            if judgement.detail() == Some(REF_UNKNOWN) {
                judged.of_no_ref.insert(node.id);
            }
            judged.judgements.insert(node.id, judgement);
            let trust = record.own.as_ref().ok().map(|own| own.trust);
            judged.trusts.extend(trust.map(|trust| (node.id, trust)));
            judged
                .carrying
                .extend(record.carries_tags.then_some(node.id));
            judged.states.insert(node.id, state);
        }
        if !stopper.is_stopped() && !judged.lacks.get() {
            let placed = verify::placed(&graph, &strong);
            let strong = order::latest_strong(graph.nodes().len(), placed);
            self.keep(&graph, &judged, &strong, selection);
        }
        judged.find_newest(&graph, ends);
        if let Some(tip) = main {
            judged.follow_main(tip, &ground, &graph, &self.policies.first);
        }
        Ok(judged)
    }

    /// Returns for every node the time that stands on more than its own word, and where its date puts it
    /// among its neighbours.
    fn orders(
        &self,
        graph: &mut Graph,
        records: &[(usize, Arc<Record>)],
        ended: &HashMap<ObjectId, Ended>,
    ) -> (Vec<Option<UnixTime>>, Vec<Order>) {
        let times = records.iter();
        let times = times.map(|(place, it)| (*place, self.judge().times(&it.examined)));
        let mut strong = verify::date(graph, times);
        for (node, strong) in graph.nodes().iter().zip(&mut strong) {
            if let Some(ended) = ended.get(&node.id) {
                *strong = ended.strong;
            }
        }
        let order = verify::order(graph, &strong, self.judge());
        (strong, order)
    }

    /// Judges what does not go on from the end of the main branch by the policy there, too.
    fn hold(
        &self,
        ground: &Ground<'_>,
        at: (usize, ObjectId),
        judgement: Judgement,
        judged: &Judged<'_>,
    ) -> Judgement {
        let (_, id) = at;
        let Some(of_main) = &judged.of_main else {
            return judgement;
        };
        // Of a tag, what it is on.
        let commit = self.repository.peel(id).unwrap_or(id);
        let is_settled =
            judgement.verdict() != Verdict::Accepted || judged.onward.contains(&commit);
        if is_settled {
            return judgement;
        }
        let Some(there) = of_main else {
            return Judgement::refused(main_is_not_accepted());
        };
        let order = judgement.order();
        match self.judge_again((ground, judged), at, &judgement, (there, order)) {
            Some((again, _)) if again.verdict() != Verdict::Accepted => again,
            Some((again, _)) if judgement.excused_from().is_some() => again,
            Some(_) | None => judgement,
        }
    }

    /// Judges what was accepted by another policy, and returns with it when its signature ends; `None`
    /// when it was by this one.
    fn judge_again(
        &self,
        (ground, judged): (&Ground<'_>, &Judged<'_>),
        at: (usize, ObjectId),
        judgement: &Judgement,
        (by, order): (&InForce, Order),
    ) -> Option<(Judgement, Option<UnixTime>)> {
        let (number, id) = at;
        let line = judged.line(&id, ground.parents(number).unwrap_or_default());
        let changes = || {
            let trees = &ground.trees;
            let own = trees.own_of(id)?;
            Ok(Governs {
                policy: is_new_policy(trees, own.policy, line.iter().copied())?,
                trust: judged.has_other_trust(trees, own.trust, &line)?,
            })
        };
        let (changes, footing) = match self.repository.peel(id) {
            // A tag changes nothing.
            Ok(commit) if commit != id => (Governs::default(), None),
            Ok(_) | Err(_) => match changes() {
                Ok(changes) => (changes, None),
                Err(refusal) => (Governs::ALL, Some(refusal)),
            },
        };
        let is_excused = judgement.excused_from().is_some();
        if judgement.policy() == Some(&*by.digest) && !changes.policy && !is_excused {
            return None;
        }
        let examined = self.examine_again(id, &by.judge);
        let scene = Scene::of(ground, &by.judge, at, &examined)
            .going_on((line, judged), changes)
            .without_footing(footing);
        let again = by.judge.decide_in(&examined, order, &scene);
        Some((again.by(Arc::clone(&by.digest)), examined.ends()))
    }

    /// Judges a push certificate, for each of its refs, by the policy in force at the end of the
    /// main branch.
    ///
    /// # Errors
    /// [`RepositoryError`] when the walk cannot begin.
    pub fn judge_push(
        &self,
        signed: (&[u8], &[u8]),
        references: &[&str],
        main: Option<Main>,
        statements: Option<&dyn Statements>,
    ) -> Result<Vec<Judgement>, RepositoryError> {
        let nothing = Selection::of([], []);
        let nothing = nothing.on(main.as_ref().map(|main| main.name.clone()));
        let judged = self.judge_beyond_root(&nothing.beside(main), statements)?;
        let first = || Some(Arc::clone(&self.policies.first));
        let policy = judged.of_main.unwrap_or_else(first);
        let names = self.repository.known_as();
        let judge = |reference: &&str| match &policy {
            Some(policy) => {
                let judgement = policy.judge.judge_push(signed, reference, &names);
                judgement.by(Arc::clone(&policy.digest))
            }
            None => Judgement::refused(main_is_not_accepted()),
        };
        Ok(references.iter().map(judge).collect())
    }

    /// Judges what does not lie beyond the trust root: what it reaches, itself, and tags.
    fn judge_other(
        &self,
        ground: &Ground<'_>,
        at: (usize, ObjectId),
        (examined, order): (&Examined, Order),
        commit: &Result<ObjectId, RepositoryError>,
        judged: &Judged<'_>,
    ) -> Judgement {
        let (_, id) = at;
        let decide = |judge: &Judge<'_>, examined: &Examined, footing: Option<Refusal>| {
            let scene = Scene::of(ground, judge, at, examined).without_footing(footing);
            judge.decide_in(examined, order, &scene)
        };
        let refused = |refusal: Refusal| decide(self.judge(), examined, Some(refusal));
        let commit = match commit {
            Ok(commit) => commit,
            Err(error) => return refused(leads_nowhere(error)),
        };
        match judged.state(commit) {
            Some(State::Accepted(course)) if !Arc::ptr_eq(&course.policy, &self.policies.first) => {
                let judge = &course.policy.judge;
                let examined = self.examine_again(id, judge);
                decide(judge, &examined, None).by(Arc::clone(&course.policy.digest))
            }
            Some(State::Rejected(_)) => refused(Code::ParentNotAccepted.into()),
            Some(State::Undecided) => refused(judged.undecided([commit].into_iter())),
            Some(State::Accepted(_)) | None => {
                let judgement = decide(self.judge(), examined, None);
                let mut judgement = judgement.by(Arc::clone(&self.policies.first.digest));
                if id == self.root && judgement.is_excusable() {
                    judgement.excused((Excuse::TrustRoot, "the trust root".into()));
                }
                judgement
            }
        }
    }

    fn examine_again(&self, id: ObjectId, judge: &Judge<'_>) -> Examined {
        let found = Found::alone(id, self.repository.object(id));
        verify::examine(found, self.policies.hash, judge)
    }

    fn is_exception(&self, id: ObjectId, courses: &[Course]) -> Option<(Excused, Until)> {
        let name = id.to_string();
        let policies = courses.iter().map(|course| &course.policy);
        let mut policies = policies
            .chain([&self.policies.first])
            .map(|it| it.judge.policy());
        let now = self.policies.now;
        if let Some((by, until)) = policies.find_map(|policy| policy.exception(&name, now)) {
            let until = Until::at(until);
            return Some(((Excuse::Exception, Arc::clone(by)), until));
        }
        let baseline = self.baseline.get_or_init(|| {
            let ends = self.judge().policy().baseline();
            // What cannot be walked excuses nobody.
            self.repository.reached_by(ends).unwrap_or_default()
        });
        let is_before = baseline.contains(&id);
        is_before.then(|| ((Excuse::Baseline, verify::BASELINE.into()), Until::ALWAYS))
    }
}

impl State {
    /// Returns what became of a commit that was not accepted. One that may be for some ref is not refused
    /// where that is not known.
    fn of(judgement: &Judgement) -> Self {
        match judgement.verdict().code() {
            Some(code) if refusal::is_open(code, judgement.detail()) => Self::Undecided,
            Some(code) => Self::Rejected(code),
            None => Self::Rejected(Code::ParentNotAccepted),
        }
    }
}

fn main_is_not_accepted() -> Refusal {
    let detail = "the end of the main branch is not accepted itself";
    Refusal::new(Code::ParentNotAccepted, detail)
}

/// Says on what a tag stands whose commit was not found.
fn leads_nowhere(error: &RepositoryError) -> Refusal {
    match error {
        RepositoryError::NotSignable(_) => {
            let detail = "the tag leads to a tree or a file, for which no policy is in force";
            Refusal::new(Code::ParentNotAccepted, detail)
        }
        error => Refusal::new(Code::ObjectMissing, format!("the tag leads to it: {error}")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
