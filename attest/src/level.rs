//! The level of APAS 0.4 that the evidence carries: derived by the conditions under which a claim
//! of it fails, never taken from the claim.

use serde::Serialize;

use crate::predicate::{Activity, Level};

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
}

/// Derives the level of an activity from one of its records, which was accepted: its signature
/// holds, a trusted authority vouches for the signer, its chain is whole, and what it rests on
/// was found and accepted too.
///
/// Its parts were required when it was read, so what remains to be asked is what they say.
pub fn derive(activity: &Activity) -> Derived {
    if activity.capture.includes.is_empty() {
        return Derived {
            level: None,
            unmet: "L1: a capture scope that includes something",
        };
    }
    let calls_tools = activity.events.iter().any(|event| event.kind == TOOL_CALL);
    let captures_tools = activity.capture.includes.iter().any(|it| it == TOOL_CALLS);
    if calls_tools && !captures_tools {
        return Derived {
            level: None,
            unmet: "L1: a capture scope that includes the tool calls which are recorded",
        };
    }
    // Signed, chained, and judged by trust that the signer did not bring along: that is L2. What
    // L3 asks for comes from outside the activity, and no such evidence exists yet.
    Derived {
        level: Some(Level::L2),
        unmet: "L3: protected execution evidence that the activity cannot alter, independently appraised",
    }
}

/// What an event is called that is a tool call.
pub const TOOL_CALL: &str = "tool-call";
/// What a capture scope includes when tool calls are recorded.
pub const TOOL_CALLS: &str = "tool-calls";
