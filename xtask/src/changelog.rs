//! CHANGELOG.md.

use crate::workspace::{Failure, read};

/// Fails when there is no place to write the next change down.
pub(crate) fn check() -> Result<(), Failure> {
    if read("CHANGELOG.md")?
        .lines()
        .any(|line| line.trim_end() == "## Unreleased")
    {
        return Ok(());
    }
    Err("CHANGELOG.md has no `## Unreleased` section".to_owned())
}
