//! Where statements are kept: git refs that travel beside the branches.
//!
//! `refs/attestations/{commits,trees,activities}` each name a commit whose tree has one directory
//! for each commit, tree or activity, and in it one file for each bundle, named by its content.
//! Two such trees are merged by taking both. Refs are only ever moved forward, and only from
//! where they were seen to be.

mod error;
mod merge;
mod notes;
mod objects;
mod refs;
mod remote;
mod removal;
mod shared;
mod tip;
mod trailer;
mod view;
mod writer;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use gix::{
    ObjectId,
    objs::Find as _,
    odb::Header as _,
    refs::{
        Target,
        transaction::{Change, PreviousValue, RefEdit, RefLog},
    },
};
use notme_core::{
    hex,
    json::Object,
    key::sha256,
    object::{self, CommitFields, HashKind, ObjectKind},
    statement::Statement,
    time::UnixTime,
};

use notme_verifier::{
    Repository,
    repository::{OBJECT_MAX, is_over_limit, open_objects},
};

pub use self::{
    error::StoreError,
    merge::{About, Excess, Merged, Signed},
    refs::stop_moving,
    removal::{Files, Found, Unlike},
    tip::Noted,
};
use self::{
    error::failed,
    objects::{Entry, change, is_short, read_blob, size, tree_of},
    refs::{author, edit, is_commit, is_taken, locks, move_refs, tip},
    shared::share,
    view::View,
    writer::Writer,
};
use crate::{bundle::Bundle, origins::is_disclosed_in, predicate::Activity};

/// Where it is kept what remotes had.
const TRACKING: &str = "refs/notme/attestations";
/// What follows the digest in a file's name.
const SUFFIX: &str = ".sigstore.json";
/// How many hex digits of the digest a file's name has.
const NAME_DIGITS: usize = 16;
/// Likewise of a URL that is pushed to.
const URL_DIGITS: usize = 16;
/// The most statements that are read for one thing.
pub const FILES_MAX: usize = 100_000;
/// The most bytes of them.
const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// So many bytes of them are in memory at a time while they are judged.
const PART_MAX: u64 = 16 * 1024 * 1024;
/// How long anybody waits for somebody else who adds to a chain, and between two looks.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);
/// How often a write that lost a race is tried again, and for how long while there is a lock.
const TRIES: u32 = 100;
const LOCK_PATIENCE: Duration = Duration::from_secs(8);

/// What statements are kept under.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Shelf {
    /// Commits, by object id.
    Commits,
    /// Trees, by object id: what follows an amend that keeps the tree.
    Trees,
    /// Activities, by the digest of their id: the records of one chain.
    Activities,
}

impl Shelf {
    /// Every shelf, in the order in which their refs move: a writer that is killed between two
    /// leaves no statement about a commit whose chain is not there.
    pub const ALL: [Self; 3] = [Self::Activities, Self::Trees, Self::Commits];

    /// Returns the last part of its ref.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commits => "commits",
            Self::Trees => "trees",
            Self::Activities => "activities",
        }
    }

    /// Returns its ref.
    pub fn reference(self) -> String {
        format!("refs/attestations/{}", self.as_str())
    }

    /// Returns the ref that holds what a remote has.
    fn tracking(self, remote: &str) -> String {
        format!("{}/{}", tracking(remote), self.as_str())
    }

    /// Returns the refspec that fetches it from a remote. Theirs may move anywhere; ours are only
    /// added to.
    pub fn refspec(self, remote: &str) -> String {
        format!("+{}:{}", self.reference(), self.tracking(remote))
    }
}

/// Names a remote after itself; after its digest, when it is a URL.
fn name_of(remote: &str) -> String {
    let is_name = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    match !remote.is_empty() && remote.bytes().all(is_name) {
        true => remote.to_owned(),
        false => format!("url-{}", hex::encode(&sha256(remote.as_bytes()))),
    }
}

/// Names what a remote has.
fn tracking(remote: &str) -> String {
    format!("{TRACKING}/{}", name_of(remote))
}

/// Begins the names of the URLs that a remote is pushed to.
fn push_names(remote: &str) -> String {
    format!("{}-push-", name_of(remote))
}

/// Names a URL that a remote is pushed to, where fetches read another; as a remote of its own, for git,
/// too.
pub fn push_name(remote: &str, url: &str) -> String {
    let mut digest = hex::encode(&sha256(url.as_bytes()));
    digest.truncate(URL_DIGITS);
    push_names(remote) + &digest
}

/// A place on a shelf.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Place {
    shelf: Shelf,
    name: String,
}

impl Place {
    /// That of a commit, by its object id in hex.
    pub fn commit(id: &str) -> Self {
        Self {
            shelf: Shelf::Commits,
            name: id.to_owned(),
        }
    }

