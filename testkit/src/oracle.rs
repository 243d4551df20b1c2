//! Foreign programs that judge what we write.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::postgres;

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
        .chain(postgres::programs())
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("`{name}` is not installed: `apt-get install {package}`, or `cargo xtask test`")
        })
}

/// What is installed from npm and pip, in their words.
const PINS: [&str; 2] = [
    include_str!("../strangers/package.json"),
    include_str!("../strangers/requirements.txt"),
];

/// Returns the command that runs a script of `testkit/strangers/`, in an environment of nothing
/// but the libraries installed for it.
///
/// # Panics
/// When these are not installed in the versions that are asked for.
pub fn stranger(script: &str) -> Command {
    let installed = installed(script);
    let mut command = if script.ends_with(".js") {
        let mut node = Command::new(oracle("node"));
        node.env_clear();
        node.env("NODE_PATH", installed.join("node_modules"));
        node
    } else {
        let mut python = Command::new(installed.join("python/bin/python"));
        python.env_clear();
        python
    };
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/strangers");
    command.arg(Path::new(scripts).join(script));
    command
}

/// Returns the directories with the programs that npm and pip installed, in the order of a `PATH`.
///
/// # Panics
/// When these are not installed in the versions that are asked for.
pub fn programs_of_strangers() -> [PathBuf; 2] {
    let installed = installed("a test");
    ["node_modules/.bin", "python/bin"].map(|directory| installed.join(directory))
}

fn installed(who: &str) -> PathBuf {
    let tests = env::current_exe().expect("a test knows where it is");
    tests
        .ancestors()
        .map(|directory| directory.join("strangers"))
        .find(|directory| {
            let pins = fs::read_to_string(directory.join("installed"));
            pins.is_ok_and(|pins| pins == PINS.concat())
        })
        .unwrap_or_else(|| panic!("what `{who}` needs is not installed: `cargo xtask test`"))
}
