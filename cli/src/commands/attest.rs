//! `notme attest`: statements about what an agent did.

pub(crate) mod course;
mod log;
mod make;
mod transfer;
mod verify;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Display,
    fs::Permissions,
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    thread::{self, JoinHandle},
};

use notme_attest::{
    Attestations, Bundle, Predicate, Store,
    link::{LinkError, SignedLink, restate},
    make::{CommitSubject, MakeError},
    predicate::{Activity, Lifecycle},
    sign::{Signed, sign},
    store::{Contents, FILES_MAX, FileName, Kept, Noted, Place},
    verify::{Asked, GoesOn, Tip},
};
use notme_core::{
    certificate::Certificate, dsse::Envelope, frame::Basis, identity::AgentName, key::KeyId,
    statement::Statement, time::UnixTime,
};
use notme_signer::{AgentClient, AgentEndpoint, Deadline};
use notme_verifier::{
    Code, Repository, Verdict,
    report::{escape, to_json},
};
use serde_json::{Value, json};
use tempfile::PersistError;

pub(crate) use self::{
    course::{Course, Next, State},
    make::{new_id, succeed_as},
    transfer::push_along,
};
use crate::{
    arguments::attest::{Attest, AttestExport, AttestShow, AttestTrailer},
    commands::{agent, print_json},
    ending,
    failure::{Exit, Failure, Outcome, read_file},
    git::{self, GitError},
    home::Home,
    judging::{Grounds, now},
    repository::{not_selected, open},
    statements::store_of,
};

pub(crate) fn run(home: &Home, command: &Attest) -> Outcome {
    let only_reads = matches!(
        command,
        Attest::Verify(_)
            | Attest::Show(_)
            | Attest::Export(_)
            | Attest::RosaryHash(_)
            | Attest::Publish(_)
            | Attest::Lookup(_)
    );
    if !only_reads {
        ending::leaves_no_locks()?;
    }
    match command {
        Attest::Activity(arguments) => make::activity(home, arguments),
        Attest::Dispatch(arguments) => make::dispatch(home, arguments),
        Attest::Handoff(arguments) => make::handoff(home, arguments),
        Attest::Acceptance(arguments) => make::acceptance(home, arguments),
        Attest::Succeed(arguments) => make::succeed(home, arguments),
        Attest::Trailer(arguments) => trailer(home, arguments),
        Attest::Verify(arguments) => verify::run(home, arguments),
        Attest::Show(arguments) => show(arguments),
        Attest::Export(arguments) => export(home, arguments),
        Attest::Import(arguments) => transfer::import(home, arguments),
        Attest::Drop(arguments) => transfer::drop(arguments),
        Attest::RosaryHash(arguments) => transfer::rosary_hash(arguments),
        Attest::Publish(arguments) => log::publish(home, arguments),
        Attest::Lookup(arguments) => log::lookup(arguments),
        Attest::Push(arguments) => transfer::push(home, arguments).map(|()| Exit::Yes),
        Attest::Fetch(arguments) => transfer::fetch(arguments),
    }
}

/// A repository, and the statements that it keeps.
pub(crate) struct Archive {
    pub(crate) repository: Repository,
    pub(crate) store: Store,
}

impl Archive {
    /// Opens those of the repository around us.
    pub(crate) fn open() -> Result<Self, Failure> {
        Self::of(open()?)
    }

    /// Opens those of a git directory.
    fn at(directory: &Path) -> Result<Self, Failure> {
        Self::of(Repository::open(directory)?)
    }

    fn of(repository: Repository) -> Result<Self, Failure> {
        let store = store_of(&repository)?;
        Ok(Self { repository, store })
    }

    /// Returns the ids of the commits that revisions and ranges name, in the order they were made, each
    /// once.
    fn ids(&self, revisions: &[String]) -> Result<Vec<String>, Failure> {
        let mut ids = Vec::new();
        let mut seen = HashSet::new();
        for revision in revisions {
            let selection = self.repository.select(revision).map_err(not_selected)?;
            let all = self.repository.commits(&selection);
            let all = all.map_err(not_selected)?;
            let new = all.iter().rev().filter(|id| seen.insert(**id));
            ids.extend(new.map(ToString::to_string));
        }
        Ok(ids)
    }

