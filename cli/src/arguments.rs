//! The command line.

pub(crate) mod attest;
pub(crate) mod hooks;
pub(crate) mod policy;
pub(crate) mod run;
pub(crate) mod serve;

use std::{env, fmt, num::NonZeroU32, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use notme_agent::AuthorityUrl;
use notme_core::{identity::AgentName, time::UnixTime};
use serde::{Deserialize, Serialize};

use notme_verifier::lineage::TrustRoot;

use self::{
    attest::Attest,
    hooks::{Hook, Hooks},
    policy::Policy,
    run::{Record, Run},
    serve::AuthorityServe,
};

/// Agents sign as themselves, and anyone can check it.
#[derive(Debug, Parser)]
#[command(
    name = "notme",
    version,
    max_term_width = 80,
    after_help = "Example:\n  notme init && git commit -m x && notme verify\n\nCalled by git as gpgsm (`gpg.format=x509`), it signs and verifies; `notme init`\nsets that up.\n\nExit codes: 0 yes or done, 1 no, 2 wrong call, 3 undecided, 4 a bug of notme."
)]
pub(crate) struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole thing in a scratch directory, then attack it
    #[command(after_help = "Example:\n  notme demo")]
    Demo,
    /// Make git sign as an agent in this repository
    #[command(after_help = "Examples:\n  notme init --agent claude\n  notme init --undo")]
    Init(Init),
    /// Run an AI agent: its commits are signed as it, and its work is recorded
    #[command(
        after_help = "Examples:\n  notme run --agent claude --model M --provider P -- claude\n  notme run -- sh -c 'git commit -m x'"
    )]
    Run(Run),
    /// Add an event to the record of the run around: JSON on stdin, or as an argument
    #[command(
        after_help = "Examples:\n  notme record --kind tool-call --name grep\n  echo '{\"kind\":\"tool-call\",\"name\":\"grep\",\"input\":\"x\"}' | notme record"
    )]
    Record(Record),
    /// Hooks for git, beside those that are there
    #[command(subcommand, after_help = "Example:\n  notme hooks install")]
    Hooks(Hooks),
    /// What git calls through the scripts of `notme hooks install`
    #[command(after_help = "Example:\n  notme hook post-commit")]
    Hook(Hook),
    /// Say who signs here, and until when
    #[command(after_help = "Example:\n  notme status --json")]
    Status(Json),
    /// Judge commits and tags
    #[command(
        after_help = "Examples:\n  notme verify\n  notme verify refs/remotes/origin/main..HEAD --format json\n  notme verify --trust-root $(git rev-parse refs/remotes/origin/main) refs/remotes/origin/main..HEAD\n  notme verify --all --format html > report.html\n  git rev-list HEAD | notme verify -\n  notme verify --compromised wimse://example.com/agent/a/b --since 2026-11-20T12:00:00Z"
    )]
    Verify(Verify),
    /// Walk the seven steps for one object, in words
    #[command(after_help = "Example:\n  notme explain HEAD")]
    Explain(Explain),
    /// Statements about what an agent did, kept beside the commits
    #[command(
        subcommand,
        after_help = "Example:\n  notme attest dispatch HEAD && notme attest verify"
    )]
    Attest(Box<Attest>),
    /// Who may sign what here
    #[command(
        subcommand,
        after_help = "Example:\n  notme policy init && notme policy check"
    )]
    Policy(Policy),
    /// Pinned authorities
    #[command(subcommand, after_help = "Example:\n  notme trust show")]
    Trust(Trust),
    /// The process that holds the session keys
    #[command(subcommand, after_help = "Example:\n  notme agent status")]
    Agent(Agent),
    /// An identity authority
    #[command(subcommand, after_help = "Example:\n  notme authority status")]
    Authority(Authority),
    /// Find what is set up wrong, and print what repairs it
    #[command(after_help = "Example:\n  notme doctor")]
    Doctor(Json),
    /// Print what completes notme's commands in a shell
    #[command(
        after_help = "Example:\n  notme completions bash > ~/.local/share/bash-completion/completions/notme"
    )]
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the manual pages into a directory
    #[command(after_help = "Example:\n  notme man ~/.local/share/man/man1 && man notme")]
    Man {
        /// Which; it is made when it is not there
        directory: PathBuf,
    },
}

