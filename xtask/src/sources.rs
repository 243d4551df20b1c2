//! Words that the sources of the pure rooms may not contain.
//!
//! A simple scan: it keeps honest people honest. Comments and everything from the first
//! `#[cfg(test)]` of a file on are not looked at; test modules stand last.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::workspace::{Failure, root};

/// The pure rooms, and the modules of each that may touch files.
const PURE: [(&str, &[&str]); 2] = [
    ("core", &[]),
    ("verifier", &["cache", "load", "repository"]),
];
/// Clock, environment, sockets, processes, async: nowhere.
const NEVER: [&str; 16] = [
    "Command::new",
    "Instant::now",
    "SystemTime::now",
    "TcpListener",
    "TcpStream",
    "UnixListener",
    "UnixStream",
    "async",
    "await",
    "env::var",
    "env::var_os",
    "net::",
    "process::abort",
    "process::exit",
    "tokio",
    "thread_rng",
];
/// Files: only in the modules named above.
const FILES: [&str; 4] = ["File::", "OpenOptions", "fs::", "gix::"];

/// Fails on a forbidden word.
pub(crate) fn check() -> Result<(), Failure> {
    let mut found = Vec::new();
    for (room, file_modules) in PURE {
        let source = root().join(room).join("src");
        let files = rust_files(&source)?;
        if files.is_empty() {
            return Err(format!("`{room}/src` has no sources"));
        }
        for path in files {
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("could not read `{}`: {error}", path.display()))?;
            let inside = path.strip_prefix(&source).unwrap_or(&path);
            let may_touch_files = is_in(inside, file_modules);
            for (line, word) in forbidden(&text, may_touch_files) {
                found.push(format!("{room}/src/{}:{line}: `{word}`", inside.display()));
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!("forbidden here:\n  {}", found.join("\n  ")))
}

/// Returns line numbers and words.
fn forbidden(source: &str, may_touch_files: bool) -> Vec<(usize, &'static str)> {
    let files: &[&'static str] = if may_touch_files { &[] } else { &FILES };
    source
        .lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .flat_map(|(number, line)| {
            NEVER
                .iter()
                .chain(files)
                .filter(|word| contains_word(line, word))
                .map(move |word| (number + 1, *word))
        })
        .collect()
}

/// Whether `word` stands in `line` with no letter, digit or `_` directly before or, unless it
/// ends in `::`, after it.
fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line
            .get(start + word.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && (word.ends_with("::") || !after.is_some_and(is_part))
    })
}

/// Whether a path inside `src/` is `<module>.rs` or below `<module>/`.
fn is_in(path: &Path, modules: &[&str]) -> bool {
    let first = path.iter().next().map(Path::new);
    first
        .and_then(Path::file_stem)
        .is_some_and(|stem| modules.iter().any(|module| stem == *module))
}

/// Returns every Rust file below a directory, sorted.
pub(crate) fn rust_files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| format!("could not read `{}`: {error}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_clock() {
        assert_eq!(
            forbidden("\nlet t = SystemTime::now();\n", true),
            [(2, "SystemTime::now")]
        );
    }

    #[test]
    fn finds_a_file_outside_the_file_modules_only() {
        assert_eq!(forbidden("std::fs::read(path)", false).len(), 1);
        assert!(forbidden("std::fs::read(path)", true).is_empty());
    }

    #[test]
    fn comments_and_tests_may_say_anything() {
        let source = "// tokio\n/// tokio\n    #[cfg(test)]\nmod tests { tokio }\n";
        assert!(forbidden(source, false).is_empty());
    }

    #[test]
    fn parts_of_words_are_not_words() {
        assert!(forbidden("offs::x asynchronous awaited prenet::y", false).is_empty());
    }

    #[test]
    fn a_module_is_its_file_and_its_folder() {
        for inside in ["load.rs", "load/pins.rs"] {
            assert!(is_in(Path::new(inside), &["load"]), "{inside}");
        }
        for outside in ["loader.rs", "when/load.rs", "lib.rs"] {
            assert!(!is_in(Path::new(outside), &["load"]), "{outside}");
        }
    }
}
