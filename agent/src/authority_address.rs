//! An authority's name, and the way there.

use std::path::{Path, PathBuf};

use crate::authority_url::AuthorityUrl;

/// An authority and where it is reached.
///
/// For most the URL says both. The embedded one has a name that stays the same, while its socket
/// is wherever the programs of this user agree at the moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthorityAddress {
    url: AuthorityUrl,
    embedded_socket: Option<PathBuf>,
}

impl AuthorityAddress {
    pub(crate) fn new(url: AuthorityUrl, embedded_socket: &Path) -> Self {
        Self {
            embedded_socket: Some(embedded_socket.to_owned()),
            url,
        }
    }

    /// Returns the URL: what proofs bind.
    pub fn url(&self) -> &AuthorityUrl {
        &self.url
    }

    /// Returns the socket, when the authority is on one that is known.
    pub(crate) fn socket(&self) -> Option<&Path> {
        if self.url.is_embedded() {
            return self.embedded_socket.as_deref();
        }
        self.url.socket()
    }
}

impl From<AuthorityUrl> for AuthorityAddress {
    /// Takes the URL's word. An embedded authority cannot be reached by its name alone:
    /// [`AuthorityUrl::at`] adds its socket.
    fn from(url: AuthorityUrl) -> Self {
        Self {
            url,
            embedded_socket: None,
        }
    }
}

impl From<&AuthorityUrl> for AuthorityAddress {
    fn from(url: &AuthorityUrl) -> Self {
        url.clone().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> AuthorityUrl {
        text.parse().unwrap()
    }

    #[test]
    fn only_an_embedded_authority_is_where_the_caller_says() {
        let socket = Path::new("/run/a.sock");
        let embedded = url("embedded:/home/alice/authority");
        assert_eq!(embedded.at(socket).socket(), Some(socket));
        assert_eq!(AuthorityAddress::from(&embedded).socket(), None);
        let own = url("unix:/run/b.sock").at(socket);
        assert_eq!(own.socket(), Some(Path::new("/run/b.sock")));
        assert_eq!(url("https://auth.example").at(socket).socket(), None);
    }
}
