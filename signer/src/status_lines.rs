//! The status lines of GnuPG that git parses.

use std::fmt;

use notme_core::{
    key::{Algorithm, Hash, KeyId},
    time::UnixTime,
};

/// One line. Every key is followed by a space, without which git reads on into the next line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StatusLine<'a> {
    /// A signature follows. Always first: git overlooks a verdict on the very first line.
    NewSignature,
    /// A signature is about to be made. Always first, for the same reason.
    BeginSigning,
    /// A detached signature was made and written.
    SignatureCreated {
        /// The kind of key.
        algorithm: Algorithm,
        /// The hash.
        hash: Hash,
        /// The signing time.
        at: UnixTime,
        /// The key.
        kid: KeyId,
    },
    /// There is no such key to sign with.
    InvalidSigner {
        /// What was asked for.
        key: &'a str,
    },
    /// The signature holds; how far its signer is trusted is another line.
    Good {
        /// The key.
        kid: KeyId,
        /// Whose.
        name: &'a str,
    },
    /// The signature does not match the data.
    Bad {
        /// The key, where it is known.
        kid: Option<KeyId>,
        /// Whose, as the certificate says.
        name: &'a str,
    },
    /// The signature holds, but its certificate had expired.
    ExpiredKey {
        /// The key.
        kid: KeyId,
        /// Whose.
        name: &'a str,
    },
    /// The signature holds, but its key is revoked.
    RevokedKey {
        /// The key.
        kid: KeyId,
        /// Whose.
        name: &'a str,
    },
    /// The signature could not be judged.
    Error {
        /// The key, where it is known.
        kid: Option<KeyId>,
        /// Why.
        reason: ErrorReason,
    },
    /// Details of a signature that holds.
    Valid {
        /// The key.
        kid: KeyId,
        /// When it was made.
        signed_at: UnixTime,
        /// When its certificate ends.
        expires_at: UnixTime,
        /// The kind of key.
        algorithm: Algorithm,
        /// The hash.
        hash: Hash,
        /// The key behind the key: that of the authority's root.
        primary: KeyId,
    },
    /// How far the signer is trusted.
    Trust(TrustLevel),
}

/// Why a signature could not be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorReason {
    /// It cannot be read, or trust cannot.
    Unreadable,
    /// Its signer is unknown.
    UnknownSigner,
}

/// How far a signer is trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrustLevel {
    /// Nothing is known.
    Undefined,
    /// Not at all.
    Never,
    /// By an authority that is pinned.
    Fully,
}

impl fmt::Display for StatusLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[GNUPG:] ")?;
        match self {
            Self::NewSignature => f.write_str("NEWSIG"),
            Self::BeginSigning => f.write_str("BEGIN_SIGNING"),
            Self::SignatureCreated {
                algorithm,
                hash,
                at,
                kid,
            } => {
                let (algorithm, hash) = (key_number(*algorithm), hash_number(*hash));
                let at = compact(*at);
                write!(f, "SIG_CREATED D {algorithm} {hash} 00 {at} {kid}")
            }
            // 9: no secret key.
            Self::InvalidSigner { key } => write!(f, "INV_SGNR 9 {}", Escaped(key)),
            Self::Good { kid, name } => write!(f, "GOODSIG {kid} {}", Escaped(name)),
            Self::Bad { kid, name } => {
                write!(f, "BADSIG {} {}", Key(*kid), Escaped(name))
            }
            Self::ExpiredKey { kid, name } => write!(f, "EXPKEYSIG {kid} {}", Escaped(name)),
            Self::RevokedKey { kid, name } => write!(f, "REVKEYSIG {kid} {}", Escaped(name)),
            Self::Error { kid, reason } => {
                write!(f, "ERRSIG {}", Key(*kid))?;
                // doc/DETAILS: 4 is "unsupported algorithm", 9 is "missing public key"; there is
                // no number for the rest.
                f.write_str(match reason {
                    ErrorReason::Unreadable => " 0 0 00 0 1 -",
                    ErrorReason::UnknownSigner => " 0 0 00 0 9 -",
                })
            }
            Self::Valid {
                kid,
                signed_at,
                expires_at,
                algorithm,
                hash,
                primary,
            } => {
                let (algorithm, hash) = (key_number(*algorithm), hash_number(*hash));
                let (time, end) = (compact(*signed_at), compact(*expires_at));
                let date = signed_at.to_string();
                let date = date.split('T').next().unwrap_or_default();
                write!(
                    f,
                    "VALIDSIG {kid} {date} {time} {end} 0 0 {algorithm} {hash} 00 {primary}"
                )
            }
            Self::Trust(level) => write!(f, "TRUST_{} 0 shell", level.as_str()),
        }
    }
}

