//! The arguments of `notme attest`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use notme_agent::AuthorityUrl;
use notme_core::{hex, identity::AgentName};

/// `notme attest`.
#[derive(Debug, Subcommand)]
pub(crate) enum Attest {
    /// Record an activity: what an agent did, and which commits came of it
    #[command(
        after_help = "Examples:\n  notme attest activity HEAD --model M --provider P\n  notme attest activity --begin\n  notme attest activity HEAD~2 HEAD --activity ID\n  notme attest activity --activity ID --end --outcome succeeded"
    )]
    Activity(AttestActivity),
    /// State a dispatch: who was sent to do what, and what came of it
    #[command(
        after_help = "Example:\n  notme attest dispatch HEAD --work-item ISSUE-1 --work-item-hash sha256:HEX"
    )]
    Dispatch(AttestDispatch),
    /// State a handoff from one phase of a pipeline to the next
    #[command(
        after_help = "Example:\n  notme attest handoff HEAD --document review.md --from-phase 1 --to-phase 2"
    )]
    Handoff(AttestHandoff),
    /// State that you accept commits, on the evidence that is there
    #[command(
        after_help = "Example:\n  notme attest acceptance main..topic --agent reviewer --reason 'reviewed'"
    )]
    Acceptance(AttestAcceptance),
    /// Record which commits took the place of which: `OLD NEW` lines on stdin
    #[command(after_help = "Example:\n  echo \"$old $new\" | notme attest succeed --activity ID")]
    Succeed(AttestSucceed),
    /// Print the trailer by which a commit carries the head of an activity's chain
    #[command(
        after_help = "Example:\n  git commit --trailer \"$(notme attest trailer --activity ID)\""
    )]
    Trailer(AttestTrailer),
    /// Judge what is attested about commits
    #[command(
        after_help = "Examples:\n  notme attest verify\n  notme attest verify main..HEAD --json"
    )]
    Verify(AttestVerify),
    /// Print what is attested about a commit, unjudged
    #[command(after_help = "Example:\n  notme attest show HEAD")]
    Show(AttestShow),
    /// Write the bundles about a commit to files or stdout
    #[command(
        after_help = "Examples:\n  notme attest export HEAD > bundles.jsonl\n  notme attest export HEAD --directory out\n  notme attest export HEAD --in-toto-link links\n  notme attest export HEAD --in-toto-link links --statement sha256:HEX"
    )]
    Export(AttestExport),
    /// Keep bundles that came by another way
    #[command(
        after_help = "Examples:\n  notme attest import bundles.jsonl\n  notme attest import --rosary DIR HEAD"
    )]
    Import(AttestImport),
    /// Take statements about a commit out of the repository again
    #[command(
        after_help = "Example:\n  notme attest drop HEAD sha256:HEX --reason 'signed by mistake'"
    )]
    Drop(AttestDrop),
    /// Print a hash as the rosary orchestrator computes it: for interchange, and trusted by nothing
    #[command(after_help = "Example:\n  notme attest rosary-hash work-item item.json")]
    RosaryHash(AttestRosaryHash),
    /// Put the attestations of a commit into a transparency log, for everybody and for ever
    #[command(
        after_help = "Example:\n  notme attest publish HEAD --rekor https://rekor.example.com"
    )]
    Publish(AttestPublish),
    /// Show what a transparency log says it has of them; verdicts don't look at it
    #[command(
        after_help = "Example:\n  notme attest lookup HEAD --rekor https://rekor.example.com"
    )]
    Lookup(AttestLog),
    /// Send the attestations to a remote, after taking what it has
    #[command(
        after_help = "Examples:\n  notme attest push origin\n  notme attest push --replace origin"
    )]
    Push(AttestPush),
    /// Take the attestations that a remote has
    #[command(after_help = "Example:\n  notme attest fetch origin")]
    Fetch(AttestRemote),
}

