//! Where the content that an agent read came from, and who vouches for that (APAS content
//! origin, section 2.5): the canonical set, its digest, and what an evaluator makes of it.

use std::{cmp::Ordering, collections::BTreeSet};

use notme_core::{hex, json, key::sha256};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most entries of a set, duplicates counted.
pub const ENTRIES_MAX: usize = 64;
/// The longest URI or voucher, in bytes.
pub const TEXT_MAX: usize = 2048;

/// One source, and the authority that vouches for it; empty when nobody does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Origin {
    /// The source.
    pub uri: String,
    /// Who says that the content came from there.
    pub vouched_by: String,
}

/// By UTF-16 code units, as the reference implementation sorts; by bytes for all ASCII.
impl Ord for Origin {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |origin: &Self| {
            let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
            (units(&origin.uri), units(&origin.vouched_by))
        };
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Origin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A set of origins: each pair once, in canonical order.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct OriginSet(BTreeSet<Origin>);

impl OriginSet {
    /// Makes a set. Entries are counted before any is dropped as a duplicate.
    ///
    /// # Errors
    /// [`OriginError`]: a set over the limit is refused, never cut.
    pub fn new(entries: Vec<Origin>) -> Result<Self, OriginError> {
        if entries.len() > ENTRIES_MAX {
            return Err(OriginError::Entries);
        }
        for entry in &entries {
            if entry.uri.is_empty() || entry.uri.len().max(entry.vouched_by.len()) > TEXT_MAX {
                return Err(OriginError::Text);
            }
        }
        Ok(Self(entries.into_iter().collect()))
    }

    /// Reads a JSON array of `{"uri", "vouchedBy"}`.
    ///
    /// # Errors
    /// [`OriginError`].
    pub fn from_json(text: &[u8]) -> Result<Self, OriginError> {
        let entries = json::parse(text).and_then(|entries| json::read(&entries));
        Self::new(entries.map_err(OriginError::Json)?)
    }

    /// Checks that no URI has characters on whose order implementations differ. What we write
    /// passes; what others wrote may not.
    ///
    /// # Errors
    /// [`OriginError::NotAscii`].
    pub fn check_ascii(&self) -> Result<(), OriginError> {
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        match self
            .0
            .iter()
            .all(|origin| is_plain(&origin.uri) && is_plain(&origin.vouched_by))
        {
            true => Ok(()),
            false => Err(OriginError::NotAscii),
        }
    }

    /// Returns `sha256:<hex>` over the canonical form; an empty set has none.
    pub fn digest(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        // Members in the order of the struct, no whitespace, the escapes of `JSON.stringify`.
        let text = serde_json::to_vec(self).ok()?;
        Some(format!("sha256:{}", hex::encode(&sha256(&text))))
    }

    /// Derives how far the set is vouched for, by who the evaluator trusts. It is never stored.
    pub fn confidence(&self, trusted: &BTreeSet<String>) -> Confidence {
        if self.0.is_empty() {
            return Confidence::Unknown;
        }
        // Where nobody is named, nobody vouches.
        let is_vouched =
            |it: &Origin| !it.vouched_by.is_empty() && trusted.contains(&it.vouched_by);
        match self.0.iter().all(is_vouched) {
            true => Confidence::Attested,
            false => Confidence::Asserted,
        }
    }
}

/// How far a set of origins is vouched for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Every entry is vouched for by somebody the evaluator trusts.
    #[serde(rename = "origin-attested")]
    Attested,
    /// Somebody says so.
    #[serde(rename = "origin-asserted")]
    Asserted,
    /// Nothing is said.
    #[serde(rename = "origin-unknown")]
    Unknown,
}

impl Confidence {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attested => "origin-attested",
            Self::Asserted => "origin-asserted",
            Self::Unknown => "origin-unknown",
        }
    }
}

/// It is no set of origins.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// Too many.
    #[error("more than {ENTRIES_MAX} origins")]
    Entries,
    /// Empty or too long.
    #[error("an origin has no URI, or a text of more than {TEXT_MAX} bytes")]
    Text,
    /// Not ASCII.
    #[error("an origin's URI or voucher has characters other than printable ASCII")]
    NotAscii,
    /// Not the JSON of a set.
    #[error("the origins are not an array of `{{\"uri\", \"vouchedBy\"}}`")]
    Json(#[source] json::JsonError),
}

