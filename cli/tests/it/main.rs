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
mod attest_hostile;
mod attest_many;
mod attest_public;
mod attest_remote;
mod audit;
mod authority;
mod cache;
mod ci;
mod compromised;
mod custody;
mod doctor;
mod documents;
mod gpgsm;
mod hooks;
mod in_toto;
mod init;
mod install;
mod interrupted;
mod mixed;
mod openpgp;
mod policy;
mod recheck;
mod rekor;
mod revocation;
mod rotation;
mod run;
mod serving;
mod signing;
mod sigstore;
mod ssh;
mod ssh_agent;
mod strangers;
mod time_stamps;
mod trust;
mod verify;
mod vsa;
mod workload;
mod world;
mod x509;
