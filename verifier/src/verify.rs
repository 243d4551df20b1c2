//! Judging a whole selection on all cores.

mod excuses;
mod outcome;

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use notme_core::{object::HashKind, time::UnixTime};
use rayon::iter::{ParallelBridge as _, ParallelExtend as _, ParallelIterator as _};

pub(crate) use self::excuses::{BASELINE, Excuses, Scope};
pub use self::outcome::{Ignored, JudgedObject, ObjectAttestations, Outcome, Portion, Summary};
use crate::{
    evidence::Evidence,
    examinations::{Examinations, Looked},
    judge::{Examined, Judge, Times},
    merge_tag::MergeTag,
    order::{Order, Placed, index, place},
    recall::{Keeper, Recall},
    refusal::Refusal,
    repository::{
        Content, Found, Graph, OBJECT_MAX, ObjectId, Repository, RepositoryError, Selection,
    },
    scene::{Ground, Scene},
    stated::Statements,
    verdict::{Code, Verdict},
};

/// So many are examined before threads begin.
const HANDFUL: usize = 16;

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
        let ground = Ground::new(repository, (graph, &order), statements, selection);
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
            let order = ground.order_of(number);
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
        let mut outcome = telling.end()?;
        outcome.lacks_attestations = statements.is_none() && judge.asks_others();
        Ok(outcome)
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
    let parents = weak.flat_map(|(number, _)| graph.parents(number));
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
