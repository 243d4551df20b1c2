//! All agents of the key agent, and what is done for them.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use notme_core::{
    base64,
    certificate::Certificate,
    cms::SignedAttributes,
    dsse::parse_pae,
    enrol::SCOPE_SIGN_ATTESTATION,
    frame::{
        ArmoredAnswer, AttestAnswer, Basis, CredentialsAnswer, MemoryProtection, SessionState,
        SessionStatus, SignAnswer,
    },
    identity::{AgentName, Identity},
    key::{Hash, KeyId},
    link::check_link,
    object::classify,
    openpgp::{ArmorKind, ToBeSigned, armor},
    ssh,
    statement::{PAYLOAD_TYPE, Statement},
    time::UnixTime,
};
use tokio::{
    join,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    chain::Chain,
    config::{AgentConfig, ConfigError, Profile, Timestamping, Wire},
    failure::Failure,
    forms::{Cms, Form, OpenPgp, SshSig},
    lent::Lent,
    session::{Session, Token},
    session_keys::SessionKeys,
    slot::{Credential, Early, Slot, Surroundings, TimeStamp, Wanted},
};

/// A signature that was made before there was a certificate for it.
struct Signed {
    keys: Rc<SessionKeys>,
    signature: Vec<u8>,
    time_stamp: Early,
}

/// The agents that are configured, each in its slot.
pub(crate) struct Agents {
    around: Surroundings,
    slots: RefCell<BTreeMap<AgentName, Rc<Slot>>>,
}

impl Agents {
    /// Returns the agents configured in a directory, now and later.
    pub(crate) fn new(around: Surroundings) -> Self {
        Self {
            around,
            slots: RefCell::default(),
        }
    }

