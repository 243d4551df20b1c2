//! What a session may do.

use std::{collections::BTreeSet, fmt, str::FromStr};

use notme_core::enrol::{SCOPE_BRIDGE, SCOPE_SIGN_ATTESTATION, SCOPE_SIGN_GIT, SCOPE_SSH_LOGIN};

/// One right a certificate can carry; the list is closed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// `bridgeCert`: identify over mutual TLS.
    BridgeCert,
    /// `sign:git`: sign git objects.
    SignGit,
    /// `sign:attestation`: sign statements about work.
    SignAttestation,
    /// `ssh:login`: log in by SSH, where a server trusts the authority. Never granted unasked.
    SshLogin,
}

impl Scope {
    /// Every scope, in the order certificates list them.
    pub const ALL: [Self; 4] = [
        Self::BridgeCert,
        Self::SignGit,
        Self::SignAttestation,
        Self::SshLogin,
    ];

    /// Returns the name that certificates carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BridgeCert => SCOPE_BRIDGE,
            Self::SignGit => SCOPE_SIGN_GIT,
            Self::SignAttestation => SCOPE_SIGN_ATTESTATION,
            Self::SshLogin => SCOPE_SSH_LOGIN,
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == name)
            .ok_or(ScopeError::Unknown)
    }
}

/// At least one scope, each once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Returns every scope there is.
    pub fn all() -> Self {
        Self(Scope::ALL.into_iter().collect())
    }

    /// Reads scope names.
    ///
    /// # Errors
    /// [`ScopeError::Unknown`] for a name that is none, [`ScopeError::Empty`] without any.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let scopes = names
            .into_iter()
            .map(str::parse)
            .collect::<Result<BTreeSet<_>, _>>()?;
        Self(scopes).or_empty()
    }

    /// Returns these scopes.
    ///
    /// # Errors
    /// [`ScopeError::Empty`] when there are none.
    pub(crate) fn of(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, ScopeError> {
        Self(scopes.into_iter().collect()).or_empty()
    }

    /// Returns one scope alone.
    pub(crate) fn only(scope: Scope) -> Self {
        Self(BTreeSet::from([scope]))
    }

    /// Tells whether the scope is among these.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Returns those of these scopes that `granted` has too.
    ///
    /// # Errors
    /// [`ScopeError::Empty`] when none is left.
    pub fn within(&self, granted: &Self) -> Result<Self, ScopeError> {
        Self(self.0.intersection(&granted.0).copied().collect()).or_empty()
    }

    /// Returns those of these scopes that a session gets without asking.
    ///
    /// # Errors
    /// [`ScopeError::Empty`] when none is left.
    pub fn unasked(mut self) -> Result<Self, ScopeError> {
        self.0.remove(&Scope::SshLogin);
        self.or_empty()
    }

    /// Returns the names, in the order certificates list them.
    pub fn names(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .collect()
    }

    fn or_empty(self) -> Result<Self, ScopeError> {
        if self.0.is_empty() {
            return Err(ScopeError::Empty);
        }
        Ok(self)
    }
}

impl FromStr for Scopes {
    type Err = ScopeError;

    /// Reads names separated by commas or spaces.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_names(text.split([',', ' ']).filter(|name| !name.is_empty()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}

/// Why a list of scopes cannot be granted.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScopeError {
    /// No scope at all.
    #[error("at least one scope is needed")]
    Empty,
    /// A name outside the closed list.
    #[error("scopes are `bridgeCert`, `sign:git`, `sign:attestation` and `ssh:login`")]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        let scopes: Scopes = "sign:git,bridgeCert,sign:git".parse().unwrap();
        assert_eq!(scopes.to_string(), "bridgeCert sign:git");
        assert_eq!(scopes.to_string().parse::<Scopes>().unwrap(), scopes);
    }

    #[test]
    fn logging_in_is_never_granted_unasked() {
        let unasked = Scopes::all().unasked().unwrap();
        assert!(!unasked.contains(Scope::SshLogin));
        assert_eq!(unasked.names(), notme_core::enrol::DEFAULT_SCOPES);
        let only: Scopes = "ssh:login".parse().unwrap();
        assert_eq!(only.unasked(), Err(ScopeError::Empty));
    }

    #[test]
    fn refuses_unknown_and_empty_lists() {
        assert_eq!("sign:*".parse::<Scopes>(), Err(ScopeError::Unknown));
        assert_eq!(" ,".parse::<Scopes>(), Err(ScopeError::Empty));
    }

    #[test]
    fn never_grants_more_than_was_granted() {
        let granted: Scopes = "sign:git".parse().unwrap();
        assert_eq!(Scopes::all().within(&granted).unwrap(), granted);
        let other: Scopes = "bridgeCert".parse().unwrap();
        assert_eq!(other.within(&granted), Err(ScopeError::Empty));
    }
}
