//! Private keys in OpenSSH's format (PROTOCOL.key), signed with.
//!
//! Only the sealing of encrypted ones is a foreign crate's: the readers of private keys at hand
//! refuse one in a few hundred ECDSA keys, whose numbers are shorter than usual.

mod rsa;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, RSA_PKCS1_SHA512,
        RsaKeyPair,
    },
};
use ed25519_dalek::{Signer as _, SigningKey};
use notme_core::{
    base64,
    ssh::{
        KeyType, PublicKey,
        public_key::KeyError,
        wire::{Reader, WireError, Writer},
    },
};
use ssh_key::{Cipher, Kdf};
use zeroize::Zeroizing;

/// A private key file, opened or not. Its public half can be read either way.
pub(super) struct PrivateKeyFile {
    public: PublicKey,
    secret: Zeroizing<Vec<u8>>,
    seal: Option<Seal>,
}

struct Seal {
    cipher: Cipher,
    salt: Vec<u8>,
    rounds: u32,
}

/// A private key to sign with.
pub(super) enum PrivateKey {
    Ed25519(Box<SigningKey>),
    Ecdsa(KeyType, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKeyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`PrivateKeyError`].
    pub(super) fn parse(text: &[u8]) -> Result<Self, PrivateKeyError> {
        let blob = dearmor(text)?;
        let mut reader = Reader::new(&blob);
        if reader.bytes(MAGIC.len())? != MAGIC {
            return Err(PrivateKeyError::Magic);
        }
        let (cipher, kdf) = (reader.text()?, reader.text()?);
        let seal = Seal::parse(cipher, kdf, reader.string()?)?;
        if reader.u32()? != 1 {
            return Err(PrivateKeyError::Several);
        }
        let public = PublicKey::from_blob(reader.string()?)?;
        let secret = Zeroizing::new(reader.string()?.to_vec());
        reader.finish()?;
        Ok(Self {
            public,
            secret,
            seal,
        })
    }

    /// Returns the public half, which nothing vouches for yet: see [`PrivateKeyFile::open`].
    pub(super) fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Tells whether a passphrase is needed.
    pub(super) fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    /// Opens the private half. It belongs to the public one, or there is none.
    ///
    /// # Errors
    /// [`PrivateKeyError`].
    pub(super) fn open(mut self, passphrase: Option<&[u8]>) -> Result<PrivateKey, PrivateKeyError> {
        if let Some(seal) = &self.seal {
            seal.open(passphrase.unwrap_or_default(), &mut self.secret)?;
        }
        let mut reader = Reader::new(&self.secret);
        if reader.u32()? != reader.u32()? {
            return Err(match self.seal {
                Some(_) => PrivateKeyError::Passphrase,
                None => PrivateKeyError::Check,
            });
        }
        if KeyType::named(reader.text()?) != Some(self.public.key_type()) {
            return Err(PrivateKeyError::Halves);
        }
        let key = match self.public.key_type() {
            KeyType::Ed25519 => ed25519(&self.public, &mut reader)?,
            kind @ (KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521) => {
                ecdsa(kind, &self.public, &mut reader)?
            }
            KeyType::Rsa => {
                let (public, der) = rsa::read(&mut reader)?;
                if public != self.public {
                    return Err(PrivateKeyError::Halves);
                }
                let key = RsaKeyPair::from_der(&der).map_err(|_| PrivateKeyError::Halves)?;
                PrivateKey::Rsa(key)
            }
            KeyType::SkEd25519 | KeyType::SkEcdsaP256 => return Err(PrivateKeyError::SecurityKey),
        };
        let _comment = reader.string()?;
        let padding = reader.rest().iter().zip((0..=u8::MAX).cycle().skip(1));
        match padding.into_iter().all(|(byte, number)| *byte == number) {
            true => Ok(key),
            false => Err(PrivateKeyError::Check),
        }
    }
}

impl Seal {
    fn parse(cipher: &str, kdf: &str, options: &[u8]) -> Result<Option<Self>, PrivateKeyError> {
        match (cipher, kdf) {
            ("none", "none") => return Ok(None),
            (_, "bcrypt") => {}
            (_, _) => return Err(PrivateKeyError::Cipher),
        }
        let cipher = Cipher::new(cipher).map_err(|_| PrivateKeyError::Cipher)?;
        if cipher.has_tag() || cipher.is_none() {
            return Err(PrivateKeyError::Cipher);
        }
        let mut reader = Reader::new(options);
        let (salt, rounds) = (reader.string()?.to_vec(), reader.u32()?);
        reader.finish()?;
        Ok(Some(Self {
            cipher,
            salt,
            rounds,
        }))
    }

