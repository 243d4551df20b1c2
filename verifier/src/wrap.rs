//! Lines of text no wider than a terminal.

use std::borrow::Cow;

/// Columns of a terminal that nobody widened.
pub(crate) const WIDTH: usize = 80;

/// Breaks a text at its spaces so that no line is wider than [`WIDTH`], if words allow; each line
/// but the first begins with `indent` spaces. `column` is where the text begins.
pub(crate) fn wrap(text: &str, column: usize, indent: usize) -> Cow<'_, str> {
    if column + text.chars().count() <= WIDTH {
        return text.into();
    }
    let mut wrapped = String::with_capacity(text.len());
    let mut at = column;
    for word in text.split(' ') {
        let width = word.chars().count();
        let is_first = wrapped.is_empty();
        if !is_first && at + 1 + width > WIDTH {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            at = indent;
        } else if !is_first {
            wrapped.push(' ');
            at += 1;
        }
        wrapped.push_str(word);
        at += width;
    }
    wrapped.into()
}
