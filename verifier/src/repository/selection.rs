//! Which objects to judge, and how a repository finds what somebody asks for.

use std::collections::HashSet;

use gix::{ObjectId, objs::Kind, revision::plumbing::Spec};

use super::{Repository, RepositoryError};

/// Where refs of tags are.
pub(super) const TAGS: &str = "refs/tags/";

/// Objects to judge: what some commits reach and others do not, and objects taken alone.
#[derive(Clone, Debug)]
pub struct Selection {
    text: String,
    pub(super) tips: Vec<ObjectId>,
    pub(super) hidden: Vec<ObjectId>,
    pub(super) alone: Vec<ObjectId>,
    /// Those of them that only other tags lead to, and no ref by itself.
    inner: HashSet<ObjectId>,
    is_range: bool,
    reference: Option<String>,
    /// Objects that were found by refs of tags, each with the ref.
    named: Vec<(ObjectId, String)>,
    main: Option<Main>,
}

/// The branch that others start from.
#[derive(Clone, Debug)]
pub struct Main {
    /// Its full name.
    pub name: String,
    /// Its commit.
    pub tip: ObjectId,
}

impl Selection {
    /// Adds what another selection names.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.text = format!("{} {}", self.text, other.text);
        self.tips.extend(other.tips);
        self.hidden.extend(other.hidden);
        self.alone.extend(other.alone);
        self.inner.extend(other.inner);
        self.named.extend(other.named);
        self.is_range &= other.is_range;
        self.reference = self
            .reference
            .filter(|it| other.reference.as_ref() == Some(it));
        self
    }

    /// Says for which ref the objects are, by its full name. What is taken alone is what it names.
    #[must_use]
    pub fn on(self, reference: Option<String>) -> Self {
        let named = match reference.as_ref().filter(|it| it.starts_with(TAGS)) {
            Some(tag) => self.found_by(tag),
            None => self,
        };
        Self { reference, ..named }
    }

    /// Says by which ref of a tag it was found. That is for what is taken alone, and nothing that it
    /// reaches: who may sign tags may not therefore sign commits.
    fn found_by(mut self, tag: &str) -> Self {
        let alone = self.alone.iter().filter(|id| !self.inner.contains(*id));
        self.named.extend(alone.map(|id| (*id, tag.to_owned())));
        self
    }

    /// Takes tags alone, of which refs lead to some by themselves.
    fn tags(text: String, tags: Vec<ObjectId>, direct: &HashSet<ObjectId>) -> Self {
        let inner = tags.iter().filter(|id| !direct.contains(*id));
        let inner = inner.copied().collect();
        let alone = Self::alone(text, tags);
        Self { inner, ..alone }
    }

    /// Returns the objects that were found by refs of tags, each with the full name of the ref.
    pub(crate) fn named(&self) -> &[(ObjectId, String)] {
        &self.named
    }

    /// Leaves out what some commits reach, too; those that are not here reach nothing.
    #[must_use]
    pub fn without(mut self, commits: impl IntoIterator<Item = ObjectId>) -> Self {
        self.hidden.extend(commits);
        self
    }

    /// Says which branch others start from: what it reaches is for it, and the repository's own
    /// policy that is in force there judges what comes beside it.
    #[must_use]
    pub fn beside(self, main: Option<Main>) -> Self {
        Self { main, ..self }
    }

    /// Returns the branch that others start from, if one is known.
    pub(crate) fn main(&self) -> Option<&Main> {
        self.main.as_ref()
    }

    /// Returns the full name of the ref that the objects are for, if that is known.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Selects what some commits reach and others do not, for nobody's eyes.
    pub fn of(
        tips: impl IntoIterator<Item = ObjectId>,
        hidden: impl IntoIterator<Item = ObjectId>,
    ) -> Self {
        Self::between(String::new(), tips, hidden)
    }

    /// Returns the selection in words of git, for the report.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the first object that it names: of a range, its end.
    pub fn first(&self) -> Option<ObjectId> {
        self.tips.first().or(self.alone.first()).copied()
    }

    /// Returns the objects that it names for themselves, and not to leave out.
    pub fn tips(&self) -> impl Iterator<Item = ObjectId> {
        self.tips.iter().chain(&self.alone).copied()
    }

    /// Returns the ends of what it names with all that they reach, and the objects that it names alone.
    pub(crate) fn ends_and_alone(&self) -> [Vec<ObjectId>; 2] {
        [&self.tips, &self.alone].map(Clone::clone)
    }

    /// Returns every object that it names, also those to leave out.
    pub(crate) fn ends(&self) -> impl Iterator<Item = ObjectId> {
        self.tips().chain(self.hidden.iter().copied())
    }

    /// Tells whether nothing to judge is an answer: somebody asked for what one commit has over
    /// another, and it has nothing.
    pub(crate) fn may_be_empty(&self) -> bool {
        self.is_range
    }

    /// Tells whether it names what not to go beyond.
    pub(crate) fn is_bounded(&self) -> bool {
        self.tips.is_empty() || !self.hidden.is_empty()
    }

    /// Tells whether it names a handful of objects, for which no threads are needed.
    pub(crate) fn is_small(&self) -> bool {
        self.tips.is_empty() && self.alone.len() <= 4
    }

    pub(crate) fn alone(text: String, ids: impl IntoIterator<Item = ObjectId>) -> Self {
        Self {
            text,
            tips: Vec::new(),
            hidden: Vec::new(),
            alone: ids.into_iter().collect(),
            is_range: false,
            reference: None,
            inner: HashSet::new(),
            named: Vec::new(),
            main: None,
        }
    }

    /// Selects a range that somebody wrote down; it may well hold nothing.
    fn range(
        text: String,
        tips: impl IntoIterator<Item = ObjectId>,
        hidden: impl IntoIterator<Item = ObjectId>,
    ) -> Self {
        Self {
            is_range: true,
            ..Self::between(text, tips, hidden)
        }
    }

    fn between(
        text: String,
        tips: impl IntoIterator<Item = ObjectId>,
        hidden: impl IntoIterator<Item = ObjectId>,
    ) -> Self {
        Self {
            text,
            tips: tips.into_iter().collect(),
            hidden: hidden.into_iter().collect(),
            alone: Vec::new(),
            is_range: false,
            reference: None,
            inner: HashSet::new(),
            named: Vec::new(),
            main: None,
        }
    }
}

