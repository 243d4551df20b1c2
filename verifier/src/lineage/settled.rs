//! Commits that an earlier run accepted, and that stay accepted: nobody goes beyond them again.
//!
//! That a commit is accepted rests on its parents and theirs, on the trust root, the trust and the
//! ref, and on the clock. It is kept only where nothing else can change it: not what others state, not
//! a descendant whose time is surer than its own, not a parent that was refused and may not be the
//! next time. docs/formats/cache.md goes through all of it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use notme_core::time::UnixTime;

use super::{Bond, Course, Judged, Lineage, Policies, State, Step, Until, lock};
use crate::{
    cache::{Context, Reader, Shelf, Writer},
    order::Order,
    recall::id_length,
    repository::{Entry, Graph, Memory, ObjectId, Remembered, RepositoryError, Selection, Trees},
    verdict::{Code, TimeBasis},
};

/// How many selected objects are kept apart; of more, all is judged anew.
const SELECTED_MAX: usize = 10_000;

/// A commit that was accepted before.
pub(super) struct Ended {
    pub(super) course: Course,
    /// The latest time, of it or an ancestor, that stands on more than its own word.
    pub(super) strong: Option<UnixTime>,
    /// What its parents are to it; none where all were judged and are its line.
    pub(super) bonds: Box<[Bond]>,
}

type AllEnded = Arc<Mutex<HashMap<ObjectId, Ended>>>;

/// Where they are kept.
pub(super) struct Recorded<'l> {
    shelf: Shelf,
    policies: &'l Policies<'l>,
    trees: Trees,
}

/// Where a walk looks for them.
pub(super) struct Settled<'l> {
    recorded: Arc<Mutex<Recorded<'l>>>,
    /// What is asked about, and judged in any case.
    selected: HashSet<ObjectId>,
    ended: AllEnded,
}

impl<'l> Settled<'l> {
    /// Returns where they are kept.
    pub(super) fn recorded(&self) -> Arc<Mutex<Recorded<'l>>> {
        Arc::clone(&self.recorded)
    }

    /// Returns those at which a walk ended, to be looked at when it is over.
    pub(super) fn ended(&self) -> AllEnded {
        Arc::clone(&self.ended)
    }

    pub(super) fn boxed(self) -> Box<dyn Memory + 'l> {
        Box::new(self)
    }
}

impl Recorded<'_> {
    /// Returns what was kept of a commit, if it still stands.
    pub(super) fn read(&mut self, id: &ObjectId) -> Option<Ended> {
        let entry = self.shelf.get(id)?;
        let mut from = Reader::new(entry);
        let (since, until) = (from.time()?, Until::read(&mut from)?);
        let descends = match from.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let length = id_length(self.policies.hash);
        let (blob, brought) = (from.take(length)?, from.take(length)?);
        let strong = from.maybe(Reader::time)?;
        let bonds = from.bytes()?.iter();
        let bonds = bonds
            .map(|byte| Bond::from_byte(*byte))
            .collect::<Option<_>>()?;
        let now = self.policies.now;
        if !from.is_at_end() || now < since || !until.holds(now, self.policies.trust) {
            return None;
        }
        let held = Entry::file(ObjectId::try_from(blob).ok()?);
        let policy = self.policies.load(&self.trees, held).ok()?;
        let course = Course {
            policy,
            since: ObjectId::try_from(brought).ok()?,
            descends,
            until,
        };
        Some(Ended {
            course,
            strong,
            bonds,
        })
    }
}

impl Memory for Settled<'_> {
    fn recall(&mut self, _: &ObjectId) -> Option<Remembered> {
        None
    }

    fn ends_at(&mut self, id: &ObjectId) -> bool {
        if self.selected.contains(id) {
            return false;
        }
        let Some(ended) = lock(&self.recorded).read(id) else {
            return false;
        };
        lock(&self.ended).insert(*id, ended);
        true
    }
}

