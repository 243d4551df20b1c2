//! A bundle after everything that it says by itself was judged.

use std::{collections::HashSet, sync::Arc};

use notme_core::statement::{PAYLOAD_TYPE, Statement};
use notme_verifier::{Code, Judge, Judgement, Verdict};

use crate::{
    bundle::Bundle,
    origins::is_disclosed_in,
    predicate::{Activity, Decision, Lifecycle, Predicate, PredicateError, UNKNOWN, is_answer},
    store::{Blob, Contents, FileName, Kept},
};

/// How far what a statement says of its time may be from when it was signed, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// Who signed, by the name that the trust store has for whoever vouches for that: others may give the
/// same name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Who {
    pub(super) identity: String,
    authority: String,
}

impl Who {
    pub(super) fn of(judgement: &Judgement) -> Option<Self> {
        Some(Self {
            identity: judgement.identity()?.to_owned(),
            authority: judgement.authority()?.to_owned(),
        })
    }
}

/// What the records of one chain have in common. Somebody who may sign for an activity of their own
/// and those that it starts cannot reach another's chain by naming it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Whose {
    pub(super) activity: String,
    pub(super) by: Who,
    /// The activity that started it.
    pub(super) parent: Option<String>,
}

/// The last record of a chain: what the next one goes on from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tip {
    /// Its number.
    pub sequence: u64,
    /// `sha256:<hex>` of its payload.
    pub digest: String,
    /// The number of the segment that it is in.
    pub segment: u64,
    /// Whether the activity goes on.
    pub lifecycle: Lifecycle,
    /// The activity that started its own.
    pub parent: Option<String>,
    /// Nothing shows its time.
    pub is_untimed: bool,
    /// What its activity kept when it was the last one.
    pub contents: Option<Contents>,
}

/// Which bytes, under which name.
pub(super) type BundleId = (FileName, Option<Blob>);

/// A bundle after everything that it says by itself was judged.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) id: BundleId,
    pub(super) digest: Option<String>,
    pub(super) predicate_type: Option<String>,
    /// What is said; not kept of those whom nobody trusts.
    pub(super) statement: Option<Statement>,
    pub(super) predicate: Option<Result<Predicate, PredicateError>>,
    pub(super) judgement: Option<Arc<Judgement>>,
    pub(super) refusal: Option<(Code, String)>,
    /// Why it is refused, whatever it is about.
    pub(super) contradiction: Option<(Code, String)>,
}

impl Examined {
    pub(super) fn of(kept: &Kept, judge: &Judge<'_>) -> Self {
        let mut examined = Self {
            id: (kept.name.clone(), kept.blob),
            digest: None,
            predicate_type: None,
            statement: None,
            predicate: None,
            judgement: None,
            refusal: None,
            contradiction: None,
        };
        // What is kept nowhere was named a moment ago.
        if kept.blob.is_some() && FileName::of(&kept.content) != kept.name {
            let detail = "its content has another name, is too long, or cannot be read".to_owned();
            examined.refusal = Some((Code::EnvelopeMalformed, detail));
            return examined;
        }
        let bundle = match Bundle::from_json(&kept.content) {
            Ok(bundle) => bundle,
            Err(error) => {
                examined.refusal = Some((Code::EnvelopeMalformed, error.to_string()));
                return examined;
            }
        };
        examined.digest = Some(bundle.payload_digest());
        let (envelope, certificates, time_stamps) = bundle.into_parts();
        let statement = match envelope.payload_type() {
            PAYLOAD_TYPE => Statement::parse(envelope.payload()).map_err(|it| it.to_string()),
            other => Err(format!("its payload type is `{other}`")),
        };
        let predicate = statement.as_ref().ok().map(Predicate::read);
        let stated_at = predicate
            .as_ref()
            .and_then(|it| it.as_ref().ok()?.stated_at());
        // The signature first: what nobody signed is not worth a word on what it says.
        let judgement = judge.judge_envelope(
            &kept.content,
            &envelope,
            certificates,
            time_stamps,
            stated_at,
        );
        match statement {
            Ok(statement) => {
                examined.predicate_type = Some(statement.predicate_type().to_owned());
                if judgement.identity().is_some() {
                    let judged = (&judgement, predicate.as_ref());
                    let skew = judge.policy().skew_seconds().into();
                    examined.contradiction = contradiction(judged, envelope.payload(), skew);
                    examined.statement = Some(statement);
                    examined.predicate = predicate;
                }
            }
            Err(error) => examined.refusal = Some((Code::StatementMalformed, error)),
        }
        examined.judgement = Some(Arc::new(judgement));
        examined
    }

    /// Returns the name of its file.
    pub(super) fn file(&self) -> &FileName {
        &self.id.0
    }

    /// Returns who signed, when the envelope was accepted.
    pub(super) fn signer(&self) -> Option<Who> {
        let judgement = self.judgement.as_ref()?;
        let is_accepted = judgement.verdict() == Verdict::Accepted && self.refusal.is_none();
        Who::of(judgement).filter(|_| is_accepted)
    }

