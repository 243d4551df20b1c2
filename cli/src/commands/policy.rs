//! `notme policy`: the repository's own policy, looked at before it counts.

mod draft;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use notme_verifier::{
    Outcome as Verdicts, Repository, Verdict, load,
    policy::{POLICY_PATH, PolicyError, Remark},
    report::{escape, text_line, write_excused},
    repository::RepositoryError,
    trust::Fault,
    verify::{Ignored, JudgedObject, Summary},
    verify_with,
};
use serde::Serialize;

use crate::{
    arguments::policy::{Policy, PolicyCheck, PolicyInit},
    commands::{print_json, verify::talk_of},
    failure::{Exit, Failure, Outcome, open_file},
    git,
    home::Home,
    judging::Grounds,
    repository::{on_reference, open},
    statements::{kept_in, with_statements},
};

pub(crate) fn run(home: &Home, command: &Policy) -> Outcome {
    match command {
        Policy::Check(arguments) => check(home, arguments),
        Policy::Init(arguments) => init(home, arguments),
    }
}

/// What `check` found.
#[derive(Serialize)]
struct Found<'a> {
    policy: String,
    remarks: Vec<Line<'a>>,
    /// What of the trust store cannot be used.
    trust_faults: &'a [Fault],
    trust_recorded: bool,
    /// Where a shallow clone ended the walk.
    shallow: Vec<String>,
    ignored: &'a [Ignored],
    half_judged: usize,
    commits: usize,
    summary: Summary,
    refused: Vec<Refused<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    line: usize,
    message: &'a str,
}

#[derive(Serialize)]
struct Refused<'a> {
    oid: String,
    verdict: &'static str,
    code: Option<&'static str>,
    identity: Option<&'a str>,
    detail: Option<&'a str>,
}

fn check(home: &Home, arguments: &PolicyCheck) -> Outcome {
    let file = match &arguments.file {
        Some(file) => file.clone(),
        None => place("name a file")?,
    };
    let policy = load::policy_from(&file, open_file(&file)?).map_err(|error| match error {
        PolicyError::Read { .. } => Failure::from(error),
        PolicyError::NotText { .. } | PolicyError::Rule { .. } => Failure::no(error),
    })?;
    let grounds = Grounds::load(home, arguments.trust.as_deref(), None)?;
    let repository = open()?;
    let is_here = |id: &str| repository.has(id);
    let is_folder = |path: &str| repository.has_folder(path);
    let remarks = policy.remarks(grounds.trust(), grounds.now(), &is_here, &is_folder);
    let digest = policy.digest();
    let grounds = grounds.with_policy(policy);
    let verdicts = newest(
        &repository,
        &grounds,
        arguments.last,
        arguments.reference.as_deref(),
    )?;
    let objects = verdicts.as_ref().map_or(&[][..], Verdicts::objects);
    let is_refused = |it: &&JudgedObject| it.judgement().verdict() != Verdict::Accepted;
    let refused: Vec<_> = objects.iter().filter(is_refused).collect();
    let shallow = verdicts.as_ref().map_or(&[][..], Verdicts::shallow);
    if arguments.json {
        return print_json(&Found {
            policy: digest,
            remarks: remarks.iter().map(Line::of).collect(),
            trust_faults: grounds.trust().faults(),
            trust_recorded: grounds.trust().is_recorded(),
            shallow: shallow.iter().map(ToString::to_string).collect(),
            ignored: verdicts.as_ref().map_or(&[], Verdicts::ignored),
            half_judged: verdicts.as_ref().map_or(0, Verdicts::half_judged),
            commits: objects.len(),
            summary: verdicts.as_ref().map(Verdicts::summary).unwrap_or_default(),
            refused: refused.iter().map(|it| Refused::of(it)).collect(),
        });
    }
    let mut out = io::stdout().lock();
    let file = file.display().to_string();
    writeln!(out, "{}: a policy, {digest}", escape(&file))?;
    for Remark { line, message } in &remarks {
        writeln!(out, "line {line}: {}", escape(message))?;
    }
    for object in &refused {
        let name = object.id().to_hex_with_len(10).to_string();
        writeln!(out, "{}", text_line(&name, object.judgement()))?;
    }
    match (refused.len(), objects.len()) {
        (_, 0) => writeln!(out, "there are no commits that it could judge")?,
        (0, 1) => writeln!(out, "it would have accepted the last commit")?,
        (_, 1) => writeln!(out, "it would not have accepted the last commit")?,
        (0, all) => writeln!(out, "it would have accepted all of the last {all} commits")?,
        (refused, all) => writeln!(
            out,
            "it would not have accepted {refused} of the last {all} commits"
        )?,
    }
    if let Some(verdicts) = &verdicts {
        write_excused(verdicts, &mut out)?;
        talk_of(verdicts)?;
    }
    Ok(Exit::Yes)
}

