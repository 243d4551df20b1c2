//! Making statements: what can be seen is filled in, the rest comes from options and JSON.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use notme_attest::{
    Attestations, Attested, Bundle, Predicate,
    make::{self, ActivityFacts, CommitSubject, MakeError, covered},
    origins::OriginSet,
    predicate::{
        Acceptance, Artifact, Claim, Decision, Event, Evidence, Level, Lifecycle, Outcome as Work,
        Record, Succession, Termination,
    },
    store::Place,
    verify::{Asked, GoesOn, Tip},
};
use notme_core::{
    hex,
    identity::AgentName,
    json::{JsonError, Object, parse_object},
    statement::StatementError,
};
use notme_verifier::{Code, report::escape, repository::ObjectId};
use serde_json::{Value, json};

use super::{Archive, Author, Signer, not_made, nothing, read_named, refused, tip};
use crate::{
    arguments::attest::{
        AttestAcceptance, AttestActivity, AttestCommon, AttestDispatch, AttestHandoff,
        AttestRecord, AttestSucceed, LevelArgument, OutcomeArgument, TerminationArgument,
    },
    failure::{Exit, Failure, Outcome, hash_file, read_all},
    git,
    home::Home,
    judging::Grounds,
    repository::not_selected,
};

/// The longest file whose digest is stated.
const FILE_MAX: u64 = 1 << 30;
/// The longest JSON.
const JSON_MAX: u64 = 1024 * 1024;

pub(super) fn activity(home: &Home, arguments: &AttestActivity) -> Outcome {
    let archive = Archive::open()?;
    let signer = Signer::of(&archive, arguments.common.agent.as_ref());
    let record = &arguments.record;
    let goes_on = arguments.begin || record.activity.is_some() && !record.end;
    if goes_on && record.termination.is_some() {
        let error = "`--termination` says why an activity ended, and this one goes on";
        return Err(Failure::usage(error).hint("`--end` ends it"));
    }
    let revisions = match &*arguments.revision {
        [] if arguments.begin || record.activity.is_some() => Vec::new(),
        [] => vec!["HEAD".to_owned()],
        named => named.to_vec(),
    };
    let commits = archive.commits(&revisions)?;
    let named = Named::read(record, &arguments.common)?;
    let mut author = Author::by(home, &archive, signer)?;
    let wanted = Wanted {
        record,
        common: &arguments.common,
        named,
        commits: &commits,
        stated: None,
        evidence: Vec::new(),
        succeeds: Vec::new(),
        more: members_of_record(&arguments.common)?,
    };
    if !arguments.begin {
        return wanted.record(home, author);
    }
    let id = new_id()?;
    let chain = Record::opening(archive.store.head(), covered(&commits));
    let statement =
        make::activity(wanted.facts(&mut author, &id, 1)?, chain, &commits).map_err(not_made)?;
    author.sign(&statement)?;
    author.lines = vec![id.clone()];
    author.keep_record(&id, None, false)
}