/// Who signs, and what every statement can say.
#[derive(Args, Debug, Default)]
pub(crate) struct AttestCommon {
    /// The agent that signs; without it, the one that signs commits here
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<AgentName>,
    /// The model
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Who runs the model
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// File that defines the agent; its digest is stated
    #[arg(long, value_name = "FILE")]
    pub(crate) definition: Option<PathBuf>,
    /// JSON array of `{"uri", "vouchedBy"}`: where what was read came from. Its digest is stated,
    /// the list is not
    #[arg(long, value_name = "FILE")]
    pub(crate) origins: Option<PathBuf>,
    /// JSON object of further members; `-` for stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) members: Option<PathBuf>,
}

/// What a record says of its activity.
#[derive(Args, Debug)]
pub(crate) struct AttestRecord {
    /// The activity; without it, one that begins and ends with this
    #[arg(long, value_name = "ID")]
    pub(crate) activity: Option<String>,
    /// A record of it that is yours (`sha256:HEX`): it goes on from there, though nothing shows when that was
    /// signed and the key is another one now
    #[arg(long, value_name = "DIGEST", requires = "activity")]
    pub(crate) after: Option<String>,
    /// This activity ends
    #[arg(long, requires = "activity")]
    pub(crate) end: bool,
    /// This activity is suspended: it may be resumed, as another segment
    #[arg(long, requires = "activity", conflicts_with = "end")]
    pub(crate) suspend: bool,
    /// The activity that started this one, which its first record says
    #[arg(long, value_name = "ID", conflicts_with = "activity")]
    pub(crate) parent: Option<String>,
    /// It broke off, and was resumed: this begins another segment. After `--suspend`, that is known
    #[arg(long, requires = "activity")]
    pub(crate) resume: bool,
    /// Why it ended
    #[arg(long, value_enum)]
    pub(crate) termination: Option<TerminationArgument>,
    /// How the work came out
    #[arg(long, value_enum, default_value = "unknown")]
    pub(crate) outcome: OutcomeArgument,
    /// File that changed what the agent did; its digest is stated (can be repeated)
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Vec<PathBuf>,
    /// File that came of it, beside the commits (can be repeated)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,
    /// JSON lines of `{"kind", "name", "at", "input", "output"}`, such as tool calls
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// What else is known not to be recorded (can be repeated)
    #[arg(long, value_name = "WHAT")]
    pub(crate) excludes: Vec<String>,
    /// Claim a level of APAS 0.4
    #[arg(long, value_enum)]
    pub(crate) claim: Option<LevelArgument>,
}

impl Default for AttestRecord {
    fn default() -> Self {
        Self {
            activity: None,
            after: None,
            end: false,
            suspend: false,
            parent: None,
            resume: false,
            termination: None,
            outcome: OutcomeArgument::Unknown,
            input: Vec::new(),
            output: Vec::new(),
            events: None,
            excludes: Vec::new(),
            claim: None,
        }
    }
}

/// `notme attest activity`.
#[derive(Args, Debug)]
pub(crate) struct AttestActivity {
    /// The commits; without `--begin` and `--activity`, HEAD
    pub(crate) revision: Vec<String>,
    /// Begin an activity and print its id
    #[arg(long, conflicts_with_all = ["activity", "end"])]
    pub(crate) begin: bool,
    #[command(flatten)]
    pub(crate) record: AttestRecord,
    #[command(flatten)]
    pub(crate) common: AttestCommon,
}

/// `notme attest dispatch`.
#[derive(Args, Debug)]
pub(crate) struct AttestDispatch {
    /// The commits that came of it
    #[arg(default_value = "HEAD")]
    pub(crate) revision: Vec<String>,
    /// The work item's id
    #[arg(long, value_name = "ID", requires = "work_item_hash")]
    pub(crate) work_item: Option<String>,
    /// The digest of the work item's content
    #[arg(long, value_name = "SHA256", requires = "work_item", value_parser = digest)]
    pub(crate) work_item_hash: Option<String>,
    /// The repository of the work item; without it, where this one is pushed to
    #[arg(long, value_name = "NAME", requires = "work_item")]
    pub(crate) work_item_repo: Option<String>,
    #[command(flatten)]
    pub(crate) record: AttestRecord,
    #[command(flatten)]
    pub(crate) common: AttestCommon,
}