    /// That of a tree, likewise.
    pub fn tree(id: &str) -> Self {
        Self {
            shelf: Shelf::Trees,
            name: id.to_owned(),
        }
    }

    /// That of an activity, by its id.
    pub fn activity(id: &str) -> Self {
        Self {
            shelf: Shelf::Activities,
            name: Activity::key(id),
        }
    }

    /// Returns every place that a statement belongs to: those of its commits, of their trees and of its
    /// activity, as it names them itself.
    pub fn of(statement: &Statement) -> Vec<Self> {
        let mut places: Vec<_> = statement.digests("gitCommit").map(Self::commit).collect();
        let commits = statement.subjects().iter();
        // Only what names the tree speaks of another commit that has it.
        let commits = commits.filter(|it| it.digest.contains_key("gitCommit"));
        places.extend(commits.filter_map(|it| Some(Self::tree(it.digest.get("gitTree")?))));
        let activity = statement.predicate().get("activity");
        let activity = activity.and_then(|it| it.get("id")?.as_str());
        places.extend(activity.map(Self::activity));
        places
    }

    fn directory(&self) -> String {
        let (head, rest) = self.name.split_at_checked(2).unwrap_or((&self.name, ""));
        format!("{head}/{rest}")
    }

    /// Returns the path of a file. The records of an activity may be many thousands, so that they
    /// are spread over directories of their own.
    fn path(&self, file: &FileName) -> String {
        let directory = self.directory();
        match self.shelf {
            Shelf::Commits | Shelf::Trees => format!("{directory}/{file}"),
            Shelf::Activities => format!("{directory}/{}/{file}", file.fan()),
        }
    }
}

/// The name of a bundle's file: the beginning of its digest.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FileName(String);

impl FileName {
    /// Names a file by its content.
    pub fn of(content: &[u8]) -> Self {
        let mut digits = hex::encode(&sha256(content));
        digits.truncate(NAME_DIGITS);
        Self(digits)
    }

    /// Reads the name of a file; `None` when it is not one that a bundle has.
    pub fn read(name: &[u8]) -> Option<Self> {
        let digits = str::from_utf8(name).ok()?.strip_suffix(SUFFIX)?;
        hex::decode_array::<{ NAME_DIGITS / 2 }>(digits)?;
        Some(Self(digits.to_owned()))
    }

    fn fan(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SUFFIX}", self.0)
    }
}

/// All that is kept in a place, by the name of its tree: while that is the same, so is everything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Contents(ObjectId);

impl Contents {
    fn of(directory: Entry) -> Option<Self> {
        directory.mode.is_tree().then_some(Self(directory.id))
    }
}

/// An object that holds a bundle.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Blob(ObjectId);

/// A bundle as it is kept; nothing of it is checked.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its name. That it is the content's is for the reader to check.
    pub name: FileName,
    /// Its object; none of what is kept nowhere.
    pub blob: Option<Blob>,
    /// Its bytes; none of a file over a limit, or that cannot be read, which is then not what its name
    /// says.
    pub content: Vec<u8>,
}

impl Kept {
    /// Names a bundle that is kept nowhere.
    pub fn nowhere(content: Vec<u8>) -> Self {
        Self {
            name: FileName::of(&content),
            blob: None,
            content,
        }
    }

    /// Checks that neither what it says nor what stands beside it lists origins.
    ///
    /// # Errors
    /// [`StoreError::Disclosed`].
    pub fn check_public(&self) -> Result<(), StoreError> {
        let bundle = Bundle::from_json(&self.content).ok();
        match merge::is_public(bundle.as_ref(), &self.content) {
            true => Ok(()),
            false => Err(StoreError::Disclosed),
        }
    }
}

/// A file that nobody may take.
#[derive(Clone, Debug, Default)]
pub struct Unfit {
    /// A commit that it is about, where there is one.
    pub commit: Option<String>,
    /// Whether it lists origins, as older versions kept it; else it is not signed by the key of its own
    /// certificate, has too much beside it, or lies where it does not belong.
    pub discloses: bool,
}

/// A commit, as far as statements are about it.
#[derive(Clone, Debug)]
pub struct CommitFacts {
    /// The whole object.
    pub raw: Vec<u8>,
    /// Its tree.
    pub tree: String,
    /// The values of the `Agent-Chain` trailers of its message; where there are more, or longer ones,
    /// than anybody follows, one that no chain holds.
    pub trailers: Arc<[String]>,
}

/// The name of the trailer by which a commit carries the head of its activity's chain.
pub const TRAILER: &str = "Agent-Chain";

/// The statements of a repository.
#[derive(Clone, Debug)]
pub struct Store {
    repository: gix::ThreadSafeRepository,
    hash: HashKind,
    /// Where commits are looked for beside the repository's own objects.
    elsewhere: Vec<PathBuf>,
    /// What its shelves hold for good, for whoever looks at many places.
    view: Option<Arc<View>>,
}

