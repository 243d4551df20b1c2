//! Where a PostgreSQL database is, and how it is reached.

use std::{fmt, io, net::IpAddr, path::PathBuf};

use rustls::pki_types::{CertificateDer, pem, pem::PemObject as _};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

use super::{connection::KEEPALIVE, tls::Tls};
use crate::store::StoreError;

/// Where a PostgreSQL database is: `postgres://user@host/database?…`. The password in it is never
/// shown.
///
/// Over TCP, to another machine, the server needs a certificate that an authority in the file
/// `sslrootcert` issued for its name; only `sslmode=disable` goes without.
#[derive(Clone)]
pub struct PostgresUrl {
    config: Box<Config>,
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
        let (mut mode, mut roots, mut others) = (None, None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("password", _) => return Err(PostgresUrlError::PasswordParameter),
                ("sslmode", value) => mode = Some(value),
                ("sslrootcert", value) => roots = Some(PathBuf::from(value)),
                _ => others.push(parameter),
            }
        }
        let mut config: Config = format!("postgres://{place}?{}", others.join("&"))
            .parse()
            .map_err(PostgresUrlError::Malformed)?;
        if config.get_hosts().is_empty() {
            return Err(PostgresUrlError::HostMissing);
        }
        let is_secured = match mode {
            Some("verify-full" | "require") => true,
            Some("disable") => false,
            None => {
                let is_local = config.get_hosts().iter().all(is_here)
                    && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
                roots.is_some() || !is_local
            }
            Some(_) => return Err(PostgresUrlError::Mode),
        };
        if is_secured && roots.is_none() {
            return Err(PostgresUrlError::RootsMissing);
        }
        config.ssl_mode(match is_secured {
            true => SslMode::Require,
            false => SslMode::Disable,
        });
        config.keepalives_idle(KEEPALIVE);
        config.application_name("notme-authority");
        let shown = user.map_or_else(String::new, |user| match user.split_once(':') {
            Some((name, _)) => format!("{name}:[hidden]@"),
            None => format!("{user}@"),
        });
        let parameters = if query.is_empty() { "" } else { "?" };
        Ok(Self {
            config: Box::new(config),
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

/// Tells whether nothing between us and the server is anybody else's.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
    }
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
    pub(super) config: Config,
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
    /// The password stands where no program would look for one that is to be hidden.
    #[error("the password of the store stands before the `@`, or in a file")]
    PasswordParameter,
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
