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

mod kinship;
mod settled;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use notme_core::{key::KeyId, object::HashKind, time::UnixTime};

use self::{
    kinship::Bond,
    settled::{Ended, NEVER, Recorded, Settled},
};
use crate::{
    cache::Cache,
    judge::{Examined, Excuse, Judge, Judgement},
    merge_tag::MergeTag,
    order::{self, Order, index},
    policy::{POLICY_MAX, POLICY_PATH, Policy, PolicyError, REF_UNKNOWN},
    refusal::{self, Refusal},
    repository::{
        Content, Entry, Found, Gone, Graph, Main, ObjectId, Repository, RepositoryError, Selection,
        Trees,
    },
    scene::{Ground, Scene},
    stated::Statements,
    trust::Trust,
    verdict::{Code, TimeBasis, Verdict},
    verify::{self, Excuses, JudgedObject, Outcome, Scope, Take, Telling},
};

/// Policies that are read for commits that may turn out to be nobody's business: so many, of so many
/// bytes together.
const GUESSES_MAX: usize = 1024;
const GUESSED_MAX: usize = 4 << 20;
/// The most parents that are asked which of them replaced a policy; of more, all policies judge.
const PARTED_MAX: usize = 16;

/// Where judging begins: what the caller trusts without being shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrustRoot {
    /// A commit, by its full id.
    Commit(ObjectId),
    /// The key that signed the commit which brought the first policy.
    Key(KeyId),
}

impl std::str::FromStr for TrustRoot {
    type Err = TrustRootError;

    /// Reads a full object id or a key id. Other names are the repository's to give, and so
    /// nothing to begin with.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if HashKind::of_object_id(text.as_bytes()).is_some() {
            let id = ObjectId::from_hex(text.as_bytes());
            return id.map(Self::Commit).map_err(|_| TrustRootError);
        }
        text.parse().map(Self::Key).map_err(|_| TrustRootError)
    }
}

impl fmt::Display for TrustRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(id) => id.fmt(f),
            Self::Key(kid) => kid.fmt(f),
        }
    }
}

/// The text names no trust root.
#[derive(Debug, thiserror::Error)]
#[error("a trust root is a full commit id, or a key id of 32 hexadecimal digits")]
pub struct TrustRootError;

/// The repository's own policy cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum LineageError {
    /// The repository could not be asked.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The trust root, or something in its tree, is not here or is not what it should be.
    #[error("could not read the policy of the trust root `{root}`: {}: {detail}", code.as_str())]
    Root {
        /// The trust root.
        root: ObjectId,
        /// What is wrong.
        code: Code,
        /// In words.
        detail: String,
    },
    /// The trust root is no commit, but a tag of one.
    #[error("the trust root `{root}` is a tag; name its commit, `{commit}`")]
    Tag {
        /// The tag.
        root: ObjectId,
        /// The commit.
        commit: ObjectId,
    },
    /// The trust root's tree holds no policy.
    #[error("the trust root `{root}` has no `{POLICY_PATH}`")]
    NoPolicy {
        /// The trust root.
        root: ObjectId,
    },
    /// What it holds is no policy.
    #[error("the policy of the trust root `{root}` cannot be used")]
    Policy {
        /// The trust root.
        root: ObjectId,
        /// Why.
        source: PolicyError,
    },
    /// No commit here brings a first policy that the key signed.
    #[error("no commit here that the key `{0}` signed brings a first `{POLICY_PATH}`")]
    NotBrought(KeyId),
    /// Several do.
    #[error(
        "`{one}` and `{other}` both bring a first `{POLICY_PATH}`, signed by the trust root; trust one of \
         the two by its commit id"
    )]
    Ambiguous {
        /// One commit.
        one: ObjectId,
        /// Another.
        other: ObjectId,
    },
}

