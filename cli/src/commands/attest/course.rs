//! The records of a run: what its hooks and its end add to the chain of its activity.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    env, fs, io,
    path::{Path, PathBuf},
};

use notme_attest::{
    Attestations,
    make::{self, ActivityFacts, CommitSubject, covered},
    predicate::{Activity, Event, Outcome as Work, Record, Succession, Termination},
    store::Place,
    verify::{Asked, GoesOn, Tip},
};
use notme_core::{identity::AgentName, json::Object};
use notme_git_hooks::{
    event,
    run::{Batch, Other, RUN, Run, Spool},
};
use notme_verifier::Judge;

use super::{Archive, Author, Hand, Stuck, digest_of, tip};
use crate::{
    failure::Failure,
    git,
    home::Home,
    judging::{Grounds, now},
};

/// How many commits one record covers; a statement has its limits.
const COMMITS_MAX: usize = 1000;

/// The chain of an activity of a run, in the repository that keeps it.
pub(crate) struct Course<'a> {
    home: &'a Home,
    directory: PathBuf,
    run: Run,
    archive: Archive,
    /// The activity: the run's own, or one that it started, in another repository.
    activity: String,
    side: Side,
}

/// Where records are made.
enum Side {
    /// In the run: what its directory says is so.
    Inside,
    /// Above it, with more rights than it has: nothing is written to its directory, and only what
    /// it may tell of itself is believed.
    Above {
        /// How many bytes of events were recorded; `None` where events cannot be read.
        taken: Cell<Option<u64>>,
    },
}

/// What the next record says.
#[derive(Default)]
pub(crate) struct Next {
    /// The commits that it covers.
    pub(crate) commits: Vec<CommitSubject>,
    /// Which commits took the place of which.
    pub(crate) succeeds: Vec<Succession>,
    /// What happened, beside what was told.
    pub(crate) events: Vec<Event>,
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
    /// Returns that of the run around us in this repository; none outside of a run. A run that
    /// began in no repository keeps its chain in the first that it comes to, and starts an activity
    /// in every other one.
    pub(crate) fn here(home: &'a Home, archive: Archive) -> Result<Option<Self>, Failure> {
        let Some(directory) = directory() else {
            return Ok(None);
        };
        let here = fs::canonicalize(archive.repository.common_path())?;
        let run = Run::load(&directory)?;
        let course = |run: Run, activity, archive| Self {
            home,
            directory: directory.clone(),
            run,
            archive,
            activity,
            side: Side::Inside,
        };
        // One that was made anew in the same place keeps none of it.
        let going_on = |run: &Run| -> Result<Option<String>, Failure> {
            match activity_in(run, &here) {
                Some(activity) if has_begun(&archive, &activity)? => Ok(Some(activity)),
                Some(_) | None => Ok(None),
            }
        };
        if let Some(activity) = going_on(&run)? {
            return Ok(Some(course(run, activity, archive)));
        }
        // Another hook may come here first.
        let _alone = Run::lock(&directory)?;
        let mut run = Run::load(&directory)?;
        if let Some(activity) = going_on(&run)? {
            return Ok(Some(course(run, activity, archive)));
        }
        let activity = match run.repository {
            None => run.activity.clone(),
            Some(_) => run.child(run.others.len().saturating_add(1)),
        };
        match run.repository {
            None => run.repository = Some(here),
            Some(_) => run.others.push(Other {
                repository: here,
                activity: activity.clone(),
            }),
        }
        let course = course(run, activity, archive);
        course.begin(Object::new())?;
        course.run.save(&directory)?;
        Ok(Some(course))
    }

    /// Returns that of the repository that a run begins in.
    pub(crate) fn of(home: &'a Home, directory: &Path, run: &Run) -> Result<Self, Failure> {
        Ok(Self {
            home,
            directory: directory.to_owned(),
            archive: Archive::open()?,
            activity: run.activity.clone(),
            run: run.clone(),
            side: Side::Inside,
        })
    }

