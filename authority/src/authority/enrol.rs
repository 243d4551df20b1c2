//! Enrolment: two keys and a right become a session.

use notme_core::{
    base64,
    enrol::{EnrolRequest, EnrolResponse, SessionCertificates, enrol_preimage},
    hex,
    identity::Identity,
    key::{Algorithm, Hash, PublicKey, sha256},
    time::UnixTime,
};

use super::{
    Attempt, Authority, CertifyError, Peer,
    auditing::enrolled,
    certificates::{Terms, X509},
    exchange::{new_session_id, state},
};
use crate::{
    failure::Failure,
    keys::Keys,
    oidc::Workload,
    refusal::Refusal,
    scope::{ScopeError, Scopes},
    server::Rate,
    store::{EnrolStoreError, Issuance, Issued, Session, SpentToken, TokenRefusal},
};

impl Authority {
    /// Enrols an agent. The token is spent last, and only together with the session it pays for.
    /// When it is one of another issuer, `workload` is what that one says.
    pub(crate) fn enrol(
        &self,
        peer: Peer,
        request: &EnrolRequest,
        workload: Option<&Workload<'_>>,
        digest: Option<[u8; 32]>,
    ) -> Result<EnrolResponse, Failure> {
        let keys = Possessed::check(request, &self.url)?;
        let now_millis = self.clock.now_millis();
        let now = UnixTime::from_secs(now_millis.div_euclid(1000));
        let right = match workload {
            Some(workload) => self.right_of_workload(workload, (peer, request), now)?,
            None => self.right(peer, request, now)?,
        };
        let scopes = match &request.scopes {
            Some(names) => Scopes::from_names(names.iter().map(String::as_str))
                .and_then(|wanted| wanted.within(&right.scopes)),
            None => right.scopes.unasked(),
        }
        .map_err(|error| match error {
            ScopeError::Empty => Refusal::ScopeNotGranted,
            ScopeError::Unknown => Refusal::ScopeUnknown,
        })?;
        let session = Session {
            id: new_session_id(now_millis)?,
            identity: match right.identity {
                Some(identity) => identity,
                None => {
                    Identity::agent(&self.record.trust_domain, &right.principal, &request.agent)?
                }
            },
            principal: right.principal,
            agent: request.agent.clone(),
            scopes,
            auth_method: right.auth_method,
            mtls: keys.mtls,
            signing: keys.signing,
            started_at: now,
            ends_at: now.plus(right.session_seconds),
            token: right.token,
        };
        // The first bytes of a token's digest are its public name.
        let token = session.token.as_ref().and_then(|it| it.first_chunk::<8>());
        let actor = match (token, &right.spent) {
            (Some(id), _) => format!("token:{}", hex::encode(id)),
            (None, Some(_)) => session.auth_method.clone(),
            (None, None) => peer.as_str().to_owned(),
        };
        self.issuing(|keys| {
            let (response, issued) = self.session_certificates(keys, &session, now_millis)?;
            let issuance = Issuance {
                epoch: keys.epoch,
                entry: enrolled(&session, actor.clone(), digest, &issued),
                lines: &issued,
            };
            match &right.spent {
                Some(spent) => self.store.enrol_workload(&session, &issuance, Some(spent)),
                None => self.store.enrol(&session, &issuance),
            }
            .map_err(|error| match error {
                EnrolStoreError::Token(refusal) => Refusal::from(refusal).into(),
                EnrolStoreError::KeysKnown => Refusal::KeysKnown.into(),
                EnrolStoreError::Revoked => Refusal::IdentityRevoked.into(),
                EnrolStoreError::Spent => Refusal::TokenUsedUp.into(),
                EnrolStoreError::Rotated => Attempt::Rotated,
                EnrolStoreError::Store(error) => error.into(),
            })?;
            self.count(&issued);
            Ok(response)
        })
    }

    /// Issues the certificates of a session, and the answer that carries them.
    pub(super) fn session_certificates(
        &self,
        keys: &Keys,
        session: &Session,
        now_millis: i64,
    ) -> Result<(EnrolResponse, [Issued; 5]), CertifyError> {
        let now = UnixTime::from_secs(now_millis.div_euclid(1000));
        let terms = Terms {
            keys,
            now_millis,
            not_after: now.plus(self.lifetimes.certificate).min(session.ends_at),
            payload_sha256: None,
            activity: None,
            limits: None,
            common_name: session.agent.as_str(),
        };
        let mtls = self.x509(session, &terms, X509::Mtls)?;
        let signing = self.x509(session, &terms, X509::Modern)?;
        let interop = self.x509(session, &terms, X509::Interop)?;
        let ssh = self.ssh(session, &terms)?;
        let openpgp = self.openpgp(session, &terms)?;
        let response = EnrolResponse {
            certificates: SessionCertificates {
                mtls: mtls.certificate.pem(),
                signing: signing.certificate.pem(),
                interop: interop.certificate.pem(),
                ssh: Some(ssh.certificate.to_text()),
                openpgp: Some(openpgp.certificate),
            },
            identity: session.identity.clone(),
            scopes: session.scopes.names(),
            expires_at: signing.certificate.not_after(),
            session_ends_at: session.ends_at,
            binding: hex::encode(&session.binding()),
            authority: state(keys),
            principal_id: session.principal.clone(),
            auth_method: session.auth_method.clone(),
        };
        let lines = [
            mtls.line,
            signing.line,
            interop.line,
            ssh.line,
            openpgp.line,
        ];
        Ok((response, lines))
    }

