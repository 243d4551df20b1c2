//! What git runs as gpg: its command line, the request to the key agent, its status lines.

mod argv;
mod sign;
mod status_line;

pub use argv::{Command, List, Sign, Verify, parse};
pub use sign::sign;
pub use status_line::{ErrorReason, StatusLine};
