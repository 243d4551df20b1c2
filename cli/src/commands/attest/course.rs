//! The records of a run: what its hooks and its end add to the chain of its activity.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use notme_attest::{
    Predicate,
    make::{self, ActivityFacts, CommitSubject, covered, places},
    predicate::{Event, Outcome as Work, Record, Succession, Termination},
    store::Place,
};
use notme_core::{json::Object, statement::Statement};
use notme_git_hooks::{
    event::TOOL_CALL,
    run::{RUN, Run, Spool},
};

use super::{Archive, Author, head};
use crate::{failure::Failure, home::Home};

/// The file that holds number and digest of the last record, so that nobody has to judge the
/// whole chain to go on.
const HEAD_FILE: &str = "head.json";
/// How many commits one record covers; a statement has its limits.
const COMMITS_MAX: usize = 1000;

/// The chain of a run's activity, in the repository that keeps it.
pub(crate) struct Course<'a> {
    home: &'a Home,
    directory: PathBuf,
    run: Run,
    archive: Archive,
}

/// What the next record says.
#[derive(Default)]
pub(crate) struct Next {
    /// The commits that it covers.
    pub(crate) commits: Vec<CommitSubject>,
    /// Which commits took the place of which.
    pub(crate) succeeds: Vec<Succession>,
    /// Whether the activity goes on.
    pub(crate) state: State,
    /// Members beside those that every record has.
    pub(crate) more: Object,
}

/// Whether an activity goes on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum State {
    #[default]
    Active,
    Suspended,
    Ended(Termination, Work),
}

impl<'a> Course<'a> {
    /// Returns that of the run around us; none outside of one, and in another repository than the
    /// one whose commits it records. A run that began in none records those of the first.
    pub(crate) fn here(home: &'a Home, archive: Archive) -> Result<Option<Self>, Failure> {
        let Some(directory) = directory() else {
            return Ok(None);
        };
        let here = fs::canonicalize(archive.repository.common_path())?;
        let mut course = Self {
            home,
            run: Run::load(&directory)?,
            directory,
            archive,
        };
        if course.run.repository.is_none() {
            course.adopt(&here)?;
        }
        let is_here = course.run.repository.as_ref() == Some(&here);
        Ok(is_here.then_some(course))
    }

    /// Keeps the run's chain in this repository, unless another hook chose one meanwhile.
    fn adopt(&mut self, here: &Path) -> Result<(), Failure> {
        let _alone = self.archive.store.lock()?;
        self.run = Run::load(&self.directory)?;
        if self.run.repository.is_none() {
            self.run.repository = Some(here.to_owned());
            self.begin(Object::new())?;
            self.run.save(&self.directory)?;
        }
        Ok(())
    }

    /// Returns that of a run, whose repository is known.
    pub(crate) fn of(home: &'a Home, directory: &Path, run: Run) -> Result<Self, Failure> {
        let archive = match &run.repository {
            Some(repository) if env::var_os("GIT_DIR").is_none() => Archive::at(repository)?,
            Some(_) | None => Archive::open()?,
        };
        Ok(Self {
            home,
            directory: directory.to_owned(),
            run,
            archive,
        })
    }

    pub(crate) fn home(&self) -> &Home {
        self.home
    }

