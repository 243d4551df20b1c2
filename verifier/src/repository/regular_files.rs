//! What is read of a repository by its path: whatever is no regular file is not opened.

use std::{
    fs::{self, metadata},
    io::{self, Read as _},
    path::{self, Path, PathBuf},
};

use crate::load::check_regular;

/// The longest path that the system takes.
const PATH_MAX: u64 = 4096;

/// Looks where a repository is searched for: at what tells that there is one.
pub(super) fn check_above(directory: &Path) -> io::Result<()> {
    for above in path::absolute(directory)?.ancestors() {
        let inside = above.join(".git");
        match metadata(&inside) {
            Ok(found) if found.is_dir() => {
                check_files(&inside)?;
                if inside.join("HEAD").exists() {
                    return Ok(());
                }
            }
            // It says where the directory is.
            Ok(_) => {
                check_file(above, ".git")?;
                let text = read_short(&inside).unwrap_or_default();
                let place = text.trim_end().strip_prefix("gitdir: ");
                return place.map_or(Ok(()), |place| check_files(&above.join(place)));
            }
            Err(_) => {}
        }
        if above.join("HEAD").exists() {
            check_files(above)?;
        }
    }
    Ok(())
}

/// Looks whether everything that is read to open a repository is a file: a pipe would keep us waiting
/// for good.
pub(super) fn check_files(git_directory: &Path) -> io::Result<()> {
    for name in ["HEAD", "commondir", "config.worktree", "gitdir"] {
        check_file(git_directory, name)?;
    }
    let common = read_short(&git_directory.join("commondir")).unwrap_or_default();
    let common = git_directory.join(common.trim_end());
    let names = ["config", "packed-refs", "objects/info/alternates"];
    names.iter().try_for_each(|name| check_file(&common, name))
}

pub(super) fn check_file(directory: &Path, name: impl AsRef<Path>) -> io::Result<()> {
    match metadata(directory.join(&name)) {
        Ok(found) => check_named(name.as_ref(), &found),
        // Whether it has to be there is for others to say.
        Err(_) => Ok(()),
    }
}

fn check_named(name: &Path, found: &fs::Metadata) -> io::Result<()> {
    check_regular(found)
        .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", name.display())))
}

/// Looks whether what is at a place is a file, or a directory with nothing but files below it; that it is not
/// there is fine.
///
/// # Errors
/// The system's, or what is none of them. A pipe would keep whoever reads it waiting.
pub fn check_place(directory: &Path, name: &str) -> io::Result<()> {
    match metadata(directory.join(name)) {
        Ok(found) if found.is_dir() => check_below(directory, name),
        Ok(found) => check_named(Path::new(name), &found),
        Err(_) => Ok(()),
    }
}

/// Looks whether everything below a directory is a file, and no link to one either.
pub(super) fn check_below(directory: &Path, name: &str) -> io::Result<()> {
    let mut ahead = vec![PathBuf::from(name)];
    while let Some(at) = ahead.pop() {
        for entry in entries(&directory.join(&at))? {
            let path = at.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                ahead.push(path);
            } else if !kind.is_file() {
                check_named(&path, &entry.metadata()?)?;
            }
        }
    }
    Ok(())
}

/// Lists a directory; one that is not there, or no more, has nothing in it.
pub(super) fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Reads a file that holds a name or a path.
pub(super) fn read_short(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(PATH_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}
