//! Trees and files: what a commit changes, and the policy that it carries.

use std::collections::{BTreeMap, HashSet};

use gix::{
    ObjectId,
    objs::{CommitRefIter, Kind, TreeRefIter},
};

use super::{
    objects::{Got, Objects, ROOM_MAX, TREE_MAX},
    walk::OBJECT_MAX,
};
use crate::{
    policy::{POLICY_MAX, POLICY_PATH, TRUST_PATH},
    refusal::Refusal,
    verdict::Code,
};

/// The most entries, of all trees together, that are looked at to find what a commit changes. What is
/// beyond is not known.
const ENTRIES_MAX: usize = 1 << 21;
/// A name that is longer counts for several entries.
const SHORT_NAME: usize = 32;
/// The deepest tree.
const DEPTH_MAX: usize = 512;

/// Reads trees; each thread has its own.
#[derive(Clone, Debug)]
pub(crate) struct Trees {
    objects: Objects,
    hash: gix::hash::Kind,
}

/// What a tree has under a name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Entry {
    mode: u16,
    id: ObjectId,
}

/// What a tree holds of the repository's own rules.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    /// Who may do what.
    pub(crate) policy: Option<Entry>,
    /// Who is who.
    pub(crate) trust: Option<Entry>,
}

impl Entry {
    pub(super) fn is_tree(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// Tells whether it is a file, and neither a link nor a directory.
    pub(crate) fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Tells whether both are one thing, whether or not it may be run.
    fn is_same(&self, other: &Self) -> bool {
        self == other || (self.is_file() && other.is_file() && self.id == other.id)
    }

    /// Names a file.
    pub(crate) fn file(id: ObjectId) -> Self {
        let mode = 0o100_644;
        Self { mode, id }
    }

    /// Returns the id of what is there.
    pub(crate) fn id(&self) -> ObjectId {
        self.id
    }
}

/// The paths that a commit changes, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangedPaths {
    paths: Vec<String>,
}

impl ChangedPaths {
    /// Returns the paths; bytes that are no text are replaced.
    pub(crate) fn paths(&self) -> &[String] {
        &self.paths
    }
}

type Listing = BTreeMap<Vec<u8>, Entry>;

/// One path in each of the trees that are compared.
struct Place {
    path: Vec<u8>,
    depth: usize,
    child: Option<Entry>,
    parents: Vec<Option<Entry>>,
    /// `None` where it does not matter how the parents parted.
    bases: Option<Vec<Option<Entry>>>,
}

impl Place {
    /// Stands at the top of trees. Parents that are alike are one.
    fn top(tree: ObjectId, parents: &[ObjectId], bases: Option<&[ObjectId]>) -> Self {
        let root = |id: &ObjectId| {
            Some(Entry {
                mode: 0o040_000,
                id: *id,
            })
        };
        let mut seen = HashSet::new();
        let parents = parents.iter().filter(|id| seen.insert(**id));
        Self {
            path: Vec::new(),
            depth: 0,
            child: root(&tree),
            parents: parents.map(root).collect(),
            bases: bases.map(|bases| bases.iter().map(root).collect()),
        }
    }

    /// Tells whether the child is what the parents make of it.
    fn is_as_expected(&self) -> bool {
        expected(&self.parents, self.bases.as_deref()) == Some(self.child)
    }

    /// Returns the same place without the trees.
    fn of_leaves(&self) -> Self {
        let leaf = |entry: &Option<Entry>| entry.filter(|entry| !entry.is_tree());
        let leaves = |entries: &Vec<_>| entries.iter().map(leaf).collect();
        Self {
            path: self.path.clone(),
            depth: self.depth,
            child: leaf(&self.child),
            parents: leaves(&self.parents),
            bases: self.bases.as_ref().map(leaves),
        }
    }

    /// Tells whether another parent has something else there than the first.
    fn is_brought(&self) -> bool {
        let mut parents = self.parents.iter();
        let first = parents.next();
        parents.any(|other| Some(other) != first)
    }