/// `notme attest handoff`.
#[derive(Args, Debug)]
pub(crate) struct AttestHandoff {
    /// The commits that are handed over
    #[arg(default_value = "HEAD")]
    pub(crate) revision: Vec<String>,
    /// The document that is handed over; its digest is stated
    #[arg(long, value_name = "FILE")]
    pub(crate) document: Option<PathBuf>,
    /// The phase that ends
    #[arg(long, value_name = "PHASE")]
    pub(crate) from_phase: Option<String>,
    /// The phase that begins
    #[arg(long, value_name = "PHASE")]
    pub(crate) to_phase: Option<String>,
    #[command(flatten)]
    pub(crate) record: AttestRecord,
    #[command(flatten)]
    pub(crate) common: AttestCommon,
}

/// `notme attest acceptance`.
#[derive(Args, Debug)]
pub(crate) struct AttestAcceptance {
    /// The commits, or ranges of them
    #[arg(required = true)]
    pub(crate) revision: Vec<String>,
    /// State that they are not accepted
    #[arg(long)]
    pub(crate) reject: bool,
    /// Why, in words
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// The agent that signs; without it, the one that signs commits here
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<AgentName>,
}

/// `notme attest succeed`.
#[derive(Args, Debug)]
pub(crate) struct AttestSucceed {
    #[command(flatten)]
    pub(crate) record: AttestRecord,
    #[command(flatten)]
    pub(crate) common: AttestCommon,
}

impl AttestSucceed {
    /// As an agent, and nothing else said.
    pub(crate) fn by(agent: AgentName) -> Self {
        Self {
            record: AttestRecord::default(),
            common: AttestCommon {
                agent: Some(agent),
                ..AttestCommon::default()
            },
        }
    }
}

/// `notme attest trailer`.
#[derive(Args, Debug)]
pub(crate) struct AttestTrailer {
    /// The activity
    #[arg(long, value_name = "ID")]
    pub(crate) activity: String,
    /// The agent whose chain it is; without it, the one that signs commits here
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<AgentName>,
}