impl TrustLevel {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Undefined => "UNDEFINED",
            Self::Never => "NEVER",
            Self::Fully => "FULLY",
        }
    }
}

/// A key id, or zeros where the key is not known.
struct Key(Option<KeyId>);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(kid) => kid.fmt(f),
            None => f.write_str("0000000000000000"),
        }
    }
}

/// libgcrypt's number of a kind of key.
const fn key_number(algorithm: Algorithm) -> u16 {
    match algorithm {
        Algorithm::Rsa => 1,
        Algorithm::P256 | Algorithm::P384 => 301,
        Algorithm::Ed25519 => 303,
    }
}

/// RFC 4880's number of a hash.
const fn hash_number(hash: Hash) -> u8 {
    match hash {
        Hash::Sha256 => 8,
        Hash::Sha384 => 9,
        Hash::Sha512 => 10,
    }
}

/// Writes a time as ISO 8601 does without separators, which is how gpgsm does.
fn compact(time: UnixTime) -> String {
    time.to_string()
        .chars()
        .filter(|c| !matches!(c, '-' | ':' | 'Z'))
        .collect()
}

/// Text that stays on its line: percent sign and control characters as `%XX`.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '%' => f.write_str("%25")?,
                c if c.is_control() => {
                    let mut bytes = [0; 4];
                    for byte in c.encode_utf8(&mut bytes).bytes() {
                        write!(f, "%{byte:02X}")?;
                    }
                }
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use notme_testkit::clock::NOW;

    use super::*;

    fn kid() -> KeyId {
        "00112233445566778899aabbccddeeff".parse().unwrap()
    }

    #[test]
    fn writes_what_gpgsm_writes() {
        let kid = kid();
        let name = "wimse://t/agent/a/b";
        let id = "00112233445566778899aabbccddeeff";
        for (line, expected) in [
            (StatusLine::NewSignature, "NEWSIG".to_owned()),
            (StatusLine::BeginSigning, "BEGIN_SIGNING".to_owned()),
            (
                StatusLine::SignatureCreated {
                    algorithm: Algorithm::Ed25519,
                    hash: Hash::Sha512,
                    at: NOW,
                    kid,
                },
                format!("SIG_CREATED D 303 10 00 20261120T120000 {id}"),
            ),
            (
                StatusLine::Valid {
                    kid,
                    signed_at: NOW,
                    expires_at: NOW.plus(60),
                    algorithm: Algorithm::P256,
                    hash: Hash::Sha256,
                    primary: kid,
                },
                format!(
                    "VALIDSIG {id} 2026-11-20 20261120T120000 20261120T120100 0 0 301 8 00 {id}"
                ),
            ),
            (
                StatusLine::Good { kid, name },
                format!("GOODSIG {id} {name}"),
            ),
            (
                StatusLine::ExpiredKey { kid, name },
                format!("EXPKEYSIG {id} {name}"),
            ),
            (
                StatusLine::RevokedKey { kid, name },
                format!("REVKEYSIG {id} {name}"),
            ),
            (
                StatusLine::Bad {
                    kid: Some(kid),
                    name: "",
                },
                format!("BADSIG {id} "),
            ),
            (
                StatusLine::Error {
                    kid: Some(kid),
                    reason: ErrorReason::UnknownSigner,
                },
                format!("ERRSIG {id} 0 0 00 0 9 -"),
            ),
            (
                StatusLine::Error {
                    kid: None,
                    reason: ErrorReason::Unreadable,
                },
                "ERRSIG 0000000000000000 0 0 00 0 1 -".to_owned(),
            ),
            (
                StatusLine::Trust(TrustLevel::Fully),
                "TRUST_FULLY 0 shell".to_owned(),
            ),
            (
                StatusLine::InvalidSigner { key: "" },
                "INV_SGNR 9 ".to_owned(),
            ),
        ] {
            assert_eq!(line.to_string(), format!("[GNUPG:] {expected}"));
        }
    }

    #[test]
    fn keeps_text_on_its_line() {
        let key = "a\n[GNUPG:] GOODSIG x\r%\u{7f}\u{85}é";
        let line = StatusLine::InvalidSigner { key }.to_string();
        let escaped = "a%0A[GNUPG:] GOODSIG x%0D%25%7F%C2%85é";
        assert_eq!(line, format!("[GNUPG:] INV_SGNR 9 {escaped}"));
    }
}
