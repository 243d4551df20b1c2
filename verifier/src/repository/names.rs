//! The numbers of objects by their names, in few bytes: the names themselves are where the objects are.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _};

use gix::ObjectId;

use crate::order::index;

/// No number.
const FREE: u32 = u32::MAX;

/// Where each number is found again: at the first free place from that on which its name's hash
/// names. Which one that is, nobody can know who makes names up.
#[derive(Default)]
pub(super) struct Names {
    places: Vec<u32>,
    hasher: RandomState,
}

impl Names {
    /// Returns the number of a name; `name_of` says whose a number is.
    pub(super) fn find(
        &self,
        id: &ObjectId,
        name_of: impl Fn(usize) -> Option<ObjectId>,
    ) -> Option<u32> {
        let mut taken = self
            .from(id)
            .filter_map(|place| self.places.get(place).copied())
            .take_while(|number| *number != FREE);
        taken.find(|number| name_of(index(*number)).is_some_and(|it| it == *id))
    }

    /// Adds the last of so many names.
    pub(super) fn add(&mut self, count: usize, name_of: impl Fn(usize) -> Option<ObjectId>) {
        // A quarter stays free, so that few are looked at.
        let is_full = count > self.places.len() / 4 * 3;
        let first = match is_full {
            true => {
                let more = self.places.len().saturating_mul(2).max(64);
                self.places = Vec::new();
                self.places.resize(more, FREE);
                0
            }
            false => count.saturating_sub(1),
        };
        for number in first..count {
            if let (Some(id), Ok(number)) = (name_of(number), u32::try_from(number)) {
                self.put(&id, number);
            }
        }
    }

    fn put(&mut self, id: &ObjectId, number: u32) {
        let is_free = |place: &usize| self.places.get(*place) == Some(&FREE);
        let free = self.from(id).find(is_free);
        if let Some(place) = free.and_then(|place| self.places.get_mut(place)) {
            *place = number;
        }
    }

    /// Returns every place, from the one on that the name's hash names.
    fn from(&self, id: &ObjectId) -> impl Iterator<Item = usize> + use<> {
        let count = self.places.len();
        let hash = usize::try_from(self.hasher.hash_one(id) >> 1).unwrap_or_default();
        let first = hash.checked_rem(count).unwrap_or_default();
        (first..count).chain(0..first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_name_and_no_other() {
        let name = |number: u32| {
            let mut bytes = [7; 20];
            bytes[16..].copy_from_slice(&number.to_be_bytes());
            ObjectId::from(bytes)
        };
        let mut names = Names::default();
        let mut all = Vec::new();
        for number in 0..1000 {
            let name_of = |number: usize| all.get(number).copied();
            assert_eq!(names.find(&name(number), name_of), None);
            all.push(name(number));
            names.add(all.len(), |number| all.get(number).copied());
        }
        let name_of = |number: usize| all.get(number).copied();
        for number in 0..1000 {
            assert_eq!(names.find(&name(number), name_of), Some(number));
        }
        assert_eq!(names.find(&name(1000), name_of), None);
    }
}
