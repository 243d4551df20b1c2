//! What there is to say of an object that was not accepted, for people who look after many tools.

use crate::{
    judge::Judgement,
    report::escape,
    verdict::{Class, Code},
    verify::{JudgedObject, Outcome},
};

/// An object that was not accepted.
pub(super) struct Finding<'a> {
    pub(super) object: &'a JudgedObject,
    pub(super) code: Code,
    /// A file that the commit changed; unescaped.
    pub(super) place: Option<&'a str>,
}

impl<'a> Finding<'a> {
    /// Returns those of a report, in its order.
    pub(super) fn all(outcome: &'a Outcome) -> impl Iterator<Item = Self> {
        outcome.objects().iter().filter_map(|object| {
            let code = object.judgement().verdict().code()?;
            let place = outcome.places.get(&object.id()).map(String::as_str);
            Some(Self {
                object,
                code,
                place,
            })
        })
    }

    /// Tells whether the answer is no; else nobody could look.
    pub(super) fn is_rejected(&self) -> bool {
        self.code.class() == Class::Rejected
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

/// Returns who signed, or who claims to have, escaped.
pub(super) fn signer(object: &JudgedObject) -> Option<String> {
    let judgement = object.judgement();
    let claimed = || {
        let name = escape(&judgement.claimed()?.name);
        Some(format!("somebody who claims to be {name}"))
    };
    judgement.identity().map(escape).or_else(claimed)
}

/// Returns what stands in a report where a signer does.
pub(super) fn signer_or_none(object: &JudgedObject) -> String {
    let none = match object.judgement().shortcoming() {
        Some(Code::Unsigned) => "nobody",
        _ => "not known",
    };
    signer(object).unwrap_or_else(|| none.to_owned())
}

/// Returns the rule by which an object was accepted, or what excuses it, and from what; escaped.
pub(super) fn accepted_by(judgement: &Judgement) -> String {
    let by = escape(judgement.rule().unwrap_or_default());
    match judgement.excused_from() {
        Some(code) => format!("{by}, though {code}"),
        None => by,
    }
}

/// Returns why an object was not accepted, or the rule by which it was, escaped.
pub(super) fn reason(object: &JudgedObject) -> String {
    let judgement = object.judgement();
    let Some(code) = judgement.verdict().code() else {
        return accepted_by(judgement);
    };
    match judgement.detail() {
        Some(detail) => format!("{} ({})", code.cause(), escape(detail)),
        None => code.cause().to_owned(),
    }
}
