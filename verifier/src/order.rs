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
#[derive(Clone, Copy, Debug, Default)]
pub struct Placed<'p> {
    /// The date it declares.
    pub declared: Option<UnixTime>,
    /// A time that stands on more than its own word.
    pub strong: Option<UnixTime>,
    /// Its parents, as numbers of objects; `None` when they are not all known.
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

/// Places so many objects among their parents and descendants. `object` says what the graph does about
/// the one of a number.
pub fn place<'p>(
    count: usize,
    object: impl Fn(usize) -> Placed<'p>,
    skew_seconds: u32,
) -> Vec<Order> {
    let skew = i64::from(skew_seconds);
    let order = children_first(count, |number| parents(&object, number));
    let earliest = earliest_strong_descendant(count, &object, &order);
    let latest = latest_strong_ancestor(count, &object, &order);
    let against = |number: usize| {
        let placed = object(number);
        let (Some(declared), Some(parents)) = (placed.declared, placed.parents) else {
            return Order::Unknown;
        };
        // Where there is no such time, it lies where it says nothing.
        if earliest
            .get(number)
            .is_some_and(|strong| declared > strong.plus(skew))
        {
            return Order::YoungerThanDescendant;
        }
        if latest
            .get(number)
            .is_some_and(|strong| declared.plus(skew) < *strong)
        {
            return Order::OlderThanAncestor;
        }
        let times = parents.iter().map(|parent| object(index(*parent)).declared);
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
    (0..count).map(against).collect()
}

/// Returns the latest time that each object or one of its ancestors has and that stands on more than
/// its own word.
pub(crate) fn latest_strong<'p>(
    count: usize,
    object: impl Fn(usize) -> Placed<'p>,
) -> Vec<Option<UnixTime>> {
    let order = children_first(count, |number| parents(&object, number));
    let above = latest_strong_ancestor(count, &object, &order);
    let either = |(number, above): (usize, UnixTime)| {
        let above = (above != NEVER).then_some(above);
        object(number).strong.max(above)
    };
    (0..).zip(above).map(either).collect()
}

/// Orders so many objects so that each comes after all that descend from it.
pub(crate) fn children_first<'p>(count: usize, parents: impl Fn(usize) -> &'p [u32]) -> Vec<u32> {
    let mut children_left = vec![0_u32; count];
    for parent in (0..count).flat_map(&parents) {
        if let Some(count) = children_left.get_mut(index(*parent)) {
            *count += 1;
        }
    }
    // Those that are ordered, and at the end those whose turn has come.
    let mut order: Vec<u32> = (0..)
        .zip(&children_left)
        .filter_map(|(number, count)| (*count == 0).then_some(number))
        .collect();
    let mut next = 0;
    while let Some(number) = order.get(next).copied() {
        next += 1;
        for parent in parents(index(number)) {
            if let Some(count) = children_left.get_mut(index(*parent)) {
                *count -= 1;
                if *count == 0 {
                    order.push(*parent);
                }
            }
        }
    }
    order
}

/// Returns for each object the earliest such time of its descendants, or [`ALWAYS`].
fn earliest_strong_descendant<'p>(
    count: usize,
    object: impl Fn(usize) -> Placed<'p>,
    order: &[u32],
) -> Vec<UnixTime> {
    let mut earliest = vec![ALWAYS; count];
    for number in order {
        let placed = object(index(*number));
        let below = earliest.get(index(*number)).copied().unwrap_or(ALWAYS);
        let passed_on = below.min(placed.strong.unwrap_or(ALWAYS));
        for parent in placed.parents.unwrap_or_default() {
            if let Some(so_far) = earliest.get_mut(index(*parent)) {
                *so_far = passed_on.min(*so_far);
            }
        }
    }
    earliest
}

/// Returns for each object the latest such time of its ancestors, or [`NEVER`].
fn latest_strong_ancestor<'p>(
    count: usize,
    object: impl Fn(usize) -> Placed<'p>,
    order: &[u32],
) -> Vec<UnixTime> {
    let mut latest = vec![NEVER; count];
    for number in order.iter().rev() {
        let passed_on = parents(&object, index(*number)).iter().map(|parent| {
            let above = latest.get(index(*parent)).copied().unwrap_or(NEVER);
            above.max(object(index(*parent)).strong.unwrap_or(NEVER))
        });
        let passed_on = passed_on.max();
        if let (Some(latest), Some(passed_on)) = (latest.get_mut(index(*number)), passed_on) {
            *latest = passed_on;
        }
    }
    latest
}

fn parents<'p>(object: impl Fn(usize) -> Placed<'p>, number: usize) -> &'p [u32] {
    object(number).parents.unwrap_or_default()
}

/// Numbers of objects are indices that fit in half the space.
pub(crate) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Before and after everything.
const NEVER: UnixTime = UnixTime::from_secs(i64::MIN);
const ALWAYS: UnixTime = UnixTime::from_secs(i64::MAX);