    /// As [`Self::ids`], with their trees; where some are named, there is at least one.
    fn commits(&self, revisions: &[String]) -> Result<Vec<CommitSubject>, Failure> {
        let subject = |id: String| {
            let facts = self.store.commit(&id)?.ok_or_else(|| nothing(&id))?;
            Ok(CommitSubject::new(&id, &facts))
        };
        let ids = self.ids(revisions)?;
        if ids.is_empty() && !revisions.is_empty() {
            let error = format!("there are no commits in `{}`", revisions.join(" "));
            return Err(Failure::usage(error));
        }
        ids.into_iter().map(subject).collect()
    }

    /// Returns what is kept with the commits that a revision or range names, each once.
    fn kept(&self, revision: &str) -> Result<Vec<Kept>, Failure> {
        let (mut kept, mut seen) = (Vec::new(), HashSet::new());
        for id in self.ids(&[revision.to_owned()])? {
            kept.extend(self.store.read_new(&Place::commit(&id), &mut seen)?);
        }
        Ok(kept)
    }
}

/// Takes a file of bundles apart: one, however it is laid out, or one on each line; as many at most as are
/// read for one thing.
fn bundles_in<'c>(file: &Path, content: &'c [u8]) -> Result<Vec<&'c [u8]>, Failure> {
    if Bundle::from_json(content).is_ok() || Envelope::from_json(content).is_ok() {
        return Ok(vec![content]);
    }
    let lines = content.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    let file = file.display();
    match lines.clone().take(FILES_MAX + 1).count() {
        0 => Err(Failure::usage(format!("there is nothing in `{file}`"))),
        1..=FILES_MAX => Ok(lines.collect()),
        _ => Err(Failure::usage(format!(
            "there are more than {FILES_MAX} lines in `{file}`"
        ))),
    }
}

/// Reads a file that the caller named; not to name one that can be read is a wrong call.
fn read_named(file: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    read_file(file, limit).map_err(Failure::usage)
}

/// Refuses a file for what is in it.
fn refused(file: &Path, code: Code, error: &impl Display) -> Failure {
    Failure::no(format!("`{}`: {code}: {error}", file.display()))
}

/// Refuses what would have been stated.
fn not_made(error: MakeError) -> Failure {
    let code = match &error {
        MakeError::Own(_) => return Failure::usage(error),
        MakeError::Statement(_) => Code::StatementMalformed,
        MakeError::Predicate(_) => Code::PredicateMalformed,
        MakeError::Store(_) => Code::OriginsDisclosed,
    };
    Failure::no(format!("{code}: {error}"))
}

/// Makes a directory that the caller named.
fn make_directory(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|error| {
        let hint = format!("could not make {}", path.display());
        Failure::from(error).hint(hint)
    })
}

fn nothing(id: &str) -> Failure {
    Failure::usage(format!("`{id}` names no commit here"))
}

/// What is said of a commit without statements.
const NOTHING: &str = "nothing is attested about it";

/// What names the agent that signs commits.
const SIGNING_KEY: &str = "user.signingkey";

/// Whoever signs statements: an agent of the key agent.
pub(crate) struct Hand {
    endpoint: AgentEndpoint,
    agent: AgentName,
    /// Once somebody asked.
    credentials: Option<(String, KeyId)>,
}

impl Hand {
    /// Returns that of an agent, or of the one that signs commits here.
    pub(crate) fn of(home: &Home, agent: Option<&AgentName>) -> Result<Self, Failure> {
        Self::by(home, Signer::ask(agent))
    }

    fn by(home: &Home, signer: Signer) -> Result<Self, Failure> {
        Ok(Self {
            agent: signer.name()?,
            endpoint: agent::endpoint(home)?,
            credentials: None,
        })
    }

    /// Connects to the key agent, for one request: what we do before the next one takes none of its
    /// time, and the key agent does not wait for us.
    fn client(&self) -> Result<AgentClient, Failure> {
        AgentClient::connect(&self.endpoint, Deadline::after(agent::DEADLINE))
            .map_err(agent::client_failure)
    }

    /// Asks for the identity that the agent's certificates carry, opening its session if need be.
    pub(crate) fn identity(&mut self) -> Result<String, Failure> {
        Ok(self.credentials()?.0)
    }

    /// Asks for it and for the key that signs now, likewise.
    fn credentials(&mut self) -> Result<(String, KeyId), Failure> {
        if let Some(known) = &self.credentials {
            return Ok(known.clone());
        }
        let asked = self.client()?.credentials(self.agent.as_str());
        let asked = asked.map_err(agent::client_failure)?;
        let chain = Certificate::pem_bundle(&asked.x509)?;
        let leaf = chain.first().ok_or("the key agent told no certificate")?;
        let known = (asked.identity.to_string(), leaf.kid());
        Ok(self.credentials.insert(known).clone())
    }

