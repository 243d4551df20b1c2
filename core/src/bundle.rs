//! The signed CA bundle of the notme authority: JSON on the wire, canonical CBOR under the
//! signature (RFC 8949 section 4.2; field numbers as the reference assigns them).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    base64,
    key::{Hash, KeyError, PublicKey, SignError, Signer},
    time::UnixTime,
};

/// The longest bundle we read.
pub const BUNDLE_MAX: usize = 1024 * 1024;
/// Writers of the reference turn integers from here on into floats, so we refuse to sign them.
const INTEGER_LIMIT: u64 = 1 << 32;
/// Consumers refuse a bundle older than this many seconds.
pub const MAX_AGE: i64 = 300;

const MAJOR_UNSIGNED: u8 = 0x00;
const MAJOR_BYTES: u8 = 0x40;
const MAJOR_TEXT: u8 = 0x60;
const MAJOR_MAP: u8 = 0xa0;

/// The bundle as served. Reading it checks no signature.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// Epoch of the current key.
    pub epoch: u64,
    /// Rises with every generation.
    pub seqno: u64,
    /// Raw Ed25519 keys in base64, by key id. Old authorities use shorter ids than ours.
    pub keys: BTreeMap<String, String>,
    /// Id of the current key.
    #[serde(default)]
    pub key_id: String,
    /// Id of the key before, after a rotation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prev_key_id: String,
    /// When it was generated.
    pub issued_at: i64,
    /// Ed25519 over the canonical CBOR, in base64.
    pub signature: String,
}

impl CaBundle {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`BundleError`] when it is too long or malformed.
    pub fn from_json(json: &[u8]) -> Result<Self, BundleError> {
        if json.len() > BUNDLE_MAX {
            return Err(BundleError::TooLong);
        }
        serde_json::from_slice(json).map_err(BundleError::Json)
    }

    /// Signs the six fields and sets the signature.
    ///
    /// # Errors
    /// [`BundleError`] when a field cannot be encoded or the key cannot be used.
    pub fn sign(mut self, key: &dyn Signer) -> Result<Self, BundleError> {
        self.signature = base64::encode(&key.sign(&self.canonical_cbor()?)?);
        Ok(self)
    }

    /// Checks the signature by `key` and that the bundle names it as the current one.
    ///
    /// # Errors
    /// [`BundleError`] naming what failed.
    pub fn verify(&self, key: &PublicKey) -> Result<(), BundleError> {
        let raw = key.ed25519_bytes().ok_or(BundleError::Signature)?;
        let current = self.keys.get(&self.key_id).and_then(base64::decode);
        if current.as_deref() != Some(raw.as_slice()) {
            return Err(BundleError::CurrentKey);
        }
        let signature = base64::decode(&self.signature).ok_or(BundleError::Base64)?;
        key.verify(Hash::Sha512, &self.canonical_cbor()?, &signature)
            .map_err(|_| BundleError::Signature)
    }

    /// Checks the age: present, not from the future, at most five minutes.
    ///
    /// # Errors
    /// [`BundleError::Stale`] otherwise.
    pub fn check_age(&self, now: UnixTime) -> Result<(), BundleError> {
        let age = now.secs().saturating_sub(self.issued_at);
        if self.issued_at <= 0 || !(-60..=MAX_AGE).contains(&age) {
            return Err(BundleError::Stale);
        }
        Ok(())
    }

    /// Returns the public key that the bundle lists under `id`.
    ///
    /// # Errors
    /// [`BundleError`] when it is not listed or not an Ed25519 key.
    pub fn key(&self, id: &str) -> Result<PublicKey, BundleError> {
        let raw = self.keys.get(id).and_then(base64::decode);
        let raw: [u8; 32] = raw
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(BundleError::Base64)?;
        Ok(PublicKey::from_ed25519(&raw)?)
    }

    /// Returns the bytes under the signature.
    ///
    /// # Errors
    /// [`BundleError`] when a number or a key cannot be encoded as the reference does.
    pub fn canonical_cbor(&self) -> Result<Vec<u8>, BundleError> {
        let issued_at = u64::try_from(self.issued_at).map_err(|_| BundleError::Number)?;
        if [self.epoch, self.seqno, issued_at]
            .iter()
            .any(|n| *n >= INTEGER_LIMIT)
        {
            return Err(BundleError::Number);
        }
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_by_key(|(id, _)| (id.len(), *id));

        let mut out = Vec::new();
        head(&mut out, MAJOR_MAP, 6);
        out.push(1);
        head(&mut out, MAJOR_UNSIGNED, self.epoch);
        out.push(2);
        head(&mut out, MAJOR_UNSIGNED, self.seqno);
        out.push(3);
        head(&mut out, MAJOR_MAP, length(keys.len()));
        for (id, key) in keys {
            string(&mut out, MAJOR_TEXT, id.as_bytes());
            string(
                &mut out,
                MAJOR_BYTES,
                &base64::decode(key).ok_or(BundleError::Base64)?,
            );
        }
        out.push(4);
        string(&mut out, MAJOR_TEXT, self.key_id.as_bytes());
        out.push(5);
        string(&mut out, MAJOR_TEXT, self.prev_key_id.as_bytes());
        out.push(6);
        head(&mut out, MAJOR_UNSIGNED, issued_at);
        Ok(out)
    }
}

