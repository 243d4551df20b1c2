//! `notme verify --compromised`: what rests on a key, a session, an identity or an authority that
//! somebody else has.

use std::{
    collections::HashSet,
    io::{self, BufWriter, Write as _},
    sync::Arc,
};

use notme_attest::{Attestations, Store, verify::Asked};
use notme_core::time::UnixTime;
use notme_verifier::{
    Cache, Code, Judge, Policy, Repository,
    radius::{ExposedStatement, Radius},
    report::{write_radius_json, write_radius_text},
    repository::{ObjectId, Selection},
    suspicion::Suspicion,
    verify_with,
};

use super::{interrupt, progress, talk_of};
use crate::{
    arguments::{ReportFormat, Verify},
    failure::{Exit, Failure, Outcome},
    judging::Grounds,
    repository::on_reference,
    shell,
    statements::{kept_in, with_statements},
};

pub(super) fn run(
    repository: &Repository,
    grounds: &Grounds,
    arguments: &Verify,
    (cache, is_no): (Option<&Arc<Cache>>, &mut bool),
) -> Outcome {
    let write = match arguments.format {
        ReportFormat::Text => write_radius_text,
        ReportFormat::Json => write_radius_json,
        _ => {
            let error = "what rests on it is told as text or JSON";
            return Err(Failure::usage(error).hint("`--format text` or `--format json`"));
        }
    };
    let suspicions = suspicions(grounds, arguments)?;
    let (selection, tip) = select(repository, arguments)?;
    let kept = kept_in(repository)?;
    let own = grounds.judge().remembering(cache.cloned());
    let lineage = super::lineage(repository, &selection, grounds, arguments)?;
    let judge = lineage.as_ref().map_or(&own, |lineage| lineage.judge());
    let listening = interrupt::stops(judge.stopper())?;
    let outcome = match &lineage {
        None if grounds.policy().names_all(grounds.trust()) => None,
        None | Some(_) => Some(with_statements(
            kept.as_ref(),
            (grounds, cache),
            |statements| {
                progress::shown(judge, None, |_| match &lineage {
                    None => verify_with(repository, &selection, judge, statements),
                    Some(lineage) => lineage.verify(&selection, statements),
                })
            },
        )?),
    };
    // Whoever hears of a thief takes the key's authority out of the policy first.
    let all = outcome.as_ref().map(|outcome| match &lineage {
        None => Policy::from_trust(grounds.trust()),
        Some(lineage) => lineage.everybody(outcome),
    });
    let beyond = all.as_ref().map(|policy| {
        let beyond = Judge::new(policy, grounds.trust(), grounds.now());
        beyond.remembering(cache.cloned()).stopping_with(judge)
    });
    let judge = beyond.as_ref().unwrap_or(judge);
    let counter = repository.counter(&selection);
    let radius = with_statements(kept.as_ref(), (grounds, cache), |statements| {
        progress::shown(judge, Some(counter), |_| {
            Radius::find(
                repository,
                &selection,
                judge,
                (outcome, statements),
                (suspicions, tip),
            )
        })
    })?;
    listening.end();
    let radius = with_kept(radius, kept, judge)?;
    let radius = radius.asked_by(shell::command_line());
    // A policy of the repository's own may vouch for keys that nobody else knows.
    let is_unasked = lineage.is_none()
        && arguments.policy.is_none()
        && repository.holds_policy()
        && radius.outcome().codes().contains(&Code::SignerUntrusted);
    let radius = match is_unasked {
        true => radius.unasked(),
        false => radius,
    };
    let radius = match arguments.revoked && !Suspicion::is_all_told(grounds.trust()) {
        true => radius.untold(),
        false => radius,
    };
    *is_no = !radius.is_empty();
    let mut out = BufWriter::new(io::stdout().lock());
    write(&radius, &mut out)?;
    out.flush()?;
    drop(out);
    if arguments.format == ReportFormat::Text {
        let _ = talk_of(radius.outcome());
        if is_unasked {
            let code = Code::SignerUntrusted;
            let note = "the repository's own policy may vouch for who signed, and was not asked";
            let _ = writeln!(io::stderr(), "note: {code}: {note}: `--trust-root`");
        }
    }
    let is_looked_at = radius.is_complete() && !radius.outcome().is_of_nothing();
    let is_answered = is_looked_at && radius.is_named();
    Ok(match (radius.is_empty(), is_answered) {
        (false, _) => Exit::No,
        (true, false) => Exit::Undecided,
        (true, true) => Exit::Yes,
    })
}

fn suspicions(grounds: &Grounds, arguments: &Verify) -> Result<Vec<Suspicion>, Failure> {
    let since = arguments.since.unwrap_or(UnixTime::from_secs(0));
    let named = arguments.compromised.iter();
    let mut suspicions = named
        .map(|name| {
            let suspicion = Suspicion::of(name, since, grounds.trust());
            suspicion.map_err(|error| match name.contains('@') {
                true => Failure::usage(error).hint(format!("an address is `mailto:{name}`")),
                false => Failure::usage(error)
                    .hint("`ssh-keygen -lf FILE` says a key's fingerprint: `SHA256:…`"),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if arguments.revoked {
        suspicions.extend(Suspicion::revoked(grounds.trust()));
    }
    Ok(suspicions)
}

/// Returns what to look at: all branches and tags, unless somebody names something. Lines are
/// looked for at its end, or at HEAD.
fn select(repository: &Repository, arguments: &Verify) -> Result<(Selection, ObjectId), Failure> {
    if arguments.range.is_none() {
        let all = repository.select_all()?.and(repository.select_tags()?);
        return Ok((
            on_reference(all, arguments.reference.as_deref())?,
            repository.head()?,
        ));
    }
    let selection = super::select(repository, arguments)?;
    let tip = match arguments.range {
        Some(_) => selection.first().map_or_else(|| repository.head(), Ok)?,
        None => repository.head()?,
    };
    Ok((selection, tip))
}

/// Adds the statements that rest on it, and what statements name.
fn with_kept(
    mut radius: Radius,
    kept: Option<Store>,
    judge: &Judge<'_>,
) -> Result<Radius, Failure> {
    let Some(store) = kept else {
        return Ok(radius);
    };
    let attestations = Attestations::new(store, judge, Asked::default());
    let commits = radius.outcome().objects().iter();
    let commits = commits.filter(|object| object.kind() == Some("commit"));
    let names: Vec<_> = commits.map(|object| object.id().to_string()).collect();
    let signed = attestations.signed_so(&names, |judgement| radius.concern(judgement))?;
    let (mut statements, mut seen) = (Vec::new(), HashSet::new());
    for it in signed {
        radius.note(&it.found);
        if let Some(exposure) = it.found.exposure
            && seen.insert(it.digest.clone())
        {
            statements.push(ExposedStatement {
                digest: it.digest,
                predicate_type: it.predicate_type,
                commit: it.commit,
                exposure,
            });
        }
    }
    Ok(radius.with_statements(statements))
}