    /// Signs a git object, that was parsed and understood, in CMS.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn sign_cms(&self, wanted: Wanted<'_>) -> Result<SignAnswer, Failure> {
        let deadline = Instant::now() + SIGN_BUDGET;
        let payload = wanted.payload;
        let (slot, credential) = self.credential::<Cms>(wanted, deadline).await?;
        let profile = slot.config().profile;
        let hash = match profile {
            Profile::Modern => Hash::Sha512,
            Profile::Interop => Hash::Sha256,
        };
        let attributes = SignedAttributes::new(hash, payload, (self.around.clock)());
        let signature = credential.session.sign(profile, attributes.der())?;
        let signed = (&credential, signature.as_slice());
        let wish = slot.config().timestamp;
        let stamped = slot.time_stamp(wish, signed, None, &self.around, deadline);
        let (time_stamp, basis, notice) = with(stamped.await?, credential.basis, credential.notice);
        Ok(SignAnswer {
            certificates: encoded(&credential.certificate),
            attributes: base64::encode(attributes.der()),
            signature: base64::encode(&signature),
            basis,
            time_stamp,
            notice,
        })
    }

    /// Signs a git object, that was parsed and understood, in SSHSIG.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn sign_ssh(&self, wanted: Wanted<'_>) -> Result<ArmoredAnswer, Failure> {
        let deadline = Instant::now() + SIGN_BUDGET;
        let payload = wanted.payload;
        let (_, credential) = self.credential::<SshSig>(wanted, deadline).await?;
        let key = ssh::Key::Certified(Box::new(credential.certificate));
        let hash = ssh::HashAlgorithm::Sha512;
        let data = ssh::Prehash::of(hash, payload).signed_data(GIT_NAMESPACE);
        let raw = credential.session.keys().sign_ed25519(&data)?;
        let certificate = key.to_text();
        let blob = ssh::signature::ed25519_blob(&raw);
        Ok(ArmoredAnswer {
            signature: ssh::SshSig::new(key, GIT_NAMESPACE, hash, blob).to_armor(),
            certificate,
            basis: credential.basis,
            notice: credential.notice,
        })
    }

    /// Signs a git object, that was parsed and understood, in OpenPGP.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn sign_openpgp(&self, wanted: Wanted<'_>) -> Result<ArmoredAnswer, Failure> {
        let deadline = Instant::now() + SIGN_BUDGET;
        let payload = wanted.payload;
        let (_, credential) = self.credential::<OpenPgp>(wanted, deadline).await?;
        let session = &credential.session;
        let key = &credential.certificate.key;
        let now = (self.around.clock)();
        let signature = ToBeSigned::new(key, session.identity(), payload, now)?
            .sign(&session.keys().ed25519_signer())?;
        Ok(ArmoredAnswer {
            signature: armor(ArmorKind::Signature, &signature.to_packet()?),
            certificate: armor(ArmorKind::PublicKeys, key.as_bytes()),
            basis: credential.basis,
            notice: credential.notice,
        })
    }

    /// Signs the pre-authentication encoding of a statement, or an in-toto link, once it was parsed
    /// and understood. No encoding begins as a link does.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn attest(&self, wanted: Wanted<'_>) -> Result<AttestAnswer, Failure> {
        let message = wanted.payload;
        match parse_pae(message) {
            Some((PAYLOAD_TYPE, payload)) => {
                Statement::parse(payload).map_err(Failure::Statement)?;
            }
            Some(_) => return Err(Failure::NotStatement),
            None => check_link(message).map_err(Failure::Link)?,
        }
        let deadline = Instant::now() + SIGN_BUDGET;
        let slot = self.slot_of(wanted.key, wanted.lent)?;
        let early = self.sign_early(&slot, message, deadline);
        let (early, certified) = join!(early, self.certified::<Cms>(wanted, deadline));
        let (slot, credential) = certified?;
        let config = slot.config();
        if !config.allows(&credential.certificate, SCOPE_SIGN_ATTESTATION) {
            return Err(Failure::Scope);
        }
        let is_same = |early: &Signed| Rc::ptr_eq(&early.keys, credential.session.keys());
        let (signature, early) = match early.filter(is_same) {
            Some(early) => (early.signature, Some(early.time_stamp)),
            None => (credential.session.sign(config.profile, message)?, None),
        };
        let signed = (&credential, signature.as_slice());
        // Asked for or not: most who read bundles take none without.
        let wish = config.timestamp.unwrap_or(Timestamping::Wanted);
        let stamped = slot.time_stamp(Some(wish), signed, early, &self.around, deadline);
        let (time_stamp, basis, notice) = with(stamped.await?, credential.basis, credential.notice);
        Ok(AttestAnswer {
            certificates: encoded(&credential.certificate),
            signature: base64::encode(&signature),
            time_stamp,
            basis,
            notice,
        })
    }

    /// Signs a statement with the key of the session that there is, and has that time-stamped while the
    /// certificate is asked for: neither needs it. Without it the signature goes nowhere.
    async fn sign_early(&self, slot: &Slot, message: &[u8], deadline: Instant) -> Option<Signed> {
        let session = slot.current()?;
        let config = slot.config();
        let may = config.allows(session.chain(config.profile), SCOPE_SIGN_ATTESTATION);
        if !may || config.wire == Wire::Pairs {
            return None;
        }
        let signature = session.sign(config.profile, message).ok()?;
        let asked = slot.ask_for_time_stamp(&signature, &self.around, deadline);
        Some(Signed {
            time_stamp: asked.await,
            keys: Rc::clone(session.keys()),
            signature,
        })
    }

    /// Returns what a git object is signed with, once it was parsed and understood.
    async fn credential<F: Form>(
        &self,
        wanted: Wanted<'_>,
        deadline: Instant,
    ) -> Result<(Rc<Slot>, Credential<F::Certificate>), Failure> {
        classify(wanted.payload).map_err(Failure::Payload)?;
        self.certified::<F>(wanted, deadline).await
    }

    async fn certified<F: Form>(
        &self,
        wanted: Wanted<'_>,
        deadline: Instant,
    ) -> Result<(Rc<Slot>, Credential<F::Certificate>), Failure> {
        let slot = self.slot_of(wanted.key, wanted.lent)?;
        let config = slot.config();
        if config.timestamp == Some(Timestamping::Required) && !F::CARRIES_TIME_STAMPS {
            return Err(Failure::NoTimeStamp {
                agent: config.name.clone(),
                cause: format!("{} signatures carry none", F::format(&config).as_str()),
            });
        }
        let credential = slot.credential::<F>(wanted, &self.around, deadline);
        let credential = timeout_at(deadline, credential)
            .await
            .map_err(|_| Failure::Deadline)??;
        Ok((slot, credential))
    }

    /// Tells what an agent signs with, opening its session if need be. Where a loan has a session of
    /// its own, only certificates with the terms are shown.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn credentials(
        &self,
        key: &str,
        lent: Option<&Lent>,
    ) -> Result<CredentialsAnswer, Failure> {
        let slot = self.slot_of(key, lent)?;
        let session = self.session(&slot).await?;
        let profile = slot.config().profile;
        let (chain, ssh, openpgp) = match lent.filter(|lent| lent.slot().is_some()) {
            Some(lent) => (
                lent.cms.borrow().clone(),
                lent.ssh.borrow().clone(),
                lent.openpgp.borrow().clone(),
            ),
            None => (
                Some(session.chain(profile).clone()),
                session.ssh().cloned(),
                session.openpgp().cloned(),
            ),
        };
        let pem = |chain: Chain| {
            let certificates = std::iter::once(chain.leaf()).chain(chain.intermediates());
            certificates.map(Certificate::pem).collect()
        };
        Ok(CredentialsAnswer {
            agent: slot.config().name.clone(),
            identity: session.identity().clone(),
            scopes: session.scopes().to_vec(),
            not_after: session.not_after(),
            x509: chain.map(pem).unwrap_or_default(),
            ssh: ssh.map(|certificate| ssh::Key::Certified(Box::new(certificate)).to_text()),
            openpgp: openpgp.map(|openpgp| armor(ArmorKind::PublicKeys, openpgp.key.as_bytes())),
        })
    }

    /// Opens an agent's session, if need be, and has it certified within the terms of a loan;
    /// returns who it is.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn lend(&self, key: &str, lent: &Lent) -> Result<Identity, Failure> {
        let mut slot = self.select(key)?;
        if lent.terms().are_narrow() {
            slot = lent.settle(slot.beside(&self.around)?);
        }
        let deadline = Instant::now() + SIGN_BUDGET;
        let session = timeout_at(deadline, slot.lend(lent, &self.around, deadline));
        let session = session.await.map_err(|_| Failure::Deadline)??;
        Ok(session.identity().clone())
    }

    /// Returns our time.
    pub(crate) fn now(&self) -> UnixTime {
        (self.around.clock)()
    }

    /// Returns the sessions of all agents, opened or renewed if need be and possible.
    pub(crate) async fn sessions(self: &Rc<Self>) -> Vec<Rc<Session>> {
        let Ok(names) = AgentConfig::names(&self.around.config_dir) else {
            return Vec::new();
        };
        // At once: an authority that is slow to answer keeps the other agents' from nobody.
        let mut opening = JoinSet::new();
        for name in names {
            let agents = Rc::clone(self);
            opening.spawn_local(async move {
                let slot = agents.slot(&name).ok()??;
                Some((name, agents.session(&slot).await.ok()?))
            });
        }
        let mut sessions = BTreeMap::new();
        while let Some(opened) = opening.join_next().await {
            sessions.extend(opened.ok().flatten());
        }
        sessions.into_values().collect()
    }

    /// Finds the live session with an SSH key, or with the certificate over it that its authority
    /// issued.
    pub(crate) fn session_of(&self, key: &ssh::Key) -> Option<Rc<Session>> {
        let now = (self.around.clock)();
        let is_meant = |session: &Session| {
            session.ssh_key() == key.public_key()
                && now <= session.not_after()
                && key.certificate().is_none_or(|certificate| {
                    // Not necessarily the current one: it may have been renewed since it was listed.
                    session.ssh().is_some_and(|current| {
                        certificate.authority() == current.authority()
                            && certificate.key_id() == current.key_id()
                    })
                })
        };
        let slots = self.slots.borrow();
        let mut sessions = slots.values().filter_map(|slot| slot.current());
        sessions.find(|session| is_meant(session))
    }

    async fn session(&self, slot: &Slot) -> Result<Rc<Session>, Failure> {
        let deadline = Instant::now() + SIGN_BUDGET;
        timeout_at(deadline, slot.session(&self.around, deadline))
            .await
            .map_err(|_| Failure::Deadline)?
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
        for name in AgentConfig::names(&self.around.config_dir)? {
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

    /// Finds the place of an agent, or that of a loan of it.
    fn slot_of(&self, key: &str, lent: Option<&Lent>) -> Result<Rc<Slot>, Failure> {
        let slot = self.select(key)?;
        Ok(lent.and_then(Lent::slot).cloned().unwrap_or(slot))
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
                slot.current().is_some_and(|session| {
                    let mut kids = [Profile::Modern, Profile::Interop]
                        .map(|it| session.kid(it))
                        .into_iter();
                    kids.any(|it| it == kid)
                })
            })
            .cloned()
            .ok_or_else(|| unknown(key))
    }

    /// Returns an agent's slot as configured at this moment.
    fn slot(&self, name: &AgentName) -> Result<Option<Rc<Slot>>, ConfigError> {
        let config = AgentConfig::load(&self.around.config_dir, name)?;
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
/// The namespace of SSHSIG that git signs in.
pub(crate) const GIT_NAMESPACE: &str = "git";

/// Puts a time stamp together with what there was before it.
fn with(
    stamp: TimeStamp,
    basis: Basis,
    notice: Option<String>,
) -> (Option<String>, Basis, Option<String>) {
    match stamp {
        TimeStamp::Unasked => (None, basis, notice),
        TimeStamp::Token(token) => (Some(base64::encode(&token)), Basis::Timestamped, notice),
        TimeStamp::Missed(missed) => {
            let notices: Vec<_> = notice.into_iter().chain([missed]).collect();
            (None, basis, Some(notices.join("; ")))
        }
    }
}

/// Writes a chain as it travels, the leaf first.
fn encoded(chain: &Chain) -> Vec<String> {
    std::iter::once(chain.leaf())
        .chain(chain.intermediates())
        .map(|certificate| base64::encode(certificate.der()))
        .collect()
}

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
        unstamped: None,
    }
}

fn unknown(key: &str) -> Failure {
    Failure::UnknownKey {
        key: key.to_owned(),
    }
}
