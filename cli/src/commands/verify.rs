//! `notme verify` and `notme explain`.

mod compromised;
mod interrupt;
mod progress;
mod vsa;

use std::{
    collections::BTreeSet,
    env,
    io::{self, BufWriter, Read as _, Write},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
};

use notme_verifier::{
    Cache, Judge, Lineage, Outcome as Verdicts, Repository, explain::explain, report,
    repository::Selection, verify::limit_threads, verify_with,
};

use crate::{
    arguments::{ReportFormat, Verify},
    commands::{
        attest::{attested, kept_in, with_statements},
        trust,
    },
    failure::{Exit, Failure, Outcome},
    home::Home,
    judging::Grounds,
};

/// The longest list of object ids on stdin: a million SHA-256 names and more.
const IDS_MAX: u64 = 128 * 1024 * 1024;

pub(crate) fn run(home: &Home, arguments: &Verify) -> Outcome {
    let repository = open()?;
    if let Some(jobs) = arguments
        .jobs
        .and_then(|jobs| NonZeroUsize::new(jobs.into()))
    {
        limit_threads(jobs)?;
    }
    let cache = (!arguments.no_cache).then(|| Arc::new(Cache::new(home.verdicts())));
    let exit = judged(home, &repository, arguments, cache.as_ref())?;
    for note in cache.iter().flat_map(|cache| cache.notes()) {
        writeln!(io::stderr(), "note: {}", report::escape(&note))?;
    }
    Ok(exit)
}

fn judged(
    home: &Home,
    repository: &Repository,
    arguments: &Verify,
    cache: Option<&Arc<Cache>>,
) -> Outcome {
    if arguments.refresh {
        trust::refresh_first(home)?;
    }
    let grounds = Grounds::load(
        home,
        arguments.trust.as_deref(),
        arguments.policy.as_deref(),
    )?;
    if arguments.revoked || !arguments.compromised.is_empty() {
        return compromised::run(repository, &grounds, arguments, cache);
    }
    let selection = select(repository, arguments)?;
    let judge = grounds.judge().remembering(cache.cloned());
    let lineage = match arguments.trust_root {
        None => None,
        Some(root) => {
            let now = (grounds.trust(), grounds.now());
            let lineage = Lineage::new(repository, &selection, root, now)?;
            Some(lineage.remembering(cache.cloned()))
        }
    };
    let judge: &Judge<'_> = match &lineage {
        Some(lineage) => lineage.judge(),
        None => &judge,
    };
    let listening = interrupt::stops(judge.stopper())?;
    // What lies between the trust root and the selection is examined, too.
    let counter = match &lineage {
        Some(_) => None,
        None => Some(repository.counter(&selection)),
    };
    let kept = kept_in(repository)?;
    let verdicts = with_statements(kept.as_ref(), &grounds, |statements| {
        progress::shown(judge, counter, || match &lineage {
            Some(lineage) => lineage.verify(&selection, statements),
            None => verify_with(repository, &selection, judge, statements),
        })
    })?;
    listening.end();
    let mut verdicts = attested(kept, &grounds, verdicts)?;
    if let ReportFormat::Sarif | ReportFormat::Github | ReportFormat::Gitlab = arguments.format {
        verdicts = verdicts.with_places(repository);
    }

    let mut out = BufWriter::new(io::stdout().lock());
    match arguments.format {
        ReportFormat::Text if arguments.explain => {
            for object in verdicts.objects() {
                writeln!(
                    out,
                    "{} {}\n",
                    object.kind().unwrap_or("object"),
                    object.id()
                )?;
                writeln!(out, "{}", explain(object.judgement(), judge))?;
            }
        }
        ReportFormat::Text if arguments.fold => report::write_folded(&verdicts, &mut out)?,
        ReportFormat::Text => report::write_text(&verdicts, &mut out)?,
        ReportFormat::Json => report::write_json(&verdicts, &mut out)?,
        ReportFormat::Jsonl => report::write_jsonl(&verdicts, &mut out)?,
        ReportFormat::Sarif => report::write_sarif(&verdicts, &mut out)?,
        ReportFormat::Junit => report::write_junit(&verdicts, &mut out)?,
        ReportFormat::Markdown => report::write_markdown(&verdicts, &mut out)?,
        ReportFormat::Github => report::write_github(&verdicts, &mut out)?,
        ReportFormat::Gitlab => report::write_gitlab(&verdicts, &mut out)?,
        ReportFormat::Html => report::write_html(&verdicts, &mut out)?,
        ReportFormat::Vsa => vsa::write(home, repository, &verdicts, arguments, &mut out)?,
    }
    out.flush()?;
    drop(out);
    if arguments.format == ReportFormat::Text {
        talk(repository, &grounds, &verdicts)?;
        if arguments.policy.is_none() && lineage.is_none() && repository.holds_policy() {
            let note = "note: the repository has a policy of its own, which counts from a commit that you trust on";
            writeln!(io::stderr(), "{note}: `--trust-root`")?;
        }
    }
    Ok(match verdicts.exit_code() {
        0 => Exit::Yes,
        3 => Exit::Undecided,
        _ => Exit::No,
    })
}

