//! A session: two keys, the certificates they hold, and what may be asked with them.

use std::rc::Rc;

use notme_core::{
    base64,
    certificate::Certificate,
    enrol::{
        AskedFor, EnrolRequest, EnrolResponse, Format, IssueRequest, IssueResponse, KeyPair,
        OpenPgpCertification, PairRequest, PairResponse, RenewRequest, SCOPE_SIGN_GIT,
        enrol_preimage, issue_preimage, pair_preimage, peer_binding, renew_preimage,
    },
    hex,
    identity::Identity,
    key::{Algorithm, KeyId, PublicKey, SignError},
    openpgp::{SessionKey, SessionSubject, TrustedKey},
    ssh::{self, key::KeyReadError},
    time::UnixTime,
    trust::{SuccessionError, TrustDocument, TrustError, VerifiedTrust},
};
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use crate::{
    authority_client::AuthorityError,
    authority_url::AuthorityUrl,
    chain::{Chain, ChainCheckError, Expected, check_expires_at},
    config::{AgentConfig, Profile},
    forms::{Form, OpenPgp, OpenPgpKey, SshSig},
    lent::Lent,
    session_keys::SessionKeys,
};

/// A token that opens one session. It is sent once and kept nowhere.
pub(crate) type Token = Zeroizing<String>;

/// What a session was opened with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// A token that was handed over: there may be no second one.
    Token,
    /// What opens the next one, too: our user id, or a source of tokens.
    Repeatable,
}

/// A session that the authority granted, checked.
#[derive(Debug)]
pub(crate) struct Session {
    keys: Rc<SessionKeys>,
    opening: Opening,
    ssh_key: ssh::PublicKey,
    identity: Identity,
    signing: Chain,
    /// None of an authority that issues pairs.
    interop: Option<Chain>,
    roots: Vec<Certificate>,
    formats: Result<Formats, NoFormats>,
    renew_at: UnixTime,
    ends_at: UnixTime,
}

/// What a session has beside X.509, and who says so.
#[derive(Debug)]
struct Formats {
    trust: TrustDocument,
    ssh: Option<ssh::Certificate>,
    openpgp: Option<OwnOpenPgp>,
}

/// The session's key as an OpenPGP key: what it says of itself, and with the authority's word.
#[derive(Debug)]
struct OwnOpenPgp {
    own: SessionKey,
    certified: OpenPgpKey,
}

/// Why a session has X.509 certificates only.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoFormats {
    /// The trust document, which names the keys that certify, could not be had.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The trust document is not one to rely on.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The trust document is older than one seen, or one of two.
    #[error(transparent)]
    Succession(#[from] SuccessionError),
    /// There is none.
    #[error("it issues pairs of X.509 certificates only")]
    Pairs,
}

/// What a certificate is to be for, beside the session.
#[derive(Clone, Copy)]
pub(crate) struct Bound<'a> {
    /// The only payload; without one, all that the terms of a loan allow.
    pub(crate) payload_sha256: Option<&'a [u8; 32]>,
    /// The loan.
    pub(crate) lent: Option<&'a Lent>,
}

/// What an authority answered: what it granted, the roots it serves, of which only pinned ones
/// count, and its trust document.
pub(crate) struct Granted<'a> {
    pub(crate) answer: &'a Answer,
    pub(crate) roots: Vec<Certificate>,
    pub(crate) trust: Result<VerifiedTrust, NoFormats>,
}

/// The certificates that an authority issued, and for whom.
pub(crate) struct Answer {
    pub(crate) identity: Identity,
    signing: String,
    interop: Option<String>,
    ssh: Option<String>,
    openpgp: Option<OpenPgpCertification>,
    expires_at: UnixTime,
    session_ends_at: UnixTime,
}

impl From<EnrolResponse> for Answer {
    fn from(answer: EnrolResponse) -> Self {
        Self {
            identity: answer.identity,
            signing: answer.certificates.signing,
            interop: Some(answer.certificates.interop),
            ssh: answer.certificates.ssh,
            openpgp: answer.certificates.openpgp,
            expires_at: answer.expires_at,
            session_ends_at: answer.session_ends_at,
        }
    }
}

impl From<PairResponse> for Answer {
    fn from(answer: PairResponse) -> Self {
        Self {
            identity: answer.identity,
            signing: answer.certificates.signing,
            interop: None,
            ssh: None,
            openpgp: None,
            expires_at: answer.expires_at,
            // There is nothing to renew it by.
            session_ends_at: answer.expires_at,
        }
    }
}

