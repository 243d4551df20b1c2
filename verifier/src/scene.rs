//! What is around an object in a repository, looked at when a rule asks.

use std::{
    borrow::Cow,
    cell::OnceCell,
    collections::{HashMap, HashSet},
};

use notme_core::object::ObjectKind;

use crate::{
    judge::{Examined, Judge},
    policy::Surroundings,
    refusal::Refusal,
    repository::{
        AllParents, ChangedPaths, Content, Found, Graph, Kinship, Main, ObjectId, Repository,
        Selection, Trees,
    },
    stated::{SignedBy, Stated, Statements},
    verdict::Code,
    verify,
};

/// The most merges that are looked at to find who merged a commit.
const MERGES_MAX: usize = 64;

/// What the objects of a run have in common.
pub(crate) struct Ground<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) trees: Trees,
    graph: &'a Graph,
    statements: Option<&'a dyn Statements>,
    reference: Option<&'a str>,
    main: Option<&'a Main>,
    /// The repository's own, once somebody asks.
    names: OnceCell<Vec<String>>,
    /// The commits that the branch has which others start from.
    of_main: OnceCell<HashSet<usize>>,
    children: OnceCell<Vec<Vec<usize>>>,
    numbers: OnceCell<HashMap<ObjectId, usize>>,
}

impl<'a> Ground<'a> {
    pub(crate) fn new(
        repository: &'a Repository,
        graph: &'a Graph,
        statements: Option<&'a dyn Statements>,
        selection: &'a Selection,
    ) -> Self {
        Self {
            repository,
            trees: repository.trees(),
            graph,
            statements,
            reference: selection.reference(),
            main: selection.main(),
            names: OnceCell::new(),
            of_main: OnceCell::new(),
            children: OnceCell::new(),
            numbers: OnceCell::new(),
        }
    }

    /// Returns the parents of a commit; `None` when they are not all known.
    pub(crate) fn parents(&self, number: usize) -> Option<Vec<ObjectId>> {
        let parents = self.parents_of(number)?.into_iter();
        Some(parents.map(|(id, _)| id).collect())
    }

    /// Returns the ref that a commit is for.
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

    fn children(&self, number: usize) -> &[usize] {
        let children = self.children.get_or_init(|| {
            let mut children = vec![Vec::new(); self.graph.nodes().len()];
            for number in 0..children.len() {
                for parent in self.numbers_of_parents(number) {
                    if let Some(children) = children.get_mut(parent) {
                        children.push(number);
                    }
                }
            }
            children
        });
        children.get(number).map_or(&[], Vec::as_slice)
    }

    /// Returns the parents of a commit, and whether each lies behind what was asked for; `None`
    /// when they are not all known.
    pub(crate) fn parents_of(&self, number: usize) -> Option<Vec<(ObjectId, bool)>> {
        let nodes = self.graph.nodes();
        let parents = nodes.get(number)?.parents.as_deref()?;
        let parent = |number: &u32| {
            let node = nodes.get(usize::try_from(*number).ok()?)?;
            Some((node.id, node.is_hidden))
        };
        parents.iter().map(parent).collect()
    }

    fn numbers_of_parents(&self, number: usize) -> impl Iterator<Item = usize> {
        let node = self.graph.nodes().get(number);
        let parents = node.and_then(|node| node.parents.as_deref());
        let parents = parents.unwrap_or_default().iter();
        parents.filter_map(|parent| usize::try_from(*parent).ok())
    }

    /// Returns the merges that brought a commit into a line that did not have it.
    fn merges_of(&self, commit: usize) -> Vec<usize> {
        let mut merges = Vec::new();
        let mut seen = HashSet::from([commit]);
        let mut pending = vec![commit];
        while let Some(number) = pending.pop() {
            for child in self.children(number) {
                if seen.insert(*child) {
                    pending.push(*child);
                }
                let first = self.numbers_of_parents(*child).next();
                let is_merged =
                    first.is_some_and(|line| line != number && !self.reaches(line, commit));
                if is_merged && merges.len() < MERGES_MAX && !merges.contains(child) {
                    merges.push(*child);
                }
            }
        }
        merges
    }

    fn reaches(&self, from: usize, wanted: usize) -> bool {
        let mut seen = HashSet::from([from]);
        let mut pending = vec![from];
        while let Some(number) = pending.pop() {
            if number == wanted {
                return true;
            }
            pending.extend(
                self.numbers_of_parents(number)
                    .filter(|it| seen.insert(*it)),
            );
        }
        false
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
    changes_policy: bool,
    footing: Option<Refusal>,
    changes: OnceCell<Result<Option<ChangedPaths>, Refusal>>,
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
            kinship: &AllParents,
            is_commit,
            changes_policy: false,
            footing: None,
            changes: OnceCell::new(),
        }
    }

    /// Says from which of its parents it goes on, who says that of others, and whether the policy
    /// changes.
    pub(crate) fn going_on(
        self,
        (parents, kinship): (Vec<ObjectId>, &'a dyn Kinship),
        changes_policy: bool,
    ) -> Self {
        Self {
            parents: Some(parents),
            kinship,
            changes_policy,
            ..self
        }
    }

    /// Says why it stands on nothing, if it does not.
    pub(crate) fn without_footing(self, footing: Option<Refusal>) -> Self {
        Self { footing, ..self }
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
        trees.changes(trees.of_commit(self.id)?, &parents, &bases)
    }
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

    fn changes(&self) -> Result<Option<Cow<'_, ChangedPaths>>, Refusal> {
        match self.changes.get_or_init(|| self.find_changes()) {
            Ok(changes) => Ok(changes.as_ref().map(Cow::Borrowed)),
            Err(refusal) => Err(refusal.clone()),
        }
    }

    fn changes_policy(&self) -> bool {
        self.changes_policy
    }

    fn can_be_stated(&self) -> bool {
        true
    }

    fn statements(&self) -> Result<Vec<Stated>, Refusal> {
        let Some(statements) = self.ground.statements else {
            return Ok(Vec::new());
        };
        let about = statements.about(&self.id.to_string());
        about.map_err(|detail| Refusal::new(Code::EvidenceMissing, detail))
    }

    fn mergers(&self) -> Vec<SignedBy> {
        let ground = self.ground;
        let Some(number) = ground.number_of(self.id) else {
            return Vec::new();
        };
        let signer = |merge: usize| {
            let id = ground.graph.nodes().get(merge)?.id;
            let (kind, raw) = ground.repository.read(id).ok()?;
            let found = Found {
                place: 0,
                id,
                content: Content::Raw(kind, raw),
                parents: ground.parents(merge)?,
            };
            let examined = verify::examine_alone(found, ground.repository.hash(), self.judge);
            // Two who may do little would do together what neither may.
            let may_vouch = !examined.is_narrow();
            may_vouch.then(|| self.judge.proven(&examined)).flatten()
        };
        let merges = ground.merges_of(number).into_iter();
        merges.filter_map(signer).collect()
    }
}
