//! `notme hook`: what git's hooks do, before or after those that were there.
//!
//! A failure of ours on the client's side is said, with what to run, and stops nothing; only
//! `pre-push` says no, to what is refused. On the server's side nothing comes in that nobody could
//! verify.

mod follow;
mod gate;
mod ground;
mod kept;
mod push;
mod push_certificate;
mod receive;

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use notme_attest::{
    make::CommitSubject,
    predicate::Succession,
    store::{self, Place, TRAILER},
};
use notme_core::object::{self, ObjectKind};
use notme_git_hooks::{
    chained, event,
    message::{above_diff, comment_char, has_template, is_given, squashed},
    names,
};
use notme_verifier::report::escape;

use crate::{
    arguments::hooks::Hook,
    commands::attest::{Archive, Course, Next, course},
    ending,
    failure::{Exit, Failure, Outcome, UnreadableFile, read_file},
    git,
    home::Home,
    judging::now,
    shell::quoted,
};

/// How long the record of a commit may take.
const RECORD_DEADLINE: Duration = Duration::from_secs(10);
/// The longest list that git passes to a hook.
const INPUT_MAX: u64 = 64 * 1024 * 1024;
/// Where the commits are kept that a squash put together, between the hooks.
const SQUASHED: &str = "notme-squashed";
/// What git keeps of a squash until it is committed.
const SQUASH_MSG: &str = "SQUASH_MSG";
/// The trailer that names the agent. For git, the beginning of another trailer's name is the same.
const AGENT_TRAILER: &str = "Agent-Name";

pub(crate) fn run(home: Option<&Home>, hook: &Hook) -> Outcome {
    let name = hook.name.as_str();
    let input = match name {
        "pre-push" | "post-rewrite" | "pre-receive" | "post-receive" => Some(read_input()?),
        _ => None,
    };
    let input = input.as_deref();
    let marker = env::var(chained::DONE).ok();
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    let is_done = chained::is_done(marker.as_deref(), name, parent);
    let chain = || -> Result<u8, Failure> {
        let former = former(hook)?;
        Ok(chained::run(&former, name, &hook.arguments, input)?)
    };
    let ours = || -> Outcome {
        ending::leaves_no_locks()?;
        let input = input.unwrap_or_default();
        match name {
            // Whatever somebody put into the environment.
            names::PRE_RECEIVE | names::UPDATE => receive::run(home, hook, input),
            names::POST_RECEIVE => gate::run(home, input),
            _ if is_done || !names::CLIENT.contains(&name) => Ok(Exit::Yes),
            _ => match home {
                Some(home) => work(home, hook, input),
                // Nobody loses a commit for that either.
                None => tell(name, "there is no home directory"),
            },
        }
    };
    // Whoever writes messages or looks at what leaves goes before us; what is made is recorded, and
    // what comes in is verified, before anybody else does something with it.
    if matches!(
        name,
        "post-commit"
            | "post-merge"
            | "post-rewrite"
            | names::PRE_RECEIVE
            | names::UPDATE
            | names::POST_RECEIVE
    ) {
        return match ours()? {
            Exit::Yes => Ok(Exit::Of(chain()?)),
            no => Ok(no),
        };
    }
    match chain()? {
        0 => ours(),
        code => Ok(Exit::Of(code)),
    }
}

/// Reads what git says: all of it, or nothing. What was cut off would be looked at by nobody.
fn read_input() -> Result<Vec<u8>, UnreadableFile> {
    read_file(Path::new("-"), INPUT_MAX)
}

/// Returns where the hooks are that were there before.
fn former(hook: &Hook) -> Result<PathBuf, Failure> {
    if let Some(directory) = &hook.former {
        return Ok(directory.clone());
    }
    Ok(match hook.underneath {
        None => git::common_directory()?.join("hooks"),
        Some(settings) => git::hooks_path(Some(settings))?,
    })
}

/// Does our own work, and says what failed.
fn work(home: &Home, hook: &Hook, input: &[u8]) -> Outcome {
    if hook.name == "pre-push" {
        return push::run(home, &hook.arguments, input);
    }
    let done = {
        let (home, name) = (home.clone(), hook.name.clone());
        let (arguments, input) = (hook.arguments.clone(), input.to_vec());
        within(RECORD_DEADLINE, move || {
            let hook = (name.as_str(), arguments.as_slice());
            record(&home, hook, &input).map_err(|failure| failure.to_string())
        })
    };
    // Whoever still moves refs then would leave their locks.
    let late = || {
        drop(store::stop_moving());
        Err("it took too long".to_owned())
    };
    match done.unwrap_or_else(late) {
        Ok(()) => Ok(Exit::Yes),
        Err(problem) => tell(&hook.name, &problem),
    }
}

