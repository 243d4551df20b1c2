//! What the shelves hold, as they were when somebody first looked.
//!
//! Whoever asks for each commit of a history asks for a place on two shelves each time. The refs, and the
//! trees above the places, are the same for all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gix::{ObjectId, objs::tree::EntryKind};

use super::{
    Contents, FILES_MAX, FileName, Place, Shelf, StoreError,
    objects::{Entry, entries, files, tree_if_commit},
    refs::tip,
};

/// So many lines of trees are kept: a hundred bytes each.
const LINES_MAX: usize = 1 << 18;

/// What was seen of the shelves.
#[derive(Debug, Default)]
pub(super) struct View(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Of all shelves, seen at once.
    tops: Option<HashMap<Shelf, ObjectId>>,
    /// By name, each.
    trees: HashMap<ObjectId, Arc<[Entry]>>,
    lines: usize,
}

impl View {
    /// Returns what a path leads to on a shelf; `None` when nothing is there.
    pub(super) fn at(
        &self,
        repository: &gix::Repository,
        shelf: Shelf,
        path: &str,
    ) -> Result<Option<Entry>, StoreError> {
        let top = self.top(repository, shelf)?;
        top.map_or(Ok(None), |top| self.below(repository, top, path))
    }

    /// Returns what a path leads to from a tree.
    pub(super) fn below(
        &self,
        repository: &gix::Repository,
        tree: ObjectId,
        path: &str,
    ) -> Result<Option<Entry>, StoreError> {
        let mut found = Entry {
            name: Vec::new(),
            mode: EntryKind::Tree.into(),
            id: tree,
        };
        for name in path.split('/') {
            if !found.mode.is_tree() {
                return Ok(None);
            }
            let lines = self.lines(repository, found.id)?;
            let line = lines.binary_search_by(|line| (*line.name).cmp(name.as_bytes()));
            match line.ok().and_then(|line| lines.get(line)) {
                Some(line) => found = line.clone(),
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// Returns the bundles in a place.
    pub(super) fn blobs(
        &self,
        repository: &gix::Repository,
        place: &Place,
    ) -> Result<Vec<(FileName, ObjectId)>, StoreError> {
        let found = self.at(repository, place.shelf, &place.directory())?;
        let Some(Contents(tree)) = found.and_then(Contents::of) else {
            return Ok(Vec::new());
        };
        let mut blobs = Vec::new();
        match place.shelf {
            Shelf::Commits | Shelf::Trees => blobs.extend(files(repository, tree)?),
            Shelf::Activities => {
                let fans = entries(repository, tree)?;
                for fan in fans.iter().filter(|entry| entry.mode.is_tree()) {
                    blobs.extend(files(repository, fan.id)?);
                    if blobs.len() > FILES_MAX {
                        break;
                    }
                }
            }
        }
        Ok(blobs)
    }

    /// Returns the tree of a shelf.
    fn top(
        &self,
        repository: &gix::Repository,
        shelf: Shelf,
    ) -> Result<Option<ObjectId>, StoreError> {
        let mut seen = self.seen();
        if let Some(tops) = &seen.tops {
            return Ok(tops.get(&shelf).copied());
        }
        let mut tops = HashMap::new();
        // Against the order in which refs move: what is kept with a commit is in its chain, whoever writes
        // meanwhile.
        for shelf in Shelf::ALL.into_iter().rev() {
            let tip = tip(repository, &shelf.reference())?;
            let top = tip.map_or(Ok(None), |tip| tree_if_commit(repository, tip))?;
            tops.extend(top.map(|top| (shelf, top)));
        }
        Ok(seen.tops.insert(tops).get(&shelf).copied())
    }

    fn lines(
        &self,
        repository: &gix::Repository,
        tree: ObjectId,
    ) -> Result<Arc<[Entry]>, StoreError> {
        if let Some(lines) = self.seen().trees.get(&tree) {
            return Ok(Arc::clone(lines));
        }
        let mut lines = entries(repository, tree)?;
        lines.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let lines: Arc<[Entry]> = lines.into();
        let mut seen = self.seen();
        if seen.lines + lines.len() <= LINES_MAX {
            seen.lines += lines.len();
            seen.trees.insert(tree, Arc::clone(&lines));
        }
        Ok(lines)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
