//! What the stand-ins for gpg and for gpgsm have in common.

use std::{fmt::Display, io, path::Path};

use notme_signer::{AgentEndpoint, Data, StatusFd, StatusOutput, StatusText, Streams};
use notme_verifier::report::escape;
use rustix::fs::{OFlags, fcntl_getfl, fstat, makedev};

use crate::{
    commands::agent,
    failure::{Failure, read_all, read_file},
    home::Home,
};

/// The longest signature file we read; the verifier's own limit is lower.
const SIGNATURE_MAX: u64 = 2 * 1024 * 1024;
/// The longest payload that is verified.
const PAYLOAD_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Exit codes of both.
pub(crate) const GOOD: u8 = 0;
pub(crate) const BAD: u8 = 1;
pub(crate) const ERROR: u8 = 2;

/// Why a signature is not even begun.
pub(crate) const STDOUT_CLOSED: &str = "signing failed: standard output is closed";

pub(crate) fn say(streams: &mut Streams<'_>, text: &str) -> u8 {
    match streams.stdout.write_all(text.as_bytes()) {
        Ok(()) => GOOD,
        Err(_) => ERROR,
    }
}

pub(crate) fn complain(streams: &mut Streams<'_>, program: &str, error: &dyn Display) -> u8 {
    // When standard error is gone, the exit code has to do.
    let _ = writeln!(streams.stderr, "{program}: {}", escape(&error.to_string()));
    ERROR
}

pub(crate) fn home() -> io::Result<Home> {
    Home::from_environment().ok_or_else(|| io::Error::other("neither NOTME_HOME nor HOME is set"))
}

pub(crate) fn signing_endpoint() -> io::Result<AgentEndpoint> {
    agent::endpoint(&home()?)
}

/// Reads a signature and what it is of.
pub(crate) fn read_signed(
    signature: &Path,
    data: &Data,
    streams: &mut Streams<'_>,
) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let signature = read_file(signature, SIGNATURE_MAX)?;
    let payload = match data {
        Data::Stdin => read_all(streams.stdin, "-".as_ref(), PAYLOAD_MAX)?,
        Data::File(path) => read_file(path, PAYLOAD_MAX)?,
    };
    Ok((signature, payload))
}

/// Writes status lines, each at once, where git asked for them.
pub(crate) fn write_status(
    fd: Option<StatusFd>,
    lines: &[impl StatusText],
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    let mut status = StatusOutput::open(fd)?;
    for line in lines {
        status.write(line, streams)?;
    }
    Ok(())
}

/// Tells whether nobody could ever read a signature: standard output was closed when we started.
///
/// The runtime puts `/dev/null` in its place, open for reading and writing; whoever wants to
/// throw a signature away opens it for writing only.
pub(crate) fn is_stdout_closed() -> bool {
    let stdout = io::stdout();
    // Major 1, minor 3 (Linux, admin-guide/devices.txt).
    let is_null = fstat(&stdout).is_ok_and(|file| file.st_rdev == makedev(1, 3));
    let is_for_both =
        fcntl_getfl(&stdout).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR);
    is_null && is_for_both
}
