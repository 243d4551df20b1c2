//! What steps 1 to 3 found of every object of a run, until the last is examined: before, it is not
//! known what the others say of an object's date. There may be a million, so each is written down in
//! some hundred bytes, as in the cache, and read when its turn has come.

use std::collections::HashMap;

use notme_core::time::UnixTime;

use crate::{
    cache::{Common, Reader, Writer},
    judge::{Examined, Judge, Times},
    repository::ObjectId,
};

/// Examined objects by their place in the walk.
pub(crate) struct Examinations<'j> {
    judge: &'j Judge<'j>,
    common: Common,
    entries: Vec<u8>,
    /// Where the entry of a place begins.
    begins: Vec<u64>,
    /// The few that cannot be written down.
    others: HashMap<usize, Examined>,
}

/// An object of a selection, as far as it can be judged alone.
pub(crate) struct Looked {
    /// Whether an earlier run examined it.
    pub(crate) is_known: bool,
    pub(crate) examined: Examined,
}

/// Nobody looked at it.
const NOWHERE: u64 = u64::MAX;

impl<'j> Examinations<'j> {
    pub(crate) fn new(judge: &'j Judge<'j>) -> Self {
        Self {
            judge,
            common: Common::default(),
            entries: Vec::new(),
            begins: Vec::new(),
            others: HashMap::new(),
        }
    }

    /// Adds the object of a place, and its times.
    pub(crate) fn add(&mut self, place: usize, looked: Looked, times: Times) {
        let Looked { is_known, examined } = looked;
        let mut to = Writer::sharing(&mut self.common);
        to.byte(u8::from(is_known));
        to.maybe(times.strong, Writer::time);
        to.maybe(times.declared, Writer::time);
        let head = to.len();
        if examined.write(self.judge, &mut to).is_none() {
            to.truncate(head);
            self.others.insert(place, examined);
        }
        let entry = to.into_bytes();
        let mut framed = Writer::default();
        framed.bytes(&entry);
        if self.begins.len() <= place {
            self.begins.resize(place + 1, NOWHERE);
        }
        if let Some(begins) = self.begins.get_mut(place) {
            *begins = u64::try_from(self.entries.len()).unwrap_or(NOWHERE);
        }
        self.entries.extend_from_slice(&framed.into_bytes());
    }

    /// Returns the times of a place's object, if it was examined.
    pub(crate) fn times(&self, place: usize) -> Option<Times> {
        Some(head(&mut self.entry(place)?)?.1)
    }

    /// Returns what was found of a place's object, whose name this is, if it was examined; once.
    pub(crate) fn take(&mut self, place: usize, id: &ObjectId) -> Option<Looked> {
        let Some(examined) = self.others.remove(&place) else {
            return self.written(place, id);
        };
        let (is_known, _) = head(&mut self.entry(place)?)?;
        Some(Looked { is_known, examined })
    }

    /// Returns what is written of a place's object, whose name this is.
    pub(crate) fn written(&self, place: usize, id: &ObjectId) -> Option<Looked> {
        let mut from = self.entry(place)?;
        let (is_known, _) = head(&mut from)?;
        let examined = Examined::read(self.judge, id, &mut from)?;
        Some(Looked { is_known, examined })
    }

    fn entry(&self, place: usize) -> Option<Reader<'_>> {
        let begins = usize::try_from(*self.begins.get(place)?).ok()?;
        let entry = Reader::new(self.entries.get(begins..)?).bytes()?;
        Some(Reader::sharing(entry, &self.common))
    }
}

fn head(from: &mut Reader<'_>) -> Option<(bool, Times)> {
    let is_known = from.byte()? == 1;
    let mut time = || from.maybe(Reader::time);
    let (strong, declared): (Option<UnixTime>, Option<UnixTime>) = (time()?, time()?);
    Some((is_known, Times { strong, declared }))
}
