//! Every way a request can be refused.

use serde_json::json;

use crate::{authority::Proved, server::TooOften, store::TokenRefusal};

/// Why a request was not served. Nothing has been consumed, where it does not say otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The activity id is too long or holds control characters.
    #[error("`activity` is at most 256 bytes without control characters")]
    ActivityMalformed,
    /// The token was made for another agent.
    #[error("the token was made for another agent")]
    AgentNotAllowed,
    /// The body is larger than we read.
    #[error("the body is larger than 64 KiB")]
    BodyTooLarge,
    /// The body is not declared as what the route takes: JSON, or a request for a time stamp.
    #[error("the body must be `application/json`, or `application/timestamp-query` at `/tsa`")]
    ContentType,
    /// `formats` is empty or names one twice.
    #[error("`formats` names at least one format, each once")]
    FormatsMalformed,
    /// The identity or one of the keys was taken back for good.
    #[error("this identity or key was revoked")]
    IdentityRevoked,
    /// Our fault; the log of the authority says more.
    #[error("the authority could not serve the request")]
    Internal,
    /// A public key is not one, or not of the algorithm its place asks for.
    #[error("`public_keys` holds a P-256 `mtls` key and an Ed25519 `signing` key as PEM")]
    KeyMalformed,
    /// The keys of the authority are in a token that is away; the log of the authority says more.
    #[error("the authority cannot use its keys now")]
    KeysUnavailable,
    /// The token enrolled these very keys before: a request that was sent, or stolen, twice.
    #[error("this token enrolled these keys before")]
    KeysKnown,
    /// The path exists, the method is another.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// The nonce is not 32 hex digits.
    #[error("`nonce` is 32 lower-case hexadecimal digits")]
    NonceMalformed,
    /// The nonce was used before.
    #[error("the nonce was used before")]
    NonceReplayed,
    /// The issuer of the OIDC token cannot be asked for its keys.
    #[error("the issuer of the token cannot be asked for its keys now")]
    OidcIssuerUnreachable,
    /// The token is good, and nothing is granted for what it says.
    #[error("nothing is granted for what the token says")]
    OidcNotPermitted,
    /// The token is not one of an issuer that is trusted here, or not a good one.
    #[error("the token is not a good one of an issuer that is trusted here")]
    OidcTokenInvalid,
    /// The payload digest is not 64 hex digits.
    #[error("`payload_sha256` is 64 lower-case hexadecimal digits")]
    PayloadMalformed,
    /// A proof of possession does not verify.
    #[error("a proof of possession does not verify")]
    ProofInvalid,
    /// The caller asked too often, and may again in so many seconds.
    #[error("too many requests; the next in {retry_after} s")]
    RateLimited {
        /// Until the window is over.
        retry_after: u64,
    },
    /// The body is not the JSON the route takes.
    #[error("the body is not the JSON this route takes")]
    RequestMalformed,
    /// The body did not arrive in time.
    #[error("the request did not arrive in time")]
    RequestTimeout,
    /// The session lacks the right.
    #[error("the session does not carry scope `sign:git`")]
    ScopeMissing,
    /// None of the requested scopes is granted.
    #[error("none of the requested scopes is granted")]
    ScopeNotGranted,
    /// A scope outside the closed list.
    #[error("scopes are `bridgeCert`, `sign:git`, `sign:attestation` and `ssh:login`")]
    ScopeUnknown,
    /// The session certificate has expired; renewing or enrolling helps.
    #[error("the session certificate has expired")]
    SessionCertificateExpired,
    /// The session has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The session was revoked.
    #[error("the session was revoked")]
    SessionRevoked,
    /// The certificate is not one of ours.
    #[error("`session` is not a session certificate of this authority")]
    SessionUnknown,
    /// The request was made at another time.
    #[error("`time` is more than 60 s away from the clock of the authority")]
    TimeSkewed,
    /// The store cannot be used now; whether something was spent is not known.
    #[error("the authority cannot use its store now; try again")]
    StoreUnavailable,
    /// The terms are beyond their limits, or over; or there are none where no payload is named.
    #[error("`terms` are within their limits and not over, and there where no payload is named")]
    TermsMalformed,
    /// The token has expired.
    #[error("the token has expired")]
    TokenExpired,
    /// A token is needed here.
    #[error("an enrolment token is required")]
    TokenRequired,
    /// The token was revoked.
    #[error("the token was revoked")]
    TokenRevoked,
    /// The token is not one of ours.
    #[error("the token is unknown")]
    TokenUnknown,
    /// The token was used as often as it may be.
    #[error("the token is used up")]
    TokenUsedUp,
}

