//! Judging a whole selection on all cores.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
};

use notme_core::{object::HashKind, time::UnixTime};
use rayon::iter::{ParallelBridge as _, ParallelIterator as _};

use crate::{
    evidence::Evidence,
    judge::{Examined, Judge, Judgement},
    merge_tag::MergeTag,
    order::{Order, Placed, place},
    policy::Policy,
    recall::{Recall, keep},
    refusal::Refusal,
    report::AttestationReport,
    repository::{
        Content, Found, Graph, OBJECT_MAX, ObjectId, Repository, RepositoryError, Selection,
    },
    scene::{Ground, Scene},
    stated::Statements,
    verdict::{Code, Verdict},
};

/// The judgements on a selection, in the order of the walk: newest first.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    pub(crate) repository: String,
    pub(crate) range: String,
    pub(crate) policy: String,
    pub(crate) trust: String,
    pub(crate) asked_at: UnixTime,
    pub(crate) objects: Vec<JudgedObject>,
    pub(crate) shallow: Vec<ObjectId>,
    /// How many authorities the trust store has.
    pub(crate) authorities: usize,
    may_be_empty: bool,
    /// What was selected by name: the ends of ranges, and objects alone.
    pub(crate) tips: Vec<ObjectId>,
    /// Whether somebody stopped it before it was done.
    pub(crate) interrupted: bool,
    /// A file that each of some of the commits changed.
    pub(crate) places: HashMap<ObjectId, String>,
    /// What is stated about some of the objects.
    pub(crate) attested: HashMap<ObjectId, Attested>,
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
    /// Returns the judged objects, newest first.
    pub fn objects(&self) -> &[JudgedObject] {
        &self.objects
    }

    /// Returns the commits where a shallow clone ended the walk: nothing before them was judged.
    pub fn shallow(&self) -> &[ObjectId] {
        &self.shallow
    }

    /// Returns what was selected, in git's words.
    pub fn range(&self) -> &str {
        &self.range
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
        let objects = self.objects.iter();
        objects.filter(move |object| tips.contains(&object.id))
    }

    /// Tells whether somebody stopped it before every object was judged.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Adds a file that each of the commits changed which were not accepted, for reports that
    /// have to name one. Of very many commits, the newest have one.
    pub fn with_places(mut self, repository: &Repository) -> Self {
        let refused = self.objects.iter().filter(|object| {
            object.kind == Some("commit") && object.judgement.verdict() != Verdict::Accepted
        });
        let places = refused.take(PLACES_MAX).filter_map(|object| {
            let path = repository.changed_file(object.id)?;
            Some((object.id, path))
        });
        self.places = places.collect();
        self
    }

    /// Adds what is stated about objects. It changes no verdict on them.
    pub fn with_attested(mut self, attested: HashMap<ObjectId, Attested>) -> Self {
        self.attested = attested;
        self
    }

    /// Returns the exit code: that of the summary, but 0 for a range that somebody asked for and
    /// that holds nothing, and never 0 for what was interrupted.
    pub fn exit_code(&self) -> u8 {
        let exit = self.summary().exit_code();
        if self.interrupted && exit == 0 {
            return UNDECIDED;
        }
        if self.objects.is_empty() && self.may_be_empty && !self.interrupted {
            return 0;
        }
        exit
    }

    /// Counts the verdicts.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for object in &self.objects {
            summary.objects += 1;
            match object.judgement.verdict() {
                Verdict::Accepted => summary.accepted += 1,
                Verdict::Rejected(_) => summary.rejected += 1,
                Verdict::Undecided(_) => summary.undecided += 1,
            }
        }
        summary
    }
}

/// The exit code of what was not looked at.
const UNDECIDED: u8 = 3;
/// How many commits at most get a file that they changed.
const PLACES_MAX: usize = 1000;

/// An object of a selection, as far as it can be judged alone.
pub(crate) struct Looked {
    pub(crate) place: usize,
    /// Whether an earlier run examined it.
    pub(crate) is_known: bool,
    pub(crate) examined: Examined,
}

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
    verify_graph(repository, selection, judge, statements).map(|(outcome, _)| outcome)
}

/// As [`verify_with`], for those who ask what the objects are to each other.
pub(crate) fn verify_graph(
    repository: &Repository,
    selection: &Selection,
    judge: &Judge<'_>,
    statements: Option<&dyn Statements>,
) -> Result<(Outcome, Graph), RepositoryError> {
    let hash = repository.hash();
    // A handful is examined sooner than anything is looked up.
    let cache = match selection.is_small() {
        true => None,
        false => judge.cache(hash),
    };
    let memory = cache.and_then(|cache| Recall::open(cache, judge, hash));
    let mut walk = repository.walk_remembering(selection, memory)?;
    let examine = |found: Found| Looked {
        place: found.place,
        is_known: matches!(found.content, Content::Known(..)),
        examined: examine(found, hash, judge),
    };
    let go_on = |_: &Found| !judge.stopper().is_stopped();
    let found = walk.by_ref().take_while(go_on);
    let mut examined: Vec<Looked> = if selection.is_small() {
        found.map(examine).collect()
    } else {
        found.par_bridge().map(examine).collect()
    };
    examined.sort_unstable_by_key(|it| it.place);
    let graph = walk.into_graph();
    if let Some(cache) = cache {
        keep(cache, (&graph, &examined), judge, hash);
    }
    let order = order(
        &graph,
        examined.iter().map(|it| (it.place, &it.examined)),
        judge,
    );
    let ground = Ground::new(repository, &graph, statements, selection);
    let asks_around = judge.asks_around();
    let mut objects = Vec::new();
    // From the last on, so that what is done with gives its memory back.
    examined.reverse();
    while let Some(Looked {
        place, examined, ..
    }) = take_last(&mut examined)
    {
        let Some(number) = graph.number_at(place) else {
            continue;
        };
        let Some(node) = graph.nodes().get(number) else {
            continue;
        };
        let order = order.get(number).copied().unwrap_or(Order::Unknown);
        let judgement = if asks_around || examined.has_terms() {
            let scene = Scene::of(&ground, judge, (number, node.id), &examined);
            judge.decide_in(&examined, order, &scene)
        } else {
            judge.decide(examined, order)
        };
        objects.push(JudgedObject {
            id: node.id,
            kind: node.kind,
            dated: node.time,
            judgement,
        });
    }
    excuse(repository, &mut objects, &[judge.policy()], judge.now())?;
    let outcome = Outcome::new(repository, selection, judge, objects)?;
    Ok((outcome, graph))
}

