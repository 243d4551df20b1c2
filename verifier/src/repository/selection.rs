//! Which objects to judge.

use std::collections::HashSet;

use gix::ObjectId;

/// Where refs of tags are.
pub(super) const TAGS: &str = "refs/tags/";

/// Objects to judge: what some commits reach and others do not, and objects taken alone.
#[derive(Clone, Debug)]
pub struct Selection {
    pub(super) text: String,
    pub(super) tips: Vec<ObjectId>,
    pub(super) hidden: Vec<ObjectId>,
    pub(super) alone: Vec<ObjectId>,
    /// Those of them that only other tags lead to, and no ref by itself.
    pub(super) inner: HashSet<ObjectId>,
    is_range: bool,
    reference: Option<String>,
    /// Objects that were found by refs of tags, each with the ref.
    pub(super) named: Vec<(ObjectId, String)>,
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
    pub(super) fn found_by(mut self, tag: &str) -> Self {
        let alone = self.alone.iter().filter(|id| !self.inner.contains(*id));
        self.named.extend(alone.map(|id| (*id, tag.to_owned())));
        self
    }

    /// Takes tags alone, of which refs lead to some by themselves.
    pub(super) fn tags(text: String, tags: Vec<ObjectId>, direct: &HashSet<ObjectId>) -> Self {
        let inner = tags.iter().filter(|id| !direct.contains(*id));
        let inner = inner.copied().collect();
        let alone = Self::alone(text, tags);
        Self { inner, ..alone }
    }

    /// Returns the objects that were found by refs of tags, each with the full name of the ref.
    pub(crate) fn named(&self) -> &[(ObjectId, String)] {
        &self.named
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
    pub(crate) fn of(
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
    pub(crate) fn tips(&self) -> impl Iterator<Item = ObjectId> {
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
    pub(super) fn range(
        text: String,
        tips: impl IntoIterator<Item = ObjectId>,
        hidden: impl IntoIterator<Item = ObjectId>,
    ) -> Self {
        Self {
            is_range: true,
            ..Self::between(text, tips, hidden)
        }
    }

    pub(super) fn between(
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
