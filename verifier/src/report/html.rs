//! One HTML file for people: to read, to print, and to recheck line by line.
//!
//! It loads nothing from anywhere, and says so to the browser by a content security policy that
//! allows its own style and script by their hashes and nothing else. Without the script there is
//! no search; all else works.

mod evidence;
mod timeline;

use std::io::{self, Write};

use notme_core::{base64, key::sha256};

use super::{
    INTERRUPTED, counts,
    finding::{Caveat, reason, signer_or_none},
    junit::Xml,
    particulars,
    signer::{Tally, agent_share},
};
use crate::verify::{JudgedObject, Outcome};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/search.js");
const RECHECK: &[u8] = include_bytes!("html/recheck.html");

/// Writes the page.
///
/// # Errors
/// What writing gives.
pub fn write_html(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    write_head(outcome, to)?;
    write_answer(outcome, to)?;
    writeln!(to, "<main>")?;
    write_counts(outcome, to)?;
    timeline::write(outcome, to)?;
    write_objects(outcome, to)?;
    evidence::write(outcome, to)?;
    to.write_all(RECHECK)?;
    writeln!(
        to,
        "</main>\n<footer><p>Made by notme {} at {} by the clock of whoever asked. All times are UTC.</p></footer>\n<script>{SCRIPT}</script>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION"),
        outcome.asked_at
    )
}

fn write_head(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let hash = |text: &str| base64::encode(&sha256(text.as_bytes()));
    writeln!(
        to,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>notme verify: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        hash(STYLE),
        hash(SCRIPT),
        Xml(&outcome.range)
    )
}

fn write_answer(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let summary = outcome.summary();
    let (class, answer) = match outcome.exit_code() {
        0 if summary.objects == 0 => ("accepted", "Nothing was selected."),
        0 => ("accepted", "Everything here was accepted."),
        1 => ("rejected", "Not everything here was accepted."),
        _ if outcome.interrupted => ("undecided", "Not everything here was looked at."),
        _ => ("undecided", "Not everything here could be looked at."),
    };
    writeln!(
        to,
        "<header>\n<p class=\"brand\">notme verify</p>\n<h1>Who signed {}</h1>\n<p class=\"answer {class}\">{answer}</p>\n<p>{}.</p>",
        Xml(&outcome.range),
        counts(summary)
    )?;
    for excused in Caveat::excused(outcome) {
        writeln!(to, "<p>{}.</p>", excused.text)?;
    }
    if outcome.interrupted {
        writeln!(to, "<p class=\"answer undecided\">{INTERRUPTED}</p>")?;
    }
    writeln!(to, "<dl>")?;
    for (name, value) in particulars(outcome) {
        let value = Xml(&value);
        writeln!(to, "<dt>{name}</dt><dd><code>{value}</code></dd>")?;
    }
    for id in outcome.shallow() {
        writeln!(
            to,
            "<dt>Not judged</dt><dd>history before <code>{id}</code>: the clone is shallow</dd>"
        )?;
    }
    for fault in outcome.trust_faults() {
        let fault = fault.to_string();
        writeln!(to, "<dt>Not used</dt><dd>{}</dd>", Xml(&fault))?;
    }
    for (_, note) in outcome.reservations() {
        writeln!(to, "<dt>Note</dt><dd>{note}</dd>")?;
    }
    for it in outcome.ignored() {
        writeln!(to, "<dt>Ignored</dt><dd>{}</dd>", it.as_str())?;
    }
    writeln!(to, "</dl>\n</header>")
}

