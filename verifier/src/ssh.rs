//! What ssh-keygen decides about SSH signatures: whether one holds, and whom a file of allowed
//! signers lets sign.
//!
//! These are the answers that git's `gpg.ssh.program` gives. A verdict of our own, with trust
//! document and policy, is reached elsewhere.

mod check;
mod lines;
mod remark;

pub use check::{Checked, check};
pub use lines::{find_principals, match_principals, verify};
pub use remark::{Answer, Denied, Remark};
