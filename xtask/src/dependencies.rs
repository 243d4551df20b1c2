//! docs/dependencies.md has one line for each dependency in the root manifest, and no other.

use std::collections::BTreeSet;

use crate::workspace::{Failure, read};

/// Fails when manifest and document differ.
pub(crate) fn check() -> Result<(), Failure> {
    compare(
        &declared(&read("Cargo.toml")?),
        &documented(&read("docs/dependencies.md")?),
    )
}

fn compare(declared: &BTreeSet<&str>, documented: &BTreeSet<&str>) -> Result<(), Failure> {
    let undocumented: Vec<_> = declared.difference(documented).collect();
    let gone: Vec<_> = documented.difference(declared).collect();
    if undocumented.is_empty() && gone.is_empty() {
        return Ok(());
    }
    Err(format!(
        "docs/dependencies.md: no line for {undocumented:?}; lines for nothing: {gone:?}"
    ))
}

/// Returns the foreign crates of `[workspace.dependencies]`.
fn declared(manifest: &str) -> BTreeSet<&str> {
    manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("notme-"))
        .collect()
}

/// Returns the names in the first column of the table.
fn documented(document: &str) -> BTreeSet<&str> {
    document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[workspace.dependencies]\nnotme-core = { path = \"core\" }\n\
        # a comment = no crate\nder = \"0.7\"\n\n[workspace.lints.rust]\nmissing_docs = \"warn\"\n";

    #[test]
    fn finds_a_dependency_without_a_line() {
        let failure = compare(&declared(MANIFEST), &documented("")).unwrap_err();
        assert!(failure.contains("no line for [\"der\"]"), "{failure}");
    }

    #[test]
    fn finds_a_line_without_a_dependency() {
        let document = "| `der` | DER | x |\n| `gone` | y | z |\n";
        let failure = compare(&declared(MANIFEST), &documented(document)).unwrap_err();
        assert!(
            failure.contains("lines for nothing: [\"gone\"]"),
            "{failure}"
        );
    }
}
