//! Which certificate a signer signed with, as the signature itself says (RFC 5035).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest as legacy_digest};
use der::oid::ObjectIdentifier;

use super::{
    CmsError,
    algorithm::read_digest,
    attributes::{Attributes, SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2, one},
};
use crate::{
    certificate::Certificate,
    der_reader::{Element, INTEGER, OCTET_STRING, SEQUENCE, context},
    key::{Hash, sha256},
};

/// ESSCertID or ESSCertIDv2: a certificate by its digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CertificateId<'a> {
    /// `None`: SHA-1.
    hash: Option<Hash>,
    digest: &'a [u8],
    /// Issuer and serial number, when it says them too.
    issuer_serial: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> CertificateId<'a> {
    /// Reads the ids of the signer's own certificate: the first of each version that is there. The
    /// others name what is above it.
    pub(crate) fn of_signer(attributes: &Attributes<'a>) -> Result<Vec<Self>, CmsError> {
        let names = [SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2];
        let mut ids = Vec::with_capacity(1);
        for (name, values) in names.into_iter().zip(attributes.signing_certificate) {
            let Some(values) = values else {
                continue;
            };
            let mut fields = one(name, values, SEQUENCE)?.reader();
            let mut list = fields.expect(SEQUENCE)?.reader();
            let own = list.expect(SEQUENCE)?;
            // Policies may follow; they say nothing of whose it is.
            fields.optional(SEQUENCE)?;
            fields.finish()?;
            ids.push(Self::read(name, own)?);
        }
        Ok(ids)
    }

    /// Tells whether it is that of a certificate.
    pub(crate) fn is_of(&self, certificate: &Certificate) -> bool {
        let der = certificate.der();
        let same_digest = match self.hash {
            // What it is compared with was issued by somebody whom its reader trusts, so that it
            // takes a second preimage, which SHA-1 still withstands.
            None => legacy_digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref() == self.digest,
            Some(Hash::Sha256) => sha256(der) == self.digest,
            Some(hash) => hash.digest(der) == self.digest,
        };
        let named = (certificate.issuer_der(), certificate.serial());
        same_digest && self.issuer_serial.is_none_or(|it| it == named)
    }

    fn read(name: ObjectIdentifier, own: Element<'a>) -> Result<Self, CmsError> {
        let mut fields = own.reader();
        let hash = if name == SIGNING_CERTIFICATE_V2 {
            let named = fields.optional(SEQUENCE)?.map(read_digest).transpose()?;
            Some(named.unwrap_or(Hash::Sha256))
        } else {
            None
        };
        let digest = fields.expect(OCTET_STRING)?.value;
        let issuer_serial = fields.optional(SEQUENCE)?;
        fields.finish()?;
        let read = |it| read_issuer_serial(name, it);
        Ok(Self {
            hash,
            digest,
            issuer_serial: issuer_serial.map(read).transpose()?,
        })
    }
}

/// Reads IssuerSerial, whose issuer is a GeneralNames of one directoryName.
fn read_issuer_serial(
    attribute: ObjectIdentifier,
    element: Element<'_>,
) -> Result<(&[u8], &[u8]), CmsError> {
    const DIRECTORY_NAME: u8 = context(4);
    let mut fields = element.reader();
    let mut names = fields.expect(SEQUENCE)?.reader();
    let name = names.optional(DIRECTORY_NAME)?;
    let serial = fields.expect(INTEGER)?.value;
    fields.finish()?;
    match name {
        Some(name) if names.is_empty() => Ok((name.value, serial)),
        Some(_) | None => Err(CmsError::AttributeValue(attribute)),
    }
}