fn write_counts(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    writeln!(
        to,
        "<section aria-labelledby=\"signers\">\n<h2 id=\"signers\">Kinds of signers</h2>"
    )?;
    if let Some(share) = agent_share(outcome) {
        writeln!(to, "<p>{share}.</p>")?;
    }
    writeln!(
        to,
        "<table class=\"narrow\">\n<caption>Objects by kind of signer</caption>\n<thead><tr><th scope=\"col\">signer</th><th scope=\"col\" class=\"n\">accepted</th><th scope=\"col\" class=\"n\">rejected</th><th scope=\"col\" class=\"n\">undecided</th></tr></thead>\n<tbody>"
    )?;
    let tally = |word: &str| {
        let objects = outcome.objects().iter();
        Tally::of(objects.filter(|it| it.judgement().verdict().word() == word))
    };
    let columns = [tally("accepted"), tally("rejected"), tally("undecided")];
    let [accepted, rejected, undecided] = columns;
    for ((signer, accepted), ((_, rejected), (_, undecided))) in
        accepted.iter().zip(rejected.iter().zip(undecided.iter()))
    {
        writeln!(
            to,
            "<tr><th scope=\"row\"><svg class=\"key\" viewBox=\"0 0 1 1\" aria-hidden=\"true\"><rect class=\"{}\" width=\"1\" height=\"1\"/></svg>{}</th><td class=\"n\">{accepted}</td><td class=\"n\">{rejected}</td><td class=\"n\">{undecided}</td></tr>",
            signer.class(),
            signer.word()
        )?;
    }
    writeln!(
        to,
        "</tbody>\n</table>\n<p class=\"soft\">What the policy calls a signer comes first. Of the others, agents are identities that an authority of agents certifies; people are those whose own key or X.509 authority is pinned. <em>Not shown</em>: nobody trusted stands behind the signature, or it does not hold.</p>\n</section>"
    )
}

fn write_objects(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    writeln!(
        to,
        "<section aria-labelledby=\"verdicts\" id=\"objects\">\n<h2 id=\"verdicts\">Verdicts</h2>\n<div class=\"tools\">\n<fieldset><legend>Show</legend>"
    )?;
    for (word, checked) in [
        ("all", " checked"),
        ("accepted", ""),
        ("rejected", ""),
        ("undecided", ""),
    ] {
        writeln!(
            to,
            "<label for=\"only-{word}\"><input type=\"radio\" name=\"only\" id=\"only-{word}\"{checked}> {word}</label>"
        )?;
    }
    writeln!(
        to,
        "</fieldset>\n<div id=\"searching\" hidden><label for=\"search\">Search</label> <input type=\"search\" id=\"search\" autocomplete=\"off\"> <output id=\"count\" for=\"search\"></output></div>\n</div>\n<div class=\"scroll\" role=\"region\" aria-labelledby=\"verdicts\" tabindex=\"0\">\n<table>\n<caption>Newest first. Each object's name is the digest of its bytes.</caption>\n<thead><tr><th scope=\"col\">verdict</th><th scope=\"col\">object</th><th scope=\"col\">signer</th><th scope=\"col\">time and what it rests on</th><th scope=\"col\">why</th></tr></thead>\n<tbody>"
    )?;
    for object in outcome.objects() {
        write_row(outcome, object, to)?;
    }
    writeln!(to, "</tbody>\n</table>\n</div>\n</section>")
}

fn write_row(outcome: &Outcome, object: &JudgedObject, to: &mut impl Write) -> io::Result<()> {
    let (id, judgement) = (object.id(), object.judgement());
    let word = judgement.verdict().word();
    write!(
        to,
        "<tr id=\"o-{id}\" class=\"{word}\"><td><span class=\"word\">{word}</span>"
    )?;
    if let Some(code) = judgement.verdict().code() {
        write!(to, "<br>{code}")?;
    }
    write!(
        to,
        "</td><th scope=\"row\">{} <a href=\"#o-{id}\"><code>{id}</code></a></th><td>",
        object.kind_word()
    )?;
    let name = signer_or_none(object);
    match judgement.kid() {
        // The key that the signature holds with is listed below, whoever's it is.
        Some(kid) => write!(to, "<a href=\"#k-{kid}\">{}</a>", Xml(&name))?,
        None => write!(to, "{}", Xml(&name))?,
    }
    write!(to, "</td><td>")?;
    match (judgement.judged_at(), judgement.time_basis(), object.dated) {
        (Some(at), Some(basis), _) => write!(to, "{at}<br>{basis}")?,
        (_, _, Some(dated)) => write!(to, "{dated}<br><span class=\"soft\">its own date</span>")?,
        (_, _, None) => {}
    }
    evidence::write_clocks_of(judgement, to)?;
    write!(to, "</td><td>")?;
    match judgement.rule() {
        Some(_) => {
            let policy = judgement.policy().unwrap_or(&outcome.policy);
            write!(to, "<a href=\"#p-{}\">", Xml(evidence::hex_in(policy)))?;
            write!(to, "{}</a>", Xml(&reason(object)))?;
        }
        None => write!(to, "{}", Xml(&reason(object)))?,
    }
    evidence::write_merge_tags(judgement, to)?;
    if let Some(attested) = outcome.portion.attested.get(&id) {
        evidence::write_links(id, attested, to)?;
    }
    writeln!(to, "</td></tr>")
}