    /// Signs a statement, and passes on what the key agent says about it.
    pub(crate) fn sign(&mut self, statement: &Statement) -> Result<Signed, Failure> {
        let signed = sign(&mut self.client()?, self.agent.as_str(), statement)?;
        if let Some(notice) = &signed.notice {
            writeln!(io::stderr(), "note: {}", escape(notice))?;
        }
        Ok(signed)
    }
}

/// Whoever signs statements, and what is going to be kept.
struct Author<'a> {
    archive: &'a Archive,
    hand: Hand,
    now: UnixTime,
    made: Vec<(Vec<u8>, Vec<Place>)>,
    lines: Vec<String>,
    /// Whether nothing is printed of what was made.
    is_quiet: bool,
}

impl<'a> Author<'a> {
    fn new(home: &Home, archive: &'a Archive, agent: Option<&AgentName>) -> Result<Self, Failure> {
        Self::by(home, archive, Signer::of(archive, agent))
    }

    fn by(home: &Home, archive: &'a Archive, signer: Signer) -> Result<Self, Failure> {
        Ok(Self {
            archive,
            hand: Hand::by(home, signer)?,
            now: now(),
            made: Vec::new(),
            lines: Vec::new(),
            is_quiet: false,
        })
    }

    /// Signs a statement, to be kept with the others once all are there.
    fn sign(&mut self, statement: &Statement) -> Result<Bundle, Failure> {
        let Signed { bundle, basis, .. } = self.hand.sign(statement)?;
        check_workload(statement, &bundle)?;
        let basis = match basis {
            Basis::IssuanceBound => "issuance-bound",
            Basis::Timestamped => "timestamped",
            Basis::Declared => "declared",
        };
        let (digest, predicate_type) = (bundle.payload_digest(), statement.predicate_type());
        self.lines
            .push(format!("{digest}  {predicate_type}  {basis}"));
        self.made.push((bundle.to_json()?, Place::of(statement)));
        Ok(bundle)
    }

    /// Keeps what was signed: all of it, or nothing.
    fn keep(self) -> Outcome {
        self.archive.store.write(&self.made, self.now)?;
        self.tell()
    }

    /// As [`Self::keep`], when what was signed last is a record of an activity: the one after the
    /// last of what the activity kept. Notes that it is the last one now.
    fn keep_record(mut self, activity: &str, seen: Option<Contents>, ends: bool) -> Outcome {
        let (store, identity) = (&self.archive.store, self.hand.identity()?);
        let place = Place::activity(activity);
        let contents = store.write_after(&self.made, self.now, (&place, seen))?;
        match (contents, self.made.last()) {
            (Some(contents), Some((record, _))) if !ends => {
                let file = FileName::of(record);
                store.note(activity, &identity, &Noted { file, contents })?;
            }
            (_, _) => store.forget(activity, &identity),
        }
        self.tell()
    }

    fn tell(self) -> Outcome {
        let mut out = io::stdout().lock();
        for line in self.lines.iter().filter(|_| !self.is_quiet) {
            writeln!(out, "{line}")?;
        }
        Ok(Exit::Yes)
    }
}

/// Checks that a record names who signed it in the end: nobody takes another one, and one that is kept
/// stays.
fn check_workload(statement: &Statement, bundle: &Bundle) -> Result<(), Failure> {
    let Ok(Predicate::Activity(record)) = Predicate::read(statement) else {
        return Ok(());
    };
    let signer = bundle.certificates().first().map(|leaf| leaf.identity());
    let signer = signer.transpose()?.map(|identity| identity.to_string());
    match signer.is_some_and(|signer| signer == record.workload) {
        true => Ok(()),
        false => {
            let error = format!("the key agent signed as another than {}", record.workload);
            Err(Failure::no(error).hint("nothing was kept; do it again"))
        }
    }
}

/// The agent that signs: one that was named, or the one that signs commits here, which git is asked
/// for while other things are read.
enum Signer {
    Named(AgentName),
    Set(String),
    Configured(JoinHandle<Result<Option<String>, GitError>>),
}

