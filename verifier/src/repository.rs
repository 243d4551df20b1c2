//! Reading git repositories: the one module that does, through gix.
//!
//! Objects are read raw. Whatever could show other objects than the names ask for is left out:
//! replace refs, grafts and namespaces are not followed, the commit-graph file only helps to guess how
//! long a run takes, and neither the environment nor configuration outside the repository is read.

mod bases;
mod blame;
mod changes;
mod error;
mod names;
mod objects;
mod recent_deltas;
mod regular_files;
mod revision;
mod selection;
mod tree;
mod trunks;
mod walk;

use std::{
    cell::{OnceCell, RefCell},
    collections::{HashMap, HashSet},
    fs::{self, metadata},
    io, iter,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

pub use gix::ObjectId;
use gix::{
    bstr::ByteSlice as _,
    objs::{FindExt as _, Kind, TagRefIter},
    remote::Direction,
};
use notme_core::{
    object::{HashKind, ObjectKind, Payload, classify},
    terms::repository_name,
};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

pub(crate) use self::{
    bases::{AllParents, Gone, Kinship},
    blame::{Asked, Blame, Blamed},
    changes::Differences,
    tree::{ChangedPaths, Entry, Own, Trees},
    walk::{Content, Found, Graph, Memory, Node, Remembered, Walk},
};
use self::{
    bases::{Bases, Unknown},
    changes::Changes,
    objects::{Objects, ROOM_MAX},
    regular_files::{check_above, check_below, check_file, check_files, entries, read_short},
    selection::TAGS,
};
pub use self::{
    error::RepositoryError,
    objects::{is_over_limit, open_objects},
    regular_files::check_place,
    revision::is_branch_or_tag,
    selection::{Main, Selection},
    walk::OBJECT_MAX,
};
use crate::{load::check_regular, refusal::Refusal, verdict::Code};

/// An open repository.
#[derive(Debug)]
pub struct Repository {
    inner: gix::Repository,
    objects: Objects,
    hash: HashKind,
    /// Where tags lead that were followed; an error is what is missing there. However long a chain
    /// of tags is, and however many refs lead into it, it is followed once.
    tags: RefCell<HashMap<ObjectId, Result<Option<ObjectId>, ObjectId>>>,
    commits: RefCell<bases::Memory>,
    /// Where a shallow clone ends, once somebody asks.
    boundary: OnceCell<HashSet<ObjectId>>,
    /// What is known of how commits parted, whoever is accepted.
    all_parents: AllParents,
}

impl Repository {
    /// Finds the repository that `directory` belongs to.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] when there is none, and as [`Self::open`].
    pub fn discover(directory: &Path) -> Result<Self, RepositoryError> {
        let error = |source: gix::Error| RepositoryError::Open {
            path: directory.to_owned(),
            source: Box::new(source),
        };
        check_above(directory).map_err(|source| error(gix::Error::from_error(source)))?;
        let (found, _) =
            gix::discover::upwards(directory).map_err(|source| match source.is_not_found() {
                true => RepositoryError::NotFound(directory.to_owned()),
                false => error(source),
            })?;
        Self::open(&found.into_repository_and_work_tree_directories().0)
    }

    /// Opens a git directory.
    ///
    /// # Errors
    /// [`RepositoryError::Open`] when it is none or cannot be opened, and
    /// [`RepositoryError::UnknownHash`], [`RepositoryError::RefStorage`] and
    /// [`RepositoryError::UnknownExtension`] when it is of a kind that is not read.
    pub fn open(git_directory: &Path) -> Result<Self, RepositoryError> {
        let error = |source: gix::Error| RepositoryError::Open {
            path: git_directory.to_owned(),
            source: Box::new(source),
        };
        check_files(git_directory).map_err(|source| error(gix::Error::from_error(source)))?;
        // Nothing in a repository's configuration makes this program run anything, so another
        // owner is no reason to distrust it more than its objects.
        let options = gix::open::Options::isolated()
            .with(gix::sec::Trust::Full)
            .config_overrides([
                format!("gitoxide.objects.allocLimit={ROOM_MAX}"),
                "core.useReplaceRefs=false".to_owned(),
                "core.commitGraph=false".to_owned(),
            ]);
        let mut inner = gix::open_opts(git_directory, options).map_err(error)?;
        inner.clear_namespace();
        let hash = match inner.object_hash() {
            gix::hash::Kind::Sha1 => HashKind::Sha1,
            gix::hash::Kind::Sha256 => HashKind::Sha256,
            other => return Err(RepositoryError::UnknownHash(other.to_string())),
        };
        if let Some(name) = unknown_extension(&inner) {
            return Err(RepositoryError::UnknownExtension(name));
        }
        // gix would find no refs, and make some that git does not see.
        let storage = inner.config_snapshot().string("extensions.refStorage");
        if let Some(storage) = storage.filter(|it| !it.eq_ignore_ascii_case(b"files")) {
            return Err(RepositoryError::RefStorage(storage.to_string()));
        }
        let objects = Objects::new(inner.objects.clone());
        Ok(Self {
            inner,
            objects,
            hash,
            tags: RefCell::default(),
            commits: RefCell::default(),
            boundary: OnceCell::new(),
            all_parents: AllParents::default(),
        })
    }

    /// Reads objects where the caller says: from `object_directory` in place of the repository's
    /// own, if given, and then from the alternates. These are git's `GIT_OBJECT_DIRECTORY` and
    /// `GIT_ALTERNATE_OBJECT_DIRECTORIES`, by which a hook sees what a push has brought and
    /// nobody has accepted yet. Names are resolved by the refs and objects of the repository
    /// itself; a new object is named in full, and from there with `~` and `^`.
    ///
    /// # Errors
    /// [`RepositoryError::Objects`] when `object_directory` is no directory. Alternates that are
    /// none are passed over, as by git.
    pub fn with_objects(
        mut self,
        object_directory: Option<&Path>,
        alternates: &[PathBuf],
    ) -> Result<Self, RepositoryError> {
        let hash = self.inner.object_hash();
        if let Some(directory) = object_directory {
            self.objects =
                Objects::at(directory, hash).map_err(|source| RepositoryError::Objects {
                    path: directory.to_owned(),
                    source,
                })?;
        }
        for directory in alternates {
            if directory.is_dir() {
                self.objects
                    .add(directory, hash)
                    .map_err(|source| RepositoryError::Objects {
                        path: directory.clone(),
                        source,
                    })?;
            }
        }
        Ok(self)
    }

    /// Returns it as gix has it, for who writes to it too.
    pub fn shared(&self) -> gix::ThreadSafeRepository {
        self.inner.clone().into_sync()
    }

    /// Returns the hash that names its objects.
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// Returns the git directory.
    pub fn path(&self) -> PathBuf {
        self.inner.git_dir().to_owned()
    }

    /// Returns the directory that all its worktrees share.
    pub fn common_path(&self) -> PathBuf {
        self.inner.common_dir().to_owned()
    }

    /// Returns what the repository's own file sets, unless another file may overrule it: one that it
    /// includes, or that of a worktree. Git takes nothing from a repository of somebody else's.
    pub fn own_setting(&self, name: &str) -> Option<String> {
        let settings = self.inner.config_snapshot();
        let file = settings.plumbing();
        let is_alone = ["include", "includeIf"].iter().all(|section| {
            let mut sections = file.sections_by_name(section).into_iter().flatten();
            sections.next().is_none()
        });
        let is_shared = settings.boolean("extensions.worktreeConfig") != Some(true);
        let user = rustix::process::geteuid().as_raw();
        let is_ours = [self.inner.git_dir(), self.inner.common_dir()]
            .iter()
            .all(|directory| metadata(directory).is_ok_and(|it| it.uid() == user));
        let value = settings
            .string(name)
            .filter(|_| is_alone && is_shared && is_ours)?;
        String::from_utf8(value.into()).ok()
    }

    /// Returns the names that its own configuration gives it: those of `notme.repository`, else that
    /// of the remote `origin`. One that was cloned from this machine has none.
    pub fn known_as(&self) -> Vec<String> {
        let config = self.inner.config_snapshot();
        let own = config.plumbing().strings("notme.repository");
        let urls = own.or_else(|| Some(vec![config.plumbing().string("remote.origin.url")?]));
        let urls = urls.unwrap_or_default();
        let names = urls.iter().map(|url| url.to_str_lossy());
        names.filter_map(|name| repository_name(&name)).collect()
    }

    /// Tells whether there are replace refs, which git follows and we do not.
    pub fn has_replacements(&self) -> bool {
        let references = self.inner.references();
        let has_any = |platform: gix::reference::iter::Platform<'_>| {
            let mut found = platform.prefixed("refs/replace/")?;
            gix::Result::Ok(found.next().is_some())
        };
        references.and_then(has_any).unwrap_or(false)
    }

    /// Tells whether there are grafts, which git follows and we do not.
    pub fn has_grafts(&self) -> bool {
        let file = self.inner.common_dir().join("info/grafts");
        metadata(file).is_ok_and(|file| file.len() > 0)
    }

    /// Returns the commits at which a shallow clone ends, as they were when somebody first asked.
    ///
    /// # Errors
    /// [`RepositoryError::Shallow`] when the list cannot be read.
    pub fn shallow_boundary(&self) -> Result<&HashSet<ObjectId>, RepositoryError> {
        if let Some(boundary) = self.boundary.get() {
            return Ok(boundary);
        }
        let list = self
            .inner
            .shallow_file()
            .map_err(RepositoryError::Shallow)?;
        if let Ok(metadata) = metadata(list) {
            check_regular(&metadata)
                .map_err(|error| RepositoryError::Shallow(gix::Error::from_error(error)))?;
        }
        let commits = self
            .inner
            .shallow_commits()
            .map_err(RepositoryError::Shallow)?;
        let boundary = commits.iter().flat_map(|commits| commits.iter().copied());
        Ok(self.boundary.get_or_init(|| boundary.collect()))
    }

    /// Returns the git directories of all worktrees, the main one first.
    fn worktrees(&self) -> Result<Vec<PathBuf>, RepositoryError> {
        let common = self.common_path();
        let linked = entries(&common.join("worktrees")).map_err(of_refs)?;
        let linked = linked.iter().map(fs::DirEntry::path);
        Ok(iter::once(common).chain(linked).collect())
    }

    /// Looks whether in each of them everything below a directory of this name is a file. gix passes
    /// over links, and waits for what is written to a pipe.
    fn check_below(&self, name: &str) -> Result<(), RepositoryError> {
        let worktrees = self.worktrees()?;
        let mut checked = worktrees.iter().map(|it| check_below(it, name));
        checked.try_for_each(|it| it.map_err(of_refs))
    }

    /// Returns what the HEADs of all worktrees name that are on no branch.
    fn heads_of_worktrees(&self) -> Result<Vec<ObjectId>, RepositoryError> {
        let mut heads = Vec::new();
        for directory in self.worktrees()? {
            check_file(&directory, "HEAD").map_err(of_refs)?;
            let head = match read_short(&directory.join("HEAD")) {
                Ok(head) => head,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(of_refs(error)),
            };
            // Else it names a branch, which is looked at anyway.
            heads.extend(ObjectId::from_hex(head.trim_end().as_bytes()).ok());
        }
        Ok(heads)
    }

    /// Returns the name that a tag has itself, where the ref that names it has another one. Whoever
    /// moves refs can put a tag anywhere; its signature covers its own name.
    pub fn renamed(&self, reference: &str, id: ObjectId) -> Option<String> {
        if !reference.starts_with("refs/") {
            return None;
        }
        // What cannot be read is for the verdict to say.
        let (ObjectKind::Tag, raw) = self.read(id).ok()? else {
            return None;
        };
        let Ok(Payload::Tag(tag)) = classify(&raw) else {
            return None;
        };
        let own = tag.name();
        let is_own = match reference.strip_prefix(TAGS) {
            Some(name) => own == name.as_bytes(),
            // Others' tags may be kept beside one's own, below `refs/remotes/theirs/tags/`.
            None => {
                let above = reference.as_bytes().strip_suffix(own);
                above.is_some_and(|above| above.ends_with(b"/tags/"))
            }
        };
        (!is_own).then(|| String::from_utf8_lossy(own).into_owned())
    }

    /// Follows a tag to the tags that it is a tag of, itself first; none for what is no tag. What is
    /// missing ends it and is among them, so that it is seen to be.
    pub(crate) fn tags_from(&self, id: ObjectId) -> impl Iterator<Item = ObjectId> {
        let mut next = Some(id);
        iter::from_fn(move || {
            let id = next.take()?;
            match self.lead(id) {
                Lead::Tag(target) => next = Some(target),
                Lead::Commit | Lead::Other | Lead::Unreadable(Some(Kind::Commit)) => return None,
                Lead::Unreadable(_) => {}
            }
            Some(id)
        })
    }

    /// Takes one step on the way from tags to what they name.
    fn lead(&self, id: ObjectId) -> Lead {
        match self.object(id) {
            Content::Raw(ObjectKind::Commit, _)
            | Content::Known(ObjectKind::Commit, _)
            | Content::TooLarge(Kind::Commit) => Lead::Commit,
            Content::Unsignable(_) => Lead::Other,
            Content::Raw(ObjectKind::Tag, raw) => {
                let target = TagRefIter::from_bytes(&raw, id.kind()).target_id();
                target.map_or(Lead::Unreadable(Some(Kind::Tag)), Lead::Tag)
            }
            Content::TooLarge(kind) | Content::Damaged(kind) => Lead::Unreadable(Some(kind)),
            Content::Known(ObjectKind::Tag, _) => Lead::Unreadable(Some(Kind::Tag)),
            Content::Missing(_) => Lead::Unreadable(None),
        }
    }

    /// Tells whether a commit is another one or an ancestor of it. Tags lead to what they name.
    ///
    /// # Errors
    /// [`RepositoryError`] when it cannot be told.
    pub fn is_ancestor(
        &self,
        ancestor: ObjectId,
        descendant: ObjectId,
    ) -> Result<bool, RepositoryError> {
        let (ancestor, descendant) = (self.peel(ancestor)?, self.peel(descendant)?);
        if ancestor == descendant {
            return Ok(true);
        }
        let bases = self.merge_bases(ancestor, descendant)?;
        Ok(bases.contains(&ancestor))
    }

    /// Tells whether a ref stands for another one.
    ///
    /// # Errors
    /// [`RepositoryError::References`] when it cannot be read.
    pub fn is_symbolic(&self, name: &str) -> Result<bool, RepositoryError> {
        let found = self.reference(name)?;
        Ok(found.is_some_and(|reference| {
            matches!(reference.target(), gix::refs::TargetRef::Symbolic(_))
        }))
    }

    /// Returns the commit that HEAD names.
    ///
    /// # Errors
    /// [`RepositoryError::Unborn`] when there is none yet, and as [`Self::select`].
    pub fn head(&self) -> Result<ObjectId, RepositoryError> {
        self.resolve("HEAD").and_then(|id| self.peel(id))
    }

    /// Returns the branches and tags with the object that each names, sorted by name.
    ///
    /// # Errors
    /// [`RepositoryError::References`] when refs cannot be read.
    pub fn names(&self) -> Result<Vec<(String, ObjectId)>, RepositoryError> {
        let mut names = self.references("refs/")?;
        names.retain(|(name, _)| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"));
        Ok(names)
    }

    /// Returns the branch that HEAD names, by its full name, whether it has a commit or not; `None`
    /// when HEAD names a commit itself.
    ///
    /// # Errors
    /// [`RepositoryError::References`] when it cannot be read.
    pub fn head_branch(&self) -> Result<Option<String>, RepositoryError> {
        let head = self.head_name()?;
        Ok(head.map(|name| name.as_bstr().to_str_lossy().into_owned()))
    }

    /// Returns the object that a ref names; `None` when there is no such ref.
    ///
    /// # Errors
    /// [`RepositoryError::References`] when it cannot be read.
    pub fn target(&self, name: &str) -> Result<Option<ObjectId>, RepositoryError> {
        let found = self.reference(name)?;
        Ok(found.and_then(|reference| reference.try_id().map(gix::Id::detach)))
    }

    /// Finds a path at which the tree of one commit has something, but for a directory, that the tree of
    /// another does not have there, or not the same.
    ///
    /// # Errors
    /// [`Refusal`] when that cannot be told.
    pub fn lost(&self, before: ObjectId, after: ObjectId) -> Result<Option<String>, Refusal> {
        let trees = self.trees();
        let (before, after) = (trees.of_commit(before)?, trees.of_commit(after)?);
        let mut lost = trees.beyond(before, Some(after))?.into_iter();
        let lost = lost.find(|(_, entry)| !entry.is_tree());
        Ok(lost.map(|(path, _)| path))
    }

    /// Finds a file, or an empty directory, that the tree of one commit has, and that of another does not
    /// have there or not the same, and that fails a test of its path and of what was read of its content,
    /// once for all its paths. Of what is no file, or longer than `at_most` bytes, nothing is read.
    ///
    /// # Errors
    /// [`Refusal`] when that cannot be told.
    pub fn unfit<T>(
        &self,
        (before, after): (Option<ObjectId>, ObjectId),
        at_most: usize,
        read: impl Fn(&[u8]) -> Option<T>,
        is_fit: impl Fn(&T, &str) -> bool,
    ) -> Result<Option<String>, Refusal> {
        let trees = self.trees();
        let before = before.map(|before| trees.of_commit(before)).transpose()?;
        let mut found = trees.beyond(trees.of_commit(after)?, before)?;
        found.sort_by_key(|(_, entry)| *entry);
        for same in found.chunk_by(|(_, one), (_, other)| one == other) {
            let entry = same.first().map(|(_, entry)| *entry);
            let content = entry.map_or(Ok(None), |entry| trees.file(entry, at_most))?;
            let read = content.and_then(|content| read(&content));
            let is_unfit = |path: &str| !read.as_ref().is_some_and(|read| is_fit(read, path));
            if let Some((path, _)) = same.iter().find(|(path, _)| is_unfit(path)) {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    }

    /// Reads one commit or tag, for a closer look.
    ///
    /// # Errors
    /// [`RepositoryError::Missing`] when it is not there or cannot be read,
    /// [`RepositoryError::NotSignable`] when it is a tree or a file, [`RepositoryError::TooLarge`]
    /// when nobody reads as much, [`RepositoryError::Damaged`] when its bytes are not those that its
    /// name stands for.
    pub fn read(&self, id: ObjectId) -> Result<(ObjectKind, Vec<u8>), RepositoryError> {
        match self.object(id) {
            Content::Raw(kind, raw) => Ok((kind, raw)),
            Content::Unsignable(_) => Err(RepositoryError::NotSignable(id)),
            Content::TooLarge(_) => Err(RepositoryError::TooLarge(id)),
            Content::Damaged(_) => Err(RepositoryError::Damaged(id)),
            Content::Known(..) | Content::Missing(_) => Err(RepositoryError::Missing(id)),
        }
    }

    /// Tells whether an object is here, by its full id.
    pub fn has(&self, id: &str) -> bool {
        ObjectId::from_hex(id.as_bytes()).is_ok_and(|id| self.objects.has(&id))
    }

    /// Reads whatever is under a name.
    pub(crate) fn object(&self, id: ObjectId) -> Content {
        Content::of(&self.objects, &id)
    }

    /// Reads commits and tags, on all cores, and keeps what somebody makes of each; of what cannot be
    /// read, nothing.
    pub(crate) fn read_each<T: Send>(
        &self,
        ids: &[ObjectId],
        make: impl Fn(ObjectKind, &[u8]) -> T + Sync,
    ) -> HashMap<ObjectId, T> {
        let read = |objects: &mut Objects, id: &ObjectId| match Content::of(objects, id) {
            Content::Raw(kind, raw) => Some((*id, make(kind, &raw))),
            Content::Known(..)
            | Content::Unsignable(_)
            | Content::TooLarge(_)
            | Content::Damaged(_)
            | Content::Missing(_) => None,
        };
        let made = ids.par_iter().map_with(self.objects.clone(), read);
        made.flatten_iter().collect()
    }

    /// Returns the commits of a selection, newest first. Tags lead to what they name.
    ///
    /// # Errors
    /// [`RepositoryError`] when the walk cannot begin, [`RepositoryError::Missing`] for a selected
    /// object that is not here, and [`RepositoryError::NotSignable`] for one that is no commit.
    pub fn commits(&self, selection: &Selection) -> Result<Vec<ObjectId>, RepositoryError> {
        let found = self.found(selection)?.into_iter();
        found.map(|(_, commit)| commit).collect()
    }

    /// As [`Self::commits`]: those that can be read, and the objects that cannot, or are no commits.
    ///
    /// # Errors
    /// [`RepositoryError`] when the walk cannot begin.
    pub fn commits_and_others(
        &self,
        selection: &Selection,
    ) -> Result<(Vec<ObjectId>, Vec<ObjectId>), RepositoryError> {
        let (mut commits, mut others) = (Vec::new(), Vec::new());
        for (id, commit) in self.found(selection)? {
            match commit {
                Ok(commit) => commits.push(commit),
                Err(_) => others.push(id),
            }
        }
        Ok((commits, others))
    }

    /// Returns the objects of a selection, newest first, and the commit that each is or leads to.
    fn found(&self, selection: &Selection) -> Result<Vec<FoundCommit>, RepositoryError> {
        let mut walk = self.walk(selection)?;
        let mut all = Vec::new();
        for found in walk.by_ref() {
            let id = found.id;
            let commit = match found.content {
                Content::Raw(ObjectKind::Commit, _) | Content::Known(ObjectKind::Commit, _) => {
                    Ok(id)
                }
                Content::Raw(ObjectKind::Tag, _) | Content::Known(ObjectKind::Tag, _) => {
                    self.peel(id)
                }
                Content::Unsignable(_) => Err(RepositoryError::NotSignable(id)),
                Content::TooLarge(_) => Err(RepositoryError::TooLarge(id)),
                Content::Damaged(_) => Err(RepositoryError::Damaged(id)),
                Content::Missing(_) => Err(RepositoryError::Missing(id)),
            };
            all.push((found.place, (id, commit)));
        }
        // Some that came out turned out to be hidden.
        let graph = walk.into_graph();
        all.retain(|(place, _)| graph.number_at(*place).is_some());
        Ok(all.into_iter().map(|(_, found)| found).collect())
    }

    /// Returns a reader of trees.
    pub(crate) fn trees(&self) -> Trees {
        Trees::new(self.objects.clone(), self.inner.object_hash())
    }

    /// Returns the best common ancestors of two commits by the parents that count; none when they
    /// have nothing in common.
    pub(crate) fn bases(
        &self,
        (one, other): (ObjectId, ObjectId),
        kinship: &dyn Kinship,
    ) -> Result<Vec<ObjectId>, Refusal> {
        let bases = self.common(kinship).map_err(unreadable)?;
        bases.of(one, other).map_err(unknown)
    }

    /// Returns what a commit reaches and others do not, by the parents that count.
    pub(crate) fn beyond(
        &self,
        (one, others): (ObjectId, &[ObjectId]),
        kinship: &dyn Kinship,
    ) -> Result<Vec<ObjectId>, Refusal> {
        let bases = self.common(kinship).map_err(unreadable)?;
        bases.beyond(one, others).map_err(unknown)
    }

    /// Tells whether the commit that HEAD names holds a policy of the repository's own.
    pub fn holds_policy(&self) -> bool {
        let held = self.head().ok().map(|head| self.trees().policy_of(head));
        matches!(held, Some(Ok(Some(_))))
    }

    /// Tells whether the commit that HEAD names has a folder there.
    pub fn has_folder(&self, path: &str) -> bool {
        let (mut top, mut below) = (Vec::new(), Vec::new());
        let tree = self.head().ok().and_then(|head| self.tree(head));
        let tree = tree.and_then(|tree| self.objects.find_tree_iter(&tree, &mut top).ok());
        let path = path.split('/');
        let entry = tree.map(|tree| tree.lookup_entry(&self.objects, &mut below, path));
        matches!(entry, Some(Ok(Some(entry))) if entry.mode.is_tree())
    }

    /// Returns everything that some commits reach, themselves included. Names of nothing here
    /// reach nothing.
    ///
    /// # Errors
    /// [`RepositoryError`] when the walk cannot begin.
    pub fn reached_by<'t>(
        &self,
        commits: impl IntoIterator<Item = &'t String>,
    ) -> Result<HashSet<ObjectId>, RepositoryError> {
        let ids = commits.into_iter();
        let ids = ids.filter_map(|id| ObjectId::from_hex(id.as_bytes()).ok());
        let selection = Selection::of(ids, []);
        Ok(self.walk(&selection)?.map(|found| found.id).collect())
    }

    /// As [`Self::reached_by`], of a commit all of whose history has to be here.
    ///
    /// # Errors
    /// [`RepositoryError::Before`] where it ends and would go on elsewhere.
    pub fn history_of(&self, commit: ObjectId) -> Result<HashSet<ObjectId>, RepositoryError> {
        let boundary = self.shallow_boundary()?;
        let reached = |found: Found| match found.content {
            Content::Missing(child) => Err(RepositoryError::Before(child.unwrap_or(found.id))),
            Content::Damaged(_) => Err(RepositoryError::Before(found.id)),
            _ if boundary.contains(&found.id) => Err(RepositoryError::Before(found.id)),
            _ => Ok(found.id),
        };
        self.walk(&Selection::of([commit], []))?
            .map(reached)
            .collect()
    }

    /// Returns those of some commits that others do not reach; what is not here, or is no commit, is
    /// reached by none.
    ///
    /// # Errors
    /// [`RepositoryError`] when the walk cannot begin.
    pub fn unreached(
        &self,
        commits: HashSet<ObjectId>,
        by: &[ObjectId],
    ) -> Result<HashSet<ObjectId>, RepositoryError> {
        let is_here = |id: &ObjectId| self.objects.kind(*id) == Some(Kind::Commit);
        let (here, mut unreached): (HashSet<_>, HashSet<_>) =
            commits.into_iter().partition(is_here);
        let hidden = by.iter().filter_map(|id| self.peel_any(*id).ok()?);
        let selection = Selection::of(here.iter().copied(), hidden);
        let mut walk = self.walk(&selection)?;
        walk.by_ref().for_each(drop);
        // Some that came out turned out to be reached.
        let graph = walk.into_graph();
        let beyond = (0..graph.len()).filter_map(|place| graph.at(place));
        let beyond = beyond.map(|(_, node)| node.id);
        unreached.extend(beyond.filter(|id| here.contains(id)));
        Ok(unreached)
    }

    /// Returns the first of the files that a commit changed against its first parent; `None` for one
    /// that changed nothing, or that cannot be read.
    pub(crate) fn changed_file(&self, commit: ObjectId) -> Option<Vec<u8>> {
        let parent = match self.parents(commit).ok()?.first() {
            Some(parent) => Some(self.tree(*parent)?),
            None => None,
        };
        let change = Changes::first(&self.objects, parent, self.tree(commit)?)?;
        Some(change.path.into())
    }

    /// Returns a commit's tree; `None` when the commit cannot be read.
    fn tree(&self, commit: ObjectId) -> Option<ObjectId> {
        self.trees().of_commit(commit).ok()
    }

    /// Prepares to count the objects of a selection, beside whoever judges them.
    pub fn counter(&self, selection: &Selection) -> Counter {
        Counter {
            repository: self.inner.clone(),
            selection: selection.clone(),
        }
    }

    /// Starts walking a selection.
    pub(crate) fn walk<'s>(&self, selection: &'s Selection) -> Result<Walk<'s>, RepositoryError> {
        self.walk_remembering(selection, None)
    }

    /// Starts walking a selection with somebody who knows objects from before.
    pub(crate) fn walk_remembering<'s>(
        &self,
        selection: &'s Selection,
        memory: Option<Box<dyn Memory + 's>>,
    ) -> Result<Walk<'s>, RepositoryError> {
        let boundary = self.shallow_boundary()?.clone();
        Ok(Walk::new(self.objects.clone(), boundary, selection, memory))
    }

    fn upstream(&self) -> Result<Option<(String, ObjectId)>, RepositoryError> {
        let Some(branch) = self.head_name()? else {
            return Ok(None);
        };
        let remote = self
            .inner
            .branch_remote_name(branch.shorten(), Direction::Fetch);
        let upstream = match remote {
            // `branch.<name>.remote = .` means a branch of this repository.
            Some(gix::remote::Name::Url(url)) if *url == "." => self
                .inner
                .branch_remote_ref_name(branch.as_ref(), Direction::Fetch),
            _ => self
                .inner
                .branch_remote_tracking_ref_name(branch.as_ref(), Direction::Fetch),
        };
        let Some(name) = upstream.transpose().map_err(RepositoryError::References)? else {
            return Ok(None);
        };
        // Configured and not fetched yet: there is no upstream to compare with.
        let Some(reference) = self.reference(&name.as_bstr().to_str_lossy())? else {
            return Ok(None);
        };
        let (_, Some(target)) = self.end_of(reference)? else {
            return Ok(None);
        };
        let name = name.shorten().to_str_lossy().into_owned();
        Ok(Some((name, self.peel(target)?)))
    }

    /// Tells whether `base` has everything that `head` has. Objects that are missing show that it
    /// is not known, and then the range is judged.
    fn is_behind(&self, head: ObjectId, base: ObjectId) -> bool {
        head == base || {
            let bases = self.merge_bases(head, base);
            bases.is_ok_and(|bases| bases.contains(&head))
        }
    }

    /// Returns the kinship of whoever judges without asking whom others accepted.
    pub(crate) fn all_parents(&self) -> &AllParents {
        &self.all_parents
    }

    fn merge_bases(
        &self,
        one: ObjectId,
        other: ObjectId,
    ) -> Result<Vec<ObjectId>, RepositoryError> {
        let bases = self.common(&self.all_parents)?.of(one, other);
        bases.map_err(|(Unknown::Before(commit) | Unknown::Undecided(commit))| {
            RepositoryError::Before(commit)
        })
    }

    fn common<'r>(&'r self, kinship: &'r dyn Kinship) -> Result<Bases<'r>, RepositoryError> {
        Ok(Bases {
            objects: &self.objects,
            kinship,
            shallow: self.shallow_boundary()?,
            memory: &self.commits,
        })
    }

    /// Returns the refs whose full names begin so, with the object that each names, sorted by name.
    ///
    /// # Errors
    /// [`RepositoryError::References`] when refs cannot be read, or one is a link: git would follow it.
    pub fn references(&self, prefix: &str) -> Result<Vec<(String, ObjectId)>, RepositoryError> {
        self.check_below("refs")?;
        let platform = self
            .inner
            .references()
            .map_err(RepositoryError::References)?;
        let prefix = prefix.as_bytes().as_bstr();
        let mut found = Vec::new();
        for reference in platform.all().map_err(RepositoryError::References)? {
            let reference = reference.map_err(RepositoryError::References)?;
            let name = reference.name().as_bstr();
            if !name.starts_with(prefix) {
                continue;
            }
            let name = name.to_str_lossy().into_owned();
            // A symbolic ref to an unborn branch, as a fresh clone of an empty repository has.
            if let (_, Some(target)) = self.end_of(reference)? {
                found.push((name, target));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Follows tags to a commit.
    ///
    /// # Errors
    /// [`RepositoryError::NotSignable`] when they lead to none, [`RepositoryError::Missing`] when
    /// one is not here.
    pub fn peel(&self, id: ObjectId) -> Result<ObjectId, RepositoryError> {
        self.peel_any(id)?.ok_or(RepositoryError::NotSignable(id))
    }

    /// Follows tags, however many; `None` when they end at a tree or a file.
    fn peel_any(&self, id: ObjectId) -> Result<Option<ObjectId>, RepositoryError> {
        let mut at = id;
        let mut passed = Vec::new();
        let end = loop {
            if let Some(end) = self.tags.borrow().get(&at) {
                break *end;
            }
            match self.lead(at) {
                Lead::Commit => break Ok(Some(at)),
                Lead::Other => break Ok(None),
                Lead::Tag(target) => {
                    passed.push(at);
                    at = target;
                }
                Lead::Unreadable(_) => break Err(at),
            }
        };
        let passed = passed.into_iter().map(|tag| (tag, end));
        self.tags.borrow_mut().extend(passed);
        end.map_err(RepositoryError::Missing)
    }

    fn parents(&self, commit: ObjectId) -> Result<Vec<ObjectId>, RepositoryError> {
        let (_, raw) = self.read(commit)?;
        let fields = gix::objs::CommitRefIter::from_bytes(&raw, self.inner.object_hash());
        Ok(fields.parent_ids().collect())
    }
}

/// The extensions of git's format with which a repository is read as without, and those that are
/// read or refused by their values (gitrepository-layout).
const EXTENSIONS: [&str; 9] = [
    "noop",
    "noop-v1",
    "objectformat",
    "partialclone",
    "preciousobjects",
    "refstorage",
    "relativeworktrees",
    "submodulepathconfig",
    "worktreeconfig",
];

/// Finds an extension that nobody may pass over who does not know it.
fn unknown_extension(repository: &gix::Repository) -> Option<String> {
    let config = repository.config_snapshot();
    // Before there were versions, there were no extensions.
    config
        .integer("core.repositoryFormatVersion")
        .filter(|version| *version > 0)?;
    let sections = config.plumbing().sections_by_name("extensions")?;
    let mut names = sections.flat_map(|section| {
        let below = section.header().subsection_name();
        let below = below.map_or_else(String::new, |name| format!("{name}."));
        let names = section.value_names();
        names
            .map(|name| format!("{below}{}", name.to_ascii_lowercase()))
            .collect::<Vec<_>>()
    });
    names.find(|name| !EXTENSIONS.contains(&name.as_str()))
}

/// An object that was found, and the commit that it is or leads to.
type FoundCommit = (ObjectId, Result<ObjectId, RepositoryError>);

/// What a name leads to, in one step.
enum Lead {
    /// A tag, of this.
    Tag(ObjectId),
    Commit,
    /// A tree or a file.
    Other,
    /// Something of which nobody can see where it leads; and what it is, if it is here.
    Unreadable(Option<Kind>),
}

fn of_refs(error: io::Error) -> RepositoryError {
    RepositoryError::References(gix::Error::from_error(error))
}

fn unreadable(error: RepositoryError) -> Refusal {
    Refusal::new(Code::ObjectMissing, error.to_string())
}

/// Says why it is not known what two commits have in common.
fn unknown(unknown: Unknown) -> Refusal {
    match unknown {
        Unknown::Before(commit) => unreadable(RepositoryError::Before(commit)),
        Unknown::Undecided(commit) => {
            let detail = format!("whether all parents of {commit} count is undecided");
            Refusal::new(Code::ParentUndecided, detail)
        }
    }
}

/// A walk that nobody looks at, for knowing how long the other is. It takes the commit-graph file's
/// word, if there is one.
pub struct Counter {
    repository: gix::Repository,
    selection: Selection,
}

impl Counter {
    /// Counts the objects; `None` when something is missing, or when it is told to stop before it is
    /// through.
    pub fn count(self, go_on: impl Fn() -> bool) -> Option<usize> {
        let Selection {
            tips,
            hidden,
            alone,
            ..
        } = self.selection;
        let walk = self.repository.rev_walk(tips).with_hidden(hidden);
        let walk = walk.use_commit_graph(true);
        let mut count = alone.len();
        for commit in walk.all().ok()? {
            commit.ok()?;
            count += 1;
            if !go_on() {
                return None;
            }
        }
        Some(count)
    }
}
