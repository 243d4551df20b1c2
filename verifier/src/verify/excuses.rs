//! What policies excuse: their exceptions and baselines, each where it is in force.

use std::{
    cell::OnceCell,
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
    sync::Arc,
};

use notme_core::time::UnixTime;

use super::JudgedObject;
use crate::{
    judge::Excuse,
    order::index,
    policy::Policy,
    repository::{ObjectId, Repository, RepositoryError, Selection},
};

/// What stands for a rule where a policy takes history as it is.
pub(crate) const BASELINE: &str = "at or before the baseline";

/// What accepts an object that the steps do not: an exception that a policy makes, or its baseline,
/// at or before which history is taken as it is.
pub(crate) struct Excuses<'r> {
    repository: &'r Repository,
    grants: Vec<Grant<'r>>,
    /// Which of them are in force at what their ends reach, once somebody asks.
    reached: OnceCell<HashMap<ObjectId, Places>>,
    now: UnixTime,
}

/// Where a policy excuses.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    pub(crate) is_everywhere: bool,
    /// The ends of history at which it is in force.
    pub(crate) ends: Vec<ObjectId>,
}

impl Scope {
    /// Returns that of a policy that counts everywhere.
    pub(crate) fn everywhere() -> Self {
        Self {
            is_everywhere: true,
            ends: Vec::new(),
        }
    }
}

/// A policy that excuses.
struct Grant<'r> {
    policy: &'r Policy,
    scope: Scope,
    /// What lies at or before its baseline, once somebody asks. Policies with the same one share it.
    before: Rc<OnceCell<HashSet<ObjectId>>>,
}

/// Some of the grants, by their places.
type Places = Rc<BTreeSet<usize>>;

impl<'r> Excuses<'r> {
    pub(crate) fn new(
        repository: &'r Repository,
        policies: impl IntoIterator<Item = (&'r Policy, Scope)>,
        now: UnixTime,
    ) -> Self {
        let mut baselines: HashMap<&[String], Rc<_>> = HashMap::new();
        let grants = policies.into_iter().map(|(policy, scope)| Grant {
            policy,
            scope,
            before: Rc::clone(baselines.entry(policy.baseline()).or_default()),
        });
        Self {
            repository,
            grants: grants.collect(),
            reached: OnceCell::new(),
            now,
        }
    }

    /// Accepts an object if there is something to excuse, and something excuses it. `on` is the
    /// commit: the object, or what a tag is on.
    pub(crate) fn excuse(
        &self,
        object: &mut JudgedObject,
        on: ObjectId,
    ) -> Result<(), RepositoryError> {
        if !object.judgement.is_excusable() {
            return Ok(());
        }
        let excuse = |grant: &Grant<'_>| grant.excuse(self, object.id);
        let said: Vec<_> = self.grants.iter().map(excuse).collect::<Result<_, _>>()?;
        let said = || self.grants.iter().map(|grant| &grant.scope).zip(&said);
        let everywhere =
            said().find_map(|(scope, said)| said.as_ref().filter(|_| scope.is_everywhere));
        let somewhere = said().find_map(|(_, said)| said.as_ref());
        let Some(mut found) = everywhere.or(somewhere) else {
            return Ok(());
        };
        if everywhere.is_none() {
            // Those that are in force there have to agree; where none is, all.
            let reached = once(&self.reached, || self.reached())?;
            let there = reached.get(&on);
            let is_asked = |(place, (scope, _)): &(usize, (&Scope, _))| match there {
                Some(there) => there.contains(place),
                None => !scope.ends.is_empty(),
            };
            for (_, (_, said)) in said().enumerate().filter(is_asked) {
                let Some(said) = said else { return Ok(()) };
                found = said;
            }
        }
        object.judgement.excused(found.clone());
        Ok(())
    }

    /// Finds which grants are in force at what their ends reach.
    fn reached(&self) -> Result<HashMap<ObjectId, Places>, RepositoryError> {
        let mut reached: HashMap<_, Places> = HashMap::new();
        for (place, grant) in self.grants.iter().enumerate() {
            for end in &grant.scope.ends {
                Rc::make_mut(reached.entry(*end).or_default()).insert(place);
            }
        }
        let selection = Selection::of(reached.keys().copied(), []);
        let mut walk = self.repository.walk(&selection)?;
        walk.by_ref().for_each(drop);
        let graph = walk.into_graph();
        let nodes = graph.nodes();
        for node in graph
            .children_first()
            .into_iter()
            .filter_map(|it| nodes.get(it))
        {
            let Some(own) = reached.get(&node.id).cloned() else {
                continue;
            };
            let parents = node.parents.as_deref().unwrap_or_default().iter();
            for parent in parents.filter_map(|parent| nodes.get(index(*parent))) {
                let theirs = reached.entry(parent.id).or_insert_with(|| Rc::clone(&own));
                if !own.is_subset(theirs) {
                    Rc::make_mut(theirs).extend(&*own);
                }
            }
        }
        Ok(reached)
    }
}

impl Grant<'_> {
    fn excuse(
        &self,
        excuses: &Excuses<'_>,
        id: ObjectId,
    ) -> Result<Option<(Excuse, Arc<str>)>, RepositoryError> {
        if let Some((by, _)) = self.policy.exception(&id.to_string(), excuses.now) {
            return Ok(Some((Excuse::Exception, Arc::clone(by))));
        }
        let ends = self.policy.baseline();
        let before = once(&self.before, || excuses.repository.reached_by(ends))?;
        let is_before = before.contains(&id);
        Ok(is_before.then(|| (Excuse::Baseline, BASELINE.into())))
    }
}

/// Makes something the first time that somebody asks.
fn once<T>(
    cell: &OnceCell<T>,
    make: impl FnOnce() -> Result<T, RepositoryError>,
) -> Result<&T, RepositoryError> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}
