//! The order of two passes against one that asks everybody, on random graphs.

use notme_core::time::UnixTime;
use notme_verifier::order::{Order, Placed, place};

/// A small generator of numbers (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

struct Object {
    declared: Option<UnixTime>,
    strong: Option<UnixTime>,
    parents: Option<Vec<u32>>,
}

fn random_graph(random: &mut Random) -> Vec<Object> {
    let size = 1 + random.below(24);
    // Numbers are shuffled, so that a parent's number says nothing about its place.
    let mut number: Vec<u32> = (0..u32::try_from(size).unwrap()).collect();
    for last in (1..number.len()).rev() {
        number.swap(
            last,
            usize::try_from(random.below(last as u64 + 1)).unwrap(),
        );
    }
    let mut objects: Vec<Option<Object>> = (0..size).map(|_| None).collect();
    for place in 0..number.len() {
        let time =
            |random: &mut Random| UnixTime::from_secs(i64::try_from(random.below(30)).unwrap());
        let parents = (0..random.below(4))
            .filter(|_| place > 0)
            .map(|_| number[usize::try_from(random.below(place as u64)).unwrap()])
            .collect();
        objects[number[place] as usize] = Some(Object {
            declared: (random.below(10) > 0).then(|| time(random)),
            strong: (random.below(3) == 0).then(|| time(random)),
            parents: (random.below(10) > 0).then_some(parents),
        });
    }
    objects.into_iter().map(Option::unwrap).collect()
}

fn descendants(objects: &[Object], of: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut pending = vec![of];
    while let Some(node) = pending.pop() {
        for (child, object) in objects.iter().enumerate() {
            let is_child = object.parents.iter().flatten().any(|p| *p as usize == node);
            if is_child && !found.contains(&child) {
                found.push(child);
                pending.push(child);
            }
        }
    }
    found
}

fn ancestors(objects: &[Object], of: usize) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    let mut pending = vec![of];
    while let Some(node) = pending.pop() {
        for parent in objects[node].parents.iter().flatten() {
            let parent = *parent as usize;
            if !found.contains(&parent) {
                found.push(parent);
                pending.push(parent);
            }
        }
    }
    found
}

fn naive(objects: &[Object], of: usize, skew: i64) -> Order {
    let object = &objects[of];
    let (Some(declared), Some(parents)) = (object.declared, &object.parents) else {
        return Order::Unknown;
    };
    for descendant in descendants(objects, of) {
        if objects[descendant]
            .strong
            .is_some_and(|strong| declared > strong.plus(skew))
        {
            return Order::YoungerThanDescendant;
        }
    }
    for ancestor in ancestors(objects, of) {
        if objects[ancestor]
            .strong
            .is_some_and(|strong| declared.plus(skew) < strong)
        {
            return Order::OlderThanAncestor;
        }
    }
    let times: Vec<_> = parents
        .iter()
        .map(|p| objects[*p as usize].declared)
        .collect();
    if times
        .iter()
        .flatten()
        .any(|time| declared.plus(skew) < *time)
    {
        return Order::OlderThanParent;
    }
    if times.contains(&None) {
        Order::Unknown
    } else {
        Order::Consistent
    }
}

#[test]
fn two_passes_agree_with_asking_every_relative() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut seen = Vec::new();
    for _ in 0..3000 {
        let objects = random_graph(&mut random);
        let skew = u32::try_from(random.below(4)).unwrap();
        let placed: Vec<_> = objects
            .iter()
            .map(|object| Placed {
                declared: object.declared,
                strong: object.strong,
                parents: object.parents.as_deref(),
            })
            .collect();
        for (number, found) in place(placed.len(), |number| placed[number], skew)
            .into_iter()
            .enumerate()
        {
            assert_eq!(found, naive(&objects, number, i64::from(skew)));
            seen.push(found);
        }
    }
    for order in [
        Order::Unknown,
        Order::Consistent,
        Order::OlderThanParent,
        Order::OlderThanAncestor,
        Order::YoungerThanDescendant,
    ] {
        assert!(
            seen.iter().filter(|found| **found == order).count() > 500,
            "{order:?}"
        );
    }
}

#[test]
fn a_long_line_needs_no_deep_stack() {
    let parents: Vec<Vec<u32>> = (0..200_000)
        .map(|n: u32| n.checked_sub(1).into_iter().collect())
        .collect();
    let at = |n: usize| Some(UnixTime::from_secs(i64::try_from(n).unwrap()));
    let placed: Vec<_> = parents
        .iter()
        .enumerate()
        .map(|(n, parents)| Placed {
            declared: at(n),
            strong: at(n),
            parents: Some(parents),
        })
        .collect();
    assert!(
        place(placed.len(), |number| placed[number], 0)
            .iter()
            .all(|order| *order == Order::Consistent)
    );
}
