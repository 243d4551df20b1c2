//! The program as git calls it in place of gpg.

mod listing;
mod telling;

use std::{ffi::OsString, io, process::ExitCode};

use notme_core::{
    armor::SignatureFormat,
    openpgp::{ArmorKind, Signature, armor, dearmor},
};
use notme_signer::{
    Deadline, KeyList, Streams,
    openpgp::{Command, List, Verify, parse, sign},
};

use crate::{
    commands::agent,
    failure::Failure,
    gnupg::{
        ERROR, GOOD, STDOUT_CLOSED, complain, home, is_stdout_closed, read_signed, say,
        signing_endpoint, write_status,
    },
    judging::Grounds,
};

/// Whose words these are: tools look for it.
const PROGRAM: &str = "gpg";

/// Does what git asks of gpg.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let mut streams = Streams {
        stdin: &mut io::stdin().lock(),
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr().lock(),
    };
    let code = match parse(words.iter().cloned()) {
        Err(error) => complain(&mut streams, PROGRAM, &error),
        Ok(Command::Version) => say(&mut streams, VERSION),
        Ok(Command::Help) => say(&mut streams, HELP),
        Ok(Command::Sign(command)) if command.output.is_none() && is_stdout_closed() => {
            complain(&mut streams, PROGRAM, &STDOUT_CLOSED)
        }
        Ok(Command::Sign(command)) => match signing_endpoint() {
            Ok(endpoint) => sign(
                &command,
                &endpoint,
                Deadline::after(agent::DEADLINE),
                &mut streams,
            ),
            Err(error) => complain(&mut streams, PROGRAM, &error),
        },
        Ok(Command::Verify(command)) => match verify(&command, &mut streams) {
            Ok(code) => code,
            Err(failure) => {
                // Without a word on the status lines git would call it unsigned.
                let _ = write_status(command.status_fd, &telling::unreadable(None), &mut streams);
                complain(&mut streams, PROGRAM, &failure)
            }
        },
        Ok(Command::List(command)) => match list(&command, &mut streams) {
            Ok(code) => code,
            Err(failure) => complain(&mut streams, PROGRAM, &failure),
        },
    };
    ExitCode::from(code)
}

/// What tools look at: that it is some gpg, and that it is not too old a one.
const VERSION: &str = concat!(
    "gpg (notme) ",
    env!("CARGO_PKG_VERSION"),
    "\n\nPubkey: RSA, ECDSA, EDDSA\nHash: SHA256, SHA384, SHA512\n"
);
const HELP: &str = "\
Usage: notme-openpgp --status-fd=N -bsau KEY < payload
       notme-openpgp --detach-sign --armor -u KEY [--output FILE] [FILE]
       notme-openpgp --keyid-format=long --status-fd=N --verify SIGNATURE -
       notme-openpgp --list-keys | --list-secret-keys [--with-colons] [NAME...]

git calls this as `gpg.program`.
KEY is the name of an agent or the key id of its session.
";

fn verify(command: &Verify, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let (mut armored, payload) = read_signed(&command.signature, &command.data, streams)?;
    // What packets begin with no text does, and the verifier reads what is in objects.
    if armored.first().is_some_and(|byte| byte & 0x80 != 0) {
        armored = armor(ArmorKind::Signature, &armored).into_bytes();
    }
    if SignatureFormat::detect(&armored) != Some(SignatureFormat::OpenPgp) {
        return Err(Failure::from("no valid OpenPGP data found"));
    }
    let grounds = Grounds::load(&home()?, None, None)?;
    let judgement = grounds.judge().judge_detached(&payload, &armored);

    let signature = dearmor(ArmorKind::Signature, &armored)
        .and_then(|bytes| Signature::from_bytes(&bytes))
        .ok();
    let told = telling::Told::of(&judgement, signature.as_ref());
    write_status(command.status_fd, &told.lines(), streams)?;
    streams.stderr.write_all(told.words().as_bytes())?;
    Ok(told.exit())
}

fn list(command: &List, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let home = home()?;
    let keys = match command.keys {
        KeyList::Public => listing::trusted(&home)?,
        KeyList::Secret => listing::sessions(&home)?,
    };
    let wanted: Vec<_> = keys
        .iter()
        .filter(|key| {
            let mut names = command.names.iter();
            command.names.is_empty() || names.any(|name| key.is_called(&name.to_string_lossy()))
        })
        .collect();
    for key in &wanted {
        let text = match command.colons {
            true => key.colons(),
            false => key.words(),
        };
        streams.stdout.write_all(text.as_bytes())?;
    }
    if wanted.is_empty() && !command.names.is_empty() {
        let what = match command.keys {
            KeyList::Public => "public",
            KeyList::Secret => "secret",
        };
        writeln!(streams.stderr, "gpg: error reading key: No {what} key")?;
        return Ok(ERROR);
    }
    Ok(GOOD)
}
