//! Objects that an earlier run examined by the same policy and the same trust.

use notme_core::{object::HashKind, object::ObjectKind};

use crate::{
    cache::{Cache, Context, Reader, Shelf, Writer},
    judge::{Examined, Judge},
    repository::{Graph, Memory, Node, ObjectId, Remembered},
    verify::Looked,
};

/// Where a run looks before it examines.
pub(crate) struct Recall<'j> {
    shelf: Shelf<'j>,
    judge: &'j Judge<'j>,
    id_length: usize,
}

impl<'j> Recall<'j> {
    /// Opens what was kept; `None` when there is nothing.
    pub(crate) fn open(
        (cache, context): (&'j Cache, Context),
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
        let mut from = Reader::new(&entry);
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

/// Keeps what was examined in this run and stays so.
pub(crate) fn keep(
    (cache, context): (&Cache, Context),
    (graph, looked): (&Graph, &[Looked]),
    judge: &Judge<'_>,
    hash: HashKind,
) {
    let is_new = |it: &&Looked| !it.is_known && it.examined.is_settled();
    if !looked.iter().any(|it| is_new(&it)) {
        return;
    }
    let Some(mut filling) = cache.fill(context, id_length(hash)) else {
        return;
    };
    for it in looked.iter().filter(is_new) {
        let node = graph.number_at(it.place);
        let node = node.and_then(|number| graph.nodes().get(number));
        let entry = node.and_then(|node| Some((node.id, entry(graph, node, &it.examined, judge)?)));
        if let Some((id, entry)) = entry {
            filling.add(id, &entry);
        }
    }
    filling.finish();
}

fn entry(graph: &Graph, node: &Node, examined: &Examined, judge: &Judge<'_>) -> Option<Vec<u8>> {
    let mut to = Writer::default();
    to.byte(match node.kind? {
        kind if kind == ObjectKind::Commit.as_str() => 0,
        kind if kind == ObjectKind::Tag.as_str() => 1,
        _ => return None,
    });
    to.maybe(node.time, Writer::time);
    // Where the clone ends, nobody looked at them.
    let parents = node.parents.as_deref()?;
    to.number(u64::try_from(parents.len()).ok()?);
    for parent in parents {
        let parent = graph.nodes().get(usize::try_from(*parent).ok()?)?;
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
