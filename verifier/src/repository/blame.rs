//! Which commit each line comes from, for all files at once.
//!
//! As git does it: what a commit's file has in common with a parent's is the parent's, and what is
//! left is the commit's own. git goes back once for each file; here every commit is compared with
//! its parents once, whatever the number of files, and nothing is looked at that does not lie
//! between the tip and a commit that somebody asks about. Which files a commit changed is found out
//! before, by all threads, for as many commits as memory is cheap.

use std::{
    cmp::Ordering,
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
};

use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice as _},
    objs::{Find as _, Kind},
};
use imara_diff::{Algorithm, Diff, Hunk, InternedInput, Token, sources::byte_lines};

use super::{
    Graph, Repository,
    changes::{Change, Changes, Differences},
};
use crate::{judge::Stopper, order::index};

/// Longer files are not read.
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// Among how many deleted files the old name of one is looked for, as in git. One with the same
/// content is found among any.
const RENAMES_MAX: usize = 1000;
/// How many different lines of deleted files are kept, for one commit.
const KEPT_MAX: usize = 1 << 22;
/// How many steps the way from one version of a file to the next may have: some thousand lines in
/// other places, which are compared in less than a second.
const WAY_MAX: u64 = 1 << 25;
/// How many steps are taken in all, beside those of reading what changed.
const STEPS_MAX: u64 = 1 << 34;

/// A file at the tip, and those of its lines that come from the commits asked about.
pub(crate) struct Blamed {
    pub(crate) path: BString,
    pub(crate) lines: Vec<Lines>,
    /// Whether all of it was looked at.
    pub(crate) is_complete: bool,
}

/// Neighbouring lines of one commit.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    /// The first, from 0.
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) commit: ObjectId,
}

/// Lines whose commit is looked for.
#[derive(Clone, Copy)]
struct Piece {
    /// The number of the file at the tip.
    file: usize,
    /// The first line there.
    first: u32,
    /// The first line in the version at hand.
    at: u32,
    /// How many; all that there are when nobody looked yet.
    count: u32,
}

const ALL: u32 = u32::MAX;

/// A version of a file, and which of its lines are looked for.
struct Version {
    content: ObjectId,
    pieces: Vec<Piece>,
}

/// What is looked for in a commit.
type Versions = HashMap<BString, Version>;

/// What there is to ask about.
pub(crate) struct Asked<'a> {
    pub(crate) graph: &'a Graph,
    /// Which nodes are asked about.
    pub(crate) wanted: &'a [bool],
    /// Which nodes are, or come after, one that is asked about.
    pub(crate) reaches: &'a [bool],
    pub(crate) stopper: &'a Stopper,
}

impl Repository {
    /// Begins to find the lines at a node that come from the commits asked about; `None` when the
    /// tip cannot be read.
    pub(crate) fn blame<'a>(&'a self, asked: &'a Asked<'a>, tip: usize) -> Option<Blame<'a>> {
        let tree = self.tree(asked.graph.nodes().get(tip)?.id)?;
        let mut blame = Blame {
            repository: self,
            asked,
            files: Vec::new(),
            waiting: HashMap::new(),
            left: STEPS_MAX,
            hasher: RandomState::new(),
        };
        let mut versions = Versions::new();
        for file in Changes::between(&self.objects, None, tree)?.files {
            let Some(content) = file.new else { continue };
            let piece = Piece {
                file: blame.files.len(),
                first: 0,
                at: 0,
                count: ALL,
            };
            blame.files.push(Blamed {
                path: file.path.clone(),
                lines: Vec::new(),
                is_complete: true,
            });
            let pieces = vec![piece];
            versions.insert(file.path, Version { content, pieces });
        }
        blame.hand_to(tip, versions);
        Some(blame)
    }

    /// Reads a file; `None` when it is missing or too long.
    fn content(&self, id: ObjectId) -> Option<Vec<u8>> {
        if self.objects.size(id)? > FILE_MAX {
            return None;
        }
        let mut raw = Vec::new();
        let data = self.objects.try_find(&id, &mut raw).ok()??;
        (data.kind == Kind::Blob).then_some(raw)
    }
}

