//! From claims to an identity.

use notme_core::identity::Identity;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::claim::Claim;

/// What follows `wimse://<trust domain>/` in an identity.
///
/// Each segment is plain text or one claim, `{claim}`; the last may be `{+claim}`, whose own
/// slashes separate segments. Other characters of claims are percent-encoded. So two different
/// sets of claims never make one identity, and none leaves its place.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(Vec<Segment>);

#[derive(Clone, Debug)]
enum Segment {
    Text(String),
    Claim(Claim),
    Path(Claim),
}

impl Template {
    /// Fills the template in.
    ///
    /// # Errors
    /// [`ExpandError`] when a claim is missing or cannot be part of an identity.
    pub(super) fn expand(
        &self,
        trust_domain: &str,
        claims: &Map<String, Value>,
    ) -> Result<Identity, ExpandError> {
        let mut uri = format!("wimse://{trust_domain}");
        for segment in &self.0 {
            match segment {
                Segment::Text(text) => {
                    uri.push('/');
                    uri.push_str(text);
                }
                Segment::Claim(claim) => {
                    let text = claim.text(claims).ok_or_else(|| ExpandError::of(claim))?;
                    push_segment(&mut uri, &text).ok_or_else(|| ExpandError::of(claim))?;
                }
                Segment::Path(claim) => {
                    let text = claim.text(claims).ok_or_else(|| ExpandError::of(claim))?;
                    text.split('/')
                        .try_for_each(|part| push_segment(&mut uri, part))
                        .ok_or_else(|| ExpandError::of(claim))?;
                }
            }
        }
        Identity::try_from(uri).map_err(|_| ExpandError("identity".to_owned()))
    }
}

/// Appends one segment, percent-encoded (RFC 3986 section 2.3); `None` for one that is empty or
/// means another place.
fn push_segment(uri: &mut String, text: &str) -> Option<()> {
    if matches!(text, "" | "." | "..") {
        return None;
    }
    uri.push('/');
    for byte in text.bytes() {
        match char::from(byte) {
            c if is_unreserved(c) => uri.push(c),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(())
}

/// Tells whether a template can become this. An agent's identity goes by the same characters.
pub(crate) fn is_path(text: &str) -> bool {
    let is_plain = |text: &str| text.chars().all(is_unreserved);
    let is_byte = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    let is_segment = |text: &str| {
        let mut parts = text.split('%');
        !text.is_empty()
            && parts.next().is_some_and(is_plain)
            && parts.all(|part| {
                let encoded = part.split_at_checked(2);
                encoded.is_some_and(|(byte, rest)| is_byte(byte) && is_plain(rest))
            })
    };
    text.split('/').all(is_segment)
}

const fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~')
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut segments = Vec::new();
        let mut rest = Some(text.as_str());
        while let Some(text) = rest {
            let (segment, after) = match text.strip_prefix('{') {
                None => {
                    let (plain, after) = match text.split_once('/') {
                        Some((plain, after)) => (plain, Some(after)),
                        None => (text, None),
                    };
                    if matches!(plain, "" | "." | "..") || !plain.chars().all(is_unreserved) {
                        return Err(TemplateError);
                    }
                    (Segment::Text(plain.to_owned()), after)
                }
                Some(text) => {
                    // The name may have slashes itself, when it is a pointer.
                    let (name, after) = text.split_once('}').ok_or(TemplateError)?;
                    let after = match after.strip_prefix('/') {
                        Some(after) => Some(after),
                        None if after.is_empty() => None,
                        None => return Err(TemplateError),
                    };
                    let claim =
                        |name: &str| Claim::try_from(name.to_owned()).map_err(|_| TemplateError);
                    let segment = match name.strip_prefix('+') {
                        None => Segment::Claim(claim(name)?),
                        Some(name) if after.is_none() => Segment::Path(claim(name)?),
                        Some(_) => return Err(TemplateError),
                    };
                    (segment, after)
                }
            };
            segments.push(segment);
            rest = after;
        }
        Ok(Self(segments))
    }
}

/// The text is not a template.
#[derive(Debug, thiserror::Error)]
#[error(
    "an identity is segments of plain text or `{{claim}}`, joined by `/`, of which the last may be `{{+claim}}`"
)]
pub(super) struct TemplateError;

/// A claim is missing or cannot be part of an identity.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ExpandError(String);

impl ExpandError {
    fn of(claim: &Claim) -> Self {
        Self(claim.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str, claims: Value) -> Option<String> {
        Template::try_from(template.to_owned())
            .unwrap()
            .expand("td", claims.as_object().unwrap())
            .ok()
            .map(Into::into)
    }

    #[test]
    fn claims_stay_in_their_place() {
        let one = |text: &str| expand("ci/{a}", serde_json::json!({ "a": text }));
        assert_eq!(one("x").unwrap(), "wimse://td/ci/x");
        assert_eq!(one("x/y").unwrap(), "wimse://td/ci/x%2Fy");
        assert_eq!(
            one("a b?#%é*").unwrap(),
            "wimse://td/ci/a%20b%3F%23%25%C3%A9%2A"
        );
        for bad in ["", ".", ".."] {
            assert_eq!(one(bad), None);
        }
        let path = |text: &str| expand("ci/{+a}", serde_json::json!({ "a": text }));
        assert_eq!(path("x/y/z").unwrap(), "wimse://td/ci/x/y/z");
        for bad in ["", "/x", "x/", "x//y", "x/../y", "x/./y"] {
            assert_eq!(path(bad), None, "{bad}");
        }
        assert_eq!(expand("ci/{a}", serde_json::json!({})), None);
        assert_eq!(one(&"x".repeat(2000)), None);
    }

    #[test]
    fn a_pointer_is_a_claim_too() {
        let claims = serde_json::json!({"kubernetes.io": {"namespace": "n", "pod": {"name": "p"}}});
        assert_eq!(
            expand(
                "k8s/{/kubernetes.io/namespace}/{/kubernetes.io/pod/name}",
                claims
            )
            .unwrap(),
            "wimse://td/k8s/n/p"
        );
    }

    #[test]
    fn refuses_templates_that_two_sets_of_claims_could_fit() {
        for bad in [
            "", "/a", "a/", "a//b", "a/..", "{a}{b}", "{a}-{b}", "x{a}", "{+a}/{b}", "{a", "a}",
            "{}", "{+}", "a b", "ä",
        ] {
            assert!(Template::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
