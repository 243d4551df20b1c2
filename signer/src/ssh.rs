//! What git runs as ssh-keygen: its command line, and signing with whatever holds the key.

mod argv;
mod key_agent;
mod key_file;
mod openssh_agent;
mod private_key;
mod sign;
mod signing_key;

pub use argv::{
    ArgvError, CheckNovalidate, Command, FindPrincipals, MatchPrincipals, Noise, Sign, Verify,
    VerifyOptions, is_ssh_keygen_shaped, parse,
};
pub use key_agent::KeyAgent;
pub use sign::{SignEnvironment, sign};
