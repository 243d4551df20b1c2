//! Judgements for people and machines.
//!
//! The JSON is a contract (`version` 1), the text is not. Absent facts are `null`, never guessed.
//! Everything is written object by object, so that a report of a hundred thousand takes no more
//! memory than one of ten.

mod annotations;
mod clock;
mod finding;
mod folded;
mod html;
mod json;
mod junit;
mod markdown;
mod radius;
mod sarif;
mod signer;

use std::{
    borrow::Cow,
    io::{self, Write},
};

use notme_core::terms::Terms;
use serde::Serialize;

use crate::{
    judge::{Judgement, KNOWN_GOOD},
    log_entry::LogEntry,
    merge_tag::MergeTag,
    time_stamp::TimeStamp,
    trust::Fault,
    verdict::{Code, TimeBasis},
    verify::{Ignored, JudgedObject, ObjectAttestations, Outcome, Portion, Summary},
    wrap::{WIDTH, wrap},
};

use self::finding::Caveat;
pub use self::{
    annotations::{write_github, write_gitlab},
    folded::Folding,
    html::write_html,
    json::{to_json, to_json_pretty},
    junit::write_junit,
    markdown::write_markdown,
    radius::{write_radius_json, write_radius_text},
    sarif::write_sarif,
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
    /// The ref that the commits were judged for.
    #[serde(rename = "ref")]
    reference: Option<&'a str>,
    trust_root: Option<String>,
    policy: &'a str,
    /// Those that judged.
    policies: Vec<&'a str>,
    trust: &'a str,
    /// What of it cannot be used.
    trust_faults: &'a [Fault],
    /// Whether an older document in it would have been noticed.
    trust_recorded: bool,
    asked_at: String,
    /// What was typed.
    command: Option<&'a str>,
    /// Where a shallow clone ended the walk.
    shallow: Vec<String>,
    /// What git follows, and we do not.
    ignored: &'a [Ignored],
    /// How many were accepted without descending from the trust root.
    beside_root: usize,
    /// How many merges were accepted with a side that was not judged.
    half_judged: usize,
    /// Whether the repository's own policy judged nothing, since nobody named a policy or a trust root.
    policy_unasked: bool,
    /// Whether a policy that judged asks for what others state, and the repository keeps nothing of it.
    attestations_absent: bool,
    /// Whether somebody stopped it, so that objects are left out.
    interrupted: bool,
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
    /// Why it would not be accepted, where something above the rules accepts it.
    excused_from: Option<Code>,
    policy: Option<&'a str>,
    format: Option<&'static str>,
    identity: Option<&'a str>,
    /// Who the signature claims to be by, where nobody trusted says who it is.
    claimed: Option<&'a str>,
    kid: Option<String>,
    authority: Option<String>,
    time_basis: Option<TimeBasis>,
    judged_at: Option<String>,
    signing_time: Option<String>,
    certificate: Option<CertificateReport>,
    terms: Option<TermsReport<'a>>,
    attestations: &'a [AttestationReport],
    timestamp: Option<TimeStampReport>,
    log_entry: Option<LogEntryReport>,
    oidc_issuer: Option<&'a str>,
    merge_tags: Vec<MergeTagReport<'a>>,
    unauthenticated_headers: Option<&'a [Box<str>]>,
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
    /// What an acceptance decides.
    pub decision: Option<&'static str>,
    /// Whether an activity goes on.
    pub lifecycle: Option<&'static str>,
    /// Why it ended.
    pub termination: Option<&'static str>,
    /// How its work, or a dispatch, came out.
    pub outcome: Option<&'static str>,
    /// What came of a verification.
    pub result: Option<&'static str>,
    /// Whether it tells of a failure, or what it is part of or rests on does.
    pub fails: bool,
}

#[derive(Debug, Serialize)]
struct CertificateReport {
    not_before: String,
    not_after: String,
    serial: String,
}

