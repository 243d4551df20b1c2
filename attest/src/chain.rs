//! The chain of an activity's records: whether all of them are there, in their order, once.
//!
//! A record names the one before by the digest of its signed payload, so what is checked here
//! holds for what was signed, and not for file names or dates.

use std::collections::{HashMap, HashSet};

use notme_verifier::Code;

use crate::predicate::{Position, Record};

/// A record whose signature was judged, under the digest of its payload.
#[derive(Clone, Copy, Debug)]
pub struct Link<'r> {
    /// `sha256:<hex>` of the payload.
    pub digest: &'r str,
    /// Its place.
    pub record: &'r Record,
    /// Whether it names its signer itself, so that nobody else can sign the same.
    pub is_named: bool,
}

/// A whole chain, from its opening record on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    digests: HashMap<String, u64>,
    unnamed: HashSet<String>,
    head: String,
    closed: bool,
}

impl Chain {
    /// Puts the records of one activity, signed by one identity, in order.
    ///
    /// # Errors
    /// [`ChainError`] when they are not one chain, beginning with its opening record.
    pub fn of(links: &[Link<'_>]) -> Result<Self, ChainError> {
        let mut links = links.to_vec();
        links.sort_unstable_by_key(|link| (link.record.sequence, link.digest));
        links.dedup_by_key(|link| link.digest);
        let known: HashSet<_> = links.iter().map(|link| link.digest).collect();
        let mut digests = HashMap::with_capacity(links.len());
        let unnamed = links.iter().filter(|link| !link.is_named);
        let unnamed = unnamed.map(|link| link.digest.to_owned()).collect();
        let mut before: Option<Link<'_>> = None;
        for link in links {
            let Record {
                sequence,
                position,
                previous,
                count,
                ..
            } = link.record;
            match before {
                None if *position != Position::Opening => return Err(ChainError::PrefixMissing),
                None => {}
                Some(last) if last.record.sequence == *sequence => {
                    return Err(ChainError::Fork(*sequence));
                }
                Some(last) if last.record.position == Position::Closing => {
                    return Err(ChainError::Extended(*sequence));
                }
                Some(last) if last.record.sequence.saturating_add(1) != *sequence => {
                    return Err(ChainError::LinkMissing(
                        last.record.sequence.saturating_add(1),
                    ));
                }
                Some(last) if previous.as_deref() != Some(last.digest) => {
                    let is_here = previous.as_deref().is_some_and(|it| known.contains(it));
                    return Err(match is_here {
                        true => ChainError::Reordered(*sequence),
                        false => ChainError::LinkBroken(*sequence),
                    });
                }
                Some(_) => {}
            }
            if count.is_some_and(|count| count != sequence.saturating_add(1)) {
                return Err(ChainError::Count(*sequence));
            }
            digests.insert(link.digest.to_owned(), *sequence);
            before = Some(link);
        }
        let last = before.ok_or(ChainError::PrefixMissing)?;
        Ok(Self {
            digests,
            unnamed,
            head: last.digest.to_owned(),
            closed: last.record.position == Position::Closing,
        })
    }

    /// Returns how many records there are.
    pub fn length(&self) -> usize {
        self.digests.len()
    }

    /// Returns the digest of the last record's payload.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Tells whether the last record ends it. While it does not, nobody can tell whether there
    /// was another.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns the number of a record.
    pub fn sequence(&self, digest: &str) -> Option<u64> {
        self.digests.get(digest).copied()
    }

    /// Returns the number of a record that names its signer.
    pub fn named(&self, digest: &str) -> Option<u64> {
        self.sequence(digest)
            .filter(|_| !self.unnamed.contains(digest))
    }
}

/// The records are not one whole chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// The opening record is not there.
    #[error("the chain's opening record is not here")]
    PrefixMissing,
    /// A record between two others is not there.
    #[error("record {0} of the chain is not here")]
    LinkMissing(u64),
    /// A record names another one before it than the one that is there.
    #[error("record {0} follows another record than the one that is here")]
    LinkBroken(u64),
    /// A record names another one of the chain before it than the one with the number before.
    #[error("record {0} follows another record of the chain than the one before it")]
    Reordered(u64),
    /// Two records have one number.
    #[error("there are two records {0}")]
    Fork(u64),
    /// There are records after the closing one.
    #[error("record {0} comes after the closing one")]
    Extended(u64),
    /// The closing record counts wrong.
    #[error("record {0} closes the chain and counts another number of records")]
    Count(u64),
}

