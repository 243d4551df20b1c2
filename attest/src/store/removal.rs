//! Taking files out again.
//!
//! Refs are added to otherwise. Where something is dropped they begin anew, on top of what remotes have
//! that lacks it, so that no history of ours holds it and nothing has to be forced upon a remote that
//! never had it. What was dropped is noted in the git directory, and not taken from a remote again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use gix::ObjectId;
use notme_core::time::UnixTime;
use serde::{Deserialize, Serialize};

use super::{
    FileName, Merged, Next, Shelf, Store, StoreError,
    error::failed,
    merge::is_ancestor,
    notes::{note_path, read, replace},
    objects::{change, entries, tree_if_commit, tree_of},
    refs::tip,
    view::View,
};

/// The list, in the directory that all worktrees share.
const LIST: &str = "dropped.jsonl";
/// How many directories stand above a file, at most.
const DEPTH_MAX: usize = 3;

/// Files, and beside those that are dropped for what they say, its digest.
pub type Files = BTreeMap<FileName, Option<String>>;

/// Where files are.
#[derive(Clone, Debug, Default)]
pub struct Found(BTreeMap<Shelf, Vec<String>>);

impl Found {
    /// Tells whether they are nowhere.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }

    /// Tells whether they are kept, and not with a commit.
    pub fn is_with_no_commit(&self) -> bool {
        !self.is_empty() && self.0.get(&Shelf::Commits).is_none_or(Vec::is_empty)
    }
}

/// A shelf that is not the same here and at a remote.
#[derive(Clone, Copy, Debug)]
pub struct Unlike {
    /// Which.
    pub shelf: Shelf,
    /// The commit that is here.
    pub ours: Option<ObjectId>,
    /// The commit that the remote had when it was merged.
    pub theirs: Option<ObjectId>,
}

/// What was dropped.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    pub(super) files: BTreeSet<FileName>,
    /// What is not to come back however it is carried, by `sha256:<hex>` of the payload.
    pub(super) digests: BTreeSet<String>,
}

/// A line of the list.
#[derive(Deserialize, Serialize)]
struct Line {
    file: String,
    /// The digest of the payload, when all that carries it was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    reason: String,
    at: UnixTime,
}

