//! Judging a whole selection on all cores.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    num::NonZeroUsize,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use notme_core::{object::HashKind, time::UnixTime};
use rayon::iter::{ParallelBridge as _, ParallelExtend as _, ParallelIterator as _};

use crate::{
    evidence::Evidence,
    examinations::{Examinations, Looked},
    judge::{Examined, Excuse, Judge, Judgement, Times},
    merge_tag::MergeTag,
    order::{Order, Placed, index, place},
    policy::Policy,
    recall::{Keeper, Recall},
    refusal::Refusal,
    report::AttestationReport,
    repository::{
        Content, Found, Graph, Node, OBJECT_MAX, ObjectId, Repository, RepositoryError, Selection,
    },
    scene::{Ground, Scene},
    stated::Statements,
    verdict::{Code, Verdict},
};

/// Judged objects, newest first: all of a selection, or as many as are told at a time.
#[derive(Debug, Default)]
pub struct Portion {
    pub(crate) objects: Vec<JudgedObject>,
    /// How many authorities the trust store has.
    pub(crate) authorities: usize,
    /// What is stated about some of the objects.
    pub(crate) attested: HashMap<ObjectId, Attested>,
}

impl Portion {
    /// Returns the judged objects, newest first.
    pub fn objects(&self) -> &[JudgedObject] {
        &self.objects
    }

    /// Adds what is stated about objects. It changes no verdict on them.
    #[must_use]
    pub fn with_attested(self, attested: HashMap<ObjectId, Attested>) -> Self {
        Self { attested, ..self }
    }

    /// Adds the portion that comes next.
    pub fn append(&mut self, next: Self) {
        let Self {
            objects,
            authorities,
            attested,
        } = next;
        self.objects.extend(objects);
        self.authorities = authorities;
        self.attested.extend(attested);
    }
}

/// The judgements on a selection, in the order of the walk: newest first.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    pub(crate) repository: String,
    pub(crate) range: String,
    /// The ref that the commits were judged for.
    reference: Option<String>,
    /// The commit from which on the repository's own policy was followed.
    pub(crate) root: Option<ObjectId>,
    /// What was typed, for whoever wants to ask again.
    command: Option<String>,
    pub(crate) policy: String,
    pub(crate) trust: String,
    is_trust_recorded: bool,
    pub(crate) asked_at: UnixTime,
    /// The objects, unless they were told meanwhile.
    pub(crate) portion: Portion,
    summary: Summary,
    codes: Vec<Code>,
    /// The policies that judged, and how many objects each.
    pub(crate) policies: BTreeMap<Arc<str>, usize>,
    pub(crate) ignored: Vec<Ignored>,
    /// How many were accepted beside the trust root.
    beside_root: usize,
    /// How many were accepted as merges of which a side was neither judged nor left out.
    half_judged: usize,
    /// Whether the repository has a policy of its own, and nobody named one or a trust root.
    is_policy_unasked: bool,
    pub(crate) shallow: Vec<ObjectId>,
    may_be_empty: bool,
    /// What was selected by name: the ends of ranges, and objects alone.
    pub(crate) tips: Vec<ObjectId>,
    /// Whether somebody stopped it before it was done.
    pub(crate) interrupted: bool,
    /// A file that each of some of the commits changed.
    pub(crate) places: HashMap<ObjectId, String>,
}

/// What is stated about an object: the verdicts of whoever judges statements.
#[derive(Debug, Default, serde::Serialize)]
pub struct Attested {
    /// One for each statement.
    pub attestations: Vec<AttestationReport>,
    /// The level that they carry together.
    pub level: Option<&'static str>,
}

/// An object and the judgement on it.
#[derive(Debug)]
pub struct JudgedObject {
    pub(crate) id: ObjectId,
    pub(crate) kind: Option<&'static str>,
    /// The date in the object, whether it is signed or not.
    pub(crate) dated: Option<UnixTime>,
    pub(crate) judgement: Judgement,
}

impl JudgedObject {
    pub(crate) fn new(node: &Node, judgement: Judgement) -> Self {
        Self {
            id: node.id,
            kind: node.kind(),
            dated: node.time,
            judgement,
        }
    }

