//! CMS, with the key that the agent's profile says.

use notme_core::{enrol::Format, time::UnixTime};

use super::Form;
use crate::{
    chain::{Chain, ChainCheckError},
    config::{AgentConfig, Profile},
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

    fn validity(chain: &Chain) -> (UnixTime, UnixTime) {
        (chain.leaf().not_before(), chain.leaf().not_after())
    }
}
