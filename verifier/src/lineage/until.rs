//! Until when an accepted commit stays accepted, if everything stays as it is.

use notme_core::time::UnixTime;

use crate::{
    cache::{Reader, Writer},
    policy::Policy,
    trust::Trust,
};

/// The last moment at which something stands; also, as the strictest of the policies that it rests on has
/// it, how old a trust document may be. A newer document changes nothing about that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    at: UnixTime,
    /// How long after it was issued a document counts, in seconds, where a policy sets that.
    age: Option<i64>,
    /// How long after its end, where one does not.
    over: Option<i64>,
}

impl Until {
    /// No end.
    pub(super) const ALWAYS: Self = Self::at(UnixTime::from_secs(i64::MAX));
    /// No longer than this run.
    pub(super) const NEVER: Self = Self::at(UnixTime::from_secs(i64::MIN));

    /// As long as the clock says.
    pub(super) const fn at(at: UnixTime) -> Self {
        Self {
            at,
            age: None,
            over: None,
        }
    }

    /// As long as a policy takes the trust documents that there are.
    pub(super) fn fresh_for(policy: &Policy) -> Self {
        let skew = i64::from(policy.skew_seconds());
        let age = policy.max_trust_age_seconds();
        Self {
            age: age.map(|age| skew + i64::from(age)),
            over: age.is_none().then_some(skew),
            ..Self::ALWAYS
        }
    }

    /// As long as both.
    pub(super) fn min(self, other: Self) -> Self {
        let lower = |one: Option<i64>, other| one.into_iter().chain(other).min();
        Self {
            at: self.at.min(other.at),
            age: lower(self.age, other.age),
            over: lower(self.over, other.over),
        }
    }

    /// Tells whether it is not over. While any document is too old, nobody knows what would change with it.
    pub(super) fn holds(self, now: UnixTime, trust: &Trust) -> bool {
        let mut documents = trust.authorities().iter().filter_map(|it| it.document());
        now <= self.at
            && documents.all(|document| {
                self.age
                    .is_none_or(|age| now <= document.issued_at.plus(age))
                    && (self.over).is_none_or(|over| now <= document.expires_at.plus(over))
            })
    }

    pub(super) fn write(self, to: &mut Writer<'_>) {
        to.time(self.at);
        for length in [self.age, self.over] {
            to.maybe(length, |to, secs| to.time(UnixTime::from_secs(secs)));
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let at = from.time()?;
        let mut length = || Some(from.maybe(Reader::time)?.map(UnixTime::secs));
        Some(Self {
            at,
            age: length()?,
            over: length()?,
        })
    }
}
