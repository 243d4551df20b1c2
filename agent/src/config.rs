//! One agent's configuration: a file that `notme init` writes and the key agent reads.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use notme_core::{
    hex,
    identity::AgentName,
    trust::{Seen, SuccessionError, VerifiedTrust},
};
use notme_local::{DirectoryError, check_private_directory, create_private_directory};
use serde::{Deserialize, Serialize};

use crate::{authority_url::AuthorityUrl, chain::Chain, token_source::TokenSource};

/// How one agent gets its certificates.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    version: Version,
    /// The agent's name, and the file's.
    pub name: AgentName,
    /// Who issues. For an embedded authority this is its name alone: where its socket is, the key
    /// agent is told when it starts.
    pub authority: AuthorityUrl,
    /// Which key signs.
    pub profile: Profile,
    /// The authority is this user's own; the key agent starts it when it does not answer.
    pub embedded: bool,
    /// The authority's root keys. The key agent follows its rotations, and writes here to where.
    pub pins: Pins,
    /// The authority's newest trust document that the key agent saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// The scopes to ask for; what the authority gives unasked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// How the authority certifies; by sessions when absent.
    #[serde(default, skip_serializing_if = "Wire::is_sessions")]
    pub wire: Wire,
    /// Where the tokens that open sessions come from; each is handed over when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenSource>,
    /// A PEM file of the TLS roots to believe instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Whether X.509 signatures are time-stamped by the authority; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamping>,
}

impl AgentConfig {
    /// Builds the configuration of an agent with an authority of its own choosing.
    pub fn new(name: AgentName, authority: AuthorityUrl, profile: Profile, pins: Pins) -> Self {
        Self {
            version: Version,
            name,
            authority,
            profile,
            embedded: false,
            pins,
            seen: None,
            scopes: None,
            wire: Wire::Sessions,
            token: None,
            ca_file: None,
            timestamp: None,
        }
    }

    /// Returns the configuration of one who saw a trust document: pinned are the roots that it
    /// names as current.
    ///
    /// # Errors
    /// [`SuccessionError`] when it does not come after the newest one seen.
    pub(crate) fn following(&self, trust: &VerifiedTrust) -> Result<Self, SuccessionError> {
        if let Some(seen) = &self.seen {
            seen.check_document(trust)?;
        }
        let roots = trust.document().current_roots();
        let pins = roots.map(|root| root.certificate.public_key().spki_sha256());
        Ok(Self {
            pins: Pins(pins.collect()),
            seen: Some(trust.seen()),
            ..self.clone()
        })
    }

    /// Tells whether a certificate of the authority allows something. Pairs say nothing about
    /// signing: whoever pins their authority decides what they are good for.
    pub(crate) fn allows(&self, chain: &Chain, scope: &str) -> bool {
        self.wire == Wire::Pairs || chain.leaf().scopes().iter().any(|it| it == scope)
    }

