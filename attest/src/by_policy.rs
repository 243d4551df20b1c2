//! What the statements of a repository are worth to each policy that asks: a repository's own may have
//! changed on the way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use notme_core::time::UnixTime;
use notme_verifier::{
    Cache, Judge, Policy, Trust,
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
    cache: Option<Arc<Cache>>,
    /// By the digest of the policy.
    known: Mutex<HashMap<String, Arc<Attestations<'static>>>>,
}

impl<'t> ByPolicy<'t> {
    /// Prepares to judge at `now`.
    pub fn new(store: Store, trust: &'t Trust, now: UnixTime) -> Self {
        Self {
            store: store.with_view(),
            trust,
            now,
            cache: None,
            known: Mutex::default(),
        }
    }

    /// Has it keep what was found of bundles, and look there first.
    #[must_use]
    pub fn remembering(self, cache: Option<Arc<Cache>>) -> Self {
        Self { cache, ..self }
    }

    /// Returns the statements as a policy for commits has them judged.
    pub fn of(&self, policy: &Policy) -> Arc<Attestations<'static>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let judged = known.entry(policy.digest()).or_insert_with(|| {
            let policy = Arc::new(policy.of_statements(self.trust));
            let judge = Judge::sharing(policy, self.trust, self.now);
            let judge = judge.remembering(self.cache.clone());
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
