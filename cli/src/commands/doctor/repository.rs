//! The repository: whether what git shows is what is verified, and whether hooks run.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use notme_attest::store::Shelf;
use notme_verifier::{Repository, repository::RepositoryError};

use super::{Findings, scene::Scene};
use crate::{
    commands::{attest::Archive, hooks},
    failure::Failure,
    git,
    shell::{quoted, quoted_path},
};

/// How long a lock is there, at most, unless nobody holds it any more.
const LOCKED_MAX: Duration = Duration::from_secs(60);

pub(super) fn tell_refusal(repository: &Path, findings: &mut Findings) {
    findings.add(
        "repository-not-owned",
        "git does not work in this repository, since it belongs to somebody else",
        format!(
            "git config --global --add safe.directory {}",
            quoted_path(repository)
        ),
    );
}

pub(super) fn is_whole(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    if scene
        .repository
        .as_ref()
        .is_some_and(|it| it.join("shallow").exists())
    {
        findings.add(
            "clone-shallow",
            "the clone is shallow: nothing before its end can be verified",
            "git fetch --unshallow",
        );
    }
    Ok(())
}

pub(super) fn shows_its_own_objects(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let Some(repository) = &scene.repository else {
        return Ok(());
    };
    let setting = "core.useReplaceRefs";
    let replaces = scene.value(setting).is_none() || git::is_true(setting)?;
    if replaces && git::has_replacements()? {
        findings.add(
            "objects-replaced",
            "git shows replacements (`git replace --list`) in the place of objects that are verified",
            "git config core.useReplaceRefs false",
        );
    }
    let grafts = repository.join("info/grafts");
    if fs::read_to_string(&grafts).is_ok_and(|it| !it.trim().is_empty()) {
        let path = quoted_path(&grafts);
        findings.add(
            "history-grafted",
            format!("git shows other parents than the commits have, by {path}"),
            format!("mv {path} {path}.disabled"),
        );
    }
    Ok(())
}

pub(super) fn is_readable(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    if !keeps_files(scene) {
        findings.add(
            "references-unreadable",
            "the repository keeps its references as a reftable, which `notme verify` does not read",
            "git refs migrate --ref-format=files",
        );
    }
    Ok(())
}

fn keeps_files(scene: &Scene<'_>) -> bool {
    let opened = scene.repository.as_deref().map(Repository::open);
    !matches!(opened, Some(Err(RepositoryError::RefStorage(_))))
}

/// Whoever moves refs holds their locks for a moment.
pub(super) fn holds_no_locks(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    if scene.repository.is_none() || !keeps_files(scene) {
        return Ok(());
    }
    let mut locks = Archive::open()?.store.locks();
    let age = |lock: &PathBuf| {
        fs::metadata(lock)?
            .modified()?
            .elapsed()
            .map_err(io::Error::other)
    };
    locks.retain(|lock| age(lock).is_ok_and(|age| age > LOCKED_MAX));
    if !locks.is_empty() {
        let paths: Vec<_> = locks.iter().map(|lock| quoted_path(lock)).collect();
        let paths = paths.join(" ");
        let problem =
            format!("attestations are not kept or fetched any more: who held {paths} was killed");
        findings.add("attestations-locked", problem, format!("rm -f {paths}"));
    }
    Ok(())
}

/// What is lost here is fetched again; what no remote has was lost with it.
pub(super) fn keeps_its_attestations(
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    if scene.repository.is_none() || !keeps_files(scene) {
        return Ok(());
    }
    let broken = git::incomplete_references(&["refs/attestations", "refs/notme/attestations"])?;
    if broken.is_empty() {
        return lie_with_their_trees(findings);
    }
    let mut repair: Vec<_> = broken
        .iter()
        .map(|name| format!("git update-ref -d {}", quoted(name)))
        .collect();
    if git::fetch_remote()?.is_some() {
        repair.push("notme attest fetch".to_owned());
    }
    findings.add(
        "attestations-incomplete",
        format!(
            "objects are gone that are to be reached from {}",
            broken.join(", ")
        ),
        repair.join(" && "),
    );
    Ok(())
}

/// A rejection that lies with its commit only is not found for others of the same tree.
fn lie_with_their_trees(findings: &mut Findings) -> Result<(), Failure> {
    // Of a partial clone, they may not be here.
    let paths = Archive::open()?.store.without_trees().unwrap_or_default();
    if paths.is_empty() {
        return Ok(());
    }
    let import = |path: &String| {
        let blob = quoted(&format!("{}:{path}", Shelf::Commits.reference()));
        format!("git cat-file blob {blob} | notme attest import --unjudged -")
    };
    let repair: Vec<_> = paths.iter().map(import).collect();
    let problem = format!(
        "{} statements lie with their commits alone, as older versions imported them, and are not found by the trees that they name",
        paths.len()
    );
    findings.add("attestations-misplaced", problem, repair.join(" && "));
    Ok(())
}

/// Only hooks that run `notme` are ours to worry about.
pub(super) fn hooks_run(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    let Some(repository) = &scene.repository else {
        return Ok(());
    };
    let (own, in_force) = (repository.join("hooks"), git::hooks_path(None)?);
    let elsewhere = fs::canonicalize(&in_force).ok() != fs::canonicalize(&own).ok();
    let shadowed = scene.entry(&["core.hooksPath"]).filter(|_| elsewhere);
    let Ok(hooks) = fs::read_dir(&own) else {
        return Ok(());
    };
    let mut silent = false;
    for hook in hooks {
        let hook = hook?;
        let path = hook.path();
        if !runs_notme(&path) {
            continue;
        }
        silent |= !runs_notme(&in_force.join(hook.file_name()));
        if fs::metadata(&path)?.permissions().mode() & 0o111 == 0 {
            let path = quoted_path(&path);
            findings.add(
                "hook-not-executable",
                format!("git does not run the hook {path}, which is not executable"),
                format!("chmod +x {path}"),
            );
        }
    }
    let problems = hooks::problems(scene.home)?;
    // Ours that do not run are told of below, with what repairs them.
    if let Some(entry) = shadowed.filter(|_| silent && problems.is_empty()) {
        findings.add(
            "hooks-shadowed",
            format!(
                "core.hooksPath is `{}`, so the hooks in {} that run notme are not run",
                entry.value,
                quoted_path(&own)
            ),
            entry.removal(),
        );
    }
    for problem in problems {
        findings.add(problem.code, problem.text, problem.repair);
    }
    Ok(())
}

fn runs_notme(hook: &Path) -> bool {
    let is_sample = hook.extension().is_some_and(|it| it == "sample");
    !is_sample && fs::read_to_string(hook).is_ok_and(|text| text.contains("notme"))
}
