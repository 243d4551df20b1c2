//! Reading and writing the trees and files that statements are kept in.

use std::collections::{BTreeMap, HashSet};

use gix::{
    ObjectId,
    bstr::{BStr, BString},
    objs::{
        Tree,
        tree::{self, EntryKind, EntryMode},
    },
};
use notme_verifier::repository::is_over_limit;

use super::{FileName, StoreError, error::failed, writer::Writer};
use crate::bundle::BUNDLE_MAX;

/// A path, and the file that is to be there; none, when none is.
type Put<'p> = (&'p str, Option<ObjectId>);

/// Puts files into a tree, or takes them out. What else it holds stays, and is not looked at.
pub(super) fn change(
    repository: &Writer,
    base: Option<ObjectId>,
    changes: &[Put<'_>],
) -> Result<ObjectId, StoreError> {
    let mut entries: BTreeMap<BString, (EntryMode, ObjectId)> = BTreeMap::new();
    if let Some(base) = base {
        let old = self::entries(repository, base)?;
        entries.extend(old.into_iter().map(|it| (it.name.into(), (it.mode, it.id))));
    }
    let mut below: BTreeMap<&str, Vec<Put<'_>>> = BTreeMap::new();
    for (path, file) in changes {
        match (path.split_once('/'), file) {
            (Some((directory, rest)), _) => below.entry(directory).or_default().push((rest, *file)),
            (None, Some(id)) => {
                entries.insert((*path).into(), (EntryKind::Blob.into(), *id));
            }
            (None, None) => {
                entries.remove(BStr::new(path));
            }
        }
    }
    for (directory, files) in below {
        let old = entries.get(BStr::new(directory));
        let old = old.filter(|(mode, _)| mode.is_tree()).map(|(_, id)| *id);
        let new = change(repository, old, &files)?;
        match new == repository.empty_tree().id {
            true => entries.remove(BStr::new(directory)),
            false => entries.insert(directory.into(), (EntryKind::Tree.into(), new)),
        };
    }
    let mut tree = Tree::empty();
    tree.entries = entries
        .into_iter()
        .map(|(filename, (mode, oid))| tree::Entry {
            mode,
            filename,
            oid,
        })
        .collect();
    // git's order is another than that of names: a directory is as if it ended with a slash.
    tree.entries.sort();
    repository.write(&tree)
}

pub(super) fn tree_of(
    repository: &gix::Repository,
    commit: ObjectId,
) -> Result<ObjectId, StoreError> {
    let tree = tree_if_commit(repository, commit)?;
    tree.ok_or_else(|| StoreError::NoCommit(commit.to_string()))
}

/// Returns the tree of a commit; `None` for another object, as a ref that somebody moved may name
/// anything.
pub(super) fn tree_if_commit(
    repository: &gix::Repository,
    id: ObjectId,
) -> Result<Option<ObjectId>, StoreError> {
    let object = find_object(repository, id, "read what a ref names")?;
    let Ok(commit) = object.try_into_commit() else {
        return Ok(None);
    };
    let tree = commit.tree_id();
    let tree = tree.map_err(|_| StoreError::Malformed(id.to_string()))?;
    Ok(Some(tree.detach()))
}

/// Reads an object, unless it takes too much room.
fn find_object<'r>(
    repository: &'r gix::Repository,
    id: ObjectId,
    doing: &'static str,
) -> Result<gix::Object<'r>, StoreError> {
    repository
        .find_object(id)
        .map_err(|error| match is_over_limit(&error) {
            true => StoreError::Malformed(id.to_string()),
            false => failed(doing, error),
        })
}

/// Returns the bundles in a directory; what is named otherwise is passed over.
pub(super) fn files(
    repository: &gix::Repository,
    tree: ObjectId,
) -> Result<Vec<(FileName, ObjectId)>, StoreError> {
    Ok(entries(repository, tree)?
        .into_iter()
        .filter(|entry| entry.mode.is_blob())
        .filter_map(|entry| Some((FileName::read(&entry.name)?, entry.id)))
        .collect())
}

/// A line of a tree.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) mode: EntryMode,
    pub(super) id: ObjectId,
}

/// Lists a tree in which each name stands once: readers differ on others.
pub(super) fn entries(
    repository: &gix::Repository,
    id: ObjectId,
) -> Result<Vec<Entry>, StoreError> {
    let malformed = || StoreError::Malformed(id.to_string());
    let object = find_object(repository, id, "read a tree")?;
    let tree = object.try_into_tree().map_err(|_| malformed())?;
    let (mut entries, mut names) = (Vec::new(), HashSet::new());
    for entry in tree.iter() {
        let entry = entry.map_err(|_| malformed())?.inner;
        if !names.insert(entry.filename) {
            return Err(malformed());
        }
        entries.push(Entry {
            name: entry.filename.to_vec(),
            mode: entry.mode,
            id: entry.oid.to_owned(),
        });
    }
    Ok(entries)
}

/// Returns how long a file is: the limit comes before the reading.
pub(super) fn size(repository: &gix::Repository, id: ObjectId) -> Result<u64, StoreError> {
    let header = repository
        .find_header(id)
        .map_err(|error| failed("read a bundle", error))?;
    Ok(header.size())
}

/// Tells whether a file is no longer than a bundle may be.
pub(super) fn is_short(size: u64) -> bool {
    usize::try_from(size).is_ok_and(|size| size <= BUNDLE_MAX)
}

pub(super) fn read_blob(repository: &gix::Repository, id: ObjectId) -> Result<Vec<u8>, StoreError> {
    let mut found = repository
        .find_blob(id)
        .map_err(|error| failed("read a bundle", error))?;
    Ok(found.take_data())
}
