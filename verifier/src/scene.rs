//! What is around an object in a repository, looked at when a rule asks.

use std::{
    borrow::Cow,
    cell::{OnceCell, RefCell},
    collections::{BTreeSet, HashMap, HashSet},
};

use notme_core::object::ObjectKind;

use crate::{
    evidence::Evidence,
    judge::{Examined, Judge, Judgement},
    lines::Lines,
    order::{Order, index},
    policy::Surroundings,
    refusal::Refusal,
    repository::{
        ChangedPaths, Content, Found, Graph, Kinship, Main, Node, ObjectId, Repository,
        RepositoryError, Selection, Trees,
    },
    stated::{SignedBy, Stated, Statements},
    verdict::{Code, Verdict},
    verify,
};

/// The most merges that are looked at to find who merged a commit into a branch.
const MERGES_MAX: usize = 64;

/// What the objects of a run have in common.
pub(crate) struct Ground<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) trees: Trees,
    graph: &'a Graph,
    /// Where the date of each node puts it among its neighbours.
    orders: &'a [Order],
    statements: Option<&'a dyn Statements>,
    reference: Option<&'a str>,
    main: Option<&'a Main>,
    named: &'a [(ObjectId, String)],
    /// Where in that an object is, once somebody asks.
    places: OnceCell<HashMap<ObjectId, Vec<usize>>>,
    /// The repository's own, once somebody asks.
    names: OnceCell<Vec<String>>,
    /// The commits that the branch has which others start from.
    of_main: OnceCell<HashSet<usize>>,
    /// The ends of the branches that are asked about, and objects that are asked about alone.
    tips: [Vec<ObjectId>; 2],
    lines: OnceCell<Option<Lines>>,
    /// Who signed a merge, as a policy sees it.
    mergers: RefCell<HashMap<(usize, String), Option<SignedBy>>>,
    numbers: OnceCell<HashMap<ObjectId, usize>>,
}

impl<'a> Ground<'a> {
    pub(crate) fn new(
        repository: &'a Repository,
        (graph, orders): (&'a Graph, &'a [Order]),
        statements: Option<&'a dyn Statements>,
        selection: &'a Selection,
    ) -> Self {
        Self {
            repository,
            trees: repository.trees(),
            graph,
            orders,
            statements,
            reference: selection.reference(),
            main: selection.main(),
            named: selection.named(),
            places: OnceCell::new(),
            names: OnceCell::new(),
            of_main: OnceCell::new(),
            tips: selection.ends_and_alone(),
            lines: OnceCell::new(),
            mergers: RefCell::default(),
            numbers: OnceCell::new(),
        }
    }

    /// Returns where the date of an object puts it among its neighbours.
    pub(crate) fn order_of(&self, number: usize) -> Order {
        self.orders.get(number).copied().unwrap_or(Order::Unknown)
    }

    /// Returns the parents of a commit; `None` when they are not all known.
    pub(crate) fn parents(&self, number: usize) -> Option<Vec<ObjectId>> {
        let parents = self.parents_of(number)?.into_iter();
        Some(parents.map(|(id, _)| id).collect())
    }

    /// Refuses a tag that a ref names otherwise than it names itself.
    pub(crate) fn hold_to_name(&self, id: ObjectId, mut judgement: Judgement) -> Judgement {
        if self.named.is_empty() || judgement.verdict() != Verdict::Accepted {
            return judgement;
        }
        let places = self.places.get_or_init(|| {
            let mut places: HashMap<_, Vec<_>> = HashMap::new();
            for (place, (id, _)) in self.named.iter().enumerate() {
                places.entry(*id).or_default().push(place);
            }
            places
        });
        let named = places.get(&id).into_iter().flatten();
        let names = named.filter_map(|place| self.named.get(*place));
        let mut renamed =
            names.filter_map(|(_, name)| Some((name, self.repository.renamed(name, id)?)));
        if let Some((name, own)) = renamed.next() {
            let detail = format!("its own name is `{own}`, and `{name}` names it");
            judgement.refuse(Refusal::new(Code::TagRenamed, detail));
        }
        judgement
    }

