//! OpenPGP, by the Ed25519 key that the authority's key certified.

use std::cell::RefCell;

use notme_core::{
    base64,
    enrol::{Format, SCOPE_SIGN_GIT},
    openpgp::{Certification, CertifiedKey, OpenPgpError, TrustedKey},
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

/// OpenPGP.
pub(crate) enum OpenPgp {}

/// A certified key, and what was said of it by the authority that is trusted.
#[derive(Clone, Debug)]
pub(crate) struct OpenPgpKey {
    pub(crate) key: CertifiedKey,
    authority: TrustedKey,
    certification: Certification,
}

impl OpenPgpKey {
    /// Puts our half and the authority's together.
    ///
    /// # Errors
    /// [`ChainCheckError`]; it is [`ChainCheckError::NotPinned`] when none of the authorities
    /// made the certification.
    pub(crate) fn new<'a>(
        key: CertifiedKey,
        authorities: impl Iterator<Item = &'a TrustedKey>,
    ) -> Result<Self, ChainCheckError> {
        let [user_id] = key.block().user_ids() else {
            return Err(ChainCheckError::Length);
        };
        let [_own, said] = user_id.signatures() else {
            return Err(ChainCheckError::Length);
        };
        for authority in authorities {
            match Certification::verify(said, authority, key.block().primary(), user_id) {
                Ok(certification) => {
                    return Ok(Self {
                        certification,
                        authority: authority.clone(),
                        key,
                    });
                }
                Err(OpenPgpError::Issuer | OpenPgpError::Mismatch(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ChainCheckError::NotPinned)
    }
}

impl Form for OpenPgp {
    type Certificate = OpenPgpKey;
    const CARRIES_TIME_STAMPS: bool = false;

    fn format(_config: &AgentConfig) -> Format {
        Format::OpenPgp
    }

    fn of_session<'a>(session: &'a Session, _config: &AgentConfig) -> Option<&'a OpenPgpKey> {
        session.openpgp()
    }

    fn read(session: &Session, text: &str) -> Result<OpenPgpKey, ChainCheckError> {
        let packet = base64::decode(text).ok_or(ChainCheckError::Length)?;
        session.openpgp_key(&packet)
    }

    fn check(
        session: &Session,
        certificate: &OpenPgpKey,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<(), ChainCheckError> {
        let trust = session.trust(config)?;
        if !trust
            .current_openpgp()
            .any(|ca| ca.certificate == certificate.authority)
        {
            return Err(ChainCheckError::NotPinned);
        }
        let said = &certificate.certification;
        if certificate.key.block().primary().ed25519_bytes()
            != session.keys().ed25519().ed25519_bytes()
            || *said.session() != session.binding()
        {
            return Err(ChainCheckError::Key);
        }
        if said.identity() != session.identity() {
            return Err(ChainCheckError::Identity);
        }
        if !said.scopes().iter().any(|scope| scope == SCOPE_SIGN_GIT) {
            return Err(ChainCheckError::Scope);
        }
        check_window(Self::validity(certificate), now)
    }

    fn payload_digest(certificate: &OpenPgpKey) -> Option<[u8; 32]> {
        certificate.certification.payload_sha256()
    }

    fn terms(certificate: &OpenPgpKey) -> Option<&Terms> {
        certificate.certification.terms()
    }

    fn kept(lent: &Lent) -> &RefCell<Option<OpenPgpKey>> {
        &lent.openpgp
    }

    fn validity(certificate: &OpenPgpKey) -> (UnixTime, UnixTime) {
        let said = &certificate.certification;
        (said.not_before(), said.not_after())
    }
}