/// Files whose lines are on the way back to the commits that they come from.
pub(crate) struct Blame<'a> {
    repository: &'a Repository,
    asked: &'a Asked<'a>,
    files: Vec<Blamed>,
    waiting: HashMap<usize, Versions>,
    /// How many steps may still be taken.
    left: u64,
    hasher: RandomState,
}

/// What was not looked at: it cannot be read, would take too long, or somebody said to stop.
struct Unseen;

impl Blame<'_> {
    /// Tells whether there is a line left whose commit is not known.
    pub(crate) fn goes_on(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes the next node; each comes before its parents.
    pub(crate) fn pass(&mut self, node: usize, differences: &Differences) {
        if let Some(versions) = self.waiting.remove(&node) {
            self.settle(node, versions, differences);
        }
    }

    /// Returns the files; those without any such lines are left out.
    pub(crate) fn end(mut self) -> Vec<Blamed> {
        for (_, versions) in std::mem::take(&mut self.waiting) {
            self.give_up(versions);
        }
        for file in &mut self.files {
            file.lines.sort_unstable_by_key(|lines| lines.first);
        }
        let is_shown = |file: &Blamed| !file.lines.is_empty() || !file.is_complete;
        self.files.retain(is_shown);
        self.files
    }

    /// Finds out what of a commit's versions is its parents', and what its own.
    fn settle(&mut self, node: usize, mut versions: Versions, differences: &Differences) {
        let Some(it) = self.asked.graph.nodes().get(node) else {
            return;
        };
        let mut compared = Vec::new();
        let parents = it.parents.as_deref().unwrap_or_default();
        for (parent, changes) in parents.iter().zip(&differences.from_parents) {
            let Ok(parent) = usize::try_from(*parent) else {
                continue;
            };
            // One that is missing is not asked about, and what is its would be the child's.
            let Some(changes) = changes else {
                return self.give_up(versions);
            };
            // What did not change is the first parent's that has the same.
            let changed = changes.files.iter();
            let changed = changed.filter_map(|change| versions.remove_entry(&change.path));
            let changed: Versions = changed.collect();
            self.hand_to(parent, versions);
            versions = changed;
            if versions.is_empty() {
                return;
            }
            compared.push((parent, changes));
        }
        for (parent, changes) in compared {
            self.compare(parent, changes, &mut versions);
        }
        if self.asked.wanted.get(node) == Some(&true) {
            let commit = it.id;
            versions.into_values().for_each(|it| self.keep(commit, it));
        }
    }

    /// Hands a parent what it shares with its child, and leaves the rest.
    fn compare(&mut self, parent: usize, changes: &Changes, versions: &mut Versions) {
        let mut shared = Versions::new();
        let mut deleted = Deleted::of(changes);
        for change in &changes.files {
            let Some(version) = versions.get_mut(&change.path) else {
                continue;
            };
            let source = match change.old {
                Some(old) => Ok(Some((&change.path, old))),
                None => self.renamed(change, &mut deleted),
            };
            let compared = match source {
                Ok(None) => continue,
                Ok(Some((path, old))) => self
                    .diff(old, version.content)
                    .map(|diff| (path, old, diff)),
                Err(unseen) => Err(unseen),
            };
            let Ok((path, old, diff)) = compared else {
                let pieces = std::mem::take(&mut version.pieces);
                self.skip(&pieces);
                continue;
            };
            let (theirs, own) = diff.split(&version.pieces);
            version.pieces = own;
            if !theirs.is_empty() {
                let there = shared.entry(path.clone()).or_insert_with(|| Version {
                    content: old,
                    pieces: Vec::new(),
                });
                there.pieces.extend(theirs);
            }
        }
        self.hand_to(parent, shared);
    }

    /// Finds the file that became another: one with the same content, or else the one that has
    /// most in common with it, and at least half.
    fn renamed<'c>(
        &mut self,
        added: &Change,
        deleted: &mut Deleted<'c>,
    ) -> Result<Option<(&'c BString, ObjectId)>, Unseen> {
        let (Some(id), name) = (added.new, base_name(&added.path)) else {
            return Ok(None);
        };
        let same = |name| deleted.same.get(&(id, name));
        if let Some(path) = same(Some(name)).or_else(|| same(None)) {
            return Ok(Some((path, id)));
        }
        if deleted.files.is_empty() || deleted.files.len() > RENAMES_MAX {
            return Ok(None);
        }
        let Some(new) = self.repository.content(id) else {
            return Ok(None);
        };
        let size_of_new = length(&new);
        self.spend(size_of_new)?;
        let new = self.lines(&new);
        let mut best = None;
        for old in &mut deleted.files {
            let size = || self.repository.objects.size(old.id);
            let Some(size) = *old.size.get_or_insert_with(size) else {
                continue;
            };
            // Not even if all of it were there.
            let longer = size.max(size_of_new);
            if size.min(size_of_new) < longer / 2 {
                continue;
            }
            if old.lines.is_none() {
                self.spend(size)?;
                let content = self.repository.content(old.id);
                let lines = content.map(|it| self.lines(&it)).unwrap_or_default();
                let kept = deleted.kept.checked_add(lines.len());
                deleted.kept = kept.filter(|it| *it <= KEPT_MAX).ok_or(Unseen)?;
                old.lines = Some(lines);
            }
            let lines = old.lines.as_deref().unwrap_or_default();
            self.spend(length(lines) + length(&new))?;
            let score = in_common(lines, &new) * 100 / longer.max(1);
            let rank = (score, base_name(old.path) == name);
            if score >= 50 && best.is_none_or(|(most, _)| rank >= most) {
                best = Some((rank, (old.path, old.id)));
            }
        }
        Ok(best.map(|(_, found)| found))
    }

    /// Returns the lines of a file in some order, and how long each is in all its places.
    fn lines(&self, content: &[u8]) -> Vec<(u64, u64)> {
        let lines = byte_lines(content);
        let mut lines: Vec<_> = lines
            .map(|line| (self.hasher.hash_one(line), length(line)))
            .collect();
        lines.sort_unstable();
        lines.dedup_by(|(line, more), (before, long)| {
            let is_same = line == before;
            *long += if is_same { *more } else { 0 };
            is_same
        });
        lines.shrink_to_fit();
        lines
    }

    /// Takes steps, if there are so many left and nobody said to stop.
    fn spend(&mut self, steps: u64) -> Result<(), Unseen> {
        let left = self.left.checked_sub(steps);
        let left = left.filter(|_| !self.asked.stopper.is_stopped());
        self.left = left.ok_or(Unseen)?;
        Ok(())
    }

    fn diff(&mut self, old: ObjectId, new: ObjectId) -> Result<Shared, Unseen> {
        self.spend(0)?;
        let old = self.repository.content(old).ok_or(Unseen)?;
        let new = self.repository.content(new).ok_or(Unseen)?;
        let input = InternedInput::new(byte_lines(&old), byte_lines(&new));
        let most = WAY_MAX.min(self.left);
        let way = way(&input, most);
        self.spend(way.unwrap_or(most))?;
        way.ok_or(Unseen)?;
        let mut diff = Diff::compute(Algorithm::Myers, &input);
        // As `git -c diff.indentHeuristic=false blame`, so that it can be rechecked to the line.
        diff.postprocess_no_heuristic(&input);
        Ok(Shared {
            hunks: diff.hunks().collect(),
            length: u32::try_from(input.after.len()).map_err(|_| Unseen)?,
        })
    }

    /// Writes down what is a commit's own.
    fn keep(&mut self, commit: ObjectId, version: Version) {
        let mut length = None;
        for piece in version.pieces {
            let count = match piece.count {
                ALL => {
                    let count = || {
                        self.repository
                            .content(version.content)
                            .and_then(count_lines)
                    };
                    *length.get_or_insert_with(count)
                }
                count => Some(count),
            };
            let Some(file) = self.files.get_mut(piece.file) else {
                continue;
            };
            match count {
                Some(0) => {}
                Some(count) => file.lines.push(Lines {
                    first: piece.first,
                    count,
                    commit,
                }),
                None => file.is_complete = false,
            }
        }
    }

    fn give_up(&mut self, versions: Versions) {
        for version in versions.into_values() {
            self.skip(&version.pieces);
        }
    }

    fn skip(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            if let Some(file) = self.files.get_mut(piece.file) {
                file.is_complete = false;
            }
        }
    }

    /// Leaves versions with a commit, unless no commit that is asked about is or was before it.
    fn hand_to(&mut self, node: usize, versions: Versions) {
        if versions.is_empty() || self.asked.reaches.get(node) != Some(&true) {
            return;
        }
        let waiting = self.waiting.entry(node).or_default();
        if waiting.len() < versions.len() {
            let fewer = std::mem::replace(waiting, versions);
            merge(waiting, fewer);
        } else {
            merge(waiting, versions);
        }
    }
}

