//! Lines of history, each commit the first parent of the next, and what each of them reaches.
//!
//! Merges that are asked about one after the other are on a few such lines. What they reach grows
//! along a line, so it is enough to know of every commit which is the first on the line that reaches
//! it. A line that parts from another begins there, with all that is reached from there.

use std::{collections::HashMap, iter};

use gix::ObjectId;

/// More commits take too much memory to be known so.
const REACHED_MAX: usize = 1 << 20;
/// More lines take longer to ask than they save.
const TRUNKS_MAX: usize = 32;
/// So far is gone back to a line from a commit that does not begin another.
const STRETCH_MAX: usize = 256;

/// The lines.
#[derive(Debug, Default)]
pub(super) struct Trunks {
    all: Vec<Trunk>,
    /// How many commits are known to be reached.
    reached: usize,
}

#[derive(Debug)]
struct Trunk {
    /// Where it parts from another.
    from: Option<Place>,
    commits: Vec<ObjectId>,
    /// Of every commit that it reaches, and not from where it parted, the first place that does.
    reached: HashMap<ObjectId, usize>,
    /// The places that were first to reach a commit whose parents are not known.
    unknown: Vec<usize>,
}

/// A place on a line, the oldest first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    trunk: usize,
    at: usize,
}

impl Trunks {
    /// Returns how many lines there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Returns the place of a commit, which may go on from the end of a line, or begin another where that
    /// is asked for; `None` for one that is beside them, and where there is too much to be known. Counts
    /// the commits that it looks at.
    pub(super) fn place(
        &mut self,
        id: ObjectId,
        begins: bool,
        parents: impl Fn(ObjectId) -> Option<Vec<ObjectId>>,
        cost: &mut usize,
    ) -> Option<Place> {
        let begins = begins && self.all.len() < TRUNKS_MAX;
        let most = match begins {
            true => REACHED_MAX.checked_sub(self.reached)?,
            false => STRETCH_MAX,
        };
        let mut new = Vec::new();
        let mut at = Some(id);
        let from = loop {
            let Some(id) = at else { break None };
            let place = self.at(&id);
            if place.is_some() {
                break place;
            }
            if new.len() >= most {
                return None;
            }
            *cost += 1;
            new.push(id);
            at = parents(id).and_then(|parents| parents.first().copied());
        };
        if new.is_empty() {
            return from;
        }
        let ends = |it: &Place| (self.all.get(it.trunk)).is_some_and(|trunk| trunk.ends_at(it.at));
        let trunk = match from.filter(ends) {
            Some(end) => end.trunk,
            None if begins => {
                self.all.push(Trunk {
                    from,
                    commits: Vec::new(),
                    reached: HashMap::new(),
                    unknown: Vec::new(),
                });
                self.all.len() - 1
            }
            None => return None,
        };
        new.into_iter()
            .rev()
            .try_for_each(|id| self.add(trunk, id, &parents))?;
        self.at(&id)
    }

    /// Adds a commit to the end of a line.
    fn add(
        &mut self,
        number: usize,
        id: ObjectId,
        parents: impl Fn(ObjectId) -> Option<Vec<ObjectId>>,
    ) -> Option<()> {
        let at = self.all.get(number)?.commits.len();
        let place = Place { trunk: number, at };
        let (mut pending, mut unknown) = (vec![id], false);
        let mut new = HashMap::new();
        while let Some(id) = pending.pop() {
            if self.is_reached(&id, place) || new.insert(id, at).is_some() {
                continue;
            }
            if self.reached + new.len() > REACHED_MAX {
                // That is found out once.
                self.reached = REACHED_MAX;
                return None;
            }
            match parents(id) {
                Some(parents) => pending.extend(parents),
                None => unknown = true,
            }
        }
        self.reached += new.len();
        let trunk = self.all.get_mut(number)?;
        trunk.commits.push(id);
        trunk.reached.extend(new);
        trunk.unknown.extend(unknown.then_some(at));
        Some(())
    }

    /// Tells whether a commit is reached from a place.
    pub(super) fn is_reached(&self, id: &ObjectId, from: Place) -> bool {
        let mut down = self.down(from);
        down.any(|(place, trunk)| trunk.reached.get(id).is_some_and(|at| *at <= place.at))
    }

    /// Leaves those commits out, of some that are reached from a place, that the newest of the others on
    /// its line reaches. `None` where what that one does not reach is not all known: it may reach more.
    pub(super) fn best(&self, from: Place, mut commits: Vec<ObjectId>) -> Option<Vec<ObjectId>> {
        for (last, trunk) in self.down(from) {
            let on_it = commits.iter().filter_map(|id| trunk.place_of(id));
            let newest = on_it.filter(|at| *at <= last.at).max();
            let mut unknown = trunk.unknown.iter();
            if unknown.any(|at| *at <= last.at && newest.is_none_or(|newest| *at > newest)) {
                return None;
            }
            let Some(at) = newest else { continue };
            let newest = Place { at, ..last };
            commits.retain(|id| trunk.place_of(id) == Some(at) || !self.is_reached(id, newest));
            break;
        }
        Some(commits)
    }

    /// Returns a place with its line, where that parted from another with that one, and so on.
    fn down(&self, from: Place) -> impl Iterator<Item = (Place, &Trunk)> {
        let places = iter::successors(Some(from), |place| self.all.get(place.trunk)?.from);
        places.filter_map(|place| Some((place, self.all.get(place.trunk)?)))
    }

    /// Returns the place of a commit that is on a line.
    fn at(&self, id: &ObjectId) -> Option<Place> {
        let mut all = self.all.iter().enumerate();
        all.find_map(|(trunk, it)| {
            let at = it.place_of(id)?;
            Some(Place { trunk, at })
        })
    }
}

impl Trunk {
    fn place_of(&self, id: &ObjectId) -> Option<usize> {
        let at = *self.reached.get(id)?;
        (self.commits.get(at) == Some(id)).then_some(at)
    }

    fn ends_at(&self, at: usize) -> bool {
        at + 1 == self.commits.len()
    }
}
