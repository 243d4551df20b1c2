//! The forms of signature, each with what certifies the session's key for it.

mod cms;
mod openpgp;
mod ssh_sig;

pub(crate) use self::{
    cms::Cms,
    openpgp::{OpenPgp, OpenPgpKey},
    ssh_sig::SshSig,
};
use std::cell::RefCell;

use notme_core::{enrol::Format, terms::Terms, time::UnixTime};

use crate::{chain::ChainCheckError, config::AgentConfig, lent::Lent, session::Session};

/// A form of signature.
pub(crate) trait Form {
    /// What certifies the key.
    type Certificate: Clone;
    /// Whether a signature has room for a time stamp.
    const CARRIES_TIME_STAMPS: bool;

    /// Returns the name by which an authority is asked for a certificate.
    fn format(config: &AgentConfig) -> Format;

    /// Returns the session's own certificate; `None` when the authority issued none.
    fn of_session<'a>(session: &'a Session, config: &AgentConfig) -> Option<&'a Self::Certificate>;

    /// Reads a certificate that was issued for one payload.
    ///
    /// # Errors
    /// [`ChainCheckError`].
    fn read(session: &Session, text: &str) -> Result<Self::Certificate, ChainCheckError>;

    /// Checks that a certificate is the session's, and that an authority that is pinned now
    /// issued it.
    ///
    /// # Errors
    /// [`ChainCheckError`].
    fn check(
        session: &Session,
        certificate: &Self::Certificate,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<(), ChainCheckError>;

    /// Returns the only payload that the certificate was issued for.
    fn payload_digest(certificate: &Self::Certificate) -> Option<[u8; 32]>;

    /// Returns what else limits what it may sign.
    fn terms(certificate: &Self::Certificate) -> Option<&Terms>;

    /// Returns the place of a loan's own certificate.
    fn kept(lent: &Lent) -> &RefCell<Option<Self::Certificate>>;

    /// Returns the first and the last second of validity.
    fn validity(certificate: &Self::Certificate) -> (UnixTime, UnixTime);
}