/// Tells whether something lists origins in the open, however deep.
pub(crate) fn discloses(value: &Value) -> bool {
    match value {
        Value::Object(object) => disclosed(object),
        Value::Array(values) => values.iter().any(discloses),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Tells it of the bytes of a statement.
pub(crate) fn is_disclosed_in(payload: &[u8]) -> bool {
    // A name that stands there in other letters has an escape in it.
    let may = str::from_utf8(payload)
        .is_ok_and(|text| text.contains("contentOrigins") || text.contains("\\u"));
    may && serde_json::from_slice(payload).is_ok_and(|said| discloses(&said))
}

/// Tells it of an object.
pub(crate) fn disclosed(object: &json::Object) -> bool {
    object.contains_key("contentOrigins") || object.values().any(discloses)
}

/// Tells whether an object states its origins in both ways at once, which is malformed.
pub(crate) fn is_stated_twice(object: &json::Object) -> bool {
    object.contains_key("contentOrigins") && object.contains_key("originsHash")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[(&str, &str)]) -> OriginSet {
        let origin = |(uri, vouched_by): &(&str, &str)| Origin {
            uri: (*uri).to_owned(),
            vouched_by: (*vouched_by).to_owned(),
        };
        OriginSet::new(entries.iter().map(origin).collect()).unwrap()
    }

    fn digest(entries: &[(&str, &str)]) -> String {
        let digest = set(entries).digest().unwrap();
        digest.strip_prefix("sha256:").unwrap().to_owned()
    }

    #[test]
    fn where_nobody_is_named_nobody_vouches() {
        let trusted = ["", "gate"].map(str::to_owned).into();
        let confidence = |by| set(&[("https://x.example/", by)]).confidence(&trusted);
        assert_eq!(confidence("gate"), Confidence::Attested);
        assert_eq!(confidence(""), Confidence::Asserted);
    }

    /// Vectors O1 to O5, made with Python and Node; `testdata/SOURCES.md`.
    #[test]
    fn digests_as_the_reference_does() {
        let o1 = [
            ("https://docs.example.com/api/v2", "substrate/lease-gate"),
            ("context://repo/example-org/example-repo#pkg/example", ""),
        ];
        assert_eq!(
            digest(&o1),
            "f3ad11fc82dfec58b1cb19ee81e442c78518d6a5b2764d38bce051fc33112b4e"
        );
        let o2 = [
            ("https://x.example/", "cloister/lease-gate"),
            ("https://x.example/", ""),
            ("https://x.example/", ""),
        ];
        assert_eq!(
            digest(&o2),
            "3e30eb8a9d065a7a78c17f1aac52bdf549513093cec54748c11673052bd4bd82"
        );
        let peer = format!("interlace:peer/sha256:{}", "a".repeat(64));
        assert_eq!(
            digest(&[("https://x.example/", &peer)]),
            "c2d3fb3cf2b685cd9df8c4ec8686e2f44956e84737e99e58e89a0af316c873f0"
        );
        assert_eq!(
            digest(&[("https://ex.example/café?q=\"a\\b\"\n", "")]),
            "bc7aa4e887105c265abe73e43870fb702f0093780b5b95ef29bfc9bd1d70ef91"
        );
        assert_eq!(
            digest(&[
                ("https://a.example/\u{ff5e}", ""),
                ("https://a.example/\u{1f600}", "")
            ]),
            "37d643284fadeb66c85d4d31ea93c6b23d319f6ee3f09a0fa5993c9aa673e94f"
        );
    }

    #[test]
    fn a_list_is_found_in_whatever_letters() {
        for bad in [
            r#"{"a":[{"contentOrigins":[]}]}"#,
            r#"{"\u0063ontentOrigins":1}"#,
            r#"{"content\u004Frigins":{}}"#,
        ] {
            assert!(is_disclosed_in(bad.as_bytes()), "{bad}");
        }
        for good in [r#"{"a":"contentOrigins"}"#, r#"{"\u0061":1}"#, "{}"] {
            assert!(!is_disclosed_in(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn an_empty_set_has_no_digest() {
        assert_eq!(OriginSet::default().digest(), None);
    }

    #[test]
    fn refuses_what_is_over_the_limit_and_cuts_nothing() {
        let origin = Origin {
            uri: "https://x.example/".to_owned(),
            vouched_by: String::new(),
        };
        assert!(OriginSet::new(vec![origin.clone(); ENTRIES_MAX]).is_ok());
        // All the same, and still counted.
        let many = OriginSet::new(vec![origin; ENTRIES_MAX + 1]);
        assert!(matches!(many, Err(OriginError::Entries)));
        for uri in [String::new(), "x".repeat(TEXT_MAX + 1)] {
            let vouched_by = String::new();
            let one = OriginSet::new(vec![Origin { uri, vouched_by }]);
            assert!(matches!(one, Err(OriginError::Text)));
        }
        assert!(set(&[("https://x.example/é", "")]).check_ascii().is_err());
    }

    #[test]
    fn confidence_is_what_the_evaluator_makes_of_it() {
        let trusted = BTreeSet::from(["gate".to_owned()]);
        let all = set(&[("https://x.example/", "gate")]);
        let some = set(&[("https://x.example/", "gate"), ("https://y.example/", "")]);
        assert_eq!(all.confidence(&trusted), Confidence::Attested);
        assert_eq!(all.confidence(&BTreeSet::new()), Confidence::Asserted);
        assert_eq!(some.confidence(&trusted), Confidence::Asserted);
        let nothing = OriginSet::default();
        assert_eq!(nothing.confidence(&trusted), Confidence::Unknown);
    }
}
