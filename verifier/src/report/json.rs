//! JSON that can be shown on a terminal: what would move a cursor or reorder text is written with
//! JSON's own escapes, so that it reads as the same text.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use serde::Serialize;

use super::is_deceptive;

/// Writes a value on one line.
pub(super) fn write(value: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::from)?;
    to.write_all(escape_json(&text).as_bytes())
}

/// Escapes a text of JSON. Such characters stand in strings only; a line ends in none.
pub fn escape_json(text: &str) -> Cow<'_, str> {
    let is_meant = |c: char| c != '\n' && is_deceptive(c);
    if !text.contains(is_meant) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_meant(c) {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            escaped.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}
