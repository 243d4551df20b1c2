//! Algorithm identifiers: which we read, which are broken, which go together.

use der::oid::ObjectIdentifier;

use super::CmsError;
use crate::{
    der_reader::{DerError, Element, NULL, SEQUENCE},
    der_writer,
    key::{Algorithm, Hash},
    oid,
};

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// What a signature's algorithm says of the key that made it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    Ed25519,
    /// On whichever curve the key is.
    Ecdsa,
    Rsa,
}

impl Scheme {
    pub(crate) const fn is_for(self, key: Algorithm) -> bool {
        match key {
            Algorithm::Ed25519 => matches!(self, Self::Ed25519),
            Algorithm::P256 | Algorithm::P384 => matches!(self, Self::Ecdsa),
            Algorithm::Rsa => matches!(self, Self::Rsa),
        }
    }
}

/// Reads a digest AlgorithmIdentifier; its parameters may be absent or NULL (RFC 5754 section 2).
pub(crate) fn read_digest(element: Element<'_>) -> Result<Hash, CmsError> {
    let (name, parameters) = read(element)?;
    let hash = match name {
        SHA256 => Hash::Sha256,
        SHA384 => Hash::Sha384,
        SHA512 => Hash::Sha512,
        _ => return Err(not_accepted(name)),
    };
    if parameters == Parameters::Other {
        return Err(DerError.into());
    }
    Ok(hash)
}

/// Reads a signature AlgorithmIdentifier beside the signer's digest algorithm, and tells what
/// kind of key it needs.
pub(super) fn read_signature(element: Element<'_>, digest: Hash) -> Result<Scheme, CmsError> {
    let (name, parameters) = read(element)?;
    let (scheme, hash) = match name {
        oid::ED25519 => (Scheme::Ed25519, None),
        oid::ECDSA_WITH_SHA256 => (Scheme::Ecdsa, Some(Hash::Sha256)),
        oid::ECDSA_WITH_SHA384 => (Scheme::Ecdsa, Some(Hash::Sha384)),
        oid::ECDSA_WITH_SHA512 => (Scheme::Ecdsa, Some(Hash::Sha512)),
        oid::RSA_ENCRYPTION => (Scheme::Rsa, None),
        oid::SHA256_WITH_RSA => (Scheme::Rsa, Some(Hash::Sha256)),
        oid::SHA384_WITH_RSA => (Scheme::Rsa, Some(Hash::Sha384)),
        oid::SHA512_WITH_RSA => (Scheme::Rsa, Some(Hash::Sha512)),
        _ => return Err(not_accepted(name)),
    };
    let parameters_fit = match scheme {
        // RFC 8410 section 3 and RFC 5754 section 3.3: absent.
        Scheme::Ed25519 | Scheme::Ecdsa => parameters == Parameters::Absent,
        // RFC 5754 section 3.2: NULL; some leave it out.
        Scheme::Rsa => parameters != Parameters::Other,
    };
    if !parameters_fit {
        return Err(DerError.into());
    }
    if scheme == Scheme::Ed25519 && digest != Hash::Sha512 {
        return Err(CmsError::Ed25519Digest);
    }
    if hash.is_some_and(|hash| hash != digest) {
        return Err(CmsError::DigestAlgorithms);
    }
    Ok(scheme)
}

/// Writes a digest AlgorithmIdentifier, parameters absent.
pub(crate) fn write_digest(hash: Hash) -> Vec<u8> {
    let name = match hash {
        Hash::Sha256 => SHA256,
        Hash::Sha384 => SHA384,
        Hash::Sha512 => SHA512,
    };
    der_writer::sequence(&[&der_writer::oid(name)])
}

/// Writes the signature AlgorithmIdentifier of a kind of key.
pub(super) fn write_signature(algorithm: Algorithm, hash: Hash) -> Vec<u8> {
    let name = match (algorithm, hash) {
        (Algorithm::Ed25519, _) => oid::ED25519,
        (Algorithm::P256 | Algorithm::P384, Hash::Sha256) => oid::ECDSA_WITH_SHA256,
        (Algorithm::P256 | Algorithm::P384, Hash::Sha384) => oid::ECDSA_WITH_SHA384,
        (Algorithm::P256 | Algorithm::P384, Hash::Sha512) => oid::ECDSA_WITH_SHA512,
        (Algorithm::Rsa, _) => oid::RSA_ENCRYPTION,
    };
    let parameters: &[u8] = match algorithm {
        Algorithm::Ed25519 | Algorithm::P256 | Algorithm::P384 => &[],
        Algorithm::Rsa => &[NULL, 0],
    };
    der_writer::sequence(&[&der_writer::oid(name), parameters])
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Parameters {
    Absent,
    Null,
    Other,
}

fn read(element: Element<'_>) -> Result<(ObjectIdentifier, Parameters), DerError> {
    if element.tag != SEQUENCE {
        return Err(DerError);
    }
    let mut fields = element.reader();
    let name = fields.any()?.oid()?;
    if fields.is_empty() {
        return Ok((name, Parameters::Absent));
    }
    let parameters = fields.any()?;
    fields.finish()?;
    let is_null = parameters.tag == NULL && parameters.value.is_empty();
    Ok((
        name,
        if is_null {
            Parameters::Null
        } else {
            Parameters::Other
        },
    ))
}

fn not_accepted(name: ObjectIdentifier) -> CmsError {
    match oid::weakness(name) {
        Some(what) => CmsError::AlgorithmWeak(what),
        None => CmsError::AlgorithmUnsupported(name),
    }
}