    /// Returns the object's name.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Returns git's word for what it is; `None` when it is missing.
    pub fn kind(&self) -> Option<&'static str> {
        self.kind
    }

    /// Returns the word for what it is, whether it is here or not.
    pub fn kind_word(&self) -> &'static str {
        self.kind.unwrap_or("object")
    }

    /// Returns the judgement.
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }
}

/// What git follows, and we do not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ignored {
    /// Refs that put one object in the place of another.
    ReplaceRefs,
    /// A file that gives commits other parents.
    Grafts,
}

impl Ignored {
    fn all(repository: &Repository) -> Vec<Self> {
        let replaces = repository.has_replacements().then_some(Self::ReplaceRefs);
        let grafts = repository.has_grafts().then_some(Self::Grafts);
        replaces.into_iter().chain(grafts).collect()
    }

    /// Returns the word that reports have for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ReplaceRefs => "replace-refs",
            Self::Grafts => "grafts",
        }
    }

    /// Says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReplaceRefs => "replace refs are ignored; the objects themselves were judged",
            Self::Grafts => "grafts are ignored; commits have the parents that they name",
        }
    }
}

/// How many objects got which verdict.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Summary {
    /// All of them.
    pub objects: usize,
    /// Accepted.
    pub accepted: usize,
    /// Rejected.
    pub rejected: usize,
    /// Undecided.
    pub undecided: usize,
    /// Of the accepted, those that something accepts by their name: an exception, or the trust root.
    pub excepted: usize,
    /// Of the accepted, those that are taken as they are, at or before a baseline.
    pub baseline: usize,
    /// Of the accepted, those that were revoked, and that the policy lists as good.
    pub known_good: usize,
}

impl Summary {
    /// Returns the exit code: 1 when one is rejected, else 3 when one is undecided or there is
    /// none at all, else 0. Nothing was accepted where nothing was looked at.
    pub fn exit_code(self) -> u8 {
        match self {
            Self { rejected: 1.., .. } => 1,
            Self { undecided: 1.., .. } | Self { objects: 0, .. } => 3,
            Self { .. } => 0,
        }
    }
}

impl Outcome {
    /// Returns the judged objects, newest first; none where they were told meanwhile.
    pub fn objects(&self) -> &[JudgedObject] {
        self.portion.objects()
    }

    /// Returns why objects were not accepted, each code once.
    pub fn codes(&self) -> &[Code] {
        &self.codes
    }

    /// Returns what there is in the repository by which git would have shown other objects.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// Returns how many accepted objects neither descend from the trust root nor lie before it, so
    /// that its policy judged them.
    pub fn beside_root(&self) -> usize {
        self.beside_root
    }

    /// Returns how many merges were accepted of which a side was neither judged nor left out, where a
    /// rule asked what they changed: what they took from there was no change to it.
    pub fn half_judged(&self) -> usize {
        self.half_judged
    }

    /// Tells whether a policy of the repository's own judged nothing, since nobody named a policy or a
    /// trust root.
    pub fn is_policy_unasked(&self) -> bool {
        self.is_policy_unasked
    }

    /// Tells whether an older document in the trust store would have been noticed.
    pub fn is_trust_recorded(&self) -> bool {
        self.is_trust_recorded
    }

    /// Returns for what less than others some were accepted, or all: a name and a sentence each.
    pub fn reservations(&self) -> impl Iterator<Item = (&'static str, String)> {
        let (beside, half) = (self.beside_root, self.half_judged);
        let beside = (beside > 0).then(|| {
            let by = "without descending from the trust root, by its policy";
            ("beside-root", format!("{beside} accepted {by}"))
        });
        let half = (half > 0).then(|| {
            let merges = if half == 1 { "merge" } else { "merges" };
            let range = "a range such as `main..HEAD` judges both sides";
            let text = format!("{half} {merges} accepted with a side that was not judged; {range}");
            ("half-judged", text)
        });
        let unrecorded = (!self.is_trust_recorded).then(|| {
            let so = "so an older document in it would not be noticed";
            let text = format!("nothing is recorded about the trust store, {so}");
            ("trust-unrecorded", text)
        });
        let unasked = self.is_policy_unasked.then(|| {
            let text = "the repository has a policy of its own, which counts from a commit that you \
                        trust on: `--trust-root`";
            ("policy-unasked", text.to_owned())
        });
        [unrecorded, unasked, beside, half].into_iter().flatten()
    }

