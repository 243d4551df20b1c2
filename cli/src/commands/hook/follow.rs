//! Statements that follow commits which are rewritten.

use std::{
    collections::HashSet,
    ffi::OsStr,
    io::{self, Write as _},
};

use notme_attest::{
    make::CommitSubject,
    store::{Place, TRAILER},
    verify::{Asked, Attestations, Attested, counted, level},
};
use notme_core::identity::AgentName;
use notme_verifier::{Verdict, report::escape};

use super::is_rebasing;
use crate::{
    commands::attest::{Archive, Course, Next, course, succeed_as},
    failure::Failure,
    git,
    home::Home,
    judging::Grounds,
    shell::quoted,
};

/// What `post-rewrite` is told: the command that rewrote, and `OLD NEW` lines.
pub(super) fn rewritten(
    home: &Home,
    archive: Archive,
    (command, input): (&OsStr, &[u8]),
) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(input);
    let pairs: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect();
    if course::directory().is_none() {
        let followed = follow(home, &archive, &pairs)?;
        return match command == "amend" {
            true => tell_lost(home, &archive, &followed),
            false => Ok(()),
        };
    }
    let Some(course) = Course::here(home, archive)? else {
        return Ok(());
    };
    let mut next = Next::default();
    for (from, to) in pairs {
        let Some(facts) = course.archive().store.commit(&to)? else {
            continue;
        };
        // What is not signed is not stated as work of the agent; it was told when it was made.
        if super::is_unsigned(&course, &facts.raw)? {
            continue;
        }
        let commit = CommitSubject::new(&to, &facts);
        if !next.commits.contains(&commit) {
            next.commits.push(commit);
        }
        next.succeeds.extend(super::succession(&course, from, to)?);
    }
    match next.commits.is_empty() {
        true => Ok(()),
        false => course.record(&next),
    }
}

/// Says where an amended commit lost its level with the heads of chains that its message carried.
fn tell_lost(home: &Home, archive: &Archive, pairs: &[(String, String)]) -> Result<(), Failure> {
    for (from, to) in pairs {
        let (Some(old), Some(new)) = (archive.store.commit(from)?, archive.store.commit(to)?)
        else {
            continue;
        };
        let lost = old.trailers.iter();
        let lost: Vec<_> = lost.filter(|it| !new.trailers.contains(it)).collect();
        if lost.is_empty() {
            continue;
        }
        let grounds = Grounds::load(home, None, None)?;
        let judge = grounds.judge();
        // A run that goes on closes its chain later.
        let asked = Asked {
            open: true,
            ..Asked::default()
        };
        let attestations = Attestations::new(archive.store.clone(), &judge, asked);
        let (was, is) = (attestations.of(from)?, attestations.of(to)?);
        // What the same agent stated goes along without.
        if let Some(was) = level(&was).filter(|was| level(&is) < Some(*was)) {
            let lost = lost.iter().map(|head| format!("{TRAILER}: {head}"));
            let lost: Vec<_> = lost.collect();
            // A command would amend whatever is at HEAD when it is run.
            let is_at_hand = archive.store.head().as_ref() == Some(to) && !is_rebasing(archive);
            let remedy = match is_at_hand {
                true => regain(from, &lost),
                false => format!(
                    "one that has `{}` again is, once `notme attest succeed` says that it took the place of \
                     {from}",
                    lost.join("`, `")
                ),
            };
            writeln!(
                io::stderr(),
                "note: commit {to} is not {} any more, as {from} was, since its message has no `{TRAILER}` \
                 as that one had; {}",
                was.as_str(),
                escape(&remedy)
            )?;
        }
    }
    Ok(())
}

/// Returns the command that gives the commit at HEAD its trailers back. That one without them came between
/// is seen past only where it is said that the new one took the place of the one that had them.
fn regain(from: &str, trailers: &[String]) -> String {
    let trailers = trailers.iter().map(|it| quoted(it));
    let trailers: String = trailers.map(|it| format!(" --trailer {it}")).collect();
    format!(
        "this gives it back: git commit --amend --only --allow-empty --no-edit{trailers} && \
         echo \"{from} $(git rev-parse HEAD)\" | notme attest succeed"
    )
}

/// Outside of a run: where somebody trusted states something about the work on the old commits, states what
/// took their place, if an agent signs here. Returns what was stated.
pub(super) fn follow(
    home: &Home,
    archive: &Archive,
    pairs: &[(String, String)],
) -> Result<Vec<(String, String)>, Failure> {
    let mut froms = Vec::new();
    for (from, _) in pairs {
        if archive.store.count(&Place::commit(from))? > 0 {
            froms.push(from.clone());
        }
    }
    if froms.is_empty() {
        return Ok(Vec::new());
    }
    let grounds = Grounds::load(home, None, None)?;
    let judge = grounds.judge();
    let attestations = Attestations::new(archive.store.clone(), &judge, Asked::default());
    let mut judged = attestations.of_all(&froms)?.into_iter();
    froms.retain(|_| judged.next().is_some_and(|all| is_work(&all)));
    // Of a commit that took the place of several, all are stated: one of them may be nobody's work.
    let taken = pairs.iter().filter(|(from, _)| froms.contains(from));
    let taken: HashSet<_> = taken.map(|(_, to)| to).collect();
    let stated = pairs.iter().filter(|(_, to)| taken.contains(to));
    let stated: Vec<_> = stated.cloned().collect();
    if stated.is_empty() {
        return Ok(stated);
    }
    let key = git::value("user.signingkey")?;
    match key.and_then(|key| key.parse::<AgentName>().ok()) {
        Some(agent) => {
            succeed_as(home, &agent, &stated)?;
            Ok(stated)
        }
        None => {
            writeln!(
                io::stderr(),
                "note: what is attested about {} rewritten commits does not follow them, since no \
                 agent signs here; `notme attest succeed --agent NAME` states it",
                stated.len()
            )?;
            Ok(Vec::new())
        }
    }
}

/// Tells whether somebody trusted states something about the work on a commit that holds, or may come to.
fn is_work(all: &[Attested]) -> bool {
    let holds = |it: &Attested| !matches!(it.verdict, Verdict::Rejected(_));
    counted(all).any(|it| holds(it) && it.as_evidence().is_some())
}
