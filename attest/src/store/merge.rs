//! Taking what another repository has: the union of both trees.
//!
//! Names are digests, so that there is nothing to decide: what one side has and the other does not
//! is added. Only directories that differ are looked into.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use gix::{ObjectId, objs::tree::EntryMode};
use notme_core::statement::Statement;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{
    FileName, Next, PART_MAX, Place, Shelf, StoreError,
    objects::{Entry, change, entries, is_short, read_blob, size, tree_if_commit, tree_of},
    removal::Dropped,
    writer::Writer,
};
use crate::{
    bundle::Bundle,
    origins::is_disclosed_in,
    predicate::{Predicate, Succession},
};

/// How many files are read, and looked at on all cores, at a time, at most.
const CHECKED_AT_ONCE: usize = 256;
/// How much longer than in our own form a file of somebody else's may be: others set it otherwise, and add
/// to it. More would fill a place, and cost nothing to send.
const PADDING_MAX: usize = 64 * 1024;
/// The most files and directories of theirs that are looked at: a tree of few bytes may hold one
/// other very often.
const ENTRIES_MAX: usize = 2_000_000;
/// How many of those are looked at that lie in a directory which has too many.
const ENTRIES_OF_HEAVY_MAX: usize = 100_000;

/// What a merge did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Merged {
    /// Bundles that were new to us, in one place or several.
    pub added: BTreeSet<FileName>,
    /// Files that are no signed statements, not named by their content, or in a place that is none of
    /// theirs. They were left out.
    pub ignored: usize,
    /// Shelves with directories of more files than anybody looks at: the first of them, and how many there
    /// are. They were left out.
    pub unlooked: BTreeMap<Shelf, (String, usize)>,
    /// Files that were dropped here, in one place or several. They were left out, too.
    pub dropped: BTreeSet<FileName>,
    /// Shelves whose history is not to be had from there, and why. What they hold was taken without it.
    pub unsound: BTreeMap<Shelf, String>,
    /// What the other side had, which is all that was looked at.
    pub theirs: BTreeMap<Shelf, ObjectId>,
}

impl Merged {
    /// Tells whether nothing was left out.
    pub fn is_whole(&self) -> bool {
        self.ignored == 0
            && self.unlooked.is_empty()
            && self.dropped.is_empty()
            && self.unsound.is_empty()
    }
}

/// What becomes of those of their directories that are one too many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Excess {
    /// Nothing is taken: among them may be what counts.
    Refused,
    /// The rest is taken.
    LeftOut,
}

