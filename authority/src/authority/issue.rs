//! What a session can ask for: certificates for one payload or within terms, and its own renewal.
//!
//! This is the path of every signature: one lookup, one proof, one certificate, one transaction.

use std::collections::BTreeSet;

use notme_core::{
    base64,
    enrol::{
        AskedFor, EnrolResponse, Format, IssueRequest, IssueResponse, RenewRequest, issue_preimage,
        renew_preimage,
    },
    hex,
    key::{Hash, sha256},
    terms::{Terms as Limits, TermsError},
    time::UnixTime,
};

use super::{
    Attempt, Authority, CertifyError, Peer,
    auditing::issued_in,
    certificates::{Terms, X509},
};
use crate::{
    audit::Act,
    failure::Failure,
    refusal::Refusal,
    scope::Scope,
    server::Rate,
    store::{
        Issuance, Issued, PresentedSession, RecordError, Session, SpentNonce, remembered_until,
    },
};

impl Authority {
    /// Issues certificates that carry the digest of one payload, or terms, or both.
    pub(crate) fn issue(
        &self,
        peer: Peer,
        request: &IssueRequest,
        digest: Option<[u8; 32]>,
    ) -> Result<IssueResponse, Failure> {
        let payload_sha256 = request.payload_sha256.as_ref();
        let payload_sha256: Option<[u8; 32]> = payload_sha256
            .map(|text| hex::decode_array(text).ok_or(Refusal::PayloadMalformed))
            .transpose()?;
        let nonce = hex::decode_array(&request.nonce).ok_or(Refusal::NonceMalformed)?;
        check_formats(&request.formats)?;
        let activity = request.activity.as_deref();
        activity.map_or(Ok(()), check_activity)?;

        let limits = request.terms.as_ref();
        if payload_sha256.is_none() && limits.is_none() {
            return Err(Refusal::TermsMalformed.into());
        }
        let der = limits.map(Limits::to_der).transpose();
        let der = der.map_err(|TermsError| Refusal::TermsMalformed)?;

        let certificate = session_digest(&request.session)?;
        let preimage = issue_preimage(
            &self.url,
            &certificate,
            &request.formats,
            &request.nonce,
            request.time,
            AskedFor {
                payload_sha256: payload_sha256.as_ref(),
                activity,
                terms: der.as_deref(),
            },
        );
        let asked = Asked {
            certificate,
            preimage,
            proof: &request.proof,
            time: request.time,
        };
        let now_millis = self.clock.now_millis();
        let now = UnixTime::from_secs(now_millis.div_euclid(1000));
        let session = self.admit(&asked, now)?;
        self.admit_rate(peer, &session)?;
        if !session.scopes.contains(Scope::SignGit) {
            return Err(Refusal::ScopeMissing.into());
        }
        if limits.is_some_and(|limits| limits.until < now) {
            return Err(Refusal::TermsMalformed.into());
        }
        let lifetime = match payload_sha256 {
            Some(_) => self.lifetimes.issuance,
            None => self.lifetimes.certificate,
        };
        let end = limits.map_or(session.ends_at, |limits| limits.until.min(session.ends_at));

        let spent = SpentNonce {
            session: &session.id,
            nonce,
            kept_until: remembered_until(now, request.time.plus(SKEW)),
        };
        self.issuing(|keys| {
            let terms = Terms {
                keys,
                now_millis,
                not_after: now.plus(lifetime).min(end),
                payload_sha256,
                activity,
                limits,
                common_name: session.agent.as_str(),
            };
            let mut response = IssueResponse {
                certificates: Default::default(),
                expires_at: terms.not_after,
            };
            let mut lines = Vec::with_capacity(request.formats.len());
            for format in &request.formats {
                let (certificate, line) = self.certificate(&session, &terms, *format)?;
                response.expires_at = response.expires_at.min(line.not_after);
                response.certificates.insert(*format, certificate);
                lines.push(line);
            }
            let issuance = Issuance {
                epoch: keys.epoch,
                lines: &lines,
                entry: issued_in(&session, Act::Issue, (digest, now), &lines),
            };
            self.store.record(&spent, &issuance).map_err(refused)?;
            self.count(&lines);
            Ok(response)
        })
    }

    /// Issues a certificate in a format, as it travels.
    fn certificate(
        &self,
        session: &Session,
        terms: &Terms<'_>,
        format: Format,
    ) -> Result<(String, Issued), CertifyError> {
        Ok(match format {
            Format::X509 => {
                let it = self.x509(session, terms, X509::Modern)?;
                (it.certificate.pem(), it.line)
            }
            Format::X509Interop => {
                let it = self.x509(session, terms, X509::Interop)?;
                (it.certificate.pem(), it.line)
            }
            Format::Ssh => {
                let it = self.ssh(session, terms)?;
                (it.certificate.to_text(), it.line)
            }
            Format::OpenPgp => {
                let it = self.openpgp(session, terms)?;
                (it.certificate.certification, it.line)
            }
        })
    }

