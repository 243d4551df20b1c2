//! Who: identities and agent names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest identity we accept, in bytes.
const IDENTITY_MAX: usize = 1024;
/// The longest agent name, in bytes.
const AGENT_NAME_MAX: usize = 64;

/// The longest host name there is.
const HOST_MAX: usize = 253;
const PORT_DIGITS_MAX: usize = 5;

/// An identity: one absolute URI, compared as a whole. One by `mailto:` is of a single plain address
/// ([`is_address`]): what else such a URI may hold would fit patterns that mean others.
///
/// It is opaque. Nothing splits it, and nothing derives it from a certificate's subject DN.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identity(String);

impl Identity {
    /// Builds the identity of an agent: `wimse://<trust domain>/agent/<principal>/<name>`.
    ///
    /// # Errors
    /// [`IdentityError`] when the trust domain is none ([`is_trust_domain`]), or the principal
    /// holds anything beyond letters, digits, `.`, `_` and `-`.
    pub fn agent(
        trust_domain: &str,
        principal: &str,
        agent: &AgentName,
    ) -> Result<Self, IdentityError> {
        if !is_trust_domain(trust_domain) || !is_segment(principal) {
            return Err(IdentityError);
        }
        Self::try_from(format!("wimse://{trust_domain}/agent/{principal}/{agent}"))
    }

    /// Returns the URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Identity {
    type Error = IdentityError;

    fn try_from(uri: String) -> Result<Self, Self::Error> {
        let printable = uri.bytes().all(|b| b.is_ascii_graphic());
        let (scheme, rest) = uri.split_once(':').unwrap_or_default();
        let is_mail = scheme.eq_ignore_ascii_case("mailto");
        if !is_absolute(&uri)
            || !printable
            || uri.len() > IDENTITY_MAX
            || (is_mail && !is_address(rest))
        {
            return Err(IdentityError);
        }
        Ok(Self(uri))
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> Self {
        identity.0
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        Self::try_from(uri.to_owned())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells whether a text is a mail address that stands in a `mailto:` URI as it is: with nothing in it
/// that would be quoted, or would be read as more than the address there (RFC 6068).
pub fn is_address(text: &str) -> bool {
    let is_plain = |part: &str| {
        let is_fine = |byte: u8| byte.is_ascii_graphic() && !b"<>()[]\\,;:\"@/%?#".contains(&byte);
        !part.is_empty() && part.bytes().all(is_fine)
    };
    text.split_once('@')
        .is_some_and(|(local, domain)| is_plain(local) && is_plain(domain))
}

/// Tells whether a text is an absolute URI by its scheme and its characters (RFC 3986).
pub fn is_uri(text: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    is_absolute(text) && text.bytes().all(is_allowed)
}

fn is_absolute(uri: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    uri.split_once(':')
        .is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
}

/// Tells whether a text can be the first segment of identities: a host, and a port after `:` if
/// need be. It holds nothing that ends the segment, and nothing that a pattern could match with.
pub fn is_trust_domain(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_port = |port: &str| {
        (1..=PORT_DIGITS_MAX).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit())
    };
    is_segment(host) && host.len() <= HOST_MAX && port.is_none_or(is_port)
}

fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// The text is not an absolute URI of at most 1024 printable ASCII characters.
#[derive(Debug, thiserror::Error)]
#[error("an identity is an absolute URI of at most {IDENTITY_MAX} printable ASCII characters")]
pub struct IdentityError;

/// The short name of an agent: `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentName(String);

impl AgentName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AgentName {
    type Error = AgentNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let well_formed =
            name.starts_with(is_plain) && name.chars().all(|c| is_plain(c) || "._-".contains(c));
        if !well_formed || name.len() > AGENT_NAME_MAX {
            return Err(AgentNameError);
        }
        Ok(Self(name))
    }
}

impl From<AgentName> for String {
    fn from(name: AgentName) -> Self {
        name.0
    }
}

impl FromStr for AgentName {
    type Err = AgentNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(name.to_owned())
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not an agent name.
#[derive(Debug, thiserror::Error)]
#[error(
    "an agent name is 1 to {AGENT_NAME_MAX} lower-case letters, digits, `.`, `_` or `-`, starting with a letter or digit"
)]
pub struct AgentNameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_the_agent_identity() {
        let name = "claude".parse().unwrap();
        let identity = Identity::agent("localhost:8788", "alice", &name).unwrap();
        assert_eq!(
            identity.as_str(),
            "wimse://localhost:8788/agent/alice/claude"
        );
    }

    #[test]
    fn refuses_identities_that_are_no_uri() {
        for bad in [
            "",
            "claude",
            ":x",
            "1a:b",
            "a:",
            "wimse://a b",
            "wimse://a\nb",
            "wimse://ä",
            // More than an address.
            "mailto:eve@example.com?cc=a@example.org",
            "mailto:eve@example.com,a@example.org",
            "MAILTO:eve%40example.com@example.org",
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad:?}");
        }
        assert!(
            format!("a:{}", "b".repeat(1023))
                .parse::<Identity>()
                .is_err()
        );
    }

    #[test]
    fn refuses_segments_that_would_move_the_boundary() {
        let name: AgentName = "claude".parse().unwrap();
        for (domain, principal) in [
            ("a/b", "c"),
            ("a", "b/c"),
            ("", "b"),
            ("a", ""),
            ("a", "b:c"),
            ("*", "b"),
            ("a:*", "b"),
            ("a:", "b"),
            (":1", "b"),
            ("a:1:2", "b"),
            ("a:port", "b"),
        ] {
            assert!(Identity::agent(domain, principal, &name).is_err());
        }
    }

    #[test]
    fn refuses_agent_names_outside_the_grammar() {
        for bad in ["", "-a", ".a", "A", "a/b", "a b", "ä"] {
            assert!(bad.parse::<AgentName>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(65).parse::<AgentName>().is_err());
        assert!("claude-4.1_x".parse::<AgentName>().is_ok());
    }
}
