//! `notme verify` and `notme explain`.

mod compromised;
mod interrupt;
mod progress;
mod vsa;

use std::{
    io::{self, BufWriter, Write},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
};

use notme_core::identity::is_uri;
use notme_verifier::{
    Cache, Judge, Lineage, Outcome as Verdicts, Repository, Verdict,
    explain::explain,
    report::{self, Lines},
    repository::Selection,
    stated::Statements,
    verify::{Portion, limit_threads, verify_each},
};

use crate::{
    arguments::{ReportFormat, Verify},
    commands::{print_fixes, trust},
    failure::{Exit, Failure, Outcome, read_all},
    home::Home,
    judging::Grounds,
    repository::{not_selected, on_reference, open},
    shell,
    statements::{attested, kept_in, with_attestations},
};

/// The longest list of object ids on stdin: a million SHA-256 names and more.
const IDS_MAX: u64 = 128 * 1024 * 1024;

pub(crate) fn run(home: &Home, arguments: &Verify) -> Outcome {
    check(arguments)?;
    let repository = open()?;
    if let Some(jobs) = arguments
        .jobs
        .and_then(|jobs| NonZeroUsize::new(jobs.into()))
    {
        limit_threads(jobs)?;
    }
    let cache = (!arguments.no_cache).then(|| Arc::new(Cache::new(home.verdicts())));
    let mut is_no = false;
    let exit = judged(home, &repository, arguments, (cache.as_ref(), &mut is_no))
        .map_err(|failure| failure.after(is_no))?;
    for note in cache.iter().flat_map(|cache| cache.notes()) {
        // Nobody is left to tell when stderr is gone, here and below.
        let _ = writeln!(io::stderr(), "note: {}", report::escape(&note));
    }
    Ok(exit)
}

/// Refuses options that this format has no use for.
fn check(arguments: &Verify) -> Result<(), Failure> {
    let (text, vsa) = (ReportFormat::Text, ReportFormat::Vsa);
    for (is_given, option, format, name) in [
        (arguments.explain, "--explain", text, "text"),
        (arguments.fold, "--fold", text, "text"),
        (arguments.resource.is_some(), "--resource", vsa, "vsa"),
        (arguments.agent.is_some(), "--agent", vsa, "vsa"),
    ] {
        if is_given && arguments.format != format {
            let error = format!("`{option}` goes with `--format {name}` alone");
            return Err(Failure::usage(error));
        }
    }
    match &arguments.resource {
        Some(text) if !is_uri(text) => {
            let error = format!("`--resource {text}` is not a URI, such as `git+https://…`");
            Err(Failure::usage(error))
        }
        Some(_) | None => Ok(()),
    }
}

/// Judges and tells; `is_no` from when it is known that the answer is no.
fn judged(
    home: &Home,
    repository: &Repository,
    arguments: &Verify,
    (cache, is_no): (Option<&Arc<Cache>>, &mut bool),
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
        return compromised::run(repository, &grounds, arguments, (cache, is_no));
    }
    let selection = select(repository, arguments)?;
    let judge = grounds.judge().remembering(cache.cloned());
    let lineage = lineage(repository, &selection, &grounds, arguments)?;
    let lineage = lineage.map(|it| it.remembering(cache.cloned()));
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
    let mut out = BufWriter::new(io::stdout().lock());
    let mut report = Report::of(arguments);
    let verdicts = with_attestations(kept.as_ref(), (&grounds, cache), |attestations| {
        let statements = attestations.map(|it| -> &dyn Statements { it });
        progress::shown(judge, counter, |bar| {
            let mut take = |judged: Portion| {
                bar.end();
                let mut verdicts = judged.objects().iter().map(|it| it.judgement().verdict());
                *is_no |= verdicts.any(|it| matches!(it, Verdict::Rejected(_)));
                let judged = attested(attestations, judged, (judge, lineage.as_ref()))?;
                report.take(judged, judge, &mut out)
            };
            match &lineage {
                Some(lineage) => lineage.verify_each(&selection, statements, &mut take),
                None => verify_each(repository, &selection, judge, statements, &mut take),
            }
        })
    })?;
    listening.end();
    let is_named = arguments.policy.is_some() || lineage.is_some();
    let verdicts = verdicts
        .asked_by(shell::command_line())
        .leaving_policy(!is_named && repository.holds_policy());
    let verdicts = match report {
        Report::Explained => {
            report::write_summary(&verdicts, &mut out)?;
            verdicts
        }
        Report::Lines(lines) => {
            lines.end(&verdicts, &mut out)?;
            verdicts
        }
        Report::Whole(format, objects) => {
            let verdicts = verdicts.holding(objects);
            write_whole(home, repository, verdicts, (arguments, format), &mut out)?
        }
    };
    out.flush()?;
    drop(out);
    if arguments.format == ReportFormat::Text {
        let _ = talk(&verdicts);
    }
    Ok(match verdicts.exit_code() {
        0 => Exit::Yes,
        3 => Exit::Undecided,
        _ => Exit::No,
    })
}

