//! Tests of the words and bytes, against vectors, real fixtures and foreign programs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod armor;
mod bench;
mod ber;
mod bundle;
mod certificate;
mod cms;
mod object;
mod openpgp;
mod profile;
mod ssh;
mod timestamp;
mod trust;
