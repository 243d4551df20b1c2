//! What rests on something that is compromised: commits, tags, files, the lines that are left of
//! them.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::{
    judge::{Judge, Judgement, Stopper},
    merge_tag::MergeTag,
    repository::{
        Asked, Blame, Blamed, Differences, Graph, ObjectId, Repository, RepositoryError, Selection,
        Trees,
    },
    stated::Statements,
    suspicion::{Exposure, Suspicion},
    verdict::Class,
    verify::{JudgedObject, Outcome, verify_graph},
};

/// What rests on it.
#[derive(Debug)]
#[must_use]
pub struct Radius {
    pub(crate) outcome: Outcome,
    pub(crate) suspicions: Vec<Suspicion>,
    /// For each object of the outcome.
    exposures: Vec<Option<Exposure>>,
    /// Whether nothing that could not be looked at stands in for who signed.
    is_known: bool,
    pub(crate) merge_tags: Vec<ExposedMergeTag>,
    pub(crate) references: Vec<ExposedReference>,
    pub(crate) files: Vec<ExposedFile>,
    /// Where lines were looked for.
    pub(crate) tip: ObjectId,
    /// Commits whose files could not be read.
    pub(crate) unread: Vec<ObjectId>,
    pub(crate) statements: Vec<ExposedStatement>,
}

/// A statement whose signature rests on it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ExposedStatement {
    /// `sha256:<hex>` of the payload.
    pub digest: String,
    /// The type of what is said, when it could be read.
    pub predicate_type: Option<String>,
    /// The commit that it is kept with.
    pub commit: String,
    /// How it rests on it.
    pub exposure: Exposure,
}

/// A tag that a merge carries, and whose signature rests on it.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct ExposedMergeTag {
    /// The merge.
    pub(crate) commit: String,
    /// What it calls itself; unescaped.
    pub(crate) name: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) exposure: Exposure,
}

/// A branch or tag.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ExposedReference {
    pub(crate) name: String,
    pub(crate) oid: String,
    /// The signature of the tag itself rests on it.
    pub(crate) signed: bool,
    /// What it names is, or comes after, a commit that rests on it.
    pub(crate) reaches: bool,
}

/// A file that such a commit changed, or that has lines of one.
#[derive(Debug, Default)]
pub(crate) struct ExposedFile {
    /// Lossily; unescaped.
    pub(crate) path: String,
    /// How many such commits changed a file of this name.
    pub(crate) commits: usize,
    /// First and last line, from 1, and whose they are.
    pub(crate) lines: Vec<(u32, u32, ObjectId)>,
    /// Whether all lines were looked at.
    pub(crate) is_complete: bool,
}

impl Radius {
    /// Judges a selection, and finds what in it rests on one of the suspicions. Lines are looked
    /// for at `tip`, which has to be a commit of the selection to have any.
    ///
    /// Where the policy takes only some of the authorities of the trust store, `beyond` judges by all
    /// of them: what rests on a key does so whatever a policy names. An `outcome` is that of the
    /// selection where somebody judged it already.
    ///
    /// # Errors
    /// [`RepositoryError`] as [`crate::verify_range`], and when refs cannot be read.
    pub fn find(
        repository: &Repository,
        selection: &Selection,
        (judge, beyond): (&Judge<'_>, Option<&Judge<'_>>),
        (outcome, statements): (Option<Outcome>, Option<&dyn Statements>),
        (suspicions, tip): (Vec<Suspicion>, ObjectId),
    ) -> Result<Self, RepositoryError> {
        let (outcome, graph) = match outcome {
            Some(outcome) => {
                let mut walk = repository.walk(selection)?;
                walk.by_ref().for_each(drop);
                (outcome, walk.into_graph())
            }
            None => verify_graph(repository, selection, judge, statements)?,
        };
        let mut more = match beyond {
            None => HashMap::new(),
            Some(judge) => {
                let (outcome, _) = verify_graph(repository, selection, judge, None)?;
                let objects = outcome.objects().iter();
                let found = objects.map(|it| (it.id(), Resting::of(it, &suspicions)));
                found.collect()
            }
        };
        let resting = outcome.objects().iter().map(|object| {
            let resting = Resting::of(object, &suspicions);
            match more.remove(&object.id()) {
                Some(more) => resting.and(more),
                None => resting,
            }
        });
        let (mut exposures, mut merge_tags, mut is_known) = (Vec::new(), Vec::new(), true);
        for it in resting {
            exposures.push(it.exposure);
            merge_tags.extend(it.merge_tags);
            is_known &= it.is_known;
        }
        let exposed = outcome.objects().iter().zip(&exposures);
        let exposed: HashMap<_, _> = exposed
            .filter(|(_, exposure)| exposure.is_some())
            .map(|(object, _)| (object.id(), object.kind()))
            .collect();
        let reach = Reach::of(&graph, |id| exposed.get(&id) == Some(&Some("commit")));
        let mut references = Vec::new();
        // Of each tag, whether it or one that it is a tag of is exposed: many refs lead into one chain.
        let mut known = HashMap::new();
        for (name, id) in repository.names()? {
            let mut way = Vec::new();
            let mut tags = repository.tags_from(id);
            let mut signed = tags.find_map(|tag| {
                way.push(tag);
                known.get(&tag).copied()
            });
            for tag in way.into_iter().rev() {
                let signed = signed.get_or_insert(false);
                *signed |= exposed.contains_key(&tag);
                known.insert(tag, *signed);
            }
            let signed = signed == Some(true);
            let commit = repository.peel(id).ok();
            let reaches = commit.is_some_and(|commit| reach.reaches(commit));
            if signed || reaches {
                references.push(ExposedReference {
                    name,
                    oid: id.to_string(),
                    signed,
                    reaches,
                });
            }
        }
        let mut radius = Self {
            outcome,
            suspicions,
            exposures,
            is_known,
            merge_tags,
            references,
            files: Vec::new(),
            tip,
            unread: Vec::new(),
            statements: Vec::new(),
        };
        radius.find_files(repository, &reach, (&graph, judge.stopper()));
        radius.outcome.interrupted = judge.stopper().is_stopped();
        Ok(radius)
    }

