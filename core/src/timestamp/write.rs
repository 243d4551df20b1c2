//! Making a time stamp.

use der::oid::ObjectIdentifier;

use super::{TimeStampError, TimeStampRequest, info::TST_INFO};
use crate::{
    certificate::Certificate,
    cms::{Draft, SIGNING_CERTIFICATE_V2, write_signed},
    der_reader::OCTET_STRING,
    der_writer::{element, generalized_time, oid, sequence, unsigned},
    key::{Algorithm, Hash, Signer},
    time::UnixTime,
};

/// What goes into a time stamp, besides what was asked for.
#[derive(Clone, Copy, Debug)]
pub struct TokenTemplate<'a> {
    /// The time-stamping authority's certificate.
    pub certificate: &'a Certificate,
    /// The policy it stamps under.
    pub policy: ObjectIdentifier,
    /// A number that no other time stamp of this authority has.
    pub serial: [u8; 16],
    /// The time.
    pub at: UnixTime,
    /// By how many seconds the time may be off.
    pub accuracy_seconds: u8,
}

/// Stamps what a request asks for with the key of `template.certificate`. The template's policy
/// is the caller's to compare with the one that was asked for.
///
/// # Errors
/// [`TimeStampError::Certificate`] when the key is not the certificate's or of a kind that does
/// not sign here, [`TimeStampError::Time`], [`TimeStampError::Sign`].
pub fn build_token(
    template: &TokenTemplate<'_>,
    request: &TimeStampRequest,
    key: &dyn Signer,
) -> Result<Vec<u8>, TimeStampError> {
    let certificate = template.certificate;
    if key.public_key() != certificate.public_key() {
        return Err(TimeStampError::Certificate);
    }
    let hash = match key.public_key().algorithm() {
        Algorithm::Ed25519 => Hash::Sha512,
        Algorithm::P256 => Hash::Sha256,
        Algorithm::P384 | Algorithm::Rsa => return Err(TimeStampError::Certificate),
    };
    let info = sequence(&[
        &unsigned(&[1]),
        &oid(template.policy),
        request.imprint().der(),
        &unsigned(&template.serial),
        &generalized_time(template.at).ok_or(TimeStampError::Time(template.at))?,
        &sequence(&[&unsigned(&[template.accuracy_seconds])]),
        &request.nonce_der(),
    ]);
    // SigningCertificateV2, of one ESSCertIDv2 whose algorithm is the default.
    let digest = element(OCTET_STRING, &[&certificate.sha256()]);
    let signing_certificate = sequence(&[&sequence(&[&sequence(&[&digest])])]);
    let attributes = write_signed(
        TST_INFO,
        &hash.digest(&info),
        template.at,
        Some((SIGNING_CERTIFICATE_V2, &signing_certificate)),
    );
    let own = [certificate.der()];
    let draft = Draft {
        content_type: TST_INFO,
        content: Some(&info),
        hash,
        signed_attributes: &attributes,
        signature: &key.sign(&attributes)?,
        certificates: if request.wants_certificate() {
            &own
        } else {
            &[]
        },
        unsigned_attributes: &[],
    };
    Ok(draft.write(certificate))
}