/// `notme attest verify`.
#[derive(Args, Debug)]
pub(crate) struct AttestVerify {
    /// Commits, or ranges of them
    #[arg(default_value = "HEAD")]
    pub(crate) revision: Vec<String>,
    /// Take activities whose chain is not closed
    #[arg(long)]
    pub(crate) open: bool,
    /// The origins that somebody showed: a JSON array of `{"uri", "vouchedBy"}`
    #[arg(long, value_name = "FILE")]
    pub(crate) origins: Option<PathBuf>,
    /// Authority whose word on origins you trust (can be repeated)
    #[arg(long, value_name = "NAME", requires = "origins", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) voucher: Vec<String>,
    /// Policy to judge by, instead of the trust store's
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Trust store to use
    #[arg(long, value_name = "DIR")]
    pub(crate) trust: Option<PathBuf>,
    /// Bundle file to judge, instead of those that the repository keeps (can be repeated)
    #[arg(long, value_name = "FILE", conflicts_with = "revision")]
    pub(crate) bundle: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `notme attest show`.
#[derive(Args, Debug)]
pub(crate) struct AttestShow {
    /// The commit
    #[arg(default_value = "HEAD")]
    pub(crate) revision: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `notme attest export`.
#[derive(Args, Debug)]
pub(crate) struct AttestExport {
    /// The commit
    #[arg(default_value = "HEAD")]
    pub(crate) revision: String,
    /// Write one file for each bundle there, instead of lines to stdout
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Sign your own statements about it once more, as in-toto links, and write them there with
    /// your public key
    #[arg(long, value_name = "DIR", conflicts_with = "directory")]
    pub(crate) in_toto_link: Option<PathBuf>,
    /// Which of them to sign, where a step has several: digest (`sha256:HEX`), or name of the file,
    /// as `notme attest show` has them (can be repeated)
    #[arg(long, value_name = "DIGEST", requires = "in_toto_link")]
    pub(crate) statement: Vec<String>,
    /// The agent that signs links; without it, the one that signs commits here
    #[arg(long, value_name = "NAME", requires = "in_toto_link")]
    pub(crate) agent: Option<AgentName>,
}

/// `notme attest import`.
#[derive(Args, Debug)]
pub(crate) struct AttestImport {
    /// Bundles, one in a file or one on each line; with `--rosary`, the commits that came of it
    pub(crate) file: Vec<PathBuf>,
    /// Directory of rosary's handoffs, to state them as what they are
    #[arg(long, value_name = "DIR")]
    pub(crate) rosary: Option<PathBuf>,
    /// Keep statements whatever their signatures are worth; verdicts refuse the bad ones
    #[arg(long, conflicts_with = "rosary")]
    pub(crate) unjudged: bool,
    /// The agent that signs, with `--rosary`
    #[arg(long, value_name = "NAME", requires = "rosary")]
    pub(crate) agent: Option<AgentName>,
}

/// `notme attest rosary-hash`.
#[derive(Args, Debug)]
pub(crate) struct AttestRosaryHash {
    /// What is hashed
    #[arg(value_enum)]
    pub(crate) kind: RosaryKind,
    /// Its JSON; `-` for stdin
    pub(crate) file: PathBuf,
}

/// What the rosary orchestrator hashes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RosaryKind {
    /// A work item: its `content_hash`
    WorkItem,
    /// A handoff of schema 2: its `chain_hash`
    Handoff,
}

/// `notme attest drop`.
#[derive(Args, Debug)]
pub(crate) struct AttestDrop {
    /// The commit
    pub(crate) revision: String,
    /// What is dropped: digests (`sha256:HEX`), or names of files, as `notme attest show` has them
    #[arg(required = true)]
    pub(crate) statement: Vec<String>,
    /// Why, in words, for those who have this repository
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Also what a remote has: it stays there until `notme attest push --replace`
    #[arg(long)]
    pub(crate) force: bool,
}

/// `notme attest push`.
#[derive(Args, Debug)]
pub(crate) struct AttestPush {
    #[command(flatten)]
    pub(crate) remote: AttestRemote,
    /// After taking what the remote has, put what is here in its place: what was dropped, or is no
    /// statement, is gone there too, from its history as well
    #[arg(long)]
    pub(crate) replace: bool,
    /// Send nothing while a statement is about a commit that the remote is not known to have, as when
    /// attestations go along with a `git push`
    #[arg(long, conflicts_with = "replace")]
    pub(crate) if_published: bool,
}

/// `notme attest fetch`, and the remote of `notme attest push`.
#[derive(Args, Debug)]
pub(crate) struct AttestRemote {
    /// The remote; without it, the one that `git fetch` or `git push` would use
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) remote: Option<String>,
}

/// `notme attest lookup`, and the log of `notme attest publish`.
#[derive(Args, Debug)]
pub(crate) struct AttestLog {
    /// The commit
    #[arg(default_value = "HEAD")]
    pub(crate) revision: String,
    /// The log: a Rekor server, version 1
    #[arg(long, value_name = "URL")]
    pub(crate) rekor: AuthorityUrl,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `notme attest publish`.
#[derive(Args, Debug)]
pub(crate) struct AttestPublish {
    #[command(flatten)]
    pub(crate) log: AttestLog,
    /// Put statements there whatever they are worth; without it, those that are accepted, and rejections
    #[arg(long)]
    pub(crate) unjudged: bool,
}

/// Reads a SHA-256 in hex, as statements have it.
fn digest(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    match hex::decode_array::<32>(digits) {
        Some(_) => Ok(format!("sha256:{digits}")),
        None => {
            Err("not 64 lower-case hex digits, with `sha256:` before them or without".to_owned())
        }
    }
}

/// Why an activity ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum TerminationArgument {
    /// By itself
    Completed,
    /// Somebody stopped it
    Cancelled,
    /// Its time was over
    Expired,
    /// It broke
    Failed,
    /// Nobody knows
    Unknown,
}

/// How the work came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum OutcomeArgument {
    /// As it should
    Succeeded,
    /// It did not
    Failed,
    /// In part
    Partial,
    /// Nobody knows
    Unknown,
}

/// A level of APAS 0.4.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LevelArgument {
    /// Recorded
    #[value(name = "L1")]
    L1,
    /// Authenticated
    #[value(name = "L2")]
    L2,
    /// Independently appraised
    #[value(name = "L3")]
    L3,
    /// Content-complete
    #[value(name = "L4")]
    L4,
}
