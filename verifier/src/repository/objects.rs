//! The object stores of a repository.

use std::{fmt, io, path::Path};

use gix::{
    ObjectId,
    objs::{Data, Exists as _, Find, Kind},
    odb::Header as _,
    oid,
};

use super::recent_deltas::RecentDeltas;

/// Object stores, asked one after the other: the repository's own, or those that git names while
/// it receives a push and keeps the new objects apart.
#[derive(Clone)]
pub(crate) struct Objects {
    first: gix::OdbHandle,
    others: Vec<gix::OdbHandle>,
}

impl Objects {
    pub(super) fn new(first: gix::OdbHandle) -> Self {
        Self {
            first: tuned(first),
            others: Vec::new(),
        }
    }

    /// Opens the store in a directory, and those that its list of alternates names.
    pub(super) fn at(directory: &Path, hash: gix::hash::Kind) -> io::Result<Self> {
        Ok(Self::new(open(directory, hash)?))
    }

    /// Adds a store, which is asked when those before do not have an object.
    pub(super) fn add(&mut self, directory: &Path, hash: gix::hash::Kind) -> io::Result<()> {
        self.others.push(tuned(open(directory, hash)?));
        Ok(())
    }

    /// Returns what an object is and how long; `None` when it is not there or cannot be read.
    pub(super) fn header(&self, id: &oid) -> Option<(Kind, u64)> {
        let header = self.holder(id).try_header(id).ok().flatten()?;
        Some((header.kind(), header.size()))
    }

    /// Returns what an object is; `None` when it is not there or cannot be read.
    pub(super) fn kind(&self, id: ObjectId) -> Option<Kind> {
        Some(self.header(&id)?.0)
    }

    /// Tells whether an object is there.
    pub(super) fn has(&self, id: &oid) -> bool {
        self.holder(id).exists(id)
    }

    /// Returns how long an object is; `None` when it is not there or cannot be read.
    pub(super) fn size(&self, id: ObjectId) -> Option<u64> {
        Some(self.header(&id)?.1)
    }

    /// Returns the store that has an object, or one that will say that it is missing.
    fn holder(&self, id: &oid) -> &gix::OdbHandle {
        // Most often there is one store, which need not be asked twice.
        if self.others.is_empty() || self.first.exists(id) {
            return &self.first;
        }
        let other = self.others.iter().find(|store| store.exists(id));
        other.unwrap_or(&self.first)
    }
}

impl Find for Objects {
    fn try_find<'a>(&self, id: &oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        self.holder(id).try_find(id, buffer)
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("stores", &(self.others.len() + 1))
            .finish_non_exhaustive()
    }
}

fn open(directory: &Path, hash: gix::hash::Kind) -> io::Result<gix::OdbHandle> {
    Ok(gix::odb::at(directory, hash)?.into())
}

fn tuned(mut store: gix::OdbHandle) -> gix::OdbHandle {
    store.ignore_replacements = true;
    // An object that is missing is missing: looking for new packs each time finds nothing.
    store.refresh_never();
    store.set_pack_cache(|| Box::new(RecentDeltas::new()));
    store
}
