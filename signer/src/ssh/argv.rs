//! The command line of `ssh-keygen -Y`.
//!
//! Options come alone or in clusters, with their values attached or next, as for getopt(3). What
//! we do not know we refuse.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
    str,
};

use notme_core::ssh::HashAlgorithm;

/// What we are asked to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// `-Y sign`.
    Sign(Sign),
    /// `-Y verify`.
    Verify(Verify),
    /// `-Y find-principals`.
    FindPrincipals(FindPrincipals),
    /// `-Y match-principals`.
    MatchPrincipals(MatchPrincipals),
    /// `-Y check-novalidate`.
    CheckNovalidate(CheckNovalidate),
}

/// Sign files or standard input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sign {
    /// The key: a file, public or private.
    pub key: PathBuf,
    /// What the signature is for.
    pub namespace: String,
    /// The hash.
    pub hash: HashAlgorithm,
    /// The key must be in an agent.
    pub is_agent_required: bool,
    /// What opens the key file.
    pub passphrase: Option<OsString>,
    /// What to sign; nothing, or `-` alone, is standard input.
    pub files: Vec<PathBuf>,
    /// How much to say.
    pub noise: Noise,
}

/// Decide whether somebody may have signed standard input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verify {
    /// What the signature is for.
    pub namespace: String,
    /// The signature.
    pub signature: PathBuf,
    /// The file of allowed signers.
    pub allowed: PathBuf,
    /// Who is said to have signed.
    pub principal: String,
    /// What was revoked.
    pub revoked: Option<PathBuf>,
    /// `-O`.
    pub options: VerifyOptions,
    /// How much to say.
    pub noise: Noise,
}

/// Find who may have signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FindPrincipals {
    /// The signature.
    pub signature: PathBuf,
    /// The file of allowed signers.
    pub allowed: PathBuf,
    /// `-O`.
    pub options: VerifyOptions,
}

/// Find the lines that cover a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MatchPrincipals {
    /// The file of allowed signers.
    pub allowed: PathBuf,
    /// The name.
    pub principal: String,
    /// The first `-O`, none of which there is.
    pub unknown_option: Option<String>,
}

/// Check whether a signature over standard input holds, whoever made it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckNovalidate {
    /// What the signature is for.
    pub namespace: String,
    /// The signature.
    pub signature: PathBuf,
    /// `-O`.
    pub options: VerifyOptions,
    /// How much to say.
    pub noise: Noise,
}

/// `-O` of the commands that check.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct VerifyOptions {
    /// `verify-time=`, as it was written: the time zone is the caller's.
    pub verify_time: Option<String>,
    /// `print-pubkey`.
    pub prints_key: bool,
    /// One that the command does not have. It is for the command to fail then, in its own way.
    pub unknown: Option<String>,
}

/// How much to say.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Noise {
    /// `-q`.
    Quiet,
    /// Neither.
    #[default]
    Normal,
}

/// Tells whether a command line is meant for ssh-keygen: by its first argument, since git puts
/// `-Y` there.
pub fn is_ssh_keygen_shaped(first: &OsStr) -> bool {
    first.as_bytes().starts_with(b"-Y")
}

/// Parses the arguments after the program's name.
///
/// Stock ssh-keygen ends its options at the first argument that is none, be it empty, and so
/// loses the `-r FILE` that git puts after an empty one. Here only `sign`, which takes files, ends
/// them there.
///
/// # Errors
/// [`ArgvError`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ArgvError> {
    let mut arguments = arguments.into_iter();
    let mut state = State::default();
    while let Some(argument) = arguments.next() {
        match argument.as_bytes() {
            b"--" => {
                state.operands.extend(arguments.by_ref());
            }
            [b'-', _, ..] => state.cluster(&argument, &mut arguments)?,
            _ => {
                state.operands.push(argument);
                if state.is_signing() {
                    state.operands.extend(arguments.by_ref());
                }
            }
        }
    }
    state.finish()
}

