//! Why bytes are not an OpenPGP signature or key that we accept.

use crate::key::{KeyError, SignError, SignatureError};

/// Bytes that are not an OpenPGP signature or key we accept, or something that cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum OpenPgpError {
    /// Longer than [`PACKETS_MAX`](super::PACKETS_MAX), or a file of keys longer than 4 MiB.
    #[error("the OpenPGP data is too long")]
    TooLarge,
    /// The first line is not the one expected.
    #[error("the armor does not begin as expected")]
    ArmorBegin,
    /// A line before the empty one is not a header.
    #[error("an armor header is malformed")]
    ArmorHeader,
    /// The end line is missing or belongs to another armor.
    #[error("the armor has no end line")]
    ArmorEnd,
    /// Something follows the end line.
    #[error("data follows the end of the armor")]
    ArmorTrailingData,
    /// The body is not canonical base64 in lines.
    #[error("the body of the armor is not canonical base64")]
    ArmorBody,
    /// The checksum does not match.
    #[error("the checksum of the armor does not match")]
    ArmorChecksum,
    /// Packets that do not parse.
    #[error("the OpenPGP packets are malformed")]
    Packet(#[source] Box<pgp::errors::Error>),
    /// Packets that parse but have another spelling too.
    #[error("the OpenPGP packets are not in their canonical form")]
    NotCanonical,
    /// Another packet than a signature.
    #[error("a packet is not a signature")]
    NotSignature,
    /// Several signatures where one is expected.
    #[error("the armor holds more than one signature")]
    SeveralSignatures,
    /// No packet at all.
    #[error("the armor is empty")]
    Empty,
    /// Packets that do not make up a key.
    #[error("the packets are not those of a public key")]
    NotKey,
    /// A version of a signature or key that is not supported.
    #[error("version {0} is not supported")]
    Version(u8),
    /// Not a signature over a document.
    #[error("the signature is not one over a document")]
    SignatureKind,
    /// A signature without the time at which it was made, or with two.
    #[error("the signature does not say once when it was made")]
    CreationTime,
    /// A critical subpacket or notation that is unknown.
    #[error("the signature has a critical part that is not understood: {0}")]
    UnknownCritical(String),
    /// The signature names another key as its issuer than the one that made it.
    #[error("the signature names another issuer")]
    Issuer,
    /// The part that is not signed says more than who the issuer is.
    #[error("the signature carries more than the issuer's name unsigned")]
    Unsigned,
    /// Broken, or too short to be safe.
    #[error("the signature uses {0}")]
    AlgorithmWeak(&'static str),
    /// Not read by this version.
    #[error("the algorithm {0} is not supported")]
    AlgorithmUnsupported(String),
    /// A key of another kind than we verify with.
    #[error(
        "the key is none of Ed25519, ECDSA on P-256, P-384 and P-521, and RSA of 2048 to 8192 bits"
    )]
    KeyUnsupported,
    /// Key material that is not a valid key.
    #[error("the OpenPGP key is not a valid one")]
    Key(#[from] KeyError),
    /// The signature is not one of the key.
    #[error("the signature is not by the key")]
    Mismatch(#[source] SignatureError),
    /// We make signatures with Ed25519 only.
    #[error("OpenPGP signatures are made with Ed25519 keys only")]
    NotEd25519,
    /// A time that four bytes cannot say, or one before the key's beginning.
    #[error("a time is outside what OpenPGP can say")]
    Time,
    /// More than fits into a signature.
    #[error("the parts of the signature are too long")]
    TooLong,
    /// The notations of a certification are not the ones an authority writes.
    #[error("the certification's notation `{0}` is missing, repeated or malformed")]
    Notation(&'static str),
    /// The private key could not be used.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl OpenPgpError {
    pub(super) fn packet(error: pgp::errors::Error) -> Self {
        Self::Packet(Box::new(error))
    }

    /// Returns the closed code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "signature-too-large",
            Self::ArmorTrailingData | Self::SeveralSignatures => "signature-ambiguous",
            Self::ArmorBegin
            | Self::ArmorHeader
            | Self::ArmorEnd
            | Self::ArmorBody
            | Self::ArmorChecksum
            | Self::Packet(_)
            | Self::NotCanonical
            | Self::NotSignature
            | Self::Empty
            | Self::NotKey
            | Self::SignatureKind
            | Self::CreationTime
            | Self::Issuer
            | Self::Unsigned
            | Self::Key(_)
            | Self::Time
            | Self::TooLong
            | Self::Notation(_) => "signature-malformed",
            Self::UnknownCritical(_) => "certificate-unknown-critical",
            Self::AlgorithmWeak(_) => "algorithm-weak",
            Self::Version(_)
            | Self::AlgorithmUnsupported(_)
            | Self::KeyUnsupported
            | Self::NotEd25519 => "algorithm-unsupported",
            Self::Mismatch(_) => "signature-invalid",
            Self::Sign(_) => "key-unusable",
        }
    }
}
