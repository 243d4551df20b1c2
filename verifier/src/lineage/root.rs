//! Where judging begins: the commit that a caller trusts, by its id or by the key that signed it.

use std::{collections::HashMap, fmt};

use notme_core::{key::KeyId, object::HashKind, time::UnixTime};

use super::LineageError;
use crate::{
    judge::Judge,
    policy::Policy,
    repository::{Content, Found, ObjectId, Repository, Selection, Trees},
    trust::Trust,
    verdict::Verdict,
    verify::{self, JudgedObject},
};

/// Where judging begins: what the caller trusts without being shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrustRoot {
    /// A commit, by its full id.
    Commit(ObjectId),
    /// The key that signed the commit which brought the first policy.
    Key(KeyId),
}

impl std::str::FromStr for TrustRoot {
    type Err = TrustRootError;

    /// Reads a full object id or a key id. Other names are the repository's to give, and so
    /// nothing to begin with.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if HashKind::of_object_id(text.as_bytes()).is_some() {
            let id = ObjectId::from_hex(text.as_bytes());
            return id.map(Self::Commit).map_err(|_| TrustRootError);
        }
        text.parse().map(Self::Key).map_err(|_| TrustRootError)
    }
}

impl fmt::Display for TrustRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(id) => id.fmt(f),
            Self::Key(kid) => kid.fmt(f),
        }
    }
}

/// The text names no trust root.
#[derive(Debug, thiserror::Error)]
#[error("a trust root is a full commit id, or a key id of 32 hexadecimal digits")]
pub struct TrustRootError;

/// Finds the one commit that brings a first policy and is signed by a key.
pub(super) fn brought_by(
    repository: &Repository,
    selection: &Selection,
    kid: KeyId,
    (trust, now): (&Trust, UnixTime),
) -> Result<ObjectId, LineageError> {
    // Whoever makes a branch chooses what it reaches, so that all is looked at that is here.
    let refs = repository.references("refs/")?.into_iter();
    let ends = selection.ends().chain(refs.map(|(_, id)| id));
    let ends = ends.chain(repository.head().ok());
    let tips = ends.filter_map(|id| repository.peel(id).ok());
    let everything = Selection::of(tips, []);
    let has_policy = |trees: &mut Trees, found: Found| {
        let Content::Raw(_, raw) = &found.content else {
            return None;
        };
        let tree = trees.in_commit(found.id, raw).ok()?;
        let has_policy = trees.own_in(tree).ok()?.policy.is_some();
        Some((found.id, (has_policy, found.parents)))
    };
    let walk = repository.walk(&everything)?;
    let commits = verify::on_all_cores(walk, repository.trees(), has_policy);
    let commits: HashMap<_, _> = commits.into_iter().flatten().collect();
    let lacks = |id: &ObjectId| commits.get(id).is_some_and(|(has_policy, _)| !has_policy);
    let policy = Policy::from_trust(trust);
    let judge = Judge::new(&policy, trust, now);
    let mut found: Option<ObjectId> = None;
    for (id, (has_policy, parents)) in &commits {
        if !has_policy || !parents.iter().all(lacks) {
            continue;
        }
        let alone = Selection::of([*id], parents.iter().copied());
        let outcome = verify::verify_range(repository, &alone, &judge)?;
        let mut judgements = outcome.objects().iter().map(JudgedObject::judgement);
        let is_signed =
            judgements.any(|it| it.verdict() == Verdict::Accepted && it.kid() == Some(kid));
        if !is_signed {
            continue;
        }
        if let Some(one) = found {
            let (one, other) = (one.min(*id), one.max(*id));
            return Err(LineageError::Ambiguous { one, other });
        }
        found = Some(*id);
    }
    found.ok_or(LineageError::NotBrought(kid))
}
