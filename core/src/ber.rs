//! BER to DER, once, at the door: gpgsm writes indefinite lengths.
//!
//! Only the encoding changes: indefinite and long-winded lengths become minimal ones, an OCTET
//! STRING in pieces becomes whole. Values are kept byte for byte, and the order of a SET is the
//! sender's, so signed attributes that were DER inside the BER stay what was signed.

use crate::{
    der_reader::{OCTET_STRING, SEQUENCE, SET},
    der_writer,
};

/// The longest input.
pub const BER_MAX: usize = 1 << 20;
/// How many constructed elements may be open at once.
const DEPTH_MAX: usize = 16;
const CONSTRUCTED: u8 = 0x20;
const STRING_IN_PIECES: u8 = OCTET_STRING | CONSTRUCTED;
const CLASS: u8 = 0xc0;
const TAG_NUMBER: u8 = 0x1f;
const INDEFINITE: u8 = 0x80;
const END_OF_CONTENTS: &[u8] = &[0, 0];

/// The bytes are not BER that we read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BerError {
    /// Longer than [`BER_MAX`].
    #[error("the BER message is longer than 1 MiB")]
    TooLarge,
    /// Nested deeper than any CMS message has to be.
    #[error("the BER message is nested too deeply")]
    TooDeep,
    /// Ends in the middle of an element, or of its length.
    #[error("the BER message is truncated")]
    Truncated,
    /// A tag with more than one byte, or a primitive of indefinite length, or a string type in
    /// pieces other than OCTET STRING.
    #[error("the BER message has an element of a form that is not read")]
    Form,
    /// Bytes follow the outermost element.
    #[error("data follows the BER message")]
    TrailingData,
}

/// Rewrites one BER element as DER.
///
/// # Errors
/// [`BerError`] when the bytes are not exactly one element, or are past the limits.
pub fn to_der(ber: &[u8]) -> Result<Vec<u8>, BerError> {
    if ber.len() > BER_MAX {
        return Err(BerError::TooLarge);
    }
    let mut rest = ber;
    let mut der = Vec::with_capacity(ber.len());
    copy_element(&mut rest, 0, &mut der)?;
    if !rest.is_empty() {
        return Err(BerError::TrailingData);
    }
    Ok(der)
}

/// What to do with each child of a constructed element.
type CopyChild = fn(&mut &[u8], usize, &mut Vec<u8>) -> Result<(), BerError>;

/// Reads one element and appends its DER.
fn copy_element(rest: &mut &[u8], depth: usize, der: &mut Vec<u8>) -> Result<(), BerError> {
    let tag = read_tag(rest)?;
    let length = read_length(rest)?;
    if tag & CONSTRUCTED == 0 {
        let contents = take(rest, length.ok_or(BerError::Form)?)?;
        der.extend(der_writer::element(tag, &[contents]));
        return Ok(());
    }
    let (tag, copy_child): (u8, CopyChild) = match tag {
        STRING_IN_PIECES => (OCTET_STRING, copy_piece),
        SEQUENCE | SET => (tag, copy_element),
        _ if tag & CLASS != 0 => (tag, copy_element),
        _ => return Err(BerError::Form),
    };
    // The header comes before contents whose length is known after them.
    let start = der.len();
    copy_children(rest, length, depth, copy_child, der)?;
    let contents = der.split_off(start);
    der.extend(der_writer::element(tag, &[&contents]));
    Ok(())
}

/// Reads one piece of an OCTET STRING, itself perhaps in pieces (X.690 8.7.3.2), and appends
/// what it holds.
fn copy_piece(rest: &mut &[u8], depth: usize, der: &mut Vec<u8>) -> Result<(), BerError> {
    let tag = read_tag(rest)?;
    let length = read_length(rest)?;
    match tag {
        OCTET_STRING => {
            der.extend_from_slice(take(rest, length.ok_or(BerError::Form)?)?);
            Ok(())
        }
        STRING_IN_PIECES => copy_children(rest, length, depth, copy_piece, der),
        _ => Err(BerError::Form),
    }
}

fn copy_children(
    rest: &mut &[u8],
    length: Option<usize>,
    depth: usize,
    copy_child: CopyChild,
    der: &mut Vec<u8>,
) -> Result<(), BerError> {
    if depth >= DEPTH_MAX {
        return Err(BerError::TooDeep);
    }
    let Some(length) = length else {
        while !rest.starts_with(END_OF_CONTENTS) {
            copy_child(rest, depth + 1, der)?;
        }
        take(rest, END_OF_CONTENTS.len())?;
        return Ok(());
    };
    let mut contents = take(rest, length)?;
    while !contents.is_empty() {
        copy_child(&mut contents, depth + 1, der)?;
    }
    Ok(())
}

fn read_tag(rest: &mut &[u8]) -> Result<u8, BerError> {
    let tag = take_byte(rest)?;
    if tag & TAG_NUMBER == TAG_NUMBER {
        return Err(BerError::Form);
    }
    Ok(tag)
}

/// Reads a length; `None` is the indefinite form.
fn read_length(rest: &mut &[u8]) -> Result<Option<usize>, BerError> {
    let first = take_byte(rest)?;
    if first == INDEFINITE {
        return Ok(None);
    }
    if first < INDEFINITE {
        return Ok(Some(usize::from(first)));
    }
    let digits = take(rest, usize::from(first & !INDEFINITE))?;
    let length = digits.iter().try_fold(0usize, |length, digit| {
        length
            .checked_mul(256)
            .map(|length| length | usize::from(*digit))
    });
    // A length past the address space is past the end of the input too.
    length.map(Some).ok_or(BerError::Truncated)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], BerError> {
    let (taken, after) = rest.split_at_checked(length).ok_or(BerError::Truncated)?;
    *rest = after;
    Ok(taken)
}

fn take_byte(rest: &mut &[u8]) -> Result<u8, BerError> {
    let (first, after) = rest.split_first().ok_or(BerError::Truncated)?;
    *rest = after;
    Ok(*first)
}