    /// Issues new session certificates over the same keys; the end of the session stays.
    pub(crate) fn renew(
        &self,
        peer: Peer,
        request: &RenewRequest,
        digest: Option<[u8; 32]>,
    ) -> Result<EnrolResponse, Failure> {
        let nonce = hex::decode_array(&request.nonce).ok_or(Refusal::NonceMalformed)?;
        let certificate = session_digest(&request.session)?;
        let asked = Asked {
            certificate,
            preimage: renew_preimage(&self.url, &certificate, &request.nonce, request.time),
            proof: &request.proof,
            time: request.time,
        };
        let now_millis = self.clock.now_millis();
        let now = UnixTime::from_secs(now_millis.div_euclid(1000));
        let session = self.admit(&asked, now)?;
        self.admit_rate(peer, &session)?;
        let spent = SpentNonce {
            session: &session.id,
            nonce,
            kept_until: remembered_until(now, request.time.plus(SKEW)),
        };
        self.issuing(|keys| {
            let (response, lines) = self.session_certificates(keys, &session, now_millis)?;
            let issuance = Issuance {
                epoch: keys.epoch,
                lines: &lines,
                entry: issued_in(&session, Act::Renew, (digest, now), &lines),
            };
            self.store.record(&spent, &issuance).map_err(refused)?;
            self.count(&lines);
            Ok(response)
        })
    }

    /// Counts a request of a session, which proved that it is one.
    fn admit_rate(&self, peer: Peer, session: &Session) -> Result<(), Refusal> {
        let identity = session.identity.as_str();
        Ok(self.rates.admit(Rate::Identity, peer, identity)?)
    }

    /// Finds the living session behind a request. The proof comes first: session certificates
    /// are public, and only the holder of the key learns how the session stands.
    pub(super) fn admit(&self, asked: &Asked<'_>, now: UnixTime) -> Result<Session, Failure> {
        let Some(presented) = self.store.session(&asked.certificate)? else {
            return Err(Refusal::SessionUnknown.into());
        };
        let PresentedSession {
            session,
            certificate_not_after,
            revoked_at,
        } = presented;
        let proof = base64::decode_any(asked.proof).ok_or(Refusal::ProofInvalid)?;
        session
            .signing
            .verify(Hash::Sha512, &asked.preimage, &proof)
            .map_err(|_| Refusal::ProofInvalid)?;
        let skew = now.secs().abs_diff(asked.time.secs());
        let refusal = if skew > SKEW.unsigned_abs() {
            Some(Refusal::TimeSkewed)
        } else if revoked_at.is_some() {
            Some(Refusal::SessionRevoked)
        } else if now >= session.ends_at {
            Some(Refusal::SessionEnded)
        } else if now > certificate_not_after.plus(SKEW) {
            Some(Refusal::SessionCertificateExpired)
        } else {
            None
        };
        refusal.map_or(Ok(session), |refusal| Err(refusal.into()))
    }
}

/// What a session asked, and its proof.
pub(super) struct Asked<'a> {
    pub(super) certificate: [u8; 32],
    pub(super) preimage: Vec<u8>,
    pub(super) proof: &'a str,
    pub(super) time: UnixTime,
}

pub(super) fn session_digest(certificate: &str) -> Result<[u8; 32], Refusal> {
    base64::decode_any(certificate)
        .map(|der| sha256(&der))
        .ok_or(Refusal::SessionUnknown)
}

fn check_formats(formats: &[Format]) -> Result<(), Refusal> {
    let distinct: BTreeSet<_> = formats.iter().collect();
    if formats.is_empty() || distinct.len() != formats.len() {
        return Err(Refusal::FormatsMalformed);
    }
    Ok(())
}

fn check_activity(activity: &str) -> Result<(), Refusal> {
    let plain = !activity.chars().any(char::is_control);
    if activity.is_empty() || activity.len() > ACTIVITY_MAX || !plain {
        return Err(Refusal::ActivityMalformed);
    }
    Ok(())
}

fn refused(error: RecordError) -> Attempt {
    match error {
        RecordError::Rotated => Attempt::Rotated,
        RecordError::Replayed => Refusal::NonceReplayed.into(),
        RecordError::SessionRevoked => Refusal::SessionRevoked.into(),
        RecordError::Store(error) => error.into(),
    }
}

/// How far the clocks of agent and authority may be apart, in seconds.
const SKEW: i64 = 60;
const ACTIVITY_MAX: usize = 256;
