//! Which files differ between two trees.

use std::{cmp::Ordering, collections::HashSet};

use gix::{
    ObjectId,
    bstr::{BStr, BString},
    objs::{Find as _, TreeRefIter, tree::EntryMode},
};

use super::{
    Trees,
    objects::{Objects, TREE_MAX},
};

/// Deeper folders are not meant seriously.
const DEPTH_MAX: usize = 1024;
/// Nor are trees of more entries: a few objects that name each other can stand for as many as
/// there are atoms.
const ENTRIES_MAX: usize = 1_000_000;
/// How many entries are looked at for the sake of one file.
const ENTRIES_FOR_ONE: usize = 20_000;

/// What differs, in the order of the trees.
pub(crate) struct Changes {
    pub(crate) files: Vec<Change>,
    /// Submodules, and files with the same content that are something else: a link, or to be run.
    others: Vec<BString>,
    most: usize,
    /// How many entries may still be looked at.
    entries: usize,
}

/// What a commit changed against each of its parents.
#[derive(Default)]
pub(crate) struct Differences {
    /// `None` for a parent that cannot be read, or where the commit cannot.
    pub(super) from_parents: Vec<Option<Changes>>,
    /// What a commit without parents began with.
    beginning: Option<Changes>,
}

impl Differences {
    /// Compares a commit with its parents, as far as those are known.
    pub(crate) fn of(trees: &Trees, commit: ObjectId, parents: Option<&[ObjectId]>) -> Self {
        let tree = trees.of_commit(commit).ok();
        let changed = |parent: &ObjectId| {
            let old = trees.of_commit(*parent).ok()?;
            Changes::between(trees.objects(), Some(old), tree?)
        };
        let beginning = || Changes::between(trees.objects(), None, tree?);
        Self {
            from_parents: parents.unwrap_or_default().iter().map(changed).collect(),
            beginning: parents.filter(|it| it.is_empty()).and_then(|_| beginning()),
        }
    }

    /// Returns the files and submodules that the commit itself changed: that differ from each of its
    /// parents. `None` when they are not known.
    pub(crate) fn own(&self) -> Option<Vec<BString>> {
        let mut all = self.from_parents.iter();
        let Some(first) = all.next() else {
            return Some(self.beginning.as_ref()?.paths().cloned().collect());
        };
        let mut paths: Vec<_> = first.as_ref()?.paths().cloned().collect();
        for other in all {
            let theirs: HashSet<_> = other.as_ref()?.paths().collect();
            paths.retain(|path| theirs.contains(path));
        }
        Some(paths)
    }
}

/// A file that was added, altered or deleted. Links are files; submodules are none.
pub(crate) struct Change {
    pub(crate) path: BString,
    pub(crate) old: Option<ObjectId>,
    pub(crate) new: Option<ObjectId>,
}

/// An entry of a tree.
struct Entry {
    name: BString,
    mode: EntryMode,
    id: ObjectId,
}

impl Changes {
    /// Compares two trees. No old tree is an empty one. `None` when a tree cannot be read, or when
    /// there are too many.
    pub(crate) fn between(objects: &Objects, old: Option<ObjectId>, new: ObjectId) -> Option<Self> {
        Self::of(objects, (old, new), (usize::MAX, ENTRIES_MAX))
    }

    /// Finds the first file that differs.
    pub(crate) fn first(objects: &Objects, old: Option<ObjectId>, new: ObjectId) -> Option<Change> {
        let first = Self::of(objects, (old, new), (1, ENTRIES_FOR_ONE))?;
        first.files.into_iter().next()
    }

    fn of(
        objects: &Objects,
        (old, new): (Option<ObjectId>, ObjectId),
        (most, entries): (usize, usize),
    ) -> Option<Self> {
        let mut changes = Self {
            files: Vec::new(),
            others: Vec::new(),
            most,
            entries,
        };
        changes.compare(objects, &mut BString::default(), (old, Some(new)), 0)?;
        Some(changes)
    }

    fn paths(&self) -> impl Iterator<Item = &BString> {
        let files = self.files.iter().map(|change| &change.path);
        files.chain(&self.others)
    }

    fn compare(
        &mut self,
        objects: &Objects,
        path: &mut BString,
        (old, new): (Option<ObjectId>, Option<ObjectId>),
        depth: usize,
    ) -> Option<()> {
        if old == new {
            return Some(());
        }
        if depth > DEPTH_MAX {
            return None;
        }
        let mut old = entries(objects, old)?.into_iter().peekable();
        let mut new = entries(objects, new)?.into_iter().peekable();
        while self.files.len() < self.most {
            // A file and a folder of one name are sorted apart, so that they never meet here.
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.key().cmp(new.key()),
            };
            let old = (order != Ordering::Greater).then(|| old.next()).flatten();
            let new = (order != Ordering::Less).then(|| new.next()).flatten();
            self.entries = self.entries.checked_sub(1)?;
            self.entry(objects, path, (old, new), depth)?;
        }
        Some(())
    }

    fn entry(
        &mut self,
        objects: &Objects,
        path: &mut BString,
        (old, new): (Option<Entry>, Option<Entry>),
        depth: usize,
    ) -> Option<()> {
        let Some(any) = new.as_ref().or(old.as_ref()) else {
            return Some(());
        };
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&any.name);
        if any.mode.is_tree() {
            let id = |entry: Option<Entry>| entry.map(|entry| entry.id);
            self.compare(objects, path, (id(old), id(new)), depth + 1)?;
        } else {
            let is = |entry: &Option<Entry>| entry.as_ref().map(|it| (it.mode.kind(), it.id));
            let is_same = is(&old) == is(&new);
            let file = |entry: Option<Entry>| {
                let entry = entry.filter(|entry| entry.mode.is_blob_or_symlink());
                entry.map(|entry| entry.id)
            };
            let (old, new) = (file(old), file(new));
            if old != new {
                let path = path.clone();
                self.files.push(Change { path, old, new });
            } else if !is_same {
                self.others.push(path.clone());
            }
        }
        path.truncate(length);
        Some(())
    }
}

impl Entry {
    /// Folders are sorted as if their names ended in a slash.
    fn key(&self) -> impl Iterator<Item = u8> {
        let slash = self.mode.is_tree().then_some(b'/');
        self.name.iter().copied().chain(slash)
    }
}

/// Reads a tree; none is an empty one.
fn entries(objects: &Objects, tree: Option<ObjectId>) -> Option<Vec<Entry>> {
    let Some(tree) = tree else {
        return Some(Vec::new());
    };
    if objects.size(tree)? > TREE_MAX {
        return None;
    }
    let mut raw = Vec::new();
    let data = objects.try_find(&tree, &mut raw).ok()??;
    if data.kind != gix::objs::Kind::Tree {
        return None;
    }
    TreeRefIter::from_bytes(data.data, data.object_hash)
        .map(|entry| {
            let entry = entry.ok()?;
            let name: &BStr = entry.filename;
            Some(Entry {
                name: name.to_owned(),
                mode: entry.mode,
                id: entry.oid.to_owned(),
            })
        })
        .collect()
}
