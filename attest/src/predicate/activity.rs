//! `https://notme.bot/attestation/activity/v1`: a record of one bounded course of agent work, as
//! APAS 0.4 level L1 asks for it, with its place in the chain of that activity's records.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use notme_core::{
    hex,
    json::Object,
    key::sha256,
    statement::{Statement, Subject},
};
use serde::{Deserialize, Serialize};

use super::{PredicateError, check_digest, check_time, present};
use crate::level::TOOL_CALL;

/// What stands where a fact is not known: stated, so that it is not taken for forgotten.
pub const UNKNOWN: &str = "unknown";
/// The domain label of a record.
const LABEL: &str = "notme-activity-chain";
const VERSION: u64 = 1;
/// The longest id of an activity, in bytes.
const ID_MAX: usize = 256;

/// A record of an activity.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// Which.
    pub activity: ActivityRef,
    /// The AI agent, in the words of whoever ran it. It is no identity.
    pub agent: AgentRef,
    /// The identity of the workload, which has to be that of the certificate; or [`UNKNOWN`].
    pub workload: String,
    /// The model, or [`UNKNOWN`].
    pub model: String,
    /// Who runs the model, or [`UNKNOWN`].
    pub provider: String,
    /// What changed its behaviour: instructions, context, configuration.
    pub inputs: Vec<Artifact>,
    /// What came of it, beside the commits.
    pub outputs: Vec<Artifact>,
    /// What it did, since the record before.
    pub events: Vec<Event>,
    /// Whether it goes on.
    pub lifecycle: Lifecycle,
    /// Why it ended; there when it did.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub termination: Option<Termination>,
    /// How the work came out. That it ended says nothing about it.
    pub outcome: Outcome,
    /// What is recorded, and what is not.
    pub capture: Capture,
    /// Other statements that this one rests on.
    pub evidence: Vec<Evidence>,
    /// Which commits took the place of which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub succeeds: Vec<Succession>,
    /// The digest of the set of content origins.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub origins_hash: Option<String>,
    /// The level that is claimed. What is derived may differ.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub claim: Option<Claim>,
    /// When this was recorded.
    pub recorded_at: String,
    /// Its place in the chain.
    pub chain: Record,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

/// An activity.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityRef {
    /// Its id: the same through all its segments.
    pub id: String,
    /// The number of the segment: 1 until it is first resumed.
    pub segment: u64,
    /// The activity that started it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub parent: Option<String>,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

/// An AI agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentRef {
    /// Its name.
    pub name: String,
    /// The digest of its definition, or [`UNKNOWN`].
    pub definition: String,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

/// An input or an output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// What it is called.
    pub name: String,
    /// Its digests, by algorithm.
    pub digest: BTreeMap<String, String>,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

/// Something that the agent did.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What kind of thing: `tool-call` and others.
    pub kind: String,
    /// Which: the tool's name.
    pub name: String,
    /// When.
    pub at: String,
    /// The digest of what went in.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub input: Option<String>,
    /// The digest of what came out.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub output: Option<String>,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

impl Event {
    /// Tells whether it is a tool call, however that is spelled.
    pub fn is_tool_call(&self) -> bool {
        word(&self.kind) == word(TOOL_CALL)
    }
}

/// Whether an activity goes on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// It does.
    Active,
    /// It may be resumed.
    Suspended,
    /// It is over for good.
    Ended,
}

impl Lifecycle {
    /// Returns its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
        }
    }
}

/// Why an activity ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Termination {
    /// By itself.
    Completed,
    /// Somebody stopped it.
    Cancelled,
    /// Its time was over.
    Expired,
    /// It broke.
    Failed,
    /// Nobody knows.
    Unknown,
}

impl Termination {
    /// Returns its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// How the work came out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should.
    Succeeded,
    /// It did not.
    Failed,
    /// In part.
    Partial,
    /// Nobody knows.
    Unknown,
}

impl Outcome {
    /// Returns its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
        }
    }
}

/// What is recorded, and what is not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capture {
    /// What is.
    pub includes: Vec<String>,
    /// What is known not to be.
    pub excludes: Vec<String>,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

/// A statement, by what it says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Its predicate type.
    pub predicate_type: String,
    /// `sha256:<hex>` of its payload.
    pub digest: String,
}

/// A commit that took the place of another.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Succession {
    /// The one that was.
    pub from: String,
    /// The one that is.
    pub to: String,
}

/// A claim of an APAS level, for this activity and the scope of its capture.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The version of the standard: `0.4`.
    pub apas: String,
    /// The level.
    pub level: Level,
    /// The profiles that apply.
    pub profiles: Vec<String>,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

/// A level of APAS 0.4, weakest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Level {
    /// Recorded.
    L1,
    /// Authenticated.
    L2,
    /// Independently appraised.
    L3,
    /// Content-complete.
    L4,
}

impl Level {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
        }
    }
}

/// A record's place in the chain of its activity.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    label: String,
    version: u64,
    /// Its number, from 0.
    pub sequence: u64,
    /// Whether it begins or ends the chain.
    pub position: Position,
    /// `sha256:<hex>` of the payload of the record before; the opening one has none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub previous: Option<String>,
    /// How many records there are; the closing one says so.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub count: Option<u64>,
    /// What the branch pointed at when it began: the opening record ties the chain to its
    /// repository. Absent on an unborn branch.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub base: Option<String>,
    /// The commits it covers: those that the statement speaks of.
    pub commits: BTreeSet<String>,
}

/// Whether a record begins or ends its chain.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// The first.
    Opening,
    /// Neither.
    Middle,
    /// The last.
    Closing,
}

