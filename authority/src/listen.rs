//! Where the authority can be reached.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use notme_local::{DirectoryError, SocketFile, create_private_directory};

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

/// A place at which it can be watched: `/metrics`, `/readyz`, `/healthz`, and nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MonitorListen {
    /// A unix socket, in a directory that is or will be private.
    Unix(PathBuf),
    /// Plain HTTP. What is told there is no secret, and not for everybody either: the operator
    /// chooses who reaches the address.
    Tcp(SocketAddr),
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

impl Listen {
    /// Returns what TLS takes there, after a look at all that can be known without listening.
    pub(crate) fn tls(&self) -> Result<Option<Arc<ServerConfig>>, ListenError> {
        match self {
            Self::Tcp(address) if !address.ip().is_loopback() => {
                Err(ListenError::PlainOutside { address: *address })
            }
            Self::Unix(_) | Self::Tcp(_) => Ok(None),
            Self::Tls {
                certificate, key, ..
            } => tls_config(certificate, key).map(Some),
        }
    }
}

impl Listener {
    pub(crate) fn bind(listen: &Listen) -> Result<Self, ListenError> {
        let tls = listen.tls()?;
        match listen {
            Listen::Unix(path) => Self::bind_unix(path),
            Listen::Tcp(address) | Listen::Tls { address, .. } => Self::bind_tcp(address, tls),
        }
    }

    /// Binds a place to watch at.
    pub(crate) fn bind_monitor(listen: &MonitorListen) -> Result<Self, ListenError> {
        match listen {
            MonitorListen::Unix(path) => Self::bind_unix(path),
            MonitorListen::Tcp(address) => Self::bind_tcp(address, None),
        }
    }

    fn bind_tcp(address: &SocketAddr, tls: Option<Arc<ServerConfig>>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind {
            place: address.to_string(),
            source,
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

    fn bind_unix(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind {
            place: path.display().to_string(),
            source,
        };
        let path = std::path::absolute(path).map_err(failed)?;
        let (Some(directory), Some(_)) = (path.parent(), path.file_name()) else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        create_private_directory(directory)?;
        let (file, socket) = SocketFile::bind(&path).map_err(failed)?;
        Ok(Self {
            bound: Bound::Unix(path),
            socket: Socket::Unix(socket, file),
        })
    }
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
    #[error("could not listen at `{place}`")]
    Bind {
        /// The place.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The directory of the socket is open to others.
    #[error("the directory of the socket cannot be used")]
    Directory(#[from] DirectoryError),
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
