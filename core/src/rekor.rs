//! What a Rekor log (version 1) answered about a signature: its promise, and the proof that it kept
//! it.
//!
//! gitsign puts the answer beside the signature: a `TransparencyLogEntry` of
//! sigstore/protobuf-specs without the entry's body, which is made again from what was signed. An
//! answer is judged by the keys of logs that somebody trusts; no clock and no network are asked.

mod error;
mod proof;
mod protobuf;

pub use error::LogEntryError;
use proof::InclusionProof;
use protobuf::Message;
use serde_json::json;

use crate::{
    base64,
    certificate::Certificate,
    hex, json,
    key::{Algorithm, Hash, PublicKey, sha256},
    time::UnixTime,
};

/// The longest answer we read, in bytes; a real one has a thousand.
pub const LOG_ENTRY_MAX: usize = 64 * 1024;

/// The one kind of entry that gitsign writes.
const KIND: (&str, &str) = ("hashedrekord", "0.0.1");

/// An answer that is well-formed. Parsing is not verifying.
#[derive(Clone, Debug)]
pub struct LogEntry<'a> {
    log_id: [u8; 32],
    log_index: u64,
    integrated_time: Option<u64>,
    promise: Option<&'a [u8]>,
    proof: Option<InclusionProof<'a>>,
    body: Option<&'a [u8]>,
}

/// A key with which a log signs: its own id is the SHA-256 of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogKey(PublicKey);

impl LogKey {
    /// Wraps a key.
    pub fn new(key: PublicKey) -> Self {
        Self(key)
    }

    /// Returns the key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0
    }

    /// Returns the log's id.
    pub fn log_id(&self) -> [u8; 32] {
        self.0.spki_sha256()
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let hash = match self.0.algorithm() {
            Algorithm::P384 => Hash::Sha384,
            Algorithm::Ed25519 | Algorithm::P256 | Algorithm::Rsa => Hash::Sha256,
        };
        self.0.verify(hash, message, signature).is_ok()
    }
}

/// What a verified answer shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Logged {
    /// The log says that it took the entry in at this time.
    At(UnixTime),
    /// The entry is in the log, since whenever: nothing signed says when.
    SinceWhenever,
}

/// What was signed, as a log has it: the body of an entry of the kind `hashedrekord` 0.0.1.
#[derive(Clone, Debug)]
pub struct HashedRekord(Vec<u8>);

impl HashedRekord {
    /// Writes the body for a signature over the SHA-256 of `message` by the certificate's key.
    pub fn new(message: &[u8], signature: &[u8], certificate: &Certificate) -> Self {
        let (kind, version) = KIND;
        let body = json!({
            "apiVersion": version,
            "kind": kind,
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hex::encode(&sha256(message))}},
                "signature": {
                    "content": base64::encode(signature),
                    "publicKey": {"content": base64::encode(certificate.pem().as_bytes())},
                },
            },
        });
        #[expect(
            clippy::expect_used,
            reason = "strings under string keys have a canonical form"
        )]
        Self(json::canonical(&body).expect("the body is canonical JSON"))
    }

    /// Returns the canonical JSON: the leaf of the log's tree.
    pub fn body(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> LogEntry<'a> {
    /// Reads an answer of at most [`LOG_ENTRY_MAX`] bytes.
    ///
    /// # Errors
    /// [`LogEntryError`] naming the rule that does not hold; none of those of
    /// [`LogEntry::verify`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LogEntryError> {
        if bytes.len() > LOG_ENTRY_MAX {
            return Err(LogEntryError::TooLong);
        }
        let message = Message::parse(bytes)?;
        let part = |number| message.bytes(number)?.map(Message::parse).transpose();
        let kind = part(3)?.ok_or(LogEntryError::Malformed)?;
        let text = |number| Ok::<_, LogEntryError>(kind.text(number)?.unwrap_or_default());
        if (text(1)?, text(2)?) != KIND {
            return Err(LogEntryError::UnsupportedKind);
        }
        let log_id = match part(2)? {
            Some(log_id) => log_id.bytes(1)?,
            None => None,
        };
        let promise = match part(5)? {
            Some(promise) => promise.bytes(1)?,
            None => None,
        };
        let integrated_time = message.number(4)?;
        Ok(Self {
            log_id: log_id
                .and_then(|id| id.try_into().ok())
                .ok_or(LogEntryError::Malformed)?,
            log_index: message.number(1)?,
            integrated_time: (integrated_time != 0).then_some(integrated_time),
            promise: promise.filter(|promise| !promise.is_empty()),
            proof: part(6)?.map(|it| InclusionProof::read(&it)).transpose()?,
            body: message.bytes(7)?.filter(|body| !body.is_empty()),
        })
    }

    /// Returns the id of the log that it says it is of. Anybody can say so.
    pub fn log_id(&self) -> &[u8; 32] {
        &self.log_id
    }

    /// Verifies that the log with this key answered so about exactly this entry: whatever there is
    /// of promise and proof has to hold, and one of them has to be there.
    ///
    /// # Errors
    /// [`LogEntryError`] naming the first check that failed.
    pub fn verify(&self, key: &LogKey, entry: &HashedRekord) -> Result<Logged, LogEntryError> {
        if self.log_id != key.log_id() {
            return Err(LogEntryError::OtherLog);
        }
        if self.body.is_some_and(|body| body != entry.body()) {
            return Err(LogEntryError::OtherEntry);
        }
        if let Some(promise) = self.promise
            && !key.has_signed(&self.promised(entry), promise)
        {
            return Err(LogEntryError::Promise);
        }
        if let Some(proof) = &self.proof {
            proof.verify(key, entry.body())?;
        }
        match (self.promise, &self.proof, self.integrated_time) {
            (None, None, _) => Err(LogEntryError::Empty),
            // A proof says nothing of the time beside it.
            (Some(_), _, Some(at)) => Ok(Logged::At(UnixTime::from_secs(
                i64::try_from(at).map_err(|_| LogEntryError::Malformed)?,
            ))),
            (_, _, _) => Ok(Logged::SinceWhenever),
        }
    }

    /// Returns what a signed entry timestamp is over: canonical JSON. Nothing in it needs escapes.
    fn promised(&self, entry: &HashedRekord) -> Vec<u8> {
        let body = base64::encode(entry.body());
        let (at, index) = (self.integrated_time.unwrap_or(0), self.log_index);
        let log_id = hex::encode(&self.log_id);
        format!(
            r#"{{"body":"{body}","integratedTime":{at},"logID":"{log_id}","logIndex":{index}}}"#
        )
        .into_bytes()
    }
}
