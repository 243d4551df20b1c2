//! in-toto links (github.com/in-toto/docs, in-toto-spec 1.0 section 4.3), as far as we sign any:
//! what went into a step and what came of it, by SHA-256.

use serde_json::Value;

use crate::{
    hex,
    json::{self, JsonError, Object},
    statement::STATEMENT_MAX,
};

/// The members of a link, each of which is there.
const MEMBERS: [&str; 7] = [
    "_type",
    "byproducts",
    "command",
    "environment",
    "materials",
    "name",
    "products",
];

/// Checks that a message is the canonical JSON of a link without command or environment: what an
/// agent ran is not for us to say. Text is printable ASCII, on whose canonical form all agree.
///
/// # Errors
/// [`LinkError`] naming the rule.
pub fn check_link(message: &[u8]) -> Result<(), LinkError> {
    if message.len() > STATEMENT_MAX {
        return Err(LinkError::TooLong);
    }
    let is_text = message.iter().all(|byte| (b' '..=b'~').contains(byte));
    let object = json::parse_object(message)?;
    if !is_text || json::canonical(&object)? != message {
        return Err(LinkError::Canonical);
    }
    match is_link(&object) {
        Some(true) => Ok(()),
        Some(false) | None => Err(LinkError::Members),
    }
}

/// `None` where a member is missing or of another kind.
fn is_link(object: &Object) -> Option<bool> {
    let members = |member: &str| object.get(member)?.as_object();
    let is_artifact = |digests: &Value| {
        let only = digests.as_object().filter(|it| it.len() == 1);
        let digest = only.and_then(|it| it.get("sha256")?.as_str());
        digest.and_then(hex::decode_array::<32>).is_some()
    };
    Some(
        object.keys().eq(MEMBERS)
            && object.get("_type")? == "link"
            && !object.get("name")?.as_str()?.is_empty()
            && object.get("command")?.as_array()?.is_empty()
            && members("environment")?.is_empty()
            && members("byproducts")?.values().all(Value::is_string)
            && members("materials")?.values().all(is_artifact)
            && members("products")?.values().all(is_artifact),
    )
}

/// The message is no link that is signed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Longer than a statement may be.
    #[error("the link is longer than {STATEMENT_MAX} bytes")]
    TooLong,
    /// Not JSON.
    #[error("the link is malformed: {0}")]
    Json(#[from] JsonError),
    /// Another spelling than the canonical one, or text that is not printable ASCII.
    #[error("the link is not canonical JSON in printable ASCII")]
    Canonical,
    /// Other members than a link's, or of another shape.
    #[error("the link has other members than it should")]
    Members,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"_type":"link","byproducts":{"statement":"sha256:0"},"command":[],"environment":{},"materials":{},"name":"dispatch","products":{"a":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}}}"#;

    #[test]
    fn takes_a_link_in_its_one_spelling() {
        assert!(check_link(GOOD.as_bytes()).is_ok());
    }

    #[test]
    fn refuses_what_is_no_link_or_says_more_than_we_do() {
        for (from, to) in [
            ("link", "layout"),
            ("\"dispatch\"", "\"\""),
            ("\"dispatch\"", "1"),
            ("[]", "[\"make\"]"),
            ("\"environment\":{}", "\"environment\":{\"a\":\"b\"}"),
            ("\"environment\":{}", "\"environment\":null"),
            ("\"environment\":{},", ""),
            ("\"sha256:0\"", "0"),
            ("\"sha256\"", "\"sha512\""),
            ("\"sha256\":\"00", "\"sha256\":\"0"),
            ("\"name\"", "\"more\":1,\"name\""),
        ] {
            let bad = GOOD.replace(from, to);
            assert_ne!(bad, GOOD);
            let error = check_link(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, LinkError::Members), "{bad}");
        }
        for (from, to) in [(":{}", ": {}"), ("dispatch", "é"), ("dispatch", "\\u0061")] {
            let bad = GOOD.replace(from, to);
            let error = check_link(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, LinkError::Canonical), "{bad}");
        }
        for bad in ["", "[]", "tree 0", "{}{}", "{\"a\":1,\"a\":1}"] {
            assert!(matches!(
                check_link(bad.as_bytes()),
                Err(LinkError::Json(_))
            ));
        }
        let long = vec![b' '; STATEMENT_MAX + 1];
        assert!(matches!(check_link(&long), Err(LinkError::TooLong)));
    }
}
