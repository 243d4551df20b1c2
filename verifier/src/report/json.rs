//! JSON that can be shown on a terminal and in the log of a CI job: what would move a cursor, reorder
//! text or be a command there is written with JSON's own escapes, so that it reads as the same text.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use serde::Serialize;

use super::{COMMAND_ANYWHERE, is_deceptive};

/// Returns a value as JSON on one line, which a terminal can show.
///
/// # Errors
/// What the value's own serialization gives.
pub fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(shown(serde_json::to_string(value)?))
}

/// As [`to_json`], laid out on lines.
///
/// # Errors
/// As [`to_json`].
pub fn to_json_pretty(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(shown(serde_json::to_string_pretty(value)?))
}

/// Writes a value on one line.
pub(super) fn write(value: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    to.write_all(to_json(value)?.as_bytes())
}

/// Escapes what stands in the strings of a JSON text. Line feeds are between values only.
fn shown(json: String) -> String {
    // Strings are all that has a `#`. What has to begin a line, none of them can.
    let json = match json.contains(COMMAND_ANYWHERE) {
        true => json.replace(COMMAND_ANYWHERE, "#\\u0023["),
        false => json,
    };
    let is_meant = |c: char| c != '\n' && is_deceptive(c);
    if !json.contains(is_meant) {
        return json;
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if !is_meant(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Into a string, which takes everything.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}