impl<'a> Line<'a> {
    fn of(remark: &'a Remark) -> Self {
        Self {
            line: remark.line,
            message: &remark.message,
        }
    }
}

impl<'a> Refused<'a> {
    fn of(object: &'a JudgedObject) -> Self {
        let judgement = object.judgement();
        Self {
            oid: object.id().to_string(),
            verdict: judgement.verdict().word(),
            code: judgement.verdict().code().map(|code| code.as_str()),
            identity: judgement.identity(),
            detail: judgement.detail(),
        }
    }
}

fn init(home: &Home, arguments: &PolicyInit) -> Outcome {
    let path = match arguments.stdout {
        true => None,
        false => Some(free_place()?),
    };
    let grounds = Grounds::load(home, arguments.trust.as_deref(), None)?;
    let repository = open()?;
    let verdicts = newest(&repository, &grounds, arguments.last, None)?;
    let objects = verdicts.as_ref().map_or(&[][..], Verdicts::objects);
    let draft = draft::write(&repository, grounds.trust(), objects)?;
    let Some(path) = path else {
        write!(io::stdout(), "{}", draft.text)?;
        return Ok(Exit::Yes);
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::File::create_new(&path)?.write_all(draft.text.as_bytes())?;
    let path = path.display().to_string();
    writeln!(
        io::stdout(),
        "wrote {}; it counts once it is committed and somebody pins that commit:\n  notme verify --trust-root COMMIT",
        escape(&path)
    )?;
    if let Some(excused) = &draft.excused {
        writeln!(
            io::stdout(),
            "its baseline excuses what is not accepted: {excused}"
        )?;
    }
    Ok(Exit::Yes)
}

/// Judges the newest commits; there may be none yet.
fn newest(
    repository: &Repository,
    grounds: &Grounds,
    count: usize,
    reference: Option<&str>,
) -> Result<Option<Verdicts>, Failure> {
    let selection = match repository.select_last(count) {
        Ok(selection) => on_reference(selection, reference)?,
        Err(RepositoryError::Unborn { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let judge = grounds.judge();
    let kept = kept_in(repository)?;
    let judged = with_statements(kept.as_ref(), (grounds, None), |statements| {
        verify_with(repository, &selection, &judge, statements)
    });
    judged.map(Some)
}

/// Returns where the policy of the working tree is.
fn place(instead: &str) -> Result<PathBuf, Failure> {
    let top = git::top_level().map_err(|error| {
        Failure::usage(error).hint(format!("run it in a working tree, or {instead}"))
    })?;
    Ok(top.join(POLICY_PATH))
}

/// Returns where a policy is to be, and nothing is: neither a file nor a link, which would lead out of
/// the working tree and never counts.
fn free_place() -> Result<PathBuf, Failure> {
    let path = place("have it printed with `--stdout`")?;
    let mut ways = path.ancestors().take(Path::new(POLICY_PATH).iter().count());
    if let Some(link) = ways.find(|way| way.is_symlink()) {
        let link = link.display();
        let error = format!("`{link}` is a link, behind which no policy counts");
        return Err(Failure::usage(error).hint("take the link away"));
    }
    if path.exists() {
        let error = format!("`{}` is there already", path.display());
        return Err(Failure::usage(error).hint("see what it does with `notme policy check`"));
    }
    Ok(path)
}