impl Signer {
    /// As the repository has it; git is asked only where something else could have the last word.
    fn of(archive: &Archive, agent: Option<&AgentName>) -> Self {
        let own = || git::own_value(&archive.repository, SIGNING_KEY);
        match (agent, agent.map_or_else(own, |_| None)) {
            (None, Some(key)) => Self::Set(key),
            (agent, _) => Self::ask(agent),
        }
    }

    fn ask(agent: Option<&AgentName>) -> Self {
        let configured = || thread::spawn(|| git::value(SIGNING_KEY));
        agent.map_or_else(
            || Self::Configured(configured()),
            |agent| Self::Named(agent.clone()),
        )
    }

    fn name(self) -> Result<AgentName, Failure> {
        let key = match self {
            Self::Named(agent) => return Ok(agent),
            Self::Set(key) => Some(key),
            Self::Configured(asked) => asked.join().map_err(|_| "git could not be asked")??,
        };
        key.and_then(|key| key.parse().ok()).ok_or_else(|| {
            Failure::usage("no agent signs commits here")
                .hint("name one with `--agent NAME`, or set the repository up with `notme init`")
        })
    }
}

/// Returns the last record of an activity that goes on, for an identity.
fn tip(
    home: &Home,
    store: &Store,
    activity: &str,
    (identity, goes_on): (&str, GoesOn<'_>),
) -> Result<Tip, Failure> {
    let grounds = Grounds::load(home, None, None)?;
    let judge = grounds.judge();
    let attestations = Attestations::new(store.clone(), &judge, Asked::default());
    let tip = match attestations.tip(activity, identity, goes_on)? {
        Ok(tip) => tip,
        Err(broken) => {
            let (code, detail) = match attestations.is_untimed(activity, identity)? {
                true => (
                    Code::TimeBasisTooWeak,
                    "nothing shows when its records were signed".to_owned(),
                ),
                false => broken,
            };
            let activity = activity.to_owned();
            return Err(Failure::no(Stuck::Broken {
                activity,
                code,
                detail,
            })
            .hint("`notme attest activity --begin` begins one"));
        }
    };
    if tip.lifecycle == Lifecycle::Ended {
        let error = Stuck::Ended(activity.to_owned());
        return Err(Failure::no(error).hint("`notme attest activity --begin` begins another"));
    }
    Ok(tip)
}

/// No record can be added to an activity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stuck {
    /// Its chain is none.
    #[error("activity `{activity}` cannot go on: {code}: {detail}")]
    Broken {
        activity: String,
        code: Code,
        detail: String,
    },
    /// There is its end.
    #[error("activity `{0}` has ended")]
    Ended(String),
}

impl Stuck {
    /// Tells whether it may go on with what is not here.
    pub(crate) fn is_gone(&self) -> bool {
        const GONE: [Code; 2] = [Code::ChainPrefixMissing, Code::ChainLinkMissing];
        matches!(self, Self::Broken { code, .. } if GONE.contains(code))
    }
}

fn trailer(home: &Home, arguments: &AttestTrailer) -> Outcome {
    let archive = Archive::open()?;
    let mut author = Author::new(home, &archive, arguments.agent.as_ref())?;
    let (identity, kid) = author.hand.credentials()?;
    let goes_on = GoesOn {
        by: Some(kid),
        after: None,
    };
    let by = (&*identity, goes_on);
    let tip = tip(home, &archive.store, &arguments.activity, by)?;
    let digest = tip.digest;
    writeln!(io::stdout(), "{}: {digest}", notme_attest::store::TRAILER)?;
    Ok(Exit::Yes)
}

fn show(arguments: &AttestShow) -> Outcome {
    let kept = Archive::open()?.kept(&arguments.revision)?;
    let described: Vec<_> = kept.iter().map(describe).collect();
    if arguments.json {
        return print_json(&described);
    }
    let mut out = io::stdout().lock();
    for it in &described {
        let text = |member: &str| it.get(member).and_then(Value::as_str).unwrap_or("?");
        writeln!(out, "{}  {}", text("digest"), escape(text("predicateType")))?;
        if let Some(predicate) = it.get("predicate") {
            let predicate = serde_json::to_string_pretty(predicate)?;
            for line in predicate.lines() {
                writeln!(out, "    {}", escape(line))?;
            }
        }
        if let Some(error) = it.get("error").and_then(Value::as_str) {
            writeln!(out, "    unreadable: {}", escape(error))?;
        }
    }
    if kept.is_empty() {
        writeln!(io::stderr(), "{NOTHING}")?;
    }
    Ok(Exit::Yes)
}

