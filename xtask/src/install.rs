//! What the tests run: programs from Debian packages, and what these install.

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    strangers,
    workspace::{Failure, read, run},
};

/// Installs what is missing, or says which one line does.
pub(crate) fn everything() -> Result<(), Failure> {
    packages()?;
    strangers::install()
}

fn packages() -> Result<(), Failure> {
    let missing = missing()?;
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(String::as_str).collect();
    if !is_root() || !on_path("apt-get") {
        return Err(format!(
            "the tests need programs that are not installed\n\nhint: run `sudo apt-get install --yes {}`",
            packages.join(" ")
        ));
    }
    println!("installing {}", packages.join(" "));
    run(&mut apt_get(&["update", "--quiet"]))?;
    run(apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"]).args(&packages))?;
    let still_missing = self::missing()?;
    if still_missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "still missing after the installation: {still_missing:?}"
    ))
}

/// Returns the packages of the programs that are not there, each once.
fn missing() -> Result<BTreeSet<String>, Failure> {
    let mut packages: BTreeSet<String> = parse(&read("testkit/oracles.txt")?)?
        .into_iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| package)
        .collect();
    // The C parts of two dependencies are compiled here.
    if !on_path("cc") {
        packages.insert("gcc".to_owned());
    }
    if !Path::new("/usr/include/stdlib.h").exists() {
        packages.insert("libc6-dev".to_owned());
    }
    if !strangers::has_venv() {
        packages.insert("python3-venv".to_owned());
    }
    Ok(packages)
}

/// Reads `program package` lines.
fn parse(list: &str) -> Result<Vec<(String, String)>, Failure> {
    list.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(
            |line| match line.split_whitespace().collect::<Vec<_>>()[..] {
                [program, package] => Ok((program.to_owned(), package.to_owned())),
                _ => Err(format!(
                    "testkit/oracles.txt: not `program package`: `{line}`"
                )),
            },
        )
        .collect()
}

fn on_path(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        // Where servers are, which is on no user's path; testkit looks there too.
        .chain([PathBuf::from("/usr/sbin")])
        .chain(postgresql())
        .any(|directory| directory.join(program).is_file())
}

/// Where Debian has the programs of PostgreSQL, each version in a directory of its own.
fn postgresql() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    versions.collect()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_list_of_programs() {
        let list = "# comment\n\ngpgsm    gpgsm\ncerttool gnutls-bin\n";
        let pairs = parse(list).unwrap();
        assert_eq!(pairs[1], ("certtool".to_owned(), "gnutls-bin".to_owned()));
    }

    #[test]
    fn refuses_a_line_without_a_package() {
        assert!(parse("gpgsm\n").is_err());
    }
}
