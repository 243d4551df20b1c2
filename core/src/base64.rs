//! Base64: standard alphabet out; both alphabets in where a format says so.

use base64::{
    Engine as _,
    alphabet::{STANDARD as STANDARD_ALPHABET, URL_SAFE as URL_ALPHABET},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_ANY: GeneralPurpose = GeneralPurpose::new(&STANDARD_ALPHABET, ANY_PADDING);
const URL_ANY: GeneralPurpose = GeneralPurpose::new(&URL_ALPHABET, ANY_PADDING);

/// Encodes with the standard alphabet and padding (RFC 4648 section 4).
pub fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Encodes with the URL alphabet, unpadded (RFC 4648 section 5).
pub fn encode_url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Encodes as [`encode`] does, in lines of so many columns, each with its line feed.
pub(crate) fn encode_wrapped(bytes: &[u8], columns: usize) -> String {
    let text = encode(bytes);
    let mut wrapped = String::with_capacity(text.len() + text.len() / columns + 1);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(columns).unwrap_or((rest, ""));
        wrapped.push_str(line);
        wrapped.push('\n');
        rest = after;
    }
    wrapped
}

/// Decodes the canonical standard form only; `None` for anything else.
pub fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// Decodes the canonical URL form without padding only, as JOSE has it (RFC 7515 section 2).
pub fn decode_url(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes either alphabet, padded or not.
pub fn decode_any(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) {
        URL_ANY
    } else {
        STANDARD_ANY
    };
    engine.decode(text).ok()
}