impl Arguments {
    /// Reads the command line. To know all commands takes longer than some of them do: those that
    /// programs call again and again are read by themselves. Whatever is to be said about a call is said
    /// by all of them.
    ///
    /// # Errors
    /// What to say instead of doing anything.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let first = env::args_os().nth(1);
        let is_frequent = first.is_some_and(|first| FREQUENT.iter().any(|it| first == **it));
        let read = is_frequent.then(Frequent::try_parse);
        match read {
            Some(Ok(Frequent { command })) => Ok(Self {
                command: command.into(),
            }),
            Some(Err(_)) | None => Self::try_parse(),
        }
    }
}

/// The names of [`Often`].
const FREQUENT: [&str; 4] = ["attest", "hook", "record", "verify"];

/// The command line, where only some commands are known.
#[derive(Debug, Parser)]
struct Frequent {
    #[command(subcommand)]
    command: Often,
}

/// What programs call again and again.
#[derive(Debug, Subcommand)]
enum Often {
    #[command(subcommand)]
    Attest(Box<Attest>),
    Hook(Hook),
    Record(Record),
    Verify(Verify),
}

impl From<Often> for Command {
    fn from(often: Often) -> Self {
        match often {
            Often::Attest(it) => Self::Attest(it),
            Often::Hook(it) => Self::Hook(it),
            Often::Record(it) => Self::Record(it),
            Often::Verify(it) => Self::Verify(it),
        }
    }
}

/// The shells that are taught.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Shell {
    /// GNU bash, with the package bash-completion
    Bash,
    /// Z shell
    Zsh,
    /// Fish
    Fish,
}

/// Whether to print for machines.
#[derive(Args, Debug)]
pub(crate) struct Json {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `notme init`.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// Name of the agent
    #[arg(long, value_name = "NAME", default_value = "agent")]
    pub(crate) agent: AgentName,
    /// Who issues its certificates; without it, an authority of your own on this machine
    #[arg(long, value_name = "URL")]
    pub(crate) authority: Option<String>,
    /// SHA-256 of the authority's root key, as its operator told you (can be repeated)
    #[arg(long, value_name = "SHA256", requires = "authority")]
    pub(crate) pin: Vec<String>,
    /// File that holds the enrolment token; `-` for stdin
    #[arg(long, value_name = "FILE", requires = "authority")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where tokens come from, a new one for each session: `github` (this job of GitHub Actions),
    /// `file:PATH`, or `command:COMMAND` for the shell
    #[arg(
        long,
        value_name = "SOURCE",
        requires = "authority",
        conflicts_with = "token_file"
    )]
    pub(crate) token_from: Option<TokenFrom>,
    /// For whom GitHub's tokens are; the authority's host name when left out
    #[arg(long, value_name = "AUDIENCE", requires = "token_from")]
    pub(crate) audience: Option<String>,
    /// The authority issues pairs of certificates for tokens at `/cert/gha` and no more, as the
    /// hosted notme does
    #[arg(
        long,
        requires_all = ["authority", "token_from"],
        conflicts_with_all = ["format", "profile", "timestamp", "ssh_login"]
    )]
    pub(crate) pairs: bool,
    /// PEM file of the TLS roots to believe instead of the system's
    #[arg(long, value_name = "FILE", requires = "authority")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The signature's form; without it, as suits the forge that the repository is pushed to
    #[arg(long, value_enum)]
    pub(crate) format: Option<SignatureForm>,
    /// Ed25519, or P-256 for stock gpgsm and OpenSSL 3.0
    #[arg(long, value_enum, default_value = "modern")]
    pub(crate) profile: Profile,
    /// Have the authority time-stamp each X.509 signature; `required`: or else don't sign
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "wanted"
    )]
    pub(crate) timestamp: Option<Timestamp>,
    /// Let the agent log in by SSH too, where a server trusts the authority
    #[arg(long)]
    pub(crate) ssh_login: bool,
    /// Set it up for all your repositories
    #[arg(long)]
    pub(crate) global: bool,
    /// Take the settings back
    #[arg(long, conflicts_with_all = ["agent", "authority", "format", "profile", "timestamp", "ssh_login"])]
    pub(crate) undo: bool,
}

/// Where tokens come from.
#[derive(Clone, Debug)]
pub(crate) enum TokenFrom {
    Github,
    File(PathBuf),
    Command(String),
}

