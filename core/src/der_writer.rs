//! Writes DER elements from their parts.

use der::oid::ObjectIdentifier;

use crate::{
    der_reader::{GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, UTC_TIME},
    time::UnixTime,
};

/// The first year that UTCTime cannot write (RFC 5280 4.1.2.5).
const GENERALIZED_FROM_YEAR: u16 = 2050;

/// Writes one element whose contents are `parts`, one after the other.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    let bytes = length.to_be_bytes();
    let significant = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let digits = bytes.get(significant..).unwrap_or_default();
    match digits {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend_from_slice(long);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

pub(crate) fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    element(OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

/// Writes a non-negative INTEGER from big-endian bytes, in its minimal form.
pub(crate) fn unsigned(big_endian: &[u8]) -> Vec<u8> {
    let start = big_endian.iter().position(|b| *b != 0);
    let digits = start.and_then(|at| big_endian.get(at..)).unwrap_or(&[0]);
    match digits.first() {
        Some(first) if first & 0x80 != 0 => element(INTEGER, &[&[0], digits]),
        _ => element(INTEGER, &[digits]),
    }
}

/// Writes a Time as RFC 5280 4.1.2.5 wants it; `None` before 1970 and after 9999.
pub(crate) fn time(at: UnixTime) -> Option<Vec<u8>> {
    if at.to_calendar()?.year() >= GENERALIZED_FROM_YEAR {
        return generalized_time(at);
    }
    Some(element(UTC_TIME, &[time_text(at)?.as_bytes().get(2..)?]))
}

/// Writes a GeneralizedTime, whatever the year; `None` before 1970 and after 9999.
pub(crate) fn generalized_time(at: UnixTime) -> Option<Vec<u8>> {
    Some(element(GENERALIZED_TIME, &[time_text(at)?.as_bytes()]))
}

fn time_text(at: UnixTime) -> Option<String> {
    let mut text = at.to_calendar()?.to_string();
    text.retain(|c| !"-:T".contains(c));
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times_as_rfc_5280_wants() {
        let written = |text: &str| time(text.parse().unwrap()).unwrap();
        assert_eq!(written("2049-12-31T23:59:59Z"), b"\x17\x0d491231235959Z");
        assert_eq!(written("2050-01-01T00:00:00Z"), b"\x18\x0f20500101000000Z");
    }

    #[test]
    fn writes_long_lengths_and_minimal_integers() {
        assert_eq!(element(4, &[&[0; 127]])[..2], [4, 127]);
        assert_eq!(element(4, &[&[0; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(element(4, &[&[0; 256]])[..4], [4, 0x82, 1, 0]);
        assert_eq!(unsigned(&[0, 0, 0, 1]), [2, 1, 1]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[]), [2, 1, 0]);
    }
}
