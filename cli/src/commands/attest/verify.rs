//! Judging what is attested.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use notme_attest::{
    Attestations, Attested,
    origins::{Confidence, OriginSet},
    predicate::{Level, VerificationResult},
    verify::{Asked, Summed, counted, level},
};
use notme_core::statement::Subject;
use notme_verifier::{
    Code, Judge, Verdict,
    report::{AttestationReport, FAILURE, escape},
};
use serde::Serialize;

use super::{Archive, bundles_in, read_named, refused};
use crate::{
    arguments::attest::AttestVerify,
    commands::{print_fixes, print_json},
    failure::{Exit, Failure, Outcome},
    home::Home,
    judging::Grounds,
};

/// The longest list of origins, and bundle file.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// One commit, or one bundle by itself.
#[derive(Serialize)]
struct Judged<'a> {
    oid: Option<&'a str>,
    verdict: &'static str,
    code: Option<Code>,
    level: Option<Level>,
    attestations: Vec<Line<'a>>,
}

/// One statement, in full.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    #[serde(flatten)]
    report: AttestationReport,
    detail: &'a Option<String>,
    judged_at: &'a Option<String>,
    unmet: Option<&'static str>,
    activity: Option<&'a str>,
    record: Option<u64>,
    records: Option<usize>,
    closed: Option<bool>,
    origins: Option<Confidence>,
    summary: Option<&'a Summed>,
}

pub(super) fn run(home: &Home, arguments: &AttestVerify) -> Outcome {
    let archive = Archive::open()?;
    let grounds = Grounds::load(
        home,
        arguments.trust.as_deref(),
        arguments.policy.as_deref(),
    )?;
    let policy = grounds.of_statements();
    let judge = Judge::new(&policy, grounds.trust(), grounds.now());
    let origins = match &arguments.origins {
        Some(file) => {
            let origins = OriginSet::from_json(&read_named(file, FILE_MAX)?);
            Some(origins.map_err(|error| refused(file, Code::OriginsMismatch, &error))?)
        }
        None => None,
    };
    let asked = Asked {
        open: arguments.open,
        origins: origins.clone(),
    };
    let attestations = Attestations::new(archive.store.clone(), &judge, asked);
    let mut judged = Vec::new();
    if arguments.bundle.is_empty() {
        let ids = archive.ids(&arguments.revision)?;
        let all = attestations.of_all(&ids)?;
        judged.extend(ids.into_iter().map(Some).zip(all));
    }
    let mut bundles = Vec::new();
    for file in &arguments.bundle {
        let content = read_named(file, FILE_MAX)?;
        bundles.extend(bundles_in(file, &content)?.into_iter().map(<[u8]>::to_vec));
    }
    let of_bundles = attestations.of_bundles(bundles)?.into_iter();
    judged.extend(of_bundles.map(|it| (None, vec![it])));
    let vouchers: BTreeSet<_> = arguments.voucher.iter().cloned().collect();
    let confidence = origins.map(|origins| origins.confidence(&vouchers));
    let judged: Vec<_> = judged
        .iter()
        .map(|(id, all)| Judged::of(id.as_deref(), all, confidence))
        .collect();
    if judged.is_empty() {
        let _ = writeln!(io::stderr(), "note: there are no commits to judge");
    }
    let has = |word| judged.iter().any(|it| it.verdict == word);
    // Whoever shows a summary asks whether what it is of was accepted.
    let is_no = has("rejected") || judged.iter().any(Judged::is_failure);
    match arguments.json {
        true => print_json(&judged).map(drop),
        false => write_text(&mut io::stdout().lock(), &judged).map_err(Failure::from),
    }
    .map_err(|failure| failure.after(is_no))?;
    let lines = judged.iter().flat_map(|it| &it.attestations);
    let codes = lines.filter_map(|line| line.report.code);
    let _ = print_fixes(judged.iter().filter_map(|it| it.code).chain(codes));
    Ok(match (is_no, has("undecided") || judged.is_empty()) {
        (true, _) => Exit::No,
        (false, true) => Exit::Undecided,
        (false, false) => Exit::Yes,
    })
}

impl<'a> Judged<'a> {
    fn of(oid: Option<&'a str>, all: &'a [Attested], confidence: Option<Confidence>) -> Self {
        // A bundle is what was asked about, whatever it would count for.
        let known: Vec<_> = match oid {
            Some(_) => counted(all).collect(),
            None => all.iter().collect(),
        };
        let is_rejected = |it: &&&Attested| matches!(it.verdict, Verdict::Rejected(_));
        let is_undecided = |it: &&&Attested| matches!(it.verdict, Verdict::Undecided(_));
        let rejected = known.iter().find(is_rejected);
        let undecided = known.iter().find(is_undecided);
        // One that is refused is not made good by another.
        let verdict = match (rejected.or(undecided), known.first()) {
            (Some(worst), _) => worst.verdict,
            (None, None) => Verdict::of(Code::AttestationMissing),
            (None, Some(_)) => Verdict::Accepted,
        };
        Self {
            oid,
            verdict: verdict.word(),
            code: verdict.code(),
            level: level(all),
            attestations: all.iter().map(|it| Line::of(it, confidence)).collect(),
        }
    }

