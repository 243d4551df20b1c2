//! The repository that a command is about, and what the caller selects in it.

use std::{env, path::PathBuf};

use notme_verifier::{
    Repository,
    repository::{RepositoryError, Selection, is_branch_or_tag},
};

use crate::failure::Failure;

/// Opens the repository that git would: the one that the environment names, as in a hook, or the
/// one around the working directory.
pub(crate) fn open() -> Result<Repository, Failure> {
    let here = env::current_dir()?;
    let path = |name| env::var_os(name).map(|path| here.join(path));
    let repository = match path("GIT_DIR") {
        Some(directory) => Repository::open(&directory)?,
        None => Repository::discover(&here)?,
    };
    let (first, alternates) = object_directories()?;
    Ok(repository.with_objects(first.as_deref(), &alternates)?)
}

/// Returns where the environment says that objects are: in place of the repository's own, and
/// beside them.
pub(crate) fn object_directories() -> Result<(Option<PathBuf>, Vec<PathBuf>), Failure> {
    let here = env::current_dir()?;
    let first = env::var_os("GIT_OBJECT_DIRECTORY").map(|path| here.join(path));
    let alternates = env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES")
        .iter()
        .flat_map(env::split_paths)
        .map(|directory| here.join(directory))
        .collect();
    Ok((first, alternates))
}

/// Tells a wrong call from what could not be looked at.
pub(crate) fn not_selected(error: RepositoryError) -> Failure {
    match error.usage_code() {
        Some(_) => {
            Failure::usage(error).hint("name a commit, a tag or a range such as `main..HEAD`")
        }
        None => Failure::from(error),
    }
}

/// Says for which ref the objects are, if somebody names one.
pub(crate) fn on_reference(
    selection: Selection,
    reference: Option<&str>,
) -> Result<Selection, Failure> {
    match reference {
        Some(name) if !is_branch_or_tag(name) => {
            let failure = Failure::usage(format!("`{name}` is no full name of a branch or tag"));
            Err(failure.hint("write it as `refs/heads/main`"))
        }
        Some(name) => Ok(selection.on(Some(name.to_owned()))),
        None => Ok(selection),
    }
}
