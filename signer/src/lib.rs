//! What git runs as gpgsm, as gpg, and as ssh-keygen.
//!
//! It reads git's command line, has the key agent sign, checks the signature before anyone sees
//! it, and speaks the status lines that git parses. It holds no key and judges nobody's
//! signatures. Called a hundred times in a rebase, it opens one socket and nothing else.

#![forbid(unsafe_code)]

mod argv;
mod client;
mod endpoint;
mod failure;
pub mod openpgp;
mod sign;
pub mod ssh;
mod status_lines;
mod status_output;
mod whole_file;

pub use argv::{
    ArgvError, Command, Data, Encoding, KeyList, Sign, StatusFd, Verify, is_gpg_shaped, parse,
};
pub use client::{AgentClient, ClientError};
pub use endpoint::{AgentEndpoint, Deadline, StartCommand};
pub use sign::{Streams, sign};
pub use status_lines::{ErrorReason, StatusLine, TrustLevel};
pub use status_output::{StatusOutput, StatusOutputError, StatusText};
