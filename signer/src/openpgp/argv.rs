//! The command line of gpg, as far as git and common tools use it for signatures.
//!
//! It is gpgsm's with a few options more, and with files where git uses standard input.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

use crate::argv::{ArgvError, Data, Dialect, Encoding, KeyList, State, StatusFd};

/// What we are asked to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Make a detached signature.
    Sign(Sign),
    /// Verify a detached signature.
    Verify(Verify),
    /// List keys.
    List(List),
    /// Print the version.
    Version,
    /// Print help.
    Help,
}

/// Make a detached signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sign {
    /// The key asked for, if any.
    pub key: Option<OsString>,
    /// How to write the signature.
    pub encoding: Encoding,
    /// What to sign.
    pub input: Data,
    /// Where the signature goes; standard output when absent.
    pub output: Option<PathBuf>,
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

/// List keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct List {
    /// Which.
    pub keys: KeyList,
    /// Whether for programs.
    pub colons: bool,
    /// Only those that one of these names; all when empty.
    pub names: Vec<OsString>,
}

/// Parses the arguments after the program's name.
///
/// # Errors
/// [`ArgvError`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ArgvError> {
    let state = State::read(arguments, Dialect::Gpg)?;
    if state.help {
        return Ok(Command::Help);
    }
    if state.version {
        return Ok(Command::Version);
    }
    match (state.detach || state.sign, state.verify, state.list) {
        (true, false, None) => finish_sign(state).map(Command::Sign),
        (false, true, None) => finish_verify(state).map(Command::Verify),
        (false, false, Some(keys)) => Ok(Command::List(List {
            keys,
            colons: state.colons,
            names: state.operands,
        })),
        (_, _, _) => Err(ArgvError::Command),
    }
}

fn finish_sign(state: State) -> Result<Sign, ArgvError> {
    if !state.detach {
        return Err(ArgvError::NotDetached);
    }
    let encoding = match state.armor {
        true => Encoding::Armor,
        false => Encoding::Der,
    };
    let output = |name: OsString| (name != "-").then(|| PathBuf::from(name));
    let (input, output) = match state.operands.as_slice() {
        [] => (Data::Stdin, state.output.and_then(output)),
        [name] if name == "-" => (Data::Stdin, state.output.and_then(output)),
        // As gpg does, beside the file unless told otherwise.
        [name] => {
            let beside = match encoding {
                Encoding::Armor => ".asc",
                Encoding::Der => ".sig",
            };
            let mut default = name.clone();
            default.push(beside);
            let target = state.output.map_or(Some(default.into()), output);
            (Data::File(name.into()), target)
        }
        _ => {
            return Err(ArgvError::Operands {
                usage: "one file to sign, or none for standard input",
            });
        }
    };
    Ok(Sign {
        key: state.key,
        encoding,
        input,
        output,
        status_fd: state.status_fd,
    })
}

fn finish_verify(state: State) -> Result<Verify, ArgvError> {
    let usage = ArgvError::Operands {
        usage: "--verify SIGNATURE_FILE DATA_FILE, or - for data on standard input",
    };
    let (signature, data) = match state.operands.as_slice() {
        [signature, data] if signature != "-" => (signature, data.clone()),
        [signature] => (signature, signed_by(signature).ok_or(usage)?),
        _ => return Err(usage),
    };
    Ok(Verify {
        signature: signature.into(),
        data: match data == "-" {
            true => Data::Stdin,
            false => Data::File(data.into()),
        },
        status_fd: state.status_fd,
    })
}

/// Returns the file that a signature lies beside: its name without the ending.
fn signed_by(signature: &OsStr) -> Option<OsString> {
    let name = signature.as_bytes();
    let name = [&b".asc"[..], b".sig", b".sign"]
        .into_iter()
        .find_map(|ending| name.strip_suffix(ending))?;
    (!name.is_empty()).then(|| OsString::from_vec(name.to_vec()))
}
