//! The commands, one module each.

use std::io::{self, Write as _};

use notme_verifier::report::escape_json;
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

/// Prints a value for machines.
fn print_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(io::stdout(), "{}", escape_json(&text))?;
    Ok(Exit::Yes)
}