    /// Returns that of one of the places that a run has come to, now that it is over.
    pub(crate) fn above(
        home: &'a Home,
        directory: &Path,
        run: &Run,
        repository: &Path,
        activity: &str,
    ) -> Result<Self, Failure> {
        let spool = Spool::new(directory);
        // Events are told in the run's own.
        let taken = spool.taken().ok().filter(|_| activity == run.activity);
        let taken = taken.filter(|from| spool.peek_after(*from, now()).is_ok());
        Ok(Self {
            home,
            directory: directory.to_owned(),
            run: run.clone(),
            archive: Archive::at(repository)?,
            activity: activity.to_owned(),
            side: Side::Above {
                taken: Cell::new(taken),
            },
        })
    }

    /// Tells whether it is the run's own.
    pub(crate) fn is_own(&self) -> bool {
        self.activity == self.run.activity
    }

    /// Tells whether what was told of the run cannot be read.
    pub(crate) fn is_deaf(&self) -> bool {
        matches!(&self.side, Side::Above { taken } if taken.get().is_none())
    }

    /// Returns what a record was to say that could not be made: of what was told, as much as one takes.
    pub(crate) fn untold(&self, events: Vec<Event>) -> Result<Vec<Event>, Failure> {
        let Side::Above { taken } = &self.side else {
            return Ok(events);
        };
        let Some(taken) = taken.get().filter(|_| self.is_own()) else {
            return Ok(events);
        };
        let batch = self.spool().peek_after(taken, now())?;
        let mut all = batch.events;
        if batch.has_more {
            all.push(event::event(("unlooked", "events"), event::NOTHING, now())?);
        }
        all.extend(events);
        Ok(all)
    }

    /// Tells whether there is any record of the activity.
    pub(crate) fn has_begun(&self) -> Result<bool, Failure> {
        has_begun(&self.archive, &self.activity)
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
        let facts = self.facts((Vec::new(), Vec::new()), &next, &mut author)?;
        let statement = make::activity(facts, opening, &[])?;
        let bundle = author.sign(&statement)?;
        author.keep()?;
        self.note(0, &bundle.payload_digest())
    }

