//! The sockets that the key agent listens on.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::{fs::OpenOptionsExt as _, net::UnixListener},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use notme_local::{DirectoryError, SocketFile, create_private_directory};

/// The socket's name in the runtime directory.
pub const SOCKET_NAME: &str = "agent.sock";
/// The name of the socket that speaks the OpenSSH agent protocol, beside the other.
pub const SSH_SOCKET_NAME: &str = "ssh-agent.sock";
/// The directory of the sockets of agents that are lent out.
pub(crate) const RUNS_NAME: &str = "runs";
const LOCK_NAME: &str = "agent.lock";

/// The bound sockets, and the lock that makes us their only owner.
#[derive(Debug)]
pub(crate) struct AgentSockets {
    agent: SocketFile,
    ssh: SocketFile,
    _lock: File,
}

/// Who knocks: programs of ours, and those that speak to ssh-agent.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) agent: UnixListener,
    pub(crate) ssh: UnixListener,
}

impl AgentSockets {
    /// Binds the sockets in a private directory, replacing those that nobody listens on any more.
    ///
    /// # Errors
    /// [`BindError`].
    pub(crate) fn bind(directory: &Path) -> Result<(Self, Listeners), BindError> {
        create_private_directory(directory)?;
        let lock = lock(&directory.join(LOCK_NAME))?;
        // Loans of a key agent that is gone.
        let _ = fs::remove_dir_all(directory.join(RUNS_NAME));
        let bind = |name| {
            let path = directory.join(name);
            SocketFile::bind(&path).map_err(|source| BindError::Bind { path, source })
        };
        // The other one last: who finds it finds both.
        let (ssh, ssh_listener) = bind(SSH_SOCKET_NAME)?;
        let (agent, agent_listener) = bind(SOCKET_NAME)?;
        let sockets = Self {
            agent,
            ssh,
            _lock: lock,
        };
        let listeners = Listeners {
            agent: agent_listener,
            ssh: ssh_listener,
        };
        Ok((sockets, listeners))
    }

    /// Tells whether clients still find us: the files may have been swept away.
    pub(crate) fn are_in_place(&self) -> bool {
        self.agent.is_in_place() && self.ssh.is_in_place()
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

        fn bind(&self) -> Result<(AgentSockets, Listeners), BindError> {
            AgentSockets::bind(&self.directory)
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
        let (sockets, _listeners) = world.bind().unwrap();
        assert!(sockets.are_in_place());
        for name in [SOCKET_NAME, SSH_SOCKET_NAME] {
            assert!(world.directory.join(name).exists());
        }
        drop(sockets);
        for name in [SOCKET_NAME, SSH_SOCKET_NAME] {
            assert!(!world.directory.join(name).exists());
        }
    }

    #[test]
    fn notices_when_either_socket_is_swept_away() {
        for name in [SOCKET_NAME, SSH_SOCKET_NAME] {
            let world = World::new("run");
            let (sockets, _listeners) = world.bind().unwrap();
            fs::remove_file(world.directory.join(name)).unwrap();
            assert!(!sockets.are_in_place());
        }
    }
}
