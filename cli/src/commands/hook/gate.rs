//! A gate: what came in is recorded, with the time and the gate's signature.
//!
//! `pre-receive` has it signed before it judges, since the policy may ask for such records;
//! `post-receive` has it signed once more and keeps it, when it is known what did come in.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    time::Duration,
};

use notme_attest::{ByPolicy, make, predicate::Receive, store::Place};
use notme_core::{identity::AgentName, json::Object};
use notme_git_hooks::receive::{self, Update};
use notme_verifier::{
    Judge, Policy, Repository, Verdict,
    report::escape,
    repository::ObjectId,
    stated::{Stated, Statements as _},
};

use super::{
    ground::{Ground, Settings},
    push_certificate::PushCertificate,
    within,
};
use crate::{
    commands::attest::{Archive, Hand},
    failure::{Exit, Failure, Outcome},
    home::Home,
    homeless,
    judging::now,
    repository::open,
    statements::kept_in,
};

/// The agent that signs the records.
const GATE: &str = "notme.gate";
/// The URI by which they name the repository.
const REPOSITORY: &str = "notme.repository";
/// How long whoever pushes waits for them.
const DEADLINE: Duration = Duration::from_secs(60);
/// The most commits of one record.
const COMMITS_MAX: usize = 1000;
/// Of so many commits that other refs have, the newest, it is asked whether there is a record.
const ASKED_MAX: usize = 10_000;

/// A bundle, and where it belongs.
pub(super) type Signed = (Vec<u8>, Vec<Place>);

/// Records a push. It is in, whatever becomes of that.
pub(super) fn run(home: Option<&Home>, input: &[u8]) -> Outcome {
    let (home, input) = (home.cloned(), input.to_vec());
    let recorded = within(DEADLINE, move || {
        let home = home.ok_or_else(homeless);
        home.and_then(|home| record(&home, &input))
            .map_err(|failure| failure.to_string())
    });
    if let Err(problem) = recorded.unwrap_or_else(|| Err("it took too long".to_owned())) {
        writeln!(
            io::stderr(),
            "notme: the push was received; when could not be recorded: {}; later, there: \
             echo OLD NEW REF | notme hook --former /nonexistent post-receive --",
            escape(&problem)
        )?;
    }
    Ok(Exit::Yes)
}

fn record(home: &Home, input: &[u8]) -> Result<(), Failure> {
    let settings = Settings::load()?;
    let updates = receive::parse_receive(input)?;
    let archive = Archive::open()?;
    let ground = Ground::of(&archive.repository, &settings)?;
    let records = records(home, (&archive.repository, &settings, &ground), &updates)?;
    match records.is_empty() {
        true => Ok(()),
        false => Ok(archive.store.write(&records, now())?),
    }
}

/// As [`records`], for no longer than whoever pushes waits.
///
/// # Errors
/// In words.
pub(super) fn signed(
    home: &Home,
    settings: &Settings,
    updates: &[Update],
) -> Result<Vec<Signed>, String> {
    if settings.value(GATE).is_none() {
        return Ok(Vec::new());
    }
    let (home, updates) = (home.clone(), updates.to_vec());
    let sign = move || -> Result<_, Failure> {
        let (repository, settings) = (open()?, Settings::load()?);
        let ground = Ground::of(&repository, &settings)?;
        records(&home, (&repository, &settings, &ground), &updates)
    };
    let signed = within(DEADLINE, move || {
        sign().map_err(|failure| failure.to_string())
    });
    signed.unwrap_or_else(|| Err("it took too long".to_owned()))
}

