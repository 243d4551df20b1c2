//! The message of a commit: where it ends, what is no comment in it, and which commits it was squashed from.

/// Returns a message without what `git commit --verbose` shows below it.
pub fn above_diff(message: &str) -> &str {
    let lines = message.split_inclusive('\n');
    let above = lines.take_while(|line| !line.trim_end().ends_with(SCISSORS));
    let end = above.map(str::len).sum();
    message.get(..end).unwrap_or(message)
}

/// Tells whether git's words for whoever edits a message stand below it: comments, one of which is empty, or
/// a diff.
pub fn has_template(message: &str) -> bool {
    let above = above_diff(message);
    let lines = above.trim_end().lines().rev();
    let comments: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let begin = |line: &&str| line.chars().next();
    let first = comments.first().and_then(begin);
    let is_empty = |line: &&str| line.len() == 1 && !line.starts_with(char::is_alphanumeric);
    above.len() < message.len()
        || comments.iter().any(is_empty) && comments.iter().all(|it| begin(it) == first)
}

/// Returns a character with which no line of a message begins, for git to take no line for a comment.
pub fn comment_char(message: &str) -> Option<char> {
    let is_free = |c: &char| message.lines().all(|line| !line.starts_with(*c));
    "#;@!$%^&|:".chars().find(is_free)
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
const SCISSORS: &str = "------------------------ >8 ------------------------";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_no_text() {
        let message = format!("a\n; {SCISSORS}\ndiff\n");
        assert_eq!(above_diff(&message), "a\n");
        assert_eq!(above_diff("a\nb"), "a\nb");
    }

    #[test]
    fn what_git_says_below_a_message_is_a_template() {
        assert!(has_template("a\n\n# Please enter\n#\n# On branch\n"));
        assert!(has_template(&format!("a\n# {SCISSORS}\ndiff\n")));
        for message in ["#1\n", "a\n\n# Conflicts:\n#\tb\n", "a\n\n-\nb\n", ""] {
            assert!(!has_template(message), "{message}");
        }
    }

    #[test]
    fn a_comment_begins_as_no_line_does() {
        assert_eq!(comment_char("a # b\n"), Some('#'));
        assert_eq!(comment_char("#1\n\n; b\n"), Some('@'));
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
