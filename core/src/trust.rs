//! The signed trust document: an authority's roots, their windows, and what it revoked.
//!
//! A DSSE envelope over canonical JSON (RFC 8785). Every current root signs it; at a rotation the
//! root that goes signs too, and leaves a [`Handover`], so that whoever pinned it can walk to the
//! next.

mod handover;
mod seen;
mod trusted;

use std::{collections::BTreeSet, fmt::Display};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    certificate::Certificate,
    dsse::{Envelope, EnvelopeError},
    hex,
    identity::is_trust_domain,
    key::{Algorithm, KeyId, SignError, Signer, sha256},
    openpgp::{Fingerprint, TrustedKey},
    ssh,
    time::UnixTime,
};

pub use self::{
    handover::{Handover, Retirement, SUCCESSORS_MAX},
    seen::{Seen, SuccessionError},
    trusted::{Trusted, is_until},
};

/// The DSSE payload type.
pub const PAYLOAD_TYPE: &str = "application/vnd.notme.trust+json";
/// The version that we read and write.
pub const VERSION: u64 = 1;
/// How far in the future `issued_at` may lie, in seconds.
pub const FUTURE_SKEW: i64 = 60;
/// The most roots, past and present, that a document names.
pub const ROOTS_MAX: usize = 256;

/// What an authority publishes about itself. Unsigned on its own; see [`TrustDocument::verify`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrustDocument {
    /// Always [`VERSION`].
    pub version: u64,
    /// URL of the authority.
    pub authority: String,
    /// The first segment of the identities it issues.
    pub trust_domain: String,
    /// Rises with every change and never falls.
    pub seqno: u64,
    /// When this document was signed.
    pub issued_at: UnixTime,
    /// When a newer one should be there.
    pub expires_at: UnixTime,
    /// Rises with every rotation.
    pub epoch: u64,
    /// Roots, past and present.
    pub roots: Vec<Root>,
    /// OpenSSH certificate authorities, past and present.
    pub ssh_ca: Vec<SshCa>,
    /// OpenPGP certification keys, past and present.
    pub openpgp: Vec<OpenPgpCa>,
    /// Time-stamping authorities, past and present.
    pub tsa: Vec<Tsa>,
    /// Transparency logs.
    pub log: Vec<serde_json::Value>,
    /// What was revoked.
    pub revocations: Vec<Revocation>,
    /// SHA-256, in hex, of the payload before this one.
    pub previous: Option<String>,
}

/// One root and the time in which it issued.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The self-signed certificate, as PEM.
    #[serde(serialize_with = "write_pem", deserialize_with = "read_pem")]
    pub certificate: Certificate,
    /// The id of its key.
    pub kid: KeyId,
    /// The kind of its key.
    pub algorithm: Algorithm,
    /// When it began to issue. A time after that of the document is not yet true: such a root is
    /// prepared, and issues nothing.
    pub from: UnixTime,
    /// When it ceased to issue. A time after that of the document is not yet true: such a root is
    /// current.
    pub retired_at: Option<UnixTime>,
    /// What it signed when it retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
}

/// A key that signed OpenSSH certificates, and the time in which it did.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SshCa {
    /// The key, as the line of a public key file without a comment.
    #[serde(serialize_with = "write_ssh", deserialize_with = "read_ssh")]
    pub public_key: ssh::PublicKey,
    /// The id of the key.
    pub kid: KeyId,
    /// When it began to issue.
    pub from: UnixTime,
    /// When it ceased to issue, as for [`Root::retired_at`].
    pub retired_at: Option<UnixTime>,
}

/// A key that certified OpenPGP keys, and the time in which it did.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OpenPgpCa {
    /// The transferable public key, in its armor.
    pub certificate: TrustedKey,
    /// Its fingerprint, in upper-case hex.
    #[serde(serialize_with = "write_text", deserialize_with = "read_fingerprint")]
    pub fingerprint: Fingerprint,
    /// The id of the key.
    pub kid: KeyId,
    /// When it began to issue.
    pub from: UnixTime,
    /// When it ceased to issue, as for [`Root::retired_at`].
    pub retired_at: Option<UnixTime>,
}