pub(super) fn dispatch(home: &Home, arguments: &AttestDispatch) -> Outcome {
    let archive = Archive::open()?;
    let signer = Signer::of(&archive, arguments.common.agent.as_ref());
    let commits = archive.commits(&arguments.revision)?;
    let common = &arguments.common;
    let named = Named::read(&arguments.record, common)?;
    let work = work(&archive, &commits)?;
    let mut author = Author::by(home, &archive, signer)?;
    let unknown = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "unknown".to_owned());
    let mut definition = json!({
        "agent": {
            "name": author.hand.agent,
            "provider": unknown(&common.provider),
            "model": unknown(&common.model),
        },
    });
    if let Some(digest) = &named.definition {
        put(
            &mut definition,
            &["agent", "definition"],
            digest.clone().into(),
        );
    }
    if let (Some(id), Some(hash)) = (&arguments.work_item, &arguments.work_item_hash) {
        let repo = match &arguments.work_item_repo {
            Some(repo) => repo.clone(),
            None => unknown(&git::public_url()?),
        };
        let item = json!({"repo": repo, "workItemId": id, "contentHash": hash});
        put(&mut definition, &["workItemRef"], item);
    }
    let mut run = json!({
        "orchestrator": {"name": "notme", "version": env!("CARGO_PKG_VERSION")},
        "execution": {"completedAt": author.now.to_string()},
        "work": work,
    });
    if let Some(origins) = &named.origins_hash {
        put(&mut run, &["originsHash"], origins.clone().into());
    }
    let more = members(common)?;
    let state = |run: &Value| {
        let mut predicate = Object::new();
        predicate.insert("dispatchDefinition".to_owned(), definition.clone());
        predicate.insert("runDetails".to_owned(), run.clone());
        make::merge(&mut predicate, more.clone());
        make::dispatch(predicate, &commits)
    };
    let mut stated = state(&run);
    if let Err(MakeError::Statement(StatementError::TooLong)) = stated {
        // Whoever has the commits can see it from them.
        if let Some(Value::Object(work)) = run.get_mut("work") {
            work.remove("filesChanged");
        }
        stated = state(&run);
        let note = "note: `filesChanged` is left out, as the statement would be too long";
        writeln!(io::stderr(), "{note}")?;
    }
    let statement = stated.map_err(not_made)?;
    let bundle = author.sign(&statement)?;
    Wanted {
        record: &arguments.record,
        common,
        named,
        commits: &commits,
        stated: Predicate::read(&statement)?.stated_outcome(),
        evidence: vec![Evidence {
            predicate_type: statement.predicate_type().to_owned(),
            digest: bundle.payload_digest(),
        }],
        succeeds: Vec::new(),
        more: Object::new(),
    }
    .record(home, author)
}

pub(super) fn handoff(home: &Home, arguments: &AttestHandoff) -> Outcome {
    let archive = Archive::open()?;
    let signer = Signer::of(&archive, arguments.common.agent.as_ref());
    let commits = archive.commits(&arguments.revision)?;
    let named = Named::read(&arguments.record, &arguments.common)?;
    let mut author = Author::by(home, &archive, signer)?;
    let mut predicate = Object::new();
    let mut put = |name: &str, value: Option<String>| {
        predicate.extend(value.map(|value| (name.to_owned(), value.into())));
    };
    put("fromPhase", arguments.from_phase.clone());
    put("toPhase", arguments.to_phase.clone());
    let document = match &arguments.document {
        Some(path) => Some((file_name(path), hash_of(path)?)),
        None => None,
    };
    if let Some((name, hash)) = &document {
        put("handoffDocument", Some(name.clone()));
        put("documentHash", Some(format!("sha256:{hash}")));
    }
    make::merge(&mut predicate, members(&arguments.common)?);
    let document = document.as_ref();
    let document = document.map(|(name, hash)| (&**name, &**hash));
    let statement = make::handoff(predicate, document, &commits).map_err(not_made)?;
    let bundle = author.sign(&statement)?;
    Wanted {
        record: &arguments.record,
        common: &arguments.common,
        named,
        commits: &commits,
        stated: None,
        evidence: vec![Evidence {
            predicate_type: statement.predicate_type().to_owned(),
            digest: bundle.payload_digest(),
        }],
        succeeds: Vec::new(),
        more: Object::new(),
    }
    .record(home, author)
}

pub(super) fn acceptance(home: &Home, arguments: &AttestAcceptance) -> Outcome {
    let archive = Archive::open()?;
    let signer = Signer::of(&archive, arguments.agent.as_ref());
    let commits = archive.commits(&arguments.revision)?;
    tell_of_tags(&archive, &arguments.revision)?;
    let grounds = Grounds::load(home, None, None)?;
    let judge = grounds.judge();
    let attestations = Attestations::new(archive.store.clone(), &judge, Asked::default());
    let evidence = looked_at(&attestations, &archive, &commits)?;
    let mut author = Author::by(home, &archive, signer)?;
    let statement = make::acceptance(
        &Acceptance {
            decision: match arguments.reject {
                true => Decision::Rejected,
                false => Decision::Accepted,
            },
            evidence,
            reason: arguments.reason.clone(),
            accepted_at: author.now.to_string(),
            more: Object::new(),
        },
        &commits,
    )
    .map_err(not_made)?;
    let bundle = author.sign(&statement)?;
    if !arguments.reject {
        check_not_own(&attestations, &bundle)?;
    }
    author.keep()
}

