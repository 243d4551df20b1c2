//! The header part of an object: everything before the first empty line.

use super::ObjectError;
use crate::lines::Lines;

/// One header with its continuation lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    /// What stands before the first space, or the whole line when there is none.
    pub(super) name: &'a [u8],
    /// What follows that space, up to the final LF; later lines still have their own space.
    pub(super) value: &'a [u8],
    /// All of it, including the final LF.
    pub(super) raw: &'a [u8],
    /// Where `raw` begins in the object.
    pub(super) start: usize,
}

impl<'a> Header<'a> {
    /// Tells whether git takes the header out of a commit before it verifies.
    pub(super) fn is_signature(&self) -> bool {
        self.name.starts_with(b"gpgsig")
    }

    /// Tells whether it is the header `name`, with a value: git compares up to the space.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes() && self.raw.get(name.len()) == Some(&b' ')
    }

    /// Returns the value without the space that folds its later lines, with the final LF.
    pub(super) fn unfolded(&self) -> Vec<u8> {
        let value = self.raw.get(self.name.len() + 1..).unwrap_or_default();
        let mut unfolded = Vec::with_capacity(value.len());
        let mut lines = Lines::new(value);
        unfolded.extend_from_slice(lines.next().unwrap_or_default());
        for line in lines {
            unfolded.extend_from_slice(line.strip_prefix(b" ").unwrap_or(line));
        }
        unfolded
    }
}

/// Iterates over headers until the empty line.
pub(super) struct Headers<'a> {
    object: &'a [u8],
    lines: Lines<'a>,
    /// The line that ended the header before, already read.
    next_line: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    pub(super) fn new(object: &'a [u8]) -> Self {
        let mut lines = Lines::new(object);
        let next_line = lines.next();
        Self {
            object,
            lines,
            next_line,
        }
    }

    /// Returns where the next line starts.
    fn position(&self) -> usize {
        let pending = self.next_line.unwrap_or_default().len();
        self.object.len() - self.lines.rest().len() - pending
    }

    /// Reads the next header; `None` at the empty line or at the end.
    pub(super) fn next(&mut self) -> Result<Option<Header<'a>>, ObjectError> {
        let Some(first) = self.next_line else {
            return Ok(None);
        };
        if first == b"\n" {
            return Ok(None);
        }
        if first.starts_with(b" ") {
            return Err(ObjectError::MalformedHeader);
        }
        let start = self.position();
        let mut last = first;
        self.next_line = self.lines.next();
        while let Some(line) = self.next_line
            && line.starts_with(b" ")
        {
            last = line;
            self.next_line = self.lines.next();
        }
        if !last.ends_with(b"\n") {
            return Err(ObjectError::MalformedHeader);
        }
        let raw = self
            .object
            .get(start..self.position())
            .ok_or(ObjectError::MalformedHeader)?;
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        let line = first.strip_suffix(b"\n").unwrap_or(first);
        let name_length = line.iter().position(|byte| *byte == b' ');
        let (name, value) = match name_length.and_then(|at| text.split_at_checked(at)) {
            Some((name, value)) => (name, value.strip_prefix(b" ").unwrap_or(value)),
            None => (line, text.get(line.len()..).unwrap_or_default()),
        };
        Ok(Some(Header {
            name,
            value,
            raw,
            start,
        }))
    }

    /// Returns the message: what follows the empty line. The iteration must be at its end.
    pub(super) fn finish(self) -> Result<&'a [u8], ObjectError> {
        let (headers, rest) = self
            .object
            .split_at_checked(self.position())
            .ok_or(ObjectError::MalformedHeader)?;
        // A program in C would stop reading there.
        if headers.contains(&0) {
            return Err(ObjectError::NulInHeader);
        }
        Ok(rest.strip_prefix(b"\n").unwrap_or_default())
    }
}
