//! Turns that one has at a time, and that nobody waits for without end.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Gives turns.
#[derive(Default)]
pub(super) struct Turns {
    is_taken: Mutex<bool>,
    given_back: Condvar,
}

/// A turn; over when dropped.
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits for a turn; `None` when it takes too long.
    pub(super) fn take(&self) -> Option<Turn<'_>> {
        let waited = self
            .given_back
            .wait_timeout_while(self.lock(), PATIENCE, |is_taken| *is_taken);
        let (mut is_taken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        *is_taken = true;
        Some(Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.given_back.notify_one();
    }
}

/// Longer than a token may be silent, so that those who wait are told of it, too; and shorter than
/// anybody waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(7);
