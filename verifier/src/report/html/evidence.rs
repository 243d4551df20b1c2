//! What the claims of the page rest on: keys and statements, by their digests.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::super::{clock::Clock, finding::signer_or_none, junit::Xml, signer::Signer};
use crate::{
    judge::Judgement,
    report::{AttestationReport, SHORT, level_of},
    repository::ObjectId,
    verify::{JudgedObject, ObjectAttestations, Outcome},
};

/// Writes a table each of keys, of those who say when, of policies and of statements.
pub(super) fn write(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    writeln!(
        to,
        "<section aria-labelledby=\"evidence\">\n<h2 id=\"evidence\">Evidence</h2>"
    )?;
    write_keys(outcome, to)?;
    write_clocks(outcome, to)?;
    write_policies(outcome, to)?;
    write_statements(outcome, to)?;
    writeln!(to, "</section>")
}

fn write_keys(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    // One key may be certified under several names, and by several authorities.
    let mut keys: BTreeMap<_, (&JudgedObject, usize)> = BTreeMap::new();
    for object in outcome.objects() {
        let judgement = object.judgement();
        if let Some(kid) = judgement.kid() {
            let by = (judgement.authority_kid(), signer_or_none(object));
            keys.entry((kid, by)).or_insert((object, 0)).1 += 1;
        }
    }
    writeln!(to, "<h3>Keys</h3>")?;
    if keys.is_empty() {
        return writeln!(to, "<p>No signature here holds.</p>");
    }
    writeln!(
        to,
        "<div class=\"scroll\" role=\"region\" aria-label=\"Keys\" tabindex=\"0\">\n<table>\n<caption>A key's name is derived from its bytes. The authority is the key that vouches for it.</caption>\n<thead><tr><th scope=\"col\">key</th><th scope=\"col\">of</th><th scope=\"col\">authority</th><th scope=\"col\">format</th><th scope=\"col\" class=\"n\">objects</th></tr></thead>\n<tbody>"
    )?;
    let mut linked = None;
    for ((kid, (_, name)), (object, count)) in keys {
        let judgement = object.judgement();
        let id = match linked.replace(kid) == Some(kid) {
            true => String::new(),
            false => format!(" id=\"k-{kid}\""),
        };
        let authority = match (judgement.authority_kid(), judgement.authority()) {
            (Some(authority), Some(name)) => {
                format!("<code>{authority}</code><br>{}", Xml(name))
            }
            (_, _) => "none that is trusted".to_owned(),
        };
        writeln!(
            to,
            "<tr{id}><th scope=\"row\"><code>{kid}</code></th><td>{}<br><span class=\"soft\">{}</span></td><td>{authority}</td><td>{}</td><td class=\"n\">{count}</td></tr>",
            Xml(&name),
            Signer::of(judgement).word(),
            judgement.format().map_or("", |format| format.as_str()),
        )?;
    }
    writeln!(to, "</tbody>\n</table>\n</div>")
}

fn write_clocks(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let mut clocks: BTreeMap<_, (&str, usize)> = BTreeMap::new();
    for clock in outcome
        .objects()
        .iter()
        .flat_map(|it| Clock::all(it.judgement()))
    {
        if let Some(kid) = clock.kid {
            clocks.entry(kid).or_insert((clock.what, 0)).1 += 1;
        }
    }
    if clocks.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "<h3>Logs and time stamps</h3>\n<div class=\"scroll\" role=\"region\" aria-label=\"Logs and time stamps\" tabindex=\"0\">\n<table>\n<caption>Who says when, by the key that says it.</caption>\n<thead><tr><th scope=\"col\">key</th><th scope=\"col\">says it as</th><th scope=\"col\" class=\"n\">objects</th></tr></thead>\n<tbody>"
    )?;
    for (kid, (what, count)) in clocks {
        writeln!(
            to,
            "<tr id=\"t-{kid}\"><th scope=\"row\"><code>{kid}</code></th><td>{what}</td><td class=\"n\">{count}</td></tr>"
        )?;
    }
    writeln!(to, "</tbody>\n</table>\n</div>")
}

fn write_policies(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    if outcome.policies.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "<h3>Policies</h3>\n<div class=\"scroll\" role=\"region\" aria-label=\"Policies\" tabindex=\"0\">\n<table>\n<caption>Those that judged, by the SHA-256 of the file.</caption>\n<thead><tr><th scope=\"col\">policy</th><th scope=\"col\" class=\"n\">objects</th></tr></thead>\n<tbody>"
    )?;
    for (digest, count) in &outcome.policies {
        writeln!(
            to,
            "<tr id=\"p-{}\"><th scope=\"row\"><code>{}</code></th><td class=\"n\">{count}</td></tr>",
            Xml(hex_in(digest)),
            Xml(digest)
        )?;
    }
    writeln!(to, "</tbody>\n</table>\n</div>")
}

