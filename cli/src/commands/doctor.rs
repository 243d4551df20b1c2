//! `notme doctor`: what is set up wrong, and the one command that repairs it.
//!
//! Each check is a function that looks at the [`Scene`]. docs/doctor.md has a line for each code.

mod agents;
mod environment;
mod files;
mod key_agent;
mod repository;
mod scene;
mod settings;
mod trust;

use std::io::{self, Write};

use notme_verifier::report::escape;
use serde::Serialize;

use self::scene::Scene;
use crate::{
    arguments::Json,
    commands::print_json,
    failure::{Exit, Failure, Outcome},
    forge::{self, Remote},
    git,
    home::Home,
};

/// One thing that is wrong.
#[derive(Serialize)]
struct Finding {
    /// A stable name.
    code: &'static str,
    /// What is wrong.
    problem: String,
    /// The command that repairs it.
    repair: String,
}

/// Everything that is wrong.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, code: &'static str, problem: impl Into<String>, repair: impl Into<String>) {
        self.0.push(Finding {
            code,
            problem: problem.into(),
            repair: repair.into(),
        });
    }
}

type Check = fn(&Scene<'_>, &mut Findings) -> Result<(), Failure>;

const CHECKS: [Check; 26] = [
    environment::git_is_new_enough,
    environment::home_is_used,
    environment::no_date_is_fixed,
    environment::temporary_directory_exists,
    environment::ssh_keygen_is_there,
    repository::is_whole,
    repository::shows_its_own_objects,
    repository::is_readable,
    repository::holds_no_locks,
    repository::keeps_its_attestations,
    repository::hooks_run,
    settings::backup_is_readable,
    settings::committer_is_set,
    settings::format_is_known,
    settings::program_is_ours,
    settings::everything_is_signed,
    settings::signing_key_is_an_agent,
    settings::signers_and_revocations_are_there,
    settings::our_trust_suffices,
    files::are_private,
    trust::somebody_is_trusted,
    trust::is_readable,
    trust::is_current,
    agents::are_configured,
    agents::are_trusted,
    key_agent::serves,
];

pub(crate) fn run(home: &Home, arguments: &Json) -> Outcome {
    let findings = examine(home)?.0;
    let exit = if findings.is_empty() {
        Exit::Yes
    } else {
        Exit::No
    };
    if arguments.json {
        print_json(&findings)?;
        return Ok(exit);
    }
    explain_format()?;
    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{}: {}", finding.code, escape(&finding.problem))?;
        writeln!(out, "  repair: {}", escape(&finding.repair))?;
    }
    if findings.is_empty() {
        writeln!(out, "nothing is wrong")?;
    }
    Ok(exit)
}

fn examine(home: &Home) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    if !environment::git_is_there(&mut findings) {
        return Ok(findings);
    }
    let scene = Scene::look(home)?;
    if let Some(place) = &scene.refused {
        // Nothing of the repository can be looked at.
        repository::tell_refusal(place, &mut findings);
        return Ok(findings);
    }
    for check in CHECKS {
        check(&scene, &mut findings)?;
    }
    // Whoever starts an authority on files that others may have changed believes them.
    if !findings.0.iter().any(|it| files::CODES.contains(&it.code)) {
        agents::authorities_answer(&scene, &mut findings)?;
    }
    Ok(findings)
}

/// Says what the formats give, and which one suits the remote: advice, and no finding.
fn explain_format() -> Result<(), Failure> {
    let mut talk = io::stderr().lock();
    forge::write_table(&mut talk)?;
    let format = git::value("gpg.format")?;
    let format = format.as_deref().unwrap_or("openpgp");
    let remote = Remote::find()?;
    let suits = forge::format_for(remote.as_ref()).as_str();
    let place = remote.map_or_else(|| "no remote".to_owned(), |remote| remote.place());
    write!(talk, "format {format}, for {place}")?;
    if format == suits {
        writeln!(talk)?;
    } else {
        writeln!(talk, "; `notme init` would choose {suits}")?;
    }
    Ok(())
}
