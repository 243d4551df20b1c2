//! Taking what another repository has: the union of both trees.
//!
//! Names are digests, so that there is nothing to decide: what one side has and the other does not
//! is added. Only directories that differ are looked into.

use std::collections::{BTreeSet, HashMap};

use gix::ObjectId;

use super::{Entry, FileName, Next, Shelf, StoreError, add, blob, entries, tree_of};

/// What a merge did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Merged {
    /// Bundles that were new to us, in one place or several.
    pub added: BTreeSet<FileName>,
    /// Files that are no bundles, or not named by their content. They were left out.
    pub ignored: usize,
}

/// Finds where our ref has to go so that it has what both have, and is ahead of theirs.
pub(super) fn union(
    repository: &gix::Repository,
    shelf: Shelf,
    ours: Option<ObjectId>,
    theirs: ObjectId,
    merged: &mut Merged,
) -> Result<Option<Next>, StoreError> {
    if ours.is_some_and(|ours| is_ancestor(repository, theirs, ours)) {
        return Ok(None);
    }
    let base = ours.map_or(Ok(None), |tip| tree_of(repository, tip).map(Some))?;
    let depth = match shelf {
        Shelf::Commits | Shelf::Trees => 2,
        Shelf::Activities => 3,
    };
    let ignored_before = merged.ignored;
    let mut found = Found {
        repository,
        additions: Vec::new(),
        merged,
    };
    found.compare((base, tree_of(repository, theirs)?), "", depth)?;
    let Found { additions, .. } = found;
    let is_whole = merged.ignored == ignored_before;
    let is_behind = ours.is_none_or(|ours| is_ancestor(repository, ours, theirs));
    Ok(match (is_behind, is_whole) {
        // Nothing of theirs is to be left out: their commit is ours, and nobody has to merge it.
        (true, true) => Some(Next::Commit(theirs)),
        (true, false) if additions.is_empty() => None,
        (true | false, _) => {
            let tree = add(repository, base, additions)?;
            Some(Next::Tree(tree, Some(theirs)))
        }
    })
}

/// Tells whether `one` is `other` or comes before it. What cannot be found out is no.
pub(super) fn is_ancestor(repository: &gix::Repository, one: ObjectId, other: ObjectId) -> bool {
    one == other || {
        let base = repository.merge_base(one, other);
        base.is_ok_and(|base| base.is_some_and(|base| base == one))
    }
}

struct Found<'r> {
    repository: &'r gix::Repository,
    additions: Vec<(String, ObjectId)>,
    merged: &'r mut Merged,
}

impl Found<'_> {
    fn compare(
        &mut self,
        (ours, theirs): (Option<ObjectId>, ObjectId),
        path: &str,
        depth: usize,
    ) -> Result<(), StoreError> {
        if ours == Some(theirs) {
            return Ok(());
        }
        let known: HashMap<_, _> = match ours {
            Some(tree) => entries(self.repository, tree)?
                .into_iter()
                .map(|entry| (entry.name, entry.id))
                .collect(),
            None => HashMap::new(),
        };
        for entry in entries(self.repository, theirs)? {
            let ours = known.get(&entry.name).copied();
            if ours == Some(entry.id) {
                continue;
            }
            match str::from_utf8(&entry.name) {
                Ok(name) if depth > 0 && entry.mode.is_tree() && is_part(name) => {
                    let below = format!("{path}{name}/");
                    self.compare((ours, entry.id), &below, depth - 1)?;
                }
                // Under one name, ours stays: it was here before.
                Ok(name) if depth == 0 && entry.mode.is_blob() && ours.is_none() => {
                    match self.bundle(&entry) {
                        Some(file) => {
                            self.additions.push((format!("{path}{name}"), entry.id));
                            self.merged.added.insert(file);
                        }
                        None => self.merged.ignored += 1,
                    }
                }
                Ok(_) | Err(_) => self.merged.ignored += 1,
            }
        }
        Ok(())
    }

    /// Returns the name of a file that is a bundle: one which its content has.
    fn bundle(&self, entry: &Entry) -> Option<FileName> {
        let name = FileName::read(&entry.name)?;
        let content = blob(self.repository, entry.id).ok()?;
        (FileName::of(&content) == name).then_some(name)
    }
}

fn is_part(name: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(name.len(), 2 | 38 | 62) && name.bytes().all(is_hex)
}