impl LineageError {
    /// Returns what to do about something that is not here, or not what it should be.
    pub fn fix(&self) -> Option<&'static str> {
        match self {
            Self::Root { code, .. } => Some(code.fix()),
            Self::Repository(_)
            | Self::Tag { .. }
            | Self::Policy { .. }
            | Self::NotBrought(_)
            | Self::Ambiguous { .. } => None,
            Self::NoPolicy { .. } => Some(
                "name the commit that brought it: `git log --diff-filter=A -- .notme/policy.toml`",
            ),
        }
    }

    /// Returns the closed code when it is one of a verdict.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Repository(error) => error.code(),
            Self::Root { code, .. } => Some(code.as_str()),
            Self::Tag { .. }
            | Self::NoPolicy { .. }
            | Self::Policy { .. }
            | Self::NotBrought(_)
            | Self::Ambiguous { .. } => Some(Code::PolicyUnreadable.as_str()),
        }
    }
}

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

/// The policies that were met, and who judges by them or why nobody does. All threads share it.
#[derive(Debug)]
struct Policies<'a> {
    trust: &'a Trust,
    now: UnixTime,
    hash: HashKind,
    first: Arc<InForce>,
    known: Mutex<HashMap<ObjectId, Result<Arc<InForce>, Refusal>>>,
    /// How long those are together that were read before it was known whether they count.
    guessed: AtomicUsize,
}

/// A policy, and who judges by it.
#[derive(Debug)]
struct InForce {
    blob: ObjectId,
    policy: Arc<Policy>,
    judge: Judge<'static>,
    digest: Arc<str>,
}

/// A policy that excuses, and where.
type Excusing = (Arc<InForce>, Scope);
/// What excuses a commit, and how that is said.
type Excused = (Excuse, Arc<str>);

/// Until when a commit stands by a policy that did not judge it, if it does; or why that is undecided.
type Weighed = Result<Option<UnixTime>, Refusal>;

/// What an accepted commit hands on to its children.
#[derive(Clone)]
struct Course {
    policy: Arc<InForce>,
    /// The commit that brought it, or the trust root: what came before that was not held to it.
    since: ObjectId,
    /// Whether it descends from the trust root, so that the policy is that of its tree.
    descends: bool,
    /// Until when it is accepted, if everything stays as it is; never, when that is not known.
    until: UnixTime,
}

/// What became of a commit.
#[derive(Clone)]
enum State {
    Accepted(Course),
    Rejected(Code),
    Undecided,
}

/// A commit between the trust root and what is asked about.
struct Record {
    place: usize,
    carries_tags: bool,
    examined: Examined,
    /// The policy that it was examined by: most often that of its own tree.
    guess: Arc<InForce>,
    /// What its tree holds as policy.
    entry: Result<Option<Entry>, Refusal>,
}

