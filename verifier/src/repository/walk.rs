//! Walking history once, each object read once.
//!
//! Commits come out newest first, by committer date, as `git rev-list` gives them. A commit is
//! read when a child names it, since its date decides its place in the queue; its bytes wait
//! there, are handed out for judging, and are gone. What stays is the graph.
//!
//! What the hidden commits reach is painted hidden. Painting goes on until the queue holds only
//! hidden commits older than everything handed out, so that a commit found hidden too late is
//! dropped from the graph again. With dates that lie, a commit may be judged although it is
//! hidden; none is passed over that is not. Where all that is asked for leads to the one hidden commit, and
//! nowhere else, nothing of it is hidden, and nobody looks behind that.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashSet},
};

use gix::{
    ObjectId,
    objs::{CommitRefIter, Kind, TagRefIter},
};
use notme_core::{object::ObjectKind, time::UnixTime};

use super::{
    names::Names,
    objects::{Got, Objects},
    selection::Selection,
};
use crate::{
    judge::Examined,
    order::{self, index},
};

/// Somebody who knows objects from before.
pub(crate) trait Memory: Send {
    /// Returns what there is to know of an object, if it is known.
    fn recall(&mut self, id: &ObjectId) -> Option<Remembered>;

    /// Tells whether an object is not to be judged again, nor what it reaches.
    fn ends_at(&mut self, id: &ObjectId) -> bool;
}

/// What is known of an object that was read before.
pub(crate) struct Remembered {
    pub(crate) kind: ObjectKind,
    pub(crate) time: Option<UnixTime>,
    pub(crate) parents: Vec<ObjectId>,
    pub(crate) examined: Examined,
}

/// The longest commit or tag that is read. A real one is a few
/// kilobytes.
pub const OBJECT_MAX: u64 = 16 << 20;
/// How many bytes wait in the queue at most: of a merge with ten thousand parents, say. What is
/// beyond is read twice.
const HELD_MAX: usize = 32 << 20;
/// So many commits are read beforehand, to see whether all of them lead to the hidden one.
const AHEAD_MAX: usize = 64;
/// How many of those behind what was asked for are looked at when nothing is left to find: an older date may
/// stand before what was handed out. As many as git looks at.
const BEYOND_MAX: usize = 5;

/// An iterator over the objects of a selection.
pub(crate) struct Walk<'s> {
    objects: Objects,
    memory: Option<Box<dyn Memory + 's>>,
    /// Where a shallow clone ends.
    shallow: HashSet<ObjectId>,
    alone: std::slice::Iter<'s, ObjectId>,
    queue: BinaryHeap<Waiting>,
    /// How many in the queue are not hidden.
    wanted: usize,
    /// Whether what is wanted leads to the one hidden commit, and nowhere else.
    is_onward: bool,
    /// How many bytes of objects wait in the queue.
    held: usize,
    /// The oldest date handed out.
    oldest: UnixTime,
    /// How many hidden ones, one after the other, were older than that.
    beyond: usize,
    /// The node of each object.
    names: Names,
    graph: Graph,
}

/// The objects that were met, and which of them were handed out.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    order: Vec<u32>,
}

/// An object that was met.
pub(crate) struct Node {
    pub(crate) id: ObjectId,
    kind: Option<Kind>,
    /// The committer or tagger date; `None` when the object or its date cannot be read.
    pub(crate) time: Option<UnixTime>,
    /// The nodes of its parents, or of a tag's target.
    pub(crate) parents: Parents,
    state: State,
    /// Whether what was not asked for reaches it.
    pub(crate) is_hidden: bool,
}

impl Node {
    /// Returns git's word for what it is; `None` when it is missing.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        self.kind.map(word)
    }

    /// Tells whether it was met for its date only: it is neither asked about nor left out.
    pub(crate) fn is_beside(&self) -> bool {
        self.state == State::Known && !self.is_hidden
    }
}

/// The numbers of nodes; most commits have one parent, which needs no memory of its own.
pub(crate) enum Parents {
    /// They were not looked at.
    Unknown,
    One(u32),
    Others(Box<[u32]>),
}

