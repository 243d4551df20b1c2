//! What Sigstore's verifiers ask for: the authorities that are trusted, as a `trusted_root.json`
//! (sigstore/protobuf-specs, `sigstore_trustroot.proto`).
//!
//! That format knows no revocations. What was taken back of an authority itself is left out, or
//! ends in time; certificates that were taken back one by one cannot be said.

use notme_core::{
    base64,
    certificate::Certificate,
    time::UnixTime,
    trust::{Revocation, Trusted},
};
use notme_verifier::trust::{Authority, PinKind};
use serde::Serialize;

/// The version that we write, which every verifier reads.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";

/// Authorities as Sigstore's verifiers know them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedRoot {
    media_type: &'static str,
    tlogs: [(); 0],
    certificate_authorities: Vec<Entry>,
    ctlogs: [(); 0],
    timestamp_authorities: Vec<Entry>,
}

/// A chain of certificates, and when it counts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    subject: Subject,
    uri: String,
    cert_chain: Chain,
    valid_for: Window,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Subject {
    organization: String,
    common_name: String,
}

#[derive(Debug, Serialize)]
struct Chain {
    certificates: Vec<Raw>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    raw_bytes: String,
}

/// Both ends included.
#[derive(Debug, Serialize)]
struct Window {
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
}

impl TrustedRoot {
    /// Writes down authorities: their X.509 roots, and who stamps for them.
    pub fn of<'a>(authorities: impl Iterator<Item = &'a Authority>) -> Self {
        let mut root = Self {
            media_type: MEDIA_TYPE,
            tlogs: [],
            certificate_authorities: Vec::new(),
            ctlogs: [],
            timestamp_authorities: Vec::new(),
        };
        // An instance of Sigstore has a trusted root of its own, which says more.
        for authority in authorities.filter(|it| it.kind() != PinKind::Sigstore) {
            let roots = authority.roots().iter();
            let entries = roots.filter_map(|it| {
                let end = end_of(it, authority.revocations());
                entry(authority, &[&it.value], (it.from, end))
            });
            root.certificate_authorities.extend(entries);
            for tsa in authority.tsa() {
                let mut revocations = authority.revocations().iter();
                if revocations.any(|it| it.is_of(&tsa.value)) {
                    continue;
                }
                let certificate = &tsa.value;
                let mut roots = authority.roots().iter().map(|root| &root.value);
                let issuer = roots.find(|root| certificate.verify_issued_by(root).is_ok());
                let chain: Vec<_> = std::iter::once(certificate).chain(issuer).collect();
                let window = (tsa.from, tsa.retired_at);
                let entry = entry(authority, &chain, window);
                root.timestamp_authorities.extend(entry);
            }
        }
        root
    }

    /// Tells whether nobody in it certifies anything.
    pub fn is_empty(&self) -> bool {
        self.certificate_authorities.is_empty()
    }
}

/// Returns the last second in which a root counts, when there is one.
fn end_of(root: &Trusted<Certificate>, revocations: &[Revocation]) -> Option<UnixTime> {
    let revoked = revocations.iter().filter(|it| it.is_of(&root.value));
    let ends = revoked.map(|revocation| revocation.since.plus(-1));
    ends.chain(root.retired_at).min()
}

/// Writes down a chain, unless it never counted.
fn entry(
    authority: &Authority,
    chain: &[&Certificate],
    (from, end): (UnixTime, Option<UnixTime>),
) -> Option<Entry> {
    let (leaf, _) = chain.split_first()?;
    if end.is_some_and(|end| end < from) {
        return None;
    }
    let facts = authority.document();
    let certificates = chain.iter().map(|certificate| Raw {
        raw_bytes: base64::encode(certificate.der()),
    });
    Some(Entry {
        subject: Subject {
            organization: facts
                .map_or(authority.name(), |it| &it.trust_domain)
                .to_owned(),
            common_name: leaf.subject_common_name().unwrap_or_default(),
        },
        // Of an embedded one it would say where somebody's home is.
        uri: facts
            .map(|it| it.url.clone())
            .filter(|url| url.contains("://"))
            .unwrap_or_default(),
        cert_chain: Chain {
            certificates: certificates.collect(),
        },
        valid_for: Window {
            start: from.to_string(),
            end: end.map(|end| end.to_string()),
        },
    })
}
