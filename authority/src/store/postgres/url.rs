//! Where a PostgreSQL database is, and how it is reached.

use std::{ffi::OsString, fmt, io, net::IpAddr, os::unix::ffi::OsStringExt as _, path::PathBuf};

use notme_core::hex;
use rustls::pki_types::{CertificateDer, pem, pem::PemObject as _};
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

use super::{
    connection::{KEEPALIVE, KEEPALIVE_AGAIN, KEEPALIVES_MAX, Server},
    tls::Tls,
};
use crate::store::StoreError;

/// Where a PostgreSQL database is: `postgres://user@host/database?…`. The password in it is never
/// shown.
///
/// Over TCP, to another machine, the server needs a certificate that an authority in the file
/// `sslrootcert` issued for its name; only `sslmode=disable` goes without. A server that only reads
/// is none, unless `target_session_attrs` says so: a standby knows of a revocation later than we do.
#[derive(Clone)]
pub struct PostgresUrl {
    /// Without the servers.
    config: Box<Config>,
    servers: Vec<Server>,
    roots: Option<PathBuf>,
    shown: String,
}

impl PostgresUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`PostgresUrlError`]. It repeats nothing of the URL.
    pub fn parse(text: &str) -> Result<Self, PostgresUrlError> {
        let rest = ["postgres://", "postgresql://"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(PostgresUrlError::Scheme)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (user, host) = match place.split_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, place),
        };
        // What a password holds unescaped would be read as another part, and shown.
        let is_torn = host.contains('@') || query.contains('@');
        if is_torn || user.is_some_and(|user| user.contains('/')) {
            return Err(PostgresUrlError::Unescaped);
        }
        // What libpq refuses, wherever it stands.
        decoded(text)?;
        let (mut mode, mut roots, mut may_read_only) = (None, None, false);
        let (mut places, mut others) = (Vec::new(), Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                (name, _) if name.contains('%') => return Err(PostgresUrlError::NameEncoded),
                ("password", _) => return Err(PostgresUrlError::PasswordParameter),
                ("sslmode", value) => mode = Some(decoded(value)?),
                ("sslrootcert", value) => {
                    roots = Some(PathBuf::from(OsString::from_vec(decoded(value)?)));
                }
                ("host" | "hostaddr" | "port", _) => places.push(parameter),
                (name, _) => {
                    may_read_only |= name == "target_session_attrs";
                    others.push(parameter);
                }
            }
        }
        let parse = |text: String| -> Result<Config, _> {
            text.parse().map_err(PostgresUrlError::Malformed)
        };
        let servers = Server::all(&parse(format!("postgres://{place}?{}", places.join("&")))?)?;
        let (_, database) = host.split_once('/').unwrap_or((host, ""));
        let who = place.strip_suffix(host).unwrap_or_default();
        let others = others.join("&");
        let mut config = parse(format!("postgres://{who}/{database}?{others}"))?;
        let is_secured = match mode.as_deref() {
            Some(b"verify-full" | b"require") => true,
            Some(b"disable") => false,
            None => roots.is_some() || !servers.iter().all(Server::is_here),
            Some(_) => return Err(PostgresUrlError::Mode),
        };
        if is_secured && roots.is_none() {
            return Err(PostgresUrlError::RootsMissing);
        }
        config.ssl_mode(match is_secured {
            true => SslMode::Require,
            false => SslMode::Disable,
        });
        if !may_read_only {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE_AGAIN)
            .keepalives_retries(KEEPALIVES_MAX);
        config.application_name("notme-authority");
        let shown = user.map_or_else(String::new, |user| match user.split_once(':') {
            Some((name, _)) => format!("{name}:[hidden]@"),
            None => format!("{user}@"),
        });
        let parameters = if query.is_empty() { "" } else { "?" };
        Ok(Self {
            config: Box::new(config),
            servers,
            roots: roots.filter(|_| is_secured),
            shown: format!("postgres://{shown}{host}{parameters}{query}"),
        })
    }

    /// Tells whether a password is in it.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Adds a password that is kept elsewhere.
    #[must_use]
    pub fn with_password(mut self, password: &[u8]) -> Self {
        self.config.password(password);
        self
    }
}

impl Server {
    /// Returns those that a URL names.
    fn all(named: &Config) -> Result<Vec<Self>, PostgresUrlError> {
        let hosts = named.get_hosts();
        let (addresses, ports) = (named.get_hostaddrs(), named.get_ports());
        if hosts.is_empty() {
            return Err(PostgresUrlError::HostMissing);
        }
        let are_as_many = addresses.is_empty() || addresses.len() == hosts.len();
        if !are_as_many || (ports.len() > 1 && ports.len() != hosts.len()) {
            return Err(PostgresUrlError::Places);
        }
        let port = |at: usize| ports.get(at).or(ports.first()).copied();
        let hosts = hosts.iter().enumerate().map(|(at, host)| Self {
            host: host.clone(),
            address: addresses.get(at).copied(),
            port: port(at).unwrap_or(PORT),
        });
        Ok(hosts.collect())
    }