    /// Returns `sha256:<hex>` of each policy that judged an object.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(|digest| &**digest)
    }

    /// Returns the commits where a shallow clone ended the walk: nothing before them was judged.
    pub fn shallow(&self) -> &[ObjectId] {
        &self.shallow
    }

    /// Returns what was selected, in git's words.
    pub fn range(&self) -> &str {
        &self.range
    }

    /// Returns the full name of the ref that the commits were judged for, if one was known.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Returns the commit from which on the repository's own policy was followed.
    pub fn root(&self) -> Option<ObjectId> {
        self.root
    }

    /// Notes whether a policy of the repository's own was left aside unasked.
    pub fn leaving_policy(self, is_policy_unasked: bool) -> Self {
        Self {
            is_policy_unasked,
            ..self
        }
    }

    /// Notes the command by which it was asked for, as a shell reads it.
    pub fn asked_by(self, command: String) -> Self {
        let command = Some(command);
        Self { command, ..self }
    }

    /// Returns the command by which it was asked for.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// Returns `sha256:<hex>` of the policy.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Returns `sha256:<hex>` of the trust.
    pub fn trust(&self) -> &str {
        &self.trust
    }

    /// Returns the time of the person asking.
    pub fn asked_at(&self) -> UnixTime {
        self.asked_at
    }

    /// Returns the judged objects that the selection itself names, from which the others were
    /// reached; each once.
    pub fn tips(&self) -> impl Iterator<Item = &JudgedObject> {
        let tips: HashSet<_> = self.tips.iter().collect();
        let objects = self.objects().iter();
        objects.filter(move |object| tips.contains(&object.id))
    }

    /// Tells whether somebody stopped it before every object was judged.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Adds a file that each of the commits changed which were not accepted, or only by exception, for
    /// reports that have to name one. Of very many commits, the newest have one.
    pub fn with_places(mut self, repository: &Repository) -> Self {
        let refused = self.objects().iter().filter(|object| {
            let judgement = &object.judgement;
            let is_told = judgement.verdict() != Verdict::Accepted || judgement.is_excepted();
            object.kind == Some("commit") && is_told
        });
        let places = refused.take(PLACES_MAX).filter_map(|object| {
            let path = repository.changed_file(object.id)?;
            Some((object.id, path))
        });
        self.places = places.collect();
        self
    }

    /// Has the objects that were told meanwhile.
    pub fn holding(self, portion: Portion) -> Self {
        Self { portion, ..self }
    }

    /// Returns the exit code: that of the summary, but 0 for a range that somebody asked for and
    /// that holds nothing, and never 0 for what was interrupted.
    pub fn exit_code(&self) -> u8 {
        let exit = self.summary().exit_code();
        if self.interrupted && exit == 0 {
            return UNDECIDED;
        }
        if self.summary.objects == 0 && self.may_be_empty && !self.interrupted {
            return 0;
        }
        exit
    }

    /// Tells whether there was nothing to look at, and nobody asked for what may hold nothing.
    pub fn is_of_nothing(&self) -> bool {
        self.summary.objects == 0 && !self.may_be_empty
    }

    /// Returns how many objects got which verdict.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    fn count(&mut self, judgement: &Judgement) {
        let policy = judgement.policy().unwrap_or(&self.policy);
        match self.policies.get_mut(policy) {
            Some(count) => *count += 1,
            None => {
                self.policies.insert(policy.into(), 1);
            }
        }
        let (summary, verdict) = (&mut self.summary, judgement.verdict());
        summary.objects += 1;
        match verdict {
            Verdict::Accepted => summary.accepted += 1,
            Verdict::Rejected(_) => summary.rejected += 1,
            Verdict::Undecided(_) => summary.undecided += 1,
        }
        match (judgement.excused_from(), judgement.is_excepted()) {
            (None, _) => {}
            (Some(_), true) => summary.excepted += 1,
            (Some(_), false) => summary.baseline += 1,
        }
        summary.known_good += usize::from(judgement.is_known_good());
        let code = verdict.code().filter(|code| !self.codes.contains(code));
        self.codes.extend(code);
    }
}

/// So many are examined before threads begin.
const HANDFUL: usize = 16;
/// The exit code of what was not looked at.
const UNDECIDED: u8 = 3;
/// How many commits at most get a file that they changed.
const PLACES_MAX: usize = 1000;

