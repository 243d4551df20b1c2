//! Annotations beside the code, as GitHub and GitLab show them.

use std::io::{self, Write};

use notme_core::{hex, key::sha256};
use serde_json::{Value, json};

use super::{counts, escape, finding::Finding, write_items};
use crate::verify::Outcome;

/// Writes workflow commands of GitHub Actions: an error for each object that is rejected, a
/// warning for each undecided one, at the file that the outcome has for it.
///
/// # Errors
/// What writing gives.
pub fn write_github(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    for finding in Finding::all(outcome) {
        let command = if finding.is_rejected() {
            "error"
        } else {
            "warning"
        };
        let file = match finding.place {
            Some(path) => format!("file={},line=1,", property(&escape(path))),
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
    if outcome.interrupted {
        summary = format!("{summary}; {}", super::INTERRUPTED);
    }
    for it in outcome.ignored() {
        summary = format!("{summary}; {}", it.as_str());
    }
    writeln!(to, "::notice title=notme verify::{}", data(&summary))
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

/// Writes a code quality report of GitLab: one issue for each object that was not accepted.
///
/// # Errors
/// What writing gives.
pub fn write_gitlab(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"[")?;
    write_items(Finding::all(outcome).map(|it| issue(&it)), to)?;
    to.write_all(b"]\n")
}

fn issue(finding: &Finding<'_>) -> Value {
    let named = format!("{} {}", finding.object.id(), finding.code);
    json!({
        "type": "issue",
        "check_name": format!("notme/{}", finding.code),
        "description": finding.message(),
        "content": {"body": finding.code.fix()},
        "categories": ["Security"],
        "severity": if finding.is_rejected() { "critical" } else { "major" },
        "fingerprint": hex::encode(&sha256(named.as_bytes())),
        "location": {
            // A commit that changed nothing is shown with the whole.
            "path": finding.place.map_or_else(|| ".".to_owned(), escape),
            "lines": {"begin": 1},
        },
    })
}
