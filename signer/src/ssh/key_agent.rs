//! Our own key agent, which signs what git made and nothing else.

use std::{
    ffi::OsStr,
    io::{self, Read},
    path::PathBuf,
};

use notme_core::{
    frame::{BODY_LIMIT, SignatureKind},
    identity::AgentName,
    key::KeyId,
    ssh::{HashAlgorithm, Key, KeyType, Prehash, SshSig, sshsig::SshSigError},
};

use super::argv::Sign;
use crate::{
    client::{AgentClient, ClientError},
    endpoint::{AgentEndpoint, Deadline},
    sign::read_payload,
};

/// Where the key agent is, and whom it may sign for.
#[derive(Clone, Debug)]
pub struct KeyAgent {
    /// Its socket, and how to start it.
    pub endpoint: AgentEndpoint,
    /// The directory with a file for each agent that is configured.
    pub agents: PathBuf,
    /// For all that is asked of it.
    pub deadline: Deadline,
}

/// What the key agent signs git objects for.
const NAMESPACE: &str = "git";

/// A signature of the key agent's, and what the user should be told.
pub(super) struct Made {
    pub(super) signature: SshSig,
    pub(super) notice: Option<String>,
}

impl KeyAgent {
    /// Tells whether `-f` names an agent that is configured, or a session by its key id. A file
    /// of that name needs a slash before it: what lies in a repository must not choose the key.
    pub(super) fn selector(&self, key: &OsStr) -> Option<String> {
        let name = key.to_str()?;
        if name.parse::<KeyId>().is_ok() {
            return Some(name.to_owned());
        }
        let agent: AgentName = name.parse().ok()?;
        let configured = self.agents.join(format!("{}.json", agent.as_str()));
        configured.is_file().then(|| name.to_owned())
    }

    /// Tells whether the private half of a key is in a session of a key agent that is running.
    pub(super) fn holds(&self, key: &Key) -> Option<String> {
        if key.public_key().key_type() != KeyType::Ed25519 {
            return None;
        }
        let running = AgentEndpoint {
            start: None,
            ..self.endpoint.clone()
        };
        let sessions = AgentClient::connect(&running, self.deadline)
            .ok()?
            .list()
            .ok()?;
        let kid = key.public_key().kid();
        let held = sessions.iter().any(|session| session.kid == Some(kid));
        held.then(|| kid.to_string())
    }

    /// Has a message signed, and checks what comes back; by the key given, if one is.
    ///
    /// # Errors
    /// [`KeyAgentError`].
    pub(super) fn sign(
        &self,
        selector: &str,
        key: Option<&Key>,
        command: &Sign,
        message: &mut dyn Read,
    ) -> Result<Made, KeyAgentError> {
        if command.namespace != NAMESPACE {
            return Err(KeyAgentError::Namespace(command.namespace.clone()));
        }
        if command.hash != HashAlgorithm::Sha512 {
            return Err(KeyAgentError::Hash);
        }
        let payload = read_payload(message).map_err(KeyAgentError::Input)?;
        let payload = payload.ok_or(KeyAgentError::TooLong)?;
        let answer = AgentClient::connect(&self.endpoint, self.deadline)?.sign_armored(
            selector,
            SignatureKind::Ssh,
            payload.clone(),
        )?;
        let signature = SshSig::from_armor(answer.signature.as_bytes())?;
        signature.verify(NAMESPACE, &Prehash::of(signature.hash(), &payload))?;
        if key.is_some_and(|key| key.public_key() != signature.key().public_key()) {
            return Err(KeyAgentError::OtherKey);
        }
        Ok(Made {
            signature,
            notice: answer.notice,
        })
    }
}

/// The key agent did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyAgentError {
    #[error("the key agent signs for namespace `git` and not for `{0}`")]
    Namespace(String),
    #[error("the key agent signs with sha512 only")]
    Hash,
    #[error("could not read the data to sign: {0}")]
    Input(#[source] io::Error),
    #[error("the data to sign is longer than {BODY_LIMIT} bytes")]
    TooLong,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the signature made does not hold: {0}")]
    Check(#[from] SshSigError),
    #[error("the key agent signed with another key")]
    OtherKey,
}