/// How many judged objects are told at a time, with the tags in them.
const PORTION: usize = 4096;

/// Judges every object of a selection by one policy.
///
/// One thread at a time walks, the others examine what it found; the walk is far the cheaper
/// part. What an object says about its neighbours' dates is put together when all are examined.
///
/// # Errors
/// [`RepositoryError`] when the walk cannot begin. Objects that are missing on the way are
/// undecided objects.
pub fn verify_range(
    repository: &Repository,
    selection: &Selection,
    judge: &Judge<'_>,
) -> Result<Outcome, RepositoryError> {
    verify_with(repository, selection, judge, None)
}

/// As [`verify_range`], with somebody who knows what is stated about objects. Without, nothing is.
///
/// # Errors
/// As [`verify_range`].
pub fn verify_with(
    repository: &Repository,
    selection: &Selection,
    judge: &Judge<'_>,
    statements: Option<&dyn Statements>,
) -> Result<Outcome, RepositoryError> {
    collected(|take| verify_each(repository, selection, judge, statements, take))
}

/// As [`verify_with`], but tells what was judged portion by portion, newest first, and keeps nothing
/// of it: however many objects there are, they take little memory.
///
/// # Errors
/// As [`verify_range`], and what `take` gives, which ends it.
pub fn verify_each<E: From<RepositoryError>>(
    repository: &Repository,
    selection: &Selection,
    judge: &Judge<'_>,
    statements: Option<&dyn Statements>,
    take: Take<'_, E>,
) -> Result<Outcome, E> {
    Run::examine(repository, selection, judge)?.decide(statements, take)
}

/// Who takes judged objects as they come.
pub type Take<'t, E> = &'t mut dyn FnMut(Portion) -> Result<(), E>;

/// Keeps all that is told.
pub(crate) fn collected<E>(
    judge: impl FnOnce(Take<'_, E>) -> Result<Outcome, E>,
) -> Result<Outcome, E> {
    let mut all = Portion::default();
    let outcome = judge(&mut |portion| {
        all.append(portion);
        Ok(())
    });
    Ok(outcome?.holding(all))
}

/// As [`verify_with`], for those who ask what the objects are to each other.
pub(crate) fn verify_graph(
    repository: &Repository,
    selection: &Selection,
    judge: &Judge<'_>,
    statements: Option<&dyn Statements>,
) -> Result<(Outcome, Graph), RepositoryError> {
    let mut run = Run::examine(repository, selection, judge)?;
    let outcome = collected(|take| run.decide(statements, take))?;
    Ok((outcome, run.graph))
}

/// A selection whose objects are examined.
struct Run<'r> {
    repository: &'r Repository,
    selection: &'r Selection,
    judge: &'r Judge<'r>,
    graph: Graph,
    examined: Examinations<'r>,
}

impl<'r> Run<'r> {
    fn examine(
        repository: &'r Repository,
        selection: &'r Selection,
        judge: &'r Judge<'r>,
    ) -> Result<Self, RepositoryError> {
        let hash = repository.hash();
        // A handful is examined sooner than anything is looked up.
        let cache = match selection.is_small() {
            true => None,
            false => judge.cache(hash),
        };
        let memory = cache.and_then(|cache| Recall::open(cache, judge, hash));
        let mut walk = repository.walk_remembering(selection, memory)?;
        let examined = Mutex::new(Examinations::new(judge));
        let examine = |found: Found| {
            let place = found.place;
            let looked = Looked {
                is_known: matches!(found.content, Content::Known(..)),
                carries_tags: MergeTag::is_in(&found.content, hash),
                examined: examine(found, hash, judge),
            };
            let times = judge.times(&looked.examined);
            let mut examined = examined.lock().unwrap_or_else(PoisonError::into_inner);
            examined.add(place, looked, times);
        };
        let go_on = |_: &Found| !judge.stopper().is_stopped();
        let found = walk.by_ref().take_while(go_on);
        // What is known needs no threads.
        let unknown = found.filter_map(|found| match found.content {
            Content::Known(..) => {
                examine(found);
                None
            }
            _ => Some(found),
        });
        on_all_cores(unknown, (), |(), found| examine(found));
        let run = Self {
            repository,
            selection,
            judge,
            graph: walk.into_graph(),
            examined: examined
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        };
        if let Some(cache) = cache {
            run.keep(Keeper::new(cache, judge, hash));
        }
        Ok(run)
    }

