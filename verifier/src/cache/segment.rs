//! One file of the cache: entries as they came, and behind them where each is, sorted by object.
//!
//! It is written once, beside its place, and moved there. Each entry carries a checksum over the
//! context, the object's name and itself, so neither a damaged file nor one of another policy, trust
//! or version says anything.

use std::{
    fs::File,
    io::{self, BufWriter, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use gix::ObjectId;
use notme_core::key::sha256;

use super::Context;

const MAGIC: &[u8; 16] = b"notme verdicts 1";
const HEADER: usize = 104;
/// Length and checksum before each entry.
const FRAME: usize = 12;
/// The longest entry; what is longer is not kept.
pub(super) const ENTRY_MAX: usize = 1 << 16;
/// How much is read at once: entries that are asked for one after the other lie so, too.
const WINDOW: usize = 1 << 16;
/// How many objects are looked up on disk before all of a long index is read.
const LOOKUPS_MAX: u32 = 32;

/// A file that was opened.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    context: Context,
    id_length: usize,
    count: usize,
    index_at: u64,
    /// The index, once it is read.
    index: Option<Vec<u8>>,
    lookups: u32,
    window: Vec<u8>,
    window_at: u64,
}

/// Where things are.
struct Header {
    context: [u8; 32],
    id_length: u64,
    count: u64,
    index_at: u64,
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.context);
        for number in [self.id_length, self.count, self.index_at] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = sha256(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<16>()?;
        let (context, rest) = rest.split_first_chunk::<32>()?;
        let (numbers, _) = rest.split_first_chunk::<24>()?;
        let mut numbers = numbers.chunks_exact(8);
        let mut number = || Some(u64::from_le_bytes(numbers.next()?.try_into().ok()?));
        let header = Self {
            context: *context,
            id_length: number()?,
            count: number()?,
            index_at: number()?,
        };
        (magic == MAGIC && header.to_bytes() == bytes).then_some(header)
    }
}