fn merge(all: &mut Versions, more: Versions) {
    for (path, version) in more {
        match all.get_mut(&path) {
            Some(known) => known.pieces.extend(version.pieces),
            None => {
                all.insert(path, version);
            }
        }
    }
}

/// What two versions share: all that lies between the hunks.
struct Shared {
    hunks: Vec<Hunk>,
    /// How many lines the newer one has.
    length: u32,
}

impl Shared {
    /// Splits pieces of the newer version: into pieces of the older one, and what only the newer
    /// one has.
    fn split(&self, pieces: &[Piece]) -> (Vec<Piece>, Vec<Piece>) {
        let (mut theirs, mut own) = (Vec::new(), Vec::new());
        for piece in pieces {
            let end = piece.at.saturating_add(piece.count).min(self.length);
            let mut at = piece.at;
            // How far the older version is ahead between hunks.
            let next = self.hunks.partition_point(|hunk| hunk.after.end <= at);
            let before = next.checked_sub(1).and_then(|last| self.hunks.get(last));
            let (mut old, mut new) = before.map_or((0, 0), |it| (it.before.end, it.after.end));
            let cut = |from: u32, until: u32, at: u32| Piece {
                file: piece.file,
                first: piece.first + (from - piece.at),
                at,
                count: until - from,
            };
            for hunk in self.hunks.get(next..).unwrap_or_default() {
                if at >= end {
                    break;
                }
                let until = hunk.after.start.min(end);
                if at < until {
                    theirs.push(cut(at, until, at - new + old));
                    at = until;
                }
                let until = hunk.after.end.min(end);
                if at < until {
                    own.push(cut(at, until, at));
                    at = until;
                }
                (old, new) = (hunk.before.end, hunk.after.end);
            }
            if at < end {
                theirs.push(cut(at, end, at - new + old));
            }
        }
        (theirs, own)
    }
}

