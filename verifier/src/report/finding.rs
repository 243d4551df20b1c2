//! What there is to say of an object that was not accepted, for people who look after many tools.

use std::borrow::Cow;

use crate::{
    judge::Judgement,
    report::{INTERRUPTED, counts, escape},
    verdict::{Code, Verdict},
    verify::{BASELINE, JudgedObject, Outcome},
};

/// An object that was not accepted, or only because an exception says so.
pub(super) struct Finding<'a> {
    pub(super) object: &'a JudgedObject,
    /// Why the steps do not accept it.
    pub(super) code: Code,
    /// A file that the commit changed, as git has its name.
    pub(super) place: Option<&'a [u8]>,
}

impl<'a> Finding<'a> {
    /// Returns those of a report that were not accepted, in its order.
    pub(super) fn all(outcome: &'a Outcome) -> impl Iterator<Item = Self> {
        Self::told(outcome).filter(|it| it.weight() != Weight::Excepted)
    }

    /// As [`Self::all`], and those that an exception accepts. What lies before a baseline may be
    /// most of a history, and is only counted.
    pub(super) fn told(outcome: &'a Outcome) -> impl Iterator<Item = Self> {
        outcome.objects().iter().filter_map(|object| {
            let judgement = object.judgement();
            let code = judgement.shortcoming()?;
            if judgement.excused_from().is_some() && !judgement.is_excepted() {
                return None;
            }
            let place = outcome.places.get(&object.id()).map(Vec::as_slice);
            Some(Self {
                object,
                code,
                place,
            })
        })
    }

    /// Returns the file for people; escaped, and what is no text replaced.
    pub(super) fn place_text(&self) -> Option<String> {
        let text = String::from_utf8_lossy(self.place?);
        Some(escape(&text).into_owned())
    }

    /// Returns how much it weighs.
    pub(super) fn weight(&self) -> Weight {
        match self.object.judgement().verdict() {
            Verdict::Accepted => Weight::Excepted,
            Verdict::Rejected(_) => Weight::Rejected,
            Verdict::Undecided(_) => Weight::Undecided,
        }
    }

    /// Returns what the object is, and its name.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.object.kind_word(), self.object.id())
    }

    /// Says it in one line; what others chose is escaped.
    pub(super) fn message(&self) -> String {
        let signer = match signer(self.object) {
            Some(signer) => format!(" by {signer}"),
            None => String::new(),
        };
        format!("{}{signer}: {}", self.name(), reason(self.object))
    }
}

/// How much a finding weighs, the most first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Weight {
    /// The answer is no.
    Rejected,
    /// Nobody could look.
    Undecided,
    /// An exception accepts it.
    Excepted,
}

/// What a report that has no objects says of itself, where there is no other place for it.
pub(super) const NOTHING: &str = "nothing-selected";

/// Something about all of a report that its counts do not say.
pub(super) struct Caveat {
    /// In one word.
    pub(super) name: &'static str,
    /// The authority of the trust store that it is about, if it is about one; escaped.
    pub(super) about: Option<Box<str>>,
    /// In a sentence; escaped.
    pub(super) text: String,
    /// Whether the whole answer is undecided for it, and for no object.
    pub(super) decides: bool,
}

impl Caveat {
    const fn new(name: &'static str, text: String) -> Self {
        Self {
            name,
            about: None,
            text,
            decides: false,
        }
    }

    /// Returns those of a report.
    pub(super) fn all(outcome: &Outcome) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |name, text| all.push(Self::new(name, text));
        if outcome.interrupted {
            add("interrupted", INTERRUPTED.to_owned());
        }
        if outcome.summary().objects == 0 {
            add(NOTHING, counts(outcome.summary()));
        }
        // Nothing else leaves the whole undecided.
        if let Some(first) = all.first_mut() {
            first.decides = outcome.is_undecided_as_a_whole();
        }
        let mut add = |name, text| all.push(Self::new(name, text));
        if let [first, others @ ..] = outcome.shallow() {
            let others = match others.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let text = format!(
                "history before {first}{others} is not in this shallow clone and was not judged"
            );
            add("shallow", text);
        }
        let faults = outcome.trust_faults().iter().map(|fault| Self {
            about: Some(fault.name.clone()),
            ..Self::new(fault.code.as_str(), fault.to_string())
        });
        all.extend(faults);
        let mut add = |name, text| all.push(Self::new(name, text));
        for (name, text) in outcome.reservations() {
            add(name, text);
        }
        for it in outcome.ignored() {
            add(it.name(), it.as_str().to_owned());
        }
        all.extend(Self::excused(outcome));
        all
    }

    /// Returns how many were accepted by something above the rules, or though they were revoked.
    pub(super) fn excused(outcome: &Outcome) -> impl Iterator<Item = Self> {
        let count = |name, count: usize, by: &str| {
            let objects = if count == 1 { "object" } else { "objects" };
            let text = format!("{count} {objects} accepted {by}");
            (count > 0).then_some(Self::new(name, text))
        };
        let summary = outcome.summary();
        let excepted = count("excepted", summary.excepted, "by exception");
        let before = count("baseline", summary.baseline, BASELINE);
        let good = count("known-good", summary.known_good, "though revoked");
        [excepted, before, good].into_iter().flatten()
    }
}

/// Returns who signed, or who claims to have, escaped.
pub(super) fn signer(object: &JudgedObject) -> Option<Cow<'_, str>> {
    let judgement = object.judgement();
    let claimed = || {
        let name = escape(&judgement.claimed()?.name);
        Some(format!("somebody who claims to be {name}").into())
    };
    judgement.identity().map(escape).or_else(claimed)
}

/// Returns what stands in a report where a signer does.
pub(super) fn signer_or_none(object: &JudgedObject) -> Cow<'_, str> {
    let none = match object.judgement().shortcoming() {
        Some(Code::Unsigned) => "nobody",
        _ => "not known",
    };
    signer(object).unwrap_or(none.into())
}

/// Returns the rule by which an object was accepted, or what excuses it, and from what; escaped.
pub(super) fn accepted_by(judgement: &Judgement) -> Cow<'_, str> {
    let by = escape(judgement.rule().unwrap_or_default());
    match judgement.excused_from() {
        Some(code) => format!("{by}, though {code}").into(),
        None => by,
    }
}

/// Returns why an object was not accepted, or the rule by which it was, escaped.
pub(super) fn reason(object: &JudgedObject) -> String {
    let judgement = object.judgement();
    let Some(code) = judgement.verdict().code() else {
        return accepted_by(judgement).into_owned();
    };
    match judgement.detail() {
        Some(detail) => format!("{} ({})", code.cause(), escape(detail)),
        None => code.cause().to_owned(),
    }
}
