//! What a repository keeps about its commits, for whoever judges those.

use std::{collections::HashMap, sync::Arc};

use notme_attest::{ByPolicy, Store, predicate::Level, verify::level};
use notme_verifier::{
    Cache, Judge, Lineage, Repository,
    stated::Statements,
    verify::{ObjectAttestations, Portion},
};

use crate::{failure::Failure, judging::Grounds, repository::object_directories};

/// Opens what a repository keeps, where a hook sees what a push has brought, too.
pub(crate) fn store_of(repository: &Repository) -> Result<Store, Failure> {
    let (first, alternates) = object_directories()?;
    let directories = first.into_iter().chain(alternates).collect();
    Ok(Store::of(repository).with_objects(directories))
}

/// Opens what a repository keeps; `None` when that is nothing.
///
/// # Errors
/// [`Failure`] when it cannot be read.
pub(crate) fn kept_in(repository: &Repository) -> Result<Option<Store>, Failure> {
    let store = store_of(repository)?;
    Ok(if store.is_empty()? { None } else { Some(store) })
}

/// Adds what is attested to the verdicts on commits, if the repository keeps anything: as the policy
/// has it judged that judged the commit.
///
/// # Errors
/// [`Failure`] when the statements cannot be read: they may hold a refusal.
pub(crate) fn attested(
    attestations: Option<&ByPolicy<'_>>,
    judged: Portion,
    (judge, lineage): (&Judge<'_>, Option<&Lineage<'_>>),
) -> Result<Portion, Failure> {
    let Some(attestations) = attestations else {
        return Ok(judged);
    };
    let commits = judged.objects().iter();
    let commits = commits.filter(|object| object.kind() == Some("commit"));
    let mut by_policy: HashMap<_, Vec<_>> = HashMap::new();
    for object in commits {
        let ids = by_policy.entry(object.judgement().policy()).or_default();
        ids.push(object.id());
    }
    let mut attested = HashMap::new();
    for (digest, ids) in by_policy {
        let policy = digest.and_then(|digest| lineage?.policy(digest));
        let attestations = attestations.of(policy.as_deref().unwrap_or(judge.policy()));
        let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let all = ids.into_iter().zip(attestations.of_all(&names)?);
        attested.extend(all.filter(|(_, all)| !all.is_empty()).map(|(id, all)| {
            let attested = ObjectAttestations {
                attestations: all.iter().map(Into::into).collect(),
                level: level(&all).map(Level::as_str),
            };
            (id, attested)
        }));
    }
    Ok(judged.with_attested(attested))
}

/// Gives whoever judges commits what the repository keeps about them, for rules that ask. The rules
/// say whose words they want; whoever may speak counts.
///
/// # Errors
/// [`Failure`] when the statements or the repository cannot be read.
pub(crate) fn with_statements<T, E>(
    kept: Option<&Store>,
    grounds: (&Grounds, Option<&Arc<Cache>>),
    judge_commits: impl FnOnce(Option<&dyn Statements>) -> Result<T, E>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    with_attestations(kept, grounds, |attestations| {
        judge_commits(attestations.map(|it| -> &dyn Statements { it }))
    })
}

/// As [`with_statements`], for those who tell of them, too.
///
/// # Errors
/// As [`with_statements`].
pub(crate) fn with_attestations<T, E>(
    kept: Option<&Store>,
    (grounds, cache): (&Grounds, Option<&Arc<Cache>>),
    judge_commits: impl FnOnce(Option<&ByPolicy<'_>>) -> Result<T, E>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let Some(store) = kept else {
        return Ok(judge_commits(None)?);
    };
    let attestations = ByPolicy::new(store.clone(), grounds.trust(), grounds.now());
    let attestations = attestations.remembering(cache.cloned());
    Ok(judge_commits(Some(&attestations))?)
}
