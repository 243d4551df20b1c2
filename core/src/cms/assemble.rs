//! Writing a detached signature.

use super::{
    algorithm::{write_digest, write_signature},
    attributes::{DATA, SignedAttributes},
    message::SIGNED_DATA,
};
use crate::{
    certificate::Certificate,
    der_reader::{INTEGER, OCTET_STRING, SET, context},
    der_writer::{element, oid, sequence, unsigned},
};

/// The version of SignedData and SignerInfo when issuer and serial name the signer.
const VERSION: &[u8] = &[1];

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
    let digest_algorithm = write_digest(attributes.hash());
    let signer = sequence(&[
        &unsigned(VERSION),
        &sequence(&[leaf.issuer_der(), &element(INTEGER, &[leaf.serial()])]),
        &digest_algorithm,
        &attributes.in_signer_info(),
        &write_signature(leaf.public_key().algorithm(), attributes.hash()),
        &element(OCTET_STRING, &[signature]),
    ]);
    let mut certificates = vec![leaf.der()];
    certificates.extend(intermediates.iter().map(Certificate::der));
    let signed_data = sequence(&[
        &unsigned(VERSION),
        &element(SET, &[&digest_algorithm]),
        &sequence(&[&oid(DATA)]),
        &element(context(0), &certificates),
        &element(SET, &[&signer]),
    ]);
    sequence(&[&oid(SIGNED_DATA), &element(context(0), &[&signed_data])])
}
