//! Step 4, `dag-ordered`: whether a declared date fits the dates around it.
//!
//! A commit's date fits when no parent is younger, when no ancestor whose time stands on more
//! than a date is younger, and when no such descendant is older, each beyond the allowed skew.
//! The naive way asks every relative of every commit, n² of them. But the earliest strong time
//! among a commit's descendants is the least of its children's own strong times and of their
//! descendants' earliest ones, so one pass from children to parents is enough; and the latest
//! among its ancestors comes by one pass back. Children may carry older dates than parents, so
//! the passes take a true topological order and not that of dates: each commit twice, each edge
//! three times.

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
    /// It is older than an ancestor with a strong time.
    OlderThanAncestor,
    /// It is younger than a descendant with a strong time.
    YoungerThanDescendant,
}

/// Places every object among its parents and descendants.
pub fn place(objects: &[Placed<'_>], skew_seconds: u32) -> Vec<Order> {
    let skew = i64::from(skew_seconds);
    let order = children_first(objects.len(), |node| parents(objects, node));
    let earliest = earliest_strong_descendant(objects, &order);
    let latest = latest_strong_ancestor(objects, &order);
    let against = |object: &Placed<'_>, earliest: Option<UnixTime>, latest: Option<UnixTime>| {
        let (Some(declared), Some(parents)) = (object.declared, object.parents) else {
            return Order::Unknown;
        };
        if earliest.is_some_and(|strong| declared > strong.plus(skew)) {
            return Order::YoungerThanDescendant;
        }
        if latest.is_some_and(|strong| declared.plus(skew) < strong) {
            return Order::OlderThanAncestor;
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
        .zip(earliest.into_iter().zip(latest))
        .map(|(object, (earliest, latest))| against(object, earliest, latest))
        .collect()
}

/// Returns the latest time that each object or one of its ancestors has and that stands on more than
/// its own word.
pub(crate) fn latest_strong(objects: &[Placed<'_>]) -> Vec<Option<UnixTime>> {
    let order = children_first(objects.len(), |node| parents(objects, node));
    let above = latest_strong_ancestor(objects, &order);
    let own = objects.iter().map(|object| object.strong);
    own.zip(above).map(|(own, above)| own.max(above)).collect()
}

/// Orders so many objects so that each comes after all that descend from it.
pub(crate) fn children_first<'p>(count: usize, parents: impl Fn(usize) -> &'p [u32]) -> Vec<usize> {
    let mut children_left = vec![0_u32; count];
    for parent in (0..count).flat_map(&parents) {
        if let Some(count) = at_mut(&mut children_left, *parent) {
            *count += 1;
        }
    }
    // Those that are ordered, and at the end those whose turn has come.
    let mut order: Vec<usize> = (0..)
        .zip(&children_left)
        .filter_map(|(node, count)| (*count == 0).then_some(node))
        .collect();
    let mut next = 0;
    while let Some(node) = order.get(next).copied() {
        next += 1;
        for parent in parents(node) {
            if let Some(count) = at_mut(&mut children_left, *parent) {
                *count -= 1;
                if *count == 0 {
                    order.extend(usize::try_from(*parent));
                }
            }
        }
    }
    order
}

fn earliest_strong_descendant(objects: &[Placed<'_>], order: &[usize]) -> Vec<Option<UnixTime>> {
    let mut earliest: Vec<Option<UnixTime>> = vec![None; objects.len()];
    for node in order {
        let own = earliest.get(*node).copied().flatten();
        let passed_on = least(own, strong(objects, *node));
        for parent in parents(objects, *node) {
            if let Some(so_far) = at_mut(&mut earliest, *parent) {
                *so_far = least(*so_far, passed_on);
            }
        }
    }
    earliest
}

fn latest_strong_ancestor(objects: &[Placed<'_>], order: &[usize]) -> Vec<Option<UnixTime>> {
    let mut latest: Vec<Option<UnixTime>> = vec![None; objects.len()];
    for node in order.iter().rev() {
        let passed_on = parents(objects, *node).iter().filter_map(|parent| {
            let above = at(&latest, *parent).copied().flatten();
            let own = at(objects, *parent)?.strong;
            // `None` is less than any time.
            above.max(own)
        });
        let passed_on = passed_on.max();
        if let Some(latest) = latest.get_mut(*node) {
            *latest = passed_on;
        }
    }
    latest
}

fn parents<'p>(objects: &[Placed<'p>], node: usize) -> &'p [u32] {
    let object = objects.get(node);
    object.and_then(|object| object.parents).unwrap_or_default()
}

fn strong(objects: &[Placed<'_>], node: usize) -> Option<UnixTime> {
    objects.get(node)?.strong
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
