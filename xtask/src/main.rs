//! Repository chores: `cargo xtask test`, `cargo xtask check` and `cargo xtask dist`.

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
mod test;
mod workspace;

use std::{env, process::ExitCode};

const USAGE: &str = "\
usage: cargo xtask <task>

  test     install what the tests need (as root, with apt-get), then run every test
  check    formatting, clippy, dependency edges, forbidden words, documents
  dist     build `target/dist/notme`, statically linked: it starts fastest";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let task = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
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
