//! One commit, when its parents are judged.

use std::{collections::HashSet, ops::Deref, sync::Arc};

use notme_core::time::UnixTime;

use super::{Course, Judged, Lineage, State, Until, kinship::Bond, policies::Record};
use crate::{
    judge::{Examined, Judgement},
    order::Order,
    policy::POLICY_PATH,
    refusal::Refusal,
    repository::{Entry, ObjectId, Trees},
    scene::{Governs, Ground, Scene},
    verdict::{Code, TimeBasis, Verdict},
};

/// The most parents that are asked which of them replaced a policy; of more, all policies judge.
const PARTED_MAX: usize = 16;

/// Until when a commit stands by a policy that did not judge it, if it does; or why that is undecided.
pub(super) type Weighed = Result<Option<Until>, Refusal>;

/// What a commit stands on.
struct Parents {
    /// Those that were accepted.
    accepted: Vec<(ObjectId, Course)>,
    /// What each is to it.
    bonds: Vec<Bond>,
    /// Why it stands on nothing, if it does not.
    footing: Option<Refusal>,
}

/// One commit, when its parents are judged.
pub(super) struct Step<'s, 'l> {
    pub(super) lineage: &'s Lineage<'s>,
    pub(super) ground: &'s Ground<'s>,
    pub(super) judged: &'s Judged<'l>,
    pub(super) number: usize,
    pub(super) id: ObjectId,
    pub(super) order: Order,
    pub(super) record: &'s Record,
}

impl Step<'_, '_> {
    pub(super) fn judge(&self) -> (Judgement, State, Vec<Bond>) {
        let first = || self.lineage.beginning(false);
        let Parents {
            accepted,
            mut bonds,
            footing,
        } = self.parents();
        let mut unknown = None;
        let courses = match accepted.is_empty() {
            true => vec![first()],
            false => self.courses(&accepted, &mut unknown),
        };
        let may_anyway = || self.may_merge_undecided(&accepted, &bonds, &courses);
        let footing = footing.filter(|footing| !footing.is_open() || !may_anyway());
        let mut ends = Until::ALWAYS;
        let lines = self.lines((&accepted, &courses), &mut bonds, &mut ends);
        let lines = lines.unwrap_or_else(|refusal| {
            unknown.get_or_insert(refusal);
            vec![Vec::new(); courses.len()]
        });
        let footing = footing.or(unknown);
        let mut judgement = Judgement::refused(Code::ParentNotAccepted.into());
        let mut may_yet_stand = false;
        for (course, line) in courses.iter().zip(&lines) {
            let until;
            (judgement, until) = self.judge_by(course, (&accepted, line), footing.clone());
            ends = ends.min(until.map_or(Until::ALWAYS, Until::at));
            if judgement.verdict() != Verdict::Accepted {
                may_yet_stand = self.may_yet_stand(&judgement, course);
                break;
            }
        }
        let footing = footing.filter(Refusal::is_open);
        let mut state = match judgement.verdict() {
            Verdict::Accepted => match self.next(&courses) {
                Ok(course) => State::Accepted(course),
                Err(refusal) => {
                    judgement.refuse(refusal);
                    State::of(&judgement)
                }
            },
            Verdict::Rejected(_) | Verdict::Undecided(_) if footing.is_some() || may_yet_stand => {
                State::Undecided
            }
            Verdict::Rejected(_) | Verdict::Undecided(_) => State::of(&judgement),
        };
        // It may stand on another policy, or on nothing: only what is wrong with it by itself stays.
        if let Some(footing) = footing
            && !judgement.verdict().code().is_some_and(Code::is_of_object)
        {
            judgement.refuse(footing);
        }
        if judgement.is_excusable()
            && let Some((by, until)) = self.lineage.is_exception(self.id, &courses)
        {
            judgement.excused(by);
            // An exception for a commit is none for the policy that it leaves.
            let course = courses.into_iter().next().unwrap_or_else(first);
            let until = course.until.min(until);
            state = State::Accepted(Course { until, ..course });
        }
        if let State::Accepted(course) = &mut state {
            course.until = course
                .until
                .min(self.stands_until(judgement.time_basis(), ends));
        }
        (judgement, state, bonds)
    }

    /// Tells whether the commit was refused for want of what somebody else may have: more history, the records
    /// of a gate, or more statements.
    fn may_yet_stand(&self, judgement: &Judgement, course: &Course) -> bool {
        match judgement.verdict().code() {
            Some(Code::LevelTooLow) => true,
            Some(Code::TimeBasisTooWeak) => {
                self.order == Order::Unknown || course.policy.judge.has_gates()
            }
            // By the time in a record the certificate may be judged otherwise.
            Some(
                Code::CertificateExpired
                | Code::CertificateNotYetValid
                | Code::Revoked
                | Code::RootRetired
                | Code::RootNotYetUsed,
            ) => course.policy.judge.has_gates(),
            _ => false,
        }
    }

