//! The run of an agent: what its hooks need to know, and what is told meanwhile. It lives in the
//! private directory of the socket that the agent signs on.
//!
//! The run may write whatever it likes there. For its hooks that is as good as true; whoever reads
//! it from outside, with more rights than the run has, believes it only what can be checked.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use notme_attest::predicate::Event;
use notme_core::{identity::AgentName, time::UnixTime};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::event;

/// The variable that names the directory of the run.
pub const RUN: &str = "NOTME_RUN";
/// The variable that names the activity, for whoever wants to know.
pub const ACTIVITY: &str = "NOTME_ACTIVITY";

const RUN_FILE: &str = "run.json";
const LOCK_FILE: &str = "run.lock";
const EVENTS_FILE: &str = "events.jsonl";
const TAKEN_FILE: &str = "events.taken";
const PUSHED_FILE: &str = "pushed.jsonl";
/// How many bytes of events one record takes, and how many events: a statement has its limit.
const BATCH_MAX: u64 = 256 * 1024;
const BATCH_EVENTS_MAX: usize = 1000;
/// The longest line that is read as an event.
const LINE_MAX: u64 = 16 * 1024;
/// The longest file of what is no events: some 100,000 repositories.
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// How many bytes of events a run keeps; an agent that tells more is not heard.
const EVENTS_MAX: u64 = 256 * 1024 * 1024;

