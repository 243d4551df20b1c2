//! A line of history, each commit the first parent of the next, and what each of them reaches.
//!
//! Merges that are asked about one after the other are on such a line. What they reach grows along
//! it, so it is enough to know of every commit which is the first on the line that reaches it. It is
//! used only where all of that history is known.

use std::collections::HashMap;

use gix::ObjectId;

/// Longer histories take too much memory to be known so.
const REACHED_MAX: usize = 1 << 20;

/// A line of history.
#[derive(Debug, Default)]
pub(super) struct Line {
    commits: Vec<ObjectId>,
    /// Of every commit that the line reaches, the first place on it that does.
    reached: HashMap<ObjectId, Place>,
    /// Whether there is more history than can be known.
    is_partial: bool,
}

/// A place on the line, the oldest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place(usize);

impl Line {
    /// Returns the place of a commit, which may go on from the end of the line; `None` for one that
    /// is beside it, and where not all of its history is known.
    pub(super) fn place(
        &mut self,
        id: ObjectId,
        parents: impl Fn(ObjectId) -> Option<Vec<ObjectId>>,
    ) -> Option<Place> {
        let mut new = Vec::new();
        let mut at = Some(id);
        while let Some(id) = at
            && !self.reached.contains_key(&id)
            && !self.is_partial
        {
            new.push(id);
            let parents = parents(id);
            self.is_partial |= parents.is_none() || new.len() > REACHED_MAX;
            at = parents.and_then(|parents| parents.first().copied());
        }
        if self.is_partial {
            return None;
        }
        if new.is_empty() {
            return self.at(&id);
        }
        if at.as_ref() != self.commits.last() {
            return None;
        }
        for id in new.into_iter().rev() {
            let place = Place(self.commits.len());
            self.commits.push(id);
            let mut pending = vec![id];
            while let Some(id) = pending.pop() {
                if self.reached.contains_key(&id) {
                    continue;
                }
                self.reached.insert(id, place);
                let parents = parents(id);
                self.is_partial |= parents.is_none() || self.reached.len() > REACHED_MAX;
                if self.is_partial {
                    return None;
                }
                pending.extend(parents.unwrap_or_default());
            }
        }
        self.at(&id)
    }

    /// Tells whether the line reaches a commit from a place.
    pub(super) fn is_reached(&self, id: &ObjectId, from: Place) -> bool {
        self.reached.get(id).is_some_and(|place| *place <= from)
    }

    /// Leaves those out that the newest of the others on the line reaches.
    pub(super) fn best(&self, mut commits: Vec<ObjectId>) -> Vec<ObjectId> {
        let newest = commits.iter().filter_map(|id| self.at(id)).max();
        if let Some(newest) = newest {
            commits.retain(|id| self.at(id) == Some(newest) || !self.is_reached(id, newest));
        }
        commits
    }

    /// Returns the place of a commit that is on the line.
    fn at(&self, id: &ObjectId) -> Option<Place> {
        let place = *self.reached.get(id)?;
        (self.commits.get(place.0) == Some(id)).then_some(place)
    }
}
