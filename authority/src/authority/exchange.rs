//! A token of another issuer becomes a certificate pair, on notme's wire.

use notme_core::{
    base64,
    enrol::{AuthorityState, KeyPair, pair_preimage},
    hex,
    identity::Identity,
    key::{Algorithm, Hash, PublicKey, sha256},
    time::UnixTime,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    Attempt, Authority, Peer,
    auditing::enrolled,
    certificates::{Terms, X509},
    enrol::Possessed,
};
use crate::{
    denial::Denial,
    failure::Failure,
    keys::Keys,
    oidc::{Grant, Workload},
    scope::Scopes,
    seal::{SealError, random},
    server::{Rate, TooOften},
    store::{EnrolStoreError, Issuance, Session, SpentToken},
};

/// A certificate pair, as notme answers it.
#[derive(Debug, Serialize)]
pub(crate) struct PairResponse {
    certificates: KeyPair,
    identity: Identity,
    scopes: Vec<String>,
    expires_at: UnixTime,
    binding: String,
    authority: AuthorityState,
    #[serde(flatten)]
    about: About,
}

/// What an answer says of its subject besides, depending on the route.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum About {
    Github {
        claims: GithubClaims,
    },
    Principal {
        principal_id: String,
        auth_method: String,
    },
}

/// The claims that `/cert/gha` repeats.
#[derive(Debug, Serialize)]
pub(crate) struct GithubClaims {
    repository: String,
    #[serde(rename = "ref")]
    git_ref: String,
    sha: String,
    actor: String,
    workflow: String,
    run_id: String,
    event_name: String,
}

impl GithubClaims {
    pub(crate) fn of(workload: &Workload<'_>) -> Self {
        let text = |name| workload.text(name).unwrap_or_default().to_owned();
        Self {
            repository: text("repository"),
            git_ref: text("ref"),
            sha: text("sha"),
            actor: text("actor"),
            workflow: text("workflow"),
            run_id: text("run_id"),
            event_name: text("event_name"),
        }
    }
}

impl Authority {
    /// Spends a token of another issuer, for good: whatever the request comes to.
    pub(crate) fn spend(&self, spent: &SpentToken) -> Result<(), Failure> {
        match self.store.spend(spent)? {
            true => Ok(()),
            false => Err(Denial::TokenUsed.into()),
        }
    }

    /// Counts a request for the identity of a workload.
    pub(crate) fn admit_workload(&self, peer: Peer, grant: &Grant) -> Result<(), Denial> {
        self.rates
            .admit(Rate::Workload, peer, grant.identity.as_str())
            .map_err(|TooOften { retry_after }| Denial::RateLimited { retry_after })
    }

    /// Issues the pair. A token that was not spent yet is, together with the session it pays for.
    pub(crate) fn pair(
        &self,
        grant: Grant,
        keys: Possessed,
        spent: Option<&SpentToken>,
        (about, digest): (About, Option<[u8; 32]>),
    ) -> Result<PairResponse, Failure> {
        let now_millis = self.clock.now_millis();
        let now = UnixTime::from_secs(now_millis.div_euclid(1000));
        let session = Session {
            id: new_session_id(now_millis)?,
            identity: grant.identity,
            principal: grant.subject,
            agent: grant.agent,
            scopes: grant.scopes,
            auth_method: grant.auth_method,
            mtls: keys.mtls,
            signing: keys.signing,
            started_at: now,
            ends_at: now.plus(grant.session_seconds),
            token: None,
        };
        let (certificates, expires_at, authority) = self.issuing(|keys| {
            let terms = Terms {
                keys,
                now_millis,
                not_after: now.plus(self.lifetimes.certificate).min(session.ends_at),
                payload_sha256: None,
                activity: None,
                limits: None,
                common_name: &session.principal,
            };
            let mtls = self.x509(&session, &terms, X509::Mtls)?;
            let signing = self.x509(&session, &terms, X509::Modern)?;
            let lines = [mtls.line, signing.line];
            let issuance = Issuance {
                epoch: keys.epoch,
                entry: enrolled(&session, session.auth_method.clone(), digest, &lines),
                lines: &lines,
            };
            self.store
                .enrol_workload(&session, &issuance, spent)
                .map_err(|error| match error {
                    EnrolStoreError::Revoked => Denial::IdentityRevoked.into(),
                    EnrolStoreError::Spent
                    | EnrolStoreError::Token(_)
                    | EnrolStoreError::KeysKnown => Denial::TokenUsed.into(),
                    EnrolStoreError::Rotated => Attempt::Rotated,
                    EnrolStoreError::Store(error) => error.into(),
                })?;
            self.count(&lines);
            let certificates = KeyPair {
                mtls: mtls.certificate.pem(),
                signing: signing.certificate.pem(),
            };
            Ok((certificates, signing.certificate.not_after(), state(keys)))
        })?;
        Ok(PairResponse {
            certificates,
            identity: session.identity.clone(),
            scopes: session.scopes.names(),
            expires_at,
            binding: hex::encode(&session.binding()),
            authority,
            about,
        })
    }
}