impl Session {
    /// Checks what an authority granted for the keys.
    ///
    /// # Errors
    /// [`ChainCheckError`].
    pub(crate) fn accept(
        (keys, opening): (Rc<SessionKeys>, Opening),
        granted: Granted<'_>,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<Self, ChainCheckError> {
        let answer = granted.answer;
        let signing = Chain::from_pem(&answer.signing)?;
        check_expires_at(signing.leaf().not_after(), answer.expires_at)?;
        let lifetime = signing.leaf().not_after().secs() - now.secs();
        let mut session = Self {
            interop: answer.interop.as_deref().map(Chain::from_pem).transpose()?,
            identity: answer.identity.clone(),
            ssh_key: ssh::PublicKey::from_key(keys.ed25519()).map_err(KeyReadError::from)?,
            renew_at: signing.leaf().not_after().plus(-renewal_margin(lifetime)),
            ends_at: answer.session_ends_at,
            signing,
            roots: granted.roots,
            formats: granted.trust.map(|trust| Formats {
                trust: trust.document().clone(),
                ssh: None,
                openpgp: None,
            }),
            keys,
            opening,
        };
        // Issuance and renewal are asked for with the Ed25519 certificate, whatever signs.
        session.check(&session.signing, Profile::Modern, config, now)?;
        session.check(session.chain(config.profile), config.profile, config, now)?;
        let ssh = session.accept_ssh(answer, config, now)?;
        let openpgp = session.accept_openpgp(answer, config, now)?;
        if let Ok(formats) = &mut session.formats {
            (formats.ssh, formats.openpgp) = (ssh, openpgp);
        }
        Ok(session)
    }