/// Checks that a bundle may be given to anybody.
fn check_public(kept: &Kept) -> Result<(), Failure> {
    kept.check_public().map_err(|error| {
        let hint = format!("`notme attest drop` takes {} out", kept.name);
        Failure::no(error).hint(hint)
    })
}

/// Reads a bundle without judging it.
fn describe(kept: &Kept) -> Value {
    let file = kept.name.to_string();
    let bundle = match Bundle::from_json(&kept.content) {
        Ok(bundle) => bundle,
        Err(error) => return json!({"file": file, "error": error.to_string()}),
    };
    let digest = bundle.payload_digest();
    match Statement::parse(bundle.envelope().payload()) {
        Ok(statement) => json!({
            "file": file,
            "digest": digest,
            "predicateType": statement.predicate_type(),
            "subject": statement.subjects(),
            "predicate": statement.predicate(),
        }),
        Err(error) => json!({"file": file, "digest": digest, "error": error.to_string()}),
    }
}

fn export(home: &Home, arguments: &AttestExport) -> Outcome {
    let archive = Archive::open()?;
    if let Some(directory) = &arguments.in_toto_link {
        return export_links(home, &archive, arguments, directory);
    }
    let mut kept = complete(&archive.store, archive.kept(&arguments.revision)?)?;
    if kept.is_empty() {
        writeln!(io::stderr(), "{NOTHING}")?;
    }
    leave_bundles(&mut kept)?;
    for kept in &kept {
        check_public(kept)?;
    }
    let Some(directory) = &arguments.directory else {
        let mut out = io::stdout().lock();
        for bundle in kept {
            // What we keep is one line already; what others made may not be.
            let value: Value = serde_json::from_slice(&bundle.content)?;
            writeln!(out, "{}", to_json(&value)?)?;
        }
        return Ok(Exit::Yes);
    };
    make_directory(directory)?;
    for bundle in kept {
        write_whole(
            &directory.join(bundle.name.to_string()),
            &bundle.content,
            true,
        )?;
    }
    Ok(Exit::Yes)
}

/// Leaves out what is no bundle, and says so.
fn leave_bundles(kept: &mut Vec<Kept>) -> io::Result<()> {
    let all = kept.len();
    kept.retain(|kept| Bundle::from_json(&kept.content).is_ok());
    let note = match all - kept.len() {
        0 => return Ok(()),
        1 => "1 file is no bundle".to_owned(),
        number => format!("{number} files are no bundles"),
    };
    writeln!(io::stderr(), "note: {note}; left out")
}

/// Adds what bundles are worth nothing without: the other records of their chains, and what they rest
/// on; each once.
fn complete(store: &Store, kept: Vec<Kept>) -> Result<Vec<Kept>, Failure> {
    let mut all = BTreeMap::new();
    let (mut activities, mut commits) = (HashSet::new(), HashSet::new());
    // Where to read what somebody may cite, once somebody does.
    let mut near: HashMap<String, Vec<(Place, FileName)>> = HashMap::new();
    let known = kept.iter().map(|it| (it.name.clone(), it.blob));
    let mut seen: HashSet<_> = known.collect();
    let mut left = kept;
    while let Some(kept) = left.pop() {
        if let Some((statement, predicate)) = read(&kept) {
            let evidence = match predicate {
                Predicate::Activity(record) => {
                    let id = record.activity.id;
                    let place = Place::activity(&id);
                    if activities.insert(id) {
                        left.extend(store.read(&place)?);
                    }
                    record.evidence
                }
                Predicate::Acceptance(acceptance) => acceptance.evidence,
                _ => Vec::new(),
            };
            let about = statement.digests("gitCommit");
            for commit in about.filter(|_| !evidence.is_empty()) {
                if commits.insert(commit.to_owned()) {
                    let place = Place::commit(commit);
                    for other in store.read_new(&place, &mut seen)? {
                        let digest = digest_of(&other).unwrap_or_default();
                        let files = near.entry(digest).or_default();
                        files.push((place.clone(), other.name));
                    }
                }
            }
            for cited in evidence {
                for (place, file) in near.remove(&cited.digest).into_iter().flatten() {
                    left.extend(store.read_one(&place, &file)?);
                }
            }
        }
        all.insert(kept.name.clone(), kept);
    }
    Ok(all.into_values().collect())
}