    fn keep(&self, mut keeper: Keeper<'_>) {
        for place in 0..self.graph.len() {
            if let Some((_, node)) = self.graph.at(place) {
                self.examined.show(place, &node.id, |looked| {
                    // The cache has nothing of tags.
                    if !looked.is_known && !looked.carries_tags {
                        keeper.keep(&self.graph, node, &looked.examined);
                    }
                });
            }
        }
        keeper.end();
    }

    fn decide<E: From<RepositoryError>>(
        &mut self,
        statements: Option<&dyn Statements>,
        take: Take<'_, E>,
    ) -> Result<Outcome, E> {
        let Self {
            repository,
            selection,
            judge,
            graph,
            examined,
        } = self;
        let times = (0..graph.len()).filter_map(|place| Some((place, examined.times(place)?)));
        let mut strong = date(graph, times.collect::<Vec<_>>());
        date_beyond(repository, graph, &mut strong, judge)?;
        let order = order(graph, &strong, judge);
        drop(strong);
        let ground = Ground::new(repository, graph, statements, selection);
        let excuses = Excuses::new(
            repository,
            [(judge.policy(), Scope::everywhere())],
            judge.now(),
        );
        let mut telling = Telling::new(repository, selection, judge, take)?;
        let asks_around = judge.asks_around();
        for place in 0..graph.len() {
            let Some((number, node)) = graph.at(place) else {
                continue;
            };
            let (examined, carries_tags) = match examined.take(place, &node.id) {
                Some(looked) => (looked.examined, looked.carries_tags),
                None if judge.stopper().is_stopped() => continue,
                // Nobody is to take it for accepted.
                None => {
                    let detail = "what was found out about it is not there any more";
                    let refusal = Refusal::new(Code::ObjectMissing, detail);
                    (Examined::refused(refusal), false)
                }
            };
            let order = order.get(number).copied().unwrap_or(Order::Unknown);
            let judgement = if asks_around || examined.has_terms() {
                let scene = Scene::of(&ground, judge, (number, node.id), &examined);
                let judgement = judge.decide_in(&examined, order, &scene);
                if judgement.verdict() == Verdict::Accepted && scene.takes_unjudged() {
                    telling.count_half_judged();
                }
                judgement
            } else {
                judge.decide(examined, order)
            };
            let judgement = match carries_tags {
                true => judgement.with_merge_tags(MergeTag::read(repository, node.id, judge)),
                false => judgement,
            };
            let mut object = JudgedObject::new(node, ground.hold_to_name(node.id, judgement));
            let on = object.id;
            excuses.excuse(&mut object, on)?;
            telling.tell(object)?;
        }
        telling.end()
    }
}

/// Does the same with each of many; with a handful at once, sooner than threads begin.
pub(crate) fn on_all_cores<I: Send, S: Clone + Send, T: Send>(
    mut items: impl Iterator<Item = I> + Send,
    mut state: S,
    work: impl Fn(&mut S, I) -> T + Send + Sync,
) -> Vec<T> {
    let handful = items.by_ref().take(HANDFUL);
    let mut done: Vec<T> = handful.map(|item| work(&mut state, item)).collect();
    if done.len() == HANDFUL {
        done.par_extend(items.par_bridge().map_with(state, work));
    }
    done
}

/// What accepts an object that the steps do not: an exception that a policy makes, or its baseline,
/// at or before which history is taken as it is.
pub(crate) struct Excuses<'r> {
    repository: &'r Repository,
    grants: Vec<Grant<'r>>,
    /// Which of them are in force at what their ends reach, once somebody asks.
    reached: OnceCell<HashMap<ObjectId, Places>>,
    now: UnixTime,
}

/// Where a policy excuses.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    pub(crate) is_everywhere: bool,
    /// The ends of history at which it is in force.
    pub(crate) ends: Vec<ObjectId>,
}

impl Scope {
    /// Returns that of a policy that counts everywhere.
    pub(crate) fn everywhere() -> Self {
        Self {
            is_everywhere: true,
            ends: Vec::new(),
        }
    }
}

