//! Signatures by the cast, made without any of the code that makes real ones but `core`.

use notme_core::{
    armor::armor,
    cms::{self, SignedAttributes},
    key::{Algorithm, Hash},
    time::UnixTime,
};

use crate::{cast::Session, commit::with_signature};

impl Session {
    /// Signs a payload as CMS, DER.
    pub fn sign_cms(&self, payload: &[u8], at: UnixTime) -> Vec<u8> {
        let (attributes, signature) = self.sign_attributes(payload, at);
        cms::assemble(&attributes, &signature, self.certificate(), &[])
    }

    /// Signs a payload as CMS, DER, with what `stamp` makes of the signature's bytes as its time
    /// stamp.
    pub fn sign_cms_stamped(
        &self,
        payload: &[u8],
        at: UnixTime,
        stamp: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Vec<u8> {
        let (attributes, signature) = self.sign_attributes(payload, at);
        let token = stamp(&signature);
        cms::assemble_time_stamped(&attributes, &signature, self.certificate(), &[], &token)
    }

    fn sign_attributes(&self, payload: &[u8], at: UnixTime) -> (SignedAttributes, Vec<u8>) {
        let hash = match self.key().public_key().algorithm() {
            Algorithm::Ed25519 => Hash::Sha512,
            Algorithm::P256 | Algorithm::P384 | Algorithm::Rsa => Hash::Sha256,
        };
        let attributes = SignedAttributes::new(hash, payload, at);
        let signature = self
            .key()
            .sign(attributes.der())
            .expect("throw-away keys always sign");
        (attributes, signature)
    }

    /// Signs a commit payload and returns the whole object of a SHA-1 repository.
    pub fn sign_commit(&self, payload: &[u8], at: UnixTime) -> Vec<u8> {
        with_signature(payload, "gpgsig", &armor(&self.sign_cms(payload, at)))
    }
}
