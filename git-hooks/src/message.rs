//! The message of a commit: whether there is one, and which commits it was squashed from.

/// Tells whether anything but comments is there: git takes a commit back whose message is empty,
/// and a trailer of ours must not make it one that is not.
pub fn has_text(message: &str) -> bool {
    let lines = message
        .lines()
        .take_while(|line| !line.starts_with(SCISSORS));
    lines
        .map(str::trim)
        .any(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Tells whether a message that git wrote, or was given, stands already when
/// `prepare-commit-msg` is asked: with the other sources an editor comes first, and `commit-msg`
/// later.
pub fn is_given(source: Option<&str>) -> bool {
    matches!(source, Some("message" | "merge" | "squash" | "commit"))
}

/// Returns the commits that `git merge --squash` put together, from the message that it prepared.
pub fn squashed(message: &str) -> Vec<String> {
    let ids = message
        .lines()
        .filter_map(|line| line.strip_prefix("commit "));
    let is_id =
        |id: &&str| matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    ids.filter(is_id).map(str::to_owned).collect()
}

/// The line below which everything is cut off (`git commit --verbose`).
const SCISSORS: &str = "# ------------------------ >8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_text() {
        assert!(has_text("# a\n\nsubject\n"));
        assert!(!has_text("\n# a\n#\n  \n"));
        assert!(!has_text("# ------------------------ >8 ----\ndiff\n"));
    }

    #[test]
    fn finds_what_was_squashed() {
        let id = "0123456789012345678901234567890123456789";
        let message = format!(
            "Squashed commit of the following:\n\ncommit {id}\nAuthor: x\n\n    commit all\n"
        );
        assert_eq!(squashed(&message), [id]);
    }
}