/// Finds where our ref has to go so that it has what both have, and is ahead of theirs.
pub(super) fn union(
    repository: &Writer,
    shelf: Shelf,
    (ours, theirs): (Option<ObjectId>, ObjectId),
    (dropped, excess): (&Dropped, Excess),
    check: impl Fn(ObjectId, Option<ObjectId>) -> Result<(), String>,
    merged: &mut Merged,
) -> Result<Option<Next>, StoreError> {
    if ours.is_some_and(|ours| is_ancestor(repository, theirs, ours)) {
        return Ok(None);
    }
    let base = ours.map_or(Ok(None), |tip| tree_of(repository, tip).map(Some))?;
    let (ignored_before, mut has_dropped) = (merged.ignored, false);
    let Some(their_tree) = if_well_formed(tree_of(repository, theirs))? else {
        merged.ignored += 1;
        return Ok(None);
    };
    let Found {
        mut new,
        lacks_ours,
        ignored,
        unlooked,
        ..
    } = Found::up_to(excess, repository, shelf, (base, their_tree))?;
    merged.ignored += ignored;
    let is_looked_at = unlooked.is_none();
    merged.unlooked.extend(unlooked.map(|it| (shelf, it)));
    for (file, ..) in new.extract_if(.., |(file, ..)| dropped.files.contains(file)) {
        merged.dropped.insert(file);
        has_dropped = true;
    }
    // What anybody may change or make up is not spread: it takes a statement that the key of its own
    // certificate signed.
    let paths = paths_of(&new);
    let good = sift(repository, &new, |content| {
        Signed::read_at(content, shelf, &paths)
    });
    let mut additions = Vec::new();
    for (file, path, id) in new {
        match good.get(&id) {
            Some(signed) if dropped.digests.contains(&signed.digest) => {
                merged.dropped.insert(file);
                has_dropped = true;
            }
            Some(signed) if signed.belongs_at(shelf, &path) => {
                additions.push((path, id));
                merged.added.insert(file);
            }
            Some(_) | None => merged.ignored += 1,
        }
    }
    let mut is_whole = merged.ignored == ignored_before && is_looked_at && !has_dropped;
    if is_whole && let Err(problem) = check(theirs, ours) {
        // A fetch checks only what it transfers itself, and this may have come as a branch.
        is_whole = false;
        merged.unsound.insert(shelf, problem);
    }
    let is_behind = ours.is_none_or(|ours| is_ancestor(repository, ours, theirs));
    if is_whole && is_behind && !lacks_ours {
        // Nothing of theirs is to be left out, and nothing of ours is gone there: their commit is
        // ours, and nobody has to merge it.
        return Ok(Some(Next::Commit(theirs)));
    }
    if !is_whole && additions.is_empty() {
        return Ok(None);
    }
    // What is left out is not to spread by way of their history.
    let merged = Some(theirs).filter(|_| is_whole);
    let additions: Vec<_> = additions
        .iter()
        .map(|(path, id): &(String, _)| (path.as_str(), Some(*id)))
        .collect();
    let tree = change(repository, base, &additions)?;
    let parents = ours.into_iter().chain(merged).collect();
    Ok(Some(Next::Tree(tree, parents)))
}

/// What a statement says of commits.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Those that it is about.
    pub commits: Vec<String>,
    /// Which took the place of which.
    pub succeeds: Vec<Succession>,
}

impl About {
    fn read(content: &[u8]) -> Option<Self> {
        let bundle = Bundle::from_json(content).ok()?;
        let statement = Statement::parse(bundle.envelope().payload()).ok()?;
        Some(Self {
            commits: statement.digests("gitCommit").map(str::to_owned).collect(),
            succeeds: match Predicate::read(&statement) {
                Ok(Predicate::Activity(record)) => record.succeeds,
                Ok(_) | Err(_) => Vec::new(),
            },
        })
    }
}

/// Returns what files say of commits, each once.
pub(super) fn about(
    repository: &gix::Repository,
    files: &[(FileName, String, ObjectId)],
) -> Vec<About> {
    sift(repository, files, About::read).into_values().collect()
}

/// Finds the files that are new to a remote, with their paths.
pub(super) fn new_to(
    repository: &gix::Repository,
    shelf: Shelf,
    (theirs, ours): (Option<ObjectId>, ObjectId),
) -> Result<Vec<(FileName, String, ObjectId)>, StoreError> {
    let theirs = theirs.map_or(Ok(None), |tip| tree_if_commit(repository, tip));
    let theirs = if_well_formed(theirs)?.flatten();
    let ours = tree_of(repository, ours)?;
    Ok(Found::of(repository, shelf, (theirs, ours))?.new)
}

/// Finds the files among those of a shelf that nobody may take; with their paths, and whether they list
/// origins.
pub(super) fn unfit(
    repository: &gix::Repository,
    shelf: Shelf,
    new: Vec<(FileName, String, ObjectId)>,
) -> Vec<(FileName, String, bool)> {
    let paths = paths_of(&new);
    let read = sift(repository, &new, |content| {
        let discloses = || !is_public(Bundle::from_json(content).ok().as_ref(), content);
        Some(Signed::read_at(content, shelf, &paths).ok_or_else(discloses))
    });
    let unfit = new.into_iter().filter_map(|(file, path, id)| {
        let discloses = match read.get(&id) {
            Some(Ok(signed)) if signed.belongs_at(shelf, &path) => return None,
            Some(Err(discloses)) => *discloses,
            Some(Ok(_)) | None => false,
        };
        Some((file, path, discloses))
    });
    unfit.collect()
}