impl FromStr for TokenFrom {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "github" => Ok(Self::Github),
            // The key agent reads it, from wherever it runs.
            Some(("file", path)) => std::path::absolute(path)
                .map(Self::File)
                .map_err(|_| "`file:` needs a path"),
            Some(("command", command)) if !command.is_empty() => {
                Ok(Self::Command(command.to_owned()))
            }
            _ => Err("it is `github`, `file:PATH` or `command:COMMAND`"),
        }
    }
}

/// The forms of signature that `init` can set up.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum SignatureForm {
    /// CMS, which git calls x509
    X509,
    /// SSHSIG with an OpenSSH certificate
    Ssh,
    /// OpenPGP with a certified session key
    Openpgp,
}

impl SignatureForm {
    /// Returns git's name for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::X509 => "x509",
            Self::Ssh => "ssh",
            Self::Openpgp => "openpgp",
        }
    }
}

/// The two key profiles.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Profile {
    /// Ed25519
    Modern,
    /// P-256
    Interop,
}

/// How much a time stamp matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Timestamp {
    /// Sign without one when there is none, and say so
    Wanted,
    /// Don't sign without one
    Required,
}

/// `notme verify`.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// Revision, range, or `-` for object ids and full names of tags on stdin; without it, what HEAD has over its upstream, else HEAD
    pub(crate) range: Option<String>,
    /// Everything that HEAD, those of worktrees, branches, remote-tracking branches and tags reach
    #[arg(long, conflicts_with = "range")]
    pub(crate) all: bool,
    /// Annotated tags, beside a range or `--all`; alone, nothing else
    #[arg(long)]
    pub(crate) tags: bool,
    /// Policy to judge by, instead of the trust store's
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Judge by the repository's own policy, as it grew from this commit on: its full id, or the
    /// key id of whoever signed the first policy
    #[arg(long, value_name = "ID", conflicts_with = "policy")]
    pub(crate) trust_root: Option<TrustRoot>,
    /// The ref that the objects are for; without it, the branch that the revision names
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) reference: Option<String>,
    /// Trust store to use
    #[arg(long, value_name = "DIR")]
    pub(crate) trust: Option<PathBuf>,
    /// Fetch newer trust documents first; an authority that cannot be reached is said, and judged by what is known of it
    #[arg(long, conflicts_with = "trust")]
    pub(crate) refresh: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ReportFormat,
    /// Tell what rests on a key (its id or fingerprint), a session, an identity or an authority
    /// that is compromised (can be repeated)
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["fold", "explain"])]
    pub(crate) compromised: Vec<String>,
    /// Since when it is; without it, since ever
    #[arg(long, value_name = "TIME", requires = "compromised")]
    pub(crate) since: Option<UnixTime>,
    /// Tell what rests on anything that the trust documents revoke
    #[arg(long, conflicts_with_all = ["fold", "explain"])]
    pub(crate) revoked: bool,
    /// What the summary is of, as a URI; without it, where the repository is pushed to
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Option<String>,
    /// The agent that signs the summary; without it, the one that signs commits here
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<AgentName>,
    /// Put neighbours of which the text says the same on one line
    #[arg(long, conflicts_with = "explain")]
    pub(crate) fold: bool,
    /// Walk the steps for every object, in words
    #[arg(long)]
    pub(crate) explain: bool,
    /// Judge with so many threads; without it, with one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    /// Judge everything anew, and keep nothing for the next time
    #[arg(long)]
    pub(crate) no_cache: bool,
}

/// How verdicts are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// One line for each object
    Text,
    /// One document
    Json,
    /// One object on each line, the summary last
    Jsonl,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML, for CI
    Junit,
    /// Markdown, for the summary of a CI job
    Markdown,
    /// Annotations of GitHub Actions
    Github,
    /// A code quality report of GitLab
    Gitlab,
    /// One file to read and to print
    Html,
    /// A signed verification summary (in-toto, SLSA)
    Vsa,
}

/// `notme explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The commit or tag
    #[arg(default_value = "HEAD")]
    pub(crate) revision: String,
    /// Policy to judge by, instead of the trust store's
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Judge by the repository's own policy, as it grew from this commit or key on
    #[arg(long, value_name = "ID", conflicts_with = "policy")]
    pub(crate) trust_root: Option<TrustRoot>,
    /// The ref that it is for; without it, the branch that the revision names
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) reference: Option<String>,
    /// Trust store to use
    #[arg(long, value_name = "DIR")]
    pub(crate) trust: Option<PathBuf>,
}

