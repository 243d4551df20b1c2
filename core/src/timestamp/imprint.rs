//! What is stamped: a digest and its algorithm.

use super::TimeStampError;
use crate::{
    cms::{read_digest, write_digest},
    der_reader::{Element, OCTET_STRING},
    der_writer::{element, sequence},
    key::Hash,
};

/// A digest of the stamped bytes, with the very bytes it was written in: an answer repeats them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageImprint {
    der: Vec<u8>,
    hash: Hash,
    digest: Vec<u8>,
}

impl MessageImprint {
    /// Hashes what is to be stamped.
    pub fn of(hash: Hash, message: &[u8]) -> Self {
        let digest = hash.digest(message);
        Self {
            der: sequence(&[&write_digest(hash), &element(OCTET_STRING, &[&digest])]),
            hash,
            digest,
        }
    }

    pub(super) fn read(element: Element<'_>) -> Result<Self, TimeStampError> {
        let mut fields = element.reader();
        let hash = read_digest(fields.any()?)?;
        let digest = fields.expect(OCTET_STRING)?.value;
        fields.finish()?;
        if digest.len() != hash.len() {
            return Err(TimeStampError::ImprintLength);
        }
        Ok(Self {
            der: element.raw.to_vec(),
            hash,
            digest: digest.to_vec(),
        })
    }

    /// Tells whether the digest is that of `message`.
    pub fn covers(&self, message: &[u8]) -> bool {
        self.hash.digest(message) == self.digest
    }

    /// Tells whether the digests are the same, however they were written.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.hash, &self.digest) == (other.hash, &other.digest)
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }
}
