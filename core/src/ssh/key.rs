//! What a signature names as its signer: a public key, or a certificate over one.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    certificate::{Certificate, CertificateError},
    public_key::{KeyError, KeyType, PublicKey},
    wire::{Reader, WireError},
};

/// A public key, bare or certified. A certificate's own signature was checked when it was read;
/// whether its authority means anything was not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Key {
    /// A bare key.
    Plain(PublicKey),
    /// A certificate.
    Certified(Box<Certificate>),
}

impl Key {
    /// Reads a blob of either kind.
    ///
    /// # Errors
    /// [`KeyReadError`].
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyReadError> {
        if blob.len() > BLOB_MAX {
            return Err(KeyReadError::TooLong);
        }
        let name = Reader::new(blob).text().map_err(KeyError::from)?;
        if KeyType::named_certificate(name).is_some() {
            let certificate = Certificate::from_blob(blob)?;
            return Ok(Self::Certified(Box::new(certificate)));
        }
        Ok(Self::Plain(PublicKey::from_blob(blob)?))
    }

    /// Reads a key as files and options have it, `TYPE BASE64`, and returns what follows.
    ///
    /// # Errors
    /// [`KeyReadError`], [`KeyReadError::NotAKey`] when the line does not begin like one.
    pub fn from_text(text: &str) -> Result<(Self, &str), KeyReadError> {
        let (name, rest) = text.split_once([' ', '\t']).ok_or(KeyReadError::NotAKey)?;
        if KeyType::named(name).is_none() && KeyType::named_certificate(name).is_none() {
            return Err(KeyReadError::NotAKey);
        }
        let rest = rest.trim_start_matches([' ', '\t']);
        let (body, rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let blob = BASE64_STANDARD
            .decode(body.trim_end_matches(['\r', '\n']))
            .map_err(|_| KeyReadError::Base64)?;
        let key = Self::from_blob(&blob)?;
        match key.type_name() == name {
            true => Ok((key, rest.trim_start_matches([' ', '\t']))),
            false => Err(KeyReadError::OtherType),
        }
    }

    /// Returns the blob that signatures and files carry.
    pub fn blob(&self) -> &[u8] {
        match self {
            Self::Plain(key) => key.blob(),
            Self::Certified(certificate) => certificate.blob(),
        }
    }

    /// Returns the key itself.
    pub fn public_key(&self) -> &PublicKey {
        match self {
            Self::Plain(key) => key,
            Self::Certified(certificate) => certificate.public_key(),
        }
    }

    /// Returns the certificate, if it is one.
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Plain(_) => None,
            Self::Certified(certificate) => Some(certificate),
        }
    }

    /// Returns the name of the type in files: `ssh-ed25519-cert-v01@openssh.com`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Plain(key) => key.key_type().name(),
            Self::Certified(certificate) => certificate.public_key().key_type().certificate_name(),
        }
    }

    /// Returns the name of the type as ssh-keygen prints it: `ED25519-CERT`.
    pub fn short_name(&self) -> String {
        let short = self.public_key().key_type().short_name();
        match self {
            Self::Plain(_) => short.to_owned(),
            Self::Certified(_) => format!("{short}-CERT"),
        }
    }

    /// Returns the line of a public key file, without comment and end.
    pub fn to_text(&self) -> String {
        let body = BASE64_STANDARD.encode(self.blob());
        format!("{} {body}", self.type_name())
    }
}

/// The longest blob that is looked at: RSA-16384 under another in a certificate with many names.
pub const BLOB_MAX: usize = 256 * 1024;

/// The bytes or the text are no key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyReadError {
    /// The text does not begin with the name of a type that we read.
    #[error("this is not a public key of a supported type")]
    NotAKey,
    /// The text has no base64 where the key should be.
    #[error("the key is not base64")]
    Base64,
    /// The key is of another type than the text says.
    #[error("the key is not of the type that stands before it")]
    OtherType,
    /// Longer than [`BLOB_MAX`].
    #[error("the key is longer than {BLOB_MAX} bytes")]
    TooLong,
    /// The key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate is none.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl From<WireError> for KeyReadError {
    fn from(error: WireError) -> Self {
        Self::Key(error.into())
    }
}
