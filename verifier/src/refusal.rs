//! A step that did not pass.

use crate::verdict::Code;

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
