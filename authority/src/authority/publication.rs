//! What the authority publishes about itself.

use std::sync::PoisonError;

use hyper::body::Bytes;
use notme_core::{
    certificate::Certificate,
    dsse::Envelope,
    hex,
    key::sha256,
    ssh,
    time::UnixTime,
    trust::{OpenPgpCa, Root, SshCa, TrustDocument, TrustError, VERSION},
};

use super::{Authority, OpenError};
use crate::store::{StoreError, TrustRecord};

impl Authority {
    /// Returns the certificate of the Ed25519 root, without a final newline, as notme serves it.
    pub(crate) fn ca_bundle(&self) -> String {
        let mut pem = self.keys.ed25519.certificate().pem();
        pem.truncate(pem.trim_end().len());
        pem
    }

    /// Returns both roots.
    pub(crate) fn full_ca_bundle(&self) -> String {
        self.roots().map(Certificate::pem).concat()
    }

    /// Returns the key that signs OpenSSH certificates, as the line that `TrustedUserCAKeys` takes.
    pub(crate) fn ssh_ca(&self) -> String {
        let key = self.keys.formats.ssh.public_key().clone();
        let domain = &self.record.trust_domain;
        format!(
            "{} signet-authority {domain}\n",
            ssh::Key::Plain(key).to_text()
        )
    }

    /// Returns the key that certifies OpenPGP keys, in its armor.
    pub(crate) fn openpgp_key(&self) -> String {
        self.keys.formats.openpgp.certificate().to_armor()
    }

    /// Returns the trust document, after signing a new one when the last is a day old or says
    /// something else.
    ///
    /// Every signing takes the next number: under one number there is one document, so that a
    /// verifier which sees two knows that it is being lied to.
    pub(crate) fn trust(&self) -> Result<Bytes, OpenError> {
        let _only_one = self
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let last = self.store.trust()?;
        let envelope = match last {
            Some(record) if self.is_current(&record, now)? => record.envelope,
            last => self.sign_trust(last.as_ref(), now)?,
        };
        Ok(Bytes::from(envelope))
    }

    fn sign_trust(&self, last: Option<&TrustRecord>, now: UnixTime) -> Result<Vec<u8>, OpenError> {
        let document = TrustDocument {
            seqno: last.map_or(1, |last| last.seqno.saturating_add(1)),
            issued_at: now,
            expires_at: now.plus(self.lifetimes.publication),
            previous: last.map(|last| hex::encode(&last.payload_sha256)),
            ..self.trust_content()?
        };
        let envelope = document.sign(&[self.keys.ed25519.key(), self.keys.interop.key()])?;
        let record = TrustRecord {
            seqno: document.seqno,
            payload_sha256: sha256(
                Envelope::from_json(&envelope)
                    .map_err(TrustError::from)?
                    .payload(),
            ),
            envelope,
        };
        self.store.add_trust(&record)?;
        Ok(record.envelope)
    }

    fn is_current(&self, record: &TrustRecord, now: UnixTime) -> Result<bool, StoreError> {
        let damaged = StoreError::Damaged("trust document");
        let Some(last) = Envelope::from_json(&record.envelope)
            .ok()
            .and_then(|envelope| serde_json::from_slice::<TrustDocument>(envelope.payload()).ok())
        else {
            return Err(damaged);
        };
        // A document from the future was signed by a clock since set back; nobody accepts it.
        let fresh = last.issued_at <= now && now < last.issued_at.plus(TRUST_REFRESH);
        let same = TrustDocument {
            seqno: last.seqno,
            issued_at: last.issued_at,
            expires_at: last.expires_at,
            previous: last.previous.clone(),
            ..self.trust_content()?
        } == last;
        Ok(fresh && same)
    }

    /// The document but for its place in the chain.
    fn trust_content(&self) -> Result<TrustDocument, StoreError> {
        let root = |certificate: &Certificate| Root {
            kid: certificate.kid(),
            algorithm: certificate.public_key().algorithm(),
            from: certificate.not_before(),
            retired_at: None,
            certificate: certificate.clone(),
        };
        let formats = &self.keys.formats;
        Ok(TrustDocument {
            version: VERSION,
            authority: self.url.clone(),
            trust_domain: self.record.trust_domain.clone(),
            seqno: 0,
            issued_at: UnixTime::from_secs(0),
            expires_at: UnixTime::from_secs(0),
            epoch: self.record.epoch,
            roots: self.roots().map(root).to_vec(),
            ssh_ca: vec![SshCa {
                kid: formats.ssh.public_key().kid(),
                public_key: formats.ssh.public_key().clone(),
                from: formats.ssh.from(),
                retired_at: None,
            }],
            openpgp: vec![OpenPgpCa {
                fingerprint: formats.openpgp.certificate().fingerprint().clone(),
                kid: formats.openpgp.key().public_key().kid(),
                certificate: formats.openpgp.certificate().clone(),
                from: formats.openpgp.from(),
                retired_at: None,
            }],
            tsa: vec![self.keys.tsa.published()],
            log: Vec::new(),
            revocations: self.store.revocations()?,
            previous: None,
        })
    }

    fn roots(&self) -> [&Certificate; 2] {
        [
            self.keys.ed25519.certificate(),
            self.keys.interop.certificate(),
        ]
    }
}

/// One day.
const TRUST_REFRESH: i64 = 86_400;