/// Opens the repository that git would: the one that the environment names, as in a hook, or the
/// one around the working directory.
pub(super) fn open() -> Result<Repository, Failure> {
    let here = env::current_dir()?;
    let path = |name| env::var_os(name).map(|path| here.join(path));
    let repository = match path("GIT_DIR") {
        Some(directory) => Repository::open(&directory)?,
        None => Repository::discover(&here)?,
    };
    let (first, alternates) = object_directories()?;
    Ok(repository.with_objects(first.as_deref(), &alternates)?)
}

/// Returns where the environment says that objects are: in place of the repository's own, and
/// beside them.
pub(super) fn object_directories() -> Result<(Option<PathBuf>, Vec<PathBuf>), Failure> {
    let here = env::current_dir()?;
    let first = env::var_os("GIT_OBJECT_DIRECTORY").map(|path| here.join(path));
    let alternates = env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES")
        .iter()
        .flat_map(env::split_paths)
        .map(|directory| here.join(directory))
        .collect();
    Ok((first, alternates))
}

fn select(repository: &Repository, arguments: &Verify) -> Result<Selection, Failure> {
    let mut selections = Vec::new();
    match arguments.range.as_deref() {
        Some("-") => {
            let mut text = String::new();
            io::stdin().take(IDS_MAX).read_to_string(&mut text)?;
            selections.push(repository.select_ids(text.split_ascii_whitespace()));
        }
        Some(revision) => selections.push(repository.select(revision)),
        None if arguments.all => selections.push(repository.select_all()),
        None if arguments.tags => {}
        None => selections.push(repository.select_default()),
    }
    if arguments.tags {
        selections.push(repository.select_tags());
    }
    let selection = selections
        .into_iter()
        .reduce(|all, more| Ok(all?.and(more?)))
        .unwrap_or_else(|| repository.select_default())
        .map_err(|error| match error.usage_code() {
            Some(_) => {
                Failure::usage(error).hint("name a commit, a tag or a range such as `main..HEAD`")
            }
            None => Failure::from(error),
        })?;
    on_reference(selection, arguments)
}

/// Says for which ref the objects are, if somebody names one.
fn on_reference(selection: Selection, arguments: &Verify) -> Result<Selection, Failure> {
    match &arguments.reference {
        Some(name) if !name.starts_with("refs/") => {
            let failure = Failure::usage(format!("`{name}` is no full name of a ref"));
            Err(failure.hint("write it as `refs/heads/main`"))
        }
        Some(name) => Ok(selection.on(Some(name.clone()))),
        None => Ok(selection),
    }
}

/// Says on stderr what stands behind the verdicts, and what to do about them.
fn talk(repository: &Repository, grounds: &Grounds, verdicts: &Verdicts) -> io::Result<()> {
    talk_of(repository, grounds, verdicts)?;
    let codes: BTreeSet<_> = verdicts
        .objects()
        .iter()
        .filter_map(|object| object.judgement().verdict().code())
        .map(|code| (code.as_str(), code.fix()))
        .collect();
    for (code, fix) in codes {
        writeln!(io::stderr(), "hint: {code}: {fix}")?;
    }
    Ok(())
}

/// Says on stderr what stands behind them.
fn talk_of(repository: &Repository, grounds: &Grounds, verdicts: &Verdicts) -> io::Result<()> {
    let mut out = io::stderr().lock();
    for note in grounds.trust().notes() {
        writeln!(out, "note: {}", report::escape(note))?;
    }
    for fault in grounds.trust().faults() {
        writeln!(
            out,
            "note: authority `{}`: {}: {}",
            fault.name,
            fault.code.as_str(),
            report::escape(&fault.message)
        )?;
    }
    if repository.has_replacements() {
        writeln!(
            out,
            "note: replace refs are ignored; the objects themselves were judged"
        )?;
    }
    if repository.has_grafts() {
        writeln!(
            out,
            "note: grafts are ignored; commits have the parents that they name"
        )?;
    }
    if !verdicts.shallow().is_empty() {
        writeln!(
            out,
            "note: the clone is shallow; nothing beyond its boundary was judged"
        )?;
    }
    Ok(())
}