    /// Tells whether it makes no difference whether the parents that are undecided are accepted: they bring
    /// no other policy than the one that judges, and by that the merge may change all there is.
    fn may_merge_undecided(
        &self,
        accepted: &[(ObjectId, Course)],
        bonds: &[Bond],
        courses: &[Course],
    ) -> bool {
        let ([course], Some(parents)) = (courses, self.ground.parents_of(self.number)) else {
            return false;
        };
        if !course.descends || accepted.is_empty() {
            return false;
        }
        let accepted: Vec<_> = accepted.iter().map(|(id, _)| *id).collect();
        let parents = parents.into_iter().zip(bonds);
        let mut undecided = parents.filter(|(_, bond)| **bond == Bond::Undecided);
        let judge = &course.policy.judge;
        let examined = self.examined_by(course);
        let at = (self.number, self.id);
        let scene = Scene::of(self.ground, judge, at, &examined).changing_all();
        judge.decide_in(&examined, self.order, &scene).verdict() == Verdict::Accepted
            && undecided.all(|((id, _), _)| self.brings_no_policy(id, &accepted, course))
    }

    /// Tells whether each commit that one brings beyond others, all of which are here, holds the policy that
    /// judges.
    fn brings_no_policy(&self, one: ObjectId, others: &[ObjectId], course: &Course) -> bool {
        let (repository, trees) = (self.ground.repository, &self.ground.trees);
        let holds = |commit: &ObjectId| {
            let held = trees.policy_of(*commit);
            matches!(held, Ok(Some(it)) if it.is_file() && it.id() == course.policy.blob)
        };
        let Ok(boundary) = repository.shallow_boundary() else {
            return false;
        };
        let brought = repository.beyond((one, others), repository.all_parents());
        brought.is_ok_and(|all| all.iter().all(|it| !boundary.contains(it) && holds(it)))
    }

    /// Returns the parents that stand; that a commit has none at all is fine.
    fn parents(&self) -> Parents {
        let Some(parents) = self.ground.parents_of(self.number) else {
            let detail = "its parents are beyond the end of this shallow clone";
            return Parents {
                accepted: Vec::new(),
                bonds: vec![Bond::Undecided],
                footing: Some(Refusal::new(Code::ObjectMissing, detail)),
            };
        };
        let (mut accepted, mut bonds) = (Vec::new(), Vec::new());
        for &(id, is_hidden) in &parents {
            let beginning = |descends| State::Accepted(self.lineage.beginning(descends));
            let (state, bond) = match self.judged.state(&id) {
                _ if id == self.lineage.root => (beginning(true), Bond::Root),
                Some(state) => (state, Bond::Judged),
                None if is_hidden => (beginning(false), Bond::Root),
                None => (State::Undecided, Bond::Undecided),
            };
            bonds.push(match state {
                State::Accepted(course) => {
                    accepted.push((id, course));
                    bond
                }
                State::Undecided => Bond::Undecided,
                State::Rejected(_) => Bond::None,
            });
            if bond == Bond::Root {
                self.judged.is_of_root(id);
            }
        }
        // With one more parent that is accepted, other policies may judge, and more be changed.
        let footing = if bonds.contains(&Bond::Undecided) {
            Some(self.judged.undecided(parents.iter().map(|(id, _)| id)))
        } else if accepted.is_empty() && !parents.is_empty() {
            Some(Code::ParentNotAccepted.into())
        } else {
            None
        };
        Parents {
            accepted,
            bonds,
            footing,
        }
    }

    /// Returns the policies that judge a commit with these parents: each once, and none that
    /// another parent has replaced since they parted. Where that is not known, `footing` says so.
    fn courses(
        &self,
        accepted: &[(ObjectId, Course)],
        footing: &mut Option<Refusal>,
    ) -> Vec<Course> {
        let descends = accepted.iter().any(|(_, course)| course.descends);
        let all: Vec<_> = accepted
            .iter()
            .filter(|(_, course)| course.descends == descends)
            .collect();
        let mut kept: Vec<_> = all.clone();
        if all.len() <= PARTED_MAX {
            kept.retain(|(id, course)| {
                let mut replaced = |(other, theirs): &(ObjectId, Course)| {
                    let had = || self.had_at_parting((*id, *other), course);
                    !theirs.is_same(course)
                        && had().unwrap_or_else(|refusal| {
                            *footing = Some(refusal);
                            false
                        })
                };
                !all.iter().any(|other| replaced(other))
            });
        }
        let kept = if kept.is_empty() { all } else { kept };
        let mut seen = HashSet::new();
        let mut courses: Vec<_> = kept.into_iter().map(|(_, course)| course.clone()).collect();
        courses.retain(|course| seen.insert(course.policy_id()));
        courses
    }

