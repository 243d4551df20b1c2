//! Objects that an earlier run examined by the same policy and the same trust.

use std::sync::Arc;

use notme_core::{object::HashKind, object::ObjectKind};

use crate::{
    cache::{Cache, Context, Filling, Reader, Shelf, Writer},
    judge::{Examined, Judge},
    order::index,
    repository::{Graph, Memory, Node, ObjectId, Remembered},
};

/// Where a run looks before it examines.
pub(crate) struct Recall<'j> {
    shelf: Shelf,
    judge: &'j Judge<'j>,
    id_length: usize,
}

impl<'j> Recall<'j> {
    /// Opens what was kept; `None` when there is nothing.
    pub(crate) fn open(
        (cache, context): (&Arc<Cache>, Context),
        judge: &'j Judge<'j>,
        hash: HashKind,
    ) -> Option<Box<dyn Memory + 'j>> {
        let id_length = id_length(hash);
        let shelf = cache.shelf(context, id_length);
        let recall = Self {
            shelf,
            judge,
            id_length,
        };
        (!recall.shelf.is_empty()).then(|| -> Box<dyn Memory> { Box::new(recall) })
    }
}

impl Memory for Recall<'_> {
    fn recall(&mut self, id: &ObjectId) -> Option<Remembered> {
        let entry = self.shelf.get(id)?;
        let mut from = Reader::new(entry);
        let kind = match from.byte()? {
            0 => ObjectKind::Commit,
            1 => ObjectKind::Tag,
            _ => return None,
        };
        let time = from.maybe(Reader::time)?;
        let count = from.size()?;
        let parents = (0..count).map(|_| ObjectId::try_from(from.take(self.id_length)?).ok());
        let parents = parents.collect::<Option<_>>()?;
        Some(Remembered {
            kind,
            time,
            parents,
            examined: Examined::read(self.judge, id, &mut from)?,
        })
    }

    fn ends_at(&mut self, _: &ObjectId) -> bool {
        false
    }
}

/// Who keeps what was examined in this run and stays so.
pub(crate) struct Keeper<'j> {
    cache: (&'j Arc<Cache>, Context),
    judge: &'j Judge<'j>,
    id_length: usize,
    /// The file, once there is something to write; none where nothing can be.
    filling: Option<Option<Filling>>,
}

impl<'j> Keeper<'j> {
    pub(crate) fn new(
        cache: (&'j Arc<Cache>, Context),
        judge: &'j Judge<'j>,
        hash: HashKind,
    ) -> Self {
        Self {
            cache,
            judge,
            id_length: id_length(hash),
            filling: None,
        }
    }

    /// Keeps an object of the graph.
    pub(crate) fn keep(&mut self, graph: &Graph, node: &Node, examined: &Examined) {
        if !examined.is_settled() {
            return;
        }
        let (cache, context) = self.cache;
        let begin = || cache.fill(context, self.id_length);
        if let Some(filling) = self.filling.get_or_insert_with(begin)
            && let Some(entry) = entry(graph, node, examined, self.judge)
        {
            filling.add(node.id, &entry);
        }
    }

    /// Puts what was kept in its place.
    pub(crate) fn end(self) {
        if let Some(Some(filling)) = self.filling {
            filling.finish();
        }
    }
}

fn entry(graph: &Graph, node: &Node, examined: &Examined, judge: &Judge<'_>) -> Option<Vec<u8>> {
    let mut to = Writer::default();
    to.byte(match node.kind()? {
        kind if kind == ObjectKind::Commit.as_str() => 0,
        kind if kind == ObjectKind::Tag.as_str() => 1,
        _ => return None,
    });
    to.maybe(node.time, Writer::time);
    // Where the clone ends, nobody looked at them.
    let parents = node.parents.as_deref()?;
    to.number(u64::try_from(parents.len()).ok()?);
    for parent in parents {
        let parent = graph.nodes().get(index(*parent))?;
        to.raw(parent.id.as_slice());
    }
    examined.write(judge, &mut to)?;
    Some(to.into_bytes())
}

/// Returns how long an object's name is.
pub(crate) const fn id_length(hash: HashKind) -> usize {
    match hash {
        HashKind::Sha1 => 20,
        HashKind::Sha256 => 32,
    }
}
