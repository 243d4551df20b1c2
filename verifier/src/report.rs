//! Judgements for people and machines.
//!
//! The JSON is a contract (`version` 1), the text is not. Absent facts are `null`, never guessed.
//! Everything is written object by object, so that a report of a hundred thousand takes no more
//! memory than one of ten.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    judge::Judgement,
    time_stamp::TimeStamp,
    verdict::{Code, TimeBasis},
    verify::{Attested, JudgedObject, Outcome, Summary},
    wrap::{WIDTH, wrap},
};

const VERSION: u8 = 1;
/// How much of an object's name the text shows.
const SHORT: usize = 10;
/// Where the second column begins.
const INDENT: usize = 11;

/// What a report says before its objects.
#[derive(Serialize)]
struct Head<'a> {
    version: u8,
    repository: &'a str,
    range: &'a str,
    policy: &'a str,
    trust: &'a str,
    asked_at: String,
    /// Where a shallow clone ended the walk.
    shallow: Vec<String>,
    summary: Summary,
}

/// One object of a report.
#[derive(Debug, Serialize)]
pub struct ObjectReport<'a> {
    oid: Option<String>,
    kind: Option<&'a str>,
    verdict: &'static str,
    code: Option<Code>,
    rule: Option<&'a str>,
    policy: Option<&'a str>,
    format: Option<&'static str>,
    identity: Option<&'a str>,
    kid: Option<String>,
    authority: Option<String>,
    time_basis: Option<TimeBasis>,
    judged_at: Option<String>,
    certificate: Option<CertificateReport>,
    attestations: &'a [AttestationReport],
    timestamp: Option<TimeStampReport>,
    level: Option<&'static str>,
}

/// One statement about an object.
#[derive(Clone, Debug, Serialize)]
pub struct AttestationReport {
    /// The type of what is said, when it could be read.
    pub predicate_type: Option<String>,
    /// The verdict's word.
    pub verdict: &'static str,
    /// Its code.
    pub code: Option<Code>,
    /// The level that the evidence carries.
    pub level: Option<&'static str>,
    /// The level that is claimed.
    pub claimed_level: Option<&'static str>,
    /// `sha256:<hex>` of the payload.
    pub digest: Option<String>,
    /// Who signed it, when a trusted authority vouches for that.
    pub identity: Option<String>,
    /// What stands behind the time.
    pub time_basis: Option<TimeBasis>,
    /// The commit it speaks of, when that is another.
    pub attested_as: Option<String>,
}

#[derive(Debug, Serialize)]
struct CertificateReport {
    not_before: String,
    not_after: String,
    serial: String,
}

#[derive(Debug, Serialize)]
struct TimeStampReport {
    result: &'static str,
    at: Option<String>,
    kid: Option<String>,
}

impl TimeStampReport {
    fn of(time_stamp: &TimeStamp) -> Self {
        let (at, kid) = match time_stamp {
            TimeStamp::Trusted { at, kid, .. } => (Some(at.to_string()), Some(kid.to_string())),
            TimeStamp::Untrusted | TimeStamp::Invalid(_) => (None, None),
        };
        Self {
            result: time_stamp.as_str(),
            at,
            kid,
        }
    }
}

impl<'a> ObjectReport<'a> {
    /// Reports on an object of a repository.
    fn of(outcome: &'a Outcome, object: &'a JudgedObject) -> Self {
        let attested = outcome.attested.get(&object.id());
        Self {
            attestations: attested.map_or(&[], |it| &it.attestations),
            level: attested.and_then(|it| it.level),
            oid: Some(object.id().to_string()),
            kind: object.kind(),
            ..Self::of_judgement(object.judgement())
        }
    }

    /// Reports on a judgement without an object's name.
    pub fn of_judgement(judgement: &'a Judgement) -> Self {
        // A certificate's own words count once somebody trusted vouches for it.
        let vouched = judgement
            .standing()
            .filter(|standing| standing.authority_kid().is_some() && standing.is_certified());
        Self {
            oid: None,
            kind: None,
            verdict: judgement.verdict().word(),
            code: judgement.verdict().code(),
            rule: judgement.rule(),
            policy: judgement.policy(),
            format: judgement.format().map(|format| format.as_str()),
            identity: judgement.identity(),
            kid: judgement.kid().map(|kid| kid.to_string()),
            authority: judgement.authority_kid().map(|kid| kid.to_string()),
            time_basis: judgement.time_basis(),
            judged_at: judgement.judged_at().map(|at| at.to_string()),
            certificate: vouched.map(|standing| CertificateReport {
                not_before: standing.not_before().to_string(),
                not_after: standing.not_after().to_string(),
                serial: standing.serial_hex(),
            }),
            attestations: &[],
            timestamp: judgement.time_stamp().map(TimeStampReport::of),
            level: None,
        }
    }
}