    /// Finds what allows the enrolment. Spends nothing.
    fn right(&self, peer: Peer, request: &EnrolRequest, now: UnixTime) -> Result<Right, Failure> {
        match (&request.token, &self.local, peer) {
            (Some(token), ..) => self.right_of_token(token, request, now),
            (None, Some(local), Peer::SameUser) => Ok(Right {
                principal: local
                    .principal
                    .clone()
                    .unwrap_or_else(|| self.record.operator.clone()),
                scopes: local.scopes.clone(),
                session_seconds: self.lifetimes.session,
                identity: None,
                auth_method: "same-user".to_owned(),
                token: None,
                spent: None,
            }),
            (None, None, _) | (None, Some(_), Peer::Stranger) => Err(Refusal::TokenRequired.into()),
        }
    }

    fn right_of_token(
        &self,
        token: &str,
        request: &EnrolRequest,
        now: UnixTime,
    ) -> Result<Right, Failure> {
        let digest = sha256(token.as_bytes());
        let Some(token) = self.store.token(&digest)? else {
            return Err(Refusal::from(TokenRefusal::Unknown).into());
        };
        if let Some(refusal) = token.refusal(now) {
            return Err(Refusal::from(refusal).into());
        }
        if token.agent != request.agent {
            return Err(Refusal::AgentNotAllowed.into());
        }
        Ok(Right {
            principal: token.principal,
            scopes: token.scopes,
            session_seconds: token.session_seconds,
            identity: None,
            auth_method: "enrolment-token".to_owned(),
            token: Some(digest),
            spent: None,
        })
    }

    fn right_of_workload(
        &self,
        workload: &Workload<'_>,
        (peer, request): (Peer, &EnrolRequest),
        now: UnixTime,
    ) -> Result<Right, Failure> {
        let granted = workload
            .permit(&self.record.trust_domain)
            .and_then(|grant| Ok((grant, workload.spent(now)?)));
        let (grant, spent) = granted.map_err(|_| Refusal::OidcNotPermitted)?;
        // A name that certificates carry is the operator's to give.
        if grant.agent != request.agent {
            return Err(Refusal::AgentNotAllowed.into());
        }
        self.rates
            .admit(Rate::Workload, peer, grant.identity.as_str())
            .map_err(Refusal::from)?;
        Ok(Right {
            identity: Some(grant.identity),
            principal: grant.subject,
            scopes: grant.scopes,
            session_seconds: grant.session_seconds,
            auth_method: grant.auth_method,
            token: None,
            spent: Some(spent),
        })
    }
}

/// Both keys of a request, with proof that the caller holds them. Only what checks makes one.
pub(crate) struct Possessed {
    pub(super) mtls: PublicKey,
    pub(super) signing: PublicKey,
}

impl Possessed {
    fn check(request: &EnrolRequest, url: &str) -> Result<Self, Refusal> {
        let read = |pem: &str, algorithm| {
            PublicKey::from_spki_pem(pem)
                .ok()
                .filter(|key| key.algorithm() == algorithm)
                .ok_or(Refusal::KeyMalformed)
        };
        let mtls = read(&request.public_keys.mtls, Algorithm::P256)?;
        let signing = read(&request.public_keys.signing, Algorithm::Ed25519)?;
        let preimage = enrol_preimage(
            request.token.as_deref(),
            url,
            &request.agent,
            &mtls,
            &signing,
        );
        let proof = |text: &str| base64::decode_any(text).ok_or(Refusal::ProofInvalid);
        mtls.verify_p256_fixed(&preimage, &proof(&request.proofs.mtls)?)
            .map_err(|_| Refusal::ProofInvalid)?;
        signing
            .verify(Hash::Sha512, &preimage, &proof(&request.proofs.signing)?)
            .map_err(|_| Refusal::ProofInvalid)?;
        Ok(Self { mtls, signing })
    }
}

/// What allows an enrolment, and on which terms.
struct Right {
    /// When it is not that of an agent of the principal.
    identity: Option<Identity>,
    principal: String,
    scopes: Scopes,
    session_seconds: i64,
    auth_method: String,
    token: Option<[u8; 32]>,
    spent: Option<SpentToken>,
}