impl From<Explain> for Verify {
    fn from(arguments: Explain) -> Self {
        Self {
            range: Some(arguments.revision),
            all: false,
            tags: false,
            policy: arguments.policy,
            trust_root: arguments.trust_root,
            reference: arguments.reference,
            trust: arguments.trust,
            refresh: false,
            format: ReportFormat::Text,
            compromised: Vec::new(),
            since: None,
            revoked: false,
            resource: None,
            agent: None,
            fold: false,
            explain: true,
            jobs: None,
            no_cache: true,
        }
    }
}

/// `notme trust`.
#[derive(Debug, Subcommand)]
pub(crate) enum Trust {
    /// Pin an authority
    #[command(
        after_help = "Examples:\n  notme trust add --name ci --pin SHA256 https://auth.example.com\n  notme trust add --name alice --pin SHA256 alice.json\n  notme trust add --name notme --pem --pin SHA256 https://auth.notme.bot\n  notme trust add --name team --openpgp keys.asc\n  notme trust add --name team --allowed-signers allowed_signers\n  notme trust add --name sigstore --sigstore trusted_root.json"
    )]
    Add(TrustAdd),
    /// List what is pinned
    #[command(after_help = "Example:\n  notme trust show --json")]
    Show(Json),
    /// Print roots and keys for other tools
    #[command(
        override_usage = "notme trust export [--name <NAME>] <FORM>",
        after_help = "Examples:\n  notme trust export --document > alice.json\n  notme trust export --pem > roots.pem\n  notme trust export --allowed-signers > allowed_signers"
    )]
    Export(TrustExport),
    /// Fetch newer trust documents
    #[command(
        after_help = "Examples:\n  notme trust refresh\n  notme trust refresh --max-age 3600   (from a timer, as often as you like)\n  notme trust refresh ci --from trust.json"
    )]
    Refresh(TrustRefresh),
    /// Forget an authority
    #[command(after_help = "Example:\n  notme trust remove ci")]
    Remove {
        /// Its name
        name: String,
    },
}

