//! Why bytes are not a CMS signature that holds.

use der::oid::ObjectIdentifier;

use crate::{
    ber::BerError,
    certificate::CertificateError,
    der_reader::DerError,
    key::{KeyError, SignatureError},
};

/// Bytes that are not a CMS signature we accept.
#[derive(Debug, thiserror::Error)]
pub enum CmsError {
    /// Longer than [`CMS_MAX`](super::CMS_MAX).
    #[error("the CMS message is longer than 1 MiB")]
    TooLarge,
    /// Indefinite lengths, but not BER that we read.
    #[error("the CMS message cannot be rewritten as DER")]
    Ber(#[from] BerError),
    /// Not strict DER, or a field that should not be there.
    #[error("the CMS message is malformed")]
    Encoding(#[from] DerError),
    /// Another kind of CMS message.
    #[error("the CMS message is not SignedData")]
    NotSignedData,
    /// A version that RFC 5652 does not give to a message of this shape.
    #[error("the version of the CMS message does not fit its contents")]
    Version,
    /// The content is inside the message.
    #[error("the CMS message is not a detached signature")]
    NotDetached,
    /// The signed content is not id-data, or in a time stamp not its content.
    #[error("the content of the CMS message is not of the expected type")]
    ContentType,
    /// No signer, or several.
    #[error("the CMS message does not have exactly one signer")]
    SignerCount,
    /// More certificates than a chain has.
    #[error("the CMS message carries too many certificates")]
    TooManyCertificates,
    /// A certificate that cannot be read.
    #[error("a certificate of the CMS message cannot be read")]
    Certificate(#[from] CertificateError),
    /// No certificate is the signer's, or more than one is.
    #[error("the CMS message does not carry exactly one certificate of its signer")]
    SignerCertificate,
    /// The signed attributes name another certificate as the signer's (RFC 5035).
    #[error("the signature names another certificate than the one that it came with")]
    OtherCertificate,
    /// The signature covers the content directly.
    #[error("the CMS message has no signed attributes")]
    NoSignedAttributes,
    /// More attributes than any signer writes.
    #[error("the CMS message has too many attributes")]
    TooManyAttributes,
    /// More time stamps than anybody puts over a signature.
    #[error("the CMS message has too many time stamps")]
    TooManyTimeStamps,
    /// The signed attributes are not in the order of DER.
    #[error("the signed attributes are not in canonical order")]
    AttributeOrder,
    /// An attribute is there twice.
    #[error("attribute `{0}` is repeated")]
    RepeatedAttribute(ObjectIdentifier),
    /// An attribute that must be there is not.
    #[error("attribute `{0}` is missing")]
    MissingAttribute(ObjectIdentifier),
    /// An attribute does not have exactly one value of its kind.
    #[error("attribute `{0}` is malformed")]
    AttributeValue(ObjectIdentifier),
    /// Attributes that are well-formed, but not the three that we write.
    #[error("the signed attributes are not those of a notme signature")]
    ForeignAttributes,
    /// An algorithm that is broken.
    #[error("the signature uses {0}")]
    AlgorithmWeak(&'static str),
    /// An algorithm that we do not read.
    #[error("the algorithm `{0}` is not supported")]
    AlgorithmUnsupported(ObjectIdentifier),
    /// Ed25519 with another digest than SHA-512 (RFC 8419 section 3.1).
    #[error("an Ed25519 signature needs SHA-512 as its digest")]
    Ed25519Digest,
    /// The signer's digest is not in the message's list, or not that of the signature.
    #[error("the digest algorithms of the CMS message contradict each other")]
    DigestAlgorithms,
    /// The payload is not what was signed.
    #[error("the digest of the payload is not the one that was signed")]
    DigestMismatch,
    /// The signature is of another kind than the signer's key.
    #[error("the signature does not go with the signer's key")]
    KeyMismatch,
    /// The signature is not one of the signer's key.
    #[error("the signature is not by the signer's key")]
    SignatureMismatch(#[source] SignatureError),
}

impl CmsError {
    /// Returns the closed code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "signature-too-large",
            Self::Ber(_)
            | Self::Encoding(_)
            | Self::NotSignedData
            | Self::Version
            | Self::NotDetached
            | Self::ContentType
            | Self::SignerCount
            | Self::TooManyCertificates
            | Self::SignerCertificate
            | Self::TooManyAttributes
            | Self::TooManyTimeStamps
            | Self::AttributeOrder
            | Self::RepeatedAttribute(_)
            | Self::MissingAttribute(_)
            | Self::AttributeValue(_)
            | Self::ForeignAttributes
            | Self::DigestAlgorithms => "signature-malformed",
            Self::NoSignedAttributes => "cms-no-attributes",
            Self::AlgorithmWeak(_) => "algorithm-weak",
            Self::AlgorithmUnsupported(_)
            | Self::Ed25519Digest
            | Self::Certificate(CertificateError::Key(KeyError::Unsupported)) => {
                "algorithm-unsupported"
            }
            Self::Certificate(_) => "certificate-invalid",
            Self::OtherCertificate
            | Self::DigestMismatch
            | Self::KeyMismatch
            | Self::SignatureMismatch(_) => "signature-invalid",
        }
    }
}
