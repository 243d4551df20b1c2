//! The trailers of a commit message, as git finds them (`git interpret-trailers --parse
//! --no-divider`): whoever looks with git has to see what the verdict rests on.

use super::TRAILER;

/// So many heads are followed, each of so many bytes: one is a digest.
const HEADS_MAX: usize = 64;
const HEAD_MAX: usize = 1024;
/// What stands for more or longer ones: no digest, so that no chain holds it.
const TOO_MUCH: &str = "more heads, or longer ones, than anybody follows";

/// Where git cuts off what an editor showed beside the message.
const SCISSORS: &str = "# ------------------------ >8 ------------------------";
/// Lines that make a paragraph one of trailers, if a quarter of it is.
const GENERATED: [&str; 2] = ["Signed-off-by: ", "(cherry picked from commit "];

/// Reads the trailers that carry a chain's head.
pub(super) fn trailers(message: &[u8]) -> Vec<String> {
    // To git, a message ends with the first NUL.
    let message = message.split(|byte| *byte == 0).next();
    let text = String::from_utf8_lossy(message.unwrap_or_default());
    let mut found: Vec<String> = Vec::new();
    let mut last = Line::Other;
    for line in block(without_comments(&text)).split_terminator('\n') {
        if last != Line::Other && line.starts_with(is_space) {
            if let (Line::Meant, Some(value)) = (last, found.last_mut()) {
                value.push(' ');
                value.push_str(line.trim_matches(is_space));
            }
            continue;
        }
        last = match separated(line) {
            Some((name, value)) if name.eq_ignore_ascii_case(TRAILER) => {
                if found.len() == HEADS_MAX {
                    return vec![TOO_MUCH.to_owned()];
                }
                found.push(value.to_owned());
                Line::Meant
            }
            Some(_) => Line::Trailer,
            None => Line::Other,
        };
    }
    for value in &mut found {
        *value = value.trim_matches(is_space).to_owned();
    }
    match found.iter().any(|value| value.len() > HEAD_MAX) {
        true => vec![TOO_MUCH.to_owned()],
        false => found,
    }
}

/// What a line of the block is, which says what its continuations belong to.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Line {
    Meant,
    Trailer,
    Other,
}

/// Returns the lines of a text, and where each begins: one at a time, as there may be millions.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut end = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = end;
        end += line.len();
        (at, line.strip_suffix('\n').unwrap_or(line))
    })
}

/// Leaves out what git takes for no part of the message: comments and empty lines at its end, and
/// a list of conflicts there.
fn without_comments(text: &str) -> &str {
    let mut end = None;
    let mut in_conflicts = false;
    for (at, line) in lines(text) {
        if line == SCISSORS {
            return text.get(..end.unwrap_or(at)).unwrap_or_default();
        }
        if line.is_empty() || line.starts_with('#') {
            end = end.or(Some(at));
        } else if line == "Conflicts:" {
            in_conflicts = true;
            end = end.or(Some(at));
        } else if !(in_conflicts && line.starts_with('\t')) {
            (end, in_conflicts) = (None, false);
        }
    }
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// Returns the lines of the last paragraph, when it is one of trailers: all of it, or a quarter
/// when git made one of them. The first paragraph is the title, whatever it looks like.
fn block(text: &str) -> &str {
    let is_break = |line: &str| !line.starts_with('#') && is_blank(line);
    let title = lines(text).find(|(_, line)| is_break(line));
    let Some(text) = title.and_then(|(at, _)| text.get(at..)) else {
        return "";
    };
    let (mut trailers, mut others, mut continuations) = (0, 0, 0);
    let (mut is_generated, mut is_end) = (false, true);
    let mut start = text.len();
    for line in text.split_inclusive('\n').rev() {
        let after = start;
        start -= line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        if line.starts_with('#') {
            others += continuations;
            continuations = 0;
        } else if is_blank(line) {
            if is_end {
                continue;
            }
            others += continuations;
            let is_block = match is_generated {
                true => trailers * 3 >= others,
                false => trailers > 0 && others == 0,
            };
            let block = text.get(after..).filter(|_| is_block);
            return block.unwrap_or_default();
        } else {
            is_end = false;
            if GENERATED.iter().any(|prefix| line.starts_with(prefix)) {
                (trailers, continuations, is_generated) = (trailers + 1, 0, true);
            } else if separated(line).is_some() {
                (trailers, continuations) = (trailers + 1, 0);
            } else if line.starts_with(is_space) {
                continuations += 1;
            } else {
                others += 1 + continuations;
                continuations = 0;
            }
        }
    }
    ""
}

/// Takes a trailer apart.
fn separated(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let word = name.trim_end_matches([' ', '\t']);
    let mut bytes = word.bytes();
    let is_name = !word.is_empty() && bytes.all(|it| it.is_ascii_alphanumeric() || it == b'-');
    is_name.then(|| (word, value.trim_matches(is_space)))
}

fn is_blank(line: &str) -> bool {
    line.chars().all(is_space)
}

/// git's notion of white space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_trailers_of_the_last_paragraph_only() {
        let read = |text: &str| trailers(text.as_bytes());
        assert_eq!(read("s\n\nbody\n\nAgent-Chain: sha256:a\n"), ["sha256:a"]);
        assert_eq!(
            read("s\n\nSigned-off-by: x\nagent-chain : b\nAgent-Chain:c\n"),
            ["b", "c"]
        );
        assert!(read("Agent-Chain: a\n").is_empty());
        assert!(read("s\n\nAgent-Chain: a\n\nlater\n").is_empty());
        assert!(read("s\n\nAgent-Chains: a\n").is_empty());
    }
}
