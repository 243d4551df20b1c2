//! What a repository that is pushed to is set to.

use std::path::PathBuf;

use notme_core::glob::Glob;
use notme_git_hooks::receive::{Rules, Update};
use notme_verifier::{
    Repository,
    lineage::TrustRoot,
    load,
    repository::{Main, ObjectId},
};

use crate::{failure::Failure, git, home::Home, judging::Grounds};

/// Our section of the repository's configuration, read once.
pub(super) struct Settings(Vec<(String, String)>);

impl Settings {
    pub(super) fn load() -> Result<Self, Failure> {
        Ok(Self(git::section("notme")?))
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |entry: &&(String, String)| entry.0.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|(_, value)| value.as_str())
    }

    /// Returns the value in force.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    fn path(&self, name: &str) -> Result<Option<PathBuf>, Failure> {
        Ok(match self.value(name) {
            // Of whose home that is, git knows more.
            Some(text) if text.starts_with(['~', '%']) => git::path_of(None, name)?,
            text => text.filter(|text| !text.is_empty()).map(PathBuf::from),
        })
    }

    /// Returns the trust to judge by, and the policy unless it is the repository's own.
    pub(super) fn grounds(&self, home: &Home) -> Result<Grounds, Failure> {
        let (trust, policy) = (self.path("notme.trust")?, self.path("notme.policy")?);
        let grounds = Grounds::load(home, trust.as_deref(), None)?;
        Ok(match policy {
            Some(file) => grounds.with_policy(load::policy(&file)?),
            None => grounds,
        })
    }

    /// Returns where the repository's own policy begins, where that is to judge.
    pub(super) fn trust_root(&self) -> Result<Option<TrustRoot>, Failure> {
        let Some(text) = self.value("notme.trustRoot") else {
            return Ok(None);
        };
        if self.value("notme.policy").is_some() {
            let problem = "notme.trustRoot and notme.policy are both set; one policy judges";
            return Err(Failure::usage(problem));
        }
        let root = text.parse();
        root.map(Some)
            .map_err(|error| Failure::usage(format!("notme.trustRoot is `{text}`: {error}")))
    }
}

/// What it lets change, and what of it need not be looked at.
pub(super) struct Ground {
    pub(super) rules: Rules,
    /// The branch that HEAD names, which others start from.
    main: Option<(String, Option<ObjectId>)>,
    /// Commits up to which nothing is verified: from before there were signatures.
    baseline: Vec<ObjectId>,
}

impl Ground {
    pub(super) fn of(repository: &Repository, settings: &Settings) -> Result<Self, Failure> {
        let globs = |name| settings.all(name).map(Glob::new).collect::<Vec<_>>();
        let main = match repository.head_branch()? {
            Some(name) => {
                let tip = repository.target(&name)?;
                Some((name, tip))
            }
            None => None,
        };
        let mut protected = globs("notme.protect");
        let is_unset = protected.is_empty();
        if is_unset {
            protected.push(Glob::new("refs/tags/*"));
        }
        // What is on it says who may do what, and without its last commits, what they took back.
        if is_unset || settings.value("notme.trustRoot").is_some() {
            protected.extend(main.iter().map(|(name, _)| Glob::new(name)));
        }
        let mut baseline = Vec::new();
        for text in settings.all("notme.baseline") {
            let id = ObjectId::from_hex(text.as_bytes());
            baseline.push(id.map_err(|_| {
                Failure::usage(format!("notme.baseline is `{text}`, no full commit id"))
            })?);
        }
        Ok(Self {
            rules: Rules {
                protected,
                unverified: globs("notme.unverified"),
            },
            main,
            baseline,
        })
    }

    /// Returns the commits whose history needs no look for an update: what the main branch has was
    /// verified when it came there, and nobody is held to more.
    pub(super) fn base(&self, update: &Update) -> Vec<ObjectId> {
        let mut base = self.baseline.clone();
        if let Some((name, tip)) = &self.main
            && *name != update.name
        {
            base.extend(tip);
        }
        base
    }

    /// Returns the main branch, once it has a commit.
    pub(super) fn main(&self) -> Option<Main> {
        let (name, tip) = self.main.clone()?;
        Some(Main { name, tip: tip? })
    }
}
