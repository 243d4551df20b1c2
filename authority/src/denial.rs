//! Every way in which notme's own routes refuse, in the words that its clients know.
//!
//! Our own routes refuse as [`Refusal`](crate::refusal::Refusal) says. These were there before:
//! their bodies are `{"error": "<text>"}`, and the texts are part of the interface.

use serde_json::json;

/// Why a request on one of notme's routes was not served.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Denial {
    /// The path exists, the method is another.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// There is no such path.
    #[error("not_found")]
    NotFound,
    /// Our fault; the log of the authority says more.
    #[error("authority unavailable")]
    Unavailable,
}

impl Denial {
    /// Returns the HTTP status.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Unavailable => 503,
        }
    }

    /// Returns the JSON body.
    pub(crate) fn body(&self) -> Vec<u8> {
        json!({ "error": self.to_string() })
            .to_string()
            .into_bytes()
    }
}
