//! The arguments of `notme hooks` and `notme hook`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand};
use notme_core::identity::AgentName;
use notme_verifier::lineage::TrustRoot;

/// `notme hooks`.
#[derive(Debug, Subcommand)]
pub(crate) enum Hooks {
    /// Have git run notme's hooks, and then those that are there
    #[command(
        after_help = "Examples:\n  notme hooks install\n  notme hooks install --server --policy /etc/notme/policy.toml"
    )]
    Install(HooksInstall),
    /// Take them away; everything is as it was
    #[command(after_help = "Example:\n  notme hooks uninstall")]
    Uninstall(HooksPlace),
    /// Say which hooks run here
    #[command(after_help = "Example:\n  notme hooks status")]
    Status,
}

/// Which configuration points git at them.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct HooksPlace {
    /// In all your repositories, but for those that have their own `core.hooksPath`
    #[arg(long, conflicts_with = "worktree")]
    pub(crate) global: bool,
    /// In this worktree only
    #[arg(long)]
    pub(crate) worktree: bool,
}

/// `notme hooks install`.
#[derive(Args, Debug)]
pub(crate) struct HooksInstall {
    #[command(flatten)]
    pub(crate) place: HooksPlace,
    /// The hooks of a repository that is pushed to: what a push brings is verified first
    #[arg(long, conflicts_with_all = ["global", "worktree"])]
    pub(crate) server: bool,
    /// Verify in `update`, each ref by itself, in place of `pre-receive`
    #[arg(long, requires = "server")]
    pub(crate) update: bool,
    /// Policy to judge pushes by, instead of the trust store's
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(crate) policy: Option<PathBuf>,
    /// Judge pushes by the repository's own policy, as it grew from this commit on: its full id, or
    /// the key id of whoever signed the first policy
    #[arg(
        long,
        value_name = "ID",
        requires = "server",
        conflicts_with = "policy"
    )]
    pub(crate) trust_root: Option<TrustRoot>,
    /// Have this agent sign, for each push, what was received and when
    #[arg(long, value_name = "NAME", requires_all = ["server", "repository"])]
    pub(crate) gate: Option<AgentName>,
    /// The URI by which such records name the repository
    #[arg(long, value_name = "URI", requires = "gate")]
    pub(crate) repository: Option<String>,
    /// Trust store to judge pushes by
    #[arg(long, value_name = "DIR", requires = "server")]
    pub(crate) trust: Option<PathBuf>,
}

/// `notme hook`, as git calls it through the scripts of `notme hooks install`.
#[derive(Args, Debug)]
pub(crate) struct Hook {
    /// Where the hooks are that were there before; without it, in the repository's own directory
    #[arg(long, value_name = "DIR", conflicts_with = "underneath")]
    pub(crate) former: Option<PathBuf>,
    /// The hooks that were there before are those that git finds by so many of the settings in the
    /// environment, without the run's
    #[arg(long, value_name = "N")]
    pub(crate) underneath: Option<usize>,
    /// The hook
    pub(crate) name: String,
    /// What git passes to it
    #[arg(last = true)]
    pub(crate) arguments: Vec<OsString>,
}
