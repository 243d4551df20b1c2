//! `notme run`: an AI agent, or any program, whose commits are signed as an agent and recorded;
//! and `notme record`, by which it tells what it does.

mod child;
mod environment;
mod made;

use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    io::{self, Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use notme_agent::{AgentConfig, Profile};
use notme_attest::{
    make::CommitSubject,
    predicate::{Activity, Event, Outcome as Work, Termination},
    verify::Tip,
};
use notme_core::{
    identity::AgentName,
    json::Object,
    terms::{Terms, repository_name},
    time::UnixTime,
};
use notme_git_hooks::{
    event::{self, JSON_MAX},
    run::{Run, Spool},
};
use notme_signer::{AgentClient, Deadline};
use notme_verifier::{Repository, report::escape, repository::ObjectId};
use serde_json::json;

use self::{environment::Environment, made::Made};
use crate::{
    arguments::run::{Record, Run as RunArguments},
    commands::{
        agent,
        attest::{
            Course, Next, State, Stuck,
            course::{self, Places},
            new_id,
        },
        init,
    },
    failure::{Exit, Failure, Outcome},
    git,
    home::Home,
    judging::now,
    program, repository,
    shell::quoted_path,
};

/// How long anything is signed unless it was said, in seconds.
const DAY: i64 = 24 * 3600;
/// The name of an agent that nobody named.
const NAMELESS: &str = "agent";
/// In place of a repository's name: that of the one here.
const AUTO: &str = "auto";
/// How long sending attestations may take, and how long to wait between two looks.
const SEND_DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);
/// What a shell ends with when there is no such program.
const NOT_FOUND: u8 = 127;

pub(crate) fn run(home: &Home, arguments: &RunArguments) -> Outcome {
    let Some((program, words)) = arguments.command.split_first() else {
        return Err(Failure::usage("there is nothing to run"));
    };
    if course::directory().is_some() {
        let failure =
            Failure::usage("this is inside of a run, and what it was lent is not lent to another");
        return Err(failure.hint("what it starts signs as its agent, and is recorded, as it is"));
    }
    let agent = agent_of(arguments)?;
    configure(home, &agent)?;
    if !arguments.refs.is_empty() && signing_here()?.as_ref() == Some(&agent) {
        writeln!(
            io::stderr(),
            "note: agent `{agent}` signs your own commits, too, so that no merge of yours takes to \
             other refs what it signs within these; `--agent` names another"
        )?;
    }
    // Outside of a repository, the first one that a commit is made in counts.
    let repository = git::common_directory().ok();
    let repository = repository.map(fs::canonicalize).transpose()?;
    let activity = arguments.activity.clone().map_or_else(new_id, Ok)?;
    // Lent for as long as this connection lives.
    let mut lender = AgentClient::connect(
        &agent::endpoint(home)?,
        Deadline::after(agent::ENROL_DEADLINE),
    )
    .map_err(agent::client_failure)?;
    let terms = terms(arguments)?;
    let lent = lender.lend(&agent, &activity, terms);
    let lent = lent.map_err(agent::client_failure)?;
    let identity = lent.identity.to_string();
    let segment = match &arguments.activity {
        None => 1,
        Some(id) => Course::next_segment(home, (id, arguments.after.as_deref()), &agent)?,
    };
    let run = Run {
        email: arguments
            .email
            .clone()
            .unwrap_or_else(|| format!("{agent}@notme.invalid")),
        identity,
        activity,
        after: arguments.after.clone(),
        segment,
        agent,
        model: arguments.model.clone(),
        provider: arguments.provider.clone(),
        repository,
        others: Vec::new(),
    };
    let directory = Path::new(&lent.socket).parent();
    let directory = directory.ok_or("the key agent lends on no socket")?;
    let environment = Environment::of(home, arguments, (directory, &lent.socket), &run)?;
    let going = Going::begin(home, arguments, directory, run)?;
    let ended = child::run(program, words, &environment);
    // What the program left behind goes on, and none of that would be in the record of the end.
    if let Err(error) = lender.reclaim(Deadline::after(agent::DEADLINE)) {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(
            io::stderr(),
            "note: the key agent does not say that it signs nothing more for the run: {}",
            escape(&error.to_string())
        );
    }
    going.end(ended.as_ref().ok().copied());
    drop(lender);
    match ended {
        Ok(status) => Ok(Exit::Of(code(status))),
        Err(error) => {
            let name = program.to_string_lossy();
            let error = format!("could not run `{name}`: {error}");
            Err(Failure::of(error, NOT_FOUND))
        }
    }
}