/// A run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The activity.
    pub activity: String,
    /// The record that it goes on from, where somebody named it.
    pub after: Option<String>,
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
    /// The system's, and `FileTooLarge` when nobody would read as much.
    pub fn save(&self, directory: &Path) -> io::Result<()> {
        let fresh = directory.join(format!("{RUN_FILE}.{}", std::process::id()));
        let content = serde_json::to_vec(self)?;
        check_length(RUN_FILE, content.len())?;
        fs::write(&fresh, content)?;
        fs::rename(fresh, directory.join(RUN_FILE))
    }

    /// Reads it.
    ///
    /// # Errors
    /// The system's, and when it is malformed.
    pub fn load(directory: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&read(directory, RUN_FILE)?)?)
    }

    /// Returns the name of an activity that this one starts in another repository: none that
    /// somebody else's activity has.
    pub fn child(&self, number: usize) -> String {
        format!("{}/{number}", self.activity)
    }

    /// Tells whether an activity is this one, or one that it started.
    pub fn is_within(&self, activity: &str) -> bool {
        let below = activity.strip_prefix(&self.activity);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
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

impl Batch {
    /// Returns where the next one begins.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Adds what stands in a line; returns whether that was an event.
    fn add(&mut self, line: &[u8], now: UnixTime) -> bool {
        let event = serde_json::from_slice(line).ok();
        if let Some(event) = event.filter(event::is_ours) {
            self.events.push(event);
            return true;
        }
        let last = self.events.last();
        // One event stands for all such lines in a row.
        if last.is_none_or(|last| last.kind != event::UNREAD) {
            self.events.push(event::unread(line, now));
        }
        false
    }
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
    pub fn peek(&self, now: UnixTime) -> io::Result<Batch> {
        self.peek_after(self.taken()?, now)
    }

    /// As [`Self::peek`], after the first so many bytes. What is there and is no event of ours is
    /// told as one that could not be read.
    ///
    /// # Errors
    /// The system's.
    pub fn peek_after(&self, from: u64, now: UnixTime) -> io::Result<Batch> {
        let mut batch = Batch {
            events: Vec::new(),
            has_more: false,
            end: from,
        };
        let mut file = match open(&self.directory, EVENTS_FILE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(batch),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(from))?;
        let mut reader = BufReader::new(file);
        let (mut line, mut kept) = (Vec::new(), 0);
        loop {
            line.clear();
            let length = reader
                .by_ref()
                .take(LINE_MAX)
                .read_until(b'\n', &mut line)?;
            // A line that is being written has no end yet.
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            if length == 0 || (length < LINE_MAX && line.last() != Some(&b'\n')) {
                return Ok(batch);
            }
            if batch.events.len() >= BATCH_EVENTS_MAX || kept > BATCH_MAX {
                batch.has_more = true;
                return Ok(batch);
            }
            if batch.add(&line, now) {
                kept = kept.saturating_add(length);
            }
            batch.end = batch.end.saturating_add(length);
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
    ///
    /// # Errors
    /// The system's.
    pub fn remotes(&self) -> io::Result<Vec<(PathBuf, String)>> {
        let text = match read(&self.directory, PUSHED_FILE) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let lines = text.split(|byte| *byte == b'\n');
        let mut remotes: Vec<(PathBuf, String)> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        remotes.sort();
        remotes.dedup();
        Ok(remotes)
    }

    fn append(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.directory.join(name))
    }

    /// Returns how many bytes of events were recorded.
    ///
    /// # Errors
    /// The system's.
    pub fn taken(&self) -> io::Result<u64> {
        match read(&self.directory, TAKEN_FILE) {
            Ok(text) => Ok(String::from_utf8_lossy(&text).trim().parse().unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// Opens a file of the directory: no link to another one, and no pipe that would keep us waiting.
fn open(directory: &Path, name: &str) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags).unwrap_or_default())
        .open(directory.join(name))?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Reads a short file of the directory, all of it.
fn read(directory: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(directory, name)?
        .take(FILE_MAX + 1)
        .read_to_end(&mut content)?;
    check_length(name, content.len())?;
    Ok(content)
}

fn check_length(name: &str, length: usize) -> io::Result<()> {
    match u64::try_from(length).is_ok_and(|length| length <= FILE_MAX) {
        true => Ok(()),
        false => {
            let error = format!("`{name}` of the run is longer than {FILE_MAX} bytes");
            Err(io::Error::new(io::ErrorKind::FileTooLarge, error))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use notme_testkit::clock::NOW;
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;
    use crate::event::{NOTHING, event};

    fn told(name: &str) -> Event {
        event(("note", name), NOTHING, NOW).unwrap()
    }

    fn names(batch: &Batch) -> Vec<&str> {
        batch.events.iter().map(|event| &*event.name).collect()
    }

    #[test]
    fn events_are_taken_once_and_in_order() {
        let world = tempfile::tempdir().unwrap();
        let spool = Spool::new(world.path());
        assert!(spool.peek(NOW).unwrap().events.is_empty());
        spool.tell(&told("one")).unwrap();
        spool.tell(&told("two")).unwrap();
        let batch = spool.peek(NOW).unwrap();
        assert_eq!(names(&batch), ["one", "two"]);
        // Told meanwhile, and not lost.
        spool.tell(&told("three")).unwrap();
        spool.take(&batch).unwrap();
        assert_eq!(names(&spool.peek(NOW).unwrap()), ["three"]);
    }

    #[test]
    fn many_events_take_several_records_and_foreign_lines_one_event() {
        let world = tempfile::tempdir().unwrap();
        let spool = Spool::new(world.path());
        let long = "x".repeat(100_000);
        let junk = format!("junk\n{{\"kind\":\"x\",\"name\":\"y\",\"at\":\"never\"}}\n{long}\n");
        fs::write(world.path().join(EVENTS_FILE), junk).unwrap();
        let name = "n".repeat(200);
        for _ in 0..2000 {
            spool.tell(&told(&name)).unwrap();
        }
        let mut seen = Vec::new();
        loop {
            let batch = spool.peek(NOW).unwrap();
            seen.extend(names(&batch).iter().map(|name| name.len()));
            spool.take(&batch).unwrap();
            if !batch.has_more {
                break;
            }
        }
        assert_eq!(seen.len(), 2001);
        assert_eq!(seen.iter().filter(|length| **length == 200).count(), 2000);
    }

    #[test]
    fn what_is_too_long_to_be_read_is_refused_and_not_cut() {
        let world = tempfile::tempdir().unwrap();
        let long = |count: usize| Run {
            activity: "a".to_owned(),
            after: None,
            segment: 1,
            agent: "claude".parse().unwrap(),
            identity: "i".to_owned(),
            model: None,
            provider: None,
            email: "e".to_owned(),
            repository: None,
            others: vec![
                Other {
                    repository: "r".repeat(100).into(),
                    activity: "a/1".to_owned(),
                };
                count
            ],
        };
        // More than the megabyte that was once the limit.
        long(50_000).save(world.path()).unwrap();
        assert_eq!(Run::load(world.path()).unwrap(), long(50_000));
        let refused = long(200_000).save(world.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(Run::load(world.path()).unwrap(), long(50_000));
        let file = OpenOptions::new()
            .write(true)
            .open(world.path().join(RUN_FILE));
        file.unwrap().set_len(FILE_MAX + 1).unwrap();
        let refused = Run::load(world.path()).unwrap_err();
        assert!(refused.to_string().contains("longer than"), "{refused}");
    }

    #[test]
    fn links_and_pipes_are_not_read() {
        let world = tempfile::tempdir().unwrap();
        let spool = Spool::new(world.path());
        let elsewhere = world.path().join("elsewhere");
        fs::write(&elsewhere, "7").unwrap();
        for name in [EVENTS_FILE, TAKEN_FILE] {
            symlink(&elsewhere, world.path().join(name)).unwrap();
            assert!(spool.peek(NOW).is_err());
            fs::remove_file(world.path().join(name)).unwrap();
        }
        mkfifoat(CWD, world.path().join(EVENTS_FILE), Mode::RWXU).unwrap();
        assert!(spool.peek(NOW).is_err());
    }
}
