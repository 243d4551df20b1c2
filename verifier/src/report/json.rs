//! JSON that can be shown on a terminal: what would move a cursor or reorder text is written with
//! JSON's own escapes, so that it reads as the same text.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::is_deceptive;

/// Writes a value on one line.
pub(super) fn write(value: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(to, Plain);
    value.serialize(&mut serializer).map_err(io::Error::from)
}

struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_deceptive(*c)) {
            let (plain, after) = rest.split_at(at);
            to.write_all(plain.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(to, "\\u{unit:04x}")?;
            }
            rest = after.get(c.len_utf8()..).unwrap_or_default();
        }
        to.write_all(rest.as_bytes())
    }
}
