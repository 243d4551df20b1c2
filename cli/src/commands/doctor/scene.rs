//! What every check looks at, read once.

use std::path::{Path, PathBuf};

use notme_agent::{AgentConfig, ConfigError, Profile, Timestamping};
use notme_core::{enrol::SCOPES, frame::StatusAnswer, hex, identity::AgentName};
use notme_verifier::Trust;

use crate::{
    commands::{
        agent,
        init::{self, EMBEDDED},
        trust::name_of,
    },
    failure::Failure,
    git::{self, Entry, Scope},
    home::Home,
    judging::{now, store},
    settings::{self, Recorded, SettingsError},
    shell::{quoted, quoted_path},
};

/// This user, this machine and this repository.
pub(super) struct Scene<'a> {
    pub(super) home: &'a Home,
    /// The repository in which git does not work, since it belongs to somebody else.
    pub(super) refused: Option<PathBuf>,
    /// The directory that all worktrees of the repository share, when there is one.
    pub(super) repository: Option<PathBuf>,
    /// git's configuration, in the order in which it counts.
    pub(super) config: Vec<Entry>,
    /// What `notme init` wrote, and where.
    pub(super) record: Result<Option<(Scope, Recorded)>, SettingsError>,
    pub(super) trust: Trust,
    pub(super) agents: Vec<(AgentName, Result<AgentConfig, ConfigError>)>,
    pub(super) key_agent: Result<Option<StatusAnswer>, Failure>,
}

impl<'a> Scene<'a> {
    /// # Errors
    /// [`Failure`] when git's configuration cannot be read.
    pub(super) fn look(home: &'a Home) -> Result<Self, Failure> {
        let repository = git::common_directory().ok();
        Ok(Self {
            home,
            record: record(home, repository.is_some()),
            refused: git::refused_directory()?,
            repository,
            config: git::configuration()?,
            trust: store(home, None).load(now()),
            agents: agents(home),
            key_agent: agent::running(home),
        })
    }

    /// Returns the entry that decides, among several names for one thing too.
    pub(super) fn entry(&self, names: &[&str]) -> Option<&Entry> {
        let is_meant = |it: &&Entry| names.iter().any(|name| it.name.eq_ignore_ascii_case(name));
        self.config.iter().rfind(is_meant)
    }

    /// Returns the value in force.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        Some(self.entry(&[name])?.value.as_str())
    }

    /// Returns the configuration of an agent, when it can be used.
    pub(super) fn agent(&self, name: &AgentName) -> Option<&AgentConfig> {
        let (_, config) = self.agents.iter().find(|(known, _)| known == name)?;
        config.as_ref().ok()
    }

    /// Returns the call of `notme init` that was made here, to be made again; the plain one where
    /// none is known of.
    pub(super) fn init(&self) -> String {
        let Ok(Some((scope, recorded))) = &self.record else {
            return match self.repository {
                Some(_) => "notme init".to_owned(),
                None => "notme init --global".to_owned(),
            };
        };
        let mut command = "notme init".to_owned();
        if let Some(name) = recorded.value("user.signingkey") {
            command += &self.init_options(name);
        }
        if let Some(format) = recorded.value("gpg.format") {
            command += &format!(" --format {}", quoted(format));
        }
        if *scope == Scope::Global {
            command += " --global";
        }
        command
    }

    /// Tells whether an agent is the one that `notme init` set up here.
    pub(super) fn is_init_agent(&self, name: &AgentName) -> bool {
        let Ok(Some((_, recorded))) = &self.record else {
            return false;
        };
        recorded.value("user.signingkey") == Some(name.as_str())
    }

    /// Returns the command that fetches an authority's trust document.
    pub(super) fn refresh(&self, name: &str) -> String {
        let mut configs = self.agents.iter().filter_map(|(_, it)| it.as_ref().ok());
        let config = configs.find(|it| trust_name(it) == name);
        let ca_file = config.and_then(|it| it.ca_file.as_deref());
        format!("notme trust refresh {}{}", quoted(name), ca_option(ca_file))
    }

    /// Returns the options that make `init` write an agent's configuration as it is.
    fn init_options(&self, name: &str) -> String {
        let mut options = format!(" --agent {}", quoted(name));
        let Some(config) = name.parse().ok().and_then(|name| self.agent(&name)) else {
            return options;
        };
        if !config.embedded {
            options += &format!(" --authority {}", quoted(config.authority.as_str()));
            options += &pins(config);
        }
        if config.profile == Profile::Interop {
            options += " --profile interop";
        }
        match config.timestamp {
            Some(Timestamping::Wanted) => options += " --timestamp",
            Some(Timestamping::Required) => options += " --timestamp=required",
            None => {}
        }
        if config
            .scopes
            .as_ref()
            .is_some_and(|it| it.len() >= SCOPES.len())
        {
            options += " --ssh-login";
        }
        options
    }
}

/// Returns the options that name an authority's keys, and what vouches for its TLS.
pub(super) fn pins(config: &AgentConfig) -> String {
    let pins = config.pins.as_slice().iter();
    let mut options: String = pins
        .map(|pin| format!(" --pin {}", hex::encode(pin)))
        .collect();
    options += &ca_option(config.ca_file.as_deref());
    options
}

fn ca_option(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |file| {
        format!(" --ca-file {}", quoted_path(file))
    })
}

/// Returns the name that `notme init` gives an agent's authority in the trust store.
pub(super) fn trust_name(config: &AgentConfig) -> String {
    match config.embedded {
        true => EMBEDDED.to_owned(),
        false => name_of(&config.authority),
    }
}

/// Reads what `init` wrote in this repository, else for all of them.
fn record(home: &Home, in_repository: bool) -> Result<Option<(Scope, Recorded)>, SettingsError> {
    let scopes: &[Scope] = match in_repository {
        true => &[Scope::Local, Scope::Global],
        false => &[Scope::Global],
    };
    for scope in scopes {
        if let Some(recorded) = settings::recorded(&init::backup_file(home, *scope)?)? {
            return Ok(Some((*scope, recorded)));
        }
    }
    Ok(None)
}

fn agents(home: &Home) -> Vec<(AgentName, Result<AgentConfig, ConfigError>)> {
    // A directory that cannot be used is what `files` speaks of.
    let names = AgentConfig::names(&home.agents()).unwrap_or_default();
    let load = |name: AgentName| match AgentConfig::load(&home.agents(), &name) {
        Ok(config) => config.map(|config| (name, Ok(config))),
        Err(error) => Some((name, Err(error))),
    };
    names.into_iter().filter_map(load).collect()
}
