//! Who goes on from whom: by the parents that were accepted, and by no others.
//!
//! A commit that was not accepted connects nothing, or whoever may not sign could have one line descend
//! from another. What the trust root goes on from is trusted as it is.

use std::cell::RefCell;

use super::{Judged, State, lock, settled::Ended};
use crate::repository::{Gone, Kinship, ObjectId};

/// What a parent is to its child.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bond {
    /// Judged, and the child goes on from it.
    Judged,
    /// The trust root, or what lies before it, where all parents count.
    Root,
    /// Nothing.
    None,
    /// Not known: it is undecided itself.
    Undecided,
}

impl Bond {
    pub(super) const fn to_byte(self) -> u8 {
        match self {
            Self::Judged => 0,
            Self::Root => 1,
            Self::None => 2,
            Self::Undecided => 3,
        }
    }

    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Judged),
            1 => Some(Self::Root),
            2 => Some(Self::None),
            3 => Some(Self::Undecided),
            _ => None,
        }
    }
}

impl Judged<'_> {
    /// Keeps what the parents are to an accepted commit. Most have one, that was judged.
    pub(super) fn bind(&mut self, id: ObjectId, bonds: Vec<Bond>) {
        if bonds.iter().any(|bond| *bond != Bond::Judged) {
            self.bonds.insert(id, bonds.into());
        }
    }

    /// Returns what the parents are to an accepted commit; nothing where all are its line.
    pub(super) fn bonds(&self, id: &ObjectId) -> &[Bond] {
        self.bonds.get(id).map_or(&[], |bonds| bonds)
    }

    /// Returns which of a commit's parents it goes on from; all, where it was not judged.
    pub(super) fn line(&self, id: &ObjectId, parents: Vec<ObjectId>) -> Vec<ObjectId> {
        match self.states.get(id) {
            Some(State::Accepted(_)) => {}
            Some(State::Rejected(_) | State::Undecided) => return Vec::new(),
            None => return parents,
        }
        let bonds = self.bonds(id);
        let counts = |number: usize| {
            let bond = bonds.get(number).copied().unwrap_or(Bond::Judged);
            matches!(bond, Bond::Judged | Bond::Root)
        };
        let numbered = parents.into_iter().enumerate();
        let counting = numbered.filter(|(number, _)| counts(*number));
        counting.map(|(_, parent)| parent).collect()
    }

    /// Says of a commit that it is the trust root or lies before it.
    pub(super) fn is_of_root(&self, id: ObjectId) {
        self.of_root.borrow_mut().insert(id);
    }

    /// Returns what was kept of a commit behind those that earlier runs accepted.
    pub(super) fn recall(&self, commit: &ObjectId) -> Option<Ended> {
        let recorded = self.recorded.as_ref()?;
        let ended = lock(recorded).read(commit);
        if ended.is_none() {
            self.lacks.set(true);
        }
        ended
    }

    fn bound(&self, bonds: &[Bond], parents: Vec<ObjectId>) -> Option<Vec<ObjectId>> {
        if bonds.is_empty() {
            return Some(parents);
        }
        if bonds.len() != parents.len() {
            return None;
        }
        let mut counting = Vec::new();
        for (bond, parent) in bonds.iter().zip(parents) {
            match bond {
                Bond::Judged => {}
                Bond::Root => self.is_of_root(parent),
                Bond::None => continue,
                Bond::Undecided => return None,
            }
            counting.push(parent);
        }
        Some(counting)
    }
}

impl Kinship for Judged<'_> {
    fn counting(&self, commit: &ObjectId, parents: Vec<ObjectId>) -> Option<Vec<ObjectId>> {
        if !self.of_root.borrow().contains(commit) {
            match self.states.get(commit) {
                Some(State::Accepted(_)) => return self.bound(self.bonds(commit), parents),
                Some(State::Rejected(_) | State::Undecided) => return None,
                None if self.recorded.is_some() => {
                    return self.bound(&self.recall(commit)?.bonds, parents);
                }
                // All beyond the trust root was judged.
                None => {}
            }
        }
        self.of_root.borrow_mut().extend(&parents);
        Some(parents)
    }

    fn gone(&self) -> &RefCell<Gone> {
        &self.gone
    }
}
