//! The patterns of ssh_config(5): `*`, `?`, and lists with `!`.

/// Tells whether `text` matches one pattern: `*` stands for any bytes, `?` for one.
///
/// Remembers the last `*` only, as more never helps: cost is at most the product of the lengths.
pub fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut text, mut pattern) = (text, pattern);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (text.split_first(), pattern.split_first()) {
            (_, Some((b'*', rest))) => {
                if rest.is_empty() {
                    return true;
                }
                pattern = rest;
                retry = Some((text, rest));
                continue;
            }
            (None, None) => return true,
            (Some((have, text_rest)), Some((want, pattern_rest)))
                if *want == b'?' || want == have =>
            {
                (text, pattern) = (text_rest, pattern_rest);
                continue;
            }
            (None, Some(_)) | (Some(_), None | Some(_)) => {}
        }
        // Let the last `*` stand for one byte more.
        let Some((from, after)) = retry else {
            return false;
        };
        let Some((_, shorter)) = from.split_first() else {
            return false;
        };
        retry = Some((shorter, after));
        (text, pattern) = (shorter, after);
    }
}

/// Tells whether `text` matches a list: some pattern of it, and none that is negated with `!`.
pub fn matches_list(text: &[u8], list: &[u8]) -> bool {
    let mut found = false;
    // After the last comma there is no pattern, unlike before and between.
    for pattern in list.split_inclusive(|byte| *byte == b',') {
        let pattern = pattern.strip_suffix(b",").unwrap_or(pattern);
        match pattern.strip_prefix(b"!") {
            Some(negated) if matches(text, negated) => return false,
            Some(_) => {}
            None => found |= matches(text, pattern),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_openssh_does() {
        for (text, pattern, expected) in [
            ("a@x", "a@x", true),
            ("a@x", "*@x", true),
            ("a@x", "*", true),
            ("", "*", true),
            ("", "", true),
            ("", "?", false),
            ("ab", "a?", true),
            ("a", "a?", false),
            ("abc", "a*b*c", true),
            ("abcbd", "a*bd", true),
            ("abcb", "a*bd", false),
            ("A", "a", false),
            ("*", "?", true),
        ] {
            let found = matches(text.as_bytes(), pattern.as_bytes());
            assert_eq!(found, expected, "{text} {pattern}");
        }
    }

    #[test]
    fn negation_wins_wherever_it_stands() {
        assert!(matches_list(b"a@x", b"*@y,*@x"));
        assert!(!matches_list(b"a@x", b"*,!a@x"));
        assert!(!matches_list(b"a@x", b"!a@x,*"));
        assert!(!matches_list(b"a@x", b"!b@x"));
    }

    #[test]
    fn many_stars_end_soon() {
        let text = [b'a'; 2000];
        let pattern = [b"*a".repeat(200), b"b".to_vec()].concat();
        assert!(!matches(&text, &pattern));
    }
}
