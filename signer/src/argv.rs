//! The command line of gpgsm, as far as git and people use it for signatures.
//!
//! Options may come in any order, in clusters (`-bsau KEY`), with their values attached
//! (`-uKEY`, `--local-user=KEY`) or next. What we do not know we refuse: a signature made while
//! ignoring an option is not the one that was asked for.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
    str,
};

/// What we are asked to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Sign standard input.
    Sign(Sign),
    /// Verify a detached signature.
    Verify(Verify),
    /// Print the version.
    Version,
    /// Print help.
    Help,
}

/// Sign standard input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sign {
    /// The key asked for, if any.
    pub key: Option<OsString>,
    /// How to write the signature.
    pub encoding: Encoding,
    /// Where status lines go.
    pub status_fd: Option<StatusFd>,
}

/// Verify a detached signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verify {
    /// The file with the signature.
    pub signature: PathBuf,
    /// What was signed.
    pub data: Data,
    /// Where status lines go.
    pub status_fd: Option<StatusFd>,
}

/// Where the signed bytes are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Data {
    /// On standard input.
    Stdin,
    /// In a file.
    File(PathBuf),
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// As text.
    Armor,
    /// As DER.
    Der,
}

/// The number of an open file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StatusFd(u32);

impl StatusFd {
    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Tells whether a command line is meant for gpgsm, by its first argument: an option of gpgsm's
/// about signatures. Help, version and verbosity are anybody's.
pub fn is_gpg_shaped(first: &OsStr) -> bool {
    let bytes = first.as_bytes();
    let name = bytes.split(|byte| *byte == b'=').next();
    matches!(
        name.unwrap_or_default(),
        b"--armor"
            | b"--armour"
            | b"--batch"
            | b"--detach-sign"
            | b"--keyid-format"
            | b"--local-user"
            | b"--no-tty"
            | b"--sign"
            | b"--status-fd"
            | b"--verify"
            | b"--yes"
            | [b'-', b'a' | b'b' | b's' | b'u', ..]
    )
}

/// Parses the arguments after the program's name.
///
/// # Errors
/// [`ArgvError`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ArgvError> {
    State::read(arguments, Dialect::Gpgsm)?.finish()
}

/// Whose command line it is: gpg has options that gpgsm lacks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Dialect {
    #[default]
    Gpgsm,
    Gpg,
}

/// Which keys are to be listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyList {
    /// Those that signatures are verified with.
    Public,
    /// Those that sign.
    Secret,
}

/// A command line that we do not understand.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ArgvError {
    /// An option we do not have.
    #[error("invalid option \"{option}\"")]
    UnknownOption {
        /// Which.
        option: String,
    },
    /// An option without its value.
    #[error("missing argument for option \"{option}\"")]
    MissingValue {
        /// Which.
        option: String,
    },
    /// A value for an option that takes none.
    #[error("option \"{option}\" does not take an argument")]
    UnexpectedValue {
        /// Which.
        option: String,
    },
    /// `--status-fd` without a number.
    #[error("invalid argument for option \"--status-fd\"")]
    StatusFd,
    /// More than one key.
    #[error("more than one key given")]
    SeveralKeys,
    /// Neither signing nor verifying, or both.
    #[error("expected either a detached signature to make or one to verify")]
    Command,
    /// A signature that contains what it signs.
    #[error("only detached signatures are made; add --detach-sign")]
    NotDetached,
    /// Files where none, or other ones, are expected.
    #[error("unexpected file arguments: {usage}")]
    Operands {
        /// What is expected.
        usage: &'static str,
    },
}

/// What was seen so far.
#[derive(Default)]
pub(crate) struct State {
    dialect: Dialect,
    pub(crate) detach: bool,
    pub(crate) sign: bool,
    pub(crate) armor: bool,
    pub(crate) verify: bool,
    pub(crate) version: bool,
    pub(crate) help: bool,
    pub(crate) colons: bool,
    pub(crate) list: Option<KeyList>,
    pub(crate) key: Option<OsString>,
    pub(crate) output: Option<OsString>,
    pub(crate) status_fd: Option<StatusFd>,
    pub(crate) operands: Vec<OsString>,
}

