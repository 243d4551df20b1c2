//! Annotations beside the code, as GitHub and GitLab show them.

use std::io::{self, Write};

use notme_core::{hex, key::sha256};
use serde_json::{Value, json};

use super::{
    counts,
    finding::{Caveat, Finding, NOTHING, Weight},
    write_items,
};
use crate::verify::Outcome;

/// Writes workflow commands of GitHub Actions: an error for each object that is rejected, a
/// warning for each undecided one, a notice for each that an exception accepts, at the file that the
/// outcome has for it; and one for the whole.
///
/// # Errors
/// What writing gives.
pub fn write_github(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    for finding in Finding::told(outcome) {
        let command = match finding.weight() {
            Weight::Rejected => "error",
            Weight::Undecided => "warning",
            Weight::Excepted => "notice",
        };
        let file = match finding.place_text() {
            Some(path) => format!("file={},line=1,", property(&path)),
            None => String::new(),
        };
        writeln!(
            to,
            "::{command} {file}title={}::{}",
            property(&format!("notme: {}", finding.code)),
            data(&format!("{}. {}", finding.message(), finding.code.fix()))
        )?;
    }
    let mut summary = counts(outcome.summary());
    let caveats = Caveat::all(outcome);
    for caveat in caveats.iter().filter(|it| it.name != NOTHING) {
        summary = format!("{summary}; {}", caveat.text);
    }
    let command = match caveats.iter().any(|it| it.decides) {
        true => "warning",
        false => "notice",
    };
    writeln!(to, "::{command} title=notme verify::{}", data(&summary))
}

/// Escapes the value of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Writes a code quality report of GitLab: one issue for each object that was not accepted, or only by
/// exception, and one for each thing that was not looked at.
///
/// # Errors
/// What writing gives.
pub fn write_gitlab(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"[")?;
    let findings = Finding::told(outcome).map(|it| issue(&it));
    let caveats = Caveat::all(outcome);
    write_items(findings.chain(caveats.iter().map(caution)), to)?;
    to.write_all(b"]\n")
}

fn issue(finding: &Finding<'_>) -> Value {
    let severity = match finding.weight() {
        Weight::Rejected => "critical",
        Weight::Undecided => "major",
        Weight::Excepted => "info",
    };
    let named = format!("{} {}", finding.object.id(), finding.code);
    // A commit that changed nothing is shown with the whole.
    let path = finding.place_text().unwrap_or_else(|| WHOLE.to_owned());
    let mut issue = entry(
        finding.code.as_str(),
        &finding.message(),
        severity,
        &named,
        &path,
    );
    if let Value::Object(members) = &mut issue {
        members.insert("content".to_owned(), json!({"body": finding.code.fix()}));
    }
    issue
}

fn caution(caveat: &Caveat) -> Value {
    let named = match &caveat.about {
        Some(about) => format!("{} {about}", caveat.name),
        None => caveat.name.to_owned(),
    };
    let severity = if caveat.decides { "major" } else { "info" };
    entry(caveat.name, &caveat.text, severity, &named, WHOLE)
}

/// What has no file of its own.
const WHOLE: &str = ".";

fn entry(check: &str, description: &str, severity: &str, named: &str, path: &str) -> Value {
    json!({
        "type": "issue",
        "check_name": format!("notme/{check}"),
        "description": description,
        "categories": ["Security"],
        "severity": severity,
        "fingerprint": hex::encode(&sha256(named.as_bytes())),
        "location": {"path": path, "lines": {"begin": 1}},
    })
}