/// `notme trust add`.
#[derive(Args, Debug)]
pub(crate) struct TrustAdd {
    /// URL of an authority, or a file: a trust document or a PEM bundle of roots
    pub(crate) source: String,
    /// What to call it
    #[arg(long)]
    pub(crate) name: String,
    /// SHA-256 of a root's public key (can be repeated); needed for URLs and trust documents
    #[arg(long, value_name = "SHA256")]
    pub(crate) pin: Vec<String>,
    /// The authority has PEM roots only, as the hosted notme has: they never say what was revoked
    #[arg(long)]
    pub(crate) pem: bool,
    /// The roots are those of an ordinary X.509 authority, not of notme
    #[arg(long)]
    pub(crate) x509: bool,
    /// The file holds OpenPGP keys of people, as `gpg --export` writes them
    #[arg(long, conflicts_with_all = ["pin", "pem", "x509", "ca_file"])]
    pub(crate) openpgp: bool,
    /// The file lists allowed signers, as ssh-keygen has it
    #[arg(long, conflicts_with_all = ["pin", "pem", "x509", "ca_file", "openpgp"])]
    pub(crate) allowed_signers: bool,
    /// The file is the `trusted_root.json` of a Sigstore instance, for commits by gitsign
    #[arg(long, conflicts_with_all = ["pin", "pem", "x509", "ca_file", "openpgp", "allowed_signers"])]
    pub(crate) sigstore: bool,
    /// PEM file of the TLS roots to believe instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// `notme trust export`.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("form").required(true)))]
pub(crate) struct TrustExport {
    /// As the signed trust document of one authority, for `notme trust add --pin`
    #[arg(long, group = "form")]
    pub(crate) document: bool,
    /// As PEM certificates
    #[arg(long, group = "form")]
    pub(crate) pem: bool,
    /// As OpenPGP keys, for `gpg --import`
    #[arg(long, group = "form")]
    pub(crate) openpgp: bool,
    /// As a file of allowed signers, for ssh-keygen and git
    #[arg(long, group = "form")]
    pub(crate) allowed_signers: bool,
    /// What was revoked as a key revocation list, for ssh-keygen, git and sshd
    #[arg(long, group = "form")]
    pub(crate) krl: bool,
    /// As Sigstore's `trusted_root.json`, for verifiers of bundles; of an instance of Sigstore that
    /// is named, the one that it is trusted by
    #[arg(long, group = "form")]
    pub(crate) sigstore: bool,
    /// Only this authority's
    #[arg(long)]
    pub(crate) name: Option<String>,
}

/// `notme trust refresh`.
#[derive(Args, Debug)]
pub(crate) struct TrustRefresh {
    /// Only this authority
    pub(crate) name: Option<String>,
    /// A trust document to take instead of asking the authority; of one pinned by the roots of a
    /// hosted notme, its signed CA bundle, at most five minutes old, to check that they are current
    #[arg(long, value_name = "FILE", requires = "name")]
    pub(crate) from: Option<PathBuf>,
    /// Ask only authorities whose document was signed longer ago than this, in seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "from")]
    pub(crate) max_age: Option<u32>,
    /// PEM file of the TLS roots to believe instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// `notme agent`.
#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// Start it; git's calls do that by themselves
    #[command(after_help = "Example:\n  notme agent start")]
    Start {
        /// Stay in the foreground, and say on stderr what goes wrong
        #[arg(long)]
        foreground: bool,
    },
    /// Forget all keys and end it
    #[command(after_help = "Example:\n  notme agent stop")]
    Stop,
    /// Say how it is
    #[command(after_help = "Example:\n  notme agent status --json")]
    Status(Json),
    /// List the configured agents
    #[command(after_help = "Example:\n  notme agent list")]
    List(Json),
    /// Get a new certificate now
    #[command(after_help = "Example:\n  notme agent renew claude")]
    Renew {
        /// Whose
        agent: AgentName,
    },
    /// Open a session with an enrolment token
    #[command(after_help = "Example:\n  notme agent enrol claude --token-file token")]
    Enrol {
        /// For whom
        agent: AgentName,
        /// File that holds the enrolment token; `-` for stdin
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
    },
}

/// `notme authority`.
#[derive(Debug, Subcommand)]
pub(crate) enum Authority {
    /// Make the keys of an authority
    #[command(
        after_help = "Example:\n  notme authority init --trust-domain example.com --passphrase-file secret"
    )]
    Init(AuthorityInit),
    /// Be the authority, in the foreground
    #[command(
        after_help = "Every option can stand in a file, without its dashes (`listen = \"127.0.0.1:8080\"`),\nand in the environment (NOTME_AUTHORITY_LISTEN). An option given here comes\nbefore the environment, and that before the file. See docs/authority.md.\n\nExamples:\n  notme authority serve --url https://auth.example.com --listen 0.0.0.0:443 --tls-certificate cert.pem --tls-key key.pem\n  notme authority serve --config authority.toml --check"
    )]
    Serve(Box<AuthorityServe>),
    /// End the one that is running
    #[command(after_help = "Example:\n  notme authority stop")]
    Stop(AuthorityPlace),
    /// Say how it is
    #[command(after_help = "Example:\n  notme authority status")]
    Status(AuthorityStatus),
    /// Enrolment tokens
    #[command(subcommand, after_help = "Example:\n  notme authority enrol list")]
    Enrol(Enrol),
    /// Take something back for good: what verifiers judge from then on is refused
    #[command(
        after_help = "Examples:\n  notme authority revoke identity wimse://example.com/agent/alice/claude --reason key-compromise\n  notme authority revoke key 0f343b0931126a20f133d67c2b018a3b --since 2026-11-20T12:00:00Z"
    )]
    Revoke(AuthorityRevoke),
    /// List what was taken back
    #[command(after_help = "Example:\n  notme authority revocations --json")]
    Revocations(AuthorityStatus),
    /// Replace the keys: whoever trusts the old ones finds the new ones by itself
    #[command(
        after_help = "Without an option the next keys are made and used at once. To announce them first:\n  notme authority rotate --prepare\n  notme authority rotate --activate\n  notme authority rotate --retire"
    )]
    Rotate(AuthorityRotate),
    /// Say where instances that share a store are reached from now on
    #[command(
        after_help = "End all instances first. Proofs and trust documents are bound to the URL, so agents\nand verifiers have to be set up anew.\n\nExample:\n  notme authority move --store postgres://notme@db.example/notme https://auth.example.org"
    )]
    Move(AuthorityMove),
    /// What happened, in rows that nobody changes unseen
    #[command(subcommand, after_help = "Example:\n  notme authority audit verify")]
    Audit(Audit),
    /// Copy the store into a file, while it is used
    #[command(after_help = "Example:\n  notme authority backup /mnt/backup/authority.sqlite")]
    Backup(AuthorityBackup),
    /// Make a backup the store of an authority that lost its own
    #[command(
        after_help = "Example:\n  notme authority restore /mnt/backup/authority.sqlite --dir authority --head head.json"
    )]
    Restore(AuthorityRestore),
    /// Print the root certificates, which vouch for X.509 signatures alone
    #[command(after_help = "Example:\n  notme authority bundle > roots.pem")]
    Bundle(AuthorityPlace),
}

