//! The verifier judged from outside: by what it says about objects, stores and repositories.

#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests"
)]

mod cache;
mod chain;
mod fixtures;
mod flip;
mod formats;
mod gates;
mod gitsign;
mod history;
mod lineage;
mod merge_tags;
mod model;
mod objects;
mod openpgp;
mod order;
mod policy;
mod radius;
mod range;
mod report;
mod rules;
mod ssh;
mod terms;
mod time;
mod time_stamps;
mod trust_store;
mod world;