    /// Adds a record, or as many as it takes for all that was told meanwhile.
    pub(crate) fn record(&self, next: &Next) -> Result<(), Failure> {
        let mut commits = next.commits.as_slice();
        while let Some((first, later)) = commits.split_at_checked(COMMITS_MAX)
            && !later.is_empty()
        {
            self.add(first, next, &State::Active)?;
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
        let batch = match (self.is_own(), &self.side) {
            (false, _) => Batch::default(),
            (true, Side::Inside) => self.spool().peek(now())?,
            (true, Side::Above { taken }) => match taken.get() {
                Some(taken) => self.spool().peek_after(taken, now())?,
                None => Batch::default(),
            },
        };
        let state = match batch.has_more {
            true => State::Active,
            false => *state,
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
        let mut events = batch.events.clone();
        if !batch.has_more {
            events.extend_from_slice(&next.events);
        }
        let facts = self.facts((events, succeeds), &part, &mut author)?;
        let statement = make::activity(facts, chain, commits)?;
        let bundle = author.sign(&statement)?;
        author.keep()?;
        match &self.side {
            Side::Above { taken } => taken.set(taken.get().map(|_| batch.end())),
            Side::Inside => {
                if self.is_own() {
                    self.spool().take(&batch)?;
                }
                self.note(sequence.saturating_add(1), &bundle.payload_digest())?;
            }
        }
        Ok(!batch.has_more)
    }

    /// Returns number and digest of the last record.
    pub(crate) fn head(&self) -> Result<(u64, String), Failure> {
        let (store, activity) = (&self.archive.store, &self.activity);
        let noted: Option<(u64, String)> = match self.side {
            Side::Above { .. } => None,
            Side::Inside => {
                let noted = fs::read(self.head_file()).ok();
                noted.and_then(|text| serde_json::from_slice(&text).ok())
            }
        };
        // Whoever else added to the chain did not note it.
        if let Some((sequence, digest)) = noted
            && u64::try_from(store.count(&Place::activity(activity))?)
                .is_ok_and(|count| count == sequence.saturating_add(1))
        {
            return Ok((sequence, digest));
        }
        let tip = self.tip()?;
        Ok((tip.sequence, tip.digest))
    }

    /// Returns the last record, of an activity that goes on.
    fn tip(&self) -> Result<Tip, Failure> {
        let store = &self.archive.store;
        let by = (&*self.run.identity, self.goes_on()?);
        tip(self.home, store, &self.activity, by)
    }

    fn goes_on(&self) -> Result<GoesOn<'_>, Failure> {
        let (_, kid) = Hand::of(self.home, Some(&self.run.agent))?.credentials()?;
        Ok(GoesOn {
            by: Some(kid),
            after: self.run.after.as_deref().filter(|_| self.is_own()),
        })
    }

    /// Returns the segment after the last one of an activity, as an identity signed it: others can say
    /// anything of it. What is part of another activity is another chain, which a run does not go on with.
    pub(crate) fn next_segment(
        home: &Home,
        (activity, after): (&str, Option<&str>),
        agent: &AgentName,
    ) -> Result<u64, Failure> {
        const BEGIN: &str = "without `--activity`, a run begins one";
        let (identity, kid) = Hand::of(home, Some(agent))?.credentials()?;
        let by = Some(kid);
        let by = (&*identity, GoesOn { by, after });
        let tip = tip(home, &Archive::open()?.store, activity, by);
        let tip = tip.map_err(|failure| failure.hint(BEGIN))?;
        match tip.parent {
            None => Ok(tip.segment.saturating_add(1)),
            Some(_) => Err(Failure::usage(format!(
                "there is no activity `{activity}` of its own here"
            ))
            .hint(BEGIN)),
        }
    }

    /// Returns the last record, unless it ends the chain. One that was signed while the authority was away
    /// does not: nothing shows its time.
    pub(crate) fn last(&self) -> Result<Option<Tip>, Failure> {
        match self.tip() {
            Ok(tip) => Ok(Some(tip)),
            Err(failure) if matches!(failure.error(), Some(Stuck::Ended(_))) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Returns what the chain covers, and whether anything shows when that was recorded.
    pub(crate) fn covered(
        &self,
        attestations: &Attestations<'_>,
    ) -> Result<HashMap<String, bool>, Failure> {
        let goes_on = self.goes_on().unwrap_or_default();
        Ok(attestations.covered(&self.activity, &self.run.identity, goes_on)?)
    }

    /// Returns the commits that were recorded while nothing showed the time, as far as they are here.
    pub(crate) fn untimed(&self) -> Result<Vec<CommitSubject>, Failure> {
        let grounds = Grounds::load(self.home, None, None)?;
        let judge = grounds.judge();
        let covered = self.covered(&self.attestations(&judge))?.into_iter();
        let untimed = covered.filter(|(_, is_timed)| !is_timed);
        let mut commits = Vec::new();
        for (id, _) in untimed {
            let facts = self.archive.store.commit(&id).ok().flatten();
            commits.extend(facts.map(|facts| CommitSubject::new(&id, &facts)));
        }
        commits.sort_by(|one: &CommitSubject, other| one.id.cmp(&other.id));
        Ok(commits)
    }

    /// Returns what is attested in the repository.
    pub(crate) fn attestations<'j>(&self, judge: &'j Judge<'j>) -> Attestations<'j> {
        Attestations::new(self.archive.store.clone(), judge, Asked::default())
    }

    /// Returns the digests of what is kept as records of the activity, unjudged.
    pub(crate) fn digests(&self) -> Result<HashSet<String>, Failure> {
        let kept = self.archive.store.read(&Place::activity(&self.activity))?;
        Ok(kept.iter().filter_map(digest_of).collect())
    }

    fn author(&self) -> Result<Author<'_>, Failure> {
        let mut author = Author::new(self.home, &self.archive, Some(&self.run.agent))?;
        author.is_quiet = true;
        Ok(author)
    }

    fn note(&self, sequence: u64, digest: &str) -> Result<(), Failure> {
        let text = serde_json::to_vec(&(sequence, digest))?;
        Ok(fs::write(self.head_file(), text)?)
    }

    /// Returns the file that holds number and digest of the last record, so that nobody has to
    /// judge the whole chain to go on.
    fn head_file(&self) -> PathBuf {
        let name = Activity::key(&self.activity);
        self.directory.join(format!("head-{name}.json"))
    }

    fn facts(
        &self,
        (events, succeeds): (Vec<Event>, Vec<Succession>),
        next: &Next,
        author: &mut Author<'_>,
    ) -> Result<ActivityFacts, Failure> {
        let mut includes = vec!["commits".to_owned()];
        let mut excludes = vec!["prompts".to_owned()];
        match events.iter().any(Event::is_tool_call) {
            true => includes.push("tool-calls".to_owned()),
            false => excludes.push("tool-calls".to_owned()),
        }
        let (termination, outcome) = match next.state {
            State::Ended(termination, outcome) => (Some(termination), outcome),
            State::Active | State::Suspended => (None, Work::Unknown),
        };
        Ok(ActivityFacts {
            id: self.activity.clone(),
            segment: match self.is_own() {
                true => self.run.segment,
                false => 1,
            },
            parent: (!self.is_own()).then(|| self.run.activity.clone()),
            agent: self.run.agent.to_string(),
            definition: None,
            workload: Some(author.hand.identity()?),
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
        })
    }
}

/// Where a run has worked, now that it is over.
pub(crate) struct Places {
    /// The repositories, each with the activity that it keeps the chain of.
    pub(crate) all: Vec<(PathBuf, String)>,
    /// Why there may be others.
    pub(crate) unread: Option<io::Error>,
}

impl Places {
    /// Returns those of a run. Where else it worked, its directory says: that is so if there is a chain of
    /// the run's, and its name could be no other's.
    pub(crate) fn of(directory: &Path, run: &Run) -> Self {
        let (said, unread) = match Run::load(directory) {
            Ok(said) => (Some(said), None),
            Err(error) => (None, Some(error)),
        };
        let first = run.repository.clone();
        let first = first.or_else(|| said.as_ref()?.repository.clone());
        let first = first.map(|repository| (repository, run.activity.clone()));
        let others = said.map(|said| said.others).unwrap_or_default();
        let others = (1..).zip(others);
        let others = others.map(|(number, other)| (other.repository, run.child(number)));
        Self {
            all: first.into_iter().chain(others).collect(),
            unread,
        }
    }
}

fn has_begun(archive: &Archive, activity: &str) -> Result<bool, Failure> {
    Ok(archive.store.count(&Place::activity(activity))? > 0)
}

/// Returns the activity whose chain a repository keeps: of several in one place, the last.
fn activity_in(run: &Run, repository: &Path) -> Option<String> {
    let mut others = run.others.iter().rev();
    if let Some(known) = others.find(|other| other.repository == repository) {
        return Some(known.activity.clone());
    }
    let is_first = run.repository.as_deref() == Some(repository);
    is_first.then(|| run.activity.clone())
}

/// Returns the agent of the run around us, and the activity whose chain the repository here keeps, as far as
/// that is known.
pub(crate) fn known_here() -> (Option<AgentName>, Option<String>) {
    let Some(run) = directory().and_then(|it| Run::load(&it).ok()) else {
        return (None, None);
    };
    let here = git::common_directory().ok();
    let here = here.and_then(|it| fs::canonicalize(it).ok());
    let activity = here.and_then(|here| activity_in(&run, &here));
    (Some(run.agent), activity)
}

/// Returns the directory of the run around us.
pub(crate) fn directory() -> Option<PathBuf> {
    env::var_os(RUN).map(PathBuf::from)
}
