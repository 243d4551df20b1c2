//! SARIF 2.1.0 (OASIS), for code scanning: one result for each object that was not accepted, or only by
//! exception.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{
    finding::{Caveat, Finding, Weight, accepted_by},
    head, write_with_list,
};
use crate::{
    verdict::{Class, Code},
    verify::Outcome,
};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// GitHub refuses a file with more results in a run.
const RESULTS_MAX: usize = 25_000;
/// What says who may sign, where an object has no file of its own: GitHub refuses a file with a result that
/// names none.
const WHOLE: &[u8] = b".notme/policy.toml";

/// Writes a SARIF log of one run. Each result names its object as a logical location, and the file
/// that the outcome has for it as the physical one. Those that weigh most come first, and those beyond
/// [`RESULTS_MAX`] are counted.
///
/// # Errors
/// What writing gives.
pub fn write_sarif(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let codes: Vec<Code> = {
        let occur = |code: &Code| Finding::told(outcome).any(|it| it.code == *code);
        Code::ALL.iter().copied().filter(occur).collect()
    };
    let mut notifications: Vec<_> = Caveat::all(outcome)
        .iter()
        .map(|caveat| {
            let level = if caveat.decides { "warning" } else { "note" };
            notification(caveat.name, level, &caveat.text)
        })
        .collect();
    let mut findings: Vec<_> = Finding::told(outcome).collect();
    findings.sort_by_key(Finding::weight);
    let cut = findings.len().saturating_sub(RESULTS_MAX);
    if cut > 0 {
        let text = format!("{cut} more findings are left out: code scanning takes {RESULTS_MAX}");
        notifications.push(notification("findings-cut", "warning", &text));
    }
    let run = json!({
        "tool": {"driver": {
            "name": "notme",
            "version": env!("CARGO_PKG_VERSION"),
            "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
        }},
        "invocations": [{
            "executionSuccessful": !outcome.interrupted,
            "endTimeUtc": outcome.asked_at.to_string(),
            "exitCode": outcome.exit_code(),
            "toolExecutionNotifications": notifications,
        }],
        "columnKind": "unicodeCodePoints",
        "properties": head(outcome),
    });
    write!(
        to,
        "{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":["
    )?;
    let results = findings.iter().take(RESULTS_MAX);
    let results = results.map(|finding| result(finding, &codes));
    write_with_list(&run, "results", results, to)?;
    to.write_all(b"]}\n")
}

fn notification(name: &str, level: &str, text: &str) -> Value {
    json!({
        "descriptor": {"id": name},
        "level": level,
        "message": {"text": plain(text)},
    })
}

fn level(class: Class) -> &'static str {
    match class {
        Class::Rejected => "error",
        Class::Undecided => "warning",
    }
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "shortDescription": {"text": plain(code.cause())},
        "help": {"text": plain(code.fix())},
        "defaultConfiguration": {"level": level(code.class())},
    })
}

fn result(finding: &Finding<'_>, codes: &[Code]) -> Value {
    let id = finding.object.id().to_string();
    let location = json!({
        "logicalLocations": [{
            "fullyQualifiedName": id,
            "kind": finding.object.kind_word(),
        }],
        "physicalLocation": {
            "artifactLocation": {"uri": uri_path(finding.place.unwrap_or(WHOLE))},
            "region": {"startLine": 1},
        },
    });
    let mut result = json!({
        "ruleId": finding.code,
        "ruleIndex": codes.iter().position(|code| *code == finding.code),
        "level": match finding.weight() {
            Weight::Excepted => "note",
            Weight::Rejected | Weight::Undecided => level(finding.code.class()),
        },
        "message": {"text": plain(&finding.message())},
        "locations": [location],
        "partialFingerprints": {"notmeObject/v1": id},
    });
    if let (Value::Object(result), Weight::Excepted) = (&mut result, finding.weight()) {
        let by = accepted_by(finding.object.judgement());
        let suppression = json!({"kind": "external", "status": "accepted", "justification": by});
        result.insert("suppressions".to_owned(), json!([suppression]));
    }
    result
}

/// Writes a text as a message that has neither placeholders nor links (sections 3.11.5, 3.11.6).
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '{' | '}' => plain.extend([c, c]),
            '[' | ']' | '\\' => plain.extend(['\\', c]),
            c => plain.push(c),
        }
    }
    plain
}

/// Writes a path as a relative reference (RFC 3986).
fn uri_path(path: &[u8]) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.iter().copied() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