/// Takes the agent that was named, else the one that signs commits here.
fn agent_of(arguments: &RunArguments) -> Result<AgentName, Failure> {
    match &arguments.agent {
        Some(agent) => Ok(agent.clone()),
        None => Ok(signing_here()?.map_or_else(|| NAMELESS.parse(), Ok)?),
    }
}

/// Returns the agent that signs commits here, if git's settings name one.
fn signing_here() -> Result<Option<AgentName>, Failure> {
    let key = git::value("user.signingkey")?;
    Ok(key.and_then(|key| key.parse().ok()))
}

/// Sets an agent up that nobody knows yet, with this user's own authority.
fn configure(home: &Home, agent: &AgentName) -> Result<(), Failure> {
    if AgentConfig::load(&home.agents(), agent)?.is_some() {
        return Ok(());
    }
    init::embedded(home, agent, Profile::Modern)?.save(&home.agents())?;
    writeln!(
        io::stderr(),
        "note: agent `{agent}` is new; the authority is your own, in {}",
        home.authority().display()
    )?;
    Ok(())
}

fn terms(arguments: &RunArguments) -> Result<Terms, Failure> {
    let patterns = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let repository = match arguments.repository.as_deref() {
        None => None,
        Some(AUTO) => Some(repository_here()?),
        Some(text) => Some(repository_name(text).ok_or_else(|| {
            let failure = Failure::usage(format!("`{text}` names no repository"));
            failure.hint("write it as `HOST/PATH`, or as a URL that is not of this machine")
        })?),
    };
    let terms = Terms {
        repository,
        refs: patterns(&arguments.refs),
        paths: patterns(&arguments.paths),
        signatures: arguments.signatures.get(),
        until: arguments.until.unwrap_or_else(|| now().plus(DAY)),
    };
    terms.to_der().map_err(Failure::usage)?;
    Ok(terms)
}

/// Returns the name that verifiers know the repository here by.
fn repository_here() -> Result<String, Failure> {
    let mut names = Vec::new();
    if git::common_directory().is_ok() {
        names = repository::open()?.known_as();
    }
    names.into_iter().next().ok_or_else(|| {
        let failure = Failure::usage("the repository here has no name, or there is none");
        failure.hint("`git config notme.repository HOST/PATH` gives it one, or a remote `origin`")
    })
}

/// What there is to tell of an end.
#[derive(Default)]
struct Closed {
    /// Why it was not recorded, if it was not, and what the record was to say.
    failed: Option<(Failure, Vec<Event>)>,
    made: Made,
    /// Commits that the agent had signed, and git was still making when it was looked.
    late: Vec<CommitSubject>,
    /// Why nobody knows what was made.
    unlooked: Option<Failure>,
    /// The agent signed them in the run, and no record covers them whose time anything shows.
    uncovered: Vec<CommitSubject>,
    /// Nothing shows the time of the record of the end, which ends nothing so.
    is_untimed: bool,
    /// The last record, where nothing shows its time.
    after: Option<String>,
}

/// A run that goes on.
struct Going<'a> {
    home: &'a Home,
    directory: PathBuf,
    run: Run,
    /// What refs led to when it began.
    before: Vec<ObjectId>,
    /// How git was set up there when it began.
    settings: Vec<(String, String)>,
    began: UnixTime,
    is_suspended: bool,
}

impl<'a> Going<'a> {
    fn begin(
        home: &'a Home,
        arguments: &RunArguments,
        directory: &Path,
        run: Run,
    ) -> Result<Self, Failure> {
        run.save(directory)?;
        let spool = Spool::new(directory);
        spool.tell(&start(&arguments.command)?)?;
        let (mut before, mut settings) = (Vec::new(), Vec::new());
        if run.repository.is_some() {
            let course = Course::of(home, directory, &run)?;
            before = made::tips(&course.archive().repository)?;
            settings = lasting_settings()?;
            match run.segment {
                1 => course.begin(Object::new())?,
                _ => course.record(&Next::default())?,
            }
        }
        Ok(Self {
            home,
            directory: directory.to_owned(),
            run,
            before,
            settings,
            began: now(),
            is_suspended: arguments.suspend,
        })
    }

    /// Records what was made and how it ended, wherever that can be recorded, and sends that after what was
    /// pushed. The program has run, whatever becomes of its record: that is said, and changes nothing.
    fn end(&self, status: Option<ExitStatus>) {
        let state = match self.is_suspended {
            true => State::Suspended,
            false => State::Ended(termination(status), work(status)),
        };
        let places = Places::of(&self.directory, &self.run);
        let closed = places.all.iter();
        let closed: Vec<_> = closed
            .map(|place| self.close(place, state, status, places.unread.is_some()))
            .collect();
        // Nobody is left to tell when stderr is gone.
        let _ = self.tell(state, &places, &closed);
        let _ = self.send();
    }

