//! How entries are written: numbers of seven bits a byte, the low ones first; texts and bytes behind
//! their length.

use notme_core::time::UnixTime;

/// Writes an entry.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

/// Reads an entry; `None` where it is not what it should be.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while let (low, rest @ 1..) = (number & 0x7f, number >> 7) {
            self.0.push(u8::try_from(low).unwrap_or(0) | 0x80);
            number = rest;
        }
        self.0.push(u8::try_from(number).unwrap_or(0));
    }

    pub(crate) fn time(&mut self, at: UnixTime) {
        let secs = at.secs();
        // Negative ones between the others, so that small ones stay short.
        self.number((secs.cast_unsigned() << 1) ^ (secs >> 63).cast_unsigned());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.raw(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes whether there is something, and what.
    pub(crate) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub(crate) fn time(&mut self) -> Option<UnixTime> {
        let number = self.number()?;
        let secs = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        Some(UnixTime::from_secs(secs))
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.size()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Reads what [`Writer::maybe`] wrote.
    pub(crate) fn maybe<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    /// Tells whether all was read.
    pub(crate) const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written() {
        let mut writer = Writer::default();
        let numbers = [0, 1, 127, 128, 300, u64::MAX];
        let times = [0, 1, -1, 1_795_000_000, i64::MIN, i64::MAX];
        numbers.iter().for_each(|number| writer.number(*number));
        for secs in times {
            writer.time(UnixTime::from_secs(secs));
        }
        writer.text("ä");
        writer.maybe(Some(7), Writer::number);
        writer.maybe(None, Writer::number);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        for number in numbers {
            assert_eq!(reader.number(), Some(number));
        }
        for secs in times {
            assert_eq!(reader.time(), Some(UnixTime::from_secs(secs)));
        }
        assert_eq!(reader.text(), Some("ä"));
        assert_eq!(reader.maybe(Reader::number), Some(Some(7)));
        assert_eq!(reader.maybe(Reader::number), Some(None));
        assert!(reader.is_at_end());
    }

    #[test]
    fn refuses_what_ends_too_early_or_is_no_flag() {
        for bytes in [&[][..], &[0x80], &[0xff; 11]] {
            assert_eq!(Reader::new(bytes).number(), None);
        }
        assert_eq!(Reader::new(&[2, b'x']).text(), None);
        assert_eq!(Reader::new(&[1, 0xff]).text(), None);
        assert_eq!(Reader::new(&[2, 7]).maybe(Reader::number), None);
    }
}
