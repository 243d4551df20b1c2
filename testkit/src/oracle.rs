//! Foreign programs that judge what we write.

use std::{env, path::PathBuf};

/// `program package` lines; `cargo xtask test` installs from the same list.
const ORACLES: &str = include_str!("../oracles.txt");

/// Returns where a foreign program is.
///
/// # Panics
/// When it is missing, naming the Debian package that has it: a test that could not ask its
/// oracle has not passed. Also for programs that `oracles.txt` does not list.
pub fn oracle(name: &str) -> PathBuf {
    let package = ORACLES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find_map(|(program, package)| (program == name).then(|| package.trim()))
        .unwrap_or_else(|| panic!("`{name}` is not in testkit/oracles.txt"));
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        // Where servers are, which is on no user's path.
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("`{name}` is not installed: `apt-get install {package}`, or `cargo xtask test`")
        })
}
