//! Where we are, and how we run programs here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Why a task failed, for a person to read.
pub(crate) type Failure = String;

/// Returns the workspace's root directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads a text file of the workspace.
pub(crate) fn read(relative: &str) -> Result<String, Failure> {
    fs::read_to_string(root().join(relative))
        .map_err(|error| format!("could not read `{relative}`: {error}"))
}

/// Returns cargo, as it runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null());
    command
}

/// Runs a command, which must succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = format!("{command:?}").replace('"', "");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}`: {status}")),
        Err(error) => Err(format!("could not run `{shown}`: {error}")),
    }
}