    /// Reads an agent's configuration; `None` when there is none.
    ///
    /// # Errors
    /// [`ConfigError`]. A file that cannot be read is never taken for a missing one.
    pub fn load(directory: &Path, name: &AgentName) -> Result<Option<Self>, ConfigError> {
        match check_private_directory(directory) {
            Ok(()) => {}
            Err(DirectoryError::Unusable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        let path = path_of(directory, name);
        let text = match read_limited(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        if text.len() > SIZE_LIMIT {
            return Err(ConfigError::TooLarge { path });
        }
        let config: Self = match serde_json::from_slice(&text) {
            Ok(config) => config,
            Err(source) => return Err(ConfigError::Malformed { path, source }),
        };
        if config.name != *name {
            return Err(ConfigError::OtherName {
                path,
                found: config.name,
            });
        }
        if config.wire == Wire::Pairs && config.profile == Profile::Interop {
            return Err(ConfigError::NoProfile { path });
        }
        Ok(Some(config))
    }

    /// Returns the names of all configured agents, in order.
    ///
    /// # Errors
    /// [`ConfigError`] when the directory cannot be read or is open to others.
    pub fn names(directory: &Path) -> Result<Vec<AgentName>, ConfigError> {
        let unreadable = |source| ConfigError::Read {
            path: directory.to_owned(),
            source,
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(unreadable(source)),
        };
        check_private_directory(directory)?;
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(unreadable)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(EXTENSION));
            names.extend(name.and_then(|name| name.parse().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Writes the configuration, in one step, readable by us alone.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn save(&self, directory: &Path) -> Result<(), ConfigError> {
        create_private_directory(directory)?;
        let path = path_of(directory, &self.name);
        // No agent name begins with a dot.
        let temporary = directory.join(format!(".{}.{}", self.name, std::process::id()));
        self.replace(&path, &temporary).map_err(|source| {
            let _ = fs::remove_file(&temporary);
            ConfigError::Write { path, source }
        })
    }

    /// Removes an agent's configuration; one that is missing is no error.
    ///
    /// # Errors
    /// [`ConfigError::Write`].
    pub fn remove(directory: &Path, name: &AgentName) -> Result<(), ConfigError> {
        let path = path_of(directory, name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ConfigError::Write { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn replace(&self, path: &Path, temporary: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(temporary, path)?;
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// Which of the session's keys signs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Ed25519.
    Modern,
    /// P-256, for verifiers that know no Ed25519 in CMS.
    Interop,
}

/// How an authority certifies.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// By sessions, which are renewed and get certificates for single payloads.
    #[default]
    Sessions,
    /// As the hosted notme authority does, by pairs of certificates for one token each at
    /// `/cert/gha`. They are X.509 by an Ed25519 root, and carry no scope to sign.
    Pairs,
}

impl Wire {
    fn is_sessions(&self) -> bool {
        *self == Self::Sessions
    }
}

/// How much a time stamp matters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timestamping {
    /// Without one it signs all the same, and says so.
    Wanted,
    /// Without one it does not sign; not in other formats either, which carry none.
    Required,
}

/// The SHA-256 of the root keys to believe; at least one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Pins(Vec<[u8; 32]>);

impl Pins {
    /// Wraps SubjectPublicKeyInfo digests.
    ///
    /// # Errors
    /// [`PinsError`] when there is none.
    pub fn new(pins: Vec<[u8; 32]>) -> Result<Self, PinsError> {
        if pins.is_empty() {
            return Err(PinsError);
        }
        Ok(Self(pins))
    }

    /// Returns the digests.
    pub fn as_slice(&self) -> &[[u8; 32]] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Pins {
    type Error = PinsError;

    fn try_from(pins: Vec<String>) -> Result<Self, Self::Error> {
        let pins: Option<_> = pins.iter().map(|pin| hex::decode_array(pin)).collect();
        Self::new(pins.ok_or(PinsError)?)
    }
}

impl From<Pins> for Vec<String> {
    fn from(pins: Pins) -> Self {
        pins.0.iter().map(|pin| hex::encode(pin)).collect()
    }
}

/// The pins are not pins.
#[derive(Debug, thiserror::Error)]
#[error("expected one or more pins of 64 lower-case hexadecimal digits")]
pub struct PinsError;

/// An agent's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The directory cannot be used, or others may enter it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The file cannot be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a configuration.
    #[error("`{}` is not an agent configuration", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The file is too large to be one.
    #[error("`{}` is too large for an agent configuration", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// The file is another agent's.
    #[error("`{}` is the configuration of `{found}`", path.display())]
    OtherName {
        /// Which.
        path: PathBuf,
        /// The name in it.
        found: AgentName,
    },
    /// The profile is none that the authority certifies.
    #[error("`{}`: an authority that issues pairs certifies the profile `modern` only", path.display())]
    NoProfile {
        /// Which file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ConfigError {
    /// Returns the code of the closed list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Directory(error) => error.code(),
            Self::Read { .. } | Self::Write { .. } => "config-unusable",
            Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::OtherName { .. }
            | Self::NoProfile { .. } => "config-invalid",
        }
    }
}

/// The one version there is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u8", into = "u8")]
struct Version;

impl TryFrom<u8> for Version {
    type Error = VersionError;

    fn try_from(version: u8) -> Result<Self, Self::Error> {
        match version {
            1 => Ok(Self),
            found => Err(VersionError { found }),
        }
    }
}

impl From<Version> for u8 {
    fn from(Version: Version) -> Self {
        1
    }
}

#[derive(Debug, thiserror::Error)]
#[error("version {found} is not one we know")]
struct VersionError {
    found: u8,
}

const EXTENSION: &str = ".json";
const SIZE_LIMIT: usize = 64 * 1024;

fn path_of(directory: &Path, name: &AgentName) -> PathBuf {
    directory.join(format!("{name}{EXTENSION}"))
}

/// Reads one byte more than the limit at most.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(SIZE_LIMIT).unwrap_or(u64::MAX);
    let mut text = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    struct World {
        _root: tempfile::TempDir,
        directory: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let directory = root.path().join("agents");
            Self {
                _root: root,
                directory,
            }
        }

        fn write(&self, file: &str, text: &str) {
            create_private_directory(&self.directory).unwrap();
            fs::write(self.directory.join(file), text).unwrap();
        }

        fn load(&self, name: &str) -> Result<Option<AgentConfig>, ConfigError> {
            AgentConfig::load(&self.directory, &name.parse().unwrap())
        }
    }

    fn config(name: &str) -> AgentConfig {
        AgentConfig::new(
            name.parse().unwrap(),
            "unix:/run/authority.sock".parse().unwrap(),
            Profile::Modern,
            Pins::new(vec![[0xab; 32]]).unwrap(),
        )
    }

    #[test]
    fn reads_what_it_saves() {
        let world = World::new();
        config("claude").save(&world.directory).unwrap();
        config("codex").save(&world.directory).unwrap();
        assert_eq!(world.load("claude").unwrap(), Some(config("claude")));
        let names = AgentConfig::names(&world.directory).unwrap();
        assert_eq!(names, ["claude", "codex"].map(|name| name.parse().unwrap()));
    }

    #[test]
    fn saves_for_us_alone_and_leaves_nothing_else_behind() {
        let world = World::new();
        config("claude").save(&world.directory).unwrap();
        config("claude").save(&world.directory).unwrap();
        let file = world.directory.join("claude.json");
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&world.directory).unwrap().count(), 1);
    }

    #[test]
    fn tells_missing_from_unreadable() {
        let world = World::new();
        assert_eq!(world.load("claude").unwrap(), None);
        world.write("claude.json", "{");
        assert_eq!(world.load("claude").unwrap_err().code(), "config-invalid");
        fs::create_dir(world.directory.join("codex.json")).unwrap();
        assert_eq!(world.load("codex").unwrap_err().code(), "config-unusable");
    }

    #[test]
    fn refuses_a_directory_that_others_may_enter() {
        let world = World::new();
        config("claude").save(&world.directory).unwrap();
        fs::set_permissions(&world.directory, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            world.load("claude").unwrap_err().code(),
            "directory-not-private"
        );
        let error = AgentConfig::names(&world.directory).unwrap_err();
        assert_eq!(error.code(), "directory-not-private");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let good = serde_json::to_string(&config("claude")).unwrap();
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"embedded\"", "\"more\":1,\"embedded\""),
            ("modern", "other"),
            ("[\"abab", "[],\"x\":[\"abab"),
            ("abab\"]", "ab\"]"),
            ("unix:/run", "http://auth.example"),
            ("\"claude\"", "\"Claude\""),
            ("\"claude\"", "\"codex\""),
        ] {
            let world = World::new();
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            world.write("claude.json", &bad);
            assert_eq!(
                world.load("claude").unwrap_err().code(),
                "config-invalid",
                "{bad}"
            );
        }
    }

    #[test]
    fn refuses_a_file_that_never_ends() {
        let world = World::new();
        world.write("claude.json", &" ".repeat(SIZE_LIMIT + 1));
        let error = world.load("claude").unwrap_err();
        assert!(matches!(error, ConfigError::TooLarge { .. }));
    }

    #[test]
    fn needs_a_pin() {
        assert!(Pins::new(Vec::new()).is_err());
    }
}
