//! notme: agents sign as themselves, and anyone can check it.
//!
//! git calls the program as gpgsm, under the name `notme-x509` or with gpgsm's arguments, and as
//! gpg under the name `notme-openpgp`, since gpg's arguments are gpgsm's; people
//! call it with a subcommand. The first way goes straight to the signer: git waits for it.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod ending;
mod failure;
mod forge;
mod git;
mod gnupg;
mod gpg;
mod gpgsm;
mod home;
mod judging;
mod program;
mod repository;
mod settings;
mod shell;
mod ssh_keygen;
mod statements;

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    panic,
    process::ExitCode,
};

use crate::{
    arguments::{Arguments, Command},
    failure::{Failure, Outcome},
    home::Home,
};

/// The exit code of a bug of ours.
const BUG: u8 = 4;

fn main() -> ExitCode {
    panic::catch_unwind(dispatch).unwrap_or_else(|_| {
        // The panic's own words are on stderr already.
        let _ = writeln!(
            io::stderr(),
            "error: this is a bug in notme; please report it"
        );
        ExitCode::from(BUG)
    })
}

fn dispatch() -> ExitCode {
    let mut words = env::args_os();
    let called_as = words.next().unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    let gpg_shaped = words
        .first()
        .is_some_and(|first| notme_signer::is_gpg_shaped(first));
    if program::is_gpg_name(&called_as) {
        return gpg::run(&words);
    }
    if program::is_gpgsm_name(&called_as) || gpg_shaped {
        return gpgsm::run(&words);
    }
    let ssh_shaped = words
        .first()
        .is_some_and(|first| notme_signer::ssh::is_ssh_keygen_shaped(first));
    if program::is_ssh_keygen_name(&called_as) || ssh_shaped {
        return ssh_keygen::run(&words);
    }
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => {
            // It prints help on stdout and complaints on stderr; a closed stream is no news.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(arguments.command) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Outcome {
    let found = Home::from_environment();
    let home = || found.as_ref().ok_or_else(homeless);
    match command {
        Command::Demo => commands::demo::run(),
        Command::Init(arguments) => commands::init::run(home()?, &arguments),
        Command::Status(arguments) => commands::status::run(home()?, &arguments),
        Command::Run(arguments) => commands::run::run(home()?, &arguments),
        Command::Record(arguments) => commands::run::record(&arguments),
        Command::Hook(arguments) => commands::hook::run(found.as_ref(), &arguments),
        Command::Hooks(command) => commands::hooks::run(home()?, &command),
        Command::Verify(arguments) => commands::verify::run(home()?, &arguments),
        Command::Explain(arguments) => commands::verify::run(home()?, &arguments.into()),
        Command::Attest(command) => commands::attest::run(home()?, &command),
        Command::Policy(command) => commands::policy::run(home()?, &command),
        Command::Trust(command) => commands::trust::run(home()?, &command),
        Command::Agent(command) => commands::agent::run(home()?, &command),
        Command::Authority(command) => commands::authority::run(home()?, &command),
        Command::Doctor(arguments) => commands::doctor::run(home()?, &arguments),
        Command::Completions { shell } => commands::install::completions(shell),
        Command::Man { directory } => commands::install::manual(&directory),
    }
}

/// Nobody knows where anything is.
pub(crate) fn homeless() -> Failure {
    Failure::usage("there is no home directory")
        .hint("set `NOTME_HOME` or `HOME` to an absolute path")
}