    /// Tells whether nothing between us and the server is anybody else's.
    fn is_here(&self) -> bool {
        let is_loopback = |name: &str| name.parse().is_ok_and(|it: IpAddr| it.is_loopback());
        let is_named_so = match &self.host {
            Host::Unix(_) => true,
            Host::Tcp(name) => name == "localhost" || is_loopback(name),
        };
        is_named_so && self.address.is_none_or(|it| it.is_loopback())
    }
}

/// Reads percent-encoded text as libpq does.
fn decoded(text: &str) -> Result<Vec<u8>, PostgresUrlError> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or(PostgresUrlError::Percent)?;
        match hex::decode_array(&digits.to_ascii_lowercase()) {
            Some([0]) | None => return Err(PostgresUrlError::Percent),
            Some([byte]) => bytes.push(byte),
        }
        bytes.extend_from_slice(rest.as_bytes());
    }
    Ok(bytes)
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresUrl").field(&self.shown).finish()
    }
}

/// How a server is reached, with the roots of its certificate read.
pub(super) struct Secured {
    /// Without the servers.
    pub(super) config: Config,
    pub(super) servers: Vec<Server>,
    pub(super) tls: Option<Tls>,
}

impl Secured {
    pub(super) fn of(url: &PostgresUrl) -> Result<Self, StoreError> {
        let tls = match &url.roots {
            None => None,
            Some(path) => {
                let failed = |source| StoreError::File {
                    path: path.clone(),
                    source,
                };
                let invalid = |error: &dyn fmt::Display| {
                    failed(io::Error::new(
                        io::ErrorKind::InvalidData,
                        error.to_string(),
                    ))
                };
                let roots = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
                let roots: Vec<_> = roots.map_err(|error| match error {
                    pem::Error::Io(error) => failed(error),
                    error => invalid(&error),
                })?;
                Some(Tls::trusting(roots).map_err(|error| invalid(&error))?)
            }
        };
        Ok(Self {
            config: Config::clone(&url.config),
            servers: url.servers.clone(),
            tls,
        })
    }
}

/// A text is no URL of a database that we would go to.
#[derive(Debug, thiserror::Error)]
pub enum PostgresUrlError {
    /// It does not say where the server is.
    #[error(
        "the URL of the store names no host; a unix socket is `postgres:///DATABASE?host=/DIRECTORY`"
    )]
    HostMissing,
    /// The library does not understand it.
    #[error("the URL of the store is malformed")]
    Malformed(#[source] tokio_postgres::Error),
    /// A mode that lets anybody be the server.
    #[error("`sslmode` of the store is `verify-full`, `require` (the same here) or `disable`")]
    Mode,
    /// The name of a parameter is encoded: it could be one that we look for.
    #[error("names of parameters in the URL of the store are written without `%`")]
    NameEncoded,
    /// The password stands where no program would look for one that is to be hidden.
    #[error("the password of the store stands before the `@`, or in a file")]
    PasswordParameter,
    /// What is encoded cannot be decoded.
    #[error(
        "in the URL of the store, `%` stands before two hexadecimal digits that are not `00`, and is itself `%25`"
    )]
    Percent,
    /// It cannot be told which address or port is whose.
    #[error(
        "the URL of the store has as many of `hostaddr` and of ports as it has hosts, or one port"
    )]
    Places,
    /// Nobody says whose certificates are believed.
    #[error(
        "the URL of the store needs `sslrootcert`, the PEM file of the roots to believe, or `sslmode=disable`"
    )]
    RootsMissing,
    /// Another kind of database.
    #[error("the URL of the store begins with `postgres://`")]
    Scheme,
    /// It could be read in two ways.
    #[error("in the URL of the store, `@` and `/` in user and password are `%40` and `%2F`")]
    Unescaped,
}

impl PostgresUrlError {
    /// Returns the code of the error.
    pub const fn code(&self) -> &'static str {
        "authority-store-url"
    }
}

