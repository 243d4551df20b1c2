//! A strict, zero-copy DER reader: definite, minimal lengths; one-byte tags; nothing left over.

use der::{
    DateTime, Decode as _,
    asn1::{GeneralizedTime, UtcTime},
    oid::ObjectIdentifier,
};

use crate::time::UnixTime;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Returns the tag byte of a constructed, context-specific element.
pub(crate) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// The bytes are not the DER that the structure asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not strict DER of the expected shape")]
pub struct DerError;

/// One element: its tag, its contents, and the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
    pub(crate) raw: &'a [u8],
}

impl<'a> Element<'a> {
    /// Opens a constructed element.
    pub(crate) fn reader(self) -> Reader<'a> {
        Reader { rest: self.value }
    }

    /// Tells whether it is an OBJECT IDENTIFIER in its one form, each arc without a leading zero.
    pub(crate) fn is_oid(self) -> bool {
        let ends = |byte: &u8| byte & 0x80 == 0;
        let mut arcs = self.value.split_inclusive(ends);
        self.tag == OBJECT_IDENTIFIER
            && self.value.last().is_some_and(ends)
            && arcs.all(|arc| arc.first() != Some(&0x80))
    }

    /// Reads an OBJECT IDENTIFIER. Those of less than three arcs, or of very long ones, fail.
    pub(crate) fn oid(self) -> Result<ObjectIdentifier, DerError> {
        if !self.is_oid() {
            return Err(DerError);
        }
        ObjectIdentifier::from_bytes(self.value).map_err(|_| DerError)
    }

    /// Reads a non-negative INTEGER in its minimal form.
    pub(crate) fn unsigned(self) -> Result<u64, DerError> {
        let value = match (self.tag, self.value) {
            (INTEGER, [0]) => return Ok(0),
            (INTEGER, [0, rest @ ..]) if rest.first().is_some_and(|b| b & 0x80 != 0) => rest,
            (INTEGER, [first, ..]) if *first != 0 && first & 0x80 == 0 => self.value,
            _ => return Err(DerError),
        };
        if value.len() > 8 {
            return Err(DerError);
        }
        Ok(value.iter().fold(0, |n, b| (n << 8) | u64::from(*b)))
    }

    pub(crate) fn boolean(self) -> Result<bool, DerError> {
        match (self.tag, self.value) {
            (BOOLEAN, [0x00]) => Ok(false),
            (BOOLEAN, [0xff]) => Ok(true),
            _ => Err(DerError),
        }
    }

    /// Reads a BIT STRING that holds whole bytes.
    pub(crate) fn bit_string_bytes(self) -> Result<&'a [u8], DerError> {
        match (self.tag, self.value) {
            (BIT_STRING, [0, bytes @ ..]) => Ok(bytes),
            _ => Err(DerError),
        }
    }

    /// Reads a UTCTime or GeneralizedTime in the one form RFC 5280 4.1.2.5 allows.
    pub(crate) fn time(self) -> Result<UnixTime, DerError> {
        let at: DateTime = match self.tag {
            UTC_TIME => UtcTime::from_der(self.raw)
                .map_err(|_| DerError)?
                .to_date_time(),
            GENERALIZED_TIME => GeneralizedTime::from_der(self.raw)
                .map_err(|_| DerError)?
                .to_date_time(),
            _ => return Err(DerError),
        };
        Ok(UnixTime::from(at))
    }

    pub(crate) fn utf8(self) -> Result<&'a str, DerError> {
        if self.tag != UTF8_STRING {
            return Err(DerError);
        }
        std::str::from_utf8(self.value).map_err(|_| DerError)
    }
}

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads one element that must be all there is.
    pub(crate) fn only(bytes: &'a [u8], tag: u8) -> Result<Element<'a>, DerError> {
        let mut reader = Self::new(bytes);
        let element = reader.expect(tag)?;
        reader.finish()?;
        Ok(element)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next element, whatever it is.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, DerError> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(DerError)?;
        if tag & 0x1f == 0x1f {
            return Err(DerError);
        }
        let (&first, after_first) = after_tag.split_first().ok_or(DerError)?;
        let (length, body) = match first {
            0..=0x7f => (usize::from(first), after_first),
            0x81..=0x84 => {
                let (bytes, body) = after_first
                    .split_at_checked(usize::from(first & 0x7f))
                    .ok_or(DerError)?;
                let length = bytes.iter().fold(0usize, |n, b| (n << 8) | usize::from(*b));
                let shortest = length > 0x7f && bytes.first() != Some(&0);
                if !shortest {
                    return Err(DerError);
                }
                (length, body)
            }
            _ => return Err(DerError),
        };
        let (value, rest) = body.split_at_checked(length).ok_or(DerError)?;
        let (raw, _) = self
            .rest
            .split_at_checked(self.rest.len() - rest.len())
            .ok_or(DerError)?;
        self.rest = rest;
        Ok(Element { tag, value, raw })
    }

    /// Reads the next element, which must carry `tag`.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, DerError> {
        self.optional(tag)?.ok_or(DerError)
    }

    /// Reads the next element if it carries `tag`.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, DerError> {
        if self.rest.first() != Some(&tag) {
            return Ok(None);
        }
        self.any().map(Some)
    }

    /// Demands that nothing is left.
    pub(crate) fn finish(self) -> Result<(), DerError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DerError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_second_spellings_of_a_length() {
        for bad in [
            &[0x04, 0x81, 0x01, 0xaa][..],
            &[0x04, 0x82, 0x00, 0x01, 0xaa],
            &[0x04, 0x80, 0xaa, 0x00, 0x00],
            &[0x04, 0x02, 0xaa],
            &[0x1f, 0x01, 0xaa],
            &[0x04],
            &[],
        ] {
            assert!(Reader::new(bad).any().is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn integers_are_minimal_and_not_negative() {
        let read = |bytes: &[u8]| Reader::only(bytes, INTEGER).and_then(Element::unsigned);
        assert_eq!(read(&[2, 1, 0]), Ok(0));
        assert_eq!(read(&[2, 2, 0, 0x80]), Ok(128));
        for bad in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 1], &[2, 1, 0, 0]] {
            assert_eq!(read(bad), Err(DerError), "{bad:02x?}");
        }
    }
}
