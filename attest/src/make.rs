//! Making statements: what is known is filled in, what is not is stated as unknown.

use std::collections::BTreeSet;

use notme_core::{
    json::Object,
    statement::{Statement, StatementError, Subject},
    time::UnixTime,
};
use serde_json::{Value, json};

use crate::{
    predicate::{
        ACCEPTANCE, ACTIVITY, Acceptance, Activity, ActivityRef, AgentRef, Artifact, Capture,
        Claim, DISPATCH, Event, Evidence, HANDOFF, Lifecycle, Outcome, Predicate, PredicateError,
        RECEIVE, Receive, Record, SUMMARY, Succession, Summary, Termination, UNKNOWN,
    },
    store::{CommitFacts, StoreError, check_public},
};

/// A commit that is spoken of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitSubject {
    /// Its object id.
    pub id: String,
    /// Its tree's.
    pub tree: String,
}

impl CommitSubject {
    /// Names a commit that was read.
    pub fn new(id: &str, facts: &CommitFacts) -> Self {
        Self {
            id: id.to_owned(),
            tree: facts.tree.clone(),
        }
    }

    /// Names commit and tree, so that the statement holds for another commit of the same tree as
    /// far as that goes.
    fn subject(&self) -> Subject {
        let mut subject = Subject::new(&*self.id, "gitCommit", &*self.id);
        subject
            .digest
            .insert("gitTree".to_owned(), self.tree.clone());
        subject
    }
}

/// What is known of an activity, beside its place in its chain.
#[derive(Clone, Debug)]
pub struct ActivityFacts {
    /// Its id.
    pub id: String,
    /// The number of its segment.
    pub segment: u64,
    /// The activity that started it.
    pub parent: Option<String>,
    /// The agent's name.
    pub agent: String,
    /// The digest of the agent's definition.
    pub definition: Option<String>,
    /// The identity that signs.
    pub workload: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Who runs it.
    pub provider: Option<String>,
    /// What changed its behaviour.
    pub inputs: Vec<Artifact>,
    /// What came of it, beside the commits.
    pub outputs: Vec<Artifact>,
    /// What it did.
    pub events: Vec<Event>,
    /// What is recorded.
    pub includes: Vec<String>,
    /// What is not.
    pub excludes: Vec<String>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Why it ends, when it does.
    pub termination: Option<Termination>,
    /// How it came out.
    pub outcome: Outcome,
    /// Statements that it rests on.
    pub evidence: Vec<Evidence>,
    /// Which commits took the place of which.
    pub succeeds: Vec<Succession>,
    /// The digest of the origins.
    pub origins_hash: Option<String>,
    /// The level that is claimed.
    pub claim: Option<Claim>,
    /// Now.
    pub recorded_at: String,
    /// Members beside ours.
    pub more: Object,
}

impl ActivityFacts {
    /// Says of an activity that it is, and nothing more.
    pub fn unknown(id: &str, agent: &str, recorded_at: UnixTime) -> Self {
        Self {
            id: id.to_owned(),
            segment: 1,
            parent: None,
            agent: agent.to_owned(),
            definition: None,
            workload: None,
            model: None,
            provider: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            events: Vec::new(),
            includes: Vec::new(),
            excludes: Vec::new(),
            suspended: false,
            termination: None,
            outcome: Outcome::Unknown,
            evidence: Vec::new(),
            succeeds: Vec::new(),
            origins_hash: None,
            claim: None,
            recorded_at: recorded_at.to_string(),
            more: Object::new(),
        }
    }
}

/// What a record's place in its chain, and whose chain that is, hang on.
const OWN: [&str; 8] = [
    "/chain",
    "/activity/id",
    "/activity/segment",
    "/activity/parent",
    "/workload",
    "/lifecycle",
    "/termination",
    "/recordedAt",
];

/// Checks that members beside ours leave those alone on which the chain hangs: one record that breaks it
/// breaks all of it, and for good.
///
/// # Errors
/// [`MakeError::Own`].
pub fn check_beside_ours(more: &Object) -> Result<(), MakeError> {
    let has = |pointer: &str| {
        let mut names = pointer.split('/').skip(1);
        let first = names.next().and_then(|name| more.get(name));
        first.is_some_and(|value| match names.next() {
            // What is no object would take the place of all of it.
            Some(name) => value.as_object().is_none_or(|it| it.contains_key(name)),
            None => true,
        })
    };
    match OWN.into_iter().find(|pointer| has(pointer)) {
        Some(own) => Err(MakeError::Own(
            own.trim_start_matches('/').replace('/', "."),
        )),
        None => Ok(()),
    }
}

/// Makes the statement of a record.
///
/// # Errors
/// [`MakeError`] when it would not be read back as one.
pub fn activity(
    facts: ActivityFacts,
    chain: Record,
    commits: &[CommitSubject],
) -> Result<Statement, MakeError> {
    check_beside_ours(&facts.more)?;
    let unknown = |fact: Option<String>| fact.unwrap_or_else(|| UNKNOWN.to_owned());
    let ends = chain.count.is_some();
    let record = Activity {
        agent: AgentRef {
            name: facts.agent,
            definition: unknown(facts.definition),
            more: Object::new(),
        },
        workload: unknown(facts.workload),
        model: unknown(facts.model),
        provider: unknown(facts.provider),
        inputs: facts.inputs,
        outputs: facts.outputs,
        events: facts.events,
        lifecycle: match (ends, facts.suspended) {
            (true, _) => Lifecycle::Ended,
            (false, true) => Lifecycle::Suspended,
            (false, false) => Lifecycle::Active,
        },
        termination: ends.then(|| facts.termination.unwrap_or(Termination::Unknown)),
        outcome: facts.outcome,
        capture: Capture {
            includes: facts.includes,
            excludes: facts.excludes,
            more: Object::new(),
        },
        evidence: facts.evidence,
        succeeds: facts.succeeds,
        origins_hash: facts.origins_hash,
        claim: facts.claim,
        recorded_at: facts.recorded_at,
        chain,
        activity: ActivityRef {
            id: facts.id,
            segment: facts.segment,
            parent: facts.parent,
            more: Object::new(),
        },
        more: Object::new(),
    };
    let subject = Activity::subject(&record.activity.id);
    let subjects = std::iter::once(subject).chain(commits.iter().map(CommitSubject::subject));
    statement(subjects.collect(), ACTIVITY, &record, facts.more)
}

