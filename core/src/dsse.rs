//! Dead Simple Signing Envelope, version 1 (github.com/secure-systems-lab/dsse).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    base64,
    json::{self, JsonError},
    key::{Hash, KeyId, PublicKey, SignError, Signer},
};

/// The longest envelope we read.
pub const ENVELOPE_MAX: usize = 4 * 1024 * 1024;
/// The most signatures that an envelope carries.
pub const SIGNATURES_MAX: usize = 16;

/// Returns the pre-authentication encoding: what is signed.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    out.extend_from_slice(payload);
    out
}

/// Takes the encoding apart again: the payload's type, and the payload. `None` for any other
/// spelling.
pub fn parse_pae(message: &[u8]) -> Option<(&str, &[u8])> {
    let rest = message.strip_prefix(b"DSSEv1 ")?;
    let (payload_type, rest) = part(rest)?;
    let (payload, []) = part(rest.strip_prefix(b" ")?)? else {
        return None;
    };
    let payload_type = str::from_utf8(payload_type).ok()?;
    // One spelling of each length: the one that we write.
    (pae(payload_type, payload) == message).then_some((payload_type, payload))
}

/// Splits off what a length and a space announce.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let (length, rest) = bytes.split_at_checked(space)?;
    let length = str::from_utf8(length).ok()?.parse().ok()?;
    rest.get(1..)?.split_at_checked(length)
}

/// A payload with at least one signature. Reading it checks none of them.
#[derive(Clone, Debug)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug)]
struct EnvelopeSignature {
    keyid: String,
    sig: Vec<u8>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Deserialize, Serialize)]
struct WireSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs `payload` with every key in turn.
    ///
    /// # Errors
    /// [`SignError`] when a key could not be used.
    pub fn sign(
        payload_type: &str,
        payload: Vec<u8>,
        keys: &[&dyn Signer],
    ) -> Result<Self, SignError> {
        let message = pae(payload_type, &payload);
        let signatures = keys
            .iter()
            .map(|key| {
                Ok(EnvelopeSignature {
                    keyid: key.public_key().kid().to_string(),
                    sig: key.sign(&message)?,
                })
            })
            .collect::<Result<_, SignError>>()?;
        Ok(Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures,
        })
    }

    /// Puts a payload together with a signature that was made over it elsewhere.
    pub fn signed(payload_type: &str, payload: Vec<u8>, kid: KeyId, sig: Vec<u8>) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures: vec![EnvelopeSignature {
                keyid: kid.to_string(),
                sig,
            }],
        }
    }

    /// Reads the JSON form; either base64 alphabet, padded or not.
    ///
    /// # Errors
    /// [`EnvelopeError`] when it is too long, not an envelope, or carries no signature.
    pub fn from_json(text: &[u8]) -> Result<Self, EnvelopeError> {
        if text.len() > ENVELOPE_MAX {
            return Err(EnvelopeError::TooLong);
        }
        Self::from_wire(json::read_object(&json::parse_object(text)?)?)
    }

    fn from_wire(wire: Wire) -> Result<Self, EnvelopeError> {
        if wire.signatures.is_empty() || wire.signatures.len() > SIGNATURES_MAX {
            return Err(EnvelopeError::Signatures);
        }
        let decode = |text: &str| base64::decode_any(text).ok_or(EnvelopeError::Base64);
        Ok(Self {
            payload: decode(&wire.payload)?,
            signatures: wire
                .signatures
                .into_iter()
                .map(|signature| {
                    Ok(EnvelopeSignature {
                        sig: decode(&signature.sig)?,
                        keyid: signature.keyid,
                    })
                })
                .collect::<Result<_, EnvelopeError>>()?,
            payload_type: wire.payload_type,
        })
    }

    /// Writes the JSON form, in standard base64.
    ///
    /// # Errors
    /// [`EnvelopeError::Json`] when the serializer fails; it has no reason to.
    pub fn to_json(&self) -> Result<Vec<u8>, EnvelopeError> {
        Ok(serde_json::to_vec(&self.to_wire()).map_err(JsonError::from)?)
    }

    fn to_wire(&self) -> Wire {
        Wire {
            payload_type: self.payload_type.clone(),
            payload: base64::encode(&self.payload),
            signatures: self
                .signatures
                .iter()
                .map(|signature| WireSignature {
                    keyid: signature.keyid.clone(),
                    sig: base64::encode(&signature.sig),
                })
                .collect(),
        }
    }

    /// Returns the type of the payload. Unchecked, as everything here.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// Returns the payload bytes. Unchecked, as everything here.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the signature, when there is exactly one, and the key id that it names, which may
    /// be empty.
    pub fn only_signature(&self) -> Option<(&str, &[u8])> {
        match self.signatures.as_slice() {
            [only] => Some((&only.keyid, &only.sig)),
            _ => None,
        }
    }

    /// Tells whether `key` signed it: a signature that names the key's id, or names none.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let kid: KeyId = key.kid();
        let message = pae(&self.payload_type, &self.payload);
        self.signatures
            .iter()
            .filter(|signature| signature.keyid.is_empty() || signature.keyid == kid.to_string())
            .any(|signature| key.verify(Hash::Sha256, &message, &signature.sig).is_ok())
    }
}

/// As a member of another document; the limits on its length are that document's.
impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.to_wire().serialize(out)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::from_wire(Wire::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// The bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Longer than [`ENVELOPE_MAX`].
    #[error("the envelope is longer than {ENVELOPE_MAX} bytes")]
    TooLong,
    /// Not the JSON of an envelope.
    #[error("the envelope is not well-formed JSON")]
    Json(#[from] JsonError),
    /// A member is not base64.
    #[error("the envelope holds a member that is not base64")]
    Base64,
    /// No signature, or too many.
    #[error("the envelope carries no signature, or more than {SIGNATURES_MAX}")]
    Signatures,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the DSSE protocol document.
    #[test]
    fn encodes_as_the_protocol_does() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn takes_apart_the_one_spelling_and_no_other() {
        let message = pae("text/plain", b"a b");
        assert_eq!(parse_pae(&message), Some(("text/plain", &b"a b"[..])));
        assert_eq!(parse_pae(&pae("", b"")), Some(("", &b""[..])));
        for wrong in [
            &b"DSSEv1 10 text/plain 3 a bc"[..],
            b"DSSEv1 10 text/plain 3 a",
            b"DSSEv1 10 text/plain 03 a b",
            b"DSSEv1 +10 text/plain 3 a b",
            b"DSSEv1 9 text/plain 3 a b",
            b"DSSEv1 1 \xff 3 a b",
            b"DSSEv1 10 text/plain 99999999999999999999 a b",
            b"DSSEv2 10 text/plain 3 a b",
            b"",
        ] {
            assert_eq!(parse_pae(wrong), None);
        }
    }

    #[test]
    fn refuses_envelopes_without_signatures() {
        let none = br#"{"payloadType":"a","payload":"","signatures":[]}"#;
        assert!(matches!(
            Envelope::from_json(none),
            Err(EnvelopeError::Signatures)
        ));
        let twice =
            br#"{"payloadType":"a","payloadType":"b","payload":"","signatures":[{"sig":""}]}"#;
        assert!(matches!(
            Envelope::from_json(twice),
            Err(EnvelopeError::Json(_))
        ));
    }
}