    fn find_files(
        &mut self,
        repository: &Repository,
        reach: &Reach,
        (graph, stopper): (&Graph, &Stopper),
    ) {
        let mut files: BTreeMap<_, ExposedFile> = BTreeMap::new();
        let complete = || ExposedFile {
            is_complete: true,
            ..ExposedFile::default()
        };
        let asked = Asked {
            graph,
            wanted: &reach.wanted,
            reaches: &reach.reaches,
        };
        let tip = reach.numbers.get(&self.tip);
        let mut blame = tip.and_then(|tip| repository.blame(&asked, *tip));
        let mut unread = HashSet::new();
        if tip.is_some() && blame.is_none() {
            unread.insert(self.tip);
        }
        let is = |flags: &[bool], node: usize| flags.get(node) == Some(&true);
        for nodes in reach.order.chunks(COMPARED_AT_ONCE) {
            let goes_on = blame.as_ref().is_some_and(Blame::goes_on);
            let matters =
                |node: &usize| is(&reach.wanted, *node) || (goes_on && is(&reach.reaches, *node));
            let nodes: Vec<_> = nodes.iter().copied().filter(matters).collect();
            let compare = |trees: &mut Trees, node: &usize| match stopper.is_stopped() {
                true => Differences::default(),
                false => compare(trees, graph, *node),
            };
            let differences = nodes.par_iter().map_with(repository.trees(), compare);
            let differences: Vec<_> = differences.collect();
            for (node, differences) in nodes.iter().zip(&differences) {
                if is(&reach.wanted, *node) {
                    match differences.own() {
                        None => unread.extend(graph.nodes().get(*node).map(|it| it.id)),
                        Some(paths) => paths.into_iter().for_each(|path| {
                            files.entry(path).or_insert_with(complete).commits += 1;
                        }),
                    }
                }
                if let Some(blame) = &mut blame
                    && !stopper.is_stopped()
                {
                    blame.pass(*node, differences);
                }
            }
        }
        for Blamed {
            path,
            lines,
            is_complete,
        } in blame.map(Blame::end).unwrap_or_default()
        {
            let file = files.entry(path).or_insert_with(complete);
            let last = |first: u32, count: u32| first.saturating_add(count);
            file.lines = lines
                .iter()
                .map(|it| (it.first + 1, last(it.first, it.count), it.commit))
                .collect();
            file.is_complete = is_complete;
        }
        let exposed = self.exposed().map(|(object, _)| object.id());
        let mut in_order: Vec<_> = exposed.filter(|id| unread.remove(id)).collect();
        in_order.extend(unread);
        self.unread = in_order;
        self.files = files
            .into_iter()
            .map(|(path, file)| ExposedFile {
                path: path.to_string(),
                ..file
            })
            .collect();
    }

    /// Adds the statements that rest on it.
    pub fn with_statements(self, statements: Vec<ExposedStatement>) -> Self {
        Self { statements, ..self }
    }

    /// Returns how a judged signature rests on one of the suspicions, if it does.
    pub fn exposure(&self, judgement: &Judgement) -> Option<Exposure> {
        exposure(judgement, &self.suspicions)
    }

