//! What rests on something that is compromised: commits, tags, files, the lines that are left of
//! them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::{
    judge::{Judge, Judgement, Stopper},
    merge_tag::MergeTag,
    named::{Named, NamedIn},
    order::index,
    repository::{
        Asked, Blame, Blamed, Differences, Graph, ObjectId, Repository, RepositoryError, Selection,
        Trees,
    },
    stated::Statements,
    suspicion::{Exposure, Suspicion},
    verdict::{Class, Code},
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
    /// Of each suspicion, whether the trust store or a signature names it.
    pub(crate) named: Vec<bool>,
    /// Whether nothing that could not be looked at stands in for who signed.
    is_known: bool,
    /// Whether the trust store tells all that is revoked, where that was asked about.
    pub(crate) is_told: bool,
    /// Objects of which nobody can read who signed them.
    pub(crate) unreadable: Vec<Unreadable>,
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

/// What a statement's signature has to do with the suspicions.
#[derive(Debug)]
pub struct Concern {
    /// How it rests on one of them.
    pub exposure: Option<Exposure>,
    /// Which of them it names.
    named: Vec<bool>,
}

/// An object, or a merge with a tag, of which it cannot be read who signed it.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Unreadable {
    pub(crate) oid: String,
    pub(crate) kind: &'static str,
    pub(crate) code: Code,
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
    /// An `outcome` is that of the selection by a policy that takes only some of the authorities of the
    /// trust store. Then `judge` takes all of them: what rests on a key does so whatever a policy names.
    ///
    /// # Errors
    /// [`RepositoryError`] as [`crate::verify_range`], and when refs cannot be read.
    pub fn find(
        repository: &Repository,
        selection: &Selection,
        judge: &Judge<'_>,
        (outcome, statements): (Option<Outcome>, Option<&dyn Statements>),
        (suspicions, tip): (Vec<Suspicion>, ObjectId),
    ) -> Result<Self, RepositoryError> {
        let (judged, graph) = verify_graph(repository, selection, judge, statements)?;
        let (outcome, beyond) = match outcome {
            Some(outcome) => (outcome, Some(judged)),
            None => (judged, None),
        };
        let mut seen = Seen::of(repository, [Some(&outcome), beyond.as_ref()], suspicions);
        let found: Vec<_> = outcome
            .objects()
            .iter()
            .map(|it| seen.look_at(it))
            .collect();
        let (mut exposures, mut merge_tags, mut is_known) = (Vec::new(), Vec::new(), true);
        let mut unreadable = Vec::new();
        for it in found {
            exposures.push(it.exposure);
            merge_tags.extend(it.merge_tags);
            unreadable.extend(it.unreadable);
            is_known &= it.is_known;
        }
        let (suspicions, named) = (seen.suspicions, seen.named);
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
            named,
            is_known,
            is_told: true,
            unreadable,
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
            stopper,
        };
        let tip = reach.numbers.get(&self.tip);
        let mut blame = tip.and_then(|tip| repository.blame(&asked, *tip));
        let mut unread = BTreeSet::new();
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

    /// Notes the command by which it was asked for, as a shell reads it.
    pub fn asked_by(self, command: String) -> Self {
        let outcome = self.outcome.asked_by(command);
        Self { outcome, ..self }
    }

    /// Adds the statements that rest on it.
    pub fn with_statements(self, statements: Vec<ExposedStatement>) -> Self {
        Self { statements, ..self }
    }

    /// Returns what the signature of a statement has to do with the suspicions; `None` when it has
    /// nothing.
    pub fn concern(&self, judgement: &Judgement) -> Option<Concern> {
        let carried = judgement
            .claimed()
            .filter(|_| judgement.identity().is_none())
            .map(Named::from);
        let is_claimed = |suspicion: &Suspicion| {
            (carried.as_ref()).is_some_and(|named| suspicion.is_named_in(named))
        };
        let is_about = |suspicion: &Suspicion| {
            let standing = judgement.standing();
            standing.is_some_and(|standing| suspicion.is_about(standing))
        };
        let claimed = self.suspicions.iter().any(is_claimed);
        let exposure = exposure(judgement, &self.suspicions);
        let exposure = exposure.max(claimed.then_some(Exposure::Claimed));
        let named = self.suspicions.iter();
        let named: Vec<_> = named.map(|it| is_claimed(it) || is_about(it)).collect();
        let is_any = exposure.is_some() || named.contains(&true);
        is_any.then_some(Concern { exposure, named })
    }

    /// Notes what a statement names.
    pub fn note(&mut self, concern: &Concern) {
        for (known, named) in self.named.iter_mut().zip(&concern.named) {
            *known |= named;
        }
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

    /// Says that the trust store does not tell all that is revoked, which was asked about.
    pub fn untold(self) -> Self {
        let is_told = false;
        Self { is_told, ..self }
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

    /// Tells whether everything that was asked about is named by the trust store or by a signature on
    /// a commit, tag or statement, true or not. What nobody names may be mistyped.
    pub fn is_named(&self) -> bool {
        self.named.iter().all(|named| *named)
    }

    /// Tells whether everything was looked at.
    pub fn is_complete(&self) -> bool {
        self.unread.is_empty()
            && self.unreadable.is_empty()
            && !self.outcome.is_interrupted()
            && self.outcome.shallow().is_empty()
            && self.outcome.summary().undecided == 0
            && self.is_known
            && self.is_told
            && self.files.iter().all(|file| file.is_complete)
    }
}

/// What is known of the signatures of a selection, before it is told.
struct Seen<'o> {
    suspicions: Vec<Suspicion>,
    named: Vec<bool>,
    /// By all of the trust store, where the policy takes only some.
    beyond: HashMap<ObjectId, &'o Judgement>,
    /// Whom signatures name.
    names: HashMap<ObjectId, NamedIn>,
}

