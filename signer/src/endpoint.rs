//! Where the key agent is, how it is started, and how long we wait for it.

use std::{
    ffi::OsString,
    io,
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use notme_local::{DirectoryError, SocketPath, check_private_directory};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
        sockopt::{Timeout, set_socket_timeout, socket_peercred},
    },
    process::geteuid,
};

use crate::client::ClientError;

/// Where the key agent listens, and how to start one when nobody does.
#[derive(Clone, Debug)]
pub struct AgentEndpoint {
    /// The socket, in a directory of our own.
    pub socket: PathBuf,
    /// How to start the key agent; without it, one must be running.
    pub start: Option<StartCommand>,
}

/// A command that runs the key agent in the foreground.
#[derive(Clone, Debug)]
pub struct StartCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The moment at which waiting ends.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the moment that is `after` from now.
    pub fn after(after: Duration) -> Self {
        Self(Instant::now() + after)
    }

    /// Returns the time left, or `None` when it is over.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
    }
}

impl AgentEndpoint {
    /// Connects, after starting the key agent if need be.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn open(&self, deadline: Deadline) -> Result<UnixStream, ClientError> {
        match (try_connect(&self.socket, deadline)?, &self.start) {
            (Some(stream), _) => Ok(stream),
            (None, Some(start)) => self.start(start, deadline),
            (None, None) => Err(ClientError::Absent),
        }
    }

    fn start(&self, command: &StartCommand, deadline: Deadline) -> Result<UnixStream, ClientError> {
        let mut child = command.spawn()?;
        let mut pause = Duration::from_millis(1);
        let mut ended = None;
        while deadline.left().is_some() {
            thread::sleep(pause);
            if let Some(stream) = try_connect(&self.socket, deadline)? {
                return Ok(stream);
            }
            pause = (pause * 2).min(Duration::from_millis(16));
            if ended.is_none() && has_ended(&mut child) {
                // Two started at the same moment, perhaps; then the other one will be there.
                ended = Some(Deadline::after(RIVAL_GRACE));
            }
            if ended.is_some_and(|grace| grace.left().is_none()) {
                return Err(ClientError::Ended);
            }
        }
        Err(ClientError::Deadline)
    }
}

impl StartCommand {
    /// Starts the program away from our terminal, our directory and our pipes: git reads them to
    /// their end, which must not be the key agent's.
    fn spawn(&self) -> Result<Child, ClientError> {
        Command::new(&self.program)
            .args(&self.arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| ClientError::Start {
                program: self.program.clone(),
                source,
            })
    }
}

/// How long after ours gave up another's key agent may need.
const RIVAL_GRACE: Duration = Duration::from_millis(500);

fn has_ended(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(Some(_)) | Err(_))
}

/// Connects to a key agent of ours; `None` when nobody listens.
fn try_connect(socket: &Path, deadline: Deadline) -> Result<Option<UnixStream>, ClientError> {
    let failed = |source: io::Error| ClientError::Connect {
        socket: socket.to_owned(),
        source,
    };
    if !is_directory_ours(socket)? {
        return Ok(None);
    }
    let path = SocketPath::new(socket).map_err(failed)?;
    let address = SocketAddrUnix::new(path.as_ref()).map_err(|errno| failed(errno.into()))?;
    let stream = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| failed(errno.into()))?;
    loop {
        // Connecting waits, too, when the key agent's queue is full.
        let left = deadline.left().ok_or(ClientError::Deadline)?;
        set_socket_timeout(&stream, Timeout::Send, Some(left))
            .map_err(|errno| failed(errno.into()))?;
        match connect(&stream, &address) {
            Ok(()) => break,
            // A signal, of a child that ended perhaps: nothing has happened yet.
            Err(Errno::INTR) => {}
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
            Err(Errno::AGAIN) => return Err(ClientError::Deadline),
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    let peer = socket_peercred(&stream).map_err(|errno| failed(errno.into()))?;
    if peer.uid != geteuid() {
        return Err(ClientError::NotOurs {
            socket: socket.to_owned(),
        });
    }
    Ok(Some(stream.into()))
}

/// Checks that nobody else can have put the socket there; `false` when there is no directory.
fn is_directory_ours(socket: &Path) -> Result<bool, ClientError> {
    match check_private_directory(socket.parent().unwrap_or(socket)) {
        Ok(()) => Ok(true),
        Err(DirectoryError::Unusable { source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Ok(false)
        }
        Err(error) => Err(ClientError::Directory(error)),
    }
}
