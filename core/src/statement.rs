//! in-toto Statement v1 (github.com/in-toto/attestation, spec/v1/statement.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    hex,
    json::{self, JsonError, Object},
};

/// The DSSE payload type of a statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The `_type` of the only version that we read and write.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The predicate type of a record of an agent's activity, which may be all that a key agent signs.
pub const ACTIVITY_TYPE: &str = "https://notme.bot/attestation/activity/v1";
/// The longest statement, in bytes.
pub const STATEMENT_MAX: usize = 1024 * 1024;
/// The most subjects of one statement.
pub const SUBJECTS_MAX: usize = 4096;

/// What is said of what. Read from bytes or about to be signed; nothing here is checked against
/// the world. Members that we do not know are kept.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(default)]
    predicate: Object,
    #[serde(flatten)]
    more: Object,
}

/// One thing that is spoken of.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Subject {
    /// Its name, for people; digests decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its digests, by algorithm: `gitCommit`, `gitTree`, `sha256`, …
    pub digest: BTreeMap<String, String>,
    /// What else is said of it.
    #[serde(flatten)]
    pub more: Object,
}

impl Subject {
    /// Names something by one digest.
    pub fn new(name: impl Into<String>, algorithm: &str, digest: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            digest: BTreeMap::from([(algorithm.to_owned(), digest.into())]),
            more: Object::new(),
        }
    }

    fn check(&self) -> Result<(), StatementError> {
        let wrong = |(algorithm, digest): (&String, &String)| {
            let lengths: &[usize] = match algorithm.as_str() {
                "gitCommit" | "gitTree" | "gitBlob" | "gitTag" => &[40, 64],
                "sha1" => &[40],
                "sha256" => &[64],
                "sha512" => &[128],
                _ => return digest.is_empty(),
            };
            !lengths.contains(&digest.len()) || hex::decode(digest).is_none()
        };
        if self.digest.is_empty() || self.digest.iter().any(wrong) {
            return Err(StatementError::Digest(
                self.name.clone().unwrap_or_default(),
            ));
        }
        Ok(())
    }
}

impl Statement {
    /// Says something of at least one subject.
    ///
    /// # Errors
    /// [`StatementError`] when it could not be read back.
    pub fn new(
        subject: Vec<Subject>,
        predicate_type: impl Into<String>,
        predicate: Object,
    ) -> Result<Self, StatementError> {
        let statement = Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject,
            predicate_type: predicate_type.into(),
            predicate,
            more: Object::new(),
        };
        statement.check()?;
        Ok(statement)
    }

    /// Reads the payload of an envelope.
    ///
    /// # Errors
    /// [`StatementError`] naming the rule.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        if payload.len() > STATEMENT_MAX {
            return Err(StatementError::TooLong);
        }
        let object = json::parse_object(payload)?;
        // First, so that another version is not called malformed.
        match object.get("_type").and_then(|kind| kind.as_str()) {
            Some(STATEMENT_TYPE) => {}
            kind => return Err(StatementError::Kind(kind.unwrap_or_default().to_owned())),
        }
        let statement: Self = json::read_object(&object)?;
        statement.check()?;
        Ok(statement)
    }

    /// Writes the payload, as canonical JSON.
    ///
    /// # Errors
    /// [`StatementError::TooLong`], and [`StatementError::Json`] for what JSON cannot say.
    pub fn to_payload(&self) -> Result<Vec<u8>, StatementError> {
        let payload = json::canonical(self)?;
        // What another reader would read otherwise is not to be signed.
        Self::parse(&payload)?;
        Ok(payload)
    }

    /// Returns what is spoken of.
    pub fn subjects(&self) -> &[Subject] {
        &self.subject
    }

    /// Returns what kind of thing is said. Compared as text, never fetched.
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// Returns what is said.
    pub fn predicate(&self) -> &Object {
        &self.predicate
    }

    /// Tells whether a digest is that of a subject.
    pub fn speaks_of(&self, algorithm: &str, digest: &str) -> bool {
        let is_meant = |subject: &Subject| {
            let stated = subject.digest.get(algorithm);
            stated.is_some_and(|stated| stated == digest)
        };
        self.subject.iter().any(is_meant)
    }

    /// Returns the digests of all subjects that have one of an algorithm.
    pub fn digests<'a>(&'a self, algorithm: &'a str) -> impl Iterator<Item = &'a str> {
        let digest = move |subject: &'a Subject| subject.digest.get(algorithm);
        self.subject.iter().filter_map(digest).map(String::as_str)
    }

    fn check(&self) -> Result<(), StatementError> {
        if self.subject.is_empty() || self.subject.len() > SUBJECTS_MAX {
            return Err(StatementError::Subjects);
        }
        // RFC 3986 section 3.1: what makes it a URI is the scheme and what follows it.
        let (scheme, rest) = self.predicate_type.split_once(':').unwrap_or_default();
        let is_uri = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && !rest.is_empty()
            && self.predicate_type.bytes().all(|c| c.is_ascii_graphic());
        if !is_uri {
            return Err(StatementError::PredicateType);
        }
        self.subject.iter().try_for_each(Subject::check)
    }
}

