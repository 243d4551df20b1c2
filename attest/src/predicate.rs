//! What is said: the predicates that we read and write.
//!
//! Types are compared as text and never fetched. Every member that is not ours is kept.

mod acceptance;
mod activity;
mod dispatch;
mod handoff;
mod receive;
mod summary;

use notme_core::{
    hex,
    json::{self, JsonError, Object},
    statement::Statement,
    time::UnixTime,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

pub use self::{
    acceptance::{Acceptance, Decision},
    activity::{
        Activity, ActivityRef, AgentRef, Artifact, Capture, Claim, Event, Evidence, Level,
        Lifecycle, Outcome, Position, Record, Succession, Termination, UNKNOWN,
    },
    dispatch::Dispatch,
    handoff::Handoff,
    receive::Receive,
    summary::{Summary, VerificationResult, Verifier},
};

/// One running execution under an agent definition, as the notme authority's site describes it.
pub const DISPATCH: &str = "https://notme.bot/provenance/dispatch/v1";
/// What one phase of a pipeline leaves for the next, likewise.
pub const HANDOFF: &str = "https://notme.bot/provenance/handoff/v1";
/// The same in the words of the rosary orchestrator. Read, never written.
pub const HANDOFF_ROSARY: &str = "https://rosary.dev/Handoff/v1";
/// A record of one bounded course of agent work, and its place in the chain of them.
pub const ACTIVITY: &str = notme_core::statement::ACTIVITY_TYPE;
/// Who accepted which commits, and on what evidence.
pub const ACCEPTANCE: &str = "https://notme.bot/attestation/acceptance/v1";
/// Which commits a repository received, and when.
pub const RECEIVE: &str = "https://notme.bot/attestation/receive/v1";
/// Who verified which commits, and whether they passed (SLSA).
pub const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";

/// Tells whether what is of a type answers to the work on a commit, and is none.
pub fn is_answer(predicate_type: &str) -> bool {
    matches!(predicate_type, ACCEPTANCE | RECEIVE | SUMMARY)
}

/// A predicate that was read.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// [`DISPATCH`].
    Dispatch(Box<Dispatch>),
    /// [`HANDOFF`] and [`HANDOFF_ROSARY`].
    Handoff(Box<Handoff>),
    /// [`ACTIVITY`].
    Activity(Box<Activity>),
    /// [`ACCEPTANCE`].
    Acceptance(Acceptance),
    /// [`RECEIVE`].
    Receive(Box<Receive>),
    /// [`SUMMARY`].
    Summary(Box<Summary>),
}

impl Predicate {
    /// Reads what a statement says.
    ///
    /// # Errors
    /// [`PredicateError::Unknown`] for a type that is none of ours, else the rule that is broken.
    pub fn read(statement: &Statement) -> Result<Self, PredicateError> {
        let predicate = statement.predicate();
        Ok(match statement.predicate_type() {
            DISPATCH => Self::Dispatch(read(predicate, |it: &Dispatch| it.check(statement))?),
            HANDOFF | HANDOFF_ROSARY => {
                Self::Handoff(read(predicate, |it: &Handoff| it.check(statement))?)
            }
            ACTIVITY => Self::Activity(read(predicate, |it: &Activity| it.check(statement))?),
            ACCEPTANCE => {
                Self::Acceptance(*read(predicate, |it: &Acceptance| it.check(statement))?)
            }
            RECEIVE => Self::Receive(read(predicate, |it: &Receive| it.check(statement))?),
            SUMMARY => Self::Summary(read(predicate, |it: &Summary| it.check(statement))?),
            other => return Err(PredicateError::Unknown(other.to_owned())),
        })
    }

    /// Returns the one word for what is said.
    pub fn word(&self, fails: bool) -> &'static str {
        let fails = fails || self.fails();
        match self {
            Self::Dispatch(_) if fails => "dispatch-failure",
            Self::Dispatch(_) => "dispatch",
            Self::Handoff(_) if fails => "handoff-failure",
            Self::Handoff(_) => "handoff",
            Self::Activity(_) if fails => "activity-failure",
            Self::Activity(_) => "activity",
            Self::Acceptance(it) => match it.decision {
                Decision::Accepted => "acceptance",
                Decision::Rejected => "rejection",
            },
            Self::Receive(_) => "receive",
            Self::Summary(it) => match it.verification_result {
                VerificationResult::Passed => "verification-summary",
                VerificationResult::Failed => "verification-failure",
            },
        }
    }

    /// Returns how the work came out.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Dispatch(it) => it.outcome(),
            Self::Activity(it) => Some(it.outcome),
            Self::Handoff(_) | Self::Acceptance(_) | Self::Receive(_) | Self::Summary(_) => None,
        }
    }

    /// Returns what an acceptance decides.
    pub fn decision(&self) -> Option<Decision> {
        match self {
            Self::Acceptance(it) => Some(it.decision),
            Self::Dispatch(_)
            | Self::Handoff(_)
            | Self::Activity(_)
            | Self::Receive(_)
            | Self::Summary(_) => None,
        }
    }

    /// Returns what came of a verification.
    pub fn verification(&self) -> Option<VerificationResult> {
        match self {
            Self::Dispatch(it) => it.verification(),
            Self::Summary(it) => Some(it.verification_result),
            Self::Handoff(_) | Self::Activity(_) | Self::Acceptance(_) | Self::Receive(_) => None,
        }
    }

    /// Returns how the work came out, by all that it says: what failed its verification did not succeed.
    pub fn stated_outcome(&self) -> Option<Outcome> {
        match self.fails() {
            true => Some(Outcome::Failed),
            false => self.outcome(),
        }
    }

    /// Tells whether it says that what it tells of failed.
    pub fn fails(&self) -> bool {
        self.outcome() == Some(Outcome::Failed)
            || self.verification() == Some(VerificationResult::Failed)
    }

    /// Returns when it was stated, as it says itself.
    pub fn stated_at(&self) -> Option<UnixTime> {
        let text = match self {
            Self::Dispatch(it) => it.completed_at()?,
            Self::Handoff(_) => return None,
            Self::Activity(it) => &it.recorded_at,
            Self::Acceptance(it) => &it.accepted_at,
            Self::Receive(it) => &it.received_at,
            Self::Summary(it) => &it.time_verified,
        };
        date_time(text)
    }

    /// Returns the digest that stands for the origins of what was read.
    pub fn origins_hash(&self) -> Option<&str> {
        match self {
            Self::Dispatch(it) => it.origins_hash(),
            Self::Activity(it) => it.origins_hash.as_deref(),
            Self::Handoff(_) | Self::Acceptance(_) | Self::Receive(_) | Self::Summary(_) => None,
        }
    }
}

