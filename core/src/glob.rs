//! Patterns of identities and claims.

use std::fmt;

/// A pattern in which `*` stands for any run of characters, slashes included, and everything
/// else for itself.
///
/// An identity is opaque, so its slashes mean nothing to a pattern: write `wimse://td/agent/*`
/// with the slash before the star, or `wimse://td/agentsmith` matches too.
#[derive(Clone, Debug)]
pub struct Glob(Box<str>);

impl Glob {
    /// Wraps a pattern; every text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Tells whether it stands for itself and for nothing else.
    pub fn is_literal(&self) -> bool {
        !self.0.contains('*')
    }

    /// Tells whether it speaks of one place: all that fits is there, or below it.
    pub fn is_within(&self, place: &str) -> bool {
        let begin = self.0.split('*').next().unwrap_or_default();
        begin
            .strip_prefix(place)
            .is_some_and(|rest| rest.starts_with('/') || rest.is_empty() && self.is_literal())
    }

    /// Tells whether the whole of `text` fits.
    ///
    /// The first part must begin the text and the last must end it; each part between takes the
    /// first place that is left, which never spoils a later one. No backtracking: time is at most
    /// the product of the lengths.
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return *self.0 == *text;
        };
        let Some(text) = text.strip_prefix(first) else {
            return false;
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(mut text) = text.strip_suffix(last) else {
            return false;
        };
        for part in middle.split('*') {
            let Some((_, after)) = text.split_once(part) else {
                return false;
            };
            text = after;
        }
        true
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_matches_any_run_with_slashes() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "wimse://a/b", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a/b/c", true),
            ("a*b*c", "acb", false),
            ("a*b*b*c", "abc", false),
            ("a*b*b*c", "abbc", true),
            ("a**c", "ac", true),
            ("wimse://td/agent/*", "wimse://td/agent/alice/claude", true),
            ("wimse://td/agent/*", "wimse://td/agentsmith", false),
            ("a?c", "abc", false),
            ("abc", "abcd", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), fits, "{pattern} {text}");
        }
    }
}
