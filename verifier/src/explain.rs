//! The steps of one judgement, in words, and what it does not show.

use std::fmt;

use serde::Serialize;

use crate::{
    judge::{Judge, Judgement},
    log_entry::LogEntry,
    merge_tag::MergeTag,
    order::Order,
    report::escape,
    time_stamp::TimeStamp,
    verdict::{Code, TimeBasis, Verdict},
    wrap::wrap,
};

/// Where the lines of a step begin, after the first.
const INDENT: usize = 5;

/// The seven steps, and the limits of the verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    steps: Vec<Step>,
    verdict: String,
    /// What is to be said of the tags that a merge carries.
    merge_tags: Vec<String>,
    not_shown: Vec<String>,
}

/// One step and how it went.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Step {
    /// Its number, as in the specification.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// How it went.
    pub result: StepResult,
    /// In words; printable.
    pub text: String,
}

/// How a step went.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// It passed.
    Passed,
    /// It decided against the object.
    Failed,
    /// It could not be taken.
    Undecided,
    /// A step before it decided.
    NotReached,
}

/// Explains a judgement that `judge` gave.
pub fn explain(judgement: &Judgement, judge: &Judge<'_>) -> Explanation {
    let refused = judgement.shortcoming();
    let failed = refused.map(|code| (code, step_of(code)));
    let texts = [
        ("split", split_text(judgement)),
        ("signature", signature_text(judgement)),
        ("who", who_text(judgement)),
        ("when", when_text(judgement)),
        ("still good", still_good_text(judgement)),
        ("allowed", allowed_text(judgement)),
    ];
    let mut steps = vec![Step {
        number: 0,
        name: "inputs",
        result: StepResult::Passed,
        text: format!(
            "Asked at {}; policy {}; trust {}. Judging fetched nothing.",
            judge.now(),
            judgement
                .policy()
                .map_or_else(|| judge.policy().digest(), str::to_owned),
            judge.trust_digest()
        ),
    }];
    for (number, (name, text)) in (1..).zip(texts) {
        let (result, text) = match failed {
            Some((code, at)) if at == number => (result_of(code), failure_text(code, judgement)),
            Some((_, at)) if at < number => (StepResult::NotReached, "Not reached.".to_owned()),
            // What the signature says of itself may be enough for a later step.
            Some(_) if number == 4 && judgement.judged_at().is_none() => (
                StepResult::NotReached,
                "No time was judged: none would help.".to_owned(),
            ),
            Some(_) | None => (StepResult::Passed, text),
        };
        let (result, text) = match (number, judgement.excused_from(), judgement.rule()) {
            (6, Some(_), Some(rule)) => (
                StepResult::Passed,
                format!("Accepted all the same: {rule}."),
            ),
            (_, _, _) => (result, text),
        };
        steps.push(Step {
            number,
            name,
            result,
            text: escape(&text).into_owned(),
        });
    }
    Explanation {
        steps,
        verdict: verdict_text(judgement.verdict()),
        merge_tags: judgement.merge_tags().iter().map(merge_tag_text).collect(),
        not_shown: not_shown(judgement),
    }
}

impl Explanation {
    /// Returns the steps, from the inputs to the policy.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns the verdict in words.
    pub fn verdict(&self) -> &str {
        &self.verdict
    }

    /// Returns what the verdict does not show.
    pub fn not_shown(&self) -> &[String] {
        &self.not_shown
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let mark = match step.result {
                StepResult::Passed => "ok",
                StepResult::Failed => "no",
                StepResult::Undecided => "??",
                StepResult::NotReached => "--",
            };
            let head = format!("{mark} {} {}: ", step.number, step.name);
            let text = wrap(&step.text, head.chars().count(), INDENT);
            writeln!(f, "{head}{text}")?;
        }
        writeln!(f, "=> 7 output: {}", self.verdict)?;
        for tag in &self.merge_tags {
            writeln!(f, "   {}", wrap(tag, 3, 3))?;
        }
        writeln!(f, "\nThis does not show:")?;
        for limit in &self.not_shown {
            writeln!(f, "- {}", wrap(limit, 2, 2))?;
        }
        Ok(())
    }
}

