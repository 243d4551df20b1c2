//! A clock that moves only when told to.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use notme_core::time::UnixTime;

/// The time every test starts at: 2026-11-20T12:00:00Z.
pub const NOW: UnixTime = UnixTime::from_secs(1_795_176_000);

/// A clock that stands still at [`NOW`] until a test moves it. Clones share the time.
#[derive(Clone, Debug)]
pub struct FixedClock(Arc<AtomicI64>);

impl FixedClock {
    /// Returns a clock that shows `at`.
    pub fn at(at: UnixTime) -> Self {
        Self(Arc::new(AtomicI64::new(at.secs())))
    }

    /// Returns the time it shows.
    pub fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::SeqCst))
    }

    /// Moves it by `secs`, backwards when negative.
    pub fn advance(&self, secs: i64) {
        self.0.fetch_add(secs, Ordering::SeqCst);
    }

    /// Returns it as the closure that library code takes for a clock.
    pub fn reader(&self) -> impl Fn() -> UnixTime + Clone + Send + Sync + 'static {
        let clock = self.clone();
        move || clock.now()
    }
}

impl Default for FixedClock {
    fn default() -> Self {
        Self::at(NOW)
    }
}