/// Which authority is meant.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct AuthorityPlace {
    /// Its directory; without it, the embedded one
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dir: Option<PathBuf>,
    /// The PostgreSQL database that its instances share: `postgres://USER@HOST/DATABASE`; see
    /// docs/authority.md
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<StoreUrl>,
    /// File that holds the password for it
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store_password_file: Option<PathBuf>,
}

/// The URL of a database, unread: a mistake in it must not repeat the password.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct StoreUrl(pub(crate) String);

impl From<String> for StoreUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreUrl").finish_non_exhaustive()
    }
}

/// `notme authority backup`.
#[derive(Args, Debug)]
pub(crate) struct AuthorityBackup {
    /// Which authority
    #[command(flatten)]
    pub(crate) place: AuthorityPlace,
    /// A file that does not exist yet
    pub(crate) file: PathBuf,
}

/// `notme authority restore`.
#[derive(Args, Debug)]
pub(crate) struct AuthorityRestore {
    /// Which authority
    #[command(flatten)]
    pub(crate) place: AuthorityPlace,
    /// How its keys are kept
    #[command(flatten)]
    pub(crate) sealing: Sealing,
    /// The backup
    pub(crate) file: PathBuf,
    /// The newest head of the audit that was kept: the backup must reach it
    #[arg(long, value_name = "FILE", required_unless_present = "force")]
    pub(crate) head: Option<PathBuf>,
    /// Restore without a head, or less than it says: what came after the backup is lost
    #[arg(long)]
    pub(crate) force: bool,
}

/// `notme authority move`.
#[derive(Args, Debug)]
pub(crate) struct AuthorityMove {
    /// Which authority
    #[command(flatten)]
    pub(crate) place: AuthorityPlace,
    /// The `url` that all instances are given from now on
    pub(crate) url: AuthorityUrl,
}

/// `notme authority revoke`.
#[derive(Args, Debug)]
pub(crate) struct AuthorityRevoke {
    /// Which authority
    #[command(flatten)]
    pub(crate) place: AuthorityPlace,
    /// What kind of thing
    #[arg(value_enum)]
    pub(crate) kind: RevokedKind,
    /// Serial number, key id, session id or identity, as `notme explain` shows it; or an epoch
    pub(crate) value: String,
    /// From when on it is not to be trusted; without it, from now
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<UnixTime>,
    /// Why
    #[arg(long, value_enum, default_value = "unspecified")]
    pub(crate) reason: RevokedReason,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `notme authority audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Print every row as one line of JSON
    #[command(after_help = "Example:\n  notme authority audit export > audit.jsonl")]
    Export(AuthorityPlace),
    /// Print the last signed head: whoever keeps it notices what is changed later
    #[command(after_help = "Example:\n  notme authority audit head > head.json")]
    Head(AuthorityPlace),
    /// Find what was changed, left out, moved or cut off
    #[command(
        after_help = "Examples:\n  notme authority audit verify --head head.json\n  notme authority audit verify --export audit.jsonl --head head.json --pin SHA256"
    )]
    Verify(AuditVerify),
}

/// `notme authority audit verify`.
#[derive(Args, Debug)]
pub(crate) struct AuditVerify {
    /// Which authority
    #[command(flatten)]
    pub(crate) place: AuthorityPlace,
    /// Look at exported rows instead; `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dir", "store"])]
    pub(crate) export: Option<PathBuf>,
    /// A head that was kept: the rows have to go as far, and be those that it closed
    #[arg(long, value_name = "FILE")]
    pub(crate) head: Option<PathBuf>,
    /// SHA-256 of the key of a root that has to have signed the head (can be repeated)
    #[arg(long, value_name = "SHA256", requires_all = ["head", "roots"])]
    pub(crate) pin: Vec<String>,
    /// PEM file of root certificates, among them those that are pinned
    #[arg(long, value_name = "FILE", requires = "pin")]
    pub(crate) roots: Option<PathBuf>,
}