    /// Tells whether a policy was in force where two commits parted.
    fn had_at_parting(
        &self,
        (one, other): (ObjectId, ObjectId),
        course: &Course,
    ) -> Result<bool, Refusal> {
        let bases = self.ground.repository.bases((one, other), self.judged)?;
        let had = |base| self.in_force(base).is_some_and(|it| it.is_same(course));
        Ok(!bases.is_empty() && bases.iter().all(had))
    }

    /// Returns what is in force after a commit that accepted ones go on from.
    fn in_force(&self, commit: &ObjectId) -> Option<Course> {
        let judged = self.judged;
        if judged.of_root.borrow().contains(commit) {
            return Some(self.lineage.beginning(true));
        }
        match judged.state(commit) {
            Some(State::Accepted(course)) => Some(course),
            Some(State::Rejected(_) | State::Undecided) => None,
            None => Some(judged.recall(commit)?.course),
        }
    }

    /// Returns for each policy that judges which of the accepted parents the commit goes on from: those
    /// that bring nothing which that policy would not have accepted. The others are nothing to it. `ends`
    /// becomes the last time at which that is known to stand.
    fn lines(
        &self,
        (accepted, courses): (&[(ObjectId, Course)], &[Course]),
        bonds: &mut [Bond],
        ends: &mut Until,
    ) -> Result<Vec<Vec<ObjectId>>, Refusal> {
        let mut lines = vec![Vec::new(); courses.len()];
        let bonds = bonds
            .iter_mut()
            .filter(|bond| matches!(bond, Bond::Judged | Bond::Root));
        for ((id, course), bond) in accepted.iter().zip(bonds) {
            let mut counts = false;
            for (judge, line) in courses.iter().zip(&mut lines) {
                let until = self.stands_by(judge, (*id, course), accepted)?;
                if until.is_some() {
                    line.push(*id);
                    counts = true;
                }
                *ends = until.unwrap_or(Until::NEVER).min(*ends);
            }
            if !counts {
                *bond = Bond::None;
            }
        }
        Ok(lines)
    }

    /// Returns until when all stands by a policy that a parent brings beyond those whose policy it is;
    /// `None` when something does not, whatever else is undecided.
    fn stands_by(
        &self,
        judge: &Course,
        (parent, own): (ObjectId, &Course),
        accepted: &[(ObjectId, Course)],
    ) -> Weighed {
        if own.is_same(judge) {
            return Ok(Some(Until::ALWAYS));
        }
        if accepted.len() > PARTED_MAX {
            return Ok(None);
        }
        let has_it = |it: &&(ObjectId, Course)| it.1.is_same(judge);
        let theirs: Vec<_> = accepted.iter().filter(has_it).map(|it| it.0).collect();
        let repository = self.ground.repository;
        let brought = repository.beyond((parent, &theirs), self.judged)?;
        let mut stands = Ok(Until::ALWAYS);
        for commit in brought {
            match self.weigh(commit, judge) {
                Ok(None) => return Ok(None),
                Ok(Some(until)) => stands = stands.map(|stands| stands.min(until)),
                Err(refusal) => stands = Err(refusal),
            }
        }
        stands.map(Some)
    }

    /// Weighs a commit by a policy that may not have judged it.
    fn weigh(&self, commit: ObjectId, judge: &Course) -> Weighed {
        // What the trust root goes on from is trusted.
        if self.judged.of_root.borrow().contains(&commit) {
            return Ok(Some(Until::ALWAYS));
        }
        let of = (commit, judge.policy.blob);
        if let Some(known) = self.judged.weighed.borrow().get(&of) {
            return known.clone();
        }
        let stands = self.weigh_anew(commit, judge);
        self.judged.weighed.borrow_mut().insert(of, stands.clone());
        stands
    }

