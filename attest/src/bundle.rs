//! The carrier: a Sigstore bundle with one DSSE envelope, the certificate of the key that signed,
//! and time stamps (sigstore/protobuf-specs, `sigstore_bundle.proto`).

use notme_core::{
    base64,
    certificate::{Certificate, CertificateError},
    dsse::{ENVELOPE_MAX, Envelope},
    hex,
    json::{self, JsonError, Object},
    key::sha256,
    statement::{PAYLOAD_TYPE, Statement},
    timestamp::{granted_token, reply_granted},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What we write.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The last version with room for a chain of certificates.
const WITH_CHAIN: &str = "application/vnd.dev.sigstore.bundle+json;version=0.2";
/// What we read beside these.
const OLDER: [&str; 3] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.2+json",
];
/// The longest bundle that we read, in bytes.
pub const BUNDLE_MAX: usize = ENVELOPE_MAX;
/// What members that we read are called in the definition.
const SPELLED_OTHERWISE: [&str; 11] = [
    "media_type",
    "verification_material",
    "dsse_envelope",
    "message_signature",
    "x509_certificate_chain",
    "public_key",
    "timestamp_verification_data",
    "raw_bytes",
    "rfc3161_timestamps",
    "signed_timestamp",
    "payload_type",
];
/// The members that hold such members.
const HOLDERS: [&str; 7] = [
    "certificate",
    "certificates",
    "dsseEnvelope",
    "rfc3161Timestamps",
    "timestampVerificationData",
    "verificationMaterial",
    "x509CertificateChain",
];
/// The most certificates of a chain.
const CERTIFICATES_MAX: usize = 4;
/// The most time stamps.
const TIMESTAMPS_MAX: usize = 8;

/// An envelope, and how to get from it to an identity. Reading it checks no signature.
#[derive(Clone, Debug)]
pub struct Bundle {
    envelope: Envelope,
    certificates: Vec<Certificate>,
    timestamps: Vec<Vec<u8>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    media_type: String,
    verification_material: Material,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<Envelope>,
    #[serde(default, skip_serializing)]
    message_signature: Option<Object>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Material {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate_chain: Option<RawChain>,
    #[serde(skip_serializing)]
    public_key: Option<Object>,
    tlog_entries: Vec<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_verification_data: Option<Timestamps>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    raw_bytes: String,
}

#[derive(Deserialize, Serialize)]
struct RawChain {
    certificates: Vec<Raw>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Timestamps {
    rfc3161_timestamps: Vec<Signed>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    signed_timestamp: String,
}

impl Bundle {
    /// Puts a signed envelope together with the certificate of the key, the leaf first.
    pub fn new(
        envelope: Envelope,
        certificates: Vec<Certificate>,
        timestamps: Vec<Vec<u8>>,
    ) -> Self {
        Self {
            envelope,
            certificates,
            timestamps,
        }
    }

    /// Reads a bundle, of this version or an older one.
    ///
    /// # Errors
    /// [`BundleError`] naming the rule.
    pub fn from_json(text: &[u8]) -> Result<Self, BundleError> {
        if text.len() > BUNDLE_MAX {
            return Err(BundleError::TooLong);
        }
        let object = json::parse_object(text)?.into();
        if let Some(name) = otherwise_spelled(&object) {
            return Err(BundleError::Spelling(name.to_owned()));
        }
        let wire: Wire = json::read(&object)?;
        match &*wire.media_type {
            MEDIA_TYPE | WITH_CHAIN => {}
            older if OLDER.contains(&older) => {}
            _ => return Err(BundleError::MediaType(wire.media_type)),
        }
        let material = wire.verification_material;
        let has_certificate =
            material.certificate.is_some() || material.x509_certificate_chain.is_some();
        // Readers would differ on which of two counts.
        if (wire.dsse_envelope.is_some() && wire.message_signature.is_some())
            || (material.public_key.is_some() && has_certificate)
        {
            return Err(BundleError::Ambiguous);
        }
        let raw = match (material.certificate, material.x509_certificate_chain) {
            (Some(leaf), None) => vec![leaf],
            (None, Some(chain)) => chain.certificates,
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => return Err(BundleError::Certificates),
        };
        let stamps = material.timestamp_verification_data.unwrap_or_default();
        if raw.len() > CERTIFICATES_MAX || stamps.rfc3161_timestamps.len() > TIMESTAMPS_MAX {
            return Err(BundleError::Certificates);
        }
        let decode = |text: &str| base64::decode_any(text).ok_or(BundleError::Base64);
        Ok(Self {
            envelope: wire.dsse_envelope.ok_or(BundleError::NoEnvelope)?,
            certificates: raw
                .iter()
                .map(|raw| Ok(Certificate::from_der(&decode(&raw.raw_bytes)?)?))
                .collect::<Result<_, BundleError>>()?,
            timestamps: stamps
                .rfc3161_timestamps
                .iter()
                .map(|stamp| Ok(token(decode(&stamp.signed_timestamp)?)))
                .collect::<Result<_, BundleError>>()?,
        })
    }

