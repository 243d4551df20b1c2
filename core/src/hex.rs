//! Lower-case hexadecimal, the only spelling we write or accept.

/// Encodes bytes as lower-case hex.
pub fn encode(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Decodes lower-case hex; `None` for anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    base16ct::lower::decode_vec(text).ok()
}

/// Decodes exactly `N` bytes of lower-case hex.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    base16ct::lower::decode(text, &mut bytes).ok()?;
    Some(bytes)
}