/// A policy that excuses.
struct Grant<'r> {
    policy: &'r Policy,
    scope: Scope,
    /// What lies at or before its baseline, once somebody asks. Policies with the same one share it.
    before: Rc<OnceCell<HashSet<ObjectId>>>,
}

/// Some of the grants, by their places.
type Places = Rc<BTreeSet<usize>>;

impl<'r> Excuses<'r> {
    pub(crate) fn new(
        repository: &'r Repository,
        policies: impl IntoIterator<Item = (&'r Policy, Scope)>,
        now: UnixTime,
    ) -> Self {
        let mut baselines: HashMap<&[String], Rc<_>> = HashMap::new();
        let grants = policies.into_iter().map(|(policy, scope)| Grant {
            policy,
            scope,
            before: Rc::clone(baselines.entry(policy.baseline()).or_default()),
        });
        Self {
            repository,
            grants: grants.collect(),
            reached: OnceCell::new(),
            now,
        }
    }

    /// Accepts an object if there is something to excuse, and something excuses it. `on` is the
    /// commit: the object, or what a tag is on.
    pub(crate) fn excuse(
        &self,
        object: &mut JudgedObject,
        on: ObjectId,
    ) -> Result<(), RepositoryError> {
        if !object.judgement.is_excusable() {
            return Ok(());
        }
        let excuse = |grant: &Grant<'_>| grant.excuse(self, object.id);
        let said: Vec<_> = self.grants.iter().map(excuse).collect::<Result<_, _>>()?;
        let said = || self.grants.iter().map(|grant| &grant.scope).zip(&said);
        let everywhere =
            said().find_map(|(scope, said)| said.as_ref().filter(|_| scope.is_everywhere));
        let somewhere = said().find_map(|(_, said)| said.as_ref());
        let Some(mut found) = everywhere.or(somewhere) else {
            return Ok(());
        };
        if everywhere.is_none() {
            // Those that are in force there have to agree; where none is, all.
            let reached = once(&self.reached, || self.reached())?;
            let there = reached.get(&on);
            let is_asked = |(place, (scope, _)): &(usize, (&Scope, _))| match there {
                Some(there) => there.contains(place),
                None => !scope.ends.is_empty(),
            };
            for (_, (_, said)) in said().enumerate().filter(is_asked) {
                let Some(said) = said else { return Ok(()) };
                found = said;
            }
        }
        object.judgement.excused(found.clone());
        Ok(())
    }

    /// Finds which grants are in force at what their ends reach.
    fn reached(&self) -> Result<HashMap<ObjectId, Places>, RepositoryError> {
        let mut reached: HashMap<_, Places> = HashMap::new();
        for (place, grant) in self.grants.iter().enumerate() {
            for end in &grant.scope.ends {
                Rc::make_mut(reached.entry(*end).or_default()).insert(place);
            }
        }
        let selection = Selection::of(reached.keys().copied(), []);
        let mut walk = self.repository.walk(&selection)?;
        walk.by_ref().for_each(drop);
        let graph = walk.into_graph();
        let nodes = graph.nodes();
        for node in graph
            .children_first()
            .into_iter()
            .filter_map(|it| nodes.get(it))
        {
            let Some(own) = reached.get(&node.id).cloned() else {
                continue;
            };
            let parents = node.parents.as_deref().unwrap_or_default().iter();
            for parent in parents.filter_map(|parent| nodes.get(index(*parent))) {
                let theirs = reached.entry(parent.id).or_insert_with(|| Rc::clone(&own));
                if !own.is_subset(theirs) {
                    Rc::make_mut(theirs).extend(&*own);
                }
            }
        }
        Ok(reached)
    }
}

impl Grant<'_> {
    fn excuse(
        &self,
        excuses: &Excuses<'_>,
        id: ObjectId,
    ) -> Result<Option<(Excuse, Arc<str>)>, RepositoryError> {
        if let Some((by, _)) = self.policy.exception(&id.to_string(), excuses.now) {
            return Ok(Some((Excuse::Exception, Arc::clone(by))));
        }
        let ends = self.policy.baseline();
        let before = once(&self.before, || excuses.repository.reached_by(ends))?;
        let is_before = before.contains(&id);
        Ok(is_before.then(|| (Excuse::Baseline, BASELINE.into())))
    }
}