impl ChainError {
    /// Returns the verdict's code.
    pub fn code(self) -> Code {
        match self {
            Self::PrefixMissing => Code::ChainPrefixMissing,
            Self::LinkMissing(_) => Code::ChainLinkMissing,
            Self::LinkBroken(_) => Code::ChainLinkBroken,
            Self::Reordered(_) => Code::ChainReordered,
            Self::Count(_) => Code::ChainCount,
            Self::Fork(_) => Code::ChainFork,
            Self::Extended(_) => Code::ChainExtended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn digest(of: u64) -> String {
        format!("sha256:{of:064x}")
    }

    /// Records of a chain of `length`, each under the digest of its number.
    fn records(length: u64) -> Vec<(String, Record)> {
        let none = BTreeSet::new;
        let after = |sequence: u64| {
            let closing = sequence + 2 == length;
            Record::after(sequence, &digest(sequence), closing, none())
        };
        std::iter::once(Record::opening(None, none()))
            .chain((0..length - 1).map(after))
            .zip(0..)
            .map(|(record, number)| (digest(number), record))
            .collect()
    }

    fn chain(records: &[(String, Record)]) -> Result<Chain, ChainError> {
        let link = |(digest, record)| Link {
            digest,
            record,
            is_named: true,
        };
        let links: Vec<_> = records
            .iter()
            .map(|(digest, record)| (digest.as_str(), record))
            .map(link)
            .collect();
        Chain::of(&links)
    }

    #[test]
    fn takes_a_whole_chain_in_whatever_order_it_comes() {
        let mut all = records(5);
        all.reverse();
        let whole = chain(&all).unwrap();
        assert_eq!(whole.length(), 5);
        assert!(whole.is_closed());
        assert_eq!(whole.head(), digest(4));
        assert_eq!(whole.sequence(&digest(3)), Some(3));
        assert_eq!(whole.sequence(&digest(5)), None);
        // The same file twice is one record.
        all.push(all[0].clone());
        assert_eq!(chain(&all).unwrap(), whole);
    }

    #[test]
    fn every_way_to_break_a_chain_is_told_apart() {
        let all = records(5);
        assert_eq!(chain(&all[1..]), Err(ChainError::PrefixMissing));
        assert_eq!(chain(&[]), Err(ChainError::PrefixMissing));
        let without = |number: usize| {
            let mut some = all.clone();
            some.remove(number);
            chain(&some)
        };
        for number in 1..4 {
            let expected = ChainError::LinkMissing(u64::try_from(number).unwrap());
            assert_eq!(without(number), Err(expected));
        }
        // The tail is gone: whole as far as it goes, and not closed.
        assert!(!without(4).unwrap().is_closed());

        let mut forked = all.clone();
        forked.push((digest(99), all[2].1.clone()));
        assert_eq!(chain(&forked), Err(ChainError::Fork(2)));

        let mut spliced = all.clone();
        spliced[2].0 = digest(99);
        assert_eq!(chain(&spliced), Err(ChainError::LinkBroken(3)));

        // Two records in each other's place.
        let mut swapped = all.clone();
        (swapped[1].0, swapped[2].0) = (digest(2), digest(1));
        assert_eq!(chain(&swapped), Err(ChainError::Reordered(2)));

        let mut extended = all.clone();
        let more = Record::after(4, &digest(4), false, BTreeSet::new());
        extended.push((digest(5), more));
        assert_eq!(chain(&extended), Err(ChainError::Extended(5)));

        let mut miscounted = all.clone();
        miscounted[4].1.count = Some(6);
        assert_eq!(chain(&miscounted), Err(ChainError::Count(4)));
    }
}
