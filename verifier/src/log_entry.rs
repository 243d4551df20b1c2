//! What a log's answer about a signature shows: gitsign keeps it among the unsigned attributes of
//! CMS.

use notme_core::{
    cms::SignedMessage,
    key::KeyId,
    rekor::{HashedRekord, LogEntry as Answer, LogEntryError, LogKey, Logged},
    time::UnixTime,
    trust::Trusted,
};

use crate::{anchor::Anchor, refusal::Refusal, verdict::Code};

/// What came of a signature's log entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogEntry {
    /// A log that the signer's authority names promised at this time to take it in, or also proved
    /// that it did.
    Logged {
        /// The time, as the log signed it.
        at: UnixTime,
        /// The id of the log's key.
        kid: KeyId,
    },
    /// It is in such a log, and nothing signed says since when. It shows no time.
    Undated {
        /// The id of the log's key.
        kid: KeyId,
    },
    /// There is one, of a log that the signer's authority does not name, or of a kind that is not
    /// read. It counts for nothing and harms nothing.
    Untrusted,
    /// It is broken, or about another signature, or falsely in the name of a trusted log; says how.
    Invalid(Box<str>),
}

impl LogEntry {
    /// Returns the word for it in reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Logged { .. } => "logged",
            Self::Undated { .. } => "undated",
            Self::Untrusted => "untrusted",
            Self::Invalid(_) => "invalid",
        }
    }

    /// Looks at the log entry of a message whose signer `anchor` vouches for.
    pub(crate) fn of(message: &SignedMessage, anchor: &Anchor) -> Option<Self> {
        Some(
            match Self::read(message.log_entry()?, message, &anchor.logs) {
                Ok(found) => found,
                Err(error) => Self::Invalid(error.to_string().into()),
            },
        )
    }

    fn read(
        answer: &[u8],
        message: &SignedMessage,
        logs: &[Trusted<LogKey>],
    ) -> Result<Self, LogEntryError> {
        // Where no log counts, there is nothing that it could be compared with.
        if logs.is_empty() {
            return Ok(Self::Untrusted);
        }
        let answer = match Answer::parse(answer) {
            Err(error) if error.is_unsupported() => return Ok(Self::Untrusted),
            answer => answer?,
        };
        // One key, in one time of its use or in several.
        let is_named = |log: &&Trusted<LogKey>| log.value.log_id() == *answer.log_id();
        let named = || logs.iter().filter(is_named);
        let Some(log) = named().next() else {
            return Ok(Self::Untrusted);
        };
        let signed = message.signed_attributes();
        let entry = HashedRekord::new(signed, message.signature(), message.signer());
        let kid = log.value.public_key().kid();
        Ok(match answer.verify(&log.value, &entry)? {
            Logged::At(at) if named().any(|log| log.was_used(at, at)) => Self::Logged { at, kid },
            Logged::At(at) => Self::Invalid(
                format!("the log entry is of {at}, when the log did not answer").into(),
            ),
            Logged::SinceWhenever => Self::Undated { kid },
        })
    }

    /// Returns why the object is refused for it.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Invalid(detail) => Err(Refusal::new(Code::LogEntryInvalid, detail.clone())),
            Self::Logged { .. } | Self::Undated { .. } | Self::Untrusted => Ok(()),
        }
    }
}
