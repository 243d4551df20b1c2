//! All files of one context, read together; and the one that a run adds.
//!
//! A run that finds out something new writes one file. Small files are joined with it, so there are
//! never many, and each entry is copied a few times in its life. Whatever runs at the same time has
//! its own file, and keeps the ones that it opened.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use gix::ObjectId;
use notme_core::hex;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};

use super::{
    Cache, Context,
    segment::{NewSegment, Segment},
};
use crate::load::is_private;

/// The file system's own time: no clock is read here.
const NOW: Timestamps = Timestamps {
    last_access: THIS_MOMENT,
    last_modification: THIS_MOMENT,
};
const THIS_MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: UTIME_NOW,
};
/// What ends the name of a file that is whole.
const WHOLE: &str = "verdicts";
/// What ends the name of one that is not.
const NEW: &str = "new";

/// The files of one context.
#[derive(Debug)]
pub(crate) struct Shelf {
    cache: Arc<Cache>,
    /// The newest first.
    segments: Vec<Segment>,
    /// What was asked for last.
    entry: Vec<u8>,
}

/// A file that a run adds to a context.
#[derive(Debug)]
pub(crate) struct Filling {
    cache: Arc<Cache>,
    directory: PathBuf,
    new: NewSegment,
    context: Context,
    id_length: usize,
}

impl Cache {
    /// Opens what there is of a context.
    pub(crate) fn shelf(self: &Arc<Self>, context: Context, id_length: usize) -> Shelf {
        Shelf {
            cache: Arc::clone(self),
            segments: self.segments(context, id_length),
            entry: Vec::new(),
        }
    }

    /// Begins to add to a context; `None` when nothing can be written.
    pub(crate) fn fill(self: &Arc<Self>, context: Context, id_length: usize) -> Option<Filling> {
        self.try_fill(context, id_length)
            .map_err(|error| self.note_unwritten(&error))
            .ok()
    }