impl Store {
    /// Finds every place that files are kept in.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn find_files(&self, files: &Files) -> Result<Found, StoreError> {
        let repository = self.local();
        let mut found = Found::default();
        for shelf in Shelf::ALL {
            let paths = found.0.entry(shelf).or_default();
            let tip = tip(&repository, &shelf.reference())?;
            if let Some(tree) = tip.map_or(Ok(None), |tip| tree_if_commit(&repository, tip))? {
                find(&repository, tree, (files, DEPTH_MAX), "", paths)?;
            }
        }
        Ok(found)
    }

    /// Tells whether a remote has any of them, as was last seen.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn were_pushed(&self, found: &Found) -> Result<bool, StoreError> {
        let repository = self.local();
        for (shelf, paths) in &found.0 {
            for tip in tracked(&repository, *shelf)? {
                if holds(&repository, tip, paths)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Takes files out of all their places, and notes why. Where the digest of a payload stands beside a
    /// file, no other copy of what it says is taken from a remote again, either.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be noted, or the refs cannot be moved; they are then where they
    /// were.
    pub fn drop_files(&self, files: &Files, reason: &str, now: UnixTime) -> Result<(), StoreError> {
        // First, so that nothing comes back before it is known to be gone.
        self.note_dropped(files, reason, now)?;
        self.advance(now, |repository, shelf, ours| {
            let Some(ours) = ours else {
                return Ok(None);
            };
            let base = tree_of(repository, ours)?;
            let mut paths = Vec::new();
            find(repository, base, (files, DEPTH_MAX), "", &mut paths)?;
            if paths.is_empty() {
                return Ok(None);
            }
            let removals: Vec<_> = paths.iter().map(|path| (path.as_str(), None)).collect();
            let tree = change(repository, Some(base), &removals)?;
            let mut parents = tracked(repository, shelf)?;
            let mut error = None;
            parents.retain(|theirs| {
                let is_clean = holds(repository, *theirs, &paths).map(|holds| !holds);
                is_ancestor(repository, *theirs, ours)
                    && is_clean.unwrap_or_else(|it| {
                        error = Some(it);
                        false
                    })
            });
            error.map_or(Ok(Some(Next::Tree(tree, parents))), Err)
        })
    }

    /// Returns the shelves that a remote has otherwise, as of a merge: its tracking refs may have
    /// moved on since, by what nobody has taken.
    ///
    /// # Errors
    /// [`StoreError`] when the refs cannot be read.
    pub fn unlike(&self, merged: &Merged) -> Result<Vec<Unlike>, StoreError> {
        let repository = self.local();
        let mut unlike = Vec::new();
        for shelf in Shelf::ALL {
            let ours = tip(&repository, &shelf.reference())?;
            let theirs = merged.theirs.get(&shelf).copied();
            if ours != theirs {
                unlike.push(Unlike {
                    shelf,
                    ours,
                    theirs,
                });
            }
        }
        Ok(unlike)
    }

    /// Returns what was dropped here.
    pub(super) fn dropped(&self) -> Result<Dropped, StoreError> {
        let path = self.dropped_list();
        let text = read_if_there(&path).map_err(|error| failed("read what was dropped", error))?;
        let lines = serde_json::Deserializer::from_slice(&text).into_iter::<Line>();
        let mut dropped = Dropped::default();
        for line in lines {
            let line = line.map_err(|error| StoreError::Dropped(path.clone(), error))?;
            dropped.files.extend(FileName::read(line.file.as_bytes()));
            dropped.digests.extend(line.digest);
        }
        Ok(dropped)
    }

    fn note_dropped(&self, files: &Files, reason: &str, at: UnixTime) -> Result<(), StoreError> {
        let _only_one = self.lock()?;
        let known = self.dropped()?;
        let path = self.dropped_list();
        let write = || {
            let mut text = read_if_there(&path)?;
            let is_new = |(file, digest): &(&FileName, &Option<String>)| {
                let mut digest = digest.iter();
                !known.files.contains(*file) || digest.any(|it| !known.digests.contains(it))
            };
            for (file, digest) in files.iter().filter(is_new) {
                let line = Line {
                    file: file.to_string(),
                    digest: digest.clone(),
                    reason: reason.to_owned(),
                    at,
                };
                serde_json::to_writer(&mut text, &line)?;
                text.push(b'\n');
            }
            replace(&self.local(), &path, &text)
        };
        write().map_err(|error: io::Error| failed("note what is dropped", error))
    }

    fn dropped_list(&self) -> PathBuf {
        note_path(&self.local(), LIST)
    }
}

fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Finds the paths of files below a tree.
fn find(
    repository: &gix::Repository,
    tree: ObjectId,
    (files, depth): (&Files, usize),
    path: &str,
    found: &mut Vec<String>,
) -> Result<(), StoreError> {
    for entry in entries(repository, tree)? {
        let Ok(name) = str::from_utf8(&entry.name) else {
            continue;
        };
        let here = format!("{path}{name}");
        if entry.mode.is_tree() && depth > 0 {
            let below = format!("{here}/");
            find(repository, entry.id, (files, depth - 1), &below, found)?;
        } else if FileName::read(&entry.name).is_some_and(|name| files.contains_key(&name)) {
            found.push(here);
        }
    }
    Ok(())
}

/// Returns what the remotes had on a shelf when they were last asked.
fn tracked(repository: &gix::Repository, shelf: Shelf) -> Result<Vec<ObjectId>, StoreError> {
    let error = |error| failed("read the refs", error);
    let platform = repository.references().map_err(error)?;
    let all = platform
        .prefixed("refs/notme/attestations/")
        .map_err(error)?;
    let mut tips = Vec::new();
    for reference in all {
        let reference = reference.map_err(error)?;
        let name = reference.name().as_bstr().to_string();
        let is_meant = name.rsplit('/').next() == Some(shelf.as_str());
        tips.extend(reference.try_id().filter(|_| is_meant).map(gix::Id::detach));
    }
    Ok(tips)
}

/// Tells whether the tree of a commit has something at one of these paths.
fn holds(
    repository: &gix::Repository,
    commit: ObjectId,
    paths: &[String],
) -> Result<bool, StoreError> {
    let Some(tree) = tree_if_commit(repository, commit)? else {
        return Ok(false);
    };
    let view = View::default();
    for path in paths {
        match view.below(repository, tree, path) {
            Ok(None) => {}
            // What is below a malformed one is not known.
            Ok(Some(_)) | Err(StoreError::Malformed(_)) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