/// Finds the files of a shelf, with their paths.
pub(super) fn files_of(
    repository: &gix::Repository,
    shelf: Shelf,
    tip: ObjectId,
) -> Result<Vec<(FileName, String, ObjectId)>, StoreError> {
    match tree_if_commit(repository, tip)? {
        Some(tree) => Ok(Found::of(repository, shelf, (None, tree))?.new),
        None => Ok(Vec::new()),
    }
}

/// Returns the paths of the statements that name a tree.
pub(super) fn naming_trees(
    repository: &gix::Repository,
    files: Vec<(FileName, String, ObjectId)>,
) -> Vec<String> {
    let named = sift(repository, &files, |content| {
        let mut paths = Signed::read(content)?.paths.into_iter();
        paths.find(|(shelf, _)| *shelf == Shelf::Trees)
    });
    let named = files.into_iter().filter(|(.., id)| named.contains_key(id));
    named.map(|(_, path, _)| path).collect()
}

/// Tells whether something is gone that a shelf had, but for what was dropped.
pub(super) fn is_lost(
    repository: &gix::Repository,
    shelf: Shelf,
    (now, was): (Option<ObjectId>, ObjectId),
    dropped: &Dropped,
) -> Result<bool, StoreError> {
    if now.is_some_and(|now| is_ancestor(repository, was, now)) {
        return Ok(false);
    }
    let now = now.map_or(Ok(None), |tip| tree_if_commit(repository, tip))?;
    let was = tree_of(repository, was)?;
    let Found { new, ignored, .. } = Found::of(repository, shelf, (now, was))?;
    let mut files = new.iter().map(|(file, ..)| file);
    Ok(ignored > 0 || files.any(|file| !dropped.files.contains(file)))
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
    /// The first directory that was left out unlooked, and how many were.
    unlooked: Option<(String, usize)>,
    /// How many entries may still be looked at.
    left: usize,
    /// How many of those in directories that have too many.
    left_of_heavy: usize,
    /// How many entries a tree has, all below it counted as often as they are there.
    weights: HashMap<(ObjectId, usize), usize>,
    shelf: Shelf,
    excess: Excess,
}

/// Whether what is new in a directory was counted before it is looked at.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Counted {
    Yes,
    No,
    /// It was, and is too much.
    Heavy,
}

impl<'r> Found<'r> {
    /// Finds what the second tree has that the first has not.
    fn of(
        repository: &'r gix::Repository,
        shelf: Shelf,
        trees: (Option<ObjectId>, ObjectId),
    ) -> Result<Self, StoreError> {
        Self::up_to(Excess::Refused, repository, shelf, trees)
    }

    fn up_to(
        excess: Excess,
        repository: &'r gix::Repository,
        shelf: Shelf,
        trees: (Option<ObjectId>, ObjectId),
    ) -> Result<Self, StoreError> {
        // The lengths of the names of directories, one below the other.
        let parts: &[&[usize]] = match shelf {
            Shelf::Commits | Shelf::Trees => &[&[2], &[38, 62]],
            Shelf::Activities => &[&[2], &[62], &[2]],
        };
        let mut found = Self {
            repository,
            new: Vec::new(),
            lacks_ours: false,
            ignored: 0,
            unlooked: None,
            left: ENTRIES_MAX,
            left_of_heavy: ENTRIES_OF_HEAVY_MAX,
            weights: HashMap::new(),
            shelf,
            excess,
        };
        found.compare(trees, "", parts, Counted::No)?;
        Ok(found)
    }

