//! rustfmt and clippy.

use crate::workspace::{Failure, cargo, run};

/// Fails on a file that rustfmt would change.
pub(crate) fn formatting() -> Result<(), Failure> {
    run(&mut cargo(&[
        "fmt",
        "--all",
        "--check",
        "--",
        "--color=never",
    ]))
}

/// Fails on any warning, in tests and benchmarks too.
pub(crate) fn clippy() -> Result<(), Failure> {
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}