    /// Returns the path; bytes that are no text are replaced.
    fn path(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// Tells whether it is one of some paths, which are in order, or above one.
    fn leads_to(&self, paths: &[String]) -> bool {
        let path = self.path();
        let below = format!("{path}/");
        let from = paths.partition_point(|it| *it < below);
        self.depth == 0
            || paths.binary_search(&path).is_ok()
            || paths.get(from).is_some_and(|it| it.starts_with(&below))
    }

    /// Returns how much it takes to hold it, in entries.
    fn width(&self) -> usize {
        let entries = self.parents.len() + self.bases.as_ref().map_or(0, Vec::len);
        weight(&self.path) + entries
    }
}

impl Trees {
    pub(super) fn new(objects: Objects, hash: gix::hash::Kind) -> Self {
        Self { objects, hash }
    }

    pub(super) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Returns the tree of a commit.
    pub(crate) fn of_commit(&self, id: ObjectId) -> Result<ObjectId, Refusal> {
        self.in_commit(id, &self.read(id, Kind::Commit)?)
    }

    /// Returns the tree that a commit's bytes name.
    pub(crate) fn in_commit(&self, id: ObjectId, raw: &[u8]) -> Result<ObjectId, Refusal> {
        let mut fields = CommitRefIter::from_bytes(raw, self.hash);
        fields.tree_id().map_err(|_| malformed(id))
    }

    /// Returns what a commit holds as policy.
    pub(crate) fn policy_of(&self, commit: ObjectId) -> Result<Option<Entry>, Refusal> {
        Ok(self.own_of(commit)?.policy)
    }

    /// Returns what a commit holds of the repository's own rules.
    pub(crate) fn own_of(&self, commit: ObjectId) -> Result<Own, Refusal> {
        self.own_in(self.of_commit(commit)?)
    }

    /// As [`Self::own_of`], of its tree.
    pub(crate) fn own_in(&self, tree: ObjectId) -> Result<Own, Refusal> {
        let [(directory, policy), (_, trust)] =
            [POLICY_PATH, TRUST_PATH].map(|path| path.split_once('/').unwrap_or_default());
        let directory = self.list(tree)?.remove(directory.as_bytes());
        let mut held = match directory {
            Some(directory) if directory.is_tree() => self.list(directory.id)?,
            Some(_) | None => Listing::new(),
        };
        Ok(Own {
            policy: held.remove(policy.as_bytes()),
            trust: held.remove(trust.as_bytes()),
        })
    }

    /// Reads a policy; the inner error says why it is none.
    pub(crate) fn text(&self, entry: Entry) -> Result<Result<String, String>, Refusal> {
        if !entry.is_file() {
            return Ok(Err("it is not a file".to_owned()));
        }
        Ok(match self.file(entry, POLICY_MAX)? {
            Some(bytes) => String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned()),
            None => Err("it is larger than 1 MiB".to_owned()),
        })
    }

    /// Finds the paths at which `tree` is not what its parents make it: that of the one parent;
    /// of several, what they agree on, or what the only one that changed it since the bases has.
    /// Parents without a base began with nothing.
    ///
    /// So a merge changes nothing by taking what one side changed, and does by leaving it out.
    pub(crate) fn changes(
        &self,
        tree: ObjectId,
        parents: &[ObjectId],
        bases: &[ObjectId],
    ) -> Result<ChangedPaths, Refusal> {
        let bases = matches!(parents, [_, _]).then_some(bases);
        let mut changes = ChangedPaths::default();
        let matters = |place: &Place| !place.is_as_expected();
        self.compare(Place::top(tree, parents, bases), matters, |place| {
            if !place.of_leaves().is_as_expected() {
                changes.paths.push(place.path());
            }
        })?;
        changes.paths.sort_unstable();
        Ok(changes)
    }

    /// Tells whether a merge leaves out, at one of some paths, what it brings: where another parent
    /// is not like the first, it is. The paths are in order.
    pub(crate) fn leaves_out(
        &self,
        merge: ObjectId,
        parents: &[ObjectId],
        paths: &[String],
    ) -> Result<bool, Refusal> {
        let mut leaves_out = false;
        let matters = |place: &Place| place.is_brought() && place.leads_to(paths);
        self.compare(Place::top(merge, parents, None), matters, |place| {
            let leaves = place.of_leaves();
            let is_like_first = leaves.parents.first() == Some(&leaves.child);
            let is_left_out = is_like_first && leaves.is_brought();
            leaves_out |= is_left_out && paths.binary_search(&place.path()).is_ok();
        })?;
        Ok(leaves_out)
    }

