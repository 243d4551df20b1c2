//! The verdict on one statement about a commit, as readers see it.

use std::{cmp::Reverse, collections::HashMap, hash::Hash, sync::Arc};

use notme_core::statement::Subject;
use notme_verifier::{
    Code, Judgement, TimeBasis, Verdict,
    report::AttestationReport,
    stated::{Received, SignedBy},
};
use serde::Serialize;

use super::{
    examined::Examined,
    footing::{Firm, Footing},
};
use crate::{
    level::Derived,
    predicate::{
        Decision, Evidence, Level, Lifecycle, Outcome, Predicate, RECEIVE, Receive, Termination,
        VerificationResult, is_answer,
    },
    store::FileName,
};

/// The verdict on one statement, and the facts that it rests on.
#[derive(Clone, Debug)]
#[must_use]
pub struct Attested {
    /// The name of the file.
    pub file: FileName,
    /// The verdict.
    pub verdict: Verdict,
    /// What is particular to this case; unescaped.
    pub detail: Option<String>,
    /// `sha256:<hex>` of the payload, when there is one.
    pub digest: Option<String>,
    /// The type of what is said, when it was read.
    pub predicate_type: Option<String>,
    /// Who signed it, when a trusted authority vouches for that.
    pub identity: Option<String>,
    /// The same with the keys that stand behind it.
    pub by: Option<SignedBy>,
    /// Where and when it says that the commit was received.
    pub received: Option<Received>,
    /// What stands behind the time.
    pub time_basis: Option<TimeBasis>,
    /// The time that was judged, for people.
    pub judged_at: Option<String>,
    /// The commit that it speaks of, when that is not the one asked about: one whose tree is the
    /// same, or whose place was taken.
    pub attested_as: Option<String>,
    /// The level that it claims.
    pub claimed: Option<Level>,
    /// The level that its evidence carries; none unless accepted.
    pub derived: Derived,
    /// Its place among the records of an activity.
    pub place: Option<RecordPlace>,
    /// The digest of the origins of what the agent read, when it states one.
    pub origins_hash: Option<String>,
    /// What an acceptance decides.
    pub decision: Option<Decision>,
    /// Whether an activity goes on, as of this record.
    pub lifecycle: Option<Lifecycle>,
    /// Why it ended.
    pub termination: Option<Termination>,
    /// How its work came out.
    pub outcome: Option<Outcome>,
    /// What came of a verification.
    pub result: Option<VerificationResult>,
    /// What a summary of a verification is of.
    pub summary: Option<Box<Summed>>,
    /// Whether it tells of a failure, is of a chain that ends with one, or rests on what its own signer
    /// says failed; or all that it has of a level comes from a record of which that goes.
    pub fails: bool,
    /// Whether it says nothing of the commit: it is kept with one that it does not speak of, or that
    /// one is another and not here.
    pub(super) is_beside: bool,
    /// What it rests on.
    pub(super) footing: Footing,
}

/// What a summary says was verified, and what follows.
#[derive(Clone, Debug, Serialize)]
pub struct Summed {
    /// The revisions that it speaks of.
    pub subjects: Vec<Subject>,
    /// What they are revisions of.
    pub resource_uri: String,
    /// What was selected, where whoever verified says it as we do.
    pub range: Option<String>,
    /// What follows from the result.
    pub verified_levels: Vec<String>,
}

/// A record's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordPlace {
    /// The activity.
    pub activity: String,
    /// The record's number.
    pub sequence: u64,
    /// How many there are.
    pub length: usize,
    /// Whether the last one closes the chain.
    pub closed: bool,
}

