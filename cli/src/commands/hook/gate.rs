//! A gate: what came in is recorded, with the time and the gate's signature.
//!
//! `pre-receive` has it signed before it judges, since the policy may ask for such records;
//! `post-receive` has it signed once more and keeps it, when it is known what did come in.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    time::Duration,
};

use notme_attest::{make, predicate::Receive, store::Place};
use notme_core::{identity::AgentName, json::Object};
use notme_git_hooks::receive::{self, Update};
use notme_verifier::{Judge, Policy, Repository, Verdict, report::escape, repository::ObjectId};

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
};

/// The agent that signs the records.
const GATE: &str = "notme.gate";
/// The URI by which they name the repository.
const REPOSITORY: &str = "notme.repository";
/// How long whoever pushes waits for them.
const DEADLINE: Duration = Duration::from_secs(60);
/// The most commits of one record.
const COMMITS_MAX: usize = 1000;

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

/// Has the gate sign what a push brings that was not there before it, if there is a gate.
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
    let hidden = seen_before((repository, ground), updates)?;
    let mut wanted = Vec::new();
    for update in updates {
        let Some(new) = update.new.filter(|_| ground.rules.verify(&update.name)) else {
            continue;
        };
        let new = repository.select_reached(&update.name, &[repository.peel(new)?], &hidden)?;
        let commits = repository.commits(&new)?;
        let commits: Vec<_> = commits.iter().map(ToString::to_string).collect();
        if !commits.is_empty() {
            wanted.push((update, commits));
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let pusher = pusher(home, settings)?;
    let mut hand = Hand::of(home, Some(&gate))?;
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

/// Returns what the refs named before the push, whose commits were there already. Those of refs that are
/// not verified were not recorded.
fn seen_before(
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
