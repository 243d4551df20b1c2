//! What every verdict needs: trust, policy, and the time of the person asking.

use std::{path::Path, time::SystemTime};

use notme_core::time::UnixTime;
use notme_verifier::{
    Judge, Policy, Trust,
    load::{self, TrustStore},
};

use crate::{
    failure::{Failure, open_file},
    home::Home,
};

/// Trust and policy as they are on disk, at one moment.
pub(crate) struct Grounds {
    trust: Trust,
    policy: Policy,
    now: UnixTime,
}

impl Grounds {
    /// Reads the trust store and the policy that somebody gives now, which may be a pipe; without one
    /// it is the trust store's own.
    ///
    /// # Errors
    /// [`Failure`] when the policy cannot be read; nothing can be decided then.
    pub(crate) fn load(
        home: &Home,
        trust: Option<&Path>,
        policy: Option<&Path>,
    ) -> Result<Self, Failure> {
        let now = now();
        let trust = store(home, trust).load(now);
        let policy = match policy {
            Some(file) => load::policy_from(file, open_file(file)?)?,
            None => Policy::from_trust(&trust),
        };
        Ok(Self { trust, policy, now })
    }

    /// Takes another policy.
    pub(crate) fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Returns the time of the person asking.
    pub(crate) fn now(&self) -> UnixTime {
        self.now
    }

    /// Prepares to judge.
    pub(crate) fn judge(&self) -> Judge<'_> {
        Judge::new(&self.policy, &self.trust, self.now)
    }

    /// Returns the policy that statements are judged by where nobody else asks for them.
    pub(crate) fn of_statements(&self) -> Policy {
        self.policy.of_statements(&self.trust)
    }

    /// Returns the policy.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the trust that was read.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }
}

/// Returns the trust store of a directory, or the user's.
pub(crate) fn store(home: &Home, directory: Option<&Path>) -> TrustStore {
    match directory {
        Some(directory) => TrustStore::read_only(directory),
        None => TrustStore::new(home.trust(), home.trust_state()),
    }
}

/// Returns the time of the person asking.
pub(crate) fn now() -> UnixTime {
    UnixTime::from(SystemTime::now())
}
