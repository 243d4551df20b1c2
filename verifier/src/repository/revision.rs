//! Texts that name commits.
//!
//! Which ref a name is, is settled here: git guesses when it may be several, and whoever may push a
//! tag chooses what it guesses. All else gix resolves, from the refs and objects of the repository
//! itself. What it cannot resolve is looked at again, in two cases: the text leads to objects that a
//! push has only just brought, and the text leads out of a clone that does not have all of history,
//! which is not a mistake of the person asking.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use gix::{
    ObjectId, Reference,
    bstr::ByteSlice as _,
    hash::Prefix,
    refs::{Category, FullName, FullNameRef, Target},
    revision::plumbing::Spec,
};

use super::{Repository, RepositoryError, check_file, of_refs};

/// What git puts around a short name to find a ref, in its order (gitrevisions).
const AROUND: [(&str, &str); 5] = [
    ("refs/", ""),
    ("refs/tags/", ""),
    ("refs/heads/", ""),
    ("refs/remotes/", ""),
    ("refs/remotes/", "/HEAD"),
];

/// Tells whether a text is the full name of a branch or a tag: rules are about no other refs, and would
/// let pass what is said to be for one.
pub fn is_branch_or_tag(name: &str) -> bool {
    let category = FullName::try_from(name).ok();
    let category = category.as_ref().and_then(|name| name.category());
    matches!(category, Some(Category::LocalBranch | Category::Tag))
}

impl Repository {
    /// Resolves a revision or a range.
    pub(super) fn resolve_spec(&self, text: &str) -> Result<Spec, RepositoryError> {
        let exact = self.with_ids(text)?;
        match self.inner.rev_parse(exact.as_bytes().as_bstr()) {
            Ok(spec) => Ok(spec.detach()),
            Err(source) => self.resolve_ends(text, source),
        }
    }

    /// Puts object ids in the place of the refs that a text names. gix would take some refs for
    /// abbreviated ids, or for what `git describe` says.
    fn with_ids(&self, text: &str) -> Result<String, RepositoryError> {
        // gix reads reflogs, and for the words of a message all refs, however they are found.
        if text.contains("@{") || text.contains(":/") {
            self.check_below("refs")?;
            self.check_below("logs")?;
        }
        let mut ends = Vec::new();
        for end in text.split("..") {
            let dot = if end.starts_with('.') { "." } else { "" };
            let end = end.strip_prefix('.').unwrap_or(end);
            let stop = end.find(['~', '^', ':']).unwrap_or(end.len());
            let stop = end.find("@{").map_or(stop, |at| stop.min(at));
            let (name, steps) = end.split_at(stop);
            let id = match self.referred(name)? {
                // A reflog and an upstream are the ref's, and no object's.
                Some(found) if !steps.starts_with('@') => self.end_of(found)?.1,
                Some(_) | None => None,
            };
            // gix holds nothing that it passes by against its name.
            let passed = match parse_steps(steps) {
                Some(plain) if !plain.is_empty() => self.follow_steps(end)?,
                Some(_) | None => None,
            };
            ends.push(match (passed, id) {
                (Some(id), _) => format!("{dot}{id}"),
                (None, Some(id)) => format!("{dot}{id}{steps}"),
                (None, None) => format!("{dot}{end}"),
            });
        }
        Ok(ends.join(".."))
    }