/// A time-stamping authority, and the time in which it stamped.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tsa {
    /// Its certificate, as PEM: that it is named here is what it is believed for.
    #[serde(serialize_with = "write_pem", deserialize_with = "read_pem")]
    pub certificate: Certificate,
    /// The id of its key.
    pub kid: KeyId,
    /// When it began to stamp.
    pub from: UnixTime,
    /// When it ceased to stamp, as for [`Root::retired_at`].
    pub retired_at: Option<UnixTime>,
}

/// One thing that is no longer to be trusted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// What `value` names.
    pub kind: RevocationKind,
    /// The thing revoked.
    pub value: String,
    /// From when on nothing judged by it holds.
    pub since: UnixTime,
    /// Why.
    pub reason: String,
}

impl Revocation {
    /// Tells whether it takes back this very certificate, or its key.
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        match self.kind {
            RevocationKind::Certificate => certificate.serial_hex() == self.value,
            RevocationKind::Key => certificate.kid().to_string() == self.value,
            RevocationKind::Session | RevocationKind::Identity | RevocationKind::Epoch => false,
        }
    }
}

/// The kinds of things that can be revoked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RevocationKind {
    /// A certificate, by serial number.
    Certificate,
    /// A key, by key id.
    Key,
    /// A session, by its id.
    Session,
    /// An identity, by its URI.
    Identity,
    /// All certificates of an epoch.
    Epoch,
}

impl RevocationKind {
    /// Returns its name in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
            Self::Session => "session",
            Self::Identity => "identity",
            Self::Epoch => "epoch",
        }
    }
}

/// Proof that a trust document was checked. Only [`TrustDocument::verify`] makes one.
#[derive(Clone, Debug)]
#[must_use]
pub struct VerifiedTrust {
    document: TrustDocument,
    payload_sha256: [u8; 32],
}

impl VerifiedTrust {
    /// Returns the document.
    pub fn document(&self) -> &TrustDocument {
        &self.document
    }

    /// Returns the SHA-256 of the payload bytes: what tells two documents of one seqno apart.
    pub fn payload_sha256(&self) -> [u8; 32] {
        self.payload_sha256
    }

    /// Returns what to remember of it.
    pub fn seen(&self) -> Seen {
        Seen {
            seqno: self.document.seqno,
            payload_sha256: self.payload_sha256,
        }
    }
}

impl TrustDocument {
    /// Signs the document and returns the JSON envelope.
    ///
    /// # Errors
    /// [`TrustError`] when a key could not be used.
    pub fn sign(&self, keys: &[&dyn Signer]) -> Result<Vec<u8>, TrustError> {
        let payload = serde_json_canonicalizer::to_vec(self).map_err(TrustError::Json)?;
        Ok(Envelope::sign(PAYLOAD_TYPE, payload, keys)?.to_json()?)
    }

    /// Checks an envelope from an authority of which nothing but pins is known: signed by a
    /// pinned root, or by one that a pinned root handed over to, and by every current root,
    /// consistent in itself, and not from the future. A retired root has to be pinned, to have
    /// signed too, or to have handed over, or anybody's root could be named as one's own.
    ///
    /// `pins` are SHA-256 digests of SubjectPublicKeyInfos. Freshness and rollback are the
    /// caller's, who knows what it saw before.
    ///
    /// # Errors
    /// [`TrustError`] naming the rule that was broken.
    pub fn verify(
        envelope: &[u8],
        pins: &[[u8; 32]],
        now: UnixTime,
    ) -> Result<VerifiedTrust, TrustError> {
        Self::verify_successor(envelope, pins, &[], now)
    }

