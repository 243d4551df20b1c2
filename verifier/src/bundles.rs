//! Bundles that an earlier run examined by the same policy and the same trust.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use notme_core::object::HashKind;

use crate::{
    cache::{Cache, Context, Filling, Reader, Shelf, Writer},
    judge::{Examined, Judge},
    recall::id_length,
    repository::ObjectId,
};

/// Fewer new ones are examined again sooner than a file is written.
const FEW: usize = 16;
/// The name of a bundle is the SHA-256 of its bytes, whatever the repository's hash.
const ID_LENGTH: usize = id_length(HashKind::Sha256);

/// What was found of bundles, and what is to be kept of this run; that is, when it is dropped.
#[derive(Debug)]
pub(crate) struct Bundles {
    cache: Arc<Cache>,
    context: Context,
    known: Mutex<Shelf>,
    new: Mutex<New>,
}

#[derive(Debug, Default)]
struct New {
    waiting: Vec<(ObjectId, Vec<u8>)>,
    /// The file, once there is enough to write; none where nothing can be.
    filling: Option<Option<Filling>>,
}

impl Bundles {
    pub(crate) fn new((cache, context): (&Arc<Cache>, Context)) -> Self {
        Self {
            cache: Arc::clone(cache),
            context,
            known: Mutex::new(cache.shelf(context, ID_LENGTH)),
            new: Mutex::default(),
        }
    }

    /// Returns what is known of a bundle, or finds it.
    pub(crate) fn once(
        &self,
        judge: &Judge<'_>,
        name: ObjectId,
        examine: impl FnOnce() -> Examined,
    ) -> Examined {
        let entry = lock(&self.known).get(&name).map(<[u8]>::to_vec);
        let known = entry.and_then(|entry| Examined::read(judge, &name, &mut Reader::new(&entry)));
        known.unwrap_or_else(|| {
            let examined = examine();
            let mut to = Writer::default();
            if examined.is_settled() && examined.write(judge, &mut to).is_some() {
                self.keep(name, to.into_bytes());
            }
            examined
        })
    }

    fn keep(&self, name: ObjectId, entry: Vec<u8>) {
        let mut new = lock(&self.new);
        new.waiting.push((name, entry));
        if new.waiting.len() >= FEW {
            let begin = || self.cache.fill(self.context, ID_LENGTH);
            new.filling.get_or_insert_with(begin);
            new.write();
        }
    }
}

impl New {
    fn write(&mut self) {
        let waiting = mem::take(&mut self.waiting);
        if let Some(Some(filling)) = &mut self.filling {
            for (name, entry) in waiting {
                filling.add(name, &entry);
            }
        }
    }
}

impl Drop for Bundles {
    fn drop(&mut self) {
        let new = self.new.get_mut().unwrap_or_else(PoisonError::into_inner);
        new.write();
        if let Some(Some(filling)) = new.filling.take() {
            filling.finish();
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
