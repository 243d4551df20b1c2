//! Signature blobs: the algorithm's name and what it made.

use super::{
    ecdsa::Curve,
    public_key::KeyType,
    wire::{Reader, WireError, Writer},
};
use crate::key::{Hash, sha256};

/// A signature by one key, apart from what was signed.
#[derive(Clone, Debug)]
pub struct Signature<'a> {
    name: &'a str,
    flavour: Flavour<'a>,
}

#[derive(Clone, Debug)]
pub(super) enum Flavour<'a> {
    Ed25519(&'a [u8]),
    Ecdsa(Curve, &'a [u8], &'a [u8]),
    Rsa(Hash, &'a [u8]),
    SkEd25519(&'a [u8], Presence),
    SkEcdsa(&'a [u8], &'a [u8], Presence),
}

/// What a security key adds: whether somebody was there, and how often it has signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Presence {
    flags: u8,
    counter: u32,
}

impl Presence {
    /// Tells whether somebody touched the security key.
    pub fn is_touched(self) -> bool {
        self.flags & 1 != 0
    }

    /// Tells whether somebody proved who they are to the security key.
    pub fn is_user_verified(self) -> bool {
        self.flags & 4 != 0
    }

    /// Returns how often the security key has signed.
    pub fn counter(self) -> u32 {
        self.counter
    }

    /// Returns what a security key signs in place of the message (PROTOCOL.u2f).
    pub(super) fn covered(self, application: &str, message: &[u8]) -> Vec<u8> {
        Writer::new()
            .bytes(&sha256(application.as_bytes()))
            .byte(self.flags)
            .u32(self.counter)
            .bytes(&sha256(message))
            .finish()
    }
}

impl<'a> Signature<'a> {
    /// Reads a signature blob.
    ///
    /// # Errors
    /// [`SignatureFormatError`] for an algorithm that we do not read, or a broken encoding.
    pub fn from_blob(blob: &'a [u8]) -> Result<Self, SignatureFormatError> {
        let mut reader = Reader::new(blob);
        let name = reader.text()?;
        let flavour = match name {
            "rsa-sha2-256" => Flavour::Rsa(Hash::Sha256, reader.string()?),
            "rsa-sha2-512" => Flavour::Rsa(Hash::Sha512, reader.string()?),
            "ssh-rsa" | "ssh-dss" => return Err(SignatureFormatError::Sha1),
            name => match KeyType::named(name) {
                Some(KeyType::Ed25519) => Flavour::Ed25519(reader.string()?),
                Some(KeyType::EcdsaP256) => ecdsa(Curve::P256, reader.string()?)?,
                Some(KeyType::EcdsaP384) => ecdsa(Curve::P384, reader.string()?)?,
                Some(KeyType::EcdsaP521) => ecdsa(Curve::P521, reader.string()?)?,
                Some(KeyType::SkEd25519) => {
                    Flavour::SkEd25519(reader.string()?, presence(&mut reader)?)
                }
                Some(KeyType::SkEcdsaP256) => {
                    let (r, s) = numbers(reader.string()?)?;
                    Flavour::SkEcdsa(r, s, presence(&mut reader)?)
                }
                Some(KeyType::Rsa) | None => {
                    return Err(SignatureFormatError::Unsupported(printable(name)));
                }
            },
        };
        reader.finish()?;
        Ok(Self { name, flavour })
    }

    /// Returns the name of the algorithm.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Returns what a security key says; `None` for other keys.
    pub fn presence(&self) -> Option<Presence> {
        match self.flavour {
            Flavour::SkEd25519(_, presence) | Flavour::SkEcdsa(_, _, presence) => Some(presence),
            Flavour::Ed25519(_) | Flavour::Ecdsa(..) | Flavour::Rsa(..) => None,
        }
    }

    pub(super) fn flavour(&self) -> &Flavour<'a> {
        &self.flavour
    }
}

/// Writes the signature blob of an Ed25519 signature.
pub fn ed25519_blob(raw: &[u8]) -> Vec<u8> {
    Writer::new()
        .string(KeyType::Ed25519.name().as_bytes())
        .string(raw)
        .finish()
}

fn ecdsa(curve: Curve, bytes: &[u8]) -> Result<Flavour<'_>, WireError> {
    let (r, s) = numbers(bytes)?;
    Ok(Flavour::Ecdsa(curve, r, s))
}

fn numbers(bytes: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut reader = Reader::new(bytes);
    let numbers = (reader.unsigned()?, reader.unsigned()?);
    reader.finish()?;
    Ok(numbers)
}

fn presence(reader: &mut Reader<'_>) -> Result<Presence, WireError> {
    Ok(Presence {
        flags: reader.byte()?,
        counter: reader.u32()?,
    })
}

fn printable(name: &str) -> String {
    let printable = name.chars().filter(|c| c.is_ascii_graphic());
    printable.take(64).collect()
}

/// The bytes are not a signature that we read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignatureFormatError {
    /// The encoding is broken.
    #[error("the signature is malformed: {0}")]
    Wire(#[from] WireError),
    /// An algorithm that uses SHA-1.
    #[error("the signature is made with SHA-1")]
    Sha1,
    /// Another algorithm that we do not read.
    #[error("signatures of type `{0}` are not supported")]
    Unsupported(String),
}
