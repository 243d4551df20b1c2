//! The socket that the key agent listens on.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::{fs::OpenOptionsExt as _, net::UnixListener},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use notme_local::{DirectoryError, SocketFile, create_private_directory};

/// The socket's name in the runtime directory.
pub const SOCKET_NAME: &str = "agent.sock";
const LOCK_NAME: &str = "agent.lock";

/// A bound socket, and the lock that makes us its only owner.
#[derive(Debug)]
pub(crate) struct AgentSocket {
    file: SocketFile,
    _lock: File,
}

impl AgentSocket {
    /// Binds the socket in a private directory, replacing one that nobody listens on any more.
    ///
    /// # Errors
    /// [`BindError`].
    pub(crate) fn bind(directory: &Path) -> Result<(Self, UnixListener), BindError> {
        create_private_directory(directory)?;
        let lock = lock(&directory.join(LOCK_NAME))?;
        let path = directory.join(SOCKET_NAME);
        let (file, listener) =
            SocketFile::bind(&path).map_err(|source| BindError::Bind { path, source })?;
        Ok((Self { file, _lock: lock }, listener))
    }

    /// Tells whether clients still find us: the file may have been swept away.
    pub(crate) fn is_in_place(&self) -> bool {
        self.file.is_in_place()
    }
}

/// The key agent has no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The directory is not private.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Another key agent runs.
    #[error("a key agent is already running")]
    AlreadyRunning,
    /// The lock file cannot be used.
    #[error("could not lock `{}`", path.display())]
    Lock {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket cannot be bound.
    #[error("could not listen on `{}`", path.display())]
    Bind {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl BindError {
    /// Returns the code of the closed list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Directory(error) => error.code(),
            Self::AlreadyRunning => "agent-running",
            Self::Lock { .. } | Self::Bind { .. } => "agent-socket",
        }
    }
}

fn lock(path: &Path) -> Result<File, BindError> {
    let failed = |source| BindError::Lock {
        path: path.to_owned(),
        source,
    };
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BindError::AlreadyRunning),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct World {
        _root: tempfile::TempDir,
        directory: PathBuf,
    }

    impl World {
        fn new(name: &str) -> Self {
            let root = tempfile::tempdir().unwrap();
            let directory = root.path().join(name);
            Self {
                _root: root,
                directory,
            }
        }

        fn bind(&self) -> Result<(AgentSocket, UnixListener), BindError> {
            AgentSocket::bind(&self.directory)
        }
    }

    #[test]
    fn binds_once() {
        let world = World::new("run");
        let first = world.bind().unwrap();
        assert!(matches!(world.bind(), Err(BindError::AlreadyRunning)));
        drop(first);
        world.bind().unwrap();
    }

    #[test]
    fn replaces_a_socket_that_nobody_listens_on() {
        let world = World::new("run");
        create_private_directory(&world.directory).unwrap();
        drop(UnixListener::bind(world.directory.join(SOCKET_NAME)).unwrap());
        world.bind().unwrap();
    }

    #[test]
    fn leaves_a_socket_that_somebody_listens_on() {
        let world = World::new("run");
        create_private_directory(&world.directory).unwrap();
        let _other = UnixListener::bind(world.directory.join(SOCKET_NAME)).unwrap();
        assert!(matches!(world.bind(), Err(BindError::Bind { .. })));
    }

    #[test]
    fn leaves_a_file_that_is_no_socket() {
        let world = World::new("run");
        create_private_directory(&world.directory).unwrap();
        let path = world.directory.join(SOCKET_NAME);
        fs::write(&path, "precious").unwrap();
        assert!(matches!(world.bind(), Err(BindError::Bind { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn binds_in_a_directory_with_a_very_long_name() {
        let world = World::new(&"long".repeat(60));
        let (socket, _listener) = world.bind().unwrap();
        assert!(socket.is_in_place());
        assert!(world.directory.join(SOCKET_NAME).exists());
        drop(socket);
        assert!(!world.directory.join(SOCKET_NAME).exists());
    }

    #[test]
    fn notices_when_its_socket_is_swept_away() {
        let world = World::new("run");
        let (socket, _listener) = world.bind().unwrap();
        fs::remove_file(world.directory.join(SOCKET_NAME)).unwrap();
        assert!(!socket.is_in_place());
    }
}
