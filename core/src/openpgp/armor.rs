//! OpenPGP armor (RFC 9580 section 6.2), read strictly: one block, nothing around it; but in a file
//! of keys, as many as there are.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{OpenPgpError, PACKETS_MAX};
use crate::lines::Lines;

/// What an armor holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ArmorKind {
    /// A detached signature.
    Signature,
    /// One or more public keys.
    PublicKeys,
}

impl ArmorKind {
    const fn label(self) -> &'static str {
        match self {
            Self::Signature => "PGP SIGNATURE",
            Self::PublicKeys => "PGP PUBLIC KEY BLOCK",
        }
    }

    /// Returns the line before the block, or the one after it.
    fn marker(self, word: &str) -> Vec<u8> {
        format!("-----{word} {}-----", self.label()).into_bytes()
    }
}

/// Tells whether a file of keys is text, as armor is: packets have the first bit set (RFC 9580
/// section 4.2).
pub(super) fn is_text(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii)
}

/// Writes the armor of `bytes`: 64 columns and the checksum that older readers want.
pub fn armor(kind: ArmorKind, bytes: &[u8]) -> String {
    let label = kind.label();
    let mut out = format!("-----BEGIN {label}-----\n\n");
    let mut rest = BASE64_STANDARD.encode(bytes);
    while rest.len() > COLUMNS {
        let tail = rest.split_off(COLUMNS);
        out.push_str(&rest);
        out.push('\n');
        rest = tail;
    }
    let [_, checksum @ ..] = crc24(bytes).to_be_bytes();
    let checksum = BASE64_STANDARD.encode(checksum);
    out.push_str(&format!("{rest}\n={checksum}\n-----END {label}-----\n"));
    out
}

/// Reads one armor, which must be all there is.
///
/// Headers (`Version:`, `Comment:`) are allowed and mean nothing. Lines end in LF or in CRLF. The
/// checksum may be absent (RFC 9580 section 6.1); when it is there it must match.
///
/// # Errors
/// [`OpenPgpError`] naming what is wrong with the armor.
pub fn dearmor(kind: ArmorKind, text: &[u8]) -> Result<Vec<u8>, OpenPgpError> {
    if text.len() > PACKETS_MAX {
        return Err(OpenPgpError::TooLarge);
    }
    let mut lines = Lines::new(text).map(without_ending);
    if lines.next() != Some(&kind.marker("BEGIN")) {
        return Err(OpenPgpError::ArmorBegin);
    }
    let bytes = read_block(kind, &mut lines, &mut Vec::with_capacity(text.len()))?;
    if lines.any(|line| !line.iter().all(u8::is_ascii_whitespace)) {
        return Err(OpenPgpError::ArmorTrailingData);
    }
    Ok(bytes)
}

/// Reads the packets of all armors in a text of any length, whatever stands between them. An armor
/// of another kind is an error.
pub(super) fn dearmor_all(kind: ArmorKind, text: &[u8]) -> Result<Vec<u8>, OpenPgpError> {
    let mut lines = Lines::new(text).map(without_ending);
    let begin = kind.marker("BEGIN");
    let (mut packets, mut body) = (Vec::new(), Vec::with_capacity(text.len()));
    while let Some(line) = lines.next() {
        if line == begin {
            packets.extend(read_block(kind, &mut lines, &mut body)?);
        } else if line.starts_with(b"-----BEGIN ") {
            return Err(OpenPgpError::ArmorBegin);
        }
    }
    match packets.is_empty() {
        true => Err(OpenPgpError::ArmorBegin),
        false => Ok(packets),
    }
}

