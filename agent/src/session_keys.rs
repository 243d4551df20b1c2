//! The two private keys of a session.

use std::{fmt, io};

use ed25519_dalek::Signer as _;
use notme_core::key::{KeyError, PublicKey, SignError, Signer};
use notme_local::{LockedMemory, Weakness};
use rand_core::CryptoRngCore;

/// An Ed25519 and a P-256 key that live in locked memory only.
///
/// A key leaves it for the moment of a signature, in a value that is zeroed when it is dropped.
pub(crate) struct SessionKeys {
    /// The Ed25519 seed, then the P-256 scalar.
    memory: LockedMemory,
    ed25519: PublicKey,
    p256: PublicKey,
}

impl SessionKeys {
    /// Makes new keys.
    ///
    /// # Errors
    /// [`KeysError`].
    pub(crate) fn generate(random: &mut impl CryptoRngCore) -> Result<Self, KeysError> {
        let mut memory = LockedMemory::zeroed(2 * SECRET_LENGTH)?;
        random.try_fill_bytes(memory.bytes_mut())?;
        // A scalar is zero or not below the group order once in 2^32 draws.
        while p256_key(&memory).is_err() {
            let (_, scalar) = memory.bytes_mut().split_at_mut(SECRET_LENGTH);
            random.try_fill_bytes(scalar)?;
        }
        let ed25519 = PublicKey::from_ed25519(ed25519_key(&memory)?.verifying_key().as_bytes())?;
        let point = p256_key(&memory)?.verifying_key().to_encoded_point(false);
        let p256 = PublicKey::from_p256_sec1(point.as_bytes())?;
        Ok(Self {
            memory,
            ed25519,
            p256,
        })
    }

    /// Returns the public half of the Ed25519 key.
    pub(crate) fn ed25519(&self) -> &PublicKey {
        &self.ed25519
    }

    /// Returns the public half of the P-256 key.
    pub(crate) fn p256(&self) -> &PublicKey {
        &self.p256
    }

    /// Signs with the Ed25519 key, pure.
    ///
    /// # Errors
    /// Never in practice: the key was used before.
    pub(crate) fn sign_ed25519(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(ed25519_key(&self.memory)?.sign(message).to_bytes())
    }

    /// Returns the Ed25519 key as the signer that the formats ask for.
    pub(crate) fn ed25519_signer(&self) -> impl Signer + '_ {
        Ed25519Half(self)
    }

    /// Signs SHA-256 of `message` with the P-256 key.
    ///
    /// # Errors
    /// [`SignError`] when the signature comes out as zero, which does not happen.
    pub(crate) fn sign_p256(&self, message: &[u8]) -> Result<p256::ecdsa::Signature, SignError> {
        p256_key(&self.memory)?
            .try_sign(message)
            .map_err(|_| SignError::default())
    }

    /// Returns what the system refused to do for the memory.
    pub(crate) fn weaknesses(&self) -> &[Weakness] {
        self.memory.weaknesses()
    }
}

struct Ed25519Half<'a>(&'a SessionKeys);

impl Signer for Ed25519Half<'_> {
    fn public_key(&self) -> &PublicKey {
        &self.0.ed25519
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.0.sign_ed25519(message)?.to_vec())
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys")
    }
}

/// Keys could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    /// No memory for them.
    #[error("could not map memory for the session keys")]
    Memory(#[from] io::Error),
    /// No randomness.
    #[error("could not get random bytes")]
    Random(#[from] rand_core::Error),
    /// A key that does not work.
    #[error("made a key that cannot be used")]
    Unusable(#[from] SignError),
    /// A public key that does not parse.
    #[error("made a key that is not a valid one")]
    Invalid(#[from] KeyError),
}

const SECRET_LENGTH: usize = 32;

fn ed25519_key(memory: &LockedMemory) -> Result<ed25519_dalek::SigningKey, SignError> {
    let seed = memory
        .bytes()
        .first_chunk()
        .ok_or_else(SignError::default)?;
    Ok(ed25519_dalek::SigningKey::from_bytes(seed))
}

fn p256_key(memory: &LockedMemory) -> Result<p256::ecdsa::SigningKey, SignError> {
    let scalar: &[u8; SECRET_LENGTH] =
        memory.bytes().last_chunk().ok_or_else(SignError::default)?;
    p256::ecdsa::SigningKey::from_slice(scalar).map_err(|_| SignError::default())
}

#[cfg(test)]
mod tests {
    use notme_core::key::Hash;
    use rand_core::OsRng;

    use super::*;

    fn keys() -> SessionKeys {
        SessionKeys::generate(&mut OsRng).unwrap()
    }

    #[test]
    fn signs_what_its_public_keys_verify() {
        let keys = keys();
        let signature = keys.sign_ed25519(b"message").unwrap();
        keys.ed25519()
            .verify(Hash::Sha512, b"message", &signature)
            .unwrap();
        let signature = keys.sign_p256(b"message").unwrap();
        keys.p256()
            .verify(Hash::Sha256, b"message", signature.to_der().as_bytes())
            .unwrap();
        keys.p256()
            .verify_p256_fixed(b"message", &signature.to_bytes())
            .unwrap();
    }

    #[test]
    fn never_makes_the_same_keys_twice() {
        let (one, other) = (keys(), keys());
        assert_ne!(one.ed25519(), other.ed25519());
        assert_ne!(one.p256(), other.p256());
    }

    #[test]
    fn shows_nothing() {
        assert_eq!(format!("{:?}", keys()), "SessionKeys");
    }
}