impl Repository {
    /// Selects what HEAD has over its upstream; without an upstream, or with nothing over it,
    /// HEAD alone. So there is always something to judge.
    ///
    /// # Errors
    /// [`RepositoryError::Unborn`] when there is no commit yet, and [`RepositoryError`] when HEAD
    /// names none otherwise, or its upstream cannot be read.
    pub fn select_default(&self) -> Result<Selection, RepositoryError> {
        let head = self.resolve("HEAD")?;
        let selection = match self.upstream()? {
            Some((name, base)) if !self.is_behind(head, base) => {
                Selection::between(format!("{name}..HEAD"), [head], [base])
            }
            _ => Selection::alone("HEAD".to_owned(), [head]),
        };
        Ok(selection.on(self.reference_in("HEAD")))
    }

    /// Selects what a revision or range names: `REV` is that commit or tag alone, `A..B` and
    /// `A...B` are ranges, `REV^@` is what the parents reach, `REV^!` is `REV` alone.
    ///
    /// # Errors
    /// [`RepositoryError::Revision`] for text that names nothing, [`RepositoryError::Ambiguous`] for
    /// a name that may be several things, [`RepositoryError::Unborn`] for HEAD while there is no
    /// commit, [`RepositoryError::NotSignable`] for a path to a tree or a file,
    /// [`RepositoryError::Boundary`] and [`RepositoryError::Missing`] for text that leads to
    /// what is not here.
    pub fn select(&self, revision: &str) -> Result<Selection, RepositoryError> {
        if let Ok(id) = ObjectId::from_hex(revision.as_bytes()) {
            return Ok(Selection::alone(revision.to_owned(), [id]));
        }
        match self.select_spec(revision) {
            Err(RepositoryError::Missing(id)) => Err(self
                .boundary_in(revision)
                .unwrap_or(RepositoryError::Missing(id))),
            selected => Ok(match self.reference_in(revision) {
                Some(tag) if tag.starts_with(TAGS) => selected?.found_by(&tag),
                reference => selected?.on(reference),
            }),
        }
    }

    fn select_spec(&self, revision: &str) -> Result<Selection, RepositoryError> {
        let text = revision.to_owned();
        match self.resolve_spec(revision)? {
            Spec::Include(id) if self.objects.kind(id).is_none() => {
                // Judged, so that it is seen to be missing, unless there is more to say.
                let beyond = self.boundary_in(revision);
                beyond.map_or_else(|| Ok(Selection::alone(text, [id])), Err)
            }
            Spec::Include(id) => match self.objects.kind(id) {
                Some(Kind::Tree | Kind::Blob) => Err(RepositoryError::NotSignable(id)),
                Some(Kind::Commit | Kind::Tag) | None => Ok(Selection::alone(text, [id])),
            },
            Spec::ExcludeParents(id) => Ok(Selection::alone(text, [id])),
            Spec::IncludeOnlyParents(id) => {
                let commit = self.peel(id)?;
                Ok(Selection::range(text, self.parents(commit)?, []))
            }
            Spec::Range { from, to } => {
                Ok(Selection::range(text, [self.peel(to)?], [self.peel(from)?]))
            }
            Spec::Merge { theirs, ours } => {
                let tips = [self.peel(theirs)?, self.peel(ours)?];
                let [one, other] = tips;
                let bases = self.merge_bases(one, other)?;
                Ok(Selection::range(text, tips, bases))
            }
            Spec::Exclude(_) => Err(RepositoryError::Nothing(text)),
        }
    }