    /// Returns the ref of a full name, and none that merely ends so.
    pub(super) fn reference(&self, full: &str) -> Result<Option<Reference<'_>>, RepositoryError> {
        match FullName::try_from(full) {
            Ok(full) => self.reference_at(full.as_ref()),
            Err(_) => Ok(None),
        }
    }

    fn reference_at(&self, full: &FullNameRef) -> Result<Option<Reference<'_>>, RepositoryError> {
        // `main-worktree/` and the like say in which directory the rest is.
        let short = full.category_and_short_name().map(|(_, short)| short);
        for name in [Some(full.as_bstr()), short].into_iter().flatten() {
            let name = Path::new(OsStr::from_bytes(name));
            for directory in [self.inner.common_dir(), self.inner.git_dir()] {
                // Refs may well lie below it.
                if !directory.join(name).is_dir() {
                    check_file(directory, name).map_err(of_refs)?;
                }
            }
        }
        let found = self.inner.try_find_reference(full);
        let found = found.map_err(RepositoryError::References)?;
        Ok(found.filter(|reference| reference.name() == full))
    }

    /// Follows symbolic refs to the last, and to the object that it names; to none when the last is not
    /// there, or git would follow no more.
    pub(super) fn end_of(
        &self,
        reference: Reference<'_>,
    ) -> Result<(FullName, Option<ObjectId>), RepositoryError> {
        let mut at = reference.detach();
        for _ in 0..SYMBOLIC_MAX {
            let Target::Symbolic(next) = at.target else {
                break;
            };
            match self.reference_at(next.as_ref())? {
                Some(found) => at = found.detach(),
                None => return Ok((next, None)),
            }
        }
        Ok((at.name, at.target.try_id().map(ToOwned::to_owned)))
    }

    /// Returns the ref that HEAD stands for, there or not; `None` when it names a commit itself.
    pub(super) fn head_name(&self) -> Result<Option<FullName>, RepositoryError> {
        let Some(head) = self.reference("HEAD")? else {
            return Ok(None);
        };
        let (name, _) = self.end_of(head)?;
        Ok(Some(name).filter(|name| name.as_bstr() != "HEAD"))
    }

    /// Returns the one ref that a name stands for; `None` for an id, and for what is no ref.
    fn referred(&self, name: &str) -> Result<Option<Reference<'_>>, RepositoryError> {
        // Whatever else is called so, a tag among them.
        if name == "@" {
            return self.reference("HEAD");
        }
        let id = ObjectId::from_hex(name.as_bytes()).ok();
        if id.is_some_and(|id| self.inner.has_object(id)) {
            return Ok(None);
        }
        if let Some(exact) = self.reference(name)? {
            return Ok(Some(exact));
        }
        let mut found = Vec::new();
        for (before, after) in AROUND {
            found.extend(self.reference(&format!("{before}{name}{after}"))?);
        }
        let may_be_id = id.is_some() || self.abbreviates(name);
        match found.len() {
            0 => Ok(None),
            1 if !may_be_id && !name.starts_with("refs/") => Ok(found.pop()),
            _ => {
                let names = found.iter().map(|it| it.name().as_bstr().to_str_lossy());
                let id = may_be_id.then_some("an object id".into());
                Err(RepositoryError::Ambiguous {
                    name: name.to_owned(),
                    meanings: names.chain(id).collect::<Vec<_>>().join("`, `"),
                })
            }
        }
    }

    /// Tells whether an object's id begins so.
    fn abbreviates(&self, name: &str) -> bool {
        let found = Prefix::from_hex(name).map(|it| self.inner.objects.lookup_prefix(it, None));
        matches!(found, Ok(Ok(Some(_))))
    }

    /// Returns the full name of the branch or tag at the end of a text. A tag is held to the name that
    /// was asked; any other symbolic ref stands for the one that it leads to, and a remote-tracking branch
    /// for the branch that a configured remote fetches there; other refs are neither. Of two sides it is
    /// none: not all that they have is for one ref.
    pub(super) fn reference_in(&self, text: &str) -> Option<String> {
        if text.contains("...") {
            return None;
        }
        let end = text.rsplit("..").next()?.trim_start_matches('.');
        let name = match end.get(..end.find(['~', '^']).unwrap_or(end.len()))? {
            "" => "HEAD",
            name => name,
        };
        let asked = self.referred(name).ok()??;
        let mut full = match asked.name().category() {
            Some(Category::Tag) => asked.name().to_owned(),
            Some(_) | None => self.end_of(asked).ok()?.0,
        };
        if full.category() == Some(Category::RemoteBranch) {
            let tracked = self
                .inner
                .upstream_branch_and_remote_for_tracking_branch(full.as_ref());
            full = tracked.ok()??.0;
        }
        // No branch is called `HEAD`: it is what the remote's own was when it was fetched.
        let is_one = matches!(full.category(), Some(Category::LocalBranch | Category::Tag))
            && full.as_bstr() != "refs/heads/HEAD";
        is_one.then(|| full.as_bstr().to_str_lossy().into_owned())
    }

    /// Resolves a text that names one object.
    pub(super) fn resolve(&self, text: &str) -> Result<ObjectId, RepositoryError> {
        if let Ok(id) = ObjectId::from_hex(text.as_bytes()) {
            return Ok(id);
        }
        let exact = self.with_ids(text)?;
        match self.inner.rev_parse_single(exact.as_bytes().as_bstr()) {
            Ok(id) => Ok(id.detach()),
            Err(source) => self.follow(text, source),
        }
    }

    fn resolve_ends(&self, text: &str, source: gix::Error) -> Result<Spec, RepositoryError> {
        let end = |text| match text {
            "" => self.resolve("HEAD"),
            text => self.resolve(text),
        };
        if let Some((theirs, ours)) = text.split_once("...") {
            return Ok(Spec::Merge {
                theirs: end(theirs)?,
                ours: end(ours)?,
            });
        }
        if let Some((from, to)) = text.split_once("..") {
            return Ok(Spec::Range {
                from: end(from)?,
                to: end(to)?,
            });
        }
        if let Some(commit) = text.strip_suffix("^!") {
            return Ok(Spec::ExcludeParents(end(commit)?));
        }
        if let Some(commit) = text.strip_suffix("^@") {
            return Ok(Spec::IncludeOnlyParents(end(commit)?));
        }
        Ok(Spec::Include(self.follow(text, source)?))
    }

    /// Says which commit of a text leads out of a shallow clone, if it is that which makes
    /// something missing.
    pub(super) fn boundary_in(&self, text: &str) -> Option<RepositoryError> {
        text.split("..")
            .map(|end| end.trim_start_matches('.'))
            .map(|end| end.trim_end_matches("^!").trim_end_matches("^@"))
            .filter_map(|end| self.follow_steps(end).err())
            .find(|error| matches!(error, RepositoryError::Boundary { .. }))
    }

    fn follow(&self, text: &str, source: gix::Error) -> Result<ObjectId, RepositoryError> {
        // Of steps that lead nowhere there is no more to say.
        let is_plain = text
            .find(['~', '^'])
            .and_then(|at| parse_steps(text.get(at..)?))
            .is_some();
        self.follow_steps(text)?
            .ok_or_else(|| RepositoryError::Revision {
                revision: text.to_owned(),
                source: (!is_plain && !source.is_not_found()).then(|| Box::new(source)),
            })
    }

    /// Follows `~` and `^` step by step from what stands before them, to see where it fails;
    /// `None` when the text means nothing here.
    fn follow_steps(&self, text: &str) -> Result<Option<ObjectId>, RepositoryError> {
        let (name, steps) = text.split_at(text.find(['~', '^']).unwrap_or(text.len()));
        if matches!(name, "HEAD" | "@")
            && let Some(branch) = self.unborn()
        {
            return Err(RepositoryError::Unborn { branch });
        }
        let (Some(mut id), Some(steps)) = (self.start(name), parse_steps(steps)) else {
            return Ok(None);
        };
        let shallow = self.shallow_boundary()?;
        for parent in steps {
            id = self.peel(id)?;
            let Some(next) = self.parents(id)?.get(parent).copied() else {
                return Ok(None);
            };
            if shallow.contains(&id) {
                return Err(RepositoryError::Boundary {
                    revision: text.to_owned(),
                    boundary: id,
                });
            }
            id = next;
        }
        Ok(Some(id))
    }

    /// Returns what a name without steps stands for, whether that object is here or not.
    fn start(&self, name: &str) -> Option<ObjectId> {
        if let Ok(id) = ObjectId::from_hex(name.as_bytes()) {
            return Some(id);
        }
        // It may be a ref to an object that is not here.
        if let Some(reference) = self.referred(name).ok()? {
            return self.end_of(reference).ok()?.1;
        }
        let found = self.inner.rev_parse_single(name.as_bytes().as_bstr());
        found.ok().map(gix::Id::detach)
    }

    /// Returns the branch that HEAD is on, when it has no commit.
    fn unborn(&self) -> Option<String> {
        let name = self.head_name().ok()??;
        let found = self.reference_at(name.as_ref()).ok()?;
        let is_unborn = found.is_none();
        is_unborn.then(|| name.shorten().to_str_lossy().into_owned())
    }
}

/// Reads steps such as `~3^2`: for each, which parent it goes to, counted from zero.
fn parse_steps(mut text: &str) -> Option<Vec<usize>> {
    let mut steps = Vec::new();
    while let Some(sign) = text.chars().next() {
        let rest = text.get(1..)?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, rest) = rest.split_at(digits);
        let number = match number {
            "" => 1,
            number => number.parse().ok()?,
        };
        match sign {
            '~' if number <= STEPS_MAX => steps.extend(std::iter::repeat_n(0, number)),
            '^' => steps.extend(number.checked_sub(1)),
            _ => return None,
        }
        text = rest;
    }
    Some(steps)
}

/// So many symbolic refs in a row are followed, as by git.
const SYMBOLIC_MAX: usize = 5;

/// More than anybody counts back.
const STEPS_MAX: usize = 1 << 20;
