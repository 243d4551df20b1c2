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
mod backup;
mod client;
mod crash;
mod documents;
mod enrol;
mod faults;
mod formats;
mod founding;
mod http;
mod issue;
mod migration;
mod oidc;
mod openssl;
mod operating;
mod outage;
mod postgres;
mod reference;
mod revocation;
mod rotation;
mod serving;
mod store;
mod surface;
mod token;
mod tokens;
mod tsa;
mod workload;
mod world;