    /// Selects every commit that HEAD, that of a worktree, a branch, a remote-tracking branch or a tag
    /// reaches. Other refs hold what tools keep for themselves: stashes, notes, attestations.
    ///
    /// # Errors
    /// [`RepositoryError::References`] when refs cannot be read. Refs that lead to a tree or a file
    /// are passed over; what a ref leads to and is missing is selected, and is then undecided.
    pub fn select_all(&self) -> Result<Selection, RepositoryError> {
        let kinds = ["refs/heads/", "refs/remotes/", "refs/tags/"];
        let mut found = self.references("refs/")?;
        found.retain(|(name, _)| kinds.iter().any(|kind| name.starts_with(kind)));
        let mut targets: Vec<_> = found.into_iter().map(|(_, target)| target).collect();
        if let Some(head) = self.reference("HEAD")? {
            targets.extend(self.end_of(head)?.1);
        }
        let mut tips = Vec::new();
        for target in targets {
            match self.peel_any(target) {
                Ok(tip) => tips.extend(tip),
                Err(RepositoryError::Missing(id)) => tips.push(id),
                Err(error) => return Err(error),
            }
        }
        tips.extend(self.heads_of_worktrees()?);
        Ok(Selection::between("--all".to_owned(), tips, []))
    }

    /// Selects every annotated tag that a ref names, in the order of the names, and behind each the
    /// tags that it is a tag of. Lightweight tags are no objects of their own.
    ///
    /// # Errors
    /// [`RepositoryError::References`] when refs cannot be read.
    pub fn select_tags(&self) -> Result<Selection, RepositoryError> {
        let mut tags = Vec::new();
        let mut named = Vec::new();
        let mut seen = HashSet::new();
        for (name, target) in self.references(TAGS)? {
            tags.extend(self.tags_from(target).take_while(|tag| seen.insert(*tag)));
            named.push((target, name));
        }
        let direct: HashSet<_> = named.iter().map(|(target, _)| *target).collect();
        let mut selection = Selection::tags("--tags".to_owned(), tags, &direct);
        selection.named = named;
        Ok(selection)
    }

    /// Selects the commits that some objects reach and others do not, and every annotated tag on the
    /// way there: a tag of a tag leads to both. Hidden objects that are not here hide nothing.
    ///
    /// # Errors
    /// [`RepositoryError::NotSignable`] for an object that leads to no commit. One that is missing
    /// is selected, and is then undecided.
    pub fn select_reached(
        &self,
        text: &str,
        tips: &[ObjectId],
        hidden: &[ObjectId],
    ) -> Result<Selection, RepositoryError> {
        let mut commits = Vec::new();
        let mut tags = Vec::new();
        for tip in tips {
            match self.objects.kind(*tip) {
                Some(Kind::Tag) => {
                    commits.extend(self.peel_any(*tip)?);
                    tags.extend(self.tags_from(*tip));
                }
                Some(Kind::Commit) | None => commits.push(*tip),
                Some(Kind::Tree | Kind::Blob) => {
                    return Err(RepositoryError::NotSignable(*tip));
                }
            }
        }
        let hidden = hidden.iter().filter_map(|id| self.peel_any(*id).ok()?);
        let reached = Selection::range(text.to_owned(), commits, hidden);
        Ok(match tags.is_empty() {
            true => reached,
            false => {
                let direct = tips.iter().copied().collect();
                reached.and(Selection::tags("and tags".to_owned(), tags, &direct))
            }
        })
    }

    /// Selects objects by their names, each alone. A tag that is named by a ref is held to that name.
    ///
    /// # Errors
    /// [`RepositoryError::Revision`] for text that names nothing here.
    pub fn select_ids<'t>(
        &self,
        ids: impl IntoIterator<Item = &'t str>,
    ) -> Result<Selection, RepositoryError> {
        let mut selection = Selection::alone("-".to_owned(), []);
        for text in ids {
            let id = self.resolve(text)?;
            selection.alone.push(id);
            let reference = self.reference_in(text);
            if let Some(tag) = reference.filter(|it| it.starts_with(TAGS)) {
                selection.named.push((id, tag));
            }
        }
        Ok(selection)
    }

    /// Selects the newest commits that HEAD reaches, each by itself.
    ///
    /// # Errors
    /// [`RepositoryError::Unborn`] when there is none, and [`RepositoryError`] when HEAD names none
    /// otherwise.
    pub fn select_last(&self, count: usize) -> Result<Selection, RepositoryError> {
        let reached = Selection::of([self.head()?], []);
        let newest = self.walk(&reached)?.take(count).map(|found| found.id);
        let selection = Selection::alone(format!("the last {count} of HEAD"), newest);
        Ok(selection.on(self.reference_in("HEAD")))
    }
}