impl Record {
    /// Begins a chain.
    pub fn opening(base: Option<String>, commits: BTreeSet<String>) -> Self {
        Self {
            label: LABEL.to_owned(),
            version: VERSION,
            sequence: 0,
            position: Position::Opening,
            previous: None,
            count: None,
            base,
            commits,
        }
    }

    /// Goes on after the record of that number and payload digest; closes the chain if asked to.
    pub fn after(sequence: u64, previous: &str, closing: bool, commits: BTreeSet<String>) -> Self {
        let sequence = sequence.saturating_add(1);
        Self {
            sequence,
            position: match closing {
                true => Position::Closing,
                false => Position::Middle,
            },
            previous: Some(previous.to_owned()),
            count: closing.then(|| sequence.saturating_add(1)),
            ..Self::opening(None, commits)
        }
    }

    fn check(&self) -> Result<(), PredicateError> {
        let rule = |rule| Err(PredicateError::Rule(rule));
        if self.label != LABEL || self.version != VERSION {
            return rule("`chain` is of another label or version");
        }
        let is_first = self.sequence == 0;
        if is_first != (self.position == Position::Opening) || is_first != self.previous.is_none() {
            return rule(
                "`chain`: the opening record, and no other, has number 0 and nothing before it",
            );
        }
        if (self.position == Position::Closing) != self.count.is_some() {
            return rule("`chain`: the closing record, and no other, has a count");
        }
        if self.base.is_some() && !is_first {
            return rule("`chain`: only the opening record has a base");
        }
        if !self
            .commits
            .iter()
            .chain(&self.base)
            .all(|id| is_object_id(id))
        {
            return rule("`chain` names something that is no commit");
        }
        match &self.previous {
            Some(digest) => check_digest(digest, "`chain.previous` is no digest"),
            None => Ok(()),
        }
    }
}

impl Evidence {
    pub(super) fn check(&self) -> Result<(), PredicateError> {
        check_digest(&self.digest, "`evidence` has a digest that is none")
    }
}

impl Activity {
    /// Returns the digest that stands for an activity: of its id.
    pub fn key(id: &str) -> String {
        hex::encode(&sha256(id.as_bytes()))
    }

    /// Returns the subject that stands for an activity itself.
    pub fn subject(id: &str) -> Subject {
        Subject::new(id, "sha256", Self::key(id))
    }

    pub(super) fn check(&self, statement: &Statement) -> Result<(), PredicateError> {
        let rule = |rule| Err(PredicateError::Rule(rule));
        let id = &self.activity.id;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if id.is_empty() || id.len() > ID_MAX || !is_plain(id) {
            return rule("activity id is empty, too long or not printable ASCII");
        }
        if self.activity.segment == 0 {
            return rule("`segment` is 0; the first is 1");
        }
        let stated = [
            &self.agent.name,
            &self.workload,
            &self.model,
            &self.provider,
        ];
        if stated.iter().any(|text| text.is_empty()) {
            return rule("unknown facts are stated as `unknown`, not left empty");
        }
        if self.agent.definition != UNKNOWN {
            check_digest(
                &self.agent.definition,
                "`agent.definition` is neither a digest nor `unknown`",
            )?;
        }
        let ended = self.lifecycle == Lifecycle::Ended;
        if ended != self.termination.is_some() {
            return rule("`termination` is there when, and only when, the activity ended");
        }
        if ended != (self.chain.position == Position::Closing) {
            return rule("`lifecycle` is `ended` in the closing record, and in no other");
        }
        check_time(&self.recorded_at, "`recordedAt` is not a date-time")?;
        for event in &self.events {
            check_time(&event.at, "`events` has a time that is none")?;
            for digest in [&event.input, &event.output].into_iter().flatten() {
                check_digest(digest, "`events` has a digest that is none")?;
            }
        }
        if self.capture.includes_twice() {
            return rule("`capture` excludes what it includes");
        }
        self.evidence.iter().try_for_each(Evidence::check)?;
        if let Some(hash) = &self.origins_hash {
            check_digest(hash, "`originsHash` is not `sha256:` and 64 hex digits")?;
        }
        if self.claim.as_ref().is_some_and(|claim| claim.apas != "0.4") {
            return rule("`claim` is of another version of APAS than 0.4");
        }
        self.chain.check()?;
        if !statement.speaks_of("sha256", &Self::key(id)) {
            return rule("subjects do not hold the activity");
        }
        let commits: BTreeSet<_> = statement.digests("gitCommit").collect();
        if !commits
            .iter()
            .copied()
            .eq(self.chain.commits.iter().map(String::as_str))
        {
            return rule("`chain.commits` are not the commits among the subjects");
        }
        if !self.succeeds.iter().all(|it| is_object_id(&it.from)) {
            return rule("`succeeds` names something that is no commit");
        }
        match self.succeeds.iter().all(|it| commits.contains(&*it.to)) {
            true => Ok(()),
            false => rule("`succeeds` leads to a commit that is no subject"),
        }
    }
}

fn is_object_id(id: &str) -> bool {
    matches!(id.len(), 40 | 64) && hex::decode(id).is_some()
}

impl Capture {
    /// Tells whether it includes anything.
    pub(crate) fn includes_something(&self) -> bool {
        self.includes.iter().any(|it| !word(it).is_empty())
    }

    fn includes_twice(&self) -> bool {
        let includes: HashSet<_> = self.includes.iter().map(|it| word(it)).collect();
        let mut excludes = self.excludes.iter().map(|it| word(it));
        excludes.any(|it| includes.contains(&it))
    }
}

/// Returns what is meant, however it is spelled: letters and digits say so.
fn word(text: &str) -> String {
    let said = text.chars().filter(|c| c.is_alphanumeric());
    said.flat_map(char::to_lowercase).collect()
}
