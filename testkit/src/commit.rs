//! Raw commit objects, written by hand.

use notme_core::time::UnixTime;

use crate::clock::NOW;

/// What a commit says; every field may be changed before [`CommitSpec::payload`].
#[derive(Clone, Debug)]
pub struct CommitSpec {
    /// The tree's object id.
    pub tree: String,
    /// The parents' object ids.
    pub parents: Vec<String>,
    /// Author and committer date.
    pub at: UnixTime,
    /// Author and committer.
    pub person: String,
    /// The message.
    pub message: String,
}

impl CommitSpec {
    /// Returns a root commit of `tree`, made by the test person at [`NOW`].
    pub fn new(tree: &str) -> Self {
        Self {
            tree: tree.to_owned(),
            parents: Vec::new(),
            at: NOW,
            person: "Test <test@example.invalid>".to_owned(),
            message: "a change\n".to_owned(),
        }
    }

    /// Returns the object bytes without a signature: what gets signed.
    pub fn payload(&self) -> Vec<u8> {
        let Self {
            tree,
            at,
            person,
            message,
            ..
        } = self;
        let parents: String = self
            .parents
            .iter()
            .map(|parent| format!("parent {parent}\n"))
            .collect();
        let at = at.secs();
        format!(
            "tree {tree}\n{parents}author {person} {at} +0000\ncommitter {person} {at} +0000\n\n{message}"
        )
        .into_bytes()
    }
}

/// Returns a commit payload with a signature header added as git adds it: last, continuation
/// lines indented by one space.
///
/// # Panics
/// When the payload has no blank line after its headers.
pub fn with_signature(payload: &[u8], header: &str, signature: &str) -> Vec<u8> {
    let end_of_headers = payload
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .expect("a commit has a blank line after its headers");
    let (headers, message) = payload.split_at(end_of_headers + 1);
    let folded = signature.trim_end_matches('\n').replace('\n', "\n ");
    [headers, format!("{header} {folded}\n").as_bytes(), message].concat()
}
