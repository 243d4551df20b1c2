//! The level of APAS 0.4 that the evidence carries: derived by the conditions under which a claim
//! of it fails, never taken from the claim.

use serde::Serialize;

use crate::predicate::{Activity, Event, Level, Lifecycle};

/// A level, and the first condition that keeps it from being the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Derived {
    /// The level; none when not even L1 holds.
    pub level: Option<Level>,
    /// What the next one asks for and is not there.
    pub unmet: &'static str,
}

impl Derived {
    /// Nothing that makes a record of an activity.
    pub(crate) const NONE: Self = Self {
        level: None,
        unmet: "L1: a record of the activity, with capture scope, lifecycle, termination and outcome",
    };
    /// A record of the chain rests on nothing that holds.
    pub(crate) const UNFOUNDED: Self = Self {
        level: None,
        unmet: "L1: what every record of the chain rests on",
    };
    /// All that it rests on is that its commit took the place of others.
    pub(crate) const SUCCEEDING: Self = Self {
        level: None,
        unmet: "L1: what the commits carry whose place it took",
    };
    /// Nobody sees which chains the commit carries, and whether they are there.
    pub(crate) const UNSEEN: Self = Self {
        level: None,
        unmet: "L1: the commit that it speaks of, for the chains that it carries",
    };
}

/// Derives the level of an activity from its records, in their order, all of which were accepted:
/// their signatures hold, a trusted authority vouches for the signer, and their chain is whole.
///
/// Their parts were required when they were read, so what remains to be asked is what they say.
pub fn derive(records: &[&Activity]) -> Derived {
    let unmet = |unmet| Derived { level: None, unmet };
    let mut before: Option<&Activity> = None;
    for record in records {
        if !record.capture.includes_something() {
            return unmet("L1: a capture scope that includes something");
        }
        let calls_tools = record.events.iter().any(Event::is_tool_call);
        let includes = &record.capture.includes;
        if calls_tools && !includes.iter().any(|it| it == TOOL_CALLS) {
            return unmet("L1: a capture scope that includes the tool calls which are recorded");
        }
        if !follows(before, record) {
            return unmet("L1: segments from 1 on, and another one after each resume");
        }
        before = Some(record);
    }
    // Signed, chained, and judged by trust that the signer did not bring along: that is L2. What
    // L3 asks for comes from outside the activity, and no such evidence exists yet.
    Derived {
        level: Some(Level::L2),
        unmet: "L3: protected execution evidence that the activity cannot alter, independently appraised",
    }
}

/// Tells whether a record's segment follows the one before. An activity may be resumed that broke
/// off before it said that it is suspended, and one that is suspended may end as it is.
pub(crate) fn follows(before: Option<&Activity>, record: &Activity) -> bool {
    let segment = record.activity.segment;
    let Some(before) = before else {
        return segment == 1;
    };
    let last = before.activity.segment;
    let may_stay = before.lifecycle != Lifecycle::Suspended || record.lifecycle == Lifecycle::Ended;
    segment == last.saturating_add(1) || may_stay && segment == last
}

/// What an event is called that is a tool call.
pub const TOOL_CALL: &str = "tool-call";
/// What a capture scope includes when tool calls are recorded.
pub const TOOL_CALLS: &str = "tool-calls";
