//! TSTInfo: what the authority signs.

use der::oid::ObjectIdentifier;

use super::{MessageImprint, TimeStampError};
use crate::{
    der_reader::{
        BOOLEAN, DerError, Element, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING,
        Reader, SEQUENCE, context,
    },
    der_writer::element,
    time::UnixTime,
};

/// id-ct-TSTInfo.
pub(super) const TST_INFO: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// RFC 3161 2.4.2: up to 160 bits.
const SERIAL_MAX: usize = 21;
/// Longer than any nonce.
pub(super) const NONCE_MAX: usize = 64;
/// More digits than any clock has.
const FRACTION_MAX: usize = 9;
/// Millis and micros count up to this.
const PART_MAX: u64 = 999;

/// A TSTInfo that is well-formed.
#[derive(Clone, Debug)]
pub(super) struct TstInfo<'a> {
    pub(super) policy: ObjectIdentifier,
    pub(super) imprint: MessageImprint,
    pub(super) serial: &'a [u8],
    /// The whole second.
    pub(super) at: UnixTime,
    /// Whether there was more than the whole second.
    pub(super) has_fraction: bool,
    /// In seconds, rounded up; zero when it says nothing.
    pub(super) accuracy: u32,
    pub(super) nonce: Option<&'a [u8]>,
}

impl<'a> TstInfo<'a> {
    pub(super) fn read(der: &'a [u8]) -> Result<Self, TimeStampError> {
        let mut fields = Reader::only(der, SEQUENCE)?.reader();
        if fields.expect(INTEGER)?.unsigned()? != 1 {
            return Err(TimeStampError::Version);
        }
        let policy = fields.expect(OBJECT_IDENTIFIER)?.oid()?;
        let imprint = MessageImprint::read(fields.expect(SEQUENCE)?)?;
        let serial = integer(fields.expect(INTEGER)?, SERIAL_MAX)?;
        let (at, has_fraction) = time(fields.expect(GENERALIZED_TIME)?)?;
        let accuracy = fields.optional(SEQUENCE)?.map(accuracy).transpose()?;
        // DER: a value that equals its DEFAULT is absent.
        if fields
            .optional(BOOLEAN)?
            .is_some_and(|flag| flag.boolean() != Ok(true))
        {
            return Err(DerError.into());
        }
        let nonce = fields.optional(INTEGER)?;
        // The authority's name: the certificate id says whose it is.
        fields.optional(context(0))?;
        if let Some(extensions) = fields.optional(context(1))? {
            check_extensions(extensions)?;
        }
        fields.finish()?;
        Ok(Self {
            policy,
            imprint,
            serial,
            at,
            has_fraction,
            accuracy: accuracy.unwrap_or(0),
            nonce: nonce.map(|nonce| integer(nonce, NONCE_MAX)).transpose()?,
        })
    }
}

/// Returns the contents of an INTEGER in its minimal form.
pub(super) fn integer(element: Element<'_>, longest: usize) -> Result<&[u8], DerError> {
    let minimal = match element.value {
        [] => false,
        [0, next, ..] => next & 0x80 != 0,
        [0xff, next, ..] => next & 0x80 == 0,
        [_, ..] => true,
    };
    if !minimal || element.value.len() > longest {
        return Err(DerError);
    }
    Ok(element.value)
}

/// Reads a GeneralizedTime that may have a fraction (RFC 3161 2.4.2): `Z` at the end, and no
/// fraction that ends in a zero.
fn time(at: Element<'_>) -> Result<(UnixTime, bool), DerError> {
    let text = at.value.strip_suffix(b"Z").ok_or(DerError)?;
    let Some(dot) = text.iter().position(|byte| *byte == b'.') else {
        return Ok((at.time()?, false));
    };
    let (whole, fraction) = text.split_at_checked(dot).ok_or(DerError)?;
    let digits = fraction.strip_prefix(b".").unwrap_or_default();
    let well_formed = digits.iter().all(u8::is_ascii_digit)
        && digits.last().is_some_and(|last| *last != b'0')
        && digits.len() <= FRACTION_MAX;
    if !well_formed {
        return Err(DerError);
    }
    let whole = element(GENERALIZED_TIME, &[whole, b"Z"]);
    Ok((Reader::only(&whole, GENERALIZED_TIME)?.time()?, true))
}

/// Reads an Accuracy as seconds, rounded up.
fn accuracy(element: Element<'_>) -> Result<u32, DerError> {
    const MILLIS: u8 = 0x80;
    const MICROS: u8 = 0x81;
    let mut fields = element.reader();
    let seconds = match fields.optional(INTEGER)? {
        Some(seconds) => u32::try_from(seconds.unsigned()?).map_err(|_| DerError)?,
        None => 0,
    };
    let mut is_more = false;
    for tag in [MILLIS, MICROS] {
        if let Some(part) = fields.optional(tag)? {
            let part = Element {
                tag: INTEGER,
                ..part
            };
            if !(1..=PART_MAX).contains(&part.unsigned()?) {
                return Err(DerError);
            }
            is_more = true;
        }
    }
    fields.finish()?;
    Ok(seconds.saturating_add(u32::from(is_more)))
}

fn check_extensions(list: Element<'_>) -> Result<(), TimeStampError> {
    let mut list = list.reader();
    while !list.is_empty() {
        let mut fields = list.expect(SEQUENCE)?.reader();
        let name = fields.any()?.oid()?;
        let critical = fields.optional(BOOLEAN)?;
        fields.expect(OCTET_STRING)?;
        fields.finish()?;
        match critical.map(Element::boolean).transpose()? {
            None => {}
            Some(true) => return Err(TimeStampError::UnknownCritical(name)),
            Some(false) => return Err(DerError.into()),
        }
    }
    Ok(())
}