/// Makes something the first time that somebody asks.
fn once<T>(
    cell: &OnceCell<T>,
    make: impl FnOnce() -> Result<T, RepositoryError>,
) -> Result<&T, RepositoryError> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

/// What stands for a rule where a policy takes history as it is.
pub(crate) const BASELINE: &str = "at or before the baseline";

/// Tells judged objects as they come, and counts them.
pub(crate) struct Telling<'t, E> {
    outcome: Outcome,
    /// Where a shallow clone ends.
    boundary: HashSet<ObjectId>,
    portion: Portion,
    /// How many tags are in what is told next.
    merge_tags: usize,
    take: Take<'t, E>,
}

impl<'t, E> Telling<'t, E> {
    /// Begins, when everything is examined.
    pub(crate) fn new(
        repository: &Repository,
        selection: &Selection,
        judge: &Judge<'_>,
        take: Take<'t, E>,
    ) -> Result<Self, RepositoryError> {
        let portion = Portion {
            authorities: judge.authorities(),
            ..Portion::default()
        };
        Ok(Self {
            outcome: Outcome::new(repository, selection, judge),
            boundary: repository.shallow_boundary()?.clone(),
            portion,
            merge_tags: 0,
            take,
        })
    }

    pub(crate) fn tell(&mut self, object: JudgedObject) -> Result<(), E> {
        let shallow = Some(object.id).filter(|id| self.boundary.contains(id));
        self.outcome.shallow.extend(shallow);
        self.outcome.count(&object.judgement);
        self.merge_tags += object.judgement.merge_tags().len();
        self.portion.objects.push(object);
        match self.portion.objects.len() + self.merge_tags {
            ..PORTION => Ok(()),
            _ => self.flush(),
        }
    }

    /// Counts an object that was accepted beside the trust root.
    pub(crate) fn count_beside_root(&mut self) {
        self.outcome.beside_root += 1;
    }

    /// Counts a merge that was accepted, and of which a side was not judged.
    fn count_half_judged(&mut self) {
        self.outcome.half_judged += 1;
    }

    pub(crate) fn end(mut self) -> Result<Outcome, E> {
        self.flush()?;
        Ok(self.outcome)
    }

    fn flush(&mut self) -> Result<(), E> {
        let next = Portion {
            authorities: self.portion.authorities,
            ..Portion::default()
        };
        self.merge_tags = 0;
        (self.take)(std::mem::replace(&mut self.portion, next))
    }
}

impl Outcome {
    fn new(repository: &Repository, selection: &Selection, judge: &Judge<'_>) -> Self {
        Self {
            repository: repository.path().display().to_string(),
            range: selection.text().to_owned(),
            reference: selection.reference().map(str::to_owned),
            root: None,
            command: None,
            policy: judge.policy().digest(),
            trust: judge.trust_digest().to_owned(),
            is_trust_recorded: judge.is_trust_recorded(),
            asked_at: judge.now(),
            portion: Portion::default(),
            summary: Summary::default(),
            codes: Vec::new(),
            policies: BTreeMap::new(),
            ignored: Ignored::all(repository),
            beside_root: 0,
            half_judged: 0,
            is_policy_unasked: false,
            shallow: Vec::new(),
            may_be_empty: selection.may_be_empty(),
            tips: selection.tips().collect(),
            interrupted: judge.stopper().is_stopped(),
            places: HashMap::new(),
        }
    }
}

/// Examines an object, and leaves out the tags that it carries: they are judged when it is told.
pub(crate) fn examine(found: Found, hash: HashKind, judge: &Judge<'_>) -> Examined {
    if let Content::Known(_, examined) = found.content {
        judge.count();
        return *examined;
    }
    let refusal = match &found.content {
        Content::Raw(kind, raw) => {
            let leads_to = |named: &[&str]| found.leads_to(named);
            let evidence = Evidence::from_linked_object(*kind, raw, hash, leads_to);
            return judge.examine_named(Some(&found.id), evidence);
        }
        Content::Unsignable(kind) => Refusal::new(Code::ObjectMalformed, format!("it is a {kind}")),
        Content::Damaged(_) => {
            let detail = "the object store has other bytes under this name";
            Refusal::new(Code::ObjectMalformed, detail)
        }
        Content::TooLarge(kind) => Refusal::new(
            Code::ObjectTooLarge,
            format!(
                "the {kind} is longer than {OBJECT_MAX} bytes, or packed as a change of far more"
            ),
        ),
        Content::Missing(Some(child)) => {
            Refusal::new(Code::ObjectMissing, format!("parent of {child}"))
        }
        // What is known was given back above.
        Content::Known(..) | Content::Missing(None) => Code::ObjectMissing.into(),
    };
    Examined::refused(refusal)
}

