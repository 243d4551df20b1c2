//! The whole program, through real git, real sockets and real files, judged by strangers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod attacks;
mod attest;
mod authority;
mod doctor;
mod documents;
mod gpgsm;
mod init;
mod openpgp;
mod policy;
mod revocation;
mod signing;
mod ssh;
mod ssh_agent;
mod strangers;
mod time_stamps;
mod trust;
mod verify;
mod world;