    /// Tells whether it is a bundle with a summary of a verification that failed.
    fn is_failure(&self) -> bool {
        let failed = Some(VerificationResult::Failed.as_str());
        let is_failure = |it: &Line<'_>| it.summary.is_some() && it.report.result == failed;
        self.oid.is_none() && self.attestations.iter().any(is_failure)
    }
}

impl<'a> Line<'a> {
    fn of(attested: &'a Attested, confidence: Option<Confidence>) -> Self {
        let place = attested.place.as_ref();
        let is_accepted = attested.verdict == Verdict::Accepted;
        Self {
            file: attested.file.to_string(),
            report: attested.into(),
            detail: &attested.detail,
            judged_at: &attested.judged_at,
            // Of others than records, nobody asks for a level.
            unmet: Some(attested.derived.unmet)
                .filter(|_| is_accepted && attested.lifecycle.is_some()),
            activity: place.map(|place| &*place.activity),
            record: place.map(|place| place.sequence),
            records: place.map(|place| place.length),
            closed: place.map(|place| place.closed),
            origins: match (is_accepted, &attested.origins_hash) {
                (true, Some(_)) => confidence,
                (true, None) => confidence.map(|_| Confidence::Unknown),
                (false, _) => None,
            },
            summary: attested.summary.as_deref(),
        }
    }
}

fn write_text(out: &mut impl Write, judged: &[Judged<'_>]) -> io::Result<()> {
    for it in judged {
        if let Some(oid) = it.oid {
            let level = it.level.filter(|_| it.verdict != "rejected");
            let level = level.map(|level| format!("  {}", level.as_str()));
            let code = it.code.map(|code| format!("  {code}"));
            writeln!(
                out,
                "{:<10} {}{}{}",
                it.verdict,
                oid,
                level.unwrap_or_default(),
                code.unwrap_or_default()
            )?;
        }
        for line in &it.attestations {
            write_line(out, line)?;
        }
    }
    Ok(())
}

fn write_line(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    let report = &line.report;
    let kind = report.predicate_type.as_deref().unwrap_or("?");
    let kind = kind.rsplit_once("://").map_or(kind, |(_, kind)| kind);
    let mut facts = vec![escape(kind)];
    facts.extend(report.code.map(|code| code.as_str().into()));
    facts.extend(report.level.map(Into::into));
    facts.extend(report.time_basis.map(|basis| basis.as_str().into()));
    writeln!(out, "  {:<10} {}", report.verdict, facts.join("  "))?;
    let mut say = |text: String| writeln!(out, "             {}", escape(&text));
    if let Some(identity) = &report.identity {
        say(format!("by {identity}"))?;
    }
    if let Some(detail) = line.detail {
        say(detail.clone())?;
    }
    if let Some(other) = &report.attested_as {
        say(format!("attested as {other}"))?;
    }
    if let (Some(record), Some(records), Some(closed)) = (line.record, line.records, line.closed) {
        let end = match (closed, line.activity) {
            (false, Some(activity)) => format!("not closed: activity {activity}"),
            (false, None) => "not closed".to_owned(),
            (true, _) => "closed".to_owned(),
        };
        say(format!("record {} of {records}, {end}", record + 1))?;
    }
    if let Some(decision) = report.decision {
        say(format!("decision: {decision}"))?;
    }
    if let Some(result) = report.result {
        say(format!("verification: {result}"))?;
    }
    if let Some(summary) = line.summary {
        let range = summary.range.as_ref().map(|range| format!(": {range}"));
        let range = range.unwrap_or_default();
        say(format!("of {}{range}", summary.resource_uri))?;
        for subject in &summary.subjects {
            say(subject_text(subject))?;
        }
        say(format!("levels: {}", summary.verified_levels.join(", ")))?;
    }
    match (report.lifecycle, report.outcome) {
        (Some(lifecycle), Some(outcome)) => {
            let how = report.termination.map(|it| format!(" ({it})"));
            let how = how.unwrap_or_default();
            say(format!("activity {lifecycle}{how}, outcome {outcome}"))?;
        }
        (None, Some(outcome)) => say(format!("outcome {outcome}"))?,
        (_, None) => {}
    }
    if report.fails && report.code.is_none() {
        say(FAILURE.to_owned())?;
    }
    if let Some(claimed) = report.claimed_level {
        say(format!("claims {claimed}"))?;
    }
    if let Some(unmet) = line.unmet {
        say(format!("not there: {unmet}"))?;
    }
    if let Some(origins) = line.origins {
        say(origins.as_str().to_owned())?;
    }
    Ok(())
}

/// Writes a revision, and the refs that name it.
fn subject_text(subject: &Subject) -> String {
    let digests = subject.digest.iter();
    let digests = digests.map(|(algorithm, digest)| format!("{algorithm} {digest}"));
    let references = subject.more.get("annotations");
    let references = references.and_then(|it| it.get("source_refs")?.as_array());
    let references = references
        .into_iter()
        .flatten()
        .filter_map(|it| it.as_str());
    let all: Vec<_> = digests.chain(references.map(str::to_owned)).collect();
    all.join("  ")
}
