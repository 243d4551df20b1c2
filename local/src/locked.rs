//! Memory for private keys: locked into RAM, left out of core dumps, zeroed before it is given back.
//!
//! The only unsafe code of the project is in this file.

#![expect(
    unsafe_code,
    reason = "a mapping of our own is the only memory that can be locked without its neighbours"
)]

use std::{fmt, io, ptr, ptr::NonNull, slice};

use rustix::mm::{Advice, MapFlags, ProtFlags};
use zeroize::Zeroize as _;

/// A few bytes on pages of their own, for secrets.
pub struct LockedMemory {
    start: NonNull<u8>,
    length: usize,
    weaknesses: Vec<Weakness>,
}

/// A protection that the system refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weakness {
    /// The pages may be swapped out.
    NotLocked(rustix::io::Errno),
    /// The pages would be part of a core dump.
    InDumps(rustix::io::Errno),
}

impl Weakness {
    /// Tells whether this is the lock that is missing.
    pub fn is_unlocked(self) -> bool {
        matches!(self, Self::NotLocked(_))
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLocked(errno) => write!(f, "keys could be swapped out (mlock: {errno})"),
            Self::InDumps(errno) => {
                write!(
                    f,
                    "keys would be part of a core dump (MADV_DONTDUMP: {errno})"
                )
            }
        }
    }
}

impl LockedMemory {
    /// Maps `length` zero bytes. A protection that the system refuses is recorded, not fatal:
    /// containers often allow no locked memory at all.
    ///
    /// # Errors
    /// When the system gives no memory, or `length` is zero.
    pub fn zeroed(length: usize) -> io::Result<Self> {
        // SAFETY: the kernel chooses the address, so that nothing that exists is replaced.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
        let mut weaknesses = Vec::new();
        // SAFETY: the range is the mapping just made; locking does not change its contents.
        if let Err(errno) = unsafe { rustix::mm::mlock(start, length) } {
            weaknesses.push(Weakness::NotLocked(errno));
        }
        // SAFETY: the range is the mapping just made; the advice does not change its contents.
        if let Err(errno) = unsafe { rustix::mm::madvise(start, length, Advice::LinuxDontDump) } {
            weaknesses.push(Weakness::InDumps(errno));
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            start,
            length,
            weaknesses,
        })
    }

    /// Copies secret bytes to locked memory. Where they came from is the caller's to clear.
    ///
    /// # Errors
    /// As [`LockedMemory::zeroed`].
    pub fn of(secret: &[u8]) -> io::Result<Self> {
        let mut memory = Self::zeroed(secret.len())?;
        memory.bytes_mut().copy_from_slice(secret);
        Ok(memory)
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `length` initialised bytes, readable, and lives as long as
        // `self`; writing needs `&mut self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// Returns the bytes to write to.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` makes this the only reference.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// Returns the protections that the system refused.
    pub fn weaknesses(&self) -> &[Weakness] {
        &self.weaknesses
    }
}

// SAFETY: the mapping is ours alone and bound to no thread.
unsafe impl Send for LockedMemory {}
// SAFETY: through `&self` the bytes can only be read.
unsafe impl Sync for LockedMemory {}

impl Drop for LockedMemory {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        // SAFETY: the range is our mapping, no reference to it outlives `self`, and nothing uses
        // it afterwards. It cannot fail for a range that is mapped; a leak would hold zeroes.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

impl fmt::Debug for LockedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedMemory")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Returns the part of `/proc/self/smaps` about the mapping.
    fn mapping_of(memory: &LockedMemory) -> Option<String> {
        let start = format!("{:x}-", memory.start.addr());
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let from = smaps.find(&start)?;
        let rest = &smaps[from..];
        let end = rest.find("VmFlags:").unwrap();
        let line = rest[end..].lines().next().unwrap().len();
        Some(rest[..end + line].to_owned())
    }

    #[test]
    fn is_locked_and_left_out_of_dumps() {
        let memory = LockedMemory::zeroed(64).unwrap();
        assert_eq!(memory.weaknesses(), []);
        let mapping = mapping_of(&memory).unwrap();
        let flags: Vec<&str> = mapping.lines().last().unwrap().split(' ').collect();
        assert!(flags.contains(&"lo"), "not locked: {mapping}");
        assert!(flags.contains(&"dd"), "in dumps: {mapping}");
    }

    #[test]
    fn holds_what_is_written() {
        let mut memory = LockedMemory::zeroed(64).unwrap();
        assert_eq!(memory.bytes(), [0; 64]);
        memory.bytes_mut().fill(7);
        assert_eq!(memory.bytes(), [7; 64]);
    }

    #[test]
    fn shows_nothing() {
        let memory = LockedMemory::of(b"seed").unwrap();
        assert_eq!(memory.bytes(), b"seed");
        assert_eq!(format!("{memory:?}"), "LockedMemory");
    }
}
