//! Statements about what an agent did: made, signed through the key agent, chained, kept in the
//! repository, and judged.
//!
//! A statement is an in-toto Statement v1 in a DSSE envelope, carried by a Sigstore bundle with
//! the certificate of the key that signed. What is stated stays the word of whoever signed it;
//! the verifier says whose word that is, and when it was given.

#![forbid(unsafe_code)]

mod by_policy;

pub mod bundle;
pub mod chain;
pub mod level;
pub mod link;
pub mod make;
pub mod origins;
pub mod predicate;
pub mod rosary;
pub mod sign;
pub mod store;
pub mod trusted_root;
pub mod verify;

pub use bundle::Bundle;
pub use by_policy::ByPolicy;
pub use predicate::Predicate;
pub use store::Store;
pub use verify::{Attestations, Attested};