/// Says what could not be done, and what makes up for it; git goes on.
fn tell(name: &str, problem: &str) -> Outcome {
    writeln!(
        io::stderr(),
        "note: notme could not record this ({name}): {}; {}",
        escape(problem),
        escape(&remedy(name))
    )?;
    Ok(Exit::Yes)
}

/// Says what makes up for a hook that failed.
fn remedy(name: &str) -> String {
    match name {
        "post-commit" | "post-merge" if course::directory().is_some() => {
            // Others may have come by then.
            let id = Archive::open().ok().and_then(|it| it.store.head());
            let id = id.unwrap_or_else(|| "HEAD".to_owned());
            let (agent, activity) = course::known_here();
            let agent = agent.map(|name| format!(" --agent {}", quoted(name.as_str())));
            let activity = activity.map(|id| format!(" --activity {}", quoted(&id)));
            format!(
                "while the run goes on (where it began, its end does so, too): notme attest activity {id}{}{}",
                activity.unwrap_or_default(),
                agent.unwrap_or_default()
            )
        }
        "post-commit" | "post-merge" | "post-rewrite" => {
            "later: echo \"OLD NEW\" | notme attest succeed".to_owned()
        }
        "pre-push" => "nothing was verified; set `HOME` or `NOTME_HOME`".to_owned(),
        _ => "the commit goes without its trailers; `notme doctor` finds out why".to_owned(),
    }
}

/// Does something on another thread for as long as there is time.
fn within<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more when it took too long.
        let _ = sender.send(work());
    });
    receiver.recv_timeout(deadline).ok()
}

fn record(
    home: &Home,
    (name, arguments): (&str, &[OsString]),
    input: &[u8],
) -> Result<(), Failure> {
    let archive = Archive::open()?;
    match (name, arguments) {
        ("prepare-commit-msg", [file, rest @ ..]) => {
            remember_squashed(&archive)?;
            match is_given(rest.first().and_then(|source| source.to_str())) {
                true => trailers(home, archive, (Path::new(file), is_edited())),
                false => Ok(()),
            }
        }
        ("commit-msg", [file, ..]) => trailers(home, archive, (Path::new(file), true)),
        ("post-commit", _) => committed(home, archive),
        ("post-merge", _) => merged(home, archive),
        ("post-rewrite", [command, ..]) => follow::rewritten(home, archive, (command, input)),
        _ => Ok(()),
    }
}

/// Tells whether somebody edits the message: git sets this for its hooks where nobody does, and then leaves
/// lines in it that would be comments.
fn is_edited() -> bool {
    env::var_os("GIT_EDITOR").is_none_or(|editor| editor != ":")
}

/// Gives the message of a commit its trailers, in a run.
fn trailers(
    home: &Home,
    archive: Archive,
    (file, is_edited): (&Path, bool),
) -> Result<(), Failure> {
    if course::directory().is_none() {
        return Ok(());
    }
    let message = fs::read(file)?;
    let message = String::from_utf8_lossy(&message);
    // Somebody may have no editor of their own accord.
    let is_edited = is_edited || has_template(&message);
    let Some(course) = Course::here(home, archive)? else {
        return Ok(());
    };
    let (_, head) = course.head()?;
    let chain = format!("{TRAILER}: {head}");
    if above_diff(&message).lines().any(|line| line == chain) {
        return Ok(());
    }
    // git takes a commit back whose message is empty, and a trailer makes none that is not.
    let text = match is_edited {
        true => git::without_comments(above_diff(&message))?,
        false => message.trim().to_owned(),
    };
    if text.is_empty() {
        return Ok(());
    }
    // git 2.39 takes a last line that does not end, as that of `git merge -m`, for the first of the trailers.
    if !message.ends_with('\n') {
        fs::OpenOptions::new()
            .append(true)
            .open(file)?
            .write_all(b"\n")?;
    }
    let agent = format!("{AGENT_TRAILER}: {}", course.run().agent);
    let comment = match is_edited {
        true => None,
        false => comment_char(&message),
    };
    Ok(git::add_trailers(file, &[agent, chain], comment)?)
}

