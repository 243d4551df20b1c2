//! `https://notme.bot/attestation/receive/v1`: which commits a repository had not seen before, and
//! when it received them. Who says so is the certificate's identity; the commits are the
//! statement's subjects.

use notme_core::{json::Object, object::HashKind, statement::Statement, time::UnixTime};
use serde::{Deserialize, Serialize};

use super::{PredicateError, present};

/// What a push brought to one ref.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receive {
    /// The repository, by its URI.
    pub repository: String,
    /// The ref that was pushed to.
    #[serde(rename = "ref")]
    pub reference: String,
    /// What it named before; absent when it was not there.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub old: Option<String>,
    /// What it named then.
    pub new: String,
    /// Who signed the push, if it was signed.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub pusher: Option<String>,
    /// When it was received.
    pub received_at: String,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

impl Receive {
    /// Returns when it was received; the check is that there is such a time.
    pub fn received_at(&self) -> Option<UnixTime> {
        self.received_at.parse().ok()
    }

    pub(super) fn check(&self, statement: &Statement) -> Result<(), PredicateError> {
        let rule = |is_kept: bool, rule| match is_kept {
            true => Ok(()),
            false => Err(PredicateError::Rule(rule)),
        };
        let is_id = |id: &String| HashKind::of_object_id(id.as_bytes()).is_some();
        rule(
            self.received_at().is_some(),
            "`receivedAt` is not a time in UTC, to the second",
        )?;
        rule(self.repository.contains(':'), "`repository` is not a URI")?;
        rule(
            self.reference.starts_with("refs/"),
            "`ref` is no full name of a ref",
        )?;
        rule(
            is_id(&self.new) && self.old.iter().all(is_id),
            "`old` or `new` is no object id",
        )?;
        rule(
            statement.digests("gitCommit").next().is_some(),
            "subjects hold no commit",
        )
    }
}
