//! `notme policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `notme policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Look for mistakes, and say what it would have refused
    #[command(
        after_help = "Examples:\n  notme policy check\n  notme policy check --last 1000 other.toml"
    )]
    Check(PolicyCheck),
    /// Write a first policy, from who signs here
    #[command(after_help = "Example:\n  notme policy init && git add .notme")]
    Init(PolicyInit),
}

/// `notme policy check`.
#[derive(Args, Debug)]
pub(crate) struct PolicyCheck {
    /// The policy; without it, that of the working tree
    pub(crate) file: Option<PathBuf>,
    /// How many of the newest commits to judge by it
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) last: usize,
    /// Full name of the ref that they are for, as `refs/heads/main`
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) reference: Option<String>,
    /// Trust store to use
    #[arg(long, value_name = "DIR")]
    pub(crate) trust: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `notme policy init`.
#[derive(Args, Debug)]
pub(crate) struct PolicyInit {
    /// How many of the newest commits to look at
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) last: usize,
    /// Trust store to use
    #[arg(long, value_name = "DIR")]
    pub(crate) trust: Option<PathBuf>,
    /// Print it, and write nothing
    #[arg(long)]
    pub(crate) stdout: bool,
}