/// What there is to tell of an object.
struct Found {
    exposure: Option<Exposure>,
    merge_tags: Vec<ExposedMergeTag>,
    unreadable: Option<Unreadable>,
    /// Whether it was seen who signed, or that it is nobody whom the trust store knows.
    is_known: bool,
}

impl<'o> Seen<'o> {
    /// Reads whom those signatures name whose maker nobody vouches for; all, where a key is asked
    /// about whose id only they tell.
    fn of(
        repository: &Repository,
        outcomes: [Option<&'o Outcome>; 2],
        mut suspicions: Vec<Suspicion>,
    ) -> Self {
        let [outcome, beyond] = outcomes;
        let objects = |outcome: Option<&'o Outcome>| outcome.map_or(&[][..], Outcome::objects);
        let beyond = objects(beyond).iter();
        let beyond: HashMap<_, _> = beyond.map(|it| (it.id(), it.judgement())).collect();
        let reads_all = suspicions.iter().any(Suspicion::has_foreign_name);
        let is_told = |judgement: &Judgement| {
            judgement.identity().is_some() || judgement.shortcoming() == Some(Code::Unsigned)
        };
        let is_read = |object: &&JudgedObject| {
            let own = object.judgement();
            let beyond = beyond.get(&object.id()).copied();
            let both = [Some(own), beyond].into_iter().flatten();
            reads_all
                || !both.clone().any(is_told)
                || both.flat_map(Judgement::merge_tags).next().is_some()
        };
        let ids = objects(outcome).iter().filter(is_read);
        let ids: Vec<_> = ids.map(JudgedObject::id).collect();
        let hash = repository.hash();
        let names = repository.read_each(&ids, |kind, raw| NamedIn::object(kind, raw, hash));
        for named in names.values() {
            let all = named.tags.iter().chain([&named.own]).flatten();
            all.for_each(|named| suspicions.iter_mut().for_each(|it| it.learn(named)));
        }
        Self {
            named: suspicions.iter().map(Suspicion::is_trusted).collect(),
            suspicions,
            beyond,
            names,
        }
    }

    fn look_at(&mut self, object: &JudgedObject) -> Found {
        let own = object.judgement();
        let beyond = self.beyond.get(&object.id()).copied();
        let names = self.names.remove(&object.id());
        let (named, mut named_by_tags) = match names {
            Some(names) => (names.own, names.tags),
            None => (None, Vec::new()),
        };
        let signed = self.look_at_one(own, beyond, named.as_ref());
        let mut is_known = signed.is_known;
        let mut unreadable = signed.unreadable.map(|code| (object.kind_word(), code));
        named_by_tags.resize_with(own.merge_tags().len(), || None);
        let of_beyond = beyond.map_or(&[][..], Judgement::merge_tags);
        let mut merge_tags = Vec::new();
        for (at, (tag, named)) in own.merge_tags().iter().zip(&named_by_tags).enumerate() {
            let beyond = of_beyond.get(at).map(MergeTag::judgement);
            let signed = self.look_at_one(tag.judgement(), beyond, named.as_ref());
            is_known &= signed.is_known;
            unreadable = unreadable.or(signed.unreadable.map(|code| ("tag in the merge", code)));
            if let Some(exposure) = signed.exposure {
                merge_tags.push(ExposedMergeTag {
                    commit: object.id().to_string(),
                    name: tag.name().map(str::to_owned),
                    target: tag.target().map(str::to_owned),
                    exposure,
                });
            }
        }
        Found {
            exposure: signed.exposure,
            merge_tags,
            unreadable: unreadable.map(|(kind, code)| Unreadable {
                oid: object.id().to_string(),
                kind,
                code,
            }),
            is_known,
        }
    }

    fn look_at_one(
        &mut self,
        own: &Judgement,
        beyond: Option<&Judgement>,
        named: Option<&Named>,
    ) -> FoundOne {
        let both = || [Some(own), beyond].into_iter().flatten();
        let standings = || both().filter_map(Judgement::standing);
        let carried = both().find_map(Judgement::claimed).and_then(|it| it.kid);
        let is_checked = standings().next().is_some();
        let is_vouched = standings().any(|it| it.identity().is_some());
        let exposures = both().filter_map(|it| exposure(it, &self.suspicions));
        let mut exposure = exposures.max();
        for (suspicion, is_named) in self.suspicions.iter().zip(&mut self.named) {
            let is_claimed = named.is_some_and(|named| suspicion.is_named_in(named))
                || carried.is_some_and(|kid| suspicion.is_key(kid));
            *is_named |= is_claimed || standings().any(|it| suspicion.is_about(it));
            if is_claimed && !is_vouched {
                exposure = exposure.max(Some(Exposure::Claimed));
            }
        }
        let unreadable = own.shortcoming().filter(|code| match code {
            Code::ObjectMalformed | Code::ObjectTooLarge | Code::ObjectMissing => !is_checked,
            Code::Unsigned => false,
            _ => !is_checked && named.is_none() && carried.is_none(),
        });
        FoundOne {
            exposure,
            unreadable,
            is_known: both().all(|judgement| {
                let code = judgement.shortcoming();
                let is_undecided = code.is_some_and(|code| code.class() == Class::Undecided);
                judgement.authority().is_some() || !is_undecided
            }),
        }
    }
}

/// What there is to tell of one signature.
struct FoundOne {
    exposure: Option<Exposure>,
    /// Why it cannot be read who made it.
    unreadable: Option<Code>,
    is_known: bool,
}

/// Returns how a signature rests on one of them; that it was made since then counts before all.
fn exposure(judgement: &Judgement, suspicions: &[Suspicion]) -> Option<Exposure> {
    suspicions
        .iter()
        .filter_map(|it| it.concerns(judgement))
        .max()
}

fn compare(trees: &Trees, graph: &Graph, node: usize) -> Differences {
    let id = |number: &u32| Some(graph.nodes().get(index(*number))?.id);
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
            let is_reached = |parent: &u32| reach.reaches.get(index(*parent)) == Some(&true);
            let after = graph.parents(*number).iter().any(is_reached);
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