/// Takes the last of many, and from time to time gives back the memory of those before.
fn take_last<T>(items: &mut Vec<T>) -> Option<T> {
    if items.len().is_multiple_of(1 << 16) {
        items.shrink_to_fit();
    }
    items.pop()
}

/// Accepts what a policy makes an exception for, and what lies at or before its baseline.
pub(crate) fn excuse(
    repository: &Repository,
    objects: &mut [JudgedObject],
    policies: &[&Policy],
    now: UnixTime,
) -> Result<(), RepositoryError> {
    let mut refused: Vec<_> = objects
        .iter_mut()
        .filter(|object| object.judgement.is_excusable())
        .collect();
    for object in &mut refused {
        let id = object.id.to_string();
        let mut exceptions = policies.iter().filter_map(|it| it.exception(&id, now));
        if let Some((by, _)) = exceptions.next() {
            object.judgement.excused(Arc::clone(by));
        }
    }
    let before = match refused.iter().any(|it| it.judgement.is_excusable()) {
        true => repository.reached_by(policies.iter().flat_map(|it| it.baseline()))?,
        false => HashSet::new(),
    };
    let by: Arc<str> = BASELINE.into();
    for object in refused {
        if object.judgement.is_excusable() && before.contains(&object.id) {
            object.judgement.excused(Arc::clone(&by));
        }
    }
    Ok(())
}

/// What stands for a rule where a policy takes history as it is.
pub(crate) const BASELINE: &str = "at or before the baseline";

impl Outcome {
    pub(crate) fn new(
        repository: &Repository,
        selection: &Selection,
        judge: &Judge<'_>,
        objects: Vec<JudgedObject>,
    ) -> Result<Self, RepositoryError> {
        let boundary: HashSet<_> = repository.shallow_boundary()?.into_iter().collect();
        let ids = objects.iter().map(|object| object.id);
        let shallow = ids.filter(|id| boundary.contains(id)).collect();
        Ok(Self {
            repository: repository.path().display().to_string(),
            range: selection.text().to_owned(),
            policy: judge.policy().digest(),
            trust: judge.trust_digest().to_owned(),
            asked_at: judge.now(),
            objects,
            shallow,
            authorities: judge.authorities(),
            may_be_empty: selection.may_be_empty(),
            tips: selection.tips().collect(),
            interrupted: judge.stopper().is_stopped(),
            places: HashMap::new(),
            attested: HashMap::new(),
        })
    }
}

pub(crate) fn examine(found: Found, hash: HashKind, judge: &Judge<'_>) -> Examined {
    if let Content::Known(_, examined) = found.content {
        judge.count();
        return *examined;
    }
    if !found.is_intact() {
        let detail = "the object store has other bytes under this name";
        return Examined::refused(Refusal::new(Code::ObjectMalformed, detail));
    }
    let refusal = match &found.content {
        Content::Raw(kind, raw) => {
            let leads_to = |named: &[&str]| found.leads_to(named);
            let evidence = Evidence::from_linked_object(*kind, raw, hash, leads_to);
            let beside = MergeTag::all(*kind, raw, hash, judge);
            return judge.examine_named(Some(&found.id), evidence).with(beside);
        }
        Content::Unsignable(kind) => Refusal::new(Code::ObjectMalformed, format!("it is a {kind}")),
        Content::TooLarge(kind) => Refusal::new(
            Code::ObjectTooLarge,
            format!("the {kind} is longer than {OBJECT_MAX} bytes"),
        ),
        Content::Missing(Some(child)) => {
            Refusal::new(Code::ObjectMissing, format!("parent of {child}"))
        }
        // What is known was given back above.
        Content::Known(..) | Content::Missing(None) => Code::ObjectMissing.into(),
    };
    Examined::refused(refusal)
}

/// Places every object of a graph among its neighbours.
pub(crate) fn order<'e>(
    graph: &Graph,
    examined: impl IntoIterator<Item = (usize, &'e Examined)>,
    judge: &Judge<'_>,
) -> Vec<Order> {
    let placed = placed(graph, examined, judge);
    place(&placed, judge.policy().skew_seconds())
}

/// Returns what each object of a graph says of its time.
pub(crate) fn placed<'g, 'e>(
    graph: &'g Graph,
    examined: impl IntoIterator<Item = (usize, &'e Examined)>,
    judge: &Judge<'_>,
) -> Vec<Placed<'g>> {
    let mut placed: Vec<_> = graph
        .nodes()
        .iter()
        .map(|node| Placed {
            declared: node.time,
            strong: None,
            parents: node.parents.as_deref(),
        })
        .collect();
    for (position, examined) in examined {
        if let Some(number) = graph.number_at(position)
            && let Some(object) = placed.get_mut(number)
        {
            object.strong = judge.strong_time(examined);
            object.declared = examined.declared().or(object.declared);
        }
    }
    placed
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
