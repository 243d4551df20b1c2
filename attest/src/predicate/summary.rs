//! `https://slsa.dev/verification_summary/v1`: who verified what, by which policy, and whether it
//! passed (slsa.dev/spec/v1.2/verification_summary).

use std::collections::BTreeMap;

use notme_core::{identity::is_uri, json::Object, statement::Statement};
use serde::{Deserialize, Serialize};

use super::{PredicateError, check_time};

/// A summary of a verification.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Who verified.
    pub verifier: Verifier,
    /// When.
    pub time_verified: String,
    /// What the subjects are revisions of.
    pub resource_uri: String,
    /// By what: a resource descriptor.
    pub policy: Object,
    /// Whether everything was accepted.
    pub verification_result: VerificationResult,
    /// What follows from that.
    pub verified_levels: Vec<String>,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

/// Who verified.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Verifier {
    /// The identity; ours is the certificate's.
    pub id: String,
    /// The programs that it used, and their versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

/// The answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VerificationResult {
    /// Everything was accepted.
    Passed,
    /// Something was not.
    Failed,
}

impl VerificationResult {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
        }
    }

    /// Returns the levels that follow from the answer. That a history is in git is all that SLSA
    /// asks of its first; the second says that notme accepted every object by the rules of the policy,
    /// and excused none.
    pub fn levels(self, is_any_excused: bool) -> Vec<String> {
        let levels: &[&str] = match self {
            Self::Passed if is_any_excused => &[VERSIONED],
            Self::Passed => &[VERSIONED, "ORG_SOURCE_NOTME_ACCEPTED"],
            Self::Failed => &[FAILED],
        };
        levels.iter().copied().map(str::to_owned).collect()
    }
}

impl Summary {
    /// The member that holds what was selected.
    pub const RANGE: &str = "notme_range";

    /// Returns what was selected, where we or whoever does as we do verified.
    pub fn range(&self) -> Option<&str> {
        self.more.get(Self::RANGE)?.as_str()
    }

    pub(super) fn check(&self, statement: &Statement) -> Result<(), PredicateError> {
        check_time(&self.time_verified, "`timeVerified` is not a date-time")?;
        if !self.verifier.id.contains(':') || !is_uri(&self.resource_uri) {
            return Err(PredicateError::Rule(
                "`verifier.id` or `resourceUri` is not a URI",
            ));
        }
        let is_named = ["uri", "digest", "content"];
        if !is_named.iter().any(|it| self.policy.contains_key(*it)) {
            return Err(PredicateError::Rule("`policy` names none"));
        }
        let failed = self.verified_levels.iter().any(|level| level == FAILED);
        if self.verified_levels.is_empty()
            || failed && self.verification_result == VerificationResult::Passed
        {
            return Err(PredicateError::Rule(
                "`verifiedLevels` do not follow from the result",
            ));
        }
        let mut revisions = ["gitCommit", "gitTag"]
            .into_iter()
            .flat_map(|algorithm| statement.digests(algorithm));
        match revisions.next() {
            Some(_) => Ok(()),
            None => Err(PredicateError::Rule("subjects hold no commit or tag")),
        }
    }
}

const FAILED: &str = "FAILED";
/// That the history is in git.
const VERSIONED: &str = "SLSA_SOURCE_LEVEL_1";