fn length(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn string(out: &mut Vec<u8>, major: u8, bytes: &[u8]) {
    head(out, major, length(bytes.len()));
    out.extend_from_slice(bytes);
}

/// Writes a head with the shortest argument (RFC 8949 section 4.2.1).
fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let bytes = argument.to_be_bytes();
    let [.., b4, b5, b6, b7] = bytes;
    match argument {
        0..=23 => out.push(major | b7),
        24..=0xff => out.extend([major | 24, b7]),
        0x100..=0xffff => out.extend([major | 25, b6, b7]),
        0x1_0000..=0xffff_ffff => out.extend([major | 26, b4, b5, b6, b7]),
        _ => {
            out.push(major | 27);
            out.extend(bytes);
        }
    }
}

/// The bytes are not a bundle to rely on.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Longer than [`BUNDLE_MAX`].
    #[error("the CA bundle is longer than {BUNDLE_MAX} bytes")]
    TooLong,
    /// Not the JSON of a bundle.
    #[error("the CA bundle is malformed")]
    Json(#[source] serde_json::Error),
    /// A number is negative or 2^32 and more.
    #[error("a number of the CA bundle is out of range")]
    Number,
    /// A key or the signature is not base64.
    #[error("a key or the signature of the CA bundle is not base64")]
    Base64,
    /// A listed key is not a valid Ed25519 key.
    #[error("a key of the CA bundle cannot be used")]
    Key(#[from] KeyError),
    /// The signing key is not the one the bundle names as current.
    #[error("the CA bundle does not name the key as its current one")]
    CurrentKey,
    /// The signature is not the key's.
    #[error("the CA bundle is not signed by the key")]
    Signature,
    /// No time of issue, one in the future, or more than five minutes ago.
    #[error("the CA bundle is stale, undated or from the future")]
    Stale,
    /// The private key could not be used.
    #[error(transparent)]
    Sign(#[from] SignError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(
        epoch: u64,
        seqno: u64,
        keys: &[(&str, &[u8])],
        key_id: &str,
        issued_at: i64,
    ) -> CaBundle {
        CaBundle {
            epoch,
            seqno,
            keys: keys
                .iter()
                .map(|(id, key)| ((*id).to_owned(), base64::encode(key)))
                .collect(),
            key_id: key_id.to_owned(),
            prev_key_id: String::new(),
            issued_at,
            signature: String::new(),
        }
    }

    /// The schema fixtures of the notme repository.
    #[test]
    fn encodes_the_reference_fixtures() {
        let basic = bundle(1, 1, &[("kid", &[0xab, 0xcd])], "kid", 1234);
        assert_eq!(
            crate::hex::encode(&basic.canonical_cbor().unwrap()),
            "a60101020103a1636b696442abcd04636b69640560061904d2"
        );
        let several = bundle(1, 1, &[("ab", &[2]), ("b", &[1])], "b", 1234);
        assert_eq!(
            crate::hex::encode(&several.canonical_cbor().unwrap()),
            "a60101020103a26162410162616241020461620560061904d2"
        );
        let id = "9408457aefd071cec127c1f985399308";
        let realistic = bundle(3, 70_000, &[(id, &[7; 32])], id, 1_786_064_523);
        let expected = format!(
            "a60103021a0001117003a17820{0}5820{1}047820{0}0560061a6a752e8b",
            crate::hex::encode(id.as_bytes()),
            "07".repeat(32)
        );
        assert_eq!(
            crate::hex::encode(&realistic.canonical_cbor().unwrap()),
            expected
        );
    }

    #[test]
    fn refuses_numbers_that_other_writers_turn_into_floats() {
        let large = bundle(1, 1 << 32, &[], "", 1);
        assert!(matches!(large.canonical_cbor(), Err(BundleError::Number)));
        let negative = bundle(1, 1, &[], "", -1);
        assert!(matches!(
            negative.canonical_cbor(),
            Err(BundleError::Number)
        ));
    }

    #[test]
    fn age_is_judged_and_zero_is_no_age() {
        let at = |issued_at| bundle(1, 1, &[], "", issued_at);
        let now = UnixTime::from_secs(1000);
        assert!(at(1000 - 300).check_age(now).is_ok());
        for stale in [0, -5, 1000 - 301, 1000 + 61] {
            assert!(at(stale).check_age(now).is_err(), "{stale}");
        }
    }
}
