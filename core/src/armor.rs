//! Signature armor: which format a signature claims, and the text form of a CMS message.

use crate::base64;

use crate::lines::Lines;

/// The most bytes of armor we look at, in any format.
pub const ARMOR_MAX: usize = 1 << 20;

/// A signature format, as the first line of its armor names it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SignatureFormat {
    /// CMS (`gpg.format=x509`).
    Cms,
    /// SSHSIG (`gpg.format=ssh`).
    Ssh,
    /// OpenPGP (`gpg.format=openpgp`).
    OpenPgp,
}

impl SignatureFormat {
    /// Tells the format as git does: by what the first line starts with, so that we never judge
    /// in one format what git hands to the program of another.
    pub fn detect(signature: &[u8]) -> Option<Self> {
        label_of(signature).map(|label| label.format)
    }

    /// Returns the name that git's configuration has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cms => "x509",
            Self::Ssh => "ssh",
            Self::OpenPgp => "openpgp",
        }
    }
}

/// Armor that is not the one spelling of a CMS message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ArmorError {
    /// The first line is not `-----BEGIN SIGNED MESSAGE-----`.
    #[error("the signature does not begin as a CMS message")]
    UnknownFormat,
    /// Longer than [`ARMOR_MAX`].
    #[error("the signature is longer than 1 MiB")]
    TooLarge,
    /// The first line goes on after the label, or the lines end in different ways.
    #[error("the lines of the signature do not end as they began")]
    LineEnding,
    /// A line of the body is not 64 columns wide, or the last one is wider or empty.
    #[error("the body of the signature is not wrapped at 64 columns")]
    Columns,
    /// The end line is missing or is not that of the first line.
    #[error("the signature has no end line")]
    NoEnd,
    /// Bytes follow the end line.
    #[error("data follows the end of the signature")]
    TrailingData,
    /// The body is not canonical base64.
    #[error("the body of the signature is not canonical base64")]
    Base64,
}

impl ArmorError {
    /// Returns the closed code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat => "signature-unknown-format",
            Self::TooLarge => "signature-too-large",
            Self::TrailingData => "signature-ambiguous",
            Self::LineEnding | Self::Columns | Self::NoEnd | Self::Base64 => "signature-malformed",
        }
    }
}

/// Writes the armor of a CMS message: label `SIGNED MESSAGE`, 64 columns.
pub fn armor(der: &[u8]) -> String {
    let body = base64::encode_wrapped(der, COLUMNS);
    format!("{CMS_BEGIN}\n{body}{CMS_END}\n")
}

/// Reads the armor of a CMS message.
///
/// One message has one armor, give or take the line ending (LF or CRLF, the same throughout) and
/// the final one: no headers, no blank lines, 64 columns, zero padding bits, nothing after the
/// end line.
///
/// # Errors
/// [`ArmorError`] for every other spelling.
pub fn dearmor(signature: &[u8]) -> Result<Vec<u8>, ArmorError> {
    if signature.len() > ARMOR_MAX {
        return Err(ArmorError::TooLarge);
    }
    let after_label = signature
        .strip_prefix(CMS_BEGIN.as_bytes())
        .ok_or(ArmorError::UnknownFormat)?;
    let (ending, mut rest): (&[u8], _) = match after_label {
        [b'\n', rest @ ..] => (b"\n", rest),
        [b'\r', b'\n', rest @ ..] => (b"\r\n", rest),
        _ => return Err(ArmorError::LineEnding),
    };

    let mut body = Vec::with_capacity(rest.len());
    // A full line, then another one; the first line that is not full is the last one.
    while let Some((line, after)) = rest.split_at_checked(COLUMNS)
        && !line.contains(&b'\n')
        && !line.ends_with(b"\r")
    {
        body.extend_from_slice(line);
        rest = after.strip_prefix(ending).ok_or(ArmorError::Columns)?;
    }
    if !rest.starts_with(b"-") {
        let mut lines = Lines::new(rest);
        let line = lines.next().ok_or(ArmorError::NoEnd)?;
        let text = line.strip_suffix(ending).ok_or(ArmorError::LineEnding)?;
        if text.is_empty() {
            return Err(ArmorError::Columns);
        }
        body.extend_from_slice(text);
        rest = lines.rest();
    }

    let after_end = rest
        .strip_prefix(CMS_END.as_bytes())
        .ok_or(ArmorError::NoEnd)?;
    if !after_end.is_empty() && after_end != ending {
        return Err(ArmorError::TrailingData);
    }
    base64::decode(body).ok_or(ArmorError::Base64)
}

/// Tells whether something other than blank lines follows the end of the armor, or a second armor
/// begins inside it. Programs read the first armor and ignore the rest, so whoever put it there
/// could be read in two ways. Armor without an end has nothing after it: its reader refuses it.
pub(crate) fn has_trailing_data(signature: &[u8]) -> bool {
    let Some(label) = label_of(signature) else {
        return false;
    };
    let mut ended = false;
    for line in Lines::new(signature).skip(1) {
        if ended {
            if !line.iter().all(u8::is_ascii_whitespace) {
                return true;
            }
        } else if line.starts_with(b"-----") {
            if !line.starts_with(label.end.as_bytes()) {
                return true;
            }
            let rest = line.strip_prefix(label.end.as_bytes()).unwrap_or_default();
            if !rest.iter().all(u8::is_ascii_whitespace) {
                return true;
            }
            ended = true;
        }
    }
    false
}

struct Label {
    format: SignatureFormat,
    begin: &'static str,
    end: &'static str,
}

fn label_of(signature: &[u8]) -> Option<&'static Label> {
    if !signature.starts_with(b"-----BEGIN ") {
        return None;
    }
    LABELS
        .iter()
        .find(|label| signature.starts_with(label.begin.as_bytes()))
}

const COLUMNS: usize = 64;
const CMS_BEGIN: &str = "-----BEGIN SIGNED MESSAGE-----";
const CMS_END: &str = "-----END SIGNED MESSAGE-----";

/// The armors that git knows (gpg-interface.c), in the order of how often we meet them.
const LABELS: [Label; 4] = [
    Label {
        format: SignatureFormat::Cms,
        begin: CMS_BEGIN,
        end: CMS_END,
    },
    Label {
        format: SignatureFormat::Ssh,
        begin: "-----BEGIN SSH SIGNATURE-----",
        end: "-----END SSH SIGNATURE-----",
    },
    Label {
        format: SignatureFormat::OpenPgp,
        begin: "-----BEGIN PGP SIGNATURE-----",
        end: "-----END PGP SIGNATURE-----",
    },
    Label {
        format: SignatureFormat::OpenPgp,
        begin: "-----BEGIN PGP MESSAGE-----",
        end: "-----END PGP MESSAGE-----",
    },
];
