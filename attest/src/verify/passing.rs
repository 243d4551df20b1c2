//! What passes between statements about one commit: levels and failures.

use std::collections::{BTreeSet, HashMap, HashSet};

use notme_verifier::Verdict;

use super::Found;
use crate::{level::Derived, predicate::Level};

/// Leaves the records of whoever says which commits one took the place of no level but the least of what these
/// carry: what their signer stated, and chains that the commit carries the heads of. What is stated of them, and
/// fails, fails with it. A hook may say it in several, and write one of the same activity before that is known.
pub(super) fn take_over(all: &mut [Found], commit: &str) {
    let about = |found: &Found| {
        let name = found.attested.attested_as.as_deref();
        (name.unwrap_or(commit).to_owned(), found.examined.signer())
    };
    let abouts: Vec<_> = all.iter().map(about).collect();
    let mut taken: HashMap<_, (BTreeSet<_>, HashSet<_>)> = HashMap::new();
    for (about, found) in abouts.iter().zip(&*all) {
        let Some(activity) = found.activity() else {
            continue;
        };
        for it in activity.succeeds.iter().filter(|it| it.to == about.0) {
            let (froms, activities) = taken.entry(about).or_default();
            froms.insert(it.from.clone());
            activities.insert(activity.activity.id.clone());
        }
    }
    let mut records = Vec::new();
    for (number, (about, found)) in abouts.iter().zip(all.iter_mut()).enumerate() {
        let Some((froms, activities)) = taken.get(about) else {
            continue;
        };
        let id = found.activity().map(|it| &it.activity.id);
        if id.is_some_and(|id| activities.contains(id)) {
            records.push((number, found.carries.take(), &about.1, froms));
        }
    }
    // Those may have taken the place of others; or, as somebody says, of one another.
    let mut is_changed = !records.is_empty();
    while is_changed {
        is_changed = false;
        let (mut levels, mut failed) = (HashMap::<_, Option<Level>>::new(), HashSet::new());
        for ((name, by), it) in abouts.iter().zip(&*all) {
            let is_work = it.attested.verdict == Verdict::Accepted && !it.examined.is_answer();
            if is_work && it.attested.attested_as.is_some() {
                let by = by.as_ref().filter(|_| !it.is_held);
                let best = levels.entry((name, by)).or_default();
                *best = (*best).max(it.carries);
                failed.extend(it.attested.fails.then_some(name));
            }
        }
        for (number, own, by, froms) in &records {
            let Some(found) = all.get_mut(*number) else {
                continue;
            };
            let (mut carries, mut fails) = (*own, found.attested.fails);
            for from in *froms {
                let level = |by| levels.get(&(from, by)).copied().flatten();
                carries = carries.min(level(by.as_ref()).max(level(None)));
                fails |= failed.contains(from);
            }
            is_changed |= (found.carries, found.attested.fails) != (carries, fails);
            (found.carries, found.attested.fails) = (carries, fails);
        }
    }
    for found in all {
        if found.carries < found.attested.derived.level {
            found.attested.derived = Derived {
                level: found.carries,
                ..Derived::SUCCEEDING
            };
        }
    }
}

/// Gives what an accepted record cites its level, if its signer stated that too, and of the same commit:
/// it is part of what the level was derived from. So does a record that fails: what it cites fails with
/// it, whatever other records say.
pub(super) fn hand_down(all: &mut [Found]) {
    let mut handed: HashMap<_, (Option<Derived>, bool)> = HashMap::new();
    for Found {
        examined, attested, ..
    } in &*all
    {
        let cited = examined.activity();
        let cited = cited.filter(|_| attested.verdict == Verdict::Accepted);
        for evidence in cited.iter().flat_map(|it| &it.evidence) {
            let cited = (
                Some(evidence.digest.clone()),
                Some(evidence.predicate_type.clone()),
                examined.signer(),
                attested.attested_as.clone(),
            );
            let (level, fails) = handed.entry(cited).or_default();
            let derived = attested.derived;
            *level = derived.level.map(|_| derived).or(*level);
            *fails |= attested.fails;
        }
    }
    for Found {
        examined, attested, ..
    } in all
    {
        let cited = (
            attested.digest.clone(),
            attested.predicate_type.clone(),
            examined.signer(),
            attested.attested_as.clone(),
        );
        if let (Verdict::Accepted, None, Some((level, fails))) =
            (attested.verdict, attested.derived.level, handed.get(&cited))
        {
            attested.derived = level.unwrap_or(attested.derived);
            attested.fails |= fails;
        }
    }
}
