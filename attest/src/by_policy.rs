//! What the statements of a repository are worth to each policy that asks: a repository's own may have
//! changed on the way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use notme_core::time::UnixTime;
use notme_verifier::{
    Judge, Policy, Trust,
    stated::{Stated, Statements},
};

use crate::{store::Store, verify::Attestations};

/// The statements of a repository, judged by the authorities of whichever policy asks, at its floors
/// and in its times.
#[derive(Debug)]
pub struct ByPolicy<'t> {
    store: Store,
    trust: &'t Trust,
    now: UnixTime,
    /// By the digest of the policy.
    known: Mutex<HashMap<String, Arc<Attestations<'static>>>>,
}

impl<'t> ByPolicy<'t> {
    /// Prepares to judge at `now`.
    pub fn new(store: Store, trust: &'t Trust, now: UnixTime) -> Self {
        let known = Mutex::default();
        Self {
            store,
            trust,
            now,
            known,
        }
    }

    /// Returns the statements as a policy for commits has them judged.
    pub fn of(&self, policy: &Policy) -> Arc<Attestations<'static>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let judged = known.entry(policy.digest()).or_insert_with(|| {
            let policy = Arc::new(policy.of_statements(self.trust));
            let judge = Judge::sharing(policy, self.trust, self.now);
            Arc::new(Attestations::owning(self.store.clone(), judge))
        });
        Arc::clone(judged)
    }
}

impl Statements for ByPolicy<'_> {
    fn about(&self, commit: &str, policy: &Policy) -> Result<Vec<Stated>, String> {
        self.of(policy).about(commit)
    }
}
