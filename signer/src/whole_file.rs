//! Files that are there whole or not at all.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// Writes a file beside its place and moves it there. A file that is replaced keeps its mode. What
/// is no plain file, a pipe or a link say, is not replaced but written to.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|it| !it.is_file()) {
        let mut options = OpenOptions::new();
        return options
            .write(true)
            .truncate(true)
            .open(path)?
            .write_all(bytes);
    }
    let mode = fs::metadata(path).map(|it| it.permissions().mode() & 0o777);
    let name = path.file_name().unwrap_or(OsStr::new("signature"));
    let mut beside = OsStr::new(".").to_owned();
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(&beside)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| match mode {
            Ok(mode) => file.set_permissions(fs::Permissions::from_mode(mode)),
            Err(_) => Ok(()),
        })
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
