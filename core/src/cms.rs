//! Detached CMS signatures (RFC 5652): written in one form, read strictly.
//!
//! One signer, signed attributes always: without them, bytes signed as a set of attributes could
//! be presented as content. The signature is checked over the attribute bytes as they came, never
//! over bytes encoded again.

mod algorithm;
mod assemble;
mod attributes;
mod error;
mod message;

pub use assemble::assemble;
pub use attributes::SignedAttributes;
pub use error::CmsError;
pub use message::{CERTIFICATES_MAX, CMS_MAX, SignedMessage};
