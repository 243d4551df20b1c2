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