    /// Checks an envelope as [`Self::verify`] does, of an authority whose documents were seen
    /// before: `retired` are digests of the roots that those named, which may be named again
    /// without having signed. They count for nothing else.
    ///
    /// # Errors
    /// [`TrustError`] naming the rule that was broken.
    pub fn verify_successor(
        envelope: &[u8],
        pins: &[[u8; 32]],
        retired: &[[u8; 32]],
        now: UnixTime,
    ) -> Result<VerifiedTrust, TrustError> {
        let envelope = Envelope::from_json(envelope)?;
        if envelope.payload_type() != PAYLOAD_TYPE {
            return Err(TrustError::PayloadType);
        }
        let document: Self =
            serde_json::from_slice(envelope.payload()).map_err(TrustError::Json)?;
        document.check()?;

        let signers: BTreeSet<[u8; 32]> = document
            .roots
            .iter()
            .filter(|root| envelope.is_signed_by(root.certificate.public_key()))
            .map(Root::spki_sha256)
            .collect();
        let signed = |root: &&Root| signers.contains(&root.spki_sha256());
        if document.reached(pins).is_disjoint(&signers) {
            return Err(TrustError::NotPinned);
        }
        let unsigned = document.current_roots().find(|root| !signed(root));
        if let Some(root) = unsigned {
            return Err(TrustError::Unsigned(root.kid));
        }
        let annexed = document.retired_roots().find(|root| {
            let digest = root.spki_sha256();
            let known = pins.contains(&digest) || retired.contains(&digest);
            !known && !signed(root) && root.handover.is_none()
        });
        if let Some(root) = annexed {
            return Err(TrustError::Annexed(root.kid));
        }
        // Last, since only a document that is otherwise good shows that a clock is wrong.
        if document.issued_at > now.plus(FUTURE_SKEW) {
            return Err(TrustError::Future {
                issued_at: document.issued_at,
                now,
            });
        }
        Ok(VerifiedTrust {
            payload_sha256: sha256(envelope.payload()),
            document,
        })
    }

    /// Returns the SSH authorities that issue.
    pub fn current_ssh_ca(&self) -> impl Iterator<Item = &SshCa> {
        let issues = |ca: &&SshCa| self.issues(ca.from, ca.retired_at);
        self.ssh_ca.iter().filter(issues)
    }

    /// Returns the OpenPGP authorities that issue.
    pub fn current_openpgp(&self) -> impl Iterator<Item = &OpenPgpCa> {
        let issues = |ca: &&OpenPgpCa| self.issues(ca.from, ca.retired_at);
        self.openpgp.iter().filter(issues)
    }

    /// Returns the time-stamping authorities that stamp.
    pub fn current_tsa(&self) -> impl Iterator<Item = &Tsa> {
        let issues = |tsa: &&Tsa| self.issues(tsa.from, tsa.retired_at);
        self.tsa.iter().filter(issues)
    }

    /// Returns the roots that issue: the current ones without those that are only prepared.
    pub fn issuing_roots(&self) -> impl Iterator<Item = &Root> {
        let issues = |root: &&Root| self.issues(root.from, root.retired_at);
        self.roots.iter().filter(issues)
    }

    /// Returns the roots that have not ceased to issue, prepared ones among them.
    pub fn current_roots(&self) -> impl Iterator<Item = &Root> {
        let is_current = |root: &&Root| self.is_current(root.retired_at);
        self.roots.iter().filter(is_current)
    }

    /// Returns the roots that ceased to issue before the document was signed.
    pub fn retired_roots(&self) -> impl Iterator<Item = &Root> {
        let is_retired = |root: &&Root| !self.is_current(root.retired_at);
        self.roots.iter().filter(is_retired)
    }

    fn is_current(&self, retired_at: Option<UnixTime>) -> bool {
        retired_at.is_none_or(|at| at > self.issued_at)
    }

    fn issues(&self, from: UnixTime, retired_at: Option<UnixTime>) -> bool {
        from <= self.issued_at && self.is_current(retired_at)
    }

    /// Returns the pins, and every root that one of them leads to by handovers. Each round finds
    /// at least one more, of at most [`ROOTS_MAX`] times [`SUCCESSORS_MAX`].
    fn reached(&self, pins: &[[u8; 32]]) -> BTreeSet<[u8; 32]> {
        let mut reached: BTreeSet<_> = pins.iter().copied().collect();
        loop {
            let before = reached.len();
            for root in &self.roots {
                if let Some(handover) = &root.handover
                    && reached.contains(&root.spki_sha256())
                {
                    reached.extend(handover.to());
                }
            }
            if reached.len() == before {
                return reached;
            }
        }
    }