impl Parents {
    /// Returns them; `None` when they were not looked at.
    pub(crate) fn as_deref(&self) -> Option<&[u32]> {
        match self {
            Self::Unknown => None,
            Self::One(parent) => Some(std::slice::from_ref(parent)),
            Self::Others(parents) => Some(parents),
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    /// Met for its date only.
    Known,
    /// In the queue.
    Waiting,
    /// Through the queue.
    Done,
}

/// An object to judge.
pub(crate) struct Found {
    /// Its place in the order.
    pub(crate) place: usize,
    pub(crate) id: ObjectId,
    pub(crate) content: Content,
    /// The parents or the target that were read from the whole object, and are walked.
    pub(crate) parents: Vec<ObjectId>,
}

/// What the repository has under an object's name.
pub(crate) enum Content {
    /// The bytes of a commit or tag.
    Raw(ObjectKind, Vec<u8>),
    /// Nothing, because they were examined before.
    Known(ObjectKind, Box<Examined>),
    /// Something that is never signed.
    Unsignable(Kind),
    /// More than anybody reads, as what.
    TooLarge(Kind),
    /// Other bytes than the name stands for, of what. They lead nowhere.
    Damaged(Kind),
    /// Nothing that can be read; and the object that needs it.
    Missing(Option<ObjectId>),
}

impl Content {
    /// Reads an object, unless nobody does.
    pub(super) fn of(objects: &Objects, id: &ObjectId) -> Self {
        let header = objects.header(id);
        match header {
            Some((kind @ (Kind::Tree | Kind::Blob), _)) => return Self::Unsignable(kind),
            Some((kind, size)) if size > OBJECT_MAX => return Self::TooLarge(kind),
            Some(_) | None => {}
        }
        let mut raw = Vec::new();
        match objects.get(id, &mut raw) {
            Got::Object(Kind::Commit) => Self::Raw(ObjectKind::Commit, raw),
            Got::Object(Kind::Tag) => Self::Raw(ObjectKind::Tag, raw),
            Got::Object(kind @ (Kind::Tree | Kind::Blob)) => Self::Unsignable(kind),
            Got::Damaged(kind) => Self::Damaged(kind),
            Got::TooLarge => header.map_or(Self::Missing(None), |(kind, _)| Self::TooLarge(kind)),
            Got::Missing => Self::Missing(None),
        }
    }

    /// Returns the parents or the target that it names, if it can be read.
    fn names(&self, hash: gix::hash::Kind) -> Vec<ObjectId> {
        match self {
            Self::Raw(ObjectKind::Commit, raw) => {
                CommitRefIter::from_bytes(raw, hash).parent_ids().collect()
            }
            Self::Raw(ObjectKind::Tag, raw) => {
                let target = TagRefIter::from_bytes(raw, hash).target_id();
                target.into_iter().collect()
            }
            Self::Known(..)
            | Self::Unsignable(_)
            | Self::TooLarge(_)
            | Self::Damaged(_)
            | Self::Missing(_) => Vec::new(),
        }
    }

    /// Returns how much memory it takes.
    fn held(&self) -> usize {
        match self {
            Self::Raw(_, raw) => raw.len(),
            Self::Known(..)
            | Self::Unsignable(_)
            | Self::TooLarge(_)
            | Self::Damaged(_)
            | Self::Missing(_) => 0,
        }
    }
}

impl Found {
    /// An object that was read by itself, wherever the history before it ends.
    pub(crate) fn alone(id: ObjectId, content: Content) -> Self {
        Self {
            place: 0,
            id,
            parents: content.names(id.kind()),
            content,
        }
    }

    /// Tells whether the parents or the target that the signed part names are those walked.
    pub(crate) fn leads_to(&self, named: &[&str]) -> bool {
        let is = |(name, id): (&&str, &ObjectId)| {
            ObjectId::from_hex(name.as_bytes()).is_ok_and(|named| named == *id)
        };
        named.len() == self.parents.len() && named.iter().zip(&self.parents).all(is)
    }
}

/// An object in the queue.
struct Waiting {
    time: UnixTime,
    node: u32,
    /// Absent where it is read again.
    content: Option<Content>,
    parents: Vec<ObjectId>,
}

/// The newest first; among equals the one met first, as in git.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.time.cmp(&other.time).then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

impl<'s> Walk<'s> {
    pub(super) fn new(
        objects: Objects,
        shallow: HashSet<ObjectId>,
        selection: &'s Selection,
        memory: Option<Box<dyn Memory + 's>>,
    ) -> Self {
        let mut walk = Self {
            objects,
            memory,
            shallow,
            alone: selection.alone.iter(),
            queue: BinaryHeap::new(),
            wanted: 0,
            is_onward: false,
            held: 0,
            oldest: UnixTime::from_secs(i64::MAX),
            beyond: 0,
            names: Names::default(),
            graph: Graph::default(),
        };
        let newest = walk.oldest;
        if let [hidden] = selection.hidden[..] {
            walk.is_onward = walk.leads_to(hidden, &selection.tips);
        }
        for id in &selection.hidden {
            walk.hide(*id, newest);
        }
        for id in &selection.tips {
            walk.want(*id, newest, None);
        }
        walk
    }

    /// Returns what was walked, once there is no more.
    pub(crate) fn into_graph(self) -> Graph {
        self.graph
    }

    /// Returns the next commit that the tips reach and the hidden ones do not.
    fn next_reached(&mut self) -> Option<Found> {
        loop {
            let next = self.queue.peek()?;
            let is_beyond = self.wanted == 0 && next.time < self.oldest;
            if self.wanted == 0 && self.is_onward || is_beyond && self.beyond == BEYOND_MAX {
                self.queue.clear();
                return None;
            }
            self.beyond = if is_beyond { self.beyond + 1 } else { 0 };
            let Waiting {
                time,
                node,
                content,
                parents,
            } = self.queue.pop()?;
            self.held -= content.as_ref().map_or(0, Content::held);
            let shown = self.graph.nodes.get_mut(index(node))?;
            shown.state = State::Done;
            let id = shown.id;
            if shown.is_hidden {
                if !self.is_onward {
                    let hidden = parents.iter().filter_map(|id| self.hide(*id, time));
                    let hidden = hidden.collect();
                    self.set_parents(node, hidden);
                }
                continue;
            }
            self.wanted -= 1;
            self.oldest = self.oldest.min(time);
            let content = content.unwrap_or_else(|| self.read(id).content);
            if !self.shallow.contains(&id) {
                let nodes = parents
                    .iter()
                    .map(|parent| self.want(*parent, time, Some(id)));
                let nodes = nodes.collect();
                self.set_parents(node, nodes);
            }
            return Some(self.hand_out(node, id, content, parents));
        }
    }

    /// Tells whether all that some commits go on from is another one, so that it reaches none of them. Of
    /// many commits nobody looks.
    fn leads_to(&mut self, base: ObjectId, tips: &[ObjectId]) -> bool {
        let mut seen = HashSet::from([base]);
        let mut pending: Vec<_> = tips.iter().copied().filter(|id| seen.insert(*id)).collect();
        while let Some(id) = pending.pop() {
            let Read {
                content, parents, ..
            } = self.read(id);
            let is_commit = matches!(
                content,
                Content::Raw(ObjectKind::Commit, _) | Content::Known(ObjectKind::Commit, _)
            );
            let is_end = parents.is_empty() || self.shallow.contains(&id);
            if !is_commit || is_end || seen.len() > AHEAD_MAX {
                return false;
            }
            pending.extend(parents.into_iter().filter(|id| seen.insert(*id)));
        }
        true
    }

    /// Returns the next object that is judged alone, unless the walk came by it already.
    fn next_alone(&mut self) -> Option<Found> {
        loop {
            let id = *self.alone.next()?;
            let (node, _) = self.meet(id);
            let known = self.graph.nodes.get_mut(index(node))?;
            if known.state == State::Done && !known.is_hidden {
                continue;
            }
            known.state = State::Done;
            known.is_hidden = false;
            let read = self.read(id);
            if !self.shallow.contains(&id) {
                let parents = read
                    .parents
                    .iter()
                    .map(|parent| self.meet(*parent).0)
                    .collect();
                self.set_parents(node, parents);
            }
            return Some(self.hand_out(node, id, read.content, read.parents));
        }
    }

    fn hand_out(
        &mut self,
        node: u32,
        id: ObjectId,
        content: Content,
        parents: Vec<ObjectId>,
    ) -> Found {
        let place = self.graph.order.len();
        self.graph.order.push(node);
        Found {
            place,
            id,
            content,
            parents,
        }
    }

    fn set_parents(&mut self, node: u32, parents: Vec<u32>) {
        if let Some(node) = self.graph.nodes.get_mut(index(node)) {
            node.parents = match parents[..] {
                [parent] => Parents::One(parent),
                _ => Parents::Others(parents.into()),
            };
        }
    }

    /// Queues an object that is to be judged. Something missing takes its child's place.
    fn want(&mut self, id: ObjectId, child_time: UnixTime, child: Option<ObjectId>) -> u32 {
        let (node, read) = self.meet(id);
        let Some(mut read) = read else {
            return node;
        };
        if let Content::Missing(needed_by) = &mut read.content {
            *needed_by = child;
        } else if self.memory.as_mut().is_some_and(|it| it.ends_at(&id)) {
            self.paint(node);
            return node;
        }
        self.wanted += 1;
        self.enqueue(node, child_time, read);
        node
    }

    /// Paints an object hidden, and with it what was found to be reachable from it. What is
    /// hidden and missing is of no concern.
    fn hide(&mut self, id: ObjectId, child_time: UnixTime) -> Option<u32> {
        let (node, read) = self.meet(id);
        self.paint(node);
        if let Some(mut read) = read {
            if matches!(read.content, Content::Missing(_)) {
                return None;
            }
            read.content = Content::Missing(None);
            self.enqueue(node, child_time, read);
        }
        Some(node)
    }

    fn paint(&mut self, node: u32) {
        let mut pending = vec![node];
        while let Some(node) = pending.pop() {
            let Some(node) = self.graph.nodes.get_mut(index(node)) else {
                continue;
            };
            if node.is_hidden {
                continue;
            }
            node.is_hidden = true;
            match node.state {
                State::Known => {}
                State::Waiting => self.wanted -= 1,
                State::Done => pending.extend(node.parents.as_deref().unwrap_or_default()),
            }
        }
    }

    fn enqueue(&mut self, node: u32, child_time: UnixTime, read: Read) {
        if let Some(node) = self.graph.nodes.get_mut(index(node)) {
            node.state = State::Waiting;
        }
        let held = self.held + read.content.held();
        let content = (held <= HELD_MAX).then_some(read.content);
        if content.is_some() {
            self.held = held;
        }
        self.queue.push(Waiting {
            time: read.time.unwrap_or(child_time),
            node,
            content,
            parents: read.parents,
        });
    }

    /// Returns an object's node; and what is in the object when this is the first time.
    fn meet(&mut self, id: ObjectId) -> (u32, Option<Read>) {
        if let Some(node) = self.names.find(&id, |number| self.graph.id_of(number)) {
            return (node, None);
        }
        let read = self.read(id);
        // Four thousand million objects do not fit in memory.
        let node = u32::try_from(self.graph.nodes.len()).unwrap_or(u32::MAX);
        self.graph.nodes.push(Node {
            id,
            kind: match &read.content {
                Content::Raw(kind, _) | Content::Known(kind, _) => Some(kind_of(*kind)),
                Content::Unsignable(kind) | Content::TooLarge(kind) | Content::Damaged(kind) => {
                    Some(*kind)
                }
                Content::Missing(_) => None,
            },
            time: read.time,
            parents: Parents::Unknown,
            state: State::Known,
            is_hidden: false,
        });
        let name_of = |number| self.graph.id_of(number);
        self.names.add(self.graph.nodes.len(), name_of);
        (node, Some(read))
    }

    fn read(&mut self, id: ObjectId) -> Read {
        let known = self.memory.as_mut().and_then(|memory| memory.recall(&id));
        // What is known of an object that is gone is not asked.
        if let Some(known) = known
            && self.objects.has(&id)
        {
            return Read {
                content: Content::Known(known.kind, Box::new(known.examined)),
                time: known.time,
                parents: known.parents,
            };
        }
        let content = Content::of(&self.objects, &id);
        let mut read = Read {
            parents: content.names(id.kind()),
            content,
            time: None,
        };
        let Content::Raw(kind, raw) = &read.content else {
            return read;
        };
        let person = match kind {
            ObjectKind::Commit => CommitRefIter::from_bytes(raw, id.kind()).committer().ok(),
            ObjectKind::Tag => {
                let tagger = TagRefIter::from_bytes(raw, id.kind()).tagger();
                tagger.ok().flatten()
            }
        };
        read.time = person
            .and_then(|person| person.time().ok())
            .map(|time| UnixTime::from_secs(time.seconds));
        read
    }
}

impl Iterator for Walk<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        self.next_reached().or_else(|| self.next_alone())
    }
}

