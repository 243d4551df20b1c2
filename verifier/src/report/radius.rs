//! What rests on something that is compromised, for people and machines.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use serde::Serialize;
use serde_json::{Value, json};

use super::{INTERRUPTED, ObjectReport, SHORT, escape, head, laid_out, short, write_with_list};
use crate::{
    radius::{ExposedFile, Radius, Unreadable},
    suspicion::Exposure,
    verify::JudgedObject,
    wrap::wrap,
};

/// The code of what nobody names.
const UNKNOWN: &str = "compromised-unknown";

/// An object, and how it rests on it.
#[derive(Serialize)]
struct Exposed<'a> {
    exposure: Exposure,
    #[serde(flatten)]
    object: ObjectReport<'a>,
}

/// Writes one JSON document.
///
/// # Errors
/// What writing gives.
pub fn write_radius_json(radius: &Radius, to: &mut impl Write) -> io::Result<()> {
    let mut document = serde_json::to_value(head(&radius.outcome))?;
    if let Value::Object(members) = &mut document {
        let compromised = radius.suspicions.iter().zip(&radius.named);
        let compromised = compromised.map(|(it, is_named)| {
            json!({
                "kind": it.kind(),
                "value": it.value(),
                "since": it.since().to_string(),
                "code": (!is_named).then_some(UNKNOWN),
            })
        });
        members.insert("compromised".to_owned(), compromised.collect());
        members.insert("complete".to_owned(), radius.is_complete().into());
        members.insert("lines".to_owned(), radius.lines().into());
        members.insert("lines_at".to_owned(), radius.tip.to_string().into());
        let references = serde_json::to_value(&radius.references)?;
        members.insert("references".to_owned(), references);
        let merge_tags = serde_json::to_value(&radius.merge_tags)?;
        members.insert("merge_tags".to_owned(), merge_tags);
        let statements = serde_json::to_value(&radius.statements)?;
        members.insert("attestations".to_owned(), statements);
        let unread = radius.unread.iter().map(|id| Value::from(id.to_string()));
        members.insert("unread".to_owned(), unread.collect());
        let unreadable = serde_json::to_value(&radius.unreadable)?;
        members.insert("unreadable".to_owned(), unreadable);
        let files = radius.files.iter().map(file);
        members.insert("files".to_owned(), files.collect());
    }
    let exposed = radius.exposed().map(|(object, exposure)| Exposed {
        exposure,
        object: ObjectReport::of(&radius.outcome.portion, object),
    });
    write_with_list(&document, "objects", exposed, to)?;
    to.write_all(b"\n")
}

fn file(file: &ExposedFile) -> Value {
    let lines = file.lines.iter().map(
        |(first, last, commit)| json!({"first": first, "last": last, "commit": commit.to_string()}),
    );
    json!({
        "path": file.path,
        "commits": file.commits,
        "lines": lines.collect::<Vec<_>>(),
        "complete": file.is_complete,
    })
}