/// `notme authority rotate`.
#[derive(Args, Debug)]
pub(crate) struct AuthorityRotate {
    /// Which authority
    #[command(flatten)]
    pub(crate) place: AuthorityPlace,
    /// How its keys are kept
    #[command(flatten)]
    pub(crate) sealing: Sealing,
    /// Only make the next keys, and publish them: nothing is issued with them yet
    #[arg(long, group = "step")]
    pub(crate) prepare: bool,
    /// Only take the prepared keys into use
    #[arg(long, group = "step")]
    pub(crate) activate: bool,
    /// Destroy retired keys of which no certificate is valid any more
    #[arg(long, group = "step")]
    pub(crate) retire: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The kinds of things that can be revoked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RevokedKind {
    /// One certificate, by serial number
    Certificate,
    /// A key, by key id
    Key,
    /// A session, by its id
    Session,
    /// An identity, for ever
    Identity,
    /// Everything that was issued with the authority's keys of an epoch, by its number
    Epoch,
}

/// The reasons of RFC 5280 section 5.3.1 that apply here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RevokedReason {
    /// Somebody else may have the key
    KeyCompromise,
    /// Its rights were taken away
    PrivilegeWithdrawn,
    /// Another took its place
    Superseded,
    /// It is not needed any more
    CessationOfOperation,
    /// None of these
    Unspecified,
}

/// How its keys are kept.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Sealing {
    /// File that holds the passphrase that seals the keys; `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// File of at least 32 secret bytes that seals the keys
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    /// PKCS#11 module: a token behind it makes the keys, which never leave it
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pkcs11_module: Option<PathBuf>,
    /// Label of the token
    #[arg(long, value_name = "LABEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pkcs11_token: Option<String>,
    /// Serial number of the token
    #[arg(long, value_name = "SERIAL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pkcs11_serial: Option<String>,
    /// File that holds the PIN of the token's user; `-` for stdin
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pkcs11_pin_file: Option<PathBuf>,
    /// Where new keys are made; without it, in the token if one is named
    #[arg(long, value_name = "WHERE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) custody: Option<Custody>,
}

/// Where new keys are made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Custody {
    /// Here, to be sealed in the store
    Sealed,
    /// In the token
    Pkcs11,
}

/// `notme authority init`.
#[derive(Args, Debug)]
pub(crate) struct AuthorityInit {
    /// Which
    #[command(flatten)]
    pub(crate) place: AuthorityPlace,
    /// How its keys are kept
    #[command(flatten)]
    pub(crate) sealing: Sealing,
    /// The first segment of the identities it issues; without it, the host's name
    #[arg(long, value_name = "NAME")]
    pub(crate) trust_domain: Option<String>,
}

/// `notme authority status`.
#[derive(Args, Debug)]
pub(crate) struct AuthorityStatus {
    /// Which
    #[command(flatten)]
    pub(crate) place: AuthorityPlace,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `notme authority enrol`.
#[derive(Debug, Subcommand)]
pub(crate) enum Enrol {
    /// Make a token and print it; it is shown once
    #[command(
        after_help = "Example:\n  notme authority enrol create --agent claude --uses 1 --ttl 600"
    )]
    Create(EnrolCreate),
    /// List tokens, without their secrets
    #[command(after_help = "Example:\n  notme authority enrol list")]
    List(AuthorityStatus),
    /// Make a token useless
    #[command(after_help = "Example:\n  notme authority enrol revoke 0123456789abcdef")]
    Revoke {
        /// Which
        #[command(flatten)]
        place: AuthorityPlace,
        /// The token's id, as `list` shows it
        id: String,
    },
}

/// `notme authority enrol create`.
#[derive(Args, Debug)]
pub(crate) struct EnrolCreate {
    /// Which
    #[command(flatten)]
    pub(crate) place: AuthorityPlace,
    /// The agent that may enrol
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: AgentName,
    /// Who answers for it; without it, the authority's operator
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: Option<String>,
    /// What its sessions may do
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "bridgeCert,sign:git,sign:attestation"
    )]
    pub(crate) scopes: Vec<String>,
    /// How often it can be used
    #[arg(long, default_value = "1")]
    pub(crate) uses: NonZeroU32,
    /// How long it can be used, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    pub(crate) ttl: NonZeroU32,
    /// How long its sessions can be renewed, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) session_ttl: Option<NonZeroU32>,
}
