//! Serial numbers of SSH certificates: 64 bits, too few to be drawn at random without thought.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use notme_core::time::UnixTime;

use crate::store::{Store, StoreError};

/// Numbers that were set aside in the store, to be given out without asking it each time.
///
/// None is given out twice: a block is set aside before its first number is used, what a killed
/// process leaves of it is lost, and blocks begin above the seconds since 1970, so that a store
/// put back from a backup does not begin again where the backup was made.
#[derive(Debug, Default)]
pub(crate) struct Serials(Mutex<Range<u64>>);

impl Serials {
    /// Returns a number that was never returned before.
    pub(crate) fn next(&self, store: &dyn Store, now: UnixTime) -> Result<u64, StoreError> {
        let mut block = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(serial) = block.next() {
            return Ok(serial);
        }
        let seconds = u64::try_from(now.secs()).unwrap_or_default();
        let least = seconds.saturating_mul(PER_SECOND).max(1);
        let first = store.reserve_ssh_serials(least, BLOCK)?;
        *block = first.saturating_add(1)..first.saturating_add(BLOCK);
        Ok(first)
    }
}

/// How many numbers are set aside at once.
const BLOCK: u64 = 1 << 16;
/// More than can be given out in a second; times the seconds of five hundred years it still fits
/// into SQLite's 63 bits.
const PER_SECOND: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::SqliteStore;

    const NOW: UnixTime = UnixTime::from_secs(1_795_176_000);

    #[test]
    fn never_gives_a_number_out_twice() {
        let store = SqliteStore::in_memory().unwrap();
        let (one, other) = (Serials::default(), Serials::default());
        let mut seen = BTreeSet::new();
        for _ in 0..BLOCK + 10 {
            assert!(seen.insert(one.next(&store, NOW).unwrap()));
        }
        assert!(seen.insert(other.next(&store, NOW).unwrap()));
        let earlier = Serials::default();
        assert!(seen.insert(earlier.next(&store, UnixTime::from_secs(0)).unwrap()));
    }

    #[test]
    fn a_restored_store_does_not_begin_again() {
        let backup = SqliteStore::in_memory().unwrap();
        let then = Serials::default();
        let last = (0..1000).map(|_| then.next(&backup, NOW).unwrap()).max();
        let restored = SqliteStore::in_memory().unwrap();
        let first = Serials::default().next(&restored, NOW.plus(1)).unwrap();
        assert!(Some(first) > last);
    }
}
