//! SSH signatures: what ssh-keygen decides about them, and what a verdict of ours rests on.
//!
//! ssh-keygen's answers are whether a signature holds, and whom a file of allowed signers lets
//! sign; git asks for these. A verdict goes by the trust store: by an authority's SSH key, or by a
//! file of allowed signers that somebody pinned there.

mod check;
mod claim;
mod lines;
mod listed;
mod remark;

pub use check::{Checked, check};
pub(crate) use claim::Claim;
pub use lines::{find_principals, match_principals, verify};
pub use listed::ListedKey;
pub(crate) use listed::uri;
pub use remark::{Answer, Denied, Remark};
