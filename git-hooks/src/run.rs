//! The run of an agent: what its hooks need to know, and what is told meanwhile. It lives in the
//! private directory of the socket that the agent signs on.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use notme_attest::predicate::Event;
use notme_core::identity::AgentName;
use serde::{Deserialize, Serialize};

/// The variable that names the directory of the run.
pub const RUN: &str = "NOTME_RUN";
/// The variable that names the activity, for whoever wants to know.
pub const ACTIVITY: &str = "NOTME_ACTIVITY";

const RUN_FILE: &str = "run.json";
const LOCK_FILE: &str = "run.lock";
const EVENTS_FILE: &str = "events.jsonl";
const TAKEN_FILE: &str = "events.taken";
const PUSHED_FILE: &str = "pushed.jsonl";
/// How many bytes of events one record takes: a statement has its limit.
const BATCH_MAX: u64 = 256 * 1024;
/// How many bytes of events a run keeps; an agent that tells more is not heard.
const EVENTS_MAX: u64 = 256 * 1024 * 1024;

/// A run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The activity.
    pub activity: String,
    /// The number of its segment.
    pub segment: u64,
    /// The agent.
    pub agent: AgentName,
    /// Who it is.
    pub identity: String,
    /// The model, as it was said.
    pub model: Option<String>,
    /// Who runs the model, as it was said.
    pub provider: Option<String>,
    /// The address by which its commits are told from others'.
    pub email: String,
    /// The repository that the activity's chain is kept in: the directory that its worktrees
    /// share. None while there is none.
    pub repository: Option<PathBuf>,
    /// Other repositories that were committed to, each with an activity that this one started.
    pub others: Vec<Other>,
}

/// A repository beside the one that a run began in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    /// The directory that its worktrees share.
    pub repository: PathBuf,
    /// The activity whose chain it keeps.
    pub activity: String,
}

impl Run {
    /// Keeps others from changing it until the file is dropped.
    ///
    /// # Errors
    /// The system's.
    pub fn lock(directory: &Path) -> io::Result<File> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(directory.join(LOCK_FILE))?;
        file.lock()?;
        Ok(file)
    }

    /// Writes it to its directory, in one step.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&self, directory: &Path) -> io::Result<()> {
        let fresh = directory.join(format!("{RUN_FILE}.{}", std::process::id()));
        fs::write(&fresh, serde_json::to_vec(self)?)?;
        fs::rename(fresh, directory.join(RUN_FILE))
    }

    /// Reads it.
    ///
    /// # Errors
    /// The system's, and when it is malformed.
    pub fn load(directory: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(
            directory.join(RUN_FILE),
        )?)?)
    }
}

/// What is told of a run, in the order it was told, until a record takes it.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: PathBuf,
}

/// Events that were not taken yet.
#[derive(Debug, Default)]
pub struct Batch {
    /// They.
    pub events: Vec<Event>,
    /// Whether there are more.
    pub has_more: bool,
    end: u64,
}

impl Spool {
    /// That of the run in a directory.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Adds an event.
    ///
    /// # Errors
    /// The system's, and `FileTooLarge` when too much was told.
    pub fn tell(&self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let mut file = self.append(EVENTS_FILE)?;
        if file.metadata()?.len() > EVENTS_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // One write, which the kernel puts behind all others.
        file.write_all(&line)
    }

    /// Returns the next events for a record. Whoever takes them holds the lock of the chain.
    ///
    /// # Errors
    /// The system's.
    pub fn peek(&self) -> io::Result<Batch> {
        let from = self.taken()?;
        let mut batch = Batch {
            events: Vec::new(),
            has_more: false,
            end: from,
        };
        let mut file = match File::open(self.directory.join(EVENTS_FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(batch),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(from))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            // A line that is being written has no end yet.
            if length == 0 || line.last() != Some(&b'\n') {
                return Ok(batch);
            }
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            let next = batch.end.saturating_add(length);
            if next - from > BATCH_MAX && !batch.events.is_empty() {
                batch.has_more = true;
                return Ok(batch);
            }
            // What somebody else wrote there is no event, and is passed over.
            batch.events.extend(serde_json::from_slice::<Event>(&line));
            batch.end = next;
        }
    }

    /// Notes that a batch was recorded.
    ///
    /// # Errors
    /// The system's.
    pub fn take(&self, batch: &Batch) -> io::Result<()> {
        let fresh = self
            .directory
            .join(format!("{TAKEN_FILE}.{}", std::process::id()));
        fs::write(&fresh, batch.end.to_string())?;
        fs::rename(fresh, self.directory.join(TAKEN_FILE))
    }

    /// Notes a remote that was pushed to, from a repository.
    ///
    /// # Errors
    /// The system's.
    pub fn pushed(&self, repository: &Path, remote: &str) -> io::Result<()> {
        let mut line = serde_json::to_vec(&(repository, remote))?;
        line.push(b'\n');
        self.append(PUSHED_FILE)?.write_all(&line)
    }

    /// Returns the remotes that were pushed to, each once.
    pub fn remotes(&self) -> Vec<(PathBuf, String)> {
        let text = fs::read(self.directory.join(PUSHED_FILE)).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n');
        let mut remotes: Vec<(PathBuf, String)> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        remotes.sort();
        remotes.dedup();
        remotes
    }

    fn append(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.directory.join(name))
    }

    fn taken(&self) -> io::Result<u64> {
        match fs::read_to_string(self.directory.join(TAKEN_FILE)) {
            Ok(text) => Ok(text.trim().parse().unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use notme_testkit::clock::NOW;
    use serde_json::Value;

    use super::*;
    use crate::event::event;

    fn told(name: &str) -> Event {
        event(("note", name), (None::<&Value>, None), NOW).unwrap()
    }

    fn names(batch: &Batch) -> Vec<&str> {
        batch.events.iter().map(|event| &*event.name).collect()
    }

    #[test]
    fn events_are_taken_once_and_in_order() {
        let world = tempfile::tempdir().unwrap();
        let spool = Spool::new(world.path());
        assert!(spool.peek().unwrap().events.is_empty());
        spool.tell(&told("one")).unwrap();
        spool.tell(&told("two")).unwrap();
        let batch = spool.peek().unwrap();
        assert_eq!(names(&batch), ["one", "two"]);
        // Told meanwhile, and not lost.
        spool.tell(&told("three")).unwrap();
        spool.take(&batch).unwrap();
        assert_eq!(names(&spool.peek().unwrap()), ["three"]);
    }

    #[test]
    fn many_events_take_several_records_and_foreign_lines_none() {
        let world = tempfile::tempdir().unwrap();
        let spool = Spool::new(world.path());
        fs::write(world.path().join(EVENTS_FILE), "junk\n").unwrap();
        let name = "n".repeat(200);
        for _ in 0..2000 {
            spool.tell(&told(&name)).unwrap();
        }
        let mut seen = 0;
        loop {
            let batch = spool.peek().unwrap();
            seen += batch.events.len();
            spool.take(&batch).unwrap();
            if !batch.has_more {
                break;
            }
        }
        assert_eq!(seen, 2000);
    }
}