/// Returns the step that gives a code.
const fn step_of(code: Code) -> u8 {
    match code {
        Code::ObjectMissing
        | Code::Unsigned
        | Code::SignatureAmbiguous
        | Code::ObjectMalformed
        | Code::ObjectTooLarge
        | Code::SignatureUnknownFormat
        | Code::SignatureTooLarge => 1,
        Code::SignatureMalformed
        | Code::CmsNoAttributes
        | Code::AlgorithmWeak
        | Code::AlgorithmUnsupported
        | Code::SignatureInvalid => 2,
        Code::TrustMissing
        | Code::TrustUnreadable
        | Code::TrustStateMissing
        | Code::TrustFromFuture
        | Code::BundleInvalid
        | Code::BundleRollback
        | Code::BundleEquivocation
        | Code::SignerUntrusted
        | Code::CertificateUnknownCritical
        | Code::CertificateInvalid
        | Code::IdentityMissing
        | Code::ScopeMissing => 3,
        Code::IssuanceMismatch
        | Code::TimestampInvalid
        | Code::LogEntryInvalid
        | Code::TimeNotShown
        | Code::TimeBasisTooWeak
        | Code::CertificateExpired
        | Code::CertificateNotYetValid => 4,
        Code::TrustStale | Code::RootRetired | Code::RootNotYetUsed | Code::Revoked => 5,
        Code::NotAuthorised
        | Code::PolicyUnreadable
        | Code::TermsRepository
        | Code::TermsRef
        | Code::TermsPath
        | Code::TermsUnchecked
        | Code::TagRenamed
        | Code::CommitterMismatch
        | Code::LevelTooLow
        | Code::AcceptanceMissing
        | Code::PolicyNotAuthorised
        | Code::PolicyInvalid
        | Code::ParentNotAccepted
        | Code::ParentUndecided
        // Of statements about an object, which come last.
        | Code::EnvelopeMalformed
        | Code::StatementMalformed
        | Code::SubjectMismatch
        | Code::PredicateUnknown
        | Code::PredicateMalformed
        | Code::AgentMismatch
        | Code::OriginsDisclosed
        | Code::OriginsMismatch
        | Code::AcceptanceSelf
        | Code::AcceptanceRejected
        | Code::EvidenceMissing
        | Code::ChainPrefixMissing
        | Code::ChainLinkMissing
        | Code::ChainLinkBroken
        | Code::ChainReordered
        | Code::ChainCount
        | Code::ChainRecordStray
        | Code::ChainFork
        | Code::ChainExtended
        | Code::ChainTailMissing
        | Code::ChainElsewhere
        | Code::ChainTrailer
        | Code::AttestationMissing
        | Code::ChangesUnknown => 6,
    }
}

fn result_of(code: Code) -> StepResult {
    match Verdict::of(code) {
        Verdict::Accepted => StepResult::Passed,
        Verdict::Rejected(_) => StepResult::Failed,
        Verdict::Undecided(_) => StepResult::Undecided,
    }
}

fn failure_text(code: Code, judgement: &Judgement) -> String {
    let detail = judgement
        .detail()
        .map_or_else(String::new, |detail| format!(" ({detail})"));
    format!("{}{detail}. To do: {}. [{code}]", code.cause(), code.fix())
}

fn split_text(judgement: &Judgement) -> String {
    let format = judgement
        .format()
        .map_or("unknown", |format| format.as_str());
    let others = match judgement.unauthenticated_headers() {
        [] => String::new(),
        names => format!(
            " Of its other signature headers ({}) anybody may be the author: they are not looked at.",
            names.join(", ")
        ),
    };
    format!("The object splits into a payload and one signature, of format {format}.{others}")
}

fn signature_text(judgement: &Judgement) -> String {
    match (judgement.kid(), judgement.claimed()) {
        (Some(kid), _) => format!("The key {kid} signed exactly this payload."),
        (None, Some(claimed)) => format!(
            "The signature is well-formed. It names {} as its key, which is not here to check it with.",
            claimed.name
        ),
        (None, None) => "The signature is well-formed.".to_owned(),
    }
}