impl Graph {
    /// Returns every node, whether handed out or met on the way.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Takes a date for a node's.
    pub(crate) fn set_time(&mut self, number: usize, time: UnixTime) {
        if let Some(node) = self.nodes.get_mut(number) {
            node.time = Some(time);
        }
    }

    /// Returns how many objects were handed out.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns the numbers of all nodes, each before those of its parents.
    pub(crate) fn children_first(&self) -> Vec<usize> {
        let order = order::children_first(self.nodes.len(), |number| self.parents(number));
        order.into_iter().map(index).collect()
    }

    /// Returns the numbers of a node's parents; none where they were not looked at.
    pub(crate) fn parents(&self, number: usize) -> &[u32] {
        let node = self.nodes.get(number);
        let parents = node.and_then(|node| node.parents.as_deref());
        parents.unwrap_or_default()
    }

    fn id_of(&self, number: usize) -> Option<ObjectId> {
        Some(self.nodes.get(number)?.id)
    }

    /// Returns a place's node and its number; `None` when it turned out to be hidden.
    pub(crate) fn at(&self, place: usize) -> Option<(usize, &Node)> {
        let number = self.number_at(place)?;
        Some((number, self.nodes.get(number)?))
    }

    /// Returns the number of a place's node; `None` when it turned out to be hidden.
    pub(crate) fn number_at(&self, place: usize) -> Option<usize> {
        let number = index(*self.order.get(place)?);
        let is_hidden = self.nodes.get(number)?.is_hidden;
        (!is_hidden).then_some(number)
    }
}

