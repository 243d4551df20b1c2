//! OpenPGP (RFC 9580, RFC 4880): the keys, certifications and signatures that we write, and the
//! reading of everybody's.
//!
//! Nothing here decides whom to trust or what time it is: a [`KeyBlock`] says what its packets
//! say, and each `verify_…` of a [`Signature`] is the mathematics of one signature and no more.
//! Expiry, revocation, key flags and bindings are judged by the verifier.

mod armor;
mod authority_key;
mod certification;
mod detached;
mod error;
mod fingerprint;
mod foreign;
mod key;
mod key_block;
mod material;
mod packets;
mod session_key;
mod signature;

pub use armor::{ArmorKind, armor, dearmor};
pub use authority_key::{AuthorityKeyTemplate, TrustedKey, build_authority_key};
pub use certification::{Certification, Statement, certify};
pub use detached::ToBeSigned;
pub use error::OpenPgpError;
pub use fingerprint::{Fingerprint, LongKeyId};
pub use key::Key;
pub use key_block::{KeyBlock, KeyBlocks, Subkey, UserId};
pub use material::{KeyKind, SignatureHash};
pub use session_key::{CertifiedKey, SessionKey, SessionSubject};
pub use signature::{Revocation, Signature, SignatureKind, SignedDocument};

/// The longest signature or key block we look at, in bytes.
pub const PACKETS_MAX: usize = 1 << 20;
