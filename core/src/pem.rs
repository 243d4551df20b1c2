//! PEM of certificates and public keys (RFC 7468).
//!
//! Reading is lenient where real authorities are: with or without a final newline, LF or CRLF,
//! any line length, text before, between and after the blocks. Signature armor is stricter and
//! lives in [`crate::armor`].

use crate::base64;

const LINE: usize = 64;

/// Encodes one block: 64 columns and a final newline.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = base64::encode_wrapped(der, LINE);
    format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n")
}

/// Decodes every block that carries `label`, in order. Blocks with other labels are passed over.
///
/// # Errors
/// [`PemError`] when a block has no end, another begins inside it, or its contents are not base64.
pub fn decode_all(label: &str, text: &str) -> Result<Vec<Vec<u8>>, PemError> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim_end) {
        match &mut open {
            None if line == begin => open = Some(String::new()),
            None => {}
            Some(contents) if line == end => {
                blocks.push(base64::decode(contents).ok_or(PemError::Base64)?);
                open = None;
            }
            Some(_) if line.starts_with("-----") => return Err(PemError::Unterminated),
            Some(contents) => contents.push_str(line),
        }
    }
    if open.is_some() {
        return Err(PemError::Unterminated);
    }
    Ok(blocks)
}

/// The text is not PEM.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// A block has no matching end line.
    #[error("a PEM block has no end line")]
    Unterminated,
    /// The contents of a block are not canonical base64.
    #[error("a PEM block is not base64")]
    Base64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_what_others_write() {
        let der = vec![7; 100];
        let pem = encode("X", &der);
        assert_eq!(decode_all("X", &pem).unwrap(), std::slice::from_ref(&der));
        assert_eq!(
            decode_all("X", pem.trim_end()).unwrap(),
            std::slice::from_ref(&der)
        );
        let chatty = format!("subject=a\r\n{}\nmore\n{pem}", pem.replace('\n', "\r\n"));
        assert_eq!(decode_all("X", &chatty).unwrap(), [der.clone(), der]);
        assert!(decode_all("Y", &pem).unwrap().is_empty());
    }

    #[test]
    fn refuses_open_blocks_and_bad_base64() {
        for bad in [
            "-----BEGIN X-----\nAAAA\n",
            "-----BEGIN X-----\nAAAA\n-----BEGIN X-----\nAAAA\n-----END X-----\n",
            "-----BEGIN X-----\nAAA\n-----END X-----\n",
            "-----BEGIN X-----\nAAB=\n-----END X-----\n",
        ] {
            assert!(decode_all("X", bad).is_err(), "{bad:?}");
        }
    }
}
