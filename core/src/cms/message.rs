//! Reading and verifying a detached signature.

use super::{
    CmsError,
    algorithm::Scheme,
    attributes::{Attributes, DATA},
    certificate_id::CertificateId,
    signed_data::{SignedData, SignerName},
};
use crate::{
    ber,
    certificate::Certificate,
    der_reader::{Element, SEQUENCE, context},
    key::Hash,
    time::UnixTime,
};

/// The longest message, in DER or BER.
pub const CMS_MAX: usize = ber::BER_MAX;
/// The most certificates in a message: a leaf and what is between it and a root.
pub const CERTIFICATES_MAX: usize = 4;
/// The second byte of a message with indefinite length.
const INDEFINITE: u8 = 0x80;

/// A detached signature that is well-formed. Parsing is not verifying, and
/// [`verify`](Self::verify) does not say whom the certificates belong to.
#[derive(Clone, Debug)]
pub struct SignedMessage {
    /// The signer's first.
    certificates: Vec<Certificate>,
    hash: Hash,
    digest: Vec<u8>,
    signing_time: Option<UnixTime>,
    /// As they came, but for the tag, which is that of a SET (RFC 5652 section 5.4).
    signed_attributes: Vec<u8>,
    scheme: Scheme,
    signature: Vec<u8>,
    unsigned_attributes: Vec<u8>,
    time_stamps: Vec<Vec<u8>>,
    log_entry: Option<Vec<u8>>,
}

impl SignedMessage {
    /// Parses one message: strict DER, or BER when its outermost length is indefinite, as gpgsm
    /// writes it.
    ///
    /// # Errors
    /// [`CmsError`] naming the rule that does not hold; none of those of [`SignedMessage::verify`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CmsError> {
        if bytes.len() > CMS_MAX {
            return Err(CmsError::TooLarge);
        }
        if bytes.get(1) == Some(&INDEFINITE) {
            return Self::parse_der(&ber::to_der(bytes)?);
        }
        Self::parse_der(bytes)
    }

    fn parse_der(der: &[u8]) -> Result<Self, CmsError> {
        let SignedData {
            version,
            certificates,
            signer,
            ..
        } = SignedData::read(der, check_content)?;
        // RFC 5652 5.1: 3 when a SignerInfo is version 3; without attribute certificates and
        // other content types there is no other reason for anything but 1.
        if version != signer.version {
            return Err(CmsError::Version);
        }
        let attributes = Attributes::read(signer.signed_attributes, DATA)?;
        let certificates = read_certificates(certificates, &signer.name)?;
        // The bag and the signer's name are not signed, and one key may have several certificates.
        let ids = CertificateId::of_signer(&attributes)?;
        let is_meant = |it: &Certificate| ids.iter().all(|id| id.is_of(it));
        if !certificates.first().is_some_and(is_meant) {
            return Err(CmsError::OtherCertificate);
        }
        Ok(Self {
            certificates,
            hash: signer.hash,
            digest: attributes.digest.to_vec(),
            signing_time: attributes.signing_time,
            signed_attributes: signer.as_signed(),
            scheme: signer.scheme,
            signature: signer.signature.to_vec(),
            unsigned_attributes: signer.unsigned_attributes.to_vec(),
            time_stamps: (signer.unsigned.time_stamps.iter())
                .map(|it| it.to_vec())
                .collect(),
            log_entry: signer.unsigned.log_entry.map(<[u8]>::to_vec),
        })
    }

    /// Returns the certificates of the message: the signer's, then the others in their order.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Returns the signer's certificate: the one that the message names.
    pub fn signer(&self) -> &Certificate {
        #[expect(
            clippy::expect_used,
            reason = "`read_certificates` puts the signer's first and fails without one"
        )]
        self.certificates.first().expect("the signer's certificate")
    }

    /// Returns the signing time, if there is one: a claim of the signer.
    pub fn signing_time(&self) -> Option<UnixTime> {
        self.signing_time
    }

    /// Returns the hash of the payload's digest.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Returns the signature value: what an RFC 3161 time stamp covers.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Returns the unsigned attributes, DER of one Attribute after the other; empty when there
    /// are none. Nothing covers them.
    pub fn unsigned_attributes(&self) -> &[u8] {
        &self.unsigned_attributes
    }

    /// Returns the time stamps among the unsigned attributes, unread: at most
    /// [`TIME_STAMPS_MAX`](super::TIME_STAMPS_MAX), each for
    /// [`TimeStampToken::parse`](crate::timestamp::TimeStampToken::parse).
    pub fn time_stamps(&self) -> impl Iterator<Item = &[u8]> {
        self.time_stamps.iter().map(Vec::as_slice)
    }

    /// Returns what the signature is over: the DER of the signed attributes as a SET.
    pub fn signed_attributes(&self) -> &[u8] {
        &self.signed_attributes
    }

    /// Returns what a log is said to have answered about the signature, unread: for
    /// [`LogEntry::parse`](crate::rekor::LogEntry::parse).
    pub fn log_entry(&self) -> Option<&[u8]> {
        self.log_entry.as_deref()
    }

    /// Verifies that the key of [`SignedMessage::signer`] signed `payload`, and nothing else:
    /// not who that is, nor whether the certificate is any good.
    ///
    /// # Errors
    /// [`CmsError::DigestMismatch`], [`CmsError::KeyMismatch`] and
    /// [`CmsError::SignatureMismatch`].
    pub fn verify(&self, payload: &[u8]) -> Result<(), CmsError> {
        if self.hash.digest(payload) != self.digest {
            return Err(CmsError::DigestMismatch);
        }
        let key = self.signer().public_key();
        if !self.scheme.is_for(key.algorithm()) {
            return Err(CmsError::KeyMismatch);
        }
        key.verify(self.hash, &self.signed_attributes, &self.signature)
            .map_err(CmsError::SignatureMismatch)
    }
}

/// Checks encapContentInfo: id-data, and no content.
fn check_content(element: Element<'_>) -> Result<(), CmsError> {
    let mut fields = element.reader();
    let content_type = fields.any()?.oid()?;
    if fields.optional(context(0))?.is_some() {
        return Err(CmsError::NotDetached);
    }
    fields.finish()?;
    if content_type != DATA {
        return Err(CmsError::ContentType);
    }
    Ok(())
}

/// Reads all certificates and brings the signer's to the front.
fn read_certificates(
    set: Option<Element<'_>>,
    signer: &SignerName<'_>,
) -> Result<Vec<Certificate>, CmsError> {
    let mut certificates = Vec::with_capacity(1);
    let mut rest = set.ok_or(CmsError::SignerCertificate)?.reader();
    while !rest.is_empty() {
        if certificates.len() == CERTIFICATES_MAX {
            return Err(CmsError::TooManyCertificates);
        }
        certificates.push(Certificate::from_der(rest.expect(SEQUENCE)?.raw)?);
    }
    // Two with the same name would leave it to the reader whose signature it is.
    let mut named = (0..).zip(&certificates).filter(|(_, c)| signer.is_of(c));
    let (Some((position, _)), None) = (named.next(), named.next()) else {
        return Err(CmsError::SignerCertificate);
    };
    if let Some(front) = certificates.get_mut(..=position) {
        front.rotate_right(1);
    }
    Ok(certificates)
}