impl Refusal {
    /// Returns the code that clients act on.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ActivityMalformed => "activity-malformed",
            Self::AgentNotAllowed => "agent-not-allowed",
            Self::BodyTooLarge => "body-too-large",
            Self::ContentType => "content-type-unsupported",
            Self::FormatsMalformed => "formats-malformed",
            Self::IdentityRevoked => "identity-revoked",
            Self::Internal => "internal",
            Self::KeyMalformed => "key-malformed",
            Self::KeysKnown => "keys-known",
            Self::KeysUnavailable => "keys-unavailable",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NonceMalformed => "nonce-malformed",
            Self::NonceReplayed => "nonce-replayed",
            Self::OidcIssuerUnreachable => "oidc-issuer-unreachable",
            Self::OidcNotPermitted => "oidc-not-permitted",
            Self::OidcTokenInvalid => "oidc-token-invalid",
            Self::PayloadMalformed => "payload-malformed",
            Self::ProofInvalid => "proof-invalid",
            Self::RateLimited { .. } => "rate-limited",
            Self::RequestMalformed => "request-malformed",
            Self::RequestTimeout => "request-timeout",
            Self::ScopeMissing => "scope-missing",
            Self::ScopeNotGranted => "scope-not-granted",
            Self::ScopeUnknown => "scope-unknown",
            Self::SessionCertificateExpired => "session-certificate-expired",
            Self::SessionEnded => "session-ended",
            Self::SessionRevoked => "session-revoked",
            Self::SessionUnknown => "session-unknown",
            Self::StoreUnavailable => "store-unavailable",
            Self::TermsMalformed => "terms-malformed",
            Self::TimeSkewed => "time-skewed",
            Self::TokenExpired => "token-expired",
            Self::TokenRequired => "token-required",
            Self::TokenRevoked => "token-revoked",
            Self::TokenUnknown => "token-unknown",
            Self::TokenUsedUp => "token-used-up",
        }
    }

    /// Returns what the caller had proved: nothing, unless nobody else can be refused so.
    pub(crate) const fn proved(self) -> Proved {
        match self {
            Self::ActivityMalformed
            | Self::BodyTooLarge
            | Self::ContentType
            | Self::FormatsMalformed
            | Self::Internal
            | Self::KeyMalformed
            | Self::KeysUnavailable
            | Self::MethodNotAllowed
            | Self::NonceMalformed
            | Self::OidcIssuerUnreachable
            | Self::OidcTokenInvalid
            | Self::PayloadMalformed
            | Self::ProofInvalid
            | Self::RequestMalformed
            | Self::RequestTimeout
            | Self::SessionUnknown
            | Self::StoreUnavailable
            | Self::TermsMalformed
            | Self::TokenRequired
            | Self::TokenUnknown => Proved::Nothing,
            Self::OidcNotPermitted => Proved::Elsewhere,
            Self::AgentNotAllowed
            | Self::IdentityRevoked
            | Self::KeysKnown
            | Self::NonceReplayed
            | Self::RateLimited { .. }
            | Self::ScopeMissing
            | Self::ScopeNotGranted
            | Self::ScopeUnknown
            | Self::SessionCertificateExpired
            | Self::SessionEnded
            | Self::SessionRevoked
            | Self::TimeSkewed
            | Self::TokenExpired
            | Self::TokenRevoked
            | Self::TokenUsedUp => Proved::Here,
        }
    }

    /// Returns the HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::ActivityMalformed
            | Self::FormatsMalformed
            | Self::KeyMalformed
            | Self::NonceMalformed
            | Self::PayloadMalformed
            | Self::RequestMalformed
            | Self::ScopeUnknown
            | Self::TermsMalformed => 400,
            Self::OidcTokenInvalid
            | Self::ProofInvalid
            | Self::SessionCertificateExpired
            | Self::SessionEnded
            | Self::SessionRevoked
            | Self::SessionUnknown
            | Self::TimeSkewed
            | Self::TokenExpired
            | Self::TokenRequired
            | Self::TokenRevoked
            | Self::TokenUnknown
            | Self::TokenUsedUp => 401,
            Self::AgentNotAllowed
            | Self::IdentityRevoked
            | Self::OidcNotPermitted
            | Self::ScopeMissing
            | Self::ScopeNotGranted => 403,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::KeysKnown | Self::NonceReplayed => 409,
            Self::BodyTooLarge => 413,
            Self::ContentType => 415,
            Self::RateLimited { .. } => 429,
            Self::Internal => 500,
            Self::KeysUnavailable | Self::OidcIssuerUnreachable | Self::StoreUnavailable => 503,
        }
    }

    /// Returns the JSON body.
    pub(crate) fn body(self) -> Vec<u8> {
        json!({ "error": self.code(), "message": self.to_string() })
            .to_string()
            .into_bytes()
    }
}

impl From<TooOften> for Refusal {
    fn from(TooOften { retry_after }: TooOften) -> Self {
        Self::RateLimited { retry_after }
    }
}

impl From<TokenRefusal> for Refusal {
    fn from(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Expired => Self::TokenExpired,
            TokenRefusal::Revoked => Self::TokenRevoked,
            TokenRefusal::Unknown => Self::TokenUnknown,
            TokenRefusal::UsedUp => Self::TokenUsedUp,
        }
    }
}
