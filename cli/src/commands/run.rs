//! `notme run`: an AI agent, or any program, whose commits are signed as an agent and recorded;
//! and `notme record`, by which it tells what it does.

mod child;
mod environment;
mod made;

use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use notme_agent::{AgentConfig, Profile};
use notme_attest::predicate::{Outcome as Work, Termination};
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
use notme_verifier::report::escape;
use serde_json::{Value, json};

use self::{environment::Environment, made::Made};
use crate::{
    arguments::run::{Record, Run as RunArguments},
    commands::{
        agent,
        attest::{Course, Next, State, course, new_id},
        init,
    },
    failure::{Exit, Failure, Outcome},
    git,
    home::Home,
    judging::now,
    program, repository,
};

/// How long anything is signed unless it was said, in seconds.
const DAY: i64 = 24 * 3600;
/// The name of an agent that nobody named.
const NAMELESS: &str = "agent";
/// In place of a repository's name: that of the one here.
const AUTO: &str = "auto";
/// What a shell ends with when there is no such program.
const NOT_FOUND: u8 = 127;

pub(crate) fn run(home: &Home, arguments: &RunArguments) -> Outcome {
    let Some((program, words)) = arguments.command.split_first() else {
        return Err(Failure::usage("there is nothing to run"));
    };
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
        Some(id) => Course::next_segment(home, id, &identity)?,
    };
    let run = Run {
        email: arguments
            .email
            .clone()
            .unwrap_or_else(|| format!("{agent}@notme.invalid")),
        identity,
        activity,
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
    let told = match &ended {
        Ok(status) => going.end(arguments, Some(*status)),
        Err(_) => going.end(arguments, None),
    };
    if let Err(failure) = told {
        complain(&failure, &going.run.activity, &going.run.agent)?;
    }
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

/// A run that goes on.
struct Going<'a> {
    home: &'a Home,
    directory: PathBuf,
    run: Run,
    /// What the refs named when it began.
    before: Vec<String>,
    /// How git was set up there when it began.
    settings: Vec<(String, String)>,
    began: UnixTime,
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
            before = git::tips()?;
            settings = lasting_settings()?;
            let course = Course::of(home, directory, &run)?;
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
        })
    }

    /// Records what was made and how it ended, and sends that after what was pushed.
    fn end(&self, arguments: &RunArguments, status: Option<ExitStatus>) -> Result<(), Failure> {
        let state = match arguments.suspend {
            true => State::Suspended,
            false => State::Ended(termination(status), work(status)),
        };
        for course in Course::all(self.home, &self.directory, &self.run)? {
            let mut made = Made::default();
            // Where it began, it is known what was there before.
            if course.is_own() && self.run.repository.is_some() {
                made = Made::look(&course, &self.before)?;
            }
            let recorded = course.record(&Next {
                events: made.events()?,
                commits: made.uncovered,
                succeeds: Vec::new(),
                state,
                more: self.more(status)?,
            });
            match recorded {
                Ok(()) => tell(&course, &made.unsigned, arguments.suspend)?,
                Err(failure) => complain(&failure, course.activity(), &self.run.agent)?,
            }
        }
        self.send()
    }

    /// Sends the last records after those that went along with a push. Which program that starts,
    /// and where it goes, is for the settings to say that were there before the run.
    fn send(&self) -> Result<(), Failure> {
        let remotes = Spool::new(&self.directory).remotes();
        if remotes.is_empty() {
            return Ok(());
        }
        let is_as_before = self.run.repository.is_some() && lasting_settings()? == self.settings;
        for (repository, remote) in remotes {
            let url = format!("remote.{remote}.url");
            let is_known = Some(&repository) == self.run.repository.as_ref()
                && self.settings.iter().any(|(name, _)| *name == url);
            if !(is_as_before && is_known && send(&remote)?) {
                writeln!(
                    io::stderr(),
                    "note: the last attestations did not get to `{}`; later, in {}: \
                     notme attest push REMOTE",
                    escape(&remote),
                    escape(&repository.display().to_string())
                )?;
            }
        }
        Ok(())
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

/// Says how an activity ended, and which commits are not signed.
fn tell(course: &Course<'_>, unsigned: &[String], is_suspended: bool) -> io::Result<()> {
    let mut out = io::stderr().lock();
    for commit in unsigned {
        writeln!(
            out,
            "note: commit {commit} was made without a signature; \
             `git rebase --exec 'git commit --amend --no-edit -S' {commit}^` makes one"
        )?;
    }
    let how = match is_suspended {
        true => "is suspended",
        false => "has ended",
    };
    writeln!(out, "notme: activity {} {how}", course.activity())
}

/// Returns git's settings but those of branches, which every push and switch may change.
fn lasting_settings() -> Result<Vec<(String, String)>, Failure> {
    let mut settings = git::settings()?;
    settings.retain(|(name, _)| !name.starts_with("branch."));
    Ok(settings)
}

/// Sends the attestations; returns whether they got there.
fn send(remote: &str) -> io::Result<bool> {
    let sent = Command::new(program::path()?)
        .args(["attest", "push", "--if-published", "--", remote])
        .status();
    Ok(sent.is_ok_and(|status| status.success()))
}

/// The event that a run begins with: which program, and the digest of how it was called.
fn start(command: &[OsString]) -> Result<notme_attest::predicate::Event, Failure> {
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

/// The program has run, whatever became of its record: that is said, and changes nothing.
fn complain(failure: &Failure, activity: &str, agent: &AgentName) -> io::Result<()> {
    writeln!(
        io::stderr(),
        "note: the end of the run was not recorded: {}; run: \
         notme attest activity --activity {activity} --end --agent {agent}",
        escape(&failure.to_string()),
    )
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
            let told = event::event((kind, name), (None::<&Value>, None), now())?;
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
