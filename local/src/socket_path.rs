//! Paths of unix sockets, of any length.

use std::{
    ffi::OsStr,
    io,
    os::{fd::AsRawFd as _, fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

/// A path that fits into a socket address: the path itself, or one through a descriptor of its
/// directory, which stays open as long as this value.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    _directory: Option<OwnedFd>,
}

impl SocketPath {
    /// Makes a path fit.
    ///
    /// # Errors
    /// When the directory cannot be opened, or the path names no file.
    pub fn new(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= ADDRESS_LIMIT {
            return Ok(Self {
                path: path.to_owned(),
                _directory: None,
            });
        }
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())?;
        let mut short = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
        short.extend_from_slice(name.as_bytes());
        Ok(Self {
            path: OsStr::from_bytes(&short).into(),
            _directory: Some(directory),
        })
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// `sun_path` is 108 bytes with its final NUL.
const ADDRESS_LIMIT: usize = 107;