/// Has an agent sign its own statements about a commit as links, as far as they are accepted.
fn export_links(
    home: &Home,
    archive: &Archive,
    arguments: &AttestExport,
    directory: &Path,
) -> Outcome {
    let mut hand = Hand::of(home, arguments.agent.as_ref())?;
    let grounds = Grounds::load(home, None, None)?;
    let judge = grounds.judge();
    let attestations = Attestations::new(archive.store.clone(), &judge, Asked::default());
    let identity = hand.identity()?;
    let mut own = BTreeMap::new();
    for id in archive.ids(std::slice::from_ref(&arguments.revision))? {
        let judged = attestations.of(&id)?.into_iter().filter(|it| {
            let is_own = it.identity.as_ref() == Some(&identity);
            is_own && it.verdict == Verdict::Accepted && it.attested_as.is_none()
        });
        own.extend(judged.map(|it| (it.file, it.fails)));
    }
    let mut all = archive.kept(&arguments.revision)?;
    all.retain(|kept| own.contains_key(&kept.name));
    let chosen = &arguments.statement;
    let is_there = |named: &&String| all.iter().any(|kept| is_named(kept, named));
    if let Some(other) = chosen.iter().find(|named| !is_there(named)) {
        let error = format!("no accepted statement about it by {identity} is `{other}`");
        return Err(Failure::no(error).hint("`notme attest show` prints digests"));
    }
    let mut links: Vec<SignedLink> = Vec::new();
    for kept in all {
        if chosen.is_empty() || chosen.iter().any(|named| is_named(&kept, named)) {
            let bundle = Bundle::from_json(&kept.content)?;
            let agent = hand.agent.as_str();
            let fails = own.get(&kept.name).copied().unwrap_or_default();
            let said = (&bundle, fails);
            let link = restate(&mut hand.client()?, agent, said, &archive.store);
            let link = link.map_err(|error| match error {
                LinkError::Name(_) => Failure::no(error),
                error => Failure::from(error),
            })?;
            // Nothing is written before it is known that all can be.
            if links.iter().any(|other| other.name == link.name) {
                let error = format!(
                    "two statements are of one step, and would both be {}",
                    link.name
                );
                return Err(Failure::no(error).hint("`--statement DIGEST` chooses between them"));
            }
            links.push(link);
        }
    }
    if links.is_empty() {
        let error = format!("no accepted statement about it is by {identity}");
        return Err(Failure::no(error));
    }
    make_directory(directory)?;
    for link in links {
        write_whole(&directory.join(link.key_name), &link.key, false)?;
        write_whole(&directory.join(&link.name), &link.content, false)?;
        writeln!(io::stdout(), "{}", link.name)?;
    }
    Ok(Exit::Yes)
}

/// Tells whether it is what somebody named: by the digest of its payload, or by its file.
fn is_named(kept: &Kept, statement: &str) -> bool {
    kept.name.to_string() == statement || digest_of(kept).is_some_and(|it| it == statement)
}

fn digest_of(kept: &Kept) -> Option<String> {
    Some(Bundle::from_json(&kept.content).ok()?.payload_digest())
}

/// Reads what a bundle says, without judging it.
fn read(kept: &Kept) -> Option<(Statement, Predicate)> {
    let bundle = Bundle::from_json(&kept.content).ok()?;
    let statement = Statement::parse(bundle.envelope().payload()).ok()?;
    let predicate = Predicate::read(&statement).ok()?;
    Some((statement, predicate))
}

/// Returns the record of an activity that a bundle is.
fn record_of(kept: &Kept) -> Option<Box<Activity>> {
    match read(kept)? {
        (_, Predicate::Activity(record)) => Some(record),
        _ => None,
    }
}

/// Writes a file, whole or not at all. What is there under its name is replaced when the name is the
/// content's, and has to be the same otherwise.
fn write_whole(path: &Path, content: &[u8], is_content_named: bool) -> Result<(), Failure> {
    let write = || {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut fresh = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)?;
        fresh.write_all(content)?;
        let placed = match is_content_named {
            true => fresh.persist(path),
            false => fresh.persist_noclobber(path),
        };
        match placed {
            Err(PersistError { error, .. })
                if error.kind() != io::ErrorKind::AlreadyExists
                    || std::fs::read(path)? != content =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    };
    write()
        .map_err(|error| Failure::from(error).hint(format!("could not write {}", path.display())))
}
