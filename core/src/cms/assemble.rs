//! Writing a signature.

use der::oid::ObjectIdentifier;

use super::{
    algorithm::{write_digest, write_signature},
    attributes::{DATA, SignedAttributes, write_time_stamp},
    signed_data::SIGNED_DATA,
};
use crate::{
    certificate::Certificate,
    der_reader::{INTEGER, OCTET_STRING, SET, context},
    der_writer::{element, oid, sequence, unsigned},
    key::Hash,
};

/// The version of a SignerInfo when issuer and serial name the signer, and of SignedData over
/// plain bytes.
const VERSION: u8 = 1;
/// The version of SignedData over anything else (RFC 5652 section 5.1).
const VERSION_OF_TYPED: u8 = 3;

/// Assembles a detached SignedData: one signer named by issuer and serial number, the leaf and
/// its intermediates, no root.
///
/// It puts together what it is given; that the signature is the leaf's over the attributes is
/// for [`SignedMessage::verify`](super::SignedMessage::verify) to say.
pub fn assemble(
    attributes: &SignedAttributes,
    signature: &[u8],
    leaf: &Certificate,
    intermediates: &[Certificate],
) -> Vec<u8> {
    assemble_with(attributes, signature, (leaf, intermediates), &[])
}

/// Assembles as [`assemble`] does, with a time stamp over the signature among the unsigned
/// attributes.
pub fn assemble_time_stamped(
    attributes: &SignedAttributes,
    signature: &[u8],
    leaf: &Certificate,
    intermediates: &[Certificate],
    token: &[u8],
) -> Vec<u8> {
    let unsigned = element(context(1), &[&write_time_stamp(token)]);
    assemble_with(attributes, signature, (leaf, intermediates), &unsigned)
}

fn assemble_with(
    attributes: &SignedAttributes,
    signature: &[u8],
    (leaf, intermediates): (&Certificate, &[Certificate]),
    unsigned: &[u8],
) -> Vec<u8> {
    let mut certificates = vec![leaf.der()];
    certificates.extend(intermediates.iter().map(Certificate::der));
    let draft = Draft {
        content_type: DATA,
        content: None,
        hash: attributes.hash(),
        signed_attributes: attributes.der(),
        signature,
        certificates: &certificates,
        unsigned_attributes: unsigned,
    };
    draft.write(leaf)
}

/// What a SignedData is put together from.
pub(crate) struct Draft<'a> {
    pub(crate) content_type: ObjectIdentifier,
    /// What goes inside; `None` for a detached signature.
    pub(crate) content: Option<&'a [u8]>,
    pub(crate) hash: Hash,
    /// As they were signed.
    pub(crate) signed_attributes: &'a [u8],
    pub(crate) signature: &'a [u8],
    pub(crate) certificates: &'a [&'a [u8]],
    /// With their tag; empty when there are none.
    pub(crate) unsigned_attributes: &'a [u8],
}

impl Draft<'_> {
    /// Writes the ContentInfo.
    pub(crate) fn write(&self, signer: &Certificate) -> Vec<u8> {
        let digest_algorithm = write_digest(self.hash);
        let mut attributes = self.signed_attributes.to_vec();
        if let Some(tag) = attributes.first_mut() {
            *tag = context(0);
        }
        let signer_info = sequence(&[
            &unsigned(&[VERSION]),
            &sequence(&[signer.issuer_der(), &element(INTEGER, &[signer.serial()])]),
            &digest_algorithm,
            &attributes,
            &write_signature(signer.public_key().algorithm(), self.hash),
            &element(OCTET_STRING, &[self.signature]),
            self.unsigned_attributes,
        ]);
        let version = if self.content_type == DATA {
            VERSION
        } else {
            VERSION_OF_TYPED
        };
        let content = self.content.map_or_else(Vec::new, |content| {
            element(context(0), &[&element(OCTET_STRING, &[content])])
        });
        // RFC 5652 5.1: OPTIONAL, so that a set of none is left out.
        let certificates = match self.certificates {
            [] => Vec::new(),
            certificates => element(context(0), certificates),
        };
        let signed_data = sequence(&[
            &unsigned(&[version]),
            &element(SET, &[&digest_algorithm]),
            &sequence(&[&oid(self.content_type), &content]),
            &certificates,
            &element(SET, &[&signer_info]),
        ]);
        sequence(&[&oid(SIGNED_DATA), &element(context(0), &[&signed_data])])
    }
}
