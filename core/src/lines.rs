//! Lines of raw bytes, found without looking at one byte at a time.

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
        let length = find_byte(self.rest, b'\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(line)
    }
}

/// Returns where `needle` is first.
///
/// Whether a block has it is asked of the whole block at once, which compiles to vector
/// compares; a plain `position` looks at each byte and is several times slower.
fn find_byte(haystack: &[u8], needle: u8) -> Option<usize> {
    let (blocks, tail) = haystack.as_chunks::<BLOCK>();
    let mut offset = 0;
    for block in blocks {
        if block
            .iter()
            .fold(false, |found, byte| found | (*byte == needle))
        {
            let within = block.iter().position(|byte| *byte == needle)?;
            return Some(offset + within);
        }
        offset += BLOCK;
    }
    let within = tail.iter().position(|byte| *byte == needle)?;
    Some(offset + within)
}

const BLOCK: usize = 32;

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
