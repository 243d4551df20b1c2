//! Markdown (GitHub's), for the summary of a CI job.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{
    INTERRUPTED,
    clock::Clock,
    counts, escape,
    finding::{Caveat, Finding, reason, signer_or_none},
    particulars,
    signer::{Signer, agent_share},
};
use crate::verify::{JudgedObject, Outcome};

/// Job summaries are cut at a megabyte.
const ROWS_MAX: usize = 1000;
const NAMES_MAX: usize = 100;

/// Writes the counts, what was not accepted, and who signed. Of very many rows, the first ones.
///
/// # Errors
/// What writing gives.
pub fn write_markdown(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let summary = outcome.summary();
    writeln!(to, "## notme verify: {}\n", counts(summary))?;
    if outcome.interrupted {
        writeln!(to, "**{INTERRUPTED}**\n")?;
    }
    writeln!(to, "| | |\n|---|---|")?;
    for (name, value) in particulars(outcome) {
        writeln!(to, "| {name} | {} |", code(&escape(&value)))?;
    }
    for id in outcome.shallow() {
        writeln!(
            to,
            "| not judged | history before {} |",
            code(&id.to_string())
        )?;
    }
    for fault in outcome.trust_faults() {
        writeln!(to, "| not used | {} |", code(&fault.to_string()))?;
    }
    for (_, note) in outcome.reservations() {
        writeln!(to, "| note | {note} |")?;
    }
    for it in outcome.ignored() {
        writeln!(to, "| ignored | {} |", it.as_str())?;
    }
    for excused in Caveat::excused(outcome) {
        writeln!(to, "| excused | {} |", excused.text)?;
    }
    write_findings(outcome, to)?;
    write_signers(outcome, to)?;
    write_clocks(outcome, to)?;
    write_merge_tags(outcome, to)?;
    write_policies(outcome, to)
}

fn write_findings(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let total = Finding::all(outcome).count();
    if total == 0 {
        return Ok(());
    }
    writeln!(
        to,
        "\n### Not accepted\n\n| verdict | object | signer | why |\n|---|---|---|---|"
    )?;
    for finding in Finding::all(outcome).take(ROWS_MAX) {
        let (object, word) = (finding.object, finding.object.judgement().verdict().word());
        writeln!(
            to,
            "| {word}: {} | {} {} | {} | {} |",
            code(finding.code.as_str()),
            object.kind_word(),
            code(&object.id().to_string()),
            code(&signer_or_none(object)),
            code(&reason(object)),
        )?;
    }
    if total > ROWS_MAX {
        writeln!(to, "\nand {} more", total - ROWS_MAX)?;
    }
    Ok(())
}

fn write_signers(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let mut signers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for object in outcome.objects() {
        let judgement = object.judgement();
        if let (Some(identity), None) = (judgement.identity(), judgement.verdict().code()) {
            let kind = Signer::of(judgement).word();
            *signers.entry((identity, kind)).or_default() += 1;
        }
    }
    if signers.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "\n### Signers of what was accepted\n\n| signer | among | objects |\n|---|---|---|"
    )?;
    for ((identity, kind), count) in signers.iter().take(NAMES_MAX) {
        writeln!(to, "| {} | {kind} | {count} |", code(&escape(identity)))?;
    }
    if let Some(more) = signers.len().checked_sub(NAMES_MAX).filter(|it| *it > 0) {
        writeln!(to, "\nand {more} more")?;
    }
    if let Some(share) = agent_share(outcome) {
        writeln!(to, "\n{share}.")?;
    }
    Ok(())
}

fn write_clocks(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let mut clocks: BTreeMap<_, usize> = BTreeMap::new();
    for clock in outcome
        .objects()
        .iter()
        .flat_map(|it| Clock::all(it.judgement()))
    {
        let kid = clock.kid.map(|kid| kid.to_string());
        *clocks.entry((clock.what, clock.result, kid)).or_default() += 1;
    }
    if clocks.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "\n### Logs and time stamps\n\n| | by the key | objects |\n|---|---|---|"
    )?;
    for ((what, result, kid), count) in clocks {
        let kid = kid.map_or_else(String::new, |kid| code(&kid));
        writeln!(to, "| {what}: {result} | {kid} | {count} |")?;
    }
    Ok(())
}

fn write_merge_tags(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let objects = outcome.objects().iter();
    let tags = || {
        let of = |object| JudgedObject::judgement(object).merge_tags().iter();
        objects
            .clone()
            .flat_map(move |object| of(object).map(move |tag| (object, tag)))
    };
    if tags().next().is_none() {
        return Ok(());
    }
    writeln!(
        to,
        "\n### Tags in merges\n\n| verdict | tag | in | signer |\n|---|---|---|---|"
    )?;
    for (object, tag) in tags().take(ROWS_MAX) {
        let verdict = tag.judgement().verdict();
        let reason = match verdict.code() {
            Some(reason) => format!(": {}", code(reason.as_str())),
            None => String::new(),
        };
        writeln!(
            to,
            "| {}{reason} | {} | {} | {} |",
            verdict.word(),
            code(&escape(tag.name().unwrap_or("unreadable"))),
            code(&object.id().to_string()),
            code(&escape(
                tag.judgement().identity().unwrap_or("nobody trusted")
            )),
        )?;
    }
    match tags().count().checked_sub(ROWS_MAX) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(to, "\nand {more} more"),
    }
}

/// Names the policies, where not all was judged by the one above.
fn write_policies(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    if outcome.policies().all(|it| it == outcome.policy) {
        return Ok(());
    }
    writeln!(
        to,
        "\n### Policies that judged\n\n| policy | objects |\n|---|---|"
    )?;
    for (digest, count) in outcome.policies.iter().take(NAMES_MAX) {
        writeln!(to, "| {} | {count} |", code(digest))?;
    }
    match outcome.policies.len().checked_sub(NAMES_MAX) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(to, "\nand {more} more"),
    }
}

/// Writes a text as a code span, in which nothing is markup, a mention or a link. Only a pipe
/// would mean something there, the end of a cell, and where readers differ on when.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\u{7c}");
    let longest = text.split(|c| c != '`').map(str::len).max();
    let fence = "`".repeat(longest.unwrap_or(0) + 1);
    format!("{fence} {text} {fence}")
}
