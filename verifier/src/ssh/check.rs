//! Whether a signature holds.

use notme_core::ssh::{Key, Prehash, SshSig, sshsig::SshSigError};

/// Proof that a key signed a message for a namespace: only [`check`] makes one. Whose key it is,
/// and whether that key may, is not known yet.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Checked<'a> {
    signature: &'a SshSig,
}

/// Checks a signature over a message, and nothing else about its signer.
///
/// # Errors
/// [`SshSigError`].
pub fn check<'a>(
    signature: &'a SshSig,
    namespace: &str,
    message: &Prehash,
) -> Result<Checked<'a>, SshSigError> {
    signature.verify(namespace, message)?;
    Ok(Checked { signature })
}

impl<'a> Checked<'a> {
    /// Returns the key, or the certificate, that made the signature.
    pub fn key(self) -> &'a Key {
        self.signature.key()
    }

    /// Returns what the signature is for.
    pub fn namespace(self) -> &'a str {
        self.signature.namespace()
    }
}