    fn weigh_anew(&self, commit: ObjectId, judge: &Course) -> Weighed {
        let judgement = self.judged.judgements.get(&commit);
        let number = self.ground.number_of(commit);
        let (Some(judgement), Some(number)) = (judgement, number) else {
            // An earlier run judged it.
            self.judged.lacks.set(true);
            return Ok(None);
        };
        let Some(State::Accepted(own)) = self.judged.state(&commit) else {
            return Ok(None);
        };
        let again = |order: Order| {
            let within = (self.ground, self.judged);
            let by = (&*judge.policy, order);
            (self.lineage).judge_again(within, (number, commit), judgement, by)
        };
        let order = self.ground.order_of(number);
        let Some((judged, ends)) = again(order) else {
            return Ok(Some(own.until));
        };
        if judged.verdict() == Verdict::Accepted {
            let stays = || {
                let alone = again(Order::Unknown);
                alone.is_some_and(|(alone, _)| alone.verdict() == Verdict::Accepted)
            };
            let is_sure = judged.time_basis() > Some(TimeBasis::DagOrdered)
                || order != Order::Consistent
                || stays();
            return Ok(Some(match is_sure {
                true => own.until.min(ends.map_or(Until::ALWAYS, Until::at)),
                false => Until::NEVER,
            }));
        }
        let excuse = || {
            self.lineage
                .is_exception(commit, std::slice::from_ref(judge))
        };
        match judged.is_excusable().then(excuse).flatten() {
            Some((_, until)) => Ok(Some(own.until.min(until))),
            None if matches!(State::of(&judged), State::Undecided) => {
                let detail =
                    format!("whether {commit} stands by the policy that judges is undecided");
                Err(Refusal::new(Code::ParentUndecided, detail))
            }
            None => Ok(None),
        }
    }

    /// Judges the commit by one policy, and returns with it when its signature ends.
    fn judge_by(
        &self,
        course: &Course,
        (accepted, line): (&[(ObjectId, Course)], &[ObjectId]),
        footing: Option<Refusal>,
    ) -> (Judgement, Option<UnixTime>) {
        let judge = &course.policy.judge;
        let examined = &*self.examined_by(course);
        let changes = || {
            let trust = self.record.own.clone()?.trust;
            Ok(Governs {
                policy: self.changes_policy(course, accepted)?,
                trust: self
                    .judged
                    .has_other_trust(&self.ground.trees, trust, line)?,
            })
        };
        let (changes, footing) = match (changes(), footing) {
            (Ok(changes), footing) => (changes, footing),
            (Err(refusal), footing) => (Governs::ALL, footing.or(Some(refusal))),
        };
        let scene = Scene::of(self.ground, judge, (self.number, self.id), examined)
            .going_on((line.to_vec(), self.judged), changes)
            .without_footing(footing);
        let judgement = judge.decide_in(examined, self.order, &scene);
        let judgement = judgement.by(Arc::clone(&course.policy.digest));
        (judgement, examined.ends())
    }

    fn examined_by(&self, course: &Course) -> Seen<'_> {
        match Arc::ptr_eq(&course.policy, &self.record.guess) {
            true => Seen::Before(&self.record.examined),
            false => Seen::Again(self.lineage.examine_again(self.id, &course.policy.judge)),
        }
    }

    /// Tells whether the tree holds another policy than the one in force. Away from the trust
    /// root's descendants none is in force, and what a parent holds may stay.
    fn changes_policy(
        &self,
        course: &Course,
        accepted: &[(ObjectId, Course)],
    ) -> Result<bool, Refusal> {
        let held = self.record.own.clone()?.policy;
        if held.is_some_and(|it| it.is_file() && it.id() == course.policy.blob) {
            return Ok(false);
        }
        if course.descends {
            return Ok(true);
        }
        is_new_policy(&self.ground.trees, held, accepted.iter().map(|(id, _)| *id))
    }

    /// Returns what an accepted commit hands on.
    fn next(&self, courses: &[Course]) -> Result<Course, Refusal> {
        let Some(course) = courses.iter().find(|course| course.descends) else {
            let first = courses.first().cloned();
            return first.ok_or_else(|| Code::ParentNotAccepted.into());
        };
        let Some(held) = self.record.own.clone()?.policy else {
            let detail = format!("it takes `{POLICY_PATH}` away");
            return Err(Refusal::new(Code::PolicyInvalid, detail));
        };
        let policy = self.lineage.policies.load(&self.ground.trees, held)?;
        let kept = courses.iter().filter(|it| it.policy.blob == policy.blob);
        let since = match *kept.collect::<Vec<_>>() {
            [kept] => kept.since,
            // A change, or one policy where several were.
            _ => self.id,
        };
        Ok(Course {
            policy,
            since,
            ..course.clone()
        })
    }
}

/// A commit as it was examined by a policy.
enum Seen<'s> {
    Before(&'s Examined),
    Again(Examined),
}

impl Deref for Seen<'_> {
    type Target = Examined;

    fn deref(&self) -> &Examined {
        match self {
            Self::Before(examined) => examined,
            Self::Again(examined) => examined,
        }
    }
}

/// Tells whether what a commit holds as policy is another than what each of its parents does.
pub(super) fn is_new_policy(
    trees: &Trees,
    held: Option<Entry>,
    parents: impl Iterator<Item = ObjectId>,
) -> Result<bool, Refusal> {
    let mut parents = parents.peekable();
    if parents.peek().is_none() {
        return Ok(held.is_some());
    }
    for parent in parents {
        if trees.policy_of(parent)? == held {
            return Ok(false);
        }
    }
    Ok(true)
}
