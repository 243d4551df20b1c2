//! Enrolment tokens: shown once, kept as a digest.

use std::fmt;

use notme_core::{
    base64, hex,
    identity::{AgentName, Identity, IdentityError},
    key::sha256,
    time::UnixTime,
};
use zeroize::Zeroizing;

use crate::{
    scope::Scopes,
    seal::{SealError, random},
    store::{StoreError, TokenId, TokenRecord},
};

/// An enrolment token: `nme_` and 32 random bytes in base64url. Whoever has it may enrol.
pub struct EnrolmentToken(Zeroizing<String>);

impl EnrolmentToken {
    /// Returns the token itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn random() -> Result<Self, SealError> {
        let bytes = Zeroizing::new(random::<32>()?);
        let text = Zeroizing::new(base64::encode_url(bytes.as_ref()));
        Ok(Self(Zeroizing::new(["nme_", &text].concat())))
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken").finish_non_exhaustive()
    }
}

/// What a new token is to allow.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The agent it enrols; the token fixes the name.
    pub agent: AgentName,
    /// On whose behalf; `None`: the operator of the authority.
    pub principal: Option<String>,
    /// What the agent may do.
    pub scopes: Scopes,
    /// How often it can be used.
    pub uses: u32,
    /// For how many seconds it can be used.
    pub ttl_seconds: i64,
    /// How many seconds a session enrolled with it lasts.
    pub session_seconds: i64,
}

impl NewToken {
    /// Makes the token and what is kept of it.
    pub(crate) fn make(
        self,
        trust_domain: &str,
        operator: &str,
        now: UnixTime,
    ) -> Result<(EnrolmentToken, TokenRecord), TokenError> {
        let within = |seconds| (1..=LONGEST_SECONDS).contains(&seconds);
        if self.uses == 0 || !within(self.ttl_seconds) || !within(self.session_seconds) {
            return Err(TokenError::Limits);
        }
        let principal = self.principal.unwrap_or_else(|| operator.to_owned());
        // Refused now rather than when the agent enrols.
        Identity::agent(trust_domain, &principal, &self.agent)?;
        let token = EnrolmentToken::random()?;
        let record = TokenRecord {
            digest: sha256(token.expose().as_bytes()),
            agent: self.agent,
            principal,
            scopes: self.scopes,
            uses: self.uses,
            used: 0,
            session_seconds: self.session_seconds,
            created_at: now,
            expires_at: now.plus(self.ttl_seconds),
            revoked_at: None,
        };
        Ok((token, record))
    }
}

/// A token as its operator sees it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TokenInfo {
    /// The public name, for revoking it: 16 hex digits.
    pub id: String,
    /// The agent it enrols.
    pub agent: AgentName,
    /// On whose behalf.
    pub principal: String,
    /// What the agent may do.
    pub scopes: Vec<String>,
    /// How often it can be used.
    pub uses: u32,
    /// How often it was used.
    pub used: u32,
    /// When it was made.
    pub created_at: UnixTime,
    /// From when on it cannot be used.
    pub expires_at: UnixTime,
    /// When it was revoked.
    pub revoked_at: Option<UnixTime>,
}

impl From<TokenRecord> for TokenInfo {
    fn from(token: TokenRecord) -> Self {
        let (id, _) = token.digest.split_at(size_of::<TokenId>());
        Self {
            id: hex::encode(id),
            agent: token.agent,
            principal: token.principal,
            scopes: token.scopes.names(),
            uses: token.uses,
            used: token.used,
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
        }
    }
}

/// Why a token cannot be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The principal cannot be part of an identity.
    #[error("the principal cannot be part of an identity")]
    Identity(#[from] IdentityError),
    /// No use, or a lifetime outside one second to ten years.
    #[error("uses start at 1, lifetimes are between one second and ten years")]
    Limits,
    /// No randomness.
    #[error("no token could be made")]
    Random(#[from] SealError),
    /// The store failed.
    #[error("the token could not be kept or found")]
    Store(#[from] StoreError),
    /// No token has this id.
    #[error("no token has this id")]
    Unknown,
}

impl TokenError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity-malformed",
            Self::Limits => "token-limits",
            Self::Random(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Unknown => "token-unknown",
        }
    }
}

/// Ten years of 365 days.
const LONGEST_SECONDS: i64 = 3_650 * 86_400;