/// Reads the rest of an armor, from behind its first line to its last. What is in `body` is gone.
fn read_block<'t>(
    kind: ArmorKind,
    lines: &mut impl Iterator<Item = &'t [u8]>,
    body: &mut Vec<u8>,
) -> Result<Vec<u8>, OpenPgpError> {
    loop {
        match lines.next() {
            Some([]) => break,
            Some(line) if is_header(line) => {}
            Some(_) | None => return Err(OpenPgpError::ArmorHeader),
        }
    }
    let end = kind.marker("END");
    let mut checksum = None;
    body.clear();
    loop {
        let line = lines.next().ok_or(OpenPgpError::ArmorEnd)?;
        if line == end {
            break;
        }
        match (line, checksum) {
            ([b'-', ..], _) => return Err(OpenPgpError::ArmorEnd),
            ([b'=', digits @ ..], None) => checksum = Some(digits),
            ([], _) | (_, Some(_)) => return Err(OpenPgpError::ArmorBody),
            (line, None) if line.len() <= COLUMNS_MAX => body.extend_from_slice(line),
            (_, None) => return Err(OpenPgpError::ArmorBody),
        }
    }
    let bytes = BASE64_STANDARD
        .decode(body)
        .map_err(|_| OpenPgpError::ArmorBody)?;
    if let Some(digits) = checksum {
        let [_, expected @ ..] = crc24(&bytes).to_be_bytes();
        if BASE64_STANDARD.decode(digits).as_deref() != Ok(&expected) {
            return Err(OpenPgpError::ArmorChecksum);
        }
    }
    Ok(bytes)
}

fn without_ending(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Tells whether a line is `Key: value`; the value may be empty.
fn is_header(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let (name, rest) = line.split_at(colon);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    !name.is_empty() && name.iter().all(is_name) && (rest == b":" || rest.starts_with(b": "))
}

/// The checksum of RFC 9580 section 6.1.1, four bytes at a time: one by one, each waits for the
/// one before it, which takes longer than reading the packets.
fn crc24(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks();
    let crc = words.iter().fold(CRC_START, |crc, word| {
        let parts = ((crc << 8) ^ u32::from_be_bytes(*word)).to_be_bytes();
        let remainders = parts.iter().zip(CRC_TABLES.iter().rev());
        remainders.fold(0, |crc, (part, table)| crc ^ remainder(table, *part))
    });
    rest.iter().fold(crc, |crc, byte| {
        let [_, high, ..] = crc.to_be_bytes();
        let [table, ..] = &CRC_TABLES;
        ((crc << 8) & CRC_MASK) ^ remainder(table, high ^ byte)
    })
}

fn remainder(table: &[u32; 256], byte: u8) -> u32 {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

const CRC_START: u32 = 0x00b7_04ce;
const CRC_MASK: u32 = 0x00ff_ffff;

/// What is left of each byte in front of 24 zero bits, and of 32, 40 and 48.
#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "evaluated by the compiler, which would refuse an index outside"
)]
const CRC_TABLES: [[u32; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 16;
        let mut bit = 0;
        while bit < 32 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
            bit += 1;
            if bit % 8 == 0 {
                tables[bit / 8 - 1][byte] = crc;
            }
        }
        byte += 1;
    }
    tables
};

const COLUMNS: usize = 64;
/// "Encoded lines are at most 76 characters long" (RFC 9580 section 6.3).
const COLUMNS_MAX: usize = 76;

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, as RFC 9580 section 6.1.1 has it.
    fn naive(bytes: &[u8]) -> u32 {
        bytes.iter().fold(CRC_START, |crc, byte| {
            (0..8).fold(crc ^ (u32::from(*byte) << 16), |crc, _| match crc << 1 {
                crc if crc & 0x0100_0000 == 0 => crc,
                crc => crc ^ 0x0186_4cfb,
            })
        })
    }

    #[test]
    fn four_bytes_at_a_time_are_the_checksum() {
        let bytes: Vec<u8> = (0..=255).rev().chain(0..=255).collect();
        for start in 0..4 {
            for end in start..bytes.len() {
                let bytes = bytes.get(start..end).unwrap();
                assert_eq!(crc24(bytes), naive(bytes));
            }
        }
    }
}
