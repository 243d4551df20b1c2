//! What was made while a run went on, found when it is over: hooks can be skipped, and signing
//! can be switched off.

use notme_attest::{make::CommitSubject, predicate::Event};
use notme_core::{
    armor::dearmor,
    cms::SignedMessage,
    object::{self, ObjectKind},
};
use notme_git_hooks::event;
use notme_verifier::repository::ObjectId;
use serde_json::Value;

use crate::{
    commands::attest::Course,
    failure::Failure,
    git,
    judging::{Grounds, now},
};

/// What the commits are that are there now and were not when the run began.
#[derive(Default)]
pub(super) struct Made {
    /// The agent signed them in this run, and no record covers them: no hook saw them.
    pub(super) uncovered: Vec<CommitSubject>,
    /// They carry no signature, and no remote has them or the agent committed them.
    pub(super) unsigned: Vec<String>,
}

impl Made {
    /// Looks for them from the refs of now, and those of before.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn look(course: &Course<'_>, before: &[String]) -> Result<Self, Failure> {
        let after = git::tips()?;
        let new = git::commits(&after, before)?;
        if new.is_empty() {
            return Ok(Self::default());
        }
        let mut elsewhere = before.to_vec();
        elsewhere.extend(git::remote_tips(None)?);
        let own = git::commits(&after, &elsewhere)?;
        let grounds = Grounds::load(course.home(), None, None)?;
        let judge = grounds.judge();
        let covered = course.covered(&judge)?;
        let mut made = Self::default();
        for id in new.iter().rev() {
            let (repository, store) = (&course.archive().repository, &course.archive().store);
            let Ok(oid) = ObjectId::from_hex(id.as_bytes()) else {
                continue;
            };
            let Some(facts) = store.commit(id)? else {
                continue;
            };
            let (_, raw) = repository.read(oid)?;
            let split = object::split(ObjectKind::Commit, &raw, repository.hash())?;
            let Some(signature) = split.signature() else {
                let commit = object::parse_commit(split.payload())?;
                let is_agents = commit.committer().email() == course.run().email.as_bytes();
                if is_agents || own.contains(id) {
                    made.unsigned.push(id.clone());
                }
                continue;
            };
            // The same agent may have made it in another run, and somebody fetched it.
            let is_of_run = match activity_of(signature) {
                Some(activity) => activity == course.run().activity,
                None => own.contains(id),
            };
            if !is_of_run || covered.contains(id) {
                continue;
            }
            let judgement = judge.judge_object(ObjectKind::Commit, &raw, repository.hash());
            if judgement.identity() == Some(&course.run().identity) {
                made.uncovered.push(CommitSubject::new(id, &facts));
            }
        }
        Ok(made)
    }

    /// Returns what the record says of them.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn events(&self) -> Result<Vec<Event>, Failure> {
        let unsigned = self.unsigned.iter().map(|id| ("unsigned-commit", &**id));
        let skipped = self.uncovered.iter().map(|it| ("unseen-commit", &*it.id));
        let all = unsigned.chain(skipped);
        all.map(|fact| Ok(event::event(fact, (None::<&Value>, None), now())?))
            .collect()
    }
}

/// Returns the activity that the certificate of a signature was issued for; other formats than
/// X.509 and session certificates name none.
fn activity_of(signature: &[u8]) -> Option<String> {
    let message = SignedMessage::parse(&dearmor(signature).ok()?).ok()?;
    Some(message.signer().activity()?.to_owned())
}