    fn accept_ssh(
        &self,
        answer: &Answer,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<Option<ssh::Certificate>, ChainCheckError> {
        let (Ok(_), Some(line)) = (&self.formats, &answer.ssh) else {
            return Ok(None);
        };
        let certificate = SshSig::read(self, line)?;
        SshSig::check(self, &certificate, config, now)?;
        Ok(Some(certificate))
    }

    fn accept_openpgp(
        &self,
        answer: &Answer,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<Option<OwnOpenPgp>, ChainCheckError> {
        let (Ok(formats), Some(said)) = (&self.formats, &answer.openpgp) else {
            return Ok(None);
        };
        let subject = SessionSubject {
            key: self.keys.ed25519(),
            created: said.created,
            agent: &config.name,
            identity: &self.identity,
        };
        let own = SessionKey::build(&subject, self.ends_at, &self.keys.ed25519_signer())?;
        let packet = base64::decode(&said.certification).ok_or(ChainCheckError::Length)?;
        let certified = OpenPgpKey::new(own.certified(&packet)?, formats.openpgp_authorities())?;
        OpenPgp::check(self, &certified, config, now)?;
        Ok(Some(OwnOpenPgp { own, certified }))
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
        match config.allows(chain, SCOPE_SIGN_GIT) {
            true => Ok(()),
            false => Err(ChainCheckError::Scope),
        }
    }

    /// Returns the authority's trust document, when a root that is pinned now signed it: every
    /// current root of a document that was verified did.
    ///
    /// # Errors
    /// [`ChainCheckError::NotPinned`], also when there is no document.
    pub(crate) fn trust(&self, config: &AgentConfig) -> Result<&TrustDocument, ChainCheckError> {
        let trust = self.formats.as_ref().ok().map(|formats| &formats.trust);
        trust
            .filter(|trust| {
                trust.current_roots().any(|root| {
                    let pin = root.certificate.public_key().spki_sha256();
                    config.pins.as_slice().contains(&pin)
                })
            })
            .ok_or(ChainCheckError::NotPinned)
    }

    /// Certifies the session's OpenPGP key with what the authority said of it.
    ///
    /// # Errors
    /// [`ChainCheckError`].
    pub(crate) fn openpgp_key(&self, packet: &[u8]) -> Result<OpenPgpKey, ChainCheckError> {
        match &self.formats {
            Ok(
                formats @ Formats {
                    openpgp: Some(openpgp),
                    ..
                },
            ) => OpenPgpKey::new(
                openpgp.own.certified(packet)?,
                formats.openpgp_authorities(),
            ),
            Ok(_) | Err(_) => Err(ChainCheckError::NotPinned),
        }
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

    /// Returns the Ed25519 key as OpenSSH names it.
    pub(crate) fn ssh_key(&self) -> &ssh::PublicKey {
        &self.ssh_key
    }

    /// Returns what all certificates of the session have in common.
    pub(crate) fn binding(&self) -> [u8; 32] {
        peer_binding(self.keys.p256(), self.keys.ed25519())
    }

    /// Returns the OpenSSH certificate of the session.
    pub(crate) fn ssh(&self) -> Option<&ssh::Certificate> {
        self.formats.as_ref().ok()?.ssh.as_ref()
    }

    /// Returns the certified OpenPGP key of the session.
    pub(crate) fn openpgp(&self) -> Option<&OpenPgpKey> {
        let openpgp = self.formats.as_ref().ok()?.openpgp.as_ref()?;
        Some(&openpgp.certified)
    }

    /// Returns why there is nothing but X.509, if something went wrong.
    pub(crate) fn no_formats(&self) -> Option<&NoFormats> {
        self.formats.as_ref().err()
    }

    /// Tells whether there is nothing but X.509 because the trust document could not be had.
    pub(crate) fn missed_trust(&self) -> bool {
        match &self.formats {
            Err(NoFormats::Authority(error)) => error.is_absence(),
            Err(NoFormats::Trust(_) | NoFormats::Succession(_) | NoFormats::Pairs) | Ok(_) => false,
        }
    }

    /// Returns what the session may do.
    pub(crate) fn scopes(&self) -> &[String] {
        self.signing.leaf().scopes()
    }

    /// Returns the session certificate of a profile.
    pub(crate) fn chain(&self, profile: Profile) -> &Chain {
        match profile {
            Profile::Modern => &self.signing,
            // Without one nobody is configured for it, and its key is not the other's.
            Profile::Interop => self.interop.as_ref().unwrap_or(&self.signing),
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

    /// Builds the request for certificates that are bound to something.
    ///
    /// # Errors
    /// [`SignError`].
    pub(crate) fn issue_request(
        &self,
        authority: &AuthorityUrl,
        formats: Vec<Format>,
        bound: Bound<'_>,
        now: UnixTime,
    ) -> Result<IssueRequest, SignError> {
        let activity = bound.lent.map(Lent::activity);
        let nonce = hex::encode(&nonce()?);
        let session = self.signing.leaf();
        let preimage = issue_preimage(
            authority.as_str(),
            &session.sha256(),
            &formats,
            &nonce,
            now,
            AskedFor {
                payload_sha256: bound.payload_sha256,
                activity,
                terms: bound.lent.map(Lent::der),
            },
        );
        Ok(IssueRequest {
            session: base64::encode(session.der()),
            payload_sha256: bound.payload_sha256.map(|digest| hex::encode(digest)),
            formats,
            nonce,
            time: now,
            activity: activity.map(str::to_owned),
            terms: bound.lent.map(|lent| lent.terms().clone()),
            proof: base64::encode_url(&self.keys.sign_ed25519(&preimage)?),
        })
    }

    /// Checks the answer to [`Session::issue_request`].
    ///
    /// # Errors
    /// [`ChainCheckError`].
    pub(crate) fn accept_issued<F: Form>(
        &self,
        issued: &IssueResponse,
        bound: Bound<'_>,
        config: &AgentConfig,
        now: UnixTime,
    ) -> Result<F::Certificate, ChainCheckError> {
        let text = issued.certificates.get(&F::format(config));
        let certificate = F::read(self, text.ok_or(ChainCheckError::Length)?)?;
        if F::payload_digest(&certificate).as_ref() != bound.payload_sha256 {
            return Err(ChainCheckError::Payload);
        }
        let (_, not_after) = F::validity(&certificate);
        let terms = bound.lent.map(Lent::terms);
        if F::terms(&certificate) != terms || terms.is_some_and(|it| it.until < not_after) {
            return Err(ChainCheckError::Terms);
        }
        check_expires_at(not_after, issued.expires_at)?;
        F::check(self, &certificate, config, now)?;
        Ok(certificate)
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
        let nonce = hex::encode(&nonce()?);
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

impl Formats {
    fn openpgp_authorities(&self) -> impl Iterator<Item = &TrustedKey> {
        self.trust.current_openpgp().map(|ca| &ca.certificate)
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
    config: &AgentConfig,
    token: Option<&Token>,
) -> Result<EnrolRequest, SignError> {
    let token = token.map(|token| token.as_str());
    let (mtls, signing) = (keys.p256(), keys.ed25519());
    let (agent, authority) = (&config.name, config.authority.as_str());
    let preimage = enrol_preimage(token, authority, agent, mtls, signing);
    Ok(EnrolRequest {
        agent: agent.clone(),
        token: token.map(str::to_owned),
        public_keys: public_keys(keys),
        proofs: proofs(keys, &preimage)?,
        scopes: config.scopes.clone(),
    })
}

/// Builds the request for a pair of certificates.
///
/// # Errors
/// [`SignError`].
pub(crate) fn pair_request(keys: &SessionKeys, token: &Token) -> Result<PairRequest, SignError> {
    let preimage = pair_preimage(keys.p256(), keys.ed25519(), token);
    Ok(PairRequest {
        public_keys: public_keys(keys),
        proofs: proofs(keys, &preimage)?,
    })
}

fn public_keys(keys: &SessionKeys) -> KeyPair {
    KeyPair {
        mtls: keys.p256().spki_pem(),
        signing: keys.ed25519().spki_pem(),
    }
}

/// Shows that we hold both keys.
fn proofs(keys: &SessionKeys, preimage: &[u8]) -> Result<KeyPair, SignError> {
    Ok(KeyPair {
        mtls: base64::encode_url(&keys.sign_p256(preimage)?.to_bytes()),
        signing: base64::encode_url(&keys.sign_ed25519(preimage)?),
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

/// Returns what is used once.
///
/// # Errors
/// [`SignError`].
pub(crate) fn nonce() -> Result<[u8; 16], SignError> {
    let mut bytes = [0; 16];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| SignError::default())?;
    Ok(bytes)
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
