//! An OpenSSH agent (draft-ietf-sshm-ssh-agent): two of its requests.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use notme_core::ssh::{
    Key, KeyType,
    wire::{Reader, WireError, Writer},
};

/// A connection to an agent.
#[derive(Debug)]
pub(super) struct OpenSshAgent {
    stream: UnixStream,
}

impl OpenSshAgent {
    /// Connects.
    ///
    /// # Errors
    /// [`AgentError::Io`].
    pub(super) fn connect(socket: &Path) -> Result<Self, AgentError> {
        let stream = UnixStream::connect(socket)?;
        Ok(Self { stream })
    }

    /// Tells whether the agent has a key, certified or not as given.
    ///
    /// # Errors
    /// [`AgentError`].
    pub(super) fn has(&mut self, key: &Key) -> Result<bool, AgentError> {
        self.stream.set_read_timeout(Some(LIST_WAIT))?;
        let answer = self.call(&[REQUEST_IDENTITIES])?;
        let mut reader = Reader::new(&answer);
        if reader.byte()? != IDENTITIES_ANSWER {
            return Err(AgentError::Refused);
        }
        let count = reader.u32()?;
        for _ in 0..count {
            let blob = reader.string()?;
            let _comment = reader.string()?;
            if blob == key.blob() {
                return Ok(true);
            }
        }
        reader.finish()?;
        Ok(false)
    }

    /// Has the agent sign, and returns the signature blob.
    ///
    /// # Errors
    /// [`AgentError`].
    pub(super) fn sign(&mut self, key: &Key, data: &[u8]) -> Result<Vec<u8>, AgentError> {
        // It may be asking somebody, or waiting for a touch.
        self.stream.set_read_timeout(None)?;
        let flags = match key.public_key().key_type() {
            KeyType::Rsa => RSA_SHA2_512,
            KeyType::Ed25519
            | KeyType::EcdsaP256
            | KeyType::EcdsaP384
            | KeyType::EcdsaP521
            | KeyType::SkEd25519
            | KeyType::SkEcdsaP256 => 0,
        };
        let request = Writer::new()
            .byte(SIGN_REQUEST)
            .string(key.blob())
            .string(data)
            .u32(flags)
            .finish();
        let answer = self.call(&request)?;
        let mut reader = Reader::new(&answer);
        if reader.byte()? != SIGN_RESPONSE {
            return Err(AgentError::Refused);
        }
        let signature = reader.string()?.to_vec();
        reader.finish()?;
        Ok(signature)
    }

    fn call(&mut self, request: &[u8]) -> Result<Vec<u8>, AgentError> {
        self.stream
            .write_all(&Writer::new().string(request).finish())?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if !(1..=ANSWER_MAX).contains(&length) {
            return Err(AgentError::Length(length));
        }
        let mut answer = vec![0; usize::try_from(length).unwrap_or(0)];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// How long an agent may take to tell which keys it has.
const LIST_WAIT: Duration = Duration::from_secs(10);
/// As much as OpenSSH reads from an agent.
const ANSWER_MAX: u32 = 256 * 1024;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const RSA_SHA2_512: u32 = 4;

/// The agent did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error("the ssh-agent could not be asked: {0}")]
    Io(#[from] io::Error),
    #[error("the ssh-agent's answer is malformed: {0}")]
    Wire(#[from] WireError),
    #[error("the ssh-agent's answer has {0} bytes")]
    Length(u32),
    #[error("the ssh-agent refused")]
    Refused,
}