    fn check(&self) -> Result<(), TrustError> {
        if self.version != VERSION {
            return Err(TrustError::Version(self.version));
        }
        if self.seqno == 0 {
            return Err(TrustError::Seqno);
        }
        if !is_trust_domain(&self.trust_domain) {
            return Err(TrustError::TrustDomain(self.trust_domain.clone()));
        }
        if self.issued_at.secs() <= 0 {
            return Err(TrustError::IssuedAt(self.issued_at));
        }
        if self.expires_at <= self.issued_at {
            return Err(TrustError::ExpiresAt);
        }
        let previous_ok = self
            .previous
            .as_ref()
            .is_none_or(|digest| hex::decode_array::<32>(digest).is_some());
        if !previous_ok {
            return Err(TrustError::Previous);
        }
        if self.current_roots().next().is_none() {
            return Err(TrustError::NoRoots);
        }
        if self.roots.len() > ROOTS_MAX {
            return Err(TrustError::TooManyRoots(self.roots.len()));
        }
        self.roots
            .iter()
            .try_for_each(|root| root.check(&self.trust_domain))?;
        self.ssh_ca.iter().try_for_each(SshCa::check)?;
        self.openpgp.iter().try_for_each(OpenPgpCa::check)?;
        self.tsa.iter().try_for_each(Tsa::check)?;
        self.check_separation()
    }

    /// Checks that every key stands once: one that signed in two formats could be made to sign
    /// for one what means something in the other.
    fn check_separation(&self) -> Result<(), TrustError> {
        let mut seen = BTreeSet::new();
        let roots = self.roots.iter().map(|root| root.kid);
        let ssh = self.ssh_ca.iter().map(|ca| ca.kid);
        let openpgp = self.openpgp.iter().map(|ca| ca.kid);
        let tsa = self.tsa.iter().map(|tsa| tsa.kid);
        match roots
            .chain(ssh)
            .chain(openpgp)
            .chain(tsa)
            .find(|kid| !seen.insert(*kid))
        {
            Some(kid) => Err(TrustError::Repeated(kid)),
            None => Ok(()),
        }
    }
}

impl Root {
    fn spki_sha256(&self) -> [u8; 32] {
        self.certificate.public_key().spki_sha256()
    }

    fn check(&self, trust_domain: &str) -> Result<(), TrustError> {
        let key = self.certificate.public_key();
        let consistent = key.kid() == self.kid
            && key.algorithm() == self.algorithm
            && self.retired_at.is_none_or(|at| at > self.from)
            && self.certificate.verify_issued_by(&self.certificate).is_ok();
        if !consistent {
            return Err(TrustError::Root(self.kid));
        }
        let Some(handover) = &self.handover else {
            return Ok(());
        };
        let is_good = self.retired_at.is_some_and(|retired_at| {
            handover.is_of(&Retirement {
                trust_domain,
                root: key,
                from: self.from,
                retired_at,
            })
        });
        match is_good {
            true => Ok(()),
            false => Err(TrustError::Handover(self.kid)),
        }
    }
}

impl SshCa {
    fn check(&self) -> Result<(), TrustError> {
        let consistent =
            self.public_key.kid() == self.kid && self.retired_at.is_none_or(|at| at > self.from);
        if consistent {
            Ok(())
        } else {
            Err(TrustError::SshCa(self.kid))
        }
    }
}

impl OpenPgpCa {
    fn check(&self) -> Result<(), TrustError> {
        let consistent = self.certificate.key().kid() == Some(self.kid)
            && *self.certificate.fingerprint() == self.fingerprint
            && self.retired_at.is_none_or(|at| at > self.from);
        if consistent {
            Ok(())
        } else {
            Err(TrustError::OpenPgp(self.kid))
        }
    }
}

impl Tsa {
    fn check(&self) -> Result<(), TrustError> {
        let consistent = self.certificate.kid() == self.kid
            && self.certificate.is_for_time_stamps()
            && self.retired_at.is_none_or(|at| at > self.from);
        if consistent {
            Ok(())
        } else {
            Err(TrustError::Tsa(self.kid))
        }
    }
}

fn write_pem<S: Serializer>(certificate: &Certificate, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&certificate.pem())
}