fn base_name(path: &BString) -> &BStr {
    path.rsplit_str("/").next().unwrap_or_default().as_bstr()
}

/// Returns how much there is of something.
fn length<T>(all: &[T]) -> u64 {
    u64::try_from(all.len()).unwrap_or(u64::MAX)
}

fn count_lines(content: Vec<u8>) -> Option<u32> {
    u32::try_from(byte_lines(&content).count()).ok()
}

/// Files that a commit deleted, among which the old names of others are looked for.
struct Deleted<'c> {
    files: Vec<DeletedFile<'c>>,
    /// The first of a content, and the first of a content and name.
    same: HashMap<(ObjectId, Option<&'c BStr>), &'c BString>,
    /// How many lines are kept.
    kept: usize,
}

struct DeletedFile<'c> {
    path: &'c BString,
    id: ObjectId,
    /// Once somebody asks; `None` when it cannot be read.
    size: Option<Option<u64>>,
    /// Likewise.
    lines: Option<Vec<(u64, u64)>>,
}

impl<'c> Deleted<'c> {
    fn of(changes: &'c Changes) -> Self {
        let gone = changes.files.iter().filter(|it| it.new.is_none());
        let files = gone.filter_map(|it| {
            Some(DeletedFile {
                path: &it.path,
                id: it.old?,
                size: None,
                lines: None,
            })
        });
        let files: Vec<_> = files.collect();
        let mut same = HashMap::new();
        for file in &files {
            for name in [None, Some(base_name(file.path))] {
                same.entry((file.id, name)).or_insert(file.path);
            }
        }
        Self {
            files,
            same,
            kept: 0,
        }
    }
}

