//! What counts for a time.

use crate::time::UnixTime;

/// Something that is trusted from one second to another, both included.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trusted<T> {
    /// What it is.
    pub value: T,
    /// The first second of its use.
    pub from: UnixTime,
    /// The second in which it was retired: what is judged later does not count.
    pub retired_at: Option<UnixTime>,
}

impl<T> Trusted<T> {
    /// Tells whether something that happened between two seconds was in its time. All times are
    /// written as whole seconds, of which any part may have passed: what `latest` allows for may
    /// reach into the one after the end.
    pub fn was_used(&self, at: UnixTime, latest: UnixTime) -> bool {
        self.from <= at && self.retired_at.is_none_or(|end| is_until(end, at, latest))
    }
}

/// Tells whether something between two seconds was before the end of a use, which it may overlap
/// by less than a second.
pub fn is_until(end: UnixTime, at: UnixTime, latest: UnixTime) -> bool {
    at <= end && latest <= end.plus(1)
}
