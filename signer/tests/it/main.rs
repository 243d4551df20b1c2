//! The signer, run against key agents that behave and key agents that do not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod argv;
mod endpoint;
mod fake_agent;
mod openpgp;
mod signing;
mod ssh;