impl State {
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        dialect: Dialect,
    ) -> Result<Self, ArgvError> {
        let mut arguments = arguments.into_iter();
        let mut state = Self {
            dialect,
            ..Self::default()
        };
        while let Some(argument) = arguments.next() {
            match argument.as_bytes() {
                b"--" => {
                    state.operands.extend(arguments.by_ref());
                }
                b"-" => state.operands.push(argument),
                [b'-', b'-', ..] => state.long(&argument, &mut arguments)?,
                [b'-', ..] => state.cluster(&argument, &mut arguments)?,
                _ => state.operands.push(argument),
            }
        }
        Ok(state)
    }

    fn long(
        &mut self,
        argument: &OsStr,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), ArgvError> {
        let bytes = argument.as_bytes();
        let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                let (name, value) = bytes.split_at(at);
                (
                    name,
                    value
                        .get(1..)
                        .map(|value| OsStr::from_bytes(value).to_owned()),
                )
            }
            None => (bytes, None),
        };
        let option = || printable(name);
        let is_gpg = self.dialect == Dialect::Gpg;
        let flag = match name {
            b"--detach-sign" => &mut self.detach,
            b"--sign" => &mut self.sign,
            b"--armor" | b"--armour" => &mut self.armor,
            b"--verify" => &mut self.verify,
            b"--version" => &mut self.version,
            b"--help" => &mut self.help,
            // How much is said, and whether questions are asked: we say little and ask nothing.
            b"--batch" | b"--no-tty" | b"--yes" | b"--quiet" | b"--verbose" => &mut false,
            b"--no-greeting" | b"--no-secmem-warning" | b"--no-permission-warning" if is_gpg => {
                &mut false
            }
            b"--with-colons" if is_gpg => &mut self.colons,
            // Ours are always shown.
            b"--with-fingerprint" | b"--fixed-list-mode" if is_gpg => &mut false,
            b"--list-keys" | b"--list-public-keys" | b"--list-secret-keys" if is_gpg => {
                self.list = Some(match name {
                    b"--list-secret-keys" => KeyList::Secret,
                    _ => KeyList::Public,
                });
                &mut false
            }
            b"--output" if is_gpg => {
                let value = value.or_else(|| rest.next());
                let value = value.ok_or_else(|| ArgvError::MissingValue { option: option() })?;
                return self.output(value);
            }
            b"--local-user" | b"--status-fd" | b"--keyid-format" => {
                let value = value.or_else(|| rest.next());
                let value = value.ok_or_else(|| ArgvError::MissingValue { option: option() })?;
                return match name {
                    b"--local-user" => self.key(value),
                    b"--status-fd" => self.status_fd(&value),
                    // Our ids have one format.
                    _ => Ok(()),
                };
            }
            _ => return Err(ArgvError::UnknownOption { option: option() }),
        };
        if value.is_some() {
            return Err(ArgvError::UnexpectedValue { option: option() });
        }
        *flag = true;
        Ok(())
    }

    fn cluster(
        &mut self,
        argument: &OsStr,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), ArgvError> {
        let mut letters = argument.as_bytes().iter().skip(1);
        while let Some(letter) = letters.next() {
            match letter {
                b'b' => self.detach = true,
                b's' => self.sign = true,
                b'a' => self.armor = true,
                b'q' | b'v' => {}
                b'h' => self.help = true,
                b'k' if self.dialect == Dialect::Gpg => self.list = Some(KeyList::Public),
                b'K' if self.dialect == Dialect::Gpg => self.list = Some(KeyList::Secret),
                b'o' if self.dialect == Dialect::Gpg => {
                    let value = attached_or_next(&mut letters, rest);
                    return self.output(value.ok_or_else(|| ArgvError::MissingValue {
                        option: "-o".to_owned(),
                    })?);
                }
                b'u' => {
                    let value = attached_or_next(&mut letters, rest);
                    return self.key(value.ok_or_else(|| ArgvError::MissingValue {
                        option: "-u".to_owned(),
                    })?);
                }
                letter => {
                    return Err(ArgvError::UnknownOption {
                        option: printable(&[b'-', *letter]),
                    });
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, value: OsString) -> Result<(), ArgvError> {
        match self.key.replace(value) {
            Some(_) => Err(ArgvError::SeveralKeys),
            None => Ok(()),
        }
    }

    fn output(&mut self, value: OsString) -> Result<(), ArgvError> {
        match self.output.replace(value) {
            Some(_) => Err(ArgvError::Operands {
                usage: "one file to write to",
            }),
            None => Ok(()),
        }
    }

    fn status_fd(&mut self, value: &OsStr) -> Result<(), ArgvError> {
        let digits = value.as_bytes();
        let number = str::from_utf8(digits)
            .ok()
            .filter(|_| digits.iter().all(u8::is_ascii_digit))
            .and_then(|digits| digits.parse().ok());
        self.status_fd = Some(StatusFd(number.ok_or(ArgvError::StatusFd)?));
        Ok(())
    }

    fn finish(self) -> Result<Command, ArgvError> {
        if self.help {
            return Ok(Command::Help);
        }
        if self.version {
            return Ok(Command::Version);
        }
        match (self.detach || self.sign, self.verify) {
            (true, false) => self.finish_sign().map(Command::Sign),
            (false, true) => self.finish_verify().map(Command::Verify),
            (true, true) | (false, false) => Err(ArgvError::Command),
        }
    }

    fn finish_sign(self) -> Result<Sign, ArgvError> {
        if !self.detach {
            return Err(ArgvError::NotDetached);
        }
        if self.operands.iter().any(|operand| operand != "-") || self.operands.len() > 1 {
            return Err(ArgvError::Operands {
                usage: "the data to sign is read from standard input",
            });
        }
        Ok(Sign {
            key: self.key,
            encoding: match self.armor {
                true => Encoding::Armor,
                false => Encoding::Der,
            },
            status_fd: self.status_fd,
        })
    }

    fn finish_verify(self) -> Result<Verify, ArgvError> {
        match <[OsString; 2]>::try_from(self.operands) {
            Ok([signature, data]) if signature != "-" => Ok(Verify {
                signature: signature.into(),
                data: match data == "-" {
                    true => Data::Stdin,
                    false => Data::File(data.into()),
                },
                status_fd: self.status_fd,
            }),
            Ok(_) | Err(_) => Err(ArgvError::Operands {
                usage: "--verify SIGNATURE_FILE DATA_FILE, or - for data on standard input",
            }),
        }
    }
}

/// Returns what follows a letter that takes a value: the rest of its cluster, or the next word.
fn attached_or_next<'a>(
    letters: &mut impl Iterator<Item = &'a u8>,
    rest: &mut impl Iterator<Item = OsString>,
) -> Option<OsString> {
    let attached: Vec<u8> = letters.copied().collect();
    match attached.is_empty() {
        true => rest.next(),
        false => Some(OsString::from_vec(attached)),
    }
}

fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
