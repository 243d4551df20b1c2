//! A Sigstore `trusted_root.json` (sigstore/protobuf-specs, `sigstore_trustroot.proto`): who
//! certifies, whose logs count, who stamps, and from when to when.
//!
//! What cannot be used is passed over and said: a log of another generation, a key of a kind that
//! is not read. A chain that does not hold together makes the whole file unusable.

use serde::Deserialize;

use crate::{
    base64,
    certificate::{Certificate, CertificateError, ChainError},
    key::PublicKey,
    rekor::LogKey,
    time::UnixTime,
    trust::Trusted,
};

/// The longest file we read, in bytes.
pub const SIGSTORE_ROOT_MAX: usize = 1 << 20;
/// More entries of one kind than any instance has.
const ENTRIES_MAX: usize = 256;
/// More certificates than any chain has.
const CHAIN_MAX: usize = 8;
const MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];

/// What the file says, checked as far as it vouches for itself.
#[derive(Clone, Debug)]
pub struct SigstoreRoot {
    /// The certificates that issue to signers (Fulcio).
    pub issuers: Vec<Trusted<Certificate>>,
    /// The logs that entries are in (Rekor, version 1).
    pub logs: Vec<Trusted<LogKey>>,
    /// The certificates of time-stamping authorities.
    pub tsa: Vec<Trusted<Certificate>>,
    /// What was passed over and why, for people; unescaped.
    pub passed_over: Vec<String>,
}

