//! Where status lines go.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write as _},
};

use crate::{argv::StatusFd, openpgp, sign::Streams, status_lines::StatusLine};

/// Status lines, of either program.
pub trait StatusText: fmt::Display {}

impl StatusText for StatusLine<'_> {}

impl StatusText for openpgp::StatusLine<'_> {}

/// The open file that `--status-fd` names, or nothing.
#[derive(Debug)]
pub struct StatusOutput(Target);

#[derive(Debug)]
enum Target {
    Nowhere,
    Stdout,
    Stderr,
    Other(File),
}

impl StatusOutput {
    /// Finds the file. Do it before anything that cannot be taken back.
    ///
    /// # Errors
    /// [`StatusOutputError`] when no file of that number is open for writing.
    pub fn open(fd: Option<StatusFd>) -> Result<Self, StatusOutputError> {
        let target = match fd.map(StatusFd::number) {
            None => Target::Nowhere,
            Some(1) => Target::Stdout,
            Some(2) => Target::Stderr,
            Some(number) => {
                let path = format!("/proc/self/fd/{number}");
                let file = OpenOptions::new().append(true).open(path);
                Target::Other(file.map_err(|source| StatusOutputError { number, source })?)
            }
        };
        Ok(Self(target))
    }

    /// Writes one line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, line: &impl StatusText, streams: &mut Streams<'_>) -> io::Result<()> {
        let text = format!("{line}\n");
        match &mut self.0 {
            Target::Nowhere => Ok(()),
            Target::Stdout => {
                streams.stdout.write_all(text.as_bytes())?;
                streams.stdout.flush()
            }
            Target::Stderr => {
                streams.stderr.write_all(text.as_bytes())?;
                streams.stderr.flush()
            }
            Target::Other(file) => file.write_all(text.as_bytes()),
        }
    }
}

/// The file for status lines is not open.
#[derive(Debug, thiserror::Error)]
#[error("can't open fd {number} for status output: {source}")]
pub struct StatusOutputError {
    number: u32,
    source: io::Error,
}