/// What a statement says is not what its type promises.
#[derive(Debug, thiserror::Error)]
pub enum PredicateError {
    /// None of ours.
    #[error("predicate type `{}` is none that notme knows", .0.escape_debug())]
    Unknown(String),
    /// Members of the wrong shape.
    #[error("the predicate is malformed: {0}")]
    Json(#[source] JsonError),
    /// A member with a value outside its range.
    #[error("the predicate's {0}")]
    Rule(&'static str),
}

fn read<T: DeserializeOwned>(
    predicate: &Object,
    check: impl Fn(&T) -> Result<(), PredicateError>,
) -> Result<Box<T>, PredicateError> {
    let read: T = json::read_object(predicate).map_err(PredicateError::Json)?;
    check(&read)?;
    Ok(Box::new(read))
}

/// Checks a digest as [`check_digest`], and that it is a subject's, if any has one by SHA-256.
fn check_subject(
    (digest, statement): (&str, &Statement),
    malformed: &'static str,
    other: &'static str,
) -> Result<(), PredicateError> {
    check_digest(digest, malformed)?;
    let mut named = statement.digests("sha256").peekable();
    match named.peek().is_none() || named.any(|it| digest.strip_prefix("sha256:") == Some(it)) {
        true => Ok(()),
        false => Err(PredicateError::Rule(other)),
    }
}

/// Checks `sha256:<64 lower-case hex>`.
fn check_digest(text: &str, rule: &'static str) -> Result<(), PredicateError> {
    let digest = text.strip_prefix("sha256:");
    match digest.and_then(hex::decode_array::<32>) {
        Some(_) => Ok(()),
        None => Err(PredicateError::Rule(rule)),
    }
}

fn check_time(text: &str, rule: &'static str) -> Result<(), PredicateError> {
    match date_time(text) {
        Some(_) => Ok(()),
        None => Err(PredicateError::Rule(rule)),
    }
}

/// Reads a date-time of RFC 3339 section 5.6, in whatever zone, to the second.
fn date_time(text: &str) -> Option<UnixTime> {
    let (whole, rest) = text.split_at_checked(19)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let has_digits = rest.len() == zone.len() || rest.len() > zone.len() + 1;
    let ahead = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h, i, b':', m, n] => {
            let digit = |digit: &u8| char::from(*digit).to_digit(10).map(i64::from);
            let hours = digit(h)? * 10 + digit(i)?;
            let minutes = digit(m)? * 10 + digit(n)?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let ahead = hours * 3600 + minutes * 60;
            if *sign == b'+' { ahead } else { -ahead }
        }
        _ => return None,
    };
    let whole = format!("{}Z", whole.replacen(['t', ' '], "T", 1));
    let at: UnixTime = whole.parse().ok()?;
    has_digits.then(|| at.plus(-ahead))
}

/// Tells whether a text is a UUID (RFC 9562 section 4).
fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups
            .concat()
            .bytes()
            .all(|digit| digit.is_ascii_hexdigit())
}

/// Reads a member that is there, of which `null` is no value.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Declares an object all of whose members are optional, and that keeps what it does not know.
macro_rules! open_object {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, serde::Deserialize, PartialEq, serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $(
                $(#[$doc])*
                #[serde(
                    default,
                    deserialize_with = "crate::predicate::present",
                    skip_serializing_if = "Option::is_none"
                )]
                pub $field: Option<$kind>,
            )*
            /// What else stands there.
            #[serde(flatten)]
            pub more: notme_core::json::Object,
        }
    };
}
use open_object;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_time_is_the_same_in_every_zone() {
        let at = date_time("2026-11-20T12:00:00Z");
        for same in ["2026-11-20T13:30:00+01:30", "2026-11-20t07:00:00.9-05:00"] {
            assert_eq!(date_time(same), at, "{same}");
        }
    }

    #[test]
    fn knows_a_date_time() {
        for good in [
            "2026-11-20T12:00:00Z",
            "2026-11-20t12:00:00.123456789z",
            "2026-11-20T12:00:00+01:00",
        ] {
            assert!(date_time(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "2026-11-20",
            "2026-11-20T12:00:00",
            "2026-11-20T12:00:00.Z",
            "2026-13-20T12:00:00Z",
            "2026-11-20T25:00:00Z",
            "2026-11-20T12:00:00+1:00",
            "2026-11-20T12:00:00+25:00",
            "2026-11-20T12:00:00Zé",
        ] {
            assert!(date_time(bad).is_none(), "{bad}");
        }
    }
}
