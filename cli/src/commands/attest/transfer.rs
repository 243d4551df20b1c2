//! Statements that travel: to and from remotes, and files.

use std::io::{self, Write as _};

use notme_attest::{
    Bundle,
    make::{self, places},
    rosary,
    store::{Place, Shelf},
};
use notme_core::{hex, json::Object, key::sha256, statement::Statement};

use super::{Archive, Author};
use crate::{
    arguments::attest::{AttestImport, AttestRemote},
    failure::{Exit, Failure, Outcome, read_file},
    git,
    home::Home,
    judging::now,
};

/// The longest file of bundles.
const FILE_MAX: u64 = 256 * 1024 * 1024;
/// How often a push that lost a race is tried again.
const TRIES: usize = 5;

pub(super) fn fetch(arguments: &AttestRemote) -> Outcome {
    let archive = Archive::open()?;
    take(&archive, &remote(arguments)?)?;
    Ok(Exit::Yes)
}

pub(super) fn push(arguments: &AttestRemote) -> Outcome {
    let archive = Archive::open()?;
    let remote = remote(arguments)?;
    let mut last = None;
    for _ in 0..TRIES {
        take(&archive, &remote)?;
        let ahead = archive.store.ahead_of(&remote)?;
        if ahead.is_empty() {
            return Ok(Exit::Yes);
        }
        let references: Vec<_> = ahead.into_iter().map(Shelf::reference).collect();
        // Without force: what somebody else sent meanwhile is taken first.
        match git::push(&remote, &references) {
            Ok(()) => return Ok(Exit::Yes),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error.into()),
        None => Ok(Exit::Yes),
    }
}

/// Fetches what a remote has, and takes it.
fn take(archive: &Archive, remote: &str) -> Result<(), Failure> {
    git::fetch(remote, &Shelf::refspec(remote))?;
    let merged = archive.store.merge(remote, now())?;
    let mut talk = io::stderr().lock();
    if !merged.added.is_empty() {
        writeln!(talk, "{} statements were new", merged.added.len())?;
    }
    if merged.ignored > 0 {
        writeln!(
            talk,
            "note: {} files of the remote are no statements, or not what their names say; left out",
            merged.ignored
        )?;
    }
    Ok(())
}

fn remote(arguments: &AttestRemote) -> Result<String, Failure> {
    if let Some(remote) = &arguments.remote {
        return Ok(remote.clone());
    }
    git::push_remote()?.ok_or_else(|| {
        Failure::usage("there is no remote").hint("name one: `notme attest push REMOTE`")
    })
}

pub(super) fn import(home: &Home, arguments: &AttestImport) -> Outcome {
    if let Some(directory) = &arguments.rosary {
        return import_rosary(home, arguments, directory);
    }
    if arguments.file.is_empty() {
        return Err(Failure::usage("no file was named").hint("`-` reads stdin"));
    }
    let archive = Archive::open()?;
    let mut bundles = Vec::new();
    for file in &arguments.file {
        let content = read_file(file, FILE_MAX)?;
        // One bundle, however it is laid out, or one on each line.
        if Bundle::from_json(&content).is_ok() {
            bundles.push(keepable(&archive, content)?);
            continue;
        }
        for line in content.split(|byte| *byte == b'\n') {
            if !line.trim_ascii().is_empty() {
                bundles.push(keepable(&archive, line.to_vec())?);
            }
        }
    }
    archive.store.write(&bundles, now())?;
    writeln!(io::stderr(), "{} statements were kept", bundles.len())?;
    Ok(Exit::Yes)
}

/// Finds where a bundle belongs, by what it speaks of. It is judged when somebody asks.
fn keepable(archive: &Archive, content: Vec<u8>) -> Result<(Vec<u8>, Vec<Place>), Failure> {
    let bundle = Bundle::from_json(&content)?;
    let statement = Statement::parse(bundle.envelope().payload())?;
    notme_attest::store::check_public(statement.predicate())?;
    let mut places = Vec::new();
    for commit in statement.digests("gitCommit") {
        places.push(Place::commit(commit));
        if let Some(facts) = archive.store.commit(commit)? {
            places.push(Place::tree(&facts.tree));
        }
    }
    let activity = statement.predicate().get("activity");
    let activity = activity.and_then(|it| it.get("id")?.as_str());
    places.extend(activity.map(Place::activity));
    match places.is_empty() {
        true => Err(Failure::usage(
            "a bundle speaks of no commit and of no activity",
        )),
        false => Ok((content, places)),
    }
}

/// States the handoffs of a directory as what they are: somebody else's, with known weaknesses.
fn import_rosary(home: &Home, arguments: &AttestImport, directory: &std::path::Path) -> Outcome {
    let archive = Archive::open()?;
    let revisions: Vec<_> = match &*arguments.file {
        [] => vec!["HEAD".to_owned()],
        named => named
            .iter()
            .map(|revision| revision.display().to_string())
            .collect(),
    };
    let commits = archive.commits(&revisions)?;
    let imported = rosary::import(directory)?;
    let mut talk = io::stderr().lock();
    for weakness in &imported.weaknesses {
        writeln!(talk, "note: {}", notme_verifier::report::escape(weakness))?;
    }
    let mut author = Author::new(home, &archive, arguments.agent.as_ref())?;
    for (handoff, (name, content)) in imported.handoffs.iter().zip(&imported.files) {
        let mut predicate = Object::new();
        let mut put = |member: &str, value: String| {
            predicate.insert(member.to_owned(), value.into());
        };
        put("handoffDocument", name.clone());
        put(
            "documentHash",
            format!("sha256:{}", hex::encode(&sha256(content))),
        );
        put("chainHash", handoff.rosary_chain_hash());
        if let Some(previous) = &handoff.previous_chain_hash {
            put("previousChainHash", previous.clone());
        }
        put("fromPhase", handoff.phase.to_string());
        predicate.insert("weaknesses".to_owned(), imported.weaknesses.clone().into());
        let document = Some((name.as_str(), content.as_slice()));
        let statement = make::handoff(predicate, document, &commits)?;
        author.sign(&statement, places(&commits, None))?;
    }
    author.keep()
}
