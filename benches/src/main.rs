//! Measures notme beside the tools it stands in for, in one run on one machine.
//!
//! `cargo run --release -p notme-benches` prints the table; `--quick` makes fewer runs and no large
//! history.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for developers: what it cannot set up, it cannot measure"
)]

mod attest;
mod floor;
mod floors;
mod history;
mod hooks;
mod load;
mod notme;
mod one_commit;
mod pack;
mod peers;
mod table;
mod timing;

use std::{env, process::ExitCode};

use crate::table::Table;

const USAGE: &str = "\
usage: cargo run --release -p notme-benches -- [--quick] [GROUP…]

groups: floors sign verify ssh hooks attest load history radius million; all when none is named";

/// How much to measure.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Runs of one process.
    rounds: usize,
    /// Runs over a whole history.
    history_rounds: usize,
    /// Commits in the small history, ours and theirs.
    small: usize,
    /// Commits in the large history, ours.
    large: Option<usize>,
    /// Commits in the largest, ours.
    largest: Option<usize>,
    /// Records in a chain of attestations, ours.
    records: u32,
    /// Requests to an authority: for signatures, and for a pair of certificates.
    requests: [usize; 2],
}

const FULL: Effort = Effort {
    rounds: 301,
    history_rounds: 11,
    small: 1_000,
    large: Some(100_000),
    largest: Some(1_000_000),
    records: 10_000,
    requests: [100_000, 20_000],
};
const QUICK: Effort = Effort {
    rounds: 51,
    history_rounds: 5,
    small: 200,
    large: None,
    largest: None,
    records: 1_000,
    requests: [20_000, 8_000],
};

fn main() -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("error: numbers of a debug build say nothing\n\nhint: {USAGE}");
        return ExitCode::from(2);
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, directory, jobs] = &arguments[..]
        && first == history::FLOOR
    {
        floor::walk(directory.as_ref(), jobs.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let (options, groups): (Vec<&str>, Vec<&str>) = arguments
        .iter()
        .map(String::as_str)
        .partition(|argument| argument.starts_with('-'));
    let effort = match options[..] {
        [] => FULL,
        ["--quick"] => QUICK,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(unknown) = groups
        .iter()
        .find(|group| GROUPS.iter().all(|(name, _)| name != *group))
    {
        eprintln!("error: no group `{unknown}`\n\n{USAGE}");
        return ExitCode::from(2);
    }
    let mut table = Table::default();
    for (name, measure) in GROUPS {
        if groups.is_empty() || groups.contains(&name) {
            measure(effort, &mut table);
        }
    }
    println!("{table}");
    ExitCode::SUCCESS
}

type Group = fn(Effort, &mut Table);

/// Small processes first: a large parent makes starting them slower.
const GROUPS: [(&str, Group); 10] = [
    ("floors", floors::measure),
    ("sign", one_commit::sign),
    ("verify", one_commit::verify),
    ("ssh", one_commit::ssh),
    ("hooks", hooks::measure),
    ("attest", attest::measure),
    ("load", load::measure),
    ("history", history::measure),
    ("radius", history::measure_radius),
    ("million", history::measure_million),
];
