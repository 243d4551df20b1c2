//! The arguments of `notme run` and `notme record`.

use std::{ffi::OsString, num::NonZeroU32};

use clap::{Args, ValueEnum};
use notme_core::{identity::AgentName, time::UnixTime};

use super::SignatureForm;

/// `notme run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The agent that signs; without it, the one that signs commits here, else `agent`
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<AgentName>,
    /// The model, for the record
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Who runs the model, for the record
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Go on with an activity that was suspended
    #[arg(long, value_name = "ID")]
    pub(crate) activity: Option<String>,
    /// The last record of it (`sha256:HEX`), where nothing shows when that was signed and the key is another
    /// one now
    #[arg(long, value_name = "DIGEST", requires = "activity")]
    pub(crate) after: Option<String>,
    /// Suspend the activity at the end, in place of closing it
    #[arg(long)]
    pub(crate) suspend: bool,
    /// Who is named as the author of commits; the committer is the agent
    #[arg(long, value_enum, default_value = "agent")]
    pub(crate) author: Author,
    /// The address of the agent as committer and author; without it, NAME@notme.invalid
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    /// The signatures' form; without it, as suits the forge that the repository is pushed to
    #[arg(long, value_enum)]
    pub(crate) format: Option<SignatureForm>,
    /// How many commits, tags and pushes may be signed; verifiers don't count them
    #[arg(long, value_name = "N", default_value = "10000")]
    pub(crate) signatures: NonZeroU32,
    /// Until when anything is signed, and certificates live; without it, for a day
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<UnixTime>,
    /// Ref that commits are for and signed tags and pushes may name, `*` for any characters (can be
    /// repeated)
    #[arg(long = "ref", value_name = "PATTERN")]
    pub(crate) refs: Vec<String>,
    /// Path that commits may change, `*` for any characters (can be repeated); verifiers see to it
    #[arg(long = "path", value_name = "PATTERN")]
    pub(crate) paths: Vec<String>,
    /// The one repository that commits are for, as HOST/PATH or URL, or `auto` for the one here;
    /// verifiers see to it
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Option<String>,
    /// Leave something of yours visible that is hidden otherwise (can be repeated)
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) keep: Vec<Keep>,
    /// What to run
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Who is named as the author.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Author {
    /// You
    Human,
    /// The agent
    Agent,
}

/// What is hidden from a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Keep {
    /// Your git configuration
    Config,
    /// Your keys of GnuPG
    Gnupg,
    /// Your ssh-agent
    SshAgent,
}

/// `notme record`.
#[derive(Args, Debug)]
pub(crate) struct Record {
    /// The event, as JSON; without it, from stdin
    #[arg(conflicts_with_all = ["kind", "name"])]
    pub(crate) event: Option<String>,
    /// What kind of thing happened, in place of JSON
    #[arg(long, value_name = "KIND", requires = "name")]
    pub(crate) kind: Option<String>,
    /// What it is called: the tool's name
    #[arg(long, value_name = "NAME", requires = "kind")]
    pub(crate) name: Option<String>,
}
