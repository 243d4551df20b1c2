//! The two small files of an authority: its pin, and the newest document seen.

use std::path::Path;

use notme_core::{certificate::Certificate, hex};
use serde::{Deserialize, Serialize, de::Error as _};

use super::TrustStoreError;
use crate::trust::PinKind;

const VERSION: u64 = 1;

/// `pin.json`: by which keys an authority is known.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pin {
    version: u64,
    kind: PinKind,
    #[serde(with = "digests")]
    spki_sha256: Vec<[u8; 32]>,
    scopes: Vec<String>,
    /// Whether a record of the newest document must exist.
    has_state: bool,
}

impl Pin {
    pub(super) fn new(kind: PinKind, roots: &[Certificate], scopes: Vec<String>) -> Self {
        let pins = roots.iter().map(|root| root.public_key().spki_sha256());
        Self::of_keys(kind, pins.collect(), scopes)
    }

    pub(super) fn of_keys(kind: PinKind, spki_sha256: Vec<[u8; 32]>, scopes: Vec<String>) -> Self {
        Self {
            version: VERSION,
            kind,
            spki_sha256,
            scopes,
            has_state: false,
        }
    }

    pub(super) fn from_json(json: &[u8], path: &Path) -> Result<Self, TrustStoreError> {
        let pin: Self = parse(json, path)?;
        match pin.version == VERSION && !pin.spki_sha256.is_empty() {
            true => Ok(pin),
            false => Err(malformed(path, "unknown version, or no pin")),
        }
    }

    pub(super) fn with_state(mut self) -> Self {
        self.has_state = true;
        self
    }

    pub(super) fn and_pins(mut self, others: &[[u8; 32]]) -> Self {
        for pin in others {
            if !self.spki_sha256.contains(pin) {
                self.spki_sha256.push(*pin);
            }
        }
        self
    }

    pub(super) fn kind(&self) -> PinKind {
        self.kind
    }

    pub(super) fn spki(&self) -> &[[u8; 32]] {
        &self.spki_sha256
    }

    pub(super) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    pub(super) fn has_state(&self) -> bool {
        self.has_state
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// `<name>.json` of the state directory: the newest document seen.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    version: u64,
    seqno: u64,
    #[serde(with = "digest")]
    payload_sha256: [u8; 32],
}

impl Seen {
    pub(super) fn new(seqno: u64, payload_sha256: [u8; 32]) -> Self {
        Self {
            version: VERSION,
            seqno,
            payload_sha256,
        }
    }

    pub(super) fn from_json(json: &[u8], path: &Path) -> Result<Self, TrustStoreError> {
        let seen: Self = parse(json, path)?;
        match seen.version {
            VERSION => Ok(seen),
            _ => Err(malformed(path, "unknown version")),
        }
    }

    pub(super) fn seqno(&self) -> u64 {
        self.seqno
    }

    pub(super) fn digest_hex(&self) -> String {
        hex::encode(&self.payload_sha256)
    }

    /// Checks that a document may follow: never a lower number, never another of the same.
    pub(super) fn check_successor(&self, new: &Self) -> Result<(), TrustStoreError> {
        if new.seqno < self.seqno {
            return Err(TrustStoreError::Rollback {
                seen: self.seqno,
                found: new.seqno,
            });
        }
        if new.seqno == self.seqno && new.payload_sha256 != self.payload_sha256 {
            return Err(TrustStoreError::Equivocation(self.seqno));
        }
        Ok(())
    }

    /// Returns the newer of two records.
    pub(super) fn or_newer(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.seqno > self.seqno => other,
            Some(_) | None => self,
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

fn parse<T: for<'de> Deserialize<'de>>(json: &[u8], path: &Path) -> Result<T, TrustStoreError> {
    serde_json::from_slice(json).map_err(|source| TrustStoreError::Malformed {
        path: path.to_owned(),
        source,
    })
}

fn malformed(path: &Path, reason: &str) -> TrustStoreError {
    TrustStoreError::Malformed {
        path: path.to_owned(),
        source: serde_json::Error::custom(reason),
    }
}

fn to_json(record: &impl Serialize) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "the records hold numbers, booleans and strings under string keys"
    )]
    let mut json = serde_json::to_vec_pretty(record).expect("a record is JSON");
    json.push(b'\n');
    json
}

mod digest {
    use notme_core::hex;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        hex::decode_array(&text).ok_or_else(|| D::Error::custom("not a SHA-256 in hex"))
    }
}

mod digests {
    use notme_core::hex;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(digests: &[[u8; 32]], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(digests.iter().map(|digest| hex::encode(digest)))
    }

    pub(super) fn deserialize<'de, D>(from: D) -> Result<Vec<[u8; 32]>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let texts = Vec::<String>::deserialize(from)?;
        let digests = texts.iter().map(|text| hex::decode_array(text));
        let digests = digests.collect::<Option<_>>();
        digests.ok_or_else(|| D::Error::custom("not a SHA-256 in hex"))
    }
}
