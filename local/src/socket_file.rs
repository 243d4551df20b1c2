//! The file of a listening unix socket.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use crate::SocketPath;

/// The file of a bound socket; removed when dropped, unless it is another by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens at a path, replacing a socket that nobody listens on any more. The directory must
    /// be private already, and nobody else of ours about to do the same.
    ///
    /// # Errors
    /// The system's; `AddrInUse` when somebody listens there, `AlreadyExists` when the path is
    /// something other than a socket.
    pub fn bind(path: &Path) -> io::Result<(Self, UnixListener)> {
        let address = SocketPath::new(path)?;
        remove_stale(path, &address)?;
        let listener = UnixListener::bind(&address)?;
        listener.set_nonblocking(true)?;
        let file = Self {
            path: path.to_owned(),
            identity: identity(path)?,
        };
        Ok((file, listener))
    }

    /// Tells whether clients still find the socket: the file may have been swept away.
    pub fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_in_place() {
            // One that stays behind is found stale by the next to bind.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Removes the socket of a process that is gone: one that refuses connections.
fn remove_stale(path: &Path, address: &SocketPath) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(_) => {}
    }
    match UnixStream::connect(address) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}