    /// Returns the ref that a commit is for. What a main branch reaches is for it, by all parents: which
    /// of them count is seen when they are judged, and they are judged for a ref.
    pub(crate) fn reference_of(&self, number: usize) -> Option<&'a str> {
        let Some(main) = self.main else {
            return self.reference;
        };
        let of_main = self.of_main.get_or_init(|| {
            let mut reached: HashSet<_> = self.number_of(main.tip).into_iter().collect();
            let mut pending: Vec<_> = reached.iter().copied().collect();
            while let Some(number) = pending.pop() {
                let parents = self.numbers_of_parents(number);
                pending.extend(parents.filter(|parent| reached.insert(*parent)));
            }
            reached
        });
        match of_main.contains(&number) {
            true => Some(&main.name),
            false => self.reference,
        }
    }

    pub(crate) fn number_of(&self, id: ObjectId) -> Option<usize> {
        let numbers = self.numbers.get_or_init(|| {
            let nodes = self.graph.nodes().iter().enumerate();
            nodes.map(|(number, node)| (node.id, number)).collect()
        });
        numbers.get(&id).copied()
    }

    /// Returns the parents of a commit, and whether each lies behind what was asked for; `None`
    /// when they are not all known.
    pub(crate) fn parents_of(&self, number: usize) -> Option<Vec<(ObjectId, bool)>> {
        let nodes = self.graph.nodes();
        let parents = nodes.get(number)?.parents.as_deref()?;
        let parent = |number: &u32| {
            let node = nodes.get(index(*number))?;
            Some((node.id, node.is_hidden))
        };
        parents.iter().map(parent).collect()
    }

    fn numbers_of_parents(&self, number: usize) -> impl Iterator<Item = usize> {
        let parents = self.graph.parents(number).iter();
        parents.map(|parent| index(*parent))
    }

    /// Returns by which merges commits came into the branches that are asked about, if that can be
    /// told.
    fn lines(&self) -> Option<&Lines> {
        let lines = self.lines.get_or_init(|| {
            let nodes = self.graph.nodes();
            // What is hidden reaches nothing that is asked about, and tags are on no line.
            let is_shown = |node: &Node| !node.is_hidden && node.kind() == Some("commit");
            let parents = |number: usize| match nodes.get(number) {
                Some(node) if is_shown(node) => self.graph.parents(number),
                Some(_) | None => &[],
            };
            let commit = |id: &ObjectId| self.number_of(self.repository.peel(*id).unwrap_or(*id));
            let [ends, alone] = &self.tips;
            let mut tips: BTreeSet<_> = ends.iter().filter_map(commit).collect();
            // Of a list, the last: what others in it come after is not named as an end.
            let mut alone: BTreeSet<_> = alone.iter().filter_map(commit).collect();
            if !alone.is_empty() {
                for parent in (0..nodes.len()).flat_map(parents) {
                    alone.remove(&index(*parent));
                }
            }
            tips.extend(alone);
            Lines::of(&tips, parents)
        });
        lines.as_ref()
    }

    /// Tells whether a merge leaves out what it brings at one of some paths.
    fn leaves_out(&self, merge: usize, paths: &[String]) -> Result<bool, Refusal> {
        let nodes = self.graph.nodes();
        let (Some(node), false) = (nodes.get(merge), paths.is_empty()) else {
            return Ok(false);
        };
        let parents = self.parents(merge).unwrap_or_default();
        let parents = parents.iter().map(|parent| self.trees.of_commit(*parent));
        let parents: Vec<_> = parents.collect::<Result<_, _>>()?;
        self.trees
            .leaves_out(self.trees.of_commit(node.id)?, &parents, paths)
    }

    /// Returns who signed a merge, if that signature holds.
    fn merger(&self, merge: usize, judge: &Judge<'_>) -> Option<SignedBy> {
        let key = (merge, judge.policy().digest());
        if let Some(known) = self.mergers.borrow().get(&key) {
            return known.clone();
        }
        let signer = || {
            let id = self.graph.nodes().get(merge)?.id;
            let (kind, raw) = self.repository.read(id).ok()?;
            let found = Found {
                place: 0,
                id,
                content: Content::Raw(kind, raw),
                parents: self.parents(merge)?,
            };
            let examined = verify::examine(found, self.repository.hash(), judge);
            // Two who may do little would do together what neither may.
            let may_vouch = !examined.is_narrow();
            let scene = Scene::of(self, judge, (merge, id), &examined);
            let proven = || judge.proven(&examined, self.order_of(merge), &scene);
            may_vouch.then(proven).flatten()
        };
        let signer = signer();
        self.mergers.borrow_mut().insert(key, signer.clone());
        signer
    }
}

