//! All agents of the key agent, and what is done for them.

use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, rc::Rc, time::Duration};

use notme_core::{
    base64,
    cms::SignedAttributes,
    frame::{MemoryProtection, SessionState, SessionStatus, SignAnswer},
    identity::AgentName,
    key::{Hash, KeyId},
    object::classify,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    config::{AgentConfig, ConfigError, Profile},
    failure::Failure,
    session::Token,
    slot::{Slot, Surroundings},
};

/// The agents that are configured, each in its slot.
pub(crate) struct Agents {
    directory: PathBuf,
    around: Surroundings,
    slots: RefCell<BTreeMap<AgentName, Rc<Slot>>>,
}

impl Agents {
    /// Returns the agents configured in a directory, now and later.
    pub(crate) fn new(directory: PathBuf, around: Surroundings) -> Self {
        Self {
            directory,
            around,
            slots: RefCell::default(),
        }
    }

    /// Signs a git object that was parsed and understood.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn sign_git(&self, key: &str, payload: &[u8]) -> Result<SignAnswer, Failure> {
        classify(payload).map_err(Failure::Payload)?;
        let slot = self.select(key)?;
        let deadline = Instant::now() + SIGN_BUDGET;
        let credential = slot.credential(payload, &self.around, deadline);
        let credential = timeout_at(deadline, credential)
            .await
            .map_err(|_| Failure::Deadline)??;
        let profile = slot.config().profile;
        let hash = match profile {
            Profile::Modern => Hash::Sha512,
            Profile::Interop => Hash::Sha256,
        };
        let attributes = SignedAttributes::new(hash, payload, (self.around.clock)());
        let signature = credential.session.sign(profile, attributes.der())?;
        let chain = &credential.chain;
        Ok(SignAnswer {
            certificates: std::iter::once(chain.leaf())
                .chain(chain.intermediates())
                .map(|certificate| base64::encode(certificate.der()))
                .collect(),
            attributes: base64::encode(attributes.der()),
            signature: base64::encode(&signature),
            basis: credential.basis,
            notice: credential.notice,
        })
    }

    /// Opens a new session for an agent.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn enrol(
        &self,
        agent: &AgentName,
        token: Option<Token>,
    ) -> Result<SessionStatus, Failure> {
        let slot = self.slot(agent)?.ok_or_else(|| unknown(agent.as_str()))?;
        let deadline = Instant::now() + ENROL_BUDGET;
        slot.enrol(token, &self.around, deadline).await?;
        Ok(slot.status((self.around.clock)()))
    }

    /// Renews an agent's certificates now.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn renew(&self, agent: &AgentName) -> Result<SessionStatus, Failure> {
        let slot = self.slot(agent)?.ok_or_else(|| unknown(agent.as_str()))?;
        let deadline = Instant::now() + ENROL_BUDGET;
        slot.renew(&self.around, deadline).await?;
        Ok(slot.status((self.around.clock)()))
    }

    /// Tells about every configured agent.
    ///
    /// One whose configuration cannot be used is told of as broken: the others are not to suffer.
    ///
    /// # Errors
    /// [`Failure::Config`] when the directory cannot be used.
    pub(crate) fn list(&self) -> Result<Vec<SessionStatus>, Failure> {
        let now = (self.around.clock)();
        let mut sessions = Vec::new();
        for name in AgentConfig::names(&self.directory)? {
            match self.slot(&name) {
                Ok(slot) => sessions.extend(slot.map(|slot| slot.status(now))),
                Err(error) => sessions.push(broken(name, error)),
            }
        }
        Ok(sessions)
    }

    /// Adds to what is known of the process how well the sessions' keys are kept.
    pub(crate) fn memory(&self, process: &MemoryProtection) -> MemoryProtection {
        let mut memory = process.clone();
        for slot in self.slots.borrow().values() {
            let Some(session) = slot.current() else {
                continue;
            };
            for weakness in session.keys().weaknesses() {
                let text = weakness.to_string();
                memory.memory_locked &= !weakness.is_unlocked();
                if !memory.weaknesses.contains(&text) {
                    memory.weaknesses.push(text);
                }
            }
        }
        memory
    }

    /// Renews every session that is due, and forgets those of agents that are no more.
    pub(crate) async fn maintain(&self) {
        let names: Vec<_> = self.slots.borrow().keys().cloned().collect();
        for name in names {
            // A configuration that cannot be read is for the next request to complain about.
            if let Ok(Some(slot)) = self.slot(&name) {
                slot.maintain(&self.around).await;
            }
        }
    }

    /// Tells whether a session would be lost for good if we exited.
    pub(crate) fn hold_something_irreplaceable(&self) -> bool {
        let now = (self.around.clock)();
        self.slots
            .borrow()
            .values()
            .any(|slot| slot.is_irreplaceable(now))
    }

    /// Finds an agent by name, or by the key id of its session.
    fn select(&self, key: &str) -> Result<Rc<Slot>, Failure> {
        if let Ok(name) = key.parse()
            && let Some(slot) = self.slot(&name)?
        {
            return Ok(slot);
        }
        let kid: KeyId = key.parse().map_err(|_| unknown(key))?;
        self.slots
            .borrow()
            .values()
            .find(|slot| {
                let profile = slot.config().profile;
                slot.current()
                    .is_some_and(|session| session.kid(profile) == kid)
            })
            .cloned()
            .ok_or_else(|| unknown(key))
    }

    /// Returns an agent's slot as configured at this moment.
    fn slot(&self, name: &AgentName) -> Result<Option<Rc<Slot>>, ConfigError> {
        let config = AgentConfig::load(&self.directory, name)?;
        let mut slots = self.slots.borrow_mut();
        let Some(config) = config else {
            slots.remove(name);
            return Ok(None);
        };
        let slot = match slots.get(name) {
            Some(slot) if *slot.config() == config => return Ok(Some(Rc::clone(slot))),
            Some(slot) => slot.reconfigured(config, &self.around),
            None => Slot::new(config, &self.around),
        };
        let slot = Rc::new(slot);
        slots.insert(name.clone(), Rc::clone(&slot));
        Ok(Some(slot))
    }
}

/// Below the signer's own five seconds, so that its user hears why.
const SIGN_BUDGET: Duration = Duration::from_millis(4500);
const ENROL_BUDGET: Duration = Duration::from_secs(10);

fn broken(agent: AgentName, error: ConfigError) -> SessionStatus {
    SessionStatus {
        agent,
        authority: String::new(),
        state: SessionState::Broken,
        problem: Some(Failure::from(error).refusal().message),
        identity: None,
        kid: None,
        not_after: None,
        session_ends_at: None,
        fallback: None,
    }
}

fn unknown(key: &str) -> Failure {
    Failure::UnknownKey {
        key: key.to_owned(),
    }
}
