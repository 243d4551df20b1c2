//! The formats of OpenSSH: keys, certificates, signatures, and the files that say whom to trust.
//!
//! Read as OpenSSH reads them (PROTOCOL, PROTOCOL.certkeys, PROTOCOL.sshsig, PROTOCOL.krl and
//! ssh-keygen(1), "ALLOWED SIGNERS"), except where docs/formats/ssh.md says otherwise; written in
//! one form. What is accepted by whom is decided elsewhere.

pub mod allowed_signers;
pub mod certificate;
mod ecdsa;
pub mod key;
pub mod krl;
pub mod pattern;
pub mod public_key;
pub mod revocation;
mod rsa;
pub mod signature;
pub mod sshsig;
pub mod time;
pub mod wire;

pub use allowed_signers::AllowedSigners;
pub use certificate::{Certificate, UserCertificate};
pub use key::Key;
pub use krl::Krl;
pub use public_key::{KeyType, PublicKey};
pub use revocation::RevocationList;
pub use signature::Signature;
pub use sshsig::{HashAlgorithm, Prehash, SshSig};