    fn open(&self, passphrase: &[u8], secret: &mut [u8]) -> Result<(), PrivateKeyError> {
        let kdf = Kdf::Bcrypt {
            salt: self.salt.clone(),
            rounds: self.rounds,
        };
        let (key, iv) = kdf
            .derive_key_and_iv(self.cipher, passphrase)
            .map_err(|_| PrivateKeyError::Passphrase)?;
        self.cipher
            .decrypt(&key, &iv, secret, None)
            .map_err(|_| PrivateKeyError::Passphrase)
    }
}

impl PrivateKey {
    /// Signs, and returns the signature blob; `None` when the library would not.
    pub(super) fn sign(&self, data: &[u8]) -> Option<Vec<u8>> {
        let (name, signature) = match self {
            Self::Ed25519(key) => ("ssh-ed25519", key.sign(data).to_bytes().to_vec()),
            Self::Ecdsa(kind, key) => {
                let fixed = key.sign(&SystemRandom::new(), data).ok()?;
                let (r, s) = fixed.as_ref().split_at(fixed.as_ref().len() / 2);
                let numbers = Writer::new().unsigned(r).unsigned(s);
                (kind.name(), numbers.finish())
            }
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA512,
                    &SystemRandom::new(),
                    data,
                    &mut signature,
                )
                .ok()?;
                ("rsa-sha2-512", signature)
            }
        };
        let blob = Writer::new().string(name.as_bytes()).string(&signature);
        Some(blob.finish())
    }
}

fn ed25519(public: &PublicKey, reader: &mut Reader<'_>) -> Result<PrivateKey, PrivateKeyError> {
    let _public = reader.string()?;
    let pair: &[u8; 64] = reader
        .string()?
        .try_into()
        .map_err(|_| PrivateKeyError::Halves)?;
    let key = SigningKey::from_keypair_bytes(pair).map_err(|_| PrivateKeyError::Halves)?;
    let blob = Writer::new()
        .string(KeyType::Ed25519.name().as_bytes())
        .string(key.verifying_key().as_bytes());
    match blob.finish() == public.blob() {
        true => Ok(PrivateKey::Ed25519(Box::new(key))),
        false => Err(PrivateKeyError::Halves),
    }
}

fn ecdsa(
    kind: KeyType,
    public: &PublicKey,
    reader: &mut Reader<'_>,
) -> Result<PrivateKey, PrivateKeyError> {
    let (algorithm, length): (&'static EcdsaSigningAlgorithm, usize) = match kind {
        KeyType::EcdsaP384 => (&ECDSA_P384_SHA384_FIXED_SIGNING, 48),
        KeyType::EcdsaP521 => (&ECDSA_P521_SHA512_FIXED_SIGNING, 66),
        _ => (&ECDSA_P256_SHA256_FIXED_SIGNING, 32),
    };
    let (curve, point) = (reader.string()?, reader.string()?);
    let blob = Writer::new()
        .string(kind.name().as_bytes())
        .string(curve)
        .string(point);
    if blob.finish() != public.blob() {
        return Err(PrivateKeyError::Halves);
    }
    let number = reader.unsigned()?;
    let zeros = length
        .checked_sub(number.len())
        .ok_or(PrivateKeyError::Halves)?;
    let mut scalar = Zeroizing::new(vec![0; zeros]);
    scalar.extend_from_slice(number);
    let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, point)
        .map_err(|_| PrivateKeyError::Halves)?;
    Ok(PrivateKey::Ecdsa(kind, key))
}

fn dearmor(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
    let text = std::str::from_utf8(text).map_err(|_| PrivateKeyError::Armor)?;
    let (_, body) = text.split_once(BEGIN).ok_or(PrivateKeyError::Armor)?;
    let (body, _) = body.split_once(END).ok_or(PrivateKeyError::Armor)?;
    let body = body.chars().filter(|c| !c.is_ascii_whitespace());
    let body = Zeroizing::new(body.collect::<String>());
    let blob = base64::decode(&body).ok_or(PrivateKeyError::Armor)?;
    Ok(Zeroizing::new(blob))
}

/// The first line of a file in this format.
pub(super) const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The file gives no private key.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivateKeyError {
    #[error("its armor is broken")]
    Armor,
    #[error("it does not begin as a private key")]
    Magic,
    #[error("it is malformed: {0}")]
    Wire(#[from] WireError),
    #[error("{0}")]
    Public(#[from] KeyError),
    #[error("it holds more than one key")]
    Several,
    #[error("it is encrypted in a way that is not supported")]
    Cipher,
    #[error("the passphrase does not open it")]
    Passphrase,
    #[error("its content is damaged")]
    Check,
    #[error("its private half does not belong to its public one")]
    Halves,
    #[error("the key is in a security key, which only an ssh-agent can ask")]
    SecurityKey,
}
