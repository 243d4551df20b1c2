//! What others than the signer say of a signature's time, as reports for people show it.

use notme_core::{key::KeyId, time::UnixTime};

use crate::{judge::Judgement, log_entry::LogEntry, time_stamp::TimeStamp};

/// The word of a log or of a time-stamping authority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Clock {
    /// What it is.
    pub(super) what: &'static str,
    /// What came of it.
    pub(super) result: &'static str,
    /// The time in it, if it counts.
    pub(super) at: Option<UnixTime>,
    /// Whose word it is, if it counts.
    pub(super) kid: Option<KeyId>,
}

impl Clock {
    /// Returns what came with a signature.
    pub(super) fn all(judgement: &Judgement) -> impl Iterator<Item = Self> {
        let log_entry = judgement.log_entry().map(|it| {
            let (at, kid) = match it {
                LogEntry::Logged { at, kid } => (Some(*at), Some(*kid)),
                LogEntry::Undated { kid } => (None, Some(*kid)),
                LogEntry::Untrusted | LogEntry::Invalid(_) => (None, None),
            };
            Self {
                what: "log entry",
                result: it.as_str(),
                at,
                kid,
            }
        });
        let time_stamp = judgement.time_stamp().map(|it| {
            let (at, kid) = match it {
                TimeStamp::Trusted { at, kid, .. } => (Some(*at), Some(*kid)),
                TimeStamp::Revoked { kid } => (None, Some(*kid)),
                TimeStamp::Untrusted | TimeStamp::Invalid(_) => (None, None),
            };
            Self {
                what: "time stamp",
                result: it.as_str(),
                at,
                kid,
            }
        });
        log_entry.into_iter().chain(time_stamp)
    }
}