/// Says that what is stated about a tag is about its commit.
fn tell_of_tags(archive: &Archive, revisions: &[String]) -> Result<(), Failure> {
    for revision in revisions {
        let selection = archive.repository.select(revision).map_err(not_selected)?;
        // Of a range, the end is a commit.
        let Some(id) = selection.first() else {
            continue;
        };
        let commit = archive.repository.peel(id)?;
        if commit != id {
            let note = "is a tag; what is stated is about its commit";
            writeln!(io::stderr(), "note: `{}` {note} {commit}", escape(revision))?;
        }
    }
    Ok(())
}

/// Refuses to accept one's own work: kept, it would be held against the commits.
fn check_not_own(attestations: &Attestations<'_>, bundle: &Bundle) -> Result<(), Failure> {
    let judged = attestations.of_bundles(vec![bundle.to_json()?])?;
    let is_own = |it: &&Attested| it.verdict.code() == Some(Code::AcceptanceSelf);
    let Some(own) = judged.iter().find(is_own) else {
        return Ok(());
    };
    let (code, detail) = (Code::AcceptanceSelf, own.detail.as_deref());
    let error = format!(
        "nobody accepts their own work: {code}: {}",
        detail.unwrap_or_default()
    );
    Err(Failure::no(error).hint("`--agent NAME` accepts as one that did no work on it"))
}

/// Returns what is there about the work on commits, and is accepted: that is what was looked at. What an
/// acceptance could not rest on is left out: it would be undecided from the beginning.
fn looked_at(
    attestations: &Attestations<'_>,
    archive: &Archive,
    commits: &[CommitSubject],
) -> Result<Vec<Evidence>, Failure> {
    let mut evidence = Vec::new();
    let mut is_any = false;
    for commit in commits {
        for place in [Place::commit(&commit.id), Place::tree(&commit.tree)] {
            is_any = is_any || archive.store.contents(&place)?.is_some();
        }
    }
    if !is_any {
        return Ok(evidence);
    }
    let ids: Vec<_> = commits.iter().map(|commit| commit.id.clone()).collect();
    for (id, all) in ids.iter().zip(attestations.of_all(&ids)?) {
        for it in all.iter().filter(|it| it.attested_as.is_none()) {
            let code = match (it.verdict.code(), it.as_evidence()) {
                (Some(code), _) => code,
                (None, None) => continue,
                (None, Some(cited)) if attestations.can_be_cited(&cited, id)? => {
                    evidence.push(cited);
                    continue;
                }
                (None, Some(_)) => Code::EvidenceMissing,
            };
            writeln!(io::stderr(), "note: {} is not cited: {code}", it.file)?;
        }
    }
    evidence.sort_by(|one: &Evidence, other| one.digest.cmp(&other.digest));
    evidence.dedup();
    Ok(evidence)
}

pub(super) fn succeed(home: &Home, arguments: &AttestSucceed) -> Outcome {
    let text = read_all(&mut io::stdin(), Path::new("-"), JSON_MAX)?;
    let text = String::from_utf8(text).map_err(|_| Failure::usage("stdin is not UTF-8"))?;
    let mut pairs = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        // git's post-rewrite hook adds a third word, which says nothing to us.
        let mut words = line.split_ascii_whitespace();
        let (Some(from), Some(to)) = (words.next(), words.next()) else {
            return Err(Failure::usage(format!("`{line}` is not `OLD NEW`")));
        };
        pairs.push((from.to_owned(), to.to_owned()));
    }
    if pairs.is_empty() {
        return Err(Failure::usage("there is no `OLD NEW` on stdin"));
    }
    state_successions(home, arguments, &pairs, Printing::Digests)
}