/// One object, and what is around it.
pub(crate) struct Scene<'a> {
    ground: &'a Ground<'a>,
    judge: &'a Judge<'a>,
    number: usize,
    id: ObjectId,
    /// What a tag calls itself, as a ref.
    tag: Option<String>,
    /// The commits that it goes on from: none for a root; `None` when they are not known.
    parents: Option<Vec<ObjectId>>,
    /// Who says which parents others go on from.
    kinship: &'a dyn Kinship,
    is_commit: bool,
    governs: Governs,
    footing: Option<Refusal>,
    changes: OnceCell<Result<Option<ChangedPaths>, Refusal>>,
}

/// Which of the repository's own rules a commit has otherwise than what it goes on from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Governs {
    /// The policy.
    pub(crate) policy: bool,
    /// The trust store. A merge may have it from one side.
    pub(crate) trust: bool,
}

impl Governs {
    pub(crate) const ALL: Self = Self {
        policy: true,
        trust: true,
    };
}

impl<'a> Scene<'a> {
    /// Looks at an object of the graph, which goes on from all its parents.
    pub(crate) fn of(
        ground: &'a Ground<'a>,
        judge: &'a Judge<'a>,
        (number, id): (usize, ObjectId),
        examined: &Examined,
    ) -> Self {
        let node = ground.graph.nodes().get(number);
        let is_commit = node.is_some_and(|it| it.kind() == Some(ObjectKind::Commit.as_str()));
        let tag = examined.tag().map(|tag| format!("refs/tags/{tag}"));
        Self {
            ground,
            judge,
            number,
            id,
            tag,
            parents: ground.parents(number),
            kinship: ground.repository.all_parents(),
            is_commit,
            governs: Governs::default(),
            footing: None,
            changes: OnceCell::new(),
        }
    }

    /// Says from which of its parents it goes on, who says that of others, and whether the repository's own
    /// rules change.
    pub(crate) fn going_on(
        self,
        (parents, kinship): (Vec<ObjectId>, &'a dyn Kinship),
        governs: Governs,
    ) -> Self {
        Self {
            parents: Some(parents),
            kinship,
            governs,
            ..self
        }
    }

    /// Supposes that it changes all there is, the policy too.
    pub(crate) fn changing_all(self) -> Self {
        Self {
            parents: None,
            governs: Governs::ALL,
            ..self
        }
    }

    /// Says why it stands on nothing, if it does not.
    pub(crate) fn without_footing(self, footing: Option<Refusal>) -> Self {
        Self { footing, ..self }
    }

    /// Tells whether a rule asked what a merge of two changed, and nobody asked about one of its sides:
    /// what it took from there counts as no change.
    pub(crate) fn takes_unjudged(&self) -> bool {
        let nodes = self.ground.graph.nodes();
        let is_beside = |id: &ObjectId| {
            let number = self.ground.number_of(*id);
            number.is_some_and(|number| nodes.get(number).is_some_and(Node::is_beside))
        };
        let sides = self.parents.as_deref().unwrap_or_default();
        self.changes.get().is_some() && sides.len() == 2 && sides.iter().any(is_beside)
    }

    /// Returns the commit that it is or names, of which statements tell; `None` when it names something else.
    fn commit(&self) -> Result<Option<ObjectId>, Refusal> {
        match self.is_commit {
            true => Ok(Some(self.id)),
            false => match self.ground.repository.peel(self.id) {
                Ok(commit) => Ok(Some(commit)),
                Err(RepositoryError::NotSignable(_)) => Ok(None),
                Err(error) => Err(missing(error.to_string())),
            },
        }
    }

    fn find_changes(&self) -> Result<Option<ChangedPaths>, Refusal> {
        if !self.is_commit {
            return Ok(Some(ChangedPaths::default()));
        }
        let Some(parents) = &self.parents else {
            return Ok(None);
        };
        let trees = &self.ground.trees;
        let of_commit = |id: &ObjectId| trees.of_commit(*id);
        let bases = match parents.as_slice() {
            [one, other] => {
                let repository = self.ground.repository;
                repository.bases((*one, *other), self.kinship)?
            }
            _ => Vec::new(),
        };
        let parents: Vec<_> = parents.iter().map(of_commit).collect::<Result<_, _>>()?;
        let bases: Vec<_> = bases.iter().map(of_commit).collect::<Result<_, _>>()?;
        let changes = trees.changes(trees.of_commit(self.id)?, &parents, &bases);
        changes.map(Some)
    }
}

/// Says that something cannot be looked at on which a decision rests.
fn missing(detail: String) -> Refusal {
    Refusal::new(Code::EvidenceMissing, detail)
}

impl Surroundings for Scene<'_> {
    fn footing(&self) -> Result<(), Refusal> {
        self.footing.clone().map_or(Ok(()), Err)
    }