    /// Returns the commits that it speaks of, each once.
    pub(super) fn commits(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let named = self.statement.iter();
        let named = named.flat_map(|it| it.digests("gitCommit"));
        named.filter(|name| seen.insert(*name)).collect()
    }

    /// Tells whether a commit is among those that it speaks of.
    pub(super) fn names(&self, commit: &str) -> bool {
        let statement = self.statement.as_ref();
        statement.is_some_and(|it| it.speaks_of("gitCommit", commit))
    }

    /// Tells whether it answers to the work on a commit, and is none.
    pub(super) fn is_answer(&self) -> bool {
        self.predicate_type.as_deref().is_some_and(is_answer)
    }

    /// Tells whether it says that a commit is not accepted.
    pub(super) fn rejects(&self) -> bool {
        matches!(
            &self.predicate,
            Some(Ok(Predicate::Acceptance(it))) if it.decision == Decision::Rejected
        )
    }

    /// Tells whether it goes along when its signer says that another commit took the place.
    pub(super) fn is_carried_by(&self, who: &Who) -> bool {
        !self.is_answer() && self.signer().as_ref() == Some(who)
    }

    /// Returns whose chain it is a record of: that of its signer, unless it contradicts itself.
    pub(super) fn whose(&self) -> Option<Whose> {
        self.record_of(self.signer()?)
    }

    /// Returns whose chain it is a record of, where nothing shows its time, nor so whether its key was good
    /// then. Anybody with an old key of its signer can make such: it takes more to count.
    pub(super) fn whose_untimed(&self) -> Option<Whose> {
        let judgement = self.judgement.as_ref()?;
        let is_untimed = judgement.verdict().code() == Some(Code::TimeBasisTooWeak);
        let is_meant = is_untimed && self.refusal.is_none();
        self.record_of(Who::of(judgement).filter(|_| is_meant)?)
    }

    fn record_of(&self, by: Who) -> Option<Whose> {
        let record = self.activity()?;
        if self.contradiction.is_some() {
            return None;
        }
        Some(Whose {
            activity: record.activity.id.clone(),
            by,
            parent: record.activity.parent.clone(),
        })
    }

    /// Returns it as the last record of a chain of an activity, if it is one of that identity's.
    pub(super) fn tip(&self, activity: &str, identity: &str) -> Option<(Whose, Tip)> {
        let whose = self.whose()?;
        let is_meant = whose.activity == activity && whose.by.identity == identity;
        let tip = self.as_tip().filter(|_| is_meant)?;
        Some((whose, tip))
    }

    /// Returns it as the last record of a chain.
    pub(super) fn as_tip(&self) -> Option<Tip> {
        let record = self.activity()?;
        Some(Tip {
            sequence: record.chain.sequence,
            digest: self.digest.clone().unwrap_or_default(),
            segment: record.activity.segment,
            lifecycle: record.lifecycle,
            parent: record.activity.parent.clone(),
            is_untimed: self.whose().is_none(),
            contents: None,
        })
    }

    /// Returns the record that it goes on from.
    pub(super) fn previous(&self) -> Option<&str> {
        self.activity()?.chain.previous.as_deref()
    }

    pub(super) fn activity(&self) -> Option<&Activity> {
        match self.predicate.as_ref()? {
            Ok(Predicate::Activity(activity)) => Some(activity),
            Ok(_) | Err(_) => None,
        }
    }
}

/// Finds what is wrong with a statement whatever it is about: that it lists origins in the open, tells
/// of another day than it was signed on, or names somebody else as who signs it.
fn contradiction(
    (judgement, predicate): (&Judgement, Option<&Result<Predicate, PredicateError>>),
    payload: &[u8],
    skew: u64,
) -> Option<(Code, String)> {
    if is_disclosed_in(payload) {
        return Some((Code::OriginsDisclosed, String::new()));
    }
    let predicate = predicate?.as_ref().ok()?;
    let at_most = match predicate {
        Predicate::Activity(_) | Predicate::Acceptance(_) | Predicate::Summary(_) => Some(DAY),
        // Whoever says when something was there says it then.
        Predicate::Receive(_) => Some(skew),
        Predicate::Dispatch(_) | Predicate::Handoff(_) => None,
    };
    if let Some(refusal) = at_most.and_then(|at_most| apart(judgement, predicate, at_most)) {
        return Some(refusal);
    }
    let identity = judgement.identity();
    let named = match predicate {
        Predicate::Activity(activity) if activity.workload != UNKNOWN => &activity.workload,
        Predicate::Summary(summary) => &summary.verifier.id,
        _ => return None,
    };
    let is_other = Some(&**named) != identity;
    is_other.then(|| (Code::AgentMismatch, format!("it names {named}")))
}

/// Refuses a statement that tells of another time than it was signed at, in seconds.
fn apart(judgement: &Judgement, predicate: &Predicate, at_most: u64) -> Option<(Code, String)> {
    let (stated, judged) = (predicate.stated_at()?, judgement.judged_at()?);
    let is_apart = stated.secs().abs_diff(judged.secs()) > at_most;
    let detail = || format!("it says {stated}, and was signed at {judged}");
    is_apart.then(|| (Code::PredicateMalformed, detail()))
}