    /// Records the end in one place; `None` where there is no record of it any more.
    fn close(
        &self,
        (repository, activity): &(PathBuf, String),
        state: State,
        status: Option<ExitStatus>,
        is_lost: bool,
    ) -> Result<Option<Closed>, Failure> {
        let is_own = *activity == self.run.activity;
        if !is_own && !repository.exists() {
            return Ok(None);
        }
        let course = Course::above(self.home, &self.directory, &self.run, repository, activity)?;
        if !is_own && !course.has_begun()? {
            return Ok(None);
        }
        // Where it began, it is known what was there before.
        let is_looked_at = is_own && self.run.repository.is_some();
        let mut closed = Closed::default();
        if is_looked_at {
            match Made::look(&course, &self.before) {
                Ok(made) => closed.made = made,
                Err(failure) => closed.unlooked = Some(failure),
            }
        }
        closed.uncovered.clone_from(&closed.made.unseen);
        match course.untimed() {
            Ok(untimed) => closed.uncovered.extend(untimed),
            Err(failure) => closed.unlooked = Some(failure),
        }
        let mut unlooked = Vec::new();
        if is_own {
            unlooked.extend(is_lost.then_some("repositories"));
            unlooked.extend(course.is_deaf().then_some("events"));
            unlooked.extend(closed.unlooked.is_some().then_some("commits"));
        }
        let mut events = closed.made.events()?;
        for what in unlooked {
            events.push(event::event(("unlooked", what), event::NOTHING, now())?);
        }
        let next = Next {
            events,
            commits: closed.uncovered.clone(),
            succeeds: Vec::new(),
            state,
            more: self.more(status)?,
        };
        let recorded = course.record(&next);
        let untimed = |tip: Tip| tip.is_untimed.then_some(tip.digest);
        if let Err(failure) = recorded {
            closed.failed = Some((failure, course.untold(next.events)?));
            closed.after = course.last().ok().flatten().and_then(untimed);
            return Ok(Some(closed));
        }
        let goes_on = course.last()?;
        closed.is_untimed = matches!(state, State::Ended(..)) && goes_on.is_some();
        closed.after = goes_on.and_then(untimed);
        if is_looked_at && closed.unlooked.is_none() {
            match closed.made.later(&course) {
                Ok(late) => closed.late = late,
                Err(failure) => closed.unlooked = Some(failure),
            }
        }
        Ok(Some(closed))
    }

    /// Says how each activity ended, what is not signed, and what is not known.
    fn tell(
        &self,
        state: State,
        places: &Places,
        closed: &[Result<Option<Closed>, Failure>],
    ) -> io::Result<()> {
        let mut out = io::stderr();
        let mut gone = 0_usize;
        for (place, closed) in places.all.iter().zip(closed) {
            let closed = match closed {
                Ok(Some(closed)) => closed,
                Ok(None) => {
                    gone += 1;
                    continue;
                }
                Err(failure) => {
                    tell_unlooked(failure)?;
                    self.complain(failure, place, &self.end_unseen(place, state))?;
                    continue;
                }
            };
            if let Some(failure) = &closed.unlooked {
                tell_unlooked(failure)?;
            }
            closed.made.tell()?;
            if let Some((failure, events)) = &closed.failed {
                let end = self.end_later(place, state, (closed, events));
                self.complain(failure, place, &end)?;
                continue;
            }
            for commit in &closed.late {
                writeln!(
                    out,
                    "note: commit {} was signed in the run and came when its end was being recorded: no \
                     record covers it; what it does is to be committed anew",
                    commit.id
                )?;
            }
            let how = match self.is_suspended {
                true => "is suspended",
                false => "has ended",
            };
            match closed.is_untimed {
                false => writeln!(out, "notme: activity {} {how}", place.1)?,
                true => writeln!(
                    out,
                    "note: activity {} has not ended, since nothing shows when the end of the run was \
                     recorded; once the authority is there, run: {}",
                    place.1,
                    escape(&self.end_later(place, state, (closed, &[])))
                )?,
            }
            if let (true, Some(after)) = (self.is_suspended, &closed.after) {
                writeln!(
                    out,
                    "note: nothing shows when its last records were signed; what goes on from them with \
                     another key than now names the last one: `--after {after}`"
                )?;
            }
        }
        if let Some(error) = &places.unread {
            writeln!(
                out,
                "note: what the run did in other repositories has no end, since it is not known \
                 which they are: {}",
                escape(&error.to_string())
            )?;
        }
        if gone > 0 {
            writeln!(
                out,
                "note: {gone} repositories that the run worked in are gone, or are others now, with \
                 what was recorded there"
            )?;
        }
        Ok(())
    }

