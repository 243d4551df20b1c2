//! What went wrong, what may help, and how the program ends.

use std::{
    error::Error,
    fmt,
    fs::File,
    io::{
        self, Cursor,
        ErrorKind::{TimedOut, WouldBlock},
        Read, Write,
    },
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use notme_core::hex;
use notme_verifier::report::escape;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};

/// How long anybody waits for whoever writes to a pipe, and between two looks.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// How the program ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Yes, or done.
    Yes,
    /// No.
    No,
    /// The call was wrong.
    Usage,
    /// It could not be decided.
    Undecided,
    /// As a program that we ran.
    Of(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Yes => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Undecided => 3,
            Exit::Of(code) => code,
        })
    }
}

/// A command that ended without doing what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Box<dyn Error>,
    exit: Exit,
    hint: Option<String>,
}

impl Failure {
    /// The call was wrong.
    pub(crate) fn usage(error: impl Into<Box<dyn Error>>) -> Self {
        Self {
            error: error.into(),
            exit: Exit::Usage,
            hint: None,
        }
    }

    /// It was looked at, and the answer is no.
    pub(crate) fn no(error: impl Into<Box<dyn Error>>) -> Self {
        Self {
            error: error.into(),
            exit: Exit::No,
            hint: None,
        }
    }

    /// Prepares to end as a program that could not be run would.
    pub(crate) fn of(error: impl Into<Box<dyn Error>>, code: u8) -> Self {
        Self {
            error: error.into(),
            exit: Exit::Of(code),
            hint: None,
        }
    }

    /// Adds the step that helps.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// A no that was found before stands, though it could not be written.
    pub(crate) fn after(self, is_no: bool) -> Self {
        match is_no && self.error::<io::Error>().is_some() {
            true => Self {
                exit: Exit::No,
                ..self
            },
            false => self,
        }
    }

    /// Returns how the program would end.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Returns what went wrong, when it is an error of this type.
    pub(crate) fn error<E: Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// Tells it on stderr and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // A reader that has seen enough, such as `head`, is no news to anybody.
        if !self.is_broken_pipe() {
            let mut out = io::stderr().lock();
            // Nobody is left to tell when stderr is gone.
            let _ = self.write(&mut out);
        }
        self.exit.into()
    }

    fn is_broken_pipe(&self) -> bool {
        self.error::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Writes it, with what others chose to put into a message made harmless to a terminal.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "error: {}", escape(&self.error.to_string()))?;
        let mut source = self.error.source();
        while let Some(cause) = source {
            writeln!(out, "  caused by: {}", escape(&cause.to_string()))?;
            source = cause.source();
        }
        let Some(hint) = &self.hint else {
            return Ok(());
        };
        write!(out, "\nhint: ")?;
        hint.lines()
            .try_for_each(|line| writeln!(out, "{}", escape(line)))
    }
}

impl fmt::Display for Failure {
    /// Writes the error and its causes on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut source = self.error.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            exit: Exit::Undecided,
            hint: None,
        }
    }
}

/// A file that the caller named could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read `{}`", path.display())]
pub(crate) struct UnreadableFile {
    path: PathBuf,
    source: io::Error,
}

/// Opens a file that the caller named; `-` is standard input.
///
/// # Errors
/// [`UnreadableFile`].
pub(crate) fn open_file(path: &Path) -> Result<Box<dyn Read>, UnreadableFile> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    open(path).map_err(|source| unreadable(path, source))
}

/// Opens a file. To a pipe somebody has to write, and soon: who opens one waits for that, and nothing is
/// not what anybody meant.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut first = Vec::new();
    if file.metadata()?.file_type().is_fifo() {
        let mut until = Instant::now() + PATIENCE;
        let mut byte = [0];
        while first.is_empty() {
            match file.read(&mut byte) {
                Ok(0) if Instant::now() < until => thread::sleep(PAUSE),
                Ok(0) => return Err(io::Error::new(TimedOut, "nobody wrote to this pipe")),
                Ok(_) => first.extend(byte),
                // Somebody will, or goes away.
                Err(error) if error.kind() == WouldBlock => {
                    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
                    until = Instant::now();
                }
                Err(error) => return Err(error),
            }
        }
    }
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    Ok(Box::new(Cursor::new(first).chain(file)))
}

/// Reads a file that the caller named, up to `limit` bytes; `-` is standard input.
///
/// # Errors
/// [`UnreadableFile`], also for one that is longer.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, UnreadableFile> {
    read_all(&mut open_file(path)?, path, limit)
}

/// Reads what is open already, as [`read_file`] does.
///
/// # Errors
/// [`UnreadableFile`], also for one that is longer.
pub(crate) fn read_all(
    from: &mut dyn Read,
    path: &Path,
    limit: u64,
) -> Result<Vec<u8>, UnreadableFile> {
    let mut bytes = Vec::new();
    copy_all((from, path), limit, &mut bytes)?;
    Ok(bytes)
}

/// Returns the SHA-256 of a file that the caller named, in hex, as [`read_file`] reads it, but holding
/// little of it.
///
/// # Errors
/// [`UnreadableFile`], also for one that is longer.
pub(crate) fn hash_file(path: &Path, limit: u64) -> Result<String, UnreadableFile> {
    let mut hash = Sha256::new();
    copy_all((&mut open_file(path)?, path), limit, &mut hash)?;
    Ok(hex::encode(&hash.finalize()))
}

fn copy_all(
    (from, path): (&mut dyn Read, &Path),
    limit: u64,
    to: &mut impl Write,
) -> Result<(), UnreadableFile> {
    let length = io::copy(&mut from.take(limit.saturating_add(1)), to)
        .map_err(|source| unreadable(path, source))?;
    match length <= limit {
        true => Ok(()),
        false => Err(unreadable(path, io::ErrorKind::FileTooLarge.into())),
    }
}

fn unreadable(path: &Path, source: io::Error) -> UnreadableFile {
    UnreadableFile {
        path: path.to_owned(),
        source,
    }
}

/// What a command returns.
pub(crate) type Outcome = Result<Exit, Failure>;
