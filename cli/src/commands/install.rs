//! `notme completions` and `notme man`: what a package has beside the program.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use clap::CommandFactory as _;
use clap_complete::Shell as Generator;

use crate::{
    arguments::{Arguments, Shell},
    failure::{Exit, Outcome},
};

pub(crate) fn completions(shell: Shell) -> Outcome {
    let generator = match shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
    };
    // Gathered first: the generator takes a closed pipe for a bug.
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut Arguments::command(), "notme", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Exit::Yes)
}

pub(crate) fn manual(directory: &Path) -> Outcome {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(Arguments::command(), directory)?;
    Ok(Exit::Yes)
}