    /// Counts what is new to us before it is looked at, and looks at it.
    fn look_at(
        &mut self,
        tree: ObjectId,
        path: &str,
        parts: &[&[usize]],
        above: Counted,
    ) -> Result<(), StoreError> {
        let weight = self.weight(tree, parts.len())?;
        let left = match above {
            Counted::Heavy => &mut self.left_of_heavy,
            Counted::Yes | Counted::No => &mut self.left,
        };
        match left.checked_sub(weight) {
            Some(rest) => *left = rest,
            None if self.excess == Excess::Refused => {
                return Err(StoreError::TooMany(self.shelf.reference()));
            }
            // What others have put beside it is no reason to leave it out.
            None if !parts.is_empty() => {
                return self.compare((None, tree), path, parts, Counted::Heavy);
            }
            None => {
                let (_, count) = self.unlooked.get_or_insert_with(|| (path.to_owned(), 0));
                *count += 1;
                return Ok(());
            }
        }
        self.compare((None, tree), path, parts, Counted::Yes)
    }

    fn weight(&mut self, tree: ObjectId, depth: usize) -> Result<usize, StoreError> {
        if let Some(known) = self.weights.get(&(tree, depth)) {
            return Ok(*known);
        }
        let mut weight: usize = 0;
        for entry in if_well_formed(entries(self.repository, tree))?.unwrap_or_default() {
            weight = weight.saturating_add(1);
            if depth > 0 && entry.mode.is_tree() {
                weight = weight.saturating_add(self.weight(entry.id, depth - 1)?);
            }
        }
        self.weights.insert((tree, depth), weight);
        Ok(weight)
    }

    fn compare(
        &mut self,
        (ours, theirs): (Option<ObjectId>, ObjectId),
        path: &str,
        parts: &[&[usize]],
        counted: Counted,
    ) -> Result<(), StoreError> {
        if ours == Some(theirs) {
            return Ok(());
        }
        let Some(mut theirs) = if_well_formed(entries(self.repository, theirs))? else {
            self.lacks_ours |= ours.is_some();
            self.ignored += 1;
            return Ok(());
        };
        // Nothing is known of what is malformed here.
        let ours = ours.map_or(Ok(None), |it| if_well_formed(entries(self.repository, it)))?;
        let ours = ours.unwrap_or_default().into_iter();
        let mut known: HashMap<_, _> = ours
            .map(|entry| (entry.name, (entry.mode, entry.id)))
            .collect();
        if counted == Counted::Heavy {
            // Whoever fills a directory leaves out their own.
            let below = parts.len().saturating_sub(1);
            let weigh = |entry: Entry| match entry.mode.is_tree() {
                true => Ok((self.weight(entry.id, below)?, entry)),
                false => Ok((0, entry)),
            };
            let mut weighed = theirs
                .into_iter()
                .map(weigh)
                .collect::<Result<Vec<_>, _>>()?;
            weighed.sort_by_key(|(weight, _)| *weight);
            theirs = weighed.into_iter().map(|(_, entry)| entry).collect();
        }
        for entry in theirs {
            let ours = known.remove(&entry.name);
            // Whether a file may be run says nothing.
            let is_same =
                |mode: EntryMode| mode == entry.mode || (mode.is_blob() && entry.mode.is_blob());
            if ours.is_some_and(|(mode, id)| id == entry.id && is_same(mode)) {
                continue;
            }
            let is_like_ours = ours.is_none_or(|(mode, _)| mode.is_tree());
            match (str::from_utf8(&entry.name), parts.split_first()) {
                (Ok(name), Some((lengths, parts)))
                    if entry.mode.is_tree() && is_part(name, lengths) && is_like_ours =>
                {
                    let below = format!("{path}{name}/");
                    match (ours, counted) {
                        (None, Counted::No | Counted::Heavy) => {
                            self.look_at(entry.id, &below, parts, counted)?;
                        }
                        // What is in something new was counted with it.
                        (ours, counted) => {
                            let ours = ours.map(|(_, id)| id);
                            self.compare((ours, entry.id), &below, parts, counted)?;
                        }
                    }
                }
                // Under one name, ours stays: it was here before.
                (Ok(name), None) if entry.mode.is_blob() && ours.is_none() => {
                    match FileName::read(&entry.name) {
                        Some(file) => self.new.push((file, format!("{path}{name}"), entry.id)),
                        None => self.ignored += 1,
                    }
                }
                (Ok(_) | Err(_), _) => {
                    self.lacks_ours |= ours.is_some();
                    self.ignored += 1;
                }
            }
        }
        self.lacks_ours |= !known.is_empty();
        Ok(())
    }
}

