//! At most one authority serves a directory, and others can find it.
//!
//! The lock is the kernel's (`flock`), so that it ends with the process. The locked file says
//! who holds it; what it says counts only while it is locked.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use notme_core::time::UnixTime;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use serde::{Deserialize, Serialize};

/// A running authority, as it describes itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Instance {
    /// Its process.
    pub pid: i32,
    /// The URL that proofs are bound to.
    pub url: String,
    /// Where it listens, as URLs.
    pub listening: Vec<String>,
    /// When it began to serve.
    pub started_at: UnixTime,
}

impl Instance {
    /// Tells whether a socket of it is gone: then it is on its way out.
    fn cannot_be_found(&self) -> bool {
        self.listening
            .iter()
            .filter_map(|url| url.strip_prefix("unix:"))
            .any(|path| !Path::new(path).exists())
    }
}

/// The right to serve a directory; ends when dropped.
#[derive(Debug)]
pub(crate) struct InstanceLock(File);

impl InstanceLock {
    pub(crate) fn acquire(home: &Path) -> Result<Self, InstanceError> {
        let mut file = open(home, OpenOptions::new().create(true).truncate(false))
            .map_err(unreadable(home))?;
        let asked = Instant::now();
        while !try_lock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(unreadable(home))?
        {
            // Whoever only looks holds the lock for an instant; one that is about to end, for as
            // long as its last answers take.
            if asked.elapsed() >= LOOK {
                let holder = read(&mut file);
                let is_ending = holder.as_ref().is_some_and(Instance::cannot_be_found);
                if !is_ending || asked.elapsed() >= FAREWELL {
                    let pid = holder.map(|instance| instance.pid);
                    return Err(InstanceError::Running { pid });
                }
            }
            thread::sleep(POLL);
        }
        file.set_len(0).map_err(unreadable(home))?;
        Ok(Self(file))
    }

    /// Tells others what runs here.
    pub(crate) fn describe(&mut self, instance: &Instance) -> io::Result<()> {
        let text = serde_json::to_vec(instance)?;
        self.0.set_len(0)?;
        self.0.rewind()?;
        self.0.write_all(&text)
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // Said, not left to closing: a child between fork and exec still has the file open.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Returns the authority that serves the directory, if one does.
///
/// # Errors
/// [`InstanceError::Unreadable`].
pub fn running(home: &Path) -> Result<Option<Instance>, InstanceError> {
    Ok(held(home)?.and_then(|mut file| read(&mut file)))
}

/// Asks the authority of the directory to stop and waits until it has. Returns the one that was
/// stopped, or `None` when none was running.
///
/// # Errors
/// [`InstanceError`], among them [`InstanceError::StillRunning`] after `deadline`.
pub fn stop(home: &Path, deadline: Duration) -> Result<Option<Instance>, InstanceError> {
    let asked = Instant::now();
    let mut stopping: Option<Instance> = None;
    loop {
        let Some(mut file) = held(home)? else {
            return Ok(stopping);
        };
        // The lock is held while we read, so the process that wrote this is alive; one that has
        // not described itself yet is asked as soon as it has.
        match (read(&mut file), &stopping) {
            (Some(now), Some(before)) if now.pid != before.pid => return Ok(stopping),
            (Some(now), None) => {
                terminate(now.pid)?;
                stopping = Some(now);
            }
            (Some(_) | None, Some(_)) | (None, None) => {}
        }
        if asked.elapsed() >= deadline {
            return Err(InstanceError::StillRunning);
        }
        thread::sleep(POLL);
    }
}

fn terminate(pid: i32) -> Result<(), InstanceError> {
    let process = Pid::from_raw(pid).filter(|_| pid > 1);
    match process.map(|process| kill_process(process, Signal::TERM)) {
        // It ended by itself meanwhile.
        Some(Ok(()) | Err(Errno::SRCH)) => Ok(()),
        Some(Err(error)) => Err(InstanceError::Signal(error.into())),
        None => Err(InstanceError::Signal(io::ErrorKind::InvalidData.into())),
    }
}

/// Returns the lock file when some process holds the lock.
fn held(home: &Path) -> Result<Option<File>, InstanceError> {
    let file = match open(home, &mut OpenOptions::new()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(unreadable(home))?,
    };
    // Shared, so that those who look at the same time do not take each other for the holder.
    let free = try_lock(&file, FlockOperation::NonBlockingLockShared).map_err(unreadable(home))?;
    Ok((!free).then_some(file))
}

fn open(home: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .open(home.join(LOCK_FILE))
}

fn try_lock(file: &File, how: FlockOperation) -> io::Result<bool> {
    match flock(file, how) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read(file: &mut File) -> Option<Instance> {
    let mut text = Vec::new();
    file.rewind().ok()?;
    file.take(64 * 1024).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn unreadable(home: &Path) -> impl Fn(io::Error) -> InstanceError {
    move |source| InstanceError::Unreadable {
        path: home.join(LOCK_FILE),
        source,
    }
}

/// Why the running authority cannot be found, excluded or stopped.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another process serves this directory.
    #[error("an authority already serves this directory{}",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Running {
        /// Its process, when it has said so.
        pid: Option<i32>,
    },
    /// The process cannot be signalled.
    #[error("could not signal the authority")]
    Signal(#[source] io::Error),
    /// It did not stop in time.
    #[error("the authority is still running")]
    StillRunning,
    /// The lock file cannot be used.
    #[error("could not use lock file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl InstanceError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Running { .. } => "authority-running",
            Self::Signal(_) => "authority-not-signalled",
            Self::StillRunning => "authority-still-running",
            Self::Unreadable { .. } => "authority-lock-unreadable",
        }
    }
}

/// The lock file.
const LOCK_FILE: &str = "authority.lock";
/// Longer than it takes to look.
const LOOK: Duration = Duration::from_millis(250);
/// How long one that is ending may take: to notice, and for its last answers.
const FAREWELL: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
