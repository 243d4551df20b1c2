//! What was made while a run went on, found when it is over: hooks can be skipped, and signing
//! can be switched off.
//!
//! The run could write whatever is looked at here. Nothing of it is given to git, which starts programs
//! that a repository names: to fetch what is not there, for one.

use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
    io::{self, Write as _},
};

use notme_attest::{Attestations, make::CommitSubject, predicate::Event, store::CommitFacts};
use notme_core::object::{self, ObjectKind};
use notme_git_hooks::event;
use notme_verifier::{
    Judge, Repository,
    report::escape,
    repository::{ObjectId, RepositoryError, Selection},
    standing::Standing,
};

use crate::{
    commands::attest::Course,
    failure::Failure,
    judging::{Grounds, now},
    shell::quoted,
};

/// How many commits of a kind are named; the others are counted. A statement has its limits.
const NAMED_MAX: usize = 1000;

/// What the commits are that are there now and were not when the run began.
#[derive(Default)]
pub(super) struct Made {
    /// What refs led to when it was looked.
    tips: Vec<ObjectId>,
    /// The agent signed them in this run, and no record covers them: no hook saw them.
    pub(super) unseen: Vec<CommitSubject>,
    /// They carry no signature, and no remote has them or the agent committed them.
    unsigned: Vec<String>,
    /// What signs them, for each branch that has some.
    signing: Vec<String>,
    /// Refs or commits lead there, and nothing is there that can be read as a commit.
    unread: Vec<String>,
}

/// Returns what refs lead to.
///
/// # Errors
/// [`RepositoryError`] when refs cannot be read.
pub(super) fn tips(repository: &Repository) -> Result<Vec<ObjectId>, RepositoryError> {
    Ok(repository.select_all()?.tips().collect())
}

impl Made {
    /// Looks for them from the refs of now, and those of before.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn look(course: &Course<'_>, before: &[ObjectId]) -> Result<Self, Failure> {
        let repository = &course.archive().repository;
        let all = repository.select_all()?;
        let tips = all.tips().collect();
        let new = all.without(before.iter().copied());
        let remotes = repository.references("refs/remotes/")?.into_iter();
        let remotes = remotes.filter_map(|(_, id)| repository.peel(id).ok());
        let own = new.clone().without(remotes);
        let (new, unread) = repository.commits_and_others(&new)?;
        let unread = unread.iter().map(ToString::to_string).collect();
        let mut made = Self {
            tips,
            unread,
            ..Self::default()
        };
        if new.is_empty() {
            return Ok(made);
        }
        let (own, _) = repository.commits_and_others(&own)?;
        let own: HashSet<_> = own.into_iter().collect();
        let grounds = Grounds::load(course.home(), None, None)?;
        let judge = grounds.judge();
        let looking = Looking {
            course,
            judge: &judge,
            attestations: course.attestations(&judge),
            covered: OnceCell::new(),
            digests: OnceCell::new(),
        };
        let mut unsigned = HashSet::new();
        for id in new.iter().rev() {
            let id_text = id.to_string();
            match looking.at(&id_text, own.contains(id))? {
                Found::Others => {}
                Found::Unsigned => {
                    unsigned.insert(*id);
                    made.unsigned.push(id_text);
                }
                Found::Unread => made.unread.push(id_text),
                Found::Unseen(commit) => made.unseen.push(commit),
            }
        }
        if !unsigned.is_empty() {
            made.signing = signing(course, &unsigned, before)?;
        }
        Ok(made)
    }

    /// Returns those that came since: git may have been making them when the key agent signed no more.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn later(&self, course: &Course<'_>) -> Result<Vec<CommitSubject>, Failure> {
        match tips(&course.archive().repository)? == self.tips {
            true => Ok(Vec::new()),
            false => Ok(Self::look(course, &self.tips)?.unseen),
        }
    }

    /// Returns what the record says of them.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn events(&self) -> Result<Vec<Event>, Failure> {
        let unseen: Vec<_> = self.unseen.iter().map(|it| it.id.clone()).collect();
        let kinds = [
            ("unsigned-commit", &self.unsigned),
            ("unseen-commit", &unseen),
            ("unread-commit", &self.unread),
        ];
        let mut events = Vec::new();
        for (kind, ids) in kinds {
            for id in ids.iter().take(NAMED_MAX).chain(&more(ids)) {
                events.push(event::event((kind, id), event::NOTHING, now())?);
            }
        }
        Ok(events)
    }

    /// Says which commits are not signed, and what signs them.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn tell(&self) -> io::Result<()> {
        let mut out = io::stderr().lock();
        for commit in self.unsigned.iter().take(NAMED_MAX) {
            writeln!(out, "note: commit {commit} was made without a signature")?;
        }
        if let Some(more) = more(&self.unsigned) {
            writeln!(out, "note: and so were {more}")?;
        }
        let mut all = self.signing.iter().take(NAMED_MAX);
        all.try_for_each(|it| writeln!(out, "note: to sign those on one branch, run: {it}"))
    }
}

