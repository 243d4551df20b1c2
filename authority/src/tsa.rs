//! The time-stamping authority (RFC 3161): a key of its own, under the P-256 root, since every
//! stock verifier reads P-256.
//!
//! Nothing is written when it stamps: the store neither slows it nor knows of it. Serial numbers
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
    trust,
};

use crate::{
    ca::{BACKDATED, Ca, CaError, new_serial},
    ca_key::{CaKey, KeyKind},
    seal::{Kek, SealError},
    store::SealedFormatCa,
};

/// What stamps.
pub(crate) struct Tsa {
    certificate: Certificate,
    key: CaKey,
    from: UnixTime,
}

impl Tsa {
    const NAME: &str = "tsa";

    /// Makes a new one under the P-256 root, for as long as that lives, and the sealed form to
    /// keep.
    pub(crate) fn found(
        issuer: &Ca,
        trust_domain: &str,
        now: UnixTime,
        kek: &Kek,
    ) -> Result<(Self, SealedFormatCa), CaError> {
        let (key, sealed_key) = CaKey::found(Self::NAME, KeyKind::P256, kek)?;
        let from = now.plus(-BACKDATED);
        let template = TsaTemplate {
            issuer: issuer.certificate(),
            key: key.public_key(),
            common_name: &format!("signet-authority time stamps {trust_domain}"),
            serial: new_serial()?,
            not_before: from,
            not_after: issuer.certificate().not_after(),
        };
        let certificate = build_tsa(&template, issuer.key())?;
        let sealed = SealedFormatCa {
            name: Self::NAME.to_owned(),
            public: certificate.der().to_vec(),
            key: sealed_key,
            created_at: from,
        };
        let tsa = Self {
            certificate,
            key,
            from,
        };
        Ok((tsa, sealed))
    }

    /// Opens the kept one; `None` in a store from before there was any.
    pub(crate) fn open(kept: &[SealedFormatCa], kek: &Kek) -> Result<Option<Self>, CaError> {
        let Some(sealed) = kept.iter().find(|ca| ca.name == Self::NAME) else {
            return Ok(None);
        };
        let key = CaKey::open(Self::NAME, KeyKind::P256, &sealed.key, kek)?;
        let certificate = Certificate::from_der(&sealed.public)?;
        if certificate.public_key() != key.public_key() {
            return Err(CaError::Mismatch(Self::NAME));
        }
        Ok(Some(Self {
            certificate,
            key,
            from: sealed.created_at,
        }))
    }

    /// Returns what the trust document says of it.
    pub(crate) fn published(&self) -> trust::Tsa {
        trust::Tsa {
            certificate: self.certificate.clone(),
            kid: self.certificate.kid(),
            from: self.from,
            retired_at: None,
        }
    }

    /// Answers a request; a request that gets no time stamp is answered with the reason.
    pub(crate) fn answer(&self, request: &[u8], now: UnixTime) -> Result<Vec<u8>, StampError> {
        let request = match TimeStampRequest::from_der(request) {
            Ok(request) => request,
            Err(error) => return Ok(reply_rejected(error.reason(), &error.to_string())),
        };
        let policy = oid::NOTME_TIME_STAMP_POLICY;
        if request.policy().is_some_and(|asked| asked != policy) {
            let text = format!("time stamps are made under policy {policy}");
            return Ok(reply_rejected(RejectionReason::UnacceptedPolicy, &text));
        }
        if !self.certificate.is_valid_at(now) {
            let text = "the clock is outside the certificate's validity";
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
    #[error("no randomness for a serial number")]
    Serial(#[from] SealError),
    #[error("the time stamp could not be made")]
    Token(#[from] TimeStampError),
}

/// The whole second is written, so that it was at most so much later; that the clock itself is
/// right is the operator's affair.
const ACCURACY: u8 = 1;
