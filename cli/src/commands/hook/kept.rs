//! The statements of a repository as a push would leave them.

use std::fs;

use notme_attest::{Store, store::Shelf};
use notme_core::object::HashKind;
use notme_git_hooks::receive::Update;
use notme_verifier::Repository;
use tempfile::TempDir;

use super::gate::Signed;
use crate::{failure::Failure, judging::now, repository::object_directories, statements::kept_in};

/// Statements to judge by: those that are kept, and those that the push brings.
pub(super) struct Kept {
    store: Option<Store>,
    _stand_in: Option<TempDir>,
}

impl Kept {
    /// Opens them, with those that nobody keeps yet. The refs of a push are not moved yet, and its
    /// objects are kept apart, so that where it brings statements a repository stands in which has
    /// both.
    pub(super) fn after(
        repository: &Repository,
        updates: &[Update],
        others: &[Signed],
    ) -> Result<Self, Failure> {
        let shelves = Shelf::ALL.map(Shelf::reference);
        if others.is_empty() && !updates.iter().any(|it| shelves.contains(&it.name)) {
            return Ok(Self {
                store: kept_in(repository)?,
                _stand_in: None,
            });
        }
        let stand_in = TempDir::with_prefix("notme-push-")?;
        let path = stand_in.path();
        fs::create_dir_all(path.join("objects/info"))?;
        fs::create_dir_all(path.join("refs/attestations"))?;
        fs::write(path.join("HEAD"), "ref: refs/heads/none\n")?;
        let format = match repository.hash() {
            HashKind::Sha1 => "sha1",
            HashKind::Sha256 => "sha256",
        };
        let config = format!(
            "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = {format}\n"
        );
        fs::write(path.join("config"), config)?;
        let (first, alternate) = object_directories()?;
        let own = repository.common_path().join("objects");
        let mut alternates = String::new();
        for directory in first.into_iter().chain(alternate).chain([own]) {
            let Ok(directory) = fs::canonicalize(directory) else {
                continue;
            };
            match directory.to_str() {
                Some(text) if !text.contains('\n') => {
                    alternates.push_str(text);
                    alternates.push('\n');
                }
                Some(_) | None => return Err("the path of the objects is no line of text".into()),
            }
        }
        fs::write(path.join("objects/info/alternates"), alternates)?;
        let shallow = repository.common_path().join("shallow");
        if shallow.exists() {
            fs::copy(shallow, path.join("shallow"))?;
        }
        for name in shelves {
            let pushed = updates.iter().find(|it| it.name == name);
            let target = match pushed {
                Some(update) => update.new,
                None => repository.target(&name)?,
            };
            if let Some(target) = target {
                fs::write(path.join(&name), format!("{target}\n"))?;
            }
        }
        let store = Store::open(path)?;
        store.write(others, now())?;
        Ok(Self {
            store: Some(store),
            _stand_in: Some(stand_in),
        })
    }

    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }
}