    fn repository_names(&self) -> &[String] {
        let ground = self.ground;
        ground.names.get_or_init(|| ground.repository.known_as())
    }

    fn reference(&self) -> Option<&str> {
        match self.is_commit {
            true => self.ground.reference_of(self.number),
            false => self.tag.as_deref(),
        }
    }

    fn is_tag(&self) -> bool {
        !self.is_commit
    }

    fn changes(&self) -> Result<Option<Cow<'_, ChangedPaths>>, Refusal> {
        match self.changes.get_or_init(|| self.find_changes()) {
            Ok(changes) => Ok(changes.as_ref().map(Cow::Borrowed)),
            Err(refusal) => Err(refusal.clone()),
        }
    }

    fn changes_policy(&self) -> bool {
        self.governs.policy
    }

    fn may_change_trust(&self) -> bool {
        self.governs.trust
    }

    fn can_be_stated(&self) -> bool {
        true
    }

    fn author(&self) -> Result<Option<SignedBy>, Refusal> {
        let Some(commit) = self.commit()?.filter(|_| !self.is_commit) else {
            return Ok(None);
        };
        let repository = self.ground.repository;
        let (kind, raw) = (repository.read(commit)).map_err(|error| missing(error.to_string()))?;
        let evidence = Evidence::from_object(kind, &raw, repository.hash());
        Ok(self.judge.signer_of(&commit, evidence))
    }

    fn statements(&self) -> Result<Vec<Stated>, Refusal> {
        let Some(statements) = self.ground.statements else {
            return Ok(Vec::new());
        };
        let Some(commit) = self.commit()? else {
            return Ok(Vec::new());
        };
        let about = statements.about(&commit.to_string(), self.judge.policy());
        let mut about = about.map_err(missing)?;
        // A tag may be made long after its commit was received.
        about.retain(|it| self.is_commit || it.received.is_none());
        Ok(about)
    }

    fn mergers(
        &self,
        kept: &[String],
        counts: &dyn Fn(&SignedBy) -> bool,
    ) -> Result<Vec<Vec<SignedBy>>, Refusal> {
        let ground = self.ground;
        let Some(lines) = ground.lines() else {
            return Ok(Vec::new());
        };
        let signers = |merges: &mut dyn Iterator<Item = usize>| {
            let mut signers: Vec<SignedBy> = Vec::new();
            for merge in merges.take(MERGES_MAX) {
                // Comparing trees takes longest: only for who counts, and is not counted yet.
                if let Some(signer) = ground.merger(merge, self.judge).filter(counts)
                    && !signers.contains(&signer)
                    && !ground.leaves_out(merge, kept)?
                {
                    signers.push(signer);
                }
            }
            Ok(signers)
        };
        let lines = lines.merges_of(self.number);
        lines.map(|mut merges| signers(&mut merges)).collect()
    }
}
