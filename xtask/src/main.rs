//! Repository chores: `cargo xtask install`, `test`, `check` and `dist`.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

mod changelog;
mod check;
mod codes;
mod dependencies;
mod dist;
mod edges;
mod format;
mod install;
mod metadata;
mod sources;
mod strangers;
mod test;
mod workspace;

use std::{env, process::ExitCode};

const USAGE: &str = "\
usage: cargo xtask <task>

  install  what the tests need: as root with apt-get; with npm and pip below the target directory
  test     install, then run every test
  check    formatting, clippy, dependency edges, forbidden words, documents
  dist     build `target/dist/notme`, statically linked: it starts fastest";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let task = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["install"] => install::everything,
        ["test"] => test::run,
        ["check"] => check::run,
        ["dist"] => dist::run,
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match task() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
