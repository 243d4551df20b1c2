//! Reading git repositories: the one module that does, through gix.
//!
//! Objects are read raw. Whatever could show other objects than the names ask for is left out:
//! replace refs and grafts are not followed, the commit-graph file is not asked, and neither the
//! environment nor configuration outside the repository is read.

mod recent_deltas;
mod selection;
mod walk;

use std::path::{Path, PathBuf};

pub use gix::ObjectId;
use gix::{bstr::ByteSlice as _, objs::Find as _, remote::Direction, revision::plumbing::Spec};
use notme_core::object::{HashKind, ObjectKind};

use self::recent_deltas::RecentDeltas;
pub use self::selection::Selection;
pub(crate) use self::walk::{Content, Found, Graph, Walk};

/// An open repository.
#[derive(Debug)]
pub struct Repository {
    inner: gix::Repository,
    hash: HashKind,
}

impl Repository {
    /// Finds the repository that `directory` belongs to.
    ///
    /// # Errors
    /// [`RepositoryError::Open`] when there is none or it cannot be opened.
    pub fn discover(directory: &Path) -> Result<Self, RepositoryError> {
        let error = |source: gix::Error| RepositoryError::Open {
            path: directory.to_owned(),
            source: Box::new(source),
        };
        let (found, _) = gix::discover::upwards(directory).map_err(error)?;
        Self::open(&found.into_repository_and_work_tree_directories().0)
    }

    /// Opens a git directory.
    ///
    /// # Errors
    /// [`RepositoryError::Open`] when it is none or cannot be opened.
    pub fn open(git_directory: &Path) -> Result<Self, RepositoryError> {
        // Nothing in a repository's configuration makes this program run anything, so another
        // owner is no reason to distrust it more than its objects.
        let options = gix::open::Options::isolated().with(gix::sec::Trust::Full);
        let mut inner =
            gix::open_opts(git_directory, options).map_err(|source| RepositoryError::Open {
                path: git_directory.to_owned(),
                source: Box::new(source),
            })?;
        inner.objects.ignore_replacements = true;
        // An object that is missing is missing: looking for new packs each time finds nothing.
        inner.objects.refresh_never();
        inner
            .objects
            .set_pack_cache(|| Box::new(RecentDeltas::new()));
        let hash = match inner.object_hash() {
            gix::hash::Kind::Sha1 => HashKind::Sha1,
            gix::hash::Kind::Sha256 => HashKind::Sha256,
            other => return Err(RepositoryError::UnknownHash(other.to_string())),
        };
        Ok(Self { inner, hash })
    }

    /// Returns the hash that names its objects.
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// Returns the git directory.
    pub fn path(&self) -> PathBuf {
        self.inner.git_dir().to_owned()
    }

    /// Tells whether there are replace refs, which git follows and we do not.
    pub fn has_replacements(&self) -> bool {
        self.inner
            .objects
            .store_ref()
            .replacements()
            .next()
            .is_some()
    }

    /// Returns the commits at which a shallow clone ends.
    ///
    /// # Errors
    /// [`RepositoryError::Shallow`] when the list cannot be read.
    pub fn shallow_boundary(&self) -> Result<Vec<ObjectId>, RepositoryError> {
        let commits = self
            .inner
            .shallow_commits()
            .map_err(RepositoryError::Shallow)?;
        Ok(commits.map_or_else(Vec::new, |commits| commits.iter().copied().collect()))
    }

    /// Selects what HEAD has over its upstream; without an upstream, or with nothing over it,
    /// HEAD alone.
    ///
    /// # Errors
    /// [`RepositoryError`] when HEAD names no commit, or its upstream cannot be read.
    pub fn select_default(&self) -> Result<Selection, RepositoryError> {
        let head = self.resolve("HEAD")?;
        match self.upstream()? {
            Some((name, base)) if base != head => {
                Ok(Selection::between(format!("{name}..HEAD"), [head], [base]))
            }
            _ => Ok(Selection::alone("HEAD".to_owned(), [head])),
        }
    }

    /// Selects what a revision or range names: `REV` is that commit or tag alone, `A..B` and
    /// `A...B` are ranges, `REV^@` is what the parents reach, `REV^!` is `REV` alone.
    ///
    /// # Errors
    /// [`RepositoryError::Revision`] for text that names nothing,
    /// [`RepositoryError::Missing`] for an object that is named in full and absent.
    pub fn select(&self, revision: &str) -> Result<Selection, RepositoryError> {
        if let Ok(id) = ObjectId::from_hex(revision.as_bytes()) {
            return Ok(Selection::alone(revision.to_owned(), [id]));
        }
        let text = revision.to_owned();
        let spec = self
            .inner
            .rev_parse(revision.as_bytes().as_bstr())
            .map_err(|source| self.unresolved(revision, source))?;
        match spec.detach() {
            Spec::Include(id) => Ok(Selection::alone(text, [id])),
            Spec::ExcludeParents(id) => Ok(Selection::alone(text, [id])),
            Spec::IncludeOnlyParents(id) => {
                let commit = self.peel(id)?;
                Ok(Selection::between(text, self.parents(commit)?, []))
            }
            Spec::Range { from, to } => Ok(Selection::between(
                text,
                [self.peel(to)?],
                [self.peel(from)?],
            )),
            Spec::Merge { theirs, ours } => {
                let tips = [self.peel(theirs)?, self.peel(ours)?];
                let [one, other] = tips;
                let bases = self
                    .inner
                    .merge_bases_many(one, &[other])
                    .map_err(|source| self.unresolved(revision, source))?;
                let bases: Vec<_> = bases.into_iter().map(gix::Id::detach).collect();
                Ok(Selection::between(text, tips, bases))
            }
            Spec::Exclude(_) => Err(RepositoryError::Nothing(text)),
        }
    }

