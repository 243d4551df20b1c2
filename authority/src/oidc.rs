//! Workloads that another issuer vouches for: OpenID Connect tokens of CI systems and clusters.
//!
//! A token opens nothing by itself: its issuer is one that the operator named, its audience is
//! ours, its claims fit a rule, and it is used once.

mod claim;
mod config;
mod issuer;
mod keys;
mod template;
mod token;

pub(crate) use self::config::TokenConfig;
pub use self::{
    config::{OIDC_CONFIG_MAX, OidcConfig, OidcConfigError},
    keys::KeysError,
};
pub(crate) use self::{
    issuer::{Among, Grant, Issuers, VerifyError, Workload},
    template::is_path,
    token::{TokenError, numeric_date},
};