fn paths_of(files: &[(FileName, String, ObjectId)]) -> HashSet<&str> {
    files.iter().map(|(_, path, _)| path.as_str()).collect()
}

/// Looks at the content of files, on all cores, and returns what was found.
fn sift<T: Send>(
    repository: &gix::Repository,
    new: &[(FileName, String, ObjectId)],
    look: impl Fn(&[u8]) -> Option<T> + Sync,
) -> HashMap<ObjectId, T> {
    let mut blobs: Vec<_> = new.iter().map(|(.., id)| *id).collect();
    blobs.sort_unstable();
    blobs.dedup();
    let mut found = HashMap::new();
    let mut look_at = |part: &mut Vec<(ObjectId, Vec<u8>)>| {
        let looked = std::mem::take(part).into_par_iter();
        let looked = looked.filter_map(|(id, content)| Some((id, look(&content)?)));
        found.extend(looked.collect::<Vec<_>>());
    };
    let (mut part, mut room) = (Vec::new(), PART_MAX);
    for id in blobs {
        let Some(size) = size(repository, id).ok().filter(|size| is_short(*size)) else {
            continue;
        };
        if part.len() >= CHECKED_AT_ONCE || room < size {
            look_at(&mut part);
            room = PART_MAX;
        }
        if let Ok(content) = read_blob(repository, id) {
            part.push((id, content));
            room = room.saturating_sub(size);
        }
    }
    look_at(&mut part);
    found
}

/// Tells whether neither what a file says nor what stands beside it lists origins.
pub(super) fn is_public(bundle: Option<&Bundle>, content: &[u8]) -> bool {
    let payload = bundle.map(|it| it.envelope().payload());
    !payload.is_some_and(is_disclosed_in) && !is_disclosed_in(content)
}

/// A file that may be taken: a statement that the key of its own certificate signed, that lists no origins
/// and has little beside it. What anybody may change or make up is not spread.
#[derive(Debug)]
pub struct Signed {
    /// `sha256:<hex>` of the payload.
    digest: String,
    /// Where it is to lie: a statement may name thousands of commits, so that this is found out once.
    paths: HashSet<(Shelf, String)>,
}

impl Signed {
    /// Reads somebody else's file; `None` when it may not be taken.
    pub fn read(content: &[u8]) -> Option<Self> {
        let bundle = Bundle::from_json(content).ok()?;
        let statement = bundle.signed_statement()?;
        let is_padded = content.len() > bundle.to_json().ok()?.len() + PADDING_MAX;
        let name = FileName::of(content);
        let path = |place: Place| (place.shelf, place.path(&name));
        (!is_padded && is_public(Some(&bundle), content)).then(|| Self {
            digest: bundle.payload_digest(),
            paths: Place::of(&statement).into_iter().map(path).collect(),
        })
    }

    /// Reads one of many, and keeps in mind no other paths than those of a shelf that are asked about.
    fn read_at(content: &[u8], shelf: Shelf, paths: &HashSet<&str>) -> Option<Self> {
        let mut signed = Self::read(content)?;
        let is_asked = |(at, path): &(Shelf, String)| *at == shelf && paths.contains(path.as_str());
        signed.paths.retain(is_asked);
        signed.paths.shrink_to_fit();
        Some(signed)
    }

    /// Tells whether it is named by its content, in a place that it names itself.
    pub fn belongs_at(&self, shelf: Shelf, path: &str) -> bool {
        self.paths.contains(&(shelf, path.to_owned()))
    }
}

/// Returns what was read; `None` of what is malformed, which is no reason to read nothing else.
fn if_well_formed<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Malformed(_)) => Ok(None),
        read => read.map(Some),
    }
}

fn is_part(name: &str, lengths: &[usize]) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    lengths.contains(&name.len()) && name.bytes().all(is_hex)
}
