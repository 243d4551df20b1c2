//! The time-stamping authority (RFC 3161): a key of its own, under the P-256 root, since every
//! stock verifier reads P-256.
//!
//! Nothing is written when it stamps. Serial numbers
//! have 126 random bits, as those of certificates have, so that none comes twice, also not after
//! a restart.

use notme_core::{
    certificate::Certificate,
    key::Signer as _,
    oid,
    profile::{TsaTemplate, build_tsa},
    time::UnixTime,
    timestamp::{
        RejectionReason, TimeStampError, TimeStampRequest, TokenTemplate, build_token,
        reply_granted, reply_rejected,
    },
};

use crate::{
    authority::OpenError,
    ca::{BACKDATED, Ca, CaError, Making, new_serial},
    ca_key::{CaKey, KeyKind, KeyName},
    custody::Custody,
    seal::SealError,
    store::{EpochRecord, SealedFormatCa},
};

/// What stamps.
pub(crate) struct Tsa {
    certificate: Certificate,
    key: CaKey,
    from: UnixTime,
}

impl Tsa {
    pub(crate) const NAME: &str = "tsa";

    /// Makes a new one under the P-256 root of its epoch, for as long as that lives.
    pub(crate) fn make(issuer: &Ca, making: &Making<'_>) -> Result<SealedFormatCa, CaError> {
        let (key, kept_key) = making.key(Self::NAME, KeyKind::P256)?;
        let from = making.now.plus(-BACKDATED);
        let template = TsaTemplate {
            issuer: issuer.certificate(),
            key: key.public_key(),
            common_name: &making.named("signet-authority time stamps"),
            serial: new_serial()?,
            not_before: from,
            not_after: issuer.certificate().not_after(),
        };
        let certificate = build_tsa(&template, issuer.key())?;
        Ok(SealedFormatCa {
            name: Self::NAME.to_owned(),
            public: certificate.der().to_vec(),
            key: Some(kept_key),
            created_at: from,
        })
    }

    /// Opens the kept one.
    pub(crate) fn open(kept: &EpochRecord, custody: &Custody) -> Result<Self, CaError> {
        let sealed = Self::sealed(&kept.format_cas).ok_or(CaError::Missing(Self::NAME))?;
        let name = KeyName::new(Self::NAME, kept.number);
        let certificate = Certificate::from_der(&sealed.public)?;
        let key = custody.key(name, sealed.key.as_deref(), certificate.public_key())?;
        Ok(Self {
            certificate,
            key,
            from: sealed.created_at,
        })
    }

    /// Reads the public half of a kept one, and when it was made; `None` in an epoch from before
    /// there was any.
    pub(crate) fn kept(
        kept: &[SealedFormatCa],
    ) -> Result<Option<(Certificate, UnixTime)>, CaError> {
        Self::sealed(kept)
            .map(|sealed| Ok((Certificate::from_der(&sealed.public)?, sealed.created_at)))
            .transpose()
    }

    fn sealed(kept: &[SealedFormatCa]) -> Option<&SealedFormatCa> {
        kept.iter().find(|ca| ca.name == Self::NAME)
    }

    pub(crate) fn from(&self) -> UnixTime {
        self.from
    }

    /// Answers a request, with a key in use since some time; a request that gets no time stamp is
    /// answered with the reason.
    pub(crate) fn answer(
        &self,
        request: &[u8],
        now: UnixTime,
        since: UnixTime,
    ) -> Result<Vec<u8>, StampError> {
        let request = match TimeStampRequest::from_der(request) {
            Ok(request) => request,
            Err(error) => return Ok(reply_rejected(error.reason(), &error.to_string())),
        };
        let policy = oid::NOTME_TIME_STAMP_POLICY;
        if request.policy().is_some_and(|asked| asked != policy) {
            let text = format!("time stamps are made under policy {policy}");
            return Ok(reply_rejected(RejectionReason::UnacceptedPolicy, &text));
        }
        if now < since || !self.certificate.is_valid_at(now) {
            let text = "the clock is outside the time of the certificate's use";
            return Ok(reply_rejected(RejectionReason::TimeNotAvailable, text));
        }
        let template = TokenTemplate {
            certificate: &self.certificate,
            policy,
            serial: new_serial()?,
            at: now,
            accuracy_seconds: ACCURACY,
        };
        Ok(reply_granted(&build_token(&template, &request, &self.key)?))
    }
}

/// Returns the answer to a request that we failed at.
pub(crate) fn system_failure() -> Vec<u8> {
    reply_rejected(RejectionReason::SystemFailure, "")
}

/// Why a time stamp could not be made, though it should have been.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StampError {
    #[error("the keys could not be looked at")]
    Keys(#[from] OpenError),
    #[error("no randomness for a serial number")]
    Serial(#[from] SealError),
    #[error("the time stamp could not be made")]
    Token(#[from] TimeStampError),
}

/// The whole second is written, so that it was at most so much later; that the clock itself is
/// right is the operator's affair.
const ACCURACY: u8 = 1;
