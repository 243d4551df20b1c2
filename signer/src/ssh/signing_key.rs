//! Whatever holds the private key.

use notme_core::ssh::Key;

use super::{
    key_file::{KeyFile, KeyFileError},
    openssh_agent::{AgentError, OpenSshAgent},
};

/// A private key in one of the places that can have it.
#[derive(Debug)]
pub(super) enum SigningKey {
    /// In a file.
    File(Box<KeyFile>),
    /// In an OpenSSH agent, behind `SSH_AUTH_SOCK`.
    OpenSshAgent(OpenSshAgent),
}

impl SigningKey {
    /// Signs the bytes that stand for a message, and returns the signature blob. RSA signs with
    /// SHA-512, as in OpenSSH.
    ///
    /// # Errors
    /// [`SigningError`].
    pub(super) fn sign(&mut self, key: &Key, data: &[u8]) -> Result<Vec<u8>, SigningError> {
        match self {
            Self::File(file) => Ok(file.sign(data)?),
            Self::OpenSshAgent(agent) => Ok(agent.sign(key, data)?),
        }
    }
}

/// The key could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SigningError {
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error(transparent)]
    Agent(#[from] AgentError),
}
