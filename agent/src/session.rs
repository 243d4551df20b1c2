//! A session: two keys, the certificates they hold, and what may be asked with them.

use std::rc::Rc;

use notme_core::{
    base64,
    certificate::Certificate,
    enrol::{
        EnrolRequest, EnrolResponse, Format, IssueRequest, IssueResponse, KeyPair, RenewRequest,
        SCOPE_SIGN_GIT, enrol_preimage, issue_preimage, renew_preimage,
    },
    hex,
    identity::{AgentName, Identity},
    key::{Algorithm, KeyId, PublicKey, SignError},
    time::UnixTime,
};
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use crate::{
    authority_url::AuthorityUrl,
    chain::{Chain, ChainCheckError, Expected},
    config::{AgentConfig, Profile},
    session_keys::SessionKeys,
};

/// A token that opens one session. It is sent once and kept nowhere.
pub(crate) type Token = Zeroizing<String>;

/// What a session was opened with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// A token: there may be no second one.
    Token,
    /// Our user id: that opens the next one, too.
    UserId,
}

/// A session that the authority granted, checked.
#[derive(Debug)]
pub(crate) struct Session {
    keys: Rc<SessionKeys>,
    opening: Opening,
    identity: Identity,
    signing: Chain,
    interop: Chain,
    roots: Vec<Certificate>,
    renew_at: UnixTime,
    ends_at: UnixTime,
}