    fn try_fill(self: &Arc<Self>, context: Context, id_length: usize) -> io::Result<Filling> {
        let directory = self.home_of(context);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&directory)?;
        check_private(self.path())?;
        check_private(&directory)?;
        let mut number = next_number(&directory)?;
        let (path, file) = loop {
            let path = directory.join(format!("{number:08}-{}.{NEW}", std::process::id()));
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        };
        Ok(Filling {
            cache: Arc::clone(self),
            directory,
            new: NewSegment::create(path, file, context, id_length)?,
            context,
            id_length,
        })
    }

    fn segments(&self, context: Context, id_length: usize) -> Vec<Segment> {
        let directory = self.home_of(context);
        let names = match files(&directory, WHOLE) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.note_unread(&directory, &error);
                return Vec::new();
            }
        };
        let private = check_private(self.path()).and_then(|()| check_private(&directory));
        if let Err(error) = private {
            self.note_unread(&directory, &error);
            return Vec::new();
        }
        // What is used goes last. Where nothing can be written, nothing goes.
        let _ = File::open(&directory).map(|it| futimens(&it, &NOW));
        let mut segments = Vec::new();
        for path in names.iter().rev() {
            match check_private(path).and_then(|()| Segment::open(path, context, id_length)) {
                Ok(segment) => segments.push(segment),
                // Joined with another one since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.discard(path, &error),
            }
        }
        segments
    }

    fn home_of(&self, context: Context) -> PathBuf {
        let (name, _) = context.as_bytes().split_at(16);
        self.path().join(hex::encode(name))
    }

    /// Says that a file is no good, and takes it away.
    fn discard(&self, path: &Path, error: &io::Error) {
        self.note_unread(path, error);
        let _ = fs::remove_file(path);
    }

    fn note_unread(&self, path: &Path, error: &io::Error) {
        let what = match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => "it is damaged".to_owned(),
            _ => error.to_string(),
        };
        self.note(format!(
            "the cache of verdicts at `{}` cannot be used, so more was judged anew: {what}",
            path.display()
        ));
    }

    fn note_unwritten(&self, error: &io::Error) {
        self.note(format!(
            "nothing was kept in the cache of verdicts at `{}`: {error}",
            self.path().display()
        ));
    }

    /// What one file may take: with it and one to join it with, there is still room.
    const fn file_max(&self) -> u64 {
        self.most / 2
    }

    /// Takes away what there is too much of: the contexts that were used longest ago, and then what
    /// stands beside a file that is spared.
    fn prune(&self, spared: &Path) -> io::Result<()> {
        let own = spared.parent().unwrap_or(spared);
        let mut contexts = Vec::new();
        let mut total = 0;
        for directory in fs::read_dir(self.path())? {
            let directory = directory?.path();
            let used = fs::metadata(&directory).and_then(|it| it.modified());
            let files = fs::read_dir(&directory).into_iter().flatten().flatten();
            let sizes = files.map(|file| file.metadata().map_or(0, |it| it.len()));
            let size: u64 = sizes.sum();
            total += size;
            if directory != own {
                contexts.push((used.unwrap_or(SystemTime::UNIX_EPOCH), size, directory));
            }
        }
        contexts.sort_unstable();
        for (_, size, directory) in contexts {
            if total <= self.most {
                return Ok(());
            }
            // What is no directory is none of ours.
            if fs::remove_dir_all(directory).is_ok() {
                total -= size;
            }
        }
        if total > self.most {
            for path in files(own, WHOLE)? {
                if path != spared {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }
}

impl Shelf {
    /// Returns what is written of an object.
    pub(crate) fn get(&mut self, id: &ObjectId) -> Option<&[u8]> {
        let (mut is_found, mut damaged) = (false, Vec::new());
        for (number, segment) in self.segments.iter_mut().enumerate() {
            match segment.get(id, &mut self.entry) {
                Ok(false) => {}
                Ok(true) => {
                    is_found = true;
                    break;
                }
                Err(error) => damaged.push((number, error)),
            }
        }
        for (number, error) in damaged.into_iter().rev() {
            let segment = self.segments.remove(number);
            self.cache.discard(segment.path(), &error);
        }
        is_found.then_some(&self.entry)
    }

    /// Tells whether there is nothing.
    pub(crate) const fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}

impl Filling {
    /// Adds what is to be written of an object.
    pub(crate) fn add(&mut self, id: ObjectId, entry: &[u8]) {
        if self.new.size() > self.cache.file_max() {
            return;
        }
        if let Err(error) = self.new.add(id, entry) {
            self.cache.note_unwritten(&error);
        }
    }

    /// Puts the file in its place, together with the small ones that were there.
    pub(crate) fn finish(self) {
        let (cache, beside) = (Arc::clone(&self.cache), self.new.path().to_owned());
        if let Err(error) = self.try_finish() {
            cache.note_unwritten(&error);
            let _ = fs::remove_file(beside);
        }
    }

    fn try_finish(self) -> io::Result<()> {
        let Self {
            cache,
            directory,
            mut new,
            context,
            id_length,
        } = self;
        if new.count() == 0 {
            return fs::remove_file(new.path());
        }
        let mut joined = Vec::new();
        for mut segment in cache.segments(context, id_length) {
            let size = fs::metadata(segment.path()).map_or(u64::MAX, |it| it.len());
            if segment.count() > 2 * new.count()
                || size.saturating_add(new.size()) > cache.file_max()
            {
                continue;
            }
            new.absorb(&mut segment)?;
            joined.push(segment.path().to_owned());
        }
        let place = new.path().with_extension(WHOLE);
        new.finish(&place)?;
        for path in joined {
            // Whoever runs beside us may have joined it, too.
            let _ = fs::remove_file(path);
        }
        for abandoned in files(&directory, NEW)? {
            let age = fs::metadata(&abandoned)
                .and_then(|it| it.modified())
                .and_then(|it| {
                    fs::metadata(&place)?
                        .modified()?
                        .duration_since(it)
                        .map_err(io::Error::other)
                });
            if age.is_ok_and(|age| age.as_secs() > 24 * 3600) {
                let _ = fs::remove_file(abandoned);
            }
        }
        cache.prune(&place)
    }
}

/// Returns the files with an ending, in the order in which they were begun.
fn files(directory: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == ending) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Returns a number after that of every file in the directory.
fn next_number(directory: &Path) -> io::Result<u64> {
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        name.split('-').next()?.parse::<u64>().ok()
    };
    let whole = files(directory, WHOLE)?;
    Ok(whole
        .iter()
        .filter_map(number)
        .max()
        .map_or(0, |last| last + 1))
}

/// Checks that only we, or root, may change it.
fn check_private(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    match is_private(&metadata) && !metadata.is_symlink() {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others can change it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use notme_core::object::HashKind;
    use tempfile::TempDir;

    use super::*;

    const ENTRY: [u8; 1000] = [7; 1000];

    fn context(number: u8) -> Context {
        Context::new("examined", HashKind::Sha1, &[&number.to_string()])
    }

    fn id(number: u8) -> ObjectId {
        ObjectId::from([number; 20])
    }

    fn keep(cache: &Arc<Cache>, context: Context, ids: impl IntoIterator<Item = u8>) {
        let mut filling = cache.fill(context, 20).unwrap();
        for number in ids {
            filling.add(id(number), &ENTRY);
        }
        filling.finish();
        assert_eq!(cache.notes(), Vec::<String>::new());
    }

    fn has(cache: &Arc<Cache>, context: Context, number: u8) -> bool {
        cache.shelf(context, 20).get(&id(number)).is_some()
    }

    fn of_at_most(most: u64) -> (TempDir, Arc<Cache>) {
        let place = TempDir::new().unwrap();
        let cache = Cache::new(place.path().join("cache"));
        (place, Arc::new(Cache { most, ..cache }))
    }

    #[test]
    fn the_context_that_was_used_longest_ago_goes_first() {
        let (_place, cache) = of_at_most(7_000);
        for number in 0..3 {
            keep(&cache, context(number), [1, 2]);
            let ago = Duration::from_secs(100 - u64::from(number));
            let directory = File::open(cache.home_of(context(number))).unwrap();
            directory.set_modified(SystemTime::now() - ago).unwrap();
        }
        assert!(has(&cache, context(0), 1));
        keep(&cache, context(3), [1, 2]);
        let kept = [0, 1, 2, 3].map(|number| has(&cache, context(number), 1));
        assert_eq!(kept, [true, false, true, true]);
    }

    #[test]
    fn a_context_that_grew_too_large_begins_anew() {
        let (_place, cache) = of_at_most(10_000);
        let large = context(0);
        keep(&cache, large, [1, 2, 3, 4]);
        keep(&cache, large, [5, 6, 7, 8]);
        assert!(has(&cache, large, 1) && has(&cache, large, 5));
        keep(&cache, large, [9, 10, 11, 12]);
        assert!(!has(&cache, large, 1) && !has(&cache, large, 5));
        assert!(has(&cache, large, 9));
        let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
        let files = files(&cache.home_of(large), WHOLE).unwrap();
        assert!(files.iter().map(size).sum::<u64>() <= 10_000);
    }

    #[test]
    fn what_does_not_fit_a_file_is_not_kept() {
        let (_place, cache) = of_at_most(6_000);
        keep(&cache, context(0), 0..100);
        let count = (0..100)
            .filter(|number| has(&cache, context(0), *number))
            .count();
        assert_eq!(count, 3);
    }
}
