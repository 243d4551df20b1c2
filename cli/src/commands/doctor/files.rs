//! Files and directories of ours: nobody else may enter or change them.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use notme_agent::{SOCKET_NAME, SSH_SOCKET_NAME};
use notme_local::{DirectoryError, check_private_directory};

use super::{Findings, scene::Scene};
use crate::{failure::Failure, shell::quoted_path};

/// What these checks find.
pub(super) const CODES: [&str; 4] = [
    "directory-not-private",
    "directory-in-the-way",
    "file-not-private",
    "socket-in-the-way",
];

pub(super) fn are_private(scene: &Scene<'_>, findings: &mut Findings) -> Result<(), Failure> {
    let home = scene.home;
    for directory in [home.runtime(), &home.agents(), &home.authority()] {
        match check_private_directory(directory) {
            Ok(()) if directory == home.runtime() => sockets_are_sockets(directory, findings),
            Ok(()) => files_are_private(directory, findings)?,
            // What is not there is made when it is needed.
            Err(DirectoryError::Unusable { .. }) => {}
            Err(error) => findings_of(&error, directory, findings),
        }
    }
    Ok(())
}

fn findings_of(error: &DirectoryError, directory: &Path, findings: &mut Findings) {
    let path = quoted_path(directory);
    let (code, repair) = match error {
        DirectoryError::NotADirectory { .. } => {
            ("directory-in-the-way", format!("mv {path} {path}.moved"))
        }
        DirectoryError::NotOurs { .. } => (
            "directory-not-private",
            format!("sudo chown -R \"$(id -u)\" {path} && chmod 700 {path}"),
        ),
        DirectoryError::Open { .. } | DirectoryError::Unusable { .. } => {
            ("directory-not-private", format!("chmod 700 {path}"))
        }
    };
    findings.add(code, error.to_string(), repair);
}

fn sockets_are_sockets(directory: &Path, findings: &mut Findings) {
    for name in [SOCKET_NAME, SSH_SOCKET_NAME] {
        let path = directory.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|it| !it.file_type().is_socket()) {
            let path = quoted_path(&path);
            findings.add(
                "socket-in-the-way",
                format!("{path} is no socket, so the key agent cannot start"),
                format!("mv {path} {path}.moved"),
            );
        }
    }
}

fn files_are_private(directory: &Path, findings: &mut Findings) -> Result<(), Failure> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let file = entry.metadata()?;
        if file.is_file() && file.mode() & 0o077 != 0 {
            let path = quoted_path(&entry.path());
            findings.add(
                "file-not-private",
                format!(
                    "{path} is open to others (mode {:o}, not 600)",
                    file.mode() & 0o7777
                ),
                format!("chmod 600 {path}"),
            );
        }
    }
    Ok(())
}