/// Returns the commands that sign what is unsigned: one for each branch that has some, or for HEAD.
fn signing(
    course: &Course<'_>,
    unsigned: &HashSet<ObjectId>,
    before: &[ObjectId],
) -> Result<Vec<String>, Failure> {
    let repository = &course.archive().repository;
    let mut tips = repository.references("refs/heads/")?;
    if let (None, Ok(head)) = (repository.head_branch()?, repository.head()) {
        tips.push((String::new(), head));
    }
    let old: HashSet<_> = before.iter().collect();
    let mut commands = Vec::new();
    for (name, tip) in tips {
        let name = name.trim_start_matches("refs/heads/");
        // The run chose the names, and somebody pastes them.
        if old.contains(&tip) || name.starts_with('-') || escape(name) != name {
            continue;
        }
        let Some(first) = first(repository, unsigned, (tip, before))? else {
            continue;
        };
        let from = match course.archive().store.has_parents(&first.to_string())? {
            true => format!("{first}^"),
            false => "--root".to_owned(),
        };
        let branch = match name {
            "" => String::new(),
            name => format!(" {}", quoted(name)),
        };
        commands.push(format!(
            "git rebase --rebase-merges --exec \
             'git commit --amend --allow-empty --no-edit -S' {from}{branch}"
        ));
    }
    Ok(commands)
}

/// Finds an unsigned commit that a branch has, from which on there are all of them: it goes on from none.
/// Dates are whatever somebody wrote.
fn first(
    repository: &Repository,
    unsigned: &HashSet<ObjectId>,
    (mut at, before): (ObjectId, &[ObjectId]),
) -> Result<Option<ObjectId>, RepositoryError> {
    loop {
        let new = Selection::of([at], before.iter().copied());
        let (reached, _) = repository.commits_and_others(&new)?;
        let next = |id: &&ObjectId| **id != at && unsigned.contains(*id);
        match reached.iter().rfind(next) {
            Some(next) => at = *next,
            None => return Ok(Some(at).filter(|at| unsigned.contains(at))),
        }
    }
}

/// Counts those that are not named.
fn more(ids: &[String]) -> Option<String> {
    let more = ids.len().checked_sub(NAMED_MAX).filter(|more| *more > 0);
    more.map(|more| format!("{more} more"))
}

/// What a commit is to a run.
enum Found {
    /// Somebody else's, or recorded already.
    Others,
    Unsigned,
    Unread,
    Unseen(CommitSubject),
}

/// Whoever looks at commits.
struct Looking<'a> {
    course: &'a Course<'a>,
    judge: &'a Judge<'a>,
    attestations: Attestations<'a>,
    /// What the chain covers, once somebody asks.
    covered: OnceCell<HashMap<String, bool>>,
    /// The digests of its records, once somebody asks.
    digests: OnceCell<HashSet<String>>,
}

impl Looking<'_> {
    /// Looks at a commit; one is own if no remote has it.
    fn at(&self, id: &str, is_own: bool) -> Result<Found, Failure> {
        let (run, hash) = (self.course.run(), self.course.archive().repository.hash());
        // Whoever made it may have made it of anything.
        let Ok(Some(facts)) = self.course.archive().store.commit(id) else {
            return Ok(Found::Unread);
        };
        let Ok(split) = object::split(ObjectKind::Commit, &facts.raw, hash) else {
            return Ok(Found::Unread);
        };
        if split.signature().is_none() {
            let Ok(commit) = object::parse_commit(split.payload()) else {
                return Ok(Found::Unread);
            };
            let is_agents = commit.committer().email() == run.email.as_bytes();
            return Ok(match is_agents || is_own {
                true => Found::Unsigned,
                false => Found::Others,
            });
        }
        if self.covered()?.contains_key(id) {
            return Ok(Found::Others);
        }
        let judgement = self
            .judge
            .judge_object(ObjectKind::Commit, &facts.raw, hash);
        if judgement.identity() != Some(&run.identity) {
            return Ok(Found::Others);
        }
        // The same agent may have made it in another run, of now or of before.
        let is_of_run = match judgement.standing().and_then(Standing::activity) {
            Some(activity) => activity == run.activity,
            None => is_own && !self.is_of_another(id, &facts)?,
        };
        Ok(match is_of_run {
            false => Found::Others,
            true => Found::Unseen(CommitSubject::new(id, &facts)),
        })
    }

    /// Tells whether a commit whose certificate names no activity, as those of SSH, is of another one: it
    /// carries the heads of other chains alone, or the same signer recorded it there.
    fn is_of_another(&self, id: &str, facts: &CommitFacts) -> Result<bool, Failure> {
        let mut heads = facts.trailers.iter();
        if heads.len() > 0 {
            let own = self.digests()?;
            if !heads.any(|head| own.contains(head)) {
                return Ok(true);
            }
        }
        let run = self.course.run();
        let mut all = self.attestations.of(id)?.into_iter();
        Ok(all.any(|it| {
            // What the run itself says elsewhere keeps nothing out of its record.
            let is_elsewhere = it.place.is_some_and(|it| !run.is_within(&it.activity));
            is_elsewhere && it.attested_as.is_none() && it.identity.as_ref() == Some(&run.identity)
        }))
    }

    fn digests(&self) -> Result<&HashSet<String>, Failure> {
        if let Some(digests) = self.digests.get() {
            return Ok(digests);
        }
        let digests = self.course.digests()?;
        Ok(self.digests.get_or_init(|| digests))
    }

    fn covered(&self) -> Result<&HashMap<String, bool>, Failure> {
        if let Some(covered) = self.covered.get() {
            return Ok(covered);
        }
        let covered = self.course.covered(&self.attestations)?;
        Ok(self.covered.get_or_init(|| covered))
    }
}
