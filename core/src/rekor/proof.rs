//! That an entry is in a log: a Merkle path (RFC 9162 section 2.1.3.2) and the checkpoint that the
//! log signed over where it leads.

use super::{LogEntryError, LogKey, protobuf::Message};
use crate::{base64, key::sha256};

/// A tree of 2⁶³ entries has no longer path.
const HASHES_MAX: usize = 63;
/// More signatures than any log has witnesses.
const SIGNATURES_MAX: usize = 64;

/// A path from an entry to a root, and what the log signed of that root.
#[derive(Clone, Debug)]
pub(super) struct InclusionProof<'a> {
    index: u64,
    size: u64,
    root: [u8; 32],
    hashes: Vec<[u8; 32]>,
    checkpoint: &'a str,
}

impl<'a> InclusionProof<'a> {
    pub(super) fn read(message: &Message<'a>) -> Result<Self, LogEntryError> {
        let hash = |bytes: &[u8]| bytes.try_into().map_err(|_| LogEntryError::Malformed);
        let checkpoint = message.bytes(5)?.ok_or(LogEntryError::Malformed)?;
        let checkpoint = Message::parse(checkpoint)?.text(1)?;
        let hashes = message.all_bytes(4)?;
        if hashes.len() > HASHES_MAX {
            return Err(LogEntryError::Malformed);
        }
        Ok(Self {
            index: message.number(1)?,
            root: hash(message.bytes(2)?.unwrap_or_default())?,
            size: message.number(3)?,
            hashes: hashes.into_iter().map(hash).collect::<Result<_, _>>()?,
            checkpoint: checkpoint.ok_or(LogEntryError::Malformed)?,
        })
    }

    pub(super) fn verify(&self, key: &LogKey, body: &[u8]) -> Result<(), LogEntryError> {
        if self.leads_to(body) != Some(self.root) {
            return Err(LogEntryError::Inclusion);
        }
        let note = Checkpoint::parse(self.checkpoint).ok_or(LogEntryError::Checkpoint)?;
        if (note.size, note.root) != (self.size, self.root) {
            return Err(LogEntryError::Checkpoint);
        }
        let log_id = key.log_id();
        // Four bytes select; they confirm nothing, and others may have the same.
        let named = note
            .signatures
            .iter()
            .filter_map(|it| it.split_at_checked(4));
        let mut named = named.filter(|(hint, _)| log_id.starts_with(hint));
        match named.any(|(_, signature)| key.has_signed(note.text.as_bytes(), signature)) {
            true => Ok(()),
            false => Err(LogEntryError::CheckpointSignature),
        }
    }

    fn leads_to(&self, body: &[u8]) -> Option<[u8; 32]> {
        let (mut index, mut last) = (self.index, self.size.checked_sub(1)?);
        if index > last {
            return None;
        }
        let mut hash = sha256(&[&[0], body].concat());
        for other in &self.hashes {
            if last == 0 {
                return None;
            }
            if index & 1 == 1 || index == last {
                hash = node(other, &hash);
                while index & 1 == 0 && index != 0 {
                    (index, last) = (index >> 1, last >> 1);
                }
            } else {
                hash = node(&hash, other);
            }
            (index, last) = (index >> 1, last >> 1);
        }
        (last == 0).then_some(hash)
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[1], &left[..], &right[..]].concat())
}

/// A signed note about a tree (C2SP tlog-checkpoint).
struct Checkpoint<'a> {
    /// What is signed: everything before the empty line.
    text: &'a str,
    size: u64,
    root: [u8; 32],
    /// Key hints and signatures.
    signatures: Vec<Vec<u8>>,
}

impl<'a> Checkpoint<'a> {
    fn parse(note: &'a str) -> Option<Self> {
        let (text, signatures) = note.split_at_checked(note.find("\n\n")? + 1)?;
        let mut lines = text.lines();
        let _origin = lines.next().filter(|origin| !origin.is_empty())?;
        let size = lines.next()?;
        // One spelling of each number.
        let number: u64 = size.parse().ok()?;
        let root = base64::decode(lines.next()?)?;
        let signatures: Vec<_> = signatures.lines().skip(1).collect();
        if number.to_string() != size || signatures.len() > SIGNATURES_MAX {
            return None;
        }
        let decode = |line: &&str| {
            let (_name, value) = line.strip_prefix("— ")?.rsplit_once(' ')?;
            base64::decode(value)
        };
        Some(Self {
            text,
            size: number,
            root: root.try_into().ok()?,
            signatures: signatures.iter().map(decode).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds the tree the slow way, as RFC 6962 section 2.1 defines it.
    fn root_of(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => sha256(b""),
            [leaf] => sha256(&[&[0][..], leaf].concat()),
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(half);
                node(&root_of(left), &root_of(right))
            }
        }
    }

    fn path(leaves: &[Vec<u8>], index: usize) -> Vec<[u8; 32]> {
        if leaves.len() < 2 {
            return Vec::new();
        }
        let half = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(half);
        let (mut hashes, other) = match index < half {
            true => (path(left, index), root_of(right)),
            false => (path(right, index - half), root_of(left)),
        };
        hashes.push(other);
        hashes
    }

    #[test]
    fn a_path_leads_to_the_root_for_its_own_leaf_and_place_alone() {
        for size in 1..=17_u8 {
            let leaves: Vec<_> = (0..size).map(|leaf| vec![leaf]).collect();
            let root = root_of(&leaves);
            for index in 0..size {
                let good = InclusionProof {
                    index: index.into(),
                    size: size.into(),
                    root,
                    hashes: path(&leaves, usize::from(index)),
                    checkpoint: "",
                };
                assert_eq!(good.leads_to(&[index]), Some(root), "{index} of {size}");
                assert_ne!(good.leads_to(&[size]), Some(root));
                let mut other = good.clone();
                other.index = u64::from((index + 1) % size);
                assert!(size == 1 || other.leads_to(&[index]) != Some(root));
                other = good.clone();
                other.size = u64::from(index);
                assert_eq!(other.leads_to(&[index]), None, "outside its tree");
                other = good.clone();
                other.hashes.push([0; 32]);
                assert_eq!(other.leads_to(&[index]), None, "a path that is too long");
            }
        }
    }
}
