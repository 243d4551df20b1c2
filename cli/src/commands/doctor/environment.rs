//! The machine and the shell.

use std::{env, path::Path};

use super::{Findings, scene::Scene};
use crate::{
    failure::Failure,
    git,
    shell::{find, install, quoted},
};

/// The oldest git whose x509 signing behaves as we describe it, and the first with SSH.
const GIT_MIN: (u32, u32) = (2, 34);

/// Tells whether there is a git at all; without it nothing else can be looked at.
pub(super) fn git_is_there(findings: &mut Findings) -> bool {
    let is_there = find("git").is_some();
    if !is_there {
        findings.add(
            "git-missing",
            "there is no `git` on the path",
            install("git"),
        );
    }
    is_there
}

pub(super) fn git_is_new_enough(_: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    let text = git::version()?;
    let numbers: Vec<u32> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    if let [major, minor, ..] = numbers.as_slice()
        && (*major, *minor) < GIT_MIN
    {
        let problem = format!("{text} is older than {}.{}", GIT_MIN.0, GIT_MIN.1);
        findings.add("git-too-old", problem, install("git"));
    }
    Ok(())
}

pub(super) fn home_is_used(_: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    let home = env::var("NOTME_HOME").unwrap_or_default();
    if !home.is_empty() && !Path::new(&home).is_absolute() {
        findings.add(
            "home-ignored",
            format!("NOTME_HOME is `{home}`, which is no absolute path, so it does not count"),
            format!("export NOTME_HOME=\"$(realpath -m -- {})\"", quoted(&home)),
        );
    }
    Ok(())
}

pub(super) fn no_date_is_fixed(_: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    if env::var_os("GIT_COMMITTER_DATE").is_some() {
        findings.add(
            "date-fixed",
            "GIT_COMMITTER_DATE is set, so every commit claims that time, which judges it where nothing better is known",
            "unset GIT_COMMITTER_DATE",
        );
    }
    Ok(())
}

pub(super) fn temporary_directory_exists(
    _: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let directory = env::temp_dir();
    if !directory.is_dir() {
        findings.add(
            "tmpdir-missing",
            format!(
                "TMPDIR is `{}`, which is no directory; git hands over signatures there",
                directory.display()
            ),
            "unset TMPDIR",
        );
    }
    Ok(())
}

pub(super) fn ssh_keygen_is_there(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    if scene.value("gpg.format") == Some("ssh") && find("ssh-keygen").is_none() {
        findings.add(
            "ssh-keygen-missing",
            "there is no `ssh-keygen` on the path, which `git push --signed` runs in format ssh whatever it is set to",
            install("openssh-client"),
        );
    }
    Ok(())
}