#[derive(Debug, Serialize)]
struct TermsReport<'a> {
    repository: Option<&'a str>,
    refs: Option<&'a [String]>,
    paths: Option<&'a [String]>,
    signatures: u32,
    until: String,
    not_checked: &'a [&'static str],
}

impl<'a> TermsReport<'a> {
    fn of(terms: &'a Terms, not_checked: &'a [&'static str]) -> Self {
        Self {
            repository: terms.repository.as_deref(),
            refs: terms.refs.as_deref(),
            paths: terms.paths.as_deref(),
            signatures: terms.signatures,
            until: terms.until.to_string(),
            not_checked,
        }
    }
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
            TimeStamp::Revoked { kid } => (None, Some(kid.to_string())),
            TimeStamp::Untrusted | TimeStamp::Invalid(_) => (None, None),
        };
        Self {
            result: time_stamp.as_str(),
            at,
            kid,
        }
    }
}

#[derive(Debug, Serialize)]
struct MergeTagReport<'a> {
    name: Option<&'a str>,
    target: Option<&'a str>,
    parent: Option<usize>,
    verdict: &'static str,
    code: Option<Code>,
    identity: Option<&'a str>,
    kid: Option<String>,
    time_basis: Option<TimeBasis>,
}

impl<'a> MergeTagReport<'a> {
    fn of(tag: &'a MergeTag) -> Self {
        let judgement = tag.judgement();
        Self {
            name: tag.name(),
            target: tag.target(),
            parent: tag.parent(),
            verdict: judgement.verdict().word(),
            code: judgement.verdict().code(),
            identity: judgement.identity(),
            kid: judgement.kid().map(|kid| kid.to_string()),
            time_basis: judgement.time_basis(),
        }
    }
}

#[derive(Debug, Serialize)]
struct LogEntryReport {
    result: &'static str,
    at: Option<String>,
    kid: Option<String>,
}

impl LogEntryReport {
    fn of(log_entry: &LogEntry) -> Self {
        let (at, kid) = match log_entry {
            LogEntry::Logged { at, kid } => (Some(at), Some(kid)),
            LogEntry::Undated { kid } => (None, Some(kid)),
            LogEntry::Untrusted | LogEntry::Invalid(_) => (None, None),
        };
        Self {
            result: log_entry.as_str(),
            at: at.map(ToString::to_string),
            kid: kid.map(ToString::to_string),
        }
    }
}

impl<'a> ObjectReport<'a> {
    /// Reports on an object of a repository.
    fn of(portion: &'a Portion, object: &'a JudgedObject) -> Self {
        let attested = portion.attested.get(&object.id());
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
            excused_from: judgement.excused_from(),
            policy: judgement.policy(),
            format: judgement.format().map(|format| format.as_str()),
            identity: judgement.identity(),
            claimed: match judgement.identity() {
                Some(_) => None,
                None => judgement.claimed().map(|it| &*it.name),
            },
            kid: judgement.kid().map(|kid| kid.to_string()),
            authority: judgement.authority_kid().map(|kid| kid.to_string()),
            time_basis: judgement.time_basis(),
            judged_at: judgement.judged_at().map(|at| at.to_string()),
            signing_time: judgement.signing_time().map(|at| at.to_string()),
            certificate: vouched.map(|standing| CertificateReport {
                not_before: standing.not_before().to_string(),
                not_after: standing.not_after().to_string(),
                serial: standing.serial_hex(),
            }),
            terms: (judgement.terms()).map(|terms| TermsReport::of(terms, judgement.unchecked())),
            attestations: &[],
            timestamp: judgement.time_stamp().map(TimeStampReport::of),
            log_entry: judgement.log_entry().map(LogEntryReport::of),
            merge_tags: (judgement.merge_tags().iter())
                .map(MergeTagReport::of)
                .collect(),
            unauthenticated_headers: (judgement.standing())
                .map(|_| judgement.unauthenticated_headers()),
            oidc_issuer: judgement.standing().and_then(|it| it.oidc_issuer()),
            level: None,
        }
    }
}

