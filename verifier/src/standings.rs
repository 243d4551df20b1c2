//! The standing of each certificate, found once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use notme_core::{certificate::Certificate, key::sha256};

use crate::{
    anchor::Anchors,
    standing::{Purpose, Standing},
};

/// What is known about the certificates met so far: a session certificate signs many commits,
/// and its chain is the same each time.
///
/// The key covers every certificate of the message, the leaf first: with other intermediates the
/// same leaf may lead elsewhere. Bounded: a full shard starts over, which costs time and changes
/// no answer.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    shards: [Mutex<HashMap<Key, Arc<Standing>>>; SHARDS],
}

type Key = [u8; 32];

impl Standings {
    /// Returns the standing of a certificate that signed a git object and came with others.
    pub(crate) fn of(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        anchors: &Anchors,
    ) -> Arc<Standing> {
        self.get_or_find(key(leaf, others), || {
            Standing::find(leaf, others, anchors, Purpose::Git)
        })
    }

    /// Returns what was found before under a digest of everything that it depends on, or finds
    /// it.
    pub(crate) fn get_or_find(&self, key: Key, find: impl Fn() -> Standing) -> Arc<Standing> {
        let find = || Arc::new(find());
        let [first, ..] = key;
        let Some(shard) = self.shards.get(usize::from(first) % SHARDS) else {
            return find();
        };
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Arc::clone(known);
        }
        // Not under the lock: two threads may find the same, and find it the same.
        let found = find();
        let mut known = lock();
        if known.len() >= SHARD_MAX {
            known.clear();
        }
        known.insert(key, Arc::clone(&found));
        found
    }
}

fn key(leaf: &Certificate, others: &[Certificate]) -> Key {
    if others.is_empty() {
        return leaf.sha256();
    }
    let digests = [leaf].into_iter().chain(others).map(Certificate::sha256);
    sha256(&digests.flatten().collect::<Vec<_>>())
}

const SHARDS: usize = 16;
const SHARD_MAX: usize = 256;