/// Makes the statement of a dispatch. The work item is a subject, when there is one.
///
/// # Errors
/// [`MakeError`] when it would not be read back as one.
pub fn dispatch(predicate: Object, commits: &[CommitSubject]) -> Result<Statement, MakeError> {
    let item = predicate
        .get("dispatchDefinition")
        .and_then(|it| it.get("workItemRef"));
    let text = |member: &str| item.and_then(|item| item.get(member)?.as_str());
    let item = match (text("workItemId"), text("contentHash")) {
        (Some(id), Some(hash)) => {
            let digest = hash.strip_prefix("sha256:").unwrap_or(hash);
            Some(Subject::new(id, "sha256", digest))
        }
        (_, _) => None,
    };
    let subjects = commits.iter().map(CommitSubject::subject).chain(item);
    statement(subjects.collect(), DISPATCH, &Object::new(), predicate)
}

/// Makes the statement of a handoff. The document is a subject, when there is one: its name, and its
/// SHA-256 in hex.
///
/// # Errors
/// [`MakeError`] when it would not be read back as one.
pub fn handoff(
    predicate: Object,
    document: Option<(&str, &str)>,
    commits: &[CommitSubject],
) -> Result<Statement, MakeError> {
    let document = document.map(|(name, hash)| Subject::new(name, "sha256", hash));
    let subjects = commits.iter().map(CommitSubject::subject).chain(document);
    statement(subjects.collect(), HANDOFF, &Object::new(), predicate)
}

/// Makes the statement of an acceptance.
///
/// # Errors
/// [`MakeError`] when it would not be read back as one.
pub fn acceptance(
    acceptance: &Acceptance,
    commits: &[CommitSubject],
) -> Result<Statement, MakeError> {
    let subjects = commits.iter().map(CommitSubject::subject).collect();
    statement(subjects, ACCEPTANCE, acceptance, Object::new())
}

/// Makes the statement of what a repository received. It holds for these commits alone, and for no
/// others of the same trees.
///
/// # Errors
/// [`MakeError`] when it would not be read back as one.
pub fn receive(receive: &Receive, commits: &[String]) -> Result<Statement, MakeError> {
    let subjects = commits.iter().map(|id| Subject::new(id, "gitCommit", id));
    statement(subjects.collect(), RECEIVE, receive, Object::new())
}

/// A revision that was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revision {
    /// Its object id.
    pub id: String,
    /// `gitCommit` or `gitTag`.
    pub algorithm: &'static str,
    /// The branches and tags that named it.
    pub references: Vec<String>,
}

/// Makes the statement of a verification summary.
///
/// # Errors
/// [`MakeError`] when it would not be read back as one.
pub fn summary(summary: &Summary, revisions: &[Revision]) -> Result<Statement, MakeError> {
    let subject = |revision: &Revision| {
        let mut subject = Subject::new(&*revision.id, revision.algorithm, &*revision.id);
        if !revision.references.is_empty() {
            let references = json!({"source_refs": revision.references});
            subject.more.insert("annotations".to_owned(), references);
        }
        subject
    };
    let subjects = revisions.iter().map(subject).collect();
    statement(subjects, SUMMARY, summary, Object::new())
}

/// Returns the commits that a record covers.
pub fn covered(commits: &[CommitSubject]) -> BTreeSet<String> {
    commits.iter().map(|commit| commit.id.clone()).collect()
}

fn statement(
    subjects: Vec<Subject>,
    predicate_type: &str,
    predicate: &impl serde::Serialize,
    more: Object,
) -> Result<Statement, MakeError> {
    let Value::Object(mut object) =
        serde_json::to_value(predicate).map_err(|error| PredicateError::Json(error.into()))?
    else {
        return Err(PredicateError::Rule("members are not an object").into());
    };
    merge(&mut object, more);
    check_public(&object)?;
    let statement = Statement::new(subjects, predicate_type, object)?;
    Predicate::read(&statement)?;
    statement.to_payload()?;
    Ok(statement)
}

/// Puts members into an object; of two objects under one name, those of both.
pub fn merge(object: &mut Object, more: Object) {
    for (name, value) in more {
        match (object.get_mut(&name), value) {
            (Some(Value::Object(object)), Value::Object(more)) => merge(object, more),
            (Some(old), value) => *old = value,
            (None, value) => {
                object.insert(name, value);
            }
        }
    }
}

/// What would have been stated is none of ours to state.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A member that is none of the user's.
    #[error("`{0}` of a record is not to be set: its chain hangs on it")]
    Own(String),
    /// The statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// What it says.
    #[error(transparent)]
    Predicate(#[from] PredicateError),
    /// Where it would be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}
