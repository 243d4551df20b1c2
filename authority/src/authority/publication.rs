//! What the authority publishes about itself.

use std::io;

use hyper::body::Bytes;
use notme_core::{
    dsse::Envelope,
    hex,
    key::sha256,
    ssh,
    time::UnixTime,
    trust::{TrustDocument, TrustError, VERSION},
};

use super::{Authority, OpenError};
use crate::{
    audit::{Act, Entry},
    keys::Keys,
    store::{StoreError, TrustRecord},
};

impl Authority {
    /// Returns the certificate of the Ed25519 root, without a final newline, as notme serves it.
    pub(crate) fn ca_bundle(&self) -> String {
        let mut pem = self.keys().ed25519.certificate().pem();
        pem.truncate(pem.trim_end().len());
        pem
    }

    /// Returns both roots in use, then those that retired and of which certificates may live.
    pub(crate) fn full_ca_bundle(&self) -> String {
        self.keys()
            .issuing_and_outgoing()
            .flat_map(|epoch| &epoch.roots)
            .map(|root| root.certificate.pem())
            .collect()
    }

    /// Returns the keys that sign OpenSSH certificates, and those that did and of which
    /// certificates may live, as the lines that `TrustedUserCAKeys` takes.
    pub(crate) fn ssh_ca(&self) -> String {
        let domain = &self.record.trust_domain;
        self.keys()
            .issuing_and_outgoing()
            .filter_map(|epoch| epoch.ssh.as_ref())
            .map(|ca| {
                let key = ssh::Key::Plain(ca.public_key.clone()).to_text();
                format!("{key} signet-authority {domain}\n")
            })
            .collect()
    }

    /// Returns the keys that certify OpenPGP keys, and those that did and of which certificates
    /// may live, each in its armor.
    pub(crate) fn openpgp_key(&self) -> String {
        self.keys()
            .issuing_and_outgoing()
            .filter_map(|epoch| epoch.openpgp.as_ref())
            .map(|ca| ca.certificate.to_armor())
            .collect()
    }

    /// Returns the trust document, after signing a new one when the last is a day old or says
    /// something else.
    ///
    /// Every signing takes the next number: under one number there is one document, so that a
    /// verifier which sees two knows that it is being lied to.
    pub(crate) fn trust(&self) -> Result<Bytes, OpenError> {
        let mut turn = None;
        for _ in 0..=LOST_MAX {
            self.refresh_keys()?;
            let (keys, now) = (self.keys(), self.clock.now());
            let last = self.store.trust()?;
            let is_current = match &last {
                Some(record) => self.is_current(record, &keys, now)?,
                None => false,
            };
            let envelope = match (last, &turn) {
                (Some(record), _) if is_current => Some(record.envelope),
                (last, Some(_)) => self.sign_trust(last.as_ref(), &keys, now)?,
                // Whoever has it signs what we would. Then it is looked once more.
                (_, None) => {
                    turn = Some(self.publishing.take().ok_or_else(hanging)?);
                    None
                }
            };
            if let Some(envelope) = envelope {
                return Ok(Bytes::from(envelope));
            }
        }
        Err(hanging().into())
    }

    /// Returns the trust document of a number, if there was one: what a client missed.
    pub(crate) fn trust_at(&self, seqno: u64) -> Result<Option<Bytes>, StoreError> {
        let record = self.store.trust_at(seqno)?;
        Ok(record.map(|record| Bytes::from(record.envelope)))
    }

    /// Signs the next document; `None` when another instance published one of its number, or changed
    /// the keys.
    fn sign_trust(
        &self,
        last: Option<&TrustRecord>,
        keys: &Keys,
        now: UnixTime,
    ) -> Result<Option<Vec<u8>>, OpenError> {
        let document = TrustDocument {
            seqno: last.map_or(1, |last| last.seqno.saturating_add(1)),
            issued_at: now,
            expires_at: now.plus(self.lifetimes.publication),
            previous: last.map(|last| hex::encode(&last.payload_sha256)),
            ..self.trust_content(keys)?
        };
        let envelope = match document.sign(&keys.trust_signers()) {
            // One that was on its way out may be destroyed by now.
            Err(_) if self.store.key_changes()? != keys.changes() => return Ok(None),
            signed => signed?,
        };
        let record = TrustRecord {
            seqno: document.seqno,
            payload_sha256: sha256(
                Envelope::from_json(&envelope)
                    .map_err(TrustError::from)?
                    .payload(),
            ),
            envelope,
        };
        let about = format!("trust document {}", record.seqno);
        let entry = Entry {
            issued: vec![record.payload_sha256],
            ..Entry::new(now, "authority", Act::Publish, about)
        };
        let is_published = self.store.add_trust(&record, keys.changes(), &entry)?;
        Ok(is_published.then_some(record.envelope))
    }

    fn is_current(
        &self,
        record: &TrustRecord,
        keys: &Keys,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let last = record.document()?;
        // A document from the future was signed by a clock since set back; nobody accepts it.
        let fresh = last.issued_at <= now && now < last.issued_at.plus(TRUST_REFRESH);
        let same = TrustDocument {
            seqno: last.seqno,
            issued_at: last.issued_at,
            expires_at: last.expires_at,
            previous: last.previous.clone(),
            ..self.trust_content(keys)?
        } == last;
        Ok(fresh && same)
    }

    /// Returns number and time of the last document.
    pub(crate) fn published(&self) -> Result<Option<(u64, UnixTime)>, StoreError> {
        let Some(last) = self.store.trust()? else {
            return Ok(None);
        };
        Ok(Some((last.seqno, last.document()?.issued_at)))
    }

    /// The document but for its place in the chain.
    fn trust_content(&self, keys: &Keys) -> Result<TrustDocument, StoreError> {
        let epochs = || keys.epochs().iter();
        Ok(TrustDocument {
            version: VERSION,
            authority: self.url.clone(),
            trust_domain: self.record.trust_domain.clone(),
            seqno: 0,
            issued_at: UnixTime::from_secs(0),
            expires_at: UnixTime::from_secs(0),
            epoch: keys.epoch,
            roots: epochs().flat_map(|epoch| epoch.roots.clone()).collect(),
            ssh_ca: epochs().filter_map(|epoch| epoch.ssh.clone()).collect(),
            openpgp: epochs().filter_map(|epoch| epoch.openpgp.clone()).collect(),
            tsa: epochs().filter_map(|epoch| epoch.tsa.clone()).collect(),
            log: Vec::new(),
            revocations: self.store.revocations()?,
            previous: None,
        })
    }
}

fn hanging() -> StoreError {
    StoreError::Unavailable {
        doing: "keep the trust document",
        source: Box::new(io::Error::from(io::ErrorKind::TimedOut)),
    }
}

/// Whoever loses an attempt lost it to another instance, which then has published: nobody loses so
/// many in a row.
const LOST_MAX: u8 = 32;
/// One day.
const TRUST_REFRESH: i64 = 86_400;