/// States as an agent which commits took the place of which, and prints nothing.
pub(crate) fn succeed_as(
    home: &Home,
    agent: &AgentName,
    pairs: &[(String, String)],
) -> Result<(), Failure> {
    let arguments = AttestSucceed::by(agent.clone());
    state_successions(home, &arguments, pairs, Printing::Nothing).map(drop)
}

/// What is printed of what was stated.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Printing {
    Digests,
    Nothing,
}

fn state_successions(
    home: &Home,
    arguments: &AttestSucceed,
    pairs: &[(String, String)],
    printing: Printing,
) -> Outcome {
    let archive = Archive::open()?;
    let signer = Signer::of(&archive, arguments.common.agent.as_ref());
    let mut succeeds = Vec::new();
    let mut commits = Vec::new();
    for (from, to) in pairs {
        let [to] = &*archive.commits(std::slice::from_ref(to))? else {
            return Err(nothing(to));
        };
        let is_id = matches!(from.len(), 40 | 64) && hex::decode(from).is_some();
        if !is_id {
            return Err(Failure::usage(format!("`{from}` is no full object id")));
        }
        // An amend that changed nothing.
        if *from == to.id {
            continue;
        }
        succeeds.push(Succession {
            from: from.clone(),
            to: to.id.clone(),
        });
        if !commits.contains(to) {
            commits.push(to.clone());
        }
    }
    if succeeds.is_empty() {
        return Ok(Exit::Yes);
    }
    let named = Named::read(&arguments.record, &arguments.common)?;
    let mut author = Author::by(home, &archive, signer)?;
    author.is_quiet = printing == Printing::Nothing;
    Wanted {
        record: &arguments.record,
        common: &arguments.common,
        named,
        commits: &commits,
        stated: None,
        evidence: Vec::new(),
        succeeds,
        more: members_of_record(&arguments.common)?,
    }
    .record(home, author)
}

/// What the files say that options name. They are read once: a pipe says nothing more the second
/// time, and the records of one activity tell of the same.
struct Named {
    definition: Option<String>,
    inputs: Vec<Artifact>,
    outputs: Vec<Artifact>,
    events: Vec<Event>,
    origins_hash: Option<String>,
}

impl Named {
    fn read(record: &AttestRecord, common: &AttestCommon) -> Result<Self, Failure> {
        let definition = common.definition.as_deref().map(hash_of).transpose()?;
        Ok(Self {
            definition: definition.map(|hash| format!("sha256:{hash}")),
            inputs: artifacts(&record.input)?,
            outputs: artifacts(&record.output)?,
            events: events(record.events.as_deref())?,
            origins_hash: origins_hash(common)?,
        })
    }
}

/// A record that is wanted.
struct Wanted<'a> {
    record: &'a AttestRecord,
    common: &'a AttestCommon,
    named: Named,
    commits: &'a [CommitSubject],
    /// How the work came out, as what it rests on says; an option says it otherwise.
    stated: Option<Work>,
    evidence: Vec<Evidence>,
    succeeds: Vec<Succession>,
    /// Members beside ours.
    more: Object,
}

