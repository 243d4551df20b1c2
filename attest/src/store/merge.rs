//! Taking what another repository has: the union of both trees.
//!
//! Names are digests, so that there is nothing to decide: what one side has and the other does not
//! is added. Only directories that differ are looked into.

use std::collections::{BTreeSet, HashMap};

use gix::ObjectId;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{FileName, Next, Shelf, StoreError, add, blob, entries, is_short, size, tree_of};
use crate::bundle::Bundle;

/// How many files are read, and their signatures checked on all cores, at a time.
const CHECKED_AT_ONCE: usize = 256;

/// What a merge did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Merged {
    /// Bundles that were new to us, in one place or several.
    pub added: BTreeSet<FileName>,
    /// Files that are no signed statements, or not named by their content. They were left out.
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
        new: Vec::new(),
        lacks_ours: false,
        ignored: 0,
    };
    found.compare((base, tree_of(repository, theirs)?), "", depth)?;
    let Found {
        new,
        lacks_ours,
        ignored,
        ..
    } = found;
    merged.ignored += ignored;
    let mut additions = Vec::new();
    for some in new.chunks(CHECKED_AT_ONCE) {
        for (file, path, id) in signed(repository, some) {
            match file {
                Some(file) => {
                    additions.push((path, id));
                    merged.added.insert(file);
                }
                None => merged.ignored += 1,
            }
        }
    }
    let is_whole = merged.ignored == ignored_before;
    let is_behind = ours.is_none_or(|ours| is_ancestor(repository, ours, theirs));
    Ok(match (is_behind && !lacks_ours, is_whole) {
        // Nothing of theirs is to be left out, and nothing of ours is gone there: their commit is
        // ours, and nobody has to merge it.
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
    /// Files that we do not have, and their paths.
    new: Vec<(FileName, String, ObjectId)>,
    /// Whether we have something that they do not.
    lacks_ours: bool,
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
        let mut known: HashMap<_, _> = match ours {
            Some(tree) => entries(self.repository, tree)?
                .into_iter()
                .map(|entry| (entry.name, (entry.mode, entry.id)))
                .collect(),
            None => HashMap::new(),
        };
        for entry in entries(self.repository, theirs)? {
            let ours = known.remove(&entry.name);
            if ours == Some((entry.mode, entry.id)) {
                continue;
            }
            let is_like_ours = ours.is_none_or(|(mode, _)| mode.is_tree());
            match str::from_utf8(&entry.name) {
                Ok(name) if depth > 0 && entry.mode.is_tree() && is_part(name) && is_like_ours => {
                    let below = format!("{path}{name}/");
                    let ours = ours.map(|(_, id)| id);
                    self.compare((ours, entry.id), &below, depth - 1)?;
                }
                // Under one name, ours stays: it was here before.
                Ok(name) if depth == 0 && entry.mode.is_blob() && ours.is_none() => {
                    match FileName::read(&entry.name) {
                        Some(file) => self.new.push((file, format!("{path}{name}"), entry.id)),
                        None => self.ignored += 1,
                    }
                }
                Ok(_) | Err(_) => {
                    self.lacks_ours |= ours.is_some();
                    self.ignored += 1;
                }
            }
        }
        self.lacks_ours |= !known.is_empty();
        Ok(())
    }
}

/// Tells of each file whether it is to be taken: named by its content, and a statement that the
/// key of its own certificate signed. What anybody may change or make up is not spread.
fn signed(
    repository: &gix::Repository,
    files: &[(FileName, String, ObjectId)],
) -> Vec<(Option<FileName>, String, ObjectId)> {
    let read: Vec<_> = files
        .iter()
        .map(|(file, path, id)| {
            let is_read = size(repository, *id).is_ok_and(is_short);
            let content = is_read.then(|| blob(repository, *id).ok()).flatten();
            (file, path, *id, content)
        })
        .collect();
    read.into_par_iter()
        .map(|(file, path, id, content)| {
            let is_good = content.is_some_and(|content| {
                let bundle = Bundle::from_json(&content);
                FileName::of(&content) == *file
                    && bundle.is_ok_and(|bundle| bundle.signed_statement().is_some())
            });
            (is_good.then(|| file.clone()), path.clone(), id)
        })
        .collect()
}

fn is_part(name: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(name.len(), 2 | 38 | 62) && name.bytes().all(is_hex)
}
