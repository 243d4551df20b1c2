//! SSHSIG, by the Ed25519 key under an OpenSSH certificate.

use std::cell::RefCell;

use notme_core::{
    enrol::{Format, SCOPE_SIGN_GIT},
    ssh::{Certificate, Key, certificate::Role},
    terms::Terms,
    time::UnixTime,
};

use super::Form;
use crate::{
    chain::{ChainCheckError, check_window},
    config::AgentConfig,
    lent::Lent,
    session::Session,
};

/// SSHSIG.
pub(crate) enum SshSig {}

impl Form for SshSig {
    type Certificate = Certificate;
    const CARRIES_TIME_STAMPS: bool = false;

    fn format(_config: &AgentConfig) -> Format {
        Format::Ssh
    }

    fn of_session<'a>(session: &'a Session, _config: &AgentConfig) -> Option<&'a Certificate> {
        session.ssh()
    }

    fn read(_session: &Session, text: &str) -> Result<Certificate, ChainCheckError> {
        match Key::from_text(text)? {
            (Key::Certified(certificate), "") => Ok(*certificate),
            (Key::Certified(_) | Key::Plain(_), _) => Err(ChainCheckError::Length),
        }
    }

    fn check(
        session: &Session,
        certificate: &Certificate,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<(), ChainCheckError> {
        let trust = session.trust(config)?;
        if !trust
            .current_ssh_ca()
            .any(|ca| ca.public_key == *certificate.authority())
        {
            return Err(ChainCheckError::NotPinned);
        }
        if certificate.public_key() != session.ssh_key() {
            return Err(ChainCheckError::Key);
        }
        let names = [session.identity().as_str(), config.name.as_str()];
        let principals = certificate.principals();
        if certificate.key_id() != session.identity().as_str()
            || !names
                .iter()
                .all(|name| principals.iter().any(|it| it == name))
        {
            return Err(ChainCheckError::Identity);
        }
        if certificate.session() != Some(session.binding()) {
            return Err(ChainCheckError::Key);
        }
        if !certificate.scopes().iter().any(|it| it == SCOPE_SIGN_GIT) {
            return Err(ChainCheckError::Scope);
        }
        if certificate.role() != Role::User || !certificate.critical_options().is_empty() {
            return Err(ChainCheckError::Use);
        }
        check_window(Self::validity(certificate), now)
    }

    fn payload_digest(certificate: &Certificate) -> Option<[u8; 32]> {
        certificate.payload_digest()
    }

    fn terms(certificate: &Certificate) -> Option<&Terms> {
        certificate.terms()
    }

    fn kept(lent: &Lent) -> &RefCell<Option<Certificate>> {
        &lent.ssh
    }

    fn validity(certificate: &Certificate) -> (UnixTime, UnixTime) {
        let time = |seconds| UnixTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        (
            time(certificate.valid_after()),
            time(certificate.valid_before().saturating_sub(1)),
        )
    }
}
