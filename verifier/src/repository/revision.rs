//! Texts that name commits.
//!
//! gix resolves them, from the refs and objects of the repository itself. What it cannot resolve
//! is looked at again, in two cases: the text leads to objects that a push has only just brought,
//! and the text leads out of a clone that does not have all of history, which is not a mistake
//! of the person asking.

use gix::{ObjectId, bstr::ByteSlice as _, revision::plumbing::Spec};

use super::{Repository, RepositoryError};

impl Repository {
    /// Resolves a revision or a range.
    pub(super) fn resolve_spec(&self, text: &str) -> Result<Spec, RepositoryError> {
        match self.inner.rev_parse(text.as_bytes().as_bstr()) {
            Ok(spec) => Ok(spec.detach()),
            Err(source) => self.resolve_ends(text, source),
        }
    }

    /// Returns the full name of the branch or tag at the end of a text; a remote-tracking branch
    /// stands for the branch that a configured remote fetches there. Of two sides it is none: not
    /// all that they have is for one ref.
    pub(super) fn reference_in(&self, text: &str) -> Option<String> {
        if text.contains("...") {
            return None;
        }
        let end = text.rsplit("..").next()?.trim_start_matches('.');
        let name = end.get(..end.find(['~', '^']).unwrap_or(end.len()))?;
        let full = match name {
            "" | "@" | "HEAD" => self.inner.head_name().ok()??,
            name => self.inner.try_find_reference(name).ok()??.name().to_owned(),
        };
        let full = match full.as_bstr().starts_with(b"refs/remotes/") {
            true => {
                let name = full.as_ref();
                let tracked = self
                    .inner
                    .upstream_branch_and_remote_for_tracking_branch(name);
                tracked.ok()??.0
            }
            false => full,
        };
        Some(full.as_bstr().to_str_lossy().into_owned())
    }

    /// Resolves a text that names one object.
    pub(super) fn resolve(&self, text: &str) -> Result<ObjectId, RepositoryError> {
        if let Ok(id) = ObjectId::from_hex(text.as_bytes()) {
            return Ok(id);
        }
        match self.inner.rev_parse_single(text.as_bytes().as_bstr()) {
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
        self.follow_steps(text)?
            .ok_or_else(|| RepositoryError::Revision {
                revision: text.to_owned(),
                source: Box::new(source),
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
        if let Ok(id) = self.inner.rev_parse_single(name.as_bytes().as_bstr()) {
            return Some(id.detach());
        }
        // A ref to an object that is not here.
        let mut reference = self.inner.try_find_reference(name).ok()??;
        Some(reference.follow_to_object().ok()?.detach())
    }

    /// Returns the branch that HEAD is on, when it has no commit.
    fn unborn(&self) -> Option<String> {
        let head = self.inner.head().ok()?;
        let name = head.is_unborn().then(|| head.referent_name())??;
        Some(name.shorten().to_str_lossy().into_owned())
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

/// More than anybody counts back.
const STEPS_MAX: usize = 1 << 20;