/// Begins at the trust root, if somebody names one.
fn lineage<'a>(
    repository: &'a Repository,
    selection: &Selection,
    grounds: &'a Grounds,
    arguments: &Verify,
) -> Result<Option<Lineage<'a>>, Failure> {
    let of_root = |root| {
        let now = (grounds.trust(), grounds.now());
        Lineage::new(repository, selection, root, now)
    };
    let lineage = arguments.trust_root.map(of_root).transpose();
    lineage.map_err(|error| {
        let fix = error.fix();
        let failure = Failure::from(error);
        match fix {
            Some(fix) => failure.hint(fix),
            None => failure,
        }
    })
}

/// What becomes of judged objects.
enum Report {
    /// They are explained.
    Explained,
    /// They are told as they come.
    Lines(Lines),
    /// They are told when all are there.
    Whole(Document, Portion),
}

/// A report that begins with what is known at the end.
#[derive(Clone, Copy)]
enum Document {
    Json,
    Sarif,
    Junit,
    Markdown,
    Github,
    Gitlab,
    Html,
    Vsa,
}

impl Report {
    fn of(arguments: &Verify) -> Self {
        let document = match arguments.format {
            ReportFormat::Text if arguments.explain => return Self::Explained,
            ReportFormat::Text if arguments.fold => return Self::Lines(Lines::folded()),
            ReportFormat::Text => return Self::Lines(Lines::Text),
            ReportFormat::Jsonl => return Self::Lines(Lines::Jsonl),
            ReportFormat::Json => Document::Json,
            ReportFormat::Sarif => Document::Sarif,
            ReportFormat::Junit => Document::Junit,
            ReportFormat::Markdown => Document::Markdown,
            ReportFormat::Github => Document::Github,
            ReportFormat::Gitlab => Document::Gitlab,
            ReportFormat::Html => Document::Html,
            ReportFormat::Vsa => Document::Vsa,
        };
        Self::Whole(document, Portion::default())
    }

    fn take(
        &mut self,
        judged: Portion,
        judge: &Judge<'_>,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        match self {
            Self::Explained => {
                for object in judged.objects() {
                    writeln!(out, "{} {}\n", object.kind_word(), object.id())?;
                    writeln!(out, "{}", explain(object.judgement(), judge))?;
                }
            }
            Self::Lines(lines) => lines.write(&judged, out)?,
            Self::Whole(_, objects) => objects.append(judged),
        }
        Ok(())
    }
}

fn write_whole(
    home: &Home,
    repository: &Repository,
    verdicts: Verdicts,
    (arguments, document): (&Verify, Document),
    out: &mut impl Write,
) -> Result<Verdicts, Failure> {
    let verdicts = match document {
        Document::Sarif | Document::Github | Document::Gitlab => verdicts.with_places(repository),
        Document::Json | Document::Junit | Document::Markdown | Document::Html | Document::Vsa => {
            verdicts
        }
    };
    match document {
        Document::Json => report::write_json(&verdicts, out)?,
        Document::Sarif => report::write_sarif(&verdicts, out)?,
        Document::Junit => report::write_junit(&verdicts, out)?,
        Document::Markdown => report::write_markdown(&verdicts, out)?,
        Document::Github => report::write_github(&verdicts, out)?,
        Document::Gitlab => report::write_gitlab(&verdicts, out)?,
        Document::Html => report::write_html(&verdicts, out)?,
        Document::Vsa => vsa::write(home, repository, &verdicts, arguments, out)?,
    }
    Ok(verdicts)
}

fn select(repository: &Repository, arguments: &Verify) -> Result<Selection, Failure> {
    let mut selections = Vec::new();
    match arguments.range.as_deref() {
        Some("-") => {
            let ids = read_all(&mut io::stdin(), Path::new("-"), IDS_MAX)?;
            let text = String::from_utf8(ids)?;
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
        .map_err(not_selected)?;
    on_reference(selection, arguments.reference.as_deref())
}

/// Says on stderr what stands behind the verdicts, and what to do about them.
fn talk(verdicts: &Verdicts) -> io::Result<()> {
    talk_of(verdicts)?;
    print_fixes(verdicts.codes().iter().copied())
}

/// Says on stderr what stands behind them.
pub(super) fn talk_of(verdicts: &Verdicts) -> io::Result<()> {
    let mut out = io::stderr().lock();
    for fault in verdicts.trust_faults() {
        writeln!(out, "note: {fault}")?;
    }
    for it in verdicts.ignored() {
        writeln!(out, "note: {}", it.as_str())?;
    }
    for (_, note) in verdicts.reservations() {
        writeln!(out, "note: {note}")?;
    }
    if !verdicts.shallow().is_empty() {
        writeln!(
            out,
            "note: the clone is shallow; nothing beyond its boundary was judged"
        )?;
    }
    Ok(())
}
