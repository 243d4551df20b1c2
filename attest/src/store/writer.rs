//! Writing objects so that a collecting of garbage beside us takes none of them away.
//!
//! What `git gc --prune=now` sees no ref for, it deletes: also what is written at that moment for a
//! ref that moves in the next. So what was written is kept in mind until the refs have moved. If
//! somebody is collecting then, it is written once more, as a pack: of objects by themselves git
//! deletes those that it saw no ref for, and of packs those that were there before it looked at the
//! refs. So nobody waits for its end. Who starts to collect afterwards sees the refs.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::{self, Permissions},
    io::{self, Write as _},
    ops::Deref,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

use gix::{
    ObjectId,
    hash::hasher,
    objs::{Exists as _, Kind, Write as _, WriteTo, find::Never},
    progress::Discard,
    zlib::{Compression, stream::deflate},
};
use gix_pack::{
    Bundle,
    bundle::write::Options,
    data::{Version, entry::Header, header},
};
use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
    system::uname,
};

use super::{StoreError, error::failed, shared::share};

/// After so long git, too, takes it that nobody is collecting any more.
const COLLECTING_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// A repository, and what was written to it.
pub(super) struct Writer {
    repository: gix::Repository,
    written: RefCell<BTreeMap<ObjectId, (Kind, Vec<u8>)>>,
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
        self.written.borrow_mut().insert(id, (kind, raw));
        Ok(id)
    }

    fn put(&self, id: ObjectId, kind: Kind, raw: &[u8]) -> Result<(), StoreError> {
        let written = self.objects.write_buf_with_known_id(kind, raw, id);
        written.map_err(|error| failed("write an object", error))?;
        let (name, objects) = (id.to_string(), self.objects.store_ref().path());
        let (head, rest) = name.split_at_checked(2).unwrap_or_default();
        share(self, &objects.join(head).join(rest));
        Ok(())
    }

    /// Makes sure of what was written, once the refs have moved.
    pub(super) fn keep(&self) -> Result<(), StoreError> {
        if self.written.borrow().is_empty() {
            return Ok(());
        }
        // Asked before it is looked: who has ended by then takes nothing away after that.
        match is_collecting(self.common_dir()) {
            true => self.write_pack(),
            false => self.write_again(),
        }
    }

    /// Writes again what is gone.
    fn write_again(&self) -> Result<(), StoreError> {
        // Opened anew: what was open before may remember packs that are gone.
        let objects = gix::odb::at(self.objects.store_ref().path(), self.object_hash())
            .map_err(|error| failed("open the objects", error))?;
        for (id, (kind, raw)) in &*self.written.borrow() {
            if !objects.exists(id) {
                self.put(*id, *kind, raw)?;
            }
        }
        Ok(())
    }

    /// Writes all of it once more, as a pack.
    fn write_pack(&self) -> Result<(), StoreError> {
        let not_written = |error: io::Error| failed("write a pack", error);
        let stream = self.pack().map_err(not_written)?;
        let directory = self.objects.store_ref().path().join("pack");
        fs::create_dir_all(&directory).map_err(not_written)?;
        let made = Bundle::write_to_directory(
            &mut stream.as_slice(),
            Some(&directory),
            &mut Discard,
            &AtomicBool::new(false),
            None::<Never>,
            self.object_hash(),
            Options::default(),
        );
        let made = made.map_err(|error| failed("write a pack", error))?;
        // As git has them: for whoever may read the repository.
        for path in made.data_path.iter().chain(&made.index_path) {
            fs::set_permissions(path, Permissions::from_mode(0o444)).map_err(not_written)?;
            share(self, path);
        }
        // The refs have moved: whoever looks at this pack now sees that it is needed.
        match made.keep_path {
            Some(path) => fs::remove_file(path).map_err(not_written),
            None => Ok(()),
        }
    }

    /// Returns the bytes of a pack of what was written.
    fn pack(&self) -> io::Result<Vec<u8>> {
        let written = self.written.borrow();
        let count = u32::try_from(written.len()).map_err(io::Error::other)?;
        let mut stream = header::encode(Version::V2, count).to_vec();
        for (kind, raw) in written.values() {
            let header = match kind {
                Kind::Blob => Header::Blob,
                Kind::Tree => Header::Tree,
                Kind::Commit => Header::Commit,
                Kind::Tag => Header::Tag,
            };
            let length = u64::try_from(raw.len()).map_err(io::Error::other)?;
            header.write_to(length, &mut stream)?;
            let mut deflated = deflate::Write::new(stream, Compression::BEST_SPEED);
            deflated.write_all(raw)?;
            deflated.flush()?;
            stream = deflated.into_inner();
        }
        let mut hasher = hasher(self.object_hash());
        hasher.update(&stream);
        let checksum = hasher.try_finalize().map_err(io::Error::other)?;
        stream.extend(checksum.as_slice());
        Ok(stream)
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