impl Attested {
    /// What can be said of a statement by itself.
    pub(super) fn of(examined: &Examined) -> Self {
        let judgement = examined.judgement.as_deref();
        let activity = examined.activity();
        let predicate = examined.predicate.as_ref().and_then(|it| it.as_ref().ok());
        let mut attested = Self {
            file: examined.file().clone(),
            verdict: judgement.map_or(Verdict::Accepted, Judgement::verdict),
            detail: judgement.and_then(|it| it.detail()).map(str::to_owned),
            digest: examined.digest.clone(),
            predicate_type: examined.predicate_type.clone(),
            identity: judgement.and_then(|it| it.identity()).map(str::to_owned),
            by: judgement.and_then(Judgement::signed_by),
            received: match &examined.predicate {
                Some(Ok(Predicate::Receive(it))) => received(it, examined.judgement.as_ref()),
                Some(_) | None => None,
            },
            time_basis: judgement.and_then(Judgement::time_basis),
            judged_at: judgement.and_then(|it| Some(it.judged_at()?.to_string())),
            attested_as: None,
            claimed: None,
            derived: Derived::NONE,
            place: None,
            origins_hash: predicate
                .and_then(Predicate::origins_hash)
                .map(str::to_owned),
            decision: predicate.and_then(Predicate::decision),
            lifecycle: activity.map(|it| it.lifecycle),
            termination: activity.and_then(|it| it.termination),
            outcome: predicate.and_then(Predicate::outcome),
            result: predicate.and_then(Predicate::verification),
            summary: match (predicate, &examined.statement) {
                (Some(Predicate::Summary(it)), Some(statement)) => Some(Box::new(Summed {
                    subjects: statement.subjects().to_vec(),
                    resource_uri: it.resource_uri.clone(),
                    range: it.range().map(str::to_owned),
                    verified_levels: it.verified_levels.clone(),
                })),
                _ => None,
            },
            fails: predicate.is_some_and(Predicate::fails),
            is_beside: false,
            footing: Footing::Firm(Firm::default()),
        };
        if let (Verdict::Accepted, Some((code, detail))) = (attested.verdict, &examined.refusal) {
            attested.refuse(*code, detail.clone());
        }
        attested
    }

    /// Of one that is not kept, takes back what only others could show: whether they are gone, or just
    /// not with it, is not known.
    pub(super) fn leave_open(&mut self) {
        if let Some(Code::ChainPrefixMissing | Code::ChainLinkMissing) = self.verdict.code() {
            self.verdict = Verdict::of(Code::EvidenceMissing);
        }
    }

    /// Returns it as what somebody who accepts the commit can have looked at: answers are no evidence of
    /// the work.
    pub fn as_evidence(&self) -> Option<Evidence> {
        let predicate_type = self.predicate_type.clone();
        Some(Evidence {
            predicate_type: predicate_type.filter(|it| !is_answer(it))?,
            digest: self.digest.clone()?,
        })
    }

    /// Tells whether it says that its signer accepts the commit.
    pub(super) fn accepts(&self) -> bool {
        self.decision == Some(Decision::Accepted)
    }

    /// Tells whether somebody trusted states that the commit is not accepted.
    pub(super) fn rejects(&self) -> bool {
        self.verdict.code() == Some(Code::AcceptanceRejected)
    }

    /// Tells whether its signer, or when they signed, is what is wrong. Strangers can state anything, and
    /// whoever has an old key, or one for something else, can do so too.
    fn is_signer_refused(&self) -> bool {
        matches!(
            self.verdict.code(),
            Some(
                Code::SignerUntrusted
                    | Code::RootRetired
                    | Code::RootNotYetUsed
                    | Code::CertificateUnknownCritical
                    | Code::CertificateInvalid
                    | Code::IdentityMissing
                    | Code::ScopeMissing
                    | Code::IssuanceMismatch
                    | Code::TimestampInvalid
                    | Code::LogEntryInvalid
                    | Code::TimeBasisTooWeak
                    | Code::CertificateExpired
                    | Code::CertificateNotYetValid
                    | Code::Revoked
                    | Code::NotAuthorised
                    | Code::TermsRepository
                    | Code::TermsRef
                    | Code::TermsPath
            )
        )
    }

    pub(super) fn refuse(&mut self, code: Code, detail: String) {
        self.verdict = Verdict::of(code);
        self.detail = Some(detail).filter(|detail| !detail.is_empty());
        self.derived = Derived::NONE;
    }
}

