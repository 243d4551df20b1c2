//! The authority, through its sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod audit;
mod client;
mod crash;
mod documents;
mod enrol;
mod formats;
mod founding;
mod http;
mod issue;
mod migration;
mod oidc;
mod openssl;
mod reference;
mod revocation;
mod rotation;
mod serving;
mod surface;
mod token;
mod tokens;
mod tsa;
mod workload;
mod world;
