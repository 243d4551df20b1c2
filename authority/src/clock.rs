//! Where the time comes from.

use std::time::{SystemTime, UNIX_EPOCH};

use notme_core::time::UnixTime;

/// A source of the current time; tests bring their own.
pub trait Clock: Send + Sync {
    /// Returns milliseconds since 1970-01-01T00:00:00Z.
    fn now_millis(&self) -> i64;

    /// Returns the current second.
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.now_millis().div_euclid(1000))
    }
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_millis(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            // A clock before 1970 is broken; every certificate it could make would be refused.
            Err(_) => 0,
        }
    }
}
