//! The refs of the shelves: what they name, and how they move.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use gix::{
    ObjectId,
    refs::{
        FullName, Target,
        transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog},
    },
};
use notme_core::time::UnixTime;
use notme_verifier::repository::check_place;

use super::{Shelf, StoreError, TRACKING, error::failed, shared::share};

/// Returns who moves refs: whoever the user is said to be has no part in it, and need be nobody.
pub(super) fn author(now: UnixTime) -> gix::actor::Signature {
    gix::actor::Signature {
        name: "notme".into(),
        email: "attest@notme.invalid".into(),
        time: gix::date::Time::new(now.secs(), 0),
    }
}

/// Moves refs, or deletes them: all, or none.
pub(super) fn move_refs(
    repository: &gix::Repository,
    edits: Vec<RefEdit>,
    author: Option<gix::actor::SignatureRef<'_>>,
    doing: &'static str,
) -> Result<(), StoreError> {
    let stopped = lock();
    if *stopped {
        return Err(StoreError::Stopped);
    }
    for edit in &edits {
        let name = edit.name.as_bstr().to_string();
        check(repository, &name, doing)?;
        // Where there is a log, it is added to.
        check(repository, &format!("logs/{name}"), doing)?;
    }
    let moved = repository.edit_references_as(edits, author);
    for edit in moved.map_err(|error| not_moved(repository, doing, error))? {
        let path = edit.name.as_bstr().to_string();
        for top in [
            repository.common_dir(),
            &repository.common_dir().join("logs"),
        ] {
            share(repository, &top.join(&path));
        }
    }
    Ok(())
}

pub(super) fn edit(
    name: String,
    expected: PreviousValue,
    new: ObjectId,
) -> Result<RefEdit, StoreError> {
    Ok(RefEdit {
        change: Change::Update {
            log: LogChange {
                mode: RefLog::AndReference,
                force_create_reflog: false,
                message: "attest".into(),
            },
            expected,
            new: Target::Object(new),
        },
        name: FullName::try_from(name).map_err(|error| failed("name a ref", error))?,
        deref: false,
    })
}

/// Refuses what gix would wait for, or read for ever.
fn check(repository: &gix::Repository, name: &str, doing: &'static str) -> Result<(), StoreError> {
    check_place(repository.common_dir(), name).map_err(|error| failed(doing, error))
}

/// Returns what a ref names; `None` when there is no such ref.
pub(super) fn tip(
    repository: &gix::Repository,
    name: &str,
) -> Result<Option<ObjectId>, StoreError> {
    check(repository, name, "read a ref")?;
    let found = repository
        .try_find_reference(name)
        .map_err(|error| failed("read a ref", error))?;
    Ok(found.and_then(|reference| reference.try_id().map(gix::Id::detach)))
}

/// Tells whether a ref that names no object stands for another, or has others below it.
pub(super) fn is_taken(repository: &gix::Repository, name: &str) -> Result<bool, StoreError> {
    let itself = repository
        .try_find_reference(name)
        .map_err(|error| failed("read a ref", error))?;
    if let Some(itself) = itself {
        // One that names an object came to be meanwhile, which is found when it is to be moved.
        return Ok(itself.try_id().is_none());
    }
    let references = repository
        .references()
        .map_err(|error| failed("read the refs", error))?;
    let below = format!("{name}/");
    let mut found = references
        .prefixed(below.as_str())
        .map_err(|error| failed("read the refs", error))?;
    Ok(found.next().is_some())
}

/// Tells whether an object is a commit: a ref that somebody moved may name anything.
pub(super) fn is_commit(repository: &gix::Repository, id: ObjectId) -> Result<bool, StoreError> {
    let header = repository
        .find_header(id)
        .map_err(|error| failed("read what a ref names", error))?;
    Ok(header.kind() == gix::objs::Kind::Commit)
}

/// Says why refs stayed where they were; locks that are still there are most often in the way.
fn not_moved(
    repository: &gix::Repository,
    doing: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    let locks = locks(repository);
    match locks.is_empty() {
        true => failed(doing, error),
        false => StoreError::Locked(locks, Box::new(error)),
    }
}

/// Returns the locks of the refs that are there: of the shelves, of what remotes had, and of the file that
/// holds refs together.
pub(super) fn locks(repository: &gix::Repository) -> Vec<PathBuf> {
    let top = repository.common_dir();
    let lock = |name: &str| top.join(name).with_extension("lock");
    let mut locks: Vec<_> = Shelf::ALL.map(|shelf| lock(&shelf.reference())).into();
    locks.push(lock("packed-refs"));
    locks.retain(|lock| lock.exists());
    add_locks(&top.join(TRACKING), &mut locks);
    locks
}

/// Adds the locks in a directory, and in those below it. One that nobody can read is not there, mostly.
fn add_locks(directory: &Path, locks: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => add_locks(&path, locks),
            // No name of a ref ends so.
            Ok(_) if path.extension().is_some_and(|it| it == "lock") => locks.push(path),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Held while refs move. Says whether they stay where they are from now on.
static STOPPED: Mutex<bool> = Mutex::new(false);

fn lock() -> MutexGuard<'static, bool> {
    STOPPED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no refs are moving, which takes a moment, and keeps them from moving again: for whoever ends
/// the program, so that no locks stay. Who would move them waits as long as this is held, and fails then.
pub fn stop_moving() -> MutexGuard<'static, bool> {
    let mut stopped = lock();
    *stopped = true;
    stopped
}
