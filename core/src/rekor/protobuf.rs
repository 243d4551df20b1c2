//! As much of the protocol buffers' encoding as the answer of a log needs: numbers and bytes.

use super::LogEntryError;

/// More fields than any answer has.
const FIELDS_MAX: usize = 128;

/// A message, taken apart. Fields that nobody asks for are passed over.
#[derive(Clone, Debug)]
pub(super) struct Message<'a>(Vec<(u64, Field<'a>)>);

#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, LogEntryError> {
        let (mut rest, mut fields) = (bytes, Vec::new());
        while !rest.is_empty() {
            let tag = varint(&mut rest)?;
            let field = match tag & 7 {
                0 => Field::Number(varint(&mut rest)?),
                2 => {
                    let length = usize::try_from(varint(&mut rest)?);
                    let length = length.map_err(|_| LogEntryError::Malformed)?;
                    let (value, after) =
                        (rest.split_at_checked(length)).ok_or(LogEntryError::Malformed)?;
                    rest = after;
                    Field::Bytes(value)
                }
                _ => return Err(LogEntryError::Malformed),
            };
            if fields.len() == FIELDS_MAX {
                return Err(LogEntryError::Malformed);
            }
            fields.push((tag >> 3, field));
        }
        Ok(Self(fields))
    }

    /// Returns a number, zero when it is absent. One that stands twice is none: readers differ.
    pub(super) fn number(&self, number: u64) -> Result<u64, LogEntryError> {
        match self.only(number)? {
            None => Ok(0),
            Some(Field::Number(value)) => Ok(value),
            Some(Field::Bytes(_)) => Err(LogEntryError::Malformed),
        }
    }

    /// Returns bytes that may stand once.
    pub(super) fn bytes(&self, number: u64) -> Result<Option<&'a [u8]>, LogEntryError> {
        match self.only(number)? {
            None => Ok(None),
            Some(Field::Bytes(value)) => Ok(Some(value)),
            Some(Field::Number(_)) => Err(LogEntryError::Malformed),
        }
    }

    /// Returns a text that may stand once.
    pub(super) fn text(&self, number: u64) -> Result<Option<&'a str>, LogEntryError> {
        let text = self.bytes(number)?.map(std::str::from_utf8);
        text.transpose().map_err(|_| LogEntryError::Malformed)
    }

    /// Returns bytes that may stand often.
    pub(super) fn all_bytes(&self, number: u64) -> Result<Vec<&'a [u8]>, LogEntryError> {
        let all = self.0.iter().filter(|(name, _)| *name == number);
        all.map(|(_, field)| match field {
            Field::Bytes(value) => Ok(*value),
            Field::Number(_) => Err(LogEntryError::Malformed),
        })
        .collect()
    }

    fn only(&self, number: u64) -> Result<Option<Field<'a>>, LogEntryError> {
        let mut all = self.0.iter().filter(|(name, _)| *name == number);
        match (all.next(), all.next()) {
            (Some((_, field)), None) => Ok(Some(*field)),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(LogEntryError::Malformed),
        }
    }
}

/// Reads seven bits a byte, the lowest first, of at most 64.
fn varint(rest: &mut &[u8]) -> Result<u64, LogEntryError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(LogEntryError::Malformed)?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(LogEntryError::Malformed)
}