/// Writes a line for each object, tag in a merge, branch or tag, file and statement, and a last one that counts.
///
/// # Errors
/// What writing gives.
pub fn write_radius_text(radius: &Radius, to: &mut impl Write) -> io::Result<()> {
    for (object, exposure) in radius.exposed() {
        writeln!(to, "{}", object_line(object, exposure))?;
    }
    for tag in &radius.merge_tags {
        let short: String = tag.commit.chars().take(SHORT).collect();
        let name = escape(tag.name.as_deref().unwrap_or("unreadable"));
        let facts = ["tag in the merge", &*name];
        let head = format!("{:<10} {short}", tag.exposure.as_str());
        writeln!(to, "{}", laid_out(head, &facts))?;
    }
    for reference in &radius.references {
        let word = if reference.signed {
            "signed"
        } else {
            "reaches"
        };
        writeln!(to, "{word:<10} {}", escape(&reference.name))?;
    }
    for file in &radius.files {
        writeln!(to, "{}", file_line(file))?;
    }
    for statement in &radius.statements {
        let facts = [
            statement.exposure.as_str().into(),
            escape(statement.predicate_type.as_deref().unwrap_or_default()),
            format!("about {}", escape(&statement.commit)).into(),
        ];
        let head = format!("{:<10} {}", "statement", escape(&statement.digest));
        writeln!(to, "{}", laid_out(head, &facts))?;
    }
    for id in &radius.unread {
        writeln!(to, "{:<10} {id}: its files could not be read", "undecided")?;
    }
    for it in &radius.unreadable {
        let Unreadable { oid, kind, code } = it;
        let problem = format!("{:<10} {oid}  {kind}  {code}", "undecided");
        writeln!(to, "{problem}: who signed it could not be read")?;
    }
    match (radius.suspicions.is_empty(), radius.is_told) {
        (false, _) => write_counts(radius, to)?,
        (true, true) => writeln!(to, "nothing is revoked")?,
        (true, false) => {}
    }
    if !radius.is_told {
        let note = "what is revoked is not all known: the trust store has no trust document, or not everything in it can be read";
        writeln!(to, "{}", wrap(note, 0, 0))?;
    }
    for (it, _) in radius
        .suspicions
        .iter()
        .zip(&radius.named)
        .filter(|it| !it.1)
    {
        let note = format!(
            "{UNKNOWN}: nothing in the trust store, and no signature on what was looked at, names {it}: is it mistyped?"
        );
        writeln!(to, "{}", wrap(&note, 0, 0))?;
    }
    if radius.outcome.interrupted {
        writeln!(to, "{INTERRUPTED}")?;
    }
    if !radius.is_complete() {
        writeln!(to, "not everything could be looked at: there may be more")?;
    }
    Ok(())
}

/// Writes how much rests on it.
fn write_counts(radius: &Radius, to: &mut impl Write) -> io::Result<()> {
    let compromised = radius.suspicions.iter().map(ToString::to_string);
    let (references, files) = (radius.references.len(), radius.files.len());
    let (tags, statements) = (radius.merge_tags.len(), radius.statements.len());
    let lines = counted(radius.lines(), "line", "lines");
    let parts = [
        (references, "branch or tag", "branches and tags", ""),
        (files, "file", "files", &format!(" with {lines} left")),
        (tags, "tag in a merge", "tags in merges", ""),
        (statements, "statement", "statements", ""),
    ];
    let objects = counted(radius.outcome.summary().objects, "object", "objects");
    let mut counts = format!("{} of {objects}", radius.exposed().count());
    for (count, one, many, more) in parts {
        if count > 0 {
            counts += &format!(", {}{more}", counted(count, one, many));
        }
    }
    let compromised: Vec<_> = compromised.collect();
    counts += &format!(" rest on {}", compromised.join(", "));
    writeln!(to, "{}", wrap(&counts, 0, 0))?;
    let objects = radius.exposed().map(|(_, exposure)| exposure);
    let tags = radius.merge_tags.iter().map(|it| it.exposure);
    let statements = radius.statements.iter().map(|it| it.exposure);
    let claimed = objects.chain(tags).chain(statements);
    let claimed = claimed.filter(|it| *it == Exposure::Claimed).count();
    if claimed > 0 {
        let note = format!(
            "{claimed} of these only claim it: their signatures name it, and could not be checked"
        );
        writeln!(to, "{}", wrap(&note, 0, 0))?;
    }
    Ok(())
}

fn counted(count: impl ToString, one: &str, many: &str) -> String {
    let count = count.to_string();
    let noun = if count == "1" { one } else { many };
    format!("{count} {noun}")
}

fn object_line(object: &JudgedObject, exposure: Exposure) -> String {
    let judgement = object.judgement();
    let mut facts = vec![
        Cow::from(object.kind_word()),
        judgement.verdict().word().into(),
    ];
    facts.extend(judgement.identity().map(escape));
    facts.extend(judgement.time_basis().map(|basis| basis.as_str().into()));
    facts.extend(judgement.judged_at().map(|at| at.to_string().into()));
    laid_out(
        format!("{:<10} {}", exposure.as_str(), short(object)),
        &facts,
    )
}

fn file_line(file: &ExposedFile) -> String {
    let commits = counted(file.commits, "commit", "commits");
    let mut facts = vec![format!("changed by {commits}")];
    let lines = file
        .lines
        .iter()
        .map(|(first, last, _)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        facts.push(format!("lines left: {}", lines.join(", ")));
    }
    if !file.is_complete {
        facts.push("not all lines looked at".to_owned());
    }
    laid_out(format!("{:<10} {}", "file", escape(&file.path)), &facts)
}