impl Store {
    /// Opens the store of a git directory.
    ///
    /// # Errors
    /// [`StoreError`] when it is none.
    pub fn open(git_directory: &Path) -> Result<Self, StoreError> {
        let opened = Repository::open(git_directory);
        let repository = opened.map_err(|error| failed("open it", error))?;
        Ok(Self::of(&repository))
    }

    /// Takes the store of a repository that is open already.
    pub fn of(repository: &Repository) -> Self {
        Self {
            repository: repository.shared(),
            hash: repository.hash(),
            elsewhere: Vec::new(),
            view: None,
        }
    }

    /// Looks for commits in these directories of objects as well: while a push is received, git
    /// keeps what it brings apart (`GIT_OBJECT_DIRECTORY`). Statements are read, and written,
    /// where the repository has them.
    #[must_use]
    pub fn with_objects(mut self, directories: Vec<PathBuf>) -> Self {
        self.elsewhere = directories;
        self
    }

    /// Reads its shelves as they are when each is first looked at, whatever is added after that.
    #[must_use]
    pub(crate) fn with_view(mut self) -> Self {
        self.view.get_or_insert_default();
        self
    }

    fn view(&self) -> Arc<View> {
        self.view.clone().unwrap_or_default()
    }

    /// Keeps other processes from adding to a chain until the file is dropped: who looks where a
    /// chain ends and then goes on from there does both under it.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be made.
    pub fn lock(&self) -> Result<File, StoreError> {
        let directory = self.local().common_dir().to_owned();
        let path = directory.join("notme-attest.lock");
        let is_new = !path.exists();
        let mut to_write = File::options();
        let open = notes::open(&path, to_write.create(true).truncate(false).write(true));
        // Somebody else's may not be for us to write to, and holds as well; but not where a network's file
        // system wants to write for that.
        let open = open.or_else(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => notes::open(&path, File::options().read(true)),
            _ => Err(error),
        });
        if is_new {
            share(&self.local(), &path);
        }
        let file = open.map_err(|error| failed("lock them", error))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(StoreError::Busy(path)),
                Err(TryLockError::Error(error)) => return Err(failed("lock them", error)),
            }
        }
    }

    /// Returns the locks of its refs that are there: somebody moves them, or was killed while doing so.
    pub fn locks(&self) -> Vec<PathBuf> {
        locks(&self.local())
    }

    /// Tells whether there are any statements.
    ///
    /// # Errors
    /// [`StoreError`] when the refs cannot be read.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        let repository = self.local();
        for shelf in Shelf::ALL {
            if tip(&repository, &shelf.reference())?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns what is kept in a place, in the order of the names. A file that is too long is
    /// returned without its content, and so is one that is one too many; nothing that is longer is
    /// read then.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn read(&self, place: &Place) -> Result<Vec<Kept>, StoreError> {
        self.read_new(place, &mut HashSet::new())
    }

    /// As [`Store::read`], but for what was seen already: a statement lies with each commit that it names,
    /// and those may be thousands. What is read is seen then.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_new(
        &self,
        place: &Place,
        seen: &mut HashSet<(FileName, Option<Blob>)>,
    ) -> Result<Vec<Kept>, StoreError> {
        let mut new: Vec<Kept> = Vec::new();
        let is_seen = |name: &FileName, blob| seen.contains(&(name.clone(), Some(blob)));
        self.read_in_parts(place, is_seen, |part| new.extend(part))?;
        new.retain(|kept| seen.insert((kept.name.clone(), kept.blob)));
        new.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(new)
    }

    /// As [`Store::read`], but for the content of bundles whose names are known already, and so many at a
    /// time as there is room for; the shortest first, so that who fills a place leaves out their own.
    pub(crate) fn read_in_parts(
        &self,
        place: &Place,
        is_known: impl Fn(&FileName, Blob) -> bool,
        mut take: impl FnMut(Vec<Kept>),
    ) -> Result<(), StoreError> {
        let repository = self.local();
        let blobs = self.view().blobs(&repository, place)?;
        let weighed = blobs.into_iter().map(|(name, id)| {
            let size = match is_known(&name, Blob(id)) {
                true => None,
                // One that cannot be read is refused, and not all the others with it.
                false => size(&repository, id).ok(),
            };
            (size, name, id)
        });
        let mut files: Vec<_> = weighed.collect();
        files.sort_by_key(|(size, ..)| *size);
        let mut part = Vec::new();
        let (mut left, mut room) = (BYTES_MAX, PART_MAX);
        for (count, (size, name, id)) in files.into_iter().enumerate() {
            let rest = left.checked_sub(size.unwrap_or_default());
            let rest = rest.filter(|_| count < FILES_MAX);
            let mut content = Vec::new();
            if let (Some(rest), Some(size)) = (rest, size.filter(|size| is_short(*size))) {
                if room < size {
                    take(std::mem::take(&mut part));
                    room = PART_MAX;
                }
                content = read_blob(&repository, id).unwrap_or_default();
                left = rest;
                room = room.saturating_sub(size);
            }
            let blob = Some(Blob(id));
            part.push(Kept {
                name,
                blob,
                content,
            });
            if rest.is_none() {
                break;
            }
        }
        take(part);
        Ok(())
    }

    /// Returns one bundle of a place; `None` when it is not there.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_one(&self, place: &Place, file: &FileName) -> Result<Option<Kept>, StoreError> {
        let repository = self.local();
        let path = place.path(file);
        let found = self.view().at(&repository, place.shelf, &path)?;
        let Some(Entry { id, .. }) = found.filter(|found| found.mode.is_blob()) else {
            return Ok(None);
        };
        let content = match is_short(size(&repository, id)?) {
            true => read_blob(&repository, id)?,
            false => Vec::new(),
        };
        Ok(Some(Kept {
            name: file.clone(),
            blob: Some(Blob(id)),
            content,
        }))
    }

    /// Returns how many bundles are kept in a place, without reading them.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn count(&self, place: &Place) -> Result<usize, StoreError> {
        Ok(self.view().blobs(&self.local(), place)?.len())
    }

    /// Tells what is kept in a place without reading it; `None` for nothing.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn contents(&self, place: &Place) -> Result<Option<Contents>, StoreError> {
        let repository = self.local();
        let found = (self.view()).at(&repository, place.shelf, &place.directory())?;
        Ok(found.and_then(Contents::of))
    }

    /// Keeps bundles, each in all its places, in one step: all of them, or none.
    ///
    /// # Errors
    /// [`StoreError`] when the refs cannot be moved; they are then where they were.
    pub fn write(
        &self,
        bundles: &[(Vec<u8>, Vec<Place>)],
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.put(bundles, now, None).map(drop)
    }

    /// As [`Store::write`], if nothing was added to a place since it was looked at. Returns what
    /// is kept there then.
    ///
    /// # Errors
    /// As [`Store::write`], and [`StoreError::Moved`].
    pub fn write_after(
        &self,
        bundles: &[(Vec<u8>, Vec<Place>)],
        now: UnixTime,
        (place, seen): (&Place, Option<Contents>),
    ) -> Result<Option<Contents>, StoreError> {
        self.put(bundles, now, Some((place, seen)))
    }

    fn put(
        &self,
        bundles: &[(Vec<u8>, Vec<Place>)],
        now: UnixTime,
        after: Option<(&Place, Option<Contents>)>,
    ) -> Result<Option<Contents>, StoreError> {
        // A payload is looked at by who knows it; what stands beside it is as public.
        if bundles.iter().any(|(content, _)| is_disclosed_in(content)) {
            return Err(StoreError::Disclosed);
        }
        let mut contents = None;
        self.advance(now, |repository, shelf, tip| {
            let mut additions = Vec::new();
            for (content, places) in bundles {
                let places = places.iter().filter(|place| place.shelf == shelf);
                let mut places = places.peekable();
                if places.peek().is_some() {
                    let name = FileName::of(content);
                    let id = repository.write_raw(gix::objs::Kind::Blob, content.clone())?;
                    additions.extend(places.map(|place| (place.path(&name), id)));
                }
            }
            let after = after.filter(|(place, _)| place.shelf == shelf);
            if additions.is_empty() && after.is_none() {
                return Ok(None);
            }
            let additions: Vec<_> = additions
                .iter()
                .map(|(path, id)| (path.as_str(), Some(*id)))
                .collect();
            let base = tip.map_or(Ok(None), |tip| tree_of(repository, tip).map(Some))?;
            let in_tree = |tree, place: &Place| {
                let found = View::default().below(repository, tree, &place.directory())?;
                Ok::<_, StoreError>(found.and_then(Contents::of))
            };
            if let Some((place, seen)) = after
                && base.map_or(Ok(None), |base| in_tree(base, place))? != seen
            {
                return Err(StoreError::Moved);
            }
            let tree = change(repository, base, &additions)?;
            if let Some((place, _)) = after {
                contents = in_tree(tree, place)?;
            }
            Ok((Some(tree) != base && tree != repository.empty_tree().id)
                .then_some(Next::Tree(tree, tip.into_iter().collect())))
        })?;
        Ok(contents)
    }

    /// Reads a commit; `None` when it is not here.
    ///
    /// # Errors
    /// [`StoreError`] when it is here and cannot be read.
    pub fn commit(&self, id: &str) -> Result<Option<CommitFacts>, StoreError> {
        let read = self.read_commit(id, |commit| {
            let trailers = trailer::trailers(commit.message());
            (commit.tree().to_owned(), trailers.into())
        })?;
        Ok(read.map(|(raw, (tree, trailers))| CommitFacts {
            raw,
            tree,
            trailers,
        }))
    }

    /// Reads the tree of a commit; `None` when it is not here.
    ///
    /// # Errors
    /// [`StoreError`] when it is here and cannot be read.
    pub fn tree(&self, id: &str) -> Result<Option<String>, StoreError> {
        let read = self.read_commit(id, |commit| commit.tree().to_owned())?;
        Ok(read.map(|(_, tree)| tree))
    }

    /// Tells whether a commit that is here has parents, be they here or not.
    ///
    /// # Errors
    /// As [`Store::tree`].
    pub fn has_parents(&self, id: &str) -> Result<bool, StoreError> {
        let read = self.read_commit(id, |commit| !commit.parents().is_empty())?;
        Ok(read.is_some_and(|(_, has_parents)| has_parents))
    }

    /// Reads a commit, and from it what is wanted.
    fn read_commit<T>(
        &self,
        id: &str,
        read: impl FnOnce(&CommitFields<'_>) -> T,
    ) -> Result<Option<(Vec<u8>, T)>, StoreError> {
        let repository = self.local();
        let id = ObjectId::from_hex(id.as_bytes()).ok();
        let Some(id) = id.filter(|id| id.kind() == repository.object_hash()) else {
            return Ok(None);
        };
        let Some(raw) = self.find(&repository, id)? else {
            return Ok(None);
        };
        let is_named = gix::objs::compute_hash(id.kind(), gix::objs::Kind::Commit, &raw)
            .is_ok_and(|it| it == id);
        if !is_named {
            return Err(StoreError::Misnamed(id.to_string()));
        }
        let malformed = |error: object::ObjectError| StoreError::Commit(id.to_string(), error);
        let split = object::split(ObjectKind::Commit, &raw, self.hash).map_err(malformed)?;
        let commit = object::parse_commit(split.payload()).map_err(malformed)?;
        let wanted = read(&commit);
        Ok(Some((raw, wanted)))
    }

    fn local(&self) -> gix::Repository {
        let mut repository = self.repository.to_thread_local();
        // What is judged is what the name says, whatever is put in its place for reading.
        repository.objects.ignore_replacements = true;
        repository
    }

    /// Reads a commit, unless it is longer than anybody reads.
    fn find(
        &self,
        repository: &gix::Repository,
        id: ObjectId,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let error = |error| match is_over_limit(&error) {
            true => StoreError::TooLarge(id.to_string()),
            false => failed("read a commit", error),
        };
        let is_commit = |kind, size| match kind {
            gix::objs::Kind::Commit if size > OBJECT_MAX => {
                Err(StoreError::TooLarge(id.to_string()))
            }
            kind => Ok(kind == gix::objs::Kind::Commit),
        };
        if let Some(header) = repository.try_find_header(id).map_err(error)? {
            if !is_commit(header.kind(), header.size())? {
                return Ok(None);
            }
            let found = repository.try_find_object(id).map_err(error)?;
            return Ok(found.map(|found| found.detach().data));
        }
        for directory in self.elsewhere.iter().filter(|directory| directory.is_dir()) {
            let objects = open_objects(directory, repository.object_hash())
                .map_err(|error| failed("open the objects of a push", error))?;
            if let Some(header) = objects.try_header(&id).map_err(error)? {
                let mut raw = Vec::new();
                let is_commit = is_commit(header.kind(), header.size())?
                    && objects.try_find(&id, &mut raw).map_err(error)?.is_some();
                return Ok(is_commit.then_some(raw));
            }
        }
        Ok(None)
    }

    /// Tells whether the history here was cut off.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be read.
    pub fn is_shallow(&self) -> Result<bool, StoreError> {
        let shallow = self.local().is_shallow();
        shallow.map_err(|error| failed("see where its history ends", error))
    }

    /// Returns what HEAD names, if it names a commit.
    pub fn head(&self) -> Option<String> {
        let repository = self.local();
        let head = repository.head_id().ok()?;
        Some(head.detach().to_string())
    }

    /// Takes what another repository has, which was fetched into tracking refs. Its history comes along
    /// where `check` finds nothing wrong in what the one commit reaches and the other does not. What is too
    /// much to be looked at is left out, if that is what they want.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn merge(
        &self,
        remote: &str,
        now: UnixTime,
        excess: Excess,
        check: impl Fn(ObjectId, Option<ObjectId>) -> Result<(), String>,
    ) -> Result<Merged, StoreError> {
        let mut merged = Merged::default();
        let dropped = self.dropped()?;
        self.advance(now, |repository, shelf, ours| {
            if Some(&shelf) == Shelf::ALL.first() {
                // The first of them; asked again after a lost race, it counts anew.
                merged = Merged::default();
            }
            let Some(theirs) = tip(repository, &shelf.tracking(remote))? else {
                return Ok(None);
            };
            merged.theirs.insert(shelf, theirs);
            if !is_commit(repository, theirs)? {
                merged.ignored += 1;
                return Ok(None);
            }
            let both = (ours, theirs);
            let terms = (&dropped, excess);
            merge::union(repository, shelf, both, terms, &check, &mut merged)
        })?;
        Ok(merged)
    }

    /// Forgets what a remote had beside these shelves: what it does not have any more is not taken for
    /// what it has, and git keeps no ref below another, so that it would be in their way for good.
    ///
    /// # Errors
    /// [`StoreError`] when the refs cannot be read or deleted.
    pub fn forget_others(&self, remote: &str, shelves: &[Shelf]) -> Result<(), StoreError> {
        let own: Vec<_> = shelves.iter().map(|it| it.tracking(remote)).collect();
        let below = format!("{}/", tracking(remote));
        self.forget_below(&below, |name| own.iter().any(|own| own == name))
    }

    /// Forgets what was at URLs that a remote is no longer pushed to; these names are kept.
    ///
    /// # Errors
    /// [`StoreError`] when the refs cannot be read or deleted.
    pub fn forget_pushed_but(&self, remote: &str, names: &[&str]) -> Result<(), StoreError> {
        let below = tracking(&push_names(remote));
        let kept: Vec<_> = names.iter().map(|name| tracking(name) + "/").collect();
        self.forget_below(&below, |name| {
            // Another remote's name may begin so.
            let digest = name
                .strip_prefix(&below)
                .and_then(|it| it.split('/').next());
            let is_digest = digest
                .and_then(hex::decode_array::<{ URL_DIGITS / 2 }>)
                .is_some();
            !is_digest || kept.iter().any(|kept| name.starts_with(kept))
        })
    }

    /// Deletes all tracking refs that begin so, but those that are kept.
    fn forget_below(&self, below: &str, is_kept: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let repository = self.local();
        let error = |error| failed("read the refs", error);
        let platform = repository.references().map_err(error)?;
        let mut edits = Vec::new();
        for reference in platform.prefixed(below).map_err(error)? {
            let name = reference.map_err(error)?.name().to_owned();
            if !is_kept(&name.as_bstr().to_string()) {
                edits.push(RefEdit {
                    change: Change::Delete {
                        expected: PreviousValue::Any,
                        log: RefLog::AndReference,
                    },
                    name,
                    deref: false,
                });
            }
        }
        move_refs(&repository, edits, None, "forget what a remote had")
    }

    /// Returns what the shelves name now.
    ///
    /// # Errors
    /// [`StoreError`] when the refs cannot be read.
    pub fn tips(&self) -> Result<Vec<(Shelf, ObjectId)>, StoreError> {
        let repository = self.local();
        let mut tips = Vec::new();
        for shelf in Shelf::ALL {
            let tip = tip(&repository, &shelf.reference())?;
            tips.extend(tip.map(|tip| (shelf, tip)));
        }
        Ok(tips)
    }

    /// Finds a shelf that does not have any more what it had, but for what was dropped.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn lost_since(
        &self,
        before: &[(Shelf, ObjectId)],
    ) -> Result<Option<(Shelf, ObjectId)>, StoreError> {
        let repository = self.local();
        let now: BTreeMap<_, _> = self.tips()?.into_iter().collect();
        // What is dropped is noted before it is gone.
        let dropped = self.dropped()?;
        for (shelf, was) in before {
            let now = now.get(shelf).copied();
            if merge::is_lost(&repository, *shelf, (now, *was), &dropped)? {
                return Ok(Some((*shelf, *was)));
            }
        }
        Ok(None)
    }

    /// Returns the shelves that hold something which the remote lacks, as its tracking refs say, and what
    /// they name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ahead_of(&self, remote: &str) -> Result<Vec<(Shelf, ObjectId)>, StoreError> {
        let repository = self.local();
        let mut ahead = Vec::new();
        for shelf in Shelf::ALL {
            let ours = tip(&repository, &shelf.reference())?;
            let theirs = tip(&repository, &shelf.tracking(remote))?;
            if let Some(ours) = ours
                && !theirs.is_some_and(|theirs| merge::is_ancestor(&repository, ours, theirs))
            {
                ahead.push((shelf, ours));
            }
        }
        Ok(ahead)
    }

    /// Finds what nobody may take among what a remote lacks, as of a merge.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unfit(&self, merged: &Merged) -> Result<BTreeMap<FileName, Unfit>, StoreError> {
        let repository = self.local();
        let mut all: BTreeMap<_, Unfit> = BTreeMap::new();
        for shelf in Shelf::ALL {
            let new = self.new_to(shelf, merged)?;
            for (file, path, discloses) in merge::unfit(&repository, shelf, new) {
                let commit = path.rsplit_once('/').map(|(id, _)| id.replace('/', ""));
                let commit = commit.filter(|_| shelf == Shelf::Commits);
                let known = all.entry(file).or_default();
                known.commit = known.commit.take().or(commit);
                known.discloses |= discloses;
            }
        }
        Ok(all)
    }

    /// Returns what is said of commits by the statements that a remote lacks, as of a merge.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn about(&self, merged: &Merged) -> Result<Vec<About>, StoreError> {
        let mut new = Vec::new();
        for shelf in Shelf::ALL {
            new.extend(self.new_to(shelf, merged)?);
        }
        Ok(merge::about(&self.local(), &new))
    }

    /// Finds the files of a shelf that a remote lacks, as of a merge.
    fn new_to(
        &self,
        shelf: Shelf,
        merged: &Merged,
    ) -> Result<Vec<(FileName, String, ObjectId)>, StoreError> {
        let repository = self.local();
        let theirs = merged.theirs.get(&shelf).copied();
        match tip(&repository, &shelf.reference())? {
            Some(ours) => merge::new_to(&repository, shelf, (theirs, ours)),
            None => Ok(Vec::new()),
        }
    }

    /// Finds the statements that lie with a commit and with no tree, though they name one; by their
    /// paths below the commits. Older versions imported those so whose commit came later.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn without_trees(&self) -> Result<Vec<String>, StoreError> {
        let repository = self.local();
        let files = |shelf: Shelf| {
            let tip = tip(&repository, &shelf.reference())?;
            tip.map_or(Ok(Vec::new()), |tip| {
                merge::files_of(&repository, shelf, tip)
            })
        };
        let with_trees = files(Shelf::Trees)?.into_iter().map(|(file, ..)| file);
        let with_trees: HashSet<_> = with_trees.collect();
        let mut without = files(Shelf::Commits)?;
        without.retain(|(file, ..)| !with_trees.contains(file));
        Ok(merge::naming_trees(&repository, without))
    }

    /// Notes what a remote has now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pushed(
        &self,
        remote: &str,
        shelves: &[(Shelf, ObjectId)],
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let note =
            |(shelf, id): &(Shelf, ObjectId)| edit(shelf.tracking(remote), PreviousValue::Any, *id);
        let edits = shelves.iter().map(note).collect::<Result<Vec<_>, _>>()?;
        let mut time = gix::date::parse::TimeBuf::default();
        let author = author(now);
        let author = author.to_ref(&mut time);
        move_refs(&self.local(), edits, Some(author), "note what was pushed")
    }

    /// Moves the refs to what `make` says. Whoever moved them meanwhile, or whose collecting of
    /// garbage took away a directory that was to be written to, makes us try again.
    fn advance(
        &self,
        now: UnixTime,
        mut make: impl FnMut(&Writer, Shelf, Option<ObjectId>) -> Result<Option<Next>, StoreError>,
    ) -> Result<(), StoreError> {
        let (mut attempt, begun) = (0, Instant::now());
        loop {
            match self.try_to_advance(now, &mut make) {
                Err(StoreError::Git { .. }) if attempt < TRIES => {}
                // Each try takes up to a second where a lock was left behind.
                Err(StoreError::Locked(..))
                    if attempt < TRIES && begun.elapsed() < LOCK_PATIENCE => {}
                result => return result?.keep(),
            }
            // Two that collide would collide again, if they waited for the same time.
            let step = u64::from(std::process::id() % 7 + attempt % 13);
            thread::sleep(Duration::from_millis(2 + step * 3));
            attempt += 1;
        }
    }

    fn try_to_advance(
        &self,
        now: UnixTime,
        mut make: impl FnMut(&Writer, Shelf, Option<ObjectId>) -> Result<Option<Next>, StoreError>,
    ) -> Result<Writer, StoreError> {
        let signature = author(now);
        let mut time = gix::date::parse::TimeBuf::default();
        let author = signature.to_ref(&mut time);
        let repository = Writer::new(self.local());
        let mut edits = Vec::new();
        for shelf in Shelf::ALL {
            let old = tip(&repository, &shelf.reference())?;
            if let Some(old) = old
                && !is_commit(&repository, old)?
            {
                return Err(StoreError::NoCommit(shelf.reference()));
            }
            // git keeps no ref below another, which is found when the others have moved; and one that
            // stands for another is not ours to move.
            if old.is_none() && is_taken(&repository, &shelf.reference())? {
                return Err(StoreError::NoCommit(shelf.reference()));
            }
            let new = match make(&repository, shelf, old)? {
                None => continue,
                Some(Next::Commit(new)) => new,
                Some(Next::Tree(tree, parents)) => repository.write(&gix::objs::Commit {
                    tree,
                    parents: parents.into_iter().collect(),
                    author: signature.clone(),
                    committer: signature.clone(),
                    encoding: None,
                    message: "attest\n".into(),
                    extra_headers: Vec::new(),
                })?,
            };
            let expected = match old {
                Some(old) => PreviousValue::MustExistAndMatch(Target::Object(old)),
                None => PreviousValue::MustNotExist,
            };
            edits.push(edit(shelf.reference(), expected, new)?);
        }
        if !edits.is_empty() {
            move_refs(&repository, edits, Some(author), "move its refs")?;
        }
        Ok(repository)
    }
}