/// A command line that we do not understand, or that says something impossible.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ArgvError {
    /// An option we do not have.
    #[error("unknown option -- {0}")]
    UnknownOption(String),
    /// An option without its value.
    #[error("option requires an argument -- {0}")]
    MissingValue(char),
    /// No `-Y`, which is all that we do of ssh-keygen.
    #[error("only -Y is supported here; ssh-keygen makes keys")]
    NoCommand,
    /// A `-Y` that there is not.
    #[error("Unsupported operation for -Y: \"{0}\"")]
    Unsupported(String),
    /// Something that the command needs.
    #[error("Too few arguments for {command}: missing {what}")]
    Missing {
        /// The command.
        command: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// A value that is not text.
    #[error("the value of -{0} is not UTF-8")]
    NotText(char),
    /// An `-O` that the command does not have.
    #[error("Invalid option \"{0}\"")]
    InvalidOption(String),
    /// A hash that there is not.
    #[error("unsupported hash algorithm \"{0}\"")]
    Hash(String),
    /// Files and standard input at once.
    #[error("Cannot sign mix of paths and standard input")]
    Mixed,
    /// A hash for fingerprints that we do not print.
    #[error("only fingerprints by SHA-256 are printed")]
    FingerprintHash,
}

impl ArgvError {
    /// Returns ssh-keygen's exit code: 1 when the call is wrong, 255 when what it asks for is.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownOption(_)
            | Self::MissingValue(_)
            | Self::NoCommand
            | Self::Unsupported(_)
            | Self::Missing { .. }
            | Self::NotText(_) => 1,
            Self::InvalidOption(_) | Self::Hash(_) | Self::Mixed | Self::FingerprintHash => 255,
        }
    }
}

/// What was seen so far.
#[derive(Default)]
struct State {
    command: Option<OsString>,
    namespace: Option<OsString>,
    file: Option<OsString>,
    identity: Option<OsString>,
    signature: Option<OsString>,
    revoked: Option<OsString>,
    passphrase: Option<OsString>,
    options: Vec<String>,
    uses_agent: bool,
    noise: Noise,
    operands: Vec<OsString>,
}

impl State {
    fn cluster(
        &mut self,
        argument: &OsStr,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), ArgvError> {
        let mut letters = argument.as_bytes().iter().skip(1);
        while let Some(letter) = letters.next() {
            match letter {
                b'q' => self.noise = Noise::Quiet,
                // We have nothing more to say.
                b'v' => {}
                b'U' => self.uses_agent = true,
                b'Y' | b'n' | b'f' | b'I' | b's' | b'r' | b'O' | b'P' | b'E' => {
                    let attached: Vec<u8> = letters.copied().collect();
                    let value = match attached.is_empty() {
                        true => rest.next(),
                        false => Some(OsString::from_vec(attached)),
                    };
                    let value = value.ok_or(ArgvError::MissingValue(char::from(*letter)))?;
                    return self.set(*letter, value);
                }
                letter => {
                    let option = letter.escape_ascii().to_string();
                    return Err(ArgvError::UnknownOption(option));
                }
            }
        }
        Ok(())
    }

    /// Takes an option's value; the last one counts, except for `-O`.
    fn set(&mut self, letter: u8, value: OsString) -> Result<(), ArgvError> {
        match letter {
            b'Y' => self.command = Some(value),
            b'n' => self.namespace = Some(value),
            b'f' => self.file = Some(value),
            b'I' => self.identity = Some(value),
            b's' => self.signature = Some(value),
            b'r' => self.revoked = Some(value),
            b'P' => self.passphrase = Some(value),
            b'E' if !value.eq_ignore_ascii_case("sha256") => {
                return Err(ArgvError::FingerprintHash);
            }
            b'E' => {}
            _ => self.options.push(text('O', value)?),
        }
        Ok(())
    }

    fn is_signing(&self) -> bool {
        let command = self.command.as_ref();
        command.is_some_and(|it| it.as_bytes().starts_with(b"sign"))
    }

    fn finish(self) -> Result<Command, ArgvError> {
        let command = self.command.clone().ok_or(ArgvError::NoCommand)?;
        // By their beginnings, as stock has it.
        let command = command.as_bytes();
        if command.starts_with(b"find-principals") {
            return self.find_principals().map(Command::FindPrincipals);
        }
        if command.starts_with(b"match-principals") {
            return self.match_principals().map(Command::MatchPrincipals);
        }
        if command.starts_with(b"sign") {
            return self.sign().map(Command::Sign);
        }
        if command.starts_with(b"check-novalidate") {
            return self.check_novalidate().map(Command::CheckNovalidate);
        }
        if command.starts_with(b"verify") {
            return self.verify().map(Command::Verify);
        }
        Err(ArgvError::Unsupported(command.escape_ascii().to_string()))
    }

