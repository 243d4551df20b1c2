//! What is kept in a place, judged and ordered.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    iter,
    sync::Arc,
};

use notme_verifier::Judgement;

use crate::{
    level::follows,
    predicate::{Activity, Lifecycle},
};

use super::{
    GoesOn,
    attested::keep_best,
    examined::{Examined, Whose},
};

/// What is kept in a place.
#[derive(Debug)]
pub(super) struct Shelved {
    /// Of the copies of a statement by one key, the best.
    pub(super) all: Vec<Arc<Examined>>,
    pub(super) by_digest: HashMap<String, Vec<usize>>,
    /// The records of each chain. Others' records under the same id are others' chains.
    pub(super) chains: HashMap<Whose, Vec<usize>>,
}

impl Shelved {
    pub(super) fn of(mut all: Vec<Arc<Examined>>) -> Self {
        // Anybody can make as many copies as they like.
        let same = |it: &Arc<Examined>| {
            let by = it.judgement.as_ref()?.signed_by()?;
            Some((it.digest.clone()?, by.identity, by.authority, by.kid))
        };
        let worth = |it: &Arc<Examined>| {
            let holds = it.signer().is_some() && it.contradiction.is_none();
            let judgement = it.judgement.as_deref();
            let basis = judgement.and_then(Judgement::time_basis);
            let at = judgement.and_then(Judgement::judged_at);
            (holds, basis, Reverse(at))
        };
        keep_best(&mut all, same, worth);
        let mut by_digest: HashMap<String, Vec<usize>> = HashMap::new();
        let mut chains: HashMap<Whose, Vec<usize>> = HashMap::new();
        for (number, it) in all.iter().enumerate() {
            if let Some(digest) = &it.digest {
                by_digest.entry(digest.clone()).or_default().push(number);
            }
            if let Some(whose) = it.whose() {
                chains.entry(whose).or_default().push(number);
            }
        }
        // What a record goes on from was there when that was signed, whatever shows its own time.
        for (whose, records) in &mut chains {
            let mut next = 0;
            while let Some(record) = records.get(next).and_then(|it| all.get(*it)) {
                next += 1;
                let before = record.previous().and_then(|it| by_digest.get(it));
                for number in before.into_iter().flatten() {
                    let is_one = |it: &Arc<Examined>| it.whose_untimed().as_ref() == Some(whose);
                    if all.get(*number).is_some_and(is_one) && !records.contains(number) {
                        records.push(*number);
                    }
                }
            }
        }
        Self {
            all,
            by_digest,
            chains,
        }
    }

    /// Returns the statements with a digest.
    pub(super) fn copies(&self, digest: &str) -> impl Iterator<Item = &Arc<Examined>> {
        self.numbered(self.by_digest.get(digest))
    }

    /// Returns the records of a chain.
    pub(super) fn records(&self, whose: &Whose) -> impl Iterator<Item = &Arc<Examined>> {
        self.numbered(self.chains.get(whose))
    }

    /// Returns a record, and those that come after it with nothing that shows their time, none of which ends
    /// the chain; without one, all of those from the opening one on.
    pub(super) fn since(
        &self,
        last: Option<&Arc<Examined>>,
        is_meant: impl Fn(&Whose) -> bool,
        goes_on: GoesOn<'_>,
    ) -> Vec<Arc<Examined>> {
        let meant: HashSet<_> = self.back_from(goes_on.after).collect();
        let by = |record: &Arc<Examined>| {
            let kid = record.judgement.as_ref().and_then(|it| it.kid());
            let is_by = goes_on.by.is_some() && kid == goes_on.by;
            let is_before = record
                .digest
                .as_deref()
                .is_some_and(|it| meant.contains(it));
            (is_by || is_before).then_some(is_before)
        };
        let after = |last: Option<&Arc<Examined>>| self.untimed_after(last, &is_meant, by);
        let first = last.or_else(|| after(None));
        iter::successors(first, |last| after(Some(last)))
            .cloned()
            .collect()
    }

    /// Returns the digest of a record, and those of what it goes on from.
    pub(super) fn back_from<'s>(
        &'s self,
        digest: Option<&'s str>,
    ) -> impl Iterator<Item = &'s str> {
        let before = |digest: &&str| self.copies(digest).find_map(|it| it.previous());
        iter::successors(digest, before)
    }

    /// Finds what comes after a record, of those that somebody counts; what is worth more, of several.
    fn untimed_after(
        &self,
        last: Option<&Arc<Examined>>,
        is_meant: impl Fn(&Whose) -> bool,
        worth: impl Fn(&Arc<Examined>) -> Option<bool>,
    ) -> Option<&Arc<Examined>> {
        let before = last.and_then(|it| it.activity());
        let previous = last.and_then(|it| it.digest.as_deref());
        let sequence = before.map_or(0, |it| it.chain.sequence.saturating_add(1));
        let next = self.all.iter().filter(|it| {
            let goes_on = |record: &Activity| {
                record.chain.previous.as_deref() == previous
                    && record.chain.sequence == sequence
                    && follows(before, record)
                    && record.lifecycle != Lifecycle::Ended
            };
            it.activity().is_some_and(goes_on) && it.whose_untimed().as_ref().is_some_and(&is_meant)
        });
        let counted = next.filter_map(|it| Some((worth(it)?, it)));
        let (_, next) = counted.min_by_key(|(worth, _)| Reverse(*worth))?;
        Some(next)
    }

    fn numbered<'s>(
        &'s self,
        numbers: Option<&'s Vec<usize>>,
    ) -> impl Iterator<Item = &'s Arc<Examined>> {
        let numbers = numbers.into_iter().flatten();
        numbers.filter_map(|number| self.all.get(*number))
    }
}