impl Lineage<'_> {
    /// Opens what earlier runs accepted; `None` when nothing is kept, or everything is asked about.
    pub(super) fn settled(
        &self,
        selection: &Selection,
    ) -> Result<Option<Settled<'_>>, RepositoryError> {
        let shelf = self.shelf(selection).filter(|shelf| !shelf.is_empty());
        // What goes on from the end of a main branch is seen by walking all the way.
        let is_short = selection.is_bounded() && selection.main().is_none();
        let Some(shelf) = shelf.filter(|_| is_short) else {
            return Ok(None);
        };
        let walk = self.repository.walk(selection)?;
        let recorded = Recorded {
            shelf,
            policies: &self.policies,
            trees: self.repository.trees(),
        };
        let settled = Settled {
            recorded: Arc::new(Mutex::new(recorded)),
            selected: walk.take(SELECTED_MAX + 1).map(|it| it.id).collect(),
            ended: AllEnded::default(),
        };
        Ok((settled.selected.len() <= SELECTED_MAX).then_some(settled))
    }

    /// Keeps what this run accepted and no run will see otherwise. `strong` has for each node what an
    /// [`Ended`] has.
    pub(super) fn keep(
        &self,
        graph: &Graph,
        judged: &Judged<'_>,
        strong: &[Option<UnixTime>],
        selection: &Selection,
    ) {
        let (Some(cache), Some(mut known)) = (&self.cache, self.shelf(selection)) else {
            return;
        };
        let now = self.policies.now;
        let context = self.context(selection);
        let mut filling = None;
        for (node, strong) in graph.nodes().iter().zip(strong) {
            let Some(State::Accepted(course)) = judged.states.get(&node.id) else {
                continue;
            };
            if !course.until.holds(now, self.policies.trust) || known.get(&node.id).is_some() {
                continue;
            }
            let begin = || cache.fill(context, id_length(self.policies.hash));
            let Some(filling) = filling.get_or_insert_with(begin) else {
                return;
            };
            let mut to = Writer::default();
            to.time(now);
            course.until.write(&mut to);
            to.byte(u8::from(course.descends));
            to.raw(course.policy.blob.as_slice());
            to.raw(course.since.as_slice());
            to.maybe(*strong, Writer::time);
            let bonds = judged.bonds(&node.id).iter();
            to.bytes(&bonds.map(|bond| bond.to_byte()).collect::<Vec<_>>());
            filling.add(node.id, &to.into_bytes());
        }
        if let Some(Some(filling)) = filling {
            filling.finish();
        }
    }

    fn shelf(&self, selection: &Selection) -> Option<Shelf> {
        let cache = self.cache.as_ref()?;
        // In a shallow clone a name does not stand for all that a commit goes on from.
        let boundary = self.repository.shallow_boundary();
        if !boundary.is_ok_and(|boundary| boundary.is_empty()) {
            return None;
        }
        Some(cache.shelf(self.context(selection), id_length(self.policies.hash)))
    }

    fn context(&self, selection: &Selection) -> Context {
        let reference = selection.reference();
        let names = self.repository.known_as().join("\n");
        let grounds = [
            &*self.root.to_string(),
            self.judge().trust_content(),
            if reference.is_some() { "on" } else { "" },
            reference.unwrap_or_default(),
            &names,
        ];
        Context::new("accepted", self.policies.hash, &grounds)
    }
}

impl Step<'_, '_> {
    /// Returns until when the accepted commit stays accepted; never, where that is not known.
    pub(super) fn stands_until(&self, basis: Option<TimeBasis>, ends: Until) -> Until {
        let is_sure = || basis > Some(TimeBasis::DagOrdered) || self.is_sure();
        if self.lineage.cache.is_none() || !is_sure() {
            return Until::NEVER;
        }
        // Who merged it is another question each time.
        let reference = self.ground.reference_of(self.number);
        if self.record.examined.is_beyond(reference) {
            return Until::NEVER;
        }
        let Some(parents) = self.ground.parents_of(self.number) else {
            return Until::NEVER;
        };
        let first = (self.lineage.judge(), Until::ALWAYS);
        let mut judged = Vec::new();
        for (id, is_hidden) in parents {
            match self.judged.state(&id) {
                Some(State::Accepted(course)) => judged.push(course),
                // That does not change.
                Some(State::Rejected(Code::Unsigned)) => {}
                None if is_hidden => {}
                Some(State::Rejected(_) | State::Undecided) | None => return Until::NEVER,
            }
        }
        let others = judged.iter().map(|it| (&it.policy.judge, it.until));
        let mut until = ends;
        for (judge, parent) in others.chain([first]) {
            if judge.asks_others() {
                return Until::NEVER;
            }
            until = until.min(parent).min(Until::fresh_for(judge.policy()));
        }
        until
    }

    /// Tells whether the commit is accepted however its date fits those of its descendants.
    fn is_sure(&self) -> bool {
        let alone = Self {
            order: Order::Unknown,
            ..*self
        };
        self.order != Order::Consistent || matches!(alone.judge().1, State::Accepted(_))
    }
}
