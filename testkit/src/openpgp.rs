//! An OpenPGP authority and a session key that it certified.

use notme_core::{
    identity::{AgentName, Identity},
    key::{Signer as _, sha256},
    openpgp::{
        ArmorKind, AuthorityKeyTemplate, CertifiedKey, SessionKey, SessionSubject, Statement,
        ToBeSigned, TrustedKey, armor, build_authority_key, certify,
    },
    terms::Terms,
    time::UnixTime,
    trust::OpenPgpCa,
};

use crate::{cast::TRUST_DOMAIN, clock::NOW, keys::Ed25519Key};

/// An authority's OpenPGP key, made a day before [`NOW`].
pub struct OpenPgpAuthority {
    key: Ed25519Key,
    certificate: TrustedKey,
}

/// A session key and how the authority certifies it; every field may be changed first.
pub struct OpenPgpSession {
    /// The session's key.
    pub key: Ed25519Key,
    /// When it was made.
    pub created: UnixTime,
    /// When it ends, as it says itself.
    pub expires: UnixTime,
    /// The agent.
    pub agent: AgentName,
    /// Who that is.
    pub identity: Identity,
    /// First second of the certification.
    pub not_before: UnixTime,
    /// Last second of the certification.
    pub not_after: UnixTime,
    /// When it is said.
    pub issued_at: UnixTime,
    /// What it allows.
    pub scopes: Vec<String>,
    /// Its serial number.
    pub serial: [u8; 16],
    /// What else limits what it may sign.
    pub terms: Option<Terms>,
}

impl OpenPgpAuthority {
    /// Builds the authority of a seed.
    pub fn new(seed: u8) -> Self {
        let key = Ed25519Key::from_seed([seed; 32]);
        let template = AuthorityKeyTemplate {
            user_id: "notme authority <https://authority.example>",
            created: NOW.plus(-86_400),
        };
        let certificate = build_authority_key(&template, &key).expect("the template is fine");
        Self { key, certificate }
    }

    /// Returns the key as others know it.
    pub fn certificate(&self) -> &TrustedKey {
        &self.certificate
    }

    /// Returns the key as a trust document lists it.
    pub fn listed(&self) -> OpenPgpCa {
        OpenPgpCa {
            certificate: self.certificate.clone(),
            fingerprint: self.certificate.fingerprint().clone(),
            kid: self.certificate.key().kid().expect("Ed25519 keys have ids"),
            from: self.certificate.key().created(),
            retired_at: None,
        }
    }

    /// Certifies a session key, for one payload or for all.
    pub fn certify(&self, session: &OpenPgpSession, payload: Option<&[u8]>) -> CertifiedKey {
        let statement = Statement {
            serial: session.serial,
            not_before: session.not_before,
            not_after: session.not_after,
            issued_at: session.issued_at,
            epoch: 1,
            scopes: &session.scopes,
            session: [9; 32],
            payload_sha256: payload.map(sha256),
            activity: None,
            terms: session.terms.as_ref(),
        };
        let subject = session.subject();
        let certification = certify(&subject, &statement, &self.certificate, &self.key)
            .expect("the statement is fine");
        SessionKey::build(&subject, session.expires, &session.key)
            .and_then(|key| key.certified(&certification))
            .expect("the subject is fine")
    }
}

impl OpenPgpSession {
    /// Returns a session that began an hour ago, whose certification lives from a minute ago for
    /// five minutes.
    pub fn new() -> Self {
        Self {
            key: Ed25519Key::from_seed([0x42; 32]),
            created: NOW.plus(-3600),
            expires: NOW.plus(3600),
            agent: "claude".parse().expect("a fine name"),
            identity: format!("wimse://{TRUST_DOMAIN}/agent/alice/claude")
                .try_into()
                .expect("a fine identity"),
            not_before: NOW.plus(-60),
            not_after: NOW.plus(240),
            issued_at: NOW,
            scopes: vec!["sign:git".to_owned()],
            serial: [7; 16],
            terms: Some(Terms {
                repository: None,
                refs: None,
                paths: None,
                signatures: 10,
                until: NOW.plus(3600),
            }),
        }
    }

    /// Returns what an authority certifies.
    pub fn subject(&self) -> SessionSubject<'_> {
        SessionSubject {
            key: self.key.public_key(),
            created: self.created,
            agent: &self.agent,
            identity: &self.identity,
        }
    }

    /// Signs a payload at [`NOW`] and returns the packet.
    pub fn sign(&self, key: &CertifiedKey, payload: &[u8]) -> Vec<u8> {
        ToBeSigned::new(key, &self.identity, payload, NOW)
            .and_then(|unsigned| unsigned.sign(&self.key))
            .and_then(|signature| signature.to_packet())
            .expect("everything fits")
    }

    /// Signs as [`OpenPgpSession::sign`] does and returns the armor.
    pub fn sign_armored(&self, key: &CertifiedKey, payload: &[u8]) -> String {
        armor(ArmorKind::Signature, &self.sign(key, payload))
    }
}

impl Default for OpenPgpSession {
    fn default() -> Self {
        Self::new()
    }
}