/// Has the gate sign what a push brings of which it has no record yet, if there is a gate.
fn records(
    home: &Home,
    (repository, settings, ground): (&Repository, &Settings, &Ground),
    updates: &[Update],
) -> Result<Vec<Signed>, Failure> {
    let Some(gate) = settings.value(GATE) else {
        return Ok(Vec::new());
    };
    let gate: AgentName = gate
        .parse()
        .map_err(|_| Failure::usage(format!("{GATE} is `{gate}`, no name of an agent")))?;
    let uri = settings.value(REPOSITORY);
    let uri = uri.ok_or_else(|| {
        Failure::usage(format!(
            "{REPOSITORY} is not set, the URI of the repository"
        ))
    })?;
    let mut hand = Hand::of(home, Some(&gate))?;
    let elsewhere = elsewhere((repository, ground), updates)?;
    let mut wanted = Vec::new();
    for update in updates {
        let Some(new) = update.new.filter(|_| ground.rules.verify(&update.name)) else {
            continue;
        };
        let new = repository.peel(new)?;
        let beyond = |hidden: &[ObjectId]| {
            let brought = repository.select_reached(&update.name, &[new], hidden)?;
            repository.commits(&brought)
        };
        let unseen = beyond(&elsewhere)?;
        let known: HashSet<_> = unseen.iter().collect();
        // What is judged is recorded, too.
        let mut base = ground.base(update);
        base.extend(update.old);
        let mut seen = beyond(&base)?;
        seen.retain(|commit| !known.contains(commit));
        // Another ref may have it whose push is not recorded, or will not be before this one.
        let unrecorded = unrecorded(home, (repository, settings), (&mut hand, uri), seen)?;
        let commits = unseen.iter().chain(&unrecorded);
        let commits: Vec<_> = commits.map(ToString::to_string).collect();
        if !commits.is_empty() {
            wanted.push((update, commits));
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let pusher = pusher(home, settings)?;
    let mut records = Vec::new();
    for (update, commits) in wanted {
        let received = Receive {
            repository: uri.to_owned(),
            reference: update.name.clone(),
            old: update.old.as_ref().map(ToString::to_string),
            new: update
                .new
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            pusher: pusher.clone(),
            received_at: String::new(),
            more: Object::new(),
        };
        for commits in commits.chunks(COMMITS_MAX) {
            let received = Receive {
                received_at: now().to_string(),
                ..received.clone()
            };
            let statement = make::receive(&received, commits)?;
            let bundle = hand.sign(&statement)?.bundle;
            records.push((bundle.to_json()?, Place::of(&statement)));
        }
    }
    Ok(records)
}

/// Returns those of some commits of which the gate has no record as this repository.
fn unrecorded(
    home: &Home,
    (repository, settings): (&Repository, &Settings),
    (hand, uri): (&mut Hand, &str),
    mut commits: Vec<ObjectId>,
) -> Result<Vec<ObjectId>, Failure> {
    commits.truncate(ASKED_MAX);
    if commits.is_empty() {
        return Ok(commits);
    }
    let Some(store) = kept_in(repository)? else {
        return Ok(commits);
    };
    let (grounds, identity) = (settings.grounds(home)?, hand.identity()?);
    let judge = grounds.judge();
    let is_ours = |it: &Stated| {
        let received = it.received.as_ref();
        it.by.identity == identity && received.is_some_and(|it| it.repository == uri)
    };
    let kept = ByPolicy::new(store, grounds.trust(), grounds.now());
    commits.retain(|commit| {
        // What cannot be read is no record.
        let stated = kept.about(&commit.to_string(), judge.policy());
        !stated.unwrap_or_default().iter().any(is_ours)
    });
    Ok(commits)
}

/// Returns what the refs name, those of the push before it. Those of refs that are not verified were
/// not recorded.
fn elsewhere(
    (repository, ground): (&Repository, &Ground),
    updates: &[Update],
) -> Result<Vec<ObjectId>, Failure> {
    let moved: HashSet<_> = updates.iter().map(|update| update.name.as_str()).collect();
    let is_recorded = |name: &str| ground.rules.verify(name);
    let stayed = repository.references("refs/")?.into_iter();
    let stayed =
        stayed.filter(|(name, _)| !moved.contains(name.as_str()) && is_recorded(name.as_str()));
    let before = updates.iter().filter(|update| is_recorded(&update.name));
    let before = before.filter_map(|update| update.old);
    Ok(stayed.map(|(_, id)| id).chain(before).collect())
}

/// Returns who signed the push, if somebody did whom the trust store knows.
fn pusher(home: &Home, settings: &Settings) -> Result<Option<String>, Failure> {
    let Some(certificate) = PushCertificate::of_this_push()? else {
        return Ok(None);
    };
    if !certificate.has_our_nonce() {
        return Ok(None);
    }
    let grounds = settings.grounds(home)?;
    let policy = Policy::from_trust(grounds.trust());
    let judge = Judge::new(&policy, grounds.trust(), grounds.now());
    let split = certificate.split()?;
    let judgement = judge.judge_detached(split.payload(), split.signature().unwrap_or_default());
    let identity = judgement.identity().map(str::to_owned);
    Ok(identity.filter(|_| judgement.verdict() == Verdict::Accepted))
}