    /// Returns what changes to a repository, from where the run began.
    fn change_to(&self, repository: &Path) -> String {
        match Some(repository) == self.run.repository.as_deref() {
            true => String::new(),
            false => format!("cd {} && ", quoted_path(repository)),
        }
    }

    /// Returns the command that records later how a run ended, with the commits that its end is to cover and
    /// what it is to say. That is kept where the command finds it, or the end is not said to be a good one.
    fn end_later(
        &self,
        (repository, activity): &(PathBuf, String),
        state: State,
        (closed, events): (&Closed, &[Event]),
    ) -> String {
        let kept = (!events.is_empty()).then(|| self.keep(activity, events));
        let how = match state {
            State::Ended(termination, work) => format!(
                "--end --termination {} --outcome {}",
                termination.as_str(),
                match kept {
                    Some(Err(_)) => Work::Unknown.as_str(),
                    Some(Ok(_)) | None => work.as_str(),
                }
            ),
            State::Active | State::Suspended => "--suspend".to_owned(),
        };
        let events = kept.and_then(Result::ok);
        let events = events.map(|file| format!(" --events {}", quoted_path(&file)));
        let events = events.unwrap_or_default();
        let commits = closed.uncovered.iter();
        let commits: String = commits.map(|it| format!(" {}", it.id)).collect();
        let after = closed.after.as_ref().map(|it| format!(" --after {it}"));
        let after = after.unwrap_or_default();
        format!(
            "{}notme attest activity{commits} --activity {activity}{after} {how}{events} --agent {}",
            self.change_to(repository),
            self.run.agent
        )
    }

    /// As [`Self::end_later`], where nobody could look at anything.
    fn end_unseen(&self, place: &(PathBuf, String), state: State) -> String {
        let unlooked = |what| event::event(("unlooked", what), event::NOTHING, now()).ok();
        let all = ["events", "commits"].into_iter().filter_map(unlooked);
        let events: Vec<_> = all.filter(|_| place.1 == self.run.activity).collect();
        self.end_later(place, state, (&Closed::default(), &events))
    }

    /// Keeps what a record was to say in a file of its own.
    fn keep(&self, activity: &str, events: &[Event]) -> io::Result<PathBuf> {
        let directory = self.home.unrecorded();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)?;
        let file = directory.join(format!("{}.jsonl", Activity::key(activity)));
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
        }
        // The run may have put a pipe there, or a link.
        if fs::symlink_metadata(&file).is_ok() {
            fs::remove_file(&file)?;
        }
        let mut options = fs::File::options();
        let options = options.create_new(true).write(true).mode(0o600);
        options.open(&file)?.write_all(&lines)?;
        Ok(file)
    }

    /// Says that an end was not recorded, and what records how it was, if anything can.
    fn complain(
        &self,
        failure: &Failure,
        place: &(PathBuf, String),
        command: &str,
    ) -> io::Result<()> {
        let remedy = match failure.error::<Stuck>() {
            None => format!("run: {command}"),
            Some(stuck) if stuck.is_gone() => format!(
                "of what was recorded before, something is gone; where a remote has it, `{}notme \
                 attest fetch REMOTE` brings it back, and then: {command}",
                self.change_to(&place.0)
            ),
            Some(_) => "nothing can be added any more, and what it covers has no end".to_owned(),
        };
        writeln!(
            io::stderr(),
            "note: the end of the run was not recorded: {}; {}",
            escape(&failure.to_string()),
            escape(&remedy),
        )
    }

    /// Sends the last records after those that went along with a push. Which program that starts,
    /// and where it goes, is for the settings to say that were there before the run.
    fn send(&self) -> io::Result<()> {
        let mut out = io::stderr();
        let remotes = match Spool::new(&self.directory).remotes() {
            Ok(remotes) if remotes.is_empty() => return Ok(()),
            Ok(remotes) => remotes,
            Err(error) => {
                let error = escape(&error.to_string()).into_owned();
                return writeln!(out, "note: the last attestations were not sent: {error}");
            }
        };
        let is_as_before = self.is_as_before();
        for (repository, remote) in remotes {
            let url = format!("remote.{remote}.url");
            let is_known = Some(&repository) == self.run.repository.as_ref()
                && self.settings.iter().any(|(name, _)| *name == url);
            if !(is_as_before && is_known && send(&remote)?) {
                writeln!(
                    out,
                    "note: the last attestations did not get to `{}`; later, in {}: \
                     notme attest push REMOTE",
                    escape(&remote),
                    escape(&repository.display().to_string())
                )?;
            }
        }
        Ok(())
    }

    /// Tells whether git is set up as it was before. It would wait for whatever is written to a pipe.
    fn is_as_before(&self) -> bool {
        let is_readable = |it: &PathBuf| Repository::open(it).is_ok();
        self.run.repository.as_ref().is_some_and(is_readable)
            && lasting_settings().is_ok_and(|settings| settings == self.settings)
    }

    /// What the last record says beside what every record does.
    fn more(&self, status: Option<ExitStatus>) -> Result<Object, Failure> {
        let more = json!({"run": {
            "startedAt": self.began.to_string(),
            "endedAt": now().to_string(),
            "exit": status.and_then(|status| status.code()),
            "signal": status.and_then(|status| status.signal()),
        }});
        Ok(serde_json::from_value(more)?)
    }
}