fn merge_tag_text(tag: &MergeTag) -> String {
    let judgement = tag.judgement();
    let name = escape(tag.name().unwrap_or("one that cannot be read"));
    let parent = match tag.parent() {
        Some(parent) => format!("of parent {parent}"),
        None => "of no parent".to_owned(),
    };
    let by = judgement
        .identity()
        .map(|by| format!(", by {}", escape(by)));
    format!(
        "The merge carries a tag {parent}, `{name}`: {}{}. It lets nothing in.",
        verdict_text(judgement.verdict()),
        by.unwrap_or_default()
    )
}

fn who_text(judgement: &Judgement) -> String {
    let (Some(identity), Some(authority), Some(kid)) = (
        judgement.identity(),
        judgement.authority(),
        judgement.authority_kid(),
    ) else {
        return "Nobody vouches for the key.".to_owned();
    };
    let told = judgement.standing().and_then(|it| it.oidc_issuer());
    let told = told.map(|issuer| format!(", as {issuer} told it"));
    format!(
        "The authority `{authority}` (root {kid}) says that the key is that of {identity}{}.",
        told.unwrap_or_default()
    )
}

fn when_text(judgement: &Judgement) -> String {
    let (Some(basis), Some(at)) = (judgement.time_basis(), judgement.judged_at()) else {
        return "No time could be judged.".to_owned();
    };
    let rests_on = match basis {
        TimeBasis::Declared => "the date that the object declares",
        TimeBasis::DagOrdered => {
            "the date that the object declares, which fits its parents and what was judged with it"
        }
        TimeBasis::FirstSeen => "a gate's record of receiving it",
        TimeBasis::IssuanceBound => "the certificate, which names this very payload",
        TimeBasis::Timestamped => "a time stamp over the signature",
        TimeBasis::Logged => "the log's answer about the signature",
        TimeBasis::Witnessed => "the authority's log and its witnesses",
    };
    let order = match judgement.order() {
        Order::OlderThanParent => " The date is older than that of a parent.",
        Order::OlderThanAncestor => " The date is older than an ancestor that is surely younger.",
        Order::YoungerThanDescendant => {
            " The date is younger than a descendant that is surely older."
        }
        Order::Consistent | Order::Unknown => "",
    };
    let stamp = match judgement.time_stamp() {
        Some(TimeStamp::Trusted { kid, latest, .. }) => {
            format!(" The time-stamping authority's key is {kid}; it may have stamped as late as {latest}.")
        }
        Some(TimeStamp::Revoked { kid }) => {
            format!(" It carries a time stamp by the key {kid}, which was revoked, so that it counts for nothing.")
        }
        Some(TimeStamp::Untrusted) => {
            " It carries a time stamp by nobody that the signer's authority names, which counts for nothing.".to_owned()
        }
        Some(TimeStamp::Invalid(_)) | None => String::new(),
    };
    let log = match judgement.log_entry() {
        Some(LogEntry::Logged { kid, .. }) => format!(" The log's key is {kid}."),
        Some(LogEntry::Undated { kid }) => {
            format!(" It is in the log with the key {kid}, which does not say since when.")
        }
        Some(LogEntry::Untrusted) => {
            " It carries a log entry of no log that the signer's authority names, or of a kind that is not read, which counts for nothing.".to_owned()
        }
        Some(LogEntry::Invalid(_)) | None => String::new(),
    };
    let made = judgement.signing_time().map_or_else(String::new, |made| {
        format!(" The signature says that it was made at {made}.")
    });
    let skew = match judgement.skew_seconds() {
        0 => String::new(),
        seconds => format!("; clocks may differ by {seconds} s"),
    };
    let window = window_text(judgement);
    format!("Judged at {at}, on {basis}: {rests_on}. {window}{skew}.{made}{order}{stamp}{log}")
}

/// Says when what vouches for the key does.
fn window_text(judgement: &Judgement) -> String {
    let Some(standing) = judgement.standing() else {
        return String::new();
    };
    let (from, until) = (standing.not_before(), standing.not_after());
    if standing.is_certified() {
        return format!("The certificate was valid from {from} to {until}");
    }
    match standing.vouched() {
        // A line may say less than its key, which has no times.
        Ok(by) if (by.issuers_from, by.issuers_until) != (from, until) => {
            let (from, until) = (by.issuers_from, by.issuers_until);
            format!("The key is listed from {from} to {until}")
        }
        Ok(_) | Err(_) => "The key is listed for any time".to_owned(),
    }
}