impl Wanted<'_> {
    /// Signs the record, and keeps it with all that was signed before: in the activity that was
    /// named, or in one of its own that begins and ends here.
    fn record(&self, home: &Home, mut author: Author<'_>) -> Outcome {
        let covered = covered(self.commits);
        let Archive { store, .. } = author.archive;
        if let Some(id) = &self.record.activity {
            // Until it is kept, nobody else is to go on from the same record.
            let _alone = store.lock()?;
            let (identity, kid) = author.hand.credentials()?;
            let goes_on = GoesOn {
                by: Some(kid),
                after: self.record.after.as_deref(),
            };
            let tip = tip(home, store, id, (&identity, goes_on))?;
            let chain = Record::after(tip.sequence, &tip.digest, self.record.end, covered);
            let segment = self.segment_after(&tip);
            let facts = ActivityFacts {
                parent: tip.parent,
                ..self.facts(&mut author, id, segment)?
            };
            let statement = make::activity(facts, chain, self.commits).map_err(not_made)?;
            author.sign(&statement)?;
            return author.keep_record(id, tip.contents, self.record.end);
        }
        let id = new_id()?;
        let opening = Record::opening(None, Default::default());
        let mut facts = self.facts(&mut author, &id, 1)?;
        facts.evidence = Vec::new();
        facts.succeeds = Vec::new();
        facts.events = Vec::new();
        let statement = make::activity(facts, opening, &[]).map_err(not_made)?;
        let bundle = author.sign(&statement)?;
        let closing = Record::after(0, &bundle.payload_digest(), true, covered);
        let statement = make::activity(self.facts(&mut author, &id, 1)?, closing, self.commits)
            .map_err(not_made)?;
        author.sign(&statement)?;
        author.keep()
    }

    /// Returns the segment of the record after one: another, if the activity was suspended and goes
    /// on, or broke off and is said to have been resumed.
    fn segment_after(&self, tip: &Tip) -> u64 {
        let goes_on = tip.lifecycle == Lifecycle::Suspended && !self.record.end;
        tip.segment + u64::from(goes_on || self.record.resume)
    }

    fn facts(
        &self,
        author: &mut Author<'_>,
        id: &str,
        segment: u64,
    ) -> Result<ActivityFacts, Failure> {
        let Self { record, named, .. } = self;
        let mut includes = vec!["commits".to_owned()];
        let mut excludes = record.excludes.clone();
        match named.events.iter().any(Event::is_tool_call) {
            true => includes.push("tool-calls".to_owned()),
            false => excludes.push("tool-calls".to_owned()),
        }
        excludes.push("prompts".to_owned());
        Ok(ActivityFacts {
            id: id.to_owned(),
            segment,
            parent: record.parent.clone(),
            agent: author.hand.agent.to_string(),
            definition: named.definition.clone(),
            workload: Some(author.hand.identity()?),
            model: self.common.model.clone(),
            provider: self.common.provider.clone(),
            inputs: named.inputs.clone(),
            outputs: named.outputs.clone(),
            events: named.events.clone(),
            includes,
            excludes,
            suspended: record.suspend,
            termination: record.termination.map(Into::into),
            outcome: match (record.outcome, self.stated) {
                (OutcomeArgument::Unknown, Some(stated)) => stated,
                (outcome, _) => outcome.into(),
            },
            evidence: self.evidence.clone(),
            succeeds: self.succeeds.clone(),
            origins_hash: named.origins_hash.clone(),
            claim: record.claim.map(|level| Claim {
                apas: "0.4".to_owned(),
                level: level.into(),
                profiles: Vec::new(),
                more: Object::new(),
            }),
            recorded_at: author.now.to_string(),
            more: self.more.clone(),
        })
    }
}

/// Makes an id that nobody else has: a random UUID (RFC 9562 section 5.4) as a URN.
pub(crate) fn new_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let digits = hex::encode(&bytes);
    let mut groups = Vec::new();
    let mut rest = digits.as_str();
    for length in [8, 4, 4, 4] {
        let (group, more) = rest.split_at_checked(length).unwrap_or((rest, ""));
        groups.push(group);
        rest = more;
    }
    groups.push(rest);
    Ok(format!("urn:uuid:{}", groups.join("-")))
}

/// What git can tell of the commits; nothing of what they changed where the parents of one were cut off.
fn work(archive: &Archive, commits: &[CommitSubject]) -> Result<Value, Failure> {
    let mut listed = Vec::new();
    let mut files = std::collections::BTreeSet::new();
    let (mut added, mut removed) = (0, 0);
    let ids: Vec<_> = commits.iter().map(|commit| commit.id.clone()).collect();
    for (commit, (subject, changes)) in commits.iter().zip(git::changes(&ids)?) {
        listed.push(json!({"sha": commit.id, "message": subject}));
        for change in changes {
            added += change.added;
            removed += change.removed;
            files.insert(change.path);
        }
    }
    if let Some(cut) = cut(archive, commits)? {
        let note = format!(
            "note: `filesChanged`, `linesAdded` and `linesRemoved` are left out, as the parents of `{cut}` are not here; `git fetch --deepen 1` brings them"
        );
        writeln!(io::stderr(), "{note}")?;
        return Ok(json!({"commits": listed}));
    }
    Ok(json!({
        "commits": listed,
        "filesChanged": files,
        "linesAdded": added,
        "linesRemoved": removed,
    }))
}