/// Of PostgreSQL, where none is named.
const PORT: u16 = 5432;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        PostgresUrl::parse(text).unwrap().to_string()
    }

    #[test]
    fn shows_no_password() {
        let text = "postgres://notme:s%40cret@localhost:5433/db?target_session_attrs=read-write";
        let url = PostgresUrl::parse(text).unwrap();
        assert!(url.has_password());
        assert_eq!(
            url.to_string(),
            "postgres://notme:[hidden]@localhost:5433/db?target_session_attrs=read-write"
        );
        assert!(!format!("{url:?}").contains("cret"));
        assert_eq!(
            shown("postgresql://u@localhost/d"),
            "postgres://u@localhost/d"
        );
        assert_eq!(
            shown("postgres:///d?host=/run/pg"),
            "postgres:///d?host=/run/pg"
        );
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways_and_repeats_nothing_of_it() {
        for text in [
            "host=localhost password=secret",
            "mysql://u:secret@h/d",
            "postgres://u:secret@x@h/d?sslmode=disable",
            "postgres://u:secret/x@h/d?sslmode=disable",
            "postgres://u:secret?x@localhost/d",
            "postgres://u@h/d?password=secret&sslmode=disable",
            "postgres://u:secret@h/d?sslmode=prefer",
            "postgres://u:secret@h/d?sslmode=disable&unknown=secret",
            "postgres://u:secret@h:secret/d?sslmode=disable",
            "postgres://u:secret@/d",
            "postgres://u@h/d?%70assword=secret&sslmode=disable",
            "postgres://u@h/d?sslmode=disable&%68ost=secret",
            "postgres://u:100%secret@h/d?sslmode=disable",
            "postgres://u:secret%00@h/d?sslmode=disable",
            "postgres://u:secret@h/d?sslmode=disable&sslrootcert=%+f",
            "postgres://u:secret@h/d?sslmode=disable%2",
            "postgres://u:secret@a,b/d?sslmode=disable&hostaddr=127.0.0.1",
            "postgres://u:secret@a,b,c/d?sslmode=disable&port=1",
        ] {
            let error = PostgresUrl::parse(text).unwrap_err();
            let mut said = format!("{error} {error:?}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                said += &error.to_string();
                cause = error.source();
            }
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn values_are_decoded_as_libpq_does() {
        let text = "postgres://u@h/d?sslmode=verify%2Dfull&sslrootcert=%2fetc%2Fdb%20ca%C3%A4+.pem";
        let url = PostgresUrl::parse(text).unwrap();
        assert_eq!(url.roots, Some(PathBuf::from("/etc/db caä+.pem")));
        assert_eq!(url.to_string(), text);
    }

    #[test]
    fn a_server_that_only_reads_is_taken_when_that_is_said() {
        let wanted = |parameters: &str| {
            let url = PostgresUrl::parse(&format!("postgres://u@localhost/d?{parameters}"));
            url.unwrap().config.get_target_session_attrs()
        };
        assert_eq!(wanted(""), TargetSessionAttrs::ReadWrite);
        assert_eq!(wanted("connect_timeout=1"), TargetSessionAttrs::ReadWrite);
        assert_eq!(wanted("target_session_attrs=any"), TargetSessionAttrs::Any);
    }

    #[test]
    fn each_server_has_its_own_address_and_port() {
        let servers = |text: &str| {
            let servers = PostgresUrl::parse(text).unwrap().servers.into_iter();
            let told = servers.map(|it| (it.host, it.address, it.port));
            told.collect::<Vec<_>>()
        };
        let tcp = |name: &str| Host::Tcp(name.to_owned());
        assert_eq!(
            servers("postgres://u@a:1,b/d?sslmode=disable&hostaddr=192.0.2.1,192.0.2.2"),
            [
                (tcp("a"), Some([192, 0, 2, 1].into()), 1),
                (tcp("b"), Some([192, 0, 2, 2].into()), 5432)
            ]
        );
        assert_eq!(
            servers("postgres:///d?host=%2Frun%2Fa&host=/run/b&port=7"),
            [
                (Host::Unix("/run/a".into()), None, 7),
                (Host::Unix("/run/b".into()), None, 7)
            ]
        );
    }

    #[test]
    fn another_machine_is_reached_over_tls() {
        let parse = |text: &str| PostgresUrl::parse(text).map(|url| url.config.get_ssl_mode());
        for text in [
            "postgres://u@db.example/d",
            "postgres://u@db.example/d?sslmode=require",
            "postgres://u@localhost,db.example/d",
            "postgres://u@localhost/d?hostaddr=192.0.2.2",
        ] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, PostgresUrlError::RootsMissing), "{text}");
        }
        for text in [
            "postgres://u@db.example/d?sslrootcert=ca.pem",
            "postgres://u@127.0.0.1/d?sslmode=verify-full&sslrootcert=ca.pem",
        ] {
            assert_eq!(parse(text).unwrap(), SslMode::Require);
        }
        for text in [
            "postgres://u@db.example/d?sslmode=disable",
            "postgres://u@[::1]/d",
            "postgres:///d?host=/run/postgresql",
        ] {
            assert_eq!(parse(text).unwrap(), SslMode::Disable);
        }
    }
}
