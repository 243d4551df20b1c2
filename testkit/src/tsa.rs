//! Time-stamping authorities of the cast.

use notme_core::{
    certificate::Certificate,
    key::{Algorithm, Hash, Signer as _},
    oid,
    profile::{TsaTemplate, build_tsa},
    time::UnixTime,
    timestamp::{MessageImprint, TimeStampRequest, TokenTemplate, build_token},
    trust::Tsa,
};

use crate::{cast::TestAuthority, keys::P256Key};

/// A throw-away time-stamping authority.
pub struct TestTsa {
    key: P256Key,
    certificate: Certificate,
}

impl TestTsa {
    /// Builds the one of a seed, under the P-256 root of an authority and for as long.
    ///
    /// # Panics
    /// When the profile refuses it.
    pub fn of(authority: &TestAuthority, seed: u8) -> Self {
        let mut secret = [seed; 32];
        if let Some(first) = secret.first_mut() {
            *first = b't';
        }
        let key = P256Key::from_seed(secret);
        let (issuer_key, issuer) = authority.root(Algorithm::P256);
        let template = TsaTemplate {
            issuer,
            key: key.public_key(),
            common_name: "notme-authority test time stamps",
            serial: [seed; 16],
            not_before: issuer.not_before(),
            not_after: issuer.not_after(),
        };
        Self {
            certificate: build_tsa(&template, issuer_key).expect("the template fits the profile"),
            key,
        }
    }

    /// Returns the certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns the key.
    pub fn key(&self) -> &P256Key {
        &self.key
    }

    /// Returns what a trust document says of it.
    pub fn entry(&self) -> Tsa {
        Tsa {
            certificate: self.certificate.clone(),
            kid: self.certificate.kid(),
            from: self.certificate.not_before(),
            retired_at: None,
        }
    }

    /// Answers a request with a token.
    ///
    /// # Panics
    /// When the time cannot be written.
    pub fn answer(&self, request: &TimeStampRequest, at: UnixTime) -> Vec<u8> {
        let template = TokenTemplate {
            certificate: &self.certificate,
            policy: oid::NOTME_TIME_STAMP_POLICY,
            serial: [7; 16],
            at,
            accuracy_seconds: 1,
        };
        build_token(&template, request, &self.key).expect("throw-away keys always sign")
    }

    /// Stamps a message.
    pub fn stamp(&self, message: &[u8], at: UnixTime) -> Vec<u8> {
        let imprint = MessageImprint::of(Hash::Sha256, message);
        self.answer(&TimeStampRequest::new(imprint, &[1; 16]), at)
    }
}
