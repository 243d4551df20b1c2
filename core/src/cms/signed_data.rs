//! SignedData with one signer, whatever its content.

use der::oid::ObjectIdentifier;

use super::{
    CmsError,
    algorithm::{Scheme, read_digest, read_signature},
    attributes::{Unsigned, read_unsigned},
};
use crate::{
    certificate::Certificate,
    der_reader::{DerError, Element, INTEGER, OCTET_STRING, Reader, SEQUENCE, SET, context},
    key::Hash,
};

/// id-signedData.
pub(super) const SIGNED_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// A SignedData that was taken apart; what its content and its certificates are is not looked at.
#[derive(Clone, Debug)]
pub(crate) struct SignedData<'a, C> {
    pub(crate) version: u64,
    pub(crate) content: C,
    pub(crate) certificates: Option<Element<'a>>,
    pub(crate) signer: SignerInfo<'a>,
}

impl<'a, C> SignedData<'a, C> {
    /// Reads a ContentInfo that holds SignedData; `content` reads its encapContentInfo.
    pub(crate) fn read(
        der: &'a [u8],
        content: impl FnOnce(Element<'a>) -> Result<C, CmsError>,
    ) -> Result<Self, CmsError> {
        let mut content_info = Reader::only(der, SEQUENCE)?.reader();
        if content_info.any()?.oid()? != SIGNED_DATA {
            return Err(CmsError::NotSignedData);
        }
        let signed_data = content_info.expect(context(0))?;
        content_info.finish()?;

        let mut fields = Reader::only(signed_data.value, SEQUENCE)?.reader();
        let version = fields.expect(INTEGER)?.unsigned()?;
        let digest_algorithms = fields.expect(SET)?;
        let content = content(fields.expect(SEQUENCE)?)?;
        let certificates = fields.optional(context(0))?;
        // Revocation lists `[1]` are not read: nothing in git carries them.
        let signer_infos = fields.expect(SET)?;
        fields.finish()?;

        let signer = SignerInfo::read(only_signer(signer_infos)?)?;
        check_listed(signer.hash, digest_algorithms)?;
        Ok(Self {
            version,
            content,
            certificates,
            signer,
        })
    }
}

/// How a message names its signer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SignerName<'a> {
    IssuerAndSerial { issuer: &'a [u8], serial: &'a [u8] },
    SubjectKeyId(&'a [u8]),
}

impl SignerName<'_> {
    pub(crate) fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            Self::IssuerAndSerial { issuer, serial } => {
                certificate.issuer_der() == *issuer && certificate.serial() == *serial
            }
            Self::SubjectKeyId(id) => certificate.subject_key_id() == Some(id),
        }
    }
}

/// One signer: its signature, and what it covers.
#[derive(Clone, Debug)]
pub(crate) struct SignerInfo<'a> {
    pub(crate) version: u64,
    pub(crate) name: SignerName<'a>,
    pub(crate) hash: Hash,
    pub(crate) signed_attributes: Element<'a>,
    pub(crate) scheme: Scheme,
    pub(crate) signature: &'a [u8],
    pub(crate) unsigned_attributes: &'a [u8],
    pub(crate) unsigned: Unsigned<'a>,
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
        let scheme = read_signature(fields.any()?, hash)?;
        let signature = fields.expect(OCTET_STRING)?.value;
        let unsigned_attributes = fields.optional(context(1))?;
        fields.finish()?;
        Ok(Self {
            unsigned: unsigned_attributes
                .map(read_unsigned)
                .transpose()?
                .unwrap_or_default(),
            version,
            name,
            hash,
            signed_attributes,
            scheme,
            signature,
            unsigned_attributes: unsigned_attributes.map_or(&[], |set| set.value),
        })
    }

    /// Returns the signed attributes as they were signed: tagged as a SET (RFC 5652 section 5.4).
    pub(crate) fn as_signed(&self) -> Vec<u8> {
        let mut set = self.signed_attributes.raw.to_vec();
        if let Some(tag) = set.first_mut() {
            *tag = SET;
        }
        set
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
