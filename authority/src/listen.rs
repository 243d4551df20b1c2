//! Where the authority can be reached.

use std::{
    fmt, fs, io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::AsRawFd as _,
        unix::{
            ffi::OsStrExt as _,
            fs::{FileTypeExt as _, MetadataExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::home::{HomeError, make_private};

/// A place to listen at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listen {
    /// A unix socket, in a directory that is or will be private.
    Unix(PathBuf),
    /// Plain HTTP; loopback addresses only. Port 0 takes a free one.
    Tcp(SocketAddr),
    /// HTTPS.
    Tls {
        /// The address. Port 0 takes a free one.
        address: SocketAddr,
        /// PEM file with the server certificate and its chain.
        certificate: PathBuf,
        /// PEM file with its private key.
        key: PathBuf,
    },
}

/// A place that is listened at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Bound {
    /// A unix socket.
    Unix(PathBuf),
    /// Plain HTTP.
    Tcp(SocketAddr),
    /// HTTPS.
    Tls(SocketAddr),
}

impl fmt::Display for Bound {
    /// Writes the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Tls(address) => write!(f, "https://{address}"),
        }
    }
}

/// A bound socket.
pub(crate) struct Listener {
    pub(crate) bound: Bound,
    pub(crate) socket: Socket,
}

pub(crate) enum Socket {
    Unix(UnixListener, SocketFile),
    Tcp(TcpListener, Option<Arc<ServerConfig>>),
}

impl Listener {
    pub(crate) fn bind(listen: &Listen) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind {
            listen: listen.clone(),
            source,
        };
        let (address, tls) = match listen {
            Listen::Unix(path) => return Self::bind_unix(path, failed),
            Listen::Tcp(address) if !address.ip().is_loopback() => {
                return Err(ListenError::PlainOutside { address: *address });
            }
            Listen::Tcp(address) => (address, None),
            Listen::Tls {
                address,
                certificate,
                key,
            } => (address, Some(tls_config(certificate, key)?)),
        };
        let socket = TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self {
            bound: match tls {
                None => Bound::Tcp(address),
                Some(_) => Bound::Tls(address),
            },
            socket: Socket::Tcp(socket, tls),
        })
    }

    fn bind_unix(
        path: &Path,
        failed: impl Fn(io::Error) -> ListenError,
    ) -> Result<Self, ListenError> {
        let path = std::path::absolute(path).map_err(&failed)?;
        let (Some(directory), Some(_)) = (path.parent(), path.file_name()) else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        make_private(directory)?;
        remove_stale(&path).map_err(&failed)?;
        let socket = with_short_path(&path, |short| UnixListener::bind(short)).map_err(&failed)?;
        socket.set_nonblocking(true).map_err(&failed)?;
        let file = SocketFile::of(&path).map_err(&failed)?;
        Ok(Self {
            bound: Bound::Unix(path),
            socket: Socket::Unix(socket, file),
        })
    }
}

/// The file of a bound unix socket; removed when dropped, unless it is another by then.
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            inode: inode(path)?,
            path: path.to_owned(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            // What cannot be removed is found stale by the next one to bind.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Removes the socket of a process that is gone: one that refuses connections.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(_) => {}
    }
    match with_short_path(path, |short| UnixStream::connect(short)) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Calls `use_path` with a path that the kernel takes for a socket: a long one goes through the
/// descriptor of its directory.
fn with_short_path<T>(path: &Path, use_path: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().as_bytes().len() <= SOCKET_PATH_MAX {
        return use_path(path);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = fs::File::open(directory)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    use_path(&short.join(name))
}

fn tls_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, ListenError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| ListenError::TlsFile { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(unreadable(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Why the authority cannot listen there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refused.
    #[error("could not listen at {listen:?}")]
    Bind {
        /// The place.
        listen: Listen,
        /// What the system said.
        source: io::Error,
    },
    /// The directory of the socket is open to others.
    #[error("the directory of the socket cannot be used")]
    Directory(#[from] HomeError),
    /// Tokens in the clear, on a network.
    #[error("plain HTTP is for loopback addresses, not for `{address}`")]
    PlainOutside {
        /// The address.
        address: SocketAddr,
    },
    /// Certificate and key do not work together.
    #[error("the server certificate and its key cannot be used")]
    Tls(#[from] rustls::Error),
    /// A PEM file cannot be read.
    #[error("could not read PEM file `{}`", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
}

impl ListenError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "authority-listen-failed",
            Self::Directory(error) => error.code(),
            Self::PlainOutside { .. } => "authority-plain-http",
            Self::Tls(_) | Self::TlsFile { .. } => "authority-tls",
        }
    }
}

/// `sun_path` without its final NUL.
const SOCKET_PATH_MAX: usize = 107;
