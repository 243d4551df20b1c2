//! Writing objects so that a collecting of garbage beside us takes none of them away.
//!
//! What `git gc --prune=now` sees no ref for, it deletes: also what is written at that moment for a
//! ref that moves in the next. So what was written is kept in mind until the refs have moved and
//! whatever was collecting then has ended, and is written again where it is gone. Who starts to
//! collect afterwards sees the refs.

use std::{
    cell::RefCell,
    fs,
    ops::Deref,
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

use gix::{
    ObjectId,
    objs::{Exists as _, Kind, Write as _, WriteTo},
};
use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
    system::uname,
};

use super::{PATIENCE, PAUSE, StoreError, failed};

/// After so long git, too, takes it that nobody is collecting any more.
const COLLECTING_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// A repository, and what was written to it.
pub(super) struct Writer {
    repository: gix::Repository,
    written: RefCell<Vec<(ObjectId, Kind, Vec<u8>)>>,
}

impl Deref for Writer {
    type Target = gix::Repository;

    fn deref(&self) -> &gix::Repository {
        &self.repository
    }
}

impl Writer {
    pub(super) fn new(repository: gix::Repository) -> Self {
        Self {
            repository,
            written: RefCell::default(),
        }
    }

    /// Writes an object, unless it is there.
    pub(super) fn write(&self, object: &dyn WriteTo) -> Result<ObjectId, StoreError> {
        let mut raw = Vec::new();
        let serialised = object.write_to(&mut raw);
        serialised.map_err(|error| failed("write an object", error))?;
        self.write_raw(object.kind(), raw)
    }

    /// Writes an object by its bytes, unless it is there.
    pub(super) fn write_raw(&self, kind: Kind, raw: Vec<u8>) -> Result<ObjectId, StoreError> {
        let id = gix::objs::compute_hash(self.object_hash(), kind, &raw)
            .map_err(|error| failed("write an object", error))?;
        if !self.objects.exists_without_refresh(&id) {
            self.put(id, kind, &raw)?;
        }
        self.written.borrow_mut().push((id, kind, raw));
        Ok(id)
    }

    fn put(&self, id: ObjectId, kind: Kind, raw: &[u8]) -> Result<(), StoreError> {
        let written = self.objects.write_buf_with_known_id(kind, raw, id);
        written
            .map(drop)
            .map_err(|error| failed("write an object", error))
    }

    /// Writes again what is gone, once the refs have moved, until nobody collects any more.
    pub(super) fn keep(&self) -> Result<(), StoreError> {
        if self.written.borrow().is_empty() {
            return Ok(());
        }
        let until = Instant::now() + PATIENCE;
        loop {
            // Asked before it is looked: who has ended by then takes nothing away after that.
            let goes_on = is_collecting(self.common_dir());
            let kept = self.write_again();
            if (kept.is_ok() && !goes_on) || Instant::now() >= until {
                return kept;
            }
            thread::sleep(PAUSE);
        }
    }

    fn write_again(&self) -> Result<(), StoreError> {
        // Opened anew: what was open before may remember packs that are gone.
        let objects = gix::odb::at(self.objects.store_ref().path(), self.object_hash())
            .map_err(|error| failed("open the objects", error))?;
        for (id, kind, raw) in &*self.written.borrow() {
            if !objects.exists(id) {
                self.put(*id, *kind, raw)?;
            }
        }
        Ok(())
    }
}

/// Tells whether somebody collects garbage, by the file that `git gc` keeps meanwhile: process and
/// machine.
fn is_collecting(directory: &Path) -> bool {
    let path = directory.join("gc.pid");
    let Ok(text) = fs::read_to_string(&path) else {
        return false;
    };
    let since = fs::metadata(&path).and_then(|facts| facts.modified());
    let age = since.map(|since| SystemTime::now().duration_since(since).unwrap_or_default());
    if age.map_or(true, |age| age >= COLLECTING_MAX) {
        return false;
    }
    let Some((pid, host)) = text.trim_end().split_once(' ') else {
        return true;
    };
    let pid = pid.parse().ok().and_then(Pid::from_raw);
    let is_gone = pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH));
    !(is_gone && uname().nodename().to_bytes() == host.as_bytes())
}
