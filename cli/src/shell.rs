//! Lines for people to paste into their shell.

use std::{
    env, iter,
    path::{Path, PathBuf},
};

/// What installs a package, by the program that does.
const INSTALLERS: [(&str, &str); 6] = [
    ("apt-get", "sudo apt-get install --yes"),
    ("dnf", "sudo dnf install --assumeyes"),
    ("zypper", "sudo zypper --non-interactive install"),
    ("pacman", "sudo pacman -S --noconfirm"),
    ("apk", "sudo apk add"),
    ("brew", "brew install"),
];

/// Returns a word of which a shell reads nothing but the word.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Returns a path as [`quoted`] has it.
pub(crate) fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Returns what started this program, as somebody would type it.
pub(crate) fn command_line() -> String {
    let arguments = env::args_os().skip(1);
    let words = arguments.map(|word| quoted(&word.to_string_lossy()));
    iter::once("notme".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Finds a program as a shell does.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// Returns the line that installs a package here; in words, where nobody knows.
pub(crate) fn install(package: &str) -> String {
    let known = INSTALLERS
        .iter()
        .find(|(program, _)| find(program).is_some());
    match known {
        Some((_, command)) => format!("{command} {package}"),
        None => format!("install the package `{package}`"),
    }
}
