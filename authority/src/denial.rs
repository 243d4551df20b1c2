//! Every way in which notme's own routes refuse, in the words that its clients know.
//!
//! Our own routes refuse as [`Refusal`](crate::refusal::Refusal) says. These were there before:
//! their bodies are `{"error": "<text>"}`, and the texts are part of the interface.

use serde::Serialize;

use crate::{authority::Proved, oidc::TokenError};

/// Why a request on one of notme's routes was not served.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Denial {
    /// The token is for somebody else, as `/cert` says it.
    #[error("invalid token: wrong audience: expected {expected}, got {got}")]
    Audience { expected: String, got: String },
    /// Tokens are not for this audience.
    #[error("invalid_audience")]
    AudienceInvalid { allowed: Vec<String> },
    /// It was not said for whom the token is to be.
    #[error("audience_required")]
    AudienceRequired,
    /// There is no token in the header.
    #[error("missing Bearer token")]
    BearerMissing,
    /// The body is not JSON.
    #[error("invalid JSON body")]
    BodyMalformed,
    /// We have no code that makes administrators.
    #[error("invalid or consumed bootstrap code")]
    BootstrapInvalid,
    /// No rule for the issuer fits the claims.
    #[error("claims not permitted")]
    ClaimsNotPermitted,
    /// The proof is none for this request.
    #[error("invalid_dpop_proof")]
    DpopInvalid,
    /// The proof must repeat a nonce that we give out.
    #[error("use_dpop_nonce")]
    DpopNonce { nonce: String },
    /// There is no proof.
    #[error("dpop_proof_required")]
    DpopRequired,
    /// The proof was used before.
    #[error("proof_reused")]
    DpopReused,
    /// The Ed25519 key is not the caller's.
    #[error("Ed25519 proof-of-possession failed")]
    Ed25519ProofInvalid,
    /// The event may run strangers' code.
    #[error("event not permitted")]
    EventNotPermitted,
    /// The identity or one of the keys was taken back for good.
    #[error("identity or key revoked")]
    IdentityRevoked,
    /// The token has no name to be remembered by.
    #[error("jti claim required for replay protection")]
    JtiMissing,
    /// A public key is not one in its canonical encoding.
    #[error("invalid public key: Invalid SPKI input.")]
    KeyInvalid,
    /// A public key is not there.
    #[error("public_keys.mtls and public_keys.signing required (SPKI PEM)")]
    KeysMissing,
    /// The path exists, the method is another.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// There is no such path.
    #[error("not_found")]
    NotFound,
    /// The repository is nobody's whom the operator named.
    #[error("repository owner not permitted")]
    OwnerNotPermitted,
    /// The P-256 key is not the caller's, or the two keys are not of their kinds.
    #[error("P-256 proof-of-possession failed")]
    P256ProofInvalid,
    /// A proof is not there.
    #[error("proofs.mtls and proofs.signing required (signatures over binding payload)")]
    ProofsMissing,
    /// `/cert` does not know what to go by.
    #[error("proof.type required")]
    ProofTypeMissing,
    /// `/cert` does not go by this.
    #[error("unknown proof type: {0}")]
    ProofTypeUnknown(String),
    /// Too many certificates are asked for.
    #[error("rate limit exceeded")]
    RateLimited { retry_after: u64 },
    /// The issuer of the token cannot be asked for its keys now.
    #[error("authority unavailable")]
    IssuerUnavailable,
    /// The keys of the authority are in a token that is away.
    #[error("authority unavailable")]
    KeysUnavailable,
    /// None of the requested scopes is granted.
    #[error("none of the requested scopes are granted")]
    ScopesNotGranted {
        requested: Vec<String>,
        granted: Vec<String>,
    },
    /// We have no sessions of browsers, so this is none.
    #[error("invalid session")]
    SessionInvalid,
    /// There is no cookie.
    #[error("no session cookie")]
    SessionMissing,
    /// No living session vouches for the request.
    #[error("session_required")]
    SessionRequired,
    /// The store cannot be used now; whether the token was spent is not known.
    #[error("authority unavailable")]
    StoreUnavailable,
    /// The token is none that we take.
    #[error("invalid token: {0}")]
    Token(#[from] TokenError),
    /// Too many access tokens are asked for.
    #[error("rate_limited")]
    TokenRateLimited { retry_after: u64 },
    /// The token was used before.
    #[error("token already used")]
    TokenUsed,
    /// Our fault; the log of the authority says more.
    #[error("authority unavailable")]
    Unavailable,
}