/// An object, read.
struct Read {
    content: Content,
    time: Option<UnixTime>,
    parents: Vec<ObjectId>,
}

const fn kind_of(kind: ObjectKind) -> Kind {
    match kind {
        ObjectKind::Commit => Kind::Commit,
        ObjectKind::Tag => Kind::Tag,
    }
}

/// Returns git's word.
const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Commit => "commit",
        Kind::Tag => "tag",
        Kind::Tree => "tree",
        Kind::Blob => "blob",
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use notme_testkit::repository::Repository as Git;

    use crate::repository::Repository;

    /// A clock that is wrong by years does not have all of history read.
    #[test]
    fn one_old_date_leads_nobody_through_history() {
        let git = Git::new();
        let mut stream = String::new();
        for (mark, date) in (1..=1_000_u64).map(|mark| (mark, 1_600_000_000 + mark)) {
            write!(stream, "commit refs/heads/main\nmark :{mark}\n").unwrap();
            write!(
                stream,
                "committer T <t@example.invalid> {date} +0000\ndata 0\n"
            )
            .unwrap();
        }
        for (branch, from) in [("old", 1_000), ("aside", 900)] {
            writeln!(stream, "commit refs/heads/{branch}").unwrap();
            write!(
                stream,
                "committer T <t@example.invalid> 1 +0000\ndata 0\nfrom :{from}\n"
            )
            .unwrap();
        }
        git.import(&stream);
        let repository = Repository::open(&git.path().join(".git")).unwrap();
        for (range, nodes) in [("main..old", 2), ("main..aside", 1_001)] {
            let selection = repository.select(range).unwrap();
            let mut walk = repository.walk(&selection).unwrap();
            assert_eq!(walk.by_ref().count(), 1);
            assert_eq!(walk.into_graph().nodes().len(), nodes, "{range}");
        }
    }
}