fn read_pem<'de, D: Deserializer<'de>>(from: D) -> Result<Certificate, D::Error> {
    Certificate::from_pem(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn write_ssh<S: Serializer>(key: &ssh::PublicKey, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&ssh::Key::Plain(key.clone()).to_text())
}

fn read_ssh<'de, D: Deserializer<'de>>(from: D) -> Result<ssh::PublicKey, D::Error> {
    let line = String::deserialize(from)?;
    match ssh::Key::from_text(&line).map_err(D::Error::custom)? {
        (ssh::Key::Plain(key), "") => Ok(key),
        (ssh::Key::Plain(_) | ssh::Key::Certified(_), _) => {
            Err(D::Error::custom("expected a plain key without a comment"))
        }
    }
}

fn write_text<S: Serializer>(value: &impl Display, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(value)
}

fn read_fingerprint<'de, D: Deserializer<'de>>(from: D) -> Result<Fingerprint, D::Error> {
    let text = String::deserialize(from)?;
    Fingerprint::from_hex(&text)
        .filter(|fingerprint| fingerprint.to_string() == text)
        .ok_or_else(|| D::Error::custom("expected a fingerprint in upper-case hex"))
}

/// The trust document is not one to rely on.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not an envelope.
    #[error("the trust document is not a signed envelope")]
    Envelope(#[from] EnvelopeError),
    /// The envelope carries something else.
    #[error("the envelope does not carry a trust document")]
    PayloadType,
    /// Not the JSON of a trust document.
    #[error("the trust document is malformed")]
    Json(#[source] serde_json::Error),
    /// A version we do not read.
    #[error("trust document version {0} is not supported")]
    Version(u64),
    /// The sequence number is zero.
    #[error("the sequence number is zero")]
    Seqno,
    /// The trust domain is not a host with or without a port.
    #[error("the trust domain `{}` is not a host or a host and a port", .0.escape_debug())]
    TrustDomain(String),
    /// Issued at zero, or before 1970.
    #[error("`issued_at` is zero or before 1970: {0}")]
    IssuedAt(UnixTime),
    /// Issued in the future, as the caller's clock has it.
    #[error("the trust document is of {issued_at}, and this machine's clock says {now}")]
    Future {
        /// When the document says that it was signed.
        issued_at: UnixTime,
        /// The caller's time.
        now: UnixTime,
    },
    /// It expires before it was issued.
    #[error("`expires_at` is not after `issued_at`")]
    ExpiresAt,
    /// `previous` is not a SHA-256.
    #[error("`previous` is not a SHA-256 digest")]
    Previous,
    /// No current root.
    #[error("the trust document names no current root")]
    NoRoots,
    /// More roots than [`ROOTS_MAX`].
    #[error("the trust document names {0} roots, and at most {ROOTS_MAX} are read")]
    TooManyRoots(usize),
    /// A root contradicts its certificate.
    #[error("root `{0}` contradicts its certificate")]
    Root(KeyId),
    /// A root did not sign the handover that it is said to have made.
    #[error("root `{0}` did not sign its handover")]
    Handover(KeyId),
    /// An SSH authority contradicts its key.
    #[error("SSH authority `{0}` contradicts its key")]
    SshCa(KeyId),
    /// An OpenPGP authority contradicts its key.
    #[error("OpenPGP authority `{0}` contradicts its key")]
    OpenPgp(KeyId),
    /// A time-stamping authority contradicts its certificate, or has one for other things.
    #[error("time-stamping authority `{0}` contradicts its certificate")]
    Tsa(KeyId),
    /// A key stands twice.
    #[error("key `{0}` is listed twice")]
    Repeated(KeyId),
    /// No pinned root signed it, and none handed over to one that did.
    #[error("no pinned root signed the trust document, nor one that a pinned root handed over to")]
    NotPinned,
    /// A current root did not sign it.
    #[error("current root `{0}` did not sign the trust document")]
    Unsigned(KeyId),
    /// A retired root was not known before, did not sign it and did not hand over.
    #[error("retired root `{0}` was never pinned and did not sign the trust document")]
    Annexed(KeyId),
    /// A key could not be used.
    #[error(transparent)]
    Sign(#[from] SignError),
}
