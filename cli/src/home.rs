//! Where state lives.

use std::{
    env,
    path::{Path, PathBuf},
};

use rustix::process::getuid;

/// The directories of one user. Nothing is created by naming them.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    data: PathBuf,
    state: PathBuf,
    runtime: PathBuf,
    cache: PathBuf,
}

impl Home {
    /// Reads `NOTME_HOME`, else the XDG variables, else their defaults.
    ///
    /// A variable that is set but empty or relative counts as unset, as the XDG base directory
    /// specification has it. `None` when there is no home directory to fall back on.
    pub(crate) fn from_environment() -> Option<Self> {
        let absolute = |name| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        if let Some(home) = absolute("NOTME_HOME") {
            return Some(Self::under(&home));
        }
        let base = |name, fallback: &str| {
            absolute(name)
                .or_else(|| absolute("HOME").map(|home| home.join(fallback)))
                .map(|base| base.join("notme"))
        };
        Some(Self {
            data: base("XDG_DATA_HOME", ".local/share")?,
            state: base("XDG_STATE_HOME", ".local/state")?,
            cache: base("XDG_CACHE_HOME", ".cache")?,
            runtime: match absolute("XDG_RUNTIME_DIR") {
                Some(base) => base.join("notme"),
                None => env::temp_dir().join(format!("notme-{}", getuid().as_raw())),
            },
        })
    }

    /// Returns the directories below one folder, as `NOTME_HOME` lays them out.
    pub(crate) fn under(home: &Path) -> Self {
        Self {
            data: home.join("data"),
            state: home.join("state"),
            runtime: home.join("run"),
            cache: home.join("cache"),
        }
    }

    /// Everything that is kept for good.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Links to the program, under the names that git calls.
    pub(crate) fn programs(&self) -> PathBuf {
        self.data.join("bin")
    }

    /// The embedded authority's store and keys.
    pub(crate) fn authority(&self) -> PathBuf {
        self.data.join("authority")
    }

    /// What an instance of an authority whose store is in a database has for itself.
    pub(crate) fn authority_instance(&self) -> PathBuf {
        self.data.join("authority-instance")
    }

    /// Configurations of agents.
    pub(crate) fn agents(&self) -> PathBuf {
        self.data.join("agents")
    }

    /// Pinned authorities.
    pub(crate) fn trust(&self) -> PathBuf {
        self.data.join("trust")
    }

    /// The allowed signers that git is pointed at.
    pub(crate) fn allowed_signers(&self) -> PathBuf {
        self.data.join("allowed_signers")
    }

    /// What was seen of pinned authorities.
    pub(crate) fn trust_state(&self) -> PathBuf {
        self.state.join("trust")
    }

    /// Logs of the programs that run in the background.
    pub(crate) fn logs(&self) -> PathBuf {
        self.state.join("log")
    }

    /// What the last records of runs were to say, where they could not be made.
    pub(crate) fn unrecorded(&self) -> PathBuf {
        self.state.join("unrecorded")
    }

    /// What earlier runs of `notme verify` found out. It may be deleted at any time.
    pub(crate) fn verdicts(&self) -> PathBuf {
        self.cache.join("verdicts")
    }

    /// Sockets.
    pub(crate) fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// The embedded authority's socket. It stands with the store, which one authority has for
    /// itself: a runtime directory is another for every login.
    pub(crate) fn authority_socket(&self) -> PathBuf {
        self.authority().join("authority.sock")
    }
}