/// Keeps the names of the commits that are squashed, until the commit is there.
fn remember_squashed(archive: &Archive) -> Result<(), Failure> {
    let directory = archive.repository.path();
    let kept = directory.join(SQUASHED);
    // Of a commit that was not made after all; or a link, that would have it written elsewhere.
    if fs::symlink_metadata(&kept).is_ok() {
        fs::remove_file(&kept)?;
    }
    if let Ok(message) = fs::read_to_string(directory.join(SQUASH_MSG)) {
        File::create_new(kept)?.write_all(squashed(&message).join("\n").as_bytes())?;
    }
    Ok(())
}

/// Returns the commits whose place a new one took: one that was picked, or those that were
/// squashed.
fn predecessors(archive: &Archive) -> Result<Vec<String>, Failure> {
    let directory = archive.repository.path();
    let read = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(directory.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let squashed = read(SQUASHED);
    if !squashed.is_empty() {
        fs::remove_file(directory.join(SQUASHED))?;
        return Ok(squashed);
    }
    // A rebase tells all of them when it is done.
    match is_rebasing(archive) {
        true => Ok(Vec::new()),
        false => Ok(read("CHERRY_PICK_HEAD")),
    }
}

/// Tells whether a rebase goes on.
fn is_rebasing(archive: &Archive) -> bool {
    let directory = archive.repository.path();
    let kept = ["rebase-merge", "rebase-apply"];
    kept.iter().any(|name| directory.join(name).exists())
}

/// Records the merge that was just made. There may be none: HEAD may have been moved to somebody
/// else's commit, which does not carry our trailer.
fn merged(home: &Home, archive: Archive) -> Result<(), Failure> {
    let Some(course) = Course::here(home, archive)? else {
        return Ok(());
    };
    let store = &course.archive().store;
    let Some(id) = store.head() else {
        return Ok(());
    };
    let (_, head) = course.head()?;
    let facts = store.commit(&id)?;
    match facts.is_some_and(|facts| facts.trailers.contains(&head)) {
        true => add(&course, &id, Vec::new()),
        false => Ok(()),
    }
}

/// Records the commit that was just made.
fn committed(home: &Home, archive: Archive) -> Result<(), Failure> {
    let from = predecessors(&archive)?;
    let id = archive.store.head().ok_or("there is no commit")?;
    if course::directory().is_none() {
        let pairs: Vec<_> = from.into_iter().map(|from| (from, id.clone())).collect();
        return follow::follow(home, &archive, &pairs).map(drop);
    }
    match Course::here(home, archive)? {
        Some(course) => add(&course, &id, from),
        None => Ok(()),
    }
}

/// Adds a commit to the record, or that it is not signed.
fn add(course: &Course<'_>, id: &str, from: Vec<String>) -> Result<(), Failure> {
    let facts = course.archive().store.commit(id)?;
    let facts = facts.ok_or("the commit is not there")?;
    if is_unsigned(course, &facts.raw)? {
        let told = event::event(("signing-off", id), event::NOTHING, now())?;
        course.spool().tell(&told)?;
        writeln!(
            io::stderr(),
            "note: commit {id} carries no signature, and the run's record says so; \
             `git commit --amend --only --allow-empty --no-edit -S` signs it"
        )?;
        return Ok(());
    }
    let all = from.into_iter();
    let succeeds = all.map(|from| succession(course, from, id.to_owned()));
    let succeeds: Result<Vec<_>, _> = succeeds.filter_map(Result::transpose).collect();
    course.record(&Next {
        succeeds: succeeds?,
        commits: vec![CommitSubject::new(id, &facts)],
        ..Next::default()
    })
}

/// Returns that a commit took another's place; `None` where that is unsigned, and nothing is stated about it:
/// then there is nothing to take over, and who signs it after all states work of their own.
fn succession(
    course: &Course<'_>,
    from: String,
    to: String,
) -> Result<Option<Succession>, Failure> {
    let store = &course.archive().store;
    let is_bare = match store.commit(&from)? {
        Some(facts) if is_unsigned(course, &facts.raw)? => store.count(&Place::commit(&from))? == 0,
        Some(_) | None => false,
    };
    Ok((!is_bare).then_some(Succession { from, to }))
}

fn is_unsigned(course: &Course<'_>, raw: &[u8]) -> Result<bool, Failure> {
    let hash = course.archive().repository.hash();
    let split = object::split(ObjectKind::Commit, raw, hash)?;
    Ok(split.signature().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_work_beyond_its_deadline() {
        let (hold, held) = mpsc::channel::<()>();
        let slow = within(Duration::from_millis(10), move || held.recv().is_ok());
        assert_eq!(slow, None);
        drop(hold);
        assert_eq!(within(Duration::from_secs(20), || 7), Some(7));
    }
}
