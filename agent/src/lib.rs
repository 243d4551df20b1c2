//! The key agent: the one process that holds private keys.
//!
//! It keeps a session for each configured agent: two keys in locked memory, and certificates that
//! an authority issues for them and it renews. Over its unix sockets, one for our own programs and
//! one that speaks the OpenSSH agent protocol, it signs what it parsed and understood, and nothing
//! else.

#![forbid(unsafe_code)]

mod agent_socket;
mod agents;
mod authority_address;
mod authority_client;
mod authority_url;
mod chain;
mod client;
mod clock;
mod config;
mod embedded;
mod failure;
mod fetch;
mod forms;
mod guests;
mod lent;
mod loan;
mod lock;
mod process;
mod server;
mod session;
mod session_keys;
mod slot;
mod ssh_agent;
mod token_source;

pub use agent_socket::{BindError, SOCKET_NAME, SSH_SOCKET_NAME};
pub use authority_address::AuthorityAddress;
pub use authority_client::{AuthorityError, Dated, Document};
pub use authority_url::{AuthorityUrl, AuthorityUrlError};
pub use chain::ChainCheckError;
pub use clock::Clock;
pub use config::{AgentConfig, ConfigError, Pins, PinsError, Profile, Timestamping, Wire};
pub use embedded::{AuthorityLauncher, LaunchError};
pub use fetch::{
    FetchError, HISTORY_MAX, ensure_embedded_authority, fetch, fetch_dated, fetch_history,
};
pub use process::detach;
pub use server::{AgentOptions, RunError, run};
pub use token_source::{GithubJob, TOKEN_MAX, TokenSource, TokenSourceError};
