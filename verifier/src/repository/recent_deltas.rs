//! The objects decoded last, as bases for the next ones.
//!
//! git packs commits of one signer as deltas of each other, in chains of up to fifty, newest
//! first: the order of our walk. Without this each commit would inflate its whole chain again,
//! which took a quarter of a long run; with it, one delta.

use gix::{
    objs::Kind,
    odb::pack::{cache::DecodeEntry, data::Offset},
};

/// A cache with one place per object, where the newer takes the place of the older.
pub(super) struct RecentDeltas(Vec<Option<Entry>>);

struct Entry {
    pack: u32,
    offset: Offset,
    kind: Kind,
    compressed_size: usize,
    data: Vec<u8>,
}

impl RecentDeltas {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| None).collect())
    }

    fn place(&mut self, pack: u32, offset: Offset) -> Option<&mut Option<Entry>> {
        // Fibonacci hashing: neighbouring offsets land far from each other.
        let hash = (offset ^ u64::from(pack) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0.get_mut(usize::try_from(hash >> SHIFT).ok()?)
    }
}

impl DecodeEntry for RecentDeltas {
    fn put(&mut self, pack: u32, offset: Offset, data: &[u8], kind: Kind, compressed_size: usize) {
        if data.len() > DATA_MAX {
            return;
        }
        let Some(place) = self.place(pack, offset) else {
            return;
        };
        let mut kept = place.take().map(|entry| entry.data).unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(data);
        *place = Some(Entry {
            pack,
            offset,
            kind,
            compressed_size,
            data: kept,
        });
    }

    fn get(&mut self, pack: u32, offset: Offset, out: &mut Vec<u8>) -> Option<(Kind, usize)> {
        let entry = self.place(pack, offset)?.as_ref()?;
        if entry.pack != pack || entry.offset != offset {
            return None;
        }
        out.clear();
        out.extend_from_slice(&entry.data);
        Some((entry.kind, entry.compressed_size))
    }
}

const PLACES: usize = 256;
/// 64 bits less those that number the places.
const SHIFT: u32 = 64 - PLACES.trailing_zeros();
/// Larger objects are no commits worth keeping.
const DATA_MAX: usize = 16 << 10;