    /// Visits the places that matter, each before those below it.
    fn compare(
        &self,
        top: Place,
        matters: impl Fn(&Place) -> bool,
        mut visit: impl FnMut(&Place),
    ) -> Result<(), Refusal> {
        let mut room = ENTRIES_MAX;
        let mut pending: Vec<_> = Some(top).filter(&matters).into_iter().collect();
        while let Some(place) = pending.pop() {
            visit(&place);
            self.descend(&place, &matters, &mut room, &mut pending)?;
        }
        Ok(())
    }

    /// Finds the paths at which one tree has a file, or whatever else is no directory unless it is
    /// empty, that another does not have there, or not the same. What may run a file says nothing.
    pub(crate) fn beyond(
        &self,
        tree: ObjectId,
        other: Option<ObjectId>,
    ) -> Result<Vec<(String, Entry)>, Refusal> {
        let mut beyond = Vec::new();
        let mut pending = vec![(String::new(), tree, other, 0)];
        let mut seen = 0;
        while let Some((path, tree, other, depth)) = pending.pop() {
            if Some(tree) == other {
                continue;
            }
            let tree = self.list(tree)?;
            let other = other.map_or_else(|| Ok(Listing::new()), |other| self.list(other))?;
            seen += tree.len();
            if seen > ENTRIES_MAX || depth > DEPTH_MAX {
                let detail = "there is too much in it to compare";
                return Err(Refusal::new(Code::ObjectMalformed, detail));
            }
            for (name, entry) in tree {
                let there = other.get(&name);
                if there.is_some_and(|there| there.is_same(&entry)) {
                    continue;
                }
                let path = format!("{path}{}", String::from_utf8_lossy(&name));
                if entry.is_tree() && entry.id != ObjectId::empty_tree(self.hash) {
                    let there = there.filter(|there| there.is_tree()).map(Entry::id);
                    pending.push((format!("{path}/"), entry.id, there, depth + 1));
                } else {
                    beyond.push((path, entry));
                }
            }
        }
        Ok(beyond)
    }

