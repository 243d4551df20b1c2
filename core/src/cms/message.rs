//! Reading and verifying a detached signature.

use der::oid::ObjectIdentifier;

use super::{
    CmsError,
    algorithm::{read_digest, read_signature},
    attributes::{Attributes, DATA, check_unsigned},
};
use crate::{
    ber,
    certificate::Certificate,
    der_reader::{DerError, Element, INTEGER, OCTET_STRING, Reader, SEQUENCE, SET, context},
    key::{Algorithm, Hash},
    time::UnixTime,
};

/// id-signedData.
pub(super) const SIGNED_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
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
    algorithm: Algorithm,
    signature: Vec<u8>,
    unsigned_attributes: Vec<u8>,
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
        let mut content_info = Reader::only(der, SEQUENCE)?.reader();
        if content_info.any()?.oid()? != SIGNED_DATA {
            return Err(CmsError::NotSignedData);
        }
        let content = content_info.expect(context(0))?;
        content_info.finish()?;

        let mut fields = Reader::only(content.value, SEQUENCE)?.reader();
        let version = fields.expect(INTEGER)?.unsigned()?;
        let digest_algorithms = fields.expect(SET)?;
        check_content(fields.expect(SEQUENCE)?)?;
        let certificates = fields.optional(context(0))?;
        // Revocation lists `[1]` are not read: nothing in git carries them.
        let signer_infos = fields.expect(SET)?;
        fields.finish()?;

        let signer = SignerInfo::read(only_signer(signer_infos)?)?;
        // RFC 5652 5.1: 3 when a SignerInfo is version 3; without attribute certificates and
        // other content types there is no other reason for anything but 1.
        if version != signer.version {
            return Err(CmsError::Version);
        }
        check_listed(signer.hash, digest_algorithms)?;
        let attributes = Attributes::read(signer.signed_attributes)?;
        Ok(Self {
            certificates: read_certificates(certificates, &signer.name)?,
            hash: signer.hash,
            digest: attributes.digest.to_vec(),
            signing_time: attributes.signing_time,
            signed_attributes: as_set(signer.signed_attributes),
            algorithm: signer.algorithm,
            signature: signer.signature.to_vec(),
            unsigned_attributes: signer.unsigned_attributes.to_vec(),
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
        if key.algorithm() != self.algorithm {
            return Err(CmsError::KeyMismatch);
        }
        key.verify(self.hash, &self.signed_attributes, &self.signature)
            .map_err(CmsError::SignatureMismatch)
    }
}

/// How a message names its signer.
enum SignerName<'a> {
    IssuerAndSerial { issuer: &'a [u8], serial: &'a [u8] },
    SubjectKeyId(&'a [u8]),
}

impl SignerName<'_> {
    fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            Self::IssuerAndSerial { issuer, serial } => {
                certificate.issuer_der() == *issuer && certificate.serial() == *serial
            }
            Self::SubjectKeyId(id) => certificate.subject_key_id() == Some(id),
        }
    }
}

struct SignerInfo<'a> {
    version: u64,
    name: SignerName<'a>,
    hash: Hash,
    signed_attributes: Element<'a>,
    algorithm: Algorithm,
    signature: &'a [u8],
    unsigned_attributes: &'a [u8],
}

impl<'a> SignerInfo<'a> {
    fn read(element: Element<'a>) -> Result<Self, CmsError> {
        let mut fields = element.reader();
        let version = fields.expect(INTEGER)?.unsigned()?;
        let name = signer_name(fields.any()?)?;
        let expected = match name {
            SignerName::IssuerAndSerial { .. } => 1,
            SignerName::SubjectKeyId(_) => 3,
        };
        if version != expected {
            return Err(CmsError::Version);
        }
        let hash = read_digest(fields.any()?)?;
        let signed_attributes = fields
            .optional(context(0))?
            .ok_or(CmsError::NoSignedAttributes)?;
        let algorithm = read_signature(fields.any()?, hash)?;
        let signature = fields.expect(OCTET_STRING)?.value;
        let unsigned_attributes = fields.optional(context(1))?;
        fields.finish()?;
        if let Some(attributes) = unsigned_attributes {
            check_unsigned(attributes)?;
        }
        Ok(Self {
            version,
            name,
            hash,
            signed_attributes,
            algorithm,
            signature,
            unsigned_attributes: unsigned_attributes.map_or(&[], |set| set.value),
        })
    }
}

fn signer_name(element: Element<'_>) -> Result<SignerName<'_>, DerError> {
    const SUBJECT_KEY_ID: u8 = 0x80;
    match element.tag {
        SEQUENCE => {
            let mut fields = element.reader();
            let issuer = fields.expect(SEQUENCE)?.raw;
            let serial = fields.expect(INTEGER)?.value;
            fields.finish()?;
            Ok(SignerName::IssuerAndSerial { issuer, serial })
        }
        SUBJECT_KEY_ID => Ok(SignerName::SubjectKeyId(element.value)),
        _ => Err(DerError),
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

fn only_signer(set: Element<'_>) -> Result<Element<'_>, CmsError> {
    let mut signers = set.reader();
    let signer = signers.optional(SEQUENCE)?.ok_or(CmsError::SignerCount)?;
    if !signers.is_empty() {
        return Err(CmsError::SignerCount);
    }
    Ok(signer)
}

/// Checks that the message announces the signer's digest, and no broken one beside it.
fn check_listed(hash: Hash, set: Element<'_>) -> Result<(), CmsError> {
    let mut algorithms = set.reader();
    let mut listed = false;
    while !algorithms.is_empty() {
        listed |= read_digest(algorithms.any()?)? == hash;
    }
    if !listed {
        return Err(CmsError::DigestAlgorithms);
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

fn as_set(attributes: Element<'_>) -> Vec<u8> {
    let mut set = attributes.raw.to_vec();
    if let Some(tag) = set.first_mut() {
        *tag = SET;
    }
    set
}
