//! CMS, with the key that the agent's profile says.

use std::cell::RefCell;

use notme_core::{enrol::Format, terms::Terms, time::UnixTime};

use super::Form;
use crate::{
    chain::{Chain, ChainCheckError},
    config::{AgentConfig, Profile},
    lent::Lent,
    session::Session,
};

/// CMS.
pub(crate) enum Cms {}

impl Form for Cms {
    type Certificate = Chain;
    const CARRIES_TIME_STAMPS: bool = true;

    fn format(config: &AgentConfig) -> Format {
        match config.profile {
            Profile::Modern => Format::X509,
            Profile::Interop => Format::X509Interop,
        }
    }

    fn of_session<'a>(session: &'a Session, config: &AgentConfig) -> Option<&'a Chain> {
        Some(session.chain(config.profile))
    }

    fn read(_session: &Session, text: &str) -> Result<Chain, ChainCheckError> {
        Chain::from_pem(text)
    }

    fn check(
        session: &Session,
        chain: &Chain,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<(), ChainCheckError> {
        session.check(chain, config.profile, config, now)
    }

    fn payload_digest(chain: &Chain) -> Option<[u8; 32]> {
        chain.leaf().payload_digest()
    }

    fn terms(chain: &Chain) -> Option<&Terms> {
        chain.leaf().terms()
    }

    fn kept(lent: &Lent) -> &RefCell<Option<Chain>> {
        &lent.cms
    }

    fn validity(chain: &Chain) -> (UnixTime, UnixTime) {
        (chain.leaf().not_before(), chain.leaf().not_after())
    }
}
