//! The commands, one module each.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use notme_verifier::{Code, report::to_json_pretty};
use serde::Serialize;

use crate::failure::{Exit, Outcome};

pub(crate) mod agent;
pub(crate) mod attest;
pub(crate) mod authority;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod hook;
pub(crate) mod hooks;
pub(crate) mod init;
pub(crate) mod install;
pub(crate) mod policy;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod trust;
pub(crate) mod verify;

/// Prints a value for machines, on what may be a terminal.
fn print_json(value: &impl Serialize) -> Outcome {
    writeln!(io::stdout(), "{}", to_json_pretty(value)?)?;
    Ok(Exit::Yes)
}

/// Says on stderr what to do about verdicts, once for each code.
fn print_fixes(codes: impl IntoIterator<Item = Code>) -> io::Result<()> {
    let codes = codes.into_iter().map(|code| (code.as_str(), code.fix()));
    for (code, fix) in codes.collect::<BTreeMap<_, _>>() {
        writeln!(io::stderr(), "hint: {code}: {fix}")?;
    }
    Ok(())
}
