//! Why a policy cannot be applied.

use std::{fmt, io, path::PathBuf};

use crate::verdict::Code;

/// The policy file cannot be applied, so nobody can decide by it.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file could not be read.
    #[error("could not read the policy `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is text in no encoding that TOML has.
    #[error("the policy `{}` is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The file is not TOML, or has a rule that means nothing.
    #[error("{}{message}", Place { path, line })]
    Rule {
        /// The file, when there is one.
        path: Option<PathBuf>,
        /// The line, counted from one, when the mistake is at one.
        line: Option<usize>,
        /// Which rule, and what is wrong with it.
        message: String,
    },
}

impl PolicyError {
    /// Returns the code of the verdict that nobody could reach.
    pub fn code(&self) -> &'static str {
        Code::PolicyUnreadable.as_str()
    }

    /// Returns the line, counted from one.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Rule { line, .. } => *line,
            Self::Read { .. } | Self::NotText { .. } => None,
        }
    }

    /// Says which file it was.
    pub(crate) fn of_file(self, file: PathBuf) -> Self {
        match self {
            Self::Rule { line, message, .. } => Self::Rule {
                path: Some(file),
                line,
                message,
            },
            it @ (Self::Read { .. } | Self::NotText { .. }) => it,
        }
    }
}

/// What stands before the message.
struct Place<'a> {
    path: &'a Option<PathBuf>,
    line: &'a Option<usize>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path, self.line) {
            (Some(path), Some(line)) => write!(f, "policy `{}`, line {line}: ", path.display()),
            (Some(path), None) => write!(f, "policy `{}`: ", path.display()),
            (None, Some(line)) => write!(f, "line {line}: "),
            (None, None) => Ok(()),
        }
    }
}