    /// Writes the bundle. A leaf that needs no certificate below its root stands alone, as
    /// version 0.3 has it; a longer chain makes it a bundle of version 0.2.
    ///
    /// # Errors
    /// [`BundleError::Json`] when the serializer fails; it has no reason to.
    pub fn to_json(&self) -> Result<Vec<u8>, BundleError> {
        let raw = |certificate: &Certificate| Raw {
            raw_bytes: base64::encode(certificate.der()),
        };
        let mut material = Material::default();
        let mut media_type = MEDIA_TYPE;
        match self.certificates.as_slice() {
            [leaf] => material.certificate = Some(raw(leaf)),
            chain => {
                let certificates = chain.iter().map(raw).collect();
                material.x509_certificate_chain = Some(RawChain { certificates });
                media_type = WITH_CHAIN;
            }
        }
        if !self.timestamps.is_empty() {
            let signed = |stamp: &Vec<u8>| Signed {
                signed_timestamp: base64::encode(&reply_granted(stamp)),
            };
            material.timestamp_verification_data = Some(Timestamps {
                rfc3161_timestamps: self.timestamps.iter().map(signed).collect(),
            });
        }
        Ok(json::canonical(&Wire {
            media_type: media_type.to_owned(),
            verification_material: material,
            dsse_envelope: Some(self.envelope.clone()),
            message_signature: None,
        })?)
    }

    /// Returns the envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Returns the certificates, the leaf first.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Returns the time-stamp tokens over the signature.
    pub fn timestamps(&self) -> &[Vec<u8>] {
        &self.timestamps
    }

    /// Takes it apart: envelope, certificates and time stamps.
    pub fn into_parts(self) -> (Envelope, Vec<Certificate>, Vec<Vec<u8>>) {
        (self.envelope, self.certificates, self.timestamps)
    }

    /// Returns the statement, when it is one that the key of the bundle's own certificate signed, and
    /// nobody else.
    /// Whether anybody vouches for that key is for the verifier to say.
    pub fn signed_statement(&self) -> Option<Statement> {
        let leaf = self.certificates.first()?;
        let is_signed = self.envelope.payload_type() == PAYLOAD_TYPE
            && self.envelope.only_signature().is_some()
            && self.envelope.is_signed_by(leaf.public_key());
        let statement = is_signed.then(|| Statement::parse(self.envelope.payload()).ok());
        statement.flatten()
    }

    /// Returns `sha256:<hex>` of the payload: what chains and evidence refer to.
    pub fn payload_digest(&self) -> String {
        format!("sha256:{}", hex::encode(&sha256(self.envelope.payload())))
    }
}

/// Finds the name of a member that we read in the spelling of its definition: readers of protocol buffers
/// take either.
fn otherwise_spelled(value: &Value) -> Option<&str> {
    match value {
        Value::Object(object) => object.iter().find_map(|(name, value)| match &**name {
            name if SPELLED_OTHERWISE.contains(&name) => Some(name),
            name if HOLDERS.contains(&name) => otherwise_spelled(value),
            _ => None,
        }),
        Value::Array(values) => values.iter().find_map(otherwise_spelled),
        _ => None,
    }
}

/// Takes the token out of the answer that a bundle carries it in. A bare token stays one, and so
/// does what is neither, for the verifier to refuse.
fn token(stamp: Vec<u8>) -> Vec<u8> {
    match granted_token(&stamp) {
        Some(token) => token.to_vec(),
        None => stamp,
    }
}

/// The bytes are not a bundle that we read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Longer than [`BUNDLE_MAX`].
    #[error("the bundle is longer than {BUNDLE_MAX} bytes")]
    TooLong,
    /// Not the JSON of a bundle.
    #[error("the bundle is malformed: {0}")]
    Json(#[from] JsonError),
    /// A version that we do not read, or something else.
    #[error("media type `{}` is none that notme reads", .0.escape_debug())]
    MediaType(String),
    /// A signature over something else than an envelope.
    #[error("the bundle carries no DSSE envelope")]
    NoEnvelope,
    /// An envelope beside another signature, or a key beside a certificate.
    #[error("the bundle has two contents, or both a key and a certificate")]
    Ambiguous,
    /// A name that not all readers know.
    #[error("the bundle has a member `{0}`, which not all readers spell so")]
    Spelling(String),
    /// Two ways to say who signed, or too many certificates or time stamps.
    #[error(
        "the bundle has two chains, or more than {CERTIFICATES_MAX} certificates or {TIMESTAMPS_MAX} time stamps"
    )]
    Certificates,
    /// A certificate that is none.
    #[error("a certificate of the bundle is malformed")]
    Certificate(#[from] CertificateError),
    /// A member is not base64.
    #[error("the bundle holds a member that is not base64")]
    Base64,
}
