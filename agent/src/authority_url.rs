//! Where an authority is.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use notme_core::enrol::EMBEDDED_SCHEME;
use serde::{Deserialize, Serialize};

use crate::authority_address::AuthorityAddress;

/// An authority's name: `unix:/socket`, `https://…`, `http://…` on this machine, or
/// `embedded:/home/of/it` for this user's own, whose socket is told apart from it.
///
/// The text is what proofs of possession bind, so it is kept as written, but for a slash at the
/// end.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct AuthorityUrl {
    text: String,
    place: Place,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Place {
    Web,
    Socket(PathBuf),
    Embedded,
}

impl AuthorityUrl {
    /// Returns the address of a unix socket.
    ///
    /// # Errors
    /// [`AuthorityUrlError`] when the path is relative or not UTF-8.
    pub fn of_socket(path: &Path) -> Result<Self, AuthorityUrlError> {
        let path = path.to_str().ok_or(AuthorityUrlError::Socket)?;
        format!("{SOCKET_SCHEME}{path}").parse()
    }

    /// Returns the name of the embedded authority that keeps itself in a directory.
    ///
    /// It does not name the socket: that is in a directory which is another for every login, and
    /// configurations and proofs outlive those.
    ///
    /// # Errors
    /// [`AuthorityUrlError`] when the path is relative or not UTF-8.
    pub fn embedded(home: &Path) -> Result<Self, AuthorityUrlError> {
        let path = home.to_str().ok_or(AuthorityUrlError::Socket)?;
        format!("{EMBEDDED_SCHEME}{path}").parse()
    }

    /// Returns the address: an embedded authority is at `embedded_socket`, any other where its
    /// URL says.
    pub fn at(&self, embedded_socket: &Path) -> AuthorityAddress {
        AuthorityAddress::new(self.clone(), embedded_socket)
    }

    /// Tells whether it is this user's own authority.
    pub fn is_embedded(&self) -> bool {
        self.place == Place::Embedded
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host that a web address names.
    pub fn host(&self) -> Option<String> {
        let url: reqwest::Url = self.text.parse().ok()?;
        url.host_str().map(str::to_owned)
    }

    /// Returns the socket when the URL names one.
    pub fn socket(&self) -> Option<&Path> {
        match &self.place {
            Place::Socket(path) => Some(path),
            Place::Web | Place::Embedded => None,
        }
    }

    /// Tells whether the authority is on a unix socket, where a user id can speak for itself.
    pub(crate) fn is_local(&self) -> bool {
        match self.place {
            Place::Socket(_) | Place::Embedded => true,
            Place::Web => false,
        }
    }

    /// Returns the HTTP URL of a path, which begins with a slash.
    pub(crate) fn join(&self, path: &str) -> String {
        let base = match self.place {
            Place::Socket(_) | Place::Embedded => "http://localhost",
            Place::Web => &self.text,
        };
        format!("{base}{path}")
    }
}

impl fmt::Display for AuthorityUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for AuthorityUrl {
    type Err = AuthorityUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LENGTH_LIMIT || text.contains(|c: char| c.is_control()) {
            return Err(AuthorityUrlError::Malformed);
        }
        let local = |path: &str, place| match path.starts_with('/') && !path.ends_with('/') {
            true => Ok(Self {
                text: text.to_owned(),
                place,
            }),
            false => Err(AuthorityUrlError::Socket),
        };
        if let Some(path) = text.strip_prefix(SOCKET_SCHEME) {
            return local(path, Place::Socket(path.into()));
        }
        if let Some(path) = text.strip_prefix(EMBEDDED_SCHEME) {
            return local(path, Place::Embedded);
        }
        let text = text.trim_end_matches('/');
        let url: reqwest::Url = text.parse().map_err(|_| AuthorityUrlError::Malformed)?;
        let host = url.host_str().ok_or(AuthorityUrlError::Malformed)?;
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(AuthorityUrlError::Parts);
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" => return Err(AuthorityUrlError::Unprotected),
            _ => return Err(AuthorityUrlError::Scheme),
        }
        Ok(Self {
            text: text.to_owned(),
            place: Place::Web,
        })
    }
}

impl TryFrom<String> for AuthorityUrl {
    type Error = AuthorityUrlError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AuthorityUrl> for String {
    fn from(url: AuthorityUrl) -> Self {
        url.text
    }
}

/// The text is not the address of an authority.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuthorityUrlError {
    /// Not a URL.
    #[error("the authority is not a URL")]
    Malformed,
    /// `unix:` or `embedded:` without an absolute path.
    #[error("`unix:` needs the absolute path of a socket, `embedded:` that of a directory")]
    Socket,
    /// Credentials, a query or a fragment.
    #[error("the authority's URL has credentials, a query or a fragment")]
    Parts,
    /// Another scheme.
    #[error("the authority's URL is none of unix:, embedded:, https:// and http://")]
    Scheme,
    /// Plain HTTP across a network.
    #[error("plain http:// is for this machine only; use https://")]
    Unprotected,
}

const SOCKET_SCHEME: &str = "unix:";
const LENGTH_LIMIT: usize = 4096;

/// Tells whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AuthorityUrl, AuthorityUrlError> {
        text.parse()
    }

    #[test]
    fn reads_the_four_kinds() {
        let url = parse("embedded:/home/alice/authority").unwrap();
        assert_eq!(
            AuthorityUrl::embedded(Path::new("/home/alice/authority")),
            Ok(url.clone())
        );
        assert_eq!((url.is_embedded(), url.socket()), (true, None));
        assert_eq!(url.join("/health"), "http://localhost/health");
        let url = parse("unix:/run/notme/authority.sock").unwrap();
        assert_eq!(url.socket(), Some(Path::new("/run/notme/authority.sock")));
        assert_eq!(url.join("/health"), "http://localhost/health");
        let url = parse("https://auth.example/identity/").unwrap();
        assert_eq!(url.as_str(), "https://auth.example/identity");
        assert_eq!(url.join("/health"), "https://auth.example/identity/health");
        for local in [
            "http://127.0.0.1:80",
            "http://[::1]:8080",
            "http://localhost:1",
        ] {
            assert_eq!(parse(local).unwrap().as_str(), local);
        }
    }

    #[test]
    fn refuses_plain_http_across_a_network() {
        for remote in [
            "http://auth.example",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
        ] {
            assert_eq!(
                parse(remote),
                Err(AuthorityUrlError::Unprotected),
                "{remote}"
            );
        }
    }

    #[test]
    fn refuses_what_is_not_an_address() {
        for (text, error) in [
            ("", AuthorityUrlError::Malformed),
            ("auth.example", AuthorityUrlError::Malformed),
            ("https://a\nb", AuthorityUrlError::Malformed),
            ("unix:", AuthorityUrlError::Socket),
            ("unix:relative.sock", AuthorityUrlError::Socket),
            ("unix:/directory/", AuthorityUrlError::Socket),
            ("embedded:", AuthorityUrlError::Socket),
            ("embedded:relative", AuthorityUrlError::Socket),
            ("https://user:secret@auth.example", AuthorityUrlError::Parts),
            ("https://auth.example?x", AuthorityUrlError::Parts),
            ("https://auth.example/#x", AuthorityUrlError::Parts),
            ("ftp://auth.example", AuthorityUrlError::Scheme),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
