//! One claim of a token, by name.

use std::{borrow::Cow, fmt};

use serde::Deserialize;
use serde_json::{Map, Value};

/// The name of a claim, or, when it begins with `/`, a JSON pointer to it (RFC 6901).
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(try_from = "String")]
pub(super) struct Claim(String);

impl Claim {
    /// Returns the claim's text: a string as it is, a number or a truth value as JSON writes it.
    /// Anything else has none.
    pub(super) fn text<'a>(&self, claims: &'a Map<String, Value>) -> Option<Cow<'a, str>> {
        match self.value(claims)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(Cow::Owned(value.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn value<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let Some(pointer) = self.0.strip_prefix('/') else {
            return claims.get(&self.0);
        };
        let end = pointer.find('/').unwrap_or(pointer.len());
        let (first, rest) = pointer.split_at_checked(end)?;
        claims
            .get(&first.replace("~1", "/").replace("~0", "~"))?
            .pointer(rest)
    }
}

impl TryFrom<String> for Claim {
    type Error = ClaimError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if name.trim_matches('/').is_empty() {
            return Err(ClaimError);
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text names no claim.
#[derive(Debug, thiserror::Error)]
#[error("a claim is named, or pointed at as in `/kubernetes.io/namespace`")]
pub(super) struct ClaimError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_claims_by_name_and_by_pointer() {
        let claims = serde_json::json!({
            "sub": "x", "n": 7, "yes": true, "list": ["x"], "null": null,
            "kubernetes.io": {"namespace": "a", "deep": {"er": "b"}}, "a/b": "c",
        });
        let claims = claims.as_object().unwrap();
        let text = |name: &str| Claim(name.to_owned()).text(claims).map(Cow::into_owned);
        for (name, expected) in [
            ("sub", Some("x")),
            ("n", Some("7")),
            ("yes", Some("true")),
            ("/kubernetes.io/namespace", Some("a")),
            ("/kubernetes.io/deep/er", Some("b")),
            ("/sub", Some("x")),
            ("/a~1b", Some("c")),
            ("a/b", Some("c")),
            ("kubernetes.io", None),
            ("list", None),
            ("null", None),
            ("/kubernetes.io/other", None),
            ("kubernetes.io/namespace", None),
            ("", None),
        ] {
            assert_eq!(text(name).as_deref(), expected, "{name}");
        }
    }
}