    /// Returns how long something is; `None` when it is not there.
    pub(crate) fn size(&self, entry: Entry) -> Option<usize> {
        let size = self.objects.size(entry.id)?;
        Some(usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// Reads a file, unless it is longer than that.
    pub(crate) fn file(&self, entry: Entry, at_most: usize) -> Result<Option<Vec<u8>>, Refusal> {
        let is_too_long = self.size(entry).is_some_and(|size| size > at_most);
        match entry.is_file() && !is_too_long {
            true => self.read(entry.id, Kind::Blob).map(Some),
            false => Ok(None),
        }
    }

    fn descend(
        &self,
        place: &Place,
        matters: impl Fn(&Place) -> bool,
        room: &mut usize,
        pending: &mut Vec<Place>,
    ) -> Result<(), Refusal> {
        let mut list = |entry: &Option<Entry>| match entry {
            Some(entry) if entry.is_tree() => {
                let listing = self.list(entry.id)?;
                spend(room, listing.keys().map(|name| weight(name)).sum())?;
                Ok(listing)
            }
            Some(_) | None => Ok(Listing::new()),
        };
        let child = list(&place.child)?;
        let mut all = |entries: &[Option<Entry>]| {
            let listings = entries.iter().map(&mut list);
            listings.collect::<Result<Vec<_>, Refusal>>()
        };
        let parents = all(&place.parents)?;
        let bases = place.bases.as_deref().map(all).transpose()?;
        let others = parents.iter().chain(bases.iter().flatten());
        let names = [&child].into_iter().chain(others);
        let mut names: Vec<_> = names.flat_map(BTreeMap::keys).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let in_each = |listings: &Vec<Listing>| {
                let entries = listings.iter().map(|it| it.get(name).copied());
                entries.collect()
            };
            let mut path = place.path.clone();
            if place.depth > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let below = Place {
                path,
                depth: place.depth + 1,
                child: child.get(name).copied(),
                parents: in_each(&parents),
                bases: bases.as_ref().map(in_each),
            };
            if matters(&below) {
                spend(room, below.width())?;
                pending.push(below);
            }
        }
        match place.depth {
            ..DEPTH_MAX => Ok(()),
            _ => Err(too_much()),
        }
    }

    /// Lists a tree in which each name stands once, in git's order: readers differ on others, and find in
    /// them what is elsewhere not there.
    fn list(&self, id: ObjectId) -> Result<Listing, Refusal> {
        // git knows it without having it.
        if id == ObjectId::empty_tree(self.hash) {
            return Ok(Listing::new());
        }
        let raw = self.read(id, Kind::Tree)?;
        let mut listing = Listing::new();
        let mut last = None;
        for entry in TreeRefIter::from_bytes(&raw, self.hash) {
            let entry = entry.map_err(|_| no_tree(id))?;
            if last.replace(entry).is_some_and(|last| last >= entry) {
                return Err(no_tree(id));
            }
            let name: &[u8] = entry.filename;
            let known = Entry {
                mode: entry.mode.value(),
                id: entry.oid.to_owned(),
            };
            let is_bad = matches!(name, b"" | b"." | b"..") || name.contains(&b'/');
            if is_bad || listing.insert(name.to_vec(), known).is_some() {
                return Err(no_tree(id));
            }
        }
        Ok(listing)
    }

    fn read(&self, id: ObjectId, kind: Kind) -> Result<Vec<u8>, Refusal> {
        let most = match kind {
            Kind::Tree => TREE_MAX,
            Kind::Commit | Kind::Tag | Kind::Blob => OBJECT_MAX,
        };
        let too_large = |what: String| Err(Refusal::new(Code::ObjectTooLarge, what));
        if self.objects.size(id).is_some_and(|size| size > most) {
            return too_large(format!("{kind} {id} is longer than {most} bytes"));
        }
        let mut raw = Vec::new();
        match self.objects.get(&id, &mut raw) {
            Got::Object(found) if found == kind => Ok(raw),
            Got::Object(_) | Got::Damaged(_) => Err(malformed(id)),
            Got::TooLarge => too_large(format!(
                "{kind} {id} is packed as a change of something longer than {ROOM_MAX} bytes"
            )),
            Got::Missing => {
                let detail = format!("{kind} {id} is needed to decide");
                Err(Refusal::new(Code::ObjectMissing, detail))
            }
        }
    }
}

/// Returns what parents make of one place; `None` when each has something else to say.
fn expected(parents: &[Option<Entry>], bases: Option<&[Option<Entry>]>) -> Option<Option<Entry>> {
    let Some((first, others)) = parents.split_first() else {
        // Without parents there was nothing before.
        return Some(None);
    };
    if others.iter().all(|other| other == first) {
        return Some(*first);
    }
    let ([one, other], Some(bases)) = (parents, bases) else {
        return None;
    };
    let nothing = [None];
    let bases = if bases.is_empty() { &nothing } else { bases };
    let is_old = |entry: &Option<Entry>| bases.iter().all(|base| base == entry);
    match (is_old(one), is_old(other)) {
        (true, false) => Some(*other),
        (false, true) => Some(*one),
        (true, true) | (false, false) => None,
    }
}

/// Returns how many entries take as much room as one with such a name: names can be as long as trees.
fn weight(name: &[u8]) -> usize {
    1 + name.len() / SHORT_NAME
}

fn spend(room: &mut usize, count: usize) -> Result<(), Refusal> {
    *room = room.checked_sub(count).ok_or_else(too_much)?;
    Ok(())
}

fn too_much() -> Refusal {
    let detail = "its trees and those of its parents hold more than is looked at";
    Refusal::new(Code::ChangesUnknown, detail)
}

fn no_tree(id: ObjectId) -> Refusal {
    let detail = format!("tree {id} does not have each name once, in git's order");
    Refusal::new(Code::ObjectMalformed, detail)
}

fn malformed(id: ObjectId) -> Refusal {
    let detail = format!("object {id} is not what its name stands for");
    Refusal::new(Code::ObjectMalformed, detail)
}