/// Writes one JSON document.
///
/// # Errors
/// What writing gives.
pub fn write_json(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let head = serde_json::to_string(&head(outcome))?;
    // The head is a JSON object; what it is about goes in before its end.
    to.write_all(head.strip_suffix('}').unwrap_or(&head).as_bytes())?;
    to.write_all(b",\n \"objects\":[")?;
    for (separator, object) in separators().zip(outcome.objects()) {
        to.write_all(separator)?;
        serde_json::to_writer(&mut *to, &ObjectReport::of(outcome, object))?;
    }
    to.write_all(b"]}\n")
}

/// Writes one JSON object a line; the last is the report's head with its summary.
///
/// # Errors
/// What writing gives.
pub fn write_jsonl(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    for object in outcome.objects() {
        serde_json::to_writer(&mut *to, &ObjectReport::of(outcome, object))?;
        to.write_all(b"\n")?;
    }
    serde_json::to_writer(&mut *to, &head(outcome))?;
    to.write_all(b"\n")
}

/// Writes one line an object, and a last one with the counts. What does not fit a terminal's width
/// follows on lines that are indented. Where there are several authorities, each line says which
/// of them vouches: two could name the same signer.
///
/// # Errors
/// What writing gives.
pub fn write_text(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    for object in outcome.objects() {
        let oid = object.id().to_hex_with_len(SHORT).to_string();
        let judgement = object.judgement();
        let authority = judgement.authority().filter(|_| outcome.authorities > 1);
        let attested = outcome.attested.get(&object.id());
        writeln!(to, "{}", line(&oid, judgement, authority, attested))?;
    }
    let Summary {
        objects,
        accepted,
        rejected,
        undecided,
    } = outcome.summary();
    match objects {
        0 => writeln!(to, "nothing was selected, so nothing was judged")?,
        objects => writeln!(
            to,
            "{objects} object{}: {accepted} accepted, {rejected} rejected, {undecided} undecided",
            if objects == 1 { "" } else { "s" }
        )?,
    }
    for id in outcome.shallow() {
        let id = id.to_hex_with_len(SHORT);
        writeln!(
            to,
            "history before {id} is not in this shallow clone and was not judged"
        )?;
    }
    Ok(())
}

/// Returns one line: verdict, name, and what led to it. Bytes that somebody else chose are
/// escaped where they could move a cursor.
pub fn text_line(name: &str, judgement: &Judgement) -> String {
    line(name, judgement, None, None)
}

fn line(
    name: &str,
    judgement: &Judgement,
    authority: Option<&str>,
    attested: Option<&Attested>,
) -> String {
    let verdict = judgement.verdict();
    let mut fields = Vec::new();
    if let Some(code) = verdict.code() {
        fields.push(code.as_str().to_owned());
    }
    if let Some(identity) = judgement.identity() {
        fields.push(escape(identity));
    } else if let Some(claimed) = judgement.claimed() {
        fields.push(format!("claims to be {}", escape(&claimed.name)));
    }
    if let Some(authority) = authority {
        fields.push(format!("by {authority}"));
    }
    if let (Some(code), Some(by)) = (judgement.excused_from(), judgement.rule()) {
        fields.push(format!("{}, though {code}", escape(by)));
    }
    if let Some(basis) = judgement.time_basis() {
        fields.push(basis.to_string());
    }
    if let (Some(_), Some(detail)) = (verdict.code(), judgement.detail()) {
        fields.push(format!("({})", escape(detail)));
    }
    if let Some(attested) = attested {
        fields.extend(attested.level.map(str::to_owned));
        let refused = attested.attestations.iter().filter(|it| it.code.is_some());
        fields.extend(refused.filter_map(|it| Some(format!("attestation {}", it.code?))));
    }
    let mut line = format!("{:<10} {name}", verdict.word());
    let mut column = line.chars().count();
    for field in fields {
        let width = field.chars().count();
        if column + 2 + width > WIDTH && column > INDENT {
            line.push('\n');
            line.extend(std::iter::repeat_n(' ', INDENT));
            column = INDENT;
        } else {
            line.push_str("  ");
            column += 2;
        }
        let field = wrap(&field, column, INDENT);
        column = match field.rsplit_once('\n') {
            Some((_, last)) => last.chars().count(),
            None => column + width,
        };
        line.push_str(&field);
    }
    line
}

/// Escapes control characters, and those that reorder or hide text.
pub fn escape(text: &str) -> String {
    let is_deceptive = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn head(outcome: &Outcome) -> Head<'_> {
    Head {
        version: VERSION,
        repository: &outcome.repository,
        range: &outcome.range,
        policy: &outcome.policy,
        trust: &outcome.trust,
        asked_at: outcome.asked_at.to_string(),
        shallow: outcome.shallow.iter().map(ToString::to_string).collect(),
        summary: outcome.summary(),
    }
}

fn separators() -> impl Iterator<Item = &'static [u8]> {
    std::iter::once(&b"\n  "[..]).chain(std::iter::repeat(&b",\n  "[..]))
}