/// Where a ref is to move.
enum Next {
    /// To a commit that is there.
    Commit(ObjectId),
    /// To a new commit of this tree, on top of these.
    Tree(ObjectId, Vec<ObjectId>),
}

/// Checks that what goes into a public carrier lists no origins: whoever may read the repository
/// need not be entitled to know what the agent read.
///
/// # Errors
/// [`StoreError::Disclosed`].
pub fn check_public(predicate: &Object) -> Result<(), StoreError> {
    match crate::origins::disclosed(predicate) {
        true => Err(StoreError::Disclosed),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use notme_testkit::repository::Repository as Scratch;

    use super::*;
    use crate::bundle::BUNDLE_MAX;

    /// A stranger fills it with little to send: one blob of blanks, under many names.
    #[test]
    fn who_fills_a_place_leaves_out_their_own() {
        let scratch = Scratch::new();
        let write = |arguments: &[&str], input: &[u8]| {
            let written = scratch.git_with_input(arguments, input);
            assert!(written.status.success());
            String::from_utf8(written.stdout).unwrap().trim().to_owned()
        };
        let blob = |content: &[u8]| write(&["hash-object", "-w", "--stdin"], content);
        let (short, long) = (blob(b"{}"), blob(&vec![b' '; BUNDLE_MAX]));
        let mut listed = format!("100644 blob {short}\tffffffffffffffff{SUFFIX}\n");
        for number in 0..=BYTES_MAX / u64::try_from(BUNDLE_MAX).unwrap() {
            listed.push_str(&format!("100644 blob {long}\t{number:016x}{SUFFIX}\n"));
        }
        let place = Place::commit(&"ab".repeat(20));
        let directory = place.directory();
        let (head, rest) = directory.split_once('/').unwrap();
        for name in [rest, head] {
            let tree = write(&["mktree"], listed.as_bytes());
            listed = format!("040000 tree {tree}\t{name}\n");
        }
        let tree = write(&["mktree"], listed.as_bytes());
        let commit = scratch.git_ok(&["commit-tree", "-m", "x", &tree]);
        scratch.git_ok(&["update-ref", &Shelf::Commits.reference(), &commit]);
        let store = Store::open(&scratch.path().join(".git")).unwrap();
        let (mut lengths, mut largest) = (Vec::new(), 0);
        let take = |part: Vec<Kept>| {
            largest = largest.max(part.iter().map(|kept| kept.content.len()).sum());
            lengths.extend(part.iter().map(|kept| kept.content.len()));
        };
        store.read_in_parts(&place, |_, _| false, take).unwrap();
        assert_eq!((lengths[0], lengths[1]), (2, BUNDLE_MAX));
        // One stands for what is left out.
        assert_eq!(lengths.iter().filter(|length| **length == 0).count(), 1);
        assert!(u64::try_from(largest).unwrap() <= PART_MAX);
    }

    /// Of two that write first, the second tries again.
    #[test]
    fn a_ref_that_came_to_be_meanwhile_is_not_taken() {
        let scratch = Scratch::new();
        scratch.git_ok(&["commit", "--allow-empty", "-m", "x"]);
        let repository = gix::open(scratch.path()).unwrap();
        let reference = Shelf::Commits.reference();
        let is_taken = || is_taken(&repository, &reference).unwrap();
        assert!(!is_taken());
        scratch.git_ok(&["update-ref", &reference, "HEAD"]);
        assert!(!is_taken());
        scratch.git_ok(&["symbolic-ref", &reference, "refs/heads/unborn"]);
        assert!(is_taken());
        scratch.git_ok(&["symbolic-ref", "--delete", &reference]);
        scratch.git_ok(&["update-ref", &format!("{reference}/x"), "HEAD"]);
        assert!(is_taken());
    }

    #[test]
    fn names_are_digests_and_nothing_else() {
        let name = FileName::of(b"{}");
        assert_eq!(name.to_string(), "44136fa355b3678a.sigstore.json");
        assert_eq!(FileName::read(name.to_string().as_bytes()), Some(name));
        for wrong in [
            "44136fa355b3678a",
            "44136fa355b3678A.sigstore.json",
            "44136fa355b3678.sigstore.json",
            "../6fa355b3678a.sigstore.json",
        ] {
            assert_eq!(FileName::read(wrong.as_bytes()), None);
        }
    }
}