/// Returns git's settings but those of branches, which every push and switch may change.
fn lasting_settings() -> Result<Vec<(String, String)>, Failure> {
    let mut settings = git::settings()?;
    settings.retain(|(name, _)| !name.starts_with("branch."));
    Ok(settings)
}

/// Says that there may be commits of which nothing is known.
fn tell_unlooked(failure: &Failure) -> io::Result<()> {
    let failure = failure.to_string();
    let failure = escape(&failure);
    writeln!(io::stderr(), "note: nobody knows what was made: {failure}")
}

/// Sends the attestations; returns whether they got there in time.
fn send(remote: &str) -> io::Result<bool> {
    let mut sending = Command::new(program::path()?)
        .args(["attest", "push", "--if-published", "--", remote])
        .spawn()?;
    let until = Instant::now() + SEND_DEADLINE;
    loop {
        match sending.try_wait()? {
            Some(status) => return Ok(status.success()),
            None if Instant::now() < until => thread::sleep(PAUSE),
            None => {
                sending.kill()?;
                sending.wait()?;
                return Ok(false);
            }
        }
    }
}

/// The event that a run begins with: which program, and the digest of how it was called.
fn start(command: &[OsString]) -> Result<Event, Failure> {
    let program = command.first().map(Path::new);
    let name = program.and_then(Path::file_name).unwrap_or_default();
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let input = json!(words);
    Ok(event::event(
        ("run", &name.to_string_lossy()),
        (Some(&input), None),
        now(),
    )?)
}

fn termination(status: Option<ExitStatus>) -> Termination {
    match status {
        None => Termination::Failed,
        Some(status) if status.signal().is_some() => Termination::Cancelled,
        Some(_) => Termination::Completed,
    }
}

fn work(status: Option<ExitStatus>) -> Work {
    match status {
        Some(status) if status.success() => Work::Succeeded,
        Some(_) | None => Work::Failed,
    }
}

/// Returns the exit code that a shell would.
fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| signal.saturating_add(128));
    let code = status.code().or(signal);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

pub(crate) fn record(arguments: &Record) -> Outcome {
    let Some(directory) = course::directory() else {
        // An agent's hooks call it in every session, and this one is not recorded.
        writeln!(
            io::stderr(),
            "note: not inside `notme run`; nothing is recorded"
        )?;
        return Ok(Exit::Yes);
    };
    let json = match (&arguments.kind, &arguments.name, &arguments.event) {
        (Some(kind), Some(name), _) => {
            let told = event::event((kind, name), event::NOTHING, now())?;
            Spool::new(&directory).tell(&told)?;
            return Ok(Exit::Yes);
        }
        (_, _, Some(json)) => json.clone().into_bytes(),
        (_, _, None) => {
            let mut json = Vec::new();
            io::stdin().take(JSON_MAX).read_to_end(&mut json)?;
            json
        }
    };
    match event::read(&json, now()) {
        Ok(told) => {
            Spool::new(&directory).tell(&told)?;
            Ok(Exit::Yes)
        }
        // Something was told, and that much is recorded.
        Err(error) => {
            Spool::new(&directory).tell(&event::unread(&json, now()))?;
            Err(Failure::no(format!("{error}; its digest is recorded"))
                .hint("docs/agents.md says what is read; `--kind` and `--name` do too"))
        }
    }
}
