//! A packfile writer, to make large histories in no time.
//!
//! Objects are stored uncompressed; `git repack` then writes the pack that gets measured.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, digest};

/// What an object is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Commit,
    Tree,
    Blob,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
        }
    }

    /// The type number in a pack.
    const fn number(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::Tree => 2,
            Self::Blob => 3,
        }
    }
}

/// The longest stored block of RFC 1951.
const STORED_MAX: usize = 0xffff;

/// Returns the id of a commit in a SHA-1 repository.
pub(crate) fn commit_id(raw: &[u8]) -> String {
    notme_core::hex::encode(&id(Kind::Commit, raw))
}

/// Returns the id of an object in a SHA-1 repository.
pub(crate) fn id(kind: Kind, raw: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("{} {}\0", kind.name(), raw.len()).as_bytes());
    context.update(raw);
    context.finish().as_ref().to_vec()
}

/// Returns a version 2 pack.
pub(crate) fn of(objects: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let count = u32::try_from(objects.len()).expect("histories here are small");
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend(count.to_be_bytes());
    for (kind, raw) in objects {
        push_header(&mut pack, *kind, raw.len());
        push_stored_zlib(&mut pack, raw);
    }
    let checksum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &pack);
    pack.extend(checksum.as_ref());
    pack
}

/// gitformat-pack: type and low four bits of the size, then seven bits a byte.
fn push_header(pack: &mut Vec<u8>, kind: Kind, size: usize) {
    let bits = |value: usize, mask: usize| u8::try_from(value & mask).expect("masked to a byte");
    let mut byte = kind.number() << 4 | bits(size, 0x0f);
    let mut rest = size >> 4;
    while rest > 0 {
        pack.push(byte | 0x80);
        byte = bits(rest, 0x7f);
        rest >>= 7;
    }
    pack.push(byte);
}

/// RFC 1950 around stored blocks of RFC 1951.
fn push_stored_zlib(pack: &mut Vec<u8>, bytes: &[u8]) {
    pack.extend([0x78, 0x01]);
    let mut blocks = bytes.chunks(STORED_MAX).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("chunks fit a stored block");
        pack.push(u8::from(blocks.peek().is_none()));
        pack.extend(length.to_le_bytes());
        pack.extend((!length).to_le_bytes());
        pack.extend(block);
    }
    pack.extend(adler32(bytes).to_be_bytes());
}

fn adler32(bytes: &[u8]) -> u32 {
    const PRIME: u32 = 65_521;
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % PRIME;
        (low, (high + low) % PRIME)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use notme_testkit::{commit::CommitSpec, repository::Repository};

    use super::*;

    #[test]
    fn git_reads_the_pack() {
        let repository = Repository::new();
        let mut spec = CommitSpec::new(&repository.empty_tree());
        let small = spec.payload();
        spec.message = "x".repeat(70_000);
        let large = spec.payload();
        let commits = [small.clone(), large.clone()].map(|raw| (Kind::Commit, raw));
        let pack = of(&commits);
        let output = repository.git_with_input(&["index-pack", "--stdin", "--strict"], &pack);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for raw in [small, large] {
            assert_eq!(repository.read_object("commit", &commit_id(&raw)), raw);
        }
    }
}
