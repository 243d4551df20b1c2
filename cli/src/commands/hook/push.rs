//! `pre-push`: what leaves is verified before it does, and takes its attestations along.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    time::Duration,
};

use notme_git_hooks::{receive, run::Spool};
use notme_verifier::{report::escape, repository::ObjectId, verify_range};

use super::within;
use crate::{
    commands::attest::{self, course},
    failure::{Exit, Failure, Outcome},
    git,
    home::Home,
    judging::Grounds,
    repository::open,
    shell::quoted,
};

/// How long verifying may take: then it is not known, and nothing leaves.
const VERIFY_DEADLINE: Duration = Duration::from_secs(120);
/// How long sending attestations may take.
const SEND_DEADLINE: Duration = Duration::from_secs(30);
/// The setting that says what becomes of what is not accepted: `refuse`, `warn` or `off`.
const SETTING: &str = "notme.prePush";

pub(super) fn run(home: &Home, arguments: &[OsString], input: &[u8]) -> Outcome {
    let remote = arguments
        .first()
        .map(|it| it.to_string_lossy().into_owned());
    let remote = remote.unwrap_or_default();
    let pushed = receive::parse_push(input)?;
    let tips: Vec<_> = pushed.iter().filter_map(|update| update.new).collect();
    let setting = git::value(SETTING)?;
    let setting = setting.as_deref().unwrap_or("refuse");
    if !matches!(setting, "refuse" | "warn" | "off") {
        let problem = format!("{SETTING} is `{setting}`, not one of refuse, warn, off");
        return Err(Failure::usage(problem));
    }
    if setting != "off" {
        let (home, remote) = (home.clone(), remote.clone());
        let judged = within(VERIFY_DEADLINE, move || {
            verify(&home, &remote, &pushed).map_err(|failure| failure.to_string())
        });
        let refused = judged
            .unwrap_or_else(|| Err("verifying took too long".to_owned()))
            .unwrap_or_else(|problem| vec![problem]);
        if !refused.is_empty() {
            tell(&refused, setting)?;
            if setting == "refuse" {
                return Ok(Exit::No);
            }
        }
    }
    send(home.clone(), remote, tips)?;
    Ok(Exit::Yes)
}

/// Returns a line for each object that would leave and is not accepted.
fn verify(home: &Home, remote: &str, pushed: &[receive::Update]) -> Result<Vec<String>, Failure> {
    let repository = open()?;
    let known = git::remote_tips(remote)?;
    let Some(selection) = receive::leaving(&repository, pushed, &known)? else {
        return Ok(Vec::new());
    };
    let grounds = Grounds::load(home, None, None)?;
    let judge = grounds.judge();
    let outcome = verify_range(&repository, &selection, &judge)?;
    Ok(receive::told(&outcome))
}

fn tell(refused: &[String], setting: &str) -> io::Result<()> {
    let mut out = io::stderr().lock();
    for line in refused {
        writeln!(out, "{}", escape(line))?;
    }
    match setting {
        "warn" => writeln!(out, "warning: this leaves all the same ({SETTING} = warn)"),
        _ => writeln!(
            out,
            "error: nothing was pushed\nhint: `git push --no-verify` pushes it unverified; \
             `git config {SETTING} warn` for always"
        ),
    }
}

/// Sends the attestations, where there are some that the remote lacks, along with what is pushed.
fn send(home: Home, remote: String, pushed: Vec<ObjectId>) -> Result<(), Failure> {
    if let Some(directory) = course::directory() {
        // The end of the run goes there as well.
        let here = fs::canonicalize(git::common_directory()?)?;
        Spool::new(&directory).pushed(&here, &remote)?;
    }
    let shown = git::public(&remote).unwrap_or_else(|| quoted(&remote));
    let sent = within(SEND_DEADLINE, move || {
        attest::push_along(&home, &remote, &pushed).map_err(|failure| failure.to_string())
    });
    if let Err(problem) = sent.unwrap_or_else(|| Err("it took too long".to_owned())) {
        writeln!(
            io::stderr(),
            "note: the attestations did not go along: {}; later: notme attest push {}",
            escape(&problem),
            escape(&shown)
        )?;
    }
    Ok(())
}