impl SigstoreRoot {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SigstoreRootError`] when it is too long, no trusted root, of a version that is not read, a
    /// chain in it does not hold together, or nobody in it certifies.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SigstoreRootError> {
        if bytes.len() > SIGSTORE_ROOT_MAX {
            return Err(SigstoreRootError::TooLong);
        }
        let file: File = serde_json::from_slice(bytes)?;
        if !MEDIA_TYPES.contains(&file.media_type.as_str()) {
            return Err(SigstoreRootError::MediaType(file.media_type));
        }
        let counts = [
            file.certificate_authorities.len(),
            file.timestamp_authorities.len(),
            file.tlogs.len(),
        ];
        if counts.iter().any(|count| *count > ENTRIES_MAX) {
            return Err(SigstoreRootError::TooMany);
        }
        let mut root = Self {
            issuers: Vec::new(),
            logs: Vec::new(),
            tsa: Vec::new(),
            passed_over: Vec::new(),
        };
        for entry in &file.certificate_authorities {
            let issuer = entry.read()?;
            if !issuer.value.is_ca() || !issuer.value.has_key_cert_sign() {
                return Err(SigstoreRootError::NotAnIssuer(entry.uri.clone()));
            }
            root.issuers.push(issuer);
        }
        for entry in &file.timestamp_authorities {
            match entry.read() {
                Ok(tsa) if tsa.value.is_for_time_stamps() => root.tsa.push(tsa),
                Ok(_) => root.passed_over.push(format!(
                    "the first certificate of `{}` is not for time stamps",
                    entry.uri
                )),
                Err(error) => return Err(error),
            }
        }
        for entry in &file.tlogs {
            match entry.read()? {
                Some(log) => root.logs.push(log),
                None => root.passed_over.push(format!(
                    "the log `{}` is of a kind that is not read",
                    entry.base_url
                )),
            }
        }
        if root.issuers.is_empty() {
            return Err(SigstoreRootError::Nobody);
        }
        Ok(root)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    media_type: String,
    #[serde(default)]
    tlogs: Vec<Tlog>,
    certificate_authorities: Vec<Chain>,
    #[serde(default)]
    timestamp_authorities: Vec<Chain>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tlog {
    #[serde(default)]
    base_url: String,
    public_key: Key,
    log_id: LogId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    raw_bytes: Option<String>,
    #[serde(default)]
    valid_for: Window,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chain {
    #[serde(default)]
    uri: String,
    cert_chain: Certificates,
    #[serde(default)]
    valid_for: Window,
}

#[derive(Deserialize)]
struct Certificates {
    certificates: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    raw_bytes: String,
}

#[derive(Default, Deserialize)]
struct Window {
    start: Option<String>,
    end: Option<String>,
}

impl Tlog {
    /// Reads a log of the first version, whose id is the SHA-256 of its key.
    fn read(&self) -> Result<Option<Trusted<LogKey>>, SigstoreRootError> {
        let spki = self.public_key.raw_bytes.as_deref();
        let spki = spki.and_then(base64::decode);
        let Some(key) = spki.and_then(|spki| PublicKey::from_spki_der(&spki).ok()) else {
            return Ok(None);
        };
        let key = LogKey::new(key);
        if base64::decode(&self.log_id.key_id).as_deref() != Some(&key.log_id()) {
            return Ok(None);
        }
        let (from, retired_at) = self.public_key.valid_for.read()?;
        Ok(Some(Trusted {
            value: key,
            from: from.unwrap_or(BEGINNING),
            retired_at,
        }))
    }
}

impl Chain {
    /// Reads the first certificate. Those above it have to have issued it, and narrow its time.
    fn read(&self) -> Result<Trusted<Certificate>, SigstoreRootError> {
        if self.cert_chain.certificates.len() > CHAIN_MAX {
            return Err(SigstoreRootError::TooMany);
        }
        let decode = |raw: &Raw| {
            let der = base64::decode(&raw.raw_bytes).ok_or(SigstoreRootError::Base64)?;
            Ok::<_, SigstoreRootError>(Certificate::from_der(&der)?)
        };
        let all = self.cert_chain.certificates.iter().map(decode);
        let all = all.collect::<Result<Vec<_>, _>>()?;
        let Some((first, above)) = all.split_first() else {
            return Err(SigstoreRootError::EmptyChain(self.uri.clone()));
        };
        let (start, mut retired_at) = self.valid_for.read()?;
        let mut from = start.map_or(first.not_before(), |start| start.max(first.not_before()));
        let mut below = first;
        for issuer in above {
            let broken = |source| SigstoreRootError::Chain {
                uri: self.uri.clone(),
                source,
            };
            below.verify_issued_by(issuer).map_err(broken)?;
            from = from.max(issuer.not_before());
            let ends = issuer.not_after();
            retired_at = Some(retired_at.map_or(ends, |end| end.min(ends)));
            below = issuer;
        }
        Ok(Trusted {
            value: first.clone(),
            from,
            retired_at,
        })
    }
}

impl Window {
    fn read(&self) -> Result<(Option<UnixTime>, Option<UnixTime>), SigstoreRootError> {
        let read = |text: &Option<String>| text.as_deref().map(time).transpose();
        Ok((read(&self.start)?, read(&self.end)?))
    }
}

/// Reads a time to the second: some write parts of it.
fn time(text: &str) -> Result<UnixTime, SigstoreRootError> {
    let malformed = || SigstoreRootError::Time(text.to_owned());
    let whole = match text.strip_suffix('Z').and_then(|text| text.split_once('.')) {
        Some((whole, parts)) if parts.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{whole}Z")
        }
        Some(_) => return Err(malformed()),
        None => text.to_owned(),
    };
    whole.parse().map_err(|_| malformed())
}

/// Before anything that is judged.
const BEGINNING: UnixTime = UnixTime::from_secs(i64::MIN);

/// The file is no trusted root that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SigstoreRootError {
    /// Longer than [`SIGSTORE_ROOT_MAX`].
    #[error("the trusted root is longer than {SIGSTORE_ROOT_MAX} bytes")]
    TooLong,
    /// Not JSON, or a member is missing.
    #[error("the trusted root is malformed")]
    Json(#[from] serde_json::Error),
    /// Of a version that is not read.
    #[error("`{}` is no media type of a trusted root that is read", .0.escape_debug())]
    MediaType(String),
    /// More entries, or longer chains, than any has.
    #[error("the trusted root has more entries than are read")]
    TooMany,
    /// A certificate that is not base64.
    #[error("a certificate of the trusted root is not base64")]
    Base64,
    /// A certificate that cannot be read.
    #[error("a certificate of the trusted root cannot be read")]
    Certificate(#[from] CertificateError),
    /// A chain without certificates.
    #[error("the chain of `{}` in the trusted root is empty", .0.escape_debug())]
    EmptyChain(String),
    /// A chain in which one certificate did not issue the one below.
    #[error("the chain of `{}` in the trusted root does not hold", uri.escape_debug())]
    Chain {
        /// Whose it is.
        uri: String,
        /// Which link broke.
        source: ChainError,
    },
    /// A certificate authority that may not issue.
    #[error("the certificate authority `{}` of the trusted root may not issue certificates", .0.escape_debug())]
    NotAnIssuer(String),
    /// A time that is none.
    #[error("`{}` in the trusted root is no time in UTC", .0.escape_debug())]
    Time(String),
    /// Nobody certifies.
    #[error("the trusted root has no certificate authority")]
    Nobody,
}
