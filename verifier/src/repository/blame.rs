//! Which commit each line comes from, for all files at once.
//!
//! As git does it: what a commit's file has in common with a parent's is the parent's, and what is
//! left is the commit's own. git goes back once for each file; here every commit is compared with
//! its parents once, whatever the number of files, and nothing is looked at that does not lie
//! between the tip and a commit that somebody asks about. Which files a commit changed is found out
//! before, by all threads, for as many commits as memory is cheap.

use std::collections::HashMap;

use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice as _},
    objs::{Find as _, Kind},
};
use imara_diff::{Algorithm, Diff, Hunk, InternedInput, sources::byte_lines};

use super::{
    Graph, Repository,
    changes::{Change, Changes, Differences},
};

/// Longer files are not read.
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// Among how many deleted files the old name of one is looked for, as in git. One with the same
/// content is found among any.
const RENAMES_MAX: usize = 1000;

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
}

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
        for change in &changes.files {
            let Some(version) = versions.get_mut(&change.path) else {
                continue;
            };
            let source = match change.old {
                Some(old) => Some((&change.path, old)),
                None => self.renamed(change, changes),
            };
            let Some((path, old)) = source else {
                continue;
            };
            let Some(diff) = self.diff(old, version.content) else {
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
    fn renamed<'c>(&self, added: &Change, changes: &'c Changes) -> Option<(&'c BString, ObjectId)> {
        let deleted = || {
            let gone = changes.files.iter().filter(|it| it.new.is_none());
            gone.filter_map(|it| Some((&it.path, it.old?)))
        };
        let same = || deleted().filter(|(_, old)| Some(*old) == added.new);
        let is_namesake =
            |(path, _): &(&BString, ObjectId)| base_name(path) == base_name(&added.path);
        if let Some(found) = same().find(is_namesake).or_else(|| same().next()) {
            return Some(found);
        }
        if deleted().count() > RENAMES_MAX {
            return None;
        }
        let new = self.repository.content(added.new?)?;
        let length = u64::try_from(new.len()).ok()?;
        let scored = deleted().filter_map(|(path, old)| {
            let size = self.repository.objects.size(old)?;
            // Not even if all of it were there.
            if size.min(length) < size.max(length) / 2 {
                return None;
            }
            let score = similarity(&self.repository.content(old)?, &new);
            (score >= 50).then_some((score, is_namesake(&(path, old)), (path, old)))
        });
        scored
            .max_by_key(|(score, is_namesake, _)| (*score, *is_namesake))
            .map(|(_, _, found)| found)
    }

    fn diff(&self, old: ObjectId, new: ObjectId) -> Option<Shared> {
        let old = self.repository.content(old)?;
        let new = self.repository.content(new)?;
        let input = InternedInput::new(byte_lines(&old), byte_lines(&new));
        let mut diff = Diff::compute(Algorithm::Myers, &input);
        // As `git -c diff.indentHeuristic=false blame`, so that it can be rechecked to the line.
        diff.postprocess_no_heuristic(&input);
        Some(Shared {
            hunks: diff.hunks().collect(),
            length: u32::try_from(input.after.len()).ok()?,
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

fn count_lines(content: Vec<u8>) -> Option<u32> {
    u32::try_from(byte_lines(&content).count()).ok()
}

/// Returns how many percent of the longer file are lines that the other has, too.
fn similarity(old: &[u8], new: &[u8]) -> usize {
    let longer = old.len().max(new.len());
    if longer == 0 {
        return 0;
    }
    let mut lines: HashMap<&[u8], usize> = HashMap::new();
    for line in byte_lines(old) {
        *lines.entry(line).or_default() += 1;
    }
    let mut common = 0_usize;
    for line in byte_lines(new) {
        if let Some(left) = lines.get_mut(line).filter(|left| **left > 0) {
            *left -= 1;
            common += line.len();
        }
    }
    common.saturating_mul(100) / longer
}
