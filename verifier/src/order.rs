//! Step 4, `dag-ordered`: whether a declared date fits the dates around it.
//!
//! A commit's date fits when no parent is younger, and when no descendant whose time stands on
//! more than a date is older, each beyond the allowed skew. The naive way asks every descendant
//! of every commit, n² of them. But the earliest strong time among a commit's descendants is the
//! least of its children's own strong times and of their descendants' earliest ones, so one pass
//! from children to parents is enough. Children may carry older dates than parents, so the pass
//! takes a true topological order and not that of dates: each commit once, each edge twice.

use notme_core::time::UnixTime;

/// What the graph says about one object.
#[derive(Clone, Debug)]
pub struct Placed<'p> {
    /// The date it declares.
    pub declared: Option<UnixTime>,
    /// A time that stands on more than its own word.
    pub strong: Option<UnixTime>,
    /// Its parents, as indices into the same slice; `None` when they are not all known.
    pub parents: Option<&'p [u32]>,
}

/// Whether a declared date fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// The parents were not all there to compare with.
    Unknown,
    /// It fits.
    Consistent,
    /// It is older than a parent.
    OlderThanParent,
    /// It is younger than a descendant with a strong time.
    YoungerThanDescendant,
}

/// Places every object among its parents and descendants.
pub fn place(objects: &[Placed<'_>], skew_seconds: u32) -> Vec<Order> {
    let skew = i64::from(skew_seconds);
    let earliest = earliest_strong_descendant(objects);
    let against = |object: &Placed<'_>, earliest: &Option<UnixTime>| {
        let (Some(declared), Some(parents)) = (object.declared, object.parents) else {
            return Order::Unknown;
        };
        if earliest.is_some_and(|strong| declared > strong.plus(skew)) {
            return Order::YoungerThanDescendant;
        }
        let times = parents.iter().map(|parent| at(objects, *parent)?.declared);
        let mut unknown = false;
        for time in times {
            match time {
                Some(time) if declared.plus(skew) < time => return Order::OlderThanParent,
                Some(_) => {}
                None => unknown = true,
            }
        }
        if unknown {
            Order::Unknown
        } else {
            Order::Consistent
        }
    };
    objects
        .iter()
        .zip(&earliest)
        .map(|(object, earliest)| against(object, earliest))
        .collect()
}

fn earliest_strong_descendant(objects: &[Placed<'_>]) -> Vec<Option<UnixTime>> {
    let mut children_left = vec![0_u32; objects.len()];
    for parent in objects.iter().filter_map(|object| object.parents).flatten() {
        if let Some(count) = at_mut(&mut children_left, *parent) {
            *count += 1;
        }
    }
    let mut earliest = vec![None; objects.len()];
    let mut ready: Vec<usize> = (0..)
        .zip(&children_left)
        .filter_map(|(node, count)| (*count == 0).then_some(node))
        .collect();
    while let Some(node) = ready.pop() {
        let Some(object) = objects.get(node) else {
            continue;
        };
        let own = earliest.get(node).copied().flatten();
        let passed_on = least(own, object.strong);
        for parent in object.parents.into_iter().flatten() {
            if let Some(so_far) = at_mut(&mut earliest, *parent) {
                *so_far = least(*so_far, passed_on);
            }
            if let Some(count) = at_mut(&mut children_left, *parent) {
                *count -= 1;
                if *count == 0 {
                    ready.extend(usize::try_from(*parent));
                }
            }
        }
    }
    earliest
}

fn least(one: Option<UnixTime>, other: Option<UnixTime>) -> Option<UnixTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn at<T>(items: &[T], node: u32) -> Option<&T> {
    items.get(usize::try_from(node).ok()?)
}

fn at_mut<T>(items: &mut [T], node: u32) -> Option<&mut T> {
    items.get_mut(usize::try_from(node).ok()?)
}
