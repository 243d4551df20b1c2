//! `notme authority serve`: its options are its settings, and each has one place, here.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::{AuthorityPlace, Sealing};

/// `notme authority serve`.
#[derive(Args, Debug)]
pub(crate) struct AuthorityServe {
    /// Settings from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings in effect and where each is from, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Be the embedded one: its directory, its socket, and an end when nobody asks for it
    #[arg(long, hide = true, conflicts_with_all = ["config", "url", "listen", "socket", "ephemeral", "dir", "store", "oidc"])]
    pub(crate) embedded: bool,
    /// The settings
    #[command(flatten)]
    pub(crate) settings: ServeSettings,
}

/// What an authority serves with. Each can stand on the command line, in the environment and in a
/// file, in the same words.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct ServeSettings {
    /// Which
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) place: AuthorityPlace,
    /// How its keys are kept
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) sealing: Sealing,
    /// Keep everything in memory and forget it at the end
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", conflicts_with_all = ["dir", "store", "passphrase_file", "key_file", "pkcs11_module"])]
    pub(crate) ephemeral: Option<bool>,
    /// Where agents reach it, which proofs bind; without it, the first place it listens at
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// TCP address to listen on; port 0 takes a free one, and the address is printed
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Unix socket to listen on, for this user alone
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Whoever runs as this user may enrol on the unix socket without a token
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) local_enrolment: Option<bool>,
    /// TLS certificate chain, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// TLS private key, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Whose OpenID Connect tokens count, and what they are worth; see docs/formats/oidc.md
    #[arg(long, value_name = "FILE")]
    pub(crate) oidc: Option<PathBuf>,
    /// How long session certificates live, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) certificate_ttl: Option<NonZeroU32>,
    /// TCP address of `/metrics` and `/readyz`; choose one that only your monitor reaches
    #[arg(long, value_name = "ADDRESS", conflicts_with = "monitor_socket")]
    pub(crate) monitor: Option<SocketAddr>,
    /// Unix socket of `/metrics` and `/readyz`
    #[arg(long, value_name = "PATH")]
    pub(crate) monitor_socket: Option<PathBuf>,
    /// Which lines of the log are written
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,
    /// How; without it, `human` on a terminal and `json` elsewhere
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Open connections at each listener; more wait
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: Option<u16>,
    /// Of these, from one address; more are closed
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections_per_address: Option<u16>,
    /// How long a TLS handshake, and the head of a request, may take
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) head_timeout: Option<u32>,
    /// How long the body of a request may take
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) body_timeout: Option<u32>,
    /// How long a connection may last
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) connection_timeout: Option<u32>,
    /// How long requests under way have when it is told to end
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=3_600))]
    pub(crate) drain_timeout: Option<u32>,
    /// How long before that `/readyz` says no, so that a balancer sends nobody more
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=3_600))]
    pub(crate) drain_notice: Option<u32>,
    /// Requests from one address in a minute; 0: as many as come
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rate_address: Option<u32>,
    /// Signatures for one identity in a minute; 0: as many as come
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rate_identity: Option<u32>,
    /// OIDC tokens for one identity in a minute; 0: as many as come
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rate_workload: Option<u32>,
    /// Access tokens for one identity in a minute; 0: as many as come
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rate_token: Option<u32>,
}

/// What is worth a line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogLevel {
    /// What failed by our fault
    Error,
    /// And what comes too often, or is weak
    Warn,
    /// And every request
    Info,
    /// And those that ask whether it lives
    Debug,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people
    Human,
    /// One JSON object on each line
    Json,
}