/// Writes what others say of a signature's time.
pub(super) fn write_clocks_of(judgement: &Judgement, to: &mut impl Write) -> io::Result<()> {
    for Clock {
        what,
        result,
        at,
        kid,
    } in Clock::all(judgement)
    {
        write!(to, "<br><span class=\"soft\">{what}: {result}</span>")?;
        if let Some(at) = at {
            write!(to, " <span class=\"soft\">at {at}</span>")?;
        }
        if let Some(kid) = kid {
            write!(to, " <a href=\"#t-{kid}\">by its key</a>")?;
        }
    }
    Ok(())
}

/// Writes the tags that a merge carries.
pub(super) fn write_merge_tags(judgement: &Judgement, to: &mut impl Write) -> io::Result<()> {
    for tag in judgement.merge_tags() {
        let (of, name) = (tag.judgement(), tag.name().unwrap_or("unreadable"));
        let word = of.verdict().word();
        write!(
            to,
            "<br>carries the tag <code>{}</code>: <span class=\"{word}\"><span class=\"word\">{word}</span></span>",
            Xml(name)
        )?;
        if let Some(code) = of.verdict().code() {
            write!(to, " {code}")?;
        }
        if let Some(identity) = of.identity() {
            write!(to, ", {}", Xml(identity))?;
        }
        if let Some(kid) = of.kid() {
            write!(to, ", key <code>{kid}</code>")?;
        }
    }
    Ok(())
}

fn write_statements(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    if outcome.portion.attested.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "<h3>Statements</h3>\n<div class=\"scroll\" role=\"region\" aria-label=\"Statements\" tabindex=\"0\">\n<table>\n<caption>What is attested of each object, by the SHA-256 of what was signed. It changes a verdict on a commit only where the policy asks for it.</caption>\n<thead><tr><th scope=\"col\">digest</th><th scope=\"col\">object</th><th scope=\"col\">says</th><th scope=\"col\">verdict</th><th scope=\"col\">signer</th><th scope=\"col\">level</th></tr></thead>\n<tbody>"
    )?;
    for object in outcome.objects() {
        let id = object.id();
        let attested = outcome.portion.attested.get(&id);
        let statements = attested.into_iter().flat_map(|it| &it.attestations);
        // The same words may be beside several objects, and signed by several people.
        for (number, statement) in (1..).zip(statements) {
            write_statement(id, number, statement, to)?;
        }
    }
    writeln!(to, "</tbody>\n</table>\n</div>")
}

fn write_statement(
    id: ObjectId,
    number: usize,
    statement: &AttestationReport,
    to: &mut impl Write,
) -> io::Result<()> {
    let digest = statement.digest.as_deref().map_or("unreadable", hex_in);
    write!(
        to,
        "<tr id=\"s-{id}-{number}\" class=\"{verdict}\"><th scope=\"row\"><code>{digest}</code></th><td><a href=\"#o-{id}\"><code>{}</code></a></td><td>{}</td><td><span class=\"word\">{verdict}</span>",
        id.to_hex_with_len(SHORT),
        Xml(statement.predicate_type.as_deref().unwrap_or("unreadable")),
        verdict = statement.verdict,
    )?;
    if let Some(code) = statement.code {
        write!(to, "<br>{code}")?;
    }
    writeln!(
        to,
        "</td><td>{}</td><td>{}</td></tr>",
        Xml(statement.identity.as_deref().unwrap_or("nobody trusted")),
        statement.level.unwrap_or("none")
    )
}

/// Writes the level of an object, with a link to each statement that it could rest on.
pub(super) fn write_links(
    id: ObjectId,
    attested: &ObjectAttestations,
    to: &mut impl Write,
) -> io::Result<()> {
    let level = attested.level.map(|level| level_of(attested, level));
    write!(to, "<br>{}", Xml(level.as_deref().unwrap_or("no level")))?;
    for number in 1..=attested.attestations.len() {
        write!(to, " <a href=\"#s-{id}-{number}\">statement {number}</a>")?;
    }
    Ok(())
}

/// Returns the digest without the name of its algorithm.
pub(super) fn hex_in(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}
