//! Taking what another repository has: the union of both trees.
//!
//! Names are digests, so that there is nothing to decide: what one side has and the other does not
//! is added. Only directories that differ are looked into.

use std::collections::HashMap;

use gix::ObjectId;

use super::{FileName, Next, Shelf, StoreError, add, blob, entries, tree_of};

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Merged {
    /// Bundles that were new to us.
    pub added: usize,
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
    let mut found = Found {
        repository,
        additions: Vec::new(),
        ignored: 0,
    };
    found.compare((base, tree_of(repository, theirs)?), "", depth)?;
    merged.added += found.additions.len();
    merged.ignored += found.ignored;
    let is_behind = ours.is_none_or(|ours| is_ancestor(repository, ours, theirs));
    Ok(match (is_behind, found.ignored) {
        // Nothing of theirs is to be left out: their commit is ours, and nobody has to merge it.
        (true, 0) => Some(Next::Commit(theirs)),
        (true, _) if found.additions.is_empty() => None,
        (true | false, _) => {
            let tree = add(repository, base, found.additions)?;
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
    ignored: usize,
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
                Ok(name)
                    if depth == 0
                        && entry.mode.is_blob()
                        && ours.is_none()
                        && self.is_bundle(&entry.name, entry.id) =>
                {
                    self.additions.push((format!("{path}{name}"), entry.id));
                }
                Ok(_) | Err(_) => self.ignored += 1,
            }
        }
        Ok(())
    }

    fn is_bundle(&self, name: &[u8], id: ObjectId) -> bool {
        let Some(name) = FileName::read(name) else {
            return false;
        };
        blob(self.repository, id).is_ok_and(|content| FileName::of(&content) == name)
    }
}

fn is_part(name: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(name.len(), 2 | 38 | 62) && name.bytes().all(is_hex)
}