/// Writes one JSON document.
///
/// # Errors
/// What writing gives.
pub fn write_json(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let objects = outcome.objects().iter();
    let objects = objects.map(|object| ObjectReport::of(&outcome.portion, object));
    write_with_list(&head(outcome), "objects", objects, to)?;
    to.write_all(b"\n")
}

/// A report of a line for each object, which can be written while the next ones are judged.
#[derive(Debug)]
pub enum Lines {
    /// One line an object, and a last one with the counts. What does not fit a terminal's width
    /// follows on lines that are indented. Where there are several authorities, each line says which
    /// of them vouches: two could name the same signer.
    Text,
    /// The same, but neighbours of which it says the same on one line: the newest, the oldest, and how
    /// many. What is particular to each of them is left out.
    Folded(Folding),
    /// One JSON object a line; the last is the report's head with its summary.
    Jsonl,
}

impl Lines {
    /// Folds neighbours.
    pub fn folded() -> Self {
        Self::Folded(Folding::default())
    }

    /// Writes what comes next.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write(&mut self, portion: &Portion, to: &mut impl Write) -> io::Result<()> {
        for object in portion.objects() {
            match self {
                Self::Text => writeln!(to, "{}", object_line(portion, object))?,
                Self::Folded(folding) => folding.add(portion, object, to)?,
                Self::Jsonl => {
                    json::write(&ObjectReport::of(portion, object), to)?;
                    to.write_all(b"\n")?;
                }
            }
        }
        Ok(())
    }

    /// Writes the end: the counts, and what was not judged.
    ///
    /// # Errors
    /// What writing gives.
    pub fn end(self, outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Text => write_summary(outcome, to),
            Self::Folded(folding) => {
                folding.end(to)?;
                write_summary(outcome, to)
            }
            Self::Jsonl => {
                json::write(&head(outcome), to)?;
                to.write_all(b"\n")
            }
        }
    }

    /// Writes all of a report whose objects are there.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write_all(mut self, outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
        self.write(&outcome.portion, to)?;
        self.end(outcome, to)
    }
}

/// Writes the counts, what was excused, and what was not judged.
///
/// # Errors
/// What writing gives.
pub fn write_summary(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "{}", counts(outcome.summary()))?;
    write_excused(outcome, to)?;
    for id in outcome.shallow() {
        let id = id.to_hex_with_len(SHORT);
        writeln!(
            to,
            "history before {id} is not in this shallow clone and was not judged"
        )?;
    }
    if outcome.interrupted {
        writeln!(to, "{INTERRUPTED}")?;
    }
    Ok(())
}

/// Writes how many were accepted for something else than that all steps accept them.
///
/// # Errors
/// What writing gives.
pub fn write_excused(outcome: &Outcome, to: &mut impl Write) -> io::Result<()> {
    Caveat::excused(outcome).try_for_each(|excused| writeln!(to, "{}", excused.text))
}

/// What a report says that is not whole.
const INTERRUPTED: &str = "interrupted: what was not judged yet is left out";

/// Returns the counts in words.
pub fn counts(summary: Summary) -> String {
    let Summary {
        objects,
        accepted,
        rejected,
        undecided,
        ..
    } = summary;
    match objects {
        0 => "nothing was selected, so nothing was judged".to_owned(),
        objects => format!(
            "{objects} object{}: {accepted} accepted, {rejected} rejected, {undecided} undecided",
            if objects == 1 { "" } else { "s" }
        ),
    }
}

/// Returns one line: verdict, name, and what led to it. Bytes that somebody else chose are
/// escaped where they could move a cursor.
pub fn text_line(name: &str, judgement: &Judgement) -> String {
    let mut said = facts(judgement, None, None);
    said.extend(detail(judgement));
    laid_out(begun(judgement, name), &said)
}