/// Returns the id of a new session. It begins with the time: what is kept of sessions of one moment
/// is side by side, and on few pages of a store.
pub(super) fn new_session_id(now_millis: i64) -> Result<[u8; 16], SealError> {
    let time = u128::from(now_millis.unsigned_abs()) << 80;
    let random = u128::from_be_bytes(random()?) >> 48;
    Ok((time | random).to_be_bytes())
}

/// Returns what an answer says of us.
pub(super) fn state(keys: &Keys) -> AuthorityState {
    AuthorityState {
        epoch: keys.epoch,
        key_id: keys.ed25519.certificate().kid(),
    }
}

/// The keys and proofs of a request, as texts that nobody looked at.
pub(crate) struct PairRequest<'a> {
    public_keys: [&'a str; 2],
    proofs: [&'a str; 2],
}

impl<'a> PairRequest<'a> {
    /// Finds keys and proofs in a body; nothing else in it is looked at.
    pub(crate) fn of(body: &'a Value) -> Result<Self, Denial> {
        let pair = |name| {
            let text = |key| {
                let text = body.get(name)?.get(key)?.as_str()?;
                Some(text).filter(|text| !text.is_empty())
            };
            Some([text("mtls")?, text("signing")?])
        };
        Ok(Self {
            public_keys: pair("public_keys").ok_or(Denial::KeysMissing)?,
            proofs: pair("proofs").ok_or(Denial::ProofsMissing)?,
        })
    }

    /// Checks that the caller holds both keys and has the token: each proof is over both keys and
    /// the token's digest, or, as older clients sign, over the digest of that.
    pub(crate) fn possessed(&self, token: &str) -> Result<Possessed, Denial> {
        let [mtls, signing] = self.public_keys.map(public_key);
        let (mtls, signing) = (mtls?, signing?);
        if (mtls.algorithm(), signing.algorithm()) != (Algorithm::P256, Algorithm::Ed25519) {
            return Err(Denial::P256ProofInvalid);
        }
        let preimage = pair_preimage(&mtls, &signing, token);
        let digest = sha256(&preimage);
        let messages = [preimage.as_slice(), &digest];
        let [mtls_proof, signing_proof] = self.proofs.map(base64::decode_any);
        let is_proven = |proof: Option<Vec<u8>>, verifies: &dyn Fn(&[u8], &[u8]) -> bool| {
            proof.is_some_and(|proof| messages.iter().any(|message| verifies(message, &proof)))
        };
        if !is_proven(mtls_proof, &|message, proof| {
            mtls.verify_p256_fixed(message, proof).is_ok()
        }) {
            return Err(Denial::P256ProofInvalid);
        }
        if !is_proven(signing_proof, &|message, proof| {
            signing.verify(Hash::Sha512, message, proof).is_ok()
        }) {
            return Err(Denial::Ed25519ProofInvalid);
        }
        Ok(Possessed { mtls, signing })
    }
}

/// Reads a public key as the reference does: the armor of PEM need not be there, and its lines may
/// end in any way. The key itself has one encoding.
fn public_key(text: &str) -> Result<PublicKey, Denial> {
    let bare: String = text
        .replace("-----BEGIN PUBLIC KEY-----", "")
        .replace("-----END PUBLIC KEY-----", "")
        .split_ascii_whitespace()
        .collect();
    base64::decode(&bare)
        .and_then(|der| PublicKey::from_spki_der(&der).ok())
        // The reference reads no other curve.
        .filter(|key| key.algorithm() != Algorithm::P384)
        .ok_or(Denial::KeyInvalid)
}

/// Returns those of the granted scopes that were asked for.
pub(crate) fn narrowed(granted: &Scopes, asked: Option<&Value>) -> Result<Scopes, Denial> {
    let Some(asked) = asked.and_then(Value::as_array) else {
        return Ok(granted.clone());
    };
    let asked: Vec<_> = asked
        .iter()
        .filter_map(Value::as_str)
        .take(SCOPES_MAX)
        .collect();
    granted
        .names()
        .iter()
        .map(String::as_str)
        .filter(|name| asked.contains(name))
        .map(str::parse)
        .collect::<Result<Vec<_>, _>>()
        .and_then(Scopes::of)
        .map_err(|_| Denial::ScopesNotGranted {
            requested: asked.iter().map(|name| (*name).to_owned()).collect(),
            granted: granted.names(),
        })
}

/// As many names of scopes as are read, and told back.
const SCOPES_MAX: usize = 16;
