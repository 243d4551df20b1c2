//! CMS signatures (RFC 5652): written in one form, read strictly.
//!
//! One signer, signed attributes always: without them, bytes signed as a set of attributes could
//! be presented as content. The signature is checked over the attribute bytes as they came, never
//! over bytes encoded again.

mod algorithm;
mod assemble;
mod attributes;
mod certificate_id;
mod error;
mod message;
mod signed_data;

pub(crate) use algorithm::{read_digest, write_digest};
pub(crate) use assemble::Draft;
pub use assemble::{assemble, assemble_time_stamped};
pub(crate) use attributes::{Attributes, SIGNING_CERTIFICATE_V2, write_signed};
pub use attributes::{SignedAttributes, TIME_STAMPS_MAX};
pub(crate) use certificate_id::CertificateId;
pub use error::CmsError;
pub use message::{CERTIFICATES_MAX, CMS_MAX, SignedMessage};
pub(crate) use signed_data::SignedData;