fn still_good_text(judgement: &Judgement) -> String {
    let vouched = (judgement.standing()).and_then(|it| it.vouched().ok());
    let taken_back = if judgement.is_known_good() {
        "It was revoked, and the policy's `known_good` lists it"
    } else if vouched.is_some_and(|it| it.anchor.says_what_was_revoked()) {
        "Nothing of this was taken back"
    } else {
        "Nothing in the trust store says what this authority takes back"
    };
    format!("The authority's root was in use at that time. {taken_back}.")
}

fn allowed_text(judgement: &Judgement) -> String {
    let rule = match judgement.rule() {
        Some(rule) => format!("The policy's rule `{rule}` lets this identity sign."),
        None => "No rule was needed.".to_owned(),
    };
    rule + &terms_text(judgement)
}

/// Says what the certificate's terms are, and which of them nobody could look at.
fn terms_text(judgement: &Judgement) -> String {
    let Some(terms) = judgement.terms() else {
        return String::new();
    };
    let patterns = |name: &str, list: &Option<Vec<String>>| {
        let list = list.as_ref()?.join("`, `");
        Some(format!("{name} `{list}`"))
    };
    let said = [
        (terms.repository.as_ref()).map(|name| format!("repository `{name}`")),
        patterns("refs", &terms.refs),
        patterns("paths", &terms.paths),
        Some(format!("at most {} signatures", terms.signatures)),
        Some(format!("until {}", terms.until)),
    ];
    let said: Vec<_> = said.into_iter().flatten().collect();
    let unchecked = match judgement.unchecked() {
        [] => String::new(),
        names => format!(" Not checked: {}.", names.join(", ")),
    };
    format!(" Its certificate is for {}.{unchecked}", said.join(", "))
}

fn verdict_text(verdict: Verdict) -> String {
    match verdict.code() {
        Some(code) => format!("{}, {code}", verdict.word()),
        None => verdict.word().to_owned(),
    }
}

/// Says what a reader might take the verdict for, and must not.
fn not_shown(judgement: &Judgement) -> Vec<String> {
    let mut limits = vec![
        "that the change is good, or that anybody reviewed it".to_owned(),
        "who wrote the text: author and committer lines are claims of whoever signed".to_owned(),
        "that no commit is missing from the branch, or that the branch points where it should"
            .to_owned(),
        "what submodules and notes hold: a pointer is signed, and what it points to is not followed"
            .to_owned(),
    ];
    if judgement.verdict() != Verdict::Accepted {
        limits.push(
            "that the object is harmless or harmful: only that it was not accepted".to_owned(),
        );
        return limits;
    }
    if judgement.excused_from().is_some() {
        limits.push("who made it, or when: it was accepted whatever the steps say".to_owned());
        return limits;
    }
    limits.push(match judgement.time_basis() {
        Some(TimeBasis::IssuanceBound) => {
            "when exactly it was signed: only that the authority issued for these bytes at the judged time".to_owned()
        }
        Some(TimeBasis::Declared | TimeBasis::DagOrdered) => {
            "when it was signed: whoever kept the key can write any date, also after the certificate ended".to_owned()
        }
        Some(TimeBasis::Timestamped) => {
            "when exactly it was signed: only that the signature was there at the judged time, as the authority's time-stamping key says".to_owned()
        }
        Some(TimeBasis::Logged) => {
            "when exactly it was signed: only that the log took the signature in at the judged time, as the log's key says".to_owned()
        }
        Some(TimeBasis::FirstSeen) => {
            "when exactly it was signed: only that it was there at the judged time, as a gate that the policy names says".to_owned()
        }
        Some(TimeBasis::Witnessed) | None => "when it was written".to_owned(),
    });
    if let Some(terms) = judgement.terms() {
        limits.push(format!(
            "that no more than {} objects were signed in that activity: the key agent counts them, and nobody sees those that were rewritten",
            terms.signatures
        ));
    }
    limits.push(
        "what happened since the trust store was brought up to date: a later revocation is not known here"
            .to_owned(),
    );
    limits
}
