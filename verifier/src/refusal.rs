//! A step that did not pass.

use crate::{
    policy::REF_UNKNOWN,
    verdict::{Class, Code},
};

/// The code of the step that failed, and what it saw.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The closed code.
    pub code: Code,
    /// What is particular to this case, for people; may hold bytes of the object, unescaped.
    pub detail: Option<Box<str>>,
}

impl Refusal {
    pub(crate) fn new(code: Code, detail: impl Into<Box<str>>) -> Self {
        Self {
            code,
            detail: Some(detail.into()),
        }
    }

    /// Tells whether somebody who knows more may see it otherwise.
    pub(crate) fn is_open(&self) -> bool {
        is_open(self.code, self.detail.as_deref())
    }
}

/// As [`Refusal::is_open`].
pub(crate) fn is_open(code: Code, detail: Option<&str>) -> bool {
    code.class() == Class::Undecided || detail == Some(REF_UNKNOWN)
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, detail: None }
    }
}

/// Returns what an error says, and what is behind it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