/// Returns how much of two files are lines that both have.
fn in_common(mut old: &[(u64, u64)], mut new: &[(u64, u64)]) -> u64 {
    let mut common = 0;
    while let ([(one, theirs), rest @ ..], [(other, ours), more @ ..]) = (old, new) {
        match one.cmp(other) {
            Ordering::Less => old = rest,
            Ordering::Greater => new = more,
            Ordering::Equal => {
                common += theirs.min(ours);
                (old, new) = (rest, more);
            }
        }
    }
    common
}

/// Returns how many steps there are on the way from one version to another, which is how long it
/// takes to compare them; `None` if more than `most`. Lines that only one of them has are no work.
fn way(input: &InternedInput<&[u8]>, most: u64) -> Option<u64> {
    let both = |side: &[Token], other: &[Token]| -> Vec<Token> {
        let mut is_there = vec![false; index(input.interner.num_tokens())];
        for token in other {
            if let Some(is_there) = is_there.get_mut(index(token.0)) {
                *is_there = true;
            }
        }
        let known = side.iter().copied();
        known
            .filter(|token| is_there.get(index(token.0)) == Some(&true))
            .collect()
    };
    let old = both(&input.before, &input.after);
    let new = both(&input.after, &input.before);
    let mut steps = 0_u64;
    // As Myers has it: how far one comes in the old version with so many changes, on each diagonal.
    let mut reached: Vec<usize> = Vec::new();
    for changes in 0..=old.len() + new.len() {
        let mut next = Vec::with_capacity(changes + 1);
        for diagonal in 0..=changes {
            let without_old = diagonal.checked_sub(1).and_then(|it| reached.get(it));
            let from = without_old
                .map(|at| at + 1)
                .max(reached.get(diagonal).copied());
            let at = from.unwrap_or(0);
            let at_new = (at + changes).saturating_sub(2 * diagonal);
            let rest = old.iter().skip(at).zip(new.iter().skip(at_new));
            let same = rest.take_while(|(old, new)| old == new).count();
            steps += 1 + u64::try_from(same).unwrap_or(u64::MAX);
            if steps > most {
                return None;
            }
            if at + same >= old.len() && at_new + same >= new.len() {
                return Some(steps);
            }
            next.push(at + same);
        }
        reached = next;
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_as_long_as_what_both_have_is_in_another_order() {
        let steps = |old: &str, new: &str, most| {
            way(
                &InternedInput::new(byte_lines(old.as_bytes()), byte_lines(new.as_bytes())),
                most,
            )
        };
        let lines =
            |from: usize, to: usize| -> String { (from..to).map(|it| format!("{it}\n")).collect() };
        let many = lines(0, 10_000);
        assert_eq!(steps("", "", 0), None);
        assert_eq!(steps("", &many, 1), Some(1));
        assert_eq!(steps(&many, &lines(10_000, 20_000), 1), Some(1));
        assert_eq!(steps(&many, &many, 10_001), Some(10_001));
        // What was added at both ends is no work.
        let more = format!("a\n{many}b\n");
        assert_eq!(steps(&many, &more, 10_001), Some(10_001));
        let backwards: String = (0..10_000).rev().map(|it| format!("{it}\n")).collect();
        assert_eq!(steps(&many, &backwards, 1_000_000), None);
        // One line that goes from the beginning to the end.
        let moved = lines(1, 10_000) + "0\n";
        assert!(steps(&many, &moved, 100_000).is_some());
    }
}