impl Session {
    /// Checks what an authority granted for the keys. `roots` are those it serves; only pinned
    /// ones count.
    ///
    /// # Errors
    /// [`ChainCheckError`].
    pub(crate) fn accept(
        (keys, opening): (Rc<SessionKeys>, Opening),
        granted: &EnrolResponse,
        roots: Vec<Certificate>,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<Self, ChainCheckError> {
        let signing = Chain::from_pem(&granted.certificates.signing)?;
        signing.check_expires_at(granted.expires_at)?;
        let lifetime = signing.leaf().not_after().secs() - now.secs();
        let session = Self {
            interop: Chain::from_pem(&granted.certificates.interop)?,
            identity: granted.identity.clone(),
            renew_at: signing.leaf().not_after().plus(-renewal_margin(lifetime)),
            ends_at: granted.session_ends_at,
            signing,
            roots,
            keys,
            opening,
        };
        // Issuance and renewal are asked for with the Ed25519 certificate, whatever signs.
        session.check(&session.signing, Profile::Modern, config, now)?;
        session.check(session.chain(config.profile), config.profile, config, now)?;
        Ok(session)
    }

    /// Checks a certificate for the key of a profile, against the roots that are pinned now.
    ///
    /// # Errors
    /// [`ChainCheckError`].
    pub(crate) fn check(
        &self,
        chain: &Chain,
        profile: Profile,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<(), ChainCheckError> {
        let roots: Vec<_> = pinned(&self.roots, config).cloned().collect();
        chain.check(&Expected {
            key: self.key(profile),
            identity: &self.identity,
            roots: &roots,
            now,
        })?;
        if !chain
            .leaf()
            .scopes()
            .iter()
            .any(|scope| scope == SCOPE_SIGN_GIT)
        {
            return Err(ChainCheckError::Scope);
        }
        Ok(())
    }

    /// Returns the private keys.
    pub(crate) fn keys(&self) -> &Rc<SessionKeys> {
        &self.keys
    }

    /// Returns what opened the session.
    pub(crate) fn opening(&self) -> Opening {
        self.opening
    }

    /// Returns who the session is.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the session certificate of a profile.
    pub(crate) fn chain(&self, profile: Profile) -> &Chain {
        match profile {
            Profile::Modern => &self.signing,
            Profile::Interop => &self.interop,
        }
    }

    /// Returns when to ask for new certificates.
    pub(crate) fn renew_at(&self) -> UnixTime {
        self.renew_at
    }

    /// Returns when renewal ends.
    pub(crate) fn ends_at(&self) -> UnixTime {
        self.ends_at
    }

    /// Returns the last second of the session certificates.
    pub(crate) fn not_after(&self) -> UnixTime {
        self.signing.leaf().not_after()
    }

    /// Returns the key id of a profile's signatures.
    pub(crate) fn kid(&self, profile: Profile) -> KeyId {
        self.key(profile).kid()
    }

    /// Returns the key of a profile.
    pub(crate) fn key(&self, profile: Profile) -> &PublicKey {
        match profile {
            Profile::Modern => self.keys.ed25519(),
            Profile::Interop => self.keys.p256(),
        }
    }

    /// Signs as a profile does: Ed25519 pure, P-256 as DER over SHA-256.
    ///
    /// # Errors
    /// [`SignError`].
    pub(crate) fn sign(&self, profile: Profile, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match profile {
            Profile::Modern => Ok(self.keys.sign_ed25519(message)?.to_vec()),
            Profile::Interop => Ok(self.keys.sign_p256(message)?.to_der().as_bytes().to_vec()),
        }
    }

    /// Builds the request for a certificate over one payload.
    ///
    /// # Errors
    /// [`SignError`].
    pub(crate) fn issue_request(
        &self,
        authority: &AuthorityUrl,
        profile: Profile,
        payload_sha256: &[u8; 32],
        now: UnixTime,
    ) -> Result<IssueRequest, SignError> {
        let formats = vec![format_of(profile)];
        let nonce = nonce()?;
        let session = self.signing.leaf();
        let preimage = issue_preimage(
            authority.as_str(),
            &session.sha256(),
            payload_sha256,
            &formats,
            &nonce,
            now,
            None,
        );
        Ok(IssueRequest {
            session: base64::encode(session.der()),
            payload_sha256: hex::encode(payload_sha256),
            formats,
            nonce,
            time: now,
            activity: None,
            proof: base64::encode_url(&self.keys.sign_ed25519(&preimage)?),
        })
    }

    /// Checks the answer to [`Session::issue_request`].
    ///
    /// # Errors
    /// [`ChainCheckError`].
    pub(crate) fn accept_issued(
        &self,
        issued: &IssueResponse,
        payload_sha256: &[u8; 32],
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<Chain, ChainCheckError> {
        let pem = issued.certificates.get(&format_of(config.profile));
        let chain = Chain::from_pem(pem.ok_or(ChainCheckError::Length)?)?;
        chain.check_payload(payload_sha256)?;
        chain.check_expires_at(issued.expires_at)?;
        self.check(&chain, config.profile, config, now)?;
        Ok(chain)
    }

    /// Builds the request for new certificates over the same keys.
    ///
    /// # Errors
    /// [`SignError`].
    pub(crate) fn renew_request(
        &self,
        authority: &AuthorityUrl,
        now: UnixTime,
    ) -> Result<RenewRequest, SignError> {
        let nonce = nonce()?;
        let session = self.signing.leaf();
        let preimage = renew_preimage(authority.as_str(), &session.sha256(), &nonce, now);
        Ok(RenewRequest {
            session: base64::encode(session.der()),
            nonce,
            time: now,
            proof: base64::encode_url(&self.keys.sign_ed25519(&preimage)?),
        })
    }
}

/// Checks that an authority's roots include those that its certificates will have to lead to,
/// before it is given anything that cannot be given twice.
///
/// # Errors
/// [`ChainCheckError::NotPinned`].
pub(crate) fn check_pinned(
    roots: &[Certificate],
    config: &AgentConfig,
) -> Result<(), ChainCheckError> {
    // Issuance and renewal always go by the Ed25519 root, whatever signs.
    let needed: &[Algorithm] = match config.profile {
        Profile::Modern => &[Algorithm::Ed25519],
        Profile::Interop => &[Algorithm::Ed25519, Algorithm::P256],
    };
    let has = |algorithm: &Algorithm| {
        pinned(roots, config).any(|root| root.public_key().algorithm() == *algorithm)
    };
    if !needed.iter().all(has) {
        return Err(ChainCheckError::NotPinned);
    }
    Ok(())
}

/// Builds the request for a new session.
///
/// # Errors
/// [`SignError`].
pub(crate) fn enrol_request(
    keys: &SessionKeys,
    authority: &AuthorityUrl,
    agent: &AgentName,
    token: Option<&Token>,
) -> Result<EnrolRequest, SignError> {
    let token = token.map(|token| token.as_str());
    let (mtls, signing) = (keys.p256(), keys.ed25519());
    let preimage = enrol_preimage(token, authority.as_str(), agent, mtls, signing);
    Ok(EnrolRequest {
        agent: agent.clone(),
        token: token.map(str::to_owned),
        public_keys: KeyPair {
            mtls: mtls.spki_pem(),
            signing: signing.spki_pem(),
        },
        proofs: KeyPair {
            mtls: base64::encode_url(&keys.sign_p256(&preimage)?.to_bytes()),
            signing: base64::encode_url(&keys.sign_ed25519(&preimage)?),
        },
        scopes: None,
    })
}

/// Returns how many seconds before its end a certificate of `lifetime` is renewed: a quarter of
/// it, at least a minute, so that 30 s are never all that is left; of one that short, half.
fn renewal_margin(lifetime: i64) -> i64 {
    (lifetime / 4).max(60).min(lifetime / 2)
}

fn pinned<'a>(
    roots: &'a [Certificate],
    config: &AgentConfig,
) -> impl Iterator<Item = &'a Certificate> {
    roots.iter().filter(|root| {
        let pin = root.public_key().spki_sha256();
        config.pins.as_slice().contains(&pin)
    })
}

const fn format_of(profile: Profile) -> Format {
    match profile {
        Profile::Modern => Format::X509,
        Profile::Interop => Format::X509Interop,
    }
}

fn nonce() -> Result<String, SignError> {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).map_err(|_| SignError)?;
    Ok(hex::encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renews_with_more_than_thirty_seconds_left() {
        assert_eq!(renewal_margin(3600), 900);
        assert_eq!(renewal_margin(300), 75);
        assert_eq!(renewal_margin(120), 60);
        assert_eq!(renewal_margin(40), 20);
    }
}
