//! `cargo xtask check`: what must hold before anything is merged.

use crate::{changelog, codes, dependencies, edges, format, sources, workspace::Failure};

/// Runs every check and reports all that fail, not only the first.
pub(crate) fn run() -> Result<(), Failure> {
    let mut failed = 0_usize;
    for (name, check) in CHECKS {
        println!("== {name}");
        if let Err(failure) = check() {
            eprintln!("error: {failure}");
            failed += 1;
        }
    }
    if failed > 0 {
        return Err(format!("{failed} of {} checks failed", CHECKS.len()));
    }
    println!("all {} checks passed", CHECKS.len());
    Ok(())
}

type Check = fn() -> Result<(), Failure>;

/// Cheap ones first.
const CHECKS: [(&str, Check); 7] = [
    ("formatting", format::formatting),
    ("changelog", changelog::check),
    ("docs/codes.md", codes::check),
    ("docs/dependencies.md", dependencies::check),
    ("dependency edges", edges::check),
    ("forbidden words", sources::check),
    ("clippy", format::clippy),
];
