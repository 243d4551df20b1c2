//! Statements in real repositories, signed by throw-away keys, and judged.

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
mod bundles;
mod cache;
mod predicates;
mod store;
mod trusted_root;
mod world;