/// The bytes are not a statement that we read.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Longer than [`STATEMENT_MAX`].
    #[error("the statement is longer than {STATEMENT_MAX} bytes")]
    TooLong,
    /// Not the JSON of a statement.
    #[error("the statement is malformed: {0}")]
    Json(#[from] JsonError),
    /// Another type.
    #[error("`_type` is `{}`, not `{STATEMENT_TYPE}`", .0.escape_debug())]
    Kind(String),
    /// No subject, or too many.
    #[error("the statement has no subject, or more than {SUBJECTS_MAX}")]
    Subjects,
    /// A subject without a digest, or with one that is none.
    #[error("subject `{}` has no digest, or one that is not lower-case hex of its length", .0.escape_debug())]
    Digest(String),
    /// Not a URI.
    #[error("`predicateType` is not a URI")]
    PredicateType,
}

impl StatementError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Kind(_) => "statement-unknown-version",
            Self::TooLong
            | Self::Json(_)
            | Self::Subjects
            | Self::Digest(_)
            | Self::PredicateType => "statement-malformed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "d6cd1e2bd19e03a81132a23b2025920577f84e37";

    fn text(subject: &str, predicate_type: &str) -> String {
        format!(
            r#"{{"_type":"{STATEMENT_TYPE}","subject":{subject},"predicateType":"{predicate_type}","predicate":{{"b":1,"a":0.5}},"extra":[null]}}"#
        )
    }

    fn code(text: &str) -> &'static str {
        Statement::parse(text.as_bytes()).unwrap_err().code()
    }

    #[test]
    fn keeps_unknown_members_through_a_round_trip() {
        let subject =
            format!(r#"[{{"digest":{{"gitCommit":"{COMMIT}"}},"uri":"git+https://x.example/r"}}]"#);
        let statement =
            Statement::parse(text(&subject, "https://x.example/p/v1").as_bytes()).unwrap();
        assert!(statement.speaks_of("gitCommit", COMMIT));
        assert!(!statement.speaks_of("sha256", COMMIT));
        let written = String::from_utf8(statement.to_payload().unwrap()).unwrap();
        assert_eq!(
            written,
            format!(
                r#"{{"_type":"{STATEMENT_TYPE}","extra":[null],"predicate":{{"a":0.5,"b":1}},"predicateType":"https://x.example/p/v1","subject":[{{"digest":{{"gitCommit":"{COMMIT}"}},"uri":"git+https://x.example/r"}}]}}"#
            )
        );
    }

    #[test]
    fn refuses_what_is_no_statement() {
        let good = format!(r#"[{{"name":"c","digest":{{"gitCommit":"{COMMIT}"}}}}]"#);
        assert!(Statement::parse(text(&good, "https://x.example/p").as_bytes()).is_ok());
        for subject in [
            "[]".to_owned(),
            "{}".to_owned(),
            r#"[{"name":"c"}]"#.to_owned(),
            r#"[{"name":"c","digest":{}}]"#.to_owned(),
            r#"[{"name":"c","digest":{"other":""}}]"#.to_owned(),
            good.replace(COMMIT, &COMMIT.to_uppercase()),
            good.replace(COMMIT, &COMMIT[1..]),
        ] {
            assert_eq!(
                code(&text(&subject, "https://x.example/p")),
                "statement-malformed"
            );
        }
        for kind in ["", "p", "https:", "https://x.example/a b", "1a:b"] {
            assert_eq!(code(&text(&good, kind)), "statement-malformed");
        }
        let twice = text(&good, "https://x.example/p").replace(r#""b":1"#, r#""a":1"#);
        assert_eq!(code(&twice), "statement-malformed");
        let older = text(&good, "https://x.example/p").replace("/v1\"", "/v0.1\"");
        assert_eq!(code(&older), "statement-unknown-version");
        assert_eq!(code("{}"), "statement-unknown-version");
    }

    #[test]
    fn refuses_an_oversized_statement_before_it_is_read() {
        let long = vec![b' '; STATEMENT_MAX + 1];
        assert!(matches!(
            Statement::parse(&long),
            Err(StatementError::TooLong)
        ));
    }
}
