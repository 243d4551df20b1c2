//! Points in time, in whole seconds.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use der::DateTime;
use serde::{Deserialize, Serialize};

/// A point in time: whole seconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// In JSON it is an integer, as in the documents of the notme authority; for people it is
/// RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct UnixTime(i64);

impl UnixTime {
    /// Wraps a number of seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    /// Returns the number of seconds.
    pub const fn secs(self) -> i64 {
        self.0
    }

    /// Returns the time `secs` later, or earlier when negative; saturates at the ends.
    pub const fn plus(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// Returns the calendar form, for years 1970 to 9999: what DER and RFC 3339 can write.
    pub(crate) fn to_calendar(self) -> Option<DateTime> {
        DateTime::from_unix_duration(Duration::from_secs(u64::try_from(self.0).ok()?)).ok()
    }
}

impl From<DateTime> for UnixTime {
    fn from(at: DateTime) -> Self {
        Self(i64::try_from(at.unix_duration().as_secs()).unwrap_or(i64::MAX))
    }
}

impl From<SystemTime> for UnixTime {
    fn from(at: SystemTime) -> Self {
        match at.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
            Err(before) => {
                Self(i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |secs| -secs))
            }
        }
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_calendar() {
            Some(at) => at.fmt(f),
            None => write!(f, "@{}", self.0),
        }
    }
}

/// The text is not an RFC 3339 time in UTC with whole seconds.
#[derive(Debug, thiserror::Error)]
#[error("not a time of the form `2026-11-20T12:00:00Z`")]
pub struct ParseTimeError;

impl FromStr for UnixTime {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<DateTime>()
            .map(Self::from)
            .map_err(|_| ParseTimeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_rfc_3339() {
        let at = UnixTime::from_secs(1_786_064_523);
        assert_eq!(at.to_string(), "2026-08-07T01:02:03Z");
        assert_eq!("2026-08-07T01:02:03Z".parse::<UnixTime>().unwrap(), at);
    }

    #[test]
    fn times_before_1970_are_printed_as_numbers_and_never_wrap() {
        assert_eq!(UnixTime::from_secs(-1).to_string(), "@-1");
        assert_eq!(UnixTime::from_secs(i64::MAX).plus(1).secs(), i64::MAX);
    }
}