    fn sign(self) -> Result<Sign, ArgvError> {
        const COMMAND: &str = "sign";
        let namespace = namespace(COMMAND, self.namespace)?;
        let key = wanted(COMMAND, "key", self.file)?.into();
        if self.operands.len() > 1 && self.operands.iter().any(|it| it == "-") {
            return Err(ArgvError::Mixed);
        }
        let mut hash = HashAlgorithm::Sha512;
        for option in &self.options {
            let Some(name) = value_of(option, "hashalg=") else {
                return Err(ArgvError::InvalidOption(option.clone()));
            };
            hash = HashAlgorithm::named(name).ok_or_else(|| ArgvError::Hash(name.to_owned()))?;
        }
        Ok(Sign {
            key,
            namespace,
            hash,
            is_agent_required: self.uses_agent,
            passphrase: self.passphrase,
            files: self.operands.into_iter().map(PathBuf::from).collect(),
            noise: self.noise,
        })
    }

    fn verify(self) -> Result<Verify, ArgvError> {
        const COMMAND: &str = "verify";
        Ok(Verify {
            namespace: namespace(COMMAND, self.namespace)?,
            signature: wanted(COMMAND, "signature file", self.signature)?.into(),
            allowed: wanted(COMMAND, "allowed keys file", self.file)?.into(),
            principal: text('I', wanted(COMMAND, "principal identity", self.identity)?)?,
            revoked: self.revoked.map(PathBuf::from),
            options: verify_options(&self.options),
            noise: self.noise,
        })
    }

    fn find_principals(self) -> Result<FindPrincipals, ArgvError> {
        const COMMAND: &str = "find-principals";
        let mut options = verify_options(&self.options);
        if options.prints_key {
            options.unknown.get_or_insert("print-pubkey".to_owned());
        }
        Ok(FindPrincipals {
            signature: wanted(COMMAND, "signature file", self.signature)?.into(),
            allowed: wanted(COMMAND, "allowed keys file", self.file)?.into(),
            options,
        })
    }

    fn match_principals(self) -> Result<MatchPrincipals, ArgvError> {
        const COMMAND: &str = "match-principals";
        Ok(MatchPrincipals {
            allowed: wanted(COMMAND, "allowed keys file", self.file)?.into(),
            principal: text('I', wanted(COMMAND, "principal ID", self.identity)?)?,
            unknown_option: self.options.into_iter().next(),
        })
    }

    fn check_novalidate(self) -> Result<CheckNovalidate, ArgvError> {
        const COMMAND: &str = "check-novalidate";
        Ok(CheckNovalidate {
            namespace: namespace(COMMAND, self.namespace)?,
            signature: wanted(COMMAND, "signature file", self.signature)?.into(),
            options: verify_options(&self.options),
            noise: self.noise,
        })
    }
}

fn verify_options(options: &[String]) -> VerifyOptions {
    let mut found = VerifyOptions::default();
    for option in options {
        if let Some(time) = value_of(option, "verify-time=") {
            found.verify_time = Some(time.to_owned());
        } else if option.eq_ignore_ascii_case("print-pubkey") {
            found.prints_key = true;
        } else {
            found.unknown.get_or_insert_with(|| option.clone());
        }
    }
    found
}

fn value_of<'a>(option: &'a str, name: &str) -> Option<&'a str> {
    let (start, value) = option.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

fn namespace(command: &'static str, value: Option<OsString>) -> Result<String, ArgvError> {
    let value = value.filter(|value| !value.is_empty());
    text('n', wanted(command, "namespace", value)?)
}

fn wanted(
    command: &'static str,
    what: &'static str,
    value: Option<OsString>,
) -> Result<OsString, ArgvError> {
    value.ok_or(ArgvError::Missing { command, what })
}

fn text(option: char, value: OsString) -> Result<String, ArgvError> {
    let value = value.into_vec();
    let text = str::from_utf8(&value).map_err(|_| ArgvError::NotText(option))?;
    Ok(text.to_owned())
}