    /// Selects every commit that HEAD, a branch, a remote-tracking branch or a tag reaches. Other
    /// refs hold what tools keep for themselves: stashes, notes, attestations.
    ///
    /// # Errors
    /// [`RepositoryError::References`] when refs cannot be read, [`RepositoryError::Missing`]
    /// when a tag leads to a missing object. Refs that lead to no commit are passed over.
    pub fn select_all(&self) -> Result<Selection, RepositoryError> {
        let mut tips = Vec::new();
        for prefix in ["refs/heads/", "refs/remotes/", "refs/tags/"] {
            for (_, target) in self.references(prefix)? {
                tips.extend(self.peel_any(target)?);
            }
        }
        if let Ok(head) = self.inner.head_id() {
            tips.push(head.detach());
        }
        Ok(Selection::between("--all".to_owned(), tips, []))
    }

    /// Selects every annotated tag that a ref names, in the order of the names. Lightweight tags
    /// are no objects of their own.
    ///
    /// # Errors
    /// [`RepositoryError::References`] when refs cannot be read.
    pub fn select_tags(&self) -> Result<Selection, RepositoryError> {
        let mut tags = Vec::new();
        for (_, target) in self.references("refs/tags/")? {
            let is_tag = match self.inner.try_find_header(target) {
                Ok(Some(header)) => header.kind() == gix::objs::Kind::Tag,
                // Judged, so that it is seen to be missing.
                Ok(None) | Err(_) => true,
            };
            if is_tag {
                tags.push(target);
            }
        }
        Ok(Selection::alone("--tags".to_owned(), tags))
    }