/// Returns what a record of receiving shows: of the time that it says and the one that it was
/// signed at, the later.
fn received(receive: &Receive, judgement: Option<&Arc<Judgement>>) -> Option<Received> {
    let judgement = judgement?;
    Some(Received {
        repository: receive.repository.clone(),
        at: receive.received_at()?.max(judgement.judged_at()?),
        record: Some(Arc::clone(judgement)),
    })
}

impl From<&Attested> for AttestationReport {
    fn from(attested: &Attested) -> Self {
        Self {
            predicate_type: attested.predicate_type.clone(),
            verdict: attested.verdict.word(),
            code: attested.verdict.code(),
            level: attested.derived.level.map(Level::as_str),
            claimed_level: attested.claimed.map(Level::as_str),
            digest: attested.digest.clone(),
            identity: attested.identity.clone(),
            time_basis: attested.time_basis,
            attested_as: attested.attested_as.clone(),
            decision: attested.decision.map(Decision::as_str),
            lifecycle: attested.lifecycle.map(Lifecycle::as_str),
            termination: attested.termination.map(Termination::as_str),
            outcome: attested.outcome.map(Outcome::as_str),
            result: attested.result.map(VerificationResult::as_str),
            fails: attested.fails,
        }
    }
}

/// Leaves one of several copies of a statement by somebody known, which differ in how they are carried
/// only: one that rejects, else one that is accepted, and the one whose time rests on most, or is the
/// earliest. Anybody can make another copy, so that none takes a rejection back.
pub(super) fn tell_once(all: &mut Vec<Attested>) {
    let same = |it: &Attested| {
        let by = it.by.as_ref()?;
        let of = (
            it.digest.clone()?,
            by.identity.clone(),
            by.authority.clone(),
        );
        Some((of, it.attested_as.clone()))
    };
    let worth = |it: &Attested| {
        let is_accepted = it.verdict == Verdict::Accepted;
        let at = Reverse(it.judged_at.clone());
        (it.rejects(), is_accepted, it.time_basis, at)
    };
    keep_best(all, same, worth);
}

/// Leaves the best of those that are the same, the first of several; and all that are like nothing.
pub(super) fn keep_best<T, S: Eq + Hash, W: Ord>(
    all: &mut Vec<T>,
    same: impl Fn(&T) -> Option<S>,
    worth: impl Fn(&T) -> W,
) {
    let mut best: HashMap<S, usize> = HashMap::new();
    for (number, it) in all.iter().enumerate() {
        if let Some(same) = same(it) {
            let known = best.entry(same).or_insert(number);
            if all
                .get(*known)
                .is_some_and(|known| worth(it) > worth(known))
            {
                *known = number;
            }
        }
    }
    let mut numbers = 0..;
    all.retain(|it| {
        let number = numbers.next();
        same(it).is_none_or(|same| best.get(&same) == number.as_ref())
    });
}

/// Returns the statements that count for a commit: its own, and where it has none, those that it
/// took over. That somebody rejected its tree counts anyhow. What those state whom the trust or the policy
/// refuses never does, as anybody can make a key, and a statement with it; nor what somebody put with a commit that it does
/// not speak of, or says of one that is not here. That a repository received it says nothing about the
/// work on it.
pub fn counted(all: &[Attested]) -> impl Iterator<Item = &Attested> {
    let counts = |it: &&Attested| {
        !it.is_signer_refused() && it.predicate_type.as_deref() != Some(RECEIVE) && !it.is_beside
    };
    let has_own = all.iter().filter(counts).any(|it| it.attested_as.is_none());
    all.iter().filter(counts).filter(move |it| {
        let is_own = it.attested_as.is_none();
        is_own || !has_own || it.rejects()
    })
}

/// Returns the best level among accepted statements that count.
pub fn level(all: &[Attested]) -> Option<Level> {
    let accepted = counted(all).filter(|it| it.verdict == Verdict::Accepted);
    accepted.filter_map(|it| it.derived.level).max()
}