impl Denial {
    /// Returns its name in the audit; where there is a [`Refusal`](crate::refusal::Refusal) of
    /// the same meaning, the code of that.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::AudienceInvalid { .. } => "audience-invalid",
            Self::AudienceRequired => "audience-required",
            Self::BearerMissing => "token-required",
            Self::BodyMalformed => "request-malformed",
            Self::BootstrapInvalid => "bootstrap-invalid",
            Self::ClaimsNotPermitted => "claims-not-permitted",
            Self::DpopInvalid => "dpop-invalid",
            Self::DpopNonce { .. } => "dpop-nonce-required",
            Self::DpopRequired => "dpop-required",
            Self::DpopReused => "dpop-reused",
            Self::Ed25519ProofInvalid | Self::P256ProofInvalid => "proof-invalid",
            Self::EventNotPermitted => "event-not-permitted",
            Self::IdentityRevoked => "identity-revoked",
            Self::JtiMissing => "jti-missing",
            Self::KeyInvalid => "key-malformed",
            Self::KeysMissing => "keys-missing",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NotFound => "not-found",
            Self::OwnerNotPermitted => "owner-not-permitted",
            Self::ProofsMissing => "proofs-missing",
            Self::ProofTypeMissing => "proof-type-missing",
            Self::ProofTypeUnknown(_) => "proof-type-unknown",
            Self::RateLimited { .. } | Self::TokenRateLimited { .. } => "rate-limited",
            Self::ScopesNotGranted { .. } => "scope-not-granted",
            Self::SessionInvalid => "session-unknown",
            Self::SessionMissing | Self::SessionRequired => "session-required",
            Self::Audience { .. } | Self::Token(_) => "oidc-token-invalid",
            Self::TokenUsed => "token-used-up",
            Self::StoreUnavailable => "store-unavailable",
            Self::IssuerUnavailable => "oidc-issuer-unreachable",
            Self::KeysUnavailable => "keys-unavailable",
            Self::Unavailable => "internal",
        }
    }

    /// Returns what the caller had proved: nothing, unless nobody else can be refused so.
    pub(crate) const fn proved(&self) -> Proved {
        match self {
            Self::Audience { .. }
            | Self::AudienceInvalid { .. }
            | Self::AudienceRequired
            | Self::BearerMissing
            | Self::BodyMalformed
            | Self::BootstrapInvalid
            | Self::DpopRequired
            | Self::IssuerUnavailable
            | Self::KeysUnavailable
            | Self::MethodNotAllowed
            | Self::NotFound
            | Self::ProofTypeMissing
            | Self::ProofTypeUnknown(_)
            | Self::SessionInvalid
            | Self::SessionMissing
            | Self::SessionRequired
            | Self::StoreUnavailable
            | Self::Token(_)
            | Self::Unavailable => Proved::Nothing,
            Self::ClaimsNotPermitted | Self::EventNotPermitted | Self::OwnerNotPermitted => {
                Proved::Elsewhere
            }
            // Where nonces are asked for, everybody's first attempt: it says nothing.
            Self::DpopNonce { .. } => Proved::Nothing,
            Self::DpopInvalid
            | Self::DpopReused
            | Self::Ed25519ProofInvalid
            | Self::IdentityRevoked
            | Self::JtiMissing
            | Self::KeyInvalid
            | Self::KeysMissing
            | Self::P256ProofInvalid
            | Self::ProofsMissing
            | Self::RateLimited { .. }
            | Self::ScopesNotGranted { .. }
            | Self::TokenRateLimited { .. }
            | Self::TokenUsed => Proved::Here,
        }
    }

    /// Returns the HTTP status.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::AudienceInvalid { .. }
            | Self::AudienceRequired
            | Self::BodyMalformed
            | Self::DpopNonce { .. }
            | Self::DpopRequired
            | Self::JtiMissing
            | Self::KeyInvalid
            | Self::KeysMissing
            | Self::ProofsMissing
            | Self::ProofTypeMissing
            | Self::ProofTypeUnknown(_) => 400,
            Self::Audience { .. }
            | Self::BearerMissing
            | Self::DpopInvalid
            | Self::DpopReused
            | Self::Ed25519ProofInvalid
            | Self::P256ProofInvalid
            | Self::SessionInvalid
            | Self::SessionMissing
            | Self::SessionRequired
            | Self::Token(_)
            | Self::TokenUsed => 401,
            Self::BootstrapInvalid
            | Self::ClaimsNotPermitted
            | Self::EventNotPermitted
            | Self::IdentityRevoked
            | Self::OwnerNotPermitted
            | Self::ScopesNotGranted { .. } => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RateLimited { .. } | Self::TokenRateLimited { .. } => 429,
            Self::IssuerUnavailable
            | Self::KeysUnavailable
            | Self::StoreUnavailable
            | Self::Unavailable => 503,
        }
    }

    /// Returns the JSON body.
    pub(crate) fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut body = Body {
            error: self.to_string(),
            ..Body::default()
        };
        if let Self::ScopesNotGranted { requested, granted } = self {
            body.requested = Some(requested);
            body.granted = Some(granted);
        }
        if let Self::AudienceInvalid { allowed } = self {
            body.allowed = Some(allowed);
        }
        if let Self::DpopNonce { .. } = self {
            body.error_description =
                Some("the proof must repeat the nonce of the DPoP-Nonce header");
        }
        serde_json::to_vec(&body)
    }
}

/// In the reference's order.
#[derive(Default, Serialize)]
struct Body<'a> {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<&'a Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<&'a Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<&'a Vec<String>>,
}