impl Segment {
    /// Opens a file.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::InvalidData`] for what is no such file, or not all of one.
    pub(super) fn open(path: &Path, context: Context, id_length: usize) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let header = Header::from_bytes(&header).ok_or(io::ErrorKind::InvalidData)?;
        let entry = u64::try_from(id_length + 8).unwrap_or(u64::MAX);
        let length =
            (header.count.checked_mul(entry)).and_then(|it| it.checked_add(header.index_at));
        let is_whole = length == Some(file.metadata()?.len());
        let is_ours = header.context == *context.as_bytes()
            && usize::try_from(header.id_length) == Ok(id_length);
        let count = usize::try_from(header.count).ok();
        let Some(count) = count.filter(|_| is_whole && is_ours) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            context,
            id_length,
            count,
            index_at: header.index_at,
            index: None,
            lookups: 0,
            window: Vec::new(),
            window_at: 0,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Reads what is written of an object; `false` when nothing is.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::InvalidData`] when it is not what was written.
    pub(super) fn get(&mut self, id: &ObjectId, entry: &mut Vec<u8>) -> io::Result<bool> {
        let Some(at) = self.find(id)? else {
            return Ok(false);
        };
        self.entry(id.as_slice(), at, entry)?;
        Ok(true)
    }

    fn find(&mut self, id: &ObjectId) -> io::Result<Option<u64>> {
        self.lookups = self.lookups.saturating_add(1);
        let is_short = self.count * (self.id_length + 8) <= WINDOW;
        if self.index.is_none() && (is_short || self.lookups > LOOKUPS_MAX) {
            self.index = Some(self.read_index()?);
        }
        let (mut low, mut high) = (0, self.count);
        let mut place = [0; 32 + 8];
        let place = place
            .get_mut(..self.id_length + 8)
            .ok_or(io::ErrorKind::InvalidData)?;
        while low < high {
            let middle = low.midpoint(high);
            let at = middle * place.len();
            match &self.index {
                Some(index) => {
                    let found = index.get(at..at + place.len());
                    place.copy_from_slice(found.ok_or(io::ErrorKind::InvalidData)?);
                }
                None => {
                    let at = u64::try_from(at).unwrap_or(u64::MAX);
                    self.file.read_exact_at(place, self.index_at + at)?;
                }
            }
            let (name, offset) = place.split_at(self.id_length);
            match name.cmp(id.as_slice()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let offset = offset.try_into().unwrap_or_default();
                    return Ok(Some(u64::from_le_bytes(offset)));
                }
            }
        }
        Ok(None)
    }

    fn read_index(&self) -> io::Result<Vec<u8>> {
        let mut index = vec![0; self.count * (self.id_length + 8)];
        self.file.read_exact_at(&mut index, self.index_at)?;
        Ok(index)
    }

    fn entry(&mut self, id: &[u8], at: u64, entry: &mut Vec<u8>) -> io::Result<()> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let frame = self.read(at, FRAME)?;
        let (length, checksum) = frame.split_first_chunk::<4>().ok_or_else(invalid)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| invalid())?;
        let checksum: [u8; 8] = checksum.try_into().map_err(|_| invalid())?;
        if length > ENTRY_MAX {
            return Err(invalid());
        }
        let start = at.checked_add(12).ok_or_else(invalid)?;
        entry.clear();
        entry.extend_from_slice(self.read(start, length)?);
        if self::checksum(self.context, id, entry) != checksum {
            return Err(invalid());
        }
        Ok(())
    }

    /// Reads bytes that lie before the index.
    fn read(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let left = self.index_at.checked_sub(at).ok_or_else(invalid)?;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if length > left {
            return Err(invalid());
        }
        let begins = at.checked_sub(self.window_at);
        let begins = begins.and_then(|begins| usize::try_from(begins).ok());
        let is_here = begins.is_some_and(|begins| {
            let end = begins.checked_add(length);
            end.is_some_and(|end| end <= self.window.len())
        });
        let begins = match begins.filter(|_| is_here) {
            Some(begins) => begins,
            None => {
                // Until it is known that much is asked for, little is read.
                let most = match self.index {
                    Some(_) => WINDOW,
                    None => 1024,
                };
                self.window.resize(length.max(most).min(left), 0);
                self.window_at = at;
                self.file.read_exact_at(&mut self.window, at)?;
                0
            }
        };
        let end = begins.saturating_add(length);
        self.window.get(begins..end).ok_or_else(invalid)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct NewSegment {
    path: PathBuf,
    file: BufWriter<File>,
    context: Context,
    id_length: usize,
    at: u64,
    places: Vec<(ObjectId, u64)>,
}

impl NewSegment {
    /// Begins a file that is not there yet.
    pub(super) fn create(
        path: PathBuf,
        file: File,
        context: Context,
        id_length: usize,
    ) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(WINDOW, file);
        file.write_all(&[0; HEADER])?;
        Ok(Self {
            path,
            file,
            context,
            id_length,
            at: u64::try_from(HEADER).unwrap_or(0),
            places: Vec::new(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn count(&self) -> usize {
        self.places.len()
    }

    pub(super) const fn size(&self) -> u64 {
        self.at
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, id: ObjectId, entry: &[u8]) -> io::Result<()> {
        let Some(length) = u32::try_from(entry.len())
            .ok()
            .filter(|_| entry.len() <= ENTRY_MAX)
        else {
            return Ok(());
        };
        self.file.write_all(&length.to_le_bytes())?;
        let checksum = checksum(self.context, id.as_slice(), entry);
        self.file.write_all(&checksum)?;
        self.file.write_all(entry)?;
        self.places.push((id, self.at));
        self.at += u64::from(length) + 12;
        Ok(())
    }

    /// Adds all of another file; what is damaged there is left out.
    pub(super) fn absorb(&mut self, other: &mut Segment) -> io::Result<()> {
        let index = other.read_index()?;
        let mut places: Vec<_> = index
            .chunks_exact(other.id_length + 8)
            .filter_map(|place| {
                let (id, offset) = place.split_last_chunk::<8>()?;
                Some((u64::from_le_bytes(*offset), ObjectId::try_from(id).ok()?))
            })
            .collect();
        places.sort_unstable();
        other.index = Some(index);
        let mut entry = Vec::new();
        for (at, id) in places {
            if other.entry(id.as_slice(), at, &mut entry).is_ok() {
                self.add(id, &entry)?;
            }
        }
        Ok(())
    }

    /// Writes the index, and moves the file to its place.
    pub(super) fn finish(mut self, place: &Path) -> io::Result<()> {
        self.places.sort_unstable();
        for (id, at) in &self.places {
            self.file.write_all(id.as_slice())?;
            self.file.write_all(&at.to_le_bytes())?;
        }
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let header = Header {
            context: *self.context.as_bytes(),
            id_length: number(self.id_length),
            count: number(self.places.len()),
            index_at: self.at,
        };
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header.to_bytes())?;
        self.file.flush()?;
        std::fs::rename(&self.path, place)
    }
}

fn checksum(context: Context, id: &[u8], entry: &[u8]) -> [u8; 8] {
    let digest = sha256(&[context.as_bytes(), id, entry].concat());
    let mut checksum = [0; 8];
    checksum
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    checksum
}
