//! What steps 1 to 3 found of every object of a run, until the last is examined: before, it is not
//! known what the others say of an object's date. There may be a million, so most are written down in
//! some hundred bytes each, as in the cache, and read when their turn has come.

use std::mem;

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
    kept: Vec<Kept>,
}

/// An object of a selection, as far as it can be judged alone.
pub(crate) struct Looked {
    /// Whether an earlier run examined it.
    pub(crate) is_known: bool,
    /// Whether it carries tags. They are judged when it is told: there may be many in each.
    pub(crate) carries_tags: bool,
    pub(crate) examined: Examined,
}

/// How an object is kept.
#[derive(Default)]
enum Kept {
    /// Nobody looked at it, or it was taken.
    #[default]
    Not,
    /// As it is: the first ones, and the few that cannot be written down.
    Whole(Box<(Looked, Times)>),
    /// As an entry that begins there.
    Written(usize),
}

/// The places before it are kept whole: writing and reading them takes longer than they take room.
const WHOLE_MAX: usize = 4096;

impl<'j> Examinations<'j> {
    pub(crate) fn new(judge: &'j Judge<'j>) -> Self {
        Self {
            judge,
            common: Common::default(),
            entries: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Adds the object of a place, and its times.
    pub(crate) fn add(&mut self, place: usize, looked: Looked, times: Times) {
        if self.kept.len() <= place {
            self.kept.resize_with(place + 1, Kept::default);
        }
        let kept = match place < WHOLE_MAX {
            true => None,
            false => self.write(&looked, times),
        };
        if let Some(it) = self.kept.get_mut(place) {
            *it = kept.unwrap_or_else(|| Kept::Whole(Box::new((looked, times))));
        }
    }

    /// Writes an object down; `None` when it cannot be.
    fn write(&mut self, looked: &Looked, times: Times) -> Option<Kept> {
        let mut to = Writer::sharing(&mut self.common);
        to.byte(u8::from(looked.is_known));
        to.byte(u8::from(looked.carries_tags));
        to.maybe(times.strong, Writer::time);
        to.maybe(times.declared, Writer::time);
        looked.examined.write(self.judge, &mut to)?;
        let entry = to.into_bytes();
        let mut framed = Writer::default();
        framed.bytes(&entry);
        let begins = self.entries.len();
        self.entries.extend_from_slice(&framed.into_bytes());
        Some(Kept::Written(begins))
    }

    /// Returns the times of a place's object, if it was examined.
    pub(crate) fn times(&self, place: usize) -> Option<Times> {
        match self.kept.get(place)? {
            Kept::Not => None,
            Kept::Whole(it) => Some(it.1),
            Kept::Written(begins) => Some(head(&mut self.entry(*begins)?)?.2),
        }
    }

    /// Returns what was found of a place's object, whose name this is, if it was examined; once.
    pub(crate) fn take(&mut self, place: usize, id: &ObjectId) -> Option<Looked> {
        match mem::take(self.kept.get_mut(place)?) {
            Kept::Not => None,
            Kept::Whole(it) => Some(it.0),
            Kept::Written(begins) => self.read(begins, id),
        }
    }

    /// Shows what was found of a place's object, whose name this is, if it was examined.
    pub(crate) fn show(&self, place: usize, id: &ObjectId, to: impl FnOnce(&Looked)) {
        match self.kept.get(place) {
            None | Some(Kept::Not) => {}
            Some(Kept::Whole(it)) => to(&it.0),
            Some(Kept::Written(begins)) => {
                self.read(*begins, id).as_ref().map(to);
            }
        }
    }

    fn read(&self, begins: usize, id: &ObjectId) -> Option<Looked> {
        let mut from = self.entry(begins)?;
        let (is_known, carries_tags, _) = head(&mut from)?;
        Some(Looked {
            is_known,
            carries_tags,
            examined: Examined::read(self.judge, id, &mut from)?,
        })
    }

    fn entry(&self, begins: usize) -> Option<Reader<'_>> {
        let entry = Reader::new(self.entries.get(begins..)?).bytes()?;
        Some(Reader::sharing(entry, &self.common))
    }
}

fn head(from: &mut Reader<'_>) -> Option<(bool, bool, Times)> {
    let (is_known, carries_tags) = (from.byte()? == 1, from.byte()? == 1);
    let mut time = || from.maybe(Reader::time);
    let (strong, declared): (Option<UnixTime>, Option<UnixTime>) = (time()?, time()?);
    Some((is_known, carries_tags, Times { strong, declared }))
}