    pub(crate) fn archive(&self) -> &Archive {
        &self.archive
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    pub(crate) fn spool(&self) -> Spool {
        Spool::new(&self.directory)
    }

    /// Begins the chain.
    pub(crate) fn begin(&self, more: Object) -> Result<(), Failure> {
        let opening = Record::opening(self.archive.store.head(), covered(&[]));
        let next = Next {
            more,
            ..Next::default()
        };
        let mut author = self.author()?;
        let facts = self.facts((Vec::new(), Vec::new()), &next, &author);
        let statement = make::activity(facts, opening, &[])?;
        let bundle = author.sign(&statement, places(&[], Some(&self.run.activity)))?;
        author.keep()?;
        self.note(0, &bundle.payload_digest())
    }

    /// Adds a record, or as many as it takes for all that was told meanwhile.
    pub(crate) fn record(&self, next: &Next) -> Result<(), Failure> {
        let mut commits = next.commits.as_slice();
        while let Some((now, later)) = commits.split_at_checked(COMMITS_MAX)
            && !later.is_empty()
        {
            self.add(now, next, &State::Active)?;
            commits = later;
        }
        while !self.add(commits, next, &next.state)? {
            commits = &[];
        }
        Ok(())
    }

    /// Adds one record; returns whether it took all that was told. It ends nothing before that.
    fn add(&self, commits: &[CommitSubject], next: &Next, state: &State) -> Result<bool, Failure> {
        // Until it is kept, nobody else is to go on from the same record.
        let _alone = self.archive.store.lock()?;
        let batch = self.spool().peek()?;
        let state = match batch.is_last {
            true => *state,
            false => State::Active,
        };
        let to = covered(commits);
        let succeeds = next.succeeds.iter().filter(|it| to.contains(&it.to));
        let succeeds = succeeds.cloned().collect();
        let part = Next {
            state,
            more: next.more.clone(),
            ..Next::default()
        };
        let (sequence, previous) = self.head()?;
        let mut author = self.author()?;
        let ends = matches!(state, State::Ended(..));
        let chain = Record::after(sequence, &previous, ends, to);
        let facts = self.facts((batch.events.clone(), succeeds), &part, &author);
        let statement = make::activity(facts, chain, commits)?;
        let bundle = author.sign(&statement, places(commits, Some(&self.run.activity)))?;
        author.keep()?;
        self.spool().take(&batch)?;
        self.note(sequence.saturating_add(1), &bundle.payload_digest())?;
        Ok(batch.is_last)
    }

    /// Returns number and digest of the last record.
    pub(crate) fn head(&self) -> Result<(u64, String), Failure> {
        let (store, activity) = (&self.archive.store, &self.run.activity);
        let noted = fs::read(self.directory.join(HEAD_FILE));
        let noted: Option<(u64, String)> = noted
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        // Whoever else added to the chain did not note it.
        if let Some((sequence, digest)) = noted
            && u64::try_from(store.count(&Place::activity(activity))?)
                .is_ok_and(|count| count == sequence.saturating_add(1))
        {
            return Ok((sequence, digest));
        }
        head(self.home, store, activity, &self.run.identity)
    }

    /// Returns the segment after the last one that the activity's records speak of.
    pub(crate) fn next_segment(archive: &Archive, activity: &str) -> Result<u64, Failure> {
        let mut last = 0;
        for kept in archive.store.read(&Place::activity(activity))? {
            if let Some(record) = record_of(&kept.content)
                && record.activity.id == activity
            {
                last = last.max(record.activity.segment);
            }
        }
        match last {
            0 => Err(
                Failure::usage(format!("there is no activity `{activity}` here"))
                    .hint("without `--activity`, a run begins one"),
            ),
            last => Ok(last.saturating_add(1)),
        }
    }

    /// Tells whether a record of the activity covers a commit.
    pub(crate) fn covers(&self, commit: &str) -> Result<bool, Failure> {
        let kept = self.archive.store.read(&Place::commit(commit))?;
        Ok(kept
            .iter()
            .filter_map(|kept| record_of(&kept.content))
            .any(|record| {
                record.activity.id == self.run.activity && record.chain.commits.contains(commit)
            }))
    }

    fn author(&self) -> Result<Author<'_>, Failure> {
        let mut author = Author::new(self.home, &self.archive, Some(&self.run.agent))?;
        author.is_quiet = true;
        Ok(author)
    }

    fn note(&self, sequence: u64, digest: &str) -> Result<(), Failure> {
        let path = self.directory.join(HEAD_FILE);
        Ok(fs::write(path, serde_json::to_vec(&(sequence, digest))?)?)
    }

    fn facts(
        &self,
        (events, succeeds): (Vec<Event>, Vec<Succession>),
        next: &Next,
        author: &Author<'_>,
    ) -> ActivityFacts {
        let mut includes = vec!["commits".to_owned()];
        let mut excludes = vec!["prompts".to_owned()];
        match events.iter().any(|event| event.kind == TOOL_CALL) {
            true => includes.push("tool-calls".to_owned()),
            false => excludes.push("tool-calls".to_owned()),
        }
        let (termination, outcome) = match next.state {
            State::Ended(termination, outcome) => (Some(termination), outcome),
            State::Active | State::Suspended => (None, Work::Unknown),
        };
        ActivityFacts {
            id: self.run.activity.clone(),
            segment: self.run.segment,
            parent: None,
            agent: self.run.agent.to_string(),
            definition: None,
            workload: Some(author.identity.clone()),
            model: self.run.model.clone(),
            provider: self.run.provider.clone(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            events,
            includes,
            excludes,
            suspended: next.state == State::Suspended,
            termination,
            outcome,
            evidence: Vec::new(),
            succeeds,
            origins_hash: None,
            claim: None,
            recorded_at: author.now.to_string(),
            more: next.more.clone(),
        }
    }
}

/// Returns the directory of the run around us.
pub(crate) fn directory() -> Option<PathBuf> {
    env::var_os(RUN).map(PathBuf::from)
}

/// Reads a bundle as a record of an activity, without judging it.
fn record_of(content: &[u8]) -> Option<Box<notme_attest::predicate::Activity>> {
    let bundle = notme_attest::Bundle::from_json(content).ok()?;
    let statement = Statement::parse(bundle.envelope().payload()).ok()?;
    match Predicate::read(&statement).ok()? {
        Predicate::Activity(activity) => Some(activity),
        Predicate::Dispatch(_) | Predicate::Handoff(_) | Predicate::Acceptance(_) => None,
    }
}
