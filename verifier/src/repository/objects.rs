//! The object stores of a repository.
//!
//! Every object that is read is compared with its name: a store does not, and nothing must come out of
//! a damaged one, be it a policy or a parent.

use std::{fmt, io, path::Path};

use gix::{
    ObjectId,
    error::{Class, ResourceExhaustionKind},
    objs::{Data, Exists as _, Find, Kind, compute_hash},
    odb::{Header as _, store::init::Options},
    oid,
};

use super::recent_deltas::RecentDeltas;

/// Object stores, asked one after the other: the repository's own, or those that git names while
/// it receives a push and keeps the new objects apart.
#[derive(Clone)]
pub(crate) struct Objects {
    first: Store,
    others: Vec<Store>,
}

/// The longest tree that is read; a real one of a thousand files takes some 40 kilobytes.
pub(super) const TREE_MAX: u64 = 64 << 20;

/// The most room that is made at once to unpack an object. A pack may hold a short one as what it is
/// against one that is endless.
pub(super) const ROOM_MAX: usize = 256 << 20;

/// What is under a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Got {
    /// An object of this kind: its bytes are those that the name stands for.
    Object(Kind),
    /// Other bytes, as such a kind. Stores do not check.
    Damaged(Kind),
    /// What takes more room to unpack than anybody makes.
    TooLarge,
    /// Nothing that can be read.
    Missing,
}

impl Objects {
    pub(super) fn new(first: gix::OdbHandle) -> Self {
        Self {
            first: Store::new(first),
            others: Vec::new(),
        }
    }

    /// Opens the store in a directory, and those that its list of alternates names.
    pub(super) fn at(directory: &Path, hash: gix::hash::Kind) -> io::Result<Self> {
        Ok(Self::new(open_objects(directory, hash)?))
    }

    /// Adds a store, which is asked when those before do not have an object.
    pub(super) fn add(&mut self, directory: &Path, hash: gix::hash::Kind) -> io::Result<()> {
        self.others.push(Store::new(open_objects(directory, hash)?));
        Ok(())
    }

    /// Reads an object into the buffer.
    pub(super) fn get(&self, id: &oid, buffer: &mut Vec<u8>) -> Got {
        self.read(id, buffer)
            .unwrap_or_else(|error| match is_over_limit(&error) {
                true => Got::TooLarge,
                false => Got::Missing,
            })
    }

    fn read(&self, id: &oid, buffer: &mut Vec<u8>) -> gix::Result<Got> {
        let mut found = read(&self.holder(id).seen, id, buffer);
        for store in self.anew() {
            if matches!(found, Ok(Some(_))) {
                break;
            }
            found = read(store, id, buffer);
        }
        Ok(match found? {
            Some(kind) if compute_hash(id.kind(), kind, buffer).is_ok_and(|it| *it == *id) => {
                Got::Object(kind)
            }
            Some(kind) => Got::Damaged(kind),
            None => Got::Missing,
        })
    }

    /// Returns what an object is and how long; `None` when it is not there or cannot be read.
    pub(super) fn header(&self, id: &oid) -> Option<(Kind, u64)> {
        let header = |handle: &gix::OdbHandle| handle.try_header(id).ok().flatten();
        let found = header(&self.holder(id).seen).or_else(|| self.anew().find_map(header))?;
        Some((found.kind(), found.size()))
    }

    /// Returns what an object is; `None` when it is not there or cannot be read.
    pub(super) fn kind(&self, id: ObjectId) -> Option<Kind> {
        Some(self.header(&id)?.0)
    }

    /// Tells whether an object is there.
    pub(super) fn has(&self, id: &oid) -> bool {
        self.holder(id).seen.exists(id) || self.anew().any(|store| store.exists(id))
    }

    /// Returns how long an object is; `None` when it is not there or cannot be read.
    pub(super) fn size(&self, id: ObjectId) -> Option<u64> {
        Some(self.header(&id)?.1)
    }

    /// Returns the store that has an object, or one that will say that it is missing.
    fn holder(&self, id: &oid) -> &Store {
        // Most often there is one store, which need not be asked twice.
        if self.others.is_empty() || self.first.seen.exists(id) {
            return &self.first;
        }
        let other = self.others.iter().find(|store| store.seen.exists(id));
        other.unwrap_or(&self.first)
    }

    /// Returns all stores, to be looked through once more.
    fn anew(&self) -> impl Iterator<Item = &gix::OdbHandle> {
        let stores = std::iter::once(&self.first).chain(&self.others);
        stores.map(|store| &store.anew)
    }
}

impl Find for Objects {
    fn try_find<'a>(&self, id: &oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        Ok(match self.read(id, buffer)? {
            Got::Object(kind) => Some(Data::new(buffer, kind, id.kind())),
            // Nobody gets to see it.
            Got::Damaged(_) | Got::TooLarge | Got::Missing => None,
        })
    }
}

/// Reads an object into the buffer and returns what it is.
fn read(store: &gix::OdbHandle, id: &oid, buffer: &mut Vec<u8>) -> gix::Result<Option<Kind>> {
    Ok(store.try_find(id, buffer)?.map(|data| data.kind))
}

/// One store. What was seen of it may be packed anew meanwhile, so what is missing is looked for
/// again; but only then, as each such look lists directories.
#[derive(Clone)]
struct Store {
    seen: gix::OdbHandle,
    anew: gix::OdbHandle,
}

impl Store {
    fn new(mut anew: gix::OdbHandle) -> Self {
        anew.ignore_replacements = true;
        anew.set_pack_cache(|| Box::new(RecentDeltas::new()));
        let mut seen = anew.clone();
        seen.refresh_never();
        Self { seen, anew }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("stores", &(self.others.len() + 1))
            .finish_non_exhaustive()
    }
}

/// Tells whether an object was not read since that takes more room than one may take.
pub fn is_over_limit(error: &gix::Error) -> bool {
    let limit = Class::ResourceExhaustion(ResourceExhaustionKind::AllocationLimit);
    error.classify().has(limit)
}

/// Opens a store of objects that makes no more room than an object may take.
///
/// # Errors
/// [`io::Error`] when it cannot be opened.
pub fn open_objects(directory: &Path, hash: gix::hash::Kind) -> io::Result<gix::OdbHandle> {
    let options = Options {
        alloc_limit_bytes: Some(ROOM_MAX),
        ..Options::default()
    };
    Ok(gix::odb::at_opts(directory, hash, None, options)?.into())
}
