//! This very program: where it is, and under which names git calls it.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use notme_agent::AuthorityLauncher;

use crate::home::Home;

/// Our own name.
pub(crate) const NAME: &str = "notme";

/// The name under which git calls us in place of gpgsm.
pub(crate) const GPGSM_NAME: &str = "notme-x509";

/// The name under which git calls us in place of ssh-keygen.
pub(crate) const SSH_KEYGEN_NAME: &str = "notme-ssh";

/// The name under which git calls us in place of gpg.
pub(crate) const GPG_NAME: &str = "notme-openpgp";

/// Returns the path of the running program.
///
/// # Errors
/// The system's error.
pub(crate) fn path() -> io::Result<PathBuf> {
    env::current_exe()
}

/// Makes, or renews, the link in a directory that git is pointed at, and returns its path.
///
/// # Errors
/// The system's error.
pub(crate) fn link_for_git(directory: &Path, name: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let link = directory.join(name);
    let program = path()?;
    if fs::read_link(&link).is_ok_and(|target| target == program) {
        return Ok(link);
    }
    // Renamed into place, so that a commit made at this moment finds the old or the new one.
    let fresh = directory.join(format!(".{name}.{}", std::process::id()));
    symlink(program, &fresh)?;
    fs::rename(&fresh, &link)?;
    Ok(link)
}

/// Returns how the embedded authority is started.
///
/// # Errors
/// The system's error.
pub(crate) fn authority_launcher(home: &Home) -> io::Result<AuthorityLauncher> {
    Ok(AuthorityLauncher {
        program: path()?,
        arguments: ["authority", "serve", "--embedded"]
            .map(OsString::from)
            .to_vec(),
        log: log_file(home),
    })
}

/// Returns where the embedded authority's words go: nowhere, when there is no place for them.
fn log_file(home: &Home) -> PathBuf {
    let directory = home.logs();
    match fs::create_dir_all(&directory) {
        Ok(()) => directory.join("authority.log"),
        Err(_) => PathBuf::from("/dev/null"),
    }
}

/// Tells whether the last part of the path is git's name for us in place of gpgsm.
pub(crate) fn is_gpgsm_name(called_as: &OsString) -> bool {
    is_called(called_as, GPGSM_NAME)
}

/// Tells whether the last part of the path is git's name for us in place of ssh-keygen.
pub(crate) fn is_ssh_keygen_name(called_as: &OsString) -> bool {
    is_called(called_as, SSH_KEYGEN_NAME)
}

/// Tells whether the last part of the path is git's name for us in place of gpg.
pub(crate) fn is_gpg_name(called_as: &OsString) -> bool {
    is_called(called_as, GPG_NAME)
}

fn is_called(called_as: &OsString, wanted: &str) -> bool {
    Path::new(called_as)
        .file_name()
        .is_some_and(|name| name == wanted)
}
