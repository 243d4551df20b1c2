//! `https://notme.bot/provenance/dispatch/v1` (APAS 0.3): member names as its JSON Schema has
//! them, everything optional but what is said to be required.

use std::collections::BTreeSet;

use notme_core::{json::Object, statement::Statement};
use serde::{Deserialize, Serialize};

use super::{
    Outcome, PredicateError, VerificationResult, check_digest, check_subject, check_time, is_uuid,
    open_object, present,
};
use crate::origins::is_stated_twice;

open_object! {
    /// A dispatch.
    Dispatch {
        /// What was to be done.
        dispatch_definition: Definition,
        /// What happened.
        run_details: RunDetails,
    }
}

open_object! {
    /// What was to be done.
    Definition {
        /// The work item.
        work_item_ref: WorkItemRef,
        /// Where in a pipeline.
        pipeline: Pipeline,
        /// By which agent.
        agent: Agent,
    }
}

/// A work item.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkItemRef {
    /// Its repository.
    pub repo: String,
    /// Its id there.
    pub work_item_id: String,
    /// The digest of its content.
    pub content_hash: String,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

open_object! {
    /// A place in a pipeline.
    Pipeline {
        /// All its phases.
        phases: Vec<String>,
        /// The number of this one.
        current_phase: i64,
        /// Its id, a UUID.
        pipeline_id: String,
    }
}

/// An agent, as whoever dispatched it describes it. None of this is an identity.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// The digest of its definition.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub definition: Option<String>,
    /// Who runs the model.
    pub provider: String,
    /// The model.
    pub model: String,
    /// What it was allowed to do.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub permission_profile: Option<String>,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

open_object! {
    /// What happened.
    RunDetails {
        /// Who dispatched.
        orchestrator: Orchestrator,
        /// How it ran.
        execution: Execution,
        /// What came of it.
        work: Work,
        /// What was verified.
        verification: Verification,
        /// What it cost.
        cost: Object,
        /// How it ended.
        outcome: Object,
        /// The chain of handoffs that it belongs to.
        handoff_chain: HandoffChain,
    }
}

open_object! {
    /// Who dispatched.
    Orchestrator {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// What it identified itself with.
        identity: Object,
    }
}

open_object! {
    /// How a dispatch ran.
    Execution {
        /// Where.
        work_dir: String,
        /// From when.
        started_at: String,
        /// Until when.
        completed_at: String,
        /// For how long, in milliseconds.
        duration_ms: i64,
        /// Its session, a UUID.
        session_id: String,
        /// Its process.
        pid: i64,
        /// How well it was kept apart.
        isolation_level: Isolation,
    }
}

/// How well a dispatch was kept apart.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// A worktree of its own.
    GitWorktree,
    /// A container.
    Container,
    /// A virtual machine.
    Vm,
    /// Not at all.
    None,
}

open_object! {
    /// What came of a dispatch.
    Work {
        /// Commits: `{sha, message, signature}`.
        commits: Vec<Object>,
        /// Paths.
        files_changed: Vec<String>,
        /// Lines added.
        lines_added: i64,
        /// Lines removed.
        lines_removed: i64,
    }
}

open_object! {
    /// What was verified.
    Verification {
        /// Whether it passed.
        passed: bool,
        /// The highest tier that did.
        highest_tier: i64,
        /// All tiers: `{name, passed}`.
        tiers: Vec<Object>,
    }
}

open_object! {
    /// The chain of handoffs that a dispatch belongs to.
    HandoffChain {
        /// This phase.
        phase_hash: String,
        /// The phase before.
        previous_phase_hash: String,
        /// The first.
        chain_root: String,
    }
}

impl Dispatch {
    pub(super) fn check(&self, statement: &Statement) -> Result<(), PredicateError> {
        let rule = |rule| Err(PredicateError::Rule(rule));
        if let Some(definition) = &self.dispatch_definition {
            if let Some(item) = &definition.work_item_ref {
                check_subject(
                    (&item.content_hash, statement),
                    "`contentHash` is not `sha256:` and 64 hex digits",
                    "`contentHash` is not that of a subject",
                )?;
            }
            let pipeline = definition.pipeline.as_ref();
            let pipeline_id = pipeline.and_then(|pipeline| pipeline.pipeline_id.as_ref());
            if pipeline_id.is_some_and(|id| !is_uuid(id)) {
                return rule("`pipelineId` is not a UUID");
            }
        }
        let Some(run) = &self.run_details else {
            return Ok(());
        };
        if let Some(execution) = &run.execution {
            for time in [&execution.started_at, &execution.completed_at] {
                let time = time.as_ref();
                time.map_or(Ok(()), |time| {
                    check_time(time, "`startedAt` or `completedAt` is not a date-time")
                })?;
            }
            if execution.session_id.as_ref().is_some_and(|id| !is_uuid(id)) {
                return rule("`sessionId` is not a UUID");
            }
        }
        let work = run.work.as_ref().and_then(|work| work.commits.as_ref());
        let made = work.into_iter().flatten();
        let made = made.map(|it| it.get("sha").and_then(|sha| sha.as_str()));
        let Some(made) = made.collect::<Option<BTreeSet<_>>>() else {
            return rule("`commits` are not objects with a `sha`");
        };
        let outcome = run.outcome.as_ref();
        let success = outcome.and_then(|outcome| outcome.get("success"));
        if success.is_some_and(|success| success.as_bool().is_none()) {
            return rule("`success` is neither true nor false");
        }
        let subjects: BTreeSet<_> = statement.digests("gitCommit").collect();
        if !made.is_empty() && !subjects.is_empty() && made != subjects {
            return rule("`commits` are not those among the subjects");
        }
        if is_stated_twice(&run.more) {
            return rule("`contentOrigins` and `originsHash` exclude each other");
        }
        match run.more.get("originsHash").map(|hash| hash.as_str()) {
            Some(Some(hash)) => check_digest(hash, ORIGINS_HASH),
            Some(None) => rule(ORIGINS_HASH),
            None => Ok(()),
        }
    }

    /// Returns when it was over.
    pub(super) fn completed_at(&self) -> Option<&str> {
        let run = self.run_details.as_ref()?;
        run.execution.as_ref()?.completed_at.as_deref()
    }

    /// Returns how it came out, if it says that.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let outcome = self.run_details.as_ref()?.outcome.as_ref()?;
        match outcome.get("success")?.as_bool()? {
            true => Some(Outcome::Succeeded),
            false => Some(Outcome::Failed),
        }
    }

    /// Returns what came of its verification, if it says that.
    pub(super) fn verification(&self) -> Option<VerificationResult> {
        let verification = self.run_details.as_ref()?.verification.as_ref()?;
        match verification.passed? {
            true => Some(VerificationResult::Passed),
            false => Some(VerificationResult::Failed),
        }
    }

    pub(super) fn origins_hash(&self) -> Option<&str> {
        self.run_details.as_ref()?.more.get("originsHash")?.as_str()
    }
}

const ORIGINS_HASH: &str = "`originsHash` is not `sha256:` and 64 hex digits";