    /// Selects objects by their full names, each alone.
    ///
    /// # Errors
    /// [`RepositoryError::Revision`] for text that names nothing here.
    pub fn select_ids<'t>(
        &self,
        ids: impl IntoIterator<Item = &'t str>,
    ) -> Result<Selection, RepositoryError> {
        let ids = ids
            .into_iter()
            .map(|text| self.resolve(text))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Selection::alone("-".to_owned(), ids))
    }

    /// Reads one commit or tag, for a closer look.
    ///
    /// # Errors
    /// [`RepositoryError::Missing`] when it is not there or cannot be read,
    /// [`RepositoryError::NotSignable`] when it is a tree or a file.
    pub fn read(&self, id: ObjectId) -> Result<(ObjectKind, Vec<u8>), RepositoryError> {
        let mut raw = Vec::new();
        let kind = match self.inner.objects.try_find(&id, &mut raw) {
            Ok(Some(data)) => data.kind,
            Ok(None) | Err(_) => return Err(RepositoryError::Missing(id)),
        };
        match kind {
            gix::objs::Kind::Commit => Ok((ObjectKind::Commit, raw)),
            gix::objs::Kind::Tag => Ok((ObjectKind::Tag, raw)),
            gix::objs::Kind::Tree | gix::objs::Kind::Blob => Err(RepositoryError::NotSignable(id)),
        }
    }

    /// Starts walking a selection.
    pub(crate) fn walk<'s>(&self, selection: &'s Selection) -> Result<Walk<'s>, RepositoryError> {
        Ok(Walk::new(
            self.inner.objects.clone(),
            self.shallow_boundary()?,
            selection,
        ))
    }

    fn resolve(&self, revision: &str) -> Result<ObjectId, RepositoryError> {
        if let Ok(id) = ObjectId::from_hex(revision.as_bytes()) {
            return Ok(id);
        }
        self.inner
            .rev_parse_single(revision.as_bytes().as_bstr())
            .map(gix::Id::detach)
            .map_err(|source| self.unresolved(revision, source))
    }

    /// Tells text that names nothing from a full name of something that is not here.
    fn unresolved(&self, revision: &str, source: gix::Error) -> RepositoryError {
        let missing = revision
            .split("..")
            .map(|part| part.trim_start_matches('.'))
            .filter_map(|part| ObjectId::from_hex(part.as_bytes()).ok())
            .find(|id| !self.inner.has_object(id));
        match missing {
            Some(id) => RepositoryError::Missing(id),
            None => RepositoryError::Revision {
                revision: revision.to_owned(),
                source: Box::new(source),
            },
        }
    }

    fn upstream(&self) -> Result<Option<(String, ObjectId)>, RepositoryError> {
        let Ok(Some(branch)) = self.inner.head_name() else {
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
        let reference = self
            .inner
            .try_find_reference(name.as_ref())
            .map_err(RepositoryError::References)?;
        let Some(mut reference) = reference else {
            return Ok(None);
        };
        let target = reference
            .follow_to_object()
            .map_err(RepositoryError::References)?;
        Ok(Some((
            name.shorten().to_str_lossy().into_owned(),
            self.peel(target.detach())?,
        )))
    }

    fn references(&self, prefix: &str) -> Result<Vec<(String, ObjectId)>, RepositoryError> {
        let platform = self
            .inner
            .references()
            .map_err(RepositoryError::References)?;
        let prefix = prefix.as_bytes().as_bstr();
        let mut found = Vec::new();
        for reference in platform.all().map_err(RepositoryError::References)? {
            let mut reference = reference.map_err(RepositoryError::References)?;
            let name = reference.name().as_bstr();
            if !name.starts_with(prefix) {
                continue;
            }
            let name = name.to_str_lossy().into_owned();
            // A symbolic ref to an unborn branch, as a fresh clone of an empty repository has.
            let Ok(target) = reference.follow_to_object() else {
                continue;
            };
            found.push((name, target.detach()));
        }
        found.sort();
        Ok(found)
    }

    /// Follows tags to a commit.
    fn peel(&self, id: ObjectId) -> Result<ObjectId, RepositoryError> {
        self.peel_any(id)?.ok_or(RepositoryError::NotSignable(id))
    }

    /// Follows tags; `None` when they end at a tree or a file.
    fn peel_any(&self, id: ObjectId) -> Result<Option<ObjectId>, RepositoryError> {
        let mut id = id;
        let mut raw = Vec::new();
        for _ in 0..TAG_DEPTH_MAX {
            let data = match self.inner.objects.try_find(&id, &mut raw) {
                Ok(Some(data)) => data,
                Ok(None) | Err(_) => return Err(RepositoryError::Missing(id)),
            };
            match data.kind {
                gix::objs::Kind::Commit => return Ok(Some(id)),
                gix::objs::Kind::Tree | gix::objs::Kind::Blob => return Ok(None),
                gix::objs::Kind::Tag => {
                    id = gix::objs::TagRefIter::from_bytes(data.data, data.object_hash)
                        .target_id()
                        .map_err(|_| RepositoryError::Missing(id))?;
                }
            }
        }
        Err(RepositoryError::NotSignable(id))
    }

    fn parents(&self, commit: ObjectId) -> Result<Vec<ObjectId>, RepositoryError> {
        let (_, raw) = self.read(commit)?;
        let fields = gix::objs::CommitRefIter::from_bytes(&raw, self.inner.object_hash());
        Ok(fields.parent_ids().collect())
    }
}

/// The repository could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is no repository, or it cannot be opened.
    #[error("could not open the repository at `{}`", path.display())]
    Open {
        /// Where it was looked for.
        path: PathBuf,
        /// What gix says.
        source: Box<gix::Error>,
    },
    /// The repository names its objects by a hash we do not know.
    #[error("the repository uses the hash `{0}`, which is not supported")]
    UnknownHash(String),
    /// The text names no object.
    #[error("`{}` names no commit or tag here", revision.escape_debug())]
    Revision {
        /// The text.
        revision: String,
        /// What gix says.
        source: Box<gix::Error>,
    },
    /// The text excludes commits and includes none.
    #[error("`{}` selects nothing", .0.escape_debug())]
    Nothing(String),
    /// An object that is needed to know what to judge is not here.
    #[error("object `{0}` is missing or cannot be read")]
    Missing(ObjectId),
    /// The object is a tree or a file, or a tag of one where a commit is needed.
    #[error("object `{0}` is not a commit")]
    NotSignable(ObjectId),
    /// Refs could not be read.
    #[error("could not read the refs")]
    References(#[source] gix::Error),
    /// The list of shallow commits could not be read.
    #[error("could not read where the shallow clone ends")]
    Shallow(#[source] gix::Error),
}

impl RepositoryError {
    /// Returns the closed code when it is one of a verdict: the object is not here, so nobody
    /// can look. The other errors are about the question, not the answer.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Missing(_) => Some(crate::verdict::Code::ObjectMissing.as_str()),
            Self::Open { .. }
            | Self::UnknownHash(_)
            | Self::Revision { .. }
            | Self::Nothing(_)
            | Self::NotSignable(_)
            | Self::References(_)
            | Self::Shallow(_) => None,
        }
    }
}

/// Tags of tags of tags end somewhere, or are not meant seriously.
const TAG_DEPTH_MAX: usize = 16;
