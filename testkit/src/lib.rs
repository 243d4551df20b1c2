//! What tests are made of: a cast of identities, throw-away keys, hermetic repositories,
//! a clock that stands still, and the foreign programs that judge what we write.
//!
//! Everything here panics instead of returning errors: a broken test world stops the test.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "development only: a test that cannot be set up must fail loudly"
)]

pub mod cast;
pub mod cgi;
pub mod clock;
pub mod commit;
pub mod gnupg;
pub mod issuer;
pub mod jwt;
pub mod keys;
pub mod mint;
pub mod openpgp;
pub mod oracle;
pub mod postgres;
pub mod repository;
mod signing;
pub mod sigstore;
pub mod testdata;
pub mod tsa;