fn object_line(portion: &Portion, object: &JudgedObject) -> String {
    let mut said = object_facts(portion, object);
    said.extend(detail(object.judgement()));
    laid_out(begun(object.judgement(), &short(object)), &said)
}

/// Begins a line: verdict and name.
fn begun(judgement: &Judgement, name: &str) -> String {
    let mut line = String::with_capacity(WIDTH);
    line.push_str(judgement.verdict().word());
    line.extend(std::iter::repeat_n(' ', INDENT.saturating_sub(line.len())));
    line.push_str(name);
    line
}

fn short(object: &JudgedObject) -> String {
    object.id().to_hex_with_len(SHORT).to_string()
}

/// Returns what led to the verdict on an object, but for what is particular to it.
fn object_facts<'a>(portion: &'a Portion, object: &'a JudgedObject) -> Vec<Cow<'a, str>> {
    let judgement = object.judgement();
    let authority = judgement.authority().filter(|_| portion.authorities > 1);
    facts(judgement, authority, portion.attested.get(&object.id()))
}

fn facts<'a>(
    judgement: &'a Judgement,
    authority: Option<&str>,
    attested: Option<&'a ObjectAttestations>,
) -> Vec<Cow<'a, str>> {
    let mut fields = Vec::new();
    if let Some(code) = judgement.verdict().code() {
        fields.push(code.as_str().into());
    }
    if let Some(identity) = judgement.identity() {
        fields.push(escape(identity));
    } else if let Some(claimed) = judgement.claimed() {
        fields.push(format!("claims to be {}", escape(&claimed.name)).into());
    }
    if let Some(authority) = authority {
        fields.push(format!("by {authority}").into());
    }
    if judgement.excused_from().is_some() {
        fields.push(finding::accepted_by(judgement));
    }
    if judgement.is_known_good() {
        fields.push(KNOWN_GOOD.into());
    }
    if let Some(basis) = judgement.time_basis() {
        fields.push(basis.as_str().into());
    }
    if !judgement.unchecked().is_empty() {
        let unchecked = judgement.unchecked().join(", ");
        fields.push(format!("terms not checked: {unchecked}").into());
    }
    if let Some(attested) = attested {
        fields.extend(attested.level.map(|level| level_of(attested, level)));
        let refused = attested.attestations.iter().filter(|it| it.code.is_some());
        fields.extend(refused.filter_map(|it| Some(format!("attestation {}", it.code?).into())));
        let failed = |it: &AttestationReport| it.code.is_none() && it.fails;
        if attested.attestations.iter().any(failed) {
            fields.push(FAILURE.into());
        }
    }
    fields
}

/// What is said where an accepted statement fails.
pub const FAILURE: &str = "failure attested";

/// Says what a level rests on, when that is stated about another commit.
pub(crate) fn level_of<'a>(attested: &ObjectAttestations, level: &'a str) -> Cow<'a, str> {
    let mut carrying = attested.attestations.iter();
    match carrying.find(|it| it.level == Some(level)) {
        Some(AttestationReport {
            attested_as: Some(other),
            ..
        }) => {
            let short: String = other.chars().take(SHORT).collect();
            format!("{level} (as {})", escape(&short)).into()
        }
        Some(_) | None => level.into(),
    }
}

/// Returns what is particular to a refusal.
fn detail<'a>(judgement: &Judgement) -> Option<Cow<'a, str>> {
    judgement.verdict().code()?;
    Some(format!("({})", escape(judgement.detail()?)).into())
}

/// Puts fields behind the beginning of a line, and on lines below it.
fn laid_out(mut line: String, fields: &[impl AsRef<str>]) -> String {
    let mut column = line.chars().count();
    for field in fields {
        let field = field.as_ref();
        let width = field.chars().count();
        if column + 2 + width > WIDTH && column > INDENT {
            line.push('\n');
            line.extend(std::iter::repeat_n(' ', INDENT));
            column = INDENT;
        } else {
            line.push_str("  ");
            column += 2;
        }
        let field = wrap(field, column, INDENT);
        column = match field.rsplit_once('\n') {
            Some((_, last)) => last.chars().count(),
            None => column + width,
        };
        line.push_str(&field);
    }
    line
}

