//! By which merges a commit came into a branch.
//!
//! The line of a branch is its end, the first parent of that, and so on. What else the branch reaches
//! was brought there by a merge on the line, from a line of its own, into which others may have been
//! merged before. What is on the line itself was brought by nobody, whoever merges it elsewhere.

use std::collections::{BTreeSet, HashMap};

use crate::order::index;

/// The most commits of other branches that are kept beside those of the longest one.
const BESIDE_MAX: usize = 1 << 22;

/// How the commits of some branches came into each.
pub(crate) struct Lines {
    longest: Line,
    /// The others, without what each has in common with the longest.
    others: Vec<Line>,
    /// The commits of the others, sorted, each with the number of one that has it.
    beside: Vec<(usize, usize)>,
}

/// How commits came into one branch.
type Line = HashMap<usize, Came>;

/// How a commit came into a branch.
#[derive(Clone, Copy)]
struct Came {
    /// The merge that brought it; none brought what is on the line itself.
    by: Option<usize>,
    /// After how many commits of the line.
    at: usize,
}

impl Lines {
    /// Follows branches from their ends; `parents` gives those of each commit. `None` when there are
    /// none, or they have too little in common to be kept.
    pub(crate) fn of<'g>(
        tips: &BTreeSet<usize>,
        parents: impl Fn(usize) -> &'g [u32],
    ) -> Option<Self> {
        let length = |tip: &usize| first_parents(*tip, &parents).count();
        // What all have in common is kept once, so that it matters little which one is the longest.
        let longest = *tips
            .iter()
            .take(COMPARED_MAX)
            .max_by_key(|tip| length(tip))?;
        let longest = follow(longest, &parents, |_| false, usize::MAX)?;
        let (mut others, mut room) = (Vec::new(), BESIDE_MAX);
        for tip in tips {
            let on_line = |it: &usize| longest.get(it).filter(|came| came.by.is_none());
            let common = first_parents(*tip, &parents).find_map(|it| on_line(&it));
            let is_common = |number: usize| {
                let came = longest.get(&number).zip(common);
                came.is_some_and(|(came, common)| came.at <= common.at)
            };
            let line = follow(*tip, &parents, is_common, room)?;
            room = room.checked_sub(line.len() + 1)?;
            if !line.is_empty() {
                others.push(line);
            }
        }
        let commits = |(number, line): (usize, &Line)| -> Vec<_> {
            line.keys().map(|commit| (*commit, number)).collect()
        };
        let mut beside: Vec<_> = others.iter().enumerate().flat_map(commits).collect();
        beside.sort_unstable();
        Some(Self {
            longest,
            others,
            beside,
        })
    }

    /// Returns for each branch, but for those to which it came as to another, by which merges a commit
    /// came there: the one that took it along, the one that took that, and so on.
    pub(crate) fn merges_of(
        &self,
        commit: usize,
    ) -> impl Iterator<Item = impl Iterator<Item = usize>> {
        let first = self.beside.partition_point(|(it, _)| *it < commit);
        let beside = self.beside.get(first..).unwrap_or_default().iter();
        let beside = beside.take_while(move |(it, _)| *it == commit);
        let others = beside.filter_map(|(_, number)| self.others.get(*number));
        let all = std::iter::once(&self.longest).chain(others);
        all.filter_map(move |line| {
            let came = line.get(&commit)?;
            let before = |merge: &usize| line.get(merge)?.by;
            Some(std::iter::successors(came.by, before))
        })
    }
}

/// How many branches are compared to find the longest.
const COMPARED_MAX: usize = 64;

/// Returns a commit, its first parent, and so on.
fn first_parents<'g>(
    tip: usize,
    parents: impl Fn(usize) -> &'g [u32],
) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(tip), move |it| {
        parents(*it).first().map(|parent| index(*parent))
    })
}

/// Finds how all came into a branch that is not known; `None` when it is more than there is room for.
fn follow<'g>(
    tip: usize,
    parents: impl Fn(usize) -> &'g [u32],
    is_known: impl Fn(usize) -> bool,
    room: usize,
) -> Option<Line> {
    let mut line = Line::new();
    let own: Vec<_> = first_parents(tip, &parents)
        .take_while(|it| !is_known(*it))
        .collect();
    // Commits whose other parents are still to be followed: the oldest of the innermost line last.
    let mut pending = Vec::new();
    for (number, before) in own.iter().zip((0..own.len()).rev()) {
        let came = Came {
            by: None,
            at: before,
        };
        line.insert(*number, came);
        pending.push((*number, before, 1));
    }
    while let Some((merge, at, next)) = pending.pop() {
        let Some(parent) = parents(merge).get(next) else {
            continue;
        };
        pending.push((merge, at, next + 1));
        for number in first_parents(index(*parent), &parents) {
            if is_known(number) || line.contains_key(&number) {
                break;
            }
            let by = Some(merge);
            line.insert(number, Came { by, at });
            pending.push((number, at, 1));
        }
        if line.len() > room {
            return None;
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says the same in few words, for one commit and one branch.
    fn model(parents: &[Vec<u32>], tip: usize, commit: usize) -> Option<Vec<usize>> {
        if tip == commit {
            return Some(Vec::new());
        }
        let mut brought = parents[tip]
            .iter()
            .enumerate()
            .filter_map(|(number, parent)| {
                let merges = model(parents, index(*parent), commit)?;
                Some((number, merges))
            });
        let (number, merges) = brought.next()?;
        let own = (number > 0).then_some(tip);
        Some(merges.into_iter().chain(own).collect())
    }

    #[test]
    fn finds_the_merges_that_the_model_finds() {
        let mut state = 1_u64;
        let mut any = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        };
        let (mut nested, mut differing) = (0, 0);
        for _ in 0..300 {
            let mut parents: Vec<Vec<u32>> = Vec::new();
            for number in 0..14_usize {
                let count = if number == 0 {
                    0
                } else {
                    any(4).max(usize::from(any(9) > 0))
                };
                let mut own: Vec<u32> = Vec::new();
                for _ in 0..count {
                    let parent = u32::try_from(number - 1 - any(number.min(6))).unwrap();
                    if !own.contains(&parent) {
                        own.push(parent);
                    }
                }
                parents.push(own);
            }
            let tips = BTreeSet::from([13, 7 + any(6), any(13), any(13)]);
            let lines = Lines::of(&tips, |it| &parents[it]).unwrap();
            for commit in 0..parents.len() {
                let expected = tips.iter().filter_map(|tip| model(&parents, *tip, commit));
                let expected: BTreeSet<_> = expected.collect();
                let found = lines.merges_of(commit).map(Iterator::collect);
                let found: BTreeSet<Vec<usize>> = found.collect();
                assert_eq!(found, expected, "{commit} of {parents:?} at {tips:?}");
                nested += usize::from(found.iter().any(|merges| merges.len() > 1));
                differing += usize::from(found.len() > 1);
            }
        }
        assert!(nested > 100 && differing > 100, "{nested} {differing}");
    }
}
