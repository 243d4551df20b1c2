//! The key agent over a real socket, with a real authority.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod child;
mod clients;
mod embedded;
mod formats;
mod go_between;
mod hostile;
mod lifetime;
mod rotation;
mod sessions;
mod signing;
mod ssh_agent;
mod time_stamps;
mod tls;
mod tokens;
mod workloads;
mod world;