/// Every commit that was judged on the way.
#[derive(Default)]
struct Judged<'l> {
    judgements: HashMap<ObjectId, Judgement>,
    states: HashMap<ObjectId, State>,
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
            for parent in node.parents.as_deref().unwrap_or_default() {
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

impl InForce {
    fn new(blob: ObjectId, policy: Policy, trust: &Trust, now: UnixTime) -> Self {
        let policy = Arc::new(policy);
        Self {
            blob,
            digest: policy.digest().into(),
            judge: Judge::sharing(Arc::clone(&policy), trust, now),
            policy,
        }
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
            },
            cache: None,
        })
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
            until: ALWAYS,
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
        let order = verify::order(&graph, &strong, judge);
        let ground = Ground::new(self.repository, &graph, statements, selection);
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
            let order = order.get(number).copied().unwrap_or(Order::Unknown);
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
        let numbered = |record: Record| Some((graph.number_at(record.place)?, record));
        let mut records: HashMap<_, _> = records.into_iter().filter_map(numbered).collect();
        let ground = Ground::new(self.repository, &graph, statements, selection);
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
                order: order.get(number).copied().unwrap_or(Order::Unknown),
                orders: &order,
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
        records: &[Record],
        ended: &HashMap<ObjectId, Ended>,
    ) -> (Vec<Option<UnixTime>>, Vec<Order>) {
        let times = records.iter();
        let times = times.map(|it| (it.place, self.judge().times(&it.examined)));
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
        let (changes_policy, footing) = match self.repository.peel(id) {
            // A tag changes nothing.
            Ok(commit) if commit != id => (false, None),
            Ok(_) | Err(_) => {
                let held = ground.trees.policy_of(id);
                let parents = line.iter().copied();
                match held.and_then(|held| is_new_policy(&ground.trees, held, parents)) {
                    Ok(is_new) => (is_new, None),
                    Err(refusal) => (true, Some(refusal)),
                }
            }
        };
        let is_excused = judgement.excused_from().is_some();
        if judgement.policy() == Some(&*by.digest) && !changes_policy && !is_excused {
            return None;
        }
        let examined = self.examine_again(id, &by.judge);
        let scene = Scene::of(ground, &by.judge, at, &examined)
            .going_on((line, judged), changes_policy)
            .without_footing(footing);
        let again = by.judge.decide_in(&examined, order, &scene);
        Some((again.by(Arc::clone(&by.digest)), examined.ends()))
    }

    /// Judges a push certificate, for one of its refs, by the policy in force at the end of the
    /// main branch.
    ///
    /// # Errors
    /// [`RepositoryError`] when the walk cannot begin.
    pub fn judge_push(
        &self,
        signed: (&[u8], &[u8]),
        reference: &str,
        main: Option<Main>,
        statements: Option<&dyn Statements>,
    ) -> Result<Judgement, RepositoryError> {
        let nothing = Selection::of([], []);
        let nothing = nothing.on(main.as_ref().map(|main| main.name.clone()));
        let judged = self.judge_beyond_root(&nothing.beside(main), statements)?;
        let policy = match &judged.of_main {
            Some(Some(policy)) => policy,
            Some(None) => return Ok(Judgement::refused(main_is_not_accepted())),
            None => &self.policies.first,
        };
        let names = self.repository.known_as();
        let judgement = policy.judge.judge_push(signed, reference, &names);
        Ok(judgement.by(Arc::clone(&policy.digest)))
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

    fn is_exception(&self, id: ObjectId, courses: &[Course]) -> Option<(Excused, UnixTime)> {
        let name = id.to_string();
        let policies = courses.iter().map(|course| &course.policy);
        let mut policies = policies
            .chain([&self.policies.first])
            .map(|it| it.judge.policy());
        let now = self.policies.now;
        if let Some((by, until)) = policies.find_map(|policy| policy.exception(&name, now)) {
            return Some(((Excuse::Exception, Arc::clone(by)), until));
        }
        let baseline = self.baseline.get_or_init(|| {
            let ends = self.judge().policy().baseline();
            // What cannot be walked excuses nobody.
            self.repository.reached_by(ends).unwrap_or_default()
        });
        let is_before = baseline.contains(&id);
        is_before.then(|| ((Excuse::Baseline, verify::BASELINE.into()), ALWAYS))
    }
}

