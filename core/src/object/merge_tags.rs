//! Tags inside merges.

use super::{HashKind, headers::Headers};

/// The most tags that are read from one merge; more parents have come along with none.
pub const MERGE_TAGS_MAX: usize = 64;

/// Returns the raw tags in the `mergetag` headers of a raw commit, in order: nothing for what is no
/// merge, and what comes before the place for one that cannot be read.
pub fn merge_tags(raw: &[u8], hash: HashKind) -> Vec<Vec<u8>> {
    let mut tags = Vec::new();
    if !has_two_parents(raw, hash) {
        return tags;
    }
    let mut headers = Headers::new(raw);
    while let Ok(Some(header)) = headers.next()
        && tags.len() < MERGE_TAGS_MAX
    {
        if header.is("mergetag") {
            tags.push(header.unfolded());
        }
    }
    tags
}

/// Looks at the third line, without reading on: most commits are no merges.
fn has_two_parents(raw: &[u8], hash: HashKind) -> bool {
    let digits = match hash {
        HashKind::Sha1 => 40,
        HashKind::Sha256 => 64,
    };
    let third = "tree \n".len() + "parent \n".len() + 2 * digits;
    raw.get(third..)
        .is_some_and(|rest| rest.starts_with(b"parent "))
}
