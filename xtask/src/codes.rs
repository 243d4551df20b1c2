//! docs/codes.md has one line for each verdict code, and the test it names exists.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    sources::rust_files,
    workspace::{Failure, read, root},
};

/// Where the closed list is declared: `Variant "the-code" Rejected`, inside `codes! { … }`.
const DECLARATION: &str = "verifier/src/verdict.rs";
/// Where the tests are that show a code.
const TESTS: [&str; 3] = ["attest/tests", "cli/tests", "verifier/tests"];
/// Fewer codes than this mean that the declaration was not understood.
const FEWEST: usize = 20;

/// Fails when the list and the document differ, or when a named test does not exist.
pub(crate) fn check() -> Result<(), Failure> {
    let declaration = read(DECLARATION)?;
    let declared = declared(&declaration);
    if declared.len() < FEWEST {
        return Err(format!(
            "{DECLARATION}: found only {} codes",
            declared.len()
        ));
    }
    let document = read("docs/codes.md")?;
    let documented = documented(&document)?;
    let codes: BTreeSet<&str> = documented.keys().copied().collect();
    if codes != declared {
        let undocumented: Vec<_> = declared.difference(&codes).collect();
        let gone: Vec<_> = codes.difference(&declared).collect();
        return Err(format!(
            "docs/codes.md: lacks {undocumented:?}, has {gone:?} too many"
        ));
    }
    let existing = tests()?;
    let absent: Vec<_> = documented
        .values()
        .filter(|test| !existing.contains(**test))
        .collect();
    if absent.is_empty() {
        return Ok(());
    }
    Err(format!("docs/codes.md: no such tests: {absent:?}"))
}

/// Returns the codes of the declaration.
fn declared(source: &str) -> BTreeSet<&str> {
    source
        .lines()
        .skip_while(|line| *line != "codes! {")
        .take_while(|line| *line != "}")
        .filter_map(
            |line| match line.split_whitespace().collect::<Vec<_>>()[..] {
                [_, name, "Rejected" | "Undecided"] => name.strip_prefix('"')?.strip_suffix('"'),
                _ => None,
            },
        )
        .collect()
}

/// Returns the table's codes with the test in the last column.
fn documented(document: &str) -> Result<BTreeMap<&str, &str>, Failure> {
    document
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(
            |line| match line.split('|').map(str::trim).collect::<Vec<_>>()[..] {
                ["", code, _cause, _fix, test, ""] => {
                    Ok((code.trim_matches('`'), test.trim_matches('`')))
                }
                _ => Err(format!("docs/codes.md: not four columns: {line}")),
            },
        )
        .collect()
}

/// Returns the names of the functions in the test folders.
fn tests() -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    for folder in TESTS {
        for path in rust_files(&root().join(folder))? {
            let source = std::fs::read_to_string(&path)
                .map_err(|error| format!("could not read `{}`: {error}", path.display()))?;
            names.extend(
                source
                    .lines()
                    .filter_map(|line| line.trim_start().strip_prefix("fn ")?.split_once('('))
                    .map(|(name, _)| name.to_owned()),
            );
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_declaration() {
        let source = "Other \"x\" Rejected\ncodes! {\n    Unsigned \"unsigned\" Rejected\n        \"Cause\"\n        \"Fix\";\n}\nLater \"y\" Rejected\n";
        assert_eq!(declared(source), BTreeSet::from(["unsigned"]));
    }

    #[test]
    fn reads_the_table() {
        let table = "| code | cause | fix | test |\n| `unsigned` | none | sign | `a_test` |\n";
        assert_eq!(
            documented(table).unwrap(),
            BTreeMap::from([("unsigned", "a_test")])
        );
    }

    #[test]
    fn refuses_a_row_without_a_test() {
        assert!(documented("| `unsigned` | none | sign |\n").is_err());
    }
}