impl Policies<'_> {
    /// Looks at a commit by the policy that probably judges it.
    fn record(&self, trees: &Trees, found: Found) -> Record {
        let entry = match &found.content {
            Content::Raw(_, raw) => trees
                .in_commit(found.id, raw)
                .and_then(|tree| trees.policy_in(tree)),
            // Nobody remembers commits here.
            Content::Known(..)
            | Content::Unsignable(_)
            | Content::TooLarge(_)
            | Content::Damaged(_)
            | Content::Missing(_) => Ok(None),
        };
        let guess = match &entry {
            Ok(Some(entry)) => self.guess(trees, *entry),
            Ok(None) | Err(_) => Arc::clone(&self.first),
        };
        if !Arc::ptr_eq(&guess, &self.first) {
            self.first.judge.count();
        }
        Record {
            place: found.place,
            carries_tags: MergeTag::is_in(&found.content, self.hash),
            examined: verify::examine(found, self.hash, &guess.judge),
            guess,
            entry,
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
    fn by_digest(&self) -> HashMap<Arc<str>, Arc<InForce>> {
        let known = lock(&self.known);
        let known = known.values().flatten().chain([&self.first]);
        known
            .map(|policy| (Arc::clone(&policy.digest), Arc::clone(policy)))
            .collect()
    }

    /// Returns the policy that a tree holds, or why it is none.
    fn load(&self, trees: &Trees, entry: Entry) -> Result<Arc<InForce>, Refusal> {
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

/// What a commit stands on.
struct Parents {
    /// Those that were accepted.
    accepted: Vec<(ObjectId, Course)>,
    /// What each is to it.
    bonds: Vec<Bond>,
    /// Why it stands on nothing, if it does not.
    footing: Option<Refusal>,
}

/// One commit, when its parents are judged.
struct Step<'s, 'l> {
    lineage: &'s Lineage<'s>,
    ground: &'s Ground<'s>,
    judged: &'s Judged<'l>,
    number: usize,
    id: ObjectId,
    order: Order,
    /// Those of all nodes.
    orders: &'s [Order],
    record: &'s Record,
}

impl Step<'_, '_> {
    fn judge(&self) -> (Judgement, State, Vec<Bond>) {
        let first = || self.lineage.beginning(false);
        let Parents {
            accepted,
            mut bonds,
            footing,
        } = self.parents();
        let mut unknown = None;
        let courses = match accepted.is_empty() {
            true => vec![first()],
            false => self.courses(&accepted, &mut unknown),
        };
        let may_anyway = || self.may_merge_undecided(&accepted, &bonds, &courses);
        let footing = footing.filter(|footing| !footing.is_open() || !may_anyway());
        let mut ends = ALWAYS;
        let lines = self.lines((&accepted, &courses), &mut bonds, &mut ends);
        let lines = lines.unwrap_or_else(|refusal| {
            unknown.get_or_insert(refusal);
            vec![Vec::new(); courses.len()]
        });
        let footing = footing.or(unknown);
        let mut judgement = Judgement::refused(Code::ParentNotAccepted.into());
        let mut may_yet_stand = false;
        for (course, line) in courses.iter().zip(&lines) {
            let until;
            (judgement, until) = self.judge_by(course, (&accepted, line), footing.clone());
            ends = ends.min(until.unwrap_or(ALWAYS));
            if judgement.verdict() != Verdict::Accepted {
                may_yet_stand = self.may_yet_stand(&judgement, course);
                break;
            }
        }
        let footing = footing.filter(Refusal::is_open);
        let mut state = match judgement.verdict() {
            Verdict::Accepted => match self.next(&courses) {
                Ok(course) => State::Accepted(course),
                Err(refusal) => {
                    judgement.refuse(refusal);
                    State::of(&judgement)
                }
            },
            Verdict::Rejected(_) | Verdict::Undecided(_) if footing.is_some() || may_yet_stand => {
                State::Undecided
            }
            Verdict::Rejected(_) | Verdict::Undecided(_) => State::of(&judgement),
        };
        // It may stand on another policy, or on nothing: only what is wrong with it by itself stays.
        if let Some(footing) = footing
            && !judgement.verdict().code().is_some_and(Code::is_of_object)
        {
            judgement.refuse(footing);
        }
        if judgement.is_excusable()
            && let Some((by, until)) = self.lineage.is_exception(self.id, &courses)
        {
            judgement.excused(by);
            // An exception for a commit is none for the policy that it leaves.
            let course = courses.into_iter().next().unwrap_or_else(first);
            let until = course.until.min(until);
            state = State::Accepted(Course { until, ..course });
        }
        if let State::Accepted(course) = &mut state {
            course.until = course
                .until
                .min(self.stands_until(judgement.time_basis(), ends));
        }
        (judgement, state, bonds)
    }

    /// Tells whether the commit was refused for want of what somebody else may have: more history, the records
    /// of a gate, or more statements.
    fn may_yet_stand(&self, judgement: &Judgement, course: &Course) -> bool {
        match judgement.verdict().code() {
            Some(Code::LevelTooLow) => true,
            Some(Code::TimeBasisTooWeak) => {
                self.order == Order::Unknown || course.policy.judge.has_gates()
            }
            _ => false,
        }
    }

    /// Tells whether it makes no difference whether the parents that are undecided are accepted: they bring
    /// no other policy than the one that judges, and by that the merge may change all there is.
    fn may_merge_undecided(
        &self,
        accepted: &[(ObjectId, Course)],
        bonds: &[Bond],
        courses: &[Course],
    ) -> bool {
        let ([course], Some(parents)) = (courses, self.ground.parents_of(self.number)) else {
            return false;
        };
        if !course.descends || accepted.is_empty() {
            return false;
        }
        let accepted: Vec<_> = accepted.iter().map(|(id, _)| *id).collect();
        let parents = parents.into_iter().zip(bonds);
        let mut undecided = parents.filter(|(_, bond)| **bond == Bond::Undecided);
        let judge = &course.policy.judge;
        let examined = self.examined_by(course);
        let at = (self.number, self.id);
        let scene = Scene::of(self.ground, judge, at, &examined).changing_all();
        judge.decide_in(&examined, self.order, &scene).verdict() == Verdict::Accepted
            && undecided.all(|((id, _), _)| self.brings_no_policy(id, &accepted, course))
    }

    /// Tells whether each commit that one brings beyond others, all of which are here, holds the policy that
    /// judges.
    fn brings_no_policy(&self, one: ObjectId, others: &[ObjectId], course: &Course) -> bool {
        let (repository, trees) = (self.ground.repository, &self.ground.trees);
        let holds = |commit: &ObjectId| {
            let held = trees.policy_of(*commit);
            matches!(held, Ok(Some(it)) if it.is_file() && it.id() == course.policy.blob)
        };
        let Ok(boundary) = repository.shallow_boundary() else {
            return false;
        };
        let brought = repository.beyond((one, others), repository.all_parents());
        brought.is_ok_and(|all| all.iter().all(|it| !boundary.contains(it) && holds(it)))
    }

    /// Returns the parents that stand; that a commit has none at all is fine.
    fn parents(&self) -> Parents {
        let Some(parents) = self.ground.parents_of(self.number) else {
            let detail = "its parents are beyond the end of this shallow clone";
            return Parents {
                accepted: Vec::new(),
                bonds: vec![Bond::Undecided],
                footing: Some(Refusal::new(Code::ObjectMissing, detail)),
            };
        };
        let (mut accepted, mut bonds) = (Vec::new(), Vec::new());
        for &(id, is_hidden) in &parents {
            let beginning = |descends| State::Accepted(self.lineage.beginning(descends));
            let (state, bond) = match self.judged.state(&id) {
                _ if id == self.lineage.root => (beginning(true), Bond::Root),
                Some(state) => (state, Bond::Judged),
                None if is_hidden => (beginning(false), Bond::Root),
                None => (State::Undecided, Bond::Undecided),
            };
            bonds.push(match state {
                State::Accepted(course) => {
                    accepted.push((id, course));
                    bond
                }
                State::Undecided => Bond::Undecided,
                State::Rejected(_) => Bond::None,
            });
            if bond == Bond::Root {
                self.judged.is_of_root(id);
            }
        }
        // With one more parent that is accepted, other policies may judge, and more be changed.
        let footing = if bonds.contains(&Bond::Undecided) {
            Some(self.judged.undecided(parents.iter().map(|(id, _)| id)))
        } else if accepted.is_empty() && !parents.is_empty() {
            Some(Code::ParentNotAccepted.into())
        } else {
            None
        };
        Parents {
            accepted,
            bonds,
            footing,
        }
    }

    /// Returns the policies that judge a commit with these parents: each once, and none that
    /// another parent has replaced since they parted. Where that is not known, `footing` says so.
    fn courses(
        &self,
        accepted: &[(ObjectId, Course)],
        footing: &mut Option<Refusal>,
    ) -> Vec<Course> {
        let descends = accepted.iter().any(|(_, course)| course.descends);
        let all: Vec<_> = accepted
            .iter()
            .filter(|(_, course)| course.descends == descends)
            .collect();
        let mut kept: Vec<_> = all.clone();
        if all.len() <= PARTED_MAX {
            kept.retain(|(id, course)| {
                let mut replaced = |(other, theirs): &(ObjectId, Course)| {
                    let had = || self.had_at_parting((*id, *other), course);
                    !theirs.is_same(course)
                        && had().unwrap_or_else(|refusal| {
                            *footing = Some(refusal);
                            false
                        })
                };
                !all.iter().any(|other| replaced(other))
            });
        }
        let kept = if kept.is_empty() { all } else { kept };
        let mut seen = HashSet::new();
        let mut courses: Vec<_> = kept.into_iter().map(|(_, course)| course.clone()).collect();
        courses.retain(|course| seen.insert(course.policy_id()));
        courses
    }

    /// Tells whether a policy was in force where two commits parted.
    fn had_at_parting(
        &self,
        (one, other): (ObjectId, ObjectId),
        course: &Course,
    ) -> Result<bool, Refusal> {
        let bases = self.ground.repository.bases((one, other), self.judged)?;
        let had = |base| self.in_force(base).is_some_and(|it| it.is_same(course));
        Ok(!bases.is_empty() && bases.iter().all(had))
    }

    /// Returns what is in force after a commit that accepted ones go on from.
    fn in_force(&self, commit: &ObjectId) -> Option<Course> {
        let judged = self.judged;
        if judged.of_root.borrow().contains(commit) {
            return Some(self.lineage.beginning(true));
        }
        match judged.state(commit) {
            Some(State::Accepted(course)) => Some(course),
            Some(State::Rejected(_) | State::Undecided) => None,
            None => Some(judged.recall(commit)?.course),
        }
    }

    /// Returns for each policy that judges which of the accepted parents the commit goes on from: those
    /// that bring nothing which that policy would not have accepted. The others are nothing to it. `ends`
    /// becomes the last time at which that is known to stand.
    fn lines(
        &self,
        (accepted, courses): (&[(ObjectId, Course)], &[Course]),
        bonds: &mut [Bond],
        ends: &mut UnixTime,
    ) -> Result<Vec<Vec<ObjectId>>, Refusal> {
        let mut lines = vec![Vec::new(); courses.len()];
        let bonds = bonds
            .iter_mut()
            .filter(|bond| matches!(bond, Bond::Judged | Bond::Root));
        for ((id, course), bond) in accepted.iter().zip(bonds) {
            let mut counts = false;
            for (judge, line) in courses.iter().zip(&mut lines) {
                let until = self.stands_by(judge, (*id, course), accepted)?;
                if until.is_some() {
                    line.push(*id);
                    counts = true;
                }
                *ends = until.unwrap_or(NEVER).min(*ends);
            }
            if !counts {
                *bond = Bond::None;
            }
        }
        Ok(lines)
    }

    /// Returns until when all stands by a policy that a parent brings beyond those whose policy it is;
    /// `None` when something does not, whatever else is undecided.
    fn stands_by(
        &self,
        judge: &Course,
        (parent, own): (ObjectId, &Course),
        accepted: &[(ObjectId, Course)],
    ) -> Weighed {
        if own.is_same(judge) {
            return Ok(Some(ALWAYS));
        }
        if accepted.len() > PARTED_MAX {
            return Ok(None);
        }
        let has_it = |it: &&(ObjectId, Course)| it.1.is_same(judge);
        let theirs: Vec<_> = accepted.iter().filter(has_it).map(|it| it.0).collect();
        let repository = self.ground.repository;
        let brought = repository.beyond((parent, &theirs), self.judged)?;
        let mut stands = Ok(Some(ALWAYS));
        for commit in brought {
            match self.weigh(commit, judge) {
                Ok(None) => return Ok(None),
                Ok(until) => stands = stands.map(|stands| stands.min(until)),
                Err(refusal) => stands = Err(refusal),
            }
        }
        stands
    }

    /// Weighs a commit by a policy that may not have judged it.
    fn weigh(&self, commit: ObjectId, judge: &Course) -> Weighed {
        // What the trust root goes on from is trusted.
        if self.judged.of_root.borrow().contains(&commit) {
            return Ok(Some(ALWAYS));
        }
        let of = (commit, judge.policy.blob);
        if let Some(known) = self.judged.weighed.borrow().get(&of) {
            return known.clone();
        }
        let stands = self.weigh_anew(commit, judge);
        self.judged.weighed.borrow_mut().insert(of, stands.clone());
        stands
    }

    fn weigh_anew(&self, commit: ObjectId, judge: &Course) -> Weighed {
        let judgement = self.judged.judgements.get(&commit);
        let number = self.ground.number_of(commit);
        let (Some(judgement), Some(number)) = (judgement, number) else {
            // An earlier run judged it.
            self.judged.lacks.set(true);
            return Ok(None);
        };
        let Some(State::Accepted(own)) = self.judged.state(&commit) else {
            return Ok(None);
        };
        let again = |order: Order| {
            let within = (self.ground, self.judged);
            let by = (&*judge.policy, order);
            (self.lineage).judge_again(within, (number, commit), judgement, by)
        };
        let order = self.orders.get(number).copied().unwrap_or(Order::Unknown);
        let Some((judged, ends)) = again(order) else {
            return Ok(Some(own.until));
        };
        if judged.verdict() == Verdict::Accepted {
            let stays = || {
                let alone = again(Order::Unknown);
                alone.is_some_and(|(alone, _)| alone.verdict() == Verdict::Accepted)
            };
            let is_sure = judged.time_basis() > Some(TimeBasis::DagOrdered)
                || order != Order::Consistent
                || stays();
            return Ok(Some(match is_sure {
                true => own.until.min(ends.unwrap_or(ALWAYS)),
                false => NEVER,
            }));
        }
        let excuse = || {
            self.lineage
                .is_exception(commit, std::slice::from_ref(judge))
        };
        match judged.is_excusable().then(excuse).flatten() {
            Some((_, until)) => Ok(Some(own.until.min(until))),
            None if matches!(State::of(&judged), State::Undecided) => {
                let detail =
                    format!("whether {commit} stands by the policy that judges is undecided");
                Err(Refusal::new(Code::ParentUndecided, detail))
            }
            None => Ok(None),
        }
    }

    /// Judges the commit by one policy, and returns with it when its signature ends.
    fn judge_by(
        &self,
        course: &Course,
        (accepted, line): (&[(ObjectId, Course)], &[ObjectId]),
        footing: Option<Refusal>,
    ) -> (Judgement, Option<UnixTime>) {
        let judge = &course.policy.judge;
        let examined = &*self.examined_by(course);
        let (changes_policy, footing) = match (self.changes_policy(course, accepted), footing) {
            (Ok(changes), footing) => (changes, footing),
            (Err(refusal), footing) => (true, footing.or(Some(refusal))),
        };
        let scene = Scene::of(self.ground, judge, (self.number, self.id), examined)
            .going_on((line.to_vec(), self.judged), changes_policy)
            .without_footing(footing);
        let judgement = judge.decide_in(examined, self.order, &scene);
        let judgement = judgement.by(Arc::clone(&course.policy.digest));
        (judgement, examined.ends())
    }

    fn examined_by(&self, course: &Course) -> Seen<'_> {
        match Arc::ptr_eq(&course.policy, &self.record.guess) {
            true => Seen::Before(&self.record.examined),
            false => Seen::Again(self.lineage.examine_again(self.id, &course.policy.judge)),
        }
    }

    /// Tells whether the tree holds another policy than the one in force. Away from the trust
    /// root's descendants none is in force, and what a parent holds may stay.
    fn changes_policy(
        &self,
        course: &Course,
        accepted: &[(ObjectId, Course)],
    ) -> Result<bool, Refusal> {
        let held = self.record.entry.clone()?;
        if held.is_some_and(|it| it.is_file() && it.id() == course.policy.blob) {
            return Ok(false);
        }
        if course.descends {
            return Ok(true);
        }
        is_new_policy(&self.ground.trees, held, accepted.iter().map(|(id, _)| *id))
    }

    /// Returns what an accepted commit hands on.
    fn next(&self, courses: &[Course]) -> Result<Course, Refusal> {
        let Some(course) = courses.iter().find(|course| course.descends) else {
            let first = courses.first().cloned();
            return first.ok_or_else(|| Code::ParentNotAccepted.into());
        };
        let Some(held) = self.record.entry.clone()? else {
            let detail = format!("it takes `{POLICY_PATH}` away");
            return Err(Refusal::new(Code::PolicyInvalid, detail));
        };
        let policy = self.lineage.policies.load(&self.ground.trees, held)?;
        let kept = courses.iter().filter(|it| it.policy.blob == policy.blob);
        let since = match *kept.collect::<Vec<_>>() {
            [kept] => kept.since,
            // A change, or one policy where several were.
            _ => self.id,
        };
        Ok(Course {
            policy,
            since,
            ..course.clone()
        })
    }
}

/// A commit as it was examined by a policy.
enum Seen<'s> {
    Before(&'s Examined),
    Again(Examined),
}

impl Deref for Seen<'_> {
    type Target = Examined;

    fn deref(&self) -> &Examined {
        match self {
            Self::Before(examined) => examined,
            Self::Again(examined) => examined,
        }
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

/// Tells whether what a commit holds as policy is another than what each of its parents does.
fn is_new_policy(
    trees: &Trees,
    held: Option<Entry>,
    parents: impl Iterator<Item = ObjectId>,
) -> Result<bool, Refusal> {
    let mut parents = parents.peekable();
    if parents.peek().is_none() {
        return Ok(held.is_some());
    }
    for parent in parents {
        if trees.policy_of(parent)? == held {
            return Ok(false);
        }
    }
    Ok(true)
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

/// No end.
const ALWAYS: UnixTime = UnixTime::from_secs(i64::MAX);

/// Finds the one commit that brings a first policy and is signed by a key.
fn brought_by(
    repository: &Repository,
    selection: &Selection,
    kid: KeyId,
    (trust, now): (&Trust, UnixTime),
) -> Result<ObjectId, LineageError> {
    // Whoever makes a branch chooses what it reaches, so that all is looked at that is here.
    let refs = repository.references("refs/")?.into_iter();
    let ends = selection.ends().chain(refs.map(|(_, id)| id));
    let ends = ends.chain(repository.head().ok());
    let tips = ends.filter_map(|id| repository.peel(id).ok());
    let everything = Selection::of(tips, []);
    let has_policy = |trees: &mut Trees, found: Found| {
        let Content::Raw(_, raw) = &found.content else {
            return None;
        };
        let tree = trees.in_commit(found.id, raw).ok()?;
        let has_policy = trees.policy_in(tree).ok()?.is_some();
        Some((found.id, (has_policy, found.parents)))
    };
    let walk = repository.walk(&everything)?;
    let commits = verify::on_all_cores(walk, repository.trees(), has_policy);
    let commits: HashMap<_, _> = commits.into_iter().flatten().collect();
    let lacks = |id: &ObjectId| commits.get(id).is_some_and(|(has_policy, _)| !has_policy);
    let policy = Policy::from_trust(trust);
    let judge = Judge::new(&policy, trust, now);
    let mut found: Option<ObjectId> = None;
    for (id, (has_policy, parents)) in &commits {
        if !has_policy || !parents.iter().all(lacks) {
            continue;
        }
        let alone = Selection::of([*id], parents.iter().copied());
        let outcome = verify::verify_range(repository, &alone, &judge)?;
        let mut judgements = outcome.objects().iter().map(JudgedObject::judgement);
        let is_signed =
            judgements.any(|it| it.verdict() == Verdict::Accepted && it.kid() == Some(kid));
        if !is_signed {
            continue;
        }
        if let Some(one) = found {
            let (one, other) = (one.min(*id), one.max(*id));
            return Err(LineageError::Ambiguous { one, other });
        }
        found = Some(*id);
    }
    found.ok_or(LineageError::NotBrought(kid))
}

fn parse(text: Result<String, String>) -> Result<Policy, PolicyError> {
    let policy = text.map_err(|message| PolicyError::Rule {
        path: None,
        line: None,
        message,
    });
    let policy = policy.and_then(|text| Policy::parse(&text));
    policy.map_err(|error| error.of_file(POLICY_PATH.into()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