/// Tells whether a character controls a terminal, or reorders or hides text.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Escapes control characters, those that reorder or hide text, and what a runner of CI jobs could
/// take for a command.
pub fn escape(text: &str) -> Cow<'_, str> {
    let is_printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if is_printable && !text.contains("::") && !text.contains(COMMAND_ANYWHERE) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let here = text.get(at..).unwrap_or_default();
        if is_deceptive(c) {
            escaped.extend(c.escape_default());
        } else if begins_command(&escaped, here) {
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

/// Tells whether a runner of GitHub Actions could read on from here and find a command. It looks for
/// `::` behind the blanks at the beginning of a line, where any word may come to stand, and for
/// `##[` wherever that is.
fn begins_command(before: &str, here: &str) -> bool {
    let is_word = || before.is_empty() || before.ends_with(char::is_whitespace);
    here.starts_with("::") && is_word() || here.starts_with("#[") && before.ends_with('#')
}

/// What begins a command of a runner wherever it stands in a line.
const COMMAND_ANYWHERE: &str = "##[";

/// Returns what was asked, of what, and what answered, as people are told it: name and value.
fn particulars(outcome: &Outcome) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
    [
        Some(("repository", (&*outcome.repository).into())),
        Some(("range", (&*outcome.range).into())),
        outcome.reference().map(|it| ("judged for", it.into())),
        outcome
            .root()
            .map(|it| ("trust root", it.to_string().into())),
        Some(("policy", (&*outcome.policy).into())),
        Some(("trust", (&*outcome.trust).into())),
        Some(("asked at", outcome.asked_at.to_string().into())),
        outcome.command().map(|it| ("asked by", it.into())),
    ]
    .into_iter()
    .flatten()
}

fn head(outcome: &Outcome) -> Head<'_> {
    Head {
        version: VERSION,
        repository: &outcome.repository,
        range: &outcome.range,
        reference: outcome.reference(),
        trust_root: outcome.root().map(|id| id.to_string()),
        policy: &outcome.policy,
        policies: outcome.policies().collect(),
        trust: &outcome.trust,
        trust_faults: outcome.trust_faults(),
        trust_recorded: outcome.is_trust_recorded(),
        asked_at: outcome.asked_at.to_string(),
        command: outcome.command(),
        shallow: outcome.shallow.iter().map(ToString::to_string).collect(),
        ignored: outcome.ignored(),
        beside_root: outcome.beside_root(),
        half_judged: outcome.half_judged(),
        policy_unasked: outcome.is_policy_unasked(),
        attestations_absent: outcome.lacks_attestations(),
        interrupted: outcome.interrupted,
        summary: outcome.summary(),
    }
}

/// Writes a JSON object whose last member is a list, item by item. The object has others.
fn write_with_list<T: Serialize>(
    object: &impl Serialize,
    member: &str,
    items: impl Iterator<Item = T>,
    to: &mut impl Write,
) -> io::Result<()> {
    let mut written = Vec::new();
    json::write(object, &mut written)?;
    to.write_all(written.strip_suffix(b"}").unwrap_or(&written))?;
    write!(to, ",\n \"{member}\":[")?;
    write_items(items, to)?;
    to.write_all(b"]}")
}

fn write_items<T: Serialize>(
    items: impl Iterator<Item = T>,
    to: &mut impl Write,
) -> io::Result<()> {
    let separators = std::iter::once("\n  ").chain(std::iter::repeat(",\n  "));
    for (separator, item) in separators.zip(items) {
        to.write_all(separator.as_bytes())?;
        json::write(&item, to)?;
    }
    Ok(())
}
