//! `https://notme.bot/attestation/acceptance/v1`: who accepted which commits, on what evidence.
//! Who it was is the certificate's identity; the commits are the statement's subjects.

use notme_core::{json::Object, statement::Statement};
use serde::{Deserialize, Serialize};

use super::{Evidence, PredicateError, check_time, present};

/// An acceptance.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Acceptance {
    /// The answer.
    pub decision: Decision,
    /// What was looked at: statements, by the digest of their payload.
    pub evidence: Vec<Evidence>,
    /// Why, in words.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub reason: Option<String>,
    /// When.
    pub accepted_at: String,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

/// What was decided about the commits.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// They are taken.
    Accepted,
    /// They are not.
    Rejected,
}

impl Decision {
    /// Returns its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

impl Acceptance {
    pub(super) fn check(&self, statement: &Statement) -> Result<(), PredicateError> {
        check_time(&self.accepted_at, "`acceptedAt` is not a date-time")?;
        self.evidence.iter().try_for_each(Evidence::check)?;
        match statement.digests("gitCommit").next() {
            Some(_) => Ok(()),
            None => Err(PredicateError::Rule("subjects hold no commit")),
        }
    }
}