/// Finds a commit whose parents were cut off by a shallow clone.
fn cut<'c>(archive: &Archive, commits: &'c [CommitSubject]) -> Result<Option<&'c str>, Failure> {
    let ends = archive.repository.shallow_boundary()?;
    for CommitSubject { id, .. } in commits {
        let is_end = ObjectId::from_hex(id.as_bytes()).is_ok_and(|id| ends.contains(&id));
        if is_end && archive.store.has_parents(id)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

fn origins_hash(common: &AttestCommon) -> Result<Option<String>, Failure> {
    let Some(file) = &common.origins else {
        return Ok(None);
    };
    let origins = OriginSet::from_json(&read_named(file, JSON_MAX)?).and_then(|origins| {
        origins.check_ascii()?;
        Ok(origins)
    });
    let origins = origins.map_err(|error| refused(file, Code::StatementMalformed, &error))?;
    Ok(origins.digest())
}

fn members(common: &AttestCommon) -> Result<Object, Failure> {
    match &common.members {
        Some(file) => parse_object(&read_named(file, JSON_MAX)?)
            .map_err(|error| refused(file, Code::StatementMalformed, &error)),
        None => Ok(Object::new()),
    }
}

/// As [`members`], beside those of a record.
fn members_of_record(common: &AttestCommon) -> Result<Object, Failure> {
    let more = members(common)?;
    make::check_beside_ours(&more).map_err(not_made)?;
    Ok(more)
}

fn events(file: Option<&Path>) -> Result<Vec<Event>, Failure> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let text = read_named(file, JSON_MAX)?;
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .map(|line| {
            let malformed = |error: JsonError| refused(file, Code::StatementMalformed, &error);
            let object = parse_object(line).map_err(malformed)?;
            serde_json::from_value(object.into()).map_err(|error| malformed(error.into()))
        })
        .collect()
}

fn artifacts(files: &[PathBuf]) -> Result<Vec<Artifact>, Failure> {
    files
        .iter()
        .map(|file| {
            Ok(Artifact {
                name: file_name(file),
                digest: BTreeMap::from([("sha256".to_owned(), hash_of(file)?)]),
                more: Object::new(),
            })
        })
        .collect()
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn hash_of(file: &Path) -> Result<String, Failure> {
    hash_file(file, FILE_MAX).map_err(Failure::usage)
}

fn put(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, way)) = path.split_last() else {
        return;
    };
    let mut at = object;
    for name in way {
        at = &mut at[*name];
    }
    at[*last] = value;
}

impl From<TerminationArgument> for Termination {
    fn from(argument: TerminationArgument) -> Self {
        match argument {
            TerminationArgument::Completed => Self::Completed,
            TerminationArgument::Cancelled => Self::Cancelled,
            TerminationArgument::Expired => Self::Expired,
            TerminationArgument::Failed => Self::Failed,
            TerminationArgument::Unknown => Self::Unknown,
        }
    }
}

impl From<OutcomeArgument> for Work {
    fn from(argument: OutcomeArgument) -> Self {
        match argument {
            OutcomeArgument::Succeeded => Self::Succeeded,
            OutcomeArgument::Failed => Self::Failed,
            OutcomeArgument::Partial => Self::Partial,
            OutcomeArgument::Unknown => Self::Unknown,
        }
    }
}

impl From<LevelArgument> for Level {
    fn from(argument: LevelArgument) -> Self {
        match argument {
            LevelArgument::L1 => Self::L1,
            LevelArgument::L2 => Self::L2,
            LevelArgument::L3 => Self::L3,
            LevelArgument::L4 => Self::L4,
        }
    }
}
