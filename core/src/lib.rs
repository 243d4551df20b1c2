//! Words and bytes: the identities, keys, certificates, signatures and documents of notme.
//!
//! Nothing here reads a file, a clock, the environment or a socket, and nothing here decides
//! whom to trust. Bytes come in, types that cannot hold a bad value come out.

#![forbid(unsafe_code)]

pub mod armor;
pub mod base64;
pub mod ber;
pub mod bundle;
pub mod certificate;
pub mod cms;
mod der_reader;
mod der_writer;
pub mod dsse;
pub mod enrol;
pub mod frame;
pub mod glob;
pub mod hex;
pub mod identity;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod key;
mod lines;
pub mod link;
pub mod object;
pub mod oid;
pub mod openpgp;
pub mod pem;
pub mod profile;
mod recent;
pub mod rekor;
pub mod sigstore_root;
pub mod ssh;
pub mod statement;
pub mod terms;
pub mod time;
pub mod timestamp;
pub mod trust;