/// Takes what examined objects, by their places, say of their times: gives their nodes the dates that
/// are signed, and returns for every node the time that stands on more than its own word.
pub(crate) fn date(
    graph: &mut Graph,
    times: impl IntoIterator<Item = (usize, Times)>,
) -> Vec<Option<UnixTime>> {
    let mut strong = vec![None; graph.nodes().len()];
    for (place, times) in times {
        let Some(number) = graph.number_at(place) else {
            continue;
        };
        if let Some(strong) = strong.get_mut(number) {
            *strong = times.strong;
        }
        if let Some(declared) = times.declared {
            graph.set_time(number, declared);
        }
    }
    strong
}

/// Adds the strong times of the parents that are not judged themselves, of objects that have none.
fn date_beyond(
    repository: &Repository,
    graph: &Graph,
    strong: &mut [Option<UnixTime>],
    judge: &Judge<'_>,
) -> Result<(), RepositoryError> {
    let judged = || (0..graph.len()).filter_map(|place| graph.at(place));
    let mut is_judged = vec![false; graph.nodes().len()];
    for (number, _) in judged() {
        if let Some(it) = is_judged.get_mut(number) {
            *it = true;
        }
    }
    let is_dated = |number: usize| strong.get(number).copied().flatten().is_some();
    let weak = judged().filter(|(number, _)| !is_dated(*number));
    let parents = weak.flat_map(|(_, node)| node.parents.as_deref().unwrap_or_default());
    let beyond = parents
        .map(|parent| index(*parent))
        .filter(|parent| is_judged.get(*parent) == Some(&false))
        .filter_map(|parent| Some((graph.nodes().get(parent)?.id, parent)));
    let beyond: HashMap<_, _> = beyond.collect();
    if beyond.is_empty() {
        return Ok(());
    }
    let hash = repository.hash();
    let date = |found: Found| {
        let Content::Raw(kind, raw) = &found.content else {
            return None;
        };
        let leads_to = |named: &[&str]| found.leads_to(named);
        let evidence = Evidence::from_linked_object(*kind, raw, hash, leads_to);
        Some((found.id, judge.strong_time_of(&found.id, evidence)?))
    };
    let selection = Selection::alone(String::new(), beyond.keys().copied());
    let walk = repository.walk(&selection)?;
    let go_on = |_: &Found| !judge.stopper().is_stopped();
    let found = walk.take_while(go_on);
    for (id, time) in on_all_cores(found, (), |(), found| date(found))
        .into_iter()
        .flatten()
    {
        if let Some(it) = beyond.get(&id).and_then(|number| strong.get_mut(*number)) {
            *it = Some(time);
        }
    }
    Ok(())
}

/// Places every object of a graph among its neighbours.
pub(crate) fn order(graph: &Graph, strong: &[Option<UnixTime>], judge: &Judge<'_>) -> Vec<Order> {
    let skew = judge.policy().skew_seconds();
    place(graph.nodes().len(), placed(graph, strong), skew)
}

/// Returns who says of a node what there is to say of its place.
pub(crate) fn placed<'g>(
    graph: &'g Graph,
    strong: &'g [Option<UnixTime>],
) -> impl Fn(usize) -> Placed<'g> {
    |number| {
        let node = graph.nodes().get(number);
        Placed {
            declared: node.and_then(|node| node.time),
            strong: strong.get(number).copied().flatten(),
            parents: node.and_then(|node| node.parents.as_deref()),
        }
    }
}

/// Has that many threads judge selections, from now on.
///
/// # Errors
/// [`ThreadsError`] when they cannot be started, or work already.
pub fn limit_threads(count: NonZeroUsize) -> Result<(), ThreadsError> {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(count.get());
    threads.build_global().map_err(ThreadsError)
}

/// The threads that judge could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not start the threads that judge")]
pub struct ThreadsError(#[source] rayon::ThreadPoolBuildError);
