//! Lines of raw bytes.

use memchr::memchr;

/// Yields lines with their LF; only the last one may lack it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns what has not been read yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let length = memchr(b'\n', self.rest).map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_joined_are_the_bytes() {
        for length in 0..200 {
            for step in 1..70 {
                let bytes: Vec<u8> = (1..=length)
                    .map(|at| if at % step == 0 { b'\n' } else { b'x' })
                    .collect();
                let lines: Vec<_> = Lines::new(&bytes).collect();
                let naive: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                assert_eq!(lines, naive);
            }
        }
    }
}
