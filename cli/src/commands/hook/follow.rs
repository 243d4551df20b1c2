//! Statements that follow commits which are rewritten.

use std::{
    collections::HashSet,
    io::{self, Write as _},
};

use notme_attest::{
    make::CommitSubject,
    store::Place,
    verify::{Asked, Attestations, Attested, counted},
};
use notme_core::identity::AgentName;
use notme_verifier::Verdict;

use crate::{
    commands::attest::{Archive, Course, Next, course, succeed_as},
    failure::Failure,
    git,
    home::Home,
    judging::Grounds,
};

/// What `post-rewrite` is told: `OLD NEW` lines.
pub(super) fn rewritten(home: &Home, archive: Archive, input: &[u8]) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(input);
    let pairs: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect();
    if course::directory().is_none() {
        return follow(home, &archive, &pairs);
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

/// Outside of a run: where somebody trusted states something about the work on the old commits, states what
/// took their place, if an agent signs here.
pub(super) fn follow(
    home: &Home,
    archive: &Archive,
    pairs: &[(String, String)],
) -> Result<(), Failure> {
    let mut froms = Vec::new();
    for (from, _) in pairs {
        if archive.store.count(&Place::commit(from))? > 0 {
            froms.push(from.clone());
        }
    }
    if froms.is_empty() {
        return Ok(());
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
        return Ok(());
    }
    let key = git::value("user.signingkey")?;
    match key.and_then(|key| key.parse::<AgentName>().ok()) {
        Some(agent) => succeed_as(home, &agent, &stated),
        None => {
            writeln!(
                io::stderr(),
                "note: what is attested about {} rewritten commits does not follow them, since no \
                 agent signs here; `notme attest succeed --agent NAME` states it",
                stated.len()
            )?;
            Ok(())
        }
    }
}

/// Tells whether somebody trusted states something about the work on a commit that holds, or may come to.
fn is_work(all: &[Attested]) -> bool {
    let holds = |it: &Attested| !matches!(it.verdict, Verdict::Rejected(_));
    counted(all).any(|it| holds(it) && it.as_evidence().is_some())
}