    /// Tells whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.exposed().next().is_none() && self.merge_tags.is_empty() && self.statements.is_empty()
    }

    /// Returns the judgements on all of the selection.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Says that a policy which may know who signed was not asked.
    pub fn unasked(self) -> Self {
        let is_known = false;
        Self { is_known, ..self }
    }

    /// Returns the objects that rest on it, newest first, and how.
    pub fn exposed(&self) -> impl Iterator<Item = (&JudgedObject, Exposure)> {
        let objects = self.outcome.objects().iter().zip(&self.exposures);
        objects.filter_map(|(object, exposure)| Some((object, (*exposure)?)))
    }

    /// Returns how many of the lines that are left come from such commits.
    pub fn lines(&self) -> u64 {
        let lines = self.files.iter().flat_map(|file| &file.lines);
        lines
            .map(|(first, last, _)| u64::from(last - first + 1))
            .sum()
    }

    /// Tells whether everything was looked at.
    pub fn is_complete(&self) -> bool {
        self.unread.is_empty()
            && !self.outcome.is_interrupted()
            && self.outcome.shallow().is_empty()
            && self.outcome.summary().undecided == 0
            && self.is_known
            && self.files.iter().all(|file| file.is_complete)
    }
}

/// What one judge knows of an object.
struct Resting {
    exposure: Option<Exposure>,
    merge_tags: Vec<ExposedMergeTag>,
    /// Whether it was seen who signed, or that it is nobody whom the trust store knows.
    is_known: bool,
}

impl Resting {
    fn of(object: &JudgedObject, suspicions: &[Suspicion]) -> Self {
        let judgement = object.judgement();
        let merge_tags = judgement.merge_tags().iter().filter_map(|tag| {
            Some(ExposedMergeTag {
                commit: object.id().to_string(),
                name: tag.name().map(str::to_owned),
                target: tag.target().map(str::to_owned),
                exposure: exposure(tag.judgement(), suspicions)?,
            })
        });
        let mut tags = judgement.merge_tags().iter().map(MergeTag::judgement);
        let is_known = |judgement: &Judgement| {
            let code = judgement.shortcoming();
            let is_undecided = code.is_some_and(|code| code.class() == Class::Undecided);
            judgement.authority().is_some() || !is_undecided
        };
        Self {
            exposure: exposure(judgement, suspicions),
            merge_tags: merge_tags.collect(),
            is_known: is_known(judgement) && tags.all(is_known),
        }
    }

    /// Adds what another judge knows of it.
    fn and(mut self, other: Self) -> Self {
        let is_new = |tag: &ExposedMergeTag| {
            let mut known = self.merge_tags.iter();
            !known.any(|it| it.name == tag.name && it.target == tag.target)
        };
        let more: Vec<_> = other.merge_tags.into_iter().filter(is_new).collect();
        self.merge_tags.extend(more);
        Self {
            exposure: gravest([self.exposure, other.exposure].into_iter().flatten()),
            is_known: self.is_known && other.is_known,
            ..self
        }
    }
}

/// Returns how a signature rests on one of them; that it was made since then counts before all.
fn exposure(judgement: &Judgement, suspicions: &[Suspicion]) -> Option<Exposure> {
    gravest(suspicions.iter().filter_map(|it| it.concerns(judgement)))
}

fn gravest(mut exposures: impl Iterator<Item = Exposure>) -> Option<Exposure> {
    let first = exposures.next()?;
    exposures.find(|it| *it == Exposure::Since).or(Some(first))
}

fn compare(trees: &Trees, graph: &Graph, node: usize) -> Differences {
    let id = |number: &u32| {
        let node = graph.nodes().get(usize::try_from(*number).ok()?)?;
        Some(node.id)
    };
    let Some(node) = graph.nodes().get(node) else {
        return Differences::default();
    };
    let parents = node.parents.as_deref();
    let parents = parents.and_then(|all| all.iter().map(id).collect::<Option<Vec<_>>>());
    Differences::of(trees, node.id, parents.as_deref())
}

/// Of how many commits the differences are in memory at once.
const COMPARED_AT_ONCE: usize = 4096;

/// What comes after what.
struct Reach {
    numbers: HashMap<ObjectId, usize>,
    order: Vec<usize>,
    wanted: Vec<bool>,
    reaches: Vec<bool>,
}

impl Reach {
    /// Finds what is, or comes after, a commit that is asked about.
    fn of(graph: &Graph, is_wanted: impl Fn(ObjectId) -> bool) -> Self {
        let nodes = graph.nodes();
        let numbers = nodes.iter().enumerate().map(|(at, node)| (node.id, at));
        let wanted: Vec<_> = nodes.iter().map(|node| is_wanted(node.id)).collect();
        let mut reach = Self {
            numbers: numbers.collect(),
            order: graph.children_first(),
            reaches: wanted.clone(),
            wanted,
        };
        for number in reach.order.iter().rev() {
            let parents = nodes.get(*number).and_then(|node| node.parents.as_deref());
            let mut parents = parents.unwrap_or_default().iter();
            let after = parents.any(|parent| {
                let parent = usize::try_from(*parent).unwrap_or(usize::MAX);
                reach.reaches.get(parent) == Some(&true)
            });
            if let Some(reaches) = reach.reaches.get_mut(*number) {
                *reaches |= after;
            }
        }
        reach
    }

    fn reaches(&self, id: ObjectId) -> bool {
        let number = self.numbers.get(&id);
        number.and_then(|number| self.reaches.get(*number)) == Some(&true)
    }
}
